//! Health, readiness, status and metrics follow what the lanes do.

use gateway_core::dialect::LaneState;
use shm_abi::counters::{FeedCounter, LaneCounter};
use shm_abi::layout::FeedState;

use super::*;
use crate::report::{Hops, LaneReport, Percentiles, ShardReport};

fn lane_report(name: &str, state: LaneState) -> LaneReport {
    let hop = Percentiles { count: 3, total: 9, p50_ns: 1_500, p99_ns: 2_000, max_ns: 2_500, ..Percentiles::default() };
    LaneReport {
        name: name.into(),
        state,
        epoch: None,
        stream: 1,
        cursor: 5,
        head: 6,
        lag: 1,
        heartbeat_age_ms: None,
        obstacle: String::new(),
        version_mismatches: 0,
        hops: Hops { receive_to_publish: hop, ..Hops::default() },
    }
}

fn publish(gateway: &Gateway, lanes: Vec<LaneReport>) {
    let stats = gateway_core::shard::Stats { records: 11, connections: 2, subscriptions: 3, ..Default::default() };
    gateway.report.publish(0, ShardReport { at_ns: crate::rest::now_ns(), stats, lanes, ..ShardReport::default() });
}

#[tokio::test]
async fn a_lane_appears_falls_silent_ends_and_begins_anew() {
    let gateway = Gateway::new(&["lane0"]);
    let absent = gateway.get("/health").await;
    assert_eq!(absent.json["status"], "degraded");
    assert_eq!(
        absent.json["lanes"],
        serde_json::json!([{"name": "lane0", "state": "absent",
        "reason": "there is no segment: the engine has not been started"}])
    );
    assert_eq!(gateway.get("/ready").await.outcome(), (503, "unavailable"));

    let mut engine = gateway.start("lane0");
    engine.add(1, "AAPL", "XNAS", 5);
    gateway.wait_for("/health", "the lane is found", |reply| reply.json["status"] == "ok").await;
    let ready = gateway.get("/ready").await;
    assert_eq!(ready.outcome(), (503, "unavailable"));
    assert!(ready.json["error"]["message"].as_str().unwrap().contains("shard 0 has not begun"));
    publish(&gateway, vec![lane_report("lane0", LaneState::Absent)]);
    assert!(gateway.get("/ready").await.text.contains("shard 0 has not attached lane0 yet"));
    publish(&gateway, vec![lane_report("lane0", LaneState::Live)]);
    assert_eq!(gateway.get("/ready").await.json, serde_json::json!({"ready": true}));

    for (state, name) in [(State::Recovering, "recovering"), (State::Live, "live"), (State::Closed, "closed")] {
        engine.writer.set_state(state);
        let health = gateway.get("/health").await;
        assert_eq!(health.json["lanes"][0]["state"], name);
        assert_eq!(gateway.get("/ready").await.status == 200, state == State::Live, "{name}");
    }
    engine.writer.set_state(State::Live);
    engine.silence();
    assert_eq!(gateway.get("/health").await.json["lanes"][0]["state"], "silent");
    assert_eq!(gateway.get("/ready").await.status, 503);

    let old = gateway.get("/api/v1/quotes/AAPL").await.json["epoch"].clone();
    drop(engine);
    let mut engine = gateway.start("lane0");
    engine.add(2, "AAPL", "XNAS", 5);
    let quote = gateway.wait_for("/api/v1/quotes/AAPL", "the successor", |reply| reply.json["epoch"] != old).await;
    assert_eq!((quote.json["epoch"].as_str(), &quote.json["instrument_id"]), (Some(&*engine.epoch()), &2.into()));
    // The old directory's symbols went with it.
    assert_eq!(gateway.get("/ready").await.status, 200);

    gateway.report.draining.store(true, Relaxed);
    assert!(gateway.get("/ready").await.text.contains("stopping"));
    assert_eq!(gateway.get("/health").await.status, 200);
}

#[tokio::test]
async fn a_successor_is_found_while_the_old_writer_still_counts_as_live() {
    let gateway = Gateway::new(&["lane0"]);
    let mut engine = gateway.start("lane0");
    engine.add(1, "OLD", "XNAS", 5);
    assert_eq!(gateway.get("/api/v1/quotes/OLD").await.status, 200);
    drop(engine);
    let mut engine = gateway.start("lane0");
    engine.add(1, "NEW", "XNAS", 5);
    let_looks_expire().await;
    assert_eq!(gateway.get("/api/v1/quotes/NEW").await.status, 200);
    assert_eq!(gateway.get("/api/v1/quotes/OLD").await.status, 404);
}

