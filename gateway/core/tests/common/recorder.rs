//! A journal that is a list in memory, and what the tests of replays have in common.

use std::collections::BTreeMap;

use gateway_core::replay::{Batch, End, Failure, OldEpoch, Piece, ReplayId, Start, Step, Want, What};
use gateway_core::state::RecordedQuote;
use serde_json::Value;
use shm_abi::record::{Record, kind};
use shm_abi::ring::{Polled, Rejoin, RingReader};
use shm_abi::segment::{MappedRing, RingName};

use super::market::Market;
use super::stage::Stage;

pub const RING: usize = 1024;

pub fn market(epoch: u64) -> Market {
    let mut market = Market::of_epoch(RING, true, epoch);
    market.list(3, "AAA", "XNAS", 10);
    market.list(4, "BBB", "XNAS", 10);
    market
}

/// A reading: where it is.
pub struct Reading {
    pub what: What,
    pub ids: Vec<u32>,
    /// Quotes where it begins.
    pub quotes: Vec<RecordedQuote>,
    /// Place in the list; `None`: not begun.
    pub at: Option<usize>,
    pub epoch: u64,
    pub seq: u64,
}

/// Everything that was published, by epoch and number.
pub struct Recorder {
    pub ring: RingReader<MappedRing>,
    pub epoch: u64,
    pub records: Vec<(u64, u64, Vec<u64>)>,
    pub readings: BTreeMap<ReplayId, Reading>,
    /// Records before this place are recorded.
    pub durable: usize,
    /// Things of one batch.
    pub batch: usize,
    pub holes: Vec<(u64, u64)>,
    pub begun: u64,
}

impl Recorder {
    pub fn new(market: &Market) -> Recorder {
        let ring = market.segment().read_from(RingName::Market, 0, Rejoin::Oldest);
        let (records, readings, holes) = (Vec::new(), BTreeMap::new(), Vec::new());
        Recorder { ring, epoch: 1, records, readings, durable: usize::MAX, batch: 7, holes, begun: 0 }
    }

    pub fn record(&mut self) {
        while let Polled::Record { n, words } = self.ring.poll() {
            self.records.push((self.epoch, n, words.to_vec()));
        }
    }

    pub fn follow(&mut self, market: &Market, epoch: u64) {
        self.record();
        self.ring = market.segment().read_from(RingName::Market, 0, Rejoin::Oldest);
        self.epoch = epoch;
    }

    /// Does what the shard wants, as a reader of files would.
    pub fn serve(&mut self, stage: &mut Stage) -> bool {
        self.record();
        let mut served = false;
        while let Some(want) = stage.shard.next_want() {
            served = true;
            let id = match want {
                Want::Begin { id, start, what, wanted, .. } => {
                    let ids: Vec<u32> = wanted.iter().map(|wanted| wanted.id).collect();
                    let mut quotes = Vec::new();
                    let (epoch, seq) = match start {
                        Start::After { epoch, seq } => (epoch, seq),
                        Start::Time(ns) => self.before(ns),
                    };
                    if what == What::Quotes && matches!(start, Start::Time(_)) {
                        quotes = ids.iter().map(|id| self.quote_at(*id, (epoch, seq))).collect();
                    }
                    self.readings.insert(id, Reading { what, ids, quotes, at: None, epoch, seq });
                    self.begun += 1;
                    id
                }
                Want::More(id) => id,
                Want::End(id) => {
                    assert!(self.readings.remove(&id).is_some(), "ended once");
                    continue;
                }
            };
            let batch = self.batch(id);
            stage.shard.replayed(id, batch);
        }
        served
    }

    /// The place before the first record of that time.
    pub fn before(&self, ns: u64) -> (u64, u64) {
        let published = |(_, n, words): &(u64, u64, Vec<u64>)| Record::new(*n, words).unwrap().head.ts_publish();
        let (epoch, n, _) = self.records.iter().find(|record| published(record) >= ns).unwrap();
        (*epoch, n - 1)
    }

    /// What the records up to a place make of a quote.
    pub fn quote_at(&self, id: u32, at: (u64, u64)) -> RecordedQuote {
        let mut quote = RecordedQuote::empty();
        for (epoch, n, words) in &self.records {
            let record = Record::new(*n, words).unwrap();
            if (*epoch, *n) <= at && record.head.instrument_id == id {
                quote.take(&record);
            }
        }
        quote
    }

    pub fn batch(&mut self, id: ReplayId) -> Batch {
        let end = self.durable.min(self.records.len());
        let reading = self.readings.get_mut(&id).unwrap();
        let mut batch = Batch::default();
        let mut at = match reading.at {
            Some(at) => at,
            None => {
                if !self.records.iter().any(|(epoch, ..)| *epoch == reading.epoch) {
                    return Batch::failed(Failure::UnknownEpoch);
                }
                for (quote, wanted) in reading.quotes.iter().zip(0..) {
                    batch.push(Piece::Quote { wanted, quote });
                }
                batch.push(Piece::Step(Step { epoch: reading.epoch, seq: reading.seq, old: None, anew: false }));
                let known = |(epoch, n, _): &(u64, u64, Vec<u64>)| (*epoch, *n) <= (reading.epoch, reading.seq);
                self.records.iter().take_while(|record| known(record)).count()
            }
        };
        let mut event = None;
        while at < end && (batch.len() < self.batch || event.is_some()) {
            let (epoch, n, words) = &self.records[at];
            if *epoch != reading.epoch {
                let old = OldEpoch { epoch: reading.epoch, drained_to: reading.seq + 1, end: Some(reading.seq + 1) };
                batch.push(Piece::Step(Step { epoch: *epoch, seq: 0, old: Some(old), anew: false }));
                reading.epoch = *epoch;
            }
            let record = Record::new(*n, words).unwrap();
            let hole = self.holes.iter().find(|(first, last)| (first..=last).contains(&n));
            if let Some((first, last)) = hole {
                if first == n {
                    batch.push(Piece::Hole { first: *first, last: *last });
                }
            } else if match reading.what {
                What::Trades => matches!(record.head.kind, kind::TRADE | kind::TRADE_BREAK),
                What::Quotes => RecordedQuote::concerns(record.head.kind),
            } && let Some(wanted) = reading.ids.iter().position(|id| *id == record.head.instrument_id)
            {
                batch.push(Piece::Record { wanted: wanted as u16, n: *n, words });
                event = Some(()).filter(|()| reading.what == What::Quotes && !record.head.is_last());
            } else if event.is_some() && record.head.is_last() {
                batch.push(Piece::Last { n: *n, words });
                event = None;
            }
            reading.seq = *n;
            at += 1;
        }
        reading.at = Some(at);
        (batch.seq, batch.end) = (reading.seq, if at >= end { End::Reached } else { End::More });
        batch
    }
}

/// Everything is sent, and the journal read, until nothing moves.
pub fn settle(stage: &mut Stage, recorder: &mut Recorder) {
    loop {
        stage.drain();
        let moved = recorder.serve(stage) | stage.shard.replay(stage.now);
        if !moved {
            return;
        }
    }
}

pub fn others(stage: &Stage, seat: usize, kind: &str) -> Vec<Value> {
    stage.seats[seat].client.others.iter().filter(|frame| frame["t"] == kind).cloned().collect()
}
