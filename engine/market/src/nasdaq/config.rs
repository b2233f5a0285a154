//! What the owner of a [`Nasdaq`](super::Nasdaq) decides and supplies.

use std::collections::HashMap;

use shm_abi::layout::DEPTH_CLASSES;

use crate::book::{BookLimits, LimitError};

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

/// How a Nasdaq feed is put on the bus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NasdaqConfig {
    /// Venue name of the instruments: 1 to 8 bytes of ASCII.
    pub venue: String,
    /// UNIX time of the venue's local midnight, ns: `ts_event` is this plus the message's time stamp.
    pub midnight_ns: u64,
    /// Sizes of the book's tables.
    pub limits: BookLimits,
    /// Depth classes.
    pub depth: DepthPlan,
    /// Declare a book that is crossed in continuous trading.
    pub crossed_check: bool,
}

impl Default for NasdaqConfig {
    fn default() -> Self {
        NasdaqConfig {
            venue: "XNAS".into(),
            midnight_ns: 0,
            limits: BookLimits::default(),
            depth: DepthPlan::default(),
            crossed_check: true,
        }
    }
}

/// A setting out of range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A table size.
    #[error("limits.{0}")]
    Limit(#[from] LimitError),
    /// The venue's name.
    #[error("venue = {0:?}: expected 1 to 8 letters of printable ASCII without spaces")]
    Venue(String),
    /// A depth class.
    #[error("depth.{field} = {value}: expected one of 0, 5, 10, 20, 50, 200")]
    DepthClass {
        /// `default_class`, or the symbol that it was given for.
        field: String,
        /// Its value.
        value: u16,
    },
    /// More than a day's nanoseconds could overflow the clock.
    #[error("midnight_ns = {0}: expected UNIX nanoseconds below 2^63")]
    Midnight(u64),
}

impl NasdaqConfig {
    /// Checks every field.
    ///
    /// # Errors
    /// The first field that is out of its range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.limits.validate()?;
        let letters = self.venue.bytes().all(|byte| byte.is_ascii_graphic());
        if !(1..=8).contains(&self.venue.len()) || !letters {
            return Err(ConfigError::Venue(self.venue.clone()));
        }
        if self.midnight_ns >> 63 != 0 {
            return Err(ConfigError::Midnight(self.midnight_ns));
        }
        let default = ("default_class", &self.depth.default_class);
        let named = self.depth.by_symbol.iter().map(|(symbol, class)| (symbol.as_str(), class));
        for (field, value) in std::iter::once(default).chain(named) {
            if !DEPTH_CLASSES.contains(value) {
                return Err(ConfigError::DepthClass { field: field.into(), value: *value });
            }
        }
        Ok(())
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
