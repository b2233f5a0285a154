use super::*;

fn judge(pattern: &str, message: &str) -> Verdict {
    let text = format!(r#"{{"name":"x","about":"","steps":[{{"expect":{pattern},"skip":["update"]}}]}}"#);
    let acts = Scenario::parse(&text).unwrap().acts(&Symbols::new(["AAPL", "MSFT"])).unwrap();
    let [Act::Expect(expectation)] = &acts[..] else { panic!("{acts:?}") };
    expectation.judge(message)
}

#[test]
fn what_matches() {
    let cursor = r#""lane0.00c0ffee00c0ffee.118""#;
    let table: &[(&str, String, bool)] = &[
        (r#"{"a":1}"#, r#"{"a":1,"b":2}"#.into(), true),
        (r#"{"a":1}"#, r#"{"b":2}"#.into(), false),
        (r#"{"a":1}"#, r#"{"a":1.0}"#.into(), true),
        (r#"{"a":1}"#, r#"{"a":"1"}"#.into(), false),
        (r#"{"a":null}"#, r#"{"a":null}"#.into(), true),
        (r#"{"a":null}"#, r#"{"a":0}"#.into(), false),
        (r#"{"a":null}"#, "{}".into(), false),
        (r#"{"a":{"b":[1,{"c":2}]}}"#, r#"{"a":{"b":[1,{"c":2,"d":3}]}}"#.into(), true),
        (r#"{"a":{"b":[1,{"c":2}]}}"#, r#"{"a":{"b":[1,{"c":3}]}}"#.into(), false),
        (r#"{"a":[]}"#, r#"{"a":[1]}"#.into(), false),
        (r#"{"a":[1,2]}"#, r#"{"a":[2,1]}"#.into(), false),
        (r#"{"a":"$any"}"#, r#"{"a":null}"#.into(), true),
        (r#"{"a":"$any"}"#, "{}".into(), false),
        (r#"{"a":"$string"}"#, r#"{"a":""}"#.into(), true),
        (r#"{"a":"$string"}"#, r#"{"a":1}"#.into(), false),
        (r#"{"a":"$number"}"#, r#"{"a":1.5}"#.into(), true),
        (r#"{"a":"$number"}"#, r#"{"a":"1.5"}"#.into(), false),
        (r#"{"a":"$seq"}"#, r#"{"a":9007199254740991}"#.into(), true),
        (r#"{"a":"$seq"}"#, r#"{"a":9007199254740992}"#.into(), false),
        (r#"{"a":"$seq"}"#, r#"{"a":-1}"#.into(), false),
        (r#"{"a":"$cursor"}"#, format!("{{\"a\":{cursor}}}"), true),
        (r#"{"a":"$cursor"}"#, r#"{"a":"118"}"#.into(), false),
        (r#"{"a":"$absent"}"#, "{}".into(), true),
        (r#"{"a":"$absent"}"#, r#"{"a":null}"#.into(), false),
        (r#"{"a":"$symbol:1"}"#, r#"{"a":"MSFT"}"#.into(), true),
        (r#"{"a":"$symbol:1"}"#, r#"{"a":"AAPL"}"#.into(), false),
    ];
    for (pattern, message, want) in table {
        let got = judge(pattern, message);
        assert_eq!(got == Verdict::Match, *want, "{pattern} and {message}: {got:?}");
    }
}

#[test]
fn what_is_passed_over() {
    let table = [
        (r#"{"type":"pong"}"#, r#"{"type":"update","a":1}"#, Verdict::Skip),
        (r#"{"type":"update","a":1}"#, r#"{"type":"update","a":1}"#, Verdict::Match),
        (r#"{"type":"update","a":1}"#, r#"{"type":"update","a":2}"#, Verdict::Skip),
    ];
    for (pattern, message, want) in table {
        assert_eq!(judge(pattern, message), want, "{pattern} and {message}");
    }
    let Verdict::Mismatch(mismatch) = judge(r#"{"a":{"b":[1,{"c":2}]}}"#, r#"{"a":{"b":[1,{"c":3}]}}"#) else {
        panic!()
    };
    assert_eq!(mismatch.to_string(), "at `a.b[1].c`: expected 2, got 3");
    let Verdict::Mismatch(mismatch) = judge(r#"{"a":{"b":"$seq"}}"#, r#"{"a":{}}"#) else { panic!() };
    assert_eq!(mismatch.to_string(), "at `a.b`: expected \"$seq\", got nothing");
    assert!(matches!(judge("{}", "{"), Verdict::Mismatch(_)));
}

#[test]
fn what_is_sent() {
    let acts = |steps: &str| {
        let scenario = Scenario::parse(&format!(r#"{{"name":"x","about":"","steps":[{steps}]}}"#))?;
        scenario.acts(&Symbols::new(["AAPL"]))
    };
    let got = acts(r#"{"send":{"op":"subscribe","symbols":["$symbol:0","$$"]}}"#);
    assert_eq!(got, Err(ScenarioError::Placeholder { text: "$$".into() }));
    let got = acts(
        r#"{"send":{"symbols":["$symbol:0"]}},{"send":"$symbol:0 {"},{"send":{"binary":"00fF"}},{"send":{"binary":"00","op":1}},{"expect_close":1003}"#,
    );
    let want = [
        Act::SendText(r#"{"symbols":["AAPL"]}"#.into()),
        // Raw text is sent as it stands.
        Act::SendText("$symbol:0 {".into()),
        Act::SendBinary(vec![0, 255]),
        // More than bytes: a command that happens to have such a field.
        Act::SendText(r#"{"binary":"00","op":1}"#.into()),
        Act::ExpectClose(1003),
    ];
    assert_eq!(got.unwrap(), want);
    let step = ScenarioError::Step { step: 0 };
    for (steps, want) in [
        ("{}", step.clone()),
        (r#"{"send":{},"expect":{}}"#, step.clone()),
        (r#"{"send":{},"skip":["update"]}"#, step.clone()),
        (r#"{"expect_close":1003,"skip":["update"]}"#, step),
        (r#"{"send":{"binary":"0"}}"#, ScenarioError::Hex { step: 0, text: "0".into() }),
        (r#"{"send":{"binary":"0é"}}"#, ScenarioError::Hex { step: 0, text: "0é".into() }),
        (r#"{"send":{"symbols":["$symbol:1"]}}"#, ScenarioError::Symbol { index: 1, count: 1 }),
        (r#"{"send":{"symbols":["$symbol:x"]}}"#, ScenarioError::Placeholder { text: "$symbol:x".into() }),
        (r#"{"send":{"id":"$any"}}"#, ScenarioError::Placeholder { text: "$any".into() }),
        (r#"{"expect":{"id":"$every"}}"#, ScenarioError::Placeholder { text: "$every".into() }),
    ] {
        assert_eq!(acts(steps), Err(want), "{steps}");
    }
    assert!(matches!(acts(r#"{"sends":{}}"#), Err(ScenarioError::Format(_))));
}

/// Every scenario of the project can be run with two symbols, and is what its file's name says.
#[test]
fn the_scenarios_of_the_project() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../scenarios");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|ending| ending != "json") {
            continue;
        }
        let scenario = Scenario::parse(&std::fs::read_to_string(&path).unwrap())
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let acts = scenario
            .acts(&Symbols::new(["AAPL", "MSFT"]))
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_eq!(path.file_stem().unwrap().to_str().unwrap(), scenario.name);
        assert!(!scenario.about.is_empty(), "{}", scenario.name);
        let is_sent = |act: &Act| matches!(act, Act::SendText(_) | Act::SendBinary(_));
        assert!(acts.first().is_some_and(is_sent), "{}: it begins with what the client says", scenario.name);
        assert!(!acts.last().is_some_and(is_sent), "{}: it ends with what the gateway must do", scenario.name);
        count += 1;
    }
    assert!(count >= 12, "{count} scenarios in {folder}");
}
