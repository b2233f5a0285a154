//! A feed from a capture: the same sessions and books, with the recorded times for a clock.
//!
//! Datagrams go to the line whose address they were sent to, or all to line A where no lines are named. Of TCP streams those
//! from the server are read, one after the other; what we would send goes nowhere.

use market::ingest::{Datagrams, SoupBin};
use shm_abi::layout::FeedState;
use wire::Nanos;
use wire::multicast::{LineId, Source};
use wire::pcap::{Packet, Packets, Piece, StreamId, StreamLimits, Streams, Transport as Carrier};
use wire::soupbin::backoff::Attempt;
use wire::soupbin::client::CloseReason;

use super::{Driver, Fault};
use crate::config::{DatagramPlan, SoupPlan, Transport};
use crate::control::TapKind;
use crate::feed::{FeedTask, LineTap, datagram_kind};

/// After the last packet the recorded clock runs on by so much, so that every open hole is filled or declared.
const AFTER_NS: u64 = 10_000_000_000;

/// What a capture is played into.
enum Player {
    Soup { soup: Box<SoupBin>, server: Option<StreamId>, streams: Streams },
    Datagrams(Box<Datagrams>),
}

/// Plays all of it; gives what there is to say of its end.
pub(super) async fn play(task: &mut FeedTask, bytes: &[u8], driver: &mut Driver) -> Result<String, Fault> {
    let unreadable = |error: wire::pcap::FileError| Fault::Source(error.to_string());
    let mut packets = Packets::new(bytes).map_err(unreadable)?;
    driver.set_total(task, bytes.len() as u64);
    let transport = task.plan.transport.clone();
    // Chance is for those who dial: here the same must happen each time.
    let seed = 0;
    let mut player = match &transport {
        Transport::Soup(plan) => Player::soup(plan, seed),
        Transport::Datagrams(plan) => Player::datagrams(plan, seed, task).map_err(Fault::Source)?,
        Transport::Records => {
            return Err(Fault::Source("a capture: expected a protocol of messages, not \"recorded\"".into()));
        }
    };
    let mut last_ns = 0;
    while let Some(packet) = packets.next() {
        // A capture's clock may jump back; ours does not.
        last_ns = packet.ts_ns.max(last_ns);
        driver.due(task, last_ns).await?;
        player.packet(task, &transport, &packet, Nanos(last_ns));
        driver.after(task, packets.offset() as u64).await?;
    }
    player.finish(task, Nanos(last_ns));
    driver.after(task, bytes.len() as u64).await?;
    let count = packets.counters().records();
    Ok(match packets.truncated() {
        Some(error) => format!("end of capture after {count} packets: {error}"),
        None => format!("end of capture after {count} packets"),
    })
}

impl Player {
    fn soup(plan: &SoupPlan, seed: u64) -> Player {
        let soup = Box::new(SoupBin::new(plan.config, seed));
        Player::Soup { soup, server: None, streams: Streams::new(StreamLimits::default()) }
    }

    fn datagrams(plan: &DatagramPlan, seed: u64, task: &FeedTask) -> Result<Player, String> {
        let mut config = plan.config;
        // Nobody answers in a capture.
        (config.arbiter.servers, config.glimpse) = (0, None);
        let feed = Datagrams::new(config, seed).map_err(|error| error.to_string())?;
        feed.listening(&mut task.lane.borrow_mut().out);
        Ok(Player::Datagrams(Box::new(feed)))
    }

