//! The true price-time book of every instrument of a feed: each order by its reference, each price level with its queue.
//!
//! Venue-independent: prices are the venue's raw integers, instruments dense indices. Every operation says what it did to
//! a level and where that level stands, so that windows and quotes are kept by increments; what a message cannot do is a
//! value, never a panic.
//!
//! Cost is memory, not work: a book of thousands of instruments lies in no cache. So the order stands in its hash table,
//! the level in its side's array and the owner's own facts (the *label*) in the header line; and the lines of a whole
//! packet are asked for in two passes before the first message is applied: [`Book::look_ahead`], [`Book::look_closer`].

mod levels;
mod limits;
mod orders;
mod table;

pub use levels::SIDE_LEVELS_LIMIT;
pub use limits::{BookLimits, INSTRUMENTS_LIMIT, LEVELS_LIMIT, LimitError, ORDERS_LIMIT};
pub use orders::{NIL, REACH_LIMIT};
pub use shm_abi::record::Side;

use levels::{Levels, owner, rank};
use orders::Orders;

/// Price of an order that has none, a market order: it is live, but stands on no level of the ladder. No level can have
/// this price.
pub const NO_PRICE: u32 = 0x7fff_ffff;

/// A price level as readers see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PriceLevel {
    /// Price, the venue's raw integer.
    pub price: u32,
    /// Sum of its orders' quantities.
    pub quantity: u64,
    /// Its orders.
    pub orders: u32,
}

/// An order to be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewOrder {
    /// Instrument, below [`BookLimits::instruments`].
    pub instrument: u32,
    /// Its side.
    pub side: Side,
    /// The venue's name for it: unique among live orders. `u64::MAX` is refused.
    pub reference: u64,
    /// Price, the venue's raw integer.
    pub price: u32,
    /// Quantity, not 0.
    pub quantity: u32,
}

/// Why an order was not added. The book is unchanged then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddError {
    /// An order of that reference is live.
    #[error("an order of that reference is live")]
    Duplicate,
    /// The reference is `u64::MAX`, which the table cannot hold, or the quantity is 0.
    #[error("reference or quantity out of range")]
    BadField,
    /// No such instrument.
    #[error("no such instrument")]
    UnknownInstrument,
    /// [`BookLimits::max_orders`] are live, or too many references collide.
    #[error("order table full")]
    OrdersFull,
    /// No place for another price level, in the pool or on its side.
    #[error("level pool full")]
    LevelsFull,
}

/// What happened to a level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LevelEvent {
    /// It is new; worse ones moved one place down.
    Entered,
    /// Its quantity or orders changed.
    Changed,
    /// It is gone; worse ones moved one place up.
    Left,
}

/// A level after an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LevelChange {
    /// What happened.
    pub event: LevelEvent,
    /// Instrument.
    pub instrument: u32,
    /// Side.
    pub side: Side,
    /// Price.
    pub price: u32,
    /// Quantity now; 0 when it left.
    pub quantity: u64,
    /// Orders now; 0 when it left.
    pub orders: u32,
    /// Place from the touch, when the operation came across it: see [`Book::position`].
    found: Option<u32>,
}

impl LevelChange {
    #[inline(always)]
    fn of(order: &OrderFacts, event: LevelEvent, quantity: u64, orders: u32, found: Option<u32>) -> LevelChange {
        let OrderFacts { instrument, side, price, .. } = *order;
        LevelChange { event, instrument, side, price, quantity, orders, found }
    }
}

/// Where a live order stands in the table; good until the order leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrderSlot(u32);

/// A live order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrderFacts {
    /// Its reference.
    pub reference: u64,
    /// Instrument.
    pub instrument: u32,
    /// Side.
    pub side: Side,
    /// Price, the venue's raw integer.
    pub price: u32,
    /// Quantity left.
    pub quantity: u32,
}

/// What taking quantity from an order did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// The order as it was before.
    pub order: OrderFacts,
    /// Quantity really taken: at most what was left.
    pub quantity: u32,
    /// More was asked for than was left; the order is gone.
    pub overfill: bool,
    /// Its level.
    pub change: LevelChange,
}

/// The book.
#[derive(Debug)]
pub struct Book {
    orders: Orders,
    levels: Levels,
}

impl Book {
    /// A book with tables of the given sizes, resident from the start.
    ///
    /// # Errors
    /// The first limit that is out of its range.
    pub fn new(limits: BookLimits) -> Result<Self, LimitError> {
        limits.validate()?;
        let BookLimits { max_orders, max_levels, instruments } = limits;
        Ok(Book { orders: Orders::new(max_orders), levels: Levels::new(max_levels, instruments) })
    }

