use proptest::prelude::*;

use super::*;

const S: u64 = SECOND_NS;
const A42: &[u8] = b"   SESSION                  42";
const A1: &[u8] = b"   SESSION                   1";

fn config(session: &str, next_sequence: u64) -> ClientConfig {
    ClientConfig::new("user", "secret", session, next_sequence, ClientTimers::default()).unwrap()
}

fn client(session: &str, next_sequence: u64) -> Client {
    Client::new(config(session, next_sequence), Nanos(0))
}

/// A client that has sent its login and is at message `next` of SESSION.
fn streaming(next: u64) -> Client {
    let mut client = client("SESSION", next);
    client.poll_transmit().unwrap();
    let accepted = frame::login_accepted(&SessionId::new("SESSION").unwrap(), next);
    client.handle_packet(Nanos(0), kind::LOGIN_ACCEPTED, &accepted[frame::HEADER_BYTES..]);
    assert_eq!(client.state(), State::Streaming);
    client
}

fn protocol(kind: u8, state: State) -> Step<'static> {
    Step::Close(CloseReason::Protocol { kind, state })
}

fn logged_in(sequence: u64) -> Step<'static> {
    Step::LoggedIn {
        session: SessionId::new("SESSION").unwrap(),
        sequence,
        change: SessionChange::SameSession,
        gap: None,
        duplicates_until: None,
    }
}

