//! Messages about orders: what they do to the book, and what of it shows in the rings and on the row.

use shm_abi::board::{Level, RowUpdate};
use shm_abi::counters::CounterWriter;
use shm_abi::layout::row;
use shm_abi::record::{AnomalyCode, PRICE_NONE, Side, flag, kind};
use wire::itch50::Op;

use super::price;
use super::trades::{Print, print};
use super::{CROSSED, Fate, Feed, InstrumentIds, Io, TRADING, declare, suspect};
use crate::book::{AddError, Book, LevelChange, LevelEvent, NewOrder, OrderFacts, PriceLevel, Taken};
use crate::publish::{Event, NO_SIDE, Out, Outbox};

/// Highest price of the wire, 200,000.0000.
pub(super) const PRICE_MAX: u32 = 2_000_000_000;

/// What an event did to an instrument, for whoever ends it.
#[derive(Debug, Clone, Copy)]
struct Touch {
    instrument: u32,
    side: Side,
    /// The best quote of the side changed.
    quote: bool,
    /// A new best price came, so the book may be crossed now.
    improved: bool,
    /// More was asked of an order than was left: (reference, quantity asked).
    overfill: Option<(u64, u32)>,
}

impl Touch {
    #[inline(always)]
    fn of(change: &LevelChange, position: usize) -> Touch {
        Touch {
            instrument: change.instrument,
            side: change.side,
            quote: position == 0,
            improved: position == 0 && change.event == LevelEvent::Entered,
            overfill: None,
        }
    }
}

impl<I: InstrumentIds> Feed<I> {
    /// `A`, `F`.
    #[inline(always)]
    pub(super) fn add(&mut self, op: &Op, mut event: Event, io: &mut Io<'_>) -> Fate {
        let facts = &mut self.facts[op.locate as usize];
        if !facts.is_known() {
            return self.reject(AnomalyCode::UnknownInstrument, op.locate.into(), op.reference, None, &event, io);
        }
        facts.name(&mut event);
        let Some(side) = Side::from_code(op.side) else {
            return self.reject(AnomalyCode::BadField, op.reference, op.side.into(), Some(op.locate), &event, io);
        };
        let change = match self.book_add(op, op.locate.into(), side, op.reference) {
            Ok(change) => change,
            Err((code, detail)) => return self.reject(code, op.reference, detail, Some(op.locate), &event, io),
        };
        io.out.orders.put(order_record(&event, kind::ADD, side, op.reference, op.price, op.quantity));
        self.show(&change, &event, io);
        Fate::Applied
    }

    /// Puts an order into the book after checking what the book does not know. The error is code and detail of an
    /// anomaly.
    #[inline(always)]
    fn book_add(
        &mut self,
        op: &Op,
        instrument: u32,
        side: Side,
        reference: u64,
    ) -> Result<LevelChange, (AnomalyCode, u64)> {
        if op.price > PRICE_MAX {
            return Err((AnomalyCode::BadField, op.price.into()));
        }
        let new = NewOrder { instrument, side, reference, price: op.price, quantity: op.quantity };
        let change = self.book.add(new).map_err(|error| refusal(error, &self.book))?;
        Ok(change)
    }

    /// `X` takes `quantity`, `D` (none given) all that is left.
    #[inline(always)]
    pub(super) fn cancel(&mut self, op: &Op, mut event: Event, quantity: Option<u32>, io: &mut Io<'_>) -> Fate {
        let Some(slot) = self.book.find(op.reference, op.slot) else {
            return self.unknown_order(op, event, io);
        };
        let taken = match quantity {
            None => self.book.remove(slot),
            Some(0) => {
                let instrument = self.book.order(slot).instrument;
                self.facts[instrument as usize].name(&mut event);
                return self.reject(AnomalyCode::BadField, op.reference, 0, Some(instrument as u16), &event, io);
            }
            Some(quantity) => self.book.take(slot, quantity),
        };
        let Taken { order, quantity: took, overfill, change } = taken;
        self.facts[order.instrument as usize].name(&mut event);
        io.out.orders.put(order_record(&event, kind::CANCEL, order.side, op.reference, order.price, took));
        if overfill {
            self.show_overfill(op, &change, &event, io);
        } else {
            self.show(&change, &event, io);
        }
        Fate::Applied
    }

