//! The program `bench` with tiny sizes: its output is complete. Speeds are never asserted here.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

fn bench(arguments: &[&str], json: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bench"));
    let output = command.args(arguments).args(["--judge-rounds", "1000", "--pairs", "2", "--json"]).arg(json).output();
    output.expect("the program starts")
}

/// Two roles run at a time, so one core is not enough for any of this.
fn has_two_cores() -> bool {
    let cores = bench::sys::allowed_cores().unwrap_or_default();
    let enough = cores.contains(&0) && cores.contains(&1);
    if !enough {
        // Not by a macro: the runner hides what passing tests print with one, and a skip must be seen: whole, in one write.
        let _ = std::io::stderr()
            .write_all(format!("\nSKIPPED (cores 0 and 1 are needed, {cores:?} are allowed)\n").as_bytes());
    }
    enough
}

/// Runs the program and returns its text and its one section.
fn run(arguments: &[&str]) -> (String, Value) {
    let folder = tempfile::tempdir().expect("a folder");
    let json = folder.path().join("results.json");
    let output = bench(arguments, &json);
    let (text, errors) =
        (String::from_utf8(output.stdout).expect("text"), String::from_utf8(output.stderr).expect("text"));
    assert!(output.status.success(), "{arguments:?}: {}\n{errors}\n{text}", output.status);
    let report: Value = serde_json::from_slice(&std::fs::read(json).expect("results")).expect("JSON");
    assert_eq!(report["schema"], bench::report::SCHEMA);
    for part in ["host  ", "roles ", "floor ", "verdicts"] {
        assert!(text.contains(part), "no {part:?} in:\n{text}");
    }
    for goal in report["sections"][0]["goals"].as_array().into_iter().flatten() {
        let (promise, verdict) = (goal["promise"].as_str().expect("text"), goal["verdict"].as_str().expect("text"));
        assert!(text.contains(promise), "no {promise:?} in:\n{text}");
        assert!(verdict == "PASS" || verdict == "MISSED" || verdict.starts_with("none ("), "{promise}: {verdict}");
        if cfg!(debug_assertions) {
            assert!(verdict.starts_with("none ("), "no verdict without optimisation: {promise}: {verdict}");
        }
    }
    (text, report["sections"][0].clone())
}

fn names(section: &Value, rows: &str) -> Vec<String> {
    let rows = section[rows].as_array().expect("a list");
    rows.iter().map(|row| row["name"].as_str().expect("a name").to_owned()).collect()
}

#[test]
fn ring_reports_every_row() {
    if !has_two_cores() {
        return;
    }
    let (_, section) = run(&["ring", "--rounds", "500", "--messages", "20000"]);
    let peers = if cfg!(feature = "peers") { 2 } else { 0 };
    assert_eq!(names(&section, "latencies").len(), 3 + peers);
    for row in section["latencies"].as_array().unwrap() {
        assert_eq!(row["p50_by_pair"].as_array().unwrap().len(), 2, "{row}");
        assert_eq!(row["ns"]["n"], 2 * 450, "the first tenth does not count: {row}");
    }
    assert_eq!(names(&section, "amounts").len(), 8);
    assert_eq!(section["goals"].as_array().unwrap().len(), 6);
}

