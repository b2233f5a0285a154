//! A dialect for tests: the core's frames as plain JSON, nothing left out.

use gateway_core::dialect::{
    Change, Command, Delta, Dialect, LaneFacts, Merged, Outgoing, Refusal, Request, RequestId, Snapshot, Subject,
};
use gateway_core::state::{Quote, Window};
use gateway_core::topic::{Channel, Levels};
use serde_json::{Value, json};
use shm_abi::board::Level;

/// See the module.
#[derive(Debug)]
pub struct Plain;

pub fn channel(index: u64) -> Channel {
    Channel::ALL[index as usize]
}

pub fn quote(quote: &Quote) -> Value {
    json!(format!("{quote:?}"))
}

fn levels(levels: &[Level]) -> Value {
    levels.iter().map(|l| json!([l.price, l.quantity, l.orders])).collect()
}

pub fn window(window: &Window, count: usize) -> Value {
    let mut cut = Window::default();
    cut.load_best(window, count);
    json!([levels(&cut.bids), levels(&cut.asks)])
}

fn change(change: &Change) -> Value {
    let Level { price, quantity, orders } = change.level;
    json!([change.side.index(), price, quantity, orders])
}

fn topic(subject: &Subject<'_>) -> Value {
    json!([subject.symbol, subject.channel.index()])
}

fn merged(merged: Option<Merged>) -> Value {
    merged.map_or(Value::Null, |m| json!([m.count, m.first, m.last]))
}

fn lane(facts: &LaneFacts<'_>) -> Value {
    json!([facts.lane, facts.stream, format!("{:016x}", facts.epoch), facts.cursor_seq, facts.state.name()])
}

fn id(id: &Option<&RequestId>) -> Value {
    match id {
        Some(RequestId::Number(number)) => json!(number),
        Some(RequestId::Text(text)) => json!(text),
        None => Value::Null,
    }
}

