//! A reader across everything that can happen to its writer.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod common;

use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use common::{Engine, LANE, PATIENCE, SLOTS, brief, drain, head, plan, push, until};
use shm_abi::layout::State;
use shm_abi::record::{INSTRUMENT_NONE, gap_reason, kind, restart_reason};
use shm_abi::segment::{LaneLock, SegmentError, SleeperFlag, segment_file, wake_socket};
use shm_abi::sys::send_descriptor;
use ticklane_client::{ClientError, Cursor, Event, Lane, Options, Rejoin, Restarted, Start, VenueGap, Wait};

const OLDEST: Options =
    Options { start: Start::Oldest, on_lap: Rejoin::Latest, wait: Wait::Adaptive { spin_ns: 50_000 } };

fn at(cursor: Cursor) -> Options {
    Options { start: Start::At(cursor), ..OLDEST }
}

#[test]
fn follows_and_batches() {
    let mut engine = Engine::start();
    let mut reader = engine.reader(OLDEST);
    assert!(drain(&mut reader).is_empty());
    engine.orders(0..5);
    assert_eq!(reader.lag(), 5);
    assert_eq!(brief(&reader.next().unwrap()), "A0");
    let mut batch = Vec::new();
    assert_eq!(reader.poll_batch(2, |event| batch.push(brief(&event))).unwrap(), 2);
    assert_eq!(reader.next_batch(9, |event| batch.push(brief(&event))).unwrap(), 2);
    assert_eq!(batch, ["A1", "A2", "A3", "A4"]);
    assert_eq!(reader.poll_batch(9, |event| panic!("{event:?}")).unwrap(), 0);
    assert_eq!(reader.next_within(Duration::from_millis(1)).unwrap(), None);
}

#[test]
fn starts_where_it_is_told() {
    let mut engine = Engine::start();
    engine.orders(0..10);
    let start = |start| engine.reader(Options { start, ..OLDEST }).cursor().seq;
    assert_eq!((start(Start::Latest), start(Start::Oldest)), (10, 0));
    let cursor = |seq| Cursor { lane: engine.reader(OLDEST).cursor().lane, epoch: engine.epoch(), seq };
    assert_eq!((start(Start::At(cursor(4))), start(Start::At(cursor(10)))), (4, 10));
    let ahead = engine.attach().orders(at(cursor(11)));
    assert!(matches!(ahead, Err(ClientError::CursorAhead { seq: 11, ring: "orders", head: 10 })), "{ahead:?}");
    let other = Cursor { lane: "lane1.0000000000000001.0".parse::<Cursor>().unwrap().lane, ..cursor(0) };
    assert!(matches!(engine.attach().orders(at(other)), Err(ClientError::OtherLane { .. })));
}

#[test]
fn a_cursor_may_be_ahead_of_the_head_but_not_of_the_slots() {
    let mut engine = Engine::start();
    common::push_order(&mut engine.writer.orders, kind::ADD, 1, 1, 100, 10);
    let mut reader = engine.reader(OLDEST);
    assert_eq!(drain(&mut reader), ["A0"], "the head has not moved, the slot is whole");
    assert_eq!(engine.reader(at(reader.cursor())).cursor().seq, 1);
}

#[test]
fn resumes_from_a_cursor_of_another_process() {
    let mut engine = Engine::start();
    engine.orders(0..6);
    let mut first = engine.reader(OLDEST);
    assert_eq!(first.poll_batch(4, |_| ()).unwrap(), 4);
    let text = first.cursor().to_string();
    let mut second = engine.reader(at(text.parse().unwrap()));
    assert_eq!(drain(&mut second), ["A4", "A5"]);
}

