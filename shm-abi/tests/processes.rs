//! Two processes: a writer at full speed, killed anywhere, and a reader that never gets half of anything.
//! Reliability rows 26, 27, 29; decisions.md 3 to 6.
//!
//! The other process is this program again: [`child_process`] plays the role that the environment names.
#![cfg(not(any(loom, miri)))]
#![allow(clippy::unwrap_used, reason = "in a test an unwrap is an assertion")]

mod common;

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixListener;
use std::os::unix::process::parent_id;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use common::{Numbers, assert_whole, mix, plan, runtime_dir, span_words, wait_for, words_of};
use shm_abi::board::{Level, RowError, RowImage};
use shm_abi::directory::Instrument;
use shm_abi::layout::{HEARTBEAT_LIMIT_NS, Layout, State, row};
use shm_abi::record::Side;
use shm_abi::ring::{CONTINUATION, LossReason, Polled, Rejoin, RingReader};
use shm_abi::segment::{
    Identity, LaneLock, LaneWriter, MappedRing, RingName, Segment, SleeperFlag, segment_file, wake_socket,
};
use shm_abi::slot::{SLOT_WORDS, stamp_open, stamp_whole};
use shm_abi::sys;

const ROLE: &str = "TICKLANE_TEST_ROLE";
const DIR: &str = "TICKLANE_TEST_DIR";
/// What a child says when it has come to where it is to be killed.
const STOPPED: &str = "stopped";
/// Events that a child writes before it stops half way through the next.
const WHOLE_EVENTS: u64 = 700;

/// This program again, in a role. Killed as `kill -9` does when the value goes, also by a failing test.
struct Running(Child);

