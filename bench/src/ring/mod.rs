//! `bench ring`: how fast an event gets from one process to another, how many, and what it costs the writer.

pub mod ours;
pub mod peers;

use std::path::Path;

use clap::Args;

use crate::cli::{at_least, progress};
use crate::floor::Lines;
use crate::machine::Machine;
use crate::report::{AmountRow, Kind, LatencySeries, Section};
use crate::verdict::{Goal, Sense};
use crate::{Result, floor};

/// Pairs unless told otherwise.
pub const PAIRS: u32 = 9;

/// Settings of `bench ring`.
#[derive(Debug, Clone, Args)]
pub struct RingArgs {
    /// Round trips of each hand-over run.
    #[arg(long, default_value_t = RingArgs::default().rounds)]
    rounds: u64,
    /// Messages of each throughput and cost run.
    #[arg(long, default_value_t = RingArgs::default().messages)]
    messages: u64,
}

impl Default for RingArgs {
    fn default() -> Self {
        Self { rounds: 300_000, messages: 20_000_000 }
    }
}

/// The two ring sizes in use here, in slots of 64 bytes: 1 MiB and the default 64 MiB.
const SMALL_SLOTS: usize = 1 << 14;
const LARGE_SLOTS: usize = 1 << 20;

/// Everything that is measured, one value or histogram per pair.
struct Series {
    floor: LatencySeries,
    floor_two: LatencySeries,
    hand_over: LatencySeries,
    hand_over_rtrb: LatencySeries,
    hand_over_iceoryx2: LatencySeries,
    rate: Vec<f64>,
    lost_percent: Vec<f64>,
    rate_rtrb: Vec<f64>,
    rate_rtrb_chunks: Vec<f64>,
    alone_small: Vec<f64>,
    alone_large: Vec<f64>,
    stopped_small: Vec<f64>,
    stopped_large: Vec<f64>,
}

/// Measures everything and states the goals.
///
/// # Errors
/// When a role cannot be started or a segment not be made.
pub fn run(args: &RingArgs, pairs: u32, machine: &Machine, dir: &Path) -> Result<Section> {
    at_least("--rounds", args.rounds, 100, "at least 100")?;
    at_least("--messages", args.messages, 1000, "at least 1000")?;
    let mut series = Series {
        floor: LatencySeries::new(Kind::Floor, "bare cache line, one that both write"),
        floor_two: LatencySeries::new(Kind::Floor, "bare cache lines, one writer each"),
        hand_over: LatencySeries::new(Kind::Ours, "ring of 1 MiB, 64-byte event, 2 processes"),
        hand_over_rtrb: LatencySeries::new(Kind::Peer, "rtrb 0.4.1, 64 bytes, 2 threads"),
        hand_over_iceoryx2: LatencySeries::new(Kind::Peer, "iceoryx2 0.10.0, 64 bytes, 2 processes"),
        rate: vec![],
        lost_percent: vec![],
        rate_rtrb: vec![],
        rate_rtrb_chunks: vec![],
        alone_small: vec![],
        alone_large: vec![],
        stopped_small: vec![],
        stopped_large: vec![],
    };
    for pair in 0..pairs {
        progress("ring", pair, pairs);
        hand_over(args, machine, dir, &mut series)?;
        throughput(args, machine, dir, &mut series)?;
        writer_cost(args, machine, dir, &mut series)?;
    }
    Ok(section(args, pairs, &series))
}

fn hand_over(args: &RingArgs, machine: &Machine, dir: &Path, series: &mut Series) -> Result<()> {
    let (cores, rate, rounds) = (machine.cores, machine.ticks_per_ns, args.rounds);
    series.floor.push(&floor::cache_line(dir, Lines::One, cores, rounds, rate)?);
    series.floor_two.push(&floor::cache_line(dir, Lines::Two, cores, rounds, rate)?);
    series.hand_over.push(&ours::hand_over(dir, cores, rounds, rate)?);
    if let Some(latency) = peers::hand_over_rtrb(cores, rounds, rate)? {
        series.hand_over_rtrb.push(&latency);
    }
    if let Some(latency) = peers::hand_over_iceoryx2(dir, cores, rounds, rate)? {
        series.hand_over_iceoryx2.push(&latency);
    }
    Ok(())
}

