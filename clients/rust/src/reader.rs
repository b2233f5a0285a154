//! Following a ring: across laps, silences, and restarts of its writer.
//!
//! The hot path is the ring's own poll. Everything else happens only while the ring is empty, and the looks at the clock
//! and at the file system among it are rationed.
//!
//! Source: decisions.md 3 to 5, 13.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::atomic::{Ordering, fence};
use std::time::{Duration, Instant};

use shm_abi::directory::Text;
use shm_abi::layout::{HEARTBEAT_INTERVAL_NS, HEARTBEAT_LIMIT_NS, State};
use shm_abi::record::{Body, Record};
use shm_abi::ring::{Polled, Rejoin, RingReader, SEQUENCE_LIMIT};
use shm_abi::segment::{MappedRing, RingName, Segment, SegmentError, segment_file};
use shm_abi::sys::monotonic_ns;

use crate::cursor::Cursor;
use crate::error::ClientError;
use crate::event::{Event, Notice, RestartReason, Restarted};
use crate::wait::{Lull, Waiter};

/// Where a reader begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Start {
    /// At the head: only what is published from now on.
    #[default]
    Latest,
    /// As far back as is safe: three quarters of the ring behind the head, or at number 0.
    Oldest,
    /// Where another reader stopped. A cursor of an earlier epoch gives [`Event::Restarted`] and then number 0 of the
    /// present one; what the ring no longer holds is declared as lost.
    At(Cursor),
}

/// How a reader waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// Never sleeps: for a core of its own.
    Spin,
    /// Spins for `spin_ns`, then sleeps until the writer's next burst, at most 1 ms at a time.
    Adaptive {
        /// How long to spin before the first sleep, ns.
        spin_ns: u64,
    },
}

/// Default of [`Wait::Adaptive`].
pub const SPIN_NS_DEFAULT: u64 = 50_000;

impl Default for Wait {
    fn default() -> Self {
        Wait::Adaptive { spin_ns: SPIN_NS_DEFAULT }
    }
}

/// How to read. The default begins at the head, rejoins there when lapped, and waits adaptively.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Options {
    /// Where to begin.
    pub start: Start,
    /// Where to go on after being lapped.
    pub on_lap: Rejoin,
    /// How to wait.
    pub wait: Wait,
}

/// Age of a heartbeat from which a reader looks whether the segment was replaced. While the old writer beats it holds
/// the lane's lock, so no other can have made a new one: two missed beats are the earliest useful moment.
const SUSPICION_NS: u64 = 2 * HEARTBEAT_INTERVAL_NS;
/// Least time between two looks at the writer's life and the file system, ns.
const LOOK_INTERVAL_NS: u64 = 4_000_000;
/// Empty polls of [`Reader::try_next`] for each look at the clock.
const POLLS_PER_CLOCK: u32 = 16;

/// The writer that comes after the one being drained.
#[derive(Debug)]
struct Successor {
    segment: Segment,
    /// At number 0.
    ring: RingReader<MappedRing>,
}

/// A private cursor over one ring of a lane. Unknown to the writer, which it can neither slow nor stop.
#[derive(Debug)]
pub struct Reader {
    ring: RingReader<MappedRing>,
    segment: Segment,
    name: RingName,
    on_lap: Rejoin,
    runtime_dir: PathBuf,
    lane: String,
    waiter: Waiter,
    empties: u32,
    next_look_ns: u64,
    /// Where the old epoch was left, while `ring` is not a place in it: a cursor of an epoch that is no longer mapped.
    parked: Option<Cursor>,
    successor: Option<Successor>,
    /// File (device, inode) known to be the newest mapping that we hold. Its inode cannot be reused while we hold it.
    known_file: Option<(u64, u64)>,
    silent: bool,
    closed: bool,
}

impl Reader {
    pub(crate) fn open(
        segment: &Segment,
        runtime_dir: PathBuf,
        lane: &str,
        name: RingName,
        options: Options,
    ) -> Result<Reader, ClientError> {
        let mut reader = Reader {
            ring: segment.join(name, Rejoin::Latest),
            segment: segment.clone(),
            name,
            on_lap: options.on_lap,
            runtime_dir,
            lane: lane.into(),
            waiter: Waiter::new(options.wait),
            empties: 0,
            next_look_ns: 0,
            parked: None,
            successor: None,
            known_file: None,
            silent: false,
            closed: false,
        };
        reader.go_to(options.start)?;
        Ok(reader)
    }

