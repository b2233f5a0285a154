use proptest::prelude::*;

use super::*;

const S: u64 = SECOND_NS;
const LOGIN: &[u8] = b"user  password                               0";

fn session() -> SessionId {
    SessionId::new("1689192121").unwrap()
}

fn server() -> Server {
    Server::new(ServerTimers::default(), Nanos(0))
}

fn deciding() -> Server {
    let mut server = server();
    assert!(matches!(server.handle_packet(Nanos(0), b'L', LOGIN), ServerStep::LoginRequested(_)));
    server
}

fn streaming(sequence: u64) -> Server {
    let mut server = deciding();
    server.accept(Nanos(0), &session(), sequence, &mut Vec::new()).unwrap();
    server
}

#[test]
fn login_requests_are_parsed_or_refused() {
    let table: &[(&str, &[u8], Option<(&str, &str, u64)>)] = &[
        ("as on the wire", LOGIN, Some(("user", "", 0))),
        ("resume", b"user  password  ABC                         42", Some(("user", "ABC", 42))),
        ("padded on the wrong side", b"  user  password       ABC42                  ", Some(("user", "ABC", 42))),
        ("blank sequence", b"user  password                                ", Some(("user", "", 0))),
        ("largest sequence", b"user  password            18446744073709551615", Some(("user", "", u64::MAX))),
        ("sequence with a letter", b"user  password                              1x", None),
        ("one byte short", &LOGIN[1..], None),
        ("one byte long", b"user  password                               0 ", None),
        ("empty", b"", None),
    ];
    for (name, payload, want) in table {
        let want = match want {
            Some((username, session, sequence)) => ServerStep::LoginRequested(LoginRequest {
                username: Username::new(username).unwrap(),
                password: Password::new("password").unwrap(),
                session: SessionId::new(session).unwrap(),
                sequence: *sequence,
            }),
            None => ServerStep::Close(ServerClose::Malformed { kind: b'L', payload_len: payload.len() }),
        };
        assert_eq!(server().handle_packet(Nanos(1), b'L', payload), want, "case: {name}");
    }
}

#[test]
fn packets_and_states() {
    use ServerState::{AwaitingLogin, Deciding, SessionEnded, Streaming};
    let protocol = |kind, state| ServerStep::Close(ServerClose::Protocol { kind, state });
    let ended = || {
        let mut server = streaming(1);
        server.end_of_session(Nanos(0), &mut Vec::new()).unwrap();
        server
    };
    let table = [
        ("heartbeat before login", server(), b'R', ServerStep::Heartbeat),
        ("debug before login", server(), b'+', ServerStep::Debug { payload: b"x" }),
        ("logout before login", server(), b'O', ServerStep::Logout),
        ("unsequenced before login", server(), b'U', protocol(b'U', AwaitingLogin)),
        ("a server's packet", server(), b'H', protocol(b'H', AwaitingLogin)),
        ("impatient login", deciding(), b'L', protocol(b'L', Deciding)),
        ("heartbeat while deciding", deciding(), b'R', ServerStep::Heartbeat),
        ("unsequenced while deciding", deciding(), b'U', protocol(b'U', Deciding)),
        ("heartbeat", streaming(1), b'R', ServerStep::Heartbeat),
        ("unsequenced", streaming(1), b'U', ServerStep::Unsequenced { payload: b"x" }),
        ("debug", streaming(1), b'+', ServerStep::Debug { payload: b"x" }),
        ("logout", streaming(1), b'O', ServerStep::Logout),
        ("login twice", streaming(1), b'L', protocol(b'L', Streaming)),
        ("sequenced from a client", streaming(1), b'S', protocol(b'S', Streaming)),
        ("unsequenced after the end", ended(), b'U', ServerStep::Unsequenced { payload: b"x" }),
        ("logout after the end", ended(), b'O', ServerStep::Logout),
        ("login after the end", ended(), b'L', protocol(b'L', SessionEnded)),
    ];
    for (name, mut server, kind, want) in table {
        assert_eq!(server.handle_packet(Nanos(1), kind, b"x"), want, "case: {name}");
        let closed = matches!(want, ServerStep::Close(_) | ServerStep::Logout);
        assert_eq!(server.state() == ServerState::Closed, closed, "case: {name}");
    }
}

#[test]
fn what_is_written_is_what_the_wire_has() {
    let mut out = Vec::new();
    let mut server = deciding();
    server.accept(Nanos(0), &session(), 135, &mut out).unwrap();
    assert_eq!(server.send_sequenced(Nanos(0), b"abc", &mut out), Ok(135));
    server.send_unsequenced(Nanos(0), b"u", &mut out).unwrap();
    assert_eq!(server.send_sequenced(Nanos(0), b"", &mut out), Ok(136));
    server.end_of_session(Nanos(0), &mut out).unwrap();
    let want = b"\x00\x1fA1689192121                 135\x00\x04Sabc\x00\x02Uu\x00\x01S\x00\x01Z";
    assert_eq!(out.escape_ascii().to_string(), want.escape_ascii().to_string());
    assert_eq!(server.next_sequence(), 137);

    let mut out = Vec::new();
    let mut refusing = deciding();
    refusing.reject(frame::REJECT_NO_SESSION, &mut out).unwrap();
    assert_eq!(out, b"\x00\x02JS");
    assert_eq!(refusing.handle_packet(Nanos(1), b'R', b""), ServerStep::Close(ServerClose::Rejected { code: b'S' }));
}

