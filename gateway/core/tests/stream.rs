//! The promises to a client, held against random markets, commands, kernels and misfortunes.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use common::market::{Market, Print};
use common::rng::Rng;
use common::stage::{Stage, wide};
use gateway_core::dialect::{LaneState, SlowPolicy};
use gateway_core::limits::Limits;
use gateway_core::topic::Channel;
use shm_abi::record::{Side, TradingStatus, flag};

const SYMBOLS: [(&str, u16); 4] = [("AAA", 20), ("BBB", 10), ("CCC", 5), ("DDD", 50)];

/// What may happen besides the ordinary.
#[derive(Debug, Clone, Copy)]
struct Weather {
    /// Kernels take random amounts.
    slow: bool,
    laps: bool,
    restarts: bool,
    deaths: bool,
    anomalies: bool,
    pongs_late: bool,
}

const FAIR: Weather =
    Weather { slow: false, laps: false, restarts: false, deaths: false, anomalies: false, pongs_late: false };

/// Tells which seed failed.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("seed {}", self.0);
        }
    }
}

fn market(live: bool, epoch: u64) -> Market {
    let mut market = Market::of_epoch(1024, live, epoch);
    for (at, (symbol, class)) in SYMBOLS.iter().enumerate() {
        market.list(at as u32 + 3, symbol, "XNAS", *class);
    }
    market
}

/// One venue event.
fn event(market: &mut Market, rng: &mut Rng, weather: Weather) {
    let at = rng.below(SYMBOLS.len() as u64) as usize;
    let side = if rng.one_in(2) { Side::Bid } else { Side::Ask };
    // Few prices, so that windows fill, overflow and run empty.
    let price = rng.below(70) as i64 + 1;
    let statuses = [TradingStatus::Trading, TradingStatus::Halted, TradingStatus::Paused];
    let status = statuses[rng.below(3) as usize];
    let print = Print {
        code: b"BSNOCH"[rng.below(6) as usize],
        flags: if rng.one_in(4) { flag::NOT_PRINTED } else { 0 },
        price,
        quantity: rng.below(4),
    };
    match rng.below(60) {
        0 => market.status(at, status),
        1 if rng.one_in(3) => market.venue_status(status),
        2 if rng.one_in(3) => market.gap(1, 2),
        3 if rng.one_in(5) => market.new_session(),
        4 if weather.anomalies => market.unknown_execution(at, 5),
        5..8 => {
            market.break_trade(at, rng.below(3));
            market.finish(at);
        }
        8..18 => {
            market.trade(at, print);
            market.finish(at);
        }
        18..24 => {
            // A large order that executes against several.
            for _ in 0..3 {
                market.trade(at, print);
                let quantity = rng.below(3);
                market.level(at, side, price, quantity);
            }
            market.finish(at);
        }
        _ => {
            let quantity = rng.below(5);
            market.level(at, side, price, quantity);
            market.finish(at);
        }
    }
}

fn command(stage: &mut Stage, seat: usize, rng: &mut Rng) {
    let (symbol, _) = SYMBOLS[rng.below(SYMBOLS.len() as u64) as usize];
    let channel = rng.below(6);
    let arguments = format!("{channel} - {symbol}");
    if rng.one_in(3) {
        stage.command(seat, "unsubscribe", &arguments);
        return;
    }
    let held = stage.seats[seat].client.topics.get(&(symbol.to_string(), channel)).cloned();
    let stream = stage.markets.len() as u64;
    match held {
        // Only a client whose frames are all in knows what it has.
        Some(held) if channel == 4 && !held.waiting && held.stream == stream && rng.one_in(2) => {
            let seq = if rng.one_in(2) { held.seq } else { held.seq.saturating_sub(rng.below(50)) };
            let id = stage.command(seat, "subscribe", &format!("4 lane0.0000000000000001.{seq} {symbol}"));
            stage.seats[seat].client.resumes.insert(id, seq);
        }
        _ => {
            stage.command(seat, "subscribe", &arguments);
        }
    }
}

