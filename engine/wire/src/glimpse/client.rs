//! Taking one snapshot: from login to the number that ends it, as a state machine without socket and clock.

use super::{Part, part};
use crate::soupbin::client::{Client, ClientConfig, ClientTimers, CloseReason, ConfigError, State, Step, Transmit};
use crate::soupbin::field::SessionId;
use crate::soupbin::frame::FrameError;
use crate::time::{Nanos, SECOND_NS};

/// Limits of a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotLimits {
    /// Messages that a snapshot may have.
    pub max_messages: u64,
    /// Time from the connection to the last message.
    pub time_limit_ns: u64,
}

impl Default for SnapshotLimits {
    /// 50 million messages, a minute.
    fn default() -> Self {
        Self { max_messages: 50_000_000, time_limit_ns: 60 * SECOND_NS }
    }
}

/// Why there is no snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// The connection ended first.
    #[error("connection ended before the snapshot did: {0}")]
    Closed(CloseReason),
    /// The server's first message is not number 1: a part of the snapshot is missing.
    #[error("the snapshot begins with message {sequence} instead of 1")]
    Incomplete {
        /// Number of the first message.
        sequence: u64,
    },
    /// The last message names no number.
    #[error("the last message names no sequence number")]
    BadEnd,
    /// More messages than allowed.
    #[error("more than {limit} messages")]
    TooLong {
        /// The limit.
        limit: u64,
    },
    /// It took longer than allowed.
    #[error("not complete after {limit_ns} ns")]
    TooSlow {
        /// The limit.
        limit_ns: u64,
    },
}

/// What the caller has to do about an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SnapshotStep<'p> {
    /// Nothing.
    Nothing,
    /// The login was accepted: hold the live feed back, empty the books.
    Begun {
        /// The snapshot's session; some venues give it the live session's name.
        session: SessionId,
    },
    /// A message of the snapshot.
    Message {
        /// Its place in the snapshot, from 1. It is no number of the live feed.
        number: u64,
        /// The message.
        payload: &'p [u8],
    },
    /// The snapshot is whole: go on with message `next` of the live feed, and close when the logout has been sent.
    Complete {
        /// The live feed's next number, at least 1.
        next: u64,
    },
    /// There is no snapshot: forget what it has brought and close. Every later input gives the same answer.
    Failed(SnapshotError),
}

/// One attempt to take a snapshot.
#[derive(Debug)]
pub struct SnapshotClient {
    client: Client,
    limits: SnapshotLimits,
    give_up_at: Nanos,
    messages: u64,
    outcome: Option<Result<u64, SnapshotError>>,
}

impl SnapshotClient {
    /// The login for a snapshot: all of it, from message 1, of `session` (blank: the one active now).
    ///
    /// # Errors
    /// As [`ClientConfig::new`].
    pub fn login(
        username: &str,
        password: &str,
        session: &str,
        timers: ClientTimers,
    ) -> Result<ClientConfig, ConfigError> {
        ClientConfig::new(username, password, session, 1, timers)
    }

    /// A connection that has just been made; `login` comes from [`Self::login`].
    #[must_use]
    pub fn new(login: ClientConfig, limits: SnapshotLimits, now: Nanos) -> Self {
        let give_up_at = now.saturating_add(limits.time_limit_ns);
        Self { client: Client::new(login, now), limits, give_up_at, messages: 0, outcome: None }
    }

