//! Which session is ours, where it begins, when it starts anew, and the hand-over from a snapshot.

use super::super::config::{NewSession, Start};
use super::super::sink::{GapReason, LineId, SessionStart, Sink, Source};
use super::super::{Body, Packet, SessionKey};
use super::{Arbiter, NEVER};
use crate::time::Nanos;

/// Messages are held back for a snapshot.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hold {
    /// Where to go on if no snapshot comes.
    pub(super) began_at: u64,
    /// The sink has had everything before this number, so no snapshot may end earlier.
    done_before: u64,
}

impl Arbiter {
    /// Goes on in `session` at message `next`: what a run before knew. Call it before the first packet.
    ///
    /// The sink is told of no session then, as none begins. If another session is heard before this one, it is adopted at
    /// once unless the policy is [`NewSession::Never`].
    pub fn resume(&mut self, session: SessionKey, next: u64) {
        self.session = Some(session);
        self.next = next.max(1);
        self.highest = self.next;
    }

    /// Whether the packet is of our session; adopts its session where the policy says so.
    pub(super) fn admit<S: Sink>(&mut self, now: Nanos, source: Source, packet: &Packet<'_>, sink: &mut S) -> bool {
        let Source::Line(_) = source else { return self.session == Some(packet.session) };
        let adopt = match self.session {
            Some(ours) if ours == packet.session => {
                self.ours_heard_at = Some(now);
                return true;
            }
            None => self.config.session.is_none_or(|only| only == packet.session),
            // Whoever says no more than that it is over need not be begun.
            Some(_) if packet.body == Body::EndOfSession => false,
            Some(ours) => match self.config.new_session {
                NewSession::Never => false,
                NewSession::Greater if packet.session > ours => true,
                NewSession::Greater | NewSession::AfterOurs => self.ours_is_over(now),
            },
        };
        if adopt {
            self.ours_heard_at = Some(now);
            self.adopt(packet, sink);
        }
        adopt
    }

    /// Our session has ended, is silent on all lines, or was only remembered.
    fn ours_is_over(&self, now: Nanos) -> bool {
        let silent = |heard_at| now.since(heard_at) >= self.config.line_dead_after_ns;
        self.ended || self.ours_heard_at.is_none_or(silent)
    }

    fn adopt<S: Sink>(&mut self, packet: &Packet<'_>, sink: &mut S) {
        let previous = self.session;
        self.abandon(sink);
        let first = match (previous, self.snapshot.take(), self.config.start) {
            // A snapshot is being loaded, and will say where it goes on.
            (None, None, _) if self.is_holding() => packet.sequence.max(1),
            (None, Some(first), _) | (None, None, Start::At(first)) => first.max(1),
            (None, None, Start::FirstSeen) => packet.sequence.max(1),
            (Some(_), _, _) => 1,
        };
        self.session = Some(packet.session);
        self.counters.sessions += 1;
        self.begin(first);
        sink.session(SessionStart { session: packet.session, first, previous });
    }

    /// Numbers begin anew at `first`.
    fn begin(&mut self, first: u64) {
        (self.next, self.highest) = (first, first);
        // Of this stream the sink has had nothing.
        self.hold = self.hold.map(|_| Hold { began_at: first, done_before: 0 });
        (self.end, self.ended, self.far_next) = (None, false, None);
        self.asked.clear();
        self.firsts.clear();
        for line in &mut self.lines {
            line.forget_numbers();
        }
    }

    /// Ends what is under way: what is missing is declared, what is held is handed over. While a snapshot loads, all that
    /// is held is forgotten, as the snapshot will be of another stream.
    fn abandon<S: Sink>(&mut self, sink: &mut S) {
        if self.is_holding() {
            self.counters.forgotten += u64::from(self.window.held());
            self.window.clear();
            self.holes.clear();
        }
        self.declare_all(GapReason::Abandoned, sink);
        self.due_at = NEVER;
    }

    fn declare_all<S: Sink>(&mut self, reason: GapReason, sink: &mut S) {
        while let Some(last) = self.holes.front().map(|hole| hole.last) {
            self.declare_front(last, reason, sink);
        }
    }

    /// Whether a packet of our session belongs to a stream that has started anew meanwhile. Notices that it has.
    pub(super) fn is_stale<S: Sink>(&mut self, now: Nanos, line: LineId, packet: &Packet<'_>, sink: &mut S) -> bool {
        let limit = self.config.restart_after_backward;
        let state = &mut self.lines[line.index()];
        let end = packet.next_sequence().max(1);
        let goes_back = limit > 0 && state.backward_run(packet) >= limit;
        // A line that stands no further than this packet has not seen more of the stream than its beginning: a copy.
        if (packet.restart && state.next > end) || (goes_back && state.generation == self.generation) {
            state.generation += 1;
            state.forget_numbers();
            if state.generation > self.generation {
                self.restart(now, sink);
            }
        }
        let settled = now.since(self.restarted_at) >= self.config.restart_settle_ns;
        let state = &mut self.lines[line.index()];
        if state.generation < self.generation && (settled || end < state.next) {
            state.generation = self.generation;
            state.forget_numbers();
        }
        state.generation < self.generation
    }

