//! `[[feed]]`, as it is written in the file.

use std::path::PathBuf;

use serde::Deserialize;

use super::Secret;
use super::replay::ReplayTable;

/// Protocols that a feed may speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(crate) enum Protocol {
    /// Nasdaq TotalView-ITCH 5.0 over SoupBinTCP 3.00: a synonym of the next with its default dialect.
    #[serde(rename = "soupbintcp-itch50")]
    SoupBinTcpItch50,
    /// An ITCH dialect over SoupBinTCP 3.00.
    #[serde(rename = "soupbintcp-itch")]
    SoupBinTcpItch,
    /// An ITCH dialect over MoldUDP64 1.00.
    #[serde(rename = "moldudp64-itch")]
    MoldUdp64Itch,
    /// IEX TOPS 1.6 over IEX-TP 1.0.
    #[serde(rename = "iex-tops")]
    IexTops,
    /// IEX DEEP 1.0 over IEX-TP 1.0.
    #[serde(rename = "iex-deep")]
    IexDeep,
    /// Records of the bus as they were: a journal or a DBN file.
    #[serde(rename = "recorded")]
    Recorded,
}

impl Protocol {
    /// Name in the config.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Protocol::SoupBinTcpItch50 => "soupbintcp-itch50",
            Protocol::SoupBinTcpItch => "soupbintcp-itch",
            Protocol::MoldUdp64Itch => "moldudp64-itch",
            Protocol::IexTops => "iex-tops",
            Protocol::IexDeep => "iex-deep",
            Protocol::Recorded => "recorded",
        }
    }

    /// Whether messages come in datagrams.
    pub(crate) const fn is_datagrams(self) -> bool {
        matches!(self, Protocol::MoldUdp64Itch | Protocol::IexTops | Protocol::IexDeep)
    }

    /// The message protocol of an IEX feed.
    pub(crate) const fn iex(self) -> Option<wire::iextp::Protocol> {
        match self {
            Protocol::IexTops => Some(wire::iextp::Protocol::Tops),
            Protocol::IexDeep => Some(wire::iextp::Protocol::Deep),
            _ => None,
        }
    }
}

/// Which of a venue's feeds it is: each has a session, and a lane, of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ClientType {
    #[default]
    MarketFeed,
    Index,
    News,
}

impl ClientType {
    /// Name in the config.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            ClientType::MarketFeed => "marketfeed",
            ClientType::Index => "index",
            ClientType::News => "news",
        }
    }
}

/// Timers of a session where the config names none (decisions.md 20).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Profile {
    /// Silence 5 s, login 10 s, after a reject 60 s.
    Nasdaq,
    /// Silence 15 s, login 15 s, after a reject 60 s.
    Dse,
}

/// `[[feed]]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FeedConfig {
    pub(crate) name: String,
    /// The lane that this feed is published on.
    pub(crate) lane: String,
    pub(crate) protocol: Protocol,
    /// `nasdaq-5.0`, `dse` or `jnx-1.6`; absent: `nasdaq-5.0`.
    #[serde(default)]
    pub(crate) dialect: Option<String>,
    #[serde(default)]
    pub(crate) client_type: ClientType,
    /// Absent: that of the dialect.
    #[serde(default)]
    pub(crate) profile: Option<Profile>,
    /// `host:port`, in order of preference: primary, then failover. TCP only.
    #[serde(default)]
    pub(crate) addresses: Vec<String>,
    /// Line A, and line B if there is one. Datagrams only.
    #[serde(default)]
    pub(crate) lines: Vec<LineConfig>,
    /// `host:port` of servers that send lost messages again. Datagrams only.
    #[serde(default)]
    pub(crate) rerequest: Vec<String>,
    /// Where images of the books come from. Datagrams only.
    #[serde(default)]
    pub(crate) glimpse: Option<GlimpseTable>,
    /// Limits of the lines. Datagrams only.
    #[serde(default)]
    pub(crate) arbiter: ArbiterTable,
    /// A recording to play instead of a network.
    #[serde(default)]
    pub(crate) replay: Option<ReplayTable>,
    /// Venue under which instruments are kept: ISO 10383 code.
    #[serde(default = "default_venue")]
    pub(crate) venue: String,
    #[serde(default)]
    pub(crate) username: String,
    /// Give `password_file` instead wherever others can read this file.
    #[serde(default)]
    pub(crate) password: Option<Secret>,
    /// A file with the password on its first line, readable by its owner only.
    #[serde(default)]
    pub(crate) password_file: Option<PathBuf>,
    /// IANA name of the zone whose midnight the venue's stamps count from.
    #[serde(default = "default_zone")]
    pub(crate) time_zone: String,
    /// Day of the stamps; absent: today there, when the session begins.
    #[serde(default)]
    pub(crate) trading_date: Option<String>,
    #[serde(default = "ms::<1_000>")]
    pub(crate) heartbeat_interval_ms: u64,
    /// Absent: that of the profile.
    #[serde(default)]
    pub(crate) silence_limit_ms: Option<u64>,
    /// Absent: that of the profile.
    #[serde(default)]
    pub(crate) login_timeout_ms: Option<u64>,
    #[serde(default = "ms::<500>")]
    pub(crate) logout_wait_ms: u64,
    #[serde(default = "ms::<5_000>")]
    pub(crate) connect_timeout_ms: u64,
    #[serde(default = "ms::<100>")]
    pub(crate) reconnect_first_ms: u64,
    #[serde(default = "ms::<10_000>")]
    pub(crate) reconnect_max_ms: u64,
    /// A session that lived for less earns no immediate try on the other address: it may be flapping.
    #[serde(default = "ms::<10_000>")]
    pub(crate) stable_after_ms: u64,
    #[serde(default = "tries")]
    pub(crate) first_login_tries: u32,
    #[serde(default = "ms::<2_000>")]
    pub(crate) first_login_retry_ms: u64,
    #[serde(default = "ms::<60_000>")]
    pub(crate) first_login_retry_max_ms: u64,
    #[serde(default = "ms::<60_000>")]
    pub(crate) reject_backoff_ms: u64,
    #[serde(default = "ms::<10_000>")]
    pub(crate) next_session_ms: u64,
    /// Bytes of the receive buffer, at least 128 KiB: one packet may have 64 KiB.
    #[serde(default = "default_buffer")]
    pub(crate) receive_buffer_bytes: usize,
    /// Bytes that the kernel shall hold for each line's socket (SO_RCVBUF).
    #[serde(default = "default_socket_buffer")]
    pub(crate) socket_buffer_bytes: usize,
    /// Longest datagram that is taken.
    #[serde(default = "default_datagram")]
    pub(crate) datagram_bytes: usize,
}

