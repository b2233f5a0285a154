//! The venue's servers and the network between them and the engine.

use wire::Nanos;
use wire::soupbin::field::SessionId;
use wire::soupbin::frame::{self, kind, next_packet};
use wire::soupbin::server::{LoginRequest, Server, ServerState, ServerStep, ServerTimers};

use super::script::{Answer, GARBAGE, Script};
use crate::common::flow::Rng;
use crate::exchange::Session;
use crate::schedule::Schedule;

/// What the network brings.
#[derive(Debug)]
pub(super) enum Arrival {
    /// Bytes for the engine.
    ToEngine(Vec<u8>),
    /// The engine's end of the connection ends.
    EndAtEngine,
    /// Bytes for the venue.
    ToVenue(Vec<u8>),
    /// The venue's end ends.
    EndAtVenue,
    /// A server's timer.
    Timer,
}

/// A host of the venue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Host {
    Up,
    /// Refuses connections.
    Down,
    /// Does not answer at all.
    Gone,
}

#[derive(Debug)]
struct Connection {
    host: usize,
    server: Server,
    inbox: Vec<u8>,
    open: bool,
    /// Bytes until it is cut, and whether by a reset.
    cut: Option<(usize, bool)>,
    /// Which session it is logged in to.
    session: usize,
    /// When the last bytes on their way arrive, to the engine and to the venue.
    arrival: [u64; 2],
    timer: u64,
}

/// The venue and the network.
pub(super) struct Venue {
    pub(super) rng: Rng,
    pub(super) sessions: Vec<Session>,
    /// The session that is served; `None` between two.
    pub(super) current: Option<usize>,
    /// The newest session that has begun.
    pub(super) begun: usize,
    pub(super) hosts: Vec<Host>,
    connections: Vec<Connection>,
    pub(super) muted: bool,
    pub(super) stalled_until: u64,
    pub(super) largest_piece: usize,
    pub(super) flap: Option<usize>,
    pub(super) next_cut: Option<(usize, bool)>,
    pub(super) answers: Vec<Answer>,
    delay: u64,
    lenient: bool,
}

pub(super) type Net = Schedule<super::Event>;

impl Venue {
    pub(super) fn new(seed: u64, sessions: Vec<Session>, script: &Script) -> Venue {
        Venue {
            rng: Rng(seed),
            sessions,
            current: Some(0),
            begun: 0,
            hosts: vec![Host::Up; script.hosts],
            connections: Vec::new(),
            muted: false,
            stalled_until: 0,
            largest_piece: 65_536,
            flap: None,
            next_cut: None,
            answers: Vec::new(),
            delay: script.delay,
            lenient: script.lenient,
        }
    }

    /// A connection to `host` is made.
    pub(super) fn accept(&mut self, host: usize, net: &mut Net) -> usize {
        let timers = ServerTimers::default();
        let cut = self.flap.map(|at_most| (self.rng.below(at_most as u64) as usize, self.rng.chance(50)));
        let arrival = [net.now; 2];
        self.connections.push(Connection {
            host,
            server: Server::new(timers, Nanos(net.now)),
            inbox: Vec::new(),
            open: true,
            cut: cut.or_else(|| self.next_cut.take()),
            session: 0,
            arrival,
            timer: 0,
        });
        let index = self.connections.len() - 1;
        self.plan_timer(index, net);
        index
    }

