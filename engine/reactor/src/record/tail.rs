//! What a killed engine had published and its recorder had not: in the segment that it left.

use std::time::Duration;

use journal::config::ConfigError;
use journal::disk::{Disk, drive};
use journal::recover::Stopped;
use journal::writer::{Source, Writer};
use journal::{JournalConfig, RINGS, Recovered, ring_index};
use market::ingest::Predecessor;
use shm_abi::ring::{Lost, Polled, Rejoin};
use shm_abi::segment::{RingName, Segment};

use super::{hole_reason, now};

/// How long the disk may take, ns: data flows again only after that.
const LIMIT_NS: u64 = 2_000_000_000;
/// Between two looks at a disk that refuses.
const PAUSE: Duration = Duration::from_millis(1);

/// The end of a dead writer's rings.
pub(super) struct Tail<'s> {
    segment: &'s Segment,
    /// By ring: the first number that is not recorded, and the number behind the last whole event.
    first: [u64; 2],
    ends: [u64; 2],
}

impl<'s> Tail<'s> {
    pub(super) fn new(segment: &'s Segment, told: &Predecessor, stopped: Option<Stopped>) -> Tail<'s> {
        let stopped = stopped.filter(|stopped| stopped.epoch == segment.identity().epoch);
        let first = stopped.map_or([0, 0], |stopped| stopped.next);
        Tail { segment, first, ends: [told.orders.end, told.market.end] }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.first[0] >= self.ends[0] && self.first[1] >= self.ends[1]
    }

    /// Records it, and waits until it is on disk.
    ///
    /// # Errors
    /// The first limit that is out of range.
    pub(super) fn record(
        &mut self,
        limits: &JournalConfig,
        lane: &str,
        recovered: &Recovered,
        disk: &mut impl Disk,
    ) -> Result<(), ConfigError> {
        let (segment, first) = (self.segment, self.first);
        let source = Source { identity: segment.identity(), directory: segment.directory(), first };
        let mut writer = Writer::new(limits.clone(), lane, recovered, source, now())?;
        let until = now().monotonic_ns + LIMIT_NS;
        for ring in RINGS {
            self.push(ring, &mut writer, disk, until);
        }
        writer.finish();
        while !writer.is_finished() && now().monotonic_ns < until {
            let at = now();
            writer.handle_time(at);
            drive(&mut writer, disk, at);
            if !writer.is_finished() {
                std::thread::sleep(PAUSE);
            }
        }
        let slots = self.ends.iter().zip(first).map(|(end, first)| end.saturating_sub(first)).sum::<u64>();
        if writer.is_finished() {
            tracing::info!(lane, slots, "what the engine before had not recorded is recorded");
        } else {
            let state = writer.disk_state();
            tracing::error!(lane, slots, ?state, "the disk does not take what the engine before had not recorded");
        }
        Ok(())
    }

    fn push<D: journal::writer::Directory>(
        &self,
        ring: RingName,
        writer: &mut Writer<D>,
        disk: &mut impl Disk,
        until: u64,
    ) {
        let (first, end) = (self.first[ring_index(ring)], self.ends[ring_index(ring)]);
        let mut reader = self.segment.read_from(ring, first, Rejoin::Oldest);
        while reader.cursor() < end {
            // A disk that does not keep up costs a hole, not the start.
            if !writer.has_room() && now().monotonic_ns < until {
                let at = now();
                writer.handle_time(at);
                drive(writer, disk, at);
            }
            match reader.poll() {
                Polled::Empty => return,
                Polled::Record { n, words } if n < end => {
                    writer.push(ring, n, words);
                }
                Polled::Record { .. } => return,
                Polled::Lost(Lost { first, last, reason }) => {
                    writer.lost(ring, first, last.min(end - 1), hole_reason(reason));
                }
            }
        }
    }
}
