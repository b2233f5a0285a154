//! What the client reports: data, and everything that stands between the data.

use std::time::Duration;

use shm_abi::cursor::Cursor;
use shm_abi::follow::{RestartReason, Restarted};

use super::data::{Merged, Snapshot, Update};
use super::topic::{Channel, Subscription, Topic};

/// One thing that happened, in order. A loss is an event of its own and comes before anything that follows it.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The first connection stands.
    Connected(Hello),
    /// A connection stands again. Everything is subscribed anew by the client itself: channels of state bring fresh
    /// snapshots, trades go on from their cursors or say by [`Event::Gap`] why they cannot.
    Reconnected(Hello),
    /// There is no connection. What was published meanwhile is either delivered later (trades, by their cursors) or
    /// replaced by a snapshot.
    Disconnected {
        /// Close code of the gateway; `None` when the connection ended without one or never stood.
        code: Option<u16>,
        /// Why, in words.
        reason: String,
        /// When the next attempt begins.
        retry_in: Duration,
    },
    /// A command was carried out. What of it was refused came before this, as [`Event::Refused`].
    Ack(Ack),
    /// A symbol could not be subscribed or unsubscribed; the others of the command stand.
    Refused(Refused),
    /// A command was not understood.
    ServerError(ServerError),
    /// The whole state of a topic.
    Snapshot(Snapshot),
    /// One event of a topic, or several as one: see [`Update::merged`].
    Update(Update),
    /// Something that will not come, by the gateway's word.
    Gap(Gap),
    /// Something is missing that nobody declared: a `prev` that does not follow what was seen of this topic. Comes before
    /// the frame that shows it. Depth is subscribed anew by the client itself.
    Undeclared {
        /// Where.
        topic: Topic,
        /// The number that should have been named; `None` when a snapshot should have come first.
        expected_prev: Option<u64>,
        /// The number that was named.
        got_prev: u64,
    },
    /// A lane's sequence is over, another begins, or the venue began a new session.
    Restart(Restart),
    /// What was missed of these topics comes from the recording, and goes on in another stream.
    Replay(Replay),
    /// A lane's state changed.
    LaneState {
        /// Lane name.
        lane: String,
        /// Its stream; 0: none.
        stream: u32,
        /// Now.
        state: LaneState,
    },
    /// Answer to [`super::Client::list`].
    Subscriptions {
        /// Of the command.
        id: Option<u64>,
        /// By the gateway's word.
        subscriptions: Vec<Subscription>,
    },
    /// Answer to [`super::Client::ping`].
    Pong {
        /// Of the command.
        id: Option<u64>,
        /// The gateway's clock, ns since the UNIX epoch.
        ts_gateway: u64,
    },
    /// A frame of a newer gateway.
    Unknown {
        /// Its type.
        kind: String,
    },
    /// A frame that this client cannot read. The connection stays; if it was data, the next frame of its topic shows the
    /// hole.
    Malformed {
        /// What is wrong with it.
        why: String,
        /// Its first 64 bytes.
        head: String,
    },
}

/// What the gateway says first.
#[derive(Debug, Clone, PartialEq)]
pub struct Hello {
    /// Name and version of the gateway.
    pub server: String,
    /// What it does when this client is slow: `conflate`, `gap` or `close`.
    pub slow: String,
    /// Its lanes.
    pub lanes: Vec<LaneInfo>,
    /// What it allows.
    pub limits: Limits,
}

/// One lane of the gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaneInfo {
    /// Lane name.
    pub lane: String,
    /// Its stream; 0: none.
    pub stream: u32,
    /// Its epoch; `None`: no segment.
    pub epoch: Option<u64>,
    /// State.
    pub state: LaneState,
    /// Where it is; `None`: no segment.
    pub cursor: Option<Cursor>,
}

/// State of a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LaneState {
    /// Its writer shows life.
    Live,
    /// Its engine rebuilds its books: snapshots wait.
    Recovering,
    /// No sign of life for 240 ms.
    Silent,
    /// Ended in order.
    Closed,
    /// No segment.
    Absent,
    /// Of a newer gateway.
    Other,
}

impl LaneState {
    pub(crate) fn from_name(name: &str) -> LaneState {
        match name {
            "live" => LaneState::Live,
            "recovering" => LaneState::Recovering,
            "silent" => LaneState::Silent,
            "closed" => LaneState::Closed,
            "absent" => LaneState::Absent,
            _ => LaneState::Other,
        }
    }
}

/// What a gateway allows a connection. A limit that it does not name is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Topics.
    pub subscriptions: u64,
    /// Symbols of one command.
    pub symbols: u64,
    /// Bytes of one message to the gateway.
    pub message_bytes: u64,
    /// Commands a second in the long run.
    pub commands_per_second: u64,
    /// Commands at once.
    pub commands_burst: u64,
    /// Bytes that wait for this client.
    pub queued_bytes: u64,
}

/// Which command an answer is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    /// Subscribe.
    Subscribe,
    /// Unsubscribe.
    Unsubscribe,
}

