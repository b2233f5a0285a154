//! Messages about orders: what they do to the book, and what of it shows in the rings and on the row.

use shm_abi::board::{Level, RowUpdate};
use shm_abi::counters::CounterWriter;
use shm_abi::layout::row;
use shm_abi::record::{AnomalyCode, PRICE_NONE, Price, Side, flag, kind};
use wire::dialect::{Op, OpKind};

use super::trades::print_of;
use super::{CROSSED, Facts, Fate, Feed, InstrumentIds, Io, TRADING, declare, suspect};
use crate::book::{AddError, Book, LevelChange, LevelEvent, NewOrder, OrderFacts, PriceLevel, Taken};
use crate::day::{Print, print};
use crate::publish::{Event, NO_SIDE, Out, Outbox};
use crate::window;

/// Highest price of Nasdaq's wire, 200,000.0000.
pub(super) const NASDAQ_PRICE_MAX: u32 = 2_000_000_000;

/// Largest quantity of an order: the book keeps 32 bits of it, and no venue has more. A larger one is refused.
const QUANTITY_MAX: u64 = u32::MAX as u64;

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
    overfill: Option<(u64, u64)>,
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

/// What an operation has done to the book, to be shown.
#[derive(Debug, Clone, Copy)]
pub(super) struct Done {
    change: LevelChange,
    /// More was asked of an order than was left: (reference, quantity asked).
    overfill: Option<(u64, u64)>,
    /// An execution, and what of it counts in the day's statistics.
    executed: bool,
    printed: Option<Print>,
}

impl<I: InstrumentIds> Feed<I> {
    /// `A`, `F`.
    #[inline(always)]
    pub(super) fn add(&mut self, op: &Op, at: u32, event: &mut Event, io: &mut Io<'_>) -> Result<Done, Fate> {
        let facts = self.facts[at as usize];
        if !facts.is_known() {
            return Err(self.reject(AnomalyCode::UnknownInstrument, op.locate.into(), op.reference, None, event, io));
        }
        facts.name(event);
        let Some(side) = Side::from_code(op.side) else {
            return Err(self.reject(AnomalyCode::BadField, op.reference, op.side.into(), Some(at), event, io));
        };
        let change = match self.book_add(op, at, side, op.reference) {
            Ok(change) => change,
            Err((code, detail)) => return Err(self.reject(code, op.reference, detail, Some(at), event, io)),
        };
        io.out.orders.put(order_record(event, kind::ADD, side, op.reference, facts.price(change.price), op.quantity));
        Ok(Done { change, overfill: None, executed: false, printed: None })
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
        if op.price > self.price_max || op.quantity > QUANTITY_MAX {
            return self.book_add_odd(op, instrument, side, reference);
        }
        let new = NewOrder { instrument, side, reference, price: op.price, quantity: op.quantity as u32 };
        let change = self.book.add(new).map_err(|error| refusal(error, &self.book))?;
        Ok(change)
    }

    /// An order without a price, or one that the book cannot hold: then the book of its instrument is not whole.
    #[cold]
    #[inline(never)]
    fn book_add_odd(
        &mut self,
        op: &Op,
        instrument: u32,
        side: Side,
        reference: u64,
    ) -> Result<LevelChange, (AnomalyCode, u64)> {
        if op.quantity > QUANTITY_MAX {
            self.facts[instrument as usize].bits |= flag::SUSPECT;
            return Err((AnomalyCode::BadField, op.quantity));
        }
        if !self.dialect.is_no_price(op.price) {
            return Err((AnomalyCode::BadField, op.price.into()));
        }
        let new = NewOrder { instrument, side, reference, price: op.price, quantity: op.quantity as u32 };
        self.book.add_unpriced(new).map_err(|error| refusal(error, &self.book))
    }

