use super::*;
use crate::MessageAt;
use crate::mold::{self, PacketBuilder};
use crate::multicast::{Blocks, ByteOrder, NewSession, SessionStart, Start};
use crate::time::{MILLISECOND_NS, SECOND_NS};

const OURS: SessionKey = SessionKey(*b"OURS      \0\0\0\0\0\0");
const OTHER: SessionKey = SessionKey(*b"ZZ-OTHER  \0\0\0\0\0\0");

/// What came out, one word per call.
#[derive(Default)]
struct Log(Vec<String>);

impl Sink for Log {
    fn messages(&mut self, buffer: &[u8], messages: &[MessageAt], _recv: Nanos, _source: Source) {
        for message in messages {
            let text = &buffer[message.at as usize..][..message.len as usize];
            assert_eq!(text, message.sequence.to_string().as_bytes());
        }
        self.0.push(format!("{}-{}", messages[0].sequence, messages[messages.len() - 1].sequence));
    }

    fn gap(&mut self, first: u64, last: u64, reason: GapReason) {
        self.0.push(format!("gap {first}-{last} {reason:?}"));
    }

    fn session(&mut self, start: SessionStart) {
        let previous = start.previous.map_or(String::new(), |previous| format!(" after {previous}"));
        self.0.push(format!("{} from {}{previous}", start.session, start.first));
    }

    fn end_of_session(&mut self, session: SessionKey, next: u64) {
        self.0.push(format!("end of {session} at {next}"));
    }
}

/// An arbiter, its clock, and what came out.
struct Bench {
    arbiter: Arbiter,
    now: Nanos,
    log: Log,
    session: SessionKey,
}

impl Bench {
    fn new(config: ArbiterConfig) -> Self {
        Self { arbiter: Arbiter::new(config).unwrap(), now: Nanos(SECOND_NS), log: Log::default(), session: OURS }
    }

    /// Messages `first` to `last` in one packet.
    fn packet(&mut self, source: Source, first: u64, last: u64) {
        let mut buffer = vec![0; 60_000];
        let mut builder = PacketBuilder::new(&mut buffer, self.session, first).unwrap();
        (first..=last).for_each(|sequence| builder.push(sequence.to_string().as_bytes()).unwrap());
        let packet = mold::parse(builder.finish()).unwrap();
        self.arbiter.handle_packet(self.now, self.now, source, &packet, &mut self.log);
    }

    fn a(&mut self, first: u64, last: u64) {
        self.packet(Source::Line(LineId::A), first, last);
    }

    fn b(&mut self, first: u64, last: u64) {
        self.packet(Source::Line(LineId::B), first, last);
    }

    fn answer(&mut self, first: u64, last: u64) {
        self.packet(Source::Recovery, first, last);
    }

    fn control(&mut self, line: LineId, next: u64, body: Body<'static>) {
        let packet = Packet { session: self.session, sequence: next, body, restart: false };
        self.arbiter.handle_packet(self.now, self.now, Source::Line(line), &packet, &mut self.log);
    }

    fn beat(&mut self, line: LineId, next: u64) {
        self.control(line, next, Body::Heartbeat);
    }

    fn end(&mut self, line: LineId, next: u64) {
        self.control(line, next, Body::EndOfSession);
    }

    /// Lets time pass, timer by timer; requests made meanwhile, as server and range.
    fn pass_ms(&mut self, ms: u64) -> Vec<(u8, u64, u64)> {
        let until = self.now.saturating_add(ms * MILLISECOND_NS);
        let mut requests = self.requests();
        while let Some(due) = self.arbiter.poll_timeout().filter(|due| *due <= until) {
            self.now = self.now.max(due);
            self.arbiter.handle_timeout(self.now, &mut self.log);
            requests.extend(self.requests());
            assert!(self.arbiter.poll_timeout().is_none_or(|next| next > self.now));
        }
        self.now = until;
        requests
    }

    fn requests(&mut self) -> Vec<(u8, u64, u64)> {
        let requests = std::iter::from_fn(|| self.arbiter.poll_request(self.now));
        requests.map(|request| (request.server, request.first, request.first + u64::from(request.count) - 1)).collect()
    }

    /// What came out since the last call.
    fn out(&mut self) -> Vec<String> {
        std::mem::take(&mut self.log.0)
    }
}

