use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const SYMBOLS_MAX: usize = 3;

fn number(id: u64) -> Option<RequestId> {
    Some(RequestId::Number(id))
}

fn symbols(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn subscribe(channel: Channel, names: &[&str], cursor: Option<&str>) -> Command {
    Command::Subscribe { channel, symbols: symbols(names), cursor: cursor.map(str::to_owned), from: None }
}

#[test]
fn commands_that_are_understood() {
    let ten = Channel::Depth(Levels::Ten);
    let twenty = Channel::Depth(Levels::Twenty);
    let widest = "VENUE567:".to_owned() + &"S".repeat(32);
    let table: &[(&str, String, Option<RequestId>, Command)] = &[
        ("ping", r#"{"op":"ping"}"#.into(), None, Command::Ping),
        ("list with an id", r#"{"op":"list","id":0}"#.into(), number(0), Command::List),
        ("largest id", r#"{"op":"ping","id":9007199254740991}"#.into(), number((1 << 53) - 1), Command::Ping),
        (
            "longest text id",
            format!(r#"{{"op":"ping","id":"{}"}}"#, "é".repeat(32)),
            Some(RequestId::Text("é".repeat(32))),
            Command::Ping,
        ),
        (
            "escapes and white space",
            " {\n\"\\u006fp\" :\t\"p\\u0069ng\", \"id\": \"a\\n\" }\r\n".into(),
            Some(RequestId::Text("a\n".into())),
            Command::Ping,
        ),
        (
            "quotes",
            r#"{"op":"subscribe","channel":"quotes","symbols":["AAPL"]}"#.into(),
            None,
            subscribe(Channel::Quotes, &["AAPL"], None),
        ),
        (
            "members in another order",
            r#"{"symbols":["B","A"],"levels":5,"channel":"depth","id":7,"op":"subscribe"}"#.into(),
            number(7),
            subscribe(Channel::Depth(Levels::Five), &["B", "A"], None),
        ),
        (
            "levels that are not named",
            r#"{"op":"subscribe","channel":"depth","symbols":["A"]}"#.into(),
            None,
            subscribe(ten, &["A"], None),
        ),
        (
            "a cursor",
            r#"{"op":"subscribe","channel":"trades","symbols":["A"],"cursor":"lane0.00000000000000ff.7"}"#.into(),
            None,
            subscribe(Channel::Trades, &["A"], Some("lane0.00000000000000ff.7")),
        ),
        (
            "a bare number as cursor",
            r#"{"op":"subscribe","channel":"status","symbols":["A"],"cursor":118}"#.into(),
            None,
            subscribe(Channel::Status, &["A"], Some("118")),
        ),
        (
            "the longest cursor",
            format!(r#"{{"op":"subscribe","channel":"status","symbols":["A"],"cursor":"{}"}}"#, "~".repeat(128)),
            None,
            subscribe(Channel::Status, &["A"], Some(&"~".repeat(128))),
        ),
        (
            "the widest symbol, as many as there may be, each once",
            format!(
                r#"{{"op":"unsubscribe","channel":"depth","levels":20,"symbols":["{widest}","\" \\","{widest}"]}}"#
            ),
            None,
            Command::Unsubscribe { channel: twenty, symbols: symbols(&[&widest, "\" \\"]) },
        ),
    ];
    for (name, text, id, command) in table {
        let want = Request { id: id.clone(), command: command.clone() };
        assert_eq!(decode(text, SYMBOLS_MAX), Ok(want), "case: {name}");
    }
}

/// A refusal as one line: code, field, value, what is expected.
fn refused(text: &str) -> String {
    let Refusal { id, code, field, value, expected } = decode(text, SYMBOLS_MAX).expect_err(text);
    let id = match id {
        None => String::new(),
        Some(RequestId::Number(number)) => format!("#{number} "),
        Some(RequestId::Text(text)) => format!("#{text:?} "),
    };
    format!("{id}{code} {field:?} = {value:?}: {expected}")
}

#[test]
fn what_is_no_object_is_refused() {
    let table: &[(&str, &str)] = &[
        ("", r#"bad_json "" = "": one JSON object: EOF while parsing a value at line 1 column 0"#),
        ("x", r#"bad_json "" = "x": one JSON object: expected value at line 1 column 1"#),
        ("[]", r#"bad_json "" = "[]": one JSON object"#),
        ("7", r#"bad_json "" = "7": one JSON object"#),
        ("null", r#"bad_json "" = "null": one JSON object"#),
        (r#""op""#, r#"bad_json "" = "\"op\"": one JSON object"#),
        ("{", r#"bad_json "" = "{": one JSON object: EOF while parsing an object at line 1 column 1"#),
        ("{}{}", r#"bad_json "" = "{}{}": one JSON object: trailing characters at line 1 column 3"#),
        ("{'op':1}", r#"bad_json "" = "{'op':1}": one JSON object: key must be a string at line 1 column 2"#),
        (r#"{"op":}"#, r#"bad_json "" = "{\"op\":}": one JSON object: expected value at line 1 column 7"#),
        (r#"{"op":1,}"#, r#"bad_json "" = "{\"op\":1,}": one JSON object: trailing comma at line 1 column 9"#),
        (r#"{"id":01}"#, r#"bad_json "" = "{\"id\":01}": one JSON object: invalid number at line 1 column 8"#),
        (
            "{\"op\":\"\n\"}",
            "bad_json \"\" = \"{\\\"op\\\":\\\"\\n\\\"}\": one JSON object: control character (\\u0000-\\u001F) \
             found while parsing a string at line 1 column 7",
        ),
    ];
    for (text, want) in table {
        assert_eq!(refused(text), *want, "text: {text}");
    }
}

#[test]
fn fields_are_judged_by_name() {
    let ops = "subscribe, unsubscribe, list or ping";
    let ids = "an integer below 2^53, or a text of at most 64 bytes";
    let fields = "op, id, channel, symbols, levels, cursor or from";
    let long = "é".repeat(33);
    let table: &[(&str, String)] = &[
        // op
        ("{}", format!(r#"missing_field "op" = "": {ops}"#)),
        (r#"{"id":7}"#, format!(r#"#7 missing_field "op" = "": {ops}"#)),
        (r#"{"op":"Ping","id":"a"}"#, format!(r##"#"a" unknown_op "op" = "Ping": {ops}"##)),
        (r#"{"op":""}"#, format!(r#"unknown_op "op" = "": {ops}"#)),
        (r#"{"op":["ping"]}"#, format!(r#"bad_value "op" = "[\"ping\"]": {ops}"#)),
        (r#"{"op":null}"#, format!(r#"bad_value "op" = "null": {ops}"#)),
        (r#"{"op":"\ud800"}"#, format!(r#"bad_value "op" = "\"\\ud800\"": {ops}"#)),
        // id: what is wrong with it goes before everything else, and it is not repeated.
        (r#"{"op":"ping","id":9007199254740992}"#, format!(r#"bad_value "id" = "9007199254740992": {ids}"#)),
        (r#"{"op":"ping","id":-1}"#, format!(r#"bad_value "id" = "-1": {ids}"#)),
        (r#"{"op":"ping","id":-0}"#, format!(r#"bad_value "id" = "-0": {ids}"#)),
        (r#"{"op":"ping","id":1.0}"#, format!(r#"bad_value "id" = "1.0": {ids}"#)),
        (r#"{"op":"ping","id":1e3}"#, format!(r#"bad_value "id" = "1e3": {ids}"#)),
        (r#"{"op":"ping","id":null}"#, format!(r#"bad_value "id" = "null": {ids}"#)),
        (r#"{"op":"nope","id":{}}"#, format!(r#"bad_value "id" = "{{}}": {ids}"#)),
        (&format!(r#"{{"op":"ping","id":"{long}"}}"#), format!(r#"bad_value "id" = "{}": {ids}"#, "é".repeat(32))),
        // Twice.
        (r#"{"op":"ping","op":"list","id":1}"#, r##"#1 bad_value "op" = "\"list\"": the field once"##.into()),
        (r#"{"id":1,"op":"ping","id":1}"#, r#"bad_value "id" = "1": the field once"#.into()),
        (r#"{"\u006fp":"ping","op":"ping"}"#, r#"bad_value "op" = "\"ping\"": the field once"#.into()),
        // Fields that the command does not have.
        (r#"{"op":"ping","channel":"quotes"}"#, r#"unknown_field "channel" = "\"quotes\"": op or id"#.into()),
        (r#"{"op":"list","id":2,"x":[1, {}]}"#, r##"#2 unknown_field "x" = "[1, {}]": op or id"##.into()),
        (r#"{"op":"subscribe","symbol":"A"}"#, format!(r#"unknown_field "symbol" = "\"A\"": {fields}"#)),
        (r#"{"op":"subscribe","Op":1,"b":2}"#, format!(r#"unknown_field "Op" = "1": {fields}"#)),
        (
            r#"{"op":"unsubscribe","channel":"trades","symbols":["A"],"cursor":"x"}"#,
            r#"unknown_field "cursor" = "\"x\"": op, id, channel, symbols or levels"#.into(),
        ),
        (&format!(r#"{{"op":"ping","{long}":1}}"#), format!(r#"unknown_field "{}" = "1": op or id"#, "é".repeat(32))),
    ];
    for (text, want) in table {
        assert_eq!(refused(text), *want, "text: {text}");
    }
}

#[test]
fn topics_are_judged_by_name() {
    let channels = "quotes, depth, trades or status";
    let lists = "a list of 1 to 3 symbols";
    let one = "SYMBOL or VENUE:SYMBOL, 1 to 41 characters of printable ASCII";
    let cursors = "a cursor: at most 128 characters of printable ASCII";
    let wide = "S".repeat(42);
    let table: &[(&str, String)] = &[
        // channel
        (r#""symbols":["A"]"#, format!(r#"missing_field "channel" = "": {channels}"#)),
        (r#""channel":"quote","symbols":["A"]"#, format!(r#"bad_value "channel" = "quote": {channels}"#)),
        (r#""channel":1,"symbols":["A"]"#, format!(r#"bad_value "channel" = "1": {channels}"#)),
        // levels
        (
            r#""channel":"quotes","symbols":["A"],"levels":5"#,
            r#"unknown_field "levels" = "5": no levels: only channel depth has them"#.into(),
        ),
        (r#""channel":"depth","symbols":["A"],"levels":7"#, r#"bad_value "levels" = "7": 5, 10 or 20"#.into()),
        (r#""channel":"depth","symbols":["A"],"levels":"5""#, r#"bad_value "levels" = "\"5\"": 5, 10 or 20"#.into()),
        (r#""channel":"depth","symbols":["A"],"levels":5.0"#, r#"bad_value "levels" = "5.0": 5, 10 or 20"#.into()),
        (r#""channel":"depth","symbols":["A"],"levels":null"#, r#"bad_value "levels" = "null": 5, 10 or 20"#.into()),
        // symbols
        (r#""channel":"quotes""#, format!(r#"missing_field "symbols" = "": {lists}"#)),
        (r#""channel":"quotes","symbols":"A""#, format!(r#"bad_value "symbols" = "\"A\"": {lists}"#)),
        (r#""channel":"quotes","symbols":{"A":1}"#, format!(r#"bad_value "symbols" = "{{\"A\":1}}": {lists}"#)),
        (r#""channel":"quotes","symbols":[]"#, format!(r#"bad_value "symbols" = "0 symbols": {lists}"#)),
        // Four are four, also when two of them are one, and whatever stands behind the last that is kept.
        (r#""channel":"quotes","symbols":["A","A","A",7]"#, format!(r#"bad_value "symbols" = "4 symbols": {lists}"#)),
        (r#""channel":"quotes","symbols":["A",["B"]]"#, format!(r#"bad_value "symbols" = "[\"B\"]": {one}"#)),
        (r#""channel":"quotes","symbols":["A",""]"#, format!(r#"bad_value "symbols" = "": {one}"#)),
        (r#""channel":"quotes","symbols":["A\u0000"]"#, format!(r#"bad_value "symbols" = "A\0": {one}"#)),
        (r#""channel":"quotes","symbols":["A\u007f"]"#, format!(r#"bad_value "symbols" = "A\u{{7f}}": {one}"#)),
        (r#""channel":"quotes","symbols":["é"]"#, format!(r#"bad_value "symbols" = "é": {one}"#)),
        (&format!(r#""channel":"quotes","symbols":["{wide}"]"#), format!(r#"bad_value "symbols" = "{wide}": {one}"#)),
        // cursor
        (r#""channel":"trades","symbols":["A"],"cursor":null"#, format!(r#"bad_value "cursor" = "null": {cursors}"#)),
        (r#""channel":"trades","symbols":["A"],"cursor":-1"#, format!(r#"bad_value "cursor" = "-1": {cursors}"#)),
        (r#""channel":"trades","symbols":["A"],"cursor":"é""#, format!(r#"bad_value "cursor" = "é": {cursors}"#)),
        (
            &format!(r#""channel":"trades","symbols":["A"],"cursor":"{}""#, "c".repeat(129)),
            format!(r#"bad_value "cursor" = "{}": {cursors}"#, "c".repeat(64)),
        ),
    ];
    for (members, want) in table {
        let text = format!(r#"{{"op":"subscribe","id":5,{members}}}"#);
        assert_eq!(refused(&text), format!("#5 {want}"), "text: {text}");
    }
}

#[test]
fn depth_of_nesting_and_length_are_no_danger() {
    let deep = 30_000;
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let nested = format!("{}1{}", open.repeat(deep), close.repeat(deep));
        let whole = format!(r#"{{"op":"ping","x":{nested}}}"#);
        assert!(refused(&whole).starts_with(r#"unknown_field "x""#));
        let whole = format!(r#"{{"op":"subscribe","channel":"quotes","symbols":["A",{nested}]}}"#);
        assert!(refused(&whole).starts_with(r#"bad_value "symbols""#));
        let all_of_it = if open == "[" { "bad_json" } else { r#"missing_field "op""# };
        assert!(refused(&nested).starts_with(all_of_it));
        assert!(refused(&open.repeat(deep)).starts_with("bad_json"));
    }
    let many = format!(r#"{{"op":"subscribe","channel":"quotes","symbols":[{}1]}}"#, "1,".repeat(30_000));
    assert!(refused(&many).contains("30001 symbols"));
}

/// JSON of any shape, with the words of commands among its texts and names.
fn any_json() -> impl Strategy<Value = Value> {
    let word = prop_oneof![
        4 => proptest::sample::select(vec![
            "op", "id", "channel", "symbols", "levels", "cursor", "subscribe", "unsubscribe", "list", "ping", "quotes",
            "depth", "trades", "status", "AAPL", "XNAS:MSFT", "lane0.00000000000000ff.7",
        ]).prop_map(str::to_owned),
        1 => ".{0,70}",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        prop_oneof![Just(5_u64), Just(20), 0..100_u64, any::<u64>()].prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        word.clone().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::btree_map(word.clone(), inner, 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_bytes_are_judged(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        crate::fuzz_entry::native_decode(&bytes);
    }

    #[test]
    fn any_json_is_judged(value in any_json()) {
        crate::fuzz_entry::native_decode(value.to_string().as_bytes());
    }

    #[test]
    fn a_command_with_one_member_changed_is_judged(
        member in proptest::sample::select(vec!["op", "id", "channel", "symbols", "levels", "cursor", "other"]),
        depth: bool,
        value in any_json(),
        removed: bool,
    ) {
        let channel = if depth { "depth" } else { "trades" };
        let mut command = json!({"op": "subscribe", "id": 1, "channel": channel, "symbols": ["A", "B"], "cursor": "c"});
        let members = command.as_object_mut().unwrap();
        if removed { members.remove(member); } else { members.insert(member.to_owned(), value); }
        crate::fuzz_entry::native_decode(command.to_string().as_bytes());
    }
}
