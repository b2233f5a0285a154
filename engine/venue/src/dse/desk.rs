//! What traders do to one orderbook: orders, replaces, market orders and trades that never cross a book while it trades
//! continuously.

use wire::dialect::{Role, Value};

use super::config::DseConfig;
use super::listing::{self, Instrument, MAX_PRICE, beside, snap};
use super::pen::{self, NO_PRICE, Pen};
use crate::market::book::{Books, OrderId, Side};
use crate::market::rng::Rng;
use crate::market::symbols::Activity;

/// Most resting orders that one aggressive order executes.
const MAX_SWEEP: usize = 64;
/// Market orders that may wait for one auction.
pub(super) const MAX_WAITING: usize = 16;
/// Share of new orders at which a book keeps its size, and how hard it pulls back to its target.
const ADD_SHARE: f64 = 0.46;
const ADD_PULL: f64 = 0.35;
/// What the rest does, as running sums of shares: delete, replace, take; the remainder trades elsewhere.
const DELETE_BELOW: f64 = 0.62;
const REPLACE_BELOW: f64 = 0.88;
const TAKE_BELOW: f64 = 0.96;
/// Pull of a fair price to its reference, so that an endless market stays in sight: the share undone per hour.
const REVERSION_PER_HOUR: f64 = 0.25;

/// A market order that waits for an auction.
#[derive(Debug, Clone, Copy)]
pub(super) struct MarketOrder {
    pub(super) reference: u64,
    pub(super) side: Side,
    pub(super) shares: u32,
}

/// The last print of an orderbook, while it can still be revoked.
#[derive(Debug, Clone, Copy)]
struct Print {
    match_number: u64,
    /// Price before it.
    before: u32,
}

/// All state of the traders.
#[derive(Debug)]
pub(super) struct Desk {
    pub(super) rng: Rng,
    pub(super) instruments: Vec<Instrument>,
    pub(super) books: Books,
    pub(super) waiting: Vec<Vec<MarketOrder>>,
    pub(super) pen: Pen,
    activity: Activity,
    prints: Vec<Option<Print>>,
    next_order: u64,
    next_match: u64,
    pub(super) participants: bool,
    pub(super) companies: u32,
}

impl Desk {
    pub(super) fn new(config: &DseConfig, rng: Rng, instruments: Vec<Instrument>, pen: Pen, companies: u32) -> Self {
        Self {
            books: Books::new(instruments.iter().map(|instrument| 2 * instrument.target_orders)),
            waiting: vec![Vec::with_capacity(MAX_WAITING); instruments.len()],
            activity: Activity::new(instruments.len() as u32),
            prints: vec![None; instruments.len()],
            next_order: 1_000,
            next_match: 1,
            participants: config.participants,
            companies,
            rng,
            instruments,
            pen,
        }
    }

