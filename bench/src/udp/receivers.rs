//! The receivers in a thread: two bare ones that only count, and ours without what comes after the arbiter.

use std::hint::black_box;
use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

use shm_abi::sys::{monotonic_ns, realtime_ns};
use wire::dialect::WINDOW;
use wire::multicast::{Arbiter, ArbiterConfig, GapReason, LineId, SessionKey, SessionStart, Sink, Source};
use wire::{MessageAt, Nanos, mold};

use crate::sys::datagrams::{Burst, enable_stamps_and_drop_counts, set_receive_buffer};
use crate::sys::uring::Multishot;
use crate::{BenchError, Result, io_error, sys};

/// What every receiver asks for: the engine's default.
pub const SOCKET_BUFFER_BYTES: usize = 8 << 20;
/// Bytes of a place for a datagram: an Ethernet frame's payload and some.
const PLACE_BYTES: usize = 2048;

/// How a thread receives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Receiver {
    /// One multishot `recvmsg` of io_uring into provided buffers; looks at each datagram's number.
    Multishot,
    /// `recvmmsg` in a loop; looks at each datagram's number.
    Recvmmsg,
    /// As the engine: one datagram after silence, else `recvmmsg`, with stamps and drop counts, MoldUDP64, arbiter; then every message is dropped.
    Arbiter,
}

/// What a receiver has taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Taken {
    /// Number after the last message of the last datagram.
    pub next: u64,
    /// Times that a datagram did not follow the one before; for the arbiter, gaps that it declared.
    pub jumps: u64,
}

/// On lines of its own, so that the sender's look disturbs nothing else.
#[derive(Debug, Default)]
#[repr(align(256))]
struct Apart<T>(T);

#[derive(Debug, Default)]
struct Shared {
    received: Apart<AtomicU64>,
    stop: Apart<AtomicBool>,
}

/// A receiving thread; it ends when this is dropped.
#[derive(Debug)]
pub struct Receiving {
    /// Where to send to.
    pub port: u16,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<Result<Taken>>>,
}

/// Why io_uring's multishot receive cannot be had here; `None` when it can.
pub fn multishot_refusal() -> Option<String> {
    let made = UdpSocket::bind("127.0.0.1:0").and_then(Multishot::new);
    made.err().map(|error| format!("no multishot receive of io_uring here: {error}"))
}

impl Receiving {
    /// Starts a receiver in a thread on `core`, and returns when it listens.
    ///
    /// # Errors
    /// When socket or ring cannot be had.
    pub fn start(receiver: Receiver, core: usize) -> Result<Receiving> {
        let open = || {
            let socket = UdpSocket::bind("127.0.0.1:0")?;
            set_receive_buffer(&socket, SOCKET_BUFFER_BYTES)?;
            socket.set_nonblocking(true)?;
            if receiver == Receiver::Arbiter {
                enable_stamps_and_drop_counts(&socket)?;
            }
            Ok((socket.local_addr()?.port(), socket))
        };
        let (port, socket) = open().map_err(io_error("open a receiver's socket"))?;
        let shared = Arc::new(Shared::default());
        let theirs = shared.clone();
        let (ready, started) = sync_channel(1);
        let thread = std::thread::spawn(move || {
            let _ = sys::pin(core);
            match receiver {
                Receiver::Multishot => multishot(socket, &theirs, &ready),
                Receiver::Recvmmsg => recvmmsg(&socket, &theirs, &ready),
                Receiver::Arbiter => arbiter(&socket, &theirs, &ready),
            }
        });
        let receiving = Receiving { port, shared, thread: Some(thread) };
        match started.recv() {
            Ok(()) => Ok(receiving),
            // It has ended before it was ready, and says why.
            Err(_) => receiving.finish().and(Err(failed("it ended at once"))),
        }
    }

    /// Datagrams received so far.
    #[inline(always)]
    pub fn received(&self) -> u64 {
        self.shared.received.0.load(Relaxed)
    }

    /// Ends the thread: what it has taken.
    ///
    /// # Errors
    /// Whatever stopped it before.
    pub fn finish(mut self) -> Result<Taken> {
        self.shared.stop.0.store(true, Release);
        let thread = self.thread.take().expect("the thread is joined once");
        thread.join().map_err(|_| failed("it panicked"))?
    }
}

