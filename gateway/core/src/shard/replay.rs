//! Going on from further back than the ring reaches: the journal gives what was missed, batch by batch and as fast as
//! the client reads, then the ring gives the rest, and the topic goes live. Meanwhile nothing of it is sent live.

use std::collections::VecDeque;

use shm_abi::record::{Body, Record};
use shm_abi::ring::{LossReason, Polled, Rejoin};
use shm_abi::segment::RingName;

use super::Shard;
use super::connections::{Mode, Phase};
use super::events::{stamps_of, trade_of};
use super::subscribe::Joined;
use super::types::{ConnectionId, Now};
use crate::dialect::{Delta, GapReason, Outgoing, Place};
use crate::replay::{Batch, End, Failure, Piece, ReplayId, Start, Step, Want, Wanted};

/// Share of `queued_bytes` that may wait for a client before it is given more, and that it is given at a time.
const ROOM_SHARE: u32 = 8;
/// Records of the ring that are looked at before connections get their turn.
const RING_RECORDS: usize = 1 << 14;
/// Time between two looks at a journal that has come to its end.
const AGAIN_NS: u64 = 20_000_000;

/// Everything that a shard reads from the journal.
#[derive(Debug, Default)]
pub(super) struct Replays {
    /// There is a journal.
    pub(super) enabled: bool,
    list: VecDeque<Replay>,
    given: u64,
    wants: VecDeque<Want>,
}

/// A topic that is being replayed.
#[derive(Debug)]
struct Member {
    joined: Joined,
    instrument_id: u32,
    /// Number of the event that was told last.
    prev: u64,
}

#[derive(Debug)]
enum Stage {
    /// A batch was asked for.
    Asked,
    /// Of the batch, those before `at` were told.
    Given { batch: Batch, at: usize },
    /// The journal has come to its end, but not to where the ring begins: until then.
    Waits { until_ns: u64 },
    /// The ring holds the rest.
    Ring,
}

/// One command's topics of one lane.
#[derive(Debug)]
struct Replay {
    /// Stands in the subscriptions that it is for.
    serial: u64,
    /// Name of the reading; `None`: to begin anew.
    reading: Option<ReplayId>,
    connection: ConnectionId,
    dialect: u8,
    lane: u16,
    members: Vec<Member>,
    /// As the client gave it.
    cursor: String,
    start: Start,
    /// Epoch and stream of what is told now.
    epoch: u64,
    stream: u32,
    /// Everything up to this number of it was told.
    seq: u64,
    stage: Stage,
    /// When it last got on.
    progress_ns: u64,
}

/// What became of a replay in one look at it.
enum Became {
    /// It goes on; `true`: something was done.
    Going(bool),
    Over,
}

impl Shard {
    /// There is a journal of the lanes: who asks for [`Shard::next_want`] reads it.
    pub fn use_journal(&mut self) {
        self.replays.enabled = true;
    }

    /// What is wanted of the journal next.
    pub fn next_want(&mut self) -> Option<Want> {
        self.replays.wants.pop_front()
    }

    /// What the journal gave. A batch that nobody waits for any more is dropped.
    pub fn replayed(&mut self, id: ReplayId, batch: Batch) {
        let waiting = self.replays.list.iter_mut().find(|replay| replay.reading == Some(id));
        if let Some(replay) = waiting.filter(|replay| matches!(replay.stage, Stage::Asked)) {
            replay.stage = Stage::Given { batch, at: 0 };
        }
    }

    /// Whether there is something that [`Shard::replay`] would look at.
    pub fn has_replays(&self) -> bool {
        !self.replays.list.is_empty()
    }

    /// Tells the client whose turn it is what the journal gave, as far as it has room: a bounded piece of work. Returns
    /// whether anything was done, so that there may be more.
    pub fn replay(&mut self, now: Now) -> bool {
        for _ in 0..self.replays.list.len() {
            let Some(mut replay) = self.replays.list.pop_front() else { break };
            match self.look_at_replay(&mut replay, now) {
                Became::Going(did) => {
                    self.replays.list.push_back(replay);
                    if did {
                        return true;
                    }
                }
                Became::Over => {
                    self.end_reading(&mut replay);
                    return true;
                }
            }
        }
        false
    }

    pub(super) fn replays(&self) -> usize {
        self.replays.list.len()
    }

