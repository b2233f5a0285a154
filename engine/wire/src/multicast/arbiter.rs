//! The receiver's state machine.

use super::config::{ArbiterConfig, ConfigError, NewSession, Start};
use super::scoreboard::{LineScore, LineState};
use super::sink::{GapReason, LineId, SessionStart, Sink, Source};
use super::{Body, Packet, SessionKey};
use crate::time::Nanos;
use crate::{BATCH, MessageAt};

/// Asks a server for messages `first` to `first + count - 1` of `session`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecoveryRequest {
    /// The session.
    pub session: SessionKey,
    /// Number of the first message wanted.
    pub first: u64,
    /// Messages wanted, at least 1.
    pub count: u16,
    /// Which of the configured servers to ask, from 0.
    pub server: u8,
}

/// What an arbiter has seen that belongs to no single line. All counts run from its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Messages handed over.
    pub delivered: u64,
    /// Messages handed over that a re-request server brought.
    pub recovered: u64,
    /// Copies of messages that had come before, from all sources.
    pub duplicates: u64,
    /// Holes seen: the numbers jumped over messages that were not held.
    pub holes: u64,
    /// Gaps declared.
    pub gaps: u64,
    /// Messages in declared gaps.
    pub lost: u64,
    /// Requests sent.
    pub requests: u64,
    /// Requests sent again for want of an answer.
    pub retries: u64,
    /// Packets of answers.
    pub answers: u64,
    /// Messages in answers that nobody had asked for; ignored.
    pub answers_outside: u64,
    /// Datagrams from servers that were no packet.
    pub answers_malformed: u64,
    /// Packets of sessions that were not adopted; ignored.
    pub foreign_packets: u64,
    /// Packets with messages and sequence 0, which numbers nothing; ignored.
    pub unnumbered_packets: u64,
    /// Packets farther ahead than any window; ignored until a second one confirms the jump.
    pub far_packets: u64,
    /// Packets after the end of the session, or that contradict it; ignored.
    pub after_end_packets: u64,
    /// Packets of a stream that has started anew meanwhile; ignored.
    pub stale_packets: u64,
    /// Messages that could not be held back for want of room and were forgotten while a snapshot loads.
    pub overflowed: u64,
    /// Sessions adopted.
    pub sessions: u64,
    /// Times that a stream started anew within its session.
    pub restarts: u64,
}

/// Puts the lines of a feed and the answers of re-request servers together into one gap-free sequence.
#[derive(Debug)]
pub struct Arbiter {
    config: ArbiterConfig,
    session: Option<SessionKey>,
    next: u64,
    ended: bool,
    counters: Counters,
    lines: [LineScore; 2],
}

impl Arbiter {
    /// An arbiter that has heard nothing. All memory that it will ever use is allocated here.
    ///
    /// # Errors
    /// [`ConfigError`] as [`ArbiterConfig::validate`].
    pub fn new(config: ArbiterConfig) -> Result<Self, ConfigError> {
        config.validate()?;
        let (session, next, ended) = (None, 0, false);
        Ok(Self { config, session, next, ended, counters: Counters::default(), lines: Default::default() })
    }

    /// Goes on in `session` at message `next`: what a run before knew. Call it before the first packet.
    ///
    /// The sink is told of no session then, as nothing begins. A session of another name is adopted as the policy says,
    /// or at once if none of ours has been heard.
    pub fn resume(&mut self, session: SessionKey, next: u64) {
        self.session = Some(session);
        self.next = next.max(1);
    }

    /// Takes one packet. `now` is the caller's monotonic clock; `recv` the packet's receive stamp, handed on as it is.
    pub fn handle_packet<S: Sink>(
        &mut self,
        now: Nanos,
        recv: Nanos,
        source: Source,
        packet: &Packet<'_>,
        sink: &mut S,
    ) {
        if let Source::Line(line) = source {
            let score = &mut self.lines[line.index()];
            score.packets += 1;
            score.last_packet = Some(now);
        }
        if !self.belongs(packet, sink) {
            self.counters.foreign_packets += 1;
            return;
        }
        if packet.sequence > self.next {
            let last = packet.sequence - 1;
            self.counters.gaps += 1;
            self.counters.lost += packet.sequence - self.next;
            sink.gap(self.next, last, GapReason::NoServer);
            self.next = packet.sequence;
        }
        match packet.body {
            Body::Messages(blocks) => {
                let mut batch = [MessageAt::default(); BATCH];
                let mut filled = 0;
                for message in blocks.places(packet.sequence) {
                    if message.sequence < self.next {
                        self.counters.duplicates += 1;
                        continue;
                    }
                    self.next = message.sequence + 1;
                    self.counters.delivered += 1;
                    batch[filled] = message;
                    filled += 1;
                    if filled == BATCH {
                        sink.messages(blocks.buffer(), &batch, recv, source);
                        filled = 0;
                    }
                }
                if filled > 0 {
                    sink.messages(blocks.buffer(), &batch[..filled], recv, source);
                }
            }
            Body::EndOfSession if !self.ended => {
                self.ended = true;
                sink.end_of_session(packet.session, self.next);
            }
            Body::Heartbeat | Body::EndOfSession => {}
        }
    }

