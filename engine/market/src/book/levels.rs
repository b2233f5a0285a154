//! Price levels: one cache line per side of an instrument, the levels in a pool, what is far from the touch in arrays.
//!
//! The side's line holds its facts and its best prices, so that most messages reach their place in the queue of prices
//! through one line. Prices beyond stand in an array with the best of them last: the search starts there, and few move.

use shm_abi::record::Side;
use shm_abi::sys::prefetch;

use super::table::table;

/// One price: half a cache line.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(32))]
pub(super) struct Level {
    pub(super) quantity: u64,
    pub(super) orders: u32,
    /// First order of the queue. In an unused level: the next unused one.
    pub(super) head: u32,
    /// Last order of the queue.
    pub(super) tail: u32,
    /// Larger is better: see [`rank`].
    pub(super) rank: u32,
}

const _: () = assert!(size_of::<Level>() == 32);

/// A price and its level. The rank of an unused entry is 0, which is better than nothing.
#[derive(Debug, Clone, Copy, Default)]
#[repr(C)]
pub(super) struct Entry {
    rank: u32,
    level: u32,
}

/// Best prices that stand in the side's own line.
const NEAR: usize = 6;

/// One side of one instrument: one cache line.
#[derive(Debug, Clone, Copy, Default)]
#[repr(C, align(64))]
pub(super) struct SideLine {
    /// The best prices, the best first.
    near: [Entry; NEAR],
    /// All prices of the side.
    len: u32,
    /// First place of the array of those beyond `near`.
    far_at: u32,
    /// Places of that array: a power of two from [`BLOCK_MIN`], or 0 when it has none yet.
    far_capacity: u32,
    pub(super) orders: u32,
}

const _: () = assert!(size_of::<SideLine>() == 64);

impl SideLine {
    #[inline(always)]
    fn far_len(&self) -> usize {
        (self.len as usize).saturating_sub(NEAR)
    }
}

/// Places of a side's first array.
const BLOCK_MIN: u32 = 8;
/// Most prices of one side beyond those in its line: a named bound on what one message can move.
const FAR_LIMIT: u32 = 1 << 16;
/// Most prices of one side.
pub const SIDE_LEVELS_LIMIT: usize = NEAR + FAR_LIMIT as usize;
/// Size classes of arrays.
const CLASSES: usize = (FAR_LIMIT.trailing_zeros() - BLOCK_MIN.trailing_zeros() + 1) as usize;
/// Prices that are searched one by one from the touch before the rest is halved.
const LINEAR: usize = 24;
/// Ends a list of unused blocks or levels.
const NONE: u32 = u32::MAX;

/// Price to rank and back: bids rank by price, asks by its complement.
#[inline(always)]
pub(super) fn rank(side: Side, price: u32) -> u32 {
    price ^ (side.index() as u32).wrapping_neg()
}

/// Index of a side's line, and what an order's owner word is.
#[inline(always)]
pub(super) fn owner(instrument: u32, side: Side) -> u32 {
    instrument << 1 | side.index() as u32
}

/// Lines, levels, arrays, and what of them is unused.
#[derive(Debug)]
pub(super) struct Levels {
    sides: Box<[SideLine]>,
    pool: Box<[Level]>,
    /// First level never given out.
    pool_top: u32,
    /// First unused level, linked through `head`.
    pool_free: u32,
    far: Box<[Entry]>,
    /// First place of `far` never given out.
    far_top: u32,
    /// First unused block of each size class, linked through `level` of its first entry.
    far_free: [u32; CLASSES],
    /// Of each side the level of its orders without a price; [`NONE`]: it has none. It stands in no ladder.
    unpriced: Box<[u32]>,
    live: usize,
}

/// Where a price stands, counted from the touch, or would.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) position: usize,
    /// Its level, when there is one.
    pub(super) level: Option<u32>,
}

impl Levels {
    pub(super) fn new(max_levels: usize, instruments: usize) -> Levels {
        let void = Level { quantity: 0, orders: 0, head: NONE, tail: NONE, rank: 0 };
        Levels {
            sides: table(2 * instruments, SideLine::default()),
            pool: table(max_levels, void),
            pool_top: 0,
            pool_free: NONE,
            far: table(max_levels, Entry::default()),
            far_top: 0,
            far_free: [NONE; CLASSES],
            unpriced: table(2 * instruments, NONE),
            live: 0,
        }
    }

    #[inline(always)]
    pub(super) fn instruments(&self) -> usize {
        self.sides.len() / 2
    }

    pub(super) fn limit(&self) -> usize {
        self.pool.len()
    }

    #[inline(always)]
    pub(super) fn live(&self) -> usize {
        self.live
    }

    #[inline(always)]
    pub(super) fn side(&self, owner: u32) -> &SideLine {
        &self.sides[owner as usize]
    }

