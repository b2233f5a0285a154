//! The sending end of one connection, as a state machine without socket and clock.
//!
//! What it has to send it appends to a buffer of the caller's, so packets leave in the order they were decided. The
//! caller judges logins: [`ServerStep::LoginRequested`] asks, [`Server::accept`] and [`Server::reject`] answer.

use super::field::parse_sequence;
use super::field::{PASSWORD_BYTES, Password, SEQUENCE_BYTES, SESSION_BYTES, SessionId, USERNAME_BYTES, Username};
use super::frame::{self, EncodeError, FrameError, kind};
use crate::time::{Nanos, SECOND_NS};

/// The protocol's intervals at the server, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerTimers {
    /// A heartbeat goes out when nothing was sent for this long.
    pub heartbeat_interval_ns: u64,
    /// A client from which nothing arrives for this long is dropped.
    pub silence_limit_ns: u64,
    /// A connection without a login request for this long is dropped.
    pub login_timeout_ns: u64,
}

impl Default for ServerTimers {
    /// Heartbeat 1 s, silence 15 s, login 30 s.
    fn default() -> Self {
        Self { heartbeat_interval_ns: SECOND_NS, silence_limit_ns: 15 * SECOND_NS, login_timeout_ns: 30 * SECOND_NS }
    }
}

/// Where a connection stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerState {
    /// No login request yet.
    AwaitingLogin,
    /// The caller has the request and owes an answer.
    Deciding,
    /// Accepted: messages may flow.
    Streaming,
    /// The session has ended; only the close is left.
    SessionEnded,
    /// Over.
    Closed,
}

/// A client's wish, as it stands in its login request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoginRequest {
    /// Compare with [`Username::eq_ignore_case`](super::field::Text::eq_ignore_case).
    pub username: Username,
    /// Compare with [`Password::eq_ignore_case`].
    pub password: Password,
    /// Blank: the session active now.
    pub session: SessionId,
    /// First message wanted; 0, or a blank field, for whatever comes next.
    pub sequence: u64,
}

/// What the caller has to do about an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerStep<'p> {
    /// Nothing.
    Nothing,
    /// Judge the login and answer with [`Server::accept`] or [`Server::reject`].
    LoginRequested(LoginRequest),
    /// The client lives.
    Heartbeat,
    /// A message outside of the sequence.
    Unsequenced {
        /// The message.
        payload: &'p [u8],
    },
    /// Free text. Log at most.
    Debug {
        /// The text; any bytes may come.
        payload: &'p [u8],
    },
    /// The client wants to be disconnected: close at once.
    Logout,
    /// Close the connection. Every later input gives the same answer.
    Close(ServerClose),
}

/// Why a server closes a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ServerClose {
    /// No login request in time.
    #[error("no login request for {limit_ns} ns")]
    LoginTimeout {
        /// The limit.
        limit_ns: u64,
    },
    /// Nothing from the client for the silence limit.
    #[error("nothing arrived for {limit_ns} ns")]
    Silence {
        /// The limit.
        limit_ns: u64,
    },
    /// A packet type that has no place in this state.
    #[error("packet type '{}' is illegal in state {state:?}", kind.escape_ascii())]
    Protocol {
        /// Its type.
        kind: u8,
        /// The state it came in.
        state: ServerState,
    },
    /// A packet whose payload is not what its type requires.
    #[error("malformed packet of type '{}' with {payload_len} bytes of payload", kind.escape_ascii())]
    Malformed {
        /// Its type.
        kind: u8,
        /// Bytes of its payload.
        payload_len: usize,
    },
    /// The stream has lost its frame.
    #[error("lost frame: {0}")]
    Frame(FrameError),
    /// The caller refused the login.
    #[error("login rejected with reason '{}'", code.escape_ascii())]
    Rejected {
        /// The letter sent.
        code: u8,
    },
    /// The client logged out.
    #[error("logged out")]
    LoggedOut,
}

/// Why a call does not fit the connection's state, or its packet the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// The call has no place in this state. Nothing was written.
    #[error("call is illegal in state {state:?}")]
    State {
        /// The state it came in.
        state: ServerState,
    },
    /// The packet cannot be written.
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

