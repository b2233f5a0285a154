//! Who sends more than he may.

/// A bucket of tokens that fills steadily, as the time at which it would be full.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Bucket {
    full_at_ns: u64,
}

impl Bucket {
    /// Takes `count` tokens of a bucket that holds `burst` and gets `per_second`. `false`: there were not so many.
    pub(super) fn take(&mut self, count: u64, per_second: u32, burst: u32, now_ns: u64) -> bool {
        let ns = |tokens: u64| tokens.saturating_mul(1_000_000_000) / u64::from(per_second.max(1));
        self.full_at_ns = self.full_at_ns.max(now_ns).saturating_add(ns(count));
        self.full_at_ns - now_ns.min(self.full_at_ns) <= ns(burst.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_and_then_the_rate() {
        let (mut bucket, start) = (Bucket::default(), 5_000_000_000);
        assert!((0..100).all(|_| bucket.take(1, 20, 100, start)));
        let mut empty = bucket;
        assert!(!empty.take(1, 20, 100, start), "the burst is spent");
        assert!(bucket.take(1, 20, 100, start + 50_000_000), "a twentieth of a second gives one");
        assert!(!bucket.take(1, 20, 100, start + 99_000_000));
        let mut bytes = Bucket::default();
        assert!(bytes.take(1 << 20, 256 << 10, 1 << 20, start));
        assert!(!bytes.take(u64::MAX, 256 << 10, 1 << 20, start + 60_000_000_000), "no overflow");
    }
}
