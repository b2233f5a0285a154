//! A follower across everything that can happen to its writer. Time is the test's: nothing here waits.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod common;

use shm_abi::cursor::Cursor;
use shm_abi::follow::{Follower, LOOK_INTERVAL_NS, Notice, RestartReason, Restarted};
use shm_abi::layout::{HEARTBEAT_LIMIT_NS, Plan, State};
use shm_abi::record::{Head, INSTRUMENT_NONE, Restart, flag, kind, restart_body, restart_reason};
use shm_abi::ring::{Polled, Rejoin, RingWriter, word0};
use shm_abi::segment::{Identity, LaneLock, LaneWriter, MappedRing, RingName, Segment, SegmentError, segment_file};
use shm_abi::sys::monotonic_ns;

const LANE: &str = "lane0";

struct Lane {
    dir: tempfile::TempDir,
    lock: Option<LaneLock>,
    writer: LaneWriter,
}

fn create(lock: &LaneLock, old_epoch: u64) -> LaneWriter {
    let plan =
        Plan { lane: LANE.into(), orders_slots: 1024, market_slots: 1024, instruments: 16, depth_bytes: 1 << 14 };
    let mut writer = lock.create(&plan, Identity::random(old_epoch).unwrap()).unwrap();
    writer.set_state(State::Live);
    writer
}

impl Lane {
    fn start() -> Lane {
        let dir = tempfile::tempdir().unwrap();
        let lock = LaneLock::take(dir.path(), LANE).unwrap();
        let writer = create(&lock, 0);
        Lane { dir, lock: Some(lock), writer }
    }

    fn publish(&mut self, count: usize) {
        for _ in 0..count {
            push(&mut self.writer.market);
        }
        self.writer.publish_heads();
    }

    /// The writer dies, another makes the lane anew and has not published yet.
    fn replace(&mut self) -> (u64, u64) {
        let left = (self.writer.identity().epoch, self.writer.market.next_number());
        self.writer.heartbeat(monotonic_ns().saturating_sub(2 * HEARTBEAT_LIMIT_NS));
        drop(self.lock.take());
        let lock = LaneLock::take(self.dir.path(), LANE).unwrap();
        self.writer = create(&lock, left.0);
        self.lock = Some(lock);
        left
    }

    fn say_restart(&mut self, (old_epoch, old_end): (u64, u64)) {
        let restart =
            Restart { old_epoch, old_end, session: [b' '; 16], venue_sequence: 0, reason: restart_reason::ENGINE };
        let head = Head {
            kind: kind::RESTART,
            flags: flag::LAST,
            span: 1,
            side_or_code: 0,
            instrument_id: INSTRUMENT_NONE,
            ts_event: 1,
            ts_recv: 1,
            publish_delay_ns: 0,
            venue_sequence_low: 0,
        };
        let words: Vec<u64> = head.words().into_iter().chain(restart_body(&restart)).collect();
        self.writer.market.push_span(&words);
        self.writer.market.commit();
        self.writer.publish_heads();
    }

    fn follow(&self, n: u64) -> Follower {
        let segment = Segment::open(self.dir.path(), LANE).unwrap();
        Follower::new(&segment, self.dir.path().into(), LANE, RingName::Market, n, Rejoin::Latest)
    }
}

fn push(ring: &mut RingWriter<MappedRing>) {
    ring.push(&[word0(kind::ADD, flag::LAST, 1, b'B', 1), 0, 0, 0, 0, 0, 0]);
    ring.commit();
}

/// Reads what is ready and returns how many records that were.
fn drain(follower: &mut Follower) -> usize {
    let mut count = 0;
    while follower.is_ready() {
        assert!(matches!(follower.ring_mut().poll(), Polled::Record { .. }));
        count += 1;
    }
    count
}

/// A clock of which every reading allows one look.
struct Clock(u64);

impl Clock {
    fn tick(&mut self) -> u64 {
        self.0 += LOOK_INTERVAL_NS;
        self.0
    }
}

