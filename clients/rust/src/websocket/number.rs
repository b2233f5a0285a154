//! Numbers of the wire: exact decimals, and 64-bit values that stand in strings.
//!
//! JSON numbers are taken as text and never as a double: 0.1 and 2^53 + 1 have to survive.
//!
//! Source: gateway/PROTOCOL.md, "Words and numbers".

use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use shm_abi::ring::SEQUENCE_LIMIT;

/// Decimals of a price.
const PRICE_DECIMALS: usize = 9;
/// Decimals of an amount: a turnover has those of a price and of a quantity together.
const AMOUNT_DECIMALS: usize = 18;
/// One, as an amount.
const ONE: u128 = 10u128.pow(AMOUNT_DECIMALS as u32);

/// A quantity, a volume or a turnover: never negative, exact, in units of 1e-18.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Amount(u128);

impl Amount {
    /// So many units of 1e-18.
    pub const fn from_units(units: u128) -> Amount {
        Amount(units)
    }

    /// A whole number, as of shares.
    pub const fn from_whole(whole: u64) -> Amount {
        Amount(whole as u128 * ONE)
    }

    /// In units of 1e-18.
    pub const fn units(self) -> u128 {
        self.0
    }

    /// As a whole number, if it is one below 2^64: quantities of shares always are.
    pub fn whole(self) -> Option<u64> {
        self.0.is_multiple_of(ONE).then(|| u64::try_from(self.0 / ONE).ok()).flatten()
    }

    /// Whether it is nothing.
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_decimal(f, self.0, AMOUNT_DECIMALS)
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Amount, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?;
        match parse_decimal(raw.get(), AMOUNT_DECIMALS) {
            Some((false, units)) => Ok(Amount(units)),
            _ => Err(D::Error::custom(refusal(raw.get(), "a number that is not negative, with at most 18 decimals"))),
        }
    }
}

/// A price in units of 1e-9, as a decimal without trailing zeros.
#[derive(Debug, Clone, Copy)]
pub struct ShowPrice(
    /// The price.
    pub i64,
);

impl fmt::Display for ShowPrice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < 0 {
            f.write_str("-")?;
        }
        write_decimal(f, u128::from(self.0.unsigned_abs()), PRICE_DECIMALS)
    }
}

fn write_decimal(f: &mut fmt::Formatter<'_>, units: u128, decimals: usize) -> fmt::Result {
    let one = 10u128.pow(decimals as u32);
    write!(f, "{}", units / one)?;
    match units % one {
        0 => Ok(()),
        rest => write!(f, ".{}", format!("{rest:0decimals$}").trim_end_matches('0')),
    }
}

/// Sign and smallest units of a JSON number, if it is exact: at most so many decimals, no exponent, within 128 bits.
fn parse_decimal(text: &str, decimals: usize) -> Option<(bool, u128)> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let is_digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if !is_digits(whole) || !is_digits(fraction) || fraction.len() > decimals {
        return None;
    }
    let fraction = fraction.parse::<u128>().ok()? * 10u128.pow((decimals - fraction.len()) as u32);
    let units = whole.parse::<u128>().ok()?.checked_mul(10u128.pow(decimals as u32))?.checked_add(fraction)?;
    Some((negative, units))
}

fn parse_price(text: &str) -> Option<i64> {
    let (negative, units) = parse_decimal(text, PRICE_DECIMALS)?;
    let units = i64::try_from(units).ok()?;
    Some(if negative { -units } else { units })
}

/// Longest part of a value that a message repeats, bytes.
const SHOWN: usize = 64;

fn refusal(value: &str, expected: &str) -> String {
    let shown: String = value.chars().take(SHOWN).collect();
    format!("`{shown}`: expected {expected}")
}

const PRICE_RULE: &str = "a price: a number with at most 9 decimals, below 9.2e9";

/// Of a field that has a price.
pub(crate) fn price<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    let raw = <&RawValue>::deserialize(deserializer)?;
    parse_price(raw.get()).ok_or_else(|| D::Error::custom(refusal(raw.get(), PRICE_RULE)))
}

/// Of a field that has a price or null.
pub(crate) fn price_or_none<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    let raw = <&RawValue>::deserialize(deserializer)?;
    if raw.get() == "null" {
        return Ok(None);
    }
    parse_price(raw.get()).map(Some).ok_or_else(|| D::Error::custom(refusal(raw.get(), PRICE_RULE)))
}

/// Of a field whose string holds an unsigned 64-bit number: stamps and match ids.
pub(crate) fn text_u64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let text = String::deserialize(deserializer)?;
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let value = if digits { text.parse().ok() } else { None };
    value.ok_or_else(|| D::Error::custom(refusal(&text, "a string of digits, below 2^64")))
}

/// Of a field with a number of a ring.
pub(crate) fn seq<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let seq = u64::deserialize(deserializer)?;
    if seq < SEQUENCE_LIMIT { Ok(seq) } else { Err(D::Error::custom(refusal(&seq.to_string(), "a number below 2^53"))) }
}

