//! Records and board rows: what goes in comes out, and random words are only ever odd values.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, reason = "in a test an unwrap is an assertion")]

mod common;

use common::cases;
use proptest::prelude::*;
use shm_abi::record::{
    Anomaly, AnomalyCode, Body, HEAD_WORDS, Head, Imbalance, Indicative, NEWS_BYTES_MAX, NEWS_PART_BYTES, NEWS_WORDS,
    PRICE_NONE, QUANTITY_NONE, Record, Restart, Side, Status, StatusCause, TradingStatus, VENUE_MESSAGE_MAX,
    clear_code, flag, imbalance_body, indicative_body, join_words, kind, news_body, official_code, restart_body, side,
    split_words, status_body, venue_message_body,
};

fn head(kind: u8, side_or_code: u8) -> Head {
    Head {
        kind,
        flags: flag::LAST | flag::RECV_USER,
        span: 1,
        side_or_code,
        instrument_id: 0xdead_beef,
        ts_event: 0x1122_3344_5566_7788,
        ts_recv: 1_700_000_000_000_000_001,
        publish_delay_ns: u32::MAX,
        venue_sequence_low: 0x8000_0001,
    }
}

fn words(head: &Head, body: &[u64]) -> Vec<u64> {
    [&head.words()[..], body].concat()
}

#[test]
fn the_head_stands_where_decisions_1_says() {
    let [w0, w1, w2, w3] = head(kind::ADD, side::BID).words();
    assert_eq!(w0.to_le_bytes(), [b'A', 0x82, 1, b'B', 0xef, 0xbe, 0xad, 0xde]);
    assert_eq!((w1, w2), (0x1122_3344_5566_7788, 1_700_000_000_000_000_001));
    assert_eq!(w3, 0x8000_0001_ffff_ffff);
    let head = head(kind::ADD, side::BID);
    assert_eq!(Head::from_words(&head.words()), head);
    assert_eq!(head.ts_publish(), 1_700_000_000_000_000_001 + u64::from(u32::MAX));
    assert!(head.is_last() && !Head { flags: !flag::LAST, ..head }.is_last());
    assert_eq!(Head { ts_recv: u64::MAX, ..head }.ts_publish(), u64::MAX);
}

