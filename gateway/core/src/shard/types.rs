//! What a shard's caller names, gives and gets.

use std::io::{self, IoSlice};

/// One lane of a shard, in the order in which they were added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LaneId(pub u16);

/// A dialect of a shard: its place in what [`Shard::new`](super::Shard::new) was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DialectId(pub u8);

/// A connection. Never used again, also when its place in the slab is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ConnectionId {
    /// Place in the slab: use it for the caller's own table.
    pub index: u32,
    /// Which of those that had this place.
    pub generation: u32,
}

impl ConnectionId {
    /// As one word, for a poller's user data.
    pub const fn to_bits(self) -> u64 {
        (self.generation as u64) << 32 | self.index as u64
    }
    /// From [`ConnectionId::to_bits`].
    pub const fn from_bits(bits: u64) -> ConnectionId {
        ConnectionId { index: bits as u32, generation: (bits >> 32) as u32 }
    }
}

/// The two clocks, as the caller read them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Now {
    /// CLOCK_MONOTONIC, ns: intervals.
    pub mono_ns: u64,
    /// CLOCK_REALTIME, ns since the UNIX epoch: stamps.
    pub real_ns: u64,
}

/// Where bytes go.
pub trait Sink {
    /// Takes some of the bytes, in order, and says how many: one vectored send.
    ///
    /// # Errors
    /// `WouldBlock`: none now, [`Shard::writable`](super::Shard::writable) will be called; `Interrupted`: none, but at
    /// once again; anything else: the connection is gone.
    fn send(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize>;
}

/// How a flush ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flush {
    /// Nothing is left that can be sent now.
    Clean,
    /// Something is left, and the connection stands in the queue again.
    More,
    /// The kernel takes no more: wait for [`Shard::writable`](super::Shard::writable).
    Blocked,
    /// Everything that was to be said is said, or it cannot be: close the socket and call
    /// [`Shard::remove`](super::Shard::remove).
    Finished,
}

/// What a flush did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flushed {
    /// How it ended.
    pub flush: Flush,
    /// Bytes taken by the sink.
    pub bytes: usize,
    /// Frames that are out, whole or begun.
    pub frames: u32,
    /// `ts_gateway` of the newest event among them; 0: none was an event.
    pub newest_ns: u64,
}

/// Public numbers of a shard. All but the last five only rise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Records read.
    pub records: u64,
    /// Frames encoded into the frame ring.
    pub encoded: u64,
    /// Frames handed to sockets, whole or begun.
    pub frames: u64,
    /// Calls of a sink.
    pub sends: u64,
    /// Bytes taken by sinks.
    pub bytes: u64,
    /// Sends that the kernel cut or refused.
    pub blocked: u64,
    /// Times that a connection fell behind its bound.
    pub conflations: u64,
    /// Events that reached a client merged into another, or as a gap.
    pub merged: u64,
    /// Connections closed for being too slow.
    pub slow_closes: u64,
    /// Connections closed for a flood.
    pub flood_closes: u64,
    /// Commands carried out.
    pub commands: u64,
    /// Messages that were not understood.
    pub refusals: u64,
    /// Snapshots sent.
    pub snapshots: u64,
    /// Times that the ring lapped this shard, or held something unreadable.
    pub laps: u64,
    /// Records about instruments whose id is beyond what a shard keeps.
    pub ignored: u64,
    /// Resumes that were begun from the journal.
    pub replays: u64,
    /// Events told from journal or ring to those who resume from the journal.
    pub replayed: u64,
    /// Bytes of their frames.
    pub replayed_bytes: u64,
    /// Resumes that were refused, each told its client why.
    pub resume_refusals: u64,
    /// Resumes that read the journal now.
    pub replaying: u64,
    /// Connections.
    pub connections: u64,
    /// Subscriptions.
    pub subscriptions: u64,
    /// Topics with subscribers.
    pub topics: u64,
    /// Bytes that wait outside the frame ring.
    pub queued_bytes: u64,
}
