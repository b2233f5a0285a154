//! Quotes, depth and trades equal the board's rows, digit by digit.

use gateway_core::dialect::{Stamps, Trade};
use proptest::prelude::*;
use shm_abi::board::{Level, Quality};
use shm_abi::layout::row;
use shm_abi::record::{PRICE_NONE, Side, TradingStatus, flag};

use super::*;
use crate::app::RecentTrades;

/// A decimal, written in the plainest way: the integer with a point in it, zeros at the end cut.
fn decimal(value: u128, decimals: usize) -> String {
    let digits = format!("{value:0width$}", width = decimals + 1);
    let (whole, fraction) = digits.split_at(digits.len() - decimals);
    format!("{whole}.{fraction}").trim_end_matches('0').trim_end_matches('.').into()
}

fn price(value: i64) -> String {
    let sign = if value < 0 { "-" } else { "" };
    if value == PRICE_NONE { "null".into() } else { format!("{sign}{}", decimal(value.unsigned_abs().into(), 9)) }
}

#[derive(Debug, Clone)]
struct RowValues {
    market_n: u64,
    ts_event: u64,
    best: [Option<Level>; 2],
    prices: [i64; 6],
    last: (i64, u64, u64, u64),
    volume: u64,
    turnover: u128,
    trades: u64,
    quantity_decimals: u8,
    status: u8,
    quality: u8,
    levels: [Vec<Level>; 2],
}

fn any_price() -> impl Strategy<Value = i64> {
    prop_oneof![Just(PRICE_NONE), Just(0), Just(1), Just(-1), i64::MIN..PRICE_NONE, 0..1_000_000_000_000_i64]
}

fn any_level() -> impl Strategy<Value = Level> {
    let price = prop_oneof![i64::MIN..PRICE_NONE, 0..1_000_000_000_000_i64];
    (price, 0..u64::MAX, 0..1_u32 << 24).prop_map(|(price, quantity, orders)| Level { price, quantity, orders })
}

fn any_row() -> impl Strategy<Value = RowValues> {
    let side = || proptest::collection::vec(any_level(), 0..=10);
    let numbers = (0..1_u64 << 53, any::<u64>(), any::<u64>(), any::<u128>(), any::<u64>());
    let codes = (0..=9_u8, 0..=7_u8, 0..=7_u8);
    let last = (any_price(), 0..u64::MAX, any::<u64>(), any::<u64>());
    let best = [proptest::option::of(any_level()), proptest::option::of(any_level())];
    let prices = [any_price(), any_price(), any_price(), any_price(), any_price(), any_price()];
    (numbers, codes, last, best, prices, [side(), side()]).prop_map(|(numbers, codes, last, best, prices, levels)| {
        let (market_n, ts_event, volume, turnover, trades) = numbers;
        let (quantity_decimals, status, quality) = codes;
        RowValues {
            market_n,
            ts_event,
            best,
            prices,
            last,
            volume,
            turnover,
            trades,
            quantity_decimals,
            status,
            quality,
            levels,
        }
    })
}

const PRICE_FIELDS: [usize; 6] = [row::OPEN, row::HIGH, row::LOW, row::CLOSE, row::PREVIOUS_CLOSE, row::LAST_PRICE];

impl RowValues {
    fn write(&self, engine: &mut Engine, at: usize) {
        let mut update = engine.writer.board.update(at);
        for (field, value) in PRICE_FIELDS.into_iter().zip(self.prices) {
            update.set(field, value as u64);
        }
        for (field, value) in [
            (row::MARKET_N, self.market_n),
            (row::TS_EVENT, self.ts_event),
            (row::LAST_PRICE, self.last.0 as u64),
            (row::LAST_QUANTITY, self.last.1),
            (row::LAST_MATCH, self.last.2),
            (row::LAST_TS, self.last.3),
            (row::VOLUME, self.volume),
            (row::TURNOVER_LOW, self.turnover as u64),
            (row::TURNOVER_HIGH, (self.turnover >> 64) as u64),
            (row::TRADES, self.trades),
        ] {
            update.set(field, value);
        }
        for (side, best) in [Side::Bid, Side::Ask].into_iter().zip(self.best) {
            update.set_quote(side, best.unwrap_or(Level { price: PRICE_NONE, quantity: 0, orders: 0 }));
        }
        for (side, levels) in [Side::Bid, Side::Ask].into_iter().zip(&self.levels) {
            for (position, level) in levels.iter().enumerate() {
                update.insert_level(side, position, *level);
            }
        }
        update.set_status(TradingStatus::from_code(self.status), b' ');
        update.set_quality(Quality::from_code(self.quality));
    }

