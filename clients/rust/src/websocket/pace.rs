//! When the next thing may be done: attempts to connect, commands to a gateway that counts them.

use std::time::{Duration, Instant};

use super::event::Limits;

/// Delays between attempts: doubled from the shortest to the longest, each cut by up to half at random, so that the
/// clients of a gateway that comes back do not come back all at once.
#[derive(Debug)]
pub(crate) struct Backoff {
    shortest: Duration,
    longest: Duration,
    next: Duration,
}

impl Backoff {
    pub(crate) fn new(shortest: Duration, longest: Duration) -> Backoff {
        Backoff { shortest, longest: longest.max(shortest), next: shortest }
    }

    /// The delay before the next attempt. `dice` is any number, best a random one.
    pub(crate) fn delay(&mut self, dice: u64) -> Duration {
        let delay = self.next;
        self.next = (delay * 2).min(self.longest);
        let half = delay / 2;
        half + half.mul_f64(dice as f64 / u64::MAX as f64)
    }

    /// A connection stood for `lived`. One that ended at once does not count, or a gateway that refuses after the
    /// greeting would be asked without pause.
    pub(crate) fn stood(&mut self, lived: Duration) {
        if lived >= self.longest {
            self.next = self.shortest;
        }
    }
}

/// Commands a second and at once that every gateway of this protocol allows.
const COMMANDS_PER_SECOND: u64 = 20;
const COMMANDS_BURST: u64 = 100;

/// Keeps below what a gateway allows: four fifths of its rate and half of its burst, since its clock is not ours.
#[derive(Debug)]
pub(crate) struct Pace {
    interval: Duration,
    burst: Duration,
    /// When everything sent so far would have been due at an even pace.
    due: Instant,
}

impl Pace {
    pub(crate) fn new(limits: &Limits, now: Instant) -> Pace {
        let or = |limit: u64, default| if limit == 0 { default } else { limit };
        let rate = or(limits.commands_per_second, COMMANDS_PER_SECOND) as f64 * 0.8;
        let burst = or(limits.commands_burst, COMMANDS_BURST) / 2;
        let interval = Duration::from_secs_f64(1.0 / rate);
        Pace { interval, burst: interval.mul_f64(burst.saturating_sub(1).min(1_000_000) as f64), due: now }
    }

    /// Earliest moment of the next command.
    pub(crate) fn next(&self) -> Instant {
        self.due.checked_sub(self.burst).unwrap_or(self.due)
    }

    /// A command was sent.
    pub(crate) fn sent(&mut self, now: Instant) {
        self.due = self.due.max(now) + self.interval;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_within_their_limits() {
        let ms = Duration::from_millis;
        let mut backoff = Backoff::new(ms(100), ms(500));
        let full: Vec<Duration> = (0..4).map(|_| backoff.delay(u64::MAX)).collect();
        assert_eq!(full, [ms(100), ms(200), ms(400), ms(500)]);
        assert_eq!(backoff.delay(0), ms(250));
        backoff.stood(ms(499));
        assert_eq!(backoff.delay(u64::MAX), ms(500), "it did not stand");
        backoff.stood(ms(500));
        assert_eq!(backoff.delay(u64::MAX), ms(100));
    }

    #[test]
    fn commands_keep_below_the_gateway_s_limit() {
        let start = Instant::now() + Duration::from_secs(3600);
        let mut pace = Pace::new(&Limits { commands_per_second: 10, commands_burst: 8, ..Limits::default() }, start);
        let mut now = start;
        let mut sent = Vec::new();
        while sent.len() < 12 {
            now = now.max(pace.next());
            pace.sent(now);
            sent.push((now - start).as_millis());
        }
        // 4 at once, then 8 a second.
        assert_eq!(sent, [0, 0, 0, 0, 125, 250, 375, 500, 625, 750, 875, 1000]);
    }
}
