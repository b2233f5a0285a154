//! Quotes from a time on: clients get, at every number, the quote that the records of the journal imply, across the restart
//! of a killed engine, and go on live behind it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::TcpStream;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use journal::Journal;
use journal::reader::Entry;
use serde_json::{Value, json};
use shm_abi::counters::FeedCounter;
use shm_abi::record::{Body, PRICE_NONE, Record, Side, clear_code, flag};
use shm_abi::segment::RingName;
use tungstenite::Message;

use crate::cursors::{At, Gateway, LANE, RECORDED, epoch, number};
use crate::harness::{Dir, Engine, EngineOptions, Venue, feed_counter, wait_until};
use crate::misfortunes::{messages_of, synthetic_day};

/// What a quote says, as whole numbers: best bid and ask, last price, open, high, low, volume, trades.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Quote {
    best: [Option<(i64, u64, u64)>; 2],
    prices: [Option<i64>; 4],
    volume: u64,
    trades: u64,
}

impl Quote {
    fn of_json(data: &Value) -> Quote {
        let price = |value: &Value| value.as_f64().map(|price| (price * 1e9).round() as i64);
        let best =
            |level: &Value| price(&level["price"]).map(|p| (p, number(&level["quantity"]), number(&level["orders"])));
        Quote {
            best: [best(&data["bid"]), best(&data["ask"])],
            prices: [&data["last"]["price"], &data["open"], &data["high"], &data["low"]].map(price),
            volume: number(&data["volume"]),
            trades: number(&data["trades"]),
        }
    }

    fn take(&mut self, record: &Record<'_>) {
        match record.body() {
            Body::Quote { side: Some(side), price, quantity, orders } => {
                let best = (price != PRICE_NONE).then_some((price, quantity, orders));
                self.best[usize::from(side == Side::Ask)] = best;
            }
            Body::Trade { price, quantity, .. } if record.head.flags & flag::NOT_PRINTED == 0 && quantity > 0 => {
                let [_, open, high, low] = self.prices;
                let (high, low) = (high.map_or(price, |h| h.max(price)), low.map_or(price, |l| l.min(price)));
                self.prices = [Some(price), open.or(Some(price)), Some(high), Some(low)];
                self.volume += quantity;
                self.trades += 1;
            }
            Body::Clear { code: clear_code::BOOK } => self.best = [None; 2],
            Body::Clear { .. } => *self = Quote::default(),
            _ => {}
        }
    }
}

/// A change of a quote: where, when it was published, of which symbol, to what.
type Change = (At, u64, String, Quote);

/// Every change of a quote that the recording implies, one an event.
fn implied(dir: &Dir) -> Vec<Change> {
    let journal = Journal::open(dir.path("state/journal").join(LANE)).unwrap();
    let mut reader = journal.oldest(RingName::Market);
    let (mut quotes, mut changes) = (HashMap::<String, Quote>::new(), Vec::<Change>::new());
    let (mut open, mut epoch) = (None::<(String, Quote)>, journal.epochs()[0]);
    loop {
        let (n, words) = match reader.next().unwrap() {
            None => return changes,
            Some(Entry::Record { n, words }) => (n, words.to_vec()),
            Some(Entry::Epoch(step)) => {
                // Of an event that was never finished nothing counts.
                if let Some((symbol, before)) = open.take() {
                    quotes.insert(symbol, before);
                }
                epoch = step.new_epoch;
                continue;
            }
            Some(Entry::Hole(hole)) => panic!("{hole:?}"),
        };
        let record = Record::new(n, &words).unwrap();
        let id = record.head.instrument_id;
        if let Some(known) = reader.instruments().iter().find(|instrument| instrument.instrument_id == id) {
            let symbol = known.symbol.as_str().to_string();
            let quote = quotes.entry(symbol.clone()).or_default();
            open.get_or_insert((symbol, *quote));
            quote.take(&record);
        }
        if record.head.is_last()
            && let Some((symbol, before)) = open.take()
            && quotes[&symbol] != before
        {
            let now = quotes[&symbol];
            changes.push(((epoch, n), record.head.ts_publish(), symbol, now));
        }
    }
}

/// What a client was told.
#[derive(Default)]
struct Told {
    changes: Vec<(At, String, Quote)>,
    replays: Vec<Value>,
    snapshots: usize,
    /// Updates behind the snapshot of their topic.
    live: usize,
    /// Topics of which events were merged because this client was slow, live: what came from then on is not looked at.
    merged: HashSet<String>,
}

