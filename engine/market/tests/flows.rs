//! A thousand random order flows, hostile ones among them, against the obvious book: at every event the rings, the rows
//! and the book itself must tell the same story.

mod common;

use common::flow::{self, Rng, flow};
use common::slow::{Outcome, Slow};
use common::{Bus, Got, Mirror, SCALE};
use shm_abi::board::RowImage;
use shm_abi::counters::LaneCounter;
use shm_abi::layout::row;
use shm_abi::record::{AnomalyCode, Side};

const SIDES: [Side; 2] = [Side::Bid, Side::Ask];
/// Depth classes of the three symbols: see `common::config`.
const CLASSES: [usize; 3] = [5, 10, 0];

/// The last record of an event says so, and no other does; all carry the event's sequence.
fn assert_event(records: &[Got], sequence: u64, case: &str) {
    for (i, got) in records.iter().enumerate() {
        assert_eq!(got.head().is_last(), i + 1 == records.len(), "{case}: LAST of record {i}");
        assert_eq!(got.head().venue_sequence_low, sequence as u32, "{case}");
    }
}

fn levels(image: &RowImage, side: Side) -> Vec<(i64, u64, u32)> {
    image.window(side).map(|level| (level.price, level.quantity, level.orders)).collect()
}

fn assert_story(bus: &Bus, mirror: &Mirror, slow: &Slow, case: &str) {
    for locate in 1..=3u16 {
        let Some(at) = bus.feed.row_of_locate(locate.into()) else { continue };
        let (image, id, class) = (bus.row(at), at as u32, CLASSES[locate as usize - 1]);
        for side in SIDES {
            let depth = slow.depth(locate, side);
            let truth: Vec<_> = depth.iter().map(|(p, q, o)| (i64::from(*p) * SCALE, *q, *o)).collect();
            let window = &truth[..truth.len().min(class)];
            assert_eq!(mirror.window(id, side), window, "{case}: deltas of {locate} {side:?}");
            assert_eq!(levels(&image, side), window, "{case}: row of {locate} {side:?}");
            let best = truth.first().copied();
            let quote = mirror.quote(id, side).map(|(p, q, o)| (p, q, o as u32));
            assert_eq!(quote, best, "{case}: quote record of {locate} {side:?}");
            let quote = image.best(side).map(|level| (level.price, level.quantity, level.orders));
            assert_eq!(quote, best, "{case}: quote of the row of {locate} {side:?}");
            let own: Vec<_> =
                bus.feed.book().levels(locate.into(), side).map(|l| (l.price, l.quantity, l.orders)).collect();
            assert_eq!(own, depth, "{case}: book of {locate} {side:?}");
        }
        assert_eq!(image.word(row::VOLUME), slow.volume.get(&locate).copied().unwrap_or(0), "{case}: volume");
    }
}

/// Priority within every level, order by order.
fn assert_queues(bus: &Bus, slow: &Slow, case: &str) {
    for (locate, side) in (1..=3u16).flat_map(|locate| SIDES.map(|side| (locate, side))) {
        for (price, ..) in slow.depth(locate, side) {
            let queue: Vec<_> = bus.feed.book().queue(locate.into(), side, price).collect();
            assert_eq!(queue, slow.queue(locate, side, price), "{case}: queue at {price}");
        }
    }
    assert_eq!(bus.feed.book().live_orders(), slow.orders.len(), "{case}");
}

fn assert_row_number(bus: &Bus, market: &[Got], case: &str) {
    let Some(last) = market.last() else { return };
    let id = last.head().instrument_id;
    if let Some(locate) = (1..=3).find(|locate| bus.feed.row_of_locate(*locate) == Some(id as usize)) {
        let image = bus.row(bus.feed.row_of_locate(locate).expect("found"));
        assert_eq!(image.market_n(), last.n, "{case}: number that the row names");
    }
}

