use proptest::prelude::*;

use super::*;

#[test]
fn faults_are_parsed() {
    let cuts = |at: &[u64], reset| TcpFault::Cuts { at: at.to_vec(), reset };
    let table: &[(&str, TcpFault)] = &[
        ("cut@12345", cuts(&[12_345], false)),
        ("cut@0", cuts(&[0], false)),
        ("rst@7", cuts(&[7], true)),
        ("cut-list=10,20,30", cuts(&[10, 20, 30], false)),
        ("rst-list=10,", cuts(&[10], true)),
        ("one-byte", TcpFault::Chunk(1)),
        ("chunk=17", TcpFault::Chunk(17)),
        ("reject=A", TcpFault::Reject { code: b'A', times: u64::MAX }),
        ("reject=S,3", TcpFault::Reject { code: b'S', times: 3 }),
        ("silence@99", TcpFault::Silence(99)),
        ("no-login-answer", TcpFault::NoLoginAnswer(u64::MAX)),
        ("no-login-answer,2", TcpFault::NoLoginAnswer(2)),
    ];
    for (text, want) in table {
        assert_eq!(text.parse(), Ok(Fault::Tcp(want.clone())), "case: {text}");
    }
}

#[test]
fn errors_say_what_is_wanted() {
    let table: &[(&str, &str)] = &[
        ("", "unknown fault \"\"; use cut, rst"),
        ("explode", "unknown fault \"explode\""),
        ("cut@", "\"\" is no byte count"),
        ("cut@-1", "\"-1\" is no byte count"),
        ("chunk=0", "\"0\" is no piece size of at least 1 byte"),
        ("reject=X", "\"X\" is no letter A or S"),
        ("reject=A,x", "\"x\" is no number of times"),
        ("silence@soon", "\"soon\" is no message number"),
        ("cut-list=", "is no list of byte counts"),
        ("cut-list=/nowhere/cuts.txt", "cannot read /nowhere/cuts.txt"),
        ("one-byte@3", "\"3\" is no argument of this fault"),
        ("drop:c,5", "\"c\" is no set of lines"),
        ("drop:a,101%", "\"101%\" is no share from 0% to 100%"),
        ("drop:a,9-7", "\"9-7\" is no share like 25%, message number or range"),
        ("dup:a", "\"\" is no message number"),
        ("mute:a,b", "\"b\" is no message number"),
        ("clock:5,soon", "\"soon\" is no number of milliseconds"),
        ("new-session:5", "\"\" is no session name"),
        ("new-session:5,NIGHT,x", "\"x\" is no word"),
        ("malformed:0", "\"0\" is no number of messages"),
    ];
    for (text, want) in table {
        let got = text.parse::<Fault>().expect_err(text).to_string();
        assert!(got.contains(want), "case {text}: {got}");
    }
}

#[test]
fn cut_lists_come_from_files_too() {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), "10, 20\n30\n").expect("a written file");
    let fault: Fault = format!("cut-list={}", file.path().display()).parse().expect("a list");
    assert_eq!(fault, Fault::Tcp(TcpFault::Cuts { at: vec![10, 20, 30], reset: false }));
}

fn plan(texts: &[&str]) -> Plan {
    let faults: Vec<Fault> = texts.iter().map(|text| text.parse().expect("a fault")).collect();
    Plan::new(faults.iter().filter_map(|fault| if let Fault::Tcp(fault) = fault { Some(fault) } else { None }))
}

/// Pieces of one write of `ready` bytes, up to and with a cut.
fn pieces(script: &mut Script, mut ready: usize) -> Vec<Piece> {
    let mut pieces = Vec::new();
    while ready > 0 {
        let piece = script.next_piece(ready);
        pieces.push(piece);
        match piece {
            Piece::Write(bytes) => ready -= bytes,
            Piece::Cut { .. } => break,
        }
    }
    pieces
}

