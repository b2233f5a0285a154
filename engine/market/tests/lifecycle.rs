//! Gaps, sessions, statuses, announcements, limits: what a feed does beside orders.

mod common;

use common::flow::{self, action, add, add_mpid, cross, directory, opening, system, trade};
use common::{Bus, SCALE, config, stamps};
use market::book::BookLimits;
use market::itch::{ConfigError, Itch, ItchConfig};
use market::{DenseIds, DepthPlan, MARK_INTERVAL, MessageAt};
use shm_abi::board::Quality;
use shm_abi::counters::LaneCounter;
use shm_abi::layout::row;
use shm_abi::record::{AnomalyCode, Body, Side, StatusCause, TradingStatus, flag, gap_reason, kind, restart_reason};
use wire::itch50::{LuldCollar, MwcbStatus, Noii, OrderDelete, QuotingPeriod, U32, U64};
use zerocopy::IntoBytes;

/// A bus with the three instruments in continuous trading and one bid in each.
fn open_bus() -> Bus {
    let mut bus = Bus::new();
    bus.apply(&opening());
    for locate in 1..=3 {
        bus.apply(&[add(locate, locate.into(), b'B', 100, 1_000_000)]);
    }
    bus
}

#[test]
fn a_gap_makes_every_book_suspect_until_the_next_session() {
    let mut bus = open_bus();
    bus.feed.gap(12, 20, gap_reason::UNFILLED, stamps(), &mut bus.lane);
    bus.lane.publish_heads();
    let (orders, market) = bus.drain();
    for records in [&orders, &market] {
        assert_eq!(records.len(), 1);
        assert_eq!(records[0].record().body(), Body::Gap { first: 12, last: 20, reason: gap_reason::UNFILLED });
        assert!(records[0].head().is_last());
    }
    assert_eq!((bus.counter(LaneCounter::Gaps), bus.counter(LaneCounter::GapMessages)), (1, 9));
    for at in 0..3 {
        assert_eq!(bus.row(at).quality(), Quality::Gapped);
        assert_eq!(bus.row(at).market_n(), market[0].n);
    }
    bus.next = 21;
    let (orders, market) = bus.apply(&[add(1, 50, b'B', 7, 1_000_100)]);
    assert!(orders.iter().chain(&market).all(|got| got.head().flags & flag::SUSPECT != 0));
    // The feed's own quality wins while it is down; a live feed's suspect book is gapped.
    let market_n = bus.lane.market.next_number();
    bus.feed.set_quality(Quality::Stale, Some(market_n), &mut bus.lane);
    assert_eq!((bus.row(0).quality(), bus.row(0).market_n()), (Quality::Stale, market_n));
    bus.feed.set_quality(Quality::Fresh, None, &mut bus.lane);
    assert_eq!((bus.row(0).quality(), bus.row(0).market_n()), (Quality::Gapped, market_n));
    bus.feed.new_session(b"SESSION2        ", stamps(), &mut bus.lane);
    assert_eq!(bus.row(0).quality(), Quality::Fresh);
}

#[test]
fn a_new_session_clears_books_and_rows_and_says_so() {
    let mut bus = open_bus();
    bus.feed.set_session(b"SESSION1        ");
    bus.apply(&[trade(1, 100, 1_000_000), cross(1, 50, 1_000_500, b'C')]);
    let last = bus.next - 1;
    let ends = [bus.lane.orders.next_number(), bus.lane.market.next_number()];
    bus.feed.new_session(b"SESSION2        ", stamps(), &mut bus.lane);
    bus.lane.publish_heads();
    let (orders, market) = bus.drain();
    for (records, end) in [(&orders, ends[0]), (&market, ends[1])] {
        let Body::Restart(restart) = records[0].record().body() else { panic!("{records:?}") };
        assert_eq!((restart.old_epoch, restart.old_end, restart.venue_sequence), (1, end, last));
        assert_eq!((&restart.session, restart.reason), (b"SESSION1        ", restart_reason::SESSION));
        assert!(records[1..].iter().all(|got| got.head().kind == kind::CLEAR && got.head().is_last()));
        assert_eq!(records.len(), 4);
    }
    assert_eq!(bus.feed.book().live_orders(), 0);
    let image = bus.row(0);
    assert_eq!((image.best(Side::Bid), image.window(Side::Bid).len()), (None, 0));
    assert_eq!((image.word(row::VOLUME), image.price(row::OPEN)), (0, None));
    assert_eq!(image.price(row::PREVIOUS_CLOSE), Some(1_000_500 * SCALE));
    assert_eq!(bus.feed.row_of_locate(1), None);
    // The day after: another locate, the same row and the same lasting id; references begin anew.
    bus.next = 1;
    let (_, market) = bus.apply(&[directory(9, flow::SYMBOLS[0]), action(9, b'T')]);
    assert_eq!(market[0].record().body(), Body::Instrument { row: 0, depth_class: 5, provider_code: 9 });
    assert_eq!(bus.segment.directory().get(0).map(|entry| entry.provider_code), Some(9));
    assert_eq!(bus.segment.directory().count(), 3);
    bus.apply(&[add(9, 1, b'B', 10, 999_900)]);
    assert_eq!(bus.row(0).best(Side::Bid).map(|level| level.price), Some(999_900 * SCALE));
}

