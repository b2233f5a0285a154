//! Disks that are full, slow, failing, or answer in any order: what the writer said it kept is read again, what it did
//! not keep is a hole of exactly those numbers. Rows 47 and 48 of the fault matrix.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod common;

use std::io;

use common::Rng;
use common::*;
use journal::disk::{Disk, MemoryFolder};
use journal::format::HoleReason;
use journal::writer::{Action, DiskState, Fault, FaultKind, Writer};
use journal::{JournalConfig, RINGS, ring_index};
use proptest::prelude::*;
use shm_abi::directory::Instrument;
use shm_abi::segment::RingName;

/// Memory with as many bytes of room as it says, and other reasons to say no.
#[derive(Clone, Default)]
struct Limited {
    folder: MemoryFolder,
    room: u64,
    broken: bool,
    sync_broken: bool,
}

impl Limited {
    fn used(&self) -> u64 {
        self.folder.files().values().map(|bytes| bytes.len() as u64).sum()
    }
    fn takes(&self, bytes: u64) -> io::Result<()> {
        if self.broken {
            return Err(io::Error::from_raw_os_error(5));
        }
        if self.used() + bytes > self.room { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}

impl Disk for Limited {
    fn create(&mut self, number: u64) -> io::Result<()> {
        self.takes(0)?;
        self.folder.create(number)
    }
    fn write(&mut self, number: u64, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.takes(bytes.len() as u64)?;
        self.folder.write(number, offset, bytes)
    }
    fn sync(&mut self, number: u64) -> io::Result<()> {
        if self.sync_broken { Err(io::Error::from_raw_os_error(5)) } else { self.folder.sync(number) }
    }
    fn close(&mut self, number: u64, length: u64) -> io::Result<()> {
        self.folder.close(number, length)
    }
    fn delete(&mut self, number: u64) -> io::Result<()> {
        self.folder.delete(number)
    }
}

fn check(folder: &MemoryFolder, model: &[Vec<Got>; 2]) {
    let journal = open(folder);
    for ring in RINGS {
        let mut got = read_all(&mut journal.oldest(ring));
        let mut want = model[ring_index(ring)].clone();
        // The reason is the disk's state at the time of the loss; here only the numbers are compared.
        for got in got.iter_mut().chain(&mut want) {
            if let Got::Hole(_, _, reason) = got {
                *reason = HoleReason::Unknown;
            }
        }
        assert_same(&got, &want, ring.name());
    }
}

fn missing(model: &[Got]) -> u64 {
    model.iter().map(|got| if let Got::Hole(first, last, _) = got { last - first + 1 } else { 0 }).sum()
}

fn holes(folder: &MemoryFolder, ring: RingName) -> Vec<(u64, u64, HoleReason)> {
    let holes = read_all(&mut open(folder).oldest(ring)).into_iter();
    holes.filter_map(|got| if let Got::Hole(a, b, reason) = got { Some((a, b, reason)) } else { None }).collect()
}

#[test]
fn a_full_disk_is_one_declared_hole_and_the_recording_goes_on_when_there_is_room() {
    let disk = Limited { room: 40 << 10, ..Limited::default() };
    let mut recording = Recording::on(&small(), disk);
    let mut n = 0;
    let mut push = |recording: &mut Recording<Limited>, count| {
        for _ in 0..count {
            recording.push(RingName::Orders, &add(1, n, T0 + n));
            n += 1;
            recording.drive();
        }
    };
    push(&mut recording, 3000);
    assert_eq!(recording.writer.disk_state(), DiskState::Full);
    assert!(!recording.writer.has_room());
    assert!(recording.writer.durable(RingName::Orders).until < 1000);
    let kept = recording.writer.counters().slots[0];
    // However often it is asked in vain.
    for _ in 0..5 {
        recording.tick(1000);
    }
    assert_eq!(recording.writer.disk_state(), DiskState::Full);
    recording.disk.room = 10 << 20;
    // Not before the retry interval: a full disk is not asked for every record.
    let errors = recording.writer.counters().write_errors;
    push(&mut recording, 10);
    assert_eq!(recording.writer.counters().write_errors, errors);
    recording.tick(1000);
    assert_eq!((recording.writer.disk_state(), recording.writer.has_room()), (DiskState::Good, true));
    push(&mut recording, 500);
    recording.finish();
    check(&recording.disk.folder, &recording.model);
    let holes = holes(&recording.disk.folder, RingName::Orders);
    assert!(matches!(holes[..], [(first, 3009, HoleReason::DiskFull)] if first == kept), "{holes:?}, kept {kept}");
    let counters = recording.writer.counters();
    assert_eq!(counters.missing_slots, [missing(&recording.model[0]), 0]);
    assert_eq!((counters.holes, counters.full_errors), (1, counters.write_errors));
    assert_eq!(counters.files_given_up, 0, "the file is not to blame");
    assert_eq!(counters.slots[0] + counters.missing_slots[0], 3510);
}

#[test]
fn a_lap_while_the_disk_is_full_is_the_disks_fault() {
    let mut recording = Recording::on(&small(), Limited::default());
    for i in 0..2000 {
        recording.push(RingName::Market, &add(1, i, T0));
        recording.drive();
    }
    recording.writer.lost(RingName::Market, 2000, 2999, HoleReason::Lapped);
    recording.disk.room = 1 << 20;
    recording.tick(2000);
    recording.finish();
    let holes = holes(&recording.disk.folder, RingName::Market);
    assert!(matches!(holes[..], [(_, 2999, HoleReason::DiskFull)]), "{holes:?}");
}

#[test]
fn a_file_that_refuses_writes_is_given_up_and_nothing_of_what_was_kept_is_lost() {
    let mut recording = Recording::on(&small(), Limited { room: 10 << 20, ..Limited::default() });
    random(&mut recording, &mut Rng(1), 200);
    recording.disk.broken = true;
    for i in 0..50 {
        recording.push(RingName::Orders, &add(1, i, T0));
    }
    for _ in 0..10 {
        recording.tick(1000);
    }
    assert_eq!(recording.writer.disk_state(), DiskState::Failing);
    assert_eq!(recording.writer.counters().files_given_up, 1);
    recording.disk.broken = false;
    recording.tick(1000);
    assert_eq!(recording.writer.disk_state(), DiskState::Good);
    recording.finish();
    check(&recording.disk.folder, &recording.model);
    assert_eq!(missing(&recording.model[0]) + missing(&recording.model[1]), {
        let [orders, market] = recording.writer.counters().missing_slots;
        orders + market
    });
}

#[test]
fn a_sync_that_fails_ends_the_file_and_is_counted() {
    let mut recording = Recording::on(&small(), Limited { room: 10 << 20, ..Limited::default() });
    recording.push(RingName::Orders, &add(1, 1, T0));
    recording.tick(100);
    assert_eq!(recording.writer.durable(RingName::Orders).until, 1);
    recording.disk.sync_broken = true;
    recording.push(RingName::Orders, &add(1, 2, T0));
    recording.push(RingName::Orders, &add(1, 3, T0));
    recording.tick(100);
    let counters = *recording.writer.counters();
    assert_eq!((counters.sync_errors, counters.unsynced_slots, counters.files_given_up), (1, [2, 0], 1));
    recording.disk.sync_broken = false;
    recording.push(RingName::Orders, &add(1, 4, T0));
    recording.tick(100);
    assert_eq!(recording.writer.durable(RingName::Orders).until, 4);
    assert_eq!(open(&recording.disk.folder).files().len(), 2);
    recording.finish();
    check(&recording.disk.folder, &recording.model);
}

#[test]
fn durable_is_what_a_finished_sync_has_covered() {
    let mut writer = writer(&small());
    let mut folder = MemoryFolder::default();
    let mut take = |writer: &mut Writer<Vec<Instrument>>| match writer.poll_action(at(0)).unwrap() {
        Action::Create { file } => {
            folder.create(file).unwrap();
            writer.handle_created(at(0), file, Ok(()));
            None
        }
        Action::Write(block) => {
            folder.write(block.file(), block.offset(), block.bytes()).unwrap();
            assert_eq!((block.bytes().as_ptr() as usize % 4096, block.bytes().len() % 4096), (0, 0));
            assert_eq!(block.offset() % 4096, 0);
            writer.handle_written(at(0), block, Ok(()));
            None
        }
        action => Some(action),
    };
    assert!(writer.push(RingName::Orders, 0, &add(1, 1, T0)));
    writer.handle_time(at(100));
    // Create, header, directory, slots, and then the sync of all that.
    for _ in 0..4 {
        assert!(take(&mut writer).is_none());
    }
    let Some(Action::Sync { file: 0 }) = take(&mut writer) else { panic!("a sync") };
    assert_eq!((writer.durable(RingName::Orders).until, writer.lag(RingName::Orders)), (0, 1));
    // What is written while the sync is under way is not covered by it.
    assert!(writer.push(RingName::Orders, 1, &add(1, 2, T0)));
    writer.handle_time(at(200));
    assert!(take(&mut writer).is_none());
    assert!(writer.poll_action(at(200)).is_none(), "one sync at a time");
    writer.handle_synced(at(201), 0, Ok(()));
    assert_eq!(writer.durable(RingName::Orders).until, 1);
    let Some(Action::Sync { .. }) = take(&mut writer) else { panic!("a second sync") };
    // It hangs: the disk counts as slow, once, until it is back.
    writer.handle_time(at(900));
    assert_eq!(writer.disk_state(), DiskState::Good);
    writer.handle_time(at(1300));
    writer.handle_time(at(1400));
    assert_eq!((writer.disk_state(), writer.counters().slow), (DiskState::Slow, 1));
    writer.handle_synced(at(1500), 0, Ok(()));
    writer.handle_time(at(1500));
    assert_eq!((writer.disk_state(), writer.durable(RingName::Orders).until), (DiskState::Good, 2));
}

#[test]
fn a_mark_is_written_only_when_everything_before_it_was_synced() {
    let mut writer = writer(&small());
    let mut order = String::new();
    assert!(writer.push(RingName::Orders, 0, &add(1, 1, T0)));
    writer.finish();
    while let Some(action) = writer.poll_action(at(0)) {
        match action {
            Action::Create { file } => writer.handle_created(at(0), file, Ok(())),
            Action::Write(block) => {
                order.push(block.bytes()[4].into());
                writer.handle_written(at(0), block, Ok(()));
            }
            Action::Sync { file } => {
                order.push_str(" sync ");
                writer.handle_synced(at(0), file, Ok(()));
            }
            Action::Close { file, length } => {
                assert_eq!(length, 4 * 4096);
                order.push_str(" close");
                writer.handle_closed(at(0), file, Ok(()));
            }
            Action::Delete { .. } => panic!("nothing is old"),
        }
    }
    // The file's header has its magic there: TLJO, U.
    assert_eq!(order, "UDS sync M close");
    assert!(writer.is_finished());
}

#[test]
fn a_slow_disk_costs_a_hole_and_never_holds_up_the_one_who_pushes() {
    let config = small();
    let mut writer = writer(&config);
    // Nobody carries out a thing: every block waits.
    let mut kept = 0;
    for n in 0..5000 {
        kept += u64::from(writer.push(RingName::Orders, n, &add(1, n, T0 + n)));
    }
    let slots_of_a_block = (8192 - 64) / 56;
    assert_eq!(kept, 8 * slots_of_a_block, "as many blocks as the buffer has");
    let mut folder = MemoryFolder::default();
    journal::disk::drive(&mut writer, &mut folder, at(1));
    assert!(writer.push(RingName::Orders, 5000, &add(1, 5000, T0)));
    writer.finish();
    journal::disk::drive(&mut writer, &mut folder, at(2));
    assert_eq!(holes(&folder, RingName::Orders), [(kept, 4999, HoleReason::DiskSlow)]);
}

#[test]
fn after_a_stall_one_free_block_is_not_enough_to_go_on() {
    let mut writer = writer(&small());
    let mut next = (0..).map(|n| (n, add(1, n, T0 + n)));
    let mut push = |writer: &mut Writer<Vec<Instrument>>| {
        let (n, words) = next.next().unwrap();
        writer.push(RingName::Orders, n, &words)
    };
    while push(&mut writer) {}
    let mut folder = MemoryFolder::default();
    let mut slots = 0;
    while slots < 2 {
        assert!(!push(&mut writer), "after {slots} blocks");
        match writer.poll_action(at(0)).unwrap() {
            Action::Create { file } => writer.handle_created(at(0), file, folder.create(file).map_err(Fault::of)),
            Action::Write(block) => {
                slots += usize::from(block.bytes()[4] == b'S');
                writer.handle_written(at(0), block, Ok(()));
            }
            action => panic!("{action:?}"),
        }
    }
    // A quarter of eight.
    assert!(push(&mut writer));
}

#[test]
fn padding_is_zero_also_in_memory_that_held_another_block() {
    let mut recording = Recording::new(&small());
    random(&mut recording, &mut Rng(13), 1500);
    recording.finish();
    let (mut blocks, journal) = (0, open(&recording.disk));
    for file in journal.files() {
        let bytes = recording.disk.files()[&file.number].clone();
        for block in journal.index(file.number).unwrap().blocks() {
            let (at, header) = (block.offset as usize, block.header);
            let padding = &bytes[at + 64 + header.payload_bytes as usize..at + header.bytes()];
            assert!(padding.iter().all(|byte| *byte == 0), "{header:?}");
            blocks += 1;
        }
    }
    assert!(blocks > 50, "{blocks}");
}

#[test]
fn what_is_repeated_is_passed_over_what_is_left_out_is_declared_and_nonsense_is_a_hole() {
    let mut recording = Recording::new(&small());
    let writer = &mut recording.writer;
    assert!(writer.push(RingName::Orders, 0, &add(1, 1, T0)));
    assert!(!writer.push(RingName::Orders, 0, &add(1, 1, T0)));
    writer.lost(RingName::Orders, 0, 0, HoleReason::Lapped);
    assert!(writer.push(RingName::Orders, 5, &add(1, 2, T0)));
    assert!(!writer.push(RingName::Orders, 6, &[1, 2, 3]));
    assert!(!writer.push(RingName::Orders, 7, &[0xffff_ffff_ffff_ffff; 7]));
    assert!(writer.push(RingName::Orders, 8, &add(1, 3, T0)));
    writer.lost(RingName::Orders, 9, 11, HoleReason::Skipped);
    assert!(!writer.push(RingName::Orders, u64::MAX, &add(1, 3, T0)));
    writer.lost(RingName::Orders, 12, u64::MAX, HoleReason::Skipped);
    // A loss that begins behind a jump: the jump is declared, too, and the reason is the first.
    writer.lost(RingName::Market, 2, 4, HoleReason::Lapped);
    assert!(writer.push(RingName::Market, 5, &add(1, 4, T0)));
    let counters = *writer.counters();
    assert_eq!((counters.repeated, counters.malformed, counters.skipped_slots), (2, 2, 3));
    assert_eq!(counters.missing_slots, [4 + 2 + 3, 5]);
    recording.finish();
    let expected = [(1, 4, HoleReason::Undeclared), (6, 7, HoleReason::Malformed), (9, 11, HoleReason::Skipped)];
    assert_eq!(holes(&recording.disk, RingName::Orders), expected);
    assert_eq!(holes(&recording.disk, RingName::Market), [(0, 4, HoleReason::Undeclared)]);
}

#[test]
fn files_turn_over_by_size_and_age_and_the_oldest_go_by_bytes_and_age() {
    let config = JournalConfig { file_age_s: 10, retain_bytes: 150 << 10, retain_age_s: 60, ..small() };
    let mut recording = Recording::new(&config);
    let mut i = 0;
    while recording.writer.counters().files < 20 {
        recording.push(RingName::Orders, &add(1, i, T0 + i));
        recording.drive();
        i += 1;
        if i % 100 == 0 {
            recording.tick(10);
        }
        let (files, current) = (recording.disk.files(), recording.writer.current_file());
        let sizes: Vec<usize> = files.values().map(Vec::len).collect();
        assert!(sizes.iter().all(|bytes| *bytes <= (64 << 10) + 4096), "{sizes:?}");
        assert!(sizes.iter().sum::<usize>() <= (150 << 10) + (64 << 10) + 4096, "{sizes:?}");
        if let Some(newest) = files.keys().last() {
            assert!(*newest <= current && (files.contains_key(&current) || newest + 1 == current));
        }
    }
    assert!(recording.writer.counters().files_removed >= 17, "{:?}", recording.writer.counters());
    // What is left begins where the oldest file says, and is whole from there on.
    let journal = open(&recording.disk);
    let first = journal.files()[0].first[0];
    let got = read_all(&mut journal.oldest(RingName::Orders));
    assert_eq!(got.first(), recording.model[0].get(first as usize));
    // A cursor in what is gone is refused, with what there is.
    let refused = journal.seek(RingName::Orders, 7, first - 1);
    assert!(matches!(refused, Err(journal::reader::SeekError::TooOld { first: f }) if f == first));
    // By age: a file turns over although little came, and goes a minute after it ended. The current one stays.
    let files = recording.writer.counters().files;
    recording.push(RingName::Orders, &add(1, i, T0 + i));
    recording.tick(11_000);
    recording.push(RingName::Orders, &add(1, i, T0 + i));
    recording.tick(100);
    assert_eq!(recording.writer.counters().files, files + 1);
    for _ in 0..75 {
        recording.tick(1000);
    }
    assert_eq!(recording.disk.files().len(), 0, "the last one was old, too, and closed");
    recording.push(RingName::Orders, &add(1, i, T0 + i));
    recording.tick(100);
    assert_eq!(recording.disk.files().len(), 1);
}

/// Carries out actions in any order, and lets some fail.
struct Chaos {
    rng: Rng,
    folder: MemoryFolder,
    under_way: Vec<Action>,
    /// One of so many fails; 0: none.
    faults: u64,
}

impl Chaos {
    fn step(&mut self, writer: &mut Writer<Vec<Instrument>>, ms: u64) -> bool {
        if self.rng.below(2) == 0 || self.under_way.is_empty() {
            match writer.poll_action(at(ms)) {
                Some(action) => self.under_way.push(action),
                None if self.under_way.is_empty() => return false,
                None => {}
            }
            return true;
        }
        let pick = self.rng.below(self.under_way.len() as u64) as usize;
        let fails = self.faults > 0 && self.rng.below(self.faults) == 0;
        let kind = if self.rng.below(2) == 0 { FaultKind::Full } else { FaultKind::Other };
        let result = |done: io::Result<()>| if fails { Err(Fault { kind, errno: 0 }) } else { done.map_err(Fault::of) };
        match self.under_way.swap_remove(pick) {
            Action::Create { file } => {
                let done = if fails { Ok(()) } else { self.folder.create(file) };
                writer.handle_created(at(ms), file, result(done));
            }
            Action::Write(block) => {
                // A write that fails may have written any part of its bytes.
                let end = if fails { self.rng.below(block.bytes().len() as u64) as usize } else { block.bytes().len() };
                let done = self.folder.write(block.file(), block.offset(), &block.bytes()[..end]);
                writer.handle_written(at(ms), block, result(done));
            }
            Action::Sync { file } => writer.handle_synced(at(ms), file, result(Ok(()))),
            Action::Close { file, length } => {
                let done = if fails { Ok(()) } else { self.folder.close(file, length) };
                writer.handle_closed(at(ms), file, result(done));
            }
            Action::Delete { file } => {
                let done = if fails { Ok(()) } else { self.folder.delete(file) };
                writer.handle_deleted(at(ms), file, result(done));
            }
        }
        true
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn answers_in_any_order_and_any_failures_lose_nothing_that_was_kept(seed: u64, faults in 0u64..30, steps in 1usize..2500) {
        let mut chaos = Chaos { rng: Rng(seed), folder: MemoryFolder::default(), under_way: Vec::new(), faults };
        let config = JournalConfig { retry_interval_ms: 20, tries_per_write: 2, ..small() };
        let mut recording = Recording::on(&config, MemoryFolder::default());
        let mut durable = [0; 2];
        for i in 0..steps as u64 {
            match chaos.rng.below(20) {
                0 => {
                    recording.ms += chaos.rng.below(60);
                    recording.writer.handle_time(at(recording.ms));
                }
                1 => recording.lose(RingName::Market, 1 + chaos.rng.below(9), HoleReason::Lapped),
                2..=9 => {
                    let ring = RINGS[chaos.rng.below(2) as usize];
                    let span = 1 + chaos.rng.below(8) as usize;
                    recording.push(ring, &record(b'n', 1, span, T0 + i, [i, 2, 3], i));
                }
                _ => {
                    chaos.step(&mut recording.writer, recording.ms);
                }
            }
            for ring in RINGS {
                let now = recording.writer.durable(ring).until;
                prop_assert!(now >= durable[ring_index(ring)]);
                durable[ring_index(ring)] = now;
            }
        }
        // A crash now: everything that is durable (but what a failed sync leaves open, which this disk kept) is there.
        let crashed = MemoryFolder::default();
        *crashed.files() = chaos.folder.files().clone();
        let journal = open(&crashed);
        for ring in RINGS {
            let mut reader = journal.oldest(ring);
            while reader.next().unwrap().is_some() {}
            prop_assert!(reader.next_number() >= durable[ring_index(ring)], "{ring:?}");
        }
        chaos.faults = 0;
        recording.writer.finish();
        let mut rounds = 0;
        while !recording.writer.is_finished() {
            while chaos.step(&mut recording.writer, recording.ms) {}
            recording.ms += 20;
            recording.writer.handle_time(at(recording.ms));
            rounds += 1;
            prop_assert!(rounds < 1000, "it ends");
        }
        check(&chaos.folder, &recording.model);
        let counters = recording.writer.counters();
        for ring in RINGS {
            let i = ring_index(ring);
            prop_assert_eq!(counters.missing_slots[i], missing(&recording.model[i]));
            prop_assert_eq!(counters.slots[i] + counters.missing_slots[i], recording.next(ring));
            prop_assert_eq!(recording.writer.lag(ring), 0);
        }
    }
}