    /// Adds an order without a price at the tail of its side's others; the price in `new` counts for nothing.
    ///
    /// # Errors
    /// See [`AddError`]; the book is unchanged then.
    #[cold]
    pub fn add_unpriced(&mut self, new: NewOrder) -> Result<LevelChange, AddError> {
        let NewOrder { instrument, side, reference, quantity, .. } = new;
        if instrument as usize >= self.levels.instruments() {
            return Err(AddError::UnknownInstrument);
        }
        if reference == u64::MAX || quantity == 0 {
            return Err(AddError::BadField);
        }
        if self.orders.find(reference) != NIL {
            return Err(AddError::Duplicate);
        }
        let slot = self.orders.free_slot(reference).ok_or(AddError::OrdersFull)?;
        let owner = owner(instrument, side);
        let joined = match self.levels.unpriced(owner) {
            Some(index) => {
                let level = self.levels.level_mut(index);
                level.quantity += u64::from(quantity);
                level.orders += 1;
                (index, std::mem::replace(&mut level.tail, slot))
            }
            None => {
                let level = self.levels.insert_unpriced(owner, rank(side, NO_PRICE), quantity, slot);
                (level.ok_or(AddError::LevelsFull)?, self.orders.nobody())
            }
        };
        self.orders.put(slot, reference, owner, quantity, joined);
        self.levels.side_mut(owner).orders += 1;
        let level = self.levels.level(joined.0);
        let (quantity, orders) = (level.quantity, level.orders);
        let (event, price) = (LevelEvent::Changed, NO_PRICE);
        Ok(LevelChange { event, instrument, side, price, quantity, orders, found: None })
    }

    /// Adds an order at the tail of its price, which is not [`NO_PRICE`].
    ///
    /// # Errors
    /// See [`AddError`]; the book is unchanged then.
    #[inline(always)]
    pub fn add(&mut self, new: NewOrder) -> Result<LevelChange, AddError> {
        let NewOrder { instrument, side, reference, price, quantity } = new;
        debug_assert_ne!(price, NO_PRICE);
        if instrument as usize >= self.levels.instruments() {
            return Err(AddError::UnknownInstrument);
        }
        if reference == u64::MAX || quantity == 0 {
            return Err(AddError::BadField);
        }
        if self.orders.find(reference) != NIL {
            return Err(AddError::Duplicate);
        }
        let slot = self.orders.free_slot(reference).ok_or(AddError::OrdersFull)?;
        let (owner, rank) = (owner(instrument, side), rank(side, price));
        let place = self.levels.seek(owner, rank);
        let (event, joined, quantity_now, orders) = match place.level {
            Some(index) => {
                let level = self.levels.level_mut(index);
                level.quantity += u64::from(quantity);
                level.orders += 1;
                let prev = std::mem::replace(&mut level.tail, slot);
                (LevelEvent::Changed, (index, prev), level.quantity, level.orders)
            }
            None => {
                let level = self.levels.insert(owner, place.position, rank, quantity, slot);
                let joined = (level.ok_or(AddError::LevelsFull)?, self.orders.nobody());
                (LevelEvent::Entered, joined, quantity.into(), 1)
            }
        };
        self.orders.put(slot, reference, owner, quantity, joined);
        self.levels.side_mut(owner).orders += 1;
        let found = Some(place.position as u32);
        Ok(LevelChange { event, instrument, side, price, quantity: quantity_now, orders, found })
    }

    /// The live order of `reference`. `hint` is what [`Book::look_closer`] gave, or [`NIL`]; a wrong one costs time only.
    #[inline(always)]
    pub fn find(&self, reference: u64, hint: u32) -> Option<OrderSlot> {
        if self.orders.holds(hint, reference) {
            return Some(OrderSlot(hint));
        }
        match self.orders.find(reference) {
            NIL => None,
            slot => Some(OrderSlot(slot)),
        }
    }

    /// The order in `slot`.
    ///
    /// # Panics
    /// When it has left: a slot is good until then.
    #[inline(always)]
    pub fn order(&self, slot: OrderSlot) -> OrderFacts {
        let order = self.orders.at(slot.0);
        assert!(order.tag != 0, "the order has left its slot");
        let side = side_of(order.owner);
        OrderFacts {
            reference: order.tag - 1,
            instrument: order.owner >> 1,
            side,
            price: rank(side, self.levels.level(order.level).rank),
            quantity: order.quantity,
        }
    }

