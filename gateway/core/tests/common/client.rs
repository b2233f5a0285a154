//! A client that believes nothing: it holds what it was told against the market's own history, frame by frame.

use std::collections::{BTreeMap, HashMap};

use gateway_core::topic::Channel;
use serde_json::{Value, json};

use super::dialect;
use super::market::{Market, Model};

/// What a client holds of a topic.
#[derive(Debug, Default, Clone)]
pub struct Held {
    /// Waits for a snapshot.
    pub waiting: bool,
    /// Number of the last event it was told of.
    pub seq: u64,
    pub stream: u64,
    pub state: Value,
    pub delivered: u64,
    pub merged: u64,
    /// Trades told since the last snapshot.
    pub trades: Vec<u64>,
    /// Trades told since the subscription, in whatever form of update.
    pub history: Vec<u64>,
    /// What was missed comes from the journal: what is said of the lane does not concern it.
    pub replaying: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Client {
    pub bytes: Vec<u8>,
    parsed: usize,
    pub topics: HashMap<(String, u64), Held>,
    /// Cursors given with a command, by its id.
    pub resumes: HashMap<u64, u64>,
    pub pings: Vec<Vec<u8>>,
    pub closed: Option<u16>,
    /// Other frames, newest last.
    pub others: Vec<Value>,
    pub counts: BTreeMap<String, u64>,
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("no number: {value}"))
}

fn key(frame: &Value) -> (String, u64) {
    (frame["topic"][0].as_str().unwrap().into(), number(&frame["topic"][1]))
}

/// Numbers of a topic's events in an epoch: of everything that changed it.
pub fn events(model: &Model, index: u64) -> &[u64] {
    match dialect::channel(index) {
        Channel::Trades => &model.trades,
        _ => &model.changed[index as usize],
    }
}

pub fn state(moment: &super::market::Moment, channel: Channel) -> Value {
    match channel {
        Channel::Quotes => dialect::quote(&moment.quote),
        Channel::Depth(levels) => dialect::window(&moment.window, levels.count()),
        Channel::Status => json!(format!("{:?}", moment.status)),
        Channel::Trades => Value::Null,
    }
}

/// A topic's state as of a number.
fn state_at(model: &Model, channel: Channel, seq: u64) -> Value {
    let after = model.history.partition_point(|moment| moment.n <= seq);
    let at = after.checked_sub(1).map(|at| &model.history[at]);
    at.map_or(Value::Null, |moment| state(moment, channel))
}

/// Events of a topic after `from`, up to and with `to`.
fn between(model: &Model, index: u64, from: u64, to: u64) -> Vec<u64> {
    let events = events(model, index);
    let start = events.partition_point(|n| *n <= from);
    events[start..].iter().copied().take_while(|n| *n <= to).collect()
}

impl Client {
    /// Takes in every whole frame that has come.
    pub fn parse(&mut self, markets: &[Market], exact: bool) {
        while let Some((opcode, payload, end)) = frame(&self.bytes[self.parsed..]) {
            assert!(self.closed.is_none(), "something after the close frame");
            let payload = payload.to_vec();
            self.parsed += end;
            match opcode {
                0x81 => self.take(&serde_json::from_slice(&payload).expect("JSON"), markets, exact),
                0x89 => self.pings.push(payload),
                0x88 => self.closed = Some(u16::from_be_bytes([payload[0], payload[1]])),
                other => panic!("a frame that begins with {other:#x}"),
            }
        }
    }

    pub fn is_whole(&self) -> bool {
        self.parsed == self.bytes.len()
    }

    fn take(&mut self, frame: &Value, markets: &[Market], exact: bool) {
        let kind = frame["t"].as_str().unwrap();
        let merged = if frame["merged"].is_array() { "+merged" } else { "" };
        *self.counts.entry(format!("{kind}{merged}")).or_default() += 1;
        match kind {
            "ack" => self.acknowledged(frame),
            "snapshot" => self.snapshot(frame, markets, exact),
            "update" => self.update(frame, markets, exact),
            "topic_gap" => self.topic_gap(frame, markets, exact),
            "resume_gap" => {
                let held = self.topics.get_mut(&key(frame)).expect("a gap of a topic that is not subscribed");
                held.waiting = true;
            }
            "replay" => self.replay(frame),
            "replay_gap" => {
                let held = self.topics.get_mut(&key(frame)).expect("a gap of a topic that is not subscribed");
                assert!(held.replaying);
                assert_eq!(number(&frame["prev"]), held.seq, "the chain");
                held.seq = number(&frame["last"]);
            }
            "lane_gap" if frame["reason"] == "lapped" => self.lapped(frame, markets),
            "restart" if frame["reason"] != "session" => self.restarted(frame, markets),
            _ => {}
        }
        if !matches!(kind, "snapshot" | "update") {
            self.others.push(frame.clone());
        }
    }

