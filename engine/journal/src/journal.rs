//! A lane's journal as a whole: its files and who they are.

use std::io;
use std::path::Path;
use std::sync::Arc;

use shm_abi::directory::Text;
use shm_abi::segment::RingName;

use crate::damage::Damage;
use crate::disk::{Folder, FsFolder};
use crate::format::{ALIGN, FileHeader};
use crate::index::{FileIndex, read_header};
use crate::pages::Pages;
use crate::reader::{Reader, SeekError};
use crate::ring_index;

/// Why a file could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The system said no.
    #[error("journal file {file}, byte {offset}: {source}")]
    Io {
        /// Number of the file; `u64::MAX`: the folder.
        file: u64,
        /// Byte.
        offset: u64,
        /// What it said.
        source: io::Error,
    },
    /// What stands there is not right.
    #[error("journal file {file} {damage}")]
    Damaged {
        /// Number of the file.
        file: u64,
        /// Where and what.
        damage: Damage,
    },
}

impl ReadError {
    pub(crate) fn is_missing(&self) -> bool {
        matches!(self, ReadError::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

/// Looks at a lane's journal. Cheap to clone.
#[derive(Clone)]
pub struct Journal {
    folder: Arc<dyn Folder>,
    /// Headers of the files that have a good one, by number.
    files: Vec<FileHeader>,
    refused: Vec<(u64, Damage)>,
}

impl Journal {
    /// Looks at the folder of a lane in the file system. One that does not exist is an empty journal.
    ///
    /// # Errors
    /// [`ReadError::Io`]. Files without a good header are no error: see [`Journal::refused`].
    pub fn open(folder: impl AsRef<Path>) -> Result<Journal, ReadError> {
        Self::of(Arc::new(FsFolder::new(folder.as_ref())))
    }

    /// Looks at any folder.
    ///
    /// # Errors
    /// As [`Journal::open`].
    pub fn of(folder: Arc<dyn Folder>) -> Result<Journal, ReadError> {
        let mut journal = Journal { folder, files: Vec::new(), refused: Vec::new() };
        journal.refresh()?;
        Ok(journal)
    }

    /// Looks for files that came or went.
    ///
    /// # Errors
    /// [`ReadError::Io`]; what was known stays known then.
    pub fn refresh(&mut self) -> Result<(), ReadError> {
        let list = self.folder.list().map_err(|source| ReadError::Io { file: u64::MAX, offset: 0, source })?;
        let mut files = Vec::with_capacity(list.len());
        let mut refused = Vec::new();
        for number in list {
            if let Ok(place) = self.files.binary_search_by_key(&number, |file| file.number) {
                files.push(self.files[place]);
                continue;
            }
            let header = self
                .folder
                .open(number)
                .map_err(|source| ReadError::Io { file: number, offset: 0, source })
                .and_then(|file| read_header(number, file.as_ref()));
            match header {
                Ok((header, _)) => files.push(header),
                Err(ReadError::Damaged { damage, .. }) => refused.push((number, damage)),
                // Retention was faster.
                Err(e) if e.is_missing() => {}
                Err(e) => return Err(e),
            }
        }
        (self.files, self.refused) = (files, refused);
        Ok(())
    }

    /// Headers of the files, oldest first.
    pub fn files(&self) -> &[FileHeader] {
        &self.files
    }

    /// Files without a good header, by number: just begun, torn, or of another version. Nothing of them is served.
    pub fn refused(&self) -> &[(u64, Damage)] {
        &self.refused
    }

    /// The folder.
    pub fn folder(&self) -> &Arc<dyn Folder> {
        &self.folder
    }

    /// The lane, if there is a file.
    pub fn lane(&self) -> Option<Text<32>> {
        Some(self.files.last()?.lane)
    }

    /// Epochs of which there is anything, oldest first.
    pub fn epochs(&self) -> Vec<u64> {
        let mut epochs: Vec<u64> = self.files.iter().map(|file| file.epoch).collect();
        epochs.dedup();
        epochs
    }

    /// The good blocks of a file.
    ///
    /// # Errors
    /// [`ReadError::Damaged`] when its header is not good; [`ReadError::Io`].
    pub fn index(&self, number: u64) -> Result<FileIndex, ReadError> {
        let io = |source| ReadError::Io { file: number, offset: 0, source };
        let file = self.folder.open(number).map_err(io)?;
        FileIndex::read(number, file.as_ref(), &mut Pages::new(ALIGN))
    }

    /// Reads a ring from the oldest file on.
    pub fn oldest(&self, ring: RingName) -> Reader {
        Reader::at_file(self.clone(), ring, 0)
    }

    /// Reads a ring from number `n` of an epoch on: the first record that begins there or behind it.
    ///
    /// # Errors
    /// [`SeekError`] when the journal does not have it (or not yet), which says what it has.
    pub fn seek(&self, ring: RingName, epoch: u64, n: u64) -> Result<Reader, SeekError> {
        Reader::seek(self.clone(), ring, epoch, n)
    }

    /// Reads a ring from the first record, in the order of numbers, that was published at `ns` (since the UNIX epoch) or
    /// later; at the end of the journal when there is none yet.
    ///
    /// # Errors
    /// [`SeekError::Read`].
    pub fn seek_time(&self, ring: RingName, ns: u64) -> Result<Reader, SeekError> {
        Reader::seek_time(self.clone(), ring, ns)
    }

    /// Place of the first file that can hold a record published at `ns` or later: the one before the first whose header
    /// says that somebody came so far before it.
    pub(crate) fn file_of_time(&self, ring: RingName, ns: u64) -> usize {
        let reached = |file: &FileHeader| file.prior_latest_ns[ring_index(ring)] >= ns;
        let after = self.files.iter().position(reached).unwrap_or(self.files.len());
        after.saturating_sub(1)
    }

    /// Place of the file in which number `n` of an epoch would stand; what the epoch's files begin with otherwise.
    pub(crate) fn file_of(&self, ring: RingName, epoch: u64, n: u64) -> Result<usize, SeekError> {
        let ring = ring_index(ring);
        let mut found = Err(SeekError::UnknownEpoch { epoch });
        for (place, file) in self.files.iter().enumerate().filter(|(_, file)| file.epoch == epoch) {
            if file.first[ring] <= n {
                found = Ok(place);
            } else if found.is_err() {
                return Err(SeekError::TooOld { first: file.first[ring] });
            }
        }
        found
    }
}

impl std::fmt::Debug for Journal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Journal").field("files", &self.files.len()).field("refused", &self.refused.len()).finish()
    }
}
