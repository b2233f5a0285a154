//! `bench itch`: from the bytes of a day's file to fields, to books, to records in shared memory.

pub mod book;
pub mod day;
pub mod decode;
pub mod dse;

use std::path::PathBuf;

use clap::Args;

use self::book::{BookRun, Day};
use crate::cli::{at_least, progress};
use crate::machine::Machine;
use crate::report::{AmountRow, Kind, Section};
use crate::verdict::{Goal, Sense};
use crate::{BenchError, Result, floor, io_error, sys};

/// Pairs unless told otherwise.
pub const PAIRS: u32 = 5;

/// Settings of `bench itch`.
#[derive(Debug, Clone, Args)]
pub struct ItchArgs {
    /// Messages of the generated day.
    #[arg(long, default_value_t = ItchArgs::default().messages)]
    messages: u64,
    /// Listed symbols of the generated day.
    #[arg(long, default_value_t = ItchArgs::default().symbols)]
    symbols: u32,
    /// Seed of the generated day: the same seed gives the same bytes.
    #[arg(long, default_value_t = ItchArgs::default().seed)]
    seed: u64,
    /// Folder that keeps the generated day [default: bench-data beside the program's own folder].
    #[arg(long)]
    work_dir: Option<PathBuf>,
    /// Removes the generated day afterwards.
    #[arg(long)]
    clean: bool,
}

impl Default for ItchArgs {
    fn default() -> Self {
        Self { messages: 50_000_000, symbols: 8_000, seed: 1, work_dir: None, clean: false }
    }
}

/// Fewest messages: the directory of a day takes four a symbol.
const MESSAGES_MIN: u64 = 10_000;
/// Packets: a dozen, as a UDP packet often holds, and the most that the book takes at once.
const SMALL_PACKET: usize = 12;
const LARGE_PACKET: usize = 32;
/// Memory that decode and book may take, MiB of anonymous memory.
const MEMORY_LIMIT_MIB: f64 = 256.0;

/// Nanoseconds per message (per load for the random load), one value per pair.
#[derive(Default)]
struct Series {
    load: Vec<f64>,
    walk: Vec<f64>,
    decode: Vec<f64>,
    decode_itch5: Vec<f64>,
    turn_nasdaq: Vec<f64>,
    turn_dse: Vec<f64>,
    file: Vec<f64>,
    file_itch5: Vec<f64>,
    book_small: Vec<f64>,
    book_large: Vec<f64>,
    publish: Vec<f64>,
    publish_large: Vec<f64>,
    book_mib: Vec<f64>,
    publish_mib: Vec<f64>,
    publish_shared_mib: Vec<f64>,
}

/// What every variant must agree about, so that equal work is visible.
#[derive(Debug, Default)]
struct Evidence {
    counts: Option<decode::Totals>,
    book: Option<book::EndState>,
    records: Option<book::Records>,
}

/// Measures everything and states the goals.
///
/// # Errors
/// When the day cannot be made, or two variants do not end alike.
pub fn run(args: &ItchArgs, pairs: u32, machine: &Machine) -> Result<Section> {
    at_least(
        "--messages",
        args.messages,
        MESSAGES_MIN.max(5 * u64::from(args.symbols)),
        "10000 and 5 a symbol, or more",
    )?;
    let folder = args.work_dir.clone().map_or_else(day::default_folder, Ok)?;
    let path = day::provide(&folder, args.messages, args.symbols, args.seed)?;
    let file = std::fs::File::open(&path).map_err(io_error(format!("open {}", path.display())))?;
    let map = sys::map_file(&file).map_err(io_error(format!("map {}", path.display())))?;
    day::warm(&map);
    let day = Day { bytes: &map, symbols: args.symbols };
    let (mut series, mut evidence) = (Series::default(), Evidence::default());
    for pair in 0..pairs {
        progress("itch", pair, pairs);
        measure_decode(&day, machine, &mut series, &mut evidence)?;
        measure_books(&day, machine, &mut series, &mut evidence)?;
    }
    if args.clean {
        std::fs::remove_file(&path).map_err(io_error(format!("remove {}", path.display())))?;
    }
    Ok(section(args, pairs, &series, &evidence))
}

fn measure_decode(day: &Day<'_>, machine: &Machine, series: &mut Series, evidence: &mut Evidence) -> Result<()> {
    let rate = machine.ticks_per_ns;
    series.load.push(floor::random_load_ns(rate)?);
    series.walk.push(decode::walk_ns(day.bytes, rate)?);
    let chunks = decode::chunks(day.bytes)?;
    series.decode.push(decode::ours_cached_ns(day.bytes, &chunks, rate)?);
    series.decode_itch5.extend(decode::itch5_cached_ns(day.bytes, &chunks, rate)?);
    let (nasdaq, dse) = dse::nasdaq_and_dse_ns(day.bytes, &chunks, rate)?;
    series.turn_nasdaq.push(nasdaq);
    series.turn_dse.push(dse);
    series.file.push(decode::ours_file_ns(day.bytes, rate)?);
    series.file_itch5.extend(decode::itch5_file_ns(day.bytes, rate)?);
    if evidence.counts.is_none() {
        let ours = decode::ours_totals(day.bytes)?;
        if let Some(theirs) = decode::itch5_totals(day.bytes)? {
            same("fields decoded by ours and by itch5", &ours, &theirs)?;
        }
        evidence.counts = Some(ours);
    }
    Ok(())
}

