//! `ticklane pace`: how fast a recording is played.

use std::sync::atomic::AtomicBool;

use shm_abi::control::{Command, PaceChange, Reply};

use super::client::Client;
use super::{Engine, print, print_json};
use crate::error::ToolError;

/// What to change.
#[derive(Debug, clap::Args)]
pub(crate) struct PaceArgs {
    /// The feed that plays it.
    feed: String,
    /// pause, step, max, or how many times as fast as it was recorded.
    #[arg(value_parser = pace)]
    pace: PaceChange,
    /// Events to step by.
    #[arg(default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    events: u64,
    /// One JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    engine: Engine,
}

fn pace(text: &str) -> Result<PaceChange, String> {
    match text {
        "pause" => Ok(PaceChange::Pause {}),
        "step" => Ok(PaceChange::Step { events: 1 }),
        "max" => Ok(PaceChange::Max {}),
        times => match times.trim_end_matches('x').parse() {
            Ok(times) if (0.001..=1e6).contains(&times) => Ok(PaceChange::Times { times }),
            _ => Err("expected pause, step, max, or 0.001 to 1000000".into()),
        },
    }
}

/// Changes it.
///
/// # Errors
/// [`ToolError::Refused`] when the feed plays no recording.
pub(crate) fn run_pace(args: &PaceArgs, stop: &AtomicBool) -> Result<(), ToolError> {
    let pace = match args.pace {
        PaceChange::Step { .. } => PaceChange::Step { events: args.events },
        pace => pace,
    };
    let mut client = Client::connect(&args.engine)?;
    match client.ask(Command::Pace { feed: args.feed.clone(), pace }, 0, stop)? {
        Reply::Outcome(outcome) if args.json => print_json(&outcome),
        Reply::Outcome(outcome) => print(&[format!("{}: {} ({})", outcome.feed, outcome.result, outcome.reason)]),
        other => Err(client.strange(&other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paces_as_people_write_them() {
        assert_eq!(pace("max"), Ok(PaceChange::Max {}));
        assert_eq!(pace("20x"), Ok(PaceChange::Times { times: 20.0 }));
        assert_eq!(pace("0.5"), Ok(PaceChange::Times { times: 0.5 }));
        for text in ["0", "-1", "NaN", "inf", "", "fast", "1e7"] {
            assert!(pace(text).is_err(), "{text}");
        }
    }
}
