//! What the X-stream family (DSE, Japannext) tells beside orders, read by role: phases and clears, official and indicative
//! prices, trades and their breaks, quotes, index values, news.
//!
//! Source: shared document "dse-itch", special cases.

use shm_abi::board::{Level, RowUpdate};
use shm_abi::directory::Text;
use shm_abi::layout::row;
use shm_abi::record::{
    AnomalyCode, Indicative, PRICE_NONE, Price, QUANTITY_NONE, Side, StatusCause, TradingStatus, clear_code, flag,
    indicative_body, kind, official_code, status_body,
};
use shm_abi::segment::LaneWriter;
use wire::dialect::{Event as Means, Role, View};

use super::clock::SECONDS_MAX;
use super::prints::{Kept, NO_PRINT};
use super::status::{phase_status, reason, set_status};
use super::ticks::{Of, TICK_ROWS_LIMIT};
use super::trades::print_of;
use super::{Fate, Feed, FeedRole, InstrumentIds, Io, KNOWN, SIDES, quality_of};
use crate::day::{self, print};
use crate::publish::{Event, NO_SIDE};

/// Most boards whose phase is kept for orderbooks that are announced later.
const BOARDS_LIMIT: usize = 64;
/// Most prints of an instrument that are looked through for its open, high and low when one of them is broken.
const BREAK_WALK_LIMIT: usize = 1 << 16;

/// Phases of boards.
#[derive(Debug, Default)]
pub(super) struct Boards {
    phases: Vec<(Text<8>, u8)>,
}

impl Boards {
    pub(super) fn phase_of(&self, board: &Text<8>) -> Option<u8> {
        self.phases.iter().find(|(name, _)| name == board).map(|(_, phase)| *phase)
    }

    /// `false`: there is no room.
    fn set(&mut self, board: Text<8>, phase: u8) -> bool {
        if let Some(known) = self.phases.iter_mut().find(|(name, _)| *name == board) {
            known.1 = phase;
            return true;
        }
        let room = self.phases.len() < BOARDS_LIMIT;
        if room {
            self.phases.push((board, phase));
        }
        room
    }

    pub(super) fn clear(&mut self) {
        self.phases.clear();
    }
}

/// Whom a system event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    All,
    Board(Text<8>),
    /// Index of an orderbook.
    One(u32),
}

impl<I: InstrumentIds> Feed<I> {
    pub(super) fn xstream(&mut self, bytes: &[u8], at: u32, event: Event, lane: &mut LaneWriter) -> Fate {
        let Ok(view) = self.dialect.view(bytes) else {
            let mut io = self.begin(&event, lane);
            let letter = bytes.first().copied().unwrap_or(0);
            return self.reject(AnomalyCode::Malformed, letter.into(), bytes.len() as u64, None, &event, &mut io);
        };
        self.tally.extended += u64::from(view.extended());
        match view.event() {
            Means::Orderbook => return self.orderbook(&view, event, lane),
            Means::SystemEvent => return self.phase_event(&view, at, event, lane),
            _ => {}
        }
        let mut io = self.begin(&event, lane);
        let io = &mut io;
        match view.event() {
            Means::Timestamp => self.time_stamp(&view, &event, io),
            Means::News => self.news(&view, at, event, io),
            Means::BrokenTrade => self.broken_print(&view, event, io),
            Means::PriceTick => self.tick_row(Of::Prices, &view, event, io),
            Means::QuantityTick => self.tick_row(Of::Quantities, &view, event, io),
            Means::Company => self.market_wide(&view, event, io),
            means => self.about_one(means, &view, at, event, io),
        }
    }

