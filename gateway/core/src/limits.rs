//! Every bound of the core. The names are those of `[limits]` in `gateway.toml`.

use serde::{Deserialize, Serialize};

/// `[limits]`: what one connection, and one shard, may hold. Every default is safe to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Connections of one shard.
    pub connections: u32,
    /// Subscriptions of one connection.
    pub subscriptions: u32,
    /// Symbols of one command.
    pub symbols: u32,
    /// Bytes of one message from a client; more: closed with 1009.
    pub message_bytes: u32,
    /// Commands a second that a connection may send, on average; more: closed with 1008.
    pub commands_per_second: u32,
    /// Commands that it may send at once.
    pub commands_burst: u32,
    /// Bytes a second that a connection may send, on average, whatever they are; more: closed with 1008.
    pub bytes_per_second: u32,
    /// Bytes that it may send at once.
    pub bytes_burst: u32,
    /// Frames that a connection may lag before it is conflated: 1 to 64.
    pub pending_frames: u32,
    /// Bytes of answers and cut frames that wait for one connection; more: closed with 4408.
    pub queued_bytes: u32,
    /// Bytes of snapshots that one send of a connection may add.
    pub snapshot_bytes: u32,
    /// Bytes of the shard's frame ring; a power of two.
    pub frame_ring_bytes: u32,
    /// Frames of the shard's frame ring; a power of two.
    pub frame_ring_frames: u32,
    /// Trades of each lane that are kept for snapshots and REST; a power of two.
    pub trades: u32,
    /// Trades in one snapshot.
    pub snapshot_trades: u32,
    /// Slots of the ring that one resume may read; older cursors are read from the journal, or are too old.
    pub resume_slots: u32,
    /// Resumes of one shard that read the journal at a time; more are refused as busy.
    pub replays: u32,
    /// How long a resume waits for the journal to record what the ring no longer holds, before it is refused.
    pub replay_wait_ms: u32,
    /// No byte taken for so long while something waits: closed with 4408.
    pub stalled_ms: u32,
    /// Time between two pings of a connection that gets nothing else.
    pub ping_interval_ms: u32,
    /// Pings unanswered after which a connection is given up.
    pub pings_missed: u32,
    /// Time between two pings behind data, by whose pongs the age of a reader's data is known. It doubles with every
    /// pong that comes promptly.
    pub pong_clock_interval_ms: u32,
    /// Longest time that it becomes; below the interval: it stays what it is.
    pub pong_clock_interval_max_ms: u32,
    /// A pong later than this, or than four times the fastest: only newest state until it comes. 0: off.
    pub pong_clock_limit_ms: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            connections: 16_384,
            subscriptions: 1_000,
            symbols: 500,
            message_bytes: 64 << 10,
            commands_per_second: 20,
            commands_burst: 100,
            bytes_per_second: 256 << 10,
            bytes_burst: 1 << 20,
            pending_frames: 64,
            queued_bytes: 1 << 20,
            snapshot_bytes: 64 << 10,
            frame_ring_bytes: 8 << 20,
            frame_ring_frames: 1 << 15,
            trades: 1 << 16,
            snapshot_trades: 50,
            resume_slots: 1 << 18,
            replays: 64,
            replay_wait_ms: 5_000,
            stalled_ms: 30_000,
            ping_interval_ms: 20_000,
            pings_missed: 2,
            pong_clock_interval_ms: 200,
            pong_clock_interval_max_ms: 1_000,
            pong_clock_limit_ms: 100,
        }
    }
}

/// Why a set of limits cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("limits.{field} = {value}: expected {expected}")]
pub struct LimitError {
    /// Name in `[limits]`.
    pub field: &'static str,
    /// What was given.
    pub value: u32,
    /// What would do.
    pub expected: &'static str,
}
