//! `ticklane-engine`: takes feeds, keeps books, publishes into shared memory.

mod config;
mod control;
mod feed;
mod ids;
mod lane;
mod preflight;
mod record;
mod rt;
mod sys;

use std::cell::RefCell;
use std::path::PathBuf;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use clap::Parser;
use sd_notify::NotifyState;
use shm_abi::layout::{HEARTBEAT_INTERVAL_NS, State};
use shm_abi::segment::Segment;

use crate::config::{EngineConfig, EnginePlan, LanePlan, LogFormat, Wait};
use crate::control::{Control, FeedIdentity, FeedPort, LogLevel, Settings, feed_pair};
use crate::feed::FeedTask;
use crate::ids::IdStore;
use crate::lane::Lane;
use crate::record::{Recorded, Recording};

/// Takes exchange feeds, keeps their order books, and publishes them into shared memory.
#[derive(Debug, Parser)]
#[command(name = "ticklane-engine", version)]
struct Arguments {
    /// The engine's config.
    #[arg(long, default_value = "/etc/ticklane/engine.toml")]
    config: PathBuf,
    /// Checks the config and this machine, says what would run, and exits.
    #[arg(long)]
    check_config: bool,
    /// Shows the packets of a capture as JSON lines, and exits: decoded, without sequencing, without an engine.
    #[arg(long, value_name = "FILE")]
    tap_pcap: Option<PathBuf>,
    /// Dialect of the capture's ITCH messages; without it, it is found out.
    #[arg(long, requires = "tap_pcap")]
    dialect: Option<String>,
    /// Most packets of the capture.
    #[arg(long, requires = "tap_pcap", default_value_t = u64::MAX, hide_default_value = true)]
    limit: u64,
}

/// Exit status for a config or a machine that cannot work: the same input gives the same answer.
const EXIT_REFUSED: u8 = 2;
/// Exit status for everything that went wrong later.
const EXIT_FAILED: u8 = 1;
/// Looks of the main thread at a heartbeat that stays old, after which it says so.
const STALLED_WARNING: u32 = 10;
/// The same, after which it ends the engine: five seconds.
const STALLED_LOOKS: u32 = 100;
/// How often the main thread looks at signals, ids and the watchdog.
const HOUSEKEEPING: Duration = Duration::from_millis(50);

fn main() -> ExitCode {
    // Before any thread: see the function.
    sys::register_membarrier();
    let arguments = Arguments::parse();
    if let Some(path) = &arguments.tap_pcap {
        return tap_capture(path, arguments.dialect.as_deref(), arguments.limit);
    }
    let (settings, definitions, plan) = match Settings::read(&arguments.config) {
        Ok(read) => read,
        Err(error) => return refuse(&error),
    };
    let log_level = match start_log(&plan.engine) {
        Ok(log_level) => log_level,
        Err(error) => return refuse(&error),
    };
    if let Err(error) = preflight::check(&plan) {
        return refuse(&error);
    }
    let allowed = sys::allowed_cores().len();
    let pinned = plan.lanes.iter().all(|lane| lane.config.core.is_some());
    let wait = preflight::resolve_wait(plan.engine.wait, plan.lanes.len(), pinned, allowed);
    describe(&plan, wait, allowed);
    if arguments.check_config {
        println!("{}: good", arguments.config.display());
        return ExitCode::SUCCESS;
    }
    match run(&plan, wait, Control { settings, definitions, log_level }) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("ticklane-engine: {message}");
            ExitCode::from(EXIT_FAILED)
        }
    }
}

fn refuse(error: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("ticklane-engine: {error}");
    ExitCode::from(EXIT_REFUSED)
}

/// Starts the log; gives what changes its level later.
fn start_log(engine: &EngineConfig) -> Result<LogLevel, String> {
    use tracing_subscriber::EnvFilter;
    let filter = |level: &str| {
        EnvFilter::builder().parse(level).map_err(|error| {
            format!("engine.log_level = {level:?}: {error}; expected error, warn, info, debug or trace, or targets with levels")
        })
    };
    let first = match EnvFilter::try_from_default_env() {
        Ok(from_environment) => from_environment,
        Err(_) => filter(&engine.log_level)?,
    };
    let log = tracing_subscriber::fmt().with_writer(std::io::stderr).with_target(false);
    // The two formats are two types, and so are their handles.
    Ok(match engine.log {
        LogFormat::Text => {
            let log = log.with_ansi(false).with_env_filter(first).with_filter_reloading();
            let handle = log.reload_handle();
            log.init();
            Box::new(move |level| handle.reload(filter(level)?).map_err(|error| error.to_string()))
        }
        LogFormat::Json => {
            let log = log.json().with_env_filter(first).with_filter_reloading();
            let handle = log.reload_handle();
            log.init();
            Box::new(move |level| handle.reload(filter(level)?).map_err(|error| error.to_string()))
        }
    })
}

