//! The writer's side of a lane in a temporary directory, for tests.

use std::time::{Duration, Instant};

use shm_abi::counters::{JournalCounter, LaneCounter};
use shm_abi::layout::{FeedState, Plan, State};
use shm_abi::record::{Head, flag, kind, side};
use shm_abi::segment::{Identity, LaneLock, LaneWriter};
use shm_abi::sys::{monotonic_ns, realtime_ns};
use ticklane_client::{Instrument, Lane};

const LANE: &str = "lane0";
/// Longest wait for a condition that must come.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct TestLane {
    pub(crate) dir: tempfile::TempDir,
    lock: Option<LaneLock>,
    pub(crate) writer: LaneWriter,
}

impl TestLane {
    pub(crate) fn new() -> TestLane {
        let dir = tempfile::tempdir().unwrap();
        let lock = LaneLock::take(dir.path(), LANE).unwrap();
        let writer = create(&lock, 0);
        TestLane { dir, lock: Some(lock), writer }
    }

    pub(crate) fn attach(&self) -> Lane {
        Lane::attach(self.dir.path(), LANE).unwrap()
    }

    /// Publishes changes of the bid of AAPL, 300 ns after they came.
    pub(crate) fn quotes(&mut self, count: u64) {
        self.quotes_of(7, count);
    }

    pub(crate) fn quotes_of(&mut self, instrument_id: u32, count: u64) {
        let now = realtime_ns();
        self.writer.heartbeat(monotonic_ns());
        for index in 0..count {
            let head = Head {
                kind: kind::QUOTE,
                flags: flag::LAST,
                span: 1,
                side_or_code: side::BID,
                instrument_id,
                ts_event: now - 1_000,
                ts_recv: now,
                publish_delay_ns: 300,
                venue_sequence_low: index as u32,
            };
            let [a, b, c, d] = head.words();
            self.writer.market.push(&[a, b, c, d, 100_000_000_000 + index, 5, 1]);
            self.writer.market.commit();
        }
        self.writer.publish_heads();
    }

    pub(crate) fn count_messages(&mut self, received: u64, published: u64, duplicates: u64, rejected: u64) {
        self.writer.counters.set(LaneCounter::Received, received);
        self.writer.counters.set(LaneCounter::Published, published);
        self.writer.counters.set(LaneCounter::Duplicates, duplicates);
        self.writer.counters.set(LaneCounter::Rejected, rejected);
    }

    /// As its recorder would.
    pub(crate) fn record(&mut self, counters: &[(JournalCounter, u64)]) {
        let mut writer = self.writer.journal_counters();
        counters.iter().for_each(|(counter, value)| writer.set_journal(*counter, *value));
    }

    pub(crate) fn silence(&mut self) {
        self.writer.heartbeat(monotonic_ns().saturating_sub(10_000_000_000));
    }

    pub(crate) fn restart(&mut self) {
        self.silence();
        drop(self.lock.take());
        let lock = LaneLock::take(self.dir.path(), LANE).unwrap();
        self.writer = create(&lock, self.writer.identity().epoch);
        self.lock = Some(lock);
    }

    pub(crate) fn poll_until(&self, mut holds: impl FnMut() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !holds() {
            assert!(Instant::now() < deadline, "the condition never came");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

fn create(lock: &LaneLock, old_epoch: u64) -> LaneWriter {
    let plan =
        Plan { lane: LANE.into(), orders_slots: 1024, market_slots: 1024, instruments: 16, depth_bytes: 16 * 1024 };
    let mut writer = lock.create(&plan, Identity::random(old_epoch).unwrap()).unwrap();
    writer.add_instrument(&Instrument::equity(7, b"AAPL", b"XNAS")).unwrap();
    let mut feed = writer.feed(0);
    feed.set_name("nasdaq");
    feed.set_state(FeedState::Live);
    feed.set_session(b"DEMO            ", 0, 0);
    feed.set_sequence(77);
    writer.set_state(State::Live);
    writer.heartbeat(monotonic_ns());
    writer
}
