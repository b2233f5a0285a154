//! `ticklane-venue feeds`: several feeds in one program, commands while they run, the report at the end.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use wire::soupbin::field::{Password, SessionId, Username};
use wire::soupbin::frame::{self, kind};

/// A test that waits this long for anything is broken.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running program that dies with the test.
struct Program {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    /// Lines before `ready`.
    announced: Vec<String>,
}

impl Program {
    fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_ticklane-venue"))
            .arg("feeds")
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a program");
        let stdin = child.stdin.take();
        let stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut program = Self { child, stdin, stdout, announced: Vec::new() };
        loop {
            match program.line() {
                line if line == "ready" => return program,
                line => program.announced.push(line),
            }
        }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        assert!(self.stdout.read_line(&mut line).expect("a line") > 0, "the program has ended");
        line.trim_end().to_owned()
    }

    /// The address of a feed's part.
    fn address(&self, feed: &str, part: &str) -> String {
        let wanted = |line: &&String| {
            let words: Vec<&str> = line.split(' ').collect();
            matches!(words[..], [_, _, "feed", name, _, of] if name == feed && of == part)
        };
        let line =
            self.announced.iter().find(wanted).unwrap_or_else(|| panic!("no {feed} {part}: {:?}", self.announced));
        line.split(' ').nth(1).expect("an address").to_owned()
    }

    fn command(&mut self, line: &str) -> String {
        writeln!(self.stdin.as_mut().expect("a pipe"), "{line}").expect("a command");
        self.line()
    }

    /// The last report, after `stop`.
    fn stop(mut self) -> Value {
        assert_eq!(self.command("stop"), "ok");
        let report = self.line();
        assert_eq!(self.child.wait().expect("an exit status").code(), Some(0));
        serde_json::from_str(&report).expect("a line of JSON")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Both fail when the program is gone already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Session name, and all sequenced messages up to the end of the session.
fn whole_session(address: &str) -> (String, Vec<Vec<u8>>) {
    let mut stream = TcpStream::connect(address).expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let (user, password) = (Username::new("u").expect("a user"), Password::new("p").expect("a password"));
    stream.write_all(&frame::login_request(&user, &password, &SessionId::BLANK, 1)).expect("a login");
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).expect("the whole session");
    let (mut rest, mut name, mut messages) = (&bytes[..], String::new(), Vec::new());
    while let Some(packet) = frame::next_packet(rest).expect("a sound stream") {
        match packet.kind {
            kind::LOGIN_ACCEPTED => {
                let (session, next) = frame::parse_login_accepted(packet.payload).expect("an acceptance");
                assert_eq!(next, 1);
                name = String::from_utf8_lossy(session.as_bytes()).into_owned();
            }
            kind::SEQUENCED => messages.push(packet.payload.to_vec()),
            kind::END_OF_SESSION => return (name, messages),
            _ => {}
        }
        rest = &rest[packet.consumed..];
    }
    panic!("the session has no end");
}

#[test]
fn the_three_client_types_are_served_at_once() {
    let program = Program::start(&[
        "--feed=marketfeed:soupbintcp,source=dse-marketfeed",
        "--feed=index:soupbintcp,source=dse-index,session=DSEIDX",
        "--feed=news:soupbintcp,source=dse-news",
        "--speed=max",
        "--messages=20000",
        "--instruments=50",
        "--news-per-hour=36000",
        "--edition=mixed",
        "--control=stdin",
    ]);
    assert_eq!(program.announced.len(), 3, "{:?}", program.announced);
    let table = [
        ("marketfeed", "MARKETFE01", "TSLMPRHAECBDUIQ", "ZN"),
        ("index", "DSEIDX", "TSLMPRHZ", "AN"),
        ("news", "NEWS01", "TSLMPRHN", "AZ"),
    ];
    for (feed, session, letters, others) in table {
        let (name, messages) = whole_session(&program.address(feed, "tcp"));
        assert_eq!(name, session);
        let count = |letter: u8| messages.iter().filter(|message| message[0] == letter).count();
        assert!(letters.bytes().all(|letter| count(letter) > 0), "feed {feed} lacks one of {letters}");
        assert!(others.bytes().all(|letter| count(letter) == 0), "feed {feed} has one of {others}");
        assert!(messages.iter().all(|message| wire::dialect::DSE.view(message).is_ok()));
        let directory = messages.iter().filter(|message| message[0] == b'R');
        assert!(directory.clone().all(|message| message.len() == 163));
        assert_eq!(directory.count(), 53);
    }
    let report = program.stop();
    let feeds = report["feeds"].as_array().expect("feeds");
    assert_eq!(feeds.len(), 3);
    assert!(feeds.iter().all(|feed| feed["logins"] == 1 && feed["protocol"] == "soupbintcp"), "{report}");
}

