//! One lane, as a shard reads it: found, followed, and found again; with what is to be told about it.

use std::path::{Path, PathBuf};

use gateway_core::dialect::LaneState;
use gateway_core::shard::{LaneId, Now, Shard};
use shm_abi::follow::{Follower, Notice};
use shm_abi::layout::{HEARTBEAT_LIMIT_NS, State};
use shm_abi::record::Record;
use shm_abi::ring::{Polled, Rejoin};
use shm_abi::segment::{RingName, Segment, SegmentError};

use super::clock;
use super::hops::Hop;
use super::inbox::Bell;
use super::waiter::Waiter;
use crate::report::{Hops, LaneReport};

/// Records read in one go, before connections get their turn.
const BATCH_RECORDS: usize = 4096;
/// Records for which the clocks are read once.
const RECORDS_PER_CLOCK: usize = 32;
/// Records between two looks at whether the connections keep up: even if each told a connection of five topics
/// something, it would not be more than half of what may wait for it.
const RECORDS_PER_LOOK: usize = 4;
/// A shard that reads records older than this does not wait for its connections any more: it merges, to catch up.
const PATIENCE_NS: u64 = 20_000_000;
/// How often an absent lane is looked for, ns.
const ATTACH_INTERVAL_NS: u64 = 100_000_000;
/// How often the log may say why a lane cannot be read, ns.
const GRUMBLE_INTERVAL_NS: u64 = 60_000_000_000;

/// The lane.
#[derive(Debug)]
pub(crate) struct LaneReader {
    name: String,
    id: LaneId,
    runtime_dir: PathBuf,
    follower: Option<Follower>,
    /// `None`: this shard never sleeps on the lane, or its thread could not be started.
    waiter: Option<Waiter>,
    /// Its writer has ended, and everything was read.
    is_closed: bool,
    attached_ns: u64,
    attach_at_ns: u64,
    grumble_at_ns: u64,
    obstacle: String,
    version_mismatches: u64,
    venue_to_receive: Hop,
    receive_to_publish: Hop,
    publish_to_gateway: Hop,
}

/// What one look at a lane's ring gave.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Drained {
    /// Records and losses.
    pub(crate) records: usize,
    /// There may be more, but the connections must be served first.
    pub(crate) pressed: bool,
}

/// One batch on its way into the core.
struct Intake<'i> {
    core: &'i mut Shard,
    id: LaneId,
    venue_to_receive: &'i mut Hop,
    receive_to_publish: &'i mut Hop,
    publish_to_gateway: &'i mut Hop,
    attached_ns: u64,
    now: Now,
    /// Of the newest event.
    publish_ns: u64,
    count: usize,
}

impl Intake<'_> {
    fn take(&mut self, polled: Polled<'_>) {
        if self.count.is_multiple_of(RECORDS_PER_CLOCK) {
            self.now = clock::now();
        }
        self.count += 1;
        match polled {
            Polled::Empty => {}
            Polled::Lost(lost) => self.core.lost(self.id, lost, self.now),
            Polled::Record { n, words } => {
                let record = Record::new(n, words).expect("a ring gives at least a slot's words");
                if record.head.is_last() {
                    self.time(&record);
                }
                self.core.record(self.id, &record, self.now);
            }
        }
    }

    fn time(&mut self, record: &Record<'_>) {
        let head = &record.head;
        self.publish_ns = head.ts_publish();
        self.venue_to_receive.between(head.ts_event, head.ts_recv);
        if head.ts_recv == 0 {
            return;
        }
        self.receive_to_publish.between(head.ts_recv, self.publish_ns);
        // What was there before we came did not wait for us. The clock is one and the same, but it was read before some
        // of these records were written.
        if self.publish_ns >= self.attached_ns {
            self.publish_to_gateway.between(self.publish_ns, self.now.real_ns.max(self.publish_ns));
        }
    }

    fn is_fresh(&self) -> bool {
        self.now.real_ns.saturating_sub(self.publish_ns) < PATIENCE_NS
    }
}