fn config() -> ArbiterConfig {
    ArbiterConfig { servers: 2, window_messages: 64, window_bytes: 1 << 16, ..ArbiterConfig::default() }
}

fn one_line() -> ArbiterConfig {
    ArbiterConfig { lines: 1, ..config() }
}

#[test]
fn the_first_copy_wins_however_packets_are_cut() {
    let mut bench = Bench::new(config());
    bench.a(1, 3);
    bench.b(1, 2);
    bench.b(3, 5);
    bench.a(4, 6);
    assert_eq!(bench.out(), ["OURS from 1", "1-3", "4-5", "6-6"]);
    let (a, b) = (*bench.arbiter.line(LineId::A), *bench.arbiter.line(LineId::B));
    assert_eq!((a.packets, a.messages, a.wins, a.duplicates, a.holes), (2, 6, 4, 2, 0));
    assert_eq!((b.packets, b.messages, b.wins, b.duplicates, b.holes), (2, 5, 2, 3, 0));
    assert_eq!(bench.arbiter.counters().duplicates, 5);
    assert_eq!(bench.pass_ms(100), []);
}

#[test]
fn a_run_has_at_most_a_batch() {
    let mut bench = Bench::new(config());
    bench.a(1, 70);
    assert_eq!(bench.out(), ["OURS from 1", "1-32", "33-64", "65-70"]);
}

#[test]
fn a_hole_waits_for_the_other_line() {
    let mut bench = Bench::new(config());
    bench.a(1, 2);
    bench.a(5, 6);
    assert_eq!((bench.arbiter.messages_held(), bench.arbiter.open_holes()), (2, 1));
    assert_eq!(bench.pass_ms(4), [], "within the wait for the other line");
    bench.b(1, 6);
    assert_eq!(bench.out(), ["OURS from 1", "1-2", "3-4", "5-6"]);
    assert_eq!((bench.arbiter.messages_held(), bench.arbiter.open_holes()), (0, 0));
}

#[test]
fn a_hole_is_asked_for_when_nothing_else_can_fill_it() {
    let table: &[(&str, ArbiterConfig, u64, u64)] = &[
        ("the other line is late", config(), 0, 5),
        ("both lines have passed it", config(), 5, 1),
        ("there is no other line", one_line(), 0, 1),
        ("no grace either", ArbiterConfig { reorder_grace_ns: 0, ..one_line() }, 0, 0),
    ];
    for (name, config, b, asked_after_ms) in table {
        let mut bench = Bench::new(*config);
        bench.a(1, 2);
        bench.a(5, 6);
        if *b > 0 {
            bench.b(*b, *b);
        }
        if *asked_after_ms > 0 {
            assert_eq!(bench.pass_ms(asked_after_ms - 1), [], "case: {name}");
        }
        assert_eq!(bench.pass_ms(1), [(0, 3, 4)], "case: {name}");
        bench.answer(3, 4);
        assert_eq!(bench.out(), ["OURS from 1", "1-2", "3-4", "5-6"], "case: {name}");
        assert_eq!(bench.arbiter.counters().recovered, 2);
    }
}

#[test]
fn a_dead_line_is_not_waited_for() {
    let mut bench = Bench::new(config());
    bench.b(1, 1);
    for sequence in 2..6 {
        bench.pass_ms(900);
        bench.a(sequence, sequence);
    }
    assert_eq!(bench.arbiter.line_state(LineId::B, bench.now), LineState::Dead);
    assert_eq!((bench.arbiter.line(LineId::B).deaths, bench.arbiter.line(LineId::A).deaths), (1, 0));
    bench.a(8, 8);
    assert_eq!(bench.pass_ms(1), [(0, 6, 7)]);
}

#[test]
fn requests_are_repeated_alternately_and_bounded() {
    let mut bench = Bench::new(one_line());
    bench.a(2, 2);
    assert_eq!(bench.pass_ms(1), [(0, 1, 1)]);
    assert_eq!(bench.pass_ms(49), []);
    assert_eq!(bench.pass_ms(1), [(1, 1, 1)]);
    assert_eq!(bench.pass_ms(99), []);
    assert_eq!(bench.pass_ms(1 + 200), [(0, 1, 1), (1, 1, 1)]);
    assert_eq!(bench.pass_ms(399), []);
    assert_eq!(bench.out(), ["OURS from 1"]);
    assert_eq!(bench.pass_ms(1), []);
    assert_eq!(bench.out(), ["gap 1-1 Unanswered", "2-2"]);
    let counters = bench.arbiter.counters();
    assert_eq!((counters.requests, counters.retries, counters.gaps, counters.lost), (4, 3, 1, 1));
}

