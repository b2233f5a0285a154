//! A small market that writes rows and records as the engine does, and remembers what every number stood for.

use std::collections::BTreeMap;

use gateway_core::state::{LastTrade, Quote, StatusState, Window};
use gateway_core::topic::Channel;
use shm_abi::board::{Level, Quality, RowUpdate};
use shm_abi::directory::Instrument;
use shm_abi::layout::{Plan, State, row};
use shm_abi::record::{
    Head, INSTRUMENT_NONE, PRICE_NONE, QUANTITY_NONE, Restart, Side, StatusCause, TradingStatus, flag, kind,
    restart_body, restart_reason, side, status_body, trade_code,
};
use shm_abi::segment::{Identity, LaneWriter, Segment};

use super::client;
use super::rng::Rng;

/// What an instrument was after an event.
#[derive(Debug, Clone, PartialEq)]
pub struct Moment {
    pub n: u64,
    pub quote: Quote,
    pub window: Window,
    pub status: StatusState,
}

/// One instrument, its book and its history.
#[derive(Debug)]
pub struct Model {
    pub id: u32,
    pub symbol: String,
    pub class: u16,
    pub row: usize,
    sides: [BTreeMap<i64, Level>; 2],
    pub now: Moment,
    pub history: Vec<Moment>,
    /// Numbers of trades and of what revoked them.
    pub trades: Vec<u64>,
    /// Numbers of the events that changed each channel of state, by its index.
    pub changed: [Vec<u64>; 6],
}

/// A trade as an event makes it.
#[derive(Debug, Clone, Copy)]
pub struct Print {
    pub code: u8,
    pub flags: u8,
    pub price: i64,
    pub quantity: u64,
}

/// One epoch of a lane.
#[derive(Debug)]
pub struct Market {
    pub writer: LaneWriter,
    pub instruments: Vec<Model>,
    pub ts: u64,
    quality: Quality,
    match_id: u64,
}

fn words(head: &Head, body: [u64; 3]) -> [u64; 7] {
    let [a, b, c, d] = head.words();
    [a, b, c, d, body[0], body[1], body[2]]
}

impl Market {
    /// Epoch 1, whose ring has `slots`, with a restart record at number 0.
    pub fn new(slots: usize, live: bool) -> Market {
        Market::of_epoch(slots, live, 1)
    }

    /// The same of another epoch.
    pub fn of_epoch(slots: usize, live: bool, epoch: u64) -> Market {
        let plan = Plan {
            lane: "lane0".into(),
            orders_slots: 1024,
            market_slots: slots,
            instruments: 16,
            depth_bytes: 1 << 16,
        };
        let mut writer =
            LaneWriter::anonymous_as(&plan, Identity { epoch, incarnation: epoch, old_epoch: epoch - 1, flags: 0 })
                .unwrap();
        if live {
            writer.set_state(State::Live);
        }
        let mut market = Market { writer, instruments: Vec::new(), ts: 1_000, quality: Quality::Fresh, match_id: 0 };
        market.restart_record(restart_reason::ENGINE);
        market
    }

    pub fn segment(&self) -> Segment {
        self.writer.reader()
    }

    pub fn model(&self, symbol: &str) -> &Model {
        self.instruments.iter().find(|model| model.symbol == symbol).unwrap()
    }

    fn head(&self, kind: u8, code: u8, flags: u8, id: u32) -> Head {
        Head {
            kind,
            flags,
            span: 1,
            side_or_code: code,
            instrument_id: id,
            ts_event: self.ts,
            ts_recv: self.ts + 1,
            publish_delay_ns: 1,
            venue_sequence_low: 0,
        }
    }

    fn put(&mut self, kind: u8, code: u8, flags: u8, id: u32, body: [u64; 3]) -> u64 {
        let words = words(&self.head(kind, code, flags, id), body);
        self.writer.market.push(&words)
    }

