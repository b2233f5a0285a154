//! What a client protocol translates between: bytes of its own, and the commands and frames of the core. A dialect owns
//! no subscription, no socket and no queue.

use shm_abi::board::Level;
use shm_abi::record::{Price, Quantity, Side};

use crate::replay::OldEpoch;
use crate::state::{Quote, StatusState, Window};
use crate::topic::Channel;

/// A client's name for a command: answers repeat it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequestId {
    /// Below 2^53.
    Number(u64),
    /// At most 64 bytes.
    Text(String),
}

/// One message of a client, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The client's name for it.
    pub id: Option<RequestId>,
    /// What it asks for.
    pub command: Command,
}

/// What a client can ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Join topics.
    Subscribe {
        /// Channel of all of them.
        channel: Channel,
        /// As given: `SYMBOL` or `VENUE:SYMBOL`. Their number was checked.
        symbols: Vec<String>,
        /// What the client already knows, verbatim: the core judges it.
        cursor: Option<String>,
        /// Deliver what was published at this time or later, ns since the UNIX epoch. Never with a cursor, and of the
        /// channels `trades` and `quotes` only.
        from: Option<u64>,
    },
    /// Leave topics.
    Unsubscribe {
        /// Channel of all of them.
        channel: Channel,
        /// As given.
        symbols: Vec<String>,
    },
    /// Name what is subscribed.
    List,
    /// Answer at once.
    Ping,
}

/// A message that was not understood: what was seen, and what was expected. The connection stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Of the command, when that much was understood.
    pub id: Option<RequestId>,
    /// `bad_json`, `unknown_op`, `unknown_field`, `missing_field` or `bad_value`.
    pub code: &'static str,
    /// Field that is wrong; empty when it is the message itself.
    pub field: String,
    /// What it held, cut to 64 bytes.
    pub value: String,
    /// What it may hold.
    pub expected: String,
}

/// When and by whom an event was touched, ns since the UNIX epoch; 0: not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stamps {
    /// Venue time.
    pub ts_event: u64,
    /// Socket time.
    pub ts_recv: u64,
    /// Ring time.
    pub ts_publish: u64,
    /// When this shard read it.
    pub ts_gateway: u64,
}

/// What is known of a topic's instrument, for encoding.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The venue's symbol.
    pub symbol: &'a str,
    /// Venue.
    pub venue: &'a str,
    /// A quantity is in 10^-this.
    pub quantity_decimals: u8,
    /// Topic.
    pub channel: Channel,
}

/// Where in which sequence.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// Number bound to (lane, epoch).
    pub stream: u32,
    /// Lane name.
    pub lane: &'a str,
    /// Epoch.
    pub epoch: u64,
    /// Number of the event.
    pub seq: u64,
}

/// Several events told as one. `first` to `last` are their numbers; the frame's `prev` is the one before `first`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Merged {
    /// Events, at least 1.
    pub count: u64,
    /// Number of the first.
    pub first: u64,
    /// Number of the last.
    pub last: u64,
}

/// One trade, as the channel `trades` tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trade {
    /// Number of its record.
    pub seq: u64,
    /// When.
    pub stamps: Stamps,
    /// Price.
    pub price: Price,
    /// Quantity.
    pub quantity: Quantity,
    /// `side_or_code` of the record: see [`shm_abi::record::trade_code`].
    pub code: u8,
    /// The venue's match id.
    pub match_id: u64,
    /// Flags of the record: see [`shm_abi::record::flag`].
    pub flags: u8,
}

/// A level that changed among the best; quantity 0: it is not among them any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// Side.
    pub side: Side,
    /// Level as it is now.
    pub level: Level,
}