#[test]
fn a_lap_is_exact() {
    let table = [
        // The head stands at 2 * SLOTS + 10; three quarters of the ring behind it is SLOTS * 5 / 4 + 10.
        ("latest", Rejoin::Latest, 3..=2 * SLOTS + 9),
        ("oldest", Rejoin::Oldest, 3..=SLOTS * 5 / 4 + 9),
    ];
    for (name, on_lap, lost) in table {
        let mut engine = Engine::start();
        let mut reader = engine.reader(Options { on_lap, ..OLDEST });
        engine.orders(0..3);
        assert_eq!(drain(&mut reader), ["A0", "A1", "A2"]);
        engine.orders(3..2 * SLOTS + 10);
        let first = brief(&reader.next_within(PATIENCE).unwrap().unwrap());
        assert_eq!(first, format!("lost {}..{}", lost.start(), lost.end()), "{name}");
        let rest = drain(&mut reader);
        let want: Vec<String> = (lost.end() + 1..2 * SLOTS + 10).map(|n| format!("A{n}")).collect();
        assert_eq!(rest, want, "{name}");
    }
}

#[test]
fn a_cursor_that_the_ring_no_longer_holds_declares_its_loss() {
    let mut engine = Engine::start();
    engine.orders(0..3);
    let cursor = engine.reader(OLDEST).cursor();
    engine.orders(3..SLOTS + 50);
    assert_eq!(
        brief(&engine.reader(at(cursor)).next_within(PATIENCE).unwrap().unwrap()),
        format!("lost 0..{}", SLOTS + 49)
    );
}

#[test]
fn gaps_of_the_venue_are_records() {
    let mut engine = Engine::start();
    let mut reader = engine.reader(OLDEST);
    push(&mut engine.writer.orders, head(kind::GAP, 0, INSTRUMENT_NONE), [5, 9, gap_reason::UNFILLED]);
    engine.orders([1]);
    let gap = VenueGap { first: 5, last: 9, reason: gap_reason::UNFILLED };
    assert_eq!(reader.next_within(PATIENCE).unwrap().unwrap().venue_gap(), Some(gap));
    assert_eq!(reader.next_within(PATIENCE).unwrap().unwrap().venue_gap(), None);
}

#[test]
fn drains_the_old_epoch_then_enters_the_new() {
    let mut engine = Engine::start();
    let mut reader = engine.reader(OLDEST);
    engine.orders(0..2);
    assert_eq!(drain(&mut reader), ["A0", "A1"]);
    engine.orders(2..6);
    let want = engine.restart(restart_reason::ENGINE);
    engine.orders(6..8);
    let mut restarted = None;
    let mut seen = Vec::new();
    while seen.len() < 8 {
        let event = reader.next_within(PATIENCE).unwrap().unwrap();
        if let Event::Restarted(event) = event {
            restarted = Some(event);
        }
        seen.push(brief(&event));
    }
    // The restart record has two slots: numbers 0 and 1.
    assert_eq!(seen, ["A2", "A3", "A4", "A5", "restarted at 6", "X0", "A2", "A3"]);
    let restarted = restarted.unwrap();
    assert_eq!(restarted, want);
    assert!(restarted.is_seamless());
    assert_eq!(reader.cursor().epoch, engine.epoch());
}

#[test]
fn waits_for_the_first_record_of_the_new_epoch() {
    let mut engine = Engine::start();
    let mut reader = engine.reader(OLDEST);
    engine.orders([1]);
    engine.silence();
    drop(engine.lock.take());
    let lock = LaneLock::take(engine.path(), LANE).unwrap();
    let old_epoch = engine.epoch();
    engine.writer = common::create(&lock, old_epoch);
    assert_eq!(drain(&mut reader), ["A0"]);
    assert_eq!(reader.next_within(Duration::from_millis(20)).unwrap(), None, "a new segment without a record");
    assert_eq!((reader.cursor().epoch, reader.cursor().seq), (old_epoch, 1), "still a place in the old one");
    engine.orders([2]);
    let Event::Restarted(restarted) = reader.next_within(PATIENCE).unwrap().unwrap() else { panic!("no restart") };
    // The first record is no restart record: nobody says where the old epoch ended.
    assert_eq!((restarted.old_end, restarted.lost(), restarted.is_seamless()), (None, None, false));
    assert_eq!(drain(&mut reader), ["A0"]);
}

#[test]
fn follows_one_restart_after_another() {
    let mut engine = Engine::start();
    let mut reader = engine.reader(OLDEST);
    for round in 0..3u64 {
        engine.orders([round]);
        let want = engine.restart(restart_reason::ENGINE);
        let seen = until(&mut reader, "X0");
        let tail = &seen[seen.len() - 2..];
        assert_eq!(tail, [format!("restarted at {}", want.drained_to), "X0".into()], "round {round}: {seen:?}");
    }
}

