//! A shard: one thread, on which one task owns the core, the lanes' cursors and every WebSocket. Next to it, on the
//! same thread, run accepting and HTTP.
//!
//! ```text
//! drain <= 4096 records a lane -> 32 sends -> what sockets say -> again   (a rolling pass: decisions.md 17)
//! ```
//! Everything the task does is bounded, and every 200 us it gives way to the thread's other tasks.

pub(crate) mod clock;
pub(crate) mod hops;
pub(crate) mod inbox;
pub(crate) mod lane;
pub(crate) mod poller;
pub(crate) mod sockets;
pub(crate) mod stage;
pub(crate) mod thread;
mod traffic;
pub(crate) mod waiter;

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use gateway_core::native::Native;
use gateway_core::shard::{ConnectionId, DialectId, Now, Shard};
use shm_abi::layout::is_lane_name;
use shm_abi::segment::segment_file;

use self::hops::Hop;
use self::inbox::Inbox;
use self::lane::{Drained, LaneReader};
use self::poller::{Poller, Ready};
use self::sockets::Sockets;
use self::stage::{Stage, Stages};
use crate::app::{RecentTrades, TradesRequest};
use crate::config::{LANES_MAX, Plan, Wait};
use crate::journal::desk::Desk;
use crate::journal::pool::Pool;
use crate::report::{Report, ShardReport};
use crate::ws::connection::close_code;
use crate::ws::echo::Silence;
use crate::ws::linger::Lingering;

/// Sends between two looks at the rings.
const SENDS_PER_PASS: usize = 32;
/// Sends for which the clocks are read once.
const SENDS_PER_CLOCK: usize = 8;
/// Longest time for which the thread's other tasks wait, ns.
const YIELD_NS: u64 = 200_000;
/// Time between two looks at what is due by time, ns.
const TICK_NS: u64 = 20_000_000;
/// Time between two looks for lanes that are not configured, ns.
const SCAN_NS: u64 = 250_000_000;
/// Time between two reports, ns.
const REPORT_NS: u64 = 1_000_000_000;
/// Bytes read from one connection before others get their turn.
const READ_BYTES: usize = 64 << 10;
/// Sends that a connection gets at once before its Close.
const LAST_SENDS: usize = 32;
/// Connections of which more is read in one pass, when they had more to say than was read at once.
const READS_PER_PASS: usize = 32;
/// Questions answered in one pass.
const QUESTIONS_PER_PASS: usize = 8;
/// Sockets taken in one pass.
const SOCKETS_PER_PASS: usize = 64;

/// What the program calls itself in `hello`.
const SERVER: &str = concat!("ticklane-gateway ", env!("CARGO_PKG_VERSION"));

const NATIVE: DialectId = DialectId(0);
const ECHO: DialectId = DialectId(1);

/// What a client is told at the end.
const FAREWELL: &str = "shutting down: reconnect";

/// The task.
#[derive(Debug)]
struct ShardTask {
    index: usize,
    core: Shard,
    lanes: Vec<LaneReader>,
    sockets: Sockets,
    /// Connections that had more to say than was read at once.
    unread: VecDeque<ConnectionId>,
    poller: Poller,
    inbox: Inbox,
    /// `None`: there is no journal.
    desk: Option<Desk>,
    stages: Stages,
    lingering: Lingering,
    report: Arc<Report>,
    stop: Arc<AtomicBool>,
    runtime_dir: PathBuf,
    /// Looks for lanes by itself.
    scans: bool,
    sleeps: bool,
    message_bytes: usize,
    echo_message_bytes: usize,
    queued_bytes: usize,
    drain_ns: u64,
    /// Since when it is stopping, and until when it may.
    leave_by_ns: Option<u64>,
    scratch: Box<[u8]>,
    replies: Vec<u8>,
    ready: Vec<Ready>,
    dead: Vec<ConnectionId>,
    pass: Hop,
    state_age: Hop,
    last_record_ns: u64,
    last_pass_ns: u64,
    tick_at_ns: u64,
    scan_at_ns: u64,
    report_at_ns: u64,
}

