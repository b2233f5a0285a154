//! A strategy, REST and WebSocket clients are told the same, at the same numbers, at every event.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use wire::itchfile::Messages;

use crate::client::{Client, Gateway, Topic, topic};
use crate::expect;
use crate::hand::{Hand, Seen};
use crate::harness::{Dir, data, random, unpacked};
use crate::rest::Rest;

const FILES: [&str; 3] = [
    "itch50/nasdaq_20200130_AAPL_first4000.bin",
    "itch50/nasdaq_startofday_first1000.bin",
    "derived/es_20240508.itch50.gz",
];
/// Instruments of a file that are followed: the first ones.
const FOLLOWED: usize = 8;
/// Clients that join at random moments.
const JOINS: usize = 12;
/// What is subscribed of each instrument.
const CHANNELS: [(&str, u64); 5] = [("quotes", 0), ("depth", 5), ("depth", 10), ("trades", 0), ("status", 0)];

fn messages(dir: &Dir, path: &std::path::Path) -> Vec<Vec<u8>> {
    let bytes = std::fs::read(unpacked(dir, path)).unwrap();
    Messages::new(&bytes).map(|message| message.unwrap().1.to_vec()).collect()
}

/// What stood on the followed rows before a message.
#[derive(Default)]
struct Before {
    states: Vec<[Value; 4]>,
}

/// Quote, both windows, status.
fn states(hand: &Hand, row: usize) -> [Value; 4] {
    let image = hand.row(row);
    [expect::quote(&image), expect::window(&image, 5), expect::window(&image, 10), expect::status(&image)]
}

const STATE_CHANNELS: [(&str, u64); 4] = [("quotes", 0), ("depth", 5), ("depth", 10), ("status", 0)];

/// A frame that must come: its topic, its number, and the state after it (for trades: its data).
struct Due {
    topic: Topic,
    seq: u64,
    state: Value,
}

/// What a message must make the gateway say.
fn due(hand: &Hand, before: &Before, seen: &[Seen]) -> Vec<Due> {
    let mut due = Vec::new();
    for (row, before) in before.states.iter().enumerate() {
        let symbol = hand.symbol(row);
        let id = hand.segment.directory().get(row).unwrap().instrument_id;
        let image = hand.row(row);
        for (((channel, levels), before), after) in STATE_CHANNELS.into_iter().zip(before).zip(states(hand, row)) {
            if *before != after {
                due.push(Due { topic: topic(channel, levels, &symbol), seq: image.market_n(), state: after });
            }
        }
        for seen in seen.iter().filter(|seen| seen.is_trade() && seen.record().head.instrument_id == id) {
            let state = expect::trade(&seen.record()).unwrap();
            due.push(Due { topic: topic("trades", 0, &symbol), seq: seen.n, state });
        }
    }
    due
}

/// Reads exactly what is due for this client's topics, and holds it against the board.
fn follow(client: &mut Client, hand: &mut Hand, due: &[Due]) {
    let mut missing: Vec<&Due> = due.iter().filter(|due| client.held.contains_key(&due.topic)).collect();
    while !missing.is_empty() {
        let frame = client.step(|| hand.beat());
        if frame["type"] == "lane" {
            // A slow test machine: this lane's heart beats only when the test comes round to it.
            continue;
        }
        assert_eq!(frame["type"], "update", "{frame}");
        let levels = frame["levels"].as_u64().unwrap_or(0);
        let about = topic(frame["channel"].as_str().unwrap(), levels, frame["symbol"].as_str().unwrap());
        let seq = frame["seq"].as_u64().unwrap();
        let at = missing.iter().position(|due| due.topic == about && due.seq == seq);
        let due = missing.remove(at.unwrap_or_else(|| panic!("nobody asked for this: {frame}")));
        let got = if about.0 == "trades" { &frame["data"] } else { &client.held[&about].state };
        assert_eq!(*got, due.state, "{frame}");
    }
}

fn subscribe_all(client: &mut Client, hand: &mut Hand, symbol: &str, channels: &[(&str, u64)]) {
    for (channel, levels) in channels {
        client.subscribe(channel, *levels, &[symbol], || hand.beat());
    }
}

/// Holds what a client was given in its snapshots against the board.
fn compare_snapshots(client: &Client, hand: &Hand, row: usize) {
    let symbol = hand.symbol(row);
    for ((channel, levels), state) in STATE_CHANNELS.into_iter().zip(states(hand, row)) {
        if let Some(held) = client.held.get(&topic(channel, levels, &symbol)) {
            assert_eq!(held.state, state, "{channel} of {symbol}");
            assert!(held.seq <= hand.row(row).market_n(), "{channel} of {symbol} is ahead of the board");
        }
    }
}

