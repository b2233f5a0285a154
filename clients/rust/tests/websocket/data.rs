//! What comes when everything goes well, and what is said when a command does not.

use std::time::Duration;

use serde_json::json;
use ticklane_client::Side;
use ticklane_client::websocket::view::{Standing, View, Why};
use ticklane_client::websocket::{
    Amount, Change, Channel, Error, Event, Level, Levels, Merged, Options, Quality, State, Subscription, TradingStatus,
};

use crate::gateway::{Peer, brief, briefs, finish, frame, play, quick, quote, trade, until};

fn level(price: i64, quantity: u64, orders: u32) -> Level {
    Level { price, quantity: Amount::from_whole(quantity), orders }
}

#[test]
fn quotes_arrive_exactly() {
    let (mut client, script) = play(quick(), |listener| {
        let mut peer = Peer::accept(listener);
        assert_eq!(peer.grant(), json!({"op": "subscribe", "id": 1, "channel": "quotes", "symbols": ["AAPL"]}),);
        peer.say(frame("snapshot", "quotes", 120, json!({"data": quote(100)})));
        peer.say(frame("update", "quotes", 123, json!({"prev": 120, "data": quote(90)})));
        peer.linger();
    });
    assert_eq!(client.subscribe(Subscription::new(Channel::Quotes, ["AAPL"])).unwrap(), 1);
    let events = until(&mut client, |event| matches!(event, Event::Update(_)));
    let [Event::Connected(hello), Event::Ack(ack), Event::Snapshot(snapshot), Event::Update(update)] = &events[..]
    else {
        panic!("{events:?}");
    };
    assert_eq!((hello.lanes[0].epoch, hello.limits.symbols), (Some(0x00c0_ffee_00c0_ffee), 500));
    assert_eq!((ack.id, ack.symbols.as_slice()), (Some(1), ["AAPL".to_string()].as_slice()));
    let State::Quote(first) = &snapshot.state else { panic!("{snapshot:?}") };
    assert_eq!(first.bid, Some(level(123_450_000_000, 100, 3)));
    assert_eq!((first.ask, first.open, first.close), (None, Some(123_000_000_000), None));
    assert_eq!(first.turnover, Amount::from_units(14_815_205 * 10u128.pow(17)));
    assert_eq!((first.last.unwrap().match_id, first.volume.whole(), first.trades), (77, Some(12000), 42));
    assert_eq!((snapshot.stamps.ts_event, snapshot.stamps.ts_recv), (1_580_394_600_000_000_000, 0));
    assert_eq!((update.seq, update.prev, update.merged), (123, 120, None));
    let mut view = View::default();
    events.iter().for_each(|event| view.apply(event));
    let held = view.quote("AAPL").unwrap();
    assert_eq!((held.seq, held.standing), (123, Standing::Whole));
    assert_eq!(held.value.bid, Some(level(123_450_000_000, 90, 3)));
    finish(client, script);
}