#[test]
fn a_hole_is_declared_within_its_limit_whatever_happens() {
    let mut bench = Bench::new(ArbiterConfig { request_tries: 16, gap_limit_ns: 2_000 * MILLISECOND_NS, ..one_line() });
    bench.a(2, 2);
    bench.pass_ms(1_999);
    assert_eq!(bench.out(), ["OURS from 1"]);
    bench.pass_ms(1);
    assert_eq!(bench.out(), ["gap 1-1 Unanswered", "2-2"]);
}

#[test]
fn an_answer_that_holds_a_part_is_asked_on() {
    let mut bench = Bench::new(ArbiterConfig { request_messages: 10, ..one_line() });
    bench.a(31, 31);
    assert_eq!(bench.pass_ms(1), [(0, 1, 10)]);
    bench.answer(1, 4);
    assert_eq!(bench.requests(), [(1, 5, 14)]);
    bench.answer(5, 14);
    assert_eq!(bench.requests(), [(0, 15, 24)]);
    assert_eq!(bench.arbiter.counters().retries, 0);

    let mut parts = Bench::new(ArbiterConfig { request_messages: 10, answers_in_parts: true, ..one_line() });
    parts.a(31, 31);
    assert_eq!(parts.pass_ms(1), [(0, 1, 10)]);
    // The second request would wait for twice as long; a part of its answer shortens that.
    assert_eq!(parts.pass_ms(50), [(1, 1, 10)]);
    parts.answer(1, 4);
    assert_eq!(parts.pass_ms(49), [], "the rest may be on its way");
    assert_eq!(parts.pass_ms(1), [(0, 5, 14)]);
    parts.answer(5, 9);
    parts.answer(10, 14);
    assert_eq!(parts.requests(), [(1, 15, 24)]);
}

#[test]
fn an_answer_outside_of_the_request_is_ignored() {
    let mut bench = Bench::new(one_line());
    bench.a(1, 2);
    bench.answer(3, 4);
    bench.a(6, 6);
    assert_eq!(bench.pass_ms(1), [(0, 3, 5)]);
    bench.answer(5_003, 5_005);
    bench.answer(2, 3);
    bench.answer(5, 9);
    bench.session = OTHER;
    bench.answer(4, 4);
    assert_eq!(bench.out(), ["OURS from 1", "1-2", "3-3"]);
    let counters = *bench.arbiter.counters();
    assert_eq!((counters.answers, counters.answers_outside, counters.foreign_packets), (4, 2 + 3 + 1 + 4, 1));
    assert_eq!((bench.arbiter.highest_sequence(), counters.recovered), (7, 2), "the feed stands where it stood");
}

#[test]
fn requests_on_their_way_are_bounded() {
    let mut bench = Bench::new(ArbiterConfig { requests_in_flight: 2, ..one_line() });
    for sequence in [2, 4, 6, 8] {
        bench.a(sequence, sequence);
    }
    assert_eq!(bench.pass_ms(1), [(0, 1, 1), (0, 3, 3)]);
    assert_eq!(bench.requests(), []);
    bench.answer(3, 3);
    assert_eq!(bench.requests(), [(0, 5, 5)], "its turn comes with an answer");
    bench.a(7, 7);
    bench.a(1, 1);
    assert_eq!(bench.out(), ["OURS from 1", "1-1", "2-2", "3-3", "4-4"]);
}

#[test]
fn heartbeats_reveal_a_lost_tail() {
    let mut bench = Bench::new(one_line());
    bench.a(1, 2);
    bench.beat(LineId::A, 3);
    assert_eq!(bench.arbiter.open_holes(), 0);
    bench.beat(LineId::A, 5);
    assert_eq!(bench.pass_ms(1), [(0, 3, 4)]);
    bench.answer(3, 4);
    assert_eq!(bench.out(), ["OURS from 1", "1-2", "3-4"]);
}

