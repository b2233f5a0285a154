//! MoldUDP64: datagrams that come twice, late or not at all, and the answers to requests for them.

use std::path::PathBuf;

use shm_abi::board::Quality;
use shm_abi::counters::{FeedCounter, LaneCounter};
use shm_abi::layout::FeedState;
use shm_abi::record::{Record, gap_reason, kind};
use shm_abi::ring::{Polled, Rejoin};
use shm_abi::segment::{RingName, Segment};

use super::{
    Engine, Feeds, assert_whole, feed_counter, free_address, gaps, lane_counter, number, qualities, undisturbed,
    wait_for_feed, wait_for_sequence, wait_for_state,
};
use crate::bus::{Recording, assert_same, record};
use crate::harness::{Dir, wait_until};
use crate::misfortunes::{messages_of, synthetic_day};

/// Messages of every datagram but the last, so that faults can be placed.
pub(super) const PER_DATAGRAM: u64 = 10;
/// What makes it so: a datagram that is not full waits for more.
const PACKING: &str = "packet-messages=10,linger-us=1000000,heartbeat-ms=20";
/// Patience beyond any scheduler's, so that only what a test does decides.
pub(super) const PATIENT: &str = "gap_limit_ms = 600000, line_wait_us = 20000000";
/// The same, for requests that are answered in the end.
const ASKING: &str =
    "gap_limit_ms = 600000, line_wait_us = 0, reorder_grace_us = 0, request_retry_ms = 5, request_tries = 16";

/// A day in a file and what it leads to when nothing goes wrong.
pub(super) struct Day {
    _dir: Dir,
    path: PathBuf,
    pub(super) messages: u64,
    clean: Recording,
}

impl Day {
    pub(super) fn new(messages: u64, seed: u64) -> Day {
        let dir = Dir::new();
        let path = synthetic_day(&dir, messages, seed);
        let messages = messages_of(&path);
        let clean = undisturbed(&path, messages);
        Day { _dir: dir, path, messages, clean }
    }
}

/// One channel, its venue and its engine.
pub(super) struct Channel {
    pub(super) venue: Feeds,
    pub(super) engine: Engine,
    lines: Vec<String>,
    dirs: [Dir; 2],
}

/// How a channel is set up.
#[derive(Default)]
pub(super) struct Options<'o> {
    /// Line A only.
    pub(super) is_single: bool,
    pub(super) arbiter: &'o str,
    /// Further lines of the feed's table.
    pub(super) feed: &'o str,
    /// Whether the venue has a re-request server, and one for images.
    pub(super) rerequest: bool,
    pub(super) glimpse: bool,
    /// Further settings of the venue's feed.
    pub(super) venue: &'o str,
    pub(super) faults: &'o [&'o str],
}

impl Channel {
    /// Opens the lines; the session has not begun.
    pub(super) fn open(day: &Day, options: &Options<'_>) -> Channel {
        let dirs = [Dir::new(), Dir::new()];
        let lines: Vec<String> = (0..if options.is_single { 1 } else { 2 }).map(|_| free_address()).collect();
        let venue = serve(&dirs[0], day, &lines, options);
        let table = table(&venue, "one", &lines, options);
        let engine = Engine::start(&dirs[1], &[("lane0", &table)]);
        // A heartbeat has told the session.
        wait_for_state(engine.lane(), FeedState::Live);
        Channel { venue, engine, lines, dirs }
    }

    /// Plays the day to its end.
    pub(super) fn play(day: &Day, options: &Options<'_>) -> Channel {
        let channel = Channel::open(day, options);
        channel.venue.say("start");
        wait_for_sequence(channel.lane(), day.messages + 1);
        channel
    }

    pub(super) fn lane(&self) -> &Segment {
        self.engine.lane()
    }

    pub(super) fn counter(&self, counter: FeedCounter) -> u64 {
        feed_counter(self.lane(), counter)
    }

    pub(super) fn report(&self) -> serde_json::Value {
        self.venue.report("one")
    }

