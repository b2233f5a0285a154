//! What happens to a feed as a whole: restarts, gaps, new sessions, better and worse times.

use shm_abi::board::Quality;
use shm_abi::counters::LaneCounter;
use shm_abi::layout::row;
use shm_abi::record::{Restart, clear_code, flag, kind, restart_body, restart_reason, session_code};
use shm_abi::segment::LaneWriter;

use super::status::set_status;
use super::{Iex, InstrumentIds, Io, Resume, Stamps, market_only, quality_of};
use crate::publish::{Event, NO_SIDE};
use crate::{day, window};

impl<I: InstrumentIds> Iex<I> {
    /// Says what the epoch before has published, before the messages of this session are applied again from the first.
    /// The orders ring never has anything of this feed.
    pub fn resume(&mut self, resume: Resume) {
        self.resume = resume;
    }

    /// Venue sequence of the last event that the epoch before has published; 0: none.
    pub fn published_before(&self) -> u64 {
        self.resume.market_after
    }

    /// Whether the message that comes next is already known to the market ring of the epoch before.
    pub fn is_rebuilding(&self) -> bool {
        self.sequence < self.resume.market_after
    }

    /// Venue sequence of the last message that was applied or declared missing; 0 before the first.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Names the venue's session without clearing anything: before its first message.
    pub fn set_session(&mut self, session: &[u8; 16]) {
        self.session = *session;
    }

    /// The venue's times are whole: nothing to change with a new day.
    pub fn set_midnight(&mut self, _midnight_ns: u64) {}

    /// Declares the venue's messages `first` to `last` missing. Every book is suspect until the stream or the session
    /// begins anew. `reason`: see [`shm_abi::record::gap_reason`].
    pub fn gap(&mut self, first: u64, last: u64, reason: u64, stamps: Stamps, lane: &mut LaneWriter) {
        self.sequence = self.sequence.max(last);
        let event = Event::bare(last, stamps.ts_recv, stamps.ts_publish, stamps.flags);
        self.trust.lose(last > self.resume.market_after, &mut lane.counters);
        let mut io = self.begin(&event, lane);
        // What the epoch before has told is not missing to anybody.
        let [_, first] = self.resume.missing_from(first);
        io.out.market.put(event.record(kind::GAP, NO_SIDE, 0, [first, last, reason]));
        let (quality, rebuilding) = (self.quality, io.out.is_rebuilding());
        self.tell_all(&event, &mut io, |facts, row| {
            facts.bits |= flag::SUSPECT;
            row.set_quality(quality_of(facts, quality));
        });
        if !rebuilding {
            lane.counters.add(LaneCounter::Gaps, 1);
            lane.counters.add(LaneCounter::GapMessages, last.saturating_sub(first).saturating_add(1));
        }
    }

    /// The stream began anew: publishes the restart, then clears every book and status of this feed. With another session
    /// the day's statistics begin anew as well; within the same one, which the venue restarts now and then, they go on.
    /// The sequence counts anew; what was to be resumed is over.
    pub fn new_session(&mut self, session: &[u8; 16], stamps: Stamps, lane: &mut LaneWriter) {
        let old_session = std::mem::replace(&mut self.session, *session);
        let venue_sequence = std::mem::take(&mut self.sequence);
        let code = if old_session == *session { clear_code::BOOK } else { clear_code::DAY };
        self.resume = Resume::default();
        self.phase = 0;
        let event = Event::bare(0, stamps.ts_recv, stamps.ts_publish, stamps.flags);
        let restart = |old_end| Restart {
            old_epoch: lane.identity().epoch,
            old_end,
            session: old_session,
            venue_sequence,
            reason: restart_reason::SESSION,
        };
        let ends = [lane.orders.next_number(), lane.market.next_number()].map(|end| restart_body(&restart(end)));
        let mut io = Io::open(market_only(false), None, lane);
        io.out.restart(&event, &ends);
        io.out.finish();
        for (at, facts) in self.facts.iter_mut().enumerate() {
            let mut event = event;
            self.book.clear(at as u32);
            (facts.bits, facts.state) = (0, 0);
            facts.name(&mut event);
            let mut io = Io::open(market_only(false), None, lane);
            io.out.market.put(event.record(kind::CLEAR, code, 0, [0; 3]));
            let mut row = io.board.update(facts.row as usize);
            day::clear_book(&mut row);
            if code == clear_code::DAY {
                day::begin(&mut row);
            }
            set_status(facts, self.phase, &mut row);
            row.set_quality(quality_of(facts, self.quality));
            io.out.finish_with_row(&event, row);
        }
        self.trust.mend(true, &mut lane.counters);
        lane.counters.set(LaneCounter::LiveOrders, self.book.live_orders() as u64);
    }