#[test]
fn an_instrument_s_status_is_its_own_within_the_venue_s_phase() {
    let table: &[(&str, Vec<Vec<u8>>, TradingStatus)] = &[
        ("before any phase its own counts", vec![action(1, b'T')], TradingStatus::Trading),
        ("nothing said", vec![system(b'O')], TradingStatus::Unknown),
        ("tradable before the open", vec![system(b'O'), action(1, b'T')], TradingStatus::PreOpen),
        ("the open comes", vec![action(1, b'T'), system(b'S'), system(b'Q')], TradingStatus::Trading),
        ("halted over the open", vec![action(1, b'H'), system(b'Q')], TradingStatus::Halted),
        ("paused", vec![system(b'Q'), action(1, b'P')], TradingStatus::Paused),
        ("quotes only", vec![system(b'Q'), action(1, b'Q')], TradingStatus::QuoteOnly),
        ("after hours", vec![action(1, b'T'), system(b'M')], TradingStatus::PostClose),
        ("closed beats halted", vec![action(1, b'H'), system(b'E')], TradingStatus::Closed),
        ("end of messages", vec![action(1, b'T'), system(b'C')], TradingStatus::Closed),
    ];
    for (name, messages, want) in table {
        let mut bus = Bus::new();
        bus.apply(&[directory(1, flow::SYMBOLS[0])]);
        let (_, market) = bus.apply(messages);
        assert_eq!(bus.row(0).status(), *want, "case: {name}");
        assert_eq!(bus.row(0).market_n(), market.last().expect("a record").n, "case: {name}");
    }
}

#[test]
fn the_other_messages_reach_the_market_ring() {
    let mut noii = Noii::new(1, 3);
    (noii.paired_shares, noii.imbalance_shares) = (U64::new(500), U64::new(20));
    (noii.reference_price, noii.near_price) = (U32::new(1_000_000), U32::new(2_000_000_000));
    (noii.imbalance_direction, noii.cross_type, noii.price_variation) = (b'B', b'O', b'L');
    let mut collar = LuldCollar::new(1, 4);
    (collar.reference_price, collar.lower_price, collar.upper_price) = (U32::new(20), U32::new(10), U32::new(30));
    let mut mwcb = MwcbStatus::new(0, 5);
    mwcb.breached_level = b'2';
    let ipo = QuotingPeriod::new(1, 6);
    let mut bus = open_bus();
    let messages = [noii.as_bytes(), collar.as_bytes(), mwcb.as_bytes(), ipo.as_bytes()].map(<[u8]>::to_vec);
    let (orders, market) = bus.apply(&messages);
    assert!(orders.is_empty());
    let bodies: Vec<_> = market.iter().map(|got| got.record().body()).collect();
    let [Body::Imbalance(imbalance), band, Body::Status(status), Body::VenueMessage(verbatim)] = bodies[..] else {
        panic!("{bodies:?}")
    };
    assert_eq!((imbalance.paired, imbalance.imbalance, imbalance.letters), (500, 20, *b"BOL"));
    let none = shm_abi::record::PRICE_NONE;
    assert_eq!((imbalance.reference_price, imbalance.far_price, imbalance.near_price), (1_000_000 * SCALE, none, none));
    assert_eq!(band, Body::PriceBand { reference: 20 * SCALE, lower: 10 * SCALE, upper: 30 * SCALE });
    assert_eq!((status.cause, status.venue_code), (StatusCause::CircuitBreaker, b'2'));
    assert!(verbatim.bytes().eq(ipo.as_bytes().iter().copied()));
    assert!(market.iter().all(|got| got.head().is_last()));
}