    /// Nothing is missing, nothing came twice, all is as on an undisturbed day.
    pub(super) fn assert_same_day(&self, name: &str, day: &Day) {
        assert_eq!(
            self.counter(FeedCounter::LineAKernelDrops) + self.counter(FeedCounter::LineBKernelDrops),
            0,
            "{name}"
        );
        assert_whole(name, self.lane(), day.messages);
        assert_same(name, &record(self.lane()), &day.clean);
    }
}

/// A venue that sends the day to these lines.
fn serve(dir: &Dir, day: &Day, lines: &[String], options: &Options<'_>) -> Feeds {
    let mut feed = format!("one:moldudp64,source={},{PACKING},a={}", day.path.display(), lines[0]);
    feed += &lines.get(1).map_or(String::new(), |b| format!(",b={b}"));
    feed += if options.rerequest { ",rerequest=127.0.0.1:0" } else { "" };
    feed += if options.glimpse { ",glimpse=127.0.0.1:0" } else { "" };
    feed += options.venue;
    let mut arguments = vec!["--feed", &feed];
    options.faults.iter().for_each(|fault| arguments.extend(["--fault", fault]));
    Feeds::start(dir, &arguments)
}

/// The feed's table for what the venue serves.
fn table(venue: &Feeds, feed: &str, lines: &[String], options: &Options<'_>) -> String {
    let lines: Vec<String> = lines.iter().map(|line| format!("{{ address = {line:?} }}")).collect();
    let mut table = format!(
        "protocol = \"moldudp64-itch\"\nlines = [{}]\narbiter = {{ {} }}\n{}\n",
        lines.join(", "),
        options.arbiter,
        options.feed
    );
    if options.rerequest {
        table += &format!("rerequest = [{:?}]\n", venue.address(feed, "rerequest"));
    }
    if options.glimpse {
        table += &format!(
            "reconnect_first_ms = 5\nreconnect_max_ms = 20\nfirst_login_retry_ms = 20\n\
             glimpse = {{ addresses = [{:?}], username = \"demo\", password = \"demo\" }}\n",
            venue.address(feed, "glimpse")
        );
    }
    table
}

#[test]
fn two_hundred_messages_come_again_on_a_line_and_are_not_shown() {
    let day = Day::new(4_000, 71);
    let faults = ["dup:a,2000", "dup:a,3000,50"];
    let channel =
        Channel::play(&day, &Options { is_single: true, arbiter: PATIENT, faults: &faults, ..Options::default() });
    channel.assert_same_day("repeated", &day);
    wait_until("the scores", || channel.counter(FeedCounter::LineADuplicates) == 250);
    assert_eq!(number(&channel.report(), "/lines/0/repeated"), 250);
}

#[test]
fn datagrams_that_were_overtaken_are_put_in_order_and_asked_for_only_after_the_grace_time() {
    let day = Day::new(4_000, 72);
    let play = |grace: &str| {
        let arbiter =
            format!("gap_limit_ms = 600000, line_wait_us = 0, request_tries = 16, reorder_grace_us = {grace}");
        let options = Options {
            is_single: true,
            arbiter: &arbiter,
            rerequest: true,
            // Slow enough for a request to be sent while a datagram is late.
            venue: ",max-rate=500",
            faults: &["swap:a,9,5"],
            ..Options::default()
        };
        let channel = Channel::play(&day, &options);
        channel.assert_same_day(grace, &day);
        let report = channel.report();
        assert!(number(&report, "/lines/0/swapped") > 30, "{report}");
        (channel.counter(FeedCounter::Requests), number(&report, "/rerequest/requests"))
    };
    assert_eq!(play("60000000"), (0, 0), "within the grace time nobody is asked");
    let (_, asked) = play("0");
    assert!(asked > 0, "without one, somebody is: the datagrams really were late");
}

