//! Real data against the results of an independent decoder and book: every figure of the `.ref.json` beside it.

mod common;

use std::collections::BTreeMap;

use common::{Bus, SCALE, config, unpacked};
use market::book::BookLimits;
use market::itch::ItchConfig;
use serde_json::Value;
use shm_abi::counters::LaneCounter;
use shm_abi::layout::row;
use shm_abi::record::{Body, Side, kind};
use wire::itchfile::Messages;

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("a number, not {value}"))
}

/// (price, quantity, orders) as the reference writes it.
fn levels(value: &Value) -> Vec<(u64, u64, u64)> {
    let triple = |level: &Value| (number(&level[0]), number(&level[1]), number(&level[2]));
    value.as_array().expect("levels").iter().map(triple).collect()
}

fn check(file: &str, reference: &str) {
    let (Some(bytes), Some(json)) = (unpacked(file), common::data(reference)) else { return };
    let want: Value = serde_json::from_slice(&json).expect("JSON");
    let limits = BookLimits { max_orders: 1 << 15, max_levels: 1 << 14, instruments: 1 << 16 };
    let mut bus = Bus::with(ItchConfig { limits, crossed_check: false, ..config() });
    let mut by_type: BTreeMap<String, u64> = BTreeMap::new();
    let (mut max_live, mut quotes) = (0, 0u64);
    let mut executed: BTreeMap<(u32, char), u64> = BTreeMap::new();
    for message in Messages::new(&bytes) {
        let (_, message) = message.expect("whole messages");
        *by_type.entry((message[0] as char).to_string()).or_default() += 1;
        let (_, market) = bus.apply(&[message.to_vec()]);
        max_live = max_live.max(bus.feed.book().live_orders() as u64);
        quotes += u64::from(market.iter().any(|got| got.head().kind == kind::QUOTE));
        for got in &market {
            let Body::Trade { quantity, .. } = got.record().body() else { continue };
            *executed.entry((got.head().instrument_id, message[0] as char)).or_default() += quantity;
        }
    }
    assert_eq!(serde_json::to_value(&by_type).expect("JSON"), want["by_type"], "{file}");
    assert_eq!(bus.counter(LaneCounter::Published), number(&want["messages"]), "{file}");
    assert_eq!(bus.counter(LaneCounter::Rejected), 0, "{file}");
    assert_eq!(bus.counter(LaneCounter::UnknownOrder), 0, "{file}");
    assert_eq!(bus.counter(LaneCounter::Malformed), number(&want["bad_length"]), "{file}");
    assert_eq!(bus.feed.book().live_orders() as u64, number(&want["live_orders_at_end"]), "{file}");
    assert_eq!(max_live, number(&want["max_live_orders"]), "{file}");
    assert_eq!(quotes, number(&want["bbo_changes"]), "{file}");
    assert_eq!(bus.counter(LaneCounter::QuoteEvents), number(&want["bbo_changes"]), "{file}");
    assert_eq!(bus.segment.directory().count() as u64, number(&want["symbols_seen"]), "{file}");
    assert_eq!(executed.values().sum::<u64>(), number(&want["executed_total"]), "{file}");
    for symbol in want["top20_by_messages"].as_array().expect("symbols") {
        check_symbol(&bus, symbol, &executed, file);
    }
    let volumes = want["executed_per_symbol"].as_object().expect("symbols");
    let traded = (0..bus.segment.directory().count()).filter(|at| bus.row(*at).word(row::VOLUME) > 0).count();
    assert_eq!(traded, volumes.len(), "{file}");
}

fn check_symbol(bus: &Bus, want: &Value, executed: &BTreeMap<(u32, char), u64>, file: &str) {
    let name = want["symbol"].as_str().expect("a symbol");
    let locate = number(&want["locate"]) as u16;
    let at = bus.feed.row_of_locate(locate.into()).expect("announced");
    let instrument = bus.segment.directory().get(at).expect("an entry");
    assert_eq!(instrument.symbol.as_str(), name, "{file}");
    let image = bus.row(at);
    assert_eq!(image.word(row::VOLUME), number(&want["executed"]), "{file} {name}");
    assert_eq!(bus.feed.book().orders_of(locate.into()) as u64, number(&want["live_orders"]), "{file} {name}");
    for (letter, quantity) in want["executed_parts"].as_object().expect("parts") {
        let key = (instrument.instrument_id, letter.chars().next().expect("a letter"));
        assert_eq!(executed.get(&key).copied(), Some(number(quantity)), "{file} {name} {letter}");
    }
    for (side, five, best) in [(Side::Bid, "bids5", "best_bid"), (Side::Ask, "asks5", "best_ask")] {
        let book: Vec<_> = bus.feed.book().levels(locate.into(), side).take(5).collect();
        let book: Vec<_> = book.iter().map(|l| (l.price.into(), l.quantity, l.orders.into())).collect();
        assert_eq!(book, levels(&want[five]), "{file} {name} {side:?}");
        let window: Vec<_> = image.window(side).take(5).collect();
        let window: Vec<_> = window.iter().map(|l| ((l.price / SCALE) as u64, l.quantity, l.orders.into())).collect();
        assert_eq!(window, levels(&want[five]), "{file} {name} {side:?}");
        let quote = image.best(side).map(|l| ((l.price / SCALE) as u64, l.quantity, u64::from(l.orders)));
        let best = &want[best];
        let best = (!best.is_null()).then(|| (number(&best["price"]), number(&best["qty"]), number(&best["orders"])));
        assert_eq!(quote, best, "{file} {name} {side:?}");
    }
}

#[test]
fn aapl_20200130() {
    check("itch50/nasdaq_20200130_AAPL_first4000.bin", "itch50/nasdaq_20200130_AAPL_first4000.ref.json");
}

#[test]
fn start_of_a_nasdaq_day() {
    check("itch50/nasdaq_startofday_first1000.bin", "itch50/nasdaq_startofday_first1000.ref.json");
}

#[test]
fn es_20240508() {
    check("derived/es_20240508.itch50.gz", "derived/es_20240508.itch50.ref.json");
}
