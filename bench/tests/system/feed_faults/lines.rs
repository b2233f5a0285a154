//! MoldUDP64: what else a line carries, lines that lose or die, and more than a socket holds.

use shm_abi::counters::{FeedCounter, LaneCounter};
use shm_abi::layout::FeedState;
use shm_abi::record::kind;

use super::udp::{Channel, Day, Options, PATIENT, PER_DATAGRAM};
use super::{gaps, lane_counter, number, state, wait_for_feed, wait_for_sequence};
use crate::bus::{count, record};
use crate::harness::wait_until;

/// Every datagram of the day whose place among four is `place`, as an argument of `drop`.
fn every_fourth(day: &Day, place: u64) -> String {
    let firsts = (0..day.messages / PER_DATAGRAM).filter(|index| index % 4 == place);
    firsts.map(|index| (index * PER_DATAGRAM + 1).to_string()).collect::<Vec<_>>().join(",")
}

#[test]
fn another_session_begins_and_the_books_are_cleared() {
    let day = Day::new(4_000, 77);
    let faults = ["new-session:2001,TUESDAY,end"];
    let channel = Channel::open(&day, &Options { arbiter: PATIENT, faults: &faults, ..Options::default() });
    channel.venue.say("start");
    wait_for_feed(channel.lane(), FeedCounter::SessionChanges, 1);
    wait_for_sequence(channel.lane(), day.messages - 2_000 + 1);
    wait_until("all of it", || lane_counter(channel.lane(), LaneCounter::Received) == day.messages);
    assert_eq!(lane_counter(channel.lane(), LaneCounter::Gaps), 0);
    assert!(count(&record(channel.lane()).orders, kind::CLEAR) > 0);
    assert_eq!(state(channel.lane()), FeedState::Live as u64);
    let session = channel.lane().feed(0).unwrap().0.session.unwrap();
    assert_eq!(&session, b"TUESDAY         ");
}

#[test]
fn strays_and_noise_on_the_lines_are_counted_and_nothing_else() {
    let day = Day::new(4_000, 78);
    let faults = ["stray:ab,3", "noise:ab,7"];
    let channel = Channel::play(&day, &Options { arbiter: PATIENT, faults: &faults, ..Options::default() });
    channel.assert_same_day("strays", &day);
    let report = channel.report();
    let both = |what: &str| number(&report, &format!("/lines/0/{what}")) + number(&report, &format!("/lines/1/{what}"));
    let (strays, noise) = (both("strays"), both("noise"));
    assert!(strays > day.messages / 50 && noise > day.messages / 100, "{strays} and {noise}");
    wait_until("the counters", || {
        channel.counter(FeedCounter::ForeignPackets) == strays
            && channel.counter(FeedCounter::MalformedPackets) == noise
    });
    assert_eq!(channel.counter(FeedCounter::SessionChanges), 0);
}

#[test]
fn each_line_loses_a_quarter_at_other_places_and_nobody_is_asked() {
    let day = Day::new(6_000, 79);
    let faults = [format!("drop:a,{}", every_fourth(&day, 1)), format!("drop:b,{}", every_fourth(&day, 3))];
    let faults = [&faults[0][..], &faults[1]];
    let channel =
        Channel::play(&day, &Options { arbiter: PATIENT, rerequest: true, faults: &faults, ..Options::default() });
    channel.assert_same_day("two lossy lines", &day);
    let report = channel.report();
    for line in 0..2 {
        let lost = number(&report, &format!("/lines/{line}/dropped/messages"));
        assert!(lost.abs_diff(day.messages / 4) <= 2 * PER_DATAGRAM, "line {line} lost {lost}");
    }
    assert_eq!(number(&report, "/dropped_on_all_lines/messages"), 0);
    assert_eq!((channel.counter(FeedCounter::Requests), number(&report, "/rerequest/requests")), (0, 0));
    wait_until("the scores", || {
        channel.counter(FeedCounter::LineAWins) + channel.counter(FeedCounter::LineBWins) == day.messages
    });
    assert!(channel.counter(FeedCounter::LineBWins) >= day.messages / 4 - 2 * PER_DATAGRAM, "B filled what A lost");
}

#[test]
fn line_b_dies_and_the_data_stays_whole() {
    let day = Day::new(4_000, 80);
    let arbiter = format!("{PATIENT}, line_dead_after_ms = 300, line_degraded_after_ms = 100");
    let channel = Channel::play(
        &day,
        &Options { arbiter: &arbiter, rerequest: true, faults: &["mute:b,2001"], ..Options::default() },
    );
    channel.assert_same_day("one line", &day);
    // Told as dead, while the feed lives on the heartbeats of the other one.
    wait_for_feed(channel.lane(), FeedCounter::LineBState, 3);
    assert_eq!(channel.counter(FeedCounter::LineAState), 1);
    assert_eq!(state(channel.lane()), FeedState::Live as u64);
    assert_eq!((channel.counter(FeedCounter::Silences), channel.counter(FeedCounter::Requests)), (0, 0));
    wait_until("the scores", || channel.counter(FeedCounter::LineBMessages) == 2_000);
    channel.venue.say("clear mute");
    wait_until("line B to be live again", || channel.counter(FeedCounter::LineBState) == 1);
}

#[test]
fn a_burst_overflows_the_socket_and_each_datagram_that_the_kernel_drops_is_declared() {
    let day = Day::new(8_000, 81);
    let options = Options {
        is_single: true,
        arbiter: "gap_limit_ms = 50",
        feed: "socket_buffer_bytes = 16384",
        ..Options::default()
    };
    let channel = Channel::open(&day, &options);
    let heartbeats = || number(&channel.report(), "/lines/0/heartbeats");
    let before = heartbeats();
    // Stopped, it takes nothing: the burst is above its rate on any machine.
    channel.engine.process.signal(19);
    channel.venue.say("start");
    wait_until("the burst", || number(&channel.report(), "/lines/0/messages") == day.messages);
    channel.engine.process.signal(18);
    wait_for_sequence(channel.lane(), day.messages + 1);
    // Heartbeats that went out meanwhile may be among the dropped datagrams; no message is missing for them.
    let spare = heartbeats() - before;
    let taken = channel.counter(FeedCounter::SequencedPackets);
    let dropped = day.messages.div_ceil(PER_DATAGRAM) - taken;
    assert!(dropped > 100, "{dropped} dropped: the burst was no burst");
    let declared = lane_counter(channel.lane(), LaneCounter::GapMessages);
    assert_eq!(declared.div_ceil(PER_DATAGRAM), dropped, "all that was dropped is declared");
    assert_eq!(declared + lane_counter(channel.lane(), LaneCounter::Received), day.messages, "and the rest taken");
    let ranges = gaps(&record(channel.lane()));
    assert_eq!(ranges.iter().map(|[first, last, _]| last + 1 - first).sum::<u64>(), declared, "{ranges:?}");
    wait_until("the kernel's count", || channel.counter(FeedCounter::LineAKernelDrops) >= dropped);
    let drops = channel.counter(FeedCounter::LineAKernelDrops);
    assert!(drops <= dropped + spare, "{drops} dropped by the kernel, {dropped} with messages, {spare} heartbeats");
}
