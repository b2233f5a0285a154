//! What each message of TOPS and DEEP does to records and rows, and what happens to the feed as a whole.

mod common;
mod iex_bus;

use common::{Got, stamps};
use iex_bus::{AAA, BBB, IexBus, TS, buy, config, quote, sell, trade};
use market::book::BookLimits;
use market::iex::{Iex, IexConfig};
use market::{DenseIds, Normaliser};
use shm_abi::board::{Quality, RowImage};
use shm_abi::counters::LaneCounter;
use shm_abi::directory::InstrumentKind;
use shm_abi::layout::row;
use shm_abi::record::{
    AnomalyCode, Body, Imbalance, PRICE_NONE, Side, StatusCause, TradingStatus, clear_code, flag, gap_reason,
    official_code, restart_reason,
};
use wire::iex::{self, AuctionInformation, I64, OfficialPrice, SecurityDirectory, SystemEvent, TradeBreak, U32};
use wire::iextp::Protocol;
use zerocopy::IntoBytes;

/// 1e-9 units in one of the wire.
const SCALE: i64 = 100_000;

fn bytes(message: &(impl IntoBytes + zerocopy::Immutable)) -> Vec<u8> {
    message.as_bytes().to_vec()
}

fn status(symbol: [u8; 8], letter: u8) -> Vec<u8> {
    bytes(&iex::TradingStatus { symbol, reason: *b"T1  ", ..iex::TradingStatus::new(letter, TS) })
}

fn system(letter: u8) -> Vec<u8> {
    bytes(&SystemEvent::new(letter, TS))
}

/// Kinds of records, as text.
fn kinds(records: &[Got]) -> String {
    records.iter().map(|got| char::from(got.head().kind)).collect()
}

/// The one anomaly among records, as (code, subject, detail).
fn anomaly(records: &[Got]) -> (AnomalyCode, u64, u64) {
    let found = records.iter().find_map(|got| match got.record().body() {
        Body::Anomaly(anomaly) => Some((anomaly.code, anomaly.subject, anomaly.detail)),
        _ => None,
    });
    found.expect("an anomaly")
}

fn best(row: &RowImage) -> [Option<(i64, u64)>; 2] {
    [Side::Bid, Side::Ask].map(|side| row.best(side).map(|best| (best.price / SCALE, best.quantity)))
}

#[test]
fn an_instrument_appears_when_it_is_first_named() {
    let mut bus = IexBus::new(Protocol::Deep);
    let records = bus.apply(&[status(AAA, b'T')]);
    assert_eq!(kinds(&records), "DS", "the instrument and the status are one event");
    assert!(!records[0].head().is_last() && records[1].head().is_last());
    assert_eq!(records[1].head().ts_event, TS as u64);
    assert_eq!(kinds(&bus.apply(&[status(AAA, b'T')])), "S", "it is new only once");
    let entry = bus.segment.directory().get(bus.feed.row_of(&AAA).expect("named")).expect("an entry");
    assert_eq!((entry.symbol.as_str(), entry.venue.as_str()), ("AAA", "IEXG"));
    assert_eq!((entry.kind, entry.price_decimals, entry.depth_class), (InstrumentKind::Equity, 4, 5));

    let announced = SecurityDirectory {
        symbol: BBB,
        round_lot_size: U32::new(100),
        adjusted_previous_close: I64::new(991_100),
        luld_tier: 1,
        ..SecurityDirectory::new(iex::security_flag::TEST, TS)
    };
    let records = bus.apply(&[bytes(&announced)]);
    assert_eq!(kinds(&records), "DO");
    let close = Body::OfficialPrice { code: official_code::REFERENCE, price: 991_100 * SCALE };
    assert_eq!(records[1].record().body(), close);
    assert_eq!(bus.row(&BBB).price(row::PREVIOUS_CLOSE), Some(991_100 * SCALE));
    let entry = bus.segment.directory().get(bus.feed.row_of(&BBB).expect("named")).expect("an entry");
    assert_eq!((entry.kind, entry.lot, entry.depth_class), (InstrumentKind::Test, 100, 10));
    // The flags, then everything behind the symbol: lot, previous close, tier.
    let traits = [&[announced.flags], &announced.as_bytes()[18..]].concat();
    assert_eq!(entry.provider_traits[..traits.len()], traits);
    bus.assert_balance();
}

