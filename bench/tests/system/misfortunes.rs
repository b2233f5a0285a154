//! What lines and servers do to a feed (reliability.md), with timers scaled by config.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use shm_abi::counters::{FeedCounter, LaneCounter};
use shm_abi::layout::{FeedState, State};
use shm_abi::record::kind;
use shm_abi::segment::{RingName, Segment};

use crate::bus::{assert_same, count, record};
use crate::harness::{Dir, Engine, EngineOptions, Venue, feed_counter, lane_counter, program, wait_until};

/// A day of the synthetic market in a file: what these tests play where no reference data is.
pub fn synthetic_day(dir: &Dir, messages: u64, seed: u64) -> PathBuf {
    let path = dir.path("day.itch");
    let status = std::process::Command::new(program("ticklane-venue"))
        .args(["generate", "--profile", "day", "--symbols", "50"])
        .args(["--messages", &messages.to_string(), "--seed", &seed.to_string()])
        .arg("--out")
        .arg(&path)
        .status()
        .unwrap();
    assert!(status.success());
    path
}

/// Messages of a file.
pub fn messages_of(path: &PathBuf) -> u64 {
    let bytes = std::fs::read(path).unwrap();
    wire::itchfile::Messages::new(&bytes).map(Result::unwrap).count() as u64
}

fn state_of(segment: &Segment) -> u64 {
    segment.feed(0).map_or(u64::MAX, |(facts, _)| facts.state)
}

#[test]
fn the_line_is_reset_in_mid_message_again_and_again() {
    let files = Dir::new();
    let file = synthetic_day(&files, 20_000, 7);
    let messages = messages_of(&file);
    let play = |faults: &[&str]| {
        let dir = Dir::new();
        let mut arguments = vec!["--file", file.to_str().unwrap(), "--speed", "max", "--at-end", "hold"];
        arguments.extend(faults);
        let venue = Venue::start(&dir, &arguments);
        let engine = Engine::start(&dir, &EngineOptions::to(venue.port));
        let segment = engine.segment();
        engine.wait_for_sequence(&segment, messages + 1);
        (record(&segment), feed_counter(&segment, FeedCounter::Logins))
    };
    let (clean, _) = play(&[]);
    assert!(count(&clean.orders, kind::ADD) > 1_000 && count(&clean.market, kind::QUOTE) > 1_000);
    let resets = "rst-list=1,2,3,40,41,5000,5001,5002,77777,100000,1";
    let (reset, logins) = play(&["--fault", resets]);
    assert_same("resets", &reset, &clean);
    assert_eq!(logins, 12);
}

#[test]
fn the_venue_falls_silent_and_the_feed_moves_to_the_other_address() {
    let files = Dir::new();
    let file = synthetic_day(&files, 5_000, 8);
    let messages = messages_of(&file);
    let (one, two) = (Dir::new(), Dir::new());
    let play = ["--file", file.to_str().unwrap(), "--speed", "max", "--at-end", "hold", "--session", "SAMEDAY"];
    let mut silent = play.to_vec();
    silent.extend(["--fault", "silence@1000"]);
    let primary = Venue::start(&one, &silent);
    let secondary = Venue::start(&two, &play);
    let dir = Dir::new();
    let options = EngineOptions {
        ports: vec![primary.port, secondary.port],
        feed: "heartbeat_interval_ms = 50\nsilence_limit_ms = 400",
        ..EngineOptions::to(0)
    };
    let engine = Engine::start(&dir, &options);
    let segment = engine.segment();
    engine.wait_for_sequence(&segment, messages + 1);
    assert_eq!(feed_counter(&segment, FeedCounter::Silences), 1);
    assert_eq!(feed_counter(&segment, FeedCounter::Logins), 2);
    assert_eq!(lane_counter(&segment, LaneCounter::Published), messages);
    assert_eq!(lane_counter(&segment, LaneCounter::Duplicates), 0);
    assert_eq!(lane_counter(&segment, LaneCounter::Gaps), 0);
}

#[test]
fn the_login_is_rejected_and_then_taken() {
    let dir = Dir::new();
    let venue = Venue::start(
        &dir,
        &["--symbols", "5", "--messages", "500", "--speed", "max", "--at-end", "hold", "--fault", "reject=A,2"],
    );
    let options = EngineOptions { feed: "reject_backoff_ms = 100", ..EngineOptions::to(venue.port) };
    let engine = Engine::start(&dir, &options);
    let segment = engine.segment();
    wait_until("a rejection to be told", || feed_counter(&segment, FeedCounter::Rejects) >= 1);
    wait_until("the login to be taken", || state_of(&segment) == FeedState::Live as u64);
    assert_eq!(feed_counter(&segment, FeedCounter::Rejects), 2);
    assert!(engine.process.log().contains("rejected"), "the reason is in the log");
    assert!(!engine.process.log().contains("demo\""), "no credential in the log");
}

#[test]
fn the_login_is_never_answered() {
    let dir = Dir::new();
    let venue = Venue::start(
        &dir,
        &["--symbols", "5", "--messages", "500", "--speed", "max", "--at-end", "hold", "--fault", "no-login-answer,1"],
    );
    let options = EngineOptions { feed: "login_timeout_ms = 200", ..EngineOptions::to(venue.port) };
    let engine = Engine::start(&dir, &options);
    let segment = engine.segment();
    wait_until("the second login to be taken", || state_of(&segment) == FeedState::Live as u64);
    assert_eq!(feed_counter(&segment, FeedCounter::Silences), 1);
}

