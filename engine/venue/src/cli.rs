//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use venue::fault::Fault;
use venue::pace::Pace;
use venue::source::{AtEnd, Start};

mod feeds;
mod market;

pub(crate) use feeds::{FeedSpec, SourceSpec};
pub(crate) use market::{ChannelArgument, DseArguments, MarketArguments};

/// An exchange for tests and demos: ITCH over SoupBinTCP and MoldUDP64, from files or synthetic markets, with faults.
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
    /// Serve several feeds at once, over SoupBinTCP and MoldUDP64, until SIGTERM, Ctrl-C or a command.
    ///
    /// Prints a line on stdout for every address, `listening ADDRESS feed NAME PROTOCOL PART` or `sending ..`, then
    /// `ready`; at the end one line of JSON with the counters, and what was kept back on purpose. Exit codes as serve.
    Feeds(Box<FeedsArguments>),
    /// Write a synthetic market to an ITCH file (a u16 big-endian length and the message, repeated).
    Generate(GenerateArguments),
}

#[derive(Debug, Args)]
pub(crate) struct ServeArguments {
    /// Address to listen on; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:9870")]
    pub(crate) listen: SocketAddr,
    /// Play this ITCH file instead of a synthetic market.
    #[arg(long, conflicts_with_all = ["profile", "seed", "messages", "rate", "live_clock", "start_time", "dse"])]
    pub(crate) file: Option<PathBuf>,
    /// Serve this channel of the synthetic DSE market, not the Nasdaq-like one.
    #[arg(long, value_enum)]
    pub(crate) dse: Option<ChannelArgument>,
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
    /// Go wrong on purpose, may be given several times: cut:K (end of stream after K bytes behind the login acceptance,
    /// once), cut-list:K,K.. or cut-list:FILE (each login uses up the next number), rst:K and rst-list:.. (the same by a
    /// TCP reset), cut-in:SEQ,K, rst-in:SEQ,K (K bytes into a packet), rst-length:SEQ, one-byte, chunk:N, coalesce:N,
    /// refuse[:TIMES], reject:A|S[,TIMES], no-login-answer[:TIMES], login-pieces[:TIMES], login-garbage[:TIMES],
    /// wrong-session[:TIMES], skip:N[,TIMES], rewind:N[,TIMES], silence:N (nothing after message N on that connection,
    /// once), mute, garbage:SEQ[,BYTES], zero-length:SEQ, huge-length:SEQ, debug-flood:SEQ[,COUNT],
    /// unsequenced-flood:SEQ[,COUNT], unknown-packet:SEQ, malformed:EVERY, unknown:EVERY, clock:SEQ,MILLISECONDS,
    /// burst:SEQ,COUNT, new-session:SEQ,NAME[,end].
    #[arg(long = "fault", value_name = "FAULT")]
    pub(crate) faults: Vec<Fault>,
    #[command(flatten)]
    pub(crate) market: MarketArguments,
    #[command(flatten)]
    pub(crate) dse_market: DseArguments,
}

#[derive(Debug, Args)]
pub(crate) struct FeedsArguments {
    /// One feed, may be given several times: NAME:PROTOCOL[,KEY=VALUE..] with PROTOCOL soupbintcp or moldudp64. Keys of
    /// both: source=market|dse-marketfeed|dse-index|dse-news|FILE, session=NAME, speed=.., heartbeat-ms=N. Of soupbintcp:
    /// listen=ADDRESS, user=USER:PASSWORD. Of moldudp64: a=ADDRESS, b=ADDRESS (where the lines go), interface=IP, ttl=N,
    /// rerequest=ADDRESS, max-request=N, glimpse=ADDRESS, packet-bytes=N, packet-messages=N, linger-us=N, max-rate=N
    /// (datagrams a second), end-repeats=N.
    #[arg(long = "feed", value_name = "FEED", required = true)]
    pub(crate) feeds: Vec<FeedSpec>,
    /// Time stamps against the clock, for feeds without speed=: 1x, 0.5x, 20x, or max for as fast as the clients take it.
    #[arg(long, default_value = "1x")]
    pub(crate) speed: Pace,
    /// When the first message is released; a MoldUDP64 feed's login is the one to its snapshots.
    #[arg(long, value_enum, default_value_t = StartArgument::Now)]
    pub(crate) start: StartArgument,
    /// What clients get after the last message.
    #[arg(long, value_enum, default_value_t = AtEndArgument::End)]
    pub(crate) at_end: AtEndArgument,
    /// Take commands, `stdin` or an address to listen on: fault [FEED/]FAULT, clear [FEED/]NAME, start [FEED], report, stop.
    /// Each line is answered by one line.
    #[arg(long, value_name = "stdin|ADDRESS")]
    pub(crate) control: Option<ControlArgument>,
    /// Bytes of each synthetic market kept on disk for resuming; the oldest go first. At least 1 MiB.
    #[arg(long, default_value_t = venue::log::DEFAULT_MAX_LOG_BYTES, value_parser = clap::value_parser!(u64).range(venue::log::MIN_LOG_BYTES..))]
    pub(crate) max_log_bytes: u64,
    /// Go wrong on purpose, in all feeds that can or with FEED/ in one, may be given several times: the faults of serve,
    /// and for MoldUDP64 with LINES a, b, ab or r: drop:LINES,P%[,SEED], drop:LINES,SEQ,SEQ-SEQ.., dup:LINES,SEQ[,COUNT],
    /// swap:LINES,EVERY[,SPAN], delay:LINES,MICROSECONDS, mute:LINES[,SEQ], kill:LINES, stray:LINES,EVERY,
    /// noise:LINES,EVERY, off-range:N[,TIMES].
    #[arg(long = "fault", value_name = "[FEED/]FAULT")]
    pub(crate) faults: Vec<String>,
    #[command(flatten)]
    pub(crate) market: MarketArguments,
    #[command(flatten)]
    pub(crate) dse: DseArguments,
}

/// Where commands come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ControlArgument {
    Stdin,
    Listen(SocketAddr),
}

impl std::str::FromStr for ControlArgument {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "stdin" => Ok(Self::Stdin),
            _ => text.parse().map(Self::Listen).map_err(|_| format!("{text:?} is neither stdin nor an address")),
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct GenerateArguments {
    /// Write this channel of the synthetic DSE market, not the Nasdaq-like one.
    #[arg(long, value_enum)]
    pub(crate) dse: Option<ChannelArgument>,
    #[command(flatten)]
    pub(crate) dse_market: DseArguments,
    /// File to write; an existing one is replaced.
    #[arg(long)]
    pub(crate) out: PathBuf,
    #[command(flatten)]
    pub(crate) market: MarketArguments,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum StartArgument {
    /// With the first accepted login.
    Login,
    /// At once.
    Now,
    /// When the control protocol says `start`.
    Command,
}

impl From<StartArgument> for Start {
    fn from(start: StartArgument) -> Self {
        match start {
            StartArgument::Login => Self::Login,
            StartArgument::Now => Self::Now,
            StartArgument::Command => Self::Command,
        }
    }
}

impl From<AtEndArgument> for AtEnd {
    fn from(at_end: AtEndArgument) -> Self {
        match at_end {
            AtEndArgument::End => Self::EndSession,
            AtEndArgument::Hold => Self::Hold,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum AtEndArgument {
    /// End of session, then the connection is closed.
    End,
    /// Heartbeats for ever.
    Hold,
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
}
