//! Every way into a journal gives what a linear scan gives from there on.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod common;

use common::*;
use journal::format::HoleReason;
use journal::reader::SeekError;
use journal::writer::Source;
use journal::{Digest, JournalConfig, Merged, RINGS, recover, ring_index};
use proptest::prelude::*;
use shm_abi::record::Record;
use shm_abi::segment::RingName;

fn published(words: &[u64]) -> u64 {
    Record::new(0, words).unwrap().head.ts_publish()
}

/// The model from number `n` on: a record that began before is left out, a hole is cut.
fn from(model: &[Got], n: u64) -> Vec<Got> {
    let mut rest = Vec::new();
    for got in model {
        match got {
            Got::Record(first, _) if *first >= n => rest.push(got.clone()),
            Got::Hole(first, last, reason) if *last >= n => rest.push(Got::Hole((*first).max(n), *last, *reason)),
            _ => {}
        }
    }
    rest
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn a_seek_by_number_gives_what_a_scan_gives_from_there(seed: u64, count in 1usize..900, picks: [u16; 6]) {
        let mut recording = Recording::new(&small());
        random(&mut recording, &mut Rng(seed), count);
        recording.finish();
        let journal = open(&recording.disk);
        for ring in RINGS {
            let end = recording.next(ring);
            for pick in picks {
                let n = u64::from(pick) % (end + 1);
                let Ok(mut reader) = journal.seek(ring, 7, n) else {
                    prop_assert_eq!((end, journal.files().len()), (0, 0), "only an empty journal has nothing");
                    continue;
                };
                prop_assert_eq!(reader.next_number(), n);
                assert_same(&read_all(&mut reader), &from(&recording.model[ring_index(ring)], n), ring.name());
            }
            prop_assert!(journal.seek(ring, 7, end + 1).is_err());
        }
    }

    #[test]
    fn a_seek_by_time_gives_the_first_record_of_a_scan_that_is_not_earlier(seed: u64, count in 1usize..900, picks: [u32; 6]) {
        let mut recording = Recording::new(&small());
        random(&mut recording, &mut Rng(seed), count);
        recording.finish();
        let journal = open(&recording.disk);
        for ring in RINGS {
            let model = &recording.model[ring_index(ring)];
            for pick in picks {
                // Half of them exactly at a record's time, where "at" and "after" differ.
                let mut ns = T0 + u64::from(pick) % ((recording.ms + 2) * MS);
                if let (0, Some(Got::Record(_, words))) = (pick % 2, model.get(pick as usize % model.len().max(1))) {
                    ns = published(words);
                }
                let at = model.iter().position(|got| matches!(got, Got::Record(_, words) if published(words) >= ns));
                let mut reader = journal.seek_time(ring, ns).unwrap();
                assert_same(&read_all(&mut reader), at.map_or(&[], |at| &model[at..]), ring.name());
            }
        }
    }

    #[test]
    fn both_rings_merge_by_publish_time_each_in_its_order(seed: u64, count in 1usize..900) {
        let mut recording = Recording::new(&small());
        random(&mut recording, &mut Rng(seed), count);
        recording.finish();
        let mut merged = Merged::oldest(&open(&recording.disk));
        let (mut at, mut compared) = ([0; 2], 0);
        while let Some((ring, entry)) = merged.next().unwrap() {
            let time = |ring: usize, at: usize| match recording.model[ring].get(at) {
                Some(Got::Record(_, words)) => Some(published(words)),
                _ => None,
            };
            let i = ring_index(ring);
            let got = Got::of(&entry);
            if let (Got::Record(..), Some(this), Some(other)) = (&got, time(i, at[i]), time(1 - i, at[1 - i])) {
                prop_assert!(this < other || this == other && i == 0, "the earlier of both, orders first");
                compared += 1;
            }
            // A hole may come in pieces; the model has it whole.
            let want = &recording.model[i][at[i]];
            match (&got, want) {
                (Got::Hole(_, last, _), Got::Hole(_, end, _)) if last < end => {}
                (Got::Hole(..), Got::Hole(..)) => at[i] += 1,
                _ => {
                    prop_assert_eq!(&got, want);
                    at[i] += 1;
                }
            }
        }
        prop_assert_eq!(at, [recording.model[0].len(), recording.model[1].len()]);
        prop_assert!(compared > 0 || count < 100);
    }

    #[test]
    fn the_digest_does_not_know_how_the_blocks_were_cut(seed: u64, count in 1usize..600) {
        let digests = [8192, 16384, 1 << 20].map(|block_bytes| {
            let config = JournalConfig {
                block_bytes,
                buffer_bytes: 8 * u64::from(block_bytes),
                file_bytes: 4 * u64::from(block_bytes),
                ..small()
            };
            let mut recording = Recording::new(&config);
            random(&mut recording, &mut Rng(seed), count);
            recording.finish();
            let journal = open(&recording.disk);
            RINGS.map(|ring| {
                let (mut digest, mut one_by_one) = (Digest::new(), blake3::Hasher::new());
                let mut reader = journal.oldest(ring);
                while let Some(entry) = reader.next().unwrap() {
                    if let journal::Entry::Record { words, .. } = entry {
                        digest.update(words);
                        words.iter().for_each(|word| { one_by_one.update(&word.to_le_bytes()); });
                    }
                }
                assert_eq!(digest.value(), *one_by_one.finalize().as_bytes());
                digest.to_string()
            })
        });
        prop_assert_eq!(&digests[0], &digests[1]);
        prop_assert_eq!(&digests[0], &digests[2]);
    }
}