    fn restart_record(&mut self, reason: u64) -> u64 {
        let n = self.writer.market.next_number();
        let restart = Restart { old_epoch: 1, old_end: n, session: [b' '; 16], venue_sequence: 0, reason };
        let mut words = Vec::from(self.head(kind::RESTART, side::NONE, flag::LAST, INSTRUMENT_NONE).words());
        words.extend(restart_body(&restart));
        let n = self.writer.market.push_span(&words);
        self.commit();
        n
    }

    fn commit(&mut self) {
        self.writer.market.commit();
        self.writer.market.publish_head();
    }

    /// Announces an instrument.
    pub fn list(&mut self, id: u32, symbol: &str, venue: &str, class: u16) {
        let entry = Instrument { depth_class: class, ..Instrument::equity(id, symbol.as_bytes(), venue.as_bytes()) };
        let row = self.writer.add_instrument(&entry).unwrap();
        let status = StatusState { status: TradingStatus::Unknown, quality: self.quality };
        let now = Moment { n: 0, quote: Quote::default(), window: Window::default(), status };
        let symbol = symbol.into();
        let model = Model {
            id,
            symbol,
            class,
            row,
            sides: Default::default(),
            now,
            history: Vec::new(),
            trades: Vec::new(),
            changed: Default::default(),
        };
        self.instruments.push(model);
        self.put(kind::INSTRUMENT, side::NONE, 0, id, [row as u64, class.into(), 1]);
        let at = self.instruments.len() - 1;
        self.finish(at);
    }

    /// A new engine that goes on where the one before ended: books and rows are as they were, and no record says so.
    pub fn go_on_from(&mut self, before: &Market) {
        for at in 0..self.instruments.len() {
            self.instruments[at].sides = before.instruments[at].sides.clone();
            self.instruments[at].now = before.instruments[at].now.clone();
            let n = self.writer.market.next_number() - 1;
            self.write_row(at, n);
            self.instruments[at].changed = Default::default();
        }
        self.ts = before.ts;
    }

    /// The book that a new engine rebuilds without publishing.
    pub fn rebuild(&mut self, rng: &mut Rng) {
        for at in 0..self.instruments.len() {
            for _ in 0..20 {
                let side = if rng.below(2) == 0 { Side::Bid } else { Side::Ask };
                let (price, quantity) = (rng.below(40) as i64 + 1, rng.below(5));
                self.book(at, side, price, quantity, 0);
            }
            let n = self.writer.market.next_number() - 1;
            self.write_row(at, n);
        }
    }

    /// Changes the book, and what window and quote are of it.
    fn book(&mut self, at: usize, side: Side, price: i64, quantity: u64, orders: u32) {
        let model = &mut self.instruments[at];
        let book = &mut model.sides[side.index()];
        match quantity {
            0 => drop(book.remove(&price)),
            _ => drop(book.insert(price, Level { price, quantity, orders })),
        }
        let best = |count: usize| -> Vec<Level> {
            match side {
                Side::Bid => book.values().rev().take(count).copied().collect(),
                Side::Ask => book.values().take(count).copied().collect(),
            }
        };
        let (window, quote) = (best(model.class.into()), best(1).first().copied());
        match side {
            Side::Bid => (model.now.window.bids, model.now.quote.bid) = (window, quote),
            Side::Ask => (model.now.window.asks, model.now.quote.ask) = (window, quote),
        }
    }