    /// Says how far the rows can be trusted; suspect books stay gapped while the feed is live. `market_n`: number of the
    /// market record that will tell of it, which the rows then reflect; `None` when none will.
    pub fn set_quality(&mut self, quality: Quality, market_n: Option<u64>, lane: &mut LaneWriter) {
        self.quality = quality;
        for facts in &self.facts {
            let mut row = lane.board.update(facts.row as usize);
            row.set_quality(quality_of(facts, quality));
            if let Some(market_n) = market_n {
                row.set(row::MARKET_N, market_n);
            }
        }
    }

    /// Marks every book suspect, as after a gap, without declaring one: a stream that is known to have begun in the
    /// middle.
    pub fn mark_suspect(&mut self, stamps: Stamps, lane: &mut LaneWriter) {
        self.trust.lose(true, &mut lane.counters);
        let event = Event::bare(self.sequence, stamps.ts_recv, stamps.ts_publish, stamps.flags);
        let quality = self.quality;
        self.session_status(session_code::SUSPECT, &event, lane, |facts, row| {
            facts.bits |= flag::SUSPECT;
            row.set_quality(quality_of(facts, quality));
        });
    }
}

/// What readers lack after a restart.
impl<I: InstrumentIds> Iex<I> {
    /// See [`Normaliser::rebuilt`](crate::Normaliser::rebuilt). There are no orders to tell of: the image is windows and
    /// quotes.
    pub fn rebuilt(&mut self, stamps: Stamps, lane: &mut LaneWriter) {
        if !self.trust.owes_repair(&mut lane.counters) {
            return;
        }
        let flags = stamps.flags | flag::SNAPSHOT;
        let event = Event::bare(self.sequence, stamps.ts_recv, stamps.ts_publish, flags);
        for facts in &self.facts {
            let mut event = event;
            facts.name(&mut event);
            let mut io = Io::open(market_only(false), None, lane);
            let mut row = io.board.update(facts.row as usize);
            event.ts_event = row.get(row::TS_EVENT);
            window::image(&event, &row, &mut io.out.market);
            row.set_quality(quality_of(facts, self.quality));
            io.out.finish_with_row(&event, row);
        }
        let quality = self.quality;
        self.session_status(session_code::IMAGE, &event, lane, |facts, row| {
            row.set_quality(quality_of(facts, quality))
        });
        lane.counters.add(LaneCounter::Repairs, 1);
        self.trust.mend(true, &mut lane.counters);
    }
}

/// IEX sends no images of its books. The methods are there because every feed has them.
impl<I: InstrumentIds> Iex<I> {
    /// Nothing: what is applied next is what the venue sent next.
    pub fn snapshot_begin(&mut self, _stamps: Stamps, _lane: &mut LaneWriter) {}

    /// `false`: nothing was taken in.
    #[must_use]
    pub fn snapshot_end(&mut self, _sequence: u64, _stamps: Stamps, _lane: &mut LaneWriter) -> bool {
        false
    }

    /// Nothing was begun.
    pub fn snapshot_abandon(&mut self, _stamps: Stamps, _lane: &mut LaneWriter) {}

    /// Never.
    pub fn in_snapshot(&self) -> bool {
        false
    }
}
