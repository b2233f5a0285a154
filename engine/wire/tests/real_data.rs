//! Real market data: every count of the reference results, found again through the framing, the views and the straight
//! decode.
//!
//! The data is not part of this repository. `TICKLANE_DATA` names its folder; without it the tests say so and pass.

#![allow(clippy::unwrap_used, reason = "a test's helpers may fail as loudly as the test itself")]

use std::collections::BTreeMap;
use std::io::Read;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde_json::Value;
use wire::dialect::{NASDAQ_50, OpKind};
use wire::itch50::Message;
use wire::itchfile::Messages;
use wire::soupbin::client::{Client, ClientConfig, ClientTimers, Step};
use wire::soupbin::server::{Server, ServerStep, ServerTimers};
use wire::soupbin::{field::SessionId, frame};
use wire::{Nanos, fuzz_entry};

/// The data folder, or `None` with a line that nobody can overlook.
fn data(test: &str) -> Option<PathBuf> {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data");
    let folder = std::env::var_os("TICKLANE_DATA").map_or_else(|| PathBuf::from(default), PathBuf::from);
    if folder.is_dir() {
        return Some(folder);
    }
    // Not by a macro: the runner hides what passing tests print with one, and a skip must be seen: whole, in one write.
    let _ = std::io::stderr()
        .write_all(format!("\nSKIPPED (no TICKLANE_DATA): {test}; {} is no folder\n", folder.display()).as_bytes());
    None
}

fn read(path: &Path) -> Vec<u8> {
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    if path.extension().is_none_or(|extension| extension != "gz") {
        return bytes;
    }
    let mut unpacked = Vec::new();
    flate2::read::GzDecoder::new(bytes.as_slice()).read_to_end(&mut unpacked).unwrap();
    unpacked
}

fn reference(path: &Path) -> Value {
    serde_json::from_slice(&read(path)).unwrap()
}

/// What the wire crate finds in a file, in the reference's words.
#[derive(Debug, Default, PartialEq)]
struct Found {
    messages: u64,
    by_type: BTreeMap<String, u64>,
    first_ts_ns: u64,
    last_ts_ns: u64,
    timestamps_monotonic: bool,
    system_events: Vec<(String, u64)>,
    symbols_seen: usize,
    executed_total: u64,
}

fn find(file: &[u8]) -> Found {
    let mut found = Found { timestamps_monotonic: true, ..Found::default() };
    let mut symbols = std::collections::BTreeSet::new();
    for framed in Messages::new(file) {
        let (offset, bytes) = framed.unwrap();
        let message = Message::parse(bytes).unwrap();
        assert_eq!(message.as_bytes().len(), bytes.len(), "offset {offset}");
        fuzz_entry::itch50_message(bytes);

        let ts = message.timestamp_ns();
        found.first_ts_ns = if found.messages == 0 { ts } else { found.first_ts_ns };
        found.timestamps_monotonic &= found.last_ts_ns <= ts;
        found.last_ts_ns = ts;
        found.messages += 1;
        *found.by_type.entry(char::from(message.message_type()).to_string()).or_default() += 1;
        match message {
            Message::SystemEvent(event) => found.system_events.push((char::from(event.event_code).to_string(), ts)),
            Message::StockDirectory(stock) => {
                symbols.insert(stock.stock);
            }
            Message::Trade(trade) => found.executed_total += u64::from(trade.shares.get()),
            Message::CrossTrade(cross) => found.executed_total += cross.shares.get(),
            _ => {}
        }
        // Executions of orders are summed from the straight decode, in place in the file.
        let op = NASDAQ_50.decode_at(file, offset, bytes.len());
        if op.kind == OpKind::Execute || (op.kind == OpKind::ExecutePrice && op.printable) {
            found.executed_total += op.quantity;
        }
    }
    found.symbols_seen = symbols.len();
    found
}

