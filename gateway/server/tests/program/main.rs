//! The program as a whole: started as an operator starts it, and spoken to over the wire.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

mod gateway;
mod http;
mod lanes;
mod memory;
mod start;
mod websocket;
