//! Messages of one read on their way to the book.

use shm_abi::record::flag;

use super::Output;
use crate::{BATCH, InstrumentIds, MessageAt, Stamps};

/// Gathers messages into batches: enough of them for the book's look-ahead, few enough to stay in the first-level cache.
#[derive(Debug)]
pub(super) struct Burst {
    batch: [MessageAt; BATCH],
    len: usize,
    total: u64,
    pub(super) duplicates: u64,
    ts_recv: u64,
    flags: u8,
}

impl Burst {
    /// An empty burst of a read stamped `stamp_ns` by the kernel; without such a stamp, `now_ns` is the time of receipt.
    pub(super) fn new(stamp_ns: Option<u64>, now_ns: u64) -> Burst {
        Burst {
            batch: [MessageAt { sequence: 0, at: 0, len: 0 }; BATCH],
            len: 0,
            total: 0,
            duplicates: 0,
            ts_recv: stamp_ns.unwrap_or(now_ns),
            flags: if stamp_ns.is_some() { 0 } else { flag::RECV_USER },
        }
    }

    /// Time of receipt, ns since the UNIX epoch.
    pub(super) fn ts_recv(&self) -> u64 {
        self.ts_recv
    }

    pub(super) fn push(&mut self, message: MessageAt) {
        self.batch[self.len] = message;
        self.len += 1;
        self.total += 1;
    }

    pub(super) fn is_full(&self) -> bool {
        self.len == BATCH
    }

    pub(super) fn stamps(&self, ts_publish: u64) -> Stamps {
        let coalesced = if self.total > 1 { flag::RECV_COALESCED } else { 0 };
        Stamps { ts_recv: self.ts_recv, ts_publish, flags: self.flags | coalesced }
    }

    /// Hands what is gathered to the book.
    pub(super) fn flush<I: InstrumentIds>(&mut self, bytes: &[u8], realtime: impl Fn() -> u64, out: &mut Output<I>) {
        if self.len > 0 {
            out.apply(bytes, &self.batch[..self.len], self.stamps(realtime()));
            self.len = 0;
        }
    }

    /// Counts it. Returns how many sequenced packets it brought.
    pub(super) fn finish<I: InstrumentIds>(&self, out: &mut Output<I>) -> u64 {
        if self.duplicates > 0 {
            out.normaliser.duplicate(&mut out.writer, self.duplicates);
        }
        if self.total > 0 {
            out.count_burst(self.total);
        }
        self.total + self.duplicates
    }
}
