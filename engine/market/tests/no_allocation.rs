//! After warm-up `apply` does not allocate: counted by the allocator itself.

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use common::flow::flow;
use common::{Bus, stamps};
use market::MessageAt;

thread_local! {
    /// Allocations of this thread; other threads are the test harness's own.
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: every call goes to the system's allocator with the same arguments; counting touches a thread-local that needs
// neither allocation nor destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promises are the system allocator's.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: as above; `place` came from `alloc`, that is, from the system's allocator.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn apply_does_not_allocate_after_warm_up() {
    // Seed 0 is honest, 3 the most hostile: anomalies do not allocate either.
    for seed in [0, 3] {
        let messages = flow(seed, 20_000);
        let mut buf = Vec::new();
        let mut places = Vec::new();
        for (i, message) in messages.iter().enumerate() {
            places.push(MessageAt { sequence: i as u64 + 1, at: buf.len() as u32, len: message.len() as u32 });
            buf.extend_from_slice(message);
        }
        let mut bus = Bus::new();
        // Warm-up: the announcements of the instruments.
        let (warm, hot) = places.split_at(64);
        for batch in warm.chunks(32) {
            bus.feed.apply(&buf, batch, stamps(), &mut bus.lane);
        }
        let before = ALLOCATIONS.with(Cell::get);
        for batch in hot.chunks(32) {
            bus.feed.apply(&buf, batch, stamps(), &mut bus.lane);
        }
        assert_eq!(ALLOCATIONS.with(Cell::get) - before, 0, "seed {seed}");
        // The counter counts: this very assertion's message does not, but a box does.
        std::hint::black_box(Box::new(1));
        assert!(ALLOCATIONS.with(Cell::get) > before);
        bus.assert_balance();
    }
}
