//! The recording of the bus, under engines that end in order and engines that are killed: what readers saw is on disk,
//! under the same numbers, once.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use journal::book::Books;
use journal::image::{books_at, load};
use journal::{Entry, Journal, RINGS, ring_index};
use shm_abi::counters::{JournalCounter, LaneCounter};
use shm_abi::record::{Body, Record};
use shm_abi::ring::{Polled, Rejoin};
use shm_abi::segment::{RingName, Segment};

use crate::harness::{Dir, Engine, EngineOptions, Venue, can, lane_counter, random, skipped, wait_until};
use crate::misfortunes::{messages_of, synthetic_day};

const RECORDED: &str = "[journal]\nenabled = true";

/// Numbers and words of records.
type Raw = Vec<(u64, Vec<u64>)>;

/// What a segment's ring has, which nobody laps.
fn raw(segment: &Segment, ring: RingName) -> Raw {
    let mut reader = segment.read_from(ring, 0, Rejoin::Oldest);
    let mut records = Vec::new();
    loop {
        match reader.poll() {
            Polled::Empty => return records,
            Polled::Record { n, words } => records.push((n, words.to_vec())),
            Polled::Lost(lost) => panic!("{} ring: {lost:?}", ring.name()),
        }
    }
}

/// What the journal in a folder has of a ring, by epoch, and the numbers of the holes in it.
fn journalled(folder: &Path, ring: RingName) -> (BTreeMap<u64, Raw>, Vec<RangeInclusive<u64>>) {
    let journal = Journal::open(folder).unwrap();
    assert_eq!(journal.refused(), []);
    let mut reader = journal.oldest(ring);
    let (mut epochs, mut holes) = (BTreeMap::<u64, Raw>::new(), Vec::new());
    let mut epoch = None;
    loop {
        match reader.next().unwrap() {
            None => return (epochs, holes),
            Some(Entry::Epoch(step)) => epoch = Some(step.new_epoch),
            Some(Entry::Hole(hole)) => holes.push(hole.first..=hole.last),
            Some(Entry::Record { n, words }) => {
                let record = (n, words.to_vec());
                let epoch = *epoch.get_or_insert_with(|| journal.epochs()[0]);
                epochs.entry(epoch).or_default().push(record);
            }
        }
    }
}

fn folder(dir: &Dir) -> PathBuf {
    dir.path("state/journal/lane0")
}

fn head(segment: &Segment, ring: RingName) -> u64 {
    segment.join(ring, Rejoin::Latest).head()
}

fn assert_same(name: &str, got: &[(u64, Vec<u64>)], want: &[(u64, Vec<u64>)]) {
    if let Some(at) = got.iter().zip(want).position(|(got, want)| got != want) {
        panic!("{name}: record {at} differs:\n got {:x?}\nwant {:x?}", got[at], want[at]);
    }
    assert_eq!(got.len(), want.len(), "{name}");
}

#[test]
fn the_journal_has_what_the_rings_showed_and_says_up_to_where_it_is_on_disk() {
    let dir = Dir::new();
    let file = synthetic_day(&dir, 20_000, 11);
    let venue = Venue::start(&dir, &["--file", file.to_str().unwrap(), "--speed", "max", "--at-end", "hold"]);
    let engine = Engine::start(&dir, &EngineOptions { engine: RECORDED, ..EngineOptions::to(venue.port) });
    let segment = engine.segment();
    engine.wait_for_sequence(&segment, messages_of(&file) + 1);
    let durable = [JournalCounter::DurableOrders, JournalCounter::DurableMarket];
    for (ring, counter) in RINGS.into_iter().zip(durable) {
        wait_until("everything to be on disk", || segment.journal_counters().journal(counter) == head(&segment, ring));
    }
    let count = |counter| segment.journal_counters().journal(counter);
    assert_eq!(
        (count(JournalCounter::State), count(JournalCounter::Holes), count(JournalCounter::Refusals)),
        (1, 0, 0)
    );
    // Not only what was closed in order can be read: the journal is read while it is being written.
    for ring in RINGS {
        let (mut epochs, holes) = journalled(&folder(&dir), ring);
        assert_eq!(holes, []);
        let seen = epochs.remove(&segment.identity().epoch).unwrap();
        assert_same(ring.name(), &seen, &raw(&segment, ring)[..seen.len()]);
        assert!(seen.len() > 1_000);
    }
    assert!(engine.process.terminate().success());
    assert_eq!(count(JournalCounter::State), 5, "ended");
    for ring in RINGS {
        let (epochs, holes) = journalled(&folder(&dir), ring);
        assert_eq!((epochs.len(), holes.len()), (1, 0));
        assert_same(ring.name(), &epochs[&segment.identity().epoch], &raw(&segment, ring));
    }
}

