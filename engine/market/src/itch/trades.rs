//! Prints: trades, crosses and broken trades, and the day's statistics on the row.

use shm_abi::counters::CounterWriter;
use shm_abi::layout::row;
use shm_abi::record::{AnomalyCode, PRICE_NONE, Price, QUANTITY_NONE, flag, kind, trade_code};
use wire::itch50::{BrokenTrade, CrossTrade, Trade};

use super::orders::NASDAQ_PRICE_MAX;
use super::prints::Keep;
use super::{Fate, Feed, InstrumentIds, Io, declare};
use crate::day::{Print, print};
use crate::publish::{Event, NO_SIDE, Out};

/// A print that moves the day's statistics, where it has a price.
#[inline(always)]
pub(super) fn print_of(price: Price, quantity: u64, match_id: u64) -> Print {
    Print { price, quantity, match_id, volume_only: false }
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
        let Print { price, quantity, match_id, .. } = *trade;
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
        let trade = print_of(facts.price(raw), shares.into(), match_id);
        io.out.both(trade.record(&event, NO_SIDE, flag::HIDDEN));
        self.tally.trades += u64::from(io.out.market.on);
        let mut row = io.board.update(facts.row as usize);
        print(&mut row, event.ts_event, &trade);
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
        let trade = print_of(facts.price(raw), shares, match_id);
        io.out.both(trade.record(&event, cross.cross_type, 0));
        self.tally.trades += u64::from(io.out.market.on);
        let mut row = io.board.update(facts.row as usize);
        if shares > 0 {
            print(&mut row, event.ts_event, &trade);
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
