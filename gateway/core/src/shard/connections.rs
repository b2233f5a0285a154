//! Connections: what each has subscribed, what it lacks, and when its turn comes.

use std::collections::VecDeque;

use super::clock::Clock;
use super::flood::Bucket;
use super::slab::NONE;
use super::types::{ConnectionId, Stats};
use crate::dialect::SlowPolicy;
use crate::frames::push_close;
use crate::limits::Limits;
use crate::outbox::{Outbox, PENDING_MAX, Reference};

/// Close code of clients that are too slow.
pub(super) const CLOSE_SLOW: u16 = 4408;
/// Close code of floods.
pub(super) const CLOSE_FLOOD: u16 = 1008;

/// How a subscription stands to its topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// The place is free; `back` is the next free one.
    Vacant,
    /// It gets a snapshot as soon as there is one; events before that are in it.
    Joining,
    /// It is told what it missed, by the replay whose number is in `first`; until that is done nothing else.
    Replaying,
    /// It was told everything up to `sent`, or holds references to what follows.
    Live,
    /// `count` events from `first` on were merged, if any; it stands among the due.
    Dirty,
}

/// A topic on a connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Subscription {
    pub(super) topic: u32,
    /// Place among the topic's subscribers.
    pub(super) back: u32,
    /// Number of the last event that the client was told of, in whatever form.
    pub(super) sent: u64,
    pub(super) first: u64,
    pub(super) count: u64,
    pub(super) mode: Mode,
    /// Whether it stands among the due.
    pub(super) due: bool,
    /// A gap was told, and the snapshot behind it is still to come.
    pub(super) owes_snapshot: bool,
}

/// Life of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Open,
    /// What is begun and a close frame go out, nothing else.
    Closing,
    /// Nothing goes out any more.
    Over,
}

/// One client.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) dialect: u8,
    pub(super) slow: SlowPolicy,
    pub(super) phase: Phase,
    /// Stands in the queue.
    pub(super) queued: bool,
    /// The kernel takes no bytes.
    pub(super) blocked: bool,
    /// Gets merged frames instead of references, until nothing is dirty.
    pub(super) conflated: bool,
    pub(super) subscriptions: Vec<Subscription>,
    /// First free place among them.
    vacant: u32,
    pub(super) subscribed: u32,
    /// Subscriptions that need a frame of their own: a snapshot, or what was merged.
    pub(super) due: VecDeque<u16>,
    /// How many of the subscriptions are dirty.
    pub(super) dirty: u32,
    pub(super) outbox: Outbox,
    pub(super) clock: Clock,
    pub(super) commands: Bucket,
    pub(super) bytes: Bucket,
    /// Since when the kernel has not taken a byte; 0: it does.
    pub(super) stalled_ns: u64,
    /// Round of the last announcement that reached it.
    pub(super) round: u32,
}

impl Connection {
    pub(super) fn new(dialect: u8, slow: SlowPolicy, now_ns: u64) -> Connection {
        Connection {
            dialect,
            slow,
            phase: Phase::Open,
            queued: false,
            blocked: false,
            conflated: false,
            subscriptions: Vec::new(),
            vacant: NONE,
            subscribed: 0,
            due: VecDeque::new(),
            dirty: 0,
            outbox: Outbox::default(),
            clock: Clock::new(now_ns),
            commands: Bucket::default(),
            bytes: Bucket::default(),
            stalled_ns: 0,
            round: 0,
        }
    }

    /// Places a subscription; its place.
    pub(super) fn subscribe(&mut self, topic: u32, back: u32, sent: u64) -> u16 {
        let (mode, due, owes_snapshot) = (Mode::Joining, false, false);
        let subscription = Subscription { topic, back, sent, first: 0, count: 0, mode, due, owes_snapshot };
        self.subscribed += 1;
        if self.vacant == NONE {
            self.subscriptions.push(subscription);
            return (self.subscriptions.len() - 1) as u16;
        }
        let place = self.vacant as u16;
        let free = &mut self.subscriptions[usize::from(place)];
        self.vacant = free.back;
        // It may still stand among the due, from before it was free.
        *free = Subscription { due: free.due, ..subscription };
        place
    }