#[test]
fn itch_reports_every_row() {
    if !has_two_cores() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let work_dir = folder.path().to_str().unwrap();
    let (text, section) = run(&["itch", "--messages", "20000", "--symbols", "100", "--work-dir", work_dir, "--clean"]);
    assert_eq!(names(&section, "amounts").len(), 15);
    assert_eq!(section["goals"].as_array().unwrap().len(), 7);
    assert!(text.contains("messages by type: add ") && text.contains("end state, equal in all runs: "), "{text}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "--clean leaves nothing");
}

#[test]
fn wire_without_an_engine_says_so() {
    if !has_two_cores() {
        return;
    }
    let (text, section) = run(&["wire", "--messages", "300", "--self-test"]);
    assert_eq!(names(&section, "latencies").len(), 3, "echo, ring, bare loop");
    assert!(text.contains("verdict: none (--self-test)"), "{text}");
}

#[test]
fn udp_without_an_engine_counts_every_datagram_and_says_so() {
    if !has_two_cores() {
        return;
    }
    let (text, section) = run(&["udp", "--seconds", "0.05", "--datagrams", "3000", "--self-test"]);
    let ring = bench::udp::receivers::multishot_refusal().is_none();
    let amounts = section["amounts"].as_array().unwrap();
    assert_eq!(amounts.len(), 4 * if ring { 3 } else { 2 }, "four rows for each receiver: {text}");
    for row in amounts.iter().filter(|row| row["name"].as_str().unwrap().contains("received: ")) {
        assert!(row["spread"]["min"].as_f64().unwrap() > 0.0, "{row}");
    }
    assert_eq!(section["goals"].as_array().unwrap().len(), 4);
    assert!(text.contains("verdict: none (--self-test)"), "{text}");
}

#[test]
fn wake_without_an_engine_says_so() {
    if !has_two_cores() {
        return;
    }
    let (text, section) = run(&["wake", "--messages", "200", "--self-test"]);
    assert_eq!(names(&section, "latencies").len(), 3, "bare loops over UDP, without stamps and with, and one over TCP");
    for row in section["latencies"].as_array().unwrap() {
        assert_eq!(row["ns"]["n"], 2 * 180, "the first tenth does not count: {row}");
    }
    assert!(text.contains("verdict: none (--self-test)"), "{text}");
}

/// Needs the real engine beside the bench, or in `TICKLANE_BIN_DIR`, as `make test` has it.
#[test]
fn udp_wake_and_lanes_go_through_the_real_engine() {
    let Some(engine) = program("ticklane-engine") else { return };
    if !has_two_cores() {
        return;
    }
    let (text, section) = run(&["udp", "--seconds", "0.05", "--datagrams", "3000", "--engine", &engine]);
    let amounts = names(&section, "amounts");
    assert!(amounts.iter().filter(|name| name.contains("the engine")).count() == 4, "{text}");
    let (text, section) = run(&["wake", "--messages", "200", "--engine", &engine]);
    assert_eq!(names(&section, "latencies").len(), 5, "{text}");
    let (text, section) = run(&["lanes", "--messages", "200", "--share-cores", "--engine", &engine]);
    assert_eq!(names(&section, "latencies").len(), 2, "{text}");
    let flood = section["amounts"].as_array().unwrap().iter().find(|row| row["unit"] == "M/s").unwrap();
    assert!(flood["spread"]["min"].as_f64().unwrap() > 0.0, "the other lane was flooded: {text}");
    let enough = bench::sys::allowed_cores().unwrap().len() >= 4;
    assert_eq!(!enough, text.contains("NOT JUDGED: 4 roles need a core each"), "{text}");
}

#[test]
fn fanout_without_a_gateway_says_so() {
    if !has_two_cores() {
        return;
    }
    let tiny = ["fanout", "--gateway", "/nonexistent", "--seconds", "0.2", "--subscribers", "4"];
    let (text, section) = run(&[&tiny[..], &["--scenario", "100x1000", "--scenario", "idle"]].concat());
    let servers = if cfg!(feature = "peers") { 3 } else { 1 };
    assert_eq!(names(&section, "latencies").len(), 4 + 2 * servers, "two echoes, wake-up, lateness; two scenarios");
    for row in section["latencies"].as_array().unwrap() {
        assert!(row["ns"]["n"].as_u64().unwrap() > 0, "{row}");
    }
    for row in section["amounts"].as_array().unwrap() {
        let name = row["name"].as_str().unwrap();
        assert!(!name.contains("never told of") && !name.contains("last value"), "four readers keep up: {row}");
    }
    assert!(text.contains("verdict: none (no gateway at /nonexistent"), "{text}");
}

/// Path of one of our programs, beside the bench or in `TICKLANE_BIN_DIR`; a missing one is told.
fn program(name: &str) -> Option<String> {
    let folder = std::env::var_os("TICKLANE_BIN_DIR").map_or_else(
        || Path::new(env!("CARGO_BIN_EXE_bench")).parent().expect("a folder").to_owned(),
        std::path::PathBuf::from,
    );
    let path = folder.join(name);
    if !path.exists() {
        let _ = std::io::stderr().write_all(format!("\nSKIPPED (no {})\n", path.display()).as_bytes());
        return None;
    }
    Some(path.to_str().expect("a path of text").to_owned())
}

/// Needs the real gateway beside the bench, or in `TICKLANE_BIN_DIR`, as `make test` has it.
#[test]
fn fanout_goes_through_the_real_gateway() {
    let Some(gateway) = program("ticklane-gateway") else { return };
    if !has_two_cores() {
        return;
    }
    let (text, section) =
        run(&["fanout", "--gateway", &gateway, "--seconds", "0.2", "--subscribers", "4", "--against", "floor"]);
    // Of eight scenarios six have both ways to wait, and one has runs with and without its laggard. What a slow reader
    // gets in so short a time is left to chance.
    let ours = section["latencies"].as_array().unwrap().iter().filter(|row| row["kind"] == "ours");
    let ours = ours.filter(|row| !row["name"].as_str().unwrap().ends_with("the slow one")).count();
    assert_eq!(ours, 6 * 2 + 2 + 1, "{text}");
    let goals = section["goals"].as_array().unwrap();
    assert_eq!(goals.len(), 7);
    let last = goals.iter().find(|goal| goal["promise"].as_str().unwrap().contains("last value")).unwrap();
    assert_eq!(last["seen"]["max"], 0.0, "{text}");
    assert!(text.contains("verdict: none (--subscribers 4)"), "{text}");
}

#[test]
fn settings_that_cannot_be_measured_with_are_refused() {
    if !has_two_cores() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for (arguments, want) in [
        (&["ring", "--messages", "1"][..], "--messages is 1"),
        (&["ring", "--cores", "0,0"], "--cores is 0,0"),
        (&["udp", "--window", "40"], "--window is 40"),
        (&["fanout", "--seconds", "0.01"], "--seconds, in ms is 10"),
        (&["itch", "--symbols", "0", "--messages", "20000"], "symbols is 0"),
    ] {
        let json = folder.path().join("none.json");
        let mut arguments = arguments.to_vec();
        let work_dir = folder.path().to_str().unwrap();
        if arguments[0] == "itch" {
            arguments.extend(["--work-dir", work_dir]);
        }
        let output = bench(&arguments, &json);
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {errors}");
        assert!(errors.contains(want), "{arguments:?}: {errors}");
        assert!(!json.exists());
    }
}
