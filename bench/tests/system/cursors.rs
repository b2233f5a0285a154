//! Clients with cursors, through gateways and engines that are killed again and again: every trade of the recording reaches
//! them once, or somebody says that it does not.
//!
//! A short form runs with the other tests; `TICKLANE_CURSOR_KILLS=50` kills 50 gateways and 50 engines.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use journal::Journal;
use journal::reader::Entry;
use serde_json::{Value, json};
use shm_abi::counters::JournalCounter;
use shm_abi::record::{Body, Record, kind};
use shm_abi::ring::Rejoin;
use shm_abi::segment::RingName;
use tungstenite::{Message, WebSocket};

use crate::harness::{Dir, Engine, EngineOptions, LIMIT, Process, Venue, program, random, wait_until};
use crate::misfortunes::{messages_of, synthetic_day};

pub(super) const LANE: &str = "lane0";
/// Recorded often, so that a resume seldom waits for the recording.
pub(super) const RECORDED: &str = "[journal]\nenabled = true\n[journal.limits]\nsync_interval_ms = 20";

/// A place in the lane's history.
pub(super) type At = (u64, u64);

/// A running gateway.
pub(super) struct Gateway {
    pub(super) process: Process,
    pub(super) port: u16,
}

impl Gateway {
    /// Of its ring it gives so little that most resumes need the journal.
    pub(super) fn start(dir: &Dir) -> Gateway {
        let config = dir.path("gateway.toml");
        let text = format!(
            "[gateway]\nruntime_dir = {:?}\n[journal]\ndir = {:?}\nbatch_events = 16\n[limits]\nresume_slots = 64\n",
            dir.run(),
            dir.path("state/journal")
        );
        std::fs::write(&config, text).unwrap();
        let mut command = Command::new(program("ticklane-gateway"));
        command.arg("--config").arg(config).args(["--listen", "127.0.0.1:0"]).stdout(Stdio::piped());
        let mut process = Process::start("ticklane-gateway", command, dir.path("gateway.log"));
        let mut line = String::new();
        BufReader::new(process.stdout()).read_line(&mut line).unwrap();
        let port = line.trim().rsplit(':').next().and_then(|port| port.parse().ok());
        Gateway { port: port.unwrap_or_else(|| panic!("the gateway says {line:?}:\n{}", process.log())), process }
    }
}

/// What the test tells its clients.
#[derive(Default)]
struct Stage {
    port: AtomicU16,
    over: AtomicBool,
    /// Number of the last trade that each client was told.
    told: [AtomicU64; 3],
}

/// A client that believes nothing but what it is told.
#[derive(Default)]
struct Client {
    /// Which one it is.
    place: usize,
    symbols: Vec<String>,
    streams: HashMap<u64, u64>,
    /// Everything up to here is known.
    cursor: Option<At>,
    /// Trades and trade breaks, in the order in which they came.
    told: Vec<(At, String)>,
    /// Per symbol: stream and number of the last event.
    chains: HashMap<String, At>,
    /// Ends of epochs as they were told.
    ends: BTreeMap<u64, u64>,
    /// What was declared missing.
    gaps: Vec<Value>,
    /// Frames before this ack are of a subscription that is over.
    waits_for: Option<u64>,
    commands: u64,
    connections: u64,
    replays: u64,
    steps: u64,
    wrong: Vec<String>,
}

pub(super) fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("no number: {value}"))
}

pub(super) fn epoch(value: &Value) -> u64 {
    u64::from_str_radix(value.as_str().unwrap(), 16).unwrap()
}

impl Client {
    fn subscribe(&mut self, socket: &mut WebSocket<TcpStream>) -> tungstenite::Result<()> {
        self.commands += 1;
        self.waits_for = Some(self.commands);
        let mut command = json!({"op": "subscribe", "id": self.commands, "channel": "trades", "symbols": self.symbols});
        if let Some((epoch, seq)) = self.cursor {
            command["cursor"] = format!("{LANE}.{epoch:016x}.{seq}").into();
        }
        socket.send(Message::text(command.to_string()))
    }

