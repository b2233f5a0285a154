//! `ticklane stat`: how the lanes of this host are doing.

pub(crate) mod sample;
pub(crate) mod view;

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ticklane_client::Lane;

use crate::error::{ToolError, tell};
use crate::runtime;
use crate::screen::Screen;
use crate::stat::sample::{LaneWatch, Report};

/// Longest wait between two looks at a signal, and between two looks at the rings for the latencies.
const TICK: Duration = Duration::from_millis(10);

/// Which lanes to show, and how.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Runtime directory of the engine, or a directory of such; the usual ones if not given.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Only this lane.
    #[arg(long)]
    lane: Option<String>,
    /// One JSON object a sample, one sample a line.
    #[arg(long)]
    json: bool,
    /// Milliseconds from one sample to the next; rates and latencies are of that time.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(50..=3_600_000))]
    interval: u64,
    /// Stop after this many samples. Without it, one sample where the output is no terminal, else until Ctrl-C.
    #[arg(long)]
    count: Option<u64>,
}

/// Shows samples until a signal or the count.
///
/// # Errors
/// When there is no lane, or the only one cannot be read.
pub(crate) fn run(args: &Args, stop: &AtomicBool) -> Result<(), ToolError> {
    let mut watches = open(args)?;
    let live = io::stdout().is_terminal() && !args.json && args.count != Some(1);
    let screen = live.then(Screen::enter).transpose().map_err(ToolError::output)?;
    let samples = args.count.or((!live && !args.json).then_some(1));
    let interval = Duration::from_millis(args.interval);
    let mut taken = 0;
    while samples.is_none_or(|samples| taken < samples) && watch(&mut watches, interval, stop) {
        let report = Report { lanes: watches.iter_mut().map(LaneWatch::sample).collect() };
        show(args, screen.as_ref(), &report)?;
        taken += 1;
    }
    Ok(())
}

fn open(args: &Args) -> Result<Vec<LaneWatch>, ToolError> {
    let places = runtime::find_lanes(args.dir.as_deref(), args.lane.as_deref())?;
    let mut watches = Vec::new();
    for place in &places {
        match Lane::attach(&place.dir, &place.lane).and_then(LaneWatch::new) {
            Ok(watch) => watches.push(watch),
            Err(error) if places.len() == 1 => return Err(error.into()),
            Err(error) => tell(&format!("ticklane: {place}: {error}")),
        }
    }
    Ok(watches)
}

/// Watches the rings for `interval`. Returns whether it was not interrupted.
pub(crate) fn watch(watches: &mut [LaneWatch], interval: Duration, stop: &AtomicBool) -> bool {
    let began = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        for watch in &mut *watches {
            watch.tick();
        }
        let left = interval.saturating_sub(began.elapsed());
        if left.is_zero() {
            return true;
        }
        std::thread::sleep(left.min(TICK));
    }
    false
}

fn show(args: &Args, screen: Option<&Screen>, report: &Report) -> Result<(), ToolError> {
    if let Some(screen) = screen {
        let mut lines = view::report(report);
        lines.push(String::new());
        lines.push(format!("every {} ms; Ctrl-C ends", args.interval));
        return screen.draw(&lines).map_err(ToolError::output);
    }
    let text = match args.json {
        true => serde_json::to_string(report).expect("texts and numbers only"),
        false => view::report(report).join("\n"),
    };
    let mut out = io::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush()).map_err(ToolError::output)
}
