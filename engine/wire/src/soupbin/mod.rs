//! SoupBinTCP 3.00: one numbered list of opaque messages over one TCP connection.
//!
//! * [`frame`] cuts bytes into packets and writes packets.
//! * [`client`] is the life of one connection at the receiving end.
//! * [`server`] is the same at the sending end.
//! * [`backoff`] says when and where to connect again.
//!
//! Message numbers are never on the wire after login; both ends count. Source: SoupBinTCP 3.00 specification, Nasdaq.

pub mod backoff;
pub mod client;
pub mod field;
pub mod frame;
pub mod server;
