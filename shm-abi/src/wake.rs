//! Sleeping readers: a writer-owned wake word, a reader-owned flag, and no lost wake-up between them.
//!
//! Source: decisions.md 4. The writer looks at the flag once per burst; it makes a system call only when it is set.

use crate::sync::{AtomicU32, Ordering::Relaxed, Site, fence_seq_cst};

/// Writer, once per burst, after publishing: bumps the word and says whether a sleeper must be woken. Clears the flag:
/// any value in it is harmless, it costs one wake at the most.
#[inline(always)]
pub fn bump_and_check(word: &AtomicU32, flag: &AtomicU32) -> bool {
    word.store(word.load(Relaxed).wrapping_add(1), Relaxed);
    // SeqCst fence, partner SleeperSet: either the writer sees the flag, or the reader sees the new word and records.
    fence_seq_cst(Site::WakeBump);
    if flag.load(Relaxed) == 0 {
        return false;
    }
    flag.store(0, Relaxed);
    true
}

/// Reader: announces that it is about to sleep and returns the wake word to sleep on. The caller must look at the ring
/// once more after this call, and sleep only if there is still nothing.
#[inline(always)]
pub fn announce(word: &AtomicU32, flag: &AtomicU32) -> u32 {
    let seen = word.load(Relaxed);
    flag.store(1, Relaxed);
    // SeqCst fence, partner WakeBump.
    fence_seq_cst(Site::SleeperSet);
    seen
}
