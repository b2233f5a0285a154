//! Why a command failed: what was seen, and what to change.

use std::io::{self, Write};
use std::path::PathBuf;

use ticklane_client::ClientError;

/// A line for the person at the terminal. A closed stderr is no reason to stop what we do.
pub(crate) fn tell(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// Why a command failed. The text is for the person at the terminal.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ToolError {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("{action} {path}: {source}")]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error("no lane found in {looked}: start one with `ticklane up`, or name its runtime directory with --dir")]
    NoLanes { looked: String },
    #[error("no lane {lane} in {looked}: there are {found}")]
    NoSuchLane { lane: String, looked: String, found: String },
    #[error("several lanes: {found}; choose one with --lane and --dir")]
    SeveralLanes { found: String },
    #[error(
        "no lane knows {symbol} (looked at {looked}); symbols are written as the venue writes them, --all shows all"
    )]
    NoSuchSymbol { symbol: String, looked: String },
    #[error(
        "{path} is {found}: expected a directory of your own with mode 0700; move it away, or choose another --dir"
    )]
    UnsafeDirectory { path: PathBuf, found: String },
    #[error("{name} not found at {path}: build it (cargo build -p {package}), or set --bin-dir or TICKLANE_BIN_DIR")]
    NoProgram { name: &'static str, package: &'static str, path: PathBuf },
    #[error("{name} {what}; its last lines:\n{tail}")]
    Child { name: &'static str, what: String, tail: String },
    #[error("stopped before everything was running")]
    Interrupted,
    #[error("stopped before the engine answered")]
    Unanswered,
    #[error(
        "no engine answers in {looked}: start one (`ticklane up`), or name its runtime directory with --dir; engines \
         with control.enabled = false have no command socket"
    )]
    NoEngine { looked: String },
    #[error("several engines answer: {found}; choose one with --dir")]
    SeveralEngines { found: String },
    #[error("{path}: {source}")]
    Control { path: PathBuf, source: io::Error },
    #[error("refused: {0}")]
    Refused(shm_abi::control::Refusal),
    #[error("not done: {what}")]
    NotDone { what: String },
    /// What the journal, or a file of ticks, says.
    #[error("{0}")]
    Ticks(String),
    /// Nobody reads our output any more. Not shown.
    #[error("output closed")]
    OutputClosed,
    #[error("cannot write the output: {0}")]
    Output(io::Error),
}

impl ToolError {
    /// An error of writing to standard output.
    pub(crate) fn output(error: io::Error) -> ToolError {
        match error.kind() {
            io::ErrorKind::BrokenPipe => ToolError::OutputClosed,
            _ => ToolError::Output(error),
        }
    }
}
