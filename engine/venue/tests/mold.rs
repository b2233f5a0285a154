//! The MoldUDP64 venue over loopback, seen by a receiver that only knows the twenty bytes of the header.

use std::collections::BTreeMap;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use venue::fault::Fault;
use venue::market::{Market, MarketConfig};
use venue::mold::{LineConfig, MoldConfig, MoldVenue, Packing, ReRequestConfig};
use venue::pace::Pace;
use venue::source::{AtEnd, Source, Start};
use wire::soupbin::field::SessionId;

/// A test that waits this long for anything is broken.
const PATIENCE: Duration = Duration::from_secs(20);
const END: u16 = u16::MAX;

#[derive(Debug, Clone, PartialEq, Eq)]
struct Datagram {
    session: String,
    sequence: u64,
    count: u16,
    messages: Vec<Vec<u8>>,
}

/// None when it is no MoldUDP64.
fn parse(bytes: &[u8]) -> Option<Datagram> {
    let session = str::from_utf8(bytes.get(..10)?).ok()?.trim_end().to_owned();
    let sequence = u64::from_be_bytes(bytes.get(10..18)?.try_into().ok()?);
    let count = u16::from_be_bytes(bytes.get(18..20)?.try_into().ok()?);
    let (mut rest, mut messages) = (&bytes[20..], Vec::new());
    while !rest.is_empty() {
        let len = usize::from(u16::from_be_bytes(rest.get(..2)?.try_into().ok()?));
        messages.push(rest.get(2..2 + len)?.to_vec());
        rest = &rest[2 + len..];
    }
    let want = if count == END { 0 } else { usize::from(count) };
    (messages.len() == want).then_some(Datagram { session, sequence, count, messages })
}

struct Receiver {
    socket: UdpSocket,
    noise: u64,
}

impl Receiver {
    fn new() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        socket2::SockRef::from(&socket).set_recv_buffer_size(8 << 20).expect("a buffer");
        Self { socket, noise: 0 }
    }

    fn address(&self) -> SocketAddr {
        self.socket.local_addr().expect("an address")
    }

    fn next(&mut self) -> Datagram {
        let mut bytes = [0; 65_536];
        loop {
            let len = self.socket.recv(&mut bytes).expect("a datagram within the test's patience");
            match parse(&bytes[..len]) {
                Some(datagram) => return datagram,
                None => self.noise += 1,
            }
        }
    }

    /// All datagrams with messages up to the first end of session, which is the last element.
    fn until_end(&mut self) -> Vec<Datagram> {
        let mut all = Vec::new();
        loop {
            let datagram = self.next();
            let is_end = datagram.count == END;
            if datagram.count != 0 {
                all.push(datagram);
            }
            if is_end {
                return all;
            }
        }
    }
}

fn market(messages: u64) -> MarketConfig {
    MarketConfig { messages: Some(messages), symbols: 5, ..MarketConfig::default() }
}

fn messages(config: &MarketConfig) -> Vec<Vec<u8>> {
    let mut market = Market::new(config.clone()).expect("a valid config");
    std::iter::from_fn(|| {
        let mut message = Vec::new();
        market.next(&mut message).map(|_| message)
    })
    .collect()
}

/// Starts when told, as nobody logs in; 20,000 datagrams a second, so that loopback loses none.
fn config(receivers: &[&Receiver], count: u64, faults: &[&str]) -> MoldConfig {
    let lines = receivers.iter().map(|receiver| LineConfig::new(receiver.address())).collect();
    MoldConfig {
        pace: Pace::Max,
        start: Start::Command,
        packing: Packing { max_messages: 1, max_rate: Some(20_000), ..Packing::default() },
        heartbeat_ms: 20,
        faults: faults.iter().map(|text| text.parse::<Fault>().expect(text)).collect(),
        ..MoldConfig::new(Source::Market(market(count)), SessionId::new("DAY1").expect("a name"), lines)
    }
}

fn start(config: MoldConfig) -> MoldVenue {
    MoldVenue::start(config).expect("a venue")
}

/// Numbers in the order in which they came.
fn sequences(datagrams: &[Datagram]) -> Vec<u64> {
    let numbered = |datagram: &Datagram| {
        let first = datagram.sequence;
        (0..datagram.messages.len() as u64).map(move |at| first + at).collect::<Vec<_>>()
    };
    datagrams.iter().flat_map(numbered).collect()
}

