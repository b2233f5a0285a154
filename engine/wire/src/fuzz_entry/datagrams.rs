//! MoldUDP64, the arbiter, and snapshots.

use crate::glimpse::client::{SnapshotClient, SnapshotLimits, SnapshotStep};
use crate::glimpse::{EndForm, Part, append_end, part};
use crate::mold::{self, PacketBuilder, Request};
use crate::multicast::{
    Arbiter, ArbiterConfig, Blocks, Body, ByteOrder, GapReason, LineId, NewSession, Packet, SessionKey, SessionStart,
    Sink, Source, Start,
};
use crate::soupbin::client::ClientTimers;
use crate::soupbin::frame;
use crate::time::Nanos;
use crate::{BATCH, MessageAt};

/// MoldUDP64: what is read is written back as it was, wherever in a buffer it lies; a request as well.
pub fn mold_packet(data: &[u8]) {
    let mut buffer = vec![0xa5; 7];
    buffer.extend_from_slice(data);
    buffer.extend_from_slice(&[0xa5; 9]);
    let moved = mold::parse_at(&buffer, 7..7 + data.len());
    let parsed = mold::parse(data);
    assert_eq!(parsed.is_ok(), moved.is_ok());
    if let (Ok(packet), Ok(moved)) = (parsed, moved) {
        assert_eq!((packet.session, packet.next_sequence()), (moved.session, moved.next_sequence()));
        match (packet.body, moved.body) {
            (Body::Messages(blocks), Body::Messages(moved)) => {
                assert!(blocks.eq(moved));
                assert_eq!(rewritten(&packet, blocks), data);
                let numbers = moved.places(packet.sequence).map(|place| place.sequence);
                assert!(numbers.eq(packet.sequence..packet.next_sequence()));
            }
            (body, _) => {
                let control = mold::control_packet(packet.session, packet.sequence, &body);
                assert_eq!(control.expect("no messages"), data);
            }
        }
    }
    if let Ok(request) = Request::parse(data) {
        assert_eq!(request.to_bytes(), data);
    }
}

fn rewritten(packet: &Packet<'_>, blocks: Blocks<'_>) -> Vec<u8> {
    let len = mold::HEADER_BYTES + blocks.bytes();
    if len > mold::MAX_DATAGRAM_BYTES {
        // Longer than any datagram: it can be read, but not be written.
        return unbounded(packet, blocks);
    }
    let mut buffer = vec![0; len];
    let mut builder = PacketBuilder::new(&mut buffer, packet.session, packet.sequence).expect("a header fits");
    blocks.for_each(|message| builder.push(message).expect("what was read fits"));
    builder.finish().to_vec()
}

fn unbounded(packet: &Packet<'_>, blocks: Blocks<'_>) -> Vec<u8> {
    let mut bytes = packet.session.0[..mold::SESSION_BYTES].to_vec();
    bytes.extend(packet.sequence.to_be_bytes());
    bytes.extend(blocks.message_count().to_be_bytes());
    for message in blocks {
        bytes.extend((message.len() as u16).to_be_bytes());
        bytes.extend(message);
    }
    bytes
}

/// Watches an arbiter: every number of a stream once and in order.
#[derive(Default)]
struct Watch {
    /// The next number; `None`: whatever comes, as a snapshot has just ended.
    next: Option<u64>,
    delivered: u64,
    lost: u64,
}

impl Watch {
    fn take(&mut self, first: u64, last: u64) {
        assert!(first <= last && self.next.is_none_or(|next| next == first), "{first} at {:?}", self.next);
        self.next = Some(last.saturating_add(1));
    }
}

impl Sink for Watch {
    fn messages(&mut self, buffer: &[u8], messages: &[MessageAt], _recv: Nanos, _source: Source) {
        assert!(!messages.is_empty() && messages.len() <= BATCH);
        for message in messages {
            assert!(message.at as usize + message.len as usize <= buffer.len());
            self.take(message.sequence, message.sequence);
        }
        self.delivered += messages.len() as u64;
    }

