//! The journal's reactor: it reads the rings of every lane as any reader does, and brings what it read to disk. It is
//! unknown to the lanes, which it can neither slow nor stop.
//!
//! Source: design.md 4; decisions.md 5, 22.

mod disk;
mod images;
mod lane;
mod tail;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use journal::disk::FsFolder;
use journal::format::HoleReason;
use journal::writer::Now;
use journal::{JournalConfig, ReadError, Recovered, recover};
use market::ingest::Predecessor;
use shm_abi::counters::CounterWriter;
use shm_abi::ring::LossReason;
use shm_abi::segment::Segment;
use shm_abi::sys::{monotonic_ns, realtime_ns};

use self::lane::{Found, LaneRecorder};
use self::tail::Tail;
use crate::config::{EnginePlan, RecordConfig};
use crate::rt;

/// Shortest and longest sleep between two looks at rings of which all was taken, ns. The rings hold a million slots: there
/// is time.
const NAP_NS: (u64, u64) = (100_000, 1_000_000);
/// How long the disk may take at the end, ns.
const END_LIMIT_NS: u64 = 10_000_000_000;

/// Why a lane cannot be recorded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RecordError {
    #[error(
        "lane {lane}: journal folder {path} cannot be made: {source}; make it ours to write, or change journal.dir"
    )]
    Folder { lane: String, path: PathBuf, source: std::io::Error },
    #[error(
        "lane {lane}: the journal in {path} cannot be taken up: {source}; move it away to begin a new one, or change journal.dir"
    )]
    Recover { lane: String, path: PathBuf, source: ReadError },
    #[error("lane {lane}: {source}")]
    Limits { lane: String, source: journal::config::ConfigError },
}

/// What a lane brings to its recording.
pub(crate) struct Recorded {
    pub(crate) lane: String,
    pub(crate) segment: Segment,
    pub(crate) counters: CounterWriter,
    pub(crate) journal: Settled,
}

/// A lane's journal with all that came before this engine in it.
#[derive(Debug)]
pub(crate) struct Settled {
    folder: PathBuf,
    recovered: Recovered,
}

/// The reactor that records.
pub(crate) struct Recording {
    reactor: rt::Reactor,
    stop: Arc<AtomicBool>,
}

impl Recording {
    /// Starts to record.
    ///
    /// # Errors
    /// As text: there is no reactor.
    pub(crate) fn start(config: &RecordConfig, lanes: Vec<Recorded>) -> Result<Recording, String> {
        let stop = Arc::new(AtomicBool::new(false));
        let (told, limits) = (stop.clone(), config.limits.clone());
        let reactor = rt::Reactor::spawn("journal", config.core, move || record(limits, lanes, told))
            .map_err(|error| format!("the journal's reactor did not start: {error}"))?;
        Ok(Recording { reactor, stop })
    }

    /// The lanes have ended: waits until what they published is on disk, or the disk takes too long.
    ///
    /// # Errors
    /// What ended the reactor early, as text.
    pub(crate) fn finish(self) -> Result<(), String> {
        self.stop.store(true, Ordering::Release);
        self.reactor.join().map_err(|error| format!("the journal's reactor: {error}"))
    }
}

/// Takes a lane's journal up: cuts what a crash has torn, and records what the engine before had published and not
/// recorded. Blocking; before the lane's new segment takes the place of the old one, so that an engine killed at any moment
/// leaves that tail to its successor.
///
/// # Errors
/// When the folder cannot be made or read.
pub(crate) fn settle(
    plan: &EnginePlan,
    lane: &str,
    predecessor: Option<&(Segment, Predecessor)>,
) -> Result<Settled, RecordError> {
    let path = plan.journal.folder(&plan.engine, lane);
    let name = || lane.to_owned();
    FsFolder::new(&path).make().map_err(|source| RecordError::Folder { lane: name(), path: path.clone(), source })?;
    let look = || {
        recover(Arc::new(FsFolder::new(&path)), lane).map_err(|source| RecordError::Recover {
            lane: name(),
            path: path.clone(),
            source,
        })
    };
    let mut recovered = look()?;
    if let Some(cut) = &recovered.cut {
        tracing::warn!(
            lane, file = cut.file, offset = cut.offset, bytes = cut.bytes, next_orders = cut.next[0],
            next_market = cut.next[1], damage = ?cut.damage, "journal cut at its last good block"
        );
    }
    for (file, damage) in &recovered.refused {
        tracing::warn!(lane, file, %damage, "a journal file without a good header is left as it is");
    }
    if let Some((segment, told)) = predecessor {
        let mut tail = Tail::new(segment, told, recovered.stopped);
        if !tail.is_empty() {
            tail.record(&plan.journal.limits, lane, &recovered, &mut FsFolder::new(&path))
                .map_err(|source| RecordError::Limits { lane: name(), source })?;
            recovered = look()?;
        }
    }
    tracing::info!(
        lane,
        folder = %path.display(),
        files = recovered.kept.len(),
        "recording; no hole while the disk keeps up within the time that the rings last: slots / rate, seconds"
    );
    Ok(Settled { folder: path, recovered })
}

/// Why a ring's loss is a hole.
fn hole_reason(reason: LossReason) -> HoleReason {
    match reason {
        LossReason::Lapped => HoleReason::Lapped,
        LossReason::Skipped => HoleReason::Skipped,
        LossReason::Malformed => HoleReason::Malformed,
    }
}

/// Both clocks.
fn now() -> Now {
    Now { unix_ns: realtime_ns(), monotonic_ns: monotonic_ns() }
}

/// The reactor's only task of its own; writes are others. The first records that it finds are those of the lanes'
/// beginning.
async fn record(limits: JournalConfig, lanes: Vec<Recorded>, stop: Arc<AtomicBool>) {
    let mut recorders: Vec<LaneRecorder> =
        lanes.into_iter().filter_map(|lane| LaneRecorder::new(&limits, lane, now())).collect();
    let (mut nap, mut until) = (NAP_NS.0, None);
    loop {
        let at = now();
        // Before the look, so that what was published before the stop is seen by it.
        let stopping = stop.load(Ordering::Acquire);
        let found = recorders.iter_mut().map(|recorder| recorder.turn(at, stopping)).max();
        if stopping {
            let limit = *until.get_or_insert(at.monotonic_ns + END_LIMIT_NS);
            if recorders.iter().all(LaneRecorder::is_finished) || at.monotonic_ns > limit {
                break;
            }
        }
        // As late as the rings allow: lines that the lane has just written are taken from its own cache, and it pays.
        match found {
            Some(Found::Part) => {
                rt::give_way().await;
                continue;
            }
            Some(Found::Much) => nap = (nap / 2).max(NAP_NS.0),
            _ => nap = (2 * nap).min(NAP_NS.1),
        }
        rt::rest(nap).await;
    }
    recorders.iter_mut().for_each(LaneRecorder::end);
}
