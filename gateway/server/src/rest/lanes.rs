//! The lanes as REST reads them: segments that are open, and which row a symbol has. Nothing here waits: what is read
//! is memory, what is asked of the file system is one `stat` of a file in memory, at most every 50 ms a lane.

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use gateway_core::dialect::LaneState;
use shm_abi::board::{BoardReader, RowError, RowImage};
use shm_abi::directory::{DirectoryReader, Instrument, InstrumentKind, Text};
use shm_abi::layout::{State, is_lane_name};
use shm_abi::segment::{RingName, Segment, SegmentError, segment_file};

use super::error::{ApiError, ErrorCode};
use crate::config::LANES_MAX;
use crate::metrics::head;

/// Least time between two looks at a lane's file.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);
/// Least time between two looks for lanes of names that are not known yet.
const DISCOVERY_INTERVAL: Duration = Duration::from_millis(500);
/// Most directory entries that one request takes in: a shard's thread must not be held up by a large directory that has
/// just appeared. The next request goes on.
pub(crate) const INDEX_BATCH: usize = 16 * 1024;

/// Every lane, and the copy into which rows are read.
#[derive(Debug)]
pub(crate) struct Lanes {
    runtime_dir: PathBuf,
    /// Whether lanes are found by looking: none was configured.
    discovers: bool,
    discovered_at: Option<Instant>,
    lanes: Vec<Lane>,
    image: RowImage,
}

/// One lane.
#[derive(Debug)]
pub(crate) struct Lane {
    name: String,
    looked_at: Option<Instant>,
    /// File (device, inode) that is open. Its inode cannot be reused while we hold its mapping.
    file: Option<(u64, u64)>,
    open: Option<Open>,
    obstacle: &'static str,
}

/// A lane's segment, open.
#[derive(Debug)]
pub(crate) struct Open {
    /// The segment.
    pub(crate) segment: Segment,
    /// Its directory.
    pub(crate) directory: DirectoryReader,
    board: BoardReader,
    index: Index,
}

/// What a row is, as far as searching needs it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    /// Symbol, as the venue writes it.
    pub(crate) symbol: Text<32>,
    /// Venue.
    pub(crate) venue: Text<8>,
    /// Kind.
    pub(crate) kind: InstrumentKind,
}

#[derive(Debug, Default)]
struct Index {
    rows: HashMap<Text<32>, Vec<u32>>,
    entries: Vec<Entry>,
}

/// Where an instrument stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// Place among the lanes.
    pub(crate) lane: usize,
    /// Row of the lane's directory and board.
    pub(crate) row: usize,
}

/// What is known of an instrument without its row.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    /// Lane name.
    pub(crate) lane: String,
    /// What the lane's writer is doing.
    pub(crate) state: LaneState,
    /// Epoch of the lane.
    pub(crate) epoch: u64,
    /// Number of the next record of the lane's market ring.
    pub(crate) market_head: u64,
    /// The directory's entry.
    pub(crate) instrument: Instrument,
}

impl Index {
    /// Takes in more entries, at most [`INDEX_BATCH`]. Returns whether it holds them all.
    fn grow(&mut self, directory: &DirectoryReader) -> bool {
        let count = directory.count();
        for row in self.entries.len()..count.min(self.entries.len() + INDEX_BATCH) {
            let instrument = directory.get(row).expect("the row is below the count, which only grows");
            let Instrument { symbol, venue, kind, .. } = instrument;
            self.rows.entry(symbol).or_default().push(row as u32);
            self.entries.push(Entry { symbol, venue, kind });
        }
        self.entries.len() == count
    }
}

impl Open {
    fn new(segment: Segment) -> Open {
        let (directory, board) = (segment.directory(), segment.board());
        Open { segment, directory, board, index: Index::default() }
    }

    /// What the writer is doing.
    pub(crate) fn state(&self) -> LaneState {
        match self.segment.state() {
            Some(State::Closed) => LaneState::Closed,
            _ if !self.segment.writer_alive() => LaneState::Silent,
            Some(State::Recovering) => LaneState::Recovering,
            _ => LaneState::Live,
        }
    }

    /// The entries that are known, by row.
    pub(crate) fn entries(&self) -> &[Entry] {
        &self.index.entries
    }

    /// Takes in entries that are new, at most [`INDEX_BATCH`]. Returns whether all are known now.
    pub(crate) fn grow(&mut self) -> bool {
        self.index.grow(&self.directory)
    }
}

