//! Instruments of the day: their lasting ids, their rows, and which of the venue's numbers they have today.

use std::collections::HashMap;

use shm_abi::directory::{Instrument, InstrumentKind, Text, xstream};
use shm_abi::layout::PROVIDER_TRAITS_BYTES;
use shm_abi::record::{AnomalyCode, clear_code, flag, kind};
use shm_abi::segment::LaneWriter;
use wire::dialect::{PriceScale, Role, View};
use wire::itch50::StockDirectory;
use zerocopy::IntoBytes;

use super::prints::NO_PRINT;
use super::status::set_status;
use super::ticks::Of;
use super::{Facts, Fate, Feed, FeedRole, InstrumentIds, KNOWN, NO_ROW, quality_of, scale_of};
use crate::publish::{Event, Io, NO_SIDE};

/// A symbol that has an id, and where it trades today.
#[derive(Debug, Clone, Copy)]
pub(super) struct Symbol {
    /// [`NO_ROW`]: its row is another feed's.
    pub(super) row: u32,
    pub(super) instrument_id: u32,
    class: u8,
    /// Index of this session; `None`: not announced yet.
    pub(super) at: Option<u32>,
}

/// Every symbol that was announced. Off the hot path.
#[derive(Debug, Default)]
pub(super) struct Symbols {
    pub(super) by_name: HashMap<Text<32>, Symbol>,
}

/// What is kept of an orderbook off the hot path, where the venue's numbers are looked up.
#[derive(Debug, Clone, Copy)]
pub(super) struct Orderbook {
    code: Text<16>,
    pub(super) board: Text<8>,
    /// Letter of the last system event that was about it; 0: none yet.
    pub(super) phase: u8,
    /// Its newest print that is kept.
    pub(super) last_print: u32,
}

impl Default for Orderbook {
    fn default() -> Self {
        Orderbook { code: Text::new(b""), board: Text::new(b""), phase: 0, last_print: NO_PRINT }
    }
}

/// Where the venue's attributes begin in Nasdaq's `R`: from the market category on they go into the directory verbatim.
const TRAITS_AT: usize = 19;
/// Price decimals of Nasdaq.
const NASDAQ_DECIMALS: u8 = 4;
/// Market type of an index.
const MARKET_INDEX: u8 = b'I';

/// The directory entry that Nasdaq's announcement makes; id and class are still open.
fn stock(message: &StockDirectory, locate: u32, venue: &str) -> Instrument {
    let mut traits = [0; PROVIDER_TRAITS_BYTES];
    let attributes = &message.as_bytes()[TRAITS_AT..];
    traits[..attributes.len()].copy_from_slice(attributes);
    let kind = if message.authenticity == b'T' { InstrumentKind::Test } else { InstrumentKind::Equity };
    Instrument {
        kind,
        price_decimals: NASDAQ_DECIMALS,
        lot: message.round_lot_size.get().into(),
        provider_code: locate.into(),
        provider_traits: traits,
        ..Instrument::equity(0, &message.stock, venue.as_bytes())
    }
}

impl<I: InstrumentIds> Feed<I> {
    /// Nasdaq's `R`: a new row, or the known one of the symbol under today's locate. Within a session a locate and a
    /// symbol belong to each other: an announcement that says otherwise is refused.
    pub(super) fn directory(&mut self, message: &StockDirectory, at: u32, event: Event, lane: &mut LaneWriter) -> Fate {
        let entry = stock(message, at, &self.config.venue);
        let bad_field = (AnomalyCode::BadField, u64::from_le_bytes(message.stock));
        let bound = self.facts[at as usize].is_known();
        let symbol = if at == 0 || entry.symbol.as_str().is_empty() {
            Err(bad_field)
        } else if at as usize >= self.book.instruments() {
            Err((AnomalyCode::TableFull, self.book.instruments() as u64))
        } else {
            match self.symbols.by_name.get(&entry.symbol) {
                // Its own locate again, or a locate and a symbol that were both free; nothing else.
                Some(known) if known.at == Some(at) || (known.at.is_none() && !bound) => {
                    self.announce(&entry, at, true, lane)
                }
                None if !bound => self.announce(&entry, at, true, lane),
                _ => Err(bad_field),
            }
        };
        self.announced(symbol, at, at, scale_of(NASDAQ_DECIMALS.into()), event, lane, |_, _| {})
    }

