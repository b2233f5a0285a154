//! The order table under references that collide: what is live is found, what is not is not, at any load.

mod common;

use std::collections::HashMap;

use common::flow::Rng;
use market::book::{AddError, Book, BookLimits, NIL, NewOrder, Side};

const LIMITS: BookLimits = BookLimits { max_orders: 48, max_levels: 64, instruments: 1 };

fn order(reference: u64, quantity: u32) -> NewOrder {
    NewOrder { instrument: 0, side: Side::Bid, reference, price: 100, quantity }
}

/// Adds and removes references of `pool` at random, and asks for every one of them after each step.
fn churn(pool: &[u64], seed: u64) {
    let mut book = Book::new(LIMITS).expect("in range");
    let mut live: HashMap<u64, u32> = HashMap::new();
    let mut rng = Rng(seed);
    for step in 0..4000 {
        let reference = pool[rng.below(pool.len() as u64) as usize];
        let quantity = 1 + rng.below(9) as u32;
        match book.find(reference, NIL) {
            // Removing less often than adding keeps the table near its limit.
            Some(slot) if rng.chance(60) => {
                assert_eq!(Some(book.remove(slot).quantity), live.remove(&reference), "step {step}");
            }
            found => {
                let want = match (found.is_some(), live.len() == LIMITS.max_orders) {
                    (true, _) => Err(AddError::Duplicate),
                    (false, true) => Err(AddError::OrdersFull),
                    (false, false) => Ok(()),
                };
                assert_eq!(book.add(order(reference, quantity)).map(|_| ()), want, "step {step}");
                if want.is_ok() {
                    live.insert(reference, quantity);
                }
            }
        }
        for reference in pool {
            let found = book.find(*reference, NIL).map(|slot| book.order(slot).quantity);
            assert_eq!(found, live.get(reference).copied(), "step {step}, reference {reference}");
        }
        let best = book.best(0, Side::Bid).map_or((0, 0), |level| (level.quantity, level.orders));
        let total = live.values().map(|quantity| u64::from(*quantity)).sum::<u64>();
        assert_eq!(best, (total, live.len() as u32), "step {step}");
    }
    assert_eq!(book.queue(0, Side::Bid, 100).count(), live.len());
}

#[test]
fn random_references_at_a_high_load() {
    let mut rng = Rng(1);
    let pool: Vec<u64> = (0..60).map(|_| rng.next()).collect();
    churn(&pool, 2);
}

#[test]
fn references_that_all_have_one_home() {
    // Multiples of the multiplier's inverse are spread evenly; those below 2^-6 of the range share the first slot. So do
    // neighbours of any one of them, which stand further from home than a slot has bits for.
    const MULTIPLIER: u64 = 0x9E37_79B9_7F4A_7C15;
    let inverse = (0..6).fold(MULTIPLIER, |x, _| x.wrapping_mul(2u64.wrapping_sub(MULTIPLIER.wrapping_mul(x))));
    assert_eq!(MULTIPLIER.wrapping_mul(inverse), 1);
    let pool: Vec<u64> = (1..=56u64).map(|i| i.wrapping_mul(inverse)).collect();
    churn(&pool, 3);
}

#[test]
fn the_reference_that_no_slot_can_hold_is_never_found() {
    let mut book = Book::new(LIMITS).expect("in range");
    assert_eq!(book.add(order(u64::MAX, 5)), Err(AddError::BadField));
    for hint in [NIL, 0, 1, 63, 64, 65] {
        assert_eq!(book.find(u64::MAX, hint), None, "hint {hint}");
        assert_eq!(book.find(0, hint), None, "hint {hint}");
    }
    assert!(book.add(order(0, 5)).is_ok());
    assert!(book.find(0, NIL).is_some());
}
