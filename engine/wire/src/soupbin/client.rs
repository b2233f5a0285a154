//! The receiving end of one connection, from login to close, as a state machine without socket and clock.
//!
//! The caller owns the connection: it calls [`Client::handle_packet`] for every packet, [`Client::handle_timeout`] when
//! [`Client::poll_timeout`] is due, and sends whatever [`Client::poll_transmit`] yields. A reconnection is a new
//! [`Client`], built from what the last one knew: [`Client::session`] and [`Client::next_sequence`].

use std::fmt;

use super::field::{Password, SessionId, TextError, Username};
use super::frame::{self, FrameError, LOGIN_REQUEST_BYTES, kind};
use crate::time::{Nanos, SECOND_NS};

/// The protocol's intervals, in nanoseconds. All are configurable, because venues and tests differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientTimers {
    /// A heartbeat goes out when nothing was sent for this long, however much comes in.
    pub heartbeat_interval_ns: u64,
    /// A connection on which nothing arrives for this long is dead.
    pub silence_limit_ns: u64,
    /// A server that neither accepts nor rejects within this time is dead.
    pub login_timeout_ns: u64,
    /// How long a logout, or the end of a session, waits for the server to close.
    pub logout_wait_ns: u64,
}

impl Default for ClientTimers {
    /// Heartbeat 1 s, silence 5 s, login 10 s, logout 1 s.
    fn default() -> Self {
        Self {
            heartbeat_interval_ns: SECOND_NS,
            silence_limit_ns: 5 * SECOND_NS,
            login_timeout_ns: 10 * SECOND_NS,
            logout_wait_ns: SECOND_NS,
        }
    }
}

/// Why a client cannot be configured so. Each message names the field, the value and what is expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A text that does not fit its field.
    #[error("{field} = {value:?}: {cause}; expected printable ASCII of at most {width} characters")]
    Text {
        /// The field's name.
        field: &'static str,
        /// What was given; `***` for a password.
        value: String,
        /// What is wrong with it.
        cause: TextError,
        /// Characters that the field holds.
        width: usize,
    },
    /// A timer that would fire at once, for ever.
    #[error("{field} = 0 ns: expected more than 0")]
    ZeroTimer {
        /// The field's name.
        field: &'static str,
    },
    /// A live server may stay silent for a whole heartbeat interval.
    #[error(
        "silence_limit_ns = {silence_limit_ns}: expected more than heartbeat_interval_ns = {heartbeat_interval_ns}"
    )]
    SilenceLimit {
        /// The limit given.
        silence_limit_ns: u64,
        /// The interval that it must exceed.
        heartbeat_interval_ns: u64,
    },
}

/// One login, validated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientConfig {
    username: Username,
    password: Password,
    session: SessionId,
    next_sequence: u64,
    ask_current: bool,
    timers: ClientTimers,
}

impl ClientConfig {
    /// A login as `username` to `session` (blank: the one active now) from message `next_sequence` on: 1 for all of the
    /// session, 0 for whatever comes next.
    ///
    /// # Errors
    /// [`ConfigError`] when a text does not fit its field or a timer makes no sense.
    pub fn new(
        username: &str,
        password: &str,
        session: &str,
        next_sequence: u64,
        timers: ClientTimers,
    ) -> Result<Self, ConfigError> {
        validate_timers(&timers)?;
        let session = SessionId::new(session).map_err(|cause| text_error("session", session, cause))?;
        Ok(Self {
            username: Username::new(username).map_err(|cause| text_error("username", username, cause))?,
            password: Password::new(password).map_err(|cause| text_error("password", "***", cause))?,
            session,
            next_sequence,
            ask_current: false,
            timers,
        })
    }

    /// The same login, resuming `session` at `next_sequence`: what the last connection knew.
    #[must_use]
    pub const fn resume(mut self, session: SessionId, next_sequence: u64) -> Self {
        self.session = session;
        self.next_sequence = next_sequence;
        self
    }