    fn packet(&mut self, task: &mut FeedTask, transport: &Transport, packet: &Packet<'_>, at: Nanos) {
        let recorded = || at.0;
        match (self, transport) {
            (Player::Datagrams(feed), Transport::Datagrams(plan)) if packet.transport == Carrier::Udp => {
                let Some(line) = line_of(plan, packet) else { return };
                let mut lane = task.lane.borrow_mut();
                let out = &mut lane.out;
                // What was to happen before this packet came.
                feed.tick(at, recorded, out);
                if packet.missing_bytes > 0 {
                    feed.cut_datagram(Source::Line(line), packet.payload.len() + packet.missing_bytes, out);
                } else {
                    let place = 0..packet.payload.len();
                    let kind = datagram_kind(&task.plan);
                    let mut tap = LineTap { port: &mut task.port, kind, line: line.index() as u8 };
                    let source = Source::Line(line);
                    feed.datagram(at, source, packet.payload, place, Some(at.0), recorded, &mut tap, out);
                }
                feed.end_burst(out);
                while feed.poll_news().is_some() {}
            }
            (Player::Soup { soup, server, streams }, Transport::Soup(_)) => {
                let addresses = &task.plan.addresses;
                let source = packet.source.to_string();
                let from_server = addresses.is_empty() || addresses.contains(&source);
                let mut lane = task.lane.borrow_mut();
                let mut tap = LineTap { port: &mut task.port, kind: TapKind::Soup, line: 0 };
                if from_server {
                    streams.push(packet, |id, piece| soup_piece(soup, server, id, piece, at, &mut tap, &mut lane.out));
                }
            }
            _ => {}
        }
    }

    fn finish(&mut self, task: &mut FeedTask, at: Nanos) {
        let mut lane = task.lane.borrow_mut();
        match self {
            Player::Datagrams(feed) => {
                // Holes first, in as many steps as their timers have; then the silence.
                let end = at.saturating_add(AFTER_NS);
                feed.tick(end, || at.0, &mut lane.out);
                feed.end_burst(&mut lane.out);
            }
            Player::Soup { soup, server, streams } => {
                let mut tap = LineTap { port: &mut task.port, kind: TapKind::Soup, line: 0 };
                streams.finish(|id, piece| soup_piece(soup, server, id, piece, at, &mut tap, &mut lane.out));
                end_stream(soup, server, at, &mut lane.out);
            }
        }
        if lane.out.state() != FeedState::EndOfSession {
            lane.out.set_state(FeedState::Closed);
        }
    }
}

/// The line that a datagram was sent to.
fn line_of(plan: &DatagramPlan, packet: &Packet<'_>) -> Option<LineId> {
    if plan.lines.is_empty() {
        return Some(LineId::A);
    }
    let index = plan.lines.iter().position(|line| line.address == packet.destination.into())?;
    Some(if index == 0 { LineId::A } else { LineId::B })
}

/// Bytes of one direction of one connection. The first stream that begins like a server's is the server's.
fn soup_piece(
    soup: &mut SoupBin,
    server: &mut Option<StreamId>,
    id: StreamId,
    piece: Piece<'_>,
    at: Nanos,
    tap: &mut LineTap<'_>,
    out: &mut market::ingest::Output<crate::ids::IdStore>,
) {
    match piece {
        Piece::Bytes { ts_ns, bytes } => {
            if server.is_none() {
                if !begins_like_a_server(bytes) {
                    return;
                }
                *server = Some(id);
                let attempt = Attempt { address_index: 0, at, blank_session: false };
                soup.dialling(attempt, out);
                soup.connected(attempt, at, out);
            }
            if *server != Some(id) {
                return;
            }
            let mut rest = bytes;
            while !rest.is_empty() {
                let space = soup.space();
                let count = rest.len().min(space.len());
                space[..count].copy_from_slice(&rest[..count]);
                rest = &rest[count..];
                if let Err(reason) = soup.received(at, count, Some(ts_ns), || at.0, tap, out) {
                    soup.closed(reason, at, at.0, out);
                    *server = None;
                    return;
                }
            }
        }
        // What follows cannot be framed: the connection is lost to us.
        Piece::Lost { .. } | Piece::Ended if *server == Some(id) => end_stream(soup, server, at, out),
        Piece::Lost { .. } | Piece::Ended => {}
    }
}

fn end_stream(
    soup: &mut SoupBin,
    server: &mut Option<StreamId>,
    at: Nanos,
    out: &mut market::ingest::Output<crate::ids::IdStore>,
) {
    if server.take().is_some() {
        let reason: CloseReason = soup.disconnected();
        soup.closed(reason, at, at.0, out);
    }
}

/// A server's first packet answers the login, perhaps after heartbeats and debug text.
fn begins_like_a_server(bytes: &[u8]) -> bool {
    matches!(bytes.get(2), Some(b'A' | b'J' | b'H' | b'+'))
}
