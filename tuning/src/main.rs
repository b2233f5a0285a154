//! `ticklane`: the operator's tool. One module per subcommand; this file only chooses.

mod children;
mod control;
mod error;
mod event;
mod format;
mod play;
mod progress;
mod runtime;
mod screen;
mod stat;
mod sys;
mod table;
mod tail;
#[cfg(test)]
mod test_lane;
mod ticks;
mod up;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use clap::{Parser, Subcommand};

use crate::error::{ToolError, tell};

/// Market data from the wire to the strategy: start it, look at it, follow it.
#[derive(Debug, Parser)]
#[command(name = "ticklane", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start a synthetic exchange and an engine on this host, and stop both together.
    Up(Box<up::Args>),
    /// Show lanes, rates, counters, lag and heartbeats.
    Stat(stat::Args),
    /// Follow one symbol, or a whole ring, as text or JSON lines.
    Tail(tail::Args),
    /// Write a file of ticks, DBN or Parquet, from the journal of a lane.
    Export(Box<ticks::ExportArgs>),
    /// Make a journal of a file of ticks: DBN, or ITCH.
    Import(Box<ticks::ImportArgs>),
    /// Play a recording to everybody who reads a lane: a journal, an ITCH file, a capture, or a DBN file.
    Replay(Box<play::ReplayArgs>),
    /// Change the pace of a replay: pause, step N, max, or how many times as fast.
    Pace(control::PaceArgs),
    /// Show the feeds of a running engine: states, addresses, sessions, counts.
    Feeds(control::FeedsArgs),
    /// Connect a feed, also out of a pause or to its failover.
    Connect(control::ConnectArgs),
    /// Log a feed out and keep it closed until connect.
    Disconnect(control::DisconnectArgs),
    /// Make an engine read its config again; a bad one changes nothing.
    Reload(control::ReloadArgs),
    /// Tell an engine of a feed, instrument, calendar or mapping, which it keeps.
    Define(control::DefineArgs),
    /// Make an engine forget what it was told.
    Undefine(control::UndefineArgs),
    /// List what an engine was told, as JSON lines.
    Definitions(control::DefinitionsArgs),
    /// Show decoded packets of a feed as they come, or of a capture.
    Tap(control::TapArgs),
}

/// Exit status of everything that went wrong after the arguments were understood; clap itself uses 2 for those.
const EXIT_FAILED: u8 = 1;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = stop_on_signal().and_then(|stop| match cli.command {
        Command::Up(args) => up::run(&args, &stop),
        Command::Stat(args) => stat::run(&args, &stop),
        Command::Tail(args) => tail::run(&args, &stop),
        Command::Export(args) => ticks::run_export(&args, &stop),
        Command::Import(args) => ticks::run_import(&args, &stop),
        Command::Replay(args) => play::run_replay(&args, &stop),
        Command::Pace(args) => control::run_pace(&args, &stop),
        Command::Feeds(args) => control::run_feeds(&args, &stop),
        Command::Connect(args) => control::run_connect(&args, &stop),
        Command::Disconnect(args) => control::run_disconnect(&args, &stop),
        Command::Reload(args) => control::run_reload(&args, &stop),
        Command::Define(args) => control::run_define(&args, &stop),
        Command::Undefine(args) => control::run_undefine(&args, &stop),
        Command::Definitions(args) => control::run_definitions(&args, &stop),
        Command::Tap(args) => control::run_tap(&args, &stop),
    });
    match outcome {
        // Whoever reads our output may stop reading: `ticklane tail --all | head` is no failure.
        Ok(()) | Err(ToolError::OutputClosed) => ExitCode::SUCCESS,
        Err(error) => {
            tell(&format!("ticklane: {error}"));
            ExitCode::from(EXIT_FAILED)
        }
    }
}

/// A flag that Ctrl-C and SIGTERM set. A second Ctrl-C ends the program on the spot.
fn stop_on_signal() -> Result<Arc<AtomicBool>, ToolError> {
    use signal_hook::consts::{SIGINT, SIGTERM};
    use signal_hook::flag;
    let stop = Arc::new(AtomicBool::new(false));
    let install = || -> std::io::Result<()> {
        // The first of the two acts only once the second has set the flag, so their order matters.
        flag::register_conditional_shutdown(SIGINT, 130, stop.clone())?;
        flag::register(SIGINT, stop.clone())?;
        flag::register(SIGTERM, stop.clone())?;
        Ok(())
    };
    install().map_err(|source| ToolError::Io { action: "handle signals", path: "".into(), source })?;
    Ok(stop)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;
    use clap::error::ErrorKind;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn arguments_that_cannot_work_are_refused() {
        let table: &[(&str, &[&str], ErrorKind)] = &[
            ("no command", &[], ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand),
            ("tail of nothing", &["tail"], ErrorKind::MissingRequiredArgument),
            ("tail of both", &["tail", "AAPL", "--all"], ErrorKind::ArgumentConflict),
            ("no such ring", &["tail", "AAPL", "--ring", "bids"], ErrorKind::InvalidValue),
            ("no interval", &["stat", "--interval", "0"], ErrorKind::ValueValidation),
            ("negative rate", &["up", "--rate=-1"], ErrorKind::ValueValidation),
            ("file and seed", &["up", "--file", "x", "--seed", "1"], ErrorKind::ArgumentConflict),
            ("tap of nothing", &["tap"], ErrorKind::MissingRequiredArgument),
            ("tap of both", &["tap", "dse", "--pcap", "a"], ErrorKind::ArgumentConflict),
            ("dialect of a feed", &["tap", "dse", "--dialect", "dse"], ErrorKind::ArgumentConflict),
            ("long wait", &["connect", "dse", "--wait", "60001"], ErrorKind::ValueValidation),
            (
                "odd setting",
                &["define", "feed", "x", "--lane=l", "--protocol=p", "--address=h:1", "--set=a"],
                ErrorKind::ValueValidation,
            ),
            ("no steps", &["pace", "day", "step", "0"], ErrorKind::ValueValidation),
            ("odd pace", &["pace", "day", "quick"], ErrorKind::ValueValidation),
            ("replay of nothing", &["replay"], ErrorKind::MissingRequiredArgument),
            ("bad instance", &["up", "--instance", "../x"], ErrorKind::ValueValidation),
        ];
        for (name, words, want) in table {
            let line = std::iter::once("ticklane").chain(words.iter().copied());
            assert_eq!(Cli::try_parse_from(line).unwrap_err().kind(), *want, "case: {name}");
        }
    }
}
