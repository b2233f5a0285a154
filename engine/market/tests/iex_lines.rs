//! Real captures as two lines through the arbiter: each line loses a quarter of its packets at different places, and the
//! feed misses nothing, the restart of the stream included.

#![allow(clippy::unwrap_used, reason = "a test's helpers may fail as loudly as the test itself")]

mod common;
mod iex_bus;

use std::io::Read as _;

use common::{data, stamps};
use iex_bus::IexBus;
use shm_abi::counters::LaneCounter;
use shm_abi::layout::row;
use shm_abi::record::Side;
use wire::iextp::{Protocol, parse_at};
use wire::multicast::{Arbiter, ArbiterConfig, GapReason, LineId, SessionKey, SessionStart, Sink, Source};
use wire::pcap::Packets;
use wire::{MessageAt, Nanos};

/// What stands behind the arbiter.
struct Receiver {
    bus: IexBus,
    gaps: u64,
    sessions: Vec<SessionStart>,
}

impl Sink for Receiver {
    fn messages(&mut self, buffer: &[u8], messages: &[MessageAt], _recv: Nanos, _source: Source) {
        self.bus.feed.apply(buffer, messages, stamps(), &mut self.bus.lane);
        self.bus.drain();
    }

    fn gap(&mut self, _first: u64, _last: u64, _reason: GapReason) {
        self.gaps += 1;
    }

    fn session(&mut self, start: SessionStart) {
        match start.previous {
            None => self.bus.feed.set_session(&start.session.0),
            Some(_) => self.bus.feed.new_session(&start.session.0, stamps(), &mut self.bus.lane),
        }
        self.bus.drain();
        self.sessions.push(start);
    }

    fn end_of_session(&mut self, _session: SessionKey, _next: u64) {
        panic!("IEX-TP announces no end");
    }
}

/// Plays a capture on both lines, of which line `l` loses the packets for which `lost(l, place)` holds.
fn play(capture: &[u8], protocol: Protocol, lost: impl Fn(LineId, usize) -> bool) -> (Receiver, Arbiter) {
    let mut receiver = Receiver { bus: IexBus::new(protocol), gaps: 0, sessions: vec![] };
    let mut arbiter = Arbiter::new(ArbiterConfig::default()).unwrap();
    for (place, captured) in Packets::new(capture).unwrap().enumerate() {
        let at = captured.payload.as_ptr() as usize - capture.as_ptr() as usize;
        let packet = parse_at(capture, at..at + captured.payload.len(), protocol).unwrap();
        let now = Nanos(captured.ts_ns);
        for line in [LineId::A, LineId::B].into_iter().filter(|line| !lost(*line, place)) {
            arbiter.handle_packet(now, now, Source::Line(line), &packet, &mut receiver);
        }
        if arbiter.poll_timeout().is_some_and(|due| due <= now) {
            arbiter.handle_timeout(now, &mut receiver);
        }
    }
    (receiver, arbiter)
}

#[test]
fn two_lossy_lines_are_one_whole_feed() {
    for (file, protocol, starts, next) in
        [("DEEP10_first5727packets", Protocol::Deep, 2, 23_439), ("TOPS16", Protocol::Tops, 1, 57_675)]
    {
        let Some(packed) = data(&format!("iex/{file}.pcap.gz")) else { return };
        let mut capture = Vec::new();
        flate2::read::GzDecoder::new(packed.as_slice()).read_to_end(&mut capture).unwrap();
        let (whole, _) = play(&capture, protocol, |line, _| line == LineId::B);
        let (lossy, arbiter) = play(&capture, protocol, |line, place| place % 4 == 2 * line.index() + 1);
        for receiver in [&whole, &lossy] {
            assert_eq!((receiver.gaps, receiver.sessions.len()), (0, starts), "{file}");
            assert!(
                receiver.sessions.iter().all(|start| start.session == receiver.sessions[0].session && start.first == 1)
            );
            assert_eq!(receiver.bus.feed.sequence() + 1, next, "{file}");
        }
        assert_eq!(arbiter.counters().requests, 0, "{file}");
        let [received, published] = [LaneCounter::Received, LaneCounter::Published]
            .map(|counter| [whole.bus.counter(counter), lossy.bus.counter(counter)]);
        assert_eq!(received[0], received[1]);
        assert_eq!(received, published);
        for at in 0..whole.bus.lane.directory.count() {
            let name = whole.bus.segment.directory().get(at).unwrap().symbol;
            let symbol = std::array::from_fn(|i| name.as_str().as_bytes().get(i).copied().unwrap_or(b' '));
            let [one, two] = [&whole, &lossy].map(|receiver| receiver.bus.row(&symbol));
            for field in (row::TS_EVENT..=row::OPEN_INTEREST).filter(|field| *field != row::VERSION) {
                assert_eq!(one.word(field), two.word(field), "{file}: word {field} of {name}");
            }
            for side in [Side::Bid, Side::Ask] {
                assert!(one.window(side).eq(two.window(side)), "{file}: window of {name}");
            }
        }
    }
}
