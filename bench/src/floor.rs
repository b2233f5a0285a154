//! What the hardware gives at best: a cache line between two cores, a random load from memory, an echo over loopback.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Release};

use memmap2::{Advice, MmapMut};

use crate::machine::Cores;
use crate::partner::{Page, Partner, Role, Word};
use crate::stats::Latency;
use crate::{BenchError, Result, io_error, sys};

/// First part of a closed loop that is not counted: caches and branch predictors settle.
pub const WARM_UP_SHARE: u64 = 10;

/// Whether round `i` of `rounds` counts.
#[inline(always)]
pub fn counts(i: u64, rounds: u64) -> bool {
    i >= rounds / WARM_UP_SHARE
}

/// How the bare cache line is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lines {
    /// One line that both sides write: the cheapest exchange that the hardware knows.
    One,
    /// Two lines, each written by one side and only read by the other: what a broadcast ring must do, whose readers
    /// may not write.
    Two,
}

/// Marks the answer where both sides write one line.
const ANSWER: u64 = 1 << 63;

/// Bare cache line, one way: half of a round trip between two pinned processes over a shared page.
///
/// # Errors
/// When the partner cannot be started.
pub fn cache_line(dir: &Path, lines: Lines, cores: Cores, rounds: u64, ticks_per_ns: f64) -> Result<Latency> {
    let page = Page::create(dir)?;
    let role = if lines == Lines::One { Role::CacheLine } else { Role::CacheLines };
    let mut partner = Partner::start(&page, role, dir, cores.partner, rounds)?;
    let mut latency = Latency::new(0.5 / ticks_per_ns);
    let (ping, pong) = words(&page, lines);
    for i in 1..=rounds {
        let sent = sys::ticks();
        ping.store(i, Release);
        while pong.load(Acquire) != i | ANSWER {
            std::hint::spin_loop();
        }
        let seen = sys::ticks();
        if counts(i - 1, rounds) {
            latency.record(seen - sent);
        }
    }
    partner.wait(&page, Word::Done)?;
    Ok(latency)
}

fn words(page: &Page, lines: Lines) -> (&AtomicU64, &AtomicU64) {
    match lines {
        Lines::One => (page.word(Word::Ping), page.word(Word::Ping)),
        Lines::Two => (page.word(Word::Ping), page.word(Word::Pong)),
    }
}

/// The partner's side of [`cache_line`].
pub fn answer_cache_line(page: &Page, lines: Lines, rounds: u64) {
    let (ping, pong) = words(page, lines);
    page.word(Word::Ready).store(1, Release);
    for i in 1..=rounds {
        while ping.load(Acquire) != i {
            std::hint::spin_loop();
        }
        pong.store(i | ANSWER, Release);
    }
}

/// Bytes of the random load's memory.
pub const CHASE_BYTES: usize = 256 << 20;
const LINE: usize = 64;
/// Loads of one measurement.
pub const CHASE_LOADS: u32 = 2_000_000;

/// Nanoseconds of one dependent random load: every load's address comes from the load before it, over one cycle through
/// all cache lines of 256 MiB in 4 KiB pages. What one uncached order record costs, if nothing hides it.
///
/// # Errors
/// When the memory cannot be had.
pub fn random_load_ns(ticks_per_ns: f64) -> Result<f64> {
    let mut memory = MmapMut::map_anon(CHASE_BYTES).map_err(io_error("map 256 MiB"))?;
    memory.advise(Advice::NoHugePage).map_err(io_error("refuse huge pages"))?;
    link_lines(&mut memory);
    let next = |at: usize| {
        let word: [u8; 8] = memory[at * LINE..at * LINE + 8].try_into().expect("eight bytes");
        u64::from_le_bytes(word) as usize
    };
    let mut at = (0..CHASE_LOADS / WARM_UP_SHARE as u32).fold(0, |at, _| next(at));
    let started = sys::ticks();
    for _ in 0..CHASE_LOADS {
        at = next(at);
    }
    let elapsed = sys::ticks() - started;
    std::hint::black_box(at);
    Ok(elapsed as f64 / ticks_per_ns / f64::from(CHASE_LOADS))
}

