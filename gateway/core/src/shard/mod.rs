//! One shard: lanes in, frames out. No runtime in here: whoever owns the sockets and the clock calls it.
//!
//! The caller's loop, per pass: drain a bounded batch of records ([`Shard::record`] and the like) -> `limits`-many
//! [`Shard::flush`] of [`Shard::next_dirty`] -> drain again (a *rolling* pass, decisions.md 17). A pass may end in the
//! middle of an event: whose state it is changing waits for the rest.
//!
//! | module | job |
//! |---|---|
//! | `lanes` | a lane's segment, its instruments by symbol and id, the event that is open |
//! | `world` | topics and instruments, and the frames that tell of them |
//! | `events`, `rows` | from records to events of topics; when the board is read |
//! | `out` | from an event to those who lack it |
//! | `connections`, `clock`, `flood` | what each client has subscribed and lacks; its pongs; its rate |
//! | `commands`, `subscribe`, `resume` | what clients ask for |
//! | `replay`, `replayed` | resumes from further back than the ring reaches, and what they tell |
//! | `flush`, `plan` | one send with everything that a connection lacks |
//! | `timers` | what is due by time |

mod checks;
mod clock;
mod commands;
mod connections;
mod events;
mod flood;
mod flush;
mod lanes;
mod out;
mod plan;
mod replay;
mod replayed;
mod resume;
mod rows;
mod slab;
mod subscribe;
mod timers;
mod types;
mod world;

use shm_abi::follow::Restarted;
use shm_abi::record::Record;
use shm_abi::ring::Lost;
use shm_abi::segment::Segment;

pub use types::{ConnectionId, DialectId, Flush, Flushed, LaneId, Now, Sink, Stats};

use crate::dialect::{Change, Dialect, LaneFacts, LaneState, Outgoing, SlowPolicy, Stamps, Trade};
use crate::frames::FrameRing;
use crate::limits::{LimitError, Limits};
use connections::{Connection, Phase};
use lanes::Lane;
use out::Out;
use plan::Plan;
use replay::Replays;
use world::World;

/// One thread's worth of gateway.
#[derive(Debug)]
pub struct Shard {
    world: World,
    out: Out,
    plan: Plan,
    changes: Vec<Change>,
    /// Stream numbers given.
    streams: u32,
    /// Announcements made: each reaches a connection once.
    round: u32,
    /// Place of the connection that was looked at last.
    sweep: u32,
    subscriptions: u64,
    replays: Replays,
}

impl Shard {
    /// A shard without lanes and connections. `dialects`: what [`DialectId`]s name.
    ///
    /// # Errors
    /// A limit that is out of its range.
    pub fn new(limits: Limits, dialects: Vec<Box<dyn Dialect>>) -> Result<Shard, LimitError> {
        checks::check(&limits)?;
        let ring = FrameRing::new(limits.frame_ring_bytes, limits.frame_ring_frames)?;
        let out = Out::new(ring, dialects.len());
        let (lanes, instruments, topics) = (Vec::new(), Default::default(), Default::default());
        let world = World { limits, dialects, lanes, instruments, topics };
        let (plan, changes) = (Plan::default(), Vec::new());
        Ok(Shard {
            world,
            out,
            plan,
            changes,
            streams: 0,
            round: 0,
            sweep: 0,
            subscriptions: 0,
            replays: Replays::default(),
        })
    }

    /// Makes room for a lane, absent until it is attached. Names are unique.
    ///
    /// # Panics
    /// When there are 2^16 lanes.
    pub fn add_lane(&mut self, name: &str) -> LaneId {
        let lane = LaneId(u16::try_from(self.world.lanes.len()).expect("fewer than 2^16 lanes"));
        self.world.lanes.push(Lane::new(name, self.world.limits.trades as usize));
        lane
    }

    /// The lane's first segment is mapped; its records will come from number `cursor` on. Its rows are read once
    /// [`Segment::state`] is not `Recovering`.
    pub fn attach(&mut self, lane: LaneId, segment: &Segment, cursor: u64, now: Now) {
        let stream = self.stream_of(lane.0, segment.identity().epoch);
        self.lane_mut(lane).change_source(segment, stream, cursor.saturating_sub(1));
        self.rejoin(lane, true, now);
        self.lane_state(lane, LaneState::Live, now);
    }