/// One connection's life, seen from the server.
#[derive(Debug)]
pub struct Server {
    state: ServerState,
    timers: ServerTimers,
    /// Number of the next sequenced packet. Means nothing before the login is accepted.
    next_sequence: u64,
    opened_at: Nanos,
    heard_at: Nanos,
    sent_at: Nanos,
    close_reason: ServerClose,
}

impl Server {
    /// A connection that has just been accepted from the network.
    #[must_use]
    pub const fn new(timers: ServerTimers, now: Nanos) -> Self {
        Self {
            state: ServerState::AwaitingLogin,
            timers,
            next_sequence: 0,
            opened_at: now,
            heard_at: now,
            sent_at: now,
            close_reason: ServerClose::LoggedOut,
        }
    }

    /// Takes one whole packet. All branching for the protocol is in this one function.
    pub fn handle_packet<'p>(&mut self, now: Nanos, kind: u8, payload: &'p [u8]) -> ServerStep<'p> {
        self.heard_at = now;
        match (self.state, kind) {
            (ServerState::Closed, _) => ServerStep::Close(self.close_reason),
            (ServerState::AwaitingLogin, kind::LOGIN_REQUEST) => self.login_requested(payload),
            (_, kind::CLIENT_HEARTBEAT) => ServerStep::Heartbeat,
            (_, kind::DEBUG) => ServerStep::Debug { payload },
            (_, kind::LOGOUT_REQUEST) => self.logged_out(),
            // A client may still be talking when it has not yet read the end of the session.
            (ServerState::Streaming | ServerState::SessionEnded, kind::UNSEQUENCED) => {
                ServerStep::Unsequenced { payload }
            }
            (state, kind) => self.close(ServerClose::Protocol { kind, state }),
        }
    }

    /// Bytes have arrived, if only a part of a packet: the client lives.
    pub const fn handle_bytes_received(&mut self, now: Nanos) {
        self.heard_at = now;
    }

    /// The stream holds no packet any more.
    pub fn handle_frame_error(&mut self, error: FrameError) -> ServerStep<'static> {
        self.close(ServerClose::Frame(error))
    }

    /// Time has passed: appends a heartbeat to `out` when one is due, and gives up a client that is late. Early calls are
    /// harmless; after the call [`Self::poll_timeout`] lies after `now`.
    pub fn handle_timeout(&mut self, now: Nanos, out: &mut Vec<u8>) -> ServerStep<'static> {
        let timers = self.timers;
        match self.state {
            ServerState::Closed => return ServerStep::Close(self.close_reason),
            ServerState::AwaitingLogin if now >= self.opened_at.saturating_add(timers.login_timeout_ns) => {
                return self.close(ServerClose::LoginTimeout { limit_ns: timers.login_timeout_ns });
            }
            ServerState::Streaming | ServerState::SessionEnded
                if now >= self.heard_at.saturating_add(timers.silence_limit_ns) =>
            {
                return self.close(ServerClose::Silence { limit_ns: timers.silence_limit_ns });
            }
            ServerState::Streaming if now >= self.sent_at.saturating_add(timers.heartbeat_interval_ns) => {
                out.extend_from_slice(&frame::SERVER_HEARTBEAT);
                self.sent_at = now;
            }
            _ => {}
        }
        ServerStep::Nothing
    }

    /// When the caller must next call [`Self::handle_timeout`], if nothing arrives first. `None` while the caller itself
    /// is what everyone waits for, and once closed.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Nanos> {
        let silence = self.heard_at.saturating_add(self.timers.silence_limit_ns);
        match self.state {
            ServerState::AwaitingLogin => Some(self.opened_at.saturating_add(self.timers.login_timeout_ns)),
            ServerState::Streaming => Some(silence.min(self.sent_at.saturating_add(self.timers.heartbeat_interval_ns))),
            ServerState::SessionEnded => Some(silence),
            ServerState::Deciding | ServerState::Closed => None,
        }
    }

    /// Accepts the login: the next sequenced packet will be number `sequence` of `session`.
    ///
    /// # Errors
    /// [`ServerError::State`] when no login waits for an answer.
    pub fn accept(
        &mut self,
        now: Nanos,
        session: &SessionId,
        sequence: u64,
        out: &mut Vec<u8>,
    ) -> Result<(), ServerError> {
        self.expect(ServerState::Deciding)?;
        out.extend_from_slice(&frame::login_accepted(session, sequence));
        self.state = ServerState::Streaming;
        self.next_sequence = sequence;
        self.sent_at = now;
        self.heard_at = now;
        Ok(())
    }

    /// Refuses the login. The caller closes once `out` has been sent.
    ///
    /// # Errors
    /// [`ServerError::State`] when no login waits for an answer.
    pub fn reject(&mut self, code: u8, out: &mut Vec<u8>) -> Result<(), ServerError> {
        self.expect(ServerState::Deciding)?;
        out.extend_from_slice(&frame::login_rejected(code));
        self.close(ServerClose::Rejected { code });
        Ok(())
    }

    /// Appends the next message of the session to `out` and returns its number.
    ///
    /// # Errors
    /// [`ServerError::State`] unless streaming; [`ServerError::Encode`] when `message` does not fit a packet. The number
    /// is then not used up.
    #[inline]
    pub fn send_sequenced(&mut self, now: Nanos, message: &[u8], out: &mut Vec<u8>) -> Result<u64, ServerError> {
        self.expect(ServerState::Streaming)?;
        frame::append(out, kind::SEQUENCED, message)?;
        let sequence = self.next_sequence;
        self.next_sequence = sequence.saturating_add(1);
        self.sent_at = now;
        Ok(sequence)
    }

    /// Appends a message outside of the sequence to `out`.
    ///
    /// # Errors
    /// As [`Self::send_sequenced`].
    pub fn send_unsequenced(&mut self, now: Nanos, message: &[u8], out: &mut Vec<u8>) -> Result<(), ServerError> {
        self.expect(ServerState::Streaming)?;
        frame::append(out, kind::UNSEQUENCED, message)?;
        self.sent_at = now;
        Ok(())
    }

    /// Ends the session for ever. The caller closes once `out` has been sent.
    ///
    /// # Errors
    /// [`ServerError::State`] unless streaming.
    pub fn end_of_session(&mut self, now: Nanos, out: &mut Vec<u8>) -> Result<(), ServerError> {
        self.expect(ServerState::Streaming)?;
        out.extend_from_slice(&frame::END_OF_SESSION);
        self.state = ServerState::SessionEnded;
        self.sent_at = now;
        Ok(())
    }

    /// Number of the next sequenced packet. Means nothing before the login is accepted.
    #[must_use]
    pub const fn next_sequence(&self) -> u64 {
        self.next_sequence
    }

    /// Where the connection stands.
    #[must_use]
    pub const fn state(&self) -> ServerState {
        self.state
    }

    fn expect(&self, wanted: ServerState) -> Result<(), ServerError> {
        if self.state == wanted { Ok(()) } else { Err(ServerError::State { state: self.state }) }
    }

    fn login_requested<'p>(&mut self, payload: &[u8]) -> ServerStep<'p> {
        match parse_login_request(payload) {
            Some(request) => {
                self.state = ServerState::Deciding;
                ServerStep::LoginRequested(request)
            }
            None => self.close(ServerClose::Malformed { kind: kind::LOGIN_REQUEST, payload_len: payload.len() }),
        }
    }

    fn logged_out<'p>(&mut self) -> ServerStep<'p> {
        self.close(ServerClose::LoggedOut);
        ServerStep::Logout
    }

    fn close<'p>(&mut self, reason: ServerClose) -> ServerStep<'p> {
        if self.state != ServerState::Closed {
            self.state = ServerState::Closed;
            self.close_reason = reason;
        }
        ServerStep::Close(self.close_reason)
    }
}

/// The fields of a login request; `None` when the payload has another length or the sequence is neither a number nor
/// blank.
#[must_use]
pub fn parse_login_request(payload: &[u8]) -> Option<LoginRequest> {
    let (username, rest) = payload.split_first_chunk::<USERNAME_BYTES>()?;
    let (password, rest) = rest.split_first_chunk::<PASSWORD_BYTES>()?;
    let (session, rest) = rest.split_first_chunk::<SESSION_BYTES>()?;
    let number: &[u8; SEQUENCE_BYTES] = rest.try_into().ok()?;
    let blank = *number == [b' '; SEQUENCE_BYTES];
    Some(LoginRequest {
        username: Username::from_wire(username),
        password: Password::from_wire(password),
        session: SessionId::from_wire(session),
        sequence: if blank { 0 } else { parse_sequence(number)? },
    })
}

#[cfg(test)]
mod tests;
