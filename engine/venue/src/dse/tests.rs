//! The market against a slow and obvious book, read by the dialect's own views.

use std::collections::{BTreeMap, HashMap, HashSet};

use wire::dialect::{DSE, Event};

use super::*;

#[derive(Debug, Clone)]
struct Resting {
    book: u64,
    side: u8,
    price: u32,
    shares: u64,
}

/// Keeps every rule that a sound market obeys.
#[derive(Default)]
struct SlowBook {
    tables: BTreeMap<(u64, u64), u64>,
    table_of: HashMap<u64, u64>,
    orders: HashMap<u64, Resting>,
    used: HashSet<u64>,
    /// Print by match number: orderbook, and last price before it. Revoked ones go.
    prints: HashMap<u64, u64>,
    /// Prices of the prints that stand, with their numbers, and the reference price first.
    tape: HashMap<u64, Vec<(u64, u32)>>,
    suspended: HashSet<u64>,
    is_trading: bool,
    events: String,
    counts: BTreeMap<char, u64>,
    last_ns: u64,
    second: u64,
}

impl SlowBook {
    fn assert_on_tick(&self, book: u64, price: u32) {
        let table = self.table_of[&book];
        let price = u64::from(price);
        let (_, tick) = self.tables.range((table, 0)..=(table, price)).next_back().expect("a row");
        assert!(price > 0 && price.is_multiple_of(*tick), "price {price} of {book} is no multiple of {tick}");
    }

    fn best(&self, book: u64, side: u8) -> Option<u32> {
        let prices = self.orders.values().filter(|order| order.book == book && order.side == side);
        let prices = prices.map(|order| order.price).filter(|price| *price != NO_PRICE);
        if side == b'B' { prices.max() } else { prices.min() }
    }

    fn assert_not_crossed(&self, book: u64) {
        if let (true, Some(bid), Some(ask)) = (self.is_trading, self.best(book, b'B'), self.best(book, b'S')) {
            assert!(bid < ask, "{book} is crossed: {bid} against {ask}");
        }
    }

    fn add(&mut self, reference: u64, order: Resting) {
        assert!(self.used.insert(reference), "order {reference} again");
        assert!(order.shares > 0 && matches!(order.side, b'B' | b'S'));
        assert!(!self.suspended.contains(&order.book), "an order in suspended {}", order.book);
        if order.price != NO_PRICE {
            self.assert_on_tick(order.book, order.price);
        }
        let book = order.book;
        self.orders.insert(reference, order);
        self.assert_not_crossed(book);
    }

    fn execute(&mut self, reference: u64, shares: u64, number: u64, price: Option<u32>, is_printed: bool) {
        let order = self.orders[&reference].clone();
        if self.is_trading && order.price != NO_PRICE {
            assert_eq!(self.best(order.book, order.side), Some(order.price), "{reference} is not the best");
        }
        assert!(shares <= order.shares, "{reference} has {} and not {shares}", order.shares);
        let price = price.unwrap_or(order.price);
        self.assert_on_tick(order.book, price);
        if is_printed {
            self.print(order.book, number, price);
        }
        match order.shares - shares {
            0 => drop(self.orders.remove(&reference)),
            left => self.orders.get_mut(&reference).expect("it is there").shares = left,
        }
    }

    /// Both sides of a match may tell it; it counts once.
    fn print(&mut self, book: u64, number: u64, price: u32) {
        if self.prints.insert(number, book).is_none() {
            self.tape.get_mut(&book).expect("a reference price").push((number, price));
        }
    }

    fn last(&self, book: u64) -> u32 {
        self.tape[&book].last().expect("a reference price").1
    }

