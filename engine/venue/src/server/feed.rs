//! The session's messages as all connections see them: the log, how far it is released, and who has read how far.

use std::collections::HashMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::log::MessageLog;

#[derive(Debug, Default)]
pub(super) struct FeedState {
    /// Number after the last released message.
    pub(super) released: u64,
    /// No message will be released any more.
    pub(super) ended: bool,
    pub(super) stopping: bool,
    /// Why the venue cannot go on.
    pub(super) failure: Option<String>,
    started: bool,
    /// Next message of each connection that is being served.
    readers: HashMap<u64, u64>,
    /// Where the slowest reader stood last, for when none is left.
    slowest: u64,
}

/// Shared by the producer and all connections.
#[derive(Debug)]
pub(super) struct Feed {
    pub(super) log: MessageLog,
    state: Mutex<FeedState>,
    /// For connections: something was released or arrived, or the venue stops.
    changed: Condvar,
    /// For the producer: a login, progress of a reader, or the venue stops.
    demand: Condvar,
}

impl Feed {
    pub(super) fn new(log: MessageLog, started: bool) -> Self {
        let state = FeedState { released: 1, slowest: 1, started, ..FeedState::default() };
        Self { log, state: Mutex::new(state), changed: Condvar::new(), demand: Condvar::new() }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, FeedState> {
        // Every change is a few assignments that cannot panic half way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes all connections. The lock is taken so that none can be between its look and its wait.
    pub(super) fn notify(&self) {
        drop(self.state());
        self.changed.notify_all();
    }

    pub(super) fn release(&self, end: u64) {
        self.state().released = end;
        self.changed.notify_all();
    }

    pub(super) fn end(&self) {
        self.state().ended = true;
        self.changed.notify_all();
    }

    pub(super) fn fail(&self, cause: String) {
        let mut state = self.state();
        state.failure.get_or_insert(cause);
        state.ended = true;
        drop(state);
        self.changed.notify_all();
    }

    pub(super) fn stop(&self) {
        self.state().stopping = true;
        self.changed.notify_all();
        self.demand.notify_all();
    }

    /// A connection is served from `next` on; also starts the session.
    pub(super) fn join(&self, reader: u64, next: u64) {
        let mut state = self.state();
        state.started = true;
        state.readers.insert(reader, next);
        drop(state);
        self.demand.notify_all();
    }

    pub(super) fn progress(&self, reader: u64, next: u64) {
        if let Some(place) = self.state().readers.get_mut(&reader) {
            *place = next;
        }
        self.demand.notify_all();
    }

    /// A connection is gone, or will read no more.
    pub(super) fn leave(&self, reader: u64) {
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
    pub(super) fn wait_for_start(&self) -> bool {
        let mut state = self.state();
        while !state.started && !state.stopping {
            state = self.demand.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        !state.stopping
    }

    /// Waits until `due`. False when the venue stops.
    pub(super) fn wait_until(&self, due: Instant) -> bool {
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
    pub(super) fn wait_for_readers(&self, end: u64, lead: u64) -> bool {
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
    pub(super) fn wait_for(&self, limit: Duration, mut ready: impl FnMut(&FeedState) -> bool) {
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