    fn acknowledged(&mut self, frame: &Value) {
        let channel = number(&frame["channel"]);
        let resumed = frame["id"].as_u64().and_then(|id| self.resumes.get(&id));
        for symbol in frame["symbols"].as_array().unwrap() {
            let key = (symbol.as_str().unwrap().to_string(), channel);
            if frame["op"] == "unsubscribe" {
                assert!(self.topics.remove(&key).is_some());
                continue;
            }
            let known = self.topics.contains_key(&key);
            let held = self.topics.entry(key).or_default();
            match resumed {
                Some(seq) => {
                    held.waiting = false;
                    held.seq = *seq;
                    held.stream = frame["lanes"][0][1].as_u64().unwrap();
                }
                None if known && dialect::channel(channel) == Channel::Trades => {}
                None => held.waiting = true,
            }
        }
    }

    /// The topics go on in another stream, behind a number.
    fn replay(&mut self, frame: &Value) {
        let channel = number(&frame["channel"]);
        for symbol in frame["symbols"].as_array().unwrap() {
            let held = self.topics.get_mut(&(symbol.as_str().unwrap().to_string(), channel)).expect("subscribed");
            if !frame["old"].is_null() {
                assert_eq!(held.stream, number(&frame["old"][0]), "the stream that is over");
            }
            (held.waiting, held.replaying) = (false, true);
            (held.stream, held.seq) = (number(&frame["stream"]), number(&frame["seq"]));
        }
    }

