//! How fast a journal goes through a lane again: a made-up flow, written as a journal, read and republished in this process.
//!
//! `cargo run --release -p ticklane-journal --example replay_speed [events] [folder]`
#![allow(clippy::unwrap_used, reason = "an example that cannot go on says where")]

use std::path::{Path, PathBuf};
use std::time::Instant;

use journal::disk::{FsFolder, drive};
use journal::replay::{Republisher, Source, SourceOptions, Step};
use journal::writer::{Now, Writer};
use journal::{JournalConfig, Recovered};
use shm_abi::directory::Instrument;
use shm_abi::layout::Plan;
use shm_abi::record::{Head, flag, kind, side};
use shm_abi::segment::{Identity, LaneWriter, RingName};
use shm_abi::slot::SLOT_WORDS;

const INSTRUMENTS: u32 = 8_000;
const START_NS: u64 = 1_715_169_600_000_000_000;
/// Records between two moves of the heads.
const BATCH: u64 = 512;

fn record(kind: u8, code: u8, flags: u8, instrument: u32, event: u64, body: [u64; 3]) -> [u64; SLOT_WORDS] {
    let head = Head {
        kind,
        flags,
        span: 1,
        side_or_code: code,
        instrument_id: instrument,
        ts_event: START_NS + 400 * event,
        ts_recv: START_NS + 400 * event + 5_000,
        publish_delay_ns: 300,
        venue_sequence_low: event as u32,
    };
    let [a, b, c, d] = head.words();
    [a, b, c, d, body[0], body[1], body[2]]
}

/// Records of one event: an order far from the touch, a level inside the window, or one with a quote or a trade.
fn event(n: u64, push: &mut impl FnMut(RingName, [u64; SLOT_WORDS])) {
    // A fixed scramble, so that instruments and prices are as little alike as in a market.
    let hash = (n ^ n >> 7).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let (instrument, code) = ((hash >> 20) as u32 % INSTRUMENTS, if hash & 1 == 0 { side::BID } else { side::ASK });
    let away = hash >> 40 & 7;
    let price = if code == side::BID { 1_000 - away } else { 1_001 + away } * 10_000_000;
    let quantity = 1 + hash % 1_000;
    let market = |kind, flags, body| record(kind, code, flags, instrument, n, body);
    push(RingName::Orders, market(kind::ADD, flag::LAST, [4 * n, price, quantity]));
    match hash >> 61 {
        0..=2 => {}
        3..=5 => push(RingName::Market, market(kind::LEVEL, flag::LAST, [price, quantity, 1 | away << 32])),
        6 => {
            push(RingName::Market, market(kind::LEVEL, 0, [price, quantity, 1 | away << 32]));
            push(RingName::Market, market(kind::QUOTE, flag::LAST, [price, quantity, 1]));
        }
        _ => push(RingName::Market, market(kind::TRADE, flag::LAST, [n, price, quantity])),
    }
}

/// Time that this thread has had a core, s: what is left of a figure on a machine that others use.
fn on_core_s() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|ns| ns.parse::<f64>().ok()).map_or(f64::NAN, |ns| ns / 1e9)
}

/// Writes the journal; returns its records.
fn write(folder: &Path, events: u64) -> u64 {
    let instruments: Vec<Instrument> =
        (0..INSTRUMENTS).map(|id| Instrument::equity(id, format!("S{id:04}").as_bytes(), b"NASDAQ")).collect();
    let identity = Identity { epoch: 7, incarnation: 8, old_epoch: 0, flags: 0 };
    let source = journal::writer::Source { identity, directory: instruments, first: [0, 0] };
    let now = |n: u64| Now { unix_ns: START_NS + 400 * n, monotonic_ns: 1 + 400 * n };
    let mut disk = FsFolder::new(folder);
    disk.make().unwrap();
    let mut writer = Writer::new(JournalConfig::default(), "speed", &Recovered::default(), source, now(0)).unwrap();
    let mut next = [0u64; 2];
    for n in 0..events {
        event(n, &mut |ring, words| {
            let at = journal::ring_index(ring);
            assert!(writer.push(ring, next[at], &words), "there is room");
            next[at] += 1;
        });
        if n.is_multiple_of(BATCH) {
            writer.handle_time(now(n));
            drive(&mut writer, &mut disk, now(n));
        }
    }
    writer.finish();
    drive(&mut writer, &mut disk, now(events));
    next[0] + next[1]
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let events: u64 = arguments.next().map_or(5_000_000, |text| text.parse().expect("a number of events"));
    let folder = arguments.next().map_or_else(std::env::temp_dir, PathBuf::from).join("replay-speed");
    let records = write(&folder, events);
    let plan = Plan {
        lane: "speed".into(),
        orders_slots: 1 << 20,
        market_slots: 1 << 20,
        instruments: INSTRUMENTS as usize,
        depth_bytes: 16 << 20,
    };
    for round in 0..3 {
        let mut lane = LaneWriter::anonymous(&plan).unwrap();
        lane.prefault();
        let mut source = Source::open(&folder, &SourceOptions::default()).unwrap();
        let mut republisher = Republisher::new(plan.instruments);
        let (began, on_core, mut steps) = (Instant::now(), on_core_s(), 0u64);
        while let Some(step) = source.next().unwrap() {
            republisher.take(&step, &mut lane).unwrap();
            steps += u64::from(matches!(step, Step::Record { .. }));
            if steps.is_multiple_of(BATCH) {
                republisher.publish_heads(&mut lane);
            }
        }
        republisher.finish(&mut lane);
        let (seconds, busy) = (began.elapsed().as_secs_f64(), on_core_s() - on_core);
        assert_eq!(steps, records);
        println!(
            "round {round}: {records} records of {events} events in {seconds:.2} s: {:.2} M records/s, {:.2} M events/s; \
             per second on a core {:.2} M records",
            records as f64 / seconds / 1e6,
            events as f64 / seconds / 1e6,
            records as f64 / busy / 1e6,
        );
    }
    std::fs::remove_dir_all(&folder).unwrap();
}