    /// `R` of the X-stream family. The symbol is the security code; where two orderbooks of a session have the same code,
    /// the first to be announced has it alone, and the others' is followed by their board.
    pub(super) fn orderbook(&mut self, view: &View<'_>, event: Event, lane: &mut LaneWriter) -> Fate {
        let locate = view.u32(Role::Orderbook).unwrap_or(0);
        let number = locate.to_string();
        let code = Text::new(view.trimmed(Role::SecurityCode).unwrap_or(number.as_bytes()));
        let board = Text::new(view.bytes(Role::Group).unwrap_or_default());
        let decimals = match self.dialect.price_scale() {
            PriceScale::Decimals(decimals) => decimals.into(),
            PriceScale::PerInstrument => view.u32(Role::PriceDecimals).unwrap_or(0),
        };
        let (at, scale) = (self.places.find(locate), scale_of(decimals));
        let symbol = match (scale, self.name_of(locate, at, code, board)) {
            (None, _) => Err((AnomalyCode::BadField, decimals.into())),
            (_, Err(why)) => Err(why),
            (Some(scale), Ok((at, name))) => {
                let entry = self.entry_of(view, name, locate, decimals as u8, scale);
                let has_row = match self.config.role {
                    FeedRole::All => true,
                    FeedRole::Market => entry.kind != InstrumentKind::Index,
                    FeedRole::Index => entry.kind == InstrumentKind::Index,
                    FeedRole::News => false,
                };
                self.announce(&entry, at, has_row, lane).inspect(|_| {
                    if self.places.find(locate) != at {
                        self.places.insert(locate);
                        let phase = self.boards.phase_of(&board).unwrap_or(self.phase);
                        self.orderbooks[at as usize] = Orderbook { code, board, phase, last_print: NO_PRINT };
                    }
                })
            }
        };
        let limits = [Role::LowerLimit, Role::UpperLimit].map(|role| view.u32(role));
        let at = self.places.find(locate);
        self.announced(symbol, at, locate, scale, event, lane, |facts, io| {
            if let [Some(lower), Some(upper)] = limits {
                let none = facts.price(crate::book::NO_PRICE) as u64;
                let body = [none, facts.price(lower) as u64, facts.price(upper) as u64];
                io.out.market.put(event_of(facts, &event).record(kind::PRICE_BAND, NO_SIDE, 0, body));
            }
        })
    }

    /// Index and symbol of an orderbook that is announced.
    fn name_of(
        &self,
        locate: u32,
        at: u32,
        code: Text<16>,
        board: Text<8>,
    ) -> Result<(u32, Text<32>), (AnomalyCode, u64)> {
        let bad_field = Err((AnomalyCode::BadField, u64::from(locate)));
        let long = |code: &Text<16>| Text::<32>::new(code.as_str().as_bytes());
        let with_board = Text::<32>::new(format!("{code}.{board}").as_bytes());
        if locate == 0 || code.as_str().is_empty() {
            return bad_field;
        }
        let is_bound = |name: &Text<32>| self.symbols.by_name.get(name).and_then(|symbol| symbol.at);
        if let Some(known) = self.orderbooks.get(at as usize) {
            let same = (known.code, known.board) == (code, board);
            let name = if is_bound(&long(&code)) == Some(at) { long(&code) } else { with_board };
            return if same { Ok((at, name)) } else { bad_field };
        }
        let next = self.places.next().ok_or((AnomalyCode::TableFull, self.orderbooks.len() as u64))?;
        if is_bound(&long(&code)).is_none() {
            return Ok((next, long(&code)));
        }
        if is_bound(&with_board).is_none() && !board.as_str().is_empty() { Ok((next, with_board)) } else { bad_field }
    }

    /// The directory entry that an announcement of the X-stream family makes; id and class are still open.
    fn entry_of(&self, view: &View<'_>, symbol: Text<32>, locate: u32, decimals: u8, scale: u32) -> Instrument {
        let mut traits = [0; PROVIDER_TRAITS_BYTES];
        for (role, place) in [
            (Role::Isin, xstream::ISIN),
            (Role::Group, xstream::BOARD),
            (Role::Sector, xstream::SECTOR),
            (Role::InstrumentClass, xstream::CLASS),
            (Role::Currency, xstream::CURRENCY),
            (Role::ListingType, xstream::LISTING_TYPE),
            (Role::MarketType, xstream::MARKET_TYPE),
            (Role::PriceType, xstream::PRICE_TYPE),
            (Role::SecurityName, xstream::NAME),
        ] {
            let text = view.trimmed(role).unwrap_or_default();
            let room = &mut traits[place];
            let len = text.len().min(room.len());
            room[..len].copy_from_slice(&text[..len]);
        }
        traits[xstream::MARK] = xstream::MARK_VALUE;
        let kind = match view.letter(Role::MarketType) {
            Some(MARKET_INDEX) => InstrumentKind::Index,
            // Prices of bonds may be read as yields.
            _ if view.letter(Role::PriceType) == Some(b'Y') => InstrumentKind::Bond,
            _ => InstrumentKind::Equity,
        };
        let table = |of, role| view.u32(role).and_then(|table| self.ticks.smallest(of, table));
        let tick = table(Of::Prices, Role::PriceTickTable).and_then(|tick| i64::try_from(tick).ok());
        let lot = table(Of::Quantities, Role::QuantityTickTable)
            .or_else(|| view.u64(Role::RoundLot))
            .or_else(|| view.u64(Role::MinimumQuantity));
        Instrument {
            kind,
            price_decimals: decimals,
            tick: tick.and_then(|tick| tick.checked_mul(scale.into())).unwrap_or(0),
            lot: lot.unwrap_or(0),
            provider_code: locate.into(),
            provider_traits: traits,
            ..Instrument::equity(0, symbol.as_str().as_bytes(), self.config.venue.as_bytes())
        }
    }

