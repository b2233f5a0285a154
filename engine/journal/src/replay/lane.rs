//! Steps into a lane: rings, board, directory, counters.

use shm_abi::counters::LaneCounter;
use shm_abi::directory::{DirectoryError, Instrument};
use shm_abi::record::{
    AnomalyCode, Head, INSTRUMENT_NONE, StatusCause, flag, gap_reason, kind, restart_reason, session_code, side,
};
use shm_abi::ring::RingWriter;
use shm_abi::segment::{LaneWriter, MappedRing, RingName};
use shm_abi::slot::SLOT_WORDS;

use super::facts::{First, head};
use super::rows::{Rows, Said, Target};
use super::step::{Missing, Step};
use crate::{RINGS, ring_index};

/// Records of an event that are looked at together: more than an image of the largest window has.
const EVENT_RECORDS: usize = 512;
/// Most prints of a day that are kept of venues that break trades.
const PRINTS_LIMIT: usize = 1 << 20;
/// An event takes at most this part of a ring; a longer one, which no lane has published, is cut.
const EVENT_SHARE: u64 = 2;

/// Above these bits of a record's first word stand its instrument and side.
const PLACE_SHIFT: u32 = 24;

/// What was republished.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Records, orders first. Those that the republisher adds itself are not in it.
    pub records: [u64; 2],
    /// Venue events.
    pub events: u64,
    /// Holes that were declared, orders first.
    pub holes: [u64; 2],
    /// Slots that are missing there, as far as known.
    pub missing_slots: [u64; 2],
    /// Instruments.
    pub instruments: u64,
    /// Records whose instrument has no row: they are in the rings, and move nothing on the board.
    pub unnamed: u64,
}

/// What a batch adds to the lane's counters.
#[derive(Debug, Default)]
struct Tally {
    events: u64,
    trades: u64,
    quote_events: u64,
    gaps: u64,
    gap_messages: u64,
    anomalies: [u64; 16],
    rare: bool,
}

/// Writes recorded steps into a lane of its own. Every part of an event that rows show is on its row before a ring shows
/// the event; after [`Republisher::new`] and but for instruments it allocates nothing (the first print of a venue that
/// takes broken trades out of the day makes room for its day).
#[derive(Debug)]
pub struct Republisher {
    rows: Rows,
    /// The market ring's part of the event, as far as it is there.
    event: Vec<First>,
    market_n: u64,
    said: Said,
    /// The newest record of the ring was not the last of its event.
    cut: [bool; 2],
    /// Publish time of the newest record, ns since the UNIX epoch.
    newest_ns: Option<u64>,
    /// Venue sequence of each ring's newest record, whole as far as marks have told.
    sequence: [u64; 2],
    counts: Counts,
    tally: Tally,
    /// Instrument and side that were announced last.
    announced: u64,
}

impl Republisher {
    /// For a lane with room for so many instruments, of which it has none yet.
    pub fn new(instruments: usize) -> Republisher {
        Republisher {
            rows: Rows::new(instruments, PRINTS_LIMIT),
            event: Vec::with_capacity(EVENT_RECORDS),
            market_n: 0,
            said: Said::default(),
            cut: [false; 2],
            newest_ns: None,
            sequence: [0; 2],
            counts: Counts::default(),
            tally: Tally::default(),
            announced: u64::MAX,
        }
    }

    /// Counts so far.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Takes a step. What it completes is visible to readers who poll the slots; the heads move in
    /// [`Republisher::publish_heads`].
    ///
    /// # Errors
    /// An instrument that the directory or the depth area has no room for. Nothing has changed then.
    #[inline]
    pub fn take(&mut self, step: &Step<'_>, lane: &mut LaneWriter) -> Result<(), DirectoryError> {
        match step {
            Step::Record { ring, words, whole, ahead, .. } => {
                // Records of an event stand together: their row and side are asked for once.
                let place = *ahead >> PLACE_SHIFT;
                if *ring == RingName::Market && place != self.announced {
                    self.announced = place;
                    self.rows.expect(*ahead, &lane.board);
                }
                self.record(*ring, words, *whole, lane);
            }
            Step::Missing(missing) => self.missing(missing, lane),
            Step::Instrument(instrument) => self.instrument(instrument, lane)?,
            Step::Past { ring, words, whole } => self.past(*ring, words, *whole, lane),
        }
        Ok(())
    }

    /// End of a batch: counters, then the heads. The caller wakes the sleepers.
    pub fn publish_heads(&mut self, lane: &mut LaneWriter) {
        self.count(lane);
        lane.publish_heads();
    }

