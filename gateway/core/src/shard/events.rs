//! From records to events of topics.

use shm_abi::board::Level;
use shm_abi::record::{Body, Head, QUANTITY_NONE, Record, kind, restart_reason};
use shm_abi::ring::Lost;

use super::lanes::Reread;
use super::slab::NONE;
use super::types::Now;
use super::{LaneId, Shard};
use crate::dialect::{Delta, GapReason, Outgoing, Stamps, Trade};
use crate::state::{LastTrade, differences};
use crate::topic::{Channel, Levels};

/// Stamps of an event, by its head.
pub(super) fn stamps_of(head: &Head, now: Now) -> Stamps {
    let ts_publish = if head.ts_recv == 0 { 0 } else { head.ts_publish() };
    Stamps { ts_event: head.ts_event, ts_recv: head.ts_recv, ts_publish, ts_gateway: now.real_ns }
}

/// The trade of a record.
pub(super) fn trade_of(record: &Record<'_>, now: Now) -> Option<Trade> {
    let Body::Trade { code, match_id, price, quantity } = record.body() else { return None };
    let (seq, stamps, flags) = (record.n, stamps_of(&record.head, now), record.head.flags);
    Some(Trade { seq, stamps, price, quantity, code, match_id, flags })
}

impl Shard {
    pub(super) fn read_record(&mut self, lane: LaneId, record: &Record<'_>, now: Now) {
        self.out.stats.records += 1;
        let head = &record.head;
        let this = &mut self.world.lanes[usize::from(lane.0)];
        this.cursor_seq = record.n;
        let instrument = this.known(head.instrument_id).instrument;
        let about = (instrument != NONE).then_some(instrument);
        match (head.kind, about) {
            (kind::QUOTE | kind::LEVEL | kind::CLEAR | kind::OFFICIAL_PRICE | kind::INDEX_VALUE, Some(place)) => {
                self.change(lane, place, record)
            }
            (kind::TRADE | kind::TRADE_BREAK, _) => self.trade(lane, about, record, now),
            (kind::ANOMALY, Some(place)) => self.must_reread(lane, place, record.n, Reread::Row),
            (kind::STATUS, Some(place)) => self.must_reread(lane, place, record.n, Reread::Status),
            (kind::STATUS, None) => this.event.reread_all |= head.instrument_id == shm_abi::record::INSTRUMENT_NONE,
            (kind::INSTRUMENT, _) => self.announced(lane, head.instrument_id, record.n, now),
            (kind::GAP, _) => self.venue_gap(lane, record),
            (kind::RESTART, _) => self.session(lane, record),
            _ => {}
        }
        if head.is_last() {
            self.finish_event(lane, record.n, stamps_of(head, now), now);
        }
    }

    /// The event changes this instrument: keeps what it was, for the topics that tell differences.
    pub(super) fn open_event(&mut self, lane: LaneId, place: u32) {
        let event = &mut self.world.lanes[usize::from(lane.0)].event;
        if event.instrument == Some(place) {
            return;
        }
        let instrument = &self.world.instruments[place];
        let has = |channel: Channel| instrument.topics[channel.index()] != NONE;
        event.instrument = Some(place);
        event.quote = has(Channel::Quotes).then_some(instrument.quote);
        event.has_window = [Levels::Five, Levels::Ten, Levels::Twenty].into_iter().any(|l| has(Channel::Depth(l)));
        if event.has_window {
            event.window.load_best(&instrument.window, Levels::Twenty.count());
        }
    }