#[test]
fn both_lines_carry_everything_and_the_end() {
    let (mut a, mut b) = (Receiver::new(), Receiver::new());
    let packing = Packing { max_rate: Some(5_000), ..Packing::default() };
    let venue = start(MoldConfig { packing, end_repeats: 3, ..config(&[&a, &b], 5_000, &[]) });
    let heartbeat = a.next();
    assert_eq!((heartbeat.count, heartbeat.sequence, &heartbeat.session[..]), (0, 1, "DAY1"));
    venue.begin();
    let want = messages(&market(5_000));
    for receiver in [&mut a, &mut b] {
        let got = receiver.until_end();
        let end = got.last().expect("an end");
        assert_eq!((end.sequence, &end.session[..]), (5_001, "DAY1"));
        assert_eq!(sequences(&got), (1..=5_000).collect::<Vec<_>>());
        assert!(got.len() < 500, "{} datagrams: messages are packed", got.len());
        let bytes = |datagram: &Datagram| 20 + datagram.messages.iter().map(|message| 2 + message.len()).sum::<usize>();
        assert!(got.iter().all(|datagram| bytes(datagram) <= 1_472));
        let all: Vec<Vec<u8>> = got.into_iter().flat_map(|datagram| datagram.messages).collect();
        assert_eq!(all, want);
        assert_eq!(receiver.next().count, END, "the end is repeated");
    }
    let until = Instant::now() + PATIENCE;
    while !venue.is_finished() {
        assert!(Instant::now() < until, "the end is repeated for ever");
        std::thread::yield_now();
    }
    let report = venue.stop();
    assert_eq!((report.messages, report.dropped_on_all_lines.messages), (5_000, 0));
    for line in &report.lines {
        assert_eq!((line.messages, line.ends, line.refused), (5_000, 3, 0));
        assert!(line.heartbeats > 0);
    }
}

#[test]
fn a_group_is_heard_by_two() {
    let group = SocketAddr::from(([239, 255, 77, 7], 0));
    let listen = |port: u16| {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None).expect("a socket");
        socket.set_reuse_address(true).expect("an option");
        socket.bind(&SocketAddr::from(([0, 0, 0, 0], port)).into()).expect("an address");
        socket.join_multicast_v4(&[239, 255, 77, 7].into(), &[127, 0, 0, 1].into()).expect("a membership");
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        Receiver { socket: socket.into(), noise: 0 }
    };
    let mut first = listen(0);
    let port = first.address().port();
    let mut second = listen(port);
    let mut config = config(&[&first], 50, &[]);
    config.lines = vec![LineConfig::new(SocketAddr::new(group.ip(), port))];
    let venue = start(config);
    venue.begin();
    for receiver in [&mut first, &mut second] {
        assert_eq!(sequences(&receiver.until_end()), (1..=50).collect::<Vec<_>>());
    }
}

