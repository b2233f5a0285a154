use proptest::prelude::*;

use super::client::{SnapshotClient, SnapshotError, SnapshotLimits, SnapshotStep};
use super::server::SnapshotServer;
use super::*;
use crate::soupbin::client::{ClientTimers, CloseReason};
use crate::soupbin::field::SessionId;
use crate::soupbin::frame::{self, FrameError, kind, next_packet};
use crate::soupbin::server::{ServerError, ServerState, ServerStep, ServerTimers};
use crate::time::{Nanos, SECOND_NS};

const ACCEPTED: &[u8] = b"   SESSION                   1";

#[test]
fn the_last_message_is_told_from_the_others() {
    let table: &[(&str, &[u8], Part)] = &[
        ("padded on the left", b"G                1234", Part::End { next: 1_234 }),
        ("padded on the right", b"G1234                ", Part::End { next: 1_234 }),
        ("padded with zeros", b"G00000000000000000007", Part::End { next: 7 }),
        ("the greatest", b"G18446744073709551615", Part::End { next: u64::MAX }),
        ("beyond the greatest", b"G18446744073709551616", Part::BadEnd),
        ("binary", b"G\0\0\0\0\0\0\x01\x02", Part::End { next: 0x102 }),
        ("zero", b"G                   0", Part::BadEnd),
        ("binary zero", b"G\0\0\0\0\0\0\0\0", Part::BadEnd),
        ("blank", b"G                    ", Part::BadEnd),
        ("cut", b"G123", Part::BadEnd),
        ("another type", b"R                1234", Part::Message),
        ("empty", b"", Part::Message),
    ];
    for (name, message, want) in table {
        assert_eq!(part(message), *want, "case: {name}");
    }
    let mut out = Vec::new();
    append_end(&mut out, EndForm::Text, 1_234);
    append_end(&mut out, EndForm::Binary, 0x102);
    assert_eq!(out, b"G                1234G\0\0\0\0\0\0\x01\x02");
}

fn client(limits: SnapshotLimits) -> SnapshotClient {
    let login = SnapshotClient::login("user", "secret", "", ClientTimers::default()).unwrap();
    SnapshotClient::new(login, limits, Nanos(0))
}

