//! The program itself: its line on stdout, its exit codes, its reaction to signals.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Output, Stdio};

use wire::soupbin::field::{Password, SessionId, Username};
use wire::soupbin::frame;

fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ticklane-venue"));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn run(arguments: &[&str]) -> Output {
    program(arguments).output().expect("the program runs")
}

/// A running venue that dies with the test.
struct Venue {
    child: Child,
    address: String,
}

impl Venue {
    fn start(arguments: &[&str]) -> Self {
        let mut child = program(&["serve", "--listen", "127.0.0.1:0"]).args(arguments).spawn().expect("a venue");
        let mut line = String::new();
        let stdout = child.stdout.as_mut().expect("a pipe");
        BufReader::new(stdout).read_line(&mut line).expect("a line");
        let words: Vec<&str> = line.split_whitespace().collect();
        assert!(matches!(words[..], ["listening", _, "session", "DAY1"]), "line {line:?}");
        let address = words[1].to_owned();
        Self { child, address }
    }

    fn signal(mut self, name: &str) -> (Option<i32>, String) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([name, &id]).status().expect("kill runs").success());
        let status = self.child.wait().expect("an exit status");
        let mut stderr = String::new();
        self.child.stderr.as_mut().expect("a pipe").read_to_string(&mut stderr).expect("text");
        (status.code(), stderr)
    }
}

impl Drop for Venue {
    fn drop(&mut self) {
        // Both fail when the venue is gone already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[test]
fn generates_a_file_and_serves_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("day.itch");
    let path = path.to_str().expect("a text path");
    let output = run(&["generate", "--out", path, "--messages", "20000", "--profile", "bench_mix", "--seed", "7"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let file = std::fs::read(path).expect("the file");
    let all: Vec<&[u8]> = wire::itchfile::Messages::new(&file).map(|found| found.expect("a message").1).collect();
    assert_eq!(all.len(), 20_000);

    let venue = Venue::start(&["--file", path, "--speed", "max", "--session", "DAY1", "--fault", "chunk=1000"]);
    let mut stream = TcpStream::connect(&venue.address).expect("a connection");
    let (username, password) = (Username::new("u").expect("a user"), Password::new("p").expect("a password"));
    let request = frame::login_request(&username, &password, &SessionId::BLANK, 1);
    stream.write_all(&request).expect("a login");
    let mut got = Vec::new();
    stream.read_to_end(&mut got).expect("the whole session");
    let mut want = frame::login_accepted(&SessionId::new("DAY1").expect("a session"), 1).to_vec();
    for message in all {
        frame::append(&mut want, b'S', message).expect("a packet");
    }
    want.extend_from_slice(&frame::END_OF_SESSION);
    assert!(got == want, "{} bytes instead of {}", got.len(), want.len());
    let (code, stderr) = venue.signal("-TERM");
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stderr.contains("messages=20000 ") && stderr.contains(" logins=1 "), "{stderr}");
}

#[test]
fn stops_on_interrupt() {
    let venue = Venue::start(&["--session", "DAY1", "--live-clock", "--start", "now"]);
    let (code, stderr) = venue.signal("-INT");
    assert_eq!(code, Some(0), "{stderr}");
}

#[test]
fn wrong_usage_exits_with_two_and_says_why() {
    let venue = Venue::start(&["--session", "DAY1"]);
    let cut = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(cut.path(), b"\0\x0cS\0").expect("a written file");
    let cut_path = cut.path().to_str().expect("a text path");
    let table: &[(&str, &[&str], &str)] = &[
        ("port in use", &["serve", "--listen", &venue.address], "give another address with --listen"),
        ("no file", &["serve", "--file", "/nowhere/day.itch"], "cannot open /nowhere/day.itch"),
        ("cut file", &["serve", "--file", cut_path], "is cut in mid-message: message 1 at offset 0 needs 14 bytes"),
        ("bad fault", &["serve", "--fault", "explode"], "unknown fault \"explode\""),
        ("bad speed", &["serve", "--speed", "fast"], "neither a factor above 0"),
        ("long session", &["serve", "--session", "ELEVENCHARS"], "--session"),
        ("bad market", &["serve", "--symbols", "0"], "symbols is 0; it must be 1 to 20000"),
        ("endless file", &["generate", "--out", "/nowhere/x"], "--messages"),
        ("no directory", &["generate", "--out", "/nowhere/x", "--messages", "5"], "cannot write /nowhere/x"),
        ("unknown option", &["serve", "--hurry"], "--hurry"),
    ];
    for (name, arguments, want) in table {
        let output = run(arguments);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "case {name}: {stderr}");
        assert!(stderr.contains(want), "case {name}: {stderr}");
        assert!(output.stdout.is_empty(), "case {name}: stdout is for the listening line");
    }
}
