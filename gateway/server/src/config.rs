//! `gateway.toml`: every setting with its unit in its name, a default that is safe to run, and one check of the whole
//! before anything is bound.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use gateway_core::limits::Limits;
use gateway_core::shard::Shard;
use serde::Deserialize;
use shm_abi::layout::is_lane_name;

use crate::journal::JournalConfig;
use crate::ws::origin::Origin;

/// Threads that a gateway may have.
const SHARDS_MAX: usize = 64;
/// Extra origins that may be allowed.
const ORIGINS_MAX: usize = 64;
/// Lanes that a gateway reads, configured or found.
pub(crate) const LANES_MAX: usize = 64;

/// The whole file. An empty one is good.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    pub(crate) gateway: GatewayConfig,
    pub(crate) http: HttpConfig,
    pub(crate) limits: Limits,
    pub(crate) journal: JournalConfig,
}

/// How a shard waits when its lanes are silent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Wait {
    /// `spin` where shards are pinned and more cores are allowed than there are shards, else `adaptive`.
    Auto,
    /// Never sleeps: for cores of its own.
    Spin,
    /// Spins for `spin_us`, then naps, and after `quiet_ms` of silence asks to be woken.
    Adaptive,
}

impl Wait {
    /// Lower-case name, as the config spells it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Wait::Auto => "auto",
            Wait::Spin => "spin",
            Wait::Adaptive => "adaptive",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    Text,
    Json,
}

/// `[gateway]`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct GatewayConfig {
    /// Names the instance in messages.
    pub(crate) instance: String,
    /// Where the engine's segments stand. Need not exist yet.
    pub(crate) runtime_dir: PathBuf,
    /// Lanes to read; empty: every lane that is found in `runtime_dir`, looked for once a second.
    pub(crate) lanes: Vec<String>,
    /// Threads that serve, each reading every lane by itself.
    pub(crate) shards: usize,
    /// Cores to pin the shards to, one each; empty: not pinned.
    pub(crate) cores: Vec<usize>,
    pub(crate) wait: Wait,
    /// How long an adaptive shard spins after the last record.
    pub(crate) spin_us: u32,
    /// How long it then naps at a time, at least.
    pub(crate) nap_us: u32,
    /// Longest nap: naps grow with the silence, up to an eighth of it.
    pub(crate) nap_max_us: u32,
    /// Silence after which it asks the engine to be woken, which costs the engine some microseconds each time.
    pub(crate) quiet_ms: u32,
    /// `text` or `json`, on standard error.
    pub(crate) log: LogFormat,
    /// How long connections are flushed after a signal to stop.
    pub(crate) drain_ms: u32,
    /// Serves `/echo`, which sends every message back: for protocol test suites.
    pub(crate) echo: bool,
    /// Longest message of `/echo`, bytes.
    pub(crate) echo_message_bytes: u32,
}

impl Default for GatewayConfig {
    fn default() -> Self {
        GatewayConfig {
            instance: "default".into(),
            runtime_dir: "/run/ticklane/default".into(),
            lanes: Vec::new(),
            shards: 1,
            cores: Vec::new(),
            wait: Wait::Auto,
            spin_us: 50,
            nap_us: 50,
            nap_max_us: 250,
            quiet_ms: 10,
            log: LogFormat::Text,
            drain_ms: 5_000,
            echo: false,
            echo_message_bytes: 16 << 20,
        }
    }
}

/// `[http]`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct HttpConfig {
    /// Address and port to listen on: loopback only.
    pub(crate) listen: String,
    /// Origins, besides those of this host, whose pages may open a WebSocket: `scheme://host[:port]`.
    pub(crate) origins: Vec<String>,
    /// From the accept, or the last answer, to the end of a request's header.
    pub(crate) header_timeout_ms: u32,
    /// Bytes of a request's header, its first line included.
    pub(crate) header_bytes: u32,
    /// Lines of a request's header.
    pub(crate) header_lines: u32,
    /// Bytes of a request's body.
    pub(crate) body_bytes: u32,
    /// For a request's body, once its header is read, and for its answer.
    pub(crate) body_timeout_ms: u32,
    /// Connections of all kinds; 0: as many as there are file descriptors, less a reserve.
    pub(crate) connections: u32,
    /// Connections of one address.
    pub(crate) connections_per_address: u32,
}

impl Default for HttpConfig {
    fn default() -> Self {
        HttpConfig {
            listen: "127.0.0.1:8080".into(),
            origins: Vec::new(),
            header_timeout_ms: 5_000,
            header_bytes: 16 << 10,
            header_lines: 64,
            body_bytes: 1 << 20,
            body_timeout_ms: 30_000,
            connections: 0,
            connections_per_address: 4_096,
        }
    }
}

