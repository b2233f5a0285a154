//! Topics and instruments, and how they are told: everything that a frame is made from.

use shm_abi::board::RowImage;
use shm_abi::directory::{Instrument as Entry, Text};
use shm_abi::layout::row;

use super::lanes::{Lane, Reread};
use super::slab::{NONE, Slab};
use crate::dialect::{Dialect, Merged, Outgoing, Place, Snapshot, Stamps, Subject, Trade};
use crate::frames::{TEXT, push_server_frame};
use crate::limits::Limits;
use crate::state::{Quote, StatusState, Window};
use crate::topic::Channel;

/// Who gets a topic.
#[derive(Debug, Clone, Copy)]
pub(super) struct Subscriber {
    /// Place of the connection.
    pub(super) connection: u32,
    /// Place of the subscription in it.
    pub(super) subscription: u16,
    pub(super) dialect: u8,
}

/// A topic's last event in one dialect: the number of its frame, and of the event.
#[derive(Debug, Clone, Copy)]
pub(super) struct Latest {
    pub(super) frame: u64,
    pub(super) seq: u64,
}

/// A channel of an instrument, with subscribers.
#[derive(Debug)]
pub(super) struct Topic {
    pub(super) lane: u16,
    pub(super) instrument: u32,
    pub(super) channel: Channel,
    /// Number of its last event, or of the state that it began with.
    pub(super) seq: u64,
    /// Of that event.
    pub(super) stamps: Stamps,
    pub(super) subscribers: Vec<Subscriber>,
    /// By dialect.
    pub(super) latest: Box<[Latest]>,
}

/// An instrument with subscribers, as of the lane's cursor.
#[derive(Debug)]
pub(super) struct Instrument {
    pub(super) lane: u16,
    pub(super) id: u32,
    pub(super) symbol: Text<32>,
    pub(super) venue: Text<8>,
    pub(super) quantity_decimals: u8,
    pub(super) depth_class: u16,
    /// Place among the lane's members.
    pub(super) member: u32,
    /// Topics by [`Channel::index`]; [`NONE`]: nobody subscribes.
    pub(super) topics: [u32; Channel::ALL.len()],
    /// Whether what follows was read from the board.
    pub(super) ready: bool,
    /// What must be read again, because it could not be when it was to be.
    pub(super) stale: Option<Reread>,
    /// Stands among those of its lane that wait for their row.
    pub(super) waits: bool,
    /// Number that the row named when it was read: records up to it are in it.
    pub(super) as_of: u64,
    /// Number of the last event that is in quote and window.
    pub(super) seq: u64,
    /// Number of the last event that is in the status; may be ahead of `seq`.
    pub(super) status_seq: u64,
    pub(super) stamps: Stamps,
    pub(super) quote: Quote,
    pub(super) window: Window,
    pub(super) status: StatusState,
}

impl Instrument {
    pub(super) fn new(lane: u16, entry: &Entry, member: u32) -> Instrument {
        Instrument {
            lane,
            id: entry.instrument_id,
            symbol: entry.symbol,
            venue: entry.venue,
            quantity_decimals: entry.quantity_decimals,
            depth_class: entry.depth_class,
            member,
            topics: [NONE; Channel::ALL.len()],
            ready: false,
            stale: None,
            waits: false,
            as_of: 0,
            seq: 0,
            status_seq: 0,
            stamps: Stamps::default(),
            quote: Quote::default(),
            window: Window::default(),
            status: StatusState::default(),
        }
    }

    /// Its topics and their channels.
    pub(super) fn topics(&self) -> impl Iterator<Item = (Channel, u32)> + use<> {
        Channel::ALL.into_iter().zip(self.topics).filter(|(_, topic)| *topic != NONE)
    }

    /// Takes a row over.
    pub(super) fn load(&mut self, image: &RowImage, ts_gateway: u64) {
        self.ready = true;
        self.stale = None;
        self.as_of = image.market_n();
        self.seq = self.as_of;
        self.status_seq = self.as_of;
        self.stamps = Stamps { ts_event: image.word(row::TS_EVENT), ts_gateway, ..Stamps::default() };
        self.quote = Quote::of_row(image);
        self.window.load(image);
        self.status = StatusState::of_row(image);
    }

    /// Number that a snapshot of a state channel has.
    pub(super) fn state_seq(&self, channel: Channel) -> u64 {
        if channel == Channel::Status { self.seq.max(self.status_seq) } else { self.seq }
    }
}

