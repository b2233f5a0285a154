//! One reading of a lane's journal: what of it concerns some instruments, batch by batch, across epochs, to the growing end.
//!
//! Only whole events are given. What a killed engine left of one it never finished is void (decisions.md 5): its successor
//! publishes that event anew, and a client must not get it twice.

use std::path::PathBuf;
use std::sync::atomic::Ordering::Relaxed;

use gateway_core::replay::{Batch, End, Failure, OldEpoch, Piece, Start, Step, Wanted};
use gateway_core::state::{RecordedQuote, begins_anew};
use journal::format::HoleReason;
use journal::reader::{EpochStep, SeekError};
use journal::{Entry, Journal, ReadError, Reader};
use shm_abi::record::{Body, Record, kind};
use shm_abi::segment::RingName;

use super::names::Names;
use super::past::{Past, reader_before};
use super::pool::Counts;

/// What is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kinds {
    /// Trades, and what revokes them.
    Trades,
    /// Best prices, and what clears a book.
    Quotes,
    /// Everything that a whole quote follows from, and where its events end.
    WholeQuotes {
        /// Numbers before the beginning that may be read to learn what was there.
        lookback: u64,
    },
}

impl Kinds {
    #[inline]
    fn has(self, of: u8) -> bool {
        match self {
            Kinds::Trades => matches!(of, kind::TRADE | kind::TRADE_BREAK),
            Kinds::Quotes => matches!(of, kind::QUOTE | kind::CLEAR),
            Kinds::WholeQuotes { .. } => RecordedQuote::concerns(of),
        }
    }
}

/// How much one slice may do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Slice {
    /// Things given; the last event is whole.
    pub(crate) events: usize,
    /// Records looked at.
    pub(crate) records: usize,
}

/// A step that was met; what the new epoch says of it is its first record.
#[derive(Debug, Clone, Copy)]
struct Met {
    step: EpochStep,
    /// Everything before this number of the old epoch is known to the client.
    known: u64,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Scan {
    kinds: Kinds,
    folder: PathBuf,
    start: Start,
    names: Names,
    reader: Option<Reader>,
    begun: bool,
    /// What lies before the beginning, while it is read.
    past: Option<Past>,
    wanted: usize,
    met: Option<Met>,
    /// Of what was given last.
    epoch: u64,
    /// Everything up to this number was given, whole events only.
    seq: u64,
    /// What was read of an event that is not over yet.
    unfinished: Batch,
    words: Vec<u64>,
    /// Nothing that was published later is wanted, ns since the UNIX epoch.
    until_ns: Option<u64>,
    /// Something was published later.
    is_over: bool,
    /// Records looked at.
    looked: u64,
}

impl Scan {
    /// A reading of the journal in a lane's folder. `until_ns`: nothing that was published later is wanted.
    pub(crate) fn new(folder: PathBuf, kinds: Kinds, start: Start, until_ns: Option<u64>, wanted: Vec<Wanted>) -> Scan {
        let seq = match start {
            Start::After { seq, .. } => seq,
            Start::Time(_) => 0,
        };
        let epoch = match start {
            Start::After { epoch, .. } => epoch,
            Start::Time(_) => 0,
        };
        Scan {
            kinds,
            epoch,
            folder,
            start,
            wanted: wanted.len(),
            names: Names::new(wanted),
            reader: None,
            begun: false,
            past: None,
            met: None,
            seq,
            unfinished: Batch::default(),
            words: Vec::new(),
            until_ns,
            is_over: false,
            looked: 0,
        }
    }

    /// The next batch.
    pub(crate) fn next(&mut self, slice: Slice, counts: &Counts) -> Batch {
        let mut batch = Batch::default();
        batch.seq = self.seq;
        if self.reader.is_none()
            && let Err(end) = self.open(counts)
        {
            batch.end = end;
            return batch;
        }
        if let Err(error) = self.read(&mut batch, slice, counts) {
            tracing::warn!(folder = %self.folder.display(), %error, "the journal cannot be read");
            counts.errors.fetch_add(1, Relaxed);
            batch.end = End::Failed(Failure::Unreadable);
        }
        batch.seq = self.seq;
        batch
    }

