//! Following a ring from one writer to the next.
//!
//! A [`Follower`] reads one ring of a lane, and knows what to do when that ring stays empty: whether its writer is
//! silent, has ended, or was replaced by another, whose ring is then read from its number 0. It never waits and never
//! reads a clock of its own accord; its owner asks it to look, and says what time it is.
//!
//! Source: decisions.md 3 to 5, 13.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{Ordering, fence};

use crate::cursor::Cursor;
use crate::directory::Text;
use crate::layout::{HEARTBEAT_INTERVAL_NS, HEARTBEAT_LIMIT_NS, State};
use crate::record::{Body, Record, restart_reason};
use crate::ring::{Polled, Rejoin, RingReader, SEQUENCE_LIMIT};
use crate::segment::{MappedRing, RingName, Segment, SegmentError, segment_file};

/// Age of a heartbeat from which a follower looks whether the segment was replaced. While the old writer beats it holds
/// the lane's lock, so no other can have made a new one: two missed beats are the earliest useful moment.
const SUSPICION_NS: u64 = 2 * HEARTBEAT_INTERVAL_NS;
/// Least time between two looks at the writer's life and the file system, ns.
pub const LOOK_INTERVAL_NS: u64 = 4_000_000;

/// Why an epoch ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestartReason {
    /// The new writer found no usable predecessor, or does not say.
    Unknown,
    /// The engine was started anew and went on where its predecessor had ended.
    Engine,
    /// The venue changed its session.
    Session,
    /// Of a newer writer.
    Other(u64),
}

impl RestartReason {
    /// The reason whose code this is: see [`restart_reason`].
    pub const fn from_code(code: u64) -> RestartReason {
        match code {
            restart_reason::UNKNOWN => RestartReason::Unknown,
            restart_reason::ENGINE => RestartReason::Engine,
            restart_reason::SESSION => RestartReason::Session,
            other => RestartReason::Other(other),
        }
    }

    /// Lower-case name, as tools and JSON show it.
    pub const fn name(self) -> &'static str {
        match self {
            RestartReason::Unknown => "unknown",
            RestartReason::Engine => "engine",
            RestartReason::Session => "session",
            RestartReason::Other(_) => "other",
        }
    }
}

/// The step from one epoch to the next. What the new writer says about it is a record of the new ring and follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Restarted {
    /// Epoch that this reader was in.
    pub old_epoch: u64,
    /// Epoch that it is in now, at number 0.
    pub new_epoch: u64,
    /// Next number that the reader would have read in the old epoch.
    pub drained_to: u64,
    /// Where the old epoch ended, by the new writer's word: the number after its last whole event. `None` when the new
    /// writer does not know or goes on from another epoch than the reader's.
    pub old_end: Option<u64>,
    /// Why.
    pub reason: RestartReason,
}

impl Restarted {
    /// Numbers of the old epoch that this reader will never see, first and last, when that can be told and there are
    /// any.
    pub fn lost(&self) -> Option<(u64, u64)> {
        let end = self.old_end.filter(|end| *end > self.drained_to)?;
        Some((self.drained_to, end - 1))
    }

    /// Numbers that this reader was given although their event was never finished, first and last: the new writer
    /// publishes that event anew, so what they did must be undone.
    pub fn void(&self) -> Option<(u64, u64)> {
        let end = self.old_end.filter(|end| *end < self.drained_to)?;
        Some((end, self.drained_to - 1))
    }

    /// Whether the new epoch goes on exactly where this reader stood: nothing lost, nothing twice.
    pub fn is_seamless(&self) -> bool {
        self.old_end == Some(self.drained_to)
    }
}

/// What a follower reports besides records and losses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// The lane's writer began anew. The old sequence has been read to its end, and number 0 of the new one follows. Also
    /// ends a silence.
    Restarted(Restarted),
    /// The ring is empty and its writer has shown no life for 240 ms. Said once; what comes next is [`Notice::Back`],
    /// [`Notice::Restarted`], or records that were already in the ring.
    Silent,
    /// The writer shows life again.
    Back,
    /// The writer has ended in order, and the ring has been read to its end. Said once. A follower that goes on looking
    /// finds the successor.
    Closed,
}

/// The writer that comes after the one being drained.
#[derive(Debug)]
struct Successor {
    segment: Segment,
    /// At number 0.
    ring: RingReader<MappedRing>,
}

