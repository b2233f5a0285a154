//! The thread that packs messages into datagrams and sends each on every line, as the faults will have it.

use std::net::UdpSocket;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use wire::soupbin::field::SESSION_BYTES;

use super::Shared;
use super::line::Line;
use super::packet::{Packet, bare, session_bytes};
use crate::fault::Fate;
use crate::feed::Span;
use crate::log::{Cursor, LogError};
use crate::pace::Pace;
use crate::server::junk::noise;
use crate::source::AtEnd;

/// Name of this thread among the readers of the feed.
const READER: u64 = 0;
/// Bytes of a datagram of noise.
const NOISE_BYTES: u64 = 37;
const STRAY_SESSION: [u8; SESSION_BYTES] = *b"STRAY00001";
/// Below this a wait is not worth giving up the processor.
const SPIN_LIMIT: Duration = Duration::from_micros(100);

/// Runs until the venue stops.
pub(super) fn run(shared: &Shared, sockets: Vec<UdpSocket>) {
    shared.feed.join(READER, 1, false);
    let mut sender = Sender::new(shared, sockets);
    if let Err(error) = sender.run() {
        shared.feed.fail(error.to_string());
    }
    shared.feed.leave(READER);
}

struct Sender<'a> {
    shared: &'a Shared,
    lines: Vec<Line>,
    packet: Packet,
    cursor: Cursor,
    /// Place of the current session in the feed's list.
    session: usize,
    /// First message of the packet that is being filled, in numbers of the log, and since when.
    first: u64,
    begun: Instant,
    /// When the next heartbeat is due, and the next datagram allowed.
    heartbeat: Instant,
    allowed: Instant,
    ends: u32,
}

impl<'a> Sender<'a> {
    fn new(shared: &'a Shared, sockets: Vec<UdpSocket>) -> Self {
        let destinations = shared.config.lines.iter().map(|line| line.destination);
        let lines = sockets.into_iter().zip(destinations).map(|(socket, destination)| Line::new(socket, destination));
        let now = Instant::now();
        Self {
            shared,
            lines: lines.collect(),
            packet: Packet::new(),
            cursor: Cursor::new(1),
            session: 0,
            first: 1,
            begun: now,
            // The first one at once: whoever listens knows that the line lives.
            heartbeat: now,
            allowed: now,
            ends: 0,
        }
    }

    fn run(&mut self) -> Result<(), LogError> {
        loop {
            let (released, ended, span, stopping) = {
                let state = self.shared.feed.state();
                let span = state.sessions[self.session];
                let ended = state.ended && state.failure.is_none();
                (span.limit(state.released), ended, span, state.stopping)
            };
            if stopping {
                return Ok(());
            }
            self.fill(released, &span)?;
            let now = Instant::now();
            for (at, line) in self.lines.iter_mut().enumerate() {
                line.flush(&mut self.shared.report().lines[at], now);
            }
            if self.cursor.next() == released && self.packet.count() == 0 && span.until == Some(released) {
                self.change_session(&span);
                continue;
            }
            let is_over = ended && self.cursor.next() == released && self.packet.count() == 0 && span.until.is_none();
            self.beat(&span, is_over && self.shared.config.at_end == AtEnd::EndSession);
            self.wait(released);
        }
    }

    /// Packs what is released, and sends every packet that is full or has waited long enough.
    fn fill(&mut self, released: u64, span: &Span) -> Result<(), LogError> {
        let packing = self.shared.config.packing;
        let session = session_bytes(&span.name);
        let linger = Duration::from_micros(packing.linger_micros);
        while self.cursor.next() < released {
            // One datagram's worth at a time.
            let until = released.min(self.first + u64::from(packing.max_messages));
            let (packet, begun) = (&mut self.packet, &mut self.begun);
            let (first, base) = (self.first, span.base);
            let mut is_full = false;
            let mut left_over = Vec::new();
            self.shared.feed.log.read(&mut self.cursor, until, |message| {
                if packet.count() == 0 {
                    packet.begin(&session, first - base);
                    *begun = Instant::now();
                }
                is_full = !packet.has_room(message.len(), packing.max_bytes, packing.max_messages);
                if is_full {
                    left_over.extend_from_slice(message);
                } else {
                    packet.push(message);
                    is_full = packet.count() == packing.max_messages;
                }
                left_over.is_empty() && !is_full
            })?;
            if is_full {
                let has_left_over = self.cursor.next() > self.first + u64::from(self.packet.count());
                self.send(&session, span);
                if has_left_over {
                    self.packet.begin(&session, self.first - base);
                    self.packet.push(&left_over);
                    self.begun = Instant::now();
                }
                if self.shared.feed.state().stopping {
                    return Ok(());
                }
            }
        }
        if self.packet.count() > 0
            && (linger.is_zero() || self.begun.elapsed() >= linger || span.until == Some(released))
        {
            self.send(&session, span);
        }
        Ok(())
    }

    /// Sends the packet on all lines, and empties it.
    fn send(&mut self, session: &[u8; SESSION_BYTES], span: &Span) {
        self.throttle();
        let count = u64::from(self.packet.count());
        let (first, last) = (self.first, self.first + count - 1);
        self.packet.finish();
        let now = Instant::now();
        let mut carried = false;
        for at in 0..self.lines.len() {
            self.lines[at].index += 1;
            let fate = self.shared.lines.fate(at, self.lines[at].index, first, last);
            carried |= !fate.dropped && !fate.mute;
            self.send_on(at, &fate, span);
            if fate.replay.1 > 0 {
                self.replay(at, session, span, fate.replay);
            }
        }
        let mut report = self.shared.report();
        report.messages += count;
        if !carried {
            report.dropped_on_all_lines.add(first, last);
        }
        drop(report);
        self.first += count;
        // Emptied, so that nothing looks as if it waited.
        self.packet.begin(session, self.first - span.base);
        self.shared.sent.store(self.first, Relaxed);
        self.heartbeat = now + Duration::from_millis(self.shared.config.heartbeat_ms);
        if self.shared.config.pace == Pace::Max {
            self.shared.feed.progress(READER, self.first);
        }
    }

