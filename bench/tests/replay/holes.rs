//! What a recording does not have is declared in its ring, and on the rows.

use journal::replay::SourceOptions;
use market::itch::{Itch, ItchConfig};
use market::{DenseIds, Normaliser};
use shm_abi::board::Quality;
use shm_abi::record::{Body, Record, gap_reason};

use crate::bus::{Bus, Moment, Replay, T0};
use crate::common::flow;

fn gaps(seen: &[Vec<u64>]) -> Vec<(usize, u64, u64)> {
    let gap = |(at, words): (usize, &Vec<u64>)| match Record::new(0, words).unwrap().body() {
        Body::Gap { first, last, reason: gap_reason::RECORDING } => Some((at, first, last)),
        _ => None,
    };
    seen.iter().enumerate().filter_map(gap).collect()
}

#[test]
fn a_hole_is_declared_where_it_is_and_rows_stay_gapped_until_they_are_cleared() {
    let config = ItchConfig { midnight_ns: T0, ..crate::common::config() };
    let normaliser: Normaliser<DenseIds> = Itch::new(config, DenseIds::default()).unwrap().into();
    let mut bus = Bus::new(normaliser);
    let messages = flow::flow(4, 300);
    messages[..100].chunks(2).for_each(|burst| bus.apply(burst));
    let (before, sequence) = (Moment::of(&bus.output.writer).next, bus.sequence());
    bus.deaf = true;
    messages[100..140].chunks(2).for_each(|burst| bus.apply(burst));
    bus.deaf = false;
    let (after, last) = (Moment::of(&bus.output.writer).next, bus.sequence());
    messages[140..].chunks(2).for_each(|burst| bus.apply(burst));
    bus.new_session(b"second          ");
    flow::opening().iter().for_each(|message| bus.apply(std::slice::from_ref(message)));
    let journal = bus.close();

    let mut replay = Replay::new(&journal, &SourceOptions::default());
    let mut gapped = 0;
    while replay.step() {
        let holes = replay.republisher.counts().holes[1];
        let rows = Moment::of(&replay.lane).rows;
        let known: Vec<Quality> = rows.iter().map(|row| row.quality()).filter(|q| *q != Quality::Unknown).collect();
        let is_second = replay.seen[1].iter().any(|words| words[0] as u8 == shm_abi::record::kind::RESTART);
        if holes == 1 && !is_second && replay.seen[1].len() > 5 {
            assert!(known.iter().all(|quality| *quality == Quality::Gapped), "{known:?}");
            gapped += 1;
        }
    }
    assert!(gapped > 20, "{gapped}");
    let rows = Moment::of(&replay.lane).rows;
    assert!(rows.iter().all(|row| row.quality() == Quality::Fresh), "a new session makes it good");
    let counts = *replay.republisher.counts();
    assert_eq!(counts.holes, [1, 1]);
    assert_eq!(counts.missing_slots, [after[0] - before[0], after[1] - before[1]]);
    for seen in &replay.seen {
        let gaps = gaps(seen);
        let &[(_, first, to)] = &gaps[..] else { panic!("one gap a ring: {gaps:?}") };
        // As far as the records around it tell: some messages say nothing in this ring.
        assert!(first > sequence - 10 && first <= sequence + 1, "{first}, {sequence}");
        assert!(to >= last && to < last + 10, "{to}, {last}");
    }
}
