//! The benchmark mix: the message types of a full day in their usual shares, over one pool of orders without books.

use wire::itch50::{
    AddOrder, AddOrderMpid, Noii, OrderCancel, OrderDelete, OrderExecuted, OrderExecutedPrice, OrderReplace, Trade,
};

use super::References;
use super::rng::Rng;
use super::symbols::{PRICE_TICKS, Symbol, TICK};
use super::tape::Tape;

/// Most live orders of the pool. A day of 50 million messages ends with little more than half of it.
const MAX_LIVE: usize = 1_200_000;
/// Below this the pool only grows, so that picks have a choice.
const MIN_LIVE: usize = 2_000;
/// Share of picks that take a young order, and their mean age in orders.
const YOUNG_SHARE: f64 = 0.9;
const YOUNG_AGE: f64 = 3_000.0;

#[derive(Debug, Clone, Copy)]
struct PoolOrder {
    reference: u64,
    price_ticks: u32,
    shares: u32,
    locate: u16,
}

#[derive(Debug)]
pub(super) struct Pool {
    live: Vec<PoolOrder>,
}

impl Pool {
    pub(super) fn new() -> Self {
        Self { live: Vec::with_capacity(MAX_LIVE) }
    }

    pub(super) fn live(&self) -> usize {
        self.live.len()
    }

    /// Puts one message on the tape.
    pub(super) fn step(
        &mut self,
        now: u64,
        rng: &mut Rng,
        symbols: &mut [Symbol],
        references: &mut References,
        tape: &mut Tape,
    ) {
        let x = rng.unit();
        let live = self.live.len();
        if live < MIN_LIVE || (x < 0.4481 && live < MAX_LIVE) {
            self.add(now, x < 0.007, rng, symbols, references, tape);
        } else if x < 0.867 {
            self.delete(now, rng, tape);
        } else if x < 0.947 {
            self.replace(now, rng, references, tape);
        } else if x < 0.983 {
            self.execute(now, x > 0.982, rng, references, tape);
        } else if x < 0.99 {
            self.cancel(now, rng, tape);
        } else if x < 0.995 {
            hidden_trade(now, rng, symbols, references, tape);
        } else {
            imbalance(now, rng, symbols, tape);
        }
    }

    /// Mostly a young order: in a real day most live for less than a second.
    #[inline]
    fn pick(&self, rng: &mut Rng) -> usize {
        let live = self.live.len();
        if rng.chance(YOUNG_SHARE) {
            let age = (rng.exponential() * YOUNG_AGE) as usize;
            live - 1 - age.min(live - 1)
        } else {
            rng.below(live as u32) as usize
        }
    }

    fn add(
        &mut self,
        now: u64,
        attributed: bool,
        rng: &mut Rng,
        symbols: &mut [Symbol],
        references: &mut References,
        tape: &mut Tape,
    ) {
        let u = rng.unit();
        let index = (u * u * u * symbols.len() as f64) as usize;
        let locate = index as u16 + 1;
        let symbol = &mut symbols[index];
        symbol.fair = (symbol.fair + (rng.unit() - 0.5) * 0.8).max(50.0);
        let far = if rng.chance(0.9) { 4.0 } else { 60.0 };
        let distance = 0.5 + rng.exponential() * far;
        let bits = rng.bits();
        let (side, price) = if bits & 1 == 0 { (b'B', symbol.fair - distance) } else { (b'S', symbol.fair + distance) };
        let price_ticks = (price.max(1.0) as u32).min(*PRICE_TICKS.end());
        let shares = 100 * (1 + (bits >> 8) as u32 % 5);
        let reference = references.order(locate, rng);
        self.live.push(PoolOrder { reference, price_ticks, shares, locate });
        if attributed {
            let attribution = *b"NSDQ";
            tape.push(
                now,
                &AddOrderMpid {
                    order_reference: reference.into(),
                    side,
                    shares: shares.into(),
                    stock: symbol.stock,
                    price: (price_ticks * TICK).into(),
                    attribution,
                    ..AddOrderMpid::new(locate, now)
                },
            );
        } else {
            tape.push(
                now,
                &AddOrder {
                    order_reference: reference.into(),
                    side,
                    shares: shares.into(),
                    stock: symbol.stock,
                    price: (price_ticks * TICK).into(),
                    ..AddOrder::new(locate, now)
                },
            );
        }
    }

