//! Reading a ring from the journal: in the order of numbers, across blocks, files and epochs, to the growing end.
//!
//! A reader yields every number of its ring once, as part of a record or of a hole. Records are lent from the block that
//! was read last; nothing is allocated per record.

use shm_abi::directory::Instrument;
use shm_abi::layout::DIRECTORY_ENTRY_WORDS;
use shm_abi::record::Record;
use shm_abi::ring::LossReason;
use shm_abi::segment::RingName;
use shm_abi::slot::SLOT_WORDS;

use crate::damage::Damage;
use crate::disk::{ReadAt, read_full};
use crate::format::{
    ALIGN, BLOCK_HEADER_WORDS, BlockKind, FileHeader, HoleReason, SlotRecords, published_ns, verify_payload,
};
use crate::index::{BlockEntry, FileIndex, Tail};
use crate::journal::{Journal, ReadError};
use crate::pages::Pages;
use crate::ring_index;

/// Numbers that the journal does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hole {
    /// First number.
    pub first: u64,
    /// Last number, inclusive.
    pub last: u64,
    /// Why.
    pub reason: HoleReason,
    /// What is wrong with the file, when that is why.
    pub damage: Option<Damage>,
}

impl Hole {
    /// Slots that are missing.
    pub fn slots(&self) -> u64 {
        self.last - self.first + 1
    }

    /// What a reader of the ring would have called it, where it can be one of the ring's own reasons.
    pub fn loss_reason(&self) -> LossReason {
        match self.reason {
            HoleReason::Skipped => LossReason::Skipped,
            HoleReason::Malformed => LossReason::Malformed,
            _ => LossReason::Lapped,
        }
    }
}

/// The step from one epoch of the lane to the next that the journal has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EpochStep {
    /// Epoch that was read to its end.
    pub old_epoch: u64,
    /// The next number that it would have had.
    pub old_end: u64,
    /// Whether its last file was closed in order, so that `old_end` is where the recording of it ended and not where a
    /// crash has cut it.
    pub ended: bool,
    /// Epoch that follows, from its number 0 on.
    pub new_epoch: u64,
}

/// One thing that a reader yields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry<'r> {
    /// A whole record: the number of its first slot and its words, as a ring reader gives them.
    Record {
        /// Number of the first slot.
        n: u64,
        /// 7 words, or 7 + 6 per further slot.
        words: &'r [u64],
    },
    /// Numbers that are missing, before anything that follows them.
    Hole(Hole),
    /// What follows is of another epoch.
    Epoch(EpochStep),
}

impl<'r> Entry<'r> {
    /// The record, typed, if it is one.
    pub fn record(&self) -> Option<Record<'r>> {
        match self {
            Entry::Record { n, words } => Record::new(*n, words),
            _ => None,
        }
    }
}

