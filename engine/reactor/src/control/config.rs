//! `[control]` of `engine.toml`.

use serde::Deserialize;
use shm_abi::control::Right;

/// Who may use the command socket, and its limits. Each limit has a counter in the answer to `status`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ControlConfig {
    /// Whether there is a command socket at all.
    pub(crate) enabled: bool,
    /// Uids that may do everything, besides the engine's own and root.
    pub(crate) operators: Vec<u32>,
    /// Uids that may ask for the status and demand instruments.
    pub(crate) gateways: Vec<u32>,
    /// Group of the socket, by name or number: `ticklane-ctl` where it is installed. Absent: the engine's own.
    pub(crate) group: Option<String>,
    /// Connections at a time.
    pub(crate) connections_max: usize,
    /// Bytes that wait for one client; what a tap gives beyond that is dropped and told.
    pub(crate) outbox_bytes_max: usize,
    /// A connection that has asked nothing for so long is closed, unless it taps.
    pub(crate) idle_ms: u64,
    /// A connection that has taken no byte for so long while some waited is dropped.
    pub(crate) slow_ms: u64,
    /// Definitions that are kept, of all kinds together.
    pub(crate) definitions_max: usize,
    /// Instruments in demand at a time.
    pub(crate) demand_max: usize,
    /// Largest capture that a tap reads, in bytes: it is held in memory while it lasts.
    pub(crate) pcap_bytes_max: u64,
}

impl Default for ControlConfig {
    fn default() -> Self {
        ControlConfig {
            enabled: true,
            operators: Vec::new(),
            gateways: Vec::new(),
            group: None,
            connections_max: 32,
            outbox_bytes_max: 1 << 20,
            idle_ms: 300_000,
            slow_ms: 5_000,
            definitions_max: 16_384,
            demand_max: 65_536,
            pcap_bytes_max: 64 << 20,
        }
    }
}

impl ControlConfig {
    /// The first setting that cannot work: its name, value, and what was expected.
    pub(crate) fn fault(&self) -> Option<(&'static str, String, &'static str)> {
        let fault = |name, value: &dyn ToString, expected| Some((name, value.to_string(), expected));
        match self {
            _ if !(1..=1024).contains(&self.connections_max) => {
                fault("control.connections_max", &self.connections_max, "1 to 1024")
            }
            _ if !(128 << 10..=1 << 30).contains(&self.outbox_bytes_max) => fault(
                "control.outbox_bytes_max",
                &self.outbox_bytes_max,
                "131072 to 2^30: two messages of the largest kind must fit",
            ),
            _ if self.idle_ms < 100 => fault("control.idle_ms", &self.idle_ms, "at least 100"),
            _ if self.slow_ms < 10 => fault("control.slow_ms", &self.slow_ms, "at least 10"),
            _ => None,
        }
    }

    /// What a peer may do, if anything. `own` is the engine's uid.
    pub(crate) fn right_of(&self, uid: u32, own: u32) -> Option<Right> {
        match uid {
            _ if uid == own || uid == 0 || self.operators.contains(&uid) => Some(Right::Operate),
            _ if self.gateways.contains(&uid) => Some(Right::Look),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rights_follow_the_uid() {
        let config = ControlConfig { operators: vec![7], gateways: vec![7, 8], ..ControlConfig::default() };
        let table = [
            ("root", 0, Some(Right::Operate)),
            ("own", 5, Some(Right::Operate)),
            ("operator, also where a gateway", 7, Some(Right::Operate)),
            ("gateway", 8, Some(Right::Look)),
            ("anybody", 9, None),
        ];
        for (name, uid, right) in table {
            assert_eq!(config.right_of(uid, 5), right, "case {name}");
        }
    }

    #[test]
    fn limits_that_cannot_work_are_named() {
        assert_eq!(ControlConfig::default().fault(), None);
        let table = [
            ("control.connections_max", ControlConfig { connections_max: 0, ..ControlConfig::default() }),
            ("control.outbox_bytes_max", ControlConfig { outbox_bytes_max: 65_536, ..ControlConfig::default() }),
            ("control.idle_ms", ControlConfig { idle_ms: 1, ..ControlConfig::default() }),
            ("control.slow_ms", ControlConfig { slow_ms: 1, ..ControlConfig::default() }),
        ];
        for (name, config) in table {
            assert_eq!(config.fault().unwrap().0, name);
        }
    }
}