#[test]
fn the_end_comes_when_all_before_it_is_done() {
    let mut bench = Bench::new(one_line());
    bench.a(1, 2);
    bench.end(LineId::A, 5);
    assert!(!bench.arbiter.is_ended());
    bench.pass_ms(100);
    bench.answer(3, 4);
    bench.end(LineId::A, 5);
    bench.a(5, 6);
    assert_eq!(bench.out(), ["OURS from 1", "1-2", "3-4", "end of OURS at 5"]);
    assert_eq!((bench.arbiter.is_ended(), bench.arbiter.counters().after_end_packets), (true, 1));
}

#[test]
fn while_the_end_is_announced_requests_go_on() {
    let patient = ArbiterConfig { end_gap_limit_ns: 20 * SECOND_NS, line_dead_after_ns: 3 * SECOND_NS, ..one_line() };
    let mut bench = Bench::new(patient);
    bench.a(1, 2);
    for _ in 0..5 {
        bench.end(LineId::A, 4);
        bench.pass_ms(1_000);
    }
    assert!(bench.arbiter.counters().requests > 4, "{:?}", bench.arbiter.counters());
    assert_eq!(bench.out(), ["OURS from 1", "1-2"]);
    bench.pass_ms(3_000);
    assert_eq!(bench.out(), ["gap 3-3 Unanswered", "end of OURS at 4"], "when the announcements stop");
}

#[test]
fn an_end_that_cannot_be_is_not_believed() {
    let mut bench = Bench::new(one_line());
    bench.a(1, 5);
    bench.end(LineId::A, 3);
    bench.end(LineId::A, 8);
    bench.a(6, 9);
    assert_eq!(bench.out(), ["OURS from 1", "1-5", "6-9"], "messages beyond an announced end take it back");
    assert_eq!((bench.arbiter.is_ended(), bench.arbiter.counters().after_end_packets), (false, 2));
}

#[test]
fn a_start_is_what_the_configuration_says() {
    let table: &[(&str, Start, &[&str])] = &[
        ("all of it", Start::At(1), &["OURS from 1"]),
        ("from a snapshot on", Start::At(8), &["OURS from 8", "8-9"]),
        ("number 0 is number 1", Start::At(0), &["OURS from 1"]),
        ("late", Start::FirstSeen, &["OURS from 7", "7-9"]),
    ];
    for (name, start, want) in table {
        let mut bench = Bench::new(ArbiterConfig { start: *start, ..config() });
        bench.a(7, 9);
        assert_eq!(bench.out(), *want, "case: {name}");
    }
}

#[test]
fn foreign_sessions_are_counted_and_adopted_by_policy() {
    type Act = fn(&mut Bench);
    let ended: Act = |bench| bench.end(LineId::A, 3);
    let silent: Act = |bench| drop(bench.pass_ms(3_000));
    let nothing: Act = |_| {};
    let hole: Act = |bench| {
        bench.a(5, 5);
        bench.pass_ms(0);
    };
    let adopted = "ZZ-OTHER from 1 after OURS";
    let table: &[(&str, NewSession, Act, &[&str])] = &[
        ("ours lives", NewSession::AfterOurs, nothing, &[]),
        ("ours has ended", NewSession::AfterOurs, ended, &["end of OURS at 3", adopted, "1-2"]),
        ("ours is silent", NewSession::AfterOurs, silent, &[adopted, "1-2"]),
        ("never, though ended", NewSession::Never, ended, &["end of OURS at 3"]),
        ("greater", NewSession::Greater, nothing, &[adopted, "1-2"]),
        ("greater, with a hole", NewSession::Greater, hole, &["gap 3-4 Abandoned", "5-5", adopted, "1-2"]),
    ];
    for (name, new_session, act, want) in table {
        let mut bench = Bench::new(ArbiterConfig { new_session: *new_session, ..one_line() });
        bench.a(1, 2);
        assert_eq!(bench.out(), ["OURS from 1", "1-2"]);
        act(&mut bench);
        bench.session = OTHER;
        bench.end(LineId::A, 9);
        bench.a(1, 2);
        assert_eq!(bench.out(), *want, "case: {name}");
        let adopted = u64::from(want.contains(&adopted));
        let counters = bench.arbiter.counters();
        let foreign = if *new_session == NewSession::Greater { 0 } else { 2 - adopted };
        assert_eq!((counters.sessions, counters.foreign_packets), (1 + adopted, foreign.max(1)), "case: {name}");
    }
}

