//! The closed loop over datagrams: through the engine, and through a bare loop in a thread.

use std::io::ErrorKind;
use std::net::UdpSocket;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::JoinHandle;

use market::itch::{Itch, ItchConfig};
use market::{DenseIds, MessageAt, Stamps};
use shm_abi::segment::{Identity, LaneLock, LaneWriter};
use shm_abi::sys::realtime_ns;
use wire::BATCH;
use wire::dialect::WINDOW;
use wire::mold::{self, PacketBuilder};
use wire::multicast::{Body, SessionKey};

use crate::itch::book::plan;
use crate::machine::Machine;
use crate::stats::Latency;
use crate::sys::datagrams::{Burst, enable_stamps_and_drop_counts};
use crate::wire::engine::{self, Engine, Feed, LANE, LaneSpec, SLOTS};
use crate::wire::sender::closed_loop;
use crate::wire::stream::Stream;
use crate::{BenchError, Result, io_error, sys};

/// Room for one datagram of one message.
const DATAGRAM_BYTES: usize = 128;

/// The engine's reactor on the partner's core.
///
/// # Errors
/// When the engine cannot be started, ends, or does not publish.
pub(crate) fn through_engine(
    program: &Path,
    messages: u64,
    machine: &Machine,
    dir: &Path,
    pause_ns: u64,
) -> Result<Latency> {
    let folder = engine::Folder::make(dir)?;
    let (port, cores) = (engine::free_datagram_port()?, machine.cores);
    let lane = LaneSpec { name: LANE, core: Some(cores.partner), feed: Feed::Mold(port), venue: "XNAS" };
    let mut engine = Engine::start(program, &folder, &[lane], &[cores.own, cores.partner])?;
    engine.listening(&folder, LANE)?;
    let latency = send_to(port, folder.runtime(), messages, machine.ticks_per_ns, pause_ns);
    engine.explain(latency)
}

/// How a bare loop receives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    /// `recv`: the bytes, and nothing that the kernel knows about them.
    Recv,
    /// `recvmsg` with the kernel's stamps and drop counts, as a feed must.
    Stamped,
}

/// A thread on the partner's core that does nothing but receive, decode, book and publish.
///
/// # Errors
/// When the lane or the socket cannot be had, or nothing is published.
pub(crate) fn through_bare_loop(
    call: Call,
    messages: u64,
    machine: &Machine,
    dir: &Path,
    pause_ns: u64,
) -> Result<Latency> {
    let folder = engine::Folder::make(dir)?;
    let receiver = Bare::start(call, folder.runtime(), machine.cores.partner)?;
    let latency = send_to(receiver.port, folder.runtime(), messages, machine.ticks_per_ns, pause_ns);
    receiver.finish()?;
    latency
}

/// One message in each datagram, each only when the record of the one before has been read and `pause_ns` have passed.
///
/// # Errors
/// As [`closed_loop`].
pub(crate) fn send_to(port: u16, runtime: &Path, messages: u64, ticks_per_ns: f64, pause_ns: u64) -> Result<Latency> {
    let socket = UdpSocket::bind("127.0.0.1:0").map_err(io_error("open the sender's socket"))?;
    socket.connect(("127.0.0.1", port)).map_err(io_error("connect to the receiver"))?;
    let frame = |sequence: u64, message: &[u8], packet: &mut Vec<u8>| {
        let mut buffer = [0; DATAGRAM_BYTES];
        let session = SessionKey::padded(b"BENCH");
        let mut builder = PacketBuilder::new(&mut buffer, session, sequence).expect("room for a header");
        builder.push(message).expect("room for one message");
        packet.extend_from_slice(builder.finish());
    };
    closed_loop(runtime, Stream::new(messages), ticks_per_ns, pause_ns, frame, |packet| socket.send(packet).map(drop))
}

