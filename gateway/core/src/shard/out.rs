//! From an event to those who lack it.

use super::connections::{Connections, Mode, Phase, widen};
use super::slab::Slab;
use super::types::{Now, Stats};
use super::world::{Latest, Topic, Words, World};
use crate::dialect::{Delta, Merged, Outgoing, Stamps};
use crate::frames::FrameRing;
use crate::outbox::Reference;
use crate::topic::Channel;

/// An event's frame in one dialect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoded {
    NotYet,
    /// Number in the frame ring.
    Frame(u64),
    /// The dialect does not tell such things.
    Silence,
    /// It is longer than the frame ring takes.
    TooLong,
}

/// Everything on the way out.
#[derive(Debug)]
pub(super) struct Out {
    pub(super) connections: Connections,
    pub(super) ring: FrameRing,
    pub(super) stats: Stats,
    pub(super) words: Words,
    /// A frame, or several, being made.
    pub(super) frame: Vec<u8>,
    encoded: Vec<Encoded>,
    /// A connection whose socket takes bytes has half as many references as it may: see [`super::Shard::take_pressed`].
    pub(super) pressed: bool,
}

impl Out {
    pub(super) fn new(ring: FrameRing, dialects: usize) -> Out {
        Out {
            connections: Connections::default(),
            ring,
            stats: Stats::default(),
            words: Words::default(),
            frame: Vec::new(),
            encoded: vec![Encoded::NotYet; dialects],
            pressed: false,
        }
    }

    /// Queues an answer for one connection.
    pub(super) fn tell(&mut self, world: &World, index: u32, outgoing: &Outgoing<'_>) {
        let Some(connection) = self.connections.at(index) else { return };
        self.frame.clear();
        world.encode(connection.dialect, outgoing, &mut self.words, &mut self.frame);
        self.connections.answer(index, &self.frame, &world.limits, &mut self.stats);
    }

    /// An event of a topic: encodes it once per dialect and offers it to every subscriber.
    pub(super) fn publish(
        &mut self,
        world: &mut World,
        place: u32,
        seq: u64,
        stamps: Stamps,
        delta: Delta<'_>,
        now: Now,
    ) {
        let topic = &mut world.topics[place];
        let prev = std::mem::replace(&mut topic.seq, seq);
        topic.stamps = stamps;
        self.encoded.fill(Encoded::NotYet);
        let topic = &world.topics[place];
        let (subject, at) = (world.subject(topic), world.place(topic.lane, seq));
        let update = Outgoing::Update { subject, place: at, prev, stamps, merged: None, delta };
        for subscriber in &topic.subscribers {
            let (index, subscription) = (subscriber.connection, subscriber.subscription);
            let Some(connection) = self.connections.at(index) else { continue };
            if connection.phase != Phase::Open {
                continue;
            }
            match connection.subscriptions[usize::from(subscription)].mode {
                // What joins gets the state after this event.
                Mode::Vacant | Mode::Joining | Mode::Replaying => continue,
                Mode::Dirty => {
                    connection.merge(subscription, seq);
                    continue;
                }
                Mode::Live => {}
            }
            if connection.clock.check(now.mono_ns, &world.limits) && !self.become_late(world, index) {
                continue;
            }
            let Some(connection) = self.connections.at(index) else { continue };
            // Trades wait for their turn also behind a late pong, as long as there is room: no newer one replaces them.
            if connection.conflated && topic.channel.is_state() {
                connection.merge(subscription, seq);
                if connection.lacks_something() {
                    self.connections.enqueue(index);
                }
                continue;
            }
            let encoded = match self.encoded[usize::from(subscriber.dialect)] {
                Encoded::NotYet => self.encode(world, place, subscriber.dialect, &update, stamps),
                encoded => encoded,
            };
            self.offer(world, index, subscription, encoded, seq);
        }
        for (dialect, encoded) in self.encoded.iter().enumerate() {
            if let Encoded::Frame(frame) = *encoded {
                world.topics[place].latest[dialect] = Latest { frame, seq };
            }
        }
    }

