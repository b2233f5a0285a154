//! Two lines and a recovery line into one gap-free sequence.
//!
//! * [`Packet`] is one datagram after its framing was checked: [`mold::parse`](crate::mold::parse) makes one, and so can
//!   any other protocol of numbered messages in datagrams.
//! * [`Arbiter`] is the receiver: the first copy of each message wins, holes are asked for, what stays lost is declared.
//! * [`Sink`] is what it hands over to: runs of messages in order, gaps, changes of session.
//!
//! The arbiter owns no socket and no clock. Source: MoldUDP64 Protocol Specification 1.00, Nasdaq; IEX-TP 1.0, IEX.

mod arbiter;
mod config;
mod holes;
mod lead;
mod packet;
mod scoreboard;
mod sink;
mod window;

pub use arbiter::{Arbiter, Counters, RecoveryRequest};
pub use config::{ArbiterConfig, ConfigError, NewSession, Start};
pub use packet::{BLOCK_HEADER_BYTES, Blocks, Body, ByteOrder, Packet, PacketError, SessionKey};
pub use scoreboard::{LineScore, LineState};
pub use sink::{GapReason, LineId, SessionStart, Sink, Source};
