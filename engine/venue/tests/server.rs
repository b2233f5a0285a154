//! The exchange over loopback, seen by a client that only knows the framing.

mod common;

use std::io::{ErrorKind, Read};
use std::path::Path;
use std::time::{Duration, Instant};

use common::*;
use venue::log::MIN_LOG_BYTES;
use venue::market::MarketConfig;
use venue::pace::Pace;
use venue::server::{AtEnd, Exchange, ExchangeConfig, Source, Start, StartError};
use wire::soupbin::field::{Password, SessionId, Username};
use wire::soupbin::frame::{self, kind};

#[test]
fn two_clients_get_the_same_and_the_end() {
    let all = messages(&market(3_000));
    let file = itch_file(&all);
    let exchange = start(file_config(file.path(), &[]));
    let (mut first, first_next) = Client::login(exchange.address(), 1);
    let (mut second, second_next) = Client::login(exchange.address(), 1);
    assert_eq!((first_next, second_next), (1, 1));
    assert_eq!(first.take(all.len()), all);
    assert_eq!(second.take(all.len()), all);
    first.assert_end_of_session();
    second.assert_end_of_session();
    let report = exchange.stop();
    assert_eq!((report.messages, report.logins, report.resumes), (6_000, 2, 0));
}

#[test]
fn resume_names_the_number_that_comes_next() {
    let all = messages(&market(3_000));
    let file = itch_file(&all);
    let exchange = start(file_config(file.path(), &[]));
    // The first login releases the whole file.
    let (client, _) = Client::login(exchange.address(), 1);
    assert!(client.rest().ends_with(&frame::END_OF_SESSION));
    for (asked, named) in [(1, 1), (2, 2), (1_025, 1_025), (3_000, 3_000), (3_001, 3_001), (9_999, 3_001), (0, 3_001)] {
        let (mut client, next) = Client::login(exchange.address(), asked);
        assert_eq!(next, named, "asked for {asked}");
        let expected = &all[named as usize - 1..];
        assert_eq!(client.take(expected.len()), expected, "asked for {asked}");
        client.assert_end_of_session();
    }
    assert_eq!(exchange.stop().resumes, 5);
}

#[test]
fn logins_are_judged() {
    let file = itch_file(&messages(&market(100)));
    let credentials = Some((Username::new("alice").expect("a user"), Password::new("secret").expect("a password")));
    let exchange = start(ExchangeConfig { credentials, ..file_config(file.path(), &[]) });
    let table: &[(&str, &str, &str, &str, &[u8])] = &[
        ("good", "alice", "secret", "TEST", b"A"),
        ("case", "ALICE", "Secret", "test", b"A"),
        ("blank session", "alice", "secret", "", b"A"),
        ("bad password", "alice", "secrets", "TEST", b"JA"),
        ("bad user", "bob", "secret", "TEST", b"JA"),
        ("other session", "alice", "secret", "OTHER", b"JS"),
    ];
    for (name, username, password, session, want) in table {
        let mut client = Client::ask_as(exchange.address(), username, password, session, 1);
        let (packet_kind, payload) = client.packet().expect("an answer");
        assert_eq!(packet_kind, want[0], "case {name}");
        if let Some(reason) = want.get(1) {
            assert_eq!(payload, [*reason], "case {name}");
            assert_eq!(client.packet(), None, "case {name}: a rejection closes");
        }
    }
    assert_eq!(exchange.stop().rejected, 3);
}

#[test]
fn cuts_are_exact_and_resumable() {
    let all = messages(&market(3_000));
    let stream = packets(&all);
    let file = itch_file(&all);
    let cuts: &[usize] = &[0, 1, 2, 3, 4, 41, 42, 43, 1_000, 30_001, stream.len() + 3];
    let list = cuts.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let exchange = start(file_config(file.path(), &[&format!("cut-list={list}")]));
    for cut in cuts {
        let bytes = Client::ask(exchange.address(), "", 1).rest();
        assert_eq!(bytes.len(), ACCEPTED_BYTES + cut, "cut at {cut}");
        let body = &bytes[ACCEPTED_BYTES..];
        assert_eq!(body[..(*cut).min(stream.len())], stream[..(*cut).min(stream.len())], "cut at {cut}");
    }
    assert_eq!(exchange.stop().faults, cuts.len() as u64);

    // A client that resumes after each cut gets everything once.
    let exchange = start(file_config(file.path(), &["cut-list=100,5000,3,20001,0,777"]));
    let mut got: Vec<Vec<u8>> = Vec::new();
    loop {
        let (mut client, next) = Client::login(exchange.address(), got.len() as u64 + 1);
        assert_eq!(next, got.len() as u64 + 1);
        let end = loop {
            match client.packet() {
                Some((kind::SEQUENCED, payload)) => got.push(payload),
                Some((kind::SERVER_HEARTBEAT, _)) => {}
                other => break other,
            }
        };
        if end.is_some() {
            break;
        }
    }
    assert_eq!(got, all);
    let report = exchange.stop();
    assert_eq!((report.logins, report.faults), (7, 6));
}

