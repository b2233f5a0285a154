//! Several lanes in one engine, and one feed over several addresses: each feed's trouble is its own.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use shm_abi::counters::{FeedCounter, LaneCounter};
use shm_abi::layout::{FeedState, State};
use shm_abi::segment::Segment;

use crate::harness::{Dir, Engine, EngineOptions, Process, Venue, feed_counter, lane_counter, program, wait_until};

/// A config of several lanes, each with one feed of this name, port, venue and client type, and further lines.
fn write_config(dir: &Dir, feeds: &[(&str, u16, &str, &str, &str)]) -> PathBuf {
    let mut text = format!(
        "[engine]\ninstance = \"test\"\nruntime_dir = {:?}\nstate_dir = {:?}\nwait = \"adaptive\"\n\
         [feeds]\nallow = [\"127.0.0.0/8\"]\n",
        dir.run(),
        dir.path("state")
    );
    for (name, port, venue, client_type, more) in feeds {
        text += &format!(
            "[[lane]]\nname = \"{name}\"\norders_slots = 65536\nmarket_slots = 65536\ninstruments = 512\n\
             max_orders = 65536\nmax_levels = 65536\n\
             [[feed]]\nname = \"{name}-feed\"\nlane = \"{name}\"\nprotocol = \"soupbintcp-itch\"\n\
             addresses = [\"127.0.0.1:{port}\"]\nvenue = \"{venue}\"\nclient_type = \"{client_type}\"\n\
             username = \"demo\"\npassword = \"demo\"\nreconnect_first_ms = 1\nreconnect_max_ms = 4\n\
             first_login_retry_ms = 10\nfirst_login_retry_max_ms = 20\n{more}\n"
        );
    }
    let path = dir.path("engine.toml");
    std::fs::write(&path, text).unwrap();
    path
}

fn start(dir: &Dir, feeds: &[(&str, u16, &str, &str, &str)]) -> (Process, Vec<Segment>) {
    let mut command = Command::new(program("ticklane-engine"));
    command.arg("--config").arg(write_config(dir, feeds)).stdout(Stdio::null());
    let process = Process::start("ticklane-engine", command, dir.path("engine.log"));
    let mut segments = Vec::new();
    for (name, ..) in feeds {
        wait_until("a lane's segment", || {
            let found = Segment::open(&dir.run(), name).ok();
            segments.extend(found.filter(|segment| segment.writer_pid() == u64::from(process.id())));
            segments.last().is_some_and(|segment| segment.lane() == *name)
        });
    }
    (process, segments)
}

fn state(segment: &Segment) -> u64 {
    segment.feed(0).map_or(u64::MAX, |(facts, _)| facts.state)
}

#[test]
fn one_feed_dies_or_ends_and_the_others_go_on() {
    let (one, two, three) = (Dir::new(), Dir::new(), Dir::new());
    let steady = ["--symbols", "20", "--rate", "5000", "--speed", "1x", "--seed", "1"];
    let first = Venue::start(&one, &steady);
    let second = Venue::start(&two, &["--symbols", "20", "--rate", "5000", "--speed", "1x", "--seed", "2"]);
    let third = Venue::start(&three, &["--symbols", "5", "--messages", "300", "--speed", "max", "--at-end", "end"]);
    let dir = Dir::new();
    let (engine, lanes) = start(
        &dir,
        &[
            ("first", first.port, "XNAS", "marketfeed", ""),
            ("second", second.port, "XBOS", "marketfeed", ""),
            ("third", third.port, "XPSX", "marketfeed", "next_session_ms = 60000"),
        ],
    );
    for lane in &lanes[..2] {
        wait_until("data", || lane_counter(lane, LaneCounter::Published) > 500);
    }
    wait_until("the third one's end", || state(&lanes[2]) == FeedState::EndOfSession as u64);
    first.process.kill();
    wait_until("the first one's loss", || feed_counter(&lanes[0], FeedCounter::Disconnects) >= 1);
    let before = lane_counter(&lanes[1], LaneCounter::Published);
    wait_until("more of the second", || lane_counter(&lanes[1], LaneCounter::Published) > before + 1_000);
    assert_eq!((state(&lanes[1]), feed_counter(&lanes[1], FeedCounter::Logins)), (FeedState::Live as u64, 1));
    assert!(lanes.iter().all(|lane| lane.state() != Some(State::Closed)), "every lane is still there to be read");
    wait_until("its rate", || lane_counter(&lanes[1], LaneCounter::RatePerS) > 1_000);
    assert!(lane_counter(&lanes[1], LaneCounter::LagMaxNs) > 0);
    assert_eq!(lane_counter(&lanes[0], LaneCounter::Gaps) + lane_counter(&lanes[1], LaneCounter::Gaps), 0);
    assert!(engine.terminate().success());
    assert!(lanes.iter().all(|lane| lane.state() == Some(State::Closed)));
}

