//! The numbered list of messages behind a session, kept so that any client can resume at any number.
//!
//! A synthetic market is logged to temporary files that have no name any more, read back by position; memory holds only
//! a small index. An ITCH file is its own log. Both have the same framing: a big-endian `u16` length and the message.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

/// Default of the most bytes that a log keeps on disk.
pub const DEFAULT_MAX_LOG_BYTES: u64 = 4 << 30;
/// Smallest allowed limit: every segment must hold some batches.
pub const MIN_LOG_BYTES: u64 = 1 << 20;
/// A log is this many files, the oldest of which goes when the limit is reached.
const SEGMENTS: u64 = 8;
/// Most bytes of one [`MessageLog::append`].
pub const MAX_BATCH_BYTES: usize = 64 << 10;
/// Messages between two entries of the index.
const INDEX_EVERY: u64 = 1_024;
/// Bytes of one positional read; more than one largest message with its length.
const READ_BYTES: usize = 256 << 10;
/// Bytes read for each message that is wanted: every ITCH message with its length. A longer one costs a second read.
const USUAL_MESSAGE_BYTES: u64 = 64;
const LENGTH_BYTES: usize = 2;

/// Why a log cannot go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// The system refused.
    #[error("{what} {path}: {cause}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// The system's words.
        cause: io::Error,
    },
    /// An ITCH file ends inside a message.
    #[error(
        "{path} is cut in mid-message: message {message} at offset {offset} needs {need} bytes, the file has {have}; \
         copy the file again, or keep its first {offset} bytes with: head -c {offset}"
    )]
    Cut {
        /// The file.
        path: PathBuf,
        /// Number of the unfinished message, from 1.
        message: u64,
        /// Where its length stands.
        offset: u64,
        /// Bytes from there to its end.
        need: u64,
        /// Bytes that are there.
        have: u64,
    },
    /// An ITCH file without any message.
    #[error("{path} holds no message; an ITCH file is a u16 big-endian length and the message, repeated")]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// The message that a cursor needs has been dropped at the size limit.
    #[error("message {wanted} is no longer held, the first one is {first}; raise the log's size limit")]
    Dropped {
        /// The cursor's message.
        wanted: u64,
        /// First message held.
        first: u64,
    },
}

#[derive(Debug)]
struct Segment {
    file: Arc<File>,
    /// Number of its first message, and the number after its last.
    first: u64,
    end: u64,
    bytes: u64,
    /// Message number and offset, at least one entry.
    index: Vec<(u64, u64)>,
}

impl Segment {
    fn new(file: File, first: u64) -> Self {
        Self { file: Arc::new(file), first, end: first, bytes: 0, index: vec![(first, 0)] }
    }

    fn note(&mut self, number: u64, offset: u64) {
        if number >= self.index.last().map_or(0, |last| last.0) + INDEX_EVERY {
            self.index.push((number, offset));
        }
    }
}

/// One session's messages, numbered from 1. One thread appends, any number read.
#[derive(Debug)]
pub struct MessageLog {
    path: PathBuf,
    segment_limit: u64,
    segments: RwLock<VecDeque<Segment>>,
}

/// A reader's place in a log.
#[derive(Debug)]
pub struct Cursor {
    next: u64,
    /// First number of the segment that it stands in, and a message there with its offset, at or before `next`.
    segment: u64,
    at: (u64, u64),
    buffer: Vec<u8>,
}

impl Cursor {
    /// A cursor whose next message is number `next`, from 1.
    #[must_use]
    pub fn new(next: u64) -> Self {
        Self { next, segment: 0, at: (0, 0), buffer: Vec::new() }
    }

    /// Number of the message that comes next.
    #[must_use]
    pub fn next(&self) -> u64 {
        self.next
    }
}

impl MessageLog {
    /// An empty log in `directory`, of at most `max_bytes` (raised to [`MIN_LOG_BYTES`]).
    ///
    /// # Errors
    /// When the directory takes no file.
    pub fn create(directory: &Path, max_bytes: u64) -> Result<Self, LogError> {
        let log = Self {
            path: directory.to_owned(),
            segment_limit: max_bytes.max(MIN_LOG_BYTES) / SEGMENTS,
            segments: RwLock::default(),
        };
        let first = Segment::new(nameless_file(directory)?, 1);
        log.write().push_back(first);
        Ok(log)
    }

