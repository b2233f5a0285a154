//! The config of an engine that plays a recording.

use std::path::{Path, PathBuf};

use serde::Serialize;

/// Name of the feed that plays.
pub(crate) const FEED: &str = "replay";

/// What to play, and how the bytes are to be understood.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Recording {
    /// A journal (the folder of a lane), an ITCH file, a capture, or a DBN file; files may be compressed.
    #[arg(value_name = "RECORDING")]
    pub(crate) source: PathBuf,
    /// How messages came: soupbintcp-itch, moldudp64-itch, iex-tops or iex-deep. Records of a bus need none.
    #[arg(long)]
    pub(crate) protocol: Option<String>,
    /// Dialect of ITCH messages: nasdaq-5.0, dse or jnx-1.6.
    #[arg(long)]
    pub(crate) dialect: Option<String>,
    /// Venue under which instruments are kept.
    #[arg(long)]
    pub(crate) venue: Option<String>,
    /// Zone whose midnight the venue's stamps count from, such as Asia/Dhaka.
    #[arg(long)]
    pub(crate) time_zone: Option<String>,
    /// Day of the recording, YYYY-MM-DD; an ITCH file does not say it.
    #[arg(long)]
    pub(crate) trading_date: Option<String>,
    /// Time at which to enter a journal, such as 2026-11-20T09:30:00-05:00, or nanoseconds since the UNIX epoch; its
    /// beginning if not given.
    #[arg(long, value_name = "TIME")]
    pub(crate) from: Option<String>,
    /// Name of the lane.
    #[arg(long, default_value = "replay", value_parser = lane_name)]
    pub(crate) lane: String,
    /// Slots of each ring, a power of two.
    #[arg(long, default_value_t = 1 << 20)]
    pub(crate) slots: usize,
    /// Instruments that the lane has room for.
    #[arg(long, default_value_t = 16_384)]
    pub(crate) instruments: usize,
}

fn lane_name(text: &str) -> Result<String, String> {
    shm_abi::layout::is_lane_name(text).then(|| text.into()).ok_or("1 to 31 characters of a-z, 0-9, '-' and '_'".into())
}

/// How fast.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub(crate) enum Pace {
    Word(&'static str),
    Times(f64),
}

impl std::str::FromStr for Pace {
    type Err = String;

    fn from_str(text: &str) -> Result<Pace, String> {
        match text {
            "recorded" => Ok(Pace::Word("recorded")),
            "max" => Ok(Pace::Word("max")),
            "stepped" => Ok(Pace::Word("stepped")),
            times => match times.trim_end_matches('x').parse() {
                Ok(times) if (0.001..=1e6).contains(&times) => Ok(Pace::Times(times)),
                _ => Err("expected recorded, max, stepped, or how many times as fast".into()),
            },
        }
    }
}

#[derive(Debug, Serialize)]
struct Config<'c> {
    engine: EngineTable<'c>,
    #[serde(skip_serializing_if = "Option::is_none")]
    journal: Option<JournalTable<'c>>,
    lane: [LaneTable<'c>; 1],
    feed: [FeedTable<'c>; 1],
}

#[derive(Debug, Serialize)]
struct EngineTable<'c> {
    instance: &'c str,
    runtime_dir: &'c Path,
    state_dir: &'c Path,
    wait: &'c str,
}

#[derive(Debug, Serialize)]
struct JournalTable<'c> {
    enabled: bool,
    dir: &'c Path,
}

#[derive(Debug, Serialize)]
struct LaneTable<'c> {
    name: &'c str,
    orders_slots: usize,
    market_slots: usize,
    instruments: usize,
}

#[derive(Debug, Serialize)]
struct FeedTable<'c> {
    name: &'c str,
    lane: &'c str,
    protocol: &'c str,
    #[serde(skip_serializing_if = "Option::is_none")]
    dialect: Option<&'c str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    venue: Option<&'c str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time_zone: Option<&'c str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trading_date: Option<&'c str>,
    replay: ReplayTable<'c>,
}

