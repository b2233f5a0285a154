//! What those are told who go on from the journal: trades as they stand there; quotes as its records change them, once an
//! event.

use shm_abi::record::{Body, Record};

use super::Shard;
use super::connections::Mode;
use super::events::{stamps_of, trade_of};
use super::replay::Replay;
use super::subscribe::Joined;
use super::types::Now;
use crate::dialect::{Delta, Outgoing, Place};
use crate::replay::{OldEpoch, Piece, Step, What};
use crate::state::RecordedQuote;

/// A topic that is being replayed.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) joined: Joined,
    pub(super) instrument_id: u32,
    /// Number of the event that was told last.
    pub(super) prev: u64,
    /// Of quotes.
    quote: Option<Box<Told>>,
}

/// A quote that is being replayed.
#[derive(Debug, Default)]
struct Told {
    now: RecordedQuote,
    /// As it was before the event that is not over yet.
    before: Option<RecordedQuote>,
}

impl Member {
    /// Everything up to `prev` is known to the client.
    pub(super) fn new(joined: Joined, instrument_id: u32, prev: u64, what: What) -> Member {
        let quote = (what == What::Quotes).then(Box::default);
        Member { joined, instrument_id, prev, quote }
    }

    /// Whether its quote is known; `None`: it has none.
    fn known(&self) -> Option<bool> {
        Some(self.quote.as_ref()?.now.known)
    }
}

impl Replay {
    /// The quote of a member where reading begins.
    fn begin_quote(&mut self, at: usize, quote: &RecordedQuote) {
        if let Some(told) = self.members.get_mut(at).and_then(|member| member.quote.as_mut()) {
            **told = Told { now: *quote, before: None };
        }
    }

    /// A record that may change the quote of a member; its event says when that is told.
    fn take_for_quote(&mut self, at: usize, record: &Record<'_>) {
        let told = self.members.get_mut(at).and_then(|member| member.quote.as_mut());
        if let Some(told) = told.filter(|_| RecordedQuote::concerns(record.head.kind)) {
            // An event is about one instrument. If one were not, what it did to the others is told with their next.
            told.before = told.before.or(Some(told.now));
            told.now.take(record);
            self.open = Some(at);
        }
    }

    /// The rest of the event that is not over yet will not come: what it did is undone.
    pub(super) fn forget_open_event(&mut self) {
        let member = self.open.take().and_then(|at| self.members.get_mut(at));
        if let Some(told) = member.and_then(|member| member.quote.as_mut())
            && let Some(before) = told.before.take()
        {
            told.now = before;
        }
    }
}

impl Shard {
    pub(super) fn still_wants(&self, replay: &Replay, member: &Member) -> bool {
        let connection = self.out.connections.get(replay.connection);
        let place = usize::from(member.joined.subscription);
        let subscription = connection.and_then(|connection| connection.subscriptions.get(place));
        subscription.is_some_and(|s| s.mode == Mode::Replaying && s.first == replay.serial)
    }

    /// Tells a thing of a batch.
    pub(super) fn tell_piece(&mut self, replay: &mut Replay, piece: Piece<'_>, frames: &mut Vec<u8>, now: Now) {
        match piece {
            Piece::Quote { wanted, quote } => replay.begin_quote(usize::from(wanted), quote),
            Piece::Step(step) => self.tell_step(replay, &step, frames),
            Piece::Hole { first, last } => self.tell_hole(replay, first, last, frames),
            Piece::Record { wanted, n, words } => {
                if let Some(record) = Record::new(n, words) {
                    self.tell_record(replay, usize::from(wanted), &record, frames, now);
                }
            }
            Piece::Last { n, words } => {
                if let Some(record) = Record::new(n, words) {
                    self.tell_event(replay, &record, frames, now);
                }
            }
        }
    }

    fn tell_step(&mut self, replay: &mut Replay, step: &Step, frames: &mut Vec<u8>) {
        let repeated = step.old.is_none() && replay.stream > 0 && replay.epoch == step.epoch;
        let old = step.old.map(|old| (self.stream_of(replay.lane, old.epoch), old));
        replay.stream = self.stream_of(replay.lane, step.epoch);
        (replay.epoch, replay.seq) = (step.epoch, step.seq);
        replay.forget_open_event();
        // A reading that was begun anew, where the one before had left off: nothing new to the client.
        if repeated {
            return;
        }
        for member in &mut replay.members {
            member.prev = step.seq;
            if let Some(told) = &mut member.quote {
                told.now.step(step);
            }
        }
        for known in [None, Some(true), Some(false)] {
            self.say_replay(replay, old, frames, known, |_, member| member.known() == known);
        }
    }

