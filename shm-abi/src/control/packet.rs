//! Decoded packets, as the contract writes them.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A packet in the object forms of dse-itch-api section 5: `type` says which, and a form has only its own keys. Forms of
/// datagrams follow the same pattern: `MoldPacket` and `IexTpSegment`.
///
/// `raw` and `decoded` are left out, first one then the other, where a packet would not fit in one message; `cut` says so.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TapPacket {
    /// `LoginAck`, `LoginReject`, `Heartbeat`, `LogoutAck`, `SequencedPacket`, `UnSequencedPacket`, `DebugPacket`,
    /// `EndOfSessionPacket`, `LoginRequest`, `MoldPacket`, `IexTpSegment`, `Unknown(X)`; absent beside an `error`.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Value of the length field; of a datagram, its length.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub packet_length: Option<u32>,
    /// The venue's session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// Text of the packet; of a `LoginAck` the sequence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Sequence of its first message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// Message count field of a datagram.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
    /// The payload in hex.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raw: Option<String>,
    /// The message of a `SequencedPacket` or `UnSequencedPacket`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decoded: Option<DecodedMessage>,
    /// The messages of a datagram, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub messages: Vec<DecodedMessage>,
    /// Why it is not decoded further.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What was left out for its length.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cut: Option<String>,
}

/// A message of a venue.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DecodedMessage {
    /// Its type letter.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its length in bytes.
    pub length: u32,
    /// What it means, such as `AddOrder`; absent for a type and length that the dialect does not have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its fields, by the dialect's names for them. Numbers are as on the wire.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub fields: Map<String, Value>,
}

impl DecodedMessage {
    /// Type letter and length, as the reference counts write them: `A36`.
    #[must_use]
    pub fn form(&self) -> String {
        format!("{}{}", self.kind, self.length)
    }
}
