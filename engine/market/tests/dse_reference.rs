//! The derived DSE flows against the results of an independent decoder and book, and against each other: ITCH 5.0, DSE 2.0
//! and DSE 2.2 forms of one flow end in the same books.

mod common;

use std::collections::BTreeMap;

use common::{Bus, config, unpacked};
use market::book::{BookLimits, Side};
use market::itch::ItchConfig;
use serde_json::{Value, json};
use shm_abi::counters::LaneCounter;
use shm_abi::directory::{InstrumentKind, xstream};
use shm_abi::layout::row;
use shm_abi::record::{Body, Indicative, PRICE_NONE, StatusCause, kind, official_code};
use wire::dialect::{DSE, Dialect, NASDAQ_50};
use wire::itchfile::Messages;

const MIDNIGHT_NS: u64 = 1_715_104_800_000_000_000;

fn bus(dialect: &'static Dialect) -> Bus {
    let limits = BookLimits { max_orders: 1 << 15, max_levels: 1 << 14, instruments: 1 << 10 };
    let limits = if dialect.name() == "dse" { limits } else { BookLimits { instruments: 1 << 16, ..limits } };
    Bus::with(ItchConfig { dialect, limits, midnight_ns: MIDNIGHT_NS, crossed_check: false, ..config() })
}

/// What the rings told, orderbook by orderbook, by lasting id.
#[derive(Debug, Default)]
struct Told {
    system_events: Vec<Value>,
    broken: Vec<u64>,
    index_last: BTreeMap<u32, i64>,
    news: Vec<Value>,
    official: BTreeMap<(u32, u8), i64>,
    indicative: BTreeMap<u32, (Indicative, u8)>,
    state: BTreeMap<u32, char>,
    last_event_ns: u64,
}

impl Told {
    fn take(&mut self, bus: &Bus, message: &[u8], market: &[common::Got]) {
        for got in market {
            let record = got.record();
            let (id, head) = (record.head.instrument_id, record.head);
            self.last_event_ns = self.last_event_ns.max(head.ts_event - MIDNIGHT_NS);
            match record.body() {
                Body::Status(status) if status.cause == StatusCause::SystemEvent => {
                    let group = String::from_utf8_lossy(&status.reason).trim_end().to_owned();
                    let letter = (status.venue_code as char).to_string();
                    self.system_events.push(json!([letter, group, 0, head.ts_event - MIDNIGHT_NS]));
                }
                Body::Status(status) => {
                    self.state.insert(id, status.venue_code as char);
                }
                Body::TradeBreak { match_id, quantity, .. } => {
                    assert_ne!(quantity, u64::MAX, "a known print");
                    self.broken.push(match_id);
                }
                Body::IndexValue { value } => {
                    self.index_last.insert(id, value);
                }
                Body::OfficialPrice { code, price } => {
                    self.official.insert((id, code), price);
                }
                Body::Indicative(indicative) => {
                    self.indicative.insert(id, (indicative, head.side_or_code));
                }
                Body::News(news) => {
                    assert_eq!((news.part, news.parts, news.cut), (0, 1, false));
                    let text = String::from_utf8(news.text.bytes().collect()).expect("UTF-8");
                    let [issuer, title, reference, body] = text.split('\0').collect::<Vec<_>>()[..] else {
                        panic!("four texts: {text:?}")
                    };
                    assert_eq!((issuer, reference), ("DERIV", "PSI/2026/77"));
                    let entry = (0..bus.segment.directory().count()).filter_map(|at| bus.segment.directory().get(at));
                    let about = entry.into_iter().find(|entry| entry.instrument_id == id).expect("an instrument");
                    self.news.push(json!([news.id, about.provider_code, title, body.len()]));
                }
                _ => assert_ne!(head.kind, kind::ANOMALY, "{message:?}"),
            }
        }
    }
}

fn raw(price: i64, scale: i64) -> Value {
    if price == PRICE_NONE { Value::Null } else { json!(price / scale) }
}

