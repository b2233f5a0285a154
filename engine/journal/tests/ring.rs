//! From a real ring through the journal and back into a ring: readers of both see the same records and digests.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod common;

use common::Rng;
use common::*;
use journal::disk::{MemoryFolder, drive};
use journal::writer::{Source, Writer};
use journal::{Digest, Entry, RINGS, Recovered};
use shm_abi::layout::Plan;
use shm_abi::ring::{KIND_SKIP, Polled, Rejoin, RingReader, RingWriter, word0};
use shm_abi::segment::{LaneWriter, MappedRing, RingName};

fn lane() -> LaneWriter {
    let plan =
        Plan { lane: "test".into(), orders_slots: 1024, market_slots: 1024, instruments: 8, depth_bytes: 1 << 16 };
    LaneWriter::anonymous(&plan).unwrap()
}

fn ring(lane: &mut LaneWriter, name: RingName) -> &mut RingWriter<MappedRing> {
    match name {
        RingName::Orders => &mut lane.orders,
        RingName::Market => &mut lane.market,
    }
}

/// Everything a ring reader reports goes to the writer, as a reactor would do it.
fn drain<D: journal::writer::Directory>(reader: &mut RingReader<MappedRing>, name: RingName, writer: &mut Writer<D>) {
    loop {
        match reader.poll() {
            Polled::Empty => return,
            Polled::Record { n, words } => assert!(writer.push(name, n, words)),
            Polled::Lost(lost) => writer.lost(name, lost.first, lost.last, lost.reason.into()),
        }
    }
}

#[test]
fn what_the_rings_readers_see_is_what_the_journals_readers_and_a_replays_readers_see() {
    let mut lane = lane();
    let segment = lane.reader();
    let source = Source { identity: lane.identity(), directory: segment.directory(), first: [0, 0] };
    let mut writer = Writer::new(small(), "test", &Recovered::default(), source, at(0)).unwrap();
    let mut folder = MemoryFolder::default();
    let mut recorder = RINGS.map(|name| segment.read_from(name, 0, Rejoin::Oldest));
    let mut live = RINGS.map(|name| (segment.read_from(name, 0, Rejoin::Oldest), Digest::new()));
    let mut rng = Rng(8);
    for i in 0..600u64 {
        if i % 100 == 0 {
            lane.add_instrument(&instruments(i as u32 / 100 + 1)[i as usize / 100]).unwrap();
        }
        for name in RINGS {
            for _ in 0..rng.below(6) {
                let id = (i / 100) as u32;
                let words = match rng.below(20) {
                    0 => record(b'n', id, 2 + rng.below(40) as usize, T0 + i, [1, 2, 3], rng.next()),
                    _ => add(id, rng.next(), T0 + i),
                };
                ring(&mut lane, name).push_span(&words);
            }
            ring(&mut lane, name).commit();
        }
        lane.publish_heads();
        for (at, name) in RINGS.into_iter().enumerate() {
            drain(&mut recorder[at], name, &mut writer);
            while let Polled::Record { words, .. } = live[at].0.poll() {
                live[at].1.update(words);
            }
        }
        writer.handle_time(at(i));
        drive(&mut writer, &mut folder, at(i));
    }
    // A relay's skip is a hole that nobody lost anything in.
    let next = lane.orders.next_number();
    lane.orders.push(&[word0(KIND_SKIP, 0, 1, 0, 0), 0, 0, 0, next + 10, 0, 0]);
    lane.orders.commit();
    drain(&mut recorder[0], RingName::Orders, &mut writer);
    writer.finish();
    drive(&mut writer, &mut folder, at(700));
    assert_eq!(writer.counters().skipped_slots, 10);

    let journal = open(&folder);
    let mut again = self::lane();
    for name in RINGS {
        let at = journal::ring_index(name);
        let mut digest = Digest::new();
        let mut replayed = Digest::new();
        let mut seen = again.reader().read_from(name, 0, Rejoin::Oldest);
        let mut reader = journal.oldest(name);
        loop {
            match reader.next().unwrap() {
                None => break,
                Some(Entry::Record { n, words }) => {
                    digest.update(words);
                    assert_eq!(ring(&mut again, name).push_span(words), n, "the same number again");
                    ring(&mut again, name).commit();
                    let Polled::Record { words, .. } = seen.poll() else { panic!("it was just committed") };
                    replayed.update(words);
                }
                Some(Entry::Hole(hole)) => assert_eq!((hole.first, hole.slots(), at), (next, 10, 0)),
                Some(Entry::Epoch(_)) => panic!("one epoch"),
            }
        }
        assert_eq!(digest.records(), live[at].1.records());
        assert_eq!(digest.to_string(), live[at].1.to_string(), "the live reader's");
        assert_eq!(replayed.to_string(), live[at].1.to_string(), "the replay's reader's");
        assert_eq!(reader.instruments().len(), 6);
        assert_eq!(reader.instruments(), &instruments(6));
    }
}
