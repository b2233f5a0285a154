//! One misfortune at a time, and what the client is told of it.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use common::market::{Market, Print};
use common::stage::{Stage, wide};
use gateway_core::dialect::{LaneState, SlowPolicy};
use gateway_core::limits::Limits;
use gateway_core::shard::{DialectId, Flush};
use serde_json::{Value, json};
use shm_abi::layout::State;
use shm_abi::record::{Side, TradingStatus};

const QUOTES: &str = "0 - AAA";
const TRADES: &str = "4 - AAA";

fn stage(limits: Limits) -> Stage {
    let mut market = Market::new(1024, true);
    market.list(3, "AAA", "XNAS", 10);
    market.list(4, "BBB", "XNAS", 10);
    market.list(5, "TWO", "XNAS", 0);
    market.list(6, "TWO", "XNYS", 0);
    Stage::new(limits, market)
}

fn trade(stage: &mut Stage) {
    let print = Print { code: b'B', flags: 0, price: 50, quantity: 1 };
    stage.market().trade(0, print);
    stage.market().finish(0);
}

/// Quantities differ, so that every event changes the quote.
fn quotes(stage: &mut Stage, count: u64) {
    for quantity in 1..=count {
        stage.market().level(0, Side::Bid, 10, quantity % 1000 + 1);
        stage.market().finish(0);
    }
}

fn others(stage: &Stage, seat: usize, kind: &str) -> Vec<Value> {
    stage.seats[seat].client.others.iter().filter(|frame| frame["t"] == kind).cloned().collect()
}

fn count(stage: &Stage, seat: usize, kind: &str) -> u64 {
    stage.seats[seat].client.counts.get(kind).copied().unwrap_or(0)
}

/// The 65th reference: by policy the newest state, a gap and a snapshot, or the end.
#[test]
fn the_sixty_fifth_reference() {
    let table: &[(SlowPolicy, u64, [u64; 4], Option<u16>)] = &[
        (SlowPolicy::Conflate, 64, [64, 0, 0, 1], None),
        (SlowPolicy::Conflate, 65, [0, 1, 0, 1], None),
        (SlowPolicy::Gap, 65, [0, 0, 1, 2], None),
        (SlowPolicy::Close, 64, [64, 0, 0, 1], None),
        (SlowPolicy::Close, 65, [0, 0, 0, 1], Some(4408)),
    ];
    for (policy, events, want, closed) in table {
        let mut stage = stage(wide());
        let seat = stage.connect(*policy);
        stage.command(seat, "subscribe", QUOTES);
        stage.drain();
        quotes(&mut stage, *events);
        stage.drain();
        let got = ["update", "update+merged", "topic_gap+merged", "snapshot"].map(|kind| count(&stage, seat, kind));
        assert_eq!((got, stage.seats[seat].client.closed), (*want, *closed), "{policy:?} after {events}");
        assert_eq!(stage.shard.stats().slow_closes, u64::from(closed.is_some()));
        stage.assert_quiet();
    }
}