#[test]
fn what_cannot_be_named_is_refused() {
    let mut bus = IexBus::with(IexConfig {
        limits: BookLimits { instruments: 2, ..config(Protocol::Tops).limits },
        ..config(Protocol::Tops)
    });
    for symbol in [*b"        ", *b" AAA    ", *b"AA\0     ", *b"AA\xff     "] {
        let (code, subject, _) = anomaly(&bus.apply(&[status(symbol, b'T')]));
        assert_eq!((code, subject), (AnomalyCode::BadField, b'H'.into()));
        assert_eq!(bus.feed.row_of(&symbol), None);
    }
    bus.apply(&[status(AAA, b'T'), status(BBB, b'T')]);
    assert_eq!(anomaly(&bus.apply(&[status(*b"CCC     ", b'T')])), (AnomalyCode::TableFull, b'H'.into(), 2));
    assert_eq!(bus.counter(LaneCounter::TableFull), 1);
    assert_eq!(bus.row(&AAA).window(Side::Bid).len(), 0, "TOPS has no depth");
    let unknown = [(vec![b'8'; 30], AnomalyCode::UnknownType, 30), (vec![b'T'; 37], AnomalyCode::Malformed, 37)];
    for (message, code, len) in unknown {
        let records = bus.apply(std::slice::from_ref(&message));
        assert_eq!(anomaly(&records), (code, message[0].into(), len));
        assert_eq!(records[0].head().ts_event, 0, "its time means nothing either");
    }
    assert_eq!(anomaly(&bus.apply(&[vec![]])), (AnomalyCode::Malformed, 0, 0));
    bus.assert_balance();
}

#[test]
fn a_quote_is_due_when_the_venue_says_that_its_event_is_complete() {
    let mut bus = IexBus::new(Protocol::Deep);
    let table: &[(&str, Vec<u8>, &str, [Option<(i64, u64)>; 2])] = &[
        ("the event goes on", buy(AAA, 100, 500, 0), "DL", [None, None]),
        ("and is complete", sell(AAA, 200, 600, 1), "LQQ", [Some((500, 100)), Some((600, 200))]),
        ("beyond the touch", buy(AAA, 100, 400, 1), "L", [Some((500, 100)), Some((600, 200))]),
        ("the quantity is absolute", buy(AAA, 70, 500, 1), "LQ", [Some((500, 70)), Some((600, 200))]),
        ("the same again", buy(AAA, 70, 500, 1), "L", [Some((500, 70)), Some((600, 200))]),
        ("the best goes", buy(AAA, 0, 500, 0), "L", [Some((500, 70)), Some((600, 200))]),
        ("and comes back in the same event", buy(AAA, 70, 500, 1), "L", [Some((500, 70)), Some((600, 200))]),
        ("the best goes for good", buy(AAA, 0, 500, 1), "LQ", [Some((400, 100)), Some((600, 200))]),
        ("bits that mean nothing yet", buy(AAA, 5, 450, 0xfe), "L", [Some((400, 100)), Some((600, 200))]),
        ("the other side ends it", sell(AAA, 0, 600, 0xff), "LQQ", [Some((450, 5)), None]),
    ];
    for (name, message, want, quotes) in table {
        assert_eq!(kinds(&bus.apply(std::slice::from_ref(message))), *want, "case: {name}");
        assert_eq!(best(&bus.row(&AAA)), *quotes, "case: {name}");
    }
    let levels: Vec<_> = bus.feed.levels(&AAA, Side::Bid).collect();
    assert_eq!(levels, [(450 * SCALE, 5), (400 * SCALE, 100)]);
    assert_eq!(bus.feed.live_levels(), 2);
}

