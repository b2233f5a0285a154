//! IEX TOPS 1.6 and DEEP 1.0 onto the bus: the one place where the venue's vocabulary and ours meet.
//!
//! The venue names no orders, so the orders ring stays empty. As everywhere, an event's records go into the ring unseen,
//! the board row is written, naming the number of the event's last record, and only then the ring shows the event.
//!
//! | message | market ring |
//! |---|---|
//! | `8` `5` (DEEP) | levels; quote at the end of the venue's event |
//! | `Q` (TOPS) | quote |
//! | `T` `B` | trade, trade break |
//! | `X` | official price |
//! | `H` `O` `P` `S` `E` | status |
//! | `A` | price band, imbalance |
//! | `D` | instrument, official reference price |
//! | `I` | venue message, verbatim |
//!
//! An instrument appears by its directory message or by the first message that names it, whichever comes first: most
//! symbols are never announced. It is then a share with four decimals.
//!
//! Choices that the venue leaves open:
//! * DEEP tells of price levels, not of orders: levels and quotes say 0 orders, "not told".
//! * Between the first and the last level of one of the venue's events its book is in between (a bid may be above an
//!   ask). Levels are published one by one, so that window and records agree at every moment; the quote is compared and
//!   published only when the venue says that its event is complete.
//! * Every trade report counts as volume, turnover and trade. Odd lots and extended-hours trades move neither last, open,
//!   high nor low: the rule of the consolidated tapes for sale conditions `I` and `T`. The other sale flags change
//!   nothing.
//! * A trade break is published and counted, and not taken out of the statistics: the reference does not either
//!   (data/README.md).
//! * The stream may start anew within its session. Books and statuses are cleared, and the day's statistics go on; with
//!   another session the day begins anew.
//! * The official opening price is published and leaves `open` on the row alone, which is the first print.

mod auction;
mod book;
mod config;
mod instruments;
mod ladder;
mod lifecycle;
mod status;
mod trades;

pub use config::IexConfig;

use shm_abi::board::{Quality, RowUpdate};
use shm_abi::counters::{CounterWriter, LaneCounter};
use shm_abi::record::{AnomalyCode, Price, flag, kind, split_words};
use shm_abi::segment::LaneWriter;
use shm_abi::slot::SLOT_WORDS;
use wire::DecodeError;
use wire::iex::Message;

use crate::book::{Book, Side};
use crate::feed::{BATCH, InstrumentIds, MARK_INTERVAL, MessageAt, Resume, Stamps};
use crate::itch::{ConfigError, declare};
use crate::publish::{Event, Io, Known};
use crate::trust::Trust;
use instruments::SymbolIndex;

/// What is kept of an instrument. Its place in the list is its index in the book.
#[derive(Debug, Clone, Copy)]
struct Facts {
    /// Row on the board.
    row: u32,
    instrument_id: u32,
    /// [`flag::SUSPECT`] as in records, [`TRADING`], [`CROSSED`], [`TOUCHED`].
    bits: u8,
    /// Letter of the last trading status; 0: none yet.
    state: u8,
}

/// Bit of [`Facts::bits`]: in continuous trading.
const TRADING: u8 = 0x01;
/// Bit of [`Facts::bits`]: the book is crossed, and that was declared.
const CROSSED: u8 = 0x02;
/// Bit of [`Facts::bits`]: a best level changed since the last quote.
const TOUCHED: u8 = 0x04;

impl Facts {
    /// Makes `event` one about this instrument.
    #[inline(always)]
    fn name(&self, event: &mut Event) {
        event.about(self.instrument_id, self.bits);
    }
}

/// 1e-9 units in one raw price unit of 1e-4.
const PRICE_SCALE: i64 = 100_000;

/// A raw price of the wire, four decimals, on the bus; `None` when it is not positive or does not fit.
#[inline(always)]
fn price(raw: i64) -> Option<Price> {
    if raw > 0 { raw.checked_mul(PRICE_SCALE) } else { None }
}

/// Whether a message was applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Applied,
    Rejected,
}

/// What a batch adds to the counters, added once at its end.
#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    published: u64,
    rejected: u64,
    rebuilt: u64,
    quote_events: u64,
    trades: u64,
}

/// One IEX feed: messages in, records, board rows and directory entries out.
#[derive(Debug)]
pub struct Iex<I> {
    book: Book,
    index: SymbolIndex,
    facts: Vec<Facts>,
    ids: I,
    config: IexConfig,
    resume: Resume,
    /// Venue sequence of the last message applied or declared missing.
    sequence: u64,
    session: [u8; 16],
    /// Letter of the last system event; 0: none yet.
    phase: u8,
    quality: Quality,
    trust: Trust,
    tally: Tally,
    trade_breaks: u64,
}

