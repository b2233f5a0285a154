//! Price levels and quotes: what they do to the book, and what of it shows in the ring and on the row.
//!
//! A level is kept as one order of its price, under a reference made of instrument, side and price.

use shm_abi::board::{Level, RowUpdate};
use shm_abi::counters::CounterWriter;
use shm_abi::layout::row;
use shm_abi::record::{AnomalyCode, PRICE_NONE, Side, kind};
use wire::iex::{EVENT_COMPLETE, PriceLevelBuy, PriceLevelSell, QuoteUpdate};

use super::{CROSSED, Fate, Iex, InstrumentIds, Io, PRICE_SCALE, TOUCHED, TRADING, ladder, price, suspect};
use crate::book::{AddError, LevelChange, NIL, NewOrder, PriceLevel};
use crate::itch::declare;
use crate::publish::{Event, Out};
use crate::window;

/// A level of the book on the bus. The venue does not tell how many orders stand behind it.
#[inline(always)]
pub(super) fn on_bus(level: PriceLevel) -> Level {
    // At most 2^32 whole cents, so the product is far below the sentinel.
    Level { price: ladder::to_wire(level.price) * PRICE_SCALE, quantity: level.quantity, orders: 0 }
}

/// An empty side's best level.
const NO_LEVEL: Level = Level { price: PRICE_NONE, quantity: 0, orders: 0 };

/// Instruments take 24 bits, prices 32, and the side one between them.
#[inline(always)]
fn reference(instrument: u32, side: Side, price: u32) -> u64 {
    u64::from(instrument) << 33 | (side.index() as u64) << 32 | u64::from(price)
}

/// What is wrong with a message: code, subject and detail of an anomaly.
type Wrong = (AnomalyCode, u64, u64);

impl<I: InstrumentIds> Iex<I> {
    /// `8`, `5`: all that is quoted at a price from now on. Whatever is wrong with the level, the venue's event may end
    /// with this message, and its quote is due then.
    #[allow(clippy::too_many_arguments, reason = "the fields of a message that comes in two types")]
    pub(super) fn level(
        &mut self,
        at: usize,
        side: Side,
        size: u32,
        raw: i64,
        event_flags: u8,
        event: &Event,
        io: &mut Io<'_>,
    ) -> Fate {
        let changed = self.set_level(at as u32, side, size, raw);
        let complete = event_flags & EVENT_COMPLETE != 0;
        let facts = &mut self.facts[at];
        let Io { out, board, counters } = io;
        let mut row = board.update(facts.row as usize);
        let fate = match changed {
            Ok(change) => {
                let position = self.book.position(&change);
                if position == 0 {
                    facts.bits |= TOUCHED;
                }
                let place = window::Place { position, class: row.depth_class() };
                window::keep(&self.book, &change, place, on_bus, event, &mut out.market, &mut row);
                Fate::Applied
            }
            Err((code, subject, detail)) => {
                declare(code, subject, detail, event, out, counters);
                // Not even the one level is as the venue has it.
                suspect(facts, self.quality, &mut row);
                Fate::Rejected
            }
        };
        if complete && facts.bits & TOUCHED != 0 {
            facts.bits &= !TOUCHED;
            let best = [Side::Bid, Side::Ask].map(|side| self.book.best(at as u32, side).map_or(NO_LEVEL, on_bus));
            self.show_quote(at, best, event, out, counters, &mut row);
        }
        out.finish_with_row(event, row);
        fate
    }

    /// Sets the quantity of a price in the book; 0 takes it out.
    fn set_level(&mut self, instrument: u32, side: Side, size: u32, raw: i64) -> Result<LevelChange, Wrong> {
        let letter = if side == Side::Bid { PriceLevelBuy::TYPE } else { PriceLevelSell::TYPE };
        let Some(price) = ladder::to_book(raw) else {
            return Err((AnomalyCode::BadField, letter.into(), raw as u64));
        };
        let reference = reference(instrument, side, price);
        match (self.book.find(reference, NIL), size) {
            (None, 0) => Err((AnomalyCode::UnknownOrder, raw as u64, letter.into())),
            (Some(slot), 0) => Ok(self.book.remove(slot).change),
            (Some(slot), quantity) => Ok(self.book.set_quantity(slot, quantity)),
            (None, quantity) => {
                let added = self.book.add(NewOrder { instrument, side, reference, price, quantity });
                added.map_err(|error| match error {
                    AddError::OrdersFull => (AnomalyCode::TableFull, reference, self.book.order_limit() as u64),
                    AddError::LevelsFull => (AnomalyCode::TableFull, reference, self.book.level_limit() as u64),
                    AddError::Duplicate | AddError::BadField | AddError::UnknownInstrument => {
                        unreachable!("the level is new, its quantity not 0, and its instrument in the book: {error}")
                    }
                })
            }
        }
    }

    /// `Q`: both sides of the best quote.
    pub(super) fn quote_update(&mut self, at: usize, quote: &QuoteUpdate, event: &Event, io: &mut Io<'_>) -> Fate {
        let side = |size: u32, raw: i64| match size {
            0 => Ok(NO_LEVEL),
            size => price(raw).map(|price| Level { price, quantity: size.into(), orders: 0 }).ok_or(raw as u64),
        };
        let bid = side(quote.bid_size.get(), quote.bid_price.get());
        let ask = side(quote.ask_size.get(), quote.ask_price.get());
        let best = match (bid, ask) {
            (Ok(bid), Ok(ask)) => [bid, ask],
            (Err(value), _) | (_, Err(value)) => return self.bad_field(at, QuoteUpdate::TYPE, value, event, io),
        };
        let Io { out, board, counters } = io;
        let mut row = board.update(self.facts[at].row as usize);
        self.show_quote(at, best, event, out, counters, &mut row);
        out.finish_with_row(event, row);
        Fate::Applied
    }

    /// Publishes those sides of the best quote that differ from the row's, bids first, and a book that has become
    /// crossed.
    fn show_quote(
        &mut self,
        at: usize,
        best: [Level; 2],
        event: &Event,
        out: &mut Out<'_>,
        counters: &mut CounterWriter,
        row: &mut RowUpdate<'_>,
    ) {
        let words = [(row::BID_PRICE, row::BID_QUANTITY), (row::ASK_PRICE, row::ASK_QUANTITY)];
        let mut changed = false;
        for ((side, best), (at_price, at_quantity)) in [Side::Bid, Side::Ask].into_iter().zip(best).zip(words) {
            if row.get(at_price) == best.price as u64 && row.get(at_quantity) == best.quantity {
                continue;
            }
            changed = true;
            out.market.put(event.record(kind::QUOTE, side as u8, 0, [best.price as u64, best.quantity, 0]));
            row.set_quote(side, best);
        }
        self.tally.quote_events += u64::from(changed && out.market.on);
        let [bid, ask] = best.map(|level| level.price);
        let facts = &mut self.facts[at];
        // "No ask" is the largest price there is, so only "no bid" needs a look.
        if bid == PRICE_NONE || bid <= ask {
            facts.bits &= !CROSSED;
        } else if self.config.crossed_check && facts.bits & (TRADING | CROSSED) == TRADING {
            facts.bits |= CROSSED;
            declare(AnomalyCode::Crossed, bid as u64, ask as u64, event, out, counters);
        }
    }
}
