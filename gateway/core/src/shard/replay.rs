//! Going on from further back than the ring reaches: the journal gives what was missed, batch by batch and as fast as
//! the client reads, then the ring gives the rest, and the topic goes live. Meanwhile nothing of it is sent live.

use std::collections::VecDeque;

use shm_abi::record::Record;
use shm_abi::ring::{LossReason, Polled, Rejoin};
use shm_abi::segment::RingName;

use super::Shard;
use super::connections::{Mode, Phase};
use super::replayed::Member;
use super::subscribe::Joined;
use super::types::{ConnectionId, Now};
use crate::dialect::GapReason;
use crate::replay::{Batch, End, Failure, ReplayId, Start, Want, Wanted, What};
use crate::topic::Channel;

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
pub(super) struct Replay {
    /// Stands in the subscriptions that it is for.
    pub(super) serial: u64,
    /// Name of the reading; `None`: to begin anew.
    reading: Option<ReplayId>,
    pub(super) connection: ConnectionId,
    pub(super) dialect: u8,
    pub(super) lane: u16,
    pub(super) what: What,
    pub(super) members: Vec<Member>,
    /// As the client gave it.
    cursor: String,
    start: Start,
    /// Epoch and stream of what is told now.
    pub(super) epoch: u64,
    pub(super) stream: u32,
    /// Everything up to this number of it was told.
    pub(super) seq: u64,
    /// The last event that ended was over with this number, in the ring.
    whole: u64,
    /// Of quotes: the member that the event which is not over yet has changed.
    pub(super) open: Option<usize>,
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
        let mut what = What::Trades;
        for &joined in joined {
            connection.forget(joined.subscription);
            connection.set_mode(joined.subscription, Mode::Replaying);
            connection.subscriptions[usize::from(joined.subscription)].first = serial;
            let topic = &self.world.topics[joined.topic];
            if topic.channel == Channel::Quotes {
                what = What::Quotes;
            }
            members.push(Member::new(joined, self.world.instruments[topic.instrument].id, seq, what));
        }
        let mut replay = Replay {
            serial,
            reading: None,
            connection: id,
            dialect,
            lane,
            what,
            members,
            cursor: cursor.into(),
            start,
            epoch,
            stream: 0,
            seq,
            whole: 0,
            open: None,
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
        let (start, what, wanted) = (replay.start, replay.what, wanted.collect());
        self.replays.wants.push_back(Want::Begin { id, lane, start, what, wanted });
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

    fn tell_batch(&mut self, replay: &mut Replay, batch: Batch, mut at: usize, room: usize, now: Now) -> Became {
        let mut frames = Vec::new();
        while let Some(piece) = batch.get(at).filter(|_| frames.len() < room) {
            self.tell_piece(replay, piece, &mut frames, now);
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
                (replay.stage, replay.whole) = (Stage::Ring, replay.seq);
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
                Polled::Lost(gone) if gone.reason == LossReason::Skipped => {
                    replay.seq = replay.seq.max(gone.last);
                    replay.whole = replay.seq;
                }
                Polled::Lost(_) => lost = true,
                Polled::Record { n, words } => {
                    looked += 1;
                    let Some(record) = Record::new(n, words).filter(|_| n > replay.seq) else { continue };
                    let (id, is_last) = (record.head.instrument_id, record.head.is_last());
                    let named = replay.members.iter().position(|member| member.instrument_id == id);
                    match named {
                        Some(at) => self.tell_record(replay, at, &record, &mut frames, now),
                        None => self.tell_event(replay, &record, &mut frames, now),
                    }
                    replay.seq = n;
                    replay.whole = if is_last { n } else { replay.whole };
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
        let is_whole = replay.whole == replay.seq;
        let mut waits = false;
        for member in &replay.members {
            if self.still_wants(replay, member) {
                // An event is told whole, and a row that is ahead of the lane's cursor has what is still to be told.
                match replay.what == What::Trades || is_whole && self.is_told(&member.joined, replay.seq) {
                    true => self.go_on(replay.connection, &member.joined),
                    false => waits = true,
                }
            }
        }
        if waits {
            replay.stage = Stage::Ring;
            return Became::Going(false);
        }
        Became::Over
    }

    /// The ring does not hold the rest: back to the journal, from where the client is.
    fn read_again(&mut self, replay: &mut Replay, at_ns: u64) {
        self.end_reading(replay);
        if replay.what == What::Quotes {
            // An event that is half read is read again as a whole, if it is not void.
            replay.seq = replay.whole;
            replay.forget_open_event();
        }
        replay.start = Start::After { epoch: replay.epoch, seq: replay.seq };
        replay.stage = Stage::Waits { until_ns: at_ns };
    }
}