fn throughput(args: &RingArgs, machine: &Machine, dir: &Path, series: &mut Series) -> Result<()> {
    let (cores, rate, messages) = (machine.cores, machine.ticks_per_ns, args.messages);
    let ours = ours::throughput(dir, cores, SMALL_SLOTS, messages, rate)?;
    series.rate.push(ours.million_per_s());
    series.lost_percent.push(ours.lost_percent());
    series.rate_rtrb.extend(peers::throughput_rtrb(cores, SMALL_SLOTS, messages, rate)?);
    series.rate_rtrb_chunks.extend(peers::throughput_rtrb_chunks(cores, SMALL_SLOTS, messages, rate)?);
    Ok(())
}

fn writer_cost(args: &RingArgs, machine: &Machine, dir: &Path, series: &mut Series) -> Result<()> {
    let (cores, rate, messages) = (machine.cores, machine.ticks_per_ns, args.messages);
    let alone = |slots| ours::writer_alone_ns(dir, slots, messages, rate);
    let stopped = |slots| ours::writer_with_stopped_reader_ns(dir, cores, slots, messages, rate);
    series.alone_small.push(alone(SMALL_SLOTS)?);
    series.stopped_small.push(stopped(SMALL_SLOTS)?);
    series.alone_large.push(alone(LARGE_SLOTS)?);
    series.stopped_large.push(stopped(LARGE_SLOTS)?);
    Ok(())
}

fn section(args: &RingArgs, pairs: u32, series: &Series) -> Section {
    let RingArgs { rounds, messages } = args;
    let title = format!("{pairs} alternating pairs; {rounds} round trips; {messages} messages");
    let mut section = Section::new("ring", title);
    let latencies =
        [&series.floor, &series.floor_two, &series.hand_over, &series.hand_over_rtrb, &series.hand_over_iceoryx2];
    section.latencies.extend(latencies.into_iter().filter_map(LatencySeries::row));
    let ours = |name: &str, unit, values: &[f64]| AmountRow::new(Kind::Ours, name, unit, values);
    let peer = |name: &str, values: &[f64]| AmountRow::new(Kind::Peer, name, "M msg/s", values);
    section.amounts.extend([
        ours("throughput received, writer at full speed, ring of 1 MiB", "M msg/s", &series.rate),
        ours("  of it lost to laps, counted exactly", "%", &series.lost_percent),
        peer("throughput rtrb, push and pop, 1 MiB", &series.rate_rtrb),
        peer("throughput rtrb, chunks of 32, 1 MiB", &series.rate_rtrb_chunks),
        ours("writer, no reader, 1 MiB, commit per event", "ns/event", &series.alone_small),
        ours("writer, stopped reader, 1 MiB", "ns/event", &series.stopped_small),
        ours("writer, no reader, 64 MiB", "ns/event", &series.alone_large),
        ours("writer, stopped reader, 64 MiB", "ns/event", &series.stopped_large),
    ]);
    section.notes.extend([
        "hand-over: closed loop, half of a round trip; both sides spin".into(),
        format!("writer: push and commit per event, the head once per burst of {}", ours::BURST),
        "semantics: ours broadcasts and never waits (a slow reader loses, exactly counted); rtrb holds its writer back"
            .into(),
    ]);
    section.goals = goals(series);
    section
}

fn goals(series: &Series) -> Vec<Goal> {
    let hand_over = series.hand_over.p50s();
    let against = |promise, sense, bound, ours: &[f64], theirs: &[f64], peer| match theirs {
        [] => Goal::unmeasured(promise, sense, bound, &format!("built without the feature peers ({peer})")),
        _ => Goal::ratio(promise, sense, bound, ours, theirs),
    };
    let iceoryx2 = series.hand_over_iceoryx2.p50s();
    let cost = "writer's cost <= 1.05x with a stopped reader";
    vec![
        Goal::ratio(
            "ring hand-over p50 <= 1.10x the bare cache line (one line, both sides write it)",
            Sense::AtMost,
            1.10,
            hand_over,
            series.floor.p50s(),
        ),
        Goal::ratio(
            "ring hand-over p50 <= 1.10x the bare cache line (two lines, one writer each, as a broadcast ring needs)",
            Sense::AtMost,
            1.10,
            hand_over,
            series.floor_two.p50s(),
        ),
        against("ring hand-over p50 <= 0.18x iceoryx2", Sense::AtMost, 0.18, hand_over, iceoryx2, "iceoryx2"),
        against("throughput >= 2x rtrb", Sense::AtLeast, 2.0, &series.rate, &series.rate_rtrb, "rtrb"),
        Goal::ratio(&format!("{cost}, 1 MiB"), Sense::AtMost, 1.05, &series.stopped_small, &series.alone_small),
        Goal::ratio(&format!("{cost}, 64 MiB"), Sense::AtMost, 1.05, &series.stopped_large, &series.alone_large),
    ]
}
