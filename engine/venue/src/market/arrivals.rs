//! When messages come: a Poisson process whose rate switches between a calm and a burst state.

use super::rng::Rng;

/// Share of the time that is spent in bursts.
const BURST_TIME_SHARE: f64 = 0.05;
/// Mean number of messages in one burst.
const BURST_MESSAGES: f64 = 100.0;
/// Highest allowed ratio of the burst rate to the mean rate; above `1 / BURST_TIME_SHARE` the calm rate would be negative.
pub const MAX_BURSTINESS: f64 = 15.0;

/// The gaps between messages, in nanoseconds. The long-run mean rate is exactly the one asked for.
#[derive(Debug, Clone)]
pub(crate) struct Arrivals {
    calm_gap_ns: f64,
    burst_gap_ns: f64,
    bursting: bool,
    /// What is left of the current state.
    left_ns: f64,
    /// Fraction of a nanosecond not yet given out, so that gaps of a few nanoseconds keep their mean.
    carry_ns: f64,
}

impl Arrivals {
    /// `burstiness` is the burst rate over the mean rate, 1 (plain Poisson) to [`MAX_BURSTINESS`].
    pub(crate) fn new(rate_per_second: f64, burstiness: f64) -> Self {
        let mean_gap_ns = 1e9 / rate_per_second;
        let calm_rate = (1.0 - BURST_TIME_SHARE * burstiness) / (1.0 - BURST_TIME_SHARE);
        Self {
            calm_gap_ns: mean_gap_ns / calm_rate,
            burst_gap_ns: mean_gap_ns / burstiness,
            bursting: true,
            left_ns: 0.0,
            carry_ns: 0.0,
        }
    }

    /// Time from one message to the next.
    #[inline]
    pub(crate) fn gap_ns(&mut self, rng: &mut Rng) -> u64 {
        let mut need = rng.exponential();
        let mut total = self.carry_ns;
        loop {
            let gap = if self.bursting { self.burst_gap_ns } else { self.calm_gap_ns };
            if need * gap <= self.left_ns {
                self.left_ns -= need * gap;
                total += need * gap;
                let whole = total as u64;
                self.carry_ns = total - whole as f64;
                return whole;
            }
            need -= self.left_ns / gap;
            total += self.left_ns;
            self.switch(rng);
        }
    }

    fn switch(&mut self, rng: &mut Rng) {
        self.bursting = !self.bursting;
        let burst_ns = BURST_MESSAGES * self.burst_gap_ns;
        let mean_ns = if self.bursting { burst_ns } else { burst_ns * (1.0 - BURST_TIME_SHARE) / BURST_TIME_SHARE };
        self.left_ns = mean_ns * rng.exponential();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Mean rate, and the variance of the counts per window over their mean (1 for Poisson).
    fn measure(rate: f64, burstiness: f64, window_ns: u64) -> (f64, f64) {
        let (mut rng, mut arrivals) = (Rng::new(3), Arrivals::new(rate, burstiness));
        let n = 1_000_000u64;
        let (mut now, mut count, mut edge, mut counts) = (0u64, 0.0, window_ns, Vec::new());
        for _ in 0..n {
            now += arrivals.gap_ns(&mut rng);
            while now >= edge {
                counts.push(count);
                count = 0.0;
                edge += window_ns;
            }
            count += 1.0;
        }
        let mean = counts.iter().sum::<f64>() / counts.len() as f64;
        let variance = counts.iter().map(|c| (c - mean) * (c - mean)).sum::<f64>() / counts.len() as f64;
        (n as f64 * 1e9 / now as f64, variance / mean)
    }

    #[test]
    fn mean_rate_holds_and_bursts_are_bursts() {
        let table: &[(&str, f64, f64, std::ops::Range<f64>)] = &[
            ("plain Poisson", 10_000.0, 1.0, 0.9..1.1),
            ("default bursts", 10_000.0, 6.0, 5.0..100.0),
            ("slow", 10.0, 6.0, 5.0..100.0),
            ("gaps of 125 ns", 8e6, 6.0, 5.0..100.0),
        ];
        for (name, rate, burstiness, dispersion_range) in table {
            let window_ns = (100.0 * 1e9 / rate) as u64;
            let (measured, dispersion) = measure(*rate, *burstiness, window_ns);
            assert!((measured / rate - 1.0).abs() < 0.05, "case {name}: {measured} messages a second");
            assert!(dispersion_range.contains(&dispersion), "case {name}: dispersion {dispersion}");
        }
    }
}
