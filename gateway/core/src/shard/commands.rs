//! What clients ask for, and what they are answered.

use super::connections::{CLOSE_FLOOD, Mode, Phase, Subscription};
use super::subscribe::Begin;
use super::types::{ConnectionId, Now};
use super::{LaneId, Shard};
use crate::dialect::{Command, LaneFacts, Outgoing, RefusedSymbol, Request, RequestId};
use crate::topic::Channel;

/// A command that was carried out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Done<'a> {
    pub(super) id: Option<&'a RequestId>,
    pub(super) op: &'static str,
    pub(super) channel: Channel,
    pub(super) symbols: &'a [String],
    pub(super) refused: &'a [RefusedSymbol],
}

impl Shard {
    /// `count` bytes came; `false`: the connection is closed, or has been.
    pub(super) fn take_bytes(&mut self, id: ConnectionId, count: usize, now: Now) -> bool {
        let limits = &self.world.limits;
        let Some(connection) = self.out.connections.get_mut(id).filter(|c| c.phase == Phase::Open) else {
            return false;
        };
        let (per_second, burst) = (limits.bytes_per_second, limits.bytes_burst);
        let allowed = connection.bytes.take(count as u64, per_second, burst, now.mono_ns);
        if !allowed {
            self.close_flood(id, "too many bytes");
        }
        allowed
    }

    fn close_flood(&mut self, id: ConnectionId, reason: &str) {
        self.out.stats.flood_closes += 1;
        self.out.connections.close(id.index, CLOSE_FLOOD, reason);
    }

    pub(super) fn take_message(&mut self, id: ConnectionId, text: &str, now: Now) {
        let limits = &self.world.limits;
        let Some(connection) = self.out.connections.get_mut(id).filter(|c| c.phase == Phase::Open) else { return };
        let dialect = connection.dialect;
        if !connection.commands.take(1, limits.commands_per_second, limits.commands_burst, now.mono_ns) {
            return self.close_flood(id, "too many commands");
        }
        match self.world.dialects[usize::from(dialect)].decode(text) {
            Ok(request) => {
                self.out.stats.commands += 1;
                self.carry_out(id, &request, now);
            }
            Err(refusal) => {
                self.out.stats.refusals += 1;
                self.out.tell(&self.world, id.index, &Outgoing::Error(&refusal));
            }
        }
    }

    fn carry_out(&mut self, id: ConnectionId, request: &Request, now: Now) {
        let request_id = request.id.as_ref();
        match &request.command {
            Command::Subscribe { channel, symbols, cursor, from } => {
                let begin = match (from, cursor) {
                    (Some(ns), _) => Begin::From(*ns),
                    (None, Some(cursor)) => Begin::Cursor(cursor),
                    (None, None) => Begin::Now,
                };
                self.subscribe(id, request_id, *channel, symbols, begin, now);
            }
            Command::Unsubscribe { channel, symbols } => self.unsubscribe(id, request_id, *channel, symbols),
            Command::List => self.list(id, request_id),
            Command::Ping => {
                let pong = Outgoing::Pong { id: request_id, ts_gateway: now.real_ns };
                self.out.tell(&self.world, id.index, &pong);
            }
        }
    }

    /// Acknowledges a command, naming the lanes of the symbols for which it was.
    pub(super) fn acknowledge(&mut self, id: ConnectionId, done: &Done<'_>, lanes: &[LaneId]) {
        let lanes: Vec<LaneFacts<'_>> =
            lanes.iter().map(|lane| self.world.lanes[usize::from(lane.0)].facts()).collect();
        let Done { id: request_id, op, channel, symbols, refused } = *done;
        let ack = Outgoing::Ack { id: request_id, op, channel, symbols, refused, lanes: &lanes };
        self.out.tell(&self.world, id.index, &ack);
    }

    fn unsubscribe(&mut self, id: ConnectionId, request_id: Option<&RequestId>, channel: Channel, symbols: &[String]) {
        let (mut left, mut refused, mut lanes) = (Vec::new(), Vec::new(), Vec::new());
        for symbol in symbols {
            match self.subscribed(id, channel, symbol) {
                Ok((place, lane)) => {
                    self.leave(id.index, place);
                    left.push(symbol.clone());
                    if !lanes.contains(&lane) {
                        lanes.push(lane);
                    }
                }
                Err((code, expected)) => {
                    refused.push(RefusedSymbol { symbol: symbol.clone(), code, expected: expected.into() });
                }
            }
        }
        let done = Done { id: request_id, op: "unsubscribe", channel, symbols: &left, refused: &refused };
        self.acknowledge(id, &done, &lanes);
    }

