//! A synthetic Dhaka Stock Exchange market: X-stream ITCH messages, one by one, the same bytes for the same config.
//!
//! One market has three channels, as the venue's client types: orders and trades, indices, news. Each is a market of its
//! own here that goes through the same course and hands out its channel's messages, so the three agree without a word.
//!
//! Invented: companies, prices, news. After the document "dse-itch": messages, their order over the day, special cases.

mod auction;
mod config;
mod desk;
mod directory;
mod listing;
mod news;
mod orders;
mod pen;

pub use config::{Channel, DseConfig, Edition, MAX_INSTRUMENTS, MIN_INSTRUMENTS};
use wire::dialect::{Role, Value};

use self::desk::Desk;
use self::listing::{Company, INDEX_BASE, INDICES, index_values};
use self::pen::{NO_PRICE, Pen};
use crate::market::arrivals::Arrivals;
use crate::market::book::Side;
use crate::market::rng::Rng;
use crate::market::{ConfigError, HOUR_NS, Profile};

/// Between messages that come for all instruments at once.
const SPIN_GAP_NS: u64 = 1_000;
const MINUTE_NS: u64 = HOUR_NS / 60;
/// The venue's day, in nanoseconds since midnight.
const PRE_OPEN_NS: u64 = 9 * HOUR_NS + 55 * MINUTE_NS;
const OPEN_NS: u64 = 10 * HOUR_NS;
const CLOSE_NS: u64 = 14 * HOUR_NS + 20 * MINUTE_NS;
const POST_CLOSE_END_NS: u64 = 14 * HOUR_NS + 30 * MINUTE_NS;
/// An endless market closes before its second midnight.
const ENDLESS_CLOSE_NS: u64 = 47 * HOUR_NS;
/// Orders that each instrument has before the pre-open begins in an endless market.
const SEED_ORDERS: u32 = 8;
/// Messages of the pre-open of an endless market, for each instrument.
const ENDLESS_PRE_OPEN: u64 = 4;
/// Between two suspensions, on average, and the length of one.
const SUSPENSION_GAP_NS: u64 = 10 * MINUTE_NS;
const SUSPENSION_NS: u64 = 2 * MINUTE_NS;
const BOARDS_EVENT_GROUP: &str = "";

/// Where a market stands in its course. The numbers are the next to handle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    StartOfMessages,
    Ticks,
    Companies(u32),
    Orderbooks(u32),
    References(u32),
    SystemHours,
    States(u32),
    Seeding(u32),
    PreOpen,
    Uncross(u32),
    MarketHours,
    Trading,
    MarketClosed,
    ClosePrices(u32),
    SystemClosed,
    EndOfMessages,
    Over,
}

/// A seeded market, seen by one channel. Ask it for messages with [`DseMarket::next`].
pub struct DseMarket {
    config: DseConfig,
    desk: Desk,
    companies: Vec<Company>,
    arrivals: Arrivals,
    phase: Phase,
    clock_ns: u64,
    next_index_ns: u64,
    next_news_ns: u64,
    news: u32,
    /// When the next instrument is suspended, and the ones that are, with their ends.
    next_suspension_ns: u64,
    suspended: Vec<(usize, u64)>,
    /// Messages made when the pre-open began.
    pre_open_from: u64,
}

impl std::fmt::Debug for DseMarket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DseMarket").field("phase", &self.phase).finish_non_exhaustive()
    }
}

impl DseMarket {
    /// Lists the instruments.
    ///
    /// # Errors
    /// The first setting that is out of its range.
    pub fn new(config: DseConfig, channel: Channel) -> Result<Self, ConfigError> {
        config.validate()?;
        let mut rng = Rng::new(config.seed);
        let (instruments, companies) = listing::list(&config, &mut rng);
        let pen = Pen::new(channel, config.edition);
        Ok(Self {
            desk: Desk::new(&config, rng, instruments, pen, companies.len() as u32),
            companies,
            arrivals: Arrivals::new(config.rate_per_second, config.burstiness),
            phase: Phase::StartOfMessages,
            clock_ns: config.start_ns,
            next_index_ns: 0,
            next_news_ns: config.start_ns,
            news: 0,
            next_suspension_ns: config.start_ns + SUSPENSION_GAP_NS,
            suspended: Vec::new(),
            pre_open_from: 0,
            config,
        })
    }