#[test]
fn the_venue_ends_its_session() {
    let dir = Dir::new();
    let venue = Venue::start(&dir, &["--symbols", "5", "--messages", "500", "--speed", "max", "--at-end", "end"]);
    let options = EngineOptions { feed: "next_session_ms = 60000", ..EngineOptions::to(venue.port) };
    let engine = Engine::start(&dir, &options);
    let segment = engine.segment();
    wait_until("the end of the session", || state_of(&segment) == FeedState::EndOfSession as u64);
    assert_eq!(feed_counter(&segment, FeedCounter::Logins), 1, "no storm of logins");
}

#[test]
fn nobody_listens_at_first() {
    let dir = Dir::new();
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let engine = Engine::start(&dir, &EngineOptions::to(port));
    let segment = engine.segment();
    wait_until("some attempts", || feed_counter(&segment, FeedCounter::Connects) >= 3);
    let listen = format!("127.0.0.1:{port}");
    let _venue =
        Venue::start_at(&dir, &listen, &["--symbols", "5", "--messages", "500", "--speed", "max", "--at-end", "hold"]);
    wait_until("the feed to be live", || state_of(&segment) == FeedState::Live as u64);
}

#[test]
fn the_venue_comes_back_with_another_session() {
    let dir = Dir::new();
    let common = ["--symbols", "5", "--messages", "400", "--speed", "max", "--at-end", "hold"];
    let start = |listen: &str, session: &str, seed: &str| {
        let mut arguments = common.to_vec();
        arguments.extend(["--session", session, "--seed", seed]);
        Venue::start_at(&dir, listen, &arguments)
    };
    let monday = start("127.0.0.1:0", "MONDAY", "1");
    let listen = format!("127.0.0.1:{}", monday.port);
    let engine = Engine::start(&dir, &EngineOptions::to(monday.port));
    let segment = engine.segment();
    engine.wait_for_sequence(&segment, 401);
    monday.process.kill();
    let _tuesday = start(&listen, "TUESDAY", "2");
    wait_until("the new session", || feed_counter(&segment, FeedCounter::SessionChanges) == 1);
    engine.wait_for_sequence(&segment, 401);
    wait_until("all of it", || lane_counter(&segment, LaneCounter::Published) == 800);
    let recording = record(&segment);
    assert!(count(&recording.orders, kind::CLEAR) > 0, "books of the old session are cleared");
    assert_eq!(lane_counter(&segment, LaneCounter::Rejected), 0, "references of both days collide nowhere");
}

#[test]
fn sigterm_publishes_what_is_complete_and_marks_the_segment_closed() {
    let dir = Dir::new();
    let venue = Venue::start(&dir, &["--symbols", "50", "--rate", "20000", "--speed", "1x"]);
    let engine = Engine::start(&dir, &EngineOptions::to(venue.port));
    let segment = engine.segment();
    wait_until("data", || lane_counter(&segment, LaneCounter::Published) > 1_000);
    let began = Instant::now();
    let status = engine.process.terminate();
    assert!(status.success(), "{status}");
    // The contract's bound, not a speed: a supervisor kills what has not ended by then.
    assert!(began.elapsed() < Duration::from_secs(2), "took {:?}", began.elapsed());
    assert_eq!(segment.state(), Some(State::Closed));
    for ring in [RingName::Orders, RingName::Market] {
        let mut reader = segment.join(ring, shm_abi::ring::Rejoin::Latest);
        assert_eq!(reader.poll(), shm_abi::ring::Polled::Empty, "the head covers everything published");
    }
    let published = lane_counter(&segment, LaneCounter::Published) + lane_counter(&segment, LaneCounter::Rejected);
    assert_eq!(feed_counter(&segment, FeedCounter::NextSequence), published + 1, "what was taken was published");
}

#[test]
fn the_engine_is_stopped_and_continued() {
    let dir = Dir::new();
    let venue = Venue::start(&dir, &["--symbols", "50", "--rate", "20000", "--speed", "1x"]);
    let engine = Engine::start(&dir, &EngineOptions::to(venue.port));
    let segment = engine.segment();
    wait_until("data", || lane_counter(&segment, LaneCounter::Published) > 1_000);
    engine.process.signal(19);
    wait_until("the heartbeat to fall silent", || !segment.writer_alive());
    let before = lane_counter(&segment, LaneCounter::Published);
    engine.process.signal(18);
    wait_until("the heartbeat to come back", || segment.writer_alive());
    wait_until("data again", || lane_counter(&segment, LaneCounter::Published) > before + 1_000);
    assert_eq!(lane_counter(&segment, LaneCounter::Gaps), 0);
}

#[test]
fn systemd_is_told_of_readiness_life_and_end() {
    let dir = Dir::new();
    let path = dir.path("notify");
    let socket = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(crate::harness::LIMIT)).unwrap();
    let venue = Venue::start(&dir, &["--symbols", "5", "--rate", "1000", "--speed", "1x"]);
    let config = crate::harness::write_config(&dir, &EngineOptions::to(venue.port));
    let mut command = std::process::Command::new(program("ticklane-engine"));
    command.arg("--config").arg(config).env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "200000");
    let engine = crate::harness::Process::start("ticklane-engine", command, dir.path("engine.log"));
    let told = || {
        let mut buffer = [0; 256];
        let count = socket.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..count]).into_owned()
    };
    assert!(told().contains("READY=1"));
    assert!(told().contains("WATCHDOG=1"));
    assert!(engine.terminate().success());
    wait_until("STOPPING=1", || told().contains("STOPPING=1"));
}