impl<I: InstrumentIds> Iex<I> {
    /// Most messages of one [`Iex::apply`].
    pub const BATCH: usize = BATCH;

    /// An empty book.
    ///
    /// # Errors
    /// The first setting that is out of its range.
    pub fn new(config: IexConfig, ids: I) -> Result<Self, ConfigError> {
        config.validate()?;
        let instruments = config.limits.instruments;
        Ok(Iex {
            book: Book::new(config.limits)?,
            index: SymbolIndex::new(instruments),
            facts: Vec::with_capacity(instruments),
            ids,
            config,
            resume: Resume::default(),
            sequence: 0,
            session: [b' '; 16],
            phase: 0,
            quality: Quality::Fresh,
            trust: Trust::new(),
            tally: Tally::default(),
            trade_breaks: 0,
        })
    }

    /// Applies up to [`Iex::BATCH`] messages in order and publishes what they did. Places beyond `buf` count as truncated
    /// messages. The heads of the rings are the caller's to move, once per burst.
    ///
    /// # Panics
    /// When the batch is longer.
    pub fn apply(&mut self, buf: &[u8], batch: &[MessageAt], stamps: Stamps, lane: &mut LaneWriter) {
        assert!(batch.len() <= BATCH, "a batch has at most {BATCH} messages");
        for message in batch {
            let tail = buf.get(message.at as usize..).unwrap_or_default();
            self.message(&tail[..tail.len().min(message.len as usize)], message.sequence, stamps, lane);
        }
        self.count(&mut lane.counters);
    }

    /// Counts messages that had been seen before.
    pub fn duplicate(&mut self, lane: &mut LaneWriter, count: u64) {
        lane.counters.add(LaneCounter::Received, count);
        lane.counters.add(LaneCounter::Duplicates, count);
    }

    /// Row of a symbol on the board; `None` while nothing has named it.
    pub fn row_of(&self, symbol: &[u8; 8]) -> Option<usize> {
        Some(self.facts[self.index.get(symbol)?].row as usize)
    }

    /// Whether a symbol's book may be wrong: messages are missing, or one named a level that there is not.
    pub fn is_suspect(&self, symbol: &[u8; 8]) -> bool {
        self.index.get(symbol).is_some_and(|at| self.facts[at].bits & flag::SUSPECT != 0)
    }

