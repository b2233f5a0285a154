//! The lane as the floor and the peers see it: the same ring, the same JSON, encoded once for each update.

use std::path::Path;

use gateway_core::dialect::{Delta, Dialect, Outgoing, Place, Snapshot, Stamps, Subject};
use gateway_core::limits::Limits;
use gateway_core::native::Native;
use gateway_core::state::Quote;
use gateway_core::topic::Channel;
use shm_abi::board::{Level, RowImage};
use shm_abi::record::{Body, PRICE_NONE, Record, Side};
use shm_abi::ring::{Polled, Rejoin, RingReader};
use shm_abi::segment::{MappedRing, RingName, Segment};
use shm_abi::sys::realtime_ns;

use super::source::{LANE, symbol};
use crate::{BenchError, Result};

/// Number of the one lane and epoch.
const STREAM: u32 = 1;

#[derive(Debug)]
struct Topic {
    symbol: String,
    quote: Quote,
    /// Number of its newest event.
    seq: u64,
    stamps: Stamps,
}

/// The lane's quotes.
#[derive(Debug)]
pub struct Feed {
    epoch: u64,
    reader: RingReader<MappedRing>,
    topics: Vec<Topic>,
    dialect: Native,
}

impl Feed {
    /// Opens the lane in `runtime_dir`: its rows first, then everything that comes after.
    ///
    /// # Errors
    /// When there is none, or a row cannot be read.
    pub fn open(runtime_dir: &Path) -> Result<Feed> {
        let segment = Segment::open(runtime_dir, LANE)?;
        let reader = segment.join(RingName::Market, Rejoin::Latest);
        let (board, mut image) = (segment.board(), RowImage::default());
        let mut topics = Vec::new();
        for index in 0..segment.directory().count() {
            board
                .read(index, &mut image, || segment.writer_alive())
                .map_err(|error| BenchError::Market(error.to_string()))?;
            let now = realtime_ns();
            let stamps = Stamps { ts_event: now, ts_recv: now, ts_publish: now, ts_gateway: now };
            topics.push(Topic {
                symbol: symbol(index as u32),
                quote: Quote::of_row(&image),
                seq: image.market_n(),
                stamps,
            });
        }
        Ok(Feed { epoch: segment.identity().epoch, reader, topics, dialect: Native::new("bench", &Limits::default()) })
    }

    /// Topics of the lane.
    pub fn topics(&self) -> u32 {
        self.topics.len() as u32
    }

    /// The next update, if one is there: appends its JSON and says which topic it is of.
    #[inline]
    pub fn next(&mut self, out: &mut Vec<u8>) -> Option<u32> {
        let Feed { epoch, reader, topics, dialect } = self;
        loop {
            let (n, words) = match reader.poll() {
                Polled::Record { n, words } => (n, words),
                Polled::Lost(_) => continue,
                Polled::Empty => return None,
            };
            let Some(record) = Record::new(n, words) else { continue };
            let Body::Quote { side: Some(side), price, quantity, orders } = record.body() else { continue };
            let Some(topic) = topics.get_mut(record.head.instrument_id as usize) else { continue };
            if n <= topic.seq {
                continue;
            }
            let best = (price != PRICE_NONE).then_some(Level { price, quantity, orders: orders as u32 });
            match side {
                Side::Bid => topic.quote.bid = best,
                Side::Ask => topic.quote.ask = best,
            }
            let prev = std::mem::replace(&mut topic.seq, n);
            topic.stamps = Stamps {
                ts_event: record.head.ts_event,
                ts_recv: record.head.ts_recv,
                ts_publish: record.head.ts_publish(),
                ts_gateway: realtime_ns(),
            };
            let outgoing = Outgoing::Update {
                subject: topic.subject(),
                place: topic.place(*epoch),
                prev,
                stamps: topic.stamps,
                merged: None,
                delta: Delta::Quote(&topic.quote),
            };
            dialect.encode(&outgoing, out);
            return Some(record.head.instrument_id);
        }
    }

    /// Appends the JSON of a topic's snapshot.
    pub fn snapshot(&self, topic: u32, out: &mut Vec<u8>) {
        let Some(topic) = self.topics.get(topic as usize) else { return };
        let outgoing = Outgoing::Snapshot {
            subject: topic.subject(),
            place: topic.place(self.epoch),
            stamps: topic.stamps,
            merged: None,
            state: Snapshot::Quote(&topic.quote),
        };
        self.dialect.encode(&outgoing, out);
    }
}

impl Topic {
    fn subject(&self) -> Subject<'_> {
        Subject { symbol: &self.symbol, venue: "BENCH", quantity_decimals: 0, channel: Channel::Quotes }
    }

    fn place(&self, epoch: u64) -> Place<'static> {
        Place { stream: STREAM, lane: LANE, epoch, seq: self.seq }
    }
}

/// The topics that a request's query asks for: `first` and `count`, as far as there are so many.
pub fn asked_for(query: &str, topics: u32) -> Vec<u32> {
    let value = |key: &str| {
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.filter(|(name, _)| *name == key).find_map(|(_, value)| value.parse::<u32>().ok())
    };
    let (first, count) = (value("first").unwrap_or(0), value("count").unwrap_or(1));
    (0..count.min(topics)).map(|i| (first.min(topics) + i) % topics.max(1)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fanout::source::Source;
    use crate::fanout::wire::Scanner;
    use crate::partner::run_dir;

    #[test]
    fn updates_and_snapshots_are_the_native_json() {
        let dir = run_dir().unwrap();
        let mut source = Source::create(dir.path(), 2).unwrap();
        let mut feed = Feed::open(dir.path()).unwrap();
        assert_eq!(feed.topics(), 2);
        let start = realtime_ns() - 3_000_000;
        source.start(start, 1000, start);
        source.turn();
        source.stop();
        let (mut out, mut scanner, mut newest) = (Vec::new(), Scanner::default(), [0; 2]);
        while let Some(topic) = feed.next(&mut out) {
            let json: serde_json::Value = serde_json::from_slice(&out).unwrap();
            let scanned = scanner.scan(&out).unwrap();
            assert_eq!((json["type"].as_str(), json["channel"].as_str()), (Some("update"), Some("quotes")));
            assert_eq!((scanned.topic, scanned.events), (topic, 1));
            assert_eq!(json["seq"].as_u64(), Some(scanned.seq));
            assert_eq!(json["ts_publish"].as_str(), Some(scanned.ts_publish.to_string().as_str()));
            assert!(json["data"]["last"]["price"].is_number(), "a whole quote: {json}");
            newest[topic as usize] = scanned.seq;
            out.clear();
        }
        assert_eq!(newest, source.newest());
        feed.snapshot(1, &mut out);
        let json: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!((json["type"].as_str(), json["seq"].as_u64()), (Some("snapshot"), Some(newest[1])));
    }

    #[test]
    fn queries() {
        assert_eq!(asked_for("first=1&count=2", 5), [1, 2]);
        assert_eq!(asked_for("first=4&count=3", 5), [4, 0, 1]);
        assert_eq!(asked_for("", 5), [0]);
        assert_eq!(asked_for("first=x&count=4294967295", 2), [0, 1]);
        assert_eq!(asked_for("first=4294967295", 3), [0]);
        assert!(asked_for("first=1", 0).is_empty());
    }
}