    /// Begins to read the journal for topics of one lane; refuses when there are too many readings already.
    pub(super) fn begin_replay(
        &mut self,
        id: ConnectionId,
        lane: u16,
        joined: &[Joined],
        start: Start,
        cursor: &str,
        now: Now,
    ) {
        if self.replays.list.len() >= self.world.limits.replays as usize {
            for joined in joined {
                self.cannot_resume(id, joined, GapReason::Busy, cursor);
            }
            return;
        }
        let Some(connection) = self.out.connections.get_mut(id).filter(|c| c.phase == Phase::Open) else { return };
        self.replays.given += 1;
        let (serial, dialect) = (self.replays.given, connection.dialect);
        let (epoch, seq) = match start {
            Start::After { epoch, seq } => (epoch, seq),
            Start::Time(_) => (0, 0),
        };
        let mut members = Vec::with_capacity(joined.len());
        for &joined in joined {
            connection.forget(joined.subscription);
            connection.set_mode(joined.subscription, Mode::Replaying);
            connection.subscriptions[usize::from(joined.subscription)].first = serial;
            let instrument_id = self.world.instruments[self.world.topics[joined.topic].instrument].id;
            members.push(Member { joined, instrument_id, prev: seq });
        }
        let mut replay = Replay {
            serial,
            reading: None,
            connection: id,
            dialect,
            lane,
            members,
            cursor: cursor.into(),
            start,
            epoch,
            stream: 0,
            seq,
            stage: Stage::Asked,
            progress_ns: now.mono_ns,
        };
        self.out.stats.replays += 1;
        self.ask(&mut replay);
        self.replays.list.push_back(replay);
    }

    /// Asks for the next batch.
    fn ask(&mut self, replay: &mut Replay) {
        replay.stage = Stage::Asked;
        if let Some(id) = replay.reading {
            self.replays.wants.push_back(Want::More(id));
            return;
        }
        self.replays.given += 1;
        let id = ReplayId(self.replays.given);
        replay.reading = Some(id);
        let lane = self.world.lanes[usize::from(replay.lane)].name.clone();
        let wanted = replay.members.iter().map(|member| {
            // Whoever has left has no topic any more; nothing of that id will be told.
            let topic = self.world.topics.get(member.joined.topic);
            let instrument = topic.map(|topic| &self.world.instruments[topic.instrument]);
            let instrument = instrument.filter(|instrument| instrument.id == member.instrument_id);
            let (symbol, venue) = instrument.map_or(("", ""), |i| (i.symbol_str(), i.venue_str()));
            Wanted { id: member.instrument_id, symbol: symbol.into(), venue: venue.into() }
        });
        self.replays.wants.push_back(Want::Begin { id, lane, start: replay.start, wanted: wanted.collect() });
    }

    fn end_reading(&mut self, replay: &mut Replay) {
        if let Some(id) = replay.reading.take() {
            self.replays.wants.push_back(Want::End(id));
        }
    }

    fn look_at_replay(&mut self, replay: &mut Replay, now: Now) -> Became {
        let Some(connection) = self.out.connections.get_mut(replay.connection) else { return Became::Over };
        let wants = |member: &Member| {
            let subscription = connection.subscriptions.get(usize::from(member.joined.subscription));
            subscription.is_some_and(|s| s.mode == Mode::Replaying && s.first == replay.serial)
        };
        if connection.phase != Phase::Open || !replay.members.iter().any(wants) {
            return Became::Over;
        }
        let room = (self.world.limits.queued_bytes / ROOM_SHARE) as usize;
        if connection.outbox.queued_bytes() > room || connection.clock.holds() {
            return Became::Going(false);
        }
        match std::mem::replace(&mut replay.stage, Stage::Asked) {
            Stage::Asked => Became::Going(false),
            Stage::Waits { until_ns } if now.mono_ns < until_ns => {
                replay.stage = Stage::Waits { until_ns };
                Became::Going(false)
            }
            Stage::Waits { .. } => {
                let limit_ns = u64::from(self.world.limits.replay_wait_ms) * 1_000_000;
                if now.mono_ns.saturating_sub(replay.progress_ns) > limit_ns {
                    return self.give_up(replay, self.missing(replay));
                }
                self.ask(replay);
                Became::Going(true)
            }
            Stage::Given { batch, at } => self.tell_batch(replay, batch, at, room, now),
            Stage::Ring => self.tell_ring(replay, room, now),
        }
    }