#[tokio::test]
async fn a_file_that_is_removed_or_broken_leaves_the_last_known_state() {
    let gateway = Gateway::new(&["lane0"]);
    let mut engine = gateway.start("lane0");
    engine.add(1, "AAPL", "XNAS", 5);
    assert_eq!(gateway.get("/api/v1/quotes/AAPL").await.status, 200);
    let file = gateway.dir.path().join("lane0.seg");
    std::fs::remove_file(&file).unwrap();
    let_looks_expire().await;
    assert_eq!(gateway.get("/api/v1/quotes/AAPL").await.status, 200);
    std::fs::write(&file, [0; 100]).unwrap();
    let health = gateway.wait_for("/health", "the broken file", |reply| reply.json["status"] == "degraded").await;
    assert_eq!(health.json["lanes"][0]["reason"], "its file is not a segment");
    assert_eq!(gateway.get("/api/v1/quotes/AAPL").await.status, 200);
}

#[tokio::test]
async fn lanes_are_found_when_none_is_configured() {
    let gateway = Gateway::new(&[]);
    let health = gateway.get("/health").await;
    assert_eq!((&health.json["status"], &health.json["lanes"]), (&"degraded".into(), &serde_json::json!([])));
    assert_eq!(gateway.get("/api/v1/instruments").await.outcome(), (503, "unavailable"));
    std::fs::write(gateway.dir.path().join("Not A Lane.seg"), "").unwrap();
    std::fs::write(gateway.dir.path().join("lane9.lock"), "").unwrap();
    let mut engine = gateway.start("lane7");
    engine.add(1, "AAPL", "XNAS", 5);
    let health = gateway.wait_for("/health", "the lane is found", |reply| reply.json["status"] == "ok").await;
    assert_eq!(health.json["lanes"], serde_json::json!([{"name": "lane7", "state": "live", "reason": null}]));
    assert_eq!(gateway.get("/api/v1/quotes/AAPL").await.json["lane"], "lane7");
}

/// A lane with some of everything.
fn busy_engine(gateway: &Gateway) -> Engine {
    let mut engine = gateway.start("lane0");
    engine.add(1, "AAPL", "XNAS", 5);
    for (index, counter) in LaneCounter::ALL.iter().enumerate() {
        engine.writer.counters.set(*counter, 100 + index as u64);
    }
    engine.writer.counters.set(LaneCounter::Received, (1 << 53) + 1);
    let mut feed = engine.writer.feed(0);
    feed.set_name("itch\"a\\");
    feed.set_state(FeedState::Live);
    feed.set_session(b"   SESSION1     ", 0, 0);
    feed.set_sequence(77);
    for (index, counter) in FeedCounter::ALL.iter().enumerate() {
        feed.counters.set_feed(*counter, 200 + index as u64);
    }
    feed.counters.set_feed(FeedCounter::LastByteNs, 1_580_394_600_500_000_000);
    for _ in 0..3 {
        engine.writer.market.push(&[0; 7]);
        engine.writer.orders.push(&[0; 7]);
    }
    engine.writer.orders.push(&[0; 7]);
    engine.writer.market.commit();
    engine.writer.orders.commit();
    engine.writer.publish_heads();
    engine
}

#[tokio::test]
async fn status_tells_what_memory_says() {
    let gateway = Gateway::new(&["lane0", "lane1"]);
    let engine = busy_engine(&gateway);
    publish(&gateway, vec![lane_report("lane0", LaneState::Live)]);
    let status = gateway.get("/status").await.json;
    let lane = &status["lanes"][0];
    for (index, counter) in LaneCounter::ALL.iter().enumerate() {
        let want = if *counter == LaneCounter::Received { (1 << 53) + 1 } else { 100 + index as u64 };
        assert_eq!(lane["counters"][counter.name()], want, "{}", counter.name());
    }
    let want = serde_json::json!({"name": "lane0", "state": "live", "reason": null, "epoch": engine.epoch(),
        "market_head": 3, "orders_head": 4, "instruments": 1});
    for (field, value) in want.as_object().unwrap() {
        assert_eq!(lane[field], *value, "{field}");
    }
    let feed = &lane["feeds"][0];
    let want = serde_json::json!({"name": "itch\"a\\", "state": "live", "session": "SESSION1", "sequence": 77,
        "last_byte_ns": "1580394600500000000"});
    for (field, value) in want.as_object().unwrap() {
        assert_eq!(feed[field], *value, "{field}");
    }
    assert_eq!(feed["counters"]["next_sequence"], 213);
    assert_eq!(feed["counters"].as_object().unwrap().len(), FeedCounter::ALL.len() - 1);
    assert_eq!(lane["hops"]["receive_to_publish"]["p50_ns"], 1_500);
    assert_eq!(status["shards"][0]["stats"]["records"], 11);
    assert_eq!((&status["shards"][0]["connections"], &status["shards"][0]["lanes"][0]["lag"]), (&2.into(), &1.into()));
    assert_eq!((&status["limits"]["subscriptions"], &status["door"]["accepted"]), (&1000.into(), &0.into()));
    let absent = &status["lanes"][1];
    assert_eq!((&absent["state"], &absent["epoch"], &absent["hops"]), (&"absent".into(), &Value::Null, &Value::Null));
}

