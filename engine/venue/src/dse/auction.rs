//! The opening auction: one price for a book that may be crossed, and the trades that uncross it.

use wire::dialect::{Role, Value};

use super::desk::{Desk, MarketOrder};
use super::pen::{self, NO_PRICE};
use crate::market::book::Side;

/// What an auction would do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Equilibrium {
    pub(super) price: u32,
    pub(super) shares: u64,
}

/// One side's orders: price, and shares; no price for a market order.
type Interest = (Option<u32>, u64);

/// The price at which most shares trade; among those the one with the least left over, then the one closest to the
/// reference. None when nothing trades.
fn equilibrium(buys: &[Interest], sells: &[Interest], reference: u32) -> Option<Equilibrium> {
    let wanted = |price: u32| -> u64 {
        buys.iter().filter(|(limit, _)| limit.is_none_or(|limit| limit >= price)).map(|(_, shares)| shares).sum()
    };
    let offered = |price: u32| -> u64 {
        sells.iter().filter(|(limit, _)| limit.is_none_or(|limit| limit <= price)).map(|(_, shares)| shares).sum()
    };
    let limits = buys.iter().chain(sells).filter_map(|(limit, _)| *limit);
    let best = limits.chain([reference]).min_by_key(|price| {
        let (wanted, offered) = (wanted(*price), offered(*price));
        (u64::MAX - wanted.min(offered), wanted.abs_diff(offered), price.abs_diff(reference), *price)
    })?;
    let shares = wanted(best).min(offered(best));
    (shares > 0).then_some(Equilibrium { price: best, shares })
}

impl Desk {
    fn interest(&self, s: usize, side: Side) -> Vec<Interest> {
        let resting = (0..self.books.live(s)).map(|place| self.books.order(self.books.at(s, place)));
        let limits =
            resting.filter(|order| order.side == side).map(|order| (Some(order.price), u64::from(order.shares)));
        let waiting = self.waiting[s].iter().filter(|order| order.side == side);
        limits.chain(waiting.map(|order| (None, u64::from(order.shares)))).collect()
    }

    pub(super) fn equilibrium(&self, s: usize) -> Option<Equilibrium> {
        let (buys, sells) = (self.interest(s, Side::Buy), self.interest(s, Side::Sell));
        equilibrium(&buys, &sells, self.instruments[s].reference)
    }

    /// Tells what the opening auction would do now.
    pub(super) fn announce(&mut self, s: usize, now: u64) {
        let found = self.equilibrium(s);
        let best = |side| self.books.best(s, side).unwrap_or(NO_PRICE);
        let values = [
            (Role::Quantity, found.map_or(0, |found| found.shares).into()),
            (Role::Orderbook, self.orderbook(s)),
            (Role::BestBid, best(Side::Buy).into()),
            (Role::BestOffer, best(Side::Sell).into()),
            (Role::Price, found.map_or(NO_PRICE, |found| found.price).into()),
            (Role::CrossType, Value::Letter(b'O')),
        ];
        self.pen.write(now, pen::INDICATIVE, &values);
    }

    /// Holds the auction: pairs orders at one price until the book is no longer crossed, then gives market orders that are
    /// left a price or takes them out.
    pub(super) fn uncross(&mut self, s: usize, now: u64) {
        if let Some(found) = self.equilibrium(s) {
            let mut left = found.shares;
            while left > 0 {
                left -= self.pair(s, now, found.price, left);
            }
        }
        for order in std::mem::take(&mut self.waiting[s]) {
            self.settle(s, now, order);
        }
    }

    /// One match of the first buyer with the first seller: both are told, under one number, and it counts once.
    fn pair(&mut self, s: usize, now: u64, price: u32, left: u64) -> u64 {
        let buyer = self.first(s, Side::Buy);
        let seller = self.first(s, Side::Sell);
        let shares = u64::from(buyer.shares.min(seller.shares)).min(left) as u32;
        let number = self.new_match();
        for order in [buyer, seller] {
            self.write_priced(now, s, order.reference, shares, number, price, b'Y');
            self.fill(s, order, shares);
        }
        self.print(s, number, price);
        u64::from(shares)
    }

    /// The order of a side that trades first: market orders, then the best price, then time.
    fn first(&self, s: usize, side: Side) -> MarketOrder {
        let waiting = self.waiting[s].iter().find(|order| order.side == side).copied();
        waiting.unwrap_or_else(|| {
            let head = self.books.head(s, side).expect("what trades at the price has an order behind it");
            let order = self.books.order(head);
            MarketOrder { reference: order.reference, side, shares: order.shares }
        })
    }

    fn fill(&mut self, s: usize, order: MarketOrder, shares: u32) {
        match self.waiting[s].iter_mut().position(|waiting| waiting.reference == order.reference) {
            Some(at) => {
                let waiting = &mut self.waiting[s][at];
                waiting.shares -= shares;
                if waiting.shares == 0 {
                    self.waiting[s].remove(at);
                }
            }
            None => {
                let head = self.books.head(s, order.side).expect("the order that was found before");
                self.books.reduce(head, shares);
            }
        }
    }

    /// A market order that the auction left: it becomes a limit order at the auction's price if that does not cross.
    fn settle(&mut self, s: usize, now: u64, order: MarketOrder) {
        let price = self.instruments[s].last;
        let crosses = match order.side {
            Side::Buy => self.books.best(s, Side::Sell).is_some_and(|ask| ask <= price),
            Side::Sell => self.books.best(s, Side::Buy).is_some_and(|bid| bid >= price),
        };
        if crosses || self.books.is_full(s) || self.books.resting_price(s, order.side, price) != price {
            return self.pen.write(now, pen::DELETE, &[(Role::Reference, order.reference.into())]);
        }
        let reference = self.new_order();
        self.books.add(s, order.side, price, order.shares, reference);
        self.write_replace(s, now, order.reference, reference, order.shares, price);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn most_shares_then_least_left_then_closest() {
        let table: &[(&str, &[Interest], &[Interest], Option<(u32, u64)>)] = &[
            ("empty", &[], &[], None),
            ("not crossed", &[(Some(90), 5)], &[(Some(110), 5)], None),
            ("crossed", &[(Some(110), 5)], &[(Some(90), 5)], Some((100, 5))),
            ("most", &[(Some(110), 5), (Some(105), 5)], &[(Some(104), 8), (Some(109), 2)], Some((104, 8))),
            ("least left", &[(Some(110), 5), (Some(101), 7)], &[(Some(90), 5)], Some((110, 5))),
            ("market orders only", &[(None, 5)], &[(None, 3)], Some((100, 3))),
            ("market order", &[(None, 5)], &[(Some(120), 3)], Some((120, 3))),
        ];
        for (name, buys, sells, want) in table {
            let got = equilibrium(buys, sells, 100).map(|found| (found.price, found.shares));
            assert_eq!(got, *want, "case: {name}");
        }
    }
}
