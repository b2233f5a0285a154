//! Records in slots: how many slots a record has, how its words stand in them, and when it was published.

use shm_abi::record::{HEAD_WORDS, Head};
use shm_abi::ring::{CONTINUATION, RECORD_WORDS_MAX, SPAN_MAX};
use shm_abi::slot::SLOT_WORDS;

/// Bits of word 0 in which the span stands.
const SPAN_BITS: u64 = 0xff << 16;

/// Slots of a record with these words, as a ring reader gives them; `None` when no ring gives such words.
#[inline(always)]
pub fn record_span(words: &[u64]) -> Option<usize> {
    let said = (words.first()? >> 16) as u8 as usize;
    let fits = (1..=SPAN_MAX).contains(&said) && words.len() == SLOT_WORDS + (said - 1) * (SLOT_WORDS - 1);
    fits.then_some(said)
}

/// Publish time of a record, ns since the UNIX epoch, from its first slot.
#[inline(always)]
pub(crate) fn published_ns(slot: &[u64; SLOT_WORDS]) -> u64 {
    let head: &[u64; HEAD_WORDS] = slot.first_chunk().expect("a slot is longer than a head");
    Head::from_words(head).ts_publish()
}

/// Spreads a record over its slots: each continuation begins with the record's word 0 with its place instead of the span.
///
/// # Panics
/// When `slots` has not the words that the record's span needs.
pub(crate) fn write_record(words: &[u64], slots: &mut [u64]) {
    let (first, rest) = words.split_at(SLOT_WORDS);
    let (head, tail) = slots.split_at_mut(SLOT_WORDS);
    to_file(first, head);
    let bare = first[0] & !SPAN_BITS;
    for (index, (words, slot)) in rest.chunks(SLOT_WORDS - 1).zip(tail.chunks_exact_mut(SLOT_WORDS)).enumerate() {
        slot[0] = (bare | u64::from(CONTINUATION | (index as u8 + 1)) << 16).to_le();
        to_file(words, &mut slot[1..]);
    }
}

#[inline(always)]
fn to_file(words: &[u64], slot: &mut [u64]) {
    for (to, from) in slot.iter_mut().zip(words) {
        *to = from.to_le();
    }
}

/// Earliest and latest of some times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeSpan {
    /// Earliest, ns; `u64::MAX` when there was none.
    pub earliest_ns: u64,
    /// Latest, ns; 0 when there was none.
    pub latest_ns: u64,
}

impl TimeSpan {
    /// Of no times.
    pub const EMPTY: TimeSpan = TimeSpan { earliest_ns: u64::MAX, latest_ns: 0 };

    /// Takes one in.
    #[inline(always)]
    pub fn add(&mut self, ns: u64) {
        self.earliest_ns = self.earliest_ns.min(ns);
        self.latest_ns = self.latest_ns.max(ns);
    }
}

/// Walks over the records of a block's slots.
#[derive(Debug)]
pub struct SlotRecords {
    /// Slot at which the next record begins.
    at: usize,
    /// A record of several slots, put together.
    words: Box<[u64; RECORD_WORDS_MAX]>,
}

impl SlotRecords {
    /// At the first slot.
    pub fn new() -> SlotRecords {
        SlotRecords { at: 0, words: Box::new([0; RECORD_WORDS_MAX]) }
    }

    /// Slot at which the next record begins.
    #[inline(always)]
    pub fn at(&self) -> usize {
        self.at
    }

    /// Goes to a slot, which should be the first of a record.
    pub fn go_to(&mut self, slot: usize) {
        self.at = slot;
    }

    /// The next record of `slots` (seven words each, in the machine's byte order): the slot at which it begins, and its
    /// words as a ring reader gives them. `None` at the end.
    ///
    /// # Errors
    /// The slot at which no record begins.
    #[inline(always)]
    pub fn next<'s>(&'s mut self, slots: &'s [[u64; SLOT_WORDS]]) -> Option<Result<(usize, &'s [u64]), usize>> {
        let at = self.at;
        let slot = slots.get(at)?;
        if (slot[0] >> 16) as u8 == 1 {
            self.at += 1;
            return Some(Ok((at, slot)));
        }
        Some(self.several(slots))
    }

    /// Whether a whole record begins at slot `at`.
    pub fn fits(slots: &[[u64; SLOT_WORDS]], at: usize) -> bool {
        let Some(slot) = slots.get(at) else { return false };
        let span = (slot[0] >> 16) as u8 as usize;
        let Some(record) = slots.get(at..at + span) else { return false };
        let continues =
            |(index, slot): (usize, &[u64; SLOT_WORDS])| (slot[0] >> 16) as u8 == CONTINUATION | index as u8;
        (1..=SPAN_MAX).contains(&span) && record.iter().enumerate().skip(1).all(continues)
    }

    fn several<'s>(&'s mut self, slots: &'s [[u64; SLOT_WORDS]]) -> Result<(usize, &'s [u64]), usize> {
        let at = self.at;
        if !Self::fits(slots, at) {
            return Err(at);
        }
        let span = (slots[at][0] >> 16) as u8 as usize;
        self.words[..SLOT_WORDS].copy_from_slice(&slots[at]);
        for (index, slot) in slots[at + 1..at + span].iter().enumerate() {
            let to = SLOT_WORDS + index * (SLOT_WORDS - 1);
            self.words[to..to + SLOT_WORDS - 1].copy_from_slice(&slot[1..]);
        }
        self.at += span;
        Ok((at, &self.words[..SLOT_WORDS + (span - 1) * (SLOT_WORDS - 1)]))
    }
}

impl Default for SlotRecords {
    fn default() -> Self {
        Self::new()
    }
}
