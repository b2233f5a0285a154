//! How fast a session's messages are released, and when that begins.

use std::str::FromStr;
use std::time::{Duration, Instant};

/// Relation of the messages' time stamps to the clock on the wall.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pace {
    /// Time stamps pass this many times as fast as the clock; above 0.
    Times(f64),
    /// As fast as the clients take it.
    Max,
}

/// A speed that could not be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("speed {0:?} is neither a factor above 0 like 1x, 0.5x or 20x, nor max")]
pub struct PaceError(String);

impl FromStr for Pace {
    type Err = PaceError;

    fn from_str(text: &str) -> Result<Self, PaceError> {
        if text == "max" {
            return Ok(Self::Max);
        }
        let factor = text.strip_suffix('x').unwrap_or(text).parse::<f64>();
        factor
            .ok()
            .filter(|times| times.is_finite() && *times > 0.0)
            .map(Self::Times)
            .ok_or_else(|| PaceError(text.into()))
    }
}

/// Maps time stamps to moments. The first stamp is due at once; a stamp below an earlier one is due with it.
#[derive(Debug)]
pub(crate) struct Schedule {
    times: f64,
    origin: Option<(Instant, u64)>,
}

impl Schedule {
    pub(crate) fn new(times: f64) -> Self {
        Self { times, origin: None }
    }

    /// When a message with this stamp is due.
    pub(crate) fn due(&mut self, now: Instant, stamp_ns: u64) -> Instant {
        let (start, first_ns) = *self.origin.get_or_insert((now, stamp_ns));
        let wait_ns = stamp_ns.saturating_sub(first_ns) as f64 / self.times;
        // The cast saturates at 584 years, which is as good as never and within the range of an `Instant`.
        start + Duration::from_nanos(wait_ns as u64)
    }
}

/// Nanoseconds since midnight at a fixed offset from UTC, right now.
///
/// A fixed offset knows no daylight saving time: a venue in New York is at -5 h in winter and -4 h in summer.
#[must_use]
pub fn time_of_day_ns(utc_offset_seconds: i64) -> u64 {
    const DAY_SECONDS: i64 = 86_400;
    let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let seconds = (since_epoch.as_secs() as i64 + utc_offset_seconds).rem_euclid(DAY_SECONDS);
    seconds as u64 * 1_000_000_000 + u64::from(since_epoch.subsec_nanos())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speeds_are_parsed() {
        let table: &[(&str, Option<Pace>)] = &[
            ("1x", Some(Pace::Times(1.0))),
            ("0.5x", Some(Pace::Times(0.5))),
            ("20", Some(Pace::Times(20.0))),
            ("max", Some(Pace::Max)),
            ("0x", None),
            ("-1x", None),
            ("infx", None),
            ("fast", None),
        ];
        for (text, want) in table {
            assert_eq!(text.parse().ok(), *want, "case: {text}");
        }
    }

    #[test]
    fn stamps_map_to_moments() {
        let start = Instant::now();
        let mut schedule = Schedule::new(2.0);
        let table: &[(u64, u64)] = &[(1_000, 0), (1_000, 0), (3_000, 1_000), (500, 0), (2_001_000, 1_000_000)];
        for (stamp_ns, wait_ns) in table {
            assert_eq!(schedule.due(start, *stamp_ns), start + Duration::from_nanos(*wait_ns), "stamp {stamp_ns}");
        }
        assert!(Schedule::new(1e-300).due(start, 5) >= start);
        let mut slow = Schedule::new(1e-300);
        slow.due(start, 0);
        assert!(slow.due(start, u64::MAX) > start + Duration::from_secs(1_000_000));
    }
}
