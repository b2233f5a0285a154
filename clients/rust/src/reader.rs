//! Following a ring: across laps, silences, and restarts of its writer.
//!
//! The hot path is the ring's own poll. Everything else happens only while the ring is empty, and the looks at the clock
//! and at the file system among it are rationed. What happens from one writer to the next is the [`Follower`]'s; here it
//! gets a place to start, a way to wait, and one stream of events.
//!
//! Source: decisions.md 3 to 5, 13.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use shm_abi::cursor::Cursor;
use shm_abi::follow::{Follower, Notice};
use shm_abi::record::Record;
use shm_abi::ring::{Polled, Rejoin};
use shm_abi::segment::{RingName, Segment};
use shm_abi::sys::monotonic_ns;

use crate::error::ClientError;
use crate::event::Event;
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

/// Empty polls of [`Reader::try_next`] for each look at the clock.
const POLLS_PER_CLOCK: u32 = 16;

/// A private cursor over one ring of a lane. Unknown to the writer, which it can neither slow nor stop.
#[derive(Debug)]
pub struct Reader {
    follower: Follower,
    waiter: Waiter,
    empties: u32,
}

impl Reader {
    pub(crate) fn open(
        segment: &Segment,
        runtime_dir: PathBuf,
        lane: &str,
        name: RingName,
        options: Options,
    ) -> Result<Reader, ClientError> {
        let follow = |n| Follower::new(segment, runtime_dir, lane, name, n, options.on_lap);
        let follower = match options.start {
            Start::Latest => follow(segment.join(name, Rejoin::Latest).cursor()),
            Start::Oldest => follow(segment.join(name, Rejoin::Oldest).cursor()),
            Start::At(cursor) if cursor.lane.as_str() != lane => {
                return Err(ClientError::OtherLane { cursor: cursor.lane.to_string(), lane: lane.into() });
            }
            Start::At(cursor) if cursor.epoch == segment.identity().epoch => {
                follow(reached(segment, name, cursor.seq)?)
            }
            // It begins in an epoch that is over: the first event will be the step into the present one.
            Start::At(cursor) => {
                let mut follower = follow(0);
                follower.park(cursor);
                follower
            }
        };
        Ok(Reader { follower, waiter: Waiter::new(options.wait), empties: 0 })
    }

    /// Name of the next record: hand it to [`Start::At`] to go on from here, also in another process.
    pub fn cursor(&self) -> Cursor {
        self.follower.cursor()
    }

    /// Which ring this is.
    pub fn ring_name(&self) -> RingName {
        self.follower.ring_name()
    }

    /// The segment that is being read. Directory and board of the same engine as the records: see
    /// [`crate::Lane::follow`].
    pub fn segment(&self) -> &Segment {
        self.follower.segment()
    }

    /// Slots between this reader and the writer, as of its last burst.
    pub fn lag(&self) -> u64 {
        self.follower.lag()
    }

    /// Whether a record, or a loss, is there to be read. One load.
    #[inline(always)]
    pub fn is_ready(&self) -> bool {
        self.follower.is_ready()
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
        if self.follower.is_ready() {
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
        if !self.follower.is_ready() {
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
        if !self.follower.is_ready() {
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
        while count < max && self.follower.is_ready() {
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
        if !self.follower.is_ready()
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
        let at = self.follower.ring().cursor();
        match self.follower.ring_mut().poll() {
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
            if self.follower.is_ready() {
                return Ok(Waited::Ready);
            }
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return Ok(Waited::TimedOut);
            }
            slept = self.pause(&mut lull);
        }
    }

    fn pause(&mut self, lull: &mut Lull) -> bool {
        let follower = &self.follower;
        let place = (follower.runtime_dir(), follower.lane());
        // A ring that is waited for is empty and, once there is a successor, stays so: only the successor's can fill.
        self.waiter.pause(lull, follower.newest(), place, || follower.is_ready() || follower.successor_ready())
    }

    /// The ring is empty: is there anything else to say?
    #[cold]
    fn idle(&mut self) -> Result<Option<Notice>, ClientError> {
        self.empties = self.empties.wrapping_add(1);
        if !self.follower.successor_ready() && self.empties % POLLS_PER_CLOCK != 1 {
            return Ok(None);
        }
        self.look()
    }

    fn look(&mut self) -> Result<Option<Notice>, ClientError> {
        let newest = self.follower.newest().identity().incarnation;
        let notice = self.follower.look(monotonic_ns()).map_err(ClientError::Successor)?;
        if self.follower.newest().identity().incarnation != newest {
            self.waiter.forget_flag();
        }
        Ok(notice)
    }

    /// How this reader waits.
    pub fn wait(&self) -> Wait {
        self.waiter.wait()
    }
}

/// `seq`, if the ring has come as far. A reader that began beyond would miss records without knowing.
fn reached(segment: &Segment, name: RingName, seq: u64) -> Result<u64, ClientError> {
    let head = segment.read_from(name, seq, Rejoin::Latest).head();
    // The head moves once per burst; the slot before tells what was published since.
    let published = |seq: u64| segment.read_from(name, seq - 1, Rejoin::Latest).is_ready();
    if seq > head && !published(seq) {
        return Err(ClientError::CursorAhead { seq, ring: name.name(), head });
    }
    Ok(seq)
}

/// How a wait ended.
enum Waited {
    Ready,
    Notice(Notice),
    TimedOut,
}
