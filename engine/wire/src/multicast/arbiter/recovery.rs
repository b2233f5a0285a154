//! Filling holes: when to wait, whom to ask, when to give up.

use super::super::config::ArbiterConfig;
use super::super::holes::{Hole, HoleState};
use super::super::sink::{GapReason, LineId, Sink, Source};
use super::super::{Body, Packet, SessionKey};
use super::{Arbiter, NEVER};
use crate::time::Nanos;

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

/// Requests remembered, at least as many as can be on their way, so that a late answer is still known as one.
const REMEMBERED: usize = 256;

/// Ranges that were asked for, the oldest being overwritten.
#[derive(Debug)]
pub(super) struct Asked {
    ranges: Box<[(u64, u64)]>,
    count: usize,
}

impl Asked {
    pub(super) fn new() -> Self {
        Self { ranges: vec![(0, 0); REMEMBERED].into(), count: 0 }
    }

    pub(super) fn clear(&mut self) {
        self.count = 0;
    }

    /// Remembers that messages `first` up to but not including `end` were asked for.
    fn note(&mut self, first: u64, end: u64) {
        self.ranges[self.count % REMEMBERED] = (first, end);
        self.count += 1;
    }

    /// The first part of `first..end` that was asked for; empty if none of it was.
    fn overlap(&self, first: u64, end: u64) -> (u64, u64) {
        let remembered = &self.ranges[..self.count.min(REMEMBERED)];
        let parts = remembered.iter().map(|range| (first.max(range.0), end.min(range.1)));
        parts.filter(|(first, end)| first < end).min().unwrap_or((end, end))
    }
}

/// How long after its first day a hole lives: the moments that every decision about it depends on.
struct Patience {
    gap_limit_ns: u64,
    /// While the end of the session is announced: when the announcements count as stopped, and the limit until then.
    end: Option<(Nanos, u64)>,
    servers: u8,
    tries: u8,
}

impl Patience {
    fn new(config: &ArbiterConfig, end: Option<(u64, Nanos)>) -> Self {
        Self {
            gap_limit_ns: config.gap_limit_ns,
            end: end.map(|(_, at)| (at.saturating_add(config.line_dead_after_ns), config.end_gap_limit_ns)),
            servers: config.servers,
            tries: config.request_tries,
        }
    }

    /// When the hole is given up, whatever has happened.
    fn deadline(&self, hole: &Hole) -> Nanos {
        let usual = hole.known_at.saturating_add(self.gap_limit_ns);
        match self.end {
            None => usual,
            Some((stops_at, limit_ns)) => hole.known_at.saturating_add(limit_ns).min(usual.max(stops_at)),
        }
    }

    /// While the end of the session is announced, servers still answer: the last chance is taken as often as it is there.
    fn tries_are_used_up(&self, hole: &Hole, now: Nanos) -> bool {
        hole.tries >= self.tries && self.end.is_none_or(|(stops_at, _)| now >= stops_at)
    }

    fn reason(&self) -> GapReason {
        if self.servers == 0 { GapReason::NoServer } else { GapReason::Unanswered }
    }
}

impl Arbiter {
    /// An answer of a re-request server. Only what was asked for is taken; how far the feed is it does not say.
    pub(super) fn answer<S: Sink>(&mut self, now: Nanos, recv: Nanos, packet: &Packet<'_>, sink: &mut S) {
        self.counters.answers += 1;
        let Body::Messages(blocks) = packet.body else { return };
        let end = packet.next_sequence();
        let mut first = packet.sequence;
        while first < end {
            let (accept_first, accept_end) = self.asked.overlap(first, end);
            self.counters.answers_outside += accept_first - first;
            if accept_first < accept_end {
                self.intake(now, recv, Source::Recovery, blocks, packet.sequence, accept_first..accept_end, sink);
            }
            first = accept_end;
        }
    }

    /// Messages `first` up to but not including `end` have come in one packet. If a hole that was asked for begins right
    /// behind them, the answer is here, and the rest can be asked for.
    pub(super) fn note_progress(&mut self, now: Nanos, first: u64, end: u64) {
        let Some(index) = self.holes.find(end) else { return };
        let hole = self.holes.get_mut(index);
        let is_of_request = first < hole.asked_end && end > hole.asked_first;
        if hole.state != HoleState::Asked || hole.first != end || !is_of_request {
            return;
        }
        if self.config.answers_in_parts && hole.first < hole.asked_end {
            // Not before the other parts have had their time; that may be earlier than the last doubling said.
            hole.at = now.saturating_add(self.config.request_retry_ns);
            self.due_at = self.due_at.min(hole.at);
            return;
        }
        hole.tries = 0;
        hole.at = now;
        self.holes.set_state(index, HoleState::Waiting);
        self.due_at = self.due_at.min(now);
    }

