//! What a shard knows of a lane: its segment, the instruments in it, how far it was read, and the event that is open.

use std::collections::HashMap;

use shm_abi::board::{BoardReader, RowImage};
use shm_abi::directory::{DirectoryReader, Instrument as Entry, Text};
use shm_abi::layout::State;
use shm_abi::segment::Segment;

use super::slab::NONE;
use crate::dialect::{LaneFacts, LaneState};
use crate::state::{Quote, Window};
use crate::trades::TradeLog;

/// Instrument ids from here on are not followed: tables by id stay below 32 MiB.
pub(super) const INSTRUMENTS_MAX: usize = crate::trades::INSTRUMENTS_MAX;

/// An instrument id's places.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    /// Row of directory and board; [`NONE`]: not in this segment.
    pub(super) row: u32,
    /// Place among the shard's instruments; [`NONE`]: nobody subscribes.
    pub(super) instrument: u32,
}

const UNKNOWN: Known = Known { row: NONE, instrument: NONE };

/// A mapped segment.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) segment: Segment,
    pub(super) board: BoardReader,
    pub(super) directory: DirectoryReader,
}

/// The venue event whose records are being read.
#[derive(Debug, Default)]
pub(super) struct OpenEvent {
    /// Instrument that it has changed; `None`: none so far.
    pub(super) instrument: Option<u32>,
    /// Instrument of which rows know more than its records, and what to read of it.
    pub(super) reread: Option<(u32, Reread)>,
    /// The status of every instrument is to be read again.
    pub(super) reread_all: bool,
    /// As they were before it, if the topics that need it were there; `window`: the best levels.
    pub(super) quote: Option<Quote>,
    pub(super) window: Window,
    pub(super) has_window: bool,
}

/// What an event makes a shard read again from the board.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reread {
    /// Status and quality: they follow from more than records tell.
    Status,
    /// Everything: the engine counts executions of unknown orders as volume, and no record says so.
    Row,
}

/// One lane.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) name: String,
    pub(super) source: Option<Source>,
    pub(super) stream: u32,
    /// Epochs that were met, and the number bound to each: one more at each start of the engine that anybody reads of.
    pub(super) streams: Vec<(u64, u32)>,
    pub(super) epoch: u64,
    /// Everything up to this number was read.
    pub(super) cursor_seq: u64,
    pub(super) state: LaneState,
    /// Entries of the directory that the tables below hold.
    seen: usize,
    by_symbol: HashMap<Text<32>, u32>,
    /// Per row the next one of the same symbol, at another venue.
    same_symbol: Vec<u32>,
    by_id: Vec<Known>,
    pub(super) event: OpenEvent,
    /// Instruments with subscribers.
    pub(super) members: Vec<u32>,
    /// Instruments whose row could not be read yet, or must be read again.
    pub(super) waiting: Vec<u32>,
    /// Connections that lack a state which was in the middle of an event.
    pub(super) parked: Vec<u32>,
    pub(super) trades: TradeLog,
    pub(super) image: RowImage,
}

impl Lane {
    pub(super) fn new(name: &str, trades: usize) -> Lane {
        Lane {
            name: name.into(),
            source: None,
            stream: 0,
            streams: Vec::new(),
            epoch: 0,
            cursor_seq: 0,
            state: LaneState::Absent,
            seen: 0,
            by_symbol: HashMap::new(),
            same_symbol: Vec::new(),
            by_id: Vec::new(),
            event: OpenEvent::default(),
            members: Vec::new(),
            waiting: Vec::new(),
            parked: Vec::new(),
            trades: TradeLog::new(trades),
            image: RowImage::default(),
        }
    }

    /// Reads this segment from now on. Instruments keep their places; their rows are those of this segment.
    pub(super) fn change_source(&mut self, segment: &Segment, stream: u32, cursor_seq: u64) {
        let (board, directory) = (segment.board(), segment.directory());
        self.source = Some(Source { segment: segment.clone(), board, directory });
        self.stream = stream;
        self.epoch = segment.identity().epoch;
        self.cursor_seq = cursor_seq;
        self.seen = 0;
        self.by_symbol.clear();
        self.same_symbol.clear();
        for known in &mut self.by_id {
            known.row = NONE;
        }
        self.trades.clear();
        self.discard_event();
        self.look_at_directory();
    }