/// What the receiver misses is what the report says, line by line and for both together.
#[test]
fn drops_are_declared() {
    let table: &[(&str, &[&str])] = &[
        ("a share of each line", &["drop:a,25%,7", "drop:b,25%,8"]),
        ("the same on both", &["drop:ab,10%,3"]),
        ("listed", &["drop:a,5,7-9,1000-1010", "drop:b,8"]),
        ("mute from a message on", &["mute:b,1500"]),
        ("killed", &["kill:b", "drop:a,100-199"]),
    ];
    for (name, faults) in table {
        let (mut a, mut b) = (Receiver::new(), Receiver::new());
        let venue = start(config(&[&a, &b], 2_000, faults));
        venue.begin();
        let got_a = sequences(&a.until_end());
        let is_b_mute = faults.iter().any(|fault| fault.starts_with("mute:b") || fault.starts_with("kill:b"));
        let report = if is_b_mute {
            // Without an end on B: everything was sent before A's end was.
            b.socket.set_nonblocking(true).expect("an option");
            venue.stop()
        } else {
            venue.report()
        };
        let mut got_b = Vec::new();
        if is_b_mute {
            let mut bytes = [0; 2_048];
            while let Ok(len) = b.socket.recv(&mut bytes) {
                got_b.extend(sequences(&[parse(&bytes[..len]).expect("a datagram")]));
            }
        } else {
            got_b = sequences(&b.until_end());
        }
        let missing = |got: &[u64]| (1..=2_000).filter(|number| !got.contains(number)).collect::<Vec<u64>>();
        let declared = |ranges: &[(u64, u64)]| ranges.iter().flat_map(|range| range.0..=range.1).collect::<Vec<u64>>();
        for (line, got) in [(0, &got_a), (1, &got_b)] {
            let report = &report.lines[line];
            let mut said = declared(&report.dropped.ranges);
            said.extend(declared(&report.muted.ranges));
            assert_eq!(missing(got), said, "case {name}: line {line}");
            assert_eq!(report.messages, got.len() as u64, "case {name}: line {line}");
            assert_eq!(report.dropped.messages + report.muted.messages, said.len() as u64, "case {name}");
        }
        let both: Vec<u64> = missing(&got_a).into_iter().filter(|number| !got_b.contains(number)).collect();
        assert_eq!(both, declared(&report.dropped_on_all_lines.ranges), "case {name}: both lines");
        assert!(!missing(&got_a).is_empty() || !missing(&got_b).is_empty(), "case {name}: nothing happens");
        if *name == "a share of each line" {
            assert!((400..600).contains(&missing(&got_a).len()), "{} missing", missing(&got_a).len());
            assert!(both.len() < 200, "{} on both lines", both.len());
        }
        if *name == "the same on both" {
            assert_eq!(missing(&got_a), missing(&got_b));
        }
    }
}

#[test]
fn datagrams_come_twice_late_and_from_elsewhere() {
    let faults = ["dup:a,1000", "swap:a,100,3", "stray:a,250", "noise:a,500", "delay:b,30000"];
    let (mut a, mut b) = (Receiver::new(), Receiver::new());
    let venue = start(config(&[&a, &b], 2_000, &faults));
    venue.begin();
    let all = a.until_end();
    let (ours, strays): (Vec<_>, Vec<_>) = all.into_iter().partition(|datagram| datagram.session == "DAY1");
    assert_eq!(
        strays.iter().map(|stray| (&stray.session[..], stray.sequence)).collect::<Vec<_>>(),
        [
            ("STRAY00001", 250),
            ("STRAY00001", 500),
            ("STRAY00001", 750),
            ("STRAY00001", 1_000),
            ("STRAY00001", 1_250),
            ("STRAY00001", 1_500),
            ("STRAY00001", 1_750),
            ("STRAY00001", 2_000),
        ]
    );
    assert_eq!(a.noise, 4);
    let mut came: BTreeMap<u64, u64> = BTreeMap::new();
    let order = sequences(&ours);
    order.iter().for_each(|number| *came.entry(*number).or_default() += 1);
    let twice: Vec<u64> = came.iter().filter(|(_, times)| **times == 2).map(|(number, _)| *number).collect();
    assert_eq!((came.len(), twice), (2_000, (801..=1_000).collect()));
    let place = |number: u64| order.iter().position(|other| *other == number).expect("it came");
    assert_eq!(order[place(100) - 3..=place(100)], [101, 102, 103, 100]);
    // Line B is whole and in order, and late.
    let late = sequences(&b.until_end());
    assert_eq!(late, (1..=2_000).collect::<Vec<_>>());
    let report = venue.stop();
    let line = &report.lines[0];
    assert_eq!((line.repeated, line.swapped, line.strays, line.noise), (200, 20, 8, 4));
    assert_eq!(report.dropped_on_all_lines.messages, 0);
}

fn ask(venue: &MoldVenue, session: &[u8; 10], sequence: u64, count: u16) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let mut request = session.to_vec();
    request.extend_from_slice(&sequence.to_be_bytes());
    request.extend_from_slice(&count.to_be_bytes());
    socket.send_to(&request, venue.rerequest().expect("a re-request server")).expect("a request");
    socket
}

fn answer(socket: &UdpSocket) -> Datagram {
    let mut bytes = [0; 65_536];
    let len = socket.recv(&mut bytes).expect("an answer");
    parse(&bytes[..len]).expect("a packet")
}