    /// What names an orderbook. Of one whose row is another feed's, that feed tells.
    fn about_one(&mut self, means: Means, view: &View<'_>, at: u32, mut event: Event, io: &mut Io<'_>) -> Fate {
        let facts = self.facts[at as usize];
        if facts.bits & KNOWN == 0 {
            let (locate, letter) = (view.u32(Role::Orderbook).unwrap_or(0), view.message_type());
            return self.reject(AnomalyCode::UnknownInstrument, locate.into(), letter.into(), None, &event, io);
        }
        if !facts.is_known() {
            io.out.finish();
            return Fate::Applied;
        }
        facts.name(&mut event);
        match means {
            Means::TradingAction => self.state(StatusCause::TradingAction, view, at, event, io),
            Means::ShortSale => self.state(StatusCause::ShortSale, view, at, event, io),
            Means::ReferencePrice => self.official(official_code::REFERENCE, row::PREVIOUS_CLOSE, view, at, event, io),
            Means::ClosePrice => self.official(official_code::CLOSE, row::CLOSE, view, at, event, io),
            Means::Indicative => self.indicative(view, at, event, io),
            Means::Trade => self.trade(view, at, event, io),
            Means::BestQuote => self.best_quote(view, at, event, io),
            Means::IndexValue => self.index_value(view, at, event, io),
            _ => self.verbatim(view.as_bytes(), at, event, io),
        }
    }

    /// A price of the wire: [`PRICE_NONE`] where it says that there is none.
    fn wire_price(&self, at: u32, raw: u32) -> Result<Price, u64> {
        match raw {
            raw if self.dialect.is_no_price(raw) => Ok(PRICE_NONE),
            raw if raw > self.price_max => Err(raw.into()),
            raw => Ok(self.facts[at as usize].price(raw)),
        }
    }

    /// The price in a role; one that the form lacks is none.
    fn price_in(&self, view: &View<'_>, role: Role, at: u32) -> Result<Price, u64> {
        view.u32(role).map_or(Ok(PRICE_NONE), |raw| self.wire_price(at, raw))
    }

    fn bad_field(&mut self, view: &View<'_>, value: u64, at: u32, event: &Event, io: &mut Io<'_>) -> Fate {
        self.reject(AnomalyCode::BadField, view.message_type().into(), value, Some(at), event, io)
    }

    /// `T`: the second of all that follows.
    fn time_stamp(&mut self, view: &View<'_>, event: &Event, io: &mut Io<'_>) -> Fate {
        let seconds = view.u32(Role::Seconds).unwrap_or(0);
        if seconds > SECONDS_MAX {
            let event = Event { ts_event: 0, ..*event };
            return self.reject(AnomalyCode::BadField, b'T'.into(), seconds.into(), None, &event, io);
        }
        self.clock.set_seconds(seconds);
        io.out.finish();
        Fate::Applied
    }

    fn tick_row(&mut self, of: Of, view: &View<'_>, event: Event, io: &mut Io<'_>) -> Fate {
        let number = |role| view.u64(role).unwrap_or(0);
        let table = view.u32(Role::TableId).unwrap_or(0);
        if !self.ticks.put(of, table, number(Role::TickStart), number(Role::Tick)) {
            let limit = TICK_ROWS_LIMIT as u64;
            return self.reject(AnomalyCode::TableFull, table.into(), limit, None, &event, io);
        }
        self.market_wide(view, event, io)
    }

    /// About the whole market, verbatim: told by the feed that has the market's instruments.
    fn market_wide(&mut self, view: &View<'_>, event: Event, io: &mut Io<'_>) -> Fate {
        if matches!(self.config.role, FeedRole::All | FeedRole::Market) {
            // Nobody's index: the last of the facts is never announced.
            let nobody = self.facts.len() as u32 - 1;
            return self.verbatim(view.as_bytes(), nobody, event, io);
        }
        io.out.finish();
        Fate::Applied
    }

    /// `H`, and Japannext's `Y`. Letters that nobody documents are published as they are.
    fn state(&mut self, cause: StatusCause, view: &View<'_>, at: u32, event: Event, io: &mut Io<'_>) -> Fate {
        let letter = view.letter(Role::State).unwrap_or(0);
        let phase = self.phase_of(at);
        let facts = &mut self.facts[at as usize];
        if cause == StatusCause::TradingAction {
            facts.state = letter;
        }
        let mut row = io.board.update(facts.row as usize);
        let status = set_status(facts, phase, &mut row);
        let body = status_body(cause, letter, reason(view.bytes(Role::Reason).unwrap_or_default()));
        io.out.market.put(event.record(kind::STATUS, status as u8, 0, body));
        io.out.finish_with_row(&event, row);
        Fate::Applied
    }

