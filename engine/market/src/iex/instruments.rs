//! Instruments: by their directory message, or by the first message that names them.

use shm_abi::directory::{Instrument, InstrumentKind};
use shm_abi::layout::row;
use shm_abi::record::{AnomalyCode, kind, official_code};
use shm_abi::segment::LaneWriter;
use wire::iex::{SecurityDirectory, security_flag};
use zerocopy::IntoBytes;

use super::status::set_status;
use super::{Facts, Fate, Iex, InstrumentIds, Io, price, quality_of};
use crate::publish::{Event, NO_SIDE};

/// Symbols and the places of their facts: open addressing over the eight bytes, in a table that never grows.
#[derive(Debug)]
pub(super) struct SymbolIndex {
    /// Symbol and place; a place of [`FREE`] is an empty slot. A power of two of them, at least twice the limit.
    slots: Box<[(u64, u32)]>,
}

const FREE: u32 = u32::MAX;

impl SymbolIndex {
    /// Room for `limit` symbols.
    pub(super) fn new(limit: usize) -> SymbolIndex {
        let len = (2 * limit).next_power_of_two().max(64);
        SymbolIndex { slots: vec![(0, FREE); len].into_boxed_slice() }
    }

    /// The slot that a symbol has or would get. At least half of the slots are empty, so there is one.
    #[inline(always)]
    fn slot(&self, symbol: u64) -> usize {
        let mask = self.slots.len() - 1;
        let hash = symbol.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mut at = (hash >> 32) as usize & mask;
        while self.slots[at].1 != FREE && self.slots[at].0 != symbol {
            at = (at + 1) & mask;
        }
        at
    }

    /// Place of a symbol's facts.
    #[inline(always)]
    pub(super) fn get(&self, symbol: &[u8; 8]) -> Option<usize> {
        let (_, place) = self.slots[self.slot(u64::from_le_bytes(*symbol))];
        (place != FREE).then_some(place as usize)
    }

    /// Remembers a new symbol. The owner keeps the limit.
    fn insert(&mut self, symbol: &[u8; 8], place: usize) {
        let symbol = u64::from_le_bytes(*symbol);
        let slot = self.slot(symbol);
        self.slots[slot] = (symbol, place as u32);
    }
}

/// Where the venue's attributes stand in `D`: flags in byte 1, and everything behind the symbol.
const FLAGS_AT: usize = 1;
const TRAITS_AT: usize = 18;

/// The directory entry of a symbol, with what the venue has announced of it.
fn instrument(id: u32, symbol: &[u8; 8], venue: &str, class: u16, announced: Option<&SecurityDirectory>) -> Instrument {
    let mut entry = Instrument { depth_class: class, ..Instrument::equity(id, symbol, venue.as_bytes()) };
    if let Some(directory) = announced {
        let bytes = directory.as_bytes();
        let attributes = &bytes[TRAITS_AT..];
        entry.provider_traits[0] = bytes[FLAGS_AT];
        entry.provider_traits[1..=attributes.len()].copy_from_slice(attributes);
        entry.lot = directory.round_lot_size.get().into();
        if directory.flags & security_flag::TEST != 0 {
            entry.kind = InstrumentKind::Test;
        }
    }
    entry
}

impl<I: InstrumentIds> Iex<I> {
    /// Place of a symbol's facts, and whether it was made just now. The error is code and detail of an anomaly.
    #[inline(always)]
    pub(super) fn find_or_make(
        &mut self,
        symbol: &[u8; 8],
        announced: Option<&SecurityDirectory>,
        lane: &mut LaneWriter,
    ) -> Result<(usize, bool), (AnomalyCode, u64)> {
        match self.index.get(symbol) {
            Some(at) => Ok((at, false)),
            None => self.make(symbol, announced, lane).map(|at| (at, true)),
        }
    }

    #[cold]
    fn make(
        &mut self,
        symbol: &[u8; 8],
        announced: Option<&SecurityDirectory>,
        lane: &mut LaneWriter,
    ) -> Result<usize, (AnomalyCode, u64)> {
        // Bytes that the directory would not keep could give two symbols one name.
        let text = symbol.trim_ascii_end();
        let name = std::str::from_utf8(text).ok().filter(|name| name.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
        let Some(name) = name.filter(|name| !name.is_empty() && !name.starts_with(' ')) else {
            return Err((AnomalyCode::BadField, u64::from_le_bytes(*symbol)));
        };
        let full = |limit: usize| (AnomalyCode::TableFull, limit as u64);
        let at = self.facts.len();
        if at >= self.book.instruments() {
            return Err(full(self.book.instruments()));
        }
        let venue = &self.config.venue;
        // The cause is in the error, and the maker of ids is its owner's: it can tell the story in its own log.
        let id = self.ids.id_for(venue, name).map_err(|_| full(at))?;
        let class = self.config.class_of(name);
        let entry = Instrument { provider_code: at as u64, ..instrument(id, symbol, venue, class, announced) };
        let row = lane.add_instrument(&entry).map_err(|_| full(lane.board.rows()))?;
        self.facts.push(Facts { row: row as u32, instrument_id: id, bits: 0, state: 0 });
        self.index.insert(symbol, at);
        let facts = &mut self.facts[at];
        let mut row = lane.board.update(row);
        set_status(facts, self.phase, &mut row);
        row.set_quality(quality_of(facts, self.quality));
        Ok(at)
    }

    /// Tells readers of a new or changed entry.
    pub(super) fn instrument_record(&self, at: usize, event: &Event, io: &mut Io<'_>) {
        let row = self.facts[at].row as usize;
        let class = io.board.update(row).depth_class() as u64;
        io.out.market.put(event.record(kind::INSTRUMENT, NO_SIDE, 0, [row as u64, class, at as u64]));
    }

    /// `D`. An entry is never changed: what an announcement says of a symbol that was named before is told by its record
    /// and, for the previous close, by the row.
    pub(super) fn directory(&mut self, directory: &SecurityDirectory, mut event: Event, lane: &mut LaneWriter) -> Fate {
        let at = match self.find_or_make(&directory.symbol, Some(directory), lane) {
            Ok((at, _)) => at,
            Err((code, detail)) => return self.reject_alone(code, SecurityDirectory::TYPE, detail, &event, lane),
        };
        let facts = &self.facts[at];
        facts.name(&mut event);
        let mut io = self.begin(&event, lane);
        self.instrument_record(at, &event, &mut io);
        let mut row = io.board.update(facts.row as usize);
        if let Some(close) = price(directory.adjusted_previous_close.get()) {
            io.out.market.put(event.record(kind::OFFICIAL_PRICE, official_code::REFERENCE, 0, [close as u64, 0, 0]));
            row.set(row::PREVIOUS_CLOSE, close as u64);
        }
        io.out.finish_with_row(&event, row);
        Fate::Applied
    }
}
