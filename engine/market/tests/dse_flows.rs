//! A thousand random DSE flows, with orders that have no price, against the obvious book: rings, rows and the book itself
//! must tell the same story after every message.

mod common;

use std::collections::{BTreeMap, HashMap, HashSet};

use common::dse_flow::{BOOKS, MARKET, flow};
use common::{Bus, Mirror, config};
use market::book::{BookLimits, NO_PRICE};
use market::itch::ItchConfig;
use shm_abi::counters::LaneCounter;
use shm_abi::layout::row;
use shm_abi::record::{PRICE_NONE, Side};
use wire::dialect::{DSE, Event, Role};

const SIDES: [Side; 2] = [Side::Bid, Side::Ask];
const CLASSES: [usize; 3] = [5, 10, 0];

#[derive(Debug, Clone, Copy)]
struct Order {
    book: u32,
    side: Side,
    /// `None`: a market order.
    price: Option<u32>,
    quantity: u64,
    /// Its place in time.
    since: usize,
}

/// The venue's rules, read off the document.
#[derive(Debug, Default)]
struct Obvious {
    orders: HashMap<u64, Order>,
    /// Match number to (book, quantity, price) of what counted; and those that are broken.
    prints: HashMap<u64, (u32, u64, Option<u32>)>,
    broken: HashSet<u64>,
    rejected: u64,
    now: usize,
}

impl Obvious {
    fn insert(&mut self, reference: u64, book: u32, side: Side, raw: u32, quantity: u64) -> bool {
        let price = match raw {
            MARKET | u32::MAX => None,
            raw if raw > MARKET => return false,
            raw => Some(raw),
        };
        if quantity == 0 || quantity > u32::MAX.into() || self.orders.contains_key(&reference) || reference == u64::MAX
        {
            return false;
        }
        self.orders.insert(reference, Order { book, side, price, quantity, since: self.now });
        true
    }

    /// Takes from an order; `false` when there is no such order or the quantity is odd.
    fn take(&mut self, reference: u64, quantity: u64) -> Option<Order> {
        let order = self.orders.get_mut(&reference).filter(|_| (1..=u64::from(u32::MAX)).contains(&quantity))?;
        let before = *order;
        order.quantity = order.quantity.saturating_sub(quantity);
        if order.quantity == 0 {
            self.orders.remove(&reference);
        }
        Some(before)
    }

    fn print(&mut self, match_id: u64, book: u32, quantity: u64, price: Option<u32>) {
        self.prints.entry(match_id).or_insert((book, quantity, price));
    }

    fn apply(&mut self, message: &[u8]) {
        self.now += 1;
        let applied = DSE.view(message).is_ok_and(|view| {
            let number = |role| view.u64(role).unwrap_or(0);
            let (reference, quantity) = (number(Role::Reference), number(Role::Quantity));
            let (book, raw, match_id) =
                (number(Role::Orderbook) as u32, number(Role::Price) as u32, number(Role::MatchNumber));
            let known = BOOKS.iter().any(|(number, ..)| *number == book);
            match view.event() {
                Event::Add => {
                    let side = view.letter(Role::Side).and_then(Side::from_code);
                    known && side.is_some_and(|side| self.insert(reference, book, side, raw, quantity))
                }
                Event::Execute => match self.take(reference, quantity) {
                    None => false,
                    Some(order) => {
                        self.print(match_id, order.book, quantity, order.price);
                        true
                    }
                },
                Event::ExecutePrice => match self.take(reference, quantity) {
                    None => false,
                    Some(order) => {
                        if view.letter(Role::Printable) == Some(b'Y') {
                            self.print(match_id, order.book, quantity, Some(raw));
                        }
                        true
                    }
                },
                Event::Delete => self.orders.remove(&reference).is_some(),
                Event::Replace => match self.orders.remove(&reference) {
                    None => false,
                    Some(order) => {
                        self.insert(number(Role::NewReference), order.book, order.side, raw, quantity);
                        true
                    }
                },
                Event::Trade => {
                    self.print(match_id, book, quantity, Some(raw));
                    true
                }
                Event::BrokenTrade => {
                    self.broken.extend(self.prints.contains_key(&match_id).then_some(match_id));
                    true
                }
                _ => true,
            }
        });
        self.rejected += u64::from(!applied);
    }

