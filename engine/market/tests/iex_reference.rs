//! Real captures of TOPS 1.6 and DEEP 1.0 through the normaliser: every number of the reference results is found on the
//! bus, in the records and on the rows.

#![allow(clippy::unwrap_used, reason = "a test's helpers may fail as loudly as the test itself")]

mod common;
mod iex_bus;

use std::collections::{BTreeMap, HashMap};
use std::io::Read as _;

use common::{Mirror, data, stamps};
use iex_bus::IexBus;
use serde_json::{Value, json};
use shm_abi::counters::LaneCounter;
use shm_abi::layout::row;
use shm_abi::record::{AnomalyCode, Body, Side, StatusCause, gap_reason};
use wire::iex::Message;
use wire::iextp::{Protocol, parse_at};
use wire::multicast::{Body as Content, SessionKey};
use wire::pcap::Packets;

/// Prices of the bus in units of the wire.
const SCALE: i64 = 100_000;

/// What the bus has told.
#[derive(Default)]
struct Told {
    mirror: Mirror,
    /// Instrument to volume and trades.
    traded: HashMap<u32, (u64, u64)>,
    breaks: u64,
    imbalances: u64,
    instruments: u64,
    restarts: u64,
    clears: u64,
    gaps: u64,
    causes: HashMap<&'static str, u64>,
    first_and_last_ts: Option<(u64, u64)>,
}

impl Told {
    fn take(&mut self, records: &[common::Got]) {
        self.mirror.market(records);
        for got in records {
            let (record, head) = (got.record(), got.head());
            if head.ts_event > 0 {
                let first = self.first_and_last_ts.map_or(head.ts_event, |(first, _)| first);
                self.first_and_last_ts = Some((first, head.ts_event));
            }
            match record.body() {
                Body::Trade { quantity, .. } => {
                    let traded = self.traded.entry(head.instrument_id).or_default();
                    *traded = (traded.0 + quantity, traded.1 + 1);
                }
                Body::TradeBreak { .. } => self.breaks += 1,
                Body::Imbalance(_) => self.imbalances += 1,
                Body::Instrument { .. } => self.instruments += 1,
                Body::Restart(_) => self.restarts += 1,
                Body::Clear { .. } => self.clears += 1,
                Body::Gap { .. } => self.gaps += 1,
                Body::Status(status) => {
                    let cause = match status.cause {
                        StatusCause::TradingAction => "H",
                        StatusCause::OperationalHalt => "O",
                        StatusCause::ShortSale => "P",
                        StatusCause::SystemEvent => "S, E",
                        other => panic!("no message of these feeds causes {other:?}"),
                    };
                    *self.causes.entry(cause).or_default() += 1;
                }
                _ => {}
            }
        }
    }
}

/// The last quote of a symbol on the wire: bid price, bid size, ask price, ask size.
type Quote = (i64, u32, i64, u32);

struct Played {
    bus: IexBus,
    told: Told,
    messages: u64,
    heartbeats: u64,
    /// By symbol, TOPS only.
    quotes: HashMap<[u8; 8], Quote>,
}

/// Plays a capture as a receiver of one line does.
fn play(capture: &[u8], protocol: Protocol) -> Played {
    let mut played = Played {
        bus: IexBus::new(protocol),
        told: Told::default(),
        messages: 0,
        heartbeats: 0,
        quotes: HashMap::new(),
    };
    let mut session: Option<SessionKey> = None;
    let mut next = 1;
    for captured in Packets::new(capture).unwrap() {
        let Played { bus, told, messages, heartbeats, quotes } = &mut played;
        let at = captured.payload.as_ptr() as usize - capture.as_ptr() as usize;
        let packet = parse_at(capture, at..at + captured.payload.len(), protocol).unwrap();
        if session.is_none() {
            bus.feed.set_session(&packet.session.0);
        }
        assert!(session.is_none_or(|session| session == packet.session), "one session in each capture");
        session = Some(packet.session);
        if packet.sequence < next {
            assert!(packet.restart);
            bus.feed.new_session(&packet.session.0, stamps(), &mut bus.lane);
        } else if packet.sequence > next {
            bus.feed.gap(next, packet.sequence - 1, gap_reason::UNFILLED, stamps(), &mut bus.lane);
        }
        next = packet.next_sequence();
        let Content::Messages(blocks) = packet.body else {
            *heartbeats += 1;
            continue;
        };
        let places: Vec<_> = blocks.places(packet.sequence).collect();
        for bytes in blocks {
            if let Ok(Message::QuoteUpdate(quote)) = Message::parse(bytes, protocol) {
                let last = (quote.bid_price.get(), quote.bid_size.get(), quote.ask_price.get(), quote.ask_size.get());
                quotes.insert(quote.symbol, last);
            }
        }
        *messages += places.len() as u64;
        told.take(&bus.apply_at(blocks.buffer(), &places));
        assert_eq!(bus.feed.sequence() + 1, next);
    }
    played
}

