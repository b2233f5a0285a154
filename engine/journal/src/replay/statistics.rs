//! The day's statistics on a row, as the engine writes them.

use shm_abi::board::{Level, RowUpdate};
use shm_abi::layout::row;
use shm_abi::record::{PRICE_NONE, Price, Quantity, Side};

/// Words of a row that begin anew with a day, and their first values. The previous close is the close.
const DAY_WORDS: [(usize, u64); 12] = [
    (row::LAST_PRICE, PRICE_NONE as u64),
    (row::LAST_QUANTITY, 0),
    (row::LAST_MATCH, 0),
    (row::LAST_TS, 0),
    (row::OPEN, PRICE_NONE as u64),
    (row::HIGH, PRICE_NONE as u64),
    (row::LOW, PRICE_NONE as u64),
    (row::CLOSE, PRICE_NONE as u64),
    (row::VOLUME, 0),
    (row::TURNOVER_LOW, 0),
    (row::TURNOVER_HIGH, 0),
    (row::TRADES, 0),
];

/// A trade record that counts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Print {
    pub(super) match_id: u64,
    /// Or [`PRICE_NONE`]: then its quantity alone is known.
    pub(super) price: Price,
    pub(super) quantity: Quantity,
    pub(super) ts_event: u64,
}

/// Adds a print. With `volume_only` it moves neither last, open, high nor low.
#[inline(always)]
pub(super) fn print(row: &mut RowUpdate<'_>, print: &Print, volume_only: bool) {
    row.set(row::VOLUME, row.get(row::VOLUME).saturating_add(print.quantity));
    row.set(row::TRADES, row.get(row::TRADES).wrapping_add(1));
    if print.price == PRICE_NONE {
        return;
    }
    if !volume_only {
        set_last(row, print);
        range(row, print.price);
    }
    set_turnover(row, turnover(row).saturating_add(value(print.price, print.quantity)));
}

#[inline(always)]
pub(super) fn set_last(row: &mut RowUpdate<'_>, print: &Print) {
    row.set(row::LAST_PRICE, print.price as u64);
    row.set(row::LAST_QUANTITY, print.quantity);
    row.set(row::LAST_MATCH, print.match_id);
    row.set(row::LAST_TS, print.ts_event);
}

/// Takes a print's quantity out again; last, high and low are the caller's.
pub(super) fn take_out(row: &mut RowUpdate<'_>, price: Price, quantity: Quantity) {
    row.set(row::VOLUME, row.get(row::VOLUME).saturating_sub(quantity));
    row.set(row::TRADES, row.get(row::TRADES).saturating_sub(1));
    if price != PRICE_NONE {
        set_turnover(row, turnover(row).saturating_sub(value(price, quantity)));
    }
}

/// Open, high and low of the day.
#[inline(always)]
pub(super) fn range(row: &mut RowUpdate<'_>, at: Price) {
    if row.get(row::OPEN) as i64 == PRICE_NONE {
        row.set(row::OPEN, at as u64);
    }
    let high = row.get(row::HIGH) as i64;
    if high == PRICE_NONE || at > high {
        row.set(row::HIGH, at as u64);
    }
    // The sentinel is the largest price there is.
    if at < row.get(row::LOW) as i64 {
        row.set(row::LOW, at as u64);
    }
}

#[inline(always)]
fn value(price: Price, quantity: Quantity) -> u128 {
    u128::from(quantity) * u128::from(price.unsigned_abs())
}

#[inline(always)]
fn turnover(row: &RowUpdate<'_>) -> u128 {
    u128::from(row.get(row::TURNOVER_LOW)) | u128::from(row.get(row::TURNOVER_HIGH)) << 64
}

#[inline(always)]
fn set_turnover(row: &mut RowUpdate<'_>, turnover: u128) {
    row.set(row::TURNOVER_LOW, turnover as u64);
    row.set(row::TURNOVER_HIGH, (turnover >> 64) as u64);
}

/// Begins a new day.
pub(super) fn begin_day(row: &mut RowUpdate<'_>) {
    let close = row.get(row::CLOSE);
    if close as i64 != PRICE_NONE {
        row.set(row::PREVIOUS_CLOSE, close);
    }
    for (word, value) in DAY_WORDS {
        row.set(word, value);
    }
}

/// Forgets everything that a row says but which it is.
pub(super) fn begin_row(row: &mut RowUpdate<'_>) {
    begin_day(row);
    clear_book(row);
    for (word, value) in
        [(row::MARKET_N, 0), (row::TS_EVENT, 0), (row::STATUS, 0), (row::PREVIOUS_CLOSE, PRICE_NONE as u64)]
    {
        row.set(word, value);
    }
}

/// Empties the book's part of a row; the day's statistics stay.
pub(super) fn clear_book(row: &mut RowUpdate<'_>) {
    for side in [Side::Bid, Side::Ask] {
        row.set_quote(side, Level { price: PRICE_NONE, quantity: 0, orders: 0 });
    }
    row.clear_depth();
}