#[test]
fn merging_takes_the_earlier_of_both_and_orders_before_market() {
    let mut recording = Recording::new(&small());
    for (ring, ns) in [
        (RingName::Orders, 5),
        (RingName::Market, 5),
        (RingName::Market, 6),
        (RingName::Orders, 7),
        (RingName::Orders, 9),
        (RingName::Market, 8),
    ] {
        recording.push(ring, &add(1, ns, T0 + 1000 + ns));
    }
    recording.finish();
    let mut merged = Merged::oldest(&open(&recording.disk));
    let mut order = Vec::new();
    while let Some((ring, entry)) = merged.next().unwrap() {
        order.push((ring, entry.record().unwrap().head.ts_publish() - T0 - 1000));
    }
    use RingName::{Market, Orders};
    assert_eq!(order, [(Orders, 5), (Market, 5), (Market, 6), (Orders, 7), (Market, 8), (Orders, 9)]);
}

#[test]
fn a_reader_follows_a_growing_journal_up_to_what_is_durable() {
    let mut recording = Recording::new(&small());
    let mut rng = Rng(11);
    let mut readers = RINGS.map(|ring| open(&recording.disk).oldest(ring));
    let mut got: [Vec<Got>; 2] = [Vec::new(), Vec::new()];
    for _ in 0..400 {
        random(&mut recording, &mut rng, 5);
        for ring in RINGS {
            let (reader, got) = (&mut readers[ring_index(ring)], &mut got[ring_index(ring)]);
            let durable = recording.writer.durable(ring);
            reader.set_until(durable.epoch, durable.until);
            while let Some(entry) = reader.next().unwrap() {
                take(got, Got::of(&entry));
            }
            assert_eq!(reader.next_number(), durable.until, "all that is durable is there, and nothing more");
        }
    }
    assert!(open(&recording.disk).files().len() > 3, "over several files");
    recording.finish();
    for ring in RINGS {
        let (reader, got) = (&mut readers[ring_index(ring)], &mut got[ring_index(ring)]);
        reader.set_until(0, 0);
        for entry in read_all(reader) {
            take(got, entry);
        }
        assert_same(got, &recording.model[ring_index(ring)], ring.name());
    }
}

#[test]
fn readers_step_from_epoch_to_epoch_and_name_the_instruments_of_each() {
    let mut recording = Recording::new(&small());
    for i in 0..10 {
        recording.push(RingName::Orders, &add(1, i, T0 + i));
    }
    let second = Source { identity: identity(8, 9, 7), directory: instruments(5), first: [0, 0] };
    recording.writer.change_source(second);
    for n in 0..3 {
        assert!(recording.writer.push(RingName::Orders, n, &add(4, n, T0 + 100 + n)));
    }
    recording.finish();
    let journal = open(&recording.disk);
    assert_eq!(journal.epochs(), [7, 8]);
    let mut reader = journal.oldest(RingName::Orders);
    for n in 0..10 {
        assert_eq!(reader.next().unwrap().map(|e| Got::of(&e)), Some(recording.model[0][n].clone()));
    }
    assert_eq!(reader.instruments(), instruments(3));
    let step = journal::reader::EpochStep { old_epoch: 7, old_end: 10, ended: true, new_epoch: 8 };
    assert_eq!(reader.next().unwrap(), Some(journal::Entry::Epoch(step)));
    assert!(matches!(reader.next().unwrap(), Some(journal::Entry::Record { n: 0, .. })));
    assert_eq!((reader.instruments(), reader.epoch()), (&instruments(5)[..], Some(8)));
    // Both rings come to the step; a merged reader says it once.
    let mut merged = Merged::oldest(&journal);
    let mut steps = 0;
    while let Some((_, entry)) = merged.next().unwrap() {
        steps += usize::from(matches!(entry, journal::Entry::Epoch(_)));
    }
    assert_eq!(steps, 1);
    // A cursor into each epoch.
    assert_eq!(journal.seek(RingName::Orders, 7, 4).unwrap().next_number(), 4);
    assert_eq!(read_all(&mut journal.seek(RingName::Orders, 8, 1).unwrap()).len(), 2);
    assert!(matches!(journal.seek(RingName::Orders, 9, 0), Err(SeekError::UnknownEpoch { epoch: 9 })));
    assert!(matches!(journal.seek(RingName::Orders, 8, 4), Err(SeekError::Beyond { next: 3 })));
}

