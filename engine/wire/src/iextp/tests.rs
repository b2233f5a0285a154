use proptest::prelude::*;

use super::*;
use crate::fuzz_entry;
use crate::multicast::RecoveryRequest;

/// A packet of DEEP 1.0 with two messages, byte by byte in the document's layout.
const PACKET: &[u8] = b"\x01\x00\x04\x80\x01\x00\x00\x00\x00\x00\x80\x43\x0a\x00\x02\x00\
    \x10\x27\x00\x00\x00\x00\x00\x00\x05\x00\x00\x00\x00\x00\x00\x00\x8e\x16\xd3\x5b\x36\xa2\xb9\x14\
    \x02\x00Ab\x04\x00wxyz";

fn patched(at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut packet = PACKET.to_vec();
    packet[at..at + bytes.len()].copy_from_slice(bytes);
    packet
}

#[test]
fn a_packet_is_read_field_by_field() {
    let header = Header::parse(PACKET).unwrap();
    assert_eq!((header.version, header.message_protocol.get()), (1, 0x8004));
    assert_eq!((header.channel.get(), header.session.get()), (1, 1_132_462_080));
    assert_eq!((header.payload_len.get(), header.message_count.get()), (10, 2));
    assert_eq!((header.stream_offset.get(), header.first_sequence.get()), (10_000, 5));
    assert_eq!(header.send_time.get(), 0x14b9_a236_5bd3_168e);
    let packet = parse(PACKET, Protocol::Deep).unwrap();
    assert_eq!((packet.sequence, packet.next_sequence(), packet.restart), (5, 7, false));
    assert_eq!(packet.session.to_string(), "0000000143800000");
    assert_eq!(channel_and_session(packet.session), Some((1, 1_132_462_080)));
    let Body::Messages(blocks) = packet.body else { panic!("{packet:?}") };
    assert_eq!(blocks.collect::<Vec<_>>(), [b"Ab".as_slice(), b"wxyz"]);
    // The same packet in the middle of a buffer: offsets count in the buffer.
    let buffer = [b"before".as_slice(), PACKET, b"behind"].concat();
    let packet = parse_at(&buffer, 6..6 + PACKET.len(), Protocol::Deep).unwrap();
    let Body::Messages(blocks) = packet.body else { panic!("{packet:?}") };
    let places: Vec<_> = blocks.places(5).map(|place| (place.sequence, place.at, place.len)).collect();
    assert_eq!(places, [(5, 48, 2), (6, 52, 4)]);
}

#[test]
fn what_is_no_packet_says_why() {
    let overrun = |index, need, have| PacketError::Overrun { index, count: 2, need, have };
    let table: &[(&str, Vec<u8>, PacketError)] = &[
        ("nothing", vec![], PacketError::Truncated { need: 40, have: 0 }),
        ("half a header", PACKET[..39].to_vec(), PacketError::Truncated { need: 40, have: 39 }),
        ("version", patched(0, &[2]), PacketError::Header { field: "version", want: 1, got: 2 }),
        ("TOPS", patched(2, &[3]), PacketError::Header { field: "message protocol", want: 0x8004, got: 0x8003 }),
        ("cut", PACKET[..49].to_vec(), PacketError::Truncated { need: 50, have: 49 }),
        ("longer than it says", [PACKET, b"x"].concat(), PacketError::Trailing { have: 1 }),
        ("one message too many", patched(14, &[3]), PacketError::Overrun { index: 2, count: 3, need: 2, have: 0 }),
        ("one message too few", patched(14, &[1]), PacketError::Trailing { have: 6 }),
        ("heartbeat with a payload", patched(14, &[0]), PacketError::Trailing { have: 10 }),
        ("block over the end", patched(44, &[5]), overrun(1, 7, 6)),
        ("huge block", patched(40, &[0xff, 0xff]), overrun(0, 65_537, 10)),
        ("numbers overflow", patched(24, &[0xff; 8]), PacketError::Sequence { sequence: u64::MAX, count: 2 }),
    ];
    for (name, bytes, want) in table {
        assert_eq!(parse(bytes, Protocol::Deep), Err(*want), "case: {name}");
    }
    assert_eq!(parse_at(PACKET, 20..60, Protocol::Deep), Err(PacketError::Truncated { need: 40, have: 0 }));
}

