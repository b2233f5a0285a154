//! Every fault of SoupBinTCP does on the wire what it says, and once: who comes again gets everything.

mod common;

use std::io::{ErrorKind, Read};
use std::time::{Duration, Instant};

use common::*;
use venue::fault::Fault;
use venue::server::{AtEnd, Exchange, ExchangeConfig, Start};
use wire::soupbin::frame::{self, kind};

/// Bytes of one sequenced packet.
fn packet(message: &[u8]) -> Vec<u8> {
    packets(&[message.to_vec()])
}

/// The body of a connection up to its end, after the acceptance. A reset is an end too.
fn body(exchange: &Exchange, sequence: u64) -> (Vec<u8>, Option<ErrorKind>) {
    let mut client = Client::ask(exchange.address(), "", sequence);
    let mut bytes = Vec::new();
    let end = client.stream.read_to_end(&mut bytes).err().map(|error| error.kind());
    (bytes.split_off(ACCEPTED_BYTES.min(bytes.len())), end)
}

/// What a whole session is without faults.
fn whole(all: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = packets(all);
    bytes.extend_from_slice(&frame::END_OF_SESSION);
    bytes
}

#[test]
fn connections_end_inside_of_a_packet() {
    let all = messages(&market(500));
    let file = itch_file(&all);
    let exchange = start(file_config(file.path(), &["cut-in:100,7", "cut-in:200,0", "cut-in:300,2"]));
    for (message, byte) in [(100, 7), (200, 0), (300, 2)] {
        let (got, end) = body(&exchange, 1);
        let mut want = packets(&all[..message - 1]);
        want.extend_from_slice(&packet(&all[message - 1])[..byte]);
        assert!(got == want && end.is_none(), "cut in {message}: {} bytes and not {}", got.len(), want.len());
    }
    assert_eq!(body(&exchange, 1), (whole(&all), None));
    assert_eq!(exchange.stop().faults, 3);

    // A reset may take bytes with it that the client has not read; it never adds any.
    let exchange = start(file_config(file.path(), &["rst-length:100"]));
    let (got, end) = body(&exchange, 1);
    assert_eq!(end, Some(ErrorKind::ConnectionReset));
    let mut want = packets(&all[..99]);
    want.push(packet(&all[99])[0]);
    assert!(want.starts_with(&got), "{} bytes and not at most {}", got.len(), want.len());
    assert_eq!(body(&exchange, 1), (whole(&all), None));
}

#[test]
fn a_client_that_asks_for_what_it_lacks_loses_nothing() {
    let all = messages(&market(2_000));
    let file = itch_file(&all);
    let faults = ["cut-in:100,7", "rst-in:333,1", "cut:9000", "zero-length:700", "huge-length:901", "garbage:1500"];
    let exchange = start(file_config(file.path(), &faults));
    let mut got: Vec<Vec<u8>> = Vec::new();
    for attempt in 0.. {
        assert!(attempt < 10, "{} messages after ten logins", got.len());
        let mut client = Client::ask(exchange.address(), "", got.len() as u64 + 1);
        let mut bytes = Vec::new();
        // A reset ends the connection like a close.
        let _ = client.stream.read_to_end(&mut bytes);
        let mut rest = &bytes[..];
        let mut is_over = false;
        // An error of the framing is where a sound client hangs up.
        while let Ok(Some(packet)) = frame::next_packet(rest) {
            match packet.kind {
                kind::SEQUENCED => got.push(packet.payload.to_vec()),
                kind::END_OF_SESSION => is_over = true,
                kind::LOGIN_ACCEPTED | kind::SERVER_HEARTBEAT => {}
                _ => break,
            }
            rest = &rest[packet.consumed..];
        }
        if is_over {
            break;
        }
    }
    assert_eq!(got, all);
}