#[test]
fn a_line_is_muted_by_a_command_and_the_report_says_what_it_lost() {
    let socket = || {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        socket
    };
    let (a, b) = (socket(), socket());
    let address = |socket: &UdpSocket| socket.local_addr().expect("an address");
    let feed = format!(
        "nq:moldudp64,a={},b={},rerequest=127.0.0.1:0,glimpse=127.0.0.1:0,packet-messages=1,max-rate=20000,heartbeat-ms=20",
        address(&a),
        address(&b)
    );
    let mut program = Program::start(&[
        "--feed",
        &feed,
        "--feed=tcp:soupbintcp",
        "--speed=max",
        "--messages=1000",
        "--symbols=5",
        "--start=command",
        "--at-end=hold",
        "--fault=nq/drop:a,10-19",
        "--fault=one-byte",
        "--control=stdin",
    ]);
    assert_eq!(program.announced.len(), 5, "{:?}", program.announced);
    assert!(
        program
            .announced
            .iter()
            .any(|line| line.starts_with("sending ") && line.ends_with(" feed nq moldudp64 line-b"))
    );
    let table = [
        ("fault nq/mute:b", "ok"),
        ("fault drop:ab,500", "ok"),
        ("fault tcp/drop:a,5", "error fault drop is not for a SoupBinTCP feed; give it to a MoldUDP64 feed"),
        ("fault other/mute:b", "error no feed is called \"other\"; there are nq, tcp"),
        ("fault explode", "error unknown fault \"explode\""),
        ("clear explode", "error no kind of faults is called \"explode\""),
        ("dance", "error unknown command \"dance\"; use fault, clear, start, report or stop"),
        ("start nq", "ok"),
    ];
    for (line, want) in table {
        let got = program.command(line);
        assert!(got.starts_with(want), "{line}: {got}");
    }
    let mut bytes = [0; 2_048];
    let sequence = |bytes: &[u8]| u64::from_be_bytes(bytes[10..18].try_into().expect("eight bytes"));
    let mut got = Vec::new();
    loop {
        let len = a.recv(&mut bytes).expect("a datagram");
        match (sequence(&bytes), len) {
            (1_001, 20) => break,
            (_, 20) => {}
            (number, _) => got.push(number),
        }
    }
    assert_eq!(got.len(), 989);
    assert!(!got.iter().any(|number| (10..20).contains(number) || *number == 500));
    assert_eq!(program.command("clear nq/mute"), "ok");
    // The line lives again: its next datagram is a heartbeat behind the last message.
    loop {
        let len = b.recv(&mut bytes).expect("a heartbeat");
        if (sequence(&bytes), len) == (1_001, 20) {
            break;
        }
        assert_eq!(len, 20, "a muted line carries message {}", sequence(&bytes));
    }
    let running: Value = serde_json::from_str(&program.command("report")).expect("JSON");
    assert_eq!(running["feeds"][0]["messages"], 1_000);
    let report = program.stop();
    let feed = &report["feeds"][0];
    assert_eq!((&feed["feed"], &feed["protocol"]), (&"nq".into(), &"moldudp64".into()));
    assert_eq!(feed["lines"][0]["dropped"]["ranges"], serde_json::json!([[10, 19], [500, 500]]));
    assert_eq!(feed["lines"][1]["muted"]["ranges"], serde_json::json!([[1, 1_000]]));
    assert_eq!(feed["dropped_on_all_lines"]["ranges"], serde_json::json!([[10, 19], [500, 500]]));
    assert_eq!(feed["dropped_on_all_lines"]["messages"], 11);
}

#[test]
fn commands_come_by_a_port_too() {
    let mut program = Program::start(&["--feed=x:soupbintcp", "--control=127.0.0.1:0"]);
    let line = program.announced.iter().find(|line| line.ends_with(" control")).expect("a control port");
    let stream = TcpStream::connect(line.split(' ').nth(1).expect("an address")).expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let mut lines = BufReader::new(&stream);
    for (command, want) in [("fault refuse:1", "ok"), ("clear all", "ok"), ("stop", "ok")] {
        writeln!(&stream, "{command}").expect("a command");
        let mut answer = String::new();
        lines.read_line(&mut answer).expect("an answer");
        assert_eq!(answer.trim_end(), want, "{command}");
    }
    assert!(program.line().starts_with("{\"feeds\":["));
    assert_eq!(program.child.wait().expect("an exit status").code(), Some(0));
}

#[test]
fn wrong_usage_exits_with_two_and_says_why() {
    let table: &[(&[&str], &str)] = &[
        (&[], "--feed"),
        (&["--feed=x:moldudp64"], "needs a=ADDRESS"),
        (&["--feed=x:soupbintcp", "--feed=x:soupbintcp"], "two feeds are called \"x\""),
        (&["--feed=x:soupbintcp,source=/nowhere/day.itch"], "cannot open /nowhere/day.itch"),
        (&["--feed=x:soupbintcp", "--fault=y/mute"], "no feed is called \"y\""),
        (&["--feed=x:soupbintcp", "--fault=x/drop:a,5"], "fault drop is not for a SoupBinTCP feed"),
        (&["--feed=x:soupbintcp", "--control=here"], "neither stdin nor an address"),
        (&["--feed=x:soupbintcp,source=dse-news", "--instruments=5"], "instruments is 5"),
    ];
    for (arguments, want) in table {
        let output = Command::new(env!("CARGO_BIN_EXE_ticklane-venue"))
            .arg("feeds")
            .args(*arguments)
            .stdin(Stdio::null())
            .output()
            .expect("the program runs");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {stderr}");
        assert!(stderr.contains(want), "{arguments:?}: {stderr}");
    }
}
