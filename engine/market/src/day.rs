//! The day's statistics on an instrument's row.

use shm_abi::board::{Level, RowUpdate};
use shm_abi::layout::row;
use shm_abi::record::{PRICE_NONE, Price, Quantity, Side, kind};

use crate::publish::Event;

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

/// One execution as the statistics see it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Print {
    /// Price, or [`PRICE_NONE`]: then its quantity alone is known.
    pub(crate) price: Price,
    pub(crate) quantity: Quantity,
    pub(crate) match_id: u64,
    /// It counts as volume alone, and moves neither last, open, high nor low.
    pub(crate) volume_only: bool,
}

impl Print {
    #[inline(always)]
    pub(crate) fn record(&self, event: &Event, code: u8, flags: u8) -> [u64; 7] {
        event.record(kind::TRADE, code, flags, [self.match_id, self.price as u64, self.quantity])
    }
}

/// Adds a print to the statistics. Volume saturates; turnover cannot overflow then.
#[inline(always)]
pub(crate) fn print(row: &mut RowUpdate<'_>, ts_event: u64, print: &Print) {
    let at = print.price;
    row.set(row::VOLUME, row.get(row::VOLUME).saturating_add(print.quantity));
    row.set(row::TRADES, row.get(row::TRADES) + 1);
    if at == PRICE_NONE {
        return;
    }
    if !print.volume_only {
        row.set(row::LAST_PRICE, at as u64);
        row.set(row::LAST_QUANTITY, print.quantity);
        row.set(row::LAST_MATCH, print.match_id);
        row.set(row::LAST_TS, ts_event);
        range(row, at);
    }
    set_turnover(row, turnover(row).saturating_add(value(at, print.quantity)));
}

/// Takes a print's quantity out again; last, high and low are the caller's.
pub(crate) fn take_out(row: &mut RowUpdate<'_>, price: Price, quantity: Quantity) {
    row.set(row::VOLUME, row.get(row::VOLUME).saturating_sub(quantity));
    row.set(row::TRADES, row.get(row::TRADES).saturating_sub(1));
    if price != PRICE_NONE {
        set_turnover(row, turnover(row).saturating_sub(value(price, quantity)));
    }
}

/// Open, high and low of the day.
#[inline(always)]
pub(crate) fn range(row: &mut RowUpdate<'_>, at: Price) {
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
    u128::from(quantity) * price.unsigned_abs() as u128
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
pub(crate) fn begin(row: &mut RowUpdate<'_>) {
    let close = row.get(row::CLOSE);
    if close as i64 != PRICE_NONE {
        row.set(row::PREVIOUS_CLOSE, close);
    }
    for (word, value) in DAY_WORDS {
        row.set(word, value);
    }
}

/// Empties the book's part of a row; the day's statistics stay.
pub(crate) fn clear_book(row: &mut RowUpdate<'_>) {
    for side in [Side::Bid, Side::Ask] {
        row.set_quote(side, Level { price: PRICE_NONE, quantity: 0, orders: 0 });
    }
    row.clear_depth();
}
