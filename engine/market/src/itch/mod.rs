//! ITCH onto the bus: the one place where the venue's vocabulary and ours meet.
//!
//! Per venue event the records go into the rings unseen, the board row is written, naming the number of the event's last
//! market record, and only then both rings show the event: who sees a record finds the row at least as new
//! (decisions.md 6).
//!
//! | message | orders ring | market ring |
//! |---|---|---|
//! | `A` `F` | add | levels, quote |
//! | `E` | trade, fill, cancel | trade, levels, quote |
//! | `C` | trade (if printable), fill, cancel | trade, levels, quote |
//! | `X` `D` | cancel | levels, quote |
//! | `U` | cancel, add | levels, quote |
//! | `P` `Q` `B` | trade, trade break | the same |
//! | `H` `S` `Y` `h` `W` | | status |
//! | `I` `J` `R` | | imbalance, price band, instrument |
//! | `K` `L` `N` `O` `V` | | venue message, verbatim |
//!
//! The X-stream family (DSE, Japannext) adds, in the market ring: official prices (`A` and `Q` that are no order and no
//! trade), indicative `I`, index value `Z`, news `N`, quotes `O` of feeds without orders; `L` `M` `P` go on verbatim.
//!
//! Levels are those inside the instrument's window, with the one that leaves it because another came, and the one that
//! comes because another left. An order far from the touch so changes nothing in the market ring, nor the row.
//!
//! Choices that the venue leaves open:
//! * A replace whose new order cannot be added still removes the original: the venue has said that it is gone.
//! * Executions of unknown orders count as volume of the message's own instrument; a print at a price of its own is
//!   published as a trade (data/README.md). The message counts as rejected all the same: it changed no book.
//! * A broken trade is published and not taken out of volume, turnover, high and low: the reference does not either, and
//!   the prints of a whole day would have to be kept for it.
//! * At `S`/`C`, end of messages, the books stay until the next session or day begins: the venue deletes day orders by
//!   `D` itself, and readers may want the closing state.
//! * X-stream: both sides of one match may be reported; the first counts, the other is a trade flagged as not printed.
//!   Match number 0 names no match. A broken trade is taken out of the day again.
//! * X-stream: `E`, `D` and `U` name no instrument, so those of an unknown order make no book suspect: nobody knows which.
//! * X-stream: an order without a price (market order) is published without one and stands on no level; executed at its
//!   own price, its quantity counts and nothing else.
//! * A non-printable execution is a trade flagged so; it moves neither last price nor volume: the cross prints it.

mod bare;
mod clock;
mod config;
mod directory;
mod image;
mod lifecycle;
mod news;
mod orders;
mod places;
mod prints;
mod status;
mod ticks;
mod trades;
mod xstream;

pub use bare::BareBook;
pub use config::{ConfigError, FeedRole, ItchConfig, PRINTS_DEFAULT, PRINTS_LIMIT};

use shm_abi::board::{Quality, RowUpdate};
use shm_abi::counters::{CounterWriter, LaneCounter};
use shm_abi::record::{AnomalyCode, PRICE_NONE, Price, Side, flag, kind, split_words};
use shm_abi::segment::LaneWriter;
use shm_abi::slot::SLOT_WORDS;
use shm_abi::sys::prefetch;
use wire::dialect::{Clock, Dialect, Op, OpKind};

use crate::book::{Book, NO_PRICE};
use crate::feed::{BATCH, InstrumentIds, MARK_INTERVAL, MessageAt, Resume, Stamps};
use crate::publish::{Event, Io, Known, Out, anomaly_of};
use crate::trust::Trust;
use clock::VenueClock;
use directory::{Orderbook, Symbols};
use news::Newsroom;
use places::Places;
use prints::Prints;
use ticks::TickTables;
use xstream::Boards;

/// Stock locates: the wire has two bytes for them.
const LOCATES: usize = 1 << 16;

