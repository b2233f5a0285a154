//! Numbers as people and programs read them.

use ticklane_client::{PRICE_NONE, Price, QUANTITY_NONE, Quantity};

/// Decimals of a price as it stands in memory.
const PRICE_DECIMALS: u8 = 9;

/// A price with the instrument's decimals; more when it has more, for nothing is rounded. `None` for "no price".
pub(crate) fn price(price: Price, decimals: u8) -> Option<String> {
    if price == PRICE_NONE {
        return None;
    }
    let digits = decimal(price.unsigned_abs(), PRICE_DECIMALS, decimals.min(PRICE_DECIMALS));
    Some(if price < 0 { format!("-{digits}") } else { digits })
}

/// A quantity with the instrument's decimals. `None` for "no quantity".
pub(crate) fn quantity(quantity: Quantity, decimals: u8) -> Option<String> {
    (quantity != QUANTITY_NONE).then(|| decimal(quantity, decimals, decimals))
}

/// `value` in 10^-`scale`, with at least `keep` decimals and no zeros behind those.
fn decimal(value: u64, scale: u8, keep: u8) -> String {
    // Decimals come from shared memory: any byte must give some text. 64 bits have 20 digits.
    let (scale, keep) = (usize::from(scale.min(20)), usize::from(keep));
    let digits = format!("{value:0>width$}", width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    let significant = fraction.trim_end_matches('0').len().max(keep.min(scale));
    match significant {
        0 => whole.into(),
        _ => format!("{whole}.{}", &fraction[..significant]),
    }
}

/// A count with its thousands apart.
pub(crate) fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A duration of `ns` in the unit that fits.
pub(crate) fn duration(ns: u64) -> String {
    match ns {
        0..1_000 => format!("{ns} ns"),
        1_000..1_000_000 => format!("{:.1} us", ns as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} ms", ns as f64 / 1e6),
        _ => format!("{:.1} s", ns as f64 / 1e9),
    }
}

/// Time of day, UTC, of a stamp in ns since the UNIX epoch.
pub(crate) fn time_of_day(ns: u64) -> String {
    let (seconds, fraction) = (ns / 1_000_000_000 % 86_400, ns % 1_000_000_000);
    format!("{:02}:{:02}:{:02}.{fraction:09}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// A byte count in the unit that fits.
pub(crate) fn bytes(value: u64) -> String {
    match value {
        0..10_000 => format!("{value} B"),
        10_000..10_000_000 => format!("{:.1} kB", value as f64 / 1e3),
        10_000_000..10_000_000_000 => format!("{:.1} MB", value as f64 / 1e6),
        _ => format!("{:.1} GB", value as f64 / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices() {
        let table: &[(i64, u8, Option<&str>)] = &[
            (123_450_000_000, 4, Some("123.4500")),
            (123_450_000_000, 2, Some("123.45")),
            (123_450_000_000, 0, Some("123.45")),
            (123_000_000_000, 0, Some("123")),
            (1, 2, Some("0.000000001")),
            (0, 2, Some("0.00")),
            (-50_000_000, 2, Some("-0.05")),
            (i64::MIN, 9, Some("-9223372036.854775808")),
            (i64::MAX - 1, 200, Some("9223372036.854775806")),
            (PRICE_NONE, 2, None),
        ];
        for (value, decimals, want) in table {
            assert_eq!(price(*value, *decimals).as_deref(), *want, "{value} with {decimals}");
        }
    }

    #[test]
    fn quantities() {
        let table: &[(u64, u8, Option<&str>)] = &[
            (100, 0, Some("100")),
            (1, 8, Some("0.00000001")),
            (150_000_000, 8, Some("1.50000000")),
            (u64::MAX - 1, 255, Some("0.18446744073709551614")),
            (QUANTITY_NONE, 0, None),
        ];
        for (value, decimals, want) in table {
            assert_eq!(quantity(*value, *decimals).as_deref(), *want, "{value} with {decimals}");
        }
    }

    #[test]
    fn counts_durations_bytes_and_times() {
        for (value, want) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(count(value), want);
        }
        let durations =
            [(999, "999 ns"), (1_500, "1.5 us"), (2_000_000, "2.0 ms"), (3_250_000_000, "3.2 s"), (0, "0 ns")];
        for (value, want) in durations {
            assert_eq!(duration(value), want);
        }
        for (value, want) in [(9_999, "9999 B"), (10_000, "10.0 kB"), (12_500_000, "12.5 MB"), (1 << 40, "1099.5 GB")] {
            assert_eq!(bytes(value), want);
        }
        assert_eq!(time_of_day(86_400_000_000_000 + 3_723_000_000_005), "01:02:03.000000005");
    }
}