    #[inline(always)]
    pub(super) fn side_mut(&mut self, owner: u32) -> &mut SideLine {
        &mut self.sides[owner as usize]
    }

    #[inline(always)]
    pub(super) fn len(&self, owner: u32) -> usize {
        self.side(owner).len as usize
    }

    #[inline(always)]
    pub(super) fn level(&self, level: u32) -> &Level {
        &self.pool[level as usize]
    }

    #[inline(always)]
    pub(super) fn level_mut(&mut self, level: u32) -> &mut Level {
        &mut self.pool[level as usize]
    }

    /// Rank of the best price, from the side's line alone.
    #[inline(always)]
    pub(super) fn best_rank(&self, owner: u32) -> Option<u32> {
        let side = self.side(owner);
        (side.len > 0).then_some(side.near[0].rank)
    }

    #[inline(always)]
    fn entry_at(&self, owner: u32, position: usize) -> Option<Entry> {
        let side = self.side(owner);
        if position >= side.len as usize {
            return None;
        }
        Some(match side.near.get(position) {
            Some(entry) => *entry,
            None => self.far[side.far_at as usize + side.len as usize - 1 - position],
        })
    }

    /// Index of the level at `position` from the touch.
    #[inline(always)]
    pub(super) fn at_position(&self, owner: u32, position: usize) -> Option<u32> {
        Some(self.entry_at(owner, position)?.level)
    }

    /// Rank of the level at `position` from the touch.
    #[inline(always)]
    pub(super) fn rank_at(&self, owner: u32, position: usize) -> Option<u32> {
        Some(self.entry_at(owner, position)?.rank)
    }

    /// Looks for a rank. The line is searched without a branch on what stands there; beyond it one by one.
    #[inline(always)]
    pub(super) fn seek(&self, owner: u32, rank: u32) -> Place {
        let side = self.side(owner);
        let position: usize = side.near.iter().map(|entry| usize::from(entry.rank > rank)).sum();
        match side.near.get(position) {
            Some(entry) if entry.rank == rank && position < side.len as usize => {
                Place { position, level: Some(entry.level) }
            }
            Some(_) => Place { position, level: None },
            None => self.seek_far(side, rank),
        }
    }

    fn seek_far(&self, side: &SideLine, rank: u32) -> Place {
        let far = &self.far[side.far_at as usize..][..side.far_len()];
        let mut i = far.len();
        let floor = i.saturating_sub(LINEAR);
        while i > floor && far[i - 1].rank > rank {
            i -= 1;
        }
        if i == floor && i > 0 && far[i - 1].rank > rank {
            i = far[..i].partition_point(|entry| entry.rank <= rank);
        }
        // `i` entries are not better than `rank`.
        let position = NEAR + far.len() - i;
        match far[..i].last() {
            Some(entry) if entry.rank == rank => Place { position, level: Some(entry.level) },
            _ => Place { position, level: None },
        }
    }

    /// Puts a new level of one order at the position that [`Levels::seek`] gave for it. `None`: there is no room.
    #[inline(always)]
    pub(super) fn insert(&mut self, owner: u32, position: usize, rank: u32, quantity: u32, slot: u32) -> Option<u32> {
        let level = if self.pool_free != NONE { self.pool_free } else { self.pool_top };
        if level as usize >= self.pool.len() {
            return None;
        }
        let side = &self.sides[owner as usize];
        if side.len as usize >= NEAR && side.far_len() == side.far_capacity as usize {
            self.grow(owner)?;
        }
        // In place: a copy of the line would be read back in wider pieces than it was written in, which stalls.
        let side = &mut self.sides[owner as usize];
        let end = side.far_at as usize + side.far_len();
        let mut moved = Entry { rank, level };
        if position < NEAR {
            if side.len as usize >= NEAR {
                self.far[end] = side.near[NEAR - 1];
            }
            // Six exchanges without a branch: where the first real one is cannot be foreseen.
            for (k, entry) in side.near.iter_mut().enumerate() {
                let here = *entry;
                *entry = if k < position { here } else { moved };
                moved = if k < position { moved } else { here };
            }
        } else {
            let at = end - (position - NEAR);
            self.far.copy_within(at..end, at + 1);
            self.far[at] = moved;
        }
        side.len += 1;
        let place = &mut self.pool[level as usize];
        if level == self.pool_free {
            self.pool_free = place.head;
        } else {
            self.pool_top += 1;
        }
        *place = Level { quantity: quantity.into(), orders: 1, head: slot, tail: slot, rank };
        self.live += 1;
        Some(level)
    }

