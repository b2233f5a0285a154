//! Into a journal: what a file says becomes a sequence of its own, as if a lane had published it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use shm_abi::directory::Instrument;
use shm_abi::layout::{FLAG_REPLAY, is_lane_name};
use shm_abi::record::{Head, INSTRUMENT_NONE, Restart, flag, kind, restart_body, restart_reason, side};
use shm_abi::segment::{Identity, RingName};

use super::Imported;
use crate::config::{ConfigError, JournalConfig};
use crate::disk::{FsFolder, drive};
use crate::journal::ReadError;
use crate::writer::{Counters, Directory, DiskState, Now, Source, Writer};
use crate::{RINGS, recover, ring_index};

/// Why something could not be recorded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The folder cannot be used.
    #[error("{doing} {}: {source}", path.display())]
    Folder {
        /// What was being done.
        doing: &'static str,
        /// The folder.
        path: std::path::PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There is a journal already.
    #[error("{}: there is a journal of {files} files already, expected an empty folder", path.display())]
    NotEmpty {
        /// The folder.
        path: std::path::PathBuf,
        /// Its files.
        files: usize,
    },
    /// No lane can have this name.
    #[error("lane {0:?}: expected 1 to 31 of a-z, 0-9, - and _")]
    Lane(String),
    /// What is there could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A limit that cannot be worked with.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The disk does not take it.
    #[error("the disk is {state:?} after {blocks} blocks: make room, remove the folder, and import again")]
    Disk {
        /// How it does.
        state: DiskState,
        /// Blocks that were written.
        blocks: u64,
    },
}

/// The directory of what is recorded, shared with the writer.
#[derive(Debug, Clone, Default)]
struct Rows(Rc<RefCell<Vec<Instrument>>>);

impl Directory for Rows {
    fn count(&self) -> usize {
        self.0.borrow().len()
    }
    fn get(&self, row: usize) -> Option<Instrument> {
        <[Instrument]>::get(&self.0.borrow(), row).copied()
    }
}

/// Records between two looks at the disk.
const BURST: u32 = 512;

/// Writes what an import says as a journal.
#[derive(Debug)]
pub struct Recorder {
    writer: Writer<Rows>,
    disk: FsFolder,
    rows: Rows,
    row_of: HashMap<u32, usize>,
    next: [u64; 2],
    /// Latest socket time so far: that of records which the recorder itself adds.
    latest_ns: u64,
    since: u32,
}

impl Recorder {
    /// A journal in `path`, which is made, and must not hold one. Its epoch is random; its header says that it is a
    /// replay; its first record says that every book begins anew. Nothing of it is removed for its age. `start_ns` is the
    /// time that the first records have, since the UNIX epoch: not later than what will come.
    ///
    /// # Errors
    /// [`RecordError`], by what is wrong.
    pub fn create(path: &Path, lane: &str, start_ns: u64, now: Now) -> Result<Recorder, RecordError> {
        if !is_lane_name(lane) {
            return Err(RecordError::Lane(lane.into()));
        }
        let folder = |doing| move |source| RecordError::Folder { doing, path: path.to_path_buf(), source };
        let disk = FsFolder::new(path);
        disk.make().map_err(folder("making"))?;
        let recovered = recover(Arc::new(FsFolder::new(path)), lane)?;
        let files = recovered.kept.len() + recovered.refused.len();
        if files > 0 {
            return Err(RecordError::NotEmpty { path: path.to_path_buf(), files });
        }
        let fresh = Identity::random(0).map_err(folder("naming the sequence of"))?;
        let rows = Rows::default();
        let source =
            Source { identity: Identity { flags: FLAG_REPLAY, ..fresh }, directory: rows.clone(), first: [0; 2] };
        let config = JournalConfig { retain_bytes: u64::MAX, retain_age_s: u64::MAX, ..JournalConfig::default() };
        let writer = Writer::new(config, lane, &recovered, source, now)?;
        let mut recorder =
            Recorder { writer, disk, rows, row_of: HashMap::new(), next: [0; 2], latest_ns: start_ns, since: 0 };
        recorder.begin();
        Ok(recorder)
    }

    fn begin(&mut self) {
        let restart = Restart {
            old_epoch: 0,
            old_end: 0,
            session: [b' '; 16],
            venue_sequence: 0,
            reason: restart_reason::UNKNOWN,
        };
        let mut words = [0; 13];
        words[..4].copy_from_slice(&head(kind::RESTART, INSTRUMENT_NONE, 2, self.latest_ns).words());
        words[4..10].copy_from_slice(&restart_body(&restart));
        for ring in RINGS {
            self.push(ring, &words);
        }
    }

    fn push(&mut self, ring: RingName, words: &[u64]) {
        let next = &mut self.next[ring_index(ring)];
        // It is let in only where there is room.
        self.writer.push(ring, *next, words);
        *next += 1 + (words.len() as u64 - 7) / 6;
    }

    /// Takes what a file says.
    ///
    /// # Errors
    /// [`RecordError::Disk`].
    pub fn take(&mut self, imported: &Imported, now: Now) -> Result<(), RecordError> {
        match imported {
            Imported::Record { ring, words } => {
                // Word 2 is the socket time.
                self.latest_ns = self.latest_ns.max(words[2]);
                self.push(*ring, words);
            }
            Imported::Instrument(instrument) => self.define(instrument),
        }
        self.since += 1;
        if self.since >= BURST {
            self.since = 0;
            self.work(now)?;
        }
        Ok(())
    }

    /// A row of the directory, once for each id, and its announcement.
    fn define(&mut self, instrument: &Instrument) {
        let id = instrument.instrument_id;
        if self.row_of.contains_key(&id) {
            return;
        }
        let row = self.row_of.len();
        self.row_of.insert(id, row);
        self.rows.0.borrow_mut().push(*instrument);
        let [a, b, c, d] = head(kind::INSTRUMENT, id, 1, self.latest_ns).words();
        let body = [row as u64, instrument.depth_class.into(), instrument.provider_code];
        self.push(RingName::Market, &[a, b, c, d, body[0], body[1], body[2]]);
    }

    /// Writes what is full, until there is room for a burst.
    fn work(&mut self, now: Now) -> Result<(), RecordError> {
        self.writer.handle_time(now);
        drive(&mut self.writer, &mut self.disk, now);
        let state = self.writer.disk_state();
        if matches!(state, DiskState::Full | DiskState::Failing) || !self.writer.has_room() {
            return Err(RecordError::Disk { state, blocks: self.writer.counters().blocks });
        }
        Ok(())
    }

    /// Writes the rest and closes the journal.
    ///
    /// # Errors
    /// [`RecordError::Disk`]: what is there ends where the disk refused.
    pub fn finish(mut self, now: Now) -> Result<Counters, RecordError> {
        self.work(now)?;
        self.writer.finish();
        self.work(now)?;
        if !self.writer.is_finished() {
            let state = self.writer.disk_state();
            return Err(RecordError::Disk { state, blocks: self.writer.counters().blocks });
        }
        Ok(*self.writer.counters())
    }
}

/// The head of a record that the recorder itself adds.
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
