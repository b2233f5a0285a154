//! Connections that break, stall, or never stand.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use serde_json::json;
use ticklane_client::websocket::{Channel, Client, Error, Event, Options, Subscription};
use tungstenite::protocol::CloseFrame;
use tungstenite::{Message, protocol::frame::coding::CloseCode};

use crate::gateway::{EPOCH, PATIENCE, Peer, briefs, finish, frame, hello, play, quick, quote, trade, until};

fn trades(seq: u64, prev: u64) -> serde_json::Value {
    frame("update", "trades", seq, json!({"prev": prev, "data": trade(seq)}))
}

/// Quotes and trades of one symbol on a first connection, up to trade 126.
fn first_connection(listener: &TcpListener) {
    let mut peer = Peer::accept(listener);
    peer.grant();
    peer.grant();
    peer.say(frame("snapshot", "quotes", 120, json!({"data": quote(1)})));
    peer.say(frame("snapshot", "trades", 120, json!({"data": {"trades": []}})));
    peer.say(trades(126, 118));
    peer.hang_up();
}

fn subscribe_both(client: &mut Client) {
    client.subscribe(Subscription::new(Channel::Quotes, ["AAPL"])).unwrap();
    client.subscribe(Subscription::new(Channel::Trades, ["AAPL"])).unwrap();
}

#[test]
fn subscribes_anew_and_resumes_trades_by_their_cursor() {
    let (mut client, script) = play(quick(), |listener| {
        first_connection(listener);
        // A connection that breaks before anything came leaves the cursor as it was.
        for _ in 0..2 {
            let mut peer = Peer::accept(listener);
            let quotes = peer.grant();
            assert_eq!((&quotes["channel"], quotes.get("cursor")), (&json!("quotes"), None));
            let resumed = peer.grant();
            assert_eq!(resumed["cursor"], json!(format!("lane0.{EPOCH}.126")));
            assert_eq!(resumed["symbols"], json!(["AAPL"]));
            peer.hang_up();
        }
        let mut peer = Peer::accept(listener);
        peer.grant();
        peer.grant();
        peer.say(frame("snapshot", "quotes", 150, json!({"data": quote(2)})));
        // The gateway may say again what was known; the chain goes on at 126.
        peer.say(trades(126, 118));
        peer.say(trades(130, 126));
        peer.say(trades(151, 130));
        peer.linger();
    });
    subscribe_both(&mut client);
    let said = briefs(&mut client, "update trades AAPL 151");
    let count = |what: &str| said.iter().filter(|it| *it == what).count();
    assert_eq!((count("reconnected"), count("disconnected None")), (3, 3), "{said:?}");
    assert_eq!(count("update trades AAPL 126"), 1, "{said:?}");
    assert!(!said.iter().any(|it| it.starts_with("hole")), "{said:?}");
    assert_eq!(
        said[said.len() - 3..],
        ["snapshot quotes AAPL 150", "update trades AAPL 130", "update trades AAPL 151"]
    );
    finish(client, script);
}

#[test]
fn a_chain_that_does_not_go_on_after_a_reconnection_is_seen() {
    let mut past = trade(139);
    (past["seq"], past["ts_event"]) = (json!(139), json!("5"));
    let snapshot = |seq: u64| frame("snapshot", "trades", seq, json!({"data": {"trades": [past]}}));
    let nothing_more = |seq: u64| frame("snapshot", "trades", seq, json!({"data": {"trades": []}}));
    let gap = json!({"type": "gap", "reason": "too_old", "channel": "trades", "symbol": "AAPL", "stream": 1,
        "cursor": format!("lane0.{EPOCH}.126")});
    // Of a lane that began anew meanwhile: number 127 there is not the one after 126 here.
    let mut other_epoch = hello();
    other_epoch["lanes"][0]["epoch"] = json!("00000000000000aa");
    let mut of_stream_2 = trades(127, 126);
    of_stream_2["stream"] = json!(2);
    let restart = json!({"type": "restart", "lane": "lane0", "old_stream": 1, "stream": 2, "epoch": "00000000000000aa",
        "old_epoch": EPOCH, "reason": "engine", "drained_to": 127, "old_end": 127, "cursor": null});
    let table = [
        (
            "a trade is missing",
            vec![trades(135, 130)],
            vec!["hole trades AAPL Some(126) 130", "update trades AAPL 135"],
        ),
        (
            "a snapshot without a word",
            vec![snapshot(140)],
            vec!["hole trades AAPL Some(126) 140", "snapshot trades AAPL 140"],
        ),
        (
            "a gap and a snapshot",
            vec![gap, snapshot(140), trades(141, 135)],
            vec!["resume", "snapshot trades AAPL 140", "update trades AAPL 141"],
        ),
        (
            "the end of what was resumed",
            vec![trades(135, 126), nothing_more(140), trades(141, 140), trades(151, 150)],
            vec![
                "update trades AAPL 135",
                "snapshot trades AAPL 140",
                "update trades AAPL 141",
                "hole trades AAPL Some(141) 150",
                "update trades AAPL 151",
            ],
        ),
        (
            "an unknown stream",
            vec![of_stream_2.clone()],
            vec!["hole trades AAPL Some(126) 127", "update trades AAPL 127"],
        ),
        ("a restart", vec![restart, of_stream_2], vec!["restart 1 to 2", "update trades AAPL 127"]),
    ];
    for (name, frames, want) in table {
        let (mut client, script) = play(quick(), move |listener| {
            first_connection(listener);
            let mut peer = Peer::accept(listener);
            peer.grant();
            peer.grant();
            frames.into_iter().for_each(|frame| peer.say(frame));
            peer.linger();
        });
        subscribe_both(&mut client);
        let said = briefs(&mut client, want.last().unwrap());
        let resumed = said.iter().rposition(|it| it.starts_with("ack")).unwrap();
        assert_eq!(said[resumed + 1..], want, "{name}");
        finish(client, script);
    }
}