/// What is wrong with a config: the field, its value, and what was expected.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    #[error("{path}: cannot be read: {source}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{path}: {source}")]
    Syntax { path: PathBuf, source: toml::de::Error },
    #[error("{field} = {value}: expected {expected}")]
    Value { field: &'static str, value: String, expected: String },
    #[error(transparent)]
    Limit(#[from] gateway_core::limits::LimitError),
}

fn refuse<T>(
    field: &'static str,
    value: impl std::fmt::Display,
    expected: impl Into<String>,
) -> Result<T, ConfigError> {
    Err(ConfigError::Value { field, value: value.to_string(), expected: expected.into() })
}

/// The config, checked as a whole and in the types that the code works with.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) gateway: GatewayConfig,
    pub(crate) http: HttpConfig,
    pub(crate) limits: Limits,
    pub(crate) journal: JournalConfig,
    pub(crate) listen: SocketAddr,
    pub(crate) origins: Vec<Origin>,
}

impl Config {
    /// Reads a file; unknown keys are refused with their place.
    pub(crate) fn read(path: &Path) -> Result<Config, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.into(), source })?;
        toml::from_str(&text).map_err(|source| ConfigError::Syntax { path: path.into(), source })
    }

    /// Checks everything that can be checked without touching the system.
    pub(crate) fn plan(self) -> Result<Plan, ConfigError> {
        let Config { gateway, http, limits, journal } = self;
        check_gateway(&gateway)?;
        check_http(&http)?;
        journal.limits().into_iter().try_for_each(check_range)?;
        let listen = loopback(&http.listen)?;
        if http.origins.len() > ORIGINS_MAX {
            return refuse("http.origins", format!("{} origins", http.origins.len()), format!("at most {ORIGINS_MAX}"));
        }
        let mut origins = Vec::new();
        for text in &http.origins {
            match Origin::parse(text) {
                Some(origin) => origins.push(origin),
                None => return refuse("http.origins", format!("{text:?}"), "\"scheme://host[:port]\", http or https"),
            }
        }
        // The core knows the ranges of its own limits.
        Shard::new(limits, Vec::new())?;
        Ok(Plan { gateway, http, limits, journal, listen, origins })
    }
}

fn loopback(text: &str) -> Result<SocketAddr, ConfigError> {
    let Ok(address) = SocketAddr::from_str(text) else {
        return refuse("http.listen", format!("{text:?}"), "an address and a port, such as \"127.0.0.1:8080\"");
    };
    if !address.ip().is_loopback() {
        let expected = "a loopback address, such as \"127.0.0.1:8080\" or \"[::1]:8080\": until accounts exist, \
                        everybody who reaches this port reads everything, so no other host may";
        return refuse("http.listen", format!("{text:?}"), expected);
    }
    Ok(address)
}

fn check_gateway(gateway: &GatewayConfig) -> Result<(), ConfigError> {
    if !(1..=SHARDS_MAX).contains(&gateway.shards) {
        return refuse("gateway.shards", gateway.shards, format!("1 to {SHARDS_MAX}"));
    }
    if !gateway.cores.is_empty() && gateway.cores.len() != gateway.shards {
        let expected = format!("none, or one for each of the {} shards", gateway.shards);
        return refuse("gateway.cores", format!("{:?}", gateway.cores), expected);
    }
    if gateway.lanes.len() > LANES_MAX {
        return refuse("gateway.lanes", format!("{} lanes", gateway.lanes.len()), format!("at most {LANES_MAX}"));
    }
    for (place, lane) in gateway.lanes.iter().enumerate() {
        if !is_lane_name(lane) {
            return refuse("gateway.lanes", format!("{lane:?}"), "1 to 31 characters of a-z, 0-9, '-' and '_'");
        }
        if gateway.lanes[..place].contains(lane) {
            return refuse("gateway.lanes", format!("{lane:?}"), "each lane once");
        }
    }
    let table = [
        ("gateway.spin_us", gateway.spin_us, 0, 1_000_000),
        ("gateway.nap_us", gateway.nap_us, 10, 20_000),
        ("gateway.nap_max_us", gateway.nap_max_us, 10, 20_000),
        ("gateway.quiet_ms", gateway.quiet_ms, 1, 60_000),
        ("gateway.drain_ms", gateway.drain_ms, 0, 600_000),
        ("gateway.echo_message_bytes", gateway.echo_message_bytes, 125, 64 << 20),
    ];
    table.into_iter().try_for_each(check_range)
}