#[tokio::test]
async fn metrics_are_open_metrics_and_equal_memory() {
    let gateway = Gateway::new(&["lane0", "lane1"]);
    let engine = busy_engine(&gateway);
    publish(&gateway, vec![lane_report("lane0", LaneState::Live)]);
    gateway.report.door.handshakes.fetch_add(5, Relaxed);
    let reply = gateway.get("/metrics").await;
    assert_eq!(reply.header("content-type"), "application/openmetrics-text; version=1.0.0; charset=utf-8");
    assert!(reply.text.ends_with("# EOF\n"));
    check_open_metrics(&reply.text);
    let lane = "lane=\"lane0\"";
    for (index, counter) in LaneCounter::ALL.iter().enumerate() {
        let total = if crate::metrics::lane_shape(*counter) == crate::metrics::Shape::Counter { "_total" } else { "" };
        let found = samples(&reply.text, &format!("ticklane_lane_{}{total}", counter.name()));
        let want = if *counter == LaneCounter::Received { 9_007_199_254_740_993.0 } else { 100.0 + index as f64 };
        assert_eq!(found, BTreeMap::from([(lane.to_owned(), want)]), "{}", counter.name());
    }
    // A whole number is told as such: this one does not fit a double.
    assert!(reply.text.contains("ticklane_lane_received_total{lane=\"lane0\"} 9007199254740993\n"));
    let feed = r#"lane="lane0",feed="itch\"a\\""#;
    let table = [
        ("ticklane_feed_bytes_total", feed, 200.0),
        ("ticklane_feed_next_sequence", feed, 213.0),
        ("ticklane_feed_last_byte_timestamp_seconds", feed, 1_580_394_600.5),
        ("ticklane_feed_sequence", feed, 77.0),
        ("ticklane_feed_state", r#"lane="lane0",feed="itch\"a\\",state="live""#, 1.0),
        ("ticklane_lane_live", lane, 1.0),
        ("ticklane_lane_live", "lane=\"lane1\"", 0.0),
        ("ticklane_lane_heartbeat_age_seconds", lane, 0.0),
        ("ticklane_lane_market_head", lane, 3.0),
        ("ticklane_lane_orders_head", lane, 4.0),
        ("ticklane_lane_instruments", lane, 1.0),
        ("ticklane_gateway_records_total", "shard=\"0\"", 11.0),
        ("ticklane_gateway_connections", "shard=\"0\"", 2.0),
        ("ticklane_gateway_lag_slots", "shard=\"0\",lane=\"lane0\"", 1.0),
        ("ticklane_gateway_door_handshakes_total", "", 5.0),
        ("ticklane_gateway_limit", "limit=\"subscriptions\"", 1000.0),
        ("ticklane_gateway_draining", "", 0.0),
        (
            "ticklane_gateway_hop_seconds",
            "shard=\"0\",lane=\"lane0\",hop=\"receive_to_publish\",quantile=\"0.99\"",
            0.000_002,
        ),
        ("ticklane_gateway_hop_samples_total", "shard=\"0\",lane=\"lane0\",hop=\"receive_to_publish\"", 9.0),
    ];
    for (name, labels, want) in table {
        assert_eq!(samples(&reply.text, name).get(labels), Some(&want), "{name}{{{labels}}}\n{}", reply.text);
    }
    // A hop without samples has no percentiles: 0 would be a lie.
    assert_eq!(samples(&reply.text, "ticklane_gateway_hop_seconds").len(), 5);
    drop(engine);
}

/// The rules of OpenMetrics that a scraper trips over: every sample under its own metric, each metric once.
fn check_open_metrics(text: &str) {
    let mut seen = std::collections::BTreeSet::new();
    let mut current: Option<(String, String)> = None;
    for line in text.lines() {
        if line == "# EOF" {
            break;
        }
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert!(seen.insert(name.to_owned()), "{name} twice");
            current = Some((name.into(), kind.into()));
        } else if !line.starts_with("# ") {
            let (name, kind) = current.as_ref().expect("a type before the first sample");
            let suffix = if kind == "counter" { "_total" } else { "" };
            let metric = line.split(['{', ' ']).next().unwrap();
            assert_eq!(metric, format!("{name}{suffix}"), "{line}");
            assert!(metric.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'), "{line}");
            line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap();
        }
    }
}