impl ShardTask {
    /// Must be called on the shard's runtime.
    fn new(
        index: usize,
        plan: &Plan,
        wait: Wait,
        inbox: Inbox,
        report: Arc<Report>,
        stop: Arc<AtomicBool>,
        pool: Option<Pool>,
    ) -> io::Result<ShardTask> {
        let mut poller = Poller::new()?;
        poller.watch_bell(inbox.bell())?;
        let mut core = Shard::new(plan.limits, vec![Box::new(Native::new(SERVER, &plan.limits)), Box::new(Silence)])
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let desk = pool.zip(plan.journal.dir.clone());
        let desk = desk.map(|(pool, dir)| Desk::new(pool, dir, &plan.journal, inbox.clone()));
        if desk.is_some() {
            core.use_journal();
        }
        let mut task = ShardTask {
            index,
            core,
            lanes: Vec::new(),
            sockets: Sockets::default(),
            unread: VecDeque::new(),
            poller,
            inbox,
            desk,
            stages: Stages::new(&plan.gateway, wait),
            lingering: Lingering::default(),
            report,
            stop,
            runtime_dir: plan.gateway.runtime_dir.clone(),
            scans: plan.gateway.lanes.is_empty(),
            sleeps: wait != Wait::Spin,
            message_bytes: plan.limits.message_bytes as usize,
            echo_message_bytes: plan.gateway.echo_message_bytes as usize,
            queued_bytes: plan.limits.queued_bytes as usize,
            drain_ns: u64::from(plan.gateway.drain_ms) * 1_000_000,
            leave_by_ns: None,
            scratch: vec![0; READ_BYTES].into(),
            replies: Vec::new(),
            ready: Vec::new(),
            dead: Vec::new(),
            pass: Hop::new(),
            state_age: Hop::new(),
            last_record_ns: 0,
            last_pass_ns: 0,
            tick_at_ns: 0,
            scan_at_ns: 0,
            report_at_ns: 0,
        };
        for lane in &plan.gateway.lanes {
            task.add_lane(lane);
        }
        Ok(task)
    }

    /// Runs until the program stops and everybody was told, or the time for that is over.
    async fn run(mut self) {
        let mut gave_way_ns = 0;
        loop {
            let now = clock::now();
            if now.mono_ns >= self.tick_at_ns {
                self.tick(now);
            }
            let Drained { records, pressed } = self.drain(now);
            let sends = self.send(pressed);
            let hears = self.hear();
            let replays = self.replay(now);
            if self.is_over(now) {
                break;
            }
            if records > 0 {
                self.last_record_ns = now.mono_ns;
            }
            if records + sends > 0 && self.last_pass_ns > 0 {
                self.pass.take(now.mono_ns - self.last_pass_ns);
            }
            self.last_pass_ns = now.mono_ns;
            let is_busy = records > 0 || hears || replays || self.core.has_dirty();
            let stage = if is_busy { Stage::Spin } else { self.stages.after(now.mono_ns - self.last_record_ns) };
            if stage == Stage::Spin {
                if now.mono_ns - gave_way_ns >= YIELD_NS {
                    tokio::task::yield_now().await;
                    gave_way_ns = clock::now().mono_ns;
                }
                continue;
            }
            self.pause(stage, now).await;
            gave_way_ns = clock::now().mono_ns;
            // What was slept is no pass.
            self.last_pass_ns = 0;
        }
        self.inbox.stop();
    }

    async fn pause(&mut self, stage: Stage, now: Now) {
        let to_tick = Duration::from_nanos(self.tick_at_ns.saturating_sub(now.mono_ns));
        match stage {
            Stage::Spin => {}
            Stage::Nap(nap) => self.poller.wait(nap.min(to_tick)).await,
            Stage::Sleep => {
                self.lanes.iter_mut().for_each(LaneReader::arm);
                self.poller.wait(to_tick).await;
            }
        }
    }

    /// Hands clients what was read of the journal for them, and asks for more. Returns whether there may be more to do.
    fn replay(&mut self, now: Now) -> bool {
        let Some(desk) = &mut self.desk else { return false };
        let done = self.core.has_replays() && self.core.replay(now);
        while let Some(want) = self.core.next_want() {
            desk.take(want);
        }
        done
    }

