//! The DSE forms of a real flow: marketfeed, index and news each on a session and a lane of its own.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;

use serde_json::{Value, json};
use shm_abi::counters::FeedCounter;
use shm_abi::directory::{Instrument, InstrumentKind, xstream};
use shm_abi::layout::row;
use shm_abi::record::{
    Body, Indicative, PRICE_NONE, QUANTITY_NONE, Record, Side, StatusCause, flag, kind, official_code,
};
use shm_abi::segment::Segment;

use super::{Exchange, Running, SLOTS, assert_whole, file, row, words_of};
use crate::bus::{Recording, Seen, record};
use crate::figures::Figures;
use crate::harness::{Dir, feed_counter, lane_counter};

/// What both forms are, whatever carries them.
pub(super) const DIALECT: &str =
    "dialect = \"dse\"\nvenue = \"XDHA\"\ntime_zone = \"Asia/Dhaka\"\ntrading_date = \"2024-05-08\"\n";
/// Midnight of that day in Dhaka.
const MIDNIGHT_NS: u64 = 1_715_104_800_000_000_000;
/// The index among the orderbooks.
const INDEX: &str = "9001";

/// One form of the flow.
pub(super) struct Flow {
    pub(super) reference: Value,
    whole: PathBuf,
    /// Without the last message, the end of messages, which empties every book.
    pub(super) open: PathBuf,
    pub(super) messages: u64,
}

impl Flow {
    /// `form`: `dse20` or `dse22`.
    pub(super) fn read(dir: &Dir, form: &str) -> Option<Flow> {
        let name = format!("derived/es_20240508.{form}");
        let (whole, reference) = file(dir, &format!("{name}.itch.gz"), &format!("{name}.ref.json"))?;
        let bytes = std::fs::read(&whole).unwrap();
        let last = wire::itchfile::Messages::new(&bytes).map(|message| message.unwrap().1.len()).last().unwrap();
        let open = dir.path("open.itch");
        std::fs::write(&open, &bytes[..bytes.len() - last - 2]).unwrap();
        let messages = reference["messages"].as_u64().unwrap();
        Some(Flow { reference, whole, open, messages })
    }

    /// The messages of some types alone, as a channel of its own has them, and how many they are.
    fn channel(&self, dir: &Dir, name: &str, letters: &[u8]) -> (PathBuf, u64) {
        let bytes = std::fs::read(&self.whole).unwrap();
        let (mut channel, mut count) = (Vec::new(), 0);
        for message in wire::itchfile::Messages::new(&bytes).map(|message| message.unwrap().1) {
            if letters.contains(&message[0]) {
                wire::itchfile::append(&mut channel, message);
                count += 1;
            }
        }
        let path = dir.path(name);
        std::fs::write(&path, channel).unwrap();
        (path, count)
    }
}

fn soup(exchange: &Exchange, feed: &str, client_type: &str) -> String {
    format!(
        "protocol = \"soupbintcp-itch\"\naddresses = [\"{}\"]\nclient_type = \"{client_type}\"\n\
         username = \"demo\"\npassword = \"demo\"\n",
        exchange.address(feed)
    )
}

/// The records before every book is emptied at the end.
fn before_the_end(recording: &Recording) -> Recording {
    let until = |records: &[Seen]| records.iter().take_while(|seen| seen.kind != kind::CLEAR).cloned().collect();
    Recording { orders: until(&recording.orders), market: until(&recording.market) }
}

/// What trades add up to.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Totals {
    volume: u64,
    trades: u64,
    turnover: u128,
}

/// What the market rings told, by lasting id of the instrument.
#[derive(Debug, Default)]
struct Told {
    system_events: Vec<Value>,
    broken: Vec<u64>,
    /// Id of the item, of its instrument, title, bytes of its text.
    news: Vec<(u32, u32, String, usize)>,
    index_last: BTreeMap<u32, i64>,
    official: BTreeMap<(u32, u8), i64>,
    indicative: BTreeMap<u32, (Indicative, u8)>,
    state: BTreeMap<u32, char>,
    totals: BTreeMap<u32, Totals>,
    last_event_ns: u64,
}

impl Told {
    fn of(market: &[Seen]) -> Told {
        let mut told = Told::default();
        for seen in market {
            let words = words_of(seen);
            told.take(&Record::new(0, &words).unwrap());
        }
        told
    }