#[test]
fn a_tenth_is_lost_on_both_lines_and_all_of_it_is_filled() {
    let day = Day::new(6_000, 73);
    for (name, is_single, fault) in [("one line", true, "drop:a,10%"), ("both lines", false, "drop:ab,10%")] {
        let options = Options { is_single, arbiter: ASKING, rerequest: true, faults: &[fault], ..Options::default() };
        let channel = Channel::play(&day, &options);
        channel.assert_same_day(name, &day);
        let lost = number(&channel.report(), "/dropped_on_all_lines/messages");
        assert!(lost > day.messages / 20, "{name}: {lost} lost");
        wait_until("the counters", || {
            channel.counter(FeedCounter::Recovered) == lost && channel.counter(FeedCounter::OpenHoles) == 0
        });
    }
}

#[test]
fn a_hole_in_one_channel_holds_up_no_other() {
    let day = Day::new(4_000, 74);
    let (venue_dir, dir) = (Dir::new(), Dir::new());
    let lines = [free_address(), free_address()];
    let feed = |name: &str, line: &str| {
        let path = day.path.display();
        format!("{name}:moldudp64,source={path},{PACKING},a={line},rerequest=127.0.0.1:0")
    };
    let (one, two) = (feed("one", &lines[0]), feed("two", &lines[1]));
    let venue = Feeds::start(
        &venue_dir,
        &["--feed", &one, "--feed", &two, "--fault", "one/drop:a,101-120", "--fault", "one/mute:r"],
    );
    let options = Options { is_single: true, arbiter: ASKING, rerequest: true, ..Options::default() };
    let [first, second] = [("one", &lines[0]), ("two", &lines[1])]
        .map(|(name, line)| table(&venue, name, std::slice::from_ref(line), &options));
    let engine = Engine::start(&dir, &[("one", &first), ("two", &second)]);
    engine.lanes.iter().for_each(|lane| wait_for_state(lane, FeedState::Live));
    venue.say("start");
    wait_for_sequence(&engine.lanes[1], day.messages + 1);
    wait_for_feed(&engine.lanes[0], FeedCounter::HeldMessages, day.messages - 120);
    assert_eq!(feed_counter(&engine.lanes[0], FeedCounter::NextSequence), 101, "the first one waits for what it lost");
    assert_whole("the second one", &engine.lanes[1], day.messages);
    assert_eq!(feed_counter(&engine.lanes[1], FeedCounter::Requests), 0);
    venue.say("clear one/mute");
    wait_for_sequence(&engine.lanes[0], day.messages + 1);
    assert_whole("the first one", &engine.lanes[0], day.messages);
    // Ids are given in the order in which the channels came to their instruments.
    let (mut got, mut want) = (record(&engine.lanes[0]), day.clean);
    for ring in [&mut got.orders, &mut got.market, &mut want.orders, &mut want.market] {
        ring.iter_mut().for_each(|seen| seen.instrument_id = 0);
    }
    assert_same("the first one", &got, &want);
}

/// How long each gap was waited for, by the stamps of the ring: from the arrival of what came behind it to its
/// declaration.
fn waits_ns(segment: &Segment) -> Vec<u64> {
    let mut reader = segment.read_from(RingName::Orders, 0, Rejoin::Oldest);
    let (mut waits, mut declared) = (Vec::new(), None);
    loop {
        match reader.poll() {
            Polled::Empty => return waits,
            Polled::Lost(lost) => panic!("{lost:?}"),
            Polled::Record { n, words } => match Record::new(n, words) {
                Some(record) if record.head.kind == kind::GAP => declared = Some(record.head.ts_recv),
                Some(record) => waits.extend(declared.take().map(|at| at.saturating_sub(record.head.ts_recv))),
                None => {}
            },
        }
    }
}

