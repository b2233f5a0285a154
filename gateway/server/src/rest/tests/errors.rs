//! Refusals: one form, the right code, nothing of the inside.

use axum::http::Method;

use super::*;

#[tokio::test]
async fn paths_and_methods_that_are_not_there() {
    let gateway = Gateway::new(&["lane0"]);
    for path in [
        "/nope",
        "/",
        "/api/v1",
        "/api/v1/depth",
        "/api/v1/quotes/",
        "/api/v1/quotes/A/B",
        "/health/",
        "/HEALTH",
        "/docs/nope.js",
        "/docs/../health",
        "//health",
        "/api/v2/instruments",
    ] {
        let request = Request::get(path).header("host", "localhost").body(Body::empty()).unwrap();
        let reply = gateway.request(request).await;
        assert_eq!(reply.outcome(), (404, "unknown_route"), "case: {path}");
        assert_eq!(reply.json["error"]["value"], path, "case: {path}");
    }
    let paths = [
        "/health",
        "/ready",
        "/status",
        "/metrics",
        "/api/v1/instruments",
        "/api/v1/quotes/A",
        "/api/v1/depth/A",
        "/api/v1/trades/A",
        "/api/v1/openapi.json",
        "/docs",
        "/docs/",
        "/docs/index.html",
    ];
    for path in paths {
        for method in [Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS, Method::TRACE, Method::PATCH] {
            let request = Request::builder().method(&method).uri(path).header("host", "localhost");
            let reply = gateway.request(request.body(Body::empty()).unwrap()).await;
            assert_eq!(reply.outcome(), (405, "method_not_allowed"), "case: {method} {path}");
            assert_eq!(reply.header("allow"), "GET,HEAD", "case: {method} {path}");
        }
    }
}

#[tokio::test]
async fn a_foreign_host_reads_nothing() {
    let gateway = Gateway::new(&["lane0"]);
    for path in ["/health", "/api/v1/quotes/AAPL", "/docs/", "/nope"] {
        let request = Request::get(path).header("host", "rebound.example.com").body(Body::empty()).unwrap();
        let reply = gateway.request(request).await;
        assert_eq!(reply.outcome(), (403, "forbidden_host"), "case: {path}");
        assert_eq!(reply.header("connection"), "close");
    }
}

#[tokio::test]
async fn a_query_that_a_route_does_not_have_is_refused() {
    let gateway = Gateway::new(&["lane0"]);
    for path in [
        "/health",
        "/ready",
        "/status",
        "/metrics",
        "/api/v1/instruments",
        "/api/v1/quotes/A",
        "/api/v1/depth/A",
        "/api/v1/trades/A",
        "/api/v1/openapi.json",
    ] {
        let reply = gateway.get(&format!("{path}?bogus=1")).await;
        assert_eq!(reply.outcome(), (400, "unknown_field"), "case: {path}");
        assert_eq!((&reply.json["error"]["field"], &reply.json["error"]["value"]), (&"query".into(), &"bogus".into()));
    }
}

#[tokio::test]
async fn a_lane_that_is_not_there_is_unavailable() {
    let gateway = Gateway::new(&["lane0"]);
    for path in ["/api/v1/instruments", "/api/v1/quotes/AAPL", "/api/v1/depth/AAPL", "/api/v1/trades/AAPL"] {
        assert_eq!(gateway.get(path).await.outcome(), (503, "unavailable"), "case: {path}");
    }
}

#[tokio::test]
async fn a_row_that_its_writer_left_half_written_is_not_told() {
    let gateway = Gateway::new(&["lane0"]);
    let mut engine = gateway.start("lane0");
    engine.add(1, "WHOLE", "XNAS", 5);
    let row = engine.add(2, "HALF", "XNAS", 5);
    // The writer lives: it will be whole in a moment.
    std::mem::forget(engine.writer.board.update(row));
    for route in ["quotes", "depth"] {
        assert_eq!(gateway.get(&format!("/api/v1/{route}/HALF")).await.outcome(), (503, "busy"));
    }
    engine.silence();
    for route in ["quotes", "depth"] {
        assert_eq!(gateway.get(&format!("/api/v1/{route}/HALF")).await.outcome(), (503, "writer_dead"));
    }
    let reply = gateway.get("/api/v1/quotes/WHOLE").await;
    assert_eq!((reply.status.as_u16(), &reply.json["lane_state"]), (200, &"silent".into()));
}

#[tokio::test]
async fn books_that_are_being_rebuilt_are_not_told() {
    let gateway = Gateway::new(&["lane0"]);
    let mut engine = gateway.start("lane0");
    engine.add(1, "AAPL", "XNAS", 5);
    engine.writer.set_state(State::Recovering);
    for symbol in ["AAPL", "MSFT"] {
        assert_eq!(gateway.get(&format!("/api/v1/quotes/{symbol}")).await.outcome(), (503, "busy"), "{symbol}");
    }
    engine.writer.set_state(State::Live);
    assert_eq!(gateway.get("/api/v1/quotes/AAPL").await.status, 200);
    assert_eq!(gateway.get("/api/v1/quotes/MSFT").await.status, 404);
}

#[tokio::test]
async fn errors_tell_nothing_of_the_inside() {
    let gateway = Gateway::new(&["lane0"]);
    let dir = gateway.dir.path().to_str().unwrap().to_owned();
    std::fs::write(gateway.dir.path().join("lane0.seg"), "no segment").unwrap();
    for path in ["/health", "/ready", "/status", "/metrics", "/api/v1/quotes/AAPL"] {
        let reply = gateway.get(path).await;
        assert!(!reply.text.contains(&dir), "{path}: {}", reply.text);
    }
    let health = gateway.get("/health").await;
    assert_eq!(health.json["lanes"][0]["reason"], "its file is not a segment");
    let long = "x".repeat(4000);
    let reply = gateway.get(&format!("/api/v1/depth/A?levels={long}")).await;
    assert_eq!(reply.json["error"]["value"], "x".repeat(64));
}