    /// Changes a level and publishes what that does to window and quote; the event stays open.
    pub fn level(&mut self, at: usize, side: Side, price: i64, quantity: u64) {
        let id = self.instruments[at].id;
        let of = |moment: &Moment| match side {
            Side::Bid => (moment.window.bids.clone(), moment.quote.bid),
            Side::Ask => (moment.window.asks.clone(), moment.quote.ask),
        };
        let (old, old_best) = of(&self.instruments[at].now);
        self.book(at, side, price, quantity, quantity as u32 + 1);
        let (new, best) = of(&self.instruments[at].now);
        // As the engine: what leaves first, then what comes or changes.
        for gone in old.iter().filter(|was| !new.iter().any(|is| is.price == was.price)) {
            self.put(kind::LEVEL, side as u8, 0, id, [gone.price as u64, 0, 0]);
        }
        for (position, is) in new.iter().enumerate().filter(|(_, is)| !old.contains(is)) {
            let place = u64::from(is.orders) | (position as u64) << 32;
            self.put(kind::LEVEL, side as u8, 0, id, [is.price as u64, is.quantity, place]);
        }
        if best != old_best {
            let none = Level { price: PRICE_NONE, quantity: 0, orders: 0 };
            let level = best.unwrap_or(none);
            self.put(kind::QUOTE, side as u8, 0, id, [level.price as u64, level.quantity, level.orders.into()]);
        }
    }

    /// A trade; the event stays open.
    pub fn trade(&mut self, at: usize, print: Print) {
        self.match_id += 1;
        let (id, match_id, ts) = (self.instruments[at].id, self.match_id, self.ts);
        let Print { code, flags, price, quantity } = print;
        let n = self.put(kind::TRADE, code, flags, id, [match_id, price as u64, quantity]);
        let model = &mut self.instruments[at];
        model.trades.push(n);
        if flags & flag::NOT_PRINTED != 0 {
            return;
        }
        let quote = &mut model.now.quote;
        if quantity > 0 {
            quote.last = Some(LastTrade { price, quantity, match_id, ts_event: ts });
            quote.open = Some(quote.open.unwrap_or(price));
            quote.high = Some(quote.high.map_or(price, |high| if price > high { price } else { high }));
            quote.low = Some(quote.low.map_or(price, |low| if price < low { price } else { low }));
            quote.volume += quantity;
            quote.turnover += u128::from(quantity) * price as u128;
            quote.trades += 1;
        }
        if code == trade_code::CROSS_CLOSE && price > 0 {
            quote.close = Some(price);
        }
    }

    /// Revokes the last trade but `back`; the event stays open.
    pub fn break_trade(&mut self, at: usize, back: u64) {
        let id = self.instruments[at].id;
        let match_id = self.match_id.saturating_sub(back);
        let body = [match_id, PRICE_NONE as u64, QUANTITY_NONE];
        let n = self.put(kind::TRADE_BREAK, side::NONE, 0, id, body);
        self.instruments[at].trades.push(n);
    }

    /// An execution of an unknown order: volume that no record tells of, and a book that is suspect.
    pub fn unknown_execution(&mut self, at: usize, quantity: u64) {
        let id = self.instruments[at].id;
        self.put(kind::ANOMALY, 1, 0, id, [1, 2, 0]);
        let now = &mut self.instruments[at].now;
        now.quote.volume += quantity;
        now.status.quality = Quality::Gapped;
        self.finish(at);
    }

    /// A status of one instrument.
    pub fn status(&mut self, at: usize, status: TradingStatus) {
        let id = self.instruments[at].id;
        let body = status_body(StatusCause::TradingAction, b'H', *b"        ");
        self.put(kind::STATUS, status as u8, 0, id, body);
        self.instruments[at].now.status.status = status;
        self.finish(at);
    }

    /// A status of the venue, which changes that of every instrument.
    pub fn venue_status(&mut self, status: TradingStatus) {
        let body = status_body(StatusCause::SystemEvent, b'Q', *b"        ");
        self.venue_wide(kind::STATUS, status as u8, body, |now| now.status.status = status);
    }

    /// A gap of the venue: every book is suspect.
    pub fn gap(&mut self, first: u64, last: u64) {
        self.venue_wide(kind::GAP, side::NONE, [first, last, 2], |now| now.status.quality = Quality::Gapped);
    }

    fn venue_wide(&mut self, kind: u8, code: u8, body: [u64; 3], change: impl Fn(&mut Moment)) {
        let n = self.put(kind, code, flag::LAST, INSTRUMENT_NONE, body);
        for at in 0..self.instruments.len() {
            change(&mut self.instruments[at].now);
            self.write_row(at, n);
        }
        self.commit();
    }

