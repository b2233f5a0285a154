//! `engine.toml`: every setting with its unit in its name, a default that is safe to run, and one check of the whole
//! before any core is pinned, page mapped or port dialled.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Deserialize;
use shm_abi::layout::{DEPTH_CLASSES, Layout, Plan, depth_bytes, is_lane_name};
use wire::soupbin::backoff::BackoffConfig;
use wire::soupbin::client::{ClientConfig, ClientTimers};

/// The whole file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    #[serde(default)]
    pub(crate) engine: EngineConfig,
    #[serde(default)]
    pub(crate) feeds: FeedsConfig,
    #[serde(default, rename = "lane")]
    pub(crate) lanes: Vec<LaneConfig>,
    #[serde(default, rename = "feed")]
    pub(crate) feed: Vec<FeedConfig>,
}

/// How a reactor waits when its feed is silent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Wait {
    /// `spin` where there are more allowed cores than spinning roles, else `adaptive`.
    Auto,
    /// Never sleeps: for isolated cores.
    Spin,
    /// Spins for `spin_us`, then sleeps until the socket is readable.
    Adaptive,
    /// Sleeps whenever the socket has nothing: for small machines. A wake-up costs some tens of microseconds.
    Park,
}

/// `[engine]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct EngineConfig {
    /// Names the instance in messages.
    pub(crate) instance: String,
    /// Where the segments stand. Must exist, be ours, and not be writable by others.
    pub(crate) runtime_dir: PathBuf,
    /// Where instrument ids are kept over days. Must exist and be ours.
    pub(crate) state_dir: PathBuf,
    pub(crate) wait: Wait,
    /// How long an adaptive reactor spins before it sleeps.
    pub(crate) spin_us: u64,
    /// Locks the segments in memory: `require` makes a refusal an error, `try` a warning.
    pub(crate) lock_memory: LockMemory,
    /// `text` or `json`.
    pub(crate) log: LogFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LockMemory {
    Off,
    Try,
    Require,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    Text,
    Json,
}

impl Default for EngineConfig {
    fn default() -> Self {
        EngineConfig {
            instance: "default".into(),
            runtime_dir: "/run/ticklane/default".into(),
            state_dir: "/var/lib/ticklane".into(),
            wait: Wait::Auto,
            spin_us: 50,
            lock_memory: LockMemory::Off,
            log: LogFormat::Text,
        }
    }
}

/// `[feeds]`: what concerns every feed.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct FeedsConfig {
    /// Networks that feeds may be dialled in, as `address/prefix`. Empty: none.
    pub(crate) allow: Vec<String>,
}

/// `[[lane]]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LaneConfig {
    pub(crate) name: String,
    /// Core to pin the reactor to; absent: not pinned.
    pub(crate) core: Option<usize>,
    /// Slots of 64 bytes; a power of two.
    pub(crate) orders_slots: usize,
    /// Slots of 64 bytes; a power of two.
    pub(crate) market_slots: usize,
    pub(crate) instruments: usize,
    /// Levels per side of the window: 0, 5, 10, 20, 50 or 200.
    pub(crate) depth: u16,
    /// Other depths, by symbol.
    pub(crate) depth_by_symbol: HashMap<String, u16>,
    /// Bytes of the depth area; 0: enough for `instruments` of the default depth.
    pub(crate) depth_bytes: usize,
    /// Orders that the books can hold at a time.
    pub(crate) max_orders: usize,
    /// Price levels that the books can hold at a time.
    pub(crate) max_levels: usize,
}

impl Default for LaneConfig {
    fn default() -> Self {
        LaneConfig {
            name: String::new(),
            core: None,
            orders_slots: 1 << 20,
            market_slots: 1 << 20,
            instruments: 16_384,
            depth: 10,
            depth_by_symbol: HashMap::new(),
            depth_bytes: 0,
            max_orders: 1 << 21,
            max_levels: 1 << 20,
        }
    }
}

/// Protocols that a feed may speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(crate) enum Protocol {
    /// Nasdaq TotalView-ITCH 5.0 over SoupBinTCP 3.00.
    #[serde(rename = "soupbintcp-itch50")]
    SoupBinTcpItch50,
}

