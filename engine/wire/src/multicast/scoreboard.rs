//! What each line has delivered, and how it stands beside the other.

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
    /// Bytes of messages.
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
