//! Files that are written through io_uring, so that a slow disk stops a task and not the reactor.

use std::io;
use std::path::Path;

use glommio::io::{BufferedFile, Directory, OpenOptions};

/// Rights of a new file: its owner writes, its group reads.
const MODE: u32 = 0o640;

/// A file that is being written.
pub(crate) struct OutFile {
    file: BufferedFile,
}

impl OutFile {
    /// Makes a new file, never an existing one, and makes sure that its name survives a power loss.
    ///
    /// # Errors
    /// `AlreadyExists`; else what the system says.
    pub(crate) async fn create(folder: &Path, name: &str) -> io::Result<OutFile> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(MODE);
        let file = options.buffered_open(folder.join(name)).await.map_err(io::Error::from)?;
        let folder = Directory::open(folder).await.map_err(io::Error::from)?;
        folder.sync().await.map_err(io::Error::from)?;
        folder.close().await.map_err(io::Error::from)?;
        Ok(OutFile { file })
    }

    /// Writes all bytes at a place.
    ///
    /// # Errors
    /// What the system says; `StorageFull` also when it took only a part, of which no more is known.
    pub(crate) async fn write_all_at(&self, bytes: Vec<u8>, offset: u64) -> io::Result<()> {
        let wanted = bytes.len();
        let written = self.file.write_at(bytes, offset).await.map_err(io::Error::from)?;
        if written == wanted { Ok(()) } else { Err(io::ErrorKind::StorageFull.into()) }
    }

    /// Brings what was written to disk.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) async fn sync(&self) -> io::Result<()> {
        self.file.fdatasync().await.map_err(io::Error::from)
    }

    /// Cuts the file to `length` and brings that to disk.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) async fn cut(&self, length: u64) -> io::Result<()> {
        self.file.truncate(length).await.map_err(io::Error::from)?;
        self.sync().await
    }
}

/// Removes a file.
///
/// # Errors
/// What the system says.
pub(crate) async fn remove(path: &Path) -> io::Result<()> {
    glommio::io::remove(path).await.map_err(io::Error::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rt::Reactor;

    #[test]
    fn a_file_holds_what_was_written_and_is_never_made_twice() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_owned();
        let main = || async move {
            let file = OutFile::create(&path, "one").await.unwrap();
            file.write_all_at(vec![2; 8192], 4096).await.unwrap();
            file.write_all_at(vec![1; 4096], 0).await.unwrap();
            file.sync().await.unwrap();
            file.cut(5000).await.unwrap();
            let again = OutFile::create(&path, "one").await.err().unwrap();
            assert_eq!(again.kind(), io::ErrorKind::AlreadyExists);
            OutFile::create(&path, "two").await.unwrap();
            remove(&path.join("two")).await.unwrap();
            assert_eq!(remove(&path.join("two")).await.unwrap_err().kind(), io::ErrorKind::NotFound);
        };
        Reactor::spawn("files", None, main).unwrap().join().unwrap();
        let bytes = std::fs::read(folder.path().join("one")).unwrap();
        assert_eq!(bytes, [vec![1; 4096], vec![2; 904]].concat());
        assert!(!folder.path().join("two").exists());
    }
}