    #[cold]
    fn show_overfill(&mut self, op: &Op, change: &LevelChange, event: &Event, io: &mut Io<'_>) {
        let Io { out, board, counters } = io;
        let mut row = board.update(self.facts[change.instrument as usize].row as usize);
        let position = self.book.position(change);
        window(&self.book, change, position, self.class(change), event, &mut out.market, &mut row);
        let touch = Touch { overfill: Some((op.reference, op.quantity)), ..Touch::of(change, position) };
        self.end(touch, event, out, counters, row);
    }

    /// Shows a change of one level and ends the event. Beyond the window nothing shows.
    #[inline(always)]
    fn show(&mut self, change: &LevelChange, event: &Event, io: &mut Io<'_>) {
        let position = self.book.position(change);
        let class = self.class(change);
        let Io { out, board, counters } = io;
        if position >= class.max(1) {
            return out.finish();
        }
        let mut row = board.update(self.facts[change.instrument as usize].row as usize);
        window(&self.book, change, position, class, event, &mut out.market, &mut row);
        self.end(Touch::of(change, position), event, out, counters, row);
    }

    #[inline(always)]
    fn class(&self, change: &LevelChange) -> usize {
        self.facts[change.instrument as usize].class.into()
    }

    /// `E`, and `C` with its own print price.
    #[inline(always)]
    pub(super) fn execute(&mut self, op: &Op, mut event: Event, at: Option<u32>, io: &mut Io<'_>) -> Fate {
        let Some(slot) = self.book.find(op.reference, op.slot) else {
            return self.unknown_execution(op, event, at, io);
        };
        if op.quantity == 0 {
            let instrument = self.book.order(slot).instrument;
            self.facts[instrument as usize].name(&mut event);
            return self.reject(AnomalyCode::BadField, op.reference, 0, Some(instrument as u16), &event, io);
        }
        let taken = self.book.take(slot, op.quantity);
        let Taken { order, quantity: took, overfill, change } = taken;
        self.facts[order.instrument as usize].name(&mut event);
        let printed = at.is_none() || op.printable;
        let flags = if printed { 0 } else { flag::NOT_PRINTED };
        let trade = Print { price: at.unwrap_or(order.price), quantity: op.quantity.into(), match_id: op.match_number };
        let code = order.side as u8;
        let Io { out, board, counters } = io;
        if printed {
            out.orders.put(trade.record(&event, code, 0));
        }
        let body = [op.reference, price(order.price) as u64, took.into()];
        out.orders.put(event.record(kind::FILL, code, flags, body));
        out.orders.put(event.record(kind::CANCEL, code, flags, body));
        out.market.put(trade.record(&event, code, flags));
        self.tally.trades += u64::from(out.market.on);
        let mut row = board.update(self.facts[order.instrument as usize].row as usize);
        if printed {
            // An execution is at most 2^32 shares: volume cannot overflow in a day of them, and saturates if it does.
            print(&mut row, &event, &trade);
        }
        let position = self.book.position(&change);
        window(&self.book, &change, position, self.class(&change), &event, &mut out.market, &mut row);
        let overfill = overfill.then_some((op.reference, op.quantity));
        self.end(Touch { overfill, ..Touch::of(&change, position) }, &event, out, counters, row);
        Fate::Applied
    }