    /// Everything up to this epoch and number was given, or does not concern anybody.
    pub(crate) fn position(&self) -> (u64, u64) {
        match &self.met {
            Some(met) => (met.step.new_epoch, 0),
            None => (self.epoch, self.seq),
        }
    }

    /// Whether something was met that was published after what is wanted.
    pub(crate) fn is_over(&self) -> bool {
        self.is_over
    }

    /// Records looked at.
    pub(crate) fn looked(&self) -> u64 {
        self.looked
    }

    /// Finds the place to begin at.
    fn open(&mut self, counts: &Counts) -> Result<(), End> {
        let failed = |error: &dyn std::fmt::Display| {
            tracing::warn!(folder = %self.folder.display(), %error, "the journal cannot be read");
            counts.errors.fetch_add(1, Relaxed);
            End::Failed(Failure::Unreadable)
        };
        let journal = Journal::open(&self.folder).map_err(|error| failed(&error))?;
        let ring = RingName::Market;
        let found = match self.start {
            Start::After { epoch, seq } => journal.seek(ring, epoch, seq + 1),
            Start::Time(ns) => journal.seek_time(ring, ns),
        };
        let reader = match (found, self.start) {
            (Ok(reader), Start::Time(_)) => match (self.kinds, reader.epoch()) {
                (Kinds::WholeQuotes { lookback }, Some(epoch)) => {
                    let n = reader.next_number();
                    self.past = Some(Past::new(epoch, n, self.wanted));
                    reader_before(&journal, epoch, n, lookback).map_err(|error| failed(&error))?
                }
                _ => reader,
            },
            (Ok(reader), _) => reader,
            (Err(SeekError::UnknownEpoch { .. }), _) => return Err(End::Failed(Failure::UnknownEpoch)),
            (Err(SeekError::TooOld { .. }), _) => return Err(End::Failed(Failure::TooOld)),
            (Err(SeekError::Beyond { next }), Start::After { epoch, seq }) => {
                // The client has all of this epoch that the journal has. If another follows it, that is where it goes
                // on; if not, the journal may be about to come this far.
                let epochs = journal.epochs();
                let after = epochs.iter().position(|known| *known == epoch).and_then(|at| epochs.get(at + 1));
                let Some(new_epoch) = after.copied() else { return Err(End::Reached) };
                let step = EpochStep { old_epoch: epoch, old_end: next, ended: false, new_epoch };
                self.met = Some(Met { step, known: seq + 1 });
                self.begun = true;
                journal.seek(ring, new_epoch, 0).map_err(|error| failed(&error))?
            }
            (Err(error), _) => return Err(failed(&error)),
        };
        if let Start::Time(_) = self.start {
            self.seq = reader.next_number().saturating_sub(1);
        }
        self.reader = Some(reader);
        Ok(())
    }

