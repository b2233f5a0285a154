//! By how much one line is ahead of the other: which packet came when, and a histogram of the differences.

use super::sink::LineId;
use crate::time::Nanos;

/// Packets remembered, a power of two. A copy that comes later than so many packets gives no sample.
const REMEMBERED: usize = 1_024;
/// Four buckets for each power of two.
const BUCKETS: usize = 252;

#[derive(Debug, Clone, Copy)]
struct First {
    sequence: u64,
    recv: Nanos,
    line: Option<LineId>,
}

/// First copies of the last packets, by the number of their first message.
#[derive(Debug)]
pub(super) struct Firsts(Box<[First]>);

impl Firsts {
    pub(super) fn new() -> Self {
        Self(vec![First { sequence: 0, recv: Nanos(0), line: None }; REMEMBERED].into())
    }

    /// Numbers begin anew: what is remembered would be taken for something else.
    pub(super) fn clear(&mut self) {
        self.0.iter_mut().for_each(|first| first.line = None);
    }

    /// A packet beginning with message `sequence` came on `line`; `fresh` when that message is the first copy. Gives the
    /// line that had brought the same packet before and by how many nanoseconds, once per packet.
    #[inline]
    pub(super) fn note(&mut self, line: LineId, sequence: u64, recv: Nanos, fresh: bool) -> Option<(LineId, u64)> {
        // Packets begin at multiples of a common count on some venues: the upper bits help to spread them.
        let index = (sequence ^ (sequence >> 10)) as usize & (REMEMBERED - 1);
        let first = &mut self.0[index];
        match first.line {
            Some(ahead) if first.sequence == sequence && ahead != line => {
                first.line = None;
                Some((ahead, recv.since(first.recv)))
            }
            _ if fresh => {
                *first = First { sequence, recv, line: Some(line) };
                None
            }
            _ => None,
        }
    }
}

/// Counts of leads in buckets of a quarter of a power of two.
#[derive(Debug)]
pub(super) struct Leads {
    buckets: Box<[u32]>,
    total: u64,
}

impl Leads {
    pub(super) fn new() -> Self {
        Self { buckets: vec![0; BUCKETS].into(), total: 0 }
    }

    #[inline]
    pub(super) fn record(&mut self, lead_ns: u64) {
        let bucket = &mut self.buckets[bucket(lead_ns)];
        if let Some(more) = bucket.checked_add(1) {
            *bucket = more;
            self.total += 1;
        }
    }

    /// The middle of the bucket that the median lies in: at most an eighth off. `None` without a sample.
    pub(super) fn median_ns(&self) -> Option<u64> {
        let mut left = self.total.div_ceil(2);
        let index = self.buckets.iter().position(|count| {
            left = left.saturating_sub(u64::from(*count));
            left == 0
        })?;
        let (low, high) = (bucket_start(index), bucket_start(index + 1));
        (self.total > 0).then(|| low + (high - low - 1) / 2)
    }
}

/// 0 to 3 have buckets of their own; above, the power of two and the two bits below it.
fn bucket(value: u64) -> usize {
    match value {
        0..4 => value as usize,
        _ => {
            let power = 63 - value.leading_zeros();
            (power as usize - 1) * 4 + (value >> (power - 2)) as usize % 4
        }
    }
}

fn bucket_start(index: usize) -> u64 {
    match index {
        0..4 => index as u64,
        BUCKETS.. => u64::MAX,
        _ => (4 + index as u64 % 4) << (index / 4 - 1),
    }
}

#[cfg(test)]
mod tests;
