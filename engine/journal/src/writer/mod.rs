//! The writer of a lane's journal: records go in, aligned blocks with their place come out. No file, no clock, no thread.
//!
//! Who drives it gives records and losses as a ring reader reports them ([`Writer::push`], [`Writer::lost`]), the time
//! ([`Writer::handle_time`]), does what [`Writer::poll_action`] says, in that order or several at a time, and reports how
//! each went (`handle_*`). Nothing it does can hold up the one who feeds it: when the disk is full, slow or failing,
//! blocks wait in a buffer of fixed size; when that is used up, what comes is declared as a hole, and the recording goes on
//! by itself when there is room again.
//!
//! Inside, records fill one block per ring (`filling`); full ones wait in a queue; from there `placing` gives them a file
//! and an offset, behind the directory rows that they may name, and turns files over.
//!
//! Source: decisions.md 22; reliability.md rows 47 to 49.

mod action;
mod counters;
mod filling;
mod placing;
mod retention;

use std::collections::VecDeque;

use shm_abi::directory::{DirectoryReader, Instrument, Text};
use shm_abi::segment::{Identity, RingName};

use crate::config::{ConfigError, JournalConfig};
use crate::format::HoleReason;
use crate::pages::Pages;
use crate::recover::{Kept, Recovered};
use crate::ring_index;

pub use action::{Action, Block, Fault, FaultKind, Now};
pub use counters::Counters;

use filling::{Filling, Pool};
use placing::{Item, Placing};
use retention::Retention;

/// Where the writer finds the instruments that records name.
pub trait Directory {
    /// Rows there are now. Grows only; a row is there before any record names its instrument.
    fn count(&self) -> usize;
    /// The instrument of a row; `None` beyond the count.
    fn get(&self, row: usize) -> Option<Instrument>;
}

impl Directory for DirectoryReader {
    fn count(&self) -> usize {
        DirectoryReader::count(self)
    }
    fn get(&self, row: usize) -> Option<Instrument> {
        DirectoryReader::get(self, row)
    }
}

impl Directory for Vec<Instrument> {
    fn count(&self) -> usize {
        self.len()
    }
    fn get(&self, row: usize) -> Option<Instrument> {
        <[Instrument]>::get(self, row).copied()
    }
}

/// The sequence that is recorded.
#[derive(Debug, Clone)]
pub struct Source<D> {
    /// Epoch, incarnation and flags of the segment.
    pub identity: Identity,
    /// Its instruments.
    pub directory: D,
    /// By ring: the first number that will be pushed or declared lost. After a restart of the recording of one epoch, what
    /// [`crate::recover::Stopped::next`] says.
    pub first: [u64; 2],
}

/// How the disk does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskState {
    /// As it should.
    Good,
    /// Something it was asked to do is under way for longer than `slow_after_ms`.
    Slow,
    /// It has no room. Tried again every `retry_interval_ms`.
    Full,
    /// It refuses to write, for another reason. Tried again every `retry_interval_ms`.
    Failing,
}

/// Up to where a ring is on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Durable {
    /// Epoch that is being written.
    pub epoch: u64,
    /// Every number of that epoch below this one that the journal took or declared is on disk and synced.
    pub until: u64,
}

/// The writer of one lane's journal.
#[derive(Debug)]
pub struct Writer<D> {
    config: JournalConfig,
    filling: [Filling; 2],
    pool: Pool,
    /// An image block that is free, waits, or is under way.
    image: Option<Pages>,
    /// Epoch of what is pushed now; the one being placed may still be an older.
    epoch: u64,
    queue: VecDeque<Item<D>>,
    placing: Placing<D>,
    retention: Retention,
    counters: Counters,
    next_flush_ns: u64,
    ending: bool,
}

impl<D: Directory> Writer<D> {
    /// A writer that goes on behind what recovery found. Takes all the memory that it will ever use.
    ///
    /// # Errors
    /// The first limit that is out of range.
    pub fn new(
        config: JournalConfig,
        lane: &str,
        recovered: &Recovered,
        source: Source<D>,
        now: Now,
    ) -> Result<Writer<D>, ConfigError> {
        config.validate()?;
        let pool = Pool::new(config.buffers(), config.block_bytes as usize);
        Ok(Writer {
            filling: source.first.map(Filling::new),
            image: Some(Pages::new(config.block_bytes as usize)),
            epoch: source.identity.epoch,
            queue: VecDeque::with_capacity(4 * pool.total()),
            placing: Placing::new(&config, Text::new(lane.as_bytes()), recovered, source),
            retention: Retention::new(recovered.kept.clone()),
            counters: Counters::default(),
            next_flush_ns: now.monotonic_ns,
            ending: false,
            pool,
            config,
        })
    }

    /// Takes a record: the number of its first slot and its words, as a ring reader gives them. Returns whether it was
    /// kept; if not, a hole says so. A record that was there before (a lower number than expected) is passed over and
    /// counted.
    #[inline]
    pub fn push(&mut self, ring: RingName, n: u64, words: &[u64]) -> bool {
        if self.filling[ring_index(ring)].push_single(n, words) {
            return true;
        }
        self.push_slow(ring, n, words)
    }