#[test]
fn a_wrong_level_is_declared_and_its_event_still_ends() {
    let table: &[(&str, Vec<u8>, (AnomalyCode, u64, u64))] = &[
        ("a level that never was", sell(AAA, 0, 700, 1), (AnomalyCode::UnknownOrder, 700, b'5'.into())),
        ("no price", sell(AAA, 5, 0, 1), (AnomalyCode::BadField, b'5'.into(), 0)),
        ("a negative price", buy(AAA, 5, -1, 1), (AnomalyCode::BadField, b'8'.into(), u64::MAX)),
        ("a price beyond all", buy(AAA, 5, i64::MAX, 1), (AnomalyCode::BadField, b'8'.into(), i64::MAX as u64)),
    ];
    for (name, message, want) in table {
        let mut bus = IexBus::new(Protocol::Deep);
        bus.apply(&[buy(AAA, 100, 500, 0)]);
        let records = bus.apply(std::slice::from_ref(message));
        assert_eq!((kinds(&records).as_str(), anomaly(&records)), ("NQ", *want), "case: {name}");
        assert!(bus.feed.is_suspect(&AAA), "case: {name}");
        assert_eq!(bus.row(&AAA).quality(), Quality::Gapped, "case: {name}");
        assert_eq!(best(&bus.row(&AAA))[0], Some((500, 100)), "case: {name}");
        let records = bus.apply(&[buy(AAA, 100, 501, 1)]);
        assert!(records.iter().all(|got| got.head().flags & flag::SUSPECT != 0), "case: {name}");
        bus.assert_balance();
    }
    // A full table refuses levels, and says which of its limits it was.
    let mut bus = IexBus::with(IexConfig {
        limits: BookLimits { max_orders: 2, ..config(Protocol::Deep).limits },
        ..config(Protocol::Deep)
    });
    let records = bus.apply(&[buy(AAA, 1, 10, 1), buy(AAA, 1, 11, 1), buy(AAA, 1, 12, 1)]);
    let (code, _, limit) = anomaly(&records);
    assert_eq!((code, limit), (AnomalyCode::TableFull, 2));
}

#[test]
fn a_tops_quote_has_both_sides_or_none() {
    let mut bus = IexBus::new(Protocol::Tops);
    let table: &[(&str, Vec<u8>, &str, [Option<(i64, u64)>; 2])] = &[
        ("empty from the start", quote(AAA, (0, 0), (0, 0)), "D", [None, None]),
        ("both sides", quote(AAA, (100, 500), (200, 600)), "QQ", [Some((500, 100)), Some((600, 200))]),
        ("the same again", quote(AAA, (100, 500), (200, 600)), "", [Some((500, 100)), Some((600, 200))]),
        ("one side", quote(AAA, (100, 500), (300, 600)), "Q", [Some((500, 100)), Some((600, 300))]),
        ("size 0 is no quote", quote(AAA, (0, 500), (300, 600)), "Q", [None, Some((600, 300))]),
        ("size without a price", quote(AAA, (9, 0), (300, 700)), "N", [None, Some((600, 300))]),
        ("a price beyond all", quote(AAA, (9, i64::MAX), (300, 700)), "N", [None, Some((600, 300))]),
    ];
    for (name, message, want, quotes) in table {
        let records = bus.apply(std::slice::from_ref(message));
        assert_eq!(kinds(&records), *want, "case: {name}");
        assert_eq!(best(&bus.row(&AAA)), *quotes, "case: {name}");
        assert!(records.last().is_none_or(|got| got.head().is_last()), "case: {name}");
    }
    let records = bus.apply(&[quote(AAA, (1, 900), (1, 800))]);
    assert_eq!(kinds(&records), "QQ", "crossed outside of continuous trading is nothing to tell");
    bus.apply(&[system(b'R'), status(AAA, b'T')]);
    let crossed = bus.apply(&[quote(AAA, (2, 900), (1, 800)), quote(AAA, (3, 900), (1, 800))]);
    assert_eq!(kinds(&crossed), "QNQ", "once");
    assert_eq!(anomaly(&crossed), (AnomalyCode::Crossed, 900 * SCALE as u64, 800 * SCALE as u64));
    let again = bus.apply(&[quote(AAA, (3, 700), (1, 800)), quote(AAA, (3, 900), (1, 800))]);
    assert_eq!(kinds(&again), "QQN", "and again when it was not in between");
}

