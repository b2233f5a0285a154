//! What a replay that begins in the middle gives before its first record: what is not there, the past of the rows, and the
//! books.

use shm_abi::directory::Instrument;
use shm_abi::segment::RingName;
use shm_abi::slot::SLOT_WORDS;

use super::from_journal::FromJournal;
use super::source::{SourceOptions, Start};
use super::step::{Missing, Step};
use crate::RINGS;
use crate::book::Books;
use crate::book_records::{BookRecord, BookRecords, Stamp};
use crate::image::books_at;
use crate::journal::{Journal, ReadError};
use crate::late::stamp_before;
use crate::reader::{Reader, SeekError};

/// See the module.
#[derive(Debug)]
pub(super) struct Prelude {
    missing: Vec<Missing>,
    /// Both rings up to where the replay begins.
    past: Option<FromJournal>,
    /// Instruments of the orders reader's files, given once.
    named: Vec<Instrument>,
    books: Option<(Books, Stamp)>,
    records: Option<BookRecords>,
    record: BookRecord,
}

/// What [`Prelude::advance`] has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// A step.
    Step,
    /// Instruments at most.
    Again,
    /// Nothing more will come.
    Over,
}

impl Prelude {
    /// Of a replay whose readers stand where it begins. The orders reader is replaced by one that has read up to there.
    pub(super) fn new(
        journal: &Journal,
        options: &SourceOptions,
        readers: &mut [Reader; 2],
    ) -> Result<Prelude, SeekError> {
        let mut prelude = Prelude {
            missing: Vec::new(),
            past: None,
            named: Vec::new(),
            books: None,
            records: None,
            record: BookRecord { ring: RingName::Orders, words: [0; SLOT_WORDS], whole: false },
        };
        let Some(first) = journal.files().first() else { return Ok(prelude) };
        if options.start == Start::Oldest {
            for (ring, first) in RINGS.into_iter().zip(first.first) {
                prelude.miss_before(ring, first);
            }
            return Ok(prelude);
        }
        // Both stand in a file, or there is nothing to begin with.
        readers[0].ready()?;
        readers[1].ready()?;
        if let Some(epoch) = readers[0].epoch() {
            let n = readers[0].next_number();
            match books_at(journal, epoch, n, options.order_limit) {
                Ok((books, reader)) => {
                    prelude.named.extend_from_slice(reader.instruments());
                    prelude.books = Some((books, stamp_before(journal, epoch, n)));
                    readers[0] = reader;
                }
                Err(SeekError::Read(e)) => return Err(e.into()),
                Err(_) => prelude.miss_before(RingName::Orders, n),
            }
        }
        if options.past_rows {
            let mut past = FromJournal::open(journal, &SourceOptions { start: Start::Oldest, ..*options })?;
            past.end_before(readers);
            prelude.past = Some(past);
        }
        Ok(prelude)
    }

    fn miss_before(&mut self, ring: RingName, slots: u64) {
        if slots > 0 {
            self.missing.push(Missing { ring, slots, next_sequence_low: None, published_ns: 0 });
        }
    }

    /// Looks for the next step.
    pub(super) fn advance(&mut self) -> Result<Found, ReadError> {
        if !self.missing.is_empty() {
            return Ok(Found::Step);
        }
        if let Some(past) = &mut self.past {
            if past.has_next()? {
                return Ok(Found::Step);
            }
            self.past = None;
        }
        if let Some((books, stamp)) = self.books.take() {
            // A lane without orders has no windows that follow from them.
            let of_orders = books.instruments().next().is_some();
            let classes = self.named.iter().map(|named| (named.instrument_id, named.depth_class)).collect();
            self.records = Some(BookRecords::new(books, stamp, of_orders.then_some(classes)));
            return Ok(Found::Again);
        }
        match self.records.as_mut().and_then(BookRecords::next) {
            Some(record) => {
                self.record = record;
                Ok(Found::Step)
            }
            None => Ok(Found::Over),
        }
    }

    /// Instruments of the books, once what was before them is over.
    pub(super) fn take_instruments(&mut self, take: impl FnMut(Instrument)) {
        if self.past.is_none() {
            self.named.drain(..).for_each(take);
        }
    }

    /// The step that [`Prelude::advance`] has found.
    pub(super) fn step(&mut self) -> Result<Step<'_>, ReadError> {
        const NOTHING: Step<'static> = Step::Past { ring: RingName::Market, words: &[], whole: false };
        if let Some(missing) = self.missing.pop() {
            return Ok(Step::Missing(missing));
        }
        if let Some(past) = &mut self.past {
            return Ok(match past.next()? {
                Some(Step::Record { ring, words, whole, .. }) => Step::Past { ring, words, whole },
                // Orders are taken from the books.
                Some(Step::Missing(missing)) if missing.ring == RingName::Orders => NOTHING,
                Some(step) => step,
                None => NOTHING,
            });
        }
        let BookRecord { ring, words, whole } = &self.record;
        let published_ns = words[2];
        Ok(Step::Record { ring: *ring, words, published_ns, whole: *whole, ahead: 0 })
    }
}
