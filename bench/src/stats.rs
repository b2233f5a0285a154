//! The little statistics that the promises need: medians of per-pair ratios, and latency histograms.

use hdrhistogram::Histogram;
use serde::Serialize;

/// Median, extremes and number of some values.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    /// Middle value; of an even number the mean of the two in the middle.
    pub median: f64,
    /// Smallest value.
    pub min: f64,
    /// Largest value.
    pub max: f64,
    /// How many.
    pub n: usize,
}

/// Median and extremes; `None` of nothing, or when a value is not finite.
pub fn spread(values: &[f64]) -> Option<Spread> {
    if values.is_empty() || values.iter().any(|value| !value.is_finite()) {
        return None;
    }
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let (n, middle) = (sorted.len(), sorted.len() / 2);
    let median = if n % 2 == 1 { sorted[middle] } else { (sorted[middle - 1] + sorted[middle]) / 2.0 };
    Some(Spread { median, min: sorted[0], max: sorted[n - 1], n })
}

/// Ratio of each pair: `ours[i] / theirs[i]`. Runs without a partner in their pair do not count.
pub fn ratios(ours: &[f64], theirs: &[f64]) -> Vec<f64> {
    ours.iter().zip(theirs).map(|(a, b)| a / b).collect()
}

/// What is reported of a latency histogram, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Quantiles {
    /// Samples.
    pub n: u64,
    /// Half of the samples are at most this.
    pub p50: f64,
    /// 99 of 100.
    pub p99: f64,
    /// 999 of 1,000.
    pub p99_9: f64,
    /// 9,999 of 10,000.
    pub p99_99: f64,
    /// The largest.
    pub max: f64,
}

/// Longest time that a histogram tells apart from longer ones, in ticks: about ten seconds.
const LONGEST_TICKS: u64 = 1 << 35;
/// Three digits: a value is told apart from one that differs by a thousandth.
const DIGITS: u8 = 3;

/// Times in ticks. The scale says how many nanoseconds a reported tick is worth, so that a round trip can be recorded
/// whole and reported halved, without rounding each sample.
#[derive(Debug, Clone)]
pub struct Latency {
    histogram: Histogram<u64>,
    ns_per_tick: f64,
}

impl Latency {
    /// An empty histogram, reported at `ns_per_tick`.
    pub fn new(ns_per_tick: f64) -> Self {
        let histogram = Histogram::new_with_bounds(1, LONGEST_TICKS, DIGITS).expect("bounds and digits are legal");
        Self { histogram, ns_per_tick }
    }

    /// Records one time.
    #[inline]
    pub fn record(&mut self, ticks: u64) {
        self.histogram.saturating_record(ticks);
    }

    /// Adds the samples of another histogram of the same scale.
    pub fn merge(&mut self, other: &Latency) {
        self.histogram.add(&other.histogram).expect("all histograms have the same bounds");
    }

    /// What is reported; all zero when nothing was recorded.
    pub fn quantiles(&self) -> Quantiles {
        let at = |quantile| self.histogram.value_at_quantile(quantile) as f64 * self.ns_per_tick;
        Quantiles {
            n: self.histogram.len(),
            p50: at(0.5),
            p99: at(0.99),
            p99_9: at(0.999),
            p99_99: at(0.9999),
            max: self.histogram.max() as f64 * self.ns_per_tick,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spreads() {
        let table: &[(&str, &[f64], Option<(f64, f64, f64)>)] = &[
            ("nothing", &[], None),
            ("one", &[3.0], Some((3.0, 3.0, 3.0))),
            ("odd, unsorted", &[9.0, 1.0, 4.0], Some((4.0, 1.0, 9.0))),
            ("even", &[4.0, 1.0, 2.0, 9.0], Some((3.0, 1.0, 9.0))),
            ("an outlier does not move it", &[1.0, 1.1, 1.2, 1.3, 900.0], Some((1.2, 1.0, 900.0))),
            ("division by zero", &[1.0, f64::INFINITY], None),
            ("no number", &[f64::NAN], None),
        ];
        for (name, values, want) in table {
            let got = spread(values).map(|s| (s.median, s.min, s.max));
            assert_eq!(&got, want, "case: {name}");
        }
    }

    #[test]
    fn ratios_are_taken_within_pairs() {
        // Medians of the columns would give 2 / 2 = 1; the pairs say that ours took half as long each time but one.
        let got = ratios(&[1.0, 2.0, 8.0], &[2.0, 4.0, 2.0]);
        assert_eq!(got, [0.5, 0.5, 4.0]);
        assert_eq!(spread(&got).unwrap().median, 0.5);
        assert_eq!(ratios(&[1.0, 1.0], &[2.0]), [0.5]);
    }

    #[test]
    fn quantiles_are_scaled_and_merged() {
        let (mut a, mut b) = (Latency::new(0.5), Latency::new(0.5));
        (1..=50).for_each(|ticks| a.record(ticks));
        (51..=100).for_each(|ticks| b.record(ticks));
        a.merge(&b);
        let got = a.quantiles();
        assert_eq!((got.n, got.p50, got.p99, got.max), (100, 25.0, 49.5, 50.0));
        assert_eq!(Latency::new(1.0).quantiles().n, 0);
    }

    #[test]
    fn absurd_times_are_kept_at_the_limit() {
        let mut latency = Latency::new(1.0);
        latency.record(u64::MAX);
        assert_eq!(latency.quantiles().n, 1);
        assert!(latency.quantiles().max >= LONGEST_TICKS as f64);
    }
}
