//! From a journal to an exporter: records, holes, and what a step from one epoch to the next does to books.

use shm_abi::directory::Instrument;
use shm_abi::record::{Record, kind, restart_reason};

use super::{ExportError, Exporter};
use crate::journal::ReadError;
use crate::reader::{Entry, EpochStep, Reader};

/// Why a journal could not be exported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FeedError {
    /// The journal could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The file could not be written.
    #[error(transparent)]
    Export(#[from] ExportError),
}

/// What the next record must say for books to stay what they are.
#[derive(Debug, Clone, Copy)]
enum Before {
    /// Nothing was read yet.
    Nothing,
    /// The same sequence.
    Same,
    /// Another epoch, which ended there.
    Step(EpochStep),
}

/// Feeds an exporter with one ring of a journal.
#[derive(Debug)]
pub struct Feed {
    reader: Reader,
    before: Before,
    /// Instruments that the exporter was told of.
    told: usize,
}

impl Feed {
    /// From where the reader stands.
    pub fn new(reader: Reader) -> Feed {
        Feed { reader, before: Before::Nothing, told: 0 }
    }

    /// The reader.
    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    /// The instruments that the journal names up to the next record: those to begin an export with.
    ///
    /// # Errors
    /// [`ReadError::Io`].
    pub fn instruments(&mut self) -> Result<&[Instrument], ReadError> {
        self.reader.ready()?;
        Ok(self.reader.instruments())
    }

    /// Gives the exporter as much as there is, at most `max` entries, and returns how many: 0 at the end as it is now.
    ///
    /// # Errors
    /// What the reader or the exporter says.
    pub fn feed(&mut self, exporter: &mut Exporter, max: u64) -> Result<u64, FeedError> {
        for given in 0..max {
            self.reader.ready()?;
            // What a record names stands in the journal before it. Of another epoch they are told from the beginning.
            let instruments = self.reader.instruments();
            if instruments.len() != self.told {
                instruments.iter().for_each(|instrument| exporter.define(instrument));
                self.told = instruments.len();
            }
            let ring = self.reader.ring();
            let Some(entry) = self.reader.next()? else { return Ok(given) };
            match entry {
                Entry::Hole(hole) => {
                    exporter.lost(hole.slots());
                    self.before = Before::Same;
                }
                Entry::Epoch(step) => {
                    self.before = Before::Step(step);
                    self.told = 0;
                }
                Entry::Record { n, words } => {
                    let goes_on = match self.before {
                        Before::Same => true,
                        before => Record::new(n, words).is_some_and(|record| goes_on(&record, before)),
                    };
                    if !goes_on {
                        exporter.lost(0);
                    }
                    self.before = Before::Same;
                    exporter.record(ring, n, words)?;
                }
            }
        }
        Ok(max)
    }
}

/// Whether books are still known when this is the first record of a sequence.
fn goes_on(record: &Record<'_>, before: Before) -> bool {
    let shm_abi::record::Body::Restart(restart) = record.body() else { return false };
    debug_assert_eq!(record.head.kind, kind::RESTART);
    match (restart.reason, before) {
        // Every book begins anew.
        (restart_reason::UNKNOWN, _) => true,
        (restart_reason::ENGINE, Before::Step(step)) => {
            (restart.old_epoch, restart.old_end) == (step.old_epoch, step.old_end)
        }
        _ => false,
    }
}
