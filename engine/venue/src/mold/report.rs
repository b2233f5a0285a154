//! What a MoldUDP64 venue tells about itself: what it sent, and what it kept back on purpose.

use serde::Serialize;

use super::config::MoldConfig;

/// Most ranges that are listed; the sums go on.
const MAX_RANGES: usize = 100_000;

/// Message numbers, as ranges in the order in which they came up. Numbers are those of the source, from 1, and go on
/// through a change of session.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Ranges {
    /// Messages in all of them.
    pub messages: u64,
    /// First and last of each.
    pub ranges: Vec<(u64, u64)>,
    /// There were more than can be listed.
    pub is_cut: bool,
}

impl Ranges {
    /// One more, joined with the last one if it follows it.
    pub(super) fn add(&mut self, first: u64, last: u64) {
        self.messages += last + 1 - first;
        let is_full = self.ranges.len() >= MAX_RANGES;
        match self.ranges.last_mut() {
            Some(range) if range.1 + 1 == first => range.1 = last,
            _ if is_full => self.is_cut = true,
            _ => self.ranges.push((first, last)),
        }
    }
}

/// One line.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct LineReport {
    /// `a` or `b`.
    pub line: char,
    /// Datagrams sent, of any kind.
    pub datagrams: u64,
    /// Messages in them; repetitions and strays do not count.
    pub messages: u64,
    /// Bytes of all payloads.
    pub bytes: u64,
    /// Heartbeats among the datagrams.
    pub heartbeats: u64,
    /// Ends of session among the datagrams.
    pub ends: u64,
    /// Kept back by `drop`.
    pub dropped: Ranges,
    /// Kept back by `mute` or `kill`.
    pub muted: Ranges,
    /// Messages sent once more by `dup`.
    pub repeated: u64,
    /// Datagrams sent late by `swap`.
    pub swapped: u64,
    /// Datagrams of another session.
    pub strays: u64,
    /// Datagrams of noise.
    pub noise: u64,
    /// Datagrams that the system refused.
    pub refused: u64,
}

/// The re-request server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct ReRequestReport {
    /// Datagrams received.
    pub requests: u64,
    /// Answered, rightly numbered.
    pub answered: u64,
    /// Messages in those answers.
    pub messages: u64,
    /// Answered outside of the asked range, by `off-range`.
    pub off_range: u64,
    /// Kept back by a fault.
    pub kept_back: u64,
    /// Not 20 bytes, no such session, a count of 0 or 65535, or over the limit.
    pub refused: u64,
    /// Asked for what is not sent yet, or no longer held.
    pub not_held: u64,
    /// Above the rate.
    pub over_rate: u64,
}

/// The snapshot server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct GlimpseReport {
    /// Snapshots handed out.
    pub snapshots: u64,
    /// Messages in them, the last one of each apart.
    pub messages: u64,
}

/// A venue's counters at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct MoldReport {
    /// Name of the session that is current.
    pub session: String,
    /// Messages that went by the lines, sent or kept back.
    pub messages: u64,
    /// The lines, A first.
    pub lines: Vec<LineReport>,
    /// What no line carried, for whatever fault.
    pub dropped_on_all_lines: Ranges,
    /// The re-request server, if there is one.
    pub rerequest: Option<ReRequestReport>,
    /// The snapshot server, if there is one.
    pub glimpse: Option<GlimpseReport>,
    /// Faults of the messages that have happened.
    pub faults: u64,
}

impl MoldReport {
    pub(super) fn new(config: &MoldConfig) -> Self {
        let lines = config.lines.iter().zip(['a', 'b']).map(|(_, line)| LineReport { line, ..LineReport::default() });
        Self {
            session: String::new(),
            messages: 0,
            lines: lines.collect(),
            dropped_on_all_lines: Ranges::default(),
            rerequest: config.rerequest.as_ref().map(|_| ReRequestReport::default()),
            glimpse: config.glimpse.map(|_| GlimpseReport::default()),
            faults: 0,
        }
    }
}
