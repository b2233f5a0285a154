//! `ticklane export` and `ticklane import`: tick files out of a journal, and into one.

mod export;
mod import;
mod source;

pub(crate) use export::{Args as ExportArgs, run as run_export};
pub(crate) use import::{Args as ImportArgs, run as run_import};

use crate::error::ToolError;

/// Wraps what the journal says of tick files.
fn failed(error: impl std::fmt::Display) -> ToolError {
    ToolError::Ticks(error.to_string())
}
