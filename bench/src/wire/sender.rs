//! The sending end: a bare SoupBinTCP server for one client, and the reader that closes the loop.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use shm_abi::record::{HEAD_WORDS, Head};
use shm_abi::ring::{Polled, Rejoin, RingReader};
use shm_abi::segment::{MappedRing, RingName, Segment};
use wire::soupbin::field::SessionId;
use wire::soupbin::frame::{self, LOGIN_REQUEST_BYTES, kind};

use super::engine::LANE;
use super::stream::{SETUP_MESSAGES, Stream};
use crate::stats::Latency;
use crate::{BenchError, Result, floor, io_error, sys};

/// Longest wait for the other side: to dial, to log in, to publish a message.
const LIMIT: Duration = Duration::from_secs(20);
/// Looks at the ring between two looks at the clock.
const SPINS_PER_LOOK: u32 = 1 << 16;
const SESSION: &str = "BENCH";

/// Waits for the client.
#[derive(Debug)]
pub struct Sender {
    listener: TcpListener,
}

fn late(what: &str) -> BenchError {
    BenchError::Partner { role: "socket to reader".into(), what: what.into() }
}

impl Sender {
    /// Listens on a free port of loopback.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn listen() -> Result<Sender> {
        let listener = TcpListener::bind("127.0.0.1:0").map_err(io_error("listen on loopback"))?;
        listener.set_nonblocking(true).map_err(io_error("listen on loopback"))?;
        Ok(Sender { listener })
    }

    /// The port to dial.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn port(&self) -> Result<u16> {
        Ok(self.listener.local_addr().map_err(io_error("read the port"))?.port())
    }

    /// The client's connection, logged in.
    ///
    /// # Errors
    /// When nobody logs in within the limit, or `give_up` says that nobody will.
    pub fn accept(&self, mut give_up: impl FnMut() -> bool) -> Result<Connection> {
        let started = Instant::now();
        let stream = loop {
            match self.listener.accept() {
                Ok((stream, _)) => break stream,
                Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::yield_now(),
                Err(error) => return Err(io_error("accept the client")(error)),
            }
            if give_up() {
                return Err(late("the client ended before it dialled"));
            }
            if started.elapsed() > LIMIT {
                return Err(late("the client did not dial in time"));
            }
        };
        let mut connection = Connection { stream };
        connection.answer_login().map_err(io_error("answer the login"))?;
        Ok(connection)
    }
}

/// One logged-in client.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
}

impl Connection {
    fn answer_login(&mut self) -> std::io::Result<()> {
        self.stream.set_nonblocking(false)?;
        self.stream.set_read_timeout(Some(LIMIT))?;
        let mut login = [0; LOGIN_REQUEST_BYTES];
        self.stream.read_exact(&mut login)?;
        let session = SessionId::new(SESSION).expect("a legal name");
        self.stream.write_all(&frame::login_accepted(&session, 1))?;
        floor::prepare_stream(&self.stream)
    }

    /// The closed loop over this connection: see [`closed_loop`].
    ///
    /// # Errors
    /// As [`closed_loop`].
    pub fn closed_loop(&mut self, runtime: &Path, stream: Stream, ticks_per_ns: f64, pause_ns: u64) -> Result<Latency> {
        let frame = |_: u64, message: &[u8], packet: &mut Vec<u8>| {
            frame::append(packet, kind::SEQUENCED, message).expect("a message fits a packet");
        };
        // Never more than one message on its way: the socket always takes it whole.
        let send = |packet: &[u8]| self.stream.write_all(packet);
        closed_loop(runtime, stream, ticks_per_ns, pause_ns, frame, send)
    }
}

/// Sends the set-up, then one message at a time, each only when the record of the one before has been read and
/// `pause_ns` have passed. `frame` makes the packet of a message with its number; `send` is what is timed from.
///
/// # Errors
/// When sending fails or a record does not come within the limit.
pub fn closed_loop(
    runtime: &Path,
    mut stream: Stream,
    ticks_per_ns: f64,
    pause_ns: u64,
    frame: impl Fn(u64, &[u8], &mut Vec<u8>),
    mut send: impl FnMut(&[u8]) -> std::io::Result<()>,
) -> Result<Latency> {
    let mut reader = Segment::open(runtime, LANE)?.read_from(RingName::Orders, 0, Rejoin::Latest);
    let (timed, pause_ticks) = (stream.timed(), (pause_ns as f64 * ticks_per_ns) as u64);
    let mut latency = Latency::new(1.0 / ticks_per_ns);
    let mut packet = Vec::with_capacity(128);
    while let Some((sequence, message)) = stream.next_message() {
        packet.clear();
        frame(sequence, message, &mut packet);
        silence(pause_ticks);
        let sent = sys::ticks();
        send(&packet).map_err(io_error("send a message"))?;
        if sequence < SETUP_MESSAGES {
            continue;
        }
        if !await_record(&mut reader, sequence) {
            return Err(late(&format!("no record of message {sequence} within {} s", LIMIT.as_secs())));
        }
        let seen = sys::ticks();
        if sequence > SETUP_MESSAGES && floor::counts(sequence - SETUP_MESSAGES - 1, timed) {
            latency.record(seen - sent);
        }
    }
    Ok(latency)
}

#[inline(always)]
fn silence(ticks: u64) {
    let began = sys::ticks();
    while sys::ticks() - began < ticks {
        std::hint::spin_loop();
    }
}

/// Spins until the last record of message `sequence` is read; false when it does not come.
#[inline(always)]
fn await_record(reader: &mut RingReader<MappedRing>, sequence: u64) -> bool {
    let mut deadline = None;
    loop {
        for _ in 0..SPINS_PER_LOOK {
            match reader.poll() {
                Polled::Record { words, .. } if ends(words, sequence) => return true,
                Polled::Record { .. } | Polled::Lost(_) => {}
                Polled::Empty => std::hint::spin_loop(),
            }
        }
        if Instant::now() > *deadline.get_or_insert_with(|| Instant::now() + LIMIT) {
            return false;
        }
    }
}

/// Whether this is the last record of message `sequence`.
#[inline(always)]
fn ends(words: &[u64], sequence: u64) -> bool {
    let Some(head) = words.first_chunk::<HEAD_WORDS>() else { return false };
    let head = Head::from_words(head);
    head.is_last() && head.venue_sequence_low == sequence as u32
}
