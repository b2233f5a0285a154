//! Lasting instrument ids: one append-only file in the state directory, shared by all lanes of the engine.
//!
//! A line is `id TAB venue TAB symbol`. Ids are dense, given in order of first sight, and never used again. The line is
//! written before the id is used, so that no restart can give the same id to another instrument.
//!
//! Source: decisions.md 8.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use market::{IdError, InstrumentIds};

/// Name of the file in the state directory.
const FILE_NAME: &str = "instruments.tsv";
/// Most instruments that the file may name: 2^24, a thousand times the largest exchange.
const IDS_MAX: usize = 1 << 24;

/// What is wrong with the file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IdFileError {
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: io::Error },
    #[error("{path}: another engine keeps its instrument ids here; choose another engine.state_dir")]
    Taken { path: PathBuf },
    #[error(
        "{path}, line {line}: {text:?}: expected `{expected}`, a tab, a venue, a tab, a symbol; restore the file from a copy"
    )]
    Line { path: PathBuf, line: usize, text: String, expected: u64 },
}

#[derive(Debug)]
struct Book {
    file: File,
    ids: HashMap<(String, String), u32>,
}

/// The table and its file. Cloned for each lane; locked only when an instrument is announced, never per event.
#[derive(Debug, Clone)]
pub(crate) struct IdStore(Arc<Mutex<Book>>);

impl IdStore {
    /// Opens the file, makes it if there is none, and reads it whole. A last line without its end, as a crash leaves it,
    /// is cut off: its id was never used.
    pub(crate) fn open(state_dir: &Path) -> Result<IdStore, IdFileError> {
        let path = state_dir.join(FILE_NAME);
        let io = |source| IdFileError::Io { path: path.clone(), source };
        let mut file = File::options().read(true).append(true).create(true).open(&path).map_err(io)?;
        let lock = OwnedFd::from(file.try_clone().map_err(io)?);
        shm_abi::sys::lock_exclusive(&lock).map_err(|_| IdFileError::Taken { path: path.clone() })?;
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(io)?;
        let whole = text.rfind('\n').map_or(0, |at| at + 1);
        if whole < text.len() {
            file.set_len(whole as u64).map_err(io)?;
            file.seek(SeekFrom::End(0)).map_err(io)?;
        }
        let mut ids = HashMap::new();
        for (index, line) in text[..whole].lines().enumerate() {
            let (venue, symbol) = parse(line, index as u64).ok_or_else(|| IdFileError::Line {
                path: path.clone(),
                line: index + 1,
                text: line.into(),
                expected: index as u64,
            })?;
            ids.insert((venue.to_owned(), symbol.to_owned()), index as u32);
        }
        Ok(IdStore(Arc::new(Mutex::new(Book { file, ids }))))
    }

    /// Ids given so far.
    pub(crate) fn count(&self) -> usize {
        self.lock().ids.len()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Book> {
        // A panic while the lock was held can only have come between whole lines: the table is as good as the file.
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn parse(line: &str, expected: u64) -> Option<(&str, &str)> {
    let mut fields = line.split('\t');
    let (id, venue, symbol) = (fields.next()?, fields.next()?, fields.next()?);
    let whole = fields.next().is_none() && !venue.is_empty() && !symbol.is_empty();
    (whole && id.parse() == Ok(expected)).then_some((venue, symbol))
}

fn refused(symbol: &str, why: String) -> IdError {
    IdError { symbol: symbol.to_owned(), why }
}

impl InstrumentIds for IdStore {
    fn id_for(&mut self, venue: &str, symbol: &str) -> Result<u32, IdError> {
        let mut book = self.lock();
        let key = (venue.to_owned(), symbol.to_owned());
        if let Some(id) = book.ids.get(&key) {
            return Ok(*id);
        }
        let id = book.ids.len();
        if id >= IDS_MAX {
            return Err(refused(symbol, format!("the engine has given all of its {IDS_MAX} instrument ids")));
        }
        // One write of one line: a crash leaves a whole line or a cut one, and a cut one is dropped on the next start.
        let line = format!("{id}\t{venue}\t{symbol}\n");
        book.file.write_all(line.as_bytes()).map_err(|error| refused(symbol, format!("{FILE_NAME}: {error}")))?;
        book.ids.insert(key, id as u32);
        Ok(id as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_last_over_restarts_and_a_cut_line_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = IdStore::open(dir.path()).unwrap();
        assert_eq!(store.id_for("XNAS", "AAPL").unwrap(), 0);
        assert_eq!(store.id_for("XNAS", "MSFT").unwrap(), 1);
        assert_eq!(store.id_for("XNYS", "AAPL").unwrap(), 2);
        assert_eq!(store.id_for("XNAS", "AAPL").unwrap(), 0);
        assert!(matches!(IdStore::open(dir.path()), Err(IdFileError::Taken { .. })));
        drop(store);
        let path = dir.path().join(FILE_NAME);
        std::fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"3\tXNAS\tTOR").unwrap();
        let mut store = IdStore::open(dir.path()).unwrap();
        assert_eq!(store.count(), 3);
        assert_eq!(store.id_for("XNAS", "MSFT").unwrap(), 1);
        assert_eq!(store.id_for("XNAS", "TSLA").unwrap(), 3);
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 4);
    }

    #[test]
    fn a_damaged_file_is_refused_with_its_line() {
        for (name, text) in [
            ("wrong number", "0\tXNAS\tA\n2\tXNAS\tB\n"),
            ("no symbol", "0\tXNAS\tA\n1\tXNAS\n"),
            ("not a number", "0\tXNAS\tA\nx\tXNAS\tB\n"),
            ("too many fields", "0\tXNAS\tA\n1\tXNAS\tB\tC\n"),
        ] {
            let dir = tempfile::tempdir().unwrap();
            std::fs::write(dir.path().join(FILE_NAME), text).unwrap();
            match IdStore::open(dir.path()) {
                Err(IdFileError::Line { line: 2, .. }) => {}
                other => panic!("case {name}: {other:?}"),
            }
        }
    }
}