/// Applies a flow up to its last message, the end of messages, and returns that.
fn play(bus: &mut Bus, bytes: &[u8], told: &mut Told) -> (BTreeMap<String, u64>, Vec<u8>) {
    let messages: Vec<&[u8]> = Messages::new(bytes).map(|message| message.expect("whole messages").1).collect();
    let mut by_type = BTreeMap::new();
    let (last, before) = messages.split_last().expect("messages");
    for message in before {
        *by_type.entry((message[0] as char).to_string()).or_default() += 1;
        let (_, market) = bus.apply(&[message.to_vec()]);
        told.take(bus, message, &market);
    }
    *by_type.entry((last[0] as char).to_string()).or_default() += 1;
    (by_type, last.to_vec())
}

fn check(form: &str) {
    let file = format!("derived/es_20240508.{form}");
    let (Some(bytes), Some(json)) = (unpacked(&format!("{file}.itch.gz")), common::data(&format!("{file}.ref.json")))
    else {
        return;
    };
    let want: Value = serde_json::from_slice(&json).expect("JSON");
    let (mut bus, mut told) = (bus(&DSE), Told::default());
    let (by_type, end) = play(&mut bus, &bytes, &mut told);
    assert_eq!(json!(by_type), want["by_type"]);
    assert_eq!(by_type.values().sum::<u64>(), want["messages"].as_u64().expect("a number"));
    assert_eq!(want["unknown_order"], json!({}));
    for counter in [LaneCounter::Rejected, LaneCounter::UnknownOrder, LaneCounter::Extended] {
        assert_eq!(bus.counter(counter), 0, "{counter:?}");
    }
    assert_eq!(json!(bus.feed.book().live_orders()), want["live_orders_at_end"]);
    assert_eq!(json!(told.broken), want["broken_matches"]);
    assert_eq!(json!(told.news), want["news"]);
    assert_eq!(json!(told.last_event_ns), want["last_event_ns_since_midnight"]);
    let orderbooks = want["orderbooks"].as_object().expect("orderbooks");
    for (number, want) in orderbooks {
        check_orderbook(&bus, &told, number.parse().expect("a number"), want);
    }
    assert_eq!(bus.segment.directory().count(), orderbooks.len());
    let index = bus.feed.row_of_locate(9001).expect("the index");
    assert_eq!(told.index_last[&(index as u32)] / 10_000_000, want["index_last"]["9001"].as_i64().expect("a value"));
    assert_eq!(bus.row(index).price(row::LAST_PRICE), Some(told.index_last[&(index as u32)]));

    // The end of messages empties the books, and only them.
    let (orders, market) = bus.apply(&[end]);
    told.take(&bus, b"S", &market);
    assert_eq!(json!(told.system_events), want["system_events"]);
    assert_eq!(orders.iter().filter(|got| got.head().kind == kind::CLEAR).count(), 4);
    assert_eq!((bus.feed.book().live_orders(), bus.feed.book().live_levels()), (0, 0));
    let at = bus.feed.row_of_locate(1002).expect("announced");
    let image = bus.row(at);
    assert_eq!((image.best(Side::Bid), image.window(Side::Ask).len(), image.word(row::VOLUME)), (None, 0, 500));
    bus.assert_balance();
}