#[test]
fn sale_flags_say_what_a_trade_moves() {
    let mut bus = IexBus::new(Protocol::Tops);
    // Sale flags, price, size; then last, open, high, low, volume, trades.
    let table: &[(&str, u8, i64, u32, [i64; 4], u64, u64)] = &[
        ("an odd lot first", 0x20, 990, 5, [PRICE_NONE; 4], 5, 1),
        ("a round lot", 0, 500, 100, [500, 500, 500, 500], 105, 2),
        ("a sweep", 0x80, 510, 100, [510, 500, 510, 500], 205, 3),
        ("extended hours", 0x40, 900, 100, [510, 500, 510, 500], 305, 4),
        ("odd and extended", 0x60, 100, 1, [510, 500, 510, 500], 306, 5),
        ("exempt", 0x10, 490, 100, [490, 500, 510, 490], 406, 6),
        ("of a cross", 0x08, 505, 100, [505, 500, 510, 490], 506, 7),
    ];
    let mut turnover = 0;
    for (i, (name, sale_flags, price, size, prices, volume, trades)) in table.iter().enumerate() {
        let records = bus.apply(&[trade(AAA, *size, *price, i as u64 + 70, *sale_flags)]);
        let got = records.last().expect("a trade");
        let body = Body::Trade { code: b'N', match_id: i as u64 + 70, price: price * SCALE, quantity: (*size).into() };
        assert_eq!(got.record().body(), body, "case: {name}");
        let alone = sale_flags & 0x60 != 0;
        assert_eq!(got.head().flags & flag::VOLUME_ONLY != 0, alone, "case: {name}");
        turnover += u128::from(*size) * (price * SCALE) as u128;
        let row = bus.row(&AAA);
        let words = [row::LAST_PRICE, row::OPEN, row::HIGH, row::LOW].map(|word| row.word(word) as i64);
        assert_eq!(words, prices.map(|price| if price == PRICE_NONE { price } else { price * SCALE }), "case: {name}");
        assert_eq!((row.word(row::VOLUME), row.word(row::TRADES)), (*volume, *trades), "case: {name}");
        assert_eq!(row.turnover(), turnover, "case: {name}");
    }
    assert_eq!(bus.row(&AAA).word(row::LAST_MATCH), 76);
    for (size, price) in [(0, 5), (5, 0), (5, -5), (5, i64::MAX)] {
        assert_eq!(anomaly(&bus.apply(&[trade(AAA, size, price, 1, 0)])).0, AnomalyCode::BadField);
    }
    assert_eq!(bus.row(&AAA).word(row::TRADES), 7);
    assert_eq!(bus.counter(LaneCounter::Trades), 7);
}

