//! The receiver's state machine.
//!
//! ```text
//!            next                                                     highest
//!   done      |  hole  |  held  |  hole  |        held                  |     not heard of
//!  -----------+--------+--------+--------+------------------------------+-----------------
//! ```
//!
//! Everything from `next` to `highest` is either held back in the [`Window`] or part of one of the [`Holes`], and unless
//! messages are held back for a snapshot, the first hole begins at `next`. Without a hole both numbers are equal, and a
//! packet that begins there goes to the sink as it came.

mod intake;
mod recovery;
mod session;

use super::config::{ArbiterConfig, ConfigError};
use super::holes::{Hole, HoleState, Holes};
use super::lead::Firsts;
use super::scoreboard::{Line, LineScore, LineState};
use super::sink::{GapReason, LineId, Sink, Source};
use super::window::Window;
use super::{Body, Packet, SessionKey};
use crate::time::Nanos;
use intake::Batch;
use recovery::Asked;
pub use recovery::RecoveryRequest;
use session::Hold;

/// What an arbiter has seen that belongs to no single line. All counts run from its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Messages handed over.
    pub delivered: u64,
    /// Messages that a re-request server brought first.
    pub recovered: u64,
    /// Copies of messages that had come before or were in the snapshot, from all sources.
    pub duplicates: u64,
    /// Holes seen: the numbers jumped over messages that had not come.
    pub holes: u64,
    /// Gaps declared.
    pub gaps: u64,
    /// Messages in declared gaps.
    pub lost: u64,
    /// Requests made, repeated ones included.
    pub requests: u64,
    /// Requests made again because no answer brought anything.
    pub retries: u64,
    /// Packets of answers.
    pub answers: u64,
    /// Messages in answers that nobody had asked for; ignored.
    pub answers_outside: u64,
    /// Datagrams from servers that were no packet.
    pub answers_malformed: u64,
    /// Packets of sessions that were not adopted; ignored.
    pub foreign_packets: u64,
    /// Packets with messages but sequence 0, which numbers nothing; ignored.
    pub unnumbered_packets: u64,
    /// Packets farther ahead than the window is wide; ignored until a second one confirms the jump.
    pub far_packets: u64,
    /// Packets after the end of the session, or that contradict it; ignored, except that messages beyond an announced
    /// end take the announcement back.
    pub after_end_packets: u64,
    /// Packets of a stream that has started anew meanwhile; ignored.
    pub stale_packets: u64,
    /// Messages forgotten for want of room while a snapshot was loading. They are a hole again if it does not have them.
    pub forgotten: u64,
    /// Sessions adopted.
    pub sessions: u64,
    /// Times that a stream started anew within its session.
    pub restarts: u64,
}

/// Puts the lines of a feed and the answers of re-request servers together into one gap-free sequence.
///
/// The caller's loop: [`handle_packet`](Self::handle_packet) for every packet of a burst; when
/// [`poll_timeout`](Self::poll_timeout) is due, [`handle_timeout`](Self::handle_timeout); after either, send what
/// [`poll_request`](Self::poll_request) yields until it yields nothing.
#[derive(Debug)]
pub struct Arbiter {
    config: ArbiterConfig,
    session: Option<SessionKey>,
    /// When the last packet of our session came; `None` before the first.
    ours_heard_at: Option<Nanos>,
    next: u64,
    highest: u64,
    holes: Holes,
    window: Window,
    batch: Batch,
    /// Messages are held back for a snapshot.
    hold: Option<Hold>,
    /// A snapshot came before the session did: where to begin then.
    snapshot: Option<u64>,
    /// The session's end was announced: the number it ends before, and when that was last heard.
    end: Option<(u64, Nanos)>,
    ended: bool,
    /// Where the packet would begin that confirms a far jump.
    far_next: Option<u64>,
    /// How often the stream has started anew within the session, and when it last did.
    generation: u64,
    restarted_at: Nanos,
    asked: Asked,
    /// No hole needs anything before this. It may be too early, never too late.
    due_at: Nanos,
    firsts: Firsts,
    lines: [Line; 2],
    counters: Counters,
}

