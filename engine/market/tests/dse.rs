//! The special cases of the X-stream family, one by one.

mod common;

use common::dse_flow::{
    MARKET, action, add, best, broken, delete, execute, execute_at, index, jnx, news, opening, orderbook, replace,
    system, time, trade,
};
use common::{Bus, Got, config, stamps};
use market::book::BookLimits;
use market::itch::{FeedRole, ItchConfig};
use shm_abi::board::Quality;
use shm_abi::counters::LaneCounter;
use shm_abi::directory::InstrumentKind;
use shm_abi::layout::row;
use shm_abi::record::{
    AnomalyCode, Body, INSTRUMENT_NONE, PRICE_NONE, Side, StatusCause, TradingStatus, clear_code, flag, gap_reason,
    kind,
};
use wire::dialect::{DSE, Dialect, JNX_16, Role, Value};

fn with(dialect: &'static Dialect, role: FeedRole) -> Bus {
    let limits = BookLimits { max_orders: 1 << 10, max_levels: 1 << 10, instruments: 8 };
    Bus::with(ItchConfig { dialect, role, limits, max_prints: 64, ..config() })
}

/// Three orderbooks in continuous trading; the first, number 7, has two decimals and row 0.
fn open() -> Bus {
    let mut bus = with(&DSE, FeedRole::All);
    bus.apply(&opening());
    bus
}

/// The bus price of a raw one of orderbook 7.
fn p(raw: i64) -> i64 {
    raw * 10_000_000
}

fn anomaly(records: &[Got]) -> Option<AnomalyCode> {
    records.iter().find_map(|got| match got.record().body() {
        Body::Anomaly(anomaly) => Some(anomaly.code),
        _ => None,
    })
}

/// Volume, trades, last price, high, low.
fn day(bus: &Bus) -> (u64, u64, Option<i64>, Option<i64>, Option<i64>) {
    let image = bus.row(0);
    let [last, high, low] = [row::LAST_PRICE, row::HIGH, row::LOW].map(|word| image.price(word));
    (image.word(row::VOLUME), image.word(row::TRADES), last, high, low)
}

#[test]
fn a_market_order_lives_outside_the_ladder() {
    for raw in [MARKET, u32::MAX] {
        let mut bus = open();
        let (orders, market) = bus.apply(&[add(true, 7, 1, b'B', 10, raw)]);
        assert!(market.is_empty(), "nothing of it shows: {market:?}");
        let Body::Order { price, quantity, .. } = orders[0].record().body() else { panic!("{orders:?}") };
        assert_eq!((price, quantity), (PRICE_NONE, 10));
        assert_eq!((bus.feed.book().orders_of(0), bus.feed.book().unpriced_orders_of(0)), (1, 1));
        // An execution at its own price leaves the price open; one with a price does not.
        bus.apply(&[execute(1, 2, 50)]);
        assert_eq!(day(&bus), (2, 1, None, None, None));
        bus.apply(&[execute_at(1, 3, 51, b'Y', 1_000)]);
        assert_eq!(day(&bus), (5, 2, Some(p(1_000)), Some(p(1_000)), Some(p(1_000))));
        // A replace gives it a price, and another takes it away again.
        bus.apply(&[replace(1, 2, 7, 900)]);
        assert_eq!(bus.row(0).best(Side::Bid).map(|level| (level.price, level.quantity)), Some((p(900), 7)));
        bus.apply(&[replace(2, 3, 7, raw)]);
        assert_eq!((bus.row(0).best(Side::Bid), bus.feed.book().unpriced_orders_of(0)), (None, 1));
        bus.apply(&[delete(3)]);
        assert_eq!((bus.feed.book().live_orders(), bus.feed.book().live_levels()), (0, 0));
        assert_eq!(bus.counter(LaneCounter::Rejected), 0);
    }
}

#[test]
fn a_replace_may_keep_the_number() {
    let mut bus = open();
    bus.apply(&[add(false, 7, 1, b'S', 10, 1_000), add(true, 7, 2, b'S', 5, 1_000), replace(1, 1, 8, 1_000)]);
    let queue: Vec<_> = bus.feed.book().queue(0, Side::Ask, 1_000).collect();
    assert_eq!(queue, [(2, 5), (1, 8)], "it goes behind");
}

