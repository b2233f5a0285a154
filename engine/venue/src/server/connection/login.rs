//! The answer to a login request, as the faults will have it.

use std::io::{self, Write};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use wire::soupbin::field::SessionId;
use wire::soupbin::frame::{REJECT_NO_SESSION, REJECT_NOT_AUTHORISED};
use wire::soupbin::server::LoginRequest;

use super::super::junk::noise;
use super::{Connection, End};
use crate::fault::{Acceptance, LoginFate};
use crate::log::Cursor;
use crate::source::Start;

/// Between the single bytes of a login acceptance.
const PIECE_PAUSE: Duration = Duration::from_millis(1);
const GARBAGE_ANSWER_BYTES: u64 = 64;

impl Connection<'_> {
    /// Answers a login request, as the faults will have it.
    pub(super) fn judge(&mut self, request: &LoginRequest) -> io::Result<Option<End>> {
        let refused = match self.shared.faults.login() {
            LoginFate::Ignore => return Ok(None),
            LoginFate::Reject(code) => Some(code),
            LoginFate::Judge => self.refusal(request),
        };
        match refused {
            Some(code) => {
                self.shared.counters.rejected.fetch_add(1, Relaxed);
                self.server.reject(code, &mut self.outgoing).expect("a login waits for its answer");
                Ok(Some(self.write_out()?.unwrap_or(End::Graceful)))
            }
            None => self.accept(request),
        }
    }

    /// The letter of the rejection that a request deserves.
    fn refusal(&self, request: &LoginRequest) -> Option<u8> {
        let config = &self.shared.config;
        let is_known = config.credentials.as_ref().is_none_or(|(username, password)| {
            request.username.eq_ignore_case(username) && request.password.eq_ignore_case(password)
        });
        if !is_known {
            return Some(REJECT_NOT_AUTHORISED);
        }
        let (_, current) = self.shared.feed.state().session();
        let is_ours = request.session.is_blank() || request.session.eq_ignore_case(&current.name);
        (!is_ours).then_some(REJECT_NO_SESSION)
    }

    fn accept(&mut self, request: &LoginRequest) -> io::Result<Option<End>> {
        let feed = &self.shared.feed;
        let (released, (index, session)) = {
            let state = feed.state();
            (state.released, state.session())
        };
        // A number beyond the end gets the one that really comes next, a number no longer held the first that is.
        let held = |number: u64| number.min(feed.log.end()).max(feed.log.first()).max(session.base + 1);
        let mut next = match request.sequence {
            0 => held(released),
            wanted => held(wanted.saturating_add(session.base)),
        };
        let how = self.shared.faults.acceptance();
        match how {
            Acceptance::Skip(by) => next = held(next.saturating_add(by)),
            Acceptance::Rewind(by) => next = held(next.saturating_sub(by)),
            Acceptance::Garbage => {
                self.outgoing.extend(noise(next, GARBAGE_ANSWER_BYTES));
                return self.write_out();
            }
            Acceptance::Plain | Acceptance::Pieces | Acceptance::WrongSession => {}
        }
        let counters = &self.shared.counters;
        counters.logins.fetch_add(1, Relaxed);
        counters.resumes.fetch_add(u64::from(request.sequence > 1), Relaxed);
        self.script = self.shared.faults.accepted();
        let name = match how {
            Acceptance::WrongSession => SessionId::new("WRONG00001").expect("ten letters and digits"),
            _ => session.name,
        };
        self.server
            .accept(self.now(), &name, next - session.base, &mut self.outgoing)
            .expect("a login waits for its answer");
        if how == Acceptance::Pieces {
            self.write_slowly()?;
        }
        if let Some(end) = self.write_out()? {
            return Ok(Some(end));
        }
        self.script.start_counting();
        self.cursor = Some(Cursor::new(next));
        self.session = index;
        feed.join(self.id, next, self.shared.config.start == Start::Login);
        Ok(None)
    }

    /// Single bytes, each in a segment of its own.
    fn write_slowly(&mut self) -> io::Result<()> {
        for byte in self.outgoing.drain(..) {
            let mut stream = self.stream;
            stream.write_all(&[byte])?;
            std::thread::sleep(PIECE_PAUSE);
        }
        Ok(())
    }
}