/// Nothing is due.
const NEVER: Nanos = Nanos(u64::MAX);

impl Arbiter {
    /// An arbiter that has heard nothing. All memory that it will ever use is allocated here.
    ///
    /// # Errors
    /// [`ConfigError`] as [`ArbiterConfig::validate`].
    pub fn new(config: ArbiterConfig) -> Result<Self, ConfigError> {
        config.validate()?;
        Ok(Self {
            session: None,
            ours_heard_at: None,
            next: 0,
            highest: 0,
            holes: Holes::new(config.max_holes),
            window: Window::new(config.window_messages, config.window_bytes),
            batch: Batch::new(),
            hold: None,
            snapshot: None,
            end: None,
            ended: false,
            far_next: None,
            generation: 0,
            restarted_at: Nanos(0),
            asked: Asked::new(),
            due_at: NEVER,
            firsts: Firsts::new(),
            lines: [Line::new(), Line::new()],
            counters: Counters::default(),
            config,
        })
    }

    /// Takes one packet. `now` is the caller's monotonic clock; `recv` the packet's receive stamp, which is handed on and
    /// used to compare the lines, and nothing else.
    pub fn handle_packet<S: Sink>(
        &mut self,
        now: Nanos,
        recv: Nanos,
        source: Source,
        packet: &Packet<'_>,
        sink: &mut S,
    ) {
        if packet.sequence.checked_add(u64::from(packet.count())).is_none() {
            self.handle_malformed(source);
        } else if packet.sequence == 0 && packet.count() > 0 {
            self.counters.unnumbered_packets += 1;
        } else if !self.admit(now, source, packet, sink) {
            self.counters.foreign_packets += 1;
        } else {
            match source {
                Source::Line(line) => self.line_packet(now, recv, line, packet, sink),
                Source::Recovery => self.answer(now, recv, packet, sink),
            }
            self.settle(sink);
        }
    }

    /// A datagram came that is no packet; it proves nothing but that somebody sends.
    pub fn handle_malformed(&mut self, source: Source) {
        match source {
            Source::Line(line) => self.lines[line.index()].score.malformed += 1,
            Source::Recovery => self.counters.answers_malformed += 1,
        }
    }

    /// A packet of our session on a line: where the feed is, and some of its messages.
    fn line_packet<S: Sink>(&mut self, now: Nanos, recv: Nanos, line: LineId, packet: &Packet<'_>, sink: &mut S) {
        // A heartbeat before the first message may say 0; the first message is number 1 all the same.
        let (start, end) = (packet.sequence.max(1), packet.next_sequence().max(1));
        self.hear(now, line, packet);
        if self.is_stale(now, line, packet, sink) {
            self.counters.stale_packets += 1;
            return;
        }
        if self.ended {
            self.counters.after_end_packets += u64::from(end > self.next);
            self.count_duplicates(Source::Line(line), u64::from(packet.count()));
            return;
        }
        if start.saturating_sub(self.highest) > self.window.span() && !self.jump(start, end, sink) {
            self.counters.far_packets += 1;
            return;
        }
        if let Body::Messages(_) = packet.body {
            let fresh = start >= self.next;
            if let Some((ahead, lead_ns)) = self.firsts.note(line, start, recv, fresh) {
                self.lines[ahead.index()].leads.record(lead_ns);
            }
        }
        if start > self.highest {
            self.open_hole(now, start, sink);
        }
        match packet.body {
            Body::Messages(blocks) => {
                if self.end.is_some_and(|(announced, _)| end > announced) {
                    self.counters.after_end_packets += 1;
                    self.end = None;
                }
                self.intake(now, recv, Source::Line(line), blocks, packet.sequence, 0..u64::MAX, sink);
            }
            Body::EndOfSession if start == self.highest => self.end = Some((start, now)),
            Body::EndOfSession => self.counters.after_end_packets += 1,
            Body::Heartbeat => {}
        }
        let state = &mut self.lines[line.index()];
        let passed = state.advance(start, end);
        state.measure(now, self.highest);
        if let Some(before) = passed.filter(|_| !self.holes.is_empty()) {
            self.line_passed(now, line, before, end);
        }
    }

