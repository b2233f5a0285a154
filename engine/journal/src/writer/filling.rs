//! Blocks that are being filled with slots, one per ring, and the memory for them.

use shm_abi::ring::SEQUENCE_LIMIT;
use shm_abi::segment::RingName;
use shm_abi::slot::SLOT_WORDS;

use super::placing::Item;
use super::{Directory, Writer};
use crate::format::{
    BLOCK_HEADER_BYTES, BLOCK_HEADER_WORDS, BlockHeader, BlockKind, HoleReason, SLOT_BYTES, TimeSpan, block_bytes,
    published_ns, record_span, write_record,
};
use crate::pages::Pages;
use crate::{RINGS, ring_index};

/// Blocks of memory that are free. Filled ones come back when they were written.
#[derive(Debug)]
pub(super) struct Pool {
    free: Vec<Pages>,
    total: usize,
    /// It was used up, and not enough came back since: see [`Pool::take`].
    stalled: bool,
}

impl Pool {
    pub(super) fn new(total: usize, block_bytes: usize) -> Pool {
        Pool { free: (0..total).map(|_| Pages::new(block_bytes)).collect(), total, stalled: false }
    }

    pub(super) fn total(&self) -> usize {
        self.total
    }

    pub(super) fn is_stalled(&self) -> bool {
        self.stalled
    }

    pub(super) fn is_half_free(&self) -> bool {
        self.free.len() >= self.total / 2
    }

    pub(super) fn has_room(&self) -> bool {
        !self.stalled && self.free.len() >= 2
    }

    /// A free block. Once there was none, a quarter of all must be free before one is given again: so that a disk that
    /// just keeps up makes few long holes and not many short ones.
    fn take(&mut self) -> Option<Pages> {
        if self.stalled {
            return None;
        }
        let taken = self.free.pop();
        self.stalled = taken.is_none();
        taken
    }

    pub(super) fn give_back(&mut self, pages: Pages) {
        self.free.push(pages);
        if self.free.len() >= (self.total / 4).max(2) {
            self.stalled = false;
        }
    }
}

/// Slots of one ring on their way into a block.
#[derive(Debug)]
pub(super) struct Filling {
    /// The number that comes next.
    next: u64,
    /// The first number since the source changed.
    first: u64,
    block: Option<Pages>,
    /// Slots that a block of this size has room for.
    room: usize,
    slots: usize,
    records: u32,
    times: TimeSpan,
    /// Missing numbers that were not yet put in the queue, up to `next`.
    hole: Option<(u64, HoleReason)>,
}

impl Filling {
    pub(super) fn new(first: u64) -> Filling {
        let times = TimeSpan::EMPTY;
        Filling { next: first, first, block: None, room: 0, slots: 0, records: 0, times, hole: None }
    }

    pub(super) fn restart(&mut self, first: u64) {
        *self = Filling { block: self.block.take(), room: self.room, ..Filling::new(first) };
    }

    pub(super) fn next(&self) -> u64 {
        self.next
    }

    pub(super) fn first(&self) -> u64 {
        self.first
    }

    /// The way of nearly all records: one slot, the expected number, room in the block.
    #[inline(always)]
    pub(super) fn push_single(&mut self, n: u64, words: &[u64]) -> bool {
        let Ok(words) = <&[u64; SLOT_WORDS]>::try_from(words) else { return false };
        if n != self.next || self.slots >= self.room || (words[0] >> 16) as u8 != 1 || n >= SEQUENCE_LIMIT {
            return false;
        }
        let Some(block) = &mut self.block else { return false };
        let at = BLOCK_HEADER_WORDS + self.slots * SLOT_WORDS;
        let slot = &mut block.words_mut()[at..at + SLOT_WORDS];
        for (to, from) in slot.iter_mut().zip(words) {
            *to = from.to_le();
        }
        self.took(1, words);
        true
    }

    #[inline(always)]
    fn took(&mut self, span: usize, first: &[u64; SLOT_WORDS]) {
        self.slots += span;
        self.records += 1;
        self.next += span as u64;
        self.times.add(published_ns(first));
    }
}

