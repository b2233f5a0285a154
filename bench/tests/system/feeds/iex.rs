//! IEX TOPS 1.6 and DEEP 1.0 from captures: the engine's own sessions, arbiter and books, by the recorded clock.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Value, json};
use shm_abi::counters::{FeedCounter, LaneCounter};
use shm_abi::layout::{FeedState, row};
use shm_abi::record::{AnomalyCode, Body, PRICE_NONE, Side, StatusCause, official_code, restart_reason};
use shm_abi::segment::{RingName, Segment};

use super::{Running, SLOTS, assert_whole, each_record, file, row as image_of, wait_until};
use crate::harness::{Dir, feed_counter, lane_counter};

/// Prices of the bus in units of the wire.
const SCALE: i64 = 100_000;

/// What the market ring has told.
#[derive(Debug, Default)]
struct Told {
    /// Instrument to volume and trades.
    traded: HashMap<u32, (u64, u64)>,
    quotes: HashMap<(u32, Side), (i64, u64)>,
    windows: HashMap<(u32, Side), BTreeMap<i64, u64>>,
    breaks: u64,
    imbalances: u64,
    announced: u64,
    restarts: Vec<u64>,
    clears: u64,
    gaps: u64,
    by_cause: HashMap<char, u64>,
    anomalies: Vec<AnomalyCode>,
    first_and_last_ts: Option<(u64, u64)>,
}

impl Told {
    fn of(segment: &Segment) -> Told {
        let mut told = Told::default();
        each_record(segment, RingName::Market, |record| {
            let head = record.head;
            let id = head.instrument_id;
            if head.ts_event > 0 {
                let first = told.first_and_last_ts.map_or(head.ts_event, |(first, _)| first);
                told.first_and_last_ts = Some((first, head.ts_event));
            }
            match record.body() {
                Body::Trade { quantity, .. } => {
                    let traded = told.traded.entry(id).or_default();
                    *traded = (traded.0 + quantity, traded.1 + 1);
                }
                Body::Quote { side: Some(side), price, quantity, .. } => {
                    told.quotes.insert((id, side), (price, quantity));
                }
                Body::Level { side: Some(side), price, quantity, .. } => {
                    let window = told.windows.entry((id, side)).or_default();
                    if quantity > 0 {
                        window.insert(price, quantity)
                    } else {
                        window.remove(&price)
                    };
                }
                Body::Clear { .. } => {
                    told.clears += 1;
                    told.quotes.retain(|(cleared, _), _| *cleared != id);
                    told.windows.retain(|(cleared, _), _| *cleared != id);
                }
                Body::TradeBreak { .. } => told.breaks += 1,
                Body::Imbalance(_) => told.imbalances += 1,
                Body::OfficialPrice { code: official_code::REFERENCE, .. } => told.announced += 1,
                Body::Restart(restart) if restart.reason == restart_reason::SESSION => {
                    told.restarts.push(restart.venue_sequence);
                }
                Body::Gap { .. } => told.gaps += 1,
                Body::Anomaly(anomaly) => told.anomalies.push(anomaly.code),
                Body::Status(status) => {
                    let cause = match status.cause {
                        StatusCause::TradingAction => 'H',
                        StatusCause::OperationalHalt => 'O',
                        StatusCause::ShortSale => 'P',
                        StatusCause::SystemEvent => 'S',
                        // About the line, not the market.
                        StatusCause::Session => return,
                        other => panic!("no message of these feeds causes {other:?}"),
                    };
                    *told.by_cause.entry(cause).or_default() += 1;
                }
                _ => {}
            }
        });
        told
    }

    fn quote(&self, id: u32, side: Side) -> Option<(i64, u64)> {
        self.quotes.get(&(id, side)).copied().filter(|quote| quote.0 != PRICE_NONE)
    }

    fn window(&self, id: u32, side: Side) -> Vec<(i64, u64)> {
        let Some(window) = self.windows.get(&(id, side)) else { return Vec::new() };
        let levels = window.iter().map(|(price, quantity)| (*price, *quantity));
        if side == Side::Bid { levels.rev().collect() } else { levels.collect() }
    }
}

