//! The rows of a replay are those of the live lane, word for word, at every moment of a day.

use market::iex::Iex;
use market::ingest::SessionEvent;
use market::itch::{Itch, ItchConfig};
use market::{DenseIds, DepthPlan, Normaliser};
use shm_abi::counters::LaneCounter;
use shm_abi::layout::row;
use venue::market::{HOUR_NS, Market, MarketConfig, Profile};
use wire::dialect::{DSE, Role};
use wire::iextp::Protocol;

use crate::bus::{Bus, T0, assert_replays};
use crate::common::{dse_flow, flow};
use crate::iex_bus;

fn itch(config: ItchConfig) -> Normaliser<DenseIds> {
    let config = ItchConfig { midnight_ns: T0, ..config };
    Itch::new(config, DenseIds::default()).unwrap().into()
}

/// A whole day of the synthetic market, one message a burst.
fn day(messages: u64, symbols: u32) -> Vec<Vec<u8>> {
    let config = MarketConfig {
        profile: Profile::Day,
        messages: Some(messages),
        symbols,
        rate_per_second: 8.0,
        start_ns: 9 * HOUR_NS,
        ..MarketConfig::default()
    };
    let mut venue = Market::new(config).unwrap();
    let mut all = Vec::new();
    loop {
        let mut message = Vec::new();
        if venue.next(&mut message).is_none() {
            return all;
        }
        all.push(message);
    }
}

#[test]
fn a_whole_day_of_the_synthetic_market() {
    let depth = DepthPlan { default_class: 10, ..DepthPlan::default() };
    let mut bus = Bus::new(itch(ItchConfig { depth, ..ItchConfig::default() }));
    for (at, messages) in day(20_000, 30).chunks(7).enumerate() {
        bus.apply(messages);
        if at % 97 == 0 || at < 40 {
            bus.look();
        }
    }
    bus.session_event(SessionEvent::Ended);
    bus.look();
    let replay = assert_replays(&mut bus, &[], "day");
    let live = &bus.output.writer.counters;
    for counter in [LaneCounter::Trades, LaneCounter::QuoteEvents, LaneCounter::Gaps] {
        assert_eq!(replay.lane.counters.get(counter), live.get(counter), "{}", counter.name());
    }
    let of = |counter| replay.lane.counters.get(counter);
    assert_eq!(of(LaneCounter::Received), of(LaneCounter::Published) + of(LaneCounter::Rejected));
    assert!(of(LaneCounter::Trades) > 100 && of(LaneCounter::Published) > 10_000);
}

/// Everything that happens to a feed as a whole, over a flow.
fn troubles(bus: &mut Bus, messages: &[Vec<u8>], opening: &[Vec<u8>], burst: usize) {
    let mut bursts = messages.chunks(burst);
    let mut some = |bus: &mut Bus, count: usize| {
        for burst in bursts.by_ref().take(count) {
            bus.apply(burst);
            bus.look();
        }
    };
    some(bus, 40);
    bus.session_event(SessionEvent::Down);
    bus.look();
    some(bus, 5);
    bus.session_event(SessionEvent::Up);
    bus.look();
    some(bus, 20);
    bus.gap(3);
    bus.look();
    some(bus, 20);
    bus.session_event(SessionEvent::Down);
    bus.look();
    bus.session_event(SessionEvent::Up);
    bus.look();
    let stamps = bus.stamps();
    bus.output.normaliser.mark_suspect(stamps, &mut bus.output.writer);
    bus.end();
    bus.look();
    some(bus, 10);
    bus.new_session(b"second          ");
    bus.look();
    some(bus, 5);
    opening.chunks(burst).for_each(|messages| {
        bus.apply(messages);
        bus.look();
    });
    some(bus, 40);
    bus.session_event(SessionEvent::Ended);
    bus.look();
}

#[test]
fn random_nasdaq_flows_with_every_trouble() {
    for seed in 0..40 {
        let mut bus = Bus::new(itch(crate::common::config()));
        let burst = [1, 3, 16][seed as usize % 3];
        troubles(&mut bus, &flow::flow(seed, 150 * burst), &flow::opening(), burst);
        // An execution of an unknown order tells the ring no quantity, and the row its volume.
        assert_replays(&mut bus, &[row::VOLUME], &format!("seed {seed}"));
    }
}

#[test]
fn random_dse_flows_with_every_trouble() {
    for seed in 0..40 {
        let mut bus = Bus::new(itch(ItchConfig { dialect: &DSE, ..crate::common::config() }));
        let burst = [1, 3, 16][seed as usize % 3];
        let mut messages = dse_flow::flow(seed, 150 * burst);
        // The ring does not tell whether it was an order or an execution whose quantity is that of no order.
        messages.retain(|message| {
            let quantity = DSE.view(message).ok().and_then(|view| view.u64(Role::Quantity));
            message.first() != Some(&b'E') || quantity.is_none_or(|quantity| quantity <= u32::MAX.into())
        });
        // Phases of all, of a board and of one orderbook.
        let (first, ..) = dse_flow::BOOKS[0];
        let phases =
            [(b'A', "", 0), (b'B', "MAIN", 0), (b'V', "", first), (b'Q', "SME", 0), (b'I', "", 0), (b'x', "", 0)];
        for (at, (letter, group, orderbook)) in phases.into_iter().enumerate() {
            messages.insert((20 + 7 * at).min(messages.len()), dse_flow::system(letter, group, orderbook));
        }
        troubles(&mut bus, &messages, &dse_flow::opening(), burst);
        assert_replays(&mut bus, &[], &format!("seed {seed}"));
    }
}

#[test]
fn random_iex_flows_with_every_trouble() {
    for seed in 0..40 {
        for protocol in [Protocol::Deep, Protocol::Tops] {
            let config = iex_bus::config(protocol);
            let limits = market::book::BookLimits { instruments: 300, ..config.limits };
            let config = market::iex::IexConfig { limits, ..config };
            let mut bus = Bus::new(Iex::new(config, DenseIds::default()).unwrap().into());
            let burst = [1, 3, 16][seed as usize % 3];
            let messages = iex_bus::flow::flow(seed, 150 * burst, protocol);
            troubles(&mut bus, &messages, &[], burst);
            assert_replays(&mut bus, &[], &format!("seed {seed}, {protocol:?}"));
        }
    }
}

#[test]
fn images_of_the_books() {
    for seed in (0..20).map(|seed| 4 * seed) {
        let mut bus = Bus::new(itch(crate::common::config()));
        let messages = flow::flow(seed, 200);
        messages[..100].chunks(4).for_each(|burst| bus.apply(burst));
        bus.gap(100);
        bus.look();
        bus.image(&messages);
        bus.look();
        bus.gap(2);
        bus.look();
        assert_replays(&mut bus, &[row::VOLUME], &format!("seed {seed}"));
    }
}
