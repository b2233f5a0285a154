//! The figures of the reference results, computed from what stands on the bus and from nothing else.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use serde_json::Value;
use shm_abi::board::RowImage;
use shm_abi::record::{Side, StatusCause, flag, kind, official_code, trade_code};
use shm_abi::segment::Segment;

use crate::bus::{Recording, Seen};

#[derive(Debug, Clone, Copy)]
struct Order {
    instrument: u32,
    side: u8,
    price: i64,
    quantity: u64,
}

/// What the bus says about a file.
#[derive(Debug, Default)]
pub struct Figures {
    pub by_type: BTreeMap<String, u64>,
    pub live_orders: usize,
    pub max_live_orders: usize,
    pub bbo_changes: usize,
    /// By instrument id.
    pub executed: BTreeMap<u32, u64>,
    /// (instrument, side) -> price -> (quantity, orders).
    levels: HashMap<(u32, u8), BTreeMap<i64, (u64, u64)>>,
}

/// Records of one venue message, in both rings.
#[derive(Default)]
struct Event<'r> {
    orders: Vec<&'r Seen>,
    market: Vec<&'r Seen>,
}

impl Figures {
    pub fn of(recording: &Recording) -> Figures {
        let mut events: BTreeMap<u32, Event<'_>> = BTreeMap::new();
        for seen in &recording.orders {
            events.entry(seen.venue_sequence).or_default().orders.push(seen);
        }
        for seen in &recording.market {
            events.entry(seen.venue_sequence).or_default().market.push(seen);
        }
        let mut figures = Figures::default();
        let mut orders: HashMap<u64, Order> = HashMap::new();
        for event in events.values() {
            let letter = letter(event, &orders);
            *figures.by_type.entry(letter).or_default() += 1;
            figures.bbo_changes += usize::from(event.market.iter().any(|seen| seen.kind == kind::QUOTE));
            for trade in
                event.market.iter().filter(|seen| seen.kind == kind::TRADE && seen.flags & flag::NOT_PRINTED == 0)
            {
                *figures.executed.entry(trade.instrument_id).or_default() += trade.body[2];
            }
            for seen in &event.orders {
                figures.apply(seen, &mut orders);
            }
            figures.max_live_orders = figures.max_live_orders.max(orders.len());
        }
        figures.live_orders = orders.len();
        for order in orders.values() {
            let level =
                figures.levels.entry((order.instrument, order.side)).or_default().entry(order.price).or_default();
            level.0 += order.quantity;
            level.1 += 1;
        }
        figures
    }

    fn apply(&mut self, seen: &Seen, orders: &mut HashMap<u64, Order>) {
        let (id, price, quantity) = (seen.body[0], seen.body[1] as i64, seen.body[2]);
        match seen.kind {
            kind::ADD => {
                let order = Order { instrument: seen.instrument_id, side: seen.side_or_code, price, quantity };
                assert!(orders.insert(id, order).is_none(), "order {id} added twice");
            }
            kind::CANCEL => {
                let order = orders.get_mut(&id).unwrap_or_else(|| panic!("cancel of unknown order {id}"));
                assert!(order.price == price && order.quantity >= quantity, "cancel {seen:?} of {order:?}");
                order.quantity -= quantity;
                if order.quantity == 0 {
                    orders.remove(&id);
                }
            }
            kind::CLEAR => orders.retain(|_, order| order.instrument != seen.instrument_id),
            _ => {}
        }
    }

    /// Live orders of one instrument.
    pub fn live_of(&self, instrument: u32) -> u64 {
        let sides = [Side::Bid, Side::Ask];
        sides.iter().flat_map(|side| self.levels(instrument, *side)).map(|(_, _, orders)| orders).sum()
    }

    /// Levels of one side, best first: (price, quantity, orders).
    pub fn levels(&self, instrument: u32, side: Side) -> Vec<(i64, u64, u64)> {
        let Some(levels) = self.levels.get(&(instrument, side as u8)) else { return Vec::new() };
        let ascending = levels.iter().map(|(price, (quantity, orders))| (*price, *quantity, *orders));
        match side {
            Side::Bid => ascending.rev().collect(),
            Side::Ask => ascending.collect(),
        }
    }
}