fn check_http(http: &HttpConfig) -> Result<(), ConfigError> {
    let table = [
        ("http.header_timeout_ms", http.header_timeout_ms, 100, 600_000),
        ("http.header_bytes", http.header_bytes, 8_192, 1 << 20),
        ("http.header_lines", http.header_lines, 16, 1_024),
        ("http.body_bytes", http.body_bytes, 0, 1 << 30),
        ("http.body_timeout_ms", http.body_timeout_ms, 100, 3_600_000),
        ("http.connections", http.connections, 0, 1 << 24),
        ("http.connections_per_address", http.connections_per_address, 1, 1 << 24),
    ];
    table.into_iter().try_for_each(check_range)
}

fn check_range((field, value, least, most): (&'static str, u32, u32, u32)) -> Result<(), ConfigError> {
    match (least..=most).contains(&value) {
        true => Ok(()),
        false => refuse(field, value, format!("{least} to {most}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(text: &str) -> Result<Plan, String> {
        let config: Config = toml::from_str(text).map_err(|error| error.to_string())?;
        config.plan().map_err(|error| error.to_string())
    }

    #[test]
    fn nothing_needs_to_be_said() {
        let plan = plan("").unwrap();
        assert_eq!(plan.listen, "127.0.0.1:8080".parse().unwrap());
        assert_eq!(plan.limits, Limits::default());
    }

    #[test]
    fn refusals_name_the_field_the_value_and_what_is_expected() {
        let table: &[(&str, &str, &[&str])] = &[
            ("unknown key", "[gateway]\nshard = 1", &["unknown field", "shard", "shards"]),
            ("unknown table", "[gatway]", &["gatway"]),
            ("unknown limit", "[limits]\nmessage_byte = 1", &["message_byte"]),
            ("wrong type", "[gateway]\nshards = \"two\"", &["shards"]),
            ("wait", "[gateway]\nwait = \"park\"", &["park", "adaptive"]),
            (
                "every address",
                "[http]\nlisten = \"0.0.0.0:8080\"",
                &["http.listen", "0.0.0.0:8080", "until accounts exist"],
            ),
            ("another host", "[http]\nlisten = \"192.0.2.1:80\"", &["http.listen", "192.0.2.1:80", "loopback"]),
            ("every v6 address", "[http]\nlisten = \"[::]:8080\"", &["http.listen", "loopback"]),
            ("a name", "[http]\nlisten = \"localhost:8080\"", &["http.listen", "localhost:8080", "127.0.0.1:8080"]),
            ("no port", "[http]\nlisten = \"127.0.0.1\"", &["http.listen", "a port"]),
            ("origin", "[http]\norigins = [\"example.com\"]", &["http.origins", "example.com", "scheme://host"]),
            ("shards", "[gateway]\nshards = 0", &["gateway.shards = 0", "1 to 64"]),
            ("cores", "[gateway]\nshards = 2\ncores = [1]", &["gateway.cores = [1]", "each of the 2 shards"]),
            ("lane name", "[gateway]\nlanes = [\"Lane 0\"]", &["gateway.lanes", "Lane 0", "a-z"]),
            ("lane twice", "[gateway]\nlanes = [\"a\", \"a\"]", &["gateway.lanes", "once"]),
            ("nap", "[gateway]\nnap_us = 1", &["gateway.nap_us = 1", "10 to 20000"]),
            ("longest nap", "[gateway]\nnap_max_us = 20001", &["gateway.nap_max_us = 20001", "10 to 20000"]),
            ("header", "[http]\nheader_bytes = 1", &["http.header_bytes = 1", "8192"]),
            ("a limit of the core", "[limits]\npending_frames = 65", &["limits.pending_frames = 65", "64"]),
        ];
        for (name, text, expected) in table {
            let error = plan(text).expect_err(name);
            for part in *expected {
                assert!(error.contains(part), "case {name}: {error:?} does not name {part:?}");
            }
        }
    }

    #[test]
    fn loopback_addresses_are_good() {
        for listen in ["127.0.0.1:0", "127.9.9.9:1", "[::1]:8080"] {
            assert!(plan(&format!("[http]\nlisten = {listen:?}")).is_ok(), "{listen}");
        }
    }

    #[test]
    fn the_example_names_every_setting_with_its_true_default() {
        let example = include_str!("../../../tuning/gateway.example.toml");
        let config: Config = toml::from_str(example).unwrap();
        assert_eq!(config, Config::default());
        // Equal values alone would also hold for a setting that the example does not name.
        let named: toml::Table = toml::from_str(example).unwrap();
        let count = |table: &str| named[table].as_table().unwrap().len();
        let fields = |debug: String| debug.matches(": ").count();
        assert_eq!(count("gateway"), fields(format!("{:?}", GatewayConfig::default())));
        assert_eq!(count("http"), fields(format!("{:?}", HttpConfig::default())));
        assert_eq!(count("journal") + 1, fields(format!("{:?}", JournalConfig::default())), "all but dir");
        assert_eq!(count("limits"), fields(format!("{:?}", Limits::default())));
    }
}