#[test]
fn only_the_configured_session_is_adopted_first() {
    let mut bench = Bench::new(ArbiterConfig { session: Some(OTHER), ..config() });
    bench.a(1, 2);
    bench.session = OTHER;
    bench.a(1, 1);
    assert_eq!(bench.out(), ["ZZ-OTHER from 1", "1-1"]);
    assert_eq!(bench.arbiter.counters().foreign_packets, 1);
}

#[test]
fn a_resumed_session_goes_on_where_it_was() {
    let mut bench = Bench::new(config());
    bench.arbiter.resume(OURS, 4);
    bench.a(1, 6);
    assert_eq!(bench.out(), ["4-6"], "no session begins");

    let mut bench = Bench::new(config());
    bench.arbiter.resume(OTHER, 4);
    bench.a(1, 2);
    assert_eq!(bench.out(), ["OURS from 1 after ZZ-OTHER", "1-2"]);
}

#[test]
fn a_full_window_declares_instead_of_growing() {
    let mut bench = Bench::new(one_line());
    bench.a(2, 40);
    bench.a(42, 64);
    assert_eq!((bench.out(), bench.arbiter.messages_held()), (vec!["OURS from 1".to_owned()], 62));
    bench.a(65, 66);
    assert_eq!(bench.out(), ["gap 1-1 Overflow", "2-33", "34-40"]);
    assert_eq!((bench.arbiter.open_holes(), bench.arbiter.next_sequence()), (1, 41));

    let mut bytes = Bench::new(ArbiterConfig { window_messages: 1 << 16, ..one_line() });
    // Five digits and up: 65,536 bytes hold no more than 13,107 of them.
    bytes.arbiter.resume(OURS, 10_000);
    for first in (10_001..30_000).step_by(1_000) {
        bytes.a(first, first + 999);
    }
    assert_eq!(bytes.out()[0], "gap 10000-10000 Overflow");
    assert_eq!((bytes.arbiter.messages_held(), bytes.arbiter.counters().lost), (0, 1));

    let mut holes = Bench::new(ArbiterConfig { max_holes: 2, ..one_line() });
    for sequence in [2, 4, 6] {
        holes.a(sequence, sequence);
    }
    assert_eq!(holes.out(), ["OURS from 1", "gap 1-1 Overflow", "2-2"]);
    holes.a(12, 12);
    holes.a(9, 9);
    assert_eq!(holes.out(), ["gap 3-3 Overflow", "4-4", "gap 5-5 Overflow", "6-6"], "a split needs room as well");
}

#[test]
fn a_far_jump_needs_a_second_witness() {
    let mut bench = Bench::new(one_line());
    bench.a(1, 2);
    bench.a(1_000_000, 1_000_001);
    bench.a(3, 3);
    assert_eq!(
        (bench.out(), bench.arbiter.counters().far_packets),
        (vec!["OURS from 1".into(), "1-2".into(), "3-3".into()], 1)
    );
    bench.a(2_000_000, 2_000_001);
    bench.a(2_000_002, 2_000_002);
    assert_eq!(bench.out(), ["gap 4-2000001 Jump", "2000002-2000002"]);
    bench.beat(LineId::A, u64::MAX);
    bench.beat(LineId::A, u64::MAX);
    assert_eq!(bench.out(), [format!("gap 2000003-{} Jump", u64::MAX - 1)]);

    // In the next session again: counts end at what they can hold.
    bench.pass_ms(3_000);
    bench.session = OTHER;
    bench.beat(LineId::A, u64::MAX);
    bench.beat(LineId::A, u64::MAX);
    assert_eq!(bench.out()[1..], [format!("gap 1-{} Jump", u64::MAX - 1)]);
    assert_eq!((bench.arbiter.counters().lost, bench.arbiter.counters().gaps), (u64::MAX, 3));
}