    /// Takes a loss that the ring reader reported: numbers `first..=last` will not come.
    pub fn lost(&mut self, ring: RingName, first: u64, last: u64, reason: HoleReason) {
        let filling = &self.filling[ring_index(ring)];
        let Some(end) = last.checked_add(1).filter(|end| *end <= shm_abi::ring::SEQUENCE_LIMIT) else { return };
        if first > filling.next() {
            let missing = filling.next();
            self.declare(ring, missing, first, HoleReason::Undeclared);
        }
        // The ring's writer overtook the journal because the disk did not keep up: say that.
        let reason = match (reason, self.disk_state()) {
            (HoleReason::Lapped, DiskState::Full | DiskState::Slow | DiskState::Failing) => self.disk_reason(),
            _ => reason,
        };
        self.declare(ring, first, end, reason);
    }

    /// Whether a burst can be taken without loss now. Who reads from a ring with room may wait until it is so: the ring
    /// then is a further buffer.
    pub fn has_room(&self) -> bool {
        self.pool.has_room()
    }

    /// The sequence changes: what is pushed from now on is of another epoch or incarnation.
    pub fn change_source(&mut self, source: Source<D>) {
        self.seal_all();
        self.epoch = source.identity.epoch;
        self.filling.iter_mut().zip(source.first).for_each(|(filling, first)| filling.restart(first));
        self.queue.push_back(Item::Source(source));
    }

    /// Nothing more will come: everything is written, marked and closed.
    pub fn finish(&mut self) {
        if !self.ending {
            self.seal_all();
            self.queue.push_back(Item::End);
            self.ending = true;
        }
    }

    /// Whether everything was written and closed after [`Writer::finish`].
    pub fn is_finished(&self) -> bool {
        self.ending && self.queue.is_empty() && self.placing.is_idle()
    }

    /// Takes a part of an image of the order books: the words of its payload and how many orders they hold. It reflects
    /// the orders ring of `epoch` up to number `n`. `false` when the part before is still waiting: try again later.
    /// An image of an epoch that is over is taken and left out.
    ///
    /// # Panics
    /// When there are more words than [`Writer::image_words`].
    pub fn push_image(&mut self, part: &crate::image::Part, words: &[u64]) -> bool {
        assert!(words.len() <= self.image_words(), "an image part of {} words", words.len());
        if self.pool.is_stalled() {
            return false;
        }
        let Some(mut pages) = self.image.take() else { return false };
        let payload = &mut pages.words_mut()[crate::format::BLOCK_HEADER_WORDS..];
        payload.fill(0);
        for (to, from) in payload.iter_mut().zip(words) {
            *to = from.to_le();
        }
        self.queue.push_back(Item::Image { part: *part, words: words.len(), pages });
        true
    }

    /// Most words of an image part.
    pub fn image_words(&self) -> usize {
        self.config.block_bytes as usize / 8 - crate::format::BLOCK_HEADER_WORDS
    }

    /// Time has passed. Call at the latest at [`Writer::poll_timeout`].
    pub fn handle_time(&mut self, now: Now) {
        if now.monotonic_ns >= self.next_flush_ns {
            self.next_flush_ns = now.monotonic_ns + u64::from(self.config.sync_interval_ms) * 1_000_000;
            // A disk that is behind gets full blocks only: half the buffer must not go to the padding of small ones.
            if self.pool.is_half_free() {
                self.seal_all();
            }
            self.placing.want_sync();
        }
        self.placing.notice_slow(now, &self.config, &mut self.counters);
        self.retention.look(now, &self.config, self.placing.file_bytes());
    }

    /// When [`Writer::handle_time`] has something to do next: monotonic time, ns.
    pub fn poll_timeout(&self) -> u64 {
        self.placing.retry_at().map_or(self.next_flush_ns, |retry| retry.min(self.next_flush_ns))
    }

    /// The next thing to do, if there is one now. Actions may be carried out at the same time; each must be reported.
    pub fn poll_action(&mut self, now: Now) -> Option<Action> {
        if let Some(file) = self.retention.poll() {
            return Some(Action::Delete { file });
        }
        self.place(now)
    }

    /// How the disk does.
    pub fn disk_state(&self) -> DiskState {
        self.placing.disk_state()
    }

    /// What has been counted since the writer was made.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Up to where a ring is safe on disk.
    pub fn durable(&self, ring: RingName) -> Durable {
        Durable { epoch: self.placing.epoch(), until: self.placing.durable(ring) }
    }

    /// Epoch and next number of a ring that the writer expects.
    pub fn expected(&self, ring: RingName) -> (u64, u64) {
        (self.epoch, self.filling[ring_index(ring)].next())
    }

    /// Slots of a ring that were taken and are not yet safe on disk. While an older epoch is still being written, all
    /// that was taken of the new one.
    pub fn lag(&self, ring: RingName) -> u64 {
        let filling = &self.filling[ring_index(ring)];
        let durable = self.durable(ring);
        let base = if durable.epoch == self.epoch { durable.until } else { filling.first() };
        filling.next().saturating_sub(base)
    }

    /// Files there are, oldest first; the one being written is not among them.
    pub fn kept(&self) -> impl Iterator<Item = &Kept> {
        self.retention.kept()
    }

    /// Number of the file that is being written or will be written next.
    pub fn current_file(&self) -> u64 {
        self.placing.file_number()
    }

    fn disk_reason(&self) -> HoleReason {
        match self.placing.disk_state() {
            DiskState::Full => HoleReason::DiskFull,
            DiskState::Failing => HoleReason::DiskError,
            DiskState::Good | DiskState::Slow => HoleReason::DiskSlow,
        }
    }
}
