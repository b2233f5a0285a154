use core::net::{Ipv4Addr, SocketAddrV4};

use proptest::prelude::*;

use super::encode::{append_record, file_header, tcp_frame, udp_frame};
use super::*;
use crate::fuzz_entry;

const FROM: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 1), 4_000);
const TO: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(233, 54, 12, 1), 26_477);

/// A capture of one frame in the given byte order and unit, written field by field.
fn capture(big_endian: bool, nanoseconds: bool, link: u32, frame: &[u8], wire_bytes: u32) -> Vec<u8> {
    let mut out = Vec::new();
    let mut put32 = |word: u32| out.extend(if big_endian { word.to_be_bytes() } else { word.to_le_bytes() });
    put32(if nanoseconds { 0xa1b2_3c4d } else { 0xa1b2_c3d4 });
    // Versions 2 and 4 as two halves: in the order of the file, the major one first.
    put32(if big_endian { 0x0002_0004 } else { 0x0004_0002 });
    for word in [0, 0, 65_535, link, 1_700_000_000, 123_456, frame.len() as u32, wire_bytes] {
        put32(word);
    }
    out.extend_from_slice(frame);
    out
}

fn packets(bytes: &[u8]) -> (Vec<Packet<'_>>, Counters, Option<FileError>) {
    let mut walk = Packets::new(bytes).unwrap();
    let found = walk.by_ref().collect();
    assert_eq!(walk.next(), None, "the end is final");
    (found, walk.counters(), walk.truncated())
}

#[test]
fn every_byte_order_and_unit_reads_the_same() {
    let frame = udp_frame(FROM, TO, b"hello");
    assert_eq!(frame.len(), 60, "a short frame is padded");
    for (big_endian, nanoseconds) in [(false, false), (false, true), (true, false), (true, true)] {
        let bytes = capture(big_endian, nanoseconds, 1, &frame, 60);
        let (found, counters, truncated) = packets(&bytes);
        let fraction = if nanoseconds { 123_456 } else { 123_456_000 };
        let want = Packet {
            ts_ns: 1_700_000_000_000_000_000 + fraction,
            source: FROM,
            destination: TO,
            transport: Transport::Udp,
            payload: b"hello",
            missing_bytes: 0,
        };
        assert_eq!(found, [want], "big-endian {big_endian}, nanoseconds {nanoseconds}");
        assert_eq!(counters, Counters { datagrams: 1, ..Counters::default() });
        assert_eq!(truncated, None);
    }
}

#[test]
fn what_is_no_capture_says_why() {
    let header = file_header();
    let with = |at: usize, byte: u8| {
        let mut bytes = header.clone();
        bytes[at] = byte;
        bytes
    };
    let table: &[(&str, Vec<u8>, FileError)] = &[
        ("nothing", vec![], FileError::NoHeader { have: 0 }),
        ("half a header", header[..23].to_vec(), FileError::NoHeader { have: 23 }),
        ("gzip", [b"\x1f\x8b\x08\x00", &header[4..]].concat(), FileError::Magic { got: 0x0008_8b1f }),
        ("pcapng", [b"\x0a\x0d\x0d\x0a", &header[4..]].concat(), FileError::Pcapng),
        ("another version", with(4, 3), FileError::Version { major: 3 }),
        ("another link", with(20, 105), FileError::Link { code: 105 }),
    ];
    for (name, bytes, want) in table {
        assert_eq!(Packets::new(bytes).map(|_| ()).unwrap_err(), *want, "case: {name}");
    }
    assert_eq!(packets(&header), (vec![], Counters::default(), None));
    // The upper bits of the link type tell of a check sequence behind each frame.
    assert!(Packets::new(&with(23, 0x54)).is_ok());
}

#[test]
fn a_cut_file_gives_what_came_before_the_cut() {
    let mut bytes = file_header();
    for payload in [b"one".as_slice(), b"two"] {
        append_record(&mut bytes, 1, &udp_frame(FROM, TO, payload));
    }
    let second = 24 + 16 + 60;
    for end in second + 1..bytes.len() {
        let (found, _, truncated) = packets(&bytes[..end]);
        assert_eq!(found.len(), 1);
        let need = if end < second + 16 { 16 } else { 76 };
        assert_eq!(truncated, Some(FileError::Cut { offset: second, need, have: end - second }));
    }
    assert_eq!(packets(&bytes).0.len(), 2);

    bytes[second + 8..second + 12].copy_from_slice(&u32::MAX.to_le_bytes());
    let (found, _, truncated) = packets(&bytes);
    assert_eq!(found.len(), 1);
    assert_eq!(truncated, Some(FileError::Oversized { offset: second, len: u32::MAX }));
}