fn words(outgoing: &Outgoing<'_>) -> Value {
    match outgoing {
        Outgoing::Hello { slow, lanes, .. } => {
            json!({"t": "hello", "slow": slow.name(), "lanes": lanes.iter().map(lane).collect::<Vec<_>>()})
        }
        Outgoing::Ack { id: of, op, channel, symbols, refused, lanes } => {
            let refused: Vec<_> = refused.iter().map(|r| json!([r.symbol, r.code, r.expected])).collect();
            let lanes: Vec<_> = lanes.iter().map(lane).collect();
            json!({"t": "ack", "id": id(of), "op": op, "channel": channel.index(), "symbols": symbols,
                   "refused": refused, "lanes": lanes})
        }
        Outgoing::Error(refusal) => json!({"t": "error", "code": refusal.code, "field": refusal.field}),
        Outgoing::Subscriptions { id: of, list } => {
            let list: Vec<_> = list.iter().map(|(channel, symbols)| json!([channel.index(), symbols])).collect();
            json!({"t": "subscriptions", "id": id(of), "list": list})
        }
        Outgoing::Pong { id: of, ts_gateway } => json!({"t": "pong", "id": id(of), "ts": ts_gateway}),
        Outgoing::Snapshot { subject, place, stamps, merged: of, state } => {
            let state = match state {
                Snapshot::Quote(q) => quote(q),
                Snapshot::Depth(w) => window(w, 1000),
                Snapshot::Trades(trades) => trades.iter().map(|trade| json!(trade.seq)).collect(),
                Snapshot::Status(status) => json!(format!("{status:?}")),
            };
            json!({"t": "snapshot", "topic": topic(subject), "stream": place.stream, "seq": place.seq,
                   "gateway": stamps.ts_gateway, "merged": merged(of.map(|(m, _)| m)),
                   "prev": of.map(|(_, prev)| prev), "state": state})
        }
        Outgoing::Update { subject, place, prev, stamps, merged: of, delta } => {
            let delta = match delta {
                Delta::Quote(q) => quote(q),
                Delta::Depth(changes) => changes.iter().map(change).collect(),
                Delta::Trade(trade) => json!([trade.seq, trade.price, trade.quantity, trade.code, trade.flags]),
                Delta::TradeBreak(match_id) => json!({"broken": match_id}),
                Delta::Status(status) => json!(format!("{status:?}")),
            };
            json!({"t": "update", "topic": topic(subject), "stream": place.stream, "seq": place.seq, "prev": prev,
                   "stamps": [stamps.ts_event, stamps.ts_recv, stamps.ts_publish, stamps.ts_gateway],
                   "merged": merged(*of), "delta": delta})
        }
        Outgoing::TopicGap { subject, stream, merged: of, prev } => {
            let merged = merged(Some(*of));
            json!({"t": "topic_gap", "topic": topic(subject), "stream": stream, "merged": merged, "prev": prev})
        }
        Outgoing::ResumeGap { subject, stream, reason, cursor } => {
            let topic = topic(subject);
            json!({"t": "resume_gap", "topic": topic, "stream": stream, "reason": reason.name(), "cursor": cursor})
        }
        Outgoing::Replay { channel, symbols, place, old, known } => {
            let old = old.map(|(stream, old)| json!([stream, old.epoch, old.drained_to, old.end]));
            json!({"t": "replay", "channel": channel.index(), "symbols": symbols, "stream": place.stream,
                   "epoch": place.epoch, "seq": place.seq, "old": old, "known": known})
        }
        Outgoing::ReplayGap { subject, stream, prev, first, last } => {
            json!({"t": "replay_gap", "topic": topic(subject), "stream": stream, "prev": prev, "first": first,
                   "last": last})
        }
        Outgoing::LaneGap { place, reason, first, last } => {
            json!({"t": "lane_gap", "stream": place.stream, "seq": place.seq, "reason": reason.name(),
                   "first": first, "last": last})
        }
        Outgoing::Restart { place, old_stream, old_epoch, reason, drained_to, old_end } => {
            json!({"t": "restart", "stream": place.stream, "seq": place.seq, "epoch": place.epoch,
                   "old_stream": old_stream, "old_epoch": old_epoch, "reason": reason, "drained_to": drained_to,
                   "old_end": old_end})
        }
        Outgoing::Lane(facts) => json!({"t": "lane", "lane": lane(facts)}),
    }
}

impl Dialect for Plain {
    /// `op channel cursor|- symbol...`, or `list`, or `ping`; the id is the number of the op's suffix after `#`.
    fn decode(&self, text: &str) -> Result<Request, Refusal> {
        let refusal = || Refusal {
            id: None,
            code: "unknown_op",
            field: "op".into(),
            value: text.into(),
            expected: "subscribe".into(),
        };
        let mut parts = text.split(' ');
        let (op, number) = parts.next().and_then(|op| op.split_once('#')).ok_or_else(refusal)?;
        let id = number.parse().ok().map(RequestId::Number);
        let mut of_topics = || {
            let channel = channel(parts.next()?.parse().ok()?);
            let cursor = parts.next().filter(|cursor| *cursor != "-").map(String::from);
            Some((channel, cursor, parts.by_ref().map(String::from).collect::<Vec<_>>()))
        };
        let command = match op {
            "subscribe" => {
                let (channel, cursor, symbols) = of_topics().ok_or_else(refusal)?;
                let from = cursor.as_deref().and_then(|text| text.strip_prefix('@')?.parse().ok());
                Command::Subscribe { channel, symbols, cursor: cursor.filter(|_| from.is_none()), from }
            }
            "unsubscribe" => {
                let (channel, _, symbols) = of_topics().ok_or_else(refusal)?;
                Command::Unsubscribe { channel, symbols }
            }
            "list" => Command::List,
            "ping" => Command::Ping,
            _ => return Err(refusal()),
        };
        Ok(Request { id, command })
    }

    fn encode(&self, outgoing: &Outgoing<'_>, out: &mut Vec<u8>) {
        serde_json::to_writer(out, &words(outgoing)).unwrap();
    }
}

/// Levels of a depth channel.
pub fn depth(levels: Levels) -> Channel {
    Channel::Depth(levels)
}
