//! Files: what the reader needs of them, what the writer's driver does with them, and both over `std::fs` and in memory.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use crate::format::{file_name, file_number};
use crate::writer::{Action, Directory, Fault, Now, Writer};

/// A file that can be read at any place.
pub trait ReadAt: Send {
    /// Reads at most `into.len()` bytes from byte `offset` on; 0 at the end.
    ///
    /// # Errors
    /// What the system says.
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize>;

    /// Bytes of the file now.
    ///
    /// # Errors
    /// What the system says.
    fn length(&self) -> io::Result<u64>;
}

/// Fills `into` from byte `offset` on, as far as the file goes; returns how many bytes.
pub(crate) fn read_full(file: &dyn ReadAt, offset: u64, into: &mut [u8]) -> io::Result<usize> {
    let mut got = 0;
    while got < into.len() {
        match file.read_at(offset + got as u64, &mut into[got..]) {
            Ok(0) => break,
            Ok(bytes) => got += bytes,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(got)
}

impl ReadAt for File {
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        FileExt::read_at(self, into, offset)
    }
    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }
}

impl ReadAt for Vec<u8> {
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        let rest = usize::try_from(offset).ok().and_then(|at| self.get(at..)).unwrap_or(&[]);
        let len = rest.len().min(into.len());
        into[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }
    fn length(&self) -> io::Result<u64> {
        Ok(self.len() as u64)
    }
}

/// A lane's journal as its reader sees it: numbered files.
pub trait Folder: Send + Sync {
    /// Numbers of the files, rising.
    ///
    /// # Errors
    /// What the system says.
    fn list(&self) -> io::Result<Vec<u64>>;

    /// Opens a file for reading.
    ///
    /// # Errors
    /// What the system says; [`io::ErrorKind::NotFound`] when retention has removed it.
    fn open(&self, number: u64) -> io::Result<Box<dyn ReadAt>>;

    /// Shortens a file to `length` bytes and brings that to disk. For recovery alone.
    ///
    /// # Errors
    /// What the system says.
    fn cut(&self, number: u64, length: u64) -> io::Result<()>;
}

/// What the writer's [`Action`]s do.
pub trait Disk {
    /// Makes a new file, and makes sure that its name survives a power loss.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] when there is one: the writer takes the next number.
    fn create(&mut self, number: u64) -> io::Result<()>;
    /// Writes all bytes at a place.
    ///
    /// # Errors
    /// What the system says. The same write may come again.
    fn write(&mut self, number: u64, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Brings what was written to disk.
    ///
    /// # Errors
    /// What the system says.
    fn sync(&mut self, number: u64) -> io::Result<()>;
    /// Cuts the file to `length`, brings it to disk and closes it.
    ///
    /// # Errors
    /// What the system says. The file is closed in any case.
    fn close(&mut self, number: u64, length: u64) -> io::Result<()>;
    /// Removes a file.
    ///
    /// # Errors
    /// What the system says.
    fn delete(&mut self, number: u64) -> io::Result<()>;
}

/// Does all that the writer wants done now, one after the other.
pub fn drive<D: Directory>(writer: &mut Writer<D>, disk: &mut impl Disk, now: Now) {
    while let Some(action) = writer.poll_action(now) {
        match action {
            Action::Create { file } => writer.handle_created(now, file, disk.create(file).map_err(Fault::of)),
            Action::Write(block) => {
                let done = disk.write(block.file(), block.offset(), block.bytes()).map_err(Fault::of);
                writer.handle_written(now, block, done);
            }
            Action::Sync { file } => writer.handle_synced(now, file, disk.sync(file).map_err(Fault::of)),
            Action::Close { file, length } => {
                writer.handle_closed(now, file, disk.close(file, length).map_err(Fault::of));
            }
            Action::Delete { file } => writer.handle_deleted(now, file, disk.delete(file).map_err(Fault::of)),
        }
    }
}

/// A folder of the file system.
#[derive(Debug)]
pub struct FsFolder {
    path: PathBuf,
    /// Files that are being written.
    open: BTreeMap<u64, File>,
}

impl FsFolder {
    /// The folder at `path`, which need not exist yet.
    pub fn new(path: impl Into<PathBuf>) -> FsFolder {
        FsFolder { path: path.into(), open: BTreeMap::new() }
    }

