//! `bench journal`: the recorded bus.
//!
//! A generated day is published once in this process, and its records are then written as a journal, read back, replayed
//! into a lane and exported, all on one core. What the journal costs the lane is measured in the real engine, which plays the
//! day's file once with a journal and once without.

mod disk;
mod flow;
mod lane;

use std::path::{Path, PathBuf};

use clap::Args;
use journal::export::Format;

use self::flow::Flow;
use crate::cli::{at_least, progress};
use crate::itch::day;
use crate::machine::{Cores, Machine};
use crate::report::{AmountRow, Kind, Section};
use crate::verdict::{Goal, Sense};
use crate::wire::engine;
use crate::{BenchError, Result, io_error, sys};

/// Pairs unless told otherwise.
pub const PAIRS: u32 = 5;
/// Records a second that the disk is asked to take, millions.
const WRITE_GOAL: f64 = 5.0;
/// Roles that never sleep when a publish time is to be judged: a sender, the lane, the journal.
const ROLES: usize = 3;

/// Settings of `bench journal`.
#[derive(Debug, Clone, Args)]
pub struct JournalArgs {
    /// Messages of the generated day.
    #[arg(long, default_value_t = JournalArgs::default().messages)]
    messages: u64,
    /// Its symbols.
    #[arg(long, default_value_t = JournalArgs::default().symbols)]
    symbols: u32,
    /// Where the day, the journal and the exports are made [default: bench-data in the target folder].
    #[arg(long)]
    work_dir: Option<PathBuf>,
    /// The engine's program [default: ticklane-engine beside this program].
    #[arg(long)]
    engine: Option<PathBuf>,
}

impl Default for JournalArgs {
    fn default() -> Self {
        Self { messages: 1_000_000, symbols: 8_000, work_dir: None, engine: None }
    }
}

#[derive(Default)]
struct Series {
    write: Vec<f64>,
    bare: Vec<f64>,
    /// The lower of the goal and of what the bare file took.
    wanted: Vec<f64>,
    bytes: Vec<f64>,
    read: Vec<f64>,
    replay: Vec<f64>,
    replay_events: Vec<f64>,
    replay_growth: Vec<f64>,
    dbn: Vec<f64>,
    parquet: Vec<f64>,
    export_growth: Vec<f64>,
    lane_off: Vec<f64>,
    lane_on: Vec<f64>,
    journal: Vec<f64>,
}

/// Measures everything and states the goals.
///
/// # Errors
/// When the day or a file cannot be made, or what comes back is not what was written.
pub fn run(args: &JournalArgs, pairs: u32, machine: &Machine, dir: &Path) -> Result<Section> {
    let least = 10_000.max(5 * u64::from(args.symbols));
    at_least("--messages", args.messages, least, "10000 and 5 a symbol, or more")?;
    let folder = args.work_dir.clone().map_or_else(day::default_folder, Ok)?;
    let path = day::provide(&folder, args.messages, args.symbols, 1)?;
    let file = std::fs::File::open(&path).map_err(io_error(format!("open {}", path.display())))?;
    let map = sys::map_file(&file).map_err(io_error(format!("map {}", path.display())))?;
    let flow = Flow::of(&map, args.symbols)?;
    let engine = engine::find(args.engine.as_deref());
    let mut series = Series::default();
    for pair in 0..pairs {
        progress("journal", pair, pairs);
        let work = tempfile::tempdir_in(&folder).map_err(io_error("make a work folder"))?;
        measure(&flow, args, work.path(), machine.cores, &mut series)?;
        if let Ok(program) = &engine {
            let cost = |journal| apart(|| lane::cost(program, &path, args.messages, journal, dir, machine.cores));
            // Whatever else the machine does adds to both: twice each, in turn, and the lesser counts.
            let [first, second] = ["first", "second"].map(|name| work.path().join(name));
            let (off, on) = (cost(None)?, cost(Some(first.as_path()))?);
            let (on_again, off_again) = (cost(Some(second.as_path()))?, cost(None)?);
            series.lane_off.push(off.lane_ns.min(off_again.lane_ns));
            series.lane_on.push(on.lane_ns.min(on_again.lane_ns));
            series.journal.push(on.journal_ns.min(on_again.journal_ns));
        }
    }
    let cores = machine.record.host.cores.len();
    Ok(section(args, pairs, &flow, &series, engine.err().as_deref(), cores))
}

/// Runs `look` on a thread of its own: it watches programs that have both cores, and its waiting for one of them says
/// nothing about who else was on the measuring role's.
fn apart<T: Send>(look: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    let gone = || Err(BenchError::Partner { role: "watcher".into(), what: "it panicked".into() });
    std::thread::scope(|scope| scope.spawn(look).join().unwrap_or_else(|_| gone()))
}

