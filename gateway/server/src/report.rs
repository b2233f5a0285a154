//! What the shards tell about themselves, once a second: read by REST, metrics and the page, never by a shard.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use gateway_core::dialect::LaneState;
use gateway_core::shard::Stats;

/// The whole program's report. One slot a shard, replaced as a whole.
#[derive(Debug)]
pub(crate) struct Report {
    shards: Vec<Mutex<Arc<ShardReport>>>,
    /// CLOCK_REALTIME when the program began, ns since the UNIX epoch.
    pub(crate) started_ns: u64,
    /// Set once the program has been told to stop: not ready any more.
    pub(crate) draining: AtomicBool,
    /// What happened at the door.
    pub(crate) door: Door,
}

/// What happened at the door, over all shards. All but `http_connections` only rise.
#[derive(Debug, Default)]
pub(crate) struct Door {
    /// Connections accepted.
    pub(crate) accepted: AtomicU64,
    /// HTTP connections that are open now; WebSocket connections are counted by [`Stats::connections`].
    pub(crate) http_connections: AtomicU64,
    /// Refused with 503 because the program or a shard holds as many as it may.
    pub(crate) refused_full: AtomicU64,
    /// Refused with 503 because their address holds as many as it may.
    pub(crate) refused_address: AtomicU64,
    /// `accept` failed: mostly for want of file descriptors.
    pub(crate) accept_errors: AtomicU64,
    /// WebSocket handshakes that succeeded.
    pub(crate) handshakes: AtomicU64,
    /// WebSocket handshakes that were refused.
    pub(crate) handshake_refusals: AtomicU64,
}

/// What one shard tells.
#[derive(Debug, Clone, Default)]
pub(crate) struct ShardReport {
    /// CLOCK_REALTIME of this report, ns since the UNIX epoch; 0: the shard has not reported yet.
    pub(crate) at_ns: u64,
    /// The core's public numbers.
    pub(crate) stats: Stats,
    /// The lanes, in the order in which they were found.
    pub(crate) lanes: Vec<LaneReport>,
    /// From one drain of the rings to the next, ns: the rolling pass.
    pub(crate) pass: Percentiles,
    /// Hop `gateway read -> socket write`, ns, of the newest event in each send: the age of the state that was sent.
    pub(crate) state_age: Percentiles,
}

/// What one shard knows of one lane.
#[derive(Debug, Clone)]
pub(crate) struct LaneReport {
    /// Lane name.
    pub(crate) name: String,
    /// What its writer is doing.
    pub(crate) state: LaneState,
    /// Epoch of the sequence that is being read; `None` while absent.
    pub(crate) epoch: Option<u64>,
    /// Number bound to (lane, epoch); 0 while absent.
    pub(crate) stream: u32,
    /// Number of the next record that the shard will read.
    pub(crate) cursor: u64,
    /// Number of the next record that the engine will write.
    pub(crate) head: u64,
    /// Slots between the two.
    pub(crate) lag: u64,
    /// Since the engine's last sign of life; `None` while absent.
    pub(crate) heartbeat_age_ms: Option<u64>,
    /// Why the lane cannot be attached, when it is there but cannot be read; empty otherwise.
    pub(crate) obstacle: String,
    /// Times that a segment of another layout version was met.
    pub(crate) version_mismatches: u64,
    /// Where an event's time went before it reached a socket.
    pub(crate) hops: Hops,
}

/// Hop percentiles of one lane's events, ns. The last hop, to the socket, is [`ShardReport::state_age`].
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Hops {
    /// `ts_event` to `ts_recv`: two hosts' clocks.
    pub(crate) venue_to_receive: Percentiles,
    /// `ts_recv` to `ts_publish`.
    pub(crate) receive_to_publish: Percentiles,
    /// `ts_publish` to `ts_gateway`.
    pub(crate) publish_to_gateway: Percentiles,
}

/// Percentiles of the last 10 to 20 seconds, ns. All 0 while `count` is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Percentiles {
    /// Samples in those seconds.
    pub(crate) count: u64,
    /// Samples since the program began.
    pub(crate) total: u64,
    /// Samples since the program began that were below zero, and taken as zero: clocks that disagree.
    pub(crate) negative: u64,
    /// Samples since the program began that were left out, because no clocks disagree by so much: replayed days.
    pub(crate) implausible: u64,
    /// Median.
    pub(crate) p50_ns: u64,
    /// 90 %.
    pub(crate) p90_ns: u64,
    /// 99 %.
    pub(crate) p99_ns: u64,
    /// 99.9 %.
    pub(crate) p99_9_ns: u64,
    /// Worst.
    pub(crate) max_ns: u64,
}

impl Report {
    /// An empty report of so many shards.
    pub(crate) fn new(shards: usize, started_ns: u64) -> Report {
        Report {
            shards: (0..shards).map(|_| Mutex::default()).collect(),
            started_ns,
            draining: AtomicBool::new(false),
            door: Door::default(),
        }
    }

    /// What every shard told last.
    pub(crate) fn shards(&self) -> Vec<Arc<ShardReport>> {
        self.shards.iter().map(|slot| Arc::clone(&slot.lock().unwrap_or_else(PoisonError::into_inner))).collect()
    }

    /// Replaces a shard's report.
    pub(crate) fn publish(&self, shard: usize, report: ShardReport) {
        *self.shards[shard].lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(report);
    }

    /// Whether the program has been told to stop.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_replaced_as_a_whole() {
        let report = Report::new(2, 7);
        report.publish(1, ShardReport { at_ns: 5, ..ShardReport::default() });
        let shards = report.shards();
        assert_eq!((shards[0].at_ns, shards[1].at_ns), (0, 5));
        assert!(!report.is_draining());
    }
}
