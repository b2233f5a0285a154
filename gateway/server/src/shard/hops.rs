//! How long things take, as percentiles of the last seconds.

use hdrhistogram::Histogram;

use crate::report::Percentiles;

/// Longest time that a histogram tells apart, ns; longer ones count as it.
const LONGEST_NS: u64 = 60_000_000_000;
/// Clocks that differ by more than this do not measure one event's way: it is a replayed day.
const PLAUSIBLE_NS: u64 = LONGEST_NS;
/// Decimal digits that are kept.
const DIGITS: u8 = 2;
/// Age of a half window. What is told stems from the last one to two of them.
const HALF_WINDOW_NS: u64 = 10_000_000_000;

/// Times of one kind.
#[derive(Debug)]
pub(crate) struct Hop {
    current: Histogram<u32>,
    previous: Histogram<u32>,
    rotate_at_ns: u64,
    total: u64,
    negative: u64,
    implausible: u64,
}

impl Hop {
    pub(crate) fn new() -> Hop {
        let empty = || Histogram::new_with_bounds(1, LONGEST_NS, DIGITS).expect("the bounds are constants that fit");
        Hop { current: empty(), previous: empty(), rotate_at_ns: 0, total: 0, negative: 0, implausible: 0 }
    }

    /// Takes a time.
    #[inline]
    pub(crate) fn take(&mut self, ns: u64) {
        self.current.saturating_record(ns);
        self.total += 1;
    }

    /// Takes the time between two stamps of perhaps different clocks, if both are known.
    #[inline]
    pub(crate) fn between(&mut self, earlier_ns: u64, later_ns: u64) {
        if earlier_ns == 0 || later_ns == 0 {
            return;
        }
        if earlier_ns.abs_diff(later_ns) > PLAUSIBLE_NS {
            self.implausible += 1;
            return;
        }
        self.negative += u64::from(earlier_ns > later_ns);
        self.take(later_ns.saturating_sub(earlier_ns));
    }

    /// What the last seconds were like. To be called regularly: it also forgets what is older.
    pub(crate) fn tell(&mut self, mono_ns: u64) -> Percentiles {
        if mono_ns >= self.rotate_at_ns {
            std::mem::swap(&mut self.current, &mut self.previous);
            self.current.reset();
            self.rotate_at_ns = mono_ns + HALF_WINDOW_NS;
        }
        let (total, negative, implausible) = (self.total, self.negative, self.implausible);
        let counts = Percentiles { total, negative, implausible, ..Percentiles::default() };
        let mut both = self.current.clone();
        if both.add(&self.previous).is_err() || both.is_empty() {
            return counts;
        }
        Percentiles {
            count: both.len(),
            p50_ns: both.value_at_quantile(0.5),
            p90_ns: both.value_at_quantile(0.9),
            p99_ns: both.value_at_quantile(0.99),
            p99_9_ns: both.value_at_quantile(0.999),
            max_ns: both.max(),
            ..counts
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_tells_its_seconds_and_forgets_them() {
        let mut hop = Hop::new();
        hop.tell(1);
        (1..=1000).for_each(|ns| hop.take(ns * 1000));
        let told = hop.tell(2);
        assert_eq!((told.count, told.total), (1000, 1000));
        for (got, want) in
            [(told.p50_ns, 500_000), (told.p90_ns, 900_000), (told.p99_9_ns, 999_000), (told.max_ns, 1_000_000)]
        {
            assert!(got.abs_diff(want) <= want / 100 + 1, "{got} {want}");
        }
        assert_eq!(hop.tell(HALF_WINDOW_NS + 1).count, 1000);
        assert_eq!(hop.tell(2 * HALF_WINDOW_NS + 1), Percentiles { total: 1000, ..Percentiles::default() });
    }

    #[test]
    fn stamps_of_other_clocks() {
        let day = 86_400_000_000_000;
        let table = [
            ("unknown start", 0, 5, (0, 0, 0)),
            ("unknown end", 5, 0, (0, 0, 0)),
            ("forwards", day, day + 7, (1, 0, 0)),
            ("backwards", day + 7, day, (1, 1, 0)),
            ("a replayed day", day, 3 * day, (0, 0, 1)),
            ("a day to come", 3 * day, day, (0, 0, 1)),
        ];
        for (name, earlier, later, expected) in table {
            let mut hop = Hop::new();
            hop.between(earlier, later);
            let told = hop.tell(1);
            assert_eq!((told.total, told.negative, told.implausible), expected, "case: {name}");
        }
    }
}
