//! The resting orders of a lane, as its orders ring tells them: compact, without levels or queues, for images.
//!
//! What a record does to a book, and when a book is known to be whole, is what `clients/rust` has it do: the first thing
//! that contradicts a book, and every loss, makes it incomplete until its next clear, or the end of an image in the ring.
//!
//! Source: decisions.md 9 and 11.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use shm_abi::record::{
    Body, INSTRUMENT_NONE, Price, Quantity, Record, Restart, Side, StatusCause, flag, kind, restart_reason,
    session_code,
};

use crate::reader::{Entry, EpochStep};

/// A live order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Order {
    /// The venue's id.
    pub id: u64,
    /// Side.
    pub side: Side,
    /// Price, 1e-9.
    pub price: Price,
    /// Quantity left.
    pub quantity: Quantity,
    /// Place in time: lower was there first.
    arrival: u64,
}

/// Hash of ids that a venue gives: they are counters more often than not, so one multiplication and a fold spread them.
#[derive(Default)]
pub(crate) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64((*byte).into()));
    }
    fn write_u32(&mut self, value: u32) {
        self.write_u64(value.into());
    }
    fn write_u64(&mut self, value: u64) {
        let product = u128::from(self.0 ^ value ^ 0x9e37_79b9_7f4a_7c15) * 0xd6e8_feb8_6659_fd93;
        self.0 = (product >> 64) as u64 ^ product as u64;
    }
}

type IdMap<K, V> = HashMap<K, V, BuildHasherDefault<IdHasher>>;

#[derive(Debug, Clone)]
struct Book {
    complete: bool,
    /// An image of it comes in the ring, and was seen from its beginning: it is whole at the end.
    imaged: bool,
    orders: IdMap<u64, Order>,
}

impl Book {
    fn new(complete: bool, imaged: bool) -> Book {
        Book { complete, imaged, orders: IdMap::default() }
    }

    /// What is known of the book contradicts what comes.
    fn contradict(&mut self) {
        (self.complete, self.imaged) = (false, false);
    }

    fn image_ended(&mut self) {
        self.complete |= std::mem::take(&mut self.imaged);
    }
}

/// The orders of every instrument of a lane.
#[derive(Debug, Clone)]
pub struct Books {
    books: IdMap<u32, Book>,
    /// Whether an instrument that was not seen yet is known to be empty.
    unseen_complete: bool,
    /// An image of all instruments comes in the ring, and was seen from its beginning.
    imaged: bool,
    arrivals: u64,
    live: usize,
    limit: usize,
    over_limit: u64,
    /// An epoch has ended, at this number; the first record of the next must say that it goes on from there.
    stepped: Option<EpochStep>,
}

impl Books {
    /// Books of which nothing is known but whether they are whole as they are: `complete` at number 0 of a sequence that
    /// goes on from no other. They hold at most `limit` orders together.
    pub fn new(complete: bool, limit: usize) -> Books {
        Books {
            books: IdMap::default(),
            unseen_complete: complete,
            imaged: false,
            arrivals: 0,
            live: 0,
            limit,
            over_limit: 0,
            stepped: None,
        }
    }

    /// Takes in what a reader of the orders ring yields. Everything must come here, in order.
    pub fn apply(&mut self, entry: &Entry<'_>) {
        match entry {
            Entry::Record { n, words } => {
                if let Some(record) = Record::new(*n, words) {
                    self.apply_record(&record);
                }
            }
            Entry::Hole(_) => self.lose(),
            Entry::Epoch(step) => self.stepped = Some(*step),
        }
    }

    fn apply_record(&mut self, record: &Record<'_>) {
        let id = record.head.instrument_id;
        let body = record.body();
        if let Some(step) = self.stepped.take() {
            let goes_on = |restart: &Restart| restart.old_epoch == step.old_epoch && restart.old_end == step.old_end;
            if !matches!(&body, Body::Restart(restart) if goes_on(restart)) {
                self.lose();
            }
        }
        match body {
            Body::Order { side: Some(side), order_id, price, quantity } => {
                self.arrivals += 1;
                let order = Order { id: order_id, side, price, quantity, arrival: self.arrivals };
                match record.head.kind {
                    kind::ADD => self.insert(id, order),
                    kind::CANCEL => self.reduce(id, order_id, quantity),
                    kind::MODIFY => self.modify(id, order),
                    // A cancel of the same quantity follows each fill.
                    _ => {}
                }
            }
            Body::Clear { .. } => self.clear(id, record.head.flags & flag::SNAPSHOT != 0),
            Body::Status(status)
                if status.cause == StatusCause::Session && status.venue_code == session_code::IMAGE =>
            {
                self.image_ended(id);
            }
            Body::Gap { .. } => self.doubt(id),
            Body::Restart(restart) => match restart.reason {
                // Everything begins anew, at the venue's first message; a later beginning is declared as a gap.
                restart_reason::UNKNOWN | restart_reason::SESSION => self.clear(INSTRUMENT_NONE, false),
                _ => {}
            },
            _ => {}
        }
        if record.head.flags & flag::SUSPECT != 0 {
            self.doubt(id);
        }
    }