impl<D: Directory> Writer<D> {
    /// Everything but the usual record.
    #[cold]
    pub(super) fn push_slow(&mut self, ring: RingName, n: u64, words: &[u64]) -> bool {
        let at = ring_index(ring);
        let next = self.filling[at].next;
        let span = record_span(words);
        let end = n.saturating_add(span.unwrap_or(1) as u64);
        if self.ending || end > SEQUENCE_LIMIT || n < next {
            self.counters.repeated += 1;
            return false;
        }
        if n > next {
            self.declare(ring, next, n, HoleReason::Undeclared);
        }
        let (Some(span), Some(first)) = (span, words.first_chunk()) else {
            self.counters.malformed += 1;
            self.declare(ring, n, end, HoleReason::Malformed);
            return false;
        };
        if self.filling[at].slots + span > self.filling[at].room {
            self.seal(ring);
        }
        if !self.open_block(ring) {
            let reason = self.disk_reason();
            self.declare(ring, n, end, reason);
            return false;
        }
        let filling = &mut self.filling[at];
        let block = filling.block.as_mut().expect("it was just opened");
        let at = BLOCK_HEADER_WORDS + filling.slots * SLOT_WORDS;
        write_record(words, &mut block.words_mut()[at..at + span * SLOT_WORDS]);
        filling.took(span, first);
        true
    }

    /// Sees to it that the ring has a block to fill, and that the hole before it is in the queue.
    fn open_block(&mut self, ring: RingName) -> bool {
        let filling = &mut self.filling[ring_index(ring)];
        if filling.block.is_none() {
            let Some(pages) = self.pool.take() else { return false };
            filling.block = Some(pages);
            filling.room = (self.config.block_bytes as usize - BLOCK_HEADER_BYTES) / SLOT_BYTES;
        } else if filling.hole.is_some() && self.pool.is_stalled() {
            return false;
        }
        self.queue_hole(ring);
        true
    }

    /// Numbers `first..end` will not come; what lies below the expected number is known already.
    pub(super) fn declare(&mut self, ring: RingName, first: u64, end: u64, reason: HoleReason) {
        let at = ring_index(ring);
        let first = first.max(self.filling[at].next);
        if first >= end || self.ending {
            return;
        }
        // What stands in the block comes before the hole.
        self.seal(ring);
        let filling = &mut self.filling[at];
        filling.next = end;
        // Losses in a row are one hole, with the reason of the first: so their number is bounded while nothing is written.
        filling.hole.get_or_insert((first, reason));
        self.counters.missing_slots[at] += end - first;
        if reason == HoleReason::Skipped {
            self.counters.skipped_slots += end - first;
        }
    }

    fn queue_hole(&mut self, ring: RingName) {
        let filling = &mut self.filling[ring_index(ring)];
        if let Some((first, reason)) = filling.hole.take() {
            self.queue.push_back(Item::Hole { ring, first, end: filling.next, reason });
        }
    }

    /// Puts the ring's block in the queue as far as it is filled.
    fn seal(&mut self, ring: RingName) {
        let at = ring_index(ring);
        let filling = &mut self.filling[at];
        if filling.slots == 0 {
            return;
        }
        let Some(mut pages) = filling.block.take() else { return };
        let payload = filling.slots * SLOT_BYTES;
        // The padding is part of the checksum, and this memory held another block before.
        pages.bytes_mut()[BLOCK_HEADER_BYTES + payload..block_bytes(payload)].fill(0);
        let header = BlockHeader {
            kind: BlockKind::Slots,
            ring: Some(ring),
            payload_bytes: payload as u32,
            count: filling.records,
            first: filling.next - filling.slots as u64,
            end: filling.next,
            earliest_ns: filling.times.earliest_ns,
            latest_ns: filling.times.latest_ns,
            detail: 0,
            payload_checksum: 0,
        };
        self.counters.records[at] += u64::from(filling.records);
        self.counters.slots[at] += filling.slots as u64;
        (filling.slots, filling.records, filling.times, filling.room) = (0, 0, TimeSpan::EMPTY, 0);
        self.queue.push_back(Item::Slots { header, pages });
    }

    /// Puts everything in the queue that was taken or declared.
    pub(super) fn seal_all(&mut self) {
        for ring in RINGS {
            self.seal(ring);
            self.queue_hole(ring);
        }
    }
}
