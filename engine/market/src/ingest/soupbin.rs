//! A SoupBinTCP feed over all its connections: which address next, what to ask for, and what the packets mean for the
//! books.
//!
//! The caller makes and watches the connection:
//!
//! 1. [`SoupBin::first`] and [`SoupBin::closed`] say where to connect and when; [`SoupBin::dialling`] tells that it is tried.
//! 2. [`SoupBin::connected`] begins a session on a new connection.
//! 3. Bytes go into [`SoupBin::space`] and are announced by [`SoupBin::received`]; [`SoupBin::tick`] runs the timers;
//!    [`SoupBin::outgoing`] is to be sent and [`SoupBin::sent`] takes off what the socket took.
//! 4. Whatever ends the connection comes as a [`CloseReason`], which goes to [`SoupBin::closed`].

use shm_abi::counters::FeedCounter;
use shm_abi::layout::FeedState;
use wire::Nanos;
use wire::soupbin::backoff::{Attempt, Backoff, BackoffConfig};
use wire::soupbin::client::{Client, ClientConfig, CloseReason, Gap, SessionChange, Step};
use wire::soupbin::field::SessionId;
use wire::soupbin::frame::{LENGTH_BYTES, kind as packet, next_packet};

use super::burst::Burst;
use super::outbox::Outbox;
use super::{Inbox, Output, SessionEvent, SessionStart, Tap};
use crate::{InstrumentIds, MessageAt};

/// What a SoupBinTCP feed is made from.
#[derive(Debug, Clone, Copy)]
pub struct SoupBinConfig {
    /// The login of the first connection.
    pub login: ClientConfig,
    /// When and where to connect again.
    pub backoff: BackoffConfig,
    /// Bytes of the receive buffer: at least one packet, 65,537.
    pub receive_buffer_bytes: usize,
}

/// Something worth a line in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// A login was accepted.
    LoggedIn {
        /// The session that answered.
        session: SessionId,
        /// Number of the next message.
        sequence: u64,
        /// Whether the books go on.
        start: SessionStart,
        /// What was wanted and will not come.
        gap: Option<Gap>,
        /// Whether books that a predecessor published are rebuilt in silence first.
        rebuilding: bool,
    },
}

/// One feed, whatever happens to its connections.
#[derive(Debug)]
pub struct SoupBin {
    client: Client,
    inbox: Inbox,
    outbox: Outbox,
    backoff: Backoff,
    /// What the next connection logs in with.
    login: ClientConfig,
    /// The session that the books belong to; `None` until the first login.
    session: Option<SessionId>,
    news: Option<News>,
}

/// A session's name as the ABI keeps it: 16 bytes of ASCII, space-padded.
fn session_bytes(session: SessionId) -> [u8; 16] {
    let mut bytes = [b' '; 16];
    let name = session.as_bytes();
    bytes[..name.len()].copy_from_slice(name);
    bytes
}

impl SoupBin {
    /// A feed that was never connected. `seed` makes the jitter of its delays reproducible.
    ///
    /// # Panics
    /// When the buffer cannot hold a packet: the config was checked.
    pub fn new(config: SoupBinConfig, seed: u64) -> SoupBin {
        // Until the first connection there is a client that has already closed: every input gives that answer.
        let mut client = Client::new(config.login, Nanos(0));
        client.handle_disconnect();
        SoupBin {
            client,
            inbox: Inbox::new(config.receive_buffer_bytes),
            outbox: Outbox::default(),
            backoff: Backoff::new(config.backoff, seed),
            login: config.login,
            session: None,
            news: None,
        }
    }

    /// The first connection to make.
    pub fn first(&self, now: Nanos) -> Attempt {
        self.backoff.first(now)
    }

    /// Uses another policy from the next connection on. The session goes on where it was.
    pub fn reconfigure(&mut self, config: SoupBinConfig) {
        self.login = match self.session {
            Some(session) => config.login.resume(session, self.client.next_sequence()),
            None => config.login,
        };
        self.backoff.reconfigure(config.backoff);
    }

    /// The next connection, at once, to address number `address_index`: what an operator asked for.
    pub fn redirect(&mut self, address_index: usize, now: Nanos) -> Attempt {
        self.backoff.prefer(address_index);
        self.backoff.first(now)
    }

