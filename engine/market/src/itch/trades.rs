//! Prints: trades, crosses and broken trades, and the day's statistics on the row.

use shm_abi::board::RowUpdate;
use shm_abi::layout::row;
use shm_abi::record::{AnomalyCode, PRICE_NONE, QUANTITY_NONE, flag, kind, trade_code};
use wire::itch50::{BrokenTrade, CrossTrade, Trade};

use super::orders::PRICE_MAX;
use super::price;
use super::{Fate, Feed, InstrumentIds, Io};
use crate::publish::{Event, NO_SIDE};

/// One execution as the day's statistics see it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Print {
    /// Raw price.
    pub(super) price: u32,
    pub(super) quantity: u64,
    pub(super) match_id: u64,
}

impl Print {
    #[inline(always)]
    pub(super) fn record(&self, event: &Event, code: u8, flags: u8) -> [u64; 7] {
        event.record(kind::TRADE, code, flags, [self.match_id, price(self.price) as u64, self.quantity])
    }
}

/// Adds a print to the day's statistics. Volume saturates; turnover cannot overflow then.
#[inline(always)]
pub(super) fn print(row: &mut RowUpdate<'_>, event: &Event, print: &Print) {
    let at = price(print.price);
    row.set(row::LAST_PRICE, at as u64);
    row.set(row::LAST_QUANTITY, print.quantity);
    row.set(row::LAST_MATCH, print.match_id);
    row.set(row::LAST_TS, event.ts_event);
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
    row.set(row::VOLUME, row.get(row::VOLUME).saturating_add(print.quantity));
    let turnover = u128::from(row.get(row::TURNOVER_LOW)) | u128::from(row.get(row::TURNOVER_HIGH)) << 64;
    let turnover = turnover.saturating_add(u128::from(print.quantity) * at.unsigned_abs() as u128);
    row.set(row::TURNOVER_LOW, turnover as u64);
    row.set(row::TURNOVER_HIGH, (turnover >> 64) as u64);
    row.set(row::TRADES, row.get(row::TRADES) + 1);
}

impl<I: InstrumentIds> Feed<I> {
    /// `P`: a trade against an order that was never shown. Its side is always `B` and so says nothing.
    pub(super) fn hidden_trade(&mut self, trade: &Trade, locate: u16, mut event: Event, io: &mut Io<'_>) -> Fate {
        let facts = self.facts[locate as usize];
        facts.name(&mut event);
        let (shares, raw, match_id) = (trade.shares.get(), trade.price.get(), trade.match_number.get());
        if shares == 0 || raw > PRICE_MAX {
            let value = if shares == 0 { 0 } else { raw };
            return self.reject(AnomalyCode::BadField, b'P'.into(), value.into(), Some(locate), &event, io);
        }
        let trade = Print { price: raw, quantity: shares.into(), match_id };
        io.out.both(trade.record(&event, NO_SIDE, flag::HIDDEN));
        self.tally.trades += u64::from(io.out.market.on);
        let mut row = io.board.update(facts.row as usize);
        print(&mut row, &event, &trade);
        io.out.finish_with_row(&event, row);
        Fate::Applied
    }

    /// `Q`: a cross. Without interest it has no shares and moves no statistics.
    pub(super) fn cross(&mut self, cross: &CrossTrade, locate: u16, mut event: Event, io: &mut Io<'_>) -> Fate {
        let facts = self.facts[locate as usize];
        facts.name(&mut event);
        let (shares, raw, match_id) = (cross.shares.get(), cross.cross_price.get(), cross.match_number.get());
        let bad = if !matches!(cross.cross_type, b'O' | b'C' | b'H') {
            Some(cross.cross_type.into())
        } else if raw > PRICE_MAX {
            Some(raw.into())
        } else {
            // The one message whose quantity has 64 bits: a volume that overflows is not a volume.
            let volume = io.board.update(facts.row as usize).get(row::VOLUME);
            volume.checked_add(shares).is_none().then_some(shares)
        };
        if let Some(value) = bad {
            return self.reject(AnomalyCode::BadField, b'Q'.into(), value, Some(locate), &event, io);
        }
        let trade = Print { price: raw, quantity: shares, match_id };
        io.out.both(trade.record(&event, cross.cross_type, 0));
        self.tally.trades += u64::from(io.out.market.on);
        let mut row = io.board.update(facts.row as usize);
        if shares > 0 {
            print(&mut row, &event, &trade);
        }
        if cross.cross_type == trade_code::CROSS_CLOSE && raw > 0 {
            row.set(row::CLOSE, price(raw) as u64);
        }
        io.out.finish_with_row(&event, row);
        Fate::Applied
    }

    /// `B`: a print is void. It stays in the statistics: see the module's choices.
    pub(super) fn broken_trade(
        &mut self,
        broken: &BrokenTrade,
        locate: u16,
        mut event: Event,
        io: &mut Io<'_>,
    ) -> Fate {
        let facts = self.facts[locate as usize];
        facts.name(&mut event);
        let body = [broken.match_number.get(), PRICE_NONE as u64, QUANTITY_NONE];
        io.out.both(event.record(kind::TRADE_BREAK, NO_SIDE, 0, body));
        let row = io.board.update(facts.row as usize);
        io.out.finish_with_row(&event, row);
        Fate::Applied
    }
}