/// What is kept of a stock locate on the hot path: a quarter of a cache line.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(16))]
struct Facts {
    /// Row on the board; [`NO_ROW`]: never announced in this session, or another feed's.
    row: u32,
    instrument_id: u32,
    /// 1e-9 units in one raw price unit.
    scale: u32,
    /// Levels of its window.
    class: u8,
    /// [`flag::SUSPECT`] as in records, [`TRADING`], [`CROSSED`], [`KNOWN`].
    bits: u8,
    /// Letter of the last trading action; 0: none yet.
    state: u8,
}

const _: () = assert!(size_of::<Facts>() == 16);

const NO_ROW: u32 = u32::MAX;
/// Bit of [`Facts::bits`]: in continuous trading.
const TRADING: u8 = 0x01;
/// Bit of [`Facts::bits`]: the book is crossed, and that was declared.
const CROSSED: u8 = 0x02;
/// Bit of [`Facts::bits`]: announced in this session, though its row may be another feed's.
const KNOWN: u8 = 0x04;

impl Facts {
    const UNKNOWN: Facts = Facts { row: NO_ROW, instrument_id: 0, scale: 0, class: 0, bits: 0, state: 0 };

    /// Whether it has a row here: what the books need.
    #[inline(always)]
    fn is_known(&self) -> bool {
        self.row != NO_ROW
    }

    /// A raw price on the bus.
    #[inline(always)]
    fn price(&self, raw: u32) -> Price {
        if raw == NO_PRICE { PRICE_NONE } else { i64::from(raw) * i64::from(self.scale) }
    }

    /// Makes `event` one about this instrument.
    #[inline(always)]
    fn name(&self, event: &mut Event) {
        event.about(self.instrument_id, self.bits);
    }
}

/// Decimals of the bus.
const BUS_DECIMALS: u32 = 9;

/// 1e-9 units in one raw price unit of so many decimals; `None`: the bus has not as many.
fn scale_of(decimals: u32) -> Option<u32> {
    10u32.checked_pow(BUS_DECIMALS.checked_sub(decimals)?)
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
    extended: u64,
}

/// One ITCH feed: messages in, records, board rows and directory entries out.
#[derive(Debug)]
pub struct Itch<I> {
    ops: Box<[Op; BATCH]>,
    /// Index of each operation's instrument.
    ats: [u32; BATCH],
    feed: Feed<I>,
}

/// Everything but the batch's operations, which are lent to it.
#[derive(Debug)]
struct Feed<I> {
    dialect: &'static Dialect,
    /// The wire's number of an instrument is its index: Nasdaq's locates.
    direct: bool,
    /// Highest price of an order.
    price_max: u32,
    clock: VenueClock,
    book: Book,
    /// By index. Where numbers are looked up, the last one stays unknown: it is everybody's who is not found.
    facts: Box<[Facts]>,
    places: Places,
    /// By index; empty where numbers are indices.
    orderbooks: Box<[Orderbook]>,
    prints: Prints,
    ticks: TickTables,
    newsroom: Newsroom,
    symbols: Symbols,
    ids: I,
    config: ItchConfig,
    resume: Resume,
    /// Venue sequence of the last message applied or declared missing.
    sequence: u64,
    session: [u8; 16],
    /// Letter of the last system event that was about all; 0: none yet.
    phase: u8,
    /// Boards that have a phase of their own since.
    boards: Boards,
    quality: Quality,
    trust: Trust,
    /// What is applied belongs to an image of the books.
    imaging: bool,
    tally: Tally,
}

impl<I: InstrumentIds> Itch<I> {
    /// Most messages of one [`Itch::apply`].
    pub const BATCH: usize = BATCH;

