//! What stands on the bus, in a form that can be compared: records without the stamps that differ from run to run.

use shm_abi::record::{Body, Record, StatusCause, flag, kind};
use shm_abi::ring::{Polled, Rejoin};
use shm_abi::segment::{RingName, Segment};

/// One record, stamps of this host and ring numbers left out.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Seen {
    pub kind: u8,
    pub flags: u8,
    pub side_or_code: u8,
    pub instrument_id: u32,
    pub ts_event: u64,
    pub venue_sequence: u32,
    pub body: Vec<u64>,
}

impl Seen {
    /// `None` for records about the line, not the market: they depend on what happened to it.
    pub fn of(record: &Record<'_>) -> Option<Seen> {
        let head = record.head;
        let about_the_line = match record.body() {
            Body::Restart(_) => true,
            Body::Status(status) => status.cause == StatusCause::Session,
            _ => false,
        };
        (!about_the_line).then(|| Seen {
            kind: head.kind,
            flags: head.flags & !(flag::RECV_USER | flag::RECV_COALESCED),
            side_or_code: head.side_or_code,
            instrument_id: head.instrument_id,
            ts_event: head.ts_event,
            venue_sequence: head.venue_sequence_low,
            body: record.body_words().to_vec(),
        })
    }
}

/// Both rings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recording {
    pub orders: Vec<Seen>,
    pub market: Vec<Seen>,
}

/// Reads both rings of a segment that nobody laps from number 0 to what is there now.
pub fn record(segment: &Segment) -> Recording {
    let read = |name| {
        let mut reader = segment.read_from(name, 0, Rejoin::Oldest);
        let mut seen = Vec::new();
        loop {
            match reader.poll() {
                Polled::Empty => return seen,
                Polled::Record { n, words } => seen.extend(Record::new(n, words).as_ref().and_then(Seen::of)),
                Polled::Lost(lost) => panic!("{} ring: {lost:?}", name.name()),
            }
        }
    };
    Recording { orders: read(RingName::Orders), market: read(RingName::Market) }
}

/// Where two recordings part, for a message that can be read.
pub fn assert_same(name: &str, got: &Recording, want: &Recording) {
    for (ring, got, want) in [("orders", &got.orders, &want.orders), ("market", &got.market, &want.market)] {
        if let Some(at) = got.iter().zip(want).position(|(got, want)| got != want) {
            panic!("{name}: record {at} of {ring} differs:\n got {:?}\nwant {:?}", got[at], want[at]);
        }
        assert_eq!(got.len(), want.len(), "{name}: records of {ring}");
    }
}

pub fn count(records: &[Seen], kind: u8) -> usize {
    records.iter().filter(|seen| seen.kind == kind).count()
}

/// Anomalies by code.
pub fn anomalies(records: &[Seen], code: u8) -> usize {
    records.iter().filter(|seen| seen.kind == kind::ANOMALY && seen.side_or_code == code).count()
}
