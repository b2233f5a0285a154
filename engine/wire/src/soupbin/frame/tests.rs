use proptest::prelude::*;

use super::*;

fn text<const N: usize>(text: &str) -> crate::soupbin::field::Text<N> {
    crate::soupbin::field::Text::new(text).unwrap()
}

/// Bytes that a real wire has carried (Japannext 2023, Nasdaq), as the protocol document lists them.
#[test]
fn packets_are_written_as_the_wire_has_them() {
    let login = login_request(&text("user"), &Password::new("password").unwrap(), &SessionId::BLANK, 0);
    let table: &[(&str, &[u8], &[u8])] = &[
        ("login request", &login, b"\x00\x2fLuser  password                               0"),
        ("login accepted", &login_accepted(&text("1689192121"), 135), b"\x00\x1fA1689192121                 135"),
        ("session padded left", &login_accepted(&text("AB"), 1), b"\x00\x1fA        AB                   1"),
        ("login rejected", &login_rejected(REJECT_NOT_AUTHORISED), b"\x00\x02JA"),
        ("server heartbeat", &SERVER_HEARTBEAT, b"\x00\x01H"),
        ("client heartbeat", &CLIENT_HEARTBEAT, b"\x00\x01R"),
        ("end of session", &END_OF_SESSION, b"\x00\x01Z"),
        ("logout request", &LOGOUT_REQUEST, b"\x00\x01O"),
    ];
    for (name, got, want) in table {
        assert_eq!(got, want, "case: {name}");
        let packet = next_packet(got).unwrap().unwrap();
        assert_eq!((packet.kind, packet.consumed), (want[2], want.len()), "case: {name}");
    }
    assert_eq!((login[1], LOGIN_REQUEST_BYTES, LOGIN_ACCEPTED_BYTES), (47, 49, 33));
}

#[test]
fn packets_are_cut_where_the_length_says() {
    type Outcome<'a> = Result<Option<Packet<'a>>, FrameError>;
    let whole = |kind, payload, consumed| Ok(Some(Packet { kind, payload, consumed }));
    let table: &[(&str, &[u8], Outcome<'_>)] = &[
        ("nothing", b"", Ok(None)),
        ("half a length", b"\0", Ok(None)),
        ("length only", b"\0\x01", Ok(None)),
        ("smallest packet", b"\0\x01H", whole(b'H', b"", 3)),
        ("type without its payload", b"\0\x03Sa", Ok(None)),
        ("payload", b"\0\x03Sab", whole(b'S', b"ab", 5)),
        ("the next packet stays", b"\0\x02Sa\0\x01H", whole(b'S', b"a", 4)),
        ("any type byte", b"\0\x01\xff", whole(0xff, b"", 3)),
        ("length 0", b"\0\0", Err(FrameError::ZeroLength)),
        ("length 0 with bytes behind it", b"\0\0S", Err(FrameError::ZeroLength)),
    ];
    for (name, bytes, want) in table {
        assert_eq!(&next_packet(bytes), want, "case: {name}");
    }
}

#[test]
fn the_largest_packet_fits_and_no_larger_one() {
    let payload = vec![0xee; PAYLOAD_MAX_BYTES + 1];
    let mut out = Vec::new();
    append(&mut out, kind::SEQUENCED, &payload[1..]).unwrap();
    assert_eq!((out.len(), PACKET_MAX_BYTES), (65_537, 65_537));
    assert_eq!(next_packet(&out[..65_536]), Ok(None));
    let packet = next_packet(&out).unwrap().unwrap();
    assert_eq!((packet.payload, packet.consumed), (&payload[1..], 65_537));

    let mut nothing = Vec::new();
    assert_eq!(append(&mut nothing, kind::SEQUENCED, &payload), Err(EncodeError::TooLong { len: 65_535 }));
    assert!(nothing.is_empty());
}

#[test]
fn two_hundred_packets_in_one_read() {
    let mut bytes = Vec::new();
    for number in 0..200_u8 {
        append(&mut bytes, kind::SEQUENCED, &vec![number; number as usize]).unwrap();
    }
    let mut at = 0;
    for number in 0..200_u8 {
        let packet = next_packet(&bytes[at..]).unwrap().unwrap();
        assert_eq!(packet.payload, vec![number; number as usize]);
        at += packet.consumed;
    }
    assert_eq!(next_packet(&bytes[at..]), Ok(None));
}

#[test]
fn login_accepted_is_parsed_or_refused() {
    let table: &[(&str, &[u8], Option<(&str, u64)>)] = &[
        ("as on the wire", b"1689192121                 135", Some(("1689192121", 135))),
        ("session padded left", b"        AB                   1", Some(("AB", 1))),
        ("padded on the wrong side", b"AB        1                   ", Some(("AB", 1))),
        ("leading zeros", b"        AB00000000000000000001", Some(("AB", 1))),
        ("above 2^53", b"        AB    9007199254740993", Some(("AB", (1 << 53) + 1))),
        ("blank number", b"        AB                    ", None),
        ("no number", b"        AB                   x", None),
        ("one byte short", b"        AB                  1", None),
        ("one byte long", b"        AB                   1 ", None),
        ("empty", b"", None),
    ];
    for (name, payload, want) in table {
        let want = want.map(|(session, sequence)| (text(session), sequence));
        assert_eq!(parse_login_accepted(payload), want, "case: {name}");
    }
}

proptest! {
    #[test]
    fn any_cuts_give_the_same_packets(
        packets in prop::collection::vec((any::<u8>(), prop::collection::vec(any::<u8>(), 0..40)), 0..20),
        pieces in prop::collection::vec(1_usize..30, 1..10),
    ) {
        let mut stream = Vec::new();
        for (kind, payload) in &packets {
            append(&mut stream, *kind, payload).unwrap();
        }
        // A receiver that keeps what is not whole, reading in pieces of its own.
        let mut pieces = pieces.iter().cycle();
        let (mut buffer, mut got, mut rest) = (Vec::new(), Vec::new(), stream.as_slice());
        while !rest.is_empty() {
            let (piece, tail) = rest.split_at(rest.len().min(*pieces.next().unwrap()));
            rest = tail;
            buffer.extend_from_slice(piece);
            while let Some(packet) = next_packet(&buffer).unwrap() {
                got.push((packet.kind, packet.payload.to_vec()));
                let consumed = packet.consumed;
                buffer.drain(..consumed);
            }
        }
        prop_assert!(buffer.is_empty());
        prop_assert_eq!(got, packets);
    }

    #[test]
    fn any_bytes_are_walked(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        crate::fuzz_entry::soup_frame(&bytes);
    }
}
