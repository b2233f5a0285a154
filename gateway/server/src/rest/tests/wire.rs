//! Requests as bytes on a socket, through the program's own HTTP server: what could be understood in two ways is refused,
//! and the connection ends, so that nothing behind it is taken for a request.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::*;
use crate::config::HttpConfig;
use crate::http::seats::Seats;
use crate::http::serve::Server;

/// Everything that the server says until it closes the connection.
async fn exchange(gateway: &Gateway, request: &[u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (_stop, stop) = watch::channel(false);
    let server = Server {
        router: gateway.router.clone(),
        seats: Seats::new(8, 8),
        report: Arc::clone(&gateway.report),
        config: HttpConfig::default(),
        stop,
    };
    let accepting = tokio::spawn(server.accept(listener));
    let mut stream = TcpStream::connect(address).await.unwrap();
    // A server that refuses may close before it has taken everything.
    let _ = stream.write_all(request).await;
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(60), stream.read_to_end(&mut answer)).await;
    accepting.abort();
    // The kernel tells a reset when the server closed with bytes unread; what came before it counts.
    let _ = read.expect("the server closes the connection");
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn what_could_be_understood_in_two_ways_is_refused_and_ends_the_connection() {
    const SMUGGLED: &str = "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let gateway = Gateway::new(&["lane0"]);
    let many_lines = "A: b\r\n".repeat(63);
    let large = format!("A: {}\r\n", "x".repeat(17 << 10));
    // (name, what stands behind the Host header, status, whether the answer is ours)
    let table: &[(&str, &str, u16, bool)] = &[
        ("plain", "Connection: close\r\n\r\n", 200, true),
        ("length, then chunks", "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, true),
        ("chunks, then length", "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", 400, true),
        ("chunks", "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, true),
        ("unknown coding", "Transfer-Encoding: xchunked\r\n\r\n", 400, false),
        ("two codings", "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400, true),
        ("two lengths", "Content-Length: 0\r\nContent-Length: 44\r\n\r\n", 400, false),
        ("one length twice", "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", 400, true),
        ("a list of lengths", "Content-Length: 5, 5\r\n\r\nhello", 400, false),
        ("signed length", "Content-Length: +5\r\n\r\nhello", 400, false),
        ("body", "Content-Length: 5\r\n\r\nhello", 400, true),
        ("two hosts", "Host: localhost\r\n\r\n", 400, true),
        ("folded line", "A: b\r\n c\r\n\r\n", 400, false),
        ("bare CR in a value", "A: b\rc\r\n\r\n", 400, false),
        ("NUL in a value", "A: b\0c\r\n\r\n", 400, false),
        ("NUL in a name", "A\0: b\r\n\r\n", 400, false),
        ("space before the colon", "A : b\r\n\r\n", 400, false),
        ("no colon", "A\r\n\r\n", 400, false),
        ("64 lines and more", &format!("{many_lines}B: c\r\n\r\n"), 431, false),
        ("17 KiB", &format!("{large}\r\n"), 431, false),
    ];
    for (name, rest, status, ours) in table {
        let behind = if *status == 200 { "" } else { SMUGGLED };
        let request = format!("GET /health HTTP/1.1\r\nHost: localhost\r\n{rest}{behind}");
        let answer = exchange(&gateway, request.as_bytes()).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "case: {name}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "case: {name}: something behind it was answered: {answer}");
        assert_eq!(answer.contains("x-content-type-options: nosniff"), *ours, "case: {name}: {answer}");
    }
    let lines = "A: b\r\n".repeat(62);
    let request = format!("GET /health HTTP/1.1\r\nHost: localhost\r\n{lines}Connection: close\r\n\r\n");
    assert!(exchange(&gateway, request.as_bytes()).await.starts_with("HTTP/1.1 200 "), "64 lines are fine");
}

#[tokio::test]
async fn first_lines_that_are_none() {
    let gateway = Gateway::new(&["lane0"]);
    let table = [
        ("no version", "GET /health\r\n\r\n", "HTTP/1.1 400 "),
        ("old version", "GET /health HTTP/0.9\r\nHost: localhost\r\n\r\n", "HTTP/1.1 400 "),
        ("newer version", "GET /health HTTP/2.0\r\nHost: localhost\r\n\r\n", "HTTP/1.1 400 "),
        ("space in the target", "GET /hea lth HTTP/1.1\r\nHost: localhost\r\n\r\n", "HTTP/1.1 400 "),
        ("NUL in the target", "GET /hea\0lth HTTP/1.1\r\nHost: localhost\r\n\r\n", "HTTP/1.1 400 "),
        ("method that is none", "G(T /health HTTP/1.1\r\nHost: localhost\r\n\r\n", "HTTP/1.1 400 "),
        ("no host", "GET /health HTTP/1.1\r\n\r\n", "HTTP/1.1 400 "),
        ("foreign target", "GET http://evil/health HTTP/1.1\r\nHost: localhost\r\n\r\n", "HTTP/1.1 403 "),
        ("connect", "CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", "HTTP/1.1 404 "),
        ("version 1.0", "GET /health HTTP/1.0\r\nHost: localhost\r\n\r\n", "HTTP/1.0 200 "),
        (
            "chunks in 1.0",
            "GET /health HTTP/1.0\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 400 ",
        ),
    ];
    for (name, request, want) in table {
        let answer = exchange(&gateway, request.as_bytes()).await;
        assert!(answer.starts_with(want), "case: {name}: {answer}");
    }
}
