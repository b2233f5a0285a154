//! Quotes, levels, trades and status as JSON: the `data` of frames, and what REST answers with.

use shm_abi::board::Level;
use shm_abi::record::{PRICE_NONE, Price, QUANTITY_NONE, Quantity, Side, flag, trade_code};

use super::text::{push_list, push_quoted, put};
use crate::dialect::{Change, Stamps, Trade};
use crate::number::{push_decimal, push_integer, push_price, push_turnover};
use crate::state::{LastTrade, Quote, StatusState};

/// Appends a whole quote: best bid and ask, last trade, and the day so far. An object.
#[inline]
pub fn push_quote(out: &mut Vec<u8>, quote: &Quote, quantity_decimals: u8) {
    put(out, "{\"bid\":");
    push_best(out, quote.bid.as_ref(), quantity_decimals);
    put(out, ",\"ask\":");
    push_best(out, quote.ask.as_ref(), quantity_decimals);
    put(out, ",\"last\":");
    push_last(out, quote.last.as_ref(), quantity_decimals);
    put(out, ",\"open\":");
    push_known_price(out, quote.open.unwrap_or(PRICE_NONE));
    put(out, ",\"high\":");
    push_known_price(out, quote.high.unwrap_or(PRICE_NONE));
    put(out, ",\"low\":");
    push_known_price(out, quote.low.unwrap_or(PRICE_NONE));
    put(out, ",\"close\":");
    push_known_price(out, quote.close.unwrap_or(PRICE_NONE));
    put(out, ",\"previous_close\":");
    push_known_price(out, quote.previous_close.unwrap_or(PRICE_NONE));
    put(out, ",\"volume\":");
    push_decimal(out, quote.volume, quantity_decimals);
    put(out, ",\"turnover\":");
    push_turnover(out, quote.turnover, quantity_decimals);
    put(out, ",\"trades\":");
    push_integer(out, quote.trades);
    out.push(b'}');
}

/// Appends the best level of a side; null: there is none.
#[inline]
pub fn push_best(out: &mut Vec<u8>, level: Option<&Level>, quantity_decimals: u8) {
    let Some(level) = level else { return put(out, "null") };
    put(out, "{\"price\":");
    push_known_price(out, level.price);
    put(out, ",\"quantity\":");
    push_known_quantity(out, level.quantity, quantity_decimals);
    put(out, ",\"orders\":");
    push_integer(out, level.orders.into());
    out.push(b'}');
}

#[inline]
fn push_last(out: &mut Vec<u8>, last: Option<&LastTrade>, quantity_decimals: u8) {
    let Some(last) = last else { return put(out, "null") };
    put(out, "{\"price\":");
    push_known_price(out, last.price);
    put(out, ",\"quantity\":");
    push_known_quantity(out, last.quantity, quantity_decimals);
    put(out, ",\"match_id\":");
    push_quoted(out, last.match_id);
    put(out, ",\"ts_event\":");
    push_quoted(out, last.ts_event);
    out.push(b'}');
}

/// Appends levels, best first: a list of `[price, quantity, orders]`.
#[inline]
pub fn push_levels(out: &mut Vec<u8>, levels: &[Level], quantity_decimals: u8) {
    push_list(out, levels, |out, level| {
        out.push(b'[');
        push_level_fields(out, level, quantity_decimals);
        out.push(b']');
    });
}

/// Appends changed levels: a list of `[side, price, quantity, orders]`.
#[inline]
pub(super) fn push_changes(out: &mut Vec<u8>, changes: &[Change], quantity_decimals: u8) {
    push_list(out, changes, |out, change| {
        put(out, if change.side == Side::Bid { "[\"bid\"," } else { "[\"ask\"," });
        push_level_fields(out, &change.level, quantity_decimals);
        out.push(b']');
    });
}

#[inline]
fn push_level_fields(out: &mut Vec<u8>, level: &Level, quantity_decimals: u8) {
    push_known_price(out, level.price);
    out.push(b',');
    push_known_quantity(out, level.quantity, quantity_decimals);
    out.push(b',');
    push_integer(out, level.orders.into());
}

/// Appends a trade of a list: with its number and its venue time. An object.
#[inline]
pub fn push_trade(out: &mut Vec<u8>, trade: &Trade, quantity_decimals: u8) {
    put(out, "{\"seq\":");
    push_integer(out, trade.seq);
    put(out, ",\"ts_event\":");
    push_quoted(out, trade.stamps.ts_event);
    out.push(b',');
    push_trade_fields(out, trade, quantity_decimals);
    out.push(b'}');
}

/// Appends what a trade is, without braces.
#[inline]
pub fn push_trade_fields(out: &mut Vec<u8>, trade: &Trade, quantity_decimals: u8) {
    put(out, "\"price\":");
    push_known_price(out, trade.price);
    put(out, ",\"quantity\":");
    push_known_quantity(out, trade.quantity, quantity_decimals);
    put(out, ",\"side\":");
    put(
        out,
        match Side::from_code(trade.code) {
            Some(Side::Bid) => "\"bid\"",
            Some(Side::Ask) => "\"ask\"",
            None => "null",
        },
    );
    put(out, ",\"cross\":");
    put(
        out,
        match trade.code {
            trade_code::CROSS_OPEN => "\"open\"",
            trade_code::CROSS_CLOSE => "\"close\"",
            trade_code::CROSS_HALT => "\"halt\"",
            _ => "null",
        },
    );
    put(out, ",\"match_id\":");
    push_quoted(out, trade.match_id);
    put(out, ",\"printed\":");
    push_bool(out, trade.flags & flag::NOT_PRINTED == 0);
    put(out, ",\"hidden\":");
    push_bool(out, trade.flags & flag::HIDDEN != 0);
}

/// Appends trading status and quality. An object.
#[inline]
pub fn push_status(out: &mut Vec<u8>, status: StatusState) {
    put(out, "{\"status\":\"");
    put(out, status.status.name());
    put(out, "\",\"quality\":\"");
    put(out, status.quality.name());
    put(out, "\"}");
}

/// Appends the four stamps as members of an object, without braces: `"ts_event":"...",...,"ts_gateway":"..."`.
#[inline]
pub fn push_stamps(out: &mut Vec<u8>, stamps: &Stamps) {
    put(out, "\"ts_event\":");
    push_quoted(out, stamps.ts_event);
    put(out, ",\"ts_recv\":");
    push_quoted(out, stamps.ts_recv);
    put(out, ",\"ts_publish\":");
    push_quoted(out, stamps.ts_publish);
    put(out, ",\"ts_gateway\":");
    push_quoted(out, stamps.ts_gateway);
}

#[inline]
fn push_known_price(out: &mut Vec<u8>, price: Price) {
    if price == PRICE_NONE { put(out, "null") } else { push_price(out, price) }
}

#[inline]
fn push_known_quantity(out: &mut Vec<u8>, quantity: Quantity, quantity_decimals: u8) {
    if quantity == QUANTITY_NONE { put(out, "null") } else { push_decimal(out, quantity, quantity_decimals) }
}

#[inline]
fn push_bool(out: &mut Vec<u8>, value: bool) {
    put(out, if value { "true" } else { "false" });
}
