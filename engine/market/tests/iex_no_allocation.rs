//! After warm-up the IEX normaliser does not allocate: counted by the allocator itself.

mod common;
mod iex_bus;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use common::stamps;
use iex_bus::flow::flow;
use iex_bus::{IexBus, laid_out};
use wire::iextp::Protocol;

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
    for protocol in [Protocol::Tops, Protocol::Deep] {
        let (buf, places) = laid_out(&flow(3, 20_000, protocol), 1);
        let mut bus = IexBus::new(protocol);
        // Warm-up: the first messages name every symbol.
        let (warm, hot) = places.split_at(32);
        bus.feed.apply(&buf, warm, stamps(), &mut bus.lane);
        let before = ALLOCATIONS.with(Cell::get);
        for batch in hot.chunks(32) {
            bus.feed.apply(&buf, batch, stamps(), &mut bus.lane);
        }
        assert_eq!(ALLOCATIONS.with(Cell::get) - before, 0, "{protocol:?}");
        // The counter counts: this very assertion's message does not, but a box does.
        std::hint::black_box(Box::new(1));
        assert!(ALLOCATIONS.with(Cell::get) > before);
        bus.assert_balance();
    }
}
