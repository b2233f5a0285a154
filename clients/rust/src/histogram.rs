//! A histogram of fixed size: recording neither allocates nor fails.

/// Sub-buckets per power of two: a value is known to 1 part in 16.
const SUB_BUCKETS: u64 = 16;
const SUB_BITS: u32 = SUB_BUCKETS.trailing_zeros();
const BUCKETS: usize = ((64 - SUB_BITS as usize) + 1) * SUB_BUCKETS as usize;

/// Counts of values by magnitude, each to within 6.25 %. Values are nanoseconds wherever this crate fills one.
#[derive(Debug, Clone)]
pub struct Histogram {
    counts: Box<[u64; BUCKETS]>,
    count: u64,
    max: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Histogram { counts: Box::new([0; BUCKETS]), count: 0, max: 0 }
    }
}

fn bucket_of(value: u64) -> usize {
    if value < SUB_BUCKETS {
        return value as usize;
    }
    let shift = value.ilog2() - SUB_BITS;
    // The leading bit is implied by the row, the next four choose the sub-bucket.
    (u64::from(shift + 1) * SUB_BUCKETS + ((value >> shift) - SUB_BUCKETS)) as usize
}

/// Largest value of a bucket: percentiles err on the slow side.
fn upper_edge(bucket: usize) -> u64 {
    let (row, sub) = (bucket as u64 / SUB_BUCKETS, bucket as u64 % SUB_BUCKETS);
    if row == 0 {
        return sub;
    }
    let shift = row as u32 - 1;
    ((SUB_BUCKETS + sub) << shift) + ((1u64 << shift) - 1)
}

impl Histogram {
    /// An empty one. Allocates here and never again.
    pub fn new() -> Histogram {
        Histogram::default()
    }

    /// Counts one value.
    #[inline]
    pub fn record(&mut self, value: u64) {
        self.counts[bucket_of(value)] += 1;
        self.count += 1;
        self.max = self.max.max(value);
    }

    /// Values counted.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Largest value counted; 0 when there is none.
    pub fn max(&self) -> u64 {
        self.max
    }

    /// A value that `percent` of those counted do not exceed, at most 6.25 % too large; `None` when there is none.
    pub fn percentile(&self, percent: f64) -> Option<u64> {
        if self.count == 0 {
            return None;
        }
        let rank = ((self.count as f64 * percent / 100.0).ceil() as u64).clamp(1, self.count);
        let mut below = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            below += count;
            if below >= rank {
                return Some(upper_edge(bucket).min(self.max));
            }
        }
        Some(self.max)
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.counts.fill(0);
        self.count = 0;
        self.max = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_falls_in_a_bucket_whose_edges_hold_it() {
        let values =
            (0..64).flat_map(|bit| [1u64 << bit, (1u64 << bit) - 1, (1u64 << bit) | 1]).chain([u64::MAX, 1000]);
        for value in values {
            let bucket = bucket_of(value);
            assert!(bucket < BUCKETS, "{value}");
            assert!(upper_edge(bucket) >= value, "{value}");
            assert!(bucket == 0 || upper_edge(bucket - 1) < value, "{value}");
            assert!(upper_edge(bucket) - value <= value / SUB_BUCKETS, "{value}");
        }
    }

    #[test]
    fn percentiles() {
        let mut histogram = Histogram::new();
        assert_eq!(histogram.percentile(50.0), None);
        for value in 1..=1000 {
            histogram.record(value);
        }
        for (percent, exact) in [(50.0, 500), (99.0, 990), (0.0, 1)] {
            let value = histogram.percentile(percent).unwrap();
            assert!(value >= exact && value <= exact + exact / SUB_BUCKETS, "p{percent} is {value}");
        }
        assert_eq!((histogram.percentile(100.0), histogram.count(), histogram.max()), (Some(1000), 1000, 1000));
        histogram.clear();
        assert_eq!((histogram.percentile(50.0), histogram.count(), histogram.max()), (None, 0, 0));
    }
}
