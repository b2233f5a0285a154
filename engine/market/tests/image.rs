//! Images of the books: what readers see of one, and that nothing but an image makes a suspect book good again.

mod common;

use common::flow::{add, directory, execute, opening};
use common::{Bus, Got, Mirror, SCALE, config, stamps};
use market::itch::Itch;
use market::{DenseIds, MessageAt, Resume};
use shm_abi::board::Quality;
use shm_abi::counters::LaneCounter;
use shm_abi::record::{Body, INSTRUMENT_NONE, Side, flag, gap_reason, kind, session_code};

/// A feed that has lost messages 10 to 20, with one bid of instrument 1, and its readers.
fn broken() -> (Bus, Mirror) {
    let (mut bus, mut mirror) = (Bus::new(), Mirror::default());
    let mut messages = opening();
    messages.push(add(1, 500, b'B', 100, 1_000_000));
    let (orders, market) = bus.apply(&messages);
    mirror.orders(&orders);
    mirror.market(&market);
    bus.feed.gap(10, 20, gap_reason::UNFILLED, stamps(), &mut bus.lane);
    bus.next = 21;
    keep(&mut bus, &mut mirror);
    assert_eq!(bus.feed.sequence(), 20);
    assert_eq!(bus.row(0).quality(), Quality::Gapped);
    (bus, mirror)
}

fn keep(bus: &mut Bus, mirror: &mut Mirror) -> (Vec<Got>, Vec<Got>) {
    bus.lane.publish_heads();
    let (orders, market) = bus.drain();
    mirror.orders(&orders);
    mirror.market(&market);
    (orders, market)
}

/// Applies messages whose numbers are those of the image's own line.
fn image(bus: &mut Bus, messages: &[Vec<u8>]) {
    for (i, message) in messages.iter().enumerate() {
        let place = MessageAt { sequence: i as u64 + 1, at: 0, len: message.len() as u32 };
        bus.feed.apply(message, &[place], stamps(), &mut bus.lane);
    }
}

#[test]
fn an_image_replaces_every_book_and_ends_the_suspicion() {
    let (mut bus, mut mirror) = broken();
    bus.feed.snapshot_begin(stamps(), &mut bus.lane);
    let (orders, market) = keep(&mut bus, &mut mirror);
    let cleared: Vec<_> = orders.iter().map(|got| (got.head().kind, got.head().instrument_id)).collect();
    let wanted = [INSTRUMENT_NONE, 0, 1, 2].map(|instrument| (kind::CLEAR, instrument));
    assert_eq!(cleared, wanted, "all of them first: who has seen that sees the whole image");
    assert!(mirror.orders.is_empty() && bus.feed.book().live_orders() == 0);
    assert_eq!(bus.row(0).best(Side::Bid), None, "rows and records tell the same");

    image(&mut bus, &[directory(1, b"AAA     "), directory(9, b"NEW     "), add(1, 700, b'B', 30, 1_000_200)]);
    image(&mut bus, &[add(9, 701, b'S', 5, 2_000_000)]);
    let (more, also) = keep(&mut bus, &mut mirror);
    for got in orders.iter().chain(&market).chain(&more).chain(&also) {
        let head = got.head();
        assert!(head.flags & flag::SNAPSHOT != 0 && head.flags & flag::SUSPECT != 0, "{head:?}");
        assert_eq!(head.venue_sequence_low, 20, "the feed's sequence stands still");
    }
    assert_eq!(bus.row(0).quality(), Quality::Gapped, "until the image is whole");
    // A reader may know the new instrument from an epoch before.
    assert!(more.iter().any(|got| (got.head().kind, got.head().instrument_id) == (kind::CLEAR, 3)));

    assert!(bus.feed.snapshot_end(30, stamps(), &mut bus.lane));
    let (orders, market) = keep(&mut bus, &mut mirror);
    let ([end], [last]) = (&orders[..], &market[..]) else { panic!("one status record: {orders:?} {market:?}") };
    for end in [end, last] {
        let body = end.record();
        assert!(matches!(body.body(), Body::Status(status) if status.venue_code == session_code::IMAGE), "{end:?}");
        assert_eq!(end.head().flags & (flag::SNAPSHOT | flag::SUSPECT), flag::SNAPSHOT);
    }
    assert_eq!(bus.counter(LaneCounter::Unrepaired), 0);
    for row in 0..4 {
        assert_eq!((bus.row(row).quality(), bus.row(row).market_n()), (Quality::Fresh, last.n), "row {row}");
    }
    assert_eq!((bus.feed.sequence(), bus.feed.in_snapshot()), (30, false));

    bus.next = 31;
    let (orders, market) = bus.apply(&[execute(1, 700, 10, 1), add(9, 702, b'S', 5, 2_000_000)]);
    assert!(orders.iter().chain(&market).all(|got| got.head().flags & (flag::SNAPSHOT | flag::SUSPECT) == 0));
    mirror.orders(&orders);
    mirror.market(&market);
    assert_eq!(mirror.window(0, Side::Bid), [(1_000_200 * SCALE, 20, 1)]);
    assert_eq!(mirror.window(3, Side::Ask), [(2_000_000 * SCALE, 10, 2)]);
    assert_eq!(mirror.orders.len(), 3);
}

