//! Snapshots and updates, from text.
//!
//! Source: gateway/PROTOCOL.md, `snapshot`, `update`, "Merged".

use serde::Deserialize;
use serde_json::value::RawValue;

use super::data::{
    Change, Level, LevelChange, Merged, PastTrade, Quote, Snapshot, Stamps, State, Status, Trade, Update, side_of,
};
use super::decode::{Frame, Unreadable, channel, cursor, wrong};
use super::number::{self, Amount};
use super::topic::{Channel, Topic};

/// A snapshot or an update: what they have in common, and what one of them has.
#[derive(Deserialize)]
pub(crate) struct DataWire<'a> {
    channel: String,
    #[serde(default)]
    levels: Option<u64>,
    symbol: String,
    #[serde(default)]
    venue: String,
    stream: u32,
    #[serde(deserialize_with = "number::seq")]
    seq: u64,
    #[serde(default, deserialize_with = "number::seq_or_none")]
    prev: Option<u64>,
    #[serde(default)]
    cursor: Option<String>,
    #[serde(deserialize_with = "number::text_u64")]
    ts_event: u64,
    #[serde(deserialize_with = "number::text_u64")]
    ts_recv: u64,
    #[serde(deserialize_with = "number::text_u64")]
    ts_publish: u64,
    #[serde(deserialize_with = "number::text_u64")]
    ts_gateway: u64,
    #[serde(default)]
    merged: Option<u64>,
    #[serde(default)]
    first: Option<u64>,
    #[serde(default)]
    last: Option<u64>,
    #[serde(borrow)]
    data: &'a RawValue,
}

impl DataWire<'_> {
    fn stamps(&self) -> Stamps {
        Stamps {
            ts_event: self.ts_event,
            ts_recv: self.ts_recv,
            ts_publish: self.ts_publish,
            ts_gateway: self.ts_gateway,
        }
    }

    fn merged(&self) -> Result<Option<Merged>, Unreadable> {
        match (self.merged, self.first, self.last) {
            (None, ..) => Ok(None),
            (Some(events), Some(first), Some(last)) => Ok(Some(Merged { events, first, last })),
            (Some(events), ..) => Err(wrong("merged", events, "`first` and `last` beside it")),
        }
    }
}

#[derive(Deserialize)]
struct LevelWire(#[serde(deserialize_with = "number::price")] i64, Amount, u32);

impl From<LevelWire> for Level {
    fn from(LevelWire(price, quantity, orders): LevelWire) -> Level {
        Level { price, quantity, orders }
    }
}

#[derive(Deserialize)]
struct DepthWire {
    bids: Vec<LevelWire>,
    asks: Vec<LevelWire>,
}

#[derive(Deserialize)]
struct PastWire {
    #[serde(deserialize_with = "number::seq")]
    seq: u64,
    #[serde(deserialize_with = "number::text_u64")]
    ts_event: u64,
}

#[derive(Deserialize)]
struct TradesWire<'a> {
    #[serde(borrow)]
    trades: Vec<&'a RawValue>,
}

pub(crate) fn snapshot(wire: DataWire<'_>) -> Result<Frame, Unreadable> {
    let channel = channel(&wire.channel, wire.levels)?;
    let data = wire.data.get();
    let state = match channel {
        Channel::Quotes => State::Quote(Box::new(serde_json::from_str::<Quote>(data)?)),
        Channel::Depth(_) => {
            let depth: DepthWire = serde_json::from_str(data)?;
            let levels = |side: Vec<LevelWire>| side.into_iter().map(Level::from).collect();
            State::Depth { bids: levels(depth.bids), asks: levels(depth.asks) }
        }
        Channel::Status => State::Status(serde_json::from_str::<Status>(data)?),
        Channel::Trades => {
            let trades: TradesWire<'_> = serde_json::from_str(data)?;
            let trades = trades.trades.into_iter().map(|raw| past_trade(raw.get()));
            State::Trades(trades.collect::<Result<_, Unreadable>>()?)
        }
    };
    let place = wire.cursor.as_deref().ok_or_else(|| wrong("cursor", "", "the snapshot's cursor"))?;
    let (stamps, merged, prev) = (wire.stamps(), wire.merged()?, wire.prev);
    let snapshot = Snapshot {
        cursor: cursor(place)?,
        topic: Topic { channel, symbol: wire.symbol },
        venue: wire.venue,
        stream: wire.stream,
        seq: wire.seq,
        stamps,
        merged,
        state,
    };
    Ok(match prev {
        Some(prev) if merged.is_some() => Frame::Merged(snapshot, prev),
        _ => Frame::Snapshot(snapshot),
    })
}

/// Number and stamp stand beside the trade's own fields.
fn past_trade(text: &str) -> Result<PastTrade, Unreadable> {
    let PastWire { seq, ts_event } = serde_json::from_str(text)?;
    Ok(PastTrade { seq, ts_event, trade: serde_json::from_str::<Trade>(text)? })
}

#[derive(Deserialize)]
struct ChangesWire {
    changes: Vec<ChangeWire>,
}

#[derive(Deserialize)]
struct ChangeWire(String, #[serde(deserialize_with = "number::price")] i64, Amount, u32);

#[derive(Deserialize)]
struct BrokenWire {
    #[serde(deserialize_with = "number::text_u64")]
    broken: u64,
}

pub(crate) fn update(wire: DataWire<'_>) -> Result<Frame, Unreadable> {
    let channel = channel(&wire.channel, wire.levels)?;
    let data = wire.data.get();
    let change = match channel {
        Channel::Quotes => Change::Quote(Box::new(serde_json::from_str::<Quote>(data)?)),
        Channel::Depth(_) => Change::Depth(level_changes(serde_json::from_str(data)?)?),
        Channel::Status => Change::Status(serde_json::from_str::<Status>(data)?),
        Channel::Trades => match serde_json::from_str::<BrokenWire>(data) {
            Ok(BrokenWire { broken }) => Change::Broken { match_id: broken },
            Err(_) => Change::Trade(serde_json::from_str::<Trade>(data)?),
        },
    };
    let prev = wire.prev.ok_or_else(|| wrong("prev", "", "the number before"))?;
    let (stamps, merged) = (wire.stamps(), wire.merged()?);
    let topic = Topic { channel, symbol: wire.symbol };
    Ok(Frame::Update(Update { topic, stream: wire.stream, seq: wire.seq, prev, stamps, merged, change }))
}

fn level_changes(wire: ChangesWire) -> Result<Vec<LevelChange>, Unreadable> {
    let changes = wire.changes.into_iter().map(|ChangeWire(side, price, quantity, orders)| {
        let side = side_of(&side).ok_or_else(|| wrong("changes", &side, "bid or ask"))?;
        Ok(LevelChange { side, level: Level { price, quantity, orders } })
    });
    changes.collect()
}
