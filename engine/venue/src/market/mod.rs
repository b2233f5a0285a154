//! A synthetic Nasdaq-like market: ITCH 5.0 messages, one by one, the same bytes for the same config on every machine.
//!
//! The market owns no clock: each message comes with the time it is due, and the caller decides whether to wait for it.
//! After start-up nothing is allocated, so that a benchmark measures its consumer and not this generator.

pub(crate) mod arrivals;
mod auction;
pub(crate) mod book;
mod config;
mod desk;
mod pool;
pub(crate) mod rng;
pub(crate) mod symbols;
mod tape;

pub use arrivals::MAX_BURSTINESS;
pub use config::{ConfigError, HOUR_NS, MAX_SYMBOLS, MarketConfig, Profile, RATE_RANGE};
use wire::itch50::{MarketParticipantPosition, MwcbDecline, RegSho, StockDirectory, SystemEvent, TIMESTAMP_MAX_NS};

use self::arrivals::Arrivals;
use self::book::Side;
use self::config::{DAY_RESERVE, PER_SYMBOL_RESERVE, SEED_ORDERS};
use self::desk::{Desk, locate};
use self::pool::Pool;
use self::rng::Rng;

/// Between messages that come for all symbols at once: directory, seeding, opening and closing.
const SPIN_GAP_NS: u64 = 1_000;
const MINUTE_NS: u64 = HOUR_NS / 60;
/// The venue's day, in nanoseconds since local midnight.
const SYSTEM_OPEN_NS: u64 = 4 * HOUR_NS;
const OPENING_NOTICE_NS: u64 = 9 * HOUR_NS + 28 * MINUTE_NS;
const MARKET_OPEN_NS: u64 = 9 * HOUR_NS + 30 * MINUTE_NS;
const CLOSING_NOTICE_NS: u64 = 15 * HOUR_NS + 50 * MINUTE_NS;
const MARKET_CLOSE_NS: u64 = 16 * HOUR_NS;
const SYSTEM_CLOSE_NS: u64 = 20 * HOUR_NS;
const END_OF_MESSAGES_NS: u64 = SYSTEM_CLOSE_NS + 5 * MINUTE_NS;
/// An endless market closes here, in time to report its end before the six bytes of the time stamp are used up.
const ENDLESS_CLOSE_NS: u64 = TIMESTAMP_MAX_NS - HOUR_NS;

/// Where a market stands in its course. The numbers are the symbols to handle next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    StartOfMessages,
    Directory(u32),
    SystemHours,
    Seeding(u32),
    PreOpen,
    OpeningNotice(u32),
    OpeningCross(u32),
    MarketHours,
    Trading,
    ClosingNotice(u32),
    ClosingCross(u32),
    MarketClosed,
    Clearing(u32),
    SystemClosed,
    EndOfMessages,
    /// The benchmark mix.
    Mixing,
    Over,
}

/// Order references and match numbers: unique, increasing within their partition, with gaps.
#[derive(Debug)]
struct References {
    /// The venue runs four partitions; the references of a symbol share their residue modulo 4.
    orders: [u64; 4],
    executions: u64,
}

impl References {
    fn new() -> Self {
        Self {
            orders: std::array::from_fn(|residue| residue as u64 + 4 * (1_000 + 977 * residue as u64)),
            executions: 0,
        }
    }

    #[inline]
    fn order(&mut self, locate: u16, rng: &mut Rng) -> u64 {
        let partition = &mut self.orders[usize::from(locate % 4)];
        *partition += 4 * u64::from(1 + rng.below(3));
        *partition
    }

    #[inline]
    fn execution(&mut self, rng: &mut Rng) -> u64 {
        self.executions += u64::from(1 + rng.below(3));
        self.executions
    }
}

/// A seeded market. Ask it for messages with [`Market::next`].
#[derive(Debug)]
pub struct Market {
    config: MarketConfig,
    desk: Desk,
    pool: Option<Pool>,
    arrivals: Arrivals,
    phase: Phase,
    clock_ns: u64,
    /// Messages handed out.
    taken: u64,
    /// Whether the auction that comes next has been announced for all symbols.
    noticed: bool,
}

impl Market {
    /// Lists the symbols and takes all memory.
    ///
    /// # Errors
    /// The first setting that is out of its range.
    pub fn new(config: MarketConfig) -> Result<Self, ConfigError> {
        config.validate()?;
        let mut rng = Rng::new(config.seed);
        let symbols = symbols::list(config.symbols, config.volatility, config.start_ns, &mut rng);
        let mixing = config.profile == Profile::BenchMix;
        Ok(Self {
            desk: Desk::new(&config, rng, symbols, !mixing),
            pool: mixing.then(Pool::new),
            arrivals: Arrivals::new(config.rate_per_second, config.burstiness),
            phase: Phase::StartOfMessages,
            clock_ns: config.start_ns,
            taken: 0,
            noticed: false,
            config,
        })
    }

