//! Commands: what an operator, or a gateway, may ask of a running engine.
//!
//! ```text
//! control.sock --> server thread --> FeedHandle --bounded queue--> FeedPort (polled by the feed's task between bursts)
//!                                               <--facts, tap-----
//! ```
//!
//! The server runs on threads of its own, off the feeds' cores. It meets a feed's task at one place, the pair made by
//! [`feed_pair`]: commands go one way through a bounded queue, and the other way come facts (written when a connection
//! changes, never per packet) and, while somebody looks, copies of packets through a bounded ring.
//!
//! Source: decisions.md 14, 15, 23.

#![allow(dead_code, unused_imports, reason = "the server and the feeds' tasks that use it come next")]

mod link;
mod tap_ring;

pub(crate) use link::{FeedCommand, FeedFacts, FeedHandle, FeedIdentity, FeedPort, LineScore, feed_pair};
pub(crate) use tap_ring::{TapEntry, TapKind, TapReader, TapWriter};
