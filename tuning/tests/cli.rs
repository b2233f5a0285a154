//! The program as its users meet it: arguments, exit codes, pipes, signals, children.
#![allow(clippy::unwrap_used, reason = "a test may")]

#[path = "../src/test_lane.rs"]
#[allow(dead_code, reason = "shared with the unit tests, which use more of it")]
mod test_lane;

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use test_lane::TestLane;
use ticklane_client::Instrument;

/// Longest wait for something that must come.
const PATIENCE: Duration = Duration::from_secs(20);

fn ticklane(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ticklane"));
    command.args(words).env_remove("TICKLANE_DIR").env_remove("TICKLANE_BIN_DIR").stdin(Stdio::null());
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn run(command: &mut Command) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    (status.code(), text(&stdout), text(&stderr))
}

/// A program that runs while the test goes on; killed when dropped.
struct Running {
    child: Child,
    lines: Receiver<String>,
}

impl Running {
    fn start(command: &mut Command) -> Running {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (sender, lines) = channel();
        let out = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || out.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Running { child, lines }
    }

    fn line(&self) -> String {
        self.lines.recv_timeout(PATIENCE).expect("a line")
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    }

    fn end(&mut self) -> (Option<i32>, String) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                let mut stderr = String::new();
                self.child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
                return (status.code(), stderr);
            }
            assert!(Instant::now() < deadline, "it did not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn no_lane_is_an_error_that_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().to_str().unwrap();
    for words in [["stat", "--dir", place].as_slice(), &["tail", "AAPL", "--dir", place]] {
        let (code, out, err) = run(&mut ticklane(words));
        assert_eq!((code, out.as_str()), (Some(1), ""), "{err}");
        assert!(err.contains(place) && err.contains("ticklane up"), "{err}");
    }
    assert_eq!(run(&mut ticklane(&["tail"])).0, Some(2), "usage errors have a code of their own");
}

#[test]
fn stat_shows_a_lane_once() {
    let mut lane = TestLane::new();
    lane.count_messages(3, 3, 0, 0);
    let place = lane.dir.path().to_str().unwrap().to_string();
    let (code, out, err) = run(&mut ticklane(&["stat", "--dir", &place, "--interval", "50"]));
    assert_eq!(code, Some(0), "{err}");
    assert!(out.starts_with("lane0  live") && out.contains("published 3"), "{out}");
    let (code, out, _) = run(&mut ticklane(&["stat", "--dir", &place, "--interval", "50", "--count", "2", "--json"]));
    assert_eq!((code, out.lines().count()), (Some(0), 2));
    for line in out.lines() {
        let sample: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(sample["lanes"][0]["counters"]["published"], 3);
    }
}

#[test]
fn tail_follows_across_a_restart_and_ends_on_a_signal() {
    let mut lane = TestLane::new();
    lane.quotes(2);
    let place = lane.dir.path().to_str().unwrap().to_string();
    let words = ["tail", "--all", "--dir", &place, "--json", "--from", "oldest"];
    let mut tail = Running::start(&mut ticklane(&words));
    let event = || serde_json::from_str::<serde_json::Value>(&tail.line()).unwrap();
    let first = event();
    assert_eq!((&first["n"], &first["symbol"], &first["price"]), (&0.into(), &"AAPL".into(), &"100.0000".into()));
    assert_eq!(event()["n"], 1);
    let old = first["epoch"].clone();
    lane.restart();
    lane.writer.add_instrument(&Instrument::equity(9, b"MSFT", b"XNAS")).unwrap();
    lane.quotes_of(9, 1);
    let mut restarted = event();
    if restarted["kind"] == "writer_silent" {
        restarted = event();
    }
    assert_eq!((&restarted["kind"], &restarted["old_epoch"], &restarted["epoch"]), (&"restarted".into(), &old, &old));
    let next = event();
    assert_eq!((&next["n"], &next["epoch"]), (&0.into(), &restarted["new_epoch"]));
    assert_eq!(next["symbol"], "MSFT", "the directory is the new engine's");
    tail.signal("INT");
    assert_eq!(tail.end(), (Some(0), String::new()));
}

