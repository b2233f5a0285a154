//! The venue's lines and re-request servers, and the network between them and the engine.

use wire::mold::{PacketBuilder, PushError, Request, control_packet};
use wire::multicast::{Body, SessionKey};

use super::script::{Lie, Script};
use crate::common::flow::Rng;
use crate::exchange::Session;
use crate::schedule::{MS, Schedule};

/// Most payload bytes of a datagram.
const PAYLOAD: usize = 1472;

pub(super) type Net = Schedule<super::Event>;

/// A line as it is now.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Line {
    pub(super) loss: u64,
    pub(super) dead: bool,
    pub(super) late: u64,
}

/// The venue and the network.
pub(super) struct Venue {
    rng: Rng,
    pub(super) sessions: Vec<Session>,
    /// The session that is sent; `None` between two.
    pub(super) current: Option<usize>,
    /// The newest session that has begun.
    pub(super) begun: usize,
    /// Its end is announced.
    pub(super) ending: bool,
    pub(super) lines: [Line; 2],
    pub(super) same_loss: u64,
    pub(super) twice: u64,
    pub(super) lie: Option<Lie>,
    pub(super) request_loss: u64,
    /// Next message to send.
    next: u64,
    script: Script,
}

/// A session's key on the wire.
pub(super) fn key(session: &Session) -> SessionKey {
    let mut name = [b' '; 10];
    name[..session.name.len()].copy_from_slice(session.name.as_bytes());
    SessionKey::padded(&name)
}

impl Venue {
    pub(super) fn new(seed: u64, sessions: Vec<Session>, script: &Script) -> Venue {
        Venue {
            rng: Rng(seed),
            sessions,
            current: Some(0),
            begun: 0,
            ending: false,
            lines: [Line::default(); 2],
            same_loss: 0,
            twice: 0,
            lie: None,
            request_loss: 0,
            next: 1,
            script: script.clone(),
        }
    }

    /// The session whose messages servers have, and whose end may still be announced.
    fn serving(&self) -> usize {
        self.current.unwrap_or(self.begun)
    }

    /// Sends what is new.
    pub(super) fn send_new(&mut self, net: &mut Net) {
        let Some(session) = self.current else { return };
        let (first, end) = (self.next, self.sessions[session].published + 1);
        self.next = end;
        if first == end {
            return;
        }
        // One choice for both lines, packet by packet, where they are cut alike.
        let limit = 60 + self.rng.below(PAYLOAD as u64 - 60) as usize;
        let fates: Vec<(u64, bool)> = (0..end - first).map(|_| (self.rng.below(100), self.rng.chance(50))).collect();
        let same: Vec<bool> = fates.iter().map(|_| self.rng.below(100) < self.same_loss).collect();
        for line in 0..self.script.lines {
            let limit = if self.script.recut { 60 + self.rng.below(PAYLOAD as u64 - 60) as usize } else { limit };
            for (at, datagram) in cut(&self.sessions[session], first, end, limit) {
                let index = (at - first) as usize;
                let (fate, which) = fates[index];
                let lost = same[index]
                    || self.script.one_line_only.is_some_and(|percent| fate < percent && usize::from(which) == line);
                if !lost {
                    self.carry(line, datagram, net);
                }
            }
            if self.rng.below(100) < self.twice {
                let from = first.saturating_sub(self.rng.below(30)).max(1);
                let limit = 60 + self.rng.below(PAYLOAD as u64 - 60) as usize;
                for (_, datagram) in cut(&self.sessions[session], from, end, limit) {
                    self.carry(line, datagram, net);
                }
            }
        }
    }

    /// What lines say when there is nothing to say.
    pub(super) fn beat(&mut self, net: &mut Net) {
        let session = &self.sessions[self.serving()];
        let body = match (self.current, self.ending) {
            (Some(_), _) => Body::Heartbeat,
            (None, true) => Body::EndOfSession,
            (None, false) => return,
        };
        let next = if self.current.is_some() { self.next } else { session.len() + 1 };
        let packet = control_packet(key(session), next, &body).expect("a control packet").to_vec();
        for line in 0..self.script.lines {
            self.carry(line, packet.clone(), net);
        }
    }

    /// A line carries a datagram, or loses it.
    fn carry(&mut self, line: usize, datagram: Vec<u8>, net: &mut Net) {
        let Line { loss, dead, late } = self.lines[line];
        let (fate, delay) = (self.rng.below(100), self.rng.below(late + 1));
        if !dead && fate >= loss {
            net.plan(net.now + self.script.delays[line] + delay, super::Event::AtEngine(Some(line), datagram));
        }
    }

