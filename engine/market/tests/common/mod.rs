//! A lane in this process, a reader that keeps what the rings tell, and the flows that both are fed with.
#![allow(dead_code, reason = "each test program uses its part")]

pub(crate) mod dse_flow;
pub(crate) mod flow;
pub(crate) mod slow;

use std::collections::{BTreeMap, HashMap};
use std::io::{Read as _, Write as _};

use market::book::BookLimits;
use market::itch::{Itch, ItchConfig};
use market::{DenseIds, DepthPlan, MessageAt, Stamps};
use shm_abi::board::RowImage;
use shm_abi::layout::Plan;
use shm_abi::record::{AnomalyCode, Body, Head, INSTRUMENT_NONE, PRICE_NONE, Record, Side, kind};
use shm_abi::ring::{Polled, Rejoin, RingReader};
use shm_abi::segment::{LaneWriter, MappedRing, RingName, Segment};

/// Raw price to the bus.
pub(crate) const SCALE: i64 = 100_000;

/// A record out of a ring.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Got {
    pub(crate) n: u64,
    pub(crate) words: Vec<u64>,
}

impl Got {
    pub(crate) fn record(&self) -> Record<'_> {
        Record::new(self.n, &self.words).expect("at least a slot")
    }
    pub(crate) fn head(&self) -> Head {
        self.record().head
    }
}

pub(crate) fn plan() -> Plan {
    Plan { lane: "test".into(), orders_slots: 1 << 16, market_slots: 1 << 16, instruments: 2000, depth_bytes: 4 << 20 }
}

/// Small tables; classes 5, 10 and 0 for the flows' three symbols.
pub(crate) fn config() -> ItchConfig {
    let by_symbol = HashMap::from([("AAA".to_string(), 5), ("CCC".to_string(), 0)]);
    ItchConfig {
        midnight_ns: 1_000_000_000_000_000_000,
        limits: BookLimits { max_orders: 1 << 15, max_levels: 1 << 14, instruments: 1 << 16 },
        depth: DepthPlan { default_class: 10, by_symbol },
        ..ItchConfig::default()
    }
}

/// Feed, lane and both ring readers.
pub(crate) struct Bus {
    pub(crate) feed: Itch<DenseIds>,
    pub(crate) lane: LaneWriter,
    pub(crate) segment: Segment,
    orders: RingReader<MappedRing>,
    market: RingReader<MappedRing>,
    pub(crate) next: u64,
}

impl Bus {
    pub(crate) fn new() -> Bus {
        Bus::with(config())
    }

    pub(crate) fn with(config: ItchConfig) -> Bus {
        let lane = LaneWriter::anonymous(&plan()).expect("a lane");
        let segment = lane.reader();
        let reader = |name| segment.read_from(name, 0, Rejoin::Oldest);
        let (orders, market) = (reader(RingName::Orders), reader(RingName::Market));
        Bus {
            feed: Itch::new(config, DenseIds::default()).expect("a valid config"),
            lane,
            segment,
            orders,
            market,
            next: 1,
        }
    }

    /// Applies messages in one batch, and returns what each ring then shows.
    pub(crate) fn apply(&mut self, messages: &[Vec<u8>]) -> (Vec<Got>, Vec<Got>) {
        let mut buf = Vec::new();
        let mut batch = Vec::new();
        for message in messages {
            let (at, len) = (buf.len() as u32, message.len() as u32);
            batch.push(MessageAt { sequence: self.next, at, len });
            buf.extend_from_slice(message);
            self.next += 1;
        }
        self.feed.apply(&buf, &batch, stamps(), &mut self.lane);
        self.lane.publish_heads();
        self.drain()
    }

    pub(crate) fn drain(&mut self) -> (Vec<Got>, Vec<Got>) {
        (drain(&mut self.orders), drain(&mut self.market))
    }

    pub(crate) fn row(&self, row: usize) -> RowImage {
        let mut image = RowImage::default();
        self.segment.board().read(row, &mut image, || true).expect("a row");
        image
    }

    pub(crate) fn counter(&self, counter: shm_abi::counters::LaneCounter) -> u64 {
        self.lane.counters.get(counter)
    }

    /// received = published + duplicates + rejected.
    pub(crate) fn assert_balance(&self) {
        use shm_abi::counters::LaneCounter::{Duplicates, Published, Received, Rejected};
        let sum = [Published, Duplicates, Rejected].map(|counter| self.counter(counter)).iter().sum::<u64>();
        assert_eq!(self.counter(Received), sum);
    }
}

pub(crate) fn stamps() -> Stamps {
    Stamps { ts_recv: 1_700_000_000_000_000_000, ts_publish: 1_700_000_000_000_000_500, flags: 0 }
}

