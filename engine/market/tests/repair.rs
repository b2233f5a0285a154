//! After a restart whose replay brought what the engine before had lost, readers get it too: their books are whole again,
//! and nothing of it is published where nothing was lost.

mod common;

use std::collections::HashMap;

use common::flow::{Rng, add, directory, execute, flow, opening};
use common::slow::{Outcome, Slow};
use common::{Bus, Got, Mirror, SCALE, stamps};
use market::Resume;
use shm_abi::board::Quality;
use shm_abi::counters::LaneCounter;
use shm_abi::record::{Body, INSTRUMENT_NONE, Side, flag, gap_reason, kind, session_code};

const SIDES: [Side; 2] = [Side::Bid, Side::Ask];

/// What two engines published, one after the other, and what the second says of it.
struct Story {
    first: (Vec<Got>, Vec<Got>),
    image: (Vec<Got>, Vec<Got>),
    second: Bus,
    mirror: Mirror,
}

/// The first engine never gets the messages `lost`, from one up to but not including the other, counted from 0. The
/// second one gets all of them. `known`: how many the first one has taken or declared.
fn story(messages: &[Vec<u8>], lost: std::ops::Range<usize>, known: usize) -> Story {
    let mut first = Bus::new();
    let mut told = (Vec::new(), Vec::new());
    for (at, message) in messages[..known].iter().enumerate() {
        if lost.contains(&at) {
            first.next += 1;
            if at + 1 == lost.end {
                let (from, to) = (lost.start as u64 + 1, lost.end as u64);
                first.feed.gap(from, to, gap_reason::UNFILLED, stamps(), &mut first.lane);
            }
            continue;
        }
        let (orders, market) = first.apply(std::slice::from_ref(message));
        told.0.extend(orders);
        told.1.extend(market);
    }
    let (orders, market) = first.drain();
    told.0.extend(orders);
    told.1.extend(market);
    let mut second = Bus::new();
    second.lane.counters.set(LaneCounter::Unrepaired, first.counter(LaneCounter::Unrepaired));
    let known = known as u64;
    second.feed.resume(Resume { orders_after: known, market_after: known });
    for batch in messages[..known as usize].chunks(32) {
        let (orders, market) = second.apply(batch);
        assert!(orders.is_empty() && market.is_empty(), "rebuilt in silence");
    }
    second.feed.rebuilt(stamps(), &mut second.lane);
    second.lane.publish_heads();
    let image = second.drain();
    Story { first: told, image, second, mirror: Mirror::default() }
}

/// Messages that no book refuses.
fn honest(seed: u64, count: usize) -> Vec<Vec<u8>> {
    let mut messages = flow(seed, count);
    loop {
        let (mut book, before) = (Slow::default(), messages.len());
        messages.retain(|message| book.apply(message) == Outcome::Applied);
        // A replace that was refused had yet removed its order: without it others may be refused.
        if messages.len() == before {
            return messages;
        }
    }
}

/// Reader, rows and the obvious book agree.
fn assert_equal(bus: &Bus, mirror: &Mirror, slow: &Slow, case: &str) {
    let truth: HashMap<_, _> =
        slow.orders.iter().map(|(id, o)| (*id, (o.side, i64::from(o.price) * SCALE, o.quantity.into()))).collect();
    let own: HashMap<_, _> = mirror.orders.iter().map(|(id, (_, side, p, q))| (*id, (*side, *p, *q))).collect();
    assert_eq!(own, truth, "{case}: orders");
    for locate in &slow.known {
        let row = bus.row(bus.feed.row_of_locate((*locate).into()).expect("announced"));
        let id = bus.feed.row_of_locate((*locate).into()).expect("announced") as u32;
        assert_eq!(row.quality(), Quality::Fresh, "{case}: quality of {locate}");
        for side in SIDES {
            let window: Vec<_> = row.window(side).map(|l| (l.price, l.quantity, l.orders)).collect();
            assert_eq!(mirror.window(id, side), window, "{case}: window of {locate}");
            let best = row.best(side).map(|l| (l.price, l.quantity, u64::from(l.orders)));
            assert_eq!(mirror.quote(id, side), best, "{case}: quote of {locate}");
            let depth: Vec<_> = slow.depth(*locate, side).iter().map(|l| i64::from(l.0) * SCALE).collect();
            assert_eq!(best.map(|best| best.0), depth.first().copied(), "{case}: touch of {locate}");
        }
    }
}

