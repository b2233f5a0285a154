//! A small but whole strategy: follows some symbols of a lane, prints each move of their best quotes, and measures how
//! long after publishing it saw each record.
//!
//! ```text
//! cargo run -p ticklane-client --example strategy -- --dir DIR --lane lane0 AAPL MSFT --seconds 10
//! ```
//!
//! What it shows: values come from the ring alone and are trusted only while nothing is missing; after a loss, a venue
//! gap or a restart the board gives the present state, and the ring goes on from the number that the row names.
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ticklane_client::{Body, Event, Histogram, Lane, LookupError, Options, PRICE_NONE, Price, Record, Side, Wait};

const USAGE: &str = "usage: strategy --dir DIR [--lane LANE] [--seconds N] [--events N] [--spin] [--quiet] SYMBOL...";
/// Longest wait for the engine, and longest wait between two looks at the bounds.
const ATTACH_LIMIT: Duration = Duration::from_secs(10);
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// Times to try a row that the writer is in.
const ROW_TRIES: usize = 100;

struct Args {
    dir: String,
    lane: String,
    seconds: Option<u64>,
    events: Option<u64>,
    wait: Wait,
    quiet: bool,
    symbols: Vec<String>,
}

fn parse(mut words: impl Iterator<Item = String>) -> Result<Args, String> {
    let mut args = Args {
        dir: String::new(),
        lane: "lane0".into(),
        seconds: None,
        events: None,
        wait: Wait::default(),
        quiet: false,
        symbols: Vec::new(),
    };
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} wants a value"));
        let number = |text: String| text.parse().map_err(|_| format!("`{text}` is no number"));
        match word.as_str() {
            "--dir" => args.dir = value()?,
            "--lane" => args.lane = value()?,
            "--seconds" => args.seconds = Some(number(value()?)?),
            "--events" => args.events = Some(number(value()?)?),
            "--spin" => args.wait = Wait::Spin,
            "--quiet" => args.quiet = true,
            _ if word.starts_with('-') => return Err(format!("unknown option {word}")),
            _ => args.symbols.push(word),
        }
    }
    if args.dir.is_empty() || args.symbols.is_empty() {
        return Err("--dir and at least one symbol are needed".into());
    }
    Ok(args)
}

/// What the strategy believes of one instrument.
#[derive(Debug, Clone)]
struct Belief {
    symbol: String,
    /// Best bid and ask; [`PRICE_NONE`] for an empty side.
    best: [Price; 2],
    /// Records below this number are already in `best`: it came from the board.
    known_to: u64,
    moves: u64,
}

struct Strategy {
    lane: Lane,
    quiet: bool,
    symbols: Vec<String>,
    beliefs: HashMap<u32, Belief>,
    latency: Histogram,
    records: u64,
    lost: u64,
}

impl Strategy {
    /// Takes the present state from the board: at the start, and whenever the ring has not told everything.
    fn resync(&mut self, why: &str) {
        eprintln!("state from the board: {why}");
        self.beliefs.clear();
        for symbol in &self.symbols {
            let Some((_, instrument)) = self.lane.instruments().get(symbol.as_str()) else { continue };
            let id = instrument.instrument_id;
            let mut board = self.lane.board();
            let quote = (0..ROW_TRIES).map(|_| board.quote(id)).find(|quote| *quote != Err(LookupError::Busy));
            let Some(Ok(quote)) = quote else { continue };
            let price = |level: Option<shm_abi::board::Level>| level.map_or(PRICE_NONE, |level| level.price);
            let best = [price(quote.bid), price(quote.ask)];
            let belief = Belief { symbol: symbol.clone(), best, known_to: quote.market_n + 1, moves: 0 };
            self.beliefs.insert(id, belief);
        }
    }

    fn on_record(&mut self, record: &Record<'_>) {
        self.records += 1;
        self.latency.record(realtime_ns().saturating_sub(record.head.ts_publish()));
        match record.body() {
            Body::Quote { side: Some(side), price, .. } => self.on_quote(record, side, price),
            // An instrument that was announced after the start may be one of ours.
            Body::Instrument { .. } if self.beliefs.len() < self.symbols.len() => self.resync("a new instrument"),
            _ => {}
        }
    }

    fn on_quote(&mut self, record: &Record<'_>, side: Side, price: Price) {
        let Some(belief) = self.beliefs.get_mut(&record.head.instrument_id) else { return };
        let old = std::mem::replace(&mut belief.best[side.index()], price);
        if record.n < belief.known_to || old == price {
            return;
        }
        belief.moves += 1;
        if !self.quiet {
            println!("{:>12} {:<8} {side:?} {} -> {}", record.n, belief.symbol, show(old), show(price));
        }
    }
}

fn show(price: Price) -> String {
    if price == PRICE_NONE { "none".into() } else { format!("{:.4}", price as f64 / 1e9) }
}

fn realtime_ns() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_nanos() as u64)
}

fn run(args: Args) -> Result<(), Box<dyn std::error::Error>> {
    let lane = Lane::wait_for(&args.dir, &args.lane, ATTACH_LIMIT)?;
    // The reader first, the board after it: nothing can fall between the two.
    let mut market = lane.market(Options { wait: args.wait, ..Options::default() })?;
    let mut strategy = Strategy {
        lane,
        quiet: args.quiet,
        symbols: args.symbols,
        beliefs: HashMap::new(),
        latency: Histogram::new(),
        records: 0,
        lost: 0,
    };
    strategy.resync("start");
    let began = Instant::now();
    let over = |strategy: &Strategy| {
        args.seconds.is_some_and(|limit| began.elapsed() >= Duration::from_secs(limit))
            || args.events.is_some_and(|limit| strategy.records >= limit)
    };
    while !over(&strategy) {
        match market.next_within(LOOK_INTERVAL)? {
            None => {}
            Some(event @ Event::Record(record)) => {
                strategy.on_record(&record);
                if let Some(gap) = event.venue_gap() {
                    strategy.resync(&format!("the venue's messages {} to {} are missing", gap.first, gap.last));
                }
            }
            Some(Event::Lost(lost)) => {
                strategy.lost += lost.last - lost.first + 1;
                strategy.resync(&format!("lost numbers {} to {}", lost.first, lost.last));
            }
            Some(Event::Restarted(restarted)) => {
                // Ids stay, rows and board are the new engine's.
                strategy.lane.follow(&market);
                strategy.resync(&format!("the engine began anew, seamless: {}", restarted.is_seamless()));
            }
            Some(Event::WriterSilent) => eprintln!("the engine is silent: its values may be old"),
            Some(Event::WriterBack) => eprintln!("the engine is back"),
            Some(Event::Closed) => break,
        }
    }
    report(&strategy, began.elapsed());
    Ok(())
}

fn report(strategy: &Strategy, elapsed: Duration) {
    println!("{} records in {:.1} s, {} lost", strategy.records, elapsed.as_secs_f64(), strategy.lost);
    for belief in strategy.beliefs.values() {
        println!(
            "{:<8} bid {} ask {} moves {}",
            belief.symbol,
            show(belief.best[0]),
            show(belief.best[1]),
            belief.moves
        );
    }
    let latency = &strategy.latency;
    let percentile = |percent| latency.percentile(percent).unwrap_or(0);
    println!(
        "publish to seen, ns: n {} p50 {} p99 {} p99.9 {} max {}",
        latency.count(),
        percentile(50.0),
        percentile(99.0),
        percentile(99.9),
        latency.max()
    );
}

fn main() -> ExitCode {
    let args = match parse(std::env::args().skip(1)) {
        Ok(args) => args,
        Err(error) => {
            eprintln!("{error}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match run(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
