//! A feed from an ITCH file: one session whose messages count from 1, each with its own time for the time of receipt.
//!
//! Source: Nasdaq BinaryFILE 1.00.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::rc::Rc;

use flate2::read::MultiGzDecoder;
use market::ingest::{SessionEvent, SessionStart};
use market::{BATCH, MessageAt, Stamps};
use shm_abi::layout::FeedState;
use shm_abi::record::flag;
use wire::dialect::{Clock, Dialect, Role};

use super::bytes::is_gzip;
use super::{Driver, Fault};
use crate::config::Transport;
use crate::feed::FeedTask;

/// Bytes read at a time. Larger than any message.
const WINDOW_BYTES: usize = 1 << 20;
const LENGTH_BYTES: usize = 2;
const SECOND_NS: u64 = 1_000_000_000;
/// Name of the session: the file has none.
const SESSION: [u8; 16] = *b"REPLAY          ";

/// Plays all of it; gives what there is to say of its end.
pub(super) async fn play(task: &mut FeedTask, path: &Path, driver: &mut Driver) -> Result<String, Fault> {
    let failed = |error: io::Error| Fault::Source(format!("{}: {error}", path.display()));
    if matches!(task.plan.transport, Transport::Records) {
        return Err(Fault::Source("an ITCH file: expected a protocol of messages, not \"recorded\"".into()));
    }
    let midnight_ns = task.plan.calendar.midnight_ns(0);
    let mut file = MessageFile::open(path, task.plan.dialect, midnight_ns).map_err(failed)?;
    driver.set_total(task, file.total);
    let mut batch = Batch::new();
    let mut sequence = 0;
    loop {
        let next = file.peek();
        if batch.len > 0 && !matches!(next, Peeked::Message { ts_ns, .. } if batch.takes(ts_ns)) {
            batch.publish(task, &file.window, sequence);
            driver.after(task, file.done()).await?;
        }
        match next {
            Peeked::Message { at, len, ts_ns } => {
                if batch.len == 0 || !driver.is_due(ts_ns) {
                    if batch.len > 0 {
                        batch.publish(task, &file.window, sequence);
                        driver.after(task, file.done()).await?;
                    }
                    driver.due(task, ts_ns).await?;
                }
                if sequence == 0 {
                    begin(task, ts_ns);
                }
                sequence += 1;
                batch.push(MessageAt { sequence, at: at as u32, len: len as u32 }, ts_ns);
                file.take(at + len);
            }
            Peeked::Unread => file.read_on().map_err(failed)?,
            Peeked::End => break,
        }
    }
    end(task, file.last_ns, sequence);
    driver.after(task, file.total).await?;
    let cut = match file.unread() {
        0 => String::new(),
        left => format!(": it is cut, {left} bytes at its end are no whole message"),
    };
    Ok(format!("end of file after {sequence} messages{cut}"))
}

fn begin(task: &FeedTask, ts_ns: u64) {
    let stamps = Stamps { ts_recv: ts_ns, ts_publish: ts_ns, flags: flag::RECV_USER };
    task.lane.borrow_mut().out.session_began(&SESSION, SessionStart::First, None, stamps);
}

fn end(task: &FeedTask, ts_ns: u64, sequence: u64) {
    let out = &mut task.lane.borrow_mut().out;
    if sequence > 0 {
        out.session_event(SessionEvent::Ended, ts_ns);
    }
    out.end_burst(sequence + 1);
    out.set_state(FeedState::EndOfSession);
}

/// Messages of one time, which go to the books together.
struct Batch {
    messages: [MessageAt; BATCH],
    len: usize,
    ts_ns: u64,
}

impl Batch {
    fn new() -> Batch {
        Batch { messages: [MessageAt::default(); BATCH], len: 0, ts_ns: 0 }
    }

    fn takes(&self, ts_ns: u64) -> bool {
        self.ts_ns == ts_ns && self.len < BATCH
    }

    fn push(&mut self, message: MessageAt, ts_ns: u64) {
        self.messages[self.len] = message;
        self.len += 1;
        self.ts_ns = ts_ns;
    }

    fn publish(&mut self, task: &FeedTask, window: &[u8], sequence: u64) {
        let stamps = Stamps { ts_recv: self.ts_ns, ts_publish: self.ts_ns, flags: flag::RECV_USER };
        let out = &mut task.lane.borrow_mut().out;
        out.apply(window, &self.messages[..self.len], stamps);
        out.count_burst(self.len as u64);
        out.end_burst(sequence + 1);
        self.len = 0;
    }
}

/// A file that is read through a window.
struct MessageFile {
    source: Box<dyn Read>,
    /// Bytes read from the file itself, packed or not.
    read: Rc<Cell<u64>>,
    total: u64,
    window: Vec<u8>,
    /// What of the window is filled and not yet taken.
    at: usize,
    end: usize,
    at_end: bool,
    dialect: &'static Dialect,
    midnight_ns: u64,
    /// Whole seconds of the last time stamp message.
    seconds: u64,
    /// Time of the newest message that had one, ns since the UNIX epoch.
    last_ns: u64,
}

/// What comes next in the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Peeked {
    Message {
        at: usize,
        len: usize,
        ts_ns: u64,
    },
    /// More has to be read first. What was peeked at before is then elsewhere.
    Unread,
    End,
}