    fn take(&mut self, record: &Record<'_>) {
        let (id, head) = (record.head.instrument_id, record.head);
        self.last_event_ns = self.last_event_ns.max(head.ts_event.saturating_sub(MIDNIGHT_NS));
        match record.body() {
            Body::Status(status) if status.cause == StatusCause::SystemEvent => {
                let (letter, group) = (char::from(status.venue_code).to_string(), status.reason.trim_ascii_end());
                let group = String::from_utf8_lossy(group);
                self.system_events.push(json!([letter, group, 0, head.ts_event - MIDNIGHT_NS]));
            }
            Body::Status(status) => {
                self.state.insert(id, char::from(status.venue_code));
            }
            Body::Trade { price, quantity, .. } if head.flags & flag::NOT_PRINTED == 0 => {
                let totals = self.totals.entry(id).or_default();
                totals.volume += quantity;
                totals.trades += 1;
                totals.turnover += u128::from(quantity) * price as u128;
            }
            Body::TradeBreak { match_id, price, quantity } => {
                assert!(price != PRICE_NONE && quantity != QUANTITY_NONE, "the broken print is a known one");
                let totals = self.totals.get_mut(&id).unwrap();
                totals.volume -= quantity;
                totals.trades -= 1;
                totals.turnover -= u128::from(quantity) * price as u128;
                self.broken.push(match_id);
            }
            Body::IndexValue { value } => drop(self.index_last.insert(id, value)),
            Body::OfficialPrice { code, price } => drop(self.official.insert((id, code), price)),
            Body::Indicative(indicative) => drop(self.indicative.insert(id, (indicative, head.side_or_code))),
            Body::News(news) => {
                assert_eq!((news.part, news.parts, news.cut), (0, 1, false));
                let text = String::from_utf8(news.text.bytes().collect()).unwrap();
                let [issuer, title, reference, body] = text.split('\0').collect::<Vec<_>>()[..] else {
                    panic!("four texts: {text:?}")
                };
                assert_eq!((issuer, reference), ("DERIV", "PSI/2026/77"));
                self.news.push((news.id, id, title.into(), body.len()));
            }
            _ => assert_ne!(head.kind, kind::ANOMALY, "{record:?}"),
        }
    }
}

fn instruments(segment: &Segment) -> BTreeMap<String, (usize, Instrument)> {
    let directory = segment.directory();
    let entries = (0..directory.count()).map(|at| (at, directory.get(at).unwrap()));
    entries.map(|(at, entry)| (entry.provider_code.to_string(), (at, entry))).collect()
}

fn scale(entry: &Instrument) -> i64 {
    10i64.pow(9 - u32::from(entry.price_decimals))
}

fn raw(price: i64, scale: i64) -> Value {
    if price == PRICE_NONE { Value::Null } else { json!(price / scale) }
}

/// Holds one orderbook's directory entry, row and records against the reference. `row_is_open`: its book was not emptied.
fn assert_orderbook(segment: &Segment, number: &str, figures: &Figures, told: &Told, want: &Value, row_is_open: bool) {
    let (at, entry) = instruments(segment)[number];
    let (image, id, scale) = (row(segment, at), entry.instrument_id, scale(&entry));
    let text =
        |range: Range<usize>| String::from_utf8_lossy(&entry.provider_traits[range]).trim_end_matches('\0').to_owned();
    let official = |code| told.official.get(&(id, code)).map_or(Value::Null, |price| raw(*price, scale));
    let totals = told.totals.get(&id).copied().unwrap_or_default();
    let levels = [Side::Bid, Side::Ask].map(|side| figures.levels(id, side));
    let unpriced: u64 = levels.iter().flatten().filter(|level| level.0 == PRICE_NONE).map(|level| level.2).sum();
    let five = |levels: &[(i64, u64, u64)]| {
        json!(levels.iter().take(5).map(|level| (level.0 / scale, level.1, level.2)).collect::<Vec<_>>())
    };
    let have = json!({
        "sec_code": entry.symbol.as_str(),
        "price_decimals": entry.price_decimals,
        "isin": text(xstream::ISIN),
        "name": text(xstream::NAME),
        "market_type": text(xstream::MARKET_TYPE),
        "state": told.state.get(&id).map(char::to_string),
        "reference_price": official(official_code::REFERENCE),
        "close_price": official(official_code::CLOSE),
        "live_orders": figures.live_of(id),
        "market_orders": unpriced,
        "volume": totals.volume,
        "trades": totals.trades,
        "turnover_raw": u64::try_from(totals.turnover / scale as u128).unwrap(),
        "last_indicative": told.indicative.get(&id).map(|(indicative, auction)| {
            json!([raw(indicative.price, scale), indicative.quantity, char::from(*auction).to_string()])
        }),
        "bids5": five(&levels[0]),
        "asks5": five(&levels[1]),
    });
    assert_eq!(&have, want, "{number}");
    // The row says the same.
    let statistics =
        Totals { volume: image.word(row::VOLUME), trades: image.word(row::TRADES), turnover: image.turnover() };
    assert_eq!(statistics, totals, "{number}");
    assert_eq!(image.price(row::CLOSE).map(|price| price / scale), want["close_price"].as_i64(), "{number}");
    let previous = image.price(row::PREVIOUS_CLOSE).map(|price| price / scale);
    assert_eq!(previous, want["reference_price"].as_i64(), "{number}");
    for (side, levels) in [Side::Bid, Side::Ask].into_iter().zip(&levels) {
        let window: Vec<_> =
            image.window(side).map(|level| (level.price, level.quantity, level.orders.into())).collect();
        let expected = if row_is_open { &levels[..levels.len().min(10)] } else { &[] };
        assert_eq!(window[..], *expected, "{number}: window of the {side:?} side");
        assert_eq!(image.best(side).map(|best| best.price), expected.first().map(|best| best.0), "{number}");
    }
    let (kind, board) = match number {
        INDEX => (InstrumentKind::Index, "INDEX"),
        _ => (InstrumentKind::Equity, "MAIN"),
    };
    assert_eq!((entry.kind, text(xstream::BOARD).as_str()), (kind, board), "{number}");
}

