//! The venue's 64-bit prices in the 32 bits that a book has for them.
//!
//! Up to 200,000.0000 a price stands for itself. Above, it is told in whole cents, which is all that anybody quotes
//! there, so that the dearest shares still have a place; the order of prices is kept.

/// Highest price that stands for itself, four implied decimals.
const FINE_MAX: i64 = 2_000_000_000;
/// Units of 1e-4 in a cent.
const CENT: i64 = 100;

/// The book's price for a price of the wire; `None` when the book has none.
#[inline(always)]
pub(super) fn to_book(raw: i64) -> Option<u32> {
    if raw <= FINE_MAX {
        return u32::try_from(raw).ok().filter(|price| *price > 0);
    }
    let above = raw - FINE_MAX;
    if above % CENT != 0 {
        return None;
    }
    // The largest number is "no price" to one side of the book.
    u32::try_from(FINE_MAX + above / CENT).ok().filter(|price| *price < u32::MAX)
}

/// The price of the wire for a price of the book.
#[inline(always)]
pub(super) fn to_wire(price: u32) -> i64 {
    let price = i64::from(price);
    if price <= FINE_MAX { price } else { FINE_MAX + (price - FINE_MAX) * CENT }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_keep_their_order_and_come_back() {
        let table = [
            ("no price", 0, None),
            ("negative", -1, None),
            ("the least", 1, Some(1)),
            ("the last fine one", FINE_MAX, Some(2_000_000_000)),
            ("a dear share", 6_123_450_000, Some(2_041_234_500)),
            ("a dear share, in less than cents", 6_123_450_001, None),
            ("the largest", FINE_MAX + (i64::from(u32::MAX) - 1 - FINE_MAX) * CENT, Some(u32::MAX - 1)),
            ("one cent more", FINE_MAX + (i64::from(u32::MAX) - FINE_MAX) * CENT, None),
            ("the largest of the wire", i64::MAX, None),
        ];
        let mut before = 0;
        for (name, raw, want) in table {
            assert_eq!(to_book(raw), want, "case: {name}");
            if let Some(price) = want {
                assert_eq!(to_wire(price), raw, "case: {name}");
                assert!(price > before, "case: {name}");
                before = price;
            }
        }
        for price in [1, 999_999, FINE_MAX as u32 - 1, FINE_MAX as u32 + 1, 3_000_000_000, u32::MAX - 1] {
            assert_eq!(to_book(to_wire(price)), Some(price));
            assert!(to_wire(price) > to_wire(price - 1));
        }
    }
}
