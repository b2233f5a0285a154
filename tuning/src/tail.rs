//! `ticklane tail`: events of a ring as they come, in text or JSON lines.

use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::ValueEnum;
use shm_abi::record::{INSTRUMENT_NONE, kind};
use ticklane_client::{Event, Lane, Options, Reader, Record, Rejoin, RingName, Start};

use crate::error::{ToolError, tell};
use crate::event::{Origin, describe};
use crate::runtime;

/// Longest wait between two looks at a signal.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// What to follow, and how to show it.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The symbol to follow, as the venue writes it.
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    symbol: Option<String>,
    /// Follow every instrument.
    #[arg(long)]
    all: bool,
    /// Which ring: market has quotes, levels, trades and status; orders has every order-level event.
    #[arg(long, value_enum, default_value_t = Ring::Market)]
    ring: Ring,
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
    /// Stop after this many events.
    #[arg(long)]
    count: Option<u64>,
    /// Where to begin.
    #[arg(long, value_enum, default_value_t = From::Latest)]
    from: From,
    /// Runtime directory of the engine, or a directory of such; the usual ones if not given.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Lane; needed only where there are several.
    #[arg(long)]
    lane: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Ring {
    Market,
    Orders,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum From {
    /// What is published from now on.
    Latest,
    /// As far back as the ring reaches.
    Oldest,
}

/// Follows until a signal, the count, or the end of the output.
///
/// # Errors
/// When there is no such lane or symbol, or the lane cannot be read.
pub(crate) fn run(args: &Args, stop: &AtomicBool) -> Result<(), ToolError> {
    let mut lane = choose(args)?;
    let reader = open(args, &lane)?;
    let mut out = BufWriter::new(io::stdout().lock());
    follow(args, &mut lane, reader, &mut out, stop)
}

/// The lane to follow: the only one there is, or the only one that knows the symbol.
fn choose(args: &Args) -> Result<Lane, ToolError> {
    let places = runtime::find_lanes(args.dir.as_deref(), args.lane.as_deref())?;
    let mut lanes = Vec::new();
    for place in &places {
        match Lane::attach(&place.dir, &place.lane) {
            Ok(lane) => lanes.push(lane),
            // One unreadable lane among others must not hide them; alone it is the answer.
            Err(error) if places.len() == 1 => return Err(error.into()),
            Err(error) => tell(&format!("ticklane: {place}: {error}")),
        }
    }
    if let Some(symbol) = &args.symbol {
        lanes.retain_mut(|lane| lane.instruments().get(symbol.as_str()).is_some());
        if lanes.is_empty() {
            return Err(ToolError::NoSuchSymbol { symbol: symbol.clone(), looked: runtime::list(&places) });
        }
    }
    // Lanes that somebody writes come first: a stopped engine leaves its last segment behind.
    if lanes.len() > 1 {
        lanes.retain(|lane| lane.segment().writer_alive());
    }
    match <[Lane; 1]>::try_from(lanes) {
        Ok([lane]) => Ok(lane),
        Err(_) => Err(ToolError::SeveralLanes { found: runtime::list(&places) }),
    }
}

fn open(args: &Args, lane: &Lane) -> Result<Reader, ToolError> {
    let start = match args.from {
        From::Latest => Start::Latest,
        From::Oldest => Start::Oldest,
    };
    let ring = match args.ring {
        Ring::Market => RingName::Market,
        Ring::Orders => RingName::Orders,
    };
    // A slow terminal is lapped: the smallest loss is the best view.
    Ok(lane.read(ring, Options { start, on_lap: Rejoin::Oldest, ..Options::default() })?)
}

fn follow(
    args: &Args,
    lane: &mut Lane,
    mut reader: Reader,
    out: &mut impl Write,
    stop: &AtomicBool,
) -> Result<(), ToolError> {
    let mut shown = 0;
    while !stop.load(Ordering::Relaxed) && args.count.is_none_or(|count| shown < count) {
        // Nothing more at the moment: show what there is before waiting.
        if !reader.is_ready() {
            out.flush().map_err(ToolError::output)?;
        }
        // The epoch before the event: of a restart it is the one that ended.
        let (ring, epoch) = (reader.ring_name(), reader.cursor().epoch);
        let Some(event) = reader.next_within(LOOK_INTERVAL)? else { continue };
        if wanted(args, lane, &event) {
            let id = event.record().map(|record| record.head.instrument_id);
            let instrument = id.and_then(|id| lane.instruments().get(id)).map(|(_, instrument)| *instrument);
            let line = describe(&event, instrument.as_ref());
            let origin = Origin { lane: lane.name(), ring, epoch };
            let text = if args.json { line.json(origin) } else { line.text() };
            writeln!(out, "{text}").map_err(ToolError::output)?;
            shown += 1;
        }
        let restarted = matches!(event, Event::Restarted(_));
        if restarted {
            lane.follow(&reader);
        }
    }
    out.flush().map_err(ToolError::output)
}

/// Whether an event concerns what is followed. What concerns the whole lane concerns everybody.
fn wanted(args: &Args, lane: &mut Lane, event: &Event<'_>) -> bool {
    let (Some(symbol), Some(record)) = (&args.symbol, event.record()) else { return true };
    let id = record.head.instrument_id;
    if id == INSTRUMENT_NONE {
        return concerns_all(record);
    }
    lane.instruments().get(id).is_some_and(|(_, instrument)| instrument.symbol.as_str() == symbol)
}

fn concerns_all(record: &Record<'_>) -> bool {
    matches!(record.head.kind, kind::GAP | kind::RESTART | kind::STATUS | kind::CLEAR)
}
