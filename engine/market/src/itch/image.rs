//! Images of the books (GLIMPSE): the way to join late, and to repair books of which messages are missing.
//!
//! An image is published as it comes: a clear of each instrument, then what the messages say, all flagged
//! [`SNAPSHOT`](flag::SNAPSHOT). So window and row agree with the records at every moment of it, and a reader needs no
//! special case; the books stay suspect until its end.

use shm_abi::board::RowUpdate;
use shm_abi::record::{StatusCause, TradingStatus, clear_code, flag, kind, status_body};
use shm_abi::segment::LaneWriter;

use super::lifecycle::clear_row;
use super::{Facts, Feed, InstrumentIds, Itch, Stamps, quality_of};
use crate::day;
use crate::publish::{Event, Io, Known};

/// Letter of the session status that stands at the end of an image.
const IMAGE_DONE: u8 = b'I';
/// Letter of the session status when books have become suspect without a declared gap.
const IMAGE_WANTED: u8 = b'G';

impl<I: InstrumentIds> Itch<I> {
    /// See [`Normaliser::mark_suspect`](crate::Normaliser::mark_suspect).
    pub fn mark_suspect(&mut self, stamps: Stamps, lane: &mut LaneWriter) {
        self.feed.session_status(IMAGE_WANTED, 0, stamps, lane, |facts| facts.bits |= flag::SUSPECT);
    }

    /// See [`Normaliser::snapshot_begin`](crate::Normaliser::snapshot_begin).
    pub fn snapshot_begin(&mut self, stamps: Stamps, lane: &mut LaneWriter) {
        let feed = &mut self.feed;
        feed.imaging = true;
        feed.clock.lose();
        let event = Event::bare(feed.sequence, stamps.ts_recv, stamps.ts_publish, stamps.flags | flag::SNAPSHOT);
        for at in 0..feed.facts.len() {
            if feed.facts[at].is_known() {
                feed.facts[at].bits |= flag::SUSPECT;
                feed.clear_book(at, event, clear_code::BOOK, Known::NOWHERE, lane);
            }
        }
    }

    /// See [`Normaliser::snapshot_end`](crate::Normaliser::snapshot_end).
    #[must_use]
    pub fn snapshot_end(&mut self, sequence: u64, stamps: Stamps, lane: &mut LaneWriter) -> bool {
        let feed = &mut self.feed;
        feed.imaging = false;
        feed.clock.lose();
        let published = feed.sequence.max(feed.resume.orders_after).max(feed.resume.market_after);
        if sequence < published {
            return false;
        }
        feed.sequence = sequence;
        feed.session_status(IMAGE_DONE, flag::SNAPSHOT, stamps, lane, |facts| facts.bits &= !flag::SUSPECT);
        true
    }

    /// See [`Normaliser::snapshot_abandon`](crate::Normaliser::snapshot_abandon).
    pub fn snapshot_abandon(&mut self, stamps: Stamps, lane: &mut LaneWriter) {
        self.feed.imaging = false;
        self.mark_suspect(stamps, lane);
    }

    /// See [`Normaliser::in_snapshot`](crate::Normaliser::in_snapshot).
    pub fn in_snapshot(&self) -> bool {
        self.feed.imaging
    }
}

impl<I: InstrumentIds> Feed<I> {
    /// Publishes a status about the session, and changes what is kept of every instrument.
    fn session_status(
        &mut self,
        letter: u8,
        flags: u8,
        stamps: Stamps,
        lane: &mut LaneWriter,
        mut change: impl FnMut(&mut Facts),
    ) {
        let event = Event::bare(self.sequence, stamps.ts_recv, stamps.ts_publish, stamps.flags);
        let mut io = Io::open(Known::NOWHERE, None, lane);
        let body = status_body(StatusCause::Session, letter, *b"        ");
        io.out.market.put(event.record(kind::STATUS, TradingStatus::Unknown as u8, flags, body));
        let quality = self.quality;
        self.tell_all(&event, &mut io, |facts, row| {
            change(facts);
            row.set_quality(quality_of(facts, quality));
        });
    }

    /// Ends an event about the feed as a whole, with what it changes of every instrument: rows first, then the rings.
    pub(super) fn tell_all(
        &mut self,
        event: &Event,
        io: &mut Io<'_>,
        mut change: impl FnMut(&mut Facts, &mut RowUpdate<'_>),
    ) {
        io.out.orders.close();
        let market_n = io.out.market.close();
        for facts in self.facts.iter_mut().filter(|facts| facts.is_known()) {
            let mut row = io.board.update(facts.row as usize);
            change(facts, &mut row);
            event.stamp_row(&mut row, market_n);
        }
        io.out.commit();
    }

    /// Empties the book of a known instrument, and with it its day if the code says so, in an event of its own.
    pub(super) fn clear_book(&mut self, at: usize, mut event: Event, code: u8, known: Known, lane: &mut LaneWriter) {
        let facts = self.facts[at];
        self.book.clear(at as u32);
        facts.name(&mut event);
        let mut io = Io::open(known, None, lane);
        io.out.both(event.record(kind::CLEAR, code, 0, [0; 3]));
        let mut row = io.board.update(facts.row as usize);
        match code {
            clear_code::BOOK => day::clear_book(&mut row),
            _ => clear_row(&mut row),
        }
        row.set_quality(quality_of(&facts, self.quality));
        io.out.finish_with_row(&event, row);
    }
}
