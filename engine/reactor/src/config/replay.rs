//! `replay = {...}` of a feed: a recording instead of a network.

use std::path::PathBuf;

use serde::Deserialize;

use super::feed::{FeedConfig, Protocol};
use super::{ConfigError, refuse};

/// Slowest and fastest pace that is no `max`.
const TIMES: std::ops::RangeInclusive<f64> = 0.001..=1e6;

/// As it is written in the file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReplayTable {
    /// A capture or an ITCH file, as it is or gzipped; with `protocol = "recorded"` a DBN file or the folder of a lane's
    /// journal.
    pub(crate) file: PathBuf,
    #[serde(default)]
    pub(crate) pace: PaceText,
    /// Time at which a journal is to begin, RFC 3339 or ns since the UNIX epoch; absent: its oldest record.
    #[serde(default)]
    pub(crate) from: Option<String>,
    /// Whether the end tells a digest of each ring.
    #[serde(default)]
    pub(crate) digest: bool,
}

/// A word, or how many times as fast as it was recorded.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(crate) enum PaceText {
    Word(String),
    Times(f64),
}

impl Default for PaceText {
    fn default() -> Self {
        PaceText::Word("recorded".into())
    }
}

/// How fast a recording is played.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Pace {
    /// So many times as fast as it was recorded.
    Times(f64),
    /// As fast as it can be taken.
    Max,
    /// Event by event, when a command asks for them.
    Stepped,
}

/// The recording, checked as far as that can be done without looking at it.
#[derive(Debug, Clone)]
pub(crate) struct ReplayPlan {
    pub(crate) file: PathBuf,
    pub(crate) pace: Pace,
    /// ns since the UNIX epoch.
    pub(crate) from_ns: Option<u64>,
    pub(crate) digest: bool,
}

pub(super) fn plan_replay(feed: &FeedConfig) -> Result<Option<ReplayPlan>, ConfigError> {
    let field = |name: &str| format!("feed {}: replay.{name}", feed.name);
    let recorded = feed.protocol == Protocol::Recorded;
    let Some(table) = &feed.replay else {
        if recorded {
            let expected = "replay = { file = \"...\" }: there is no network for this protocol";
            return refuse(format!("feed {}: replay", feed.name), "(absent)", expected);
        }
        return Ok(None);
    };
    let pace = match &table.pace {
        PaceText::Word(word) => match word.as_str() {
            "recorded" => Pace::Times(1.0),
            "max" => Pace::Max,
            "stepped" => Pace::Stepped,
            _ => return refuse(field("pace"), format!("{word:?}"), PACES),
        },
        PaceText::Times(times) if TIMES.contains(times) => Pace::Times(*times),
        PaceText::Times(times) => return refuse(field("pace"), times, PACES),
    };
    let from_ns = match &table.from {
        None => None,
        Some(text) if !recorded => {
            return refuse(
                field("from"),
                format!("{text:?}"),
                "no beginning but the file's: only a journal can be entered",
            );
        }
        Some(text) => match time_of(text) {
            Some(ns) => Some(ns),
            None => return refuse(field("from"), format!("{text:?}"), "a time such as \"2026-11-20T09:30:00-05:00\""),
        },
    };
    Ok(Some(ReplayPlan { file: table.file.clone(), pace, from_ns, digest: table.digest }))
}

fn time_of(text: &str) -> Option<u64> {
    text.parse().ok().or_else(|| u64::try_from(text.parse::<jiff::Timestamp>().ok()?.as_nanosecond()).ok())
}

const PACES: &str =
    "\"recorded\", \"max\", \"stepped\", or how many times as fast as it was recorded, 0.001 to 1000000";
