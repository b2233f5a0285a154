//! What traders do to one symbol: adds, cancels, replaces and executions that never cross the book.

use wire::itch50::{
    AddOrder, AddOrderMpid, BrokenTrade, OrderCancel, OrderDelete, OrderExecuted, OrderExecutedPrice, OrderReplace,
    Trade,
};

use super::References;
use super::auction::Auctions;
use super::book::{Books, OrderId, Side};
use super::config::MarketConfig;
use super::rng::Rng;
use super::symbols::{Activity, FAIR_FLOOR_TICKS, PRICE_TICKS, Symbol, TICK};
use super::tape::Tape;

/// Most resting orders that one aggressive order or one auction executes.
pub(super) const MAX_SWEEP: usize = 64;
/// Share of adds at which a symbol keeps its number of orders, and how hard it pulls back to its target.
const ADD_SHARE: f64 = 0.46;
const ADD_PULL: f64 = 0.35;
/// What the rest does, as running sums of shares: delete, replace, take, cancel; the remainder trades hidden.
const DELETE_BELOW: f64 = 0.775;
const REPLACE_BELOW: f64 = 0.925;
const TAKE_BELOW: f64 = 0.965;
const CANCEL_BELOW: f64 = 0.985;
/// Pull of a fair price to its opening value, so that an endless market stays in sight: the share undone per hour.
const REVERSION_PER_HOUR: f64 = 0.25;

/// All state of the traders: prices, books, references, and the tape they write on.
#[derive(Debug)]
pub(super) struct Desk {
    pub(super) rng: Rng,
    pub(super) symbols: Vec<Symbol>,
    pub(super) activity: Activity,
    pub(super) books: Books,
    pub(super) auctions: Auctions,
    pub(super) references: References,
    pub(super) tape: Tape,
    /// Match number of the last hidden trade, until it is broken.
    breakable: Option<(usize, u64)>,
}

pub(super) fn locate(symbol: usize) -> u16 {
    symbol as u16 + 1
}

impl Desk {
    pub(super) fn new(config: &MarketConfig, mut rng: Rng, symbols: Vec<Symbol>, with_books: bool) -> Self {
        let listed = if with_books { symbols.len() } else { 0 };
        Self {
            activity: Activity::new(config.symbols),
            books: Books::new(symbols[..listed].iter().map(|symbol| 2 * symbol.target_orders)),
            auctions: Auctions::new(config, listed, &mut rng),
            references: References::new(),
            tape: Tape::with_room_for(2 * MAX_SWEEP),
            breakable: None,
            rng,
            symbols,
        }
    }

    /// One trader does one thing in one symbol. Without `trading` nothing executes: before the open.
    pub(super) fn act(&mut self, now: u64, trading: bool) {
        let s = self.activity.draw(&mut self.rng);
        let trading = trading && self.auctions.is_open(s);
        self.move_fair(s, now);
        let (live, target) = (self.books.live(s) as f64, self.symbols[s].target_orders as f64);
        let add_share = (ADD_SHARE + ADD_PULL * (target - live) / target).clamp(0.05, 0.95);
        if live == 0.0 || (!self.books.is_full(s) && self.rng.chance(add_share)) {
            return self.enter(s, now, trading);
        }
        let x = self.rng.unit();
        if x < DELETE_BELOW {
            self.delete(s, now);
        } else if x < REPLACE_BELOW {
            self.replace(s, now);
        } else if x < TAKE_BELOW && trading {
            self.sweep_by_sentiment(s, now);
        } else if x < CANCEL_BELOW || !trading {
            self.cancel(s, now);
        } else {
            self.trade_hidden(s, now);
        }
    }

    /// A random walk in time, not in messages: the faster the market, the smaller each step.
    fn move_fair(&mut self, s: usize, now: u64) {
        let symbol = &mut self.symbols[s];
        let seconds = (now - symbol.moved_ns) as f64 * 1e-9;
        symbol.moved_ns = now;
        let pull = (seconds * (REVERSION_PER_HOUR / 3_600.0)).min(1.0);
        symbol.fair += symbol.step * seconds.sqrt() * self.rng.gaussian();
        symbol.fair += (symbol.opening_fair - symbol.fair) * pull;
        symbol.fair = symbol.fair.clamp(FAIR_FLOOR_TICKS, f64::from(*PRICE_TICKS.end()) * 0.5);
    }

    /// Where a new order of this side wants to stand: dense near the touch, thinning out geometrically, a few far away,
    /// a few inside the spread.
    fn quote(&mut self, s: usize, side: Side) -> u32 {
        let symbol = &self.symbols[s];
        let style = self.rng.unit();
        let distance = match style {
            ..0.04 => -symbol.half_spread * self.rng.unit() * 1.5,
            ..0.90 => symbol.half_spread + symbol.depth * self.rng.exponential(),
            _ => symbol.half_spread + 8.0 * symbol.depth * self.rng.exponential(),
        };
        let price = match side {
            Side::Buy => (symbol.fair - distance).floor(),
            Side::Sell => (symbol.fair + distance).ceil(),
        };
        price.clamp(f64::from(*PRICE_TICKS.start()), f64::from(*PRICE_TICKS.end())) as u32
    }

