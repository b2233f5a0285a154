//! From waiting blocks to places in files: headers, directory rows, turning files over, and what to do when the disk says
//! no.
//!
//! Writes may be under way at the same time and end in any order; only what is whole from the file's beginning on counts
//! as written, and only what a sync that began later has covered counts as durable. A write that fails is tried again at
//! the same place. A file that stays bad is given up: it ends at its last good block, without a mark, and everything that
//! was not written goes to the next.

use std::collections::VecDeque;

use shm_abi::directory::Text;
use shm_abi::layout::DIRECTORY_ENTRY_WORDS;
use shm_abi::segment::RingName;

use super::{Action, Block, Counters, Directory, DiskState, Fault, FaultKind, Now, Source, Writer};
use crate::config::JournalConfig;
use crate::format::{
    ALIGN, BLOCK_HEADER_BYTES, BLOCK_HEADER_WORDS, BlockHeader, BlockKind, FileHeader, HoleReason, MARK_WORDS, Mark,
    MarkReason, seal_block,
};
use crate::image::Part;
use crate::pages::Pages;
use crate::recover::{Kept, Recovered};
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

impl<D: Directory> Writer<D> {
    /// The next action that is about the current file.
    pub(super) fn place(&mut self, now: Now) -> Option<Action> {
        if self.placing.giving_up && !self.give_up() {
            return None;
        }
        if self.placing.has_failed() {
            return self.placing.retry(now);
        }
        loop {
            match self.placing.stage {
                Stage::Idle => self.leave_idle()?,
                Stage::Creating { at_ns, asked } => {
                    if asked || now.monotonic_ns < at_ns {
                        return None;
                    }
                    self.placing.stage = Stage::Creating { at_ns, asked: true };
                    self.placing.turning_since = Some(now.monotonic_ns);
                    return Some(Action::Create { file: self.placing.number });
                }
                Stage::Open => {
                    let action = self.place_open(now);
                    if action.is_some() || self.placing.stage == Stage::Open {
                        return action;
                    }
                }
                Stage::Ending { mark, marked, close_asked } => return self.place_end(now, mark, marked, close_asked),
            }
        }
    }

    /// With no file open, what waits decides whether one is needed. `None` when there is nothing to do.
    fn leave_idle(&mut self) -> Option<()> {
        match self.queue.front()? {
            Item::Source(_) => {
                let Some(Item::Source(source)) = self.queue.pop_front() else { return None };
                let placing = &mut self.placing;
                (placing.placed, placing.written, placing.durable) = (source.first, source.first, source.first);
                placing.source = source;
            }
            Item::End => {
                self.queue.pop_front();
            }
            Item::Image { .. } => self.leave_out_image(),
            Item::Slots { .. } | Item::Hole { .. } => {
                self.placing.stage = Stage::Creating { at_ns: 0, asked: false };
            }
        }
        Some(())
    }

    /// An image that no longer fits: its epoch is over, or no file is open that it could speak of.
    fn leave_out_image(&mut self) {
        if let Some(Item::Image { pages, .. }) = self.queue.pop_front() {
            self.image = Some(pages);
        }
    }

    fn place_open(&mut self, now: Now) -> Option<Action> {
        let placing = &mut self.placing;
        if placing.position == 0 {
            let pages = placing.control.take()?;
            return Some(placing.file_header(now, pages));
        }
        // A sync covers what was written when it began, so it waits for what the flush has put in the queue; but under
        // steady load something is always under way, and it does not wait for a second flush.
        let settled = placing.want_sync > 0 && placing.writes.is_empty() && self.queue.is_empty();
        if (settled || placing.want_sync > 1) && placing.dirty && placing.sync.is_none() {
            return Some(placing.ask_sync(now));
        }
        let age = now.monotonic_ns.saturating_sub(placing.opened_ns);
        let too_old = age >= self.config.file_age_s.saturating_mul(1_000_000_000);
        let Some(item) = self.queue.front() else {
            if too_old {
                self.end_file(MarkReason::Rotated);
            }
            return None;
        };
        let length = match item {
            Item::Source(_) => {
                self.end_file(MarkReason::Epoch);
                return None;
            }
            Item::End => {
                self.end_file(MarkReason::Ended);
                return None;
            }
            Item::Image { part, .. } if part.epoch != placing.epoch() || part.n > placing.placed[0] => {
                self.leave_out_image();
                return self.place_open(now);
            }
            Item::Image { words, .. } => crate::format::block_bytes(words * 8),
            Item::Slots { header, .. } => header.bytes(),
            Item::Hole { .. } => ALIGN,
        };
        // A file takes at least one block behind its directory, however many instruments there are.
        if placing.placed != placing.first_of_file
            && (too_old || placing.position + length as u64 > self.config.file_bytes)
        {
            self.end_file(MarkReason::Rotated);
            return None;
        }
        if placing.writes.len() >= self.config.writes_in_flight as usize {
            return None;
        }
        // Every file names all instruments first, and whoever comes later before the first slot that can be about it: a
        // row is in the directory before any record of it is in the ring, and these slots were read from the ring before.
        if placing.rows < placing.source.directory.count() {
            let pages = placing.control.take()?;
            match placing.directory(now, pages) {
                Ok(action) => return Some(action),
                Err(pages) => placing.control = Some(pages),
            }
        }
        self.place_item(now)
    }

