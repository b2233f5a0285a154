//! Frames of the gateway, from text. Total: whatever stands in a frame, the answer is a frame or a reason.
//!
//! Source: gateway/PROTOCOL.md, "Frames".

use serde::Deserialize;
use shm_abi::cursor::Cursor;
use shm_abi::follow::{RestartReason, Restarted};

use super::data::{Merged, Snapshot, Update};
use super::event::{Gap, Hello, LaneInfo, LaneState, Limits, Op, Replay, Restart, ResumeRefusal, ServerError};
use super::number;
use super::payload::{snapshot, update};
use super::topic::{Channel, Subscription, Topic};

/// The protocol that this client speaks.
pub(crate) const PROTOCOL: u64 = 1;

/// One message of the gateway.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Frame {
    Hello(Hello),
    Ack(AckFrame),
    Snapshot(Snapshot),
    Update(Update),
    /// A snapshot that stands for updates, with the number before the first.
    Merged(Snapshot, u64),
    Gap(Gap),
    Restart(Restart),
    Replay(Replay),
    Lane {
        lane: String,
        stream: u32,
        state: LaneState,
    },
    Subscriptions {
        id: Option<u64>,
        subscriptions: Vec<Subscription>,
    },
    Pong {
        id: Option<u64>,
        ts_gateway: u64,
    },
    Error(ServerError),
    Unknown(String),
}

/// An `ack`, before it is known which command it is of.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct AckFrame {
    pub(crate) id: Option<u64>,
    pub(crate) op: Op,
    /// `None`: depth, and the frame does not say how many levels.
    pub(crate) channel: Option<Channel>,
    pub(crate) symbols: Vec<String>,
    /// Symbol, code, what was expected.
    pub(crate) refused: Vec<(String, String, String)>,
    /// Stream and where it is.
    pub(crate) streams: Vec<(u32, Cursor)>,
}

/// Why a frame could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// It is of another protocol.
    Protocol(u64),
    /// In words.
    Frame(String),
}

impl From<serde_json::Error> for Unreadable {
    fn from(error: serde_json::Error) -> Self {
        Unreadable::Frame(error.to_string())
    }
}

pub(crate) fn wrong(field: &str, value: impl std::fmt::Display, expected: &str) -> Unreadable {
    Unreadable::Frame(format!("field `{field}`: `{value}`, expected {expected}"))
}

#[derive(Deserialize)]
struct Kind {
    #[serde(rename = "type")]
    kind: String,
}

/// Reads one message.
pub(crate) fn parse(text: &str) -> Result<Frame, Unreadable> {
    let Kind { kind } = serde_json::from_str(text)?;
    match kind.as_str() {
        "hello" => hello(text),
        "ack" => ack(serde_json::from_str(text)?),
        "snapshot" => snapshot(serde_json::from_str(text)?),
        "update" => update(serde_json::from_str(text)?),
        "gap" => gap(serde_json::from_str(text)?),
        "restart" => restart(serde_json::from_str(text)?),
        "replay" => replay(serde_json::from_str(text)?),
        "lane" => {
            let wire: LaneWire = serde_json::from_str(text)?;
            Ok(Frame::Lane { state: LaneState::from_name(&wire.state), lane: wire.lane, stream: wire.stream })
        }
        "subscriptions" => subscriptions(serde_json::from_str(text)?),
        "pong" => {
            let wire: PongWire = serde_json::from_str(text)?;
            Ok(Frame::Pong { id: wire.id, ts_gateway: wire.ts_gateway })
        }
        "error" => {
            let wire: ErrorWire = serde_json::from_str(text)?;
            Ok(Frame::Error(ServerError {
                id: wire.id,
                code: wire.code,
                field: wire.field,
                value: wire.value,
                expected: wire.expected,
            }))
        }
        _ => Ok(Frame::Unknown(kind)),
    }
}

#[derive(Deserialize)]
struct ProtocolWire {
    protocol: u64,
}

#[derive(Deserialize)]
struct HelloWire {
    server: String,
    #[serde(default)]
    slow: String,
    lanes: Vec<LaneWire>,
    #[serde(default)]
    limits: Limits,
}

#[derive(Deserialize)]
struct LaneWire {
    lane: String,
    stream: u32,
    state: String,
    #[serde(default, deserialize_with = "number::epoch_or_none")]
    epoch: Option<u64>,
    #[serde(default)]
    cursor: Option<String>,
}

