//! Feeds as `status` shows them: what their tasks told, and what stands in their lanes' memory.

use shm_abi::control::{FeedAddress, FeedStatus, LineStatus, PacketCounts};
use shm_abi::counters::{CounterReader, FeedCounter, LaneCounter};
use shm_abi::layout::{FEEDS_MAX, FeedState};
use shm_abi::segment::Segment;

use crate::control::link::FeedHandle;

/// A feed, and the memory that its lane writes.
#[derive(Debug)]
pub(crate) struct Feed {
    pub(crate) handle: FeedHandle,
    pub(crate) segment: Segment,
}

/// Name of a line, as it is shown.
pub(crate) const fn line_name(index: usize) -> &'static str {
    match index {
        0 => "A",
        1 => "B",
        _ => "recovery",
    }
}

/// Name of a state, as it is shown.
pub(crate) const fn state_name(state: FeedState) -> &'static str {
    FeedState::name_of(state as u64)
}

impl Feed {
    /// Its entry in the lane's memory.
    fn entry(&self) -> Option<(Option<String>, CounterReader)> {
        let mut entries = (0..FEEDS_MAX).filter_map(|index| self.segment.feed(index));
        let (facts, counters) = entries.find(|(facts, _)| facts.name == self.handle.identity.name)?;
        let session = facts.session.map(|bytes| String::from_utf8_lossy(&bytes).trim_matches([' ', '\0']).to_owned());
        Some((session.filter(|session| !session.is_empty()), counters))
    }

    /// The venue's session and next sequence.
    pub(crate) fn place(&self) -> (Option<String>, u64) {
        let entry = self.entry();
        entry.map_or((None, 0), |(session, counters)| (session, counters.feed(FeedCounter::NextSequence)))
    }

    /// Everything about it, at `now_ns` (CLOCK_REALTIME).
    pub(crate) fn status(&self, now_ns: u64) -> FeedStatus {
        let (identity, facts) = (&self.handle.identity, self.handle.facts());
        let mut status = FeedStatus {
            name: identity.name.clone(),
            lane: identity.lane.clone(),
            protocol: identity.protocol.clone(),
            client_type: identity.client_type.clone(),
            state: state_name(facts.state).into(),
            reason: facts.reason,
            connected_since: (facts.connected_since_ns > 0).then(|| facts.connected_since_ns.to_string()),
            gaps: self.segment.counters().lane(LaneCounter::Gaps),
            ..FeedStatus::default()
        };
        for (index, address) in facts.addresses.into_iter().enumerate() {
            let in_use = facts.address_index == Some(index);
            let remote = facts.remote.filter(|_| in_use).map(|remote| remote.to_string());
            status.addresses.push(FeedAddress { address, in_use, remote });
        }
        for (index, score) in self.handle.lines() {
            status.lines.push(LineStatus {
                line: line_name(index).into(),
                datagrams: score.datagrams,
                wins: score.wins,
                median_lead_ns: score.median_lead_ns,
                kernel_drops: score.kernel_drops,
            });
        }
        let Some((session, counters)) = self.entry() else { return status };
        status.session = session;
        status.next_sequence = counters.feed(FeedCounter::NextSequence);
        status.bytes = counters.feed(FeedCounter::Bytes);
        status.reconnects = counters.feed(FeedCounter::Logins).saturating_sub(1);
        status.packets = PacketCounts {
            sequenced: counters.feed(FeedCounter::SequencedPackets),
            unsequenced: counters.feed(FeedCounter::UnsequencedPackets),
            heartbeats: counters.feed(FeedCounter::Heartbeats),
            debug: counters.feed(FeedCounter::DebugPackets),
        };
        let last = counters.feed(FeedCounter::LastByteNs);
        status.last_packet_age_ms = (last > 0).then(|| now_ns.saturating_sub(last) / 1_000_000);
        let counter = |counter: &FeedCounter| (counter.name().to_owned(), counters.feed(*counter));
        status.counters = FeedCounter::ALL.iter().map(counter).collect();
        status
    }
}
