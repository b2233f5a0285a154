//! The datagrams of the flood: MoldUDP64 packets of ITCH 5.0 messages over steady books, each made from its number alone.

use wire::itch50::{AddOrder, OrderDelete, SystemEvent};
use wire::mold::{HEADER_BYTES, PacketBuilder};
use wire::multicast::{BLOCK_HEADER_BYTES, SessionKey};
use zerocopy::IntoBytes;

use crate::wire::stream::{directory, trading};

/// Symbols, each with a book of its own.
pub const SYMBOLS: u16 = 512;
/// Orders that stand in all books together, from the start to the end.
const STANDING: u64 = 64 * SYMBOLS as u64;
/// In each datagram so many orders leave, and as many come.
const SWAPS: u64 = 2;
/// Messages of a timed datagram: what a busy feed puts into one.
pub const MESSAGES: u64 = 2 * SWAPS;
/// Bytes of a timed datagram: all have the same, so that one send can be cut into them.
pub const DATAGRAM_BYTES: usize =
    HEADER_BYTES + SWAPS as usize * (2 * BLOCK_HEADER_BYTES + size_of::<OrderDelete>() + size_of::<AddOrder>());
/// Datagrams of one send.
pub const BATCH: u64 = 32;
/// Messages before the timed ones: start, directory and trading of each symbol, standing orders.
pub const SETUP_MESSAGES: u64 = 1 + 2 * SYMBOLS as u64 + STANDING;
/// Payload limit of a set-up datagram.
const SETUP_BYTES: usize = 1400;
/// Prices on each side of a book, in cents around the middle.
const PRICES: u64 = 20;
const MIDDLE_CENTS: u64 = 10_000;
const START_NS: u64 = 34_200_000_000_000;
const STEP_NS: u64 = 250;

/// The session of all datagrams.
pub fn session() -> SessionKey {
    SessionKey::padded(b"BENCH")
}

fn time(sequence: u64) -> u64 {
    START_NS + sequence * STEP_NS
}