    /// Price levels of one side of a symbol, best first: price and quantity.
    pub fn levels(&self, symbol: &[u8; 8], side: Side) -> impl Iterator<Item = (Price, u64)> + '_ {
        let at = self.index.get(symbol);
        let levels = at.into_iter().flat_map(move |at| self.book.levels(at as u32, side));
        levels.map(|level| (book::on_bus(level).price, level.quantity))
    }

    /// Price levels over all instruments.
    pub fn live_levels(&self) -> usize {
        self.book.live_levels()
    }

    /// Trade breaks so far.
    pub fn trade_breaks(&self) -> u64 {
        self.trade_breaks
    }

    /// Where lasting ids come from.
    pub fn ids(&self) -> &I {
        &self.ids
    }

    /// One message: all branching on the type is here.
    fn message(&mut self, bytes: &[u8], sequence: u64, stamps: Stamps, lane: &mut LaneWriter) {
        self.sequence = sequence;
        let mut event = Event::bare(sequence, stamps.ts_recv, stamps.ts_publish, stamps.flags);
        let fate = match Message::parse(bytes, self.config.protocol) {
            Err(error) => self.undecoded(error, bytes, &event, lane),
            Ok(message) => {
                // A time before 1970 is no time.
                event.ts_event = message.timestamp_ns().max(0) as u64;
                match message {
                    Message::SystemEvent(system) => self.system_event(system, &event, lane),
                    Message::SecurityDirectory(directory) => self.directory(directory, event, lane),
                    _ => self.about_instrument(&message, event, lane),
                }
            }
        };
        let tally = &mut self.tally;
        match fate {
            _ if sequence <= self.resume.market_after => tally.rebuilt += 1,
            Fate::Applied => tally.published += 1,
            Fate::Rejected => tally.rejected += 1,
        }
    }

    /// A message about an instrument, which it may be the first to name.
    fn about_instrument(&mut self, message: &Message<'_>, mut event: Event, lane: &mut LaneWriter) -> Fate {
        let symbol = message.symbol().expect("every message but the system event has a symbol");
        let (at, new) = match self.find_or_make(symbol, None, lane) {
            Ok(found) => found,
            Err((code, detail)) => return self.reject_alone(code, message.message_type(), detail, &event, lane),
        };
        self.facts[at].name(&mut event);
        let mut io = self.begin(&event, lane);
        if new {
            self.instrument_record(at, &event, &mut io);
        }
        let io = &mut io;
        match message {
            Message::PriceLevelBuy(level) => {
                let (size, raw) = (level.size.get(), level.price.get());
                self.level(at, Side::Bid, size, raw, level.event_flags, &event, io)
            }
            Message::PriceLevelSell(level) => {
                let (size, raw) = (level.size.get(), level.price.get());
                self.level(at, Side::Ask, size, raw, level.event_flags, &event, io)
            }
            Message::QuoteUpdate(quote) => self.quote_update(at, quote, &event, io),
            Message::TradeReport(trade) => self.trade(at, trade, &event, io),
            Message::TradeBreak(broken) => self.trade_break(at, broken, &event, io),
            Message::OfficialPrice(official) => self.official_price(at, official, &event, io),
            Message::TradingStatus(status) => self.trading_status(at, status, &event, io),
            Message::OperationalHalt(halt) => self.operational_halt(at, halt, &event, io),
            Message::ShortSale(test) => self.short_sale(at, test, &event, io),
            Message::SecurityEvent(security) => self.security_event(at, security, &event, io),
            Message::AuctionInformation(auction) => self.auction(at, auction, &event, io),
            Message::RetailLiquidity(_) => self.verbatim(at, message.as_bytes(), &event, io),
            Message::SystemEvent(_) | Message::SecurityDirectory(_) => unreachable!("handled before"),
        }
    }

    /// Opens a venue message's event, with a mark where one is due. The orders ring stays off.
    #[inline(always)]
    fn begin<'r>(&self, event: &Event, lane: &'r mut LaneWriter) -> Io<'r> {
        Io::open(market_only(event.sequence <= self.resume.market_after), self.mark(event), lane)
    }

    /// A message that has no meaning in this protocol.
    #[cold]
    fn undecoded(&mut self, error: DecodeError, bytes: &[u8], event: &Event, lane: &mut LaneWriter) -> Fate {
        let unknown = matches!(error, DecodeError::UnknownType { .. });
        let code = if unknown { AnomalyCode::UnknownType } else { AnomalyCode::Malformed };
        self.reject_alone(code, bytes.first().copied().unwrap_or(0), bytes.len() as u64, event, lane)
    }

    /// Declares a message that was not applied and is about no known instrument.
    #[cold]
    fn reject_alone(
        &mut self,
        code: AnomalyCode,
        letter: u8,
        detail: u64,
        event: &Event,
        lane: &mut LaneWriter,
    ) -> Fate {
        let mut io = self.begin(event, lane);
        declare(code, letter.into(), detail, event, &mut io.out, io.counters);
        io.out.finish();
        Fate::Rejected
    }

    /// Declares a field out of its range in a message about an instrument, and ends its event.
    #[cold]
    fn bad_field(&mut self, at: usize, letter: u8, value: u64, event: &Event, io: &mut Io<'_>) -> Fate {
        declare(AnomalyCode::BadField, letter.into(), value, event, &mut io.out, io.counters);
        io.out.finish_with_row(event, io.board.update(self.facts[at].row as usize));
        Fate::Rejected
    }

    /// The record of the venue's full sequence, when it is due.
    #[inline(always)]
    fn mark(&self, event: &Event) -> Option<[u64; SLOT_WORDS]> {
        if !event.sequence.is_multiple_of(MARK_INTERVAL) {
            return None;
        }
        let [a, b] = split_words(&self.session);
        Some(event.record(kind::MARK, 0, 0, [event.sequence, a, b]))
    }

    /// Adds what a batch did to the lane's counters.
    fn count(&mut self, counters: &mut CounterWriter) {
        let tally = std::mem::take(&mut self.tally);
        counters.add(LaneCounter::Received, tally.published + tally.rejected);
        counters.add(LaneCounter::Published, tally.published);
        counters.add(LaneCounter::Rejected, tally.rejected);
        counters.add(LaneCounter::Rebuilt, tally.rebuilt);
        counters.add(LaneCounter::QuoteEvents, tally.quote_events);
        counters.add(LaneCounter::Trades, tally.trades);
        // A level is kept as one order.
        counters.set(LaneCounter::LiveOrders, self.book.live_orders() as u64);
        counters.set(LaneCounter::OrderLimit, self.book.order_limit() as u64);
    }
}

/// An event of which the orders ring has nothing, and the market ring nothing when it is `known` to it.
fn market_only(known: bool) -> Known {
    Known { orders: true, market: known, everywhere: known }
}

/// The book of an instrument may be wrong from now on.
#[cold]
fn suspect(facts: &mut Facts, feed: Quality, row: &mut RowUpdate<'_>) {
    facts.bits |= flag::SUSPECT;
    row.set_quality(quality_of(facts, feed));
}

/// Quality of a row: that of its feed, but gapped while a live feed's book is suspect.
fn quality_of(facts: &Facts, feed: Quality) -> Quality {
    if feed == Quality::Fresh && facts.bits & flag::SUSPECT != 0 { Quality::Gapped } else { feed }
}