#[test]
fn every_kind_comes_back_as_it_went_in() {
    let (bid, ask) = (Some(Side::Bid), Some(Side::Ask));
    let session = *b"     session 0042"[..16].first_chunk::<16>().unwrap();
    let [s0, s1] = split_words(&session);
    let price = -1_500_000_000i64;
    let imbalance = Imbalance {
        paired: 1,
        imbalance: 2,
        reference_price: 3,
        far_price: PRICE_NONE,
        near_price: -4,
        letters: *b"BOL",
    };
    let indicative = Indicative { price, quantity: 5, best_bid: PRICE_NONE, best_offer: 6 };
    let restart = Restart { old_epoch: 9, old_end: 10, session, venue_sequence: 11, reason: 2 };
    let status = Status {
        status: TradingStatus::Halted,
        cause: StatusCause::TradingAction,
        venue_code: b'H',
        reason: *b"T1      ",
    };
    let anomaly = Anomaly { code: AnomalyCode::Overfill, venue_sequence: 1 << 40, subject: 5, detail: 6 };
    let order = Body::Order { side: bid, order_id: 1 << 63, price, quantity: QUANTITY_NONE };
    let order_body = vec![1 << 63, price as u64, QUANTITY_NONE];
    let table: Vec<(u8, u8, Vec<u64>, Body<'static>)> = vec![
        (kind::ADD, side::BID, order_body.clone(), order),
        (kind::CANCEL, side::BID, order_body.clone(), order),
        (kind::MODIFY, side::BID, order_body.clone(), order),
        (kind::FILL, side::BID, order_body, order),
        (kind::CLEAR, side::NONE, vec![0; 3], Body::Clear { code: clear_code::DAY }),
        (kind::CLEAR, clear_code::BOOK, vec![0; 3], Body::Clear { code: clear_code::BOOK }),
        (kind::OFFICIAL_PRICE, b'R', vec![7, 0, 0], Body::OfficialPrice { code: official_code::REFERENCE, price: 7 }),
        (kind::INDEX_VALUE, side::NONE, vec![7, 0, 0], Body::IndexValue { value: 7 }),
        (kind::INDICATIVE, b'O', indicative_body(&indicative).to_vec(), Body::Indicative(indicative)),
        (kind::INDICATIVE, b'O', vec![0; 3], Body::Other),
        (kind::TRADE, b'O', vec![7, 8, 9], Body::Trade { code: b'O', match_id: 7, price: 8, quantity: 9 }),
        (kind::TRADE_BREAK, side::NONE, vec![7, 8, 9], Body::TradeBreak { match_id: 7, price: 8, quantity: 9 }),
        (kind::QUOTE, side::ASK, vec![7, 8, 9], Body::Quote { side: ask, price: 7, quantity: 8, orders: 9 }),
        (
            kind::LEVEL,
            side::ASK,
            vec![7, 8, 9 | 3 << 32],
            Body::Level { side: ask, price: 7, quantity: 8, orders: 9, position: 3 },
        ),
        (kind::PRICE_BAND, side::NONE, vec![7, 8, 9], Body::PriceBand { reference: 7, lower: 8, upper: 9 }),
        (kind::INSTRUMENT, side::NONE, vec![7, 8, 9], Body::Instrument { row: 7, depth_class: 8, provider_code: 9 }),
        (kind::GAP, side::NONE, vec![7, 8, 2], Body::Gap { first: 7, last: 8, reason: 2 }),
        (kind::MARK, side::NONE, vec![7, s0, s1], Body::Mark { venue_sequence: 7, session }),
        (
            kind::STATUS,
            TradingStatus::Halted as u8,
            status_body(status.cause, status.venue_code, status.reason).to_vec(),
            Body::Status(status),
        ),
        (kind::ANOMALY, AnomalyCode::Overfill as u8, vec![1 << 40, 5, 6], Body::Anomaly(anomaly)),
        (kind::IMBALANCE, side::NONE, imbalance_body(&imbalance).to_vec(), Body::Imbalance(imbalance)),
        (kind::RESTART, side::NONE, restart_body(&restart).to_vec(), Body::Restart(restart)),
        (kind::IMBALANCE, side::NONE, vec![0; 3], Body::Other),
        (kind::RESTART, side::NONE, vec![0; 3], Body::Other),
        (kind::SKIP, side::NONE, vec![0; 3], Body::Other),
        (b'?', side::NONE, vec![0; 3], Body::Other),
    ];
    for (kind, code, body, want) in table {
        let words = words(&head(kind, code), &body);
        let record = Record::new(5, &words).unwrap();
        assert_eq!((record.n, record.head, record.body()), (5, head(kind, code), want), "kind {}", kind as char);
        assert_eq!(record.body_words(), body);
    }
    assert_eq!(join_words(s0, s1), session);
}

#[test]
fn news_come_back_part_by_part() {
    let text = "খ".repeat(2000);
    for len in [0, 3, 9, 24, 600, NEWS_PART_BYTES / 3 * 3] {
        let mut body = [u64::MAX; NEWS_WORDS];
        let used = news_body(u32::MAX, 3, 9, len == 9, &text[..len], &mut body);
        assert!(body[2 + len.div_ceil(8)..used].iter().all(|word| *word == 0), "length {len}");
        let words = words(&head(kind::NEWS, side::NONE), &body[..used]);
        let Body::News(news) = Record::new(0, &words).unwrap().body() else { panic!("length {len}") };
        assert_eq!((news.id, news.part, news.parts, news.cut), (u32::MAX, 3, 9, len == 9));
        assert_eq!(news.text.bytes().collect::<Vec<_>>(), text.as_bytes()[..len]);
    }
    let whole = "x".repeat(NEWS_PART_BYTES + 1);
    let mut body = [0; NEWS_WORDS];
    assert_eq!(news_body(1, 0, 1, false, &whole, &mut body), NEWS_WORDS);
    // An item fits into the smallest ring, and a foreign length leads nowhere.
    assert!(NEWS_BYTES_MAX.div_ceil(NEWS_PART_BYTES) * 64 < 1024);
    let words = words(&head(kind::NEWS, side::NONE), &[1, u64::MAX, u64::from_le_bytes(*b"only 8.."), 0]);
    let Body::News(news) = Record::new(0, &words).unwrap().body() else { panic!("a foreign length") };
    assert_eq!((news.text.len(), news.cut), (16, true));
}