/// A frame whose byte at `at` is another one.
fn patched(mut frame: Vec<u8>, patches: &[(usize, u8)]) -> Vec<u8> {
    for (at, byte) in patches {
        frame[*at] = *byte;
    }
    frame
}

/// `frame` with `tags` between its addresses and its type.
fn tagged(frame: &[u8], tags: &[u8]) -> Vec<u8> {
    [&frame[..12], tags, &frame[12..]].concat()
}

#[test]
fn frames_are_read_or_passed_over() {
    let udp = || udp_frame(FROM, TO, b"payload");
    let tcp = || tcp_frame(FROM, TO, 7, TcpFlags(0x18), b"payload");
    // 24 bytes of IP header: the words of the header say so, the total length grows, four bytes of options come in.
    let mut options = udp_frame(FROM, TO, &[b"payload".as_slice(), &[0; 40]].concat());
    options[14] = 0x46;
    options.splice(34..34, [1, 1, 1, 1]);
    options[17] += 4;
    let tags = [0x81, 0, 0, 7].repeat(VLAN_TAGS_LIMIT + 1);
    let table: &[(&str, u32, Vec<u8>, Result<usize, Skipped>)] = &[
        ("datagram", 1, udp(), Ok(7)),
        ("segment", 1, tcp(), Ok(7)),
        ("segment without payload", 1, tcp_frame(FROM, TO, 7, TcpFlags(0x10), b""), Ok(0)),
        ("one tag", 1, tagged(&udp(), &[0x81, 0, 0, 7]), Ok(7)),
        ("two tags", 1, tagged(&udp(), &[0x88, 0xa8, 0, 7, 0x81, 0, 0, 7]), Ok(7)),
        ("as many tags as may be", 1, tagged(&udp(), &tags[4..]), Ok(7)),
        ("too many tags", 1, tagged(&udp(), &tags), Err(Skipped::Malformed)),
        ("IP options", 1, options, Ok(47)),
        ("raw IP", 101, udp()[14..].to_vec(), Ok(7)),
        ("Linux cooked", 113, [&[0; 14], &udp()[12..]].concat(), Ok(7)),
        ("cooked ARP", 113, [&[0; 14], b"\x08\x06".as_slice()].concat(), Err(Skipped::NotIpv4)),
        ("no length, as before segmentation", 1, patched(udp(), &[(16, 0), (17, 0)]), Ok(7)),
        ("ARP", 1, patched(udp(), &[(13, 6)]), Err(Skipped::NotIpv4)),
        ("IPv6", 1, patched(udp(), &[(12, 0x86), (13, 0xdd)]), Err(Skipped::NotIpv4)),
        ("version 6 in an IPv4 frame", 1, patched(udp(), &[(14, 0x65)]), Err(Skipped::NotIpv4)),
        ("short IP header", 1, patched(udp(), &[(14, 0x44)]), Err(Skipped::Malformed)),
        ("total below its header", 1, patched(udp(), &[(17, 19)]), Err(Skipped::Malformed)),
        ("first fragment", 1, patched(udp(), &[(20, 0x20)]), Err(Skipped::Fragment)),
        ("later fragment", 1, patched(udp(), &[(21, 1)]), Err(Skipped::Fragment)),
        ("IGMP", 1, patched(udp(), &[(23, 2)]), Err(Skipped::OtherTransport { protocol: 2 })),
        ("UDP length below its header", 1, patched(udp(), &[(39, 7)]), Err(Skipped::Malformed)),
        ("UDP length over its packet's", 1, patched(udp(), &[(39, 16)]), Err(Skipped::Malformed)),
        ("UDP length within its packet's", 1, patched(udp(), &[(39, 11)]), Ok(3)),
        ("TCP header below its least", 1, patched(tcp(), &[(46, 4 << 4)]), Err(Skipped::Malformed)),
        ("TCP header over its packet", 1, patched(tcp(), &[(46, 15 << 4)]), Err(Skipped::Malformed)),
        ("ends in the link header", 1, udp()[..13].to_vec(), Err(Skipped::Malformed)),
        ("ends in the IP header", 1, udp()[..33].to_vec(), Err(Skipped::Malformed)),
        ("ends in the UDP header", 1, udp()[..41].to_vec(), Err(Skipped::Malformed)),
        ("whole and yet too short", 1, udp()[..45].to_vec(), Err(Skipped::Malformed)),
        ("nothing", 1, vec![], Err(Skipped::Malformed)),
    ];
    for (name, link, frame, want) in table {
        let bytes = capture(false, true, *link, frame, frame.len() as u32);
        let record = Records::new(&bytes).unwrap().next().unwrap().unwrap();
        let got = parse_frame(Records::new(&bytes).unwrap().link_type(), &record);
        assert_eq!(got.map(|packet| packet.payload.len()), *want, "case: {name}");
        let (found, counters, _) = packets(&bytes);
        assert_eq!(found.len(), usize::from(want.is_ok()), "case: {name}");
        assert_eq!(counters.records(), 1, "case: {name}");
    }
}

