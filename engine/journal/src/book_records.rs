//! Books as records: what an engine publishes when it tells its books anew, so that whoever keeps books or windows by
//! records has them whole after it, without knowing where they come from.
//!
//! In the orders ring: a clear of all; of each book a clear, its orders in their priority, and the end of its image; the
//! end of the image of all. In the market ring: of each book a clear, the levels of its window, the best quotes; the end.
//! All are flagged as of a snapshot, but for the clear of a book that is not whole: its image ends nowhere.
//!
//! Source: decisions.md 11.

use std::collections::HashMap;

use shm_abi::record::{
    HEAD_WORDS, Head, INSTRUMENT_NONE, PRICE_NONE, Side, StatusCause, TradingStatus, clear_code, flag, kind,
    session_code, side, status_body,
};
use shm_abi::segment::RingName;
use shm_abi::slot::SLOT_WORDS;

use crate::book::{Books, Order};

/// Records of one event, where it can be divided: few beside the smallest ring.
const EVENT_RECORDS: usize = 256;
/// Flags are the second byte of a record's first word.
const FLAGS_SHIFT: u32 = 8;

/// Times and number that the records carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stamp {
    /// ns since the UNIX epoch.
    pub published_ns: u64,
    /// Low half of the venue sequence of the last message that the books reflect.
    pub sequence_low: u32,
}

/// A record of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BookRecord {
    /// Its ring.
    pub ring: RingName,
    /// Its words.
    pub words: [u64; SLOT_WORDS],
    /// The event is whole with it in both rings.
    pub whole: bool,
}

/// Gives the records of an image, one by one.
#[derive(Debug)]
pub struct BookRecords {
    books: Books,
    instruments: Vec<u32>,
    /// Levels per side of the windows; `None`: the orders ring alone.
    classes: Option<HashMap<u32, u16>>,
    stamp: Stamp,
    /// Instruments that were begun.
    at: usize,
    ended: bool,
    orders: Vec<Order>,
    /// Records of one instrument, the next of them last.
    made: Vec<BookRecord>,
}

impl BookRecords {
    /// The image of `books` in the orders ring and, with the classes of the instruments' windows, in the market ring.
    pub fn new(books: Books, stamp: Stamp, classes: Option<HashMap<u32, u16>>) -> BookRecords {
        let mut instruments: Vec<u32> = books.instruments().collect();
        instruments.sort_unstable();
        let mut records = BookRecords {
            books,
            instruments,
            classes,
            stamp,
            at: 0,
            ended: false,
            orders: Vec::new(),
            made: Vec::new(),
        };
        let flags = flag::SNAPSHOT | flag::SUSPECT | flag::LAST;
        let begin = records.record(kind::CLEAR, flags, clear_code::BOOK, INSTRUMENT_NONE, [0; 3]);
        records.made.push(BookRecord { ring: RingName::Orders, words: begin, whole: true });
        records
    }

    /// The books.
    pub fn books(&self) -> &Books {
        &self.books
    }

    /// The next record, or `None` when the image is whole.
    #[allow(clippy::should_implement_trait, reason = "beside it, what an image is of can be asked")]
    pub fn next(&mut self) -> Option<BookRecord> {
        while self.made.is_empty() {
            match self.instruments.get(self.at).copied() {
                Some(instrument) => {
                    self.at += 1;
                    self.make(instrument);
                }
                None if self.ended => return None,
                None => self.end(),
            }
            self.made.reverse();
        }
        self.made.pop()
    }

    fn record(&self, kind: u8, flags: u8, code: u8, instrument_id: u32, body: [u64; 3]) -> [u64; SLOT_WORDS] {
        let head = Head {
            kind,
            flags: flags | flag::RECV_USER,
            span: 1,
            side_or_code: code,
            instrument_id,
            ts_event: 0,
            ts_recv: self.stamp.published_ns,
            publish_delay_ns: 0,
            venue_sequence_low: self.stamp.sequence_low,
        };
        let [a, b, c, d]: [u64; HEAD_WORDS] = head.words();
        [a, b, c, d, body[0], body[1], body[2]]
    }

