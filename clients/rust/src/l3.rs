//! Order books rebuilt from the `orders` ring, whose type says whether they are whole.
//!
//! A reader that joins late, is lapped, or meets a gap has seen only a part of the orders: what it knows of a book is
//! then true but not all there is, until the venue clears the book. So a [`View`] is either a [`CompleteBook`], which has
//! a best price, or an [`IncompleteBook`], which has not.
//!
//! The engine repairs what it can: it publishes an image of the books, from a clear that says so to a status record at
//! its end. A book whose image was seen from beginning to end is whole. So are books that were loaded from the lane's
//! journal: see [`Books::load`].
//!
//! Source: decisions.md 9 and 11.

use std::collections::{BTreeMap, HashMap};

use shm_abi::board::Level;
use shm_abi::record::{Body, INSTRUMENT_NONE, Price, Quantity, Record, Side, StatusCause, flag, kind, session_code};

use crate::event::{Event, RestartReason};
use crate::reader::Reader;

/// Whether every live order of a book is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Completeness {
    /// Every live order is known.
    Complete,
    /// Orders may be missing, until the next clear of the instrument, or the end of an image.
    Incomplete,
}

/// A live order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Order {
    /// Side.
    pub side: Side,
    /// Price, 1e-9.
    pub price: Price,
    /// Quantity left.
    pub quantity: Quantity,
    /// Place in time: lower was there first.
    arrival: u64,
}

/// One price: its orders in time priority.
#[derive(Debug, Clone, Default)]
struct Queue {
    quantity: Quantity,
    by_arrival: BTreeMap<u64, u64>,
}

/// The orders of one instrument.
#[derive(Debug, Clone)]
struct Book {
    completeness: Completeness,
    /// An image of it comes in, and was seen from its beginning: it is whole at the end.
    imaged: bool,
    orders: HashMap<u64, Order>,
    /// By side, then price.
    sides: [BTreeMap<Price, Queue>; 2],
}

impl Book {
    fn new(completeness: Completeness, imaged: bool) -> Book {
        Book { completeness, imaged, orders: HashMap::new(), sides: [BTreeMap::new(), BTreeMap::new()] }
    }

    /// What is known of the book contradicts what comes: no image helps it any more but a new one.
    fn contradict(&mut self) {
        (self.completeness, self.imaged) = (Completeness::Incomplete, false);
    }

    /// An image ends.
    fn image_ended(&mut self) {
        if std::mem::take(&mut self.imaged) {
            self.completeness = Completeness::Complete;
        }
    }

    fn insert(&mut self, order_id: u64, order: Order) {
        if let Some(older) = self.orders.insert(order_id, order) {
            // Two orders under one id.
            self.unlink(&older);
            self.contradict();
        }
        let queue = self.sides[order.side.index()].entry(order.price).or_default();
        queue.quantity = queue.quantity.saturating_add(order.quantity);
        queue.by_arrival.insert(order.arrival, order_id);
    }

    /// Takes `quantity` off an order; the order leaves when nothing is left.
    fn reduce(&mut self, order_id: u64, quantity: Quantity) {
        let Some(order) = self.orders.get_mut(&order_id) else {
            // Of an order from before this reader's time; in a complete book there is none.
            self.contradict();
            return;
        };
        if quantity < order.quantity {
            order.quantity -= quantity;
            let order = *order;
            if let Some(queue) = self.sides[order.side.index()].get_mut(&order.price) {
                queue.quantity = queue.quantity.saturating_sub(quantity);
            }
            return;
        }
        let order = *order;
        if quantity > order.quantity {
            self.contradict();
        }
        self.orders.remove(&order_id);
        self.unlink(&order);
    }

    /// Takes an order, with all its quantity, out of its queue.
    fn unlink(&mut self, order: &Order) {
        let levels = &mut self.sides[order.side.index()];
        let Some(queue) = levels.get_mut(&order.price) else { return };
        queue.quantity = queue.quantity.saturating_sub(order.quantity);
        queue.by_arrival.remove(&order.arrival);
        if queue.by_arrival.is_empty() {
            levels.remove(&order.price);
        }
    }

    /// Amends an order in place: it keeps its priority when only the quantity falls.
    fn modify(&mut self, order_id: u64, new: Order) {
        let Some(order) = self.orders.remove(&order_id) else {
            self.contradict();
            return;
        };
        self.unlink(&order);
        let keeps_place = new.price == order.price && new.side == order.side && new.quantity <= order.quantity;
        let arrival = if keeps_place { order.arrival } else { new.arrival };
        self.insert(order_id, Order { arrival, ..new });
    }