    /// `U`: the original leaves, whatever is wrong with the new order; the venue has said that it is gone.
    #[inline(always)]
    pub(super) fn replace(&mut self, op: &Op, mut event: Event, io: &mut Io<'_>) -> Fate {
        let Some(slot) = self.book.find(op.reference, op.slot) else {
            return self.unknown_order(op, event, io);
        };
        let OrderFacts { instrument, side, .. } = self.book.order(slot);
        let before = self.book.best(instrument, side);
        let taken = self.book.remove(slot);
        let Taken { order, quantity: took, change, .. } = taken;
        self.facts[order.instrument as usize].name(&mut event);
        let Io { out, board, counters } = io;
        let class = self.class(&change);
        out.orders.put(order_record(&event, kind::CANCEL, side, op.reference, order.price, took));
        let mut row = board.update(self.facts[instrument as usize].row as usize);
        window(&self.book, &change, self.book.position(&change), class, &event, &mut out.market, &mut row);
        match self.book_add(op, instrument, side, op.new_reference) {
            Ok(change) => {
                out.orders.put(order_record(&event, kind::ADD, side, op.new_reference, op.price, op.quantity));
                window(&self.book, &change, self.book.position(&change), class, &event, &mut out.market, &mut row);
            }
            Err((code, detail)) => {
                declare(code, op.new_reference, detail, &event, out, counters);
                if code == AnomalyCode::DuplicateOrder {
                    suspect(&mut self.facts[instrument as usize], self.quality, &mut row);
                }
            }
        }
        let after = self.book.best(instrument, side);
        let improved = match (before, after) {
            (Some(before), Some(after)) => before.price != after.price,
            _ => after.is_some(),
        };
        let touch = Touch { instrument, side, quote: before != after, improved, overfill: None };
        self.end(touch, &event, out, counters, row);
        Fate::Applied
    }

    /// Ends an event about orders: quote, what is wrong, the row, then the rings.
    #[inline(always)]
    fn end(
        &mut self,
        touch: Touch,
        event: &Event,
        out: &mut Out<'_>,
        counters: &mut CounterWriter,
        mut row: RowUpdate<'_>,
    ) {
        let Touch { instrument, side, .. } = touch;
        if touch.quote {
            let best = self.book.best(instrument, side).map_or(NO_LEVEL, board_level);
            let body = [best.price as u64, best.quantity, best.orders.into()];
            out.market.put(event.record(kind::QUOTE, side as u8, 0, body));
            row.set_quote(side, best);
            self.tally.quote_events += u64::from(out.market.on);
        }
        let facts = &mut self.facts[instrument as usize];
        if let Some((reference, asked)) = touch.overfill {
            declare(AnomalyCode::Overfill, reference, asked.into(), event, out, counters);
            suspect(facts, self.quality, &mut row);
        }
        if touch.improved || facts.bits & CROSSED != 0 {
            self.check_crossed(instrument, &row, event, out, counters);
        }
        out.finish_with_row(event, row);
    }

    /// Declares a book that has become crossed in continuous trading, once.
    fn check_crossed(
        &mut self,
        instrument: u32,
        row: &RowUpdate<'_>,
        event: &Event,
        out: &mut Out<'_>,
        counters: &mut CounterWriter,
    ) {
        let facts = &mut self.facts[instrument as usize];
        if !self.config.crossed_check || facts.bits & TRADING == 0 {
            return;
        }
        // From the row, whose line is at hand; the book keeps the other side in a line of its own. "No ask" is the
        // largest price there is, so only "no bid" needs a look.
        let (bid, ask) = (row.get(row::BID_PRICE) as i64, row.get(row::ASK_PRICE) as i64);
        if bid == PRICE_NONE || bid <= ask {
            facts.bits &= !CROSSED;
        } else if facts.bits & CROSSED == 0 {
            facts.bits |= CROSSED;
            declare(AnomalyCode::Crossed, bid as u64, ask as u64, event, out, counters);
        }
    }

    /// A message about an order that is not in the book.
    #[cold]
    fn unknown_order(&mut self, op: &Op, mut event: Event, io: &mut Io<'_>) -> Fate {
        let facts = &self.facts[op.locate as usize];
        if facts.is_known() {
            facts.name(&mut event);
        }
        self.reject(AnomalyCode::UnknownOrder, op.reference, 0, Some(op.locate), &event, io)
    }