    fn end_record(&self, instrument: u32) -> [u64; SLOT_WORDS] {
        let body = status_body(StatusCause::Session, session_code::IMAGE, [b' '; 8]);
        self.record(kind::STATUS, flag::SNAPSHOT | flag::LAST, TradingStatus::Unknown as u8, instrument, body)
    }

    fn make(&mut self, instrument: u32) {
        let mut orders = std::mem::take(&mut self.orders);
        let bids = self.books.orders(instrument, &mut orders);
        let complete = self.books.is_complete(instrument);
        // Of a book in several events readers see a part first, and nobody may take that for the whole.
        let divided = orders.len() + 2 > EVENT_RECORDS;
        let doubt = if divided || !complete { flag::SUSPECT } else { 0 };
        let image = if complete { flag::SNAPSHOT } else { 0 };
        let clear = self.record(kind::CLEAR, doubt | image, clear_code::BOOK, instrument, [0; 3]);
        self.put(RingName::Orders, clear);
        for (at, order) in orders.iter().enumerate() {
            let body = [order.id, order.price as u64, order.quantity];
            let last = if (at + 1).is_multiple_of(EVENT_RECORDS) { flag::LAST } else { 0 };
            let flags = flag::SNAPSHOT | doubt | last;
            let words = self.record(kind::ADD, flags, order.side as u8, instrument, body);
            self.put(RingName::Orders, words);
            self.made.last_mut().expect("it was just put there").whole = last != 0;
        }
        if complete {
            self.put(RingName::Orders, self.end_record(instrument));
        }
        self.mark_last();
        if let Some(class) = self.classes.as_ref().map(|classes| classes.get(&instrument).copied().unwrap_or(0)) {
            self.window(instrument, &orders[..bids], &orders[bids..], class.into(), complete);
        }
        if let Some(last) = self.made.last_mut() {
            last.whole = true;
        }
        self.orders = orders;
    }

    fn put(&mut self, ring: RingName, words: [u64; SLOT_WORDS]) {
        self.made.push(BookRecord { ring, words, whole: false });
    }

    fn mark_last(&mut self) {
        if let Some(last) = self.made.last_mut() {
            last.words[0] |= u64::from(flag::LAST) << FLAGS_SHIFT;
        }
    }

    /// The market ring's part of a book's image.
    fn window(&mut self, instrument: u32, bids: &[Order], asks: &[Order], class: usize, complete: bool) {
        let doubt = if complete { 0 } else { flag::SUSPECT };
        let flags = flag::SNAPSHOT | doubt;
        let clear = self.record(kind::CLEAR, flags, clear_code::BOOK, instrument, [0; 3]);
        self.put(RingName::Market, clear);
        for (code, orders) in [(side::BID, bids), (side::ASK, asks)] {
            // An order without a price stands on no level.
            let levels = orders.chunk_by(|a, b| a.price == b.price).filter(|level| level[0].price != PRICE_NONE);
            let mut best = None;
            for (position, level) in levels.take(class.max(1)).enumerate() {
                let quantity = level.iter().fold(0u64, |sum, order| sum.saturating_add(order.quantity));
                let (price, count) = (level[0].price as u64, level.len() as u64);
                best = best.or(Some([price, quantity, count]));
                if position < class {
                    let body = [price, quantity, count | (position as u64) << 32];
                    let words = self.record(kind::LEVEL, flags, code, instrument, body);
                    self.put(RingName::Market, words);
                }
            }
            if let Some(body) = best {
                let words = self.record(kind::QUOTE, flags, code, instrument, body);
                self.put(RingName::Market, words);
            }
        }
        self.mark_last();
    }

    /// The end of the image of all books.
    fn end(&mut self) {
        self.ended = true;
        let end = self.end_record(INSTRUMENT_NONE);
        let unseen = self.books.unseen_complete();
        let whole = unseen && self.instruments.iter().all(|instrument| self.books.is_complete(*instrument));
        let in_market = self.classes.is_some();
        if unseen {
            // In one event with the market's only when nothing is left in doubt: rows go by that.
            self.made.push(BookRecord { ring: RingName::Orders, words: end, whole: !(whole && in_market) });
        }
        if in_market {
            self.made.push(BookRecord { ring: RingName::Market, words: end, whole: true });
        }
    }
}

/// Bids stand before asks in what [`Books::orders`] gives.
const _: () = assert!(Side::Bid.index() < Side::Ask.index());