    /// Round lots mostly, odd lots and mixed lots sometimes.
    fn size(&mut self) -> u32 {
        let bits = self.rng.bits();
        let lots = 1 + (bits >> 32).trailing_zeros().min(6);
        match bits as u32 % 100 {
            0..12 => 1 + (bits >> 8) as u32 % 99,
            12..18 => 100 * lots + 1 + (bits >> 8) as u32 % 99,
            18..24 => 100 * lots * 5,
            _ => 100 * lots,
        }
    }

    /// Whether an order at `price` would trade at once.
    fn is_marketable(&self, s: usize, side: Side, price: u32) -> bool {
        match (side, self.books.best(s, side.opposite())) {
            (_, None) => false,
            (Side::Buy, Some(ask)) => price >= ask,
            (Side::Sell, Some(bid)) => price <= bid,
        }
    }

    /// The nearest price that does not cross or lock the book; none when there is no room (a bid at the lowest price).
    fn passive_price(&self, s: usize, side: Side, price: u32) -> Option<u32> {
        let price = match (side, self.books.best(s, side.opposite())) {
            (Side::Buy, Some(ask)) => price.min(ask - 1),
            (Side::Sell, Some(bid)) => price.max(bid + 1),
            (_, None) => price,
        };
        PRICE_TICKS.contains(&price).then(|| self.books.resting_price(s, side, price))
    }

    /// A new limit order: what is marketable trades, the rest joins the book.
    fn enter(&mut self, s: usize, now: u64, trading: bool) {
        let side = if self.rng.bits() & 1 == 0 { Side::Buy } else { Side::Sell };
        let (limit, mut shares) = (self.quote(s, side), self.size());
        if trading && self.is_marketable(s, side, limit) {
            shares = self.sweep(s, now, side, limit, shares);
        }
        // An order that is still marketable has met the sweep limit; what is left of it is not displayed.
        let displayed = shares > 0 && !(trading && self.is_marketable(s, side, limit));
        if displayed && !self.books.is_full(s) {
            self.rest(s, now, side, limit, shares);
        }
    }

    /// Adds an order to the book without trading, at `limit` or the nearest price that does not cross.
    fn rest(&mut self, s: usize, now: u64, side: Side, limit: u32, shares: u32) {
        let Some(price) = self.passive_price(s, side, limit) else { return };
        let reference = self.references.order(locate(s), &mut self.rng);
        self.books.add(s, side, price, shares, reference);
        let stock = self.symbols[s].stock;
        let (order_reference, side, shares, price) = (reference.into(), side.code(), shares.into(), raw(price).into());
        if self.rng.chance(0.016) {
            let attribution = [*b"TLMA", *b"TLMB", *b"TLMC"][self.rng.below(3) as usize];
            let head = AddOrderMpid::new(locate(s), now);
            self.tape.push(now, &AddOrderMpid { order_reference, side, shares, stock, price, attribution, ..head });
        } else {
            let head = AddOrder::new(locate(s), now);
            self.tape.push(now, &AddOrder { order_reference, side, shares, stock, price, ..head });
        }
    }

    /// One order on either side, as part of the book that a symbol starts with.
    pub(super) fn seed(&mut self, s: usize, now: u64, side: Side) {
        let (limit, shares) = (self.quote(s, side), self.size());
        self.rest(s, now, side, limit, shares);
    }

    /// Takes liquidity in the direction in which the book lags the fair price.
    fn sweep_by_sentiment(&mut self, s: usize, now: u64) {
        let (Some(bid), Some(ask)) = (self.books.best(s, Side::Buy), self.books.best(s, Side::Sell)) else {
            return self.delete(s, now);
        };
        let lag = self.symbols[s].fair - 0.5 * (f64::from(bid) + f64::from(ask));
        let buy_chance = (0.5 + 0.2 * lag / self.symbols[s].half_spread).clamp(0.1, 0.9);
        let through = self.rng.below(3);
        let shares = self.size();
        if self.rng.chance(buy_chance) {
            self.sweep(s, now, Side::Buy, ask + through, shares);
        } else {
            self.sweep(s, now, Side::Sell, bid.saturating_sub(through).max(1), shares);
        }
    }

    /// Executes the first orders of the best levels up to `limit`; returns the shares that found nobody.
    fn sweep(&mut self, s: usize, now: u64, side: Side, limit: u32, mut shares: u32) -> u32 {
        for _ in 0..MAX_SWEEP {
            if shares == 0 || !self.is_marketable(s, side, limit) {
                break;
            }
            let head = self.books.head(s, side.opposite()).expect("a marketable order has a counterpart");
            shares -= self.execute(head, s, now, shares);
        }
        shares
    }

