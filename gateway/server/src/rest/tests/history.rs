//! Ranges of trades and quotes, from a recording.

use journal::format::HoleReason;
use shm_abi::record::side;

use super::*;
use crate::journal::tests::{BEGIN_NS, Line, record};

const MS: u64 = 1_000_000;

fn ns(ms: u64) -> u64 {
    BEGIN_NS + ms * MS
}

/// Epoch 7 with trades of A at every even number, a hole, and epoch 8.
fn record_trades(dir: &Path) {
    let mut lines: Vec<Line> = (0..100).map(|n| Line::Trade(if n % 2 == 0 { 1 } else { 2 }, true)).collect();
    lines.extend([Line::Hole(10, HoleReason::DiskFull), Line::Trade(1, true)]);
    record(&dir.join("lane0"), 7, &[(1, "A"), (2, "B")], &lines);
    record(&dir.join("lane0"), 8, &[(1, "A")], &[Line::Restart(7, 111), Line::Trade(1, true)]);
}

fn numbers(reply: &Reply, rows: &str) -> Vec<u64> {
    reply.json[rows].as_array().unwrap().iter().map(|row| row["seq"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn trades_page_by_page() {
    let dir = tempfile::tempdir().unwrap();
    record_trades(dir.path());
    // So few records a request that some find nothing, and say where to go on.
    for request_records in [1 << 20, 256, 3] {
        let gateway = Gateway::recorded(&["lane0"], dir.path(), request_records);
        let mut engine = gateway.start("lane0");
        engine.add(1, "A", "XNAS", 10);
        let (mut path, mut got, mut holes) = ("/api/v1/trades?symbol=A&limit=7".to_string(), Vec::new(), Vec::new());
        loop {
            let reply = gateway.get(&path).await;
            assert_eq!(reply.status, 200, "{reply:?}");
            let rows = reply.json["trades"].as_array().unwrap();
            got.extend(
                rows.iter().map(|row| (row["epoch"].as_str().unwrap().to_string(), row["seq"].as_u64().unwrap())),
            );
            holes.extend(reply.json["holes"].as_array().unwrap().clone());
            let Some(next) = reply.json["next"].as_str() else {
                assert_eq!(reply.json["cursor"], "lane0.0000000000000008.2");
                break;
            };
            path = format!("/api/v1/trades?symbol=A&limit=7&cursor={next}");
        }
        let old = (0..100).step_by(2).chain([110]).map(|n| ("0000000000000007".to_string(), n));
        let want: Vec<_> = old.chain([("0000000000000008".to_string(), 2)]).collect();
        assert_eq!(got, want, "{request_records} a request");
        assert_eq!(holes, [serde_json::json!({"epoch": "0000000000000007", "first": 100, "last": 109})]);
    }
}

#[tokio::test]
async fn trades_of_a_time_in_exact_decimals() {
    let dir = tempfile::tempdir().unwrap();
    record_trades(dir.path());
    let gateway = Gateway::recorded(&["lane0"], dir.path(), 1 << 20);
    let mut engine = gateway.start("lane0");
    engine.add(1, "A", "XNAS", 10);
    engine.add(2, "B", "XNAS", 10);
    let reply = gateway.get(&format!("/api/v1/trades?symbol=A&from={}&to={}", ns(11), ns(16))).await;
    assert_eq!((numbers(&reply, "trades"), &reply.json["next"]), (vec![12, 14, 16], &Value::Null));
    assert!(reply.text.contains(&format!(
        "{{\"epoch\":\"0000000000000007\",\"seq\":12,\"ts_event\":\"{0}\",\"ts_publish\":\"{0}\",\"price\":5,\
         \"quantity\":7,\"side\":\"bid\",\"cross\":null,\"match_id\":\"12\",\"printed\":true,\"hidden\":false}}",
        ns(12)
    )));
    let reply = gateway.get(&format!("/api/v1/trades?symbol=XNAS:B&from={}&limit=2", ns(0))).await;
    assert_eq!((numbers(&reply, "trades"), reply.json["next"].is_string()), (vec![1, 3], true));
    // An empty range.
    let reply = gateway.get(&format!("/api/v1/trades?symbol=A&from={}", ns(999_999))).await;
    assert_eq!(numbers(&reply, "trades"), [0_u64; 0]);
}

#[tokio::test]
async fn quotes_say_which_side_is_known() {
    let dir = tempfile::tempdir().unwrap();
    let quote = |side, price: i64| Line::Quote(1, side, price * 1_000_000_000, true);
    let lines = [
        quote(side::BID, 10),
        quote(side::BID, 11),
        quote(side::ASK, 12),
        Line::Hole(2, HoleReason::DiskSlow),
        quote(side::ASK, 13),
        Line::Trade(1, true),
        quote(side::BID, 12),
    ];
    record(&dir.path().join("lane0"), 7, &[(1, "A")], &lines);
    let gateway = Gateway::recorded(&["lane0"], dir.path(), 1 << 20);
    let mut engine = gateway.start("lane0");
    engine.add(1, "A", "XNAS", 10);
    let reply = gateway.get("/api/v1/quotes?symbol=A").await;
    let price = |level: &Value| level["price"].as_u64();
    let rows: Vec<_> = reply.json["quotes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            (row["seq"].as_u64().unwrap(), price(&row["bid"]), price(&row["ask"]), row["known"].as_str().unwrap())
        })
        .collect();
    let want = [
        (0, Some(10), None, "bid"),
        (1, Some(11), None, "bid"),
        (2, Some(11), Some(12), "both"),
        (5, None, Some(13), "ask"),
        (7, Some(12), Some(13), "both"),
    ];
    assert_eq!(rows, want);
}

#[tokio::test]
async fn refusals() {
    let dir = tempfile::tempdir().unwrap();
    record_trades(dir.path());
    let gateway = Gateway::recorded(&["lane0"], dir.path(), 1 << 20);
    let mut engine = gateway.start("lane0");
    engine.add(1, "A", "XNAS", 10);
    let table: &[(&str, (u16, &str))] = &[
        ("", (400, "bad_value")),
        ("?symbol=NOPE", (404, "unknown_symbol")),
        ("?symbol=A&limit=0", (400, "bad_value")),
        ("?symbol=A&limit=10001", (400, "bad_value")),
        ("?symbol=A&from=yesterday", (400, "bad_value")),
        ("?symbol=A&from=-1", (400, "bad_value")),
        ("?symbol=A&from=5&to=4", (400, "bad_value")),
        ("?symbol=A&cursor=17", (400, "bad_value")),
        ("?symbol=A&cursor=lane1.0000000000000007.3", (400, "bad_value")),
        ("?symbol=A&cursor=lane0.0000000000000009.3", (400, "bad_value")),
        ("?symbol=A&since=4", (400, "unknown_field")),
    ];
    for route in ["trades", "quotes"] {
        for (query, outcome) in table {
            assert_eq!(gateway.get(&format!("/api/v1/{route}{query}")).await.outcome(), *outcome, "{route}{query}");
        }
    }
    let without = Gateway::new(&["lane0"]);
    assert_eq!(without.get("/api/v1/trades?symbol=A").await.outcome(), (503, "unavailable"));
}
