//! `ticklane-engine`: takes feeds, keeps books, publishes into shared memory.

mod config;
mod control;
mod feed;
mod ids;
mod lane;
mod preflight;
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
use shm_abi::layout::State;
use shm_abi::segment::Segment;

use crate::config::{Config, EnginePlan, LanePlan, LogFormat, Wait};
use crate::control::{FeedIdentity, FeedPort, feed_pair};
use crate::feed::FeedTask;
use crate::ids::IdStore;
use crate::lane::Lane;

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
}

/// Exit status for a config or a machine that cannot work: the same input gives the same answer.
const EXIT_REFUSED: u8 = 2;
/// Exit status for everything that went wrong later.
const EXIT_FAILED: u8 = 1;
/// How often the main thread looks at signals, ids and the watchdog.
const HOUSEKEEPING: Duration = Duration::from_millis(50);

fn main() -> ExitCode {
    // Before any thread: see the function.
    sys::register_membarrier();
    let arguments = Arguments::parse();
    let plan = match Config::read(&arguments.config).and_then(Config::plan) {
        Ok(plan) => plan,
        Err(error) => return refuse(&error),
    };
    start_log(plan.engine.log);
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
    match run(&plan, wait) {
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

fn start_log(format: LogFormat) {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    match format {
        LogFormat::Text => log.with_ansi(false).init(),
        LogFormat::Json => log.json().init(),
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
fn run(plan: &EnginePlan, wait: Wait) -> Result<(), String> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT] {
        signal_hook::flag::register(signal, stop.clone()).map_err(|error| format!("signal handler: {error}"))?;
    }
    let ids = IdStore::open(&plan.engine.state_dir).map_err(|error| error.to_string())?;
    tracing::info!(known = ids.count(), "instrument ids");
    let mut lanes = Vec::new();
    for lane in &plan.lanes {
        lanes.push((lane, Lane::make(&plan.engine, lane, ids.clone()).map_err(|error| error.to_string())?));
    }
    let segments: Vec<Segment> = lanes.iter().map(|(_, lane)| lane.out.writer.reader()).collect();
    let running = Arc::new(AtomicUsize::new(lanes.len()));
    let (mut reactors, mut handles) = (Vec::new(), Vec::new());
    for (lane_plan, lane) in lanes {
        let (handle, port) = feed_pair(FeedIdentity::of(lane_plan));
        handles.push(handle);
        let over = Over { running: running.clone(), stop: stop.clone() };
        reactors.push(start_reactor(plan, lane_plan, lane, port, wait, stop.clone(), over)?);
    }
    notify(&[NotifyState::Ready]);
    keep_house(&stop, &segments);
    notify(&[NotifyState::Stopping]);
    let mut outcome = Ok(());
    for reactor in reactors {
        outcome = outcome.and(reactor.join());
    }
    tracing::info!("stopped");
    outcome
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
    stop: Arc<AtomicBool>,
    over: Over,
) -> Result<rt::Reactor, String> {
    let (feed, allow) = (lane_plan.feed.clone(), plan.allow.clone());
    let spin_ns = plan.engine.spin_us.saturating_mul(1_000);
    let main = move || async move {
        let _over = over;
        let lane = Rc::new(RefCell::new(lane));
        rt::spawn_beside(lane::beat(lane.clone()));
        FeedTask { plan: feed, allow, wait, spin_ns, stop, lane: lane.clone(), port }.run().await;
        lane.borrow_mut().close();
    };
    rt::Reactor::spawn(&lane_plan.plan.lane, lane_plan.config.core, main)
        .map_err(|error| format!("lane {}: its reactor did not start: {error}", lane_plan.plan.lane))
}

/// Waits for a signal; tells systemd's watchdog of life only while the reactor of every lane that was not closed in order
/// shows some: a reactor that died takes the others with it, as only a restart brings it back.
fn keep_house(stop: &AtomicBool, segments: &[Segment]) {
    let watchdog = sd_notify::watchdog_enabled();
    let mut told = std::time::Instant::now();
    while !stop.load(Ordering::Relaxed) {
        std::thread::sleep(HOUSEKEEPING);
        if let Some(interval) = watchdog
            && told.elapsed() >= interval / 2
            && segments.iter().all(|lane| lane.state() == Some(State::Closed) || lane.writer_alive())
        {
            notify(&[NotifyState::Watchdog]);
            told = std::time::Instant::now();
        }
    }
}

/// Tells systemd, if it is there.
fn notify(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "systemd could not be told");
    }
}
