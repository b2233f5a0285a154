//! A line between a venue and an engine that can be reset at any byte, and says when that was.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// The next cut of several lines of which one is in use at a time.
#[derive(Debug, Default)]
pub struct Scissors(Mutex<Blades>);

#[derive(Debug, Default)]
struct Blades {
    /// Bytes towards the engine until the cut; `None`: no cut is due.
    left: Option<usize>,
    /// A line is being cut: its last bytes are on their way.
    cutting: bool,
    /// When the last one was made, until somebody asks.
    made: Option<Instant>,
    /// Whether data came over another connection since.
    resumed: bool,
}

/// Bytes of the answer to a login: what comes after them is data.
const LOGIN_BYTES: usize = 33;

impl Scissors {
    /// The line that brings the `after`-th byte from now on is reset behind it.
    pub fn cut_after(&self, after: usize) {
        *self.0.lock().unwrap() = Blades { left: Some(after), ..Blades::default() };
    }

    /// When the cut was made, once data has come over another connection; once.
    pub fn healed(&self) -> Option<Instant> {
        let mut blades = self.0.lock().unwrap();
        if blades.resumed { blades.made.take() } else { None }
    }

    /// Whether a cut is due, or was made and not asked for.
    pub fn is_open(&self) -> bool {
        let blades = self.0.lock().unwrap();
        blades.left.is_some() || blades.cutting || blades.made.is_some()
    }

    /// How many of the next `count` bytes may pass on a connection that has brought `before`, and whether it then ends.
    fn pass(&self, before: usize, count: usize) -> (usize, bool) {
        let mut blades = self.0.lock().unwrap();
        blades.resumed |= blades.made.is_some() && before + count > LOGIN_BYTES;
        match blades.left {
            Some(left) if left <= count => {
                (blades.left, blades.cutting) = (None, true);
                (left, true)
            }
            Some(left) => {
                blades.left = Some(left - count);
                (count, false)
            }
            None => (count, false),
        }
    }
}

/// One line: what connects to its port reaches the venue's.
pub struct Line {
    pub port: u16,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Line {
    pub fn to(venue: u16, scissors: Arc<Scissors>) -> Line {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            let mut relays = Vec::new();
            for near in listener.incoming() {
                if stopped.load(Ordering::Relaxed) {
                    break;
                }
                // Whoever dials while the venue is away sees the connection end, as with the venue itself.
                let (Ok(near), Ok(far)) = (near, TcpStream::connect(("127.0.0.1", venue))) else { continue };
                let (scissors, stopped) = (scissors.clone(), stopped.clone());
                relays.push(std::thread::spawn(move || {
                    // An error is the end of one of the two: the other one is told by the end of this connection.
                    let _ = relay(near, &far, &scissors, &stopped);
                    let _ = far.shutdown(Shutdown::Both);
                }));
            }
            relays.into_iter().for_each(|relay| relay.join().unwrap());
        });
        Line { port, stop, thread: Some(thread) }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // It waits for a connection: this one.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn relay(mut near: TcpStream, mut far: &TcpStream, scissors: &Scissors, stop: &AtomicBool) -> io::Result<()> {
    const TICK: Timespec = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
    // An engine that is stopped for good must not hold us in a write.
    near.set_write_timeout(Some(Duration::from_secs(5)))?;
    near.set_nodelay(true)?;
    let mut buffer = vec![0; 1 << 16];
    let mut before = 0;
    while !stop.load(Ordering::Relaxed) {
        let mut fds = [PollFd::new(&near, PollFlags::IN), PollFd::new(far, PollFlags::IN)];
        poll(&mut fds, Some(&TICK))?;
        let [said, brought] = fds.map(|fd| !fd.revents().is_empty());
        if said {
            match near.read(&mut buffer)? {
                0 => return Ok(()),
                count => far.write_all(&buffer[..count])?,
            }
        }
        if brought {
            let count = far.read(&mut buffer)?;
            if count == 0 {
                return Ok(());
            }
            let (passed, cut) = scissors.pass(before, count);
            before += count;
            if let Err(error) = near.write_all(&buffer[..passed]) {
                if cut {
                    // The engine was killed at this very moment: the cut goes to its successor.
                    scissors.cut_after(1);
                }
                return Err(error);
            }
            if cut {
                // Closed with this set, a connection is reset, and what was not sent yet is forgotten.
                rustix::net::sockopt::set_socket_linger(&near, Some(Duration::ZERO))?;
                drop(near);
                *scissors.0.lock().unwrap() = Blades { made: Some(Instant::now()), ..Blades::default() };
                return Ok(());
            }
        }
    }
    Ok(())
}
