//! The best levels of both sides, kept by level records.

use shm_abi::board::{Level, RowImage};
use shm_abi::record::Side;

use crate::dialect::Change;

/// The best levels of both sides, best first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Window {
    /// Bids.
    pub bids: Vec<Level>,
    /// Asks.
    pub asks: Vec<Level>,
}

/// Whether `a` stands before `b` on a side.
fn better(side: Side, a: i64, b: i64) -> bool {
    match side {
        Side::Bid => a > b,
        Side::Ask => a < b,
    }
}

/// The first levels of a side, at most `count`.
fn cut(levels: &[Level], count: usize) -> &[Level] {
    &levels[..levels.len().min(count)]
}

impl Window {
    /// Levels of one side.
    pub fn side(&self, side: Side) -> &[Level] {
        match side {
            Side::Bid => &self.bids,
            Side::Ask => &self.asks,
        }
    }

    fn side_mut(&mut self, side: Side) -> &mut Vec<Level> {
        match side {
            Side::Bid => &mut self.bids,
            Side::Ask => &mut self.asks,
        }
    }

    /// Becomes what a row says. Keeps its memory.
    pub fn load(&mut self, image: &RowImage) {
        for side in [Side::Bid, Side::Ask] {
            let levels = self.side_mut(side);
            levels.clear();
            levels.extend(image.window(side));
        }
    }

    /// Becomes the best `count` levels of another window. Keeps its memory.
    pub fn load_best(&mut self, from: &Window, count: usize) {
        for side in [Side::Bid, Side::Ask] {
            let levels = self.side_mut(side);
            levels.clear();
            levels.extend_from_slice(cut(from.side(side), count));
        }
    }

    /// A level record: sets the level of that price, or takes it out when its quantity is 0. `limit` is what the
    /// instrument keeps per side: a worse level falls out.
    pub fn set(&mut self, side: Side, level: Level, limit: usize) {
        let levels = self.side_mut(side);
        let at = levels.partition_point(|other| better(side, other.price, level.price));
        let found = levels.get(at).is_some_and(|other| other.price == level.price);
        match (found, level.quantity == 0) {
            (true, true) => drop(levels.remove(at)),
            (true, false) => levels[at] = level,
            (false, true) => {}
            (false, false) => {
                levels.insert(at, level);
                levels.truncate(limit);
            }
        }
    }

    /// Takes every level out.
    pub fn clear(&mut self) {
        self.bids.clear();
        self.asks.clear();
    }
}

/// Appends what makes the best `count` levels of `old` those of `new`: bids first, best first.
pub fn differences(old: &Window, new: &Window, count: usize, changes: &mut Vec<Change>) {
    for side in [Side::Bid, Side::Ask] {
        merge(side, cut(old.side(side), count), cut(new.side(side), count), changes);
    }
}

fn merge(side: Side, mut old: &[Level], mut new: &[Level], changes: &mut Vec<Change>) {
    let gone = |level: &Level| Change { side, level: Level { quantity: 0, orders: 0, ..*level } };
    loop {
        match (old, new) {
            ([], []) => return,
            ([was, rest @ ..], []) => {
                changes.push(gone(was));
                old = rest;
            }
            ([], [is, rest @ ..]) => {
                changes.push(Change { side, level: *is });
                new = rest;
            }
            ([was, old_rest @ ..], [is, new_rest @ ..]) => {
                if was.price == is.price {
                    if was != is {
                        changes.push(Change { side, level: *is });
                    }
                    (old, new) = (old_rest, new_rest);
                } else if better(side, was.price, is.price) {
                    changes.push(gone(was));
                    old = old_rest;
                } else {
                    changes.push(Change { side, level: *is });
                    new = new_rest;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn level(price: i64, quantity: u64) -> Level {
        Level { price, quantity, orders: quantity as u32 }
    }

    #[test]
    fn levels_are_set_and_deleted_by_price() {
        let mut window = Window::default();
        for (price, quantity) in [(10, 1), (12, 1), (11, 1), (12, 5), (10, 0), (99, 0), (9, 2), (8, 2)] {
            window.set(Side::Bid, level(price, quantity), 3);
            window.set(Side::Ask, level(price, quantity), 3);
        }
        assert_eq!(window.bids, [level(12, 5), level(11, 1), level(9, 2)], "bids descend; the fourth falls out");
        assert_eq!(window.asks, [level(8, 2), level(9, 2), level(11, 1)]);
    }

    fn window() -> impl Strategy<Value = Window> {
        let side = || prop::collection::btree_map(0i64..30, 1u64..4, 0..25);
        (side(), side()).prop_map(|(bids, asks)| Window {
            bids: bids.into_iter().rev().map(|(price, quantity)| level(price, quantity)).collect(),
            asks: asks.into_iter().map(|(price, quantity)| level(price, quantity)).collect(),
        })
    }

    proptest! {
        /// Snapshot plus changes is the window, cut to the topic's levels; and nothing is told that did not change.
        #[test]
        fn old_plus_differences_is_new(
            old in window(),
            new in window(),
            count in prop::sample::select(vec![5usize, 10, 20]),
        ) {
            let mut changes = Vec::new();
            differences(&old, &new, count, &mut changes);
            let mut held = Window::default();
            held.load_best(&old, count);
            for change in &changes {
                let known = held.side(change.side).iter().any(|level| level.price == change.level.price);
                prop_assert!(change.level.quantity > 0 || known);
                // A client removes and sets in the order told; it cuts nothing.
                held.set(change.side, change.level, usize::MAX);
            }
            let mut want = Window::default();
            want.load_best(&new, count);
            prop_assert_eq!(held, want);
        }
    }
}