    /// Takes the level of `rank` out and returns the position that it had.
    #[inline(always)]
    pub(super) fn remove(&mut self, owner: u32, level: u32) -> usize {
        let place = &mut self.pool[level as usize];
        let rank = place.rank;
        place.head = self.pool_free;
        self.pool_free = level;
        self.live -= 1;
        let position = self.seek(owner, rank).position;
        let side = &mut self.sides[owner as usize];
        let end = side.far_at as usize + side.far_len();
        if position < NEAR {
            let last = if side.len as usize > NEAR { self.far[end - 1] } else { Entry::default() };
            for k in 0..NEAR {
                let behind = if k + 1 < NEAR { side.near[k + 1] } else { last };
                side.near[k] = if k < position { side.near[k] } else { behind };
            }
        } else {
            let at = end - 1 - (position - NEAR);
            self.far.copy_within(at + 1..end, at);
        }
        side.len -= 1;
        position
    }

    /// The level of a side's orders without a price.
    pub(super) fn unpriced(&self, owner: u32) -> Option<u32> {
        self.unpriced.get(owner as usize).copied().filter(|level| *level != NONE)
    }

    /// Makes the level of a side's orders without a price, with its first order. `None`: there is no room.
    #[cold]
    pub(super) fn insert_unpriced(&mut self, owner: u32, rank: u32, quantity: u32, slot: u32) -> Option<u32> {
        let level = if self.pool_free != NONE { self.pool_free } else { self.pool_top };
        let place = self.pool.get_mut(level as usize)?;
        if level == self.pool_free {
            self.pool_free = place.head;
        } else {
            self.pool_top += 1;
        }
        *place = Level { quantity: quantity.into(), orders: 1, head: slot, tail: slot, rank };
        self.unpriced[owner as usize] = level;
        self.live += 1;
        Some(level)
    }

    /// Takes the level of a side's orders without a price away.
    #[cold]
    pub(super) fn remove_unpriced(&mut self, owner: u32) {
        let level = std::mem::replace(&mut self.unpriced[owner as usize], NONE);
        self.pool[level as usize].head = self.pool_free;
        self.pool_free = level;
        self.live -= 1;
    }

    /// Makes room for twice the prices beyond a side's line, or for the first ones.
    #[cold]
    fn grow(&mut self, owner: u32) -> Option<()> {
        let side = *self.side(owner);
        let capacity = (side.far_capacity * 2).max(BLOCK_MIN);
        if capacity > FAR_LIMIT {
            return None;
        }
        let at = self.block(capacity)?;
        let old = side.far_at as usize..side.far_at as usize + side.far_len();
        self.far.copy_within(old, at as usize);
        self.give_back(side);
        *self.side_mut(owner) = SideLine { far_at: at, far_capacity: capacity, ..side };
        Some(())
    }

    fn block(&mut self, capacity: u32) -> Option<u32> {
        let free = &mut self.far_free[class(capacity)];
        if *free != NONE {
            let at = *free;
            *free = self.far[at as usize].level;
            return Some(at);
        }
        let end = self.far_top.checked_add(capacity)?;
        if end as usize > self.far.len() {
            return None;
        }
        Some(std::mem::replace(&mut self.far_top, end))
    }

    fn give_back(&mut self, side: SideLine) {
        if side.far_capacity > 0 {
            let free = &mut self.far_free[class(side.far_capacity)];
            self.far[side.far_at as usize].level = std::mem::replace(free, side.far_at);
        }
    }

    /// Forgets all levels of a side; the caller has released their orders.
    pub(super) fn clear(&mut self, owner: u32) {
        while let Some(level) = self.at_position(owner, 0) {
            self.remove(owner, level);
        }
        self.side_mut(owner).orders = 0;
    }

    #[inline(always)]
    pub(super) fn prefetch_side(&self, owner: u32) {
        if let Some(side) = self.sides.get(owner as usize) {
            prefetch(side);
        }
    }

    /// The level that stands at `rank`, if it is one of the best: searched without a branch.
    #[inline(always)]
    pub(super) fn prefetch_near(&self, owner: u32, rank: u32) {
        let Some(side) = self.sides.get(owner as usize) else { return };
        let level = side.near.iter().fold(0, |level, entry| if entry.rank == rank { entry.level } else { level });
        self.prefetch_level(level);
    }

    #[inline(always)]
    pub(super) fn prefetch_level(&self, level: u32) {
        if let Some(level) = self.pool.get(level as usize) {
            prefetch(level);
        }
    }

    /// The touch end of the array beyond the line.
    #[inline(always)]
    pub(super) fn prefetch_far(&self, owner: u32) {
        if let Some(side) = self.sides.get(owner as usize) {
            let end = side.far_at as usize + side.far_len();
            prefetch(&self.far[end.saturating_sub(1)]);
        }
    }
}

fn class(capacity: u32) -> usize {
    (capacity.trailing_zeros() - BLOCK_MIN.trailing_zeros()) as usize
}
