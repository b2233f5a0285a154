//! What a synthetic market is made of.

use super::arrivals::MAX_BURSTINESS;

/// Most symbols of one market. Locates are 16 bits wide; 20,000 is more than any equity venue lists.
pub const MAX_SYMBOLS: u32 = 20_000;
/// Lowest and highest mean rate in messages a second.
pub const RATE_RANGE: std::ops::RangeInclusive<f64> = 1.0..=50_000_000.0;
/// Nanoseconds of one hour.
pub const HOUR_NS: u64 = 3_600_000_000_000;
/// Orders that each symbol has in its book when its market opens.
pub(super) const SEED_ORDERS: u32 = 12;
/// Messages that a day keeps in hand for each symbol: both auctions with their announcements and a partial execution.
pub(super) const PER_SYMBOL_RESERVE: u32 = 8;
/// Messages that a day keeps in hand for system events and for the end of the step that meets the limit.
pub(super) const DAY_RESERVE: u64 = 64;

/// The course of a synthetic market.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Profile {
    /// A whole day: directory, orders before the open, opening cross, continuous trading with halts, closing cross,
    /// deletes, end of messages.
    Day,
    /// Opens at once and trades until the six bytes of the time stamps are used up, more than two days later.
    Endless,
    /// The message mix of a full day for benchmarks. Orders live in one pool without books, so prices may cross and an
    /// execution may hit any order; every reference and quantity is still consistent.
    BenchMix,
}

/// Everything that determines a synthetic market: equal configs give equal bytes, on every machine.
#[derive(Debug, Clone, PartialEq)]
pub struct MarketConfig {
    /// The course of the market.
    pub profile: Profile,
    /// Any number; another seed is another market.
    pub seed: u64,
    /// Listed symbols, 1 to [`MAX_SYMBOLS`]. Locates run from 1, the busiest symbol first.
    pub symbols: u32,
    /// Upper limit of messages; none for no limit. A day that meets its limit closes early, in good order, and may stay
    /// a little below it; the other profiles meet it exactly.
    pub messages: Option<u64>,
    /// Long-run mean in messages a second, [`RATE_RANGE`]. The directory, seeding and auctions of all symbols at once
    /// come on top.
    pub rate_per_second: f64,
    /// Rate within bursts over the mean rate; 1 is plain Poisson, at most [`MAX_BURSTINESS`].
    pub burstiness: f64,
    /// Time of the first message in nanoseconds since the venue's local midnight, below 24 h.
    pub start_ns: u64,
    /// Annual volatility of each symbol, 0.3 for 30 %; 0 to 20.
    pub volatility: f64,
    /// Trading halts in an hour of continuous trading, over all symbols; 0 to 100,000.
    pub halts_per_hour: f64,
    /// Length of one halt in nanoseconds, half of it without quotation, 1 ms to 24 h.
    pub halt_ns: u64,
}

impl Default for MarketConfig {
    /// The demo's market: 500 symbols, 10,000 messages a second, open at once.
    fn default() -> Self {
        Self {
            profile: Profile::Endless,
            seed: 1,
            symbols: 500,
            messages: None,
            rate_per_second: 10_000.0,
            burstiness: 6.0,
            start_ns: 9 * HOUR_NS + HOUR_NS / 2,
            volatility: 0.3,
            halts_per_hour: 60.0,
            halt_ns: 20_000_000_000,
        }
    }
}

/// A config that no market can be made of. Each text says what was seen, what is wanted and so how to change it.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A number outside of its range.
    #[error("{name} is {seen}; it must be {want}")]
    Range {
        /// The setting.
        name: &'static str,
        /// Its value.
        seen: String,
        /// The allowed values.
        want: String,
    },
    /// A message limit that does not hold the fixed parts of a day.
    #[error(
        "a day of {symbols} symbols needs at least {need} messages, the limit is {seen}; raise it or list fewer symbols"
    )]
    DayTooShort {
        /// Listed symbols.
        symbols: u32,
        /// Fewest messages.
        need: u64,
        /// The limit as given.
        seen: u64,
    },
}

