//! Messages in: handed over at once, held back, or recognised as copies.

use std::ops::Range;

use super::super::holes::{Hole, HoleState};
use super::super::sink::{GapReason, Sink, Source};
use super::super::{Blocks, LineId};
use super::Arbiter;
use crate::time::Nanos;
use crate::{BATCH, MessageAt};

/// Places of messages on their way to the sink. Kept, so that no packet pays for clearing it.
#[derive(Debug)]
pub(super) struct Batch {
    places: Box<[MessageAt; BATCH]>,
    len: usize,
}

impl Batch {
    pub(super) fn new() -> Self {
        Self { places: Box::new([MessageAt::default(); BATCH]), len: 0 }
    }

    #[inline]
    fn flush<S: Sink>(&mut self, buffer: &[u8], recv: Nanos, source: Source, sink: &mut S) {
        if self.len > 0 {
            sink.messages(buffer, &self.places[..self.len], recv, source);
            self.len = 0;
        }
    }

    /// Adds a place; a full batch goes out first.
    #[inline]
    fn push<S: Sink>(&mut self, place: MessageAt, buffer: &[u8], recv: Nanos, source: Source, sink: &mut S) {
        if self.len == BATCH {
            self.flush(buffer, recv, source, sink);
        }
        self.places[self.len] = place;
        self.len += 1;
    }
}

/// Where a message goes.
enum Fate {
    Deliver,
    Held,
    Forgotten,
}

impl Arbiter {
    /// Takes the messages of a packet, the first one being number `first`, as far as they lie in `accept`.
    #[allow(clippy::too_many_arguments, reason = "a packet, where it came from, and where it goes")]
    pub(super) fn intake<S: Sink>(
        &mut self,
        now: Nanos,
        recv: Nanos,
        source: Source,
        blocks: Blocks<'_>,
        first: u64,
        accept: Range<u64>,
        sink: &mut S,
    ) {
        let end = first + u64::from(blocks.message_count());
        let mut new = 0;
        let mut copies = 0;
        if self.holes.is_empty() && !self.is_holding() {
            // The hot path: nothing is missing, so what is not a copy goes out as it lies.
            for place in blocks.places(first) {
                if place.sequence < self.next || !accept.contains(&place.sequence) {
                    copies += u64::from(place.sequence < self.next);
                    continue;
                }
                self.batch.push(place, blocks.buffer(), recv, source, sink);
                self.next = place.sequence + 1;
                new += 1;
            }
            self.highest = self.highest.max(self.next);
            self.batch.flush(blocks.buffer(), recv, source, sink);
            self.counters.delivered += new;
        } else {
            let asked = self.holes.asked();
            for place in blocks.places(first).filter(|place| accept.contains(&place.sequence)) {
                match self.take(recv, source, blocks.buffer(), place, sink) {
                    true => new += 1,
                    false => copies += 1,
                }
            }
            self.batch.flush(blocks.buffer(), recv, source, sink);
            self.note_progress(now, first, end.min(accept.end));
            if self.holes.asked() < asked {
                // Another hole may have waited for its turn to be asked for.
                self.due_at = self.due_at.min(now);
            }
        }
        match source {
            Source::Line(line) => self.lines[line.index()].score.wins += new,
            Source::Recovery => self.counters.recovered += new,
        }
        self.count_duplicates(source, copies);
    }

    pub(super) fn count_duplicates(&mut self, source: Source, copies: u64) {
        self.counters.duplicates += copies;
        if let Source::Line(line) = source {
            self.lines[line.index()].score.duplicates += copies;
        }
    }

    /// One message while something is missing. `false`: it is a copy.
    fn take<S: Sink>(&mut self, recv: Nanos, source: Source, buffer: &[u8], place: MessageAt, sink: &mut S) -> bool {
        let sequence = place.sequence;
        if sequence < self.next || self.window.holds(self.next, sequence) {
            return false;
        }
        let message = &buffer[place.at as usize..][..place.len as usize];
        match self.hold_back(recv, source, buffer, sequence, message, sink) {
            Fate::Deliver => {
                self.batch.push(place, buffer, recv, source, sink);
                self.holes.fill(sequence);
                self.next = sequence + 1;
                self.highest = self.highest.max(self.next);
                self.counters.delivered += 1;
                if self.window.holds(self.next, self.next) {
                    self.batch.flush(buffer, recv, source, sink);
                    self.drain(sink);
                }
            }
            Fate::Held => {
                self.holes.fill(sequence);
                self.highest = self.highest.max(sequence + 1);
            }
            Fate::Forgotten => self.counters.forgotten += 1,
        }
        true
    }

