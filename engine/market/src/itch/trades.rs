//! Prints: trades, crosses and broken trades, and the day's statistics on the row.

use shm_abi::board::RowUpdate;
use shm_abi::counters::CounterWriter;
use shm_abi::layout::row;
use shm_abi::record::{AnomalyCode, PRICE_NONE, Price, QUANTITY_NONE, flag, kind, trade_code};
use wire::itch50::{BrokenTrade, CrossTrade, Trade};

use super::orders::NASDAQ_PRICE_MAX;
use super::prints::Keep;
use super::{Fate, Feed, InstrumentIds, Io, declare};
use crate::publish::{Event, NO_SIDE, Out};

/// One execution as the day's statistics see it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Print {
    /// Price, or [`PRICE_NONE`].
    pub(super) price: Price,
    pub(super) quantity: u64,
    pub(super) match_id: u64,
}

impl Print {
    #[inline(always)]
    pub(super) fn record(&self, event: &Event, code: u8, flags: u8) -> [u64; 7] {
        event.record(kind::TRADE, code, flags, [self.match_id, self.price as u64, self.quantity])
    }
}

/// Adds a print to the day's statistics. Volume saturates; turnover cannot overflow then. Of a print without a price the
/// quantity alone is known.
#[inline(always)]
pub(super) fn print(row: &mut RowUpdate<'_>, event: &Event, print: &Print) {
    let at = print.price;
    row.set(row::VOLUME, row.get(row::VOLUME).saturating_add(print.quantity));
    row.set(row::TRADES, row.get(row::TRADES) + 1);
    if at == PRICE_NONE {
        return;
    }
    row.set(row::LAST_PRICE, at as u64);
    row.set(row::LAST_QUANTITY, print.quantity);
    row.set(row::LAST_MATCH, print.match_id);
    row.set(row::LAST_TS, event.ts_event);
    day_range(row, at);
    let turnover = u128::from(row.get(row::TURNOVER_LOW)) | u128::from(row.get(row::TURNOVER_HIGH)) << 64;
    let turnover = turnover.saturating_add(u128::from(print.quantity) * at.unsigned_abs() as u128);
    row.set(row::TURNOVER_LOW, turnover as u64);
    row.set(row::TURNOVER_HIGH, (turnover >> 64) as u64);
}

/// Open, high and low of the day.
#[inline(always)]
pub(super) fn day_range(row: &mut RowUpdate<'_>, at: Price) {
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

impl<I: InstrumentIds> Feed<I> {
    /// Whether a print counts: the other side of a match that has counted does not. Match number 0 names no match.
    pub(super) fn counts(
        &mut self,
        at: u32,
        trade: &Print,
        event: &Event,
        out: &mut Out<'_>,
        counters: &mut CounterWriter,
    ) -> bool {
        if trade.match_id == 0 {
            return true;
        }
        let book = &mut self.orderbooks[at as usize];
        let Print { price, quantity, match_id } = *trade;
        match self.prints.keep(match_id, at, price, quantity, event.ts_event, book.last_print) {
            Keep::New(number) => {
                book.last_print = number;
                true
            }
            Keep::Twin => false,
            Keep::Full => {
                declare(AnomalyCode::TableFull, match_id, self.prints.limit() as u64, event, out, counters);
                true
            }
        }
    }

    /// `P`: a trade against an order that was never shown. Its side is always `B` and so says nothing.
    pub(super) fn hidden_trade(&mut self, trade: &Trade, at: u32, mut event: Event, io: &mut Io<'_>) -> Fate {
        let facts = self.facts[at as usize];
        facts.name(&mut event);
        let (shares, raw, match_id) = (trade.shares.get(), trade.price.get(), trade.match_number.get());
        if shares == 0 || raw > NASDAQ_PRICE_MAX {
            let value = if shares == 0 { 0 } else { raw };
            return self.reject(AnomalyCode::BadField, b'P'.into(), value.into(), Some(at), &event, io);
        }
        let trade = Print { price: facts.price(raw), quantity: shares.into(), match_id };
        io.out.both(trade.record(&event, NO_SIDE, flag::HIDDEN));
        self.tally.trades += u64::from(io.out.market.on);
        let mut row = io.board.update(facts.row as usize);
        print(&mut row, &event, &trade);
        io.out.finish_with_row(&event, row);
        Fate::Applied
    }

    /// `Q`: a cross. Without interest it has no shares and moves no statistics.
    pub(super) fn cross(&mut self, cross: &CrossTrade, at: u32, mut event: Event, io: &mut Io<'_>) -> Fate {
        let facts = self.facts[at as usize];
        facts.name(&mut event);
        let (shares, raw, match_id) = (cross.shares.get(), cross.cross_price.get(), cross.match_number.get());
        let bad = if !matches!(cross.cross_type, b'O' | b'C' | b'H') {
            Some(cross.cross_type.into())
        } else if raw > NASDAQ_PRICE_MAX {
            Some(raw.into())
        } else {
            // The one message whose quantity has 64 bits: a volume that overflows is not a volume.
            let volume = io.board.update(facts.row as usize).get(row::VOLUME);
            volume.checked_add(shares).is_none().then_some(shares)
        };
        if let Some(value) = bad {
            return self.reject(AnomalyCode::BadField, b'Q'.into(), value, Some(at), &event, io);
        }
        let trade = Print { price: facts.price(raw), quantity: shares, match_id };
        io.out.both(trade.record(&event, cross.cross_type, 0));
        self.tally.trades += u64::from(io.out.market.on);
        let mut row = io.board.update(facts.row as usize);
        if shares > 0 {
            print(&mut row, &event, &trade);
        }
        if cross.cross_type == trade_code::CROSS_CLOSE && raw > 0 {
            row.set(row::CLOSE, facts.price(raw) as u64);
        }
        io.out.finish_with_row(&event, row);
        Fate::Applied
    }

    /// `B`: a print is void. It stays in the statistics: see the module's choices.
    pub(super) fn broken_trade(&mut self, broken: &BrokenTrade, at: u32, mut event: Event, io: &mut Io<'_>) -> Fate {
        let facts = self.facts[at as usize];
        facts.name(&mut event);
        let body = [broken.match_number.get(), PRICE_NONE as u64, QUANTITY_NONE];
        io.out.both(event.record(kind::TRADE_BREAK, NO_SIDE, 0, body));
        let row = io.board.update(facts.row as usize);
        io.out.finish_with_row(&event, row);
        Fate::Applied
    }
}
