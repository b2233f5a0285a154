//! SoupBinTCP: what a server does wrong with its bytes, its answers to logins, its numbers and its addresses.

use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use shm_abi::board::Quality;
use shm_abi::counters::{FeedCounter, LaneCounter};
use shm_abi::layout::FeedState;
use shm_abi::record::{AnomalyCode, Body, Record, StatusCause, gap_reason, kind};
use shm_abi::ring::{Polled, Rejoin};
use shm_abi::segment::{RingName, Segment};

use super::{
    Engine, Feeds, assert_whole, feed_counter, gaps, heads, lane_counter, number, qualities, state, undisturbed,
    wait_for_sequence, wait_for_state,
};
use crate::bus::{Recording, anomalies, assert_same, record};
use crate::harness::{Dir, Venue, wait_until};
use crate::misfortunes::{messages_of, synthetic_day};

const MILLISECOND_NS: u64 = 1_000_000;

/// A feed's table: these ports of loopback in order of preference, timers far shorter than in production, further
/// lines.
pub(super) fn table(ports: &[u16], more: &str) -> String {
    let addresses: Vec<String> = ports.iter().map(|port| format!("\"127.0.0.1:{port}\"")).collect();
    let mut table = format!("protocol = \"soupbintcp-itch\"\naddresses = [{}]\n{more}\n", addresses.join(", "));
    for (key, ms) in [
        ("reconnect_first_ms", 1),
        ("reconnect_max_ms", 4),
        ("first_login_retry_ms", 10),
        ("first_login_retry_max_ms", 20),
    ] {
        if !more.contains(key) {
            table += &format!("{key} = {ms}\n");
        }
    }
    table
}

/// A day in a file and what it leads to when nothing goes wrong.
pub(super) struct Day {
    _dir: Dir,
    file: String,
    pub(super) messages: u64,
    clean: Recording,
}

impl Day {
    pub(super) fn new(messages: u64, seed: u64) -> Day {
        let dir = Dir::new();
        let path = synthetic_day(&dir, messages, seed);
        Day::of(dir, path)
    }

    /// The first `messages` of a longer day: its books are full.
    pub(super) fn cut(messages: usize, seed: u64) -> Day {
        let dir = Dir::new();
        let path = synthetic_day(&dir, 2 * messages as u64, seed);
        let mut whole = std::fs::read(&path).unwrap();
        let (last, message) = wire::itchfile::Messages::new(&whole).nth(messages - 1).unwrap().unwrap();
        let end = last + message.len();
        whole.truncate(end);
        wire::itchfile::append_end(&mut whole);
        std::fs::write(&path, &whole).unwrap();
        Day::of(dir, path)
    }

    fn of(dir: Dir, path: PathBuf) -> Day {
        let messages = messages_of(&path);
        let clean = undisturbed(&path, messages);
        Day { _dir: dir, file: path.to_str().unwrap().to_owned(), messages, clean }
    }

    /// A venue that plays it as one of the venues of the day.
    fn venue(&self, dir: &Dir, faults: &[&str]) -> Venue {
        let mut arguments = vec!["--file", &self.file, "--speed", "max", "--at-end", "hold", "--session", "SAMEDAY"];
        faults.iter().for_each(|fault| arguments.extend(["--fault", fault]));
        Venue::start(dir, &arguments)
    }

    /// The same with a control port.
    pub(super) fn feeds(&self, dir: &Dir, faults: &[&str]) -> Feeds {
        let feed = format!("one:soupbintcp,source={}", self.file);
        let mut arguments = vec!["--feed", &feed];
        faults.iter().for_each(|fault| arguments.extend(["--fault", fault]));
        Feeds::start(dir, &arguments)
    }
}

/// The port of the only feed.
pub(super) fn port(feeds: &Feeds) -> u16 {
    feeds.address("one", "tcp").rsplit(':').next().unwrap().parse().unwrap()
}

