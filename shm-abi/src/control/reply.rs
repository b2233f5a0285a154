//! What is answered.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Definition, DefinitionKind, TapPacket, VERSION};

/// One answer. A tap gives many with one `id`, the last of them [`Reply::TapEnd`] or [`Reply::Refused`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Response {
    /// [`VERSION`].
    pub version: u32,
    /// The request's; 0 where it could not be read.
    pub id: u64,
    /// The answer.
    pub reply: Reply,
}

impl Response {
    /// An answer of this version.
    #[must_use]
    pub const fn new(id: u64, reply: Reply) -> Response {
        Response { version: VERSION, id, reply }
    }
}

/// Every answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Reply {
    /// It was not done.
    Refused(Refusal),
    /// To `status`.
    Feeds(FeedsPage),
    /// To `connect` and `disconnect`.
    Outcome(Outcome),
    /// To `reload`.
    Reloaded(ReloadReport),
    /// To `define` and `undefine`.
    Defined(DefinedReport),
    /// To `definitions`.
    Definitions(DefinitionsPage),
    /// To `demand`.
    Demand(DemandReport),
    /// To `tap`: a packet.
    Tap(Box<TapEvent>),
    /// To `tap`: nothing more will come.
    TapEnd(TapEnd),
}

/// Kinds of refusals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RefusalCode {
    /// The request has not the form of one.
    BadRequest,
    /// Another version of the messages.
    Version,
    /// The peer's uid may not do this.
    Forbidden,
    /// There is no such feed, lane or file.
    NotFound,
    /// The value cannot be accepted.
    Invalid,
    /// An address outside `[feeds] allow`.
    NotAllowed,
    /// A limit with a name was reached.
    Limit,
    /// It cannot be done now.
    Conflict,
    /// It was tried and went wrong.
    Failed,
    /// A kind that this client does not know.
    #[serde(other)]
    Unknown,
}

/// Why something was not done: the field, its value, and what was expected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{field} = {value}: expected {expected}")]
pub struct Refusal {
    /// Kind of refusal.
    pub code: RefusalCode,
    /// Which field, setting or file.
    pub field: String,
    /// What was seen there; never a credential.
    pub value: String,
    /// What would have been accepted, or what to change.
    pub expected: String,
}

impl Refusal {
    /// A value that cannot be accepted.
    pub fn value(field: &str, value: impl ToString, expected: impl Into<String>) -> Refusal {
        let (code, field, value) = (RefusalCode::Invalid, field.to_owned(), value.to_string());
        Refusal { code, field, value, expected: expected.into() }
    }
}

/// Feeds, in the order of their names.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FeedsPage {
    /// The engine's instance.
    pub instance: String,
    /// The engine's process.
    pub pid: u32,
    /// As many as fit.
    pub feeds: Vec<FeedStatus>,
    /// Ask again with `after` of this name for the rest; absent: these are all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_after: Option<String>,
    /// Of the command socket.
    pub control: ControlCounters,
}

/// One feed: the keys of the contract, and more.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FeedStatus {
    /// Its name.
    pub name: String,
    /// The lane that it is published on.
    pub lane: String,
    /// As the config writes it.
    pub protocol: String,
    /// `marketfeed`, `index` or `news`.
    pub client_type: String,
    /// `idle`, `connecting`, `login_sent`, `live`, `end_of_session`, `reconnecting`, `rejected`, `closed`.
    pub state: String,
    /// Why, where there is something to say.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Every address, primary first.
    pub addresses: Vec<FeedAddress>,
    /// The venue's session; absent before the first login and while it changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// The venue's next sequence.
    pub next_sequence: u64,
    /// Packets by kind.
    pub packets: PacketCounts,
    /// Bytes received.
    pub bytes: u64,
    /// Gaps declared on its lane.
    pub gaps: u64,
    /// Logins after the first.
    pub reconnects: u64,
    /// Milliseconds since the last byte; absent before the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_packet_age_ms: Option<u64>,
    /// UNIX time in ns, as text, since which data flows; absent while it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connected_since: Option<String>,
    /// Lines A, B and recovery, where the protocol has them and they received something.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<LineStatus>,
    /// Every counter of the feed by name.
    pub counters: BTreeMap<String, u64>,
}

