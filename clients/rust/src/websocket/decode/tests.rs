use proptest::prelude::*;

use super::*;

const FRAMES: &[&str] = &[
    r#"{"type":"hello","protocol":1,"server":"s","slow":"conflate","lanes":[{"lane":"lane0","stream":1,"epoch":"00c0ffee00c0ffee","state":"live","cursor":"lane0.00c0ffee00c0ffee.118"},{"lane":"lane1","stream":0,"epoch":null,"state":"absent","cursor":null}],"limits":{"symbols":500}}"#,
    r#"{"type":"ack","id":1,"op":"subscribe","channel":"quotes","symbols":["AAPL"],"refused":[{"symbol":"NOPE","code":"unknown_symbol","expected":"x"}],"streams":[{"stream":1,"lane":"lane0","epoch":"00c0ffee00c0ffee","cursor":"lane0.00c0ffee00c0ffee.118"}]}"#,
    r#"{"type":"snapshot","channel":"depth","levels":5,"symbol":"AAPL","venue":"XNAS","stream":1,"seq":120,"cursor":"lane0.00c0ffee00c0ffee.120","ts_event":"1","ts_recv":"0","ts_publish":"0","ts_gateway":"0","data":{"bids":[[123.45,100,3],[123.44,50,1]],"asks":[]}}"#,
    r#"{"type":"snapshot","channel":"trades","symbol":"AAPL","venue":"XNAS","stream":1,"seq":120,"cursor":"lane0.00c0ffee00c0ffee.120","ts_event":"1","ts_recv":"0","ts_publish":"0","ts_gateway":"0","data":{"trades":[{"seq":118,"ts_event":"1","price":123.46,"quantity":10,"side":"ask","cross":null,"match_id":"77","printed":true,"hidden":false}]}}"#,
    r#"{"type":"update","channel":"quotes","symbol":"AAPL","stream":1,"seq":123,"prev":120,"ts_event":"1","ts_recv":"0","ts_publish":"0","ts_gateway":"0","merged":2,"first":121,"last":123,"data":{"bid":{"price":123.45,"quantity":100,"orders":3},"ask":null,"last":null,"open":null,"high":null,"low":null,"close":null,"previous_close":1,"volume":0,"turnover":0,"trades":0}}"#,
    r#"{"type":"update","channel":"depth","levels":5,"symbol":"AAPL","stream":1,"seq":124,"prev":120,"ts_event":"1","ts_recv":"0","ts_publish":"0","ts_gateway":"0","data":{"changes":[["bid",123.45,90,2],["ask",123.5,0,0]]}}"#,
    r#"{"type":"update","channel":"status","symbol":"AAPL","stream":1,"seq":124,"prev":120,"ts_event":"1","ts_recv":"0","ts_publish":"0","ts_gateway":"0","data":{"status":"halted","quality":"fresh"}}"#,
    r#"{"type":"update","channel":"trades","symbol":"AAPL","stream":1,"seq":124,"prev":120,"ts_event":"1","ts_recv":"0","ts_publish":"0","ts_gateway":"0","data":{"broken":"77"}}"#,
    r#"{"type":"gap","reason":"slow","channel":"trades","symbol":"AAPL","stream":1,"merged":12,"prev":120,"first":121,"last":160}"#,
    r#"{"type":"restart","lane":"lane0","old_stream":1,"stream":2,"epoch":"00c0ffee00c0ffee","old_epoch":"00c0ffee00c0ffef","reason":"engine","drained_to":5000,"old_end":null,"cursor":"lane0.00c0ffee00c0ffee.0"}"#,
    r#"{"type":"lane","lane":"lane0","stream":1,"state":"silent"}"#,
    r#"{"type":"subscriptions","id":3,"subscriptions":[{"channel":"depth","levels":5,"symbols":["AAPL"]}]}"#,
    r#"{"type":"pong","id":4,"ts_gateway":"1"}"#,
    r#"{"type":"error","id":"x","code":"bad_value","field":"levels","value":"7","expected":"5, 10 or 20"}"#,
];

/// Whatever the contract shows as a frame can be read.
#[test]
fn every_frame_of_the_contract_s_text() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../gateway/PROTOCOL.md");
    let text = std::fs::read_to_string(path).unwrap();
    let frames: Vec<&str> = text.lines().filter(|line| line.starts_with("{\"type\":")).collect();
    assert!(frames.len() > 20, "{} frames", frames.len());
    for frame in frames {
        let read = parse(frame).unwrap_or_else(|error| panic!("{frame}: {error:?}"));
        assert!(!matches!(read, Frame::Unknown(_)), "{frame}");
    }
}

#[test]
fn frames_of_the_contract() {
    for text in FRAMES {
        let frame = parse(text).unwrap_or_else(|error| panic!("{text}: {error:?}"));
        assert!(!matches!(frame, Frame::Unknown(_)), "{text}");
    }
    assert_eq!(parse(r#"{"type":"new"}"#), Ok(Frame::Unknown("new".into())));
    let hello = r#"{"type":"hello","protocol":2}"#;
    assert_eq!(parse(hello), Err(Unreadable::Protocol(2)), "before anything else of it is read");
}

#[test]
fn a_frame_that_lacks_something_names_it() {
    // A frame, what is taken out of it, and what the refusal names.
    let table = [
        (2, r#""cursor":"lane0.00c0ffee00c0ffee.120","#, "cursor"),
        (2, r#""levels":5,"#, "channel"),
        (2, r#","asks":[]"#, "asks"),
        (3, r#""printed":true,"#, "printed"),
        (4, r#""prev":120,"#, "prev"),
        (4, r#""first":121,"#, "merged"),
        (4, r#""ask":null,"#, "ask"),
        (4, r#""open":null,"#, "open"),
        (4, r#""ts_recv":"0","#, "ts_recv"),
        (5, r#","stream":1"#, "stream"),
        (8, r#","merged":12"#, "merged"),
        (8, r#","symbol":"AAPL""#, "symbol"),
        (9, r#""epoch":"00c0ffee00c0ffee","#, "epoch"),
    ];
    for (frame, part, named) in table {
        let text = FRAMES[frame].replacen(part, "", 1);
        assert_ne!(text, FRAMES[frame], "{part} is not in it");
        let Err(Unreadable::Frame(why)) = parse(&text) else { panic!("{text}: read") };
        assert!(why.contains(&format!("`{named}`")), "{text}: {why}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 2000, ..ProptestConfig::default() })]

    /// Whatever is changed, cut or put in: an answer, and no panic.
    #[test]
    fn total_on_damaged_frames(
        frame in 0..FRAMES.len(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3u8), 1..6),
    ) {
        let mut bytes = FRAMES[frame].as_bytes().to_vec();
        for (at, byte, how) in damage {
            let at = at.index(bytes.len().max(1));
            match how {
                0 if at < bytes.len() => bytes[at] = byte,
                1 => bytes.truncate(at),
                _ => bytes.insert(at, byte),
            }
        }
        let _ = parse(&String::from_utf8_lossy(&bytes));
    }
}
