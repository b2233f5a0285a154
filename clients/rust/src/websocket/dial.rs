//! Reaching a gateway: the address, the connection, and a socket whose every read ends in time.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use tungstenite::handshake::HandshakeError;
use tungstenite::protocol::WebSocketConfig;
use tungstenite::{Error as WsError, WebSocket, client::client_with_config};

use super::error::Error;
use super::options::Options;

/// Bytes that one read may take from the kernel.
const READ_BUFFER: usize = 64 * 1024;
/// Bytes of commands that may wait in this process for the kernel to take them.
const WRITE_BUFFER: usize = 1024 * 1024;
/// Longest URL, bytes.
const URL_MAX: usize = 2048;

/// A checked `ws://host[:port][/path]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Url {
    /// As it was given.
    pub(crate) text: String,
    host: String,
    port: u16,
}

impl Url {
    /// # Errors
    /// [`Error::Url`], which says what is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Url, Error> {
        let wrong = |why| Error::Url { url: text.chars().take(URL_MAX).collect(), why };
        if text.len() > URL_MAX || !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(wrong("at most 2048 characters, all of them printable ASCII"));
        }
        let rest = text.strip_prefix("ws://").ok_or_else(|| wrong("expected ws://; TLS is not spoken"))?;
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        if rest.contains('#') || authority.contains('@') {
            return Err(wrong("it has neither a user nor a fragment"));
        }
        // An IPv6 address has colons of its own, so it stands in brackets.
        let (host, port) = match authority.strip_prefix('[') {
            Some(rest) => rest.split_once(']').ok_or_else(|| wrong("the bracket is not closed"))?,
            None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
        };
        let port = match port.strip_prefix(':') {
            None if port.is_empty() => 80,
            Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => {
                digits.parse().map_err(|_| wrong("the port is a number from 0 to 65535"))?
            }
            _ => return Err(wrong("the port is a number from 0 to 65535")),
        };
        if host.is_empty() {
            return Err(wrong("it names no host"));
        }
        Ok(Url { text: text.into(), host: host.into(), port })
    }
}

/// A socket whose reads end at a set moment with `WouldBlock`.
#[derive(Debug)]
pub(crate) struct Timed {
    tcp: TcpStream,
    deadline: Instant,
    nonblocking: bool,
}

impl Timed {
    pub(crate) fn set_deadline(&mut self, deadline: Instant) {
        self.deadline = deadline;
    }

    fn block(&mut self, block: bool) -> io::Result<()> {
        if self.nonblocking == block {
            self.tcp.set_nonblocking(!block)?;
            self.nonblocking = !block;
        }
        Ok(())
    }
}

impl Read for Timed {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        // A timeout of zero would mean none at all.
        self.block(!left.is_zero())?;
        if !left.is_zero() {
            self.tcp.set_read_timeout(Some(left))?;
        }
        self.tcp.read(bytes)
    }
}

impl Write for Timed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.block(true)?;
        self.tcp.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.tcp.flush()
    }
}

/// A connection that stands.
pub(crate) type Socket = WebSocket<Timed>;

/// An attempt to connect, in a thread of its own: name look-ups know no time limit. The thread ends with the attempt.
#[derive(Debug)]
pub(crate) struct Dial {
    outcome: Receiver<Result<Box<Socket>, String>>,
    by: Instant,
}

impl Dial {
    pub(crate) fn start(url: &Url, options: &Options) -> Dial {
        let by = Instant::now() + options.connect_timeout;
        let (sender, outcome) = sync_channel(1);
        let (url, options, spare) = (url.clone(), options.clone(), sender.clone());
        let attempt = move || {
            // Nobody listens any more when the client was dropped meanwhile.
            let _ = sender.send(connect(&url, &options, by).map(Box::new));
        };
        if let Err(error) = std::thread::Builder::new().name("ticklane-dial".into()).spawn(attempt) {
            let _ = spare.send(Err(format!("no thread to connect in: {error}")));
        }
        Dial { outcome, by }
    }

    /// The outcome, waited for until `until` at most.
    pub(crate) fn wait(&self, until: Instant) -> Option<Result<Box<Socket>, String>> {
        match self.outcome.recv_timeout(until.min(self.by).saturating_duration_since(Instant::now())) {
            Ok(outcome) => Some(outcome),
            Err(RecvTimeoutError::Timeout) if Instant::now() < self.by => None,
            Err(RecvTimeoutError::Timeout) => Some(Err("no connection within the time limit".into())),
            Err(RecvTimeoutError::Disconnected) => Some(Err("the attempt ended without an outcome".into())),
        }
    }
}

fn connect(url: &Url, options: &Options, by: Instant) -> Result<Socket, String> {
    let addresses =
        (url.host.as_str(), url.port).to_socket_addrs().map_err(|error| format!("{}: {error}", url.host))?;
    let mut last = format!("{} has no address", url.host);
    for address in addresses {
        let left = by.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        match TcpStream::connect_timeout(&address, left) {
            Ok(tcp) => return shake_hands(tcp, url, options, by),
            Err(error) => last = format!("{address}: {error}"),
        }
    }
    Err(last)
}

fn shake_hands(tcp: TcpStream, url: &Url, options: &Options, by: Instant) -> Result<Socket, String> {
    tcp.set_nodelay(true).map_err(|error| error.to_string())?;
    let write_timeout = Some(options.write_timeout.max(Duration::from_millis(1)));
    tcp.set_write_timeout(write_timeout).map_err(|error| error.to_string())?;
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(0)
        .max_write_buffer_size(WRITE_BUFFER)
        .max_message_size(Some(options.message_bytes))
        .max_frame_size(Some(options.message_bytes));
    let stream = Timed { tcp, deadline: by, nonblocking: false };
    match client_with_config(url.text.as_str(), stream, Some(config)) {
        Ok((socket, _)) => Ok(socket),
        Err(HandshakeError::Interrupted(_)) => Err("no answer to the handshake within the time limit".into()),
        Err(HandshakeError::Failure(WsError::Http(answer))) => Err(format!("refused with HTTP {}", answer.status())),
        Err(HandshakeError::Failure(error)) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        let table: &[(&str, Option<(&str, u16)>)] = &[
            ("ws://127.0.0.1:8080/ws/v1", Some(("127.0.0.1", 8080))),
            ("ws://localhost", Some(("localhost", 80))),
            ("ws://h/ws/v1?slow=gap", Some(("h", 80))),
            ("ws://h?slow=gap", Some(("h", 80))),
            ("ws://[::1]:8080/", Some(("::1", 8080))),
            ("ws://[::1]/", Some(("::1", 80))),
            ("http://h/", None),
            ("wss://h/", None),
            ("ws://", None),
            ("ws://:80/", None),
            ("ws://h:/", None),
            ("ws://h:65536/", None),
            ("ws://h:+1/", None),
            ("ws://[::1/", None),
            ("ws://[::1]8/", None),
            ("ws://u@h/", None),
            ("ws://h/#f", None),
            ("ws://h /", None),
            ("ws://h/\r\nX: y", None),
        ];
        for (text, want) in table {
            let got = Url::parse(text).ok();
            assert_eq!(got.as_ref().map(|url| (url.host.as_str(), url.port)), *want, "url: {text}");
        }
    }
}