    /// `X`, `D`, `E` and `C`: all or a part of an order leaves. One path for the four of them keeps the hot code small
    /// enough for the processor's instruction cache.
    #[inline(always)]
    pub(super) fn leave(&mut self, op: &Op, at: u32, event: &mut Event, io: &mut Io<'_>) -> Result<Done, Fate> {
        let executed = matches!(op.kind, OpKind::Execute | OpKind::ExecutePrice);
        let Some(slot) = self.book.find(op.reference, op.slot) else {
            return Err(match executed {
                true => self.unknown_execution(op, at, *event, io),
                false => self.unknown_order(op, at, *event, io),
            });
        };
        let whole = op.kind == OpKind::Delete;
        let asked = if whole { u64::MAX } else { op.quantity };
        if asked == 0 || executed && asked > QUANTITY_MAX {
            let instrument = self.book.order(slot).instrument;
            self.facts[instrument as usize].name(event);
            return Err(self.reject(AnomalyCode::BadField, op.reference, asked, Some(instrument), event, io));
        }
        let Taken { order, quantity: took, overfill, change } = self.book.take(slot, asked);
        let facts = self.facts[order.instrument as usize];
        facts.name(event);
        let price = facts.price(order.price);
        let overfill = (overfill && !whole).then_some((op.reference, asked));
        if !executed {
            io.out.orders.put(order_record(event, kind::CANCEL, order.side, op.reference, price, took.into()));
            return Ok(Done { change, overfill, executed, printed: None });
        }
        let printed = self.execution(op, &order, price, took, event, io);
        Ok(Done { change, overfill, executed, printed })
    }

    /// The records of an execution: what of it counts. `C` has a print price of its own. An order without a price that is
    /// executed at its own leaves the price of the trade open: its quantity alone counts.
    #[inline(always)]
    fn execution(
        &mut self,
        op: &Op,
        order: &OrderFacts,
        own_price: Price,
        took: u32,
        event: &Event,
        io: &mut Io<'_>,
    ) -> Option<Print> {
        let at_print = op.kind == OpKind::ExecutePrice;
        let price = if at_print { self.facts[order.instrument as usize].price(op.price) } else { own_price };
        let trade = print_of(price, op.quantity, op.match_number);
        let mut printed = !at_print || op.printable;
        let Io { out, counters, .. } = io;
        if printed && self.prints.is_on() {
            printed = self.counts(order.instrument, &trade, event, out, counters);
        }
        let flags = if printed { 0 } else { flag::NOT_PRINTED };
        let code = order.side as u8;
        if printed {
            out.orders.put(trade.record(event, code, 0));
        }
        let body = [op.reference, own_price as u64, took.into()];
        out.orders.put(event.record(kind::FILL, code, flags, body));
        out.orders.put(event.record(kind::CANCEL, code, flags, body));
        out.market.put(trade.record(event, code, flags));
        self.tally.trades += u64::from(out.market.on);
        printed.then_some(trade)
    }

    /// Shows what was done and ends the event. Beyond the window a change of a level shows nowhere.
    #[inline(always)]
    pub(super) fn show(&mut self, done: &Done, event: &Event, io: &mut Io<'_>) {
        let Done { change, overfill, executed, printed } = done;
        let position = self.book.position(change);
        let facts = self.facts[change.instrument as usize];
        let Io { out, board, counters } = io;
        if position >= usize::from(facts.class).max(1) && !executed && overfill.is_none() {
            return out.finish();
        }
        let mut row = board.update(facts.row as usize);
        if let Some(trade) = printed {
            // An execution is at most 2^32 shares: volume cannot overflow in a day of them, and saturates if it does.
            print(&mut row, event.ts_event, trade);
        }
        keep_window(&self.book, change, position, &facts, event, &mut out.market, &mut row);
        self.end(Touch { overfill: *overfill, ..Touch::of(change, position) }, event, out, counters, row);
    }