#[test]
fn junk_stands_in_front_of_one_message() {
    let all = messages(&market(300));
    let file = itch_file(&all);
    let before = packets(&all[..99]);
    let behind = &whole(&all)[before.len()..];
    let flood = |letter: u8, text: &str, count: u32| {
        let mut bytes = Vec::new();
        (0..count).for_each(|n| frame::append(&mut bytes, letter, format!("{text} {n}").as_bytes()).expect("a packet"));
        bytes
    };
    let mut huge = vec![0xff, 0xff];
    huge.resize(65_537, b'?');
    let mut unknown = Vec::new();
    frame::append(&mut unknown, b'?', b"of a type that nobody knows").expect("a packet");
    let table: &[(&str, Vec<u8>)] = &[
        ("zero-length:100", vec![0, 0]),
        ("huge-length:100", huge),
        ("unknown-packet:100", unknown),
        ("debug-flood:100", flood(b'+', "debug packet", 50_000)),
        ("debug-flood:100,7", flood(b'+', "debug packet", 7)),
        ("unsequenced-flood:100,50", flood(b'U', "aside", 50)),
    ];
    for (fault, want) in table {
        let exchange = start(file_config(file.path(), &[fault]));
        let (got, end) = body(&exchange, 1);
        assert!(end.is_none(), "{fault}");
        assert_eq!(got.len(), before.len() + want.len() + behind.len(), "{fault}");
        assert!(got.starts_with(&before) && got.ends_with(behind), "{fault}");
        assert!(got[before.len()..].starts_with(want), "{fault}");
        assert_eq!(body(&exchange, 1), (whole(&all), None), "{fault} happens once");
    }
    let exchange = start(file_config(file.path(), &["garbage:100,50"]));
    let (got, _) = body(&exchange, 1);
    assert_eq!(got.len(), before.len() + 50 + behind.len());
    assert_eq!(got[before.len()..before.len() + 2], [0xff, 0xff]);
    assert!(got.starts_with(&before) && got.ends_with(behind));
}

#[test]
fn logins_are_answered_in_strange_ways() {
    let all = messages(&market(1_000));
    let file = itch_file(&all);
    let faults = ["login-garbage:1", "login-pieces:1", "wrong-session:1", "skip:100", "rewind:200"];
    let exchange = start(file_config(file.path(), &faults));
    let mut garbage = Client::ask(exchange.address(), "", 1);
    let mut noise = [0; 64];
    garbage.stream.read_exact(&mut noise).expect("64 bytes");
    assert_eq!(noise[..2], [0xff, 0xff]);
    drop(garbage);

    let started = Instant::now();
    let (client, next) = Client::login(exchange.address(), 1);
    assert_eq!(next, 1);
    assert!(started.elapsed() >= Duration::from_millis(ACCEPTED_BYTES as u64 - 1), "not piece by piece");
    drop(client);

    let mut wrong = Client::ask(exchange.address(), "", 1);
    let (_, payload) = wrong.packet().expect("an answer");
    let (name, _) = frame::parse_login_accepted(&payload).expect("an acceptance");
    assert_eq!(name.as_bytes(), b"WRONG00001");
    drop(wrong);

    let (mut ahead, next) = Client::login(exchange.address(), 301);
    assert_eq!(next, 401);
    assert_eq!(ahead.take(10), all[400..410]);
    drop(ahead);
    let (mut behind, next) = Client::login(exchange.address(), 301);
    assert_eq!(next, 101);
    assert_eq!(behind.take(10), all[100..110]);
    drop(behind);
    let (_, next) = Client::login(exchange.address(), 301);
    assert_eq!(next, 301);
    assert_eq!(exchange.stop().faults, 5);
}

#[test]
fn refused_connections_are_reset() {
    let file = itch_file(&messages(&market(100)));
    let exchange = start(file_config(file.path(), &["refuse:2"]));
    for _ in 0..2 {
        let mut client = Client::connect(exchange.address());
        assert!(matches!(client.stream.read(&mut [0; 10]), Err(error) if error.kind() == ErrorKind::ConnectionReset));
    }
    let (_, next) = Client::login(exchange.address(), 1);
    assert_eq!((next, exchange.stop().faults), (1, 2));
}

#[test]
fn bytes_come_together() {
    let all = messages(&market(300));
    let stream = whole(&all);
    // At 20,000 messages a second nothing would be written together by itself.
    let config = market(300);
    let source = venue::source::Source::Market(config);
    let base = ExchangeConfig::new(source, session());
    let faults = vec!["coalesce:4000".parse::<Fault>().expect("a fault")];
    let exchange = start(ExchangeConfig { faults, ..base });
    let mut client = Client::ask(exchange.address(), "", 1);
    let mut head = [0; ACCEPTED_BYTES];
    client.stream.read_exact(&mut head).expect("an acceptance");
    let (mut got, mut reads) = (Vec::new(), 0);
    while got.len() < stream.len() {
        let mut chunk = [0; 65_536];
        let len = client.stream.read(&mut chunk).expect("more");
        assert!(len > 0, "the stream ends early");
        got.extend_from_slice(&chunk[..len]);
        reads += 1;
    }
    got.retain(|_| true);
    let without_heartbeats = packets_of(&got);
    assert_eq!(without_heartbeats, all);
    assert!(reads <= 2 + stream.len() / 4_000 + 10, "{reads} reads for {} bytes", stream.len());
}