/// Lanes, instruments and topics of a shard, and the words for them.
#[derive(Debug)]
pub(super) struct World {
    pub(super) limits: Limits,
    pub(super) dialects: Vec<Box<dyn Dialect>>,
    pub(super) lanes: Vec<Lane>,
    pub(super) instruments: Slab<Instrument>,
    pub(super) topics: Slab<Topic>,
}

/// Memory for encoding, used again and again.
#[derive(Debug, Default)]
pub(super) struct Words {
    payload: Vec<u8>,
    window: Window,
    trades: Vec<Trade>,
}

impl World {
    /// Appends a frame in the words of a dialect. Returns whether the dialect has words for it.
    pub(super) fn encode(&self, dialect: u8, outgoing: &Outgoing<'_>, words: &mut Words, out: &mut Vec<u8>) -> bool {
        self.encode_payload(dialect, outgoing, &mut words.payload, out)
    }

    fn encode_payload(&self, dialect: u8, outgoing: &Outgoing<'_>, payload: &mut Vec<u8>, out: &mut Vec<u8>) -> bool {
        payload.clear();
        self.dialects[dialect as usize].encode(outgoing, payload);
        if !payload.is_empty() {
            push_server_frame(out, TEXT, payload);
        }
        !payload.is_empty()
    }

    pub(super) fn subject(&self, topic: &Topic) -> Subject<'_> {
        let instrument = &self.instruments[topic.instrument];
        Subject {
            symbol: instrument.symbol_str(),
            venue: instrument.venue_str(),
            quantity_decimals: instrument.quantity_decimals,
            channel: topic.channel,
        }
    }

    pub(super) fn place(&self, lane: u16, seq: u64) -> Place<'_> {
        let lane = &self.lanes[lane as usize];
        Place { stream: lane.stream, lane: &lane.name, epoch: lane.epoch, seq }
    }

    /// Whether a topic's snapshot can be made: its state was read, or needs no reading.
    pub(super) fn is_ready(&self, topic: &Topic) -> bool {
        let instrument = &self.instruments[topic.instrument];
        match topic.channel {
            Channel::Trades => self.lanes[topic.lane as usize].known(instrument.id).row != NONE,
            _ => instrument.ready,
        }
    }

    /// Whether a topic's state is in the middle of an event: it must not be shown then.
    pub(super) fn is_open(&self, topic: &Topic) -> bool {
        topic.channel.is_state() && self.lanes[topic.lane as usize].event.instrument == Some(topic.instrument)
    }

    /// Appends a topic's snapshot. `merged`: when it stands for events, with the number before them.
    pub(super) fn snapshot(
        &self,
        dialect: u8,
        topic: &Topic,
        merged: Option<(Merged, u64)>,
        words: &mut Words,
        out: &mut Vec<u8>,
    ) -> bool {
        let instrument = &self.instruments[topic.instrument];
        let Words { payload, window, trades } = words;
        let state = match topic.channel {
            Channel::Quotes => Snapshot::Quote(&instrument.quote),
            Channel::Depth(levels) => {
                window.load_best(&instrument.window, levels.count());
                Snapshot::Depth(window)
            }
            Channel::Status => Snapshot::Status(instrument.status),
            Channel::Trades => {
                let most = self.limits.snapshot_trades as usize;
                self.lanes[topic.lane as usize].trades.recent(instrument.id, most, trades);
                Snapshot::Trades(trades)
            }
        };
        let (subject, place) = (self.subject(topic), self.place(topic.lane, topic.seq));
        let outgoing = Outgoing::Snapshot { subject, place, stamps: topic.stamps, merged, state };
        self.encode_payload(dialect, &outgoing, payload, out)
    }

    /// Appends "these events of this topic will not come".
    pub(super) fn topic_gap(
        &self,
        dialect: u8,
        topic: &Topic,
        merged: Merged,
        prev: u64,
        words: &mut Words,
        out: &mut Vec<u8>,
    ) -> bool {
        let stream = self.lanes[topic.lane as usize].stream;
        let outgoing = Outgoing::TopicGap { subject: self.subject(topic), stream, merged, prev };
        self.encode(dialect, &outgoing, words, out)
    }
}

impl Instrument {
    pub(super) fn symbol_str(&self) -> &str {
        self.symbol.as_str()
    }
    /// Whether a client's text means it: its symbol, or its venue and its symbol.
    pub(super) fn is_called(&self, text: &str) -> bool {
        let (symbol, venue) = (self.symbol_str(), self.venue_str());
        text == symbol || text.strip_suffix(symbol).and_then(|rest| rest.strip_suffix(':')) == Some(venue)
    }
    pub(super) fn venue_str(&self) -> &str {
        self.venue.as_str()
    }
}