#[test]
fn prints_move_the_day_s_statistics() {
    let mut bus = open_bus();
    bus.apply(&[
        trade(1, 10, 1_000_000),
        trade(1, 20, 1_000_300),
        trade(1, 5, 999_000),
        cross(1, 0, 0, b'O'),
        cross(1, 100, 1_000_200, b'C'),
        flow::execute_at(1, 1, 10, b'N', 5),
        flow::execute(1, 1, 10, 42),
    ]);
    let image = bus.row(0);
    let prices = [row::OPEN, row::HIGH, row::LOW, row::CLOSE, row::LAST_PRICE].map(|field| image.price(field));
    assert_eq!(prices, [1_000_000, 1_000_300, 999_000, 1_000_200, 1_000_000].map(|raw| Some(raw * SCALE)));
    assert_eq!((image.word(row::VOLUME), image.word(row::TRADES), image.word(row::LAST_MATCH)), (145, 5, 42));
    let turnover = 10 * 1_000_000 + 20 * 1_000_300 + 5 * 999_000 + 100 * 1_000_200 + 10 * 1_000_000;
    assert_eq!(image.turnover(), turnover as u128 * SCALE as u128);
    assert_eq!(bus.counter(LaneCounter::Trades), 7);
    // A cross whose shares would overflow the volume is refused.
    let (orders, _) = bus.apply(&[cross(1, u64::MAX, 1_000_000, b'C')]);
    let Body::Anomaly(anomaly) = orders[0].record().body() else { panic!("{orders:?}") };
    assert_eq!(anomaly.code, AnomalyCode::BadField);
    assert_eq!(bus.row(0).word(row::VOLUME), 145);
}

#[test]
fn a_crossed_book_is_declared_once_and_only_in_continuous_trading() {
    let mut bus = open_bus();
    let crossed = |bus: &Bus| bus.counter(LaneCounter::Crossed);
    bus.apply(&[action(1, b'H'), add(1, 10, b'S', 5, 999_000)]);
    assert_eq!(crossed(&bus), 0, "halted");
    bus.apply(&[add(2, 20, b'S', 5, 999_000), add(2, 21, b'S', 5, 998_000)]);
    assert_eq!(crossed(&bus), 1, "once while it lasts");
    bus.apply(&[flow::delete(2, 20), flow::delete(2, 21), add(2, 22, b'S', 5, 1_000_000)]);
    assert_eq!(crossed(&bus), 1, "locked is not crossed");
    bus.apply(&[add(2, 23, b'S', 5, 999_900)]);
    assert_eq!(crossed(&bus), 2, "again");
}

#[test]
fn announcements_that_contradict_the_session_are_refused() {
    let mut bus = open_bus();
    let table: &[(&str, Vec<u8>, AnomalyCode)] = &[
        ("locate taken", directory(1, b"NEW     "), AnomalyCode::BadField),
        ("symbol elsewhere", directory(7, flow::SYMBOLS[0]), AnomalyCode::BadField),
        ("locate 0", directory(0, b"ZERO    "), AnomalyCode::BadField),
        ("no symbol", directory(8, b"        "), AnomalyCode::BadField),
        ("unknown instrument", action(77, b'T'), AnomalyCode::UnknownInstrument),
        ("unknown state", action(1, b'Z'), AnomalyCode::BadField),
        ("unknown event", system(b'Z'), AnomalyCode::BadField),
        ("unknown cross", cross(1, 5, 5, b'B'), AnomalyCode::BadField),
    ];
    for (name, message, code) in table {
        let (orders, market) = bus.apply(std::slice::from_ref(message));
        for records in [orders, market] {
            let Body::Anomaly(anomaly) = records[0].record().body() else { panic!("case: {name}") };
            assert_eq!((anomaly.code, anomaly.venue_sequence), (*code, bus.next - 1), "case: {name}");
        }
    }
    bus.assert_balance();
    assert_eq!(bus.counter(LaneCounter::Rejected), table.len() as u64);
    // The same announcement again is no contradiction.
    bus.apply(&[directory(1, flow::SYMBOLS[0])]);
    assert_eq!(bus.counter(LaneCounter::Rejected), table.len() as u64);
    assert_eq!(bus.segment.directory().count(), 3);
}