    /// Holds a message back unless it is the next one, making room for it if it must.
    fn hold_back<S: Sink>(
        &mut self,
        recv: Nanos,
        source: Source,
        buffer: &[u8],
        sequence: u64,
        message: &[u8],
        sink: &mut S,
    ) -> Fate {
        loop {
            if sequence < self.next {
                return Fate::Forgotten;
            }
            if sequence == self.next && !self.is_holding() {
                return Fate::Deliver;
            }
            let fits = sequence - self.next < self.window.span() && self.holes.can_fill(sequence);
            if fits && self.window.put(sequence, message, recv, source) {
                return Fate::Held;
            }
            // What this packet has brought so far comes before the gap.
            self.batch.flush(buffer, recv, source, sink);
            self.make_room(sequence, sink);
        }
    }

    /// Moves `next` on, so that something held back can leave; not beyond message `wanted`, unless a snapshot is loading.
    fn make_room<S: Sink>(&mut self, wanted: u64, sink: &mut S) {
        match self.holes.front().map(|hole| (hole.first, hole.last)) {
            Some((first, last)) if !self.is_holding() => {
                debug_assert_eq!(first, self.next);
                self.declare_front(last.min(wanted - 1), GapReason::Overflow, sink);
            }
            Some((first, last)) if first == self.next => {
                self.holes.cut_front(last);
                self.next = last + 1;
            }
            _ => {
                debug_assert!(self.is_holding(), "without a hole and without a hold nothing is held back");
                self.forget_next();
            }
        }
    }

    /// Lets go of the next message although it was not handed over: a snapshot is loading, and may have it.
    pub(super) fn forget_next(&mut self) {
        self.window.release(self.next);
        self.counters.forgotten += 1;
        self.next += 1;
        self.highest = self.highest.max(self.next);
    }

    /// Hands over what is held back from `next` on, up to the next hole.
    pub(super) fn drain<S: Sink>(&mut self, sink: &mut S) {
        let mut places = [MessageAt::default(); BATCH];
        while let Some(run) = self.window.run(self.next, &mut places) {
            let len = run.len;
            sink.messages(run.buffer, &places[..len], run.recv, run.source);
            for place in &places[..len] {
                self.window.release(place.sequence);
            }
            self.next += len as u64;
            self.counters.delivered += len as u64;
        }
    }

    /// A line has named message `start` while `highest` is less: what lies between is missing.
    pub(super) fn open_hole<S: Sink>(&mut self, now: Nanos, start: u64, sink: &mut S) {
        while self.holes.is_full() {
            self.make_room(self.highest, sink);
        }
        self.counters.holes += 1;
        let hole = self.new_hole(now, self.highest, start - 1);
        self.holes.push_back(hole);
        self.highest = start;
    }

    /// A hole known from now on.
    pub(super) fn new_hole(&mut self, now: Nanos, first: u64, last: u64) -> Hole {
        let mut waiting_for = 0;
        for line in [LineId::A, LineId::B] {
            let state = &self.lines[line.index()];
            let may_come = line.index() < usize::from(self.config.lines) && !state.dead && state.next <= last;
            waiting_for |= u8::from(may_come) << line.index();
        }
        // The line that has just shown the hole is moved on after its messages are taken: it passes the hole then.
        let wait_ns = if waiting_for == 0 { 0 } else { self.config.line_wait_ns };
        let at = now.saturating_add(wait_ns.max(self.config.reorder_grace_ns));
        self.due_at = self.due_at.min(at);
        Hole {
            first,
            last,
            known_at: now,
            at,
            state: HoleState::Waiting,
            waiting_for,
            tries: 0,
            server: 0,
            asked_first: 0,
            asked_end: 0,
        }
    }
}
