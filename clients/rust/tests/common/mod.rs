//! The writer's side of a lane, in a temporary directory of the test's own.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use std::path::Path;
use std::time::{Duration, Instant};

use shm_abi::layout::{Plan, State};
use shm_abi::record::{Head, Restart, flag, kind, restart_body, restart_reason, side};
use shm_abi::ring::RingWriter;
use shm_abi::segment::{Identity, LaneLock, LaneWriter, MappedRing};
use shm_abi::sys::monotonic_ns;
use ticklane_client::{Event, Lane, Options, Reader, RestartReason, Restarted};

pub const SLOTS: u64 = 1024;
pub const LANE: &str = "lane0";
/// Longest wait for a condition that must come.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// What a test needs of an engine.
pub struct Engine {
    pub dir: tempfile::TempDir,
    pub writer: LaneWriter,
    pub lock: Option<LaneLock>,
}

pub fn plan() -> Plan {
    Plan {
        lane: LANE.into(),
        orders_slots: SLOTS as usize,
        market_slots: SLOTS as usize,
        instruments: 16,
        depth_bytes: 16 * 1024,
    }
}

/// Makes a segment, as an engine that starts does.
pub fn create(lock: &LaneLock, old_epoch: u64) -> LaneWriter {
    let mut writer = lock.create(&plan(), Identity::random(old_epoch).unwrap()).unwrap();
    writer.set_state(State::Live);
    writer
}

impl Engine {
    pub fn start() -> Engine {
        let dir = tempfile::tempdir().unwrap();
        let lock = LaneLock::take(dir.path(), LANE).unwrap();
        let writer = create(&lock, 0);
        Engine { dir, writer, lock: Some(lock) }
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn attach(&self) -> Lane {
        Lane::attach(self.path(), LANE).unwrap()
    }

    pub fn reader(&self, options: Options) -> Reader {
        self.attach().orders(options).unwrap()
    }

    pub fn epoch(&self) -> u64 {
        self.writer.identity().epoch
    }

    /// Publishes one order per id, each an event of its own.
    pub fn orders(&mut self, ids: impl IntoIterator<Item = u64>) {
        for id in ids {
            push_order(&mut self.writer.orders, kind::ADD, 1, id, 100, 10);
        }
        self.writer.publish_heads();
    }

    /// The engine dies and another takes its place. Its first record is a restart, as decisions.md 5 asks.
    pub fn restart(&mut self, reason: u64) -> Restarted {
        let (old_epoch, old_end) = (self.epoch(), self.writer.orders.next_number());
        self.silence();
        drop(self.lock.take());
        let lock = LaneLock::take(self.path(), LANE).unwrap();
        let named = if reason == restart_reason::UNKNOWN { 0 } else { old_epoch };
        self.writer = create(&lock, named);
        self.lock = Some(lock);
        let restart = Restart { old_epoch: named, old_end, session: *b"DEMO            ", venue_sequence: 7, reason };
        push_restart(&mut self.writer.orders, &restart);
        self.writer.publish_heads();
        Restarted {
            old_epoch,
            new_epoch: self.epoch(),
            drained_to: old_end,
            old_end: (named != 0).then_some(old_end),
            reason: RestartReason::from_code(reason),
        }
    }

    /// Sets the heartbeat so far back that the writer counts as silent.
    pub fn silence(&mut self) {
        self.writer.heartbeat(monotonic_ns().saturating_sub(10_000_000_000));
    }

    pub fn beat(&mut self) {
        self.writer.heartbeat(monotonic_ns());
    }
}

pub fn head(kind: u8, side_or_code: u8, instrument_id: u32) -> Head {
    Head {
        kind,
        flags: flag::LAST,
        span: 1,
        side_or_code,
        instrument_id,
        ts_event: 1_000,
        ts_recv: 2_000,
        publish_delay_ns: 300,
        venue_sequence_low: 1,
    }
}

pub fn push(ring: &mut RingWriter<MappedRing>, head: Head, body: [u64; 3]) -> u64 {
    let [w0, w1, w2, w3] = head.words();
    let n = ring.push(&[w0, w1, w2, w3, body[0], body[1], body[2]]);
    ring.commit();
    n
}

pub fn push_order(
    ring: &mut RingWriter<MappedRing>,
    kind: u8,
    instrument: u32,
    id: u64,
    price: i64,
    quantity: u64,
) -> u64 {
    push(ring, head(kind, side::BID, instrument), [id, price as u64, quantity])
}

pub fn push_restart(ring: &mut RingWriter<MappedRing>, restart: &Restart) {
    let head = head(kind::RESTART, 0, shm_abi::record::INSTRUMENT_NONE);
    let words: Vec<u64> = head.words().into_iter().chain(restart_body(restart)).collect();
    ring.push_span(&words);
    ring.commit();
}

/// An event in a word or two, to compare sequences of them.
pub fn brief(event: &Event<'_>) -> String {
    match event {
        Event::Record(record) => format!("{}{}", record.head.kind as char, record.n),
        Event::Lost(lost) => format!("lost {}..{}", lost.first, lost.last),
        Event::Restarted(restarted) => format!("restarted at {}", restarted.drained_to),
        Event::WriterSilent => "silent".into(),
        Event::WriterBack => "back".into(),
        Event::Closed => "closed".into(),
    }
}

/// Events until one is `last`, that one included.
pub fn until(reader: &mut Reader, last: &str) -> Vec<String> {
    let deadline = Instant::now() + PATIENCE;
    let mut seen = Vec::new();
    while seen.last().map(String::as_str) != Some(last) {
        assert!(Instant::now() < deadline, "no `{last}` after {seen:?}");
        if let Some(event) = reader.next_within(Duration::from_millis(50)).unwrap() {
            seen.push(brief(&event));
        }
    }
    seen
}

/// Every event that is there now.
pub fn drain(reader: &mut Reader) -> Vec<String> {
    let mut seen = Vec::new();
    while let Some(event) = reader.try_next().unwrap() {
        seen.push(brief(&event));
    }
    seen
}