#[test]
fn a_snapshot_that_is_not_whole_is_none() {
    use SnapshotError::{BadEnd, Closed, Incomplete, TooLong};
    let limits = SnapshotLimits { max_messages: 2, ..SnapshotLimits::default() };
    let table: &[(&str, &[(u8, &[u8])], SnapshotStep<'_>)] = &[
        ("begun", &[(b'A', ACCEPTED)], SnapshotStep::Begun { session: SessionId::new("SESSION").unwrap() }),
        ("a message", &[(b'A', ACCEPTED), (b'S', b"R")], SnapshotStep::Message { number: 1, payload: b"R" }),
        ("whole", &[(b'A', ACCEPTED), (b'S', b"G                   9")], SnapshotStep::Complete { next: 9 }),
        (
            "nothing after that",
            &[(b'A', ACCEPTED), (b'S', b"G                   9"), (b'S', b"R")],
            SnapshotStep::Nothing,
        ),
        ("end after that", &[(b'A', ACCEPTED), (b'S', b"G                   9"), (b'Z', b"")], SnapshotStep::Nothing),
        ("no number", &[(b'A', ACCEPTED), (b'S', b"Gx")], SnapshotStep::Failed(BadEnd)),
        ("begins late", &[(b'A', b"   SESSION                   2")], SnapshotStep::Failed(Incomplete { sequence: 2 })),
        (
            "too long",
            &[(b'A', ACCEPTED), (b'S', b"R"), (b'S', b"R"), (b'S', b"R")],
            SnapshotStep::Failed(TooLong { limit: 2 }),
        ),
        (
            "ends early",
            &[(b'A', ACCEPTED), (b'S', b"R"), (b'Z', b"")],
            SnapshotStep::Failed(Closed(CloseReason::SessionEnded)),
        ),
        ("rejected", &[(b'J', b"A")], SnapshotStep::Failed(Closed(CloseReason::Rejected { code: b'A' }))),
        ("fails for ever", &[(b'A', ACCEPTED), (b'S', b"G"), (b'S', b"R")], SnapshotStep::Failed(BadEnd)),
    ];
    for (name, packets, want) in table {
        let mut client = client(limits);
        let last = packets
            .iter()
            .fold(SnapshotStep::Nothing, |_, (kind, payload)| client.handle_packet(Nanos(1), *kind, payload));
        assert_eq!(last, *want, "case: {name}");
    }
}

#[test]
fn a_broken_or_slow_connection_brings_no_snapshot() {
    let broken = SnapshotStep::Failed(SnapshotError::Closed(CloseReason::LineBroken));
    let mut cut = client(SnapshotLimits::default());
    cut.handle_packet(Nanos(1), b'A', ACCEPTED);
    assert_eq!((cut.handle_disconnect(Nanos(2)), cut.is_closed()), (broken, true));

    let lost = SnapshotStep::Failed(SnapshotError::Closed(CloseReason::Frame(FrameError::ZeroLength)));
    assert_eq!(client(SnapshotLimits::default()).handle_frame_error(Nanos(1), FrameError::ZeroLength), lost);

    let mut slow = client(SnapshotLimits { time_limit_ns: 2 * SECOND_NS, ..SnapshotLimits::default() });
    slow.handle_packet(Nanos(1), b'A', ACCEPTED);
    for second in 1..2 {
        assert_eq!(slow.handle_timeout(Nanos(second * SECOND_NS)), SnapshotStep::Nothing);
        slow.handle_packet(Nanos(second * SECOND_NS), b'S', b"R");
    }
    let late = SnapshotStep::Failed(SnapshotError::TooSlow { limit_ns: 2 * SECOND_NS });
    assert_eq!(slow.poll_timeout(), Some(Nanos(2 * SECOND_NS)));
    assert_eq!(slow.handle_timeout(Nanos(2 * SECOND_NS)), late);

    let mut whole = client(SnapshotLimits::default());
    whole.handle_packet(Nanos(1), b'A', ACCEPTED);
    whole.handle_packet(Nanos(2), b'S', b"G                   9");
    let sent: Vec<_> = std::iter::from_fn(|| whole.poll_transmit()).collect();
    assert_eq!(sent.last().map(AsRef::as_ref), Some(&frame::LOGOUT_REQUEST[..]));
    assert_eq!(whole.handle_disconnect(Nanos(3)), SnapshotStep::Nothing, "the client has hung up itself");
}

proptest! {
    /// What a server gives, a client takes: all messages in order, and the number, however TCP cuts the bytes.
    #[test]
    fn both_ends_agree(
        messages in prop::collection::vec(prop::collection::vec(b'H'..=b'Z', 0..50), 0..30),
        next in 1..u64::MAX,
        binary in any::<bool>(),
        cut in 1..40_usize,
    ) {
        let form = if binary { EndForm::Binary } else { EndForm::Text };
        let mut client = client(SnapshotLimits::default());
        let mut server = SnapshotServer::new(ServerTimers::default(), Nanos(0));
        let mut out = Vec::new();
        let login = client.poll_transmit().unwrap();
        let step = server.handle_packet(Nanos(0), kind::LOGIN_REQUEST, &login.as_bytes()[frame::HEADER_BYTES..]);
        prop_assert!(matches!(step, ServerStep::LoginRequested(request) if request.sequence == 1));
        server.accept(Nanos(0), &SessionId::new("SESSION").unwrap(), &mut out).unwrap();
        for message in &messages {
            server.send(Nanos(0), message, &mut out).unwrap();
        }
        server.finish(Nanos(0), form, next, &mut out).unwrap();
        let after = server.send(Nanos(0), b"R", &mut out);
        prop_assert_eq!(after, Err(ServerError::State { state: ServerState::SessionEnded }));
        prop_assert!(server.is_whole());

        let mut taken = Vec::new();
        let mut completed = None;
        let (mut start, mut end) = (0, 0);
        while end < out.len() {
            end = (end + cut).min(out.len());
            while let Some(packet) = next_packet(&out[start..end]).unwrap() {
                match client.handle_packet(Nanos(1), packet.kind, packet.payload) {
                    SnapshotStep::Message { number, payload } => {
                        prop_assert_eq!(number, taken.len() as u64 + 1);
                        taken.push(payload.to_vec());
                    }
                    SnapshotStep::Complete { next } => completed = Some(next),
                    step => prop_assert!(matches!(step, SnapshotStep::Begun { .. }), "{:?}", step),
                }
                start += packet.consumed;
            }
        }
        prop_assert_eq!(client.messages(), messages.len() as u64);
        prop_assert_eq!((taken, completed), (messages, Some(next)));
    }
}