/// When the feed went up (`U`) or down (`D`), as readers are told: letter and UNIX ns.
fn session_events(segment: &Segment) -> Vec<(u8, u64)> {
    let mut reader = segment.read_from(RingName::Market, 0, Rejoin::Oldest);
    let mut events = Vec::new();
    loop {
        match reader.poll() {
            Polled::Empty => return events,
            Polled::Lost(lost) => panic!("{lost:?}"),
            Polled::Record { n, words } => {
                let found = Record::new(n, words);
                if let Some(record) = &found
                    && let Body::Status(status) = record.body()
                    && status.cause == StatusCause::Session
                {
                    events.push((status.venue_code, record.head.ts_recv));
                }
            }
        }
    }
}

#[test]
fn resets_between_the_two_length_bytes_lose_nothing() {
    let day = Day::new(4_000, 51);
    let faults = ["rst-length:1", "rst-length:2", "rst-length:1000", "rst-length:1001", "rst-length:3000"];
    let (venue_dir, dir) = (Dir::new(), Dir::new());
    let venue = day.venue(&venue_dir, &faults);
    let engine = Engine::start(&dir, &[("lane0", &table(&[venue.port], ""))]);
    wait_for_sequence(engine.lane(), day.messages + 1);
    assert_whole("resets", engine.lane(), day.messages);
    assert_same("resets", &record(engine.lane()), &day.clean);
    // Counted by connections: a reset may take the answer to its own login with it.
    assert_eq!(feed_counter(engine.lane(), FeedCounter::Connects), 1 + faults.len() as u64, "each reset costs one");
    assert_eq!(lane_counter(engine.lane(), LaneCounter::Malformed), 0, "no half message was taken for one");
}

#[test]
fn pieces_of_any_size_give_the_same_records() {
    let day = Day::new(3_000, 52);
    for fault in ["one-byte", "chunk:7", "coalesce:65536"] {
        let (venue_dir, dir) = (Dir::new(), Dir::new());
        let venue = day.venue(&venue_dir, &[fault]);
        let engine = Engine::start(&dir, &[("lane0", &table(&[venue.port], ""))]);
        wait_for_sequence(engine.lane(), day.messages + 1);
        assert_whole(fault, engine.lane(), day.messages);
        assert_same(fault, &record(engine.lane()), &day.clean);
        assert_eq!(feed_counter(engine.lane(), FeedCounter::Logins), 1, "{fault}");
    }
}

#[test]
fn two_hundred_messages_come_again_and_are_not_shown() {
    let day = Day::new(4_000, 53);
    let (venue_dir, dir) = (Dir::new(), Dir::new());
    // The first login cannot go back behind the first message: the second one repeats 200.
    let venue = day.venue(&venue_dir, &["cut-in:3000,5", "rewind:200,2"]);
    let engine = Engine::start(&dir, &[("lane0", &table(&[venue.port], ""))]);
    wait_for_sequence(engine.lane(), day.messages + 1);
    assert_whole("repeated", engine.lane(), day.messages);
    assert_eq!(lane_counter(engine.lane(), LaneCounter::Duplicates), 200);
    assert_same("repeated", &record(engine.lane()), &day.clean);
}

#[test]
fn the_server_skips_ahead_at_login_and_the_gap_is_declared() {
    let day = Day::new(4_000, 54);
    // What the venue is told before and after the first login, and the first number that is missing.
    for (name, before, after, first) in [
        ("the first login", &["skip:50,1"][..], &[][..], 1),
        ("a later one", &[], &["skip:50,1", "cut-in:3000,5"], 3_000),
    ] {
        let (venue_dir, dir) = (Dir::new(), Dir::new());
        let venue = day.feeds(&venue_dir, before);
        let engine = Engine::start(&dir, &[("lane0", &table(&[port(&venue)], ""))]);
        wait_for_state(engine.lane(), FeedState::Live);
        after.iter().for_each(|fault| drop(venue.say(&format!("fault {fault}"))));
        venue.say("start");
        wait_for_sequence(engine.lane(), day.messages + 1);
        let recording = record(engine.lane());
        assert_eq!(gaps(&recording), [[first, first + 49, gap_reason::SKIPPED_AT_LOGIN]], "{name}");
        let counter = |counter| lane_counter(engine.lane(), counter);
        assert_eq!((counter(LaneCounter::Gaps), counter(LaneCounter::GapMessages)), (1, 50), "{name}");
        assert_eq!(counter(LaneCounter::Received), day.messages - 50, "{name}: the rest was taken");
        if first > 1 {
            let qualities = qualities(engine.lane());
            assert!(
                !qualities.is_empty() && qualities.iter().all(|quality| *quality == Quality::Gapped),
                "{qualities:?}"
            );
        }
    }
}

