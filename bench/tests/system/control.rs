//! The command socket of the real engine, over the real socket: who may ask, what is refused, what states show, what lasts
//! over restarts, what a reload changes, and what a tap shows.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use shm_abi::control::{
    AddressChoice, Command as Ask, Definition, DefinitionKind, FeedDefinition, FeedStatus, FeedsPage,
    InstrumentDefinition, InstrumentName, Outcome, Refusal, RefusalCode, Reply, Request, Response, TapEvent, TapSource,
    VERSION, encode, next_frame,
};

use crate::harness::{Dir, Engine, EngineOptions, LIMIT, Process, Venue, data, program, wait_until, write_config};

/// A client of the command socket, byte by byte.
struct Client {
    stream: UnixStream,
    held: Vec<u8>,
}

impl Client {
    fn connect(dir: &Dir) -> Client {
        let path = dir.run().join("control.sock");
        let mut stream = None;
        wait_until("the command socket", || {
            stream = UnixStream::connect(&path).ok();
            stream.is_some()
        });
        let stream = stream.unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        Client { stream, held: Vec::new() }
    }

    fn send(&mut self, id: u64, command: Ask) {
        let mut bytes = Vec::new();
        encode(&Request { version: VERSION, id, command }, &mut bytes).unwrap();
        self.stream.write_all(&bytes).unwrap();
    }

    fn send_text(&mut self, text: &str) {
        self.stream.write_all(&(text.len() as u32).to_le_bytes()).unwrap();
        self.stream.write_all(text.as_bytes()).unwrap();
    }

    /// The next answer; `None` at the end of the connection.
    fn next(&mut self) -> Option<Response> {
        loop {
            if let Some((payload, consumed)) = next_frame(&self.held).unwrap() {
                let response = serde_json::from_slice(payload).unwrap();
                self.held.drain(..consumed);
                return Some(response);
            }
            let mut piece = [0; 4096];
            match self.stream.read(&mut piece) {
                Ok(0) => return None,
                Ok(count) => self.held.extend_from_slice(&piece[..count]),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("no answer: {error}"),
            }
        }
    }

    fn ask(&mut self, command: Ask) -> Reply {
        self.send(9, command);
        let response = self.next().expect("an answer");
        assert_eq!((response.version, response.id), (VERSION, 9));
        response.reply
    }

    fn page(&mut self) -> FeedsPage {
        match self.ask(Ask::Status { feed: None, after: None }) {
            Reply::Feeds(page) => page,
            other => panic!("{other:?}"),
        }
    }

    fn feed(&mut self) -> FeedStatus {
        self.page().feeds.remove(0)
    }

    fn refused(&mut self, command: Ask) -> Refusal {
        match self.ask(command) {
            Reply::Refused(refusal) => refusal,
            other => panic!("not refused: {other:?}"),
        }
    }

    fn outcome(&mut self, command: Ask) -> Outcome {
        match self.ask(command) {
            Reply::Outcome(outcome) => outcome,
            other => panic!("{other:?}"),
        }
    }

    fn wait_for_state(&mut self, state: &str) -> FeedStatus {
        let mut feed = self.feed();
        wait_until(&format!("state {state}"), || {
            feed = self.feed();
            feed.state == state
        });
        feed
    }
}

/// A market that holds after some messages.
fn venue(dir: &Dir) -> Venue {
    Venue::start(dir, &["--symbols", "5", "--messages", "300", "--speed", "max", "--at-end", "hold"])
}

fn connect(address: AddressChoice) -> Ask {
    Ask::Connect { feed: "nasdaq".into(), address, wait_ms: 20_000 }
}

fn disconnect(address: Option<AddressChoice>) -> Ask {
    Ask::Disconnect { feed: "nasdaq".into(), address, wait_ms: 20_000 }
}

