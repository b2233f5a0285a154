//! ITCH dialects as data: a table says what a venue's messages are, and the decoders and the encoder follow from it.
//!
//! A table has one line per message type: its lengths, what it means, its fields by role, and the special forms that
//! mean something else. Where a type has two lengths, each message is read by its own, type by type: a DSE feed may
//! send bonds' yields in one type and not in another. A new dialect is a table and a test; see [`DSE`]'s source.
//!
//! Two ways in, for two callers. [`Dialect::decode`] loads every order field at offsets from a row, with no branch on
//! the type: for the book. [`Dialect::view`] reads a message by role: for everything else, that is for every
//! [`OpKind::Other`]. Nasdaq's messages have more fields than the common roles name, and views with the venue's own
//! names besides: [`itch50::Message`](crate::itch50::Message). The two agree wherever they meet.
//!
//! Sources: shared documents "dse-itch" and "itch50".

mod dse;
mod encode;
mod hot;
mod jnx;
mod nasdaq;
mod op;
mod table;
mod view;

pub use dse::DSE;
pub use encode::{EncodeError, Value};
pub use jnx::JNX_16;
pub use nasdaq::NASDAQ_50;
pub use op::{NIL, Op, OpKind, WINDOW};
pub use table::{Entry, Event, Field, Format, Role};
pub use view::View;

/// How a dialect tells the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// Every message carries nanoseconds since the venue's local midnight, in 48 bits.
    NanosSinceMidnight,
    /// [`Event::Timestamp`] carries whole seconds since local midnight; every other message 32 bits of nanoseconds
    /// since that second. A message before the first time stamp of a connection has no known time.
    SecondsAndNanos,
}

/// How a raw price becomes a real one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PriceScale {
    /// All prices have this many decimals.
    Decimals(u8),
    /// Each instrument's directory entry names its own: [`Role::PriceDecimals`].
    PerInstrument,
}

/// One venue's way of speaking ITCH. All of them are in [`ALL`].
pub struct Dialect {
    name: &'static str,
    clock: Clock,
    price_scale: PriceScale,
    no_prices: &'static [u32],
    entries: &'static [Entry],
    rows: hot::Rows,
}

/// Every dialect that is known.
pub static ALL: [&Dialect; 3] = [&NASDAQ_50, &DSE, &JNX_16];

impl Dialect {
    /// Compiles a table. In a `static`, so a table that contradicts itself is an error of the build.
    const fn new(
        name: &'static str,
        clock: Clock,
        price_scale: PriceScale,
        no_prices: &'static [u32],
        entries: &'static [Entry],
    ) -> Dialect {
        table::check(entries);
        let rows = hot::rows(entries, clock);
        Dialect { name, clock, price_scale, no_prices, entries, rows }
    }

    /// The dialect of this name, as the configuration writes it: `nasdaq-5.0`, `dse`, `jnx-1.6`.
    #[must_use]
    pub fn by_name(name: &str) -> Option<&'static Dialect> {
        ALL.into_iter().find(|dialect| dialect.name == name)
    }

    /// Name in the configuration.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// How it tells the time.
    #[must_use]
    pub const fn clock(&self) -> Clock {
        self.clock
    }

    /// Where the decimals of its prices come from.
    #[must_use]
    pub const fn price_scale(&self) -> PriceScale {
        self.price_scale
    }

    /// Whether a raw price stands for "market order" or "not available".
    #[inline]
    #[must_use]
    pub fn is_no_price(&self, raw: u32) -> bool {
        self.no_prices.contains(&raw)
    }

    /// The table.
    #[must_use]
    pub const fn entries(&self) -> &'static [Entry] {
        self.entries
    }

    /// Whether a message of this type and exactly this length belongs to the dialect, appended fields apart.
    #[must_use]
    pub fn has(&self, message_type: u8, length: usize) -> bool {
        let of_type = self.entries.iter().filter(|entry| entry.message_type == message_type);
        of_type.into_iter().any(|entry| entry.fits(length))
    }
}

impl std::fmt::Debug for Dialect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dialect").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Which dialects have every one of the messages, given as type and length: what a capture may be.
///
/// A few short messages may fit several dialects, and no messages fit all of them.
pub fn detect(messages: &[(u8, usize)]) -> impl Iterator<Item = &'static Dialect> {
    let has_all = |dialect: &Dialect| messages.iter().all(|&(message_type, length)| dialect.has(message_type, length));
    ALL.into_iter().filter(move |dialect| has_all(dialect))
}

#[cfg(test)]
mod tests;
