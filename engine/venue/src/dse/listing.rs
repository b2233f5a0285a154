//! What is listed: companies, orderbooks on their boards, tick tables, and the indices over them.

use super::config::DseConfig;
use crate::market::book::Side;
use crate::market::rng::Rng;

/// Number of the first index's orderbook, the broad one.
pub(super) const INDEX_BASE: u32 = 9_001;
/// Names of the indices, and their values at the reference prices, in hundredths.
pub(super) const INDICES: [(&str, &str, u64); 3] =
    [("DSEX", "DSE Broad Index", 524_150), ("DS30", "DSE 30 Index", 194_075), ("DSES", "DSEX Shariah Index", 113_220)];
/// Rows of the price tick tables: table, first price, step, in hundredths of a taka.
pub(super) const PRICE_TICKS: [(u32, u32, u32); 4] = [(1, 0, 10), (2, 0, 1), (2, 10_000, 5), (2, 100_000, 50)];
/// Largest price in hundredths.
pub(super) const MAX_PRICE: u32 = 9_000_000;
/// Shares of the second index.
const BLUE_CHIPS: u32 = 30;

/// A board: its name, its share of the instruments in percent, and what is traded there.
struct Board {
    group: &'static str,
    percent: u32,
    market_type: u8,
    class: &'static str,
    tick_table: u32,
}

/// Boards in the order of their orderbooks. The first one takes what the others leave.
const BOARDS: [Board; 6] = [
    Board { group: "MAIN", percent: 0, market_type: b'P', class: "EQUITY", tick_table: 1 },
    Board { group: "SME", percent: 5, market_type: b'P', class: "EQUITY", tick_table: 1 },
    Board { group: "ATB", percent: 2, market_type: b'P', class: "EQUITY", tick_table: 1 },
    Board { group: "FUND", percent: 9, market_type: b'P', class: "MUTUAL FUND", tick_table: 2 },
    Board { group: "BOND", percent: 4, market_type: b'P', class: "BOND", tick_table: 2 },
    // Orderbooks of their own for codes of the main board.
    Board { group: "BLOCK", percent: 10, market_type: b'S', class: "EQUITY", tick_table: 1 },
];

const SECTORS: [&str; 10] =
    ["BANK", "TEXTILE", "PHARMA", "FUEL&POWER", "ENGINEERING", "INSURANCE", "CEMENT", "FOOD", "TELECOM", "IT"];
const NAMES: [&str; 12] = [
    "Padma",
    "Meghna",
    "Jamuna",
    "Surma",
    "Karnaphuli",
    "Teesta",
    "Rupsha",
    "Turag",
    "Gomti",
    "Sangu",
    "Dhaleswari",
    "Kushiyara",
];

/// One orderbook.
#[derive(Debug, Clone)]
pub(super) struct Instrument {
    pub(super) orderbook: u32,
    pub(super) code: String,
    pub(super) name: String,
    pub(super) isin: String,
    pub(super) group: &'static str,
    pub(super) class: &'static str,
    pub(super) sector: &'static str,
    pub(super) market_type: u8,
    pub(super) category: u8,
    pub(super) tick_table: u32,
    pub(super) company: u32,
    /// Yield at the reference price in 1e-4 percent, for a bond; may be below zero.
    pub(super) coupon: Option<i32>,
    /// In hundredths; on the tick.
    pub(super) reference: u32,
    /// Issued shares, for the indices; 0 for what is in none.
    pub(super) issued: u64,
    pub(super) in_blue_chips: bool,
    pub(super) in_shariah: bool,
    /// Last price of a printed trade, and before the first one the reference price.
    pub(super) last: u32,
    /// Whether there was one.
    pub(super) has_traded: bool,
    /// What it is worth, in hundredths.
    pub(super) fair: f64,
    pub(super) moved_ns: u64,
    /// Price movement in the square root of a second.
    pub(super) step: f64,
    pub(super) target_orders: usize,
    pub(super) is_open: bool,
}

/// A company: number, name, ticker.
pub(super) struct Company {
    pub(super) number: u32,
    pub(super) name: String,
    pub(super) ticker: String,
}

