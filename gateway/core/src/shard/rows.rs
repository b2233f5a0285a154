//! When the board is read: at the first join, when records do not say everything, and after whatever broke the chain.

use shm_abi::layout::row;

use super::lanes::Reread;
use super::slab::NONE;
use super::types::Now;
use super::{LaneId, Shard};
use crate::dialect::{Delta, Stamps};
use crate::state::{Quote, StatusState};
use crate::topic::Channel;

impl Shard {
    /// Takes in what the directory of a lane has by now; instruments that were missing may be there.
    pub(super) fn look_at_directory(&mut self, lane: LaneId, now: Now) {
        let this = &mut self.world.lanes[usize::from(lane.0)];
        if !this.has_news() || !this.look_at_directory() {
            return;
        }
        for member in 0..self.world.lanes[usize::from(lane.0)].members.len() {
            let place = self.world.lanes[usize::from(lane.0)].members[member];
            if !self.world.instruments[place].ready {
                self.load(lane, place, now);
            }
        }
    }

    /// Reads an instrument's row for the first time, or again after the chain of records broke, and lets those in who
    /// wait for it. When the row cannot be read now, that is tried again.
    pub(super) fn load(&mut self, lane: LaneId, place: u32, now: Now) {
        let this = &mut self.world.lanes[usize::from(lane.0)];
        let instrument = &mut self.world.instruments[place];
        let row = this.known(instrument.id).row;
        if row == NONE {
            return;
        }
        if let Some(entry) = this.entry(row) {
            (instrument.depth_class, instrument.quantity_decimals) = (entry.depth_class, entry.quantity_decimals);
        }
        let loaded = this.read_row(row);
        if loaded {
            instrument.load(&this.image, now.real_ns);
        }
        let (stamps, topics) = (instrument.stamps, instrument.topics());
        for (channel, topic) in topics {
            if channel.is_state() && !loaded {
                continue;
            }
            if channel.is_state() {
                let seq = self.world.instruments[place].state_seq(channel);
                let topic = &mut self.world.topics[topic];
                (topic.seq, topic.stamps) = (seq, stamps);
            }
            self.out.admit(&self.world.topics, topic);
        }
        if !loaded {
            self.wait(lane, place);
        }
    }

    fn wait(&mut self, lane: LaneId, place: u32) {
        let instrument = &mut self.world.instruments[place];
        if !std::mem::replace(&mut instrument.waits, true) {
            self.world.lanes[usize::from(lane.0)].waiting.push(place);
        }
    }

    /// Reads again what records did not tell, at the end of event `n` or later. A row may be ahead of it: the numbers
    /// told are then those of the row, and the records up to there are passed over.
    pub(super) fn reread(&mut self, lane: LaneId, place: u32, what: Reread, n: u64, stamps: Stamps, now: Now) {
        let this = &mut self.world.lanes[usize::from(lane.0)];
        let instrument = &mut self.world.instruments[place];
        let row = this.known(instrument.id).row;
        if !instrument.ready || row == NONE {
            return;
        }
        if !this.read_row(row) {
            instrument.stale = instrument.stale.max(Some(what));
            return self.wait(lane, place);
        }
        let image = &this.image;
        let seq = n.max(image.market_n());
        if what == Reread::Row {
            instrument.quote = Quote::of_row(image);
            instrument.window.load(image);
            (instrument.as_of, instrument.seq) = (image.market_n(), instrument.seq.max(seq));
        }
        let status = StatusState::of_row(image);
        let changed = std::mem::replace(&mut instrument.status, status) != status;
        instrument.status_seq = instrument.status_seq.max(seq);
        let topic = instrument.topics[Channel::Status.index()];
        if !changed || topic == NONE {
            return;
        }
        if seq > self.world.topics[topic].seq {
            self.out.publish(&mut self.world, topic, seq, stamps, Delta::Status(status), now);
        } else {
            // The number says nothing new: the state does.
            self.out.refresh(&self.world, topic);
        }
    }

    /// Reads the status of every instrument of a lane again.
    pub(super) fn reread_all(&mut self, lane: LaneId, n: u64, stamps: Stamps, now: Now) {
        for member in 0..self.world.lanes[usize::from(lane.0)].members.len() {
            let place = self.world.lanes[usize::from(lane.0)].members[member];
            self.reread(lane, place, Reread::Status, n, stamps, now);
        }
    }

    /// Reads what could not be read before.
    pub(super) fn retry(&mut self, lane: LaneId, now: Now) {
        self.look_at_directory(lane, now);
        let waiting = std::mem::take(&mut self.world.lanes[usize::from(lane.0)].waiting);
        for &place in &waiting {
            let open = self.world.lanes[usize::from(lane.0)].event.instrument;
            // Its place may belong to another by now, whom nothing of this concerns.
            let Some(instrument) = self.world.instruments.get_mut(place).filter(|i| i.lane == lane.0) else { continue };
            instrument.waits = false;
            match (instrument.ready, instrument.stale) {
                (false, _) => self.load(lane, place, now),
                (true, None) => {}
                (true, Some(_)) if open.is_some() => self.wait(lane, place),
                (true, Some(what)) => {
                    instrument.stale = None;
                    let n = instrument.seq;
                    self.open_event(lane, place);
                    let ts_event = self.world.lanes[usize::from(lane.0)].image.word(row::TS_EVENT);
                    let stamps = Stamps { ts_event, ts_gateway: now.real_ns, ..Stamps::default() };
                    self.reread(lane, place, what, n, stamps, now);
                    self.world.lanes[usize::from(lane.0)].event.instrument = None;
                    if what == Reread::Row {
                        self.finish_changes(lane, place, n, stamps, now);
                    }
                }
            }
        }
    }

    /// The chain of a lane's records is broken: every state is read anew and everybody joins again. With `restarted`,
    /// the numbers begin anew too; otherwise trades go on behind what was lost.
    pub(super) fn rejoin(&mut self, lane: LaneId, restarted: bool, now: Now) {
        let cursor_seq = self.world.lanes[usize::from(lane.0)].cursor_seq;
        for member in 0..self.world.lanes[usize::from(lane.0)].members.len() {
            let place = self.world.lanes[usize::from(lane.0)].members[member];
            let instrument = &mut self.world.instruments[place];
            (instrument.ready, instrument.stale) = (false, None);
            for (channel, topic) in instrument.topics() {
                if channel == Channel::Trades {
                    self.world.topics[topic].seq = cursor_seq;
                }
                if channel.is_state() || restarted {
                    self.out.refresh(&self.world, topic);
                } else {
                    self.skip_to(topic, cursor_seq);
                }
            }
            self.load(lane, place, now);
        }
    }

    /// Subscriptions to a topic go on behind this number: what lies before it is declared.
    fn skip_to(&mut self, topic: u32, seq: u64) {
        for subscriber in &self.world.topics[topic].subscribers {
            if let Some(connection) = self.out.connections.at(subscriber.connection) {
                connection.subscriptions[usize::from(subscriber.subscription)].sent = seq;
            }
        }
    }
}