#[test]
fn breaks_and_official_prices() {
    let mut bus = IexBus::new(Protocol::Deep);
    bus.apply(&[trade(AAA, 100, 500, 7, 0)]);
    let broken = TradeBreak {
        symbol: AAA,
        size: U32::new(100),
        price: I64::new(500),
        trade_id: 7.into(),
        ..TradeBreak::new(0, TS)
    };
    let records = bus.apply(&[bytes(&broken)]);
    assert_eq!(records[0].record().body(), Body::TradeBreak { match_id: 7, price: 500 * SCALE, quantity: 100 });
    assert_eq!(bus.row(&AAA).word(row::VOLUME), 100, "it is not taken out");
    assert_eq!(bus.feed.trade_breaks(), 1);

    let official = |letter: u8, price: i64| {
        bytes(&OfficialPrice { symbol: AAA, official_price: I64::new(price), ..OfficialPrice::new(letter, TS) })
    };
    let records = bus.apply(&[official(b'Q', 480), official(b'M', 520)]);
    let bodies: Vec<_> = records.iter().map(|got| got.record().body()).collect();
    let want = [(official_code::OPEN, 480), (official_code::CLOSE, 520)]
        .map(|(code, price)| Body::OfficialPrice { code, price: price * SCALE });
    assert_eq!(bodies, want);
    let row = bus.row(&AAA);
    assert_eq!((row.price(row::OPEN), row.price(row::CLOSE)), (Some(500 * SCALE), Some(520 * SCALE)));
    for wrong in [official(b'X', 480), official(b'Q', 0), bytes(&TradeBreak { price: I64::new(0), ..broken })] {
        assert_eq!(anomaly(&bus.apply(&[wrong])).0, AnomalyCode::BadField);
    }
}

#[test]
fn statuses() {
    use TradingStatus::{Closed, Halted, Paused, PostClose, PreOpen, Trading, Unknown};
    let mut bus = IexBus::new(Protocol::Deep);
    bus.apply(&[quote(AAA, (0, 0), (0, 0)), buy(AAA, 1, 1, 1)]);
    let halt = |letter: u8| bytes(&iex::OperationalHalt { symbol: AAA, ..iex::OperationalHalt::new(letter, TS) });
    let test = |value: u8| bytes(&iex::ShortSale { symbol: AAA, detail: b'A', ..iex::ShortSale::new(value, TS) });
    let security = |letter: u8| bytes(&iex::SecurityEvent { symbol: AAA, ..iex::SecurityEvent::new(letter, TS) });
    let none = *b"        ";
    let table: &[(&str, Vec<u8>, StatusCause, u8, [u8; 8], TradingStatus)] = &[
        ("before any phase", status(AAA, b'T'), StatusCause::TradingAction, b'T', *b"T1      ", Trading),
        ("start of messages", system(b'O'), StatusCause::SystemEvent, b'O', none, PreOpen),
        ("system hours", system(b'S'), StatusCause::SystemEvent, b'S', none, PreOpen),
        ("regular hours", system(b'R'), StatusCause::SystemEvent, b'R', none, Trading),
        ("halted", status(AAA, b'H'), StatusCause::TradingAction, b'H', *b"T1      ", Halted),
        ("orders accepted", status(AAA, b'O'), StatusCause::TradingAction, b'O', *b"T1      ", PreOpen),
        ("paused", status(AAA, b'P'), StatusCause::TradingAction, b'P', *b"T1      ", Paused),
        ("halted on IEX alone", halt(b'O'), StatusCause::OperationalHalt, b'O', none, Paused),
        ("and no more", halt(b'N'), StatusCause::OperationalHalt, b'N', none, Paused),
        ("short sale test", test(1), StatusCause::ShortSale, b'1', *b"A       ", Paused),
        ("trading", status(AAA, b'T'), StatusCause::TradingAction, b'T', *b"T1      ", Trading),
        ("opened", security(b'O'), StatusCause::SystemEvent, b'O', none, Trading),
        ("end of regular hours", system(b'M'), StatusCause::SystemEvent, b'M', none, PostClose),
        ("end of system hours", system(b'E'), StatusCause::SystemEvent, b'E', none, Closed),
        ("whatever it says then", status(AAA, b'T'), StatusCause::TradingAction, b'T', *b"T1      ", Closed),
    ];
    for (name, message, cause, letter, reason, want) in table {
        let records = bus.apply(std::slice::from_ref(message));
        let Body::Status(got) = records[0].record().body() else { panic!("case: {name}") };
        assert_eq!(
            (got.cause, got.venue_code, got.reason, got.status),
            (*cause, *letter, *reason, *want),
            "case: {name}"
        );
        assert_eq!(bus.row(&AAA).status(), *want, "case: {name}");
    }
    for wrong in [system(b'Q'), status(AAA, b'Q'), halt(b'H'), test(2), security(b'X')] {
        let (code, subject, _) = anomaly(&bus.apply(std::slice::from_ref(&wrong)));
        assert_eq!((code, subject), (AnomalyCode::BadField, wrong[0].into()));
    }
    // Who is named late is in the phase that the venue is in.
    bus.apply(&[buy(BBB, 1, 1, 1)]);
    assert_eq!(bus.row(&BBB).status(), Closed);
    assert_ne!(bus.row(&BBB).status(), Unknown);
}

