//! The synthetic market against a slow and obvious book, and its promises: same bytes, mean rate, whole days.

use std::collections::{BTreeMap, HashMap, HashSet};

use venue::market::{HOUR_NS, Market, MarketConfig, Profile};
use wire::itch50::Message;

fn config(profile: Profile, messages: u64) -> MarketConfig {
    MarketConfig { profile, messages: Some(messages), symbols: 60, ..MarketConfig::default() }
}

fn day(messages: u64, hours: f64) -> MarketConfig {
    let rate_per_second = messages as f64 / (hours * 3_600.0);
    MarketConfig { rate_per_second, start_ns: 3 * HOUR_NS, halts_per_hour: 10.0, ..config(Profile::Day, messages) }
}

struct Resting {
    locate: u16,
    side: u8,
    price: u32,
    shares: u32,
}

/// Keeps every rule that a sound market obeys, with maps and without any cleverness.
#[derive(Default)]
struct SlowBook {
    orders: HashMap<u64, Resting>,
    /// Levels of one side of one symbol, each a queue of references.
    levels: HashMap<(u16, u8), BTreeMap<u32, Vec<u64>>>,
    used: HashSet<u64>,
    matches: HashSet<u64>,
    prints: HashSet<u64>,
    residue: HashMap<u16, u64>,
    halted: HashSet<u16>,
    /// Shares that entered the book and shares that left it.
    entered: u64,
    left: u64,
    /// Non-printable executions waiting for the cross that sums them up: match number to shares.
    pending_cross: HashMap<u64, u64>,
    counts: BTreeMap<char, u64>,
    system_events: String,
    last_ns: u64,
    crossable: bool,
}

impl SlowBook {
    fn add(&mut self, locate: u16, reference: u64, side: u8, shares: u32, price: u32) {
        assert!(shares > 0, "an order of nothing");
        assert!(price > 0 && price.is_multiple_of(100), "price {price} is not on the tick");
        assert!(self.used.insert(reference), "reference {reference} used twice");
        let residue = *self.residue.entry(locate).or_insert(reference % 4);
        assert_eq!(reference % 4, residue, "references of locate {locate} share their residue");
        self.orders.insert(reference, Resting { locate, side, price, shares });
        self.levels.entry((locate, side)).or_default().entry(price).or_default().push(reference);
        self.entered += u64::from(shares);
        let best =
            |side| self.levels.get(&(locate, side)).map(|levels| (levels.keys().next(), levels.keys().next_back()));
        if let (Some((_, Some(bid))), Some((Some(ask), _))) = (best(b'B'), best(b'S')) {
            assert!(self.crossable || bid < ask, "locate {locate} is crossed: {bid} against {ask}");
        }
    }

    fn reduce(&mut self, locate: u16, reference: u64, shares: u32) {
        assert!(shares > 0, "a reduction by nothing");
        let order = self.orders.get_mut(&reference).expect("a known reference");
        assert_eq!(order.locate, locate);
        assert!(shares <= order.shares, "overfill of {reference}: {shares} of {}", order.shares);
        order.shares -= shares;
        self.left += u64::from(shares);
        if order.shares == 0 {
            self.remove(reference);
        }
    }

    fn remove(&mut self, reference: u64) -> Resting {
        let order = self.orders.remove(&reference).expect("a known reference");
        let levels = self.levels.get_mut(&(order.locate, order.side)).expect("a side");
        let queue = levels.get_mut(&order.price).expect("a level");
        queue.retain(|other| *other != reference);
        if queue.is_empty() {
            levels.remove(&order.price);
        }
        order
    }

    /// The execution must hit the first order of the best level.
    fn assert_first(&self, reference: u64) {
        let order = &self.orders[&reference];
        let levels = &self.levels[&(order.locate, order.side)];
        let best = if order.side == b'B' { levels.iter().next_back() } else { levels.iter().next() };
        let (price, queue) = best.expect("a level");
        assert_eq!((*price, queue[0]), (order.price, reference), "priority of locate {}", order.locate);
    }

    fn execute(&mut self, locate: u16, reference: u64, shares: u32, halt_allowed: bool) {
        assert!(halt_allowed || !self.halted.contains(&locate), "execution in halted locate {locate}");
        if !self.crossable {
            self.assert_first(reference);
        }
        self.reduce(locate, reference, shares);
    }

