//! One subscriber: its handshake, what it wants, and what it makes of the bytes that come.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

use shm_abi::sys::realtime_ns;

use super::source::symbol;
use super::wire::{self, Scanner};
use crate::stats::Latency;
use crate::{BenchError, Result, floor, io_error};

/// The server did what it should not.
pub fn broken(what: impl std::fmt::Display) -> BenchError {
    BenchError::Partner { role: "server".into(), what: what.to_string() }
}

/// What all subscribers count together.
#[derive(Debug)]
pub struct Tally {
    scanner: Scanner,
    /// Updates published before this do not count, ns since the UNIX epoch.
    pub counted_from_ns: u64,
    /// From publication to receipt, of prompt readers.
    pub age: Latency,
    /// The same of slow readers.
    pub slow_age: Latency,
    /// Gaps, restarts and changes of the lane's state: none is expected.
    pub notices: u64,
}

impl Default for Tally {
    fn default() -> Self {
        Tally {
            scanner: Scanner::default(),
            counted_from_ns: u64::MAX,
            age: Latency::new(1.0),
            slow_age: Latency::new(1.0),
            notices: 0,
        }
    }
}

/// How a subscriber says what it wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speech {
    /// The native protocol: `hello`, `subscribe`, `ack`.
    Native,
    /// In the request's query: `first` topic and `count`.
    Query,
}

/// How fast a subscriber reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// Whatever comes, at once.
    Prompt,
    /// At most so many bytes a second.
    Slow(u64),
    /// Nothing after its snapshot.
    Stopped,
}

/// Which topics a subscriber has: `count` of `of`, from `first` on and round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Topics {
    /// First of them.
    pub first: u32,
    /// How many.
    pub count: u32,
    /// Topics that there are.
    pub of: u32,
}

impl Topics {
    /// The topics, in order.
    pub fn iter(self) -> impl Iterator<Item = u32> {
        (0..self.count).map(move |i| (self.first + i) % self.of)
    }

    /// Place of a topic among them; `None`: it is not one of them.
    #[inline(always)]
    pub fn place(self, topic: u32) -> Option<usize> {
        if topic >= self.of {
            return None;
        }
        let place = if topic >= self.first { topic - self.first } else { topic + self.of - self.first };
        (place < self.count).then_some(place as usize)
    }
}

/// One connection.
#[derive(Debug)]
pub struct Subscriber {
    /// Its socket.
    pub stream: TcpStream,
    /// How fast it reads.
    pub pace: Pace,
    /// What it wants.
    pub topics: Topics,
    /// Updates received that count.
    pub updates: u64,
    /// Events that they stand for.
    pub events: u64,
    /// Number of the newest event of each of its topics.
    pub newest: Vec<u64>,
    /// The beginning of a frame, or of the handshake's answer.
    left: Vec<u8>,
    upgraded: bool,
    asked: bool,
    acknowledged: bool,
    snapshots: u32,
}

impl Subscriber {
    /// Connects to the server on `port` and asks for a WebSocket.
    ///
    /// # Errors
    /// When there is no server.
    pub fn connect(port: u16, speech: Speech, topics: Topics, pace: Pace) -> Result<Subscriber> {
        let stream = TcpStream::connect(("127.0.0.1", port)).map_err(io_error("connect to the server"))?;
        let target = match speech {
            Speech::Native => "/ws/v1".to_owned(),
            Speech::Query => format!("/ws/v1?first={}&count={}", topics.first, topics.count),
        };
        ask(&stream, wire::request(&target, port).as_bytes())?;
        floor::prepare_stream(&stream).map_err(io_error("set up a connection"))?;
        Ok(Subscriber {
            stream,
            pace,
            topics,
            updates: 0,
            events: 0,
            newest: vec![0; topics.count as usize],
            left: Vec::new(),
            upgraded: false,
            asked: speech == Speech::Query,
            acknowledged: speech == Speech::Query,
            snapshots: 0,
        })
    }

    /// Whether it has a snapshot of each of its topics.
    pub fn is_open(&self) -> bool {
        self.upgraded && self.acknowledged && self.snapshots >= self.topics.count
    }

    /// Whether it reads whatever comes.
    pub fn is_prompt(&self) -> bool {
        self.pace == Pace::Prompt
    }

    /// A step on the way to the snapshots.
    ///
    /// # Errors
    /// As [`Subscriber::read`].
    pub fn open(&mut self, buffer: &mut [u8], tally: &mut Tally) -> Result<()> {
        self.read(buffer, tally)?;
        if self.upgraded && !self.asked {
            self.asked = true;
            ask(&self.stream, &wire::client_frame(wire::TEXT, subscribe(self.topics).as_bytes()))?;
        }
        Ok(())
    }