    fn delete(&mut self, now: u64, rng: &mut Rng, tape: &mut Tape) {
        let at = self.pick(rng);
        self.delete_at(at, now, tape);
    }

    fn delete_at(&mut self, at: usize, now: u64, tape: &mut Tape) {
        let order = self.live.swap_remove(at);
        tape.push(now, &OrderDelete { order_reference: order.reference.into(), ..OrderDelete::new(order.locate, now) });
    }

    fn replace(&mut self, now: u64, rng: &mut Rng, references: &mut References, tape: &mut Tape) {
        let at = self.pick(rng);
        let order = &mut self.live[at];
        let original = order.reference;
        let bits = rng.bits();
        order.reference = references.order(order.locate, rng);
        order.shares = 100 * (1 + bits as u32 % 5);
        order.price_ticks =
            (order.price_ticks + (bits >> 32) as u32 % 5).saturating_sub(2).clamp(1, *PRICE_TICKS.end());
        tape.push(
            now,
            &OrderReplace {
                original_order_reference: original.into(),
                new_order_reference: order.reference.into(),
                shares: order.shares.into(),
                price: (order.price_ticks * TICK).into(),
                ..OrderReplace::new(order.locate, now)
            },
        );
    }

    fn execute(&mut self, now: u64, priced: bool, rng: &mut Rng, references: &mut References, tape: &mut Tape) {
        let at = self.pick(rng);
        let order = &mut self.live[at];
        let executed = if order.shares == 100 || rng.bits() & 3 == 0 { order.shares } else { 100 };
        let match_number = references.execution(rng);
        if priced {
            tape.push(
                now,
                &OrderExecutedPrice {
                    order_reference: order.reference.into(),
                    executed_shares: executed.into(),
                    match_number: match_number.into(),
                    printable: b'Y',
                    execution_price: (order.price_ticks * TICK).into(),
                    ..OrderExecutedPrice::new(order.locate, now)
                },
            );
        } else {
            tape.push(
                now,
                &OrderExecuted {
                    order_reference: order.reference.into(),
                    executed_shares: executed.into(),
                    match_number: match_number.into(),
                    ..OrderExecuted::new(order.locate, now)
                },
            );
        }
        order.shares -= executed;
        if order.shares == 0 {
            self.live.swap_remove(at);
        }
    }

    fn cancel(&mut self, now: u64, rng: &mut Rng, tape: &mut Tape) {
        let at = self.pick(rng);
        let order = &mut self.live[at];
        if order.shares <= 100 {
            return self.delete_at(at, now, tape);
        }
        order.shares -= 100;
        let message = OrderCancel {
            order_reference: order.reference.into(),
            cancelled_shares: 100.into(),
            ..OrderCancel::new(order.locate, now)
        };
        tape.push(now, &message);
    }
}

fn hidden_trade(now: u64, rng: &mut Rng, symbols: &[Symbol], references: &mut References, tape: &mut Tape) {
    let index = rng.below(symbols.len() as u32) as usize;
    let symbol = &symbols[index];
    tape.push(
        now,
        &Trade {
            side: b'B',
            shares: 100.into(),
            stock: symbol.stock,
            price: (symbol.fair as u32 * TICK).into(),
            match_number: references.execution(rng).into(),
            ..Trade::new(index as u16 + 1, now)
        },
    );
}

fn imbalance(now: u64, rng: &mut Rng, symbols: &[Symbol], tape: &mut Tape) {
    let index = rng.below(symbols.len() as u32) as usize;
    let symbol = &symbols[index];
    let price = symbol.fair as u32 * TICK;
    tape.push(
        now,
        &Noii {
            paired_shares: 1_000.into(),
            imbalance_shares: 10.into(),
            imbalance_direction: b'B',
            stock: symbol.stock,
            far_price: price.into(),
            near_price: price.into(),
            reference_price: price.into(),
            cross_type: b'O',
            price_variation: b'L',
            ..Noii::new(index as u16 + 1, now)
        },
    );
}