#[test]
fn auctions_and_what_has_no_form_of_its_own() {
    let mut bus = IexBus::new(Protocol::Tops);
    let auction = AuctionInformation {
        symbol: AAA,
        paired_shares: U32::new(1_000),
        reference_price: I64::new(500),
        indicative_clearing_price: I64::new(510),
        imbalance_shares: U32::new(70),
        imbalance_side: b'B',
        book_clearing_price: I64::new(0),
        collar_reference_price: I64::new(505),
        lower_collar: I64::new(450),
        upper_collar: I64::new(550),
        ..AuctionInformation::new(b'C', TS)
    };
    let records = bus.apply(&[bytes(&auction)]);
    assert_eq!(kinds(&records), "DPI");
    let [reference, lower, upper] = [505, 450, 550].map(|price| price * SCALE);
    assert_eq!(records[1].record().body(), Body::PriceBand { reference, lower, upper });
    let want = Imbalance {
        paired: 1_000,
        imbalance: 70,
        reference_price: 500 * SCALE,
        far_price: PRICE_NONE,
        near_price: 510 * SCALE,
        letters: *b"BC ",
    };
    assert_eq!(records[2].record().body(), Body::Imbalance(want));
    let zero = I64::new(0);
    let bare = AuctionInformation { collar_reference_price: zero, lower_collar: zero, upper_collar: zero, ..auction };
    assert_eq!(kinds(&bus.apply(&[bytes(&bare)])), "I", "no collar, no band");
    let wrong = AuctionInformation { upper_collar: I64::new(-1), ..auction };
    assert_eq!(anomaly(&bus.apply(&[bytes(&wrong)])), (AnomalyCode::BadField, b'A'.into(), u64::MAX));

    let retail = bytes(&iex::RetailLiquidity { symbol: AAA, ..iex::RetailLiquidity::new(b'C', TS) });
    let records = bus.apply(std::slice::from_ref(&retail));
    let Body::VenueMessage(message) = records[0].record().body() else { panic!("verbatim") };
    assert!(message.bytes().eq(retail));
}

