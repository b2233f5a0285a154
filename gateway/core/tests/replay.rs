//! Clients that were away for longer than the ring reaches: the journal gives what they missed, then the ring, then they
//! are live, with nothing left out and nothing twice. The journal here is a list in memory.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use common::market::{Market, Print};
use common::recorder::{Recorder, market, others, settle};
use common::rng::Rng;
use common::stage::{Stage, wide};
use gateway_core::dialect::SlowPolicy;
use gateway_core::limits::Limits;
use serde_json::json;
use shm_abi::record::Record;

fn trade(market: &mut Market, at: usize) {
    market.trade(at, Print { code: b'B', flags: 0, price: 50, quantity: 1 });
    market.finish(at);
}

fn resume(stage: &mut Stage, symbols: &str, epoch: u64, seq: u64) -> usize {
    let seat = stage.connect(SlowPolicy::Conflate);
    let id = stage.command(seat, "subscribe", &format!("4 lane0.{epoch:016x}.{seq} {symbols}"));
    stage.seats[seat].client.resumes.insert(id, seq);
    seat
}

/// What a seat was told of an instrument.
fn told(stage: &Stage, seat: usize, symbol: &str) -> Vec<u64> {
    stage.seats[seat].client.topics[&(symbol.to_string(), 4)].history.clone()
}

#[test]
fn the_journal_then_the_ring_then_live() {
    let mut stage = Stage::new(wide(), market(1));
    stage.shard.use_journal();
    let mut recorder = Recorder::new(&stage.markets[0]);
    for turn in 0..3000 {
        trade(stage.market(), turn % 2);
        recorder.record();
        stage.read(usize::MAX);
    }
    // What the journal has not got yet is the ring's to give.
    recorder.durable = recorder.records.len() - 500;
    let seat = resume(&mut stage, "AAA BBB", 1, 100);
    settle(&mut stage, &mut recorder);
    for _ in 0..10 {
        trade(stage.market(), 0);
    }
    stage.assert_quiet();
    for symbol in ["AAA", "BBB"] {
        let all: Vec<u64> = stage.markets[0].model(symbol).trades.iter().copied().filter(|n| *n > 100).collect();
        assert_eq!(told(&stage, seat, symbol), all);
    }
    let replays = others(&stage, seat, "replay");
    assert_eq!((replays.len(), &replays[0]["symbols"], &replays[0]["seq"]), (1, &json!(["AAA", "BBB"]), &json!(100)));
    assert_eq!(stage.seats[seat].client.counts["snapshot"], 2, "one empty one a topic");
    assert_eq!((stage.shard.has_replays(), recorder.readings.len()), (false, 0), "nothing is left");
    assert_eq!((stage.shard.stats().replays, stage.shard.stats().replaying), (1, 0));
}

/// The journal was read further than this shard has read the lane: nothing in between is told twice.
#[test]
fn a_shard_behind_its_journal() {
    let mut stage = Stage::new(wide(), market(1));
    stage.shard.use_journal();
    let mut recorder = Recorder::new(&stage.markets[0]);
    for turn in 0..2000 {
        trade(stage.market(), 0);
        recorder.record();
        // So far behind that what it lacks is still in the ring.
        if turn < 1500 {
            stage.read(usize::MAX);
        }
    }
    let seat = resume(&mut stage, "AAA", 1, 100);
    for _ in 0..2000 {
        recorder.serve(&mut stage);
        stage.shard.replay(stage.now);
        stage.turn(usize::MAX);
        stage.pong(seat);
    }
    assert!(stage.shard.has_replays(), "it waits for the shard");
    settle(&mut stage, &mut recorder);
    trade(stage.market(), 0);
    stage.assert_quiet();
    let all: Vec<u64> = stage.markets[0].model("AAA").trades.iter().copied().filter(|n| *n > 100).collect();
    assert_eq!(told(&stage, seat, "AAA"), all);
}

#[test]
fn across_epochs_and_a_restart_while_it_goes_on() {
    let mut stage = Stage::new(wide(), market(1));
    stage.shard.use_journal();
    let mut recorder = Recorder::new(&stage.markets[0]);
    let live = stage.connect(SlowPolicy::Conflate);
    stage.command(live, "subscribe", "4 - AAA");
    stage.drain();
    let mut seats = Vec::new();
    for epoch in 1..5 {
        for _ in 0..300 {
            trade(stage.market(), 0);
            recorder.record();
            stage.drain();
        }
        // One begins in each epoch, from the first, and reads a little before the next restart.
        seats.push(resume(&mut stage, "AAA", 1, 10));
        for _ in 0..5 {
            recorder.serve(&mut stage);
            stage.shard.replay(stage.now);
        }
        if epoch < 4 {
            let next = market(epoch + 1);
            stage.restart(next);
            recorder.follow(&stage.markets[epoch as usize], epoch + 1);
        }
        stage.drain();
    }
    settle(&mut stage, &mut recorder);
    trade(stage.market(), 0);
    stage.assert_quiet();
    let all: Vec<u64> = stage.markets.iter().flat_map(|market| market.model("AAA").trades.clone()).collect();
    for seat in seats {
        let missed = stage.markets[0].model("AAA").trades.iter().filter(|n| **n <= 10).count();
        assert_eq!(told(&stage, seat, "AAA"), all[missed..], "seat {seat}");
    }
    assert_eq!(told(&stage, live, "AAA"), all, "who was there all the time");
}

