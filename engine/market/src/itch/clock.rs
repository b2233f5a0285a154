//! The venue's clock: from the time of a message on the wire to UNIX time.

use wire::dialect::Clock;

const SECOND_NS: u64 = 1_000_000_000;
/// A message may seem this much younger than its reception: clocks differ.
const AHEAD_NS: u64 = SECOND_NS / 2;
/// Most seconds of a time stamp message: a month, far beyond any system cycle.
pub(super) const SECONDS_MAX: u32 = 31 * 86_400;

/// Midnight, and what has to be added to it.
#[derive(Debug)]
pub(super) struct VenueClock {
    kind: Clock,
    midnight_ns: u64,
    /// Midnight, and the seconds of the last time stamp message where the dialect has them.
    base_ns: u64,
    /// Whether those seconds are those of the next message.
    known: bool,
}

impl VenueClock {
    pub(super) fn new(kind: Clock, midnight_ns: u64) -> VenueClock {
        VenueClock { kind, midnight_ns, base_ns: midnight_ns, known: kind == Clock::NanosSinceMidnight }
    }

    /// UNIX time of a message.
    #[inline(always)]
    pub(super) fn time(&self, wire_ns: u64, ts_recv: u64) -> u64 {
        if self.known { self.base_ns + wire_ns } else { by_wall_clock(wire_ns, ts_recv) }
    }

    /// A new day. A midnight is below 2^63, the seconds below 2^22: no sum overflows.
    pub(super) fn set_midnight(&mut self, midnight_ns: u64) {
        self.base_ns = self.base_ns - self.midnight_ns + midnight_ns;
        self.midnight_ns = midnight_ns;
    }

    /// A time stamp message, of at most [`SECONDS_MAX`].
    pub(super) fn set_seconds(&mut self, seconds: u32) {
        self.base_ns = self.midnight_ns + u64::from(seconds) * SECOND_NS;
        self.known = true;
    }

    /// The stream does not go on where it was: until the next time stamp message the second is not known.
    pub(super) fn lose(&mut self) {
        self.known = self.kind == Clock::NanosSinceMidnight;
    }
}

/// The second of a message before the first time stamp message is that of its reception, or the one before.
#[cold]
fn by_wall_clock(wire_ns: u64, ts_recv: u64) -> u64 {
    let at = (ts_recv - ts_recv % SECOND_NS).saturating_add(wire_ns);
    if at > ts_recv.saturating_add(AHEAD_NS) { at.saturating_sub(SECOND_NS) } else { at }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_a_message() {
        let nasdaq = VenueClock::new(Clock::NanosSinceMidnight, 500);
        assert_eq!(nasdaq.time(42, 7), 542);
        let mut clock = VenueClock::new(Clock::SecondsAndNanos, 1_000 * SECOND_NS);
        let table: &[(&str, u64, u64, u64)] = &[
            ("received in the same second", 100, 7 * SECOND_NS + 200, 7 * SECOND_NS + 100),
            ("received in the next one", 900_000_000, 7 * SECOND_NS + 1, 6 * SECOND_NS + 900_000_000),
            ("our clock is a little late", 300_000_000, 7 * SECOND_NS, 7 * SECOND_NS + 300_000_000),
            ("no reception", 900_000_000, 0, 0),
            ("the end of time", u64::MAX, u64::MAX, u64::MAX),
        ];
        for (name, wire_ns, ts_recv, want) in table {
            assert_eq!(clock.time(*wire_ns, *ts_recv), *want, "case: {name}");
        }
        clock.set_seconds(5);
        assert_eq!(clock.time(42, 7), 1_005 * SECOND_NS + 42);
        clock.set_midnight(2_000 * SECOND_NS);
        assert_eq!(clock.time(42, 7), 2_005 * SECOND_NS + 42);
        clock.lose();
        assert_eq!(clock.time(42, 7 * SECOND_NS + 50), 7 * SECOND_NS + 42);
        clock.set_seconds(SECONDS_MAX);
        clock.set_midnight((1 << 63) - 1);
        assert!(clock.time(u64::from(u32::MAX), 0) > 1 << 63);
    }
}
