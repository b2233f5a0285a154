//! Real days over lines A and B of the venue, with losses on purpose; the venue's own report says what was lost.

use std::net::UdpSocket;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use serde_json::Value;
use shm_abi::board::Quality;
use shm_abi::counters::{FeedCounter, LaneCounter};
use shm_abi::layout::FeedState;
use shm_abi::record::Body;
use shm_abi::segment::{RingName, Segment};

use super::dse::{self, Flow, assert_orderbooks};
use super::{Exchange, Running, SLOTS, assert_whole, each_record, file, free_address, row};
use crate::bus::record;
use crate::figures::assert_reference;
use crate::harness::{Dir, data, feed_counter, lane_counter};

/// Messages of a datagram.
const PACKET: u64 = 4;
/// Datagrams a second: far below what fills a socket's buffer while its reader is away for a while.
const RATE: u32 = 5_000;
/// Patience beyond any scheduler's, so that only what the venue keeps back decides.
const PATIENT: &str = "line_wait_us = 20000000, gap_limit_ms = 60000, request_tries = 16";
/// Every hole is asked for at once, and until it is filled.
const PATIENT_REQUESTS: &str = "gap_limit_ms = 60000, request_tries = 16";
/// What a hole may last before it is filled or declared.
const HOLE_LIMIT_NS: u64 = 2_000_000_000;

/// A day, and how what came of it is held against its reference.
struct Day {
    path: PathBuf,
    messages: u64,
    feed: &'static str,
    check: Box<dyn Fn(&Segment)>,
}

/// A day of Nasdaq's and one of DSE's, without the end of messages, which would empty the books.
fn days(dir: &Dir) -> Vec<Day> {
    let name = "itch50/nasdaq_20200130_AAPL_first4000";
    let (bin, reference) = (format!("{name}.bin"), format!("{name}.ref.json"));
    let nasdaq = file(dir, &bin, &reference).map(|(path, _)| Day {
        path: path.canonicalize().unwrap(),
        messages: 4_000,
        feed: "trading_date = \"2020-01-30\"\n",
        check: Box::new(move |segment| assert_reference(&data(&reference).unwrap(), &record(segment), segment)),
    });
    let dse = Flow::read(dir, "dse22").map(|Flow { reference, open, messages, .. }| Day {
        path: open,
        messages: messages - 1,
        feed: dse::DIALECT,
        check: Box::new(move |segment| assert_orderbooks(&reference, segment, &record(segment), true)),
    });
    nasdaq.into_iter().chain(dse).collect()
}

/// What an engine took of a day that went over two lines, and what the venue says about it.
struct Outcome {
    _running: Running,
    segment: Segment,
    report: Value,
}

impl Outcome {
    fn feed(&self, counter: FeedCounter) -> u64 {
        feed_counter(&self.segment, counter)
    }

    fn lane(&self, counter: LaneCounter) -> u64 {
        lane_counter(&self.segment, counter)
    }

    /// Messages kept back on one line.
    fn dropped_on(&self, line: usize) -> u64 {
        self.report["lines"][line]["dropped"]["messages"].as_u64().unwrap()
    }

    /// Messages that no line carried, as ranges.
    fn dropped(&self) -> Vec<RangeInclusive<u64>> {
        let dropped = &self.report["dropped_on_all_lines"];
        assert_eq!(dropped["is_cut"], false);
        let ranges: Vec<(u64, u64)> = serde_json::from_value(dropped["ranges"].clone()).unwrap();
        ranges.into_iter().map(|(first, last)| first..=last).collect()
    }
}

/// Plays a day. `server`: where lost messages are asked for, and whether the venue answers there.
fn play(dir: &Dir, day: &Day, faults: &[String], arbiter: &str, server: &str, answers: bool) -> Outcome {
    let lines = [free_address(), free_address()];
    let feed = format!(
        "protocol = \"moldudp64-itch\"\nlines = [{{ address = {:?} }}, {{ address = {:?} }}]\nrerequest = [{server:?}]\n\
         arbiter = {{ {arbiter} }}\n{}",
        lines[0], lines[1], day.feed
    );
    let running = Running::start(dir, SLOTS, &[("day".into(), feed)]);
    let segment = running.lanes[0].clone();
    super::wait_until("the lines to be open", || feed_counter(&segment, FeedCounter::Connects) == 1);
    let mut spec = format!(
        "day:moldudp64,source={},a={},b={},packet-messages={PACKET},max-rate={RATE},heartbeat-ms=50",
        day.path.display(),
        lines[0],
        lines[1]
    );
    if answers {
        spec += &format!(",rerequest={server}");
    }
    let exchange = Exchange::start(dir, &[spec], faults);
    running.wait_for(day.messages + 1);
    let report = exchange.stop();
    let outcome = Outcome { _running: running, segment, report: report["feeds"][0].clone() };
    let kernel = [FeedCounter::LineAKernelDrops, FeedCounter::LineBKernelDrops].map(|counter| outcome.feed(counter));
    assert_eq!(kernel, [0, 0], "the kernel has dropped what the venue has sent");
    outcome
}