    fn hear(&mut self, now: Nanos, line: LineId, packet: &Packet<'_>) {
        for other in &mut self.lines[..usize::from(self.config.lines)] {
            // From the first packet of all lines on, a line that stays silent is missed.
            other.quiet_since.get_or_insert(now);
        }
        let state = &mut self.lines[line.index()];
        state.heard(now);
        match &packet.body {
            Body::Messages(blocks) => {
                state.score.messages += u64::from(blocks.message_count());
                state.score.bytes += blocks.bytes() as u64;
            }
            Body::Heartbeat | Body::EndOfSession => state.score.control_packets += 1,
        }
    }

    /// Declares what was given up as soon as it is first in line, and the end when everything before it is done.
    fn settle<S: Sink>(&mut self, sink: &mut S) {
        if self.is_holding() {
            return;
        }
        while let Some(&Hole { last, state: HoleState::Lost(reason), .. }) = self.holes.front() {
            self.declare_front(last, reason, sink);
        }
        if let Some((end, _)) = self.end
            && self.next >= end
            && !self.ended
            && let Some(session) = self.session
        {
            self.ended = true;
            sink.end_of_session(session, self.next);
        }
    }

    /// Declares the first hole lost up to message `last`, and hands over what was held back behind it.
    fn declare_front<S: Sink>(&mut self, last: u64, reason: GapReason, sink: &mut S) {
        self.declare(self.next, last, reason, sink);
        self.holes.cut_front(last);
        self.next = last + 1;
        self.drain(sink);
    }

    fn declare<S: Sink>(&mut self, first: u64, last: u64, reason: GapReason, sink: &mut S) {
        self.counters.gaps += 1;
        // Numbers of a hostile feed can jump over all there are, in one session after the other.
        self.counters.lost = self.counters.lost.saturating_add(last - first + 1);
        sink.gap(first, last, reason);
    }

    /// The session adopted.
    #[must_use]
    pub const fn session(&self) -> Option<SessionKey> {
        self.session
    }

    /// Number of the next message to be handed over or declared lost. Means nothing before a session is adopted. While
    /// messages are held back it stays where it was.
    #[inline]
    #[must_use]
    pub fn next_sequence(&self) -> u64 {
        self.hold.map_or(self.next, |hold| hold.began_at)
    }

    /// Number after the last message that any line has named.
    #[must_use]
    pub const fn highest_sequence(&self) -> u64 {
        self.highest
    }

    /// Whether the session has ended, everything of it being handed over or declared lost.
    #[must_use]
    pub const fn is_ended(&self) -> bool {
        self.ended
    }

    /// Messages held back behind holes, or for a snapshot.
    #[must_use]
    pub const fn messages_held(&self) -> u32 {
        self.window.held()
    }

    /// Holes that are neither filled nor declared yet.
    #[must_use]
    pub fn open_holes(&self) -> usize {
        self.holes.len()
    }

    /// What was seen.
    #[must_use]
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// What one line has delivered.
    #[must_use]
    pub const fn line(&self, line: LineId) -> &LineScore {
        &self.lines[line.index()].score
    }

    /// How a line stands at `now`.
    #[must_use]
    pub fn line_state(&self, line: LineId, now: Nanos) -> LineState {
        let config = &self.config;
        self.lines[line.index()].state(now, config.line_dead_after_ns, config.line_degraded_after_ns)
    }

    /// Median time by which this line was ahead of the other when it brought a packet first, in nanoseconds by the receive
    /// stamps, at most an eighth off. `None` until it was ahead once.
    #[must_use]
    pub fn median_lead_ns(&self, line: LineId) -> Option<u64> {
        self.lines[line.index()].leads.median_ns()
    }
}

#[cfg(test)]
mod tests;
