//! What one feed writes, and what happens to it at the start, the change and the end of a session.

use shm_abi::board::Quality;
use shm_abi::counters::{FeedCounter, LaneCounter};
use shm_abi::layout::{FeedState, State};
use shm_abi::record::{
    Head, INSTRUMENT_NONE, StatusCause, TradingStatus, flag, gap_reason, kind, session_code, status_body,
};
use shm_abi::segment::{FeedWriter, LaneWriter};

use super::Predecessor;
use crate::{InstrumentIds, MessageAt, Normaliser, Resume, Stamps};

/// UNIX time, in ns, of the venue's local midnight of the day that it is there at the given UNIX time.
pub type Midnight = Box<dyn Fn(u64) -> u64 + Send>;

/// The memory that one feed writes, and the books behind it.
pub struct Output<I> {
    /// The lane: rings, board, directory, counters.
    pub writer: LaneWriter,
    /// The feed's entry.
    pub feed: FeedWriter,
    /// The books.
    pub normaliser: Normaliser<I>,
    /// What the predecessor left, until the venue has said whether its session still runs.
    predecessor: Option<Predecessor>,
    /// The venue sequence up to which the market ring is whole: what its last record must tell a successor. While books
    /// are rebuilt it stays where the predecessor's ring ended, however far the replay is.
    market_sequence: u64,
    /// The venue sequence up to which what comes is only the predecessor's again; `None` when it is rebuilt.
    rebuild_until: Option<u64>,
    midnight: Midnight,
    state: FeedState,
}

impl<I> std::fmt::Debug for Output<I> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut out = f.debug_struct("Output");
        out.field("predecessor", &self.predecessor).field("market_sequence", &self.market_sequence);
        out.finish_non_exhaustive()
    }
}

/// What happened to a feed's session, as readers are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionEvent {
    /// Data flows: the rows are as good as the messages.
    Up,
    /// The line broke: the rows are the last known.
    Down,
    /// The venue ended its session: nothing more will come.
    Ended,
}

/// How a session that begins relates to what was published before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionStart {
    /// The first since this writer began.
    First,
    /// The one that the books belong to goes on.
    Same,
    /// Another one: books start empty, numbers count anew.
    New,
}

impl<I: InstrumentIds> Output<I> {
    /// The output of a writer whose rings begin with what [`begin_sequence`](super::begin_sequence) published for
    /// `predecessor`. `midnight` tells the day's start when a session begins.
    pub fn new(
        writer: LaneWriter,
        normaliser: Normaliser<I>,
        predecessor: Option<Predecessor>,
        midnight: Midnight,
    ) -> Output<I> {
        let feed = writer.feed(0);
        let market_sequence = predecessor.map_or(0, |found| found.market.venue_sequence);
        let state = FeedState::Idle;
        Output { writer, feed, normaliser, predecessor, market_sequence, rebuild_until: None, midnight, state }
    }

    /// Data of `session` begins to flow. `gap`: first and last number that will not come.
    ///
    /// If it is the first session and the one that the predecessor followed, what that one published is rebuilt in
    /// silence; if another, everything is new. Returns the venue sequence up to which a predecessor has published it in both
    /// rings, if it goes on.
    pub fn session_began(
        &mut self,
        session: &[u8; 16],
        start: SessionStart,
        gap: Option<(u64, u64)>,
        stamps: Stamps,
    ) -> Option<u64> {
        let start = self.as_readers_see(session, start);
        let mut published = None;
        match start {
            SessionStart::First => published = self.first_session(session),
            SessionStart::Same => {}
            SessionStart::New => {
                self.feed.counters.add_feed(FeedCounter::SessionChanges, 1);
                self.normaliser.set_midnight((self.midnight)(stamps.ts_recv));
                self.normaliser.new_session(session, stamps, &mut self.writer);
                let (orders_n, market_n) = (self.writer.orders.next_number(), self.writer.market.next_number());
                self.feed.set_session(session, orders_n, market_n);
                self.market_sequence = 0;
                self.rebuild_until = None;
            }
        }
        self.writer.set_state(if self.normaliser.is_rebuilding() { State::Recovering } else { State::Live });
        if let Some((first, last)) = gap {
            self.gap(first, last, gap_reason::SKIPPED_AT_LOGIN, stamps);
        }
        self.set_state(FeedState::Live);
        self.session_event(SessionEvent::Up, stamps.ts_recv);
        published
    }

    /// A successor that meets another session than its predecessor followed: readers, who follow both, see a session that
    /// changes like any other.
    fn as_readers_see(&mut self, session: &[u8; 16], start: SessionStart) -> SessionStart {
        let followed = self.predecessor.and_then(|found| found.session).filter(|followed| followed != session);
        match (start, followed) {
            (SessionStart::First, Some(followed)) => {
                self.predecessor = None;
                self.normaliser.set_session(&followed);
                SessionStart::New
            }
            _ => start,
        }
    }

    fn first_session(&mut self, session: &[u8; 16]) -> Option<u64> {
        self.normaliser.set_session(session);
        let resumed = self.predecessor.take().filter(|found| found.session.as_ref() == Some(session));
        let (orders_n, market_n) = (self.writer.orders.next_number(), self.writer.market.next_number());
        match resumed {
            Some(found) => {
                let (orders_after, market_after) = (found.orders.venue_sequence, found.market.venue_sequence);
                self.normaliser.resume(Resume { orders_after, market_after });
                self.rebuild_until = Some(self.normaliser.published_before());
                Some(orders_after.min(market_after))
            }
            None => {
                self.feed.set_session(session, orders_n, market_n);
                self.market_sequence = 0;
                None
            }
        }
    }

