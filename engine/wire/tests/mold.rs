//! The arbiter behind MoldUDP64: every number exactly once, in order, in time, whatever the network does.

mod mold_sim;

use mold_sim::{Sim, Weather};
use proptest::prelude::*;
use wire::multicast::{ArbiterConfig, GapReason, LineId};

const CONFIG: ArbiterConfig = ArbiterConfig {
    lines: 2,
    servers: 2,
    start: wire::multicast::Start::At(1),
    session: None,
    new_session: wire::multicast::NewSession::AfterOurs,
    window_messages: 1 << 12,
    window_bytes: 1 << 18,
    max_holes: 1_024,
    line_wait_ns: 5_000_000,
    reorder_grace_ns: 1_000_000,
    request_retry_ns: 50_000_000,
    request_tries: 4,
    request_messages: 100,
    requests_in_flight: 16,
    answers_in_parts: false,
    gap_limit_ns: 2_000_000_000,
    end_gap_limit_ns: 2_000_000_000,
    restart_settle_ns: 1_000_000_000,
    restart_after_backward: 0,
    line_dead_after_ns: 3_000_000_000,
    line_degraded_after_ns: 1_000_000_000,
};

fn run(seed: u64, weather: Weather, config: ArbiterConfig) -> Sim {
    let mut sim = Sim::new(seed, weather, config);
    sim.run();
    // A jump beyond the window is believed at the second packet that says so: at worst, the second heartbeat.
    let beats_ns = if sim.arbiter.counters().far_packets > 0 { 2_100_000_000 } else { 0 };
    sim.check(config.gap_limit_ns.max(config.end_gap_limit_ns) + beats_ns);
    sim
}

#[test]
fn losses_at_different_places_cost_nothing() {
    for seed in 0..50 {
        // A quarter of the datagrams: every fourth one on A, the one after it on B.
        let mut sim = Sim::new(seed, Weather { messages: 2_000, ..Weather::FAIR }, CONFIG);
        sim.lose_alternately(4);
        sim.run();
        sim.check(2_000_000_000);
        let counters = *sim.arbiter.counters();
        assert_eq!((counters.gaps, counters.requests, sim.record.delivered), (0, 0, 2_000), "seed {seed}");
        for line in [LineId::A, LineId::B] {
            let score = sim.arbiter.line(line);
            assert!(score.holes > 50 && score.skipped > 100 && score.wins > 300, "seed {seed}: {score:?}");
        }
    }
}

#[test]
fn the_same_losses_on_both_lines_are_filled() {
    for seed in 0..50 {
        let mut sim = Sim::new(seed, Weather { messages: 2_000, ..Weather::FAIR }, CONFIG);
        sim.lose_together(4);
        sim.run();
        sim.check(2_000_000_000);
        let counters = *sim.arbiter.counters();
        assert_eq!((counters.gaps, sim.record.delivered), (0, 2_000), "seed {seed}");
        assert!(counters.requests > 50 && counters.recovered > 100, "seed {seed}: {counters:?}");
    }
}

#[test]
fn the_same_losses_with_mute_servers_are_declared_in_time() {
    for (servers, reason) in [(0, GapReason::NoServer), (2, GapReason::Unanswered)] {
        let weather = Weather { mute: 100, ..Weather::FAIR };
        let mut sim = Sim::new(7, weather, ArbiterConfig { servers, ..CONFIG });
        sim.lose_together(4);
        sim.run();
        sim.check(2_000_000_000);
        assert!(sim.record.lost > 50 && sim.record.gaps.len() > 10);
        assert!(sim.record.gaps.iter().all(|gap| gap.2 == reason), "{:?}", sim.record.gaps);
        let limit = u64::from(CONFIG.request_tries) * sim.record.gaps.len() as u64;
        assert!(sim.arbiter.counters().requests <= limit, "tries are bounded");
    }
}

#[test]
fn datagrams_out_of_order_are_put_in_order_without_a_request() {
    for lines in [1, 2] {
        let weather = Weather { lines, late: 30, delay_us: 900, messages: 2_000, ..Weather::FAIR };
        let sim = run(3, weather, ArbiterConfig { lines, ..CONFIG });
        let counters = sim.arbiter.counters();
        assert_eq!((counters.gaps, counters.requests), (0, 0));
        assert!(counters.holes > 50, "{counters:?}");
    }
}

fn weather() -> impl Strategy<Value = Weather> {
    let network = (0..60_u64, 0..60_u64, 0..30_u64, 0..40_u64, 0..8_000_u64, any::<bool>());
    let servers = (0..100_u64, 0..50_u64, 1..12_u64, any::<bool>(), 1..=2_u8);
    (1..400_u64, network, servers).prop_map(|(messages, network, servers)| {
        let (loss_a, loss_b, duplicate, late, delay_us, recut) = network;
        let (mute, outside, per_packet, end_of_session, lines) = servers;
        let loss = [loss_a, loss_b];
        Weather { messages, lines, loss, duplicate, late, delay_us, recut, mute, outside, per_packet, end_of_session }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: std::env::var("PROPTEST_CASES").map_or(300, |text| text.parse().unwrap()), failure_persistence: None, ..ProptestConfig::default() })]

    /// With room for everything: exact, in time, and nothing declared lost that had come.
    #[test]
    fn every_number_once_in_order_in_time(seed in any::<u64>(), weather in weather(), parts in any::<bool>()) {
        let config = ArbiterConfig { lines: weather.lines, answers_in_parts: parts, ..CONFIG };
        let sim = run(seed, weather, config);
        sim.check_against_the_obvious_receiver();
    }

    /// With hardly any room: still exact and in time.
    #[test]
    fn tight_limits_lose_more_but_never_in_silence(
        seed in any::<u64>(), weather in weather(), holes in 1..8_u32, in_flight in 1..4_u8, servers in 0..3_u8,
    ) {
        let config = ArbiterConfig {
            lines: weather.lines,
            servers,
            window_messages: 64,
            window_bytes: 1 << 16,
            max_holes: holes,
            requests_in_flight: in_flight,
            request_messages: 3,
            ..CONFIG
        };
        run(seed, weather, config);
    }
}