    /// The log that an ITCH file is. Reads it once to check its framing; a length of 0 ends it.
    ///
    /// # Errors
    /// When the file cannot be read, is cut in mid-message, or holds nothing.
    pub fn open(path: &Path) -> Result<Self, LogError> {
        let fail = |what| move |cause| LogError::Io { what, path: path.to_owned(), cause };
        let file = File::open(path).map_err(fail("cannot open"))?;
        let file_bytes = file.metadata().map_err(fail("cannot inspect"))?.len();
        let mut segment = Segment::new(file, 1);
        let mut buffer = Vec::new();
        loop {
            read_at_most(&segment.file, &mut buffer, segment.bytes, u64::MAX).map_err(fail("cannot read"))?;
            let before = segment.bytes;
            for message in frames(&buffer) {
                if message.is_empty() {
                    return Self::whole(path, segment);
                }
                segment.note(segment.end, segment.bytes);
                segment.end += 1;
                segment.bytes += (LENGTH_BYTES + message.len()) as u64;
            }
            if segment.bytes == file_bytes {
                return Self::whole(path, segment);
            }
            if segment.bytes == before {
                let have = file_bytes - segment.bytes;
                let need = buffer.first_chunk().map_or(LENGTH_BYTES as u64, |length: &[u8; LENGTH_BYTES]| {
                    LENGTH_BYTES as u64 + u64::from(u16::from_be_bytes(*length))
                });
                let (path, message, offset) = (path.to_owned(), segment.end, segment.bytes);
                return Err(LogError::Cut { path, message, offset, need, have });
            }
        }
    }

