//! From bytes to rings, without a socket: however the stream is cut, broken and taken up again, the rings tell the same.

mod common;

use common::flow::{Rng, flow};
use common::{Got, config, plan};
use market::DenseIds;
use market::ingest::{Datagrams, DatagramsConfig, Framing, Output, SoupBin, SoupBinConfig, begin_sequence};
use market::itch::Itch;
use shm_abi::counters::{FeedCounter, LaneCounter};
use shm_abi::record::{Body, Record, StatusCause};
use shm_abi::ring::{Polled, Rejoin};
use shm_abi::segment::{LaneWriter, RingName};
use wire::Nanos;
use wire::mold::PacketBuilder;
use wire::multicast::{ArbiterConfig, LineId, SessionKey, Source};
use wire::soupbin::backoff::BackoffConfig;
use wire::soupbin::client::{ClientConfig, ClientTimers};
use wire::soupbin::frame;

const NOW_NS: u64 = 1_700_000_000_000_000_000;

fn realtime() -> u64 {
    NOW_NS
}

fn output() -> Output<DenseIds> {
    let mut writer = LaneWriter::anonymous(&plan()).expect("a lane");
    let mut feed = writer.feed(0);
    begin_sequence(&mut writer, &mut feed, None, NOW_NS);
    let itch = Itch::new(config(), DenseIds::default()).expect("a valid config");
    Output::new(writer, itch.into(), None, Box::new(|_| 1_000_000_000_000_000_000))
}

/// Both rings, without what depends on the line: restarts, states of the session, stamps of this host.
fn told(out: &Output<DenseIds>) -> Vec<Vec<(u8, u32, Vec<u64>)>> {
    let segment = out.writer.reader();
    let read = |name| {
        let mut reader = segment.read_from(name, 0, Rejoin::Oldest);
        let mut records = Vec::new();
        loop {
            match reader.poll() {
                Polled::Empty => return records,
                Polled::Record { n, words } => records.push(Got { n, words: words.to_vec() }),
                Polled::Lost(lost) => panic!("the test's rings are large enough: {lost:?}"),
            }
        }
    };
    let about_the_market = |record: &Record<'_>| match record.body() {
        Body::Restart(_) => false,
        Body::Status(status) => status.cause != StatusCause::Session,
        _ => true,
    };
    let plain = |got: &Got| {
        let record = got.record();
        let head = record.head;
        about_the_market(&record).then(|| (head.kind, head.venue_sequence_low, record.body_words().to_vec()))
    };
    [RingName::Orders, RingName::Market].map(|name| read(name).iter().filter_map(plain).collect()).to_vec()
}

fn soup() -> SoupBin {
    let login = ClientConfig::new("user", "secret", "", 1, ClientTimers::default()).expect("a login");
    let backoff = BackoffConfig { address_count: 2, ..BackoffConfig::default() };
    SoupBin::new(SoupBinConfig { login, backoff, receive_buffer_bytes: 128 << 10 }, 7)
}

/// What a server sends to a client that asks for `first`.
fn served(messages: &[Vec<u8>], first: u64) -> Vec<u8> {
    let mut stream = Vec::new();
    let accepted = format!("{:>10}{first:>20}", "TODAY");
    frame::append(&mut stream, frame::kind::LOGIN_ACCEPTED, accepted.as_bytes()).expect("it fits");
    for message in &messages[first as usize - 1..] {
        frame::append(&mut stream, frame::kind::SEQUENCED, message).expect("it fits");
    }
    stream
}

/// Sequence that a login asks for: its last 20 characters.
fn asked(login: &[u8]) -> u64 {
    let text = std::str::from_utf8(&login[login.len() - 20..]).expect("digits");
    text.trim().parse().expect("a number")
}

/// Plays the messages to a feed in pieces of up to `piece` bytes, with the connection cut after every `cut` bytes of it.
fn play(messages: &[Vec<u8>], piece: usize, cut: usize) -> Output<DenseIds> {
    let (mut out, mut soup) = (output(), soup());
    let mut at = Nanos(1_000_000_000);
    let mut attempt = soup.first(at);
    loop {
        soup.dialling(attempt, &mut out);
        soup.connected(attempt, at, &mut out);
        soup.tick(at).expect("a new connection");
        let stream = served(messages, asked(soup.outgoing()));
        soup.sent(at, soup.outgoing().len());
        let whole = stream.len() <= cut;
        for part in stream[..stream.len().min(cut)].chunks(piece) {
            let mut part = part;
            while !part.is_empty() {
                let space = soup.space();
                let count = part.len().min(space.len());
                space[..count].copy_from_slice(&part[..count]);
                part = &part[count..];
                soup.received(at, count, Some(NOW_NS), realtime, &mut (), &mut out).expect("a good stream");
            }
        }
        if whole {
            return out;
        }
        let reason = soup.disconnected();
        attempt = soup.closed(reason, at, NOW_NS, &mut out).expect("a broken line is tried again");
        at = at.max(attempt.at);
    }
}

