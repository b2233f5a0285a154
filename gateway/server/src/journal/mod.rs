//! The recorded bus, for clients that were away and for questions about a time: read by a few threads of its own, never by
//! a shard's.
//!
//! | module | job |
//! |---|---|
//! | [`pool`] | the threads, and what waits for them |
//! | [`names`] | which instrument of a file is one that is wanted |
//! | [`past`] | what quotes were before a reading begins |
//! | [`scan`] | one reading of a lane's journal, batch by batch |
//! | [`desk`] | a shard's readings: what its core wants, and what it gets |
//!
//! A reading holds no thread while its client has no room: it gives one batch, and is put aside until the next is asked
//! for. The lane's engine is never asked for anything, and may be gone.

pub(crate) mod desk;
mod names;
mod past;
pub(crate) mod pool;
pub(crate) mod scan;
#[cfg(test)]
pub(crate) mod tests;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// `[journal]` of `gateway.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct JournalConfig {
    /// Holds a folder for each lane, as the engine's `[journal] dir`; absent: no journal is read.
    pub(crate) dir: Option<PathBuf>,
    /// Threads that read it.
    pub(crate) threads: u32,
    /// Requests that may wait for a thread; more are refused as busy.
    pub(crate) waiting: u32,
    /// Events that a shard is handed at a time.
    pub(crate) batch_events: u32,
    /// Records looked at before another request gets its turn.
    pub(crate) slice_records: u32,
    /// Records that one REST request may look at; its answer then says where to go on.
    pub(crate) request_records: u32,
    /// Numbers before a client's `from` that are read to learn what its quotes were; a day that began before them is told
    /// as not known.
    pub(crate) lookback_numbers: u32,
}

impl Default for JournalConfig {
    fn default() -> Self {
        JournalConfig {
            dir: None,
            threads: 2,
            waiting: 256,
            batch_events: 256,
            slice_records: 1 << 16,
            request_records: 1 << 21,
            lookback_numbers: 1 << 25,
        }
    }
}

impl JournalConfig {
    /// Name, value and range of every limit.
    pub(crate) fn limits(&self) -> [(&'static str, u32, u32, u32); 6] {
        [
            ("journal.threads", self.threads, 1, 64),
            ("journal.waiting", self.waiting, 1, 1 << 16),
            ("journal.batch_events", self.batch_events, 1, 1 << 16),
            ("journal.slice_records", self.slice_records, 256, 1 << 24),
            ("journal.request_records", self.request_records, 256, 1 << 30),
            ("journal.lookback_numbers", self.lookback_numbers, 1, u32::MAX),
        ]
    }
}
