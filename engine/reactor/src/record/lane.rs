//! The recording of one lane: from its rings into its journal.

use journal::writer::{DiskState, Now, Source, Writer};
use journal::{JournalConfig, RINGS, ring_index};
use shm_abi::counters::{CounterWriter, JournalCounter};
use shm_abi::directory::DirectoryReader;
use shm_abi::ring::{Lost, Polled, Rejoin, RingReader};
use shm_abi::segment::{MappedRing, RingName};

use super::disk::{Disk, Done};
use super::images::Images;
use super::{Recorded, Settled, hole_reason};

/// Records of one ring that are taken before the other one has its turn.
const BURST: usize = 4096;
/// Whoever takes less than this part of a ring at a look can wait longer for the next one.
const UNHURRIED_PART: u64 = 16;
/// Records that are taken between two looks at the room for them: a block of the default size has more slots than so many
/// of the longest.
const PART: usize = 64;
/// How often counters are brought up to date, ns.
const COUNT_EVERY_NS: u64 = 5_000_000;

/// How much a turn has found. The order is that of haste.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Found {
    /// All there was: a small part of the rings.
    Little,
    /// All there was: so much that the next look should come sooner.
    Much,
    /// There is more.
    Part,
}

/// One lane's recorder. Lives on the journal's reactor.
pub(super) struct LaneRecorder {
    lane: String,
    writer: Writer<DirectoryReader>,
    rings: [RingReader<MappedRing>; 2],
    slots: [u64; 2],
    epoch: u64,
    disk: Disk,
    images: Option<Images>,
    done: Vec<Done>,
    counters: CounterWriter,
    count_due_ns: u64,
    told: DiskState,
    holes_told: u64,
    finishing: bool,
}

impl LaneRecorder {
    /// Begins with a lane's first record. `None`, with a log line, when the limits are not those that were checked.
    pub(super) fn new(limits: &JournalConfig, lane: Recorded, now: Now) -> Option<LaneRecorder> {
        let Recorded { lane, segment, counters, journal: Settled { folder, recovered } } = lane;
        let source = Source { identity: segment.identity(), directory: segment.directory(), first: [0, 0] };
        let writer = match Writer::new(limits.clone(), &lane, &recovered, source, now) {
            Ok(writer) => writer,
            Err(error) => {
                tracing::error!(lane, %error, "not recorded");
                return None;
            }
        };
        let epoch = segment.identity().epoch;
        let images = Images::start(&lane, folder.clone(), epoch, writer.image_words(), limits);
        Some(LaneRecorder {
            lane,
            writer,
            // The smallest loss: who was lapped once has much to catch up.
            rings: RINGS.map(|ring| segment.read_from(ring, 0, Rejoin::Oldest)),
            slots: [segment.layout().orders_slots as u64, segment.layout().market_slots as u64],
            epoch,
            disk: Disk::new(folder),
            images,
            done: Vec::new(),
            counters,
            count_due_ns: 0,
            told: DiskState::Good,
            holes_told: 0,
            finishing: false,
        })
    }

    /// Takes what the rings have, and what the disk has done.
    pub(super) fn turn(&mut self, now: Now, stopping: bool) -> Found {
        let mut found = Found::Little;
        let mut over = true;
        for ring in RINGS {
            let (taken, at_end) = self.take(ring, stopping);
            let much = taken as u64 > self.slots[ring_index(ring)] / UNHURRIED_PART;
            found = found.max(match (at_end, much) {
                // Without room nothing is taken, and there is time.
                (false, _) if taken > 0 => Found::Part,
                (true, true) => Found::Much,
                _ => Found::Little,
            });
            over &= at_end;
        }
        if over && stopping && !self.finishing {
            self.finishing = true;
            self.images = None;
            self.writer.finish();
        }
        self.disk.take_done(&mut self.done);
        for done in self.done.drain(..) {
            match done {
                Done::Created(file, result) => self.writer.handle_created(now, file, result),
                Done::Written(block, result) => self.writer.handle_written(now, block, result),
                Done::Synced(file, result) => self.writer.handle_synced(now, file, result),
                Done::Closed(file, result) => self.writer.handle_closed(now, file, result),
                Done::Deleted(file, result) => self.writer.handle_deleted(now, file, result),
            }
        }
        if let Some(images) = &mut self.images {
            images.hand_over(|part, words| self.writer.push_image(part, words));
        }
        if self.writer.poll_timeout() <= now.monotonic_ns {
            self.writer.handle_time(now);
        }
        while let Some(action) = self.writer.poll_action(now) {
            self.disk.begin(action);
        }
        if now.monotonic_ns >= self.count_due_ns {
            self.count_due_ns = now.monotonic_ns + COUNT_EVERY_NS;
            self.count();
        }
        found
    }

