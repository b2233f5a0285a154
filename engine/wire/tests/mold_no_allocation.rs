//! After start-up an arbiter does not allocate, whatever the network does: counted by the allocator itself.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use wire::mold::{self, PacketBuilder};
use wire::multicast::{Arbiter, ArbiterConfig, GapReason, LineId, SessionKey, SessionStart, Sink, Source};
use wire::{MessageAt, Nanos};

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

/// Counts what comes out.
#[derive(Default)]
struct Tally {
    delivered: u64,
    lost: u64,
    sessions: u64,
}

impl Sink for Tally {
    fn messages(&mut self, _buffer: &[u8], messages: &[MessageAt], _recv: Nanos, _source: Source) {
        self.delivered += messages.len() as u64;
    }
    fn gap(&mut self, first: u64, last: u64, _reason: GapReason) {
        self.lost += last - first + 1;
    }
    fn session(&mut self, _start: SessionStart) {
        self.sessions += 1;
    }
    fn end_of_session(&mut self, _session: SessionKey, _next: u64) {}
}

#[test]
fn an_arbiter_allocates_nothing_after_start_up() {
    let config = ArbiterConfig {
        servers: 2,
        window_messages: 256,
        window_bytes: 1 << 16,
        max_holes: 8,
        new_session: wire::multicast::NewSession::Greater,
        ..ArbiterConfig::default()
    };
    let mut arbiter = Arbiter::new(config).unwrap();
    let mut tally = Tally::default();
    let mut buffer = [0; 1_400];
    let (mut now, mut noise) = (Nanos(1), 1_u64);
    let before = ALLOCATIONS.with(Cell::get);
    for round in 0..60_000_u64 {
        noise = noise.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        now = now.saturating_add(50_000);
        let dice = noise >> 40;
        let source = [Source::Line(LineId::A), Source::Line(LineId::B), Source::Recovery][dice as usize % 3];
        // Sessions follow each other; within one, packets of ten meet, miss and overtake each other.
        let session = SessionKey(*[b"AAAAAAAAAA\0\0\0\0\0\0", b"BBBBBBBBBB\0\0\0\0\0\0"][(round / 30_000) as usize]);
        let first = (round % 30_000) + 1 + dice % 7 * 10;
        let mut builder = PacketBuilder::new(&mut buffer, session, first).unwrap();
        (0..10).for_each(|_| builder.push(&[7; 100]).unwrap());
        let packet = mold::parse(builder.finish()).unwrap();
        arbiter.handle_packet(now, now, source, &packet, &mut tally);
        match dice % 1_000 {
            0 => arbiter.hold(),
            1..=20 if arbiter.is_holding() => {
                arbiter.release_from(now, arbiter.next_sequence() + 50, &mut tally);
            }
            _ => {}
        }
        if arbiter.poll_timeout().is_some_and(|due| due <= now) {
            arbiter.handle_timeout(now, &mut tally);
        }
        while arbiter.poll_request(now).is_some() {}
    }
    let counted = ALLOCATIONS.with(Cell::get) - before;
    let counters = arbiter.counters();
    assert!(tally.delivered > 10_000 && tally.sessions == 2, "{counters:?}");
    assert!(tally.lost > 0 && counters.requests > 100 && counters.duplicates > 10_000, "{counters:?}");
    assert_eq!(counted, 0, "{counters:?}");
}
