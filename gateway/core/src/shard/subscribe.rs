//! Joins: from a symbol to a topic, and from a topic to its first frame.

use shm_abi::directory::Instrument as Entry;

use super::commands::Done;
use super::connections::Phase;
use super::resume::{Judged, judge};
use super::slab::NONE;
use super::types::{ConnectionId, Now};
use super::world::{Instrument, Latest, Subscriber, Topic};
use super::{LaneId, Shard};
use crate::dialect::{LaneState, Outgoing, Refusal, RefusedSymbol, RequestId, Stamps};
use crate::topic::{Channel, Levels};

/// A refusal: code, and what would do.
type Refused = (&'static str, String);

/// A subscription that was just made or asked for again.
#[derive(Debug, Clone, Copy)]
pub(super) struct Joined {
    pub(super) subscription: u16,
    pub(super) topic: u32,
    /// It was there before.
    pub(super) again: bool,
}

/// Where a subscription begins.
#[derive(Debug, Clone, Copy)]
pub(super) enum Begin<'c> {
    /// With a snapshot.
    Now,
    /// Behind what is known.
    Cursor(&'c str),
    /// With what was published at a time, ns since the UNIX epoch.
    From(u64),
}

impl Shard {
    pub(super) fn subscribe(
        &mut self,
        id: ConnectionId,
        request_id: Option<&RequestId>,
        channel: Channel,
        symbols: &[String],
        begin: Begin<'_>,
        now: Now,
    ) {
        let cursor = match begin {
            Begin::Cursor(cursor) => Some(cursor),
            _ => None,
        };
        let judged = match cursor.map(judge).transpose() {
            Ok(judged) => judged,
            Err(refusal) => {
                self.out.stats.refusals += 1;
                let refusal = Refusal { id: request_id.cloned(), ..refusal };
                return self.out.tell(&self.world, id.index, &Outgoing::Error(&refusal));
            }
        };
        for lane in 0..self.world.lanes.len() {
            self.look_at_directory(LaneId(lane as u16), now);
        }
        let (mut accepted, mut refused) = (Vec::new(), Vec::new());
        let (mut joined, mut lanes) = (Vec::<Joined>::new(), Vec::<LaneId>::new());
        for symbol in symbols {
            match self.find(symbol).and_then(|(lane, row)| Ok((lane, self.join(id, lane, row, channel, now)?))) {
                Ok((lane, new)) => {
                    accepted.push(symbol.clone());
                    if !joined.iter().any(|other| other.topic == new.topic) {
                        joined.push(new);
                    }
                    if !lanes.contains(&lane) {
                        lanes.push(lane);
                    }
                }
                Err((code, expected)) => refused.push(RefusedSymbol { symbol: symbol.clone(), code, expected }),
            }
        }
        let done = Done { id: request_id, op: "subscribe", channel, symbols: &accepted, refused: &refused };
        self.acknowledge(id, &done, &lanes);
        // Whoever cannot get a snapshot now must know why he waits.
        for lane in lanes {
            let facts = self.world.lanes[usize::from(lane.0)].facts();
            if facts.state != LaneState::Live {
                self.out.tell(&self.world, id.index, &Outgoing::Lane(facts));
            }
        }
        match judged {
            None if let Begin::From(ns) = begin => self.replay_from(id, &joined, ns, now),
            None => self.begin(id, channel, &joined),
            Some(Judged::NoEpoch) => self.cannot_resume_all(id, &joined, cursor.unwrap_or_default()),
            Some(Judged::At(_)) if channel.is_state() => self.begin(id, channel, &joined),
            Some(Judged::At(at)) => self.resume(id, &joined, &at, cursor.unwrap_or_default(), now),
        }
    }

    /// The instrument that a text means: a symbol, or a venue and its symbol.
    fn find(&self, text: &str) -> Result<(LaneId, u32), Refused> {
        let mut found = self.rows(text, None);
        if let (true, Some((venue, symbol))) = (found.is_empty(), text.split_once(':')) {
            found = self.rows(symbol, Some(venue));
        }
        match found[..] {
            [one] => Ok(one),
            [] if self.world.lanes.iter().all(|lane| lane.source.is_none()) => {
                Err(("unavailable", "a lane: none is attached yet, try again".into()))
            }
            [] => Err(("unknown_symbol", "a symbol of /api/v1/instruments".into())),
            _ => Err(("ambiguous_symbol", "VENUE:SYMBOL".into())),
        }
    }

    /// Rows of a symbol over all lanes: one, or two of several.
    fn rows(&self, symbol: &str, venue: Option<&str>) -> Vec<(LaneId, u32)> {
        let lanes = self.world.lanes.iter().zip(0..);
        let rows = lanes.flat_map(|(lane, at)| lane.rows(symbol, venue).map(move |row| (LaneId(at), row)));
        rows.take(2).collect()
    }

    /// Makes the subscription, its topic and its instrument, as far as they are not there.
    fn join(
        &mut self,
        id: ConnectionId,
        lane: LaneId,
        row: u32,
        channel: Channel,
        now: Now,
    ) -> Result<Joined, Refused> {
        let unknown = || ("unknown_symbol", String::from("a symbol of /api/v1/instruments"));
        let entry = self.world.lanes[usize::from(lane.0)].entry(row).ok_or_else(unknown)?;
        if let Some(levels) = channel.levels().filter(|levels| levels.count() > usize::from(entry.depth_class)) {
            return Err(("levels", levels_kept(levels, entry.depth_class)));
        }
        let known = self.world.lanes[usize::from(lane.0)].known(entry.instrument_id);
        if known.row != row {
            return Err(unknown());
        }
        let topic = self.world.instruments.get(known.instrument).map_or(NONE, |i| i.topics[channel.index()]);
        let limit = self.world.limits.subscriptions;
        let connection = self.out.connections.get_mut(id).ok_or_else(unknown)?;
        if let Some(subscription) = connection.find(topic).filter(|_| topic != NONE) {
            return Ok(Joined { subscription, topic, again: true });
        }
        if connection.subscribed >= limit {
            return Err(("limit", format!("at most {limit} subscriptions of one connection")));
        }
        let instrument = match known.instrument {
            NONE => self.make_instrument(lane, &entry),
            instrument => instrument,
        };
        let topic = if topic == NONE { self.make_topic(lane, instrument, channel, now) } else { topic };
        let subscription = self.add_subscriber(id, topic);
        if !self.world.instruments[instrument].ready {
            self.load(lane, instrument, now);
        }
        Ok(Joined { subscription, topic, again: false })
    }

    fn make_instrument(&mut self, lane: LaneId, entry: &Entry) -> u32 {
        let this = &mut self.world.lanes[usize::from(lane.0)];
        let member = this.members.len() as u32;
        let place = self.world.instruments.insert(Instrument::new(lane.0, entry, member));
        this.members.push(place);
        this.set_instrument(entry.instrument_id, place);
        place
    }

    /// A topic begins where its instrument stands: trades behind the last record read, state where the state is.
    fn make_topic(&mut self, lane: LaneId, place: u32, channel: Channel, now: Now) -> u32 {
        let instrument = &mut self.world.instruments[place];
        let (seq, stamps) = match channel {
            Channel::Trades => {
                let stamps = Stamps { ts_gateway: now.real_ns, ..Stamps::default() };
                (self.world.lanes[usize::from(lane.0)].cursor_seq, stamps)
            }
            _ => (instrument.state_seq(channel), instrument.stamps),
        };
        let latest = vec![Latest { frame: u64::MAX, seq: u64::MAX }; self.world.dialects.len()].into();
        let topic = Topic { lane: lane.0, instrument: place, channel, seq, stamps, subscribers: Vec::new(), latest };
        let topic = self.world.topics.insert(topic);
        instrument.topics[channel.index()] = topic;
        topic
    }

    fn add_subscriber(&mut self, id: ConnectionId, place: u32) -> u16 {
        self.subscriptions += 1;
        let connection = self.out.connections.get_mut(id).expect("its command is being carried out");
        let topic = &mut self.world.topics[place];
        let subscription = connection.subscribe(place, topic.subscribers.len() as u32, topic.seq);
        let dialect = connection.dialect;
        topic.subscribers.push(Subscriber { connection: id.index, subscription, dialect });
        subscription
    }

    /// Snapshots for those who joined, and for those who asked again. Trades that are subscribed already just go on.
    fn begin(&mut self, id: ConnectionId, channel: Channel, joined: &[Joined]) {
        for joined in joined.iter().filter(|joined| !joined.again || channel.is_state()) {
            self.begin_with_snapshot(id, joined);
        }
    }

    /// Whatever the client has, it gets a snapshot, and goes on from there.
    pub(super) fn begin_with_snapshot(&mut self, id: ConnectionId, joined: &Joined) {
        let Some(connection) = self.out.connections.get_mut(id).filter(|c| c.phase == Phase::Open) else { return };
        connection.forget(joined.subscription);
        let ready = self.world.is_ready(&self.world.topics[joined.topic]);
        self.out.join(ready, id.index, joined.subscription);
    }
}

/// What would do instead of these levels.
fn levels_kept(levels: Levels, class: u16) -> String {
    match class {
        0..5 => format!("another channel: this instrument keeps no {} levels", levels.count()),
        5..10 => format!("5: this instrument keeps {class} levels"),
        _ => format!("5 or 10: this instrument keeps {class} levels"),
    }
}