/// Holds every orderbook with orders against the reference.
pub(super) fn assert_orderbooks(reference: &Value, segment: &Segment, recording: &Recording, row_is_open: bool) {
    let (figures, told) = (Figures::of(recording), Told::of(&recording.market));
    assert_eq!(json!(figures.live_orders), reference["live_orders_at_end"]);
    let wanted = reference["orderbooks"].as_object().unwrap();
    for (number, want) in wanted.iter().filter(|(number, _)| *number != INDEX) {
        assert_orderbook(segment, number, &figures, &told, want, row_is_open);
    }
}

/// By type, from what the lane is there for: seconds leave no record, and attribution is not told.
fn by_type(market: &Recording, index: &Recording) -> BTreeMap<String, u64> {
    let (mut letters, index) = (Figures::of(market).by_type, Figures::of(index).by_type);
    for letter in ["R", "Z"] {
        *letters.entry(letter.into()).or_default() += index[letter];
    }
    letters
}

#[test]
fn each_form_meets_its_reference_on_the_sessions_of_its_three_client_types() {
    for form in ["dse20", "dse22"] {
        let files = Dir::new();
        let Some(flow) = Flow::read(&files, form) else { return };
        let dir = Dir::new();
        let (index, news) = (flow.channel(&files, "index", b"TSLMPRHZ"), flow.channel(&files, "news", b"TSLMPRHN"));
        let sources =
            [("market", flow.whole.clone(), flow.messages), ("index", index.0, index.1), ("news", news.0, news.1)];
        let feeds = sources
            .each_ref()
            .map(|(name, path, _)| format!("{name}:soupbintcp,source={},listen=127.0.0.1:0", path.display()));
        let exchange = Exchange::start(&dir, &feeds, &[]);
        let plans = [("market", "marketfeed"), ("index", "index"), ("news", "news")]
            .map(|(name, client_type)| (name.to_owned(), soup(&exchange, name, client_type) + DIALECT));
        let running = Running::start(&dir, SLOTS, &plans);
        for (lane, (.., messages)) in running.lanes.iter().zip(&sources) {
            super::wait_until("every message", || feed_counter(lane, FeedCounter::NextSequence) > *messages);
            assert_whole(lane, *messages);
            assert_eq!(feed_counter(lane, FeedCounter::Logins), 1);
        }
        let [market, index, _] = &running.lanes[..] else { unreachable!("three lanes") };
        let recordings: [Recording; 3] = std::array::from_fn(|at| record(&running.lanes[at]));
        let want = &flow.reference;

        let mut have = by_type(&recordings[0], &recordings[1]);
        let mut wanted: BTreeMap<String, u64> = serde_json::from_value(want["by_type"].clone()).unwrap();
        let (adds, attributed) = (wanted["A"], wanted.remove("F").unwrap());
        wanted.insert("A".into(), adds + attributed);
        have.insert("T".into(), flow.messages - have.values().sum::<u64>());
        assert_eq!(have, wanted, "{form}");

        assert_orderbooks(want, market, &before_the_end(&recordings[0]), false);
        let clears = |records: &[Seen]| records.iter().filter(|seen| seen.kind == kind::CLEAR).count();
        assert_eq!((clears(&recordings[0].orders), clears(&recordings[0].market)), (4, 4), "the end of messages");
        assert_eq!(lane_counter(market, shm_abi::counters::LaneCounter::LiveOrders), 0);

        let [market_told, index_told, news_told] = recordings.each_ref().map(|recording| Told::of(&recording.market));
        assert_eq!(json!(market_told.system_events), want["system_events"], "{form}");
        assert_eq!(json!(market_told.broken), want["broken_matches"], "{form}");
        assert_eq!(json!(market_told.last_event_ns), want["last_event_ns_since_midnight"], "{form}");
        assert_eq!(want["unknown_order"], json!({}));

        // The index has a row on its own lane, and nobody else's.
        let none = Figures::default();
        assert_orderbook(index, INDEX, &none, &index_told, &want["orderbooks"][INDEX], false);
        assert_eq!(index.directory().count(), 1);
        let (at, entry) = instruments(index)[INDEX];
        let last = index_told.index_last[&entry.instrument_id];
        assert_eq!(json!(last / scale(&entry)), want["index_last"][INDEX], "{form}");
        assert_eq!(row(index, at).price(row::LAST_PRICE), Some(last));
        assert!(market_told.index_last.is_empty() && index_told.news.is_empty());
        assert_eq!(market.directory().count(), want["orderbooks"].as_object().unwrap().len() - 1);

        // News names instruments by their lasting ids, whichever lane they are on.
        let ids: BTreeMap<u32, u64> =
            instruments(market).values().map(|(_, entry)| (entry.instrument_id, entry.provider_code)).collect();
        let news: Vec<Value> =
            news_told.news.iter().map(|(id, about, title, bytes)| json!([id, ids[about], title, bytes])).collect();
        assert_eq!(json!(news), want["news"], "{form}");
        assert!(running.process.terminate().success());
    }
}