/// `[[feed]]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FeedConfig {
    pub(crate) name: String,
    /// The lane that this feed is published on.
    pub(crate) lane: String,
    pub(crate) protocol: Protocol,
    /// `host:port`, in order of preference: primary, then failover.
    pub(crate) addresses: Vec<String>,
    /// Venue under which instruments are kept: ISO 10383 code.
    #[serde(default = "default_venue")]
    pub(crate) venue: String,
    #[serde(default)]
    pub(crate) username: String,
    /// Give `password_file` instead wherever others can read this file.
    #[serde(default)]
    pub(crate) password: Option<Secret>,
    /// A file with the password on its first line, readable by its owner only.
    #[serde(default)]
    pub(crate) password_file: Option<PathBuf>,
    /// IANA name of the zone whose midnight the venue's stamps count from.
    #[serde(default = "default_zone")]
    pub(crate) time_zone: String,
    /// Day of the stamps; absent: today there, when the session begins.
    #[serde(default)]
    pub(crate) trading_date: Option<String>,
    #[serde(default = "ms::<1_000>")]
    pub(crate) heartbeat_interval_ms: u64,
    #[serde(default = "ms::<5_000>")]
    pub(crate) silence_limit_ms: u64,
    #[serde(default = "ms::<10_000>")]
    pub(crate) login_timeout_ms: u64,
    #[serde(default = "ms::<500>")]
    pub(crate) logout_wait_ms: u64,
    #[serde(default = "ms::<5_000>")]
    pub(crate) connect_timeout_ms: u64,
    #[serde(default = "ms::<100>")]
    pub(crate) reconnect_first_ms: u64,
    #[serde(default = "ms::<10_000>")]
    pub(crate) reconnect_max_ms: u64,
    #[serde(default = "ms::<2_000>")]
    pub(crate) first_login_retry_ms: u64,
    #[serde(default = "ms::<60_000>")]
    pub(crate) first_login_retry_max_ms: u64,
    #[serde(default = "ms::<60_000>")]
    pub(crate) reject_backoff_ms: u64,
    #[serde(default = "ms::<10_000>")]
    pub(crate) next_session_ms: u64,
    /// Bytes of the receive buffer, at least 128 KiB: one packet may have 64 KiB.
    #[serde(default = "default_buffer")]
    pub(crate) receive_buffer_bytes: usize,
}

fn default_venue() -> String {
    "XNAS".into()
}
fn default_zone() -> String {
    "America/New_York".into()
}
const fn ms<const N: u64>() -> u64 {
    N
}
const fn default_buffer() -> usize {
    256 << 10
}

/// Text that no log, error or debug print shows.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub(crate) struct Secret(String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
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
    Value { field: String, value: String, expected: String },
}

fn refuse<T>(
    field: impl Into<String>,
    value: impl std::fmt::Display,
    expected: impl Into<String>,
) -> Result<T, ConfigError> {
    Err(ConfigError::Value { field: field.into(), value: value.to_string(), expected: expected.into() })
}

/// Everything that a lane needs, checked and in the types that the code works with.
#[derive(Debug, Clone)]
pub(crate) struct LanePlan {
    pub(crate) config: LaneConfig,
    pub(crate) plan: Plan,
    pub(crate) feed: FeedPlan,
}

/// Everything that a feed needs, checked.
#[derive(Debug, Clone)]
pub(crate) struct FeedPlan {
    pub(crate) name: String,
    pub(crate) venue: String,
    pub(crate) addresses: Vec<String>,
    pub(crate) login: ClientConfig,
    pub(crate) backoff: BackoffConfig,
    pub(crate) connect_timeout_ms: u64,
    pub(crate) calendar: Calendar,
    pub(crate) receive_buffer_bytes: usize,
}

/// Turns the venue's day into UNIX time.
#[derive(Debug, Clone)]
pub(crate) struct Calendar {
    zone: TimeZone,
    date: Option<Date>,
}

impl Calendar {
    /// UNIX time, in ns, of the local midnight that stamps count from: of the configured day, else of the day that it is
    /// there at `now_ns`.
    pub(crate) fn midnight_ns(&self, now_ns: u64) -> u64 {
        let now = jiff::Timestamp::from_nanosecond(i128::from(now_ns)).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        let date = self.date.unwrap_or_else(|| now.to_zoned(self.zone.clone()).date());
        let midnight = date.to_zoned(self.zone.clone()).map(|zoned| zoned.timestamp().as_nanosecond());
        midnight.ok().and_then(|ns| u64::try_from(ns).ok()).unwrap_or(0)
    }
}