fn drain(reader: &mut RingReader<MappedRing>) -> Vec<Got> {
    let mut records = Vec::new();
    loop {
        match reader.poll() {
            Polled::Empty => return records,
            Polled::Record { n, words } => records.push(Got { n, words: words.to_vec() }),
            Polled::Lost(lost) => panic!("the test's rings are large enough: {lost:?}"),
        }
    }
}

/// What a reader of the rings knows, kept from the records alone.
#[derive(Debug, Default)]
pub(crate) struct Mirror {
    /// (instrument, side) to price to (quantity, orders).
    pub(crate) windows: HashMap<(u32, Side), BTreeMap<i64, (u64, u32)>>,
    pub(crate) quotes: HashMap<(u32, Side), (i64, u64, u64)>,
    /// Order id to (instrument, side, price, quantity).
    pub(crate) orders: HashMap<u64, (u32, Side, i64, u64)>,
    pub(crate) quote_events: u64,
    pub(crate) anomalies: Vec<AnomalyCode>,
}

impl Mirror {
    pub(crate) fn market(&mut self, records: &[Got]) {
        let mut quoted = false;
        for got in records {
            let record = got.record();
            let id = record.head.instrument_id;
            match record.body() {
                Body::Level { side, price, quantity, orders, .. } => {
                    let window = self.windows.entry((id, side.expect("a side"))).or_default();
                    if quantity == 0 {
                        assert!(window.remove(&price).is_some(), "a level left that never came: {price}");
                    } else {
                        window.insert(price, (quantity, orders));
                    }
                }
                Body::Quote { side, price, quantity, orders } => {
                    quoted = true;
                    let quote = (price, quantity, orders);
                    let old = self.quotes.insert((id, side.expect("a side")), quote);
                    assert_ne!(old, Some(quote), "a quote that did not change");
                }
                Body::Clear { .. } => {
                    for side in [Side::Bid, Side::Ask] {
                        self.windows.remove(&(id, side));
                        self.quotes.remove(&(id, side));
                    }
                }
                Body::Anomaly(anomaly) => self.anomalies.push(anomaly.code),
                _ => {}
            }
        }
        self.quote_events += u64::from(quoted);
    }

    pub(crate) fn orders(&mut self, records: &[Got]) {
        for got in records {
            let record = got.record();
            let instrument = record.head.instrument_id;
            match (record.head.kind, record.body()) {
                (kind::ADD, Body::Order { side, order_id, price, quantity }) => {
                    let order = (instrument, side.expect("a side"), price, quantity);
                    assert_eq!(self.orders.insert(order_id, order), None, "added twice");
                }
                (kind::CANCEL, Body::Order { order_id, quantity, price, .. }) => {
                    let order = self.orders.get_mut(&order_id).expect("a live order");
                    assert_eq!(order.2, price, "price of the order");
                    order.3 = order.3.checked_sub(quantity).expect("never negative");
                    if order.3 == 0 {
                        self.orders.remove(&order_id);
                    }
                }
                (kind::CLEAR, _) if instrument == INSTRUMENT_NONE => self.orders.clear(),
                (kind::CLEAR, _) => self.orders.retain(|_, order| order.0 != instrument),
                _ => {}
            }
        }
    }

    /// Window of a side, best first.
    pub(crate) fn window(&self, instrument: u32, side: Side) -> Vec<(i64, u64, u32)> {
        let Some(window) = self.windows.get(&(instrument, side)) else { return Vec::new() };
        let levels = window.iter().map(|(price, (quantity, orders))| (*price, *quantity, *orders));
        if side == Side::Bid { levels.rev().collect() } else { levels.collect() }
    }

    pub(crate) fn quote(&self, instrument: u32, side: Side) -> Option<(i64, u64, u64)> {
        self.quotes.get(&(instrument, side)).copied().filter(|quote| quote.0 != PRICE_NONE)
    }
}

/// Reference data, unpacked; see [`data`].
pub(crate) fn unpacked(name: &str) -> Option<Vec<u8>> {
    let bytes = data(name)?;
    if !name.ends_with(".gz") {
        return Some(bytes);
    }
    let mut whole = Vec::new();
    flate2::read::GzDecoder::new(&bytes[..]).read_to_end(&mut whole).expect("a gzip file");
    Some(whole)
}

/// Where the reference data lies, or a loud line and `None`.
pub(crate) fn data(name: &str) -> Option<Vec<u8>> {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data");
    let folder = std::env::var("TICKLANE_DATA").unwrap_or_else(|_| default.into());
    match std::fs::read(std::path::Path::new(&folder).join(name)) {
        Ok(bytes) => Some(bytes),
        Err(_) => {
            // Not by a macro: the runner hides what passing tests print with one, and a skip must be seen: whole, in one write.
            let _ = std::io::stderr().write_all(format!("\nSKIPPED (no TICKLANE_DATA): {name}\n").as_bytes());
            None
        }
    }
}
