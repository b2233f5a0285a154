//! `ticklane connect`, `disconnect` and `reload`.

use std::sync::atomic::AtomicBool;

use shm_abi::control::{AddressChoice, Change, Command, Outcome, Reply, WAIT_MS_MAX};

use super::client::Client;
use super::{Engine, print, print_json};
use crate::error::ToolError;

/// What to connect.
#[derive(Debug, clap::Args)]
pub(crate) struct ConnectArgs {
    /// The feed.
    feed: String,
    /// Its second address, not its first.
    #[arg(long)]
    failover: bool,
    /// Milliseconds to wait for the outcome.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(..=WAIT_MS_MAX))]
    wait: u64,
    /// One JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    engine: Engine,
}

/// What to disconnect.
#[derive(Debug, clap::Args)]
pub(crate) struct DisconnectArgs {
    /// The feed.
    feed: String,
    /// Only if it is connected to its second address.
    #[arg(long)]
    failover: bool,
    /// Only if it is connected to its first address.
    #[arg(long, conflicts_with = "failover")]
    primary: bool,
    /// Milliseconds to wait until it is closed.
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u64).range(..=WAIT_MS_MAX))]
    wait: u64,
    /// One JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    engine: Engine,
}

/// Which engine to reload.
#[derive(Debug, clap::Args)]
pub(crate) struct ReloadArgs {
    /// One JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    engine: Engine,
}

/// Dials a feed.
///
/// # Errors
/// [`ToolError`]; [`ToolError::NotDone`] when it did not get there.
pub(crate) fn run_connect(args: &ConnectArgs, stop: &AtomicBool) -> Result<(), ToolError> {
    let address = if args.failover { AddressChoice::Failover } else { AddressChoice::Primary };
    let command = Command::Connect { feed: args.feed.clone(), address, wait_ms: args.wait };
    let outcome = ask(&args.engine, command, args.wait, stop)?;
    tell(&outcome, args.json)?;
    match outcome.result.as_str() {
        "connected" | "already connected" => Ok(()),
        "connecting" if args.wait == 0 => Ok(()),
        _ => Err(ToolError::NotDone { what: describe(&outcome) }),
    }
}

/// Closes a feed.
///
/// # Errors
/// As for [`run_connect`].
pub(crate) fn run_disconnect(args: &DisconnectArgs, stop: &AtomicBool) -> Result<(), ToolError> {
    let address = match (args.primary, args.failover) {
        (true, _) => Some(AddressChoice::Primary),
        (_, true) => Some(AddressChoice::Failover),
        _ => None,
    };
    let command = Command::Disconnect { feed: args.feed.clone(), address, wait_ms: args.wait };
    let outcome = ask(&args.engine, command, args.wait, stop)?;
    tell(&outcome, args.json)?;
    match outcome.result.as_str() {
        "closing" if args.wait > 0 => Err(ToolError::NotDone { what: describe(&outcome) }),
        _ => Ok(()),
    }
}

fn ask(engine: &Engine, command: Command, wait_ms: u64, stop: &AtomicBool) -> Result<Outcome, ToolError> {
    let mut client = Client::connect(engine)?;
    match client.ask(command, wait_ms, stop)? {
        Reply::Outcome(outcome) => Ok(outcome),
        other => Err(client.strange(&other)),
    }
}

fn tell(outcome: &Outcome, json: bool) -> Result<(), ToolError> {
    if json { print_json(outcome) } else { print(&[describe(outcome)]) }
}

fn describe(outcome: &Outcome) -> String {
    let mut text = format!("{}: {}; state {}", outcome.feed, outcome.result, outcome.state);
    if let Some(address) = &outcome.address {
        text.push_str(&format!(", address {address}"));
    }
    if let Some(session) = &outcome.session {
        text.push_str(&format!(", session {session}, next sequence {}", outcome.next_sequence));
    }
    if !outcome.reason.is_empty() {
        text.push_str(&format!(" ({})", outcome.reason));
    }
    text
}

/// Makes the engine read its config again.
///
/// # Errors
/// [`ToolError::Refused`] when the config is not good: the old one is then in force as before.
pub(crate) fn run_reload(args: &ReloadArgs, stop: &AtomicBool) -> Result<(), ToolError> {
    let mut client = Client::connect(&args.engine)?;
    let report = match client.ask(Command::Reload {}, 0, stop)? {
        Reply::Reloaded(report) => report,
        other => return Err(client.strange(&other)),
    };
    if args.json {
        return print_json(&report);
    }
    let mut lines: Vec<String> = report.applied.iter().map(|change| line("in force", change)).collect();
    lines.extend(report.needs_restart.iter().map(|change| line("needs a restart", change)));
    if lines.is_empty() {
        lines.push("nothing is different".into());
    }
    print(&lines)
}

/// A setting that differs.
pub(super) fn line(when: &str, change: &Change) -> String {
    format!("{when}: {} = {} (was {})", change.setting, change.to, change.from)
}
