//! Who must have seen what a replay publishes before it publishes more: a digest of the rings, and the lane's own journal.
//!
//! A feed waits for nobody, and who is too slow is told what was missed. A recording can wait: what is made of it is then
//! whole, however fast it is played. Readers outside of the engine are not waited for.

use std::fmt::Write as _;

use journal::{Digest, RINGS, ring_index};
use shm_abi::counters::{CounterReader, JournalCounter};
use shm_abi::ring::{Polled, Rejoin, RingReader};
use shm_abi::segment::{LaneWriter, MappedRing};

/// A follower may be behind by this part of a ring.
const PATIENCE: u64 = 2;

/// The followers of one lane.
pub(super) struct Followers {
    digests: Option<[Digested; 2]>,
    journal: CounterReader,
    heads: [RingReader<MappedRing>; 2],
    slots: [u64; 2],
}

/// A ring and the digest of what it had.
struct Digested {
    reader: RingReader<MappedRing>,
    digest: Digest,
    /// Numbers that were overwritten before they were read: the digest then means nothing.
    lost: u64,
}

impl Followers {
    pub(super) fn new(writer: &LaneWriter, digest: bool) -> Followers {
        let segment = writer.reader();
        let digested = |ring| {
            let reader = segment.read_from(ring, 0, Rejoin::Oldest);
            Digested { reader, digest: Digest::new(), lost: 0 }
        };
        let slots = [segment.layout().orders_slots as u64, segment.layout().market_slots as u64];
        Followers {
            digests: digest.then(|| RINGS.map(digested)),
            journal: segment.journal_counters(),
            heads: RINGS.map(|ring| segment.read_from(ring, 0, Rejoin::Oldest)),
            slots,
        }
    }

    /// Takes what was published into the digests. To be called before half a ring is full again.
    pub(super) fn follow(&mut self) {
        for Digested { reader, digest, lost } in self.digests.iter_mut().flatten() {
            loop {
                match reader.poll() {
                    Polled::Record { words, .. } => digest.update(words),
                    Polled::Lost(gone) => *lost += gone.last - gone.first + 1,
                    Polled::Empty => break,
                }
            }
        }
    }

    /// Whether the lane's journal is so far behind that more would cost it records.
    pub(super) fn are_behind(&self) -> bool {
        if self.journal.journal(JournalCounter::State) == 0 {
            return false;
        }
        let durable = [JournalCounter::DurableOrders, JournalCounter::DurableMarket];
        let behind = |at: usize| {
            let head = self.heads[at].head();
            head.saturating_sub(self.journal.journal(durable[at])) > self.slots[at] / PATIENCE
        };
        RINGS.into_iter().map(ring_index).any(behind)
    }

    /// The digests as text, if there are any.
    pub(super) fn digests(&self) -> Option<String> {
        let digests = self.digests.as_ref()?;
        let mut text = String::new();
        for (ring, of) in RINGS.iter().zip(digests) {
            let separator = if text.is_empty() { "" } else { "; " };
            let _ = match of.lost {
                0 => write!(text, "{separator}{} {} of {} records", ring.name(), of.digest, of.digest.records()),
                lost => write!(text, "{separator}{}: no digest, {lost} slots were overwritten", ring.name()),
            };
        }
        Some(text)
    }
}
