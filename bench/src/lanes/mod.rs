//! `bench lanes`: whether a flood of one lane shows in the latency of another.
//!
//! One engine with two lanes. The first gets one datagram at a time from a sender that reads its record back, as in
//! `bench wake`; the second gets nothing, and then as many datagrams as a core can send. Four roles that never sleep: the
//! sender and reader, the flooder, and two reactors. Where they do not have a core each, the scheduler would be measured.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::sync_channel;
use std::thread::JoinHandle;
use std::time::Duration;

use clap::Args;
use shm_abi::segment::Segment;

use crate::cli::{at_least, progress};
use crate::machine::Machine;
use crate::report::{AmountRow, Kind, LatencySeries, Section};
use crate::udp::flood::Flood;
use crate::udp::received_by;
use crate::verdict::{Goal, Sense};
use crate::wake::datagrams::send_to;
use crate::wire::engine::{self, Engine, Feed, LANE, LaneSpec};
use crate::{BenchError, Result, sys};

/// Pairs unless told otherwise.
pub const PAIRS: u32 = 9;
/// The lane that is flooded.
const FLOODED: &str = "lane1";
/// Roles that never sleep.
const ROLES: usize = 4;
/// Longest wait for the flood to begin.
const START_LIMIT: Duration = Duration::from_secs(20);

/// Settings of `bench lanes`.
#[derive(Debug, Clone, Args)]
pub struct LanesArgs {
    /// Messages of each run through the first lane, one at a time.
    #[arg(long, default_value_t = LanesArgs::default().messages)]
    messages: u64,
    /// Silence before each of them, microseconds.
    #[arg(long, default_value_t = LanesArgs::default().silence_us)]
    silence_us: u64,
    /// The engine's program [default: ticklane-engine beside this program].
    #[arg(long)]
    engine: Option<PathBuf>,
    /// Runs where there are too few cores as well: the numbers mean nothing, and there is no verdict.
    #[arg(long)]
    share_cores: bool,
}

impl Default for LanesArgs {
    fn default() -> Self {
        Self { messages: 50_000, silence_us: 20, engine: None, share_cores: false }
    }
}

/// Where the four roles run; `None`: wherever there is room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Places {
    lane: Option<usize>,
    flooded: Option<usize>,
    flooder: Option<usize>,
}

/// The bench's own core is that of sender and reader, the partner's that of the first lane; two more are taken from the
/// rest. The error says why a verdict is impossible.
fn places(own: usize, partner: usize, allowed: &[usize]) -> std::result::Result<Places, String> {
    let mut others = allowed.iter().copied().filter(|core| *core != own && *core != partner);
    match (others.next(), others.next()) {
        (Some(flooded), Some(flooder)) => {
            Ok(Places { lane: Some(partner), flooded: Some(flooded), flooder: Some(flooder) })
        }
        _ => {
            Err(format!("NOT JUDGED: {ROLES} roles need a core each, {} are allowed here: {allowed:?}", allowed.len()))
        }
    }
}

/// Measures what can be measured here and states the goal.
///
/// # Errors
/// When a role cannot be started or ends early.
pub fn run(args: &LanesArgs, pairs: u32, machine: &Machine, dir: &Path) -> Result<Section> {
    at_least("--messages", args.messages, 100, "at least 100")?;
    let allowed = &machine.record.host.cores;
    let found = places(machine.cores.own, machine.cores.partner, allowed);
    let shared = Places { lane: None, flooded: None, flooder: None };
    let places = found.clone().ok().or(args.share_cores.then_some(shared));
    let engine = engine::find(args.engine.as_deref());
    let mut series = Series {
        quiet: LatencySeries::new(Kind::Floor, "send to record, the other lane silent"),
        beside: LatencySeries::new(Kind::Ours, "send to record, the other lane flooded"),
        quiet_p99: vec![],
        beside_p99: vec![],
        flood: vec![],
    };
    if let (Some(places), Ok(program)) = (places, &engine) {
        for pair in 0..pairs {
            progress("lanes", pair, pairs);
            measure(program, args, places, allowed, machine, dir, &mut series)?;
        }
    }
    let no_verdict = found.err().or(engine.err());
    Ok(section(args, pairs, &series, no_verdict.as_deref()))
}

struct Series {
    quiet: LatencySeries,
    beside: LatencySeries,
    quiet_p99: Vec<f64>,
    beside_p99: Vec<f64>,
    /// Millions of datagrams a second that the flooded lane took.
    flood: Vec<f64>,
}

