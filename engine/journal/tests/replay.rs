//! Recordings through a lane again: what is recognised, seams between epochs, events that are cut, and no allocation.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use common::*;
use journal::disk::{FsFolder, MemoryFolder, drive};
use journal::replay::{Missing, OpenError, Republisher, Source, SourceOptions, Start, Step};
use journal::writer::Writer;
use journal::{Digest, Journal, RINGS, Recovered, recover};
use shm_abi::layout::Plan;
use shm_abi::record::{Body, Record, Restart, flag, gap_reason, kind, restart_body, restart_reason};
use shm_abi::ring::{Polled, Rejoin};
use shm_abi::segment::{LaneWriter, RingName};

thread_local! {
    /// Allocations of this thread; other threads are the test harness's own.
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: every call goes to the system's allocator with the same arguments; counting touches a thread-local that needs
// neither allocation nor destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promises are the system allocator's.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: as above; `place` came from `alloc`, that is, from the system's allocator.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn lane() -> LaneWriter {
    let plan =
        Plan { lane: "test".into(), orders_slots: 1024, market_slots: 1024, instruments: 8, depth_bytes: 1 << 16 };
    LaneWriter::anonymous(&plan).unwrap()
}

/// What a replay's rings told, orders first, and the holes that its source gave.
fn replayed(journal: &Journal) -> ([Vec<Vec<u64>>; 2], Vec<Missing>) {
    let (mut lane, mut republisher) = (lane(), Republisher::new(8));
    let mut source = Source::of_journal(journal, &SourceOptions::default()).unwrap();
    let mut readers = RINGS.map(|ring| lane.reader().read_from(ring, 0, Rejoin::Oldest));
    let (mut seen, mut missing) = ([Vec::new(), Vec::new()], Vec::new());
    let mut over = false;
    while !over {
        match source.next().unwrap() {
            None => {
                republisher.finish(&mut lane);
                over = true;
            }
            Some(step) => {
                if let Step::Missing(hole) = step {
                    missing.push(hole);
                }
                republisher.take(&step, &mut lane).unwrap();
            }
        }
        for (reader, seen) in readers.iter_mut().zip(&mut seen) {
            while let Polled::Record { words, .. } = reader.poll() {
                seen.push(words.to_vec());
            }
        }
    }
    (seen, missing)
}

fn is_hole(words: &[u64]) -> bool {
    matches!(Record::new(0, words).unwrap().body(), Body::Gap { reason: gap_reason::RECORDING, .. })
}

#[test]
fn random_recordings_come_back_word_for_word_with_their_holes_declared() {
    for seed in 0..20 {
        let mut recording = Recording::new(&small());
        random(&mut recording, &mut Rng(seed), 400);
        recording.finish();
        let (seen, missing) = replayed(&open(&recording.disk));
        for (at, ring) in RINGS.into_iter().enumerate() {
            // As they were given: a record, or a hole for as many as are missing in a row.
            let want: Vec<Option<&Vec<u64>>> = recording.model[at]
                .iter()
                .map(|got| if let Got::Record(_, words) = got { Some(words) } else { None })
                .collect();
            let mut got: Vec<Option<&Vec<u64>>> =
                seen[at].iter().map(|words| (!is_hole(words)).then_some(words)).collect();
            got.dedup_by(|a, b| a.is_none() && b.is_none());
            assert!(got == want, "seed {seed}, {ring:?}");
            let slots: u64 = missing.iter().filter(|hole| hole.ring == ring).map(|hole| hole.slots).sum();
            let lost = recording.model[at].iter().map(|got| match got {
                Got::Hole(first, last, _) => last - first + 1,
                _ => 0,
            });
            assert_eq!(slots, lost.sum::<u64>(), "seed {seed}, {ring:?}");
        }
    }
}

/// Two epochs of one lane: the second begins with a restart that says where the first ended.
fn two_epochs(old_epoch: u64, old_end: u64) -> Journal {
    let folder = MemoryFolder::default();
    let mut known = Recovered::default();
    for (epoch, first) in [(7, 0), (8, 1)] {
        let mut disk = folder.clone();
        let mut writer = Writer::new(small(), "test", &known, source(epoch), at(first)).unwrap();
        for ring in RINGS {
            let mut n = 0;
            if first > 0 {
                let mut words = record(kind::RESTART, u32::MAX, 2, T0 + MS, [0; 3], 12);
                let restart = Restart {
                    old_epoch,
                    old_end,
                    session: [b' '; 16],
                    venue_sequence: 12,
                    reason: restart_reason::ENGINE,
                };
                words[4..10].copy_from_slice(&restart_body(&restart));
                assert!(writer.push(ring, 0, &words));
                n = 2;
            }
            for i in 0..10 {
                assert!(writer.push(ring, n + i, &add(1, 1 + 12 * first + i, T0 + first * MS + 1 + i)));
            }
        }
        writer.finish();
        drive(&mut writer, &mut disk, at(2));
        known = recover(std::sync::Arc::new(folder.clone()), "test").unwrap();
    }
    open(&folder)
}

#[test]
fn epochs_that_join_leave_no_trace_and_others_a_hole() {
    let (seen, missing) = replayed(&two_epochs(7, 10));
    assert!(missing.is_empty(), "{missing:?}");
    assert_eq!(seen.each_ref().map(Vec::len), [21, 21]);
    // Both rings come to the new epoch before either goes on.
    for (old_epoch, old_end, slots) in [(7, 15, 5), (6, 10, 0)] {
        let (seen, missing) = replayed(&two_epochs(old_epoch, old_end));
        assert_eq!(
            missing.iter().map(|hole| (hole.ring, hole.slots)).collect::<Vec<_>>(),
            [(RingName::Orders, slots), (RingName::Market, slots)]
        );
        for seen in seen {
            assert_eq!(seen.iter().map(|words| is_hole(words)).filter(|hole| *hole).count(), 1);
            assert!(is_hole(&seen[10]) && seen[11][0] as u8 == kind::RESTART, "before what follows");
            let Body::Gap { first, last, .. } = Record::new(0, &seen[10]).unwrap().body() else { panic!() };
            assert_eq!((first, last), (11, 12), "as far as the restart tells");
        }
    }
}

