//! The session's messages as all connections see them: the log, how far it is released, and who has read how far.

use std::collections::HashMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use wire::soupbin::field::SessionId;

use crate::log::MessageLog;

/// One session's part of the log: its messages are numbered from 1 behind `base`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) name: SessionId,
    /// Number in the log of the message before its first one.
    pub(crate) base: u64,
    /// Number in the log of the first message of the session after it; none while it is the last one.
    pub(crate) until: Option<u64>,
    /// Whether it ends in good order, with the words for it.
    pub(crate) is_ended: bool,
}

impl Span {
    /// Number in the log up to before which this session's messages go.
    pub(crate) fn limit(&self, released: u64) -> u64 {
        self.until.map_or(released, |until| released.min(until))
    }
}

#[derive(Debug, Default)]
pub(crate) struct FeedState {
    /// The sessions so far, the current one last; never empty.
    pub(crate) sessions: Vec<Span>,
    /// Number after the last released message.
    pub(crate) released: u64,
    /// No message will be released any more.
    pub(crate) ended: bool,
    pub(crate) stopping: bool,
    /// Why the venue cannot go on.
    pub(crate) failure: Option<String>,
    started: bool,
    /// Next message of each connection that is being served.
    readers: HashMap<u64, u64>,
    /// Where the slowest reader stood last, for when none is left.
    slowest: u64,
}

/// Shared by the producer and all connections.
#[derive(Debug)]
pub(crate) struct Feed {
    pub(crate) log: MessageLog,
    state: Mutex<FeedState>,
    /// For connections: something was released or arrived, or the venue stops.
    changed: Condvar,
    /// For the producer: a login, progress of a reader, or the venue stops.
    demand: Condvar,
}

impl FeedState {
    /// The session that is current: its place in the list, and itself.
    pub(crate) fn session(&self) -> (usize, Span) {
        let last = self.sessions.len() - 1;
        (last, self.sessions[last])
    }
}

impl Feed {
    pub(crate) fn new(log: MessageLog, name: SessionId, started: bool) -> Self {
        let sessions = vec![Span { name, base: 0, until: None, is_ended: false }];
        let state = FeedState { sessions, released: 1, slowest: 1, started, ..FeedState::default() };
        Self { log, state: Mutex::new(state), changed: Condvar::new(), demand: Condvar::new() }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, FeedState> {
        // Every change is a few assignments that cannot panic half way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes all connections. The lock is taken so that none can be between its look and its wait.
    pub(crate) fn notify(&self) {
        drop(self.state());
        self.changed.notify_all();
    }

    pub(crate) fn release(&self, end: u64) {
        self.state().released = end;
        self.changed.notify_all();
    }

    /// The message that is released next is the first one of this session.
    pub(crate) fn new_session(&self, name: SessionId, end_old: bool) {
        let mut state = self.state();
        let first = state.released;
        if let Some(old) = state.sessions.last_mut() {
            old.until = Some(first);
            old.is_ended = end_old;
        }
        state.sessions.push(Span { name, base: first - 1, until: None, is_ended: false });
        drop(state);
        self.changed.notify_all();
    }

    /// Lets the session begin, if it has not.
    pub(crate) fn begin(&self) {
        self.state().started = true;
        self.demand.notify_all();
    }

    pub(crate) fn end(&self) {
        self.state().ended = true;
        self.changed.notify_all();
    }

    pub(crate) fn fail(&self, cause: String) {
        let mut state = self.state();
        state.failure.get_or_insert(cause);
        state.ended = true;
        drop(state);
        self.changed.notify_all();
    }

    pub(crate) fn stop(&self) {
        self.state().stopping = true;
        self.changed.notify_all();
        self.demand.notify_all();
    }

    /// A connection is served from `next` on; with `start` the session begins.
    pub(crate) fn join(&self, reader: u64, next: u64, start: bool) {
        let mut state = self.state();
        state.started |= start;
        state.readers.insert(reader, next);
        drop(state);
        self.demand.notify_all();
    }

    pub(crate) fn progress(&self, reader: u64, next: u64) {
        if let Some(place) = self.state().readers.get_mut(&reader) {
            *place = next;
        }
        self.demand.notify_all();
    }

    /// A connection is gone, or will read no more.
    pub(crate) fn leave(&self, reader: u64) {
        let mut state = self.state();
        if let Some(place) = state.readers.remove(&reader)
            && state.readers.is_empty()
        {
            state.slowest = place;
        }
        drop(state);
        self.demand.notify_all();
    }

    /// Waits for the first login. False when the venue stops.
    pub(crate) fn wait_for_start(&self) -> bool {
        let mut state = self.state();
        while !state.started && !state.stopping {
            state = self.demand.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        !state.stopping
    }

    /// Waits until `due`. False when the venue stops.
    pub(crate) fn wait_until(&self, due: Instant) -> bool {
        let mut state = self.state();
        loop {
            let left = due.saturating_duration_since(Instant::now());
            if state.stopping || left.is_zero() {
                return !state.stopping;
            }
            state = self.demand.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits until the slowest reader is at most `lead` messages behind `end`. False when the venue stops.
    pub(crate) fn wait_for_readers(&self, end: u64, lead: u64) -> bool {
        let mut state = self.state();
        loop {
            let slowest = state.readers.values().copied().min().unwrap_or(state.slowest);
            if state.stopping || end <= slowest + lead {
                return !state.stopping;
            }
            state = self.demand.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Waits until `ready` says so, at most for `limit`. Called by connections.
    pub(crate) fn wait_for(&self, limit: Duration, mut ready: impl FnMut(&FeedState) -> bool) {
        let until = Instant::now() + limit;
        let mut state = self.state();
        while !state.stopping && !ready(&state) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}