    /// A request came to a server: the answer is one packet with as much as fits.
    pub(super) fn asked(&mut self, bytes: &[u8], net: &mut Net) {
        let Ok(request) = Request::parse(bytes) else { panic!("the engine sends whole requests") };
        if self.rng.below(100) < self.request_loss {
            return;
        }
        // A venue keeps the session before for those who still miss something of it.
        let Some(session) = self.sessions.iter().find(|session| key(session) == request.session) else {
            panic!("a request of a session that never was");
        };
        let newest = self.sessions[self.serving()].name == session.name;
        let last = if newest { self.next.max(1) - 1 } else { session.len() };
        assert!(request.sequence <= last.max(session.published), "a request for what nobody has said exists");
        let (mut first, mut end) = (request.sequence, (request.sequence + u64::from(request.count)).min(last + 1));
        let mut name = key(session);
        match self.lie {
            Some(Lie::Nothing) => return,
            Some(Lie::Later(by)) => (first, end) = (first + by, end + by),
            Some(Lie::OtherSession) => name = SessionKey::padded(b"OTHER     "),
            Some(Lie::One) => end = end.min(first + 1),
            Some(Lie::Cut) | None => {}
        }
        let mut buffer = [0; PAYLOAD];
        let mut packet = PacketBuilder::new(&mut buffer, name, first).expect("room");
        for sequence in first..end {
            let message: &[u8] = if sequence <= session.len() { session.message(sequence) } else { b"X" };
            if packet.push(message).is_err() {
                break;
            }
        }
        let mut answer = packet.finish().to_vec();
        if self.lie == Some(Lie::Cut) {
            answer.truncate(answer.len() - 1);
        }
        if self.rng.below(100) >= self.request_loss {
            net.plan(net.now + self.script.delays[2], super::Event::AtEngine(None, answer));
        }
    }

    /// One datagram that nobody should take for ours.
    pub(super) fn odd(&mut self, line: usize, session: SessionKey, sequence: u64, whole: bool, net: &mut Net) {
        let mut buffer = [0; PAYLOAD];
        let mut packet = PacketBuilder::new(&mut buffer, session, sequence).expect("room");
        packet.push(b"XYZ").expect("room");
        let mut datagram = packet.finish().to_vec();
        if !whole {
            datagram.pop();
        }
        net.plan(net.now, super::Event::AtEngine(Some(line), datagram));
    }

    /// Random number below `n`.
    pub(super) fn below(&mut self, n: u64) -> u64 {
        self.rng.below(n)
    }

    /// The present session ends; its end is announced, or the lines fall silent.
    pub(super) fn end_session(&mut self, said: bool, net: &mut Net) {
        let Some(session) = self.current.take() else { return };
        let sent = self.next - 1;
        self.sessions[session].truncate(sent);
        self.ending = said;
        self.beat(net);
    }

    /// The next session begins.
    pub(super) fn begin_session(&mut self) {
        if self.current.is_none() {
            self.begun += 1;
            (self.current, self.next, self.ending) = (Some(self.begun), 1, false);
        }
    }

    /// Nothing goes wrong any more.
    pub(super) fn calm(&mut self) {
        self.lines = [Line::default(); 2];
        (self.same_loss, self.twice, self.lie, self.request_loss) = (0, 0, None, 0);
    }
}

/// Messages `first` up to but not including `end`, cut into packets of at most `limit` bytes; with the first number of
/// each.
fn cut(session: &Session, first: u64, end: u64, limit: usize) -> Vec<(u64, Vec<u8>)> {
    let (mut packets, mut at) = (Vec::new(), first);
    while at < end {
        let mut buffer = vec![0; limit.max(100)];
        let mut packet = PacketBuilder::new(&mut buffer, key(session), at).expect("room");
        while packet.next_sequence() < end {
            match packet.push(session.message(packet.next_sequence())) {
                Ok(()) => {}
                Err(PushError::Full | PushError::TooLong { .. }) => break,
                Err(error) => panic!("{error}"),
            }
        }
        let next = packet.next_sequence();
        packets.push((at, packet.finish().to_vec()));
        at = next;
    }
    packets
}

/// How often lines say that they live, ns.
pub(super) const BEAT: u64 = 250 * MS;