    /// Makes the folder, readable for its group.
    ///
    /// # Errors
    /// What the system says.
    pub fn make(&self) -> io::Result<()> {
        use std::os::unix::fs::DirBuilderExt;
        fs::DirBuilder::new().recursive(true).mode(0o750).create(&self.path)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn file(&self, number: u64) -> PathBuf {
        self.path.join(file_name(number))
    }

    fn writing(&self, number: u64) -> io::Result<&File> {
        self.open.get(&number).ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the file is not being written"))
    }
}

impl Folder for FsFolder {
    fn list(&self) -> io::Result<Vec<u64>> {
        let entries = match fs::read_dir(&self.path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other?,
        };
        let mut numbers = Vec::new();
        for entry in entries {
            numbers.extend(entry?.file_name().to_str().and_then(file_number));
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    fn open(&self, number: u64) -> io::Result<Box<dyn ReadAt>> {
        Ok(Box::new(File::open(self.file(number))?))
    }

    fn cut(&self, number: u64, length: u64) -> io::Result<()> {
        let file = OpenOptions::new().write(true).open(self.file(number))?;
        file.set_len(length)?;
        file.sync_all()
    }
}

impl Disk for FsFolder {
    fn create(&mut self, number: u64) -> io::Result<()> {
        let file = OpenOptions::new().write(true).create_new(true).mode(0o640).open(self.file(number))?;
        // A file whose name is lost takes all that was promised of it along.
        File::open(&self.path)?.sync_all()?;
        self.open.insert(number, file);
        Ok(())
    }
    fn write(&mut self, number: u64, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.writing(number)?.write_all_at(bytes, offset)
    }
    fn sync(&mut self, number: u64) -> io::Result<()> {
        self.writing(number)?.sync_data()
    }
    fn close(&mut self, number: u64, length: u64) -> io::Result<()> {
        let Some(file) = self.open.remove(&number) else { return Ok(()) };
        file.set_len(length)?;
        file.sync_all()
    }
    fn delete(&mut self, number: u64) -> io::Result<()> {
        fs::remove_file(self.file(number))
    }
}

/// A folder in memory, for tests; its clones are the same folder.
#[derive(Debug, Clone, Default)]
pub struct MemoryFolder {
    files: Arc<Mutex<BTreeMap<u64, Vec<u8>>>>,
}

impl MemoryFolder {
    /// All files.
    pub fn files(&self) -> MutexGuard<'_, BTreeMap<u64, Vec<u8>>> {
        self.files.lock().expect("nobody panics with the lock held")
    }

    fn with<T>(&self, number: u64, then: impl FnOnce(&mut Vec<u8>) -> T) -> io::Result<T> {
        self.files().get_mut(&number).map(then).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Folder for MemoryFolder {
    fn list(&self) -> io::Result<Vec<u64>> {
        Ok(self.files().keys().copied().collect())
    }
    fn open(&self, number: u64) -> io::Result<Box<dyn ReadAt>> {
        self.with(number, |_| ())?;
        Ok(Box::new(MemoryFile { folder: self.clone(), number }))
    }
    fn cut(&self, number: u64, length: u64) -> io::Result<()> {
        self.with(number, |bytes| bytes.truncate(length as usize))
    }
}

struct MemoryFile {
    folder: MemoryFolder,
    number: u64,
}

impl ReadAt for MemoryFile {
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        self.folder.with(self.number, |bytes| ReadAt::read_at(bytes, offset, into))?
    }
    fn length(&self) -> io::Result<u64> {
        self.folder.with(self.number, |bytes| bytes.len() as u64)
    }
}

impl Disk for MemoryFolder {
    fn create(&mut self, number: u64) -> io::Result<()> {
        if self.files().contains_key(&number) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.files().insert(number, Vec::new());
        Ok(())
    }
    fn write(&mut self, number: u64, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.with(number, |file| {
            let end = offset as usize + bytes.len();
            file.resize(file.len().max(end), 0);
            file[offset as usize..end].copy_from_slice(bytes);
        })
    }
    fn sync(&mut self, number: u64) -> io::Result<()> {
        self.with(number, |_| ())
    }
    fn close(&mut self, number: u64, length: u64) -> io::Result<()> {
        self.with(number, |bytes| bytes.truncate(length as usize))
    }
    fn delete(&mut self, number: u64) -> io::Result<()> {
        self.files().remove(&number).map(|_| ()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}