    fn gap(&mut self, first: u64, last: u64, _reason: GapReason) {
        self.take(first, last);
        self.lost = self.lost.saturating_add(last - first + 1);
    }

    fn session(&mut self, start: SessionStart) {
        // While a snapshot loads, the first number is the snapshot's to say.
        self.next = Some(start.first);
    }

    fn end_of_session(&mut self, _session: SessionKey, next: u64) {
        assert!(self.next.is_none_or(|at| at == next));
    }
}

/// The arbiter: any packets at any time keep its promises on order, timers, requests and room.
pub fn mold_arbiter(data: &[u8]) {
    let Some((&flavour, mut rest)) = data.split_first() else { return };
    let config = ArbiterConfig {
        lines: 1 + (flavour & 1),
        servers: (flavour >> 1) & 3,
        start: if flavour & 8 == 0 { Start::At(1) } else { Start::FirstSeen },
        new_session: [NewSession::Never, NewSession::AfterOurs, NewSession::Greater][usize::from(flavour >> 4) % 3],
        window_messages: 64,
        window_bytes: 1 << 16,
        max_holes: 4,
        requests_in_flight: 2,
        restart_after_backward: flavour >> 6,
        ..ArbiterConfig::default()
    };
    let mut arbiter = Arbiter::new(config).expect("a legal configuration");
    let mut watch = Watch::default();
    let mut now = Nanos(1);
    // Numbers in use stand near each other, so that packets meet.
    let mut base: u64 = 1;
    while let [op, near, len, tail @ ..] = rest {
        rest = tail;
        now = now.saturating_add(u64::from(*op) << 16);
        let sequence = base.saturating_add(u64::from(*near % 64));
        let source = [Source::Line(LineId::A), Source::Line(LineId::B), Source::Recovery][usize::from(*op) % 3];
        match op >> 3 {
            0 => base = base.saturating_add(1 << (near % 64)),
            1 => arbiter.hold(),
            2 => {
                watch.next = watch.next.filter(|_| !arbiter.is_holding());
                if arbiter.is_holding() {
                    arbiter.release_from(now, sequence, &mut watch);
                    assert!(!arbiter.is_holding());
                }
            }
            3 => {
                arbiter.handle_timeout(now, &mut watch);
                while let Some(request) = arbiter.poll_request(now) {
                    assert!(config.servers > 0 && request.server < config.servers && request.count > 0);
                    assert!(request.first + u64::from(request.count) <= arbiter.highest_sequence());
                }
                assert!(arbiter.poll_timeout().is_none_or(|at| at > now), "a timeout that was handled is over");
            }
            4 => arbiter.handle_malformed(source),
            kind => {
                let count = u16::from(len % 9);
                let bytes: Vec<u8> = (0..count).flat_map(|index| [0, 1, index as u8]).collect();
                let blocks = Blocks::parse(&bytes, 0..bytes.len(), count, ByteOrder::Big).expect("well formed");
                let body = match (kind, count) {
                    (5, _) => Body::EndOfSession,
                    (_, 0) => Body::Heartbeat,
                    _ => Body::Messages(blocks),
                };
                let session = SessionKey::padded(if *len > 250 { b"OTHER" } else { b"OURS" });
                let packet = Packet { session, sequence, body, restart: kind == 6 };
                arbiter.handle_packet(now, now, source, &packet, &mut watch);
            }
        }
        assert!(arbiter.messages_held() <= config.window_messages && arbiter.open_holes() <= 4);
        let counters = arbiter.counters();
        assert_eq!((counters.delivered, counters.lost), (watch.delivered, watch.lost));
    }
    // With time enough and nothing more arriving, nothing stays open.
    for _ in 0..100 {
        let Some(at) = arbiter.poll_timeout() else { break };
        arbiter.handle_timeout(at, &mut watch);
        while arbiter.poll_request(at).is_some() {}
    }
    assert!(arbiter.is_holding() || (arbiter.open_holes() == 0 && arbiter.messages_held() == 0));
}