    /// The stream of our session starts anew at number 1.
    fn restart<S: Sink>(&mut self, now: Nanos, sink: &mut S) {
        let numbers = self.lines.each_ref().map(|line| line.next);
        self.abandon(sink);
        self.generation += 1;
        self.restarted_at = now;
        self.counters.restarts += 1;
        self.begin(1);
        // Lines that are still in the old stream keep their place in it, so that they are seen to go back.
        for (line, next) in self.lines.iter_mut().zip(numbers) {
            line.next = next;
        }
        if let Some(session) = self.session {
            sink.session(SessionStart { session, first: 1, previous: Some(session) });
        }
    }

    /// A packet that covers `start..end` is farther ahead than the window is wide. Goes there when a second packet, which
    /// begins where the first one ended, confirms it: a stray one must not cost the whole feed.
    pub(super) fn jump<S: Sink>(&mut self, start: u64, end: u64, sink: &mut S) -> bool {
        if self.far_next.replace(end) != Some(start) {
            return false;
        }
        self.far_next = None;
        if self.is_holding() {
            self.counters.forgotten += u64::from(self.window.held());
            self.window.clear();
            self.holes.clear();
        } else {
            self.declare_all(GapReason::Overflow, sink);
            self.declare(self.next, start - 1, GapReason::Jump, sink);
        }
        (self.next, self.highest, self.end) = (start, start, None);
        true
    }

    /// Holds all messages back from now on, within the window, until [`Self::release_from`]: a snapshot is being loaded.
    ///
    /// If the window is full the oldest ones are forgotten; they are missing then if the snapshot does not have them.
    pub fn hold(&mut self) {
        if self.hold.is_none() {
            self.hold = Some(Hold { began_at: self.next, done_before: self.next });
        }
    }

    /// Ends [`Self::hold`]: everything before `sequence` is in the snapshot, the sink gets what comes from there on. To go
    /// on without a snapshot, give [`Self::next_sequence`].
    ///
    /// `false`: no snapshot of this session can end there, as it lies farther ahead of the feed than the window is wide, or
    /// before what the sink had when the hold began. The feed goes on then as if no snapshot had come.
    pub fn release_from<S: Sink>(&mut self, now: Nanos, sequence: u64, sink: &mut S) -> bool {
        let sequence = sequence.max(1);
        if self.session.is_none() {
            self.snapshot = Some(sequence);
            self.hold = None;
            return true;
        }
        let hold = self.hold.take().unwrap_or(Hold { began_at: self.next, done_before: self.next });
        let plausible = sequence >= hold.done_before && sequence.saturating_sub(self.highest) <= self.window.span();
        let first = if plausible { sequence } else { hold.began_at };
        while self.next < first && self.next < self.highest {
            self.skip_to_snapshot(first);
        }
        if self.next < first {
            (self.next, self.highest) = (first, first);
        } else if first < self.next {
            self.reopen(now, first, sink);
        }
        self.drain(sink);
        self.settle(sink);
        plausible
    }

    /// Lets go of the next message, or of the hole that it is in, because the snapshot has it.
    fn skip_to_snapshot(&mut self, sequence: u64) {
        match self.holes.front().map(|hole| (hole.first, hole.last)) {
            Some((first, last)) if first == self.next => {
                let last = last.min(sequence - 1);
                self.holes.cut_front(last);
                self.next = last + 1;
            }
            _ => {
                self.window.release(self.next);
                self.counters.duplicates += 1;
                self.next += 1;
            }
        }
    }

    /// The snapshot ends before what is held begins: what lies between is missing.
    fn reopen<S: Sink>(&mut self, now: Nanos, sequence: u64, sink: &mut S) {
        let last = self.next - 1;
        self.counters.holes += 1;
        if self.holes.is_full() || self.highest.saturating_sub(sequence) >= self.window.span() {
            self.declare(sequence, last, GapReason::Overflow, sink);
        } else {
            let hole = self.new_hole(now, sequence, last);
            self.holes.push_front(hole);
            self.next = sequence;
        }
    }

    /// Whether messages are held back for a snapshot.
    #[must_use]
    pub const fn is_holding(&self) -> bool {
        self.hold.is_some()
    }
}