#[test]
fn quantities_that_no_book_holds_are_refused_and_make_it_suspect() {
    let large = u64::from(u32::MAX) + 1;
    for message in [add(true, 7, 9, b'B', large, 1_000), add(false, 7, 9, b'B', u64::MAX, MARKET)] {
        let mut bus = open();
        let (orders, _) = bus.apply(&[message]);
        assert_eq!(anomaly(&orders), Some(AnomalyCode::BadField));
        assert_eq!((bus.row(0).quality(), bus.counter(LaneCounter::BadField)), (Quality::Gapped, 1));
    }
    let mut bus = open();
    bus.apply(&[add(true, 7, 1, b'B', 10, 1_000), replace(1, 2, large, 1_000)]);
    assert!(bus.feed.is_suspect(7) && bus.feed.book().live_orders() == 0, "the original is gone all the same");
    bus.apply(&[add(true, 7, 3, b'B', u32::MAX.into(), 1_000)]);
    assert_eq!(bus.row(0).best(Side::Bid).map(|level| level.quantity), Some(u32::MAX.into()));
}

#[test]
fn both_sides_of_a_match_count_once() {
    let mut bus = open();
    bus.apply(&[add(true, 7, 1, b'B', 10, 1_000), add(true, 7, 2, b'S', 10, 1_000)]);
    let (_, market) = bus.apply(&[execute(1, 10, 77), execute_at(2, 10, 77, b'Y', 1_000)]);
    let flags: Vec<_> =
        market.iter().filter(|got| got.head().kind == kind::TRADE).map(|got| got.head().flags).collect();
    assert_eq!(flags.iter().map(|flags| flags & flag::NOT_PRINTED).collect::<Vec<_>>(), [0, flag::NOT_PRINTED]);
    assert_eq!((day(&bus).0, day(&bus).1, bus.feed.book().live_orders()), (10, 1, 0));
    // Match number 0 names no match.
    bus.apply(&[trade(7, 3, 1_000, 0, b'Y'), trade(7, 3, 1_000, 0, b'Y'), trade(7, 3, 1_000, 5, b'N')]);
    assert_eq!((day(&bus).0, day(&bus).1), (16, 3));
}

#[test]
fn a_broken_trade_leaves_the_day_again() {
    let mut bus = open();
    bus.apply(&[trade(7, 5, 1_000, 1, b'Y'), trade(7, 6, 1_200, 2, b'Y'), trade(7, 7, 900, 3, b'Y')]);
    assert_eq!(day(&bus), (18, 3, Some(p(900)), Some(p(1_200)), Some(p(900))));
    let (orders, market) = bus.apply(&[broken(3)]);
    for records in [&orders, &market] {
        assert_eq!(records[0].record().body(), Body::TradeBreak { match_id: 3, price: p(900), quantity: 7 });
    }
    assert_eq!(day(&bus), (11, 2, Some(p(1_200)), Some(p(1_200)), Some(p(1_000))));
    // Not the last one, but the highest; then twice, and one that never was: nothing to take out.
    bus.apply(&[broken(2)]);
    assert_eq!(day(&bus), (5, 1, Some(p(1_000)), Some(p(1_000)), Some(p(1_000))));
    let (_, market) = bus.apply(&[broken(2), broken(99)]);
    let none = |match_id| Body::TradeBreak { match_id, price: PRICE_NONE, quantity: u64::MAX };
    assert_eq!(market.iter().map(|got| got.record().body()).collect::<Vec<_>>(), [none(2), none(99)]);
    assert_eq!(bus.row(0).turnover(), 5 * p(1_000) as u128);
    bus.apply(&[broken(1)]);
    assert_eq!((day(&bus), bus.row(0).price(row::OPEN), bus.row(0).turnover()), ((0, 0, None, None, None), None, 0));
}

#[test]
fn prints_beyond_the_table_count_but_are_declared() {
    let mut bus = open();
    for match_id in 1..=65 {
        bus.apply(&[trade(7, 1, 1_000, match_id, b'Y')]);
    }
    assert_eq!((day(&bus).0, bus.counter(LaneCounter::TableFull), bus.counter(LaneCounter::Rejected)), (65, 1, 0));
}