    /// An empty book.
    ///
    /// # Errors
    /// The first setting that is out of its range.
    pub fn new(config: ItchConfig, ids: I) -> Result<Self, ConfigError> {
        config.validate()?;
        let dialect = config.dialect;
        let direct = dialect.clock() == Clock::NanosSinceMidnight;
        let (places, books, prints) =
            if direct { (0, 0, 0) } else { (limit_of(&config), limit_of(&config), config.max_prints) };
        let feed = Feed {
            dialect,
            direct,
            price_max: if direct { orders::NASDAQ_PRICE_MAX } else { NO_PRICE - 1 },
            clock: VenueClock::new(dialect.clock(), config.midnight_ns),
            book: Book::new(config.limits)?,
            facts: vec![Facts::UNKNOWN; if direct { LOCATES } else { places + 1 }].into_boxed_slice(),
            places: Places::new(places),
            orderbooks: vec![Orderbook::default(); books].into(),
            prints: Prints::new(prints),
            ticks: TickTables::new(!direct),
            newsroom: Newsroom::new(!direct),
            symbols: Symbols::default(),
            ids,
            config,
            resume: Resume::default(),
            sequence: 0,
            session: [b' '; 16],
            phase: 0,
            boards: Boards::default(),
            quality: Quality::Fresh,
            trust: Trust::new(),
            imaging: false,
            tally: Tally::default(),
        };
        Ok(Itch { ops: bare::empty_ops(), ats: [0; BATCH], feed })
    }

    /// Applies up to [`Itch::BATCH`] messages in order and publishes what they did. Places beyond `buf` count as
    /// truncated messages. The heads of the rings are the caller's to move, once per burst.
    ///
    /// # Panics
    /// When the batch is longer.
    pub fn apply(&mut self, buf: &[u8], batch: &[MessageAt], stamps: Stamps, lane: &mut LaneWriter) {
        // Told apart once per batch: the hot dialect then runs without a look at what only others need.
        match self.feed.direct {
            true => self.apply_as::<true>(buf, batch, stamps, lane),
            false => self.apply_as::<false>(buf, batch, stamps, lane),
        }
    }

    fn apply_as<const DIRECT: bool>(&mut self, buf: &[u8], batch: &[MessageAt], stamps: Stamps, lane: &mut LaneWriter) {
        let Itch { ops, ats, feed } = self;
        let ops = &mut ops[..batch.len()];
        for ((op, at), message) in ops.iter_mut().zip(ats.iter_mut()).zip(batch) {
            bare::decode(feed.dialect, op, buf, message);
            *at = if DIRECT { op.locate } else { feed.places.find(op.locate) };
            bare::look_ahead(&feed.book, op, *at);
            prefetch(&feed.facts[*at as usize]);
        }
        for (op, at) in ops.iter_mut().zip(ats.iter()) {
            // The side tells which levels of the window will be touched.
            if let Some((owner, side)) = bare::look_closer(&feed.book, op, *at) {
                // Where a message about an order names no instrument, the order does.
                let at = if DIRECT { *at } else { owner };
                lane.board.prefetch(feed.facts[at as usize].row as usize, side);
            }
        }
        for ((op, at), message) in ops.iter().zip(ats.iter()).zip(batch) {
            // Whoever was not known yet may have been announced by a message of this very batch.
            let announced = DIRECT || feed.facts[*at as usize].bits & KNOWN != 0;
            let at = if announced { *at } else { feed.places.find(op.locate) };
            feed.message(op, at, *message, buf, stamps, lane);
        }
        feed.count(&mut lane.counters);
    }

    /// Counts messages that had been seen before.
    pub fn duplicate(&mut self, lane: &mut LaneWriter, count: u64) {
        lane.counters.add(LaneCounter::Received, count);
        lane.counters.add(LaneCounter::Duplicates, count);
    }

    /// The book; its instruments are those that [`Itch::index_of`] gives.
    pub fn book(&self) -> &Book {
        &self.feed.book
    }

