//! GLIMPSE: the directory and the live orders at one message of the session, over SoupBinTCP, then the number to go on
//! from on the lines. One thread for each client; a snapshot is made when it logs in.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use wire::Nanos;
use wire::dialect::{Clock, Dialect};
use wire::glimpse::EndForm;
use wire::glimpse::server::SnapshotServer;
use wire::soupbin::frame::{self, REJECT_NO_SESSION};
use wire::soupbin::server::{LoginRequest, ServerState, ServerStep, ServerTimers};

use super::Shared;
use super::tracker::Tracker;
use crate::feed::Span;
use crate::log::{Cursor, LogError};
use crate::source::Start;

/// Most clients at a time; one more is closed at once.
const MAX_CLIENTS: usize = 16;
/// How long a client may leave bytes untaken.
const PATIENCE: Duration = Duration::from_secs(30);
/// How soon a stop is noticed.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// The state behind all snapshots, kept up when one is asked for.
#[derive(Debug)]
struct Image {
    tracker: Tracker,
    cursor: Cursor,
    /// The session it is of, by its place in the feed's list.
    session: usize,
}

/// Serves until the venue stops.
pub(super) fn run(shared: &Arc<Shared>, listener: &TcpListener, dialect: &'static Dialect) {
    let image = Mutex::new(Image { tracker: Tracker::new(dialect), cursor: Cursor::new(1), session: 0 });
    let clients = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        while !shared.feed.state().stopping {
            let Ok((stream, _)) = listener.accept() else {
                // Not blocking: nobody has come.
                std::thread::sleep(POLL_INTERVAL);
                continue;
            };
            if clients.fetch_add(1, Relaxed) >= MAX_CLIENTS {
                clients.fetch_sub(1, Relaxed);
                continue;
            }
            let (image, clients) = (&image, &clients);
            scope.spawn(move || {
                // A client that goes away in the middle has had what it wanted.
                drop(serve(shared, &stream, image, dialect));
                drop(stream.shutdown(Shutdown::Both));
                clients.fetch_sub(1, Relaxed);
            });
        }
    });
}

fn lock(image: &Mutex<Image>) -> MutexGuard<'_, Image> {
    // Messages are applied one by one; a thread that panicked has stopped between two.
    image.lock().unwrap_or_else(PoisonError::into_inner)
}

fn serve(shared: &Shared, mut stream: &TcpStream, image: &Mutex<Image>, dialect: &Dialect) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(POLL_INTERVAL))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let started = Instant::now();
    let now = || Nanos(u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX));
    let mut server = SnapshotServer::new(ServerTimers::default(), now());
    let mut out = Vec::new();
    let mut bytes = Vec::new();
    while !shared.feed.state().stopping {
        match frame::next_packet(&bytes) {
            Ok(Some(packet)) => {
                match server.handle_packet(now(), packet.kind, packet.payload) {
                    ServerStep::LoginRequested(request) => {
                        judge(shared, &request, image, dialect, now(), &mut server, &mut out);
                    }
                    ServerStep::Logout | ServerStep::Close(_) => return Ok(()),
                    _ => {}
                }
                bytes.drain(..packet.consumed);
            }
            Ok(None) => {
                let mut chunk = [0; 256];
                match stream.read(&mut chunk) {
                    Ok(0) => return Ok(()),
                    Ok(len) => bytes.extend_from_slice(&chunk[..len]),
                    Err(error) if is_timeout(&error) => {}
                    Err(error) => return Err(error),
                }
            }
            Err(_) => return Ok(()),
        }
        // Heartbeats while the client has not logged out, and an end when it says nothing.
        let step = server.handle_timeout(now(), &mut out);
        stream.write_all(&out)?;
        out.clear();
        if matches!(step, ServerStep::Close(_)) || matches!(server.state(), ServerState::Closed) {
            return Ok(());
        }
    }
    Ok(())
}

/// Answers a login with the whole snapshot, or with a rejection.
fn judge(
    shared: &Shared,
    request: &LoginRequest,
    image: &Mutex<Image>,
    dialect: &Dialect,
    now: Nanos,
    server: &mut SnapshotServer,
    out: &mut Vec<u8>,
) {
    const WAITS: &str = "a login waits for its answer";
    const FITS: &str = "a message of the log fits a packet of a live session";
    if shared.config.start == Start::Login {
        shared.feed.begin();
    }
    let (index, session) = shared.feed.state().session();
    let is_ours = request.session.is_blank() || request.session.eq_ignore_case(&session.name);
    let found = if is_ours { snapshot(shared, image, index, &session).ok() } else { None };
    let Some((messages, next)) = found else {
        return server.reject(REJECT_NO_SESSION, out).expect(WAITS);
    };
    server.accept(now, &session.name, out).expect(WAITS);
    for message in &messages {
        server.send(now, message, out).expect(FITS);
    }
    let form = match dialect.clock() {
        Clock::NanosSinceMidnight => EndForm::Text,
        Clock::SecondsAndNanos => EndForm::Binary,
    };
    server.finish(now, form, next, out).expect(FITS);
    let mut report = shared.report();
    let glimpse = report.glimpse.get_or_insert_default();
    glimpse.snapshots += 1;
    glimpse.messages += messages.len() as u64;
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}

/// All messages of a snapshot, and the number of the session's next message.
fn snapshot(
    shared: &Shared,
    image: &Mutex<Image>,
    index: usize,
    session: &Span,
) -> Result<(Vec<Vec<u8>>, u64), LogError> {
    let mut image = lock(image);
    let Image { tracker, cursor, session: of } = &mut *image;
    if *of != index {
        *tracker = Tracker::new(tracker.dialect());
        *cursor = Cursor::new(session.base + 1);
        *of = index;
    }
    // What the lines have carried and no more, so that whoever goes on from there need not wait.
    let sent = shared.sent.load(Relaxed).max(session.base + 1);
    while cursor.next() < sent {
        shared.feed.log.read(cursor, sent, |message| {
            tracker.apply(message);
            true
        })?;
    }
    Ok((tracker.snapshot(), cursor.next() - session.base))
}