    fn apply(&mut self, bytes: &[u8], due_ns: u64) {
        let message = Message::parse(bytes).expect("a whole message");
        assert_eq!(message.as_bytes().len(), bytes.len(), "no byte too many");
        assert_eq!(message.timestamp_ns(), due_ns);
        assert!(due_ns >= self.last_ns, "time runs backwards");
        self.last_ns = due_ns;
        *self.counts.entry(bytes[0] as char).or_default() += 1;
        let locate = message.stock_locate();
        match message {
            Message::SystemEvent(m) => self.system_events.push(m.event_code as char),
            Message::TradingAction(m) if m.state == b'T' => drop(self.halted.remove(&locate)),
            Message::TradingAction(_) => drop(self.halted.insert(locate)),
            Message::AddOrder(m) => self.add(locate, m.order_reference.get(), m.side, m.shares.get(), m.price.get()),
            Message::AddOrderMpid(m) => {
                self.add(locate, m.order_reference.get(), m.side, m.shares.get(), m.price.get())
            }
            Message::OrderExecuted(m) => {
                assert!(self.matches.insert(m.match_number.get()), "a match number of its own");
                self.execute(locate, m.order_reference.get(), m.executed_shares.get(), false);
            }
            Message::OrderExecutedPrice(m) if m.printable == b'N' => {
                *self.pending_cross.entry(m.match_number.get()).or_default() += u64::from(m.executed_shares.get());
                self.execute(locate, m.order_reference.get(), m.executed_shares.get(), true);
            }
            Message::OrderExecutedPrice(m) => {
                assert!(self.matches.insert(m.match_number.get()), "a match number of its own");
                self.execute(locate, m.order_reference.get(), m.executed_shares.get(), false);
            }
            Message::OrderCancel(m) => {
                let reference = m.order_reference.get();
                self.reduce(locate, reference, m.cancelled_shares.get());
                assert!(self.orders.contains_key(&reference), "a cancel leaves something, else it is a delete");
            }
            Message::OrderDelete(m) => self.delete(m.order_reference.get()),
            Message::OrderReplace(m) => {
                let side = self.orders[&m.original_order_reference.get()].side;
                self.delete(m.original_order_reference.get());
                self.add(locate, m.new_order_reference.get(), side, m.shares.get(), m.price.get());
            }
            Message::Trade(m) => {
                assert!(!self.halted.contains(&locate), "trade in halted locate {locate}");
                assert!(self.matches.insert(m.match_number.get()), "a match number of its own");
                self.prints.insert(m.match_number.get());
            }
            Message::CrossTrade(m) => {
                assert!(self.matches.insert(m.match_number.get()), "a match number of its own");
                let executed = self.pending_cross.remove(&m.match_number.get()).unwrap_or(0);
                assert!(m.shares.get() >= executed, "cross of {} sums up {executed}", m.shares.get());
            }
            Message::BrokenTrade(m) => assert!(self.prints.remove(&m.match_number.get()), "breaks a trade that stands"),
            _ => {}
        }
    }

    fn delete(&mut self, reference: u64) {
        let order = self.remove(reference);
        self.left += u64::from(order.shares);
    }

    fn assert_sums(&self) {
        let resting: u64 = self.orders.values().map(|order| u64::from(order.shares)).sum();
        assert_eq!(self.entered, self.left + resting, "shares come from nowhere or go nowhere");
        assert!(self.pending_cross.is_empty(), "auction executions without their cross");
    }
}

/// Plays a market into the slow book.
fn play(config: MarketConfig) -> (SlowBook, Market) {
    let mut book = SlowBook { crossable: config.profile == Profile::BenchMix, ..SlowBook::default() };
    let mut market = Market::new(config).expect("a valid config");
    let mut bytes = Vec::new();
    while let Some(due_ns) = market.next(&mut bytes) {
        book.apply(&bytes, due_ns);
        bytes.clear();
    }
    book.assert_sums();
    (book, market)
}

