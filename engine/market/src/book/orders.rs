//! Every live order, inline in an open-addressed table: a look-up reaches the order in one cache line.
//!
//! A removed slot is simply emptied: no tombstones and no shifting, so orders never move and may be linked by index. What
//! makes that safe is `hops`: the slot where a reference hashes to keeps one bit per distance at which an order of that
//! home stands, so that a search looks at exactly those places and absence is known from the home slot alone.

use shm_abi::sys::prefetch;

use super::table::table;

/// "No slot": says that a look-ahead found nothing.
pub const NIL: u32 = u32::MAX;

/// One order: 32 bytes, two to a cache line. Its price is its level's.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(32))]
pub(super) struct Order {
    /// Reference + 1; 0: the slot is free. So reference 0 is valid (it occurs in public samples) and `u64::MAX` is not.
    pub(super) tag: u64,
    pub(super) quantity: u32,
    /// Index of its level in the pool.
    pub(super) level: u32,
    /// Order before it in its level's queue, or [`Orders::nobody`].
    pub(super) prev: u32,
    /// Order behind it, or [`Orders::nobody`].
    pub(super) next: u32,
    /// Instrument index times two, plus the side's index.
    pub(super) owner: u32,
    /// Of the orders whose home is this slot: bit d is set when one stands d slots on. Belongs to the slot, not to the
    /// order in it.
    hops: u32,
}

const _: () = assert!(size_of::<Order>() == 32);

/// Bit of `hops`: some order of this home stands further on than the other bits can say.
const FAR: u32 = 1 << 31;
/// Distances that have a bit of their own.
const NEAR: usize = 31;
/// Furthest that an order may stand from its home. Beyond it the table counts as full: a search stays bounded also when
/// a feed chooses references that collide.
pub const REACH_LIMIT: usize = 512;

/// The table.
#[derive(Debug)]
pub(super) struct Orders {
    /// A power of two of slots, and one more that ends every queue: links to nobody lead there, so that linking needs no
    /// branch. What stands in it is never read.
    slots: Box<[Order]>,
    mask: usize,
    shift: u32,
    /// Longest distance ever used; bounds the search behind a FAR bit.
    reach: usize,
    live: usize,
    limit: usize,
}

impl Orders {
    pub(super) fn new(max_orders: usize) -> Orders {
        let empty = Order { tag: 0, quantity: 0, level: 0, prev: 0, next: 0, owner: 0, hops: 0 };
        let len = (max_orders + max_orders / 3).next_power_of_two().max(64);
        Orders {
            slots: table(len + 1, empty),
            mask: len - 1,
            shift: 64 - len.trailing_zeros(),
            reach: 0,
            live: 0,
            limit: max_orders,
        }
    }

    /// The link that ends a queue.
    #[inline(always)]
    pub(super) fn nobody(&self) -> u32 {
        self.mask as u32 + 1
    }

    #[inline(always)]
    pub(super) fn live(&self) -> usize {
        self.live
    }

    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// All 64 bits count: references of one symbol share their low bits, and do not rise over the whole feed.
    #[inline(always)]
    fn home(&self, reference: u64) -> usize {
        (reference.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> self.shift) as usize
    }

    #[inline(always)]
    pub(super) fn at(&self, slot: u32) -> &Order {
        &self.slots[slot as usize]
    }

    #[inline(always)]
    pub(super) fn at_mut(&mut self, slot: u32) -> &mut Order {
        &mut self.slots[slot as usize]
    }

    /// Whether `slot`, which may be any number, holds the order of `reference`.
    #[inline(always)]
    pub(super) fn holds(&self, slot: u32, reference: u64) -> bool {
        // The tag of u64::MAX would be that of a free slot; no slot is found for it anywhere else either.
        reference != u64::MAX && self.slots.get(slot as usize).is_some_and(|order| order.tag == reference + 1)
    }

    /// The slot of a live order, or [`NIL`].
    #[inline(always)]
    pub(super) fn find(&self, reference: u64) -> u32 {
        if reference == u64::MAX {
            return NIL;
        }
        let (home, tag) = (self.home(reference), reference + 1);
        let first = &self.slots[home];
        if first.tag == tag {
            return home as u32;
        }
        let mut hops = first.hops & !FAR;
        while hops != 0 {
            let slot = (home + hops.trailing_zeros() as usize) & self.mask;
            if self.slots[slot].tag == tag {
                return slot as u32;
            }
            hops &= hops - 1;
        }
        if first.hops & FAR == 0 { NIL } else { self.find_far(home, tag) }
    }

    #[cold]
    fn find_far(&self, home: usize, tag: u64) -> u32 {
        (NEAR..=self.reach)
            .map(|distance| (home + distance) & self.mask)
            .find(|slot| self.slots[*slot].tag == tag)
            .map_or(NIL, |slot| slot as u32)
    }

    /// A free slot for a reference that is not in the table; it is taken by [`Orders::put`]. `None`: the table is full.
    #[inline(always)]
    pub(super) fn free_slot(&self, reference: u64) -> Option<u32> {
        if self.live >= self.limit {
            return None;
        }
        let home = self.home(reference);
        if self.slots[home].tag == 0 {
            return Some(home as u32);
        }
        (1..=REACH_LIMIT.min(self.mask))
            .map(|distance| (home + distance) & self.mask)
            .find(|slot| self.slots[*slot].tag == 0)
            .map(|slot| slot as u32)
    }

    /// Puts an order into the slot that [`Orders::free_slot`] gave for its reference, behind `prev`.
    #[inline(always)]
    pub(super) fn put(&mut self, slot: u32, reference: u64, owner: u32, quantity: u32, joined: (u32, u32)) {
        let (level, prev) = joined;
        let home = self.home(reference);
        let distance = (slot as usize).wrapping_sub(home) & self.mask;
        self.reach = self.reach.max(distance);
        self.slots[home].hops |= if distance < NEAR { 1 << distance } else { FAR };
        let next = self.nobody();
        let place = self.at_mut(slot);
        *place = Order { tag: reference + 1, quantity, level, prev, next, owner, hops: place.hops };
        self.at_mut(prev).next = slot;
        self.live += 1;
    }

    /// Takes an order out of its queue and empties its slot.
    #[inline(always)]
    pub(super) fn release(&mut self, slot: u32) {
        let place = self.at_mut(slot);
        let Order { tag, prev, next, .. } = *place;
        place.tag = 0;
        self.at_mut(prev).next = next;
        self.at_mut(next).prev = prev;
        let home = self.home(tag - 1);
        let distance = (slot as usize).wrapping_sub(home) & self.mask;
        // A FAR bit stays: others may stand behind it, and a search there is bounded.
        let bit = if distance < NEAR { 1 << distance } else { 0 };
        self.slots[home].hops &= !bit;
        self.live -= 1;
    }

    #[inline(always)]
    pub(super) fn prefetch(&self, reference: u64) {
        prefetch(&self.slots[self.home(reference)]);
    }

    #[inline(always)]
    pub(super) fn prefetch_slot(&self, slot: u32) {
        prefetch(self.at(slot));
    }
}
