//! What goes into an arbiter's far end, and where it came from.

use super::SessionKey;
use crate::MessageAt;
use crate::time::Nanos;

/// One of the two copies of a feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LineId {
    /// Line A; of a single line, the only one.
    A,
    /// Line B.
    B,
}

impl LineId {
    /// 0 for A, 1 for B.
    #[inline]
    #[must_use]
    pub const fn index(self) -> usize {
        match self {
            Self::A => 0,
            Self::B => 1,
        }
    }
}

/// Where a packet came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// Multicast, or whatever carries the live feed.
    Line(LineId),
    /// A re-request server's answer. It says nothing of how far the feed is, and only messages asked for are taken.
    Recovery,
}

/// Why messages are declared lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GapReason {
    /// No line has brought them in time, and there is no server to ask.
    NoServer,
    /// Asked for as often and as long as allowed, without an answer that brought them.
    Unanswered,
    /// More had to be held back behind the hole than the window or the table of holes can take.
    Overflow,
    /// The numbers jumped farther than any window; the jump was confirmed by a second packet.
    Jump,
    /// The stream or the session was replaced by another one before they came.
    Abandoned,
}

/// From here on numbers belong to another session, or to the same one counted anew. Books start empty, unless a snapshot
/// has just filled them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionStart {
    /// The session.
    pub session: SessionKey,
    /// Number of the first message that will be handed over or declared lost.
    pub first: u64,
    /// The session before; `None` for the first one of all.
    pub previous: Option<SessionKey>,
}

/// Takes what an arbiter hands over, in order: every number of a session exactly once, as a message or inside a gap.
///
/// It is called within the arbiter's `handle_*` calls and must not block.
pub trait Sink {
    /// At least one and at most [`BATCH`](crate::BATCH) messages with consecutive numbers, all of one packet. `recv` is
    /// that packet's receive stamp. A message of length 0 carries nothing but its number.
    ///
    /// Offsets count in `buffer`, which ends with the call.
    fn messages(&mut self, buffer: &[u8], messages: &[MessageAt], recv: Nanos, source: Source);

    /// Messages `first` to `last`, both included, are lost.
    fn gap(&mut self, first: u64, last: u64, reason: GapReason);

    /// Another session begins, or the same one anew.
    fn session(&mut self, start: SessionStart);

    /// The session is over; everything before `next` has been handed over or declared lost.
    fn end_of_session(&mut self, session: SessionKey, next: u64);
}