    pub(super) fn orderbook(&self, s: usize) -> Value<'static> {
        self.instruments[s].orderbook.into()
    }

    pub(super) fn new_order(&mut self) -> u64 {
        self.next_order += 1 + u64::from(self.rng.below(3));
        self.next_order
    }

    pub(super) fn new_match(&mut self) -> u64 {
        self.next_match += 1;
        self.next_match
    }

    /// One trader does one thing in one orderbook. Before the open nothing trades, and a book may be crossed.
    pub(super) fn act(&mut self, now: u64, is_trading: bool) {
        let s = self.activity.draw(&mut self.rng);
        if !self.instruments[s].is_open {
            return;
        }
        self.move_fair(s, now);
        let (live, target) = (self.books.live(s) as f64, self.instruments[s].target_orders as f64);
        let add_share = (ADD_SHARE + ADD_PULL * (target - live) / target).clamp(0.05, 0.95);
        if live == 0.0 || (!self.books.is_full(s) && self.rng.chance(add_share)) {
            return self.enter(s, now, is_trading);
        }
        let x = self.rng.unit();
        if x < DELETE_BELOW {
            let id = self.pick(s);
            self.delete(id, now);
        } else if x < REPLACE_BELOW {
            self.replace(s, now, is_trading);
        } else if !is_trading {
            self.wait_at_market(s, now);
        } else if x < TAKE_BELOW {
            self.trade_at_market(s, now);
        } else {
            self.trade_elsewhere(s, now);
        }
    }

    fn move_fair(&mut self, s: usize, now: u64) {
        let instrument = &mut self.instruments[s];
        let seconds = (now - instrument.moved_ns) as f64 * 1e-9;
        instrument.moved_ns = now;
        let reference = f64::from(instrument.reference);
        let pull = (seconds * (REVERSION_PER_HOUR / 3_600.0)).min(1.0);
        instrument.fair += instrument.step * seconds.sqrt() * self.rng.gaussian();
        instrument.fair += (reference - instrument.fair) * pull;
        // A circuit breaker of ten percent.
        instrument.fair = instrument.fair.clamp(0.9 * reference, 1.1 * reference);
    }

    /// Where a new order wants to stand: a few ticks around what the instrument is worth, thinning out.
    fn quote(&mut self, s: usize, side: Side) -> u32 {
        let instrument = &self.instruments[s];
        let ticks = match self.rng.unit() {
            ..0.08 => -1.0,
            ..0.92 => 0.5 + 3.0 * self.rng.exponential(),
            _ => 0.5 + 15.0 * self.rng.exponential(),
        };
        let (table, fair) = (instrument.tick_table, instrument.fair);
        let distance = ticks * f64::from(listing::tick(table, fair as u32));
        let price = if side == Side::Buy { fair - distance } else { fair + distance };
        snap(table, price.clamp(1.0, f64::from(MAX_PRICE)) as u32, side)
    }

    fn size(&mut self) -> u32 {
        let bits = self.rng.bits();
        match bits as u32 % 100 {
            0..30 => 1 + (bits >> 8) as u32 % 99,
            30..90 => 100 * (1 + (bits >> 8) as u32 % 30),
            _ => 5_000 * (1 + (bits >> 8) as u32 % 10),
        }
    }

    fn side(&mut self) -> Side {
        if self.rng.bits() & 1 == 0 { Side::Buy } else { Side::Sell }
    }

    fn is_marketable(&self, s: usize, side: Side, price: u32) -> bool {
        match (side, self.books.best(s, side.opposite())) {
            (_, None) => false,
            (Side::Buy, Some(ask)) => price >= ask,
            (Side::Sell, Some(bid)) => price <= bid,
        }
    }

    /// The nearest price that does not cross the book; none when there is no room below.
    fn passive_price(&self, s: usize, side: Side, price: u32) -> Option<u32> {
        let table = self.instruments[s].tick_table;
        let price = match (side, self.books.best(s, side.opposite())) {
            (Side::Buy, Some(ask)) if price >= ask => beside(table, ask, false),
            (Side::Sell, Some(bid)) if price <= bid => beside(table, bid, true),
            _ => price,
        };
        let price = self.books.resting_price(s, side, price);
        (price > 0 && price <= MAX_PRICE && !self.is_marketable(s, side, price)).then_some(price)
    }

    /// A new limit order: what is marketable trades, the rest joins the book. Before the open all of it does.
    fn enter(&mut self, s: usize, now: u64, is_trading: bool) {
        let side = self.side();
        let (limit, mut shares) = (self.quote(s, side), self.size());
        if is_trading && self.is_marketable(s, side, limit) {
            shares = self.sweep(s, now, side, limit, shares, None);
            if self.is_marketable(s, side, limit) {
                return;
            }
        }
        if shares > 0 && !self.books.is_full(s) {
            self.rest(s, now, side, limit, shares, is_trading);
        }
    }

    /// Adds an order to the book without trading.
    pub(super) fn rest(&mut self, s: usize, now: u64, side: Side, limit: u32, shares: u32, is_trading: bool) {
        let price = match is_trading {
            true => self.passive_price(s, side, limit),
            false => Some(self.books.resting_price(s, side, limit)),
        };
        let Some(price) = price else { return };
        let reference = self.new_order();
        self.books.add(s, side, price, shares, reference);
        self.write_add(s, now, reference, side, shares, price);
    }

    /// One order on either side, as part of the book that an instrument starts with.
    pub(super) fn seed(&mut self, s: usize, now: u64, side: Side) {
        let (limit, shares) = (self.quote(s, side), self.size());
        self.rest(s, now, side, limit, shares, false);
    }

    /// A market order before the open: it exists, and has no level.
    fn wait_at_market(&mut self, s: usize, now: u64) {
        if self.waiting[s].len() == MAX_WAITING {
            return;
        }
        let (side, shares, reference) = (self.side(), self.size(), self.new_order());
        self.waiting[s].push(MarketOrder { reference, side, shares });
        self.write_add(s, now, reference, side, shares, NO_PRICE);
    }

    /// A market order while trading: it trades with the best orders, and what is left gets a price or goes.
    fn trade_at_market(&mut self, s: usize, now: u64) {
        let side = self.side();
        let Some(touch) = self.books.best(s, side.opposite()) else { return };
        let (shares, reference) = (self.size(), self.new_order());
        self.write_add(s, now, reference, side, shares, NO_PRICE);
        // Two ticks behind the touch and not further.
        let (table, is_buy) = (self.instruments[s].tick_table, side == Side::Buy);
        let limit = beside(table, beside(table, touch, is_buy), is_buy);
        let left = self.sweep(s, now, side, limit, shares, Some(reference));
        if left == 0 {
            return;
        }
        match self.passive_price(s, side, limit).filter(|_| !self.books.is_full(s) && self.rng.chance(0.5)) {
            Some(price) => {
                // The message with which a market order gets a price, keeping its number.
                self.books.add(s, side, price, left, reference);
                self.write_replace(s, now, reference, reference, left, price);
            }
            None => self.pen.write(now, pen::DELETE, &[(Role::Reference, reference.into())]),
        }
    }

    /// Executes the first orders of the best levels up to `limit`; returns the shares that found nobody. A taker whose order
    /// is known gets its own executions, under the same match numbers.
    fn sweep(&mut self, s: usize, now: u64, side: Side, limit: u32, mut shares: u32, taker: Option<u64>) -> u32 {
        for _ in 0..MAX_SWEEP {
            if shares == 0 || !self.is_marketable(s, side, limit) {
                break;
            }
            let head = self.books.head(s, side.opposite()).expect("a marketable order has a counterpart");
            let order = *self.books.order(head);
            let executed = shares.min(order.shares);
            let match_number = self.new_match();
            let is_hushed = taker.is_none() && self.rng.chance(0.02);
            self.write_execution(now, s, order.reference, executed, match_number, is_hushed.then_some(order.price));
            if let Some(reference) = taker {
                self.write_priced(now, s, reference, executed, match_number, order.price, b'Y');
            }
            self.books.reduce(head, executed);
            if !is_hushed {
                self.print(s, match_number, order.price);
            }
            shares -= executed;
        }
        shares
    }

    /// A trade has been printed.
    pub(super) fn print(&mut self, s: usize, match_number: u64, price: u32) {
        let instrument = &mut self.instruments[s];
        self.prints[s] = Some(Print { match_number, before: instrument.last });
        instrument.last = price;
        instrument.has_traded = true;
    }

    fn pick(&mut self, s: usize) -> OrderId {
        let live = self.books.live(s) as u32;
        self.books.at(s, self.rng.below(live) as usize)
    }

    fn delete(&mut self, id: OrderId, now: u64) {
        let reference = self.books.order(id).reference;
        self.books.remove(id);
        self.pen.write(now, pen::DELETE, &[(Role::Reference, reference.into())]);
    }

    /// A smaller quantity at the same price, or another price: both under a new number.
    fn replace(&mut self, s: usize, now: u64, is_trading: bool) {
        let id = self.pick(s);
        let original = *self.books.order(id);
        self.books.remove(id);
        let is_cut = original.shares > 1 && self.rng.chance(0.4);
        let (price, shares) = match is_cut {
            true => (Some(original.price), 1 + self.rng.below(original.shares - 1)),
            false => {
                let (wanted, shares) = (self.quote(s, original.side), self.size());
                let price = if is_trading { self.passive_price(s, original.side, wanted) } else { Some(wanted) };
                (price.map(|price| self.books.resting_price(s, original.side, price)), shares)
            }
        };
        let Some(price) = price else {
            return self.pen.write(now, pen::DELETE, &[(Role::Reference, original.reference.into())]);
        };
        let reference = self.new_order();
        self.books.add(s, original.side, price, shares, reference);
        self.write_replace(s, now, original.reference, reference, shares, price);
    }

    /// A trade that no book shows, printed or not; or the last print of the orderbook is revoked.
    fn trade_elsewhere(&mut self, s: usize, now: u64) {
        if self.rng.chance(0.05)
            && let Some(print) = self.prints[s].take()
        {
            self.instruments[s].last = print.before;
            let values = [(Role::MatchNumber, print.match_number.into()), (Role::Reason, Value::Letter(b'S'))];
            return self.pen.write(now, pen::BROKEN, &values);
        }
        let (number, shares, price) = (self.new_match(), self.size(), self.middle(s));
        let is_printed = self.rng.chance(0.8);
        self.write_trade(s, now, shares, price, number, if is_printed { b'Y' } else { b'N' });
        if is_printed {
            self.print(s, number, price);
        }
    }

    /// A price on the tick that neither side of the book contradicts.
    fn middle(&self, s: usize) -> u32 {
        let instrument = &self.instruments[s];
        let fair = snap(instrument.tick_table, instrument.fair as u32, Side::Buy);
        let low = self.books.best(s, Side::Buy).unwrap_or(0);
        let high = self.books.best(s, Side::Sell).unwrap_or(MAX_PRICE);
        fair.clamp(low, high)
    }
}