impl Lane {
    fn new(name: &str) -> Lane {
        Lane { name: name.into(), looked_at: None, file: None, open: None, obstacle: MISSING }
    }

    /// Lane name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Its segment; `None` while there is none.
    pub(crate) fn open(&self) -> Option<&Open> {
        self.open.as_ref()
    }

    /// As [`Lane::open`], for growing its index.
    pub(crate) fn open_mut(&mut self) -> Option<&mut Open> {
        self.open.as_mut()
    }

    /// What the writer is doing.
    pub(crate) fn state(&self) -> LaneState {
        self.open.as_ref().map_or(LaneState::Absent, Open::state)
    }

    /// Why the lane cannot serve; `None` when it can.
    pub(crate) fn trouble(&self) -> Option<&'static str> {
        if !self.obstacle.is_empty() {
            return Some(self.obstacle);
        }
        let open = self.open.as_ref()?;
        match open.state() {
            LaneState::Closed => Some("the engine has ended in order"),
            LaneState::Silent => Some("the engine has shown no life for 240 ms"),
            LaneState::Recovering => Some("the engine is rebuilding its books"),
            LaneState::Live | LaneState::Absent => None,
        }
    }

    /// Opens the segment when there is one that was not tried yet. A writer that begins anew makes a new file, so the
    /// file's identity tells it at once, also before the old writer counts as silent.
    fn look(&mut self, runtime_dir: &Path, now: Instant) {
        if self.looked_at.is_some_and(|at| now.duration_since(at) < LOOK_INTERVAL) {
            return;
        }
        self.looked_at = Some(now);
        // Read before opening: a file that is replaced in between looks new at the next look, and is opened once more.
        let Ok(facts) = std::fs::symlink_metadata(runtime_dir.join(segment_file(&self.name))) else {
            // A file that was removed says nothing of its writer, and what was read last is still the last known.
            self.obstacle = if self.open.is_none() { MISSING } else { "" };
            return;
        };
        let file = Some((facts.dev(), facts.ino()));
        if file == self.file {
            return;
        }
        match Segment::open(runtime_dir, &self.name) {
            Ok(segment) => (self.open, self.file, self.obstacle) = (Some(Open::new(segment)), file, ""),
            Err(error) => {
                tracing::debug!(lane = self.name, %error, "REST cannot open the lane");
                self.obstacle = obstacle(&error);
            }
        }
    }
}

/// Why a lane is absent.
const MISSING: &str = "there is no segment: the engine has not been started";

/// Why a segment cannot be opened, without the paths of this host.
fn obstacle(error: &SegmentError) -> &'static str {
    match error {
        SegmentError::Missing { .. } => MISSING,
        SegmentError::Version { .. } => "the segment has another layout: use programs of one release",
        SegmentError::Stale { .. } => "the segment was made before the last boot: its engine must make it anew",
        SegmentError::NotASegment { .. } => "its file is not a segment",
        _ => "the segment cannot be opened: the log says why",
    }
}

impl Lanes {
    /// The lanes of these names in the runtime directory; without names, those that are found there.
    pub(crate) fn new(runtime_dir: PathBuf, names: &[String]) -> Lanes {
        let lanes = names.iter().map(|name| Lane::new(name)).collect();
        let discovers = names.is_empty();
        Lanes { runtime_dir, discovers, discovered_at: None, lanes, image: RowImage::default() }
    }

    /// Every lane, after a look at what is due to be looked at.
    pub(crate) fn look(&mut self) -> &mut [Lane] {
        let now = Instant::now();
        self.discover(now);
        for lane in &mut self.lanes {
            lane.look(&self.runtime_dir, now);
        }
        &mut self.lanes
    }

    /// Finds lanes by their segments' names. A lane that was found once stays.
    fn discover(&mut self, now: Instant) {
        if !self.discovers || self.discovered_at.is_some_and(|at| now.duration_since(at) < DISCOVERY_INTERVAL) {
            return;
        }
        self.discovered_at = Some(now);
        let Ok(files) = std::fs::read_dir(&self.runtime_dir) else { return };
        let mut found: Vec<String> = files
            .filter_map(|file| file.ok()?.file_name().to_str()?.strip_suffix(".seg").map(String::from))
            .filter(|name| is_lane_name(name) && self.lanes.iter().all(|lane| lane.name != *name))
            .take(LANES_MAX.saturating_sub(self.lanes.len()))
            .collect();
        found.sort();
        self.lanes.extend(found.iter().map(|name| Lane::new(name)));
    }

