//! IEX TOPS 1.6 and DEEP 1.0, which share most of their messages: 14 types, viewed in place.
//!
//! All integers are little-endian, prices have four implied decimals, times are nanoseconds since the UNIX epoch.
//!
//! Source: IEX TOPS Specification 1.66, IEX DEEP Specification 1.08.

mod message;

pub use message::*;
pub use zerocopy::byteorder::little_endian::{I64, U32};

/// Bits of [`QuoteUpdate::flags`].
pub mod quote_flag {
    /// The symbol is halted, paused or not available for trading on IEX.
    pub const NOT_ACTIVE: u8 = 0x80;
    /// Outside of the regular market session.
    pub const OUTSIDE_SESSION: u8 = 0x40;
}

/// Bits of [`TradeReport::sale_flags`] and [`TradeBreak::sale_flags`].
pub mod sale_flag {
    /// Intermarket sweep order.
    pub const SWEEP: u8 = 0x80;
    /// Extended hours ("form T"): counts as volume, never as a last sale.
    pub const EXTENDED_HOURS: u8 = 0x40;
    /// Odd lot: counts as volume, never as a last sale.
    pub const ODD_LOT: u8 = 0x20;
    /// Exempt from the order protection rule.
    pub const EXEMPT: u8 = 0x10;
    /// Of a single-price cross: an auction.
    pub const CROSS: u8 = 0x08;
}

/// Bits of [`SecurityDirectory::flags`].
pub mod security_flag {
    /// Test security.
    pub const TEST: u8 = 0x80;
    /// When issued.
    pub const WHEN_ISSUED: u8 = 0x40;
    /// Exchange traded product.
    pub const ETP: u8 = 0x20;
}

/// Bit of [`PriceLevelBuy::event_flags`]: the event that the venue's book went through is complete, so its best
/// quote may be read.
pub const EVENT_COMPLETE: u8 = 0x01;