/// REST tells the same of this row.
fn ask(rest: &mut Rest, hand: &Hand, row: usize) {
    let (symbol, image) = (hand.symbol(row), hand.row(row));
    let (status, quote) = rest.get(&format!("/api/v1/quotes/{symbol}"));
    assert_eq!((status, &quote["seq"]), (200, &json!(image.market_n())), "{quote}");
    assert_eq!(quote["data"], expect::quote(&image), "{symbol}");
    let (status, depth) = rest.get(&format!("/api/v1/depth/{symbol}?levels=10"));
    assert_eq!((status, &depth["seq"], &depth["data"]), (200, &json!(image.market_n()), &expect::window(&image, 10)));
}

/// One file, message by message: after each, every client holds what the board holds, and REST answers it.
fn play(path: &std::path::Path, seed: u64) {
    let dir = Dir::new();
    let mut hand = Hand::new(&dir.run());
    let gateway = Gateway::start(&dir);
    let mut rest = Rest::connect(&gateway.address);
    let messages = messages(&dir, path);
    let mut state = seed;
    let joins: BTreeSet<usize> = (0..JOINS).map(|_| random(&mut state) as usize % messages.len()).collect();
    let mut first = Client::connect(&gateway.address);
    let mut others: Vec<Client> = Vec::new();
    let mut before = Before::default();
    let (mut quotes, mut trades) = (0, Vec::new());
    for (at, message) in messages.iter().enumerate() {
        let seen = hand.apply(message);
        let due = due(&hand, &before, &seen);
        for client in std::iter::once(&mut first).chain(&mut others) {
            follow(client, &mut hand, &due);
        }
        for row in 0..before.states.len() {
            let symbol = hand.symbol(row);
            if due.iter().any(|due| due.topic == topic("quotes", 0, &symbol)) {
                quotes += 1;
                ask(&mut rest, &hand, row);
            }
        }
        trades.extend(due.into_iter().filter(|due| due.topic.0 == "trades"));
        // A new instrument is followed from its first moment on, a random client from this one.
        while before.states.len() < hand.instruments().min(FOLLOWED) {
            let row = before.states.len();
            let symbol = hand.symbol(row);
            subscribe_all(&mut first, &mut hand, &symbol, &CHANNELS);
            before.states.push(states(&hand, row));
            compare_snapshots(&first, &hand, row);
        }
        if joins.contains(&at) && !before.states.is_empty() {
            let row = random(&mut state) as usize % before.states.len();
            let channels: Vec<_> = CHANNELS.into_iter().filter(|_| random(&mut state).is_multiple_of(2)).collect();
            let (mut client, symbol) = (Client::connect(&gateway.address), hand.symbol(row));
            subscribe_all(&mut client, &mut hand, &symbol, &channels);
            compare_snapshots(&client, &hand, row);
            others.push(client);
        }
        for (row, states_before) in before.states.iter_mut().enumerate() {
            *states_before = states(&hand, row);
        }
    }
    for client in std::iter::once(&mut first).chain(&mut others) {
        let more: Vec<Value> =
            client.settle(|| hand.beat()).into_iter().filter(|frame| frame["type"] != "lane").collect();
        assert_eq!(more, Vec::<Value>::new(), "something more was said");
        assert_eq!((client.merged, client.gaps.len()), (0, 0));
    }
    eprintln!("{}: {quotes} quote changes, {} trades, {} joins", path.display(), trades.len(), others.len());
    compare_trades(&mut rest, &trades);
    assert!(gateway.process.terminate().success());
}

/// The newest trades over REST are those that were told.
fn compare_trades(rest: &mut Rest, told: &[Due]) {
    let symbols: BTreeSet<&str> = told.iter().map(|due| due.topic.2.as_str()).collect();
    for symbol in symbols {
        let (status, answer) = rest.get(&format!("/api/v1/trades/{symbol}?limit=20"));
        assert_eq!(status, 200, "{answer}");
        let got = answer["data"]["trades"].as_array().or(answer["trades"].as_array()).unwrap();
        let told = told.iter().filter(|due| due.topic.2 == symbol && due.state.get("broken").is_none());
        let want: Vec<(u64, &Value)> = told.map(|due| (due.seq, &due.state)).collect();
        let want = &want[want.len().saturating_sub(20)..];
        assert_eq!(got.len(), want.len(), "{symbol}");
        for (got, (seq, want)) in got.iter().zip(want) {
            assert_eq!(got["seq"].as_u64(), Some(*seq));
            assert_eq!(expect::without(got, &["seq", "ts_event", "ts_recv", "ts_publish", "ts_gateway"]), **want);
        }
    }
}

#[test]
fn strategy_rest_and_websocket_agree_at_every_quote_change() {
    let seed = std::env::var("TICKLANE_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0x5eed_0003);
    eprintln!("seed {seed} (TICKLANE_SEED)");
    for file in FILES {
        if let Some(path) = data(file) {
            play(&path, seed);
        }
    }
}