    /// Applies a record to an instrument's state, unless the row that it came from reflects it already.
    fn change(&mut self, lane: LaneId, place: u32, record: &Record<'_>) {
        let instrument = &self.world.instruments[place];
        if !instrument.ready || record.n <= instrument.as_of {
            return;
        }
        self.open_event(lane, place);
        let instrument = &mut self.world.instruments[place];
        let limit = usize::from(instrument.depth_class);
        match record.body() {
            Body::Quote { side: Some(side), price, quantity, orders } => {
                instrument.quote.set_best(side, price, quantity, orders);
            }
            Body::Level { side: Some(side), price, quantity, orders, .. } => {
                instrument.window.set(side, Level { price, quantity, orders }, limit);
            }
            Body::Trade { code, match_id, price, quantity } => {
                let ts_event = record.head.ts_event;
                instrument.quote.trade(code, record.head.flags, LastTrade { price, quantity, match_id, ts_event });
            }
            Body::OfficialPrice { code, price } => instrument.quote.official(code, price),
            Body::IndexValue { value } => instrument.quote.index(value, record.head.ts_event),
            Body::Clear { code } => {
                instrument.quote.clear(code);
                instrument.window.clear();
                self.must_reread(lane, place, record.n, Reread::Status);
            }
            _ => {}
        }
    }

    /// A trade, or one that is revoked: kept for snapshots, and an event of its own.
    fn trade(&mut self, lane: LaneId, about: Option<u32>, record: &Record<'_>, now: Now) {
        let id = record.head.instrument_id;
        let log = &mut self.world.lanes[usize::from(lane.0)].trades;
        let trade = trade_of(record, now);
        let delta = match (&trade, record.body()) {
            (Some(trade), _) => {
                log.push(id, *trade);
                self.out.stats.ignored += u64::from(id as usize >= super::lanes::INSTRUMENTS_MAX);
                Delta::Trade(trade)
            }
            (None, Body::TradeBreak { match_id, .. }) => {
                log.revoke(id, match_id);
                Delta::TradeBreak(match_id)
            }
            _ => return,
        };
        let Some(place) = about else { return };
        self.change(lane, place, record);
        if matches!(record.body(), Body::TradeBreak { quantity, .. } if quantity != QUANTITY_NONE) {
            // A known print was taken out of the day's statistics.
            self.must_reread(lane, place, record.n, Reread::Row);
        }
        let topic = self.world.instruments[place].topics[Channel::Trades.index()];
        if topic != NONE {
            self.out.publish(&mut self.world, topic, record.n, stamps_of(&record.head, now), delta, now);
        }
    }

    /// The row of an instrument will tell what the records of this event do not.
    fn must_reread(&mut self, lane: LaneId, place: u32, n: u64, what: Reread) {
        let instrument = &self.world.instruments[place];
        let known = if what == Reread::Row { instrument.as_of } else { instrument.status_seq };
        if !instrument.ready || n <= known {
            return;
        }
        if what == Reread::Row {
            self.open_event(lane, place);
        }
        let event = &mut self.world.lanes[usize::from(lane.0)].event;
        let before = event.reread.filter(|(other, _)| *other == place).map(|(_, what)| what);
        event.reread = Some((place, before.map_or(what, |before| before.max(what))));
    }

    /// The directory has a new or changed entry.
    fn announced(&mut self, lane: LaneId, instrument_id: u32, n: u64, now: Now) {
        self.look_at_directory(lane, now);
        self.out.stats.ignored += u64::from(instrument_id as usize >= super::lanes::INSTRUMENTS_MAX);
        let place = self.world.lanes[usize::from(lane.0)].known(instrument_id).instrument;
        if place != NONE {
            self.must_reread(lane, place, n, Reread::Status);
        }
    }

    fn venue_gap(&mut self, lane: LaneId, record: &Record<'_>) {
        let Body::Gap { first, last, .. } = record.body() else { return };
        self.world.lanes[usize::from(lane.0)].event.reread_all = true;
        let place = self.world.place(lane.0, record.n);
        let gap = Outgoing::LaneGap { place, reason: GapReason::Venue, first, last };
        self.round = self.round.wrapping_add(1);
        self.out.announce(&self.world, lane.0, &gap, false, self.round);
    }