/// A snapshot: it fails or is whole, once and for ever, and its timers end.
pub fn glimpse_client(data: &[u8]) {
    let login = SnapshotClient::login("user", "secret", "", ClientTimers::default()).expect("a legal login");
    let limits = SnapshotLimits { max_messages: 20, ..SnapshotLimits::default() };
    let mut client = SnapshotClient::new(login, limits, Nanos(1));
    let mut now = Nanos(1);
    let mut rest = data;
    let mut outcome = None;
    while let Some((&op, tail)) = rest.split_first() {
        rest = tail;
        now = now.saturating_add(u64::from(op) << 22);
        let step = match op % 8 {
            0 => {
                let step = client.handle_timeout(now);
                assert!(client.poll_timeout().is_none_or(|at| at > now), "a timeout that was handled is over");
                step
            }
            1 => {
                while client.poll_transmit().is_some() {}
                SnapshotStep::Nothing
            }
            2 if op > 200 => client.handle_disconnect(now),
            _ => match frame::next_packet(rest) {
                Ok(Some(packet)) => {
                    rest = &rest[packet.consumed..];
                    client.handle_packet(now, packet.kind, packet.payload)
                }
                Ok(None) => SnapshotStep::Nothing,
                Err(error) => client.handle_frame_error(now, error),
            },
        };
        match step {
            SnapshotStep::Failed(error) => {
                assert!(outcome.is_none_or(|before| before == Err(error)), "failed is final");
                outcome = Some(Err(error));
            }
            SnapshotStep::Complete { next } => {
                assert!(outcome.is_none() && next > 0);
                outcome = Some(Ok(next));
            }
            SnapshotStep::Message { payload, .. } => {
                assert!(outcome.is_none() && part(payload) == Part::Message && client.messages() <= 20);
            }
            SnapshotStep::Begun { .. } => assert!(outcome.is_none() && client.messages() == 0),
            SnapshotStep::Nothing => {}
        }
    }
    if let Part::End { next } = part(data) {
        let mut written = Vec::new();
        append_end(&mut written, if data.len() == 9 { EndForm::Binary } else { EndForm::Text }, next);
        assert_eq!(part(&written), Part::End { next });
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Random, for_each_input};
    use crate::multicast::SessionKey;
    use crate::{mold, soupbin::frame};

    fn packet(random: &mut Random) -> Vec<u8> {
        let mut buffer = vec![0; 20 + random.below(100)];
        let session = SessionKey::padded(&random.bytes(10));
        let sequence = random.next() << random.below(64);
        let mut builder = mold::PacketBuilder::new(&mut buffer, session, sequence).unwrap();
        for _ in 0..random.below(6) {
            let len = random.below(20);
            let _ = builder.push(&random.bytes(len));
        }
        let mut packet = builder.finish().to_vec();
        match random.below(4) {
            0 => packet.truncate(random.below(packet.len() + 1)),
            1 => {
                let place = random.below(packet.len());
                packet[place] = random.next() as u8;
            }
            _ => {}
        }
        packet
    }

    #[test]
    fn packets_survive_noise() {
        for_each_input(packet, super::mold_packet);
    }

    #[test]
    fn arbiter_survives_noise() {
        for_each_input(
            |random| {
                let len = 1 + 3 * random.below(200);
                let mut input = random.bytes(len);
                // Mostly packets.
                for op in input.iter_mut().skip(1).step_by(3) {
                    *op |= if *op % 8 < 7 { 0x40 } else { 0 };
                }
                input
            },
            super::mold_arbiter,
        );
    }

    #[test]
    fn snapshots_survive_noise() {
        for_each_input(
            |random| {
                let mut input = vec![3];
                frame::append(&mut input, b'A', b"   SESSION                   1").unwrap();
                for _ in 0..random.below(30) {
                    input.push(random.next() as u8);
                    let kind = b"SSSSSSHZ+U"[random.below(10)];
                    let len = random.below(24);
                    let mut payload = random.bytes(len);
                    if let Some(first) = payload.first_mut() {
                        *first = b"RHAFG"[random.below(5)];
                    }
                    frame::append(&mut input, kind, &payload).unwrap();
                }
                input
            },
            super::glimpse_client,
        );
    }
}