#[test]
fn an_image_older_than_what_was_published_is_no_repair() {
    let (mut bus, mut mirror) = broken();
    bus.feed.snapshot_begin(stamps(), &mut bus.lane);
    image(&mut bus, &[add(1, 700, b'B', 30, 1_000_200)]);
    assert!(!bus.feed.snapshot_end(19, stamps(), &mut bus.lane));
    keep(&mut bus, &mut mirror);
    assert_eq!((bus.feed.sequence(), bus.feed.in_snapshot()), (20, false));
    assert_eq!(bus.row(0).quality(), Quality::Gapped);
    // The same when it is what the engine before this one had published.
    let mut fresh = Bus::new();
    fresh.feed.resume(Resume { orders_after: 50, market_after: 52 });
    fresh.feed.snapshot_begin(stamps(), &mut fresh.lane);
    image(&mut fresh, &[directory(1, b"AAA     ")]);
    assert!(!fresh.drain().0.is_empty(), "an image is published also where messages would not be");
    assert!(!fresh.feed.snapshot_end(51, stamps(), &mut fresh.lane));
    fresh.feed.snapshot_begin(stamps(), &mut fresh.lane);
    assert!(fresh.feed.snapshot_end(52, stamps(), &mut fresh.lane));
}

#[test]
fn a_broken_image_leaves_the_books_suspect() {
    let (mut bus, mut mirror) = broken();
    bus.feed.snapshot_begin(stamps(), &mut bus.lane);
    image(&mut bus, &[add(1, 700, b'B', 30, 1_000_200)]);
    bus.feed.snapshot_abandon(stamps(), &mut bus.lane);
    keep(&mut bus, &mut mirror);
    assert!(!bus.feed.in_snapshot() && bus.feed.is_suspect(1));
    assert_eq!(bus.row(0).quality(), Quality::Gapped);
    assert_eq!(mirror.window(0, Side::Bid), [(1_000_200 * SCALE, 30, 1)]);
    let (orders, _) = bus.apply(&[add(1, 701, b'B', 30, 1_000_200)]);
    assert_eq!(orders[0].head().flags & (flag::SUSPECT | flag::SNAPSHOT), flag::SUSPECT);
}

#[test]
fn a_stream_from_the_middle_is_suspect_without_a_gap() {
    let mut bus = Bus::new();
    bus.apply(&opening());
    bus.feed.mark_suspect(stamps(), &mut bus.lane);
    let (_, market) = {
        bus.lane.publish_heads();
        bus.drain()
    };
    assert!(matches!(market[0].record().body(), Body::Status(status) if status.venue_code == b'G'));
    assert!((0..3).all(|row| bus.row(row).quality() == Quality::Gapped));
    // Another session's books are not this one's.
    bus.feed.new_session(b"B               ", stamps(), &mut bus.lane);
    assert!((0..3).all(|row| bus.row(row).quality() == Quality::Fresh));
    let itch = Itch::new(config(), DenseIds::default()).expect("a valid config");
    assert!(!market::Normaliser::from(itch).in_snapshot());
}
