//! From DBN's records to those of the bus.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::mem::{offset_of, size_of};

use dbn::enums::rtype;
use dbn::{
    BidAskPair, MboMsg, Mbp1Msg, RecordHeader, StatusMsg, TradeMsg, UNDEF_ORDER_SIZE, UNDEF_TIMESTAMP, v1, v2, v3,
};
use shm_abi::directory::{Instrument, InstrumentKind, Text};
use shm_abi::record::{
    Head, INSTRUMENT_NONE, PRICE_NONE, QUANTITY_NONE, Side, StatusCause, TradingStatus, clear_code, flag, kind, side,
    status_body,
};
use shm_abi::segment::RingName;

use super::fields::Fields;
use super::metadata::Metadata;
use super::reader::{ImportCounts, Outbox};
use crate::damage::Damage;

/// Most instruments of a file.
const INSTRUMENTS_MAX: usize = 1 << 18;
/// Levels of mbp-10.
const LEVELS: usize = 10;
/// Levels of an instrument's window, when it comes to a lane: those of mbp-10.
const DEPTH_CLASS: u16 = 10;

/// One level of one side: price, quantity, orders.
type Level = (i64, u64, u32);
const NO_LEVEL: Level = (PRICE_NONE, 0, 0);
/// Levels of both sides, best first.
type Window = [[Level; LEVELS]; 2];
const EMPTY: Window = [[NO_LEVEL; LEVELS]; 2];

/// What is known between two records.
#[derive(Debug)]
pub(super) struct Converter {
    metadata: Metadata,
    known: HashSet<u32>,
    windows: HashMap<u32, Box<Window>>,
}

impl Converter {
    pub(super) fn new(metadata: &Metadata) -> Converter {
        let metadata = Metadata { mappings: Vec::new(), ..metadata.clone() };
        Converter { metadata, known: HashSet::new(), windows: HashMap::new() }
    }

    /// An instrument has been said.
    pub(super) fn know(&mut self, instrument_id: u32) {
        self.known.insert(instrument_id);
    }

    /// Takes in a record whose bytes are all there.
    pub(super) fn take(
        &mut self,
        fields: &Fields<'_>,
        out: &mut Outbox,
        counts: &mut ImportCounts,
    ) -> Result<(), Damage> {
        let rtype = fields.u8(offset_of!(RecordHeader, rtype));
        // Bars, statistics, system messages: of no meaning, whatever they say.
        let takes = matches!(
            rtype,
            rtype::MBO | rtype::MBP_0 | rtype::MBP_1 | rtype::MBP_10 | rtype::INSTRUMENT_DEF | rtype::STATUS
        );
        if !takes {
            counts.leave_out(rtype);
            return Ok(());
        }
        let more = if self.metadata.ts_out { super::reader::TS_OUT } else { 0 };
        fields.need(self.record_bytes(rtype) + more)?;
        let id_at = offset_of!(RecordHeader, instrument_id);
        let id = fields.u32(id_at);
        if id == INSTRUMENT_NONE {
            return Err(fields.wrong("instrument_id", id_at, id.into(), "not 0xffffffff, which is none on the bus"));
        }
        if self.known.len() >= INSTRUMENTS_MAX && !self.known.contains(&id) {
            return Err(fields.wrong("instrument_id", id_at, id.into(), "one of the 2^18 instruments before it"));
        }
        if rtype == rtype::INSTRUMENT_DEF {
            self.known.insert(id);
            out.instrument(self.definition(fields, id));
            return Ok(());
        }
        if self.known.insert(id) {
            out.instrument(self.metadata.instrument(id, id.to_string().as_bytes()));
        }
        match rtype {
            rtype::MBO => order(fields, out, counts),
            rtype::MBP_0 => trade(fields, out, counts),
            rtype::STATUS => {
                status(fields, out);
                Ok(())
            }
            rtype => self.book(fields, rtype, id, out, counts),
        }
    }

    /// Bytes of a record without its sending time.
    fn record_bytes(&self, rtype: u8) -> usize {
        match rtype {
            rtype::MBO => size_of::<MboMsg>(),
            rtype::MBP_0 => size_of::<TradeMsg>(),
            rtype::MBP_1 => size_of::<Mbp1Msg>(),
            rtype::MBP_10 => size_of::<dbn::Mbp10Msg>(),
            rtype::STATUS => size_of::<StatusMsg>(),
            _ => match self.metadata.version {
                1 => size_of::<v1::InstrumentDefMsg>(),
                2 => size_of::<v2::InstrumentDefMsg>(),
                _ => size_of::<v3::InstrumentDefMsg>(),
            },
        }
    }

