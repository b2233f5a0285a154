//! The listed symbols: invented codes, prices, and how busy each one is.

use super::rng::Rng;

/// Raw price units (1e-4) in one tick (0.01).
pub(super) const TICK: u32 = 100;
/// Ticks of the lowest and highest price that an order may have.
pub(super) const PRICE_TICKS: std::ops::RangeInclusive<u32> = 1..=19_999_900;
/// Fair prices keep away from the lowest price, so that both sides always have room.
pub(super) const FAIR_FLOOR_TICKS: f64 = 100.0;
/// How many ranks the activity curve is flattened by: weight = 1 / (rank + this).
const ZIPF_OFFSET: u32 = 5;
/// Orders in the book of the least busy symbol, and what the busiest one has on top.
const TARGET_ORDERS: (f64, f64) = (20.0, 180.0);

/// One listed symbol.
#[derive(Debug, Clone)]
pub(super) struct Symbol {
    /// ASCII, left-justified, space-padded.
    pub(super) stock: [u8; 8],
    /// What the symbol is worth now, and at the start of the day, in ticks.
    pub(super) fair: f64,
    pub(super) opening_fair: f64,
    /// Ticks of price movement (one standard deviation) in the square root of a second.
    pub(super) step: f64,
    pub(super) moved_ns: u64,
    /// Half of the usual spread in ticks, and the mean distance of orders behind it.
    pub(super) half_spread: f64,
    pub(super) depth: f64,
    /// Live orders that the flow tends to; the limit is twice this.
    pub(super) target_orders: usize,
    pub(super) market_category: u8,
}

/// An invented code of three letters for the first symbols and four for the rest, unique by construction: an affine map
/// modulo a power of 26 with an odd multiplier that 13 does not divide. Likeness to a real ticker is chance.
pub(super) fn stock_code(index: u32) -> [u8; 8] {
    const THREE_LETTERS: u32 = 2_000;
    let (length, mut code) = match index {
        0..THREE_LETTERS => (3, (index * 7_919 + 11_003) % 26u32.pow(3)),
        _ => (4, ((u64::from(index) * 104_729 + 300_007) % 26u64.pow(4)) as u32),
    };
    let mut stock = *b"        ";
    for letter in &mut stock[..length] {
        *letter = b'A' + (code % 26) as u8;
        code /= 26;
    }
    stock
}

/// Lists `count` symbols, the busiest first.
pub(super) fn list(count: u32, volatility: f64, start_ns: u64, rng: &mut Rng) -> Vec<Symbol> {
    /// Square root of the seconds in a year of trading (252 days of 6.5 hours).
    const YEAR_ROOT: f64 = 2_428.25;
    (0..count)
        .map(|rank| {
            let u = rng.unit();
            let fair = 500.0 + u * u * u * 60_000.0;
            let obscurity = f64::from(rank) / f64::from(count);
            Symbol {
                stock: stock_code(rank),
                fair,
                opening_fair: fair,
                step: fair * volatility / YEAR_ROOT,
                moved_ns: start_ns,
                half_spread: 0.5 + fair * (0.000_05 + 0.000_4 * obscurity),
                depth: 2.0 + fair * 0.000_2,
                target_orders: (TARGET_ORDERS.0 + TARGET_ORDERS.1 * weight(rank) / weight(0)) as usize,
                market_category: b"QQGSNAPZ"[rng.below(8) as usize],
            }
        })
        .collect()
}

fn weight(rank: u32) -> f64 {
    1.0 / f64::from(rank + ZIPF_OFFSET)
}

/// Draws symbols by their activity in constant time (Walker's alias method).
#[derive(Debug)]
pub(crate) struct Activity {
    cells: Vec<(u32, u32)>,
}

impl Activity {
    pub(crate) fn new(count: u32) -> Self {
        let total: f64 = (0..count).map(weight).sum();
        let mut share: Vec<f64> = (0..count).map(|rank| weight(rank) / total * f64::from(count)).collect();
        let mut cells: Vec<(u32, u32)> = (0..count).map(|rank| (u32::MAX, rank)).collect();
        let (mut small, mut large): (Vec<u32>, Vec<u32>) = (0..count).partition(|&rank| share[rank as usize] < 1.0);
        while let (Some(poor), Some(&rich)) = (small.pop(), large.last()) {
            cells[poor as usize] = ((share[poor as usize] * f64::from(u32::MAX)) as u32, rich);
            share[rich as usize] -= 1.0 - share[poor as usize];
            if share[rich as usize] < 1.0 {
                large.pop();
                small.push(rich);
            }
        }
        Self { cells }
    }

    #[inline]
    pub(crate) fn draw(&self, rng: &mut Rng) -> usize {
        let bits = rng.bits();
        let cell = (((bits >> 32) * self.cells.len() as u64) >> 32) as usize;
        let (threshold, alias) = self.cells[cell];
        if bits as u32 <= threshold { cell } else { alias as usize }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::super::config::MAX_SYMBOLS;
    use super::*;

    #[test]
    fn codes_are_unique_and_look_like_tickers() {
        let codes: HashSet<_> = (0..MAX_SYMBOLS).map(stock_code).collect();
        assert_eq!(codes.len(), MAX_SYMBOLS as usize);
        for code in codes {
            let text = str::from_utf8(&code).expect("codes are ASCII").trim_end();
            assert!((1..=4).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_uppercase()), "code {text:?}");
        }
    }

    #[test]
    fn activity_follows_its_weights() {
        let (count, draws) = (50, 1_000_000);
        let (activity, mut rng) = (Activity::new(count), Rng::new(5));
        let mut seen = vec![0.0; count as usize];
        for _ in 0..draws {
            seen[activity.draw(&mut rng)] += 1.0 / f64::from(draws);
        }
        let total: f64 = (0..count).map(weight).sum();
        for rank in 0..count {
            let want = weight(rank) / total;
            assert!(
                (seen[rank as usize] / want - 1.0).abs() < 0.05,
                "rank {rank}: {} and not {want}",
                seen[rank as usize]
            );
        }
    }
}
