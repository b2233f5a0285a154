//! The repair after a restart where there are orders without a price, phases that clear books, and no orders at all.

mod common;
mod iex_bus;

use common::dse_flow::{MARKET, add as dse_add, opening, system};
use common::{Bus, Got, Mirror, config, stamps};
use iex_bus::flow::flow as iex_flow;
use iex_bus::{AAA, IexBus};
use market::Resume;
use market::book::BookLimits;
use market::itch::ItchConfig;
use shm_abi::board::Quality;
use shm_abi::counters::LaneCounter;
use shm_abi::record::{Body, INSTRUMENT_NONE, PRICE_NONE, Side, flag, gap_reason, kind, session_code};
use wire::dialect::DSE;
use wire::iextp::Protocol;

fn dse() -> Bus {
    let limits = BookLimits { max_orders: 1 << 10, max_levels: 1 << 10, instruments: 8 };
    Bus::with(ItchConfig { dialect: &DSE, limits, max_prints: 64, ..config() })
}

/// A DSE feed that has lost a message that would have come after `messages`.
fn broken(messages: &[Vec<u8>]) -> Bus {
    let mut bus = dse();
    bus.apply(messages);
    let lost = bus.next;
    bus.feed.gap(lost, lost, gap_reason::UNFILLED, stamps(), &mut bus.lane);
    bus.next += 1;
    bus
}

#[test]
fn an_order_without_a_price_is_in_the_image_behind_all_others() {
    let mut messages = opening();
    messages.extend([dse_add(true, 7, 1, b'B', 10, MARKET), dse_add(true, 7, 2, b'B', 20, 1_000)]);
    let unrepaired = broken(&messages).counter(LaneCounter::Unrepaired);
    messages.push(dse_add(true, 7, 3, b'B', 30, 1_000));
    let mut bus = dse();
    bus.lane.counters.set(LaneCounter::Unrepaired, unrepaired);
    let known = messages.len() as u64;
    bus.feed.resume(Resume { orders_after: known, market_after: known });
    bus.apply(&messages);
    bus.feed.rebuilt(stamps(), &mut bus.lane);
    bus.lane.publish_heads();
    let (orders, market) = bus.drain();
    let of_one: Vec<_> = orders
        .iter()
        .filter_map(|got| match got.record().body() {
            Body::Order { order_id, price, quantity, .. } => Some((order_id, price == PRICE_NONE, quantity)),
            _ => None,
        })
        .collect();
    assert_eq!(of_one, [(2, false, 20), (3, false, 30), (1, true, 10)]);
    let mut mirror = Mirror::default();
    mirror.market(&market);
    let window = bus.row(0).window(Side::Bid).map(|l| (l.price, l.quantity, l.orders)).collect::<Vec<_>>();
    assert_eq!(mirror.window(market_id(&market), Side::Bid), window);
    assert_eq!(window.len(), 1);
}

fn market_id(market: &[Got]) -> u32 {
    market.iter().find(|got| got.head().kind == kind::LEVEL).expect("a level").head().instrument_id
}

#[test]
fn what_the_venue_clears_needs_no_repair() {
    for (scope, whole) in [("", true), ("PUBLIC", false)] {
        let mut bus = broken(&opening());
        assert_eq!(bus.counter(LaneCounter::Unrepaired), 1);
        bus.apply(&[system(b'C', scope, 0)]);
        assert_eq!(bus.counter(LaneCounter::Unrepaired) == 0, whole, "a clear of {scope:?}");
    }
    // A clear that is replayed says nothing of what was lost after it.
    let mut messages = opening();
    messages.push(system(b'C', "", 0));
    let mut bus = dse();
    bus.lane.counters.set(LaneCounter::Unrepaired, 1);
    let known = messages.len() as u64 + 1;
    bus.feed.resume(Resume { orders_after: known, market_after: known });
    bus.apply(&messages);
    assert_eq!(bus.counter(LaneCounter::Unrepaired), 1);
    bus.apply(&[dse_add(true, 7, 1, b'B', 10, 1_000)]);
    bus.feed.rebuilt(stamps(), &mut bus.lane);
    assert_eq!((bus.counter(LaneCounter::Unrepaired), bus.counter(LaneCounter::Repairs)), (0, 1));
}

#[test]
fn iex_has_windows_and_quotes_to_repair_and_no_orders() {
    for protocol in [Protocol::Deep, Protocol::Tops] {
        let messages = iex_flow(7, 400, protocol);
        let mut bus = IexBus::new(protocol);
        bus.lane.counters.set(LaneCounter::Unrepaired, 1);
        bus.feed.resume(Resume { orders_after: 0, market_after: messages.len() as u64 });
        assert!(bus.apply(&messages).is_empty(), "rebuilt in silence");
        assert_eq!(bus.feed.published_before(), messages.len() as u64);
        bus.feed.rebuilt(stamps(), &mut bus.lane);
        let image = bus.drain();
        let mut mirror = Mirror::default();
        mirror.market(&image);
        let last = image.last().expect("an image");
        assert!(matches!(last.record().body(), Body::Status(status) if status.venue_code == session_code::IMAGE));
        assert_eq!(last.head().instrument_id, INSTRUMENT_NONE);
        assert!(image.iter().all(|got| got.head().flags & flag::SNAPSHOT != 0));
        let clears = image.iter().filter(|got| got.head().kind == kind::CLEAR).count();
        assert!(clears > 1 && image.len() > 2 * clears, "{clears} clears of {} records", image.len());
        for got in image.iter().filter(|got| got.head().kind == kind::CLEAR) {
            let mut row = shm_abi::board::RowImage::default();
            let at = got.head().instrument_id as usize;
            bus.segment.board().read(at, &mut row, || true).expect("a row");
            assert_eq!(row.market_n(), last.n);
            for side in [Side::Bid, Side::Ask] {
                let window: Vec<_> = row.window(side).map(|l| (l.price, l.quantity, l.orders)).collect();
                assert_eq!(mirror.window(at as u32, side), window);
                let best = row.best(side).map(|l| (l.price, l.quantity, 0));
                assert_eq!(mirror.quote(at as u32, side), best);
            }
        }
        assert_eq!((bus.counter(LaneCounter::Unrepaired), bus.counter(LaneCounter::Repairs)), (0, 1));
        // Nothing more is owed; a gap owes it again, and a new session nothing.
        bus.feed.rebuilt(stamps(), &mut bus.lane);
        assert!(bus.drain().is_empty());
        let next = messages.len() as u64 + 1;
        bus.feed.gap(next, next, gap_reason::UNFILLED, stamps(), &mut bus.lane);
        assert_eq!((bus.row(&AAA).quality(), bus.counter(LaneCounter::Unrepaired)), (Quality::Gapped, 1));
        bus.feed.new_session(b"0000000143820000", stamps(), &mut bus.lane);
        assert_eq!(bus.counter(LaneCounter::Unrepaired), 0);
    }
}