/// Networks that may be dialled.
#[derive(Debug, Clone)]
pub(crate) struct AllowList(Vec<(IpAddr, u8)>);

impl AllowList {
    fn parse(texts: &[String]) -> Result<AllowList, ConfigError> {
        let network = |text: &String| {
            let (address, prefix) = text.split_once('/')?;
            let address: IpAddr = address.parse().ok()?;
            let bits = if address.is_ipv4() { 32 } else { 128 };
            let prefix: u8 = prefix.parse().ok().filter(|prefix| *prefix <= bits)?;
            Some((address, prefix))
        };
        let mut networks = Vec::new();
        for text in texts {
            match network(text) {
                Some(parsed) => networks.push(parsed),
                None => return refuse("feeds.allow", format!("{text:?}"), "networks such as \"127.0.0.0/8\""),
            }
        }
        Ok(AllowList(networks))
    }

    /// Whether `address` lies in one of the networks.
    pub(crate) fn allows(&self, address: IpAddr) -> bool {
        self.0.iter().any(|(network, prefix)| match (network, address) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(*prefix)).unwrap_or(0);
                (u32::from(*network) ^ u32::from(address)) & mask == 0
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(*prefix)).unwrap_or(0);
                (u128::from(*network) ^ u128::from(address)) & mask == 0
            }
            _ => false,
        })
    }
}

/// The config, checked as a whole.
#[derive(Debug, Clone)]
pub(crate) struct EnginePlan {
    pub(crate) engine: EngineConfig,
    pub(crate) allow: AllowList,
    pub(crate) lanes: Vec<LanePlan>,
}

impl Config {
    /// Reads a file; unknown keys are refused with their place.
    pub(crate) fn read(path: &Path) -> Result<Config, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.into(), source })?;
        toml::from_str(&text).map_err(|source| ConfigError::Syntax { path: path.into(), source })
    }

    /// Checks everything that can be checked without touching the system (password files excepted).
    pub(crate) fn plan(self) -> Result<EnginePlan, ConfigError> {
        if self.lanes.is_empty() {
            return refuse("lane", "(none)", "at least one [[lane]]");
        }
        let allow = AllowList::parse(&self.feeds.allow)?;
        let mut feeds: HashMap<&str, Vec<&FeedConfig>> = HashMap::new();
        for feed in &self.feed {
            if !is_lane_name(&feed.name) {
                return refuse("feed.name", format!("{:?}", feed.name), "1 to 31 characters of a-z, 0-9, '-' and '_'");
            }
            if !self.lanes.iter().any(|lane| lane.name == feed.lane) {
                let known: Vec<_> = self.lanes.iter().map(|lane| lane.name.as_str()).collect();
                return refuse(format!("feed {}: lane", feed.name), &feed.lane, format!("one of {known:?}"));
            }
            feeds.entry(feed.lane.as_str()).or_default().push(feed);
        }
        let mut lanes = Vec::new();
        for lane in &self.lanes {
            if self.lanes.iter().filter(|other| other.name == lane.name).count() > 1 {
                return refuse("lane.name", &lane.name, "a name that no other lane has");
            }
            let feed = match feeds.get(lane.name.as_str()).map(Vec::as_slice) {
                Some([feed]) => plan_feed(feed)?,
                found => {
                    let count = found.map_or(0, <[_]>::len);
                    let field = format!("lane {}: feeds", lane.name);
                    return refuse(
                        field,
                        count,
                        "exactly one [[feed]] that names this lane: each feed has a lane of its own",
                    );
                }
            };
            lanes.push(plan_lane(lane, feed)?);
        }
        Ok(EnginePlan { engine: self.engine, allow, lanes })
    }
}

