//! An exchange on loopback, and a client that only knows the framing.
#![allow(dead_code, reason = "each test program uses a part")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use venue::fault::Fault;
use venue::market::{Market, MarketConfig};
use venue::pace::Pace;
use venue::server::{Exchange, ExchangeConfig, Source};
use wire::soupbin::field::{Password, SessionId, Username};
use wire::soupbin::frame::{self, kind};

/// A test that waits this long for anything is broken.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
pub(crate) const ACCEPTED_BYTES: usize = frame::LOGIN_ACCEPTED_BYTES;

pub(crate) fn session() -> SessionId {
    SessionId::new("TEST").expect("a session name")
}

pub(crate) fn market(messages: u64) -> MarketConfig {
    MarketConfig { messages: Some(messages), symbols: 5, ..MarketConfig::default() }
}

/// All messages of a market.
pub(crate) fn messages(config: &MarketConfig) -> Vec<Vec<u8>> {
    let mut market = Market::new(config.clone()).expect("a valid config");
    std::iter::from_fn(|| {
        let mut message = Vec::new();
        market.next(&mut message).map(|_| message)
    })
    .collect()
}

pub(crate) fn itch_file(messages: &[Vec<u8>]) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    let mut framed = Vec::new();
    messages.iter().for_each(|message| wire::itchfile::append(&mut framed, message));
    std::fs::write(file.path(), framed).expect("a written file");
    file
}

/// A file at full speed, with faults as on the command line.
pub(crate) fn file_config(path: &Path, faults: &[&str]) -> ExchangeConfig {
    let faults = faults.iter().map(|text| text.parse::<Fault>().expect("a fault")).collect();
    ExchangeConfig { pace: Pace::Max, faults, ..ExchangeConfig::new(Source::File(path.to_owned()), session()) }
}

pub(crate) fn start(config: ExchangeConfig) -> Exchange {
    Exchange::start(config).expect("an exchange")
}

/// The packets that carry these messages.
pub(crate) fn packets(messages: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    messages.iter().for_each(|message| frame::append(&mut bytes, kind::SEQUENCED, message).expect("a packet"));
    bytes
}

pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    pub(crate) buffer: Vec<u8>,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        Self { stream, buffer: Vec::new() }
    }

    /// Sends a login for this session and number.
    pub(crate) fn ask(address: SocketAddr, session: &str, sequence: u64) -> Self {
        Self::ask_as(address, "user", "secret", session, sequence)
    }

    pub(crate) fn ask_as(address: SocketAddr, username: &str, password: &str, session: &str, sequence: u64) -> Self {
        let mut client = Self::connect(address);
        let username = Username::new(username).expect("a user");
        let password = Password::new(password).expect("a password");
        let session = SessionId::new(session).expect("a session");
        client.send(&frame::login_request(&username, &password, &session, sequence));
        client
    }

    /// Logs in and returns the number that the venue names.
    pub(crate) fn login(address: SocketAddr, sequence: u64) -> (Self, u64) {
        let mut client = Self::ask(address, "", sequence);
        let (packet_kind, payload) = client.packet().expect("an answer");
        assert_eq!(packet_kind, kind::LOGIN_ACCEPTED);
        let (name, next) = frame::parse_login_accepted(&payload).expect("a login acceptance");
        assert_eq!(name, session());
        (client, next)
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("a write");
    }

    /// The next packet; none at the end of the stream.
    pub(crate) fn packet(&mut self) -> Option<(u8, Vec<u8>)> {
        loop {
            if let Some(packet) = frame::next_packet(&self.buffer).expect("a sound stream") {
                let found = (packet.kind, packet.payload.to_vec());
                let consumed = packet.consumed;
                self.buffer.drain(..consumed);
                return Some(found);
            }
            let mut chunk = [0; 65_536];
            match self.stream.read(&mut chunk) {
                Ok(0) => return None,
                Ok(bytes) => self.buffer.extend_from_slice(&chunk[..bytes]),
                Err(error) => panic!("read: {error}"),
            }
        }
    }

    /// `count` sequenced messages, heartbeats aside.
    pub(crate) fn take(&mut self, count: usize) -> Vec<Vec<u8>> {
        let mut taken = Vec::with_capacity(count);
        while taken.len() < count {
            match self.packet() {
                Some((kind::SEQUENCED, payload)) => taken.push(payload),
                Some((kind::SERVER_HEARTBEAT, _)) => {}
                other => panic!("message {} of {count} is {other:?}", taken.len() + 1),
            }
        }
        taken
    }

    /// Everything up to the end of the stream.
    pub(crate) fn rest(mut self) -> Vec<u8> {
        let mut bytes = std::mem::take(&mut self.buffer);
        self.stream.read_to_end(&mut bytes).expect("an end of the stream");
        bytes
    }

    pub(crate) fn assert_end_of_session(mut self) {
        loop {
            match self.packet() {
                Some((kind::SERVER_HEARTBEAT, _)) => {}
                other => break assert_eq!(other, Some((kind::END_OF_SESSION, Vec::new()))),
            }
        }
        assert_eq!(self.packet(), None, "nothing after the end of the session");
    }
}
