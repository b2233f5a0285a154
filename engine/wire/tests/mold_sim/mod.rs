//! A feed under virtual time: a venue that sends on two lines and answers requests, a network that loses, repeats and
//! delays, an arbiter, and an obvious receiver that knows what should have come out.

#![allow(clippy::unwrap_used, reason = "a simulation that cannot go on is a failed test")]

use std::collections::BTreeMap;

use wire::mold::{self, PacketBuilder, Request};
use wire::multicast::{Arbiter, ArbiterConfig, Body, GapReason, LineId, SessionKey, SessionStart, Sink, Source};
use wire::{MessageAt, Nanos};

pub(crate) const SESSION: SessionKey = SessionKey(*b"000008412A\0\0\0\0\0\0");
const US: u64 = 1_000;

/// A small generator, so that a failure names the seed that repeats it.
pub(crate) struct Random(pub u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        (self.0 ^ (self.0 >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd) >> 17
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    pub(crate) fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// Text of message `sequence`: every number has another one, some are empty.
pub(crate) fn text(sequence: u64) -> Vec<u8> {
    let len = (sequence.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 60) as usize;
    sequence.to_be_bytes().iter().cycle().take(len).copied().collect()
}

/// What the venue and the network do, in percent of the datagrams where nothing else is said.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Weather {
    pub(crate) messages: u64,
    pub(crate) lines: u8,
    pub(crate) loss: [u64; 2],
    pub(crate) duplicate: u64,
    /// Datagrams that are delayed by up to `delay_us`, and so overtaken.
    pub(crate) late: u64,
    pub(crate) delay_us: u64,
    /// Line B cuts the stream into other packets than line A.
    pub(crate) recut: bool,
    /// Requests that are never answered.
    pub(crate) mute: u64,
    /// Answers that hold other messages than those asked for.
    pub(crate) outside: u64,
    /// The venue's packets hold up to so many messages.
    pub(crate) per_packet: u64,
    pub(crate) end_of_session: bool,
}

impl Weather {
    pub(crate) const FAIR: Self = Self {
        messages: 400,
        lines: 2,
        loss: [0; 2],
        duplicate: 0,
        late: 0,
        delay_us: 0,
        recut: false,
        mute: 0,
        outside: 0,
        per_packet: 5,
        end_of_session: true,
    };
}

/// A datagram on its way.
struct Flight {
    source: Source,
    bytes: Vec<u8>,
}

/// What came out, and when.
#[derive(Default)]
pub(crate) struct Record {
    now: Nanos,
    next: u64,
    pub(crate) gaps: Vec<(u64, u64, GapReason)>,
    pub(crate) delivered: u64,
    pub(crate) lost: u64,
    pub(crate) sessions: Vec<SessionStart>,
    pub(crate) ended_at: Option<u64>,
    /// When each number was handed over or declared.
    done_at: BTreeMap<u64, Nanos>,
    declared: Vec<u64>,
}

impl Sink for Record {
    fn messages(&mut self, buffer: &[u8], messages: &[MessageAt], _recv: Nanos, _source: Source) {
        assert!(!messages.is_empty() && messages.len() <= wire::BATCH);
        for message in messages {
            assert_eq!(message.sequence, self.next, "in order, none twice, none left out");
            assert_eq!(buffer[message.at as usize..][..message.len as usize], text(message.sequence));
            self.done_at.insert(self.next, self.now);
            self.next += 1;
            self.delivered += 1;
        }
    }

    fn gap(&mut self, first: u64, last: u64, reason: GapReason) {
        assert!(first == self.next && first <= last, "gap {first}..{last} at {}", self.next);
        for sequence in first..=last {
            self.done_at.insert(sequence, self.now);
            self.declared.push(sequence);
        }
        self.gaps.push((first, last, reason));
        self.lost += last - first + 1;
        self.next = last + 1;
    }

    fn session(&mut self, start: SessionStart) {
        self.next = start.first;
        self.sessions.push(start);
    }

    fn end_of_session(&mut self, session: SessionKey, next: u64) {
        assert_eq!((session, next, self.ended_at), (SESSION, self.next, None));
        self.ended_at = Some(next);
    }
}

pub(crate) struct Sim {
    random: Random,
    weather: Weather,
    flights: BTreeMap<(Nanos, u64), Flight>,
    launched: u64,
    pub(crate) arbiter: Arbiter,
    pub(crate) record: Record,
    /// The obvious receiver: when each message was first here, from a line or in an answer to a question.
    arrived: BTreeMap<u64, Nanos>,
    /// When it was first known that a message exists: a later number, or a heartbeat, was here.
    revealed: BTreeMap<u64, Nanos>,
    revealed_to: u64,
    asked: Vec<(u64, u64)>,
}

impl Sim {
    pub(crate) fn new(seed: u64, weather: Weather, config: ArbiterConfig) -> Self {
        let mut sim = Self {
            random: Random(seed),
            weather,
            flights: BTreeMap::new(),
            launched: 0,
            arbiter: Arbiter::new(config).unwrap(),
            record: Record { next: 1, ..Record::default() },
            arrived: BTreeMap::new(),
            revealed: BTreeMap::new(),
            revealed_to: 1,
            asked: Vec::new(),
        };
        sim.send_all();
        sim
    }

    /// The whole day of both lines, as the network delivers it.
    fn send_all(&mut self) {
        let last = self.weather.messages;
        let cuts = self.cuts();
        for line in [LineId::A, LineId::B].into_iter().take(usize::from(self.weather.lines)) {
            let cuts = if line == LineId::B && self.weather.recut { self.cuts() } else { cuts.clone() };
            let mut first = 1;
            for end in cuts {
                let bytes = packet(first, end, 1_400);
                // Sent when its last message exists.
                self.launch(Source::Line(line), Nanos(end * 20 * US), bytes);
                first = end;
            }
            // Heartbeats, or announcements of the end, reach everybody sooner or later.
            let body = if self.weather.end_of_session { Body::EndOfSession } else { Body::Heartbeat };
            let bytes = mold::control_packet(SESSION, last + 1, &body).unwrap();
            for beat in 0..4 {
                let at = Nanos((last * 20 + 1_000) * US + beat * 1_000_000 * US);
                self.fly(Source::Line(line), at, bytes.to_vec());
            }
        }
    }

    /// Where packets end, each number being the first of the next packet.
    fn cuts(&mut self) -> Vec<u64> {
        let mut cuts = vec![];
        let mut at = 1;
        while at <= self.weather.messages {
            at = (at + 1 + self.random.below(self.weather.per_packet)).min(self.weather.messages + 1);
            cuts.push(at);
        }
        cuts
    }

    fn launch(&mut self, source: Source, at: Nanos, bytes: Vec<u8>) {
        let loss = if let Source::Line(line) = source { self.weather.loss[line.index()] } else { 0 };
        if self.random.percent(loss) {
            return;
        }
        let copies = 1 + u64::from(self.random.percent(self.weather.duplicate));
        for _ in 0..copies {
            let late = self.random.percent(self.weather.late);
            let delay_us = if late { self.random.below(self.weather.delay_us.max(1)) } else { self.random.below(10) };
            self.fly(source, at.saturating_add(delay_us * US), bytes.clone());
        }
    }

    fn fly(&mut self, source: Source, at: Nanos, bytes: Vec<u8>) {
        self.launched += 1;
        self.flights.insert((at, self.launched), Flight { source, bytes });
    }

    /// Loses every `nth` datagram on line A, and the second after each on line B.
    pub(crate) fn lose_alternately(&mut self, nth: usize) {
        self.lose(|index| index % nth == 1, |index| index % nth == 3 % nth);
    }

    /// Loses the same datagrams on both lines.
    pub(crate) fn lose_together(&mut self, nth: usize) {
        self.lose(|index| index % nth == 1, |index| index % nth == 1);
    }

    /// Takes datagrams with messages out of the air by their place on their line.
    fn lose(&mut self, a: impl Fn(usize) -> bool, b: impl Fn(usize) -> bool) {
        let mut index = [0; 2];
        let mut flights: Vec<_> = std::mem::take(&mut self.flights).into_iter().collect();
        flights.sort_by_key(|(_, flight)| mold::parse(&flight.bytes).unwrap().sequence);
        for (key, flight) in flights {
            let Source::Line(line) = flight.source else { continue };
            let has_messages = mold::parse(&flight.bytes).unwrap().count() > 0;
            let lost = has_messages && if line == LineId::A { a(index[0]) } else { b(index[1]) };
            index[line.index()] += usize::from(has_messages);
            if !lost {
                self.flights.insert(key, flight);
            }
        }
    }

    /// Runs until nothing is under way and no timer is left but those of dead lines.
    pub(crate) fn run(&mut self) {
        let mut now = Nanos(0);
        let mut idle_rounds = 0;
        while idle_rounds < 10 {
            let flight_at = self.flights.first_key_value().map(|((at, _), _)| *at);
            let timer_at = self.arbiter.poll_timeout();
            let Some(at) = flight_at.into_iter().chain(timer_at).min() else { break };
            idle_rounds += u32::from(flight_at.is_none() && self.arbiter.open_holes() == 0);
            assert!(at >= now || flight_at == Some(at), "a timer lies in the past");
            now = now.max(at);
            self.record.now = now;
            if flight_at == Some(at) {
                let (_, flight) = self.flights.pop_first().unwrap();
                self.arrive(now, &flight);
            } else {
                self.arbiter.handle_timeout(now, &mut self.record);
            }
            while let Some(request) = self.arbiter.poll_request(now) {
                self.serve(now, &Request::from(&request).to_bytes());
            }
            if flight_at != Some(at) {
                assert!(
                    self.arbiter.poll_timeout().is_none_or(|next| next > now),
                    "a timeout that was handled is over"
                );
            }
        }
    }

    fn arrive(&mut self, now: Nanos, flight: &Flight) {
        let packet = mold::parse(&flight.bytes).unwrap();
        let (first, end) = (packet.sequence, packet.next_sequence());
        if let Source::Line(_) = flight.source {
            for sequence in self.revealed_to..end.max(first) {
                self.revealed.insert(sequence, now);
            }
            self.revealed_to = self.revealed_to.max(end);
        }
        for sequence in first..end {
            let wanted = |&(first, end): &(u64, u64)| (first..end).contains(&sequence);
            if flight.source != Source::Recovery || self.asked.iter().any(wanted) {
                self.arrived.entry(sequence).or_insert(now);
            }
        }
        self.arbiter.handle_packet(now, now, flight.source, &packet, &mut self.record);
    }

    /// The re-request server: one packet with as many of the messages as fit, or nothing.
    fn serve(&mut self, now: Nanos, request: &[u8]) {
        let request = Request::parse(request).unwrap();
        assert_eq!(request.session, SESSION);
        let end = request.sequence + u64::from(request.count);
        assert!(end <= self.weather.messages + 1, "nobody asks for what does not exist");
        self.asked.push((request.sequence, end));
        if self.random.percent(self.weather.mute) {
            return;
        }
        let stray = if self.random.percent(self.weather.outside) { 7 } else { 0 };
        let first = (request.sequence + stray).min(self.weather.messages);
        let bytes = packet(first, (end + stray).min(self.weather.messages + 1), 120);
        self.launch(Source::Recovery, now.saturating_add(100 * US), bytes);
    }

    /// Everything that must hold at the end, whatever the weather was.
    pub(crate) fn check(&self, limit_ns: u64) {
        let last = self.weather.messages;
        let counters = self.arbiter.counters();
        assert_eq!(self.record.next, last + 1, "all is handed over or declared: {counters:?}");
        assert_eq!(self.record.delivered + self.record.lost, last);
        assert_eq!((counters.delivered, counters.lost), (self.record.delivered, self.record.lost));
        assert_eq!(counters.gaps, self.record.gaps.len() as u64);
        assert_eq!((self.arbiter.open_holes(), self.arbiter.messages_held()), (0, 0));
        assert_eq!(self.record.ended_at.is_some(), self.weather.end_of_session);
        let wins = self.arbiter.line(LineId::A).wins + self.arbiter.line(LineId::B).wins;
        assert_eq!(wins + counters.recovered, self.record.delivered, "each message was won by somebody");
        for (sequence, done_at) in &self.record.done_at {
            let took_ns = done_at.since(self.revealed[sequence]);
            assert!(took_ns <= limit_ns, "message {sequence} took {took_ns} ns");
        }
    }

    /// With room for everything, nothing is declared lost that had come.
    pub(crate) fn check_against_the_obvious_receiver(&self) {
        for sequence in &self.record.declared {
            let declared_at = self.record.done_at[sequence];
            let arrived = self.arrived.get(sequence);
            assert!(arrived.is_none_or(|at| *at >= declared_at), "message {sequence} was here, but declared lost");
        }
    }
}

/// Messages `first` up to but not including `end`, as many as fit.
pub(crate) fn packet(first: u64, end: u64, limit: usize) -> Vec<u8> {
    let mut buffer = vec![0; limit];
    let mut builder = PacketBuilder::new(&mut buffer, SESSION, first).unwrap();
    for sequence in first..end {
        if builder.push(&text(sequence)).is_err() {
            break;
        }
    }
    builder.finish().to_vec()
}
