//! What other tasks put before a shard's task: upgraded sockets, questions, and what was read of the journal. Whoever puts something in rings the
//! bell, a descriptor that the shard's epoll watches.

use std::collections::VecDeque;
use std::io;
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};

use gateway_core::dialect::SlowPolicy;
use gateway_core::replay::{Batch, ReplayId};
use rustix::event::{EventfdFlags, eventfd};

use crate::app::{AskError, TradesRequest};

/// Questions that may wait for a shard; more: 503.
const QUESTIONS_MAX: usize = 1024;

/// A counter that wakes an epoll. Any number of rings before it is looked at count as one.
#[derive(Debug, Clone)]
pub(crate) struct Bell(Arc<OwnedFd>);

impl Bell {
    /// # Errors
    /// Whatever `eventfd` says: mostly that there are no descriptors left.
    pub(crate) fn new() -> io::Result<Bell> {
        Ok(Bell(Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?)))
    }

    /// Makes the descriptor readable.
    pub(crate) fn ring(&self) {
        // The only refusal is "the counter is full": then it is readable already.
        let _ = rustix::io::write(&*self.0, &1_u64.to_ne_bytes());
    }

    /// Makes it silent again.
    pub(crate) fn clear(&self) {
        // The only refusal is "nothing there".
        let _ = rustix::io::read(&*self.0, &mut [0_u8; 8]);
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// A socket whose handshake is done.
#[derive(Debug)]
pub(crate) struct Upgraded {
    /// The socket, non-blocking.
    pub(crate) stream: TcpStream,
    /// What the client sent behind its handshake.
    pub(crate) early: Vec<u8>,
    /// What happens when it is slow.
    pub(crate) slow: SlowPolicy,
    /// What it speaks.
    pub(crate) speech: Speech,
    /// Held as long as the connection lives: its share of the limits.
    pub(crate) seat: crate::http::seats::Seat,
}

/// What is spoken on a WebSocket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Speech {
    /// `/ws/v1`.
    Native,
    /// `/echo`.
    Echo,
}

#[derive(Debug, Default)]
struct Waiting {
    sockets: VecDeque<Upgraded>,
    questions: VecDeque<TradesRequest>,
    batches: VecDeque<(ReplayId, Batch)>,
    stopped: bool,
}

/// The door to one shard's task. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Inbox {
    waiting: Arc<Mutex<Waiting>>,
    bell: Bell,
}

impl Inbox {
    /// An empty one.
    ///
    /// # Errors
    /// As [`Bell::new`].
    pub(crate) fn new() -> io::Result<Inbox> {
        Ok(Inbox { waiting: Arc::default(), bell: Bell::new()? })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The bell that rings for it.
    pub(crate) fn bell(&self) -> &Bell {
        &self.bell
    }

    /// Hands over a socket; their number is bounded by the seats. Dropped, that is closed, when the shard is stopping.
    pub(crate) fn admit(&self, socket: Upgraded) {
        let mut waiting = self.lock();
        if !waiting.stopped {
            waiting.sockets.push_back(socket);
            self.bell.ring();
        }
    }

    /// Puts a question.
    ///
    /// # Errors
    /// [`AskError`].
    pub(crate) fn ask(&self, question: TradesRequest) -> Result<(), AskError> {
        let mut waiting = self.lock();
        if waiting.stopped {
            return Err(AskError::Stopping);
        }
        if waiting.questions.len() >= QUESTIONS_MAX {
            return Err(AskError::Busy);
        }
        waiting.questions.push_back(question);
        self.bell.ring();
        Ok(())
    }

    /// Hands over what was read of the journal; at most one batch of each reading is ever under way.
    pub(crate) fn replayed(&self, id: ReplayId, batch: Batch) {
        let mut waiting = self.lock();
        if !waiting.stopped {
            waiting.batches.push_back((id, batch));
            self.bell.ring();
        }
    }

    /// The next batch of the journal.
    pub(crate) fn batch(&self) -> Option<(ReplayId, Batch)> {
        self.lock().batches.pop_front()
    }

    /// The next socket.
    pub(crate) fn socket(&self) -> Option<Upgraded> {
        self.lock().sockets.pop_front()
    }

    /// The next question.
    pub(crate) fn question(&self) -> Option<TradesRequest> {
        self.lock().questions.pop_front()
    }

    /// Refuses everything from now on, and drops what waits.
    pub(crate) fn stop(&self) {
        let mut waiting = self.lock();
        *waiting = Waiting { stopped: true, ..Waiting::default() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question() -> TradesRequest {
        TradesRequest { lane: "lane0".into(), instrument_id: 1, max: 1, reply: tokio::sync::oneshot::channel().0 }
    }

    #[test]
    fn questions_are_bounded_and_end_with_the_shard() {
        let inbox = Inbox::new().unwrap();
        for _ in 0..QUESTIONS_MAX {
            assert_eq!(inbox.ask(question()), Ok(()));
        }
        assert_eq!(inbox.ask(question()), Err(AskError::Busy));
        assert!(inbox.question().is_some());
        assert_eq!(inbox.ask(question()), Ok(()));
        inbox.stop();
        assert_eq!(inbox.ask(question()), Err(AskError::Stopping));
        assert!(inbox.question().is_none());
    }

    #[test]
    fn a_bell_rings_until_it_is_cleared() {
        let bell = Bell::new().unwrap();
        let rings = || {
            let mut fds = [rustix::event::PollFd::new(&bell, rustix::event::PollFlags::IN)];
            rustix::event::poll(&mut fds, Some(&rustix::time::Timespec { tv_sec: 0, tv_nsec: 0 })).unwrap() == 1
        };
        assert!(!rings());
        bell.ring();
        bell.ring();
        assert!(rings());
        bell.clear();
        assert!(!rings());
    }
}