    /// Takes up to `quantity` from an order, which keeps its place in the queue while anything is left.
    ///
    /// # Panics
    /// As [`Book::order`].
    #[inline(always)]
    pub fn take(&mut self, slot: OrderSlot, quantity: u64) -> Taken {
        let order = self.order(slot);
        if quantity >= order.quantity.into() {
            let change = self.unlink(slot, &order);
            return Taken { order, quantity: order.quantity, overfill: quantity > order.quantity.into(), change };
        }
        let quantity = quantity as u32;
        let place = self.orders.at_mut(slot.0);
        place.quantity = order.quantity - quantity;
        let level = self.levels.level_mut(place.level);
        level.quantity -= u64::from(quantity);
        let change = LevelChange::of(&order, LevelEvent::Changed, level.quantity, level.orders, None);
        Taken { order, quantity, overfill: false, change }
    }

    /// Sets what is left of an order, which keeps its place in the queue: for venues that tell a whole quantity.
    ///
    /// # Panics
    /// As [`Book::order`], and when `quantity` is 0: such an order is to be removed.
    #[inline(always)]
    pub fn set_quantity(&mut self, slot: OrderSlot, quantity: u32) -> LevelChange {
        assert!(quantity > 0, "an order without quantity is to be removed");
        let order = self.order(slot);
        let place = self.orders.at_mut(slot.0);
        place.quantity = quantity;
        let level = self.levels.level_mut(place.level);
        level.quantity = level.quantity - u64::from(order.quantity) + u64::from(quantity);
        LevelChange::of(&order, LevelEvent::Changed, level.quantity, level.orders, None)
    }

    /// Removes an order with all that is left of it.
    ///
    /// # Panics
    /// As [`Book::order`].
    #[inline(always)]
    pub fn remove(&mut self, slot: OrderSlot) -> Taken {
        let order = self.order(slot);
        let change = self.unlink(slot, &order);
        Taken { order, quantity: order.quantity, overfill: false, change }
    }

    #[inline(always)]
    fn unlink(&mut self, slot: OrderSlot, order: &OrderFacts) -> LevelChange {
        let nobody = self.orders.nobody();
        let orders::Order { level: index, prev, next, owner, .. } = *self.orders.at(slot.0);
        self.orders.release(slot.0);
        self.levels.side_mut(owner).orders -= 1;
        let level = self.levels.level_mut(index);
        level.quantity -= u64::from(order.quantity);
        level.orders -= 1;
        level.head = if prev == nobody { next } else { level.head };
        level.tail = if next == nobody { prev } else { level.tail };
        if level.orders > 0 {
            return LevelChange::of(order, LevelEvent::Changed, level.quantity, level.orders, None);
        }
        if level.rank == rank(order.side, NO_PRICE) {
            self.levels.remove_unpriced(owner);
            return LevelChange::of(order, LevelEvent::Left, 0, 0, None);
        }
        let position = self.levels.remove(owner, index);
        LevelChange::of(order, LevelEvent::Left, 0, 0, Some(position as u32))
    }

    /// Place of a changed level, counted from the touch: where it stands, or stood when it left. Orders without a price
    /// stand behind all.
    #[inline(always)]
    pub fn position(&self, change: &LevelChange) -> usize {
        match change.found {
            Some(position) => position as usize,
            None if change.price == NO_PRICE => usize::MAX,
            None => self.levels.seek(owner(change.instrument, change.side), rank(change.side, change.price)).position,
        }
    }

    /// Removes every order of an instrument and returns how many there were.
    pub fn clear(&mut self, instrument: u32) -> u32 {
        let orders = self.orders_of(instrument);
        for owner in [owner(instrument, Side::Bid), owner(instrument, Side::Ask)] {
            for position in 0..self.levels.len(owner) {
                let level = self.levels.at_position(owner, position).expect("below the length");
                self.release_queue(level);
            }
            if let Some(level) = self.levels.unpriced(owner) {
                self.release_queue(level);
                self.levels.remove_unpriced(owner);
            }
            self.levels.clear(owner);
        }
        orders
    }

    /// Releases every order of a level's queue; the level is then to be removed.
    fn release_queue(&mut self, level: u32) {
        let mut slot = self.levels.level(level).head;
        while slot != self.orders.nobody() {
            let next = self.orders.at(slot).next;
            self.orders.release(slot);
            slot = next;
        }
    }

    /// First pass over a packet: asks for the line of an order that the message names.
    #[inline(always)]
    pub fn look_ahead(&self, reference: u64) {
        self.orders.prefetch(reference);
    }

    /// First pass, for an order to be added: the line of its side.
    #[inline(always)]
    pub fn look_ahead_add(&self, instrument: u32, side: Side) {
        self.levels.prefetch_side(owner(instrument, side));
    }