    /// mbp-1, tbbo, mbp-10: what changed of the window, the quote, and the trade.
    fn book(
        &mut self,
        fields: &Fields<'_>,
        rtype: u8,
        id: u32,
        out: &mut Outbox,
        counts: &mut ImportCounts,
    ) -> Result<(), Damage> {
        let action = action(fields, offset_of!(Mbp1Msg, action), b"ACMTFRN", counts)?;
        let flags = fields.u8(offset_of!(Mbp1Msg, flags));
        let head = |kind, code| self::head(fields, kind, code, flags, MBP_TIMES);
        let deep = rtype == rtype::MBP_10;
        let now = window(fields, if deep { LEVELS } else { 1 });
        let before = match self.windows.entry(id) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(Box::new(EMPTY)),
        };
        let mut said = false;
        image(fields, flags, action, RingName::Market, MBP_TIMES, out);
        if action == kind::CLEAR {
            **before = EMPTY;
            out.put(RingName::Market, &head(kind::CLEAR, clear_code::BOOK), [0; 3]);
            said = true;
        }
        for (index, side) in [Side::Bid, Side::Ask].into_iter().enumerate() {
            let (old, new) = (before[index], now[index]);
            if deep {
                said |= levels(&old, &new, |price, quantity, place| {
                    out.put(RingName::Market, &head(kind::LEVEL, side as u8), [price as u64, quantity, place]);
                });
            }
            if old[0] != new[0] {
                let (price, quantity, orders) = new[0];
                let body = [price as u64, quantity, orders.into()];
                out.put(RingName::Market, &head(kind::QUOTE, side as u8), body);
                said = true;
            }
        }
        **before = now;
        if action == kind::TRADE {
            let code = resting_code(fields.u8(offset_of!(Mbp1Msg, side)));
            let price = fields.i64(offset_of!(Mbp1Msg, price)) as u64;
            let body = [0, price, quantity(fields.u32(offset_of!(Mbp1Msg, size)))];
            out.put(RingName::Market, &head(kind::TRADE, code), body);
            said = true;
        }
        counts.idle += u64::from(!said);
        end(flags, out);
        Ok(())
    }

    fn definition(&self, fields: &Fields<'_>, id: u32) -> Instrument {
        // Each version has its own structure, and the fields that matter in each.
        macro_rules! places {
            ($message:ty) => {
                Places {
                    symbol: (offset_of!($message, raw_symbol), field_bytes(|m: &$message| m.raw_symbol.len())),
                    exchange: offset_of!($message, exchange),
                    class: offset_of!($message, instrument_class),
                    tick: offset_of!($message, min_price_increment),
                    strike: offset_of!($message, strike_price),
                    expiry: offset_of!($message, expiration),
                    lot: offset_of!($message, min_lot_size_round_lot),
                    underlying: offset_of!($message, underlying_id),
                    decimals: offset_of!($message, price_display_format),
                    unit: offset_of!($message, unit_of_measure_qty),
                    raw_id: offset_of!($message, raw_instrument_id),
                    raw_id_bytes: field_bytes(|m: &$message| size_of_val(&m.raw_instrument_id)),
                }
            };
        }
        let places = match self.metadata.version {
            1 => places!(v1::InstrumentDefMsg),
            2 => places!(v2::InstrumentDefMsg),
            _ => places!(v3::InstrumentDefMsg),
        };
        places.instrument(fields, self.metadata.instrument(id, fields.text(places.symbol.0, places.symbol.1)))
    }
}

/// Bytes of a field, from a default of its structure.
fn field_bytes<M: Default>(bytes: impl Fn(&M) -> usize) -> usize {
    bytes(&M::default())
}

/// Where the fields of a definition stand.
struct Places {
    symbol: (usize, usize),
    exchange: usize,
    class: usize,
    tick: usize,
    strike: usize,
    expiry: usize,
    lot: usize,
    underlying: usize,
    decimals: usize,
    unit: usize,
    raw_id: usize,
    raw_id_bytes: usize,
}

/// Bytes of a definition's exchange.
const EXCHANGE_BYTES: usize = 5;
/// 1, in 1e-9.
const ONE: i64 = 1_000_000_000;

