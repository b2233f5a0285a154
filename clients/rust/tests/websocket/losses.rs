//! Everything that is lost is said, by the gateway or by the client.

use serde_json::{Value, json};
use ticklane_client::RestartReason;
use ticklane_client::websocket::view::{Standing, View, Why};
use ticklane_client::websocket::{Channel, Event, Gap, Levels, Merged, ResumeRefusal, Subscription, Topic};

use crate::gateway::{Peer, brief, briefs, finish, frame, play, quick, quote, trade, until};

#[test]
fn a_break_in_the_chain_is_seen() {
    let (mut client, script) = play(quick(), |listener| {
        let mut peer = Peer::accept(listener);
        peer.grant();
        peer.say(frame("update", "quotes", 119, json!({"prev": 110, "data": quote(1)})));
        peer.say(frame("snapshot", "quotes", 120, json!({"data": quote(1)})));
        peer.say(frame("update", "quotes", 123, json!({"prev": 120, "data": quote(2)})));
        peer.say(frame("update", "quotes", 130, json!({"prev": 125, "data": quote(3)})));
        peer.say(frame("update", "quotes", 131, json!({"prev": 130, "data": quote(4)})));
        peer.say(frame("update", "quotes", 131, json!({"prev": 130, "data": quote(4)})));
        peer.say(frame("update", "quotes", 140, json!({"prev": 131, "stream": 2, "data": quote(4)})));
        peer.linger();
    });
    client.subscribe(Subscription::new(Channel::Quotes, ["AAPL"])).unwrap();
    let want = [
        "connected",
        "ack quotes AAPL",
        "hole quotes AAPL None 110",
        "update quotes AAPL 119",
        "snapshot quotes AAPL 120",
        "update quotes AAPL 123",
        "hole quotes AAPL Some(123) 125",
        "update quotes AAPL 130",
        "update quotes AAPL 131",
        "hole quotes AAPL Some(131) 130",
        "update quotes AAPL 131",
        // Another stream without a restart: its numbers say nothing about ours.
        "hole quotes AAPL Some(131) 140",
        "update quotes AAPL 140",
    ];
    assert_eq!(briefs(&mut client, "update quotes AAPL 140"), want);
    finish(client, script);
}

#[test]
fn a_window_with_a_hole_is_fetched_anew() {
    let (mut client, script) = play(quick(), |listener| {
        let mut peer = Peer::accept(listener);
        peer.grant();
        let data = |quantity: u64| json!({"data": {"bids": [[1.5, quantity, 1]], "asks": []}});
        peer.say(frame("snapshot", "depth", 120, data(1)));
        let changes = |quantity: u64| json!({"changes": [["bid", 1.5, quantity, 1]]});
        peer.say(frame("update", "depth", 130, json!({"prev": 125, "data": changes(2)})));
        assert_eq!(peer.grant()["symbols"], json!(["AAPL"]), "the client asks for a snapshot by itself");
        peer.say(frame("snapshot", "depth", 130, data(3)));
        peer.say(frame("update", "depth", 131, json!({"prev": 130, "data": changes(4)})));
        peer.linger();
    });
    client.subscribe(Subscription::new(Channel::Depth(Levels::Five), ["AAPL"])).unwrap();
    let mut view = View::default();
    let held = |view: &View| {
        let held = view.depth("AAPL", Levels::Five).unwrap();
        (held.standing, held.value.bids()[0].quantity.whole().unwrap())
    };
    until(&mut client, |event| brief(event) == "update depth5 AAPL 130").iter().for_each(|event| view.apply(event));
    assert_eq!(held(&view), (Standing::Stale(Why::Undeclared), 1), "nothing is added to a window with a hole");
    until(&mut client, |event| brief(event) == "update depth5 AAPL 131").iter().for_each(|event| view.apply(event));
    assert_eq!(held(&view), (Standing::Whole, 4));
    finish(client, script);
}