    /// Frees a place. Nothing of it is sent any more.
    pub(super) fn unsubscribe(&mut self, place: u16) {
        self.forget(place);
        let free = &mut self.subscriptions[usize::from(place)];
        free.mode = Mode::Vacant;
        free.topic = NONE;
        free.back = self.vacant;
        self.vacant = place.into();
        self.subscribed -= 1;
        if self.subscribed == 0 {
            // Whoever left everything owns nothing.
            self.subscriptions = Vec::new();
            self.vacant = NONE;
            self.due = VecDeque::new();
        }
    }

    /// Forgets what of a subscription waits, and how many events it stands for.
    pub(super) fn forget(&mut self, place: u16) {
        self.outbox.purge(place);
        self.set_mode(place, Mode::Joining);
    }

    /// Changes a subscription's mode, keeping count of the dirty ones.
    pub(super) fn set_mode(&mut self, place: u16, mode: Mode) {
        let subscription = &mut self.subscriptions[usize::from(place)];
        self.dirty -= u32::from(subscription.mode == Mode::Dirty);
        self.dirty += u32::from(mode == Mode::Dirty);
        subscription.mode = mode;
        subscription.owes_snapshot &= mode == Mode::Dirty;
    }

    /// One more event of a subscription is merged.
    pub(super) fn merge(&mut self, place: u16, seq: u64) {
        let subscription = &mut self.subscriptions[usize::from(place)];
        if subscription.mode != Mode::Dirty || subscription.count == 0 {
            (subscription.first, subscription.count) = (seq, 0);
        }
        subscription.count += 1;
        if subscription.mode == Mode::Dirty {
            return;
        }
        self.set_mode(place, Mode::Dirty);
        self.make_due(place);
    }

    /// A subscription needs a frame of its own.
    pub(super) fn make_due(&mut self, place: u16) {
        let subscription = &mut self.subscriptions[usize::from(place)];
        if !subscription.due {
            subscription.due = true;
            self.due.push_back(place);
        }
    }

    /// Place of the subscription to a topic.
    pub(super) fn find(&self, topic: u32) -> Option<u16> {
        self.subscriptions.iter().position(|s| s.mode != Mode::Vacant && s.topic == topic).map(|place| place as u16)
    }

    /// Whether a flush could send something.
    pub(super) fn lacks_something(&self) -> bool {
        let data = self.outbox.pending_len() > 0 || !self.due.is_empty();
        self.outbox.queued_bytes() > 0 || self.phase == Phase::Closing || (data && !self.clock.holds())
    }
}

#[derive(Debug)]
struct Place {
    generation: u32,
    connection: Option<Connection>,
}

/// Every connection of a shard, and the queue of those whose turn it is.
#[derive(Debug, Default)]
pub(super) struct Connections {
    places: Vec<Place>,
    free: Vec<u32>,
    queue: VecDeque<ConnectionId>,
    /// Of the queue, those that still stand there by right.
    queued: usize,
    scratch: Vec<u8>,
}

impl Connections {
    pub(super) fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    /// Places, used or not: every one is below.
    pub(super) fn places(&self) -> u32 {
        self.places.len() as u32
    }

    pub(super) fn insert(&mut self, connection: Connection) -> ConnectionId {
        let index = self.free.pop().unwrap_or_else(|| {
            self.places.push(Place { generation: 0, connection: None });
            (self.places.len() - 1) as u32
        });
        let place = &mut self.places[index as usize];
        place.connection = Some(connection);
        ConnectionId { index, generation: place.generation }
    }

    pub(super) fn remove(&mut self, id: ConnectionId) -> Option<Connection> {
        let place = self.places.get_mut(id.index as usize).filter(|place| place.generation == id.generation)?;
        let connection = place.connection.take()?;
        place.generation = place.generation.wrapping_add(1);
        self.free.push(id.index);
        self.queued -= usize::from(connection.queued);
        Some(connection)
    }

    pub(super) fn get(&self, id: ConnectionId) -> Option<&Connection> {
        let place = self.places.get(id.index as usize).filter(|place| place.generation == id.generation)?;
        place.connection.as_ref()
    }

    pub(super) fn get_mut(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        let place = self.places.get_mut(id.index as usize).filter(|place| place.generation == id.generation)?;
        place.connection.as_mut()
    }