    /// The same login, asking for whatever session is active now, from its first message.
    ///
    /// For a server that has rejected the remembered session, and after the end of one. If it is the remembered session
    /// after all, the messages already known come as [`Step::Duplicate`]; if not, nothing of the new one is missed.
    #[must_use]
    pub const fn ask_current(mut self, ask_current: bool) -> Self {
        self.ask_current = ask_current;
        self
    }

    /// The intervals in force.
    #[must_use]
    pub const fn timers(&self) -> &ClientTimers {
        &self.timers
    }

    /// What the login names: session and sequence.
    fn asked(&self) -> (SessionId, u64) {
        match self.ask_current {
            // Nothing is known of the session that will answer, so nothing of it may be skipped.
            true => (SessionId::BLANK, self.next_sequence.min(1)),
            false => (self.session, self.next_sequence),
        }
    }
}

fn text_error(field: &'static str, value: &str, cause: TextError) -> ConfigError {
    let width = if field == "username" { super::field::USERNAME_BYTES } else { super::field::SESSION_BYTES };
    ConfigError::Text { field, value: value.to_owned(), cause, width }
}

fn validate_timers(timers: &ClientTimers) -> Result<(), ConfigError> {
    let &ClientTimers { heartbeat_interval_ns, silence_limit_ns, login_timeout_ns, logout_wait_ns } = timers;
    let named = [
        ("heartbeat_interval_ns", heartbeat_interval_ns),
        ("silence_limit_ns", silence_limit_ns),
        ("login_timeout_ns", login_timeout_ns),
        ("logout_wait_ns", logout_wait_ns),
    ];
    if let Some((field, _)) = named.into_iter().find(|(_, interval_ns)| *interval_ns == 0) {
        return Err(ConfigError::ZeroTimer { field });
    }
    if silence_limit_ns <= heartbeat_interval_ns {
        return Err(ConfigError::SilenceLimit { silence_limit_ns, heartbeat_interval_ns });
    }
    Ok(())
}

/// Where a connection stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// The login is on its way; nothing but its answer, heartbeats and debug packets is legal.
    LoginSent,
    /// Logged in: messages flow.
    Streaming,
    /// The server has ended the session and will close.
    SessionEnded,
    /// We have asked to be disconnected; messages already on their way still count.
    LoggingOut,
    /// Over. Only the reason is left.
    Closed,
}

/// What the caller has to do about an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step<'p> {
    /// Nothing.
    Nothing,
    /// Messages will follow, the first one being number `sequence` of `session`.
    LoggedIn {
        /// The session that answered.
        session: SessionId,
        /// Number of the next sequenced packet: the server's word, whatever was asked for.
        sequence: u64,
        /// Whether numbers and books of before still hold.
        change: SessionChange,
        /// Messages of `session` that were wanted and that this connection will not bring.
        gap: Option<Gap>,
        /// Messages before this number come as [`Step::Duplicate`].
        duplicates_until: Option<u64>,
    },
    /// Message `sequence` of the session. Publish it before remembering its number.
    Deliver {
        /// Its number.
        sequence: u64,
        /// The message.
        payload: &'p [u8],
    },
    /// Message `sequence` has been delivered by an earlier connection; drop it.
    Duplicate {
        /// Its number.
        sequence: u64,
    },
    /// A message outside of the sequence.
    Unsequenced {
        /// The message.
        payload: &'p [u8],
    },
    /// Free text. Log at most; never act on it.
    Debug {
        /// The text; any bytes may come.
        payload: &'p [u8],
    },
    /// The session has ended for ever; the server closes soon.
    EndOfSession,
    /// Close the connection. Every later input gives the same answer.
    Close(CloseReason),
}

/// Whether the session that answered is the remembered one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionChange {
    /// The numbers go on.
    SameSession,
    /// Another session than the remembered one, or the first of all: old numbers are void, books start empty.
    NewSession,
}

/// Messages `first` to `last`, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// First missing number.
    pub first: u64,
    /// Last missing number.
    pub last: u64,
}

