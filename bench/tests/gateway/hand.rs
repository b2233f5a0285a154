//! A lane in the test's own hands: what an engine would do with each message, one message at a time.

use std::path::Path;

use market::book::BookLimits;
use market::itch::{Itch, ItchConfig};
use market::{DenseIds, MessageAt, Stamps};
use shm_abi::board::RowImage;
use shm_abi::layout::{Plan, State};
use shm_abi::record::{Record, kind};
use shm_abi::ring::{Polled, Rejoin, RingReader};
use shm_abi::segment::{Identity, LaneLock, LaneWriter, MappedRing, RingName, Segment};
use shm_abi::sys::{monotonic_ns, realtime_ns};

/// One record of the market ring, as a strategy reads it.
#[derive(Debug, Clone)]
pub struct Seen {
    pub n: u64,
    pub words: Vec<u64>,
}

impl Seen {
    pub fn record(&self) -> Record<'_> {
        Record::new(self.n, &self.words).unwrap()
    }
    pub fn is_trade(&self) -> bool {
        matches!(self.record().head.kind, kind::TRADE | kind::TRADE_BREAK)
    }
}

pub struct Hand {
    nasdaq: Itch<DenseIds>,
    pub lane: LaneWriter,
    pub segment: Segment,
    strategy: RingReader<MappedRing>,
    sequence: u64,
    _lock: LaneLock,
}

impl Hand {
    /// Takes the lane and makes it live.
    pub fn new(runtime_dir: &Path) -> Hand {
        let lock = LaneLock::take(runtime_dir, "lane0").unwrap();
        let plan = Plan {
            lane: "lane0".into(),
            orders_slots: 1 << 16,
            market_slots: 1 << 17,
            instruments: 2048,
            depth_bytes: 4 << 20,
        };
        let mut lane = lock.create(&plan, Identity::random(0).unwrap()).unwrap();
        let limits = BookLimits { max_orders: 1 << 16, max_levels: 1 << 15, instruments: 1 << 16 };
        let config = ItchConfig { midnight_ns: 1_580_360_400_000_000_000, limits, ..ItchConfig::default() };
        let nasdaq = Itch::new(config, DenseIds::default()).unwrap();
        let segment = lane.reader();
        let strategy = segment.read_from(RingName::Market, 0, Rejoin::Oldest);
        lane.set_state(State::Live);
        let mut hand = Hand { nasdaq, lane, segment, strategy, sequence: 0, _lock: lock };
        hand.beat();
        hand
    }

    /// Shows life.
    pub fn beat(&mut self) {
        self.lane.heartbeat(monotonic_ns());
    }

    /// Applies one message, and returns what a strategy then reads.
    pub fn apply(&mut self, message: &[u8]) -> Vec<Seen> {
        self.sequence += 1;
        let batch = [MessageAt { sequence: self.sequence, at: 0, len: message.len() as u32 }];
        let now = realtime_ns();
        let stamps = Stamps { ts_recv: now, ts_publish: now, flags: 0 };
        self.nasdaq.apply(message, &batch, stamps, &mut self.lane);
        self.lane.publish_heads();
        self.beat();
        let mut seen = Vec::new();
        loop {
            match self.strategy.poll() {
                Polled::Empty => return seen,
                Polled::Record { n, words } => seen.push(Seen { n, words: words.to_vec() }),
                Polled::Lost(lost) => panic!("the ring is large enough: {lost:?}"),
            }
        }
    }

    /// Instruments so far.
    pub fn instruments(&self) -> usize {
        self.segment.directory().count()
    }

    pub fn symbol(&self, row: usize) -> String {
        self.segment.directory().get(row).unwrap().symbol.to_string()
    }

    pub fn row(&self, row: usize) -> RowImage {
        let mut image = RowImage::default();
        self.segment.board().read(row, &mut image, || true).unwrap();
        image
    }
}
