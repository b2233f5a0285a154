//! What a recording says, step by step, whatever kind of recording it is.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use shm_abi::cursor::Cursor;
use shm_abi::segment::RingName;

use super::from_journal::FromJournal;
use super::step::Step;
use crate::format::FILE_MAGIC;
use crate::journal::{Journal, ReadError};
use crate::reader::SeekError;
#[cfg(feature = "import")]
use {super::from_dbn::FromDbn, crate::import::ImportError};

/// Where a replay begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Start {
    /// At the oldest record.
    #[default]
    Oldest,
    /// At the first record of each ring that was published at this time or later, ns since the UNIX epoch.
    Time(u64),
    /// At a number of a ring; the other ring begins at the time of that record.
    Cursor {
        /// The ring that the cursor is of.
        ring: RingName,
        /// The place.
        cursor: Cursor,
    },
}

/// What of a recording is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceOptions {
    /// Where to begin. A tick file can only begin at a time, by passing over what was before.
    pub start: Start,
    /// Where to end: nothing that was published at this time or later, ns since the UNIX epoch.
    pub until_ns: Option<u64>,
    /// Most orders that the books of the start may hold.
    pub order_limit: usize,
    /// When a journal is replayed from its middle: read it from the oldest record on, so that rows have the whole day.
    /// Without it they begin with the books alone.
    pub past_rows: bool,
}

impl Default for SourceOptions {
    fn default() -> Self {
        SourceOptions { start: Start::Oldest, until_ns: None, order_limit: 8 << 20, past_rows: true }
    }
}

/// Why a recording could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The system said no.
    #[error("{}: {source}", path.display())]
    Io {
        /// The place.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// A folder without a journal.
    #[error("{}: no journal file (000000000000.tlj and so on): name the folder of one lane's journal", path.display())]
    NoJournal {
        /// The folder.
        path: PathBuf,
        /// Files that have the name of one, and no good header.
        refused: usize,
    },
    /// One file of a journal.
    #[error("{}: one file of a journal; name its folder: numbers, instruments and books go from file to file", path.display())]
    OneJournalFile {
        /// The file.
        path: PathBuf,
    },
    /// Nothing that can be replayed here.
    #[error("{}: begins with {beginning:02x?}; expected a journal's folder, or a DBN file, compressed or not", path.display())]
    Unknown {
        /// The file.
        path: PathBuf,
        /// Its first bytes.
        beginning: Vec<u8>,
    },
    /// A tick file, and this program was built without them.
    #[error("{}: a DBN file; this program was built without tick files (feature `import`)", path.display())]
    NoTickFiles {
        /// The file.
        path: PathBuf,
    },
    /// Nothing was recorded where the replay should begin.
    #[error("{}: {source}", path.display())]
    Seek {
        /// The folder.
        path: PathBuf,
        /// What there is.
        source: SeekError,
    },
    /// A journal that cannot be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// The folder.
        path: PathBuf,
        /// What is wrong.
        source: ReadError,
    },
    /// A cursor can only be found in a journal.
    #[error("{}: a tick file has no cursors: begin at a time", path.display())]
    NoCursors {
        /// The file.
        path: PathBuf,
    },
    /// A tick file that cannot be read.
    #[cfg(feature = "import")]
    #[error("{}: {source}", path.display())]
    Import {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: ImportError,
    },
}

/// Why a recording could not be read on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// A file of the journal; the source stays where it is, and may be asked again.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The tick file.
    #[cfg(feature = "import")]
    #[error(transparent)]
    Import(#[from] ImportError),
}

/// A recording. Memory does not grow with it.
#[derive(Debug)]
pub enum Source {
    /// The journal of a lane.
    Journal(Box<FromJournal>),
    /// A DBN file.
    #[cfg(feature = "import")]
    Dbn(Box<FromDbn>),
}

/// First bytes of a file that is compressed with Zstandard: a frame, or one to be skipped.
fn is_zstd(beginning: &[u8]) -> bool {
    matches!(beginning, [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..])
}

impl Source {
    /// Opens what is there: the folder of a lane's journal, or a DBN file, compressed or not.
    ///
    /// # Errors
    /// [`OpenError`], which says what is there and what was expected.
    pub fn open(path: impl AsRef<Path>, options: &SourceOptions) -> Result<Source, OpenError> {
        let path = path.as_ref();
        let io = |source| OpenError::Io { path: path.into(), source };
        if std::fs::metadata(path).map_err(io)?.is_dir() {
            let journal = Journal::open(path).map_err(|source| OpenError::Read { path: path.into(), source })?;
            if journal.files().is_empty() {
                return Err(OpenError::NoJournal { path: path.into(), refused: journal.refused().len() });
            }
            return Source::of_journal(&journal, options)
                .map_err(|source| OpenError::Seek { path: path.into(), source });
        }
        let mut beginning = Vec::new();
        File::open(path).map_err(io)?.take(8).read_to_end(&mut beginning).map_err(io)?;
        if beginning == FILE_MAGIC.to_le_bytes() {
            return Err(OpenError::OneJournalFile { path: path.into() });
        }
        if !beginning.starts_with(b"DBN") && !is_zstd(&beginning) {
            return Err(OpenError::Unknown { path: path.into(), beginning });
        }
        if matches!(options.start, Start::Cursor { .. }) {
            return Err(OpenError::NoCursors { path: path.into() });
        }
        Self::open_dbn(path, options)
    }

    /// The same for a journal in any folder.
    ///
    /// # Errors
    /// As [`Journal::seek`].
    pub fn of_journal(journal: &Journal, options: &SourceOptions) -> Result<Source, SeekError> {
        Ok(Source::Journal(Box::new(FromJournal::open(journal, options)?)))
    }

    #[cfg(feature = "import")]
    fn open_dbn(path: &Path, options: &SourceOptions) -> Result<Source, OpenError> {
        let import = FromDbn::open(path, options);
        import
            .map(|source| Source::Dbn(Box::new(source)))
            .map_err(|source| OpenError::Import { path: path.into(), source })
    }

    #[cfg(not(feature = "import"))]
    fn open_dbn(path: &Path, _: &SourceOptions) -> Result<Source, OpenError> {
        Err(OpenError::NoTickFiles { path: path.into() })
    }

    /// The next step, or `None` at the end. Of a journal that still grows, a later call may give more.
    ///
    /// # Errors
    /// [`SourceError`]. A record of a tick file that cannot be understood is passed over: the next call goes on behind it.
    #[inline]
    #[allow(clippy::should_implement_trait, reason = "an iterator cannot lend its items from the reader")]
    pub fn next(&mut self) -> Result<Option<Step<'_>>, SourceError> {
        match self {
            Source::Journal(source) => Ok(source.next()?),
            #[cfg(feature = "import")]
            Source::Dbn(source) => Ok(source.next()?),
        }
    }

    /// Bytes of the recording that were read, as far as [`Source::total`] goes: for a bar of progress.
    pub fn position(&self) -> u64 {
        match self {
            Source::Journal(source) => source.position(),
            #[cfg(feature = "import")]
            Source::Dbn(source) => source.position(),
        }
    }

    /// Bytes of the recording as it was when it was opened.
    pub fn total(&self) -> u64 {
        match self {
            Source::Journal(source) => source.total(),
            #[cfg(feature = "import")]
            Source::Dbn(source) => source.total(),
        }
    }
}
