//! Everything that can be chosen about a MoldUDP64 venue.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use wire::soupbin::field::SessionId;

use super::packet::HEADER_BYTES;
use crate::fault::{Fault, FaultError, MAX_LINES};
use crate::log::DEFAULT_MAX_LOG_BYTES;
use crate::pace::Pace;
use crate::server::StartError;
use crate::source::{AtEnd, Source, Start};

/// Most bytes of a datagram's payload: what UDP over IPv4 can carry.
pub(super) const MAX_PAYLOAD_BYTES: usize = 65_507;

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineConfig {
    /// Where it goes: a multicast group or one receiver.
    pub destination: SocketAddr,
    /// Address of the interface that a group is sent on; also what the socket is bound to.
    pub interface: Ipv4Addr,
    /// Routers that a group may pass; 0 stays on this machine, 1 on this network.
    pub ttl: u32,
}

impl LineConfig {
    /// Loopback, going nowhere else.
    #[must_use]
    pub fn new(destination: SocketAddr) -> Self {
        Self { destination, interface: Ipv4Addr::LOCALHOST, ttl: 0 }
    }
}

/// How messages are put into datagrams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packing {
    /// Most bytes of a datagram's payload. A message that is longer alone gets a datagram of its own.
    pub max_bytes: usize,
    /// Most messages of a datagram.
    pub max_messages: u16,
    /// How long a datagram that is not full waits for more; 0 sends what is there.
    pub linger_micros: u64,
    /// Most datagrams a second on each line; none for no limit.
    pub max_rate: Option<u32>,
}

impl Default for Packing {
    /// What an Ethernet frame of 1500 bytes carries.
    fn default() -> Self {
        Self { max_bytes: 1_472, max_messages: u16::MAX - 1, linger_micros: 0, max_rate: None }
    }
}

/// The re-request server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReRequestConfig {
    /// Address to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// A request for more messages than this is not answered.
    pub max_messages: u16,
    /// Most answers a second; what is asked above it is not answered.
    pub max_rate: u32,
}

impl ReRequestConfig {
    /// Limits that no sound receiver meets.
    #[must_use]
    pub fn new(listen: SocketAddr) -> Self {
        Self { listen, max_messages: u16::MAX - 1, max_rate: 100_000 }
    }
}

/// One venue: one session on one or two lines.
#[derive(Debug, Clone)]
pub struct MoldConfig {
    /// Name of the session, not blank; padded with spaces on the wire.
    pub session: SessionId,
    /// Where the messages come from.
    pub source: Source,
    /// How fast they are released.
    pub pace: Pace,
    /// When the first one is released; there is no login here, so [`Start::Login`] waits for one to GLIMPSE.
    pub start: Start,
    /// What comes after the last one.
    pub at_end: AtEnd,
    /// Starts a synthetic market at the real time of day at this offset from UTC in seconds.
    pub live_clock: Option<i64>,
    /// One or two.
    pub lines: Vec<LineConfig>,
    /// How messages are put into datagrams.
    pub packing: Packing,
    /// A heartbeat after this time without a datagram, and an end of session each such time.
    pub heartbeat_ms: u64,
    /// How often the end of the session is said, the first time included.
    pub end_repeats: u32,
    /// The re-request server, if there is one.
    pub rerequest: Option<ReRequestConfig>,
    /// Address of the snapshot server, if there is one; port 0 takes a free one.
    pub glimpse: Option<SocketAddr>,
    /// Most bytes of a synthetic market that are kept for requests; the oldest go first.
    pub max_log_bytes: u64,
    /// Where the log's nameless files are.
    pub log_directory: PathBuf,
    /// What goes wrong, on purpose.
    pub faults: Vec<Fault>,
}

impl MoldConfig {
    /// These lines at 1x, and nothing goes wrong.
    #[must_use]
    pub fn new(source: Source, session: SessionId, lines: Vec<LineConfig>) -> Self {
        Self {
            session,
            source,
            pace: Pace::Times(1.0),
            start: Start::Now,
            at_end: AtEnd::EndSession,
            live_clock: None,
            lines,
            packing: Packing::default(),
            heartbeat_ms: 1_000,
            end_repeats: 30,
            rerequest: None,
            glimpse: None,
            max_log_bytes: DEFAULT_MAX_LOG_BYTES,
            log_directory: std::env::temp_dir(),
            faults: Vec::new(),
        }
    }

    pub(super) fn validate(&self) -> Result<(), StartError> {
        if self.session.is_blank() {
            return Err(StartError::BlankSession);
        }
        self.source.validate()?;
        let packing = &self.packing;
        let wrong = |what: &str| Err(StartError::Mold(what.into()));
        if self.lines.is_empty() || self.lines.len() > MAX_LINES {
            return wrong("a MoldUDP64 feed has line A, or lines A and B");
        }
        if !(HEADER_BYTES + 3..=MAX_PAYLOAD_BYTES).contains(&packing.max_bytes) {
            return wrong("a datagram has 23 to 65507 bytes");
        }
        if packing.max_messages == 0 || packing.max_messages == u16::MAX {
            return wrong("a datagram has 1 to 65534 messages");
        }
        if packing.max_rate == Some(0) || self.heartbeat_ms == 0 {
            return wrong("the most datagrams a second and the milliseconds of a heartbeat are at least 1");
        }
        if self.live_clock.is_some() && !(self.source.can_be_live() && self.pace == Pace::Times(1.0)) {
            return Err(StartError::LiveClock);
        }
        match self.faults.iter().find(|fault| matches!(fault, Fault::Tcp(_))) {
            Some(fault) => Err(StartError::Fault(wrong_place(fault.name()))),
            None => Ok(()),
        }
    }
}

/// A fault of connections where there are none.
pub(super) fn wrong_place(fault: &'static str) -> FaultError {
    FaultError::Place { fault, feed: "a MoldUDP64 feed", hint: "give it to a SoupBinTCP feed" }
}
