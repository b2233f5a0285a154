//! What every normaliser takes from its owner: places of messages, stamps, where to resume, depth classes, lasting ids.

use std::collections::HashMap;

pub use wire::{BATCH, MessageAt};

#[cfg(doc)]
use shm_abi::layout::DEPTH_CLASSES;
#[cfg(doc)]
use shm_abi::record::flag;

/// A mark record with the full venue sequence stands at every multiple of this.
pub const MARK_INTERVAL: u64 = 1 << 20;

/// When a batch was received and is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stamps {
    /// Socket time, ns since the UNIX epoch.
    pub ts_recv: u64,
    /// Ring time, ns since the UNIX epoch: one reading per batch.
    pub ts_publish: u64,
    /// [`RECV_USER`](flag::RECV_USER) and [`RECV_COALESCED`](flag::RECV_COALESCED), as they apply.
    pub flags: u8,
}

/// Where publishing resumes after a restart of the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Resume {
    /// Events up to this venue sequence stand in the orders ring of the epoch before.
    pub orders_after: u64,
    /// Events up to this venue sequence stand in the market ring of the epoch before.
    pub market_after: u64,
}

impl Resume {
    /// First number from `first` on of which the orders ring, and the market ring, may lack something. Events are
    /// finished in the orders ring first, so of the last one there the market ring may have nothing, but of none before.
    pub(crate) fn missing_from(&self, first: u64) -> [u64; 2] {
        let Resume { orders_after, market_after } = *self;
        let both = orders_after.max(market_after).saturating_add(1);
        let market = if orders_after > market_after { orders_after } else { both };
        [first.max(both), first.max(market)]
    }
}

/// Which depth class each instrument gets: one of [`DEPTH_CLASSES`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DepthPlan {
    /// Class of every instrument that is not named.
    pub default_class: u16,
    /// Class by symbol.
    pub by_symbol: HashMap<String, u16>,
}

impl Default for DepthPlan {
    fn default() -> Self {
        DepthPlan { default_class: 10, by_symbol: HashMap::new() }
    }
}

impl DepthPlan {
    /// Class of `symbol`.
    pub fn class_of(&self, symbol: &str) -> u16 {
        self.by_symbol.get(symbol).copied().unwrap_or(self.default_class)
    }
}

/// Why an instrument got no lasting id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no instrument id for {symbol}: {why}")]
pub struct IdError {
    /// Symbol.
    pub symbol: String,
    /// Cause.
    pub why: String,
}

/// Where lasting instrument ids come from: unique over lanes and days, never used again (decisions.md 8).
pub trait InstrumentIds {
    /// The id of (venue, symbol), made now if there is none yet. Called when an instrument is announced, never on the
    /// hot path.
    ///
    /// # Errors
    /// When none can be made; the instrument is then refused.
    fn id_for(&mut self, venue: &str, symbol: &str) -> Result<u32, IdError>;
}

/// Ids in memory, dense from 0: for tests and measurements.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DenseIds {
    ids: HashMap<(String, String), u32>,
}

impl InstrumentIds for DenseIds {
    fn id_for(&mut self, venue: &str, symbol: &str) -> Result<u32, IdError> {
        let next = self.ids.len() as u32;
        Ok(*self.ids.entry((venue.into(), symbol.into())).or_insert(next))
    }
}