/// Plays a capture through an engine, and holds what both feeds have in common against the reference.
fn play(name: &str, protocol: &str, check: impl Fn(&Segment, &Told, &Value)) {
    let files = Dir::new();
    let Some((capture, want)) = file(&files, &format!("iex/{name}.pcap.gz"), &format!("iex/{name}.ref.json")) else {
        return;
    };
    let dir = Dir::new();
    let feed =
        format!("protocol = \"{protocol}\"\nreplay = {{ file = {capture:?}, pace = \"max\" }}\nvenue = \"IEXG\"\n");
    let running = Running::start(&dir, SLOTS, &[("iex".into(), feed)]);
    let segment = &running.lanes[0];
    wait_until("the end of the capture", || {
        segment.feed(0).is_some_and(|(facts, _)| facts.state == FeedState::Closed as u64)
    });
    let told = Told::of(segment);
    assert_common(segment, &told, &want);
    check(segment, &told, &want);
    assert!(running.process.terminate().success());
}

fn assert_common(segment: &Segment, told: &Told, want: &Value) {
    let number = |key: &str| want[key].as_u64().unwrap();
    let by_type = |letter: &str| want["by_type"][letter].as_u64().unwrap_or(0);
    assert_whole(segment, number("messages"));
    let feed = |counter| feed_counter(segment, counter);
    assert_eq!(feed(FeedCounter::Heartbeats), number("heartbeats"));
    assert_eq!(feed(FeedCounter::SequencedPackets) + feed(FeedCounter::Heartbeats), number("packets"));
    let ignored = [FeedCounter::MalformedPackets, FeedCounter::ForeignPackets, FeedCounter::OddPackets];
    assert_eq!(ignored.map(feed), [0; 3], "malformed, foreign, odd packets");
    // Channel and session, as the engine names them.
    let (key, next) = want["next_sequence"].as_object().unwrap().iter().next().unwrap();
    assert_eq!(json!(feed(FeedCounter::NextSequence)), *next);
    assert_eq!(key.split('/').nth(1).unwrap(), want["session_ids"][0].to_string());
    let numbers = key.split('/').map(|number| format!("{:08x}", number.parse::<u32>().unwrap()));
    let session = segment.feed(0).unwrap().0.session.unwrap();
    assert_eq!(String::from_utf8_lossy(&session), numbers.collect::<String>());

    assert_eq!((told.restarts.len() as u64, told.gaps), (number("sequence_restarts"), number("gaps")));
    assert_eq!(lane_counter(segment, LaneCounter::GapMessages), number("missed_messages"));
    assert_eq!(told.first_and_last_ts, Some((number("first_msg_ts_ns"), number("last_msg_ts_ns"))));
    for (cause, messages) in
        [('H', by_type("H")), ('O', by_type("O")), ('P', by_type("P")), ('S', by_type("S") + by_type("E"))]
    {
        assert_eq!(told.by_cause[&cause], messages, "{cause}");
    }
    assert_eq!((told.imbalances, told.announced), (by_type("A"), by_type("D")));

    let totals = told.traded.values().fold((0, 0), |sum, traded| (sum.0 + traded.0, sum.1 + traded.1));
    assert_eq!(totals, (number("trade_volume"), number("trade_reports")));
    assert_eq!(totals.1, by_type("T"));
    // What is left are prices of the book: not each of them leaves a record.
    let prices = ["Q", "5", "8"].map(by_type).iter().sum::<u64>();
    let others = told.by_cause.values().sum::<u64>() + told.breaks + told.imbalances + told.announced + totals.1;
    assert_eq!(prices + others, lane_counter(segment, LaneCounter::Received));
    let changes = lane_counter(segment, LaneCounter::QuoteEvents);
    assert!(changes > 0 && changes <= prices, "{changes} changes by {prices} prices");
    assert_eq!(lane_counter(segment, LaneCounter::Trades), number("trade_reports"));
    assert_eq!((told.breaks, by_type("B")), (number("trade_breaks"), number("trade_breaks")));

    let directory = segment.directory();
    assert_eq!(directory.count() as u64, number("symbols"));
    let (mut ranking, mut states) = (Vec::new(), BTreeMap::<String, u64>::new());
    for at in 0..directory.count() {
        let entry = directory.get(at).unwrap();
        let (image, id) = (image_of(segment, at), entry.instrument_id);
        let traded = (image.word(row::VOLUME), image.word(row::TRADES));
        assert_eq!(told.traded.get(&id).copied().unwrap_or_default(), traded, "{}", entry.symbol);
        if traded.0 > 0 {
            ranking.push(json!([entry.symbol.as_str(), traded.0, traded.1]));
        }
        let letter = (image.word(row::STATUS) >> 16) as u8;
        *states.entry(char::from(letter).to_string()).or_default() += 1;
        for side in [Side::Bid, Side::Ask] {
            let best = image.best(side).map(|best| (best.price, best.quantity));
            assert_eq!(best, told.quote(id, side), "{}: quote", entry.symbol);
            let window: Vec<_> = image.window(side).map(|level| (level.price, level.quantity)).collect();
            assert_eq!(window, told.window(id, side), "{}: window", entry.symbol);
        }
    }
    ranking.sort_by_key(|entry| std::cmp::Reverse(entry[1].as_u64()));
    ranking.truncate(20);
    assert_eq!(json!(ranking), want["top20_by_volume"]);
    states.remove("\0");
    assert_eq!(json!(states), want["status_counts_final"]);
    assert_eq!(json!(states.values().sum::<u64>()), want["symbols_with_status"]);
}

