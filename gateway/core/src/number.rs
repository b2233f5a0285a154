//! Exact decimals of prices and quantities: integers in, digits out. No float stands between, so nothing is rounded.
//!
//! One number has one text: no exponent, no trailing zeros, no point without digits behind it, never `-0`.

use shm_abi::record::Price;

/// Decimals of a price.
pub const PRICE_DECIMALS: u8 = 9;

/// Appends an unsigned integer.
#[inline]
pub fn push_integer(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Appends a price of 1e-9. The sentinel of "no price" is a number here: the caller knows what none looks like.
#[inline]
pub fn push_price(out: &mut Vec<u8>, price_1e9: Price) {
    if price_1e9 < 0 {
        out.push(b'-');
    }
    push_point(out, itoa::Buffer::new().format(price_1e9.unsigned_abs()).as_bytes(), PRICE_DECIMALS.into());
}

/// Appends `value` in 10^-`decimals`, whatever the decimals: they come from a directory that somebody else wrote.
#[inline]
pub fn push_decimal(out: &mut Vec<u8>, value: u64, decimals: u8) {
    push_point(out, itoa::Buffer::new().format(value).as_bytes(), decimals.into());
}

/// Appends a sum of price times quantity, in 1e-9 of the currency per 10^-`quantity_decimals`.
#[inline]
pub fn push_turnover(out: &mut Vec<u8>, turnover: u128, quantity_decimals: u8) {
    let decimals = usize::from(PRICE_DECIMALS) + usize::from(quantity_decimals);
    // A day's turnover fits one word in nearly every case, and one word is divided much faster than two.
    match u64::try_from(turnover) {
        Ok(low) => push_point(out, itoa::Buffer::new().format(low).as_bytes(), decimals),
        Err(_) => push_point(out, itoa::Buffer::new().format(turnover).as_bytes(), decimals),
    }
}

/// Appends the integer `digits` with the point moved `decimals` places to the left.
#[inline]
fn push_point(out: &mut Vec<u8>, digits: &[u8], decimals: usize) {
    let (whole, fraction) = digits.split_at(digits.len().saturating_sub(decimals));
    out.extend_from_slice(if whole.is_empty() { b"0" } else { whole });
    let Some(last) = fraction.iter().rposition(|digit| *digit != b'0') else { return };
    out.push(b'.');
    out.resize(out.len() + decimals - fraction.len(), b'0');
    out.extend_from_slice(&fraction[..=last]);
}

/// Why a text is no price.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PriceError {
    /// Not digits, a point between digits, and perhaps a minus before them. Exponents are refused: nobody writes prices
    /// that way, and `1e400` is cheap to send.
    #[error("expected a decimal number without exponent, plus sign or leading zeros")]
    Syntax,
    /// Finer than 1e-9.
    #[error("expected at most 9 decimals")]
    Decimals,
    /// Beyond what 64 bits hold in 1e-9.
    #[error("expected a number from -9223372036.854775808 to 9223372036.854775807")]
    Range,
}