    /// Appends the channel's next message to `out`, and returns the time it is due in nanoseconds since midnight in Dhaka,
    /// which is also its stamp. Times never decrease. `None`, and nothing appended, when the market is over.
    pub fn next(&mut self, out: &mut Vec<u8>) -> Option<u64> {
        loop {
            if let Some(due_ns) = self.desk.pen.take(out) {
                return Some(due_ns);
            }
            if self.phase == Phase::Over {
                return None;
            }
            self.step();
        }
    }

    /// Messages made so far, of all channels.
    #[must_use]
    pub fn made(&self) -> u64 {
        self.desk.pen.made
    }

    /// Orders that are live after the messages handed out and those of the same step that are not yet.
    #[must_use]
    pub fn live_orders(&self) -> usize {
        self.desk.books.live_total() + self.desk.waiting.iter().map(Vec::len).sum::<usize>()
    }

    /// All branches of a market's course.
    fn step(&mut self) {
        use Phase::*;
        let all = self.config.instruments;
        self.phase = match self.phase {
            StartOfMessages => self.system_event(b'O', self.clock_ns, Ticks),
            Ticks => self.tell_ticks(),
            Companies(at) if at as usize == self.companies.len() => Orderbooks(0),
            Companies(at) => self.tell_company(at),
            Orderbooks(at) if at == all + INDICES.len() as u32 => References(0),
            Orderbooks(at) => self.tell_orderbook(at),
            References(at) if at == all => SystemHours,
            References(at) => self.tell_reference(at),
            SystemHours => self.system_event(b'S', self.day_time(PRE_OPEN_NS), States(0)),
            States(at) if at == all && self.is_day() => self.begin_pre_open(),
            States(at) if at == all => Seeding(0),
            States(at) => self.tell_state(at),
            Seeding(at) if at == all => self.begin_pre_open(),
            Seeding(at) => self.seed(at),
            PreOpen => self.pre_open(),
            Uncross(at) if at == all => MarketHours,
            Uncross(at) => self.uncross(at),
            MarketHours => self.system_event(b'Q', self.clock_ns, Trading),
            Trading => self.trade(),
            MarketClosed => self.system_event(b'M', self.clock_ns, ClosePrices(0)),
            ClosePrices(at) if at == all => SystemClosed,
            ClosePrices(at) => self.tell_close(at),
            SystemClosed => self.system_event(b'E', self.day_time(POST_CLOSE_END_NS), EndOfMessages),
            EndOfMessages => self.system_event(b'C', self.clock_ns, Over),
            Over => Over,
        };
    }

    fn is_day(&self) -> bool {
        self.config.profile == Profile::Day
    }

    fn is_limit_met(&self) -> bool {
        self.config.messages.is_some_and(|limit| self.made() >= limit)
    }

    /// A fixed time of the day's course; only a day waits for it, and only one that does not close early.
    fn day_time(&self, ns: u64) -> u64 {
        if self.is_day() && !self.is_limit_met() { self.clock_ns.max(ns) } else { self.clock_ns }
    }

