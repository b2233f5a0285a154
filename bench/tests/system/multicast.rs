//! Feeds of datagrams: what happens to lines A and B, to requests, to late joiners (reliability.md rows 5 to 8, 11, 17,
//! 21 to 23), checked at what a strategy sees.
//!
//! The sender is here and not a venue's, so that every datagram is lost on purpose or not at all: after a few it waits
//! until the engine has counted their bytes.

use std::cell::Cell;
use std::collections::HashSet;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use shm_abi::board::RowImage;
use shm_abi::counters::{FeedCounter, LaneCounter};
use shm_abi::layout::FeedState;
use shm_abi::record::{Side, kind};
use shm_abi::segment::Segment;
use wire::mold::{self, PacketBuilder};
use wire::multicast::{Body, SessionKey};

use crate::bus::{Recording, assert_same, count, record};
use crate::harness::{Dir, Process, Venue, feed_counter, lane_counter, program, wait_until};
use crate::misfortunes::synthetic_day;

/// Bytes of a datagram: what fits an Ethernet frame.
const DATAGRAM_BYTES: usize = 1_400;
/// Bytes on their way to one line before the sender waits: a fraction of what any system grants a socket.
const IN_FLIGHT_BYTES: u64 = 30_000;

fn key(session: &str) -> SessionKey {
    SessionKey::padded(session.as_bytes())
}

/// A day as its messages, and as datagrams of some of them.
pub struct Day {
    pub messages: Vec<Vec<u8>>,
    /// Number of the first message of each datagram, and the datagram.
    pub packets: Vec<(u64, Vec<u8>)>,
}

impl Day {
    fn read(path: &Path, session: &str) -> Day {
        let bytes = std::fs::read(path).unwrap();
        let messages: Vec<Vec<u8>> =
            wire::itchfile::Messages::new(&bytes).map(|message| message.unwrap().1.to_vec()).collect();
        let mut packets = Vec::new();
        let mut next = 1;
        while next <= messages.len() as u64 {
            let packet = packet(&messages, session, next, u16::MAX);
            packets.push((next, packet));
            next += u64::from(mold::parse(&packets.last().unwrap().1).unwrap().count());
        }
        Day { messages, packets }
    }

    pub fn last(&self) -> u64 {
        self.messages.len() as u64
    }
}

/// A datagram of the messages from `first` on: as many as fit, at most `limit`.
fn packet(messages: &[Vec<u8>], session: &str, first: u64, limit: u16) -> Vec<u8> {
    let mut buffer = [0; DATAGRAM_BYTES];
    let mut builder = PacketBuilder::new(&mut buffer, key(session), first).unwrap();
    for message in messages[first as usize - 1..].iter().take(limit.into()) {
        if builder.push(message).is_err() {
            break;
        }
    }
    builder.finish().to_vec()
}

/// An engine with one feed of datagrams.
struct Receiver {
    _process: Process,
    segment: Segment,
    lines: Vec<String>,
    socket: UdpSocket,
    /// Bytes sent to the lines.
    sent: Cell<u64>,
}