    /// The subscription of a connection that a symbol means. Looked for among what it has, not in the directory: that
    /// may not have the instrument again yet.
    fn subscribed(
        &mut self,
        id: ConnectionId,
        channel: Channel,
        symbol: &str,
    ) -> Result<(u16, LaneId), (&'static str, &'static str)> {
        let (mut found, mut count) = (None, 0);
        let subscriptions = self.out.connections.get_mut(id).map(|connection| &connection.subscriptions[..]);
        for (place, subscription) in subscriptions.unwrap_or_default().iter().enumerate() {
            if subscription.mode == Mode::Vacant {
                continue;
            }
            let topic = &self.world.topics[subscription.topic];
            let instrument = &self.world.instruments[topic.instrument];
            if topic.channel == channel && instrument.is_called(symbol) {
                found = Some((place as u16, LaneId(topic.lane)));
                count += 1;
            }
        }
        match (found, count) {
            (Some(found), 1) => Ok(found),
            (None, _) => Err(("not_subscribed", "a symbol that is subscribed on this channel")),
            _ => Err(("ambiguous_symbol", "VENUE:SYMBOL")),
        }
    }

    /// Ends a subscription; a topic and an instrument that nobody has any more go with it.
    pub(super) fn leave(&mut self, index: u32, place: u16) {
        let Some(connection) = self.out.connections.at(index) else { return };
        let left = connection.subscriptions[usize::from(place)];
        connection.unsubscribe(place);
        self.drop_subscriber(&left);
    }

    /// Takes the subscriber of a subscription that is over out of its topic.
    pub(super) fn drop_subscriber(&mut self, left: &Subscription) {
        let (topic_place, back) = (left.topic, left.back);
        self.subscriptions -= 1;
        let topic = &mut self.world.topics[topic_place];
        topic.subscribers.swap_remove(back as usize);
        if let Some(moved) = topic.subscribers.get(back as usize) {
            let connection = self.out.connections.at(moved.connection).expect("subscribers are connected");
            connection.subscriptions[usize::from(moved.subscription)].back = back;
        }
        if topic.subscribers.is_empty() {
            self.drop_topic(topic_place);
        }
    }

    fn drop_topic(&mut self, place: u32) {
        let topic = self.world.topics.remove(place).expect("a topic with a subscriber");
        let instrument = &mut self.world.instruments[topic.instrument];
        instrument.topics[topic.channel.index()] = super::slab::NONE;
        if instrument.topics().next().is_none() {
            let (member, id) = (instrument.member, instrument.id);
            let lane = &mut self.world.lanes[usize::from(topic.lane)];
            lane.forget_instrument(topic.instrument, id);
            lane.members.swap_remove(member as usize);
            if let Some(moved) = lane.members.get(member as usize) {
                self.world.instruments[*moved].member = member;
            }
            self.world.instruments.remove(topic.instrument);
        }
    }

    fn list(&mut self, id: ConnectionId, request_id: Option<&RequestId>) {
        let Some(connection) = self.out.connections.get_mut(id) else { return };
        let mut lists: [Vec<String>; Channel::ALL.len()] = Default::default();
        for subscription in connection.subscriptions.iter().filter(|s| s.mode != Mode::Vacant) {
            let topic = &self.world.topics[subscription.topic];
            let instrument = &self.world.instruments[topic.instrument];
            let symbol = instrument.symbol_str();
            let alone = self.world.lanes.iter().flat_map(|lane| lane.rows(symbol, None)).nth(1).is_none();
            let venue = if alone { "" } else { instrument.venue_str() };
            let colon = if alone { "" } else { ":" };
            lists[topic.channel.index()].push(format!("{venue}{colon}{symbol}"));
        }
        let list: Vec<_> = Channel::ALL.into_iter().zip(lists).filter(|(_, symbols)| !symbols.is_empty()).collect();
        self.out.tell(&self.world, id.index, &Outgoing::Subscriptions { id: request_id, list: &list });
    }
}
