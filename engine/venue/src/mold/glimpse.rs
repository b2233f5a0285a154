//! GLIMPSE: the directory and the live orders at one message of the session, over SoupBinTCP, then the number to go on
//! from on the lines. One thread for each client; a snapshot is made when it logs in.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use wire::dialect::{Clock, Dialect};
use wire::soupbin::field::SEQUENCE_BYTES;
use wire::soupbin::frame::{self, REJECT_NO_SESSION};
use wire::soupbin::server::{LoginRequest, parse_login_request};

use super::Shared;
use super::tracker::Tracker;
use crate::feed::Span;
use crate::log::{Cursor, LogError};
use crate::source::Start;

/// Most clients at a time; one more is closed at once.
const MAX_CLIENTS: usize = 16;
/// How long a client may take to log in, and to close when it has everything.
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
    let Some(request) = login(shared, stream)? else { return Ok(()) };
    if shared.config.start == Start::Login {
        shared.feed.begin();
    }
    let (index, session) = shared.feed.state().session();
    if !request.session.is_blank() && !request.session.eq_ignore_case(&session.name) {
        return stream.write_all(&frame::login_rejected(REJECT_NO_SESSION));
    }
    let Ok((messages, next)) = snapshot(shared, image, index, &session) else { return Ok(()) };
    let mut out = frame::login_accepted(&session.name, 1).to_vec();
    for message in &messages {
        frame::append(&mut out, frame::kind::SEQUENCED, message).expect("a message of the log fits a packet");
    }
    let end = end_of_snapshot(dialect.clock(), next);
    frame::append(&mut out, frame::kind::SEQUENCED, &end).expect("21 bytes fit a packet");
    {
        let mut report = shared.report();
        let glimpse = report.glimpse.get_or_insert_default();
        glimpse.snapshots += 1;
        glimpse.messages += messages.len() as u64;
    }
    stream.write_all(&out)?;
    // The client logs out; until then nothing more is said.
    let until = Instant::now() + PATIENCE;
    while !shared.feed.state().stopping && Instant::now() < until {
        match stream.read(&mut [0; 256]) {
            Ok(0) => break,
            Err(error) if !is_timeout(&error) => break,
            _ => {}
        }
    }
    Ok(())
}

/// The login request; none when the client sends something else, leaves, or takes too long.
fn login(shared: &Shared, mut stream: &TcpStream) -> io::Result<Option<LoginRequest>> {
    let mut bytes = Vec::new();
    let until = Instant::now() + PATIENCE;
    while !shared.feed.state().stopping && Instant::now() < until {
        let mut chunk = [0; 256];
        match stream.read(&mut chunk) {
            Ok(0) => return Ok(None),
            Ok(len) => bytes.extend_from_slice(&chunk[..len]),
            Err(error) if is_timeout(&error) => {}
            Err(error) => return Err(error),
        }
        match frame::next_packet(&bytes) {
            Ok(Some(packet)) if packet.kind == frame::kind::LOGIN_REQUEST => {
                return Ok(parse_login_request(packet.payload));
            }
            Ok(None) if bytes.len() < frame::LOGIN_REQUEST_BYTES => {}
            _ => return Ok(None),
        }
    }
    Ok(None)
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

/// `G`: Nasdaq's has the number as text, padded on the left; X-stream's as eight bytes.
fn end_of_snapshot(clock: Clock, next: u64) -> Vec<u8> {
    let mut message = vec![b'G'];
    match clock {
        Clock::NanosSinceMidnight => message.extend(format!("{next:>SEQUENCE_BYTES$}").bytes()),
        Clock::SecondsAndNanos => message.extend(next.to_be_bytes()),
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_have_their_golden_bytes() {
        assert_eq!(end_of_snapshot(Clock::NanosSinceMidnight, 1_234), b"G                1234");
        assert_eq!(end_of_snapshot(Clock::SecondsAndNanos, 0x0102), b"G\0\0\0\0\0\0\x01\x02");
    }
}