impl Places {
    fn instrument(&self, fields: &Fields<'_>, named: Instrument) -> Instrument {
        let class = fields.u8(self.class);
        let exchange = fields.text(self.exchange, EXCHANGE_BYTES);
        let price = |at| Some(fields.i64(at)).filter(|price| *price != PRICE_NONE);
        let decimals = fields.u8(self.decimals);
        // Only units that are powers of ten are decimals of ours: 1e-9 has nine.
        let unit = fields.i64(self.unit);
        let quantity_decimals = (0..=9).find(|decimals| ONE / 10_i64.pow(*decimals) == unit).unwrap_or(0) as u8;
        let expiry_ns = fields.u64(self.expiry);
        let underlying = fields.u32(self.underlying);
        Instrument {
            venue: if exchange.is_empty() { named.venue } else { Text::new(exchange) },
            kind: match class {
                b'K' => InstrumentKind::Equity,
                b'F' | b'S' => InstrumentKind::Future,
                b'C' | b'P' | b'T' => InstrumentKind::Option,
                b'B' => InstrumentKind::Bond,
                b'I' => InstrumentKind::Index,
                b'X' => InstrumentKind::Currency,
                _ => InstrumentKind::Unknown,
            },
            option_side: if matches!(class, b'C' | b'P') { class } else { 0 },
            price_decimals: if decimals <= 9 { decimals } else { named.price_decimals },
            quantity_decimals,
            tick: price(self.tick).unwrap_or(0),
            strike: fields.i64(self.strike),
            expiry_ns: if expiry_ns == UNDEF_TIMESTAMP { 0 } else { expiry_ns },
            lot: match fields.u32(self.lot) {
                lot if lot < i32::MAX as u32 => lot.into(),
                _ => 0,
            },
            underlying: if underlying == 0 { u32::MAX } else { underlying },
            depth_class: DEPTH_CLASS,
            provider_code: if self.raw_id_bytes == 8 {
                fields.u64(self.raw_id)
            } else {
                fields.u32(self.raw_id).into()
            },
            ..named
        }
    }
}

/// Where a structure has its receive time and its sequence.
type Times = (usize, Option<usize>);
const MBO_TIMES: Times = (offset_of!(MboMsg, ts_recv), Some(offset_of!(MboMsg, sequence)));
const TRADE_TIMES: Times = (offset_of!(TradeMsg, ts_recv), Some(offset_of!(TradeMsg, sequence)));
const MBP_TIMES: Times = (offset_of!(Mbp1Msg, ts_recv), Some(offset_of!(Mbp1Msg, sequence)));
const STATUS_TIMES: Times = (offset_of!(StatusMsg, ts_recv), None);

fn head(fields: &Fields<'_>, kind: u8, code: u8, flags: u8, (ts_recv, sequence): Times) -> Head {
    let time = |at| Some(fields.u64(at)).filter(|ns| *ns != UNDEF_TIMESTAMP).unwrap_or(0);
    let doubtful = if flags & dbn::flags::MAYBE_BAD_BOOK != 0 { flag::SUSPECT } else { 0 };
    Head {
        kind,
        flags: flags & flag::SNAPSHOT | doubtful,
        span: 1,
        side_or_code: code,
        instrument_id: fields.u32(offset_of!(RecordHeader, instrument_id)),
        ts_event: time(offset_of!(RecordHeader, ts_event)),
        ts_recv: time(ts_recv),
        publish_delay_ns: 0,
        venue_sequence_low: sequence.map_or(0, |at| fields.u32(at)),
    }
}

/// Counts the action, which is one of those.
fn action(fields: &Fields<'_>, at: usize, among: &'static [u8], counts: &mut ImportCounts) -> Result<u8, Damage> {
    let action = fields.u8(at);
    if !among.contains(&action) {
        let rule = std::str::from_utf8(among).expect("letters");
        return Err(fields.wrong("action", at, action.into(), rule));
    }
    counts.count_action(action);
    Ok(action)
}

fn side_code(letter: u8) -> u8 {
    match letter {
        b'B' => side::BID,
        b'A' => side::ASK,
        _ => side::NONE,
    }
}

/// The side that rested, from that of the aggressor.
fn resting_code(letter: u8) -> u8 {
    match letter {
        b'B' => side::ASK,
        b'A' => side::BID,
        _ => side::NONE,
    }
}

fn quantity(size: u32) -> u64 {
    if size == UNDEF_ORDER_SIZE { QUANTITY_NONE } else { size.into() }
}

/// A clear begins an image of its instrument; the first record that is not of it ends it, and the bus says so.
fn image(fields: &Fields<'_>, flags: u8, action: u8, ring: RingName, times: Times, out: &mut Outbox) {
    let head = head(fields, kind::STATUS, TradingStatus::Unknown as u8, flag::SNAPSHOT, times);
    if flags & dbn::flags::SNAPSHOT == 0 {
        out.end_image(ring, &head);
    } else if action == kind::CLEAR {
        out.begin_image(ring, head.instrument_id);
    }
    out.saw(&head);
}

fn end(flags: u8, out: &mut Outbox) {
    if flags & dbn::flags::LAST != 0 {
        out.end_event();
    }
}