fn plan_lane(lane: &LaneConfig, feed: FeedPlan) -> Result<LanePlan, ConfigError> {
    let field = |name: &str| format!("lane {}: {name}", lane.name);
    for (name, class) in
        std::iter::once(("depth", lane.depth)).chain(lane.depth_by_symbol.iter().map(|(k, v)| (k.as_str(), *v)))
    {
        if !DEPTH_CLASSES.contains(&class) {
            return refuse(field(name), class, "one of 0, 5, 10, 20, 50, 200");
        }
    }
    for (name, value) in [("max_orders", lane.max_orders), ("max_levels", lane.max_levels)] {
        if !(1024..=1 << 28).contains(&value) {
            return refuse(field(name), value, "1024 to 2^28");
        }
    }
    // The named symbols on top of a whole lane of the default depth: never too little for what the config promises.
    let named: usize = lane.depth_by_symbol.values().map(|class| depth_bytes(*class)).sum();
    let need = lane.instruments.saturating_mul(depth_bytes(lane.depth)).saturating_add(named);
    let budget = if lane.depth_bytes == 0 { need } else { lane.depth_bytes };
    if budget < need {
        return refuse(
            field("depth_bytes"),
            budget,
            format!(
                "at least {need}: {} instruments of depth {} and {named} bytes for named symbols",
                lane.instruments, lane.depth
            ),
        );
    }
    let plan = Plan {
        lane: lane.name.clone(),
        orders_slots: lane.orders_slots,
        market_slots: lane.market_slots,
        instruments: lane.instruments,
        depth_bytes: budget,
    };
    if let Err(error) = Layout::of(&plan) {
        return refuse(field(error.field), error.value, error.expected);
    }
    Ok(LanePlan { config: lane.clone(), plan, feed })
}

fn plan_feed(feed: &FeedConfig) -> Result<FeedPlan, ConfigError> {
    let field = |name: &str| format!("feed {}: {name}", feed.name);
    let Protocol::SoupBinTcpItch50 = feed.protocol;
    if feed.addresses.is_empty() {
        return refuse(field("addresses"), "[]", "at least one \"host:port\"");
    }
    for address in &feed.addresses {
        let port = address.rsplit_once(':').and_then(|(host, port)| (!host.is_empty()).then(|| port.parse::<u16>()));
        if !matches!(port, Some(Ok(1..))) {
            return refuse(field("addresses"), format!("{address:?}"), "\"host:port\" with a port from 1 to 65535");
        }
    }
    if !(1..=8).contains(&feed.venue.len()) || !feed.venue.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return refuse(field("venue"), format!("{:?}", feed.venue), "1 to 8 letters and digits, such as \"XNAS\"");
    }
    let Ok(zone) = TimeZone::get(&feed.time_zone) else {
        return refuse(
            field("time_zone"),
            format!("{:?}", feed.time_zone),
            "an IANA name such as \"America/New_York\"",
        );
    };
    let date = match feed.trading_date.as_deref().map(str::parse::<Date>) {
        None => None,
        Some(Ok(date)) => Some(date),
        Some(Err(_)) => {
            return refuse(field("trading_date"), format!("{:?}", feed.trading_date), "a day such as \"2026-11-20\"");
        }
    };
    if !(128 << 10..=1 << 30).contains(&feed.receive_buffer_bytes) {
        return refuse(field("receive_buffer_bytes"), feed.receive_buffer_bytes, "131072 to 2^30");
    }
    let ns = |ms: u64| ms.saturating_mul(1_000_000);
    let timers = ClientTimers {
        heartbeat_interval_ns: ns(feed.heartbeat_interval_ms),
        silence_limit_ns: ns(feed.silence_limit_ms),
        login_timeout_ns: ns(feed.login_timeout_ms),
        logout_wait_ns: ns(feed.logout_wait_ms),
    };
    let password = password(feed)?;
    let login = ClientConfig::new(&feed.username, &password.0, "", 1, timers)
        .or_else(|error| refuse(format!("feed {}", feed.name), error, "a login that SoupBinTCP can carry"))?;
    let backoff = BackoffConfig {
        address_count: feed.addresses.len(),
        broken_first_ns: ns(feed.reconnect_first_ms),
        broken_max_ns: ns(feed.reconnect_max_ms),
        cold_first_ns: ns(feed.first_login_retry_ms),
        cold_max_ns: ns(feed.first_login_retry_max_ms),
        reject_ns: ns(feed.reject_backoff_ms),
        next_session_ns: ns(feed.next_session_ms),
        ..BackoffConfig::default()
    };
    Ok(FeedPlan {
        name: feed.name.clone(),
        venue: feed.venue.clone(),
        addresses: feed.addresses.clone(),
        login,
        backoff,
        connect_timeout_ms: feed.connect_timeout_ms,
        calendar: Calendar { zone, date },
        receive_buffer_bytes: feed.receive_buffer_bytes,
    })
}

