//! The sender: as many datagrams as one core can send, with and without regard for the receiver.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use super::tape::{self, BATCH, DATAGRAM_BYTES};
use crate::sys::datagrams::set_segment_bytes;
use crate::{BenchError, Result, floor, io_error, sys};

/// Longest wait for the receiver to take what was sent.
const LIMIT: Duration = Duration::from_secs(20);
/// Looks at the receiver's count between two looks at the clock.
const SPINS_PER_LOOK: u32 = 1 << 12;
/// When the receiver has taken nothing for so long, it has taken everything.
const QUIET: Duration = Duration::from_millis(20);
/// Longest wait for that.
const QUIET_LIMIT: Duration = Duration::from_secs(2);

/// What one run has given, its first tenth left out.
#[derive(Debug, Clone, Copy)]
pub struct Rates {
    /// Datagrams received in a second.
    pub received_per_s: f64,
    /// Percent of the datagrams sent, all of them, that never came.
    pub lost_percent: f64,
    /// Percent of the time that the sender waited for the receiver.
    pub held_percent: f64,
    /// Timed datagrams sent.
    pub sent: u64,
}

/// A connected sender.
#[derive(Debug)]
pub struct Flood {
    socket: UdpSocket,
    bytes: Vec<u8>,
    /// Timed datagrams sent.
    sent: u64,
}

fn late(what: String) -> BenchError {
    BenchError::Partner { role: "receiver of datagrams".into(), what }
}

impl Flood {
    /// Sends the set-up to loopback's `port`, each datagram only when the receiver has counted the one before, and then is
    /// ready to send the timed ones. `received` tells how many datagrams the receiver has taken.
    ///
    /// # Errors
    /// When the socket cannot be had, or a datagram is not taken.
    pub fn set_up(port: u16, received: impl Fn() -> u64) -> Result<Flood> {
        let socket = UdpSocket::bind("127.0.0.1:0").map_err(io_error("open the sender's socket"))?;
        socket.connect(("127.0.0.1", port)).map_err(io_error("connect to the receiver"))?;
        let before = received();
        for (packet, count) in tape::setup().iter().zip(1..) {
            socket.send(packet).map_err(io_error("send the set-up"))?;
            await_count(&received, before + count)?;
        }
        set_segment_bytes(&socket, DATAGRAM_BYTES).map_err(io_error("have sends cut into datagrams"))?;
        Ok(Flood { socket, bytes: vec![0; BATCH as usize * DATAGRAM_BYTES], sent: 0 })
    }

    /// Sends the next [`BATCH`] datagrams.
    ///
    /// # Errors
    /// Whatever the system says.
    #[inline(always)]
    pub fn send_batch(&mut self) -> Result<()> {
        tape::fill(&mut self.bytes, self.sent);
        self.socket.send(&self.bytes).map_err(io_error("send datagrams"))?;
        self.sent += BATCH;
        Ok(())
    }

    /// Sends for `seconds` without regard for the receiver, whose kernel drops what finds no room.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn unpaced(&mut self, seconds: f64, ticks_per_ns: f64, received: impl Fn() -> u64) -> Result<Rates> {
        let whole = (seconds * 1e9 * ticks_per_ns) as u64;
        let (base, began) = (received(), sys::ticks());
        while sys::ticks() - began < whole / floor::WARM_UP_SHARE {
            self.send_batch()?;
        }
        let (first, warm) = (received(), sys::ticks());
        while sys::ticks() - began < whole {
            self.send_batch()?;
        }
        let (last, ended) = (received(), sys::ticks());
        let taken = await_quiet(&received) - base;
        Ok(Rates {
            received_per_s: (last - first) as f64 / (ended - warm) as f64 * ticks_per_ns * 1e9,
            lost_percent: 100.0 * (self.sent - taken.min(self.sent)) as f64 / self.sent as f64,
            held_percent: 0.0,
            sent: self.sent,
        })
    }

    /// Sends `datagrams`, rounded up to whole batches, never more than `window` of them ahead of the receiver: none is lost.
    ///
    /// # Errors
    /// When the receiver does not take them all.
    pub fn windowed(
        &mut self,
        datagrams: u64,
        window: u64,
        ticks_per_ns: f64,
        received: impl Fn() -> u64,
    ) -> Result<Rates> {
        let datagrams = datagrams.next_multiple_of(BATCH);
        let (base, mut held) = (received(), 0);
        let mut mark = None;
        while self.sent < datagrams {
            let room_at = (base + self.sent + BATCH).saturating_sub(window);
            if received() < room_at {
                let began = sys::ticks();
                await_count(&received, room_at)?;
                held += sys::ticks() - began;
            }
            self.send_batch()?;
            if mark.is_none() && self.sent >= datagrams / floor::WARM_UP_SHARE {
                (mark, held) = (Some((received(), sys::ticks())), 0);
            }
        }
        let sent_all = sys::ticks();
        await_count(&received, base + datagrams)?;
        let ended = sys::ticks();
        let (first, warm) = mark.unwrap_or((base, ended - 1));
        let ticks = (ended - warm).max(1) as f64;
        Ok(Rates {
            received_per_s: (base + datagrams - first) as f64 / ticks * ticks_per_ns * 1e9,
            lost_percent: 0.0,
            held_percent: 100.0 * (held + ended - sent_all) as f64 / ticks,
            sent: self.sent,
        })
    }
}

/// Spins until the receiver has taken `count` datagrams.
fn await_count(received: &impl Fn() -> u64, count: u64) -> Result<()> {
    let mut deadline = None;
    loop {
        for _ in 0..SPINS_PER_LOOK {
            if received() >= count {
                return Ok(());
            }
            std::hint::spin_loop();
        }
        if Instant::now() > *deadline.get_or_insert_with(|| Instant::now() + LIMIT) {
            let what = format!(
                "{} of {count} datagrams within {} s, though none was dropped on purpose",
                received(),
                LIMIT.as_secs()
            );
            return Err(late(what));
        }
    }
}

/// Waits until the receiver has emptied its socket: all that it has taken.
fn await_quiet(received: &impl Fn() -> u64) -> u64 {
    let began = Instant::now();
    let mut last = received();
    loop {
        std::thread::sleep(QUIET);
        let now = received();
        if now == last || began.elapsed() > QUIET_LIMIT {
            return now;
        }
        last = now;
    }
}
