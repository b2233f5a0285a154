//! A file that was cut at any byte or changed in any byte: what is served is what was written, and what is not is
//! declared.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod common;

use std::sync::Arc;

use common::*;
use journal::disk::MemoryFolder;
use journal::index::Tail;
use journal::{JournalConfig, RINGS, recover, ring_index};
use shm_abi::record::kind;
use shm_abi::segment::RingName;

/// A file with every kind of block but images, of a few pages, as a killed writer leaves it: without a mark.
fn killed() -> Recording {
    let config = JournalConfig { file_bytes: 1 << 20, ..small() };
    let mut recording = Recording::new(&config);
    for i in 0..4 {
        for j in 0..5 {
            recording.push(RingName::Orders, &add(1, i * 10 + j, T0 + i * MS + j));
        }
        recording.push(RingName::Market, &record(kind::NEWS, 1, 3 + i as usize, T0 + i, [1, 2, 3], i));
        if i == 1 {
            recording.lose(RingName::Market, 4, journal::format::HoleReason::Lapped);
        }
        recording.tick(100);
    }
    recording
}

/// The one file of a folder.
fn only_file(folder: &MemoryFolder) -> Vec<u8> {
    let files = folder.files();
    assert_eq!(files.len(), 1);
    files[&0].clone()
}

fn folder_of(bytes: Vec<u8>) -> MemoryFolder {
    let folder = MemoryFolder::default();
    folder.files().insert(0, bytes);
    folder
}

/// What of the model lies before number `n`.
fn before(model: &[Got], n: u64) -> Vec<Got> {
    let below = |got: &&Got| match got {
        Got::Record(first, _) => *first < n,
        Got::Hole(_, last, _) => *last < n,
        Got::Epoch(_) => true,
    };
    model.iter().take_while(below).cloned().collect()
}

#[test]
fn a_file_cut_at_any_byte_serves_its_whole_blocks_and_nothing_else() {
    let recording = killed();
    let whole = only_file(&recording.disk);
    let index = open(&recording.disk).index(0).unwrap();
    assert!(index.blocks().len() >= 9, "{:#?}", index.blocks());
    assert_eq!(index.end(), whole.len() as u64);
    for length in 0..whole.len() {
        let folder = folder_of(whole[..length].to_vec());
        let good: Vec<_> =
            index.blocks().iter().take_while(|b| b.offset + b.header.bytes() as u64 <= length as u64).collect();
        let next =
            RINGS.map(|ring| good.iter().rev().find(|b| b.header.ring == Some(ring)).map_or(0, |b| b.header.end));
        let recovered = recover(Arc::new(folder.clone()), "test").unwrap();
        if length < 4096 {
            assert_eq!((recovered.refused.len(), recovered.stopped, recovered.next_file), (1, None, 1), "at {length}");
            continue;
        }
        let end = good.last().map_or(4096, |b| b.offset + b.header.bytes() as u64);
        let stopped = recovered.stopped.unwrap();
        assert_eq!((stopped.next, stopped.in_order), (next, false), "at {length}");
        let cut = recovered.cut.map(|cut| (cut.offset, cut.bytes, cut.next));
        let expected = (length as u64 > end).then_some((end, length as u64 - end, next));
        assert_eq!(cut, expected, "at {length}");
        assert_eq!(folder.files()[&0].len() as u64, end);
        for ring in RINGS {
            let got = read_all(&mut open(&folder).oldest(ring));
            assert_same(&got, &before(&recording.model[ring_index(ring)], next[ring_index(ring)]), ring.name());
        }
    }
}

#[test]
fn a_byte_changed_anywhere_ends_an_unfinished_file_before_its_block() {
    let recording = killed();
    let whole = only_file(&recording.disk);
    let index = open(&recording.disk).index(0).unwrap();
    let mut rng = Rng(3);
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << rng.below(8);
        let journal = open(&folder_of(bytes));
        if at < 4096 {
            assert_eq!((journal.refused().len(), journal.files().len()), (1, 0), "at {at}");
            continue;
        }
        let hit = index.blocks().iter().rposition(|block| block.offset <= at as u64).unwrap();
        let cut = journal.index(0).unwrap();
        assert_eq!((cut.blocks(), cut.end()), (&index.blocks()[..hit], index.blocks()[hit].offset), "at {at}");
        match cut.tail() {
            Tail::Cut(damage) => assert_eq!(damage.offset, index.blocks()[hit].offset),
            // The first bit of a magic cannot make a header of zeros.
            tail => panic!("at {at}: {tail:?}"),
        }
    }
}