impl Drop for Receiving {
    fn drop(&mut self) {
        self.shared.stop.0.store(true, Release);
        if let Some(thread) = self.thread.take() {
            // Whoever drops it has no use for what it says.
            let _ = thread.join();
        }
    }
}

fn failed(what: &str) -> BenchError {
    BenchError::Partner { role: "receiver".into(), what: what.into() }
}

/// Calls `receive` until it is told to stop, and shows how many datagrams have come.
#[inline(always)]
fn until_stopped(
    shared: &Shared,
    ready: &SyncSender<()>,
    mut receive: impl FnMut() -> std::io::Result<usize>,
) -> Result<()> {
    // The other side is gone only if it has given up.
    let _ = ready.send(());
    let mut received = 0;
    while !shared.stop.0.load(Acquire) {
        match receive().map_err(io_error("receive"))? {
            0 => std::hint::spin_loop(),
            count => {
                received += count as u64;
                shared.received.0.store(received, Relaxed);
            }
        }
    }
    Ok(())
}

/// Looks at a datagram's number and count: the least that any receiver of numbered datagrams must do.
#[inline(always)]
fn look(taken: &mut Taken, datagram: &[u8]) {
    const SEQUENCE: usize = mold::SESSION_BYTES;
    let Some(rest) = datagram.get(SEQUENCE..mold::HEADER_BYTES) else { return };
    let (sequence, count) = rest.split_at(8);
    let sequence = u64::from_be_bytes(sequence.try_into().expect("eight bytes"));
    taken.jumps += u64::from(sequence != taken.next);
    taken.next = sequence + u64::from(u16::from_be_bytes(count.try_into().expect("two bytes")));
}

fn multishot(socket: UdpSocket, shared: &Shared, ready: &SyncSender<()>) -> Result<Taken> {
    let mut ring = Multishot::new(socket).map_err(io_error("set up io_uring"))?;
    let mut taken = Taken { next: 1, jumps: 0 };
    until_stopped(shared, ready, || ring.receive(|datagram| look(&mut taken, datagram)))?;
    Ok(taken)
}

fn recvmmsg(socket: &UdpSocket, shared: &Shared, ready: &SyncSender<()>) -> Result<Taken> {
    let mut burst = Burst::new(PLACE_BYTES, 0, false);
    let mut taken = Taken { next: 1, jumps: 0 };
    until_stopped(shared, ready, || {
        let count = burst.receive(socket)?;
        (0..count).for_each(|index| look(&mut taken, &burst.bytes()[burst.datagram(index)]));
        Ok(count)
    })?;
    Ok(taken)
}

/// Takes what the arbiter hands over, and does nothing with it.
#[derive(Debug, Default)]
struct Dropped {
    gaps: u64,
}

impl Sink for Dropped {
    #[inline(always)]
    fn messages(&mut self, buffer: &[u8], messages: &[MessageAt], recv: Nanos, _: Source) {
        black_box((buffer, messages, recv));
    }

    fn gap(&mut self, _: u64, _: u64, _: GapReason) {
        self.gaps += 1;
    }

    fn session(&mut self, _: SessionStart) {}

    fn end_of_session(&mut self, _: SessionKey, _: u64) {}
}

fn arbiter(socket: &UdpSocket, shared: &Shared, ready: &SyncSender<()>) -> Result<Taken> {
    let mut burst = Burst::new(PLACE_BYTES, WINDOW, true);
    let mut arbiter = Arbiter::new(ArbiterConfig { lines: 1, ..ArbiterConfig::default() })
        .map_err(|error| failed(&error.to_string()))?;
    let mut sink = Dropped::default();
    let mut flows = false;
    until_stopped(shared, ready, || {
        let now = Nanos(monotonic_ns());
        let count = if flows { burst.receive(socket) } else { burst.receive_one(socket) }?;
        flows = count > 0;
        for index in 0..count {
            let stamp = Nanos(burst.stamp_ns(index).unwrap_or_else(realtime_ns));
            match mold::parse_at(burst.bytes(), burst.datagram(index)) {
                Ok(packet) => arbiter.handle_packet(now, stamp, Source::Line(LineId::A), &packet, &mut sink),
                Err(_) => arbiter.handle_malformed(Source::Line(LineId::A)),
            }
        }
        if arbiter.poll_timeout().is_some_and(|due| due <= now) {
            arbiter.handle_timeout(now, &mut sink);
        }
        Ok(count)
    })?;
    Ok(Taken { next: arbiter.next_sequence(), jumps: sink.gaps })
}