/// The price, in 1e-9, that a text names: the inverse of [`push_price`]. Trailing zeros and `-0` are understood too.
///
/// # Errors
/// See [`PriceError`]. Nothing is rounded.
pub fn parse_price(text: &str) -> Result<Price, PriceError> {
    let magnitude = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = magnitude.split_once('.').unwrap_or((magnitude, "0"));
    let is_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !is_digits(whole) || !is_digits(fraction) || (whole.len() > 1 && whole.starts_with('0')) {
        return Err(PriceError::Syntax);
    }
    if fraction.len() > PRICE_DECIMALS.into() {
        return Err(PriceError::Decimals);
    }
    let padding = usize::from(PRICE_DECIMALS) - fraction.len();
    let digits = whole.bytes().chain(fraction.bytes()).chain(std::iter::repeat_n(b'0', padding));
    // Downwards from zero, because the lowest price has no positive twin.
    let mut below_zero: i64 = 0;
    for digit in digits {
        let digit = i64::from(digit - b'0');
        below_zero = below_zero.checked_mul(10).and_then(|n| n.checked_sub(digit)).ok_or(PriceError::Range)?;
    }
    if text.starts_with('-') { Ok(below_zero) } else { below_zero.checked_neg().ok_or(PriceError::Range) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(push: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        push(&mut out);
        String::from_utf8(out).unwrap()
    }

    fn price(price_1e9: i64) -> String {
        written(|out| push_price(out, price_1e9))
    }

    #[test]
    fn prices_as_text() {
        let table: &[(i64, &str)] = &[
            (0, "0"),
            (1, "0.000000001"),
            (-1, "-0.000000001"),
            (123_450_000_000, "123.45"),
            (-123_450_000_000, "-123.45"),
            (100_000_000_000, "100"),
            (1_000_000_000, "1"),
            (999_999_999, "0.999999999"),
            (500_000_000, "0.5"),
            (10_000_000_001, "10.000000001"),
            (i64::MAX, "9223372036.854775807"),
            (i64::MIN, "-9223372036.854775808"),
        ];
        for (price_1e9, text) in table {
            assert_eq!(price(*price_1e9), *text);
            assert_eq!(parse_price(text), Ok(*price_1e9));
        }
    }

    #[test]
    fn decimals_as_text() {
        let table: &[(u64, u8, &str)] = &[
            (0, 0, "0"),
            (0, 8, "0"),
            (100, 0, "100"),
            (100, 2, "1"),
            (105, 2, "1.05"),
            (5, 3, "0.005"),
            (u64::MAX, 0, "18446744073709551615"),
            (u64::MAX, 19, "1.8446744073709551615"),
            (u64::MAX, 20, "0.18446744073709551615"),
            (10, 21, "0.00000000000000000001"),
        ];
        for (value, decimals, text) in table {
            assert_eq!(written(|out| push_decimal(out, *value, *decimals)), *text, "{value} e-{decimals}");
        }
        let finest = written(|out| push_decimal(out, 1, u8::MAX));
        assert_eq!(finest, format!("0.{}1", "0".repeat(254)));
    }

    #[test]
    fn turnovers_as_text() {
        let table: &[(u128, u8, &str)] = &[
            (0, 0, "0"),
            (1_481_520_500_000_000, 0, "1481520.5"),
            (1_481_520_500_000_000, 2, "14815.205"),
            (1 << 64, 0, "18446744073.709551616"),
            (u128::MAX, 0, "340282366920938463463374607431.768211455"),
            (u128::MAX, 30, "0.340282366920938463463374607431768211455"),
        ];
        for (turnover, decimals, text) in table {
            assert_eq!(written(|out| push_turnover(out, *turnover, *decimals)), *text, "{turnover} e-{decimals}");
        }
        let finest = written(|out| push_turnover(out, 1, u8::MAX));
        assert_eq!(finest, format!("0.{}1", "0".repeat(263)));
    }

    #[test]
    fn texts_that_are_no_price() {
        let table: &[(&str, PriceError)] = &[
            ("", PriceError::Syntax),
            ("-", PriceError::Syntax),
            ("+1", PriceError::Syntax),
            ("--1", PriceError::Syntax),
            (".5", PriceError::Syntax),
            ("5.", PriceError::Syntax),
            ("1.2.3", PriceError::Syntax),
            ("1.-2", PriceError::Syntax),
            ("01", PriceError::Syntax),
            ("00", PriceError::Syntax),
            ("1e3", PriceError::Syntax),
            ("1E-3", PriceError::Syntax),
            ("0x10", PriceError::Syntax),
            ("1_000", PriceError::Syntax),
            (" 1", PriceError::Syntax),
            ("NaN", PriceError::Syntax),
            ("1\u{0663}", PriceError::Syntax),
            ("0.0000000001", PriceError::Decimals),
            ("1.0000000000", PriceError::Decimals),
            ("9223372036.854775808", PriceError::Range),
            ("-9223372036.854775809", PriceError::Range),
            ("10000000000", PriceError::Range),
            ("99999999999999999999999999999999999999", PriceError::Range),
        ];
        for (text, want) in table {
            assert_eq!(parse_price(text), Err(*want), "text: {text:?}");
        }
        assert_eq!(parse_price("1.500"), Ok(1_500_000_000));
        assert_eq!(parse_price("-0"), Ok(0));
        assert_eq!(parse_price("-0.0"), Ok(0));
    }

    /// `value` in 10^-`decimals` by padding and cutting text alone: slow, and another way than the product's.
    fn by_padding(value: u128, decimals: usize) -> String {
        let padded = format!("{value:0>width$}", width = decimals + 1);
        let (whole, fraction) = padded.split_at(padded.len() - decimals);
        let fraction = fraction.trim_end_matches('0');
        if fraction.is_empty() { whole.to_owned() } else { format!("{whole}.{fraction}") }
    }

    proptest! {
        #[test]
        fn a_price_comes_back(price_1e9 in prop_oneof![any::<i64>(), -1_000_000_000_000..1_000_000_000_000_i64]) {
            prop_assert_eq!(parse_price(&price(price_1e9)), Ok(price_1e9));
        }

        #[test]
        fn a_decimal_is_its_digits(value: u64, shift in 0..64_u32, decimals: u8) {
            let value = value >> shift;
            let want = by_padding(value.into(), decimals.into());
            prop_assert_eq!(written(|out| push_decimal(out, value, decimals)), want);
        }

        #[test]
        fn a_turnover_is_its_digits(turnover: u128, shift in 0..128_u32, decimals: u8) {
            let turnover = turnover >> shift;
            let want = by_padding(turnover, 9 + usize::from(decimals));
            prop_assert_eq!(written(|out| push_turnover(out, turnover, decimals)), want);
        }

        #[test]
        fn parsing_is_total(text in "[-+.e0-9 ]{0,30}|.{0,10}") {
            let _ = parse_price(&text);
        }
    }
}