/// Symbol of order `k`: neighbours in time are strangers.
fn locate(k: u64) -> u16 {
    1 + (k.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as u16 % SYMBOLS
}

fn name(locate: u16) -> [u8; 8] {
    let mut name = *b"B       ";
    for (at, digit) in name[1..5].iter_mut().zip([1000, 100, 10, 1]) {
        *at = b'0' + (locate / digit % 10) as u8;
    }
    name
}

/// Order `k` comes.
fn add(k: u64, sequence: u64) -> AddOrder {
    let random = k.wrapping_mul(0xd6e8_feb8_6659_fd93) >> 32;
    let away = 1 + random % PRICES;
    let bid = (random >> 16) & 1 == 0;
    let cents = if bid { MIDDLE_CENTS - away } else { MIDDLE_CENTS + away };
    AddOrder {
        order_reference: (k + 1).into(),
        side: if bid { b'B' } else { b'S' },
        shares: 100.into(),
        stock: name(locate(k)),
        price: (cents as u32 * 100).into(),
        ..AddOrder::new(locate(k), time(sequence))
    }
}

/// Order `k` leaves.
fn delete(k: u64, sequence: u64) -> OrderDelete {
    OrderDelete { order_reference: (k + 1).into(), ..OrderDelete::new(locate(k), time(sequence)) }
}

/// The datagrams that announce the symbols and fill the books.
pub fn setup() -> Vec<Vec<u8>> {
    let mut messages = vec![SystemEvent { event_code: b'O', ..SystemEvent::new(0, time(1)) }.as_bytes().to_vec()];
    for symbol in 1..=SYMBOLS {
        let now = time(messages.len() as u64 + 1);
        messages.push(directory(symbol, name(symbol), now).as_bytes().to_vec());
        messages.push(trading(symbol, name(symbol), now).as_bytes().to_vec());
    }
    for k in 0..STANDING {
        messages.push(add(k, messages.len() as u64 + 1).as_bytes().to_vec());
    }
    let mut packets = Vec::new();
    let mut rest = messages.as_slice();
    let mut buffer = [0; SETUP_BYTES];
    while !rest.is_empty() {
        let first = (messages.len() - rest.len()) as u64 + 1;
        let mut builder = PacketBuilder::new(&mut buffer, session(), first).expect("room for a header");
        let fit = rest.iter().take_while(|message| builder.push(message).is_ok()).count();
        packets.push(builder.finish().to_vec());
        rest = &rest[fit..];
    }
    packets
}

/// Number of the first message of timed datagram `number`, from 0.
pub fn first_sequence(number: u64) -> u64 {
    SETUP_MESSAGES + 1 + number * MESSAGES
}

/// Fills `bytes`, a whole number of datagrams long, with the timed datagrams from `number` on.
pub fn fill(bytes: &mut [u8], number: u64) {
    for (datagram, number) in bytes.chunks_exact_mut(DATAGRAM_BYTES).zip(number..) {
        let first = first_sequence(number);
        let mut builder = PacketBuilder::new(datagram, session(), first).expect("room for a header");
        for swap in 0..SWAPS {
            let (oldest, sequence) = (number * SWAPS + swap, first + 2 * swap);
            let leaves = delete(oldest, sequence);
            let comes = add(oldest + STANDING, sequence + 1);
            builder.push(leaves.as_bytes()).expect("a datagram has room for its swaps");
            builder.push(comes.as_bytes()).expect("a datagram has room for its swaps");
        }
        let filled = builder.finish().len();
        debug_assert_eq!(filled, DATAGRAM_BYTES);
    }
}

#[cfg(test)]
mod tests {
    use market::MessageAt;
    use market::book::BookLimits;
    use market::itch::BareBook;
    use wire::mold;
    use wire::multicast::Body;

    use super::*;

    #[test]
    fn the_datagrams_are_one_gapless_stream_over_steady_books() {
        let mut packets = setup();
        let setup_packets = packets.len();
        let mut timed = vec![0; 1000 * DATAGRAM_BYTES];
        fill(&mut timed[..400 * DATAGRAM_BYTES], 0);
        fill(&mut timed[400 * DATAGRAM_BYTES..], 400);
        packets.extend(timed.chunks_exact(DATAGRAM_BYTES).map(<[u8]>::to_vec));
        let mut book = BareBook::new(BookLimits::default()).unwrap();
        let mut next = 1;
        for (index, packet) in packets.iter().enumerate() {
            let parsed = mold::parse(packet).unwrap();
            assert_eq!((parsed.session, parsed.sequence), (session(), next), "datagram {index}");
            next = parsed.next_sequence();
            let Body::Messages(blocks) = parsed.body else { panic!("datagram {index} has messages") };
            let places: Vec<MessageAt> = blocks.places(parsed.sequence).collect();
            let mut padded = packet.clone();
            padded.resize(packet.len() + 64, 0);
            places.iter().for_each(|place| book.apply(&padded, std::slice::from_ref(place)));
            if index + 1 == setup_packets {
                assert_eq!(next, SETUP_MESSAGES + 1);
                assert_eq!(book.book().live_orders() as u64, STANDING);
            }
        }
        assert_eq!(next, first_sequence(1000));
        assert_eq!(book.refused(), 0);
        assert_eq!(book.book().live_orders() as u64, STANDING, "as many come as leave");
    }

    #[test]
    fn every_symbol_has_a_name_and_orders() {
        let mut orders = vec![0; usize::from(SYMBOLS) + 1];
        (0..STANDING).for_each(|k| orders[usize::from(locate(k))] += 1);
        assert_eq!(orders[0], 0);
        assert!(orders[1..].iter().all(|count| *count > 10));
        assert_eq!(name(512), *b"B0512   ");
    }
}