#[test]
fn packets_and_states() {
    use State::{LoginSent, SessionEnded, Streaming};
    let malformed = |kind, payload_len| Step::Close(CloseReason::Malformed { kind, payload_len });
    let table: &[(&str, &[(u8, &[u8])], Step<'_>)] = &[
        ("accepted", &[(b'A', A42)], logged_in(42)),
        ("debug before the answer", &[(b'+', b"hello")], Step::Debug { payload: b"hello" }),
        ("accepted after debug", &[(b'+', b""), (b'A', A42)], logged_in(42)),
        ("heartbeat before the answer", &[(b'H', b"")], Step::Nothing),
        ("rejected: not authorised", &[(b'J', b"A")], Step::Close(CloseReason::Rejected { code: b'A' })),
        ("rejected: no session", &[(b'J', b"S")], Step::Close(CloseReason::Rejected { code: b'S' })),
        ("rejected: any other letter", &[(b'J', b"\xff")], Step::Close(CloseReason::Rejected { code: 0xff })),
        ("rejected without a letter", &[(b'J', b"")], malformed(b'J', 0)),
        ("short accept", &[(b'A', b"abc")], malformed(b'A', 3)),
        ("accept without a number", &[(b'A', b"   SESSION                   x")], malformed(b'A', 30)),
        ("accept with number 0", &[(b'A', b"   SESSION                   0")], malformed(b'A', 30)),
        ("data too early", &[(b'S', b"x")], protocol(b'S', LoginSent)),
        ("unsequenced too early", &[(b'U', b"x")], protocol(b'U', LoginSent)),
        ("end too early", &[(b'Z', b"")], protocol(b'Z', LoginSent)),
        ("a client's packet from a server", &[(b'R', b"")], protocol(b'R', LoginSent)),
        ("unknown type", &[(b'?', b"")], protocol(b'?', LoginSent)),
        ("first data", &[(b'A', A42), (b'S', b"x")], Step::Deliver { sequence: 42, payload: b"x" }),
        ("empty data counts", &[(b'A', A42), (b'S', b""), (b'S', b"y")], Step::Deliver { sequence: 43, payload: b"y" }),
        (
            "heartbeats do not count",
            &[(b'A', A42), (b'H', b""), (b'H', b""), (b'S', b"x")],
            Step::Deliver { sequence: 42, payload: b"x" },
        ),
        ("unsequenced", &[(b'A', A42), (b'U', b"u")], Step::Unsequenced { payload: b"u" }),
        (
            "unsequenced does not count",
            &[(b'A', A42), (b'U', b"u"), (b'S', b"x")],
            Step::Deliver { sequence: 42, payload: b"x" },
        ),
        (
            "debug does not count",
            &[(b'A', A42), (b'+', b"u"), (b'S', b"x")],
            Step::Deliver { sequence: 42, payload: b"x" },
        ),
        ("accepted twice", &[(b'A', A42), (b'A', A42)], protocol(b'A', Streaming)),
        ("rejected while streaming", &[(b'A', A42), (b'J', b"A")], protocol(b'J', Streaming)),
        ("a login from a server", &[(b'A', A42), (b'L', b"")], protocol(b'L', Streaming)),
        ("a logout from a server", &[(b'A', A42), (b'O', b"")], protocol(b'O', Streaming)),
        ("end of session", &[(b'A', A42), (b'S', b"x"), (b'Z', b"")], Step::EndOfSession),
        ("heartbeat after the end", &[(b'A', A42), (b'Z', b""), (b'H', b"")], Step::Nothing),
        ("data after the end", &[(b'A', A42), (b'Z', b""), (b'S', b"x")], protocol(b'S', SessionEnded)),
        ("end after the end", &[(b'A', A42), (b'Z', b""), (b'Z', b"")], protocol(b'Z', SessionEnded)),
        ("closed is final", &[(b'J', b"A"), (b'A', A42)], Step::Close(CloseReason::Rejected { code: b'A' })),
    ];
    for (name, packets, want) in table {
        let mut client = client("SESSION", 42);
        let last =
            packets.iter().fold(Step::Nothing, |_, (kind, payload)| client.handle_packet(Nanos(1), *kind, payload));
        assert_eq!(&last, want, "case: {name}");
    }
}

#[test]
fn the_answer_decides_where_the_numbers_stand() {
    use SessionChange::{NewSession, SameSession};
    struct Case(&'static str, &'static str, u64, bool, u64, SessionChange, Option<(u64, u64)>, Option<u64>);
    // Name; remembered session and number, blank login; the server's number; change, gap, duplicates until.
    let table = [
        Case("first login of the day", "", 1, false, 1, NewSession, None, None),
        Case("first login, the start is gone", "", 1, false, 135, NewSession, Some((1, 134)), None),
        Case("live only", "", 0, false, 135, NewSession, None, None),
        Case("resume", "SESSION", 42, false, 42, SameSession, None, None),
        Case("resume live only", "SESSION", 0, false, 42, SameSession, None, None),
        Case("resume, some are gone", "SESSION", 42, false, 50, SameSession, Some((42, 49)), None),
        Case("resume, one is gone", "SESSION", 42, false, 43, SameSession, Some((42, 42)), None),
        Case("server starts earlier", "SESSION", 42, false, 40, SameSession, None, Some(42)),
        Case("server starts over", "SESSION", 42, false, 1, SameSession, None, Some(42)),
        Case("asked beyond the end", "SESSION", 9_000, false, 42, SameSession, None, Some(9_000)),
        Case("another session from its start", "OLD", 42, false, 1, NewSession, None, None),
        Case("another session, old number", "OLD", 42, false, 42, NewSession, Some((1, 41)), None),
        Case("another session, live only", "OLD", 0, false, 42, NewSession, None, None),
        Case("blank login finds the old session", "SESSION", 42, true, 1, SameSession, None, Some(42)),
        Case("blank login finds a new session", "OLD", 42, true, 1, NewSession, None, None),
        Case("blank login, live only", "OLD", 0, true, 7, NewSession, None, None),
        Case("above 2^32", "SESSION", (1 << 32) + 1, false, (1 << 32) + 1, SameSession, None, None),
        Case("above 2^53", "SESSION", (1 << 53) + 1, false, (1 << 53) + 1, SameSession, None, None),
    ];
    for Case(name, session, number, blank, sequence, change, gap, duplicates_until) in table {
        let mut client = Client::new(config(session, number).ask_current(blank), Nanos(0));
        let answer = frame::login_accepted(&SessionId::new("SESSION").unwrap(), sequence);
        let step = client.handle_packet(Nanos(0), b'A', &answer[frame::HEADER_BYTES..]);
        let want = Step::LoggedIn {
            session: SessionId::new("SESSION").unwrap(),
            sequence,
            change,
            gap: gap.map(|(first, last)| Gap { first, last }),
            duplicates_until,
        };
        assert_eq!(step, want, "case: {name}");
        assert_eq!(client.session(), SessionId::new("SESSION").unwrap(), "case: {name}");
        assert_eq!(client.next_sequence(), duplicates_until.unwrap_or(sequence), "case: {name}");
    }
}

#[test]
fn duplicates_are_dropped_until_the_wanted_number() {
    let mut client = client("SESSION", 4);
    client.handle_packet(Nanos(0), b'A', A1);
    let steps: Vec<_> = (0..5).map(|_| client.handle_packet(Nanos(0), b'S', b"x")).collect();
    let want = [
        Step::Duplicate { sequence: 1 },
        Step::Duplicate { sequence: 2 },
        Step::Duplicate { sequence: 3 },
        Step::Deliver { sequence: 4, payload: b"x" },
        Step::Deliver { sequence: 5, payload: b"x" },
    ];
    assert_eq!(steps, want);
}

#[test]
fn a_break_amid_duplicates_resumes_at_the_wanted_number() {
    let mut client = client("SESSION", 4);
    client.handle_packet(Nanos(0), b'A', A1);
    client.handle_packet(Nanos(0), b'S', b"x");
    assert_eq!(client.handle_disconnect(), CloseReason::LineBroken);
    assert_eq!(client.next_sequence(), 4);
}

#[test]
fn numbers_end_before_they_wrap() {
    let mut client = streaming(u64::MAX - 1);
    assert_eq!(client.handle_packet(Nanos(0), b'S', b"x"), Step::Deliver { sequence: u64::MAX - 1, payload: b"x" });
    assert_eq!(client.handle_packet(Nanos(0), b'S', b"x"), Step::Close(CloseReason::SequenceExhausted));
}

#[test]
fn the_login_asks_for_what_is_remembered() {
    let table: &[(&str, ClientConfig, &[u8])] = &[
        ("current session", config("", 1), b"\x00\x2fLuser  secret                                 1"),
        ("resume", config("ABC", 42), b"\x00\x2fLuser  secret    ABC                         42"),
        ("live only", config("", 0), b"\x00\x2fLuser  secret                                 0"),
        (
            "blank after a reject",
            config("ABC", 42).ask_current(true),
            b"\x00\x2fLuser  secret                                 1",
        ),
        (
            "blank, live only",
            config("ABC", 0).ask_current(true),
            b"\x00\x2fLuser  secret                                 0",
        ),
        (
            "from the last connection",
            config("", 1).resume(SessionId::new("ABC").unwrap(), u64::MAX),
            b"\x00\x2fLuser  secret    ABC       18446744073709551615",
        ),
    ];
    for (name, config, want) in table {
        let mut client = Client::new(*config, Nanos(0));
        let login = client.poll_transmit().unwrap();
        assert_eq!(login.as_bytes().escape_ascii().to_string(), want.escape_ascii().to_string(), "case: {name}");
        assert_eq!(client.poll_transmit(), None, "case: {name}: one login only");
    }
}

/// Everything that happens between two points in time, and what the timer then says.
enum Did {
    Nothing,
    Received,
    Sent,
    Data,
}

#[test]
fn heartbeats_count_from_what_was_sent() {
    // Name; what happens when, in tenths of a second; when the first heartbeat must go out.
    let table: &[(&str, &[(u64, Did)], u64)] = &[
        ("idle", &[], 10),
        ("data flows in", &[(3, Did::Data), (6, Did::Data), (9, Did::Data)], 10),
        ("bytes flow in", &[(9, Did::Received)], 10),
        ("we sent something", &[(4, Did::Sent)], 14),
        ("a timer that came early", &[(4, Did::Nothing)], 10),
    ];
    for (name, script, want) in table {
        let mut client = streaming(1);
        for (at, did) in *script {
            let now = Nanos(at * S / 10);
            match did {
                Did::Nothing => assert_eq!(client.handle_timeout(now), Step::Nothing, "case: {name}"),
                Did::Received => client.handle_bytes_received(now),
                Did::Sent => client.handle_sent(now),
                Did::Data => {
                    assert!(matches!(client.handle_packet(now, b'S', b"x"), Step::Deliver { .. }), "case: {name}")
                }
            }
            assert_eq!(client.poll_transmit(), None, "case: {name}");
        }
        let due = Nanos(want * S / 10);
        assert_eq!(client.poll_timeout(), Some(due), "case: {name}");
        assert_eq!(client.handle_timeout(Nanos(due.0 - 1)), Step::Nothing, "case: {name}");
        assert_eq!(client.poll_transmit(), None, "case: {name}");
        assert_eq!(client.handle_timeout(due), Step::Nothing, "case: {name}");
        assert_eq!(client.poll_transmit().unwrap().as_bytes(), b"\x00\x01R", "case: {name}");
        assert_eq!(client.poll_transmit(), None, "case: {name}");
        assert_eq!(
            client.poll_timeout(),
            Some(due.saturating_add(S).min(Nanos(last_heard(script) + 5 * S))),
            "case: {name}"
        );
    }
}

fn last_heard(script: &[(u64, Did)]) -> u64 {
    let heard = script.iter().rev().find(|(_, did)| matches!(did, Did::Received | Did::Data));
    heard.map_or(0, |(at, _)| at * S / 10)
}

#[test]
fn any_byte_is_life_and_silence_is_death() {
    let mut client = streaming(1);
    let mut now = Nanos(0);
    // A server that sends one byte of a packet every four seconds lives for ever.
    for _ in 0..10 {
        now = now.saturating_add(4 * S);
        client.handle_bytes_received(now);
        assert_eq!(client.handle_timeout(now), Step::Nothing);
    }
    let dead = now.saturating_add(5 * S);
    assert_eq!(client.handle_timeout(Nanos(dead.0 - 1)), Step::Nothing);
    assert_eq!(client.handle_timeout(dead), Step::Close(CloseReason::Silence { limit_ns: 5 * S }));
    assert_eq!(client.poll_timeout(), None);
    assert_eq!(client.poll_transmit(), None, "nothing is sent on a closed connection");
}

#[test]
fn a_server_that_never_answers_is_given_up() {
    let mut client = client("", 1);
    client.poll_transmit().unwrap();
    assert_eq!(client.poll_timeout(), Some(Nanos(10 * S)));
    // Life is not an answer.
    client.handle_packet(Nanos(9 * S), b'H', b"");
    assert_eq!(client.poll_timeout(), Some(Nanos(10 * S)));
    assert_eq!(client.handle_timeout(Nanos(10 * S - 1)), Step::Nothing);
    assert_eq!(client.poll_transmit(), None, "no heartbeat before the login is accepted");
    assert_eq!(client.handle_timeout(Nanos(10 * S)), Step::Close(CloseReason::LoginTimeout { limit_ns: 10 * S }));
}

#[test]
fn a_storm_of_heartbeats_changes_nothing() {
    let mut client = streaming(42);
    for _ in 0..100_000 {
        assert_eq!(client.handle_packet(Nanos(1), b'H', b""), Step::Nothing);
    }
    assert_eq!(client.handle_packet(Nanos(1), b'S', b"x"), Step::Deliver { sequence: 42, payload: b"x" });
    assert_eq!(client.poll_timeout(), Some(Nanos(S)));
}

#[test]
fn a_socket_that_takes_nothing_does_not_spin_the_timer() {
    let mut client = streaming(1);
    client.handle_timeout(Nanos(S));
    assert_eq!(client.poll_timeout(), Some(Nanos(2 * S)));
    client.handle_timeout(Nanos(2 * S));
    assert_eq!(client.poll_transmit().unwrap().as_bytes(), b"\x00\x01R");
    assert_eq!(client.poll_transmit(), None, "two that were due leave as one");
}

#[test]
fn logout_waits_for_the_server() {
    let mut client = streaming(42);
    client.handle_timeout(Nanos(S));
    client.request_logout(Nanos(S));
    assert_eq!(client.poll_transmit().unwrap().as_bytes(), b"\x00\x01O");
    assert_eq!(client.poll_transmit(), None, "nothing follows a logout");
    assert_eq!(client.handle_packet(Nanos(S), b'S', b"x"), Step::Deliver { sequence: 42, payload: b"x" });
    assert_eq!(client.handle_packet(Nanos(S), b'H', b""), Step::Nothing);
    assert_eq!(client.poll_timeout(), Some(Nanos(2 * S)));
    assert_eq!(client.handle_timeout(Nanos(2 * S)), Step::Close(CloseReason::LoggedOut));

    let mut impatient = self::client("", 1);
    impatient.request_logout(Nanos(0));
    assert_eq!(impatient.handle_packet(Nanos(0), b'A', A1), Step::Nothing, "an answer that nobody wants");
    assert_eq!(impatient.handle_packet(Nanos(0), b'S', b"x"), protocol(b'S', State::LoggingOut));
}

#[test]
fn a_disconnect_means_what_went_before() {
    let mut ended = streaming(1);
    ended.handle_packet(Nanos(0), b'Z', b"");
    let mut logging_out = streaming(1);
    logging_out.request_logout(Nanos(0));
    let mut rejected = client("", 1);
    rejected.handle_packet(Nanos(0), b'J', b"A");
    let table = [
        ("before the answer", client("", 1), CloseReason::LineBroken),
        ("while streaming", streaming(1), CloseReason::LineBroken),
        ("after the end of the session", ended, CloseReason::SessionEnded),
        ("after a logout", logging_out, CloseReason::LoggedOut),
        ("after a reject", rejected, CloseReason::Rejected { code: b'A' }),
    ];
    for (name, mut client, want) in table {
        assert_eq!(client.handle_disconnect(), want, "case: {name}");
        assert_eq!(client.state(), State::Closed, "case: {name}");
        assert_eq!(client.handle_packet(Nanos(1), b'H', b""), Step::Close(want), "case: {name}");
    }
}

#[test]
fn an_ended_session_that_is_not_closed_is_closed_by_us() {
    let mut client = streaming(1);
    assert_eq!(client.handle_packet(Nanos(0), b'Z', b""), Step::EndOfSession);
    assert_eq!(client.poll_timeout(), Some(Nanos(S)));
    assert_eq!(client.handle_timeout(Nanos(S)), Step::Close(CloseReason::SessionEnded));
}

#[test]
fn a_lost_frame_closes() {
    let mut client = streaming(1);
    let lost = CloseReason::Frame(FrameError::ZeroLength);
    assert_eq!(client.handle_frame_error(FrameError::ZeroLength), Step::Close(lost));
}

#[test]
fn the_end_in_the_segment_of_the_last_message() {
    let mut stream = Vec::new();
    frame::append(&mut stream, b'S', b"last").unwrap();
    stream.extend_from_slice(&frame::END_OF_SESSION);
    let mut client = streaming(7);
    let first = frame::next_packet(&stream).unwrap().unwrap();
    let second = frame::next_packet(&stream[first.consumed..]).unwrap().unwrap();
    assert_eq!(
        client.handle_packet(Nanos(0), first.kind, first.payload),
        Step::Deliver { sequence: 7, payload: b"last" }
    );
    assert_eq!(client.handle_packet(Nanos(0), second.kind, second.payload), Step::EndOfSession);
    assert_eq!(client.next_sequence(), 8);
}

#[test]
fn configurations_are_refused_by_name_and_value() {
    let timers = ClientTimers::default();
    let table: &[(&str, &str, &str, ClientTimers, &str)] = &[
        (
            "username1",
            "p",
            "",
            timers,
            "username = \"username1\": 9 characters where the field holds 6; expected printable ASCII of at most 6 characters",
        ),
        (
            "u",
            "longpassword",
            "",
            timers,
            "password = \"***\": 12 characters where the field holds 10; expected printable ASCII of at most 10 characters",
        ),
        (
            "u",
            "p",
            "a\nb",
            timers,
            "session = \"a\\nb\": byte 0x0a at position 1 is not printable ASCII; expected printable ASCII of at most 10 characters",
        ),
        (
            "u",
            "p",
            "",
            ClientTimers { heartbeat_interval_ns: 0, ..timers },
            "heartbeat_interval_ns = 0 ns: expected more than 0",
        ),
        ("u", "p", "", ClientTimers { logout_wait_ns: 0, ..timers }, "logout_wait_ns = 0 ns: expected more than 0"),
        (
            "u",
            "p",
            "",
            ClientTimers { silence_limit_ns: S, ..timers },
            "silence_limit_ns = 1000000000: expected more than heartbeat_interval_ns = 1000000000",
        ),
    ];
    for (username, password, session, timers, want) in table {
        let error = ClientConfig::new(username, password, session, 1, *timers).unwrap_err();
        assert_eq!(&error.to_string(), want);
    }
}

#[test]
fn nothing_that_is_printed_holds_the_password() {
    let mut client = client("", 1);
    let printed = format!("{:?} {client:?} {:?}", config("", 1), client.poll_transmit());
    assert!(!printed.contains("secret") && printed.contains("***") && printed.contains("49 bytes"), "{printed}");
}

proptest! {
    #[test]
    fn any_bytes_keep_the_promises(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        crate::fuzz_entry::soup_client(&bytes);
    }

    #[test]
    fn a_cut_stream_is_resumed_without_loss_or_double(
        total in 1_u64..60,
        cuts in prop::collection::vec(0_u64..60, 0..10),
        overlap in 0_u64..5,
    ) {
        // A server that, at every login, starts up to `overlap` messages before the number asked for.
        let mut got = Vec::new();
        let mut config = config("SESSION", 1);
        for cut in cuts.into_iter().chain([total]) {
            let mut client = Client::new(config, Nanos(0));
            let first = client.next_sequence().saturating_sub(overlap).max(1);
            let answer = frame::login_accepted(&SessionId::new("SESSION").unwrap(), first);
            client.handle_packet(Nanos(0), b'A', &answer[frame::HEADER_BYTES..]);
            for number in first..=total.min(first + cut) {
                if let Step::Deliver { sequence, payload } = client.handle_packet(Nanos(0), b'S', &number.to_be_bytes()) {
                    prop_assert_eq!(payload, sequence.to_be_bytes());
                    got.push(sequence);
                }
            }
            config = config.resume(client.session(), client.next_sequence());
        }
        prop_assert_eq!(got, (1..=total).collect::<Vec<_>>());
    }
}