/// The whole state of a topic.
#[derive(Debug, Clone, Copy)]
pub enum Snapshot<'a> {
    /// Of `quotes`.
    Quote(&'a Quote),
    /// Of `depth`: already cut to the topic's levels.
    Depth(&'a Window),
    /// Of `trades`: the newest, oldest first.
    Trades(&'a [Trade]),
    /// Of `status`.
    Status(StatusState),
}

/// What one event did to a topic.
#[derive(Debug, Clone, Copy)]
pub enum Delta<'a> {
    /// The whole quote after it.
    Quote(&'a Quote),
    /// Levels that changed.
    Depth(&'a [Change]),
    /// A trade.
    Trade(&'a Trade),
    /// The trade of this match id is void.
    TradeBreak(u64),
    /// The status after it.
    Status(StatusState),
}

/// Why something will not come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GapReason {
    /// This client did not keep up.
    Slow,
    /// The gateway did not keep up with the ring, or the ring held something that nobody writes.
    Lapped,
    /// The feed never delivered it.
    Venue,
    /// A resume without an epoch.
    NoEpoch,
    /// A resume in an epoch that is over, and of which there is no journal.
    OtherEpoch,
    /// A resume at a number that neither ring nor journal hold any more.
    TooOld,
    /// A resume at a number that is not reached yet.
    Ahead,
    /// The journal does not have it: it was not recorded, or is damaged.
    Hole,
    /// Too many resumes read the journal already.
    Busy,
    /// The journal cannot be read.
    Unreadable,
}

impl GapReason {
    /// Lower-case name, as dialects show it.
    pub const fn name(self) -> &'static str {
        match self {
            GapReason::Slow => "slow",
            GapReason::Lapped => "lapped",
            GapReason::Venue => "venue",
            GapReason::NoEpoch => "no_epoch",
            GapReason::OtherEpoch => "other_epoch",
            GapReason::TooOld => "too_old",
            GapReason::Ahead => "ahead",
            GapReason::Hole => "hole",
            GapReason::Busy => "busy",
            GapReason::Unreadable => "unreadable",
        }
    }
}

/// What a lane's writer is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LaneState {
    /// There is no segment yet.
    Absent,
    /// The engine is rebuilding its books (`State::Recovering` of the segment): rows are not whole, joins wait.
    Recovering,
    /// It shows life.
    Live,
    /// No sign of life for 240 ms.
    Silent,
    /// It has ended in order.
    Closed,
}

impl LaneState {
    /// Lower-case name, as dialects show it.
    pub const fn name(self) -> &'static str {
        match self {
            LaneState::Absent => "absent",
            LaneState::Recovering => "recovering",
            LaneState::Live => "live",
            LaneState::Silent => "silent",
            LaneState::Closed => "closed",
        }
    }
}

/// A lane as `hello` and `ack` tell it. `cursor_seq` is the last number read; `stream` is 0 while the lane is absent.
#[derive(Debug, Clone, Copy)]
pub struct LaneFacts<'a> {
    /// Lane name.
    pub lane: &'a str,
    /// Number bound to (lane, epoch).
    pub stream: u32,
    /// Epoch.
    pub epoch: u64,
    /// Everything up to this number was read.
    pub cursor_seq: u64,
    /// State.
    pub state: LaneState,
}

/// A symbol that could not be subscribed or unsubscribed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedSymbol {
    /// As given.
    pub symbol: String,
    /// `unknown_symbol`, `ambiguous_symbol`, `not_subscribed`, `levels`, `limit` or `unavailable`.
    pub code: &'static str,
    /// What would do.
    pub expected: String,
}

