//! From the directory to instrument definitions.

use std::ffi::c_char;

use dbn::enums::rtype;
use dbn::{InstrumentClass, InstrumentDefMsg, RecordHeader, UNDEF_PRICE, UNDEF_TIMESTAMP};
use shm_abi::directory::{Instrument, InstrumentKind};
use shm_abi::record::Head;

/// 1, in 1e-9.
const ONE: i64 = 1_000_000_000;

/// Text, cut so that a NUL stays behind it.
fn text<const N: usize>(text: &str) -> [c_char; N] {
    let mut chars = [0; N];
    for (to, from) in chars.iter_mut().zip(text.bytes().take(N - 1)) {
        *to = from as c_char;
    }
    chars
}

/// The unit of quantities: 10^-decimals, 1e-9; below 1e-9 DBN has none.
fn unit(decimals: u8) -> i64 {
    10_i64.checked_pow(u32::from(decimals)).map(|divisor| ONE / divisor).filter(|unit| *unit > 0).unwrap_or(UNDEF_PRICE)
}

fn class(instrument: &Instrument) -> u8 {
    match (instrument.kind, instrument.option_side) {
        (InstrumentKind::Option, b'P') => InstrumentClass::Put as u8,
        (InstrumentKind::Option, _) => InstrumentClass::Call as u8,
        (InstrumentKind::Future, _) => InstrumentClass::Future as u8,
        (InstrumentKind::Bond, _) => InstrumentClass::Bond as u8,
        (InstrumentKind::Index, _) => InstrumentClass::Index as u8,
        (InstrumentKind::Currency, _) => InstrumentClass::FxSpot as u8,
        _ => InstrumentClass::Stock as u8,
    }
}

/// The definition of an instrument, as of the record that announced it.
///
/// Beyond the fields that mean the same: `price_display_format` is the decimals of its prices, `unit_of_measure_qty` the
/// unit of its quantities (1e-9), `raw_instrument_id` the venue's index of the day, `group` the venue in full, because
/// `exchange` has room for four letters.
pub(super) fn message(
    instrument: &Instrument,
    symbol: &str,
    underlying: &str,
    announced: &Head,
    publisher_id: u16,
) -> InstrumentDefMsg {
    let venue = instrument.venue.as_str();
    InstrumentDefMsg {
        hd: RecordHeader::new::<InstrumentDefMsg>(
            rtype::INSTRUMENT_DEF,
            publisher_id,
            instrument.instrument_id,
            announced.ts_event,
        ),
        ts_recv: announced.ts_recv,
        min_price_increment: if instrument.tick == 0 { UNDEF_PRICE } else { instrument.tick },
        display_factor: ONE,
        expiration: if instrument.expiry_ns == 0 { UNDEF_TIMESTAMP } else { instrument.expiry_ns },
        unit_of_measure_qty: unit(instrument.quantity_decimals),
        strike_price: instrument.strike,
        raw_instrument_id: instrument.provider_code,
        underlying_id: if instrument.underlying == u32::MAX { 0 } else { instrument.underlying },
        market_depth: instrument.depth_class.into(),
        min_lot_size_round_lot: match i32::try_from(instrument.lot) {
            Ok(0) | Err(_) => i32::MAX,
            Ok(lot) => lot,
        },
        raw_symbol: text(symbol),
        group: text(venue),
        exchange: text(venue),
        security_type: text(match instrument.kind {
            InstrumentKind::Test => "TEST",
            _ => "",
        }),
        underlying: text(underlying),
        instrument_class: class(instrument) as c_char,
        price_display_format: instrument.price_decimals,
        security_update_action: b'A' as c_char,
        ..InstrumentDefMsg::default()
    }
}
