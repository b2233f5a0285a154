//! `R`: instruments of the day, their lasting ids, their rows.

use std::collections::HashMap;

use shm_abi::directory::{Instrument, InstrumentKind, Text};
use shm_abi::layout::PROVIDER_TRAITS_BYTES;
use shm_abi::record::{AnomalyCode, clear_code, flag, kind};
use shm_abi::segment::LaneWriter;
use wire::itch50::StockDirectory;
use zerocopy::IntoBytes;

use super::status::set_status;
use super::{Facts, Fate, Feed, InstrumentIds, quality_of};
use crate::publish::{Event, NO_SIDE};

/// A symbol that has a row, and where it trades today.
#[derive(Debug, Clone, Copy)]
pub(super) struct Symbol {
    pub(super) row: u32,
    pub(super) instrument_id: u32,
    class: u8,
    /// Stock locate of this session; `None`: not announced yet.
    pub(super) locate: Option<u16>,
}

/// Every symbol that has a row. Off the hot path.
#[derive(Debug, Default)]
pub(super) struct Symbols {
    pub(super) by_name: HashMap<[u8; 8], Symbol>,
}

/// Where the venue's attributes begin in `R`: from the market category on they go into the directory verbatim.
const TRAITS_AT: usize = 19;
/// Price decimals of the dialect.
const PRICE_DECIMALS: u8 = 4;

/// The directory entry that an announcement makes.
fn instrument(message: &StockDirectory, locate: u16, id: u32, venue: &str, class: u16) -> Instrument {
    let mut traits = [0; PROVIDER_TRAITS_BYTES];
    let attributes = &message.as_bytes()[TRAITS_AT..];
    traits[..attributes.len()].copy_from_slice(attributes);
    let kind = if message.authenticity == b'T' { InstrumentKind::Test } else { InstrumentKind::Equity };
    Instrument {
        kind,
        price_decimals: PRICE_DECIMALS,
        depth_class: class,
        lot: message.round_lot_size.get().into(),
        provider_code: locate.into(),
        provider_traits: traits,
        ..Instrument::equity(id, &message.stock, venue.as_bytes())
    }
}

impl<I: InstrumentIds> Feed<I> {
    /// `R`: a new row, or the known one of the symbol under today's locate. Within a session a locate and a symbol
    /// belong to each other: an announcement that says otherwise is refused.
    pub(super) fn directory(
        &mut self,
        message: &StockDirectory,
        locate: u16,
        mut event: Event,
        lane: &mut LaneWriter,
    ) -> Fate {
        let symbol = match self.announce(message, locate, lane) {
            Ok(symbol) => symbol,
            Err((code, detail)) => {
                let mut io = self.begin(&event, lane);
                return self.reject(code, locate.into(), detail, None, &event, &mut io);
            }
        };
        let facts = &mut self.facts[locate as usize];
        let new = !facts.is_known();
        if new {
            let Symbol { row, instrument_id, class, .. } = symbol;
            let bits = if self.imaging { flag::SUSPECT } else { 0 };
            *facts = Facts { row, instrument_id, class, bits, ..Facts::UNKNOWN };
        }
        facts.name(&mut event);
        let facts = *facts;
        let mut io = self.begin(&event, lane);
        if new && self.imaging {
            // A reader may have a book of it from the epoch before.
            io.out.both(event.record(kind::CLEAR, clear_code::BOOK, 0, [0; 3]));
        }
        let body = [facts.row.into(), facts.class.into(), locate.into()];
        io.out.market.put(event.record(kind::INSTRUMENT, NO_SIDE, 0, body));
        let mut row = io.board.update(facts.row as usize);
        set_status(&mut self.facts[locate as usize], self.phase, &mut row);
        row.set_quality(quality_of(&facts, self.quality));
        io.out.finish_with_row(&event, row);
        Fate::Applied
    }

    /// Finds or makes the row of an announced symbol. The error is code and detail of an anomaly.
    fn announce(
        &mut self,
        message: &StockDirectory,
        locate: u16,
        lane: &mut LaneWriter,
    ) -> Result<Symbol, (AnomalyCode, u64)> {
        let bad_field = (AnomalyCode::BadField, u64::from_le_bytes(message.stock));
        let name = Text::<8>::new(&message.stock);
        if locate == 0 || name.as_str().is_empty() {
            return Err(bad_field);
        }
        if locate as usize >= self.book.instruments() {
            return Err((AnomalyCode::TableFull, self.book.instruments() as u64));
        }
        let bound = self.facts[locate as usize];
        if let Some(symbol) = self.symbols.by_name.get_mut(name.bytes()) {
            let free = symbol.locate.is_none() && !bound.is_known();
            if !free && symbol.locate != Some(locate) {
                return Err(bad_field);
            }
            symbol.locate = Some(locate);
            lane.directory.set_provider_code(symbol.row as usize, locate.into());
            return Ok(*symbol);
        }
        if bound.is_known() {
            return Err(bad_field);
        }
        let full = |limit: usize| (AnomalyCode::TableFull, limit as u64);
        let venue = &self.config.venue;
        // The cause is in the error, and the maker of ids is its owner's: it can tell the story in its own log.
        let id = self.ids.id_for(venue, name.as_str()).map_err(|_| full(self.symbols.by_name.len()))?;
        let class = self.config.depth.class_of(name.as_str());
        let entry = instrument(message, locate, id, venue, class);
        let row = lane.add_instrument(&entry).map_err(|_| full(lane.board.rows()))?;
        // Classes are at most 200, which validation has checked.
        let symbol = Symbol { row: row as u32, instrument_id: id, class: class as u8, locate: Some(locate) };
        self.symbols.by_name.insert(*name.bytes(), symbol);
        Ok(symbol)
    }
}