    /// `S`: the phase of all, of a board, or of one orderbook. The first and the last message of a day also clear books:
    /// the venue deletes no orders then.
    fn phase_event(&mut self, view: &View<'_>, at: u32, event: Event, lane: &mut LaneWriter) -> Fate {
        let letter = view.letter(Role::EventCode).unwrap_or(0);
        let board = Text::new(view.bytes(Role::Group).unwrap_or_default());
        let scope = match view.u32(Role::Orderbook) {
            None | Some(0) if board.as_str().is_empty() => Scope::All,
            None | Some(0) => Scope::Board(board),
            Some(locate) if self.facts[at as usize].bits & KNOWN == 0 => {
                let mut io = self.begin(&event, lane);
                let code = AnomalyCode::UnknownInstrument;
                return self.reject(code, locate.into(), b'S'.into(), None, &event, &mut io);
            }
            Some(_) => Scope::One(at),
        };
        match letter {
            b'O' => self.clear_scope(scope, clear_code::DAY, &event, lane),
            b'C' => self.clear_scope(scope, clear_code::BOOK, &event, lane),
            _ => {}
        }
        let status = phase_status(letter);
        // What an undocumented letter means for trading is not known: the phase stays.
        let known = status != TradingStatus::Unknown;
        let mut io = self.begin(&event, lane);
        let io = &mut io;
        match scope {
            Scope::All if known => {
                self.phase = letter;
                self.boards.clear();
            }
            Scope::Board(board) if known && !self.boards.set(board, letter) => {
                let limit = BOARDS_LIMIT as u64;
                super::declare(AnomalyCode::TableFull, b'S'.into(), limit, &event, &mut io.out, io.counters);
            }
            _ => {}
        }
        let mut event = event;
        if let Scope::One(at) = scope {
            self.facts[at as usize].name(&mut event);
        }
        let body = status_body(StatusCause::SystemEvent, letter, reason(view.bytes(Role::Group).unwrap_or_default()));
        io.out.market.put(event.record(kind::STATUS, status as u8, 0, body));
        io.out.orders.close();
        let market_n = io.out.market.close();
        for (at, facts) in (0..).zip(self.facts.iter_mut()).filter(|(_, facts)| facts.bits & KNOWN != 0) {
            let orderbook = &mut self.orderbooks[at as usize];
            if known && in_scope(scope, at, &orderbook.board) {
                orderbook.phase = letter;
            }
            if facts.is_known() {
                let mut row = io.board.update(facts.row as usize);
                set_status(facts, orderbook.phase, &mut row);
                event.stamp_row(&mut row, market_n);
            }
        }
        io.out.commit();
        Fate::Applied
    }

    /// Clears what is in scope and has anything to clear. Each clear is an event of its own before that of the message,
    /// and carries the number before the message's: who is killed between them begins with the message again.
    fn clear_scope(&mut self, scope: Scope, code: u8, event: &Event, lane: &mut LaneWriter) {
        let known = self.known(event.sequence);
        let before = match self.imaging {
            true => *event,
            false => event.with_sequence(event.sequence.saturating_sub(1)),
        };
        for at in 0..self.facts.len() - 1 {
            let facts = self.facts[at];
            if facts.bits & KNOWN == 0 || !in_scope(scope, at as u32, &self.orderbooks[at].board) {
                continue;
            }
            if code == clear_code::DAY {
                self.orderbooks[at].last_print = NO_PRINT;
            }
            if !facts.is_known() {
                continue;
            }
            let suspect = facts.bits & flag::SUSPECT != 0 && !self.imaging;
            let mut dirty = suspect || self.book.orders_of(at as u32) > 0;
            if code == clear_code::DAY {
                let row = lane.board.update(facts.row as usize);
                let prices = [row::LAST_PRICE, row::CLOSE, row::BID_PRICE, row::ASK_PRICE];
                dirty |= row.get(row::VOLUME) > 0 || prices.iter().any(|word| row.get(*word) as i64 != PRICE_NONE);
            }
            if suspect {
                self.facts[at].bits &= !flag::SUSPECT;
            }
            if dirty {
                self.clear_book(at, before, code, known, lane);
            }
        }
        if scope == Scope::All {
            if code == clear_code::DAY {
                self.prints.clear();
            }
            if !self.imaging {
                self.trust.mend(!known.everywhere, &mut lane.counters);
            }
        }
    }