#[test]
fn requests_are_answered_with_one_packet_or_nothing() {
    let mut a = Receiver::new();
    let rerequest =
        ReRequestConfig { max_messages: 500, ..ReRequestConfig::new(SocketAddr::from(([127, 0, 0, 1], 0))) };
    let packing = Packing { max_rate: Some(20_000), ..Packing::default() };
    let config = MoldConfig { rerequest: Some(rerequest), packing, ..config(&[&a], 1_000, &[]) };
    let venue = start(config);
    venue.begin();
    a.until_end();
    let want = messages(&market(1_000));
    for (first, count, last) in [(1u64, 1u16, 1u64), (500, 3, 502), (999, 10, 1_000), (1_000, 1, 1_000)] {
        let got = answer(&ask(&venue, b"DAY1      ", first, count));
        assert_eq!((&got.session[..], got.sequence), ("DAY1", first));
        assert_eq!(got.messages, want[first as usize - 1..last as usize], "asked for {count} from {first}");
    }
    let long = answer(&ask(&venue, b"DAY1      ", 1, 500));
    assert!((20..100).contains(&long.messages.len()), "{} messages in one packet", long.messages.len());
    // The refusals, then one answer: requests are handled in their order, so nothing else has come by then.
    let refused: Vec<UdpSocket> = [
        (b"OTHER     ", 1, 1u16),
        (b"DAY1      ", 1, 0),
        (b"DAY1      ", 1, u16::MAX),
        (b"DAY1      ", 1, 501),
        (b"DAY1      ", 0, 1),
        (b"DAY1      ", 1_001, 1),
        (b"DAY1      ", u64::MAX, 1),
    ]
    .map(|(session, sequence, count)| ask(&venue, session, sequence, count))
    .into();
    answer(&ask(&venue, b"DAY1      ", 7, 1));
    for socket in refused {
        socket.set_nonblocking(true).expect("an option");
        assert!(socket.recv(&mut [0; 100]).is_err());
    }
    let report = venue.stop().rerequest.expect("a report");
    assert_eq!((report.requests, report.answered, report.refused, report.not_held), (13, 6, 4, 3));
    assert_eq!(report.messages, 1 + 3 + 2 + 1 + long.messages.len() as u64 + 1);
}

#[test]
fn answers_may_be_off_or_stay_away() {
    let mut a = Receiver::new();
    let rerequest = Some(ReRequestConfig::new(SocketAddr::from(([127, 0, 0, 1], 0))));
    let venue = start(MoldConfig { rerequest, ..config(&[&a], 100, &["off-range:5000,2", "drop:r,50"]) });
    venue.begin();
    a.until_end();
    let numbers: [u64; 3] = std::array::from_fn(|_| answer(&ask(&venue, b"DAY1      ", 7, 1)).sequence);
    assert_eq!(numbers, [5_007, 5_007, 7]);
    let lost = ask(&venue, b"DAY1      ", 50, 1);
    answer(&ask(&venue, b"DAY1      ", 51, 1));
    venue.add_fault(&"mute:r".parse().expect("a fault")).expect("a place");
    let unheard = ask(&venue, b"DAY1      ", 8, 1);
    let until = Instant::now() + PATIENCE;
    while venue.report().rerequest.expect("a report").kept_back < 2 {
        assert!(Instant::now() < until, "the request is not heard");
        std::thread::yield_now();
    }
    assert!(venue.clear_faults("mute"));
    answer(&ask(&venue, b"DAY1      ", 8, 1));
    for socket in [lost, unheard] {
        socket.set_nonblocking(true).expect("an option");
        assert!(socket.recv(&mut [0; 100]).is_err());
    }
}

#[test]
fn lines_are_muted_and_unmuted_while_running() {
    let (mut a, mut b) = (Receiver::new(), Receiver::new());
    let venue = start(MoldConfig { at_end: AtEnd::Hold, ..config(&[&a, &b], 100, &["mute:b"]) });
    venue.begin();
    while a.next().sequence != 101 {}
    b.socket.set_nonblocking(true).expect("an option");
    assert!(b.socket.recv(&mut [0; 100]).is_err(), "a mute line speaks");
    b.socket.set_nonblocking(false).expect("an option");
    assert!(venue.clear_faults("mute"));
    let heartbeat = b.next();
    assert_eq!((heartbeat.count, heartbeat.sequence), (0, 101));
    let report = venue.stop();
    assert_eq!(report.lines[1].muted.ranges, [(1, 100)]);
}