/// File and reference result, or `None` when they are not here.
fn capture(name: &str) -> Option<(Vec<u8>, Value)> {
    let packed = data(&format!("iex/{name}.pcap.gz"))?;
    let reference = data(&format!("iex/{name}.ref.json"))?;
    let mut capture = Vec::new();
    flate2::read::GzDecoder::new(packed.as_slice()).read_to_end(&mut capture).unwrap();
    Some((capture, serde_json::from_slice(&reference).unwrap()))
}

fn symbol_of(name: &str) -> [u8; 8] {
    let mut symbol = [b' '; 8];
    symbol[..name.len()].copy_from_slice(name.as_bytes());
    symbol
}

/// What both feeds have in common.
fn check_common(played: &Played, expected: &Value) {
    let Played { bus, told, messages, heartbeats, .. } = played;
    let by_type = |letter: &str| expected["by_type"][letter].as_u64().unwrap_or(0);
    assert_eq!(json!(messages), expected["messages"]);
    assert_eq!(json!(heartbeats), expected["heartbeats"]);
    assert_eq!(bus.counter(LaneCounter::Received), *messages);
    assert_eq!(bus.counter(LaneCounter::Published), *messages, "every message of a real day is applied");
    bus.assert_balance();
    let (_, next) = expected["next_sequence"].as_object().unwrap().iter().next().unwrap();
    assert_eq!(json!(bus.feed.sequence() + 1), *next);
    let restarts = expected["sequence_restarts"].as_u64().unwrap();
    let symbols = expected["symbols"].as_u64().unwrap();
    assert_eq!((told.restarts, told.gaps), (restarts, 0));
    assert_eq!(
        (json!(told.gaps), json!(bus.counter(LaneCounter::GapMessages))),
        (expected["gaps"].clone(), expected["missed_messages"].clone())
    );
    assert_eq!(bus.lane.directory.count() as u64, symbols);
    let announcements = by_type("D");
    assert!((symbols..=symbols + announcements).contains(&told.instruments));

    let (first, last) = told.first_and_last_ts.unwrap();
    assert_eq!((json!(first), json!(last)), (expected["first_msg_ts_ns"].clone(), expected["last_msg_ts_ns"].clone()));
    for (cause, letters) in [("H", ["H", "H"]), ("O", ["O", "O"]), ("P", ["P", "P"]), ("S, E", ["S", "E"])] {
        let want = if letters[0] == letters[1] { by_type(letters[0]) } else { by_type("S") + by_type("E") };
        assert_eq!(told.causes[cause], want, "{cause}");
    }
    assert_eq!(told.imbalances, by_type("A"));

    let totals = told.traded.values().fold((0, 0), |sum, (volume, trades)| (sum.0 + volume, sum.1 + trades));
    assert_eq!(json!(totals.0), expected["trade_volume"]);
    assert_eq!(json!(totals.1), expected["trade_reports"]);
    assert_eq!(bus.counter(LaneCounter::Trades), totals.1);
    assert_eq!((json!(told.breaks), told.breaks), (expected["trade_breaks"].clone(), bus.feed.trade_breaks()));

    // The whole ranking, from the rows; the records say the same of each row.
    let mut ranking = Vec::new();
    let mut states: BTreeMap<String, u64> = BTreeMap::new();
    for at in 0..bus.lane.directory.count() {
        let entry = bus.segment.directory().get(at).unwrap();
        let row = bus.row(&symbol_of(entry.symbol.as_str()));
        let (volume, trades) = (row.word(row::VOLUME), row.word(row::TRADES));
        assert_eq!(told.traded.get(&entry.instrument_id).copied().unwrap_or((0, 0)), (volume, trades));
        if volume > 0 {
            ranking.push(json!([entry.symbol.as_str(), volume, trades]));
        }
        let letter = (row.word(row::STATUS) >> 16) as u8;
        if letter != 0 {
            *states.entry(char::from(letter).to_string()).or_default() += 1;
        }
        for side in [Side::Bid, Side::Ask] {
            let best = row.best(side).map(|best| (best.price, best.quantity, 0));
            assert_eq!(best, told.mirror.quote(entry.instrument_id, side), "{}: quote", entry.symbol);
            let window: Vec<_> = row.window(side).map(|level| (level.price, level.quantity, 0)).collect();
            assert_eq!(window, told.mirror.window(entry.instrument_id, side), "{}: window", entry.symbol);
        }
    }
    ranking.sort_by_key(|entry| std::cmp::Reverse(entry[1].as_u64()));
    ranking.truncate(20);
    assert_eq!(json!(ranking), expected["top20_by_volume"]);
    assert_eq!(json!(states), expected["status_counts_final"]);
    assert_eq!(json!(states.values().sum::<u64>()), expected["symbols_with_status"]);
}