#[test]
fn whatever_was_lost_readers_have_the_engines_books_after_the_image() {
    let mut repaired = 0;
    for seed in 0..80 {
        let messages = honest(seed, 300);
        let mut rng = Rng(seed + 1);
        let from = 3 + rng.below(100) as usize;
        let lost = from..from + 1 + rng.below(60) as usize;
        let known = (lost.end + rng.below(60) as usize).min(messages.len() - 20);
        if known < lost.end {
            continue;
        }
        let Story { first, image, mut second, mut mirror } = story(&messages, lost, known);
        repaired += second.counter(LaneCounter::Repairs);
        let case = format!("seed {seed}");
        let mut slow = Slow::default();
        for message in &messages[..known] {
            slow.apply(message);
        }
        // A reader of both engines; its old orders and levels are what the image has to replace.
        mirror.orders(&first.0);
        mirror.market(&first.1);
        mirror.orders(&image.0);
        mirror.market(&image.1);
        assert_equal(&second, &mirror, &slow, &case);
        // Priority too: the orders of a price come in the order of their arrival.
        for ((locate, side, price), queue) in queues(&image.0) {
            assert_eq!(slow.queue(locate, side, price), queue, "{case}: {side:?} of {locate} at {price}");
        }
        // No trade comes again, and every record is a part of the image of the last known message.
        for got in image.0.iter().chain(&image.1) {
            let head = got.head();
            assert!(!matches!(head.kind, kind::TRADE | kind::FILL | kind::CANCEL), "{case}: {head:?}");
            assert_eq!((head.flags & flag::SNAPSHOT, head.venue_sequence_low), (flag::SNAPSHOT, known as u32));
            // But for the first, which tells that no book is whole yet.
            assert_eq!(head.flags & flag::SUSPECT != 0, head == image.0[0].head(), "{case}");
        }
        // The live flow goes on from it.
        for message in &messages[known..] {
            slow.apply(message);
            let (orders, market) = second.apply(std::slice::from_ref(message));
            for head in orders.iter().chain(&market).map(Got::head) {
                assert_eq!(head.flags & (flag::SNAPSHOT | flag::SUSPECT), 0, "{case}: {head:?} {message:?}");
            }
            mirror.orders(&orders);
            mirror.market(&market);
        }
        assert_equal(&second, &mirror, &slow, &case);
        second.assert_balance();
    }
    assert!(repaired > 50, "{repaired} repairs");
}

/// Queues of an image: (locate, side, price) to (reference, quantity).
fn queues(orders: &[Got]) -> HashMap<(u16, Side, u32), Vec<(u64, u32)>> {
    let mut queues = HashMap::<_, Vec<_>>::new();
    for got in orders {
        if let Body::Order { side, order_id, price, quantity } = got.record().body() {
            let locate = got.head().instrument_id as u16 + 1;
            let place = (locate, side.expect("a side"), (price / SCALE) as u32);
            queues.entry(place).or_default().push((order_id, quantity as u32));
        }
    }
    queues
}

#[test]
fn an_image_has_a_beginning_and_an_end_and_each_row_names_its_last_record() {
    let messages = honest(3, 300);
    let Story { image: (orders, market), second, .. } = story(&messages, 20..30, 120);
    let first = orders[0].head();
    assert_eq!((first.kind, first.instrument_id), (kind::CLEAR, INSTRUMENT_NONE));
    let is_end = |got: &Got| matches!(got.record().body(), Body::Status(s) if s.venue_code == session_code::IMAGE);
    let ends: Vec<_> = orders.iter().filter(|got| is_end(got)).map(|got| got.head().instrument_id).collect();
    assert_eq!(ends, [0, 1, 2, INSTRUMENT_NONE], "each book is whole when it is, and all at the end");
    let last = market.last().expect("an image");
    assert!(is_end(last) && last.head().is_last() && orders.last().expect("an image").head().is_last());
    assert_eq!(market.iter().filter(|got| is_end(got)).count(), 1);
    for row in 0..3 {
        assert_eq!(second.row(row).market_n(), last.n, "row {row}");
    }
    assert_eq!((second.counter(LaneCounter::Unrepaired), second.counter(LaneCounter::Repairs)), (0, 1));
}

