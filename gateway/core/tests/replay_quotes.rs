//! Quotes from a time on: the journal, then the ring, then live. The client holds every frame against what the market was
//! at its number.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use common::market::{Market, Print};
use common::recorder::{Recorder, market, others, settle};
use common::rng::Rng;
use common::stage::{Stage, wide};
use gateway_core::dialect::SlowPolicy;
use serde_json::json;
use shm_abi::record::{Record, Side, TradingStatus};

/// An event of a random kind about a random instrument.
fn quote_event(market: &mut Market, rng: &mut Rng) {
    let at = rng.below(2) as usize;
    for _ in 0..1 + rng.below(3) {
        let side = if rng.below(2) == 0 { Side::Bid } else { Side::Ask };
        match rng.below(8) {
            0 | 1 => {
                let (price, quantity) = (40 + rng.below(20) as i64, rng.below(4));
                market.trade(at, Print { code: b'B', flags: 0, price, quantity });
            }
            2 => market.break_trade(at, rng.below(3)),
            // Often of the window alone: such an event ends with a record that a quote does not follow from.
            _ => market.level(at, side, 30 + rng.below(20) as i64, rng.below(3)),
        }
    }
    market.finish(at);
    if rng.below(200) == 0 {
        market.new_session();
    }
}

/// Asks for the quotes of both instruments from a record on.
fn quotes_from(stage: &mut Stage, record: &(u64, u64, Vec<u64>)) -> usize {
    let ns = Record::new(record.1, &record.2).unwrap().head.ts_publish();
    let seat = stage.connect(SlowPolicy::Conflate);
    stage.command(seat, "subscribe", &format!("0 @{ns} AAA BBB"));
    seat
}

/// The client holds every frame against what the market was at its number, and leaves no event out.
#[test]
fn quotes_from_a_time_into_live_at_every_point_of_an_event() {
    for seed in 0..80 {
        let mut rng = Rng(seed);
        let mut stage = Stage::new(wide(), market(1));
        stage.shard.use_journal();
        let mut recorder = Recorder::new(&stage.markets[0]);
        for _ in 0..600 {
            quote_event(stage.market(), &mut rng);
            recorder.record();
            stage.read(usize::MAX);
        }
        // Whole events are recorded; the rest is the ring's to give.
        recorder.durable = recorder.records.len() - rng.below(100) as usize;
        while !Record::new(0, &recorder.records[recorder.durable - 1].2).unwrap().head.is_last() {
            recorder.durable -= 1;
        }
        let first = recorder.records[200 + rng.below(400) as usize].clone();
        // Often the rows are ahead of what the shard has read.
        for _ in 0..15 * (seed % 3) {
            quote_event(stage.market(), &mut rng);
        }
        recorder.batch = 200;
        let seat = quotes_from(&mut stage, &first);
        // Shard and replay get on in steps that end in the middle of events, and of what the row says already.
        for _ in 0..300 {
            if rng.below(3) == 0 {
                quote_event(stage.market(), &mut rng);
            }
            stage.read(rng.below(3) as usize);
            recorder.serve(&mut stage);
            stage.shard.replay(stage.now);
            stage.turn(usize::MAX);
            stage.pong(seat);
        }
        stage.assert_quiet();
        assert!(!stage.shard.has_replays(), "seed {seed}");
        let client = &stage.seats[seat].client;
        assert_eq!((client.counts["snapshot"], client.counts["replay"]), (2, 1), "seed {seed}");
        assert_eq!(others(&stage, seat, "replay")[0]["known"], true);
        let held = &client.topics[&("AAA".to_string(), 0)];
        assert!(held.delivered > 50 && held.merged == 0, "seed {seed}: {}", held.delivered);
    }
}

#[test]
fn quotes_across_epochs() {
    let (mut stage, mut rng) = (Stage::new(wide(), market(1)), Rng(5));
    stage.shard.use_journal();
    let mut recorder = Recorder::new(&stage.markets[0]);
    let mut seats = Vec::new();
    for epoch in 1..5 {
        for _ in 0..150 {
            quote_event(stage.market(), &mut rng);
            recorder.record();
            stage.drain();
        }
        let first = recorder.records[100].clone();
        seats.push(quotes_from(&mut stage, &first));
        for _ in 0..5 {
            recorder.serve(&mut stage);
            stage.shard.replay(stage.now);
        }
        if epoch < 4 {
            let mut next = market(epoch + 1);
            next.go_on_from(stage.markets.last().unwrap());
            stage.restart(next);
            recorder.follow(&stage.markets[epoch as usize], epoch + 1);
        }
        stage.drain();
    }
    settle(&mut stage, &mut recorder);
    quote_event(stage.market(), &mut rng);
    stage.assert_quiet();
    for seat in seats {
        let steps = others(&stage, seat, "replay");
        assert_eq!(steps.len(), 4, "one an epoch");
        assert!(steps.iter().all(|step| step["known"] == true), "{steps:?}");
    }
}

#[test]
fn what_is_not_known_of_quotes_is_said() {
    let (mut stage, mut rng) = (Stage::new(wide(), market(1)), Rng(6));
    stage.shard.use_journal();
    let mut recorder = Recorder::new(&stage.markets[0]);
    stage.market().unknown_execution(0, 50);
    for _ in 0..5 {
        stage.market().status(0, TradingStatus::Trading);
    }
    recorder.record();
    let first = recorder.records.last().unwrap().clone();
    stage.market().new_session();
    for _ in 0..50 {
        quote_event(stage.market(), &mut rng);
    }
    stage.drain();
    let seat = quotes_from(&mut stage, &first);
    settle(&mut stage, &mut recorder);
    stage.assert_quiet();
    let said: Vec<_> =
        others(&stage, seat, "replay").iter().map(|r| (r["symbols"].clone(), r["known"].clone())).collect();
    assert_eq!(said, [(json!(["BBB"]), json!(true)), (json!(["AAA"]), json!(false)), (json!(["AAA"]), json!(true))]);
    // A hole where nothing happens: it could have.
    let ring = stage.market().writer.market.next_number();
    stage.market().status(1, TradingStatus::Trading);
    stage.drain();
    recorder.holes = vec![(ring, ring)];
    for _ in 0..20 {
        quote_event(stage.market(), &mut rng);
    }
    stage.drain();
    let seat = quotes_from(&mut stage, &first);
    settle(&mut stage, &mut recorder);
    stage.assert_quiet();
    let gaps = others(&stage, seat, "replay_gap");
    assert_eq!((gaps.len(), &gaps[0]["first"]), (2, &json!(ring)));
    let last = others(&stage, seat, "replay").pop().unwrap();
    assert_eq!((&last["symbols"], &last["known"]), (&json!(["AAA", "BBB"]), &json!(false)));
}