fn wanted(reference: &Value) -> Found {
    let number = |name: &str| reference[name].as_u64().unwrap();
    let by_type = reference["by_type"].as_object().unwrap();
    let events = reference["system_events"].as_array().unwrap();
    Found {
        messages: number("messages"),
        by_type: by_type.iter().map(|(letter, count)| (letter.clone(), count.as_u64().unwrap())).collect(),
        first_ts_ns: number("first_ts_ns"),
        last_ts_ns: number("last_ts_ns"),
        timestamps_monotonic: reference["timestamps_monotonic"].as_bool().unwrap(),
        system_events: events
            .iter()
            .map(|event| (event[0].as_str().unwrap().to_owned(), event[1].as_u64().unwrap()))
            .collect(),
        symbols_seen: number("symbols_seen") as usize,
        executed_total: number("executed_total"),
    }
}

#[test]
fn itch_files_meet_their_references() {
    let Some(folder) = data("itch_files_meet_their_references") else { return };
    let table = [
        ("itch50/nasdaq_20200130_AAPL_first4000.bin", "itch50/nasdaq_20200130_AAPL_first4000.ref.json"),
        ("itch50/nasdaq_startofday_first1000.bin", "itch50/nasdaq_startofday_first1000.ref.json"),
        ("derived/es_20240508.itch50.gz", "derived/es_20240508.itch50.ref.json"),
    ];
    for (file, expected) in table {
        let found = find(&read(&folder.join(file)));
        assert_eq!(found, wanted(&reference(&folder.join(expected))), "{file}");
    }
}

/// A day over the wire: server to client, cut into pieces of odd sizes, a new connection every few thousand messages.
#[test]
fn a_real_file_survives_the_session_layer() {
    let Some(folder) = data("a_real_file_survives_the_session_layer") else { return };
    let file = read(&folder.join("derived/es_20240508.itch50.gz"));
    let messages: Vec<&[u8]> = Messages::new(&file).map(|message| message.unwrap().1).collect();
    let session = SessionId::new("ES20240508").unwrap();
    let mut config = ClientConfig::new("user", "secret", "", 1, ClientTimers::default()).unwrap();
    let mut received = Vec::new();
    let mut connections = 0;
    while received.len() < messages.len() {
        connections += 1;
        let mut client = Client::new(config, Nanos(0));
        let stream = serve(&mut client, &session, &messages);
        // Every connection but the last breaks after 100,003 bytes, mostly in mid-packet.
        let stream = &stream[..stream.len().min(100_003)];
        let mut buffer = Vec::new();
        for piece in stream.chunks(1_021) {
            buffer.extend_from_slice(piece);
            while let Some(packet) = frame::next_packet(&buffer).unwrap() {
                let (kind, consumed, payload) = (packet.kind, packet.consumed, packet.payload);
                if let Step::Deliver { sequence, payload } = client.handle_packet(Nanos(0), kind, payload) {
                    assert_eq!(sequence, received.len() as u64 + 1);
                    received.push(payload.to_vec());
                }
                buffer.drain(..consumed);
            }
        }
        client.handle_disconnect();
        config = config.resume(client.session(), client.next_sequence());
    }
    assert_eq!(received, messages);
    assert!(connections > 3, "the line was cut {connections} times");
}

/// All that a server writes to `client` from the number it asks for.
fn serve(client: &mut Client, session: &SessionId, messages: &[&[u8]]) -> Vec<u8> {
    let login = client.poll_transmit().unwrap();
    let packet = frame::next_packet(login.as_bytes()).unwrap().unwrap();
    let mut server = Server::new(ServerTimers::default(), Nanos(0));
    let ServerStep::LoginRequested(request) = server.handle_packet(Nanos(0), packet.kind, packet.payload) else {
        panic!("a login is a login");
    };
    let mut out = Vec::new();
    server.accept(Nanos(0), session, request.sequence, &mut out).unwrap();
    for message in &messages[request.sequence as usize - 1..] {
        server.send_sequenced(Nanos(0), message, &mut out).unwrap();
    }
    out
}