/// Orders at a price of a side, over all orderbooks.
fn whole_book(figures: &Figures, segment: &Segment) -> BTreeMap<(i64, u8), (u64, u64)> {
    let mut whole: BTreeMap<(i64, u8), (u64, u64)> = BTreeMap::new();
    for (_, entry) in instruments(segment).values() {
        for side in [Side::Bid, Side::Ask] {
            for (price, quantity, orders) in figures.levels(entry.instrument_id, side) {
                let sum = whole.entry((price, side as u8)).or_default();
                *sum = (sum.0 + quantity, sum.1 + orders);
            }
        }
    }
    whole
}

#[test]
fn the_three_forms_of_one_flow_end_in_the_same_books() {
    let (new, old, nasdaq) = (Dir::new(), Dir::new(), Dir::new());
    let (Some(new), Some(old)) = (Flow::read(&new, "dse22"), Flow::read(&old, "dse20")) else { return };
    let name = "derived/es_20240508.itch50";
    let Some((itch50, reference)) = file(&nasdaq, &format!("{name}.gz"), &format!("{name}.ref.json")) else { return };
    let dir = Dir::new();
    let sources = [("itch50", &itch50), ("dse20", &old.whole), ("dse22", &new.whole)];
    let feeds = sources.map(|(name, path)| format!("{name}:soupbintcp,source={},listen=127.0.0.1:0", path.display()));
    let exchange = Exchange::start(&dir, &feeds, &[]);
    let plan = |name: &str, more: &str| (name.to_owned(), soup(&exchange, name, "marketfeed") + more);
    // Each instrument has one writer: the older form is that of another venue.
    let plans = [plan("itch50", ""), plan("dse20", &DIALECT.replace("XDHA", "XDH0")), plan("dse22", DIALECT)];
    let running = Running::start(&dir, SLOTS, &plans);
    let messages = [reference["messages"].as_u64().unwrap(), old.messages, new.messages];
    for (lane, messages) in running.lanes.iter().zip(messages) {
        super::wait_until("every message", || feed_counter(lane, FeedCounter::NextSequence) > messages);
        assert_whole(lane, messages);
    }
    let [itch50, dse20, dse22] = &running.lanes[..] else { unreachable!("three lanes") };
    let recordings = [itch50, dse20, dse22].map(|lane| before_the_end(&record(lane)));
    let books: Vec<_> = recordings
        .iter()
        .zip([itch50, dse20, dse22])
        .map(|(recording, lane)| whole_book(&Figures::of(recording), lane))
        .collect();
    let orders: u64 = books[0].values().map(|level| level.1).sum();
    assert_eq!(orders, 13_598);
    assert!(books[0].len() > 1_000, "{} levels", books[0].len());
    assert!(books[0] == books[1] && books[1] == books[2], "the books differ");
    // The two forms of DSE's own dialect differ in no order, neither on the way.
    let named = |recording: &Recording, lane: &Segment| -> Vec<Seen> {
        let codes: BTreeMap<u32, u64> =
            instruments(lane).values().map(|(_, entry)| (entry.instrument_id, entry.provider_code)).collect();
        let name = |seen: &Seen| Seen { instrument_id: codes[&seen.instrument_id] as u32, ..seen.clone() };
        recording.orders.iter().map(name).collect()
    };
    let (old, new) = (named(&recordings[1], dse20), named(&recordings[2], dse22));
    assert!(old == new, "the orders rings differ");
    assert!(running.process.terminate().success());
}
