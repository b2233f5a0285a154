//! Bodies of the fuzz targets: each takes any bytes and panics when a property does not hold.
//!
//! They live in the library so that a plain unit test runs them too, on every build and without a fuzzer. Nothing else
//! calls them.

use serde_json::{Value, json};

use crate::dialect::{Command, Dialect, Outgoing, Refusal, Request, RequestId};
use crate::limits::Limits;
use crate::native::{CURSOR_BYTES, ID_BYTES, ID_LIMIT, Native, SYMBOL_BYTES, VALUE_BYTES};
use crate::topic::Channel;

/// Commands of the native dialect: whatever comes is understood within the limits, or refused in the documented form;
/// what was understood can be said again, and what is answered is JSON.
pub fn native_decode(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let limits = Limits { symbols: 8, ..Limits::default() };
    let native = Native::new("fuzz", &limits);
    match native.decode(text) {
        Ok(request) => {
            check_request(&request, &limits);
            let again = said_again(&request).to_string();
            assert_eq!(native.decode(&again).as_ref(), Ok(&request), "said again: {again}");
        }
        Err(refusal) => check_refusal(&native, &refusal),
    }
}

fn check_request(request: &Request, limits: &Limits) {
    check_id(request.id.as_ref());
    let (symbols, cursor) = match &request.command {
        Command::Subscribe { symbols, cursor, .. } => (symbols, cursor.as_deref()),
        Command::Unsubscribe { symbols, .. } => (symbols, None),
        Command::List | Command::Ping => return,
    };
    let printable = |text: &str| text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    assert!((1..=limits.symbols as usize).contains(&symbols.len()));
    for (at, symbol) in symbols.iter().enumerate() {
        assert!((1..=SYMBOL_BYTES).contains(&symbol.len()) && printable(symbol));
        assert!(!symbols[..at].contains(symbol), "each symbol once");
    }
    assert!(cursor.is_none_or(|cursor| cursor.len() <= CURSOR_BYTES && printable(cursor)));
}

fn check_id(id: Option<&RequestId>) {
    match id {
        Some(RequestId::Number(number)) => assert!(*number < ID_LIMIT),
        Some(RequestId::Text(text)) => assert!(text.len() <= ID_BYTES),
        None => {}
    }
}

/// The request as a client of good manners would put it.
fn said_again(request: &Request) -> Value {
    let channel_of = |command: &mut Value, channel: Channel, symbols: &[String]| {
        command["channel"] = channel.name().into();
        command["symbols"] = symbols.into();
        if let Some(levels) = channel.levels() {
            command["levels"] = levels.count().into();
        }
    };
    let mut command = json!({});
    match &request.command {
        Command::Subscribe { channel, symbols, cursor, from } => {
            command["op"] = "subscribe".into();
            channel_of(&mut command, *channel, symbols);
            if let Some(cursor) = cursor {
                command["cursor"] = cursor.as_str().into();
            }
            if let Some(from) = from {
                command["from"] = from.to_string().into();
            }
        }
        Command::Unsubscribe { channel, symbols } => {
            command["op"] = "unsubscribe".into();
            channel_of(&mut command, *channel, symbols);
        }
        Command::List => command["op"] = "list".into(),
        Command::Ping => command["op"] = "ping".into(),
    }
    if let Some(id) = &request.id {
        command["id"] = id_value(id);
    }
    command
}

fn id_value(id: &RequestId) -> Value {
    match id {
        RequestId::Number(number) => (*number).into(),
        RequestId::Text(text) => text.as_str().into(),
    }
}

fn check_refusal(native: &Native, refusal: &Refusal) {
    check_id(refusal.id.as_ref());
    assert!(["bad_json", "unknown_op", "unknown_field", "missing_field", "bad_value"].contains(&refusal.code));
    assert!(refusal.field.len() <= VALUE_BYTES && refusal.value.len() <= VALUE_BYTES);
    assert!(!refusal.expected.is_empty() && refusal.expected.len() <= 200);

    let mut out = Vec::new();
    native.encode(&Outgoing::Error(refusal), &mut out);
    let told: Value = serde_json::from_slice(&out).expect("an error frame is JSON");
    let mut want = json!({
        "type": "error", "code": refusal.code, "field": refusal.field, "value": refusal.value,
        "expected": refusal.expected,
    });
    if let Some(id) = &refusal.id {
        want["id"] = id_value(id);
    }
    assert_eq!(told, want);
}

#[cfg(test)]
mod tests {
    use super::*;

    const INPUTS: u64 = 5_000;

    const COMMANDS: [&str; 6] = [
        r#"{"op":"subscribe","id":1,"channel":"quotes","symbols":["AAPL","XNAS:MSFT"]}"#,
        r#"{"op":"subscribe","id":"a\u00e9","channel":"depth","levels":20,"symbols":["A","B","A"]}"#,
        r#"{"op":"subscribe","channel":"trades","symbols":["A"],"cursor":"lane0.00c0ffee00c0ffee.118"}"#,
        r#"{"op":"unsubscribe","id":9007199254740991,"channel":"status","symbols":["\"\\"]}"#,
        r#"{"op":"list","id":3}"#,
        r#"{"op":"ping"}"#,
    ];

    /// Pieces of JSON, separated by spaces.
    const PIECES: &str = r#"" \ { } [ ] , : null -1 1e9 9007199254740992 \ud800 \u0000 é 📈 "" "id":7, "op":"ping",
        "x":1, "op":"list" "levels":5, "symbols":[], ,"cursor":8"#;

    /// A small generator of its own, so that every failure names the seed that repeats it.
    struct Random(u64);

    impl Random {
        fn below(&mut self, limit: usize) -> usize {
            self.0 = self.0.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            (((self.0 ^ (self.0 >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd)) >> 17) as usize % limit
        }
    }

    /// A command with some bytes lost, doubled or replaced, and pieces of JSON put in.
    fn worn(random: &mut Random) -> Vec<u8> {
        let pieces: Vec<&str> = PIECES.split_whitespace().collect();
        let mut input = COMMANDS[random.below(COMMANDS.len())].as_bytes().to_vec();
        for _ in 0..random.below(5) {
            let at = random.below(input.len() + 1);
            match random.below(5) {
                0 => input.truncate(at),
                1 if at < input.len() => drop(input.remove(at)),
                2 if at < input.len() => input[at] = random.below(256) as u8,
                3 => {
                    let again = input[at..].to_vec();
                    input.extend(again);
                }
                _ => drop(input.splice(at..at, pieces[random.below(pieces.len())].bytes())),
            }
        }
        input
    }

    #[test]
    fn decoding_survives_noise() {
        for seed in 0..INPUTS {
            let input = worn(&mut Random(seed));
            let outcome = std::panic::catch_unwind(|| native_decode(&input));
            assert!(outcome.is_ok(), "seed {seed}, input {}", input.escape_ascii());
        }
    }

    /// The noise above is worth something only while both kinds of answer come out of it.
    #[test]
    fn noise_reaches_both_answers() {
        let native = Native::new("fuzz", &Limits::default());
        let texts = (0..INPUTS).filter_map(|seed| String::from_utf8(worn(&mut Random(seed))).ok());
        let (understood, refused): (Vec<_>, Vec<_>) = texts.map(|text| native.decode(&text)).partition(Result::is_ok);
        assert!(understood.len() > 500 && refused.len() > 500, "{} and {}", understood.len(), refused.len());
    }
}
