//! The command socket: one thread, off the feeds' cores, that waits for all of its clients at once.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::thread::{CpuSet, sched_setaffinity};
use rustix::time::Timespec;
use shm_abi::control::{Command, Refusal, RefusalCode, Reply, Right, SOCKET_NAME, next_frame, read_request};

use crate::control::commands::{Answer, Commands};
use crate::control::connection::{Business, Connection, Ended, Tap};
use crate::control::tap::{self, Decoder};

/// Longest wait of the thread: how late it sees a signal or a client that is overdue.
const TICK: Duration = Duration::from_millis(50);
/// Its wait while somebody taps, or awaits the outcome of a command.
const BUSY_TICK: Duration = Duration::from_millis(5);
/// How long no connection is accepted after the system had no descriptor for one.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);
/// Packets of one feed that are shown before the other clients have their turn.
const TAP_PACKETS_PER_TURN: usize = 256;
/// Decoders of captures at a time: each is a thread and holds its capture in memory.
const PCAP_TAPS_MAX: usize = 2;

/// Why the socket cannot be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ControlError {
    #[error(
        "the command socket {path} cannot be made: {source}; remove what stands there, choose another \
         engine.runtime_dir, or set control.enabled = false"
    )]
    Socket { path: PathBuf, source: io::Error },
    #[error(
        "control.group = {group:?}: {why}; expected a group of this host, by name or number, that the engine is in"
    )]
    Group { group: String, why: String },
}

/// The command socket, bound and not yet served.
pub(crate) struct Server {
    listener: UnixListener,
    path: PathBuf,
    commands: Commands,
    connections: Vec<Connection>,
    /// One decoder a feed.
    decoders: Vec<Decoder>,
    next_number: u64,
    own_uid: u32,
    accept_after: Instant,
}

/// A group's number: from its name in the system's list, or as it is given.
fn group_id(group: &str) -> Result<u32, String> {
    if let Ok(id) = group.parse() {
        return Ok(id);
    }
    let list = std::fs::read_to_string("/etc/group").map_err(|error| format!("/etc/group: {error}"))?;
    let id = |line: &str| {
        let mut fields = line.split(':');
        (fields.next()? == group).then(|| fields.nth(1)?.parse().ok())?
    };
    list.lines().find_map(id).ok_or_else(|| "no such group".into())
}