impl MarketConfig {
    /// Checks every range.
    ///
    /// # Errors
    /// The first setting that is out of its range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let range = |name, seen: String, ok: bool, want: String| match ok {
            true => Ok(()),
            false => Err(ConfigError::Range { name, seen, want }),
        };
        let within = |name, seen: f64, low: f64, high: f64| {
            range(name, seen.to_string(), (low..=high).contains(&seen), format!("{low} to {high}"))
        };
        within("symbols", f64::from(self.symbols), 1.0, f64::from(MAX_SYMBOLS))?;
        within("rate (messages a second)", self.rate_per_second, *RATE_RANGE.start(), *RATE_RANGE.end())?;
        within("burstiness", self.burstiness, 1.0, MAX_BURSTINESS)?;
        within("volatility", self.volatility, 0.0, 20.0)?;
        within("halts per hour", self.halts_per_hour, 0.0, 100_000.0)?;
        range("start time", format!("{} ns", self.start_ns), self.start_ns < 24 * HOUR_NS, "below 24 h".into())?;
        let halt_ok = (1_000_000..=24 * HOUR_NS).contains(&self.halt_ns);
        range("halt length", format!("{} ns", self.halt_ns), halt_ok, "1 ms to 24 h".into())?;
        match self.messages {
            Some(0) => range("messages", "0".into(), false, "at least 1".into()),
            Some(seen) if self.profile == Profile::Day && seen < self.day_minimum() => {
                Err(ConfigError::DayTooShort { symbols: self.symbols, need: self.day_minimum(), seen })
            }
            _ => Ok(()),
        }
    }

    /// Messages of a day without any trading: directory, seeded orders and their deletion, auctions, system events.
    #[must_use]
    pub fn day_minimum(&self) -> u64 {
        u64::from(self.symbols) * u64::from(4 + 2 * SEED_ORDERS + PER_SYMBOL_RESERVE) + DAY_RESERVE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_checked() {
        let base = MarketConfig::default();
        let day = MarketConfig { profile: Profile::Day, ..base.clone() };
        let table: &[(&str, MarketConfig, Option<&str>)] = &[
            ("default", base.clone(), None),
            ("no symbol", MarketConfig { symbols: 0, ..base.clone() }, Some("symbols is 0; it must be 1 to 20000")),
            ("too many", MarketConfig { symbols: 20_001, ..base.clone() }, Some("symbols is 20001")),
            ("slow", MarketConfig { rate_per_second: 0.5, ..base.clone() }, Some("rate (messages a second) is 0.5")),
            ("not a number", MarketConfig { rate_per_second: f64::NAN, ..base.clone() }, Some("is NaN")),
            ("smooth", MarketConfig { burstiness: 0.9, ..base.clone() }, Some("burstiness is 0.9; it must be 1 to 15")),
            ("tomorrow", MarketConfig { start_ns: 24 * HOUR_NS, ..base.clone() }, Some("start time is")),
            ("no halt", MarketConfig { halt_ns: 0, ..base.clone() }, Some("halt length is 0 ns")),
            ("nothing", MarketConfig { messages: Some(0), ..base.clone() }, Some("messages is 0")),
            ("short day", MarketConfig { messages: Some(18_063), ..day.clone() }, Some("at least 18064 messages")),
            ("just a day", MarketConfig { messages: Some(18_064), ..day }, None),
        ];
        for (name, config, want) in table {
            let got = config.validate().err().map(|error| error.to_string());
            match (got, want) {
                (None, None) => {}
                (Some(got), Some(want)) => assert!(got.contains(want), "case {name}: {got}"),
                (got, want) => panic!("case {name}: {got:?} and not {want:?}"),
            }
        }
    }
}
