//! Virtual time: what happens next, and when.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// One millisecond, in ns.
pub(crate) const MS: u64 = 1_000_000;
/// One second, in ns.
pub(crate) const S: u64 = 1_000 * MS;

#[derive(Debug)]
struct Entry<E> {
    key: Reverse<(u64, u64)>,
    event: E,
}

impl<E> PartialEq for Entry<E> {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}
impl<E> Eq for Entry<E> {}
impl<E> PartialOrd for Entry<E> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<E> Ord for Entry<E> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key.cmp(&other.key)
    }
}

/// Events by the moment at which they happen; of one moment, in the order in which they were planned.
#[derive(Debug)]
pub(crate) struct Schedule<E> {
    heap: BinaryHeap<Entry<E>>,
    planned: u64,
    /// The present, ns since the run began.
    pub(crate) now: u64,
}

impl<E> Schedule<E> {
    pub(crate) fn new() -> Self {
        Schedule { heap: BinaryHeap::new(), planned: 0, now: 0 }
    }

    /// Plans `event` at `at`, or at once when that has passed.
    pub(crate) fn plan(&mut self, at: u64, event: E) {
        self.planned += 1;
        self.heap.push(Entry { key: Reverse((at.max(self.now), self.planned)), event });
    }

    /// Moves time on to the next event.
    pub(crate) fn next(&mut self) -> Option<E> {
        let entry = self.heap.pop()?;
        self.now = entry.key.0.0;
        Some(entry.event)
    }
}
