//! Records by hand, files in a folder of their own, and a book to compare with.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use journal::export::{Counts, ExportOptions, Exporter, Format, Schema};
use journal::import::{DbnImport, Imported};
use shm_abi::directory::Instrument;
use shm_abi::record::{Body, Head, Record, Side, flag, kind, side};
use shm_abi::segment::RingName;

/// 2024-05-08, at noon.
pub(crate) const NOON: u64 = 1_715_169_600_000_000_000;

pub(crate) type Words = Vec<u64>;

/// A head about instrument 7, received at noon.
pub(crate) fn head(kind: u8, code: u8, flags: u8) -> Head {
    Head {
        kind,
        flags,
        span: 1,
        side_or_code: code,
        instrument_id: 7,
        ts_event: NOON - 1000,
        ts_recv: NOON,
        publish_delay_ns: 250,
        venue_sequence_low: 99,
    }
}

pub(crate) fn words(head: Head, body: &[u64]) -> Words {
    head.words().into_iter().chain(body.iter().copied()).collect()
}

/// An order of instrument 7, the last of its event.
pub(crate) fn order(kind: u8, id: u64, price: i64, quantity: u64) -> Words {
    words(head(kind, side::BID, flag::LAST), &[id, price as u64, quantity])
}

pub(crate) fn instruments() -> Vec<Instrument> {
    let mut seven = Instrument::equity(7, b"SEVEN", b"NASDAQ");
    (seven.tick, seven.lot, seven.provider_code) = (10_000_000, 100, 4711);
    vec![seven, Instrument::equity(8, b"EIGHT", b"NASDAQ")]
}

/// Exports records of the schema's ring, numbered from 0.
pub(crate) fn export(path: &Path, options: &ExportOptions, records: &[Words]) -> Counts {
    let mut exporter = Exporter::create(path, options, &instruments()).unwrap();
    let ring = exporter.ring();
    for (n, words) in records.iter().enumerate() {
        exporter.record(ring, n as u64, words).unwrap();
    }
    exporter.finish().unwrap()
}

pub(crate) fn dbn(schema: Schema) -> ExportOptions {
    ExportOptions::new(schema, Format::Dbn)
}

/// Everything that a file says.
#[derive(Debug, Default)]
pub(crate) struct Said {
    pub(crate) instruments: Vec<Instrument>,
    pub(crate) rings: [Vec<Words>; 2],
}

impl Said {
    pub(crate) fn of<R: std::io::Read>(import: &mut DbnImport<R>) -> Said {
        let mut said = Said::default();
        while let Some(batch) = import.next().unwrap() {
            said.take(batch);
        }
        said
    }

    pub(crate) fn take(&mut self, batch: &[Imported]) {
        for imported in batch {
            match imported {
                Imported::Instrument(instrument) => self.instruments.push(*instrument),
                Imported::Record { ring, words } => self.ring_mut(*ring).push(words.to_vec()),
            }
        }
    }

    fn ring_mut(&mut self, ring: RingName) -> &mut Vec<Words> {
        &mut self.rings[journal::ring_index(ring)]
    }

    pub(crate) fn ring(&self, ring: RingName) -> &[Words] {
        &self.rings[journal::ring_index(ring)]
    }
}

/// Reads a file back.
pub(crate) fn import(path: &Path) -> Said {
    Said::of(&mut DbnImport::open(path).unwrap())
}

/// The plainest book there can be.
#[derive(Debug, Default)]
pub(crate) struct PlainBook {
    /// Side, price, quantity by id.
    pub(crate) orders: HashMap<u64, (Side, i64, u64)>,
    pub(crate) anomalies: u64,
    pub(crate) most_orders: usize,
    pub(crate) by_kind: BTreeMap<char, u64>,
    pub(crate) traded: u64,
}

impl PlainBook {
    pub(crate) fn apply(&mut self, words: &[u64]) {
        let record = Record::new(0, words).unwrap();
        *self.by_kind.entry(char::from(record.head.kind)).or_default() += 1;
        match (record.head.kind, record.body()) {
            (kind::ADD, Body::Order { side, order_id, price, quantity }) => {
                let before = self.orders.insert(order_id, (side.unwrap(), price, quantity));
                self.anomalies += u64::from(before.is_some());
            }
            (kind::CANCEL, Body::Order { order_id, quantity, .. }) => match self.orders.get_mut(&order_id) {
                Some(order) if order.2 > quantity => order.2 -= quantity,
                Some(_) => drop(self.orders.remove(&order_id)),
                None => self.anomalies += 1,
            },
            (kind::MODIFY, Body::Order { side, order_id, price, quantity }) => {
                let before = self.orders.insert(order_id, (side.unwrap(), price, quantity));
                self.anomalies += u64::from(before.is_none());
            }
            (kind::CLEAR, _) => self.orders.clear(),
            (kind::TRADE, Body::Trade { quantity, .. }) => self.traded += quantity,
            _ => {}
        }
        self.most_orders = self.most_orders.max(self.orders.len());
    }

    /// Levels of a side, best first: price, quantity, orders.
    pub(crate) fn levels(&self, side: Side) -> Vec<(i64, u64, u64)> {
        let mut levels: BTreeMap<i64, (u64, u64)> = BTreeMap::new();
        for (_, price, quantity) in self.orders.values().filter(|order| order.0 == side) {
            let level = levels.entry(*price).or_default();
            *level = (level.0 + quantity, level.1 + 1);
        }
        let levels = levels.into_iter().map(|(price, (quantity, orders))| (price, quantity, orders));
        if side == Side::Bid { levels.rev().collect() } else { levels.collect() }
    }
}
