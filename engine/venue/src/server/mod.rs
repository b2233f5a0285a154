//! A SoupBinTCP exchange on TCP: one session, several clients, each with its own place in the message log.
//!
//! Threads: one accepts, one releases messages at their pace, two serve each client. All of them stop within a second of
//! [`Exchange::stop`].

mod config;
mod connection;
pub(crate) mod junk;
mod report;

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use socket2::SockRef;

pub use self::config::{DEFAULT_MAX_CLIENTS, ExchangeConfig, StartError};
pub use self::report::Report;
use crate::fault::{Fault, FaultError, FlowFault, FlowPlan, Plan, TcpFault};
use crate::feed::Feed;
use crate::producer::{self, Production};
pub use crate::source::{AtEnd, Source, Start};

/// Pause after a failed accept: most often the process is out of descriptors, and spinning would not give it one.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);

/// What has happened since the start, as public numbers.
#[derive(Debug, Default)]
struct Counters {
    messages: AtomicU64,
    bytes: AtomicU64,
    connections: AtomicU64,
    refused: AtomicU64,
    logins: AtomicU64,
    rejected: AtomicU64,
    resumes: AtomicU64,
    fell_behind: AtomicU64,
}

/// What all threads of an exchange share.
#[derive(Debug)]
struct Shared {
    config: ExchangeConfig,
    feed: Feed,
    faults: Plan,
    flow: FlowPlan,
    /// Whether the log is the file itself, whose messages cannot be changed.
    in_place: bool,
    counters: Counters,
    /// Open connections, so that stopping can wake threads that are blocked in a write.
    clients: Mutex<HashMap<u64, Client>>,
}

#[derive(Debug)]
struct Client {
    stream: Arc<TcpStream>,
    thread: Option<JoinHandle<()>>,
}

impl Shared {
    fn clients(&self) -> MutexGuard<'_, HashMap<u64, Client>> {
        // Each change is one insert or remove.
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running exchange. Dropping it stops it.
#[derive(Debug)]
pub struct Exchange {
    shared: Arc<Shared>,
    address: SocketAddr,
    threads: Vec<JoinHandle<()>>,
}

impl Exchange {
    /// Opens the source, listens, and starts the threads.
    ///
    /// # Errors
    /// [`StartError`]: nothing runs then.
    pub fn start(config: ExchangeConfig) -> Result<Self, StartError> {
        config.validate()?;
        let flow = FlowPlan::new(config.faults.iter().filter_map(flow_fault));
        let in_place = matches!(config.source, Source::File(_)) && !flow.is_set();
        let log = config.source.open_log(!in_place, &config.log_directory, config.max_log_bytes)?;
        let fail = |cause| StartError::Listen { address: config.listen, cause };
        let listener = TcpListener::bind(config.listen).map_err(fail)?;
        let address = listener.local_addr().map_err(fail)?;
        let shared = Arc::new(Shared {
            feed: Feed::new(log, config.session, config.start == Start::Now),
            faults: Plan::new(config.faults.iter().filter_map(tcp_fault)),
            flow,
            in_place,
            counters: Counters::default(),
            clients: Mutex::default(),
            config,
        });
        let mut exchange = Self { shared, address, threads: Vec::new() };
        let shared = Arc::clone(&exchange.shared);
        let production = Production {
            source: shared.config.source.clone(),
            pace: shared.config.pace,
            live_clock: shared.config.live_clock,
            max_log_bytes: shared.config.max_log_bytes,
            in_place,
        };
        exchange.spawn("venue-pace", move || producer::run(&production, &shared.feed, &shared.flow))?;
        let shared = Arc::clone(&exchange.shared);
        exchange.spawn("venue-accept", move || accept_all(&shared, &listener))?;
        Ok(exchange)
    }

    fn spawn(&mut self, name: &str, run: impl FnOnce() + Send + 'static) -> Result<(), StartError> {
        let thread = std::thread::Builder::new().name(name.into()).spawn(run).map_err(StartError::Thread)?;
        self.threads.push(thread);
        Ok(())
    }

