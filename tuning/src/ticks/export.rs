//! `ticklane export`: what a lane has published, as a file of ticks.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use journal::export::{Counts, ExportOptions, Exporter, Format, Schema};
use ticklane_client::Cursor;

use super::failed;
use super::source::Source;
use crate::error::{ToolError, tell};
use crate::progress;

/// Entries between two looks at a signal.
const BATCH: u64 = 1 << 16;

/// What to export, whence and whereto.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Folder with the journal of a lane, or a segment (LANE.seg): what its ring still holds.
    #[arg(long, value_name = "JOURNAL")]
    from: PathBuf,
    /// File to write. What it is goes by its ending: .dbn, .dbn.zst or .parquet.
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    /// What the file holds: orders, trades, quotes or definitions.
    #[arg(long)]
    schema: Schema,
    /// dbn, dbn.zst or parquet, whatever the file's ending is.
    #[arg(long)]
    format: Option<Format>,
    /// Begin here, at a cursor of the ring that the schema is made of (lane.epoch.seq), instead of at the oldest record.
    #[arg(long, value_name = "CURSOR")]
    since: Option<Cursor>,
    /// DBN's dataset [default: the venue in capitals, and .TICKLANE].
    #[arg(long)]
    dataset: Option<String>,
    /// DBN's publisher id.
    #[arg(long, default_value_t = 0)]
    publisher: u16,
    /// Go on with what an export that was cut has left (dbn; the other formats begin anew).
    #[arg(long)]
    resume: bool,
    /// Replace the file if there is one.
    #[arg(long)]
    force: bool,
}

/// Exports all that there is now.
///
/// # Errors
/// When there is no journal, the file is there already, or one of the two fails.
pub(crate) fn run(args: &Args, stop: &AtomicBool) -> Result<(), ToolError> {
    let format = args.format.map_or_else(|| by_ending(&args.to), Ok)?;
    if args.to.exists() && !args.force {
        return Err(failed(format!("{} is there already: name another file, or add --force", args.to.display())));
    }
    let mut source = Source::open(&args.from, args.schema.ring(), args.since.as_ref())?;
    let options = ExportOptions {
        dataset: args.dataset.clone(),
        publisher_id: args.publisher,
        resume: args.resume,
        ..ExportOptions::new(args.schema, format)
    };
    let mut exporter = Exporter::create(&args.to, &options, &source.instruments()?).map_err(failed)?;
    let began = Instant::now();
    let (total, unit) = source.total();
    let bar = progress::bar(total, unit);
    while source.feed(&mut exporter, BATCH)? > 0 {
        bar.set_position(source.position());
        bar.set_message(progress::rate(exporter.counts().records, began.elapsed()));
        if stop.load(Ordering::Relaxed) {
            bar.finish_and_clear();
            let again = if format == Format::Dbn { "go on with --resume" } else { "begin again" };
            return Err(failed(format!("stopped after {} records: {again}", exporter.counts().records)));
        }
    }
    let counts = exporter.finish().map_err(failed)?;
    bar.finish_and_clear();
    tell(&format!("{}: {}", args.to.display(), progress::rate(counts.records, began.elapsed())));
    let mut out = io::stdout().lock();
    writeln!(out, "{}", summary(&counts)).map_err(ToolError::output)
}

/// The format that a file's name asks for.
fn by_ending(path: &Path) -> Result<Format, ToolError> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let endings = [(".dbn", Format::Dbn), (".dbn.zst", Format::DbnZstd), (".parquet", Format::Parquet)];
    let format = endings.into_iter().find(|(ending, _)| name.ends_with(ending)).map(|(_, format)| format);
    format.ok_or_else(|| {
        failed(format!("{}: expected a name that ends in .dbn, .dbn.zst or .parquet, or --format", path.display()))
    })
}

/// What went out, what was left out, and what is doubtful.
fn summary(counts: &Counts) -> String {
    let letters = |pairs: &mut dyn Iterator<Item = (u8, u64)>| {
        pairs.map(|(letter, count)| format!("{}={count}", char::from(letter))).collect::<Vec<_>>().join(" ")
    };
    let mut text = format!("rows {}", counts.rows);
    let mut add = |name: &str, value: String| {
        if !value.is_empty() && value != "0" {
            let _ = write!(text, "\n{name} {value}");
        }
    };
    add("actions", letters(&mut counts.actions()));
    add("without a place", letters(&mut counts.left_out_kinds()));
    add("resumed rows", counts.resumed_rows.to_string());
    add("doubtful rows", counts.doubtful_rows.to_string());
    add("gaps", counts.gaps.to_string());
    add("lost slots", counts.lost_slots.to_string());
    text
}