    fn level(price: Price, queue: &Queue) -> Level {
        Level { price, quantity: queue.quantity, orders: queue.by_arrival.len() as u32 }
    }

    fn levels(&self, side: Side) -> Box<dyn Iterator<Item = Level> + '_> {
        let levels = self.sides[side.index()].iter().map(|(price, queue)| Book::level(*price, queue));
        match side {
            Side::Bid => Box::new(levels.rev()),
            Side::Ask => Box::new(levels),
        }
    }
}

/// The books of a lane, rebuilt from the events of its orders ring.
#[derive(Debug, Clone)]
pub struct Books {
    books: HashMap<u32, Book>,
    /// What an instrument is that was not seen yet.
    unseen: Completeness,
    /// An image of all instruments comes in, and was seen from its beginning.
    imaged: bool,
    /// Counts orders as they come: time priority.
    arrivals: u64,
}

impl Books {
    /// Books for the events that `reader` is going to give. They begin complete only if the reader stands at number 0 of
    /// a sequence that goes on from no other.
    pub fn of(reader: &Reader) -> Books {
        let cursor = reader.cursor();
        let identity = reader.segment().identity();
        let from_the_beginning = cursor.seq == 0 && cursor.epoch == identity.epoch && identity.old_epoch == 0;
        Books::new(if from_the_beginning { Completeness::Complete } else { Completeness::Incomplete })
    }

    /// Empty books that are what the caller knows them to be.
    pub fn new(completeness: Completeness) -> Books {
        Books { books: HashMap::new(), unseen: completeness, imaged: false, arrivals: 0 }
    }

    /// Takes in one event. Every event of the ring must come here, in order: also those that are no records.
    pub fn apply(&mut self, event: &Event<'_>) {
        match event {
            Event::Record(record) => self.apply_record(record),
            Event::Lost(_) => self.lose(),
            Event::Restarted(restarted) if !restarted.is_seamless() => self.lose(),
            // An engine that knows its predecessor goes on where it ended: the books stay what they are.
            Event::Restarted(_) | Event::WriterSilent | Event::WriterBack | Event::Closed => {}
        }
    }

    /// Takes in a record that states what the books were before the first event: of an image out of the lane's journal, from
    /// its first record to its last, in order. Afterwards the books are those of the ring's number for which the image was
    /// made, and [`Books::apply`] goes on with the events from there. Words that are no record change nothing.
    ///
    /// ```no_run
    /// # use ticklane_client::{Lane, Options, Start, Cursor, l3::{Books, Completeness}};
    /// // `journal::late::newest` gives the image and the cursor behind it.
    /// # fn follow(image: &[[u64; 7]], cursor: Cursor) -> Result<(), Box<dyn std::error::Error>> {
    /// let mut books = Books::new(Completeness::Incomplete);
    /// image.iter().for_each(|words| books.load(words));
    /// let lane = Lane::attach("/run/ticklane/main", "lane0")?;
    /// let mut orders = lane.orders(Options { start: Start::At(cursor), ..Options::default() })?;
    /// while let Some(event) = orders.try_next()? {
    ///     books.apply(&event);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn load(&mut self, words: &[u64]) {
        if let Some(record) = Record::new(0, words) {
            self.apply_record(&record);
        }
    }

    fn apply_record(&mut self, record: &Record<'_>) {
        let id = record.head.instrument_id;
        match record.body() {
            Body::Order { side: Some(side), order_id, price, quantity } => {
                self.arrivals += 1;
                let order = Order { side, price, quantity, arrival: self.arrivals };
                let book = self.book(id);
                match record.head.kind {
                    kind::ADD => book.insert(order_id, order),
                    kind::CANCEL => book.reduce(order_id, quantity),
                    kind::MODIFY => book.modify(order_id, order),
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
            // An image shows what the messages that it replaces have led to: their gap is not its.
            Body::Gap { .. } => self.doubt(id),
            Body::Restart(restart) => match RestartReason::from_code(restart.reason) {
                // Everything begins anew, at the venue's first message; a later beginning is declared as a gap.
                RestartReason::Unknown | RestartReason::Session => self.clear(INSTRUMENT_NONE, false),
                RestartReason::Engine | RestartReason::Other(_) => {}
            },
            _ => {}
        }
        if record.head.flags & flag::SUSPECT != 0 {
            self.doubt(id);
        }
    }

    fn book(&mut self, id: u32) -> &mut Book {
        let (unseen, imaged) = (self.unseen, self.imaged);
        self.books.entry(id).or_insert_with(|| Book::new(unseen, imaged))
    }

    /// The books are empty from here on; the orders that they have come next, if this begins an image.
    fn clear(&mut self, id: u32, imaged: bool) {
        let completeness = if imaged { Completeness::Incomplete } else { Completeness::Complete };
        if id == INSTRUMENT_NONE {
            self.books.clear();
            (self.unseen, self.imaged) = (completeness, imaged);
        } else {
            self.books.insert(id, Book::new(completeness, imaged));
        }
    }

    fn image_ended(&mut self, id: u32) {
        if id != INSTRUMENT_NONE {
            return self.book(id).image_ended();
        }
        if std::mem::take(&mut self.imaged) {
            self.unseen = Completeness::Complete;
        }
        self.books.values_mut().for_each(Book::image_ended);
    }

    /// Records are missing to this reader, perhaps also of an image.
    fn lose(&mut self) {
        self.doubt_all();
        self.imaged = false;
        self.books.values_mut().for_each(|book| book.imaged = false);
    }

    fn doubt(&mut self, id: u32) {
        if id == INSTRUMENT_NONE {
            self.doubt_all();
        } else {
            self.book(id).completeness = Completeness::Incomplete;
        }
    }

    fn doubt_all(&mut self) {
        self.unseen = Completeness::Incomplete;
        for book in self.books.values_mut() {
            book.completeness = Completeness::Incomplete;
        }
    }

    /// What is known of an instrument's book; `None` when nothing was said of it since this reader began.
    pub fn get(&self, instrument_id: u32) -> Option<View<'_>> {
        let book = self.books.get(&instrument_id)?;
        Some(match book.completeness {
            Completeness::Complete => View::Complete(CompleteBook { book }),
            Completeness::Incomplete => View::Incomplete(IncompleteBook { book }),
        })
    }

    /// Whether an instrument's book is whole. One that was not seen yet is what the reader's beginning makes it.
    pub fn completeness(&self, instrument_id: u32) -> Completeness {
        self.books.get(&instrument_id).map_or(self.unseen, |book| book.completeness)
    }
}