    fn apply(&mut self, bytes: &[u8], due_ns: u64) {
        let view = DSE.view(bytes).expect("a message of the dialect");
        assert!(!view.extended());
        *self.counts.entry(bytes[0] as char).or_default() += 1;
        assert!(due_ns >= self.last_ns, "time runs backwards");
        self.last_ns = due_ns;
        let number = |role| view.u64(role).unwrap_or_else(|| panic!("no {role:?} in {bytes:?}"));
        if view.event() != Event::Timestamp {
            assert_eq!(self.second * 1_000_000_000 + number(Role::TimestampNs), due_ns);
        }
        let price = || number(Role::Price) as u32;
        match view.event() {
            Event::Timestamp => {
                assert!(number(Role::Seconds) > self.second);
                self.second = number(Role::Seconds);
            }
            Event::SystemEvent => {
                let code = number(Role::EventCode) as u8;
                self.events.push(code as char);
                self.is_trading = code == b'Q';
                self.table_of.keys().for_each(|book| self.assert_not_crossed(*book));
            }
            Event::PriceTick => {
                self.tables.insert((number(Role::TableId), number(Role::TickStart)), number(Role::Tick));
            }
            Event::Orderbook => drop(self.table_of.insert(number(Role::Orderbook), number(Role::PriceTickTable))),
            Event::ReferencePrice => {
                self.assert_on_tick(number(Role::Orderbook), price());
                self.tape.insert(number(Role::Orderbook), vec![(0, price())]);
            }
            Event::TradingAction if number(Role::State) as u8 == b'V' => {
                self.suspended.insert(number(Role::Orderbook));
            }
            Event::TradingAction => drop(self.suspended.remove(&number(Role::Orderbook))),
            Event::Add => {
                let order = Resting {
                    book: number(Role::Orderbook),
                    side: number(Role::Side) as u8,
                    price: price(),
                    shares: number(Role::Quantity),
                };
                self.add(number(Role::Reference), order);
            }
            Event::Execute => {
                let (reference, shares) = (number(Role::Reference), number(Role::Quantity));
                self.execute(reference, shares, number(Role::MatchNumber), None, true);
            }
            Event::ExecutePrice => {
                let (reference, shares) = (number(Role::Reference), number(Role::Quantity));
                let is_printed = number(Role::Printable) as u8 == b'Y';
                self.execute(reference, shares, number(Role::MatchNumber), Some(price()), is_printed);
            }
            Event::Delete => drop(self.orders.remove(&number(Role::Reference)).expect("a known order")),
            Event::Replace => {
                let old = self.orders.remove(&number(Role::Reference)).expect("a known order");
                if number(Role::Reference) == number(Role::NewReference) {
                    self.used.remove(&number(Role::Reference));
                }
                let (price, shares) = (price(), number(Role::Quantity));
                self.add(number(Role::NewReference), Resting { price, shares, ..old });
            }
            Event::Trade => {
                self.assert_on_tick(number(Role::Orderbook), price());
                if number(Role::Printable) as u8 == b'Y' {
                    self.print(number(Role::Orderbook), number(Role::MatchNumber), price());
                }
            }
            Event::BrokenTrade => {
                let book = self.prints.remove(&number(Role::MatchNumber)).expect("a print that stands");
                let tape = self.tape.get_mut(&book).expect("a tape");
                tape.retain(|print| print.0 != number(Role::MatchNumber));
            }
            Event::ClosePrice if price() != NO_PRICE => {
                assert_eq!(price(), self.last(number(Role::Orderbook)), "close of {}", number(Role::Orderbook));
            }
            Event::Indicative if price() != NO_PRICE => {
                assert!(number(Role::Quantity) > 0);
                self.assert_on_tick(number(Role::Orderbook), price());
            }
            _ => {}
        }
    }
}

fn config(messages: u64) -> DseConfig {
    DseConfig { messages: Some(messages), instruments: 60, ..DseConfig::default() }
}

fn all(config: &DseConfig, channel: Channel) -> Vec<(u64, Vec<u8>)> {
    let mut market = DseMarket::new(config.clone(), channel).expect("a valid config");
    std::iter::from_fn(|| {
        let mut bytes = Vec::new();
        market.next(&mut bytes).map(|due_ns| (due_ns, bytes))
    })
    .collect()
}

#[test]
fn every_edition_is_sound() {
    let lengths: &[(Edition, bool, &[(u8, usize)])] = &[
        (Edition::V22, false, &[(b'R', 171), (b'A', 34), (b'U', 37), (b'C', 38), (b'Q', 34)]),
        (Edition::V20, false, &[(b'R', 163), (b'A', 30), (b'U', 33), (b'C', 34), (b'Q', 30)]),
        (Edition::Mixed, false, &[(b'R', 163), (b'A', 34), (b'U', 37), (b'C', 38), (b'Q', 34)]),
        (Edition::V22, true, &[(b'F', 38), (b'A', 34)]),
        (Edition::V20, true, &[(b'F', 34), (b'A', 30)]),
    ];
    for (edition, participants, lengths) in lengths {
        let config = DseConfig { edition: *edition, participants: *participants, ..config(20_000) };
        let mut book = SlowBook::default();
        for (due_ns, bytes) in all(&config, Channel::Market) {
            if let Some((_, length)) = lengths.iter().find(|(message_type, _)| *message_type == bytes[0]) {
                assert_eq!(bytes.len(), *length, "{edition:?} {}", bytes[0] as char);
            }
            book.apply(&bytes, due_ns);
        }
        assert_eq!(book.events, "OSQMEC", "{edition:?}");
        let letters = if *participants { "TSLMPRHAFECBDUIQ" } else { "TSLMPRHAECBDUIQ" };
        for letter in letters.chars() {
            assert!(book.counts.contains_key(&letter), "{edition:?}: no {letter} in {:?}", book.counts);
        }
        assert!(!book.counts.keys().any(|letter| "ZN".contains(*letter)), "{:?}", book.counts);
    }
}

#[test]
fn a_day_has_its_times() {
    let config = DseConfig { profile: Profile::Day, rate_per_second: 3.0, instruments: 60, ..DseConfig::default() };
    let mut book = SlowBook::default();
    let mut times = Vec::new();
    for (due_ns, bytes) in all(&config, Channel::Market) {
        if bytes[0] == b'S' {
            times.push((bytes[13], due_ns));
        }
        book.apply(&bytes, due_ns);
    }
    let at = |code: u8| times.iter().find(|(other, _)| *other == code).expect("an event").1;
    assert_eq!((at(b'S'), at(b'E')), (PRE_OPEN_NS, POST_CLOSE_END_NS));
    assert!(at(b'Q').abs_diff(OPEN_NS) < 10_000_000_000 && at(b'M').abs_diff(CLOSE_NS) < 10_000_000_000, "{times:?}");
    assert!(book.counts[&'I'] > 20 && book.counts[&'H'] > 60, "{:?}", book.counts);
}