    /// A connection is being made.
    pub fn dialling<I: InstrumentIds>(&self, attempt: Attempt, out: &mut Output<I>) {
        out.set_state(FeedState::Connecting);
        out.count(FeedCounter::Connects, 1);
        out.feed.counters.set_feed(FeedCounter::AddressIndex, attempt.address_index as u64);
    }

    /// It was made: the login waits in [`SoupBin::outgoing`] after the next [`SoupBin::tick`].
    pub fn connected<I: InstrumentIds>(&mut self, attempt: Attempt, now: Nanos, out: &mut Output<I>) {
        self.client = Client::new(self.login.ask_current(attempt.blank_session), now);
        self.inbox.clear();
        self.outbox.clear();
        out.set_state(FeedState::LoginSent);
    }

    /// Where the next bytes go; never empty.
    pub fn space(&mut self) -> &mut [u8] {
        self.inbox.space()
    }

    /// `count` bytes have just come in one read into [`SoupBin::space`], stamped `stamp_ns` by the kernel if it did: takes
    /// every whole packet, showing it to `tap` first. What was complete before an error counts.
    ///
    /// # Errors
    /// Why the connection must be closed.
    pub fn received<I: InstrumentIds>(
        &mut self,
        now: Nanos,
        count: usize,
        stamp_ns: Option<u64>,
        realtime: impl Fn() -> u64 + Copy,
        tap: &mut impl Tap,
        out: &mut Output<I>,
    ) -> Result<(), CloseReason> {
        self.inbox.filled(count);
        self.client.handle_bytes_received(now);
        // A kernel that stamps saves a reading of the clock.
        let mut burst = Burst::new(stamp_ns, if stamp_ns.is_some() { 0 } else { realtime() });
        out.count(FeedCounter::Bytes, count as u64);
        out.feed.counters.set_feed(FeedCounter::LastByteNs, burst.ts_recv());
        let outcome = self.packets(now, realtime, tap, out, &mut burst);
        burst.flush(self.inbox.bytes(), realtime, out);
        self.inbox.consume();
        let packets = burst.finish(out);
        out.count(FeedCounter::SequencedPackets, packets);
        out.end_burst(self.client.next_sequence());
        if let Some(session) = self.session {
            // What the next connection asks for: only what has been published counts as received.
            self.login = self.login.resume(session, self.client.next_sequence());
        }
        outcome
    }

    fn packets<I: InstrumentIds>(
        &mut self,
        now: Nanos,
        realtime: impl Fn() -> u64 + Copy,
        tap: &mut impl Tap,
        out: &mut Output<I>,
        burst: &mut Burst,
    ) -> Result<(), CloseReason> {
        loop {
            let start = self.inbox.start();
            let next = match next_packet(self.inbox.waiting()) {
                Ok(Some(next)) => next,
                Ok(None) => return Ok(()),
                Err(error) => match self.client.handle_frame_error(error) {
                    Step::Close(reason) => return Err(reason),
                    _ => return Err(CloseReason::LineBroken),
                },
            };
            let (kind, consumed) = (next.kind, next.consumed);
            if tap.is_wanted() {
                let sequence = if kind == packet::SEQUENCED { self.client.wire_sequence() } else { 0 };
                tap.packet(burst.ts_recv(), sequence, &self.inbox.waiting()[LENGTH_BYTES..consumed]);
            }
            match self.client.handle_packet(now, kind, next.payload) {
                Step::Deliver { sequence, payload } => {
                    let place = (start + consumed - payload.len()) as u32;
                    burst.push(MessageAt { sequence, at: place, len: payload.len() as u32 });
                    if burst.is_full() {
                        burst.flush(self.inbox.bytes(), realtime, out);
                    }
                }
                Step::Duplicate { .. } => burst.duplicates += 1,
                Step::Nothing => {
                    if kind == packet::SERVER_HEARTBEAT {
                        out.count(FeedCounter::Heartbeats, 1);
                    }
                }
                Step::Unsequenced { .. } => out.count(FeedCounter::UnsequencedPackets, 1),
                Step::Debug { .. } => out.count(FeedCounter::DebugPackets, 1),
                Step::LoggedIn { session, sequence, change, gap, .. } => {
                    burst.flush(self.inbox.bytes(), realtime, out);
                    self.backoff.on_live(now);
                    let start = match (self.session, change) {
                        (None, _) => SessionStart::First,
                        (Some(_), SessionChange::SameSession) => SessionStart::Same,
                        (Some(_), SessionChange::NewSession) => SessionStart::New,
                    };
                    self.session = Some(session);
                    out.count(FeedCounter::Logins, 1);
                    let missing = gap.map(|gap| (gap.first, gap.last));
                    out.session_began(&session_bytes(session), start, missing, burst.stamps(realtime()));
                    let rebuilding = out.normaliser.is_rebuilding();
                    self.news = Some(News::LoggedIn { session, sequence, start, gap, rebuilding });
                }
                // The venue closes soon; the connection's end is then told as the end of the session.
                Step::EndOfSession => {}
                Step::Close(reason) => return Err(reason),
            }
            self.inbox.take(consumed);
        }
    }