    /// `A` and `Q` that are no order and no trade.
    fn official(&mut self, code: u8, word: usize, view: &View<'_>, at: u32, event: Event, io: &mut Io<'_>) -> Fate {
        let price = match self.price_in(view, Role::Price, at) {
            Ok(price) => price,
            Err(value) => return self.bad_field(view, value, at, &event, io),
        };
        io.out.market.put(event.record(kind::OFFICIAL_PRICE, code, 0, [price as u64, 0, 0]));
        let mut row = io.board.update(self.facts[at as usize].row as usize);
        row.set(word, price as u64);
        io.out.finish_with_row(&event, row);
        Fate::Applied
    }

    /// `I`.
    fn indicative(&mut self, view: &View<'_>, at: u32, event: Event, io: &mut Io<'_>) -> Fate {
        let roles = [Role::Price, Role::BestBid, Role::BestOffer];
        let [price, best_bid, best_offer] = match roles.map(|role| self.price_in(view, role, at)) {
            [Ok(price), Ok(bid), Ok(offer)] => [price, bid, offer],
            [Err(value), ..] | [_, Err(value), _] | [.., Err(value)] => {
                return self.bad_field(view, value, at, &event, io);
            }
        };
        let quantity = view.u64(Role::Quantity).unwrap_or(0);
        let body = indicative_body(&Indicative { price, quantity, best_bid, best_offer });
        let auction = view.letter(Role::CrossType).unwrap_or(0);
        io.out.market_last_span(&event, kind::INDICATIVE, auction, &body);
        self.finish_for(at, &event, io)
    }

    /// `Q`: a trade against no order of the book.
    fn trade(&mut self, view: &View<'_>, at: u32, event: Event, io: &mut Io<'_>) -> Fate {
        let (quantity, match_id) = (view.u64(Role::Quantity).unwrap_or(0), view.u64(Role::MatchNumber).unwrap_or(0));
        let facts = self.facts[at as usize];
        let volume = io.board.update(facts.row as usize).get(row::VOLUME);
        // A volume that overflows is not a volume.
        let counted = quantity > 0 && volume.checked_add(quantity).is_some();
        let price = match self.price_in(view, Role::Price, at) {
            Ok(price) if counted => price,
            Ok(_) => return self.bad_field(view, quantity, at, &event, io),
            Err(value) => return self.bad_field(view, value, at, &event, io),
        };
        let trade = print_of(price, quantity, match_id);
        let mut printed = view.letter(Role::Printable) != Some(b'N');
        let Io { out, board, counters } = io;
        if printed && self.prints.is_on() {
            printed = self.counts(at, &trade, &event, out, counters);
        }
        out.both(trade.record(&event, NO_SIDE, if printed { 0 } else { flag::NOT_PRINTED }));
        self.tally.trades += u64::from(out.market.on);
        let mut row = board.update(facts.row as usize);
        if printed {
            print(&mut row, event.ts_event, &trade);
        }
        out.finish_with_row(&event, row);
        Fate::Applied
    }

    /// `B`: a print is void. It is taken out of the day again: volume, turnover, count, and where it was the last, the
    /// first, the highest or the lowest, that too.
    fn broken_print(&mut self, view: &View<'_>, mut event: Event, io: &mut Io<'_>) -> Fate {
        let match_id = view.u64(Role::MatchNumber).unwrap_or(0);
        let Some(broken) = self.prints.break_one(match_id) else {
            // Not a print that counted, or broken before: there is nothing to take out.
            io.out.both(event.record(kind::TRADE_BREAK, NO_SIDE, 0, [match_id, PRICE_NONE as u64, QUANTITY_NONE]));
            io.out.finish();
            return Fate::Applied;
        };
        let facts = self.facts[broken.at as usize];
        facts.name(&mut event);
        let body = [match_id, broken.price as u64, broken.quantity];
        io.out.both(event.record(kind::TRADE_BREAK, NO_SIDE, 0, body));
        let mut row = io.board.update(facts.row as usize);
        self.take_out(&mut row, match_id, &broken);
        io.out.finish_with_row(&event, row);
        Fate::Applied
    }

