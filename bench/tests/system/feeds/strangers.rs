//! Captures of venues whose dialect nobody here speaks, taken for one that we do: every packet is read, nothing comes of
//! it but declared anomalies, and who else is fed by the engine does not notice. What the tap makes of them is tested
//! with the command socket.

use std::net::UdpSocket;

use serde_json::Value;
use shm_abi::counters::{FeedCounter, LaneCounter};
use shm_abi::layout::FeedState;
use shm_abi::record::Body;
use shm_abi::segment::{RingName, Segment};

use super::{Exchange, Running, dse, each_record, free_address, json, wait_until};
use crate::harness::{Dir, data, feed_counter, lane_counter};

/// Slots enough for a capture of some packets.
const FEW: usize = 1 << 12;

/// Captures below a folder, with what the reference says of them.
fn captures(folder: &str) -> Vec<(String, Vec<Value>)> {
    let Some(reference) = data("pcap.ref.json") else { return Vec::new() };
    let reference = json(&reference);
    let below = reference.as_object().unwrap().iter().filter(|(name, _)| name.starts_with(folder));
    below.map(|(name, facts)| (name.clone(), facts["packets"].as_array().unwrap().clone())).collect()
}

fn number(packet: &Value, key: &str) -> u64 {
    packet[key].as_u64().unwrap()
}

/// A lane for each capture, all in one engine; `name` counts them.
fn play(dir: &Dir, captures: &[(String, Vec<Value>)], dialect: &str, more: &[(String, String)]) -> Running {
    let mut feeds: Vec<(String, String)> = captures
        .iter()
        .enumerate()
        .map(|(at, (name, _))| {
            let path = data(name).unwrap().canonicalize().unwrap();
            // A capture begins in the middle of a day, and each instrument has one writer.
            let feed = format!(
                "protocol = \"moldudp64-itch\"\ndialect = \"{dialect}\"\nvenue = \"V{at}\"\n\
                 replay = {{ file = {path:?}, pace = \"max\" }}\narbiter = {{ start = \"first-seen\" }}\n"
            );
            (format!("lane{at}"), feed)
        })
        .collect();
    feeds.extend_from_slice(more);
    let running = Running::start(dir, FEW, &feeds);
    for lane in &running.lanes[..captures.len()] {
        wait_until("the end of the capture", || {
            lane.feed(0).is_some_and(|(facts, _)| facts.state == FeedState::Closed as u64)
        });
    }
    running
}

/// Messages of the packets that follow each other from the first on: only those can be put in order.
fn in_order(packets: &[Value]) -> u64 {
    let mut next = number(&packets[0], "seq");
    let follows = packets.iter().take_while(|packet| {
        let follows = number(packet, "seq") == next;
        next += number(packet, "count");
        follows
    });
    follows.map(|packet| number(packet, "count")).sum()
}

/// Every message was taken, and either did nothing that a reader could take for a market, or was declared.
fn assert_unharmed(segment: &Segment, messages: u64, name: &str) {
    let counter = |counter| lane_counter(segment, counter);
    assert_eq!(counter(LaneCounter::Received), messages, "{name}");
    assert_eq!(counter(LaneCounter::Published) + counter(LaneCounter::Rejected), messages, "{name}");
    assert_eq!((counter(LaneCounter::LiveOrders), segment.directory().count()), (0, 0), "{name}");
    for ring in [RingName::Orders, RingName::Market] {
        let mut anomalies = 0;
        each_record(segment, ring, |record| match record.body() {
            Body::Anomaly(_) => anomalies += 1,
            body @ (Body::Order { .. } | Body::Trade { .. } | Body::Quote { .. } | Body::Level { .. }) => {
                panic!("{name}: {body:?}")
            }
            _ => {}
        });
        assert_eq!(anomalies, counter(LaneCounter::Rejected), "{name}: each refusal is declared");
    }
}

