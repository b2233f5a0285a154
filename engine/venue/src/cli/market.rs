//! Settings of the synthetic markets.

use clap::{Args, ValueEnum};
use venue::dse::{Channel, DseConfig, Edition};
use venue::market::{MarketConfig, Profile};

/// Settings of the synthetic market.
#[derive(Debug, Args)]
#[command(next_help_heading = "Synthetic market")]
pub(crate) struct MarketArguments {
    /// The course of the market; endless if not given.
    #[arg(long, value_enum)]
    profile: Option<ProfileArgument>,
    /// Another seed is another market; the same settings give the same bytes. 1 if not given.
    #[arg(long)]
    seed: Option<u64>,
    /// Listed symbols, 1 to 20000; 500 if not given, 8000 with bench_mix.
    #[arg(long)]
    symbols: Option<u32>,
    /// Stop after this many messages; a day closes early to stay below it.
    #[arg(long)]
    messages: Option<u64>,
    /// Mean rate in messages a second. If not given: 10000; for a day with a message limit, what fills the day; for
    /// bench_mix 2400000.
    #[arg(long)]
    rate: Option<f64>,
    /// Rate within bursts over the mean rate, 1 (plain Poisson) to 15.
    #[arg(long, default_value_t = MarketConfig::default().burstiness)]
    burstiness: f64,
    /// Local time of the first message, HH:MM or HH:MM:SS; 09:30 if not given, for a day 03:59, for bench_mix 04:00.
    #[arg(long, value_parser = time_of_day)]
    start_time: Option<u64>,
    /// Annual volatility of each symbol.
    #[arg(long, default_value_t = MarketConfig::default().volatility)]
    volatility: f64,
    /// Trading halts in an hour, over all symbols.
    #[arg(long, default_value_t = MarketConfig::default().halts_per_hour)]
    halts_per_hour: f64,
    /// Length of a halt in milliseconds.
    #[arg(long, default_value_t = MarketConfig::default().halt_ns / 1_000_000)]
    halt_ms: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
enum ProfileArgument {
    /// A whole trading day with auctions and halts.
    Day,
    /// Open at once, and trading for more than two days.
    Endless,
    /// The message mix of a full day for benchmarks, without books.
    BenchMix,
}

impl MarketArguments {
    /// The config with its defaults, which depend on the profile.
    pub(crate) fn config(&self) -> MarketConfig {
        const SECOND_NS: u64 = 1_000_000_000;
        let base = MarketConfig::default();
        let (profile, symbols, rate, start_ns) = match self.profile.unwrap_or(ProfileArgument::Endless) {
            ProfileArgument::Endless => (Profile::Endless, base.symbols, base.rate_per_second, base.start_ns),
            ProfileArgument::BenchMix => (Profile::BenchMix, 8_000, 2_400_000.0, 14_400 * SECOND_NS),
            ProfileArgument::Day => {
                // From four in the morning to four in the afternoon.
                let rate = self.messages.map_or(base.rate_per_second, |limit| (limit as f64 / 43_200.0).max(1.0));
                (Profile::Day, base.symbols, rate, 14_340 * SECOND_NS)
            }
        };
        MarketConfig {
            profile,
            seed: self.seed.unwrap_or(base.seed),
            symbols: self.symbols.unwrap_or(symbols),
            messages: self.messages,
            rate_per_second: self.rate.unwrap_or(rate),
            burstiness: self.burstiness,
            start_ns: self.start_time.unwrap_or(start_ns),
            volatility: self.volatility,
            halts_per_hour: self.halts_per_hour,
            halt_ns: self.halt_ms.saturating_mul(1_000_000),
        }
    }
}

/// Settings of the synthetic DSE market; profile, seed, messages, rate, start time, burstiness and volatility are those of
/// the other one.
#[derive(Debug, Args)]
#[command(next_help_heading = "Synthetic DSE market")]
pub(crate) struct DseArguments {
    /// Form of the messages.
    #[arg(long, value_enum, default_value_t = EditionArgument::V22)]
    edition: EditionArgument,
    /// Orderbooks apart from the indices, 40 to 5000.
    #[arg(long, default_value_t = DseConfig::default().instruments)]
    instruments: u32,
    /// Milliseconds between two values of an index.
    #[arg(long, default_value_t = DseConfig::default().index_interval_ms)]
    index_ms: u64,
    /// News in an hour.
    #[arg(long, default_value_t = DseConfig::default().news_per_hour)]
    news_per_hour: f64,
    /// Orders name their participant, as on the extended feed.
    #[arg(long)]
    participants: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum EditionArgument {
    /// 2.2, with yields.
    #[value(name = "2.2")]
    V22,
    /// 2.0.
    #[value(name = "2.0")]
    V20,
    /// Orders and trades of 2.2, the directory of 2.0.
    Mixed,
}

/// A client type of the DSE.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ChannelArgument {
    /// Orders and trades.
    Marketfeed,
    /// Values of the indices.
    Index,
    /// News.
    News,
}

impl From<ChannelArgument> for Channel {
    fn from(channel: ChannelArgument) -> Self {
        match channel {
            ChannelArgument::Marketfeed => Self::Market,
            ChannelArgument::Index => Self::Index,
            ChannelArgument::News => Self::News,
        }
    }
}

impl DseArguments {
    /// The config, with what the two markets share.
    pub(crate) fn config(&self, market: &MarketArguments) -> DseConfig {
        let base = DseConfig::default();
        let profile = match market.profile {
            None | Some(ProfileArgument::Endless) => Profile::Endless,
            Some(ProfileArgument::Day) => Profile::Day,
            Some(ProfileArgument::BenchMix) => Profile::BenchMix,
        };
        DseConfig {
            profile,
            edition: match self.edition {
                EditionArgument::V22 => Edition::V22,
                EditionArgument::V20 => Edition::V20,
                EditionArgument::Mixed => Edition::Mixed,
            },
            seed: market.seed.unwrap_or(base.seed),
            instruments: self.instruments,
            messages: market.messages,
            rate_per_second: market.rate.unwrap_or(base.rate_per_second),
            burstiness: market.burstiness,
            start_ns: market.start_time.unwrap_or(base.start_ns),
            volatility: market.volatility,
            index_interval_ms: self.index_ms,
            news_per_hour: self.news_per_hour,
            participants: self.participants,
        }
    }
}

/// `HH:MM` or `HH:MM:SS` as nanoseconds since midnight.
fn time_of_day(text: &str) -> Result<u64, String> {
    let wanted = || format!("{text:?} is no time of day like 09:30 or 09:29:50");
    let parts: Vec<u64> = text.split(':').map(str::parse).collect::<Result<_, _>>().map_err(|_| wanted())?;
    let (hours, minutes, seconds) = match parts[..] {
        [hours, minutes] => (hours, minutes, 0),
        [hours, minutes, seconds] => (hours, minutes, seconds),
        _ => return Err(wanted()),
    };
    match hours < 24 && minutes < 60 && seconds < 60 {
        true => Ok(((hours * 60 + minutes) * 60 + seconds) * 1_000_000_000),
        false => Err(wanted()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::{Cli, Command};
    use super::*;

    #[test]
    fn times_of_day_are_parsed() {
        let table: &[(&str, Option<u64>)] = &[
            ("00:00", Some(0)),
            ("09:30", Some(34_200_000_000_000)),
            ("23:59:59", Some(86_399_000_000_000)),
            ("24:00", None),
            ("09:60", None),
            ("9", None),
            ("a:b", None),
            ("1:2:3:4", None),
        ];
        for (text, want) in table {
            assert_eq!(time_of_day(text).ok(), *want, "case: {text}");
        }
    }

    #[test]
    fn defaults_depend_on_the_profile() {
        let config = |line: &[&str]| match Cli::parse_from(line).command {
            Command::Generate(arguments) => arguments.market.config(),
            Command::Serve(arguments) => arguments.market.config(),
            Command::Feeds(arguments) => arguments.market.config(),
        };
        let mix = config(&["venue", "generate", "--out", "x", "--profile", "bench_mix", "--messages", "50000000"]);
        assert_eq!((mix.profile, mix.symbols, mix.messages), (Profile::BenchMix, 8_000, Some(50_000_000)));
        let day = config(&["venue", "generate", "--out", "x", "--profile", "day", "--messages", "432000"]);
        assert_eq!((day.profile, day.rate_per_second, day.start_ns), (Profile::Day, 10.0, 14_340_000_000_000));
        assert_eq!(config(&["venue", "serve"]), MarketConfig::default());
    }
}