#[test]
fn instruments_of_several_lanes_have_ids_of_one_kind() {
    let dir = Dir::new();
    let (one, two) = (Dir::new(), Dir::new());
    let play = ["--symbols", "7", "--messages", "200", "--speed", "max", "--at-end", "hold"];
    let (a, b) = (Venue::start(&one, &play), Venue::start(&two, &play));
    let (_engine, lanes) =
        start(&dir, &[("a", a.port, "XNAS", "marketfeed", ""), ("b", b.port, "XBOS", "marketfeed", "")]);
    let mut ids = Vec::new();
    for lane in &lanes {
        wait_until("the directory", || lane.directory().count() == 7);
        ids.extend((0..7).map(|row| lane.directory().get(row).unwrap().instrument_id));
    }
    ids.sort_unstable();
    assert_eq!(ids, (0..14).collect::<Vec<_>>(), "the same symbols of two venues are fourteen instruments");
}

#[test]
fn plans_that_cannot_work_are_refused_with_the_reason() {
    let twice = [("a", 9, "XNAS", "marketfeed", ""), ("b", 10, "XNAS", "marketfeed", "")];
    let table: &[(&str, &[(&str, u16, &str, &str, &str)], &[&str])] = &[
        ("two writers of one instrument", &twice, &["b-feed", "a-feed", "one writer"]),
        ("no such dialect", &[("a", 9, "XNAS", "marketfeed", "dialect = \"x\"")], &["a-feed: dialect", "nasdaq-5.0"]),
        ("lines over TCP", &[("a", 9, "XNAS", "index", "lines = [{ address = \"127.0.0.1:5\" }]")], &["a-feed: lines"]),
    ];
    for (name, feeds, expected) in table {
        let dir = Dir::new();
        let config = write_config(&dir, feeds);
        let output = Command::new(program("ticklane-engine")).arg("--config").arg(config).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "case {name}: {text}");
        for part in *expected {
            assert!(text.contains(part), "case {name}: {text:?} lacks {part:?}");
        }
        assert!(std::fs::read_dir(dir.run()).unwrap().next().is_none(), "case {name}: nothing was made");
    }
}

#[test]
fn the_primary_is_reset_and_the_failover_goes_on_at_once() {
    let files = Dir::new();
    let file = crate::misfortunes::synthetic_day(&files, 20_000, 41);
    let messages = crate::misfortunes::messages_of(&file);
    let play = ["--file", file.to_str().unwrap(), "--speed", "max", "--at-end", "hold", "--session", "SAMEDAY"];
    let mut reset = play.to_vec();
    reset.extend(["--fault", "rst-list=200000"]);
    let (one, two) = (Dir::new(), Dir::new());
    let (primary, failover) = (Venue::start(&one, &reset), Venue::start(&two, &play));
    let dir = Dir::new();
    let options = EngineOptions { ports: vec![primary.port, failover.port], ..EngineOptions::to(0) };
    let engine = Engine::start(&dir, &options);
    let segment = engine.segment();
    let mut broke = None;
    let mut before = 0;
    wait_until("the reset", || {
        before = lane_counter(&segment, LaneCounter::Published);
        broke = (feed_counter(&segment, FeedCounter::Disconnects) == 1).then(Instant::now);
        broke.is_some()
    });
    wait_until("data of the failover", || lane_counter(&segment, LaneCounter::Published) > before);
    let took = broke.unwrap().elapsed();
    engine.wait_for_sequence(&segment, messages + 1);
    assert_eq!(lane_counter(&segment, LaneCounter::Published), messages);
    assert_eq!(lane_counter(&segment, LaneCounter::Gaps) + lane_counter(&segment, LaneCounter::Duplicates), 0);
    assert_eq!(feed_counter(&segment, FeedCounter::AddressIndex), 1, "it stays where it went");
    // No delay stands between them by design, so ten times the promise is far from any scheduler's whim.
    assert!(took < Duration::from_millis(2_500), "{took:?} from the reset to data of the failover");
}