    /// The next record of the lane's market ring.
    pub fn record(&mut self, lane: LaneId, record: &Record<'_>, now: Now) {
        self.read_record(lane, record, now);
    }

    /// Numbers that will not come.
    pub fn lost(&mut self, lane: LaneId, lost: Lost, now: Now) {
        self.read_lost(lane, lost, now);
    }

    /// The lane's sequence is over; records of `segment` from number 0 on come next.
    pub fn restarted(&mut self, lane: LaneId, segment: &Segment, restarted: &Restarted, now: Now) {
        let stream = self.stream_of(lane.0, segment.identity().epoch);
        let this = self.lane_mut(lane);
        this.discard_event();
        let (old_stream, old_epoch, name) = (this.stream, this.epoch, this.name.clone());
        // Before the lane is the new one: what is still to be said of the old sequence is said first.
        let epoch = segment.identity().epoch;
        let place = crate::dialect::Place { stream, lane: &name, epoch, seq: 0 };
        let outgoing = Outgoing::Restart {
            place,
            old_stream,
            old_epoch,
            reason: restarted.reason.name(),
            drained_to: restarted.drained_to,
            old_end: restarted.old_end,
        };
        self.round = self.round.wrapping_add(1);
        self.out.announce(&self.world, lane.0, &outgoing, true, self.round);
        self.lane_mut(lane).change_source(segment, stream, 0);
        self.rejoin(lane, true, now);
        self.unpark(lane);
    }

    /// What the lane's writer is doing. Tells everybody when it changed. Whether a row that stays half written will
    /// ever be whole is judged by it.
    pub fn lane_state(&mut self, lane: LaneId, state: LaneState, now: Now) {
        let this = self.lane_mut(lane);
        if std::mem::replace(&mut this.state, state) == state {
            return;
        }
        let seq = this.cursor_seq;
        let facts = self.world.lanes[usize::from(lane.0)].facts();
        self.out.announce_to_all(&self.world, &Outgoing::Lane(facts));
        if state == LaneState::Closed {
            // The last thing that a writer does is to say on every row that it is closed; no record tells of that.
            let stamps = Stamps { ts_gateway: now.real_ns, ..Stamps::default() };
            self.reread_all(lane, seq, stamps, now);
        }
    }

