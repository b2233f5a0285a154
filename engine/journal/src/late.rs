//! Books for those who come late: a journal's image and the records since, up to a place from which the live ring goes on.
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let journal = journal::Journal::open("/var/lib/ticklane/journal/lane0")?;
//! let mut late = journal::late::newest(&journal, 8 << 20)?;
//! let cursor = late.cursor;
//! while let Some(record) = late.records.next() {
//!     // What keeps books by records takes `record.words` here, and then whatever the ring gives from `cursor` on.
//!     assert_eq!(record.words.len(), 7);
//! }
//! println!("books as of {cursor}");
//! # Ok(())
//! # }
//! ```
//!
//! `clients/rust` takes them by `l3::Books::load`; `bench/examples/late_books.rs` shows the whole of it.
//!
//! Source: decisions.md 11.

use shm_abi::cursor::Cursor;
use shm_abi::directory::Text;
use shm_abi::segment::RingName;

use crate::book::Books;
use crate::book_records::{BookRecords, Stamp};
use crate::image::{books_at, load};
use crate::journal::Journal;
use crate::reader::{Entry, SeekError};

/// Books at a place of the orders ring.
#[derive(Debug)]
pub struct Late {
    /// Number of the orders ring from which on its records follow these books.
    pub cursor: Cursor,
    /// The books, as records.
    pub records: BookRecords,
}

/// Books as of number `n` of an epoch's orders ring: the journal's last image before it and the records since. They hold
/// at most `limit` orders.
///
/// # Errors
/// [`SeekError::Beyond`] while the journal has not come that far; [`SeekError`] when it has no longer what is needed.
pub fn join(journal: &Journal, epoch: u64, n: u64, limit: usize) -> Result<Late, SeekError> {
    let (books, _) = books_at(journal, epoch, n, limit)?;
    Ok(late(journal, epoch, n, books))
}

/// Books as of the newest record of the orders ring that the journal has. It lags the live ring by what is not written
/// yet: less than the ring holds, unless the disk is slow.
///
/// # Errors
/// As [`join`]; [`SeekError::UnknownEpoch`] when nothing is recorded.
pub fn newest(journal: &Journal, limit: usize) -> Result<Late, SeekError> {
    let mut start = None;
    for epoch in journal.epochs().into_iter().rev() {
        start = load(journal, epoch, u64::MAX, limit)?;
        if start.is_some() {
            break;
        }
    }
    let (mut books, mut reader) = match start {
        Some((books, n, epoch)) => (books, journal.seek(RingName::Orders, epoch, n)?),
        None => {
            let file = journal.files().first().ok_or(SeekError::UnknownEpoch { epoch: 0 })?;
            let begins = file.first[0] == 0 && file.old_epoch == 0;
            (Books::new(begins, limit), journal.oldest(RingName::Orders))
        }
    };
    while let Some(entry) = reader.next()? {
        books.apply(&entry);
    }
    let epoch = reader.epoch().ok_or(SeekError::UnknownEpoch { epoch: 0 })?;
    Ok(late(journal, epoch, reader.next_number(), books))
}

fn late(journal: &Journal, epoch: u64, n: u64, books: Books) -> Late {
    let lane = journal.lane().unwrap_or(Text::new(b""));
    let records = BookRecords::new(books, stamp_before(journal, epoch, n), None);
    Late { cursor: Cursor { lane, epoch, seq: n }, records }
}

/// Time and sequence of the record at a number, or nothing where the journal has none: only for those who look at the
/// records of an image.
pub(crate) fn stamp_before(journal: &Journal, epoch: u64, n: u64) -> Stamp {
    let read = || {
        let mut reader = journal.seek(RingName::Orders, epoch, n).ok()?;
        match reader.next().ok()?? {
            Entry::Record { words, .. } => {
                let head = Entry::Record { n, words }.record()?.head;
                Some(Stamp { published_ns: head.ts_publish(), sequence_low: head.venue_sequence_low.wrapping_sub(1) })
            }
            _ => None,
        }
    };
    read().unwrap_or_default()
}