#[test]
fn a_cut_counts_from_the_login_acceptance() {
    let plan = plan(&["cut@5"]);
    let mut script = plan.accepted();
    assert_eq!(pieces(&mut script, 33), [Piece::Write(33)], "the acceptance does not count");
    script.start_counting();
    assert_eq!(pieces(&mut script, 3), [Piece::Write(3)]);
    assert_eq!(script.is_cut_due(), None);
    assert_eq!(pieces(&mut script, 9), [Piece::Write(2), Piece::Cut { reset: false }]);
    assert_eq!(script.is_cut_due(), Some(Cut { at: 5, reset: false }));
    assert_eq!(plan.accepted().cut(), None, "a cut happens once");
}

#[test]
fn each_login_uses_up_the_next_cut() {
    let plan = plan(&["cut-list=1,0", "rst@2"]);
    for want in [Some((1, false)), Some((0, false)), Some((2, true)), None] {
        assert_eq!(plan.accepted().cut().map(|cut| (cut.at, cut.reset)), want);
    }
}

#[test]
fn pieces_are_at_most_a_chunk() {
    let mut script = plan(&["chunk=4", "cut@6"]).accepted();
    script.start_counting();
    assert_eq!(pieces(&mut script, 10), [Piece::Write(4), Piece::Write(2), Piece::Cut { reset: false }]);
    let mut script = plan(&["chunk=4", "one-byte"]).stranger();
    assert_eq!(pieces(&mut script, 3), [Piece::Write(1); 3]);
}

#[test]
fn logins_are_ignored_then_rejected_then_judged() {
    let plan = plan(&["reject=A,1", "no-login-answer,1", "reject=S,1"]);
    let fates: [LoginFate; 4] = std::array::from_fn(|_| plan.login());
    assert_eq!(fates, [LoginFate::Ignore, LoginFate::Reject(b'A'), LoginFate::Reject(b'S'), LoginFate::Judge]);
    assert_eq!(plan.played(), 3);
}

#[test]
fn only_one_connection_falls_silent() {
    let plan = plan(&["silence@4"]);
    assert_eq!(plan.silence_after(), Some(4));
    assert!(plan.fall_silent());
    assert!(!plan.fall_silent());
    assert_eq!((plan.silence_after(), plan.played()), (None, 1));
}

/// Every name of the tables is understood, with and without what may be left out.
#[test]
fn faults_of_the_tables_are_known_by_their_names() {
    let table: &[(&str, &str)] = &[
        ("cut-in:7,3", "cut"),
        ("rst-in:7,3", "cut"),
        ("rst-length:7", "cut"),
        ("coalesce:65536", "coalesce"),
        ("refuse", "refuse"),
        ("refuse:3", "refuse"),
        ("login-pieces", "accept"),
        ("login-garbage:1", "accept"),
        ("wrong-session:1", "accept"),
        ("skip:100", "accept"),
        ("rewind:200,2", "accept"),
        ("mute", "mute"),
        ("garbage:5", "insert"),
        ("garbage:5,100", "insert"),
        ("zero-length:5", "insert"),
        ("huge-length:5", "insert"),
        ("debug-flood:5", "insert"),
        ("unsequenced-flood:5,10", "insert"),
        ("unknown-packet:5", "insert"),
        ("drop:ab,12.5%", "drop"),
        ("drop:a,25%,7", "drop"),
        ("drop:b,1,3-5,9", "drop"),
        ("dup:ab,500", "dup"),
        ("dup:a,500,20", "dup"),
        ("swap:a,100", "swap"),
        ("swap:a,100,4", "swap"),
        ("delay:b,30000", "delay"),
        ("mute:r", "mute"),
        ("mute:all", "mute"),
        ("mute:b,500", "mute"),
        ("kill:b", "kill"),
        ("stray:a,100", "stray"),
        ("noise:b,100", "noise"),
        ("off-range:5000", "off-range"),
        ("off-range:5000,2", "off-range"),
        ("malformed:100", "malformed"),
        ("unknown:100", "unknown"),
        ("clock:100,-3600000", "clock"),
        ("burst:100,50000", "burst"),
        ("new-session:100,NIGHT", "new-session"),
        ("new-session:100,NIGHT,end", "new-session"),
    ];
    for (text, name) in table {
        let fault: Fault = text.parse().expect(text);
        assert_eq!(fault.name(), *name, "case: {text}");
        let known = match fault {
            Fault::Tcp(_) => Plan::new([]).clear(name),
            Fault::Line(_) => LinePlan::default().clear(name),
            Fault::Flow(_) => FlowPlan::default().clear(name),
        };
        assert!(known || *name == "kill", "case {text}: {name} cannot be cleared");
    }
}

