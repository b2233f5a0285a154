//! Auctions and trading halts.
//!
//! On-open and on-close orders are not displayed by the venue, and neither are they here: an auction pairs hidden
//! interest, and its imbalance executes displayed orders of the other side from the best price on, reported as
//! non-printable executions and summed up in one cross message. So a displayed book is never crossed.

use wire::itch50::{CrossTrade, LuldCollar, Noii, OrderExecutedPrice, TradingAction};

use super::book::Side;
use super::config::{HOUR_NS, MarketConfig};
use super::desk::{Desk, MAX_SWEEP, locate, raw};
use super::rng::Rng;

/// Symbols that may be halted at the same time.
const MAX_HALTS: usize = 32;

/// What stands behind an auction: set when it is announced, used up when it is held.
#[derive(Debug, Clone, Copy)]
struct Plan {
    paired: u32,
    side: Side,
    imbalance: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Halted,
    Quoting,
}

#[derive(Debug, Clone, Copy)]
struct Halt {
    symbol: u32,
    stage: Stage,
    /// Volatility pause, and not a news halt.
    pause: bool,
    until_ns: u64,
}

#[derive(Debug)]
pub(super) struct Auctions {
    plans: Vec<Option<Plan>>,
    halts: Vec<Halt>,
    open: Vec<bool>,
    next_halt_ns: u64,
    mean_halt_gap_ns: f64,
    halt_ns: u64,
    /// Executions of the auction at hand, kept until its price is known.
    fills: Vec<(u64, u32)>,
}

impl Auctions {
    pub(super) fn new(config: &MarketConfig, symbols: usize, rng: &mut Rng) -> Self {
        let mut auctions = Self {
            plans: vec![None; symbols],
            halts: Vec::with_capacity(MAX_HALTS),
            open: vec![true; symbols],
            next_halt_ns: config.start_ns,
            mean_halt_gap_ns: HOUR_NS as f64 / config.halts_per_hour.max(1e-9),
            halt_ns: config.halt_ns,
            fills: Vec::with_capacity(MAX_SWEEP),
        };
        auctions.draw_next_halt(rng);
        auctions
    }

    pub(super) fn is_open(&self, symbol: usize) -> bool {
        self.open[symbol]
    }

    fn draw_next_halt(&mut self, rng: &mut Rng) {
        let gap = (rng.exponential() * self.mean_halt_gap_ns).min(1e18);
        self.next_halt_ns = self.next_halt_ns.saturating_add(gap as u64);
    }

    /// When [`Desk::run_halts`] has something to do next.
    pub(super) fn due_ns(&self) -> u64 {
        self.halts.iter().map(|halt| halt.until_ns).fold(self.next_halt_ns, u64::min)
    }
}

impl Desk {
    /// Moves every halt that is due to its next stage, or begins one.
    pub(super) fn run_halts(&mut self, now: u64) {
        if let Some(at) = self.auctions.halts.iter().position(|halt| halt.until_ns <= now) {
            match self.auctions.halts[at].stage {
                Stage::Halted => self.begin_quoting(at, now),
                Stage::Quoting => self.resume(at, now),
            }
        } else if self.auctions.next_halt_ns <= now {
            self.begin_halt(now);
        }
    }

    fn begin_halt(&mut self, now: u64) {
        // The gap counts from now, so that a pause before the open does not end in a row of halts.
        self.auctions.next_halt_ns = now;
        self.auctions.draw_next_halt(&mut self.rng);
        let s = self.activity.draw(&mut self.rng);
        if !self.auctions.open[s] || self.auctions.halts.len() == MAX_HALTS {
            return;
        }
        self.auctions.open[s] = false;
        let pause = self.rng.chance(0.4);
        let until_ns = now + self.auctions.halt_ns / 2;
        self.auctions.halts.push(Halt { symbol: s as u32, stage: Stage::Halted, pause, until_ns });
        if pause {
            self.report_state(s, now, b'P', b"LUDP");
            self.report_collar(s, now);
        } else {
            self.report_state(s, now, b'H', b"T1  ");
        }
    }

    fn begin_quoting(&mut self, at: usize, now: u64) {
        let halt = &mut self.auctions.halts[at];
        halt.stage = Stage::Quoting;
        halt.until_ns = now + self.auctions.halt_ns / 2;
        let (s, pause) = (halt.symbol as usize, halt.pause);
        self.report_state(s, now, b'Q', if pause { b"LUDP" } else { b"T3  " });
        self.announce(s, now, b'H');
    }

    fn resume(&mut self, at: usize, now: u64) {
        let halt = self.auctions.halts.swap_remove(at);
        let s = halt.symbol as usize;
        self.cross(s, now, b'H');
        self.report_state(s, now, b'T', if halt.pause { b"LUDP" } else { b"T3  " });
        self.auctions.open[s] = true;
    }

    pub(super) fn report_state(&mut self, s: usize, now: u64, state: u8, reason: &[u8; 4]) {
        let (stock, reserved, reason) = (self.symbols[s].stock, b' ', *reason);
        let head = TradingAction::new(locate(s), now);
        self.tape.push(now, &TradingAction { stock, state, reserved, reason, ..head });
    }