fn measure(
    program: &Path,
    args: &LanesArgs,
    places: Places,
    allowed: &[usize],
    machine: &Machine,
    dir: &Path,
    series: &mut Series,
) -> Result<()> {
    let run = |flooded: bool| {
        let folder = engine::Folder::make(dir)?;
        let (port, flood_port) = (engine::free_datagram_port()?, engine::free_datagram_port()?);
        let lanes = [
            LaneSpec { name: LANE, core: places.lane, feed: Feed::Mold(port), venue: "XNAS" },
            LaneSpec { name: FLOODED, core: places.flooded, feed: Feed::Mold(flood_port), venue: "XBOS" },
        ];
        let mut engine = Engine::start(program, &folder, &lanes, allowed)?;
        engine.listening(&folder, LANE)?;
        let segment = engine.listening(&folder, FLOODED)?;
        let flooder =
            flooded.then(|| Flooder::start(flood_port, segment, places.flooder, machine.ticks_per_ns)).transpose()?;
        let silence = args.silence_us * 1000;
        let latency = send_to(port, folder.runtime(), args.messages, machine.ticks_per_ns, silence);
        let latency = engine.explain(latency)?;
        let flood = flooder.map(Flooder::finish).transpose()?;
        Ok::<_, BenchError>((latency, flood))
    };
    let (quiet, _) = run(false)?;
    let (beside, flood) = run(true)?;
    series.quiet_p99.push(quiet.quantiles().p99);
    series.beside_p99.push(beside.quantiles().p99);
    series.quiet.push(&quiet);
    series.beside.push(&beside);
    series.flood.extend(flood);
    Ok(())
}

/// A thread that floods a lane until it is told to stop.
struct Flooder {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<f64>>>,
}

impl Flooder {
    /// Returns when the flood is under way.
    fn start(port: u16, segment: Segment, core: Option<usize>, ticks_per_ns: f64) -> Result<Flooder> {
        let (_, feed) = segment.feed(0).expect("the feed of a lane that listens");
        let mut flood = Flood::set_up(port, || received_by(&feed))?;
        let first = received_by(&feed);
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let (ready, started) = sync_channel(1);
        let thread = std::thread::spawn(move || {
            // The pinning of the thread that starts this one was inherited.
            let cores = core.map_or_else(|| sys::allowed_cores().unwrap_or_default(), |core| vec![core]);
            let _ = cores.first().map(|core| sys::pin(*core));
            let began = sys::ticks();
            while received_by(&feed) == first && !stopped.load(Relaxed) {
                flood.send_batch()?;
            }
            // The other side is gone only if it has given up.
            let _ = ready.send(());
            while !stopped.load(Relaxed) {
                flood.send_batch()?;
            }
            let ticks = (sys::ticks() - began).max(1) as f64;
            Ok((received_by(&feed) - first) as f64 / ticks * ticks_per_ns * 1e3)
        });
        let flooder = Flooder { stop, thread: Some(thread) };
        match started.recv_timeout(START_LIMIT) {
            Ok(()) => Ok(flooder),
            Err(_) => {
                let what = format!("no flood within {} s", START_LIMIT.as_secs());
                Err(BenchError::Partner { role: "flooder".into(), what })
            }
        }
    }

    fn finish(mut self) -> Result<f64> {
        self.stop.store(true, Relaxed);
        let thread = self.thread.take().expect("the thread is joined once");
        let panicked = |_| BenchError::Partner { role: "flooder".into(), what: "it panicked".into() };
        thread.join().map_err(panicked)?
    }
}

impl Drop for Flooder {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            // Whoever drops it has no use for what it says.
            let _ = thread.join();
        }
    }
}

fn section(args: &LanesArgs, pairs: u32, series: &Series, no_verdict: Option<&str>) -> Section {
    let LanesArgs { messages, silence_us, .. } = args;
    let title = format!("{pairs} alternating pairs; {messages} messages each, one at a time after {silence_us} us");
    let mut section = Section::new("lanes", title);
    section.latencies.extend([&series.quiet, &series.beside].into_iter().filter_map(LatencySeries::row));
    if !series.flood.is_empty() {
        section.amounts.extend([
            AmountRow::new(Kind::Floor, "p99, the other lane silent", "ns", &series.quiet_p99),
            AmountRow::new(Kind::Ours, "p99, the other lane flooded", "ns", &series.beside_p99),
            AmountRow::new(Kind::Ours, "flood, received by the other lane", "M/s", &series.flood),
        ]);
    }
    section.notes.push("one engine, two lanes; the flood is that of bench udp, without regard for the receiver".into());
    let promise = "a lane's send to record p99 <= 1.05x while another lane is flooded";
    section.goals.push(match no_verdict {
        None => Goal::ratio(promise, Sense::AtMost, 1.05, &series.beside_p99, &series.quiet_p99),
        Some(why) => Goal::unmeasured(promise, Sense::AtMost, 1.05, why),
    });
    section
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_role_gets_a_core_or_there_is_no_verdict() {
        let four = places(1, 0, &[0, 1, 2, 3, 4]).unwrap();
        assert_eq!(four, Places { lane: Some(0), flooded: Some(2), flooder: Some(3) });
        for allowed in [&[0, 1][..], &[0, 1, 2]] {
            let why = places(1, 0, allowed).unwrap_err();
            assert!(why.starts_with("NOT JUDGED: 4 roles"), "{why}");
        }
    }
}