    /// The source has ended: an event without an end is shown as it is.
    pub fn finish(&mut self, lane: &mut LaneWriter) {
        RINGS.into_iter().for_each(|ring| self.cut_event(ring, lane));
        self.publish_heads(lane);
    }

    #[inline]
    fn record(&mut self, ring: RingName, words: &[u64], whole: bool, lane: &mut LaneWriter) {
        let Some(first) = words.first_chunk::<SLOT_WORDS>() else { return };
        if first[0] as u8 == kind::SKIP {
            // Its numbers are those of another ring: here it is a hole.
            let missing = Missing { ring, slots: 0, next_sequence_low: None, published_ns: 0 };
            return self.missing(&missing, lane);
        }
        let at = ring_index(ring);
        let writer = writer_of(lane, ring);
        let n = if words.len() == SLOT_WORDS { writer.push(first) } else { writer.push_span(words) };
        let is_last = first[0] >> 8 & u64::from(flag::LAST) != 0;
        let overlong = writer.open_slots() >= writer.slots() / EVENT_SHARE;
        self.counts.records[at] += 1;
        self.cut[at] = !is_last;
        self.follow(at, first, words);
        match ring {
            RingName::Orders => self.note_orders(first),
            RingName::Market => self.note_market(n, first, words, lane),
        }
        if whole {
            self.commit(lane);
        } else if overlong {
            self.cut_event(ring, lane);
        }
    }

    /// Keeps up with the venue's sequence.
    #[inline(always)]
    fn follow(&mut self, at: usize, first: &First, words: &[u64]) {
        let known = self.sequence[at];
        let low = (first[3] >> 32) as u32;
        // From the nearest number with this low half.
        self.sequence[at] = known.wrapping_add_signed(i64::from(low.wrapping_sub(known as u32) as i32));
        match first[0] as u8 {
            kind::MARK => self.sequence[at] = first[4],
            // A session counts anew; an engine goes on.
            kind::RESTART if words.get(9) != Some(&restart_reason::ENGINE) => self.sequence[at] = 0,
            kind::RESTART => self.sequence[at] = first[6],
            _ => {}
        }
        self.newest_ns = Some(head(first).ts_publish());
    }

    #[inline(always)]
    fn note_orders(&mut self, first: &First) {
        match first[0] as u8 {
            kind::ANOMALY => self.said.anomaly = true,
            kind::RESTART => self.said.restart = true,
            kind::STATUS => {
                let [.., a, _, _] = *first;
                let ends = StatusCause::from_code(a as u8) == StatusCause::Session
                    && (a >> 8) as u8 == session_code::IMAGE
                    && head(first).instrument_id == INSTRUMENT_NONE;
                self.said.image_end |= ends;
            }
            _ => {}
        }
    }

    #[inline(always)]
    fn note_market(&mut self, n: u64, first: &First, words: &[u64], lane: &mut LaneWriter) {
        if self.event.len() == EVENT_RECORDS {
            self.show_rows(lane);
        }
        self.market_n = n;
        self.event.push(*first);
        match first[0] as u8 {
            kind::TRADE => self.tally.trades += 1,
            kind::GAP => {
                self.tally.gaps += 1;
                let messages = first[5].saturating_sub(first[4]).saturating_add(1);
                self.tally.gap_messages = self.tally.gap_messages.saturating_add(messages);
            }
            kind::ANOMALY => {
                self.tally.rare = true;
                self.tally.anomalies[usize::from(head(first).side_or_code & 15)] += 1;
            }
            kind::RESTART => self.said.restart_reason = words.get(9).copied().unwrap_or(restart_reason::UNKNOWN),
            _ => {}
        }
    }

    /// A venue event is whole in both rings: the rows, then the rings.
    #[inline]
    fn commit(&mut self, lane: &mut LaneWriter) {
        if !self.event.is_empty() && !self.cut[1] {
            self.show_rows(lane);
        }
        if !self.cut[0] {
            lane.orders.commit();
        }
        if !self.cut[1] {
            lane.market.commit();
        }
        self.said = Said::default();
        self.tally.events += 1;
        self.counts.events += 1;
    }

    fn show_rows(&mut self, lane: &mut LaneWriter) {
        let LaneWriter { board, directory, .. } = lane;
        let mut target = Target { board, directory, said: self.said, market_n: self.market_n };
        self.counts.unnamed += self.rows.apply(&self.event, &mut target);
        let quoted = self.event.iter().any(|words| words[0] as u8 == kind::QUOTE);
        self.tally.quote_events += u64::from(quoted);
        self.event.clear();
    }

    /// What there is of a ring's open event is all that there will be.
    #[cold]
    fn cut_event(&mut self, ring: RingName, lane: &mut LaneWriter) {
        if ring == RingName::Market && !self.event.is_empty() {
            self.show_rows(lane);
        }
        self.cut[ring_index(ring)] = false;
        writer_of(lane, ring).commit();
    }

