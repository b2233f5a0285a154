//! A gateway under test, and a WebSocket client that keeps what it is told and checks that nothing is missing.

use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tungstenite::protocol::WebSocket;
use tungstenite::{Error, Message};

use crate::harness::{Dir, LIMIT, Process, program};

/// A running gateway and where it listens.
pub struct Gateway {
    pub process: Process,
    pub address: String,
}

impl Gateway {
    pub fn start(dir: &Dir) -> Gateway {
        Gateway::start_with(dir, "127.0.0.1:0", &[])
    }

    pub fn start_with(dir: &Dir, listen: &str, arguments: &[&str]) -> Gateway {
        let mut command = Command::new(program("ticklane-gateway"));
        command.arg("--runtime-dir").arg(dir.run()).args(["--listen", listen]).args(arguments).stdout(Stdio::piped());
        let mut process = Process::start("ticklane-gateway", command, dir.path("gateway.log"));
        let mut line = String::new();
        BufReader::new(process.stdout()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening http://").map(str::to_string);
        let address = address.unwrap_or_else(|| panic!("the gateway says {line:?}:\n{}", process.log()));
        Gateway { process, address }
    }
}

/// A config file for [`Gateway::start_with`].
pub fn config(dir: &Dir, text: &str) -> String {
    let path = dir.path("gateway.toml");
    std::fs::write(&path, text).unwrap();
    path_text(&path)
}

fn path_text(path: &Path) -> String {
    path.to_str().unwrap().into()
}

/// (channel, levels, symbol).
pub type Topic = (String, u64, String);

pub fn topic(channel: &str, levels: u64, symbol: &str) -> Topic {
    (channel.into(), levels, symbol.into())
}

fn topic_of(frame: &Value) -> Topic {
    topic(frame["channel"].as_str().unwrap(), frame["levels"].as_u64().unwrap_or(0), frame["symbol"].as_str().unwrap())
}

/// What a client knows of one topic.
#[derive(Debug, Clone, Default)]
pub struct Held {
    pub seq: u64,
    /// The quote, the status, or `{bids, asks}`; null for trades.
    pub state: Value,
    /// Trades since the snapshot, in order.
    pub trades: Vec<Value>,
    /// Events that frames and gaps stood for since the snapshot.
    pub events: u64,
    pub snapshots: u64,
}

pub struct Client {
    socket: WebSocket<TcpStream>,
    pub held: HashMap<Topic, Held>,
    /// Frames that are about no topic: `lane`, `restart`, `gap` of a lane.
    pub notices: Vec<Value>,
    pub gaps: Vec<Value>,
    pub merged: u64,
    pub hello: Value,
}

/// How long one look at the socket lasts when nothing comes.
const LOOK: Duration = Duration::from_millis(5);

impl Client {
    pub fn connect(address: &str) -> Client {
        Client::connect_to(address, "/ws/v1")
    }

    pub fn connect_to(address: &str, path: &str) -> Client {
        Client::try_connect(address, path).unwrap()
    }

    pub fn try_connect(address: &str, path: &str) -> Result<Client, String> {
        let stream = TcpStream::connect(address).map_err(|e| e.to_string())?;
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        let url = format!("ws://{address}{path}");
        let (socket, _) = tungstenite::client::client(url, stream).map_err(|e| e.to_string())?;
        let mut client = Client {
            socket,
            held: HashMap::new(),
            notices: Vec::new(),
            gaps: Vec::new(),
            merged: 0,
            hello: Value::Null,
        };
        client.hello = client.read().ok_or("no hello")?;
        assert_eq!(client.hello["type"], "hello");
        client.socket.get_ref().set_read_timeout(Some(LOOK)).unwrap();
        Ok(client)
    }

    pub fn stream(&self) -> &TcpStream {
        self.socket.get_ref()
    }

    pub fn send(&mut self, command: &Value) {
        self.socket.send(Message::text(command.to_string())).unwrap();
    }

    /// The next frame, or `None` when none came for a moment or the gateway has closed.
    pub fn read(&mut self) -> Option<Value> {
        loop {
            match self.socket.read() {
                Ok(Message::Text(text)) => return Some(serde_json::from_str(&text).unwrap()),
                Ok(_) => {}
                Err(Error::Io(e))
                    if matches!(e.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) =>
                {
                    return None;
                }
                Err(Error::ConnectionClosed | Error::AlreadyClosed | Error::Io(_) | Error::Protocol(_)) => return None,
                Err(e) => panic!("{e}"),
            }
        }
    }

    /// The next frame, whatever it is; `idle` is called while there is none.
    pub fn next(&mut self, mut idle: impl FnMut()) -> Value {
        let began = Instant::now();
        loop {
            if let Some(frame) = self.read() {
                return frame;
            }
            idle();
            assert!(began.elapsed() < LIMIT, "no frame");
        }
    }

