//! A broadcast ring: one writer that never waits and never looks at a reader, any number of readers that never lie
//! about what they missed.
//!
//! The numbers `n` count slots and name an event for ever together with (lane, epoch, ring). A record of several slots
//! spans consecutive numbers; an event of several records becomes visible as a whole, because the writer stamps its
//! slots from the last to the first.
//!
//! Source: design.md 3; decisions.md 1 to 3, 10.

use crate::slot::{SLOT_WORDS, Slot, recheck_fence, stamp_whole};
use crate::sync::{AtomicU64, Ordering::Relaxed, Site, fence_acquire, store_release};

/// Most slots that one record may span.
pub const SPAN_MAX: usize = 64;
/// Most words of a record: the first slot's and, of each continuation, all but its first word.
pub const RECORD_WORDS_MAX: usize = SLOT_WORDS + (SPAN_MAX - 1) * (SLOT_WORDS - 1);
/// Most slots the writer publishes before it moves the head, also inside a burst.
pub const HEAD_LAG_MAX: u64 = 256;
/// How many slots ahead of the one being written the writer asks for memory: a ring is larger than any cache, so the next
/// lap finds its lines in memory. Far enough to cover a fetch from there, near enough not to be evicted again.
pub const WRITE_AHEAD: u64 = 8;
/// How far a batch reader stays behind a head that moves: beyond what processors fetch ahead of a sequential read, so
/// that the reader's fetches do not take lines from the writer that it is about to write.
pub const KEEP_CLEAR: u64 = 64;
/// Numbers stay below this, so that they fit a JSON number.
pub const SEQUENCE_LIMIT: u64 = 1 << 53;
/// Kind of a record that says "the next number is ..." where a writer would otherwise leave a hole.
pub const KIND_SKIP: u8 = b'K';
/// Word of a skip record that holds the next number: the first of its body.
pub const SKIP_WORD: usize = if cfg!(loom) { 1 } else { 4 };
/// Set in the span byte of a continuation slot; the lower bits are its index in the record.
pub const CONTINUATION: u8 = 0x80;

/// Word 0 of a slot, as bytes from the lowest: kind, flags, span, side or code, then the instrument id.
#[inline(always)]
pub const fn word0(kind: u8, flags: u8, span: u8, side_or_code: u8, instrument_id: u32) -> u64 {
    kind as u64 | (flags as u64) << 8 | (span as u64) << 16 | (side_or_code as u64) << 24 | (instrument_id as u64) << 32
}

#[inline(always)]
const fn span_byte(word0: u64) -> u8 {
    (word0 >> 16) as u8
}

/// Where a ring's slots and head live.
pub trait RingMemory {
    /// The slot of number `n`: `n` modulo the slot count.
    fn slot(&self, n: u64) -> &Slot;
    /// Slots in the ring, a power of two of at least 2.
    fn slot_count(&self) -> u64;
    /// The next number to be written, moved once per burst: for late joiners only.
    fn head(&self) -> &AtomicU64;
    /// The slot of number `n` will be written soon: memory that is far away may be asked for now.
    #[inline(always)]
    fn expect_write(&self, _n: u64) {}
}

/// The one writer of a ring.
#[derive(Debug)]
pub struct RingWriter<M> {
    memory: M,
    /// First number of the event that is being written.
    next: u64,
    /// Slots of that event so far; they stand in the ring with odd stamps.
    open: u64,
    /// Where the public head stands.
    head: u64,
    /// Slots after which `commit` moves the head by itself: at most [`HEAD_LAG_MAX`], and a quarter of a tiny ring.
    head_lag: u64,
}

impl<M: RingMemory> RingWriter<M> {
    /// A writer whose first record gets number `next`. The memory must be fresh, or `next` its head.
    pub fn new(memory: M, next: u64) -> Self {
        assert!(memory.slot_count().is_power_of_two(), "slot count {} is not a power of two", memory.slot_count());
        let head_lag = (memory.slot_count() / 4).clamp(1, HEAD_LAG_MAX);
        RingWriter { memory, next, open: 0, head: next, head_lag }
    }

    /// Number that the next record would get.
    #[inline(always)]
    pub fn next_number(&self) -> u64 {
        self.next + self.open
    }

    /// Slots of the ring: an event of more is refused.
    #[inline(always)]
    pub fn slots(&self) -> u64 {
        self.memory.slot_count()
    }

    /// Slots written for the open event.
    #[inline(always)]
    pub fn open_slots(&self) -> u64 {
        self.open
    }

