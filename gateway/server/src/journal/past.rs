//! What lies before the beginning of a reading: for quotes, which are what all records before have made of them.
//!
//! How far back is read is bounded; a quote of whose day not everything was seen is not known.

use std::sync::atomic::Ordering::Relaxed;

use gateway_core::replay::{Batch, Piece, Step};
use gateway_core::state::{RecordedQuote, begins_anew};
use journal::reader::SeekError;
use journal::{Journal, Reader, ring_index};
use shm_abi::record::Record;
use shm_abi::segment::RingName;

use super::pool::Counts;

/// Quotes on their way to where a reading begins.
#[derive(Debug)]
pub(super) struct Past {
    /// Epoch and number of the first record that is wanted.
    until: (u64, u64),
    quotes: Vec<RecordedQuote>,
}

impl Past {
    /// Of so many instruments.
    pub(super) fn new(epoch: u64, n: u64, wanted: usize) -> Past {
        Past { until: (epoch, n), quotes: vec![RecordedQuote::default(); wanted] }
    }

    /// The oldest record of all, unless it is not the first of its sequence.
    pub(super) fn begin(&mut self, first: &Record<'_>) {
        if begins_anew(first) {
            self.quotes.fill(RecordedQuote::empty());
        }
    }

    /// Whether a record stands behind it.
    pub(super) fn ends_before(&self, epoch: u64, n: u64) -> bool {
        epoch == self.until.0 && n >= self.until.1
    }

    /// Whether it ends with this epoch, at the latest.
    pub(super) fn ends_with(&self, epoch: u64) -> bool {
        epoch == self.until.0
    }

    /// Takes the first things of a batch in, and out of it.
    pub(super) fn take(&mut self, batch: &mut Batch, count: usize) {
        let rest = batch.split_off(count);
        for piece in (0..batch.len()).filter_map(|at| batch.get(at)) {
            match piece {
                Piece::Record { wanted, n, words } => {
                    if let (Some(quote), Some(record)) =
                        (self.quotes.get_mut(usize::from(wanted)), Record::new(n, words))
                    {
                        quote.take(&record);
                    }
                }
                Piece::Step(step) => self.quotes.iter_mut().for_each(|quote| quote.step(&step)),
                Piece::Hole { .. } => self.quotes.iter_mut().for_each(RecordedQuote::miss),
                Piece::Quote { .. } | Piece::Last { .. } => {}
            }
        }
        *batch = rest;
    }

    /// Reading begins here: takes the first things of a batch in and puts the quotes there instead. Returns how many things
    /// stand before the event that is not over yet.
    pub(super) fn end(mut self, batch: &mut Batch, count: usize, (epoch, seq): (u64, u64), counts: &Counts) -> usize {
        self.take(batch, count);
        counts.unknown.fetch_add(self.quotes.iter().filter(|quote| !quote.known).count() as u64, Relaxed);
        let unfinished = batch.split_off(0);
        for (quote, wanted) in self.quotes.iter().zip(0..) {
            batch.push(Piece::Quote { wanted, quote });
        }
        batch.push(Piece::Step(Step { epoch, seq, old: None, anew: false }));
        let whole = batch.len();
        batch.append(&unfinished);
        whole
    }
}

/// A reader that begins so many numbers before a place, or where the journal does.
///
/// # Errors
/// Why not even the place itself is there.
pub(super) fn reader_before(journal: &Journal, epoch: u64, n: u64, lookback: u64) -> Result<Reader, SeekError> {
    let ring = RingName::Market;
    let begin = place_before(journal, epoch, n, lookback);
    // Where retention was faster, nothing is known of what was before.
    journal.seek(ring, begin.0, begin.1).or_else(|_| journal.seek(ring, epoch, n))
}

/// Epoch and number, at most `left` numbers before a place.
fn place_before(journal: &Journal, epoch: u64, n: u64, mut left: u64) -> (u64, u64) {
    let epochs = journal.epochs();
    let of = |epoch: u64| journal.files().iter().filter(move |file| file.epoch == epoch);
    let (mut epoch, mut end) = (epoch, n);
    loop {
        let first = of(epoch).next().map_or(end, |file| file.first[ring_index(RingName::Market)]);
        let there = end.saturating_sub(first);
        let before = epochs.iter().position(|known| *known == epoch).and_then(|at| at.checked_sub(1));
        let index = before.filter(|_| there < left).and_then(|at| {
            let last = of(epochs[at]).next_back()?;
            Some((epochs[at], journal.index(last.number).ok()?.next()[ring_index(RingName::Market)]))
        });
        match index {
            Some(older) => (epoch, end) = older,
            None => return (epoch, end.saturating_sub(left).max(first)),
        }
        left -= there;
    }
}
