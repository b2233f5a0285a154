//! One event in 64 bytes, one cache line: the cell of a ring.

use crate::sync::{AtomicU64, Ordering::Relaxed, Site, fence_acquire, fence_release, store_release};

/// Payload words of a slot. Loom explores every interleaving of every word, so its models use two.
pub const SLOT_WORDS: usize = if cfg!(loom) { 2 } else { 7 };

/// The cell of a ring. `stamp` is `2n+1` while event `n` is being written and `2n+2` once it is whole; 0 in a fresh
/// segment. The words are atomics because readers race the writer by design.
///
/// Offsets: stamp 0, words 8 to 63.
#[derive(Debug)]
#[repr(C, align(64))]
pub struct Slot {
    stamp: AtomicU64,
    words: [AtomicU64; SLOT_WORDS],
}

#[cfg(not(loom))]
const _: () = assert!(size_of::<Slot>() == 64 && align_of::<Slot>() == 64);

/// Stamp of slot `n` while it is written.
#[inline(always)]
pub const fn stamp_open(n: u64) -> u64 {
    2 * n + 1
}

/// Stamp of slot `n` once it is whole.
#[inline(always)]
pub const fn stamp_whole(n: u64) -> u64 {
    2 * n + 2
}

impl Slot {
    /// A slot that holds nothing yet, for rings in ordinary memory.
    pub fn new() -> Self {
        Slot { stamp: AtomicU64::new(0), words: std::array::from_fn(|_| AtomicU64::new(0)) }
    }

    /// Writer: opens the slot for number `n` and fills it. Nobody can read it before [`Slot::finish`].
    #[inline(always)]
    pub fn write(&self, n: u64, words: &[u64; SLOT_WORDS]) {
        self.stamp.store(stamp_open(n), Relaxed);
        // Release fence: a reader that sees any new word below must also see the odd stamp above when it loads the
        // stamp again. Partner: SlotRecheck in `recheck_fence`.
        fence_release(Site::SlotBegin);
        for (word, value) in self.words.iter().zip(words) {
            word.store(*value, Relaxed);
        }
    }

    /// Writer: sets further bits of word 0 of a slot that it has written and not yet finished.
    #[inline(always)]
    pub fn amend(&self, bits: u64) {
        self.words[0].store(self.words[0].load(Relaxed) | bits, Relaxed);
    }

    /// Writer: declares the slot whole.
    #[inline(always)]
    pub fn finish(&self, n: u64) {
        // Release store: a reader that sees this stamp sees every word of this slot, and everything that was stored
        // before it (the continuations of a record, the board row of its event). Partner: SlotOpen in `peek`.
        store_release(&self.stamp, stamp_whole(n), Site::SlotFinish);
    }

    /// Reader: the stamp as it is now. What is read after this call is at least as new as the stamp says.
    #[inline(always)]
    pub fn peek(&self) -> u64 {
        let stamp = self.stamp.load(Relaxed);
        // Acquire fence, partner of SlotFinish: the words of a whole slot are visible after it.
        fence_acquire(Site::SlotOpen);
        stamp
    }

    /// Reader: copies the words, which may be torn: only stamps loaded again after [`recheck_fence`] say otherwise.
    #[inline(always)]
    pub fn copy(&self) -> [u64; SLOT_WORDS] {
        std::array::from_fn(|i| self.words[i].load(Relaxed))
    }

    /// Reader: the stamp again, without a fence. Call [`recheck_fence`] once before.
    #[inline(always)]
    pub fn stamp_relaxed(&self) -> u64 {
        self.stamp.load(Relaxed)
    }
}

impl Default for Slot {
    fn default() -> Self {
        Self::new()
    }
}

/// Reader: stands between copying words and loading the stamps again. Partner of SlotBegin: a torn word implies a
/// changed stamp.
#[inline(always)]
pub fn recheck_fence() {
    fence_acquire(Site::SlotRecheck);
}