#[test]
fn a_share_of_a_line_is_that_share_and_its_own() {
    let plan = |text: &str| match text.parse().expect(text) {
        Fault::Line(fault) => LinePlan::new([&fault]),
        other => panic!("{other:?}"),
    };
    let lost = |plan: &LinePlan, line| {
        let numbers = (1..=100_000u64).filter(|number| plan.fate(line, *number, *number, *number).dropped);
        numbers.collect::<Vec<_>>()
    };
    let both = plan("drop:ab,25%,7");
    let (a, b) = (lost(&both, 0), lost(&both, 1));
    assert!(a.len().abs_diff(25_000) < 600, "{} of 100,000", a.len());
    assert_eq!(a, b, "the same ones on both lines");
    let other = lost(&plan("drop:b,25%,8"), 1);
    let shared = other.iter().filter(|number| a.binary_search(number).is_ok()).count();
    assert!(shared.abs_diff(6_250) < 600, "{shared} shared by two seeds");
}

#[test]
fn clearing_takes_back_one_kind_or_all() {
    let faults = ["chunk:3", "mute", "reject:A", "refuse", "garbage:5", "skip:9"];
    let plan = plan(&faults);
    assert!(plan.is_mute() && plan.clear("mute") && !plan.is_mute());
    assert!(!plan.clear("nothing"));
    assert_eq!(plan.login(), LoginFate::Reject(b'A'));
    assert!(plan.clear("all"));
    assert_eq!((plan.login(), plan.acceptance(), plan.refuses()), (LoginFate::Judge, Acceptance::Plain, false));
    assert_eq!((plan.chunk(), plan.next_stop(1), plan.inserted(5)), (usize::MAX, None, None));
}

proptest! {
    /// A script is text from outside: it is a fault or an error, and what is a fault has a name that clears it.
    #[test]
    fn any_text_is_a_fault_or_an_error(
        name in prop::sample::select(vec![
            "cut", "rst-list", "cut-in", "chunk", "coalesce", "reject", "skip", "garbage", "debug-flood", "drop", "dup",
            "swap", "delay", "mute", "kill", "stray", "off-range", "malformed", "clock", "burst", "new-session", "",
        ]),
        rest in "[:@=,]?[abr0-9%,:x-]{0,24}",
    ) {
        if let Ok(fault) = format!("{name}{rest}").parse::<Fault>() {
            match &fault {
                Fault::Tcp(tcp) => Plan::new([tcp]).clear(fault.name()),
                Fault::Line(line) => {
                    let plan = LinePlan::new([line]);
                    plan.fate(0, 1, 1, u64::MAX - 1);
                    plan.answer(1, u64::MAX);
                    plan.clear(fault.name())
                }
                Fault::Flow(flow) => {
                    let plan = FlowPlan::new([flow]);
                    plan.pass(u64::MAX, Clock::Nanoseconds, &mut []);
                    plan.pass(5, Clock::Seconds, &mut b"T\0\0\0\xff".to_vec());
                    plan.clear(fault.name())
                }
            };
        }
    }
}
