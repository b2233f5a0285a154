//! `bench udp`: how many datagrams a second one core takes in.
//!
//! One role floods loopback with MoldUDP64 datagrams, the other receives: the bare receivers and our receive loop in a
//! thread, and the real engine, which besides receiving decodes every message, keeps the books and writes rings and board.

pub mod flood;
pub mod receivers;
pub mod tape;

use std::path::{Path, PathBuf};

use clap::Args;
use shm_abi::counters::{CounterReader, FeedCounter, LaneCounter};

use self::flood::{Flood, Rates};
use self::receivers::{Receiver, Receiving};
use crate::cli::{at_least, progress};
use crate::machine::Machine;
use crate::report::{AmountRow, Kind, Section};
use crate::verdict::{Goal, Sense};
use crate::wire::engine::{self, Engine, Feed, LANE, LaneSpec};
use crate::{BenchError, Result};

/// Pairs unless told otherwise.
pub const PAIRS: u32 = 9;

/// Settings of `bench udp`.
#[derive(Debug, Clone, Args)]
pub struct UdpArgs {
    /// Seconds of each flood.
    #[arg(long, default_value_t = UdpArgs::default().seconds)]
    seconds: f64,
    /// Datagrams of each run that loses none.
    #[arg(long, default_value_t = UdpArgs::default().datagrams)]
    datagrams: u64,
    /// Datagrams that such a run may have on their way.
    #[arg(long, default_value_t = UdpArgs::default().window)]
    window: u64,
    /// The engine's program [default: ticklane-engine beside this program].
    #[arg(long)]
    engine: Option<PathBuf>,
    /// Only what runs within this process, without the engine.
    #[arg(long)]
    self_test: bool,
}

impl Default for UdpArgs {
    fn default() -> Self {
        Self { seconds: 1.0, datagrams: 1_000_000, window: 128, engine: None, self_test: false }
    }
}

/// What a receiver is held against.
const RAW: &str = "io_uring multishot recvmsg, bare";
const MMSG: &str = "recvmmsg, bare";
const LOOP: &str = "our receive loop: recvmmsg with stamps, MoldUDP64, arbiter";
const ENGINE: &str = "the engine: also decode, books, rings and board";

/// One receiver's runs, one value per pair.
struct Variant {
    kind: Kind,
    name: &'static str,
    runs: Runs,
    flood: Vec<f64>,
    lost: Vec<f64>,
    whole: Vec<f64>,
    held: Vec<f64>,
}

/// Where a receiver runs.
enum Runs {
    Thread(Receiver),
    Engine(PathBuf),
}

/// Measures everything and states the goals.
///
/// # Errors
/// When a role cannot be started or ends early, or a run that must lose nothing has lost something.
pub fn run(args: &UdpArgs, pairs: u32, machine: &Machine, dir: &Path) -> Result<Section> {
    at_least("--seconds, in ms", (args.seconds * 1000.0) as u64, 10, "at least 0.01 s")?;
    at_least("--datagrams", args.datagrams, 1000, "at least 1000")?;
    at_least("--window", args.window, 2 * tape::BATCH, "at least two sends of 32")?;
    let engine = if args.self_test { Err("--self-test".into()) } else { engine::find(args.engine.as_deref()) };
    let refusal = receivers::multishot_refusal();
    let mut variants = Vec::new();
    let mut add = |kind, name, runs| {
        variants.push(Variant { kind, name, runs, flood: vec![], lost: vec![], whole: vec![], held: vec![] });
    };
    if refusal.is_none() {
        add(Kind::Floor, RAW, Runs::Thread(Receiver::Multishot));
    }
    add(Kind::Floor, MMSG, Runs::Thread(Receiver::Recvmmsg));
    add(Kind::Ours, LOOP, Runs::Thread(Receiver::Arbiter));
    if let Ok(program) = &engine {
        add(Kind::Ours, ENGINE, Runs::Engine(program.clone()));
    }
    for pair in 0..pairs {
        progress("udp", pair, pairs);
        // Whoever comes first finds another machine than whoever comes last: they change places.
        let last = variants.len() - 1;
        for place in 0..=last {
            let variant = &mut variants[if pair % 2 == 0 { place } else { last - place }];
            variant.measure(args, machine, dir)?;
        }
    }
    Ok(section(args, pairs, &variants, refusal.as_deref(), engine.err().as_deref()))
}

impl Variant {
    fn measure(&mut self, args: &UdpArgs, machine: &Machine, dir: &Path) -> Result<()> {
        let rate = machine.ticks_per_ns;
        let whole = self.receive(machine, dir, true, |flood, received| {
            flood.windowed(args.datagrams, args.window, rate, received)
        })?;
        let flood = self.receive(machine, dir, false, |flood, received| flood.unpaced(args.seconds, rate, received))?;
        self.whole.push(whole.received_per_s / 1e6);
        self.held.push(whole.held_percent);
        self.flood.push(flood.received_per_s / 1e6);
        self.lost.push(flood.lost_percent);
        Ok(())
    }