fn hello(text: &str) -> Result<Frame, Unreadable> {
    // First of all, and alone: what else stands in another protocol's hello is not known.
    let ProtocolWire { protocol } = serde_json::from_str(text)?;
    if protocol != PROTOCOL {
        return Err(Unreadable::Protocol(protocol));
    }
    let wire: HelloWire = serde_json::from_str(text)?;
    let lanes = wire.lanes.into_iter().map(|lane| {
        let cursor = lane.cursor.as_deref().map(cursor).transpose()?;
        let state = LaneState::from_name(&lane.state);
        Ok(LaneInfo { lane: lane.lane, stream: lane.stream, epoch: lane.epoch, state, cursor })
    });
    let lanes = lanes.collect::<Result<_, Unreadable>>()?;
    Ok(Frame::Hello(Hello { server: wire.server, slow: wire.slow, lanes, limits: wire.limits }))
}

pub(crate) fn cursor(text: &str) -> Result<Cursor, Unreadable> {
    text.parse().map_err(|error| wrong("cursor", text, &format!("{error}")))
}

pub(crate) fn channel(name: &str, levels: Option<u64>) -> Result<Channel, Unreadable> {
    Channel::from_wire(name, levels).ok_or_else(|| {
        let value = levels.map_or_else(|| name.to_string(), |levels| format!("{name} of {levels} levels"));
        wrong("channel", value, "quotes, depth of 5, 10 or 20 levels, trades or status")
    })
}

#[derive(Deserialize)]
struct AckWire {
    #[serde(default, deserialize_with = "number::id")]
    id: Option<u64>,
    op: String,
    channel: String,
    #[serde(default)]
    levels: Option<u64>,
    symbols: Vec<String>,
    #[serde(default)]
    refused: Vec<RefusedWire>,
    #[serde(default)]
    streams: Vec<StreamWire>,
}

#[derive(Deserialize)]
struct RefusedWire {
    symbol: String,
    code: String,
    #[serde(default)]
    expected: String,
}

#[derive(Deserialize)]
struct StreamWire {
    stream: u32,
    cursor: String,
}

fn ack(wire: AckWire) -> Result<Frame, Unreadable> {
    let op = match wire.op.as_str() {
        "subscribe" => Op::Subscribe,
        "unsubscribe" => Op::Unsubscribe,
        other => return Err(wrong("op", other, "subscribe or unsubscribe")),
    };
    let channel = match (wire.channel.as_str(), wire.levels) {
        ("depth", None) => None,
        (name, levels) => Some(channel(name, levels)?),
    };
    let streams = wire.streams.iter().map(|stream| Ok((stream.stream, cursor(&stream.cursor)?)));
    Ok(Frame::Ack(AckFrame {
        id: wire.id,
        op,
        channel,
        symbols: wire.symbols,
        refused: wire.refused.into_iter().map(|it| (it.symbol, it.code, it.expected)).collect(),
        streams: streams.collect::<Result<_, Unreadable>>()?,
    }))
}

#[derive(Deserialize)]
struct GapWire {
    reason: String,
    #[serde(default)]
    channel: Option<String>,
    #[serde(default)]
    levels: Option<u64>,
    #[serde(default)]
    symbol: Option<String>,
    #[serde(default)]
    stream: u32,
    #[serde(default, deserialize_with = "number::seq_or_none")]
    seq: Option<u64>,
    #[serde(default, deserialize_with = "number::seq_or_none")]
    prev: Option<u64>,
    #[serde(default)]
    first: Option<u64>,
    #[serde(default)]
    last: Option<u64>,
    #[serde(default)]
    merged: Option<u64>,
    #[serde(default)]
    cursor: Option<String>,
}

impl GapWire {
    fn topic(&mut self) -> Result<Topic, Unreadable> {
        let channel = channel(self.channel.as_deref().unwrap_or_default(), self.levels)?;
        let symbol = self.symbol.take().ok_or_else(|| wrong("symbol", "", "the symbol of the gap"))?;
        Ok(Topic { channel, symbol })
    }

    fn range(&self) -> Result<(u64, u64), Unreadable> {
        Ok((GapWire::number(self.first, "first")?, GapWire::number(self.last, "last")?))
    }

    fn number(value: Option<u64>, field: &str) -> Result<u64, Unreadable> {
        value.ok_or_else(|| wrong(field, "", "a number"))
    }
}