#[derive(Debug, Serialize)]
struct ReplayTable<'c> {
    file: &'c Path,
    pace: &'c Pace,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<&'c str>,
    digest: bool,
}

/// What else there is to say.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Choice<'c> {
    pub(crate) runtime_dir: &'c Path,
    pub(crate) state_dir: &'c Path,
    pub(crate) pace: &'c Pace,
    pub(crate) digest: bool,
    /// Where to keep a journal of it.
    pub(crate) journal: Option<&'c Path>,
}

/// The config as text. `source`: the recording by its whole path.
pub(crate) fn text(recording: &Recording, source: &Path, choice: &Choice<'_>) -> Result<String, toml::ser::Error> {
    toml::to_string(&Config {
        // Everything shares this host, so nothing may keep a core for itself.
        engine: EngineTable {
            instance: "replay",
            runtime_dir: choice.runtime_dir,
            state_dir: choice.state_dir,
            wait: "adaptive",
        },
        journal: choice.journal.map(|dir| JournalTable { enabled: true, dir }),
        lane: [LaneTable {
            name: &recording.lane,
            orders_slots: recording.slots,
            market_slots: recording.slots,
            instruments: recording.instruments,
        }],
        feed: [FeedTable {
            name: FEED,
            lane: &recording.lane,
            protocol: protocol(recording, source),
            dialect: recording.dialect.as_deref(),
            venue: recording.venue.as_deref(),
            time_zone: recording.time_zone.as_deref(),
            trading_date: recording.trading_date.as_deref(),
            replay: ReplayTable {
                file: source,
                pace: choice.pace,
                from: recording.from.as_deref(),
                digest: choice.digest,
            },
        }],
    })
}

/// What was asked for, or what the name of the recording suggests. The engine looks at the bytes and says if it is not so.
fn protocol<'r>(recording: &'r Recording, source: &Path) -> &'r str {
    let name = source.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let records = source.is_dir() || name.ends_with(".dbn") || name.ends_with(".dbn.zst");
    let guess = if records {
        "recorded"
    } else if name.contains(".pcap") {
        "moldudp64-itch"
    } else {
        "soupbintcp-itch"
    };
    recording.protocol.as_deref().unwrap_or(guess)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_config_reads_back() {
        let recording = Recording {
            source: "day.itch".into(),
            protocol: None,
            dialect: Some("dse".into()),
            venue: None,
            time_zone: Some("Asia/Dhaka".into()),
            trading_date: Some("2024-05-08".into()),
            from: None,
            lane: "day".into(),
            slots: 1024,
            instruments: 10,
        };
        let pace = "2.5x".parse().unwrap();
        let choice = Choice {
            runtime_dir: Path::new("/run/x \"quoted\""),
            state_dir: Path::new("/state"),
            pace: &pace,
            digest: true,
            journal: Some(Path::new("/journal")),
        };
        let read = |source: &str| text(&recording, Path::new(source), &choice).unwrap().parse::<toml::Table>().unwrap();
        let table = read("/data/day.itch");
        assert_eq!(table["engine"]["runtime_dir"].as_str(), Some("/run/x \"quoted\""));
        assert_eq!(table["journal"]["dir"].as_str(), Some("/journal"));
        let feed = &table["feed"][0];
        assert_eq!((feed["protocol"].as_str(), feed["dialect"].as_str()), (Some("soupbintcp-itch"), Some("dse")));
        assert_eq!((feed["replay"]["pace"].as_float(), feed["replay"]["digest"].as_bool()), (Some(2.5), Some(true)));
        for (source, protocol) in [("/a/x.dbn.zst", "recorded"), ("/a/x.pcap.gz", "moldudp64-itch")] {
            assert_eq!(read(source)["feed"][0]["protocol"].as_str(), Some(protocol), "{source}");
        }
    }

    #[test]
    fn paces() {
        assert_eq!("max".parse(), Ok(Pace::Word("max")));
        assert_eq!("10".parse(), Ok(Pace::Times(10.0)));
        assert!("0".parse::<Pace>().is_err() && "quick".parse::<Pace>().is_err());
    }
}