#[test]
fn number_zero_is_no_message_and_no_hole() {
    let mut bench = Bench::new(one_line());
    bench.beat(LineId::A, 0);
    bench.beat(LineId::A, 1);
    let mut zero = Vec::from(b"OURS      \0\0\0\0\0\0\0\0\0\x01\0\x01x");
    bench.arbiter.handle_packet(
        bench.now,
        bench.now,
        Source::Line(LineId::A),
        &mold::parse(&zero).unwrap(),
        &mut bench.log,
    );
    bench.a(1, 1);
    assert_eq!(bench.out(), ["OURS from 1", "1-1"]);
    assert_eq!((bench.arbiter.counters().unnumbered_packets, bench.arbiter.counters().holes), (1, 0));

    // Nor can numbers run out: such a packet can only be made by hand.
    zero = b"\0\x01x\0\x01y".to_vec();
    let blocks = Blocks::parse(&zero, 0..6, 2, ByteOrder::Big).unwrap();
    let last = Packet { session: OURS, sequence: u64::MAX - 1, body: Body::Messages(blocks), restart: false };
    bench.arbiter.handle_packet(bench.now, bench.now, Source::Line(LineId::A), &last, &mut bench.log);
    bench.arbiter.handle_malformed(Source::Line(LineId::A));
    bench.arbiter.handle_malformed(Source::Recovery);
    assert_eq!((bench.arbiter.line(LineId::A).malformed, bench.arbiter.counters().answers_malformed), (2, 1));
}

#[test]
fn a_snapshot_takes_the_place_of_the_past() {
    let table: &[(&str, u64, bool, &[&str])] = &[
        ("it ends before what is held", 4, true, &[]),
        ("where that begins", 5, true, &["5-8", "11-12"]),
        ("within it", 7, true, &["7-8", "11-12"]),
        ("in a hole", 10, true, &[]),
        ("behind a hole", 12, true, &["12-12"]),
        ("at its end", 13, true, &[]),
        ("a little ahead", 20, true, &[]),
        ("too far ahead", 13 + 65, false, &["5-8", "11-12"]),
    ];
    for (name, sequence, plausible, want) in table {
        let mut bench = Bench::new(one_line());
        bench.arbiter.hold();
        bench.a(5, 8);
        bench.a(11, 12);
        assert_eq!((bench.out(), bench.arbiter.is_holding()), (vec!["OURS from 5".to_owned()], true));
        let mut sink = Log::default();
        assert_eq!(bench.arbiter.release_from(bench.now, *sequence, &mut sink), *plausible, "case: {name}");
        // The hole that is left is filled by the server.
        for (_, first, last) in bench.pass_ms(1) {
            bench.answer(first, last);
        }
        let all = [sink.0, bench.out()].concat();
        let direct: Vec<_> = all.iter().filter(|word| !["9-10", "4-4", "10-10"].contains(&word.as_str())).collect();
        if !want.is_empty() {
            assert_eq!(direct, *want, "case: {name}: {all:?}");
        }
        let next = bench.arbiter.next_sequence();
        assert_eq!(next, if *plausible { 13.max(*sequence) } else { 13 }, "case: {name}: {all:?}");
        bench.a(next, next);
        assert_eq!(bench.out(), [format!("{next}-{next}")], "case: {name}");
    }
}

#[test]
fn a_snapshot_that_came_first_says_where_to_begin() {
    let mut bench = Bench::new(config());
    bench.arbiter.hold();
    let mut sink = Log::default();
    assert!(bench.arbiter.release_from(bench.now, 4, &mut sink));
    bench.a(1, 5);
    assert_eq!(bench.out(), ["OURS from 4", "4-5"]);
}

#[test]
fn a_repair_forgets_the_oldest_and_asks_for_them_again() {
    let mut bench = Bench::new(one_line());
    bench.a(1, 3);
    bench.arbiter.hold();
    for sequence in 4..=80 {
        bench.a(sequence, sequence);
    }
    assert_eq!((bench.arbiter.next_sequence(), bench.arbiter.messages_held()), (4, 64), "it stays where it was");
    assert_eq!(bench.arbiter.counters().forgotten, 13);
    let mut sink = Log::default();
    assert!(!bench.arbiter.release_from(bench.now, 2, &mut sink), "older than what the sink has had");
    assert_eq!(sink.0.first().map(String::as_str), Some("gap 4-16 Overflow"), "no room to wait for them: {:?}", sink.0);
    assert_eq!((bench.arbiter.next_sequence(), bench.arbiter.is_holding()), (81, false));
}