/// A command that was carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ack {
    /// Of the command.
    pub id: Option<u64>,
    /// Which.
    pub op: Op,
    /// Channel.
    pub channel: Channel,
    /// The symbols that stand.
    pub symbols: Vec<String>,
}

/// A symbol that a command was refused for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Of the command.
    pub id: Option<u64>,
    /// Which.
    pub op: Op,
    /// Channel.
    pub channel: Channel,
    /// As the command named it.
    pub symbol: String,
    /// `unknown_symbol`, `ambiguous_symbol`, `not_subscribed`, `levels`, `limit`, `unavailable`.
    pub code: String,
    /// What would have been accepted.
    pub expected: String,
    /// The client asks again by itself: the topic stood before, or no lane is there to have it.
    pub will_retry: bool,
}

/// A command that was not understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerError {
    /// Of the command, when it could be read.
    pub id: Option<u64>,
    /// `bad_json`, `unknown_op`, `unknown_field`, `missing_field`, `bad_value`.
    pub code: String,
    /// Which field.
    pub field: Option<String>,
    /// What stood there.
    pub value: Option<String>,
    /// What would have been accepted.
    pub expected: Option<String>,
}

/// What will not come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gap {
    /// This client did not keep up with a topic.
    Slow {
        /// Where.
        topic: Topic,
        /// Names the sequence.
        stream: u32,
        /// Number before the first that is missing.
        prev: u64,
        /// How many events, from the first number to the last.
        missing: Merged,
    },
    /// The gateway did not keep up with the ring: these numbers, of every topic of the stream. Snapshots follow.
    Lapped {
        /// Names the sequence.
        stream: u32,
        /// First number.
        first: u64,
        /// Last number.
        last: u64,
    },
    /// The feed never delivered these sequences of the venue. Books are gapped until its next session.
    Venue {
        /// Names the sequence.
        stream: u32,
        /// Number of the record that says so.
        seq: u64,
        /// First sequence of the venue.
        first: u64,
        /// Last sequence of the venue.
        last: u64,
    },
    /// The trades after a cursor cannot be delivered. A snapshot follows.
    Resume {
        /// Where.
        topic: Topic,
        /// Names the sequence that the lane is in now.
        stream: u32,
        /// Why.
        why: ResumeRefusal,
        /// The cursor that was refused.
        cursor: Option<String>,
    },
    /// The recording does not have these numbers: trades of the topic may have been among them.
    Hole {
        /// Where.
        topic: Topic,
        /// Names the sequence.
        stream: u32,
        /// Number of the event before.
        prev: u64,
        /// First number.
        first: u64,
        /// Last number.
        last: u64,
    },
    /// Of a newer gateway: what it concerns is not known, so that no topic is whole.
    Other {
        /// As the gateway says.
        reason: String,
    },
}

/// Why the trades after a cursor cannot be delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResumeRefusal {
    /// The cursor was a bare number.
    NoEpoch,
    /// It is of a sequence that is over.
    OtherEpoch,
    /// Neither ring nor recording hold them any more.
    TooOld,
    /// The sequence has not come as far.
    Ahead,
    /// Too many read the recording already.
    Busy,
    /// The recording cannot be read.
    Unreadable,
}

impl ResumeRefusal {
    pub(crate) fn from_name(name: &str) -> Option<ResumeRefusal> {
        match name {
            "no_epoch" => Some(ResumeRefusal::NoEpoch),
            "other_epoch" => Some(ResumeRefusal::OtherEpoch),
            "too_old" => Some(ResumeRefusal::TooOld),
            "ahead" => Some(ResumeRefusal::Ahead),
            "busy" => Some(ResumeRefusal::Busy),
            "unreadable" => Some(ResumeRefusal::Unreadable),
            _ => None,
        }
    }
}

/// Where topics go on whose missed trades come from the recording: said at its beginning, and at each step from one epoch to
/// the next. An empty snapshot of each topic says that it is live again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replay {
    /// The topics.
    pub topics: Vec<Topic>,
    /// Stream of what follows.
    pub stream: u32,
    /// What follows comes after it.
    pub cursor: Cursor,
    /// The epoch that is over, the number after the last that was read of it, and where it ended, if that is known.
    pub old: Option<(u64, u64, Option<u64>)>,
}

/// The step from one sequence of a lane to the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restart {
    /// Lane name.
    pub lane: String,
    /// Stream of the sequence that is over; 0: there was none.
    pub old_stream: u32,
    /// Stream of the one that begins. The same when only the venue's session changed.
    pub stream: u32,
    /// Where the new sequence is.
    pub cursor: Option<Cursor>,
    /// Both epochs, how far the old was read, where it ended and why. An epoch that is not known is 0.
    pub step: Restarted,
}

impl Restart {
    /// Whether only the venue's session changed: epoch, stream and numbers go on.
    pub fn is_new_session(&self) -> bool {
        self.old_stream == self.stream && self.step.reason == RestartReason::Session
    }
}