#[test]
fn a_row_that_comes_late_stands_before_the_first_slot_that_can_name_it() {
    use std::cell::RefCell;
    use std::rc::Rc;
    struct Shared(Rc<RefCell<Vec<shm_abi::directory::Instrument>>>);
    impl journal::writer::Directory for Shared {
        fn count(&self) -> usize {
            self.0.borrow().len()
        }
        fn get(&self, row: usize) -> Option<shm_abi::directory::Instrument> {
            <[shm_abi::directory::Instrument]>::get(&self.0.borrow(), row).copied()
        }
    }
    let rows = Rc::new(RefCell::new(Vec::new()));
    let source = Source { identity: identity(7, 8, 0), directory: Shared(rows.clone()), first: [0, 0] };
    let mut folder = journal::disk::MemoryFolder::default();
    let mut writer = journal::Writer::new(small(), "test", &journal::Recovered::default(), source, at(0)).unwrap();
    for n in 0..40u64 {
        if n % 10 == 0 {
            rows.borrow_mut().extend(instruments(n as u32 + 1).last());
        }
        assert!(writer.push(RingName::Market, n, &add(n as u32 / 10 * 10, n, T0 + n)));
        writer.handle_time(at(n * 100));
        journal::disk::drive(&mut writer, &mut folder, at(n * 100));
    }
    let mut reader = open(&folder).oldest(RingName::Market);
    let mut seen = 0;
    while let Some(entry) = reader.next().unwrap() {
        let id = entry.record().unwrap().head.instrument_id;
        assert!(reader.instruments().iter().any(|instrument| instrument.instrument_id == id), "{id} was named before");
        seen += 1;
    }
    assert_eq!((seen, reader.instruments().len()), (40, 4));
}

#[test]
fn a_recording_goes_on_after_a_kill_where_it_had_come_to() {
    let mut recording = Recording::new(&small());
    random(&mut recording, &mut Rng(21), 700);
    // Killed: neither finished nor flushed. The ring still has what was not written.
    let recovered = recover(std::sync::Arc::new(recording.disk.clone()), "test").unwrap();
    let stopped = recovered.stopped.unwrap();
    assert_eq!((stopped.epoch, stopped.incarnation, stopped.in_order), (7, 8, false));
    let again = Source { first: stopped.next, ..source(7) };
    let mut writer = journal::Writer::new(small(), "test", &recovered, again, at(recording.ms)).unwrap();
    for ring in RINGS {
        for got in from(&recording.model[ring_index(ring)], stopped.next[ring_index(ring)]) {
            match got {
                Got::Record(n, words) => assert!(writer.push(ring, n, &words)),
                Got::Hole(first, last, reason) => writer.lost(ring, first, last, reason),
                Got::Epoch(_) => {}
            }
        }
    }
    writer.finish();
    journal::disk::drive(&mut writer, &mut recording.disk, at(recording.ms));
    let journal = open(&recording.disk);
    for ring in RINGS {
        assert_same(&read_all(&mut journal.oldest(ring)), &recording.model[ring_index(ring)], ring.name());
    }
}

#[test]
fn what_is_before_the_journal_is_too_old_and_the_first_epoch_begins_where_the_recording_did() {
    let late = Source { first: [50, 0], ..source(7) };
    let mut writer = journal::Writer::new(small(), "test", &journal::Recovered::default(), late, at(0)).unwrap();
    let mut folder = journal::disk::MemoryFolder::default();
    assert!(writer.push(RingName::Orders, 50, &add(1, 1, T0)));
    writer.finish();
    journal::disk::drive(&mut writer, &mut folder, at(0));
    let journal = open(&folder);
    assert!(matches!(journal.seek(RingName::Orders, 7, 49), Err(SeekError::TooOld { first: 50 })));
    assert_eq!(journal.oldest(RingName::Orders).next().unwrap().and_then(|e| e.record().map(|r| r.n)), Some(50));
}

#[test]
fn numbers_between_two_files_are_declared_with_what_is_known_of_them() {
    for (marked, reason) in [(true, HoleReason::NotRecorded), (false, HoleReason::Damaged)] {
        let mut recording = Recording::new(&small());
        recording.push(RingName::Orders, &add(1, 1, T0));
        recording.tick(100);
        if marked {
            recording.finish();
        }
        let recovered = recover(std::sync::Arc::new(recording.disk.clone()), "test").unwrap();
        let later = Source { first: [8, 0], ..source(7) };
        let mut writer = journal::Writer::new(small(), "test", &recovered, later, at(200)).unwrap();
        assert!(writer.push(RingName::Orders, 8, &add(1, 2, T0)));
        writer.finish();
        journal::disk::drive(&mut writer, &mut recording.disk, at(200));
        let got = read_all(&mut open(&recording.disk).oldest(RingName::Orders));
        let want = [Got::Record(0, add(1, 1, T0)), Got::Hole(1, 7, reason), Got::Record(8, add(1, 2, T0))];
        assert_same(&got, &want, reason.name());
        // A cursor in between gets the rest of the hole.
        let got = read_all(&mut open(&recording.disk).seek(RingName::Orders, 7, 4).unwrap());
        assert_same(&got, &[Got::Hole(4, 7, reason), Got::Record(8, add(1, 2, T0))], reason.name());
    }
}