/// Packets by kind, as the contract names them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PacketCounts {
    /// Of sequenced data.
    pub sequenced: u64,
    /// Outside the sequence.
    pub unsequenced: u64,
    /// Of the server.
    pub heartbeats: u64,
    /// Debug text.
    pub debug: u64,
}

/// An address of a feed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FeedAddress {
    /// As the config writes it.
    pub address: String,
    /// Whether it is the one that is dialled or connected.
    pub in_use: bool,
    /// What it resolved to, while it is in use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote: Option<String>,
}

/// How one line fares against the other.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LineStatus {
    /// `A`, `B` or `recovery`.
    pub line: String,
    /// Datagrams received.
    pub datagrams: u64,
    /// Of these, datagrams that brought something first.
    pub wins: u64,
    /// Median time by which its wins came before the other line's copy, ns.
    pub median_lead_ns: u64,
    /// Datagrams that the kernel dropped.
    pub kernel_drops: u64,
}

/// What the command socket counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ControlCounters {
    /// Connections open now.
    pub connections: u64,
    /// Connections accepted.
    pub accepted: u64,
    /// Connections refused because there were too many.
    pub refused_full: u64,
    /// Connections and requests refused by uid.
    pub forbidden: u64,
    /// Requests served.
    pub requests: u64,
    /// Requests that had not the form of one.
    pub bad_requests: u64,
    /// Connections dropped because they took no answers.
    pub slow_dropped: u64,
    /// Connections closed because they said nothing.
    pub idle_closed: u64,
    /// Packets that taps lost.
    pub tap_dropped: u64,
    /// Instruments in demand.
    pub demanded: u64,
    /// Instruments that found the demand table full.
    pub demand_refused: u64,
    /// Reloads applied.
    pub reloads: u64,
    /// Reloads refused.
    pub reloads_refused: u64,
}

/// What came of `connect` or `disconnect`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Outcome {
    /// `connected`, `already connected`, `connecting`, `rejected`, `failed`, `closed`, `closing`, `not connected`,
    /// `end of session`.
    pub result: String,
    /// The feed.
    pub feed: String,
    /// Its state now.
    pub state: String,
    /// Why, where there is something to say.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// The address in use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The venue's session, when live.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// The venue's next sequence.
    pub next_sequence: u64,
}

/// What a reload changed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ReloadReport {
    /// In force now.
    pub applied: Vec<Change>,
    /// Different in the file, but only a restart brings it.
    pub needs_restart: Vec<Change>,
}

/// A setting that differs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Change {
    /// Such as `feed nasdaq: silence_limit_ms`.
    pub setting: String,
    /// As it was, `(absent)` where it was not given; `***` for secrets.
    pub from: String,
    /// As it is in the file.
    pub to: String,
}

/// What came of `define` or `undefine`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DefinedReport {
    /// What kind of thing.
    pub kind: DefinitionKind,
    /// Its key.
    pub key: String,
    /// Whether anything is different from before.
    pub changed: bool,
    /// Whether it is in force, `false` where a restart is needed for it.
    pub in_force: bool,
    /// The instrument's lasting id, where it names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instrument_id: Option<u32>,
    /// What a restart would bring, in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs_restart: Vec<Change>,
}

/// Definitions in the order of their keys. Secrets are shown as `***`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DefinitionsPage {
    /// As many as fit.
    pub definitions: Vec<Definition>,
    /// Ask again with `after` of this key for the rest; absent: these are all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_after: Option<String>,
}

/// What came of `demand`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DemandReport {
    /// Instruments that this connection now holds.
    pub held: u64,
    /// Instruments in demand by anybody.
    pub in_all: u64,
    /// How long they are kept after the connection has ended, ms.
    pub lease_ms: u64,
}

/// A packet of a tap.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TapEvent {
    /// CLOCK_REALTIME of its receipt, or the capture's stamp, in ns, as text.
    pub ts_recv: String,
    /// `A`, `B` or `recovery`; `A` for TCP.
    pub line: String,
    /// Packets that this tap lost before this one, since it began.
    pub dropped: u64,
    /// The packet, in the object forms of the contract.
    pub packet: TapPacket,
}

/// The end of a tap.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TapEnd {
    /// Packets shown.
    pub packets: u64,
    /// Packets lost.
    pub dropped: u64,
    /// Why it ended.
    pub reason: String,
    /// What the messages are written in; `unknown dialect` when no known one has all of their types and lengths; empty
    /// where there were none.
    pub dialect: String,
}