impl MessageFile {
    fn open(path: &Path, dialect: &'static Dialect, midnight_ns: u64) -> io::Result<MessageFile> {
        let mut file = File::open(path)?;
        let (packed, total) = (is_gzip(&mut file)?, file.metadata()?.len());
        let read = Rc::new(Cell::new(0));
        let counted = Counted { file, read: read.clone() };
        let source: Box<dyn Read> = if packed { Box::new(MultiGzDecoder::new(counted)) } else { Box::new(counted) };
        Ok(MessageFile::of(source, read, total, dialect, midnight_ns))
    }

    fn of(
        source: Box<dyn Read>,
        read: Rc<Cell<u64>>,
        total: u64,
        dialect: &'static Dialect,
        midnight_ns: u64,
    ) -> MessageFile {
        MessageFile {
            source,
            read,
            total,
            window: vec![0; WINDOW_BYTES],
            at: 0,
            end: 0,
            at_end: false,
            dialect,
            midnight_ns,
            seconds: 0,
            last_ns: midnight_ns,
        }
    }

    /// Looks at the next message without taking it.
    fn peek(&mut self) -> Peeked {
        let unread = if self.at_end { Peeked::End } else { Peeked::Unread };
        let Some((length, body)) = self.window[self.at..self.end].split_first_chunk::<LENGTH_BYTES>() else {
            return unread;
        };
        let len = usize::from(u16::from_be_bytes(*length));
        if len == 0 {
            // The session's end; what lies behind it is not read.
            (self.at_end, self.end) = (true, self.at);
            return Peeked::End;
        }
        let Some(message) = body.get(..len) else { return unread };
        let ts_ns = time_of(self.dialect, message, self.midnight_ns, &mut self.seconds).unwrap_or(self.last_ns);
        self.last_ns = ts_ns;
        Peeked::Message { at: self.at + LENGTH_BYTES, len, ts_ns }
    }

    /// Takes what ends at this place.
    fn take(&mut self, end: usize) {
        self.at = end;
    }

    /// Reads on, after what is left was moved to the front.
    fn read_on(&mut self) -> io::Result<()> {
        self.window.copy_within(self.at..self.end, 0);
        (self.at, self.end) = (0, self.end - self.at);
        match self.source.read(&mut self.window[self.end..]) {
            Ok(0) => self.at_end = true,
            Ok(count) => self.end += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Bytes of the file that were taken; of a packed file, that were read.
    fn done(&self) -> u64 {
        self.read.get()
    }

    /// Bytes that are left at the end.
    fn unread(&self) -> usize {
        self.end - self.at
    }
}

/// UNIX time of a message by its own stamp; `None` when it has none that can be read.
fn time_of(dialect: &Dialect, message: &[u8], midnight_ns: u64, seconds: &mut u64) -> Option<u64> {
    let view = dialect.view(message).ok()?;
    if let Some(second) = view.u64(Role::Seconds) {
        *seconds = second;
        return Some(midnight_ns.saturating_add(second.saturating_mul(SECOND_NS)));
    }
    let ns = view.u64(Role::TimestampNs)?;
    let base = match dialect.clock() {
        Clock::NanosSinceMidnight => 0,
        Clock::SecondsAndNanos => seconds.saturating_mul(SECOND_NS),
    };
    Some(midnight_ns.saturating_add(base).saturating_add(ns))
}

/// Counts what is read.
struct Counted {
    file: File,
    read: Rc<Cell<u64>>,
}

impl Read for Counted {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(into)?;
        self.read.set(self.read.get() + count as u64);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A system event of Nasdaq at `ns` since midnight.
    fn event(ns: u64) -> Vec<u8> {
        let mut message = b"S\0\0\0\0".to_vec();
        message.extend_from_slice(&ns.to_be_bytes()[2..]);
        message.push(b'O');
        message
    }

    /// Gives a byte at a time.
    struct Drip(Vec<u8>, usize);
    impl Read for Drip {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let Some(byte) = self.0.get(self.1) else { return Ok(0) };
            into[0] = *byte;
            self.1 += 1;
            Ok(1)
        }
    }

    fn walk(bytes: Vec<u8>) -> (Vec<(usize, u64)>, usize) {
        let mut file = MessageFile::of(Box::new(Drip(bytes, 0)), Rc::default(), 0, &wire::dialect::NASDAQ_50, 1_000);
        let mut found = Vec::new();
        loop {
            match file.peek() {
                Peeked::Message { at, len, ts_ns } => {
                    found.push((len, ts_ns));
                    file.take(at + len);
                }
                Peeked::Unread => file.read_on().unwrap(),
                Peeked::End => return (found, file.unread()),
            }
        }
    }

    #[test]
    fn messages_have_their_own_times_and_others_that_of_the_one_before() {
        let mut bytes = Vec::new();
        for message in [&event(7)[..], b"?strange", &event(9)] {
            wire::itchfile::append(&mut bytes, message);
        }
        let whole = vec![(12, 1_007), (8, 1_007), (12, 1_009)];
        assert_eq!(walk(bytes.clone()), (whole.clone(), 0));
        let mut cut = bytes.clone();
        cut.extend_from_slice(b"\0\x0cS");
        assert_eq!(walk(cut), (whole.clone(), 3), "a cut tail");
        wire::itchfile::append_end(&mut bytes);
        bytes.extend_from_slice(b"whatever");
        assert_eq!(walk(bytes).0, whole, "the end of the session");
    }
}