/// A private cursor over one ring of a lane, across restarts of its writer. Unknown to the writer, which it can neither
/// slow nor stop.
///
/// Records and losses come from [`Follower::ring_mut`] while [`Follower::is_ready`]; when it is not, whatever else there
/// is to say comes from [`Follower::look`].
#[derive(Debug)]
pub struct Follower {
    ring: RingReader<MappedRing>,
    segment: Segment,
    name: RingName,
    on_lap: Rejoin,
    runtime_dir: PathBuf,
    lane: String,
    next_look_ns: u64,
    /// Where the old epoch was left, while `ring` is not a place in it: a cursor of an epoch that is no longer mapped.
    parked: Option<Cursor>,
    successor: Option<Successor>,
    /// File (device, inode) known to be the newest mapping that we hold. Its inode cannot be reused while we hold it.
    known_file: Option<(u64, u64)>,
    silent: bool,
    closed: bool,
}

impl Follower {
    /// Follows ring `name` of `segment`, which was found as lane `lane` in `runtime_dir`, from number `n` on: the first
    /// slot of a record, or not yet written. When lapped it goes on where `on_lap` says.
    pub fn new(
        segment: &Segment,
        runtime_dir: PathBuf,
        lane: &str,
        name: RingName,
        n: u64,
        on_lap: Rejoin,
    ) -> Follower {
        Follower {
            ring: segment.read_from(name, n, on_lap),
            segment: segment.clone(),
            name,
            on_lap,
            runtime_dir,
            lane: lane.into(),
            next_look_ns: 0,
            parked: None,
            successor: None,
            known_file: None,
            silent: false,
            closed: false,
        }
    }

    /// Stands at a place of an epoch that is over and no longer mapped: the first notice will be the step from there to
    /// number 0 of the present one.
    pub fn park(&mut self, cursor: Cursor) {
        // No writer reaches this number, so the ring reads as drained.
        self.ring = self.segment.read_from(self.name, SEQUENCE_LIMIT, self.on_lap);
        self.parked = Some(cursor);
        self.successor = Some(self.succeed_by(self.segment.clone()));
    }

    fn succeed_by(&self, segment: Segment) -> Successor {
        let ring = segment.read_from(self.name, 0, self.on_lap);
        Successor { segment, ring }
    }

    /// Name of the next record.
    pub fn cursor(&self) -> Cursor {
        self.parked.unwrap_or_else(|| Cursor {
            lane: Text::new(self.lane.as_bytes()),
            epoch: self.segment.identity().epoch,
            seq: self.ring.cursor(),
        })
    }

    /// Slots between this follower and the writer, as of its last burst.
    pub fn lag(&self) -> u64 {
        if self.parked.is_some() { 0 } else { self.ring.head().saturating_sub(self.ring.cursor()) }
    }

    /// The segment that is being read.
    pub fn segment(&self) -> &Segment {
        &self.segment
    }

    /// The newest segment that was found: the one being read or, while that is drained, its successor. Whoever wants to
    /// be woken by the lane's writer sleeps on this one.
    pub fn newest(&self) -> &Segment {
        self.successor.as_ref().map_or(&self.segment, |successor| &successor.segment)
    }

    /// Where the lane's segments are found.
    pub fn runtime_dir(&self) -> &Path {
        &self.runtime_dir
    }

    /// Lane name.
    pub fn lane(&self) -> &str {
        &self.lane
    }

    /// Which ring this is.
    pub fn ring_name(&self) -> RingName {
        self.name
    }

    /// The ring that is being read.
    #[inline(always)]
    pub fn ring(&self) -> &RingReader<MappedRing> {
        &self.ring
    }

    /// The ring that is being read, to poll it.
    #[inline(always)]
    pub fn ring_mut(&mut self) -> &mut RingReader<MappedRing> {
        &mut self.ring
    }

    /// Whether a record, or a loss, is there to be read from the present ring. One load.
    #[inline(always)]
    pub fn is_ready(&self) -> bool {
        self.ring.is_ready()
    }

    /// Whether a successor was found and has begun to publish. Once the present ring is empty, [`Follower::look`] steps
    /// over to it.
    pub fn successor_ready(&self) -> bool {
        self.successor.as_ref().is_some_and(|successor| successor.ring.is_ready())
    }

