//! What a writer has to know before it goes on with a lane's journal, and the cut where a crash has torn it.

use shm_abi::directory::Text;

use crate::damage::Damage;
use crate::disk::Folder;
use crate::format::ALIGN;
use crate::index::{FileIndex, Tail};
use crate::journal::{Journal, ReadError};
use crate::pages::Pages;

/// A file that retention counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// Its number.
    pub number: u64,
    /// Its bytes.
    pub bytes: u64,
    /// Wall-clock time at which it was over, ns since the UNIX epoch.
    pub ended_ns: u64,
}

/// What was behind the last good block of a file and is gone now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// Number of the file.
    pub file: u64,
    /// Byte at which it ends now.
    pub offset: u64,
    /// Bytes that were cut.
    pub bytes: u64,
    /// By ring: the number behind the last that the file still has. What comes from there on is recorded anew while the
    /// ring has it.
    pub next: [u64; 2],
    /// What the first of the cut bytes were; `None`: zeros.
    pub damage: Option<Damage>,
}

/// Where the recording of a lane stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopped {
    /// Epoch of the last file.
    pub epoch: u64,
    /// Incarnation of the last file.
    pub incarnation: u64,
    /// By ring: the number to go on from.
    pub next: [u64; 2],
    /// Whether the last file was closed in order.
    pub in_order: bool,
}

/// A lane's journal as its next writer finds it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Number of the next file.
    pub next_file: u64,
    /// Files there are, oldest first.
    pub kept: Vec<Kept>,
    /// By ring: latest publish time of all files, ns; 0: none.
    pub latest_ns: [u64; 2],
    /// Where the last file stopped; `None` when there is none.
    pub stopped: Option<Stopped>,
    /// The cut of the last file, if it was not closed in order and something stood behind its last good block.
    pub cut: Option<Cut>,
    /// Files without a good header, by number. They are left as they are until retention removes them.
    pub refused: Vec<(u64, Damage)>,
}

/// Looks at all files of lane `lane`, cuts the last one at its last good block, and says where to go on.
///
/// # Errors
/// [`ReadError::Io`]; [`ReadError::Damaged`] when a file is of another lane: then the folder is the wrong one.
pub fn recover(folder: std::sync::Arc<dyn Folder>, lane: &str) -> Result<Recovered, ReadError> {
    let io = |file, source| ReadError::Io { file, offset: 0, source };
    let list = folder.list().map_err(|source| io(u64::MAX, source))?;
    let mut recovered =
        Recovered { next_file: list.last().map_or(0, |last| last.saturating_add(1)), ..Recovered::default() };
    let journal = Journal::of(folder.clone())?;
    if let Some(other) = journal.files().iter().find(|file| file.lane != Text::new(lane.as_bytes())) {
        let seen = u64::from_le_bytes(std::array::from_fn(|i| other.lane.bytes()[i]));
        let damage = Damage::rule(0, "lane name", seen, "the lane whose journal this folder holds");
        return Err(ReadError::Damaged { file: other.number, damage });
    }
    recovered.refused = journal.refused().to_vec();
    if let Some(last) = journal.files().last() {
        recover_last(folder.as_ref(), last.number, &mut recovered)?;
    }
    let ends = journal.files().iter().skip(1).chain(journal.files().last()).map(|next| next.created_ns);
    for (header, ended_ns) in journal.files().iter().zip(ends) {
        let number = header.number;
        let bytes = folder.open(number).and_then(|file| file.length()).map_err(|source| io(number, source))?;
        recovered.kept.push(Kept { number, bytes, ended_ns });
    }
    for (number, _) in &recovered.refused {
        let bytes = folder.open(*number).and_then(|file| file.length()).map_err(|source| io(*number, source))?;
        // Nothing tells its age: that of the file before it is at least as high.
        let before = recovered.kept.iter().rfind(|kept| kept.number < *number);
        let kept = Kept { number: *number, bytes, ended_ns: before.map_or(u64::MAX, |kept| kept.ended_ns) };
        recovered.kept.push(kept);
        recovered.kept.sort_unstable_by_key(|kept| kept.number);
    }
    Ok(recovered)
}

fn recover_last(folder: &dyn Folder, number: u64, recovered: &mut Recovered) -> Result<(), ReadError> {
    let io = |offset, source| ReadError::Io { file: number, offset, source };
    let file = folder.open(number).map_err(|source| io(0, source))?;
    let index = FileIndex::read(number, file.as_ref(), &mut Pages::new(ALIGN))?;
    let length = file.length().map_err(|source| io(0, source))?;
    recovered.latest_ns = index.latest_ns();
    let (epoch, incarnation) = (index.header().epoch, index.header().incarnation);
    let in_order = matches!(index.tail(), Tail::Marked(_));
    recovered.stopped = Some(Stopped { epoch, incarnation, next: index.next(), in_order });
    if !in_order || length > index.end() {
        // Also when nothing is to be cut: a killed writer's last blocks may be known to the system and not to the disk.
        folder.cut(number, index.end()).map_err(|source| io(index.end(), source))?;
    }
    if length > index.end() {
        let damage = match index.tail() {
            Tail::Cut(damage) => Some(damage),
            Tail::Open | Tail::Marked(_) => None,
        };
        let (offset, bytes) = (index.end(), length - index.end());
        recovered.cut = Some(Cut { file: number, offset, bytes, next: index.next(), damage });
    }
    Ok(())
}
