//! The engine's config as `up` writes it.

use std::path::Path;

use serde::Serialize;

/// Name of the lane that `up` runs.
pub(crate) const LANE: &str = "lane0";
/// The zone of a synthetic market: the venue's clock keeps a fixed offset from UTC, so the engine's must too. (The sign
/// of these names is that of POSIX: this is UTC-5.)
const ZONE_SYNTHETIC: &str = "Etc/GMT+5";
/// The zone of Nasdaq's files.
const ZONE_NASDAQ: &str = "America/New_York";
/// Slots of each ring: 16 MiB, and seconds of a busy demo.
const RING_SLOTS: usize = 1 << 18;
/// Fewest instruments that the lane has room for.
const INSTRUMENTS_MIN: usize = 1024;
/// Orders and levels that the books have room for: a demo must not ask for the memory of a whole exchange.
const MAX_ORDERS: usize = 1 << 20;
const MAX_LEVELS: usize = 1 << 19;
/// Most symbols of a whole day of Nasdaq, with room to spare.
const INSTRUMENTS_FILE: usize = 16_384;

/// Most bytes of the recorded bus that are kept, and those of one of its files: what starts by itself must not fill a disk,
/// and the runtime directory that the state stands in may be memory.
const JOURNAL_BYTES: u64 = 512 << 20;
const JOURNAL_FILE_BYTES: u64 = 64 << 20;

#[derive(Debug, Serialize)]
struct Config<'c> {
    engine: Engine<'c>,
    journal: Journal,
    feeds: Feeds<'c>,
    lane: [Lane<'c>; 1],
    feed: [Feed<'c>; 1],
}

#[derive(Debug, Serialize)]
struct Engine<'c> {
    instance: &'c str,
    runtime_dir: &'c Path,
    state_dir: &'c Path,
    wait: &'c str,
}

#[derive(Debug, Serialize)]
struct Journal {
    enabled: bool,
    limits: JournalLimits,
}

#[derive(Debug, Serialize)]
struct JournalLimits {
    file_bytes: u64,
    retain_bytes: u64,
}

#[derive(Debug, Serialize)]
struct Feeds<'c> {
    allow: [&'c str; 1],
}

#[derive(Debug, Serialize)]
struct Lane<'c> {
    name: &'c str,
    orders_slots: usize,
    market_slots: usize,
    instruments: usize,
    depth: u16,
    max_orders: usize,
    max_levels: usize,
}

#[derive(Debug, Serialize)]
struct Feed<'c> {
    name: &'c str,
    lane: &'c str,
    protocol: &'c str,
    addresses: [&'c str; 1],
    username: &'c str,
    password: &'c str,
    time_zone: &'c str,
    #[serde(skip_serializing_if = "Option::is_none")]
    trading_date: Option<&'c str>,
}

/// What `up` chooses.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Choice<'c> {
    pub(crate) instance: &'c str,
    pub(crate) runtime_dir: &'c Path,
    pub(crate) state_dir: &'c Path,
    /// Address of the venue.
    pub(crate) address: &'c str,
    pub(crate) username: &'c str,
    pub(crate) password: &'c str,
    /// Symbols of the synthetic market; `None` when a file is played.
    pub(crate) symbols: Option<u32>,
    /// Day of the stamps; `None`: today.
    pub(crate) trading_date: Option<&'c str>,
}

/// The config as text.
pub(crate) fn text(choice: &Choice<'_>) -> Result<String, toml::ser::Error> {
    let instruments = match choice.symbols {
        Some(symbols) => (symbols as usize).max(INSTRUMENTS_MIN).next_power_of_two(),
        None => INSTRUMENTS_FILE,
    };
    let config = Config {
        engine: Engine {
            instance: choice.instance,
            runtime_dir: choice.runtime_dir,
            state_dir: choice.state_dir,
            // Everything shares this host, so nothing may keep a core for itself.
            wait: "adaptive",
        },
        // So that clients can go on where they were, also after a restart.
        journal: Journal {
            enabled: true,
            limits: JournalLimits { file_bytes: JOURNAL_FILE_BYTES, retain_bytes: JOURNAL_BYTES },
        },
        feeds: Feeds { allow: ["127.0.0.0/8"] },
        lane: [Lane {
            name: LANE,
            orders_slots: RING_SLOTS,
            market_slots: RING_SLOTS,
            instruments,
            depth: 10,
            max_orders: MAX_ORDERS,
            max_levels: MAX_LEVELS,
        }],
        feed: [Feed {
            name: "nasdaq",
            lane: LANE,
            protocol: "soupbintcp-itch50",
            addresses: [choice.address],
            username: choice.username,
            password: choice.password,
            time_zone: if choice.symbols.is_some() { ZONE_SYNTHETIC } else { ZONE_NASDAQ },
            trading_date: choice.trading_date,
        }],
    };
    toml::to_string(&config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_config_reads_back() {
        let choice = Choice {
            instance: "demo",
            runtime_dir: Path::new("/run/x \"quoted\""),
            state_dir: Path::new("/state"),
            address: "127.0.0.1:9",
            username: "demo",
            password: "secret",
            symbols: Some(2000),
            trading_date: Some("2020-01-30"),
        };
        let read = |choice: &Choice<'_>| text(choice).unwrap().parse::<toml::Table>().unwrap();
        let table = read(&choice);
        assert_eq!(table["engine"]["runtime_dir"].as_str(), Some("/run/x \"quoted\""));
        assert_eq!(table["journal"]["enabled"].as_bool(), Some(true));
        let (lane, feed) = (&table["lane"][0], &table["feed"][0]);
        assert_eq!(lane["instruments"].as_integer(), Some(2048));
        assert_eq!(feed["addresses"][0].as_str(), Some("127.0.0.1:9"));
        assert_eq!((&feed["lane"], feed["trading_date"].as_str()), (&lane["name"], Some("2020-01-30")));
        assert_eq!(feed["time_zone"].as_str(), Some(ZONE_SYNTHETIC));
        let file = read(&Choice { symbols: None, trading_date: None, ..choice });
        let feed = &file["feed"][0];
        assert_eq!((feed["time_zone"].as_str(), feed.get("trading_date")), (Some(ZONE_NASDAQ), None));
    }
}