/// Lists instruments; orderbooks run from 1.
pub(super) fn list(config: &DseConfig, rng: &mut Rng) -> (Vec<Instrument>, Vec<Company>) {
    /// Square root of the seconds in a year of trading (240 days of 4 hours and 20 minutes).
    const YEAR_ROOT: f64 = 1_934.9;
    let mut instruments: Vec<Instrument> = Vec::with_capacity(config.instruments as usize);
    let mut companies: Vec<Company> = Vec::new();
    let others: u32 = BOARDS.iter().map(|board| board_size(board, config.instruments)).sum();
    for (at, board) in BOARDS.iter().enumerate() {
        let size = if at == 0 { config.instruments - others } else { board_size(board, config.instruments) };
        for place in 0..size {
            let orderbook = instruments.len() as u32 + 1;
            let draw = rng.unit();
            // A block orderbook is another place for a code of the main board.
            let twin = (board.group == "BLOCK").then(|| instruments[place as usize].clone());
            let company = twin.as_ref().map_or(companies.len() as u32 + 1, |twin| twin.company);
            if twin.is_none() {
                let number = companies.len() as u32 + 1;
                let name = format!("{} {}", NAMES[number as usize % NAMES.len()], SECTORS[number as usize % 10]);
                let ticker = format!("{}{number}", &NAMES[number as usize % NAMES.len()][..4].to_uppercase());
                companies.push(Company { number, name, ticker });
            }
            let owner = &companies[company as usize - 1];
            let wanted =
                if board.class == "BOND" { 90_000.0 + draw * 30_000.0 } else { 600.0 + draw * draw * draw * 150_000.0 };
            let reference = snap(board.tick_table, wanted as u32, Side::Buy);
            let is_equity = board.group == "MAIN";
            let fresh = Instrument {
                orderbook,
                code: owner.ticker.clone(),
                name: format!("{} Ltd.", owner.name),
                isin: format!("BD{:04}TLK{:03}", company, orderbook % 1_000),
                group: board.group,
                class: board.class,
                sector: SECTORS[company as usize % SECTORS.len()],
                market_type: board.market_type,
                category: b"ABNZ"[rng.below(4) as usize],
                tick_table: board.tick_table,
                company,
                coupon: (board.class == "BOND").then(|| 85_000 - (orderbook as i32 % 5) * 25_000),
                reference,
                issued: if is_equity { 1_000_000 * (5 + u64::from(rng.below(995))) } else { 0 },
                in_blue_chips: is_equity && place < BLUE_CHIPS,
                in_shariah: is_equity && place % 3 == 0,
                last: reference,
                has_traded: false,
                fair: f64::from(reference),
                moved_ns: config.start_ns,
                step: f64::from(reference) * config.volatility / YEAR_ROOT,
                target_orders: 12 + 60 / (1 + place as usize / 20),
                is_open: true,
            };
            instruments.push(match twin {
                Some(twin) => Instrument {
                    code: twin.code,
                    name: twin.name,
                    reference: twin.reference,
                    last: twin.reference,
                    fair: f64::from(twin.reference),
                    step: twin.step,
                    ..fresh
                },
                None => fresh,
            });
        }
    }
    (instruments, companies)
}

fn board_size(board: &Board, instruments: u32) -> u32 {
    if board.percent == 0 { 0 } else { (instruments * board.percent / 100).max(1) }
}

/// Step of a table at a price.
pub(super) fn tick(table: u32, price: u32) -> u32 {
    let rows = PRICE_TICKS.iter().filter(|row| row.0 == table && row.1 <= price);
    rows.map(|row| row.2).next_back().expect("every table begins at 0")
}

/// The nearest price on the tick that is not worse for the other side: down for a buyer, up for a seller; never 0. Bands
/// begin at multiples of their own steps, so rounding up never leaves the ticks.
pub(super) fn snap(table: u32, price: u32, side: Side) -> u32 {
    let step = tick(table, price);
    match side {
        Side::Buy => (price / step * step).max(tick(table, 0)),
        Side::Sell => price.max(1).div_ceil(step) * step,
    }
}

/// The next price up or down that is on the tick.
pub(super) fn beside(table: u32, price: u32, up: bool) -> u32 {
    match up {
        true => snap(table, price + 1, Side::Sell),
        false => snap(table, price.saturating_sub(1), Side::Buy),
    }
}

/// Value of each index in hundredths, from the last prices.
pub(super) fn index_values(instruments: &[Instrument]) -> [u64; 3] {
    std::array::from_fn(|at| {
        let is_in = |instrument: &&Instrument| match at {
            0 => true,
            1 => instrument.in_blue_chips,
            _ => instrument.in_shariah,
        };
        let worth = |price: fn(&Instrument) -> u32| -> u128 {
            let members = instruments.iter().filter(is_in);
            members.map(|instrument| u128::from(instrument.issued) * u128::from(price(instrument))).sum()
        };
        let (now, base) = (worth(|instrument| instrument.last), worth(|instrument| instrument.reference));
        (now * u128::from(INDICES[at].2) / base.max(1)) as u64
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_snap_to_their_bands() {
        let table: &[(u32, u32, u32, u32)] = &[
            (1, 1_234, 1_230, 1_240),
            (1, 1_230, 1_230, 1_230),
            (1, 3, 10, 10),
            (2, 9_999, 9_999, 9_999),
            (2, 10_001, 10_000, 10_005),
            (2, 99_999, 99_995, 100_000),
            (2, 100_001, 100_000, 100_050),
        ];
        for (name, price, down, up) in table {
            assert_eq!(snap(*name, *price, Side::Buy), *down, "table {name}: {price} down");
            assert_eq!(snap(*name, *price, Side::Sell), *up, "table {name}: {price} up");
        }
        assert_eq!((beside(2, 10_000, false), beside(2, 10_000, true)), (9_999, 10_005));
        assert_eq!((beside(1, 1_230, false), beside(1, 1_230, true)), (1_220, 1_240));
    }

    #[test]
    fn all_boards_are_listed() {
        let config = DseConfig::default();
        let (instruments, companies) = list(&config, &mut Rng::new(1));
        assert_eq!(instruments.len(), 400);
        let on = |group: &str| instruments.iter().filter(|instrument| instrument.group == group).count();
        assert_eq!(["MAIN", "SME", "ATB", "FUND", "BOND", "BLOCK"].map(on), [280, 20, 8, 36, 16, 40]);
        assert_eq!(companies.len(), 360, "a block orderbook has the company of its twin");
        assert_eq!(instruments.iter().filter(|instrument| instrument.in_blue_chips).count(), 30);
        assert_eq!(index_values(&instruments), INDICES.map(|index| index.2));
    }
}