    /// Appends the next message to `out`, without any framing, and returns the time it is due in nanoseconds since the
    /// venue's local midnight, which is also its time stamp. Times never decrease. `None`, and nothing appended, when
    /// the market is over.
    #[inline]
    pub fn next(&mut self, out: &mut Vec<u8>) -> Option<u64> {
        if self.config.messages == Some(self.taken) {
            return None;
        }
        loop {
            if let Some(due_ns) = self.desk.tape.take(out) {
                self.taken += 1;
                return Some(due_ns);
            }
            if self.phase == Phase::Over {
                return None;
            }
            self.step();
        }
    }

    /// Messages handed out so far.
    #[must_use]
    pub fn taken(&self) -> u64 {
        self.taken
    }

    /// Orders that are live after the messages handed out and those of the same step that are not yet.
    #[must_use]
    pub fn live_orders(&self) -> usize {
        self.pool.as_ref().map_or(self.desk.books.live_total(), Pool::live)
    }

    /// Text of the symbol with this locate (1 is the busiest); none when it is not listed.
    #[must_use]
    pub fn symbol(&self, locate: u16) -> Option<&str> {
        let symbol = self.desk.symbols.get(usize::from(locate).checked_sub(1)?)?;
        Some(str::from_utf8(&symbol.stock).expect("codes are ASCII").trim_end())
    }

    /// All branches of a market's course. Each step puts some messages on the tape, or only changes the phase.
    fn step(&mut self) {
        use Phase::*;
        self.phase = match self.phase {
            StartOfMessages => self.system_event(b'O', self.clock_ns, Directory(0)),
            Directory(s) if s == self.config.symbols => {
                if self.pool.is_some() {
                    Mixing
                } else {
                    SystemHours
                }
            }
            Directory(s) => self.list_symbol(s),
            SystemHours => self.open_system(),
            Seeding(s) if s == self.config.symbols => {
                if self.is_day() {
                    PreOpen
                } else {
                    MarketHours
                }
            }
            Seeding(s) => self.seed_symbol(s),
            PreOpen => self.pre_open(),
            OpeningNotice(s) => self.announce(s, b'O', OpeningNotice(s + 1), PreOpen),
            OpeningCross(s) => self.hold_cross(s, b'O', OpeningCross(s + 1), MarketHours),
            MarketHours => self.system_event(b'Q', self.clock_ns, Trading),
            Trading => self.trade(),
            ClosingNotice(s) => self.announce(s, b'C', ClosingNotice(s + 1), Trading),
            ClosingCross(s) => self.hold_cross(s, b'C', ClosingCross(s + 1), MarketClosed),
            MarketClosed => self.system_event(b'M', self.clock_ns, Clearing(0)),
            Clearing(s) => self.clear_symbol(s),
            SystemClosed => self.system_event(b'E', self.day_time(SYSTEM_CLOSE_NS), EndOfMessages),
            EndOfMessages => self.system_event(b'C', self.day_time(END_OF_MESSAGES_NS), Over),
            Mixing => self.mix(),
            Over => Over,
        };
    }

    fn is_day(&self) -> bool {
        self.config.profile == Profile::Day
    }

    /// A fixed time of the day's course; only a day waits for it.
    fn day_time(&self, ns: u64) -> u64 {
        if self.is_day() { self.clock_ns.max(ns) } else { self.clock_ns }
    }

    fn system_event(&mut self, event_code: u8, at_ns: u64, next: Phase) -> Phase {
        self.clock_ns = at_ns;
        self.desk.tape.push(at_ns, &SystemEvent { event_code, ..SystemEvent::new(0, at_ns) });
        self.clock_ns += SPIN_GAP_NS;
        next
    }

    /// Everything that is said about a symbol before the day: directory, trading, Reg SHO, a market maker.
    fn list_symbol(&mut self, s: u32) -> Phase {
        let (now, locate) = (self.clock_ns, locate(s as usize));
        let symbol = &self.desk.symbols[s as usize];
        let stock = symbol.stock;
        self.desk.tape.push(
            now,
            &StockDirectory {
                stock,
                market_category: symbol.market_category,
                financial_status: b'N',
                round_lot_size: 100.into(),
                round_lots_only: b'N',
                issue_classification: b'C',
                issue_sub_type: *b"Z ",
                authenticity: b'P',
                short_sale_threshold: b'N',
                ipo_flag: b' ',
                luld_tier: if s < 1_000 { b'1' } else { b'2' },
                etp_flag: b'N',
                inverse: b'N',
                ..StockDirectory::new(locate, now)
            },
        );
        if self.pool.is_none() {
            self.desk.report_state(s as usize, now, b'T', b"    ");
            let tape = &mut self.desk.tape;
            tape.push(now, &RegSho { stock, action: b'0', ..RegSho::new(locate, now) });
            tape.push(
                now,
                &MarketParticipantPosition {
                    mpid: *b"TLMA",
                    stock,
                    primary_market_maker: b'Y',
                    market_maker_mode: b'N',
                    participant_state: b'A',
                    ..MarketParticipantPosition::new(locate, now)
                },
            );
        }
        self.clock_ns += SPIN_GAP_NS;
        Phase::Directory(s + 1)
    }