    /// A line has moved from `before` to `end`: holes in between need not wait for it any longer.
    pub(super) fn line_passed(&mut self, now: Nanos, line: LineId, before: u64, end: u64) {
        let bit = 1 << line.index();
        let grace_ns = self.config.reorder_grace_ns;
        for hole in self.holes.iter_mut().rev().skip_while(|hole| hole.last >= end) {
            if hole.last < before {
                break;
            }
            if hole.waiting_for & bit != 0 {
                hole.waiting_for &= !bit;
                if hole.waiting_for == 0 {
                    hole.at = hole.at.min(hole.known_at.saturating_add(grace_ns).max(now));
                    self.due_at = self.due_at.min(hole.at);
                }
            }
        }
    }

    /// Time has passed. Early calls are harmless; once [`Self::poll_request`] has then been called to its end,
    /// [`Self::poll_timeout`] lies after `now`.
    pub fn handle_timeout<S: Sink>(&mut self, now: Nanos, sink: &mut S) {
        self.bury_lines(now);
        if now < self.due_at {
            return;
        }
        let patience = Patience::new(&self.config, self.end);
        for index in 0..self.holes.len() {
            let hole = self.holes.get_mut(index);
            let next = match hole.state {
                HoleState::Lost(_) => continue,
                _ if now >= patience.deadline(hole) => HoleState::Lost(patience.reason()),
                _ if now < hole.at => continue,
                HoleState::Waiting if patience.servers == 0 => HoleState::Lost(GapReason::NoServer),
                HoleState::Waiting => continue,
                HoleState::Asked => {
                    if hole.first > hole.asked_first {
                        hole.tries = 0;
                    }
                    match patience.tries_are_used_up(hole, now) {
                        true => HoleState::Lost(GapReason::Unanswered),
                        false => HoleState::Waiting,
                    }
                }
            };
            self.holes.set_state(index, next);
        }
        self.settle(sink);
        self.due_at = self.next_due(now);
    }

    /// Notes lines that have been silent for too long; holes do not wait for them.
    fn bury_lines(&mut self, now: Nanos) {
        let dead_after_ns = self.config.line_dead_after_ns;
        for line in [LineId::A, LineId::B] {
            let state = &mut self.lines[line.index()];
            let is_silent = state.quiet_since.is_some_and(|since| now.since(since) >= dead_after_ns);
            if is_silent && !state.dead {
                state.dead = true;
                state.score.deaths += 1;
                self.line_passed(now, line, 0, u64::MAX);
            }
        }
    }

    /// When the caller must next call [`Self::handle_timeout`] and then [`Self::poll_request`], if nothing arrives first.
    #[inline]
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Nanos> {
        let dead_after_ns = self.config.line_dead_after_ns;
        let deaths = self.lines.iter().filter(|line| !line.dead).filter_map(|line| line.quiet_since);
        let next = deaths.map(|since| since.saturating_add(dead_after_ns)).fold(self.due_at, Nanos::min);
        (next < NEVER).then_some(next)
    }

    /// The next request to send. Call until `None`, after packets and after timeouts.
    pub fn poll_request(&mut self, now: Nanos) -> Option<RecoveryRequest> {
        if now < self.due_at {
            return None;
        }
        let config = &self.config;
        let may_ask = config.servers > 0 && self.holes.asked() < u32::from(config.requests_in_flight);
        let due = |hole: &Hole| hole.state == HoleState::Waiting && hole.at <= now;
        let Some((session, index)) = self.session.zip(self.holes.iter().position(due)).filter(|_| may_ask) else {
            self.due_at = self.next_due(now);
            return None;
        };
        let hole = self.holes.get_mut(index);
        let len = hole.last - hole.first + 1;
        let count = u16::try_from(len).map_or(config.request_messages, |len| len.min(config.request_messages));
        let server = hole.server % config.servers;
        let retry_ns = config.request_retry_ns.saturating_mul(1 << hole.tries.min(16));
        self.counters.requests += 1;
        self.counters.retries += u64::from(hole.tries > 0);
        hole.tries = hole.tries.saturating_add(1);
        hole.server = (server + 1) % config.servers;
        (hole.asked_first, hole.asked_end) = (hole.first, hole.first + u64::from(count));
        hole.at = now.saturating_add(retry_ns);
        self.asked.note(hole.asked_first, hole.asked_end);
        let request = RecoveryRequest { session, first: hole.first, count, server };
        self.holes.set_state(index, HoleState::Asked);
        Some(request)
    }

    /// The next moment at which a hole needs something, after everything due at `now` was done.
    fn next_due(&self, now: Nanos) -> Nanos {
        let patience = Patience::new(&self.config, self.end);
        let may_ask = self.holes.asked() < u32::from(self.config.requests_in_flight);
        let moment = |hole: &Hole| match hole.state {
            HoleState::Lost(_) => NEVER,
            // It is its turn when a request is answered or given up, and those have moments of their own.
            HoleState::Waiting if hole.at <= now && !may_ask => patience.deadline(hole),
            HoleState::Waiting | HoleState::Asked => hole.at.min(patience.deadline(hole)),
        };
        self.holes.iter().map(moment).fold(NEVER, Nanos::min)
    }
}