#[test]
fn the_primary_dies_and_the_secondary_goes_on_without_any_delay() {
    let day = Day::new(4_000, 55);
    let (one, two, dir) = (Dir::new(), Dir::new(), Dir::new());
    let (primary, secondary) = (day.venue(&one, &["silence:2000"]), day.venue(&two, &[]));
    // Whoever waits for any of the back-off's delays waits in vain.
    let delays = "reconnect_first_ms = 3600000\nreconnect_max_ms = 3600000\nsilence_limit_ms = 3600000";
    let engine = Engine::start(&dir, &[("lane0", &table(&[primary.port, secondary.port], delays))]);
    wait_for_sequence(engine.lane(), 2_001);
    // From now on it is gone: its port refuses.
    primary.process.kill();
    wait_for_sequence(engine.lane(), day.messages + 1);
    assert_whole("secondary", engine.lane(), day.messages);
    assert_same("secondary", &record(engine.lane()), &day.clean);
    assert_eq!(feed_counter(engine.lane(), FeedCounter::AddressIndex), 1);
    assert_eq!(feed_counter(engine.lane(), FeedCounter::Connects), 2);
    let events = session_events(engine.lane());
    let [(b'U', _), (b'D', down), (b'U', up)] = events[..] else { panic!("{events:?}") };
    // 250 ms is promised; ten times that is far from any scheduler's whim.
    assert!(up - down < 2_500 * MILLISECOND_NS, "{} ns from the loss to the secondary's login", up - down);
}

#[test]
fn a_primary_that_refuses_or_never_answers_well_is_given_up_for_the_secondary() {
    let day = Day::new(2_000, 56);
    // The fault, how often it is tried, and the counter that tells of it.
    for (fault, counter) in [
        ("refuse", FeedCounter::Disconnects),
        ("no-login-answer", FeedCounter::Silences),
        ("login-garbage", FeedCounter::Silences),
    ] {
        let (one, two, dir) = (Dir::new(), Dir::new(), Dir::new());
        let (primary, secondary) = (day.venue(&one, &[fault]), day.venue(&two, &[]));
        let limits = "first_login_tries = 2\nlogin_timeout_ms = 100";
        let engine = Engine::start(&dir, &[("lane0", &table(&[primary.port, secondary.port], limits))]);
        wait_for_sequence(engine.lane(), day.messages + 1);
        assert_whole(fault, engine.lane(), day.messages);
        assert_eq!(feed_counter(engine.lane(), FeedCounter::AddressIndex), 1, "{fault}");
        assert_eq!(feed_counter(engine.lane(), FeedCounter::Connects), 3, "{fault}: two tries, then the other one");
        assert_eq!(feed_counter(engine.lane(), counter), 2, "{fault}");
        assert_eq!(feed_counter(engine.lane(), FeedCounter::Logins), 1, "{fault}");
        assert!(!engine.process.log().contains("s3cretpw"), "{fault}: no credential in the log");
    }
}

#[test]
fn a_login_answer_in_single_bytes_is_an_answer() {
    let day = Day::new(2_000, 57);
    let (venue_dir, dir) = (Dir::new(), Dir::new());
    let venue = day.feeds(&venue_dir, &["login-pieces:1"]);
    let engine = Engine::start(&dir, &[("lane0", &table(&[port(&venue)], ""))]);
    wait_for_state(engine.lane(), FeedState::Live);
    venue.say("start");
    wait_for_sequence(engine.lane(), day.messages + 1);
    assert_whole("pieces", engine.lane(), day.messages);
    assert_eq!(feed_counter(engine.lane(), FeedCounter::Connects), 1);
    assert_eq!(number(&venue.report("one"), "/faults"), 1, "it did come in single bytes");
}