#[test]
fn captures_of_an_unknown_dialect_do_no_harm() {
    let asx = captures("xstream_siblings/asx/");
    if asx.is_empty() {
        return;
    }
    for dialect in ["dse", "nasdaq-5.0"] {
        let dir = Dir::new();
        let exchange = Exchange::start(&dir, &["steady:soupbintcp,listen=127.0.0.1:0,source=market".into()], &[]);
        let steady = format!(
            "protocol = \"soupbintcp-itch\"\naddresses = [{:?}]\nusername = \"demo\"\npassword = \"demo\"\n",
            exchange.address("steady")
        );
        let running = play(&dir, &asx, dialect, &[("steady".into(), steady)]);
        let mut rejected = 0;
        for ((name, packets), lane) in asx.iter().zip(&running.lanes) {
            assert_unharmed(lane, in_order(packets), name);
            rejected += lane_counter(lane, LaneCounter::Rejected);
        }
        assert!(rejected > 10, "{rejected} messages were refused");
        let steady = running.lanes.last().unwrap();
        let before = lane_counter(steady, LaneCounter::Published);
        wait_until("the others to go on", || lane_counter(steady, LaneCounter::Published) > before);
        assert!(running.process.terminate().success());
    }
}

/// The datagrams of a file that has them one behind the other; the last one is cut short.
fn datagrams(bytes: &[u8]) -> Vec<&[u8]> {
    let mut rest = bytes;
    let mut datagrams = Vec::new();
    while rest.len() >= 20 {
        let count = u16::from_be_bytes([rest[18], rest[19]]);
        let mut at = 20;
        for _ in 0..count {
            let length = rest.get(at..at + 2).map_or(0, |length| u16::from_be_bytes([length[0], length[1]]));
            at += 2 + usize::from(length);
        }
        let (datagram, after) = rest.split_at(at.min(rest.len()));
        datagrams.push(datagram);
        rest = after;
    }
    datagrams
}

#[test]
fn datagrams_of_an_unknown_dialect_do_no_harm_either() {
    let bist = captures("xstream_siblings/bist/");
    let Some((name, packets)) = bist.first() else { return };
    let bytes = std::fs::read(data(name).unwrap()).unwrap();
    let datagrams = datagrams(&bytes);
    assert_eq!(datagrams.len(), packets.len());
    let (line, dir) = (free_address(), Dir::new());
    let feed = format!("protocol = \"moldudp64-itch\"\nlines = [{{ address = {line:?} }}]\n{}", dse::DIALECT);
    let running = Running::start(&dir, FEW, &[("bist".into(), feed)]);
    let segment = &running.lanes[0];
    let counter = |counter| feed_counter(segment, counter);
    wait_until("the line to be open", || counter(FeedCounter::Connects) == 1);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    for datagram in &datagrams {
        socket.send_to(datagram, &line).unwrap();
    }
    wait_until("the cut one to be counted", || counter(FeedCounter::MalformedPackets) == 1);
    let (_, whole) = packets.split_last().unwrap();
    let messages = in_order(whole);
    running.wait_for(messages + 1);
    assert_eq!((messages, counter(FeedCounter::SequencedPackets)), (28, whole.len() as u64));
    assert_unharmed(segment, messages, name);
    assert!(running.process.terminate().success());
}

#[test]
fn captures_of_known_dialects_hold_nothing_unknown() {
    for (folder, dialect) in [("xstream_siblings/jnx/", "jnx-1.6"), ("moldudp64_pcap/nasdaq_2023_multi/", "nasdaq-5.0")]
    {
        let files = captures(folder);
        if files.is_empty() {
            return;
        }
        let dir = Dir::new();
        let running = play(&dir, &files, dialect, &[]);
        for ((name, packets), lane) in files.iter().zip(&running.lanes) {
            assert_eq!(lane_counter(lane, LaneCounter::Received), in_order(packets), "{name}");
            let foreign = [LaneCounter::UnknownType, LaneCounter::Malformed, LaneCounter::Extended];
            assert_eq!(foreign.map(|counter| lane_counter(lane, counter)), [0; 3], "{name}");
        }
    }
}

/// Their publisher has zeroed sessions and numbers: packets that cannot be put in order are counted, and left.
#[test]
fn captures_without_numbers_are_counted_and_left() {
    let files = captures("moldudp64_pcap/nasdaq_2023/");
    if files.is_empty() {
        return;
    }
    let dir = Dir::new();
    let running = play(&dir, &files, "nasdaq-5.0", &[]);
    for ((name, packets), lane) in files.iter().zip(&running.lanes) {
        assert_eq!(feed_counter(lane, FeedCounter::OddPackets), packets.len() as u64, "{name}");
        assert_eq!(lane_counter(lane, LaneCounter::Received), 0, "{name}");
    }
}