fn measure_books(day: &Day<'_>, machine: &Machine, series: &mut Series, evidence: &mut Evidence) -> Result<()> {
    let rate = machine.ticks_per_ns;
    for (packet, ns) in [(SMALL_PACKET, &mut series.book_small), (LARGE_PACKET, &mut series.book_large)] {
        let BookRun { ns_per_message, anonymous_mib, end, .. } = book::bare(day, packet, rate)?;
        ns.push(ns_per_message);
        series.book_mib.push(anonymous_mib);
        same("books of two runs", evidence.book.get_or_insert(end), &end)?;
    }
    for (packet, ns) in [(SMALL_PACKET, &mut series.publish), (LARGE_PACKET, &mut series.publish_large)] {
        let run = book::published(day, packet, rate)?;
        ns.push(run.ns_per_message);
        series.publish_mib.push(run.anonymous_mib);
        series.publish_shared_mib.push(run.shared_mib);
        same("books with and without publishing", evidence.book.get_or_insert(run.end), &run.end)?;
        same("records of two runs", evidence.records.get_or_insert(run.records), &run.records)?;
    }
    Ok(())
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, a: &T, b: &T) -> Result<()> {
    if a == b { Ok(()) } else { Err(BenchError::UnequalWork(format!("{what}: {a:?} and {b:?}"))) }
}

fn section(args: &ItchArgs, pairs: u32, series: &Series, evidence: &Evidence) -> Section {
    let ItchArgs { messages, symbols, seed, .. } = args;
    let title =
        format!("{pairs} alternating pairs; generated day of {messages} messages, {symbols} symbols, seed {seed}");
    let mut section = Section::new("itch", title);
    let row = |kind, name: &str, values: &[f64]| AmountRow::new(kind, name, "ns/msg", values);
    let size = |name: &str, values: &[f64]| AmountRow::new(Kind::Ours, name, "MiB", values);
    let load = "dependent random load, 256 MiB, 4 KiB pages";
    section.amounts.extend([
        AmountRow::new(Kind::Floor, load, "ns/load", &series.load),
        row(Kind::Floor, "length walk, straight from the file", &series.walk),
        row(Kind::Ours, "decode, every order field, input in the cache", &series.decode),
        row(Kind::Peer, "itch5 0.1.5, every order field, input in the cache", &series.decode_itch5),
        row(Kind::Ours, "decode, the day's beginning, chunks in turn with DSE's form", &series.turn_nasdaq),
        row(Kind::Ours, "decode, the same as DSE 2.2", &series.turn_dse),
        row(Kind::Ours, "decode, every order field, straight from the file", &series.file),
        row(Kind::Peer, "itch5 0.1.5, every order field, straight from the file", &series.file_itch5),
        row(Kind::Ours, "decode + L3 book, packets of 12", &series.book_small),
        row(Kind::Ours, "decode + L3 book, packets of 32", &series.book_large),
        row(Kind::Ours, "decode + L3 book + rings and board, packets of 12", &series.publish),
        row(Kind::Ours, "decode + L3 book + rings and board, packets of 32", &series.publish_large),
        size("anonymous memory with books, mapped input excluded", &series.book_mib),
        size("anonymous memory with books and publishing", &series.publish_mib),
        size("shared memory of rings, board and directory", &series.publish_shared_mib),
    ]);
    let loads: Vec<String> = series.load.iter().map(|ns| format!("{ns:.1}")).collect();
    section.notes.push(format!("random load by pair, ns: {}", loads.join(" ")));
    section.notes.push("time of the loop alone: tables are made, and resident, before".into());
    section.notes.extend(evidence.counts.as_ref().map(|totals| format!("messages by type: {}", totals.counts())));
    section.notes.extend(evidence.book.map(|end| format!("end state, equal in all runs: {end}")));
    section.notes.extend(evidence.records.map(|records| format!("published, equal in all runs: {records}")));
    section.goals = goals(series);
    section
}

fn goals(series: &Series) -> Vec<Goal> {
    let load = &series.load;
    let decode = "decode of every order field >= 1.4x the speed of crate itch5";
    let book =
        |packet| format!("decode + L3 book, packets of {packet} <= 0.30x one dependent random memory load per message");
    let publish = |packet| format!("the same with rings and board written, packets of {packet} <= 0.40x");
    vec![
        match series.decode_itch5.as_slice() {
            [] => Goal::unmeasured(decode, Sense::AtLeast, 1.4, "built without the feature peers (itch5)"),
            theirs => Goal::ratio(decode, Sense::AtLeast, 1.4, theirs, &series.decode),
        },
        Goal::ratio(
            "decode of DSE <= 1.15x that of Nasdaq",
            Sense::AtMost,
            1.15,
            &series.turn_dse,
            &series.turn_nasdaq,
        ),
        Goal::ratio(&book(SMALL_PACKET), Sense::AtMost, 0.30, &series.book_small, load),
        Goal::ratio(&book(LARGE_PACKET), Sense::AtMost, 0.30, &series.book_large, load),
        Goal::amount("decode + L3 book in <= 256 MiB", Sense::AtMost, MEMORY_LIMIT_MIB, "MiB", &series.book_mib),
        Goal::ratio(&publish(SMALL_PACKET), Sense::AtMost, 0.40, &series.publish, load),
        Goal::ratio(&publish(LARGE_PACKET), Sense::AtMost, 0.40, &series.publish_large, load),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unequal_work_is_an_error() {
        assert!(same("x", &1, &1).is_ok());
        let error = same("books of two runs", &1, &2).unwrap_err().to_string();
        assert_eq!(error, "unequal work: books of two runs: 1 and 2");
    }
}