#[test]
fn a_reset_is_a_reset() {
    let all = messages(&market(3_000));
    let file = itch_file(&all);
    let exchange = start(file_config(file.path(), &["rst@500"]));
    let mut client = Client::ask(exchange.address(), "", 1);
    let mut bytes = Vec::new();
    let error = client.stream.read_to_end(&mut bytes).expect_err("a reset");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert!(bytes.len() <= ACCEPTED_BYTES + 500);
    let (mut client, _) = Client::login(exchange.address(), 1);
    assert_eq!(client.take(all.len()), all);
    assert_eq!(exchange.stop().faults, 1);
}

#[test]
fn pieces_do_not_change_the_stream() {
    let all = messages(&market(400));
    let file = itch_file(&all);
    for fault in ["one-byte", "chunk=7"] {
        let exchange = start(file_config(file.path(), &[fault]));
        let (mut client, _) = Client::login(exchange.address(), 1);
        assert_eq!(client.take(all.len()), all, "{fault}");
        client.assert_end_of_session();
    }
}

#[test]
fn rejects_and_missing_answers_are_played() {
    let all = messages(&market(100));
    let file = itch_file(&all);
    let exchange = start(file_config(file.path(), &["no-login-answer,1", "reject=A,2", "reject=S,1"]));
    // Requests are handled in order, so the logout's close proves that the login before it was ignored.
    let mut ignored = Client::ask(exchange.address(), "", 1);
    ignored.send(&frame::LOGOUT_REQUEST);
    assert_eq!(ignored.rest(), b"");
    for reason in [b'A', b'A', b'S'] {
        let client = Client::ask(exchange.address(), "", 1);
        assert_eq!(client.rest(), frame::login_rejected(reason));
    }
    let (mut client, _) = Client::login(exchange.address(), 1);
    assert_eq!(client.take(all.len()), all);
    let report = exchange.stop();
    assert_eq!((report.faults, report.rejected, report.logins), (4, 3, 1));
}

#[test]
fn silence_is_complete_and_happens_once() {
    let all = messages(&market(1_000));
    let file = itch_file(&all);
    let mut config = ExchangeConfig { at_end: AtEnd::Hold, ..file_config(file.path(), &["silence@300"]) };
    config.timers.heartbeat_interval_ns = 1_000_000;
    let exchange = start(config);
    let (mut silent, _) = Client::login(exchange.address(), 1);
    assert_eq!(silent.take(300), all[..300]);
    // Another client sees that the venue lives: everything, and then heartbeats.
    let (mut other, _) = Client::login(exchange.address(), 1);
    assert_eq!(other.take(1_000), all);
    for _ in 0..20 {
        assert_eq!(other.packet(), Some((kind::SERVER_HEARTBEAT, Vec::new())));
    }
    silent.send(&frame::LOGOUT_REQUEST);
    assert_eq!(silent.rest(), b"", "nothing after message 300");
    assert_eq!(exchange.stop().faults, 1);
}

#[test]
fn a_client_that_is_silent_is_dropped() {
    let file = itch_file(&messages(&market(100)));
    let mut config = ExchangeConfig { at_end: AtEnd::Hold, ..file_config(file.path(), &[]) };
    config.timers.silence_limit_ns = 20_000_000;
    config.timers.login_timeout_ns = 20_000_000;
    let exchange = start(config);
    assert_eq!(Client::connect(exchange.address()).rest(), b"", "no login request");
    let (client, _) = Client::login(exchange.address(), 1);
    client.rest();
}

#[test]
fn a_synthetic_market_is_logged_for_all() {
    let config = market(150_000);
    let all = messages(&config);
    for pace in [Pace::Max, Pace::Times(1e6)] {
        let exchange = start(ExchangeConfig {
            pace,
            max_log_bytes: 64 << 20,
            ..ExchangeConfig::new(Source::Market(config.clone()), session())
        });
        let (mut first, _) = Client::login(exchange.address(), 1);
        assert!(first.take(all.len()) == all, "{pace:?}: the first client gets the market");
        first.assert_end_of_session();
        let (mut late, next) = Client::login(exchange.address(), 77_777);
        assert_eq!(next, 77_777);
        assert!(late.take(all.len() - 77_776) == all[77_776..], "{pace:?}: a late client gets the rest of it");
        late.assert_end_of_session();
    }
}

