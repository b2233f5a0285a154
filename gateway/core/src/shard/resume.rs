//! Going on where a client left: its cursor, judged, and the trades after it, from the ring; see `replay` for those that
//! it does not hold.

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
use crate::replay::Start;
use crate::topic::Channel;

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

    pub(super) fn cannot_resume(&mut self, id: ConnectionId, joined: &Joined, reason: GapReason, cursor: &str) {
        self.out.stats.resume_refusals += 1;
        let topic = &self.world.topics[joined.topic];
        let stream = self.world.lanes[usize::from(topic.lane)].stream;
        let subject = self.world.subject(topic);
        let gap = Outgoing::ResumeGap { subject, stream, reason, cursor: quoted(cursor) };
        self.out.tell(&self.world, id.index, &gap);
        self.begin_with_snapshot(id, joined);
    }

    /// Delivers the trades after a cursor, or says why they cannot be.
    pub(super) fn resume(&mut self, id: ConnectionId, joined: &[Joined], at: &Cursor, cursor: &str, now: Now) {
        let (mut resuming, mut older) = (Vec::new(), Vec::new());
        let mut lane = 0;
        for joined in joined {
            let topic = &self.world.topics[joined.topic];
            let this = &self.world.lanes[usize::from(topic.lane)];
            let near = |end: u64| end - at.seq <= self.world.limits.resume_slots.into();
            let reason = if this.name != at.lane.as_str() {
                GapReason::OtherEpoch
            } else if this.epoch == at.epoch && at.seq > this.cursor_seq {
                GapReason::Ahead
            } else if this.epoch != at.epoch || !near(this.cursor_seq) {
                lane = topic.lane;
                older.push(*joined);
                continue;
            } else {
                lane = topic.lane;
                let instrument_id = self.world.instruments[topic.instrument].id;
                resuming.push(Resuming { joined: *joined, instrument_id, prev: at.seq });
                continue;
            };
            self.cannot_resume(id, joined, reason, cursor);
        }
        let mut frames = Vec::new();
        if !resuming.is_empty() && !self.missed_trades(id, lane, at.seq, &mut resuming, &mut frames, now) {
            older.extend(resuming.drain(..).map(|resuming| resuming.joined));
            frames.clear();
        }
        if !older.is_empty() {
            self.resume_older(id, lane, &older, at, cursor, now);
        }
        self.out.connections.answer(id.index, &frames, &self.world.limits, &mut self.out.stats);
        for Resuming { joined, .. } in resuming {
            self.go_on(id, &joined);
        }
    }

    /// Delivers every trade, or every change of the quotes, from a time on.
    pub(super) fn replay_from(&mut self, id: ConnectionId, joined: &[Joined], ns: u64, now: Now) {
        let mut rest = joined.to_vec();
        let text = ns.to_string();
        while let Some(first) = rest.first() {
            let lane = self.world.topics[first.topic].lane;
            let (of_lane, others) =
                rest.iter().copied().partition(|it: &Joined| self.world.topics[it.topic].lane == lane);
            rest = others;
            let of_lane: Vec<Joined> = of_lane;
            if self.replays.enabled {
                self.begin_replay(id, lane, &of_lane, Start::Time(ns), &text, now);
                continue;
            }
            for joined in &of_lane {
                self.cannot_resume(id, joined, GapReason::Unreadable, &text);
            }
        }
    }

    /// The ring does not hold what was missed: the journal may.
    fn resume_older(&mut self, id: ConnectionId, lane: u16, joined: &[Joined], at: &Cursor, cursor: &str, now: Now) {
        if self.replays.enabled {
            let start = Start::After { epoch: at.epoch, seq: at.seq };
            return self.begin_replay(id, lane, joined, start, quoted(cursor), now);
        }
        let current = self.world.lanes[usize::from(lane)].epoch == at.epoch;
        let reason = if current { GapReason::TooOld } else { GapReason::OtherEpoch };
        for joined in joined {
            self.cannot_resume(id, joined, reason, cursor);
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

    /// A topic of which everything missed is told goes on live: a snapshot, of trades an empty one, names the number that
    /// the next event follows.
    pub(super) fn go_on(&mut self, id: ConnectionId, joined: &Joined) {
        let topic = &self.world.topics[joined.topic];
        let (seq, stamps) = (topic.seq, topic.stamps);
        let (subject, place) = (self.world.subject(topic), self.world.place(topic.lane, seq));
        let state = match topic.channel {
            Channel::Quotes => Snapshot::Quote(&self.world.instruments[topic.instrument].quote),
            _ => Snapshot::Trades(&[]),
        };
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