#[test]
fn images_of_the_books_are_in_the_journal_and_lead_to_the_books_of_its_end() {
    let dir = Dir::new();
    let file = synthetic_day(&dir, 20_000, 15);
    let venue = Venue::start(&dir, &["--file", file.to_str().unwrap(), "--speed", "max", "--at-end", "hold"]);
    let often = "[journal]\nenabled = true\n[journal.limits]\nimage_interval_s = 1";
    let engine = Engine::start(&dir, &EngineOptions { engine: often, ..EngineOptions::to(venue.port) });
    let segment = engine.segment();
    engine.wait_for_sequence(&segment, messages_of(&file) + 1);
    wait_until("an image", || segment.journal_counters().journal(JournalCounter::Images) > 0);
    assert!(engine.process.terminate().success());
    let (journal, epoch) = (Journal::open(folder(&dir)).unwrap(), segment.identity().epoch);
    let (image, n, _) = load(&journal, epoch, u64::MAX, 1 << 20).unwrap().expect("an image");
    assert!(n > 0);
    let end = head(&segment, RingName::Orders);
    let (books, _) = books_at(&journal, epoch, end, 1 << 20).unwrap();
    let mut whole = Books::new(true, 1 << 20);
    let mut reader = journal.oldest(RingName::Orders);
    let mut at_image = None;
    loop {
        if reader.next_number() == n {
            at_image = Some(whole.live());
        }
        match reader.next().unwrap() {
            Some(entry) => whole.apply(&entry),
            None => break,
        }
    }
    assert_eq!((Some(image.live()), books.live()), (at_image, whole.live()));
    assert_eq!(books.unseen_complete(), whole.unseen_complete());
}

#[test]
fn engines_are_killed_and_the_journal_has_every_record_once() {
    let dir = Dir::new();
    let file = synthetic_day(&dir, 60_000, 12);
    let messages = messages_of(&file);
    let venue = Venue::start(&dir, &["--file", file.to_str().unwrap(), "--speed", "max", "--at-end", "hold"]);
    let mut state = 0x6a6f_7572_6e61_6c00;
    let mut lives: Vec<Segment> = Vec::new();
    let mut sequence = 1;
    while sequence <= messages {
        let engine = Engine::start(&dir, &EngineOptions { engine: RECORDED, ..EngineOptions::to(venue.port) });
        let mut segment = engine.segment();
        wait_until("the engine's own segment", || {
            segment = engine.segment();
            segment.writer_pid() == u64::from(engine.process.id())
        });
        lives.push(segment.clone());
        // Some die while they rebuild, or before their journal has begun.
        sequence += random(&mut state) % (messages / 5);
        if sequence > messages {
            engine.wait_for_sequence(&segment, messages + 1);
            assert!(engine.process.terminate().success());
        } else {
            let done = |segment: &Segment| {
                lane_counter(segment, LaneCounter::Published) + lane_counter(segment, LaneCounter::Rebuilt)
            };
            wait_until("messages", || done(&segment) >= sequence.saturating_sub(2_000));
            engine.process.kill();
        }
    }
    assert!(lives.len() > 4);
    for ring in RINGS {
        let (epochs, holes) = journalled(&folder(&dir), ring);
        assert_eq!(holes, [], "{}", ring.name());
        for (index, life) in lives.iter().enumerate() {
            let all = raw(life, ring);
            // Where this life ended by the word of the next: what it showed after that is void.
            let end = lives.get(index + 1).map_or(u64::MAX, |next| {
                let (n, words) = raw(next, ring).remove(0);
                let Some(Body::Restart(restart)) = Record::new(n, &words).map(|record| record.body()) else {
                    panic!("a life begins with its restart")
                };
                assert_eq!(restart.old_epoch, life.identity().epoch);
                restart.old_end
            });
            let valid = all.iter().take_while(|(n, _)| *n < end).count();
            let name = format!("{} ring of life {index}, index {}", ring.name(), ring_index(ring));
            let got = epochs.get(&life.identity().epoch).unwrap_or_else(|| panic!("{name}: nothing recorded"));
            assert!(got.len() >= valid && got.len() <= all.len(), "{name}: {} of {valid}", got.len());
            assert_same(&name, got, &all[..got.len()]);
        }
        assert_eq!(epochs.len(), lives.len(), "no epoch but those");
    }
}

