//! How actions went, and what follows from that.

use super::{Item, Owner, Stage, State, Write};
use crate::format::{BlockHeader, BlockKind, HoleReason};
use crate::recover::Kept;
use crate::ring_index;
use crate::writer::{Block, Directory, Fault, FaultKind, Now, Writer};

impl<D: Directory> Writer<D> {
    /// Takes back what the bad file did not get. `false` while writes are still under way.
    pub(super) fn give_up(&mut self) -> bool {
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