/// FNV-1a over all bytes and times.
fn digest(config: MarketConfig) -> u64 {
    let mut market = Market::new(config).expect("a valid config");
    let (mut digest, mut bytes) = (0xcbf2_9ce4_8422_2325u64, Vec::new());
    while let Some(due_ns) = market.next(&mut bytes) {
        for byte in bytes.iter().chain(&due_ns.to_be_bytes()) {
            digest = (digest ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        bytes.clear();
    }
    digest
}

/// The digests are part of the promise: a change of the generator that moves them must be wanted.
#[test]
fn same_config_same_bytes() {
    let table: &[(Profile, u64)] = &[
        (Profile::Day, 0x67bc78f62051e22a),
        (Profile::Endless, 0x4357339988f02200),
        (Profile::BenchMix, 0x21d59fc9861ce4f7),
    ];
    for (profile, want) in table {
        let config = config(*profile, 200_000);
        let got = digest(config.clone());
        assert_eq!(got, *want, "profile {profile:?}: {got:#018x}");
        assert_eq!(got, digest(config.clone()), "profile {profile:?}");
        assert_ne!(got, digest(MarketConfig { seed: 2, ..config }), "profile {profile:?}: the seed is not used");
    }
}

#[test]
fn endless_market_is_sound() {
    let (book, market) = play(MarketConfig { halts_per_hour: 1_200.0, ..config(Profile::Endless, 400_000) });
    assert_eq!(market.taken(), 400_000, "the limit is met exactly");
    assert_eq!(book.orders.len(), market.live_orders());
    assert_eq!(book.system_events, "OSQ");
    for letter in "SRHYLVJAFECXDUPQBI".chars() {
        assert!(book.counts.contains_key(&letter), "no {letter} in {:?}", book.counts);
    }
}

#[test]
fn days_are_whole_and_sound() {
    let table: &[(&str, MarketConfig)] = &[
        ("spread over the day", day(150_000, 14.0)),
        ("closed early by the limit", MarketConfig { rate_per_second: 5_000.0, ..day(60_000, 13.0) }),
        ("started after the open", MarketConfig { start_ns: 10 * HOUR_NS, ..day(60_000, 13.0) }),
        ("smallest", MarketConfig { symbols: 3, rate_per_second: 1.0, ..day(172, 13.0) }),
    ];
    for (name, config) in table {
        let limit = config.messages.expect("a limit");
        let (book, market) = play(config.clone());
        assert_eq!(book.system_events, "OSQMEC", "case {name}");
        assert!(book.orders.is_empty(), "case {name}: {} orders left", book.orders.len());
        assert!(market.taken() <= limit, "case {name}: {} messages", market.taken());
        assert!(book.counts[&'Q'] >= 2 * u64::from(config.symbols), "case {name}: {:?}", book.counts);
    }
}

#[test]
fn bench_mix_is_consistent_and_a_full_days_mix() {
    let messages = 1_000_000;
    let (book, market) = play(MarketConfig { symbols: 8_000, ..config(Profile::BenchMix, messages) });
    assert_eq!(market.taken(), messages);
    assert_eq!(book.orders.len(), market.live_orders());
    assert_eq!(book.system_events, "OC");
    let table: &[(char, f64)] =
        &[('A', 44.0), ('D', 42.0), ('U', 8.0), ('E', 3.5), ('F', 0.7), ('X', 0.5), ('P', 0.5), ('I', 0.5), ('C', 0.1)];
    for (letter, want) in table {
        let share = book.counts[letter] as f64 * 100.0 / messages as f64;
        assert!((share - want).abs() < 0.15 * want + 0.05, "{letter} is {share} % and not {want} %");
    }
}

#[test]
fn traded_types_have_the_shares_of_a_market() {
    let (book, _) = play(config(Profile::Endless, 500_000));
    let total: u64 = book.counts.values().sum();
    let table: &[(char, std::ops::Range<f64>)] = &[
        ('A', 40.0..50.0),
        ('D', 30.0..45.0),
        ('U', 5.0..11.0),
        ('E', 2.0..9.0),
        ('X', 0.5..2.0),
        ('F', 0.3..1.2),
        ('P', 0.3..1.2),
        ('C', 0.05..0.5),
    ];
    for (letter, range) in table {
        let share = book.counts[letter] as f64 * 100.0 / total as f64;
        assert!(range.contains(&share), "{letter} is {share} %: {:?}", book.counts);
    }
}

#[test]
fn mean_rate_holds_over_a_million_messages() {
    for (rate_per_second, profile) in
        [(10.0, Profile::Endless), (10_000.0, Profile::Endless), (3e6, Profile::Endless), (3e6, Profile::BenchMix)]
    {
        let spin = 60 * 20;
        let limit = 1_000_000 + spin;
        // At 10 a second a million messages last longer than the time stamps: what fits is measured.
        let mut market = Market::new(MarketConfig { rate_per_second, start_ns: 0, ..config(profile, limit) })
            .expect("a valid config");
        let (mut bytes, mut first, mut last, mut count) = (Vec::new(), 0, 0, 0u64);
        while let Some(due_ns) = market.next(&mut bytes) {
            if market.taken() == spin {
                first = due_ns;
            }
            if market.taken() >= spin && due_ns < 2 * 24 * HOUR_NS {
                last = due_ns;
                count += 1;
            }
            bytes.clear();
        }
        let measured = count as f64 * 1e9 / (last - first) as f64;
        assert!((measured / rate_per_second - 1.0).abs() < 0.05, "{measured} a second instead of {rate_per_second}");
    }
}

#[test]
fn symbols_are_listed_under_their_locates() {
    let mut market = Market::new(config(Profile::Endless, 1_000)).expect("a valid config");
    let mut bytes = Vec::new();
    while market.next(&mut bytes).is_some() {
        if let Ok(Message::StockDirectory(listed)) = Message::parse(&bytes) {
            let text = str::from_utf8(&listed.stock).expect("ASCII").trim_end();
            assert_eq!(market.symbol(listed.stock_locate.get()), Some(text));
        }
        bytes.clear();
    }
    assert_eq!(market.symbol(0), None);
    assert_eq!(market.symbol(61), None);
}