#[test]
fn venue_messages_come_back_byte_for_byte() {
    for len in [0, 1, 8, 16, 17, 50, VENUE_MESSAGE_MAX, VENUE_MESSAGE_MAX + 1] {
        let message: Vec<u8> = (0..len).map(|i| i as u8 ^ 0x5a).collect();
        let mut body = [u64::MAX; 1 + VENUE_MESSAGE_MAX / 8];
        let used = venue_message_body(&message, &mut body);
        assert!(body[1 + len.min(VENUE_MESSAGE_MAX).div_ceil(8)..used].iter().all(|word| *word == 0), "length {len}");
        let words = words(&head(kind::VENUE_MESSAGE, side::NONE), &body[..used]);
        let Body::VenueMessage(got) = Record::new(0, &words).unwrap().body() else { panic!("length {len}") };
        let kept = len.min(VENUE_MESSAGE_MAX);
        assert_eq!((got.len(), got.is_empty()), (kept, len == 0));
        assert_eq!(got.bytes().collect::<Vec<_>>(), message[..kept]);
    }
}

#[test]
fn codes_come_back_and_unknown_ones_read_as_unknown() {
    for code in 0..=u8::MAX {
        let status = TradingStatus::from_code(code);
        assert!(status as u8 == code || status == TradingStatus::Unknown);
        let anomaly = AnomalyCode::from_code(code);
        assert!(anomaly as u8 == code || anomaly == AnomalyCode::Unknown);
        let cause = StatusCause::from_code(code);
        assert!(cause as u8 == code || cause == StatusCause::Unknown);
        assert_eq!(Side::from_code(code).map(|side| side as u8), [b'B', b'S'].contains(&code).then_some(code));
        assert!(!status.name().is_empty() && !anomaly.name().is_empty());
    }
    assert_eq!((Side::Bid.opposite(), Side::Ask.opposite()), (Side::Ask, Side::Bid));
    assert_eq!((Side::Bid.index(), Side::Ask.index()), (0, 1));
    assert_eq!((TradingStatus::Closed as u8, AnomalyCode::TableFull as u8, StatusCause::Session as u8), (7, 9, 6));
}

proptest! {
    #![proptest_config(cases(5000, 4))]

    #[test]
    fn random_words_are_a_record_or_none(
        mut words in prop::collection::vec(prop::num::u64::ANY, 0..60),
        kind in prop::sample::select(b"ACMRFTBQLSIPDVGXKmN?".to_vec()),
    ) {
        if let Some(first) = words.first_mut() {
            *first = *first & !0xff | u64::from(kind);
        }
        let record = Record::new(1, &words);
        prop_assert_eq!(record.is_some(), words.len() >= HEAD_WORDS + 3);
        if let Some(record) = record {
            if let Body::VenueMessage(message) = record.body() {
                prop_assert_eq!(message.bytes().count(), message.len());
                prop_assert!(message.len() <= words.len() * 8);
            }
            let _ = (record.head.ts_publish(), format!("{record:?}"));
        }
    }
}

/// The window of one side as an obvious list, against the one in shared memory.
#[cfg(not(miri))]
mod window {
    use super::*;
    use shm_abi::board::{Level, Quality, RowImage};
    use shm_abi::directory::Instrument;
    use shm_abi::layout::{Plan, row};
    use shm_abi::segment::LaneWriter;

    #[derive(Debug, Clone)]
    enum Change {
        Insert(usize, Level),
        Set(usize, Level),
        Remove(usize, Option<Level>),
        Clear,
    }

    fn level() -> impl Strategy<Value = Level> {
        (any::<i64>(), any::<u64>(), any::<u32>()).prop_map(|(price, quantity, orders)| Level {
            price,
            quantity,
            orders,
        })
    }

    fn change() -> impl Strategy<Value = Change> {
        prop_oneof![
            8 => (any::<usize>(), level()).prop_map(|(at, level)| Change::Insert(at, level)),
            4 => (any::<usize>(), level()).prop_map(|(at, level)| Change::Set(at, level)),
            4 => (any::<usize>(), prop::option::of(level())).prop_map(|(at, level)| Change::Remove(at, level)),
            1 => Just(Change::Clear),
        ]
    }

