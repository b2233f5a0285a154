//! What the writer wants done, and how it went.

use std::io;

use crate::pages::Pages;

/// The time, by both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Now {
    /// CLOCK_REALTIME, ns since the UNIX epoch: what files say.
    pub unix_ns: u64,
    /// CLOCK_MONOTONIC, ns: what intervals are measured by.
    pub monotonic_ns: u64,
}

/// A thing to do. Every one must be reported by the handler of its name, also when it failed.
#[derive(Debug)]
pub enum Action {
    /// Make a new file of this number, never an existing one, and sync the folder: [`super::Writer::handle_created`].
    Create {
        /// Number of the file.
        file: u64,
    },
    /// Write a block at its place: [`super::Writer::handle_written`].
    Write(Block),
    /// Bring all of the file's reported writes to disk: [`super::Writer::handle_synced`].
    Sync {
        /// Number of the file.
        file: u64,
    },
    /// Cut the file to its length, bring it to disk and close it: [`super::Writer::handle_closed`].
    Close {
        /// Number of the file.
        file: u64,
        /// Its bytes.
        length: u64,
    },
    /// Remove a file: [`super::Writer::handle_deleted`].
    Delete {
        /// Number of the file.
        file: u64,
    },
}

/// Bytes to write: whole pages, aligned in memory and in the file. Hand it back with [`super::Writer::handle_written`].
#[derive(Debug)]
pub struct Block {
    pub(super) file: u64,
    pub(super) offset: u64,
    /// Names the write among those under way.
    pub(super) token: u64,
    pub(super) length: usize,
    pub(super) pages: Pages,
}

impl Block {
    /// Number of the file.
    pub fn file(&self) -> u64 {
        self.file
    }
    /// Byte of the file; a multiple of 4096.
    pub fn offset(&self) -> u64 {
        self.offset
    }
    /// The bytes; their address and their number are multiples of 4096.
    pub fn bytes(&self) -> &[u8] {
        &self.pages.bytes()[..self.length]
    }
}

/// What kind of no the system said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// There is no room: disk, quota or file size.
    Full,
    /// There is a file of that name already.
    Exists,
    /// There is no such file.
    Missing,
    /// Anything else.
    Other,
}

/// Why something could not be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// What kind of no.
    pub kind: FaultKind,
    /// The system's number, or 0.
    pub errno: i32,
}

impl Fault {
    /// From what the system said.
    #[allow(clippy::needless_pass_by_value, reason = "it is what `map_err` gives")]
    pub fn of(error: io::Error) -> Fault {
        use io::ErrorKind;
        let kind = match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => FaultKind::Full,
            ErrorKind::AlreadyExists => FaultKind::Exists,
            ErrorKind::NotFound => FaultKind::Missing,
            _ => FaultKind::Other,
        };
        Fault { kind, errno: error.raw_os_error().unwrap_or(0) }
    }
}