#[test]
fn a_gap_makes_every_book_suspect_until_the_stream_begins_anew() {
    let mut bus = IexBus::new(Protocol::Deep);
    bus.feed.set_session(b"0000000143810000");
    bus.apply(&[system(b'R'), status(AAA, b'T'), buy(AAA, 100, 500, 1), trade(AAA, 100, 500, 1, 0)]);
    bus.feed.gap(5, 9, gap_reason::UNFILLED, stamps(), &mut bus.lane);
    let records = bus.drain();
    assert_eq!(records[0].record().body(), Body::Gap { first: 5, last: 9, reason: gap_reason::UNFILLED });
    assert_eq!((bus.feed.sequence(), bus.feed.is_suspect(&AAA)), (9, true));
    assert_eq!(bus.row(&AAA).quality(), Quality::Gapped);
    assert_eq!((bus.counter(LaneCounter::Gaps), bus.counter(LaneCounter::GapMessages)), (1, 5));
    bus.feed.set_quality(Quality::Stale, None, &mut bus.lane);
    assert_eq!(bus.row(&AAA).quality(), Quality::Stale);
    bus.feed.set_quality(Quality::Fresh, None, &mut bus.lane);
    assert_eq!(bus.row(&AAA).quality(), Quality::Gapped);

    // The same session: the venue's side was restarted.
    bus.feed.new_session(b"0000000143810000", stamps(), &mut bus.lane);
    let records = bus.drain();
    assert_eq!(kinds(&records), "XR");
    let Body::Restart(restart) = records[0].record().body() else { panic!("a restart") };
    assert_eq!((&restart.session, restart.venue_sequence), (b"0000000143810000", 9));
    assert_eq!((restart.reason, restart.old_end), (restart_reason::SESSION, records[0].n));
    assert_eq!(records[1].record().body(), Body::Clear { code: clear_code::BOOK });
    let row = bus.row(&AAA);
    assert_eq!((best(&row), row.window(Side::Bid).len()), ([None, None], 0));
    assert_eq!((row.status(), row.quality()), (TradingStatus::Unknown, Quality::Fresh));
    assert_eq!((row.word(row::VOLUME), row.price(row::LAST_PRICE)), (100, Some(500 * SCALE)), "the day goes on");
    assert_eq!((bus.feed.sequence(), bus.feed.live_levels(), bus.feed.is_suspect(&AAA)), (0, 0, false));
    bus.next = 1;
    assert_eq!(kinds(&bus.apply(&[buy(AAA, 100, 500, 1)])), "LQ", "a known instrument is not told again");

    // Another session: another day.
    bus.feed.new_session(b"0000000143820000", stamps(), &mut bus.lane);
    let records = bus.drain();
    assert_eq!(records[1].record().body(), Body::Clear { code: clear_code::DAY });
    assert_eq!((bus.row(&AAA).word(row::VOLUME), bus.row(&AAA).price(row::LAST_PRICE)), (0, None));

    bus.feed.mark_suspect(stamps(), &mut bus.lane);
    assert_eq!(kinds(&bus.drain()), "S");
    assert!(bus.feed.is_suspect(&AAA));
    bus.feed.duplicate(&mut bus.lane, 3);
    bus.assert_balance();
}

#[test]
fn a_mark_names_the_whole_sequence_now_and_then() {
    let mut bus = IexBus::new(Protocol::Deep);
    bus.feed.set_session(b"0000000143810000");
    bus.next = market::MARK_INTERVAL - 1;
    let records = bus.apply(&[status(AAA, b'T'), status(AAA, b'T')]);
    assert_eq!(kinds(&records), "DSmS");
    let want = Body::Mark { venue_sequence: market::MARK_INTERVAL, session: *b"0000000143810000" };
    assert_eq!(records[2].record().body(), want);
}

#[test]
fn every_setting_is_checked_and_a_normaliser_holds_the_feed() {
    let wrong = IexConfig { venue: "I EX".into(), ..config(Protocol::Tops) };
    assert!(Iex::new(wrong, DenseIds::default()).is_err());
    let wrong = IexConfig { limits: BookLimits { max_levels: 1, ..BookLimits::default() }, ..config(Protocol::Tops) };
    assert!(Iex::new(wrong, DenseIds::default()).is_err());
    let feed = Iex::new(config(Protocol::Deep), DenseIds::default()).expect("a valid config");
    let mut feed = Normaliser::from(feed);
    let mut bus = IexBus::new(Protocol::Deep);
    let (buf, places) = iex_bus::laid_out(&[status(AAA, b'T')], 1);
    feed.apply(&buf, &places, stamps(), &mut bus.lane);
    assert_eq!((feed.sequence(), feed.in_snapshot(), kinds(&bus.drain()).as_str()), (1, false, "DS"));
    // Places beyond the buffer are truncated messages.
    let beyond = [market::MessageAt { sequence: 2, at: 500, len: 9 }];
    feed.apply(&buf, &beyond, stamps(), &mut bus.lane);
    assert_eq!(anomaly(&bus.drain()).0, AnomalyCode::Malformed);
}
