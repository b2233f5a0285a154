//! What a synthetic DSE market is made of.

use crate::market::{ConfigError, HOUR_NS, MAX_BURSTINESS, Profile, RATE_RANGE};

/// Fewest instruments: some of every board.
pub const MIN_INSTRUMENTS: u32 = 40;
/// Most instruments; the numbers of the indices begin behind them.
pub const MAX_INSTRUMENTS: u32 = 5_000;

/// Edition of the document that the messages follow. Each type chooses its form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Edition {
    /// 2.2: yields, and more in the directory.
    V22,
    /// 2.0.
    V20,
    /// The orders and trades of 2.2 with the directory of 2.0, as one simulator has it.
    Mixed,
}

/// A client type of the venue: which messages it gets, under numbers of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Channel {
    /// `marketfeed`: orders and trades.
    Market,
    /// `index`: values of the indices.
    Index,
    /// `news`: news.
    News,
}

impl Channel {
    /// Whether it carries this message type.
    pub(super) fn carries(self, message_type: u8) -> bool {
        match message_type {
            b'Z' => self == Self::Index,
            b'N' => self == Self::News,
            b'T' | b'S' | b'L' | b'M' | b'P' | b'R' | b'H' => true,
            _ => self == Self::Market,
        }
    }
}

/// Everything that determines a synthetic DSE market: equal configs give equal bytes, on every machine. The channels of one
/// config tell one story.
#[derive(Debug, Clone, PartialEq)]
pub struct DseConfig {
    /// A day has its times; an endless market opens at once. There is no benchmark mix.
    pub profile: Profile,
    /// Form of the messages.
    pub edition: Edition,
    /// Any number; another seed is another market.
    pub seed: u64,
    /// Orderbooks apart from the indices, [`MIN_INSTRUMENTS`] to [`MAX_INSTRUMENTS`].
    pub instruments: u32,
    /// The market closes in good order once so many messages of all channels are made; none for no limit.
    pub messages: Option<u64>,
    /// Long-run mean in messages a second of all channels, [`RATE_RANGE`].
    pub rate_per_second: f64,
    /// Rate within bursts over the mean rate; 1 is plain Poisson.
    pub burstiness: f64,
    /// Time of the first message in nanoseconds since midnight in Dhaka, below 24 h.
    pub start_ns: u64,
    /// Annual volatility of each instrument, 0 to 20.
    pub volatility: f64,
    /// Every so many milliseconds the indices are told, 1 to an hour.
    pub index_interval_ms: u64,
    /// News in an hour; 0 to 100,000.
    pub news_per_hour: f64,
    /// Orders name their participant: `F` and not `A`, as on the extended feed.
    pub participants: bool,
}

impl Default for DseConfig {
    /// Four hundred instruments, a thousand messages a second, open at once.
    fn default() -> Self {
        Self {
            profile: Profile::Endless,
            edition: Edition::V22,
            seed: 1,
            instruments: 400,
            messages: None,
            rate_per_second: 1_000.0,
            burstiness: 6.0,
            start_ns: 9 * HOUR_NS + HOUR_NS * 5 / 6,
            volatility: 0.3,
            index_interval_ms: 5_000,
            news_per_hour: 120.0,
            participants: false,
        }
    }
}

impl DseConfig {
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
        let is_course = self.profile != Profile::BenchMix;
        range("profile of a DSE market", "bench_mix".into(), is_course, "day or endless".into())?;
        within("instruments", f64::from(self.instruments), f64::from(MIN_INSTRUMENTS), f64::from(MAX_INSTRUMENTS))?;
        within("rate (messages a second)", self.rate_per_second, *RATE_RANGE.start(), *RATE_RANGE.end())?;
        within("burstiness", self.burstiness, 1.0, MAX_BURSTINESS)?;
        within("volatility", self.volatility, 0.0, 20.0)?;
        within("news per hour", self.news_per_hour, 0.0, 100_000.0)?;
        within("index interval (ms)", self.index_interval_ms as f64, 1.0, 3_600_000.0)?;
        range("start time", format!("{} ns", self.start_ns), self.start_ns < 24 * HOUR_NS, "below 24 h".into())
    }
}