fn order(fields: &Fields<'_>, out: &mut Outbox, counts: &mut ImportCounts) -> Result<(), Damage> {
    let action = action(fields, offset_of!(MboMsg, action), b"ACMFTRN", counts)?;
    let flags = fields.u8(offset_of!(MboMsg, flags));
    let letter = fields.u8(offset_of!(MboMsg, side));
    let size = quantity(fields.u32(offset_of!(MboMsg, size)));
    let body = [fields.u64(offset_of!(MboMsg, order_id)), fields.i64(offset_of!(MboMsg, price)) as u64, size];
    let head = |code| head(fields, action, code, flags, MBO_TIMES);
    image(fields, flags, action, RingName::Orders, MBO_TIMES, out);
    match action {
        kind::TRADE => {
            out.put(RingName::Orders, &head(resting_code(letter)), body);
            out.put(RingName::Market, &head(resting_code(letter)), body);
        }
        kind::CLEAR => out.put(RingName::Orders, &head(clear_code::BOOK), [0; 3]),
        b'N' => counts.idle += 1,
        _ => out.put(RingName::Orders, &head(side_code(letter)), body),
    }
    end(flags, out);
    Ok(())
}

fn trade(fields: &Fields<'_>, out: &mut Outbox, counts: &mut ImportCounts) -> Result<(), Damage> {
    let action = action(fields, offset_of!(TradeMsg, action), b"T", counts)?;
    let flags = fields.u8(offset_of!(TradeMsg, flags));
    let code = resting_code(fields.u8(offset_of!(TradeMsg, side)));
    let price = fields.i64(offset_of!(TradeMsg, price)) as u64;
    let body = [0, price, quantity(fields.u32(offset_of!(TradeMsg, size)))];
    image(fields, flags, action, RingName::Market, TRADE_TIMES, out);
    out.put(RingName::Market, &head(fields, action, code, flags, TRADE_TIMES), body);
    end(flags, out);
    Ok(())
}

fn status(fields: &Fields<'_>, out: &mut Outbox) {
    use TradingStatus::{Closed, Halted, Paused, PostClose, PreOpen, QuoteOnly, Trading, Unknown};
    let action = fields.u16(offset_of!(StatusMsg, action));
    // DBN's actions by number; those in between leave the status to what comes before and after them.
    let status = match action {
        1 | 2 => PreOpen,
        3..=6 => QuoteOnly,
        7 => Trading,
        8 | 10 => Halted,
        9 => Paused,
        11 => QuoteOnly,
        12 | 15 => Closed,
        13 => PostClose,
        _ => Unknown,
    };
    let cause = if action == 14 { StatusCause::ShortSale } else { StatusCause::TradingAction };
    let mut reason = [b' '; 8];
    let text = fields.u16(offset_of!(StatusMsg, reason)).to_string();
    reason[..text.len()].copy_from_slice(text.as_bytes());
    let head = head(fields, kind::STATUS, status as u8, 0, STATUS_TIMES);
    out.put(RingName::Market, &head, status_body(cause, action as u8, reason));
    out.end_event();
}

/// The levels of a record. An empty one has no price.
fn window(fields: &Fields<'_>, levels: usize) -> Window {
    const BID: [usize; 3] =
        [offset_of!(BidAskPair, bid_px), offset_of!(BidAskPair, bid_sz), offset_of!(BidAskPair, bid_ct)];
    const ASK: [usize; 3] =
        [offset_of!(BidAskPair, ask_px), offset_of!(BidAskPair, ask_sz), offset_of!(BidAskPair, ask_ct)];
    [BID, ASK].map(|[price, size, count]| {
        std::array::from_fn(|level| {
            let at = offset_of!(Mbp1Msg, levels) + level * size_of::<BidAskPair>();
            match fields.i64(at + price) {
                _ if level >= levels => NO_LEVEL,
                PRICE_NONE => NO_LEVEL,
                price => (price, quantity(fields.u32(at + size)), fields.u32(at + count)),
            }
        })
    })
}

/// Tells what changed from one window of a side to the next: levels that left, then those that came or changed. The third
/// value is orders and position, as a level record has them.
fn levels(old: &[Level; LEVELS], new: &[Level; LEVELS], mut tell: impl FnMut(i64, u64, u64)) -> bool {
    let mut told = false;
    let place = |orders: u32, position: usize| u64::from(orders) | (position as u64) << 32;
    let there = |levels: &[Level; LEVELS], price: i64| levels.iter().any(|level| level.0 == price);
    for (position, (price, _, _)) in old.iter().enumerate().filter(|(_, level)| **level != NO_LEVEL) {
        if !there(new, *price) {
            tell(*price, 0, place(0, position));
            told = true;
        }
    }
    for (position, level) in new.iter().enumerate().filter(|(_, level)| **level != NO_LEVEL) {
        if !old.contains(level) {
            tell(level.0, level.1, place(level.2, position));
            told = true;
        }
    }
    told
}