#[test]
fn a_cursor_of_the_epoch_before_tells_what_is_lost() {
    let mut engine = Engine::start();
    engine.orders(0..6);
    let mut reader = engine.reader(OLDEST);
    assert_eq!(reader.poll_batch(4, |_| ()).unwrap(), 4);
    let cursor = reader.cursor();
    let restarted = engine.restart(restart_reason::ENGINE);
    let mut late = engine.reader(at(cursor));
    assert_eq!(late.cursor(), cursor);
    let want = Restarted { drained_to: 4, ..restarted };
    assert_eq!(late.next_within(PATIENCE).unwrap().unwrap(), Event::Restarted(want));
    assert_eq!(want.lost(), Some((4, 5)));
    assert_eq!(until(&mut late, "X0"), ["X0"]);
}

#[test]
fn a_cursor_of_an_unknown_epoch_starts_anew_and_says_so() {
    let mut engine = Engine::start();
    engine.orders(0..2);
    let stranger = Cursor { epoch: engine.epoch() ^ 1, ..engine.reader(OLDEST).cursor() };
    let mut reader = engine.reader(at(stranger));
    let Event::Restarted(restarted) = reader.next_within(PATIENCE).unwrap().unwrap() else { panic!("no restart") };
    assert_eq!((restarted.old_epoch, restarted.new_epoch), (stranger.epoch, engine.epoch()));
    assert_eq!((restarted.old_end, restarted.is_seamless()), (None, false));
    assert_eq!(drain(&mut reader), ["A0", "A1"]);
}

#[test]
fn an_epoch_that_the_reader_never_saw_leaves_the_loss_unknown() {
    let mut engine = Engine::start();
    let mut reader = engine.reader(OLDEST);
    engine.orders(0..2);
    assert_eq!(drain(&mut reader), ["A0", "A1"]);
    let first = engine.restart(restart_reason::ENGINE);
    engine.orders(2..9);
    let second = engine.restart(restart_reason::ENGINE);
    let Event::Restarted(seen) = reader.next_within(PATIENCE).unwrap().unwrap() else { panic!("no restart") };
    // The newest engine tells where the epoch in between ended, not where this reader's did.
    assert_eq!((seen.old_epoch, seen.new_epoch), (first.old_epoch, second.new_epoch));
    assert_eq!((seen.old_end, seen.is_seamless()), (None, false));
}

#[test]
fn an_engine_without_a_predecessor_is_not_seamless() {
    let mut engine = Engine::start();
    let mut reader = engine.reader(OLDEST);
    engine.orders(0..2);
    let want = engine.restart(restart_reason::UNKNOWN);
    assert_eq!(until(&mut reader, "X0").last().unwrap(), "X0");
    assert_eq!((want.old_end, want.is_seamless()), (None, false));
}

#[test]
fn silence_begins_and_ends() {
    let mut engine = Engine::start();
    let mut reader = engine.reader(OLDEST);
    engine.orders([1]);
    engine.silence();
    assert_eq!(until(&mut reader, "silent"), ["A0", "silent"]);
    assert_eq!(reader.next_within(Duration::from_millis(10)).unwrap(), None, "said once");
    engine.beat();
    let deadline = Instant::now() + PATIENCE;
    let back = loop {
        assert!(Instant::now() < deadline);
        engine.beat();
        if let Some(event) = reader.next_within(Duration::from_millis(5)).unwrap() {
            break brief(&event);
        }
    };
    assert_eq!(back, "back");
}

#[test]
fn an_orderly_end_is_said_once_and_after_everything_else() {
    let mut engine = Engine::start();
    let mut reader = engine.reader(OLDEST);
    engine.orders(0..2);
    engine.writer.set_state(State::Closed);
    assert_eq!(until(&mut reader, "closed"), ["A0", "A1", "closed"]);
    engine.silence();
    assert_eq!(reader.next_within(Duration::from_millis(20)).unwrap(), None, "closed is not silent");
    engine.restart(restart_reason::ENGINE);
    assert_eq!(until(&mut reader, "X0"), ["restarted at 2", "X0"]);
}