    fn read(&mut self, batch: &mut Batch, slice: Slice, counts: &Counts) -> Result<(), ReadError> {
        let Some(reader) = &mut self.reader else { return Ok(()) };
        if !self.begun {
            let epoch = match self.start {
                Start::After { epoch, .. } => Some(epoch),
                Start::Time(_) => reader.epoch(),
            };
            let Some(epoch) = epoch else {
                // Nothing was ever recorded.
                self.reader = None;
                batch.end = End::Reached;
                return Ok(());
            };
            self.begun = true;
            self.epoch = epoch;
            if self.past.is_none() {
                batch.push(Piece::Step(Step { epoch, seq: self.seq, old: None, anew: false }));
            }
        }
        // What stands behind `whole` is of an event that is not over yet.
        let mut whole = batch.len();
        batch.append(&std::mem::take(&mut self.unfinished));
        let (mut looked, mut ended) = (0, false);
        while looked < slice.records && whole < slice.events {
            let Some(entry) = reader.next()? else {
                ended = true;
                break;
            };
            looked += 1;
            match entry {
                Entry::Epoch(step) => {
                    // The end of an event that its writer did not finish will not come.
                    batch.truncate(whole);
                    if let Some(past) = self.past.take_if(|past| past.ends_with(step.old_epoch)) {
                        whole = past.end(batch, whole, (self.epoch, self.seq), counts);
                    }
                    self.met = Some(Met { step, known: self.seq + 1 });
                    self.names.forget();
                    self.seq = 0;
                }
                Entry::Hole(hole) => {
                    if let Some(met) = self.met.take() {
                        self.epoch = met.step.new_epoch;
                        batch.push(met.piece(None));
                    }
                    if hole.reason != HoleReason::Skipped {
                        counts.holes.fetch_add(1, Relaxed);
                        batch.push(Piece::Hole { first: hole.first, last: hole.last });
                    }
                    whole = batch.len();
                    self.seq = self.seq.max(hole.last);
                }
                Entry::Record { n, words } => {
                    let Some(record) = Record::new(n, words) else { continue };
                    if self.until_ns.is_some_and(|until| record.head.ts_publish() > until) {
                        self.is_over = true;
                        break;
                    }
                    if let Some(met) = self.met.take() {
                        self.epoch = met.step.new_epoch;
                        batch.push(met.piece(Some(&record)));
                        whole = batch.len();
                    } else if let Some(past) = self.past.as_mut().filter(|_| n == 0) {
                        past.begin(&record);
                    }
                    if let Some(past) = self.past.take_if(|past| past.ends_before(self.epoch, n)) {
                        whole = past.end(batch, whole, (self.epoch, self.seq), counts);
                    }
                    let (id, is_last) = (record.head.instrument_id, record.head.is_last());
                    let ends = is_last && batch.len() > whole && matches!(self.kinds, Kinds::WholeQuotes { .. });
                    if self.kinds.has(record.head.kind) {
                        self.words.clear();
                        self.words.extend_from_slice(words);
                        self.names.learn(reader.instruments());
                        match self.names.place(id) {
                            Some(wanted) => batch.push(Piece::Record { wanted, n, words: &self.words }),
                            None if ends => batch.push(Piece::Last { n, words: &self.words }),
                            None => {}
                        }
                    } else if ends {
                        batch.push(Piece::Last { n, words });
                    }
                    if is_last || batch.len() - whole > slice.events {
                        whole = batch.len();
                        self.seq = n;
                    }
                }
            }
            if let Some(past) = self.past.as_mut().filter(|_| whole > 0) {
                past.take(batch, whole);
                whole = 0;
            }
        }
        if let Some(past) = self.past.take_if(|_| ended) {
            whole = past.end(batch, whole, (self.epoch, self.seq), counts);
        }
        counts.records.fetch_add(looked as u64, Relaxed);
        self.looked += looked as u64;
        self.unfinished = batch.split_off(whole);
        batch.end = if ended { End::Reached } else { End::More };
        Ok(())
    }
}

impl Met {
    /// The step, now that the first record of the new epoch is known; `None`: that one is missing.
    fn piece(self, first: Option<&Record<'_>>) -> Piece<'static> {
        let EpochStep { old_epoch, old_end, new_epoch, .. } = self.step;
        let end = match first.filter(|record| record.n == 0).map(|record| record.body()) {
            Some(Body::Restart(restart)) if restart.old_epoch == old_epoch => Some(restart.old_end),
            _ => None,
        };
        let anew = first.is_some_and(begins_anew);
        // What the journal has behind the end of the old epoch is void, and was not given unless its event was whole.
        let read = if end.is_some_and(|end| end <= old_end) { end.unwrap_or(0) } else { old_end };
        let old = OldEpoch { epoch: old_epoch, drained_to: read.max(self.known), end };
        Piece::Step(Step { epoch: new_epoch, seq: 0, old: Some(old), anew })
    }
}
