//! Random flows of messages, by seed: honest ones, hostile ones, and everything between.

use wire::itch50::{
    AddOrder, AddOrderMpid, CrossTrade, MarketParticipantPosition, Noii, OrderCancel, OrderDelete, OrderExecuted,
    OrderExecutedPrice, OrderReplace, RegSho, StockDirectory, SystemEvent, Trade, TradingAction, U32, U64,
};
use zerocopy::IntoBytes;

/// SplitMix64: a seed gives a flow, on every machine the same.
pub(crate) struct Rng(pub(crate) u64);

impl Rng {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
    pub(crate) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// Symbols of the flows; their stock locates are 1, 2, 3.
pub(crate) const SYMBOLS: [&[u8; 8]; 3] = [b"AAA     ", b"BBB     ", b"CCC     "];

pub(crate) fn directory(locate: u16, symbol: &[u8; 8]) -> Vec<u8> {
    let mut m = StockDirectory::new(locate, 5);
    (m.stock, m.authenticity, m.round_lot_size) = (*symbol, b'P', U32::new(100));
    m.as_bytes().to_vec()
}

pub(crate) fn action(locate: u16, state: u8) -> Vec<u8> {
    let mut m = TradingAction::new(locate, 6);
    (m.state, m.reason) = (state, *b"IPOQ");
    m.as_bytes().to_vec()
}

pub(crate) fn system(code: u8) -> Vec<u8> {
    let mut m = SystemEvent::new(0, 7);
    m.event_code = code;
    m.as_bytes().to_vec()
}

pub(crate) fn add(locate: u16, reference: u64, side: u8, shares: u32, price: u32) -> Vec<u8> {
    let mut m = AddOrder::new(locate, 8);
    (m.order_reference, m.side, m.shares, m.price) = (U64::new(reference), side, U32::new(shares), U32::new(price));
    m.as_bytes().to_vec()
}

pub(crate) fn add_mpid(locate: u16, reference: u64, side: u8, shares: u32, price: u32) -> Vec<u8> {
    let mut m = AddOrderMpid::new(locate, 8);
    (m.order_reference, m.side, m.shares, m.price) = (U64::new(reference), side, U32::new(shares), U32::new(price));
    m.as_bytes().to_vec()
}

pub(crate) fn execute(locate: u16, reference: u64, shares: u32, match_number: u64) -> Vec<u8> {
    let mut m = OrderExecuted::new(locate, 9);
    (m.order_reference, m.executed_shares) = (U64::new(reference), U32::new(shares));
    m.match_number = U64::new(match_number);
    m.as_bytes().to_vec()
}

pub(crate) fn execute_at(locate: u16, reference: u64, shares: u32, printable: u8, price: u32) -> Vec<u8> {
    let mut m = OrderExecutedPrice::new(locate, 9);
    (m.order_reference, m.executed_shares) = (U64::new(reference), U32::new(shares));
    (m.printable, m.execution_price, m.match_number) = (printable, U32::new(price), U64::new(77));
    m.as_bytes().to_vec()
}

pub(crate) fn cancel(locate: u16, reference: u64, shares: u32) -> Vec<u8> {
    let mut m = OrderCancel::new(locate, 10);
    (m.order_reference, m.cancelled_shares) = (U64::new(reference), U32::new(shares));
    m.as_bytes().to_vec()
}

pub(crate) fn delete(locate: u16, reference: u64) -> Vec<u8> {
    let mut m = OrderDelete::new(locate, 11);
    m.order_reference = U64::new(reference);
    m.as_bytes().to_vec()
}

pub(crate) fn replace(locate: u16, old: u64, new: u64, shares: u32, price: u32) -> Vec<u8> {
    let mut m = OrderReplace::new(locate, 12);
    (m.original_order_reference, m.new_order_reference) = (U64::new(old), U64::new(new));
    (m.shares, m.price) = (U32::new(shares), U32::new(price));
    m.as_bytes().to_vec()
}

pub(crate) fn trade(locate: u16, shares: u32, price: u32) -> Vec<u8> {
    let mut m = Trade::new(locate, 13);
    (m.side, m.shares, m.price, m.match_number) = (b'B', U32::new(shares), U32::new(price), U64::new(99));
    m.as_bytes().to_vec()
}

pub(crate) fn cross(locate: u16, shares: u64, price: u32, cross_type: u8) -> Vec<u8> {
    let mut m = CrossTrade::new(locate, 14);
    (m.shares, m.cross_price, m.cross_type) = (U64::new(shares), U32::new(price), cross_type);
    m.as_bytes().to_vec()
}

/// What every flow begins with: three instruments in continuous trading.
pub(crate) fn opening() -> Vec<Vec<u8>> {
    let mut messages = vec![system(b'O')];
    for (i, symbol) in SYMBOLS.iter().enumerate() {
        messages.push(directory(i as u16 + 1, symbol));
        messages.push(action(i as u16 + 1, b'T'));
    }
    messages.push(system(b'Q'));
    messages
}

/// A flow of about `len` messages. Seeds divisible by four are honest; the others are hostile, the more the higher the
/// remainder.
pub(crate) fn flow(seed: u64, len: usize) -> Vec<Vec<u8>> {
    let mut rng = Rng(seed);
    let hostile = seed % 4 * 7;
    let mut messages = opening();
    let mut live: Vec<(u64, u16)> = Vec::new();
    let mut reference = rng.below(3);
    let ticks = 2 + rng.below(60);
    while messages.len() < len {
        let (side, shares) = (if rng.chance(50) { b'B' } else { b'S' }, 1 + rng.below(300) as u32);
        let locate = 1 + rng.below(3) as u16;
        // Sides overlap by a tick or two, so that books are crossed now and then.
        let offset = rng.below(ticks) as u32 * 100;
        let price = if side == b'B' { 1_000_100 - offset } else { 1_000_000 + offset };
        if rng.chance(hostile) {
            messages.push(nonsense(&mut rng, &live, locate, side, price));
            continue;
        }
        let pick = (!live.is_empty()).then(|| rng.below(live.len() as u64) as usize);
        messages.push(match (rng.below(100), pick) {
            (0..45, _) | (_, None) => {
                reference += 1 + rng.below(5);
                live.push((reference, locate));
                let make = if rng.chance(20) { add_mpid } else { add };
                make(locate, reference, side, shares, price)
            }
            (45..70, Some(at)) => {
                let (reference, locate) = live.swap_remove(at);
                delete(locate, reference)
            }
            (70..80, Some(at)) => execute(live[at].1, live[at].0, 1 + rng.below(20) as u32, rng.next()),
            (80..85, Some(at)) => cancel(live[at].1, live[at].0, 1 + rng.below(20) as u32),
            (85..88, Some(at)) => {
                execute_at(live[at].1, live[at].0, 1, if rng.chance(50) { b'Y' } else { b'N' }, price)
            }
            (88..97, Some(at)) => {
                reference += 1;
                let old = std::mem::replace(&mut live[at].0, reference);
                replace(live[at].1, old, reference, shares, price)
            }
            _ => other(&mut rng, locate, shares, price),
        });
    }
    messages
}

fn other(rng: &mut Rng, locate: u16, shares: u32, price: u32) -> Vec<u8> {
    match rng.below(7) {
        0 => trade(locate, shares, price),
        1 => cross(locate, rng.below(3) * 100, price, *b"OCH".get(rng.below(3) as usize).expect("three")),
        2 => action(locate, *b"HPQT".get(rng.below(4) as usize).expect("four")),
        3 => RegSho::new(locate, 15).as_bytes().to_vec(),
        4 => MarketParticipantPosition::new(locate, 16).as_bytes().to_vec(),
        5 => Noii::new(locate, 17).as_bytes().to_vec(),
        _ => wire::itch50::BrokenTrade::new(locate, 18).as_bytes().to_vec(),
    }
}

/// Messages that no honest venue sends.
fn nonsense(rng: &mut Rng, live: &[(u64, u16)], locate: u16, side: u8, price: u32) -> Vec<u8> {
    let (known, _) = live.get(rng.below(live.len().max(1) as u64) as usize).copied().unwrap_or((1, 1));
    let unknown = rng.next();
    match rng.below(16) {
        0 => add(locate, known, side, 10, price),
        1 => add(locate, unknown, side, 0, price),
        2 => add(locate, unknown, b'X', 10, price),
        3 => add(locate, unknown, side, 10, 2_000_000_001),
        4 => add(900, unknown, side, 10, price),
        5 => add(locate, u64::MAX, side, 10, price),
        6 => execute(locate, unknown, 10, 1),
        7 => execute_at(locate, unknown, 10, b'Y', price),
        8 => execute(locate, known, u32::MAX, 1),
        9 => cancel(locate, known, u32::MAX),
        10 => cancel(locate, known, 0),
        11 => delete(locate, unknown),
        12 => replace(locate, unknown, known, 10, price),
        13 => replace(locate, known, known, rng.below(2) as u32, price),
        14 => replace(locate, known, live.last().map_or(2, |order| order.0), 10, price),
        // Any bytes: unknown types, known types cut short, and now and then a whole message of noise.
        _ => {
            let len = rng.below(52) as usize;
            let mut bytes: Vec<u8> = (0..len).map(|_| rng.next() as u8).collect();
            if let Some(first) = bytes.first_mut().filter(|_| rng.chance(60)) {
                *first = *b"AFECXDULB".get(rng.below(9) as usize).expect("nine");
            }
            // What noise means in the other types is the business of their own tests.
            match bytes.first().copied() {
                Some(letter) if !b"AFECXDULB".contains(&letter) => {
                    let whole = wire::itch50::message_len(letter).unwrap_or(usize::MAX);
                    bytes.truncate(whole - 1);
                }
                _ => {}
            }
            bytes
        }
    }
}
