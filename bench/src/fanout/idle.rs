//! What an event at an idle gateway costs at best: a thread must be woken, and bytes must cross loopback. Both are
//! measured as rarely as events come: after some milliseconds of silence the kernel's code and data have left the
//! caches, and a round trip takes a multiple of what it takes in a row.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::time::{Duration, Instant};

use shm_abi::sync::AtomicU32;
use shm_abi::sys::{futex_wait, futex_wake_all};

use crate::machine::Cores;
use crate::stats::Latency;
use crate::{BenchError, Result, floor, io_error, sys};

/// Silence before each round.
const REST: Duration = Duration::from_millis(4);
/// Bytes of the echoed message.
const ECHO_BYTES: usize = floor::ECHO_BYTES;
/// Longest sleep.
const SLEEP_LIMIT_NS: u64 = 1_000_000_000;
/// The waker's word when there is no more to come.
const END: u32 = u32::MAX;

fn rest() {
    let began = Instant::now();
    while began.elapsed() < REST {
        std::hint::spin_loop();
    }
}

/// Loopback TCP after a silence, one way: half of a round trip between two pinned threads, both polling their sockets.
///
/// # Errors
/// When the sockets cannot be had or break.
pub fn round_trip(cores: Cores, rounds: u32, ticks_per_ns: f64) -> Result<Latency> {
    let failed = || io_error("echo over loopback");
    let listener = TcpListener::bind("127.0.0.1:0").map_err(failed())?;
    let near = TcpStream::connect(listener.local_addr().map_err(failed())?).map_err(failed())?;
    let (far, _) = listener.accept().map_err(failed())?;
    for stream in [&near, &far] {
        floor::prepare_stream(stream).map_err(failed())?;
    }
    let mut latency = Latency::new(0.5 / ticks_per_ns);
    std::thread::scope(|scope| {
        let echo = scope.spawn(move || {
            let _ = sys::pin(cores.partner);
            // Until the other end is closed.
            while let Ok(message) = receive(&far) {
                if (&far).write_all(&message).is_err() {
                    return;
                }
            }
        });
        for _ in 0..rounds {
            rest();
            let sent = sys::ticks();
            (&near).write_all(&[7; ECHO_BYTES]).and_then(|()| receive(&near)).map_err(failed())?;
            latency.record(sys::ticks() - sent);
        }
        drop(near);
        echo.join().map_err(|_| BenchError::Partner { role: "echo".into(), what: "panicked".into() })
    })?;
    Ok(latency)
}

/// One whole message, polled for.
fn receive(mut stream: &TcpStream) -> std::io::Result<[u8; ECHO_BYTES]> {
    let mut message = [0; ECHO_BYTES];
    let mut have = 0;
    while have < ECHO_BYTES {
        match stream.read(&mut message[have..]) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(got) => have += got,
            Err(error) if error.kind() == ErrorKind::WouldBlock => std::hint::spin_loop(),
            Err(error) => return Err(error),
        }
    }
    Ok(message)
}

#[derive(Debug, Default)]
struct Bed {
    word: AtomicU32,
    /// Ticks at which the sleeper was awake; 0: it sleeps.
    awake: AtomicU64,
}

/// From `FUTEX_WAKE` on this core to a running thread on the partner's, which slept.
///
/// # Errors
/// When the sleeper panics.
pub fn wake_up(cores: Cores, rounds: u32, ticks_per_ns: f64) -> Result<Latency> {
    let bed = Bed::default();
    let mut latency = Latency::new(1.0 / ticks_per_ns);
    std::thread::scope(|scope| {
        let sleeper = scope.spawn(|| {
            let _ = sys::pin(cores.partner);
            sleep_and_tell(&bed);
        });
        for round in 1..=rounds {
            rest();
            bed.awake.store(0, Release);
            let called = sys::ticks();
            bed.word.store(round, Release);
            futex_wake_all(&bed.word);
            let awake = loop {
                match bed.awake.load(Acquire) {
                    0 => std::hint::spin_loop(),
                    awake => break awake,
                }
            };
            latency.record(awake.saturating_sub(called));
        }
        bed.word.store(END, Release);
        futex_wake_all(&bed.word);
        sleeper.join().map_err(|_| BenchError::Partner { role: "sleeper".into(), what: "panicked".into() })
    })?;
    Ok(latency)
}

fn sleep_and_tell(bed: &Bed) {
    let mut seen = 0;
    while seen != END {
        futex_wait(&bed.word, seen, SLEEP_LIMIT_NS);
        let now = bed.word.load(Acquire);
        if now != seen {
            seen = now;
            bed.awake.store(sys::ticks().max(1), Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_wakes() {
        let cores = sys::allowed_cores().unwrap();
        let cores = Cores { own: cores[0], partner: cores[cores.len() - 1] };
        let latency = wake_up(cores, 5, 1.0).unwrap();
        assert_eq!(latency.quantiles().n, 5);
        assert!(latency.quantiles().p50 > 0.0);
    }

    #[test]
    fn every_message_comes_back() {
        let cores = sys::allowed_cores().unwrap();
        let cores = Cores { own: cores[0], partner: cores[cores.len() - 1] };
        assert_eq!(round_trip(cores, 5, 1.0).unwrap().quantiles().n, 5);
    }
}
