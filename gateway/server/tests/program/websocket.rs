//! WebSocket as it goes over the wire: handshakes, frames that no client should send, and how connections end.

use std::io::{Read, Write};
use std::time::Duration;

use crate::gateway::{Gateway, exchange, frame};
use tungstenite::Message;

const KEY: &str = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

fn handshake(path: &str, host: &str, rest: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{KEY}{rest}\r\n")
}

#[test]
fn a_handshake_may_come_in_pieces_of_one_byte() {
    let gateway = Gateway::start("");
    let mut stream = gateway.connect();
    for byte in handshake("/ws/v1", "localhost", "").bytes() {
        stream.write_all(&[byte]).unwrap();
    }
    let mut answer = Vec::new();
    while !answer.windows(4).any(|window| window == b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        answer.push(byte[0]);
    }
    let answer = String::from_utf8(answer).unwrap().to_ascii_lowercase();
    assert!(answer.starts_with("http/1.1 101"), "{answer}");
    assert!(answer.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo="), "{answer}");
    let mut socket = crate::gateway::Socket(tungstenite::WebSocket::from_raw_socket(
        stream,
        tungstenite::protocol::Role::Client,
        None,
    ));
    assert!(socket.text().contains("\"type\":\"hello\""));
    // The frames, too.
    for byte in frame(0x81, br#"{"op":"ping","id":7}"#) {
        socket.raw(&[byte]);
    }
    let pong = socket.text();
    assert!(pong.contains("\"type\":\"pong\"") && pong.contains("\"id\":7"), "{pong}");
}

#[test]
fn what_comes_behind_the_handshake_at_once_is_not_lost() {
    let gateway = Gateway::start("");
    let mut stream = gateway.connect();
    let mut bytes = handshake("/ws/v1", "localhost", "").into_bytes();
    bytes.extend(frame(0x81, br#"{"op":"ping","id":8}"#));
    bytes.extend(frame(0x88, &1000_u16.to_be_bytes()));
    stream.write_all(&bytes).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.contains("\"type\":\"pong\"") && answer.contains("\"id\":8"), "{answer}");
    assert!(answer.ends_with("\u{3}\u{fffd}"), "the close frame stands last: {answer:?}");
}

#[test]
fn handshakes_that_are_refused_say_why() {
    let gateway = Gateway::start("[http]\norigins = [\"https://charts.example.com\"]");
    let table = [
        ("own page", handshake("/ws/v1", "localhost:8080", "Origin: http://localhost:8080\r\n"), "101", ""),
        ("configured page", handshake("/ws/v1", "localhost", "Origin: https://charts.example.com\r\n"), "101", ""),
        ("another page", handshake("/ws/v1", "localhost", "Origin: https://evil.example.com\r\n"), "403", "Origin"),
        ("another name", handshake("/ws/v1", "evil.example.com", ""), "403", "Host"),
        ("policy", handshake("/ws/v1?slow=never", "localhost", ""), "400", "slow"),
        ("version", handshake("/ws/v1", "localhost", "").replace("13", "8"), "426", "sec-websocket-version: 13"),
        ("no upgrade", "GET /ws/v1 HTTP/1.1\r\nHost: localhost\r\n\r\n".into(), "426", "upgrade"),
        ("key", handshake("/ws/v1", "localhost", "").replace("dGhl", "d"), "400", "Sec-WebSocket-Key"),
        ("echo is off", handshake("/echo", "localhost", ""), "404", ""),
    ];
    for (name, request, status, named) in table {
        let mut stream = gateway.connect();
        stream.write_all(request.as_bytes()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let mut answer = vec![0; 4096];
        let mut length = 0;
        // The body follows its header at once, perhaps in a second piece.
        while !String::from_utf8_lossy(&answer[..length]).contains(if status == "101" { "\r\n\r\n" } else { "}}" }) {
            let count = stream.read(&mut answer[length..]).unwrap();
            assert!(count > 0, "case {name}: {}", String::from_utf8_lossy(&answer[..length]));
            length += count;
        }
        let answer = String::from_utf8_lossy(&answer[..length]).into_owned();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "case {name}: {answer}");
        assert!(answer.contains(named), "case {name}: {answer}");
    }
}

#[test]
fn every_broken_rule_has_its_close_code() {
    let gateway = Gateway::start("");
    let too_long = vec![b'x'; 65_537];
    let table: &[(&str, Vec<u8>, u16)] = &[
        ("unmasked", vec![0x81, 2, b'h', b'i'], 1002),
        ("reserved bit", frame(0xC1, b"x"), 1002),
        ("reserved opcode", frame(0x83, b"x"), 1002),
        ("continuation of nothing", frame(0x80, b"x"), 1002),
        ("fragmented ping", frame(0x09, b"x"), 1002),
        ("close of one byte", frame(0x88, b"x"), 1002),
        ("close code that is none", frame(0x88, &1005_u16.to_be_bytes()), 1002),
        ("binary", frame(0x82, b"x"), 1003),
        ("not UTF-8", frame(0x81, &[0xFF]), 1007),
        ("too long", frame(0x81, &too_long), 1009),
        ("2^63 bytes announced", vec![0x81, 0xFF, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0], 1009),
        ("close", frame(0x88, &1000_u16.to_be_bytes()), 1000),
        ("close without a code", frame(0x88, b""), 1000),
        ("close with a code of its own", frame(0x88, &4000_u16.to_be_bytes()), 4000),
    ];
    for (name, bytes, code) in table {
        let mut socket = gateway.websocket("/ws/v1");
        // More behind it, unread when the gateway closes: it must not cost the Close frame.
        socket.raw(&[bytes.as_slice(), &frame(0x81, &[b'y'; 1000])].concat());
        assert_eq!(socket.close_code().0, *code, "case: {name}");
    }
    assert!(gateway.websocket("/ws/v1").text().contains("hello"), "others go on");
}

#[test]
fn floods_are_closed_and_a_wrong_command_is_not() {
    let gateway = Gateway::start("[limits]\ncommands_burst = 5\ncommands_per_second = 1");
    let mut socket = gateway.websocket("/ws/v1");
    socket.text();
    socket.raw(&frame(0x81, b"nonsense"));
    assert!(socket.text().contains("\"code\":\"bad_json\""));
    for _ in 0..20 {
        socket.raw(&frame(0x81, br#"{"op":"ping"}"#));
    }
    assert_eq!(socket.close_code().0, 1008);
    let gateway = Gateway::start("[limits]\nbytes_per_second = 1000\nbytes_burst = 100000");
    let mut socket = gateway.websocket("/ws/v1");
    for _ in 0..1_000 {
        // Pongs that nobody asked for: the gateway may be gone before the last.
        if socket.0.get_mut().write_all(&frame(0x8A, &[0; 125])).is_err() {
            break;
        }
    }
    assert_eq!(socket.close_code().0, 1008);
}

#[test]
fn echo_sends_everything_back() {
    let gateway = Gateway::start("[gateway]\necho = true\necho_message_bytes = 4194304");
    let mut socket = gateway.websocket("/echo");
    for length in [0, 1, 125, 126, 65_535, 65_536, 1 << 20, 4 << 20] {
        let binary = Message::binary(vec![7; length]);
        let text = Message::text("x".repeat(length));
        for message in [binary, text] {
            socket.0.send(message.clone()).unwrap();
            assert!(socket.0.read().unwrap() == message, "{length} bytes");
        }
    }
    socket.0.send(Message::Ping("are you there".into())).unwrap();
    assert_eq!(socket.0.read().unwrap(), Message::Pong("are you there".into()));
    // Many at once, of which none is lost and none overtakes another.
    let count = 2_000;
    for number in 0..count {
        socket.raw(&frame(0x81, format!("{number}").as_bytes()));
    }
    for number in 0..count {
        assert_eq!(socket.text(), number.to_string());
    }
    socket.raw(&frame(0x82, &vec![0; (4 << 20) + 1]));
    assert_eq!(socket.close_code().0, 1009);
}

#[test]
fn one_that_never_stops_sending_does_not_keep_the_others_waiting() {
    let gateway = Gateway::start("[gateway]\necho = true");
    let mut talker = gateway.websocket("/echo");
    let mut writer = talker.0.get_mut().try_clone().unwrap();
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let stopped = stop.clone();
    let sender = std::thread::spawn(move || {
        let block = frame(0x82, &[0; 60_000]).repeat(4);
        while !stopped.load(std::sync::atomic::Ordering::Relaxed) && writer.write_all(&block).is_ok() {}
    });
    let reader = std::thread::spawn(move || {
        let mut sink = vec![0; 1 << 16];
        while matches!(talker.0.get_mut().read(&mut sink), Ok(1..)) {}
    });
    for round in 0..20 {
        let mut socket = gateway.websocket("/ws/v1");
        assert!(socket.text().contains("hello"), "round {round}");
        let health =
            exchange(gateway.connect(), "GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        assert!(health.starts_with("HTTP/1.1 200"), "{health}");
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    drop(gateway);
    sender.join().unwrap();
    reader.join().unwrap();
}

#[test]
fn an_end_that_comes_with_the_last_bytes_is_seen() {
    let gateway = Gateway::start("");
    let mut sockets: Vec<_> = (0..50).map(|_| gateway.websocket("/ws/v1")).collect();
    for socket in &mut sockets {
        socket.text();
        // Half a frame's header, and the end right behind it: mostly one event for both.
        socket.raw(&[0x81]);
        socket.0.get_mut().shutdown(std::net::Shutdown::Write).unwrap();
    }
    for mut socket in sockets {
        // Long before a missing pong would end it.
        socket.0.get_mut().set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let mut rest = Vec::new();
        socket.0.get_mut().read_to_end(&mut rest).unwrap();
    }
}