/// Everything that the core tells a client. A dialect puts it into its own words.
#[derive(Debug, Clone, Copy)]
pub enum Outgoing<'a> {
    /// First words.
    Hello {
        /// What happens to a slow client.
        slow: SlowPolicy,
        /// Every lane.
        lanes: &'a [LaneFacts<'a>],
        /// What this connection may do.
        limits: &'a crate::limits::Limits,
    },
    /// A command was carried out.
    Ack {
        /// The client's name for it.
        id: Option<&'a RequestId>,
        /// `subscribe` or `unsubscribe`.
        op: &'static str,
        /// Channel.
        channel: Channel,
        /// Symbols for which it was, as given.
        symbols: &'a [String],
        /// The others.
        refused: &'a [RefusedSymbol],
        /// Lanes of those symbols.
        lanes: &'a [LaneFacts<'a>],
    },
    /// A command was not understood.
    Error(&'a Refusal),
    /// What is subscribed.
    Subscriptions {
        /// The client's name for the question.
        id: Option<&'a RequestId>,
        /// By channel.
        list: &'a [(Channel, Vec<String>)],
    },
    /// Answer to a ping.
    Pong {
        /// The client's name for it.
        id: Option<&'a RequestId>,
        /// Now, ns since the UNIX epoch.
        ts_gateway: u64,
    },
    /// The whole state of a topic.
    Snapshot {
        /// Instrument and channel.
        subject: Subject<'a>,
        /// Where.
        place: Place<'a>,
        /// When.
        stamps: Stamps,
        /// With `prev`, when it stands for events that this client did not get.
        merged: Option<(Merged, u64)>,
        /// State.
        state: Snapshot<'a>,
    },
    /// One event of a topic, or several merged into one.
    Update {
        /// Instrument and channel.
        subject: Subject<'a>,
        /// Where.
        place: Place<'a>,
        /// Number of the event before on this topic.
        prev: u64,
        /// When.
        stamps: Stamps,
        /// Set when it stands for several.
        merged: Option<Merged>,
        /// What it did.
        delta: Delta<'a>,
    },
    /// Events of one topic that this client will not get: `slow`.
    TopicGap {
        /// Instrument and channel.
        subject: Subject<'a>,
        /// Number bound to (lane, epoch).
        stream: u32,
        /// What is missing.
        merged: Merged,
        /// Number before the first.
        prev: u64,
    },
    /// A resume that cannot be done: a snapshot follows.
    ResumeGap {
        /// Instrument and channel.
        subject: Subject<'a>,
        /// Number bound to (lane, epoch).
        stream: u32,
        /// Why.
        reason: GapReason,
        /// The cursor as given, cut to 64 bytes.
        cursor: &'a str,
    },
    /// Events of some topics come from the journal: the next ones of these topics are of this place's stream, and the
    /// first follows its number. Said at the beginning, at every step into another epoch, and where quotes become known or
    /// cease to be.
    Replay {
        /// Channel of the topics.
        channel: Channel,
        /// Their symbols.
        symbols: &'a [&'a str],
        /// Where they go on; `seq` is known.
        place: Place<'a>,
        /// What lies behind, and the number bound to it; `None` within an epoch.
        old: Option<(u32, OldEpoch)>,
        /// Of quotes: whether what is told of them is whole from here on. `None`: of trades.
        known: Option<bool>,
    },
    /// Numbers that the journal does not have: events of a topic may have been among them. The next event follows `last`.
    ReplayGap {
        /// Instrument and channel.
        subject: Subject<'a>,
        /// Number bound to (lane, epoch).
        stream: u32,
        /// Number of the event before.
        prev: u64,
        /// First missing.
        first: u64,
        /// Last missing.
        last: u64,
    },
    /// Numbers of the ring that the gateway never saw (`lapped`), or venue sequences that nobody did (`venue`).
    LaneGap {
        /// Where; `seq` is the number of the gap record, or `last` when lapped.
        place: Place<'a>,
        /// Why.
        reason: GapReason,
        /// First missing.
        first: u64,
        /// Last missing.
        last: u64,
    },
    /// A sequence is over, another begins.
    Restart {
        /// The new one; `seq` is the number up to which it is known.
        place: Place<'a>,
        /// Stream of the old one.
        old_stream: u32,
        /// Epoch of the old one.
        old_epoch: u64,
        /// `engine`, `unknown`, `session` or `other`.
        reason: &'static str,
        /// Number after the last that was read of the old one.
        drained_to: u64,
        /// Where it ended by the new writer's word.
        old_end: Option<u64>,
    },
    /// The lane's state changed.
    Lane(LaneFacts<'a>),
}

/// What happens to a client that does not keep up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum SlowPolicy {
    /// It gets the newest state, with what was merged.
    #[default]
    Conflate,
    /// It gets a gap and a snapshot for each topic.
    Gap,
    /// It is closed at once, 4408.
    Close,
}

impl SlowPolicy {
    /// Lower-case name, as dialects show it.
    pub const fn name(self) -> &'static str {
        match self {
            SlowPolicy::Conflate => "conflate",
            SlowPolicy::Gap => "gap",
            SlowPolicy::Close => "close",
        }
    }
    /// The policy of that name.
    pub fn from_name(name: &str) -> Option<SlowPolicy> {
        [SlowPolicy::Conflate, SlowPolicy::Gap, SlowPolicy::Close].into_iter().find(|policy| policy.name() == name)
    }
}

/// One client protocol's words.
pub trait Dialect: std::fmt::Debug {
    /// What a message asks for. `bytes` is a whole text message: UTF-8, at most the limit.
    ///
    /// # Errors
    /// [`Refusal`]: to be told to the client; the connection stays.
    fn decode(&self, text: &str) -> Result<Request, Refusal>;

    /// Appends the payload of one message to `out`. Nothing appended: this dialect does not tell such things.
    fn encode(&self, outgoing: &Outgoing<'_>, out: &mut Vec<u8>);
}