    /// Index of the venue's orderbook in the book: of Nasdaq's stock locates themselves. `None` when it was not announced
    /// in this session.
    pub fn index_of(&self, locate: u32) -> Option<u32> {
        let at = if self.feed.direct { locate } else { self.feed.places.find(locate) };
        let facts = self.feed.facts.get(at as usize)?;
        (facts.bits & KNOWN != 0).then_some(at)
    }

    /// Row of the venue's orderbook on the board; `None` when it was not announced in this session, or has none here.
    pub fn row_of_locate(&self, locate: u32) -> Option<usize> {
        let facts = self.feed.facts[self.index_of(locate)? as usize];
        facts.is_known().then_some(facts.row as usize)
    }

    /// Whether an orderbook's book may be wrong: an order was unknown, or messages are missing.
    pub fn is_suspect(&self, locate: u32) -> bool {
        self.index_of(locate).is_some_and(|at| self.feed.facts[at as usize].bits & flag::SUSPECT != 0)
    }

    /// Where lasting ids come from.
    pub fn ids(&self) -> &I {
        &self.feed.ids
    }
}

/// Orderbooks that can be announced where numbers are looked up.
fn limit_of(config: &ItchConfig) -> usize {
    config.limits.instruments
}

/// Bytes of a message that lie in the buffer.
#[inline(always)]
fn bytes_of(buf: &[u8], message: MessageAt) -> &[u8] {
    let tail = buf.get(message.at as usize..).unwrap_or_default();
    &tail[..tail.len().min(message.len as usize)]
}

impl<I: InstrumentIds> Feed<I> {
    #[inline(always)]
    fn message(&mut self, op: &Op, at: u32, message: MessageAt, buf: &[u8], stamps: Stamps, lane: &mut LaneWriter) {
        // The messages of an image count by themselves: the feed's own sequence stands still.
        let (sequence, flags) = match self.imaging {
            false => (message.sequence, stamps.flags),
            true => (self.sequence, stamps.flags | flag::SNAPSHOT),
        };
        self.sequence = sequence;
        let mut event = Event::bare(sequence, stamps.ts_recv, stamps.ts_publish, flags);
        event.ts_event = self.clock.time(op.timestamp_ns, stamps.ts_recv);
        let known = self.known(sequence);
        let fate = if op.kind == OpKind::Other {
            self.other(bytes_of(buf, message), at, event, lane)
        } else {
            let mut io = Io::open(known, self.mark(&event), lane);
            let appended = op.kind < OpKind::Other && message.len > op.form_length.into();
            self.tally.extended += u64::from(appended);
            let done = match op.kind {
                OpKind::Add => self.add(op, at, &mut event, &mut io),
                OpKind::Execute | OpKind::ExecutePrice | OpKind::Cancel | OpKind::Delete => {
                    self.leave(op, at, &mut event, &mut io)
                }
                OpKind::Replace => Err(self.replace(op, at, event, &mut io)),
                OpKind::Other | OpKind::Malformed | OpKind::Unknown => {
                    Err(self.undecoded(op, bytes_of(buf, message), event, &mut io))
                }
            };
            match done {
                Ok(done) => {
                    self.show(&done, &event, &mut io);
                    Fate::Applied
                }
                Err(fate) => fate,
            }
        };
        let tally = &mut self.tally;
        match fate {
            _ if known.everywhere => tally.rebuilt += 1,
            Fate::Applied => tally.published += 1,
            Fate::Rejected => tally.rejected += 1,
        }
    }