fn check_orderbook(bus: &Bus, told: &Told, number: u32, want: &Value) {
    let at = bus.feed.row_of_locate(number).expect("announced");
    let entry = bus.segment.directory().get(at).expect("an entry");
    let (image, id, book) = (bus.row(at), at as u32, bus.feed.book());
    let index = bus.feed.index_of(number).expect("announced");
    let scale = 10i64.pow(9 - u32::from(entry.price_decimals));
    let text = |range: std::ops::Range<usize>| {
        String::from_utf8_lossy(&entry.provider_traits[range]).trim_end_matches('\0').to_owned()
    };
    let trades = image.word(row::TRADES);
    let turnover = image.turnover() / scale as u128;
    let official = |code| told.official.get(&(id, code)).map_or(Value::Null, |price| raw(*price, scale));
    let have = json!({
        "sec_code": entry.symbol.as_str(),
        "price_decimals": entry.price_decimals,
        "isin": text(xstream::ISIN),
        "name": text(xstream::NAME),
        "market_type": text(xstream::MARKET_TYPE),
        "state": told.state.get(&id).map(char::to_string),
        "reference_price": official(official_code::REFERENCE),
        "close_price": official(official_code::CLOSE),
        "live_orders": book.orders_of(index),
        "market_orders": book.unpriced_orders_of(index),
        "volume": image.word(row::VOLUME),
        "trades": trades,
        "turnover_raw": u64::try_from(turnover).expect("small"),
        "last_indicative": told.indicative.get(&id).map(|(indicative, auction)| {
            json!([raw(indicative.price, scale), indicative.quantity, (*auction as char).to_string()])
        }),
        "bids5": levels(bus, index, Side::Bid),
        "asks5": levels(bus, index, Side::Ask),
    });
    assert_eq!(&have, want, "{number}");
    // The row says the same.
    for (side, five) in [(Side::Bid, "bids5"), (Side::Ask, "asks5")] {
        let window: Vec<_> = image.window(side).take(5).map(|l| (l.price / scale, l.quantity, l.orders)).collect();
        assert_eq!(json!(window), want[five], "{number}");
    }
    assert_eq!(image.price(row::CLOSE).map(|price| price / scale), want["close_price"].as_i64());
    assert_eq!(image.price(row::PREVIOUS_CLOSE).map(|price| price / scale), want["reference_price"].as_i64());
    let kind = if number == 9001 { InstrumentKind::Index } else { InstrumentKind::Equity };
    // The rule of the tick table is 25 raw units from 0 on; of the quantities 1.
    assert_eq!((entry.kind, entry.tick, entry.lot), (kind, 25 * scale, 1), "{number}");
    assert_eq!((text(xstream::BOARD), entry.provider_traits[xstream::MARK]), {
        let board = if number == 9001 { "INDEX" } else { "MAIN" };
        (board.to_owned(), b'X')
    });
}

fn levels(bus: &Bus, index: u32, side: Side) -> Value {
    let five = bus.feed.book().levels(index, side).take(5);
    json!(five.map(|level| (level.price, level.quantity, level.orders)).collect::<Vec<_>>())
}

#[test]
fn es_20240508_as_dse_2_2() {
    check("dse22");
}

#[test]
fn es_20240508_as_dse_2_0() {
    check("dse20");
}

/// Every price level of a bus, over all orderbooks: (quantity, orders).
fn whole_book(bus: &Bus) -> BTreeMap<(i64, u8), (u64, u32)> {
    let directory = bus.segment.directory();
    let mut whole = BTreeMap::new();
    for entry in (0..directory.count()).filter_map(|at| directory.get(at)) {
        let Some(index) = bus.feed.index_of(entry.provider_code as u32) else { continue };
        let scale = 10i64.pow(9 - u32::from(entry.price_decimals));
        for side in [Side::Bid, Side::Ask] {
            for level in bus.feed.book().levels(index, side) {
                let sum: &mut (u64, u32) = whole.entry((i64::from(level.price) * scale, side as u8)).or_default();
                *sum = (sum.0 + level.quantity, sum.1 + level.orders);
            }
        }
    }
    whole
}

#[test]
fn three_forms_of_one_flow_end_in_the_same_books() {
    let files: [(&str, &Dialect); 3] = [
        ("derived/es_20240508.itch50.gz", &NASDAQ_50),
        ("derived/es_20240508.dse20.itch.gz", &DSE),
        ("derived/es_20240508.dse22.itch.gz", &DSE),
    ];
    let mut books = Vec::new();
    for (file, dialect) in files {
        let Some(bytes) = unpacked(file) else { return };
        let mut bus = bus(dialect);
        for message in Messages::new(&bytes) {
            let (_, message) = message.expect("whole messages");
            if message.starts_with(b"S") && message.last_chunk::<5>() == Some(b"C\0\0\0\0") {
                break;
            }
            bus.apply(&[message.to_vec()]);
        }
        assert_eq!(bus.feed.book().live_orders(), 13_598, "{file}");
        books.push(whole_book(&bus));
    }
    assert!(books[0].len() > 1_000, "{}", books[0].len());
    assert!(books[0] == books[1] && books[1] == books[2], "the books differ");
}
