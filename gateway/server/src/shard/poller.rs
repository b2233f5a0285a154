//! What a shard's task waits on: one epoll of its own, over its sockets, its bells and a timer, of which the runtime
//! sees a single descriptor.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use gateway_core::shard::ConnectionId;
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::inbox::Bell;

/// Events taken with one call.
const EVENTS_MAX: usize = 256;
/// User data of the timer and of bells. No connection has them: their generations count up from 0.
const TIMER: u64 = u64::MAX;
const BELL: u64 = u64::MAX - 1;

const AT_ONCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };

/// What a socket is ready for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ready {
    /// Which.
    pub(crate) id: ConnectionId,
    /// There is something to read: bytes, an end or an error.
    pub(crate) readable: bool,
    /// An end or an error stands behind the bytes, and no further change will tell of it.
    pub(crate) ended: bool,
    /// The kernel takes bytes.
    pub(crate) writable: bool,
}

/// What one look at the epoll found, besides sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Polled {
    /// A bell rang.
    pub(crate) rang: bool,
    /// There may be more.
    pub(crate) more: bool,
}

/// The epoll.
pub(crate) struct Poller {
    epoll: AsyncFd<OwnedFd>,
    timer: OwnedFd,
    bells: Vec<Bell>,
    events: Vec<Event>,
}

impl std::fmt::Debug for Poller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Poller").field("epoll", &self.epoll).field("timer", &self.timer).finish_non_exhaustive()
    }
}

impl Poller {
    /// Must be called on a tokio runtime.
    ///
    /// # Errors
    /// Mostly that there are no descriptors left.
    pub(crate) fn new() -> io::Result<Poller> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK)?;
        epoll::add(&epoll, &timer, EventData::new_u64(TIMER), EventFlags::IN | EventFlags::ET)?;
        #[expect(
            deprecated,
            reason = "its successor is unsafe, for types whose descriptor can change or close while it is registered: \
                      an OwnedFd's cannot"
        )]
        let epoll = AsyncFd::with_interest(epoll, Interest::READABLE)?;
        Ok(Poller { epoll, timer, bells: Vec::new(), events: Vec::with_capacity(EVENTS_MAX) })
    }

    /// Wakes whenever this bell rings.
    ///
    /// # Errors
    /// Whatever `epoll_ctl` says.
    pub(crate) fn watch_bell(&mut self, bell: &Bell) -> io::Result<()> {
        epoll::add(self.epoll.get_ref(), bell, EventData::new_u64(BELL), EventFlags::IN | EventFlags::ET)?;
        self.bells.push(bell.clone());
        Ok(())
    }

    /// Watches a socket, edge-triggered: each change is told once.
    ///
    /// # Errors
    /// Whatever `epoll_ctl` says.
    pub(crate) fn watch(&self, socket: impl AsFd, id: ConnectionId) -> io::Result<()> {
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        Ok(epoll::add(self.epoll.get_ref(), socket, EventData::new_u64(id.to_bits()), flags)?)
    }

    /// Forgets a socket.
    pub(crate) fn forget(&self, socket: impl AsFd) {
        // It can only fail for a socket that was never watched.
        let _ = epoll::delete(self.epoll.get_ref(), socket);
    }

    /// What has happened since the last call, without waiting: at most so many events, the rest comes with the next call.
    pub(crate) fn poll(&mut self, ready: &mut Vec<Ready>) -> Polled {
        self.events.clear();
        // Only an interruption can make it fail: the next pass comes at once.
        let count = epoll::wait(self.epoll.get_ref(), spare_capacity(&mut self.events), Some(&AT_ONCE)).unwrap_or(0);
        let mut polled = Polled { rang: false, more: count == EVENTS_MAX };
        for event in &self.events {
            let (flags, data) = (event.flags, event.data);
            match data.u64() {
                // Edge-triggered: it needs no reading, and the next setting makes a new edge.
                TIMER => {}
                BELL => polled.rang = true,
                bits => ready.push(Ready {
                    id: ConnectionId::from_bits(bits),
                    readable: flags.intersects(!EventFlags::OUT),
                    ended: flags.intersects(EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR),
                    writable: flags.contains(EventFlags::OUT),
                }),
            }
        }
        if polled.rang {
            self.bells.iter().for_each(Bell::clear);
        }
        polled
    }

    /// Waits until something happens, or for so long.
    pub(crate) async fn wait(&self, limit: Duration) {
        // A timer of 0 would be off.
        let limit = limit.max(Duration::from_nanos(1));
        let value = Timespec { tv_sec: limit.as_secs() as i64, tv_nsec: limit.subsec_nanos().into() };
        let once = Itimerspec { it_interval: AT_ONCE, it_value: value };
        timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &once).expect("a timer of ours, set to a valid time");
        // The runtime is gone: so is this task, at its next await.
        if let Ok(mut guard) = self.epoll.readable().await {
            guard.clear_ready();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};

    fn on_a_runtime(test: impl AsyncFnOnce()) {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test());
    }

    #[test]
    fn waiting_ends_by_the_timer_by_a_bell_and_by_a_socket() {
        on_a_runtime(async || {
            let mut poller = Poller::new().unwrap();
            let bell = Bell::new().unwrap();
            poller.watch_bell(&bell).unwrap();
            let mut ready = Vec::new();
            for _ in 0..3 {
                poller.wait(Duration::from_micros(50)).await;
                assert!(!poller.poll(&mut ready).rang && ready.is_empty());
            }
            let forever = Duration::from_secs(3600);
            for _ in 0..3 {
                bell.ring();
                poller.wait(forever).await;
                assert!(poller.poll(&mut ready).rang && ready.is_empty());
                assert!(!poller.poll(&mut ready).rang);
            }
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (socket, _) = listener.accept().unwrap();
            let id = ConnectionId { index: 3, generation: 9 };
            poller.watch(&socket, id).unwrap();
            poller.wait(forever).await;
            poller.poll(&mut ready);
            assert_eq!(ready, [Ready { id, readable: false, ended: false, writable: true }]);
            ready.clear();
            client.write_all(b"x").unwrap();
            poller.wait(forever).await;
            poller.poll(&mut ready);
            assert!(ready.iter().any(|ready| ready.id == id && ready.readable), "{ready:?}");
            poller.forget(&socket);
            drop(client);
            ready.clear();
            poller.poll(&mut ready);
            assert!(ready.is_empty());
        });
    }
}