#[test]
fn heartbeats_and_restarts() {
    let heartbeat = segment(Protocol::Tops, (1, 2), 500, 9, &[]);
    let packet = parse(&heartbeat, Protocol::Tops).unwrap();
    assert_eq!((packet.sequence, packet.body, packet.restart), (9, Body::Heartbeat, false));
    let first = segment(Protocol::Tops, (1, 2), 0, 1, &[b"x"]);
    assert!(parse(&first, Protocol::Tops).unwrap().restart, "offset 0 opens a stream");
}

#[test]
fn a_request_is_written_as_the_document_has_it() {
    let wanted = RecoveryRequest { session: session_key(7, 0x4380_0000), first: 5, count: 3, server: 0 };
    let request = GapFill::of(&wanted, Protocol::Deep).unwrap();
    let bytes = request.to_bytes();
    let golden = b"\x01\x01\x04\x80\x07\x00\x00\x00\x00\x00\x80\x43\x01\x00\x00\x00\
        \x05\x00\x00\x00\x00\x00\x00\x00\x07\x00\x00\x00\x00\x00\x00\x00";
    assert_eq!(bytes, golden);
    assert_eq!(GapFill::parse(&bytes), Ok(request.clone()));

    let test = GapFill { ranges: vec![], ..request.clone() };
    assert_eq!(GapFill::parse(&test.to_bytes()), Ok(test), "no ranges: is anybody there?");
    let many = GapFill { ranges: vec![(1, 2); RANGES_MAX + 5], ..request };
    assert_eq!(GapFill::parse(&many.to_bytes()).unwrap().ranges.len(), RANGES_MAX);
    assert!(many.to_bytes().len() <= 1_472);

    let long = RecoveryRequest { count: u16::MAX, ..wanted };
    assert_eq!(GapFill::of(&long, Protocol::Deep).unwrap().ranges, [(5, 1_004)]);
    let foreign = RecoveryRequest { session: SessionKey::padded(b"000010059B"), ..wanted };
    assert_eq!(GapFill::of(&foreign, Protocol::Deep), None, "a session of MoldUDP64");

    let table: &[(&str, Vec<u8>, RequestError)] = &[
        ("short", golden[..15].to_vec(), RequestError::Length { ranges: 0, have: 15 }),
        ("cut range", golden[..31].to_vec(), RequestError::Length { ranges: 1, have: 31 }),
        ("version", [b"\x02", &golden[1..]].concat(), RequestError::Header { version: 2, kind: 1 }),
        ("kind", [b"\x01\x03", &golden[2..]].concat(), RequestError::Header { version: 1, kind: 3 }),
        ("too many", [&golden[..12], b"\xff\xff\xff\xff"].concat(), RequestError::TooMany { ranges: u32::MAX }),
        ("backwards", [&golden[..16], b"\x08", &golden[17..]].concat(), RequestError::Range { first: 8, last: 7 }),
    ];
    for (name, bytes, want) in table {
        assert_eq!(GapFill::parse(bytes), Err(*want), "case: {name}");
    }
}

proptest! {
    #[test]
    fn session_names_round_trip(channel in any::<u32>(), session in any::<u32>(), noise in any::<[u8; 16]>()) {
        prop_assert_eq!(channel_and_session(session_key(channel, session)), Some((channel, session)));
        if let Some((channel, session)) = channel_and_session(SessionKey(noise)) {
            prop_assert_eq!(session_key(channel, session), SessionKey(noise));
        }
    }

    #[test]
    fn what_is_written_is_read(
        messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..20),
        offset in any::<u64>(),
        sequence in 0..u64::MAX - 20,
        stream in any::<(u32, u32)>(),
    ) {
        let views: Vec<&[u8]> = messages.iter().map(Vec::as_slice).collect();
        let bytes = segment(Protocol::Tops, stream, offset, sequence, &views);
        let packet = parse(&bytes, Protocol::Tops).unwrap();
        prop_assert_eq!(channel_and_session(packet.session), Some(stream));
        prop_assert_eq!((packet.sequence, packet.restart), (sequence, offset == 0));
        match packet.body {
            Body::Messages(blocks) => prop_assert_eq!(blocks.collect::<Vec<_>>(), views),
            other => prop_assert!(views.is_empty() && other == Body::Heartbeat),
        }
    }

    #[test]
    fn any_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
        fuzz_entry::iextp(&bytes);
    }
}