#[test]
fn what_was_unsubscribed_is_not_subscribed_anew() {
    let (mut client, script) = play(quick(), |listener| {
        let mut peer = Peer::accept(listener);
        peer.grant();
        peer.grant();
        assert_eq!(peer.grant()["op"], "unsubscribe");
        // A second one is never answered.
        assert_eq!(peer.command().unwrap()["op"], "unsubscribe");
        peer.hang_up();
        let mut peer = Peer::accept(listener);
        assert_eq!(peer.grant()["symbols"], json!(["C"]));
        peer.say(json!({"type": "pong", "id": 0, "ts_gateway": "1"}));
        assert_eq!(peer.command(), None);
    });
    client.subscribe(Subscription::new(Channel::Quotes, ["A", "B", "C"])).unwrap();
    client.subscribe(Subscription::new(Channel::Status, ["A"])).unwrap();
    briefs(&mut client, "ack status A");
    client.unsubscribe(Subscription::new(Channel::Quotes, ["A", "B"])).unwrap();
    client.unsubscribe(Subscription::new(Channel::Status, ["A"])).unwrap();
    briefs(&mut client, "pong");
    finish(client, script);
}

#[test]
fn a_command_without_an_answer_is_asked_again() {
    let (mut client, script) = play(quick(), |listener| {
        let mut peer = Peer::accept(listener);
        let first = peer.command().unwrap();
        peer.hang_up();
        let mut peer = Peer::accept(listener);
        assert_eq!(peer.grant(), first);
        peer.linger();
    });
    let id = client.subscribe(Subscription::new(Channel::Quotes, ["AAPL"])).unwrap();
    let events = until(&mut client, |event| matches!(event, Event::Ack(_)));
    assert!(matches!(events.last(), Some(Event::Ack(ack)) if ack.id == Some(id)));
    finish(client, script);
}

#[test]
fn close_codes_and_delays_are_told() {
    let options = Options { retry_min: Duration::from_millis(8), retry_max: Duration::from_millis(30), ..quick() };
    let (mut client, script) = play(options, |listener| {
        let mut peer = Peer::accept(listener);
        let frame = CloseFrame { code: CloseCode::Library(4408), reason: "too slow".into() };
        peer.0.close(Some(frame)).unwrap();
        peer.linger();
        let mut peer = Peer::accept(listener);
        peer.0.close(None).unwrap();
        peer.linger();
        Peer::accept(listener).linger();
    });
    let ms = Duration::from_millis;
    let events = until(&mut client, |event| matches!(event, Event::Disconnected { .. }));
    let Some(Event::Disconnected { code, reason, retry_in }) = events.last() else { panic!() };
    assert_eq!((*code, reason.as_str()), (Some(4408), "too slow"));
    assert!((ms(4)..=ms(8)).contains(retry_in), "{retry_in:?}");
    let events = until(&mut client, |event| matches!(event, Event::Disconnected { .. }));
    let Some(Event::Disconnected { code, retry_in, .. }) = events.last() else { panic!() };
    assert_eq!(*code, None);
    assert!((ms(8)..=ms(16)).contains(retry_in), "doubled: {retry_in:?}");
    until(&mut client, |event| matches!(event, Event::Reconnected(_)));
    finish(client, script);
}

#[test]
fn a_giant_message_ends_the_connection() {
    let (mut client, script) = play(Options { message_bytes: 4096, ..quick() }, |listener| {
        let mut peer = Peer::accept(listener);
        // In the kernel's buffers it has room, whether or not the client reads it.
        peer.say_text(&"x".repeat(4097));
        peer.linger();
        let mut peer = Peer::accept(listener);
        peer.say_text(&format!("{{\"type\":\"pong\",\"ts_gateway\":\"1\"{}}}", " ".repeat(4000)));
        peer.linger();
    });
    let events = until(&mut client, |event| matches!(event, Event::Pong { .. }));
    let Event::Disconnected { code: None, reason, .. } = &events[1] else { panic!("{events:?}") };
    assert!(reason.contains("4096"), "{reason}");
    finish(client, script);
}