#[test]
fn full_tables_refuse_and_say_so() {
    let limits = BookLimits { max_orders: 8, max_levels: 64, instruments: 4 };
    let mut bus = Bus::with(ItchConfig { limits, ..config() });
    bus.apply(&opening());
    for reference in 1..=10 {
        bus.apply(&[add_mpid(1, reference, b'B', 5, 1_000_000)]);
    }
    assert_eq!((bus.counter(LaneCounter::TableFull), bus.feed.book().live_orders()), (2, 8));
    // An instrument beyond the table.
    bus.apply(&[directory(4, b"DDD     ")]);
    assert_eq!(bus.counter(LaneCounter::TableFull), 3);
    let limits = BookLimits { max_orders: 1000, max_levels: 64, instruments: 4 };
    let mut bus = Bus::with(ItchConfig { limits, ..config() });
    bus.apply(&opening());
    for reference in 1..=200 {
        bus.apply(&[add(1, reference, b'B', 5, 1_000_000 + reference as u32)]);
    }
    let kept = bus.feed.book().live_orders() as u64;
    assert!((30..=64).contains(&kept), "{kept} levels in 64 places");
    assert_eq!(bus.counter(LaneCounter::TableFull), 200 - kept);
    for reference in 1..=200 {
        bus.apply(&[OrderDelete { order_reference: U64::new(reference), ..OrderDelete::new(1, 5) }
            .as_bytes()
            .to_vec()]);
    }
    assert_eq!((bus.feed.book().live_orders(), bus.feed.book().live_levels()), (0, 0));
    bus.assert_balance();
}

#[test]
fn marks_carry_the_full_sequence() {
    let mut bus = open_bus();
    bus.feed.set_session(b"SESSION1        ");
    bus.next = MARK_INTERVAL;
    let (orders, market) = bus.apply(&[add(1, 70, b'B', 5, 1_000_000), add(1, 71, b'B', 5, 1_000_000)]);
    for records in [&orders, &market] {
        let mark = Body::Mark { venue_sequence: MARK_INTERVAL, session: *b"SESSION1        " };
        assert_eq!(records[0].record().body(), mark);
        assert_eq!(records.iter().filter(|got| got.head().kind == kind::MARK).count(), 1);
        assert!(!records[0].head().is_last());
    }
}

#[test]
fn duplicates_are_received_but_change_nothing() {
    let mut bus = open_bus();
    bus.feed.duplicate(&mut bus.lane, 3);
    assert_eq!(bus.counter(LaneCounter::Duplicates), 3);
    bus.assert_balance();
}

#[test]
fn a_place_outside_the_buffer_is_a_truncated_message() {
    let mut bus = open_bus();
    let message = add(1, 60, b'B', 5, 1_000_000);
    for (at, len) in [(0, 40), (20, 36), (4_000_000_000, 36), (36, 0)] {
        let batch = [MessageAt { sequence: bus.next, at, len }];
        let before = bus.feed.book().live_orders();
        bus.feed.apply(&message[..30], &batch, stamps(), &mut bus.lane);
        assert_eq!(bus.feed.book().live_orders(), before, "{at} {len}");
        bus.next += 1;
    }
    bus.lane.publish_heads();
    let (orders, _) = bus.drain();
    assert_eq!(orders.len(), 4);
    bus.assert_balance();
}

#[test]
fn settings_out_of_range_are_named() {
    let limits = |max_orders, max_levels, instruments| BookLimits { max_orders, max_levels, instruments };
    let table: &[(ItchConfig, &str)] = &[
        (ItchConfig { limits: limits(0, 64, 1), ..config() }, "limits.max_orders = 0: expected 1 to 1073741824"),
        (ItchConfig { limits: limits(1, 63, 1), ..config() }, "limits.max_levels = 63: expected 64 to 1073741824"),
        (ItchConfig { limits: limits(1, 64, 0), ..config() }, "limits.instruments = 0: expected 1 to 16777216"),
        (ItchConfig { venue: "NINELETTR".into(), ..config() }, "venue = \"NINELETTR\": expected 1 to 8 letters"),
        (ItchConfig { midnight_ns: 1 << 63, ..config() }, "midnight_ns = 9223372036854775808: expected"),
        (
            ItchConfig { depth: DepthPlan { default_class: 7, ..DepthPlan::default() }, ..config() },
            "depth.default_class = 7: expected one of 0, 5, 10, 20, 50, 200",
        ),
    ];
    for (config, want) in table {
        let error: ConfigError = Itch::new(config.clone(), DenseIds::default()).expect_err(want);
        assert!(error.to_string().starts_with(want), "{error}");
    }
}