/// Writes into each line the number of the line to load next: one cycle through all of them (Sattolo's shuffle).
fn link_lines(memory: &mut [u8]) {
    let lines = memory.len() / LINE;
    let mut next: Vec<u32> = (0..lines as u32).collect();
    let mut random = 0x1405_7b7e_f767_814f_u64;
    for i in (1..lines).rev() {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        next.swap(i, (random % i as u64) as usize);
    }
    for (line, next) in memory.chunks_exact_mut(LINE).zip(next) {
        line[..8].copy_from_slice(&u64::from(next).to_le_bytes());
    }
}

/// Bytes of the echoed message: a SoupBinTCP packet with an add order has 39.
pub const ECHO_BYTES: usize = 40;

/// Loopback TCP, one way: half of a round trip of 40 bytes between two pinned threads, both polling their sockets.
///
/// # Errors
/// When the sockets cannot be had or break.
pub fn tcp_echo(cores: Cores, rounds: u64, ticks_per_ns: f64) -> Result<Latency> {
    let (mut near, far) = tcp_pair()?;
    let echo = std::thread::spawn(move || {
        let _ = sys::pin(cores.partner);
        answer_echo(far, rounds)
    });
    let mut latency = Latency::new(0.5 / ticks_per_ns);
    let mut message = [7; ECHO_BYTES];
    for i in 0..rounds {
        let sent = sys::ticks();
        let round = near.write_all(&message).and_then(|()| read_exact_polling(&mut near, &mut message));
        round.map_err(io_error("echo over loopback"))?;
        let seen = sys::ticks();
        if counts(i, rounds) {
            latency.record(seen - sent);
        }
    }
    let answered = echo.join().map_err(|_| BenchError::Partner { role: "echo".into(), what: "panicked".into() })?;
    answered.map_err(io_error("answer over loopback"))?;
    Ok(latency)
}

fn answer_echo(mut far: TcpStream, rounds: u64) -> std::io::Result<()> {
    let mut message = [0; ECHO_BYTES];
    for _ in 0..rounds {
        read_exact_polling(&mut far, &mut message)?;
        far.write_all(&message)?;
    }
    Ok(())
}

/// Both ends of a loopback connection that never blocks and never waits for more to send.
fn tcp_pair() -> Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(io_error("listen on loopback"))?;
    let address = listener.local_addr().map_err(io_error("listen on loopback"))?;
    let near = TcpStream::connect(address).map_err(io_error("connect over loopback"))?;
    let (far, _) = listener.accept().map_err(io_error("accept on loopback"))?;
    for stream in [&near, &far] {
        prepare_stream(stream).map_err(io_error("set up a loopback connection"))?;
    }
    Ok((near, far))
}

/// No waiting: neither for data to come nor for more data to go.
///
/// # Errors
/// Whatever the system says.
pub fn prepare_stream(stream: &TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_nonblocking(true)
}

/// Polls the socket until `bytes` are full.
fn read_exact_polling(stream: &mut TcpStream, bytes: &mut [u8]) -> std::io::Result<()> {
    let mut have = 0;
    while have < bytes.len() {
        match stream.read(&mut bytes[have..]) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(got) => have += got,
            Err(error) if error.kind() == ErrorKind::WouldBlock => std::hint::spin_loop(),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chase_visits_every_line_once() {
        const LINES: usize = 1000;
        let mut memory = vec![0; LINES * LINE];
        link_lines(&mut memory);
        let mut seen = [false; LINES];
        let mut at = 0;
        for _ in 0..LINES {
            assert!(!std::mem::replace(&mut seen[at], true), "line {at} twice");
            at = u64::from_le_bytes(memory[at * LINE..at * LINE + 8].try_into().unwrap()) as usize;
        }
        assert_eq!(at, 0, "one cycle");
    }

    #[test]
    fn the_warm_up_does_not_count() {
        assert_eq!((0..100).filter(|i| counts(*i, 100)).count(), 90);
        assert!(counts(0, 5), "a handful is all counted");
    }
}
