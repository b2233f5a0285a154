//! The WebSocket client against a gateway that follows a script.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod connection;
mod data;
mod gateway;
mod losses;
