//! What goes wrong between engine, gateway and client, and what a client is told of it.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::{Value, json};
use shm_abi::board::RowImage;
use shm_abi::counters::FeedCounter;
use shm_abi::segment::Segment;

use crate::client::{Client, Gateway, topic};
use crate::expect;
use crate::harness::{Dir, Engine, EngineOptions, Venue, data, feed_counter, unpacked, wait_until};
use crate::rest::Rest;

/// A file that trades, and its number of messages.
const FILES: [(&str, u64); 2] =
    [("itch50/nasdaq_20200130_AAPL_first4000.bin", 4_000), ("derived/es_20240508.itch50.gz", 13_792)];

struct Input {
    path: PathBuf,
    messages: u64,
}

fn inputs(dir: &Dir) -> Vec<Input> {
    FILES
        .iter()
        .filter_map(|(name, messages)| {
            let path = data(name)?;
            Some(Input { path: unpacked(dir, &path), messages: *messages })
        })
        .collect()
}

/// One byte at a time: slow enough that there is a middle.
fn venue(dir: &Dir, input: &Input) -> Venue {
    let file = input.path.to_str().unwrap();
    Venue::start(dir, &["--file", file, "--speed", "max", "--at-end", "hold", "--fault", "one-byte"])
}

/// The symbol of the first instrument, once it is there and the gateway is ready.
fn first_symbol(gateway: &Gateway, segment: &Segment) -> String {
    wait_until("an instrument", || segment.directory().count() > 0);
    wait_until("readiness", || Rest::connect(&gateway.address).get("/ready").0 == 200);
    segment.directory().get(0).unwrap().symbol.to_string()
}

fn row_of(segment: &Segment, symbol: &str) -> RowImage {
    let directory = segment.directory();
    let row = (0..directory.count()).find(|row| directory.get(*row).unwrap().symbol.as_str() == symbol).unwrap();
    let mut image = RowImage::default();
    segment.board().read(row, &mut image, || true).unwrap();
    image
}

/// Takes what comes until the client holds what the board holds, after everything was published.
fn wait_for_board(client: &mut Client, segment: &Segment, symbol: &str) {
    wait_until("the client to hold what the board holds", || {
        while let Some(frame) = client.read() {
            client.apply(&frame);
        }
        let image = row_of(segment, symbol);
        let held = |channel: &str, levels| client.held.get(&topic(channel, levels, symbol)).map(|held| &held.state);
        held("quotes", 0) == Some(&expect::quote(&image))
            && held("depth", 10) == Some(&expect::window(&image, 10))
            && held("status", 0) == Some(&expect::status(&image))
    });
}

const CHANNELS: [(&str, u64); 4] = [("quotes", 0), ("depth", 10), ("trades", 0), ("status", 0)];

fn follow_all(client: &mut Client, symbol: &str) {
    for (channel, levels) in CHANNELS {
        client.subscribe(channel, levels, &[symbol], || {});
    }
}

#[test]
fn the_engine_is_killed_and_restarted_in_the_middle() {
    const KILLS: u64 = 3;
    let unpack = Dir::new();
    for input in inputs(&unpack) {
        let dir = Dir::new();
        let venue = venue(&dir, &input);
        let options = EngineOptions::to(venue.port);
        let mut engine = Engine::start(&dir, &options);
        let gateway = Gateway::start(&dir);
        let mut segment = engine.segment();
        let symbol = first_symbol(&gateway, &segment);
        let mut client = Client::connect(&gateway.address);
        follow_all(&mut client, &symbol);
        let restarts = |client: &Client| client.notices.iter().filter(|notice| notice["type"] == "restart").count();
        for kill in 1..=KILLS {
            wait_until("the middle", || {
                while let Some(frame) = client.read() {
                    client.apply(&frame);
                }
                restarts(&client) as u64 == kill - 1
                    && feed_counter(&segment, FeedCounter::NextSequence) > input.messages * kill / (KILLS + 1)
            });
            engine.process.kill();
            engine = Engine::start(&dir, &options);
            segment = engine.segment();
        }
        engine.wait_for_sequence(&segment, input.messages + 1);
        wait_for_board(&mut client, &segment, &symbol);
        assert_eq!(restarts(&client) as u64, KILLS, "every restart is declared: {:?}", client.notices);
        for notice in client.notices.iter().filter(|notice| notice["type"] == "restart") {
            assert_eq!(notice["reason"], "engine");
            assert_eq!(notice["drained_to"], notice["old_end"], "the old ring was read to its end: {notice}");
        }
        let epochs: BTreeSet<&str> = client.notices.iter().filter_map(|notice| notice["epoch"].as_str()).collect();
        assert_eq!(epochs.len() as u64, KILLS);
        let (status, answer) = Rest::connect(&gateway.address).get(&format!("/api/v1/quotes/{symbol}"));
        assert_eq!((status, &answer["data"]), (200, &expect::quote(&row_of(&segment, &symbol))));
        assert!(gateway.process.terminate().success());
    }
}