    /// Declares a hole in its ring, and in the market ring on every row.
    #[cold]
    fn missing(&mut self, missing: &Missing, lane: &mut LaneWriter) {
        let Missing { ring, slots, next_sequence_low, .. } = *missing;
        let at = ring_index(ring);
        let first = self.sequence[at].saturating_add(u64::from(!self.cut[at]));
        self.cut_event(ring, lane);
        let known = self.sequence[at];
        let next = next_sequence_low
            .map_or(known, |low| known.wrapping_add_signed(i64::from(low.wrapping_sub(known as u32) as i32)));
        let last = next.saturating_sub(1).max(first);
        // Its time is that of the newest record: nobody knows when the missing ones were published.
        let ts_recv = self.newest_ns.unwrap_or(missing.published_ns);
        let head = Head {
            kind: kind::GAP,
            flags: flag::LAST | flag::RECV_USER,
            span: 1,
            side_or_code: side::NONE,
            instrument_id: INSTRUMENT_NONE,
            ts_event: 0,
            ts_recv,
            publish_delay_ns: 0,
            venue_sequence_low: last as u32,
        };
        let [a, b, c, d] = head.words();
        let words = [a, b, c, d, first, last, gap_reason::RECORDING];
        let n = writer_of(lane, ring).push(&words);
        if ring == RingName::Market {
            self.note_market(n, &words, &words, lane);
            self.show_rows(lane);
        }
        writer_of(lane, ring).commit();
        self.sequence[at] = last;
        self.counts.holes[at] += 1;
        self.counts.missing_slots[at] = self.counts.missing_slots[at].saturating_add(slots);
    }

    /// Gives an instrument a row, once.
    #[cold]
    fn instrument(&mut self, instrument: &Instrument, lane: &mut LaneWriter) -> Result<(), DirectoryError> {
        if self.rows.row_of(instrument.instrument_id).is_some() {
            return Ok(());
        }
        let row = lane.add_instrument(instrument)?;
        self.rows.add(instrument, row);
        self.counts.instruments += 1;
        Ok(())
    }

    /// A record that rows take in and the rings do not get.
    fn past(&mut self, ring: RingName, words: &[u64], whole: bool, lane: &mut LaneWriter) {
        let Some(first) = words.first_chunk::<SLOT_WORDS>() else { return };
        // What the lane counts is what it publishes.
        let counted = std::mem::take(&mut self.tally);
        self.follow(ring_index(ring), first, words);
        match ring {
            RingName::Orders => self.note_orders(first),
            RingName::Market => {
                let before = lane.market.next_number().saturating_sub(1);
                self.note_market(before, first, words, lane);
            }
        }
        if whole {
            self.show_rows(lane);
            self.said = Said::default();
        }
        self.tally = counted;
    }

    /// Adds what a batch did to the lane's counters. Each venue event counts as one message, taken in and published.
    fn count(&mut self, lane: &mut LaneWriter) {
        let tally = std::mem::take(&mut self.tally);
        let counters = &mut lane.counters;
        counters.add(LaneCounter::Received, tally.events);
        counters.add(LaneCounter::Published, tally.events);
        counters.add(LaneCounter::Trades, tally.trades);
        counters.add(LaneCounter::QuoteEvents, tally.quote_events);
        counters.add(LaneCounter::Gaps, tally.gaps);
        counters.add(LaneCounter::GapMessages, tally.gap_messages);
        if !tally.rare {
            return;
        }
        for (code, count) in (0..).zip(tally.anomalies) {
            let counter = match AnomalyCode::from_code(code) {
                AnomalyCode::UnknownOrder => LaneCounter::UnknownOrder,
                AnomalyCode::Overfill => LaneCounter::Overfill,
                AnomalyCode::DuplicateOrder => LaneCounter::DuplicateOrder,
                AnomalyCode::UnknownType => LaneCounter::UnknownType,
                AnomalyCode::Malformed => LaneCounter::Malformed,
                AnomalyCode::UnknownInstrument => LaneCounter::UnknownInstrument,
                AnomalyCode::TableFull => LaneCounter::TableFull,
                AnomalyCode::Crossed => LaneCounter::Crossed,
                AnomalyCode::BadField => LaneCounter::BadField,
                _ => continue,
            };
            counters.add(counter, count);
        }
    }
}

#[inline(always)]
fn writer_of(lane: &mut LaneWriter, ring: RingName) -> &mut RingWriter<MappedRing> {
    match ring {
        RingName::Orders => &mut lane.orders,
        RingName::Market => &mut lane.market,
    }
}
