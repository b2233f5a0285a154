//! Messages of DSE and Japannext, and random DSE flows.

use wire::dialect::{DSE, Dialect, JNX_16, Role, Value};

use super::flow::Rng;

/// Price of a market order.
pub(crate) const MARKET: u32 = 0x7fff_ffff;

fn encode(dialect: &Dialect, letter: u8, length: usize, values: &[(Role, Value<'_>)]) -> Vec<u8> {
    let mut message = Vec::new();
    dialect.encode(letter, length, values, &mut message).expect("a message of the dialect");
    message
}

fn dse(letter: u8, length: usize, values: &[(Role, Value<'_>)]) -> Vec<u8> {
    encode(&DSE, letter, length, values)
}

fn n(value: impl Into<u64>) -> Value<'static> {
    Value::Number(value.into())
}

pub(crate) fn time(seconds: u32) -> Vec<u8> {
    dse(b'T', 5, &[(Role::Seconds, n(seconds))])
}

pub(crate) fn system(letter: u8, group: &str, orderbook: u32) -> Vec<u8> {
    let values =
        [(Role::EventCode, Value::Letter(letter)), (Role::Group, group.into()), (Role::Orderbook, n(orderbook))];
    dse(b'S', 18, &values)
}

pub(crate) fn orderbook(number: u32, code: &str, board: &str, decimals: u32, market_type: u8) -> Vec<u8> {
    let values = [
        (Role::Orderbook, n(number)),
        (Role::SecurityCode, code.into()),
        (Role::Group, board.into()),
        (Role::PriceDecimals, n(decimals)),
        (Role::MarketType, Value::Letter(market_type)),
        (Role::PriceTickTable, n(1u32)),
        (Role::MinimumQuantity, n(5u32)),
    ];
    dse(b'R', 171, &values)
}

pub(crate) fn tick(table: u32, start: u32, tick: u32) -> Vec<u8> {
    dse(b'L', 17, &[(Role::TableId, n(table)), (Role::TickStart, n(start)), (Role::Tick, n(tick))])
}

pub(crate) fn action(orderbook: u32, state: u8) -> Vec<u8> {
    let values =
        [(Role::Orderbook, n(orderbook)), (Role::State, Value::Letter(state)), (Role::Reason, Value::Letter(b' '))];
    dse(b'H', 11, &values)
}

/// In either edition's form.
pub(crate) fn add(new: bool, orderbook: u32, reference: u64, side: u8, quantity: u64, price: u32) -> Vec<u8> {
    let values = [
        (Role::Reference, n(reference)),
        (Role::Side, Value::Letter(side)),
        (Role::Quantity, n(quantity)),
        (Role::Orderbook, n(orderbook)),
        (Role::Price, n(price)),
    ];
    dse(b'A', if new { 34 } else { 30 }, &values)
}

pub(crate) fn execute(reference: u64, quantity: u64, match_id: u64) -> Vec<u8> {
    dse(b'E', 29, &[(Role::Reference, n(reference)), (Role::Quantity, n(quantity)), (Role::MatchNumber, n(match_id))])
}

pub(crate) fn execute_at(reference: u64, quantity: u64, match_id: u64, printable: u8, price: u32) -> Vec<u8> {
    let values = [
        (Role::Reference, n(reference)),
        (Role::Quantity, n(quantity)),
        (Role::MatchNumber, n(match_id)),
        (Role::Printable, Value::Letter(printable)),
        (Role::Price, n(price)),
    ];
    dse(b'C', 34, &values)
}

pub(crate) fn delete(reference: u64) -> Vec<u8> {
    dse(b'D', 13, &[(Role::Reference, n(reference))])
}

pub(crate) fn replace(old: u64, new: u64, quantity: u64, price: u32) -> Vec<u8> {
    let values = [
        (Role::Reference, n(old)),
        (Role::NewReference, n(new)),
        (Role::Quantity, n(quantity)),
        (Role::Price, n(price)),
    ];
    dse(b'U', 37, &values)
}

pub(crate) fn trade(orderbook: u32, quantity: u64, price: u32, match_id: u64, printable: u8) -> Vec<u8> {
    let values = [
        (Role::Orderbook, n(orderbook)),
        (Role::Quantity, n(quantity)),
        (Role::Price, n(price)),
        (Role::MatchNumber, n(match_id)),
        (Role::Printable, Value::Letter(printable)),
    ];
    dse(b'Q', 34, &values)
}

pub(crate) fn broken(match_id: u64) -> Vec<u8> {
    dse(b'B', 14, &[(Role::MatchNumber, n(match_id)), (Role::Reason, Value::Letter(b'S'))])
}

pub(crate) fn best(orderbook: u32, bid: (u32, u64), offer: (u32, u64)) -> Vec<u8> {
    let values = [
        (Role::Orderbook, n(orderbook)),
        (Role::BestBid, n(bid.0)),
        (Role::BidQuantity, n(bid.1)),
        (Role::BestOffer, n(offer.0)),
        (Role::OfferQuantity, n(offer.1)),
    ];
    dse(b'O', 33, &values)
}

pub(crate) fn index(orderbook: u32, value: u64) -> Vec<u8> {
    dse(b'Z', 17, &[(Role::Orderbook, n(orderbook)), (Role::IndexValue, n(value))])
}

pub(crate) fn news(orderbook: u32, id: u32, title: &[u8], text: &[u8]) -> Vec<u8> {
    let values = [
        (Role::Orderbook, n(orderbook)),
        (Role::NewsId, n(id)),
        (Role::FirmId, "DSE".into()),
        (Role::Title, title.into()),
        (Role::Text, text.into()),
    ];
    dse(b'N', 43, &values)
}

pub(crate) fn jnx(letter: u8, length: usize, values: &[(Role, Value<'_>)]) -> Vec<u8> {
    encode(&JNX_16, letter, length, values)
}

/// Orderbooks of the flows: numbers far apart, of different decimals.
pub(crate) const BOOKS: [(u32, &str, u32); 3] = [(7, "AAA", 2), (0xffff_fff0, "BBB", 0), (1_000_000, "CCC", 4)];

/// What every flow begins with.
pub(crate) fn opening() -> Vec<Vec<u8>> {
    let mut messages = vec![time(36_000), system(b'O', "", 0), tick(1, 0, 10)];
    messages.extend(BOOKS.map(|(number, code, decimals)| orderbook(number, code, "MAIN", decimals, b'P')));
    messages.extend(BOOKS.map(|(number, ..)| action(number, b'T')));
    messages.push(system(b'Q', "MAIN", 0));
    messages
}

/// A flow of about `len` messages, with market orders, twins of matches and broken trades; an even seed is honest.
pub(crate) fn flow(seed: u64, len: usize) -> Vec<Vec<u8>> {
    let mut rng = Rng(seed);
    let mut messages = opening();
    let mut live: Vec<u64> = Vec::new();
    // Match number 0 names no match, and never counts once.
    let (mut reference, mut match_id) = (0, 1);
    let ticks = 2 + rng.below(40);
    while messages.len() < len {
        let new = rng.chance(50);
        let side = if rng.chance(50) { b'B' } else { b'S' };
        let (number, ..) = BOOKS[rng.below(3) as usize];
        let offset = rng.below(ticks) as u32;
        let price = match rng.below(10) {
            0 => MARKET,
            _ if side == b'B' => 10_001 - offset,
            _ => 10_000 + offset,
        };
        let quantity = 1 + rng.below(300);
        let pick = (!live.is_empty()).then(|| rng.below(live.len() as u64) as usize);
        if !seed.is_multiple_of(2) && rng.chance(10) {
            messages.push(match rng.below(9) {
                0 => add(new, number, rng.next(), side, u64::from(u32::MAX) + 1 + rng.below(9), price),
                1 => add(new, number, rng.next(), side, 5, 0x8000_0000),
                2 => add(new, 12_345, rng.next(), side, 5, price),
                3 => execute(rng.next(), 5, match_id),
                4 => execute(live.first().copied().unwrap_or(1), 1 << 40, 3),
                5 => replace(live.first().copied().unwrap_or(1), 1 << 50, 0, price),
                6 => delete(rng.next()),
                7 => add(new, number, live.first().copied().unwrap_or(1), side, 5, price),
                _ => (0..rng.below(60)).map(|_| rng.next() as u8).collect::<Vec<u8>>(),
            });
            // Noise of other types is their own tests' business.
            if messages
                .last()
                .is_some_and(|message| message.first().is_none_or(|letter| b"SRHTLMPQIOZNB".contains(letter)))
            {
                messages.pop();
            }
            continue;
        }
        messages.push(match (rng.below(100), pick) {
            (0..45, _) | (_, None) => {
                reference += 1 + rng.below(5);
                live.push(reference);
                add(new, number, reference, side, quantity, price)
            }
            (45..65, Some(at)) => delete(live.swap_remove(at)),
            (65..80, Some(at)) => {
                // Now and then the other side of the match before.
                match_id += u64::from(rng.chance(70));
                execute(live[at], 1 + rng.below(20), match_id)
            }
            (80..85, Some(at)) => {
                match_id += 1;
                execute_at(live[at], 1, match_id, if rng.chance(50) { b'Y' } else { b'N' }, 10_000)
            }
            (85..97, Some(at)) => {
                // The same number again now and then.
                reference += u64::from(rng.chance(80));
                let old = live[at];
                if live.contains(&reference) {
                    replace(old, old, quantity, price)
                } else {
                    live[at] = reference;
                    replace(old, reference, quantity, if price == MARKET && rng.chance(50) { u32::MAX } else { price })
                }
            }
            (97..99, _) => {
                match_id += 1;
                trade(number, quantity, 10_000 + offset, match_id, b'Y')
            }
            _ => broken(1 + rng.below(match_id + 1)),
        });
    }
    messages
}