impl Server {
    /// Makes the socket. The lanes' locks are held, so nobody else listens there.
    pub(crate) fn bind(runtime_dir: &Path, commands: Commands) -> Result<Server, ControlError> {
        let path = runtime_dir.join(SOCKET_NAME);
        let failed = |source| ControlError::Socket { path: path.clone(), source };
        if std::fs::symlink_metadata(&path).is_ok_and(|facts| facts.file_type().is_socket()) {
            std::fs::remove_file(&path).map_err(failed)?;
        }
        let listener = UnixListener::bind(&path).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        if let Some(group) = &commands.config.group {
            let refused = |why: String| ControlError::Group { group: group.clone(), why };
            let id = group_id(group).map_err(refused)?;
            std::os::unix::fs::chown(&path, None, Some(id)).map_err(|error| refused(error.to_string()))?;
        }
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o660)).map_err(failed)?;
        let decoders = commands.feeds.iter().map(|feed| Decoder::of_feed(&feed.handle.identity)).collect();
        let (now, own_uid) = (Instant::now(), shm_abi::sys::effective_uid());
        let connections = Vec::new();
        Ok(Server { listener, path, commands, connections, decoders, next_number: 1, own_uid, accept_after: now })
    }

    /// Serves from a thread of its own until `stop`. `hangup` is set by SIGHUP. The thread stays off `feed_cores` where
    /// other cores are allowed.
    pub(crate) fn start(
        mut self,
        feed_cores: Vec<usize>,
        stop: Arc<AtomicBool>,
        hangup: Arc<AtomicBool>,
    ) -> io::Result<std::thread::JoinHandle<()>> {
        std::thread::Builder::new().name("control".into()).spawn(move || {
            keep_off(&feed_cores);
            while !stop.load(Ordering::Relaxed) {
                if hangup.swap(false, Ordering::Relaxed) {
                    // What came of it is in the log.
                    let _ = self.commands.reload();
                }
                self.turn();
            }
            // Nobody will answer there any more; a leftover would do no harm, so a refusal is nobody's trouble.
            let _ = std::fs::remove_file(&self.path);
        })
    }

    /// Waits for something to do, and does it.
    fn turn(&mut self) {
        self.wait();
        let now = Instant::now();
        self.accept(now);
        self.show_packets(now);
        let mut index = 0;
        while index < self.connections.len() {
            match self.serve(index, now) {
                Ok(()) => index += 1,
                Err(ended) => self.end(index, ended, now),
            }
        }
        self.commands.demand.expire(now);
    }

    fn wait(&mut self) {
        let busy = self.connections.iter().any(|connection| !matches!(connection.business, Business::Idle));
        let accepts = if Instant::now() < self.accept_after { PollFlags::empty() } else { PollFlags::IN };
        let mut fds = vec![PollFd::new(&self.listener, accepts)];
        for connection in &self.connections {
            let mut wanted = PollFlags::empty();
            wanted.set(PollFlags::IN, connection.wants_to_read());
            wanted.set(PollFlags::OUT, connection.wants_to_write());
            fds.push(PollFd::new(&connection.stream, wanted));
        }
        let tick = if busy { BUSY_TICK } else { TICK };
        let limit = Timespec { tv_sec: 0, tv_nsec: tick.subsec_nanos().into() };
        // An interrupted wait is a short one.
        let _ = poll(&mut fds, Some(&limit));
        let hung_up = |fd: &PollFd<'_>| fd.revents().intersects(PollFlags::HUP | PollFlags::ERR);
        let hung_up: Vec<bool> = fds[1..].iter().map(hung_up).collect();
        for (connection, hung_up) in self.connections.iter_mut().zip(hung_up) {
            connection.hung_up = hung_up;
        }
    }

    fn accept(&mut self, now: Instant) {
        while now >= self.accept_after {
            match self.listener.accept() {
                Ok((stream, _)) => self.welcome(stream, now),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    tracing::warn!(%error, pause_ms = ACCEPT_PAUSE.as_millis(), "no command connection accepted");
                    self.accept_after = now + ACCEPT_PAUSE;
                }
            }
        }
    }

    fn welcome(&mut self, stream: UnixStream, now: Instant) {
        let peer =
            stream.set_nonblocking(true).and_then(|()| Ok(rustix::net::sockopt::socket_peercred(stream.as_fd())?));
        let Ok(peer) = peer else { return };
        let uid = peer.uid.as_raw();
        let right = self.commands.config.right_of(uid, self.own_uid);
        let max = self.commands.config.connections_max;
        let refusal = match right {
            None => {
                self.commands.counters.forbidden += 1;
                tracing::warn!(uid, "command connection refused: not in [control] operators or gateways");
                let expected = "a uid in [control] operators or gateways of the engine's config".into();
                Some(Refusal { code: RefusalCode::Forbidden, field: "uid".into(), value: uid.to_string(), expected })
            }
            Some(_) if self.connections.len() >= max => {
                self.commands.counters.refused_full += 1;
                let expected = format!("at most control.connections_max = {max}");
                let (code, value) = (RefusalCode::Limit, (self.connections.len() + 1).to_string());
                Some(Refusal { code, field: "connections".into(), value, expected })
            }
            Some(_) => None,
        };
        let mut connection = Connection::new(self.next_number, stream, right.unwrap_or(Right::Look), now);
        self.next_number += 1;
        match refusal {
            // Said once, as far as the socket takes it, and closed: a client without a right holds no place.
            Some(refusal) => {
                connection.answer(0, Reply::Refused(refusal), now);
                let _ = connection.send(now);
            }
            None => {
                self.commands.counters.accepted += 1;
                self.connections.push(connection);
            }
        }
    }

    /// One client's turn: what came, what is due, what waits to be sent.
    fn serve(&mut self, index: usize, now: Instant) -> Result<(), Ended> {
        let connection = &mut self.connections[index];
        connection.receive()?;
        if let Business::Waits { id, pending } = &connection.business
            && let Some(reply) = self.commands.outcome_of(pending, now)
        {
            let id = *id;
            connection.business = Business::Idle;
            connection.asked_at = now;
            connection.answer(id, reply, now);
        }
        self.pass_capture_on(index, now);
        loop {
            while self.connections[index].may_ask() && self.next_request(index, now) {}
            let connection = &mut self.connections[index];
            connection.send(now)?;
            // Sending may have made room for the answer to the next one.
            if !connection.may_ask() || !connection.has_request() {
                break;
            }
        }
        let connection = &self.connections[index];
        let overdue = || connection.overdue(now, self.commands.config.idle_ms, self.commands.config.slow_ms);
        connection.over().or_else(overdue).map_or(Ok(()), Err)
    }

    /// Serves the first request that has come whole; `false` when there is none.
    fn next_request(&mut self, index: usize, now: Instant) -> bool {
        let connection = &mut self.connections[index];
        let read = match next_frame(connection.inbox()) {
            Ok(None) => return false,
            Ok(Some((payload, consumed))) => {
                let read = read_request(payload);
                connection.inbox().drain(..consumed);
                read
            }
            Err(error) => {
                // Where the next message begins is not known any more.
                connection.closing = true;
                let refusal = Refusal {
                    code: RefusalCode::BadRequest,
                    ..Refusal::value("message", "unreadable", error.to_string())
                };
                Err((0, refusal))
            }
        };
        connection.asked_at = now;
        match read {
            Err((id, refusal)) => {
                self.commands.counters.bad_requests += 1;
                connection.answer(id, Reply::Refused(refusal), now);
            }
            Ok(request) => self.ask(index, request.id, request.command, now),
        }
        true
    }

    fn ask(&mut self, index: usize, id: u64, command: Command, now: Instant) {
        let connections = self.connections.len() as u64;
        let connection = &mut self.connections[index];
        let verb = command.verb();
        let refusal = match (connection.right, command.right(), &connection.business) {
            (Right::Look, Right::Operate, _) => {
                self.commands.counters.forbidden += 1;
                let expected = "a uid in [control] operators of the engine's config".into();
                Some(Refusal { code: RefusalCode::Forbidden, field: "command".into(), value: verb.into(), expected })
            }
            (_, _, Business::Taps(_) | Business::TapsPcap { .. }) => {
                let expected = "nothing more on a connection that taps: open another".into();
                Some(Refusal { code: RefusalCode::Conflict, field: "command".into(), value: verb.into(), expected })
            }
            _ => None,
        };
        if let Some(refusal) = refusal {
            connection.answer(id, Reply::Refused(refusal), now);
            return;
        }
        self.commands.counters.requests += 1;
        self.commands.counters.connections = connections;
        let answer = self.commands.execute(connection.number, command, now);
        match answer {
            Answer::Now(reply) => connection.answer(id, reply, now),
            Answer::Later(pending) => connection.business = Business::Waits { id, pending },
            Answer::TapFeed { feed, limit } => self.begin_tap(index, id, feed, limit, now),
            Answer::TapPcap { path, dialect, limit } => self.begin_capture(index, id, path, dialect, limit, now),
        }
    }

    fn begin_tap(&mut self, index: usize, id: u64, feed: usize, left: u64, now: Instant) {
        let ring = &mut self.commands.feeds[feed].handle.tap;
        ring.open(true);
        let ring_dropped_before = ring.dropped();
        let dialect = self.decoders[feed].dialect_name().to_owned();
        let tap = Tap { id, feed, left, shown: 0, ring_dropped_before, dropped: 0, dialect };
        if left == 0 {
            self.connections[index].answer(id, tap.end("limit"), now);
            self.close_ring(feed);
        } else {
            self.connections[index].business = Business::Taps(tap);
        }
    }

    fn begin_capture(
        &mut self,
        index: usize,
        id: u64,
        path: String,
        dialect: Option<String>,
        limit: u64,
        now: Instant,
    ) {
        let running = |c: &&Connection| matches!(c.business, Business::TapsPcap { .. });
        let begun = if self.connections.iter().filter(running).count() >= PCAP_TAPS_MAX {
            let refusal =
                Refusal::value("taps of captures", PCAP_TAPS_MAX + 1, format!("at most {PCAP_TAPS_MAX} at a time"));
            Err(Refusal { code: RefusalCode::Limit, ..refusal })
        } else {
            tap::decode_beside(path, dialect, limit, self.commands.config.pcap_bytes_max)
        };
        let connection = &mut self.connections[index];
        match begun {
            Ok(packets) => connection.business = Business::TapsPcap { id, packets, told: false },
            Err(refusal) => connection.answer(id, Reply::Refused(refusal), now),
        }
    }

    /// What the decoder of a capture has, as far as there is room: it waits for the client, and nothing is lost.
    fn pass_capture_on(&mut self, index: usize, now: Instant) {
        let (connection, room) = (&mut self.connections[index], self.commands.config.outbox_bytes_max / 2);
        while connection.waiting_bytes() < room
            && let Business::TapsPcap { id, packets, told } = &mut connection.business
        {
            let id = *id;
            match packets.try_recv() {
                Ok(reply) => {
                    *told = !matches!(reply, Reply::Tap(_));
                    connection.answer(id, reply, now);
                }
                Err(std::sync::mpsc::TryRecvError::Empty) => return,
                Err(std::sync::mpsc::TryRecvError::Disconnected) => {
                    let told = *told;
                    connection.business = Business::Idle;
                    connection.asked_at = now;
                    if !told {
                        let refusal = Refusal::value("capture", "decoder", "an end: the decoder stopped without one");
                        connection.answer(id, Reply::Refused(Refusal { code: RefusalCode::Failed, ..refusal }), now);
                    }
                }
            }
        }
    }

    /// Hands what the taps' rings hold to whoever taps.
    fn show_packets(&mut self, now: Instant) {
        let outbox_max = self.commands.config.outbox_bytes_max;
        let mut bytes = Vec::new();
        for feed in 0..self.commands.feeds.len() {
            let taps = |c: &Connection| matches!(&c.business, Business::Taps(tap) if tap.feed == feed);
            if !self.connections.iter().any(taps) {
                continue;
            }
            let ring = &mut self.commands.feeds[feed].handle.tap;
            for _ in 0..TAP_PACKETS_PER_TURN {
                let Some(entry) = ring.next(&mut bytes) else { break };
                let event = self.decoders[feed].event(&entry, &bytes);
                for connection in self.connections.iter_mut().filter(|connection| taps(connection)) {
                    if !connection.show(&event, entry.dropped, outbox_max, now)
                        && let Business::Taps(tap) = std::mem::replace(&mut connection.business, Business::Idle)
                    {
                        self.commands.counters.tap_dropped += tap.dropped;
                        connection.asked_at = now;
                        connection.answer(tap.id, tap.end("limit"), now);
                    }
                }
            }
            self.close_ring(feed);
        }
    }

    /// Stops the copying when nobody looks any more.
    fn close_ring(&mut self, feed: usize) {
        let taps = |c: &Connection| matches!(&c.business, Business::Taps(tap) if tap.feed == feed);
        if !self.connections.iter().any(taps) {
            self.commands.feeds[feed].handle.tap.open(false);
        }
    }

    fn end(&mut self, index: usize, ended: Ended, now: Instant) {
        let connection = self.connections.swap_remove(index);
        let counters = &mut self.commands.counters;
        match ended {
            Ended::Slow => counters.slow_dropped += 1,
            Ended::Idle => counters.idle_closed += 1,
            Ended::Gone | Ended::Refused => {}
        }
        self.commands.demand.end(connection.number, now);
        if let Business::Taps(tap) = connection.business {
            self.commands.counters.tap_dropped += tap.dropped;
            self.close_ring(tap.feed);
        }
    }
}

/// Keeps the calling thread off the feeds' cores, if it may run anywhere else.
fn keep_off(feed_cores: &[usize]) {
    let mut set = CpuSet::new();
    for core in crate::sys::allowed_cores().into_iter().filter(|core| !feed_cores.contains(core)) {
        set.set(core);
    }
    if set.count() > 0
        && let Err(error) = sched_setaffinity(None, &set)
    {
        tracing::warn!(%error, "the command thread may run on a feed's core");
    }
}