/// The channels of one config are one story: an index is what the prints before it make of it.
#[test]
fn indices_follow_the_prices() {
    let config = DseConfig { index_interval_ms: 500, ..config(30_000) };
    let (market, indices) = (all(&config, Channel::Market), all(&config, Channel::Index));
    let (listed, _) = listing::list(&config, &mut Rng::new(config.seed));
    let mut book = SlowBook::default();
    let (mut at, mut checked, mut changed) = (0, 0, HashSet::new());
    for (due_ns, bytes) in indices {
        let view = DSE.view(&bytes).expect("a message");
        if view.event() != Event::IndexValue {
            assert!(matches!(bytes[0], b'T' | b'S' | b'L' | b'M' | b'P' | b'R' | b'H'), "{}", bytes[0] as char);
            continue;
        }
        while let Some((_, bytes)) = market.get(at).filter(|message| message.0 < due_ns) {
            book.apply(bytes, market[at].0);
            at += 1;
        }
        let number = (view.u64(Role::Orderbook).expect("a number") - u64::from(INDEX_BASE)) as usize;
        let value = view.u64(Role::IndexValue).expect("a value");
        let (mut now, mut base) = (0, 0);
        for instrument in &listed {
            if number == 0 || (number == 1 && instrument.in_blue_chips) || (number == 2 && instrument.in_shariah) {
                let issued = u128::from(instrument.issued);
                now += issued * u128::from(book.last(instrument.orderbook.into()));
                base += issued * u128::from(instrument.reference);
            }
        }
        let want = (now * u128::from(INDICES[number].2) / base) as u64;
        assert_eq!(value, want, "index {number} at {due_ns}");
        checked += 1;
        changed.insert(value);
    }
    assert!(checked > 50 && changed.len() > 20, "{checked} values, {} different", changed.len());
}

#[test]
fn news_are_text_in_two_languages() {
    let config = DseConfig { news_per_hour: 36_000.0, ..config(30_000) };
    let (mut bangla, mut general, mut count) = (0, 0, 0);
    for (_, bytes) in all(&config, Channel::News) {
        let view = DSE.view(&bytes).expect("a message");
        if view.event() != Event::News {
            continue;
        }
        count += 1;
        assert_eq!(view.u64(Role::NewsId), Some(count));
        let text = |role| str::from_utf8(view.bytes(role).expect("a text")).expect("UTF-8").to_owned();
        let (title, body) = (text(Role::Title), text(Role::Text));
        assert!(!title.is_empty() && title.len() <= 80, "{} bytes: {title}", title.len());
        assert!(!body.is_empty() && body.len() <= 511, "{} bytes: {body}", body.len());
        bangla += u64::from(!title.is_ascii());
        general += u64::from(view.u64(Role::Orderbook) == Some(0));
    }
    assert!(count > 50 && bangla > 10 && general > 3, "{count} news, {bangla} in Bangla, {general} of the market");
}

/// FNV-1a over all bytes and times.
fn digest(config: &DseConfig, channel: Channel) -> u64 {
    all(config, channel).into_iter().fold(0xcbf2_9ce4_8422_2325, |digest, (due_ns, bytes)| {
        let all = bytes.into_iter().chain(due_ns.to_be_bytes());
        all.fold(digest, |digest, byte| (digest ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
    })
}

/// The digest is part of the promise: a change of the generator that moves it must be wanted.
#[test]
fn same_config_same_bytes() {
    let config = config(20_000);
    let got = digest(&config, Channel::Market);
    assert_eq!(got, digest(&config, Channel::Market));
    assert_ne!(got, digest(&DseConfig { seed: 2, ..config.clone() }, Channel::Market), "the seed is not used");
    assert_eq!(got, 0xa4a6be67fda3280f, "{got:#018x}");
}

#[test]
fn ranges_are_checked() {
    let base = DseConfig::default();
    let table: &[(&str, DseConfig, Option<&str>)] = &[
        ("default", base.clone(), None),
        ("mix", DseConfig { profile: Profile::BenchMix, ..base.clone() }, Some("must be day or endless")),
        ("few", DseConfig { instruments: 39, ..base.clone() }, Some("instruments is 39; it must be 40 to 5000")),
        ("news", DseConfig { news_per_hour: -1.0, ..base.clone() }, Some("news per hour is -1")),
        ("indices", DseConfig { index_interval_ms: 0, ..base }, Some("index interval (ms) is 0")),
    ];
    for (name, config, want) in table {
        let got = config.validate().err().map(|error| error.to_string());
        assert_eq!(got.is_some(), want.is_some(), "case {name}: {got:?}");
        assert!(got.unwrap_or_default().contains(want.unwrap_or("")), "case {name}");
    }
}