    /// Why what was never recorded cannot be delivered.
    fn missing(&self, replay: &Replay) -> GapReason {
        let current = self.world.lanes[usize::from(replay.lane)].epoch == replay.epoch;
        if current { GapReason::TooOld } else { GapReason::OtherEpoch }
    }

    /// It cannot be done, or not to the end: those who still wait for it are told why, and get a snapshot.
    fn give_up(&mut self, replay: &Replay, reason: GapReason) -> Became {
        for member in &replay.members {
            if self.still_wants(replay, member) {
                self.cannot_resume(replay.connection, &member.joined, reason, &replay.cursor);
            }
        }
        Became::Over
    }

    fn still_wants(&self, replay: &Replay, member: &Member) -> bool {
        let connection = self.out.connections.get(replay.connection);
        let place = usize::from(member.joined.subscription);
        let subscription = connection.and_then(|connection| connection.subscriptions.get(place));
        subscription.is_some_and(|s| s.mode == Mode::Replaying && s.first == replay.serial)
    }

    fn tell_batch(&mut self, replay: &mut Replay, batch: Batch, mut at: usize, room: usize, now: Now) -> Became {
        let mut frames = Vec::new();
        while let Some(piece) = batch.get(at).filter(|_| frames.len() < room) {
            match piece {
                Piece::Step(step) => self.tell_step(replay, &step, &mut frames),
                Piece::Hole { first, last } => self.tell_hole(replay, first, last, &mut frames),
                Piece::Record { wanted, n, words } => {
                    if let Some(record) = Record::new(n, words) {
                        self.tell_record(replay, usize::from(wanted), &record, &mut frames, now);
                    }
                }
            }
            at += 1;
        }
        if !frames.is_empty() {
            replay.progress_ns = now.mono_ns;
        }
        self.out.stats.replayed_bytes += frames.len() as u64;
        self.out.connections.answer(replay.connection.index, &frames, &self.world.limits, &mut self.out.stats);
        if at < batch.len() {
            replay.stage = Stage::Given { batch, at };
            return Became::Going(true);
        }
        if batch.seq > replay.seq {
            replay.seq = batch.seq;
            replay.progress_ns = now.mono_ns;
        }
        match batch.end {
            End::More => self.ask(replay),
            End::Reached if self.world.lanes[usize::from(replay.lane)].epoch == replay.epoch && replay.stream > 0 => {
                self.end_reading(replay);
                replay.stage = Stage::Ring;
            }
            // A new epoch, or the end of one whose engine was killed, is recorded a moment later than it can be named.
            End::Reached | End::Failed(Failure::UnknownEpoch) => {
                replay.stage = Stage::Waits { until_ns: now.mono_ns + AGAIN_NS };
            }
            End::Failed(failure) => {
                let reason = match failure {
                    Failure::UnknownEpoch => self.missing(replay),
                    Failure::TooOld => GapReason::TooOld,
                    Failure::Unreadable => GapReason::Unreadable,
                    Failure::Busy => GapReason::Busy,
                };
                return self.give_up(replay, reason);
            }
        }
        Became::Going(true)
    }

    fn tell_step(&mut self, replay: &mut Replay, step: &Step, frames: &mut Vec<u8>) {
        let repeated = step.old.is_none() && replay.stream > 0 && replay.epoch == step.epoch;
        let old = step.old.map(|old| (self.stream_of(replay.lane, old.epoch), old));
        replay.stream = self.stream_of(replay.lane, step.epoch);
        (replay.epoch, replay.seq) = (step.epoch, step.seq);
        // A reading that was begun anew, where the one before had left off: nothing new to the client.
        if repeated {
            return;
        }
        let mut symbols = Vec::with_capacity(replay.members.len());
        let mut channel = None;
        for at in 0..replay.members.len() {
            replay.members[at].prev = step.seq;
            let member = &replay.members[at];
            if self.still_wants(replay, member) {
                let subject = self.world.subject(&self.world.topics[member.joined.topic]);
                symbols.push(subject.symbol);
                channel = Some(subject.channel);
            }
        }
        let Some(channel) = channel else { return };
        let lane = &self.world.lanes[usize::from(replay.lane)].name;
        let place = Place { stream: replay.stream, lane, epoch: replay.epoch, seq: step.seq };
        let outgoing = Outgoing::Replay { channel, symbols: &symbols, place, old };
        self.world.encode(replay.dialect, &outgoing, &mut self.out.words, frames);
    }