/// Follows quotes from a time on, until `over` says so.
fn follow(port: u16, from_ns: u64, symbols: &[String], over: impl Fn() -> bool) -> Told {
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    let (mut socket, _) = tungstenite::client(format!("ws://127.0.0.1:{port}/ws/v1"), stream).unwrap();
    let command = json!({"op": "subscribe", "channel": "quotes", "symbols": symbols, "from": from_ns.to_string()});
    socket.send(Message::text(command.to_string())).unwrap();
    let (mut told, mut streams, mut live) = (Told::default(), HashMap::new(), HashSet::new());
    let mut chains = BTreeMap::<String, (u64, u64, Quote)>::new();
    while !over() {
        let frame: Value = match socket.read() {
            Ok(Message::Text(text)) => serde_json::from_str(&text).unwrap(),
            Ok(Message::Close(close)) => panic!("closed: {close:?}"),
            Ok(_) => continue,
            Err(tungstenite::Error::Io(e)) if e.kind() == std::io::ErrorKind::WouldBlock => continue,
            Err(e) => panic!("{e}"),
        };
        let symbol = frame["symbol"].as_str().unwrap_or_default().to_string();
        match frame["type"].as_str().unwrap() {
            "replay" => {
                streams.insert(number(&frame["stream"]), epoch(&frame["epoch"]));
                let seq = frame["cursor"].as_str().unwrap().rsplit('.').next().unwrap().parse().unwrap();
                for symbol in frame["symbols"].as_array().unwrap() {
                    let chain = chains.entry(symbol.as_str().unwrap().into()).or_default();
                    (chain.0, chain.1) = (number(&frame["stream"]), seq);
                }
                told.replays.push(frame);
            }
            "update" | "snapshot" if told.merged.contains(&symbol) => {}
            "update" | "snapshot" if live.contains(&symbol) && !frame["merged"].is_null() => {
                told.merged.insert(symbol);
            }
            "update" => {
                let (stream, seq, quote) =
                    (number(&frame["stream"]), number(&frame["seq"]), Quote::of_json(&frame["data"]));
                let (of, prev, _) = chains.insert(symbol.clone(), (stream, seq, quote)).unwrap();
                assert_eq!((of, prev), (stream, number(&frame["prev"])), "the chain: {frame}");
                assert!(frame["merged"].is_null());
                told.live += usize::from(live.contains(&symbol));
                told.changes.push(((streams[&stream], seq), symbol, quote));
            }
            "snapshot" => {
                let (stream, seq) = (number(&frame["stream"]), number(&frame["seq"]));
                let quote = Quote::of_json(&frame["data"]);
                if let Some((of, _, before)) = chains.insert(symbol.clone(), (stream, seq, quote)) {
                    let was_told = told.changes.iter().any(|(_, of, _)| *of == symbol);
                    assert!(of == stream && (before == quote || !was_told), "nothing was left out: {frame}");
                }
                assert!(live.insert(symbol), "one a topic");
                told.snapshots += 1;
            }
            "ack" => assert_eq!(frame["refused"], json!([])),
            "gap" | "error" => panic!("{frame}"),
            _ => {}
        }
    }
    told
}

#[test]
fn quotes_from_a_time_are_those_that_the_records_imply() {
    let dir = Dir::new();
    let file = synthetic_day(&dir, 30_000, 78);
    let messages = messages_of(&file);
    let venue = Venue::start(&dir, &["--file", file.to_str().unwrap(), "--speed", "3000x", "--at-end", "hold"]);
    let start = || Engine::start(&dir, &EngineOptions { engine: RECORDED, ..EngineOptions::to(venue.port) });
    let engine = start();
    engine.wait_for_sequence(&engine.segment(), messages / 4);
    let middle_ns = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
    engine.wait_for_sequence(&engine.segment(), messages / 3);
    engine.process.kill();
    let engine = start();
    let segment = engine.segment();
    wait_until("all instruments", || segment.directory().count() >= 50);
    let symbols: Vec<String> =
        (0..segment.directory().count()).map(|row| segment.directory().get(row).unwrap().symbol.to_string()).collect();
    engine.wait_for_sequence(&segment, messages / 2);
    let gateway = Gateway::start(&dir);
    wait_until("the gateway to have the lane", || gateway.process.log().contains("attached"));
    let told = std::thread::scope(|scope| {
        // Before the close, with its bursts.
        let over = || feed_counter(&segment, FeedCounter::NextSequence) > messages * 3 / 4;
        let clients = [(0, &symbols[..]), (middle_ns, &symbols[..10])]
            .map(|(from_ns, symbols)| scope.spawn(move || follow(gateway.port, from_ns, symbols, over)));
        clients.map(|client| client.join().unwrap())
    });
    assert!(engine.process.terminate().success());
    let all = implied(&dir);
    for (told, (from_ns, symbols)) in told.iter().zip([(0, &symbols[..]), (middle_ns, &symbols[..10])]) {
        let want: Vec<_> = all
            .iter()
            .filter(|(_, published, symbol, _)| *published >= from_ns && symbols.contains(symbol))
            .map(|(at, _, symbol, quote)| (*at, symbol.clone(), *quote))
            .collect();
        let of = |changes: &[(At, String, Quote)]| {
            let mut by_symbol = BTreeMap::<String, Vec<(At, Quote)>>::new();
            for (at, symbol, quote) in changes {
                by_symbol.entry(symbol.clone()).or_default().push((*at, *quote));
            }
            by_symbol
        };
        let (got, want) = (of(&told.changes), of(&want));
        for symbol in want.keys().chain(got.keys()) {
            let (got, want) = (got.get(symbol).map_or(&[][..], |of| of), want.get(symbol).map_or(&[][..], |of| of));
            // What was told is a chain without a hole, so it is all there was up to its end.
            let place = got.iter().zip(want).position(|(got, want)| got != want).unwrap_or(got.len().min(want.len()));
            assert_eq!(place, got.len(), "{symbol}: {:?}, not {:?}", got.get(place), want.get(place));
        }
        assert_eq!((told.snapshots, told.replays.len()), (symbols.len(), 2), "{:?}", told.replays);
        assert!(told.replays.iter().all(|replay| replay["known"] == true), "{:?}", told.replays);
        assert!(
            told.live + told.merged.len() > 0 && told.changes.len() > told.live,
            "{} of {} live",
            told.live,
            told.changes.len()
        );
        eprintln!("from {from_ns}: {} changes, {} of them live", told.changes.len(), told.live);
    }
}
