//! After warm-up `apply` does not allocate: counted by the allocator itself.

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use common::flow::flow;
use common::{Bus, config, dse_flow, stamps};
use market::MessageAt;
use market::itch::ItchConfig;
use wire::dialect::DSE;

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

/// Counts what applying a flow allocates once its instruments are announced.
fn check(mut bus: Bus, messages: &[Vec<u8>], case: &str) {
    let mut buf = Vec::new();
    let mut places = Vec::new();
    for (i, message) in messages.iter().enumerate() {
        places.push(MessageAt { sequence: i as u64 + 1, at: buf.len() as u32, len: message.len() as u32 });
        buf.extend_from_slice(message);
    }
    // Warm-up: the announcements of the instruments.
    let (warm, hot) = places.split_at(64);
    for batch in warm.chunks(32) {
        bus.feed.apply(&buf, batch, stamps(), &mut bus.lane);
    }
    let before = ALLOCATIONS.with(Cell::get);
    for batch in hot.chunks(32) {
        bus.feed.apply(&buf, batch, stamps(), &mut bus.lane);
    }
    assert_eq!(ALLOCATIONS.with(Cell::get) - before, 0, "{case}");
    // The counter counts: this very assertion's message does not, but a box does.
    std::hint::black_box(Box::new(1));
    assert!(ALLOCATIONS.with(Cell::get) > before);
    bus.assert_balance();
}

#[test]
fn apply_does_not_allocate_after_warm_up() {
    // Seed 0 is honest, 3 the most hostile: anomalies do not allocate either.
    for seed in [0, 3] {
        check(Bus::new(), &flow(seed, 20_000), &format!("seed {seed}"));
    }
}

#[test]
fn nor_does_a_dse_feed() {
    for seed in [0, 3] {
        let mut messages = dse_flow::flow(seed, 20_000);
        // Seconds, news, states, phases and breaks among the orders.
        for i in (200..19_000).step_by(50) {
            messages[i] = match i / 50 % 5 {
                0 => dse_flow::time(36_000 + i as u32),
                1 => dse_flow::news(7, i as u32, b"title", &[0xff; 9_000]),
                2 => dse_flow::action(7, b'V'),
                3 => dse_flow::system(b'Q', "MAIN", 0),
                _ => dse_flow::broken(i as u64 / 10),
            };
        }
        let config = ItchConfig { dialect: &DSE, ..config() };
        check(Bus::with(config), &messages, &format!("seed {seed}"));
    }
}