    /// Bytes from the engine enter the network.
    pub(super) fn take_up(&mut self, index: usize, bytes: &[u8], net: &mut Net) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(self.piece().min(rest.len()));
            let at = self.arrival(index, 1, net.now);
            net.plan(at, super::Event::Net(index, Arrival::ToVenue(piece.to_vec())));
            rest = after;
        }
    }

    /// The engine ends its side.
    pub(super) fn engine_ends(&mut self, index: usize, net: &mut Net) {
        let at = self.arrival(index, 1, net.now);
        net.plan(at, super::Event::Net(index, Arrival::EndAtVenue));
    }

    fn piece(&mut self) -> usize {
        1 + self.rng.below(self.largest_piece as u64) as usize
    }

    fn arrival(&mut self, index: usize, direction: usize, now: u64) -> u64 {
        let jitter = self.rng.below(self.delay / 4 + 1);
        let last = &mut self.connections[index].arrival[direction];
        *last = (now + self.delay + jitter).max(self.stalled_until).max(*last);
        *last
    }

    /// Bytes from the venue enter the network; a cut may fall into them.
    fn carry(&mut self, index: usize, mut bytes: Vec<u8>, net: &mut Net) {
        let connection = &mut self.connections[index];
        if !connection.open || self.hosts[connection.host] == Host::Gone {
            return;
        }
        let mut cut = None;
        if let Some((left, reset)) = &mut connection.cut {
            if bytes.len() >= *left {
                bytes.truncate(*left);
                cut = Some(*reset);
            }
            *left -= bytes.len();
        }
        let mut rest = &bytes[..];
        // Some of it in small pieces, if they are small; a whole day in pieces of a byte shows nothing more.
        let mut small = 1500;
        while !rest.is_empty() {
            let piece = if small > 0 { self.piece().min(rest.len()) } else { rest.len() };
            small -= small.min(piece);
            let (piece, after) = rest.split_at(piece);
            let at = self.arrival(index, 0, net.now);
            net.plan(at, super::Event::Net(index, Arrival::ToEngine(piece.to_vec())));
            rest = after;
        }
        if let Some(reset) = cut {
            self.end(index, reset, net);
        }
    }

    /// The venue ends a connection; by a reset what is on its way may be lost.
    fn end(&mut self, index: usize, reset: bool, net: &mut Net) {
        let connection = &mut self.connections[index];
        if std::mem::replace(&mut connection.open, false) && self.hosts[connection.host] != Host::Gone {
            let at = if reset { net.now + self.delay } else { self.arrival(index, 0, net.now) };
            net.plan(at, super::Event::Net(index, Arrival::EndAtEngine));
        }
    }

    /// Ends the connections of `host`, or of all.
    pub(super) fn end_all(&mut self, host: Option<usize>, reset: bool, net: &mut Net) {
        for index in 0..self.connections.len() {
            if host.is_none_or(|host| self.connections[index].host == host) {
                self.end(index, reset, net);
            }
        }
    }

    /// The newest open connection is cut after so many bytes, or the next one is.
    pub(super) fn cut(&mut self, after_bytes: usize, reset: bool) {
        match self.connections.iter_mut().rev().find(|connection| connection.open) {
            Some(connection) => connection.cut = Some((after_bytes, reset)),
            None => self.next_cut = Some((after_bytes, reset)),
        }
    }

    /// Nothing is planned to go wrong any more.
    pub(super) fn calm(&mut self, net: &mut Net) {
        (self.flap, self.next_cut, self.largest_piece) = (None, None, 65_536);
        self.answers.clear();
        for connection in &mut self.connections {
            connection.cut = None;
        }
        for index in 0..self.hosts.len() {
            self.restore(index, net);
        }
        self.unmute(net);
    }

    /// A host is back; what it had of connections is forgotten.
    pub(super) fn restore(&mut self, host: usize, net: &mut Net) {
        if std::mem::replace(&mut self.hosts[host], Host::Up) == Host::Gone {
            self.end_all(Some(host), true, net);
        }
    }

    /// The servers go on with what has waited.
    pub(super) fn unmute(&mut self, net: &mut Net) {
        self.muted = false;
        for index in 0..self.connections.len() {
            if self.connections[index].open {
                self.serve(index, net);
            }
        }
    }

    /// Raw bytes into every stream.
    pub(super) fn inject(&mut self, bytes: &[u8], net: &mut Net) {
        for index in 0..self.connections.len() {
            self.carry(index, bytes.to_vec(), net);
        }
    }

    /// What the network brought for the venue.
    pub(super) fn arrived(&mut self, index: usize, arrival: Arrival, net: &mut Net) {
        let connection = &mut self.connections[index];
        match arrival {
            Arrival::ToVenue(bytes) => connection.inbox.extend(bytes),
            Arrival::EndAtVenue => connection.open = false,
            _ => {}
        }
        self.serve(index, net);
    }

    /// Reads, answers, sends what there is to send.
    fn serve(&mut self, index: usize, net: &mut Net) {
        let now = Nanos(net.now);
        if self.muted || !self.connections[index].open || self.hosts[self.connections[index].host] != Host::Up {
            return;
        }
        let mut out = Vec::new();
        let mut at = 0;
        let mut leave = false;
        let inbox = std::mem::take(&mut self.connections[index].inbox);
        while let Ok(Some(packet)) = next_packet(&inbox[at..]) {
            at += packet.consumed;
            match self.connections[index].server.handle_packet(now, packet.kind, packet.payload) {
                ServerStep::LoginRequested(request) => leave |= self.login(index, &request, &mut out, net.now),
                ServerStep::Logout | ServerStep::Close(_) => leave = true,
                _ => {}
            }
        }
        let connection = &mut self.connections[index];
        connection.inbox = inbox[at..].to_vec();
        connection.server.handle_bytes_received(now);
        if connection.server.state() == ServerState::Streaming {
            let session = &self.sessions[connection.session];
            while connection.server.next_sequence() <= session.published {
                let message = session.message(connection.server.next_sequence());
                connection.server.send_sequenced(now, message, &mut out).expect("streaming");
            }
        }
        leave |= matches!(connection.server.handle_timeout(now, &mut out), ServerStep::Close(_));
        self.carry(index, out, net);
        if leave {
            self.end(index, false, net);
        }
        self.plan_timer(index, net);
    }

    /// Serves every connection: there is something new.
    pub(super) fn serve_all(&mut self, net: &mut Net) {
        for index in 0..self.connections.len() {
            self.serve(index, net);
        }
    }

    fn plan_timer(&mut self, index: usize, net: &mut Net) {
        let connection = &mut self.connections[index];
        if let Some(due) =
            connection.server.poll_timeout().filter(|due| connection.open && connection.timer <= net.now.min(due.0))
        {
            connection.timer = due.0.max(net.now + 1);
            net.plan(connection.timer, super::Event::Net(index, Arrival::Timer));
        }
    }

    /// Judges a login. `true`: the connection ends.
    fn login(&mut self, index: usize, request: &LoginRequest, out: &mut Vec<u8>, now: u64) -> bool {
        let connection = &mut self.connections[index];
        let answer = self.answers.pop();
        let session = match (answer, self.current) {
            (Some(Answer::Reject(code)), _) => return connection.server.reject(code, out).is_ok(),
            (Some(Answer::Garbage(which)), _) => {
                out.extend_from_slice(GARBAGE[which]);
                return false;
            }
            (Some(Answer::Nothing), _) => return false,
            (_, None) => return connection.server.reject(frame::REJECT_NO_SESSION, out).is_ok(),
            (_, Some(session)) => session,
        };
        let (name, head) = (&self.sessions[session].name, self.sessions[session].published);
        let name = SessionId::new(name).expect("ten letters");
        let known = request.session.is_blank() || request.session == name;
        if !known && !self.lenient {
            return connection.server.reject(frame::REJECT_NO_SESSION, out).is_ok();
        }
        let asked = if known { request.sequence.clamp(1, head + 1) } else { 1 };
        let sequence = match answer {
            Some(Answer::Skip(by)) => (asked + by).min(head + 1),
            Some(Answer::Replay(by)) => asked.saturating_sub(by).max(1),
            _ => asked,
        };
        connection.session = session;
        connection.server.accept(Nanos(now), &name, sequence, out).expect("deciding");
        false
    }

    /// The present session ends: said, or not. What follows begins when its time comes.
    pub(super) fn end_session(&mut self, said: bool, net: &mut Net) {
        let Some(session) = self.current.take() else { return };
        // What was not published will never be.
        let published = self.sessions[session].published;
        self.sessions[session].truncate(published);
        for index in 0..self.connections.len() {
            let mut out = Vec::new();
            let connection = &mut self.connections[index];
            if said && connection.open && connection.server.end_of_session(Nanos(net.now), &mut out).is_ok() {
                self.carry(index, out, net);
            }
            let reset = !said && self.rng.chance(50);
            self.end(index, reset, net);
        }
    }

    /// Debug packets, unsequenced ones and heartbeats into every stream that is logged in.
    pub(super) fn noise(&mut self, packets: usize, bytes: usize, net: &mut Net) {
        if self.muted {
            return;
        }
        let text = vec![b'x'; bytes];
        for index in 0..self.connections.len() {
            if self.connections[index].server.state() != ServerState::Streaming {
                continue;
            }
            let mut out = Vec::new();
            for _ in 0..packets {
                let kind = [kind::DEBUG, kind::UNSEQUENCED, kind::SERVER_HEARTBEAT][self.rng.below(3) as usize];
                frame::append(&mut out, kind, &text).expect("short");
            }
            self.carry(index, out, net);
        }
    }
}
