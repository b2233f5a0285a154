//! `ticklane-gateway`: serves the lanes of an engine to people and programs: REST, WebSocket and a page.
//!
//! One thread a shard. Each reads the lanes in shared memory by itself and owns its connections; nothing is handed from
//! one to another. The engine is never called and never waited for: it may start later, stop, and begin anew.
//!
//! | module | job |
//! |---|---|
//! | [`config`], [`preflight`] | `gateway.toml`, and whether this machine can run it |
//! | [`shard`] | the loop: lanes in, frames out; how it waits |
//! | [`http`] | the port: who may connect, and HTTP/1.1 |
//! | [`ws`] | the handshake, and what clients send |
//! | [`journal`] | the recorded bus, and the threads that read it |
//! | [`rest`], [`metrics`], [`openapi`], [`page`] | what HTTP serves |
//! | [`report`], [`app`] | what shards tell the handlers, and what handlers ask them |
//!
//! Exit status: 0 stopped in order, 1 failed, 2 refused to start.
#![forbid(unsafe_code)]

mod app;
mod config;
mod http;
mod journal;
mod metrics;
mod openapi;
mod page;
mod preflight;
mod report;
mod rest;
mod shard;
mod ws;

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use clap::Parser;
use sd_notify::NotifyState;
use shm_abi::sys::realtime_ns;
use tokio::sync::watch;

use crate::app::Facts;
use crate::config::{Config, LogFormat, Plan, Wait};
use crate::http::listen::listen;
use crate::http::seats::Seats;
use crate::journal::pool::Pool;
use crate::preflight::Findings;
use crate::report::Report;
use crate::shard::stage;
use crate::shard::thread::Common;

/// Serves the lanes of an engine: REST, WebSocket and a page.
#[derive(Debug, Parser)]
#[command(name = "ticklane-gateway", version)]
struct Arguments {
    /// The gateway's config; without one every setting has its default.
    #[arg(long)]
    config: Option<PathBuf>,
    /// Checks the config and this machine, says what would run, and exits.
    #[arg(long)]
    check_config: bool,
    /// Listens here and not at http.listen.
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<String>,
    /// Reads the journals of this directory and not of journal.dir.
    #[arg(long, value_name = "DIRECTORY")]
    journal_dir: Option<PathBuf>,
    /// Reads the lanes of this directory and not of gateway.runtime_dir.
    #[arg(long, value_name = "DIRECTORY")]
    runtime_dir: Option<PathBuf>,
}

/// Exit status for a config or a machine that cannot work: the same input gives the same answer.
const EXIT_REFUSED: u8 = 2;
/// Exit status for everything that went wrong later.
const EXIT_FAILED: u8 = 1;
/// How often the main thread looks at signals, shards and the watchdog.
const HOUSEKEEPING: Duration = Duration::from_millis(20);
/// Age of a shard's report, which comes once a second, from which the shard counts as stuck.
const STUCK_NS: u64 = 3_000_000_000;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let plan = match read_plan(&arguments) {
        Ok(plan) => plan,
        Err(error) => return refuse(&error),
    };
    start_log(plan.gateway.log);
    let findings = match preflight::check(&plan) {
        Ok(findings) => findings,
        Err(error) => return refuse(&error),
    };
    let wait =
        stage::resolve(plan.gateway.wait, plan.gateway.shards, !plan.gateway.cores.is_empty(), findings.allowed_cores);
    describe(&plan, wait, findings);
    if arguments.check_config {
        println!("{}: good", arguments.config.map_or("the defaults".into(), |path| path.display().to_string()));
        return ExitCode::SUCCESS;
    }
    let listeners = match listen(plan.listen, plan.gateway.shards) {
        Ok(listeners) => listeners,
        Err(error) => return refuse(&error),
    };
    match run(plan, wait, findings, listeners) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("ticklane-gateway: {message}");
            ExitCode::from(EXIT_FAILED)
        }
    }
}

fn read_plan(arguments: &Arguments) -> Result<Plan, config::ConfigError> {
    let mut config = arguments.config.as_deref().map_or_else(|| Ok(Config::default()), Config::read)?;
    if let Some(listen) = &arguments.listen {
        config.http.listen.clone_from(listen);
    }
    if let Some(runtime_dir) = &arguments.runtime_dir {
        config.gateway.runtime_dir.clone_from(runtime_dir);
    }
    if let Some(dir) = &arguments.journal_dir {
        config.journal.dir = Some(dir.clone());
    }
    config.plan()
}

