//! Every capture of MoldUDP64 and SoupBinTCP that there is, packet by packet against an independent decoder.
//!
//! The data is not part of this repository. `TICKLANE_DATA` names its folder; without it the tests say so and pass.

#![allow(clippy::unwrap_used, reason = "a test's helpers may fail as loudly as the test itself")]

mod captures;

use captures::{data, read, reference};
use serde_json::{Value, json};
use wire::mold;
use wire::multicast::{Body, PacketError};
use wire::pcap::{Counters, Packets, Piece, Streams, Transport};
use wire::soupbin::frame;

/// A message as the reference names it.
fn name(message: &[u8]) -> String {
    format!("{}{}", char::from(message[0]), message.len())
}

fn letters(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

/// A packet of MoldUDP64 in the reference's words.
fn described(datagram: &[u8]) -> Value {
    let packet = mold::parse(datagram).unwrap();
    let (kind, messages) = match packet.body {
        Body::Messages(blocks) => ("data", blocks.map(name).collect()),
        Body::Heartbeat => ("heartbeat", vec![]),
        Body::EndOfSession => ("end", vec![]),
    };
    let session = letters(&packet.session.0[..mold::SESSION_BYTES]);
    json!({"session": session, "seq": packet.sequence, "count": packet.count(), "kind": kind, "messages": messages})
}

#[test]
fn every_capture_of_datagrams_is_read_as_the_reference_reads_it() {
    let Some(folder) = data("every_capture_of_datagrams_is_read_as_the_reference_reads_it") else { return };
    let references = reference(&folder.join("pcap.ref.json"));
    let mut captures = 0;
    for (file, expected) in references.as_object().unwrap() {
        if !file.ends_with(".pcap") || file.starts_with("soupbintcp_pcap/") {
            continue;
        }
        captures += 1;
        let bytes = read(&folder.join(file));
        let mut packets = Packets::new(&bytes).unwrap();
        let found: Vec<Value> = packets
            .by_ref()
            .map(|packet| {
                assert_eq!((packet.transport, packet.missing_bytes), (Transport::Udp, 0), "{file}");
                let mut found = described(packet.payload);
                found["udp_dst_port"] = packet.destination.port().into();
                found
            })
            .collect();
        assert_eq!(&found, expected["packets"].as_array().unwrap(), "{file}");
        let all = Counters { datagrams: found.len() as u64, ..Counters::default() };
        assert_eq!((packets.counters(), packets.truncated()), (all, None), "{file}");
    }
    assert_eq!(captures, 15 + 8 + 5 + 21);
}

#[test]
fn every_captured_stream_is_read_as_the_reference_reads_it() {
    let Some(folder) = data("every_captured_stream_is_read_as_the_reference_reads_it") else { return };
    let references = reference(&folder.join("pcap.ref.json"));
    let mut captures = 0;
    for (file, expected) in references.as_object().unwrap() {
        if !file.starts_with("soupbintcp_pcap/") {
            continue;
        }
        captures += 1;
        let bytes = read(&folder.join(file));
        let mut streams = Streams::default();
        let found: Vec<Value> = Packets::new(&bytes)
            .unwrap()
            .map(|packet| {
                let mut stream = Vec::new();
                streams.push(&packet, |_, piece| match piece {
                    Piece::Bytes { bytes, .. } => stream.extend_from_slice(bytes),
                    other => panic!("{file}: {other:?}"),
                });
                let (mut messages, mut rest) = (Vec::new(), stream.as_slice());
                while let Some(packet) = frame::next_packet(rest).unwrap() {
                    let first = packet.payload.first().map(|byte| letters(&[*byte]));
                    let length = packet.payload.len() + 1;
                    messages.push(json!({
                        "packet": letters(&[packet.kind]), "length": length, "payload_first": first
                    }));
                    rest = &rest[packet.consumed..];
                }
                let port = packet.destination.port();
                json!({"tcp_dst_port": port, "soupbintcp": messages, "left_over_bytes": rest.len()})
            })
            .collect();
        assert_eq!(&found, expected["packets"].as_array().unwrap(), "{file}");
    }
    assert_eq!(captures, 11);
}

/// Where the packet at the start of `bytes` would end: its blocks walked by their lengths alone.
fn end_of_packet(bytes: &[u8]) -> usize {
    let be16 = |at: usize| bytes.get(at..at + 2).map_or(0, |two| usize::from(u16::from_be_bytes([two[0], two[1]])));
    (0..be16(18)).fold(mold::HEADER_BYTES, |at, _| at + 2 + be16(at))
}

/// Datagrams one after the other without a capture around them, of which the last one lost its end.
#[test]
fn a_packet_that_lost_its_end_is_refused_whole() {
    let Some(folder) = data("a_packet_that_lost_its_end_is_refused_whole") else { return };
    let file = "xstream_siblings/bist/bist_20140929.mold";
    let expected = &reference(&folder.join("pcap.ref.json"))[file]["packets"];
    let bytes = read(&folder.join(file));
    let mut rest = bytes.as_slice();
    for expected in &expected.as_array().unwrap()[..2] {
        let (packet, behind) = rest.split_at(end_of_packet(rest));
        assert_eq!(&described(packet), expected);
        rest = behind;
    }
    let last = &expected[2];
    assert_eq!((&last["truncated"], &last["short_by"]), (&json!(true), &json!(5)));
    assert_eq!(end_of_packet(rest) - rest.len(), 5);
    let Err(PacketError::Overrun { index, count, need, have }) = mold::parse(rest) else {
        panic!("a message runs over the end");
    };
    assert_eq!((index, count, need - have), (12, 13, 5));
    let whole = last["messages"].as_array().unwrap().len();
    assert_eq!(whole, usize::from(index), "the reference reads on up to the cut; a receiver takes nothing of it");
}
