//! What a journal wants done, done as tasks of the reactor: several writes are under way at a time, and none is waited for.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::rc::Rc;

use journal::format::file_name;
use journal::writer::{Action, Block, Fault};

use crate::rt;
use crate::rt::files::{OutFile, remove};

/// How a thing went.
pub(super) enum Done {
    Created(u64, Result<(), Fault>),
    Written(Block, Result<(), Fault>),
    Synced(u64, Result<(), Fault>),
    Closed(u64, Result<(), Fault>),
    Deleted(u64, Result<(), Fault>),
}

/// One lane's folder, and the files that are open in it.
#[derive(Clone)]
pub(super) struct Disk {
    folder: Rc<PathBuf>,
    open: Rc<RefCell<BTreeMap<u64, Rc<OutFile>>>>,
    done: Rc<RefCell<Vec<Done>>>,
}

impl Disk {
    pub(super) fn new(folder: PathBuf) -> Disk {
        Disk { folder: Rc::new(folder), open: Rc::default(), done: Rc::default() }
    }

    /// Begins an action; how it went comes from [`Disk::done`].
    pub(super) fn begin(&self, action: Action) {
        let disk = self.clone();
        rt::spawn_beside(async move {
            let done = disk.perform(action).await;
            disk.done.borrow_mut().push(done);
        });
    }

    /// What has been done since the last call, into `done`, which is empty before.
    pub(super) fn take_done(&self, done: &mut Vec<Done>) {
        std::mem::swap(&mut *self.done.borrow_mut(), done);
    }

    async fn perform(&self, action: Action) -> Done {
        match action {
            Action::Create { file } => Done::Created(file, self.create(file).await.map_err(Fault::of)),
            Action::Write(block) => {
                let (file, offset, bytes) = (block.file(), block.offset(), block.bytes().to_vec());
                let result = match self.file(file) {
                    Ok(file) => file.write_all_at(bytes, offset).await,
                    Err(error) => Err(error),
                };
                Done::Written(block, result.map_err(Fault::of))
            }
            Action::Sync { file } => Done::Synced(file, self.sync(file).await.map_err(Fault::of)),
            Action::Close { file, length } => Done::Closed(file, self.close(file, length).await.map_err(Fault::of)),
            Action::Delete { file } => {
                Done::Deleted(file, remove(&self.folder.join(file_name(file))).await.map_err(Fault::of))
            }
        }
    }

    fn file(&self, number: u64) -> io::Result<Rc<OutFile>> {
        let missing = || io::Error::new(io::ErrorKind::NotFound, "the file is not being written");
        self.open.borrow().get(&number).cloned().ok_or_else(missing)
    }

    async fn create(&self, number: u64) -> io::Result<()> {
        let file = OutFile::create(&self.folder, &file_name(number)).await?;
        self.open.borrow_mut().insert(number, Rc::new(file));
        Ok(())
    }

    async fn sync(&self, number: u64) -> io::Result<()> {
        self.file(number)?.sync().await
    }

    async fn close(&self, number: u64, length: u64) -> io::Result<()> {
        let Some(file) = self.open.borrow_mut().remove(&number) else { return Ok(()) };
        file.cut(length).await
    }
}