    fn take_out(&self, row: &mut RowUpdate<'_>, match_id: u64, broken: &Kept) {
        day::take_out(row, broken.price, broken.quantity);
        if broken.price == PRICE_NONE {
            return;
        }
        let left = || {
            let last = self.orderbooks[broken.at as usize].last_print;
            self.prints.counting(last).filter(|(_, kept)| kept.price != PRICE_NONE)
        };
        if row.get(row::LAST_MATCH) == match_id && row.get(row::LAST_TS) == broken.ts_event {
            let (match_id, last) = left().next().map_or((0, None), |(match_id, kept)| (match_id, Some(kept)));
            row.set(row::LAST_PRICE, last.map_or(PRICE_NONE, |kept| kept.price) as u64);
            row.set(row::LAST_QUANTITY, last.map_or(0, |kept| kept.quantity));
            row.set(row::LAST_MATCH, match_id);
            row.set(row::LAST_TS, last.map_or(0, |kept| kept.ts_event));
        }
        let range = [row::OPEN, row::HIGH, row::LOW];
        if range.iter().all(|word| row.get(*word) as i64 != broken.price) || left().count() > BREAK_WALK_LIMIT {
            return;
        }
        for word in range {
            row.set(word, PRICE_NONE as u64);
        }
        for (_, kept) in left() {
            // The newest come first: the oldest has the last word on the open.
            row.set(row::OPEN, PRICE_NONE as u64);
            day::range(row, kept.price);
        }
    }

    /// `O`, of a feed without orders. Where there are orders, the book knows better, and the message goes on as it is.
    fn best_quote(&mut self, view: &View<'_>, at: u32, event: Event, io: &mut Io<'_>) -> Fate {
        if self.book.orders_of(at) > 0 {
            return self.verbatim(view.as_bytes(), at, event, io);
        }
        let sides = [(Role::BestBid, Role::BidQuantity), (Role::BestOffer, Role::OfferQuantity)];
        let mut levels = [Level { price: PRICE_NONE, quantity: 0, orders: 0 }; 2];
        for (level, (price, quantity)) in levels.iter_mut().zip(sides) {
            let quantity = view.u64(quantity).unwrap_or(0);
            match self.price_in(view, price, at) {
                Ok(price) if price != PRICE_NONE && quantity > 0 => *level = Level { price, quantity, orders: 0 },
                Ok(_) => {}
                Err(value) => return self.bad_field(view, value, at, &event, io),
            }
        }
        let mut row = io.board.update(self.facts[at as usize].row as usize);
        let mut changed = false;
        for (side, level) in SIDES.into_iter().zip(levels) {
            let words = match side {
                Side::Bid => [row::BID_PRICE, row::BID_QUANTITY],
                Side::Ask => [row::ASK_PRICE, row::ASK_QUANTITY],
            };
            if words.map(|word| row.get(word)) != [level.price as u64, level.quantity] {
                let body = [level.price as u64, level.quantity, 0];
                io.out.market.put(event.record(kind::QUOTE, side as u8, 0, body));
                row.set_quote(side, level);
                changed = true;
            }
        }
        self.tally.quote_events += u64::from(changed && io.out.market.on);
        io.out.finish_with_row(&event, row);
        Fate::Applied
    }

    /// `Z`: on the row a last price without a trade.
    fn index_value(&mut self, view: &View<'_>, at: u32, event: Event, io: &mut Io<'_>) -> Fate {
        let raw = view.u64(Role::IndexValue).unwrap_or(0);
        let facts = self.facts[at as usize];
        let value = i64::try_from(raw).ok().and_then(|raw| raw.checked_mul(facts.scale.into()));
        let Some(value) = value.filter(|value| *value != PRICE_NONE) else {
            return self.bad_field(view, raw, at, &event, io);
        };
        io.out.market.put(event.record(kind::INDEX_VALUE, NO_SIDE, 0, [value as u64, 0, 0]));
        let mut row = io.board.update(facts.row as usize);
        row.set(row::LAST_PRICE, value as u64);
        row.set(row::LAST_QUANTITY, 0);
        row.set(row::LAST_MATCH, 0);
        row.set(row::LAST_TS, event.ts_event);
        day::range(&mut row, value);
        row.set_quality(quality_of(&facts, self.quality));
        io.out.finish_with_row(&event, row);
        Fate::Applied
    }
}

fn in_scope(scope: Scope, at: u32, board: &Text<8>) -> bool {
    match scope {
        Scope::All => true,
        Scope::Board(wanted) => wanted == *board,
        Scope::One(one) => one == at,
    }
}