    /// Forgets the open event: its rest will not come.
    pub(super) fn discard_event(&mut self) {
        self.event.instrument = None;
        self.event.reread = None;
        self.event.reread_all = false;
    }

    /// Whether the directory has entries that were not seen yet.
    pub(super) fn has_news(&self) -> bool {
        self.source.as_ref().is_some_and(|source| source.directory.count() > self.seen)
    }

    /// Takes in what the directory has by now. Returns whether it had anything new.
    pub(super) fn look_at_directory(&mut self) -> bool {
        let Some(source) = &self.source else { return false };
        let before = self.seen;
        while let Some(entry) = source.directory.get(self.seen) {
            let row = self.seen as u32;
            let next = self.by_symbol.insert(entry.symbol, row).unwrap_or(NONE);
            self.same_symbol.push(next);
            let id = entry.instrument_id as usize;
            if id < INSTRUMENTS_MAX {
                if id >= self.by_id.len() {
                    self.by_id.resize(id + 1, UNKNOWN);
                }
                self.by_id[id].row = row;
            }
            self.seen += 1;
        }
        self.seen > before
    }

    /// Places of an instrument id.
    pub(super) fn known(&self, instrument_id: u32) -> Known {
        self.by_id.get(instrument_id as usize).copied().unwrap_or(UNKNOWN)
    }

    /// Remembers that an instrument id, which must be known, has this place among the shard's instruments.
    pub(super) fn set_instrument(&mut self, instrument_id: u32, place: u32) {
        if let Some(known) = self.by_id.get_mut(instrument_id as usize) {
            known.instrument = place;
        }
    }

    /// Nobody subscribes to an instrument any more. Its place may be another's from now on.
    pub(super) fn forget_instrument(&mut self, place: u32, instrument_id: u32) {
        self.set_instrument(instrument_id, NONE);
        if self.event.instrument == Some(place) {
            self.event.instrument = None;
        }
        self.event.reread = self.event.reread.filter(|(other, _)| *other != place);
    }

    /// Entry of a row.
    pub(super) fn entry(&self, row: u32) -> Option<Entry> {
        self.source.as_ref()?.directory.get(row as usize)
    }

    /// Rows of a symbol, at one venue or at all.
    pub(super) fn rows<'l>(&'l self, symbol: &str, venue: Option<&'l str>) -> impl Iterator<Item = u32> + 'l {
        // A text that does not survive the directory's own form names nothing in it.
        let text = Text::<32>::new(symbol.as_bytes());
        let first = (text.as_str() == symbol).then(|| self.by_symbol.get(&text).copied()).flatten();
        std::iter::successors(first, |row| Some(self.same_symbol[*row as usize]).filter(|next| *next != NONE))
            .filter(move |row| venue.is_none_or(|venue| self.entry(*row).is_some_and(|e| e.venue.as_str() == venue)))
    }

    /// Copies a row into the lane's image. `false`: not now. A row that is being rebuilt, or that its writer left half
    /// written, is not read; who needs it waits.
    pub(super) fn read_row(&mut self, row: u32) -> bool {
        let Some(source) = &self.source else { return false };
        if source.segment.state() == Some(State::Recovering) {
            return false;
        }
        let alive = matches!(self.state, LaneState::Live | LaneState::Recovering);
        source.board.read(row as usize, &mut self.image, || alive).is_ok()
    }

    /// As clients are told of it.
    pub(super) fn facts(&self) -> LaneFacts<'_> {
        let (stream, epoch) = (self.stream, self.epoch);
        LaneFacts { lane: &self.name, stream, epoch, cursor_seq: self.cursor_seq, state: self.state }
    }
}
