//! From block to block and from file to file.

use shm_abi::directory::Instrument;
use shm_abi::layout::DIRECTORY_ENTRY_WORDS;

use super::{EpochStep, Hole, OpenFile, Reader};
use crate::damage::Damage;
use crate::disk::read_full;
use crate::format::{BLOCK_HEADER_WORDS, BlockKind, FileHeader, HoleReason, verify_payload};
use crate::index::{BlockEntry, FileIndex, Tail};
use crate::journal::ReadError;
use crate::ring_index;

impl Reader {
    /// Goes to the next block of the ring, or file. `false` at the end as it is now.
    #[cold]
    pub(super) fn advance(&mut self) -> Result<bool, ReadError> {
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
    pub(super) fn open_next(&mut self) -> Result<bool, ReadError> {
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

    pub(super) fn load_directory(&mut self, entry: &BlockEntry) -> Result<(), ReadError> {
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