fn run(seed: u64, weather: Weather, limits: Limits) -> Stage {
    let _seed = Seed(seed);
    let mut rng = Rng(seed);
    let mut stage = Stage::new(limits, market(true, 1));
    stage.exact = !weather.anomalies;
    for policy in [SlowPolicy::Conflate, SlowPolicy::Gap, SlowPolicy::Conflate, SlowPolicy::Close] {
        stage.connect(policy);
    }
    let mut dead_writer = false;
    for step in 0..300 {
        let room = match weather.slow {
            true if rng.one_in(3) => 0,
            true => rng.below(900) as usize,
            false => usize::MAX,
        };
        match rng.below(20) {
            0..7 if !dead_writer => {
                (0..rng.below(12)).for_each(|_| event(stage.markets.last_mut().unwrap(), &mut rng, weather))
            }
            // A pass may end within an event.
            7..11 => {
                stage.read(rng.below(20) as usize);
            }
            11..14 => {
                for _ in 0..rng.below(4) {
                    stage.turn(room);
                }
            }
            14..16 => {
                let seat = rng.below(4) as usize;
                if stage.seats[seat].open {
                    command(&mut stage, seat, &mut rng);
                }
            }
            16 => {
                let seat = rng.below(4) as usize;
                let id = stage.seats[seat].id;
                stage.shard.writable(id);
                if !weather.pongs_late || rng.one_in(4) {
                    stage.pong(seat);
                }
            }
            17 => drop(stage.wait(rng.below(if weather.pongs_late { 200 } else { 20 }))),
            18 if weather.laps && !dead_writer && rng.one_in(3) => {
                (0..1500).for_each(|_| event(stage.markets.last_mut().unwrap(), &mut rng, weather));
            }
            19 if weather.deaths && !dead_writer && rng.one_in(4) => {
                stage.market().die_in_row(rng.below(4) as usize);
                stage.shard.lane_state(stage.lane, LaneState::Silent, stage.now);
                dead_writer = true;
            }
            19 if (weather.restarts || dead_writer) && rng.one_in(3) => {
                // The new engine may still be rebuilding what it does not publish again.
                let rebuilds = rng.one_in(2);
                let mut next = market(!rebuilds, stage.markets.len() as u64 + 1);
                if rebuilds && rng.one_in(2) {
                    next.rebuild(&mut rng);
                }
                stage.restart(next);
                stage.wait(1);
                if rebuilds {
                    stage.read(3);
                    stage.wait(1);
                    let market = stage.market();
                    market.rebuild(&mut rng);
                    market.writer.set_state(shm_abi::layout::State::Live);
                }
                dead_writer = false;
            }
            18.. if weather.pongs_late => drop(stage.wait(rng.below(200))),
            _ => {}
        }
        let most = u64::from(limits.queued_bytes) * stage.seats.len() as u64;
        assert!(stage.shard.stats().queued_bytes <= most, "step {step}: a queue without bound");
        if rng.one_in(40) && !dead_writer {
            stage.assert_quiet();
        }
    }
    if dead_writer {
        let next = market(true, stage.markets.len() as u64 + 1);
        stage.restart(next);
    }
    stage.assert_quiet();
    stage
}

/// Adds up what the clients of some runs were told, so that a run that tests nothing is seen.
fn seen(seeds: std::ops::Range<u64>, weather: Weather, limits: Limits, kinds: &[&str]) {
    let mut counts = std::collections::BTreeMap::<String, u64>::new();
    for seed in seeds {
        let stage = run(seed, weather, limits);
        for seat in &stage.seats {
            for (kind, count) in &seat.client.counts {
                *counts.entry(kind.clone()).or_default() += count;
            }
        }
    }
    for kind in kinds {
        assert!(counts.get(*kind).is_some_and(|count| *count > 10), "{kind} was hardly tested: {counts:?}");
    }
}

#[test]
fn whoever_keeps_up_gets_every_step() {
    seen(0..30, FAIR, wide(), &["snapshot", "update", "ack"]);
}

#[test]
fn any_partial_send_leaves_whole_frames_and_an_exact_ledger() {
    let limits = Limits { pending_frames: 6, snapshot_bytes: 1500, ..wide() };
    let kinds = ["snapshot", "update", "update+merged", "snapshot+merged", "topic_gap+merged"];
    seen(100..140, Weather { slow: true, ..FAIR }, limits, &kinds);
}

#[test]
fn overwritten_frames_are_never_read() {
    let limits = Limits { frame_ring_frames: 16, ..wide() };
    seen(200..230, Weather { slow: true, ..FAIR }, limits, &["update+merged", "topic_gap+merged"]);
}

#[test]
fn laps_restarts_and_dead_writers() {
    let weather = Weather { slow: true, laps: true, restarts: true, deaths: true, ..FAIR };
    seen(
        300..340,
        weather,
        Limits { pending_frames: 10, ..wide() },
        &["lane_gap", "restart", "lane", "topic_gap+merged"],
    );
}

#[test]
fn what_only_rows_know_arrives() {
    let weather = Weather { slow: true, anomalies: true, laps: true, ..FAIR };
    seen(400..430, weather, Limits { pending_frames: 10, ..wide() }, &["update"]);
}

#[test]
fn late_pongs_lose_nothing_undeclared() {
    let weather = Weather { slow: true, pongs_late: true, ..FAIR };
    // Asked always as often, and less often while pongs come promptly: then fewer of them are late.
    for (seeds, pong_clock_interval_max_ms) in [(500..530, 5), (530..590, 40)] {
        let limits = Limits {
            pong_clock_interval_ms: 5,
            pong_clock_interval_max_ms,
            pong_clock_limit_ms: 10,
            pings_missed: 1000,
            ..wide()
        };
        seen(seeds, weather, limits, &["update+merged", "topic_gap+merged"]);
    }
}

#[test]
fn channels_of_the_tests_are_those_of_the_core() {
    assert_eq!(common::dialect::channel(4), Channel::Trades);
}
