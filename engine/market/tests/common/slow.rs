//! The obvious book that the fast one is held against: maps, queues, and the venue's rules read off the document.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use shm_abi::record::{AnomalyCode, Side};
use wire::itch50::Message;

/// A live order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SlowOrder {
    pub(crate) locate: u16,
    pub(crate) side: Side,
    pub(crate) price: u32,
    pub(crate) quantity: u32,
}

/// What a message did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Applied,
    /// Applied, and declared odd.
    Odd(AnomalyCode),
    Rejected(AnomalyCode),
}

/// (price, quantity, orders), best first.
pub(crate) type Depth = Vec<(u32, u64, u32)>;

#[derive(Debug, Default)]
pub(crate) struct Slow {
    pub(crate) known: HashSet<u16>,
    pub(crate) orders: HashMap<u64, SlowOrder>,
    queues: HashMap<(u16, Side), BTreeMap<u32, VecDeque<u64>>>,
    pub(crate) quote_changes: u64,
    pub(crate) volume: HashMap<u16, u64>,
    pub(crate) by_type: BTreeMap<char, u64>,
    pub(crate) max_live: usize,
}

impl Slow {
    pub(crate) fn queue(&self, locate: u16, side: Side, price: u32) -> Vec<(u64, u32)> {
        let queue = self.queues.get(&(locate, side)).and_then(|levels| levels.get(&price));
        queue.into_iter().flatten().map(|reference| (*reference, self.orders[reference].quantity)).collect()
    }

    pub(crate) fn depth(&self, locate: u16, side: Side) -> Depth {
        let Some(levels) = self.queues.get(&(locate, side)) else { return Vec::new() };
        let sum = |queue: &VecDeque<u64>| queue.iter().map(|r| u64::from(self.orders[r].quantity)).sum();
        let mut depth: Depth = levels.iter().map(|(price, queue)| (*price, sum(queue), queue.len() as u32)).collect();
        if side == Side::Bid {
            depth.reverse();
        }
        depth
    }

    fn best(&self, locate: u16) -> [Option<(u32, u64, u32)>; 2] {
        [Side::Bid, Side::Ask].map(|side| self.depth(locate, side).first().copied())
    }

    fn insert(&mut self, reference: u64, order: SlowOrder) -> Result<(), AnomalyCode> {
        if order.price > 2_000_000_000 || reference == u64::MAX || order.quantity == 0 {
            return Err(AnomalyCode::BadField);
        }
        if self.orders.contains_key(&reference) {
            return Err(AnomalyCode::DuplicateOrder);
        }
        self.orders.insert(reference, order);
        self.queues.entry((order.locate, order.side)).or_default().entry(order.price).or_default().push_back(reference);
        Ok(())
    }

    fn remove(&mut self, reference: u64) {
        let order = self.orders.remove(&reference).expect("known");
        let levels = self.queues.get_mut(&(order.locate, order.side)).expect("known side");
        let queue = levels.get_mut(&order.price).expect("known level");
        queue.retain(|other| *other != reference);
        if queue.is_empty() {
            levels.remove(&order.price);
        }
    }

    fn reduce(&mut self, reference: u64, quantity: u32) -> Outcome {
        let Some(order) = self.orders.get_mut(&reference) else { return Outcome::Rejected(AnomalyCode::UnknownOrder) };
        if quantity == 0 {
            return Outcome::Rejected(AnomalyCode::BadField);
        }
        if quantity < order.quantity {
            order.quantity -= quantity;
            return Outcome::Applied;
        }
        let overfill = quantity > order.quantity;
        self.remove(reference);
        if overfill { Outcome::Odd(AnomalyCode::Overfill) } else { Outcome::Applied }
    }

    fn print(&mut self, locate: u16, quantity: u64) {
        *self.volume.entry(locate).or_default() += quantity;
    }

    fn execute(&mut self, locate: u16, reference: u64, quantity: u32, printable: bool) -> Outcome {
        let owner = self.orders.get(&reference).map(|order| order.locate);
        let outcome = self.reduce(reference, quantity);
        let locate = owner.unwrap_or(locate);
        if outcome != Outcome::Rejected(AnomalyCode::BadField) && printable && self.known.contains(&locate) {
            self.print(locate, quantity.into());
        }
        outcome
    }