    fn open_system(&mut self) -> Phase {
        let next = self.system_event(b'S', self.day_time(SYSTEM_OPEN_NS), Phase::Seeding(0));
        // Declines of 7, 13 and 20 % from an index of 5,000, with eight decimals.
        let level = |percent: u64| (5_000 * (100 - percent) * 1_000_000).into();
        let now = self.clock_ns;
        let head = MwcbDecline::new(0, now);
        self.desk.tape.push(now, &MwcbDecline { level_1: level(7), level_2: level(13), level_3: level(20), ..head });
        next
    }

    fn seed_symbol(&mut self, s: u32) -> Phase {
        for order in 0..SEED_ORDERS {
            let side = if order % 2 == 0 { Side::Buy } else { Side::Sell };
            self.desk.seed(s as usize, self.clock_ns, side);
        }
        self.clock_ns += SPIN_GAP_NS;
        Phase::Seeding(s + 1)
    }

    fn pre_open(&mut self) -> Phase {
        if self.clock_ns >= OPENING_NOTICE_NS && !self.noticed {
            return Phase::OpeningNotice(0);
        }
        if self.clock_ns >= MARKET_OPEN_NS || self.is_limit_near() {
            return Phase::OpeningCross(0);
        }
        self.paced(|desk, now| desk.act(now, false));
        Phase::PreOpen
    }

    fn trade(&mut self) -> Phase {
        let close_ns = if self.is_day() { MARKET_CLOSE_NS } else { ENDLESS_CLOSE_NS };
        if self.is_day() && (CLOSING_NOTICE_NS..close_ns).contains(&self.clock_ns) && !self.noticed {
            return Phase::ClosingNotice(0);
        }
        if self.clock_ns >= close_ns || self.is_limit_near() {
            return Phase::ClosingCross(0);
        }
        if self.desk.auctions.due_ns() <= self.clock_ns {
            self.paced(Desk::run_halts);
        } else {
            self.paced(|desk, now| desk.act(now, true));
        }
        Phase::Trading
    }

    /// Runs one action now and lets as much time pass as its messages are worth, so that the mean rate holds although
    /// the messages of one action share their time.
    #[inline]
    fn paced(&mut self, action: impl FnOnce(&mut Desk, u64)) {
        let before = self.desk.tape.written;
        action(&mut self.desk, self.clock_ns);
        let written = self.desk.tape.written - before;
        for _ in 0..written {
            self.clock_ns += self.arrivals.gap_ns(&mut self.desk.rng);
        }
    }

    /// Whether what is left of the message limit is only just enough to close a day in good order.
    fn is_limit_near(&self) -> bool {
        let Some(limit) = self.config.messages.filter(|_| self.is_day()) else { return false };
        let reserve = self.desk.books.live_total() as u64
            + u64::from(self.config.symbols) * u64::from(PER_SYMBOL_RESERVE)
            + DAY_RESERVE;
        limit.saturating_sub(self.desk.tape.written) <= reserve
    }

    fn announce(&mut self, s: u32, cross_type: u8, next: Phase, done: Phase) -> Phase {
        if s == self.config.symbols {
            self.noticed = true;
            return done;
        }
        self.desk.announce(s as usize, self.clock_ns, cross_type);
        self.clock_ns += SPIN_GAP_NS;
        next
    }

    fn hold_cross(&mut self, s: u32, cross_type: u8, next: Phase, done: Phase) -> Phase {
        if s == self.config.symbols {
            self.noticed = false;
            return done;
        }
        self.desk.cross(s as usize, self.clock_ns, cross_type);
        self.clock_ns += SPIN_GAP_NS;
        next
    }

    /// The venue deletes what is left of the day's orders.
    fn clear_symbol(&mut self, s: u32) -> Phase {
        let books = &self.desk.books;
        if s == self.config.symbols {
            return Phase::SystemClosed;
        }
        let live = books.live(s as usize);
        if live == 0 {
            return Phase::Clearing(s + 1);
        }
        let id = books.at(s as usize, live - 1);
        self.desk.delete_order(id, s as usize, self.clock_ns);
        self.clock_ns += SPIN_GAP_NS;
        Phase::Clearing(s)
    }

    #[inline]
    fn mix(&mut self) -> Phase {
        let last = self.config.messages.is_some_and(|limit| self.desk.tape.written + 1 >= limit);
        if last || self.clock_ns >= ENDLESS_CLOSE_NS {
            return Phase::EndOfMessages;
        }
        let pool = self.pool.as_mut().expect("the mix has a pool");
        let Desk { rng, symbols, references, tape, .. } = &mut self.desk;
        pool.step(self.clock_ns, rng, symbols, references, tape);
        self.clock_ns += self.arrivals.gap_ns(rng);
        Phase::Mixing
    }
}