/// Why a connection is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CloseReason {
    /// The server refused the login. `A`: alarm and wait, accounts get locked. `S`: try once with a blank session.
    #[error("login rejected with reason '{}'", code.escape_ascii())]
    Rejected {
        /// The server's letter; any byte may come.
        code: u8,
    },
    /// Nothing arrived for the silence limit.
    #[error("nothing arrived for {limit_ns} ns")]
    Silence {
        /// The limit.
        limit_ns: u64,
    },
    /// The server took the connection but did not answer the login.
    #[error("no answer to the login for {limit_ns} ns")]
    LoginTimeout {
        /// The limit.
        limit_ns: u64,
    },
    /// A packet type that has no place in this state.
    #[error("packet type '{}' is illegal in state {state:?}", kind.escape_ascii())]
    Protocol {
        /// Its type.
        kind: u8,
        /// The state it came in.
        state: State,
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
    /// There are no numbers left to count with: the server's first one was absurd.
    #[error("sequence numbers exhausted")]
    SequenceExhausted,
    /// The connection failed, could not be made, or ended without an end of session.
    #[error("line broken")]
    LineBroken,
    /// The server has ended the session.
    #[error("session ended")]
    SessionEnded,
    /// We asked for it.
    #[error("logged out")]
    LoggedOut,
}

/// One packet to send, held inline: no packet of a client exceeds a login request.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Transmit {
    bytes: [u8; LOGIN_REQUEST_BYTES],
    len: u8,
}

impl Transmit {
    fn new(packet: &[u8]) -> Self {
        let mut bytes = [0; LOGIN_REQUEST_BYTES];
        bytes[..packet.len()].copy_from_slice(packet);
        Self { bytes, len: packet.len() as u8 }
    }

    /// The whole packet as it goes to the wire.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len as usize]
    }
}

impl AsRef<[u8]> for Transmit {
    fn as_ref(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl fmt::Debug for Transmit {
    /// Type and length only: a login carries the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Transmit('{}', {} bytes)", self.bytes[2].escape_ascii(), self.len)
    }
}

/// What waits to be sent.
#[derive(Debug, Clone, Copy, Default)]
struct Pending {
    login: bool,
    heartbeat: bool,
    logout: bool,
}

/// One connection's life.
#[derive(Debug)]
pub struct Client {
    state: State,
    /// Number of the next sequenced packet. Means nothing before the login is accepted.
    next_sequence: u64,
    /// Sequenced packets below this number have been delivered by an earlier connection.
    deliver_from: u64,
    heard_at: Nanos,
    sent_at: Nanos,
    /// When the state itself ends: the login's or the logout's patience. Means nothing while streaming.
    state_deadline: Nanos,
    live: bool,
    pending: Pending,
    session: SessionId,
    config: ClientConfig,
    close_reason: CloseReason,
}

impl Client {
    /// A connection that has just been made; its login waits in [`Self::poll_transmit`].
    #[must_use]
    pub fn new(config: ClientConfig, now: Nanos) -> Self {
        Self {
            state: State::LoginSent,
            next_sequence: config.next_sequence,
            deliver_from: config.next_sequence,
            heard_at: now,
            sent_at: now,
            state_deadline: now.saturating_add(config.timers.login_timeout_ns),
            live: false,
            pending: Pending { login: true, ..Pending::default() },
            session: config.session,
            config,
            close_reason: CloseReason::LineBroken,
        }
    }