    /// Where clients connect.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
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
            Fault::Tcp(fault) => self.shared.faults.add(fault),
            Fault::Flow(fault) if !self.shared.in_place => self.shared.flow.add(fault),
            Fault::Flow(fault) => return Err(FaultError::file_in_place(fault.name())),
            Fault::Line(fault) => return Err(config::wrong_place(fault.name())),
        }
        self.shared.feed.notify();
        Ok(())
    }

    /// Takes back what is left of a kind of faults, or of all with `all`. False when there is no such kind.
    pub fn clear_faults(&self, name: &str) -> bool {
        let known = self.shared.faults.clear(name) | self.shared.flow.clear(name);
        self.shared.feed.notify();
        known
    }

    /// Why the exchange cannot go on, if so: clients get heartbeats and nothing else from then on.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        self.shared.feed.state().failure.clone()
    }

    /// The counters now.
    #[must_use]
    pub fn report(&self) -> Report {
        let counters = &self.shared.counters;
        Report {
            messages: counters.messages.load(Relaxed),
            bytes: counters.bytes.load(Relaxed),
            connections: counters.connections.load(Relaxed),
            refused: counters.refused.load(Relaxed),
            logins: counters.logins.load(Relaxed),
            rejected: counters.rejected.load(Relaxed),
            resumes: counters.resumes.load(Relaxed),
            fell_behind: counters.fell_behind.load(Relaxed),
            faults: self.shared.faults.played() + self.shared.flow.played(),
        }
    }

    /// Closes all connections, waits for all threads, and gives the last counters.
    pub fn stop(mut self) -> Report {
        self.stop_threads();
        self.report()
    }

    fn stop_threads(&mut self) {
        if self.threads.is_empty() {
            return;
        }
        self.shared.feed.stop();
        // A connection of our own ends the wait for the next one.
        let mut wake = self.address;
        match wake.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => wake.set_ip(Ipv4Addr::LOCALHOST.into()),
            IpAddr::V6(ip) if ip.is_unspecified() => wake.set_ip(Ipv6Addr::LOCALHOST.into()),
            _ => {}
        }
        drop(TcpStream::connect_timeout(&wake, Duration::from_millis(200)));
        for thread in self.threads.drain(..) {
            // A thread that panicked has said so on stderr already.
            drop(thread.join());
        }
        let clients: Vec<Client> = self.shared.clients().drain().map(|(_, client)| client).collect();
        for client in &clients {
            drop(client.stream.shutdown(Shutdown::Both));
        }
        for thread in clients.into_iter().filter_map(|client| client.thread) {
            drop(thread.join());
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.stop_threads();
    }
}

fn accept_all(shared: &Arc<Shared>, listener: &TcpListener) {
    for id in 0.. {
        let accepted = listener.accept();
        if shared.feed.state().stopping {
            return;
        }
        match accepted {
            Ok((stream, _)) => admit(shared, id, stream),
            Err(_) => drop(shared.feed.wait_until(std::time::Instant::now() + ACCEPT_RETRY)),
        }
    }
}

fn tcp_fault(fault: &Fault) -> Option<&TcpFault> {
    if let Fault::Tcp(fault) = fault { Some(fault) } else { None }
}

fn flow_fault(fault: &Fault) -> Option<&FlowFault> {
    if let Fault::Flow(fault) = fault { Some(fault) } else { None }
}

/// Gives a new connection its threads, or closes it when there are too many.
fn admit(shared: &Arc<Shared>, id: u64, stream: TcpStream) {
    if shared.faults.refuses() {
        // Zero linger turns the close into a reset; if that is refused, it is a close.
        drop(SockRef::from(&stream).set_linger(Some(Duration::ZERO)));
        return;
    }
    let mut clients = shared.clients();
    if clients.len() >= shared.config.max_clients {
        shared.counters.refused.fetch_add(1, Relaxed);
        return;
    }
    shared.counters.connections.fetch_add(1, Relaxed);
    let stream = Arc::new(stream);
    let (ours, own) = (Arc::clone(shared), Arc::clone(&stream));
    let thread = std::thread::Builder::new().name("venue-client".into()).spawn(move || {
        connection::serve(&ours, id, &own);
        // The table's share goes first, so that `own` is the last one and its drop closes the socket.
        drop(ours.clients().remove(&id));
        drop(own);
    });
    // The lock is held until here, so the thread cannot have removed its entry before it stands.
    match thread {
        Ok(thread) => drop(clients.insert(id, Client { stream, thread: Some(thread) })),
        Err(_) => drop(shared.counters.refused.fetch_add(1, Relaxed)),
    }
}