    /// Takes one whole packet.
    #[inline]
    pub fn handle_packet<'p>(&mut self, now: Nanos, kind: u8, payload: &'p [u8]) -> SnapshotStep<'p> {
        let step = self.client.handle_packet(now, kind, payload);
        match (self.outcome, step) {
            (Some(Err(error)), _) => SnapshotStep::Failed(error),
            // What follows the last message, if only the end of the session, changes nothing.
            (Some(Ok(_)), _) => SnapshotStep::Nothing,
            (None, Step::Deliver { sequence, payload }) => self.message(now, sequence, payload),
            (None, Step::LoggedIn { sequence: 1, session, .. }) => SnapshotStep::Begun { session },
            (None, Step::LoggedIn { sequence, .. }) => self.fail(now, SnapshotError::Incomplete { sequence }),
            (None, Step::EndOfSession) => self.fail(now, SnapshotError::Closed(CloseReason::SessionEnded)),
            (None, Step::Close(reason)) => self.fail(now, SnapshotError::Closed(reason)),
            (None, Step::Nothing | Step::Duplicate { .. } | Step::Unsequenced { .. } | Step::Debug { .. }) => {
                SnapshotStep::Nothing
            }
        }
    }

    #[inline]
    fn message<'p>(&mut self, now: Nanos, number: u64, payload: &'p [u8]) -> SnapshotStep<'p> {
        match part(payload) {
            Part::Message if self.messages == self.limits.max_messages => {
                self.fail(now, SnapshotError::TooLong { limit: self.limits.max_messages })
            }
            Part::Message => {
                self.messages += 1;
                SnapshotStep::Message { number, payload }
            }
            Part::BadEnd => self.fail(now, SnapshotError::BadEnd),
            Part::End { next } => {
                self.outcome = Some(Ok(next));
                self.client.request_logout(now);
                SnapshotStep::Complete { next }
            }
        }
    }

    fn fail<'p>(&mut self, now: Nanos, error: SnapshotError) -> SnapshotStep<'p> {
        self.outcome = Some(Err(error));
        self.client.request_logout(now);
        SnapshotStep::Failed(error)
    }

    /// Bytes have arrived, if only a part of a packet: the server lives.
    pub fn handle_bytes_received(&mut self, now: Nanos) {
        self.client.handle_bytes_received(now);
    }

    /// The stream holds no packet any more.
    pub fn handle_frame_error(&mut self, now: Nanos, error: FrameError) -> SnapshotStep<'static> {
        let step = self.client.handle_frame_error(error);
        self.ended(now, step)
    }

    /// The connection has ended or failed under us.
    pub fn handle_disconnect(&mut self, now: Nanos) -> SnapshotStep<'static> {
        let reason = self.client.handle_disconnect();
        self.ended(now, Step::Close(reason))
    }

    fn ended(&mut self, now: Nanos, step: Step<'_>) -> SnapshotStep<'static> {
        match (self.outcome, step) {
            (Some(Err(error)), _) => SnapshotStep::Failed(error),
            (None, Step::Close(reason)) => self.fail(now, SnapshotError::Closed(reason)),
            (Some(Ok(_)) | None, _) => SnapshotStep::Nothing,
        }
    }

    /// Time has passed. Early calls are harmless; after the call [`Self::poll_timeout`] lies after `now`.
    pub fn handle_timeout(&mut self, now: Nanos) -> SnapshotStep<'static> {
        let step = self.client.handle_timeout(now);
        if self.outcome.is_none() && now >= self.give_up_at {
            return self.fail(now, SnapshotError::TooSlow { limit_ns: self.limits.time_limit_ns });
        }
        self.ended(now, step)
    }

    /// When the caller must next call [`Self::handle_timeout`], if nothing arrives first. `None` once closed.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Nanos> {
        let session = self.client.poll_timeout();
        if self.outcome.is_some() { session } else { session.map(|at| at.min(self.give_up_at)) }
    }

    /// The next packet to send. Call until `None`, and [`Self::handle_sent`] when it has left.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.client.poll_transmit()
    }

    /// A packet from [`Self::poll_transmit`] has left.
    pub fn handle_sent(&mut self, now: Nanos) {
        self.client.handle_sent(now);
    }

    /// Messages so far, without the one that ends the snapshot.
    #[must_use]
    pub const fn messages(&self) -> u64 {
        self.messages
    }

    /// Whether the connection can be closed: the logout was answered, or nothing more will come.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.client.state() == State::Closed
    }
}