    proptest! {
        #![proptest_config(cases(200, 1))]

        #[test]
        fn the_window_is_the_obvious_list(
            changes in prop::collection::vec((any::<bool>(), change()), 0..80),
            class in prop::sample::select(vec![5usize, 10, 20]),
        ) {
            let plan = Plan {
                lane: "w".into(), orders_slots: 1024, market_slots: 1024, instruments: 3, depth_bytes: 1 << 14,
            };
            let mut writer = LaneWriter::anonymous(&plan).unwrap();
            // Neighbours on both sides: nobody may write into their levels.
            let share = |depth_class| Instrument { depth_class, ..Instrument::equity(1, b"A", b"X") };
            for depth_class in [5, class as u16, 5] {
                writer.add_instrument(&share(depth_class)).unwrap();
            }
            let marker = Level { price: 1, quantity: 2, orders: 3 };
            for neighbour in [0, 2] {
                for side in [Side::Bid, Side::Ask] {
                    for _ in 0..5 {
                        writer.board.update(neighbour).insert_level(side, 0, marker);
                    }
                }
            }
            let mut lists: [Vec<Level>; 2] = [Vec::new(), Vec::new()];
            for (ask, change) in changes {
                let side = if ask { Side::Ask } else { Side::Bid };
                let list = &mut lists[side.index()];
                let mut update = writer.board.update(1);
                prop_assert_eq!((update.depth_class(), update.depth_len(side)), (class, list.len()));
                match change {
                    Change::Insert(at, level) => {
                        let at = at % (list.len() + 1).min(class);
                        list.insert(at, level);
                        let leaves = list.len() > class;
                        list.truncate(class);
                        prop_assert_eq!(update.insert_level(side, at, level), leaves);
                        prop_assert_eq!(update.level(side, at), level);
                    }
                    Change::Set(at, level) if !list.is_empty() => {
                        let at = at % list.len();
                        list[at] = level;
                        update.change_level(side, at, level);
                    }
                    Change::Remove(at, entering) if !list.is_empty() => {
                        let at = at % list.len();
                        list.remove(at);
                        list.extend(entering);
                        update.remove_level(side, at, entering);
                    }
                    Change::Clear => {
                        lists = [Vec::new(), Vec::new()];
                        update.clear_depth();
                    }
                    Change::Set(..) | Change::Remove(..) => {}
                }
            }
            let segment = writer.reader();
            let mut image = RowImage::default();
            segment.board().read(1, &mut image, || true).unwrap();
            for side in [Side::Bid, Side::Ask] {
                prop_assert_eq!(image.window(side).collect::<Vec<_>>(), &lists[side.index()][..]);
            }
            for neighbour in [0, 2] {
                segment.board().read(neighbour, &mut image, || true).unwrap();
                for side in [Side::Bid, Side::Ask] {
                    prop_assert_eq!(image.window(side).collect::<Vec<_>>(), vec![marker; 5]);
                }
            }
        }
    }

    #[test]
    fn the_fields_of_a_row_do_not_touch_each_other() {
        let plan =
            Plan { lane: "w".into(), orders_slots: 1024, market_slots: 1024, instruments: 1, depth_bytes: 1 << 14 };
        let mut writer = LaneWriter::anonymous(&plan).unwrap();
        writer.add_instrument(&Instrument::equity(1, b"A", b"X")).unwrap();
        let (bid, ask) =
            (Level { price: 5, quantity: 6, orders: u32::MAX }, Level { price: 8, quantity: 9, orders: 1 });
        {
            let mut update = writer.board.update(0);
            update.set_quote(Side::Bid, bid);
            update.set_quote(Side::Ask, ask);
            update.insert_level(Side::Bid, 0, bid);
            update.insert_level(Side::Bid, 1, ask);
            update.insert_level(Side::Ask, 0, ask);
            update.set_quality(Quality::Gapped);
            update.set_status(TradingStatus::Paused, b'P');
            update.set(row::MARKET_N, 77);
            update.set(row::TURNOVER_LOW, 1);
            update.set(row::TURNOVER_HIGH, 2);
        }
        let mut image = RowImage::default();
        writer.reader().board().read(0, &mut image, || true).unwrap();
        // The quote tells up to 2^24 - 1 orders; the level of the window tells them all.
        let told = Level { orders: (1 << 24) - 1, ..bid };
        assert_eq!((image.best(Side::Bid), image.best(Side::Ask)), (Some(told), Some(ask)));
        assert_eq!(image.window(Side::Bid).collect::<Vec<_>>(), [bid, ask]);
        assert_eq!(image.window(Side::Ask).collect::<Vec<_>>(), [ask]);
        assert_eq!((image.status(), image.quality(), image.market_n()), (TradingStatus::Paused, Quality::Gapped, 77));
        assert_eq!((image.word(row::STATUS) >> 16) as u8, b'P');
        assert_eq!(image.turnover(), 2 << 64 | 1);
        writer.board.update(0).set_quality(Quality::Fresh);
        writer.reader().board().read(0, &mut image, || true).unwrap();
        assert_eq!((image.status(), image.quality()), (TradingStatus::Paused, Quality::Fresh));
    }
}