#[test]
fn depth_trades_and_status_arrive() {
    let (mut client, script) = play(quick(), |listener| {
        let mut peer = Peer::accept(listener);
        assert_eq!(peer.grant()["levels"], 5);
        peer.say(frame(
            "snapshot",
            "depth",
            120,
            json!({"data": {"bids": [[123.45, 100, 3], [123.44, 50, 1]], "asks": []}}),
        ));
        let changes = json!([["bid", 123.45, 0, 0], ["ask", 123.5, 70, 2], ["bid", 123.44, 40, 1]]);
        peer.say(frame("update", "depth", 124, json!({"prev": 120, "data": {"changes": changes}})));
        peer.grant();
        let mut past = trade(75);
        past["seq"] = json!(118);
        past["ts_event"] = json!("5");
        peer.say(frame("snapshot", "trades", 124, json!({"data": {"trades": [past]}})));
        peer.say(frame("update", "trades", 126, json!({"prev": 118, "data": trade(77)})));
        peer.say(frame("update", "trades", 130, json!({"prev": 126, "data": {"broken": "77"}})));
        peer.grant();
        peer.say(frame("snapshot", "status", 60, json!({"data": {"status": "trading", "quality": "fresh"}})));
        peer.say(frame(
            "update",
            "status",
            131,
            json!({"prev": 60, "data": {"status": "halted", "quality": "of_tomorrow"}}),
        ));
        peer.linger();
    });
    let mut view = View::default();
    client.subscribe(Subscription::new(Channel::Depth(Levels::Five), ["AAPL"])).unwrap();
    for event in until(&mut client, |event| matches!(event, Event::Update(_))) {
        view.apply(&event);
    }
    let window = view.depth("AAPL", Levels::Five).unwrap().whole().unwrap();
    assert_eq!(window.bids(), [level(123_440_000_000, 40, 1)]);
    assert_eq!(window.asks(), [level(123_500_000_000, 70, 2)]);
    client.subscribe(Subscription::new(Channel::Trades, ["AAPL"])).unwrap();
    let events = until(&mut client, |event| matches!(event, Event::Update(it) if it.seq == 130));
    let [_, Event::Snapshot(snapshot), Event::Update(traded), Event::Update(broken)] = &events[..] else {
        panic!("{events:?}");
    };
    let State::Trades(past) = &snapshot.state else { panic!("{snapshot:?}") };
    assert_eq!((past[0].seq, past[0].ts_event, past[0].trade.match_id), (118, 5, 75));
    let Change::Trade(trade) = &traded.change else { panic!("{traded:?}") };
    assert_eq!((trade.price, trade.side, trade.cross, trade.printed), (123_460_000_000, Some(Side::Ask), None, true));
    assert_eq!(broken.change, Change::Broken { match_id: 77 });
    client.subscribe(Subscription::new(Channel::Status, ["AAPL"])).unwrap();
    for event in until(&mut client, |event| matches!(event, Event::Update(_))) {
        view.apply(&event);
    }
    let status = view.status("AAPL").unwrap().value;
    assert_eq!((status.status, status.quality), (TradingStatus::Halted, Quality::Unknown));
    finish(client, script);
}

#[test]
fn merged_frames_say_so() {
    let (mut client, script) = play(quick(), |listener| {
        let mut peer = Peer::accept(listener);
        peer.grant();
        peer.grant();
        peer.say(frame("snapshot", "quotes", 120, json!({"data": quote(1)})));
        let merged = |prev: u64| json!({"prev": prev, "merged": 12, "first": 121, "last": 160, "data": quote(2)});
        peer.say(frame("update", "quotes", 160, merged(120)));
        let empty = json!({"bids": [], "asks": []});
        peer.say(frame("snapshot", "depth", 120, json!({"data": empty})));
        let merged = json!({"prev": 120, "merged": 3, "first": 130, "last": 150, "data": empty});
        peer.say(frame("snapshot", "depth", 150, merged));
        let merged = json!({"prev": 151, "merged": 2, "first": 155, "last": 156, "data": empty});
        peer.say(frame("snapshot", "depth", 156, merged));
        peer.linger();
    });
    client.subscribe(Subscription::new(Channel::Quotes, ["AAPL"])).unwrap();
    client.subscribe(Subscription::new(Channel::Depth(Levels::Five), ["AAPL"])).unwrap();
    let events = until(&mut client, |event| matches!(event, Event::Snapshot(it) if it.seq == 156));
    let merged: Vec<Option<Merged>> = events
        .iter()
        .filter_map(|event| match event {
            Event::Update(update) => Some(update.merged),
            Event::Snapshot(snapshot) => Some(snapshot.merged),
            _ => None,
        })
        .collect();
    let of = |events, first, last| Some(Merged { events, first, last });
    assert_eq!(merged, [None, of(12, 121, 160), None, of(3, 130, 150), of(2, 155, 156)]);
    let holes: Vec<String> = events.iter().map(brief).filter(|it| it.starts_with("hole")).collect();
    assert_eq!(holes, ["hole depth5 AAPL Some(150) 151"], "a merged frame chains too");
    finish(client, script);
}

#[test]
fn two_venues_of_one_symbol_are_kept_apart() {
    let (mut client, script) = play(quick(), |listener| {
        let mut peer = Peer::accept(listener);
        peer.grant();
        let of = |venue: &str, stream: u32| json!({"venue": venue, "stream": stream, "data": quote(stream.into())});
        peer.say(frame("snapshot", "quotes", 120, of("XNAS", 1)));
        peer.say(frame("snapshot", "quotes", 7, of("XLON", 2)));
        // Updates name no venue.
        peer.say(frame("update", "quotes", 8, json!({"stream": 2, "prev": 7, "data": quote(22)})));
        peer.say(frame("update", "quotes", 121, json!({"stream": 1, "prev": 120, "data": quote(11)})));
        peer.linger();
    });
    client.subscribe(Subscription::new(Channel::Quotes, ["XLON:AAPL", "XNAS:AAPL"])).unwrap();
    let want = [
        "connected",
        "ack quotes XLON:AAPL,XNAS:AAPL",
        "snapshot quotes XNAS:AAPL 120",
        "snapshot quotes XLON:AAPL 7",
        "update quotes XLON:AAPL 8",
        "update quotes XNAS:AAPL 121",
    ];
    assert_eq!(briefs(&mut client, "update quotes XNAS:AAPL 121"), want);
    finish(client, script);
}