impl Running {
    fn start(role: &str, dir: &Path) -> Running {
        let child = Command::new(std::env::current_exe().expect("this program has a name"))
            .args(["--exact", "child_process", "--nocapture", "--test-threads=1"])
            .env(ROLE, role)
            .env(DIR, dir)
            .stdout(Stdio::piped())
            .spawn();
        Running(child.expect("this program can be started again"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // An error means that it has ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Not a test of its own: the other process of those below.
#[test]
fn child_process() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let dir = PathBuf::from(std::env::var(DIR).expect("a role comes with a directory"));
    match role.as_str() {
        "sleeper" => sleep_through(&dir),
        "full speed" => write_until_killed(&dir),
        _ => stop_in_the_middle(&role, &dir),
    }
}

/// Makes the lane, going on from a predecessor if there is one.
fn make_lane(dir: &Path) -> LaneWriter {
    let lock = LaneLock::take(dir, "lane0").expect("the writer before is dead");
    let old_epoch = lock.predecessor().expect("ours").map_or(0, |segment| segment.identity().epoch);
    let mut writer = lock.create(&plan(), Identity::random(old_epoch).expect("random numbers")).expect("room");
    // The lock goes with the process.
    std::mem::forget(lock);
    writer.add_instrument(&Instrument::equity(7, b"AAPL", b"XNAS")).expect("the first of eight");
    write_event(&mut writer, &[1]);
    writer.set_state(State::Live);
    writer
}

/// One event as the engine writes it: the board row first, naming the number that the event's last record will have.
fn write_event(writer: &mut LaneWriter, spans: &[usize]) {
    let slots: usize = spans.iter().sum();
    let last = writer.market.next_number() + slots as u64 - spans[spans.len() - 1] as u64;
    let mut update = writer.board.update(0);
    for field in row::TS_EVENT..=row::OPEN_INTEREST {
        if field != row::TOUCH {
            update.set(field, mix(last, field));
        }
    }
    update.set(row::MARKET_N, last);
    for side in [Side::Bid, Side::Ask] {
        update.insert_level(side, 0, Level { price: last as i64, quantity: mix(last, 0), orders: last as u32 });
    }
    drop(update);
    for span in spans {
        writer.market.push_span(&words_of(writer.market.next_number(), span_words(*span)));
    }
    writer.market.commit();
}

/// Checks that every word of a row, and the best level of its window, come from one event.
fn assert_one_event(image: &RowImage) {
    let n = image.market_n();
    for field in row::TS_EVENT..=row::OPEN_INTEREST {
        if field != row::TOUCH {
            assert_eq!(image.word(field), mix(n, field), "word {field} of row at {n} is torn");
        }
    }
    for side in [Side::Bid, Side::Ask] {
        let best = Level { price: n as i64, quantity: mix(n, 0), orders: n as u32 };
        assert_eq!(image.window(side).next(), Some(best), "the window at {n} is torn");
    }
}

fn spans(numbers: &mut Numbers) -> Vec<usize> {
    (0..1 + numbers.below(3)).map(|_| if numbers.below(4) == 0 { 2 + numbers.below(6) as usize } else { 1 }).collect()
}

fn write_until_killed(dir: &Path) {
    let mut writer = make_lane(dir);
    let mut numbers = Numbers(1);
    let parent = parent_id();
    // Nobody is left to kill us when the parent was killed itself.
    while parent_id() == parent {
        for _ in 0..1 + numbers.below(64) {
            write_event(&mut writer, &spans(&mut numbers));
        }
        writer.publish_heads();
        writer.heartbeat(sys::monotonic_ns());
    }
}

/// Writes some whole events, then half of one, and waits there to be killed.
fn stop_in_the_middle(place: &str, dir: &Path) {
    let mut writer = make_lane(dir);
    for _ in 0..WHOLE_EVENTS {
        write_event(&mut writer, &[1, 2]);
    }
    writer.publish_heads();
    writer.heartbeat(sys::monotonic_ns());
    // The same file by another way: half a slot cannot be written through the ring's own door.
    let layout = Layout::of(&plan()).expect("the plan works");
    let file = fs::OpenOptions::new().write(true).open(dir.join(segment_file("lane0"))).expect("our file");
    let n = writer.market.next_number();
    let set = |n: u64, word: usize, value: u64| {
        let at = layout.market as u64 + n % 1024 * 64 + word as u64 * 8;
        file.write_all_at(&value.to_le_bytes(), at).expect("our file");
    };
    match place {
        "mid-slot" => {
            set(n, 0, stamp_open(n));
            for (index, word) in words_of(n, SLOT_WORDS / 2).into_iter().enumerate() {
                set(n, 1 + index, word);
            }
        }
        "mid-record" => {
            writer.market.push_span(&words_of(n, span_words(4)));
            for m in n + 2..n + 4 {
                set(m, 0, stamp_whole(m));
            }
        }
        "mid-event" => {
            writer.market.push(&words_of(n, SLOT_WORDS).try_into().expect("one slot"));
            writer.market.push(&words_of(n + 1, SLOT_WORDS).try_into().expect("one slot"));
            set(n + 1, 0, stamp_whole(n + 1));
        }
        "mid-row" => {
            let mut update = writer.board.update(0);
            update.set(row::BID_PRICE, 1);
            update.insert_level(Side::Bid, 0, Level { price: 1, quantity: 1, orders: 1 });
            // Never dropped, so never whole.
            std::mem::forget(update);
        }
        _ => panic!("no such role: {place}"),
    }
    println!("\n{STOPPED}");
    // Until the parent kills us, or has gone itself.
    let parent = parent_id();
    wait_for("being killed", || (parent_id() != parent).then_some(()));
}

/// What a reader got: every number is either delivered or lost.
struct Account {
    reader: RingReader<MappedRing>,
    delivered: u64,
    lost: u64,
    records: u64,
}

impl Account {
    fn new(segment: &Segment, rejoin: Rejoin) -> Account {
        Account { reader: segment.read_from(RingName::Market, 0, rejoin), delivered: 0, lost: 0, records: 0 }
    }

    /// Looks once; whatever comes must be whole and continue where the last look ended. Whether there was anything.
    fn look(&mut self) -> bool {
        let expected = self.reader.cursor();
        assert_eq!(self.delivered + self.lost, expected, "numbers appeared or vanished");
        match self.reader.poll() {
            Polled::Empty => return false,
            Polled::Record { n, words } => {
                assert_eq!(n, expected);
                assert_whole(n, words);
                let span = (words[0] >> 16) as u8;
                assert_eq!(words.len(), span_words(span.into()));
                self.delivered += u64::from(span);
                self.records += 1;
            }
            Polled::Lost(lost) => {
                // A writer that has filled the ring with an open event may leave a rejoining reader in mid-record.
                assert_eq!((lost.first, lost.reason), (expected, LossReason::Lapped));
                assert!(lost.last >= lost.first);
                self.lost += lost.last - lost.first + 1;
            }
        }
        true
    }
}

/// The segment of a writer that has just started: not the one before it.
fn new_segment(dir: &Path, before: Option<&Segment>) -> Segment {
    wait_for("a new segment that is live", || {
        let segment = Segment::open(dir, "lane0").ok()?;
        let new = before.is_none_or(|old| old.identity().incarnation != segment.identity().incarnation);
        (new && segment.state() == Some(State::Live)).then_some(segment)
    })
}

/// Killed at random moments, again and again: nothing torn is ever seen, every number is accounted for, silence shows.
#[test]
fn a_writer_killed_at_random_moments_leaves_nothing_torn() {
    let kills: u64 = std::env::var("TICKLANE_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(20);
    let dir = runtime_dir();
    let mut numbers = Numbers(26);
    let mut before: Option<Segment> = None;
    let (mut records, mut lost, mut rows, mut dead_rows) = (0, 0, 0, 0);
    for round in 0..kills {
        let child = Running::start("full speed", dir.path());
        let segment = new_segment(dir.path(), before.as_ref());
        if let Some(old) = &before {
            assert_eq!(segment.identity().old_epoch, old.identity().epoch, "the predecessor was not found");
            assert_ne!(segment.identity().epoch, old.identity().epoch);
        }
        let rejoin = if round % 2 == 0 { Rejoin::Latest } else { Rejoin::Oldest };
        let mut account = Account::new(&segment, rejoin);
        let (board, mut image) = (segment.board(), RowImage::default());
        // By the writer's progress, not by our own looks: the two must have run side by side.
        let killed_at = numbers.below(500_000);
        while account.reader.cursor() < killed_at {
            account.look();
            if board.read(0, &mut image, || true).is_ok() {
                assert_one_event(&image);
                rows += 1;
            }
        }
        drop(child);
        while account.look() {}
        assert!(account.reader.cursor() >= account.reader.head(), "something below the head cannot be read");
        wait_for("the writer's silence", || (!segment.writer_alive()).then_some(()));
        assert!(segment.heartbeat_age_ns() > HEARTBEAT_LIMIT_NS);
        match board.read(0, &mut image, || segment.writer_alive()) {
            Ok(()) => assert_one_event(&image),
            Err(RowError::WriterDead) => dead_rows += 1,
            Err(error) => panic!("{error}"),
        }
        records += account.records;
        lost += account.lost;
        before = Some(segment);
    }
    println!(
        "{kills} kills: {records} records, {lost} numbers lost to laps, {rows} rows, torn: 0; {dead_rows} half rows"
    );
    assert!(records > 0 && rows > 0);
}

/// Stopped between two stores of one slot, record, event or row, and killed there.
#[test]
fn a_writer_killed_half_way_is_never_read_half_way() {
    for place in ["mid-slot", "mid-record", "mid-event", "mid-row"] {
        let dir = runtime_dir();
        let mut child = Running::start(place, dir.path());
        let output = BufReader::new(child.0.stdout.take().expect("it is piped"));
        assert!(output.lines().any(|line| line.expect("text") == STOPPED), "{place}: the child ended");
        let segment = Segment::open(dir.path(), "lane0").unwrap();
        drop(child);

        // What was whole is there, also for a reader that the half event has partly overwritten.
        let end = 1 + 3 * WHOLE_EVENTS;
        for rejoin in [Rejoin::Latest, Rejoin::Oldest] {
            let mut account = Account::new(&segment, rejoin);
            while account.look() {}
            assert_eq!(account.reader.cursor(), end, "{place}: something that was never whole was read");
            assert_eq!(account.records > 0, rejoin == Rejoin::Oldest, "{place}");
        }
        for n in end - 3..end + 8 {
            let mut reader = segment.read_from(RingName::Market, n, Rejoin::Latest);
            match reader.poll() {
                Polled::Record { n, words } => assert_whole(n, words),
                // Only a cursor that was put into the middle of a record by hand can see a part of one.
                Polled::Lost(lost) => assert_eq!((lost.first, lost.last), (n, n), "{place}"),
                Polled::Empty => assert!(n >= end),
            }
        }
        wait_for("the writer's silence", || (!segment.writer_alive()).then_some(()));
        let mut image = RowImage::default();
        let read = segment.board().read(0, &mut image, || segment.writer_alive());
        if place == "mid-row" {
            assert_eq!(read, Err(RowError::WriterDead));
        } else {
            assert_eq!(read, Ok(()), "{place}");
            assert_one_event(&image);
        }

        // The lane is free again, and what was whole is known to the next writer.
        let lock = LaneLock::take(dir.path(), "lane0").expect("the lock went with the process");
        let predecessor = lock.predecessor().unwrap().expect("it is whole");
        assert_eq!(predecessor.join(RingName::Market, Rejoin::Latest).cursor(), end);
    }
    assert_eq!(CONTINUATION, 0x80);
}

/// Reads `SLEEPS` records, sleeping whenever there is none.
fn sleep_through(dir: &Path) {
    let segment = Segment::open(dir, "lane0").expect("the parent has made it");
    let sleepers = SleeperFlag::request(dir, "lane0").expect("the parent listens");
    let mut account = Account::new(&segment, Rejoin::Latest);
    let parent = parent_id();
    while account.records < SLEEPS && parent_id() == parent {
        if account.look() {
            continue;
        }
        let seen = segment.announce_sleep(&sleepers);
        if !account.reader.is_ready() {
            segment.sleep(seen);
        }
    }
    assert_eq!(account.lost, 0);
}

const SLEEPS: u64 = 200;

#[test]
fn a_sleeping_reader_in_another_process_is_woken() {
    let dir = runtime_dir();
    let lock = LaneLock::take(dir.path(), "lane0").unwrap();
    let mut writer = lock.create(&plan(), Identity::random(0).unwrap()).unwrap();
    let sleepers = SleeperFlag::create().unwrap();
    assert!(!writer.wake_sleepers(&sleepers), "nobody sleeps yet");
    let listener = UnixListener::bind(dir.path().join(wake_socket("lane0"))).unwrap();
    let mut child = Running::start("sleeper", dir.path());
    let (socket, _) = listener.accept().unwrap();
    sys::send_descriptor(&socket, sleepers.file()).unwrap();
    for n in 0..SLEEPS {
        // Somebody has announced a sleep: only then does the next record come.
        wait_for("a sleeper", || writer.wake_sleepers(&sleepers).then_some(()));
        writer.market.push(&words_of(n, SLOT_WORDS).try_into().unwrap());
        writer.market.commit();
        writer.publish_heads();
        writer.wake_sleepers(&sleepers);
    }
    assert!(child.0.wait().unwrap().success());
    assert!(writer.counters.get(shm_abi::counters::LaneCounter::Wakes) >= SLEEPS);
}

#[test]
fn only_a_sleeper_page_is_taken_for_one() {
    let dir = runtime_dir();
    let path = dir.path().join("other");
    fs::write(&path, [0; 100]).unwrap();
    let other = fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
    let error = SleeperFlag::from_file(other.into()).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);

    let sleepers = SleeperFlag::create().unwrap();
    let page = fs::File::from(sleepers.file().try_clone().unwrap());
    for len in [0, 100, 8192] {
        assert!(page.set_len(len).is_err(), "a holder could make another one fault");
    }
    SleeperFlag::from_file(page.into()).unwrap();

    // A peer that sends a byte and no descriptor.
    let (ours, mut theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    std::io::Write::write_all(&mut theirs, b"x").unwrap();
    assert_eq!(sys::receive_descriptor(&ours).unwrap_err().kind(), std::io::ErrorKind::InvalidData);
    drop(theirs);
    assert!(sys::receive_descriptor(&ours).is_err(), "a peer that has gone");
    assert!(SleeperFlag::request(dir.path(), "lane0").is_err(), "nobody listens");
}
