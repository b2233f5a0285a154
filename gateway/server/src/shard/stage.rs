//! How a shard passes the time while nothing moves (decisions.md 17). A wake-up costs the *engine* 10 to 20 us, so it
//! is asked for one only once it has been silent for so long that it can spare them.

use std::time::Duration;

use crate::config::{GatewayConfig, Wait};

/// What to do until the next look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Look again at once.
    Spin,
    /// Sleep for this long, or until a socket moves.
    Nap(Duration),
    /// Sleep until the engine's next burst, or until a socket moves.
    Sleep,
}

/// A nap is at most this share of the silence before it: what it adds to an event's latency is little beside the time
/// that passed since the one before, and a shard that waits long does not wake for nothing all the time.
const NAP_SHARE: u64 = 8;

/// The times of an adaptive shard; `None`: it spins.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stages(Option<Times>);

#[derive(Debug, Clone, Copy)]
struct Times {
    spin_ns: u64,
    nap_ns: u64,
    nap_max_ns: u64,
    quiet_ns: u64,
}

impl Stages {
    /// As configured. `wait` is resolved: not `auto`.
    pub(crate) fn new(config: &GatewayConfig, wait: Wait) -> Stages {
        Stages((wait != Wait::Spin).then(|| Times {
            spin_ns: u64::from(config.spin_us) * 1_000,
            nap_ns: u64::from(config.nap_us) * 1_000,
            nap_max_ns: u64::from(config.nap_max_us) * 1_000,
            quiet_ns: u64::from(config.quiet_ms) * 1_000_000,
        }))
    }

    /// What to do when the last record was read so long ago.
    pub(crate) fn after(&self, silence_ns: u64) -> Stage {
        match self.0 {
            None => Stage::Spin,
            Some(times) if silence_ns < times.spin_ns => Stage::Spin,
            Some(times) if silence_ns < times.quiet_ns => Stage::Nap(times.nap(silence_ns)),
            Some(_) => Stage::Sleep,
        }
    }
}

impl Times {
    fn nap(&self, silence_ns: u64) -> Duration {
        Duration::from_nanos((silence_ns / NAP_SHARE).min(self.nap_max_ns).max(self.nap_ns))
    }
}

/// How shards wait on these cores: `auto` spins only where they are pinned and a core is left over for everybody else.
pub(crate) fn resolve(wait: Wait, shards: usize, pinned: bool, allowed_cores: usize) -> Wait {
    match wait {
        Wait::Auto if pinned && allowed_cores > shards => Wait::Spin,
        Wait::Auto => Wait::Adaptive,
        told => told,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longer_the_silence_the_deeper_the_sleep() {
        let config =
            GatewayConfig { spin_us: 50, nap_us: 70, nap_max_us: 200, quiet_ms: 10, ..GatewayConfig::default() };
        let nap = |us| Stage::Nap(Duration::from_micros(us));
        let table = [
            (Wait::Adaptive, 0, Stage::Spin),
            (Wait::Adaptive, 49_999, Stage::Spin),
            (Wait::Adaptive, 50_000, nap(70)),
            (Wait::Adaptive, 560_000, nap(70)),
            (Wait::Adaptive, 800_000, nap(100)),
            (Wait::Adaptive, 1_600_000, nap(200)),
            (Wait::Adaptive, 9_999_999, nap(200)),
            (Wait::Adaptive, 10_000_000, Stage::Sleep),
            (Wait::Spin, 0, Stage::Spin),
            (Wait::Spin, u64::MAX, Stage::Spin),
        ];
        for (wait, silence_ns, stage) in table {
            assert_eq!(Stages::new(&config, wait).after(silence_ns), stage, "{wait:?} {silence_ns}");
        }
    }

    #[test]
    fn auto_spins_only_where_a_core_is_left_over() {
        let table = [
            (Wait::Auto, 1, true, 2, Wait::Spin),
            (Wait::Auto, 2, true, 2, Wait::Adaptive),
            (Wait::Auto, 1, false, 8, Wait::Adaptive),
            (Wait::Spin, 2, false, 1, Wait::Spin),
            (Wait::Adaptive, 1, true, 8, Wait::Adaptive),
        ];
        for (wait, shards, pinned, cores, expected) in table {
            assert_eq!(resolve(wait, shards, pinned, cores), expected, "{wait:?} {shards} {pinned} {cores}");
        }
    }
}
