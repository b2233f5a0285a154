//! How fast tick files are made: a made-up flow of orders, trades and quotes through each schema and format.
//!
//! `cargo run --release -p ticklane-journal --features export --example export_speed [records] [folder]`
#![allow(clippy::unwrap_used, reason = "an example that cannot go on says where")]

use std::path::{Path, PathBuf};
use std::time::Instant;

use journal::export::{ExportOptions, Exporter, Format, Schema};
use shm_abi::directory::Instrument;
use shm_abi::record::{Head, flag, kind, side};
use shm_abi::slot::SLOT_WORDS;

const INSTRUMENTS: u32 = 8_000;
const START_NS: u64 = 1_715_169_600_000_000_000;

/// The record of a number: adds and cancels, with a trade and a fill now and then, or quotes and trades.
fn record(schema: Schema, n: u64) -> [u64; SLOT_WORDS] {
    // A fixed scramble, so that ids and prices are as little alike as in a market.
    let hash = (n ^ n >> 7).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let kind = match (schema, hash >> 60) {
        (Schema::Orders, 0..=7) => kind::ADD,
        (Schema::Orders, 8..=13) => kind::CANCEL,
        (Schema::Orders, 14) => kind::FILL,
        (Schema::Quotes, _) => kind::QUOTE,
        _ => kind::TRADE,
    };
    let code = if hash & 1 == 0 { side::BID } else { side::ASK };
    let price = (10_000 + hash % 997) * 10_000_000;
    let quantity = 1 + hash % 1_000;
    let body = if schema == Schema::Quotes { [price, quantity, 3] } else { [4 * n, price, quantity] };
    let head = Head {
        kind,
        flags: flag::LAST,
        span: 1,
        side_or_code: code,
        instrument_id: (hash >> 20) as u32 % INSTRUMENTS,
        ts_event: START_NS + 400 * n,
        ts_recv: START_NS + 400 * n + 5_000 + hash % 4_000,
        publish_delay_ns: 300 + (hash % 200) as u32,
        venue_sequence_low: n as u32,
    };
    let [a, b, c, d] = head.words();
    [a, b, c, d, body[0], body[1], body[2]]
}

/// Anonymous memory of this process, MiB.
fn anonymous_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let kib = line.and_then(|line| line.trim().split(' ').next()?.parse::<f64>().ok());
    kib.unwrap_or(f64::NAN) / 1024.0
}

fn measure(folder: &Path, schema: Schema, format: Format, ring: &[[u64; SLOT_WORDS]], records: u64) {
    let instruments: Vec<Instrument> =
        (0..INSTRUMENTS).map(|id| Instrument::equity(id, format!("S{id:04}").as_bytes(), b"NASDAQ")).collect();
    let path = folder.join("export-speed");
    let mut exporter = Exporter::create(&path, &ExportOptions::new(schema, format), &instruments).unwrap();
    let (began, mut most) = (Instant::now(), 0.0_f64);
    for n in 0..records {
        exporter.record(schema.ring(), n, &ring[n as usize % ring.len()]).unwrap();
        if n.is_multiple_of(1 << 20) {
            most = most.max(anonymous_mib());
        }
    }
    // With the file on disk.
    let counts = exporter.finish().unwrap();
    let seconds = began.elapsed().as_secs_f64();
    let bytes = std::fs::metadata(&path).unwrap().len();
    std::fs::remove_file(&path).unwrap();
    println!(
        "{:<12} {:<8} {:>5.2} M records/s, {:>5.1} bytes a row, {most:>4.0} MiB",
        schema.name(),
        format!("{format:?}"),
        records as f64 / seconds / 1e6,
        bytes as f64 / counts.rows as f64,
    );
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let records: u64 = arguments.next().map_or(10_000_000, |text| text.parse().expect("a number of records"));
    let folder = arguments.next().map_or_else(std::env::temp_dir, PathBuf::from);
    println!("{records} records of {INSTRUMENTS} instruments; memory is anonymous, with {} MiB of input", 7 * 8);
    for schema in [Schema::Orders, Schema::Trades, Schema::Quotes] {
        let ring: Vec<[u64; SLOT_WORDS]> = (0..1 << 20).map(|n| record(schema, n)).collect();
        for format in [Format::Dbn, Format::DbnZstd, Format::Parquet] {
            measure(&folder, schema, format, &ring, records);
        }
    }
}