#[test]
fn a_successor_of_another_version_is_an_error_that_names_both() {
    let mut engine = Engine::start();
    let mut reader = engine.reader(OLDEST);
    engine.orders([1]);
    engine.silence();
    // A segment as another release would make it: the same bytes with another version, under the same name.
    let path = engine.path().join(segment_file(LANE));
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[8..16].copy_from_slice(&(9u64 << 32 | 3).to_le_bytes());
    let other = engine.path().join("other");
    std::fs::write(&other, bytes).unwrap();
    std::fs::rename(&other, &path).unwrap();
    assert_eq!(brief(&reader.next_within(PATIENCE).unwrap().unwrap()), "A0", "the old mapping is drained first");
    let error = reader.next_within(PATIENCE).unwrap_err();
    assert!(matches!(error, ClientError::Successor(SegmentError::Version { found_major: 9, .. })), "{error}");
    assert!(error.to_string().contains("9.3") && error.to_string().contains("1.2"), "{error}");
}

#[test]
fn wakes_a_sleeper_by_its_flag() {
    let mut engine = Engine::start();
    let flag = SleeperFlag::create().unwrap();
    let socket = UnixListener::bind(engine.path().join(wake_socket(LANE))).unwrap();
    let mut reader = engine.reader(Options { wait: Wait::Adaptive { spin_ns: 0 }, ..OLDEST });
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let strategy = scope.spawn(|| {
            let first = brief(&reader.next().unwrap());
            done.store(true, Ordering::Release);
            (first, reader.wakes_by_flag())
        });
        send_descriptor(&accept(&socket), flag.file()).unwrap();
        // Bursts without records until the reader is asleep: only a sleeper sets the flag.
        let deadline = Instant::now() + PATIENCE;
        while !engine.writer.wake_sleepers(&flag) {
            assert!(Instant::now() < deadline, "nobody sleeps");
            engine.beat();
            std::thread::yield_now();
        }
        assert!(!done.load(Ordering::Acquire), "an empty burst is no event");
        engine.orders([1]);
        engine.writer.wake_sleepers(&flag);
        assert_eq!(strategy.join().unwrap(), ("A0".into(), true));
    });
}

/// The first connection, which must come.
fn accept(socket: &UnixListener) -> UnixStream {
    socket.set_nonblocking(true).unwrap();
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Ok((client, _)) = socket.accept() {
            return client;
        }
        assert!(Instant::now() < deadline, "nobody asks for the flag");
        std::thread::yield_now();
    }
}

#[test]
fn spins_without_sleeping() {
    let mut engine = Engine::start();
    let mut reader = engine.reader(Options { wait: Wait::Spin, ..OLDEST });
    std::thread::scope(|scope| {
        let strategy = scope.spawn(|| brief(&reader.next().unwrap()));
        engine.orders([1]);
        assert_eq!(strategy.join().unwrap(), "A0");
    });
}

#[test]
fn attaching() {
    let dir = tempfile::tempdir().unwrap();
    let error = Lane::attach(dir.path(), LANE).unwrap_err();
    assert!(matches!(error, ClientError::Segment(SegmentError::Missing { .. })), "{error}");
    let error = Lane::wait_for(dir.path(), LANE, Duration::from_millis(20)).unwrap_err();
    assert!(matches!(error, ClientError::NotInTime { .. }), "{error}");
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| Lane::wait_for(dir.path(), LANE, Duration::from_secs(20)));
        let lock = LaneLock::take(dir.path(), LANE).unwrap();
        let _writer = lock.create(&plan(), shm_abi::segment::Identity::random(0).unwrap()).unwrap();
        assert_eq!(waiting.join().unwrap().unwrap().name(), LANE);
    });
    std::fs::write(dir.path().join("x.seg"), [0; 8192]).unwrap();
    let error = Lane::wait_for(dir.path(), "x", Duration::from_secs(20)).unwrap_err();
    assert!(matches!(error, ClientError::Segment(SegmentError::NotASegment { .. })), "at once: {error}");
}