#[test]
fn declared_gaps_are_events_and_no_holes() {
    let topic = Topic { channel: Channel::Trades, symbol: "AAPL".into() };
    let resume = |why| Gap::Resume { topic: topic.clone(), stream: 1, why, cursor: Some("17".into()) };
    let missing = Merged { events: 12, first: 121, last: 160 };
    let trades =
        |reason: &str| json!({"reason": reason, "channel": "trades", "symbol": "AAPL", "stream": 1, "cursor": "17"});
    let update = |seq: u64, prev: u64| frame("update", "trades", seq, json!({"prev": prev, "data": trade(seq)}));
    let snapshot = |seq: u64| frame("snapshot", "trades", seq, json!({"data": {"trades": []}}));
    // What the gateway says after a trade with number 120, what the gap is, and what follows without a hole.
    let table: Vec<(Value, Gap, Value)> = vec![
        (
            json!({"reason": "slow", "channel": "trades", "symbol": "AAPL", "stream": 1, "merged": 12, "prev": 120,
                "first": 121, "last": 160}),
            Gap::Slow { topic: topic.clone(), stream: 1, prev: 120, missing },
            update(161, 160),
        ),
        (
            json!({"reason": "lapped", "stream": 1, "first": 121, "last": 2000}),
            Gap::Lapped { stream: 1, first: 121, last: 2000 },
            snapshot(2001),
        ),
        (
            json!({"reason": "venue", "stream": 1, "seq": 130, "first": 77, "last": 79}),
            Gap::Venue { stream: 1, seq: 130, first: 77, last: 79 },
            update(131, 120),
        ),
        (trades("no_epoch"), resume(ResumeRefusal::NoEpoch), snapshot(140)),
        (trades("other_epoch"), resume(ResumeRefusal::OtherEpoch), snapshot(140)),
        (trades("too_old"), resume(ResumeRefusal::TooOld), snapshot(140)),
        (
            json!({"reason": "hole", "channel": "trades", "symbol": "AAPL", "stream": 1, "prev": 120, "first": 121,
                "last": 160}),
            Gap::Hole { topic: topic.clone(), stream: 1, prev: 120, first: 121, last: 160 },
            update(161, 160),
        ),
        (trades("busy"), resume(ResumeRefusal::Busy), snapshot(140)),
        (trades("unreadable"), resume(ResumeRefusal::Unreadable), snapshot(140)),
        (trades("ahead"), resume(ResumeRefusal::Ahead), snapshot(140)),
        (json!({"reason": "of_tomorrow"}), Gap::Other { reason: "of_tomorrow".into() }, update(150, 149)),
    ];
    for (mut said, want, after) in table {
        said["type"] = json!("gap");
        let (name, said) = (said.to_string(), said.clone());
        let (first, follows) = (update(120, 100), after.clone());
        let (mut client, script) = play(quick(), move |listener| {
            let mut peer = Peer::accept(listener);
            peer.grant();
            peer.say(frame("snapshot", "trades", 110, json!({"data": {"trades": []}})));
            peer.say(first);
            peer.say(said);
            peer.say(follows);
            peer.say(json!({"type": "pong", "id": 9, "ts_gateway": "1"}));
            peer.linger();
        });
        client.subscribe(Subscription::new(Channel::Trades, ["AAPL"])).unwrap();
        let events = until(&mut client, |event| matches!(event, Event::Pong { .. }));
        assert_eq!(events[4], Event::Gap(want), "{name}");
        let seq = after["seq"].as_u64().unwrap();
        assert!(brief(&events[5]).ends_with(&format!("AAPL {seq}")), "{name}: {events:?}");
        assert_eq!(events.len(), 7, "{name}: {events:?}");
        finish(client, script);
    }
}

#[test]
fn a_replay_goes_on_in_streams_of_its_own() {
    let topic = Topic { channel: Channel::Trades, symbol: "AAPL".into() };
    let update = |stream: u64, seq: u64, prev: u64| {
        let mut update = frame("update", "trades", seq, json!({"prev": prev, "data": trade(seq)}));
        update["stream"] = json!(stream);
        update
    };
    let (mut client, script) = play(quick(), move |listener| {
        let mut peer = Peer::accept(listener);
        peer.grant();
        peer.say(frame("snapshot", "trades", 110, json!({"data": {"trades": []}})));
        peer.say(update(1, 120, 110));
        peer.say(
            json!({"type": "replay", "channel": "trades", "symbols": ["AAPL", "GONE"], "lane": "lane0", "stream": 7,
            "epoch": "00c0ffee00c0ffed", "cursor": "lane0.00c0ffee00c0ffed.40"}),
        );
        peer.say(update(7, 45, 40));
        peer.say(json!({"type": "replay", "channel": "trades", "symbols": ["AAPL"], "lane": "lane0", "stream": 1,
            "epoch": "00c0ffee00c0ffee", "cursor": "lane0.00c0ffee00c0ffee.0", "old_stream": 7,
            "old_epoch": "00c0ffee00c0ffed", "drained_to": 50, "old_end": null}));
        peer.say(update(1, 3, 0));
        peer.say(frame("snapshot", "trades", 130, json!({"data": {"trades": []}})));
        peer.say(update(1, 131, 130));
        peer.say(json!({"type": "pong", "id": 9, "ts_gateway": "1"}));
        peer.linger();
    });
    client.subscribe(Subscription::new(Channel::Trades, ["AAPL"])).unwrap();
    let events = until(&mut client, |event| matches!(event, Event::Pong { .. }));
    assert!(
        !events.iter().any(|event| matches!(event, Event::Undeclared { .. } | Event::Malformed { .. })),
        "{events:?}"
    );
    let replays: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            Event::Replay(replay) => Some((replay.topics.clone(), replay.stream, replay.cursor.seq, replay.old)),
            _ => None,
        })
        .collect();
    let old = Some((0x00c0_ffee_00c0_ffed, 50, None));
    assert_eq!(replays, [(vec![topic.clone()], 7, 40, None), (vec![topic], 1, 0, old)]);
    finish(client, script);
}