    fn write(&mut self, form: (u8, pen::Lengths), values: &[(Role, Value<'_>)]) {
        self.desk.pen.write(self.clock_ns, form, values);
        self.clock_ns += SPIN_GAP_NS;
    }

    fn system_event(&mut self, code: u8, at_ns: u64, next: Phase) -> Phase {
        self.clock_ns = at_ns;
        self.write(pen::SYSTEM, &[(Role::Group, BOARDS_EVENT_GROUP.into()), (Role::EventCode, Value::Letter(code))]);
        next
    }

    fn begin_pre_open(&mut self) -> Phase {
        self.pre_open_from = self.made();
        Phase::PreOpen
    }

    fn seed(&mut self, at: u32) -> Phase {
        for order in 0..SEED_ORDERS {
            let side = if order % 2 == 0 { Side::Buy } else { Side::Sell };
            self.desk.seed(at as usize, self.clock_ns, side);
        }
        self.clock_ns += SPIN_GAP_NS;
        Phase::Seeding(at + 1)
    }

    fn pre_open(&mut self) -> Phase {
        let is_over = match self.is_day() {
            true => self.clock_ns >= OPEN_NS,
            false => self.made() - self.pre_open_from >= ENDLESS_PRE_OPEN * u64::from(self.config.instruments),
        };
        if is_over || self.is_limit_met() {
            return Phase::Uncross(0);
        }
        self.tell_news();
        self.paced(|desk, now| match desk.rng.chance(0.1) {
            true => {
                let s = desk.rng.below(desk.instruments.len() as u32) as usize;
                desk.announce(s, now);
            }
            false => desk.act(now, false),
        });
        Phase::PreOpen
    }

    fn uncross(&mut self, at: u32) -> Phase {
        self.desk.uncross(at as usize, self.clock_ns);
        self.clock_ns += SPIN_GAP_NS;
        Phase::Uncross(at + 1)
    }

    fn trade(&mut self) -> Phase {
        let close_ns = if self.is_day() { CLOSE_NS } else { ENDLESS_CLOSE_NS };
        if self.clock_ns >= close_ns || self.is_limit_met() {
            self.tell_indices();
            return Phase::MarketClosed;
        }
        self.tell_news();
        self.run_suspensions();
        if self.clock_ns >= self.next_index_ns {
            self.tell_indices();
        }
        self.paced(|desk, now| desk.act(now, true));
        Phase::Trading
    }

    /// Runs one action now and lets as much time pass as its messages are worth.
    fn paced(&mut self, action: impl FnOnce(&mut Desk, u64)) {
        let before = self.desk.pen.made;
        action(&mut self.desk, self.clock_ns);
        // An action without a message takes time too, or nothing would ever happen again.
        for _ in 0..(self.desk.pen.made - before).max(1) {
            self.clock_ns += self.arrivals.gap_ns(&mut self.desk.rng);
        }
    }

    /// All indices at one moment that no trade shares.
    fn tell_indices(&mut self) {
        self.clock_ns += SPIN_GAP_NS;
        self.next_index_ns = self.clock_ns + self.config.index_interval_ms * 1_000_000;
        for (number, value) in (INDEX_BASE..).zip(index_values(&self.desk.instruments)) {
            let values = [(Role::Orderbook, number.into()), (Role::IndexValue, value.into())];
            self.desk.pen.write(self.clock_ns, pen::INDEX, &values);
        }
        self.clock_ns += SPIN_GAP_NS;
    }

    fn tell_news(&mut self) {
        if self.clock_ns < self.next_news_ns || self.config.news_per_hour == 0.0 {
            return;
        }
        let gap = self.desk.rng.exponential() * HOUR_NS as f64 / self.config.news_per_hour;
        self.next_news_ns = self.clock_ns.saturating_add(gap.min(1e18) as u64);
        self.news += 1;
        let item = news::item(self.news, &self.desk.instruments, &mut self.desk.rng);
        let values = [
            (Role::Orderbook, item.orderbook.into()),
            (Role::NewsId, self.news.into()),
            (Role::FirmId, "DSE".into()),
            (Role::Title, item.title.as_str().into()),
            (Role::NewsReference, item.reference.as_str().into()),
            (Role::Text, item.text.as_str().into()),
        ];
        self.write(pen::NEWS, &values);
    }

    /// Suspends an instrument now and then, and lets it trade again.
    fn run_suspensions(&mut self) {
        if let Some(at) = self.suspended.iter().position(|(_, until)| *until <= self.clock_ns) {
            let (s, _) = self.suspended.swap_remove(at);
            self.write_state(s, b'T');
        }
        if self.clock_ns >= self.next_suspension_ns {
            self.next_suspension_ns = self.clock_ns + SUSPENSION_GAP_NS;
            let s = self.desk.rng.below(self.config.instruments) as usize;
            if self.desk.instruments[s].is_open {
                self.suspended.push((s, self.clock_ns + SUSPENSION_NS));
                self.write_state(s, b'V');
            }
        }
    }

    /// A trade that is none: the close.
    fn tell_close(&mut self, at: u32) -> Phase {
        let s = at as usize;
        let price = if self.desk.instruments[s].has_traded { self.desk.instruments[s].last } else { NO_PRICE };
        let values = [
            (Role::Orderbook, self.desk.orderbook(s)),
            (Role::Printable, Value::Letter(b'N')),
            (Role::Price, price.into()),
        ];
        self.write(pen::TRADE, &values);
        Phase::ClosePrices(at + 1)
    }
}

#[cfg(test)]
mod tests;