    fn encode(&mut self, world: &World, topic: u32, dialect: u8, update: &Outgoing<'_>, stamps: Stamps) -> Encoded {
        self.frame.clear();
        let encoded = match world.encode(dialect, update, &mut self.words, &mut self.frame) {
            false => Encoded::Silence,
            true => match self.ring.push(topic, dialect, stamps.ts_gateway, &self.frame) {
                Some(number) => {
                    self.stats.encoded += 1;
                    Encoded::Frame(number)
                }
                None => Encoded::TooLong,
            },
        };
        self.encoded[usize::from(dialect)] = encoded;
        encoded
    }

    /// Gives a live subscription a reference; when there is no room for one, its connection has fallen behind. What newer
    /// state replaces is merged first; trades only when they alone fill the outbox.
    fn offer(&mut self, world: &World, index: u32, subscription: u16, encoded: Encoded, seq: u64) {
        let reference = match encoded {
            Encoded::Frame(number) => Some(Reference { number: number as u32, seq: seq as u32, subscription }),
            _ => None,
        };
        if encoded == Encoded::Silence {
            let Some(connection) = self.connections.at(index) else { return };
            connection.subscriptions[usize::from(subscription)].sent = seq;
        } else if !self.refer(world, index, reference) && self.become_late(world, index) {
            let connection = self.connections.at(index).expect("it has just fallen behind");
            let topic = connection.subscriptions[usize::from(subscription)].topic;
            let is_state = world.topics[topic].channel.is_state();
            if is_state || !self.refer(world, index, reference) && self.fall_behind(world, index) {
                let connection = self.connections.at(index).expect("it has just fallen behind");
                connection.merge(subscription, seq);
            }
        }
        if self.connections.at(index).is_some_and(|connection| connection.lacks_something()) {
            self.connections.enqueue(index);
        }
    }

    /// Puts a reference into a connection's outbox, if there is one and room for it.
    fn refer(&mut self, world: &World, index: u32, reference: Option<Reference>) -> bool {
        let (Some(connection), Some(reference)) = (self.connections.at(index), reference) else { return false };
        let bound = world.limits.pending_frames as usize;
        let kept = connection.outbox.push(reference, bound);
        let takes = !connection.blocked && !connection.clock.holds();
        self.pressed |= takes && 2 * connection.outbox.pending_len() >= bound;
        kept
    }

    /// Merges what a connection refers to, or closes it, by its policy. `false`: it is closed.
    pub(super) fn fall_behind(&mut self, world: &World, index: u32) -> bool {
        self.connections.fall_behind(
            index,
            |_| false,
            |topic, seq| widen(world.topics[topic].seq, seq),
            &mut self.stats,
        )
    }

    /// A pong is late, or the outbox is full: what a connection refers to is merged where newer state replaces it, or it is
    /// closed, by its policy. `false`: it is closed.
    pub(super) fn become_late(&mut self, world: &World, index: u32) -> bool {
        let keeps = |topic: u32| !world.topics[topic].channel.is_state();
        self.connections.fall_behind(index, keeps, |topic, seq| widen(world.topics[topic].seq, seq), &mut self.stats)
    }

    /// Every subscriber of a topic gets a snapshot, once there is one.
    pub(super) fn refresh(&mut self, world: &World, place: u32) {
        let topic = &world.topics[place];
        let ready = world.is_ready(topic);
        for subscriber in &topic.subscribers {
            let Some(connection) = self.connections.at(subscriber.connection) else { continue };
            let mode = connection.subscriptions[usize::from(subscriber.subscription)].mode;
            // Who is told what he missed comes to this point by himself.
            if connection.phase == Phase::Open && mode != Mode::Replaying {
                connection.forget(subscriber.subscription);
                self.join(ready, subscriber.connection, subscriber.subscription);
            }
        }
    }

    /// Those who wait for a topic's snapshot get it.
    pub(super) fn admit(&mut self, topics: &Slab<Topic>, place: u32) {
        for subscriber in &topics[place].subscribers {
            let Some(connection) = self.connections.at(subscriber.connection) else { continue };
            let mode = connection.subscriptions[usize::from(subscriber.subscription)].mode;
            if connection.phase == Phase::Open && mode == Mode::Joining {
                self.join(true, subscriber.connection, subscriber.subscription);
            }
        }
    }

