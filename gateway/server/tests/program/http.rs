//! The port's limits.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use crate::gateway::{Gateway, PATIENCE, exchange};

const HEALTH: &str = "GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

#[test]
fn a_header_that_never_ends_is_not_waited_for() {
    let gateway = Gateway::start("[http]\nheader_timeout_ms = 200");
    for start in ["", "GET /health HTTP/1.1\r\nHost: local"] {
        let mut stream = gateway.connect();
        stream.write_all(start.as_bytes()).unwrap();
        let began = Instant::now();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(!answer.contains("200"), "{answer}");
        assert!(began.elapsed() >= Duration::from_millis(150), "{start:?} {:?}", began.elapsed());
    }
}

#[test]
fn headers_are_bounded() {
    let gateway = Gateway::start("[http]\nheader_bytes = 8192\nheader_lines = 16");
    let line = |count: usize, bytes: usize| {
        let lines: String = (0..count).map(|index| format!("x-{index}: {}\r\n", "v".repeat(bytes))).collect();
        format!("GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{lines}\r\n")
    };
    for (name, request, status) in [
        ("within", line(10, 100), "200"),
        ("too many lines", line(20, 1), "431"),
        ("too many bytes", line(1, 9000), "431"),
    ] {
        let answer = exchange(gateway.connect(), &request);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "case {name}: {answer}");
    }
}

#[test]
fn an_address_has_so_many_connections_and_no_more() {
    for (config, limit) in [("[http]\nconnections_per_address = 3", 3), ("[http]\nconnections = 5", 5)] {
        let gateway = Gateway::start(config);
        let mut held: Vec<_> = (0..limit).map(|_| gateway.websocket("/ws/v1")).collect();
        for socket in &mut held {
            socket.text();
        }
        let answer = exchange(gateway.connect(), HEALTH);
        assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("retry-after: 1"), "{answer}");
        drop(held.pop());
        let began = Instant::now();
        while !exchange(gateway.connect(), HEALTH).starts_with("HTTP/1.1 200") {
            assert!(began.elapsed() < PATIENCE, "the seat does not come back");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

#[test]
fn a_shard_that_is_full_says_try_again() {
    let gateway = Gateway::start("[limits]\nconnections = 2");
    let _held = [gateway.websocket("/ws/v1"), gateway.websocket("/ws/v1")].map(|mut socket| {
        socket.text();
        socket
    });
    assert_eq!(gateway.websocket("/ws/v1").close_code().0, 1013);
}