    /// Price to (quantity, orders) of one side, best first.
    fn depth(&self, book: u32, side: Side) -> Vec<(u32, u64, u32)> {
        let mut levels: BTreeMap<u32, (u64, u32)> = BTreeMap::new();
        for order in self.orders.values().filter(|order| (order.book, order.side) == (book, side)) {
            let Some(price) = order.price else { continue };
            let level = levels.entry(price).or_default();
            *level = (level.0 + order.quantity, level.1 + 1);
        }
        let mut levels: Vec<_> =
            levels.into_iter().map(|(price, (quantity, orders))| (price, quantity, orders)).collect();
        if side == Side::Bid {
            levels.reverse();
        }
        levels
    }

    fn market_queue(&self, book: u32, side: Side) -> Vec<(u64, u32)> {
        let of = |order: &Order| (order.book, order.side, order.price) == (book, side, None);
        let mut queue: Vec<_> = self.orders.iter().filter(|(_, order)| of(order)).collect();
        queue.sort_by_key(|(_, order)| order.since);
        queue.into_iter().map(|(reference, order)| (*reference, order.quantity as u32)).collect()
    }
}

fn bus() -> Bus {
    let limits = BookLimits { max_orders: 1 << 12, max_levels: 1 << 12, instruments: 16 };
    Bus::with(ItchConfig { dialect: &DSE, limits, crossed_check: false, max_prints: 1 << 10, ..config() })
}

fn assert_story(bus: &Bus, mirror: &Mirror, obvious: &Obvious, case: &str) {
    for ((number, _, decimals), class) in BOOKS.into_iter().zip(CLASSES) {
        let Some(at) = bus.feed.row_of_locate(number) else { continue };
        let (image, id, scale) = (bus.row(at), at as u32, 10i64.pow(9 - decimals));
        let index = bus.feed.index_of(number).expect("announced");
        for side in SIDES {
            let depth = obvious.depth(number, side);
            let own: Vec<_> = bus.feed.book().levels(index, side).map(|l| (l.price, l.quantity, l.orders)).collect();
            assert_eq!(own, depth, "{case}: book");
            let truth: Vec<_> = depth.iter().map(|(p, q, o)| (i64::from(*p) * scale, *q, *o)).collect();
            let window = &truth[..truth.len().min(class)];
            assert_eq!(mirror.window(id, side), window, "{case}: deltas");
            let levels: Vec<_> = image.window(side).map(|level| (level.price, level.quantity, level.orders)).collect();
            assert_eq!(levels, window, "{case}: row");
            let quote = image.best(side).map(|level| (level.price, level.quantity, level.orders));
            assert_eq!(quote, truth.first().copied(), "{case}: quote");
            let queue: Vec<_> = bus.feed.book().queue(index, side, NO_PRICE).collect();
            assert_eq!(queue, obvious.market_queue(number, side), "{case}: orders without a price");
        }
        let counted = obvious.prints.iter().filter(|(id, (book, ..))| *book == number && !obvious.broken.contains(id));
        let (mut volume, mut turnover, mut trades) = (0, 0, 0);
        for (_, (_, quantity, price)) in counted {
            (volume, trades) = (volume + quantity, trades + 1);
            turnover += price.map_or(0, |raw| u128::from(*quantity) * u128::from(raw) * scale as u128);
        }
        assert_eq!(
            (image.word(row::VOLUME), image.word(row::TRADES), image.turnover()),
            (volume, trades, turnover),
            "{case}"
        );
    }
}

#[test]
fn a_thousand_dse_flows_tell_one_story() {
    let (mut market_orders, mut broken, mut rejected) = (0, 0, 0);
    for seed in 0..1000 {
        let (mut bus, mut mirror, mut obvious) = (bus(), Mirror::default(), Obvious::default());
        for (i, message) in flow(seed, 160).iter().enumerate() {
            let case = format!("seed {seed}, message {i} {:?}", message.first().map(|letter| *letter as char));
            obvious.apply(message);
            let (orders, market) = bus.apply(std::slice::from_ref(message));
            mirror.orders(&orders);
            mirror.market(&market);
            assert_story(&bus, &mirror, &obvious, &case);
            assert_eq!(bus.counter(LaneCounter::Rejected), obvious.rejected, "{case}");
            for (reference, order) in &obvious.orders {
                let (_, side, price, quantity) = mirror.orders[reference];
                assert_eq!((side, price == PRICE_NONE, quantity), (order.side, order.price.is_none(), order.quantity));
            }
            assert_eq!(mirror.orders.len(), obvious.orders.len(), "{case}");
        }
        bus.assert_balance();
        market_orders += obvious.orders.values().filter(|order| order.price.is_none()).count();
        (broken, rejected) = (broken + obvious.broken.len(), rejected + obvious.rejected);
    }
    assert!(market_orders > 1000 && broken > 100 && rejected > 1000, "{market_orders} {broken} {rejected}");
}