fn run(seed: u64) {
    let messages = flow(seed, 220);
    let (mut bus, mut mirror, mut slow) = (Bus::new(), Mirror::default(), Slow::default());
    let mut wanted = [0u64; 3];
    let mut anomalies = Vec::new();
    for (i, message) in messages.iter().enumerate() {
        let case = format!("seed {seed}, message {i} {:?}", message.first().map(|letter| *letter as char));
        let outcome = slow.apply(message);
        let before = mirror.anomalies.len();
        let (orders, market) = bus.apply(std::slice::from_ref(message));
        assert_event(&orders, i as u64 + 1, &case);
        assert_event(&market, i as u64 + 1, &case);
        assert!(!(orders.is_empty() && market.is_empty()), "{case}: nothing published");
        mirror.orders(&orders);
        mirror.market(&market);
        // Crossed books come on top of what the message itself is.
        let declared: Vec<_> =
            mirror.anomalies[before..].iter().filter(|code| **code != AnomalyCode::Crossed).copied().collect();
        let expected = match outcome {
            Outcome::Applied => vec![],
            Outcome::Odd(code) | Outcome::Rejected(code) => vec![code],
        };
        assert_eq!(declared, expected, "{case}");
        anomalies.extend(expected);
        wanted[if matches!(outcome, Outcome::Rejected(_)) { 1 } else { 0 }] += 1;
        assert_story(&bus, &mirror, &slow, &case);
        assert_row_number(&bus, &market, &case);
        for (reference, order) in &slow.orders {
            let (_, side, price, quantity) = mirror.orders[reference];
            assert_eq!((side, price, quantity), (order.side, i64::from(order.price) * SCALE, order.quantity.into()));
        }
        assert_eq!(mirror.orders.len(), slow.orders.len(), "{case}");
    }
    let case = format!("seed {seed}");
    assert_queues(&bus, &slow, &case);
    bus.assert_balance();
    assert_eq!(bus.counter(LaneCounter::Published), wanted[0], "{case}");
    assert_eq!(bus.counter(LaneCounter::Rejected), wanted[1], "{case}");
    assert_eq!(bus.counter(LaneCounter::QuoteEvents), slow.quote_changes, "{case}");
    assert_eq!(mirror.quote_events, slow.quote_changes, "{case}");
    let unknown = anomalies.iter().filter(|code| **code == AnomalyCode::UnknownOrder).count();
    assert_eq!(bus.counter(LaneCounter::UnknownOrder), unknown as u64, "{case}");
    let crossed = mirror.anomalies.iter().filter(|code| **code == AnomalyCode::Crossed).count();
    assert_eq!(bus.counter(LaneCounter::Crossed), crossed as u64, "{case}");
}

#[test]
fn a_thousand_flows_tell_one_story() {
    for seed in 0..1000 {
        run(seed);
    }
}

#[test]
fn batches_of_any_size_give_the_same_records() {
    for seed in 0..40 {
        let messages = flow(seed, 600);
        let (mut single, mut batched) = (Bus::new(), Bus::new());
        let mut want = (Vec::new(), Vec::new());
        let mut have = (Vec::new(), Vec::new());
        for message in &messages {
            let (orders, market) = single.apply(std::slice::from_ref(message));
            want.0.extend(orders);
            want.1.extend(market);
        }
        let mut rng = Rng(seed);
        let mut rest = &messages[..];
        while !rest.is_empty() {
            let (batch, after) = rest.split_at(rest.len().min(1 + rng.below(32) as usize));
            let (orders, market) = batched.apply(batch);
            have.0.extend(orders);
            have.1.extend(market);
            rest = after;
        }
        assert!(want == have, "seed {seed}");
    }
}

#[test]
fn deep_books_stay_sorted() {
    // Hundreds of levels a side: the arrays beyond the line grow, are searched by halves, and shrink again.
    let mut rng = Rng(7);
    let (mut bus, mut slow) = (Bus::new(), Slow::default());
    let mut messages = flow::opening();
    let mut live = Vec::new();
    for reference in 1..4000u64 {
        if reference > 2000 && rng.chance(60) {
            let at = rng.below(live.len() as u64) as usize;
            messages.push(flow::delete(2, live.swap_remove(at)));
        } else {
            let side = if rng.chance(50) { b'B' } else { b'S' };
            let price =
                if side == b'B' { 1_000_000 - rng.below(700) as u32 } else { 1_000_001 + rng.below(700) as u32 };
            live.push(reference);
            messages.push(flow::add(2, reference, side, 5, price));
        }
    }
    for message in messages {
        slow.apply(&message);
        bus.apply(&[message]);
    }
    assert_queues(&bus, &slow, "deep");
    for side in SIDES {
        let own: Vec<_> = bus.feed.book().levels(2, side).map(|l| (l.price, l.quantity, l.orders)).collect();
        assert_eq!(own, slow.depth(2, side));
        assert!(own.len() > 300, "{}", own.len());
    }
}
