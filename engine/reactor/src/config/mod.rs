//! `engine.toml`: every setting with its unit in its name, a default that is safe to run, and one check of the whole
//! before any core is pinned, page mapped or port dialled.

mod feed;
mod net;
mod plan;
mod replay;

use std::collections::HashMap;
use std::path::PathBuf;

use journal::JournalConfig;
use serde::Deserialize;
use shm_abi::layout::{DEPTH_CLASSES, Layout, Plan, depth_bytes, is_lane_name};

pub(crate) use feed::{ClientType, FeedConfig};
pub(crate) use net::{AllowList, LinePlan};
pub(crate) use plan::{DatagramPlan, FeedPlan, SoupPlan, Transport};
pub(crate) use replay::{Pace, ReplayPlan};

use crate::control::ControlConfig;

/// The whole file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    #[serde(default)]
    pub(crate) engine: EngineConfig,
    #[serde(default)]
    pub(crate) feeds: FeedsConfig,
    #[serde(default)]
    pub(crate) control: ControlConfig,
    #[serde(default)]
    pub(crate) journal: RecordConfig,
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
    /// Priority of the reactors' threads among the real-time ones (SCHED_FIFO), 1 to 99; 0: they are scheduled like all
    /// others. Refused by the system, it is a warning.
    pub(crate) realtime_priority: u8,
    /// Locks the segments in memory: `require` makes a refusal an error, `try` a warning.
    pub(crate) lock_memory: LockMemory,
    /// `text` or `json`.
    pub(crate) log: LogFormat,
    /// What is logged: `error`, `warn`, `info`, `debug`, `trace`, or targets with levels. At the start, RUST_LOG wins.
    pub(crate) log_level: String,
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
            realtime_priority: 0,
            lock_memory: LockMemory::Off,
            log: LogFormat::Text,
            log_level: "info".into(),
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

/// `[journal]`: the recording of every lane.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RecordConfig {
    /// Records.
    pub(crate) enabled: bool,
    /// Holds a folder for each lane; absent: `journal` in the state directory.
    pub(crate) dir: Option<PathBuf>,
    /// Core to pin its reactor to; absent: not pinned.
    pub(crate) core: Option<usize>,
    /// Sizes and times.
    pub(crate) limits: JournalConfig,
}

impl RecordConfig {
    /// The folder of a lane.
    pub(crate) fn folder(&self, engine: &EngineConfig, lane: &str) -> PathBuf {
        self.dir.clone().unwrap_or_else(|| engine.state_dir.join("journal")).join(lane)
    }
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

/// The config, checked as a whole.
#[derive(Debug, Clone)]
pub(crate) struct EnginePlan {
    pub(crate) engine: EngineConfig,
    pub(crate) control: ControlConfig,
    pub(crate) journal: RecordConfig,
    pub(crate) allow: AllowList,
    pub(crate) lanes: Vec<LanePlan>,
}

impl Config {
    /// Checks everything that can be checked without touching the system (password files excepted).
    pub(crate) fn plan(self) -> Result<EnginePlan, ConfigError> {
        if self.lanes.is_empty() {
            return refuse("lane", "(none)", "at least one [[lane]]");
        }
        if self.engine.realtime_priority > 99 {
            let expected = "1 to 99, or 0 for none";
            return refuse("engine.realtime_priority", self.engine.realtime_priority, expected);
        }
        if let Some((field, value, expected)) = self.control.fault() {
            return refuse(field, value, expected);
        }
        if let Err(error) = self.journal.limits.validate() {
            return refuse(format!("journal.limits.{}", error.field), error.seen, error.expected);
        }
        let allow = AllowList::parse(&self.feeds.allow)?;
        let mut feeds: HashMap<&str, Vec<&FeedConfig>> = HashMap::new();
        for (index, feed) in self.feed.iter().enumerate() {
            if !is_lane_name(&feed.name) {
                return refuse("feed.name", format!("{:?}", feed.name), "1 to 31 characters of a-z, 0-9, '-' and '_'");
            }
            if self.feed[..index].iter().any(|other| other.name == feed.name) {
                return refuse("feed.name", &feed.name, "a name that no other feed has");
            }
            if !self.lanes.iter().any(|lane| lane.name == feed.lane) {
                let known: Vec<_> = self.lanes.iter().map(|lane| lane.name.as_str()).collect();
                return refuse(format!("feed {}: lane", feed.name), &feed.lane, format!("one of {known:?}"));
            }
            feeds.entry(feed.lane.as_str()).or_default().push(feed);
        }
        let mut lanes: Vec<LanePlan> = Vec::new();
        for lane in &self.lanes {
            if self.lanes.iter().filter(|other| other.name == lane.name).count() > 1 {
                return refuse("lane.name", &lane.name, "a name that no other lane has");
            }
            let feed = match feeds.get(lane.name.as_str()).map(Vec::as_slice) {
                Some([feed]) => plan::plan_feed(feed, &allow)?,
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
        check_together(&lanes)?;
        if let Some(core) = self.journal.core.filter(|_| self.journal.enabled)
            && let Some(lane) = lanes.iter().find(|lane| lane.config.core == Some(core))
        {
            let expected = format!("a core of its own: lane {} is pinned to this one", lane.config.name);
            return refuse("journal.core", core, expected);
        }
        let venues: Vec<String> = lanes.iter().map(|lane| lane.feed.venue.clone()).collect();
        for lane in &mut lanes {
            lane.feed.only_of_venue = venues.iter().filter(|venue| **venue == lane.feed.venue).count() == 1;
        }
        Ok(EnginePlan { engine: self.engine, control: self.control, journal: self.journal, allow, lanes })
    }
}

/// What is right for each lane by itself and wrong for all of them.
fn check_together(lanes: &[LanePlan]) -> Result<(), ConfigError> {
    let mut taken: Vec<(&LinePlan, &str)> = Vec::new();
    for (index, lane) in lanes.iter().enumerate() {
        let feed = &lane.feed;
        for other in &lanes[..index] {
            let same = other.feed.venue == feed.venue && other.feed.client_type == feed.client_type;
            if same {
                let value = format!("{} of venue {}", feed.client_type.name(), feed.venue);
                let expected = format!(
                    "a venue or client_type that no other feed has: feed {} has this one, and each instrument has one writer",
                    other.feed.name
                );
                return refuse(format!("feed {}: client_type", feed.name), value, expected);
            }
            if lane.config.core.is_some() && lane.config.core == other.config.core {
                let expected = format!("a core of its own: lane {} is pinned to this one", other.config.name);
                return refuse(
                    format!("lane {}: core", lane.config.name),
                    lane.config.core.unwrap_or_default(),
                    expected,
                );
            }
        }
        let Transport::Datagrams(plan) = &feed.transport else { continue };
        for line in &plan.lines {
            if let Some((_, other)) = taken.iter().find(|(known, _)| known.clashes(line)) {
                let expected = format!("an address of its own: feed {other} listens there");
                return refuse(format!("feed {}: lines", feed.name), line, expected);
            }
            taken.push((line, &feed.name));
        }
    }
    Ok(())
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

#[cfg(test)]
mod tests;