    /// Adds a record of one slot to the open event and returns its number. Invisible until [`RingWriter::commit`].
    #[inline(always)]
    pub fn push(&mut self, words: &[u64; SLOT_WORDS]) -> u64 {
        let n = self.next + self.open;
        // An event may not lap itself: its first slots would be overwritten before they were ever stamped.
        assert!(self.open < self.memory.slot_count(), "an event of more slots than the ring has");
        self.memory.expect_write(n + WRITE_AHEAD);
        self.memory.slot(n).write(n, words);
        self.open += 1;
        n
    }

    /// Adds a record of several slots: `words` are the first slot's words and then what continues it, in groups of all
    /// but one word; the last group is padded with zeros. The span byte of `words[0]` is set here.
    ///
    /// # Panics
    /// When `words` is shorter than one slot or longer than [`RECORD_WORDS_MAX`]: the caller builds records, so either
    /// is a broken invariant of ours.
    pub fn push_span(&mut self, words: &[u64]) -> u64 {
        assert!((SLOT_WORDS..=RECORD_WORDS_MAX).contains(&words.len()), "record of {} words", words.len());
        let (first, rest) = words.split_at(SLOT_WORDS);
        let span = 1 + rest.len().div_ceil(SLOT_WORDS - 1);
        let mut slot: [u64; SLOT_WORDS] = first.try_into().expect("split_at gave SLOT_WORDS");
        let bare = slot[0] & !(0xff << 16);
        slot[0] = bare | (span as u64) << 16;
        let n = self.push(&slot);
        for (index, group) in rest.chunks(SLOT_WORDS - 1).enumerate() {
            slot = [0; SLOT_WORDS];
            slot[0] = bare | ((CONTINUATION | (index as u8 + 1)) as u64) << 16;
            slot[1..=group.len()].copy_from_slice(group);
            self.push(&slot);
        }
        n
    }

    /// Sets further bits of word 0 of the newest slot of the open event: what is known only once no record follows.
    ///
    /// # Panics
    /// When the open event has no slot.
    #[inline(always)]
    pub fn amend_newest(&mut self, bits: u64) {
        assert!(self.open > 0, "no record to amend");
        self.memory.slot(self.next + self.open - 1).amend(bits);
    }

    /// Makes the open event visible as a whole: its slots are stamped from the last to the first, so that a whole first
    /// slot implies a whole event, also for a reader that outlives a killed writer.
    #[inline(always)]
    pub fn commit(&mut self) {
        for n in (self.next..self.next + self.open).rev() {
            self.memory.slot(n).finish(n);
        }
        self.next += self.open;
        self.open = 0;
        if self.next - self.head >= self.head_lag {
            self.publish_head();
        }
    }

    /// Moves the public head to behind the last committed event. Called once per burst.
    #[inline(always)]
    pub fn publish_head(&mut self) {
        assert!(self.next < SEQUENCE_LIMIT, "the ring's numbers are used up");
        self.head = self.next;
        // Release store: whoever sees this head finds every slot below it whole. Partner: HeadLoad.
        store_release(self.memory.head(), self.next, Site::HeadStore);
    }
}

/// Why a reader did not get some numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LossReason {
    /// The writer overtook the reader.
    Lapped,
    /// The writer itself declared the numbers missing.
    Skipped,
    /// The slots held something that no writer of this layout writes.
    Malformed,
}

/// Numbers that a reader will never see, first and last inclusive. Exact in slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lost {
    /// First number lost.
    pub first: u64,
    /// Last number lost.
    pub last: u64,
    /// Why.
    pub reason: LossReason,
}

/// What one look at the ring gave.
#[derive(Debug, PartialEq, Eq)]
pub enum Polled<'r> {
    /// Nothing new yet.
    Empty,
    /// A whole record: the number of its first slot and its words (7, or 7 + 6 per further slot).
    Record {
        /// Number of the record's first slot.
        n: u64,
        /// The record's words; valid until the next call.
        words: &'r [u64],
    },
    /// A loss, declared before anything that follows it.
    Lost(Lost),
}

/// Where a reader that was lapped, or that joins, goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Rejoin {
    /// At the head: the freshest data and the largest loss.
    #[default]
    Latest,
    /// Three quarters of the ring behind the head: the smallest loss that is not lapped again at once.
    Oldest,
}

/// A private cursor over a ring. Any number of readers; none is known to the writer.
#[derive(Debug)]
pub struct RingReader<M> {
    memory: M,
    cursor: u64,
    /// How far [`RingReader::poll_batch`] may read before it looks at the head again.
    seen_head: u64,
    /// The head at its last look.
    last_head: u64,
    rejoin: Rejoin,
    /// The newest record of one slot: beside the cursor, so that reading it touches no other line.
    single: [u64; SLOT_WORDS],
    /// The newest record of several slots.
    words: Box<[u64; RECORD_WORDS_MAX]>,
}