    /// A lane as clients are told of it.
    pub fn lane_facts(&self, lane: LaneId) -> LaneFacts<'_> {
        self.world.lanes[usize::from(lane.0)].facts()
    }

    /// A new connection, whose first frame is the dialect's hello. `None`: the slab is full.
    pub fn open(&mut self, dialect: DialectId, slow: SlowPolicy, now: Now) -> Option<ConnectionId> {
        if self.out.connections.len() >= self.world.limits.connections as usize {
            return None;
        }
        let id = self.out.connections.insert(Connection::new(dialect.0, slow, now.mono_ns));
        let lanes: Vec<LaneFacts<'_>> = self.world.lanes.iter().map(Lane::facts).collect();
        let hello = Outgoing::Hello { slow, lanes: &lanes, limits: &self.world.limits };
        self.out.tell(&self.world, id.index, &hello);
        Some(id)
    }

    /// `count` bytes came from the client, whatever they are. May close it (1008).
    pub fn received(&mut self, id: ConnectionId, count: usize, now: Now) {
        self.take_bytes(id, count, now);
    }

    /// A whole text message of the client. Answers are queued; a flood closes (1008).
    pub fn message(&mut self, id: ConnectionId, text: &str, now: Now) {
        self.take_message(id, text, now);
    }

    /// A pong of the client, with its payload. What is not an echo of a ping of ours says nothing.
    pub fn pong(&mut self, id: ConnectionId, payload: &[u8], now: Now) {
        self.take_pong(id, payload, now);
    }

    /// Queues whole server frames (a pong, an echo) among the answers.
    pub fn answer(&mut self, id: ConnectionId, frames: &[u8], now: Now) {
        let _ = now;
        if self.out.connections.get(id).is_some() {
            self.out.connections.answer(id.index, frames, &self.world.limits, &mut self.out.stats);
        }
    }

    /// Queues a Close frame with this code behind what is already begun; nothing is sent after it. Idempotent.
    pub fn close(&mut self, id: ConnectionId, code: u16, reason: &str, now: Now) {
        let _ = now;
        if self.out.connections.get(id).is_some() {
            self.out.connections.close(id.index, code, reason);
        }
    }

    /// Queues a Close frame for every connection.
    pub fn close_all(&mut self, code: u16, reason: &str, now: Now) {
        for index in 0..self.out.connections.places() {
            if let Some(id) = self.out.connections.id_at(index) {
                self.close(id, code, reason, now);
            }
        }
    }

    /// The socket is gone.
    pub fn remove(&mut self, id: ConnectionId) {
        let Some(connection) = self.out.connections.remove(id) else { return };
        for subscription in connection.subscriptions.iter().filter(|s| s.mode != connections::Mode::Vacant) {
            self.drop_subscriber(subscription);
        }
    }

    /// The kernel takes bytes again.
    pub fn writable(&mut self, id: ConnectionId) {
        let Some(connection) = self.out.connections.get_mut(id) else { return };
        connection.blocked = false;
        if connection.lacks_something() {
            self.out.connections.enqueue(id.index);
        }
    }

    /// The next connection that lacks something and is not blocked, in order of waiting. Taken from the queue.
    pub fn next_dirty(&mut self) -> Option<ConnectionId> {
        self.out.connections.next()
    }

    /// Connections that wait for a flush, those that were removed since left out.
    pub fn dirty_len(&self) -> usize {
        self.out.connections.queued()
    }

    /// Whether records come faster than they are flushed: some connection that takes bytes would soon be conflated only
    /// because its turn does not come. Whoever is not late himself then flushes everybody once, and reads on after that.
    /// Asking takes the mark away.
    pub fn take_pressed(&mut self) -> bool {
        std::mem::take(&mut self.out.pressed)
    }

    /// Whether [`Shard::next_dirty`] has something.
    pub fn has_dirty(&self) -> bool {
        self.out.connections.has_next()
    }

    /// Sends what the connection lacks, in one call of the sink.
    pub fn flush(&mut self, id: ConnectionId, now: Now, sink: &mut impl Sink) -> Flushed {
        self.send(id, now, sink)
    }

    /// Does what is due by time: pings, pong clocks, stalled connections (queued for a flush that ends `Finished`, or
    /// put into `dead` when their socket takes no more bytes), rows that were busy. Call it every 10 to 50 ms.
    pub fn tick(&mut self, now: Now, dead: &mut Vec<ConnectionId>) {
        self.pass_time(now, dead);
    }

    /// The newest trades of an instrument that are kept, at most `max`, oldest first.
    pub fn recent_trades(&self, lane: LaneId, instrument_id: u32, max: usize) -> Vec<Trade> {
        let mut trades = Vec::new();
        self.world.lanes[usize::from(lane.0)].trades.recent(instrument_id, max, &mut trades);
        trades
    }

    /// Public numbers. Looks at every connection for the bytes that wait.
    pub fn stats(&self) -> Stats {
        Stats {
            connections: self.out.connections.len() as u64,
            subscriptions: self.subscriptions,
            topics: self.world.topics.len() as u64,
            replaying: self.replays() as u64,
            queued_bytes: self.out.connections.iter().map(|c| c.outbox.queued_bytes() as u64).sum(),
            ..self.out.stats
        }
    }

    /// Connections that are open.
    pub fn connections(&self) -> usize {
        self.out.connections.iter().filter(|connection| connection.phase == Phase::Open).count()
    }

    fn lane_mut(&mut self, lane: LaneId) -> &mut Lane {
        &mut self.world.lanes[usize::from(lane.0)]
    }

    /// The number bound to an epoch of a lane: given when it is first met, and never again to another.
    fn stream_of(&mut self, lane: u16, epoch: u64) -> u32 {
        let streams = &mut self.world.lanes[usize::from(lane)].streams;
        if let Some((_, stream)) = streams.iter().find(|(known, _)| *known == epoch) {
            return *stream;
        }
        self.streams += 1;
        streams.push((epoch, self.streams));
        self.streams
    }
}
