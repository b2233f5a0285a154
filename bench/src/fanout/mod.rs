//! `bench fanout`: from an event in shared memory to every WebSocket that wants it.
//!
//! Two roles. This one is the engine's place and the subscribers': one loop that publishes at a given rate and reads
//! thousands of connections. The other role is a server on the other core, a process of its own each time: the real
//! gateway in both of its ways to wait, a bare loop of sends (the floor), or a crate (a peer). All read the same
//! segment and send the same JSON. Nothing is published before the last subscriber has its snapshot.

pub mod bare;
pub mod feed;
pub mod gateway;
pub mod idle;
pub mod load;
pub mod peers;
pub mod process;
pub mod run;
pub mod scenario;
pub mod source;
pub mod subscriber;
pub mod summary;
pub mod wire;

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use self::run::Setting;
use self::scenario::{Against, Name, Scenario, Server};
use self::summary::Summary;
use crate::cli::{at_least, progress};
use crate::machine::Machine;
use crate::report::Section;
use crate::{BenchError, Result, floor, io_error};

/// Pairs unless told otherwise.
pub const PAIRS: u32 = 5;
/// Round trips over loopback of each pair's floor.
const ECHO_ROUNDS: u64 = 20_000;
/// Rare round trips, and wake-ups, of each pair's floor.
const IDLE_ROUNDS: u32 = 100;
/// File descriptors of either role besides its connections.
const SPARE_FILES: u64 = 64;

/// Settings of `bench fanout`.
#[derive(Debug, Clone, Args)]
pub struct FanoutArgs {
    /// Counted time of each run; a quarter of it passes before.
    #[arg(long, default_value_t = FanoutArgs::default().seconds)]
    seconds: f64,
    /// Only these scenarios (may be repeated) [default: all].
    #[arg(long, value_enum, value_name = "NAME")]
    scenario: Vec<Name>,
    /// Hold the gateway against these only (may be repeated) [default: all].
    #[arg(long, value_enum, value_name = "NAME")]
    against: Vec<Against>,
    /// The gateway's program [default: ticklane-gateway beside this program].
    #[arg(long)]
    gateway: Option<PathBuf>,
    /// At most so many subscribers, whatever the scenario says: for a look. There is no verdict then.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    subscribers: Option<u32>,
}

impl Default for FanoutArgs {
    fn default() -> Self {
        Self { seconds: 2.0, scenario: vec![], against: vec![], gateway: None, subscribers: None }
    }
}

impl FanoutArgs {
    fn scenarios(&self) -> Vec<Scenario> {
        let names = if self.scenario.is_empty() { Name::value_variants() } else { &self.scenario };
        names.iter().map(|name| Scenario::of(*name, self.subscribers.unwrap_or(u32::MAX))).collect()
    }

    /// Whether a server is wanted and can be had.
    fn wants(&self, server: Server, gateway: bool) -> bool {
        let asked = self.against.is_empty() || self.against.iter().any(|against| against.server() == server);
        match server {
            Server::Ours(_) => gateway,
            Server::Floor => asked,
            Server::Peer(_) => asked && peers::PRESENT,
        }
    }
}

/// Where the lane stands in a run's folder.
pub fn runtime_dir(folder: &Path) -> PathBuf {
    folder.join("run")
}

/// Measures everything and states the goals.
///
/// # Errors
/// When a role cannot be started or does not serve.
pub fn run(args: &FanoutArgs, pairs: u32, machine: &Machine, dir: &Path) -> Result<Section> {
    at_least("--seconds, in ms", (args.seconds * 1000.0) as u64, 100, "at least 100 ms")?;
    let scenarios = args.scenarios();
    let most = scenarios.iter().map(|scenario| scenario.subscribers).max().unwrap_or(0);
    raise_file_limit(u64::from(most) + SPARE_FILES)?;
    let gateway = gateway::find(args.gateway.as_deref());
    let setting = Setting { machine, dir, gateway: gateway.as_deref().ok(), seconds: args.seconds };
    let mut summary = Summary::default();
    for pair in 0..pairs {
        for scenario in &scenarios {
            progress(&format!("fanout {}", scenario.label()), pair, pairs);
            measure(args, &setting, scenario, &mut summary)?;
        }
    }
    let why = match (&gateway, args.subscribers) {
        (Err(why), _) => Some(why.clone()),
        (Ok(_), Some(cap)) => Some(format!("--subscribers {cap}")),
        (Ok(_), None) => None,
    };
    let title = format!("{pairs} alternating pairs; {} s each, one server core", args.seconds);
    Ok(summary.section(title, &scenarios, why.as_deref()))
}

/// One scenario of one pair.
fn measure(args: &FanoutArgs, setting: &Setting<'_>, scenario: &Scenario, summary: &mut Summary) -> Result<()> {
    let wanted = |server: &&Server| args.wants(**server, setting.gateway.is_some());
    if scenario.name == Name::Idle {
        let (cores, rate) = (setting.machine.cores, setting.machine.ticks_per_ns);
        let busy = floor::tcp_echo(cores, ECHO_ROUNDS, rate)?;
        let rare = idle::round_trip(cores, IDLE_ROUNDS, rate)?;
        summary.push_floor(&busy, &rare, &idle::wake_up(cores, IDLE_ROUNDS, rate)?);
    }
    for server in scenario.servers().iter().filter(wanted) {
        if scenario.name == Name::Stopped {
            summary.push(scenario, *server, false, run::once(setting, scenario, *server, None)?);
        }
        let laggard = scenario.laggard();
        summary.push(scenario, *server, laggard.is_some(), run::once(setting, scenario, *server, laggard)?);
    }
    Ok(())
}

/// Raises this process's limit of open files, which its children inherit, as far as it may.
fn raise_file_limit(wanted: u64) -> Result<()> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    setrlimit(Resource::Nofile, raised).map_err(|errno| io_error("raise the limit of open files")(errno.into()))?;
    match limit.maximum {
        Some(most) if most < wanted => Err(BenchError::Setting {
            setting: "the hard limit of open files",
            value: most.to_string(),
            expected: "more than there are subscribers: raise it, or lower --subscribers",
        }),
        _ => Ok(()),
    }
}
