//! The engine's command socket: what is said on it, and how it is framed. Types and bytes only, no socket.
//!
//! A message is a length (u32, little-endian, at most [`MESSAGE_BYTES_MAX`]) and so many bytes of JSON: a [`Request`] one
//! way, a [`Response`] with the same `id` the other way. A server refuses fields that it does not know; a client passes
//! over those that it does not know, so that a newer engine can tell it more.
//!
//! ```text
//! -> {"version":1,"id":7,"command":{"connect":{"feed":"nasdaq","address":"failover","wait_ms":5000}}}
//! <- {"version":1,"id":7,"reply":{"outcome":{"result":"connected","feed":"nasdaq","state":"live",...}}}
//! ```
//!
//! Feature `control`: who only reads segments needs neither this nor JSON.
//!
//! Source: decisions.md 14, 15; contract dse-itch-api sections 3 to 5.

mod definition;
mod frame;
mod packet;
mod reply;
mod request;

pub use definition::{
    CalendarDefinition, Definition, DefinitionKind, FeedDefinition, InstrumentDefinition, MappingDefinition, Setting,
};
pub use frame::{FrameError, LENGTH_BYTES, MESSAGE_BYTES_MAX, encode, next_frame};
pub use packet::{DecodedMessage, TapPacket};
pub use reply::{
    Change, ControlCounters, DefinedReport, DefinitionsPage, DemandReport, FeedAddress, FeedStatus, FeedsPage,
    LineStatus, Outcome, PacketCounts, Refusal, RefusalCode, ReloadReport, Reply, Response, TapEnd, TapEvent,
};
pub use request::{AddressChoice, Command, InstrumentName, PaceChange, Request, Right, TapSource, read_request};

/// Version of the messages. A server refuses another and names both.
pub const VERSION: u32 = 1;
/// Name of the socket in the runtime directory.
pub const SOCKET_NAME: &str = "control.sock";
/// Longest that a command may wait for its outcome, ms.
pub const WAIT_MS_MAX: u64 = 60_000;
/// Most instruments of one demand.
pub const DEMAND_INSTRUMENTS_MAX: usize = 1_000;

#[cfg(test)]
mod tests;
