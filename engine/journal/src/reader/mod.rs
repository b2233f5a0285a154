//! Reading a ring from the journal: in the order of numbers, across blocks, files and epochs, to the growing end.
//!
//! A reader yields every number of its ring once, as part of a record or of a hole. Records are lent from the block that
//! was read last; nothing is allocated per record.

mod blocks;
mod entry;
mod seek;

use shm_abi::directory::Instrument;
use shm_abi::segment::RingName;
use shm_abi::slot::SLOT_WORDS;

use crate::damage::Damage;
use crate::disk::ReadAt;
use crate::format::{ALIGN, BLOCK_HEADER_WORDS, FileHeader, HoleReason, SlotRecords, published_ns};
use crate::index::FileIndex;
use crate::journal::{Journal, ReadError};
use crate::pages::Pages;

pub use entry::{Entry, EpochStep, Hole, SeekError};

struct OpenFile {
    file: Box<dyn ReadAt>,
    index: FileIndex,
    /// Place in the index of the next block to look at.
    place: usize,
}

/// What a reader would yield next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ready {
    Nothing,
    /// A record, published at this time.
    Record(u64),
    Hole,
    Epoch,
}

/// Reads one ring.
pub struct Reader {
    journal: Journal,
    ring: RingName,
    /// Files up to this number are done or open.
    file: Option<u64>,
    open: Option<OpenFile>,
    epoch: Option<u64>,
    /// The number behind everything that was yielded or stands in `block` or `hole`.
    next: u64,
    /// Numbers before this are passed over.
    from: u64,
    /// The last file that was left had been closed in order.
    left_in_order: bool,
    step: Option<EpochStep>,
    hole: Option<Hole>,
    /// Slots that stand in `block`, and the number of the first.
    slots: usize,
    base: u64,
    block: Pages,
    records: SlotRecords,
    scratch: Pages,
    until: Option<(u64, u64)>,
    instruments: Vec<Instrument>,
}

impl Reader {
    /// At the beginning of the file at this place of the journal's list.
    pub(crate) fn at_file(journal: Journal, ring: RingName, place: usize) -> Reader {
        let file = place.checked_sub(1).and_then(|before| journal.files().get(before)).map(|file| file.number);
        Reader {
            journal,
            ring,
            file,
            open: None,
            epoch: None,
            next: 0,
            from: 0,
            left_in_order: true,
            step: None,
            hole: None,
            slots: 0,
            base: 0,
            block: Pages::new(ALIGN),
            records: SlotRecords::new(),
            scratch: Pages::new(ALIGN),
            until: None,
            instruments: Vec::new(),
        }
    }

    /// Yields nothing of `epoch` from number `n` on: what is on disk but not yet known to stay there. Epochs before it
    /// are not touched.
    pub fn set_until(&mut self, epoch: u64, n: u64) {
        self.until = Some((epoch, n));
    }

    /// Which ring this is.
    pub fn ring(&self) -> RingName {
        self.ring
    }

    /// Epoch of what was yielded last or comes next; `None` before the first file.
    pub fn epoch(&self) -> Option<u64> {
        self.epoch
    }

    /// Number that comes next, in a record or in a hole.
    pub fn next_number(&self) -> u64 {
        match (&self.hole, self.slots - self.records.at().min(self.slots)) {
            (Some(hole), _) => hole.first,
            (None, 0) => self.next,
            (None, left) => self.next - left as u64,
        }
    }

    /// Header of the file that is being read.
    pub fn file(&self) -> Option<&FileHeader> {
        self.open.as_ref().map(|open| open.index.header())
    }

    /// The instruments that the epoch's files have named so far, by row of the directory: all that records up to here
    /// speak of.
    pub fn instruments(&self) -> &[Instrument] {
        &self.instruments
    }

