//! Ways in: by number and by time.

use shm_abi::segment::RingName;
use shm_abi::slot::SLOT_WORDS;

use super::{Reader, SeekError};
use crate::format::{BLOCK_HEADER_WORDS, BlockKind, published_ns};
use crate::index::BlockEntry;
use crate::journal::{Journal, ReadError};
use crate::ring_index;

impl Reader {
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
}