#[test]
fn a_session_becomes_another_one() {
    let mut a = Receiver::new();
    let rerequest = Some(ReRequestConfig::new(SocketAddr::from(([127, 0, 0, 1], 0))));
    let faults = ["new-session:101,NIGHT,end", "new-session:151,DAY2"];
    let venue = start(MoldConfig { rerequest, ..config(&[&a], 200, &faults) });
    venue.begin();
    let first = a.until_end();
    assert_eq!(sequences(&first), (1..=100).collect::<Vec<_>>());
    assert!(first.iter().all(|datagram| datagram.session == "DAY1"));
    let rest = a.until_end();
    let (second, third): (Vec<_>, Vec<_>) = rest.into_iter().partition(|datagram| datagram.session == "NIGHT");
    assert_eq!(sequences(&second), (1..=50).collect::<Vec<_>>());
    assert_eq!(sequences(&third), (1..=50).collect::<Vec<_>>());
    let want = messages(&market(200));
    let all = [first, second, third].concat();
    assert_eq!(all.into_iter().flat_map(|datagram| datagram.messages).collect::<Vec<_>>(), want);
    assert_eq!(answer(&ask(&venue, b"NIGHT     ", 50, 5)).messages, want[149..150]);
    assert_eq!(answer(&ask(&venue, b"DAY1      ", 100, 5)).messages, want[99..100]);
    assert_eq!(venue.stop().session, "DAY2");
}

#[test]
fn messages_go_wrong_in_their_frames() {
    let mut a = Receiver::new();
    let venue = start(config(&[&a], 100, &["malformed:10", "unknown:15", "clock:50,-5000"]));
    venue.begin();
    let got: Vec<Vec<u8>> = a.until_end().into_iter().flat_map(|datagram| datagram.messages).collect();
    let sound: Vec<&Vec<u8>> = got.iter().filter(|message| wire::itch50::Message::parse(message).is_ok()).collect();
    let unknown = got.iter().filter(|message| message[0] == b'~').count();
    assert_eq!(sound.len(), 100);
    assert!(unknown > 2 && got.len() - sound.len() - unknown > 5, "{} messages, {unknown} unknown", got.len());
    let stamp = |message: &[u8]| wire::itch50::Message::parse(message).expect("a sound one").timestamp_ns();
    let want = messages(&market(100));
    assert!(sound.iter().zip(&want).take(40).all(|(got, want)| *got == want));
    assert_eq!(stamp(sound[99]), stamp(&want[99]) - 5_000_000_000);
}

#[test]
fn a_venue_that_cannot_be_says_why() {
    let a = Receiver::new();
    let table: Vec<(&str, MoldConfig, &str)> = vec![
        ("no line", config(&[], 1, &[]), "line A"),
        ("a fault of connections", config(&[&a], 1, &["cut:5"]), "fault cut is not for a MoldUDP64 feed"),
        ("blank", MoldConfig { session: SessionId::BLANK, ..config(&[&a], 1, &[]) }, "session name is blank"),
        (
            "tiny datagrams",
            MoldConfig { packing: Packing { max_bytes: 20, ..Packing::default() }, ..config(&[&a], 1, &[]) },
            "23 to 65507",
        ),
    ];
    for (name, config, want) in table {
        let error = MoldVenue::start(config).expect_err(name).to_string();
        assert!(error.contains(want), "case {name}: {error}");
    }
}

