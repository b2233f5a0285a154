//! Our thin layer over glommio: the only module that names it.
//!
//! The rules of dependencies.md hold here: addresses are resolved elsewhere before `connect` sees them, the hot receive
//! is not glommio's but our own on the raw descriptor, and a reactor yields between bursts.

pub(crate) mod files;

use std::cell::Cell;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use futures_lite::future;
use glommio::net::{TcpStream, UdpSocket};
use glommio::{ExecutorJoinHandle, LocalExecutorBuilder, Placement};

use wire::Nanos;

use crate::sys;

/// Bytes that glommio may register for its own I/O; it locks them, so they count against memlock.
pub(crate) const IO_MEMORY_BYTES: usize = 1 << 20;
/// Entries of each of its rings.
pub(crate) const RING_DEPTH: usize = 256;
/// How often a task that never sleeps must give way, so that the others of its core run: the heartbeat above all, which
/// readers expect every 50 ms.
const TURN_EVERY_NS: u64 = 10_000_000;
/// When glommio's own timer asks for that: never. If it fires after the executor has looked at its rings and before it
/// begins to run tasks (the thread was off its core for that long), glommio 0.9 takes "nothing ran" for "nothing is to
/// run" and parks with runnable tasks in its queue; with all timers due already, for ever. So turns are ours to take.
const PREEMPT_NEVER: Duration = Duration::from_secs(365 * 24 * 3_600);
/// How long a reactor without a ready task polls before it parks: longer than [`give_way`] takes, so that this never parks.
/// Glommio parks behind a barrier that interrupts every core on which a thread of this process runs.
const SPIN_BEFORE_PARK: Duration = Duration::from_micros(5);
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
            .preempt_timer(PREEMPT_NEVER)
            .spin_before_park(SPIN_BEFORE_PARK)
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

/// Sleeps for `ns` nanoseconds.
pub(crate) async fn sleep(ns: u64) {
    glommio::timer::sleep(Duration::from_nanos(ns)).await;
}

thread_local! {
    /// When a task of this reactor last gave way to timers.
    static LAST_TURN: Cell<Nanos> = const { Cell::new(Nanos(0)) };
}

/// Lets other tasks of this reactor run if their turn has come. `now`: the caller has read the clock anyway.
pub(crate) async fn yield_if_needed(now: Nanos) {
    if now.since(LAST_TURN.get()) < TURN_EVERY_NS {
        glommio::yield_if_needed().await;
    } else {
        LAST_TURN.set(now);
        give_way().await;
    }
}

/// Lets every task run whose time has come. Glommio looks at its timers when no task is ready, so to stay ready, as a
/// plain yield does, would not do.
pub(crate) async fn give_way() {
    let mut ns = 1_000;
    let mut nap = pin!(sleep(ns));
    let mut waited = false;
    future::poll_fn(|context| {
        if waited {
            return nap.as_mut().poll(context);
        }
        waited = true;
        while nap.as_mut().poll(context).is_ready() {
            // Over before it began.
            ns *= 2;
            nap.set(sleep(ns));
        }
        Poll::Pending
    })
    .await;
}

/// Blocks this reactor for so long. For one all of whose tasks can wait that long: what was asked for is under way before,
/// and what is done is looked at behind. It does not park, so no lane feels it ([`SPIN_BEFORE_PARK`]).
pub(crate) async fn rest(ns: u64) {
    give_way().await;
    std::thread::sleep(Duration::from_nanos(ns));
    give_way().await;
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
    use std::rc::Rc;

    use shm_abi::sys::monotonic_ns;

    use super::*;

    /// Waits for the end of reactors, which a fault would put to sleep for ever.
    fn assert_ends(reactors: Vec<Reactor>) {
        let (ended, end) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            reactors.into_iter().for_each(|reactor| reactor.join().unwrap());
            ended.send(()).unwrap();
        });
        end.recv_timeout(Duration::from_secs(60)).expect("the reactors to end");
    }

    #[test]
    fn who_never_sleeps_lets_the_others_beat() {
        let reactor = Reactor::spawn("busy", None, || async {
            let beats = Rc::new(Cell::new(0));
            let counted = beats.clone();
            spawn_beside(async move {
                while counted.get() < 5 {
                    sleep(1_000).await;
                    counted.set(counted.get() + 1);
                }
            });
            while beats.get() < 5 {
                yield_if_needed(Nanos(monotonic_ns())).await;
            }
        });
        assert_ends(vec![reactor.unwrap()]);
    }

    #[test]
    fn a_thread_that_was_off_its_core_goes_on() {
        // Sleeps so short that all are due by the time a thread is on its core again, of which there are too few.
        let threads = 8 * std::thread::available_parallelism().map_or(2, usize::from);
        let naps = || async {
            for _ in 0..10_000 {
                give_way().await;
            }
        };
        assert_ends((0..threads).map(|_| Reactor::spawn("crowded", None, naps).unwrap()).collect());
    }

    #[test]
    fn files_are_written_while_a_reactor_rests() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_owned();
        let reactor = Reactor::spawn("resting", None, || async move {
            let written = Rc::new(Cell::new(0));
            let counted = written.clone();
            spawn_beside(async move {
                let file = files::OutFile::create(&path, "one").await.unwrap();
                for place in 0..20 {
                    file.write_all_at(vec![7; 4096], place * 4096).await.unwrap();
                    counted.set(place + 1);
                }
                file.sync().await.unwrap();
                counted.set(21);
            });
            while written.get() < 21 {
                rest(10_000).await;
            }
        });
        assert_ends(vec![reactor.unwrap()]);
        assert_eq!(std::fs::read(folder.path().join("one")).unwrap(), vec![7; 20 * 4096]);
    }
}
