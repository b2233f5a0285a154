//! From waiting blocks to places in files: headers, directory rows, turning files over, and what to do when the disk says
//! no.
//!
//! Writes may be under way at the same time and end in any order; only what is whole from the file's beginning on counts
//! as written, and only what a sync that began later has covered counts as durable. A write that fails is tried again at
//! the same place. A file that stays bad is given up: it ends at its last good block, without a mark, and everything that
//! was not written goes to the next.

mod next;
mod outcome;

use std::collections::VecDeque;

use shm_abi::directory::Text;
use shm_abi::layout::DIRECTORY_ENTRY_WORDS;
use shm_abi::segment::RingName;

use super::{Action, Block, Counters, Directory, DiskState, Fault, FaultKind, Now, Source};
use crate::config::JournalConfig;
use crate::format::{
    ALIGN, BLOCK_HEADER_BYTES, BLOCK_HEADER_WORDS, BlockHeader, BlockKind, FileHeader, HoleReason, MARK_WORDS, Mark,
    MarkReason, seal_block,
};
use crate::image::Part;
use crate::pages::Pages;
use crate::recover::Recovered;
use crate::ring_index;

/// What waits for a place.
#[derive(Debug)]
pub(super) enum Item<D> {
    Slots { header: BlockHeader, pages: Pages },
    Hole { ring: RingName, first: u64, end: u64, reason: HoleReason },
    Image { part: Part, words: usize, pages: Pages },
    Source(Source<D>),
    End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// No file is open.
    Idle,
    /// The file's creation is under way, or waits until `at_ns`.
    Creating {
        at_ns: u64,
        asked: bool,
    },
    Open,
    /// No more blocks; `None`: the file is given up, and gets no mark.
    Ending {
        mark: Option<MarkReason>,
        marked: bool,
        close_asked: bool,
    },
}

/// Whose memory a write is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    Pool,
    Image,
    /// File header, directory, hole or mark.
    Control,
}

#[derive(Debug)]
enum State {
    UnderWay,
    Failed(Pages),
    Done(Pages),
}

/// A write from when it has a place until everything before it and itself is written.
#[derive(Debug)]
struct Write {
    offset: u64,
    length: usize,
    /// `None`: the file's header.
    header: Option<BlockHeader>,
    owner: Owner,
    state: State,
    asked_ns: u64,
    tries: u32,
}

#[derive(Debug)]
pub(super) struct Placing<D> {
    lane: Text<32>,
    source: Source<D>,
    stage: Stage,
    number: u64,
    salt: u64,
    opened_ns: u64,
    /// Byte behind the last block that has a place.
    position: u64,
    /// Byte behind the last block that is written, as all before it.
    good: u64,
    /// Directory rows that have a place in this file.
    rows: usize,
    writes: VecDeque<Write>,
    /// Token of the first of them.
    first_token: u64,
    control: Option<Pages>,
    /// By ring: the first number of the file.
    first_of_file: [u64; 2],
    /// By ring: the number behind the last that has a place; is written; is synced.
    placed: [u64; 2],
    written: [u64; 2],
    durable: [u64; 2],
    latest_ns: [u64; 2],
    /// Written since the last sync was asked for.
    dirty: bool,
    /// Flushes since the last sync was asked for.
    want_sync: u32,
    /// The sync that is under way: what was written when it was asked for, and when that was.
    sync: Option<([u64; 2], u64)>,
    /// When the creation or closing that is under way was asked for.
    turning_since: Option<u64>,
    giving_up: bool,
    retry_at_ns: u64,
    fault: Option<Fault>,
    slow: bool,
}

