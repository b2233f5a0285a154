//! Sleeping readers: a writer-owned wake word, a reader-owned flag, and no lost wake-up between them.
//!
//! Source: decisions.md 4. The writer looks at the flag once per burst; it touches the word and makes a system call
//! only when the flag is set.
//!
//! The word changes *after* the flag was cleared, and that order carries the proof. A reader may set the flag just
//! before the writer clears it, find the ring empty, and be about to sleep with nobody knowing. Had the word changed
//! earlier, that reader could already have loaded the new value and would sleep through the next burst; as it is, its
//! value is outdated and the futex sends it back. A loom model without a time limit holds this (`tests/loom.rs`).

use crate::sync::{AtomicU32, Ordering::Relaxed, Site, fence_acquire, fence_seq_cst, store_release_half};

/// Writer, once per burst, after publishing: says whether sleepers must be woken, and then has cleared the flag and
/// changed the word. Any value in the flag is harmless: it costs one wake at the most.
#[inline(always)]
pub fn bump_and_check(word: &AtomicU32, flag: &AtomicU32) -> bool {
    // SeqCst fence, partner SleeperSet: either the writer sees the flag, or the reader sees the records.
    fence_seq_cst(Site::WakeCheck);
    if flag.load(Relaxed) == 0 {
        return false;
    }
    flag.store(0, Relaxed);
    // Release store, partner SleeperSeen: a reader that has seen this value sets the flag after it was cleared here.
    store_release_half(word, word.load(Relaxed).wrapping_add(1), Site::WakeBump);
    true
}

/// Reader: announces that it is about to sleep and returns the wake word to sleep on. The caller must look at the ring
/// once more after this call, and sleep only if there is still nothing.
#[inline(always)]
pub fn announce(word: &AtomicU32, flag: &AtomicU32) -> u32 {
    let seen = word.load(Relaxed);
    // Acquire fence, partner WakeBump.
    fence_acquire(Site::SleeperSeen);
    flag.store(1, Relaxed);
    // SeqCst fence, partner WakeCheck.
    fence_seq_cst(Site::SleeperSet);
    seen
}
