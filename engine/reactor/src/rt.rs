//! Our thin layer over glommio: the only module that names it.
//!
//! The rules of dependencies.md hold here: addresses are resolved elsewhere before `connect` sees them, the hot receive
//! is not glommio's but our own on the raw descriptor, and a reactor yields between bursts.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

use futures_lite::future;
use glommio::net::{TcpStream, UdpSocket};
use glommio::{ExecutorJoinHandle, LocalExecutorBuilder, Placement};

use crate::sys;

/// Bytes that glommio may register for its own I/O; it locks them, so they count against memlock.
pub(crate) const IO_MEMORY_BYTES: usize = 1 << 20;
/// Entries of each of its rings.
pub(crate) const RING_DEPTH: usize = 256;
/// How often a task that never sleeps must give way, so that the others of its core run: the heartbeat above all, which
/// readers expect every 50 ms. Glommio's own 100 ms would let a spinning reactor seem half dead.
const PREEMPT_EVERY: Duration = Duration::from_millis(10);
/// Glommio refuses to start under this memlock limit.
pub(crate) const MEMLOCK_MIN_BYTES: u64 = 512 << 10;

/// A reactor's thread, to be waited for.
pub(crate) struct Reactor(ExecutorJoinHandle<()>);

impl Reactor {
    /// Starts a reactor named `name`, pinned to `core` if one is given, that runs `main` to its end.
    ///
    /// # Errors
    /// What glommio says, as text: no thread, no such core, no io_uring.
    pub(crate) fn spawn<G, F>(name: &str, core: Option<usize>, main: G) -> Result<Reactor, String>
    where
        G: FnOnce() -> F + Send + 'static,
        F: Future<Output = ()> + 'static,
    {
        LocalExecutorBuilder::new(core.map_or(Placement::Unbound, Placement::Fixed))
            .name(name)
            .io_memory(IO_MEMORY_BYTES)
            .ring_depth(RING_DEPTH)
            .preempt_timer(PREEMPT_EVERY)
            .spawn(main)
            .map(Reactor)
            .map_err(|error| error.to_string())
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// What ended it, as text, when it was not `main`.
    pub(crate) fn join(self) -> Result<(), String> {
        self.0.join().map_err(|error| error.to_string())
    }
}

/// Starts a task beside the current one, on the same core; it ends with the reactor.
pub(crate) fn spawn_beside(task: impl Future<Output = ()> + 'static) {
    glommio::spawn_local(task).detach();
}

/// Wakes a reactor from another thread, for when its own alarm fails: glommio 0.9 has been seen asleep with timers due
/// and none of them handed to the kernel.
#[derive(Debug, Clone, Default)]
pub(crate) struct Bell(Arc<Mutex<Option<Waker>>>);

impl Bell {
    /// Wakes the reactor that waits for it, and with it whatever is due there.
    pub(crate) fn ring(&self) {
        // Consumed by waking: a waker of glommio must not be dropped by another thread for nothing.
        let waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(waker) = waiting {
            waker.wake();
        }
    }

    /// Waits for the next ring.
    pub(crate) async fn rung(&self) {
        let mut asked = false;
        future::poll_fn(|context| {
            let waited = std::mem::replace(&mut asked, true);
            let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if waited && waiting.is_none() {
                return Poll::Ready(());
            }
            *waiting = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

/// Sleeps for `ns` nanoseconds.
pub(crate) async fn sleep(ns: u64) {
    glommio::timer::sleep(Duration::from_nanos(ns)).await;
}

/// Lets other tasks of this reactor run if their turn has come. Costs a flag when it has not.
pub(crate) async fn yield_if_needed() {
    glommio::yield_if_needed().await;
}

/// Runs blocking work (name resolution) off the reactor.
pub(crate) async fn offload<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    glommio::executor().spawn_blocking(work).await
}

/// A connected socket whose bytes we receive ourselves.
pub(crate) struct Connection {
    stream: TcpStream,
}

impl Connection {
    /// Connects, without Nagle's delay.
    ///
    /// # Errors
    /// `TimedOut` after `timeout_ms`; else what the system says.
    pub(crate) async fn open(address: SocketAddr, timeout_ms: u64) -> io::Result<Connection> {
        let timeout = Duration::from_millis(timeout_ms.max(1));
        let stream = TcpStream::connect_timeout(address, timeout).await.map_err(io::Error::from)?;
        stream.set_nodelay(true).map_err(io::Error::from)?;
        Ok(Connection { stream })
    }

    /// The descriptor, for our own receive and send.
    pub(crate) fn descriptor(&self) -> RawFd {
        self.stream.as_raw_fd()
    }

    /// Sleeps until there is something to read (or the end of the stream), for at most `limit_ns`.
    pub(crate) async fn readable(&self, limit_ns: u64) {
        let mut byte = [0u8];
        let arrived = async {
            // An error of the socket also counts: the next receive tells it.
            let _ = self.stream.peek(&mut byte).await;
        };
        future::or(arrived, sleep(limit_ns)).await;
    }
}

/// A datagram socket that we receive from ourselves.
pub(crate) struct DatagramSocket {
    socket: UdpSocket,
}

impl DatagramSocket {
    /// Takes a socket over.
    pub(crate) fn new(socket: OwnedFd) -> DatagramSocket {
        DatagramSocket { socket: sys::adopt(socket) }
    }

    /// The descriptor, for our own receive and send.
    pub(crate) fn descriptor(&self) -> RawFd {
        self.socket.as_raw_fd()
    }

    async fn readable(&self) {
        // An error of the socket also counts: the next receive tells it.
        let _ = self.socket.peek_from(&mut [0u8]).await;
    }
}

/// Sleeps until there is something to read on one of the first two sockets, for at most `limit_ns`.
pub(crate) async fn any_readable(sockets: &[DatagramSocket], limit_ns: u64) {
    match sockets {
        [] => sleep(limit_ns).await,
        [only] => first(only.readable(), sleep(limit_ns)).await,
        [a, b, ..] => first(first(a.readable(), b.readable()), sleep(limit_ns)).await,
    }
}

/// Runs both until the first of them is done; the other one is dropped.
pub(crate) async fn first<T>(one: impl Future<Output = T>, other: impl Future<Output = T>) -> T {
    future::or(one, other).await
}

impl AsRawFd for Connection {
    fn as_raw_fd(&self) -> RawFd {
        self.descriptor()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_wakes_a_reactor_that_nothing_else_would() {
        let bell = Bell::default();
        let (waiting, rings) = (bell.clone(), 100);
        let reactor = Reactor::spawn("bell", None, move || async move {
            for _ in 0..rings {
                waiting.rung().await;
            }
        })
        .unwrap();
        let (ended, end) = std::sync::mpsc::channel();
        let joined = std::thread::spawn(move || {
            reactor.join().unwrap();
            ended.send(()).unwrap();
        });
        // A ring that nobody waits for yet is lost: the next one is not.
        while end.recv_timeout(Duration::from_millis(1)).is_err() {
            bell.ring();
        }
        joined.join().unwrap();
    }
}