#[test]
fn the_first_and_the_last_message_clear_books() {
    let mut bus = open();
    bus.apply(&[add(true, 7, 1, b'B', 10, 1_000), add(true, 7, 2, b'B', 10, MARKET), trade(7, 3, 1_000, 9, b'Y')]);
    bus.feed.gap(20, 22, gap_reason::UNFILLED, stamps(), &mut bus.lane);
    bus.next = 23;
    bus.lane.publish_heads();
    bus.drain();
    let (orders, market) = bus.apply(&[system(b'C', "", 0)]);
    let clears = |records: &[Got], code| {
        let cleared = records.iter().filter(|got| got.record().body() == Body::Clear { code });
        cleared.map(|got| (got.head().instrument_id, got.head().venue_sequence_low)).collect::<Vec<_>>()
    };
    // Every book was suspect, and is no more. Who is killed between the clears begins with the message again.
    assert_eq!(clears(&orders, clear_code::BOOK), [(0, 22), (1, 22), (2, 22)]);
    assert_eq!(market.last().map(|got| (got.head().kind, got.head().venue_sequence_low)), Some((kind::STATUS, 23)));
    assert!(bus.feed.book().live_orders() == 0 && !bus.feed.is_suspect(7));
    assert_eq!((bus.row(0).quality(), bus.row(0).status()), (Quality::Fresh, TradingStatus::Closed));
    assert_eq!(day(&bus).0, 3, "the day's figures stay");
    let (orders, _) = bus.apply(&[system(b'O', "", 0)]);
    assert_eq!(clears(&orders, clear_code::DAY), [(0, 23)]);
    assert_eq!(day(&bus), (0, 0, None, None, None));
    bus.apply(&[trade(7, 3, 1_000, 9, b'Y')]);
    assert_eq!(day(&bus).0, 3, "match numbers begin anew");
    // A board's own clears touch no other.
    bus.apply(&[orderbook(8, "SMALL", "SME", 2, b'P'), add(true, 8, 5, b'B', 1, 100), add(true, 7, 6, b'B', 1, 100)]);
    bus.apply(&[system(b'C', "SME", 0)]);
    assert_eq!((bus.feed.book().orders_of(0), bus.feed.book().live_orders()), (1, 1));
}

#[test]
fn phases_of_all_of_a_board_and_of_one() {
    let mut bus = with(&DSE, FeedRole::All);
    bus.apply(&[time(1), orderbook(7, "AAA", "MAIN", 2, b'P'), orderbook(8, "BBB", "SME", 2, b'P')]);
    bus.apply(&[action(7, b'T'), action(8, b'T')]);
    let status = |bus: &Bus| [0, 1].map(|at| bus.row(at).status());
    use TradingStatus::{Closed, Halted, PostClose, PreOpen, Trading, Unknown};
    let table: &[(&str, Vec<u8>, [TradingStatus; 2])] = &[
        ("pre-open of all", system(b'S', "", 0), [PreOpen, PreOpen]),
        ("one board opens", system(b'Q', "MAIN", 0), [Trading, PreOpen]),
        ("an undocumented letter changes nothing", system(b'?', "", 0), [Trading, PreOpen]),
        ("one orderbook opens", system(b'Q', "SME", 8), [Trading, Trading]),
        ("halt of all", system(b'A', "", 0), [Halted, Halted]),
        ("resume", system(b'B', "", 0), [Trading, Trading]),
        ("suspended", action(7, b'V'), [Halted, Trading]),
        ("a state that nobody documents", action(7, b'x'), [Unknown, Trading]),
        ("post-close", system(b'V', "", 0), [Unknown, PostClose]),
        ("closed", system(b'E', "", 0), [Closed, Closed]),
    ];
    for (name, message, want) in table {
        let (_, market) = bus.apply(std::slice::from_ref(message));
        let last = market.last().expect("a record");
        let Body::Status(told) = last.record().body() else { panic!("case: {name}") };
        let letter = if message[0] == b'S' { message[13] } else { message[9] };
        assert_eq!((told.venue_code, status(&bus)), (letter, *want), "case: {name}");
    }
    // Who comes later is in the phase of its board, or of all.
    bus.apply(&[system(b'Q', "SME", 0), orderbook(9, "CCC", "SME", 2, b'P'), action(9, b'T')]);
    assert_eq!(bus.row(2).status(), Trading);
    let (orders, _) = bus.apply(&[system(b'Q', "", 4_711)]);
    assert_eq!(anomaly(&orders), Some(AnomalyCode::UnknownInstrument));
}

