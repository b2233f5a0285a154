//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use venue::fault::Fault;
use venue::market::{MarketConfig, Profile};
use venue::pace::Pace;

/// An exchange for tests and demos: SoupBinTCP sessions with ITCH 5.0 messages, from a file or a synthetic market.
#[derive(Debug, Parser)]
#[command(name = "ticklane-venue", version, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve one session on TCP until SIGTERM or Ctrl-C.
    ///
    /// Prints one line on stdout when it listens: `listening ADDRESS session NAME`. Counters go to stderr at the end.
    /// Exit codes: 0 stopped, 1 failed while running, 2 wrong usage or configuration.
    Serve(Box<ServeArguments>),
    /// Write a synthetic market to an ITCH file (a u16 big-endian length and the message, repeated).
    Generate(GenerateArguments),
}

#[derive(Debug, Args)]
pub(crate) struct ServeArguments {
    /// Address to listen on; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:9870")]
    pub(crate) listen: SocketAddr,
    /// Play this ITCH file instead of a synthetic market.
    #[arg(long, conflicts_with_all = ["profile", "seed", "messages", "rate", "live_clock", "start_time"])]
    pub(crate) file: Option<PathBuf>,
    /// Time stamps against the clock: 1x, 0.5x, 20x, or max for as fast as the clients take it.
    #[arg(long, default_value = "1x")]
    pub(crate) speed: Pace,
    /// When the first message is released.
    #[arg(long, value_enum, default_value_t = StartArgument::Login)]
    pub(crate) start: StartArgument,
    /// What clients get after the last message.
    #[arg(long, value_enum, default_value_t = AtEndArgument::End)]
    pub(crate) at_end: AtEndArgument,
    /// Name of the session, 1 to 10 characters.
    #[arg(long, default_value = "TICKLANE01")]
    pub(crate) session: String,
    /// Accept only this user, up to 6 characters, case-insensitive.
    #[arg(long, requires = "password")]
    pub(crate) username: Option<String>,
    /// Accept only this password, up to 10 characters, case-insensitive.
    #[arg(long, requires = "username")]
    pub(crate) password: Option<String>,
    /// Start the synthetic market at the real time of day at --utc-offset. Needs --speed 1x and --profile endless.
    #[arg(long, conflicts_with = "start_time")]
    pub(crate) live_clock: bool,
    /// The venue's local time for --live-clock: fixed hours from UTC, without daylight saving. New York is at -5 in
    /// winter and -4 in summer.
    #[arg(long, default_value_t = -5.0, allow_negative_numbers = true, value_parser = utc_offset)]
    pub(crate) utc_offset: f64,
    /// Heartbeat after this many milliseconds without anything sent.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..=60_000))]
    pub(crate) heartbeat_ms: u64,
    /// Drop a client that has sent nothing for this many milliseconds.
    #[arg(long, default_value_t = 15_000, value_parser = clap::value_parser!(u64).range(1..=3_600_000))]
    pub(crate) client_silence_ms: u64,
    /// Drop a connection without a login request after this many milliseconds.
    #[arg(long, default_value_t = 30_000, value_parser = clap::value_parser!(u64).range(1..=3_600_000))]
    pub(crate) login_timeout_ms: u64,
    /// Most clients at a time.
    #[arg(long, default_value_t = venue::server::DEFAULT_MAX_CLIENTS as u64, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub(crate) max_clients: u64,
    /// Bytes of a synthetic market kept on disk for resuming; the oldest go first. At least 1 MiB.
    #[arg(long, default_value_t = venue::log::DEFAULT_MAX_LOG_BYTES, value_parser = clap::value_parser!(u64).range(venue::log::MIN_LOG_BYTES..))]
    pub(crate) max_log_bytes: u64,
    /// Directory for that log's nameless files; the system's temporary directory if not given.
    #[arg(long)]
    pub(crate) log_dir: Option<PathBuf>,
    /// Go wrong on purpose, may be given several times: cut@K (end of stream after K bytes behind the login acceptance,
    /// once), cut-list=K,K.. or cut-list=FILE (each login uses up the next number), rst@K and rst-list=.. (the same by a
    /// TCP reset), one-byte, chunk=N, reject=A|S[,TIMES], silence@N (nothing after message N on that connection, once),
    /// no-login-answer[,TIMES].
    #[arg(long = "fault", value_name = "FAULT")]
    pub(crate) faults: Vec<Fault>,
    #[command(flatten)]
    pub(crate) market: MarketArguments,
}

#[derive(Debug, Args)]
pub(crate) struct GenerateArguments {
    /// File to write; an existing one is replaced.
    #[arg(long)]
    pub(crate) out: PathBuf,
    #[command(flatten)]
    pub(crate) market: MarketArguments,
}

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
pub(crate) enum StartArgument {
    /// With the first accepted login.
    Login,
    /// At once.
    Now,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum AtEndArgument {
    /// End of session, then the connection is closed.
    End,
    /// Heartbeats for ever.
    Hold,
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

fn utc_offset(text: &str) -> Result<f64, String> {
    let hours = text.parse::<f64>().ok().filter(|hours| (-14.0..=14.0).contains(hours));
    hours.ok_or_else(|| format!("{text:?} is no offset in hours from -14 to 14, like -5 or 5.5"))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn command_line_is_consistent() {
        Cli::command().debug_assert();
    }

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
        };
        let mix = config(&["venue", "generate", "--out", "x", "--profile", "bench_mix", "--messages", "50000000"]);
        assert_eq!((mix.profile, mix.symbols, mix.messages), (Profile::BenchMix, 8_000, Some(50_000_000)));
        let day = config(&["venue", "generate", "--out", "x", "--profile", "day", "--messages", "432000"]);
        assert_eq!((day.profile, day.rate_per_second, day.start_ns), (Profile::Day, 10.0, 14_340_000_000_000));
        assert_eq!(config(&["venue", "serve"]), MarketConfig::default());
    }
}
