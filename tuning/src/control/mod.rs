//! `ticklane feeds|connect|disconnect|reload|pace|define|undefine|definitions|tap`: the engine's command socket, for people and
//! scripts. Everything that is decoded comes from the engine.

mod client;
mod define;
mod feeds;
mod operate;
mod pace;
mod tap;

pub(crate) use define::{DefineArgs, DefinitionsArgs, UndefineArgs, run_define, run_definitions, run_undefine};
pub(crate) use feeds::{FeedsArgs, run_feeds};
pub(crate) use operate::{ConnectArgs, DisconnectArgs, ReloadArgs, run_connect, run_disconnect, run_reload};
pub(crate) use pace::{PaceArgs, run_pace};
pub(crate) use tap::{TapArgs, run_tap};

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use shm_abi::control::{Command, Reply};

use crate::error::ToolError;

/// Which engine.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Engine {
    /// Runtime directory of the engine, or a directory of such; the usual ones if not given.
    #[arg(long)]
    dir: Option<PathBuf>,
}

/// What the engine of a runtime directory says of a feed: its state, and why it is what it is.
///
/// # Errors
/// As every command's.
pub(crate) fn state_of(dir: &std::path::Path, feed: &str, stop: &AtomicBool) -> Result<(String, String), ToolError> {
    let mut client = client::Client::connect(&Engine { dir: Some(dir.into()) })?;
    match client.ask(Command::Status { feed: Some(feed.into()), after: None }, 0, stop)? {
        Reply::Feeds(page) => {
            Ok(page.feeds.into_iter().next().map(|feed| (feed.state, feed.reason)).unwrap_or_default())
        }
        other => Err(client.strange(&other)),
    }
}

/// Writes lines to standard output.
fn print(lines: &[String]) -> Result<(), ToolError> {
    let mut out = io::stdout().lock();
    let mut write = || {
        lines.iter().try_for_each(|line| writeln!(out, "{line}"))?;
        out.flush()
    };
    write().map_err(ToolError::output)
}

/// One JSON object on a line.
fn print_json(value: &impl serde::Serialize) -> Result<(), ToolError> {
    print(&[serde_json::to_string(value).expect("texts and numbers only")])
}
