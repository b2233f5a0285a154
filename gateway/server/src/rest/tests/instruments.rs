//! Searching and paging.

use proptest::prelude::*;
use shm_abi::directory::InstrumentKind;

use super::*;

/// `lane/symbol` of every instrument of a page.
fn names(reply: &Reply) -> Vec<String> {
    let instruments = reply.json["instruments"].as_array().unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    instruments.iter().map(|one| format!("{}/{}", text(&one["lane"]), text(&one["symbol"]))).collect()
}

#[tokio::test]
async fn an_instrument_is_told_as_its_directory_has_it() {
    let gateway = Gateway::new(&["lane0"]);
    let mut engine = gateway.start("lane0");
    let instrument = Instrument {
        kind: InstrumentKind::Future,
        price_decimals: 2,
        quantity_decimals: 3,
        tick: 25_000_000,
        lot: 1500,
        depth_class: 20,
        ..Instrument::equity(9, b"ES\"Z6", b"XCME")
    };
    engine.writer.add_instrument(&instrument).unwrap();
    engine.add(10, "PLAIN", "XCME", 0);
    let reply = gateway.get("/api/v1/instruments").await;
    let want = concat!(
        r#"{"total":2,"offset":0,"limit":100,"instruments":["#,
        r#"{"instrument_id":9,"symbol":"ES\"Z6","venue":"XCME","lane":"lane0","kind":"future","price_decimals":2,"#,
        r#""quantity_decimals":3,"tick":0.025,"lot":1.5,"depth":20},"#,
        r#"{"instrument_id":10,"symbol":"PLAIN","venue":"XCME","lane":"lane0","kind":"equity","price_decimals":4,"#,
        r#""quantity_decimals":0,"tick":null,"lot":null,"depth":0}]}"#,
    );
    assert_eq!(reply.text, want);
}

#[tokio::test]
async fn searches_and_kinds() {
    let gateway = Gateway::new(&["lane1", "lane0"]);
    let (mut first, mut second) = (gateway.start("lane1"), gateway.start("lane0"));
    first.add(1, "MSFT", "XNAS", 5);
    first.add(2, "AAPL", "XNAS", 5);
    let test = Instrument { kind: InstrumentKind::Test, ..Instrument::equity(3, b"ZVZZT", b"XNAS") };
    first.writer.add_instrument(&test).unwrap();
    second.add(4, "AAPL", "XBOS", 5);
    let option = Instrument { kind: InstrumentKind::Option, ..Instrument::equity(5, b"AAPL 260C", b"XCBO") };
    second.writer.add_instrument(&option).unwrap();
    let table: &[(&str, &[&str])] = &[
        // By lane as configured, then by row.
        ("", &["lane1/MSFT", "lane1/AAPL", "lane0/AAPL", "lane0/AAPL 260C"]),
        ("search=aap", &["lane1/AAPL", "lane0/AAPL", "lane0/AAPL 260C"]),
        ("search=AAPL+2", &["lane0/AAPL 260C"]),
        ("search=%20260", &["lane0/AAPL 260C"]),
        ("search=SF", &["lane1/MSFT"]),
        ("search=nope", &[]),
        ("search=zvzzt", &[]),
        ("kind=test", &["lane1/ZVZZT"]),
        ("kind=test&search=aapl", &[]),
        ("kind=option", &["lane0/AAPL 260C"]),
        ("kind=equity&search=aapl&limit=1", &["lane1/AAPL"]),
        ("kind=equity&search=aapl&limit=1&offset=1", &["lane0/AAPL"]),
        ("offset=4", &[]),
        ("offset=2147483647", &[]),
    ];
    for (query, want) in table {
        let reply = gateway.get(&format!("/api/v1/instruments?{query}")).await;
        assert_eq!(names(&reply), *want, "case: {query}");
    }
    for query in [
        "limit=0",
        "limit=1001",
        "offset=-1",
        "offset=2147483648",
        "kind=stock",
        "kind=",
        "sort=symbol",
        "limit=1&limit=2",
        "search=%ff",
        &format!("search={}", "x".repeat(33)),
    ] {
        let reply = gateway.get(&format!("/api/v1/instruments?{query}")).await;
        assert_eq!(reply.status, 400, "case: {query}");
        assert!(reply.json["error"]["expected"].is_string(), "case: {query}");
    }
}

#[test]
fn pages_together_are_the_whole_list_in_order() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let config = proptest::test_runner::Config { cases: 60, failure_persistence: None, ..Default::default() };
    let symbols = || proptest::collection::vec("[AB]{1,3}", 0..40);
    proptest!(config, |(lanes in [symbols(), symbols()], limit in 1_usize..20, search in "[abAB]{0,2}")| {
        let gateway = Gateway::new(&["lane0", "lane1"]);
        let mut engines = [gateway.start("lane0"), gateway.start("lane1")];
        let mut want = Vec::new();
        for (lane, symbols) in lanes.iter().enumerate() {
            for symbol in symbols {
                engines[lane].add(0, symbol, "XNAS", 0);
                if symbol.contains(&search.to_uppercase()) {
                    want.push(format!("lane{lane}/{symbol}"));
                }
            }
        }
        let mut got = Vec::new();
        runtime.block_on(async {
            for page in 0..=want.len() / limit {
                let path = format!("/api/v1/instruments?search={search}&limit={limit}&offset={}", page * limit);
                let reply = gateway.get(&path).await;
                assert_eq!(reply.json["total"], want.len());
                assert_eq!(reply.json["offset"], page * limit);
                assert!(names(&reply).len() <= limit);
                got.extend(names(&reply));
            }
        });
        prop_assert_eq!(got, want);
    });
}

#[tokio::test]
async fn a_large_directory_is_taken_in_by_pieces_and_grows() {
    let gateway = Gateway::new(&["lane0"]);
    let mut engine = gateway.start("lane0");
    let count = 2 * crate::rest::lanes::INDEX_BATCH + 10;
    for id in 0..count {
        engine.add(id as u32, &format!("S{id}"), "XNAS", 0);
    }
    // One request takes in a part of it: what is not known yet is not called unknown.
    let last = format!("/api/v1/quotes/S{}", count - 1);
    assert_eq!(gateway.get(&last).await.outcome(), (503, "busy"));
    assert_eq!(gateway.get("/api/v1/quotes/S0").await.status, 200);
    assert_eq!(gateway.get(&last).await.status, 200);
    assert_eq!(gateway.get("/api/v1/quotes/S-1").await.outcome(), (404, "unknown_symbol"));
    // A list waits for all of it.
    let fresh = Gateway { router: gateway.fresh_router(), ..gateway };
    let reply = fresh.get("/api/v1/instruments?limit=1&offset=32770").await;
    assert_eq!((reply.json["total"].as_u64(), names(&reply)), (Some(count as u64), vec!["lane0/S32770".to_owned()]));
    engine.add(count as u32, "LATER", "XNAS", 0);
    assert_eq!(fresh.get("/api/v1/quotes/LATER").await.status, 200);
}