    /// `U`: the original leaves, whatever is wrong with the new order; the venue has said that it is gone. It changes the
    /// book twice, so it has a path of its own, out of the others' way.
    #[inline(never)]
    pub(super) fn replace(&mut self, op: &Op, at: u32, mut event: Event, io: &mut Io<'_>) -> Fate {
        let Some(slot) = self.book.find(op.reference, op.slot) else {
            return self.unknown_order(op, at, event, io);
        };
        let OrderFacts { instrument, side, .. } = self.book.order(slot);
        let before = self.book.best(instrument, side);
        let taken = self.book.remove(slot);
        let Taken { order, quantity: took, change, .. } = taken;
        let facts = self.facts[instrument as usize];
        facts.name(&mut event);
        let Io { out, board, counters } = io;
        let price = facts.price(order.price);
        out.orders.put(order_record(&event, kind::CANCEL, side, op.reference, price, took.into()));
        let mut row = board.update(facts.row as usize);
        keep_window(&self.book, &change, self.book.position(&change), &facts, &event, &mut out.market, &mut row);
        match self.book_add(op, instrument, side, op.new_reference) {
            Ok(change) => {
                let price = facts.price(change.price);
                out.orders.put(order_record(&event, kind::ADD, side, op.new_reference, price, op.quantity));
                keep_window(
                    &self.book,
                    &change,
                    self.book.position(&change),
                    &facts,
                    &event,
                    &mut out.market,
                    &mut row,
                );
            }
            Err((code, detail)) => {
                declare(code, op.new_reference, detail, &event, out, counters);
                if code == AnomalyCode::DuplicateOrder || self.facts[instrument as usize].bits & flag::SUSPECT != 0 {
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
            let facts = &self.facts[instrument as usize];
            let best = self.book.best(instrument, side).map_or(NO_LEVEL, |level| board_level(level, facts));
            let body = [best.price as u64, best.quantity, best.orders.into()];
            out.market.put(event.record(kind::QUOTE, side as u8, 0, body));
            row.set_quote(side, best);
            self.tally.quote_events += u64::from(out.market.on);
        }
        let facts = &mut self.facts[instrument as usize];
        if let Some((reference, asked)) = touch.overfill {
            declare(AnomalyCode::Overfill, reference, asked, event, out, counters);
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
    #[inline(never)]
    fn unknown_order(&mut self, op: &Op, at: u32, mut event: Event, io: &mut Io<'_>) -> Fate {
        let facts = &self.facts[at as usize];
        if facts.is_known() {
            facts.name(&mut event);
        }
        self.reject(AnomalyCode::UnknownOrder, op.reference, 0, Some(at), &event, io)
    }

    /// An execution of an order that is not in the book: its volume counts, and a print with a price is a trade. Where
    /// the message names no instrument, nobody knows whose volume it is.
    #[cold]
    #[inline(never)]
    fn unknown_execution(&mut self, op: &Op, at: u32, mut event: Event, io: &mut Io<'_>) -> Fate {
        let print_at = (op.kind == OpKind::ExecutePrice).then_some(op.price);
        let facts = self.facts[at as usize];
        if facts.is_known() && op.quantity <= QUANTITY_MAX {
            facts.name(&mut event);
            let Io { out, board, counters } = io;
            let mut row = board.update(facts.row as usize);
            match print_at {
                Some(raw) => {
                    let trade = print_of(facts.price(raw), op.quantity, op.match_number);
                    let mut printed = op.printable;
                    if printed && self.prints.is_on() {
                        printed = self.counts(at, &trade, &event, out, counters);
                    }
                    let flags = if printed { 0 } else { flag::NOT_PRINTED };
                    out.market.put(trade.record(&event, NO_SIDE, flags));
                    self.tally.trades += u64::from(out.market.on);
                    if printed {
                        out.orders.put(trade.record(&event, NO_SIDE, 0));
                        print(&mut row, event.ts_event, &trade);
                    }
                }
                None => row.set(row::VOLUME, row.get(row::VOLUME).saturating_add(op.quantity)),
            }
        }
        self.reject(AnomalyCode::UnknownOrder, op.reference, 0, Some(at), &event, io)
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
fn order_record(event: &Event, kind: u8, side: Side, reference: u64, price: Price, quantity: u64) -> [u64; 7] {
    event.record(kind, side as u8, 0, [reference, price as u64, quantity])
}

/// An empty side's best level.
const NO_LEVEL: Level = Level { price: PRICE_NONE, quantity: 0, orders: 0 };

#[inline(always)]
fn board_level(level: PriceLevel, facts: &Facts) -> Level {
    Level { price: facts.price(level.price), quantity: level.quantity, orders: level.orders }
}

/// Keeps an instrument's window in step with a change of its book.
#[inline(always)]
fn keep_window(
    book: &Book,
    change: &LevelChange,
    position: usize,
    facts: &Facts,
    event: &Event,
    market: &mut Outbox<'_>,
    row: &mut RowUpdate<'_>,
) {
    let place = window::Place { position, class: facts.class.into() };
    window::keep(book, change, place, |level| board_level(level, facts), event, market, row);
}