/// Every fourth datagram of a line, from the `offset`-th on.
fn every_fourth(line: char, offset: u64, messages: u64) -> String {
    let firsts = (1 + offset * PACKET..=messages).step_by(4 * PACKET as usize);
    let ranges: Vec<String> = firsts.map(|first| format!("{first}-{}", first + PACKET - 1)).collect();
    format!("drop:{line},{}", ranges.join(","))
}

#[test]
fn a_quarter_is_lost_on_each_line_at_different_places() {
    let files = Dir::new();
    for day in days(&files) {
        let dir = Dir::new();
        let faults = [every_fourth('a', 0, day.messages), every_fourth('b', 2, day.messages)];
        let outcome = play(&dir, &day, &faults, PATIENT, &free_address(), true);
        for line in [0, 1] {
            assert!(outcome.dropped_on(line).abs_diff(day.messages / 4) <= PACKET, "{}", outcome.report);
        }
        assert_eq!(outcome.dropped(), []);
        assert_whole(&outcome.segment, day.messages);
        assert_eq!((outcome.feed(FeedCounter::Requests), &outcome.report["rerequest"]["requests"]), (0, &0.into()));
        let wins = [FeedCounter::LineAWins, FeedCounter::LineBWins].map(|counter| outcome.feed(counter));
        assert_eq!(wins[0] + wins[1], day.messages, "each message has one first copy");
        assert!(wins.iter().all(|wins| *wins >= day.messages / 5), "{wins:?}");
        (day.check)(&outcome.segment);
    }
}

#[test]
fn the_same_are_lost_on_both_lines_and_filled() {
    let files = Dir::new();
    for day in days(&files) {
        let dir = Dir::new();
        let outcome = play(&dir, &day, &["drop:ab,25%,7".into()], PATIENT_REQUESTS, &free_address(), true);
        let lost: u64 = outcome.dropped().iter().map(|range| range.end() + 1 - range.start()).sum();
        assert!(lost > day.messages / 6 && lost == outcome.dropped_on(0), "{}", outcome.report);
        assert_whole(&outcome.segment, day.messages);
        assert_eq!(outcome.feed(FeedCounter::Recovered), lost, "each lost message came by an answer");
        (day.check)(&outcome.segment);
    }
}

/// One gap as a reader saw it.
#[derive(Debug)]
struct Seen {
    range: RangeInclusive<u64>,
    declared_ns: u64,
}

/// Gaps in a ring, and the receive stamp of every message that left a record there.
fn gaps(segment: &Segment, ring: RingName) -> (Vec<Seen>, Vec<(u64, u64)>) {
    let (mut gaps, mut received) = (Vec::new(), Vec::new());
    each_record(segment, ring, |record| match record.body() {
        Body::Gap { first, last, .. } => {
            gaps.push(Seen { range: first..=last, declared_ns: record.head.ts_publish() });
        }
        Body::Status(status) if status.cause == shm_abi::record::StatusCause::Session => {}
        Body::Restart(_) => {}
        _ => received.push((record.head.venue_sequence_low.into(), record.head.ts_recv)),
    });
    (gaps, received)
}

#[test]
fn the_same_are_lost_on_both_lines_and_nobody_answers() {
    let files = Dir::new();
    for day in days(&files) {
        let dir = Dir::new();
        // There, and silent.
        let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
        let server = silent.local_addr().unwrap().to_string();
        let outcome = play(&dir, &day, &["drop:ab,3%,11".into()], "", &server, false);
        let dropped = outcome.dropped();
        let lost: u64 = dropped.iter().map(|range| range.end() + 1 - range.start()).sum();
        assert!(dropped.len() > 10, "{}", outcome.report);
        assert_eq!(outcome.lane(LaneCounter::Gaps), dropped.len() as u64);
        assert_eq!(outcome.lane(LaneCounter::GapMessages), lost);
        assert_eq!(outcome.lane(LaneCounter::Received) + lost, day.messages, "taken or declared, each message");
        assert!(outcome.feed(FeedCounter::Requests) >= dropped.len() as u64, "each was asked for");
        assert_eq!(outcome.segment.feed(0).unwrap().0.state, FeedState::Live as u64);
        let rings = [RingName::Orders, RingName::Market].map(|ring| gaps(&outcome.segment, ring));
        let mut received: Vec<(u64, u64)> = rings.iter().flat_map(|ring| ring.1.iter().copied()).collect();
        received.sort_unstable();
        for (gaps, _) in &rings {
            let declared: Vec<_> = gaps.iter().map(|gap| gap.range.clone()).collect();
            assert_eq!(declared, dropped, "what was lost is what was declared, in both rings");
            for gap in gaps {
                // The hole is seen by the first message behind it.
                let behind = received.partition_point(|(sequence, _)| sequence <= gap.range.end());
                let lasted = gap.declared_ns.saturating_sub(received[behind].1);
                assert!(lasted <= HOLE_LIMIT_NS, "{:?} was declared after {lasted} ns", gap.range);
            }
        }
        // Whoever reads a row is told that its book is not whole.
        let directory = outcome.segment.directory();
        for at in 0..directory.count() {
            assert_eq!(row(&outcome.segment, at).quality(), Quality::Gapped, "{}", directory.get(at).unwrap().symbol);
        }
    }
}
