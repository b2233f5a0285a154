//! A seeded flow of both protocols' messages: honest ones, and now and then one that is not.

use wire::iex::{
    AuctionInformation, I64, OfficialPrice, OperationalHalt, RetailLiquidity, SecurityDirectory, ShortSale,
    SystemEvent, TradeBreak, TradingStatus, U32,
};
use wire::iextp::Protocol;
use zerocopy::IntoBytes;

use super::{AAA, BBB, TS, buy, quote, sell, trade};

/// A small generator of its own, so that every failure names the seed that repeats it.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        (self.0 ^ (self.0 >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd) >> 17
    }
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
    pub(crate) fn one_of<T: Copy>(&mut self, choice: &[T]) -> T {
        choice[self.below(choice.len() as u64) as usize]
    }
}

/// Symbols of the flows: AAA has a window of 5, CCC none, the others 10. The last one is far above what 32 bits hold.
pub(crate) const SYMBOLS: [[u8; 8]; 4] = [AAA, BBB, *b"CCC     ", *b"DEAR.A  "];

fn symbol_and_price(random: &mut Random) -> ([u8; 8], i64) {
    let symbol = random.one_of(&SYMBOLS);
    let base = if symbol[0] == b'D' { 6_000_000_000 } else { 1_000_000 };
    (symbol, base + 100 * random.below(24) as i64)
}

/// A message that is neither a level nor a quote nor a trade.
fn other(random: &mut Random) -> Vec<u8> {
    let (symbol, price) = symbol_and_price(random);
    let letter = |random: &mut Random, letters: &[u8]| random.one_of(letters);
    match random.below(9) {
        0 => SystemEvent::new(letter(random, b"OSRRRRMZ"), TS).as_bytes().to_vec(),
        1 => TradingStatus { symbol, ..TradingStatus::new(letter(random, b"HOPTTTTx"), TS) }.as_bytes().to_vec(),
        2 => OperationalHalt { symbol, ..OperationalHalt::new(letter(random, b"ONx"), TS) }.as_bytes().to_vec(),
        3 => ShortSale { symbol, detail: b'A', ..ShortSale::new(random.below(3) as u8, TS) }.as_bytes().to_vec(),
        4 => SecurityDirectory { symbol, round_lot_size: U32::new(100), ..SecurityDirectory::new(0, TS) }
            .as_bytes()
            .to_vec(),
        5 => RetailLiquidity { symbol, ..RetailLiquidity::new(b'A', TS) }.as_bytes().to_vec(),
        6 => {
            let official_price = I64::new(price - 6_000_000_000 * random.below(2) as i64);
            OfficialPrice { symbol, official_price, ..OfficialPrice::new(letter(random, b"QM?"), TS) }
                .as_bytes()
                .to_vec()
        }
        7 => {
            let (paired_shares, lower_collar) = (U32::new(random.below(900) as u32), I64::new(price));
            let auction =
                AuctionInformation { symbol, paired_shares, lower_collar, ..AuctionInformation::new(b'O', TS) };
            auction.as_bytes().to_vec()
        }
        _ => {
            let (size, price, trade_id) = (U32::new(100), I64::new(price), random.below(50).into());
            TradeBreak { symbol, size, price, trade_id, ..TradeBreak::new(0, TS) }.as_bytes().to_vec()
        }
    }
}

fn message(random: &mut Random, protocol: Protocol) -> Vec<u8> {
    let (symbol, price) = symbol_and_price(random);
    let size = random.one_of(&[0, 0, 100, 200, 300, u32::MAX]);
    match (random.below(20), protocol) {
        (0..=2, _) => {
            let size = random.below(50) as u32 * 10;
            trade(symbol, size, price, random.next(), random.one_of(&[0, 0, 0x20, 0x40, 0x80, 0x08]))
        }
        (3..=5, _) => other(random),
        (6, Protocol::Deep) if random.below(4) == 0 => buy(symbol, 100, random.one_of(&[0, -1, i64::MAX]), 1),
        (_, Protocol::Deep) => {
            let flags = u8::from(random.below(4) > 0);
            if random.below(2) == 0 {
                buy(symbol, size, price, flags)
            } else {
                sell(symbol, size, price + 1_200, flags)
            }
        }
        (_, Protocol::Tops) => quote(symbol, (size, price), (random.one_of(&[0, 100, 500]), price + 100)),
    }
}

/// `count` messages. Every symbol is named among the first; some messages are cut short or of no known type.
pub(crate) fn flow(seed: u64, count: usize, protocol: Protocol) -> Vec<Vec<u8>> {
    let mut random = Random(seed);
    let named = SYMBOLS.map(|symbol| TradingStatus { symbol, ..TradingStatus::new(b'T', TS) }.as_bytes().to_vec());
    let rest = (named.len()..count).map(|_| {
        let mut message = message(&mut random, protocol);
        match random.below(100) {
            0 => message.truncate(random.below(message.len() as u64) as usize),
            1 => message[0] = b'z',
            _ => {}
        }
        message
    });
    let rest: Vec<_> = rest.collect();
    named.into_iter().chain(rest).collect()
}
