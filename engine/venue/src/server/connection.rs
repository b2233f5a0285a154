//! One client: a thread that reads into an inbox, and a thread that runs the protocol and writes.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use socket2::SockRef;
use wire::Nanos;
use wire::soupbin::frame;
use wire::soupbin::server::{Server, ServerState, ServerStep};

use super::Shared;
use super::junk;
use crate::fault::{Piece, Script};
use crate::feed::Span;
use crate::log::{Cursor, LogError};
use crate::pace::Pace;
use crate::source::AtEnd;

/// Bytes that are collected before a write while a client is behind.
const WRITE_BUFFER_BYTES: usize = 256 << 10;
/// Bytes that a client may send before they are handled. Clients have next to nothing to say.
const INBOX_BYTES: usize = frame::PACKET_MAX_BYTES + READ_BYTES;
const READ_BYTES: usize = 4 << 10;
/// A client that takes no byte for this long is dropped.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a client that has been told goodbye may take to close first.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(500);
/// Longest time that bytes are held back to be written together.
const HOLD_LIMIT: Duration = Duration::from_millis(50);
/// Longest wait without a look at the timers.
const IDLE_WAIT: Duration = Duration::from_secs(1);

/// What has arrived and is not yet handled.
#[derive(Debug, Default)]
struct Inbox {
    bytes: Vec<u8>,
    closed: bool,
}

/// Why a connection is over.
#[derive(Debug)]
enum End {
    /// Said goodbye: the client should see everything that was written.
    Graceful,
    /// At once.
    Now,
    /// By a TCP reset.
    Reset,
}

/// Serves one client to its end.
pub(super) fn serve(shared: &Shared, id: u64, stream: &TcpStream) {
    let inbox = Mutex::new(Inbox::default());
    std::thread::scope(|scope| {
        let reader = std::thread::Builder::new().name("venue-read".into());
        if reader.spawn_scoped(scope, || fill_inbox(shared, stream, &inbox)).is_err() {
            return;
        }
        let mut connection = Connection::new(shared, id, stream, &inbox);
        let end = connection.run().unwrap_or(End::Now);
        shared.feed.leave(id);
        connection.finish(&end);
        // The reader leaves when its socket is shut down; the scope waits for it.
    });
}

fn lock(inbox: &Mutex<Inbox>) -> MutexGuard<'_, Inbox> {
    inbox.lock().unwrap_or_else(PoisonError::into_inner)
}

fn fill_inbox(shared: &Shared, mut stream: &TcpStream, inbox: &Mutex<Inbox>) {
    let mut buffer = [0; READ_BYTES];
    loop {
        let bytes = match stream.read(&mut buffer) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => 0,
        };
        let mut inbox = lock(inbox);
        inbox.bytes.extend_from_slice(&buffer[..bytes]);
        // A client that sends faster than it is heard is no SoupBinTCP client.
        inbox.closed |= bytes == 0 || inbox.bytes.len() > INBOX_BYTES;
        let closed = inbox.closed;
        drop(inbox);
        shared.feed.notify();
        if closed {
            return;
        }
    }
}

mod login;

struct Connection<'a> {
    shared: &'a Shared,
    id: u64,
    stream: &'a TcpStream,
    inbox: &'a Mutex<Inbox>,
    server: Server,
    script: Script,
    started: Instant,
    incoming: Vec<u8>,
    outgoing: Vec<u8>,
    /// The client's place, once it is logged in, in numbers of the log.
    cursor: Option<Cursor>,
    /// The place of its session in the feed's list.
    session: usize,
    silent: bool,
    /// Since when bytes are held back, to be written together.
    held_since: Option<Instant>,
}

impl<'a> Connection<'a> {
    fn new(shared: &'a Shared, id: u64, stream: &'a TcpStream, inbox: &'a Mutex<Inbox>) -> Self {
        Self {
            shared,
            id,
            stream,
            inbox,
            server: Server::new(shared.config.timers, Nanos(0)),
            script: shared.faults.stranger(),
            started: Instant::now(),
            incoming: Vec::new(),
            outgoing: Vec::with_capacity(WRITE_BUFFER_BYTES + frame::PACKET_MAX_BYTES),
            cursor: None,
            session: 0,
            silent: false,
            held_since: None,
        }
    }

