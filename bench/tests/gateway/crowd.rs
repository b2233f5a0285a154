//! Crowds, and those in them who do not keep up.

use std::time::Instant;

use bench::fanout::load::{Load, Pace, Speech, Topics};
use bench::fanout::source::{Source, symbol};
use serde_json::json;
use shm_abi::sys::realtime_ns;

use crate::client::{Client, Gateway, config, topic};
use crate::harness::{Dir, LIMIT};
use crate::rest::Rest;

/// Room for two thousand connections from this one address; everything else as it is by default.
const CONFIG: &str = "[http]\nconnections_per_address = 4096\n";

fn gateway(dir: &Dir) -> Gateway {
    let config = config(dir, CONFIG);
    Gateway::start_with(dir, "127.0.0.1:0", &["--config", &config])
}

fn port(gateway: &Gateway) -> u16 {
    gateway.address.rsplit(':').next().unwrap().parse().unwrap()
}

/// Turns the loop until `done`.
fn turn_until(what: &str, load: &mut Load, source: &mut Source, mut done: impl FnMut(&Load, &Source) -> bool) {
    let began = Instant::now();
    while !done(load, source) {
        load.turn(source).unwrap();
        assert!(began.elapsed() < LIMIT, "waited in vain for: {what}");
    }
}

/// `subscribers` of `topics` each, of `of` in all; `events` a second until `total` were published.
fn crowd(subscribers: u32, topics: u32, of: u32, per_second: u64, total: u64) {
    let dir = Dir::new();
    let mut source = Source::create(&dir.run(), of).unwrap();
    let gateway = gateway(&dir);
    let mut load = Load::new(port(&gateway), Speech::Native).unwrap();
    let mut draw = 0x5eed_u64;
    for _ in 0..subscribers {
        draw ^= draw << 13;
        draw ^= draw >> 7;
        draw ^= draw << 17;
        let first = (draw % u64::from(of)) as u32;
        load.open(Topics { first, count: topics, of }, Pace::Prompt, &mut source).unwrap();
    }
    let now = realtime_ns();
    load.count_from(now);
    source.start(now, per_second, now);
    turn_until("the market", &mut load, &mut source, |_, source| source.published().iter().sum::<u64>() >= total);
    source.stop();
    turn_until("the last values", &mut load, &mut source, |load, source| load.without_last(source) == 0);
    let counts = load.counts(&source);
    assert_eq!((counts.without_last, counts.lost, counts.notices), (0, 0, 0), "{counts:?}");
    assert!(counts.updates > 0 && gateway.process.terminate().success());
}

#[test]
fn a_thousand_subscribers_of_one_topic_miss_nothing() {
    crowd(1_000, 1, 1, 100, 200);
}

#[test]
fn a_thousand_subscribers_of_twenty_in_five_hundred_miss_nothing() {
    crowd(1_000, 20, 500, 1_000, 2_000);
}

/// A value of the Prometheus text.
fn metric(rest: &mut Rest, name: &str) -> f64 {
    let (_, text) = rest.get_text("/metrics");
    let line = text.lines().find(|line| line.starts_with(name) && !line.starts_with('#'));
    line.and_then(|line| line.rsplit(' ').next())
        .and_then(|value| value.parse().ok())
        .unwrap_or_else(|| panic!("{name}: {text}"))
}

/// Resident memory of a process, bytes.
fn resident(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/statm")).unwrap();
    text.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

#[test]
fn a_stopped_reader_is_merged_told_and_held_small() {
    const EVENTS: u64 = 100_000;
    let dir = Dir::new();
    let mut source = Source::create(&dir.run(), 1).unwrap();
    let gateway = gateway(&dir);
    let mut load = Load::new(port(&gateway), Speech::Native).unwrap();
    for _ in 0..20 {
        load.open(Topics { first: 0, count: 1, of: 1 }, Pace::Prompt, &mut source).unwrap();
    }
    let mut stopped = Client::connect(&gateway.address);
    rustix::net::sockopt::set_socket_recv_buffer_size(stopped.stream(), 4096).unwrap();
    let symbol = symbol(0);
    stopped.subscribe("quotes", 0, &[&symbol], || {
        source.turn();
    });
    let before = resident(gateway.process.id());
    let now = realtime_ns();
    load.count_from(now);
    source.start(now, 20_000, now);
    turn_until("the market", &mut load, &mut source, |_, source| source.published()[0] >= EVENTS);
    source.stop();
    turn_until("the last value", &mut load, &mut source, |load, source| load.without_last(source) == 0);
    assert_eq!(load.counts(&source).lost, 0, "the others are told of everything");
    // Connections that say nothing for some seconds are closed: this is a new one.
    let mut rest = Rest::connect(&gateway.address);
    let queued = metric(&mut rest, "ticklane_gateway_queued_bytes");
    assert!(queued < f64::from(1 << 20), "{queued} bytes wait for it");
    let grown = resident(gateway.process.id()).saturating_sub(before);
    assert!(grown < 16 << 20, "the gateway grew by {grown} bytes");
    // It wakes up: what it had missed is told as merged, and it holds the newest value.
    while stopped.held[&topic("quotes", 0, &symbol)].seq < source.newest()[0] {
        stopped.step(|| {
            source.turn();
        });
    }
    let held = &stopped.held[&topic("quotes", 0, &symbol)];
    assert!(stopped.merged > 0, "nothing was merged");
    assert_eq!(
        (held.seq, held.events),
        (source.newest()[0], source.published()[0]),
        "every event is delivered or declared"
    );
    let (_, quote) = Rest::connect(&gateway.address).get(&format!("/api/v1/quotes/{symbol}"));
    assert_eq!((&held.state, &quote["seq"]), (&quote["data"], &json!(held.seq)));
    assert!(gateway.process.terminate().success());
}