/// A snapshot's messages, and the number to go on from.
fn glimpse(venue: &MoldVenue) -> (Vec<Vec<u8>>, u64) {
    use std::io::{Read, Write};

    use wire::soupbin::field::{Password, Username};
    use wire::soupbin::frame::{self, kind};

    let mut stream = std::net::TcpStream::connect(venue.glimpse().expect("a snapshot server")).expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let (user, password) = (Username::new("u").expect("a user"), Password::new("p").expect("a password"));
    stream.write_all(&frame::login_request(&user, &password, &SessionId::BLANK, 1)).expect("a login");
    let (mut bytes, mut messages) = (Vec::new(), Vec::new());
    loop {
        while let Some(packet) = frame::next_packet(&bytes).expect("a sound stream") {
            match packet.kind {
                kind::LOGIN_ACCEPTED => {}
                kind::SEQUENCED if packet.payload[0] == b'G' => {
                    let number = &packet.payload[1..];
                    let next = match number.len() {
                        8 => u64::from_be_bytes(number.try_into().expect("eight bytes")),
                        _ => str::from_utf8(number).expect("text").trim().parse().expect("a number"),
                    };
                    return (messages, next);
                }
                kind::SEQUENCED => messages.push(packet.payload.to_vec()),
                other => panic!("a packet of type {other}"),
            }
            let consumed = packet.consumed;
            bytes.drain(..consumed);
        }
        let mut chunk = [0; 65_536];
        let len = stream.read(&mut chunk).expect("more of the snapshot");
        assert!(len > 0, "the snapshot ends early");
        bytes.extend_from_slice(&chunk[..len]);
    }
}

/// Live orders as any reader of the dialect keeps them: reference to orderbook, side, price, quantity.
fn live_orders(dialect: &wire::dialect::Dialect, messages: &[Vec<u8>]) -> BTreeMap<u64, (u64, u8, u32, u64)> {
    use wire::dialect::OpKind::*;
    let mut orders = BTreeMap::new();
    for message in messages {
        let op = dialect.decode_at(message, 0, message.len());
        match op.kind {
            Add => drop(orders.insert(op.reference, (u64::from(op.locate), op.side, op.price, op.quantity))),
            Execute | ExecutePrice | Cancel => {
                let order = orders.get_mut(&op.reference).expect("a known order");
                order.3 -= op.quantity;
                if order.3 == 0 {
                    orders.remove(&op.reference);
                }
            }
            Delete => drop(orders.remove(&op.reference).expect("a known order")),
            Replace => {
                let order = orders.remove(&op.reference).expect("a known order");
                orders.insert(op.new_reference, (order.0, order.1, op.price, op.quantity));
            }
            _ => {}
        }
    }
    orders
}

#[test]
fn a_snapshot_is_the_book_at_its_number() {
    use venue::dse::{Channel, DseConfig, DseMarket};

    let dse = DseConfig { messages: Some(3_000), instruments: 40, ..DseConfig::default() };
    let mut generator = DseMarket::new(dse.clone(), Channel::Market).expect("a valid config");
    let dse_messages: Vec<Vec<u8>> = std::iter::from_fn(|| {
        let mut message = Vec::new();
        generator.next(&mut message).map(|_| message)
    })
    .collect();
    let table: [(&str, &wire::dialect::Dialect, Source, Vec<Vec<u8>>); 2] = [
        ("nasdaq", &wire::dialect::NASDAQ_50, Source::Market(market(3_000)), messages(&market(3_000))),
        ("dse", &wire::dialect::DSE, Source::Dse(dse, Channel::Market), dse_messages),
    ];
    for (name, dialect, source, all) in table {
        let mut a = Receiver::new();
        let glimpse_address = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
        // Held back in the middle, so that the snapshot is of a living market.
        let faults = if name == "dse" { vec!["new-session:100000000,NEVER"] } else { vec![] };
        let venue = start(MoldConfig { glimpse: glimpse_address, source, ..config(&[&a], 1, &faults) });
        assert_eq!(glimpse(&venue), (vec![], 1), "case {name}: nothing has begun");
        venue.begin();
        while a.next().sequence < 2_000 {}
        let (snapshot, next) = glimpse(&venue);
        assert!(next > 2_000, "case {name}: {next}");
        let want = live_orders(dialect, &all[..next as usize - 1]);
        assert_eq!(live_orders(dialect, &snapshot), want, "case {name} at {next}");
        assert!(want.len() > 20, "case {name}: {} orders", want.len());
        let count = |messages: &[Vec<u8>], letter| messages.iter().filter(|message| message[0] == letter).count();
        assert_eq!(count(&snapshot, b'R'), count(&all, b'R'), "case {name}");
        let until = Instant::now() + PATIENCE;
        while venue.report().glimpse.expect("a report").snapshots < 2 {
            assert!(Instant::now() < until, "a snapshot is not counted");
        }
        drop(venue);
    }
}