impl<D> Placing<D> {
    pub(super) fn new(config: &JournalConfig, lane: Text<32>, recovered: &Recovered, source: Source<D>) -> Self {
        Placing {
            lane,
            first_of_file: source.first,
            placed: source.first,
            written: source.first,
            durable: source.first,
            source,
            stage: Stage::Idle,
            number: recovered.next_file,
            salt: 0,
            opened_ns: 0,
            position: 0,
            good: 0,
            rows: 0,
            writes: VecDeque::with_capacity(config.writes_in_flight as usize + 4),
            first_token: 0,
            control: Some(Pages::new(config.block_bytes as usize)),
            latest_ns: recovered.latest_ns,
            dirty: false,
            want_sync: 0,
            sync: None,
            turning_since: None,
            giving_up: false,
            retry_at_ns: 0,
            fault: None,
            slow: false,
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.stage == Stage::Idle
    }
    pub(super) fn epoch(&self) -> u64 {
        self.source.identity.epoch
    }
    pub(super) fn durable(&self, ring: RingName) -> u64 {
        self.durable[ring_index(ring)]
    }
    pub(super) fn file_number(&self) -> u64 {
        self.number
    }
    pub(super) fn file_bytes(&self) -> u64 {
        self.position
    }
    pub(super) fn want_sync(&mut self) {
        self.want_sync = self.want_sync.saturating_add(1);
    }

    pub(super) fn disk_state(&self) -> DiskState {
        match self.fault {
            Some(Fault { kind: FaultKind::Full, .. }) => DiskState::Full,
            Some(_) => DiskState::Failing,
            None if self.slow => DiskState::Slow,
            None => DiskState::Good,
        }
    }

    /// When something that failed is tried again, monotonic ns.
    pub(super) fn retry_at(&self) -> Option<u64> {
        match self.stage {
            Stage::Creating { at_ns, asked: false } => Some(at_ns),
            _ => self.has_failed().then_some(self.retry_at_ns),
        }
    }

    fn has_failed(&self) -> bool {
        self.writes.iter().any(|write| matches!(write.state, State::Failed(_)))
    }

    pub(super) fn notice_slow(&mut self, now: Now, config: &JournalConfig, counters: &mut Counters) {
        let writes = self.writes.iter().filter(|write| matches!(write.state, State::UnderWay));
        let others = self.sync.map(|(_, asked)| asked).into_iter().chain(self.turning_since);
        let asked = writes.map(|write| write.asked_ns).chain(others);
        let limit = u64::from(config.slow_after_ms) * 1_000_000;
        let slow = asked.min().is_some_and(|asked| now.monotonic_ns.saturating_sub(asked) > limit);
        counters.slow += u64::from(slow && !self.slow);
        self.slow = slow;
    }

    fn failed(&mut self, now: Now, fault: Fault, config: &JournalConfig, counters: &mut Counters) {
        counters.write_errors += 1;
        counters.full_errors += u64::from(fault.kind == FaultKind::Full);
        self.fault = Some(fault);
        self.retry_at_ns = now.monotonic_ns + u64::from(config.retry_interval_ms) * 1_000_000;
    }

    /// Gives a block the next place of the file.
    fn write(&mut self, now: Now, header: Option<BlockHeader>, owner: Owner, mut pages: Pages) -> Action {
        let length = header.map_or(ALIGN, |header| header.bytes());
        let offset = self.position;
        if let Some(header) = &header {
            seal_block(header, self.salt, offset, &mut pages.bytes_mut()[..length]);
            if let (BlockKind::Slots | BlockKind::Hole, Some(ring)) = (header.kind, header.ring) {
                self.placed[ring_index(ring)] = header.end;
            }
        }
        self.position += length as u64;
        let token = self.first_token + self.writes.len() as u64;
        let state = State::UnderWay;
        self.writes.push_back(Write { offset, length, header, owner, state, asked_ns: now.monotonic_ns, tries: 0 });
        Action::Write(Block { file: self.number, offset, token, length, pages })
    }

    /// A failed write whose time has come.
    fn retry(&mut self, now: Now) -> Option<Action> {
        if now.monotonic_ns < self.retry_at_ns {
            return None;
        }
        let at = self.writes.iter().position(|write| matches!(write.state, State::Failed(_)))?;
        let write = &mut self.writes[at];
        let State::Failed(pages) = std::mem::replace(&mut write.state, State::UnderWay) else { return None };
        write.asked_ns = now.monotonic_ns;
        let token = self.first_token + at as u64;
        Some(Action::Write(Block { file: self.number, offset: write.offset, token, length: write.length, pages }))
    }

    fn ask_sync(&mut self, now: Now) -> Action {
        (self.dirty, self.want_sync) = (false, 0);
        self.sync = Some((self.written, now.monotonic_ns));
        Action::Sync { file: self.number }
    }

    /// The header of a new file.
    fn file_header(&mut self, now: Now, mut pages: Pages) -> Action {
        let identity = self.source.identity;
        let header = FileHeader {
            number: self.number,
            created_ns: now.unix_ns,
            lane: self.lane,
            epoch: identity.epoch,
            incarnation: identity.incarnation,
            old_epoch: identity.old_epoch,
            flags: identity.flags,
            first: self.written,
            prior_latest_ns: self.latest_ns,
        };
        let (words, salt) = header.words();
        self.salt = salt;
        for (to, from) in pages.words_mut().iter_mut().zip(words) {
            *to = from.to_le();
        }
        self.write(now, None, Owner::Control, pages)
    }

    /// A block without payload or with a few words.
    fn small(&mut self, now: Now, mut header: BlockHeader, words: &[u64], mut pages: Pages) -> Action {
        pages.bytes_mut()[..ALIGN].fill(0);
        for (to, from) in pages.words_mut()[BLOCK_HEADER_WORDS..].iter_mut().zip(words) {
            *to = from.to_le();
        }
        header.payload_bytes = (words.len() * 8) as u32;
        (header.earliest_ns, header.latest_ns) = (now.unix_ns, now.unix_ns);
        self.write(now, Some(header), Owner::Control, pages)
    }

    fn mark(&mut self, now: Now, reason: MarkReason, next_epoch: u64, pages: Pages) -> Action {
        let words: [u64; MARK_WORDS] = Mark { reason, next: self.written, next_epoch }.words();
        self.small(now, header_of(BlockKind::Mark, None, 0, 0, reason as u64), &words, pages)
    }
}

impl<D: Directory> Placing<D> {
    /// Directory rows that the file does not have yet, as many as fit a block.
    fn directory(&mut self, now: Now, mut pages: Pages) -> Result<Action, Pages> {
        let fit = (pages.bytes().len() - BLOCK_HEADER_BYTES) / (DIRECTORY_ENTRY_WORDS * 8);
        let entries = pages.words_mut()[BLOCK_HEADER_WORDS..].as_chunks_mut::<DIRECTORY_ENTRY_WORDS>().0;
        let mut count = 0;
        while count < fit {
            let Some(instrument) = self.source.directory.get(self.rows + count) else { break };
            entries[count] = instrument.words(0).map(u64::to_le);
            count += 1;
        }
        if count == 0 {
            // A directory that counts more than it gives: leave it at that.
            self.rows = self.source.directory.count();
            return Err(pages);
        }
        let (first, end) = (self.rows as u64, (self.rows + count) as u64);
        let mut header = header_of(BlockKind::Directory, None, first, end, 0);
        header.count = count as u32;
        header.payload_bytes = (count * DIRECTORY_ENTRY_WORDS * 8) as u32;
        (header.earliest_ns, header.latest_ns) = (now.unix_ns, now.unix_ns);
        let length = header.bytes();
        pages.bytes_mut()[BLOCK_HEADER_BYTES + header.payload_bytes as usize..length].fill(0);
        self.rows += count;
        Ok(self.write(now, Some(header), Owner::Control, pages))
    }
}

fn header_of(kind: BlockKind, ring: Option<RingName>, first: u64, end: u64, detail: u64) -> BlockHeader {
    BlockHeader {
        kind,
        ring,
        payload_bytes: 0,
        count: 1,
        first,
        end,
        earliest_ns: 0,
        latest_ns: 0,
        detail,
        payload_checksum: 0,
    }
}
