//! `ticklane import`: a file of ticks as a journal.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use journal::import::{DbnImport, ImportError, Meaning, Recorder};
use journal::writer::Now;

use super::failed;
use crate::error::{ToolError, tell};
use crate::progress;

/// Records between two looks at clock and signal.
const BATCH: u64 = 1 << 12;
/// Records that cannot be understood are told up to so many; the others are counted.
const TOLD_MAX: u64 = 5;

/// What to import, and whereto.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// DBN file, versions 1 to 3, compressed or not. ITCH files are played to an engine, which keeps a journal of them:
    /// `ticklane up --file`.
    file: PathBuf,
    /// Folder of the journal: made, and empty of files.
    #[arg(long, value_name = "DIR")]
    journal: PathBuf,
    /// Name of the lane that the journal is of.
    #[arg(long, default_value = "import")]
    lane: String,
}

/// Imports the whole file.
///
/// # Errors
/// When the file has no meaning on the bus or is broken, there is a journal already, or the disk is full.
pub(crate) fn run(args: &Args, stop: &AtomicBool) -> Result<(), ToolError> {
    let of_file = |error: ImportError| failed(format!("{}: {error}", args.file.display()));
    let mut import = DbnImport::open(&args.file).map_err(of_file)?;
    if import.meaning() == Meaning::None {
        return Err(failed(format!(
            "{}: its schema, DBN's number {}, has no meaning on the bus: expected mbo, trades, mbp-1, mbp-10, tbbo, \
             definition or status",
            args.file.display(),
            import.metadata().schema.unwrap_or(u16::MAX)
        )));
    }
    let began = Instant::now();
    let start_ns = Some(import.metadata().start).filter(|ns| *ns != u64::MAX).unwrap_or(0);
    let mut recorder = Recorder::create(&args.journal, &args.lane, start_ns, now(began)).map_err(failed)?;
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
