//! `bench wire`: from a socket to a reader in shared memory, through the real engine.
//!
//! A closed loop of two roles. The sender is a bare SoupBinTCP server: it sends one sequenced message with one system
//! call, spins on the orders ring until the record of that message is there, and sends the next. The other role is the
//! engine, with a spinning reactor on the other core. What is timed is everything between: kernel, receive, session,
//! decode, book, publishing, and the cache line's way back.

pub mod bare_loop;
pub mod engine;
pub mod sender;
pub mod stream;

use std::path::{Path, PathBuf};

use clap::Args;

use self::engine::{Engine, Feed, LaneSpec};
use self::sender::Sender;
use self::stream::Stream;
use crate::cli::{at_least, progress};
use crate::machine::Machine;
use crate::report::{AmountRow, Kind, LatencySeries, Section};
use crate::stats::Latency;
use crate::verdict::{Goal, Sense};
use crate::{Result, floor, ring};

/// Pairs unless told otherwise.
pub const PAIRS: u32 = 9;

/// Settings of `bench wire`.
#[derive(Debug, Clone, Args)]
pub struct WireArgs {
    /// Messages of each run, one at a time.
    #[arg(long, default_value_t = WireArgs::default().messages)]
    messages: u64,
    /// The engine's program [default: ticklane-engine beside this program].
    #[arg(long)]
    engine: Option<PathBuf>,
    /// Only the bare loop within this process, without the engine.
    #[arg(long)]
    self_test: bool,
}

impl Default for WireArgs {
    fn default() -> Self {
        Self { messages: 50_000, engine: None, self_test: false }
    }
}

/// Round trips of the ring's part of the floor, in messages of the wire.
const RING_ROUNDS_PER_MESSAGE: u64 = 4;

struct Series {
    echo: LatencySeries,
    ring: LatencySeries,
    engine: LatencySeries,
    bare_loop: LatencySeries,
    book: Vec<f64>,
    publish: Vec<f64>,
    /// Echo, ring and book of each pair, summed.
    sum: Vec<f64>,
}

/// Measures everything and states the goal.
///
/// # Errors
/// When a role cannot be started or ends early.
pub fn run(args: &WireArgs, pairs: u32, machine: &Machine, dir: &Path) -> Result<Section> {
    at_least("--messages", args.messages, 100, "at least 100")?;
    let engine = if args.self_test { Err("--self-test".into()) } else { engine::find(args.engine.as_deref()) };
    let mut series = Series {
        echo: LatencySeries::new(Kind::Floor, "loopback TCP, busy polling, 40 bytes, RTT/2"),
        ring: LatencySeries::new(Kind::Floor, "ring hand-over, one way"),
        engine: LatencySeries::new(Kind::Ours, "socket to reader, the engine"),
        bare_loop: LatencySeries::new(Kind::Floor, "socket to reader, bare loop in a thread"),
        book: vec![],
        publish: vec![],
        sum: vec![],
    };
    for pair in 0..pairs {
        progress("wire", pair, pairs);
        measure_floor(args, machine, dir, &mut series)?;
        series.bare_loop.push(&through_bare_loop(args.messages, machine, dir, 0)?);
        if let Ok(program) = &engine {
            series.engine.push(&through_engine(program, args.messages, machine, dir, 0)?);
        }
    }
    Ok(section(args, pairs, &series, engine.err().as_deref()))
}

fn measure_floor(args: &WireArgs, machine: &Machine, dir: &Path, series: &mut Series) -> Result<()> {
    let (cores, rate) = (machine.cores, machine.ticks_per_ns);
    let echo = floor::tcp_echo(cores, args.messages, rate)?;
    let ring = ring::ours::hand_over(dir, cores, args.messages * RING_ROUNDS_PER_MESSAGE, rate)?;
    let book = stream::book_ns(args.messages, rate)?;
    series.sum.push(echo.quantiles().p50 + ring.quantiles().p50 + book);
    series.echo.push(&echo);
    series.ring.push(&ring);
    series.book.push(book);
    series.publish.push(stream::publish_ns(args.messages, rate)?);
    Ok(())
}

/// The closed loop through the engine, with a silence of `pause_ns` before each message.
///
/// # Errors
/// When the engine cannot be started, ends, or does not publish.
pub(crate) fn through_engine(
    program: &Path,
    messages: u64,
    machine: &Machine,
    dir: &Path,
    pause_ns: u64,
) -> Result<Latency> {
    let folder = engine::Folder::make(dir)?;
    let sender = Sender::listen()?;
    let (cores, feed) = (machine.cores, Feed::Soup(sender.port()?));
    let lane = LaneSpec { name: engine::LANE, core: Some(cores.partner), feed, venue: "XNAS" };
    let mut engine = Engine::start(program, &folder, &[lane], &[cores.own, cores.partner])?;
    let mut connection = sender.accept(|| engine.is_gone())?;
    let latency = connection.closed_loop(folder.runtime(), Stream::new(messages), machine.ticks_per_ns, pause_ns);
    drop(connection);
    engine.explain(latency)
}

/// The same through the bare loop.
///
/// # Errors
/// As [`through_engine`].
pub(crate) fn through_bare_loop(messages: u64, machine: &Machine, dir: &Path, pause_ns: u64) -> Result<Latency> {
    let folder = engine::Folder::make(dir)?;
    let sender = Sender::listen()?;
    let pipeline = bare_loop::start(folder.runtime(), sender.port()?, machine.cores)?;
    let mut connection = sender.accept(|| pipeline.is_finished())?;
    let latency = connection.closed_loop(folder.runtime(), Stream::new(messages), machine.ticks_per_ns, pause_ns);
    // The pipeline ends with its connection.
    drop(connection);
    bare_loop::join(pipeline)?;
    latency
}

fn section(args: &WireArgs, pairs: u32, series: &Series, no_engine: Option<&str>) -> Section {
    let title = format!("{pairs} alternating pairs; {} messages each, one at a time", args.messages);
    let mut section = Section::new("wire", title);
    let latencies = [&series.echo, &series.ring, &series.bare_loop, &series.engine];
    section.latencies.extend(latencies.into_iter().filter_map(LatencySeries::row));
    let row = |kind, name: &str, unit, values: &[f64]| AmountRow::new(kind, name, unit, values);
    section.amounts.extend([
        row(Kind::Floor, "decode + book of the same messages, one at a time", "ns/msg", &series.book),
        row(Kind::Ours, "decode + book + rings and board, one at a time", "ns/msg", &series.publish),
        row(Kind::Floor, "sum: loopback RTT/2 p50 + ring hand-over p50 + book", "ns", &series.sum),
    ]);
    let bare = crate::stats::ratios(series.bare_loop.p50s(), &series.sum);
    section.amounts.push(row(Kind::Floor, "bare loop p50 / sum", "x", &bare));
    section.notes.push("sender and reader are one role, the engine's reactor the other; both spin".into());
    section
        .notes
        .push("bare loop: the same session, book and ring in a plain thread, without reactor and stamps".into());
    let promise = "socket to reader p50 <= 1.25x (bare busy-poll loopback RTT/2 + ring hand-over + book)";
    section.goals.push(match no_engine {
        None => Goal::ratio(promise, Sense::AtMost, 1.25, series.engine.p50s(), &series.sum),
        Some(why) => Goal::unmeasured(promise, Sense::AtMost, 1.25, why),
    });
    section
}
