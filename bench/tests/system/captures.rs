//! Feeds from captures: the same code that a network feeds, with the recorded times for a clock.

use std::net::SocketAddrV4;
use std::path::Path;

use shm_abi::counters::{FeedCounter, LaneCounter};
use shm_abi::layout::FeedState;
use shm_abi::segment::Segment;
use wire::pcap::{TcpFlags, encode};
use wire::soupbin::frame;

use crate::bus::{assert_same, record};
use crate::harness::{Dir, data, feed_counter, lane_counter, wait_until};
use crate::multicast::{Day, day, start_engine, undisturbed, write_config};
use crate::start_up::{assert_refused, bounded};

const SECOND_NS: u64 = 1_000_000_000;
/// When the captures of these tests begin: in the afternoon of 2020-01-30.
const BEGAN_NS: u64 = 1_580_400_000 * SECOND_NS;

fn address(text: &str) -> SocketAddrV4 {
    text.parse().unwrap()
}

fn ended(segment: &Segment) -> bool {
    segment
        .feed(0)
        .is_some_and(|(facts, _)| [FeedState::Closed as u64, FeedState::EndOfSession as u64].contains(&facts.state))
}

/// Plays a capture whole.
fn play(dir: &Dir, path: &Path, feed: &str) -> (crate::harness::Process, Segment) {
    let (engine, segment) = start_engine(dir, &format!("replay = {{ file = {path:?}, pace = \"max\" }}\n{feed}"));
    wait_until("the end of the capture", || ended(&segment));
    (engine, segment)
}

/// Both lines of a day, each without some datagrams, a third of a millisecond apart.
fn two_lines(day: &Day) -> Vec<u8> {
    let source = address("10.0.0.1:5000");
    let lines = [address("239.1.1.1:26477"), address("239.1.1.2:26477")];
    let mut capture = encode::file_header();
    let mut ts_ns = BEGAN_NS;
    for (index, (_, packet)) in day.packets.iter().enumerate() {
        for (line, destination) in lines.into_iter().enumerate() {
            ts_ns += 300_000;
            if index % 4 != 2 * line {
                encode::append_record(&mut capture, ts_ns, &encode::udp_frame(source, destination, packet));
            }
        }
    }
    capture
}

#[test]
fn both_lines_of_a_capture_make_one_feed() {
    let day = day(10_000, 51);
    let files = Dir::new();
    let path = files.path("lines.pcap");
    let mut capture = two_lines(&day);
    // Whoever recorded it was stopped in the middle of a packet.
    let whole = capture.len();
    capture.extend_from_slice(&[0; 9]);
    std::fs::write(&path, &capture).unwrap();
    let feed = "protocol = \"moldudp64-itch\"\n\
                lines = [{ address = \"239.1.1.1:26477\" }, { address = \"239.1.1.2:26477\" }]\n";
    let dir = Dir::new();
    let (engine, segment) = play(&dir, &path, feed);
    assert_same("capture", &record(&segment), &undisturbed(&day));
    assert_eq!(lane_counter(&segment, LaneCounter::Gaps), 0);
    wait_until("the log", || engine.log().contains("capture is cut"));
    assert!(engine.log().contains("recording played"), "{}", engine.log());
    // One line alone has lost a quarter: all of it declared, by the recorded clock and not by ours.
    std::fs::write(&path, &capture[..whole]).unwrap();
    let dir = Dir::new();
    let (_engine, segment) = play(&dir, &path, &feed.replace(", { address = \"239.1.1.2:26477\" }", ""));
    let (received, lost) =
        (lane_counter(&segment, LaneCounter::Received), lane_counter(&segment, LaneCounter::GapMessages));
    assert!(lost > day.last() / 8);
    // A lost end is nobody's to tell: that the capture goes on to there is known from the last packet that came.
    let (first, last_packet) = day.packets.iter().enumerate().rfind(|(index, _)| index % 4 != 0).unwrap().1;
    let told = first + u64::from(wire::mold::parse(last_packet).unwrap().count()) - 1;
    assert_eq!(received + lost, told);
}