/// `--tap-pcap`: JSON lines on standard output, the last of them the end.
fn tap_capture(path: &std::path::Path, dialect: Option<&str>, limit: u64) -> ExitCode {
    use std::io::Write;
    use std::ops::ControlFlow;
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let line = |out: &mut dyn Write, text: serde_json::Result<String>| {
        writeln!(out, "{}", text.expect("texts and numbers only"))
    };
    let mut give = |event| match line(&mut out, serde_json::to_string(&event)) {
        Ok(()) => ControlFlow::Continue(()),
        // Whoever reads may stop reading.
        Err(_) => ControlFlow::Break(()),
    };
    let read = control::read_capture(path, u64::MAX);
    match read.and_then(|bytes| control::decode_capture(&bytes, dialect, limit, &mut give)) {
        Ok(end) => {
            let _ = line(&mut out, serde_json::to_string(&end)).and_then(|()| out.flush());
            ExitCode::SUCCESS
        }
        Err(refusal) => refuse(&refusal),
    }
}

/// One line a lane, so that an operator sees what was understood.
fn describe(plan: &EnginePlan, wait: Wait, allowed: usize) {
    for lane in &plan.lanes {
        let core = lane.config.core.map_or("unpinned".into(), |core| format!("core {core}"));
        tracing::info!(
            instance = plan.engine.instance,
            lane = lane.plan.lane,
            core,
            ?wait,
            allowed_cores = allowed,
            orders_slots = lane.plan.orders_slots,
            market_slots = lane.plan.market_slots,
            instruments = lane.plan.instruments,
            feed = lane.feed.name,
            protocol = lane.feed.protocol.name(),
            dialect = lane.feed.dialect.name(),
            client_type = lane.feed.client_type.name(),
            addresses = ?lane.feed.addresses,
            "lane"
        );
    }
}

/// Makes every lane, then runs one reactor each until a signal comes.
fn run(plan: &EnginePlan, wait: Wait, control: Control) -> Result<(), String> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT] {
        signal_hook::flag::register(signal, stop.clone()).map_err(|error| format!("signal handler: {error}"))?;
    }
    let ids = IdStore::open(&plan.engine.state_dir).map_err(|error| error.to_string())?;
    tracing::info!(known = ids.count(), "instrument ids");
    let mut lanes = Vec::new();
    for lane in &plan.lanes {
        lanes.push((lane, Lane::make(plan, lane, ids.clone()).map_err(|error| error.to_string())?));
    }
    let recording = match recorded(&mut lanes) {
        lanes if lanes.is_empty() => None,
        lanes => Some(Recording::start(&plan.journal, lanes)?),
    };
    let segments: Vec<Segment> = lanes.iter().map(|(_, lane)| lane.out.writer.reader()).collect();
    let running = Arc::new(AtomicUsize::new(lanes.len()));
    let (handles, ports): (Vec<_>, Vec<_>) = lanes.iter().map(|(plan, _)| feed_pair(FeedIdentity::of(plan))).unzip();
    let control = control.start(plan, handles, &segments, ids, stop.clone())?;
    let mut reactors = Vec::new();
    for ((lane_plan, lane), port) in lanes.into_iter().zip(ports) {
        let over = Over { running: running.clone(), stop: stop.clone() };
        reactors.push(start_reactor(plan, lane_plan, lane, port, wait, over)?);
    }
    notify(&[NotifyState::Ready]);
    keep_house(&stop, &segments)?;
    notify(&[NotifyState::Stopping]);
    let mut outcome = Ok(());
    for reactor in reactors {
        outcome = outcome.and(reactor.join());
    }
    if let Some(recording) = recording {
        outcome = outcome.and(recording.finish());
    }
    stop.store(true, Ordering::Relaxed);
    if let Some(control) = control {
        control.join().map_err(|_| "the command thread panicked".to_owned())?;
    }
    tracing::info!("stopped");
    outcome
}

