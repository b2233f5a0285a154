//! A synthetic day on a lane in this process, and what its two rings told.

use market::itch::{Itch, ItchConfig};
use market::{DenseIds, MessageAt, Stamps};
use shm_abi::directory::Instrument;
use shm_abi::layout::Plan;
use shm_abi::ring::{Polled, Rejoin, RingReader};
use shm_abi::segment::{LaneWriter, MappedRing, RingName};
use venue::market::{HOUR_NS, Market, MarketConfig, Profile};

const SYMBOLS: u32 = 40;
const MESSAGES: u64 = 40_000;
/// 2024-05-08, 00:00 in New York.
const MIDNIGHT_NS: u64 = 1_715_140_800_000_000_000;

/// A record of a ring.
pub(crate) type Got = (u64, Vec<u64>);

/// What a day left behind.
pub(crate) struct Day {
    /// Orders, then market.
    pub(crate) rings: [Vec<Got>; 2],
    pub(crate) instruments: Vec<Instrument>,
}

impl Day {
    pub(crate) fn ring(&self, ring: RingName) -> &[Got] {
        &self.rings[journal::ring_index(ring)]
    }
}

fn drain(reader: &mut RingReader<MappedRing>, into: &mut Vec<Got>) {
    loop {
        match reader.poll() {
            Polled::Empty => return,
            Polled::Record { n, words } => into.push((n, words.to_vec())),
            Polled::Lost(lost) => panic!("the ring holds what one message makes: {lost:?}"),
        }
    }
}

/// Runs a whole day: auctions, halts, trades, deletes.
pub(crate) fn day() -> Day {
    let config = MarketConfig {
        profile: Profile::Day,
        messages: Some(MESSAGES),
        symbols: SYMBOLS,
        rate_per_second: 8.0,
        start_ns: 9 * HOUR_NS,
        ..MarketConfig::default()
    };
    let mut venue = Market::new(config).expect("a valid config");
    let plan = Plan {
        lane: "day".into(),
        orders_slots: 1 << 14,
        market_slots: 1 << 14,
        instruments: 2 * SYMBOLS as usize,
        depth_bytes: 4 << 20,
    };
    let mut lane = LaneWriter::anonymous(&plan).expect("a lane");
    let segment = lane.reader();
    let mut readers = journal::RINGS.map(|ring| segment.read_from(ring, 0, Rejoin::Oldest));
    let config = ItchConfig { venue: "NASDAQ".into(), midnight_ns: MIDNIGHT_NS, ..ItchConfig::default() };
    let mut feed = Itch::new(config, DenseIds::default()).expect("a valid config");
    let mut rings = [Vec::new(), Vec::new()];
    let (mut message, mut sequence) = (Vec::new(), 0);
    while let Some(due_ns) = venue.next(&mut message) {
        sequence += 1;
        let ts_recv = MIDNIGHT_NS + due_ns + 7_000;
        let batch = [MessageAt { sequence, at: 0, len: message.len() as u32 }];
        feed.apply(&message, &batch, Stamps { ts_recv, ts_publish: ts_recv + 300, flags: 0 }, &mut lane);
        lane.publish_heads();
        message.clear();
        readers.iter_mut().zip(&mut rings).for_each(|(reader, ring)| drain(reader, ring));
    }
    let directory = segment.directory();
    let instruments = (0..directory.count()).filter_map(|row| directory.get(row)).collect();
    Day { rings, instruments }
}
