//! From the venue's orderbook numbers, any 32 bits, to dense indices.

/// A table of fixed size, searched by every message that names an orderbook: a few thousand entries lie in the cache.
#[derive(Debug)]
pub(super) struct Places {
    slots: Box<[Slot]>,
    shift: u32,
    len: u32,
    limit: u32,
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    locate: u32,
    /// Index, or [`FREE`].
    at: u32,
}

const FREE: u32 = u32::MAX;
const EMPTY: Slot = Slot { locate: 0, at: FREE };

impl Places {
    /// Room for `limit` orderbooks; half of the table stays free, so that every search ends.
    pub(super) fn new(limit: usize) -> Places {
        let len = (2 * limit).next_power_of_two().max(2);
        Places { slots: vec![EMPTY; len].into(), shift: 32 - len.trailing_zeros(), len: 0, limit: limit as u32 }
    }

    /// Index of an orderbook, or the limit, which is nobody's index.
    #[inline(always)]
    pub(super) fn find(&self, locate: u32) -> u32 {
        let slot = self.slots[self.seek(locate)];
        if slot.at == FREE { self.limit } else { slot.at }
    }

    /// Where an orderbook stands, or would.
    #[inline(always)]
    fn seek(&self, locate: u32) -> usize {
        let mask = self.slots.len() - 1;
        let mut slot = (locate.wrapping_mul(0x9E37_79B9) >> self.shift) as usize;
        while self.slots[slot].at != FREE && self.slots[slot].locate != locate {
            slot = (slot + 1) & mask;
        }
        slot
    }

    /// The index that the next new orderbook would get; `None`: the table is full.
    pub(super) fn next(&self) -> Option<u32> {
        (self.len < self.limit).then_some(self.len)
    }

    /// Gives an orderbook the index that [`Places::next`] has told.
    pub(super) fn insert(&mut self, locate: u32) {
        let slot = self.seek(locate);
        assert!(self.slots[slot].at == FREE && self.len < self.limit, "a new orderbook, and room for it");
        self.slots[slot] = Slot { locate, at: self.len };
        self.len += 1;
    }

    /// Forgets them all.
    pub(super) fn clear(&mut self) {
        self.slots.fill(EMPTY);
        self.len = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_any_kind_find_their_index_until_the_table_is_full() {
        // Among them numbers that begin their search at the same slot.
        let numbers: Vec<u32> = (0..50).flat_map(|i| [i, i << 26, u32::MAX - i, i.wrapping_mul(0x1000_0001)]).collect();
        let mut distinct: Vec<u32> = numbers.clone();
        distinct.sort_unstable();
        distinct.dedup();
        let mut places = Places::new(distinct.len());
        for (i, locate) in distinct.iter().enumerate() {
            assert_eq!(places.find(*locate), distinct.len() as u32, "{locate}: not yet there");
            assert_eq!(places.next(), Some(i as u32));
            places.insert(*locate);
        }
        assert_eq!(places.next(), None);
        for (i, locate) in distinct.iter().enumerate() {
            assert_eq!(places.find(*locate), i as u32);
        }
        assert_eq!(places.find(123_456), distinct.len() as u32);
        places.clear();
        assert_eq!((places.find(0), places.next()), (distinct.len() as u32, Some(0)));
    }
}