#[test]
fn symbols_that_cannot_be_subscribed() {
    let mut stage = stage(Limits { subscriptions: 2, ..wide() });
    let seat = stage.connect(SlowPolicy::Conflate);
    let table: &[(&str, &str, Option<&str>)] = &[
        ("subscribe", "0 - NOPE", Some("unknown_symbol")),
        ("subscribe", "0 - XNYS:AAA", Some("unknown_symbol")),
        ("subscribe", "0 - TWO", Some("ambiguous_symbol")),
        ("subscribe", "3 - AAA", Some("levels")),
        ("subscribe", "1 - XNYS:TWO", Some("levels")),
        ("subscribe", "2 - XNAS:AAA", None),
        ("subscribe", "0 - XNYS:TWO", None),
        ("subscribe", "0 - BBB", Some("limit")),
        ("subscribe", "2 - AAA", None),
        ("unsubscribe", "0 - AAA", Some("not_subscribed")),
        ("unsubscribe", "0 - TWO", None),
        ("subscribe", "0 - BBB", None),
    ];
    for (op, arguments, refused) in table {
        stage.shard.message(stage.seats[seat].id, &format!("{op}#1 {arguments}"), stage.now);
        let mut bytes = Vec::new();
        while let Some(id) = stage.shard.next_dirty() {
            let mut tap = common::stage::Tap { bytes: &mut bytes, room: usize::MAX };
            stage.shard.flush(id, stage.now, &mut tap);
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let found = ["unknown_symbol", "ambiguous_symbol", "levels", "limit", "not_subscribed"];
        let found = found.into_iter().find(|code| text.contains(&format!("\"{code}\"")));
        assert_eq!(found, *refused, "{op} {arguments}: {text}");
    }
    assert_eq!(stage.shard.stats().subscriptions, 2);
}

#[test]
fn resumes_that_can_and_cannot_be_done() {
    let mut stage = stage(wide());
    for _ in 0..5 {
        trade(&mut stage);
    }
    stage.drain();
    let numbers = stage.markets[0].instruments[0].trades.clone();
    let end = stage.shard.lane_facts(stage.lane).cursor_seq;
    let epoch = "0000000000000001";
    let table: &[(String, &str, u64)] = &[
        (format!("lane0.{epoch}.{}", numbers[1]), "", 3),
        (format!("lane0.{epoch}.{end}"), "", 0),
        (format!("lane0.{epoch}.{}", end + 1), "ahead", 0),
        (format!("lane0.00000000000000ff.{end}"), "other_epoch", 0),
        (format!("lane1.{epoch}.{end}"), "other_epoch", 0),
        ("17".into(), "no_epoch", 0),
    ];
    for (cursor, reason, trades) in table {
        let seat = stage.connect(SlowPolicy::Conflate);
        let id = stage.command(seat, "subscribe", &format!("4 {cursor} AAA"));
        if let Some(seq) = cursor.rsplit('.').next().and_then(|seq| seq.parse().ok()).filter(|_| reason.is_empty()) {
            stage.seats[seat].client.resumes.insert(id, seq);
        }
        stage.drain();
        let gaps: Vec<_> = others(&stage, seat, "resume_gap").iter().map(|gap| gap["reason"].clone()).collect();
        assert_eq!(gaps, if reason.is_empty() { vec![] } else { vec![json!(reason)] }, "{cursor}");
        assert_eq!((count(&stage, seat, "update"), count(&stage, seat, "snapshot")), (*trades, 1), "{cursor}");
    }
    let seat = stage.connect(SlowPolicy::Conflate);
    stage.command(seat, "subscribe", "4 nonsense AAA");
    stage.drain();
    assert_eq!(others(&stage, seat, "error")[0]["field"], "cursor");
    trade(&mut stage);
    stage.assert_quiet();
}

#[test]
fn a_cursor_that_the_ring_no_longer_holds() {
    for (limits, events) in [(wide(), 1100), (Limits { resume_slots: 10, ..wide() }, 20)] {
        let mut stage = stage(limits);
        stage.drain();
        let old = stage.shard.lane_facts(stage.lane).cursor_seq;
        for _ in 0..events {
            trade(&mut stage);
            stage.drain();
        }
        let seat = stage.connect(SlowPolicy::Conflate);
        stage.command(seat, "subscribe", &format!("4 lane0.0000000000000001.{old} AAA"));
        stage.drain();
        assert_eq!(others(&stage, seat, "resume_gap")[0]["reason"], "too_old");
        assert_eq!((count(&stage, seat, "update"), count(&stage, seat, "snapshot")), (0, 1));
    }
}

/// A writer that dies within a row: the join waits, is told why, and is served by the next engine.
#[test]
fn a_dead_writer_and_the_next_engine() {
    let mut stage = stage(wide());
    stage.market().die_in_row(0);
    stage.shard.lane_state(stage.lane, LaneState::Silent, stage.now);
    let seat = stage.connect(SlowPolicy::Conflate);
    stage.command(seat, "subscribe", QUOTES);
    stage.drain();
    stage.wait(10);
    stage.drain();
    assert_eq!(
        (others(&stage, seat, "lane")[0]["lane"][4].clone(), count(&stage, seat, "snapshot")),
        (json!("silent"), 0)
    );
    let mut next = Market::of_epoch(1024, false, 2);
    next.list(3, "AAA", "XNAS", 10);
    stage.restart(next);
    stage.drain();
    stage.wait(10);
    stage.drain();
    assert_eq!(count(&stage, seat, "snapshot"), 0, "rows that are being rebuilt are not shown");
    stage.market().writer.set_state(State::Live);
    stage.assert_quiet();
    let restart = &others(&stage, seat, "restart")[0];
    assert_eq!(
        (&restart["old_stream"], &restart["stream"], &restart["reason"]),
        (&json!(1), &json!(2), &json!("engine"))
    );
}

/// An instrument that the next engine announces later.
#[test]
fn an_instrument_that_comes_back_late() {
    let mut stage = stage(wide());
    let seat = stage.connect(SlowPolicy::Conflate);
    for channel in [QUOTES, TRADES] {
        stage.command(seat, "subscribe", channel);
    }
    stage.drain();
    stage.restart(Market::of_epoch(1024, true, 2));
    stage.drain();
    assert_eq!(count(&stage, seat, "snapshot"), 2, "those from before");
    stage.market().list(9, "ZZZ", "XNAS", 5);
    stage.market().list(3, "AAA", "XNAS", 10);
    trade_of_last(&mut stage);
    stage.assert_quiet();
    assert_eq!(count(&stage, seat, "snapshot"), 4);
}

fn trade_of_last(stage: &mut Stage) {
    let at = stage.market().instruments.len() - 1;
    stage.market().trade(at, Print { code: b'B', flags: 0, price: 5, quantity: 1 });
    stage.market().finish(at);
}

#[test]
fn statuses_that_rows_alone_know() {
    let mut stage = stage(wide());
    let seat = stage.connect(SlowPolicy::Conflate);
    stage.command(seat, "subscribe", "5 - AAA BBB");
    stage.drain();
    stage.market().venue_status(TradingStatus::Trading);
    stage.drain();
    assert_eq!(count(&stage, seat, "update"), 2, "the venue's phase is that of each");
    stage.market().gap(7, 9);
    stage.drain();
    assert_eq!((count(&stage, seat, "update"), others(&stage, seat, "lane_gap").len()), (4, 1));
    stage.market().new_session();
    stage.drain();
    assert_eq!(others(&stage, seat, "restart")[0]["reason"], "session");
    stage.market().close();
    stage.shard.lane_state(stage.lane, LaneState::Closed, stage.now);
    stage.assert_quiet();
}

#[test]
fn floods_stalls_and_silence() {
    let limits = Limits { commands_per_second: 20, commands_burst: 100, ..wide() };
    let mut stage = stage(Limits { bytes_per_second: 1000, bytes_burst: 5000, ..limits });
    let [commands, bytes, stalled, silent] = [0; 4].map(|_| stage.connect(SlowPolicy::Conflate));
    for _ in 0..101 {
        stage.command(commands, "ping", "");
    }
    stage.shard.received(stage.seats[bytes].id, 5001, stage.now);
    stage.command(silent, "ping", "");
    while let Some(id) = stage.shard.next_dirty() {
        let room = if id == stage.seats[stalled].id { 0 } else { usize::MAX };
        stage.flush(id, room);
    }
    assert_eq!((stage.seats[commands].client.closed, stage.seats[bytes].client.closed), (Some(1008), Some(1008)));
    assert_eq!(
        (count(&stage, commands, "pong"), stage.shard.stats().flood_closes),
        (0, 2),
        "answers to a flood are dropped"
    );
    assert_eq!(stage.wait(19_999), []);
    assert_eq!(stage.wait(1), [], "a ping is due");
    assert_eq!(stage.wait(10_000), [stage.seats[stalled].id], "no byte for 30 s");
    assert_eq!(stage.wait(10_000), []);
    assert_eq!(stage.wait(20_000), [stage.seats[silent].id], "two pings unanswered");
    assert_eq!(stage.shard.stats().slow_closes, 1);
}

#[test]
fn nothing_comes_after_the_close_frame() {
    let mut stage = stage(wide());
    let seat = stage.connect(SlowPolicy::Conflate);
    stage.command(seat, "subscribe", QUOTES);
    stage.turn(10);
    stage.shard.close_all(1001, "bye", stage.now);
    stage.shard.close_all(1008, "again", stage.now);
    quotes(&mut stage, 5);
    stage.read(100);
    stage.command(seat, "ping", "");
    assert_eq!(stage.flush(stage.seats[seat].id, 100).flush, Flush::Blocked);
    stage.shard.writable(stage.seats[seat].id);
    let id = stage.seats[seat].id;
    while stage.turn(50).is_some() {
        stage.shard.writable(id);
    }
    assert_eq!((stage.seats[seat].client.closed, stage.seats[seat].open), (Some(1001), false));
    assert!(stage.seats[seat].client.is_whole(), "the hello that was begun was finished");
    assert_eq!(count(&stage, seat, "ack"), 0);
    assert_eq!(stage.shard.stats().subscriptions, 0);
}

#[test]
fn answers_that_are_not_read() {
    let mut stage = stage(Limits { queued_bytes: 1 << 14, ..wide() });
    let seat = stage.connect(SlowPolicy::Conflate);
    stage.turn(0);
    for _ in 0..10_000 {
        stage.command(seat, "ping", "");
        assert!(stage.shard.stats().queued_bytes <= 1 << 14);
    }
    stage.drain();
    assert_eq!(stage.seats[seat].client.closed, Some(4408));
}

/// A pass that ends within an event shows its state to nobody.
#[test]
fn a_join_within_an_event() {
    let mut stage = stage(wide());
    let [first, second] = [0; 2].map(|_| stage.connect(SlowPolicy::Conflate));
    stage.command(first, "subscribe", "2 - AAA");
    stage.drain();
    for price in 1..4 {
        stage.market().level(0, Side::Bid, price, 5);
    }
    stage.market().finish(0);
    stage.read(2);
    stage.command(second, "subscribe", "2 - AAA");
    while stage.turn(usize::MAX).is_some() {}
    assert_eq!(count(&stage, second, "snapshot"), 0);
    stage.assert_quiet();
    assert_eq!(count(&stage, second, "snapshot"), 1);
}

#[test]
fn ten_thousand_leave_one_topic() {
    let mut stage = stage(wide());
    let mut ids: Vec<_> =
        (0..10_000).map(|_| stage.shard.open(DialectId(0), SlowPolicy::Conflate, stage.now).unwrap()).collect();
    for id in &ids {
        stage.shard.message(*id, &format!("subscribe#1 {QUOTES}"), stage.now);
    }
    assert_eq!((stage.shard.stats().topics, stage.shard.stats().subscriptions), (1, 10_000));
    // From the front, the back and the middle.
    while !ids.is_empty() {
        let at = ids.len() * 7919 % ids.len().max(1) / 2;
        stage.shard.remove(ids.swap_remove(at));
    }
    let stats = stage.shard.stats();
    assert_eq!((stats.topics, stats.subscriptions, stats.connections, stats.queued_bytes), (0, 0, 0, 0));
    assert!(!stage.shard.has_dirty() && stage.shard.next_dirty().is_none());
}

/// The kernel cuts between a gap and its snapshot, and the state goes on changing: that is declared too.
#[test]
fn a_snapshot_that_is_owed() {
    for more in [0, 1] {
        let mut stage = stage(wide());
        let seat = stage.connect(SlowPolicy::Gap);
        stage.command(seat, "subscribe", "2 - AAA");
        stage.drain();
        quotes(&mut stage, 70);
        stage.read(usize::MAX);
        // Room for a part of the gap alone.
        stage.turn(20);
        quotes(&mut stage, more);
        stage.read(usize::MAX);
        stage.assert_quiet();
        assert_eq!((count(&stage, seat, "topic_gap+merged"), count(&stage, seat, "update")), (1 + more, 0));
    }
}

/// While a pong is late nothing is sent; when it comes, the newest state is.
#[test]
fn a_late_pong_holds_the_data_back() {
    let mut stage = stage(wide());
    let seat = stage.connect(SlowPolicy::Conflate);
    stage.command(seat, "subscribe", QUOTES);
    stage.drain();
    stage.pong(seat);
    stage.wait(200);
    quotes(&mut stage, 1);
    stage.read(usize::MAX);
    while stage.turn(usize::MAX).is_some() {}
    assert_eq!((stage.seats[seat].client.pings.len(), count(&stage, seat, "update")), (1, 1));
    stage.wait(101);
    for _ in 0..3 {
        quotes(&mut stage, 2);
        stage.read(usize::MAX);
        let id = stage.seats[seat].id;
        assert_eq!(stage.flush(id, usize::MAX).bytes, 0);
    }
    assert_eq!(count(&stage, seat, "update"), 1, "nothing until the pong");
    stage.pong(seat);
    while stage.turn(usize::MAX).is_some() {}
    assert_eq!(count(&stage, seat, "update+merged"), 1);
    assert_eq!(stage.seats[seat].client.pings.len(), 1, "and the next pong decides");
    stage.assert_quiet();
}

/// Trades are not state: behind a late pong they wait, and come one by one when it is there. Only when there is no room
/// for them any more do they become a gap.
#[test]
fn trades_wait_behind_a_late_pong() {
    for (trades, want) in [(64, [64, 0]), (65, [0, 1])] {
        let mut stage = stage(wide());
        let seat = stage.connect(SlowPolicy::Conflate);
        stage.command(seat, "subscribe", TRADES);
        stage.drain();
        stage.pong(seat);
        stage.wait(200);
        trade(&mut stage);
        stage.read(usize::MAX);
        while stage.turn(usize::MAX).is_some() {}
        let before = count(&stage, seat, "update");
        stage.wait(101);
        for _ in 0..trades {
            trade(&mut stage);
            stage.read(usize::MAX);
            let id = stage.seats[seat].id;
            assert_eq!(stage.flush(id, usize::MAX).bytes, 0, "nothing until the pong");
        }
        stage.pong(seat);
        while stage.turn(usize::MAX).is_some() {}
        let got = [count(&stage, seat, "update") - before, count(&stage, seat, "topic_gap+merged")];
        assert_eq!(got, want, "after {trades}");
        stage.assert_quiet();
    }
}

/// An outbox that quotes have filled makes room for trades.
#[test]
fn quotes_make_room_for_trades() {
    let mut stage = stage(wide());
    let seat = stage.connect(SlowPolicy::Conflate);
    stage.command(seat, "subscribe", QUOTES);
    stage.command(seat, "subscribe", TRADES);
    stage.drain();
    for _ in 0..40 {
        quotes(&mut stage, 2);
        trade(&mut stage);
    }
    stage.drain();
    let trades = stage.seats[seat].client.counts.clone();
    assert_eq!((count(&stage, seat, "topic_gap+merged"), count(&stage, seat, "update+merged")), (0, 1), "{trades:?}");
    stage.assert_quiet();
}

/// Whoever reads on while a connection that takes bytes has half of what it may is told to flush first.
#[test]
fn the_shard_says_when_records_come_faster_than_flushes() {
    let mut stage = stage(wide());
    let seat = stage.connect(SlowPolicy::Conflate);
    stage.command(seat, "subscribe", QUOTES);
    stage.drain();
    assert!(!stage.shard.take_pressed());
    quotes(&mut stage, 31);
    stage.read(usize::MAX);
    assert!(!stage.shard.take_pressed(), "not yet half");
    quotes(&mut stage, 1);
    stage.read(usize::MAX);
    assert_eq!((stage.shard.dirty_len(), stage.shard.take_pressed(), stage.shard.take_pressed()), (1, true, false));
    // A kernel that takes nothing cannot be helped by a flush.
    let id = stage.seats[seat].id;
    assert_eq!(stage.flush(id, 0).flush, Flush::Blocked);
    quotes(&mut stage, 5);
    stage.read(usize::MAX);
    assert!(!stage.shard.take_pressed());
    stage.assert_quiet();
}

/// A client that came before the engine has nothing subscribed, and is told that there is a lane now.
#[test]
fn everybody_is_told_of_a_lane() {
    let mut stage = stage(wide());
    let seat = stage.connect(SlowPolicy::Conflate);
    stage.drain();
    for state in [LaneState::Silent, LaneState::Silent, LaneState::Live] {
        stage.shard.lane_state(stage.lane, state, stage.now);
        stage.drain();
    }
    let told: Vec<Value> = others(&stage, seat, "lane").iter().map(|frame| frame["lane"][4].clone()).collect();
    assert_eq!(told, ["silent", "live"]);
}