/// Why a reader cannot begin where it was asked to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SeekError {
    /// The journal has nothing of it.
    #[error("the journal has nothing of epoch {epoch:016x}")]
    UnknownEpoch {
        /// The epoch.
        epoch: u64,
    },
    /// Removed by retention, or from before the recording began.
    #[error("the journal has this epoch only from number {first} on")]
    TooOld {
        /// First number that it has.
        first: u64,
    },
    /// The journal has not come that far.
    #[error("the journal has come to number {next} of this epoch")]
    Beyond {
        /// The number behind the last that it has.
        next: u64,
    },
    /// A file could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

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

    pub(crate) fn seek(journal: Journal, ring: RingName, epoch: u64, n: u64) -> Result<Reader, SeekError> {
        let place = journal.file_of(ring, epoch, n)?;
        let goes_on = journal.files().get(place + 1).is_some_and(|file| file.epoch == epoch);
        let mut reader = Reader::at_file(journal, ring, place);
        // A file that retention removed a moment ago is left out, and then the number is too old.
        while reader.open.is_none() && reader.open_next()? {}
        let Some(open) = &mut reader.open else { return Err(SeekError::UnknownEpoch { epoch }) };
        let first = open.index.header().first[ring_index(ring)];
        if open.index.header().epoch != epoch {
            return Err(SeekError::UnknownEpoch { epoch });
        }
        if n < first {
            return Err(SeekError::TooOld { first });
        }
        let next = open.index.next()[ring_index(ring)];
        if n > next && !goes_on {
            return Err(SeekError::Beyond { next });
        }
        let target = open.index.find(ring, n).unwrap_or(open.index.blocks().len());
        reader.go_to(target)?;
        (reader.from, reader.next) = (n, n);
        Ok(reader)
    }

    pub(crate) fn seek_time(journal: Journal, ring: RingName, ns: u64) -> Result<Reader, SeekError> {
        let place = journal.file_of_time(ring, ns);
        let mut reader = Reader::at_file(journal, ring, place);
        loop {
            let moved = reader.open_next()?;
            let Some(open) = &reader.open else {
                if moved {
                    continue;
                }
                return Ok(reader);
            };
            if let Some(target) = open.index.find_time(ring, ns) {
                let first = open.index.blocks()[target].header.first;
                reader.go_to(target)?;
                (reader.from, reader.next) = (first, first);
                reader.advance()?;
                reader.pass_until(ns);
                return Ok(reader);
            }
            let more = reader.journal.files().last().is_some_and(|last| Some(last.number) > reader.file);
            if !more {
                let (end, next) = (open.index.blocks().len(), open.index.next()[ring_index(ring)]);
                reader.go_to(end)?;
                (reader.from, reader.next) = (next, next);
                return Ok(reader);
            }
            reader.open = None;
            reader.forget();
        }
    }

    /// Nothing of what lies behind is owed to anybody: a reader that looks for its beginning.
    fn forget(&mut self) {
        (self.step, self.hole, self.epoch) = (None, None, None);
    }

    /// Passes over records of the block that was just loaded and published before `ns`.
    fn pass_until(&mut self, ns: u64) {
        loop {
            let at = self.records.at();
            let Some(slot) = self.loaded().get(at) else { return };
            if published_ns(slot) >= ns {
                return;
            }
            let slots = self.block.words()[BLOCK_HEADER_WORDS..].as_chunks::<SLOT_WORDS>().0;
            // A slot where no record begins: the next look at it will say so.
            if !matches!(self.records.next(&slots[..self.slots]), Some(Ok(_))) {
                return;
            }
        }
    }

    /// Continues with the block at a place of the open file's index. What the file says of instruments before it is taken
    /// in.
    fn go_to(&mut self, place: usize) -> Result<(), ReadError> {
        self.forget_but_epoch();
        let Some(open) = &mut self.open else { return Ok(()) };
        open.place = place;
        let directory: Vec<BlockEntry> = open.index.blocks()[..place]
            .iter()
            .filter(|entry| entry.header.kind == BlockKind::Directory)
            .copied()
            .collect();
        directory.iter().try_for_each(|entry| self.load_directory(entry))
    }

    fn forget_but_epoch(&mut self) {
        (self.step, self.hole) = (None, None);
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
                Ready::Record(_) if self.record_fits() => break,
                Ready::Record(_) => self.give_up_block(),
            }
        }
        let slots = self.block.words()[BLOCK_HEADER_WORDS..].as_chunks::<SLOT_WORDS>().0;
        match self.records.next(&slots[..self.slots]) {
            Some(Ok((at, words))) => Ok(Some(Entry::Record { n: self.base + at as u64, words })),
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

    /// Goes to the next block of the ring, or file. `false` at the end as it is now.
    #[cold]
    fn advance(&mut self) -> Result<bool, ReadError> {
        let Some(open) = &mut self.open else { return self.open_next_or_refresh() };
        if let Some(entry) = open.index.blocks().get(open.place).copied() {
            open.place += 1;
            self.take_block(&entry)?;
            return Ok(true);
        }
        if self.extend()? {
            return Ok(true);
        }
        if !self.has_next_file() {
            self.journal.refresh()?;
            // Whoever makes the next file has written its last to this one: look once more, now that it is there.
            if !self.has_next_file() || self.extend()? {
                return Ok(self.open.as_ref().is_some_and(|open| open.place < open.index.blocks().len()));
            }
        }
        self.left_in_order = matches!(self.open.as_ref().map(|open| open.index.tail()), Some(Tail::Marked(_)));
        self.open = None;
        Ok(true)
    }

    fn extend(&mut self) -> Result<bool, ReadError> {
        let Some(open) = &mut self.open else { return Ok(false) };
        open.index.extend(open.file.as_ref(), &mut self.scratch)?;
        Ok(open.place < open.index.blocks().len())
    }

    fn has_next_file(&self) -> bool {
        self.journal.files().last().is_some_and(|last| Some(last.number) > self.file)
    }

    fn open_next_or_refresh(&mut self) -> Result<bool, ReadError> {
        if !self.has_next_file() {
            self.journal.refresh()?;
        }
        self.open_next()
    }

    /// Opens the next file that is there. `false` when there is none; `true` also for one that turned out to be gone.
    fn open_next(&mut self) -> Result<bool, ReadError> {
        let Some(number) = self.journal.files().iter().map(|file| file.number).find(|n| Some(*n) > self.file) else {
            return Ok(false);
        };
        let opened = self
            .journal
            .folder()
            .open(number)
            .map_err(|source| ReadError::Io { file: number, offset: 0, source })
            .and_then(|file| Ok((FileIndex::read(number, file.as_ref(), &mut self.scratch)?, file)));
        match opened {
            Ok((index, file)) => {
                self.file = Some(number);
                self.enter(index.header());
                self.open = Some(OpenFile { file, index, place: 0 });
            }
            Err(ReadError::Io { source, file, offset }) if source.kind() != std::io::ErrorKind::NotFound => {
                return Err(ReadError::Io { source, file, offset });
            }
            // Removed by retention, or its header was damaged since: its numbers will be missed at the next file.
            Err(_) => self.file = Some(number),
        }
        Ok(true)
    }

    /// What the step into this file means for the numbers.
    fn enter(&mut self, header: &FileHeader) {
        let first = header.first[ring_index(self.ring)];
        self.instruments.clear();
        match self.epoch.replace(header.epoch) {
            None => (self.next, self.from) = (first, first),
            Some(old_epoch) if old_epoch != header.epoch => {
                let (old_end, ended, new_epoch) = (self.next, self.left_in_order, header.epoch);
                self.step = Some(EpochStep { old_epoch, old_end, ended, new_epoch });
                (self.next, self.from) = (0, 0);
            }
            Some(_) => self.from = self.next,
        }
        if first > self.next {
            let reason = if self.left_in_order { HoleReason::NotRecorded } else { HoleReason::Damaged };
            self.hole = Some(Hole { first: self.next, last: first - 1, reason, damage: None });
            self.next = first;
        }
    }

    fn take_block(&mut self, entry: &BlockEntry) -> Result<(), ReadError> {
        let header = &entry.header;
        match header.kind {
            BlockKind::Directory => self.load_directory(entry),
            BlockKind::Slots if header.ring == Some(self.ring) => self.load_slots(entry),
            BlockKind::Hole if header.ring == Some(self.ring) => {
                self.miss(header.first, header.end, HoleReason::from_code(header.detail as u8), None);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Declares `first..end` missing, as far as that was not passed.
    fn miss(&mut self, first: u64, end: u64, reason: HoleReason, damage: Option<Damage>) {
        let first = first.max(self.from);
        if first < end {
            self.hole = Some(Hole { first, last: end - 1, reason, damage });
            self.next = end;
        }
    }

    /// Reads a block into `block` and verifies it.
    fn load(&mut self, entry: &BlockEntry) -> Result<Result<(), Damage>, ReadError> {
        let Some(open) = &self.open else { return Ok(Ok(())) };
        self.block.make_room(entry.header.bytes());
        let bytes = &mut self.block.bytes_mut()[..entry.header.bytes()];
        let got = read_full(open.file.as_ref(), entry.offset, bytes).map_err(|source| ReadError::Io {
            file: open.index.file(),
            offset: entry.offset,
            source,
        })?;
        let verified = verify_payload(&entry.header, entry.offset, &bytes[..got]);
        if cfg!(target_endian = "big") {
            self.block.words_mut().iter_mut().for_each(|word| *word = u64::from_le(*word));
        }
        Ok(verified)
    }

    fn load_slots(&mut self, entry: &BlockEntry) -> Result<(), ReadError> {
        let header = &entry.header;
        // Nothing of the block before may be taken for this one's, should the read fail.
        self.slots = 0;
        self.records.go_to(0);
        if header.end <= self.from {
            return Ok(());
        }
        let loaded = self.load(entry).inspect_err(|_| {
            // The block was not taken: the next call reads it again.
            if let Some(open) = &mut self.open {
                open.place -= 1;
            }
        })?;
        if let Err(damage) = loaded {
            self.miss(header.first, header.end, HoleReason::Damaged, Some(damage));
            return Ok(());
        }
        self.base = header.first;
        self.slots = (header.end - header.first) as usize;
        self.next = header.end;
        // A cursor in the middle of a record: what is left of it is passed over.
        let mut at = self.from.saturating_sub(header.first) as usize;
        if at > 0 {
            at += self.loaded()[at..].iter().take_while(|slot| slot[0] >> 16 & 0x80 != 0).count();
        }
        self.records.go_to(at);
        Ok(())
    }

    fn load_directory(&mut self, entry: &BlockEntry) -> Result<(), ReadError> {
        // A damaged one leaves its instruments unnamed; their records are served all the same.
        if self.load(entry)?.is_err() {
            return Ok(());
        }
        let rows = self.block.words()[BLOCK_HEADER_WORDS..].as_chunks::<DIRECTORY_ENTRY_WORDS>().0;
        let first = entry.header.first as usize;
        if first <= self.instruments.len() {
            self.instruments.truncate(first);
            self.instruments.extend(rows[..entry.header.count as usize].iter().map(Instrument::from_words));
        }
        Ok(())
    }
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let next = self.next_number();
        f.debug_struct("Reader").field("ring", &self.ring).field("epoch", &self.epoch).field("next", &next).finish()
    }
}
