//! A MoldUDP64 venue: line A and line B, multicast or unicast, a re-request server, and GLIMPSE snapshots.
//!
//! Threads: one releases messages at their pace, one packs and sends them, one answers re-requests; GLIMPSE has its own.
//! There is nobody to wait for on UDP: at full speed a receiver loses what it cannot take, unless packets are limited.

mod config;
mod glimpse;
mod line;
mod packet;
mod report;
mod rerequest;
mod sender;
mod socket;
mod tracker;

use std::net::SocketAddr;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

pub use self::config::{LineConfig, MoldConfig, Packing, ReRequestConfig};
pub use self::report::{GlimpseReport, LineReport, MoldReport, Ranges, ReRequestReport};
use crate::fault::{Fault, FaultError, FlowFault, FlowPlan, LineFault, LinePlan};
use crate::feed::Feed;
use crate::producer::{self, Production};
use crate::server::StartError;
use crate::source::{Source, Start};

/// What all threads of a venue share.
#[derive(Debug)]
struct Shared {
    config: MoldConfig,
    feed: Feed,
    lines: LinePlan,
    flow: FlowPlan,
    in_place: bool,
    /// Number after the last message that went out on the lines: no request is answered beyond it.
    sent: AtomicU64,
    /// Set once every end of session has been sent.
    finished: std::sync::atomic::AtomicBool,
    report: Mutex<MoldReport>,
}

impl Shared {
    fn report(&self) -> MutexGuard<'_, MoldReport> {
        // Numbers only: a panicking thread leaves at most one of them behind.
        self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running venue. Dropping it stops it.
#[derive(Debug)]
pub struct MoldVenue {
    shared: Arc<Shared>,
    sources: Vec<SocketAddr>,
    rerequest: Option<SocketAddr>,
    glimpse: Option<SocketAddr>,
    threads: Vec<JoinHandle<()>>,
}

impl MoldVenue {
    /// Opens the source and the sockets, and starts the threads.
    ///
    /// # Errors
    /// [`StartError`]: nothing runs then.
    pub fn start(config: MoldConfig) -> Result<Self, StartError> {
        config.validate()?;
        let flow = FlowPlan::new(config.faults.iter().filter_map(flow_fault));
        let in_place = matches!(config.source, Source::File(_)) && !flow.is_set();
        let log = config.source.open_log(!in_place, &config.log_directory, config.max_log_bytes)?;
        let lines = config.lines.iter().map(socket::line).collect::<Result<Vec<_>, _>>()?;
        let sources = lines.iter().filter_map(|socket| socket.local_addr().ok()).collect();
        let answering = config.rerequest.as_ref().map(socket::rerequest).transpose()?;
        let rerequest = answering.as_ref().and_then(|socket| socket.local_addr().ok());
        let snapshots = config.glimpse.map(socket::glimpse).transpose()?;
        let glimpse = snapshots.as_ref().and_then(|listener| listener.local_addr().ok());
        let dialect = config.source.dialect()?;
        let shared = Arc::new(Shared {
            feed: Feed::new(log, config.session, config.start == Start::Now),
            lines: LinePlan::new(config.faults.iter().filter_map(line_fault)),
            flow,
            in_place,
            sent: AtomicU64::new(1),
            finished: std::sync::atomic::AtomicBool::new(false),
            report: Mutex::new(MoldReport::new(&config)),
            config,
        });
        let mut venue = Self { shared, sources, rerequest, glimpse, threads: Vec::new() };
        let shared = Arc::clone(&venue.shared);
        let production = Production {
            source: shared.config.source.clone(),
            pace: shared.config.pace,
            live_clock: shared.config.live_clock,
            max_log_bytes: shared.config.max_log_bytes,
            in_place,
        };
        venue.spawn("venue-pace", move || producer::run(&production, &shared.feed, &shared.flow))?;
        let shared = Arc::clone(&venue.shared);
        venue.spawn("venue-lines", move || sender::run(&shared, lines))?;
        if let Some(socket) = answering {
            let shared = Arc::clone(&venue.shared);
            venue.spawn("venue-rerequest", move || rerequest::run(&shared, &socket))?;
        }
        if let Some(listener) = snapshots {
            let shared = Arc::clone(&venue.shared);
            venue.spawn("venue-glimpse", move || glimpse::run(&shared, &listener, dialect))?;
        }
        Ok(venue)
    }

    fn spawn(&mut self, name: &str, run: impl FnOnce() + Send + 'static) -> Result<(), StartError> {
        let thread = std::thread::Builder::new().name(name.into()).spawn(run).map_err(StartError::Thread)?;
        self.threads.push(thread);
        Ok(())
    }

    /// Where the lines send from, A first.
    #[must_use]
    pub fn sources(&self) -> &[SocketAddr] {
        &self.sources
    }

    /// Where the lines send to, A first.
    pub fn destinations(&self) -> impl Iterator<Item = SocketAddr> {
        self.shared.config.lines.iter().map(|line| line.destination)
    }

    /// Where requests are answered, if they are.
    #[must_use]
    pub fn rerequest(&self) -> Option<SocketAddr> {
        self.rerequest
    }

    /// Where snapshots are handed out, if they are.
    #[must_use]
    pub fn glimpse(&self) -> Option<SocketAddr> {
        self.glimpse
    }

    /// Lets the session begin that waits for a command.
    pub fn begin(&self) {
        self.shared.feed.begin();
    }

    /// One more fault, from now on.
    ///
    /// # Errors
    /// [`FaultError::Place`] when it cannot happen here.
    pub fn add_fault(&self, fault: &Fault) -> Result<(), FaultError> {
        match fault {
            Fault::Line(fault) => self.shared.lines.add(fault),
            Fault::Flow(fault) if !self.shared.in_place => self.shared.flow.add(fault),
            Fault::Flow(fault) => return Err(FaultError::file_in_place(fault.name())),
            Fault::Tcp(fault) => return Err(config::wrong_place(fault.name())),
        }
        self.shared.feed.notify();
        Ok(())
    }

    /// Takes back what is left of a kind of faults, or of all but `kill` with `all`. False when there is no such kind.
    pub fn clear_faults(&self, name: &str) -> bool {
        let known = self.shared.lines.clear(name) | self.shared.flow.clear(name);
        self.shared.feed.notify();
        known
    }

    /// Why the venue cannot go on, if so: the lines carry heartbeats and nothing else from then on.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        self.shared.feed.state().failure.clone()
    }

    /// Whether the last end of session has been sent.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.shared.finished.load(Relaxed)
    }

    /// The counters now.
    #[must_use]
    pub fn report(&self) -> MoldReport {
        let mut report = self.shared.report().clone();
        report.faults = self.shared.flow.played();
        report.session = String::from_utf8_lossy(self.shared.feed.state().session().1.name.as_bytes()).into_owned();
        report
    }

    /// Waits for all threads, and gives the last counters.
    pub fn stop(mut self) -> MoldReport {
        self.stop_threads();
        self.report()
    }

    fn stop_threads(&mut self) {
        self.shared.feed.stop();
        for thread in self.threads.drain(..) {
            // A thread that panicked has said so on stderr already.
            drop(thread.join());
        }
    }
}

impl Drop for MoldVenue {
    fn drop(&mut self) {
        self.stop_threads();
    }
}

fn line_fault(fault: &Fault) -> Option<&LineFault> {
    if let Fault::Line(fault) = fault { Some(fault) } else { None }
}

fn flow_fault(fault: &Fault) -> Option<&FlowFault> {
    if let Fault::Flow(fault) = fault { Some(fault) } else { None }
}
