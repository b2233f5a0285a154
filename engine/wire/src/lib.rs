//! Pure protocol code: bytes to venue messages, and sessions as state machines.
//!
//! Nothing here owns a socket, a clock, a thread or a lock. Bytes and time are arguments, so every behaviour of a venue
//! can be replayed in a unit test, and a simulation can drive both ends of a connection in one thread.
//!
//! * [`dialect`]: ITCH dialects as data, for the book's hot path, for everything else, and for a venue.
//! * [`iex`]: IEX TOPS 1.6 and DEEP 1.0, all messages as views.
//! * [`iextp`]: IEX-TP 1.0, packets and requests.
//! * [`itch50`]: Nasdaq TotalView-ITCH 5.0, all 23 messages as views, and the straight decode for the book.
//! * [`itchfile`]: the length-prefixed framing of archive files.
//! * [`pcap`]: classic captures, down to datagrams and TCP streams.
//! * [`soupbin`]: SoupBinTCP 3.00, client, server and reconnect policy.
//! * [`glimpse`]: snapshots over SoupBinTCP, and where the live feed goes on.
//! * [`mold`]: MoldUDP64 1.00, packets and requests.
//! * [`multicast`]: two lines and a recovery line into one gap-free sequence, whatever the framing.
//!
//! Every parser is total: any input gives a value or an error, never a panic, and never an allocation whose size the
//! wire chose.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::type_complexity, reason = "the type of a test table is its header line"))]

pub mod dialect;
mod error;
#[doc(hidden)]
pub mod fuzz_entry;
pub mod glimpse;
pub mod iex;
pub mod iextp;
pub mod itch50;
pub mod itchfile;
mod message;
pub mod mold;
pub mod multicast;
pub mod pcap;
pub mod soupbin;
pub mod time;

pub use error::DecodeError;
pub use message::{BATCH, MessageAt};
pub use time::Nanos;