    /// Executes one resting order at its own price or, rarely, at a better one for the taker.
    fn execute(&mut self, id: OrderId, s: usize, now: u64, wanted: u32) -> u32 {
        let order = *self.books.order(id);
        let shares = wanted.min(order.shares);
        let match_number = self.references.execution(&mut self.rng).into();
        let (order_reference, executed_shares) = (order.reference.into(), shares.into());
        if self.rng.chance(0.04) {
            let better = if order.side == Side::Buy { order.price + 1 } else { (order.price - 1).max(1) };
            let execution_price = raw(better).into();
            let head = OrderExecutedPrice::new(locate(s), now);
            let printable = b'Y';
            self.tape.push(
                now,
                &OrderExecutedPrice {
                    order_reference,
                    executed_shares,
                    match_number,
                    printable,
                    execution_price,
                    ..head
                },
            );
        } else {
            let head = OrderExecuted::new(locate(s), now);
            self.tape.push(now, &OrderExecuted { order_reference, executed_shares, match_number, ..head });
        }
        self.books.reduce(id, shares);
        shares
    }

    /// A live order of the symbol, mostly one of the youngest.
    fn pick(&mut self, s: usize) -> OrderId {
        let live = self.books.live(s) as u32;
        let place = if self.rng.chance(0.7) {
            let age = (self.rng.exponential() * 0.15 * f64::from(live)) as u32;
            live - 1 - age.min(live - 1)
        } else {
            self.rng.below(live)
        };
        self.books.at(s, place as usize)
    }

    fn delete(&mut self, s: usize, now: u64) {
        let id = self.pick(s);
        self.delete_order(id, s, now);
    }

    pub(super) fn delete_order(&mut self, id: OrderId, s: usize, now: u64) {
        let order_reference = self.books.order(id).reference.into();
        self.books.remove(id);
        self.tape.push(now, &OrderDelete { order_reference, ..OrderDelete::new(locate(s), now) });
    }

    fn cancel(&mut self, s: usize, now: u64) {
        let id = self.pick(s);
        let order = *self.books.order(id);
        let cancelled = match order.shares {
            0..=1 => return self.delete_order(id, s, now),
            2..=100 => 1 + self.rng.below(order.shares - 1),
            shares => 100 * (1 + self.rng.below((shares - 1) / 100)),
        };
        self.books.reduce(id, cancelled);
        let (order_reference, cancelled_shares) = (order.reference.into(), cancelled.into());
        self.tape.push(now, &OrderCancel { order_reference, cancelled_shares, ..OrderCancel::new(locate(s), now) });
    }

    fn replace(&mut self, s: usize, now: u64) {
        let id = self.pick(s);
        let original = *self.books.order(id);
        let (wanted, shares) = (self.quote(s, original.side), self.size());
        self.books.remove(id);
        let Some(price) = self.passive_price(s, original.side, wanted) else {
            let order_reference = original.reference.into();
            return self.tape.push(now, &OrderDelete { order_reference, ..OrderDelete::new(locate(s), now) });
        };
        let reference = self.references.order(locate(s), &mut self.rng);
        self.books.add(s, original.side, price, shares, reference);
        self.tape.push(
            now,
            &OrderReplace {
                original_order_reference: original.reference.into(),
                new_order_reference: reference.into(),
                shares: shares.into(),
                price: raw(price).into(),
                ..OrderReplace::new(locate(s), now)
            },
        );
    }

    /// A trade between the best prices that the book never shows. One in fifty revokes the one before it instead.
    fn trade_hidden(&mut self, s: usize, now: u64) {
        if let Some((broken, number)) = self.breakable
            && self.rng.chance(0.02)
        {
            self.breakable = None;
            let match_number = number.into();
            return self.tape.push(now, &BrokenTrade { match_number, ..BrokenTrade::new(locate(broken), now) });
        }
        let number = self.references.execution(&mut self.rng);
        self.breakable = Some((s, number));
        let (side, shares, stock) = (b'B', self.size().into(), self.symbols[s].stock);
        let (price, match_number) = (raw(self.middle(s)).into(), number.into());
        self.tape.push(now, &Trade { side, shares, stock, price, match_number, ..Trade::new(locate(s), now) });
    }

    /// A price that neither side of the book contradicts, in ticks.
    pub(super) fn middle(&self, s: usize) -> u32 {
        let fair = self.symbols[s].fair as u32;
        let low = self.books.best(s, Side::Buy).unwrap_or(*PRICE_TICKS.start());
        let high = self.books.best(s, Side::Sell).unwrap_or(*PRICE_TICKS.end());
        fair.clamp(low, high)
    }
}

/// Ticks to the four implied decimals of ITCH prices.
pub(super) fn raw(ticks: u32) -> u32 {
    ticks * TICK
}