/// The bare loop's thread; it ends when this is dropped.
struct Bare {
    port: u16,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl Bare {
    fn start(call: Call, runtime: &Path, core: usize) -> Result<Bare> {
        let lock = LaneLock::take(runtime, LANE)?;
        let mut plan = plan(1, SLOTS);
        plan.lane = LANE.into();
        let writer = lock.create(&plan, Identity::random(0).map_err(io_error("draw an epoch"))?)?;
        writer.prefault();
        let open = || {
            let socket = UdpSocket::bind("127.0.0.1:0")?;
            socket.set_nonblocking(true)?;
            if call == Call::Stamped {
                enable_stamps_and_drop_counts(&socket)?;
            }
            Ok((socket.local_addr()?.port(), socket))
        };
        let (port, socket) = open().map_err(io_error("open the bare loop's socket"))?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            let _ = sys::pin(core);
            // The lock is held for as long as the writer lives.
            let _lock = lock;
            match call {
                Call::Recv => receive(&socket, writer, &stopped),
                Call::Stamped => receive_stamped(&socket, writer, &stopped),
            }
        });
        Ok(Bare { port, stop, thread: Some(thread) })
    }

    fn finish(mut self) -> Result<()> {
        self.stop.store(true, Relaxed);
        let thread = self.thread.take().expect("the thread is joined once");
        thread.join().map_err(|_| failed("it panicked"))?
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            // Whoever drops it has no use for what it says.
            let _ = thread.join();
        }
    }
}

fn failed(what: &str) -> BenchError {
    BenchError::Partner { role: "bare loop".into(), what: what.into() }
}

fn receive(socket: &UdpSocket, writer: LaneWriter, stop: &AtomicBool) -> Result<()> {
    let mut pipeline = Pipeline::new(writer)?;
    let mut buffer = vec![0; DATAGRAM_BYTES + WINDOW];
    while !stop.load(Relaxed) {
        match socket.recv(&mut buffer[..DATAGRAM_BYTES]) {
            Ok(len) => {
                let stamp = realtime_ns();
                pipeline.take(&buffer, 0..len, Stamps { ts_recv: stamp, ts_publish: stamp, flags: 0 })?;
                pipeline.writer.publish_heads();
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => std::hint::spin_loop(),
            Err(error) => return Err(io_error("receive")(error)),
        }
    }
    Ok(())
}

fn receive_stamped(socket: &UdpSocket, writer: LaneWriter, stop: &AtomicBool) -> Result<()> {
    let mut pipeline = Pipeline::new(writer)?;
    let mut burst = Burst::new(DATAGRAM_BYTES, WINDOW, true);
    while !stop.load(Relaxed) {
        match burst.receive_one(socket).map_err(io_error("receive"))? {
            0 => std::hint::spin_loop(),
            _ => {
                let stamp = burst.stamp_ns(0).unwrap_or_else(realtime_ns);
                let stamps = Stamps { ts_recv: stamp, ts_publish: realtime_ns(), flags: 0 };
                pipeline.take(burst.bytes(), burst.datagram(0), stamps)?;
                pipeline.writer.publish_heads();
            }
        }
    }
    Ok(())
}

/// Framing, book and ring.
struct Pipeline {
    nasdaq: Itch<DenseIds>,
    writer: LaneWriter,
    places: [MessageAt; BATCH],
}

impl Pipeline {
    fn new(writer: LaneWriter) -> Result<Pipeline> {
        let nasdaq = Itch::new(ItchConfig::default(), DenseIds::default());
        let nasdaq = nasdaq.map_err(|error| BenchError::Market(error.to_string()))?;
        Ok(Pipeline { nasdaq, writer, places: [MessageAt { sequence: 0, at: 0, len: 0 }; BATCH] })
    }

    fn take(&mut self, buffer: &[u8], datagram: Range<usize>, stamps: Stamps) -> Result<()> {
        let packet = mold::parse_at(buffer, datagram).map_err(|error| failed(&error.to_string()))?;
        let Body::Messages(blocks) = packet.body else { return Ok(()) };
        let mut count = 0;
        for (place, message) in self.places.iter_mut().zip(blocks.places(packet.sequence)) {
            *place = message;
            count += 1;
        }
        self.nasdaq.apply(buffer, &self.places[..count], stamps, &mut self.writer);
        Ok(())
    }
}
