//! The version word of a board row: odd while the row is written.

use crate::sync::{AtomicU64, Ordering::Relaxed, Site, fence_acquire, fence_release, store_release};

/// Writer: makes the version odd. Returns the even version that [`write_end`] must store.
#[inline(always)]
pub fn write_begin(version: &AtomicU64) -> u64 {
    let even = version.load(Relaxed) & !1;
    version.store(even + 1, Relaxed);
    // Release fence: a reader that sees any word stored below also sees the odd version. Partner: RowRecheck.
    fence_release(Site::RowBegin);
    even + 2
}

/// Writer: makes the row whole again.
#[inline(always)]
pub fn write_end(version: &AtomicU64, next: u64) {
    // Release store, partner of RowOpen: whoever sees it sees the whole row.
    store_release(version, next, Site::RowFinish);
}

/// Reader: the version before copying, or `None` while the row is being written.
#[inline(always)]
pub fn read_begin(version: &AtomicU64) -> Option<u64> {
    let before = version.load(Relaxed);
    // Acquire fence, partner of RowFinish.
    fence_acquire(Site::RowOpen);
    (before & 1 == 0).then_some(before)
}

/// Reader: whether what was copied since [`read_begin`] is one version of the row.
#[inline(always)]
pub fn read_end(version: &AtomicU64, before: u64) -> bool {
    // Acquire fence, partner of RowBegin: a word of a newer version implies a changed version here.
    fence_acquire(Site::RowRecheck);
    version.load(Relaxed) == before
}