#[test]
fn text_that_is_not_utf8_ends_the_connection() {
    let (mut client, script) = play(quick(), |listener| {
        let mut peer = Peer::accept(listener);
        // A whole text frame of one byte, unmasked as a server sends it.
        std::io::Write::write_all(peer.0.get_mut(), &[0x81, 1, 0xff]).unwrap();
        peer.linger();
        Peer::accept(listener).linger();
    });
    assert_eq!(briefs(&mut client, "reconnected"), ["connected", "disconnected None", "reconnected"]);
    finish(client, script);
}

#[test]
fn a_connection_that_never_stands_ends_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/ws/v1", listener.local_addr().unwrap());
    let limit = Duration::from_millis(60);
    let options = Options { connect_timeout: limit, ..quick() };
    let began = Instant::now();
    let error = Client::connect(&url, options.clone()).unwrap_err();
    assert!(matches!(error, Error::Connect { .. }), "nobody answers the handshake: {error}");
    assert!((limit..PATIENCE).contains(&began.elapsed()));
    drop(listener);
    let error = Client::connect(&url, options).unwrap_err();
    assert!(matches!(error, Error::Connect { .. }), "nobody listens: {error}");
    assert!(matches!(Client::connect("http://127.0.0.1/", quick()), Err(Error::Url { .. })));
}

#[test]
fn a_gateway_without_a_word_is_left() {
    let (mut client, script) = play(Options { connect_timeout: Duration::from_millis(60), ..quick() }, |listener| {
        Peer::silent(listener).linger();
        let mut peer = Peer::silent(listener);
        peer.say(json!({"type": "pong", "ts_gateway": "1"}));
        peer.linger();
        Peer::accept(listener).linger();
    });
    let events = until(&mut client, |event| matches!(event, Event::Connected(_)));
    let reasons: Vec<&str> = events
        .iter()
        .filter_map(|event| match event {
            Event::Disconnected { reason, .. } => Some(reason.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(reasons, ["no hello within the time limit", "the gateway did not begin with hello"]);
    finish(client, script);
}

#[test]
fn a_gateway_of_another_protocol_is_an_error() {
    let (mut client, script) = play(quick(), |listener| {
        let mut peer = Peer::silent(listener);
        peer.say(json!({"type": "hello", "protocol": 2, "everything": "else"}));
        peer.linger();
        Peer::accept(listener).linger();
    });
    let deadline = Instant::now() + PATIENCE;
    let error = loop {
        assert!(Instant::now() < deadline);
        if let Err(error) = client.next_within(Duration::from_millis(20)) {
            break error;
        }
    };
    assert_eq!(error, Error::Protocol { got: 2, want: 1 });
    assert_eq!(briefs(&mut client, "connected"), ["disconnected None", "connected"]);
    finish(client, script);
}

#[test]
fn silence_is_questioned_and_then_ends_the_connection() {
    let (mut client, script) = play(Options { read_timeout: Duration::from_millis(80), ..quick() }, |listener| {
        let mut peer = Peer::accept(listener);
        // The client asks; whoever answers is kept. Reading answers by itself.
        assert!(matches!(peer.0.read(), Ok(Message::Ping(_))));
        assert!(matches!(peer.0.read(), Ok(Message::Ping(_))));
        // From here on nobody reads, so that nobody answers.
        let mut tcp = peer.0.into_inner();
        let mut second = Peer::accept(listener);
        second.say(json!({"type": "pong", "ts_gateway": "1"}));
        std::io::Write::flush(&mut tcp).unwrap();
        second.linger();
    });
    let events = until(&mut client, |event| matches!(event, Event::Pong { .. }));
    let Event::Disconnected { reason, .. } = &events[1] else { panic!("{events:?}") };
    assert!(reason.starts_with("no sign of life"), "{reason}");
    finish(client, script);
}

#[test]
fn a_wait_ends_on_time_whatever_the_gateway_does() {
    let (mut client, script) = play(quick(), |listener| {
        let mut peer = Peer::accept(listener);
        // Pings are no events: a client that only looked at the clock when nothing comes would never come back.
        while peer.0.send(Message::Ping(Vec::new().into())).is_ok() {}
    });
    until(&mut client, |event| matches!(event, Event::Connected(_)));
    let began = Instant::now();
    assert_eq!(client.next_within(Duration::from_millis(50)).unwrap(), None);
    assert!(began.elapsed() < PATIENCE / 4, "{:?}", began.elapsed());
    assert_eq!(client.next_within(Duration::ZERO).unwrap(), None);
    drop(client);
    script.join().unwrap();
}
