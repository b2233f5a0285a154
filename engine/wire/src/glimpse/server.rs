//! Giving one snapshot: what a venue does on such a connection.

use super::{EndForm, append_end};
use crate::soupbin::field::SessionId;
use crate::soupbin::frame::FrameError;
use crate::soupbin::server::{Server, ServerError, ServerState, ServerStep, ServerTimers};
use crate::time::Nanos;

/// One connection to a snapshot server. Logins are judged by the caller, see [`ServerStep::LoginRequested`].
#[derive(Debug)]
pub struct SnapshotServer {
    server: Server,
    is_whole: bool,
}

impl SnapshotServer {
    /// A connection that has just been accepted from the network.
    #[must_use]
    pub const fn new(timers: ServerTimers, now: Nanos) -> Self {
        Self { server: Server::new(timers, now), is_whole: false }
    }

    /// Takes one whole packet.
    pub fn handle_packet<'p>(&mut self, now: Nanos, kind: u8, payload: &'p [u8]) -> ServerStep<'p> {
        self.server.handle_packet(now, kind, payload)
    }

    /// The stream holds no packet any more.
    pub fn handle_frame_error(&mut self, error: FrameError) -> ServerStep<'static> {
        self.server.handle_frame_error(error)
    }

    /// Time has passed, as for [`Server::handle_timeout`].
    pub fn handle_timeout(&mut self, now: Nanos, out: &mut Vec<u8>) -> ServerStep<'static> {
        self.server.handle_timeout(now, out)
    }

    /// As [`Server::poll_timeout`].
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Nanos> {
        self.server.poll_timeout()
    }

    /// Accepts the login: the snapshot begins, whatever number was asked for.
    ///
    /// # Errors
    /// [`ServerError::State`] when no login waits for an answer.
    pub fn accept(&mut self, now: Nanos, session: &SessionId, out: &mut Vec<u8>) -> Result<(), ServerError> {
        self.server.accept(now, session, 1, out)
    }

    /// Refuses the login. The caller closes once `out` has been sent.
    ///
    /// # Errors
    /// [`ServerError::State`] when no login waits for an answer.
    pub fn reject(&mut self, code: u8, out: &mut Vec<u8>) -> Result<(), ServerError> {
        self.server.reject(code, out)
    }

    /// Appends the next message of the snapshot to `out`.
    ///
    /// # Errors
    /// [`ServerError`] unless a snapshot is under way, or when `message` does not fit a packet.
    pub fn send(&mut self, now: Nanos, message: &[u8], out: &mut Vec<u8>) -> Result<(), ServerError> {
        if self.is_whole {
            return Err(ServerError::State { state: ServerState::SessionEnded });
        }
        self.server.send_sequenced(now, message, out).map(|_| ())
    }

    /// Ends the snapshot: the live feed goes on with message `next`. The client logs out then, or the session ends with
    /// [`Self::end_of_session`].
    ///
    /// # Errors
    /// As [`Self::send`].
    pub fn finish(&mut self, now: Nanos, form: EndForm, next: u64, out: &mut Vec<u8>) -> Result<(), ServerError> {
        let mut message = Vec::with_capacity(super::END_MAX_BYTES);
        append_end(&mut message, form, next);
        self.send(now, &message, out)?;
        self.is_whole = true;
        Ok(())
    }

    /// Ends the session, as Nasdaq's server does after the last message. The caller closes once `out` has been sent.
    ///
    /// # Errors
    /// [`ServerError::State`] unless streaming.
    pub fn end_of_session(&mut self, now: Nanos, out: &mut Vec<u8>) -> Result<(), ServerError> {
        self.server.end_of_session(now, out)
    }

    /// Whether the last message is written.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// Where the connection stands.
    #[must_use]
    pub const fn state(&self) -> ServerState {
        self.server.state()
    }
}
