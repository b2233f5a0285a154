//! One run: a fresh lane, a fresh server, its subscribers, a stretch of time, and what came of it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::Relaxed;

use shm_abi::sys::realtime_ns;

use super::gateway::Gateway;
use super::load::{Counts, Load};
use super::peers::Peer;
use super::process::{anonymous_kib, cpu_seconds};
use super::runtime_dir;
use super::scenario::{Scenario, Server};
use super::source::Source;
use super::subscriber::{Pace, Speech};
use crate::machine::Machine;
use crate::partner::{Page, Partner, Role, Word};
use crate::stats::Latency;
use crate::{BenchError, Result, io_error};

/// Part of the counted time that passes before it, uncounted.
const WARM_UP: f64 = 0.25;
/// From the last subscriber's snapshot to the first update.
const PAUSE_NS: u64 = 20_000_000;
/// After the last update: longest wait for everybody to have it, and longest silence in that time.
const DRAIN_LIMIT_NS: u64 = 5_000_000_000;
const SILENCE_LIMIT_NS: u64 = 1_000_000_000;
/// Subscribers that are open when memory is looked at first: one in so many.
const MEMORY_SHARE: u32 = 10;
/// Fewer subscribers than this say nothing about memory.
const MEMORY_LEAST: u32 = 100;

/// What all runs have in common.
#[derive(Debug, Clone, Copy)]
pub struct Setting<'a> {
    /// The machine.
    pub machine: &'a Machine,
    /// Folder of the bench's run.
    pub dir: &'a Path,
    /// The gateway's program.
    pub gateway: Option<&'a Path>,
    /// Counted time, seconds.
    pub seconds: f64,
}

/// What came of a run.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// From publication to receipt, prompt readers, ns.
    pub age: Latency,
    /// The same at a slow reader.
    pub slow_age: Latency,
    /// Updates and events.
    pub counts: Counts,
    /// Updates received a second.
    pub per_second: f64,
    /// Server's time for each update received, us: processor time, or for the floor the time in its sends.
    pub cpu_us: f64,
    /// Server's share of a core, percent.
    pub cpu_percent: f64,
    /// Private memory of the server for each idle subscriber, KiB.
    pub memory_kib: Option<f64>,
    /// By how much the server's private memory grew while it published, KiB.
    pub growth_kib: f64,
    /// Bytes that wait at the server in the end, by its own word.
    pub queued_bytes: Option<f64>,
    /// How much later than due the source published, ns.
    pub lateness: Latency,
}

/// The server's process.
#[derive(Debug)]
enum Process {
    Gateway(Gateway),
    Partner(Partner, Page),
}

impl Process {
    fn start(server: Server, setting: &Setting<'_>, folder: &Path) -> Result<Process> {
        let cores = setting.machine.cores;
        let role = match server {
            Server::Ours(wait) => {
                let program = setting.gateway.expect("the gateway is only measured where there is one");
                return Ok(Process::Gateway(Gateway::start(program, folder, &runtime_dir(folder), wait, cores)?));
            }
            Server::Floor => Role::FanoutFloor,
            Server::Peer(Peer::Tungstenite) => Role::FanoutTungstenite,
            Server::Peer(Peer::Axum) => Role::FanoutAxum,
        };
        let page = Page::create(folder)?;
        let partner = Partner::start(&page, role, folder, cores.partner, 0)?;
        Ok(Process::Partner(partner, page))
    }

    fn port(&self) -> u16 {
        match self {
            Process::Gateway(gateway) => gateway.port(),
            Process::Partner(_, page) => page.word(Word::Port).load(Relaxed) as u16,
        }
    }

    fn pid(&self) -> u32 {
        match self {
            Process::Gateway(gateway) => gateway.pid(),
            Process::Partner(partner, _) => partner.pid(),
        }
    }

    fn speech(&self) -> Speech {
        match self {
            Process::Gateway(_) => Speech::Native,
            Process::Partner(..) => Speech::Query,
        }
    }

    /// Seconds of work so far. The floor spins, so its processor time says nothing; it counts its sends.
    fn work_seconds(&self, server: Server, ticks_per_ns: f64) -> f64 {
        match (self, server) {
            (Process::Partner(_, page), Server::Floor) => {
                page.word(Word::Ticks).load(Relaxed) as f64 / ticks_per_ns / 1e9
            }
            _ => cpu_seconds(self.pid()),
        }
    }

    fn queued_bytes(&self) -> Option<f64> {
        match self {
            Process::Gateway(gateway) => gateway.queued_bytes(),
            Process::Partner(..) => None,
        }
    }

    fn explain<T>(&mut self, outcome: Result<T>) -> Result<T> {
        match self {
            Process::Gateway(gateway) => gateway.explain(outcome),
            Process::Partner(..) => outcome,
        }
    }
}