    fn model<'m>(markets: &'m [Market], frame: &Value) -> &'m Model {
        markets[number(&frame["stream"]) as usize - 1].model(frame["topic"][0].as_str().unwrap())
    }

    /// Everything between what is held and the frame must be told by it: `count` events, the first and last of which
    /// are these, or nothing at all.
    fn ledger(held: &Held, model: &Model, index: u64, seq: u64, merged: &Value, exact: bool) {
        if !exact && index != Channel::Trades.index() as u64 || index == Channel::Status.index() as u64 {
            return;
        }
        let missing = between(model, index, held.seq, seq);
        let want = match merged {
            Value::Null => vec![seq],
            merged => {
                assert_eq!(number(&merged[0]), missing.len() as u64, "merged as many as were published");
                assert_eq!(Some(&number(&merged[1])), missing.first(), "first");
                assert_eq!(Some(&number(&merged[2])), missing.last(), "last");
                return;
            }
        };
        assert_eq!(missing, want, "{} {index}: nothing lies between", model.symbol);
    }

    fn snapshot(&mut self, frame: &Value, markets: &[Market], exact: bool) {
        let (key, seq) = (key(frame), number(&frame["seq"]));
        let model = Self::model(markets, frame);
        let channel = dialect::channel(key.1);
        let held = self.topics.get_mut(&key).expect("a snapshot of a topic that is not subscribed");
        if frame["merged"].is_array() {
            assert!(!held.waiting, "merged before there is anything");
            assert_eq!(number(&frame["prev"]), held.seq);
            Self::ledger(held, model, key.1, seq, &frame["merged"], exact);
            held.merged += number(&frame["merged"][0]);
        } else if !held.waiting && channel != Channel::Status && exact {
            assert_eq!(
                between(model, key.1, held.seq, seq),
                [0u64; 0],
                "{key:?}: what lies before it was told or declared"
            );
        }
        if channel == Channel::Trades {
            let told: Vec<u64> = frame["state"].as_array().unwrap().iter().map(number).collect();
            assert!(told.iter().all(|n| *n <= seq && model.trades.contains(n)) && told.is_sorted(), "{told:?}");
        } else {
            assert_eq!(frame["state"], state_at(model, channel, seq), "{key:?}: snapshot at {seq}");
            held.state = frame["state"].clone();
        }
        assert!(held.waiting || held.stream != number(&frame["stream"]) || seq >= held.seq, "backwards");
        (held.waiting, held.seq, held.stream) = (false, seq, number(&frame["stream"]));
        held.replaying = false;
        held.trades.clear();
    }

    fn update(&mut self, frame: &Value, markets: &[Market], exact: bool) {
        let (key, seq) = (key(frame), number(&frame["seq"]));
        let model = Self::model(markets, frame);
        let channel = dialect::channel(key.1);
        let held = self.topics.get_mut(&key).expect("an update of a topic that is not subscribed");
        assert!(!held.waiting, "{key:?}: an update before the snapshot");
        assert_eq!(held.stream, number(&frame["stream"]), "the stream has ended");
        assert_eq!(number(&frame["prev"]), held.seq, "{key:?}: the chain");
        assert!(seq > held.seq, "{key:?}: {seq} after {}", held.seq);
        Self::ledger(held, model, key.1, seq, &frame["merged"], exact);
        match &frame["merged"] {
            Value::Null => held.delivered += 1,
            merged => held.merged += number(&merged[0]),
        }
        held.seq = seq;
        match channel {
            Channel::Trades => {
                held.trades.push(seq);
                held.history.push(seq);
            }
            Channel::Depth(levels) => apply(&mut held.state, &frame["delta"], levels.count()),
            _ => held.state = frame["delta"].clone(),
        }
        if channel.is_state() {
            assert_eq!(held.state, state_at(model, channel, seq), "{key:?}: state at {seq}");
        }
    }

    fn topic_gap(&mut self, frame: &Value, markets: &[Market], exact: bool) {
        let key = key(frame);
        let held = self.topics.get_mut(&key).expect("a gap of a topic that is not subscribed");
        assert!(!held.waiting);
        assert_eq!(number(&frame["prev"]), held.seq, "{key:?}: the chain");
        let last = number(&frame["merged"][2]);
        Self::ledger(held, Self::model(markets, frame), key.1, last, &frame["merged"], exact);
        held.merged += number(&frame["merged"][0]);
        held.seq = last;
    }

    fn lapped(&mut self, frame: &Value, markets: &[Market]) {
        let (stream, first) = (number(&frame["stream"]), number(&frame["first"]));
        for (key, held) in self.topics.iter_mut().filter(|(_, held)| !held.replaying) {
            if dialect::channel(key.1) != Channel::Trades {
                held.waiting = true;
            } else if !held.waiting && held.stream == stream {
                let model = markets[stream as usize - 1].model(&key.0);
                let told = between(model, key.1, held.seq, first.saturating_sub(1));
                assert_eq!(told, [0u64; 0], "{key:?}: trades before the lap");
                held.seq = number(&frame["last"]);
            }
        }
    }

    fn restarted(&mut self, frame: &Value, markets: &[Market]) {
        let (stream, end) = (number(&frame["old_stream"]), number(&frame["drained_to"]));
        for (key, held) in self.topics.iter_mut().filter(|(_, held)| !held.replaying) {
            if dialect::channel(key.1) == Channel::Trades && !held.waiting && held.stream == stream {
                let model = markets[stream as usize - 1].model(&key.0);
                let told = between(model, key.1, held.seq, end.saturating_sub(1));
                assert_eq!(told, [0u64; 0], "{key:?}: trades before the restart");
            }
            held.waiting = true;
        }
    }

    /// At a quiet moment: nothing is waited for, nothing is missing, and what is held is what the market has.
    pub fn assert_current(&self, market: &Market, stream: u64) {
        assert!(self.is_whole(), "half a frame");
        for (key, held) in &self.topics {
            assert!(!held.waiting, "{key:?} waits");
            assert_eq!(held.stream, stream, "{key:?}");
            let (model, channel) = (market.model(&key.0), dialect::channel(key.1));
            if channel.is_state() {
                assert_eq!(held.state, state(&model.now, channel), "{key:?}: what is held");
            } else {
                assert_eq!(between(model, key.1, held.seq, u64::MAX - 1), [0u64; 0], "{key:?}: trades to the end");
            }
        }
    }
}

/// Applies the changes of a depth update as PROTOCOL.md says: by price, quantity 0 takes out.
fn apply(state: &mut Value, changes: &Value, levels: usize) {
    for change in changes.as_array().unwrap() {
        let side = number(&change[0]) as usize;
        let level = json!([change[1], change[2], change[3]]);
        let book = state[side].as_array_mut().unwrap();
        book.retain(|other| other[0] != level[0]);
        if number(&level[1]) > 0 {
            book.push(level);
        }
        book.sort_by_key(|level| if side == 0 { -level[0].as_i64().unwrap() } else { level[0].as_i64().unwrap() });
    }
    for side in 0..2 {
        assert!(state[side].as_array().unwrap().len() <= levels, "more levels than were asked for");
    }
}

/// First byte, payload and length of a whole server frame.
fn frame(bytes: &[u8]) -> Option<(u8, &[u8], usize)> {
    let (first, second) = (*bytes.first()?, *bytes.get(1)?);
    let (head, len) = match second {
        126 => (4, u16::from_be_bytes(bytes.get(2..4)?.try_into().unwrap()).into()),
        127 => (10, u64::from_be_bytes(bytes.get(2..10)?.try_into().unwrap()) as usize),
        len => (2, len.into()),
    };
    Some((first, bytes.get(head..head + len)?, head + len))
}