    /// One connection, to its end.
    fn connect(&mut self, stage: &Stage, port: u16) -> tungstenite::Result<()> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_millis(20)))?;
        let url = format!("ws://127.0.0.1:{port}/ws/v1?slow=close");
        let Ok((mut socket, _)) = tungstenite::client(url, stream) else { return Ok(()) };
        self.streams.clear();
        self.chains.clear();
        self.connections += 1;
        self.subscribe(&mut socket)?;
        while !stage.over.load(SeqCst) && stage.port.load(SeqCst) == port {
            match socket.read() {
                Ok(Message::Text(text)) => {
                    let frame: Value = serde_json::from_str(&text).unwrap();
                    if self.take(&frame) {
                        self.subscribe(&mut socket)?;
                    }
                    stage.told[self.place].store(self.told.last().map_or(0, |((_, seq), _)| *seq), SeqCst);
                }
                Ok(_) => {}
                Err(tungstenite::Error::Io(e)) if e.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    /// Takes a frame in. `true`: the client must ask again, from its cursor.
    fn take(&mut self, frame: &Value) -> bool {
        match frame["type"].as_str().unwrap() {
            "hello" => self.bind(frame["lanes"].as_array().unwrap()),
            "ack" => {
                self.bind(frame["streams"].as_array().unwrap());
                let refused = frame["refused"].as_array().unwrap();
                if frame["id"].as_u64() != self.waits_for {
                    return false;
                }
                if !refused.is_empty() {
                    // The lane is not there yet, or its directory is not: again.
                    std::thread::sleep(Duration::from_millis(5));
                    return true;
                }
                if self.cursor.is_none() {
                    // Asked for again from here, so that every trade after it comes as an update.
                    let place = &frame["streams"][0];
                    let seq = place["cursor"].as_str().unwrap().rsplit('.').next().unwrap().parse().unwrap();
                    self.cursor = Some((epoch(&place["epoch"]), seq));
                    return true;
                }
                self.waits_for = None;
                let (epoch, seq) = self.cursor.unwrap();
                let stream = self.streams.iter().find(|(_, known)| **known == epoch).map_or(0, |(stream, _)| *stream);
                self.chains = self.symbols.iter().map(|symbol| (symbol.clone(), (stream, seq))).collect();
            }
            "restart" => {
                self.streams.insert(number(&frame["stream"]), epoch(&frame["epoch"]));
                self.learn_end(frame);
                // What follows it live begins with a snapshot of some trades. All of them come from the cursor.
                return frame["reason"] != "session" && self.waits_for.is_none();
            }
            _ if self.waits_for.is_some() => {}
            "replay" => {
                self.replays += 1;
                let stream = number(&frame["stream"]);
                self.streams.insert(stream, epoch(&frame["epoch"]));
                let seq = frame["cursor"].as_str().unwrap().rsplit('.').next().unwrap().parse().unwrap();
                if !frame["old_epoch"].is_null() {
                    self.steps += 1;
                    self.learn_end(frame);
                }
                self.cursor = Some((epoch(&frame["epoch"]), seq));
                self.chains = self.symbols.iter().map(|symbol| (symbol.clone(), (stream, seq))).collect();
            }
            "update" => self.update(frame),
            "snapshot" => {
                let trades = frame["data"]["trades"].as_array().unwrap();
                let link = (number(&frame["stream"]), number(&frame["seq"]));
                let symbol = frame["symbol"].as_str().unwrap().to_string();
                if !trades.is_empty() && self.connections > 1 {
                    self.wrong.push(format!("a snapshot instead of what was missed: {frame}"));
                }
                self.chains.insert(symbol, link);
            }
            "gap" => self.gaps.push(frame.clone()),
            _ => {}
        }
        false
    }

    fn bind(&mut self, lanes: &[Value]) {
        for lane in lanes.iter().filter(|lane| !lane["epoch"].is_null()) {
            self.streams.insert(number(&lane["stream"]), epoch(&lane["epoch"]));
        }
    }

    fn learn_end(&mut self, frame: &Value) {
        if let Some(end) = frame["old_end"].as_u64() {
            self.ends.insert(epoch(&frame["old_epoch"]), end);
        }
    }

    fn update(&mut self, frame: &Value) {
        let (stream, seq, prev) = (number(&frame["stream"]), number(&frame["seq"]), number(&frame["prev"]));
        let symbol = frame["symbol"].as_str().unwrap();
        let Some(epoch) = self.streams.get(&stream).copied() else {
            return self.wrong.push(format!("a stream that nobody bound: {frame}"));
        };
        let link = self.chains.insert(symbol.into(), (stream, seq));
        if link != Some((stream, prev)) {
            self.wrong.push(format!("the chain of {symbol} was at {link:?}: {frame}"));
        }
        self.told.push(((epoch, seq), symbol.into()));
        self.cursor = Some((epoch, seq));
    }

    /// Follows whatever gateway there is.
    fn run(mut self, stage: &Stage) -> Client {
        while !stage.over.load(SeqCst) {
            let port = stage.port.load(SeqCst);
            if port == 0 || self.connect(stage, port).is_err() {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        self
    }
}

/// Every trade and trade break of the recording, in order, and where each epoch ended by the word of the next.
fn recorded(dir: &Dir) -> (Vec<(At, String)>, Vec<u64>, BTreeMap<u64, u64>) {
    let journal = Journal::open(dir.path("state/journal").join(LANE)).unwrap();
    let mut reader = journal.oldest(RingName::Market);
    let (mut trades, mut ends, mut epoch) = (Vec::new(), BTreeMap::new(), journal.epochs()[0]);
    loop {
        let (n, words) = match reader.next().unwrap() {
            None => break,
            Some(Entry::Record { n, words }) => (n, words.to_vec()),
            Some(Entry::Epoch(step)) => {
                epoch = step.new_epoch;
                continue;
            }
            Some(Entry::Hole(hole)) => panic!("{hole:?}"),
        };
        let record = Record::new(n, &words).unwrap();
        if let Body::Restart(restart) = record.body() {
            ends.insert(restart.old_epoch, restart.old_end);
        }
        if matches!(record.head.kind, kind::TRADE | kind::TRADE_BREAK) {
            let id = record.head.instrument_id;
            let known = reader.instruments().iter().find(|instrument| instrument.instrument_id == id).unwrap();
            trades.push(((epoch, n), known.symbol.as_str().to_string()));
        }
    }
    trades.retain(|((epoch, n), _)| ends.get(epoch).is_none_or(|end| n < end));
    (trades, journal.epochs(), ends)
}

#[test]
fn clients_with_cursors_get_every_trade_once_through_killed_gateways_and_engines() {
    let kills = std::env::var("TICKLANE_CURSOR_KILLS").map_or(3, |text| text.parse::<u64>().unwrap());
    let dir = Dir::new();
    let file = synthetic_day(&dir, 60_000 + 2_000 * kills, 77);
    let messages = messages_of(&file);
    // The day in about as long as the kills take.
    let speed = format!("{}x", 90_000 / (8 + 3 * kills));
    let venue = Venue::start(&dir, &["--file", file.to_str().unwrap(), "--speed", &speed, "--at-end", "hold"]);
    let start = || Engine::start(&dir, &EngineOptions { engine: RECORDED, ..EngineOptions::to(venue.port) });
    let mut engine = start();
    let segment = engine.segment();
    wait_until("all instruments", || segment.directory().count() >= 50);
    let symbols: Vec<String> =
        (0..segment.directory().count()).map(|row| segment.directory().get(row).unwrap().symbol.to_string()).collect();
    let stage = Stage::default();
    let mut gateway = Gateway::start(&dir);
    stage.port.store(gateway.port, SeqCst);
    let mut state = 0x6375_7273_6f72_7300;
    let clients = std::thread::scope(|scope| {
        // One follows everything, one half, one a single instrument.
        let followed = [symbols.len(), symbols.len() / 2, 1].map(|count| symbols[..count].to_vec());
        let last = |symbols: &[String]| {
            let (trades, _, _) = recorded(&dir);
            trades.iter().rfind(|(_, symbol)| symbols.contains(symbol)).map_or(0, |((_, seq), _)| *seq)
        };
        let clients: Vec<_> = followed
            .iter()
            .enumerate()
            .map(|(place, symbols)| Client { place, symbols: symbols.clone(), ..Client::default() })
            .map(|client| scope.spawn(|| client.run(&stage)))
            .collect();
        for kill in 0..2 * kills {
            std::thread::sleep(Duration::from_millis(100 + random(&mut state) % 900));
            if kill % 2 == 0 {
                stage.port.store(0, SeqCst);
                gateway.process.kill();
                // Away for longer than the ring's share.
                std::thread::sleep(Duration::from_millis(random(&mut state) % 400));
                gateway = Gateway::start(&dir);
                stage.port.store(gateway.port, SeqCst);
            } else {
                engine.process.kill();
                std::thread::sleep(Duration::from_millis(random(&mut state) % 100));
                engine = start();
            }
        }
        let segment = engine.segment();
        let began = Instant::now();
        engine.wait_for_sequence(&segment, messages + 1);
        assert!(began.elapsed() < LIMIT);
        let on_disk = || segment.journal_counters().journal(JournalCounter::DurableMarket);
        wait_until("the journal", || on_disk() == segment.join(RingName::Market, Rejoin::Latest).head());
        // Whoever is away goes on from where he was.
        for (symbols, told) in followed.iter().zip(&stage.told) {
            let last = last(symbols);
            wait_until("a client's last trade", || told.load(SeqCst) == last);
        }
        stage.over.store(true, SeqCst);
        assert!(engine.process.terminate().success());
        clients.into_iter().map(|client| client.join().unwrap()).collect::<Vec<_>>()
    });
    let (trades, epochs, ends) = recorded(&dir);
    assert_eq!(epochs.len() as u64, kills + 1);
    for (index, client) in clients.iter().enumerate() {
        judge(&format!("client {index}"), client, &trades, &ends);
    }
    assert!(clients.iter().all(|client| client.connections > kills && client.replays > 0));
    assert!(clients.iter().map(|client| client.steps).sum::<u64>() >= kills);
}

fn judge(name: &str, client: &Client, trades: &[(At, String)], ends: &BTreeMap<u64, u64>) {
    assert_eq!(client.wrong, Vec::<String>::new(), "{name}");
    assert_eq!(client.gaps, Vec::<Value>::new(), "{name}: nothing is missing of the recording");
    let first = client.told.first().expect("trades were told").0;
    let begins = trades.iter().position(|(at, _)| *at == first).unwrap_or_else(|| panic!("{name}: {first:?}"));
    let mine: BTreeSet<&String> = client.symbols.iter().collect();
    let want: Vec<_> = trades[begins..].iter().filter(|(_, symbol)| mine.contains(symbol)).collect();
    // What a killed engine did not finish is void, by the word that came with the next epoch.
    let void = |(epoch, n): At| ends.get(&epoch).is_some_and(|end| n >= *end);
    for (at, _) in client.told.iter().filter(|(at, _)| void(*at)) {
        assert!(client.ends.contains_key(&at.0), "{name}: {at:?} is void and nobody said so");
    }
    let got: Vec<_> = client.told.iter().filter(|(at, _)| !void(*at)).collect();
    if let Some(place) = (0..got.len().max(want.len())).find(|place| got.get(*place) != want.get(*place)) {
        panic!(
            "{name}: trade {place} of {} and {}: got {:?}, recorded {:?}",
            got.len(),
            want.len(),
            got.get(place),
            want.get(place)
        );
    }
    let (connections, replays, steps) = (client.connections, client.replays, client.steps);
    eprintln!("{name}: {} trades, {connections} connections, {replays} replays, {steps} steps", got.len());
}