    /// The venue began a new session. That a writer is new is known from its segment: its first record adds nothing.
    fn session(&mut self, lane: LaneId, record: &Record<'_>) {
        let Body::Restart(restart) = record.body() else { return };
        let this = &mut self.world.lanes[usize::from(lane.0)];
        this.event.reread_all = true;
        if record.n == 0 || restart.reason != restart_reason::SESSION {
            return;
        }
        let this = &self.world.lanes[usize::from(lane.0)];
        let outgoing = Outgoing::Restart {
            place: self.world.place(lane.0, record.n),
            old_stream: this.stream,
            old_epoch: this.epoch,
            reason: "session",
            drained_to: record.n,
            old_end: Some(restart.old_end),
        };
        self.round = self.round.wrapping_add(1);
        self.out.announce(&self.world, lane.0, &outgoing, false, self.round);
    }

    /// All records of an event are read: what it changed is told.
    fn finish_event(&mut self, lane: LaneId, n: u64, stamps: Stamps, now: Now) {
        let event = &mut self.world.lanes[usize::from(lane.0)].event;
        let (reread, all) = (event.reread.take(), std::mem::take(&mut event.reread_all));
        if let Some((place, what)) = reread {
            self.reread(lane, place, what, n, stamps, now);
        }
        let event = &mut self.world.lanes[usize::from(lane.0)].event;
        if let Some(place) = event.instrument.take() {
            self.finish_changes(lane, place, n, stamps, now);
        }
        if all {
            self.reread_all(lane, n, stamps, now);
        }
        self.unpark(lane);
    }

    /// Those who waited for the end of an event take their turn.
    pub(super) fn unpark(&mut self, lane: LaneId) {
        let parked = &mut self.world.lanes[usize::from(lane.0)].parked;
        for index in parked.drain(..) {
            self.out.connections.enqueue(index);
        }
    }

    /// Tells what changed of an instrument's quote and window since the event was opened.
    pub(super) fn finish_changes(&mut self, lane: LaneId, place: u32, n: u64, stamps: Stamps, now: Now) {
        let instrument = &mut self.world.instruments[place];
        instrument.seq = instrument.seq.max(n);
        instrument.stamps = stamps;
        let (seq, quote) = (instrument.seq, instrument.quote);
        for (channel, topic) in instrument.topics() {
            let event = &self.world.lanes[usize::from(lane.0)].event;
            let delta = match channel {
                Channel::Quotes if event.quote.is_none() => None,
                Channel::Quotes => (event.quote != Some(quote)).then_some(Delta::Quote(&quote)),
                Channel::Depth(_) if !event.has_window => None,
                Channel::Depth(levels) => {
                    self.changes.clear();
                    let window = &self.world.instruments[place].window;
                    differences(&event.window, window, levels.count(), &mut self.changes);
                    (!self.changes.is_empty()).then_some(Delta::Depth(&self.changes))
                }
                Channel::Trades | Channel::Status => continue,
            };
            let before = if channel == Channel::Quotes { event.quote.is_some() } else { event.has_window };
            match delta {
                Some(delta) if seq > self.world.topics[topic].seq => {
                    self.out.publish(&mut self.world, topic, seq, stamps, delta, now);
                }
                // The number says nothing new: the state does.
                Some(_) => self.out.refresh(&self.world, topic),
                None if before => {}
                // Somebody joined within the event, and nobody else is here: he gets what is after it.
                None => self.world.topics[topic].seq = seq,
            }
        }
    }

    pub(super) fn read_lost(&mut self, lane: LaneId, lost: Lost, now: Now) {
        self.out.stats.laps += 1;
        let this = &mut self.world.lanes[usize::from(lane.0)];
        this.discard_event();
        this.cursor_seq = lost.last;
        let place = self.world.place(lane.0, lost.last);
        let gap = Outgoing::LaneGap { place, reason: GapReason::Lapped, first: lost.first, last: lost.last };
        self.round = self.round.wrapping_add(1);
        self.out.announce(&self.world, lane.0, &gap, true, self.round);
        self.look_at_directory(lane, now);
        self.rejoin(lane, false, now);
        self.unpark(lane);
    }
}
