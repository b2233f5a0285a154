//! What one look at a lane gives: plain values, without a word about how they are shown.

use std::collections::BTreeMap;
use std::time::Instant;

use serde::Serialize;
use shm_abi::counters::{CounterReader, FeedCounter, JournalCounter, LaneCounter};
use shm_abi::layout::{FeedState, HEARTBEAT_LIMIT_NS};
use shm_abi::segment::FeedFacts;
use ticklane_client::{ClientError, Event, Histogram, Lane, Options, Reader, Wait};

/// Most records that one tick looks at: the latencies are a sample, and the tool is no load.
const RECORDS_PER_TICK: usize = 2_000;
/// Times to read the counters anew until they balance: they are read one by one while the writer goes on.
const BALANCE_TRIES: usize = 50;

/// One look at every lane.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) lanes: Vec<LaneSample>,
}

/// One look at a lane. Rates and latencies are of the time since the look before.
#[derive(Debug, Serialize)]
pub(crate) struct LaneSample {
    pub(crate) lane: String,
    pub(crate) dir: String,
    /// `recovering`, `live`, `closed`, or `unknown`.
    pub(crate) state: &'static str,
    /// Whether the writer has shown life within 240 ms.
    pub(crate) alive: bool,
    pub(crate) heartbeat_age_ns: u64,
    /// 16 hex digits.
    pub(crate) epoch: String,
    pub(crate) writer_pid: u64,
    pub(crate) instruments: usize,
    pub(crate) instruments_limit: usize,
    pub(crate) orders: RingSample,
    pub(crate) market: RingSample,
    /// Venue messages a second; `None` at the first look at an epoch.
    pub(crate) messages_per_second: Option<f64>,
    pub(crate) counters: BTreeMap<&'static str, u64>,
    /// `received - published - duplicates - rejected`: 0 unless messages went missing inside the engine.
    pub(crate) unbalanced: i128,
    /// From the socket's stamp to the ring, ns.
    pub(crate) receive_to_publish: Option<Percentiles>,
    /// From the venue's stamp to the ring, ns: means something where the clocks agree.
    pub(crate) venue_to_publish: Option<Percentiles>,
    /// Counters of its journal; `None` while it is not recorded.
    pub(crate) journal: Option<BTreeMap<&'static str, u64>>,
    pub(crate) feeds: Vec<FeedSample>,
    /// Why the ring could not be followed, if so.
    pub(crate) error: Option<String>,
}

/// One look at a ring.
#[derive(Debug, Serialize)]
pub(crate) struct RingSample {
    /// Number of the next record.
    pub(crate) head: u64,
    pub(crate) slots: usize,
    pub(crate) slots_per_second: Option<f64>,
}

/// Percentiles of a latency, ns.
#[derive(Debug, Serialize)]
pub(crate) struct Percentiles {
    pub(crate) count: u64,
    pub(crate) p50: u64,
    pub(crate) p99: u64,
    pub(crate) p999: u64,
    pub(crate) max: u64,
}

/// One look at a feed.
#[derive(Debug, Serialize)]
pub(crate) struct FeedSample {
    pub(crate) name: String,
    pub(crate) state: &'static str,
    /// `None` while it changes.
    pub(crate) session: Option<String>,
    pub(crate) sequence: u64,
    /// CLOCK_REALTIME of the last byte received, ns: text, as every stamp in JSON (decisions.md 2).
    pub(crate) last_byte_ns: String,
    pub(crate) counters: BTreeMap<&'static str, u64>,
}

/// What rates are computed from.
#[derive(Debug, Clone, Copy)]
struct Marks {
    at: Instant,
    received: u64,
    orders: u64,
    market: u64,
}

/// A lane under watch.
#[derive(Debug)]
pub(crate) struct LaneWatch {
    lane: Lane,
    reader: Reader,
    marks: Option<Marks>,
    receive_to_publish: Histogram,
    venue_to_publish: Histogram,
    error: Option<String>,
}

impl LaneWatch {
    pub(crate) fn new(lane: Lane) -> Result<LaneWatch, ClientError> {
        // Polled every few milliseconds: it never waits, so it needs no sleeper flag.
        let reader = lane.market(Options { wait: Wait::Spin, ..Options::default() })?;
        let mut watch = LaneWatch {
            lane,
            reader,
            marks: None,
            receive_to_publish: Histogram::new(),
            venue_to_publish: Histogram::new(),
            error: None,
        };
        watch.marks = Some(watch.mark());
        Ok(watch)
    }

    pub(crate) fn lane(&mut self) -> &mut Lane {
        &mut self.lane
    }

    /// Takes the latencies of some new records, and follows the engine if it began anew.
    pub(crate) fn tick(&mut self) {
        let mut restarted = false;
        let (receive, venue) = (&mut self.receive_to_publish, &mut self.venue_to_publish);
        let polled = self.reader.poll_batch(RECORDS_PER_TICK, |event| match event {
            // A record without a venue message has no venue time.
            Event::Record(record) if record.head.ts_event > 0 => {
                receive.record(record.head.publish_delay_ns.into());
                venue.record(record.head.ts_publish().saturating_sub(record.head.ts_event));
            }
            Event::Restarted(_) => restarted = true,
            _ => {}
        });
        self.error = polled.err().map(|error| error.to_string());
        if restarted {
            self.lane.follow(&self.reader);
            self.marks = None;
        }
    }