    /// The next frame, taken note of.
    pub fn step(&mut self, idle: impl FnMut()) -> Value {
        let frame = self.next(idle);
        self.apply(&frame);
        frame
    }

    /// Subscribes and waits for the answer and every snapshot.
    pub fn subscribe(&mut self, channel: &str, levels: u64, symbols: &[&str], mut idle: impl FnMut()) {
        let mut command = json!({"op": "subscribe", "id": 1, "channel": channel, "symbols": symbols});
        if levels > 0 {
            command["levels"] = levels.into();
        }
        self.send(&command);
        let mut missing: Vec<Topic> = symbols.iter().map(|symbol| topic(channel, levels, symbol)).collect();
        let mut acked = false;
        while !(acked && missing.is_empty()) {
            let frame = self.step(&mut idle);
            if frame["type"] == "ack" && frame["op"] == "subscribe" {
                assert_eq!(frame["refused"], json!([]), "{frame}");
                acked = true;
            }
            if frame["type"] == "snapshot" {
                assert!(acked, "a snapshot before its ack");
                missing.retain(|topic| *topic != topic_of(&frame));
            }
            assert_ne!(frame["type"], "error", "{frame}");
        }
    }

    /// Everything that was sent before this moment.
    pub fn settle(&mut self, mut idle: impl FnMut()) -> Vec<Value> {
        self.send(&json!({"op": "ping", "id": "settle"}));
        let mut frames = Vec::new();
        loop {
            let frame = self.step(&mut idle);
            if frame["type"] == "pong" && frame["id"] == "settle" {
                return frames;
            }
            frames.push(frame);
        }
    }

    /// Takes note of a frame, and panics when it does not follow on what is held.
    pub fn apply(&mut self, frame: &Value) {
        match frame["type"].as_str().unwrap() {
            "snapshot" => {
                let held = self.held.entry(topic_of(frame)).or_default();
                if let Some(merged) = frame["merged"].as_u64() {
                    assert_eq!(frame["prev"].as_u64().unwrap(), held.seq, "{frame}");
                    held.events += merged;
                    self.merged += merged;
                } else {
                    held.events = 0;
                    held.trades.clear();
                }
                held.snapshots += 1;
                held.seq = frame["seq"].as_u64().unwrap();
                held.state = if frame["channel"] == "trades" { Value::Null } else { frame["data"].clone() };
            }
            "update" => {
                let held =
                    self.held.get_mut(&topic_of(frame)).unwrap_or_else(|| panic!("before its snapshot: {frame}"));
                assert_eq!(frame["prev"].as_u64().unwrap(), held.seq, "the chain is broken: {frame}");
                held.seq = frame["seq"].as_u64().unwrap();
                let stood_for = frame["merged"].as_u64().unwrap_or(1);
                held.events += stood_for;
                self.merged += stood_for - 1;
                match frame["channel"].as_str().unwrap() {
                    "depth" => change_window(&mut held.state, frame),
                    "trades" => held.trades.push(frame.clone()),
                    _ => held.state = frame["data"].clone(),
                }
            }
            "gap" => {
                if let Some(merged) = frame["merged"].as_u64() {
                    let held = self.held.get_mut(&topic_of(frame)).unwrap();
                    assert_eq!(frame["prev"].as_u64().unwrap(), held.seq, "{frame}");
                    held.seq = frame["last"].as_u64().unwrap();
                    held.events += merged;
                    self.merged += merged;
                } else if frame["reason"] == "lapped" {
                    let last = frame["last"].as_u64().unwrap();
                    for (topic, held) in &mut self.held {
                        if topic.0 == "trades" {
                            held.seq = last;
                        }
                    }
                }
                self.gaps.push(frame.clone());
            }
            "lane" | "restart" => self.notices.push(frame.clone()),
            _ => {}
        }
    }
}

/// Applies the changes of an update to a window, by price.
fn change_window(state: &mut Value, frame: &Value) {
    let levels = frame["levels"].as_u64().unwrap() as usize;
    for change in frame["data"]["changes"].as_array().unwrap() {
        let side = if change[0] == "bid" { "bids" } else { "asks" };
        let window = state[side].as_array_mut().unwrap();
        let key = |level: &Value| {
            let price = (level.as_f64().unwrap() * 1e9).round() as i64;
            if side == "bids" { -price } else { price }
        };
        let mut by_price: BTreeMap<i64, Value> = window.drain(..).map(|level| (key(&level[0]), level)).collect();
        let at = key(&change[1]);
        if change[2] == 0 {
            assert!(by_price.remove(&at).is_some(), "a level left that was not there: {frame}");
        } else {
            by_price.insert(at, json!([change[1], change[2], change[3]]));
        }
        *window = by_price.into_values().collect();
    }
    for side in ["bids", "asks"] {
        assert!(state[side].as_array().unwrap().len() <= levels, "more levels than asked for: {frame}");
    }
}