#[test]
fn tops_meets_its_reference() {
    let Some((capture, expected)) = capture("TOPS16") else { return };
    let played = play(&capture, Protocol::Tops);
    check_common(&played, &expected);
    assert_eq!(json!(played.quotes.len()), expected["symbols_with_quote_final"]);
    for (symbol, (bid_price, bid_size, ask_price, ask_size)) in &played.quotes {
        let row = played.bus.row(symbol);
        let side = |price: i64, size: u32| (size > 0).then_some((price * SCALE, u64::from(size)));
        let best = |side| row.best(side).map(|best| (best.price, best.quantity));
        assert_eq!(best(Side::Bid), side(*bid_price, *bid_size));
        assert_eq!(best(Side::Ask), side(*ask_price, *ask_size));
    }
    for (name, quote) in expected["final_quotes_top20_by_volume"].as_object().unwrap() {
        let (bid_price, bid_size, ask_price, ask_size) = played.quotes[&symbol_of(name)];
        let got = [bid_price, bid_size.into(), ask_price, ask_size.into()];
        assert_eq!(json!(got), json!([quote["bid_price"], quote["bid_size"], quote["ask_price"], quote["ask_size"]]));
    }
}

#[test]
fn deep_meets_its_reference() {
    let Some((capture, expected)) = capture("DEEP10_first5727packets") else { return };
    let played = play(&capture, Protocol::Deep);
    check_common(&played, &expected);
    let Played { bus, told, .. } = &played;
    assert!(told.clears > 0, "the restart has cleared every book that there was");
    assert!(told.mirror.anomalies.iter().all(|code| *code == AnomalyCode::Crossed), "{:?}", told.mirror.anomalies);
    let mut books = serde_json::Map::new();
    for at in 0..bus.lane.directory.count() {
        let entry = bus.segment.directory().get(at).unwrap();
        let symbol = symbol_of(entry.symbol.as_str());
        let [bids, asks] = [Side::Bid, Side::Ask].map(|side| {
            let levels = bus.feed.levels(&symbol, side).map(|(price, quantity)| (price / SCALE, quantity));
            levels.collect::<Vec<_>>()
        });
        if bids.is_empty() && asks.is_empty() {
            continue;
        }
        let row = bus.row(&symbol);
        for (side, levels) in [(Side::Bid, &bids), (Side::Ask, &asks)] {
            let window = row.window(side).map(|level| (level.price / SCALE, level.quantity));
            assert!(window.eq(levels.iter().copied().take(10)), "the window is the book");
        }
        let best = |levels: &[(i64, u64)]| levels.first().map(|(price, quantity)| json!([price, quantity]));
        books.insert(
            entry.symbol.to_string(),
            json!({
                "best_bid": best(&bids), "best_ask": best(&asks), "bid_levels": bids.len(), "ask_levels": asks.len(),
            }),
        );
    }
    assert_eq!(json!(books.len()), expected["symbols_with_live_book_final"]);
    assert_eq!(Value::Object(books), expected["final_book"]);
    // The file was cut in the middle of one of the venue's events: three levels have left, and the quote is still that
    // of the last event that was complete.
    let row = bus.row(b"CVS     ");
    let best = |side| row.best(side).map(|best| (best.price / SCALE, best.quantity));
    assert_eq!((best(Side::Bid), best(Side::Ask)), (Some((653_300, 2_945)), Some((652_500, 100))));
}
