//! Seeded flows through the normaliser: windows and quotes against a slow model, and a second engine that goes on where
//! the first one stopped.

mod common;
mod iex_bus;

use std::collections::BTreeMap;

use common::{Got, Mirror};
use iex_bus::IexBus;
use iex_bus::flow::{SYMBOLS, flow};
use market::Resume;
use shm_abi::counters::LaneCounter;
use shm_abi::layout::row;
use shm_abi::record::Side;
use wire::iex::Message;
use wire::iextp::Protocol;

const SCALE: i64 = 100_000;

/// Books and quotes of the slow kind: maps, and a copy of the best levels whenever the venue says that they stand.
#[derive(Default)]
struct Slow {
    levels: BTreeMap<([u8; 8], usize), BTreeMap<i64, u64>>,
    quotes: BTreeMap<([u8; 8], usize), Option<(i64, u64)>>,
}

impl Slow {
    fn best(&self, symbol: [u8; 8], side: Side) -> Option<(i64, u64)> {
        let levels = self.levels.get(&(symbol, side.index()))?;
        let best = if side == Side::Bid { levels.last_key_value() } else { levels.first_key_value() };
        best.map(|(price, quantity)| (*price, *quantity))
    }

    fn level(&mut self, side: Side, symbol: [u8; 8], size: u32, price: i64, flags: u8) {
        if (1..1 << 40).contains(&price) {
            let levels = self.levels.entry((symbol, side.index())).or_default();
            match size {
                0 => levels.remove(&price),
                size => levels.insert(price, size.into()),
            };
        }
        if flags & 1 != 0 {
            for side in [Side::Bid, Side::Ask] {
                self.quotes.insert((symbol, side.index()), self.best(symbol, side));
            }
        }
    }

    fn apply(&mut self, bytes: &[u8], protocol: Protocol) {
        match Message::parse(bytes, protocol) {
            Ok(Message::PriceLevelBuy(m)) => {
                self.level(Side::Bid, m.symbol, m.size.get(), m.price.get(), m.event_flags);
            }
            Ok(Message::PriceLevelSell(m)) => {
                self.level(Side::Ask, m.symbol, m.size.get(), m.price.get(), m.event_flags);
            }
            Ok(Message::QuoteUpdate(m)) => {
                let side = |price: i64, size: u32| (size > 0).then_some((price, u64::from(size)));
                self.quotes.insert((m.symbol, 0), side(m.bid_price.get(), m.bid_size.get()));
                self.quotes.insert((m.symbol, 1), side(m.ask_price.get(), m.ask_size.get()));
            }
            _ => {}
        }
    }
}

fn check(bus: &IexBus, slow: &Slow, mirror: &Mirror, context: &str) {
    for (symbol, class) in SYMBOLS.into_iter().zip([5, 10, 0, 10]) {
        let row = bus.row(&symbol);
        let id = bus.segment.directory().get(bus.feed.row_of(&symbol).expect("named")).expect("a row").instrument_id;
        for side in [Side::Bid, Side::Ask] {
            let levels = slow.levels.get(&(symbol, side.index())).cloned().unwrap_or_default();
            let mut levels: Vec<_> = levels.into_iter().map(|(price, quantity)| (price * SCALE, quantity)).collect();
            if side == Side::Bid {
                levels.reverse();
            }
            assert!(bus.feed.levels(&symbol, side).eq(levels.iter().copied()), "{context}: book");
            if bus.feed.live_levels() > 0 {
                levels.truncate(class);
                let window: Vec<_> = row.window(side).map(|level| (level.price, level.quantity)).collect();
                assert_eq!(window, levels, "{context}: window of the row");
                let told: Vec<_> = mirror.window(id, side).into_iter().map(|level| (level.0, level.1)).collect();
                assert_eq!(told, levels, "{context}: window of the records");
            }
            let quote = slow.quotes.get(&(symbol, side.index())).copied().flatten();
            let quote = quote.map(|(price, quantity)| (price * SCALE, quantity));
            assert_eq!(row.best(side).map(|best| (best.price, best.quantity)), quote, "{context}: quote of the row");
            assert_eq!(mirror.quote(id, side).map(|best| (best.0, best.1)), quote, "{context}: quote of the records");
        }
    }
}

#[test]
fn windows_and_quotes_are_those_of_a_slow_model() {
    for protocol in [Protocol::Deep, Protocol::Tops] {
        for seed in 0..40 {
            let mut bus = IexBus::new(protocol);
            let (mut slow, mut mirror) = (Slow::default(), Mirror::default());
            for (i, message) in flow(seed, 400, protocol).into_iter().enumerate() {
                slow.apply(&message, protocol);
                mirror.market(&bus.apply(std::slice::from_ref(&message)));
                if i >= SYMBOLS.len() {
                    check(&bus, &slow, &mirror, &format!("{protocol:?}, seed {seed}, message {i}"));
                }
            }
            bus.assert_balance();
            assert_eq!(bus.counter(LaneCounter::Received), 400);
            assert!(bus.counter(LaneCounter::Rejected) > 0 && bus.counter(LaneCounter::QuoteEvents) > 20);
        }
    }
}

/// Records after sequence `k`, without their numbers: those are the second ring's own.
fn after(records: &[Got], k: u64) -> Vec<Vec<u64>> {
    let late = records.iter().filter(|got| u64::from(got.head().venue_sequence_low) > k);
    late.map(|got| got.words.clone()).collect()
}

#[test]
fn the_rest_is_exact_wherever_the_first_engine_stopped() {
    for seed in 0..60 {
        let protocol = if seed % 2 == 0 { Protocol::Deep } else { Protocol::Tops };
        let messages = flow(seed, 400, protocol);
        let mut first = IexBus::new(protocol);
        let all = first.apply(&messages);
        let k = (seed * 37) % 400;
        let mut second = IexBus::new(protocol);
        // The orders ring of the epoch before had nothing of this feed.
        second.feed.resume(Resume { orders_after: 0, market_after: k });
        let mut again = Vec::new();
        for (i, message) in messages.iter().enumerate() {
            assert_eq!(second.feed.is_rebuilding(), (i as u64) < k, "before message {}", i + 1);
            again.extend(second.apply(std::slice::from_ref(message)));
        }
        let again: Vec<_> = again.into_iter().map(|got| got.words).collect();
        assert!(again == after(&all, k), "seed {seed}");
        assert_eq!(second.counter(LaneCounter::Rebuilt), k);
        assert_eq!(second.counter(LaneCounter::Received), 400 - k);
        second.assert_balance();
        for symbol in SYMBOLS {
            let [one, two] = [&first, &second].map(|bus| bus.row(&symbol));
            for field in (row::TS_EVENT..=row::OPEN_INTEREST).filter(|field| *field != row::VERSION) {
                assert_eq!(one.word(field), two.word(field), "seed {seed}: word {field}");
            }
            for side in [Side::Bid, Side::Ask] {
                assert!(one.window(side).eq(two.window(side)), "seed {seed}: window");
            }
        }
    }
}