#[test]
fn a_stream_starts_anew_within_its_session() {
    let opens = |bench: &mut Bench, line: LineId| {
        let blocks = b"\0\x011";
        let body = Body::Messages(Blocks::parse(blocks, 0..3, 1, ByteOrder::Big).unwrap());
        let packet = Packet { session: OURS, sequence: 1, body, restart: true };
        bench.arbiter.handle_packet(bench.now, bench.now, Source::Line(line), &packet, &mut bench.log);
    };
    let mut bench = Bench::new(config());
    opens(&mut bench, LineId::A);
    opens(&mut bench, LineId::B);
    opens(&mut bench, LineId::A);
    assert_eq!(bench.out(), ["OURS from 1", "1-1"], "copies of the first packet");
    bench.a(2, 5);
    bench.a(7, 7);
    bench.b(2, 4);
    bench.out();
    opens(&mut bench, LineId::A);
    assert_eq!(bench.out(), ["gap 6-6 Abandoned", "7-7", "OURS from 1 after OURS", "1-1"]);
    bench.b(5, 5);
    assert_eq!((bench.out().len(), bench.arbiter.counters().stale_packets), (0, 1), "line B is in the old stream");
    opens(&mut bench, LineId::B);
    bench.b(2, 3);
    bench.a(2, 4);
    assert_eq!(bench.out(), ["2-3", "4-4"]);
    assert_eq!((bench.arbiter.counters().restarts, bench.arbiter.counters().gaps), (1, 1));
}

#[test]
fn a_stream_that_started_anew_unseen_is_recognised() {
    let mut bench = Bench::new(ArbiterConfig { restart_after_backward: 3, ..one_line() });
    bench.a(1, 40);
    bench.out();
    bench.a(3, 4);
    bench.a(5, 6);
    assert_eq!(bench.out().len(), 0);
    bench.a(7, 8);
    assert_eq!(bench.out(), ["OURS from 1 after OURS"]);
    assert_eq!(bench.pass_ms(1), [(0, 1, 6)]);
}

#[test]
fn lines_are_scored() {
    let mut bench = Bench::new(config());
    for sequence in 1..=100 {
        bench.a(sequence, sequence);
        bench.now = bench.now.saturating_add(10_000);
        bench.b(sequence, sequence);
    }
    let lead = bench.arbiter.median_lead_ns(LineId::A).unwrap();
    assert!((8_750..=11_250).contains(&lead), "{lead}");
    assert_eq!(bench.arbiter.median_lead_ns(LineId::B), None);
    assert_eq!(bench.arbiter.line_state(LineId::B, bench.now), LineState::Live);

    // Line B goes on with heartbeats, but its data stays where it was.
    for sequence in 101..=115 {
        bench.a(sequence, sequence);
        bench.beat(LineId::B, 101);
        bench.pass_ms(100);
    }
    assert_eq!(bench.arbiter.line_state(LineId::B, bench.now), LineState::Degraded);
    assert_eq!(bench.arbiter.line_state(LineId::A, bench.now), LineState::Live);
    bench.b(101, 115);
    assert_eq!(bench.arbiter.line_state(LineId::B, bench.now), LineState::Live);
}

#[test]
fn a_configuration_outside_its_limits_is_refused() {
    let safe = ArbiterConfig::default();
    assert_eq!(safe.validate(), Ok(()));
    let table = [
        ("lines", ArbiterConfig { lines: 3, ..safe }),
        ("servers", ArbiterConfig { servers: 9, ..safe }),
        ("window_messages", ArbiterConfig { window_messages: 100, ..safe }),
        ("window_bytes", ArbiterConfig { window_bytes: 100_000, ..safe }),
        ("max_holes", ArbiterConfig { max_holes: 0, ..safe }),
        ("request_tries", ArbiterConfig { request_tries: 0, ..safe }),
        ("request_messages", ArbiterConfig { request_messages: u16::MAX, ..safe }),
        ("gap_limit_ns", ArbiterConfig { gap_limit_ns: 0, ..safe }),
        ("line_dead_after_ns", ArbiterConfig { line_dead_after_ns: u64::MAX, ..safe }),
    ];
    for (field, config) in table {
        let error = config.validate().unwrap_err().to_string();
        assert!(error.starts_with(&format!("{field} = ")), "{error}");
        assert!(Arbiter::new(config).is_err());
    }
}