#[test]
fn pieces_and_cuts_of_the_stream_change_nothing() {
    for seed in 1..=6 {
        let messages = flow(seed, 300);
        let whole = play(&messages, usize::MAX, usize::MAX);
        let want = told(&whole);
        assert!(want.iter().all(|ring| ring.len() > 100));
        let mut random = Rng(seed);
        for piece in [1, 2, 3, 7, 64, 4_096] {
            // A cut that lets at least the answer to the login and one message through.
            let cut = 200 + random.below(3_000) as usize;
            let out = play(&messages, piece, cut);
            assert!(told(&out) == want, "seed {seed}, pieces of {piece}, cut after {cut}");
            let counters = &out.writer.counters;
            assert_eq!(counters.get(LaneCounter::Received), messages.len() as u64, "each message once");
            assert_eq!(counters.get(LaneCounter::Gaps) + counters.get(LaneCounter::Duplicates), 0);
            let logins = out.feed.counters.get_feed(FeedCounter::Logins);
            assert_eq!(logins, out.feed.counters.get_feed(FeedCounter::Disconnects) + 1);
        }
    }
}

#[test]
fn a_server_that_begins_later_than_asked_leaves_a_declared_gap() {
    let messages = flow(3, 100);
    let (mut out, mut soup) = (output(), soup());
    let at = Nanos(0);
    let attempt = soup.first(at);
    soup.dialling(attempt, &mut out);
    soup.connected(attempt, at, &mut out);
    let stream = served(&messages, 11);
    soup.space()[..stream.len()].copy_from_slice(&stream);
    soup.received(at, stream.len(), None, realtime, &mut (), &mut out).expect("a good stream");
    for ring in told(&out) {
        let gaps: Vec<_> = ring.iter().filter(|(kind, ..)| *kind == shm_abi::record::kind::GAP).collect();
        assert_eq!(gaps.len(), 1);
        assert_eq!(gaps[0].2[..2], [1, 10]);
    }
    assert_eq!(out.writer.counters.get(LaneCounter::GapMessages), 10);
}

#[test]
fn lines_in_any_order_and_with_any_losses_tell_the_same_or_declare_what_is_missing() {
    for seed in 1..=20 {
        let messages = flow(seed, 400);
        let want = told(&play(&messages, usize::MAX, usize::MAX));
        let key = SessionKey::padded(b"TODAY");
        let mut packets = Vec::new();
        let mut next = 1;
        while next <= messages.len() as u64 {
            let mut buffer = [0; 300];
            let mut builder = PacketBuilder::new(&mut buffer, key, next).expect("room for a header");
            while let Some(message) = messages.get(next as usize - 1) {
                if builder.push(message).is_err() {
                    break;
                }
                next += 1;
            }
            packets.push(builder.finish().to_vec());
        }
        let mut random = Rng(seed);
        let lossless = seed % 2 == 0;
        // Each packet is lost on at most one line, or on both where losses are wanted; neighbours are swapped at times.
        let mut arrivals = Vec::new();
        let mut lost = 0;
        for (index, packet) in packets.iter().enumerate() {
            let (a, b) = (random.chance(75), random.chance(75));
            // The ends always come: nobody would tell of a lost tail but a heartbeat.
            let must = lossless || index == 0 || index + 1 == packets.len();
            if a || (must && !b) {
                arrivals.push((LineId::A, packet));
            }
            if b {
                arrivals.push((LineId::B, packet));
            }
            lost += u64::from(!a && !b && !must);
        }
        for at in 1..arrivals.len() - 1 {
            if random.chance(10) {
                arrivals.swap(at, at - 1);
            }
        }
        let arbiter = ArbiterConfig { gap_limit_ns: 50_000_000, ..ArbiterConfig::default() };
        let config = DatagramsConfig { framing: Framing::Mold, arbiter, glimpse: None };
        let (mut out, mut feed) = (output(), Datagrams::new(config, seed).expect("good limits"));
        feed.listening(&mut out);
        let mut at = Nanos(1_000_000_000);
        for (line, packet) in arrivals {
            at = at.saturating_add(100_000);
            feed.tick(at, realtime, &mut out);
            feed.datagram(at, Source::Line(line), packet, 0..packet.len(), Some(NOW_NS), realtime, &mut (), &mut out);
            feed.end_burst(&mut out);
        }
        feed.tick(at.saturating_add(1_000_000_000), realtime, &mut out);
        feed.end_burst(&mut out);
        let counters = &out.writer.counters;
        let (received, gone) = (counters.get(LaneCounter::Received), counters.get(LaneCounter::GapMessages));
        assert_eq!(received + gone, messages.len() as u64, "seed {seed}: taken or declared, each once");
        assert_eq!(gone > 0, lost > 0, "seed {seed}: {lost} packets lost on both lines");
        if lost == 0 {
            assert!(told(&out) == want, "seed {seed}");
        }
    }
}
