//! A SoupBinTCP exchange on TCP: one session, several clients, each with its own place in the message log.
//!
//! Threads: one accepts, one releases messages at their pace, two serve each client. All of them stop within a second of
//! [`Exchange::stop`].

mod config;
mod connection;
mod feed;
mod producer;

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

pub use self::config::{AtEnd, DEFAULT_MAX_CLIENTS, ExchangeConfig, Source, Start, StartError};
use self::feed::Feed;
use crate::fault::Plan;
use crate::log::MessageLog;

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

/// Counters of an exchange at one moment. Its text is one line of `name=number` pairs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// Sequenced messages handed to connections, repetitions after a resume among them.
    pub messages: u64,
    /// Bytes written to sockets.
    pub bytes: u64,
    /// Connections taken.
    pub connections: u64,
    /// Connections closed at once because of the client limit.
    pub refused: u64,
    /// Logins accepted.
    pub logins: u64,
    /// Logins rejected, by a fault or deservedly.
    pub rejected: u64,
    /// Accepted logins that asked for a number above 1.
    pub resumes: u64,
    /// Clients closed because their next message was no longer held.
    pub fell_behind: u64,
    /// Faults that have happened.
    pub faults: u64,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { messages, bytes, connections, refused, logins, rejected, resumes, fell_behind, faults } = self;
        write!(
            f,
            "messages={messages} bytes={bytes} connections={connections} refused={refused} logins={logins} \
             rejected={rejected} resumes={resumes} fell_behind={fell_behind} faults={faults}"
        )
    }
}

/// What all threads of an exchange share.
#[derive(Debug)]
struct Shared {
    config: ExchangeConfig,
    feed: Feed,
    faults: Plan,
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
        let log = match &config.source {
            Source::File(path) => MessageLog::open(path)?,
            Source::Market(_) => MessageLog::create(&config.log_directory, config.max_log_bytes)?,
        };
        let fail = |cause| StartError::Listen { address: config.listen, cause };
        let listener = TcpListener::bind(config.listen).map_err(fail)?;
        let address = listener.local_addr().map_err(fail)?;
        let shared = Arc::new(Shared {
            feed: Feed::new(log, config.start == Start::Now),
            faults: Plan::new(&config.faults),
            counters: Counters::default(),
            clients: Mutex::default(),
            config,
        });
        let mut exchange = Self { shared, address, threads: Vec::new() };
        let shared = Arc::clone(&exchange.shared);
        exchange.spawn("venue-pace", move || producer::run(&shared.config, &shared.feed))?;
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
            faults: self.shared.faults.played(),
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

/// Gives a new connection its threads, or closes it when there are too many.
fn admit(shared: &Arc<Shared>, id: u64, stream: TcpStream) {
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