    fn go_to(&mut self, start: Start) -> Result<(), ClientError> {
        let n = match start {
            Start::Latest => self.segment.join(self.name, Rejoin::Latest).cursor(),
            Start::Oldest => self.segment.join(self.name, Rejoin::Oldest).cursor(),
            Start::At(cursor) if cursor.lane.as_str() != self.lane => {
                return Err(ClientError::OtherLane { cursor: cursor.lane.to_string(), lane: self.lane.clone() });
            }
            Start::At(cursor) if cursor.epoch == self.segment.identity().epoch => self.reached(cursor.seq)?,
            Start::At(cursor) => return self.park(cursor),
        };
        self.ring = self.segment.read_from(self.name, n, self.on_lap);
        Ok(())
    }

    /// Whether the ring has come as far as `seq`. A reader that began beyond would miss records without knowing.
    fn reached(&self, seq: u64) -> Result<u64, ClientError> {
        let head = self.ring.head();
        // The head moves once per burst; the slot before tells what was published since.
        let published = |seq: u64| self.segment.read_from(self.name, seq - 1, self.on_lap).is_ready();
        if seq > head && !published(seq) {
            return Err(ClientError::CursorAhead { seq, ring: self.name.name(), head });
        }
        Ok(seq)
    }

    /// Begins in an epoch that is over: the first event will be the step into the present one.
    fn park(&mut self, cursor: Cursor) -> Result<(), ClientError> {
        // No writer reaches this number, so the ring reads as drained.
        self.ring = self.segment.read_from(self.name, SEQUENCE_LIMIT, self.on_lap);
        self.parked = Some(cursor);
        self.successor = Some(self.succeed_by(self.segment.clone()));
        Ok(())
    }

    fn succeed_by(&self, segment: Segment) -> Successor {
        let ring = segment.read_from(self.name, 0, self.on_lap);
        Successor { segment, ring }
    }

    /// Name of the next record: hand it to [`Start::At`] to go on from here, also in another process.
    pub fn cursor(&self) -> Cursor {
        self.parked.unwrap_or_else(|| Cursor {
            lane: Text::new(self.lane.as_bytes()),
            epoch: self.segment.identity().epoch,
            seq: self.ring.cursor(),
        })
    }

    /// Which ring this is.
    pub fn ring_name(&self) -> RingName {
        self.name
    }

    /// The segment that is being read. Directory and board of the same engine as the records: see
    /// [`crate::Lane::follow`].
    pub fn segment(&self) -> &Segment {
        &self.segment
    }

    /// Slots between this reader and the writer, as of its last burst.
    pub fn lag(&self) -> u64 {
        if self.parked.is_some() { 0 } else { self.ring.head().saturating_sub(self.ring.cursor()) }
    }

    /// Whether a record, or a loss, is there to be read. One load.
    #[inline(always)]
    pub fn is_ready(&self) -> bool {
        self.ring.is_ready()
    }

    /// Whether the engine has handed out its sleeper flag: sleeps then end with the next burst, and otherwise by time.
    pub fn wakes_by_flag(&self) -> bool {
        self.waiter.has_flag()
    }

