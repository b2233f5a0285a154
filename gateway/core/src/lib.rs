//! The gateway's pure core: from records of a lane to frames that a connection lacks. No socket, no clock, no thread.
//!
//! Bytes and times come in as arguments, frames go out through a [`shard::Sink`]. One [`shard::Shard`] is one thread's
//! worth of gateway: the lanes it reads, its subscribers, and what each of them still lacks.
//!
//! ```text
//! records -> state (what the board says, at the reader's cursor) -> event, encoded once per dialect -> frame ring
//!                                                                        -> outboxes (references) -> one send each
//! ```
//!
//! | module | job |
//! |---|---|
//! | [`limits`] | every bound, its default and its name in `gateway.toml` |
//! | [`topic`] | what can be subscribed |
//! | [`number`] | exact decimals of prices and quantities |
//! | [`state`] | an instrument as the reader's cursor sees it: board row, then deltas |
//! | [`trades`] | the newest trades, in fixed memory |
//! | [`dialect`] | what a client protocol translates between: commands in, frames out |
//! | [`native`] | the native JSON dialect, and the JSON objects that REST shares with it |
//! | [`frames`] | server frames of WebSocket, and the ring in which each stands once |
//! | [`outbox`] | what one connection lacks |
//! | [`replay`] | what is asked of the recorded bus, and what it gives |
//! | [`shard`] | joins, events, conflation, restarts: the rest |
//!
//! Source: design.md 5; decisions.md 2, 6, 7, 15 to 18; `gateway/PROTOCOL.md`.
#![forbid(unsafe_code)]

pub mod dialect;
pub mod frames;
#[doc(hidden)]
pub mod fuzz_entry;
pub mod limits;
pub mod native;
pub mod number;
pub mod outbox;
pub mod replay;
pub mod shard;
pub mod state;
pub mod topic;
pub mod trades;