    /// Applies one message, and counts it when it changed its instrument's best quote.
    pub(crate) fn apply(&mut self, bytes: &[u8]) -> Outcome {
        let Ok(message) = Message::parse(bytes) else {
            let known = bytes.first().is_some_and(|letter| wire::itch50::message_len(*letter).is_some());
            let short = known || bytes.is_empty();
            return Outcome::Rejected(if short { AnomalyCode::Malformed } else { AnomalyCode::UnknownType });
        };
        *self.by_type.entry(message.message_type() as char).or_default() += 1;
        let touched = match message {
            Message::OrderExecuted(m) => Some(m.order_reference.get()),
            Message::OrderExecutedPrice(m) => Some(m.order_reference.get()),
            Message::OrderCancel(m) => Some(m.order_reference.get()),
            Message::OrderDelete(m) => Some(m.order_reference.get()),
            Message::OrderReplace(m) => Some(m.original_order_reference.get()),
            _ => None,
        };
        let owner = touched.and_then(|reference| self.orders.get(&reference)).map(|order| order.locate);
        let locate = owner.unwrap_or(message.stock_locate());
        let before = self.best(locate);
        let outcome = self.dispatch(message);
        self.quote_changes += u64::from(before != self.best(locate));
        self.max_live = self.max_live.max(self.orders.len());
        outcome
    }

    fn add(&mut self, locate: u16, side: u8, reference: u64, price: u32, quantity: u32) -> Outcome {
        if !self.known.contains(&locate) {
            return Outcome::Rejected(AnomalyCode::UnknownInstrument);
        }
        let Some(side) = Side::from_code(side) else { return Outcome::Rejected(AnomalyCode::BadField) };
        match self.insert(reference, SlowOrder { locate, side, price, quantity }) {
            Ok(()) => Outcome::Applied,
            Err(code) => Outcome::Rejected(code),
        }
    }

    fn dispatch(&mut self, message: Message<'_>) -> Outcome {
        let locate = message.stock_locate();
        let unknown = !self.known.contains(&locate);
        match message {
            Message::StockDirectory(_) => {
                self.known.insert(locate);
                Outcome::Applied
            }
            Message::SystemEvent(_) => Outcome::Applied,
            Message::AddOrder(m) => self.add(locate, m.side, m.order_reference.get(), m.price.get(), m.shares.get()),
            Message::AddOrderMpid(m) => {
                self.add(locate, m.side, m.order_reference.get(), m.price.get(), m.shares.get())
            }
            Message::OrderExecuted(m) => self.execute(locate, m.order_reference.get(), m.executed_shares.get(), true),
            Message::OrderExecutedPrice(m) => {
                self.execute(locate, m.order_reference.get(), m.executed_shares.get(), m.printable == b'Y')
            }
            Message::OrderCancel(m) => self.reduce(m.order_reference.get(), m.cancelled_shares.get()),
            Message::OrderDelete(m) => match self.orders.get(&m.order_reference.get()) {
                None => Outcome::Rejected(AnomalyCode::UnknownOrder),
                Some(_) => {
                    self.remove(m.order_reference.get());
                    Outcome::Applied
                }
            },
            Message::OrderReplace(m) => {
                let Some(old) = self.orders.get(&m.original_order_reference.get()).copied() else {
                    return Outcome::Rejected(AnomalyCode::UnknownOrder);
                };
                self.remove(m.original_order_reference.get());
                let new = SlowOrder { price: m.price.get(), quantity: m.shares.get(), ..old };
                match self.insert(m.new_order_reference.get(), new) {
                    Ok(()) => Outcome::Applied,
                    Err(code) => Outcome::Odd(code),
                }
            }
            Message::BrokenTrade(_) | Message::MwcbDecline(_) | Message::MwcbStatus(_) if locate == 0 => {
                Outcome::Applied
            }
            _ if unknown => Outcome::Rejected(AnomalyCode::UnknownInstrument),
            Message::Trade(m) if m.shares.get() == 0 || m.price.get() > 2_000_000_000 => {
                Outcome::Rejected(AnomalyCode::BadField)
            }
            Message::Trade(m) => {
                self.print(locate, m.shares.get().into());
                Outcome::Applied
            }
            Message::CrossTrade(m) => {
                self.print(locate, m.shares.get());
                Outcome::Applied
            }
            _ => Outcome::Applied,
        }
    }
}