#[test]
fn a_frame_kept_in_part_says_what_is_missing() {
    let frame = udp_frame(FROM, TO, &[7; 100]);
    let bytes = capture(false, true, 1, &frame[..64], frame.len() as u32);
    let (found, counters, _) = packets(&bytes);
    assert_eq!((found[0].payload.len(), found[0].missing_bytes), (22, 78));
    assert_eq!((counters.datagrams, counters.cut_short), (1, 1));
}

/// What streams gave, as one line per piece.
fn told(segments: &[(u32, u8, &[u8])], limits: StreamLimits) -> (Vec<String>, StreamCounters) {
    let mut streams = Streams::new(limits);
    let mut told = Vec::new();
    let mut tell = |stream: StreamId, piece: Piece<'_>| {
        told.push(match piece {
            Piece::Bytes { bytes, .. } => format!("{}:{}", stream.0, bytes.escape_ascii()),
            Piece::Lost { bytes } => format!("{}:lost {bytes}", stream.0),
            Piece::Ended => format!("{}:end", stream.0),
        });
    };
    for (sequence, flags, payload) in segments {
        let mut bytes = file_header();
        append_record(&mut bytes, 0, &tcp_frame(FROM, TO, *sequence, TcpFlags(*flags), payload));
        streams.push(&Packets::new(&bytes).unwrap().next().unwrap(), &mut tell);
    }
    streams.finish(&mut tell);
    assert_eq!(streams.ends(StreamId(0)), Some((FROM, TO)));
    (told, streams.counters())
}

#[test]
fn segments_come_in_order() {
    const SYN: u8 = 2;
    const FIN: u8 = 1;
    const RST: u8 = 4;
    const ACK: u8 = 16;
    let table: &[(&str, &[(u32, u8, &[u8])], &[&str])] = &[
        ("joined in the middle", &[(90, ACK, b"ab"), (92, ACK, b"c")], &["0:ab", "0:c"]),
        ("from the start", &[(9, SYN, b""), (10, ACK, b"ab"), (12, FIN, b"")], &["0:ab", "0:end"]),
        ("swapped", &[(9, SYN, b""), (12, ACK, b"c"), (10, ACK, b"ab")], &["0:ab", "0:c"]),
        ("three swapped", &[(1, 0, b"a"), (4, 0, b"d"), (3, 0, b"c"), (2, 0, b"b")], &["0:a", "0:b", "0:c", "0:d"]),
        ("sent again", &[(1, 0, b"ab"), (1, 0, b"ab"), (3, 0, b"c")], &["0:ab", "0:c"]),
        ("sent again with more", &[(1, 0, b"ab"), (1, 0, b"abc"), (2, 0, b"bcd")], &["0:ab", "0:c", "0:d"]),
        ("held and then covered", &[(1, 0, b"a"), (3, 0, b"c"), (2, 0, b"bcd")], &["0:a", "0:bcd"]),
        ("never came", &[(1, 0, b"a"), (4, 0, b"d"), (5, 0, b"e")], &["0:a", "0:lost 2", "0:d", "0:e"]),
        ("numbers wrap", &[(u32::MAX, 0, b"ab"), (1, 0, b"c")], &["0:ab", "0:c"]),
        ("early over the wrap", &[(u32::MAX, 0, b"a"), (1, 0, b"c"), (0, 0, b"b")], &["0:a", "0:b", "0:c"]),
        ("bare acknowledgement ahead", &[(1, 0, b"a"), (9, ACK, b"")], &["0:a"]),
        ("early end waits", &[(1, 0, b"a"), (3, FIN, b"c"), (2, 0, b"b")], &["0:a", "0:b", "0:c", "0:end"]),
        ("after the end", &[(1, FIN, b"a"), (2, 0, b"b"), (3, ACK, b"")], &["0:a", "0:end"]),
        ("reset", &[(1, 0, b"a"), (2, RST, b""), (2, 0, b"x")], &["0:a", "0:end"]),
        ("reset with a hole", &[(1, 0, b"a"), (3, 0, b"c"), (2, RST, b"")], &["0:a", "0:lost 1", "0:c", "0:end"]),
        ("a new connection", &[(9, SYN, b""), (10, 0, b"a"), (70, SYN, b""), (71, 0, b"b")], &["0:a", "0:end", "0:b"]),
        ("a SYN sent again", &[(9, SYN, b""), (10, 0, b"a"), (9, SYN, b""), (11, 0, b"b")], &["0:a", "0:b"]),
        (
            "again after the end",
            &[(9, SYN, b""), (10, FIN, b"a"), (70, SYN, b""), (71, 0, b"b")],
            &["0:a", "0:end", "0:b"],
        ),
    ];
    for (name, segments, want) in table {
        assert_eq!(told(segments, StreamLimits::default()).0, *want, "case: {name}");
    }
}