    /// By place alone.
    pub(super) fn at(&mut self, index: u32) -> Option<&mut Connection> {
        self.places.get_mut(index as usize)?.connection.as_mut()
    }

    pub(super) fn id_at(&self, index: u32) -> Option<ConnectionId> {
        let place = self.places.get(index as usize)?;
        place.connection.as_ref().map(|_| ConnectionId { index, generation: place.generation })
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Connection> {
        self.places.iter().filter_map(|place| place.connection.as_ref())
    }

    /// Puts a connection into the queue, unless it stands there or its kernel takes nothing.
    pub(super) fn enqueue(&mut self, index: u32) {
        let Some(place) = self.places.get_mut(index as usize) else { return };
        let Some(connection) = &mut place.connection else { return };
        if !connection.queued && !connection.blocked && connection.phase != Phase::Over {
            connection.queued = true;
            self.queued += 1;
            self.queue.push_back(ConnectionId { index, generation: place.generation });
        }
    }

    pub(super) fn next(&mut self) -> Option<ConnectionId> {
        while let Some(id) = self.queue.pop_front() {
            if let Some(connection) = self.get_mut(id) {
                connection.queued = false;
                self.queued -= 1;
                return Some(id);
            }
        }
        None
    }

    pub(super) fn has_next(&self) -> bool {
        self.queued > 0
    }

    /// How many stand in the queue.
    pub(super) fn queued(&self) -> usize {
        self.queued
    }

    /// Queues a frame that is the last.
    pub(super) fn close(&mut self, index: u32, code: u16, reason: &str) {
        let mut frame = std::mem::take(&mut self.scratch);
        frame.clear();
        push_close(&mut frame, code, reason);
        if let Some(connection) = self.at(index).filter(|connection| connection.phase == Phase::Open) {
            connection.phase = Phase::Closing;
            connection.due = VecDeque::new();
            connection.outbox.end_with(&frame);
            self.enqueue(index);
        }
        self.scratch = frame;
    }

    pub(super) fn close_slow(&mut self, index: u32, reason: &str, stats: &mut Stats) {
        stats.slow_closes += 1;
        self.close(index, CLOSE_SLOW, reason);
    }

    /// Queues whole frames for one connection, which is closed when it has not read those before.
    pub(super) fn answer(&mut self, index: u32, frames: &[u8], limits: &Limits, stats: &mut Stats) {
        let Some(connection) = self.at(index).filter(|connection| connection.phase == Phase::Open) else { return };
        if connection.outbox.queued_bytes() + frames.len() > limits.queued_bytes as usize {
            return self.close_slow(index, "answers are not read", stats);
        }
        connection.outbox.answer(frames);
        self.enqueue(index);
    }

    /// A connection fell behind: what it refers to is merged, topics that `keeps` names left out, or it is closed, by its
    /// policy. `false`: it is closed.
    pub(super) fn fall_behind(
        &mut self,
        index: u32,
        keeps: impl Fn(u32) -> bool,
        widen: impl Fn(u32, u32) -> u64,
        stats: &mut Stats,
    ) -> bool {
        let Some(connection) = self.at(index) else { return false };
        if connection.slow == SlowPolicy::Close {
            self.close_slow(index, "too slow", stats);
            return false;
        }
        stats.conflations += u64::from(!connection.conflated);
        connection.conflated = true;
        for _ in 0..connection.outbox.pending_len() {
            let reference = connection.outbox.pending(0).expect("as many wait as were counted");
            connection.outbox.drop_first(1);
            let Reference { seq, subscription, .. } = reference;
            let topic = connection.subscriptions[usize::from(subscription)].topic;
            if keeps(topic) {
                // To the end: those that are kept stay in their order.
                let room = connection.outbox.push(reference, PENDING_MAX);
                debug_assert!(room, "it has just left");
            } else {
                connection.merge(subscription, widen(topic, seq));
            }
        }
        true
    }
}

/// The number whose low half this is, not above `newest`.
pub(super) fn widen(newest: u64, low: u32) -> u64 {
    newest.wrapping_sub((newest as u32).wrapping_sub(low).into())
}

/// What a connection costs that has nothing to get: goal 1 KiB.
const _: () = assert!(size_of::<Place>() <= 400 && size_of::<Subscription>() <= 40);