#[test]
fn without_a_loss_a_restart_publishes_no_image() {
    let messages = honest(4, 300);
    let Story { image, mut second, .. } = story(&messages, 0..0, 120);
    assert_eq!(image, (Vec::new(), Vec::new()));
    // Nor does a repaired engine, or its successor, repair again.
    let Story { second: repaired, .. } = story(&messages, 20..30, 120);
    second.lane.counters.set(LaneCounter::Unrepaired, repaired.counter(LaneCounter::Unrepaired));
    second.feed.rebuilt(stamps(), &mut second.lane);
    assert_eq!((second.drain(), second.counter(LaneCounter::Repairs)), ((Vec::new(), Vec::new()), 0));
}

#[test]
fn a_replay_that_has_lost_something_itself_repairs_nothing() {
    let messages = honest(5, 300);
    let mut bus = Bus::new();
    bus.feed.resume(Resume { orders_after: 60, market_after: 60 });
    bus.apply(&messages[..20]);
    bus.next = 31;
    bus.feed.gap(21, 30, gap_reason::SKIPPED_AT_LOGIN, stamps(), &mut bus.lane);
    assert_eq!(bus.counter(LaneCounter::Unrepaired), 0, "readers were not told: the engine before had these messages");
    bus.apply(&messages[30..60]);
    bus.feed.rebuilt(stamps(), &mut bus.lane);
    bus.lane.publish_heads();
    assert_eq!(bus.drain(), (Vec::new(), Vec::new()));
    // From now on its records say so, and a successor has to make it good.
    assert_eq!((bus.counter(LaneCounter::Unrepaired), bus.counter(LaneCounter::Repairs)), (1, 0));
    let (orders, _) = bus.apply(&[add(1, 9_000_001, b'B', 100, 1_000_000)]);
    assert_ne!(orders[0].head().flags & flag::SUSPECT, 0);
}

#[test]
fn a_book_that_the_venue_itself_broke_stays_suspect() {
    let mut messages = opening();
    // Of an order that never was: instrument 1 is suspect whoever replays it.
    messages.push(execute(1, 77, 10, 1));
    messages.push(add(1, 500, b'B', 100, 1_000_000));
    messages.push(add(2, 501, b'S', 100, 1_000_000));
    messages.push(directory(9, b"NEW     "));
    let count = messages.len();
    let Story { image: (orders, market), second, .. } = story(&messages, count - 1..count, count);
    let suspects: Vec<_> = [&orders, &market]
        .into_iter()
        .flatten()
        .filter(|got| got.head().flags & flag::SUSPECT != 0)
        .map(|got| got.head().instrument_id)
        .filter(|id| *id != INSTRUMENT_NONE)
        .collect();
    assert!(!suspects.is_empty() && suspects.iter().all(|id| *id == 0), "{suspects:?}");
    let ends: Vec<_> = orders.iter().filter(|got| got.head().kind == kind::STATUS).collect();
    let ended: Vec<_> = ends.iter().map(|got| got.head().instrument_id).collect();
    // The fourth was announced in the gap: nobody but the image tells of it.
    assert_eq!(ended, [1, 2, 3], "neither the suspect one nor all of them");
    let qualities = [0, 1, 2, 3].map(|row| second.row(row).quality());
    assert_eq!(qualities, [Quality::Gapped, Quality::Fresh, Quality::Fresh, Quality::Fresh]);
}

#[test]
fn a_large_book_comes_in_several_events_and_is_whole_with_the_last() {
    let mut messages = opening();
    for order in 0..700 {
        messages.push(add(
            1,
            1_000 + order,
            if order % 2 == 0 { b'B' } else { b'S' },
            100,
            1_000_000 + order as u32 % 7,
        ));
    }
    let count = messages.len();
    let Story { image: (orders, _), .. } = story(&messages, 10..20, count);
    let of_one: Vec<_> = orders.iter().filter(|got| got.head().instrument_id == 0).collect();
    assert_eq!(of_one.len(), 702, "a clear, the orders, the end");
    let events: Vec<_> = of_one.split_inclusive(|got| got.head().is_last()).map(<[_]>::len).collect();
    assert_eq!(events, [256, 256, 190]);
    let (end, parts) = of_one.split_last().expect("an image");
    assert!(parts.iter().all(|got| got.head().flags & flag::SUSPECT != 0), "a part is not the whole");
    assert_eq!(end.head().flags & flag::SUSPECT, 0);
    assert!(matches!(end.record().body(), Body::Status(status) if status.venue_code == session_code::IMAGE));
}
