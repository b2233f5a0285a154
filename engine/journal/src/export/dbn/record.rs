//! From rows to DBN's records.

use std::ffi::c_char;

use dbn::enums::rtype;
use dbn::{BidAskPair, FlagSet, MboMsg, Mbp1Msg, RecordHeader, TradeMsg, UNDEF_ORDER_SIZE, UNDEF_PRICE};
use shm_abi::record::{PRICE_NONE, Price, QUANTITY_NONE, Side, flag, side};

use super::super::ExportError;
use super::super::rows::{Best, Row, What};

/// Byte of an order's flags.
pub(super) const ORDER_FLAGS_AT: usize = 36;
/// Byte of a trade's flags, and of a quote's.
pub(super) const TRADE_FLAGS_AT: usize = 30;

/// Largest size: the next is "none".
const SIZE_MAX: u64 = UNDEF_ORDER_SIZE as u64 - 1;

// Both sides spell "no price" alike, so that prices pass through.
const _: () = assert!(UNDEF_PRICE == PRICE_NONE);

/// DBN's letter of a side of the book.
fn side_letter(side: Option<Side>) -> u8 {
    match side {
        Some(Side::Bid) => b'B',
        Some(Side::Ask) => b'A',
        None => b'N',
    }
}

/// DBN's letter of the aggressor; a trade of the bus names the side of the order that rested.
fn aggressor_letter(code: u8) -> u8 {
    match code {
        side::BID => b'A',
        side::ASK => b'B',
        _ => b'N',
    }
}

fn flags(row: &Row) -> FlagSet {
    let same = row.head.flags & (flag::LAST | flag::SNAPSHOT);
    FlagSet::from(same | if row.doubtful { dbn::flags::MAYBE_BAD_BOOK } else { 0 })
}

/// Thirty-two bits of a number, or an error that names the record.
fn narrow(row: &Row, field: &'static str, value: u64, limit: u64) -> Result<u32, ExportError> {
    match u32::try_from(value) {
        Ok(narrow) if value <= limit => Ok(narrow),
        _ => Err(ExportError::Size {
            n: row.n,
            kind: char::from(row.head.kind),
            instrument_id: row.head.instrument_id,
            field,
            value,
            limit,
        }),
    }
}

fn size(row: &Row, field: &'static str, quantity: u64) -> Result<u32, ExportError> {
    match quantity {
        QUANTITY_NONE => Ok(UNDEF_ORDER_SIZE),
        quantity => narrow(row, field, quantity, SIZE_MAX),
    }
}

/// Action, side, id, price and size, which orders, trades and quotes have in common.
struct Common {
    side: u8,
    id: u64,
    price: Price,
    size: u32,
}

fn common(row: &Row) -> Result<Common, ExportError> {
    Ok(match row.what {
        What::Order { side, order_id, price, quantity } => {
            Common { side: side_letter(side), id: order_id, price, size: size(row, "quantity", quantity)? }
        }
        What::Trade { code, match_id, price, quantity } => {
            Common { side: aggressor_letter(code), id: match_id, price, size: size(row, "quantity", quantity)? }
        }
        What::Quote { side, quote } => {
            let best = quote[side.index()];
            let size = size(row, "quantity", best.quantity)?;
            Common { side: side_letter(Some(side)), id: 0, price: best.price, size }
        }
        What::Clear | What::TradeBreak { .. } => Common { side: b'N', id: 0, price: UNDEF_PRICE, size: 0 },
    })
}

fn header<R: dbn::HasRType>(row: &Row, rtype: u8, publisher_id: u16) -> RecordHeader {
    RecordHeader::new::<R>(rtype, publisher_id, row.head.instrument_id, row.head.ts_event)
}

pub(super) fn order(row: &Row, publisher_id: u16) -> Result<MboMsg, ExportError> {
    let Common { side, id, price, size } = common(row)?;
    Ok(MboMsg {
        hd: header::<MboMsg>(row, rtype::MBO, publisher_id),
        order_id: id,
        price,
        size,
        flags: flags(row),
        channel_id: 0,
        action: row.action as c_char,
        side: side as c_char,
        ts_recv: row.head.ts_recv,
        ts_in_delta: 0,
        sequence: row.head.venue_sequence_low,
    })
}

pub(super) fn trade(row: &Row, publisher_id: u16) -> Result<TradeMsg, ExportError> {
    let Common { side, price, size, .. } = common(row)?;
    Ok(TradeMsg {
        hd: header::<TradeMsg>(row, rtype::MBP_0, publisher_id),
        price,
        size,
        action: row.action as c_char,
        side: side as c_char,
        flags: flags(row),
        depth: 0,
        ts_recv: row.head.ts_recv,
        ts_in_delta: 0,
        sequence: row.head.venue_sequence_low,
    })
}

pub(super) fn quote(row: &Row, publisher_id: u16) -> Result<Mbp1Msg, ExportError> {
    let Common { side, price, size: changed, .. } = common(row)?;
    let [bid, ask] = match row.what {
        What::Quote { quote, .. } => quote,
        _ => [Best::NONE; 2],
    };
    let count = |best: Best| narrow(row, "orders", best.orders, u32::MAX.into());
    Ok(Mbp1Msg {
        hd: header::<Mbp1Msg>(row, rtype::MBP_1, publisher_id),
        price,
        size: changed,
        action: row.action as c_char,
        side: side as c_char,
        flags: flags(row),
        depth: 0,
        ts_recv: row.head.ts_recv,
        ts_in_delta: 0,
        sequence: row.head.venue_sequence_low,
        levels: [BidAskPair {
            bid_px: bid.price,
            ask_px: ask.price,
            bid_sz: size(row, "bid quantity", bid.quantity)?,
            ask_sz: size(row, "ask quantity", ask.quantity)?,
            bid_ct: count(bid)?,
            ask_ct: count(ask)?,
        }],
    })
}
