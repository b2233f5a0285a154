//! Trades, their breaks, and official prices.

use shm_abi::layout::row;
use shm_abi::record::{flag, kind, official_code};
use wire::iex::{OfficialPrice, TradeBreak, TradeReport, sale_flag};

use super::{Fate, Iex, InstrumentIds, Io, price};
use crate::day::{Print, print};
use crate::publish::{Event, NO_SIDE};

/// Trades of these sale flags count as volume alone: they are no last sale.
const VOLUME_ONLY: u8 = sale_flag::EXTENDED_HOURS | sale_flag::ODD_LOT;

impl<I: InstrumentIds> Iex<I> {
    /// `T`.
    pub(super) fn trade(&mut self, at: usize, trade: &TradeReport, event: &Event, io: &mut Io<'_>) -> Fate {
        let (size, raw) = (trade.size.get(), trade.price.get());
        let Some(price) = price(raw).filter(|_| size > 0) else {
            let value = if size == 0 { 0 } else { raw as u64 };
            return self.bad_field(at, TradeReport::TYPE, value, event, io);
        };
        let volume_only = trade.sale_flags & VOLUME_ONLY != 0;
        let (quantity, match_id) = (u64::from(size), trade.trade_id.get());
        let flags = if volume_only { flag::VOLUME_ONLY } else { 0 };
        io.out.market.put(event.record(kind::TRADE, NO_SIDE, flags, [match_id, price as u64, quantity]));
        self.tally.trades += u64::from(io.out.market.on);
        let mut row = io.board.update(self.facts[at].row as usize);
        print(&mut row, event.ts_event, &Print { price, quantity, match_id, volume_only });
        io.out.finish_with_row(event, row);
        Fate::Applied
    }

    /// `B`: a trade is void. It stays in the statistics: see the module's choices.
    pub(super) fn trade_break(&mut self, at: usize, broken: &TradeBreak, event: &Event, io: &mut Io<'_>) -> Fate {
        let raw = broken.price.get();
        let Some(price) = price(raw) else {
            return self.bad_field(at, TradeBreak::TYPE, raw as u64, event, io);
        };
        self.trade_breaks += 1;
        let body = [broken.trade_id.get(), price as u64, broken.size.get().into()];
        io.out.market.put(event.record(kind::TRADE_BREAK, NO_SIDE, 0, body));
        io.out.finish_with_row(event, io.board.update(self.facts[at].row as usize));
        Fate::Applied
    }

    /// `X`.
    pub(super) fn official_price(
        &mut self,
        at: usize,
        official: &OfficialPrice,
        event: &Event,
        io: &mut Io<'_>,
    ) -> Fate {
        let (letter, raw) = (official.price_type, official.official_price.get());
        let code = match letter {
            b'Q' => official_code::OPEN,
            b'M' => official_code::CLOSE,
            _ => return self.bad_field(at, OfficialPrice::TYPE, letter.into(), event, io),
        };
        let Some(price) = price(raw) else {
            return self.bad_field(at, OfficialPrice::TYPE, raw as u64, event, io);
        };
        io.out.market.put(event.record(kind::OFFICIAL_PRICE, code, 0, [price as u64, 0, 0]));
        let mut row = io.board.update(self.facts[at].row as usize);
        if code == official_code::CLOSE {
            row.set(row::CLOSE, price as u64);
        }
        io.out.finish_with_row(event, row);
        Fate::Applied
    }
}