/// Waits until a client that does not read has stopped the venue's writes.
fn wait_until_blocked(exchange: &Exchange) {
    let (mut before, patience) = (0, Instant::now() + PATIENCE);
    loop {
        let sent = exchange.report().bytes;
        if sent > 0 && sent == before {
            return;
        }
        before = sent;
        assert!(Instant::now() < patience, "the write never blocks");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_file_is_played_at_its_pace() {
    let all = messages(&market(20_000));
    let file = itch_file(&all);
    let paced = |times| {
        let mut config = ExchangeConfig { pace: Pace::Times(times), ..file_config(file.path(), &[]) };
        config.timers.heartbeat_interval_ns = 1_000_000;
        start(config)
    };
    // A microsecond of market time lasts a quarter of an hour: after the first message the venue has nothing to say.
    let slow = paced(1e-9);
    let (mut client, _) = Client::login(slow.address(), 1);
    assert_eq!(client.take(1), all[..1]);
    assert_eq!(client.packet(), Some((kind::SERVER_HEARTBEAT, Vec::new())));
    assert_eq!(Client::login(slow.address(), 0).1, 2, "what comes next");
    // Or all of it a fiftieth of a second.
    let fast = paced(100.0);
    let (mut client, _) = Client::login(fast.address(), 1);
    assert!(client.take(all.len()) == all);
    client.assert_end_of_session();
}

#[test]
fn full_speed_waits_for_the_slowest_client() {
    // Many times what the log and the socket hold: without waiting, the client would fall off the log's end.
    let config = market(600_000);
    let all = messages(&config);
    let exchange = start(ExchangeConfig {
        pace: Pace::Max,
        max_log_bytes: MIN_LOG_BYTES,
        ..ExchangeConfig::new(Source::Market(config), session())
    });
    let (mut client, _) = Client::login(exchange.address(), 1);
    wait_until_blocked(&exchange);
    assert!(client.take(all.len()) == all);
    client.assert_end_of_session();
    assert_eq!(exchange.stop().fell_behind, 0);
}

#[test]
fn a_log_at_its_limit_names_its_first_message() {
    let config = market(200_000);
    let all = messages(&config);
    let exchange = start(ExchangeConfig {
        pace: Pace::Times(1e9),
        start: Start::Now,
        max_log_bytes: MIN_LOG_BYTES,
        ..ExchangeConfig::new(Source::Market(config), session())
    });
    // Sequence 0 names what comes next: wait for the end of the market.
    let patience = Instant::now() + PATIENCE;
    while Client::login(exchange.address(), 0).1 <= all.len() as u64 {
        assert!(Instant::now() < patience, "the market does not end");
    }
    let (mut client, next) = Client::login(exchange.address(), 1);
    assert!(next > 1, "everything is still there");
    assert!(client.take(all.len() + 1 - next as usize) == all[next as usize - 1..]);
    client.assert_end_of_session();
}

#[test]
fn stopping_frees_blocked_clients() {
    let exchange = start(ExchangeConfig {
        pace: Pace::Max,
        ..ExchangeConfig::new(Source::Market(MarketConfig::default()), session())
    });
    // One reads nothing until the venue's write blocks, one never logs in.
    let (blocked, _) = Client::login(exchange.address(), 1);
    let stranger = Client::connect(exchange.address());
    wait_until_blocked(&exchange);
    let (stopped, wait) = std::sync::mpsc::channel();
    let stopper = std::thread::spawn(move || stopped.send(exchange.stop()));
    wait.recv_timeout(PATIENCE).expect("stopping waits for nobody");
    drop(stopper.join());
    drop((blocked, stranger));
}

#[test]
fn clients_over_the_limit_are_closed() {
    let file = itch_file(&messages(&market(100)));
    let exchange = start(ExchangeConfig { max_clients: 1, at_end: AtEnd::Hold, ..file_config(file.path(), &[]) });
    let (first, _) = Client::login(exchange.address(), 1);
    assert_eq!(Client::connect(exchange.address()).rest(), b"");
    drop(first);
    assert_eq!(exchange.stop().refused, 1);
}

#[test]
fn a_lost_frame_closes() {
    let file = itch_file(&messages(&market(100)));
    let exchange = start(file_config(file.path(), &[]));
    for garbage in [&b"\0\0"[..], b"\0\x01X", b"\0\x02Lx"] {
        let mut client = Client::connect(exchange.address());
        client.send(garbage);
        assert_eq!(client.rest(), b"", "{garbage:?}");
    }
}

#[test]
fn refusals_to_start_say_what_to_change() {
    let file = itch_file(&messages(&market(100)));
    let good = file_config(file.path(), &[]);
    let running = start(good.clone());
    let table: Vec<(&str, ExchangeConfig, &str)> = vec![
        ("port in use", ExchangeConfig { listen: running.address(), ..good.clone() }, "give another address"),
        ("no file", file_config(Path::new("/nowhere/day.itch"), &[]), "cannot open /nowhere/day.itch"),
        ("blank session", ExchangeConfig { session: SessionId::BLANK, ..good.clone() }, "session name is blank"),
        ("live file", ExchangeConfig { live_clock: Some(0), ..good }, "--live-clock needs --speed 1x"),
        (
            "market",
            ExchangeConfig::new(Source::Market(MarketConfig { symbols: 0, ..market(1) }), session()),
            "symbols is 0",
        ),
    ];
    for (name, config, want) in table {
        let error: StartError = Exchange::start(config).expect_err(name);
        assert!(error.to_string().contains(want), "case {name}: {error}");
    }
}