    /// One datagram on one line.
    fn send_on(&mut self, at: usize, fate: &Fate, span: &Span) {
        let count = u64::from(self.packet.count());
        let (first, last) = (self.first, self.first + count - 1);
        let line = &mut self.lines[at];
        let report = &mut self.shared.report().lines[at];
        if fate.mute {
            report.muted.add(first, last);
            return;
        }
        if fate.stray {
            line.put(report, &self.packet.renumbered(&STRAY_SESSION, first - span.base));
            report.strays += 1;
        }
        if fate.noise {
            line.put(report, &noise(first, NOISE_BYTES).collect::<Vec<u8>>());
            report.noise += 1;
        }
        if fate.dropped {
            report.dropped.add(first, last);
        } else {
            let delay = Duration::from_micros(fate.delay_micros);
            line.submit(report, self.packet.finish(), count, fate.swap, delay);
        }
    }

    /// Messages that have been sent, once more on one line: the last `wanted` ones up to number `until`.
    fn replay(&mut self, at: usize, session: &[u8; SESSION_BYTES], span: &Span, (until, wanted): (u64, u64)) {
        let packing = self.shared.config.packing;
        let feed = &self.shared.feed;
        let first = (until + 1).saturating_sub(wanted).max(span.base + 1).max(feed.log.first());
        let (mut cursor, mut packet, mut next) = (Cursor::new(first), Packet::new(), first);
        packet.begin(session, first - span.base);
        let (line, report) = (&self.lines[at], &mut self.shared.report().lines[at]);
        let mut take = |message: &[u8]| {
            if !packet.has_room(message.len(), packing.max_bytes, packing.max_messages) {
                line.put(report, packet.finish());
                packet.begin(session, next - span.base);
            }
            packet.push(message);
            next += 1;
            report.repeated += 1;
            true
        };
        // An error means that the log has dropped them: then there is nothing to repeat.
        while matches!(feed.log.read(&mut cursor, until + 1, &mut take), Ok(1..)) {}
        if packet.count() > 0 {
            line.put(report, packet.finish());
        }
    }

    /// Heartbeats, or the end of the session, when it is time.
    fn beat(&mut self, span: &Span, is_over: bool) {
        let now = Instant::now();
        let ends = self.shared.config.end_repeats;
        let is_due = now >= self.heartbeat || (is_over && self.ends == 0);
        if !is_due || (is_over && self.ends >= ends) {
            return;
        }
        self.heartbeat = now + Duration::from_millis(self.shared.config.heartbeat_ms);
        self.say(span, is_over);
        if is_over {
            self.ends += 1;
            let is_waiting = self.lines.iter().any(Line::is_waiting);
            self.shared.finished.store(self.ends >= ends && !is_waiting, Relaxed);
        }
    }

    /// A packet without messages on every line that is not mute.
    fn say(&mut self, span: &Span, is_end: bool) {
        let next = self.cursor.next() - u64::from(self.packet.count());
        let bytes = bare(&session_bytes(&span.name), next - span.base, is_end);
        for (at, line) in self.lines.iter_mut().enumerate() {
            if self.shared.lines.is_mute(at, next) {
                continue;
            }
            let delay = Duration::from_micros(self.shared.lines.delay_micros(at));
            let report = &mut self.shared.report().lines[at];
            // Nothing follows for now: whoever waits for it has waited enough. And a late line's heartbeats are late too.
            line.give_up_swapping(report);
            line.submit(report, &bytes, 0, 0, delay);
            report.heartbeats += u64::from(!is_end);
            report.ends += u64::from(is_end);
        }
    }

    /// Goes over to the next session.
    fn change_session(&mut self, span: &Span) {
        if span.is_ended {
            self.say(span, true);
        }
        self.session += 1;
    }

    /// Keeps to the most datagrams a second.
    fn throttle(&mut self) {
        let Some(rate) = self.shared.config.packing.max_rate else { return };
        let now = Instant::now();
        let wait = self.allowed.saturating_duration_since(now);
        if wait > SPIN_LIMIT {
            std::thread::sleep(wait);
        } else {
            while Instant::now() < self.allowed {
                std::hint::spin_loop();
            }
        }
        // Late by a scheduler's whim is made good, but not by more than 10 ms of datagrams at once.
        self.allowed = self.allowed.max(now - Duration::from_millis(10)) + Duration::from_secs(1) / rate;
    }

    /// Until something is released or due.
    fn wait(&self, released: u64) {
        let now = Instant::now();
        let mut until = self.heartbeat;
        if self.packet.count() > 0 {
            until = until.min(self.begun + Duration::from_micros(self.shared.config.packing.linger_micros));
        }
        if let Some(due) = self.lines.iter().filter_map(Line::due).min() {
            until = until.min(due);
        }
        let (session, ends) = (self.session, self.ends);
        self.shared.feed.wait_for(until.saturating_duration_since(now), |state| {
            let span = &state.sessions[session];
            span.limit(state.released) > released || span.until == Some(released) || (state.ended && ends == 0)
        });
    }
}