/// A book, by what is known of it.
#[derive(Debug, Clone, Copy)]
pub enum View<'b> {
    /// Every live order is known.
    Complete(CompleteBook<'b>),
    /// Orders may be missing.
    Incomplete(IncompleteBook<'b>),
}

impl<'b> View<'b> {
    /// The whole book, if it is whole.
    pub fn complete(self) -> Option<CompleteBook<'b>> {
        match self {
            View::Complete(book) => Some(book),
            View::Incomplete(_) => None,
        }
    }
}

/// A book of which every live order is known.
#[derive(Debug, Clone, Copy)]
pub struct CompleteBook<'b> {
    book: &'b Book,
}

impl<'b> CompleteBook<'b> {
    /// Best level of a side; `None` when the side is empty.
    pub fn best(&self, side: Side) -> Option<Level> {
        let levels = &self.book.sides[side.index()];
        let best = match side {
            Side::Bid => levels.last_key_value(),
            Side::Ask => levels.first_key_value(),
        };
        best.map(|(price, queue)| Book::level(*price, queue))
    }

    /// Levels of a side, best first.
    pub fn levels(&self, side: Side) -> impl Iterator<Item = Level> + 'b {
        self.book.levels(side)
    }

    /// Live orders.
    pub fn orders(&self) -> usize {
        self.book.orders.len()
    }

    /// A live order.
    pub fn order(&self, order_id: u64) -> Option<Order> {
        self.book.orders.get(&order_id).copied()
    }

    /// Orders and quantity that are filled before this order, at its price.
    pub fn ahead_of(&self, order_id: u64) -> Option<(usize, Quantity)> {
        let order = self.book.orders.get(&order_id)?;
        let queue = self.book.sides[order.side.index()].get(&order.price)?;
        let ahead = queue.by_arrival.range(..order.arrival).filter_map(|(_, id)| self.book.orders.get(id));
        Some(ahead.fold((0, 0), |(count, sum), order| (count + 1, order.quantity.saturating_add(sum))))
    }
}

/// A book of which orders may be missing: it has no best price, only what was seen.
#[derive(Debug, Clone, Copy)]
pub struct IncompleteBook<'b> {
    book: &'b Book,
}

impl<'b> IncompleteBook<'b> {
    /// Live orders that were seen.
    pub fn known_orders(&self) -> usize {
        self.book.orders.len()
    }

    /// An order that was seen. After a loss it may have gone since.
    pub fn known_order(&self, order_id: u64) -> Option<Order> {
        self.book.orders.get(&order_id).copied()
    }

    /// Levels of a side as far as they were seen, best first.
    pub fn known_levels(&self, side: Side) -> impl Iterator<Item = Level> + 'b {
        self.book.levels(side)
    }
}