    /// Finds or makes the id, and the row if this feed has one, of an announced symbol. The error is code and detail of
    /// an anomaly.
    fn announce(
        &mut self,
        entry: &Instrument,
        at: u32,
        has_row: bool,
        lane: &mut LaneWriter,
    ) -> Result<Symbol, (AnomalyCode, u64)> {
        if let Some(symbol) = self.symbols.by_name.get_mut(&entry.symbol) {
            symbol.at = Some(at);
            if symbol.row != NO_ROW {
                lane.directory.set_provider_code(symbol.row as usize, entry.provider_code);
            }
            return Ok(*symbol);
        }
        let full = |limit: usize| (AnomalyCode::TableFull, limit as u64);
        let name = entry.symbol.as_str();
        // The cause is in the error, and the maker of ids is its owner's: it can tell the story in its own log.
        let id = self.ids.id_for(&self.config.venue, name).map_err(|_| full(self.symbols.by_name.len()))?;
        let class = match entry.kind {
            InstrumentKind::Index => 0,
            _ => self.config.depth.class_of(name),
        };
        let row = if has_row {
            let entry = Instrument { instrument_id: id, depth_class: class, ..*entry };
            lane.add_instrument(&entry).map_err(|_| full(lane.board.rows()))? as u32
        } else {
            NO_ROW
        };
        // Classes are at most 200, which validation has checked.
        let symbol = Symbol { row, instrument_id: id, class: class as u8, at: Some(at) };
        self.symbols.by_name.insert(entry.symbol, symbol);
        Ok(symbol)
    }

    /// Ends an announcement: what the hot path needs, the row, and the record.
    #[expect(clippy::too_many_arguments, reason = "both families end here, each with what it has found")]
    fn announced(
        &mut self,
        symbol: Result<Symbol, (AnomalyCode, u64)>,
        at: u32,
        locate: u32,
        scale: Option<u32>,
        mut event: Event,
        lane: &mut LaneWriter,
        more: impl FnOnce(&Facts, &mut Io<'_>),
    ) -> Fate {
        let mut io = self.begin(&event, lane);
        let (symbol, scale) = match (symbol, scale) {
            (Ok(symbol), Some(scale)) => (symbol, scale),
            (Err((code, detail)), _) => return self.reject(code, locate.into(), detail, None, &event, &mut io),
            (_, None) => return self.reject(AnomalyCode::BadField, locate.into(), 0, None, &event, &mut io),
        };
        let facts = &mut self.facts[at as usize];
        let new = facts.bits & KNOWN == 0;
        if new {
            let Symbol { row, instrument_id, class, .. } = symbol;
            let bits = KNOWN | if self.imaging { flag::SUSPECT } else { 0 };
            *facts = Facts { row, instrument_id, scale, class, bits, state: 0 };
        }
        facts.name(&mut event);
        let facts = *facts;
        if !facts.is_known() {
            // Another feed has its row, and tells of it.
            io.out.finish();
            return Fate::Applied;
        }
        if new && self.imaging {
            // A reader may have a book of it from the epoch before.
            io.out.both(event.record(kind::CLEAR, clear_code::BOOK, 0, [0; 3]));
        }
        let body = [facts.row.into(), facts.class.into(), locate.into()];
        io.out.market.put(event.record(kind::INSTRUMENT, NO_SIDE, 0, body));
        more(&facts, &mut io);
        let phase = self.phase_of(at);
        let mut row = io.board.update(facts.row as usize);
        set_status(&mut self.facts[at as usize], phase, &mut row);
        row.set_quality(quality_of(&facts, self.quality));
        io.out.finish_with_row(&event, row);
        Fate::Applied
    }

    /// Letter of the venue's phase as it is for an instrument.
    pub(super) fn phase_of(&self, at: u32) -> u8 {
        self.orderbooks.get(at as usize).map_or(self.phase, |orderbook| orderbook.phase)
    }

    /// A new session: nothing is announced yet.
    pub(super) fn forget_directory(&mut self) {
        self.places.clear();
        self.orderbooks.fill(Orderbook::default());
        self.prints.clear();
        self.ticks.clear();
        self.boards.clear();
        self.clock.lose();
    }
}

/// The event, as one about this instrument.
fn event_of(facts: &Facts, event: &Event) -> Event {
    let mut event = *event;
    facts.name(&mut event);
    event
}
