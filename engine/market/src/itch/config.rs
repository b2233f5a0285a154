//! What the owner of a [`Itch`](super::Itch) decides and supplies.

use shm_abi::layout::DEPTH_CLASSES;

use wire::dialect::{Dialect, NASDAQ_50};

use crate::book::{BookLimits, LimitError};
use crate::feed::DepthPlan;

/// Which of a venue's feeds this one is. Feeds of one venue announce the same directory, and each instrument has one
/// writer, so a feed makes rows only for what it alone publishes. It keeps the rest of the directory in memory; what its
/// messages say about that is another feed's to tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FeedRole {
    /// The venue's only feed: everything.
    #[default]
    All,
    /// Orders and trades: every instrument but the indices.
    Market,
    /// Index values: index instruments only.
    Index,
    /// News: no instruments at all.
    News,
}

/// Default of [`ItchConfig::max_prints`]: a day of the Dhaka exchange has 150 to 175 thousand trades.
pub const PRINTS_DEFAULT: usize = 1 << 18;
/// Largest [`ItchConfig::max_prints`].
pub const PRINTS_LIMIT: usize = 1 << 26;

/// How an ITCH feed is put on the bus.
#[derive(Debug, Clone)]
pub struct ItchConfig {
    /// Venue name of the instruments: 1 to 8 bytes of ASCII.
    pub venue: String,
    /// UNIX time of the venue's local midnight, ns: `ts_event` is this plus the message's time stamp.
    pub midnight_ns: u64,
    /// Sizes of the book's tables.
    pub limits: BookLimits,
    /// Depth classes.
    pub depth: DepthPlan,
    /// What the feed speaks.
    pub dialect: &'static Dialect,
    /// Which of the venue's feeds it is.
    pub role: FeedRole,
    /// Prints of a day that are kept by match number, where the dialect needs it: 40 bytes each, and 8 to 16 of index.
    pub max_prints: usize,
    /// Declare a book that is crossed in continuous trading.
    pub crossed_check: bool,
}

impl Default for ItchConfig {
    fn default() -> Self {
        ItchConfig {
            venue: "XNAS".into(),
            midnight_ns: 0,
            limits: BookLimits::default(),
            depth: DepthPlan::default(),
            dialect: &NASDAQ_50,
            role: FeedRole::All,
            max_prints: PRINTS_DEFAULT,
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
    /// Prints to keep.
    #[error("max_prints = {0}: expected at most 67108864")]
    Prints(usize),
    /// More than a day's nanoseconds could overflow the clock.
    #[error("midnight_ns = {0}: expected UNIX nanoseconds below 2^63")]
    Midnight(u64),
}

impl ItchConfig {
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
        if self.max_prints > PRINTS_LIMIT {
            return Err(ConfigError::Prints(self.max_prints));
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
