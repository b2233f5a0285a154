//! The generator's own order books: price-time priority, so that executions always hit the true first order of the best
//! level. All memory is taken at start-up.

/// Index of an order in [`Books`]. Valid until the order is gone.
pub(crate) type OrderId = u32;

const NONE: u32 = u32::MAX;
/// Price levels per side; an order that would open one more joins a level that exists.
const MAX_LEVELS: usize = 64;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Buy,
    Sell,
}

impl Side {
    pub(crate) fn opposite(self) -> Self {
        match self {
            Self::Buy => Self::Sell,
            Self::Sell => Self::Buy,
        }
    }

    /// The letter in ITCH messages.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Buy => b'B',
            Self::Sell => b'S',
        }
    }

    /// Sort key of a price: the better the price for the other side, the larger the key.
    fn key(self, price: u32) -> u32 {
        match self {
            Self::Buy => price,
            Self::Sell => u32::MAX - price,
        }
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Order {
    pub(crate) reference: u64,
    /// In ticks of 0.01.
    pub(crate) price: u32,
    pub(crate) shares: u32,
    pub(crate) symbol: u32,
    pub(crate) side: Side,
    previous: u32,
    next: u32,
    /// Place in the symbol's list of live orders.
    place: u32,
}

#[derive(Debug, Clone, Copy)]
struct Level {
    price: u32,
    head: u32,
    tail: u32,
}

#[derive(Debug)]
struct SymbolBook {
    /// Worst first, best last: the busy end is the cheap end of a vector.
    levels: [Vec<Level>; 2],
    live: Vec<OrderId>,
}

/// The books of all symbols over one pool of orders.
#[derive(Debug)]
pub(crate) struct Books {
    orders: Vec<Order>,
    free: Vec<OrderId>,
    symbols: Vec<SymbolBook>,
}

impl Books {
    /// One book per entry of `limits`, which gives the most orders that the symbol may hold.
    pub(crate) fn new(limits: impl Iterator<Item = usize>) -> Self {
        let mut total = 0;
        let symbols = limits
            .map(|limit| {
                total += limit;
                let levels = || Vec::with_capacity(limit.min(MAX_LEVELS));
                SymbolBook { levels: [levels(), levels()], live: Vec::with_capacity(limit) }
            })
            .collect();
        Self { orders: Vec::with_capacity(total), free: Vec::with_capacity(total), symbols }
    }

    pub(crate) fn live(&self, symbol: usize) -> usize {
        self.symbols[symbol].live.len()
    }

    pub(crate) fn live_total(&self) -> usize {
        self.orders.len() - self.free.len()
    }

    pub(crate) fn is_full(&self, symbol: usize) -> bool {
        let live = &self.symbols[symbol].live;
        live.len() == live.capacity()
    }

    /// The symbol's live order at `place` (0 up to `live`); new orders come last.
    pub(crate) fn at(&self, symbol: usize, place: usize) -> OrderId {
        self.symbols[symbol].live[place]
    }

    pub(crate) fn order(&self, id: OrderId) -> &Order {
        &self.orders[id as usize]
    }

    /// Best price in ticks.
    pub(crate) fn best(&self, symbol: usize, side: Side) -> Option<u32> {
        self.symbols[symbol].levels[side as usize].last().map(|level| level.price)
    }

    /// The order that trades next on this side: first in time at the best price.
    pub(crate) fn head(&self, symbol: usize, side: Side) -> Option<OrderId> {
        self.symbols[symbol].levels[side as usize].last().map(|level| level.head)
    }

    /// The price at which an order for `price` can rest: the same, or that of the next level when all levels are taken.
    pub(crate) fn resting_price(&self, symbol: usize, side: Side, price: u32) -> u32 {
        let levels = &self.symbols[symbol].levels[side as usize];
        match find(levels, side, price) {
            Err(at) if levels.len() == levels.capacity().min(MAX_LEVELS) => levels[at.min(levels.len() - 1)].price,
            _ => price,
        }
    }

    /// Rests an order at the end of its level. The price must come from [`Books::resting_price`], and the symbol must
    /// have room.
    pub(crate) fn add(&mut self, symbol: usize, side: Side, price: u32, shares: u32, reference: u64) {
        let book = &mut self.symbols[symbol];
        let place = book.live.len() as u32;
        let order = Order { reference, price, shares, symbol: symbol as u32, side, previous: NONE, next: NONE, place };
        let id = match self.free.pop() {
            Some(id) => {
                self.orders[id as usize] = order;
                id
            }
            None => {
                self.orders.push(order);
                (self.orders.len() - 1) as OrderId
            }
        };
        book.live.push(id);
        let levels = &mut book.levels[side as usize];
        match find(levels, side, price) {
            Ok(at) => {
                let tail = std::mem::replace(&mut levels[at].tail, id);
                self.orders[tail as usize].next = id;
                self.orders[id as usize].previous = tail;
            }
            Err(at) => levels.insert(at, Level { price, head: id, tail: id }),
        }
    }

    /// Takes shares from an order; at 0 the order is gone. `shares` must not exceed what the order has.
    pub(crate) fn reduce(&mut self, id: OrderId, shares: u32) {
        let order = &mut self.orders[id as usize];
        assert!(shares <= order.shares, "the generator overfills an order");
        order.shares -= shares;
        if order.shares == 0 {
            self.remove(id);
        }
    }

    pub(crate) fn remove(&mut self, id: OrderId) {
        let order = self.orders[id as usize];
        let book = &mut self.symbols[order.symbol as usize];
        book.live.swap_remove(order.place as usize);
        if let Some(&moved) = book.live.get(order.place as usize) {
            self.orders[moved as usize].place = order.place;
        }
        let levels = &mut book.levels[order.side as usize];
        let at = find(levels, order.side, order.price).expect("a live order has a level");
        if order.previous == NONE && order.next == NONE {
            levels.remove(at);
        } else {
            match order.previous {
                NONE => levels[at].head = order.next,
                previous => self.orders[previous as usize].next = order.next,
            }
            match order.next {
                NONE => levels[at].tail = order.previous,
                next => self.orders[next as usize].previous = order.previous,
            }
        }
        self.free.push(id);
    }
}

/// Where the price stands, or would stand, in a side's levels.
fn find(levels: &[Level], side: Side, price: u32) -> Result<usize, usize> {
    let key = side.key(price);
    levels.binary_search_by(|level| side.key(level.price).cmp(&key))
}
