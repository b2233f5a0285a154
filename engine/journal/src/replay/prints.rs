//! The day's prints of venues that take a broken trade out of the day again.

use shm_abi::board::RowUpdate;
use shm_abi::layout::row;
use shm_abi::record::{PRICE_NONE, Price, Quantity};

use super::statistics::{Print, range, set_last, take_out};

/// No print.
pub(super) const NO_PRINT: u32 = u32::MAX;

/// Most prints of an instrument that are looked through for its open, high and low when one of them is broken: as many as
/// the engine looks through.
const BREAK_WALK_LIMIT: usize = 1 << 16;
/// Most that are looked through for the one that is broken.
const BREAK_FIND_LIMIT: usize = 1 << 18;

#[derive(Debug, Clone, Copy)]
struct Kept {
    print: Print,
    /// The row's print before it.
    before: u32,
    broken: bool,
}

/// Prints in their order; those of a row are a list from the newest on.
#[derive(Debug)]
pub(super) struct Prints {
    kept: Vec<Kept>,
    limit: usize,
}

impl Prints {
    /// Room for `limit` prints of a day, taken when the first of them comes.
    pub(super) fn new(limit: usize) -> Prints {
        Prints { kept: Vec::new(), limit: limit.min(NO_PRINT as usize - 1) }
    }

    /// Keeps a print that counted. `newest` is the row's newest. Match number 0 names no match.
    pub(super) fn keep(&mut self, print: Print, newest: &mut u32) {
        if print.match_id == 0 || self.kept.len() >= self.limit {
            return;
        }
        if self.kept.capacity() == 0 {
            self.kept.reserve_exact(self.limit);
        }
        let number = self.kept.len() as u32;
        self.kept.push(Kept { print, before: *newest, broken: false });
        *newest = number;
    }

    /// Prints of a row from `newest` on that still count.
    fn counting(&self, newest: u32) -> impl Iterator<Item = &Print> {
        let mut next = newest;
        std::iter::from_fn(move || {
            let kept = self.kept.get(next as usize)?;
            next = kept.before;
            Some(kept)
        })
        .take(BREAK_WALK_LIMIT + 1)
        .filter(|kept| !kept.broken)
        .map(|kept| &kept.print)
    }

    /// A print is void: takes it out of the day, and where it was the last, the first, the highest or the lowest, that
    /// too.
    pub(super) fn take_out(
        &mut self,
        row: &mut RowUpdate<'_>,
        newest: u32,
        match_id: u64,
        price: Price,
        quantity: Quantity,
    ) {
        let mut at = newest;
        let mut ts_event = None;
        for _ in 0..BREAK_FIND_LIMIT {
            let Some(kept) = self.kept.get_mut(at as usize) else { break };
            if kept.print.match_id == match_id && !kept.broken {
                kept.broken = true;
                ts_event = Some(kept.print.ts_event);
                break;
            }
            at = kept.before;
        }
        take_out(row, price, quantity);
        if price == PRICE_NONE {
            return;
        }
        let left = || self.counting(newest).filter(|print| print.price != PRICE_NONE);
        if row.get(row::LAST_MATCH) == match_id && ts_event.is_none_or(|ts| row.get(row::LAST_TS) == ts) {
            let none = Print { match_id: 0, price: PRICE_NONE, quantity: 0, ts_event: 0 };
            set_last(row, left().next().unwrap_or(&none));
        }
        let words = [row::OPEN, row::HIGH, row::LOW];
        if words.iter().all(|word| row.get(*word) as i64 != price) || left().count() > BREAK_WALK_LIMIT {
            return;
        }
        words.iter().for_each(|word| row.set(*word, PRICE_NONE as u64));
        for print in left() {
            // The newest come first: the oldest has the last word on the open.
            row.set(row::OPEN, PRICE_NONE as u64);
            range(row, print.price);
        }
    }

    /// A new day.
    pub(super) fn clear(&mut self) {
        self.kept.clear();
    }
}