fn measure(flow: &Flow, args: &JournalArgs, work: &Path, cores: Cores, series: &mut Series) -> Result<()> {
    let (events, records) = (flow.events as f64 / 1e6, flow.records as f64 / 1e6);
    let recorded = work.join("journal");
    let write = records / disk::write(flow, &recorded)?;
    let bytes = disk::bytes_of(&recorded);
    let bare = records / disk::bare_write(bytes, &work.join("bare"))?;
    series.write.push(write);
    series.bare.push(bare);
    series.wanted.push(bare.min(WRITE_GOAL));
    series.bytes.push(bytes as f64 / flow.records as f64);
    series.read.push(records / disk::read(flow, &recorded)?);
    let replay = disk::replay(flow, &recorded, args.symbols)?;
    series.replay.push(records / replay.seconds);
    series.replay_events.push(events / replay.seconds);
    series.replay_growth.push(replay.growth_mib);
    let two = [cores.own, cores.partner];
    // The Parquet file has its encoder on a second thread.
    for (format, cores, rates) in
        [(Format::Dbn, &two[..1], &mut series.dbn), (Format::Parquet, &two[..], &mut series.parquet)]
    {
        let export = || {
            // Refused: then it stays on one core, and is slower.
            let _ = sys::allow(cores);
            disk::export(flow, &recorded, &work.join("export"), format)
        };
        let (job, given) = apart(export)?;
        rates.push(given as f64 / 1e6 / job.seconds);
        series.export_growth.push(job.growth_mib);
    }
    Ok(())
}

fn section(
    args: &JournalArgs,
    pairs: u32,
    flow: &Flow,
    series: &Series,
    no_engine: Option<&str>,
    cores: usize,
) -> Section {
    let JournalArgs { messages, symbols, .. } = args;
    let title = format!("{pairs} alternating pairs; generated day of {messages} messages, {symbols} symbols");
    let mut section = Section::new("journal", title);
    let row = |kind, name: &str, unit, values: &[f64]| AmountRow::new(kind, name, unit, values);
    section.amounts.extend([
        row(Kind::Floor, "as many bytes in one file, synced as often", "M records/s", &series.bare),
        row(Kind::Ours, "written as a journal, to its end and on disk", "M records/s", &series.write),
        row(Kind::Ours, "bytes on disk", "bytes/record", &series.bytes),
        row(Kind::Ours, "both rings read in their order", "M records/s", &series.read),
        row(Kind::Ours, "replayed into a lane: rings, board, directory", "M records/s", &series.replay),
        row(Kind::Ours, "the same", "M messages/s", &series.replay_events),
        row(Kind::Ours, "orders exported to DBN", "M records/s", &series.dbn),
        row(Kind::Ours, "orders exported to Parquet (zstd), two cores", "M records/s", &series.parquet),
        row(Kind::Floor, "the lane's time on a core, file played, not recorded", "ns/message", &series.lane_off),
        row(Kind::Ours, "the lane's time on a core, the same, recorded", "ns/message", &series.lane_on),
        row(Kind::Ours, "the journal's own time on a core", "ns/message", &series.journal),
    ]);
    let per_event = flow.records as f64 / flow.events as f64;
    section.notes.push(format!("{} records of {} messages: {per_event:.2} each", flow.records, flow.events));
    section.notes.push(
        "events of the goals are records; one core but for Parquet; files of std::fs; the engine writes by io_uring"
            .into(),
    );
    section.notes.push("time on a core: the lesser of two plays, on and off in turn".into());
    section.notes.push(format!("publish p99: NOT JUDGED: {ROLES} roles need a core each, {cores} are allowed here"));
    section.goals = goals(series, no_engine);
    section
}

fn goals(series: &Series, no_engine: Option<&str>) -> Vec<Goal> {
    let cost = "journal on: the lane's time on a core per message <= 1.05x without";
    vec![
        match no_engine {
            None => Goal::ratio(cost, Sense::AtMost, 1.05, &series.lane_on, &series.lane_off),
            Some(why) => Goal::unmeasured(cost, Sense::AtMost, 1.05, why),
        },
        Goal::ratio(
            "sustained write >= 5 M records/s, or the disk's own limit where that is lower",
            Sense::AtLeast,
            1.0,
            &series.write,
            &series.wanted,
        ),
        Goal::amount("replay at full speed, M records/s", Sense::AtLeast, 10.0, "M/s", &series.replay),
        Goal::amount("export to DBN, M records/s", Sense::AtLeast, 2.0, "M/s", &series.dbn),
        Goal::amount("export to Parquet, M records/s", Sense::AtLeast, 2.0, "M/s", &series.parquet),
        Goal::amount("replay: memory is flat", Sense::AtMost, 8.0, "MiB", &series.replay_growth),
        Goal::amount("export: memory is flat", Sense::AtMost, 8.0, "MiB", &series.export_growth),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_day_goes_all_the_way() {
        let folder = tempfile::tempdir().unwrap();
        let path = day::provide(folder.path(), 12_000, 100, 7).unwrap();
        let flow = Flow::of(&std::fs::read(path).unwrap(), 100).unwrap();
        assert_eq!(flow.events, 12_000);
        assert!(flow.records > 12_000 && flow.instruments.len() == 100, "{} {}", flow.records, flow.instruments.len());
        let args = JournalArgs { messages: 12_000, symbols: 100, ..JournalArgs::default() };
        let mut series = Series::default();
        measure(&flow, &args, folder.path(), Cores { own: 0, partner: 0 }, &mut series).unwrap();
        assert!([&series.write, &series.read, &series.replay, &series.dbn].iter().all(|rates| rates[0] > 0.0));
    }
}