    /// The venue's messages `first` to `last` will not come: see [`Normaliser::gap`].
    pub fn gap(&mut self, first: u64, last: u64, reason: u64, stamps: Stamps) {
        self.normaliser.gap(first, last, reason, stamps, &mut self.writer);
        if self.rebuild_until.is_some_and(|until| self.normaliser.sequence() >= until) {
            self.rebuilt(stamps);
        }
    }

    /// Hands up to [`BATCH`](crate::BATCH) messages to the books.
    #[inline]
    pub fn apply(&mut self, buffer: &[u8], batch: &[MessageAt], stamps: Stamps) {
        match self.rebuild_until {
            None => self.normaliser.apply(buffer, batch, stamps, &mut self.writer),
            Some(until) => self.rebuild(until, buffer, batch, stamps),
        }
        let lag_ns = stamps.ts_publish.saturating_sub(stamps.ts_recv);
        self.writer.counters.set(LaneCounter::LagNs, lag_ns);
        if lag_ns > self.writer.counters.get(LaneCounter::LagMaxNs) {
            self.writer.counters.set(LaneCounter::LagMaxNs, lag_ns);
        }
    }

    /// As [`Output::apply`], while the predecessor's books are rebuilt. Between its last message and the first that is new
    /// readers get what it had lost.
    #[cold]
    fn rebuild(&mut self, until: u64, buffer: &[u8], batch: &[MessageAt], stamps: Stamps) {
        if self.normaliser.in_snapshot() {
            // An image counts by itself, and is published as it is.
            return self.normaliser.apply(buffer, batch, stamps, &mut self.writer);
        }
        let (again, new) = batch.split_at(batch.partition_point(|message| message.sequence <= until));
        if !again.is_empty() {
            self.normaliser.apply(buffer, again, stamps, &mut self.writer);
        }
        if !new.is_empty() || self.normaliser.sequence() >= until {
            self.rebuilt(stamps);
        }
        if !new.is_empty() {
            self.normaliser.apply(buffer, new, stamps, &mut self.writer);
        }
    }

    /// Everything that the predecessor has published was applied again.
    fn rebuilt(&mut self, stamps: Stamps) {
        self.rebuild_until = None;
        self.normaliser.rebuilt(stamps, &mut self.writer);
        self.writer.set_state(State::Live);
    }

    /// Counts a burst that brought `messages`.
    pub fn count_burst(&mut self, messages: u64) {
        self.writer.counters.add(LaneCounter::Bursts, 1);
        if messages > self.writer.counters.get(LaneCounter::BurstMax) {
            self.writer.counters.set(LaneCounter::BurstMax, messages);
        }
    }

    /// Says what the feed is doing.
    pub fn set_state(&mut self, state: FeedState) {
        self.state = state;
        self.feed.set_state(state);
    }

    /// What it was last said to be doing.
    pub fn state(&self) -> FeedState {
        self.state
    }

    /// Tells readers what happened to the session: a status record about the venue, and the quality of every row.
    /// `now_ns`: UNIX time.
    pub fn session_event(&mut self, event: SessionEvent, now_ns: u64) {
        let (status, quality, letter) = match event {
            SessionEvent::Up => (TradingStatus::Unknown, Quality::Fresh, session_code::UP),
            SessionEvent::Down => (TradingStatus::Unknown, Quality::Stale, session_code::DOWN),
            SessionEvent::Ended => (TradingStatus::Closed, Quality::Closed, session_code::ENDED),
        };
        // Rows first: each names the record below before the ring shows it.
        let market_n = self.writer.market.next_number();
        self.normaliser.set_quality(quality, Some(market_n), &mut self.writer);
        // What this burst has published so far counts: a successor may find this record as the last.
        let sequence = self.market_sequence.max(self.normaliser.sequence());
        let head = lane_head(kind::STATUS, status as u8, now_ns, sequence as u32);
        let [w0, w1, w2, w3] = head.words();
        let [a, b, c] = status_body(StatusCause::Session, letter, *b"        ");
        self.writer.market.push(&[w0, w1, w2, w3, a, b, c]);
        self.writer.market.commit();
    }

    /// End of a burst: heads and the feed's sequence. The caller then wakes the sleepers.
    pub fn end_burst(&mut self, next_sequence: u64) {
        self.writer.publish_heads();
        self.market_sequence = self.market_sequence.max(next_sequence.saturating_sub(1));
        self.feed.set_sequence(self.market_sequence);
        self.feed.counters.set_feed(FeedCounter::NextSequence, next_sequence);
    }

    /// The last thing that a lane writes. `now_ns`: the monotonic clock. The caller then wakes the sleepers.
    pub fn close(&mut self, now_ns: u64) {
        self.normaliser.set_quality(Quality::Closed, None, &mut self.writer);
        self.set_state(FeedState::Closed);
        self.writer.publish_heads();
        self.writer.set_state(State::Closed);
        self.writer.heartbeat(now_ns);
    }

    /// Adds `by` to a counter of the feed.
    pub fn count(&mut self, counter: FeedCounter, by: u64) {
        self.feed.counters.add_feed(counter, by);
    }

    /// Adds `by` to a counter of the lane.
    pub fn count_lane(&mut self, counter: LaneCounter, by: u64) {
        self.writer.counters.add(counter, by);
    }
}

/// Head of a record about the lane itself: no instrument, no venue time. It repeats the last venue sequence, so that
/// recovery finds the same place whichever record is the last.
pub(super) fn lane_head(kind: u8, side_or_code: u8, now_ns: u64, venue_sequence_low: u32) -> Head {
    Head {
        kind,
        flags: flag::LAST | flag::RECV_USER,
        span: 1,
        side_or_code,
        instrument_id: INSTRUMENT_NONE,
        ts_event: 0,
        ts_recv: now_ns,
        publish_delay_ns: 0,
        venue_sequence_low,
    }
}