#[test]
fn symbols_boards_and_what_is_refused() {
    let mut bus = with(&DSE, FeedRole::All);
    bus.apply(&[time(1), orderbook(7, "GP", "MAIN", 2, b'P'), orderbook(8, "GP", "BLOCK", 2, b'P')]);
    let symbol = |row| bus.segment.directory().get(row).map(|entry| (entry.symbol.to_string(), entry.kind, entry.lot));
    assert_eq!(symbol(0), Some(("GP".into(), InstrumentKind::Equity, 5)));
    assert_eq!(symbol(1), Some(("GP.BLOCK".into(), InstrumentKind::Equity, 5)));
    let full: Vec<_> = (10..16).map(|number| orderbook(number, &format!("X{number}"), "MAIN", 2, b'P')).collect();
    let table: &[(&str, Vec<u8>, AnomalyCode)] = &[
        ("number 0", orderbook(0, "ZERO", "MAIN", 2, b'P'), AnomalyCode::BadField),
        ("no code", orderbook(9, "", "MAIN", 2, b'P'), AnomalyCode::BadField),
        ("another code under the number", orderbook(7, "BATBC", "MAIN", 2, b'P'), AnomalyCode::BadField),
        ("another board under the number", orderbook(7, "GP", "SME", 2, b'P'), AnomalyCode::BadField),
        ("the same code and board twice", orderbook(9, "GP", "BLOCK", 2, b'P'), AnomalyCode::BadField),
        ("more decimals than the bus has", orderbook(9, "FINE", "MAIN", 10, b'P'), AnomalyCode::BadField),
        ("an order for a stranger", add(true, 99, 1, b'B', 1, 1), AnomalyCode::UnknownInstrument),
        ("an execution of a stranger", execute(99, 1, 1), AnomalyCode::UnknownOrder),
        ("a trade of nothing", trade(7, 0, 100, 4, b'Y'), AnomalyCode::BadField),
        ("a price beyond the sentinel", trade(7, 1, MARKET + 1, 4, b'Y'), AnomalyCode::BadField),
        ("an order beyond the sentinel", add(true, 7, 1, b'B', 1, u32::MAX - 1), AnomalyCode::BadField),
        ("an index beyond the bus", index(7, u64::MAX), AnomalyCode::BadField),
        ("a second of next year", time(31_536_000), AnomalyCode::BadField),
    ];
    for (name, message, code) in table {
        let (orders, market) = bus.apply(std::slice::from_ref(message));
        assert_eq!([anomaly(&orders), anomaly(&market)], [Some(*code); 2], "case: {name}");
    }
    assert_eq!(bus.counter(LaneCounter::Rejected), table.len() as u64);
    // The same again is no contradiction, of either; the table ends at its limit.
    bus.apply(&[orderbook(7, "GP", "MAIN", 2, b'P'), orderbook(8, "GP", "BLOCK", 2, b'P')]);
    assert_eq!((bus.counter(LaneCounter::Rejected), bus.segment.directory().count()), (table.len() as u64, 2));
    bus.apply(&full);
    assert_eq!((bus.segment.directory().count(), bus.counter(LaneCounter::TableFull)), (8, 0));
    bus.apply(&[orderbook(77, "LATE", "MAIN", 2, b'P')]);
    assert_eq!((bus.segment.directory().count(), bus.counter(LaneCounter::TableFull)), (8, 1));
    bus.assert_balance();
}

#[test]
fn each_feed_of_a_venue_has_the_rows_that_it_alone_publishes() {
    let messages = [
        time(1),
        orderbook(7, "AAA", "MAIN", 2, b'P'),
        orderbook(9001, "DSEX", "INDEX", 2, b'I'),
        action(7, b'T'),
        index(9001, 620_000),
        news(7, 5, b"title", "খবর \u{1f4f0}".as_bytes()),
    ];
    let table: &[(FeedRole, &[&str], bool, bool)] = &[
        (FeedRole::All, &["AAA", "DSEX"], true, true),
        (FeedRole::Market, &["AAA"], true, false),
        (FeedRole::Index, &["DSEX"], false, true),
        (FeedRole::News, &[], false, false),
    ];
    for (role, symbols, state, value) in table {
        let mut bus = with(&DSE, *role);
        let (orders, market) = bus.apply(&messages);
        let directory = bus.segment.directory();
        let have: Vec<_> =
            (0..directory.count()).filter_map(|at| directory.get(at)).map(|e| e.symbol.to_string()).collect();
        assert_eq!(&have, symbols, "{role:?}");
        let has = |wanted| market.iter().any(|got| got.head().kind == wanted);
        assert_eq!((has(kind::STATUS), has(kind::INDEX_VALUE)), (*state, *value), "{role:?}");
        // News name the instrument by its lasting id, whoever has its row.
        let told = market.iter().find(|got| got.head().kind == kind::NEWS).expect("news");
        let Body::News(news) = told.record().body() else { panic!("{told:?}") };
        let text = String::from_utf8(news.text.bytes().collect()).expect("UTF-8");
        assert_eq!((told.head().instrument_id, text.as_str()), (0, "DSE\0title\0\0খবর \u{1f4f0}"), "{role:?}");
        assert_eq!((anomaly(&orders), bus.counter(LaneCounter::Rejected)), (None, 0), "{role:?}");
        bus.assert_balance();
    }
}