    fn place_item(&mut self, now: Now) -> Option<Action> {
        let placing = &mut self.placing;
        if matches!(self.queue.front(), Some(Item::Hole { .. })) && placing.control.is_none() {
            return None;
        }
        match self.queue.pop_front()? {
            Item::Slots { header, pages } => Some(placing.write(now, Some(header), Owner::Pool, pages)),
            Item::Hole { ring, first, end, reason } => {
                let pages = placing.control.take()?;
                let header = header_of(BlockKind::Hole, Some(ring), first, end, reason as u64);
                Some(placing.small(now, header, &[], pages))
            }
            Item::Image { part, words, pages } => {
                let mut header = header_of(BlockKind::Image, Some(RingName::Orders), part.n, part.n, part.detail());
                header.count = part.orders;
                header.payload_bytes = (words * 8) as u32;
                (header.earliest_ns, header.latest_ns) = (now.unix_ns, now.unix_ns);
                Some(placing.write(now, Some(header), Owner::Image, pages))
            }
            item @ (Item::Source(_) | Item::End) => {
                self.queue.push_front(item);
                None
            }
        }
    }

    fn end_file(&mut self, reason: MarkReason) {
        self.placing.stage = Stage::Ending { mark: Some(reason), marked: false, close_asked: false };
    }

    /// Everything written, then synced, then the mark, then closed: so the mark vouches for all before it.
    fn place_end(&mut self, now: Now, mark: Option<MarkReason>, marked: bool, close_asked: bool) -> Option<Action> {
        let next_epoch = match self.queue.front() {
            Some(Item::Source(source)) => source.identity.epoch,
            _ => 0,
        };
        let placing = &mut self.placing;
        if !placing.writes.is_empty() || placing.sync.is_some() || close_asked {
            return None;
        }
        if let (Some(reason), false) = (mark, marked) {
            if placing.dirty {
                return Some(placing.ask_sync(now));
            }
            let pages = placing.control.take()?;
            placing.stage = Stage::Ending { mark, marked: true, close_asked };
            let epoch = if reason == MarkReason::Rotated { placing.epoch() } else { next_epoch };
            return Some(placing.mark(now, reason, epoch, pages));
        }
        placing.stage = Stage::Ending { mark, marked, close_asked: true };
        placing.turning_since = Some(now.monotonic_ns);
        Some(Action::Close { file: placing.number, length: placing.good })
    }

    /// Takes back what the bad file did not get. `false` while writes are still under way.
    fn give_up(&mut self) -> bool {
        if self.placing.writes.iter().any(|write| matches!(write.state, State::UnderWay)) || self.placing.sync.is_some()
        {
            return false;
        }
        while let Some(write) = self.placing.writes.pop_back() {
            let (State::Failed(pages) | State::Done(pages)) = write.state else { continue };
            match (write.owner, write.header) {
                (Owner::Pool, Some(header)) => self.queue.push_front(Item::Slots { header, pages }),
                (Owner::Image, _) => self.image = Some(pages),
                (Owner::Control, header) => {
                    self.placing.control = Some(pages);
                    if let Some(BlockHeader { kind: BlockKind::Hole, ring: Some(ring), first, end, detail, .. }) =
                        header
                    {
                        let reason = HoleReason::from_code(detail as u8);
                        self.queue.push_front(Item::Hole { ring, first, end, reason });
                    }
                }
                (Owner::Pool, None) => unreachable!("only control memory holds a file's header"),
            }
        }
        self.placing.giving_up = false;
        self.placing.placed = self.placing.written;
        self.placing.stage = Stage::Ending { mark: None, marked: false, close_asked: false };
        self.counters.files_given_up += 1;
        true
    }