    /// A new session: a restart record, then every instrument is cleared.
    pub fn new_session(&mut self) {
        self.restart_record(restart_reason::SESSION);
        for at in 0..self.instruments.len() {
            let id = self.instruments[at].id;
            self.put(kind::CLEAR, side::NONE, 0, id, [0; 3]);
            let model = &mut self.instruments[at];
            model.sides = Default::default();
            model.now.window = Window::default();
            let previous_close = model.now.quote.close.or(model.now.quote.previous_close);
            model.now.quote = Quote { previous_close, ..Quote::default() };
            model.now.status = StatusState { status: TradingStatus::Unknown, quality: Quality::Fresh };
            self.finish(at);
        }
    }

    /// The writer ends: every row says closed, no record does.
    pub fn close(&mut self) {
        for at in 0..self.instruments.len() {
            self.instruments[at].now.status.quality = Quality::Closed;
            let n = self.instruments[at].now.n;
            self.write_row(at, n);
        }
        self.writer.set_state(State::Closed);
    }

    /// The writer dies within a row.
    pub fn die_in_row(&mut self, at: usize) {
        let row = self.writer.board.update(self.instruments[at].row);
        std::mem::forget(row);
    }

    /// Ends an event about an instrument: row first, then the ring. Without a record nothing happens.
    pub fn finish(&mut self, at: usize) {
        self.ts += 1;
        if self.writer.market.open_slots() == 0 {
            return;
        }
        self.writer.market.amend_newest(u64::from(flag::LAST) << 8);
        let n = self.writer.market.next_number() - 1;
        self.write_row(at, n);
        self.commit();
    }

    fn write_row(&mut self, at: usize, n: u64) {
        let model = &mut self.instruments[at];
        model.now.n = n;
        let mut update = self.writer.board.update(model.row);
        store(&mut update, &model.now, self.ts);
        drop(update);
        if let Some(before) = model.history.last() {
            for (index, channel) in Channel::ALL.into_iter().enumerate() {
                if client::state(before, channel) != client::state(&model.now, channel) {
                    model.changed[index].push(n);
                }
            }
        }
        model.history.push(model.now.clone());
    }
}

fn store(update: &mut RowUpdate<'_>, now: &Moment, ts: u64) {
    let price = |price: Option<i64>| price.unwrap_or(PRICE_NONE) as u64;
    let none = Level { price: PRICE_NONE, quantity: 0, orders: 0 };
    update.set(row::MARKET_N, now.n);
    update.set(row::TS_EVENT, ts);
    update.clear_depth();
    for (side, levels, best) in
        [(Side::Bid, &now.window.bids, now.quote.bid), (Side::Ask, &now.window.asks, now.quote.ask)]
    {
        for (position, level) in levels.iter().enumerate() {
            update.insert_level(side, position, *level);
        }
        update.set_quote(side, best.unwrap_or(none));
    }
    let last = now.quote.last;
    update.set(row::LAST_PRICE, price(last.map(|last| last.price)));
    update.set(row::LAST_QUANTITY, last.map_or(0, |last| last.quantity));
    update.set(row::LAST_MATCH, last.map_or(0, |last| last.match_id));
    update.set(row::LAST_TS, last.map_or(0, |last| last.ts_event));
    for (field, value) in [
        (row::OPEN, now.quote.open),
        (row::HIGH, now.quote.high),
        (row::LOW, now.quote.low),
        (row::CLOSE, now.quote.close),
        (row::PREVIOUS_CLOSE, now.quote.previous_close),
    ] {
        update.set(field, price(value));
    }
    update.set(row::VOLUME, now.quote.volume);
    update.set(row::TURNOVER_LOW, now.quote.turnover as u64);
    update.set(row::TURNOVER_HIGH, (now.quote.turnover >> 64) as u64);
    update.set(row::TRADES, now.quote.trades);
    update.set_status(now.status.status, b'T');
    update.set_quality(now.status.quality);
}
