//! Engines that play a recording: `ticklane replay`, and `ticklane import` of what only an engine understands.

mod config;
mod engine;
mod replay;

pub(crate) use config::{Pace, Recording};
pub(crate) use engine::Engine;
pub(crate) use replay::{Args as ReplayArgs, run as run_replay};