    /// The ring is empty: is there anything else to say? To be called only then. Looks at the writer's life and, if that
    /// is in doubt, whether another writer has taken its place; at most once in [`LOOK_INTERVAL_NS`] by `now_ns`
    /// (CLOCK_MONOTONIC, as [`crate::sys::monotonic_ns`]), and in between it costs next to nothing. After
    /// [`Notice::Restarted`] the present ring is the successor's.
    ///
    /// # Errors
    /// Those of [`Segment::open`], for what now has the segment's name: a writer of another version, most likely. Once
    /// per look while it stays so; what is mapped remains readable.
    pub fn look(&mut self, now_ns: u64) -> Result<Option<Notice>, SegmentError> {
        if self.successor_ready() {
            return Ok(self.switch().map(Notice::Restarted));
        }
        if now_ns < self.next_look_ns {
            return Ok(None);
        }
        self.next_look_ns = now_ns + LOOK_INTERVAL_NS;
        let newest = self.newest();
        let closed = newest.state() == Some(State::Closed);
        let age_ns = newest.heartbeat_age_ns();
        if !closed && age_ns < SUSPICION_NS {
            return Ok(self.hear(false));
        }
        // Whatever was published before the state or the new file must be seen by the look at the ring below.
        let replaced = self.find_successor()?;
        fence(Ordering::Acquire);
        if replaced || self.ring.is_ready() || self.successor_ready() {
            return Ok(None);
        }
        if closed {
            return Ok((!std::mem::replace(&mut self.closed, true)).then_some(Notice::Closed));
        }
        Ok(self.hear(age_ns > HEARTBEAT_LIMIT_NS))
    }

    /// Takes note of the writer's silence; says so when it begins and when it ends.
    fn hear(&mut self, silent: bool) -> Option<Notice> {
        if silent == self.silent {
            return None;
        }
        self.silent = silent;
        Some(if silent { Notice::Silent } else { Notice::Back })
    }

    /// Opens what now has the segment's name, if it is not the newest mapping that we hold. Returns whether it did.
    fn find_successor(&mut self) -> Result<bool, SegmentError> {
        let path = self.runtime_dir.join(segment_file(&self.lane));
        let Ok(facts) = std::fs::metadata(&path) else { return Ok(false) };
        let file = Some((facts.dev(), facts.ino()));
        if file == self.known_file {
            return Ok(false);
        }
        let segment = match Segment::open(&self.runtime_dir, &self.lane) {
            Ok(segment) => segment,
            // Removed between the two calls.
            Err(SegmentError::Missing { .. }) => return Ok(false),
            Err(error) => return Err(error),
        };
        if segment.identity().incarnation == self.newest().identity().incarnation {
            self.known_file = file;
            return Ok(false);
        }
        self.successor = Some(self.succeed_by(segment));
        self.known_file = None;
        self.closed = false;
        Ok(true)
    }

    /// Leaves the old mapping, which is drained, for number 0 of the new one, which is there. `None` when the old ring
    /// has something after all: it goes first.
    fn switch(&mut self) -> Option<Restarted> {
        if self.ring.is_ready() {
            return None;
        }
        let left = self.cursor();
        let Successor { segment, ring } = self.successor.take()?;
        let identity = segment.identity();
        // A second reader looks at number 0, so that the record itself is still delivered in its place.
        let mut probe = segment.read_from(self.name, 0, self.on_lap);
        let said = match probe.poll() {
            Polled::Record { n: 0, words } => Record::new(0, words).and_then(|record| match record.body() {
                Body::Restart(restart) => Some(restart),
                _ => None,
            }),
            _ => None,
        };
        self.ring = ring;
        self.segment = segment;
        self.parked = None;
        self.silent = false;
        self.closed = false;
        Some(Restarted {
            old_epoch: left.epoch,
            new_epoch: identity.epoch,
            drained_to: left.seq,
            old_end: said.filter(|said| said.old_epoch == left.epoch).map(|said| said.old_end),
            reason: said.map_or(RestartReason::Unknown, |said| RestartReason::from_code(said.reason)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_restart_means() {
        let at = |drained_to, old_end| Restarted {
            old_epoch: 1,
            new_epoch: 2,
            drained_to,
            old_end,
            reason: RestartReason::Engine,
        };
        let table = [
            ("seamless", at(10, Some(10)), None, None, true),
            ("some lost", at(10, Some(13)), Some((10, 12)), None, false),
            ("a tail that is void", at(10, Some(7)), None, Some((7, 9)), false),
            ("nobody knows", at(10, None), None, None, false),
        ];
        for (name, restarted, lost, void, seamless) in table {
            assert_eq!((restarted.lost(), restarted.void(), restarted.is_seamless()), (lost, void, seamless), "{name}");
        }
    }
}