    fn tell_hole(&mut self, replay: &mut Replay, first: u64, last: u64, frames: &mut Vec<u8>) {
        for at in 0..replay.members.len() {
            let member = &replay.members[at];
            let prev = member.prev;
            if self.still_wants(replay, member) {
                let subject = self.world.subject(&self.world.topics[member.joined.topic]);
                let gap = Outgoing::ReplayGap { subject, stream: replay.stream, prev, first, last };
                self.world.encode(replay.dialect, &gap, &mut self.out.words, frames);
            }
            replay.members[at].prev = last;
        }
        replay.seq = replay.seq.max(last);
    }

    /// A trade of a member, or one that is revoked.
    fn tell_record(&mut self, replay: &mut Replay, at: usize, record: &Record<'_>, frames: &mut Vec<u8>, now: Now) {
        let trade = trade_of(record, now);
        let delta = match (&trade, record.body()) {
            (Some(trade), _) => Delta::Trade(trade),
            (None, Body::TradeBreak { match_id, .. }) => Delta::TradeBreak(match_id),
            _ => return,
        };
        let Some(member) = replay.members.get(at).filter(|member| self.still_wants(replay, member)) else { return };
        let subject = self.world.subject(&self.world.topics[member.joined.topic]);
        let (prev, stamps) = (member.prev, stamps_of(&record.head, now));
        let lane = &self.world.lanes[usize::from(replay.lane)].name;
        let place = Place { stream: replay.stream, lane, epoch: replay.epoch, seq: record.n };
        let update = Outgoing::Update { subject, place, prev, stamps, merged: None, delta };
        self.world.encode(replay.dialect, &update, &mut self.out.words, frames);
        replay.members[at].prev = record.n;
        self.out.stats.replayed += 1;
    }

    /// Tells what the ring holds of it, up to where the lane was read: then the topics are live.
    fn tell_ring(&mut self, replay: &mut Replay, room: usize, now: Now) -> Became {
        let this = &self.world.lanes[usize::from(replay.lane)];
        let (end, epoch) = (this.cursor_seq, this.epoch);
        let source = this.source.as_ref().filter(|_| epoch == replay.epoch);
        let Some(segment) = source.map(|source| source.segment.clone()) else {
            self.read_again(replay, now.mono_ns);
            return Became::Going(true);
        };
        if replay.seq > end {
            // The journal was read further than the lane: what lies between must not be told twice.
            replay.stage = Stage::Ring;
            return Became::Going(false);
        }
        let mut frames = Vec::new();
        let mut reader = segment.read_from(RingName::Market, replay.seq, Rejoin::Oldest);
        let (mut looked, mut lost, mut empty) = (0, false, false);
        while replay.seq < end && frames.len() < room && looked < RING_RECORDS {
            match reader.poll() {
                Polled::Empty => empty = true,
                Polled::Lost(gone) if gone.reason == LossReason::Skipped => replay.seq = replay.seq.max(gone.last),
                Polled::Lost(_) => lost = true,
                Polled::Record { n, words } => {
                    looked += 1;
                    let Some(record) = Record::new(n, words).filter(|_| n > replay.seq) else { continue };
                    let id = record.head.instrument_id;
                    if let Some(at) = replay.members.iter().position(|member| member.instrument_id == id) {
                        self.tell_record(replay, at, &record, &mut frames, now);
                    }
                    replay.seq = n;
                    replay.progress_ns = now.mono_ns;
                }
            }
            if lost || empty {
                break;
            }
        }
        self.out.stats.replayed_bytes += frames.len() as u64;
        self.out.connections.answer(replay.connection.index, &frames, &self.world.limits, &mut self.out.stats);
        if lost {
            self.read_again(replay, now.mono_ns + AGAIN_NS);
            return Became::Going(true);
        }
        if replay.seq < end && !empty {
            replay.stage = Stage::Ring;
            return Became::Going(true);
        }
        for member in &replay.members {
            if self.still_wants(replay, member) {
                self.go_on(replay.connection, &member.joined);
            }
        }
        Became::Over
    }

    /// The ring does not hold the rest: back to the journal, from where the client is.
    fn read_again(&mut self, replay: &mut Replay, at_ns: u64) {
        self.end_reading(replay);
        replay.start = Start::After { epoch: replay.epoch, seq: replay.seq };
        replay.stage = Stage::Waits { until_ns: at_ns };
    }
}