    /// The connection has ended or failed under us. What that means depends on what went before.
    pub fn disconnected(&mut self) -> CloseReason {
        self.client.handle_disconnect()
    }

    /// Runs the timers that are due and gathers what is to be sent. Call after every read and whenever
    /// [`SoupBin::poll_timeout`] is due.
    ///
    /// # Errors
    /// Why the connection must be closed.
    pub fn tick(&mut self, now: Nanos) -> Result<(), CloseReason> {
        if self.client.poll_timeout().is_some_and(|due| due <= now)
            && let Step::Close(reason) = self.client.handle_timeout(now)
        {
            return Err(reason);
        }
        let gathered = self.outbox.gather(|| self.client.poll_transmit());
        gathered.map_err(|()| self.client.handle_disconnect())
    }

    /// When [`SoupBin::tick`] must next be called if nothing arrives; `None` when the connection is over.
    pub fn poll_timeout(&self) -> Option<Nanos> {
        self.client.poll_timeout()
    }

    /// Bytes to send.
    pub fn outgoing(&self) -> &[u8] {
        self.outbox.bytes()
    }

    /// The socket took the first `count` bytes of [`SoupBin::outgoing`].
    ///
    /// # Panics
    /// When there are not so many.
    pub fn sent(&mut self, now: Nanos, count: usize) {
        self.outbox.sent(count);
        if count > 0 {
            self.client.handle_sent(now);
        }
    }

    /// Asks the server to close: the connection then ends as logged out.
    pub fn request_logout(&mut self, now: Nanos) {
        self.client.request_logout(now);
    }

    /// What has happened since the last call, for the log.
    pub fn poll_news(&mut self) -> Option<News> {
        self.news.take()
    }

    /// The feed was closed by command: readers are told. `now_ns`: UNIX time. The caller then wakes the sleepers.
    pub fn paused<I: InstrumentIds>(&mut self, now_ns: u64, out: &mut Output<I>) {
        out.set_state(FeedState::Closed);
        out.session_event(SessionEvent::Down, now_ns);
        out.writer.publish_heads();
    }

    /// A connection is over, or could not be made ([`CloseReason::LineBroken`]): readers and counters are told. Returns the
    /// next connection to make; `None` after a logout. `now_ns`: UNIX time. The caller then wakes the sleepers.
    pub fn closed<I: InstrumentIds>(
        &mut self,
        reason: CloseReason,
        now: Nanos,
        now_ns: u64,
        out: &mut Output<I>,
    ) -> Option<Attempt> {
        let (state, counter, event) = match reason {
            CloseReason::LoggedOut => return None,
            CloseReason::Rejected { .. } => (FeedState::Rejected, Some(FeedCounter::Rejects), SessionEvent::Down),
            CloseReason::SessionEnded => (FeedState::EndOfSession, None, SessionEvent::Ended),
            CloseReason::Silence { .. } | CloseReason::LoginTimeout { .. } => {
                (FeedState::Reconnecting, Some(FeedCounter::Silences), SessionEvent::Down)
            }
            CloseReason::LineBroken => (FeedState::Reconnecting, Some(FeedCounter::Disconnects), SessionEvent::Down),
            _ => (FeedState::Reconnecting, Some(FeedCounter::ProtocolErrors), SessionEvent::Down),
        };
        out.set_state(state);
        if let Some(counter) = counter {
            out.count(counter, 1);
        }
        out.session_event(event, now_ns);
        out.writer.publish_heads();
        self.backoff.on_closed(reason, now)
    }
}