/// The password: from the config, or from the first line of a file that only its owner can read.
fn password(feed: &FeedConfig) -> Result<Secret, ConfigError> {
    use std::os::unix::fs::PermissionsExt;
    let field = format!("feed {}: password_file", feed.name);
    match (&feed.password, &feed.password_file) {
        (Some(_), Some(path)) => refuse(field, path.display(), "either password or password_file, not both"),
        (Some(password), None) => Ok(password.clone()),
        (None, None) => Ok(Secret(String::new())),
        (None, Some(path)) => {
            let facts = std::fs::metadata(path);
            let text = facts.and_then(|facts| Ok((facts.permissions().mode(), std::fs::read_to_string(path)?)));
            match text {
                Ok((mode, _)) if mode & 0o007 != 0 => refuse(
                    field,
                    format!("{} with mode {:04o}", path.display(), mode & 0o7777),
                    "a file that others cannot read (chmod o-rwx)",
                ),
                Ok((_, text)) => Ok(Secret(text.lines().next().unwrap_or("").to_owned())),
                Err(error) => refuse(field, format!("{}: {error}", path.display()), "a readable file"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
        [engine]
        runtime_dir = "/run/x"
        [feeds]
        allow = ["127.0.0.0/8", "::1/128"]
        [[lane]]
        name = "lane0"
        [[feed]]
        name = "nasdaq"
        lane = "lane0"
        protocol = "soupbintcp-itch50"
        addresses = ["127.0.0.1:9000"]
        username = "demo"
        password = "hidden"
    "#;

    fn plan(text: &str) -> Result<EnginePlan, String> {
        toml::from_str::<Config>(text).map_err(|e| e.to_string())?.plan().map_err(|e| e.to_string())
    }

    #[test]
    fn a_good_file_gives_a_plan_with_the_documented_defaults() {
        let plan = plan(GOOD).unwrap();
        assert_eq!(plan.lanes.len(), 1);
        assert_eq!(plan.lanes[0].plan.orders_slots, 1 << 20);
        assert_eq!(plan.lanes[0].plan.depth_bytes, 16_384 * depth_bytes(10));
        assert_eq!(plan.lanes[0].feed.login.timers().silence_limit_ns, 5_000_000_000);
        assert!(plan.allow.allows("127.9.9.9".parse().unwrap()));
        assert!(plan.allow.allows("::1".parse().unwrap()));
        assert!(!plan.allow.allows("10.0.0.1".parse().unwrap()));
        assert!(!plan.allow.allows("::2".parse().unwrap()));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_value_and_what_is_expected() {
        let table: &[(&str, &str, &str, &[&str])] = &[
            ("unknown key", "username", "user_name", &["user_name"]),
            ("unknown table", "[feeds]", "[fedes]", &["fedes"]),
            ("bad network", "127.0.0.0/8", "127.0.0.0", &["feeds.allow", "127.0.0.0", "networks such as"]),
            ("prefix too long", "127.0.0.0/8", "127.0.0.0/33", &["feeds.allow", "/33"]),
            ("no port", "127.0.0.1:9000", "127.0.0.1", &["feed nasdaq: addresses", "host:port"]),
            ("port 0", "127.0.0.1:9000", "127.0.0.1:0", &["feed nasdaq: addresses", ":0"]),
            (
                "odd ring",
                "name = \"lane0\"",
                "name = \"lane0\"\norders_slots = 1000",
                &["orders_slots", "1000", "power of two"],
            ),
            ("odd depth", "name = \"lane0\"", "name = \"lane0\"\ndepth = 7", &["depth", "7", "one of 0, 5"]),
            (
                "small depth area",
                "name = \"lane0\"",
                "name = \"lane0\"\ndepth_bytes = 64",
                &["depth_bytes", "64", "at least"],
            ),
            ("no such lane", "lane = \"lane0\"", "lane = \"lane1\"", &["feed nasdaq: lane", "lane1", "lane0"]),
            ("long user", "\"demo\"", "\"demonstrates\"", &["username", "demonstrates", "6"]),
            ("protocol", "soupbintcp-itch50", "soup", &["soup", "soupbintcp-itch50"]),
            ("zone", "username", "time_zone = \"Mars/Base\"\nusername", &["time_zone", "Mars/Base", "IANA"]),
            ("date", "username", "trading_date = \"2026-13-01\"\nusername", &["trading_date", "2026-13-01"]),
            ("lane name", "name = \"lane0\"", "name = \"Lane 0\"", &["lane"]),
            ("silence below heartbeat", "username", "silence_limit_ms = 10\nusername", &["silence_limit"]),
        ];
        for (name, from, to, expected) in table {
            let text = GOOD.replacen(from, to, 1);
            assert_ne!(text, GOOD, "case {name} changes nothing");
            let error = plan(&text).expect_err(name);
            for part in *expected {
                assert!(error.contains(part), "case {name}: {error:?} does not name {part:?}");
            }
            assert!(!error.contains("hidden"), "case {name}: the password is shown");
        }
    }

    #[test]
    fn the_example_names_every_setting_and_its_defaults_are_the_true_ones() {
        let example = include_str!("../../../tuning/engine.example.toml");
        let config: Config = toml::from_str(example).unwrap();
        // What the example says must be what is in force when it is left out.
        let bare: Config = toml::from_str(GOOD).unwrap();
        let (told, real) = (&config.lanes[0], &bare.lanes[0]);
        let numbers = |lane: &LaneConfig| {
            (
                lane.orders_slots,
                lane.market_slots,
                lane.instruments,
                lane.depth,
                lane.depth_bytes,
                lane.max_orders,
                lane.max_levels,
            )
        };
        assert_eq!(numbers(told), numbers(real));
        let times = |feed: &FeedConfig| {
            [
                feed.heartbeat_interval_ms,
                feed.silence_limit_ms,
                feed.login_timeout_ms,
                feed.logout_wait_ms,
                feed.connect_timeout_ms,
                feed.reconnect_first_ms,
                feed.reconnect_max_ms,
                feed.first_login_retry_ms,
                feed.first_login_retry_max_ms,
                feed.reject_backoff_ms,
                feed.next_session_ms,
                feed.receive_buffer_bytes as u64,
            ]
        };
        assert_eq!(times(&config.feed[0]), times(&bare.feed[0]));
        assert_eq!((config.engine.wait, config.engine.spin_us), (Wait::Auto, EngineConfig::default().spin_us));
        assert!(config.plan().is_ok());
    }

    #[test]
    fn a_lane_has_exactly_one_feed() {
        let second = GOOD.replacen("[[feed]]", "[[feed]]\nname = \"b\"\nlane = \"lane0\"\nprotocol = \"soupbintcp-itch50\"\naddresses = [\"127.0.0.1:1\"]\n[[feed]]", 1);
        assert!(plan(&second).unwrap_err().contains("exactly one [[feed]]"));
        let none = GOOD.replacen("[[lane]]", "[[lane]]\nname = \"idle\"\n[[lane]]", 1);
        assert!(plan(&none).unwrap_err().contains("lane idle: feeds = 0"));
    }

    #[test]
    fn a_password_file_that_others_can_read_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        std::fs::write(&path, "s3cret\n").unwrap();
        let text = GOOD.replacen("password = \"hidden\"", &format!("password_file = {path:?}"), 1);
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o604)).unwrap();
        let error = plan(&text).unwrap_err();
        assert!(error.contains("password_file") && error.contains("0604") && !error.contains("s3cret"), "{error}");
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        assert!(plan(&text).is_ok());
    }

    #[test]
    fn midnight_follows_the_zone_and_its_summer_time() {
        let zone = TimeZone::get("America/New_York").unwrap();
        let table = [
            // 2026-07-01 04:30 UTC is 00:30 in New York, 4 hours behind.
            ("summer", None, 1_782_880_200, 1_782_878_400),
            // 2026-01-30 04:30 UTC is still the 29th there, 5 hours behind.
            ("winter, day before", None, 1_769_747_400, 1_769_662_800),
            ("configured day", Some("2020-01-30"), 1_782_880_200, 1_580_360_400),
        ];
        for (name, date, now_s, midnight_s) in table {
            let calendar = Calendar { zone: zone.clone(), date: date.map(|d| d.parse().unwrap()) };
            assert_eq!(calendar.midnight_ns(now_s * 1_000_000_000), midnight_s * 1_000_000_000, "case: {name}");
        }
    }
}