/// What the lanes that are recorded bring to it.
fn recorded(lanes: &mut [(&LanePlan, Lane)]) -> Vec<Recorded> {
    let recorded = |(plan, lane): &mut (&LanePlan, Lane)| {
        let writer = &lane.out.writer;
        let (segment, counters) = (writer.reader(), writer.journal_counters());
        let journal = lane.journal.take()?;
        Some(Recorded { lane: plan.plan.lane.clone(), segment, counters, journal })
    };
    lanes.iter_mut().filter_map(recorded).collect()
}

/// Says that a lane's reactor has ended, however it did. Other lanes go on: a feed's end is its own, and told in its state.
/// When the last one has ended there is nothing left to run.
struct Over {
    running: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
}

impl Drop for Over {
    fn drop(&mut self) {
        if self.running.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.stop.store(true, Ordering::Relaxed);
        }
    }
}

fn start_reactor(
    plan: &EnginePlan,
    lane_plan: &LanePlan,
    lane: Lane,
    port: FeedPort,
    wait: Wait,
    over: Over,
) -> Result<rt::Reactor, String> {
    let (feed, allow) = (lane_plan.feed.clone(), plan.allow.clone());
    let spin_ns = plan.engine.spin_us.saturating_mul(1_000);
    let stop = over.stop.clone();
    let priority = plan.engine.realtime_priority;
    let main = move || async move {
        let _over = over;
        take_priority(priority, &feed.name);
        let lane = Rc::new(RefCell::new(lane));
        rt::spawn_beside(lane::beat(lane.clone()));
        FeedTask { plan: feed, allow, wait, spin_ns, stop, lane: lane.clone(), port }.run().await;
        lane.borrow_mut().close();
    };
    rt::Reactor::spawn(&lane_plan.plan.lane, lane_plan.config.core, main)
        .map_err(|error| format!("lane {}: its reactor did not start: {error}", lane_plan.plan.lane))
}

/// Puts the current thread among the real-time ones, if that is wanted; goes on without when it may not be.
fn take_priority(priority: u8, feed: &str) {
    if priority == 0 {
        return;
    }
    if let Err(error) = sys::set_realtime_priority(priority) {
        tracing::warn!(
            feed, priority, %error,
            "no real-time priority; wanted: LimitRTPRIO= of at least that (`ulimit -r`), or CAP_SYS_NICE"
        );
    }
}

/// Waits for a signal; tells systemd's watchdog of life only while the reactor of every lane that was not closed in order
/// shows some: a reactor that died takes the others with it, as only a restart brings it back.
///
/// # Errors
/// The lane whose reactor has shown no life for [`STALLED_LOOKS`]: only a new engine helps, which takes up where this one
/// was.
fn keep_house(stop: &AtomicBool, segments: &[Segment]) -> Result<(), String> {
    let watchdog = sd_notify::watchdog_enabled();
    let mut told = std::time::Instant::now();
    // Looks, not time: an engine that was stopped as a whole and continued finds every heartbeat old at first.
    let mut stalled = vec![0_u32; segments.len()];
    while !stop.load(Ordering::Relaxed) {
        std::thread::sleep(HOUSEKEEPING);
        for (lane, looks) in segments.iter().zip(&mut stalled) {
            if lane.state() == Some(State::Closed) || lane.heartbeat_age_ns() < 2 * HEARTBEAT_INTERVAL_NS {
                *looks = 0;
                continue;
            }
            *looks += 1;
            let (name, age_ms) = (&lane.lane(), lane.heartbeat_age_ns() / 1_000_000);
            if *looks == STALLED_WARNING {
                tracing::warn!(lane = %name, age_ms, "its reactor shows no life");
            }
            if *looks == STALLED_LOOKS {
                return Err(format!(
                    "lane {name}: its reactor has shown no life for {age_ms} ms; ending, so that a new engine \
                     takes over"
                ));
            }
        }
        if let Some(interval) = watchdog
            && told.elapsed() >= interval / 2
            && segments.iter().all(|lane| lane.state() == Some(State::Closed) || lane.writer_alive())
        {
            notify(&[NotifyState::Watchdog]);
            told = std::time::Instant::now();
        }
    }
    Ok(())
}

/// Tells systemd, if it is there.
fn notify(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "systemd could not be told");
    }
}