    /// One read, and everything that is whole after it.
    ///
    /// # Errors
    /// When the connection breaks or the server sends what it should not.
    pub fn read(&mut self, buffer: &mut [u8], tally: &mut Tally) -> Result<()> {
        let got = match (&self.stream).read(buffer) {
            Ok(0) => return Err(broken("it closed a connection")),
            Ok(got) => got,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(io_error("receive from the server")(error)),
        };
        let now = realtime_ns();
        if self.left.is_empty() {
            let used = self.take(&buffer[..got], now, tally)?;
            self.left.extend_from_slice(&buffer[used..got]);
            return Ok(());
        }
        let mut bytes = std::mem::take(&mut self.left);
        bytes.extend_from_slice(&buffer[..got]);
        let used = self.take(&bytes, now, tally)?;
        bytes.drain(..used);
        self.left = bytes;
        Ok(())
    }

    /// Takes what is whole, and says how many bytes that was.
    fn take(&mut self, bytes: &[u8], now: u64, tally: &mut Tally) -> Result<usize> {
        let mut at = 0;
        if !self.upgraded {
            let Some(end) = wire::header_end(bytes) else { return Ok(0) };
            if !bytes.starts_with(b"HTTP/1.1 101") {
                return Err(broken(format!("it answered {:?}", String::from_utf8_lossy(&bytes[..end]))));
            }
            self.upgraded = true;
            at = end;
        }
        while let Some(frame) = wire::server_frame(&bytes[at..]).map_err(broken)? {
            let payload = &bytes[at..][frame.payload.clone()];
            at += frame.payload.end;
            match frame.opcode {
                wire::TEXT => self.take_message(payload, now, tally)?,
                wire::PING => {
                    // A pong that finds no room is late, and that is what a late pong says.
                    let _ = (&self.stream).write(&wire::client_frame(wire::PONG, payload));
                }
                wire::PONG => {}
                _ => {
                    return Err(broken(format!(
                        "a frame of opcode {}: {:?}",
                        frame.opcode,
                        String::from_utf8_lossy(payload)
                    )));
                }
            }
        }
        Ok(at)
    }

    #[inline]
    fn take_message(&mut self, payload: &[u8], now: u64, tally: &mut Tally) -> Result<()> {
        let unknown = || broken(format!("it sent {}", String::from_utf8_lossy(payload)));
        let kind = payload.strip_prefix(br#"{"type":""#).ok_or_else(unknown)?;
        if kind.starts_with(b"update") || kind.starts_with(b"snapshot") {
            let update = tally.scanner.scan(payload).ok_or_else(unknown)?;
            let place = self.topics.place(update.topic).ok_or_else(unknown)?;
            self.newest[place] = update.seq;
            if kind.starts_with(b"snapshot") {
                self.snapshots += 1;
            } else if update.ts_publish >= tally.counted_from_ns {
                let age = if self.is_prompt() { &mut tally.age } else { &mut tally.slow_age };
                age.record(now.saturating_sub(update.ts_publish));
                self.updates += 1;
                self.events += update.events;
            }
        } else if kind.starts_with(b"ack") {
            const REFUSED: &[u8] = br#""refused":[{"#;
            if payload.windows(REFUSED.len()).any(|window| window == REFUSED) {
                return Err(unknown());
            }
            self.acknowledged = true;
        } else if !kind.starts_with(b"hello") {
            tally.notices += 1;
            if kind.starts_with(b"error") {
                return Err(unknown());
            }
        }
        Ok(())
    }
}

/// A fresh socket takes so little whole, also when it does not block.
fn ask(mut stream: &TcpStream, bytes: &[u8]) -> Result<()> {
    stream.write_all(bytes).map_err(io_error("ask the server"))
}

fn subscribe(topics: Topics) -> String {
    let symbols: Vec<String> = topics.iter().map(symbol).collect();
    serde_json::json!({ "op": "subscribe", "channel": "quotes", "symbols": symbols }).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_go_round() {
        let topics = Topics { first: 490, count: 20, of: 500 };
        let all: Vec<u32> = topics.iter().collect();
        assert_eq!((all[0], all[9], all[10], all[19]), (490, 499, 0, 9));
        for (place, topic) in all.iter().enumerate() {
            assert_eq!(topics.place(*topic), Some(place));
        }
        for topic in [10, 489, 500, u32::MAX] {
            assert_eq!(topics.place(topic), None, "{topic}");
        }
    }

    #[test]
    fn the_command_is_the_protocols() {
        let command: serde_json::Value =
            serde_json::from_str(&subscribe(Topics { first: 499, count: 2, of: 500 })).unwrap();
        assert_eq!(command["op"], "subscribe");
        assert_eq!(command["symbols"], serde_json::json!(["S499", "S000"]));
    }
}