/// The venue's message type that an event came from, told from its records.
fn letter(event: &Event<'_>, orders: &HashMap<u64, Order>) -> String {
    let kinds: Vec<u8> = event.orders.iter().map(|seen| seen.kind).collect();
    let first = |wanted: u8| event.market.iter().find(|seen| seen.kind == wanted);
    let letter = match kinds[..] {
        [kind::ADD] => b'A',
        [kind::CANCEL, kind::ADD] => b'U',
        [kind::CANCEL] => {
            let cancel = event.orders[0];
            if orders[&cancel.body[0]].quantity == cancel.body[2] { b'D' } else { b'X' }
        }
        [kind::TRADE, kind::FILL, kind::CANCEL] => b'E',
        [kind::FILL, kind::CANCEL] => b'C',
        [kind::TRADE] => match event.orders[0].side_or_code {
            trade_code::CROSS_OPEN | trade_code::CROSS_CLOSE | trade_code::CROSS_HALT => b'Q',
            // DSE: a trade against no order of the book. Nasdaq's are against orders that were never shown.
            _ if event.orders[0].flags & flag::HIDDEN == 0 => b'Q',
            _ => b'P',
        },
        [kind::TRADE_BREAK] => b'B',
        _ => {
            if let Some(status) = first(kind::STATUS) {
                match status.body[0] as u8 {
                    code if code == StatusCause::TradingAction as u8 => b'H',
                    code if code == StatusCause::SystemEvent as u8 => b'S',
                    code if code == StatusCause::ShortSale as u8 => b'Y',
                    code if code == StatusCause::OperationalHalt as u8 => b'h',
                    code if code == StatusCause::CircuitBreaker as u8 => b'W',
                    _ => b'?',
                }
            } else if first(kind::INSTRUMENT).is_some() {
                b'R'
            } else if let Some(message) = first(kind::VENUE_MESSAGE) {
                message.body[1] as u8
            } else if first(kind::IMBALANCE).is_some() {
                b'I'
            } else if first(kind::PRICE_BAND).is_some() {
                b'J'
            } else if let Some(price) = first(kind::OFFICIAL_PRICE) {
                // DSE: reference prices come as orders, closing prices as trades.
                if price.side_or_code == official_code::REFERENCE { b'A' } else { b'Q' }
            } else if first(kind::INDICATIVE).is_some() {
                b'I'
            } else if first(kind::INDEX_VALUE).is_some() {
                b'Z'
            } else if first(kind::NEWS).is_some() {
                b'N'
            } else {
                b'?'
            }
        }
    };
    char::from(letter).to_string()
}

/// Raw prices of the reference are 1e-4, ours 1e-9.
const SCALE: i64 = 100_000;

/// Holds the bus against a `.ref.json`: every figure in it.
pub fn assert_reference(reference: &Path, recording: &Recording, segment: &Segment) {
    let reference: Value = serde_json::from_str(&std::fs::read_to_string(reference).unwrap()).unwrap();
    let name = reference["file"].as_str().unwrap();
    let figures = Figures::of(recording);
    let number = |key: &str| reference[key].as_u64().unwrap();
    let by_type: BTreeMap<String, u64> = serde_json::from_value(reference["by_type"].clone()).unwrap();
    assert_eq!(figures.by_type, by_type, "{name}: messages by type");
    assert_eq!(figures.by_type.values().sum::<u64>(), number("messages"), "{name}: messages");
    assert_eq!(number("bad_length"), 0);
    assert_eq!(figures.live_orders as u64, number("live_orders_at_end"), "{name}: live orders");
    assert_eq!(figures.max_live_orders as u64, number("max_live_orders"), "{name}: most live orders");
    assert_eq!(figures.bbo_changes as u64, number("bbo_changes"), "{name}: best-quote changes");
    assert_eq!(figures.executed.values().sum::<u64>(), number("executed_total"), "{name}: executed volume");
    let directory = segment.directory();
    assert_eq!(directory.count() as u64, number("symbols_seen"), "{name}: symbols");
    let rows: HashMap<String, usize> =
        (0..directory.count()).map(|row| (directory.get(row).unwrap().symbol.to_string(), row)).collect();
    for (symbol, volume) in reference["executed_per_symbol"].as_object().unwrap() {
        let id = directory.get(rows[symbol]).unwrap().instrument_id;
        assert_eq!(figures.executed.get(&id), volume.as_u64().as_ref(), "{name}: volume of {symbol}");
    }
    let mut image = RowImage::default();
    for top in reference["top20_by_messages"].as_array().unwrap() {
        let symbol = top["symbol"].as_str().unwrap();
        let row = rows[symbol];
        let instrument = directory.get(row).unwrap();
        assert_eq!(instrument.provider_code, top["locate"].as_u64().unwrap(), "{name}: locate of {symbol}");
        segment.board().read(row, &mut image, || true).unwrap();
        assert_eq!(
            image.word(shm_abi::layout::row::VOLUME),
            top["executed"].as_u64().unwrap(),
            "{name}: {symbol} volume"
        );
        let live = figures.live_of(instrument.instrument_id);
        assert_eq!(live, top["live_orders"].as_u64().unwrap(), "{name}: {symbol} live");
        for (side, best, five) in [(Side::Bid, "best_bid", "bids5"), (Side::Ask, "best_ask", "asks5")] {
            let levels = figures.levels(instrument.instrument_id, side);
            let want: Vec<(i64, u64, u64)> = serde_json::from_value::<Vec<(i64, u64, u64)>>(top[five].clone()).unwrap();
            let want: Vec<_> =
                want.into_iter().map(|(price, quantity, orders)| (price * SCALE, quantity, orders)).collect();
            assert_eq!(levels[..levels.len().min(5)], want[..], "{name}: {symbol} {five} from the orders ring");
            let window: Vec<_> =
                image.window(side).map(|level| (level.price, level.quantity, level.orders.into())).collect();
            assert_eq!(window[..], levels[..levels.len().min(10)], "{name}: {symbol} window of the board");
            let quote = image.best(side).map(|level| (level.price, level.quantity, u64::from(level.orders)));
            assert_eq!(quote, levels.first().copied(), "{name}: {symbol} quote of the board");
            let wanted = &top[best];
            let wanted = wanted.is_object().then(|| {
                let field = |key: &str| wanted[key].as_u64().unwrap();
                (field("price") as i64 * SCALE, field("qty"), field("orders"))
            });
            assert_eq!(quote, wanted, "{name}: {symbol} {best}");
        }
    }
}
