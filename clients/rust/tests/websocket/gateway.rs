//! A gateway that follows a script, and a client that is asked until something happens.

use std::net::{TcpListener, TcpStream};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use ticklane_client::websocket::{Client, Event, Options};
use tungstenite::{Message, WebSocket};

/// Longest wait for a condition that must come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// Epoch of the lane in every script.
pub(crate) const EPOCH: &str = "00c0ffee00c0ffee";

/// One connection, from the gateway's side.
pub(crate) struct Peer(pub(crate) WebSocket<TcpStream>);

impl Peer {
    /// The next connection, greeted.
    pub(crate) fn accept(listener: &TcpListener) -> Peer {
        let mut peer = Peer::silent(listener);
        peer.say(hello());
        peer
    }

    /// The next connection, without a word.
    pub(crate) fn silent(listener: &TcpListener) -> Peer {
        let (tcp, _) = listener.accept().unwrap();
        tcp.set_read_timeout(Some(PATIENCE)).unwrap();
        Peer(tungstenite::accept(tcp).unwrap())
    }

    pub(crate) fn say(&mut self, frame: Value) {
        self.0.send(Message::text(frame.to_string())).unwrap();
    }

    pub(crate) fn say_text(&mut self, text: &str) {
        self.0.send(Message::text(text)).unwrap();
    }

    /// The next command; `None` when the client has gone.
    pub(crate) fn command(&mut self) -> Option<Value> {
        loop {
            match self.0.read() {
                Ok(Message::Text(text)) => return Some(serde_json::from_str(text.as_str()).unwrap()),
                Ok(Message::Close(_)) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    /// Takes a subscription as it is and acknowledges it.
    pub(crate) fn grant(&mut self) -> Value {
        let command = self.command().expect("a command");
        let mut ack = json!({
            "type": "ack", "id": command["id"], "op": command["op"], "channel": command["channel"],
            "symbols": command["symbols"], "refused": [], "streams": [
                {"stream": 1, "lane": "lane0", "epoch": EPOCH, "cursor": format!("lane0.{EPOCH}.100")}],
        });
        if let Some(levels) = command.get("levels") {
            ack["levels"] = levels.clone();
        }
        self.say(ack);
        command
    }

    /// Ends the connection without a word.
    pub(crate) fn hang_up(self) {
        drop(self.0);
    }

    /// Reads until the client has gone.
    pub(crate) fn linger(mut self) {
        while self.command().is_some() {}
    }
}

pub(crate) fn hello() -> Value {
    json!({"type": "hello", "protocol": 1, "server": "scripted 1", "slow": "conflate",
        "lanes": [{"lane": "lane0", "stream": 1, "epoch": EPOCH, "state": "live", "cursor": format!("lane0.{EPOCH}.100")}],
        "limits": {"subscriptions": 1000, "symbols": 500, "message_bytes": 65536, "commands_per_second": 20,
            "commands_burst": 100, "queued_bytes": 1048576}})
}

/// A snapshot or an update: what `extra` has is added to what every one has.
pub(crate) fn frame(kind: &str, channel: &str, seq: u64, extra: Value) -> Value {
    let mut frame = json!({"type": kind, "channel": channel, "symbol": "AAPL", "stream": 1, "seq": seq,
        "ts_event": "1580394600000000000", "ts_recv": "0", "ts_publish": "7", "ts_gateway": "9"});
    if kind == "snapshot" {
        frame["venue"] = json!("XNAS");
        frame["cursor"] = json!(format!("lane0.{EPOCH}.{seq}"));
    }
    if channel == "depth" {
        frame["levels"] = json!(5);
    }
    for (name, value) in extra.as_object().unwrap() {
        frame[name] = value.clone();
    }
    frame
}

/// A quote whose best bid has this quantity.
pub(crate) fn quote(quantity: u64) -> Value {
    json!({"bid": {"price": 123.45, "quantity": quantity, "orders": 3}, "ask": null,
        "last": {"price": 123.46, "quantity": 10, "match_id": "77", "ts_event": "1580394599000000000"},
        "open": 123, "high": 124.5, "low": 122.9, "close": null, "previous_close": 122.95,
        "volume": 12000, "turnover": 1481520.5, "trades": 42})
}

pub(crate) fn trade(match_id: u64) -> Value {
    json!({"price": 123.46, "quantity": 10, "side": "ask", "cross": null, "match_id": match_id.to_string(),
        "printed": true, "hidden": false})
}

/// Limits that let a test end soon.
pub(crate) fn quick() -> Options {
    Options {
        retry_min: Duration::from_millis(1),
        retry_max: Duration::from_millis(20),
        refused_retry: Duration::from_millis(5),
        ..Options::default()
    }
}

/// A gateway that follows `script`, and a client of it. Join the script at the end: it may have failed.
pub(crate) fn play(options: Options, script: impl FnOnce(&TcpListener) + Send + 'static) -> (Client, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/ws/v1", listener.local_addr().unwrap());
    let script = std::thread::spawn(move || script(&listener));
    (Client::connect(&url, options).unwrap(), script)
}

/// Ends the client, then the script.
pub(crate) fn finish(client: Client, script: JoinHandle<()>) {
    client.close();
    script.join().unwrap();
}

/// Events until `last` is true of one, that one included.
pub(crate) fn until(client: &mut Client, last: impl Fn(&Event) -> bool) -> Vec<Event> {
    let deadline = Instant::now() + PATIENCE;
    let mut events = Vec::new();
    while !events.last().is_some_and(&last) {
        assert!(Instant::now() < deadline, "it did not come after {events:?}");
        events.extend(client.next_within(Duration::from_millis(50)).unwrap());
    }
    events
}

/// An event in a few words, to compare sequences of them.
pub(crate) fn brief(event: &Event) -> String {
    match event {
        Event::Connected(_) => "connected".into(),
        Event::Reconnected(_) => "reconnected".into(),
        Event::Disconnected { code, .. } => format!("disconnected {code:?}"),
        Event::Ack(ack) => format!("ack {} {}", ack.channel, ack.symbols.join(",")),
        Event::Refused(refused) => format!("refused {} {} {}", refused.symbol, refused.code, refused.will_retry),
        Event::ServerError(error) => format!("error {}", error.code),
        Event::Snapshot(snapshot) => format!("snapshot {} {}", snapshot.topic, snapshot.seq),
        Event::Update(update) => format!("update {} {}", update.topic, update.seq),
        Event::Gap(gap) => format!("{gap:?}").split(' ').next().unwrap().to_lowercase(),
        Event::Undeclared { topic, expected_prev, got_prev } => format!("hole {topic} {expected_prev:?} {got_prev}"),
        Event::Restart(restart) => format!("restart {} to {}", restart.old_stream, restart.stream),
        Event::Replay(replay) => format!("replay {} after {}", replay.stream, replay.cursor),
        Event::LaneState { lane, state, .. } => format!("{lane} {state:?}"),
        Event::Subscriptions { .. } => "subscriptions".into(),
        Event::Pong { .. } => "pong".into(),
        Event::Unknown { kind } => format!("unknown {kind}"),
        Event::Malformed { .. } => "malformed".into(),
    }
}

/// Briefs of the events until one has this brief.
pub(crate) fn briefs(client: &mut Client, last: &str) -> Vec<String> {
    until(client, |event| brief(event) == last).iter().map(brief).collect()
}