#[test]
fn the_gateway_is_killed_and_trades_are_resumed_without_loss() {
    const KILLS: u64 = 3;
    let unpack = Dir::new();
    for input in inputs(&unpack) {
        let dir = Dir::new();
        let venue = venue(&dir, &input);
        let engine = Engine::start(&dir, &EngineOptions::to(venue.port));
        let segment = engine.segment();
        let mut gateway = Gateway::start(&dir);
        let address = gateway.address.clone();
        let symbol = first_symbol(&gateway, &segment);
        let mut client = Client::connect(&address);
        let about = topic("trades", 0, &symbol);
        // Trades first: what follows their snapshot counts, also while the other channels are being joined.
        client.subscribe("trades", 0, &[&symbol], || {});
        let (mut told, mut cursor): (Vec<u64>, u64) = (Vec::new(), client.held[&about].seq);
        let joined = cursor;
        follow_others(&mut client, &symbol);
        let mut declared: Vec<Value> = Vec::new();
        for kill in 1..=KILLS {
            wait_until("the middle", || {
                while let Some(frame) = client.read() {
                    client.apply(&frame);
                }
                feed_counter(&segment, FeedCounter::NextSequence) > input.messages * kill / (KILLS + 1)
            });
            gateway.process.kill();
            // What had left it still stands in the socket.
            while let Some(frame) = client.read() {
                client.apply(&frame);
            }
            take_trades(&mut client, &symbol, &mut told, &mut cursor);
            declared.append(&mut client.gaps);
            gateway = Gateway::start_with(&dir, &address, &[]);
            wait_until("the lane to be attached", || Rest::connect(&address).get("/ready").0 == 200);
            client = Client::connect(&address);
            client.held.insert(about.clone(), crate::client::Held { seq: cursor, ..Default::default() });
            let epoch = segment.identity().epoch;
            let cursor_text = format!("lane0.{epoch:016x}.{cursor}");
            client.send(&json!({"op": "subscribe", "channel": "trades", "symbols": [symbol], "cursor": cursor_text}));
            // Everything missed comes before the snapshot that binds the chain anew.
            wait_until("the end of the resume", || {
                while let Some(frame) = client.read() {
                    if frame["type"] == "snapshot" {
                        assert_eq!(frame["data"]["trades"], json!([]), "{frame}");
                        take_trades(&mut client, &symbol, &mut told, &mut cursor);
                        client.apply(&frame);
                        return true;
                    }
                    client.apply(&frame);
                }
                false
            });
            assert_eq!(client.gaps, Vec::<Value>::new());
            follow_others(&mut client, &symbol);
        }
        engine.wait_for_sequence(&segment, input.messages + 1);
        wait_for_board(&mut client, &segment, &symbol);
        client.settle(|| {});
        take_trades(&mut client, &symbol, &mut told, &mut cursor);
        declared.append(&mut client.gaps);
        assert_told_or_declared(&told, &declared, &trades_after(&segment, &symbol, joined));
        assert!(gateway.process.terminate().success());
    }
}

/// Subscribes to every channel but that of the trades.
fn follow_others(client: &mut Client, symbol: &str) {
    for (channel, levels) in CHANNELS.into_iter().filter(|(channel, _)| *channel != "trades") {
        client.subscribe(channel, levels, &[symbol], || {});
    }
}