/// A folder of the run's own, in which the lane has another that nobody else may write.
fn make_folder(dir: &Path) -> Result<(tempfile::TempDir, PathBuf)> {
    let folder = tempfile::tempdir_in(dir).map_err(io_error("make a folder"))?;
    let runtime = runtime_dir(folder.path());
    fs::create_dir(&runtime).map_err(io_error("make the lane's folder"))?;
    fs::set_permissions(&runtime, fs::Permissions::from_mode(0o700)).map_err(io_error("close the lane's folder"))?;
    Ok((folder, runtime))
}

/// Measures one server in one scenario, with one subscriber more when there is a `laggard`.
///
/// # Errors
/// When the lane or the server cannot be had, or the server does not serve.
pub fn once(setting: &Setting<'_>, scenario: &Scenario, server: Server, laggard: Option<Pace>) -> Result<Outcome> {
    let (folder, runtime) = make_folder(setting.dir)?;
    let mut source = Source::create(&runtime, scenario.topics)?;
    let mut process = Process::start(server, setting, folder.path())?;
    let outcome = measure(setting, scenario, server, laggard, &process, &mut source);
    process.explain(outcome).map_err(|error| in_run(scenario, server, error))
}

fn in_run(scenario: &Scenario, server: Server, error: BenchError) -> BenchError {
    BenchError::Partner { role: format!("fanout {}, {}", scenario.label(), server.label()), what: error.to_string() }
}

fn measure(
    setting: &Setting<'_>,
    scenario: &Scenario,
    server: Server,
    laggard: Option<Pace>,
    process: &Process,
    source: &mut Source,
) -> Result<Outcome> {
    let mut load = Load::new(process.port(), process.speech())?;
    let memory_kib = open_all(scenario, laggard, process, &mut load, source)?;
    let memory_before = anonymous_kib(process.pid());
    let work = || process.work_seconds(server, setting.machine.ticks_per_ns);

    let counted_ns = (setting.seconds * 1e9) as u64;
    let start = realtime_ns() + PAUSE_NS;
    let from = start + (counted_ns as f64 * WARM_UP) as u64;
    source.start(start, scenario.per_second, from);
    load.count_from(from);
    while realtime_ns() < from {
        load.turn(source)?;
    }
    let (work_before, began) = (work(), realtime_ns());
    while realtime_ns() < from + counted_ns {
        load.turn(source)?;
    }
    source.stop();
    let last = drain(&mut load, source)?;
    let (work_after, now) = (work(), realtime_ns());

    let worked = work_after - work_before;
    let counts = load.counts(source);
    let (age, slow_age) = load.ages();
    Ok(Outcome {
        age: age.clone(),
        slow_age: slow_age.clone(),
        per_second: counts.updates as f64 / ((last - began).max(counted_ns) as f64 / 1e9),
        cpu_us: worked * 1e6 / counts.updates.max(1) as f64,
        cpu_percent: worked * 1e11 / (now - began).max(1) as f64,
        memory_kib,
        growth_kib: anonymous_kib(process.pid()) - memory_before,
        queued_bytes: process.queued_bytes(),
        lateness: source.lateness().clone(),
        counts,
    })
}

/// Opens everybody, and says what an idle subscriber costs in memory.
fn open_all(
    scenario: &Scenario,
    laggard: Option<Pace>,
    process: &Process,
    load: &mut Load,
    source: &mut Source,
) -> Result<Option<f64>> {
    let few = scenario.subscribers / MEMORY_SHARE;
    let mut memory_few = 0.0;
    for index in 0..scenario.subscribers {
        if index == few {
            memory_few = anonymous_kib(process.pid());
        }
        load.open(scenario.topics_of(index), Pace::Prompt, source)?;
    }
    let more = anonymous_kib(process.pid()) - memory_few;
    if let Some(pace) = laggard {
        load.open(scenario.topics_of(0), pace, source)?;
    }
    let rest = scenario.subscribers - few;
    Ok((scenario.subscribers >= MEMORY_LEAST).then(|| more / f64::from(rest)))
}

/// Reads until every prompt subscriber has the newest event of each of its topics, or that does not come. Returns when
/// the last bytes came, ns since the UNIX epoch.
fn drain(load: &mut Load, source: &mut Source) -> Result<u64> {
    let began = realtime_ns();
    let mut last = began;
    loop {
        let got = load.turn(source)?;
        let now = realtime_ns();
        if got > 0 {
            last = now;
        } else if load.without_last(source) == 0 || now - last > SILENCE_LIMIT_NS {
            return Ok(last);
        }
        if now - began > DRAIN_LIMIT_NS {
            return Ok(last);
        }
    }
}