impl<M: RingMemory> RingReader<M> {
    /// A reader that starts at number `cursor`, which must be the first slot of a record or not yet written.
    ///
    /// Cursors come from clients and from other processes: one beyond [`SEQUENCE_LIMIT`] is taken as that limit, which
    /// no writer reaches.
    pub fn new(memory: M, cursor: u64, rejoin: Rejoin) -> Self {
        RingReader {
            memory,
            cursor: cursor.min(SEQUENCE_LIMIT),
            seen_head: 0,
            last_head: 0,
            rejoin,
            single: [0; SLOT_WORDS],
            words: Box::new([0; RECORD_WORDS_MAX]),
        }
    }

    /// A reader that starts where `rejoin` says.
    pub fn join(memory: M, rejoin: Rejoin) -> Self {
        let mut reader = Self::new(memory, 0, rejoin);
        reader.cursor = reader.rejoin_at(0, 0);
        reader
    }

    /// Number of the next record this reader will look for.
    #[inline(always)]
    pub fn cursor(&self) -> u64 {
        self.cursor
    }

    /// The public head: how far the writer is, as of its last burst. Never above [`SEQUENCE_LIMIT`], whatever the
    /// memory holds, so that arithmetic on it cannot overflow.
    #[inline(always)]
    pub fn head(&self) -> u64 {
        let head = self.memory.head().load(Relaxed);
        // Acquire fence, partner of HeadStore.
        fence_acquire(Site::HeadLoad);
        head.min(SEQUENCE_LIMIT)
    }

    /// The memory this reader reads.
    pub fn memory(&self) -> &M {
        &self.memory
    }

