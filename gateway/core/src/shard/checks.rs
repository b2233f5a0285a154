//! Limits that a shard can keep.

use crate::limits::{LimitError, Limits};
use crate::outbox::PENDING_MAX;

/// Checks every limit whose range matters to a shard; the frame ring checks its own.
pub(super) fn check(limits: &Limits) -> Result<(), LimitError> {
    let table: &[(&str, u32, bool, &str)] = &[
        ("connections", limits.connections, (1..=1 << 20).contains(&limits.connections), "1 to 1048576"),
        ("subscriptions", limits.subscriptions, (1..=65_535).contains(&limits.subscriptions), "1 to 65535"),
        ("commands_per_second", limits.commands_per_second, limits.commands_per_second > 0, "at least 1"),
        ("commands_burst", limits.commands_burst, limits.commands_burst > 0, "at least 1"),
        ("bytes_per_second", limits.bytes_per_second, limits.bytes_per_second > 0, "at least 1"),
        ("bytes_burst", limits.bytes_burst, limits.bytes_burst > 0, "at least 1"),
        ("pending_frames", limits.pending_frames, (1..=PENDING_MAX as u32).contains(&limits.pending_frames), "1 to 64"),
        ("queued_bytes", limits.queued_bytes, limits.queued_bytes >= 1 << 14, "at least 16384"),
        ("trades", limits.trades, limits.trades.is_power_of_two(), "a power of two"),
        ("snapshot_trades", limits.snapshot_trades, limits.snapshot_trades <= limits.trades, "at most `trades`"),
        ("replays", limits.replays, limits.replays <= 4096, "at most 4096"),
        ("replay_wait_ms", limits.replay_wait_ms, limits.replay_wait_ms > 0, "at least 1"),
        ("stalled_ms", limits.stalled_ms, limits.stalled_ms > 0, "at least 1"),
        ("ping_interval_ms", limits.ping_interval_ms, limits.ping_interval_ms > 0, "at least 1"),
        ("pings_missed", limits.pings_missed, limits.pings_missed > 0, "at least 1"),
    ];
    match table.iter().find(|(_, _, fits, _)| !fits) {
        Some((field, value, _, expected)) => Err(LimitError { field, value: *value, expected }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_out_of_range() {
        let base = Limits::default();
        assert_eq!(check(&base), Ok(()));
        let table: &[(&str, Limits)] = &[
            ("connections", Limits { connections: 0, ..base }),
            ("subscriptions", Limits { subscriptions: 65_536, ..base }),
            ("commands_per_second", Limits { commands_per_second: 0, ..base }),
            ("commands_burst", Limits { commands_burst: 0, ..base }),
            ("bytes_per_second", Limits { bytes_per_second: 0, ..base }),
            ("bytes_burst", Limits { bytes_burst: 0, ..base }),
            ("pending_frames", Limits { pending_frames: 65, ..base }),
            ("pending_frames", Limits { pending_frames: 0, ..base }),
            ("queued_bytes", Limits { queued_bytes: 100, ..base }),
            ("trades", Limits { trades: 100, ..base }),
            ("snapshot_trades", Limits { snapshot_trades: 1 << 17, ..base }),
            ("replays", Limits { replays: 4097, ..base }),
            ("replay_wait_ms", Limits { replay_wait_ms: 0, ..base }),
            ("stalled_ms", Limits { stalled_ms: 0, ..base }),
            ("ping_interval_ms", Limits { ping_interval_ms: 0, ..base }),
            ("pings_missed", Limits { pings_missed: 0, ..base }),
        ];
        for (field, limits) in table {
            assert_eq!(check(limits).unwrap_err().field, *field);
        }
    }
}
