//! A second engine that applies the session from its first message publishes exactly what the first one had not.

mod common;

use common::flow::flow;
use common::{Bus, Got};
use market::Resume;
use shm_abi::counters::LaneCounter;
use shm_abi::layout::row;
use shm_abi::record::Side;

/// Records after sequence `k`, without their numbers: those are the second ring's own.
fn after(records: &[Got], k: u64) -> Vec<Vec<u64>> {
    let late = records.iter().filter(|got| u64::from(got.head().venue_sequence_low) > k);
    late.map(|got| got.words.clone()).collect()
}

fn check(seed: u64, resume: Resume) {
    let messages = flow(seed, 400);
    let whole = {
        let mut bus = Bus::new();
        let mut all = (Vec::new(), Vec::new());
        for batch in messages.chunks(32) {
            let (orders, market) = bus.apply(batch);
            all.0.extend(orders);
            all.1.extend(market);
        }
        (bus, all)
    };
    let (first, (orders, market)) = whole;
    let mut second = Bus::new();
    second.feed.resume(resume);
    let mut again = (Vec::new(), Vec::new());
    for (i, message) in messages.iter().enumerate() {
        let known_everywhere = (i as u64) < resume.orders_after.min(resume.market_after);
        assert_eq!(second.feed.is_rebuilding(), known_everywhere, "before message {}", i + 1);
        let (orders, market) = second.apply(std::slice::from_ref(message));
        again.0.extend(orders);
        again.1.extend(market);
    }
    let words = |records: Vec<Got>| records.into_iter().map(|got| got.words).collect::<Vec<_>>();
    assert!(words(again.0) == after(&orders, resume.orders_after), "seed {seed}: orders ring, {resume:?}");
    assert!(words(again.1) == after(&market, resume.market_after), "seed {seed}: market ring, {resume:?}");
    let rebuilt = resume.orders_after.min(resume.market_after);
    assert_eq!(second.counter(LaneCounter::Rebuilt), rebuilt);
    assert_eq!(second.counter(LaneCounter::Received), messages.len() as u64 - rebuilt);
    second.assert_balance();
    for locate in 1..=3u16 {
        let [one, two] =
            [&first, &second].map(|bus| bus.row(bus.feed.row_of_locate(locate.into()).expect("announced")));
        for field in (row::TS_EVENT..=row::OPEN_INTEREST).filter(|field| *field != row::VERSION) {
            assert_eq!(one.word(field), two.word(field), "seed {seed}: word {field} of the row of {locate}");
        }
        for side in [Side::Bid, Side::Ask] {
            assert!(one.window(side).eq(two.window(side)), "seed {seed}: window of {locate}");
        }
    }
}

#[test]
fn the_rest_is_exact_wherever_the_first_engine_stopped() {
    for seed in 0..60 {
        let k = (seed * 37) % 400;
        check(seed, Resume { orders_after: k, market_after: k });
        // The rings are written one after the other: a killed engine may have ended them at different events.
        check(seed, Resume { orders_after: k + 1, market_after: k });
        check(seed, Resume { orders_after: k, market_after: k + 3 });
    }
}