#[test]
fn a_capture_of_tops_meets_its_reference() {
    play("TOPS16", "iex-tops", |segment, told, want| {
        assert_eq!(told.anomalies, []);
        let directory = segment.directory();
        let quotes = want["final_quotes_top20_by_volume"].as_object().unwrap();
        assert_eq!(quotes.len(), 20);
        for (symbol, quote) in quotes {
            let at = (0..directory.count()).find(|at| directory.get(*at).unwrap().symbol.as_str() == symbol).unwrap();
            let image = image_of(segment, at);
            for (side, price, size) in [(Side::Bid, "bid_price", "bid_size"), (Side::Ask, "ask_price", "ask_size")] {
                let (price, size) = (quote[price].as_i64().unwrap(), quote[size].as_u64().unwrap());
                let best = image.best(side).map(|best| (best.price, best.quantity));
                assert_eq!(best, (size > 0).then_some((price * SCALE, size)), "{symbol} {side:?}");
            }
        }
    });
}

#[test]
fn a_capture_of_deep_meets_its_reference() {
    play("DEEP10_first5727packets", "iex-deep", |segment, told, want| {
        // The venue's session began anew within itself: declared, and every book and status with it.
        let before = want["messages"].as_u64().unwrap() - (feed_counter(segment, FeedCounter::NextSequence) - 1);
        assert_eq!(told.restarts, [before], "the last message before the restart");
        assert!(told.clears > 0);
        assert_eq!(feed_counter(segment, FeedCounter::SessionChanges), 1);
        assert!(told.anomalies.iter().all(|code| *code == AnomalyCode::Crossed), "{:?}", told.anomalies);
        let directory = segment.directory();
        let mut books = serde_json::Map::new();
        for at in 0..directory.count() {
            let image = image_of(segment, at);
            let [bids, asks] = [Side::Bid, Side::Ask].map(|side| {
                image.window(side).map(|level| json!([level.price / SCALE, level.quantity])).collect::<Vec<_>>()
            });
            if bids.is_empty() && asks.is_empty() {
                continue;
            }
            let book = json!({
                "best_bid": bids.first(), "best_ask": asks.first(), "bid_levels": bids.len(), "ask_levels": asks.len(),
            });
            books.insert(directory.get(at).unwrap().symbol.to_string(), book);
        }
        assert_eq!(json!(books.len()), want["symbols_with_live_book_final"]);
        assert_eq!(Value::Object(books), want["final_book"]);
    });
}
