//! The generated day as the records that it leads to.

use market::itch::{Itch, ItchConfig};
use market::{BATCH, DenseIds, MessageAt, Stamps};
use shm_abi::directory::Instrument;
use shm_abi::ring::{Polled, Rejoin};
use shm_abi::segment::{LaneWriter, RingName};
use wire::itchfile::Messages;

use crate::itch::book::{RING_SLOTS, plan};
use crate::{BenchError, Result};

/// Time of the first record, ns since the UNIX epoch, and from one packet to the next.
pub(super) const START_NS: u64 = 1_715_169_600_000_000_000;
const APART_NS: u64 = 5_000;

/// Records of a day in memory, in the order in which they were published.
pub(super) struct Flow {
    /// Messages of the venue.
    pub events: u64,
    /// Records of both rings.
    pub records: u64,
    /// Who they speak of.
    pub instruments: Vec<Instrument>,
    /// A record's ring and how many words it has, then the words.
    words: Vec<u64>,
}

impl Flow {
    /// Publishes a day and keeps what stands in the rings.
    ///
    /// # Errors
    /// When there is no memory for the lane, or a message is cut.
    pub(super) fn of(day: &[u8], symbols: u32) -> Result<Flow> {
        let mut lane = LaneWriter::anonymous(&plan(symbols, RING_SLOTS))?;
        let config = ItchConfig { midnight_ns: START_NS, ..ItchConfig::default() };
        let mut nasdaq =
            Itch::new(config, DenseIds::default()).map_err(|error| BenchError::Market(error.to_string()))?;
        let segment = lane.reader();
        let mut readers = journal::RINGS.map(|ring| segment.read_from(ring, 0, Rejoin::Oldest));
        let mut flow = Flow { events: 0, records: 0, instruments: Vec::new(), words: Vec::new() };
        let mut batch = Vec::with_capacity(BATCH);
        let mut messages = Messages::new(day).peekable();
        let mut now_ns = START_NS;
        while let Some(message) = messages.next() {
            let (at, bytes) = message.map_err(|error| BenchError::Market(error.to_string()))?;
            flow.events += 1;
            batch.push(MessageAt { sequence: flow.events, at: at as u32, len: bytes.len() as u32 });
            if batch.len() == BATCH || messages.peek().is_none() {
                now_ns += APART_NS;
                nasdaq.apply(day, &batch, Stamps { ts_recv: now_ns, ts_publish: now_ns, flags: 0 }, &mut lane);
                lane.publish_heads();
                batch.clear();
                for (at, reader) in readers.iter_mut().enumerate() {
                    while let Polled::Record { words, .. } = reader.poll() {
                        flow.words.push((at << 32 | words.len()) as u64);
                        flow.words.extend_from_slice(words);
                        flow.records += 1;
                    }
                }
            }
        }
        let directory = segment.directory();
        flow.instruments = (0..directory.count()).filter_map(|row| directory.get(row)).collect();
        Ok(flow)
    }

    /// Hands over each record: its ring and its words.
    #[inline(always)]
    pub(super) fn each(&self, mut take: impl FnMut(RingName, &[u64])) {
        let mut rest = &self.words[..];
        while let Some((head, after)) = rest.split_first() {
            let (words, behind) = after.split_at((head & 0xffff_ffff) as usize);
            take(journal::RINGS[(head >> 32) as usize], words);
            rest = behind;
        }
    }
}