    /// The next event, if there is one now. When a record is there this costs the ring's poll and nothing else; when
    /// not, every 16th call looks at the clock. Never waits.
    ///
    /// # Errors
    /// [`ClientError::Successor`] when the engine was replaced by one of another version, once per look while it stays
    /// so; [`ClientError::Broken`].
    #[inline(always)]
    pub fn try_next(&mut self) -> Result<Option<Event<'_>>, ClientError> {
        if self.ring.is_ready() {
            return self.take().map(Some);
        }
        Ok(self.idle()?.map(Event::from))
    }

    /// The next event; waits for it without limit, as [`Options::wait`] says. After [`Event::Closed`] it waits for the
    /// next engine.
    ///
    /// # Errors
    /// As [`Reader::try_next`].
    #[inline(always)]
    #[allow(clippy::should_implement_trait, reason = "an iterator cannot lend its items from the reader")]
    pub fn next(&mut self) -> Result<Event<'_>, ClientError> {
        if !self.ring.is_ready() {
            match self.wait_ready(None)? {
                Waited::Notice(notice) => return Ok(notice.into()),
                Waited::Ready | Waited::TimedOut => {}
            }
        }
        self.take()
    }

    /// The next event, or `None` when there was none for `limit`.
    ///
    /// # Errors
    /// As [`Reader::try_next`].
    #[inline]
    pub fn next_within(&mut self, limit: Duration) -> Result<Option<Event<'_>>, ClientError> {
        if !self.ring.is_ready() {
            match self.wait_ready(Some(limit))? {
                Waited::Notice(notice) => return Ok(Some(notice.into())),
                Waited::TimedOut => return Ok(None),
                Waited::Ready => {}
            }
        }
        self.take().map(Some)
    }

    /// Gives at most `max` events to `handle` and returns how many. Never waits.
    ///
    /// # Errors
    /// As [`Reader::try_next`]; events already handled stay handled.
    #[inline]
    pub fn poll_batch(&mut self, max: usize, mut handle: impl FnMut(Event<'_>)) -> Result<usize, ClientError> {
        let mut count = 0;
        while count < max && self.ring.is_ready() {
            handle(self.take()?);
            count += 1;
        }
        if count == 0
            && max > 0
            && let Some(notice) = self.idle()?
        {
            handle(notice.into());
            count = 1;
        }
        Ok(count)
    }

    /// Waits for an event, then gives it and those behind it to `handle`, at most `max`. Returns how many: at least one,
    /// unless `max` is 0.
    ///
    /// # Errors
    /// As [`Reader::try_next`].
    #[inline]
    pub fn next_batch(&mut self, max: usize, mut handle: impl FnMut(Event<'_>)) -> Result<usize, ClientError> {
        if max == 0 {
            return Ok(0);
        }
        if !self.ring.is_ready()
            && let Waited::Notice(notice) = self.wait_ready(None)?
        {
            handle(notice.into());
            return Ok(1);
        }
        self.poll_batch(max, handle)
    }

    /// What stands at the cursor, which is known to be whole.
    #[inline(always)]
    fn take(&mut self) -> Result<Event<'_>, ClientError> {
        let at = self.ring.cursor();
        match self.ring.poll() {
            Polled::Record { n, words } => Record::new(n, words).map(Event::Record).ok_or(ClientError::Broken { n }),
            Polled::Lost(lost) => Ok(Event::Lost(lost)),
            // It was whole a moment ago, and stamps only rise.
            Polled::Empty => Err(ClientError::Broken { n: at }),
        }
    }

    #[cold]
    fn wait_ready(&mut self, limit: Option<Duration>) -> Result<Waited, ClientError> {
        let deadline = limit.and_then(|limit| Instant::now().checked_add(limit));
        let mut lull = Lull::default();
        let mut slept = false;
        loop {
            // A sleep is long enough for a look; spinning goes by the ration.
            let notice = if slept { self.look()? } else { self.idle()? };
            if let Some(notice) = notice {
                return Ok(Waited::Notice(notice));
            }
            if self.ring.is_ready() {
                return Ok(Waited::Ready);
            }
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return Ok(Waited::TimedOut);
            }
            slept = self.pause(&mut lull);
        }
    }

    fn pause(&mut self, lull: &mut Lull) -> bool {
        let (ring, segment) = match &self.successor {
            Some(successor) => (&successor.ring, &successor.segment),
            None => (&self.ring, &self.segment),
        };
        self.waiter.pause(lull, segment, (&self.runtime_dir, &self.lane), || ring.is_ready())
    }

    /// The ring is empty: is there anything else to say?
    #[cold]
    fn idle(&mut self) -> Result<Option<Notice>, ClientError> {
        if self.successor.as_ref().is_some_and(|successor| successor.ring.is_ready()) {
            return Ok(self.switch().map(Notice::Restarted));
        }
        self.empties = self.empties.wrapping_add(1);
        if self.empties % POLLS_PER_CLOCK != 1 {
            return Ok(None);
        }
        self.look()
    }

    /// Looks at the writer's life and, if that is in doubt, whether another writer has taken its place.
    fn look(&mut self) -> Result<Option<Notice>, ClientError> {
        if self.successor.as_ref().is_some_and(|successor| successor.ring.is_ready()) {
            return Ok(self.switch().map(Notice::Restarted));
        }
        let now_ns = monotonic_ns();
        if now_ns < self.next_look_ns {
            return Ok(None);
        }
        self.next_look_ns = now_ns + LOOK_INTERVAL_NS;
        let newest = self.successor.as_ref().map_or(&self.segment, |successor| &successor.segment);
        let closed = newest.state() == Some(State::Closed);
        let age_ns = newest.heartbeat_age_ns();
        if !closed && age_ns < SUSPICION_NS {
            return Ok(self.hear(false));
        }
        // Whatever was published before the state or the new file must be seen by the look at the ring below.
        let replaced = self.find_successor()?;
        fence(Ordering::Acquire);
        if replaced || self.ring.is_ready() || self.successor.as_ref().is_some_and(|next| next.ring.is_ready()) {
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
    fn find_successor(&mut self) -> Result<bool, ClientError> {
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
            Err(error) => return Err(ClientError::Successor(error)),
        };
        let newest = self.successor.as_ref().map_or(&self.segment, |successor| &successor.segment);
        if segment.identity().incarnation == newest.identity().incarnation {
            self.known_file = file;
            return Ok(false);
        }
        self.successor = Some(self.succeed_by(segment));
        self.known_file = None;
        self.closed = false;
        self.waiter.forget_flag();
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

    /// How this reader waits.
    pub fn wait(&self) -> Wait {
        self.waiter.wait()
    }
}

/// How a wait ended.
enum Waited {
    Ready,
    Notice(Notice),
    TimedOut,
}
