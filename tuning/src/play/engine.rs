//! An engine of our own that plays a recording.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use shm_abi::counters::{FeedCounter, JournalCounter, LaneCounter};
use shm_abi::layout::FeedState;
use shm_abi::segment::{RingName, Segment};
use ticklane_client::{Lane, Rejoin};

use super::config::{Choice, FEED, Pace, Recording, text};
use crate::children::{Child, Ending, LOOK_INTERVAL, Relay};
use crate::control::state_of;
use crate::error::ToolError;
use crate::runtime::make_private_dir;
use crate::up::program;

/// Longest wait for the segment.
const READY_LIMIT: Duration = Duration::from_secs(20);
/// Longest wait for an engine to end when asked: its journal is brought to disk first.
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// States of a recording that is over.
const OVER: [FeedState; 2] = [FeedState::Closed, FeedState::EndOfSession];

/// It plays; ended when dropped.
pub(crate) struct Engine {
    child: Child,
    lane: Lane,
    runtime: PathBuf,
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Bytes of a file, or slots of a journal.
    pub(crate) done: u64,
    /// 0: not known yet.
    pub(crate) total: u64,
    /// Slots published, in both rings.
    pub(crate) slots: u64,
    /// Whether the recording is over, well or not.
    pub(crate) over: bool,
}

impl Engine {
    /// Starts it in a runtime directory, which is made if there is none.
    ///
    /// # Errors
    /// When the program is missing, refuses the recording, or has no segment in time.
    pub(crate) fn start(
        recording: &Recording,
        runtime: &Path,
        pace: &Pace,
        digest: bool,
        journal: Option<&Path>,
        bin_dir: Option<&Path>,
        stop: &AtomicBool,
    ) -> Result<Engine, ToolError> {
        let io = |action, path: &Path| {
            let path = path.to_owned();
            move |source| ToolError::Io { action, path, source }
        };
        let source = recording.source.canonicalize().map_err(io("open", &recording.source))?;
        make_private_dir(runtime)?;
        let runtime = runtime.canonicalize().map_err(io("resolve", runtime))?;
        let state = runtime.join("state");
        make_private_dir(&state)?;
        let choice = Choice { runtime_dir: &runtime, state_dir: &state, pace, digest, journal };
        let path = runtime.join("replay.toml");
        let text = text(recording, &source, &choice).map_err(|error| io("write", &path)(io::Error::other(error)))?;
        let mut options = fs::OpenOptions::new();
        let file = options.write(true).create(true).truncate(true).mode(0o600).open(&path);
        file.and_then(|mut file| file.write_all(text.as_bytes())).map_err(io("write", &path))?;
        let mut command = Command::new(program(bin_dir, "ticklane-engine", "ticklane-engine")?);
        command.arg("--config").arg(&path);
        let mut child = Child::start("engine", command, Relay::Keep)?;
        let lane = attach(&mut child, &runtime, &recording.lane, stop)?;
        Ok(Engine { child, lane, runtime })
    }

    /// Where its segment stands.
    pub(crate) fn runtime(&self) -> &Path {
        &self.runtime
    }

    /// How far it is.
    ///
    /// # Errors
    /// When the engine has ended by itself.
    pub(crate) fn progress(&mut self) -> Result<Progress, ToolError> {
        if let Some(ending) = self.child.ended() {
            return Err(self.child.failure(&format!("{ending} by itself")));
        }
        let segment = self.lane.segment();
        let (state, done, total) = segment.feed(0).map_or((0, 0, 0), |(facts, counters)| {
            (facts.state, counters.feed(FeedCounter::SourceDone), counters.feed(FeedCounter::SourceTotal))
        });
        let over = OVER.iter().any(|over| *over as u64 == state);
        Ok(Progress { done, total, slots: heads(segment).iter().sum(), over })
    }

    /// What the engine says of the end, once there is one.
    ///
    /// # Errors
    /// When it does not answer.
    pub(crate) fn end(&self, stop: &AtomicBool) -> Result<String, ToolError> {
        loop {
            // The segment knows first.
            let (state, reason) = state_of(&self.runtime, FEED, stop)?;
            if OVER.iter().any(|over| FeedState::name_of(*over as u64) == state) {
                return Ok(reason);
            }
            std::thread::sleep(LOOK_INTERVAL);
        }
    }

    /// Venue's messages that could not be applied.
    pub(crate) fn rejected(&self) -> u64 {
        self.lane.segment().counters().lane(LaneCounter::Rejected)
    }

    /// Slots that its journal lacks.
    pub(crate) fn missing(&self) -> u64 {
        self.lane.segment().journal_counters().journal(JournalCounter::MissingSlots)
    }

    /// Publish time of the newest record, ns since the UNIX epoch; 0: there is none.
    pub(crate) fn newest_ns(&self) -> u64 {
        let segment = self.lane.segment();
        let newest = [RingName::Orders, RingName::Market].map(|ring| newest_of(segment, ring));
        newest[0].max(newest[1])
    }

    /// Ends it in order.
    pub(crate) fn stop(&mut self) -> Ending {
        self.child.stop(STOP_LIMIT)
    }
}

fn heads(segment: &Segment) -> [u64; 2] {
    [RingName::Orders, RingName::Market].map(|ring| segment.read_from(ring, 0, Rejoin::Oldest).head())
}

fn newest_of(segment: &Segment, ring: RingName) -> u64 {
    use shm_abi::record::Record;
    use shm_abi::ring::{Polled, SPAN_MAX};
    let head = segment.read_from(ring, 0, Rejoin::Oldest).head();
    let mut reader = segment.read_from(ring, head.saturating_sub(2 * SPAN_MAX as u64), Rejoin::Oldest);
    let mut newest = 0;
    while reader.cursor() < head {
        match reader.poll() {
            Polled::Record { n, words } => {
                let published = Record::new(n, words).map_or(0, |record| record.head.ts_publish());
                newest = newest.max(published);
            }
            Polled::Lost(_) => {}
            Polled::Empty => break,
        }
    }
    newest
}

/// Waits for the segment of this process.
fn attach(child: &mut Child, runtime: &Path, lane: &str, stop: &AtomicBool) -> Result<Lane, ToolError> {
    let began = Instant::now();
    while began.elapsed() < READY_LIMIT {
        if stop.load(Ordering::Relaxed) {
            return Err(ToolError::Interrupted);
        }
        if let Some(ending) = child.ended() {
            return Err(child.failure(&ending.to_string()));
        }
        match Lane::attach(runtime, lane) {
            // An earlier engine leaves its segment behind: this one's has its process id.
            Ok(lane) if lane.segment().writer_pid() == u64::from(child.pid()) => return Ok(lane),
            _ => std::thread::sleep(LOOK_INTERVAL),
        }
    }
    Err(child.failure(&format!("has no segment within {READY_LIMIT:?}")))
}