/// The operator's tool, at this test's engine.
fn ticklane(dir: &Dir, words: &[&str]) -> Output {
    let mut command = Command::new(program("ticklane"));
    command.args(words).arg("--dir").arg(dir.run()).env_remove("TICKLANE_DIR").output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn status_shows_the_feed_as_it_is() {
    let dir = Dir::new();
    let venue = venue(&dir);
    let engine = Engine::start(&dir, &EngineOptions::to(venue.port));
    let mut client = Client::connect(&dir);
    let mut feed = client.wait_for_state("live");
    wait_until("every message", || {
        feed = client.feed();
        feed.next_sequence == 301
    });
    assert_eq!((feed.name.as_str(), feed.lane.as_str(), feed.client_type.as_str()), ("nasdaq", "lane0", "marketfeed"));
    assert_eq!(feed.addresses[0].address, format!("127.0.0.1:{}", venue.port));
    assert!(feed.addresses[0].in_use && feed.addresses[0].remote.is_some());
    assert!(feed.session.as_deref().is_some_and(|session| !session.is_empty()));
    assert_eq!((feed.packets.sequenced, feed.gaps, feed.reconnects), (300, 0, 0));
    assert!(feed.bytes > 300 && feed.last_packet_age_ms.is_some());
    assert!(feed.connected_since.as_deref().unwrap().parse::<u64>().unwrap() > 1_700_000_000_000_000_000);
    let table = ticklane(&dir, &["feeds"]);
    let table = text(&table.stdout);
    assert!(table.contains("nasdaq") && table.contains("live") && table.contains("301"), "{table}");
    let json = ticklane(&dir, &["feeds", "nasdaq", "--json"]);
    let page: FeedsPage = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!((page.feeds.len(), page.pid), (1, engine.process.id()));
    let none = ticklane(&dir, &["feeds", "nysdaq"]);
    assert_eq!(none.status.code(), Some(1));
    assert!(text(&none.stderr).contains("feed = nysdaq") && text(&none.stderr).contains("nasdaq"));
    assert!(engine.process.terminate().success());
    assert!(!dir.run().join("control.sock").exists());
    let gone = ticklane(&dir, &["feeds"]);
    assert!(text(&gone.stderr).contains("no engine answers"), "{}", text(&gone.stderr));
}

#[test]
fn connect_and_disconnect_are_seen_in_the_states_and_can_be_repeated() {
    let dir = Dir::new();
    let (first, second) = (venue(&dir), venue(&dir));
    let options = EngineOptions { ports: vec![first.port, second.port], ..EngineOptions::to(first.port) };
    let engine = Engine::start(&dir, &options);
    let mut client = Client::connect(&dir);
    client.wait_for_state("live");
    assert_eq!(client.outcome(connect(AddressChoice::Primary)).result, "already connected");
    assert_eq!(client.outcome(disconnect(Some(AddressChoice::Failover))).result, "not connected");
    assert_eq!(client.feed().state, "live", "that was about the other address");

    let closed = client.outcome(disconnect(None));
    assert_eq!((closed.result.as_str(), closed.state.as_str()), ("closed", "closed"), "{closed:?}");
    assert_eq!(client.outcome(disconnect(None)).result, "not connected");
    assert_eq!(client.feed().connected_since, None);

    let failover = client.outcome(connect(AddressChoice::Failover));
    assert_eq!(failover.result, "connected", "{failover:?}");
    assert_eq!(failover.address, Some(format!("127.0.0.1:{}", second.port)));
    assert!(client.feed().addresses[1].in_use);
    // Back, without closing first; and by the tool.
    let back = ticklane(&dir, &["connect", "nasdaq"]);
    assert!(back.status.success() && text(&back.stdout).contains("connected"), "{}", text(&back.stderr));
    assert!(client.feed().addresses[0].in_use);
    let closed = ticklane(&dir, &["disconnect", "nasdaq"]);
    assert!(closed.status.success() && text(&closed.stdout).contains("closed"), "{}", text(&closed.stderr));
    let segment = engine.segment();
    assert!(segment.writer_alive(), "a closed feed is no dead engine");

    // Nobody listens any more: the outcome says so, and the engine goes on trying.
    drop((first, second));
    let failed = ticklane(&dir, &["connect", "nasdaq"]);
    assert_eq!(failed.status.code(), Some(1));
    assert!(text(&failed.stderr).contains("failed"), "{}", text(&failed.stderr));
    assert!(engine.process.terminate().success());
}

#[test]
fn a_rejected_login_is_told_with_its_reason_and_without_its_password() {
    let dir = Dir::new();
    let venue = Venue::start(&dir, &["--symbols", "5", "--messages", "300", "--at-end", "hold", "--fault", "reject=A"]);
    let options = EngineOptions { feed: "reject_backoff_ms = 60000", ..EngineOptions::to(venue.port) };
    let engine = Engine::start(&dir, &options);
    let mut client = Client::connect(&dir);
    let feed = client.wait_for_state("rejected");
    assert!(!feed.reason.is_empty());
    let outcome = client.outcome(connect(AddressChoice::Primary));
    assert_eq!(outcome.result, "rejected", "{outcome:?}");
    assert!(!engine.process.log().contains("password = \"demo\""));
}

#[test]
fn what_is_no_request_is_refused_by_name_and_harms_nobody() {
    let dir = Dir::new();
    let engine = Engine::start(&dir, &EngineOptions::to(9));
    let mut client = Client::connect(&dir);
    let table: &[(&str, &str, RefusalCode, &[&str])] = &[
        ("no JSON", "hello", RefusalCode::BadRequest, &["hello"]),
        ("other version", r#"{"version":7,"id":1,"command":{}}"#, RefusalCode::Version, &["version = 7", "expected 1"]),
        ("unknown verb", r#"{"version":1,"id":1,"command":{"fly":{}}}"#, RefusalCode::BadRequest, &["fly", "status"]),
        (
            "unknown field",
            r#"{"version":1,"id":1,"command":{"status":{"fed":"x"}}}"#,
            RefusalCode::BadRequest,
            &["fed", "feed"],
        ),
        (
            "unknown feed",
            r#"{"version":1,"id":1,"command":{"connect":{"feed":"x"}}}"#,
            RefusalCode::NotFound,
            &["feed = x", "nasdaq"],
        ),
        (
            "no failover",
            r#"{"version":1,"id":1,"command":{"connect":{"feed":"nasdaq","address":"failover"}}}"#,
            RefusalCode::Invalid,
            &["address = failover", "primary"],
        ),
    ];
    for (name, text, code, parts) in table {
        client.send_text(text);
        let Some(Response { reply: Reply::Refused(refusal), .. }) = client.next() else { panic!("case {name}") };
        assert_eq!(refusal.code, *code, "case {name}: {refusal}");
        for part in *parts {
            assert!(refusal.to_string().contains(part), "case {name}: {refusal} does not say {part:?}");
        }
    }
    // Lengths that cannot be: told, and closed, because nothing after them can be understood.
    for length in [0u32, 65_537, u32::MAX] {
        let mut client = Client::connect(&dir);
        client.stream.write_all(&length.to_le_bytes()).unwrap();
        let Some(Response { reply: Reply::Refused(refusal), .. }) = client.next() else { panic!("{length}") };
        assert!(refusal.to_string().contains(&length.to_string()), "{refusal}");
        assert!(client.next().is_none(), "{length}");
    }
    // The longest message is one, in any pieces; it is refused for what it says.
    let text = format!(r#"{{"version":1,"id":3,"command":{{"connect":{{"feed":"{}"}}}}}}"#, "x".repeat(65_536 - 57));
    assert!(text.len() <= 65_536 && text.len() > 65_500);
    client.stream.write_all(&(text.len() as u32).to_le_bytes()).unwrap();
    for piece in text.as_bytes().chunks(7_001) {
        client.stream.write_all(piece).unwrap();
    }
    // The answer would repeat the name, and so be too long itself: it says that instead.
    assert!(matches!(client.next(), Some(Response { id: 3, reply: Reply::Refused(_), .. })));
    assert!(client.page().control.bad_requests >= 7);
    assert!(engine.process.terminate().success());
}

#[test]
fn pipelined_and_half_closed_clients_get_all_their_answers() {
    let dir = Dir::new();
    let _engine = Engine::start(&dir, &EngineOptions::to(9));
    let mut client = Client::connect(&dir);
    for id in 1..=50 {
        client.send(id, Ask::Status { feed: None, after: None });
    }
    client.stream.shutdown(std::net::Shutdown::Write).unwrap();
    for id in 1..=50 {
        assert_eq!(client.next().map(|response| response.id), Some(id));
    }
    assert!(client.next().is_none());
}

#[test]
fn there_are_only_so_many_connections_and_the_next_is_told_why() {
    let dir = Dir::new();
    let config = write_config(&dir, &EngineOptions::to(9));
    append(&config, "[control]\nconnections_max = 2\nidle_ms = 300\n");
    let _engine = start_as_written(&dir);
    let (mut first, mut second) = (Client::connect(&dir), Client::connect(&dir));
    first.page();
    second.page();
    let mut third = Client::connect(&dir);
    let Some(Response { reply: Reply::Refused(refusal), .. }) = third.next() else { panic!("not refused") };
    assert!(refusal.code == RefusalCode::Limit && refusal.to_string().contains("control.connections_max = 2"));
    assert!(third.next().is_none());
    // Who says nothing makes room.
    assert!(first.next().is_none() && second.next().is_none());
    let control = Client::connect(&dir).page().control;
    assert_eq!((control.connections, control.refused_full), (1, 1));
    assert!(control.idle_closed >= 2);
}

#[test]
fn a_client_that_takes_no_answers_is_dropped_and_holds_nobody_up() {
    let dir = Dir::new();
    let config = write_config(&dir, &EngineOptions::to(9));
    append(&config, "[control]\nslow_ms = 200\n");
    let _engine = start_as_written(&dir);
    let mut slow = Client::connect(&dir);
    slow.stream.set_write_timeout(Some(Duration::from_millis(50))).unwrap();
    let mut bytes = Vec::new();
    let command = Ask::Status { feed: None, after: None };
    encode(&Request { version: VERSION, id: 1, command }, &mut bytes).unwrap();
    // Until the engine takes no more of its questions, because it takes none of the answers.
    while slow.stream.write_all(&bytes).is_ok() {}
    let mut other = Client::connect(&dir);
    wait_until("the slow client to be dropped", || other.page().control.slow_dropped == 1);
}

fn append(config: &Path, lines: &str) {
    let text = std::fs::read_to_string(config).unwrap();
    std::fs::write(config, format!("{text}\n{lines}")).unwrap();
}

/// An engine with the config as it stands there.
fn start_as_written(dir: &Dir) -> Process {
    let mut command = Command::new(program("ticklane-engine"));
    command.arg("--config").arg(dir.path("engine.toml"));
    Process::start("ticklane-engine", command, dir.path("engine.log"))
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().unwrap();
    let found = text(&id.stdout).trim() == "0"
        && Command::new("setpriv").arg("--version").output().is_ok_and(|output| output.status.success());
    if !found {
        // Not by a macro: the runner hides what passing tests print with one, and a skip must be seen: whole, in one write.
        let _ = std::io::stderr().write_all(b"\nSKIPPED (not root, or no setpriv): command socket and strangers\n");
    }
    found
}

/// The tool as uid 65534, who is in the socket's group.
fn ticklane_as_nobody(dir: &Dir, tool: &Path, words: &[&str]) -> Output {
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "65534", "--regid", "0", "--clear-groups"]).arg(tool).args(words);
    command.arg("--dir").arg(dir.run()).output().unwrap()
}

#[test]
fn rights_follow_the_peers_uid_whatever_the_files_mode_says() {
    if !is_root() {
        return;
    }
    let dir = Dir::new();
    let config = write_config(&dir, &EngineOptions::to(9));
    let written = std::fs::read_to_string(&config).unwrap();
    let _engine = start_as_written(&dir);
    let mut own = Client::connect(&dir);
    let mode = std::fs::metadata(dir.run().join("control.sock")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    // Somebody else must come as far as the socket, and have a tool to run.
    let tool: PathBuf = dir.path("ticklane");
    std::fs::copy(program("ticklane"), &tool).unwrap();
    std::fs::set_permissions(dir.path(""), std::fs::Permissions::from_mode(0o711)).unwrap();

    let refused = ticklane_as_nobody(&dir, &tool, &["feeds"]);
    let told = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{told}");
    assert!(told.contains("uid = 65534") && told.contains("[control] operators or gateways"), "{told}");
    assert!(own.page().control.forbidden >= 1);

    std::fs::write(&config, format!("{written}\n[control]\ngateways = [65534]\n")).unwrap();
    assert!(matches!(own.ask(Ask::Reload {}), Reply::Reloaded(report) if report.applied.len() == 1));
    let seen = ticklane_as_nobody(&dir, &tool, &["feeds"]);
    assert!(seen.status.success(), "{}", text(&seen.stderr));
    for words in
        [&["disconnect", "nasdaq"][..], &["reload"], &["define", "instrument", "XNAS", "X"], &["tap", "nasdaq"]]
    {
        let refused = ticklane_as_nobody(&dir, &tool, words);
        let told = text(&refused.stderr);
        assert!(told.contains("[control] operators") && told.contains(words[0]), "{words:?}: {told}");
    }

    std::fs::write(&config, format!("{written}\n[control]\noperators = [65534]\n")).unwrap();
    assert!(matches!(own.ask(Ask::Reload {}), Reply::Reloaded(report) if report.applied.len() == 2));
    let done = ticklane_as_nobody(&dir, &tool, &["define", "instrument", "XNAS", "X"]);
    assert!(done.status.success(), "{}", text(&done.stderr));
}

#[test]
fn definitions_outlive_a_killed_engine_and_are_not_given_twice() {
    let dir = Dir::new();
    let engine = Engine::start(&dir, &EngineOptions::to(9));
    let mut client = Client::connect(&dir);
    let define = |client: &mut Client, symbol: &str| {
        let instrument = Definition::Instrument(InstrumentDefinition {
            venue: "XDHA".into(),
            symbol: symbol.into(),
            name: None,
            isin: None,
            currency: Some("BDT".into()),
            price_decimals: Some(2),
            quantity_decimals: None,
            lot_size: Some(1),
        });
        match client.ask(Ask::Define(instrument)) {
            Reply::Defined(report) => (report.changed, report.in_force, report.instrument_id.unwrap()),
            other => panic!("{other:?}"),
        }
    };
    let (changed, in_force, gp) = define(&mut client, "GP");
    assert!(changed && in_force);
    assert_eq!(define(&mut client, "GP"), (false, true, gp), "the same again is no change");
    let (_, _, brac) = define(&mut client, "BRACBANK");
    assert_ne!(gp, brac);
    engine.process.kill();

    let engine = Engine::start(&dir, &EngineOptions::to(9));
    let mut client = Client::connect(&dir);
    assert_eq!(define(&mut client, "GP"), (false, true, gp));
    let listed = ticklane(&dir, &["definitions", "instrument"]);
    assert_eq!(text(&listed.stdout).lines().count(), 2, "{}", text(&listed.stdout));
    let forgotten = ticklane(&dir, &["undefine", "instrument", "XDHA/BRACBANK"]);
    assert!(text(&forgotten.stdout).contains("kept"), "{}", text(&forgotten.stdout));
    assert!(matches!(
        client.ask(Ask::Definitions { kind: DefinitionKind::Instrument, after: None }),
        Reply::Definitions(page) if page.definitions.len() == 1
    ));
    engine.process.kill();

    // A broken file is told by name, and not taken for an empty one.
    let file = dir.path("state").join("definitions.jsonl");
    let good = std::fs::read(&file).unwrap();
    std::fs::write(&file, &good[..good.len() - 9]).unwrap();
    let mut refused = start_as_written(&dir);
    assert_eq!(refused.wait().code(), Some(2));
    let log = refused.log();
    assert!(log.contains("definitions.jsonl") && log.contains("restore it from a copy"), "{log}");
    assert!(!log.contains("panicked"));
}

#[test]
fn a_defined_feed_is_checked_against_the_allow_list_and_the_whole_plan() {
    let dir = Dir::new();
    let venue = venue(&dir);
    let engine = Engine::start(&dir, &EngineOptions::to(9));
    let mut client = Client::connect(&dir);
    let feed = |name: &str, lane: &str, address: &str, settings: &[(&str, &str)]| {
        let text = |value: &str| shm_abi::control::Setting::Text(value.into());
        Ask::Define(Definition::Feed(FeedDefinition {
            name: name.into(),
            lane: lane.into(),
            protocol: "soupbintcp-itch50".into(),
            addresses: vec![address.into()],
            settings: settings.iter().map(|(key, value)| ((*key).to_owned(), text(value))).collect(),
        }))
    };
    let outside = client.refused(feed("nasdaq", "lane0", "192.0.2.1:9", &[]));
    assert_eq!(outside.code, RefusalCode::NotAllowed);
    assert!(outside.to_string().contains("192.0.2.1:9") && outside.to_string().contains("[feeds] allow"), "{outside}");
    let table = [
        ("no such lane", feed("nasdaq", "lane7", "127.0.0.1:9", &[]), "lane7"),
        ("a second feed on a lane", feed("other", "lane0", "127.0.0.1:9", &[]), "exactly one"),
        ("no such setting", feed("nasdaq", "lane0", "127.0.0.1:9", &[("shoe", "43")]), "shoe"),
        ("no such zone", feed("nasdaq", "lane0", "127.0.0.1:9", &[("time_zone", "Mars/Base")]), "Mars/Base"),
    ];
    for (name, command, part) in table {
        let refusal = client.refused(command);
        assert!(refusal.to_string().contains(part), "case {name}: {refusal}");
    }
    assert!(matches!(
        client.ask(Ask::Definitions { kind: DefinitionKind::Feed, after: None }),
        Reply::Definitions(page) if page.definitions.is_empty()
    ));
    // Another address for the config's feed: dialled as soon as it is asked for, and after a restart, too.
    let address = format!("127.0.0.1:{}", venue.port);
    let settings = [("username", "demo"), ("password", "demo"), ("trading_date", "2020-01-30")];
    let defined = client.ask(feed("nasdaq", "lane0", &address, &settings));
    assert!(matches!(&defined, Reply::Defined(report) if report.changed), "{defined:?}");
    let connected = client.outcome(connect(AddressChoice::Primary));
    assert_eq!((connected.result.as_str(), connected.address.as_ref()), ("connected", Some(&address)), "{connected:?}");
    engine.process.kill();
    let _engine = start_as_written(&dir);
    let mut client = Client::connect(&dir);
    let feed = client.wait_for_state("live");
    assert_eq!(feed.addresses[0].address, address);
    let Reply::Definitions(page) = client.ask(Ask::Definitions { kind: DefinitionKind::Feed, after: None }) else {
        panic!("no definitions")
    };
    let shown = serde_json::to_string(&page).unwrap();
    assert!(shown.contains(r#""password":"***""#), "{shown}");
}

#[test]
fn a_reload_takes_up_a_good_config_and_keeps_the_old_one_for_a_bad_one() {
    let dir = Dir::new();
    let venue = venue(&dir);
    let engine = Engine::start(&dir, &EngineOptions::to(9));
    let mut client = Client::connect(&dir);
    let config = dir.path("engine.toml");
    let old = std::fs::read_to_string(&config).unwrap();
    let same = ticklane(&dir, &["reload"]);
    assert!(text(&same.stdout).contains("nothing is different"), "{}", text(&same.stderr));

    for (name, bad, part) in [
        ("syntax", old.replace("[[lane]]", "[[lane"), "engine.toml"),
        ("unknown key", old.replace("wait =", "wiat ="), "wiat"),
        ("value", old.replace("depth = 10", "depth = 11"), "depth"),
        ("core", old.replace("depth = 10", "depth = 10\ncore = 4096"), "4096"),
    ] {
        assert_ne!(bad, old, "{name}");
        std::fs::write(&config, bad).unwrap();
        let refused = ticklane(&dir, &["reload"]);
        assert_eq!(refused.status.code(), Some(1), "{name}");
        assert!(text(&refused.stderr).contains(part), "{name}: {}", text(&refused.stderr));
    }
    // By signal: the same, told in the log.
    let before = client.page().control.reloads_refused;
    engine.process.signal(1);
    wait_until("SIGHUP to be refused", || client.page().control.reloads_refused == before + 1);
    assert!(engine.process.log().contains("reload refused"), "{}", engine.process.log());

    let good = old
        .replace("127.0.0.1:9\"", &format!("127.0.0.1:{}\"", venue.port))
        .replace("depth = 10", "depth = 20")
        .replace("reconnect_max_ms = 4", "reconnect_max_ms = 5");
    std::fs::write(&config, good).unwrap();
    let done = ticklane(&dir, &["reload"]);
    let told = text(&done.stdout);
    assert!(told.contains("in force: feed nasdaq: addresses"), "{told}{}", text(&done.stderr));
    assert!(told.contains("in force: feed nasdaq: reconnect_max_ms = 5 (was 4)"), "{told}");
    assert!(told.contains("needs a restart: lane lane0: depth = 20 (was 10)"), "{told}");
    // Never live at the old address; the new one answers without a restart.
    client.wait_for_state("live");
    assert!(engine.process.terminate().success());
}

#[test]
fn demand_is_held_for_its_connection_and_counted() {
    let dir = Dir::new();
    let config = write_config(&dir, &EngineOptions::to(9));
    append(&config, "[control]\ndemand_max = 3\n");
    let _engine = start_as_written(&dir);
    let (mut first, mut second) = (Client::connect(&dir), Client::connect(&dir));
    let wanted = |symbols: &[&str]| {
        let name = |symbol: &&str| InstrumentName { venue: "XNAS".into(), symbol: (*symbol).into() };
        Ask::Demand { instruments: symbols.iter().map(name).collect() }
    };
    let Reply::Demand(report) = first.ask(wanted(&["A", "B"])) else { panic!("no report") };
    assert_eq!((report.held, report.in_all, report.lease_ms), (2, 2, 30_000));
    let refusal = second.refused(wanted(&["C", "D"]));
    assert!(refusal.code == RefusalCode::Limit && refusal.to_string().contains("control.demand_max = 3"), "{refusal}");
    drop(first);
    wait_until("the connection to be gone", || second.page().control.connections == 1);
    let Reply::Demand(report) = second.ask(wanted(&["B", "C"])) else { panic!("no report") };
    assert_eq!((report.held, report.in_all), (2, 3), "the lease of A outlives its connection");
    let control = second.page().control;
    assert_eq!((control.demanded, control.demand_refused), (3, 2));
}

#[test]
fn a_tap_shows_packets_as_they_come() {
    let dir = Dir::new();
    let venue = Venue::start(&dir, &["--symbols", "5", "--rate", "2000", "--at-end", "hold"]);
    let _engine = Engine::start(&dir, &EngineOptions::to(venue.port));
    let mut client = Client::connect(&dir);
    client.wait_for_state("live");
    let mut tap = Client::connect(&dir);
    tap.send(4, Ask::Tap { source: TapSource::Feed { name: "nasdaq".into() }, limit: Some(200) });
    let (mut shown, mut last_seq) = (0, None::<u64>);
    let end = loop {
        match tap.next().expect("packets until the limit") {
            Response { id: 4, reply: Reply::Tap(event), .. } => {
                shown += 1;
                if event.packet.kind.as_deref() == Some("SequencedPacket") {
                    let seq = event.packet.seq.unwrap();
                    assert!(
                        event.dropped > 0 || last_seq.is_none_or(|last| seq == last + 1),
                        "{seq} after {last_seq:?}"
                    );
                    last_seq = Some(seq);
                    let decoded = event.packet.decoded.unwrap();
                    assert!(decoded.name.is_some(), "{decoded:?}");
                    assert_eq!(event.packet.packet_length, Some(decoded.length + 1));
                }
            }
            Response { id: 4, reply: Reply::TapEnd(end), .. } => break end,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!((shown, end.packets, end.reason.as_str(), end.dialect.as_str()), (200, 200, "limit", "nasdaq-5.0"));
    assert!(last_seq.is_some());
    // The connection can be used again; and the tool shows the same.
    assert!(matches!(tap.ask(Ask::Status { feed: None, after: None }), Reply::Feeds(_)));
    let tool = ticklane(&dir, &["tap", "nasdaq", "--limit", "5", "--json"]);
    let events: Vec<TapEvent> = text(&tool.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(events.len(), 5);
}

/// What the reference says of a capture: types and lengths, packet by packet.
fn reference_forms(packet: &serde_json::Value) -> Vec<String> {
    if let Some(soup) = packet.get("soupbintcp") {
        let form = |p: &serde_json::Value| format!("{}{}", p["packet"].as_str().unwrap(), p["length"]);
        return soup.as_array().unwrap().iter().map(form).collect();
    }
    packet["messages"].as_array().unwrap().iter().map(|form| form.as_str().unwrap().to_owned()).collect()
}

fn soup_letter(kind: &str) -> &'static str {
    match kind {
        "LoginAck" => "A",
        "LoginRequest" => "L",
        "SequencedPacket" => "S",
        "UnSequencedPacket" => "U",
        "Heartbeat" => "H",
        "ClientHeartbeat" => "R",
        other => panic!("{other}"),
    }
}

#[test]
fn captures_of_every_venue_are_decoded_by_type_and_length() {
    let Some(reference) = data("pcap.ref.json") else { return };
    let reference: serde_json::Value = serde_json::from_slice(&std::fs::read(reference).unwrap()).unwrap();
    let (mut files, mut unknown) = (0, 0);
    for (name, entry) in reference.as_object().unwrap() {
        let Some(path) = data(name) else { continue };
        let output = Command::new(program("ticklane")).args(["tap", "--json", "--pcap"]).arg(&path).output().unwrap();
        let told = text(&output.stderr);
        assert!(output.status.success(), "{name}: {told}");
        let events: Vec<TapEvent> =
            text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let want: Vec<String> = entry["packets"].as_array().unwrap().iter().flat_map(reference_forms).collect();
        let mut seen = Vec::new();
        for event in &events {
            let packet = &event.packet;
            match packet.kind.as_deref() {
                Some(kind) if kind.starts_with("Mold") => {
                    seen.extend(packet.messages.iter().map(shm_abi::control::DecodedMessage::form));
                }
                Some(kind) => seen.push(format!("{}{}", soup_letter(kind), packet.packet_length.unwrap())),
                None => panic!("{name}: {packet:?}"),
            }
        }
        assert_eq!(seen, want, "{name}");
        let packets = entry["packets"].as_array().unwrap();
        if packets.iter().all(|packet| packet.get("seq").is_some()) {
            assert_eq!(events.len(), packets.len(), "{name}");
            for (event, packet) in events.iter().zip(packets) {
                assert_eq!(
                    (event.packet.seq, event.packet.count.map(u64::from)),
                    (packet["seq"].as_u64(), packet["count"].as_u64()),
                    "{name}"
                );
            }
        }
        let has_messages = name.contains("asx") || name.contains("bist");
        if has_messages && !want.is_empty() {
            assert!(told.contains("unknown dialect"), "{name}: {told}");
            unknown += 1;
        } else if name.contains("nasdaq_2023") {
            assert!(told.contains("nasdaq-5.0"), "{name}: {told}");
        } else if name.contains("jnx/") {
            assert!(told.contains("jnx-1.6"), "{name}: {told}");
        }
        files += 1;
    }
    assert!(files == 0 || unknown > 0, "{files} files, {unknown} of an unknown dialect");
}

#[test]
fn a_capture_is_tapped_through_the_engine_too() {
    let Some(path) = data("moldudp64_pcap/nasdaq_2023_multi/Multiple.Packets.pcap") else { return };
    let dir = Dir::new();
    let _engine = Engine::start(&dir, &EngineOptions::to(9));
    let mut client = Client::connect(&dir);
    let path = path.canonicalize().unwrap().to_str().unwrap().to_owned();
    client.send(1, Ask::Tap { source: TapSource::Pcap { path, dialect: None }, limit: None });
    let mut messages = 0;
    let end = loop {
        match client.next().expect("packets until the end").reply {
            Reply::Tap(event) => messages += event.packet.messages.len(),
            Reply::TapEnd(end) => break end,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!((end.reason.as_str(), end.dialect.as_str()), ("end of file", "nasdaq-5.0"));
    assert!(messages >= 38, "{messages}");
    for (path, part) in [("/dev/null", "regular file"), ("/nonexistent.pcap", "can be read")] {
        let source = TapSource::Pcap { path: path.into(), dialect: None };
        let refusal = client.refused(Ask::Tap { source, limit: None });
        assert!(refusal.to_string().contains(part), "{refusal}");
    }
}

#[test]
fn a_missing_descriptor_pauses_the_socket_and_not_the_feed() {
    let dir = Dir::new();
    let venue = Venue::start(&dir, &["--symbols", "5", "--rate", "500", "--at-end", "hold"]);
    let config = write_config(&dir, &EngineOptions::to(venue.port));
    append(&config, "[control]\nconnections_max = 1024\n");
    let engine = start_as_written(&dir);
    let mut client = Client::connect(&dir);
    client.wait_for_state("live");
    let limit = Command::new("prlimit").args(["--nofile=48:48", "--pid", &engine.id().to_string()]).output();
    if !limit.is_ok_and(|output| output.status.success()) {
        let _ = std::io::stderr().write_all(b"\nSKIPPED (no prlimit): command socket without descriptors\n");
        return;
    }
    let path = dir.run().join("control.sock");
    let many: Vec<_> = (0..100).filter_map(|_| UnixStream::connect(&path).ok()).collect();
    wait_until("the pause in the log", || engine.log().contains("no command connection accepted"));
    let before = client.feed().next_sequence;
    wait_until("messages meanwhile", || client.feed().next_sequence > before + 100);
    assert_eq!(client.feed().state, "live");
    drop(many);
    assert_eq!(Client::connect(&dir).feed().reconnects, 0);
}