#[test]
fn drains_the_old_writer_before_it_enters_the_next() {
    let (mut lane, mut clock) = (Lane::start(), Clock(0));
    lane.publish(2);
    let mut follower = lane.follow(0);
    assert_eq!((follower.lag(), drain(&mut follower)), (2, 2));
    lane.publish(3);
    let left = lane.replace();
    assert_eq!(drain(&mut follower), 3);
    assert_eq!(follower.look(clock.tick()).unwrap(), None, "a successor that has published nothing");
    assert_eq!(follower.newest().identity(), lane.writer.identity());
    assert_eq!((follower.cursor().epoch, follower.cursor().seq, follower.successor_ready()), (left.0, 5, false));
    lane.say_restart(left);
    assert!(follower.successor_ready() && !follower.is_ready());
    let want = Restarted {
        old_epoch: left.0,
        new_epoch: lane.writer.identity().epoch,
        drained_to: 5,
        old_end: Some(5),
        reason: RestartReason::Engine,
    };
    // What is already there needs no look at the clock.
    assert_eq!(follower.look(0).unwrap(), Some(Notice::Restarted(want)));
    assert_eq!((follower.cursor().epoch, follower.cursor().seq), (want.new_epoch, 0));
    assert_eq!(drain(&mut follower), 1, "the restart record itself follows");
}

#[test]
fn looks_at_the_writer_no_more_often_than_it_should() {
    let lane = Lane::start();
    let mut follower = lane.follow(0);
    assert_eq!(follower.look(100).unwrap(), None);
    std::fs::write(lane.dir.path().join("other"), [0; 8192]).unwrap();
    std::fs::rename(lane.dir.path().join("other"), lane.dir.path().join(segment_file(LANE))).unwrap();
    let mut lane = lane;
    lane.writer.heartbeat(1);
    assert_eq!(follower.look(99 + LOOK_INTERVAL_NS).unwrap(), None, "too early for a look at the file");
    let error = follower.look(100 + LOOK_INTERVAL_NS).unwrap_err();
    assert!(matches!(error, SegmentError::NotASegment { .. }), "{error}");
}

#[test]
fn silence_and_the_end_are_said_once() {
    let (mut lane, mut clock) = (Lane::start(), Clock(0));
    let mut follower = lane.follow(0);
    lane.writer.heartbeat(1);
    assert_eq!(follower.look(clock.tick()).unwrap(), Some(Notice::Silent));
    assert_eq!(follower.look(clock.tick()).unwrap(), None);
    lane.writer.heartbeat(monotonic_ns());
    assert_eq!(follower.look(clock.tick()).unwrap(), Some(Notice::Back));
    lane.publish(1);
    lane.writer.set_state(State::Closed);
    assert_eq!(follower.look(clock.tick()).unwrap(), None, "what is in the ring goes first");
    assert_eq!(drain(&mut follower), 1);
    assert_eq!(follower.look(clock.tick()).unwrap(), Some(Notice::Closed));
    assert_eq!(follower.look(clock.tick()).unwrap(), None);
}

#[test]
fn a_place_in_an_epoch_that_is_over_leads_into_the_present_one() {
    let (mut lane, mut clock) = (Lane::start(), Clock(0));
    lane.publish(6);
    let left = lane.replace();
    lane.say_restart(left);
    let mut follower = lane.follow(0);
    let text = format!("{LANE}.{:016x}.4", left.0);
    follower.park(text.parse::<Cursor>().unwrap());
    assert_eq!((follower.is_ready(), follower.lag(), follower.cursor().to_string()), (false, 0, text.clone()));
    let Some(Notice::Restarted(restarted)) = follower.look(clock.tick()).unwrap() else { panic!("no restart") };
    assert_eq!((restarted.old_epoch, restarted.lost()), (left.0, Some((4, 5))));
    assert_eq!(drain(&mut follower), 1);
    // Of an epoch that the writer does not go on from nobody knows where it ended.
    let mut stranger = lane.follow(0);
    stranger.park(Cursor { epoch: left.0 ^ 1, ..text.parse().unwrap() });
    let Some(Notice::Restarted(restarted)) = stranger.look(clock.tick()).unwrap() else { panic!("no restart") };
    assert_eq!((restarted.old_epoch, restarted.old_end), (left.0 ^ 1, None));
}
