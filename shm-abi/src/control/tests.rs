use proptest::prelude::*;

use super::*;

fn request(command: Command) -> Request {
    Request { version: VERSION, id: 7, command }
}

fn read(text: &str) -> Result<Request, (u64, Refusal)> {
    read_request(text.as_bytes())
}

#[test]
fn golden_bytes() {
    let table: &[(Command, &str)] = &[
        (Command::Status { feed: None, after: None }, r#"{"status":{}}"#),
        (
            Command::Connect { feed: "nasdaq".into(), address: AddressChoice::Failover, wait_ms: 5_000 },
            r#"{"connect":{"feed":"nasdaq","address":"failover","wait_ms":5000}}"#,
        ),
        (
            Command::Disconnect { feed: "nasdaq".into(), address: None, wait_ms: 0 },
            r#"{"disconnect":{"feed":"nasdaq","wait_ms":0}}"#,
        ),
        (Command::Reload {}, r#"{"reload":{}}"#),
        (
            Command::Define(Definition::Mapping(MappingDefinition {
                provider: "dhan".into(),
                provider_symbol: "1333".into(),
                venue: "XNSE".into(),
                symbol: "HDFCBANK".into(),
            })),
            r#"{"define":{"mapping":{"provider":"dhan","provider_symbol":"1333","venue":"XNSE","symbol":"HDFCBANK"}}}"#,
        ),
        (
            Command::Demand { instruments: vec![InstrumentName { venue: "XNAS".into(), symbol: "AAPL".into() }] },
            r#"{"demand":{"instruments":[{"venue":"XNAS","symbol":"AAPL"}]}}"#,
        ),
        (
            Command::Pace { feed: "day".into(), pace: PaceChange::Step { events: 3 } },
            r#"{"pace":{"feed":"day","pace":{"step":{"events":3}}}}"#,
        ),
        (
            Command::Pace { feed: "day".into(), pace: PaceChange::Times { times: 2.5 } },
            r#"{"pace":{"feed":"day","pace":{"times":{"times":2.5}}}}"#,
        ),
        (
            Command::Tap { source: TapSource::Feed { name: "dse".into() }, limit: Some(3) },
            r#"{"tap":{"source":{"feed":{"name":"dse"}},"limit":3}}"#,
        ),
    ];
    for (command, text) in table {
        let json = format!(r#"{{"version":1,"id":7,"command":{text}}}"#);
        let mut bytes = Vec::new();
        encode(&request(command.clone()), &mut bytes).unwrap();
        let mut want = (json.len() as u32).to_le_bytes().to_vec();
        want.extend_from_slice(json.as_bytes());
        assert_eq!(bytes, want, "{}", String::from_utf8_lossy(&bytes));
        let (payload, consumed) = next_frame(&bytes).unwrap().unwrap();
        assert_eq!(consumed, bytes.len());
        assert_eq!(read_request(payload).unwrap(), request(command.clone()));
    }
    let refusal = Reply::Refused(Refusal::value("wait_ms", 70_000, "0 to 60000"));
    let text = serde_json::to_string(&Response::new(7, refusal)).unwrap();
    let want = r#"{"version":1,"id":7,"reply":{"refused":{"code":"invalid","field":"wait_ms","value":"70000","expected":"0 to 60000"}}}"#;
    assert_eq!(text, want);
}

#[test]
fn refusals_name_field_value_and_expectation() {
    let table: &[(&str, &str, u64, RefusalCode, &[&str])] = &[
        ("no JSON", "hello", 0, RefusalCode::BadRequest, &["hello", "version 1"]),
        ("no version", r#"{"id":3}"#, 0, RefusalCode::BadRequest, &["version"]),
        ("other version", r#"{"version":2,"id":3,"new":{}}"#, 3, RefusalCode::Version, &["version = 2", "1"]),
        (
            "unknown verb",
            r#"{"version":1,"id":3,"command":{"fly":{}}}"#,
            3,
            RefusalCode::BadRequest,
            &["fly", "connect", "tap"],
        ),
        (
            "unknown field",
            r#"{"version":1,"id":3,"command":{"connect":{"feed":"x","adress":"primary"}}}"#,
            3,
            RefusalCode::BadRequest,
            &["adress", "address"],
        ),
        (
            "unknown field outside",
            r#"{"version":1,"id":3,"command":{"reload":{}},"extra":1}"#,
            3,
            RefusalCode::BadRequest,
            &["extra"],
        ),
        (
            "unknown address",
            r#"{"version":1,"id":3,"command":{"connect":{"feed":"x","address":"third"}}}"#,
            3,
            RefusalCode::BadRequest,
            &["third", "primary", "failover"],
        ),
        (
            "long wait",
            r#"{"version":1,"id":3,"command":{"connect":{"feed":"x","wait_ms":60001}}}"#,
            3,
            RefusalCode::Invalid,
            &["wait_ms = 60001", "60000"],
        ),
        (
            "relative path",
            r#"{"version":1,"id":3,"command":{"tap":{"source":{"pcap":{"path":"a.pcap"}}}}}"#,
            3,
            RefusalCode::Invalid,
            &["path = a.pcap", "absolute"],
        ),
    ];
    for (name, text, id, code, parts) in table {
        let (told, refusal) = read(text).expect_err(name);
        assert_eq!((told, refusal.code), (*id, *code), "case {name}: {refusal}");
        for part in *parts {
            assert!(refusal.to_string().contains(part), "case {name}: {refusal} does not say {part:?}");
        }
    }
}

#[test]
fn definitions_are_checked() {
    let table: &[(&str, &str, Option<&str>)] = &[
        ("good feed", r#"{"feed":{"name":"dse","lane":"l","protocol":"p","addresses":["h:1"]}}"#, None),
        (
            "feed with settings",
            r#"{"feed":{"name":"dse","lane":"l","protocol":"p","addresses":["h:1"],"settings":{"username":"u","silence_limit_ms":15000,"x":true}}}"#,
            None,
        ),
        ("feed name", r#"{"feed":{"name":"D S","lane":"l","protocol":"p","addresses":["h:1"]}}"#, Some("name = D S")),
        ("no address", r#"{"feed":{"name":"d","lane":"l","protocol":"p","addresses":[]}}"#, Some("addresses = 0")),
        ("good instrument", r#"{"instrument":{"venue":"XDHA","symbol":"GP","price_decimals":2,"lot_size":1}}"#, None),
        ("tab in a symbol", r#"{"instrument":{"venue":"XDHA","symbol":"G\tP"}}"#, Some("symbol")),
        ("decimals", r#"{"instrument":{"venue":"X","symbol":"G","price_decimals":10}}"#, Some("price_decimals = 10")),
        ("lot", r#"{"instrument":{"venue":"X","symbol":"G","lot_size":0}}"#, Some("lot_size = 0")),
        ("isin", r#"{"instrument":{"venue":"X","symbol":"G","isin":"BD1"}}"#, Some("isin = BD1")),
        ("venue", r#"{"instrument":{"venue":"DHAKA EXCHANGE","symbol":"G"}}"#, Some("venue = DHAKA")),
        (
            "good calendar",
            r#"{"calendar":{"venue":"XDHA","time_zone":"Asia/Dhaka","open":"10:00","close":"14:30","weekend":["fri","sat"],"holidays":["2026-12-16"]}}"#,
            None,
        ),
        (
            "closed before it opens",
            r#"{"calendar":{"venue":"X","time_zone":"Z","open":"14:30","close":"10:00"}}"#,
            Some("close = 10:00"),
        ),
        (
            "odd time",
            r#"{"calendar":{"venue":"X","time_zone":"Z","open":"9:30","close":"10:00"}}"#,
            Some("open = 9:30"),
        ),
        (
            "odd day",
            r#"{"calendar":{"venue":"X","time_zone":"Z","open":"09:00","close":"10:00","weekend":["friday"]}}"#,
            Some("weekend = friday"),
        ),
        (
            "odd holiday",
            r#"{"calendar":{"venue":"X","time_zone":"Z","open":"09:00","close":"10:00","holidays":["2026-13-01"]}}"#,
            Some("holidays = 2026-13-01"),
        ),
        (
            "empty mapping",
            r#"{"mapping":{"provider":"","provider_symbol":"1","venue":"X","symbol":"G"}}"#,
            Some("provider"),
        ),
    ];
    for (name, text, refused) in table {
        let definition: Definition = serde_json::from_str(text).unwrap_or_else(|error| panic!("{name}: {error}"));
        match (definition.check(), refused) {
            (Ok(()), None) => {
                let again: Definition = serde_json::from_str(&serde_json::to_string(&definition).unwrap()).unwrap();
                assert_eq!(again, definition, "case {name}");
            }
            (Err(refusal), Some(part)) if refusal.to_string().contains(part) => {}
            (outcome, _) => panic!("case {name}: {outcome:?}"),
        }
    }
}

#[test]
fn a_password_is_not_in_what_is_logged() {
    let text = r#"{"feed":{"name":"d","lane":"l","protocol":"p","addresses":["h:1"],"settings":{"password":"hush"}}}"#;
    let definition: Definition = serde_json::from_str(text).unwrap();
    assert!(!format!("{definition:?}").contains("hush"));
}

#[test]
fn frames_have_a_limit_and_nothing_is_sent_over_it() {
    assert_eq!(next_frame(&[1, 0, 0]), Ok(None));
    assert_eq!(next_frame(&[2, 0, 0, 0, b'{']), Ok(None));
    assert_eq!(next_frame(&[0; 4]), Err(FrameError::Empty));
    let over = MESSAGE_BYTES_MAX + 1;
    assert_eq!(next_frame(&(over as u32).to_le_bytes()), Err(FrameError::TooLong { length: over }));
    assert_eq!(next_frame(&[255; 8]), Err(FrameError::TooLong { length: u32::MAX as usize }));
    let mut out = b"before".to_vec();
    // A text has two quotes around it.
    encode(&"x".repeat(MESSAGE_BYTES_MAX - 2), &mut out).unwrap();
    let whole = out.clone();
    assert_eq!(encode(&"x".repeat(MESSAGE_BYTES_MAX - 1), &mut out), Err(FrameError::TooLong { length: over }));
    assert_eq!(out, whole);
}

#[test]
fn a_newer_engine_is_understood() {
    let text =
        r#"{"version":1,"id":1,"reply":{"feeds":{"instance":"x","moon":"full","feeds":[{"name":"a","shoe":9}]}}}"#;
    let response: Response = serde_json::from_str(text).unwrap();
    assert!(matches!(response.reply, Reply::Feeds(page) if page.feeds[0].name == "a"));
    let text = r#"{"code":"new_kind","field":"a","value":"b","expected":"c"}"#;
    assert_eq!(serde_json::from_str::<Refusal>(text).unwrap().code, RefusalCode::Unknown);
}

proptest! {
    #[test]
    fn any_bytes_give_a_value_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(Some((payload, consumed))) = next_frame(&bytes) {
            prop_assert!(consumed <= bytes.len());
            let _ = read_request(payload);
        }
        let _ = read_request(&bytes);
    }

    #[test]
    fn frames_come_out_of_pieces_as_they_went_in(texts in proptest::collection::vec(".{0,40}", 1..8), piece in 1usize..9) {
        let mut bytes = Vec::new();
        for text in &texts {
            encode(text, &mut bytes).unwrap();
        }
        let (mut held, mut out) = (Vec::new(), Vec::new());
        for chunk in bytes.chunks(piece) {
            held.extend_from_slice(chunk);
            while let Some((payload, consumed)) = next_frame(&held).unwrap() {
                out.push(serde_json::from_slice::<String>(payload).unwrap());
                held.drain(..consumed);
            }
        }
        prop_assert_eq!(out, texts);
    }
}