/// TCP payloads of a classic little-endian pcap over Ethernet and IPv4, cut by the IP total length because short frames
/// carry padding.
fn tcp_payloads(pcap: &[u8]) -> Vec<Vec<u8>> {
    let le32 = |at: usize| u32::from_le_bytes(pcap[at..at + 4].try_into().unwrap()) as usize;
    let mut payloads = Vec::new();
    let mut at = 24;
    while at < pcap.len() {
        let captured = le32(at + 8);
        let frame = &pcap[at + 16..at + 16 + captured];
        let ip = match frame[12..14] {
            // A VLAN tag stands between the addresses and the protocol.
            [0x81, 0x00] => &frame[18..],
            _ => &frame[14..],
        };
        let total = usize::from(u16::from_be_bytes([ip[2], ip[3]]));
        let tcp = &ip[usize::from(ip[0] & 15) * 4..total];
        payloads.push(tcp[usize::from(tcp[12] >> 4) * 4..].to_vec());
        at += 16 + captured;
    }
    payloads
}

#[test]
fn captures_meet_their_reference() {
    let Some(folder) = data("captures_meet_their_reference") else { return };
    let references = reference(&folder.join("pcap.ref.json"));
    let mut captures = 0;
    for (name, expected) in references.as_object().unwrap() {
        if !name.starts_with("soupbintcp_pcap/") {
            continue;
        }
        captures += 1;
        let payloads = tcp_payloads(&read(&folder.join(name)));
        let packets = expected["packets"].as_array().unwrap();
        assert_eq!(payloads.len(), packets.len(), "{name}");
        for (payload, expected) in payloads.iter().zip(packets) {
            fuzz_entry::soup_frame(payload);
            let mut rest = payload.as_slice();
            for wanted in expected["soupbintcp"].as_array().unwrap() {
                let packet = frame::next_packet(rest).unwrap().unwrap();
                rest = &rest[packet.consumed..];
                assert_eq!(Some(char::from(packet.kind).to_string().as_str()), wanted["packet"].as_str(), "{name}");
                assert_eq!(Some(packet.payload.len() as u64 + 1), wanted["length"].as_u64(), "{name}");
                let first = packet.payload.first().map(|byte| char::from(*byte).to_string());
                assert_eq!(first.as_deref(), wanted["payload_first"].as_str(), "{name}");
            }
            assert_eq!(Some(rest.len() as u64), expected["left_over_bytes"].as_u64(), "{name}");
        }
    }
    assert_eq!(captures, 11);
}

#[test]
fn a_captured_login_and_its_answer_are_understood() {
    let Some(folder) = data("a_captured_login_and_its_answer_are_understood") else { return };
    let capture = |name: &str| tcp_payloads(&read(&folder.join("soupbintcp_pcap").join(name))).remove(0);

    let login = capture("jnx_ouch_LoginRequestPacket.pcap");
    let packet = frame::next_packet(&login).unwrap().unwrap();
    let mut server = Server::new(ServerTimers::default(), Nanos(0));
    let ServerStep::LoginRequested(request) = server.handle_packet(Nanos(0), packet.kind, packet.payload) else {
        panic!("a login is a login");
    };
    assert_eq!(request.username.as_bytes(), b"user");
    assert_eq!((request.session, request.sequence), (SessionId::BLANK, 0));

    let answer = capture("jnx_ouch_LoginAcceptedPacket.pcap");
    let packet = frame::next_packet(&answer).unwrap().unwrap();
    let config = ClientConfig::new("user", "password", "", 0, ClientTimers::default()).unwrap();
    let mut client = Client::new(config, Nanos(0));
    let step = client.handle_packet(Nanos(0), packet.kind, packet.payload);
    assert!(matches!(step, Step::LoggedIn { sequence: 135, gap: None, .. }), "{step:?}");
    assert_eq!(client.session().as_bytes(), b"1689192121");
    // Our own packets are, byte for byte, what a real client and a real server have sent.
    assert_eq!(client.poll_transmit().unwrap().as_bytes(), login);
    assert_eq!(frame::login_accepted(&client.session(), 135).as_slice(), answer);
}