    /// The next thing, or `None` at the end as it is now: a later call may give more when somebody still writes.
    ///
    /// # Errors
    /// [`ReadError::Io`]. The reader stays where it is, and may be asked again.
    #[inline]
    #[allow(clippy::should_implement_trait, reason = "an iterator cannot lend its items from the reader")]
    pub fn next(&mut self) -> Result<Option<Entry<'_>>, ReadError> {
        loop {
            match self.ready()? {
                Ready::Nothing => return Ok(None),
                Ready::Hole => return Ok(self.hole.take().map(Entry::Hole)),
                Ready::Epoch => return Ok(self.step.take().map(Entry::Epoch)),
                Ready::Record(_) if self.settle() => break,
                Ready::Record(_) => {}
            }
        }
        let n = self.base + self.records.at() as u64;
        Ok(Some(Entry::Record { n, words: self.take() }))
    }

    /// Whether what [`Reader::ready`] has just called a record is whole. If not, the rest of its block is a hole that comes
    /// next.
    #[inline(always)]
    pub(crate) fn settle(&mut self) -> bool {
        let fits = self.record_fits();
        if !fits {
            self.give_up_block();
        }
        fits
    }

    /// Takes the record that [`Reader::settle`] has just found whole: its words.
    #[inline(always)]
    pub(crate) fn take(&mut self) -> &[u64] {
        let slots = self.block.words()[BLOCK_HEADER_WORDS..].as_chunks::<SLOT_WORDS>().0;
        match self.records.next(&slots[..self.slots]) {
            Some(Ok((_, words))) => words,
            _ => unreachable!("the record was just seen to fit"),
        }
    }

    /// Whether a whole record begins where the next one is looked for.
    #[inline(always)]
    fn record_fits(&self) -> bool {
        let at = self.records.at();
        let slots = self.loaded();
        (slots[at][0] >> 16) as u8 == 1 || SlotRecords::fits(slots, at)
    }

    /// The block's checksum holds but what it says is nonsense: the rest of it is a hole.
    #[cold]
    fn give_up_block(&mut self) {
        let at = self.records.at();
        let first = self.base + at as u64;
        let seen = self.loaded()[at][0] >> 16 & 0xff;
        let offset = self.open.as_ref().map_or(0, |open| open.index.blocks()[open.place - 1].offset);
        let damage = Damage::rule(offset, "span", seen, "1 to 64 slots of the block, continued in order");
        let last = self.base + self.slots as u64 - 1;
        self.hole = Some(Hole { first, last, reason: HoleReason::Damaged, damage: Some(damage) });
        self.slots = 0;
        self.records.go_to(0);
    }

    #[inline(always)]
    fn loaded(&self) -> &[[u64; SLOT_WORDS]] {
        &self.block.words()[BLOCK_HEADER_WORDS..].as_chunks::<SLOT_WORDS>().0[..self.slots]
    }

    #[inline(always)]
    fn beyond(&self, n: u64) -> bool {
        self.until.is_some_and(|(epoch, until)| n >= until && self.epoch == Some(epoch))
    }

    /// The first slot of the record that comes next; only when [`Reader::ready`] has just said that one does.
    #[inline(always)]
    pub(crate) fn peek(&self) -> &[u64; SLOT_WORDS] {
        &self.loaded()[self.records.at()]
    }

    /// First word of the slot so many places behind that one, where it is in the same block; 0 otherwise.
    #[inline(always)]
    pub(crate) fn peek_ahead(&self, places: usize) -> u64 {
        self.loaded().get(self.records.at() + places).map_or(0, |slot| slot[0])
    }

    /// Number of the file that is read, and the byte behind the block that was read last.
    pub(crate) fn place(&self) -> Option<(u64, u64)> {
        let open = self.open.as_ref()?;
        let block = open.place.checked_sub(1).and_then(|place| open.index.blocks().get(place));
        let offset = block.map_or(0, |entry| entry.offset + entry.header.bytes() as u64);
        Some((open.index.file(), offset))
    }

    /// What comes next. Reads blocks and files until that is known.
    #[inline]
    pub(crate) fn ready(&mut self) -> Result<Ready, ReadError> {
        loop {
            let at = self.records.at();
            // An unfinished block comes before a hole only when the hole is what follows it: both are never there.
            if at < self.slots {
                if self.beyond(self.base + at as u64) {
                    return Ok(Ready::Nothing);
                }
                return Ok(Ready::Record(published_ns(&self.loaded()[at])));
            }
            if self.step.is_some() {
                return Ok(Ready::Epoch);
            }
            if let Some(hole) = &self.hole {
                return Ok(if self.beyond(hole.first) { Ready::Nothing } else { Ready::Hole });
            }
            if !self.advance()? {
                return Ok(Ready::Nothing);
            }
        }
    }
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let next = self.next_number();
        f.debug_struct("Reader").field("ring", &self.ring).field("epoch", &self.epoch).field("next", &next).finish()
    }
}
