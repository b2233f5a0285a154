//! One client: its bytes in and out, bounded both ways.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::Receiver;
use std::time::Instant;

use shm_abi::control::{LENGTH_BYTES, MESSAGE_BYTES_MAX, Reply, Response, Right, TapEnd, TapEvent, encode, next_frame};

use crate::control::commands::Pending;

/// What a client's connection is busy with, besides its next request.
pub(crate) enum Business {
    /// Nothing.
    Idle,
    /// Awaits the outcome of a command.
    Waits { id: u64, pending: Pending },
    /// Gets a feed's packets.
    Taps(Tap),
    /// Gets a capture's packets from the thread that decodes it.
    TapsPcap { id: u64, packets: Receiver<Reply>, told: bool },
}

/// A tap of a feed.
pub(crate) struct Tap {
    pub(crate) id: u64,
    pub(crate) feed: usize,
    pub(crate) left: u64,
    pub(crate) shown: u64,
    /// The ring's count of dropped packets when this tap began.
    pub(crate) ring_dropped_before: u64,
    /// Packets that found this client's outbox full.
    pub(crate) dropped: u64,
    pub(crate) dialect: String,
}

/// Why a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The client went, or its socket broke.
    Gone,
    /// It took no bytes.
    Slow,
    /// It asked nothing.
    Idle,
    /// It sent what is no message; it has been told.
    Refused,
}

/// One client.
pub(crate) struct Connection {
    pub(crate) number: u64,
    pub(crate) stream: UnixStream,
    pub(crate) right: Right,
    pub(crate) business: Business,
    /// Ends as soon as what waits has been sent.
    pub(crate) closing: bool,
    /// The client has closed both ways: nobody reads what is answered.
    pub(crate) hung_up: bool,
    /// The client has closed its side: no further request comes.
    no_more: bool,
    inbox: Vec<u8>,
    outbox: Vec<u8>,
    /// Last request.
    pub(crate) asked_at: Instant,
    /// Last byte taken by the client, or the moment at which one began to wait.
    taken_at: Instant,
}

impl Connection {
    pub(crate) fn new(number: u64, stream: UnixStream, right: Right, now: Instant) -> Connection {
        Connection {
            number,
            stream,
            right,
            business: Business::Idle,
            closing: false,
            hung_up: false,
            no_more: false,
            inbox: Vec::new(),
            outbox: Vec::new(),
            asked_at: now,
            taken_at: now,
        }
    }

    /// Whether its socket should be read.
    pub(crate) fn wants_to_read(&self) -> bool {
        !self.closing && !self.no_more && self.inbox.len() < LENGTH_BYTES + MESSAGE_BYTES_MAX
    }

    /// Whether a request that has come may be served now: the last one was answered, and mostly taken.
    pub(crate) fn may_ask(&self) -> bool {
        !self.closing && !matches!(self.business, Business::Waits { .. }) && self.outbox.len() <= MESSAGE_BYTES_MAX
    }

    pub(crate) fn wants_to_write(&self) -> bool {
        !self.outbox.is_empty()
    }

    pub(crate) fn waiting_bytes(&self) -> usize {
        self.outbox.len()
    }

    /// The bytes that have come and are not yet understood.
    pub(crate) fn inbox(&mut self) -> &mut Vec<u8> {
        &mut self.inbox
    }

    /// Takes what has come.
    pub(crate) fn receive(&mut self) -> Result<(), Ended> {
        let mut piece = [0; 4096];
        while self.wants_to_read() {
            match self.stream.read(&mut piece) {
                Ok(0) => self.no_more = true,
                Ok(count) => self.inbox.extend_from_slice(&piece[..count]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Err(Ended::Gone),
            }
        }
        Ok(())
    }

    /// Leaves an answer; an answer that does not fit into a message becomes one that says so.
    pub(crate) fn answer(&mut self, id: u64, reply: Reply, now: Instant) {
        if self.outbox.is_empty() {
            self.taken_at = now;
        }
        if let Err(error) = encode(&Response::new(id, reply), &mut self.outbox) {
            let refusal = shm_abi::control::Refusal::value("answer", "too long", error.to_string());
            encode(&Response::new(id, Reply::Refused(refusal)), &mut self.outbox).expect("a short answer fits");
        }
    }

    /// Sends what the socket takes.
    pub(crate) fn send(&mut self, now: Instant) -> Result<(), Ended> {
        while !self.outbox.is_empty() {
            match self.stream.write(&self.outbox) {
                Ok(0) => return Err(Ended::Gone),
                Ok(count) => {
                    self.outbox.drain(..count);
                    self.taken_at = now;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Err(Ended::Gone),
            }
        }
        Ok(())
    }

    /// Whether bytes have come that can be served: a whole request, or what cannot be one.
    pub(crate) fn has_request(&self) -> bool {
        !matches!(next_frame(&self.inbox), Ok(None))
    }

    /// Whether it has ended, now that everything was sent that its socket takes.
    pub(crate) fn over(&self) -> Option<Ended> {
        match self.business {
            _ if self.hung_up => Some(Ended::Gone),
            _ if self.wants_to_write() => None,
            _ if self.closing => Some(Ended::Refused),
            // All that it asked is answered. A tap ends with its client's side of the socket.
            Business::Idle | Business::Taps(_) if self.no_more && !self.has_request() => Some(Ended::Gone),
            _ => None,
        }
    }

    /// Whether it has been silent, or has taken nothing, for too long.
    pub(crate) fn overdue(&self, now: Instant, idle_ms: u64, slow_ms: u64) -> Option<Ended> {
        let over = |since: Instant, limit_ms: u64| now.duration_since(since).as_millis() >= u128::from(limit_ms);
        match self.business {
            _ if self.wants_to_write() && over(self.taken_at, slow_ms) => Some(Ended::Slow),
            Business::Idle if !self.wants_to_write() && over(self.asked_at, idle_ms) => Some(Ended::Idle),
            _ => None,
        }
    }
}

impl Tap {
    /// The end of this tap, as it is told.
    pub(crate) fn end(&self, reason: &str) -> Reply {
        let (packets, dropped, dialect) = (self.shown, self.dropped, self.dialect.clone());
        Reply::TapEnd(TapEnd { packets, dropped, reason: reason.into(), dialect })
    }
}

impl Connection {
    /// A packet of the feed that this client taps: shown, or counted as dropped when too much waits already. `false`
    /// once the tap is at its limit. `dropped_in_ring` counts since the ring was made.
    pub(crate) fn show(&mut self, event: &TapEvent, dropped_in_ring: u64, outbox_max: usize, now: Instant) -> bool {
        let waiting = self.outbox.len();
        let Business::Taps(tap) = &mut self.business else { return false };
        if waiting + LENGTH_BYTES + MESSAGE_BYTES_MAX > outbox_max {
            tap.dropped += 1;
            return true;
        }
        let dropped = tap.dropped + dropped_in_ring.saturating_sub(tap.ring_dropped_before);
        tap.shown += 1;
        tap.left -= 1;
        let (id, left) = (tap.id, tap.left);
        self.answer(id, Reply::Tap(Box::new(TapEvent { dropped, ..event.clone() })), now);
        left > 0
    }
}