    fn belongs<S: Sink>(&mut self, packet: &Packet<'_>, sink: &mut S) -> bool {
        match self.session {
            Some(session) if session == packet.session => true,
            Some(_) if !self.ended || self.config.new_session == NewSession::Never => false,
            previous => {
                self.next = match self.config.start {
                    Start::At(first) if previous.is_none() => first.max(1),
                    Start::FirstSeen if previous.is_none() => packet.sequence,
                    Start::At(_) | Start::FirstSeen => 1,
                };
                self.session = Some(packet.session);
                self.ended = false;
                self.counters.sessions += 1;
                sink.session(SessionStart { session: packet.session, first: self.next, previous });
                true
            }
        }
    }

    /// A datagram came that is no packet; it proves nothing but that somebody sends.
    pub fn handle_malformed(&mut self, source: Source) {
        match source {
            Source::Line(line) => self.lines[line.index()].malformed += 1,
            Source::Recovery => self.counters.answers_malformed += 1,
        }
    }

    /// Time has passed. Early calls are harmless; after the call [`Self::poll_timeout`] lies after `now`.
    pub fn handle_timeout<S: Sink>(&mut self, _now: Nanos, _sink: &mut S) {}

    /// When the caller must next call [`Self::handle_timeout`] and then [`Self::poll_request`], if nothing arrives first.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Nanos> {
        None
    }

    /// The next request to send. Call until `None`, after packets and after timeouts.
    pub fn poll_request(&mut self, _now: Nanos) -> Option<RecoveryRequest> {
        None
    }

    /// Holds all messages back from now on, within the window, until [`Self::release_from`]: a snapshot is being loaded.
    pub fn hold(&mut self) {}

    /// Ends [`Self::hold`]: everything before `sequence` is in the snapshot, go on from there.
    pub fn release_from<S: Sink>(&mut self, _now: Nanos, sequence: u64, _sink: &mut S) {
        self.next = sequence.max(1);
    }

    /// Whether messages are held back for a snapshot.
    #[must_use]
    pub const fn is_holding(&self) -> bool {
        false
    }

    /// The session adopted.
    #[must_use]
    pub const fn session(&self) -> Option<SessionKey> {
        self.session
    }

    /// Number of the next message to be handed over or declared lost. Means nothing before a session is adopted.
    #[must_use]
    pub const fn next_sequence(&self) -> u64 {
        self.next
    }

    /// Whether the session has ended, everything of it being handed over or declared lost.
    #[must_use]
    pub const fn is_ended(&self) -> bool {
        self.ended
    }

    /// Messages held back behind holes, or for a snapshot.
    #[must_use]
    pub const fn messages_held(&self) -> u32 {
        0
    }

    /// Holes that are neither filled nor declared yet.
    #[must_use]
    pub const fn open_holes(&self) -> usize {
        0
    }

    /// What was seen.
    #[must_use]
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// What one line has delivered.
    #[must_use]
    pub const fn line(&self, line: LineId) -> &LineScore {
        &self.lines[line.index()]
    }

    /// How a line stands at `now`.
    #[must_use]
    pub fn line_state(&self, line: LineId, now: Nanos) -> LineState {
        match self.lines[line.index()].last_packet {
            None => LineState::Waiting,
            Some(at) if now.since(at) >= self.config.line_dead_after_ns => LineState::Dead,
            Some(_) => LineState::Live,
        }
    }

    /// Median time by which this line was ahead when it brought the first copy, in nanoseconds, within a fifth. `None`
    /// until both lines have brought a message.
    #[must_use]
    pub const fn median_lead_ns(&self, _line: LineId) -> Option<u64> {
        None
    }
}
