//! The same path in a plain thread: what session, book and ring cost without the engine's reactor around them.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::thread::{self, JoinHandle};

use market::itch::{Itch, ItchConfig};
use market::{DenseIds, MessageAt, Stamps};
use shm_abi::segment::{Identity, LaneLock, LaneWriter};
use shm_abi::sys::{monotonic_ns, realtime_ns};
use wire::Nanos;
use wire::soupbin::client::{Client, ClientConfig, ClientTimers, Step};
use wire::soupbin::frame::{PACKET_MAX_BYTES, next_packet};

use super::engine::{LANE, SLOTS};
use crate::itch::book::plan;
use crate::machine::Cores;
use crate::{BenchError, Result, floor, io_error, sys};

/// Makes the lane, then receives in a thread on the partner's core until the connection ends.
///
/// # Errors
/// When the lane cannot be made or the sender not be dialled.
pub fn start(runtime: &Path, port: u16, cores: Cores) -> Result<JoinHandle<Result<()>>> {
    let lock = LaneLock::take(runtime, LANE)?;
    let mut plan = plan(1, SLOTS);
    plan.lane = LANE.into();
    let writer = lock.create(&plan, Identity::random(0).map_err(io_error("draw an epoch"))?)?;
    writer.prefault();
    let stream = TcpStream::connect(("127.0.0.1", port)).map_err(io_error("dial the sender"))?;
    floor::prepare_stream(&stream).map_err(io_error("set up the connection"))?;
    Ok(thread::spawn(move || {
        let _ = sys::pin(cores.partner);
        // The lock is held for as long as the writer lives.
        let _lock = lock;
        Loop::new(stream, writer)?.run()
    }))
}

/// The thread's own result.
///
/// # Errors
/// What the thread says, or that it panicked.
pub fn join(pipeline: JoinHandle<Result<()>>) -> Result<()> {
    pipeline.join().map_err(|_| failed("it panicked"))?
}

fn failed(what: &str) -> BenchError {
    BenchError::Partner { role: "bare loop".into(), what: what.into() }
}

struct Loop {
    stream: TcpStream,
    writer: LaneWriter,
    client: Client,
    nasdaq: Itch<DenseIds>,
    buffer: Vec<u8>,
    /// Bytes received and not yet consumed.
    filled: usize,
}

impl Loop {
    fn new(stream: TcpStream, writer: LaneWriter) -> Result<Loop> {
        let config = ClientConfig::new("demo", "demo", "", 1, ClientTimers::default()).expect("a legal login");
        let nasdaq = Itch::new(ItchConfig::default(), DenseIds::default());
        let nasdaq = nasdaq.map_err(|error| BenchError::Market(error.to_string()))?;
        let client = Client::new(config, Nanos(monotonic_ns()));
        Ok(Loop { stream, writer, client, nasdaq, buffer: vec![0; 2 * PACKET_MAX_BYTES], filled: 0 })
    }

    fn run(mut self) -> Result<()> {
        loop {
            while let Some(packet) = self.client.poll_transmit() {
                self.stream.write_all(packet.as_bytes()).map_err(io_error("send to the sender"))?;
            }
            match self.stream.read(&mut self.buffer[self.filled..]) {
                Ok(0) => return Ok(()),
                Ok(count) => {
                    self.filled += count;
                    self.take_packets()?;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => std::hint::spin_loop(),
                // The sender has what it wanted and is gone.
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ok(()),
                Err(error) => return Err(io_error("receive")(error)),
            }
        }
    }

    fn take_packets(&mut self) -> Result<()> {
        let (at, stamp) = (Nanos(monotonic_ns()), realtime_ns());
        let stamps = Stamps { ts_recv: stamp, ts_publish: stamp, flags: 0 };
        let mut start = 0;
        while let Some(packet) =
            next_packet(&self.buffer[start..self.filled]).map_err(|error| failed(&error.to_string()))?
        {
            let place = start + packet.consumed - packet.payload.len();
            start += packet.consumed;
            match self.client.handle_packet(at, packet.kind, packet.payload) {
                Step::Deliver { sequence, payload } => {
                    let message = MessageAt { sequence, at: place as u32, len: payload.len() as u32 };
                    self.nasdaq.apply(&self.buffer, &[message], stamps, &mut self.writer);
                }
                Step::Close(reason) => return Err(failed(&reason.to_string())),
                _ => {}
            }
        }
        self.writer.publish_heads();
        self.buffer.copy_within(start..self.filled, 0);
        self.filled -= start;
        Ok(())
    }
}
