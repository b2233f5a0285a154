//! A file under a temporary name until it is whole.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::ExportError;

/// The file that is being written: `NAME.partial`, beside the place where it will be.
#[derive(Debug)]
pub(super) struct Partial {
    path: PathBuf,
    temporary: PathBuf,
}

impl Partial {
    pub(super) fn new(path: &Path) -> Partial {
        let mut temporary = path.as_os_str().to_owned();
        temporary.push(".partial");
        Partial { path: path.into(), temporary: temporary.into() }
    }

    pub(super) fn temporary(&self) -> &Path {
        &self.temporary
    }

    /// An empty file, whatever was there.
    pub(super) fn create(&self) -> Result<File, ExportError> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&self.temporary);
        file.map_err(|e| self.error("creating it", e))
    }

    /// What a cut export left, if it left anything.
    pub(super) fn left(&self) -> Result<Option<File>, ExportError> {
        match OpenOptions::new().read(true).write(true).open(&self.temporary) {
            Ok(file) => Ok(Some(file)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(self.error("opening what an earlier export left", e)),
        }
    }

    /// The file is whole: it is on disk, and has its name.
    pub(super) fn finish(&self, file: &File) -> Result<(), ExportError> {
        file.sync_all().map_err(|e| self.error("writing it to disk", e))?;
        fs::rename(&self.temporary, &self.path).map_err(|e| self.error("giving it its name", e))
    }

    pub(super) fn error(&self, doing: &'static str, source: io::Error) -> ExportError {
        ExportError::Io { path: self.temporary.clone(), doing, source }
    }

    pub(super) fn differs(&self, field: &'static str, seen: impl ToString, expected: impl ToString) -> ExportError {
        let (seen, expected) = (seen.to_string(), expected.to_string());
        ExportError::Resume { path: self.temporary.clone(), field, seen, expected }
    }
}

/// Reads as much as there is, up to the buffer's length.
pub(super) fn read_full(file: &mut impl io::Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut limited = file.take(buffer.len() as u64);
    let mut have = 0;
    while have < buffer.len() {
        match limited.read(&mut buffer[have..]) {
            Ok(0) => break,
            Ok(n) => have += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(have)
}
