//! Measured promises: each number beside its floor and its crate peers, in alternating pairs, on this very host.
//!
//! A nanosecond figure of one machine says little about another, so the promises are ratios: against what the hardware
//! gives at best (a **floor**), or against a published crate that does the same work (a **peer**). A ratio is taken
//! within one pair of runs, minutes at most apart, and the median over the pairs is held against the bound. A machine
//! that is disturbed, or on which this program may not raise its priority and pin itself, gets the numbers and no
//! verdict.
//!
//! Source: performance.md 7 and 9, decisions.md 21 and 25.
#![deny(unsafe_code)]

pub mod cli;
pub mod facts;
pub mod fanout;
pub mod floor;
pub mod itch;
pub mod journal;
pub mod lanes;
pub mod machine;
pub mod partner;
pub mod report;
pub mod ring;
pub mod stats;
pub mod sys;
pub mod udp;
pub mod verdict;
pub mod wake;
pub mod wire;

/// What can stop a measurement: not a bad number, but a number that could not be taken.
pub type Result<T> = std::result::Result<T, BenchError>;

/// Why a measurement could not be taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BenchError {
    /// A file, process or socket of the bench's own did not work.
    #[error("{action}: {source}")]
    Io {
        /// What was being done.
        action: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The shared segment could not be made or opened.
    #[error(transparent)]
    Segment(#[from] shm_abi::segment::SegmentError),
    /// The other role ended, or did not answer in time.
    #[error("{role}: {what}")]
    Partner {
        /// Which role.
        role: String,
        /// What went wrong with it.
        what: String,
    },
    /// Two variants that must do equal work did not.
    #[error("unequal work: {0}")]
    UnequalWork(String),
    /// A setting that cannot be measured with.
    #[error("{setting} is {value}: expected {expected}")]
    Setting {
        /// The command-line setting.
        setting: &'static str,
        /// Its value.
        value: String,
        /// What it should be.
        expected: &'static str,
    },
    /// The market generator refused its settings.
    #[error("the generated day: {0}")]
    Generator(#[from] ::venue::market::ConfigError),
    /// The books refused their settings.
    #[error("the books: {0}")]
    Market(String),
    /// The input is not what the generator writes.
    #[error("the day's file: {0}; remove it, it will be made again")]
    Input(#[from] ::wire::itchfile::FileError),
    /// A peer crate refused.
    #[error("peer {peer}: {what}")]
    Peer {
        /// The crate.
        peer: &'static str,
        /// What it said.
        what: String,
    },
}

/// Names the action of a failed call.
pub(crate) fn io_error(action: impl Into<String>) -> impl FnOnce(std::io::Error) -> BenchError {
    let action = action.into();
    move |source| BenchError::Io { action, source }
}