    fn now(&self) -> Nanos {
        Nanos(u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    /// Hears, ticks, fetches, writes, waits; until there is a reason to end.
    fn run(&mut self) -> io::Result<End> {
        self.stream.set_nodelay(true)?;
        self.stream.set_write_timeout(Some(WRITE_TIMEOUT))?;
        loop {
            if self.shared.feed.state().stopping {
                return Ok(End::Now);
            }
            if let Some(end) = self.hear()? {
                return Ok(end);
            }
            if let Some(end) = self.tick() {
                return Ok(end);
            }
            if let Some(end) = self.fetch() {
                return Ok(end);
            }
            if let Some(end) = self.write_out()? {
                return Ok(end);
            }
            if self.server.state() == ServerState::SessionEnded {
                return Ok(End::Graceful);
            }
            self.wait();
        }
    }

    /// Handles what the client has sent.
    fn hear(&mut self) -> io::Result<Option<End>> {
        let (arrived, closed) = {
            let mut inbox = lock(self.inbox);
            let arrived = !inbox.bytes.is_empty();
            self.incoming.append(&mut inbox.bytes);
            (arrived, inbox.closed)
        };
        let incoming = std::mem::take(&mut self.incoming);
        let mut rest = &incoming[..];
        let mut end = None;
        while end.is_none() {
            match frame::next_packet(rest) {
                Ok(Some(packet)) => {
                    rest = &rest[packet.consumed..];
                    let now = self.now();
                    let step = self.server.handle_packet(now, packet.kind, packet.payload);
                    end = self.take_step(step)?;
                }
                Ok(None) => break,
                Err(error) => {
                    self.server.handle_frame_error(error);
                    end = Some(End::Now);
                }
            }
        }
        if arrived {
            self.server.handle_bytes_received(self.now());
        }
        self.incoming.extend_from_slice(rest);
        Ok(end.or(closed.then_some(End::Now)))
    }

    fn take_step(&mut self, step: ServerStep<'_>) -> io::Result<Option<End>> {
        match step {
            ServerStep::LoginRequested(request) => self.judge(&request),
            ServerStep::Logout | ServerStep::Close(_) => Ok(Some(End::Now)),
            ServerStep::Nothing | ServerStep::Heartbeat | ServerStep::Unsequenced { .. } | ServerStep::Debug { .. } => {
                Ok(None)
            }
        }
    }

    /// Runs the protocol's timers.
    fn tick(&mut self) -> Option<End> {
        let now = self.now();
        let before = self.outgoing.len();
        let step = self.server.handle_timeout(now, &mut self.outgoing);
        if self.silent || self.shared.faults.is_mute() {
            self.outgoing.truncate(before);
        }
        matches!(step, ServerStep::Close(_)).then_some(End::Now)
    }

    /// Puts released messages into the write buffer, and the end of the session behind the last one.
    fn fetch(&mut self) -> Option<End> {
        let faults = &self.shared.faults;
        let cursor = self.cursor.as_mut().filter(|_| !self.silent && !faults.is_mute())?;
        let (released, ended, session) = {
            let state = self.shared.feed.state();
            let session = state.sessions[self.session];
            (session.limit(state.released), state.ended && state.failure.is_none(), session)
        };
        let now = Nanos(u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX));
        let (server, outgoing) = (&mut self.server, &mut self.outgoing);
        // A stop is a message with something in front of it, or a cut inside: it comes first in a run of its own.
        let stop = faults.next_stop(cursor.next()).filter(|stop| *stop <= released);
        if stop.is_some_and(|stop| stop == cursor.next()) && cursor.next() < released {
            if let Some(what) = faults.inserted(cursor.next()) {
                junk::append(outgoing, what, cursor.next());
            }
            if let Some((byte, reset)) = faults.cut_in(cursor.next()) {
                self.script.cut_after(outgoing.len() as u64 + byte, reset);
            }
        }
        let behind = stop.map(|stop| if stop == cursor.next() { stop + 1 } else { stop });
        let last_before_silence = faults.silence_after();
        let silence = last_before_silence.map(|last| last.saturating_add(1));
        let until = [behind, silence].into_iter().flatten().fold(released, u64::min);
        let read = self.shared.feed.log.read(cursor, until, |message| {
            server.send_sequenced(now, message, outgoing).expect("a log's message fits a packet of a live session");
            outgoing.len() < WRITE_BUFFER_BYTES
        });
        match read {
            Ok(given) => drop(self.shared.counters.messages.fetch_add(given, Relaxed)),
            Err(error) => return Some(self.lost(&error)),
        }
        if last_before_silence.is_some_and(|last| cursor.next() > last) && faults.fall_silent() {
            self.silent = true;
            self.shared.feed.leave(self.id);
            return None;
        }
        let at = cursor.next();
        self.finish_session(at, &session, ended && at >= released)
    }

    /// Ends the session, or the connection, when its last message is out.
    fn finish_session(&mut self, at: u64, session: &Span, is_last: bool) -> Option<End> {
        let is_replaced = session.until == Some(at);
        let ends = match is_replaced {
            true => session.is_ended,
            false => is_last && self.shared.config.at_end == AtEnd::EndSession,
        };
        if ends {
            self.server.end_of_session(self.now(), &mut self.outgoing).expect("a live session can end");
        } else if is_replaced {
            // What is still in the buffer belongs to the old session and is owed to the client.
            return Some(self.write_out().ok().flatten().unwrap_or(End::Graceful));
        }
        None
    }

    fn lost(&self, error: &LogError) -> End {
        self.shared.counters.fell_behind.fetch_add(1, Relaxed);
        eprintln!("ticklane-venue: closing a client: {error}");
        End::Now
    }

    /// Writes everything that is ready, in the pieces that the faults ask for.
    fn write_out(&mut self) -> io::Result<Option<End>> {
        if self.is_holding_back() {
            return Ok(None);
        }
        self.script.set_chunk(self.shared.faults.chunk());
        let mut ready = &self.outgoing[..];
        let mut stream = self.stream;
        while !ready.is_empty() {
            match self.script.next_piece(ready.len()) {
                Piece::Write(bytes) => {
                    stream.write_all(&ready[..bytes])?;
                    self.shared.counters.bytes.fetch_add(bytes as u64, Relaxed);
                    ready = &ready[bytes..];
                }
                Piece::Cut { .. } => break,
            }
        }
        self.outgoing.clear();
        if let Some(cut) = self.script.is_cut_due() {
            self.shared.faults.cut_played();
            return Ok(Some(if cut.reset { End::Reset } else { End::Graceful }));
        }
        if let (Pace::Max, Some(cursor)) = (self.shared.config.pace, &self.cursor) {
            self.shared.feed.progress(self.id, cursor.next());
        }
        Ok(None)
    }

    /// Whether what is ready waits for more to be written with it.
    fn is_holding_back(&mut self) -> bool {
        let wanted = self.shared.faults.coalesce();
        let is_live = self.cursor.is_some() && self.server.state() != ServerState::SessionEnded;
        if !is_live || self.outgoing.is_empty() || self.outgoing.len() >= wanted {
            self.held_since = None;
            return false;
        }
        let waits = self.held_since.get_or_insert_with(Instant::now).elapsed() < HOLD_LIMIT;
        if !waits {
            self.held_since = None;
        }
        waits
    }

    /// Until something is released, arrives, or is due.
    fn wait(&self) {
        let now = self.now();
        let limit = self.server.poll_timeout().map_or(IDLE_WAIT, |due| Duration::from_nanos(due.since(now)));
        let limit = if self.held_since.is_some() { limit.min(HOLD_LIMIT / 4) } else { limit };
        let faults = &self.shared.faults;
        let next = self.cursor.as_ref().filter(|_| !self.silent).map(Cursor::next);
        let at_end = self.shared.config.at_end;
        self.shared.feed.wait_for(limit.min(IDLE_WAIT), |state| {
            let inbox = lock(self.inbox);
            let session = &state.sessions[self.session];
            let may_end = state.ended && state.failure.is_none() && at_end == AtEnd::EndSession;
            let has_more = |next| next < session.limit(state.released) || may_end || session.until == Some(next);
            !inbox.bytes.is_empty() || inbox.closed || (next.is_some_and(has_more) && !faults.is_mute())
        });
    }

    fn finish(&self, end: &End) {
        match end {
            End::Now => {}
            // The end of our stream goes out, and the socket stays until the client has read it all: closing a socket
            // with unread input would reset the connection and take the last bytes with it.
            End::Graceful => {
                if self.stream.shutdown(Shutdown::Write).is_ok() {
                    self.shared.feed.wait_for(CLOSE_TIMEOUT, |_| lock(self.inbox).closed);
                }
            }
            End::Reset => {
                // Zero linger turns the close into a reset. Only the reader is woken here: the close itself is the last
                // owner's drop, in the caller.
                let lingers = SockRef::from(self.stream).set_linger(Some(Duration::ZERO));
                if lingers.is_ok() && self.stream.shutdown(Shutdown::Read).is_ok() {
                    return;
                }
            }
        }
        // An error means that the connection is gone already.
        drop(self.stream.shutdown(Shutdown::Both));
    }
}