    /// Second pass, for an order to be added: the level that it will join, or where its price will stand.
    #[inline(always)]
    pub fn look_closer_add(&self, instrument: u32, side: Side, price: u32) {
        let owner = owner(instrument, side);
        self.levels.prefetch_far(owner);
        self.levels.prefetch_near(owner, rank(side, price));
    }

    /// Second pass, for a message about a live order: through the order to its level, its neighbours and its side.
    /// Returns a hint for [`Book::find`], [`NIL`] when there is no such order, and the order's instrument and side.
    #[inline(always)]
    pub fn look_closer(&self, reference: u64) -> (u32, Option<(u32, Side)>) {
        let slot = self.orders.find(reference);
        if slot == NIL {
            return (NIL, None);
        }
        let order = self.orders.at(slot);
        self.orders.prefetch_slot(order.prev);
        self.orders.prefetch_slot(order.next);
        self.levels.prefetch_level(order.level);
        self.levels.prefetch_side(order.owner);
        (slot, Some((order.owner >> 1, side_of(order.owner))))
    }

    /// Instruments that the book can hold.
    pub fn instruments(&self) -> usize {
        self.levels.instruments()
    }

    /// Orders live over all instruments.
    #[inline(always)]
    pub fn live_orders(&self) -> usize {
        self.orders.live()
    }

    /// Most orders that can be live.
    pub fn order_limit(&self) -> usize {
        self.orders.limit()
    }

    /// Most levels that there can be.
    pub fn level_limit(&self) -> usize {
        self.levels.limit()
    }

    /// Levels over all instruments.
    pub fn live_levels(&self) -> usize {
        self.levels.live()
    }

    /// Orders live of one instrument.
    ///
    /// # Panics
    /// When there is no such instrument, as all readers below.
    #[inline(always)]
    pub fn orders_of(&self, instrument: u32) -> u32 {
        self.levels.side(owner(instrument, Side::Bid)).orders + self.levels.side(owner(instrument, Side::Ask)).orders
    }

    /// Of these, orders without a price.
    pub fn unpriced_orders_of(&self, instrument: u32) -> u32 {
        let owners = [owner(instrument, Side::Bid), owner(instrument, Side::Ask)];
        owners.into_iter().filter_map(|owner| self.levels.unpriced(owner)).map(|at| self.levels.level(at).orders).sum()
    }

    /// Levels of one side.
    #[inline(always)]
    pub fn depth(&self, instrument: u32, side: Side) -> usize {
        self.levels.len(owner(instrument, side))
    }

    /// Best price of a side, from the side's line alone.
    #[inline(always)]
    pub fn best_price(&self, instrument: u32, side: Side) -> Option<u32> {
        Some(rank(side, self.levels.best_rank(owner(instrument, side))?))
    }

    /// The level at `position` from the touch.
    #[inline(always)]
    pub fn level(&self, instrument: u32, side: Side, position: usize) -> Option<PriceLevel> {
        let level = self.levels.level(self.levels.at_position(owner(instrument, side), position)?);
        Some(PriceLevel { price: rank(side, level.rank), quantity: level.quantity, orders: level.orders })
    }

    /// Price of the level at `position` from the touch: cheaper than the level itself.
    #[inline(always)]
    pub fn price_at(&self, instrument: u32, side: Side, position: usize) -> Option<u32> {
        Some(rank(side, self.levels.rank_at(owner(instrument, side), position)?))
    }

    /// The best level of a side.
    #[inline(always)]
    pub fn best(&self, instrument: u32, side: Side) -> Option<PriceLevel> {
        self.level(instrument, side, 0)
    }

    /// Levels of a side, best first.
    pub fn levels(&self, instrument: u32, side: Side) -> impl Iterator<Item = PriceLevel> + '_ {
        (0..self.depth(instrument, side)).map_while(move |position| self.level(instrument, side, position))
    }

    /// Orders of one price, or of [`NO_PRICE`], in their priority, as (reference, quantity).
    pub fn queue(&self, instrument: u32, side: Side, price: u32) -> impl Iterator<Item = (u64, u32)> + '_ {
        let nobody = self.orders.nobody();
        let owner = owner(instrument, side);
        let level = match price {
            NO_PRICE => self.levels.unpriced(owner),
            _ => self.levels.seek(owner, rank(side, price)).level,
        };
        let mut slot = level.map_or(nobody, |level| self.levels.level(level).head);
        std::iter::from_fn(move || {
            if slot == nobody {
                return None;
            }
            let order = self.orders.at(slot);
            slot = order.next;
            Some((order.tag - 1, order.quantity))
        })
    }
}

#[inline(always)]
fn side_of(owner: u32) -> Side {
    if owner & 1 == 0 { Side::Bid } else { Side::Ask }
}