    /// A subscription that joins is due, if its state is there.
    pub(super) fn join(&mut self, ready: bool, index: u32, subscription: u16) {
        let Some(connection) = self.connections.at(index).filter(|_| ready) else { return };
        connection.make_due(subscription);
        if connection.lacks_something() {
            self.connections.enqueue(index);
        }
    }

    /// Moves what a connection refers to into its answers, so that a frame queued now comes after it. With `ending`,
    /// what was merged of the trades of that lane is declared, because the numbers do not go on.
    fn settle(&mut self, world: &World, index: u32, ending: Option<u16>) {
        let Some(connection) = self.connections.at(index) else { return };
        let first = connection.outbox.pending(0);
        if first.is_some_and(|first| self.ring.get(self.ring.widen(first.number)).is_none()) {
            self.fall_behind(world, index);
        }
        self.frame.clear();
        let Some(connection) = self.connections.at(index).filter(|c| c.phase == Phase::Open) else { return };
        while let Some(reference) = connection.outbox.pending(0) {
            connection.outbox.drop_first(1);
            let frame =
                self.ring.get(self.ring.widen(reference.number)).expect("none is lost but those before the first");
            self.frame.extend_from_slice(self.ring.bytes(&frame));
            let subscription = &mut connection.subscriptions[usize::from(reference.subscription)];
            subscription.sent = widen(world.topics[subscription.topic].seq, reference.seq);
        }
        for place in 0..if ending.is_some() { connection.subscriptions.len() } else { 0 } {
            let subscription = connection.subscriptions[place];
            let Some(topic) = world.topics.get(subscription.topic) else { continue };
            let declared = subscription.mode == Mode::Dirty && topic.channel == Channel::Trades;
            if declared && ending == Some(topic.lane) {
                let merged = Merged { count: subscription.count, first: subscription.first, last: topic.seq };
                world.topic_gap(connection.dialect, topic, merged, subscription.sent, &mut self.words, &mut self.frame);
                self.stats.merged += merged.count;
                connection.set_mode(place as u16, Mode::Live);
                connection.subscriptions[place].sent = topic.seq;
            }
        }
        self.connections.answer(index, &self.frame, &world.limits, &mut self.stats);
    }

    /// Tells every connection with a subscription on a lane. `ending`: the lane's numbers do not go on from here.
    pub(super) fn announce(&mut self, world: &World, lane: u16, outgoing: &Outgoing<'_>, ending: bool, round: u32) {
        let frames = self.in_every_dialect(world, outgoing);
        let members = world.lanes[lane as usize].members.iter();
        for (_, topic) in members.flat_map(|member| world.instruments[*member].topics()) {
            for subscriber in &world.topics[topic].subscribers {
                let index = subscriber.connection;
                let Some(connection) = self.connections.at(index) else { continue };
                if std::mem::replace(&mut connection.round, round) == round || connection.phase != Phase::Open {
                    continue;
                }
                self.settle(world, index, ending.then_some(lane));
                let frame = &frames[usize::from(subscriber.dialect)];
                self.connections.answer(index, frame, &world.limits, &mut self.stats);
            }
        }
    }

    /// Tells every connection, whatever it has subscribed: before it can subscribe, it must know that there is a lane.
    pub(super) fn announce_to_all(&mut self, world: &World, outgoing: &Outgoing<'_>) {
        let frames = self.in_every_dialect(world, outgoing);
        for index in 0..self.connections.places() {
            let Some(connection) = self.connections.at(index).filter(|c| c.phase == Phase::Open) else { continue };
            let frame = &frames[usize::from(connection.dialect)];
            self.settle(world, index, None);
            self.connections.answer(index, frame, &world.limits, &mut self.stats);
        }
    }

    fn in_every_dialect(&mut self, world: &World, outgoing: &Outgoing<'_>) -> Vec<Vec<u8>> {
        let mut frames = vec![Vec::new(); world.dialects.len()];
        for (dialect, frame) in frames.iter_mut().enumerate() {
            world.encode(dialect as u8, outgoing, &mut self.words, frame);
        }
        frames
    }
}