#[test]
fn what_the_journal_does_not_have_is_declared() {
    let mut stage = Stage::new(wide(), market(1));
    stage.shard.use_journal();
    let mut recorder = Recorder::new(&stage.markets[0]);
    for _ in 0..2000 {
        trade(stage.market(), 0);
        recorder.record();
        stage.read(usize::MAX);
    }
    recorder.holes = vec![(500, 520), (600, 600)];
    let seat = resume(&mut stage, "AAA", 1, 100);
    settle(&mut stage, &mut recorder);
    stage.assert_quiet();
    let gaps: Vec<_> = others(&stage, seat, "replay_gap").iter().map(|gap| gap["first"].clone()).collect();
    assert_eq!(gaps, [500, 600]);
    let hole = |n: u64| (500..=520).contains(&n) || n == 600;
    let all = stage.markets[0].model("AAA").trades.clone();
    assert_eq!(told(&stage, seat, "AAA"), all.into_iter().filter(|n| *n > 100 && !hole(*n)).collect::<Vec<_>>());
}

#[test]
fn from_a_time_into_live() {
    let mut stage = Stage::new(wide(), market(1));
    stage.shard.use_journal();
    let mut recorder = Recorder::new(&stage.markets[0]);
    for turn in 0..2000 {
        trade(stage.market(), turn % 2);
        recorder.record();
        stage.read(usize::MAX);
    }
    let (_, n, words) = recorder.records[700].clone();
    let ns = Record::new(n, &words).unwrap().head.ts_publish();
    let seat = stage.connect(SlowPolicy::Conflate);
    // It is subscribed already; from now on it is replayed.
    stage.command(seat, "subscribe", "4 - AAA");
    stage.drain();
    stage.command(seat, "subscribe", &format!("4 @{ns} AAA BBB"));
    settle(&mut stage, &mut recorder);
    trade(stage.market(), 0);
    stage.assert_quiet();
    for symbol in ["AAA", "BBB"] {
        let all: Vec<u64> = stage.markets[0].model(symbol).trades.iter().copied().filter(|it| *it >= n).collect();
        assert_eq!(told(&stage, seat, symbol), all);
    }
    let mut without = Stage::new(wide(), market(1));
    let seat = without.connect(SlowPolicy::Conflate);
    without.command(seat, "subscribe", "4 @17 AAA");
    without.drain();
    assert_eq!(others(&without, seat, "resume_gap")[0]["reason"], "unreadable");
}

#[test]
fn refusals_are_told() {
    let mut stage = Stage::new(Limits { replays: 1, replay_wait_ms: 1000, ..wide() }, market(1));
    stage.shard.use_journal();
    let mut recorder = Recorder::new(&stage.markets[0]);
    for _ in 0..2000 {
        trade(stage.market(), 0);
        recorder.record();
        stage.read(usize::MAX);
    }
    let reason = |stage: &Stage, seat| others(stage, seat, "resume_gap")[0]["reason"].clone();
    let unknown = resume(&mut stage, "AAA", 9, 5);
    let busy = resume(&mut stage, "AAA", 1, 5);
    stage.drain();
    assert_eq!(reason(&stage, busy), "busy");
    // An epoch of which nothing is recorded may still be: waited for, too.
    for _ in 0..60 {
        settle(&mut stage, &mut recorder);
        stage.wait(20);
    }
    assert_eq!(reason(&stage, unknown), "other_epoch");
    // A journal that stands still behind the ring: waited for, but not for ever.
    recorder.durable = 300;
    let stuck = resume(&mut stage, "AAA", 1, 5);
    for _ in 0..100 {
        settle(&mut stage, &mut recorder);
        assert_eq!(others(&stage, stuck, "resume_gap").len(), usize::from(!stage.shard.has_replays()));
        stage.wait(20);
    }
    assert_eq!(reason(&stage, stuck), "too_old");
    assert!(recorder.begun > 10, "it was asked again and again");
    stage.assert_quiet();
    assert_eq!((recorder.readings.len(), stage.shard.stats().resume_refusals), (0, 3));
}

/// Nobody makes a shard hold more than one batch, and who leaves leaves nothing behind.
#[test]
fn slow_clients_and_those_who_leave() {
    let limits = Limits { queued_bytes: 1 << 14, ..wide() };
    let mut stage = Stage::new(limits, market(1));
    stage.shard.use_journal();
    let mut recorder = Recorder::new(&stage.markets[0]);
    recorder.batch = 50;
    for _ in 0..3000 {
        trade(stage.market(), 0);
        recorder.record();
        stage.read(usize::MAX);
    }
    let mut random = Rng(7);
    let slow = resume(&mut stage, "AAA BBB", 1, 5);
    let gone = resume(&mut stage, "AAA", 1, 5);
    let left = resume(&mut stage, "AAA", 1, 5);
    for turn in 0..20_000 {
        recorder.serve(&mut stage);
        stage.shard.replay(stage.now);
        if turn == 50 {
            stage.shard.remove(stage.seats[gone].id);
            stage.seats[gone].open = false;
            stage.command(left, "unsubscribe", "4 - AAA");
            stage.command(slow, "unsubscribe", "4 - BBB");
        }
        assert!(stage.shard.stats().queued_bytes <= 3 << 14);
        let room = random.below(700) as usize;
        stage.turn(room);
        for seat in 0..3 {
            stage.shard.writable(stage.seats[seat].id);
            stage.pong(seat);
        }
        if !stage.shard.has_replays() {
            break;
        }
    }
    settle(&mut stage, &mut recorder);
    stage.assert_quiet();
    assert!(!stage.shard.has_replays() && recorder.readings.is_empty());
    let all = stage.markets[0].model("AAA").trades.clone();
    assert_eq!(told(&stage, slow, "AAA"), all.into_iter().filter(|n| *n > 5).collect::<Vec<_>>());
    assert_eq!(stage.shard.stats().slow_closes, 0);
}
