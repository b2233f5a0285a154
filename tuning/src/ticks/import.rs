//! `ticklane import`: a file of ticks as a journal.
//!
//! DBN files are records already. What has messages of a venue goes through an engine of our own, which keeps a journal of
//! what it makes of them.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use journal::import::{DbnImport, ImportError, Meaning, Recorder};
use journal::writer::Now;

use super::failed;
use crate::children::{Ending, LOOK_INTERVAL};
use crate::error::{ToolError, tell};
use crate::play::{Engine, Pace, Recording};
use crate::progress;
use crate::runtime::{make_private_dir, user_base};

/// Records between two looks at clock and signal.
const BATCH: u64 = 1 << 12;
/// Records that cannot be understood are told up to so many; the others are counted.
const TOLD_MAX: u64 = 5;

/// What to import, and whereto.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    recording: Recording,
    /// Folder of the journal: made, and empty of files.
    #[arg(long, value_name = "DIR")]
    journal: PathBuf,
    /// Directory of the programs; TICKLANE_BIN_DIR, or that of this program, if not given.
    #[arg(long)]
    bin_dir: Option<PathBuf>,
}

/// Imports the whole file.
///
/// # Errors
/// When the file has no meaning on the bus or is broken, there is a journal already, or the disk is full.
pub(crate) fn run(args: &Args, stop: &AtomicBool) -> Result<(), ToolError> {
    let path = &args.recording.source;
    let mut beginning = Vec::new();
    let read = File::open(path).and_then(|file| file.take(4).read_to_end(&mut beginning));
    read.map_err(|source| ToolError::Io { action: "read", path: path.clone(), source })?;
    const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let named = name.ends_with(".dbn") || name.ends_with(".dbn.zst");
    match named || beginning.starts_with(b"DBN") || beginning == ZSTD {
        true => run_dbn(args, stop),
        false => run_messages(args, stop),
    }
}

/// Plays a file to an engine that keeps a journal.
fn run_messages(args: &Args, stop: &AtomicBool) -> Result<(), ToolError> {
    let (recording, journal) = (&args.recording, &args.journal);
    let io = |action, path: &Path| {
        let path = path.to_owned();
        move |source| ToolError::Io { action, path, source }
    };
    match fs::read_dir(journal).map(|mut entries| entries.next().is_none()) {
        Ok(true) => fs::remove_dir(journal).map_err(io("replace", journal))?,
        Ok(false) => return Err(failed(format!("{} is not empty: name another folder", journal.display()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(io("look into", journal)(error)),
    }
    // It has its name when it is whole.
    let mut name = journal.file_name().unwrap_or_default().to_owned();
    name.push(".partial");
    let partial = journal.with_file_name(name);
    match fs::remove_dir_all(&partial) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io("remove", &partial)(error)),
        _ => fs::create_dir_all(&partial).map_err(io("make", &partial))?,
    }
    let partial = partial.canonicalize().map_err(io("resolve", &partial))?;
    let base = user_base();
    make_private_dir(&base)?;
    let runtime = base.join(format!("import-{}", std::process::id()));
    let outcome = play(args, &runtime, &partial, stop);
    // Nothing half made stays behind; the first error is the one worth telling.
    let _ = fs::remove_dir_all(&runtime);
    let moved = outcome.and_then(|told| {
        fs::rename(partial.join(&recording.lane), journal).map_err(io("move the journal to", journal))?;
        Ok(told)
    });
    let _ = fs::remove_dir_all(&partial);
    let told = moved?;
    let mut out = io::stdout().lock();
    writeln!(out, "{told}").map_err(ToolError::output)
}

/// Plays all of it; gives what the engine says of the end.
fn play(args: &Args, runtime: &Path, partial: &Path, stop: &AtomicBool) -> Result<String, ToolError> {
    let pace = Pace::Word("max");
    let (recording, bin_dir) = (&args.recording, args.bin_dir.as_deref());
    let mut engine = Engine::start(recording, runtime, &pace, false, Some(partial), bin_dir, stop)?;
    let (began, bar) = (Instant::now(), progress::bar(0, "bytes"));
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
            return Err(failed("stopped: import again"));
        }
        std::thread::sleep(LOOK_INTERVAL);
    };
    let told = engine.end(stop)?;
    let rejected = engine.rejected();
    let ending = engine.stop();
    bar.finish_and_clear();
    if ending == Ending::Killed || engine.missing() > 0 || !told.starts_with("end of") {
        return Err(failed(format!("{told}; {} slots are not in the journal; the engine {ending}", engine.missing())));
    }
    tell(&format!("{}: {}", args.journal.display(), progress::rate(slots, began.elapsed())));
    Ok(format!("{told}\nslots {slots}\nrejected {rejected}"))
}

fn run_dbn(args: &Args, stop: &AtomicBool) -> Result<(), ToolError> {
    let file = &args.recording.source;
    let of_file = |error: ImportError| failed(format!("{}: {error}", file.display()));
    let mut import = DbnImport::open(file).map_err(of_file)?;
    if import.meaning() == Meaning::None {
        return Err(failed(format!(
            "{}: its schema, DBN's number {}, has no meaning on the bus: expected mbo, trades, mbp-1, mbp-10, tbbo, \
             definition or status",
            file.display(),
            import.metadata().schema.unwrap_or(u16::MAX)
        )));
    }
    let began = Instant::now();
    let start_ns = Some(import.metadata().start).filter(|ns| *ns != u64::MAX).unwrap_or(0);
    let mut recorder = Recorder::create(&args.journal, &args.recording.lane, start_ns, now(began)).map_err(failed)?;
    // How long the file is when uncompressed, it does not say.
    let bar = progress::bar(0, "bytes");
    let (mut bad, mut time) = (0, now(began));
    for step in 1_u64.. {
        match import.next() {
            Ok(None) => break,
            Ok(Some(said)) => {
                for imported in said {
                    recorder.take(imported, time).map_err(failed)?;
                }
            }
            Err(error @ ImportError::Record { .. }) => {
                bad += 1;
                if bad <= TOLD_MAX {
                    tell(&format!("ticklane: {error}"));
                }
            }
            Err(error) => return Err(of_file(error)),
        }
        if step.is_multiple_of(BATCH) {
            time = now(began);
            bar.set_position(import.bytes());
            bar.set_message(progress::rate(import.counts().records, began.elapsed()));
            if stop.load(Ordering::Relaxed) {
                bar.finish_and_clear();
                return Err(failed("stopped: remove the folder, and import again"));
            }
        }
    }
    recorder.finish(now(began)).map_err(failed)?;
    bar.finish_and_clear();
    let counts = import.counts();
    tell(&format!("{}: {}", args.journal.display(), progress::rate(counts.records, began.elapsed())));
    let [orders, market] = counts.given;
    let left_out: u64 = counts.left_out().map(|(_, count)| count).sum();
    let mut out = io::stdout().lock();
    writeln!(
        out,
        "records {}\norders {orders}\nmarket {market}\ninstruments {}\nwithout a meaning {left_out}\nbad {bad}",
        counts.records, counts.instruments
    )
    .map_err(ToolError::output)?;
    if bad > 0 { Err(failed(format!("{bad} records could not be understood and are missing"))) } else { Ok(()) }
}

/// The time, by both clocks.
fn now(began: Instant) -> Now {
    let unix_ns = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64);
    Now { unix_ns, monotonic_ns: 1 + began.elapsed().as_nanos() as u64 }
}