    /// Tells where some of the topics go on, and whether what is told of them is whole.
    fn say_replay(
        &mut self,
        replay: &Replay,
        old: Option<(u32, OldEpoch)>,
        frames: &mut Vec<u8>,
        known: Option<bool>,
        is_meant: impl Fn(usize, &Member) -> bool,
    ) {
        let meant = |(at, member): &(usize, &Member)| is_meant(*at, member) && self.still_wants(replay, member);
        let mut said = None;
        let mut symbols = Vec::new();
        for (_, member) in replay.members.iter().enumerate().filter(meant) {
            let subject = self.world.subject(&self.world.topics[member.joined.topic]);
            symbols.push(subject.symbol);
            said = Some((subject.channel, member.prev));
        }
        let Some((channel, seq)) = said else { return };
        let lane = &self.world.lanes[usize::from(replay.lane)].name;
        let place = Place { stream: replay.stream, lane, epoch: replay.epoch, seq };
        let outgoing = Outgoing::Replay { channel, symbols: &symbols, place, old, known };
        self.world.encode(replay.dialect, &outgoing, &mut self.out.words, frames);
    }

    fn tell_hole(&mut self, replay: &mut Replay, first: u64, last: u64, frames: &mut Vec<u8>) {
        let mut was_known = vec![false; replay.members.len()];
        for (at, was_known) in was_known.iter_mut().enumerate() {
            let member = &replay.members[at];
            let prev = member.prev;
            if self.still_wants(replay, member) {
                let subject = self.world.subject(&self.world.topics[member.joined.topic]);
                let gap = Outgoing::ReplayGap { subject, stream: replay.stream, prev, first, last };
                self.world.encode(replay.dialect, &gap, &mut self.out.words, frames);
            }
            let member = &mut replay.members[at];
            member.prev = last;
            if let Some(told) = &mut member.quote {
                *was_known = told.now.known;
                told.now.miss();
            }
        }
        if replay.what == What::Quotes {
            self.say_replay(replay, None, frames, Some(false), |at, _| was_known[at]);
        }
        replay.seq = replay.seq.max(last);
    }

    /// A record of a member.
    pub(super) fn tell_record(
        &mut self,
        replay: &mut Replay,
        at: usize,
        record: &Record<'_>,
        frames: &mut Vec<u8>,
        now: Now,
    ) {
        if replay.what == What::Quotes {
            replay.take_for_quote(at, record);
            return self.tell_event(replay, record, frames, now);
        }
        let trade = trade_of(record, now);
        let delta = match (&trade, record.body()) {
            (Some(trade), _) => Delta::Trade(trade),
            (None, Body::TradeBreak { match_id, .. }) => Delta::TradeBreak(match_id),
            _ => return,
        };
        self.tell_update(replay, at, record, delta, frames, now);
    }

    /// Tells what an event did to a quote, if this is its last record.
    pub(super) fn tell_event(&mut self, replay: &mut Replay, last: &Record<'_>, frames: &mut Vec<u8>, now: Now) {
        if !last.head.is_last() {
            return;
        }
        let Some(at) = replay.open.take() else { return };
        let Some(told) = replay.members.get_mut(at).and_then(|member| member.quote.as_mut()) else { return };
        let (is, was) = (told.now, told.before.take().unwrap_or(told.now));
        if is.known != was.known {
            self.say_replay(replay, None, frames, Some(is.known), |other, _| other == at);
        }
        // What has become known is told whole, also where it is what was told before.
        if is.quote != was.quote || is.known && !was.known {
            self.tell_update(replay, at, last, Delta::Quote(&is.quote), frames, now);
        }
    }

    /// Whether everything in a topic's state is of events up to this number, and of whole ones.
    pub(super) fn is_told(&self, joined: &Joined, seq: u64) -> bool {
        let topic = &self.world.topics[joined.topic];
        let instrument = &self.world.instruments[topic.instrument];
        let is_there = instrument.ready && !self.world.is_open(topic);
        is_there && instrument.seq <= seq && topic.seq <= seq
    }

    /// Tells a member of an event that ends, or is, this record.
    fn tell_update(
        &mut self,
        replay: &mut Replay,
        at: usize,
        record: &Record<'_>,
        delta: Delta<'_>,
        frames: &mut Vec<u8>,
        now: Now,
    ) {
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
}
