//! The limits of an arbiter. All have names, units and defaults that are safe to run.

use super::SessionKey;
use crate::time::{MILLISECOND_NS, SECOND_NS};

/// Where to begin in the first session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// At this number: 1 for all of the session, or what a snapshot named.
    At(u64),
    /// Late join: wherever the first packet stands. The past is not asked for and not declared.
    FirstSeen,
}

/// What to do about packets of another session than the one adopted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NewSession {
    /// Never adopt one: count them.
    Never,
    /// Adopt one once ours has ended, or when all lines have been without a packet of ours for `line_dead_after_ns`.
    AfterOurs,
    /// As before, and at once when its name is greater as bytes.
    Greater,
}

/// Limits and policies of an [`Arbiter`](super::Arbiter).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArbiterConfig {
    /// Lines that carry the feed: 1 or 2.
    pub lines: u8,
    /// Re-request servers, 0 to 8. They are asked in turn.
    pub servers: u8,
    /// Where to begin in the first session. Every later session begins at 1.
    pub start: Start,
    /// The only session to adopt first; `None` adopts the first one heard.
    pub session: Option<SessionKey>,
    /// What to do about packets of other sessions.
    pub new_session: NewSession,
    /// Messages held back behind a hole, 64 to 2^24, a power of two; 16 bytes of memory each.
    pub window_messages: u32,
    /// Bytes held back behind a hole, a multiple of 65,536 up to 1 GiB; allocated at start-up.
    pub window_bytes: u32,
    /// Holes known at one time, 1 to 65,536.
    pub max_holes: u32,
    /// How long a hole waits for the other line before it is asked for. Without another living line: not at all.
    pub line_wait_ns: u64,
    /// How long a hole waits in any case before it is asked for: a datagram overtaken by its neighbour.
    pub reorder_grace_ns: u64,
    /// How long the first request waits for its answer; doubles with every further one.
    pub request_retry_ns: u64,
    /// Requests without progress before the messages are declared lost, 1 to 16.
    pub request_tries: u8,
    /// Most messages asked for at once, 1 to 65,534.
    pub request_messages: u16,
    /// Requests waiting for an answer at one time, 1 to 64.
    pub requests_in_flight: u8,
    /// An answer may come in several packets (IEX-TP), so that a part of it is no reason to ask for the rest at once.
    pub answers_in_parts: bool,
    /// From when a hole is known until it is filled or declared lost, whatever happens.
    pub gap_limit_ns: u64,
    /// The same for holes of a session whose end has been announced, for as long as the announcements repeat.
    pub end_gap_limit_ns: u64,
    /// How long packets of a stream may still come on a line after another line has shown that it starts anew; they are
    /// ignored. Then the line is taken to be in the new stream as well.
    pub restart_settle_ns: u64,
    /// So many packets in a row that go on from each other, but lie behind their own line, are a stream that has started
    /// anew and whose first packet was lost; 0: never. For IEX-TP only: MoldUDP64 never counts backwards.
    pub restart_after_backward: u8,
    /// A line without a packet for this long is dead.
    pub line_dead_after_ns: u64,
    /// A line that has not reached within this time what the pair had is degraded.
    pub line_degraded_after_ns: u64,
}

impl Default for ArbiterConfig {
    /// Two lines, no server, all of the first session heard, 2^18 messages and 16 MiB held, 1,024 holes, 5 ms for the
    /// other line, 1 ms for reordering, 4 requests from 50 ms on, 1,000 messages each, 16 in flight, gaps within 1.8 s (a
    /// reader is to be told within 2 s, timers and schedulers included), lines dead after 3 s and degraded after 1 s.
    fn default() -> Self {
        Self {
            lines: 2,
            servers: 0,
            start: Start::At(1),
            session: None,
            new_session: NewSession::AfterOurs,
            window_messages: 1 << 18,
            window_bytes: 16 << 20,
            max_holes: 1_024,
            line_wait_ns: 5 * MILLISECOND_NS,
            reorder_grace_ns: MILLISECOND_NS,
            request_retry_ns: 50 * MILLISECOND_NS,
            request_tries: 4,
            request_messages: 1_000,
            requests_in_flight: 16,
            answers_in_parts: false,
            gap_limit_ns: 1_800 * MILLISECOND_NS,
            end_gap_limit_ns: 1_800 * MILLISECOND_NS,
            restart_settle_ns: SECOND_NS,
            restart_after_backward: 0,
            line_dead_after_ns: 3 * SECOND_NS,
            line_degraded_after_ns: SECOND_NS,
        }
    }
}

/// Why an arbiter cannot be configured so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A number outside of its range.
    #[error("{field} = {value}: expected {min} to {max}")]
    Range {
        /// The field's name.
        field: &'static str,
        /// What was given.
        value: u64,
        /// Smallest legal value.
        min: u64,
        /// Greatest legal value.
        max: u64,
    },
    /// A number that is no multiple of its unit, or no power of two.
    #[error("{field} = {value}: expected {expected}")]
    Shape {
        /// The field's name.
        field: &'static str,
        /// What was given.
        value: u64,
        /// What is expected.
        expected: &'static str,
    },
}

impl ArbiterConfig {
    /// Whether an arbiter can run so.
    ///
    /// # Errors
    /// [`ConfigError`] names the first field that is wrong, its value and what is expected.
    pub fn validate(&self) -> Result<(), ConfigError> {
        const HOUR_NS: u64 = 3_600 * SECOND_NS;
        let ranges = [
            ("lines", u64::from(self.lines), 1, 2),
            ("servers", u64::from(self.servers), 0, 8),
            ("window_messages", u64::from(self.window_messages), 64, 1 << 24),
            ("window_bytes", u64::from(self.window_bytes), 1 << 16, 1 << 30),
            ("max_holes", u64::from(self.max_holes), 1, 1 << 16),
            ("line_wait_ns", self.line_wait_ns, 0, HOUR_NS),
            ("reorder_grace_ns", self.reorder_grace_ns, 0, HOUR_NS),
            ("request_retry_ns", self.request_retry_ns, 1, HOUR_NS),
            ("request_tries", u64::from(self.request_tries), 1, 16),
            ("request_messages", u64::from(self.request_messages), 1, 65_534),
            ("requests_in_flight", u64::from(self.requests_in_flight), 1, 64),
            ("gap_limit_ns", self.gap_limit_ns, 1, HOUR_NS),
            ("end_gap_limit_ns", self.end_gap_limit_ns, 1, HOUR_NS),
            ("restart_settle_ns", self.restart_settle_ns, 0, HOUR_NS),
            ("line_dead_after_ns", self.line_dead_after_ns, 1, HOUR_NS),
            ("line_degraded_after_ns", self.line_degraded_after_ns, 1, HOUR_NS),
        ];
        for (field, value, min, max) in ranges {
            if !(min..=max).contains(&value) {
                return Err(ConfigError::Range { field, value, min, max });
            }
        }
        let shape = |field, value: u32, expected| Err(ConfigError::Shape { field, value: u64::from(value), expected });
        if !self.window_messages.is_power_of_two() {
            return shape("window_messages", self.window_messages, "a power of two");
        }
        if !self.window_bytes.is_multiple_of(1 << 16) {
            return shape("window_bytes", self.window_bytes, "a multiple of 65536");
        }
        Ok(())
    }
}