    /// An execution of an order that is not in the book: its volume counts, and a print with a price is a trade.
    #[cold]
    fn unknown_execution(&mut self, op: &Op, mut event: Event, at: Option<u32>, io: &mut Io<'_>) -> Fate {
        let facts = self.facts[op.locate as usize];
        if facts.is_known() {
            facts.name(&mut event);
            let mut row = io.board.update(facts.row as usize);
            let quantity = u64::from(op.quantity);
            match at {
                Some(price) => {
                    let trade = Print { price, quantity, match_id: op.match_number };
                    let flags = if op.printable { 0 } else { flag::NOT_PRINTED };
                    io.out.market.put(trade.record(&event, NO_SIDE, flags));
                    self.tally.trades += u64::from(io.out.market.on);
                    if op.printable {
                        io.out.orders.put(trade.record(&event, NO_SIDE, 0));
                        print(&mut row, &event, &trade);
                    }
                }
                None => row.set(row::VOLUME, row.get(row::VOLUME).saturating_add(quantity)),
            }
        }
        self.reject(AnomalyCode::UnknownOrder, op.reference, 0, Some(op.locate), &event, io)
    }
}

/// Code and detail of the anomaly that a refused order is.
#[cold]
fn refusal(error: AddError, book: &Book) -> (AnomalyCode, u64) {
    match error {
        AddError::Duplicate => (AnomalyCode::DuplicateOrder, 0),
        AddError::BadField => (AnomalyCode::BadField, 0),
        AddError::UnknownInstrument => (AnomalyCode::UnknownInstrument, 0),
        AddError::OrdersFull => (AnomalyCode::TableFull, book.order_limit() as u64),
        AddError::LevelsFull => (AnomalyCode::TableFull, book.level_limit() as u64),
    }
}

#[inline(always)]
fn order_record(event: &Event, kind: u8, side: Side, reference: u64, raw: u32, quantity: u32) -> [u64; 7] {
    event.record(kind, side as u8, 0, [reference, price(raw) as u64, quantity.into()])
}

/// An empty side's best level.
const NO_LEVEL: Level = Level { price: PRICE_NONE, quantity: 0, orders: 0 };

#[inline(always)]
fn board_level(level: PriceLevel) -> Level {
    Level { price: price(level.price), quantity: level.quantity, orders: level.orders }
}

#[inline(always)]
fn level_record(event: &Event, side: Side, level: Level, position: usize) -> [u64; 7] {
    let place = u64::from(level.orders) | (position as u64) << 32;
    event.record(kind::LEVEL, side as u8, 0, [level.price as u64, level.quantity, place])
}

/// Keeps the window in step with a change of the book: on the row, and as records by which a reader keeps its own.
#[inline(always)]
fn window(
    book: &Book,
    change: &LevelChange,
    position: usize,
    class: usize,
    event: &Event,
    market: &mut Outbox<'_>,
    row: &mut RowUpdate<'_>,
) {
    if position >= class {
        return;
    }
    let LevelChange { instrument, side, quantity, orders, .. } = *change;
    let level = Level { price: price(change.price), quantity, orders };
    match change.event {
        LevelEvent::Changed => row.change_level(side, position, level),
        LevelEvent::Entered => {
            if let Some(out) = book.price_at(instrument, side, class) {
                let out = Level { price: price(out), quantity: 0, orders: 0 };
                market.put(level_record(event, side, out, class - 1));
            }
            row.insert_level(side, position, level);
        }
        LevelEvent::Left => {
            let entering = book.level(instrument, side, class - 1).map(board_level);
            row.remove_level(side, position, entering);
            if let Some(entering) = entering {
                market.put(level_record(event, side, level, position));
                return market.put(level_record(event, side, entering, class - 1));
            }
        }
    }
    market.put(level_record(event, side, level, position));
}
