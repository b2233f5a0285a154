//! An IEX feed on a lane in this process, and messages for it.
#![allow(dead_code, reason = "each test program uses its part")]

pub(crate) mod flow;

use std::collections::HashMap;

use market::book::BookLimits;
use market::iex::{Iex, IexConfig};
use market::{DenseIds, DepthPlan, MessageAt, Stamps};
use shm_abi::board::RowImage;
use shm_abi::counters::LaneCounter;
use shm_abi::layout::Plan;
use shm_abi::ring::{Polled, Rejoin, RingReader};
use shm_abi::segment::{LaneWriter, MappedRing, RingName, Segment};
use wire::iex::{I64, PriceLevelBuy, PriceLevelSell, QuoteUpdate, TradeReport, U32};
use wire::iextp::Protocol;
use zerocopy::IntoBytes;

use super::common::{Got, stamps};

pub(crate) const AAA: [u8; 8] = *b"AAA     ";
pub(crate) const BBB: [u8; 8] = *b"BBB     ";

/// When the messages below happened, ns since the UNIX epoch.
pub(crate) const TS: i64 = 1_493_132_621_826_542_542;

pub(crate) fn config(protocol: Protocol) -> IexConfig {
    let limits = BookLimits { max_orders: 1 << 14, max_levels: 1 << 14, instruments: 1 << 13 };
    // The flows' symbols: classes 5, 10 and 0.
    let by_symbol = HashMap::from([("AAA".to_string(), 5), ("CCC".to_string(), 0)]);
    IexConfig { limits, depth: DepthPlan { default_class: 10, by_symbol }, ..IexConfig::new(protocol) }
}

/// Feed, lane and both ring readers.
pub(crate) struct IexBus {
    pub(crate) feed: Iex<DenseIds>,
    pub(crate) lane: LaneWriter,
    pub(crate) segment: Segment,
    orders: RingReader<MappedRing>,
    market: RingReader<MappedRing>,
    pub(crate) next: u64,
}

impl IexBus {
    pub(crate) fn new(protocol: Protocol) -> IexBus {
        IexBus::with(config(protocol))
    }

    pub(crate) fn with(config: IexConfig) -> IexBus {
        let plan = Plan {
            lane: "test".into(),
            orders_slots: 1 << 10,
            market_slots: 1 << 16,
            instruments: 1 << 13,
            depth_bytes: 8 << 20,
        };
        let lane = LaneWriter::anonymous(&plan).expect("a lane");
        let segment = lane.reader();
        let reader = |name| segment.read_from(name, 0, Rejoin::Oldest);
        let (orders, market) = (reader(RingName::Orders), reader(RingName::Market));
        let feed = Iex::new(config, DenseIds::default()).expect("a valid config");
        IexBus { feed, lane, segment, orders, market, next: 1 }
    }

    /// Applies messages in batches, and returns what the market ring then shows.
    pub(crate) fn apply(&mut self, messages: &[Vec<u8>]) -> Vec<Got> {
        let (buf, places) = laid_out(messages, self.next);
        self.next += messages.len() as u64;
        self.apply_at(&buf, &places)
    }

    pub(crate) fn apply_at(&mut self, buf: &[u8], places: &[MessageAt]) -> Vec<Got> {
        for batch in places.chunks(Iex::<DenseIds>::BATCH) {
            self.feed.apply(buf, batch, stamps(), &mut self.lane);
        }
        self.drain()
    }

    /// What the market ring shows that was not looked at yet. The orders ring shows nothing.
    pub(crate) fn drain(&mut self) -> Vec<Got> {
        self.lane.publish_heads();
        assert!(matches!(self.orders.poll(), Polled::Empty), "no order has a name here");
        let mut records = Vec::new();
        loop {
            match self.market.poll() {
                Polled::Empty => return records,
                Polled::Record { n, words } => records.push(Got { n, words: words.to_vec() }),
                Polled::Lost(lost) => panic!("the test's rings are large enough: {lost:?}"),
            }
        }
    }

    pub(crate) fn row(&self, symbol: &[u8; 8]) -> RowImage {
        let mut image = RowImage::default();
        let row = self.feed.row_of(symbol).expect("a symbol that was named");
        self.segment.board().read(row, &mut image, || true).expect("a row");
        image
    }

    pub(crate) fn counter(&self, counter: LaneCounter) -> u64 {
        self.lane.counters.get(counter)
    }

    /// received = published + duplicates + rejected.
    pub(crate) fn assert_balance(&self) {
        use LaneCounter::{Duplicates, Published, Received, Rejected};
        let sum = [Published, Duplicates, Rejected].map(|counter| self.counter(counter)).iter().sum::<u64>();
        assert_eq!(self.counter(Received), sum);
    }

    pub(crate) fn stamps(&self) -> Stamps {
        stamps()
    }
}

/// Messages one behind the other, with their places.
pub(crate) fn laid_out(messages: &[Vec<u8>], first: u64) -> (Vec<u8>, Vec<MessageAt>) {
    let (mut buf, mut places) = (Vec::new(), Vec::new());
    for (message, sequence) in messages.iter().zip(first..) {
        places.push(MessageAt { sequence, at: buf.len() as u32, len: message.len() as u32 });
        buf.extend_from_slice(message);
    }
    (buf, places)
}

pub(crate) fn buy(symbol: [u8; 8], size: u32, price: i64, flags: u8) -> Vec<u8> {
    let (size, price) = (U32::new(size), I64::new(price));
    PriceLevelBuy { symbol, size, price, ..PriceLevelBuy::new(flags, TS) }.as_bytes().to_vec()
}

pub(crate) fn sell(symbol: [u8; 8], size: u32, price: i64, flags: u8) -> Vec<u8> {
    let (size, price) = (U32::new(size), I64::new(price));
    PriceLevelSell { symbol, size, price, ..PriceLevelSell::new(flags, TS) }.as_bytes().to_vec()
}

pub(crate) fn quote(symbol: [u8; 8], bid: (u32, i64), ask: (u32, i64)) -> Vec<u8> {
    let message = QuoteUpdate {
        symbol,
        bid_size: U32::new(bid.0),
        bid_price: I64::new(bid.1),
        ask_size: U32::new(ask.0),
        ask_price: I64::new(ask.1),
        ..QuoteUpdate::new(0, TS)
    };
    message.as_bytes().to_vec()
}

pub(crate) fn trade(symbol: [u8; 8], size: u32, price: i64, id: u64, sale_flags: u8) -> Vec<u8> {
    let (size, price, trade_id) = (U32::new(size), I64::new(price), id.into());
    TradeReport { symbol, size, price, trade_id, ..TradeReport::new(sale_flags, TS) }.as_bytes().to_vec()
}