/// Where both addresses break each session soon after its login, the back-off keeps the logins apart: with the
/// promise's 100 ms to 10 s, at most 12 in 10 s; here all of it in a twentieth of the time.
#[test]
fn flapping_addresses_are_not_stormed_with_logins() {
    const WINDOW_NS: u64 = 500 * MILLISECOND_NS;
    let day = Day::new(4_000, 58);
    let (one, two, dir) = (Dir::new(), Dir::new(), Dir::new());
    let flaps = format!("rst-list:{}", ["400"; 100].join(","));
    let (primary, secondary) = (day.venue(&one, &[&flaps]), day.venue(&two, &[&flaps]));
    let delays = "reconnect_first_ms = 5\nreconnect_max_ms = 500\nstable_after_ms = 500";
    let engine = Engine::start(&dir, &[("lane0", &table(&[primary.port, secondary.port], delays))]);
    // By the records: a login is counted a moment before its record is there.
    let mut logins: Vec<u64> = Vec::new();
    wait_until("13 logins", || {
        let events = session_events(engine.lane()).into_iter();
        logins = events.filter(|(letter, _)| *letter == b'U').map(|(_, at)| at).collect();
        logins.len() >= 13
    });
    let storm = logins.windows(13).find(|logins| logins[12] - logins[0] < WINDOW_NS);
    assert_eq!(storm, None, "13 logins within {WINDOW_NS} ns");
    assert!(feed_counter(engine.lane(), FeedCounter::NextSequence) > 1, "each session still brings something");
    assert_eq!(lane_counter(engine.lane(), LaneCounter::Gaps), 0);
}

#[test]
fn lengths_and_types_that_cannot_be_break_the_connection_and_nothing_else() {
    let day = Day::new(5_000, 59);
    for fault in ["zero-length:1000", "huge-length:1000", "unknown-packet:1000", "garbage:1000"] {
        let (venue_dir, dir) = (Dir::new(), Dir::new());
        let venue = day.venue(&venue_dir, &[fault]);
        let engine = Engine::start(&dir, &[("lane0", &table(&[venue.port], ""))]);
        wait_for_sequence(engine.lane(), day.messages + 1);
        assert_whole(fault, engine.lane(), day.messages);
        assert_same(fault, &record(engine.lane()), &day.clean);
        let counter = |counter| feed_counter(engine.lane(), counter);
        assert_eq!((counter(FeedCounter::ProtocolErrors), counter(FeedCounter::Logins)), (1, 2), "{fault}");
    }
}

#[test]
fn malformed_and_unknown_messages_in_right_frames_are_counted_and_the_numbers_go_on() {
    let day = Day::new(4_000, 60);
    let (venue_dir, dir) = (Dir::new(), Dir::new());
    let venue = day.feeds(&venue_dir, &["malformed:50", "unknown:40"]);
    let engine = Engine::start(&dir, &[("lane0", &table(&[port(&venue)], ""))]);
    wait_for_state(engine.lane(), FeedState::Live);
    venue.say("start");
    wait_until("every message to be taken", || {
        let played = number(&venue.report("one"), "/faults");
        played > 0 && feed_counter(engine.lane(), FeedCounter::NextSequence) == day.messages + played + 1
    });
    let played = number(&venue.report("one"), "/faults");
    let counter = |counter| lane_counter(engine.lane(), counter);
    let (malformed, unknown) = (counter(LaneCounter::Malformed), counter(LaneCounter::UnknownType));
    assert_eq!(malformed + unknown, played);
    assert!(malformed >= day.messages / 100 && unknown >= day.messages / 80, "{malformed} and {unknown}");
    assert_eq!((counter(LaneCounter::Published), counter(LaneCounter::Rejected)), (day.messages, played));
    let mut recording = record(engine.lane());
    for (code, count) in [(AnomalyCode::Malformed, malformed), (AnomalyCode::UnknownType, unknown)] {
        assert_eq!(anomalies(&recording.orders, code as u8) as u64, count, "{} declared in orders", code.name());
        assert_eq!(anomalies(&recording.market, code as u8) as u64, count, "{} declared in market", code.name());
    }
    // All else is as ever, but for the numbers that the strangers took.
    let mut clean = day.clean;
    for ring in [&mut recording.orders, &mut recording.market, &mut clean.orders, &mut clean.market] {
        ring.retain(|seen| seen.kind != kind::ANOMALY);
        ring.iter_mut().for_each(|seen| seen.venue_sequence = 0);
    }
    assert_same("strangers among the messages", &recording, &clean);
}