/// Row 47 of reliability.md.
#[test]
fn a_full_disk_costs_declared_holes_and_the_feed_goes_on() {
    let test = "a_full_disk_costs_declared_holes_and_the_feed_goes_on";
    let dir = Dir::new();
    let disk = dir.path("state/journal");
    std::fs::create_dir_all(&disk).unwrap();
    let disk = disk.to_str().unwrap();
    let mount = "mount -t tmpfs -o size=1m none \"$0\" && exec \"$@\"";
    let wrapper = ["unshare", "-m", "sh", "-c", mount, disk];
    if !can("unshare", &["-m", "sh", "-c", mount, disk, "true"]) || !can("nsenter", &["--version"]) {
        return skipped("no mount namespace of our own", test);
    }
    let file = synthetic_day(&dir, 150_000, 13);
    let messages = messages_of(&file);
    let venue = Venue::start(&dir, &["--file", file.to_str().unwrap(), "--speed", "max", "--at-end", "hold"]);
    let small = "[journal]\nenabled = true\n[journal.limits]\nblock_bytes = 16384\nbuffer_bytes = 131072\n\
                 retry_interval_ms = 20\nimage_interval_s = 0";
    let options = EngineOptions { engine: small, ..EngineOptions::to(venue.port) };
    let engine = Engine::start_under(&dir, &options, &wrapper);
    let segment = engine.segment();
    // All of the day is published, whatever the disk does.
    engine.wait_for_sequence(&segment, messages + 1);
    let count = |counter| segment.journal_counters().journal(counter);
    wait_until("the disk to be full", || count(JournalCounter::State) == 3);
    wait_until("what was beyond the ring to be given up", || count(JournalCounter::MissingSlots) > 0);
    assert!(count(JournalCounter::Refusals) > 0);
    let inside = |command: &[&str]| {
        let pid = engine.process.id().to_string();
        can("nsenter", &[&["-t", &pid, "-m"], command].concat())
    };
    assert!(inside(&["mount", "-o", "remount,size=64m", disk]), "room is made");
    for (ring, counter) in RINGS.into_iter().zip([JournalCounter::DurableOrders, JournalCounter::DurableMarket]) {
        wait_until("the rest to be on disk", || count(counter) == head(&segment, ring));
    }
    wait_until("the disk to be as it should", || count(JournalCounter::State) == 1);
    assert_tiled(&engine, disk, &segment);
}