#[test]
fn long_news_are_several_records_of_one_event() {
    let mut bus = open();
    let (_, market) = bus.apply(&[news(0, 6, b"t", &[b'x'; 8_000])]);
    let parts = market.iter().filter_map(|got| match got.record().body() {
        Body::News(news) => Some((news.part, news.parts, news.cut, news.text.len(), got.head().is_last())),
        _ => None,
    });
    let parts: Vec<_> = parts.collect();
    assert_eq!(parts.iter().map(|part| part.3).sum::<usize>(), 8_000 + "DSE\0t\0\0".len());
    assert!(parts.iter().enumerate().all(|(i, part)| (part.0, part.1, part.2, part.4) == (i as u16, 3, false, i == 2)));
    assert!(market.iter().all(|got| got.head().instrument_id == INSTRUMENT_NONE));
    // What is longer than an item may be is cut, and declared; what is about a stranger is told all the same.
    let (_, market) = bus.apply(&[news(4_711, 7, b"t", &[0xff; 20_000])]);
    let codes: Vec<_> = market.iter().filter_map(|got| anomaly(std::slice::from_ref(got))).collect();
    assert_eq!(codes, [AnomalyCode::UnknownInstrument, AnomalyCode::BadField]);
    assert!(matches!(market.last().expect("news").record().body(), Body::News(news) if news.cut && news.parts == 6));
    assert_eq!(bus.counter(LaneCounter::Rejected), 0);
}

#[test]
fn quotes_of_a_feed_without_orders() {
    let mut bus = open();
    let (_, market) = bus.apply(&[best(7, (1_000, 5), (MARKET, 0))]);
    assert_eq!(market.len(), 1);
    assert_eq!(
        market[0].record().body(),
        Body::Quote { side: Some(Side::Bid), price: p(1_000), quantity: 5, orders: 0 }
    );
    assert_eq!(bus.row(0).best(Side::Bid).map(|level| level.quantity), Some(5));
    let (_, market) = bus.apply(&[best(7, (1_000, 5), (MARKET, 0))]);
    assert!(market.is_empty(), "nothing changed");
    // Where there are orders, the book knows better.
    bus.apply(&[add(true, 7, 1, b'B', 10, 1_100)]);
    let (_, market) = bus.apply(&[best(7, (900, 5), (2_000, 3))]);
    assert_eq!(market[0].head().kind, kind::VENUE_MESSAGE);
    assert_eq!(bus.row(0).best(Side::Bid).map(|level| level.price), Some(p(1_100)));
}

#[test]
fn before_the_first_second_the_wall_clock_tells() {
    let mut bus = with(&DSE, FeedRole::All);
    let (_, market) = bus.apply(&[orderbook(7, "AAA", "MAIN", 2, b'P')]);
    assert_eq!(market[0].head().ts_event, stamps().ts_recv, "the second of the reception, and no nanoseconds");
    let (_, market) = bus.apply(&[time(36_000), action(7, b'T')]);
    assert_eq!(market[0].head().ts_event, 1_000_000_000_000_000_000 + 36_000_000_000_000);
    bus.feed.gap(4, 9, gap_reason::UNFILLED, stamps(), &mut bus.lane);
    bus.next = 10;
    bus.lane.publish_heads();
    bus.drain();
    let (_, market) = bus.apply(&[action(7, b'V'), time(36_005), action(7, b'T')]);
    let times: Vec<_> = market.iter().map(|got| got.head().ts_event).collect();
    assert_eq!(times, [stamps().ts_recv, 1_000_036_005_000_000_000]);
}