#[test]
fn an_event_without_an_end_does_not_stop_a_ring() {
    let mut recording = Recording::new(&small());
    for id in 0..5_000 {
        let mut words = add(1, id, T0 + id);
        words[0] &= !(u64::from(flag::LAST) << 8);
        recording.push(RingName::Orders, &words);
        recording.drive();
    }
    recording.finish();
    let (seen, missing) = replayed(&open(&recording.disk));
    assert_eq!((seen[0].len(), missing.len()), (5_000, 0));
}

#[test]
fn a_replay_ends_where_it_was_asked_to_also_when_that_is_before_its_beginning() {
    let mut recording = Recording::new(&small());
    for id in 0..2_000 {
        assert!(RINGS.into_iter().all(|ring| recording.push(ring, &add(1, id, T0 + id))));
        recording.drive();
    }
    // The last thing that a clock can say is a time like others.
    recording.push(RingName::Orders, &add(1, 2_000, u64::MAX));
    recording.push(RingName::Orders, &add(1, 2_001, u64::MAX));
    recording.finish();
    let journal = open(&recording.disk);
    for (from, until, want) in [
        (500, Some(1_000), 1_000),
        (1_000, Some(500), 0),
        (1_000, Some(1_000), 0),
        (1_990, None, 22),
        (1_990, Some(u64::MAX - T0), 20),
    ] {
        let start = Start::Time(T0 + from);
        let options = SourceOptions { start, until_ns: until.map(|until| T0 + until), ..SourceOptions::default() };
        let mut source = Source::of_journal(&journal, &options).unwrap();
        let (mut given, mut steps) = (0, 0);
        while let Some(step) = source.next().unwrap() {
            // The image of the books is of the moment before.
            let recorded = matches!(step, Step::Record { words, .. } if Record::new(0, words).unwrap().head.flags & flag::SNAPSHOT == 0);
            given += u32::from(recorded);
            steps += 1;
            assert!(steps < 20_000, "from {from} until {until:?}: no end");
        }
        assert_eq!(given, want, "from {from} until {until:?}");
    }
}

#[test]
fn two_replays_print_the_digest_of_the_recording_and_allocate_nothing_on_the_way() {
    let mut recording = Recording::new(&small());
    let mut want = [Digest::new(), Digest::new()];
    for i in 0..3_000 {
        for (at, ring) in RINGS.into_iter().enumerate() {
            let words = add((i % 3) as u32, i, T0 + i);
            recording.push(ring, &words);
            want[at].update(&words);
        }
        recording.drive();
    }
    recording.finish();
    let journal = open(&recording.disk);
    for _ in 0..2 {
        let mut steps: Vec<(RingName, Vec<u64>)> = Vec::new();
        let mut digests = [Digest::new(), Digest::new()];
        let (mut lane, mut republisher) = (lane(), Republisher::new(8));
        let mut source = Source::of_journal(&journal, &SourceOptions::default()).unwrap();
        while let Some(step) = source.next().unwrap() {
            if let Step::Record { ring, words, published_ns, .. } = step {
                assert!(published_ns >= T0 && step.published_ns() == Some(published_ns));
                digests[journal::ring_index(ring)].update(words);
                steps.push((ring, words.to_vec()));
            } else {
                republisher.take(&step, &mut lane).unwrap();
            }
        }
        assert_eq!(digests.each_ref().map(Digest::to_string), want.each_ref().map(Digest::to_string));
        assert_eq!(source.position(), source.total());
        let before = ALLOCATIONS.with(Cell::get);
        for (ring, words) in &steps {
            let step = Step::Record { ring: *ring, words, published_ns: 1, whole: true, ahead: 0 };
            republisher.take(&step, &mut lane).unwrap();
            republisher.publish_heads(&mut lane);
        }
        assert_eq!(ALLOCATIONS.with(Cell::get), before);
        assert_eq!(republisher.counts().records, [3_000, 3_000]);
    }
}

#[test]
fn a_path_is_what_it_is_or_an_error_that_says_what_was_expected() {
    let folder = tempfile::tempdir().unwrap();
    let open = |name: &str| Source::open(folder.path().join(name), &SourceOptions::default());
    assert!(matches!(open("none"), Err(OpenError::Io { .. })));
    assert!(matches!(open(""), Err(OpenError::NoJournal { refused: 0, .. })));
    std::fs::write(folder.path().join("text"), "no tick file").unwrap();
    let error = open("text").unwrap_err();
    assert!(matches!(error, OpenError::Unknown { .. }) && error.to_string().contains("expected"), "{error}");

    let path = folder.path().join("lane");
    let disk = FsFolder::new(&path);
    disk.make().unwrap();
    let mut recording = Recording::on(&small(), disk);
    random(&mut recording, &mut Rng(1), 50);
    recording.finish();
    assert!(matches!(open("lane"), Ok(Source::Journal(_))));
    assert!(matches!(open("lane/000000000000.tlj"), Err(OpenError::OneJournalFile { .. })));
    let cursor = "test.0000000000000009.5".parse().unwrap();
    let start = Start::Cursor { ring: RingName::Market, cursor };
    let error = Source::open(&path, &SourceOptions { start, ..SourceOptions::default() }).unwrap_err();
    assert!(matches!(error, OpenError::Seek { .. }), "{error}");
}
