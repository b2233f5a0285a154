//! One feed's normaliser, whichever protocol family it speaks: what the engine calls, without knowing which.

use shm_abi::board::Quality;
use shm_abi::segment::LaneWriter;

use crate::feed::{InstrumentIds, MessageAt, Resume, Stamps};
use crate::iex::Iex;
use crate::itch::Itch;

/// The normaliser of one feed.
#[derive(Debug)]
#[non_exhaustive]
#[expect(clippy::large_enum_variant, reason = "one stands in each lane, and never moves")]
pub enum Normaliser<I> {
    /// An ITCH dialect.
    Itch(Itch<I>),
    /// IEX TOPS or DEEP.
    Iex(Iex<I>),
}

/// Hands a call to whichever normaliser it is.
macro_rules! each {
    ($self:expr, $feed:ident => $call:expr) => {
        match $self {
            Normaliser::Itch($feed) => $call,
            Normaliser::Iex($feed) => $call,
        }
    };
}

impl<I: InstrumentIds> Normaliser<I> {
    /// Applies up to [`BATCH`](crate::BATCH) messages in order and publishes what they did. Places beyond `buf` count as
    /// truncated messages. The heads of the rings are the caller's to move, once per burst.
    ///
    /// # Panics
    /// When the batch is longer.
    #[inline]
    pub fn apply(&mut self, buf: &[u8], batch: &[MessageAt], stamps: Stamps, lane: &mut LaneWriter) {
        each!(self, feed => feed.apply(buf, batch, stamps, lane));
    }

    /// Counts messages that had been seen before.
    pub fn duplicate(&mut self, lane: &mut LaneWriter, count: u64) {
        each!(self, feed => feed.duplicate(lane, count));
    }

    /// Says what the epoch before has published, before the messages of this session are applied again from the first.
    pub fn resume(&mut self, resume: Resume) {
        each!(self, feed => feed.resume(resume));
    }

    /// Whether the message that comes next is already known to both rings of the epoch before.
    pub fn is_rebuilding(&self) -> bool {
        each!(self, feed => feed.is_rebuilding())
    }

    /// Venue sequence of the last event that the epoch before has published in either ring; 0: none.
    pub fn published_before(&self) -> u64 {
        each!(self, feed => feed.published_before())
    }

    /// What the epoch before has published is applied again up to [`Normaliser::published_before`], and nothing newer. Where
    /// that epoch had told readers of losses, and these books are whole, an image of them is published, which makes those
    /// of readers whole: clears, orders or levels, and the end of the image, flagged
    /// [`SNAPSHOT`](shm_abi::record::flag::SNAPSHOT).
    pub fn rebuilt(&mut self, stamps: Stamps, lane: &mut LaneWriter) {
        each!(self, feed => feed.rebuilt(stamps, lane));
    }

    /// Venue sequence of the last message that was applied or declared missing; 0 before the first.
    pub fn sequence(&self) -> u64 {
        each!(self, feed => feed.sequence())
    }

    /// Names the venue's session without clearing anything: before its first message.
    pub fn set_session(&mut self, session: &[u8; 16]) {
        each!(self, feed => feed.set_session(session));
    }

    /// Changes the UNIX time of the venue's local midnight, ns: with a new day. Values from 2^63 on are cut below it.
    pub fn set_midnight(&mut self, midnight_ns: u64) {
        each!(self, feed => feed.set_midnight(midnight_ns));
    }

    /// Declares the venue's messages `first` to `last` missing. Every book announced so far is suspect until it is
    /// cleared by the venue, a new session, or a snapshot. `reason`: see [`shm_abi::record::gap_reason`].
    pub fn gap(&mut self, first: u64, last: u64, reason: u64, stamps: Stamps, lane: &mut LaneWriter) {
        each!(self, feed => feed.gap(first, last, reason, stamps, lane));
    }

    /// The venue began a new session: publishes the restart, then clears every book and row of this feed. The sequence
    /// counts anew; what was to be resumed is over.
    pub fn new_session(&mut self, session: &[u8; 16], stamps: Stamps, lane: &mut LaneWriter) {
        each!(self, feed => feed.new_session(session, stamps, lane));
    }

    /// Says how far the rows can be trusted; suspect books stay gapped while the feed is live. `market_n`: number of the
    /// market record that will tell of it, which the rows then reflect; `None` when none will.
    pub fn set_quality(&mut self, quality: Quality, market_n: Option<u64>, lane: &mut LaneWriter) {
        each!(self, feed => feed.set_quality(quality, market_n, lane));
    }

    /// Marks every book announced so far suspect, as after a gap, without declaring one: a stream that is known to have
    /// begun in the middle.
    pub fn mark_suspect(&mut self, stamps: Stamps, lane: &mut LaneWriter) {
        each!(self, feed => feed.mark_suspect(stamps, lane));
    }

    /// Begins an image of the books (GLIMPSE): clears every book, by records flagged
    /// [`SNAPSHOT`](shm_abi::record::flag::SNAPSHOT). What is applied until [`Normaliser::snapshot_end`] is part of the
    /// image: its records are flagged so, its message numbers mean nothing, and the feed's sequence stands still.
    pub fn snapshot_begin(&mut self, stamps: Stamps, lane: &mut LaneWriter) {
        each!(self, feed => feed.snapshot_begin(stamps, lane));
    }

    /// Ends an image that shows the books after the venue's message `sequence`: the next message to apply is the one
    /// after it, and the books are trusted again. `false`: the image is older than what was already published, and
    /// applying the messages between again would publish them twice; the books stay suspect, and the caller takes a
    /// newer image.
    #[must_use]
    pub fn snapshot_end(&mut self, sequence: u64, stamps: Stamps, lane: &mut LaneWriter) -> bool {
        each!(self, feed => feed.snapshot_end(sequence, stamps, lane))
    }

    /// Ends an image that will not be completed: its line broke. The books stay suspect.
    pub fn snapshot_abandon(&mut self, stamps: Stamps, lane: &mut LaneWriter) {
        each!(self, feed => feed.snapshot_abandon(stamps, lane));
    }

    /// Whether an image is being taken in.
    pub fn in_snapshot(&self) -> bool {
        each!(self, feed => feed.in_snapshot())
    }
}

impl<I> From<Itch<I>> for Normaliser<I> {
    fn from(itch: Itch<I>) -> Self {
        Normaliser::Itch(itch)
    }
}

impl<I> From<Iex<I>> for Normaliser<I> {
    fn from(iex: Iex<I>) -> Self {
        Normaliser::Iex(iex)
    }
}