#[test]
fn refusals_and_errors_name_the_command() {
    let (mut client, script) = play(quick(), |listener| {
        let mut peer = Peer::accept(listener);
        let id = peer.command().unwrap()["id"].clone();
        peer.say(json!({"type": "ack", "id": id, "op": "subscribe", "channel": "quotes", "symbols": ["XNAS:MSFT"],
            "refused": [{"symbol": "NOPE", "code": "unknown_symbol", "expected": "a symbol"}], "streams": []}));
        let id = peer.command().unwrap()["id"].clone();
        peer.say(json!({"type": "error", "id": id, "code": "bad_value", "field": "levels", "value": "7",
            "expected": "5, 10 or 20"}));
        let ping = peer.command().unwrap();
        peer.say(json!({"type": "pong", "id": ping["id"], "ts_gateway": "12"}));
        let list = peer.command().unwrap();
        peer.say(json!({"type": "subscriptions", "id": list["id"],
            "subscriptions": [{"channel": "depth", "levels": 20, "symbols": ["MSFT"]}]}));
        peer.say(json!({"type": "lane", "lane": "lane0", "stream": 1, "state": "silent"}));
        peer.say(json!({"type": "of_tomorrow"}));
        peer.hang_up();
        // What was understood stands, what was refused for good or not understood is not asked again.
        let mut peer = Peer::accept(listener);
        assert_eq!(peer.command().unwrap()["symbols"], json!(["XNAS:MSFT"]));
        assert_eq!(peer.command(), None);
    });
    client.subscribe(Subscription::new(Channel::Quotes, ["XNAS:MSFT", "NOPE"])).unwrap();
    let failing = client.subscribe(Subscription::new(Channel::Depth(Levels::Twenty), ["MSFT"])).unwrap();
    let events = until(&mut client, |event| matches!(event, Event::ServerError(_)));
    let said: Vec<String> = events.iter().map(brief).collect();
    assert_eq!(said, ["connected", "refused NOPE unknown_symbol false", "ack quotes XNAS:MSFT", "error bad_value"]);
    let Some(Event::ServerError(error)) = events.last() else { panic!() };
    assert_eq!((error.id, error.field.as_deref()), (Some(failing), Some("levels")));
    let ping = client.ping().unwrap();
    client.list().unwrap();
    let events = until(&mut client, |event| matches!(event, Event::Unknown { .. }));
    assert_eq!(events[0], Event::Pong { id: Some(ping), ts_gateway: 12 });
    let said: Vec<String> = events.iter().map(brief).collect();
    assert_eq!(said[1..], ["subscriptions", "lane0 Silent", "unknown of_tomorrow"]);
    until(&mut client, |event| matches!(event, Event::Reconnected(_)));
    // Until the command of the second connection has been sent.
    client.next_within(Duration::from_millis(50)).unwrap();
    finish(client, script);
}

#[test]
fn what_no_lane_is_there_to_have_is_asked_for_again() {
    let (mut client, script) = play(quick(), |listener| {
        let mut peer = Peer::accept(listener);
        for round in 0..3 {
            let command = peer.command().unwrap();
            let refused = json!([{"symbol": "AAPL", "code": "unavailable", "expected": "a lane"}]);
            let (symbols, refused) = if round < 2 { (json!([]), refused) } else { (json!(["AAPL"]), json!([])) };
            peer.say(json!({"type": "ack", "id": command["id"], "op": "subscribe", "channel": "quotes",
                "symbols": symbols, "refused": refused, "streams": []}));
        }
        peer.say(frame("snapshot", "quotes", 5, json!({"data": quote(1)})));
        peer.linger();
    });
    client.subscribe(Subscription::new(Channel::Quotes, ["AAPL"])).unwrap();
    // Said once, although it was refused twice.
    let want =
        ["connected", "refused AAPL unavailable true", "ack quotes ", "ack quotes AAPL", "snapshot quotes AAPL 5"];
    assert_eq!(briefs(&mut client, "snapshot quotes AAPL 5"), want);
    finish(client, script);
}

