//! `ticklane replay`: a recording, played to everybody who reads a lane.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use super::config::{FEED, Pace, Recording};
use super::engine::Engine;
use crate::children::LOOK_INTERVAL;
use crate::error::{ToolError, tell};
use crate::progress;
use crate::runtime::{make_private_dir, user_base};

/// What to play, and how.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    recording: Recording,
    /// recorded, max, stepped (`ticklane pace` asks for steps), or how many times as fast as it was recorded.
    #[arg(long, default_value = "recorded")]
    pace: Pace,
    /// Tell a digest of each ring at the end: the same for every replay of the recording.
    #[arg(long)]
    digest: bool,
    /// Runtime directory; made with mode 0700. One of your own under XDG_RUNTIME_DIR or /dev/shm if not given.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Leave the lane standing at the end, until Ctrl-C.
    #[arg(long)]
    stay: bool,
    /// Directory of the programs; TICKLANE_BIN_DIR, or that of this program, if not given.
    #[arg(long)]
    bin_dir: Option<PathBuf>,
}

/// Plays it to its end.
///
/// # Errors
/// When the engine refuses the recording, ends, or is stopped before the end.
pub(crate) fn run(args: &Args, stop: &AtomicBool) -> Result<(), ToolError> {
    let dir = match &args.dir {
        Some(dir) => dir.clone(),
        None => {
            let base = user_base();
            make_private_dir(&base)?;
            base.join("replay")
        }
    };
    let recording = &args.recording;
    let mut engine = Engine::start(recording, &dir, &args.pace, args.digest, None, args.bin_dir.as_deref(), stop)?;
    let place = engine.runtime().display().to_string();
    tell(&format!(
        "lane {}: ticklane tail --all --dir {place}; ticklane pace {FEED} pause --dir {place}",
        recording.lane
    ));
    let began = Instant::now();
    let bar = progress::bar(0, "");
    let slots = loop {
        let progress = engine.progress()?;
        bar.set_length(progress.total);
        bar.set_position(progress.done);
        bar.set_message(progress::rate(progress.slots, began.elapsed()));
        if progress.over {
            break progress.slots;
        }
        if stop.load(Ordering::Relaxed) {
            bar.finish_and_clear();
            return Err(stopped(recording, &engine));
        }
        std::thread::sleep(LOOK_INTERVAL);
    };
    bar.finish_and_clear();
    let reason = engine.end(stop)?;
    tell(&format!("{}: {}", recording.source.display(), progress::rate(slots, began.elapsed())));
    let mut out = io::stdout().lock();
    // One fact a line, for scripts.
    let facts = reason.split("; ").try_for_each(|fact| writeln!(out, "{fact}"));
    facts.and_then(|()| out.flush()).map_err(ToolError::output)?;
    drop(out);
    if engine.rejected() > 0 {
        tell(&format!("{} messages could not be applied: see ticklane stat", engine.rejected()));
    }
    if args.stay {
        tell("the lane stays until Ctrl-C");
        while !stop.load(Ordering::Relaxed) {
            engine.progress()?;
            std::thread::sleep(LOOK_INTERVAL);
        }
    }
    engine.stop();
    if reason.starts_with("end of") { Ok(()) } else { Err(ToolError::NotDone { what: reason }) }
}

/// Where it was stopped (publish time, ns since the UNIX epoch), and how to go on.
fn stopped(recording: &Recording, engine: &Engine) -> ToolError {
    let at = engine.newest_ns();
    let again = if recording.source.is_dir() {
        format!("go on with --from {at}")
    } else {
        "a file is played from its beginning only".into()
    };
    ToolError::NotDone { what: format!("stopped at {at}: {again}") }
}