#[test]
fn tail_counts_and_refuses_unknown_symbols() {
    let mut lane = TestLane::new();
    lane.quotes(5);
    let place = lane.dir.path().to_str().unwrap().to_string();
    let words = ["tail", "--all", "--dir", &place, "--from", "oldest", "--count", "3"];
    let (code, out, err) = run(&mut ticklane(&words));
    assert_eq!((code, out.lines().count()), (Some(0), 3), "{err}");
    assert!(out.lines().all(|line| line.contains(" AAPL     quote       side=bid price=100.0000")), "{out}");
    let (code, _, err) = run(&mut ticklane(&["tail", "aapl", "--dir", &place]));
    assert!(code == Some(1) && err.contains("no lane knows aapl"), "{err}");
}

#[test]
fn a_closed_pipe_is_no_failure() {
    let mut lane = TestLane::new();
    lane.quotes(900);
    let place = lane.dir.path().to_str().unwrap().to_string();
    let mut command = ticklane(&["tail", "--all", "--dir", &place, "--from", "oldest"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // The reading end goes before anything is read.
    drop(child.stdout.take());
    let deadline = Instant::now() + PATIENCE;
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        assert!(Instant::now() < deadline, "it did not end");
        lane.quotes(1);
        std::thread::sleep(Duration::from_millis(5));
    };
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert_eq!((status.code(), stderr.as_str()), (Some(0), ""));
}

/// A stand-in for a program, as a shell script.
fn script(dir: &Path, name: &str, body: &str) {
    let path = dir.join(name);
    // Under another name until it is whole: a program that is being written cannot be started.
    let draft = dir.join(format!("{name}.draft"));
    fs::write(&draft, format!("#!/bin/sh\n{body}\n")).unwrap();
    fs::set_permissions(&draft, fs::Permissions::from_mode(0o755)).unwrap();
    fs::rename(draft, path).unwrap();
}

/// `up` with stand-ins: exit code, stdout, stderr, and whether the venue is gone.
fn up(venue: &str, engine: Option<&str>, gateway: Option<&str>, words: &[&str]) -> (Option<i32>, String, bool) {
    let dir = tempfile::tempdir().unwrap();
    let pid_file = dir.path().join("venue.pid");
    script(dir.path(), "ticklane-venue", &format!("echo $$ > {}\n{venue}", pid_file.display()));
    for (name, body) in [("ticklane-engine", engine), ("ticklane-gateway", gateway)] {
        if let Some(body) = body {
            script(dir.path(), name, body);
        }
    }
    let runtime = dir.path().join("run");
    let mut command = ticklane(&["up", "--dir", runtime.to_str().unwrap()]);
    let (code, _, err) = run(command.args(words).env("TICKLANE_BIN_DIR", dir.path()));
    let venue = fs::read_to_string(&pid_file).unwrap_or_default();
    (code, err, venue.trim().is_empty() || !Path::new("/proc").join(venue.trim()).exists())
}

const LISTENING: &str = "echo 'listening 127.0.0.1:9 session X'; exec sleep 60";
const IDLE: &str = "exec sleep 60";

#[test]
fn up_ends_when_a_child_does_and_says_why() {
    let gateway = Some(IDLE);
    let table: &[(&str, &str, Option<&str>, Option<&str>, &[&str])] = &[
        ("no engine program", LISTENING, None, gateway, &["ticklane-engine not found", "TICKLANE_BIN_DIR"]),
        ("no gateway program", LISTENING, gateway, None, &["ticklane-gateway not found", "TICKLANE_BIN_DIR"]),
        (
            "the venue fails",
            "echo 'port taken' >&2; exit 2",
            Some("exit 0"),
            gateway,
            &["venue ended with exit status: 2", "port taken"],
        ),
        (
            "the engine fails",
            LISTENING,
            Some("echo 'memlock too low' >&2; exit 1"),
            gateway,
            &["engine ended with exit status: 1 by itself", "memlock too low"],
        ),
        (
            "the engine never gets ready",
            LISTENING,
            Some("echo 'still thinking' >&2; exec sleep 60"),
            gateway,
            &["engine has no live segment within 1s", "no segment; is the engine running", "still thinking"],
        ),
        (
            "the gateway fails",
            LISTENING,
            Some(IDLE),
            Some("echo 'port in use' >&2; exit 2"),
            &["gateway ended with exit status: 2 by itself", "port in use"],
        ),
    ];
    for (name, venue, engine, gateway, parts) in table {
        let (code, err, venue_gone) = up(venue, *engine, *gateway, &["--ready-seconds", "1"]);
        assert_eq!((code, venue_gone), (Some(1), true), "case {name}: {err}");
        for part in *parts {
            assert!(err.contains(part), "case {name}: no `{part}` in {err}");
        }
    }
}

#[test]
fn up_writes_a_private_config_that_names_the_venue() {
    let dir = tempfile::tempdir().unwrap();
    script(dir.path(), "ticklane-venue", LISTENING);
    // The engine shows what it was given, and ends.
    script(dir.path(), "ticklane-engine", "stat -c %a \"$2\" >&2; cat \"$2\" >&2; exit 7");
    let runtime = dir.path().join("run");
    let mut command = ticklane(&["up", "--no-gateway", "--dir", runtime.to_str().unwrap()]);
    let (code, _, err) = run(command.arg("--bin-dir").arg(dir.path()));
    assert_eq!(code, Some(1));
    for part in ["engine| 600", "engine| addresses = [\"127.0.0.1:9\"]", "engine| wait = \"adaptive\"", "status: 7"] {
        assert!(err.contains(part), "no `{part}` in {err}");
    }
    assert_eq!(fs::metadata(&runtime).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn a_signal_ends_up_and_its_children() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().display();
    script(dir.path(), "ticklane-venue", &format!("echo $$ > {place}/venue.pid; {LISTENING}"));
    script(
        dir.path(),
        "ticklane-engine",
        &format!("echo $$ > {place}/draft; mv {place}/draft {place}/engine.pid; exec sleep 60"),
    );
    // It shows what it was given.
    let told =
        format!("echo $$ > {place}/gateway.pid; echo \"$*\" > {place}/draft2; mv {place}/draft2 {place}/told; {IDLE}");
    script(dir.path(), "ticklane-gateway", &told);
    let runtime = dir.path().join("run");
    let mut command = ticklane(&["up", "--dir", runtime.to_str().unwrap(), "--bin-dir", dir.path().to_str().unwrap()]);
    command.args(["--http", "127.0.0.1:9"]);
    let mut up = Running::start(&mut command);
    let deadline = Instant::now() + PATIENCE;
    while !(dir.path().join("engine.pid").exists() && dir.path().join("told").exists()) {
        assert!(Instant::now() < deadline, "no engine or no gateway");
        std::thread::sleep(Duration::from_millis(5));
    }
    up.signal("TERM");
    let (code, err) = up.end();
    assert!(code == Some(1) && err.contains("stopped before everything was running"), "{code:?} {err}");
    let told = fs::read_to_string(dir.path().join("told")).unwrap();
    assert!(told.starts_with("--runtime-dir ") && told.contains("/run --listen 127.0.0.1:9 "), "{told}");
    assert!(told.trim_end().ends_with("/run/state/journal"), "the gateway reads what the engine records: {told}");
    for name in ["venue.pid", "engine.pid", "gateway.pid"] {
        let pid = fs::read_to_string(dir.path().join(name)).unwrap();
        assert!(!Path::new("/proc").join(pid.trim()).exists(), "{name}");
    }
}