#[test]
fn garbage_is_told_and_survived() {
    let (mut client, script) = play(quick(), |listener| {
        let mut peer = Peer::accept(listener);
        peer.grant();
        peer.say(frame("snapshot", "quotes", 120, json!({"data": quote(1)})));
        peer.say_text("{\"type\":");
        peer.say_text("[]");
        peer.say_text(&"[".repeat(100_000));
        peer.say(json!({"type": 7}));
        peer.say(json!({"type": "update"}));
        peer.say(frame("update", "quotes", 121, json!({"prev": 120, "data": {"bid": null}})));
        peer.say(frame("update", "quotes", 1 << 53, json!({"prev": 120, "data": quote(1)})));
        peer.say(frame("update", "quotes", 121, json!({"prev": 120, "symbol": "STRANGER", "data": quote(1)})));
        peer.say(frame("snapshot", "depth", 121, json!({"levels": 7, "data": {"bids": [], "asks": []}})));
        peer.0.send(tungstenite::Message::binary(vec![0u8, 255, 1])).unwrap();
        peer.say(crate::gateway::hello());
        peer.say(frame("update", "quotes", 130, json!({"prev": 120, "data": quote(2)})));
        peer.linger();
    });
    client.subscribe(Subscription::new(Channel::Quotes, ["AAPL"])).unwrap();
    let said = briefs(&mut client, "update quotes AAPL 130");
    assert_eq!(said[..3], ["connected", "ack quotes AAPL", "snapshot quotes AAPL 120"]);
    assert_eq!(said[3..14], ["malformed"; 11]);
    assert_eq!(said[14..], ["update quotes AAPL 130"]);
    finish(client, script);
}

#[test]
fn an_update_that_fits_no_window_makes_it_stale() {
    let (mut client, script) = play(quick(), |listener| {
        let mut peer = Peer::accept(listener);
        peer.grant();
        peer.say(frame("snapshot", "depth", 120, json!({"data": {"bids": [], "asks": []}})));
        let changes = json!({"changes": [["bid", 1.5, 0, 0]]});
        peer.say(frame("update", "depth", 121, json!({"prev": 120, "data": changes})));
        peer.linger();
    });
    client.subscribe(Subscription::new(Channel::Depth(Levels::Five), ["AAPL"])).unwrap();
    let mut view = View::default();
    until(&mut client, |event| matches!(event, Event::Update(_))).iter().for_each(|event| view.apply(event));
    assert_eq!(view.depth("AAPL", Levels::Five).unwrap().standing, Standing::Stale(Why::Inconsistent));
    finish(client, script);
}

#[test]
fn what_cannot_be_asked_is_refused_at_once() {
    let options = Options { subscriptions: 3, commands_queued: 2, ..quick() };
    let (mut client, script) = play(options, |listener| Peer::silent(listener).linger());
    let quotes = |symbols: &[&str]| Subscription::new(Channel::Quotes, symbols.iter().copied());
    assert_eq!(client.subscribe(quotes(&[])), Err(Error::Symbols { count: 0, max: 500 }));
    assert_eq!(client.subscribe(quotes(&["A"; 501])), Err(Error::Symbols { count: 501, max: 500 }));
    assert!(matches!(client.subscribe(quotes(&[""])), Err(Error::Symbol { .. })));
    assert!(matches!(client.subscribe(quotes(&["A", &"x".repeat(42)])), Err(Error::Symbol { .. })));
    assert_eq!(client.subscribe(quotes(&["A", "B", "C", "D"])), Err(Error::Subscriptions { count: 4, max: 3 }));
    assert_eq!(client.ping(), Err(Error::NotConnected));
    client.subscribe(quotes(&["A", "B"])).unwrap();
    assert_eq!(client.subscribe(quotes(&["C", "D"])), Err(Error::Subscriptions { count: 4, max: 3 }));
    client.subscribe(quotes(&["C"])).unwrap();
    assert_eq!(client.unsubscribe(quotes(&["C"])), Err(Error::Queue { max: 2 }));
    finish(client, script);
}