    fn report_collar(&mut self, s: usize, now: u64) {
        let reference = self.middle(s);
        let width = (reference / 20).max(1);
        self.tape.push(
            now,
            &LuldCollar {
                stock: self.symbols[s].stock,
                reference_price: raw(reference).into(),
                upper_price: raw(reference + width).into(),
                lower_price: raw(reference.saturating_sub(width)).into(),
                ..LuldCollar::new(locate(s), now)
            },
        );
    }

    fn draw_plan(&mut self) -> Plan {
        let bits = self.rng.bits();
        Plan {
            paired: 100 * (bits as u32 % 200),
            side: if bits >> 32 & 1 == 0 { Side::Buy } else { Side::Sell },
            imbalance: 100 * ((bits >> 40) as u32 % 12),
        }
    }

    /// Publishes the imbalance of an auction to come. `cross_type` as in ITCH: `O`, `C` or `H`.
    pub(super) fn announce(&mut self, s: usize, now: u64, cross_type: u8) {
        let plan = self.draw_plan();
        self.auctions.plans[s] = Some(plan);
        let reference = self.middle(s);
        let near = match plan.imbalance {
            0 => reference,
            _ => self.books.best(s, plan.side.opposite()).unwrap_or(reference),
        };
        self.tape.push(
            now,
            &Noii {
                paired_shares: u64::from(plan.paired).into(),
                imbalance_shares: u64::from(plan.imbalance).into(),
                imbalance_direction: if plan.imbalance == 0 { b'N' } else { plan.side.code() },
                stock: self.symbols[s].stock,
                far_price: raw(near).into(),
                near_price: raw(near).into(),
                reference_price: raw(reference).into(),
                cross_type,
                price_variation: variation(near, reference),
                ..Noii::new(locate(s), now)
            },
        );
    }

    /// Holds an auction: executions of displayed orders, then the cross. A halted symbol crosses nothing unless the
    /// auction ends its halt.
    pub(super) fn cross(&mut self, s: usize, now: u64, cross_type: u8) {
        let planned = self.auctions.plans[s].take();
        let mut crossed = 0;
        let mut price = self.middle(s);
        if self.auctions.open[s] || cross_type == b'H' {
            let plan = planned.unwrap_or_else(|| self.draw_plan());
            crossed = u64::from(plan.paired);
            let mut wanted = plan.imbalance;
            while wanted > 0 && self.auctions.fills.len() < MAX_SWEEP {
                let Some(head) = self.books.head(s, plan.side.opposite()) else { break };
                let order = *self.books.order(head);
                let shares = wanted.min(order.shares);
                self.books.reduce(head, shares);
                self.auctions.fills.push((order.reference, shares));
                wanted -= shares;
                crossed += u64::from(shares);
                price = order.price;
            }
        }
        self.report_cross(s, now, cross_type, crossed, price);
        self.symbols[s].fair = f64::from(price);
    }

    fn report_cross(&mut self, s: usize, now: u64, cross_type: u8, crossed: u64, price: u32) {
        let match_number = self.references.execution(&mut self.rng).into();
        for (reference, shares) in self.auctions.fills.drain(..) {
            self.tape.push(
                now,
                &OrderExecutedPrice {
                    order_reference: reference.into(),
                    executed_shares: shares.into(),
                    match_number,
                    printable: b'N',
                    execution_price: raw(price).into(),
                    ..OrderExecutedPrice::new(locate(s), now)
                },
            );
        }
        let (stock, cross_price) = (self.symbols[s].stock, raw(price).into());
        let head = CrossTrade::new(locate(s), now);
        self.tape
            .push(now, &CrossTrade { shares: crossed.into(), stock, cross_price, match_number, cross_type, ..head });
    }
}

/// ITCH code of the distance between two prices: `L` under 1 %, a digit for whole percents, then `A`, `B`, `C`.
fn variation(near: u32, reference: u32) -> u8 {
    match u64::from(near.abs_diff(reference)) * 100 / u64::from(reference.max(1)) {
        0 => b'L',
        percent @ 1..=9 => b'0' + percent as u8,
        10..=19 => b'A',
        20..=29 => b'B',
        _ => b'C',
    }
}

#[cfg(test)]
mod tests {
    use super::variation;

    #[test]
    fn variation_codes() {
        let table: &[(u32, u32, u8)] = &[
            (10_000, 10_000, b'L'),
            (10_099, 10_000, b'L'),
            (10_100, 10_000, b'1'),
            (9_000, 10_000, b'A'),
            (9_001, 10_000, b'9'),
            (8_001, 10_000, b'A'),
            (12_000, 10_000, b'B'),
            (7_000, 10_000, b'C'),
            (5, 0, b'C'),
        ];
        for (near, reference, want) in table {
            assert_eq!(variation(*near, *reference), *want, "case: {near} from {reference}");
        }
    }
}