    fn drain(&mut self, now: Now) -> Drained {
        let mut all = Drained::default();
        for lane in &mut self.lanes {
            let Drained { records, pressed } = lane.drain(&mut self.core, now);
            all = Drained { records: all.records + records, pressed: all.pressed | pressed };
        }
        all
    }

    /// What is due by time.
    fn tick(&mut self, now: Now) {
        self.tick_at_ns = now.mono_ns + TICK_NS;
        if self.scans && now.mono_ns >= self.scan_at_ns {
            self.scan_at_ns = now.mono_ns + SCAN_NS;
            self.find_lanes();
        }
        for lane in &mut self.lanes {
            lane.tick(&mut self.core, now);
        }
        self.core.tick(now, &mut self.dead);
        while let Some(id) = self.dead.pop() {
            self.part(id);
        }
        if self.leave_by_ns.is_none() && self.stop.load(Relaxed) {
            self.leave_by_ns = Some(now.mono_ns + self.drain_ns);
            self.core.close_all(close_code::AWAY, FAREWELL, now);
        }
        if now.mono_ns >= self.report_at_ns {
            self.report_at_ns = now.mono_ns + REPORT_NS;
            self.tell(now);
        }
    }

    /// Whether the program stops and nothing is left to be sent, or the time for it is over.
    fn is_over(&self, now: Now) -> bool {
        let Some(leave_by_ns) = self.leave_by_ns else { return false };
        let is_empty = self.sockets.len() == 0
            && self.lingering.count() == 0
            && self.report.door.http_connections.load(Relaxed) == 0;
        is_empty || now.mono_ns >= leave_by_ns
    }

    fn add_lane(&mut self, name: &str) {
        let bell = self.sleeps.then(|| self.inbox.bell());
        self.lanes.push(LaneReader::new(&mut self.core, &self.runtime_dir, name, bell));
    }

    /// Takes up every lane that has a segment now and had none before.
    fn find_lanes(&mut self) {
        for name in lanes_in(&self.runtime_dir) {
            if self.lanes.len() < LANES_MAX && self.lanes.iter().all(|lane| lane.name() != name) {
                self.add_lane(&name);
            }
        }
    }

    fn tell(&mut self, now: Now) {
        let report = ShardReport {
            at_ns: now.real_ns,
            stats: self.core.stats(),
            lanes: self.lanes.iter_mut().map(|lane| lane.report(&self.core, now)).collect(),
            pass: self.pass.tell(now.mono_ns),
            state_age: self.state_age.tell(now.mono_ns),
        };
        self.report.publish(self.index, report);
    }

    fn answer(&self, question: TradesRequest) {
        let lane = self.lanes.iter().find(|lane| lane.name() == question.lane);
        let trades = lane.map(|lane| RecentTrades {
            epoch: self.core.lane_facts(lane.id()).epoch,
            trades: self.core.recent_trades(lane.id(), question.instrument_id, question.max),
        });
        // Whoever asked may have gone.
        let _ = question.reply.send(trades);
    }
}

/// Names of the lanes that have a segment in a directory, sorted. None if it is not there yet.
fn lanes_in(runtime_dir: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(runtime_dir) else { return Vec::new() };
    let files = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let suffix = segment_file("");
    let mut lanes: Vec<String> =
        files.filter_map(|file| file.strip_suffix(&suffix).filter(|lane| is_lane_name(lane)).map(Into::into)).collect();
    lanes.sort_unstable();
    lanes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_segments_are_taken_for_lanes() {
        let dir = tempfile::tempdir().unwrap();
        for file in ["b.seg", "a.seg", "a.lock", "a.wake", "Not A Lane.seg", ".seg", "c.seg.tmp", "d"] {
            std::fs::write(dir.path().join(file), "").unwrap();
        }
        assert_eq!(lanes_in(dir.path()), ["a", "b"]);
        assert!(lanes_in(&dir.path().join("none")).is_empty());
    }
}