#[test]
fn a_longer_message_is_read_by_its_prefix_and_counted() {
    let mut bus = open();
    let mut message = add(true, 7, 1, b'B', 10, 1_000);
    message.extend_from_slice(b"new");
    let mut other = action(7, b'V');
    other.push(0);
    bus.apply(&[message, other]);
    assert_eq!((bus.counter(LaneCounter::Extended), bus.feed.book().live_orders()), (2, 1));
    let (orders, _) = bus.apply(&[vec![b'A'; 31], vec![b'?'; 4]]);
    assert_eq!(
        orders.iter().filter_map(|got| anomaly(std::slice::from_ref(got))).collect::<Vec<_>>(),
        [AnomalyCode::Malformed, AnomalyCode::UnknownType]
    );
}

#[test]
fn a_small_day_of_japannext() {
    let n = |value: u64| Value::Number(value);
    let mut bus = with(&JNX_16, FeedRole::All);
    let stock = [
        (Role::Orderbook, n(7203)),
        (Role::Isin, "JP3633400001".into()),
        (Role::Group, "DAY".into()),
        (Role::RoundLot, n(100)),
        (Role::PriceDecimals, n(1)),
        (Role::LowerLimit, n(15_000)),
        (Role::UpperLimit, n(25_000)),
    ];
    let order = |reference: u64, side: u8, quantity: u64, price: u64| {
        jnx(
            b'A',
            30,
            &[
                (Role::Reference, n(reference)),
                (Role::Side, Value::Letter(side)),
                (Role::Quantity, n(quantity)),
                (Role::Orderbook, n(7203)),
                (Role::Price, n(price)),
            ],
        )
    };
    let state =
        |letter: u8, state: u8| jnx(letter, 14, &[(Role::Orderbook, n(7203)), (Role::State, Value::Letter(state))]);
    let (_, market) = bus.apply(&[
        jnx(b'T', 5, &[(Role::Seconds, n(32_400))]),
        jnx(b'S', 10, &[(Role::EventCode, Value::Letter(b'O'))]),
        jnx(b'R', 45, &stock),
        order(0, b' ', 1, 20_000),
        state(b'H', b'T'),
        state(b'Y', b'1'),
        jnx(b'S', 10, &[(Role::EventCode, Value::Letter(b'Q'))]),
    ]);
    let entry = bus.segment.directory().get(0).expect("an entry");
    assert_eq!((entry.symbol.as_str(), entry.lot, entry.price_decimals), ("7203", 100, 1));
    let unit = 100_000_000i64;
    let bodies: Vec<_> = market.iter().map(|got| got.record().body()).collect();
    assert!(bodies.contains(&Body::PriceBand { reference: PRICE_NONE, lower: 15_000 * unit, upper: 25_000 * unit }));
    assert!(bodies.contains(&Body::OfficialPrice { code: b'R', price: 20_000 * unit }), "order number 0 alone tells");
    let causes = bodies.iter().filter_map(|body| match body {
        Body::Status(status) => Some(status.cause),
        _ => None,
    });
    use StatusCause::{ShortSale, SystemEvent, TradingAction};
    assert_eq!(causes.collect::<Vec<_>>(), [SystemEvent, TradingAction, ShortSale, SystemEvent]);
    bus.apply(&[
        order(1, b'B', 300, 19_990),
        order(2, b'S', 200, 20_010),
        jnx(b'E', 25, &[(Role::Reference, n(2)), (Role::Quantity, n(50)), (Role::MatchNumber, n(1))]),
        jnx(
            b'U',
            29,
            &[(Role::Reference, n(1)), (Role::NewReference, n(3)), (Role::Quantity, n(100)), (Role::Price, n(20_000))],
        ),
        jnx(b'D', 13, &[(Role::Reference, n(2))]),
    ]);
    let image = bus.row(0);
    let bid = image.best(Side::Bid).map(|level| (level.price, level.quantity, level.orders));
    assert_eq!((bid, image.best(Side::Ask)), (Some((20_000 * unit, 100, 1)), None));
    assert_eq!((image.word(row::VOLUME), image.price(row::LAST_PRICE)), (50, Some(20_010 * unit)));
    assert_eq!((image.status(), bus.counter(LaneCounter::Rejected)), (TradingStatus::Trading, 0));
}