#[test]
fn a_byte_changed_in_a_finished_file_costs_its_block_or_what_follows_and_is_declared() {
    let mut recording = killed();
    recording.finish();
    let whole = only_file(&recording.disk);
    let total = RINGS.map(|ring| recording.next(ring));
    let mut rng = Rng(4);
    for at in (4096..whole.len()).step_by(5) {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << rng.below(8);
        let folder = folder_of(bytes);
        // The next file tells where the damaged one must have ended.
        let mut recovered = recover(Arc::new(folder.clone()), "test").unwrap();
        recovered.next_file = 1;
        let source = journal::writer::Source { first: total, ..source(7) };
        let mut writer = journal::Writer::new(small(), "test", &recovered, source, at_ms(0)).unwrap();
        assert!(writer.push(RingName::Orders, total[0], &add(1, 77, T0)));
        assert!(writer.push(RingName::Market, total[1], &add(1, 78, T0)));
        writer.finish();
        journal::disk::drive(&mut writer, &mut folder.clone(), at_ms(0));
        for ring in RINGS {
            let got = read_all(&mut open(&folder).oldest(ring));
            let mut expected = 0;
            for got in &got {
                let (first, end) = match got {
                    Got::Record(n, words) => (*n, n + 1 + (words.len() as u64 - 7) / 6),
                    Got::Hole(first, last, _) => (*first, last + 1),
                    Got::Epoch(_) => panic!("one epoch only"),
                };
                assert_eq!(first, expected, "at {at}: every number once");
                expected = end;
                let original = recording.model[ring_index(ring)].contains(got);
                let declared = matches!(got, Got::Hole(..));
                assert!(original || declared || first == total[ring_index(ring)], "at {at}: {got:?}");
            }
            assert_eq!(expected, total[ring_index(ring)] + 1, "at {at}");
        }
    }
}

fn at_ms(ms: u64) -> journal::writer::Now {
    at(ms)
}

#[test]
fn zeros_and_garbage_behind_the_end_are_cut_and_counted() {
    let recording = killed();
    let whole = only_file(&recording.disk);
    let mut rng = Rng(5);
    let garbage: Vec<u8> = (0..9000).map(|_| rng.next() as u8).collect();
    // A block of this very file, at a place where it does not belong.
    let block = open(&recording.disk).index(0).unwrap().blocks()[2];
    let moved = whole[block.offset as usize..][..block.header.bytes()].to_vec();
    for (name, tail, damaged) in [("zeros", vec![0; 9000], false), ("garbage", garbage, true), ("moved", moved, true)] {
        let folder = folder_of([whole.clone(), tail.clone()].concat());
        let recovered = recover(Arc::new(folder.clone()), "test").unwrap();
        let cut = recovered.cut.unwrap();
        assert_eq!((cut.offset, cut.bytes), (whole.len() as u64, tail.len() as u64), "case: {name}");
        assert_eq!(cut.damage.is_some(), damaged, "case: {name}");
        assert_eq!(only_file(&folder), whole, "case: {name}");
        let got = read_all(&mut open(&folder).oldest(RingName::Orders));
        assert_same(&got, &recording.model[0], name);
    }
}

#[test]
fn a_journal_of_another_lane_is_not_touched() {
    let recording = killed();
    let error = recover(Arc::new(recording.disk.clone()), "other").unwrap_err();
    assert!(error.to_string().contains("lane name"), "{error}");
}

#[test]
fn a_block_of_another_file_is_not_taken_for_one_of_this() {
    let a = only_file(&killed().disk);
    let mut config = small();
    config.file_bytes = 1 << 20;
    let mut other = Recording::new(&config);
    other.ms = 1;
    other.push(RingName::Orders, &add(1, 1, T0));
    other.tick(100);
    let b = only_file(&other.disk);
    // Same length of header, same numbers: only the salt tells them apart.
    let folder = folder_of([&a[..4096], &b[4096..]].concat());
    let index = open(&folder).index(0).unwrap();
    assert_eq!(index.blocks().len(), 0);
    assert!(matches!(index.tail(), Tail::Cut(damage) if damage.field == "block header checksum"));
}

#[test]
fn numbers_that_do_not_follow_end_a_file_even_under_good_checksums() {
    use journal::format::{BlockHeader, BlockKind, FileHeader, block_bytes, seal_block};
    let header = FileHeader {
        number: 0,
        created_ns: T0,
        lane: shm_abi::directory::Text::new(b"test"),
        epoch: 7,
        incarnation: 8,
        old_epoch: 0,
        flags: 0,
        first: [0, 0],
        prior_latest_ns: [0, 0],
    };
    let (words, salt) = header.words();
    let slots = |first: u64, end: u64, at: usize| {
        let payload = (end - first) as usize * 56;
        let block = BlockHeader {
            kind: BlockKind::Slots,
            ring: Some(RingName::Orders),
            payload_bytes: payload as u32,
            count: (end - first) as u32,
            first,
            end,
            earliest_ns: T0,
            latest_ns: T0,
            detail: 0,
            payload_checksum: 0,
        };
        let mut bytes = vec![0; block_bytes(payload)];
        for n in 0..(end - first) as usize {
            let record = add(1, n as u64, T0);
            let words: Vec<u8> = record.iter().flat_map(|word| word.to_le_bytes()).collect();
            bytes[64 + n * 56..][..56].copy_from_slice(&words);
        }
        seal_block(&block, salt, at as u64, &mut bytes);
        bytes
    };
    for (name, first, blocks) in [("what follows", 2, 2), ("a jump", 3, 1), ("a repetition", 1, 1)] {
        let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        bytes.extend(slots(0, 2, 4096));
        bytes.extend(slots(first, first + 2, 8192));
        let folder = folder_of(bytes);
        let index = open(&folder).index(0).unwrap();
        assert_eq!(index.blocks().len(), blocks, "case: {name}");
        match index.tail() {
            Tail::Cut(damage) => assert_eq!((damage.field, damage.seen, damage.offset), ("first", first, 8192)),
            tail => assert_eq!((tail, blocks), (Tail::Open, 2), "case: {name}"),
        }
        assert_eq!(read_all(&mut open(&folder).oldest(RingName::Orders)).len(), 2 * blocks, "case: {name}");
    }
}
