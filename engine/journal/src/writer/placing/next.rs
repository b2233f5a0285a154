//! The next action about the current file.

use shm_abi::segment::RingName;

use super::{Item, Owner, Stage, header_of};
use crate::format::{ALIGN, BlockKind, MarkReason};
use crate::writer::{Action, Directory, Now, Writer};

impl<D: Directory> Writer<D> {
    /// The next action that is about the current file.
    pub(in crate::writer) fn place(&mut self, now: Now) -> Option<Action> {
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
}