fn refuse(error: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("ticklane-gateway: {error}");
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

/// What was understood, for an operator.
fn describe(plan: &Plan, wait: Wait, findings: Findings) {
    let gateway = &plan.gateway;
    tracing::info!(
        instance = gateway.instance,
        runtime_dir = %gateway.runtime_dir.display(),
        lanes = ?gateway.lanes,
        shards = gateway.shards,
        cores = ?gateway.cores,
        wait = wait.name(),
        allowed_cores = findings.allowed_cores,
        listen = %plan.listen,
        journal = plan.journal.dir.as_ref().map(|dir| dir.display().to_string()),
        connections = findings.seats,
        echo = gateway.echo,
        "gateway"
    );
    if !gateway.runtime_dir.is_dir() {
        let runtime_dir = gateway.runtime_dir.display();
        tracing::info!("there is no {runtime_dir} yet: waiting for an engine to make its lanes there");
    }
}

/// Starts every shard, then waits for a signal.
fn run(plan: Plan, wait: Wait, findings: Findings, listeners: Vec<std::net::TcpListener>) -> Result<(), String> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT] {
        // In this order: the first signal finds the flag down and raises it, the second finds it up and ends all.
        signal_hook::flag::register_conditional_shutdown(signal, EXIT_FAILED.into(), Arc::clone(&stop))
            .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&stop)))
            .map_err(|error| format!("signal handler: {error}"))?;
    }
    let listen = listeners[0].local_addr().map_err(|error| format!("the listener's address: {error}"))?;
    let report = Arc::new(Report::new(listeners.len(), realtime_ns()));
    let reads = plan.journal.dir.is_some();
    let pool = reads.then(|| Pool::start(plan.journal.threads, plan.journal.waiting)).transpose();
    let pool = pool.map_err(|error| format!("readers of the journal did not start: {error}"))?;
    let (close, closing) = watch::channel(false);
    let common = Common {
        wait,
        report: Arc::clone(&report),
        seats: Seats::new(findings.seats, plan.http.connections_per_address),
        facts: facts(&plan, wait, listen),
        pool,
        stop: Arc::clone(&stop),
        closing,
        plan: Arc::new(plan),
    };
    let mut shards = Vec::new();
    for (index, listener) in listeners.into_iter().enumerate() {
        let shard = shard::thread::start(index, listener, common.clone());
        shards.push(shard.map_err(|error| format!("shard {index} did not start: {error}"))?);
    }
    announce(listen);
    keep_house(&stop, &report, &shards);
    notify(&[NotifyState::Stopping]);
    let was_told = stop.swap(true, Relaxed);
    report.draining.store(true, Relaxed);
    // Nobody listens any more: every shard is gone already.
    let _ = close.send(true);
    tracing::info!("stopping");
    for shard in shards {
        shard.join().map_err(|_| "a shard has panicked".to_owned())?;
    }
    tracing::info!("stopped");
    if was_told { Ok(()) } else { Err("a shard ended by itself".into()) }
}

fn facts(plan: &Plan, wait: Wait, listen: SocketAddr) -> Facts {
    Facts {
        instance: plan.gateway.instance.clone(),
        listen,
        shards: plan.gateway.shards,
        wait: wait.name(),
        lanes: plan.gateway.lanes.clone(),
        limits: plan.limits,
        echo: plan.gateway.echo,
    }
}

/// Says that the program serves: on standard output for whoever started it, to the log, and to systemd.
fn announce(listen: SocketAddr) {
    // Nobody may be reading it.
    let _ = writeln!(std::io::stdout(), "listening http://{listen}").and_then(|()| std::io::stdout().flush());
    tracing::info!("listening on http://{listen}");
    notify(&[NotifyState::Ready]);
}

/// Waits for a signal, or for a shard to end, which none should; tells systemd's watchdog of life only while every
/// shard shows some.
fn keep_house(stop: &AtomicBool, report: &Report, shards: &[JoinHandle<()>]) {
    let watchdog = sd_notify::watchdog_enabled();
    let mut told = Instant::now();
    while !stop.load(Relaxed) && !shards.iter().any(JoinHandle::is_finished) {
        std::thread::sleep(HOUSEKEEPING);
        if let Some(interval) = watchdog
            && told.elapsed() >= interval / 2
            && report.shards().iter().all(|shard| realtime_ns().saturating_sub(shard.at_ns) < STUCK_NS)
        {
            notify(&[NotifyState::Watchdog]);
            told = Instant::now();
        }
    }
}

/// Tells systemd, if it is there.
fn notify(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "systemd could not be told");
    }
}
