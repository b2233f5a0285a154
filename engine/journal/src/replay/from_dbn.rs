//! A DBN file as a source: what an import says, with what the lane that it becomes has to say about itself.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use shm_abi::directory::Instrument;
use shm_abi::record::{Head, INSTRUMENT_NONE, Restart, flag, kind, restart_body, restart_reason, side};
use shm_abi::segment::RingName;
use shm_abi::slot::SLOT_WORDS;

use super::source::{SourceOptions, Start};
use super::step::Step;
use crate::RINGS;
use crate::import::{DbnImport, ImportError, Imported};

/// Counts the bytes that go through.
struct Counted {
    file: File,
    read: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let got = self.file.read(into)?;
        self.read.fetch_add(got as u64, Ordering::Relaxed);
        Ok(got)
    }
}

#[derive(Debug)]
enum Said {
    Instrument(Instrument),
    Record { ring: RingName, len: usize, words: [u64; 2 * SLOT_WORDS - 1] },
}

/// A DBN file as a source: see [`super::Source`]. Instruments get the rows in which they come; the first records say that
/// every book begins anew. They are what [`crate::import::Recorder`] makes of the same file.
#[derive(Debug)]
pub struct FromDbn {
    import: DbnImport<Box<dyn Read + Send>>,
    queue: VecDeque<Said>,
    /// What the newest record of the file said; kept for its room.
    said: Vec<Imported>,
    current: Option<Said>,
    rows: u64,
    from_ns: u64,
    until_ns: Option<u64>,
    /// Latest socket time so far: that of records which are added.
    latest_ns: u64,
    read: Arc<AtomicU64>,
    total: u64,
    over: bool,
}

impl FromDbn {
    pub(super) fn open(path: &Path, options: &SourceOptions) -> Result<FromDbn, ImportError> {
        let opening = |source| ImportError::Io { doing: "opening the file", source };
        let file = File::open(path).map_err(opening)?;
        let total = file.metadata().map_err(opening)?.len();
        let read = Arc::new(AtomicU64::new(0));
        let import = DbnImport::of(Counted { file, read: read.clone() })?;
        let from_ns = match options.start {
            Start::Time(ns) => ns,
            Start::Oldest | Start::Cursor { .. } => 0,
        };
        // Undefined: all ones.
        let latest_ns = Some(import.metadata().start).filter(|start| *start != u64::MAX).unwrap_or(0);
        let mut source = FromDbn {
            import,
            queue: VecDeque::new(),
            said: Vec::new(),
            current: None,
            rows: 0,
            from_ns,
            until_ns: options.until_ns,
            latest_ns,
            read,
            total,
            over: false,
        };
        source.begin();
        Ok(source)
    }

    fn begin(&mut self) {
        let restart = Restart {
            old_epoch: 0,
            old_end: 0,
            session: [b' '; 16],
            venue_sequence: 0,
            reason: restart_reason::UNKNOWN,
        };
        let mut words = [0; 2 * SLOT_WORDS - 1];
        words[..4].copy_from_slice(&head(kind::RESTART, INSTRUMENT_NONE, 2, self.latest_ns).words());
        words[4..10].copy_from_slice(&restart_body(&restart));
        self.queue.extend(RINGS.map(|ring| Said::Record { ring, len: words.len(), words }));
    }

    fn define(&mut self, instrument: Instrument) {
        let id = instrument.instrument_id;
        let mut words = [0; 2 * SLOT_WORDS - 1];
        words[..4].copy_from_slice(&head(kind::INSTRUMENT, id, 1, self.latest_ns).words());
        words[4..SLOT_WORDS].copy_from_slice(&[self.rows, instrument.depth_class.into(), instrument.provider_code]);
        self.rows += 1;
        self.queue.push_back(Said::Instrument(instrument));
        self.queue.push_back(Said::Record { ring: RingName::Market, len: SLOT_WORDS, words });
    }

    /// Reads records of the file until one says something.
    fn fill(&mut self) -> Result<(), ImportError> {
        while self.queue.is_empty() && !self.over {
            let Some(said) = self.import.next()? else {
                self.over = true;
                return Ok(());
            };
            let mut read = std::mem::take(&mut self.said);
            read.clear();
            read.extend_from_slice(said);
            for imported in &read {
                match *imported {
                    Imported::Instrument(instrument) => self.define(instrument),
                    Imported::Record { ring, words: slot } => {
                        // Word 2 is the socket time, which is that of publishing, too.
                        self.latest_ns = self.latest_ns.max(slot[2]);
                        if slot[2] < self.from_ns {
                            continue;
                        }
                        if self.until_ns.is_some_and(|until_ns| slot[2] >= until_ns) {
                            self.over = true;
                            break;
                        }
                        let mut words = [0; 2 * SLOT_WORDS - 1];
                        words[..SLOT_WORDS].copy_from_slice(&slot);
                        self.queue.push_back(Said::Record { ring, len: SLOT_WORDS, words });
                    }
                }
            }
            self.said = read;
        }
        Ok(())
    }

    pub(super) fn next(&mut self) -> Result<Option<Step<'_>>, ImportError> {
        self.fill()?;
        self.current = self.queue.pop_front();
        Ok(self.current.as_ref().map(|said| match said {
            Said::Instrument(instrument) => Step::Instrument(instrument),
            Said::Record { ring, len, words } => Step::Record {
                ring: *ring,
                words: &words[..*len],
                published_ns: words[2],
                whole: words[0] >> 8 & u64::from(flag::LAST) != 0,
                ahead: 0,
            },
        }))
    }

    pub(super) fn position(&self) -> u64 {
        self.read.load(Ordering::Relaxed).min(self.total)
    }

    pub(super) fn total(&self) -> u64 {
        self.total
    }
}

/// The head of a record that is added.
fn head(kind: u8, instrument_id: u32, span: u8, ns: u64) -> Head {
    Head {
        kind,
        flags: flag::LAST,
        span,
        side_or_code: side::NONE,
        instrument_id,
        ts_event: 0,
        ts_recv: ns,
        publish_delay_ns: 0,
        venue_sequence_low: 0,
    }
}
