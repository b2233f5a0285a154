//! Going on where a client left: its cursor, judged, and the trades after it, from the ring.

use shm_abi::cursor::Cursor;
use shm_abi::record::{Body, Record};
use shm_abi::ring::{Polled, Rejoin};
use shm_abi::segment::RingName;

use super::Shard;
use super::connections::{Mode, Phase};
use super::events::{stamps_of, trade_of};
use super::subscribe::Joined;
use super::types::{ConnectionId, Now};
use crate::dialect::{Delta, GapReason, Outgoing, Refusal, Snapshot};

/// Bytes of a client's text that are repeated to it.
const QUOTED_BYTES: usize = 64;

/// A cursor as a client gave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Judged {
    /// A bare number: it names no sequence.
    NoEpoch,
    At(Cursor),
}

/// Judges a cursor's text. The error lacks the command's id.
pub(super) fn judge(text: &str) -> Result<Judged, Refusal> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(Judged::NoEpoch);
    }
    text.parse().map(Judged::At).map_err(|error| Refusal {
        id: None,
        code: "bad_value",
        field: "cursor".into(),
        value: quoted(text).into(),
        expected: format!("lane.epoch.seq, as an ack, a snapshot or hello gave it: {error}"),
    })
}

fn quoted(text: &str) -> &str {
    &text[..text.floor_char_boundary(QUOTED_BYTES)]
}

/// A topic that resumes: its instrument, and the number of the last event that its client knows.
struct Resuming {
    joined: Joined,
    instrument_id: u32,
    prev: u64,
}

impl Shard {
    /// No cursor, so to speak: everybody gets a gap that says why, and a snapshot.
    pub(super) fn cannot_resume_all(&mut self, id: ConnectionId, joined: &[Joined], cursor: &str) {
        for joined in joined {
            self.cannot_resume(id, joined, GapReason::NoEpoch, cursor);
        }
    }

    fn cannot_resume(&mut self, id: ConnectionId, joined: &Joined, reason: GapReason, cursor: &str) {
        let topic = &self.world.topics[joined.topic];
        let stream = self.world.lanes[usize::from(topic.lane)].stream;
        let subject = self.world.subject(topic);
        let gap = Outgoing::ResumeGap { subject, stream, reason, cursor: quoted(cursor) };
        self.out.tell(&self.world, id.index, &gap);
        self.begin_with_snapshot(id, joined);
    }

    /// Delivers the trades after a cursor, or says why they cannot be.
    pub(super) fn resume(&mut self, id: ConnectionId, joined: &[Joined], at: &Cursor, cursor: &str, now: Now) {
        let mut resuming = Vec::new();
        let mut lane = 0;
        for joined in joined {
            let topic = &self.world.topics[joined.topic];
            let this = &self.world.lanes[usize::from(topic.lane)];
            let reason = if this.name != at.lane.as_str() || this.epoch != at.epoch {
                GapReason::OtherEpoch
            } else if at.seq > this.cursor_seq {
                GapReason::Ahead
            } else if this.cursor_seq - at.seq > self.world.limits.resume_slots.into() {
                GapReason::TooOld
            } else {
                lane = topic.lane;
                let instrument_id = self.world.instruments[topic.instrument].id;
                resuming.push(Resuming { joined: *joined, instrument_id, prev: at.seq });
                continue;
            };
            self.cannot_resume(id, joined, reason, cursor);
        }
        if resuming.is_empty() {
            return;
        }
        let mut frames = Vec::new();
        if !self.missed_trades(id, lane, at.seq, &mut resuming, &mut frames, now) {
            for Resuming { joined, .. } in resuming {
                self.cannot_resume(id, &joined, GapReason::TooOld, cursor);
            }
            return;
        }
        self.out.connections.answer(id.index, &frames, &self.world.limits, &mut self.out.stats);
        for Resuming { joined, .. } in resuming {
            self.go_on(id, &joined);
        }
    }

    /// Appends the trades after `seq`, up to the lane's cursor, of those that resume. `false`: the ring does not hold
    /// them all any more, or they are too many.
    fn missed_trades(
        &mut self,
        id: ConnectionId,
        lane: u16,
        seq: u64,
        resuming: &mut [Resuming],
        frames: &mut Vec<u8>,
        now: Now,
    ) -> bool {
        let this = &self.world.lanes[usize::from(lane)];
        let (Some(source), Some(connection)) = (&this.source, self.out.connections.get_mut(id)) else { return false };
        let (dialect, most) = (connection.dialect, self.world.limits.queued_bytes as usize / 2);
        let mut reader = source.segment.read_from(RingName::Market, seq, Rejoin::Oldest);
        while reader.cursor() <= this.cursor_seq && seq < this.cursor_seq {
            let record = match reader.poll() {
                Polled::Record { n, words } => Record::new(n, words).filter(|record| record.n > seq),
                Polled::Lost(_) => return false,
                Polled::Empty => break,
            };
            let Some(record) = record else { continue };
            let id = record.head.instrument_id;
            let Some(of) = resuming.iter_mut().find(|resuming| resuming.instrument_id == id) else { continue };
            let trade = trade_of(&record, now);
            let delta = match (&trade, record.body()) {
                (Some(trade), _) => Delta::Trade(trade),
                (None, Body::TradeBreak { match_id, .. }) => Delta::TradeBreak(match_id),
                _ => continue,
            };
            let subject = self.world.subject(&self.world.topics[of.joined.topic]);
            let place = self.world.place(lane, record.n);
            let (prev, stamps) = (std::mem::replace(&mut of.prev, record.n), stamps_of(&record.head, now));
            let update = Outgoing::Update { subject, place, prev, stamps, merged: None, delta };
            self.world.encode(dialect, &update, &mut self.out.words, frames);
            if frames.len() > most {
                return false;
            }
        }
        true
    }

    /// A topic whose missed trades are told goes on live: an empty snapshot names the number that the next one follows.
    fn go_on(&mut self, id: ConnectionId, joined: &Joined) {
        let topic = &self.world.topics[joined.topic];
        let (seq, stamps) = (topic.seq, topic.stamps);
        let (subject, place) = (self.world.subject(topic), self.world.place(topic.lane, seq));
        let state = Snapshot::Trades(&[]);
        let snapshot = Outgoing::Snapshot { subject, place, stamps, merged: None, state };
        self.out.tell(&self.world, id.index, &snapshot);
        let Some(connection) = self.out.connections.get_mut(id).filter(|c| c.phase == Phase::Open) else { return };
        connection.forget(joined.subscription);
        connection.set_mode(joined.subscription, Mode::Live);
        connection.subscriptions[usize::from(joined.subscription)].sent = seq;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_as_given() {
        assert_eq!(judge("17"), Ok(Judged::NoEpoch));
        assert!(matches!(judge("lane0.00000000000000ff.12"), Ok(Judged::At(cursor)) if cursor.seq == 12));
        for text in ["", "x", "lane0.ff.1", "-1", "lane0.00000000000000ff.12.3"] {
            let refusal = judge(text).unwrap_err();
            assert_eq!((refusal.code, &*refusal.field, &*refusal.value), ("bad_value", "cursor", text));
        }
        assert_eq!(judge(&"ä".repeat(100)).unwrap_err().value, "ä".repeat(32), "cut between characters");
    }
}