/// The sequenced messages of a stream.
fn packets_of(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut messages = Vec::new();
    while let Some(packet) = frame::next_packet(bytes).expect("a sound stream") {
        if packet.kind == kind::SEQUENCED {
            messages.push(packet.payload.to_vec());
        }
        bytes = &bytes[packet.consumed..];
    }
    messages
}

#[test]
fn mute_is_complete_as_long_as_it_lasts() {
    let all = messages(&market(500));
    let file = itch_file(&all);
    let mut config = ExchangeConfig { at_end: AtEnd::Hold, ..file_config(file.path(), &[]) };
    config.start = Start::Command;
    config.timers.heartbeat_interval_ns = 1_000_000;
    let exchange = start(config);
    let (mut client, _) = Client::login(exchange.address(), 1);
    assert_eq!(client.packet(), Some((kind::SERVER_HEARTBEAT, Vec::new())));
    exchange.add_fault(&"mute".parse().expect("a fault")).expect("a place");
    exchange.begin();
    // What was on its way may still come; then nothing, no heartbeat either.
    client.stream.set_read_timeout(Some(Duration::from_millis(50))).expect("a timeout");
    let mut heard = Vec::new();
    let mut chunk = [0; 1_000];
    while let Ok(len) = client.stream.read(&mut chunk) {
        heard.extend_from_slice(&chunk[..len]);
        assert!(heard.len() < 3_000, "a mute exchange goes on and on");
    }
    assert!(packets_of(&heard).is_empty());
    assert!(exchange.clear_faults("mute") && !exchange.clear_faults("nothing"));
    client.stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    assert_eq!(client.take(500), all);
}

#[test]
fn a_session_becomes_another_one() {
    let all = messages(&market(300));
    for end in ["", ",end"] {
        let file = itch_file(&all);
        let exchange = start(file_config(file.path(), &[&format!("new-session:201,NIGHT{end}")]));
        let (old, stopped) = body(&exchange, 1);
        assert!(stopped.is_none());
        let mut want = packets(&all[..200]);
        if !end.is_empty() {
            want.extend_from_slice(&frame::END_OF_SESSION);
        }
        assert!(old == want, "case {end:?}: {} bytes and not {}", old.len(), want.len());
        // The old name is not served any more; a blank one gets the new session from its start.
        assert_eq!(Client::ask(exchange.address(), "TEST", 201).rest(), frame::login_rejected(b'S'));
        let mut client = Client::ask(exchange.address(), "", 1);
        let (_, payload) = client.packet().expect("an answer");
        let (name, next) = frame::parse_login_accepted(&payload).expect("an acceptance");
        assert_eq!((name.as_bytes(), next), (&b"NIGHT"[..], 1));
        assert_eq!(client.take(100), all[200..]);
        client.assert_end_of_session();
        // Numbers are those of the session.
        let mut client = Client::ask(exchange.address(), "NIGHT", 51);
        let (_, payload) = client.packet().expect("an answer");
        assert_eq!(frame::parse_login_accepted(&payload).expect("an acceptance").1, 51);
        assert_eq!(client.take(50), all[250..]);
    }
}

#[test]
fn a_burst_comes_at_once() {
    // At this pace the market lasts for hours.
    let config = venue::market::MarketConfig { rate_per_second: 1.0, ..market(1_000) };
    let all = messages(&config);
    let base = ExchangeConfig::new(venue::source::Source::Market(config), session());
    let faults = vec!["burst:1,1000".parse::<Fault>().expect("a fault")];
    let exchange = start(ExchangeConfig { faults, ..base });
    let (mut client, _) = Client::login(exchange.address(), 1);
    assert_eq!(client.take(1_000), all);
}

#[test]
fn faults_have_their_place() {
    let file = itch_file(&messages(&market(100)));
    let error = Exchange::start(file_config(file.path(), &["drop:a,5"])).expect_err("a fault of lines").to_string();
    assert!(error.contains("fault drop is not for a SoupBinTCP feed"), "{error}");
    let exchange = start(file_config(file.path(), &[]));
    let late = exchange.add_fault(&"malformed:5".parse().expect("a fault")).expect_err("the file is served as it lies");
    assert!(late.to_string().contains("give any such fault at the start"), "{late}");
}
