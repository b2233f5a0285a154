use std::net::SocketAddrV4;

use wire::pcap::encode::{append_record, file_header, udp_frame};

use super::*;

fn identity(protocol: &str, dialect: &str) -> FeedIdentity {
    FeedIdentity {
        name: "f".into(),
        lane: "l".into(),
        protocol: protocol.into(),
        dialect: dialect.into(),
        client_type: "marketfeed".into(),
        addresses: Vec::new(),
        is_replay: false,
    }
}

fn soup_json(bytes: &[u8], seq: u64) -> String {
    let entry = TapEntry { kind: TapKind::Soup, line: 0, ts_recv: 5, sequence: seq, dropped: 0 };
    let event = Decoder::of_feed(&identity("soupbintcp-itch50", "")).event(&entry, bytes);
    serde_json::to_string(&event.packet).unwrap()
}

#[test]
fn packets_have_the_forms_of_the_contract() {
    let table: &[(&str, &[u8], &str)] = &[
        (
            "accepted",
            b"A000000001A                   1",
            r#"{"type":"LoginAck","packet_length":31,"session_id":"000000001A","message":"1"}"#,
        ),
        ("rejected", b"JA", r#"{"type":"LoginReject","packet_length":2,"message":"Not Authorized"}"#),
        ("heartbeat", b"H", r#"{"type":"Heartbeat","packet_length":1}"#),
        (
            "sequenced",
            b"SS\0\0\0\0\0\0\0\0\0\x01O",
            r#"{"type":"SequencedPacket","packet_length":13,"seq":9,"raw":"5300000000000000000001 4f","decoded":{"type":"S","length":12,"name":"SystemEvent","fields":{"event_code":"O","orderbook":0,"timestamp_ns":1,"tracking_number":0}}}"#,
        ),
        (
            "unknown message",
            b"U?x",
            r#"{"type":"UnSequencedPacket","packet_length":3,"raw":"3f78","decoded":{"type":"?","length":2,"fields":{"raw":"3f78"}}}"#,
        ),
        ("debug", b"+hello", r#"{"type":"DebugPacket","packet_length":6,"message":"hello","raw":"68656c6c6f"}"#),
        ("end", b"Z", r#"{"type":"EndOfSessionPacket","packet_length":1}"#),
        ("unknown", b"Xab", r#"{"type":"Unknown(X)","packet_length":3,"raw":"6162"}"#),
        ("nothing", b"", r#"{"error":"Packet too short"}"#),
    ];
    for (name, bytes, want) in table {
        let want = want.replace("0001 4f", "00014f");
        assert_eq!(soup_json(bytes, 9), want, "case {name}");
    }
}

#[test]
fn a_password_is_never_shown() {
    let json = soup_json(b"Luser01hush-hush           0                    0", 0);
    assert!(json.contains("user01") && !json.contains("hush") && !json.contains(&hex(b"hush")), "{json}");
}

fn mold(sequence: u64, count: u16, blocks: &[&[u8]]) -> Vec<u8> {
    let mut bytes = b"SESSION001".to_vec();
    bytes.extend_from_slice(&sequence.to_be_bytes());
    bytes.extend_from_slice(&count.to_be_bytes());
    for block in blocks {
        bytes.extend_from_slice(&(block.len() as u16).to_be_bytes());
        bytes.extend_from_slice(block);
    }
    bytes
}

#[test]
fn datagrams_are_taken_apart_as_far_as_they_go() {
    let decoder = Decoder::of_feed(&identity("moldudp64-itch", "nasdaq-5.0"));
    let good = decoder.datagram(&mold(7, 2, &[b"S\0\0\0\0\0\0\0\0\0\x01O", b"?"]));
    assert_eq!((good.kind.as_deref(), good.seq, good.count), (Some("MoldPacket"), Some(7), Some(2)));
    assert_eq!(good.session_id.as_deref(), Some("SESSION001"));
    assert_eq!(good.messages.iter().map(DecodedMessage::form).collect::<Vec<_>>(), ["S12", "?1"]);
    assert!(good.error.is_none());
    assert_eq!(decoder.datagram(&mold(7, 0, &[])).kind.as_deref(), Some("MoldHeartbeat"));
    assert_eq!(decoder.datagram(&mold(7, u16::MAX, &[])).kind.as_deref(), Some("MoldEndOfSession"));
    let cut = decoder.datagram(&mold(7, 3, &[b"S\0\0\0\0\0\0\0\0\0\x01O"]));
    assert_eq!(cut.messages.len(), 1);
    assert!(cut.error.unwrap().contains("message 1 of 3 is missing"));
    assert_eq!(decoder.datagram(b"short").error.as_deref(), Some("Packet too short"));
}

#[test]
fn the_longest_packets_fit_into_a_message() {
    let decoder = Decoder::of_feed(&identity("soupbintcp-itch50", ""));
    let most_messages = mold(1, 30_000, &vec![b"?".as_slice(); 21_000]);
    let longest = [b"S".as_slice(), &[0xff; 65_534]].concat();
    for (kind, bytes) in [(TapKind::Mold, most_messages), (TapKind::Soup, longest)] {
        let entry = TapEntry { kind, line: 0, ts_recv: u64::MAX, sequence: u64::MAX, dropped: 0 };
        let event = decoder.event(&entry, &bytes);
        assert!(serde_json::to_string(&event).unwrap().len() <= EVENT_BYTES_MAX);
        assert!(event.packet.cut.is_some());
    }
}

fn capture(payloads: &[Vec<u8>]) -> Vec<u8> {
    let ends: [SocketAddrV4; 2] = ["10.0.0.1:1".parse().unwrap(), "239.0.0.1:2".parse().unwrap()];
    let mut bytes = file_header();
    for payload in payloads {
        append_record(&mut bytes, 1_000_000_000, &udp_frame(ends[0], ends[1], payload));
    }
    bytes
}

fn decode(bytes: &[u8], dialect: Option<&str>, limit: u64) -> (Vec<TapEvent>, Result<TapEnd, Refusal>) {
    let mut events = Vec::new();
    let end = decode_capture(bytes, dialect, limit, &mut |event| {
        events.push(event);
        ControlFlow::Continue(())
    });
    (events, end)
}

#[test]
fn captures_name_their_dialect_or_that_they_have_none() {
    let known = capture(&[mold(1, 1, &[b"S\0\0\0\0\0\0\0\0\0\x01O"]), mold(2, 0, &[])]);
    let (events, end) = decode(&known, None, u64::MAX);
    let end = end.unwrap();
    assert_eq!((end.packets, end.dialect.as_str(), end.reason.as_str()), (2, "nasdaq-5.0", "end of file"));
    assert_eq!(events[0].ts_recv, "1000000000");
    let (events, end) = decode(&known, None, 1);
    assert_eq!((events.len(), end.unwrap().reason.as_str()), (1, "limit"));
    let foreign = capture(&[mold(1, 1, &[b"S\0\0\0\0\0\0\0\0\0\x01O"]), mold(2, 1, &[b"R12345"])]);
    let (events, end) = decode(&foreign, None, u64::MAX);
    assert_eq!((events.len(), end.unwrap().dialect.as_str()), (2, UNKNOWN_DIALECT));
    let (_, end) = decode(&known, Some("klingon"), 1);
    assert!(end.unwrap_err().to_string().contains("klingon"));
    let (_, end) = decode(b"\x1f\x8bzipped, and long enough for a header", None, 1);
    assert!(end.unwrap_err().to_string().contains("classic pcap"));
}

#[test]
fn only_regular_files_within_the_limit_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.pcap");
    std::fs::write(&path, [0; 100]).unwrap();
    assert_eq!(read_capture(&path, 100).unwrap().len(), 100);
    assert_eq!(read_capture(&path, 99).unwrap_err().code, RefusalCode::Limit);
    assert!(read_capture(dir.path(), 100).unwrap_err().to_string().contains("regular file"));
    assert_eq!(read_capture(&dir.path().join("none"), 100).unwrap_err().code, RefusalCode::NotFound);
}
