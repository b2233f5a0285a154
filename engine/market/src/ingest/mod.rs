//! From the bytes of a connection to the books: what stands between a socket and a [`LaneWriter`], without the socket.
//!
//! The reactor owns sockets, clocks and waiting; a simulation owns none of them. Both drive the same code here: bytes
//! and times go in, records, states, counters and bytes to send come out.
//!
//! * [`Output`]: what one feed writes: the lane's rings and board through the normaliser, its entry and counters.
//! * [`SoupBin`]: a SoupBinTCP feed over any number of connections, from login to end of session.
//! * [`Datagrams`]: a feed of lines A and B, with re-requests and images of the books.
//! * [`Predecessor`]: what a killed writer left behind, and how a successor goes on from it.
//!
//! Time on the wire and in records comes from `realtime`, a function argument: it is read once per batch, and a burst has
//! as many batches as it happens to have.
//!
//! [`LaneWriter`]: shm_abi::segment::LaneWriter

mod burst;
mod datagrams;
mod glimpse;
mod inbox;
mod outbox;
mod output;
mod recovery;
mod soupbin;

/// Looks at packets as they come in, whatever becomes of them: `ticklane tap`.
pub trait Tap {
    /// Whether anybody looks: asked before every packet, so it must cost next to nothing.
    fn is_wanted(&self) -> bool;
    /// One packet: its time of receipt (ns since the UNIX epoch), the number of its first message (0 where it has none),
    /// and its bytes: of SoupBinTCP from the type byte on, of datagrams the whole.
    fn packet(&mut self, ts_recv: u64, sequence: u64, bytes: &[u8]);
}

/// Nobody looks.
impl Tap for () {
    fn is_wanted(&self) -> bool {
        false
    }
    fn packet(&mut self, _ts_recv: u64, _sequence: u64, _bytes: &[u8]) {}
}

pub use datagrams::{DatagramNews, Datagrams, DatagramsConfig, Framing, Request};
pub use glimpse::GlimpseConfig;
pub use inbox::Inbox;
pub use outbox::OUTBOX_BYTES;
pub use output::{Midnight, Output, SessionEvent, SessionStart};
pub use recovery::{Predecessor, RingEnd, begin_sequence};
pub use soupbin::{News, SoupBin, SoupBinConfig};