#[test]
fn a_gap_that_begins_too_late_leaves_a_hole() {
    let (mut client, script) = play(quick(), |listener| {
        let mut peer = Peer::accept(listener);
        peer.grant();
        peer.say(frame("snapshot", "trades", 110, json!({"data": {"trades": []}})));
        peer.say(frame("update", "trades", 120, json!({"prev": 100, "data": trade(1)})));
        peer.say(json!({"type": "gap", "reason": "slow", "channel": "trades", "symbol": "AAPL", "stream": 1,
            "merged": 1, "prev": 125, "first": 126, "last": 130}));
        peer.linger();
    });
    client.subscribe(Subscription::new(Channel::Trades, ["AAPL"])).unwrap();
    let said = briefs(&mut client, "slow");
    assert_eq!(said[3..], ["update trades AAPL 120", "hole trades AAPL Some(120) 125", "slow"]);
    finish(client, script);
}

#[test]
fn a_restart_is_a_step_and_no_hole() {
    let (mut client, script) = play(quick(), |listener| {
        let mut peer = Peer::accept(listener);
        peer.grant();
        peer.say(frame("snapshot", "quotes", 4990, json!({"data": quote(1)})));
        peer.say(json!({"type": "restart", "lane": "lane0", "old_stream": 1, "stream": 2, "epoch": "00000000000000aa",
            "old_epoch": crate::gateway::EPOCH, "reason": "engine", "drained_to": 5000, "old_end": 4997,
            "cursor": "lane0.00000000000000aa.0"}));
        let fresh = json!({"stream": 2, "cursor": "lane0.00000000000000aa.7", "data": quote(2)});
        peer.say(frame("snapshot", "quotes", 7, fresh));
        peer.say(json!({"type": "restart", "lane": "lane0", "old_stream": 2, "stream": 2, "epoch": "00000000000000aa",
            "old_epoch": "00000000000000aa", "reason": "session", "drained_to": 9, "old_end": null,
            "cursor": "lane0.00000000000000aa.9"}));
        peer.say(frame("update", "quotes", 12, json!({"stream": 2, "prev": 7, "data": quote(3)})));
        peer.linger();
    });
    client.subscribe(Subscription::new(Channel::Quotes, ["AAPL"])).unwrap();
    let mut view = View::default();
    let events = until(&mut client, |event| matches!(event, Event::Restart(_)));
    events.iter().for_each(|event| view.apply(event));
    let Some(Event::Restart(restart)) = events.last() else { panic!() };
    assert_eq!((restart.step.reason, restart.step.new_epoch), (RestartReason::Engine, 0xaa));
    assert_eq!((restart.step.void(), restart.step.lost(), restart.is_new_session()), (Some((4997, 4999)), None, false));
    assert_eq!(view.quote("AAPL").unwrap().standing, Standing::Stale(Why::Restart));
    let events = until(&mut client, |event| matches!(event, Event::Update(_)));
    events.iter().for_each(|event| view.apply(event));
    let said: Vec<String> = events.iter().map(brief).collect();
    assert_eq!(said, ["snapshot quotes AAPL 7", "restart 2 to 2", "update quotes AAPL 12"]);
    assert_eq!((view.quote("AAPL").unwrap().seq, view.quote("AAPL").unwrap().standing), (12, Standing::Whole));
    finish(client, script);
}