    /// Looks once. Costs one cache line when a record is there and none that the writer has not touched when not.
    #[inline(always)]
    pub fn poll(&mut self) -> Polled<'_> {
        let whole = stamp_whole(self.cursor);
        let slot = self.memory.slot(self.cursor);
        let before = slot.peek();
        if before < whole {
            return Polled::Empty;
        }
        let first = slot.copy();
        if span_byte(first[0]) != 1 || first[0] as u8 == KIND_SKIP {
            return self.poll_rare(before, first);
        }
        recheck_fence();
        if slot.stamp_relaxed() != whole {
            return Polled::Lost(self.lapped(before));
        }
        let n = self.cursor;
        self.cursor += 1;
        self.single = first;
        Polled::Record { n, words: &self.single }
    }

    /// Takes up to `max` records and losses, but only what lies below the public head; returns how many. For readers that
    /// want throughput: a slot that is still being written is never looked at, so reader and writer do not pull its line
    /// back and forth. What the writer has not covered by its head yet (less than a burst) comes with the next call.
    #[inline]
    pub fn poll_batch(&mut self, max: usize, mut take: impl FnMut(Polled<'_>)) -> usize {
        if self.cursor >= self.seen_head {
            let head = self.head();
            // While the head moves, stay clear of it; once it stands still, take everything.
            let distance = if head == self.last_head { 0 } else { KEEP_CLEAR };
            self.last_head = head;
            self.seen_head = head.saturating_sub(distance);
        }
        let mut taken = 0;
        while taken < max && self.cursor < self.seen_head {
            match self.poll() {
                Polled::Empty => break,
                polled => take(polled),
            }
            taken += 1;
        }
        taken
    }

    /// Whether a record is there to be read, without reading it.
    #[inline(always)]
    pub fn is_ready(&self) -> bool {
        self.memory.slot(self.cursor).peek() >= stamp_whole(self.cursor)
    }

    /// Everything that is not an ordinary record of one slot.
    #[cold]
    fn poll_rare(&mut self, before: u64, first: [u64; SLOT_WORDS]) -> Polled<'_> {
        let n = self.cursor;
        let span = span_byte(first[0]) as usize;
        if (2..=SPAN_MAX).contains(&span) && span as u64 <= self.memory.slot_count() {
            return self.poll_span(before, first, span);
        }
        recheck_fence();
        if self.memory.slot(n).stamp_relaxed() != stamp_whole(n) {
            return Polled::Lost(self.lapped(before));
        }
        // The slot is whole and stable: what stands in it is what its writer meant.
        if first[0] as u8 == KIND_SKIP && span == 1 {
            return Polled::Lost(self.skip(n + 1, first[SKIP_WORD]));
        }
        self.cursor = n + 1;
        // A continuation under the cursor: this reader rejoined at a number that the writer had only begun, and that
        // turned out to be in the middle of a record. The loss belongs to the lap.
        let in_mid_record = span as u8 & CONTINUATION != 0;
        let reason = if in_mid_record { LossReason::Lapped } else { LossReason::Malformed };
        Polled::Lost(Lost { first: n, last: n, reason })
    }

    /// Moves the cursor to the number that a skip record ending before `end` names. A number that does not lie ahead
    /// is not believed.
    fn skip(&mut self, end: u64, next: u64) -> Lost {
        let first = self.cursor;
        let believed = (end..SEQUENCE_LIMIT).contains(&next);
        self.cursor = if believed { next } else { end };
        let reason = if believed { LossReason::Skipped } else { LossReason::Malformed };
        Lost { first, last: self.cursor - 1, reason }
    }

    fn poll_span(&mut self, before: u64, first: [u64; SLOT_WORDS], span: usize) -> Polled<'_> {
        let n = self.cursor;
        let end = n + span as u64;
        self.words[..SLOT_WORDS].copy_from_slice(&first);
        let mut continued = true;
        for index in 1..span {
            let words = self.memory.slot(n + index as u64).copy();
            continued &= span_byte(words[0]) == CONTINUATION | index as u8;
            let at = SLOT_WORDS + (index - 1) * (SLOT_WORDS - 1);
            self.words[at..at + SLOT_WORDS - 1].copy_from_slice(&words[1..]);
        }
        recheck_fence();
        // One changed stamp anywhere in the record discards all of it: decisions.md 3. The first slot is judged first,
        // because the span came from it; a writer that overwrites in order changes it first, too.
        if self.memory.slot(n).stamp_relaxed() != stamp_whole(n) {
            return Polled::Lost(self.lapped(before));
        }
        for m in n + 1..end {
            let stamp = self.memory.slot(m).stamp_relaxed();
            if stamp > stamp_whole(m) {
                return Polled::Lost(self.lapped(before));
            }
            if stamp < stamp_whole(m) {
                // A writer of this layout stamps continuations before the first slot: the span is not to be believed.
                self.cursor = n + 1;
                return Polled::Lost(Lost { first: n, last: n, reason: LossReason::Malformed });
            }
        }
        self.cursor = end;
        if !continued {
            return Polled::Lost(Lost { first: n, last: end - 1, reason: LossReason::Malformed });
        }
        if first[0] as u8 == KIND_SKIP {
            self.cursor = n;
            return Polled::Lost(self.skip(end, first[SKIP_WORD]));
        }
        Polled::Record { n, words: &self.words[..SLOT_WORDS + (span - 1) * (SLOT_WORDS - 1)] }
    }

    /// The writer has overtaken the cursor: moves it and says exactly which numbers are gone.
    #[cold]
    fn lapped(&mut self, seen: u64) -> Lost {
        let first = self.cursor;
        // `seen` is the stamp that gave the lap away, or the old one when the slot changed under the copy.
        let reached = seen.saturating_sub(1) / 2;
        self.cursor = self.rejoin_at(first + 1, reached);
        Lost { first, last: self.cursor - 1, reason: LossReason::Lapped }
    }

    /// Where a reader goes on that may not go back behind `lowest`, given that the writer has begun `reached`: the head
    /// or, for [`Rejoin::Oldest`] and for a head that lags behind `lowest`, the first record that begins within three
    /// quarters of the ring. Continuations are skipped, because a cursor should not stand in the middle of a record.
    ///
    /// Total on hostile memory: looks at no more slots than the ring has.
    fn rejoin_at(&self, lowest: u64, reached: u64) -> u64 {
        let head = self.head();
        if self.rejoin == Rejoin::Latest && head >= lowest {
            return head;
        }
        // The head may lag the stamps by a burst; a number that was begun is the better guess.
        let end = head.max(reached.min(SEQUENCE_LIMIT)).max(lowest);
        let start = end.saturating_sub(self.memory.slot_count() / 4 * 3).max(lowest);
        (start..end).find(|n| self.begins_record(*n)).unwrap_or(end)
    }

    /// Whether slot `n` is whole now and the first of its record.
    fn begins_record(&self, n: u64) -> bool {
        let slot = self.memory.slot(n);
        let stamp = slot.peek();
        let word0 = slot.copy()[0];
        recheck_fence();
        stamp == stamp_whole(n) && slot.stamp_relaxed() == stamp && span_byte(word0) & CONTINUATION == 0
    }
}
