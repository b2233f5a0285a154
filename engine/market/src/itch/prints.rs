//! The day's prints by match number: so that both sides of one match count once, and a broken trade can be taken out of
//! the day's statistics again.

use shm_abi::record::Price;

/// Furthest that a match may stand from where its search begins: a search stays bounded also when a feed chooses match
/// numbers that collide.
const REACH_LIMIT: usize = 512;

/// No print.
pub(super) const NO_PRINT: u32 = u32::MAX;

/// One print that counted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kept {
    match_id: u64,
    pub(super) quantity: u64,
    pub(super) price: Price,
    pub(super) ts_event: u64,
    /// Index of its instrument.
    pub(super) at: u32,
    /// The instrument's print before it, or [`NO_PRINT`].
    pub(super) before: u32,
    broken: bool,
}

/// What became of a print.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keep {
    /// It is new, and stands at this number.
    New(u32),
    /// A print of the same match number counted before: this is the other side of it.
    Twin,
    /// There is no room: it counts, but cannot be told from its twin, nor broken.
    Full,
}

/// The table: prints in their order, and a hash table of their places over it. It never grows.
#[derive(Debug)]
pub(super) struct Prints {
    kept: Box<[Kept]>,
    len: usize,
    slots: Box<[u32]>,
    shift: u32,
}

impl Prints {
    /// Room for `limit` prints; with 0 nothing is kept at all.
    pub(super) fn new(limit: usize) -> Prints {
        let slots = (2 * limit).next_power_of_two().max(2);
        let void = Kept { match_id: 0, quantity: 0, price: 0, ts_event: 0, at: 0, before: NO_PRINT, broken: false };
        Prints {
            kept: vec![void; limit].into(),
            len: 0,
            slots: vec![NO_PRINT; slots].into(),
            shift: 64 - slots.trailing_zeros(),
        }
    }

    /// Whether prints are kept.
    #[inline(always)]
    pub(super) fn is_on(&self) -> bool {
        !self.kept.is_empty()
    }

    /// Most prints of a day.
    pub(super) fn limit(&self) -> usize {
        self.kept.len()
    }

    /// Slot of a match, or the free one where it would stand; `None`: too many others stand in the way.
    fn seek(&self, match_id: u64) -> Option<usize> {
        let mask = self.slots.len() - 1;
        let home = (match_id.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> self.shift) as usize;
        let ends =
            |slot: &usize| self.slots[*slot] == NO_PRINT || self.kept[self.slots[*slot] as usize].match_id == match_id;
        (0..REACH_LIMIT.min(self.slots.len())).map(|distance| (home + distance) & mask).find(ends)
    }

    /// Keeps a print. `before`: the instrument's print before it.
    pub(super) fn keep(
        &mut self,
        match_id: u64,
        at: u32,
        price: Price,
        quantity: u64,
        ts_event: u64,
        before: u32,
    ) -> Keep {
        let Some(slot) = self.seek(match_id) else { return Keep::Full };
        if self.slots[slot] != NO_PRINT {
            return Keep::Twin;
        }
        let Some(place) = self.kept.get_mut(self.len) else { return Keep::Full };
        *place = Kept { match_id, quantity, price, ts_event, at, before, broken: false };
        self.slots[slot] = self.len as u32;
        self.len += 1;
        Keep::New(self.slots[slot])
    }

    /// Marks the print of a match broken and returns it; `None` when there is none, or when it is broken already.
    pub(super) fn break_one(&mut self, match_id: u64) -> Option<Kept> {
        let at = self.slots[self.seek(match_id)?];
        let kept = self.kept.get_mut(at as usize).filter(|kept| !kept.broken)?;
        kept.broken = true;
        Some(*kept)
    }

    /// Prints of an instrument that still count, the newest first, from print `last` on.
    pub(super) fn counting(&self, last: u32) -> impl Iterator<Item = (u64, &Kept)> {
        let mut next = last;
        std::iter::from_fn(move || {
            let kept = self.kept.get(next as usize)?;
            next = kept.before;
            Some(kept)
        })
        .filter(|kept| !kept.broken)
        .map(|kept| (kept.match_id, kept))
    }

    /// A new day.
    pub(super) fn clear(&mut self) {
        if self.len > 0 {
            self.slots.fill(NO_PRINT);
            self.len = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_match_counts_once_and_breaks_once() {
        let mut prints = Prints::new(3);
        assert_eq!(prints.keep(7, 1, 100, 5, 1, NO_PRINT), Keep::New(0));
        assert_eq!(prints.keep(7, 1, 100, 5, 1, 0), Keep::Twin);
        assert_eq!(prints.keep(0, 1, 101, 6, 2, 0), Keep::New(1));
        assert_eq!(prints.keep(u64::MAX, 2, 102, 7, 3, NO_PRINT), Keep::New(2));
        assert_eq!(prints.keep(8, 1, 103, 5, 1, 1), Keep::Full);
        assert!(prints.break_one(8).is_none());
        let counting = |prints: &Prints| prints.counting(1).map(|(match_id, _)| match_id).collect::<Vec<_>>();
        assert_eq!(counting(&prints), [0, 7]);
        assert_eq!(prints.break_one(0).map(|kept| (kept.price, kept.quantity)), Some((101, 6)));
        assert!(prints.break_one(0).is_none(), "broken already");
        assert_eq!(counting(&prints), [7]);
        prints.clear();
        assert_eq!(prints.keep(7, 1, 100, 5, 1, NO_PRINT), Keep::New(0));
        let mut none = Prints::new(0);
        assert!(!none.is_on() && none.break_one(1).is_none());
        assert_eq!(none.keep(1, 1, 1, 1, 1, NO_PRINT), Keep::Full);
    }
}