    fn mark(&self) -> Marks {
        let (orders, market) = heads(&self.lane);
        Marks { at: Instant::now(), received: self.lane.counters().lane(LaneCounter::Received), orders, market }
    }

    /// The lane now, and since the sample before.
    pub(crate) fn sample(&mut self) -> LaneSample {
        let now = self.mark();
        let before = self.marks.replace(now);
        let rate = |of: fn(&Marks) -> u64| {
            let before = before.as_ref()?;
            let seconds = now.at.duration_since(before.at).as_secs_f64();
            (seconds > 0.0).then(|| of(&now).saturating_sub(of(before)) as f64 / seconds)
        };
        let segment = self.lane.segment().clone();
        let layout = segment.layout();
        let heartbeat_age_ns = segment.heartbeat_age_ns();
        let (counters, unbalanced) = balanced_counters(&self.lane.counters());
        LaneSample {
            lane: self.lane.name().into(),
            dir: self.lane.runtime_dir().display().to_string(),
            state: segment.state().map_or("unknown", |state| state.name()),
            alive: heartbeat_age_ns <= HEARTBEAT_LIMIT_NS,
            heartbeat_age_ns,
            epoch: format!("{:016x}", segment.identity().epoch),
            writer_pid: segment.writer_pid(),
            instruments: self.lane.instruments().len(),
            instruments_limit: layout.instruments,
            orders: RingSample {
                head: now.orders,
                slots: layout.orders_slots,
                slots_per_second: rate(|marks| marks.orders),
            },
            market: RingSample {
                head: now.market,
                slots: layout.market_slots,
                slots_per_second: rate(|marks| marks.market),
            },
            messages_per_second: rate(|marks| marks.received),
            counters,
            unbalanced,
            receive_to_publish: take_percentiles(&mut self.receive_to_publish),
            venue_to_publish: take_percentiles(&mut self.venue_to_publish),
            journal: journal_counters(&segment.journal_counters()),
            feeds: self.lane.feeds().map(|(facts, counters)| feed_sample(&facts, &counters)).collect(),
            error: self.error.clone(),
        }
    }
}

/// Heads of the orders and the market ring.
fn heads(lane: &Lane) -> (u64, u64) {
    use shm_abi::ring::Rejoin::Latest;
    use ticklane_client::RingName::{Market, Orders};
    (lane.segment().join(Orders, Latest).cursor(), lane.segment().join(Market, Latest).cursor())
}

fn balanced_counters(reader: &CounterReader) -> (BTreeMap<&'static str, u64>, i128) {
    let mut taken = (BTreeMap::new(), 0);
    for _ in 0..BALANCE_TRIES {
        let of = |counter| i128::from(reader.lane(counter));
        let received = of(LaneCounter::Received);
        let counters = LaneCounter::ALL.iter().map(|counter| (counter.name(), reader.lane(*counter))).collect();
        taken = (counters, 0);
        let value = |counter: LaneCounter| i128::from(taken.0[counter.name()]);
        let accounted = value(LaneCounter::Published) + value(LaneCounter::Duplicates) + value(LaneCounter::Rejected);
        taken.1 = value(LaneCounter::Received) - accounted;
        // Balanced, and nothing came in between.
        if taken.1 == 0 && received == of(LaneCounter::Received) {
            break;
        }
        std::thread::yield_now();
    }
    taken
}

fn journal_counters(reader: &CounterReader) -> Option<BTreeMap<&'static str, u64>> {
    let counters = || JournalCounter::ALL.iter().map(|counter| (counter.name(), reader.journal(*counter))).collect();
    (reader.journal(JournalCounter::State) > 0).then(counters)
}

fn take_percentiles(histogram: &mut Histogram) -> Option<Percentiles> {
    let taken = Percentiles {
        count: histogram.count(),
        p50: histogram.percentile(50.0)?,
        p99: histogram.percentile(99.0)?,
        p999: histogram.percentile(99.9)?,
        max: histogram.max(),
    };
    histogram.clear();
    Some(taken)
}

fn feed_sample(facts: &FeedFacts, counters: &CounterReader) -> FeedSample {
    let session = facts.session.map(|bytes| String::from_utf8_lossy(&bytes).trim_matches([' ', '\0']).to_string());
    let counted = FeedCounter::ALL.iter().filter(|counter| **counter != FeedCounter::LastByteNs);
    FeedSample {
        name: facts.name.clone(),
        state: FeedState::name_of(facts.state),
        session,
        sequence: facts.sequence,
        last_byte_ns: counters.feed(FeedCounter::LastByteNs).to_string(),
        counters: counted.map(|counter| (counter.name(), counters.feed(*counter))).collect(),
    }
}