/// One line of a datagram feed.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LineConfig {
    /// A multicast group, or an address of this host, and the port.
    pub(crate) address: String,
    /// Address of the interface to join the group on; absent: the one that the routes choose.
    #[serde(default)]
    pub(crate) interface: Option<String>,
}

/// `glimpse = {...}`: a SoupBinTCP server of images.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct GlimpseTable {
    pub(crate) addresses: Vec<String>,
    /// Absent: that of the feed.
    #[serde(default)]
    pub(crate) username: Option<String>,
    /// Absent: that of the feed.
    #[serde(default)]
    pub(crate) password: Option<Secret>,
    /// Connections that may fail before a late joiner goes on without an image.
    #[serde(default = "tries")]
    pub(crate) join_tries: u32,
    /// Messages that an image may have.
    #[serde(default = "image_messages")]
    pub(crate) max_messages: u64,
    /// From its connection to its last message.
    #[serde(default = "ms::<60_000>")]
    pub(crate) time_limit_ms: u64,
}

/// Where a datagram feed begins in the first session that it hears.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum StartAt {
    /// At message 1: what was before the first packet is asked for, or declared lost.
    Session,
    /// Wherever the first packet stands; its books are suspect.
    FirstSeen,
}

/// What to do about another session than the one that runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum NewSessionRule {
    Never,
    AfterOurs,
    Greater,
}

/// `arbiter = {...}`: what absent keys stand for is in `wire::multicast::ArbiterConfig`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ArbiterTable {
    pub(crate) start: Option<StartAt>,
    /// The only session to begin with; absent: the first one heard.
    pub(crate) session: Option<String>,
    pub(crate) new_session: Option<NewSessionRule>,
    pub(crate) window_messages: Option<u32>,
    pub(crate) window_bytes: Option<u32>,
    pub(crate) max_holes: Option<u32>,
    pub(crate) line_wait_us: Option<u64>,
    pub(crate) reorder_grace_us: Option<u64>,
    pub(crate) request_retry_ms: Option<u64>,
    pub(crate) request_tries: Option<u8>,
    pub(crate) request_messages: Option<u16>,
    pub(crate) requests_in_flight: Option<u8>,
    pub(crate) gap_limit_ms: Option<u64>,
    pub(crate) end_gap_limit_ms: Option<u64>,
    pub(crate) line_dead_after_ms: Option<u64>,
    pub(crate) line_degraded_after_ms: Option<u64>,
}

fn default_venue() -> String {
    "XNAS".into()
}
fn default_zone() -> String {
    "America/New_York".into()
}
const fn ms<const N: u64>() -> u64 {
    N
}
const fn tries() -> u32 {
    5
}
const fn image_messages() -> u64 {
    50_000_000
}
const fn default_buffer() -> usize {
    256 << 10
}
const fn default_socket_buffer() -> usize {
    8 << 20
}
const fn default_datagram() -> usize {
    9_216
}