    /// Takes one whole packet. All branching for the protocol is in this one function.
    #[inline]
    pub fn handle_packet<'p>(&mut self, now: Nanos, kind: u8, payload: &'p [u8]) -> Step<'p> {
        self.heard_at = now;
        match (self.state, kind) {
            (State::Streaming, kind::SEQUENCED) => self.sequenced(payload),
            (State::LoggingOut, kind::SEQUENCED) if self.live => self.sequenced(payload),
            (State::Closed, _) => Step::Close(self.close_reason),
            (_, kind::SERVER_HEARTBEAT) => Step::Nothing,
            (_, kind::DEBUG) => Step::Debug { payload },
            (State::Streaming | State::LoggingOut, kind::UNSEQUENCED) if self.live => Step::Unsequenced { payload },
            (State::Streaming | State::LoggingOut, kind::END_OF_SESSION) if self.live => self.session_ended(now),
            (State::LoginSent, kind::LOGIN_ACCEPTED) => self.accepted(payload),
            (State::LoginSent, kind::LOGIN_REJECTED) => self.rejected(payload),
            // The answer to a login that we no longer want.
            (State::LoggingOut, kind::LOGIN_ACCEPTED | kind::LOGIN_REJECTED) if !self.live => Step::Nothing,
            (state, kind) => self.close(CloseReason::Protocol { kind, state }),
        }
    }

    /// Bytes have arrived, if only a part of a packet: the server lives.
    #[inline]
    pub fn handle_bytes_received(&mut self, now: Nanos) {
        self.heard_at = now;
    }

    /// The stream holds no packet any more.
    pub fn handle_frame_error(&mut self, error: FrameError) -> Step<'static> {
        self.close(CloseReason::Frame(error))
    }

    /// The connection has ended or failed under us. What that means depends on what went before: without an end of
    /// session or a logout it is a broken line.
    pub fn handle_disconnect(&mut self) -> CloseReason {
        let reason = match self.state {
            State::LoginSent | State::Streaming => CloseReason::LineBroken,
            State::SessionEnded => CloseReason::SessionEnded,
            State::LoggingOut => CloseReason::LoggedOut,
            State::Closed => self.close_reason,
        };
        self.close(reason);
        reason
    }

    /// A packet from [`Self::poll_transmit`] has left.
    #[inline]
    pub fn handle_sent(&mut self, now: Nanos) {
        self.sent_at = now;
    }

    /// Time has passed. Early calls are harmless; after the call [`Self::poll_timeout`] lies after `now`.
    pub fn handle_timeout(&mut self, now: Nanos) -> Step<'static> {
        let timers = self.config.timers;
        match self.state {
            State::LoginSent if now >= self.state_deadline => {
                self.close(CloseReason::LoginTimeout { limit_ns: timers.login_timeout_ns })
            }
            State::LoggingOut if now >= self.state_deadline => self.close(CloseReason::LoggedOut),
            State::SessionEnded if now >= self.state_deadline => self.close(CloseReason::SessionEnded),
            State::Streaming if now >= self.heard_at.saturating_add(timers.silence_limit_ns) => {
                self.close(CloseReason::Silence { limit_ns: timers.silence_limit_ns })
            }
            State::Streaming if now >= self.sent_at.saturating_add(timers.heartbeat_interval_ns) => {
                self.pending.heartbeat = true;
                // Counted from the decision, so that a socket that takes nothing cannot make this timer spin.
                self.sent_at = now;
                Step::Nothing
            }
            State::Closed => Step::Close(self.close_reason),
            State::LoginSent | State::Streaming | State::SessionEnded | State::LoggingOut => Step::Nothing,
        }
    }

    /// When the caller must next call [`Self::handle_timeout`], if nothing arrives first. `None` once closed.
    #[inline]
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Nanos> {
        let timers = &self.config.timers;
        match self.state {
            State::LoginSent | State::SessionEnded | State::LoggingOut => Some(self.state_deadline),
            State::Streaming => {
                let silence = self.heard_at.saturating_add(timers.silence_limit_ns);
                Some(silence.min(self.sent_at.saturating_add(timers.heartbeat_interval_ns)))
            }
            State::Closed => None,
        }
    }

    /// The next packet to send. Call until `None`, and [`Self::handle_sent`] when it has left.
    #[inline]
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        let pending = self.pending;
        if pending.login {
            self.pending.login = false;
            let (session, sequence) = self.config.asked();
            let login = frame::login_request(&self.config.username, &self.config.password, &session, sequence);
            return Some(Transmit::new(&login));
        }
        if pending.logout {
            self.pending = Pending::default();
            return Some(Transmit::new(&frame::LOGOUT_REQUEST));
        }
        if pending.heartbeat {
            self.pending.heartbeat = false;
            return Some(Transmit::new(&frame::CLIENT_HEARTBEAT));
        }
        None
    }

    /// Asks the server to close. Messages already on their way are still delivered until it does, or until the logout's
    /// patience ends.
    pub fn request_logout(&mut self, now: Nanos) {
        if matches!(self.state, State::LoginSent | State::Streaming) {
            self.state = State::LoggingOut;
            self.state_deadline = now.saturating_add(self.config.timers.logout_wait_ns);
            self.pending.logout = true;
        }
    }

    /// The session that answered the login; before that, the remembered one (blank if none is).
    #[must_use]
    pub const fn session(&self) -> SessionId {
        self.session
    }

    /// Number of the next message to deliver: what a new connection should ask for.
    ///
    /// While duplicates come it stays at the number wanted, so that another break resumes at the same place.
    #[must_use]
    pub fn next_sequence(&self) -> u64 {
        self.next_sequence.max(self.deliver_from)
    }

    /// Number of the next sequenced packet of this connection, whether it will be delivered or is a duplicate.
    #[must_use]
    pub const fn wire_sequence(&self) -> u64 {
        self.next_sequence
    }

    /// Where the connection stands.
    #[must_use]
    pub const fn state(&self) -> State {
        self.state
    }

    /// Whether a login has been accepted on this connection, at any time.
    #[must_use]
    pub const fn was_live(&self) -> bool {
        self.live
    }

    #[inline]
    fn sequenced<'p>(&mut self, payload: &'p [u8]) -> Step<'p> {
        let sequence = self.next_sequence;
        let Some(next) = sequence.checked_add(1) else {
            return self.close(CloseReason::SequenceExhausted);
        };
        self.next_sequence = next;
        if sequence < self.deliver_from { Step::Duplicate { sequence } } else { Step::Deliver { sequence, payload } }
    }

    #[cold]
    fn accepted<'p>(&mut self, payload: &[u8]) -> Step<'p> {
        // Messages count from 1, so a zero is as wrong as a letter.
        let Some((session, sequence)) = frame::parse_login_accepted(payload).filter(|(_, sequence)| *sequence > 0)
        else {
            return self.close(CloseReason::Malformed { kind: kind::LOGIN_ACCEPTED, payload_len: payload.len() });
        };
        let remembered = self.config.session;
        let change = match session == remembered {
            true => SessionChange::SameSession,
            false => SessionChange::NewSession,
        };
        // Where nothing is remembered the number asked for is meant for whatever session answers. Where another session
        // answers, the number belonged to the old one: of the new one, everything is wanted.
        let wanted = match change {
            SessionChange::NewSession if !remembered.is_blank() => self.config.next_sequence.min(1),
            SessionChange::SameSession | SessionChange::NewSession => self.config.next_sequence,
        };
        self.state = State::Streaming;
        self.live = true;
        self.session = session;
        self.next_sequence = sequence;
        self.deliver_from = wanted;
        Step::LoggedIn {
            session,
            sequence,
            change,
            // Zero asks for no particular message, so nothing can be missing.
            gap: (wanted > 0 && sequence > wanted).then(|| Gap { first: wanted, last: sequence - 1 }),
            duplicates_until: (sequence < wanted).then_some(wanted),
        }
    }

    #[cold]
    fn rejected<'p>(&mut self, payload: &[u8]) -> Step<'p> {
        self.close(match payload.first() {
            Some(&code) => CloseReason::Rejected { code },
            None => CloseReason::Malformed { kind: kind::LOGIN_REJECTED, payload_len: 0 },
        })
    }

    #[cold]
    fn session_ended<'p>(&mut self, now: Nanos) -> Step<'p> {
        self.state = State::SessionEnded;
        self.state_deadline = now.saturating_add(self.config.timers.logout_wait_ns);
        self.pending = Pending::default();
        Step::EndOfSession
    }

    #[cold]
    fn close<'p>(&mut self, reason: CloseReason) -> Step<'p> {
        if self.state != State::Closed {
            self.state = State::Closed;
            self.close_reason = reason;
            self.pending = Pending::default();
        }
        Step::Close(self.close_reason)
    }
}

#[cfg(test)]
mod tests;