    fn whole(path: &Path, segment: Segment) -> Result<Self, LogError> {
        match segment.end {
            1 => Err(LogError::Empty { path: path.to_owned() }),
            _ => {
                let segments = RwLock::new(VecDeque::from([segment]));
                Ok(Self { path: path.to_owned(), segment_limit: u64::MAX, segments })
            }
        }
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, VecDeque<Segment>> {
        // The list is changed in one push or pop each, so a panicking thread leaves it whole.
        self.segments.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn read_segments(&self) -> std::sync::RwLockReadGuard<'_, VecDeque<Segment>> {
        self.segments.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// First message held.
    #[must_use]
    pub fn first(&self) -> u64 {
        self.read_segments().front().map_or(1, |segment| segment.first)
    }

    /// Number after the last message.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.read_segments().back().map_or(1, |segment| segment.end)
    }

    /// Appends `count` framed messages, of [`MAX_BATCH_BYTES`] at most unless it is one message. Returns the number after
    /// the last one, and whether the oldest messages had to go.
    ///
    /// # Errors
    /// When the disk does not take them; the log is then as it was.
    pub fn append(&self, framed: &[u8], count: u64) -> Result<(u64, bool), LogError> {
        let fail = |cause| LogError::Io { what: "cannot write the log in", path: self.path.clone(), cause };
        let (mut file, mut bytes, mut end) = {
            let segments = self.read_segments();
            let last = segments.back().expect("a log has a segment");
            (Arc::clone(&last.file), last.bytes, last.end)
        };
        let mut dropped = false;
        if bytes > 0 && bytes + framed.len() as u64 > self.segment_limit {
            let segment = Segment::new(nameless_file(&self.path)?, end);
            (file, bytes) = (Arc::clone(&segment.file), 0);
            let mut segments = self.write();
            segments.push_back(segment);
            if segments.len() as u64 > SEGMENTS {
                segments.pop_front();
                dropped = true;
            }
        }
        // Written outside of the lock: readers stop at the recorded end, so they never see half a batch.
        file.write_all_at(framed, bytes).map_err(fail)?;
        let mut segments = self.write();
        let last = segments.back_mut().expect("a log has a segment");
        last.note(end, bytes);
        end += count;
        last.end = end;
        last.bytes += framed.len() as u64;
        Ok((end, dropped))
    }

    /// Gives messages to `take`, in order, from the cursor up to before number `until`, until `take` wants no more
    /// (false), the segment ends, or one buffer is done. Returns how many were given; 0 only when there is none.
    ///
    /// # Errors
    /// When the file cannot be read, or the message has been dropped.
    pub fn read(&self, cursor: &mut Cursor, until: u64, mut take: impl FnMut(&[u8]) -> bool) -> Result<u64, LogError> {
        let fail = |cause| LogError::Io { what: "cannot read the log", path: self.path.clone(), cause };
        let mut given = 0;
        let mut guess_per_message = USUAL_MESSAGE_BYTES;
        while given == 0 && cursor.next < until {
            let Some((file, end_bytes)) = self.place(cursor)? else { return Ok(0) };
            let (mut number, mut offset) = cursor.at;
            // No further than what is committed, as a batch may be under way behind it, and not much more than what is
            // wanted: a client at the head takes one message at a time.
            let committed = end_bytes - offset;
            let limit = (until - number).saturating_mul(guess_per_message).min(committed);
            read_at_most(&file, &mut cursor.buffer, offset, limit).map_err(fail)?;
            let before = offset;
            for message in frames(&cursor.buffer) {
                if number >= until {
                    break;
                }
                number += 1;
                offset += (LENGTH_BYTES + message.len()) as u64;
                if number > cursor.next {
                    cursor.next = number;
                    given += 1;
                    if !take(message) {
                        break;
                    }
                }
            }
            cursor.at = (number, offset);
            if offset == before {
                // Nothing whole: a message longer than the guess, or else a file that has shrunk.
                if guess_per_message == READ_BYTES as u64 {
                    return Err(fail(io::ErrorKind::UnexpectedEof.into()));
                }
                guess_per_message = READ_BYTES as u64;
            }
        }
        Ok(given)
    }

    /// Finds the file for the cursor and moves its place there; none when its message does not exist yet.
    fn place(&self, cursor: &mut Cursor) -> Result<Option<(Arc<File>, u64)>, LogError> {
        let segments = self.read_segments();
        let after = segments.partition_point(|segment| segment.first <= cursor.next);
        let Some(segment) = after.checked_sub(1).and_then(|at| segments.get(at)) else {
            let first = segments.front().map_or(1, |segment| segment.first);
            return Err(LogError::Dropped { wanted: cursor.next, first });
        };
        if cursor.next >= segment.end {
            return Ok(None);
        }
        if cursor.segment != segment.first {
            cursor.segment = segment.first;
            let entry = segment.index.partition_point(|entry| entry.0 <= cursor.next);
            cursor.at = segment.index[entry - 1];
        }
        Ok(Some((Arc::clone(&segment.file), segment.bytes)))
    }
}

/// A file that disappears with its last user, even when that one is killed.
fn nameless_file(directory: &Path) -> Result<File, LogError> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let name = format!("ticklane-venue-{}-{}.log", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let path = directory.join(name);
    let fail = |cause| LogError::Io {
        what: "cannot make a log file (choose a directory with --log-dir):",
        path: path.clone(),
        cause,
    };
    let file = File::options().read(true).write(true).create_new(true).open(&path).map_err(fail)?;
    std::fs::remove_file(&path).map_err(fail)?;
    Ok(file)
}

/// Fills `buffer` from `offset`, up to `limit`, [`READ_BYTES`] or the end of the file.
fn read_at_most(file: &File, buffer: &mut Vec<u8>, offset: u64, limit: u64) -> io::Result<()> {
    buffer.resize(usize::try_from(limit).unwrap_or(usize::MAX).min(READ_BYTES), 0);
    let mut have = 0;
    while have < buffer.len() {
        match file.read_at(&mut buffer[have..], offset + have as u64) {
            Ok(0) => break,
            Ok(bytes) => have += bytes,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    buffer.truncate(have);
    Ok(())
}

/// The whole messages at the start of `bytes`. Unlike a file's walk, a tail without its end is no error here: it is read
/// again from its start.
fn frames(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (length, rest) = bytes.split_first_chunk::<LENGTH_BYTES>()?;
        let (message, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        bytes = rest;
        Some(message)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(number: u64) -> Vec<u8> {
        let mut bytes = number.to_be_bytes().to_vec();
        bytes.resize(8 + (number % 40) as usize, number as u8);
        bytes
    }

    fn filled(max_bytes: u64, count: u64, batch: u64) -> MessageLog {
        let log = MessageLog::create(&std::env::temp_dir(), max_bytes).expect("a log");
        let mut next = 1;
        while next <= count {
            let end = (next + batch).min(count + 1);
            let mut framed = Vec::new();
            (next..end).for_each(|number| wire::itchfile::append(&mut framed, &message(number)));
            assert_eq!(log.append(&framed, end - next).expect("an append").0, end);
            next = end;
        }
        log
    }

    fn assert_reads(log: &MessageLog, from: u64, until: u64, at_most: u64) {
        let mut cursor = Cursor::new(from);
        let mut want = from;
        while want < until {
            let mut taken = 0;
            let given = log.read(&mut cursor, until, |bytes| {
                assert_eq!(bytes, message(want), "message {want}");
                want += 1;
                taken += 1;
                taken < at_most
            });
            assert_eq!(given.expect("a read"), taken);
            assert!(taken > 0, "no message {want} before {until}");
        }
        assert_eq!(cursor.next(), until);
        assert_eq!(log.read(&mut cursor, until, |_| panic!("one too many")).expect("a read"), 0);
    }

    #[test]
    fn the_oldest_go_at_the_limit() {
        let log = filled(MIN_LOG_BYTES, 100_000, 100);
        let first = log.first();
        assert!(first > 1 && log.end() == 100_001, "first {first}, end {}", log.end());
        let held: u64 = (first..log.end()).map(|number| 2 + message(number).len() as u64).sum();
        assert!(held <= MIN_LOG_BYTES && held > MIN_LOG_BYTES / 2, "{held} bytes held");
        assert_reads(&log, first, log.end(), u64::MAX);
        let mut late = Cursor::new(first - 1);
        match log.read(&mut late, log.end(), |_| true) {
            Err(LogError::Dropped { wanted, first: held }) => assert_eq!((wanted, held), (first - 1, first)),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_file_is_its_own_log() {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        let mut framed = Vec::new();
        (1..=50_000).for_each(|number| wire::itchfile::append(&mut framed, &message(number)));
        let whole = framed.len();
        wire::itchfile::append_end(&mut framed);
        for (name, bytes) in [("plain end", &framed[..whole]), ("end mark", &framed[..])] {
            std::fs::write(file.path(), bytes).expect("a written file");
            let log = MessageLog::open(file.path()).expect("a log");
            assert_eq!((log.first(), log.end()), (1, 50_001), "case {name}");
            for from in [1, 2, 1_024, 1_025, 49_999] {
                assert_reads(&log, from, log.end(), 1_000);
            }
        }
        std::fs::write(file.path(), &framed[..whole - 1]).expect("a written file");
        let error = MessageLog::open(file.path()).expect_err("a cut file").to_string();
        let offset = whole - 2 - message(50_000).len();
        assert!(error.contains(&format!("message 50000 at offset {offset} needs 10 bytes, the file has 9")), "{error}");
        std::fs::write(file.path(), "").expect("a written file");
        assert!(matches!(MessageLog::open(file.path()), Err(LogError::Empty { .. })));
        assert!(matches!(MessageLog::open(Path::new("/nowhere/at.all")), Err(LogError::Io { .. })));
    }

    #[test]
    fn a_message_may_be_as_long_as_its_length_can_say() {
        let long = vec![7; usize::from(u16::MAX)];
        let log = MessageLog::create(&std::env::temp_dir(), MIN_LOG_BYTES).expect("a log");
        for message in [&b"short"[..], &long, &long, b"short"] {
            let mut framed = Vec::new();
            wire::itchfile::append(&mut framed, message);
            log.append(&framed, 1).expect("an append");
        }
        let mut cursor = Cursor::new(1);
        let mut lengths = Vec::new();
        while log
            .read(&mut cursor, 5, |message| {
                lengths.push(message.len());
                true
            })
            .expect("a read")
            > 0
        {}
        assert_eq!(lengths, [5, 65_535, 65_535, 5]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn resume_at_any_number_gives_the_same(
            from in 1u64..5_000, length in 0u64..5_000, batch in 1u64..700, at_most in 1u64..600,
        ) {
            let log = filled(MIN_LOG_BYTES, 5_000, batch);
            assert_reads(&log, from, (from + length).min(5_001), at_most);
        }
    }
}