    /// The instrument of `SYMBOL` or `VENUE:SYMBOL`.
    ///
    /// # Errors
    /// Nobody has it, more than one venue has it, or it cannot be known yet.
    pub(crate) fn find(&mut self, symbol: &str) -> Result<Place, ApiError> {
        let mut all_known = true;
        let mut any_open = false;
        for lane in self.look() {
            if let Some(open) = &mut lane.open {
                any_open = true;
                all_known &= open.grow() && open.state() != LaneState::Recovering;
            }
        }
        if !any_open {
            return Err(ApiError::new(ErrorCode::Unavailable, "No lane is attached: is the engine running?"));
        }
        let mut found = self.matches(None, symbol);
        if found.is_empty()
            && let Some((venue, symbol)) = symbol.split_once(':')
        {
            found = self.matches(Some(venue), symbol);
        }
        match found.as_slice() {
            [(place, _)] => Ok(*place),
            [] if !all_known => {
                Err(ApiError::new(ErrorCode::Busy, "The lane's directory is not known as a whole yet."))
            }
            [] => Err(ApiError::new(ErrorCode::UnknownSymbol, "No attached lane has this symbol.").blame(
                "symbol",
                symbol,
                "a symbol of /api/v1/instruments",
            )),
            several => {
                let names: Vec<&str> = several.iter().map(|(_, name)| name.as_str()).collect();
                let message = "More than one venue has this symbol.";
                let expected = format!("one of {}", names.join(", "));
                Err(ApiError::new(ErrorCode::AmbiguousSymbol, message).blame("symbol", symbol, expected))
            }
        }
    }

    /// Every venue's instrument of that symbol, with its full name. Where one venue has it more than once, it is the
    /// newest of the first lane that has it.
    fn matches(&self, venue: Option<&str>, symbol: &str) -> Vec<(Place, String)> {
        let key = Text::<32>::new(symbol.as_bytes());
        if key.as_str() != symbol || symbol.is_empty() {
            return Vec::new();
        }
        let mut found: Vec<(Place, String)> = Vec::new();
        for (lane, open) in self.lanes.iter().enumerate().filter_map(|(at, lane)| Some((at, lane.open.as_ref()?))) {
            for row in open.index.rows.get(&key).into_iter().flatten().rev().map(|row| *row as usize) {
                let found_venue = open.index.entries[row].venue;
                let name = format!("{found_venue}:{symbol}");
                let wanted = venue.is_none_or(|venue| venue == found_venue.as_str());
                if wanted && found.iter().all(|(_, known)| *known != name) {
                    found.push((Place { lane, row }, name));
                }
            }
        }
        found
    }

    /// What is known of an instrument.
    ///
    /// # Errors
    /// The lane was replaced by another that does not have it.
    pub(crate) fn known(&self, place: Place) -> Result<Known, ApiError> {
        let lane = &self.lanes[place.lane];
        let open = lane.open.as_ref().ok_or_else(gone)?;
        let instrument = open.directory.get(place.row).ok_or_else(gone)?;
        Ok(Known {
            lane: lane.name.clone(),
            state: open.state(),
            epoch: open.segment.identity().epoch,
            market_head: head(&open.segment, RingName::Market),
            instrument,
        })
    }

    /// Reads a row, whole.
    ///
    /// # Errors
    /// The writer is in it, or died in it.
    pub(crate) fn row(&mut self, place: Place) -> Result<&RowImage, ApiError> {
        let open = self.lanes[place.lane].open.as_ref().ok_or_else(gone)?;
        if open.state() == LaneState::Recovering {
            return Err(ApiError::new(ErrorCode::Busy, "The engine is rebuilding its books."));
        }
        let read = open.board.read(place.row, &mut self.image, || open.segment.writer_alive());
        read.map_err(|error| match error {
            RowError::Busy => ApiError::new(ErrorCode::Busy, "The engine was writing this row at each try."),
            RowError::WriterDead => ApiError::new(ErrorCode::WriterDead, "The engine died while it wrote this row."),
            RowError::NoSuchRow(_) => gone(),
        })?;
        Ok(&self.image)
    }
}

fn gone() -> ApiError {
    ApiError::new(ErrorCode::Unavailable, "The lane does not have this instrument any more.")
}