#[test]
fn calls_out_of_place_write_nothing() {
    let mut out = Vec::new();
    let wrong = |state| Err(ServerError::State { state });
    assert_eq!(server().accept(Nanos(0), &session(), 1, &mut out), wrong(ServerState::AwaitingLogin));
    assert_eq!(server().reject(b'A', &mut out), wrong(ServerState::AwaitingLogin));
    assert_eq!(streaming(1).accept(Nanos(0), &session(), 1, &mut out), wrong(ServerState::Streaming));
    assert_eq!(deciding().end_of_session(Nanos(0), &mut out), wrong(ServerState::Deciding));
    assert_eq!(deciding().send_unsequenced(Nanos(0), b"", &mut out), wrong(ServerState::Deciding));
    let early = server().send_sequenced(Nanos(0), b"", &mut out);
    assert_eq!(early, Err(ServerError::State { state: ServerState::AwaitingLogin }));

    let mut server = streaming(5);
    let long = vec![0; frame::PAYLOAD_MAX_BYTES + 1];
    let refused = server.send_sequenced(Nanos(0), &long, &mut out);
    assert_eq!(refused, Err(ServerError::Encode(EncodeError::TooLong { len: long.len() })));
    assert!(out.is_empty());
    assert_eq!(server.send_sequenced(Nanos(0), b"", &mut out), Ok(5), "the number was not used up");
}

#[test]
fn a_silent_server_sends_a_heartbeat_a_second() {
    let mut out = Vec::new();
    let mut server = streaming(1);
    assert_eq!(server.poll_timeout(), Some(Nanos(S)));
    server.handle_timeout(Nanos(S - 1), &mut out);
    assert!(out.is_empty());
    server.handle_timeout(Nanos(S), &mut out);
    assert_eq!(out, b"\x00\x01H");
    assert_eq!(server.poll_timeout(), Some(Nanos(2 * S)));

    // Data is as good as a heartbeat.
    out.clear();
    server.send_sequenced(Nanos(2 * S - 1), b"", &mut out).unwrap();
    out.clear();
    server.handle_timeout(Nanos(2 * S), &mut out);
    assert!(out.is_empty());
    assert_eq!(server.poll_timeout(), Some(Nanos(3 * S - 1)));
}

#[test]
fn late_clients_are_given_up() {
    let mut out = Vec::new();
    let mut silent = server();
    assert_eq!(silent.poll_timeout(), Some(Nanos(30 * S)));
    // Life is not a login.
    silent.handle_packet(Nanos(29 * S), b'R', b"");
    assert_eq!(silent.handle_timeout(Nanos(30 * S - 1), &mut out), ServerStep::Nothing);
    let late = ServerStep::Close(ServerClose::LoginTimeout { limit_ns: 30 * S });
    assert_eq!(silent.handle_timeout(Nanos(30 * S), &mut out), late);
    assert_eq!(silent.poll_timeout(), None);

    let mut dead = streaming(1);
    dead.handle_bytes_received(Nanos(S));
    assert_eq!(dead.handle_timeout(Nanos(16 * S - 1), &mut out), ServerStep::Nothing);
    let silence = ServerStep::Close(ServerClose::Silence { limit_ns: 15 * S });
    assert_eq!(dead.handle_timeout(Nanos(16 * S), &mut out), silence);

    let mut lost = streaming(1);
    let frame = ServerStep::Close(ServerClose::Frame(FrameError::ZeroLength));
    assert_eq!(lost.handle_frame_error(FrameError::ZeroLength), frame);
    assert_eq!(deciding().poll_timeout(), None, "the caller is what everyone waits for");
}

/// Both ends together, with nothing between them but bytes.
#[test]
fn client_and_server_meet() {
    use crate::soupbin::client::{Client, ClientConfig, ClientTimers, CloseReason, Step};
    let config = ClientConfig::new("user", "password", "", 1, ClientTimers::default()).unwrap();
    let mut client = Client::new(config, Nanos(0));
    let mut server = server();
    let mut out = Vec::new();

    let login = client.poll_transmit().unwrap();
    let packet = frame::next_packet(login.as_bytes()).unwrap().unwrap();
    let ServerStep::LoginRequested(request) = server.handle_packet(Nanos(0), packet.kind, packet.payload) else {
        panic!("a login is a login");
    };
    assert!(request.username.eq_ignore_case(&Username::new("USER").unwrap()));
    server.accept(Nanos(0), &session(), request.sequence, &mut out).unwrap();
    for message in [b"one".as_slice(), b"two"] {
        server.send_sequenced(Nanos(0), message, &mut out).unwrap();
    }

    let mut rest = out.as_slice();
    let mut delivered = Vec::new();
    while let Some(packet) = frame::next_packet(rest).unwrap() {
        rest = &rest[packet.consumed..];
        if let Step::Deliver { sequence, payload } = client.handle_packet(Nanos(1), packet.kind, packet.payload) {
            delivered.push((sequence, payload));
        }
    }
    assert_eq!(delivered, [(1, b"one".as_slice()), (2, b"two")]);

    client.request_logout(Nanos(2));
    let logout = client.poll_transmit().unwrap();
    let packet = frame::next_packet(logout.as_bytes()).unwrap().unwrap();
    assert_eq!(server.handle_packet(Nanos(2), packet.kind, packet.payload), ServerStep::Logout);
    assert_eq!(client.handle_disconnect(), CloseReason::LoggedOut);
}

#[test]
fn nothing_that_is_printed_holds_the_password() {
    let printed = format!("{:?}", server().handle_packet(Nanos(0), b'L', LOGIN));
    assert!(!printed.contains("\"password\"") && printed.contains("***"), "{printed}");
}

proptest! {
    #[test]
    fn any_bytes_keep_the_promises(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        crate::fuzz_entry::soup_server(&bytes);
    }
}