    /// Opens a venue message's event, with a mark where one is due.
    #[inline(always)]
    fn begin<'r>(&self, event: &Event, lane: &'r mut LaneWriter) -> Io<'r> {
        Io::open(self.known(event.sequence), self.mark(event), lane)
    }

    /// Which rings already have the event of a message. No ring has an image.
    #[inline(always)]
    fn known(&self, sequence: u64) -> Known {
        if self.imaging { Known::NOWHERE } else { Known::of(sequence, &self.resume) }
    }

    /// A message that has no meaning in this dialect.
    #[cold]
    fn undecoded(&mut self, op: &Op, bytes: &[u8], mut event: Event, io: &mut Io<'_>) -> Fate {
        let code = if op.kind == OpKind::Unknown { AnomalyCode::UnknownType } else { AnomalyCode::Malformed };
        // Its time stamp means nothing either.
        event.ts_event = 0;
        let letter = bytes.first().copied().unwrap_or(0);
        self.reject(code, letter.into(), bytes.len() as u64, None, &event, io)
    }

    /// Declares a message that was not applied, and ends its event.
    #[cold]
    #[inline(never)]
    fn reject(
        &mut self,
        code: AnomalyCode,
        subject: u64,
        detail: u64,
        at: Option<u32>,
        event: &Event,
        io: &mut Io<'_>,
    ) -> Fate {
        declare(code, subject, detail, event, &mut io.out, io.counters);
        let facts = at.map(|at| &mut self.facts[at as usize]).filter(|facts| facts.is_known());
        match facts {
            None => io.out.finish(),
            Some(facts) => {
                let mut row = io.board.update(facts.row as usize);
                let incomplete = matches!(code, AnomalyCode::UnknownOrder | AnomalyCode::DuplicateOrder);
                if incomplete || facts.bits & flag::SUSPECT != 0 {
                    suspect(facts, self.quality, &mut row);
                }
                io.out.finish_with_row(event, row);
            }
        }
        Fate::Rejected
    }

    /// The record of the venue's full sequence, when it is due.
    #[inline(always)]
    fn mark(&self, event: &Event) -> Option<[u64; SLOT_WORDS]> {
        if !event.sequence.is_multiple_of(MARK_INTERVAL) || self.imaging {
            return None;
        }
        let [a, b] = split_words(&self.session);
        Some(event.record(kind::MARK, 0, 0, [event.sequence, a, b]))
    }

    /// Adds what a batch did to the lane's counters.
    #[inline(always)]
    fn count(&mut self, counters: &mut CounterWriter) {
        let tally = std::mem::take(&mut self.tally);
        counters.add(LaneCounter::Received, tally.published + tally.rejected);
        counters.add(LaneCounter::Published, tally.published);
        counters.add(LaneCounter::Rejected, tally.rejected);
        counters.add(LaneCounter::Rebuilt, tally.rebuilt);
        counters.add(LaneCounter::QuoteEvents, tally.quote_events);
        counters.add(LaneCounter::Trades, tally.trades);
        counters.add(LaneCounter::Extended, tally.extended);
        counters.set(LaneCounter::LiveOrders, self.book.live_orders() as u64);
        counters.set(LaneCounter::OrderLimit, self.book.order_limit() as u64);
    }
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

/// Declares an anomaly in both rings and counts it, unless the epoch before did.
#[cold]
pub(crate) fn declare(
    code: AnomalyCode,
    subject: u64,
    detail: u64,
    event: &Event,
    out: &mut Out<'_>,
    counters: &mut CounterWriter,
) {
    out.anomaly(event, &anomaly_of(event, code, subject, detail));
    let counter = match code {
        AnomalyCode::UnknownOrder => LaneCounter::UnknownOrder,
        AnomalyCode::Overfill => LaneCounter::Overfill,
        AnomalyCode::DuplicateOrder => LaneCounter::DuplicateOrder,
        AnomalyCode::UnknownType => LaneCounter::UnknownType,
        AnomalyCode::Malformed => LaneCounter::Malformed,
        AnomalyCode::UnknownInstrument => LaneCounter::UnknownInstrument,
        AnomalyCode::TableFull => LaneCounter::TableFull,
        AnomalyCode::Crossed => LaneCounter::Crossed,
        _ => LaneCounter::BadField,
    };
    if !out.is_rebuilding() {
        counters.add(counter, 1);
    }
}

/// Both sides, bids first.
const SIDES: [Side; 2] = [Side::Bid, Side::Ask];