/// With the limits of production, messages 2001 to 2020 are lost and nobody answers: declared as the venue says, and
/// in time.
fn assert_declared(channel: &Channel, day: &Day) {
    let recording = record(channel.lane());
    assert_eq!(gaps(&recording), [[2_001, 2_020, gap_reason::UNFILLED]]);
    assert_eq!(lane_counter(channel.lane(), LaneCounter::GapMessages), 20);
    let report = channel.report();
    let of_images = report.pointer("/glimpse/messages").and_then(serde_json::Value::as_u64).unwrap_or(0);
    let taken = lane_counter(channel.lane(), LaneCounter::Received) - of_images;
    assert_eq!(taken, day.messages - 20, "the rest was taken");
    assert_eq!(report["dropped_on_all_lines"]["ranges"], serde_json::json!([[2_001, 2_020]]));
    assert_eq!(number(&report, "/rerequest/kept_back"), 4, "as many tries as configured");
    let waits = waits_ns(channel.lane());
    assert!(waits.iter().all(|wait| *wait <= 2_000_000_000) && waits.len() == 1, "declared after {waits:?} ns");
}

fn assert_all_rows(channel: &Channel, quality: Quality) {
    let qualities = qualities(channel.lane());
    assert!(!qualities.is_empty() && qualities.iter().all(|one| *one == quality), "{qualities:?}");
}

const UNANSWERED: [&str; 2] = ["drop:ab,2001-2020", "mute:r"];

#[test]
fn nobody_answers_and_the_loss_is_declared_and_the_books_are_suspect_until_another_session() {
    let day = Day::new(6_000, 75);
    let arbiter = "line_dead_after_ms = 500";
    let options = Options { arbiter, rerequest: true, faults: &UNANSWERED, ..Options::default() };
    let mut channel = Channel::play(&day, &options);
    assert_declared(&channel, &day);
    assert_all_rows(&channel, Quality::Gapped);
    let more = Options { venue: ",session=TUESDAY", ..Options::default() };
    channel.venue = serve(&channel.dirs[0], &day, &channel.lines, &more);
    wait_for_feed(channel.lane(), FeedCounter::SessionChanges, 1);
    channel.venue.say("start");
    // Not by the next sequence: until the new session's first burst has ended it is that of the old one.
    wait_until("both sessions", || lane_counter(channel.lane(), LaneCounter::Received) >= 2 * day.messages - 20);
    wait_for_sequence(channel.lane(), day.messages + 1);
    assert_eq!(lane_counter(channel.lane(), LaneCounter::Received), 2 * day.messages - 20);
    assert_eq!(lane_counter(channel.lane(), LaneCounter::Gaps), 1, "no other one");
    assert_all_rows(&channel, Quality::Fresh);
}

#[test]
fn nobody_answers_and_an_image_makes_the_books_good_again() {
    let day = Day::new(6_000, 82);
    let options = Options { rerequest: true, glimpse: true, faults: &UNANSWERED, ..Options::default() };
    let channel = Channel::open(&day, &options);
    // One for the start, before there is anything to lose; one for the repair.
    wait_for_feed(channel.lane(), FeedCounter::Images, 1);
    channel.venue.say("start");
    wait_for_feed(channel.lane(), FeedCounter::Images, 2);
    wait_for_sequence(channel.lane(), day.messages + 1);
    assert_declared(&channel, &day);
    assert_all_rows(&channel, Quality::Fresh);
}

#[test]
fn answers_outside_of_the_asked_range_are_ignored_and_make_no_hole() {
    let day = Day::new(8_000, 76);
    let faults = ["drop:ab,1001-1010,2001-2010", "off-range:5000,3"];
    let options = Options { arbiter: ASKING, rerequest: true, faults: &faults, ..Options::default() };
    let channel = Channel::play(&day, &options);
    channel.assert_same_day("off range", &day);
    assert_eq!(number(&channel.report(), "/rerequest/off_range"), 3);
    wait_until("the counters", || {
        channel.counter(FeedCounter::Recovered) == 20 && channel.counter(FeedCounter::OpenHoles) == 0
    });
    assert!(channel.counter(FeedCounter::StrayAnswers) >= 3);
}