impl LaneReader {
    /// Makes room for the lane in the core. `bell` wakes the shard; `None`: it never sleeps.
    pub(crate) fn new(core: &mut Shard, runtime_dir: &Path, name: &str, bell: Option<&Bell>) -> LaneReader {
        let waiter = bell.and_then(|bell| {
            Waiter::start(runtime_dir.into(), name, bell.clone())
                .inspect_err(
                    |error| tracing::warn!(lane = name, %error, "no waiter thread: looking every 20 ms instead"),
                )
                .ok()
        });
        LaneReader {
            name: name.into(),
            id: core.add_lane(name),
            runtime_dir: runtime_dir.into(),
            follower: None,
            waiter,
            is_closed: false,
            attached_ns: 0,
            attach_at_ns: 0,
            grumble_at_ns: 0,
            obstacle: String::new(),
            version_mismatches: 0,
            venue_to_receive: Hop::new(),
            receive_to_publish: Hop::new(),
            publish_to_gateway: Hop::new(),
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn id(&self) -> LaneId {
        self.id
    }

    /// Reads what is there, at most one batch, into the core.
    pub(crate) fn drain(&mut self, core: &mut Shard, now: Now) -> Drained {
        let mut drained = Drained::default();
        let Some(follower) = &mut self.follower else { return drained };
        let ring = follower.ring_mut();
        let mut intake = Intake {
            core,
            id: self.id,
            venue_to_receive: &mut self.venue_to_receive,
            receive_to_publish: &mut self.receive_to_publish,
            publish_to_gateway: &mut self.publish_to_gateway,
            attached_ns: self.attached_ns,
            now,
            publish_ns: 0,
            count: 0,
        };
        while intake.count < BATCH_RECORDS && !drained.pressed {
            // A few at a time, staying clear of the writer; when there is little, one by one, as early as can be.
            if ring.poll_batch(RECORDS_PER_LOOK, |polled| intake.take(polled)) == 0 {
                match ring.poll() {
                    Polled::Empty => break,
                    polled => intake.take(polled),
                }
            }
            drained.pressed = intake.core.take_pressed() && intake.is_fresh();
        }
        drained.records = intake.count;
        if drained.records == 0 {
            self.look(core, now);
        } else if let Some(waiter) = &self.waiter {
            waiter.disarm();
        }
        drained
    }

    /// The ring is empty: what else is there to say?
    fn look(&mut self, core: &mut Shard, now: Now) {
        let Some(follower) = &mut self.follower else { return };
        match follower.look(now.mono_ns) {
            Ok(None) => return,
            Ok(Some(Notice::Restarted(restarted))) => {
                core.restarted(self.id, follower.segment(), &restarted, now);
                self.is_closed = false;
                self.obstacle.clear();
                tracing::info!(
                    lane = self.name,
                    reason = restarted.reason.name(),
                    old_epoch = format!("{:016x}", restarted.old_epoch),
                    new_epoch = format!("{:016x}", restarted.new_epoch),
                    drained_to = restarted.drained_to,
                    old_end = restarted.old_end,
                    "the engine began anew"
                );
            }
            Ok(Some(Notice::Closed)) => self.is_closed = true,
            Ok(Some(Notice::Silent | Notice::Back)) => {}
            Err(error) => self.meet_obstacle(&error, now),
        }
        core.lane_state(self.id, self.judge(), now);
    }

    /// What is due by time: looking for the lane while it is absent, and its writer's life.
    pub(crate) fn tick(&mut self, core: &mut Shard, now: Now) {
        if self.follower.is_none() && now.mono_ns >= self.attach_at_ns {
            self.attach_at_ns = now.mono_ns + ATTACH_INTERVAL_NS;
            self.attach(core, now);
        }
        core.lane_state(self.id, self.judge(), now);
    }

    fn attach(&mut self, core: &mut Shard, now: Now) {
        let segment = match Segment::open(&self.runtime_dir, &self.name) {
            Ok(segment) => segment,
            Err(SegmentError::Missing { .. }) => return self.obstacle.clear(),
            Err(error) => return self.meet_obstacle(&error, now),
        };
        self.obstacle.clear();
        // As far back as is safe: the trades of before are there for those who come.
        let cursor = segment.join(RingName::Market, Rejoin::Oldest).cursor();
        core.attach(self.id, &segment, cursor, now);
        let follower =
            Follower::new(&segment, self.runtime_dir.clone(), &self.name, RingName::Market, cursor, Rejoin::Latest);
        let head = follower.ring().head();
        self.follower = Some(follower);
        self.attached_ns = now.real_ns;
        // Nobody can have subscribed yet: who comes later shall not be told the past at a gallop.
        while self.follower.as_ref().is_some_and(|follower| follower.ring().cursor() < head) {
            if self.drain(core, clock::now()).records == 0 {
                break;
            }
        }
        let epoch = format!("{:016x}", segment.identity().epoch);
        tracing::info!(lane = self.name, epoch, cursor, "attached");
    }

    /// Something has the segment's name and cannot be read: counted, and told once a minute.
    fn meet_obstacle(&mut self, error: &SegmentError, now: Now) {
        self.version_mismatches += u64::from(matches!(error, SegmentError::Version { .. }));
        self.obstacle = error.to_string();
        if now.mono_ns >= self.grumble_at_ns {
            self.grumble_at_ns = now.mono_ns + GRUMBLE_INTERVAL_NS;
            tracing::warn!(lane = self.name, %error, "this lane cannot be read");
        }
    }

    fn judge(&self) -> LaneState {
        let Some(follower) = &self.follower else { return LaneState::Absent };
        let segment = follower.segment();
        if self.is_closed {
            LaneState::Closed
        } else if segment.heartbeat_age_ns() > HEARTBEAT_LIMIT_NS {
            LaneState::Silent
        } else if segment.state() == Some(State::Recovering) {
            LaneState::Recovering
        } else {
            LaneState::Live
        }
    }

    /// The shard is about to sleep: the lane's next record shall wake it.
    pub(crate) fn arm(&mut self) {
        if let (Some(follower), Some(waiter)) = (&self.follower, &mut self.waiter) {
            waiter.arm(follower.segment(), follower.ring().cursor());
        }
    }

    /// What is told about it.
    pub(crate) fn report(&mut self, core: &Shard, now: Now) -> LaneReport {
        let facts = core.lane_facts(self.id);
        let place = self.follower.as_ref().map(|follower| (follower.ring().cursor(), follower.ring().head()));
        let (cursor, head) = place.unwrap_or_default();
        let age_ns = self.follower.as_ref().map(|follower| follower.segment().heartbeat_age_ns());
        LaneReport {
            name: self.name.clone(),
            state: facts.state,
            epoch: self.follower.as_ref().map(|_| facts.epoch),
            stream: facts.stream,
            cursor,
            head,
            lag: head.saturating_sub(cursor),
            heartbeat_age_ms: age_ns.map(|ns| ns / 1_000_000),
            obstacle: self.obstacle.clone(),
            version_mismatches: self.version_mismatches,
            hops: Hops {
                venue_to_receive: self.venue_to_receive.tell(now.mono_ns),
                receive_to_publish: self.receive_to_publish.tell(now.mono_ns),
                publish_to_gateway: self.publish_to_gateway.tell(now.mono_ns),
            },
        }
    }
}