#[test]
fn a_storm_of_debug_packets_floods_no_log_and_the_data_is_taken() {
    let day = Day::new(4_000, 61);
    for (fault, counter) in
        [("debug-flood:1000", FeedCounter::DebugPackets), ("unsequenced-flood:1000", FeedCounter::UnsequencedPackets)]
    {
        let (venue_dir, dir) = (Dir::new(), Dir::new());
        let venue = day.venue(&venue_dir, &[fault]);
        let began = Instant::now();
        let engine = Engine::start(&dir, &[("lane0", &table(&[venue.port], ""))]);
        wait_for_state(engine.lane(), FeedState::Live);
        let before = engine.log_lines();
        wait_for_sequence(engine.lane(), day.messages + 1);
        assert_eq!(feed_counter(engine.lane(), counter), 50_000, "{fault}");
        assert_whole(fault, engine.lane(), day.messages);
        assert_same(fault, &record(engine.lane()), &day.clean);
        assert_eq!(feed_counter(engine.lane(), FeedCounter::Logins), 1, "{fault}");
        // One line a second at most, and a handful for what happens once.
        let more = engine.log_lines() - before;
        assert!(more as u64 <= 5 + began.elapsed().as_secs(), "{fault}: {more} lines\n{}", engine.process.log());
    }
}

#[test]
fn the_venues_clock_jumps_and_the_times_of_receipt_do_not() {
    const HOUR_NS: u64 = 3_600_000 * MILLISECOND_NS;
    let day = Day::new(4_000, 62);
    let (venue_dir, dir) = (Dir::new(), Dir::new());
    // An hour back, then two forward of that.
    let venue = day.venue(&venue_dir, &["clock:1000,-3600000", "clock:2000,7200000"]);
    let now_ns = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
    let began = now_ns();
    let engine = Engine::start(&dir, &[("lane0", &table(&[venue.port], ""))]);
    wait_for_sequence(engine.lane(), day.messages + 1);
    let ended = now_ns();
    assert_whole("clock", engine.lane(), day.messages);
    for ring in [RingName::Orders, RingName::Market] {
        let heads = heads(engine.lane(), ring);
        assert!(heads.is_sorted_by_key(|head| head.ts_recv), "{}: times of receipt go on", ring.name());
        assert!(heads.iter().all(|head| (began..=ended).contains(&head.ts_recv)), "{}: they are our own", ring.name());
        assert!(
            heads.iter().all(|head| u64::from(head.publish_delay_ns) < ended - began),
            "{}: no absurd delay",
            ring.name()
        );
    }
    assert!(
        lane_counter(engine.lane(), LaneCounter::LagMaxNs) < ended - began,
        "the lag knows nothing of the venue's clock"
    );
    // The venue's times stand in the records as the venue said them.
    let recording = record(engine.lane());
    let mut shifts = [0u64; 3];
    for (got, want) in recording.orders.iter().zip(&day.clean.orders) {
        let shift = match want.venue_sequence {
            0..1_000 => 0,
            1_000..2_000 => 1,
            _ => 2,
        };
        if want.ts_event == 0 {
            continue;
        }
        let wanted = [want.ts_event, want.ts_event - HOUR_NS, want.ts_event + HOUR_NS][shift];
        assert_eq!(got.ts_event, wanted, "{want:?}");
        shifts[shift] += 1;
    }
    assert!(shifts.iter().all(|count| *count > 100), "{shifts:?}");
    assert_eq!(state(engine.lane()), FeedState::Live as u64);
    assert!(Duration::from_nanos(ended - began) < Duration::from_nanos(HOUR_NS), "else nothing was shown");
}
