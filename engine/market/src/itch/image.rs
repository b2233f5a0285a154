//! Images of the books (GLIMPSE): the way to join late, and to repair books of which messages are missing.
//!
//! An image is published as it comes: a clear of all, one of each instrument, then what the messages say, all flagged
//! [`SNAPSHOT`](flag::SNAPSHOT). So window and row agree with the records at every moment of it, and a reader needs no
//! special case; the books stay suspect until its end, which both rings tell.

use shm_abi::board::RowUpdate;
use shm_abi::counters::LaneCounter;
use shm_abi::layout::row;
use shm_abi::record::{StatusCause, TradingStatus, clear_code, flag, kind, session_code, status_body};
use shm_abi::segment::LaneWriter;
use shm_abi::slot::SLOT_WORDS;

use super::lifecycle::clear_row;
use super::{Facts, Feed, InstrumentIds, Itch, SIDES, Stamps, quality_of};
use crate::book::NO_PRICE;
use crate::publish::{Event, Io, Known};
use crate::{day, window};

impl<I: InstrumentIds> Itch<I> {
    /// See [`Normaliser::mark_suspect`](crate::Normaliser::mark_suspect).
    pub fn mark_suspect(&mut self, stamps: Stamps, lane: &mut LaneWriter) {
        self.feed.trust.lose(true, &mut lane.counters);
        self.feed.session_status(session_code::SUSPECT, 0, stamps, lane, |facts| facts.bits |= flag::SUSPECT);
    }

    /// See [`Normaliser::snapshot_begin`](crate::Normaliser::snapshot_begin).
    pub fn snapshot_begin(&mut self, stamps: Stamps, lane: &mut LaneWriter) {
        let feed = &mut self.feed;
        feed.imaging = true;
        feed.clock.lose();
        // Until its end readers have only a part of it.
        feed.trust.lose(true, &mut lane.counters);
        let event = feed.image_event(flag::SUSPECT, stamps);
        begin_image(&event, lane);
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
        feed.session_status(session_code::IMAGE, flag::SNAPSHOT, stamps, lane, |facts| facts.bits &= !flag::SUSPECT);
        feed.trust.mend(true, &mut lane.counters);
        true
    }

    /// See [`Normaliser::snapshot_abandon`](crate::Normaliser::snapshot_abandon).
    pub fn snapshot_abandon(&mut self, stamps: Stamps, lane: &mut LaneWriter) {
        self.feed.imaging = false;
        self.mark_suspect(stamps, lane);
    }

    /// See [`Normaliser::rebuilt`](crate::Normaliser::rebuilt).
    pub fn rebuilt(&mut self, stamps: Stamps, lane: &mut LaneWriter) {
        let feed = &mut self.feed;
        if feed.trust.owes_repair(&mut lane.counters) {
            feed.publish_books(stamps, lane);
            lane.counters.add(LaneCounter::Repairs, 1);
            feed.trust.mend(true, &mut lane.counters);
        }
    }

    /// See [`Normaliser::in_snapshot`](crate::Normaliser::in_snapshot).
    pub fn in_snapshot(&self) -> bool {
        self.feed.imaging
    }
}

/// The records of an image's event, where it can be divided: few beside the smallest ring.
const IMAGE_EVENT_RECORDS: u32 = 256;

/// Tells the readers of orders that an image of every book comes: whoever has seen this has seen all of it.
fn begin_image(event: &Event, lane: &mut LaneWriter) {
    let mut io = Io::open(Known::NOWHERE, None, lane);
    io.out.orders.put(event.record(kind::CLEAR, clear_code::BOOK, 0, [0; 3]));
    io.out.finish();
}

fn session_record(event: &Event, letter: u8, flags: u8) -> [u64; SLOT_WORDS] {
    let body = status_body(StatusCause::Session, letter, *b"        ");
    event.record(kind::STATUS, TradingStatus::Unknown as u8, flags, body)
}

impl<I: InstrumentIds> Feed<I> {
    /// An event of an image that is published now.
    fn image_event(&self, flags: u8, stamps: Stamps) -> Event {
        let flags = stamps.flags | flag::SNAPSHOT | flags;
        Event::bare(self.sequence, stamps.ts_recv, stamps.ts_publish, flags)
    }

    /// Publishes an image of the own books, whose rows are right already: readers lack what the epoch before has lost.
    ///
    /// Its records carry the number of the last message, so whoever is killed within it is followed by one who begins it
    /// again.
    fn publish_books(&mut self, stamps: Stamps, lane: &mut LaneWriter) {
        let event = self.image_event(0, stamps);
        // For whoever does not know of images nothing is whole yet; what follows is, book by book.
        begin_image(&self.image_event(flag::SUSPECT, stamps), lane);
        let mut whole = true;
        for at in 0..self.facts.len() {
            if self.facts[at].is_known() {
                whole &= self.facts[at].bits & flag::SUSPECT == 0;
                self.publish_book(at as u32, event, lane);
            }
        }
        let mut io = Io::open(Known::NOWHERE, None, lane);
        let end = session_record(&event, session_code::IMAGE, 0);
        if whole {
            io.out.orders.put(end);
        }
        io.out.market.put(end);
        let quality = self.quality;
        self.tell_all(&event, &mut io, |facts, row| row.set_quality(quality_of(facts, quality)));
    }

    /// The image of one book. The orders ring has as many events as it takes, of which the last says that the image is
    /// whole, unless the book is suspect for a reason of its own; the market ring has one, with which the row agrees
    /// already.
    fn publish_book(&mut self, at: u32, mut event: Event, lane: &mut LaneWriter) {
        let facts = self.facts[at as usize];
        facts.name(&mut event);
        event.ts_event = lane.board.update(facts.row as usize).get(row::TS_EVENT);
        // Of a book in several events readers see a part first, and nobody may take that for the whole.
        let mut part = event;
        if self.book.orders_of(at) + 2 > IMAGE_EVENT_RECORDS {
            part.flags |= flag::SUSPECT;
        }
        let mut io = Io::open(Known::NOWHERE, None, &mut *lane);
        io.out.orders.put(part.record(kind::CLEAR, clear_code::BOOK, 0, [0; 3]));
        for side in SIDES {
            let prices = self.book.levels(at, side).map(|level| level.price).chain([NO_PRICE]);
            for (price, (reference, quantity)) in
                prices.flat_map(|price| self.book.queue(at, side, price).map(move |order| (price, order)))
            {
                let body = [reference, facts.price(price) as u64, quantity.into()];
                io.out.orders.put(part.record(kind::ADD, side as u8, 0, body));
                if io.out.orders.records == IMAGE_EVENT_RECORDS {
                    io.out.finish();
                    io = Io::open(Known::NOWHERE, None, &mut *lane);
                }
            }
        }
        if facts.bits & flag::SUSPECT == 0 {
            io.out.orders.put(session_record(&event, session_code::IMAGE, 0));
        }
        let mut row = io.board.update(facts.row as usize);
        window::image(&event, &row, &mut io.out.market);
        row.set_quality(quality_of(&facts, self.quality));
        io.out.finish_with_row(&event, row);
    }

    /// Publishes a status about the session, and changes what is kept of every instrument. Only an image concerns those
    /// who read orders.
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
        let record = session_record(&event, letter, flags);
        if letter == session_code::IMAGE {
            io.out.orders.put(record);
        }
        io.out.market.put(record);
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