/// An address that is free now.
fn free_address() -> String {
    UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

pub fn write_config(dir: &Dir, feed: &str) -> PathBuf {
    let text = format!(
        r#"
[engine]
instance = "test"
runtime_dir = {run:?}
state_dir = {state:?}
wait = "adaptive"
[feeds]
allow = ["127.0.0.0/8", "239.0.0.0/8"]
[[lane]]
name = "lane0"
orders_slots = 131072
market_slots = 131072
instruments = 2048
max_orders = 262144
max_levels = 65536
[[feed]]
name = "mold"
lane = "lane0"
trading_date = "2020-01-30"
reconnect_first_ms = 5
reconnect_max_ms = 20
first_login_retry_ms = 20
{feed}
"#,
        run = dir.run(),
        state = dir.path("state"),
    );
    let path = dir.path("engine.toml");
    std::fs::write(&path, text).unwrap();
    path
}

/// Patience beyond any scheduler's, so that only what a test does decides.
const PATIENT: &str = "line_wait_us = 20000000, gap_limit_ms = 60000";

impl Receiver {
    fn start(dir: &Dir, lines: usize, arbiter: &str, feed: &str) -> Receiver {
        Receiver::start_at(dir, &(0..lines).map(|_| free_address()).collect::<Vec<_>>(), "", arbiter, feed)
    }

    fn start_at(dir: &Dir, lines: &[String], interface: &str, arbiter: &str, feed: &str) -> Receiver {
        let texts: Vec<String> = lines.iter().map(|line| format!("{{ address = {line:?}{interface} }}")).collect();
        let text =
            format!("protocol = \"moldudp64-itch\"\nlines = [{}]\narbiter = {{ {arbiter} }}\n{feed}", texts.join(", "));
        let (process, segment) = start_engine(dir, &text);
        wait_until("the lines to be open", || feed_counter(&segment, FeedCounter::Connects) == 1);
        // The source's address also chooses the interface for groups.
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        Receiver { _process: process, segment, lines: lines.to_vec(), socket, sent: Cell::new(0) }
    }

    fn send(&self, line: usize, datagram: &[u8]) {
        self.socket.send_to(datagram, &self.lines[line]).unwrap();
        self.sent.set(self.sent.get() + datagram.len() as u64);
        let taken = || feed_counter(&self.segment, FeedCounter::Bytes) + IN_FLIGHT_BYTES;
        if taken() < self.sent.get() {
            wait_until("the engine to take what was sent", || taken() >= self.sent.get());
        }
    }

    fn counter(&self, counter: FeedCounter) -> u64 {
        feed_counter(&self.segment, counter)
    }

    fn lane(&self, counter: LaneCounter) -> u64 {
        lane_counter(&self.segment, counter)
    }

    fn state(&self) -> u64 {
        self.segment.feed(0).map_or(u64::MAX, |(facts, _)| facts.state)
    }

    fn wait_for(&self, next: u64) {
        wait_until("every message to be taken", || self.counter(FeedCounter::NextSequence) >= next);
    }
}

pub fn start_engine(dir: &Dir, feed: &str) -> (Process, Segment) {
    let config = write_config(dir, feed);
    let mut command = Command::new(program("ticklane-engine"));
    command.arg("--config").arg(config).stdout(Stdio::null());
    let process = Process::start("ticklane-engine", command, dir.path("engine.log"));
    let mut segment = None;
    wait_until("the engine's segment", || {
        segment =
            Segment::open(&dir.run(), "lane0").ok().filter(|segment| segment.writer_pid() == u64::from(process.id()));
        segment.is_some()
    });
    (process, segment.unwrap())
}

/// Everything once, on one line, in order: what every misfortune must lead to as well.
pub fn undisturbed(day: &Day) -> Recording {
    let dir = Dir::new();
    let receiver = Receiver::start(&dir, 1, PATIENT, "");
    for (_, packet) in &day.packets {
        receiver.send(0, packet);
    }
    receiver.wait_for(day.last() + 1);
    assert_eq!(receiver.lane(LaneCounter::Gaps), 0);
    assert_eq!(receiver.lane(LaneCounter::Published) + receiver.lane(LaneCounter::Rejected), day.last());
    record(&receiver.segment)
}

pub fn day(messages: u64, seed: u64) -> Day {
    let dir = Dir::new();
    Day::read(&synthetic_day(&dir, messages, seed), "TODAY")
}

/// A server that sends lost messages again, one packet per request, until it is dropped.
struct Server {
    address: String,
    requests: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Server {
    /// `answer` gets the number and the count asked for, and gives the datagrams to send.
    fn start(answer: impl Fn(u64, u16) -> Vec<Vec<u8>> + Send + 'static) -> Server {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let address = socket.local_addr().unwrap().to_string();
        let (requests, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (count, stopped) = (requests.clone(), stop.clone());
        let thread = std::thread::spawn(move || {
            let mut buffer = [0; 64];
            while !stopped.load(Ordering::Relaxed) {
                let Ok((len, from)) = socket.recv_from(&mut buffer) else { continue };
                let request = mold::Request::parse(&buffer[..len]).unwrap();
                assert_eq!(request.session, key("TODAY"));
                count.fetch_add(1, Ordering::Relaxed);
                for datagram in answer(request.sequence, request.count) {
                    socket.send_to(&datagram, from).unwrap();
                }
            }
        });
        Server { address, requests, stop, thread: Some(thread) }
    }

    fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    fn setting(&self) -> String {
        format!("rerequest = [{:?}]\n", self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let ended = self.thread.take().unwrap().join();
        if !std::thread::panicking() {
            ended.unwrap();
        }
    }
}

#[test]
fn a_quarter_of_the_datagrams_is_lost_on_each_line_at_different_places() {
    let day = day(20_000, 31);
    let dir = Dir::new();
    let server = Server::start(|_, _| Vec::new());
    let receiver = Receiver::start(&dir, 2, PATIENT, &server.setting());
    for (index, (_, packet)) in day.packets.iter().enumerate() {
        // Line B lags by some packets.
        if index % 4 != 0 {
            receiver.send(0, packet);
        }
        if let Some(earlier) = index.checked_sub(3).filter(|earlier| earlier % 4 != 2) {
            receiver.send(1, &day.packets[earlier].1);
        }
    }
    for late in day.packets.len() - 3..day.packets.len() {
        receiver.send(1, &day.packets[late].1);
    }
    receiver.wait_for(day.last() + 1);
    assert_same("two lines", &record(&receiver.segment), &undisturbed(&day));
    assert_eq!((receiver.lane(LaneCounter::Gaps), server.requests()), (0, 0));
    wait_until("the scores", || {
        receiver.counter(FeedCounter::LineAMessages) > day.last() / 2
            && receiver.counter(FeedCounter::LineBMessages) > day.last() / 2
            && receiver.counter(FeedCounter::LineALeadNs) > 0
    });
    let wins = [FeedCounter::LineAWins, FeedCounter::LineBWins].map(|counter| receiver.counter(counter));
    assert!(wins[0] > wins[1] && wins[1] > 0, "{wins:?}: A is ahead, B fills what A lost");
    assert_eq!(wins[0] + wins[1], day.last(), "each message has one first copy");
}

#[test]
fn the_same_datagrams_are_lost_on_both_lines_and_asked_for() {
    let day = Arc::new(day(20_000, 32));
    let messages = day.clone();
    let server = Server::start(move |first, count| vec![packet(&messages.messages, "TODAY", first, count)]);
    let dir = Dir::new();
    let receiver = Receiver::start(&dir, 2, "gap_limit_ms = 60000, request_tries = 16", &server.setting());
    for (index, (_, packet)) in day.packets.iter().enumerate() {
        if index % 10 != 3 {
            receiver.send(0, packet);
            receiver.send(1, packet);
        }
    }
    // The last ones may be missing as well: only a heartbeat tells.
    let heartbeat = mold::control_packet(key("TODAY"), day.last() + 1, &Body::Heartbeat).unwrap();
    receiver.send(0, &heartbeat);
    receiver.wait_for(day.last() + 1);
    assert_same("asked for", &record(&receiver.segment), &undisturbed(&day));
    assert_eq!(receiver.lane(LaneCounter::Gaps), 0);
    wait_until("the counters", || receiver.counter(FeedCounter::OpenHoles) == 0);
    assert!(receiver.counter(FeedCounter::Recovered) > day.last() / 20, "a tenth was lost");
    assert!(server.requests() > 0 && receiver.counter(FeedCounter::Requests) >= server.requests());
}

#[test]
fn nobody_answers_and_the_loss_is_declared() {
    let day = day(6_000, 33);
    let server = Server::start(|_, _| Vec::new());
    let dir = Dir::new();
    let arbiter = "line_wait_us = 1000, request_retry_ms = 10, request_tries = 3, gap_limit_ms = 300";
    let receiver = Receiver::start(&dir, 2, arbiter, &server.setting());
    let lost = day.packets.len() / 2;
    for (index, (_, packet)) in day.packets.iter().enumerate() {
        if index != lost {
            receiver.send(0, packet);
            receiver.send(1, packet);
        }
    }
    receiver.wait_for(day.last() + 1);
    let (first, next) = (day.packets[lost].0, day.packets[lost + 1].0);
    assert_eq!(receiver.lane(LaneCounter::Gaps), 1);
    assert_eq!(receiver.lane(LaneCounter::GapMessages), next - first);
    assert_eq!(receiver.lane(LaneCounter::Received), day.last() - (next - first), "the rest was taken");
    let recording = record(&receiver.segment);
    for ring in [&recording.orders, &recording.market] {
        let gaps: Vec<_> = ring.iter().filter(|seen| seen.kind == kind::GAP).map(|seen| seen.body.clone()).collect();
        assert_eq!(gaps.len(), 1);
        assert_eq!(gaps[0][..2], [first, next - 1], "first and last that will not come");
    }
    assert_eq!(server.requests(), 3, "as many tries as configured");
    assert_eq!(receiver.state(), FeedState::Live as u64);
}

#[test]
fn strangers_garbage_and_answers_that_nobody_asked_for_change_nothing() {
    let day = Arc::new(day(20_000, 34));
    let messages = day.clone();
    // Each answer comes with what was not asked for, and with what is no packet.
    let server = Server::start(move |first, count| {
        let far = (first + 5_000).min(messages.last());
        let stray = packet(&messages.messages, "TODAY", far, 3);
        vec![stray, b"no packet".to_vec(), packet(&messages.messages, "TODAY", first, count)]
    });
    let dir = Dir::new();
    let receiver =
        Receiver::start(&dir, 1, "reorder_grace_us = 0, gap_limit_ms = 60000, request_tries = 16", &server.setting());
    for (index, (first, good)) in day.packets.iter().enumerate() {
        // Some are lost and asked for; every answer then is what the server above makes of it.
        if index % 50 != 25 {
            receiver.send(0, good);
        }
        match index % 5 {
            0 => receiver.send(0, &packet(&day.messages, "OTHERDAY", *first, 5)),
            1 => receiver.send(0, &good[..good.len() - 1]),
            2 => receiver.send(0, b"x"),
            3 => receiver.send(0, good),
            _ => {}
        }
        if index % 50 == 49 {
            receiver.send(0, &vec![0xff; 20_000]);
        }
    }
    receiver.wait_for(day.last() + 1);
    let lost_again = packet(&day.messages, "TODAY", 1, 4);
    receiver.send(0, &lost_again);
    assert_same("strangers", &record(&receiver.segment), &undisturbed(&day));
    let fifth = day.packets.len() as u64 / 5;
    wait_until("the counters", || {
        receiver.counter(FeedCounter::ForeignPackets) >= fifth
            && receiver.counter(FeedCounter::MalformedPackets) >= 2 * fifth
            && receiver.counter(FeedCounter::LineADuplicates) > 4
            && receiver.counter(FeedCounter::StrayAnswers) >= 2 * receiver.counter(FeedCounter::Answers) / 3
    });
    assert!(receiver.counter(FeedCounter::Recovered) > 0);
    assert_eq!(receiver.lane(LaneCounter::Gaps), 0);
}

#[test]
fn one_line_dies_and_the_data_stays_whole() {
    let day = day(10_000, 35);
    let dir = Dir::new();
    let arbiter = format!("{PATIENT}, line_dead_after_ms = 200");
    let receiver = Receiver::start(&dir, 2, &arbiter, "");
    let (before, after) = day.packets.split_at(day.packets.len() / 2);
    for (_, packet) in before {
        receiver.send(0, packet);
        receiver.send(1, packet);
    }
    let heartbeat = mold::control_packet(key("TODAY"), after[0].0, &Body::Heartbeat).unwrap();
    wait_until("line B to be called dead", || {
        receiver.send(0, &heartbeat);
        receiver.counter(FeedCounter::LineBState) == 3
    });
    for (_, packet) in after {
        receiver.send(0, packet);
    }
    receiver.wait_for(day.last() + 1);
    assert_eq!((receiver.lane(LaneCounter::Gaps), receiver.state()), (0, FeedState::Live as u64));
    assert_same("one line", &record(&receiver.segment), &undisturbed(&day));
    // Then the other one: readers are told that nothing comes any more, and that it comes again.
    wait_until("all lines to be silent", || receiver.state() == FeedState::Reconnecting as u64);
    assert_eq!(receiver.counter(FeedCounter::Silences), 1);
    let heartbeat = mold::control_packet(key("TODAY"), day.last() + 1, &Body::Heartbeat).unwrap();
    wait_until("the feed to be live again", || {
        receiver.send(1, &heartbeat);
        receiver.state() == FeedState::Live as u64
    });
}

#[test]
fn the_session_ends_and_another_one_begins() {
    let (monday, tuesday) = (day(3_000, 36), day(3_000, 37));
    let dir = Dir::new();
    let receiver = Receiver::start(&dir, 1, PATIENT, "");
    for (_, packet) in &monday.packets {
        receiver.send(0, packet);
    }
    let end = mold::control_packet(key("TODAY"), monday.last() + 1, &Body::EndOfSession).unwrap();
    for _ in 0..3 {
        receiver.send(0, &end);
    }
    wait_until("the end of the session", || receiver.state() == FeedState::EndOfSession as u64);
    let mut first = 1;
    while first <= tuesday.last() {
        let next = packet(&tuesday.messages, "TOMORROW", first, u16::MAX);
        receiver.send(0, &next);
        first += u64::from(mold::parse(&next).unwrap().count());
    }
    receiver.wait_for(tuesday.last() + 1);
    wait_until("all of it", || receiver.lane(LaneCounter::Received) == monday.last() + tuesday.last());
    assert_eq!(receiver.counter(FeedCounter::SessionChanges), 1);
    assert_eq!(receiver.lane(LaneCounter::Gaps), 0);
    assert!(count(&record(&receiver.segment).orders, kind::CLEAR) > 0, "books of the old session are cleared");
}

#[test]
fn a_late_joiner_takes_an_image_and_ends_with_the_same_books() {
    let day = day(10_000, 38);
    let joins_at = day.packets[day.packets.len() / 2].0;
    // An image is any stream of messages that leads to the books: here, the day itself up to some message.
    let dir = Dir::new();
    let image_until = joins_at + 700;
    let mut image = Vec::new();
    for message in &day.messages[..image_until as usize - 1] {
        wire::itchfile::append(&mut image, message);
    }
    wire::itchfile::append(&mut image, format!("G{image_until:<20}").as_bytes());
    let path = dir.path("image.itch");
    std::fs::write(&path, image).unwrap();
    let venue = Venue::start(&dir, &["--file", path.to_str().unwrap(), "--speed", "max", "--at-end", "end"]);
    let glimpse = format!(
        "glimpse = {{ addresses = [\"127.0.0.1:{}\"], username = \"demo\", password = \"demo\" }}\n",
        venue.port
    );
    let receiver = Receiver::start(&dir, 1, PATIENT, &glimpse);
    let late: Vec<_> = day.packets.iter().filter(|(first, _)| *first >= joins_at).collect();
    // What comes while the image loads is held back; the image says where to go on.
    for (_, packet) in &late[..late.len() / 2] {
        receiver.send(0, packet);
    }
    wait_until("the image", || receiver.counter(FeedCounter::Images) == 1);
    for (_, packet) in &late[late.len() / 2..] {
        receiver.send(0, packet);
    }
    receiver.wait_for(day.last() + 1);
    assert_eq!(receiver.lane(LaneCounter::Gaps), 0, "nothing that was promised is missing");
    let whole_dir = Dir::new();
    let whole = Receiver::start(&whole_dir, 1, PATIENT, "");
    for (_, packet) in &day.packets {
        whole.send(0, packet);
    }
    whole.wait_for(day.last() + 1);
    let books = |segment: &Segment| -> HashSet<String> {
        let (directory, board) = (segment.directory(), segment.board());
        let mut image = RowImage::default();
        (0..directory.count())
            .map(|row| {
                assert!(matches!(board.read(row, &mut image, || true), Ok(())), "row {row}");
                let [bids, asks] = [Side::Bid, Side::Ask].map(|side| image.window(side).collect::<Vec<_>>());
                let symbol = directory.get(row).unwrap().symbol;
                format!("{}: {bids:?} {asks:?} {:?}", symbol.as_str(), image.quality())
            })
            .collect()
    };
    let (got, want) = (books(&receiver.segment), books(&whole.segment));
    assert!(!want.is_empty());
    assert_eq!(got, want);
}

#[test]
fn a_group_is_joined_on_the_interface_that_was_named() {
    let day = day(2_000, 39);
    let dir = Dir::new();
    let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let lines = [format!("239.11.12.13:{port}"), format!("239.11.12.14:{port}")];
    let receiver = Receiver::start_at(&dir, &lines, ", interface = \"127.0.0.1\"", PATIENT, "");
    for (index, (_, packet)) in day.packets.iter().enumerate() {
        receiver.send(index % 2, packet);
    }
    receiver.wait_for(day.last() + 1);
    assert_eq!(receiver.lane(LaneCounter::Received), day.last());
    wait_until("the scores", || receiver.counter(FeedCounter::LineBPackets) == day.packets.len() as u64 / 2);
}

#[test]
fn more_arrives_than_the_socket_holds_and_what_the_kernel_drops_is_declared() {
    let day = day(30_000, 40);
    let dir = Dir::new();
    let receiver = Receiver::start(&dir, 1, "gap_limit_ms = 50", "socket_buffer_bytes = 4096\n");
    let engine = receiver.segment.writer_pid().to_string();
    let signal = |name: &str| assert!(Command::new("kill").args([name, &engine]).status().unwrap().success());
    receiver.send(0, &day.packets[0].1);
    wait_until("the session", || receiver.state() == FeedState::Live as u64);
    signal("-STOP");
    for (_, packet) in &day.packets[1..day.packets.len() - 1] {
        receiver.socket.send_to(packet, &receiver.lines[0]).unwrap();
    }
    signal("-CONT");
    let last = &day.packets[day.packets.len() - 1].1;
    wait_until("what is left", || {
        // Sent until it is taken: the buffer may still be full.
        receiver.socket.send_to(last, &receiver.lines[0]).unwrap();
        std::thread::sleep(Duration::from_millis(2));
        receiver.counter(FeedCounter::NextSequence) > day.last()
    });
    wait_until("the drops", || receiver.counter(FeedCounter::LineAKernelDrops) > 0);
    let declared = receiver.lane(LaneCounter::GapMessages);
    assert!(declared > 0);
    assert_eq!(receiver.lane(LaneCounter::Received) + declared, day.last(), "taken or declared, each message");
}
