//! What happens to a feed as a whole: restarts, gaps, new sessions, better and worse times.

use shm_abi::board::{Quality, RowUpdate};
use shm_abi::counters::LaneCounter;
use shm_abi::layout::row;
use shm_abi::record::{Restart, flag, kind, restart_body, restart_reason};
use shm_abi::segment::LaneWriter;

use super::{Facts, InstrumentIds, Itch, NO_ROW, Resume, Stamps, quality_of};
use crate::day;
use crate::publish::{Event, Io, Known, NO_SIDE};

/// A new day of an instrument begins.
pub(super) fn clear_row(row: &mut RowUpdate<'_>) {
    day::begin(row);
    day::clear_book(row);
    row.set_status(shm_abi::record::TradingStatus::Unknown, 0);
}

impl<I: InstrumentIds> Itch<I> {
    /// Says what the epoch before has published, before the messages of this session are applied again from the first.
    pub fn resume(&mut self, resume: Resume) {
        self.feed.resume = resume;
    }

    /// Venue sequence of the last event that the epoch before has published in either ring; 0: none.
    pub fn published_before(&self) -> u64 {
        self.feed.resume.orders_after.max(self.feed.resume.market_after)
    }

    /// Whether the message that comes next is already known to both rings of the epoch before.
    pub fn is_rebuilding(&self) -> bool {
        Known::of(self.feed.sequence + 1, &self.feed.resume).everywhere
    }

    /// Venue sequence of the last message that was applied or declared missing; 0 before the first.
    pub fn sequence(&self) -> u64 {
        self.feed.sequence
    }

    /// Names the venue's session without clearing anything: before its first message.
    pub fn set_session(&mut self, session: &[u8; 16]) {
        self.feed.session = *session;
    }

    /// Changes the UNIX time of the venue's local midnight, ns: with a new day. Values from 2^63 on are cut below it.
    pub fn set_midnight(&mut self, midnight_ns: u64) {
        self.feed.clock.set_midnight(midnight_ns.min(u64::MAX >> 1));
    }

    /// Declares the venue's messages `first` to `last` missing. Every book announced so far is suspect until the venue
    /// clears it, the next session, or a snapshot. What the epoch before has published of them is left out of what readers
    /// are told. `reason`: see [`shm_abi::record::gap_reason`].
    pub fn gap(&mut self, first: u64, last: u64, reason: u64, stamps: Stamps, lane: &mut LaneWriter) {
        let feed = &mut self.feed;
        feed.sequence = feed.sequence.max(last);
        feed.clock.lose();
        let event = Event::bare(last, stamps.ts_recv, stamps.ts_publish, stamps.flags);
        // What the epoch before has told is not missing to anybody.
        let [orders_first, market_first] = feed.resume.missing_from(first);
        let (orders, market) = (orders_first > last, market_first > last);
        feed.trust.lose(!(orders && market), &mut lane.counters);
        let mut io = Io::open(Known { orders, market, everywhere: orders && market }, feed.mark(&event), lane);
        io.out.orders.put(event.record(kind::GAP, NO_SIDE, 0, [orders_first, last, reason]));
        io.out.market.put(event.record(kind::GAP, NO_SIDE, 0, [market_first, last, reason]));
        let (quality, rebuilding) = (feed.quality, io.out.is_rebuilding());
        feed.tell_all(&event, &mut io, |facts, row| {
            facts.bits |= flag::SUSPECT;
            row.set_quality(quality_of(facts, quality));
        });
        if !rebuilding {
            lane.counters.add(LaneCounter::Gaps, 1);
            lane.counters.add(LaneCounter::GapMessages, last.saturating_sub(market_first).saturating_add(1));
        }
    }

    /// The venue began a new session: publishes the restart, then clears every book and row of this feed. The sequence
    /// counts anew; what was to be resumed is over.
    pub fn new_session(&mut self, session: &[u8; 16], stamps: Stamps, lane: &mut LaneWriter) {
        let feed = &mut self.feed;
        let old_session = std::mem::replace(&mut feed.session, *session);
        let venue_sequence = std::mem::take(&mut feed.sequence);
        feed.resume = Resume::default();
        feed.phase = 0;
        feed.imaging = false;
        feed.forget_directory();
        let event = Event::bare(0, stamps.ts_recv, stamps.ts_publish, stamps.flags);
        let restart = |old_end| Restart {
            old_epoch: lane.identity().epoch,
            old_end,
            session: old_session,
            venue_sequence,
            reason: restart_reason::SESSION,
        };
        let ends = [lane.orders.next_number(), lane.market.next_number()].map(|end| restart_body(&restart(end)));
        let mut io = Io::open(Known::NOWHERE, None, lane);
        io.out.restart(&event, &ends);
        io.out.finish();
        let mut symbols: Vec<_> = feed.symbols.by_name.values_mut().collect();
        symbols.sort_unstable_by_key(|symbol| symbol.row);
        for symbol in symbols {
            let mut event = event;
            let mut io = Io::open(Known::NOWHERE, None, lane);
            if let Some(at) = symbol.at.take() {
                feed.book.clear(at);
                feed.facts[at as usize] = Facts::UNKNOWN;
            }
            if symbol.row == NO_ROW {
                continue;
            }
            event.instrument_id = symbol.instrument_id;
            io.out.both(event.record(kind::CLEAR, NO_SIDE, 0, [0; 3]));
            let mut row = io.board.update(symbol.row as usize);
            clear_row(&mut row);
            row.set_quality(feed.quality);
            io.out.finish_with_row(&event, row);
        }
        feed.trust.mend(true, &mut lane.counters);
        lane.counters.set(LaneCounter::LiveOrders, feed.book.live_orders() as u64);
    }

    /// Says how far the rows can be trusted; suspect books stay gapped while the feed is live. `market_n`: number of the
    /// market record that will tell of it, which the rows then reflect; `None` when none will.
    pub fn set_quality(&mut self, quality: Quality, market_n: Option<u64>, lane: &mut LaneWriter) {
        self.feed.quality = quality;
        for symbol in self.feed.symbols.by_name.values().filter(|symbol| symbol.row != NO_ROW) {
            let facts = symbol.at.map_or(Facts::UNKNOWN, |at| self.feed.facts[at as usize]);
            let mut row = lane.board.update(symbol.row as usize);
            row.set_quality(quality_of(&facts, quality));
            if let Some(market_n) = market_n {
                row.set(row::MARKET_N, market_n);
            }
        }
    }
}