#[test]
fn what_is_held_is_bounded() {
    let segments: Vec<_> = (0..20).map(|i| (10 + 2 * i, 0, b"x".as_slice())).collect();
    let few = StreamLimits { max_held_segments: 3, ..StreamLimits::default() };
    let (pieces, counters) = told(&segments, few);
    assert_eq!(&pieces[..3], ["0:x", "0:lost 1", "0:x"]);
    assert_eq!((counters.segments, counters.early, counters.lost_bytes), (20, 19, 19));

    let small = StreamLimits { max_held_bytes: 2, ..StreamLimits::default() };
    assert_eq!(told(&segments, small).1.lost_bytes, 19);

    let none = StreamLimits { max_streams: 0, ..StreamLimits::default() };
    let mut bytes = file_header();
    append_record(&mut bytes, 0, &tcp_frame(FROM, TO, 1, TcpFlags(0), b"x"));
    let mut streams = Streams::new(none);
    streams.push(&Packets::new(&bytes).unwrap().next().unwrap(), |_, _| panic!("no stream is kept"));
    assert_eq!((streams.counters().refused, streams.len()), (1, 0));
}

#[test]
fn a_segment_kept_in_part_loses_the_rest() {
    let frame = tcp_frame(FROM, TO, 1, TcpFlags(0), &[b'x'; 50]);
    let bytes = capture(false, true, 1, &frame[..64], frame.len() as u32);
    let packet = Packets::new(&bytes).unwrap().next().unwrap();
    let mut pieces = Vec::new();
    Streams::default().push(&packet, |_, piece| pieces.push(format!("{piece:?}")));
    assert_eq!(
        pieces,
        [
            "Bytes { ts_ns: 1700000000000123456, bytes: [120, 120, 120, 120, 120, 120, 120, 120, 120, 120] }",
            "Lost { bytes: 40 }"
        ]
    );
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        payloads in prop::collection::vec((any::<u64>(), prop::collection::vec(any::<u8>(), 0..200)), 0..20),
    ) {
        let mut bytes = file_header();
        for (ts, payload) in &payloads {
            append_record(&mut bytes, ts % (1 << 61), &udp_frame(FROM, TO, payload));
        }
        let (found, counters, truncated) = packets(&bytes);
        let found: Vec<_> = found.iter().map(|packet| (packet.ts_ns, packet.payload.to_vec())).collect();
        let want: Vec<_> = payloads.into_iter().map(|(ts, payload)| (ts % (1 << 61), payload)).collect();
        prop_assert_eq!(counters.datagrams, want.len() as u64);
        prop_assert_eq!(found, want);
        prop_assert_eq!(truncated, None);
    }

    /// A stream cut into segments, some doubled, and delivered out of order within what may be held, reads as it was.
    #[test]
    fn a_shuffled_stream_is_whole(
        text in prop::collection::vec(any::<u8>(), 1..400),
        cuts in prop::collection::vec(1_usize..30, 1..40),
        keys in prop::collection::vec(any::<u32>(), 500),
        start in any::<u32>(),
    ) {
        let mut segments = vec![];
        let mut at = 0;
        let mut cuts = cuts.iter().cycle();
        while at < text.len() {
            let end = text.len().min(at + cuts.next().unwrap());
            segments.push((at, end));
            at = end;
        }
        let mut shuffled: Vec<_> = segments.iter().chain(segments.iter().step_by(3)).zip(&keys).collect();
        shuffled.sort_by_key(|(_, key)| **key);
        let mut streams = Streams::new(StreamLimits { max_held_segments: 600, ..StreamLimits::default() });
        let mut read = vec![];
        let mut push = |sequence: u32, flags: u8, payload: &[u8]| {
            let mut bytes = file_header();
            append_record(&mut bytes, 0, &tcp_frame(FROM, TO, sequence, TcpFlags(flags), payload));
            streams.push(&Packets::new(&bytes).unwrap().next().unwrap(), |_, piece| match piece {
                Piece::Bytes { bytes, .. } => read.extend_from_slice(bytes),
                other => panic!("{other:?}"),
            });
        };
        push(start.wrapping_sub(1), 2, b"");
        for ((from, to), _) in shuffled {
            push(start.wrapping_add(*from as u32), 0, &text[*from..*to]);
        }
        prop_assert_eq!(read, text);
    }

    #[test]
    fn any_bytes_are_walked(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        fuzz_entry::pcap_file(&bytes);
    }
}
