//! The conversations of `clients/scenarios`, held with the real gateway while a market moves; and the Rust client's
//! view of that market.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use ticklane_client::websocket::scenario::{Act, Expectation, Scenario, Symbols, Verdict};
use ticklane_client::websocket::view::View;
use ticklane_client::websocket::{Channel, Client as Typed, Event, Options, Subscription};
use tungstenite::{Error, Message, WebSocket};

use crate::client::Gateway;
use crate::expect;
use crate::harness::{Dir, Engine, EngineOptions, LIMIT, Venue, wait_until};
use crate::rest::Rest;

/// A market of twenty symbols, an engine, and a gateway that is ready.
pub struct System {
    pub dir: Dir,
    pub venue: Venue,
    pub engine: Engine,
    pub gateway: Gateway,
    pub symbols: Vec<String>,
}

impl System {
    pub fn start() -> System {
        let dir = Dir::new();
        let venue = Venue::start(&dir, &["--symbols", "20", "--rate", "2000", "--profile", "endless"]);
        let engine = Engine::start(&dir, &EngineOptions::to(venue.port));
        let segment = engine.segment();
        wait_until("every instrument", || segment.directory().count() == 20);
        let gateway = Gateway::start(&dir);
        wait_until("readiness", || Rest::connect(&gateway.address).get("/ready").0 == 200);
        let symbols = (0..20).map(|row| segment.directory().get(row).unwrap().symbol.to_string()).collect();
        System { dir, venue, engine, gateway, symbols }
    }
}

fn open(address: &str) -> WebSocket<std::net::TcpStream> {
    let stream = std::net::TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    let (mut socket, _) = tungstenite::client::client(format!("ws://{address}/ws/v1"), stream).unwrap();
    let hello: Value = serde_json::from_str(socket.read().unwrap().to_text().unwrap()).unwrap();
    assert_eq!(hello["type"], "hello");
    socket
}

fn expect_message(name: &str, socket: &mut WebSocket<std::net::TcpStream>, expectation: &Expectation) {
    loop {
        let message = socket.read().unwrap_or_else(|e| panic!("{name}: {e} instead of {expectation:?}"));
        let Message::Text(text) = message else { continue };
        match expectation.judge(&text) {
            Verdict::Match => return,
            Verdict::Skip => {}
            Verdict::Mismatch(why) => panic!("{name}: {why}: {text}"),
        }
    }
}

fn expect_close(name: &str, socket: &mut WebSocket<std::net::TcpStream>, code: u16) {
    loop {
        match socket.read() {
            Ok(Message::Close(frame)) => {
                assert_eq!(frame.map(|frame| u16::from(frame.code)), Some(code), "{name}");
                return;
            }
            Ok(_) => {}
            Err(Error::Io(e)) if e.kind() == std::io::ErrorKind::WouldBlock => panic!("{name}: it does not close"),
            Err(e) => panic!("{name}: {e} instead of a close frame"),
        }
    }
}

#[test]
fn every_scenario_is_answered_as_it_says() {
    let system = System::start();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../clients/scenarios");
    let symbols = Symbols::new(system.symbols.clone());
    let mut held = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let scenario = Scenario::parse(&std::fs::read_to_string(&path).unwrap()).unwrap();
        assert_eq!(path.file_stem().unwrap().to_str(), Some(scenario.name.as_str()));
        let mut socket = open(&system.gateway.address);
        for act in scenario.acts(&symbols).unwrap() {
            match act {
                Act::SendText(text) => socket.send(Message::text(text)).unwrap(),
                Act::SendBinary(bytes) => socket.send(Message::binary(bytes)).unwrap(),
                Act::Expect(expectation) => expect_message(&scenario.name, &mut socket, &expectation),
                Act::ExpectClose(code) => expect_close(&scenario.name, &mut socket, code),
            }
        }
        held += 1;
    }
    assert!(held >= 20, "{held} scenarios");
}

/// Until the client holds, of every symbol, what REST answers.
fn wait_for_rest(client: &mut Typed, view: &mut View, system: &System, log: &mut Vec<Event>) {
    let began = Instant::now();
    let mut rest = Rest::connect(&system.gateway.address);
    for symbol in &system.symbols[..5] {
        loop {
            while let Some(event) = client.next_within(Duration::from_millis(1)).unwrap() {
                view.apply(&event);
                log.push(event);
            }
            let (_, answer) = rest.get(&format!("/api/v1/quotes/{symbol}"));
            let bid = view.quote(symbol).and_then(|held| held.whole()?.bid).map(|bid| expect::price(bid.price));
            if bid.as_ref() == Some(&answer["data"]["bid"]["price"]) {
                break;
            }
            assert!(began.elapsed() < LIMIT, "{symbol}: {bid:?} instead of {answer}");
        }
    }
}

#[test]
fn the_rust_client_outlives_a_gateway() {
    let mut system = System::start();
    let mut client = Typed::connect(&format!("ws://{}/ws/v1", system.gateway.address), Options::default()).unwrap();
    let followed: Vec<&str> = system.symbols[..5].iter().map(String::as_str).collect();
    for channel in [Channel::Quotes, Channel::Trades] {
        client.subscribe(Subscription::new(channel, followed.clone())).unwrap();
    }
    let (mut view, mut log) = (View::default(), Vec::new());
    wait_for_rest(&mut client, &mut view, &system, &mut log);
    let address = system.gateway.address.clone();
    system.gateway.process.kill();
    system.gateway = Gateway::start_with(&system.dir, &address, &[]);
    wait_until("the client to be back", || {
        while let Some(event) = client.next_within(Duration::from_millis(1)).unwrap() {
            view.apply(&event);
            log.push(event);
        }
        log.iter().any(|event| matches!(event, Event::Reconnected(_)))
    });
    wait_for_rest(&mut client, &mut view, &system, &mut log);
    for event in &log {
        assert!(!matches!(event, Event::Undeclared { .. } | Event::Gap(_)), "{event:?}");
    }
    assert!(log.iter().any(|event| matches!(event, Event::Disconnected { .. })));
    let (_, status) = Rest::connect(&address).get("/status");
    assert_eq!(status["lanes"][0]["state"], json!("live"));
    assert!(system.gateway.process.terminate().success() && system.engine.process.terminate().success());
    drop(system.venue);
}
