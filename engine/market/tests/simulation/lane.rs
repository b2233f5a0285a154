//! The engine's memory from one writer to the next, and the deaths of writers.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use market::book::BookLimits;
use market::ingest::{Output, Predecessor, begin_sequence};
use market::itch::{Itch, ItchConfig};
use market::{IdError, InstrumentIds};
use shm_abi::layout::Plan;
use shm_abi::segment::{LaneWriter, Segment};

use crate::common::config;

/// UNIX time at which every run begins, ns.
pub(crate) const EPOCH_NS: u64 = 1_700_000_000_000_000_000;

/// Ids that outlive writers: the flows' symbols are `AAA`, `BBB`, `CCC`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ids;

impl InstrumentIds for Ids {
    fn id_for(&mut self, _venue: &str, symbol: &str) -> Result<u32, IdError> {
        Ok(symbol.as_bytes().first().map_or(9, |letter| u32::from(letter.wrapping_sub(b'A'))))
    }
}

fn plan() -> Plan {
    Plan { lane: "sim".into(), orders_slots: 1 << 13, market_slots: 1 << 13, instruments: 8, depth_bytes: 1 << 14 }
}

/// One life of the engine's lane.
#[derive(Debug)]
pub(crate) struct Life {
    pub(crate) out: Output<Ids>,
    /// The reader's view of its memory; outlives it.
    pub(crate) segment: Segment,
}

impl Life {
    /// Begins as the reactor does: read the predecessor, make the segment, publish the restart.
    pub(crate) fn begin(predecessor: Option<&Segment>, now_ns: u64) -> Life {
        let found = predecessor.map(Predecessor::read);
        let mut writer = LaneWriter::anonymous(&plan()).expect("a valid plan");
        let mut feed = writer.feed(0);
        feed.set_name("sim");
        begin_sequence(&mut writer, &mut feed, found.as_ref(), now_ns);
        let limits = BookLimits { max_orders: 1 << 10, max_levels: 1 << 12, instruments: 1 << 10 };
        let itch = Itch::new(ItchConfig { limits, ..config() }, Ids).expect("a valid config");
        let midnight_ns = config().midnight_ns;
        let segment = writer.reader();
        let out = Output::new(writer, itch.into(), found, Box::new(move |_| midnight_ns));
        Life { out, segment }
    }
}

/// What kills a writer in the middle of a burst: the clock, read between one batch and the next.
#[derive(Debug, Default)]
pub(crate) struct Fuse {
    /// Readings of the clock that are left.
    left: Cell<Option<u32>>,
}

/// A writer has died.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Killed;

impl Fuse {
    /// The clock will kill its reader when it is read once more than `readings` times.
    pub(crate) fn light(&self, readings: u32) {
        self.left.set(Some(readings));
    }

    /// Nothing burns any more.
    pub(crate) fn put_out(&self) {
        self.left.set(None);
    }

    /// A clock at `now_ns` that burns the fuse.
    pub(crate) fn clock(&self, now_ns: u64) -> impl Fn() -> u64 + Copy {
        move || {
            match self.left.get() {
                Some(0) => {
                    self.left.set(None);
                    // Not a panic: no hook runs, nothing is printed.
                    resume_unwind(Box::new(Killed));
                }
                Some(left) => self.left.set(Some(left - 1)),
                None => {}
            }
            now_ns
        }
    }

    /// Runs `work`, which may be killed.
    pub(crate) fn survive<T>(&self, work: impl FnOnce() -> T) -> Result<T, Killed> {
        catch_unwind(AssertUnwindSafe(work)).map_err(|cause| match cause.downcast::<Killed>() {
            Ok(_) => Killed,
            Err(cause) => resume_unwind(cause),
        })
    }
}

/// What a killed writer leaves behind the last whole event of each ring: slots of an event that never became one.
pub(crate) fn tear(out: &mut Output<Ids>, slots: [u64; 2]) {
    for (ring, slots) in [&mut out.writer.orders, &mut out.writer.market].into_iter().zip(slots) {
        for slot in 0..slots {
            ring.push(&[0x01_01 + slot; 7]);
        }
    }
}