/// Every trade was told, once and in order, or stands in a gap. (On a machine that is busy with other tests the gateway may
/// fall behind, and then says so; no resume may fail.)
fn assert_told_or_declared(told: &[u64], declared: &[Value], trades: &[u64]) {
    assert!(told.is_sorted_by(|a, b| a < b), "{told:?}");
    let in_gap = |seq: u64| {
        declared.iter().any(|gap| (gap["first"].as_u64().unwrap()..=gap["last"].as_u64().unwrap()).contains(&seq))
    };
    let missing: Vec<u64> = trades.iter().copied().filter(|seq| told.binary_search(seq).is_err()).collect();
    assert!(missing.iter().all(|seq| in_gap(*seq)), "undeclared: {missing:?} of {declared:?}");
    assert!(declared.iter().all(|gap| gap["reason"] == "slow"), "{declared:?}");
    let merged: u64 = declared.iter().map(|gap| gap["merged"].as_u64().unwrap()).sum();
    assert_eq!((merged, told.len() + missing.len()), (missing.len() as u64, trades.len()));
}

/// Moves the trades that a client was told to `told`.
fn take_trades(client: &mut Client, symbol: &str, told: &mut Vec<u64>, cursor: &mut u64) {
    let held = client.held.get_mut(&topic("trades", 0, symbol)).unwrap();
    told.extend(held.trades.drain(..).map(|trade| trade["seq"].as_u64().unwrap()));
    *cursor = held.seq;
}

/// Numbers of the trades of an instrument after the record `seq`, as a strategy reads them.
fn trades_after(segment: &Segment, symbol: &str, seq: u64) -> Vec<u64> {
    use shm_abi::record::{Record, kind};
    use shm_abi::ring::{Polled, Rejoin};
    let directory = segment.directory();
    let row = (0..directory.count()).find(|row| directory.get(*row).unwrap().symbol.as_str() == symbol).unwrap();
    let id = directory.get(row).unwrap().instrument_id;
    let mut reader = segment.read_from(shm_abi::segment::RingName::Market, seq, Rejoin::Oldest);
    let mut numbers = Vec::new();
    loop {
        match reader.poll() {
            Polled::Empty => return numbers,
            Polled::Lost(lost) => panic!("{lost:?}"),
            Polled::Record { n, words } => {
                let head = Record::new(n, words).unwrap().head;
                if n > seq && head.instrument_id == id && matches!(head.kind, kind::TRADE | kind::TRADE_BREAK) {
                    numbers.push(n);
                }
            }
        }
    }
}

#[test]
fn the_gateway_starts_before_the_engine_and_says_so() {
    let dir = Dir::new();
    let gateway = Gateway::start(&dir);
    // A fresh connection each time: the gateway closes those that say nothing for some seconds.
    let get = |path: &str| Rest::connect(&gateway.address).get(path);
    assert_eq!((get("/health").0, &get("/health").1["status"]), (200, &json!("degraded")));
    assert_eq!(get("/ready").0, 503);
    let mut client = Client::connect(&gateway.address);
    client.send(&json!({"op": "subscribe", "channel": "quotes", "symbols": ["AAA"]}));
    let ack = client.step(|| {});
    assert_eq!((&ack["type"], &ack["refused"][0]["code"]), (&json!("ack"), &json!("unavailable")), "{ack}");
    let venue = Venue::start(&dir, &["--symbols", "20", "--rate", "2000", "--profile", "endless"]);
    let engine = Engine::start(&dir, &EngineOptions::to(venue.port));
    wait_until("readiness", || get("/ready").0 == 200);
    assert_eq!(get("/health").1["status"], "ok");
    wait_until("the client to be told", || {
        while let Some(frame) = client.read() {
            client.apply(&frame);
        }
        client.notices.iter().any(|notice| notice["type"] == "lane" && notice["state"] == "live")
    });
    let symbol = first_symbol(&gateway, &engine.segment());
    follow_all(&mut client, &symbol);
    // Stopped, not dead: silent, then back.
    engine.process.signal(19);
    let mut wait_for = |state: &str| {
        wait_until(state, || {
            while let Some(frame) = client.read() {
                client.apply(&frame);
            }
            client
                .notices
                .iter()
                .rev()
                .find(|notice| notice["type"] == "lane")
                .is_some_and(|last| last["state"] == state)
        });
    };
    wait_for("silent");
    assert_eq!(get("/ready").0, 503);
    engine.process.signal(18);
    wait_for("live");
    // In good order.
    assert!(engine.process.terminate().success());
    wait_for("closed");
    assert_eq!(get("/ready").0, 503);
    assert!(gateway.process.terminate().success());
}