    /// Starts the receiver afresh, sends it the set-up, and runs `send` with its count of datagrams. `all`: it must have
    /// taken every one.
    fn receive(
        &self,
        machine: &Machine,
        dir: &Path,
        all: bool,
        send: impl FnOnce(&mut Flood, &dyn Fn() -> u64) -> Result<Rates>,
    ) -> Result<Rates> {
        match &self.runs {
            Runs::Thread(receiver) => {
                let receiving = Receiving::start(*receiver, machine.cores.partner)?;
                let received = || receiving.received();
                let rates = send(&mut Flood::set_up(receiving.port, received)?, &received)?;
                let taken = receiving.finish()?;
                check(self.name, all, (taken.next, taken.jumps), &rates)?;
                Ok(rates)
            }
            Runs::Engine(program) => {
                let folder = engine::Folder::make(dir)?;
                let port = engine::free_datagram_port()?;
                let cores = machine.cores;
                let lane = LaneSpec { name: LANE, core: Some(cores.partner), feed: Feed::Mold(port), venue: "XNAS" };
                let mut engine = Engine::start(program, &folder, &[lane], &[cores.own, cores.partner])?;
                let segment = engine.listening(&folder, LANE)?;
                let (_, feed) = segment.feed(0).expect("the feed of a lane that listens");
                let received = || received_by(&feed);
                let rates = Flood::set_up(port, received).and_then(|mut flood| send(&mut flood, &received));
                let rates = engine.explain(rates)?;
                let counters = segment.counters();
                if all {
                    await_published(&counters, messages(&rates));
                }
                let jumps = counters.lane(LaneCounter::Gaps) + counters.lane(LaneCounter::Rejected);
                check(self.name, all, (counters.lane(LaneCounter::Published) + 1, jumps), &rates)?;
                Ok(rates)
            }
        }
    }
}

/// Datagrams of the feed that an engine has taken.
pub fn received_by(feed: &CounterReader) -> u64 {
    feed.feed(FeedCounter::SequencedPackets)
}

/// Messages of a whole run, its set-up included.
fn messages(rates: &Rates) -> u64 {
    tape::SETUP_MESSAGES + rates.sent * tape::MESSAGES
}

/// The counters of a lane follow at the end of its burst.
fn await_published(counters: &CounterReader, messages: u64) {
    let began = std::time::Instant::now();
    while counters.lane(LaneCounter::Published) < messages && began.elapsed().as_secs() < 2 {
        std::thread::yield_now();
    }
}

/// Equal work: a run that may lose nothing has taken every message once, in order.
fn check(name: &str, all: bool, (next, jumps): (u64, u64), rates: &Rates) -> Result<()> {
    let wanted = messages(rates) + 1;
    if !all || (next == wanted && jumps == 0) {
        return Ok(());
    }
    Err(BenchError::UnequalWork(format!("{name}: next message {next} of {wanted}, {jumps} jumps, gaps or refusals")))
}

fn section(
    args: &UdpArgs,
    pairs: u32,
    variants: &[Variant],
    no_ring: Option<&str>,
    no_engine: Option<&str>,
) -> Section {
    let UdpArgs { seconds, datagrams, window, .. } = args;
    let mut section = Section::new(
        "udp",
        format!(
            "{pairs} alternating pairs; floods of {seconds} s; {datagrams} datagrams with {window} on their way; each of {} \
             bytes and {} messages",
            tape::DATAGRAM_BYTES,
            tape::MESSAGES
        ),
    );
    for variant in variants {
        let row = |what: &str, unit, values: &[f64]| {
            AmountRow::new(variant.kind, format!("{what}{}", variant.name), unit, values)
        };
        section.amounts.extend([
            row("flood, received: ", "M/s", &variant.flood),
            row("  lost: ", "%", &variant.lost),
            row("nothing lost, received: ", "M/s", &variant.whole),
            row("  sender waited for it: ", "%", &variant.held),
        ]);
    }
    section.notes.extend([
        format!("sender: one core, sends of {} datagrams that the kernel cuts (UDP_SEGMENT)", tape::BATCH),
        "all receivers poll on one core, with a socket buffer of 8 MiB if it is granted".into(),
        "bare: each datagram's number and count are read, nothing else; no stamps".into(),
        "the engine counts what it has received in its segment; in a flood it also declares what the kernel dropped"
            .into(),
        format!(
            "the engine applies {} messages of each datagram to the books of {} symbols and publishes them",
            tape::MESSAGES,
            tape::SYMBOLS
        ),
        "where the sender hardly waits, it is the sender that is measured, and all receivers keep up".into(),
    ]);
    section.notes.extend(no_ring.map(str::to_owned));
    section.goals = goals(variants, no_ring, no_engine);
    section
}

fn goals(variants: &[Variant], no_ring: Option<&str>, no_engine: Option<&str>) -> Vec<Goal> {
    let find = |name: &str| variants.iter().find(|variant| variant.name == name);
    let mut goals = Vec::new();
    let modes: [(&str, fn(&Variant) -> &[f64]); 2] =
        [("flood", |variant| &variant.flood), ("nothing lost", |variant| &variant.whole)];
    for (mode, values) in modes {
        for (short, name) in [("our receive loop", LOOP), ("the engine", ENGINE)] {
            let promise = format!("UDP ingest, {mode}: received/s of {short} >= 0.95x raw io_uring multishot");
            goals.push(match (find(name), find(RAW)) {
                (Some(ours), Some(raw)) => Goal::ratio(&promise, Sense::AtLeast, 0.95, values(ours), values(raw)),
                (None, _) => Goal::unmeasured(&promise, Sense::AtLeast, 0.95, no_engine.unwrap_or("not measured")),
                (_, None) => Goal::unmeasured(&promise, Sense::AtLeast, 0.95, no_ring.unwrap_or("not measured")),
            });
        }
    }
    goals
}