/// Of a field with a number of a ring, or null.
pub(crate) fn seq_or_none<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    #[derive(Deserialize)]
    struct Seq(#[serde(deserialize_with = "seq")] u64);
    Ok(Option::<Seq>::deserialize(deserializer)?.map(|Seq(seq)| seq))
}

/// Of a field whose string holds an epoch, or null.
pub(crate) fn epoch_or_none<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
    let digits = text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let epoch = if digits && text.len() == 16 { u64::from_str_radix(&text, 16).ok() } else { None };
    epoch.map(Some).ok_or_else(|| D::Error::custom(refusal(&text, "an epoch: 16 lower-case hex digits")))
}

/// Of a field with the id of a command. This client's are numbers; any other is of no command of its own.
pub(crate) fn id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    Ok(<&RawValue>::deserialize(deserializer)?.get().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    struct Priced {
        #[serde(deserialize_with = "price_or_none")]
        price: Option<i64>,
    }

    fn price_of(text: &str) -> Result<Option<i64>, ()> {
        serde_json::from_str::<Priced>(&format!("{{\"price\":{text}}}")).map(|priced| priced.price).map_err(|_| ())
    }

    #[test]
    fn prices_are_exact() {
        let table: &[(&str, Result<Option<i64>, ()>)] = &[
            ("123.45", Ok(Some(123_450_000_000))),
            ("0.1", Ok(Some(100_000_000))),
            ("0.000000001", Ok(Some(1))),
            ("-0.5", Ok(Some(-500_000_000))),
            ("9223372036.854775807", Ok(Some(i64::MAX))),
            ("9007199.254740993", Ok(Some(9_007_199_254_740_993))),
            ("null", Ok(None)),
            ("9223372036.854775808", Err(())),
            ("0.0000000001", Err(())),
            ("1e3", Err(())),
            ("1E400", Err(())),
            ("\"1\"", Err(())),
            ("true", Err(())),
            ("340282366920938463463374607431768211456", Err(())),
        ];
        for (text, want) in table {
            assert_eq!(price_of(text), *want, "price: {text}");
        }
    }

    #[test]
    fn amounts_are_exact_and_show_without_trailing_zeros() {
        let table: &[(&str, Option<(u128, Option<u64>, &str)>)] = &[
            ("100", Some((100 * ONE, Some(100), "100"))),
            ("1481520.5", Some((14_815_205 * ONE / 10, None, "1481520.5"))),
            ("0.000000001", Some((ONE / 1_000_000_000, None, "0.000000001"))),
            ("0.000000000000000001", Some((1, None, "0.000000000000000001"))),
            ("0.0000000000000000001", None),
            ("18446744073709551615", Some((u128::from(u64::MAX) * ONE, Some(u64::MAX), "18446744073709551615"))),
            ("18446744073709551616", Some(((1 << 64) * ONE, None, "18446744073709551616"))),
            ("-1", None),
            ("null", None),
        ];
        for (text, want) in table {
            let amount = serde_json::from_str::<Amount>(text).ok();
            let got = amount.map(|amount| (amount.units(), amount.whole(), amount.to_string()));
            assert_eq!(got, want.map(|(units, whole, text)| (units, whole, text.to_string())), "amount: {text}");
        }
        assert_eq!(ShowPrice(-1_500_000_000).to_string(), "-1.5");
        assert_eq!(ShowPrice(i64::MIN).to_string(), "-9223372036.854775808");
    }

    #[test]
    fn numbers_in_strings() {
        #[derive(Debug, Deserialize)]
        struct Words {
            #[serde(deserialize_with = "text_u64")]
            stamp: u64,
            #[serde(deserialize_with = "epoch_or_none")]
            epoch: Option<u64>,
            #[serde(deserialize_with = "seq_or_none")]
            seq: Option<u64>,
        }
        let parse = |stamp: &str, epoch: &str, seq: &str| {
            let text = format!("{{\"stamp\":{stamp},\"epoch\":{epoch},\"seq\":{seq}}}");
            serde_json::from_str::<Words>(&text).ok().map(|words| (words.stamp, words.epoch, words.seq))
        };
        let max = "\"18446744073709551615\"";
        assert_eq!(parse(max, "\"00000000000000ff\"", "7"), Some((u64::MAX, Some(255), Some(7))));
        assert_eq!(parse("\"0\"", "null", "null"), Some((0, None, None)));
        for (name, stamp, epoch, seq) in [
            ("a bare stamp", "1", "null", "null"),
            ("a stamp with a sign", "\"+1\"", "null", "null"),
            ("a short epoch", "\"1\"", "\"ff\"", "null"),
            ("an epoch with a sign", "\"1\"", "\"+0000000000000ff\"", "null"),
            ("a number of no ring", "\"1\"", "null", "9007199254740992"),
        ] {
            assert_eq!(parse(stamp, epoch, seq), None, "case: {name}");
        }
    }
}
