//! Prints the quotes of the symbols given as arguments, and everything that stands between them.
//!
//! ```text
//! cargo run -p ticklane-client --features websocket --example quotes -- AAPL MSFT
//! cargo run -p ticklane-client --features websocket --example quotes -- --url ws://127.0.0.1:8080/ws/v1 --seconds 10 AAPL
//! ```
#![forbid(unsafe_code)]

use std::process::ExitCode;
use std::time::{Duration, Instant};

use ticklane_client::websocket::view::{Standing, View};
use ticklane_client::websocket::{Channel, Client, Error, Event, Level, Options, ShowPrice, Subscription};

const USAGE: &str = "usage: quotes [--url ws://HOST:PORT/ws/v1] [--seconds N] SYMBOL...";
const URL: &str = "ws://127.0.0.1:8080/ws/v1";
/// Longest wait between two looks at the time limit.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);

struct Args {
    url: String,
    seconds: Option<u64>,
    symbols: Vec<String>,
}

fn parse(mut words: impl Iterator<Item = String>) -> Result<Args, String> {
    let mut args = Args { url: URL.into(), seconds: None, symbols: Vec::new() };
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} wants a value"));
        match word.as_str() {
            "--url" => args.url = value()?,
            "--seconds" => {
                let text = value()?;
                args.seconds = Some(text.parse().map_err(|_| format!("`{text}` is no number of seconds"))?);
            }
            _ if word.starts_with('-') => return Err(format!("unknown option {word}")),
            _ => args.symbols.push(word),
        }
    }
    if args.symbols.is_empty() {
        return Err("at least one symbol is needed".into());
    }
    Ok(args)
}

fn side(level: Option<Level>) -> String {
    level.map_or_else(|| "none".into(), |level| format!("{} x {}", ShowPrice(level.price), level.quantity))
}

/// Prints what an event changed.
fn show(event: &Event, view: &View) {
    let topic = match event {
        Event::Snapshot(snapshot) => &snapshot.topic,
        Event::Update(update) => {
            if let Some(merged) = update.merged {
                println!(
                    "  {} events of {} as one: numbers {} to {}",
                    merged.events, update.topic, merged.first, merged.last
                );
            }
            &update.topic
        }
        Event::Refused(refused) => {
            println!("refused: {} ({}), expected {}", refused.symbol, refused.code, refused.expected);
            return;
        }
        Event::Disconnected { code, reason, retry_in } => {
            println!("no connection ({code:?} {reason}), again in {retry_in:?}; what is known may be old");
            return;
        }
        Event::Gap(gap) => return println!("will not come: {gap:?}"),
        other => return println!("{other:?}"),
    };
    let Some(held) = view.quote(&topic.symbol) else { return };
    let old = if held.standing == Standing::Whole { "" } else { " (may be old)" };
    println!("{:>12} {:<8} {} / {}{old}", held.seq, topic.symbol, side(held.value.bid), side(held.value.ask));
}

fn run(args: Args) -> Result<(), Error> {
    let began = Instant::now();
    let limit = args.seconds.map(Duration::from_secs);
    let mut client = Client::connect(&args.url, Options::default())?;
    client.subscribe(Subscription::new(Channel::Quotes, args.symbols))?;
    let mut view = View::default();
    while limit.is_none_or(|limit| began.elapsed() < limit) {
        if let Some(event) = client.next_within(LOOK_INTERVAL)? {
            view.apply(&event);
            show(&event, &view);
        }
    }
    client.close();
    Ok(())
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
