//! What the owner of an [`Iex`](super::Iex) decides and supplies.

use wire::iextp::Protocol;

use crate::book::BookLimits;
use crate::feed::DepthPlan;
use crate::itch::{ConfigError, ItchConfig};

/// How an IEX feed is put on the bus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IexConfig {
    /// Which of the two feeds it is.
    pub protocol: Protocol,
    /// Venue name of the instruments: 1 to 8 bytes of ASCII.
    pub venue: String,
    /// Sizes of the book's tables. A price level is kept as one order, so `max_orders` limits the levels; symbols beyond
    /// `instruments` are refused.
    pub limits: BookLimits,
    /// Depth classes. TOPS has no depth: its instruments get class 0.
    pub depth: DepthPlan,
    /// Declare a book that is crossed in continuous trading.
    pub crossed_check: bool,
}

impl IexConfig {
    /// DEEP or TOPS of IEX itself, with room for every listed symbol of the country.
    #[must_use]
    pub fn new(protocol: Protocol) -> Self {
        IexConfig {
            protocol,
            venue: "IEXG".into(),
            limits: BookLimits { max_orders: 1 << 18, max_levels: 1 << 20, instruments: 1 << 14 },
            depth: DepthPlan::default(),
            crossed_check: true,
        }
    }

    /// Checks every field: the rules are those of every feed.
    ///
    /// # Errors
    /// The first field that is out of its range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let IexConfig { venue, limits, depth, .. } = self.clone();
        ItchConfig { venue, limits, depth, ..ItchConfig::default() }.validate()
    }

    /// Class of a symbol's window.
    pub(super) fn class_of(&self, symbol: &str) -> u16 {
        match self.protocol {
            Protocol::Tops => 0,
            Protocol::Deep => self.depth.class_of(symbol),
        }
    }
}