fn gap(mut wire: GapWire) -> Result<Frame, Unreadable> {
    let stream = wire.stream;
    Ok(Frame::Gap(match wire.reason.as_str() {
        "slow" => {
            let (first, last) = wire.range()?;
            let missing = Merged { events: GapWire::number(wire.merged, "merged")?, first, last };
            Gap::Slow { prev: GapWire::number(wire.prev, "prev")?, topic: wire.topic()?, stream, missing }
        }
        "lapped" => {
            let (first, last) = wire.range()?;
            Gap::Lapped { stream, first, last }
        }
        "venue" => {
            let (first, last) = wire.range()?;
            Gap::Venue { stream, seq: GapWire::number(wire.seq, "seq")?, first, last }
        }
        "hole" => {
            let (first, last) = wire.range()?;
            Gap::Hole { prev: GapWire::number(wire.prev, "prev")?, topic: wire.topic()?, stream, first, last }
        }
        reason => match ResumeRefusal::from_name(reason) {
            Some(why) => Gap::Resume { topic: wire.topic()?, stream, why, cursor: wire.cursor },
            None => Gap::Other { reason: wire.reason },
        },
    }))
}

#[derive(Deserialize)]
struct RestartWire {
    lane: String,
    #[serde(default)]
    old_stream: u32,
    stream: u32,
    #[serde(default, deserialize_with = "number::epoch_or_none")]
    epoch: Option<u64>,
    #[serde(default, deserialize_with = "number::epoch_or_none")]
    old_epoch: Option<u64>,
    reason: String,
    #[serde(default, deserialize_with = "number::seq_or_none")]
    drained_to: Option<u64>,
    #[serde(default, deserialize_with = "number::seq_or_none")]
    old_end: Option<u64>,
    #[serde(default)]
    cursor: Option<String>,
}

fn restart(wire: RestartWire) -> Result<Frame, Unreadable> {
    let reason = match wire.reason.as_str() {
        "engine" => RestartReason::Engine,
        "session" => RestartReason::Session,
        "unknown" => RestartReason::Unknown,
        _ => RestartReason::Other(u64::MAX),
    };
    Ok(Frame::Restart(Restart {
        lane: wire.lane,
        old_stream: wire.old_stream,
        stream: wire.stream,
        cursor: wire.cursor.as_deref().map(cursor).transpose()?,
        step: Restarted {
            old_epoch: wire.old_epoch.unwrap_or(0),
            new_epoch: wire.epoch.ok_or_else(|| wrong("epoch", "null", "the new epoch"))?,
            drained_to: wire.drained_to.unwrap_or(0),
            old_end: wire.old_end,
            reason,
        },
    }))
}

#[derive(Deserialize)]
struct ReplayWire {
    channel: String,
    #[serde(default)]
    levels: Option<u64>,
    symbols: Vec<String>,
    stream: u32,
    cursor: String,
    #[serde(default, deserialize_with = "number::epoch_or_none")]
    old_epoch: Option<u64>,
    #[serde(default, deserialize_with = "number::seq_or_none")]
    drained_to: Option<u64>,
    #[serde(default, deserialize_with = "number::seq_or_none")]
    old_end: Option<u64>,
}

fn replay(wire: ReplayWire) -> Result<Frame, Unreadable> {
    let channel = channel(&wire.channel, wire.levels)?;
    let topics = wire.symbols.into_iter().map(|symbol| Topic { channel, symbol }).collect();
    let old = wire.old_epoch.map(|epoch| (epoch, wire.drained_to.unwrap_or(0), wire.old_end));
    Ok(Frame::Replay(Replay { topics, stream: wire.stream, cursor: cursor(&wire.cursor)?, old }))
}

#[derive(Deserialize)]
struct SubscriptionsWire {
    #[serde(default, deserialize_with = "number::id")]
    id: Option<u64>,
    subscriptions: Vec<SubscriptionWire>,
}

#[derive(Deserialize)]
struct SubscriptionWire {
    channel: String,
    #[serde(default)]
    levels: Option<u64>,
    symbols: Vec<String>,
}

fn subscriptions(wire: SubscriptionsWire) -> Result<Frame, Unreadable> {
    let each = wire.subscriptions.into_iter();
    let each = each.map(|it| Ok(Subscription { channel: channel(&it.channel, it.levels)?, symbols: it.symbols }));
    Ok(Frame::Subscriptions { id: wire.id, subscriptions: each.collect::<Result<_, Unreadable>>()? })
}

#[derive(Deserialize)]
struct PongWire {
    #[serde(default, deserialize_with = "number::id")]
    id: Option<u64>,
    #[serde(deserialize_with = "number::text_u64")]
    ts_gateway: u64,
}

#[derive(Deserialize)]
struct ErrorWire {
    #[serde(default, deserialize_with = "number::id")]
    id: Option<u64>,
    code: String,
    #[serde(default)]
    field: Option<String>,
    #[serde(default)]
    value: Option<String>,
    #[serde(default)]
    expected: Option<String>,
}

#[cfg(test)]
mod tests;