    fn quantity(&self, value: u64) -> String {
        decimal(value.into(), self.quantity_decimals.into())
    }

    fn quote(&self) -> String {
        let best = |level: &Option<Level>| match level {
            None => "null".into(),
            Some(Level { price: value, quantity, orders }) => {
                format!(r#"{{"price":{},"quantity":{},"orders":{orders}}}"#, price(*value), self.quantity(*quantity))
            }
        };
        let (last_price, last_quantity, last_match, last_ts) = self.last;
        let last = match last_price {
            PRICE_NONE => "null".into(),
            value => format!(
                r#"{{"price":{},"quantity":{},"match_id":"{last_match}","ts_event":"{last_ts}"}}"#,
                price(value),
                self.quantity(last_quantity)
            ),
        };
        let [open, high, low, close, previous_close, _] = self.prices.map(price);
        format!(
            r#"{{"bid":{},"ask":{},"last":{last},"open":{open},"high":{high},"low":{low},"close":{close},"#,
            best(&self.best[0]),
            best(&self.best[1]),
        ) + &format!(
            r#""previous_close":{previous_close},"volume":{},"turnover":{},"trades":{}}}"#,
            self.quantity(self.volume),
            decimal(self.turnover, 9 + usize::from(self.quantity_decimals)),
            self.trades,
        )
    }

    fn side(&self, index: usize, count: usize) -> String {
        let levels: Vec<String> = self.levels[index]
            .iter()
            .take(count)
            .map(|level| format!("[{},{},{}]", price(level.price), self.quantity(level.quantity), level.orders))
            .collect();
        format!("[{}]", levels.join(","))
    }
}

/// What stands behind `"data":`, without the last brace.
fn data(reply: &Reply) -> &str {
    let (_, data) = reply.text.split_once("\"data\":").unwrap();
    data.strip_suffix('}').unwrap()
}

#[test]
fn answers_equal_rows() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let config = proptest::test_runner::Config { cases: 200, failure_persistence: None, ..Default::default() };
    proptest!(config, |(values in any_row(), count in 1_usize..=10)| {
        let gateway = Gateway::new(&["lane0"]);
        let mut engine = gateway.start("lane0");
        engine.add(6, "OTHER", "XNAS", 5);
        let instrument = Instrument {
            quantity_decimals: values.quantity_decimals,
            ..Instrument::equity(7, b"AAPL", b"XNAS")
        };
        let at = engine.writer.add_instrument(&instrument).unwrap();
        values.write(&mut engine, at);
        let [quotes, depth] = runtime.block_on(async {
            [gateway.get("/api/v1/quotes/AAPL").await, gateway.get(&format!("/api/v1/depth/AAPL?levels={count}")).await]
        });
        for reply in [&quotes, &depth] {
            prop_assert_eq!(reply.status, 200);
            let epoch = engine.epoch();
            let want = serde_json::json!({
                "symbol": "AAPL", "venue": "XNAS", "instrument_id": 7, "lane": "lane0", "epoch": epoch,
                "lane_state": "live", "seq": values.market_n, "cursor": format!("lane0.{epoch}.{}", values.market_n),
                "ts_event": values.ts_event.to_string(), "status": TradingStatus::from_code(values.status).name(),
                "quality": Quality::from_code(values.quality).name(), "data": reply.json["data"],
            });
            prop_assert_eq!(&reply.json, &want);
        }
        prop_assert_eq!(data(&quotes), values.quote());
        prop_assert_eq!(
            data(&depth),
            format!(r#"{{"bids":{},"asks":{}}}"#, values.side(0, count), values.side(1, count))
        );
    });
}

#[tokio::test]
async fn depth_has_ten_levels_or_the_class_unless_it_is_told() {
    let gateway = Gateway::new(&["lane0"]);
    let mut engine = gateway.start("lane0");
    for (symbol, class) in [("FIVE", 5), ("TWENTY", 20), ("NONE", 0)] {
        let at = engine.add(class.into(), symbol, "XNAS", class);
        let mut update = engine.writer.board.update(at);
        for position in 0..class.into() {
            let level = Level { price: -(position as i64), quantity: 1, orders: 1 };
            update.insert_level(Side::Bid, position, level);
        }
    }
    let table = [
        ("FIVE", 200, 5),
        ("FIVE?levels=5", 200, 5),
        ("FIVE?levels=2", 200, 2),
        ("FIVE?levels=6", 400, 0),
        ("TWENTY", 200, 10),
        ("TWENTY?levels=20", 200, 20),
        ("TWENTY?levels=21", 400, 0),
        ("TWENTY?levels=200", 400, 0),
        ("TWENTY?levels=201", 400, 0),
        ("TWENTY?levels=0", 400, 0),
        ("NONE", 200, 0),
        ("NONE?levels=1", 400, 0),
    ];
    for (path, status, bids) in table {
        let reply = gateway.get(&format!("/api/v1/depth/{path}")).await;
        assert_eq!(reply.status, status, "case: {path}");
        assert_eq!(reply.json["data"]["bids"].as_array().map_or(0, Vec::len), bids, "case: {path}");
        if status == 400 {
            assert_eq!((reply.code(), &reply.json["error"]["field"]), ("bad_value", &"levels".into()), "case: {path}");
        }
    }
}

#[tokio::test]
async fn symbols_are_found_as_they_are_written() {
    let gateway = Gateway::new(&["lane0", "lane1"]);
    let (mut first, mut second) = (gateway.start("lane0"), gateway.start("lane1"));
    first.add(1, "BRK/B", "XNAS", 5);
    first.add(2, "BOTH", "XNAS", 5);
    first.add(3, "A:B", "XNAS", 5);
    second.add(4, "BOTH", "XBOS", 5);
    second.add(5, "\u{20}odd\"\\", "XBOS", 5);
    second.add(6, "TWICE", "XBOS", 5);
    second.add(7, "TWICE", "XBOS", 5);
    let table = [
        ("BRK%2FB", 200, Some(1)),
        ("BRK%2fB", 200, Some(1)),
        ("XNAS:BRK%2FB", 200, Some(1)),
        ("XBOS:BRK%2FB", 404, None),
        ("BOTH", 409, None),
        ("XNAS:BOTH", 200, Some(2)),
        ("XBOS:BOTH", 200, Some(4)),
        ("XBOS%3ABOTH", 200, Some(4)),
        ("XCHI:BOTH", 404, None),
        (":BOTH", 404, None),
        ("A:B", 200, Some(3)),
        ("XNAS:A:B", 200, Some(3)),
        ("%20odd%22%5C", 200, Some(5)),
        // Announced anew under another id: the newest is meant.
        ("TWICE", 200, Some(7)),
        ("both", 404, None),
        ("BOTH%20", 404, None),
        ("XNAS:", 404, None),
        ("%00", 404, None),
        ("BOTH+", 404, None),
        ("%e2%82%ac", 404, None),
        ("%ff", 400, None),
        ("%4", 400, None),
    ];
    for (symbol, status, id) in table {
        for route in ["quotes", "depth"] {
            let reply = gateway.get(&format!("/api/v1/{route}/{symbol}")).await;
            assert_eq!(reply.status, status, "case: {symbol} {}", reply.text);
            assert_eq!(reply.json["instrument_id"].as_u64(), id, "case: {symbol}");
        }
    }
    let reply = gateway.get("/api/v1/quotes/BOTH").await;
    assert_eq!(reply.json["error"]["expected"], "one of XNAS:BOTH, XBOS:BOTH");
}

fn trade(seq: u64, code: u8, flags: u8) -> Trade {
    let stamps = Stamps { ts_event: 1_580_394_599_000_000_000 + seq, ..Stamps::default() };
    Trade { seq, stamps, price: 123_460_000_000, quantity: 10, code, match_id: 70 + seq, flags }
}

fn recent(engine: &Engine, trades: Vec<Trade>) -> RecentTrades {
    RecentTrades { epoch: engine.writer.identity().epoch, trades }
}

/// Answers the next question of a gateway as a shard would.
fn answer_trades(gateway: &Gateway, answer: Option<RecentTrades>) -> tokio::task::JoinHandle<(String, u32, usize)> {
    let inbox = gateway.inbox.clone();
    tokio::spawn(async move {
        loop {
            if let Some(question) = inbox.question() {
                let seen = (question.lane.clone(), question.instrument_id, question.max);
                question.reply.send(answer).unwrap();
                return seen;
            }
            tokio::task::yield_now().await;
        }
    })
}

#[tokio::test]
async fn trades_come_from_the_shard() {
    let gateway = Gateway::new(&["lane0"]);
    let mut engine = gateway.start("lane0");
    engine.add(7, "AAPL", "XNAS", 5);
    for _ in 0..3 {
        engine.writer.market.push(&[0; 7]);
    }
    engine.writer.market.commit();
    engine.writer.publish_heads();
    let log = vec![trade(0, b'S', 0), trade(1, b'O', flag::NOT_PRINTED), trade(2, b'N', flag::HIDDEN)];
    let asked = answer_trades(&gateway, Some(recent(&engine, log)));
    let reply = gateway.get("/api/v1/trades/XNAS:AAPL?limit=3").await;
    assert_eq!(asked.await.unwrap(), ("lane0".into(), 7, 3));
    assert_eq!(reply.status, 200, "{}", reply.text);
    let one = |seq: u64, side: Value, cross: Value, printed: bool, hidden: bool| {
        serde_json::json!({"seq": seq, "ts_event": (1_580_394_599_000_000_000 + seq).to_string(), "price": 123.46,
            "quantity": 10, "side": side, "cross": cross, "match_id": (70 + seq).to_string(), "printed": printed,
            "hidden": hidden})
    };
    let null = || Value::Null;
    let want = serde_json::json!({"symbol": "AAPL", "venue": "XNAS", "instrument_id": 7, "lane": "lane0",
    "epoch": engine.epoch(), "lane_state": "live", "data": {"trades": [
        one(0, "ask".into(), null(), true, false),
        one(1, null(), "open".into(), false, false),
        one(2, null(), null(), true, true),
    ]}});
    assert_eq!(reply.json, want);
    let asked = answer_trades(&gateway, Some(recent(&engine, Vec::new())));
    assert_eq!(gateway.get("/api/v1/trades/AAPL").await.json["data"], serde_json::json!({"trades": []}));
    assert_eq!(asked.await.unwrap().2, 50);
}

#[tokio::test]
async fn trades_that_cannot_be_told_are_refused() {
    let gateway = Gateway::new(&["lane0"]);
    let mut engine = gateway.start("lane0");
    engine.add(7, "AAPL", "XNAS", 5);
    // Numbers that this epoch has not reached: the shard is still in the one before.
    let ahead = recent(&engine, vec![trade(0, b'S', 0)]);
    let elsewhere = RecentTrades { epoch: ahead.epoch ^ 1, trades: Vec::new() };
    for answer in [ahead, elsewhere] {
        let asked = answer_trades(&gateway, Some(answer));
        assert_eq!(gateway.get("/api/v1/trades/AAPL").await.outcome(), (503, "busy"));
        asked.await.unwrap();
    }
    let asked = answer_trades(&gateway, None);
    assert_eq!(gateway.get("/api/v1/trades/AAPL").await.outcome(), (503, "unavailable"));
    asked.await.unwrap();
    // Nobody answers.
    assert_eq!(gateway.get("/api/v1/trades/AAPL").await.outcome(), (503, "busy"));
    gateway.inbox.stop();
    assert_eq!(gateway.get("/api/v1/trades/AAPL").await.outcome(), (503, "unavailable"));
    for limit in ["0", "501", "x", "-1", ""] {
        let reply = gateway.get(&format!("/api/v1/trades/AAPL?limit={limit}")).await;
        assert_eq!(reply.outcome(), (400, "bad_value"), "case: {limit}");
    }
    assert_eq!(gateway.get("/api/v1/trades/NOPE").await.outcome(), (404, "unknown_symbol"));
}