#[test]
fn a_tcp_session_in_a_capture_is_decoded_from_the_clients_side() {
    let day = day(5_000, 52);
    let (server, client) = (address("127.0.0.1:9000"), address("127.0.0.1:40000"));
    let mut stream = Vec::new();
    let accepted = format!("{:>10}{:>20}", "TODAY", 1);
    frame::append(&mut stream, frame::kind::LOGIN_ACCEPTED, accepted.as_bytes()).unwrap();
    for message in &day.messages {
        frame::append(&mut stream, frame::kind::SEQUENCED, message).unwrap();
    }
    frame::append(&mut stream, frame::kind::END_OF_SESSION, b"").unwrap();
    let mut capture = encode::file_header();
    let mut ts_ns = BEGAN_NS;
    let (mut at, start) = (0, 4_294_967_000_u32);
    let mut push = |from, to, sequence: u32, flags: u8, payload: &[u8]| {
        ts_ns += 10_000;
        let segment = encode::tcp_frame(from, to, sequence, TcpFlags(flags), payload);
        encode::append_record(&mut capture, ts_ns, &segment);
    };
    push(client, server, 1, 0x02, b"");
    push(server, client, start.wrapping_sub(1), 0x12, b"");
    push(client, server, 2, 0x10, b"what the client sends is not read");
    while at < stream.len() {
        let count = (1_448).min(stream.len() - at);
        let sequence = start.wrapping_add(at as u32);
        push(server, client, sequence, 0x10, &stream[at..at + count]);
        if at % 5 == 0 {
            // Sent again by TCP, which is none of the session's business.
            push(server, client, sequence, 0x10, &stream[at..at + count]);
        }
        at += count;
    }
    push(server, client, start.wrapping_add(at as u32), 0x11, b"");
    let files = Dir::new();
    let path = files.path("session.pcap");
    std::fs::write(&path, &capture).unwrap();
    let dir = Dir::new();
    let (_engine, segment) = play(&dir, &path, "protocol = \"soupbintcp-itch\"\naddresses = [\"127.0.0.1:9000\"]\n");
    assert_same("tcp", &record(&segment), &undisturbed(&day));
    assert_eq!(feed_counter(&segment, FeedCounter::Logins), 1);
    assert_eq!(segment.feed(0).unwrap().0.state, FeedState::EndOfSession as u64);
}

#[test]
fn real_captures_of_numbered_packets_are_taken_where_they_begin() {
    let Some(reference) = data("pcap.ref.json") else { return };
    let reference: serde_json::Value = serde_json::from_slice(&std::fs::read(&reference).unwrap()).unwrap();
    let folder = "moldudp64_pcap/nasdaq_2023_multi/";
    let mut played = 0;
    for (name, facts) in reference.as_object().unwrap().iter().filter(|(name, _)| name.starts_with(folder)) {
        let path = data(name).unwrap();
        let packets = facts["packets"].as_array().unwrap();
        let number = |packet: &serde_json::Value, key: &str| packet[key].as_u64().unwrap();
        let dir = Dir::new();
        let feed = "protocol = \"moldudp64-itch\"\narbiter = { start = \"first-seen\" }\n";
        let (_engine, segment) = play(&dir, &path, feed);
        let first = &packets[0];
        assert_eq!(feed_counter(&segment, FeedCounter::SequencedPackets), packets.len() as u64, "{name}");
        assert_eq!(lane_counter(&segment, LaneCounter::Received), number(first, "count"), "{name}");
        let next = number(first, "seq") + number(first, "count");
        assert_eq!(feed_counter(&segment, FeedCounter::NextSequence), next, "{name}");
        // What lies millions of messages ahead is not followed on the word of a single packet.
        assert_eq!(feed_counter(&segment, FeedCounter::OddPackets), packets.len() as u64 - 1, "{name}");
        let session = segment.feed(0).unwrap().0.session.unwrap();
        assert_eq!(&session[..10], b"000010059B", "{name}");
        played += 1;
    }
    assert_eq!(played, 8);
}

#[test]
fn recordings_that_cannot_be_played_are_refused_by_name() {
    let files = Dir::new();
    let (noise, capture) = (files.path("noise.pcap"), files.path("empty.pcap"));
    std::fs::write(&noise, [7; 5_000]).unwrap();
    std::fs::write(&capture, encode::file_header()).unwrap();
    let folder = files.path("journal");
    std::fs::create_dir(&folder).unwrap();
    let missing = files.path("missing");
    let table = [
        ("noise", &noise, "moldudp64-itch", "pace = \"max\"", &["noise.pcap", "[07, 07, 07, 07]", "a capture"][..]),
        ("missing", &missing, "moldudp64-itch", "pace = \"max\"", &["missing", "No such file"]),
        ("records", &folder, "moldudp64-itch", "pace = \"max\"", &["records of a bus", "protocol = \"recorded\""]),
        ("messages", &capture, "recorded", "pace = \"max\"", &["messages of a venue"]),
        ("pace", &capture, "moldudp64-itch", "pace = 0", &["replay.pace = 0", "0.001 to 1000000"]),
        ("entered", &capture, "moldudp64-itch", "from = \"1\"", &["replay.from", "only a journal"]),
    ];
    for (name, path, protocol, more, parts) in table {
        let dir = Dir::new();
        let feed = format!("protocol = \"{protocol}\"\nreplay = {{ file = {path:?}, {more} }}\n");
        let mut engine = bounded("ticklane-engine");
        engine.arg("--config").arg(write_config(&dir, &feed));
        assert_refused(name, &engine.output().unwrap(), 2, parts);
    }
}
