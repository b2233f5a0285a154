//! Atomics and orderings, in one place so that each can be weakened by name.
//!
//! Every ordering that correctness rests on is a [`Site`]. In an ordinary build [`store_release`], [`fence_acquire`]
//! and the others compile to exactly the ordering they are named after. Under `--cfg loom` one site at a time may be
//! made a *mutant*: its ordering becomes `Relaxed` (a fence vanishes), and the loom models must then fail. An ordering
//! that can be weakened without a red test is not tested.

#[cfg(loom)]
pub use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
#[cfg(not(loom))]
pub use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};

/// One place where an ordering matters. The name says which side of which protocol it is; the comment at the place of
/// use names its partner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Site {
    /// Writer: after the odd stamp, before the payload words. Partner: [`Site::SlotRecheck`].
    SlotBegin = 1,
    /// Writer: the even stamp. Partner: [`Site::SlotOpen`].
    SlotFinish,
    /// Reader: after the first stamp load. Partner: [`Site::SlotFinish`].
    SlotOpen,
    /// Reader: after copying, before the stamps are loaded again. Partner: [`Site::SlotBegin`].
    SlotRecheck,
    /// Writer: the head, after the stamps of everything below it. Partner: [`Site::HeadLoad`].
    HeadStore,
    /// Reader: after loading the head. Partner: [`Site::HeadStore`].
    HeadLoad,
    /// Writer: after the odd row version. Partner: [`Site::RowRecheck`].
    RowBegin,
    /// Writer: the even row version. Partner: [`Site::RowOpen`].
    RowFinish,
    /// Reader: after the first load of the row version. Partner: [`Site::RowFinish`].
    RowOpen,
    /// Reader: after copying the row. Partner: [`Site::RowBegin`].
    RowRecheck,
    /// Writer: between publishing and loading the sleeper flag. Partner: [`Site::SleeperSet`].
    WakeCheck,
    /// Writer: the wake word, after clearing the sleeper flag. Partner: [`Site::SleeperSeen`].
    WakeBump,
    /// Reader: between loading the wake word and setting the sleeper flag. Partner: [`Site::WakeBump`].
    SleeperSeen,
    /// Reader: between setting the sleeper flag and looking at the ring again. Partner: [`Site::WakeCheck`].
    SleeperSet,
    /// Writer: a count, after the entries below it. Partner: [`Site::CountLoad`].
    CountStore,
    /// Reader: after loading a count. Partner: [`Site::CountStore`].
    CountLoad,
    /// Writer: the segment's state, after the last record that was published in the state before. Partner:
    /// [`Site::StateLoad`].
    StateStore,
    /// Reader: after loading the state. Partner: [`Site::StateStore`].
    StateLoad,
}

impl Site {
    /// Every site, for the tests that weaken them one by one.
    pub const ALL: [Site; 18] = [
        Site::SlotBegin,
        Site::SlotFinish,
        Site::SlotOpen,
        Site::SlotRecheck,
        Site::HeadStore,
        Site::HeadLoad,
        Site::RowBegin,
        Site::RowFinish,
        Site::RowOpen,
        Site::RowRecheck,
        Site::WakeCheck,
        Site::WakeBump,
        Site::SleeperSeen,
        Site::SleeperSet,
        Site::CountStore,
        Site::CountLoad,
        Site::StateStore,
        Site::StateLoad,
    ];
}

/// Which site is weakened; 0 is none. A plain `std` atomic: loom must not explore it.
#[cfg(loom)]
static MUTANT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);

/// Weakens one site (or none) for the models that follow. Loom builds only.
#[cfg(loom)]
pub fn set_mutant(site: Option<Site>) {
    MUTANT.store(site.map_or(0, |s| s as usize), std::sync::atomic::Ordering::SeqCst);
}

#[cfg(loom)]
fn weakened(site: Site) -> bool {
    MUTANT.load(std::sync::atomic::Ordering::SeqCst) == site as usize
}

#[cfg(not(loom))]
#[inline(always)]
const fn weakened(_site: Site) -> bool {
    false
}

/// `Release` store at `site`.
#[inline(always)]
pub fn store_release(word: &AtomicU64, value: u64, site: Site) {
    word.store(value, if weakened(site) { Ordering::Relaxed } else { Ordering::Release });
}

/// `Release` store of a four-byte word at `site`.
#[inline(always)]
pub fn store_release_half(word: &AtomicU32, value: u32, site: Site) {
    word.store(value, if weakened(site) { Ordering::Relaxed } else { Ordering::Release });
}

/// `Release` fence at `site`.
#[inline(always)]
pub fn fence_release(site: Site) {
    if !weakened(site) {
        fence(Ordering::Release);
    }
}

/// `Acquire` fence at `site`.
///
/// Readers use a relaxed load and this fence instead of an acquire load: their pages are mapped read-only, where Rust
/// guarantees only relaxed loads of at most eight bytes (standard library, "Atomic accesses to read-only memory").
#[inline(always)]
pub fn fence_acquire(site: Site) {
    if !weakened(site) {
        fence(Ordering::Acquire);
    }
}

/// `SeqCst` fence at `site`.
#[inline(always)]
pub fn fence_seq_cst(site: Site) {
    if !weakened(site) {
        fence(Ordering::SeqCst);
    }
}