    /// How an [`Action::Create`] went.
    pub fn handle_created(&mut self, now: Now, file: u64, result: Result<(), Fault>) {
        let placing = &mut self.placing;
        if file != placing.number || !matches!(placing.stage, Stage::Creating { asked: true, .. }) {
            return;
        }
        placing.turning_since = None;
        match result {
            Ok(()) => {
                self.counters.files += 1;
                placing.fault = None;
                placing.stage = Stage::Open;
                placing.opened_ns = now.monotonic_ns;
                (placing.position, placing.good, placing.rows, placing.dirty) = (0, 0, 0, false);
                placing.first_of_file = placing.placed;
            }
            Err(Fault { kind: FaultKind::Exists, .. }) => {
                placing.number += 1;
                placing.stage = Stage::Creating { at_ns: now.monotonic_ns, asked: false };
            }
            Err(fault) => {
                placing.failed(now, fault, &self.config, &mut self.counters);
                placing.stage = Stage::Creating { at_ns: placing.retry_at_ns, asked: false };
            }
        }
    }

    /// How an [`Action::Write`] went. All of the block was written, or it failed.
    pub fn handle_written(&mut self, now: Now, block: Block, result: Result<(), Fault>) {
        let placing = &mut self.placing;
        let at = block.token.checked_sub(placing.first_token).and_then(|at| usize::try_from(at).ok());
        let write = at.and_then(|at| placing.writes.get_mut(at)).expect("a block that this writer gave out");
        write.tries += 1;
        match result {
            Ok(()) => {
                write.state = State::Done(block.pages);
                placing.fault = None;
            }
            Err(fault) => {
                write.state = State::Failed(block.pages);
                // A full disk takes the same block when there is room again; anything else may be the file's own fault.
                placing.giving_up |= fault.kind != FaultKind::Full && write.tries >= self.config.tries_per_write;
                placing.failed(now, fault, &self.config, &mut self.counters);
            }
        }
        self.settle();
    }

    /// Counts as written what is whole from the file's beginning on.
    fn settle(&mut self) {
        while matches!(self.placing.writes.front(), Some(Write { state: State::Done(_), .. })) {
            let placing = &mut self.placing;
            placing.first_token += 1;
            let Some(Write { offset, length, header, owner, state: State::Done(pages), .. }) =
                placing.writes.pop_front()
            else {
                return;
            };
            placing.good = offset + length as u64;
            placing.dirty = true;
            self.counters.blocks += u64::from(header.is_some());
            self.counters.bytes += length as u64;
            if let Some(BlockHeader { kind, ring: Some(ring), end, latest_ns, .. }) = header {
                let ring = ring_index(ring);
                match kind {
                    BlockKind::Slots => {
                        placing.written[ring] = end;
                        placing.latest_ns[ring] = placing.latest_ns[ring].max(latest_ns);
                    }
                    BlockKind::Hole => {
                        placing.written[ring] = end;
                        self.counters.holes += 1;
                    }
                    BlockKind::Image => self.counters.images += 1,
                    BlockKind::Directory | BlockKind::Mark => {}
                }
            }
            match owner {
                Owner::Pool => self.pool.give_back(pages),
                Owner::Image => self.image = Some(pages),
                Owner::Control => placing.control = Some(pages),
            }
        }
    }

    /// How an [`Action::Sync`] went.
    pub fn handle_synced(&mut self, now: Now, file: u64, result: Result<(), Fault>) {
        let placing = &mut self.placing;
        if file != placing.number {
            return;
        }
        let Some((covered, _)) = placing.sync.take() else { return };
        match result {
            Ok(()) => {
                self.counters.syncs += 1;
                placing.durable = covered;
            }
            Err(fault) => {
                // The kernel may have dropped what it could not write and will not say so again: this file is not to be
                // trusted with more.
                placing.failed(now, fault, &self.config, &mut self.counters);
                self.count_unsynced();
                self.placing.giving_up = true;
            }
        }
    }

    fn count_unsynced(&mut self) {
        self.counters.sync_errors += 1;
        for ring in 0..2 {
            self.counters.unsynced_slots[ring] += self.placing.written[ring] - self.placing.durable[ring];
        }
        self.placing.durable = self.placing.written;
    }

    /// How an [`Action::Close`] went.
    pub fn handle_closed(&mut self, now: Now, file: u64, result: Result<(), Fault>) {
        if file != self.placing.number || !matches!(self.placing.stage, Stage::Ending { close_asked: true, .. }) {
            return;
        }
        self.placing.turning_since = None;
        match result {
            Ok(()) => self.placing.durable = self.placing.written,
            Err(_) => self.count_unsynced(),
        }
        self.retention.add(Kept { number: file, bytes: self.placing.good, ended_ns: now.unix_ns });
        self.placing.number += 1;
        self.placing.position = 0;
        self.placing.stage = Stage::Idle;
        self.retention.look(now, &self.config, 0);
    }

    /// How an [`Action::Delete`] went.
    pub fn handle_deleted(&mut self, now: Now, file: u64, result: Result<(), Fault>) {
        self.retention.deleted(file, result, &mut self.counters);
        self.retention.look(now, &self.config, self.placing.file_bytes());
    }
}