    /// Takes a burst of one ring: how many records and losses, and whether that was all there is, which is only known for
    /// certain when the lane has stopped.
    fn take(&mut self, ring: RingName, stopping: bool) -> (usize, bool) {
        let Self { writer, rings, slots, .. } = self;
        let reader = &mut rings[ring_index(ring)];
        let patience = slots[ring_index(ring)] / 2;
        let mut taken = 0;
        while taken < BURST {
            // Without room the ring itself is the buffer, for as long as it lasts.
            if !writer.has_room() && reader.head().saturating_sub(reader.cursor()) < patience {
                return (taken, false);
            }
            let mut keep = |polled: Polled<'_>| match polled {
                Polled::Record { n, words } => {
                    // If it is not kept, a hole says so.
                    writer.push(ring, n, words);
                }
                Polled::Lost(Lost { first, last, reason }) => writer.lost(ring, first, last, hole_reason(reason)),
                Polled::Empty => {}
            };
            if stopping {
                match reader.poll() {
                    Polled::Empty => return (taken, true),
                    polled => keep(polled),
                }
                taken += 1;
            } else {
                // Clear of the slots that the lane is writing: it must not feel that it is recorded.
                let part = reader.poll_batch(PART, keep);
                taken += part;
                // To ask again at once would be to follow the lane line by line.
                if part < PART {
                    return (taken, true);
                }
            }
        }
        (taken, false)
    }

    /// Brings the public counters up to date, and says what has changed for the worse or the better.
    fn count(&mut self) {
        let state = self.writer.disk_state();
        let seen = self.writer.counters();
        let until = |ring| {
            let durable = self.writer.durable(ring);
            if durable.epoch == self.epoch { durable.until } else { 0 }
        };
        let both = |of: [u64; 2]| of[0] + of[1];
        if let Some(images) = &self.images {
            images.tell(until(RingName::Orders));
        }
        for (counter, value) in [
            (JournalCounter::State, if self.finishing { STATE_ENDED } else { state_code(state) }),
            (JournalCounter::DurableOrders, until(RingName::Orders)),
            (JournalCounter::DurableMarket, until(RingName::Market)),
            (JournalCounter::LagOrders, self.writer.lag(RingName::Orders)),
            (JournalCounter::LagMarket, self.writer.lag(RingName::Market)),
            (JournalCounter::Records, both(seen.records)),
            (JournalCounter::MissingSlots, both(seen.missing_slots) - seen.skipped_slots),
            (JournalCounter::Holes, seen.holes),
            (JournalCounter::Blocks, seen.blocks),
            (JournalCounter::Bytes, seen.bytes),
            (JournalCounter::Files, seen.files),
            (JournalCounter::FilesRemoved, seen.files_removed),
            (JournalCounter::Syncs, seen.syncs),
            (JournalCounter::Refusals, seen.write_errors + seen.sync_errors + seen.remove_errors),
            (JournalCounter::SlowTimes, seen.slow),
            (JournalCounter::Images, seen.images),
        ] {
            self.counters.set_journal(counter, value);
        }
        let missing = both(seen.missing_slots) - seen.skipped_slots;
        if state != self.told {
            self.told = state;
            match state {
                DiskState::Good => tracing::info!(lane = self.lane, missing, "the journal's disk is as it should be"),
                state => tracing::warn!(lane = self.lane, ?state, missing, "the journal's disk; the feed goes on"),
            }
        }
        if seen.holes != self.holes_told && state == DiskState::Good {
            self.holes_told = seen.holes;
            tracing::warn!(lane = self.lane, holes = seen.holes, missing, "the journal has holes");
        }
    }

    /// Whether all is on disk.
    pub(super) fn is_finished(&self) -> bool {
        self.writer.is_finished()
    }

    /// Says how it ended.
    pub(super) fn end(&mut self) {
        self.count();
        if !self.writer.is_finished() {
            let (orders, market) = (self.writer.lag(RingName::Orders), self.writer.lag(RingName::Market));
            tracing::error!(
                lane = self.lane,
                orders,
                market,
                "slots that the disk did not take in time are not recorded"
            );
        }
    }
}

/// The counter's value of a recording that has ended.
const STATE_ENDED: u64 = 5;

/// The counter's value.
fn state_code(state: DiskState) -> u64 {
    match state {
        DiskState::Good => 1,
        DiskState::Slow => 2,
        DiskState::Full => 3,
        DiskState::Failing => 4,
    }
}