    fn book(&mut self, instrument: u32) -> &mut Book {
        let (complete, imaged) = (self.unseen_complete, self.imaged);
        self.books.entry(instrument).or_insert_with(|| Book::new(complete, imaged))
    }

    fn insert(&mut self, instrument: u32, order: Order) {
        if self.live >= self.limit {
            self.over_limit += 1;
            self.book(instrument).contradict();
            return;
        }
        let book = self.book(instrument);
        match book.orders.insert(order.id, order) {
            // Two orders under one id: what is known of the book contradicts itself.
            Some(_) => book.contradict(),
            None => self.live += 1,
        }
    }

    fn reduce(&mut self, instrument: u32, order_id: u64, quantity: Quantity) {
        let book = self.book(instrument);
        let Some(order) = book.orders.get_mut(&order_id) else {
            book.contradict();
            return;
        };
        if quantity < order.quantity {
            order.quantity -= quantity;
            return;
        }
        if quantity != order.quantity {
            book.contradict();
        }
        book.orders.remove(&order_id);
        self.live -= 1;
    }

    fn modify(&mut self, instrument: u32, new: Order) {
        let book = self.book(instrument);
        let Some(order) = book.orders.get_mut(&new.id) else {
            book.contradict();
            return;
        };
        let keeps_place = new.price == order.price && new.side == order.side && new.quantity <= order.quantity;
        let arrival = if keeps_place { order.arrival } else { new.arrival };
        *order = Order { arrival, ..new };
    }

    fn clear(&mut self, instrument: u32, imaged: bool) {
        if instrument == INSTRUMENT_NONE {
            self.books.clear();
            (self.unseen_complete, self.imaged, self.live) = (!imaged, imaged, 0);
        } else {
            let old = self.books.insert(instrument, Book::new(!imaged, imaged));
            self.live -= old.map_or(0, |book| book.orders.len());
        }
    }

    fn image_ended(&mut self, instrument: u32) {
        if instrument != INSTRUMENT_NONE {
            return self.book(instrument).image_ended();
        }
        self.unseen_complete |= std::mem::take(&mut self.imaged);
        self.books.values_mut().for_each(Book::image_ended);
    }

    /// Records are missing, perhaps also of an image.
    fn lose(&mut self) {
        self.doubt_all();
        self.imaged = false;
        self.books.values_mut().for_each(|book| book.imaged = false);
    }

    fn doubt(&mut self, instrument: u32) {
        if instrument == INSTRUMENT_NONE {
            self.doubt_all();
        } else {
            self.book(instrument).complete = false;
        }
    }

    fn doubt_all(&mut self) {
        self.unseen_complete = false;
        self.books.values_mut().for_each(|book| book.complete = false);
    }

    /// Instruments of which anything is known, in no order.
    pub fn instruments(&self) -> impl Iterator<Item = u32> + '_ {
        self.books.keys().copied()
    }

    /// Whether every live order of an instrument is known.
    pub fn is_complete(&self, instrument: u32) -> bool {
        self.books.get(&instrument).map_or(self.unseen_complete, |book| book.complete)
    }

    /// Whether an instrument of which nothing is known has no order.
    pub fn unseen_complete(&self) -> bool {
        self.unseen_complete
    }

    /// Live orders of all instruments.
    pub fn live(&self) -> usize {
        self.live
    }

    /// Orders that were refused because there were too many.
    pub fn over_limit(&self) -> u64 {
        self.over_limit
    }

    /// The orders of an instrument in `into`, which is emptied first: bids, best price first, then asks, best price first;
    /// at a price those that came first. Returns the number of bids.
    pub fn orders(&self, instrument: u32, into: &mut Vec<Order>) -> usize {
        into.clear();
        into.extend(self.books.get(&instrument).into_iter().flat_map(|book| book.orders.values().copied()));
        into.sort_unstable_by(|a, b| {
            let price = || if a.side == Side::Bid { b.price.cmp(&a.price) } else { a.price.cmp(&b.price) };
            a.side.index().cmp(&b.side.index()).then_with(price).then(a.arrival.cmp(&b.arrival))
        });
        into.partition_point(|order| order.side == Side::Bid)
    }

    /// Begins as an image says: see [`crate::image`].
    pub(crate) fn begin(&mut self, unseen_complete: bool) {
        *self = Books::new(unseen_complete, self.limit);
    }

    /// What an image says of a book, before its orders.
    pub(crate) fn state_book(&mut self, instrument: u32, complete: bool) {
        self.book(instrument).complete = complete;
    }

    /// An order of an image, behind all that came before at its price.
    pub(crate) fn state_order(&mut self, instrument: u32, id: u64, side: Side, price: Price, quantity: Quantity) {
        self.arrivals += 1;
        let arrival = self.arrivals;
        self.insert(instrument, Order { id, side, price, quantity, arrival });
    }
}
