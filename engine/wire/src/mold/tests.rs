use proptest::prelude::*;

use super::*;

const SESSION: SessionKey = SessionKey(*b"000008412A\0\0\0\0\0\0");

/// A packet of two messages, the second empty, as the specification draws it.
const PACKET: &[u8] = b"000008412A\0\0\0\0\0\0\x01\x02\0\x02\0\x03abc\0\0";
const HEARTBEAT: &[u8] = b"000008412A\0\0\0\0\0\0\x01\x04\0\0";
const END: &[u8] = b"000008412A\0\0\0\0\0\0\x01\x04\xff\xff";
const REQUEST: &[u8] = b"000008412A\0\0\0\0\0\0\x01\x02\x03\xe8";

#[test]
fn golden_packets_are_read() {
    let packet = parse(PACKET).unwrap();
    let Body::Messages(blocks) = packet.body else { panic!("{packet:?}") };
    assert_eq!((packet.session, packet.sequence, packet.restart), (SESSION, 0x102, false));
    assert_eq!(blocks.collect::<Vec<_>>(), [&b"abc"[..], b""]);
    assert_eq!(packet.next_sequence(), 0x104);
    for (bytes, body) in [(HEARTBEAT, Body::Heartbeat), (END, Body::EndOfSession)] {
        assert_eq!(parse(bytes), Ok(Packet { session: SESSION, sequence: 0x104, body, restart: false }));
    }
}

#[test]
fn golden_packets_are_written() {
    let mut buffer = [0; 64];
    let mut packet = PacketBuilder::new(&mut buffer, SESSION, 0x102).unwrap();
    packet.push(b"abc").unwrap();
    packet.push(b"").unwrap();
    assert_eq!((packet.count(), packet.next_sequence()), (2, 0x104));
    assert_eq!(packet.finish(), PACKET);
    assert_eq!(control_packet(SESSION, 0x104, &Body::Heartbeat).unwrap(), HEARTBEAT);
    assert_eq!(control_packet(SESSION, 0x104, &Body::EndOfSession).unwrap(), END);
    assert_eq!(PacketBuilder::new(&mut buffer, SESSION, 0x104).unwrap().finish(), HEARTBEAT);
    assert!(PacketBuilder::new(&mut buffer[..19], SESSION, 1).is_none());
}

#[test]
fn requests_are_written_and_read() {
    let request = Request { session: SESSION, sequence: 0x102, count: 1_000 };
    assert_eq!(request.to_bytes(), REQUEST);
    assert_eq!(Request::parse(REQUEST), Ok(request));
    let table: &[(&str, &[u8], RequestError)] = &[
        ("empty", b"", RequestError::Length { have: 0 }),
        ("cut", &REQUEST[..19], RequestError::Length { have: 19 }),
        ("long", &[0; 21], RequestError::Length { have: 21 }),
        ("for nothing", HEARTBEAT, RequestError::Count { count: 0 }),
        ("reserved", END, RequestError::Count { count: u16::MAX }),
    ];
    for (name, bytes, want) in table {
        assert_eq!(Request::parse(bytes), Err(*want), "case: {name}");
    }
}

#[test]
fn bad_packets_are_refused_whole() {
    use PacketError::{Overrun, Sequence, Trailing, Truncated};
    let table: &[(&str, &[u8], PacketError)] = &[
        ("empty", b"", Truncated { need: 20, have: 0 }),
        ("cut header", &PACKET[..19], Truncated { need: 20, have: 19 }),
        ("cut length", &PACKET[..26], Overrun { index: 1, count: 2, need: 2, have: 1 }),
        ("cut message", &PACKET[..24], Overrun { index: 0, count: 2, need: 5, have: 4 }),
        ("one byte more", &[PACKET, b"x"].concat(), Trailing { have: 1 }),
        ("heartbeat with data", &[HEARTBEAT, b"\0\0"].concat(), Trailing { have: 2 }),
        ("end with data", &[END, b"\0\0"].concat(), Trailing { have: 2 }),
        (
            "numbers run out",
            &[&[0; 10][..], &[0xff; 8], b"\0\x01\0\0"].concat(),
            Sequence { sequence: u64::MAX, count: 1 },
        ),
    ];
    for (name, bytes, want) in table {
        assert_eq!(parse(bytes), Err(*want), "case: {name}");
    }
}

#[test]
fn a_full_packet_is_said_to_be_full() {
    let mut buffer = [0; 30];
    let mut packet = PacketBuilder::new(&mut buffer, SESSION, 1).unwrap();
    assert_eq!(packet.push(&[7; 9]), Err(PushError::TooLong { len: 9, limit: 30 }));
    packet.push(&[7; 4]).unwrap();
    assert_eq!(packet.push(&[7; 3]), Err(PushError::Full));
    packet.push(&[7; 2]).unwrap();
    assert_eq!(packet.push(b""), Err(PushError::Full));
    assert_eq!(packet.finish().len(), 30);

    let mut buffer = vec![0; 1 << 18];
    let mut packet = PacketBuilder::new(&mut buffer, SESSION, u64::MAX - 2).unwrap();
    assert_eq!(packet.push(&[0; 65_506]), Err(PushError::TooLong { len: 65_506, limit: MAX_DATAGRAM_BYTES }));
    packet.push(b"").unwrap();
    packet.push(b"").unwrap();
    assert_eq!(packet.push(b""), Err(PushError::Full), "no number is left");
}

proptest! {
    /// Whatever the limit, a stream cut into packets is read back as it was, numbers included.
    #[test]
    fn a_stream_is_cut_and_put_together(
        messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 0..60),
        limit in 102_usize..600,
        first in 1_u64..1 << 60,
    ) {
        let mut buffer = vec![0; limit];
        let mut left = &messages[..];
        let mut sequence = first;
        let mut read = Vec::new();
        while !left.is_empty() {
            let mut builder = PacketBuilder::new(&mut buffer, SESSION, sequence).unwrap();
            let taken = left.iter().take_while(|message| builder.push(message).is_ok()).count();
            let after = builder.next_sequence();
            let bytes = builder.finish();
            prop_assert!(taken > 0 && bytes.len() <= limit);
            let packet = parse(bytes).unwrap();
            prop_assert_eq!((packet.sequence, packet.next_sequence()), (sequence, after));
            let Body::Messages(blocks) = packet.body else { panic!("{packet:?}") };
            for place in blocks.places(sequence) {
                read.push((place.sequence, bytes[place.at as usize..][..place.len as usize].to_vec()));
            }
            left = &left[taken..];
            sequence = after;
        }
        let numbered = (first..).zip(messages);
        prop_assert!(read.into_iter().eq(numbered));
    }
}
