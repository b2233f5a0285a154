//! What clients must be told, worked out from the board and the ring alone: an own hand, not the gateway's code.

use serde_json::{Map, Value, json};
use shm_abi::board::RowImage;
use shm_abi::layout::row;
use shm_abi::record::{Body, PRICE_NONE, Record, Side, flag};

/// A number of JSON with exact decimals.
pub fn decimal(value: u128, decimals: usize) -> Value {
    let digits = format!("{value:0>width$}", width = decimals + 1);
    let (whole, part) = digits.split_at(digits.len() - decimals);
    let part = part.trim_end_matches('0');
    let text = if part.is_empty() { whole.to_string() } else { format!("{whole}.{part}") };
    serde_json::from_str(&text).unwrap()
}

pub fn price(price: i64) -> Value {
    if price == PRICE_NONE { Value::Null } else { decimal(price.try_into().unwrap(), 9) }
}

/// The quote that stands on a row of shares.
pub fn quote(image: &RowImage) -> Value {
    let side = |side| match image.best(side) {
        None => Value::Null,
        Some(best) => json!({"price": price(best.price), "quantity": best.quantity, "orders": best.orders}),
    };
    let last = match image.price(row::LAST_PRICE) {
        None => Value::Null,
        Some(at) => json!({
            "price": price(at),
            "quantity": image.word(row::LAST_QUANTITY),
            "match_id": image.word(row::LAST_MATCH).to_string(),
            "ts_event": image.word(row::LAST_TS).to_string(),
        }),
    };
    let word = |field| price(image.word(field) as i64);
    json!({
        "bid": side(Side::Bid), "ask": side(Side::Ask), "last": last,
        "open": word(row::OPEN), "high": word(row::HIGH), "low": word(row::LOW), "close": word(row::CLOSE),
        "previous_close": word(row::PREVIOUS_CLOSE), "volume": image.word(row::VOLUME),
        "turnover": decimal(image.turnover(), 9), "trades": image.word(row::TRADES),
    })
}

/// The best `levels` of both sides of a row's window.
pub fn window(image: &RowImage, levels: usize) -> Value {
    let side = |side| -> Vec<Value> {
        image.window(side).take(levels).map(|level| json!([price(level.price), level.quantity, level.orders])).collect()
    };
    json!({"bids": side(Side::Bid), "asks": side(Side::Ask)})
}

pub fn status(image: &RowImage) -> Value {
    json!({"status": image.status().name(), "quality": image.quality().name()})
}

/// What `trades` tells of a record, if it is one of its kind.
pub fn trade(record: &Record<'_>) -> Option<Value> {
    match record.body() {
        Body::Trade { code, match_id, price: at, quantity } => Some(json!({
            "price": price(at),
            "quantity": quantity,
            "side": match code { b'B' => "bid".into(), b'S' => "ask".into(), _ => Value::Null },
            "cross": match code { b'O' => "open".into(), b'C' => "close".into(), b'H' => "halt".into(), _ => Value::Null },
            "match_id": match_id.to_string(),
            "printed": record.head.flags & flag::NOT_PRINTED == 0,
            "hidden": record.head.flags & flag::HIDDEN != 0,
        })),
        Body::TradeBreak { match_id, .. } => Some(json!({"broken": match_id.to_string()})),
        _ => None,
    }
}

/// An object without some of its fields.
pub fn without(value: &Value, fields: &[&str]) -> Value {
    let object: Map<String, Value> = value.as_object().unwrap().clone();
    Value::Object(object.into_iter().filter(|(name, _)| !fields.contains(&name.as_str())).collect())
}