/// Records and holes tile the numbers, nothing is left out without a word, nothing is there twice, and what is missing is
/// counted. `disk` is where the engine sees the journal.
fn assert_tiled(engine: &Engine, disk: &str, segment: &Segment) {
    let count = |counter| segment.journal_counters().journal(counter);
    let path = format!("/proc/{}/root{disk}/lane0", engine.process.id());
    let mut missing = 0;
    for ring in RINGS {
        let (epochs, holes) = journalled(Path::new(&path), ring);
        let records = epochs[&segment.identity().epoch].iter();
        let mut tiles: Vec<(u64, u64)> =
            records.map(|(n, words)| (*n, n + u64::from(Record::new(*n, words).unwrap().head.span))).collect();
        tiles.extend(holes.iter().map(|hole| (*hole.start(), hole.end() + 1)));
        tiles.sort_unstable();
        let end = tiles.iter().fold(0, |next, (first, end)| {
            assert_eq!(*first, next, "{} ring", ring.name());
            *end
        });
        assert_eq!(end, head(segment, ring));
        missing += holes.iter().map(|hole| hole.end() - hole.start() + 1).sum::<u64>();
    }
    assert_eq!(missing, count(JournalCounter::MissingSlots), "what is missing is declared and counted");
}

/// A frozen file system thaws whatever happens: who waits for it cannot even be killed.
struct Frozen<'p> {
    path: &'p str,
    pid: String,
}

impl<'p> Frozen<'p> {
    fn new(path: &'p str, process: u32) -> Frozen<'p> {
        let pid = process.to_string();
        assert!(can("nsenter", &["-t", &pid, "-m", "fsfreeze", "-f", path]), "the disk stops");
        Frozen { path, pid }
    }
}

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        can("nsenter", &["-t", &self.pid, "-m", "fsfreeze", "-u", self.path]);
    }
}

/// Row 48 of reliability.md.
#[test]
fn a_disk_that_stands_still_never_holds_the_feed_up() {
    let test = "a_disk_that_stands_still_never_holds_the_feed_up";
    let dir = Dir::new();
    let image = dir.path("disk.img");
    let disk = dir.path("state/journal");
    std::fs::create_dir_all(&disk).unwrap();
    let (image, disk) = (image.to_str().unwrap(), disk.to_str().unwrap());
    let made = can("truncate", &["-s", "64M", image]) && can("mkfs.ext4", &["-q", image]);
    let mount = "mount -o loop \"$0\" \"$1\" && shift && exec \"$@\"";
    let wrapper = ["unshare", "-m", "sh", "-c", mount, image, disk];
    if !made || !can("unshare", &["-m", "sh", "-c", mount, image, disk, "fsfreeze", "--version"]) {
        return skipped("no file system of our own to stop", test);
    }
    let file = synthetic_day(&dir, 150_000, 14);
    let messages = messages_of(&file);
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let small = "[journal]\nenabled = true\n[journal.limits]\nblock_bytes = 16384\nbuffer_bytes = 131072\n\
                 slow_after_ms = 20\nimage_interval_s = 0";
    let options = EngineOptions { engine: small, ..EngineOptions::to(port) };
    let engine = Engine::start_under(&dir, &options, &wrapper);
    let segment = engine.segment();
    let count = |counter| segment.journal_counters().journal(counter);
    wait_until("the first record to be on disk", || count(JournalCounter::DurableMarket) > 0);
    let frozen = Frozen::new(disk, engine.process.id());
    let arguments = ["--file", file.to_str().unwrap(), "--speed", "max", "--at-end", "hold"];
    let _venue = Venue::start_at(&dir, &format!("127.0.0.1:{port}"), &arguments);
    engine.wait_for_sequence(&segment, messages + 1);
    wait_until("the disk to count as slow", || count(JournalCounter::State) == 2);
    wait_until("what was beyond the ring to be given up", || count(JournalCounter::LagOrders) > 0);
    drop(frozen);
    for (ring, counter) in RINGS.into_iter().zip([JournalCounter::DurableOrders, JournalCounter::DurableMarket]) {
        wait_until("the rest to be on disk", || count(counter) == head(&segment, ring));
    }
    wait_until("the disk to be as it should", || count(JournalCounter::State) == 1);
    assert_eq!(count(JournalCounter::Refusals), 0);
    assert!(count(JournalCounter::SlowTimes) > 0 && count(JournalCounter::MissingSlots) > 0);
    assert_tiled(&engine, disk, &segment);
}
