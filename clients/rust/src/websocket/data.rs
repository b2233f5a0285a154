//! The data of the channels. Prices are in units of 1e-9, as in shared memory; an absent one is `None`.

use serde::{Deserialize, Deserializer};
use shm_abi::board::Quality;
use shm_abi::cursor::Cursor;
use shm_abi::record::{Side, TradingStatus};

use super::number::{self, Amount};
use super::topic::Topic;

/// Stamps of a data frame, ns since the UNIX epoch; 0: not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stamps {
    /// By the venue.
    pub ts_event: u64,
    /// From the engine's socket.
    pub ts_recv: u64,
    /// Into the ring.
    pub ts_publish: u64,
    /// Read by the gateway.
    pub ts_gateway: u64,
}

/// A frame that stands for several events, because this client did not keep up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Merged {
    /// How many.
    pub events: u64,
    /// Number of the first.
    pub first: u64,
    /// Number of the last.
    pub last: u64,
}

/// The whole state of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// What of.
    pub topic: Topic,
    /// Where it trades.
    pub venue: String,
    /// Names the sequence that `seq` belongs to.
    pub stream: u32,
    /// Everything up to this number is in it.
    pub seq: u64,
    /// The same, as a name that stays.
    pub cursor: Cursor,
    /// Stamps of the event that `seq` names.
    pub stamps: Stamps,
    /// It stands for events that did not come one by one.
    pub merged: Option<Merged>,
    /// The state.
    pub state: State,
}

/// One event of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Update {
    /// What of.
    pub topic: Topic,
    /// Names the sequence that `seq` belongs to.
    pub stream: u32,
    /// Number of the event.
    pub seq: u64,
    /// Number of the event before on this topic.
    pub prev: u64,
    /// Stamps of the event.
    pub stamps: Stamps,
    /// It stands for several events.
    pub merged: Option<Merged>,
    /// What changed.
    pub change: Change,
}

/// State of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Of quotes.
    Quote(Box<Quote>),
    /// Of depth: best levels first.
    Depth {
        /// Buyers.
        bids: Vec<Level>,
        /// Sellers.
        asks: Vec<Level>,
    },
    /// Of status.
    Status(Status),
    /// Of trades: the newest that the gateway still has, oldest first. None: what was resumed has come to its end, and
    /// nothing up to the snapshot's number is missing.
    Trades(Vec<PastTrade>),
}

/// What an event changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The whole quote.
    Quote(Box<Quote>),
    /// Some levels: [`super::view::Window`] applies them.
    Depth(Vec<LevelChange>),
    /// The whole status.
    Status(Status),
    /// A trade.
    Trade(Trade),
    /// The trade with this match id is revoked.
    Broken {
        /// Match id.
        match_id: u64,
    },
}

/// Best prices, last trade, statistics of the day. Prices in 1e-9; `None`: there is none.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
pub struct Quote {
    /// Best buyer.
    #[serde(deserialize_with = "present")]
    pub bid: Option<Level>,
    /// Best seller.
    #[serde(deserialize_with = "present")]
    pub ask: Option<Level>,
    /// Last trade.
    #[serde(deserialize_with = "present")]
    pub last: Option<LastTrade>,
    /// First price of the day.
    #[serde(deserialize_with = "number::price_or_none")]
    pub open: Option<i64>,
    /// Highest.
    #[serde(deserialize_with = "number::price_or_none")]
    pub high: Option<i64>,
    /// Lowest.
    #[serde(deserialize_with = "number::price_or_none")]
    pub low: Option<i64>,
    /// Last price of the day.
    #[serde(deserialize_with = "number::price_or_none")]
    pub close: Option<i64>,
    /// Last price of the day before.
    #[serde(deserialize_with = "number::price_or_none")]
    pub previous_close: Option<i64>,
    /// Quantity traded.
    pub volume: Amount,
    /// Money traded.
    pub turnover: Amount,
    /// Number of trades.
    pub trades: u64,
}

/// One price of a side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Level {
    /// In 1e-9.
    #[serde(deserialize_with = "number::price")]
    pub price: i64,
    /// Open there.
    pub quantity: Amount,
    /// Number of orders; 0: not known.
    pub orders: u32,
}

/// A level that changed. Quantity 0: it is not among the best any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LevelChange {
    /// Side.
    pub side: Side,
    /// The level as it is now.
    pub level: Level,
}

/// The last trade of a quote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct LastTrade {
    /// In 1e-9.
    #[serde(deserialize_with = "number::price")]
    pub price: i64,
    /// Traded.
    pub quantity: Amount,
    /// The venue's.
    #[serde(deserialize_with = "number::text_u64")]
    pub match_id: u64,
    /// By the venue, ns since the UNIX epoch.
    #[serde(deserialize_with = "number::text_u64")]
    pub ts_event: u64,
}

/// Trading status of an instrument, and how far its data can be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Status {
    /// `Unknown` also for one of a newer gateway.
    #[serde(deserialize_with = "trading_status")]
    pub status: TradingStatus,
    /// `Unknown` also for one of a newer gateway.
    #[serde(deserialize_with = "quality")]
    pub quality: Quality,
}

/// An auction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cross {
    /// Opening.
    Open,
    /// Closing.
    Close,
    /// After a halt.
    Halt,
    /// Of a newer gateway.
    Other,
}

/// One execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Trade {
    /// In 1e-9.
    #[serde(deserialize_with = "number::price")]
    pub price: i64,
    /// Traded.
    pub quantity: Amount,
    /// Of the resting order; `None`: the venue does not tell.
    #[serde(deserialize_with = "side_or_none")]
    pub side: Option<Side>,
    /// The auction that it was of.
    #[serde(deserialize_with = "cross_or_none")]
    pub cross: Option<Cross>,
    /// The venue's.
    #[serde(deserialize_with = "number::text_u64")]
    pub match_id: u64,
    /// Whether it counts as volume.
    pub printed: bool,
    /// Whether the resting order was never shown.
    pub hidden: bool,
}

/// A trade in a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PastTrade {
    /// Number of its record.
    pub seq: u64,
    /// By the venue, ns since the UNIX epoch.
    pub ts_event: u64,
    /// The trade.
    pub trade: Trade,
}

/// A field that may be null but not absent.
fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    Option::deserialize(deserializer)
}

/// `bid` or `ask`.
pub(crate) fn side_of(name: &str) -> Option<Side> {
    match name {
        "bid" => Some(Side::Bid),
        "ask" => Some(Side::Ask),
        _ => None,
    }
}

fn side_or_none<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Side>, D::Error> {
    let Some(name) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
    let known = side_of(&name).map(Some);
    known.ok_or_else(|| serde::de::Error::unknown_variant(&name, &["bid", "ask"]))
}

fn cross_or_none<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Cross>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.map(|name| match name.as_str() {
        "open" => Cross::Open,
        "close" => Cross::Close,
        "halt" => Cross::Halt,
        _ => Cross::Other,
    }))
}

fn trading_status<'de, D: Deserializer<'de>>(deserializer: D) -> Result<TradingStatus, D::Error> {
    let name = String::deserialize(deserializer)?;
    let mut all = (0..=u8::MAX).map(TradingStatus::from_code);
    Ok(all.find(|status| status.name() == name).unwrap_or(TradingStatus::Unknown))
}

fn quality<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Quality, D::Error> {
    let name = String::deserialize(deserializer)?;
    let mut all = (0..=u8::MAX).map(Quality::from_code);
    Ok(all.find(|quality| quality.name() == name).unwrap_or(Quality::Unknown))
}
