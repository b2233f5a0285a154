//! What a source gives.

use shm_abi::directory::Instrument;
use shm_abi::segment::RingName;

/// Numbers of a ring that a recording does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Missing {
    /// The ring.
    pub ring: RingName,
    /// Slots that are missing; 0: nobody knows how many.
    pub slots: u64,
    /// Low half of the venue sequence of the ring's next record, if there is one.
    pub next_sequence_low: Option<u32>,
    /// Publish time of the ring's next record, ns since the UNIX epoch; when there is none, 0.
    pub published_ns: u64,
}

/// One thing that a source gives.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Step<'s> {
    /// A record, to be published again.
    Record {
        /// Its ring.
        ring: RingName,
        /// 7 words, or 7 + 6 per further slot.
        words: &'s [u64],
        /// When it was published, ns since the UNIX epoch. Of records of one ring it can step back by a little.
        published_ns: u64,
        /// With it, the venue event is whole in both rings. Until one is, no time passes and no head is moved.
        whole: bool,
        /// First word of what stands a few slots behind it in its ring; 0: not known. What it speaks of will be needed soon.
        ahead: u64,
    },
    /// Records are missing here.
    Missing(Missing),
    /// An instrument that later records speak of. Each comes once.
    Instrument(&'s Instrument),
    /// A record from before the start that was asked for: rows take it in, the rings do not get it.
    Past {
        /// Its ring.
        ring: RingName,
        /// Its words; there may be none.
        words: &'s [u64],
        /// As of a record.
        whole: bool,
    },
}

impl Step<'_> {
    /// When it is due: the publish time, ns since the UNIX epoch. `None`: at once.
    #[inline(always)]
    pub fn published_ns(&self) -> Option<u64> {
        match self {
            Step::Record { published_ns, .. } => Some(*published_ns),
            Step::Missing(missing) if missing.published_ns > 0 => Some(missing.published_ns),
            _ => None,
        }
    }
}
