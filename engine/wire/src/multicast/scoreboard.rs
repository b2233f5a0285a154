//! What each line has delivered, and how it stands beside the other.

use super::lead::Leads;
use super::packet::Packet;
use crate::time::Nanos;

/// What one line has delivered. All counts run from the arbiter's start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LineScore {
    /// Datagrams of our session, heartbeats included.
    pub packets: u64,
    /// Heartbeats and end-of-session packets among them.
    pub control_packets: u64,
    /// Messages, first copies and later ones.
    pub messages: u64,
    /// Messages of which this line brought the first copy.
    pub wins: u64,
    /// Messages that had come before, from whatever source.
    pub duplicates: u64,
    /// Messages that this line skipped: its numbers jumped over them.
    pub skipped: u64,
    /// How often they jumped.
    pub holes: u64,
    /// Bytes of messages and their lengths.
    pub bytes: u64,
    /// Datagrams that were no packet.
    pub malformed: u64,
    /// When the last packet came, on the arbiter's clock; `None`: never.
    pub last_packet: Option<Nanos>,
    /// Times that the line was silent for too long.
    pub deaths: u64,
}

/// How a line stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LineState {
    /// No packet yet.
    Waiting,
    /// Level with the pair.
    Live,
    /// Packets come, but the data is behind.
    Degraded,
    /// Silent for too long.
    Dead,
}

/// One line as the arbiter sees it.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) score: LineScore,
    pub(super) leads: Leads,
    /// Number after the last message that the line has named; 0: none in this session.
    pub(super) next: u64,
    /// How often the stream has started anew on this line.
    pub(super) generation: u64,
    /// Since when the line has been silent, if it is: its last packet, or the first packet of all lines.
    pub(super) quiet_since: Option<Nanos>,
    pub(super) dead: bool,
    /// What the pair had at some moment, and that moment: a line that does not reach it in time is degraded.
    goal: u64,
    goal_set_at: Nanos,
    /// Number after the last packet of a run of packets that go on from each other but lie behind `next`.
    backward_next: u64,
    backward_packets: u8,
}

impl Line {
    pub(super) fn new() -> Self {
        Self {
            score: LineScore::default(),
            leads: Leads::new(),
            next: 0,
            generation: 0,
            quiet_since: None,
            dead: false,
            goal: 0,
            goal_set_at: Nanos(0),
            backward_next: 0,
            backward_packets: 0,
        }
    }

    /// Numbers begin anew.
    pub(super) fn forget_numbers(&mut self) {
        (self.next, self.goal, self.backward_packets) = (0, 0, 0);
    }

    /// A packet of our session has come.
    pub(super) fn heard(&mut self, now: Nanos) {
        self.score.packets += 1;
        self.score.last_packet = Some(now);
        self.quiet_since = Some(now);
        self.dead = false;
    }

    /// Moves the line on by a packet that covers `start..end`. Gives where it stood before if it stands further now.
    pub(super) fn advance(&mut self, start: u64, end: u64) -> Option<u64> {
        let before = self.next;
        if before != 0 && start > before {
            self.score.holes += 1;
            self.score.skipped = self.score.skipped.saturating_add(start - before);
        }
        self.next = before.max(end);
        (self.next > before).then_some(before)
    }

    /// Compares the line with the `highest` number of the pair.
    pub(super) fn measure(&mut self, now: Nanos, highest: u64) {
        if self.next >= self.goal {
            (self.goal, self.goal_set_at) = (highest, now);
        }
    }

    pub(super) fn state(&self, now: Nanos, dead_after_ns: u64, degraded_after_ns: u64) -> LineState {
        let silent_ns = self.quiet_since.map_or(0, |since| now.since(since));
        match self.score.last_packet {
            _ if silent_ns >= dead_after_ns => LineState::Dead,
            None => LineState::Waiting,
            Some(_) if self.next < self.goal && now.since(self.goal_set_at) >= degraded_after_ns => LineState::Degraded,
            Some(_) => LineState::Live,
        }
    }

    /// Counts packets that go on from each other behind the line's own position: how a new stream looks whose first packet
    /// was lost. Gives how many there were in a row.
    pub(super) fn backward_run(&mut self, packet: &Packet<'_>) -> u8 {
        let end = packet.next_sequence();
        self.backward_packets = match () {
            () if end >= self.next => 0,
            () if self.backward_packets > 0 && packet.sequence == self.backward_next => {
                self.backward_packets.saturating_add(1)
            }
            () => 1,
        };
        self.backward_next = end;
        self.backward_packets
    }
}
