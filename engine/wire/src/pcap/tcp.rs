//! TCP segments of a capture put back in order: enough to read a session that was recorded, no more.
//!
//! Both directions of a connection are streams of their own. A stream begins with its first segment, whether that is a
//! SYN or the middle of a session. What arrives early is held, within limits; what never arrives is declared lost by its
//! length, so that a reader can close its session instead of reading on from a wrong byte.

use core::net::SocketAddrV4;

use super::frame::{Packet, TcpFlags, Transport};

/// How much [`Streams`] keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamLimits {
    /// Streams of one capture; segments of further ones are counted and dropped.
    pub max_streams: usize,
    /// Segments of one stream held for a missing one before that is declared lost.
    pub max_held_segments: usize,
    /// Bytes of one stream held for a missing segment before that is declared lost.
    pub max_held_bytes: usize,
}

impl Default for StreamLimits {
    fn default() -> Self {
        StreamLimits { max_streams: 64, max_held_segments: 256, max_held_bytes: 1 << 20 }
    }
}

/// One direction of one connection; dense from 0 in the order of appearance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(pub u32);

/// What a stream gives, in its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece<'a> {
    /// The next bytes.
    Bytes {
        /// When the segment that carried them was captured, ns since the UNIX epoch.
        ts_ns: u64,
        /// The bytes, never empty.
        bytes: &'a [u8],
    },
    /// This many bytes are not in the capture; what follows comes after them.
    Lost {
        /// How many.
        bytes: u64,
    },
    /// The connection ended. If more follows, it is a new one between the same ends.
    Ended,
}

/// What happened to segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StreamCounters {
    /// Segments taken.
    pub segments: u64,
    /// Of those, segments that came before an earlier one and were held.
    pub early: u64,
    /// Bytes that had been delivered before: sent again by TCP.
    pub duplicate_bytes: u64,
    /// Bytes declared lost.
    pub lost_bytes: u64,
    /// Segments of streams beyond the limit.
    pub refused: u64,
}

#[derive(Debug)]
struct Held {
    sequence: u32,
    ts_ns: u64,
    bytes: Vec<u8>,
    missing: u32,
    fin: bool,
}

#[derive(Debug)]
struct Stream {
    source: SocketAddrV4,
    destination: SocketAddrV4,
    /// Number of its connection's first byte.
    start: u32,
    /// Number of the next byte.
    next: u32,
    ended: bool,
    /// Segments beyond a missing one, by their distance from `next`.
    held: Vec<Held>,
    held_bytes: usize,
}

/// Every stream of a capture.
#[derive(Debug, Default)]
pub struct Streams {
    limits: StreamLimits,
    streams: Vec<Stream>,
    counters: StreamCounters,
}

impl Streams {
    /// No stream yet.
    #[must_use]
    pub fn new(limits: StreamLimits) -> Self {
        Streams { limits, ..Streams::default() }
    }

    /// What happened so far.
    #[must_use]
    pub const fn counters(&self) -> StreamCounters {
        self.counters
    }

    /// Streams seen.
    #[must_use]
    pub fn len(&self) -> usize {
        self.streams.len()
    }

    /// Whether none was seen.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.streams.is_empty()
    }

    /// Source and destination of a stream.
    #[must_use]
    pub fn ends(&self, stream: StreamId) -> Option<(SocketAddrV4, SocketAddrV4)> {
        self.streams.get(stream.0 as usize).map(|stream| (stream.source, stream.destination))
    }

    /// Takes a packet and gives what can be read now. Datagrams are none of its business and are ignored.
    pub fn push(&mut self, packet: &Packet<'_>, mut give: impl FnMut(StreamId, Piece<'_>)) {
        let Transport::Tcp { sequence, flags } = packet.transport else { return };
        // A SYN takes a number of its own, before that of the first byte.
        let first = sequence.wrapping_add(flags.syn().into());
        let Some(index) = self.find(packet, first) else {
            self.counters.refused += 1;
            return;
        };
        self.counters.segments += 1;
        let (id, stream) = (StreamId(index as u32), &mut self.streams[index]);
        let give = &mut |piece: Piece<'_>| give(id, piece);
        // A SYN that was sent again begins nothing.
        if flags.syn() && first != stream.start {
            stream.abandon(&mut self.counters, give);
            stream.begin(first);
        }
        if stream.ended {
            self.counters.duplicate_bytes += packet.payload.len() as u64;
            return;
        }
        stream.take(packet, first, flags, &mut self.counters, give);
        while stream.held.len() > self.limits.max_held_segments || stream.held_bytes > self.limits.max_held_bytes {
            stream.skip_to_held(&mut self.counters, give);
        }
        if flags.rst() {
            stream.abandon(&mut self.counters, give);
        }
    }

    /// Gives what is still held, as the capture is over: what is missing before it will not come.
    pub fn finish(&mut self, mut give: impl FnMut(StreamId, Piece<'_>)) {
        for (index, stream) in self.streams.iter_mut().enumerate() {
            while !stream.held.is_empty() {
                stream.skip_to_held(&mut self.counters, &mut |piece| give(StreamId(index as u32), piece));
            }
        }
    }

    /// Index of the packet's stream, made now if there is room. Few streams: one after the other.
    fn find(&mut self, packet: &Packet<'_>, first: u32) -> Option<usize> {
        let (source, destination) = (packet.source, packet.destination);
        let known = self.streams.iter().position(|at| at.source == source && at.destination == destination);
        if known.is_some() || self.streams.len() >= self.limits.max_streams {
            return known;
        }
        let stream =
            Stream { source, destination, start: first, next: first, ended: false, held: Vec::new(), held_bytes: 0 };
        self.streams.push(stream);
        Some(self.streams.len() - 1)
    }
}

impl Stream {
    fn begin(&mut self, first: u32) {
        (self.start, self.next, self.ended) = (first, first, false);
    }

    /// Distance of a number from the next one; negative when it has passed. Numbers wrap.
    fn ahead(&self, sequence: u32) -> i32 {
        sequence.wrapping_sub(self.next) as i32
    }

    fn take(
        &mut self,
        packet: &Packet<'_>,
        first: u32,
        flags: TcpFlags,
        counters: &mut StreamCounters,
        give: &mut impl FnMut(Piece<'_>),
    ) {
        // Lengths of a packet are below 2^16, so the cast keeps the value.
        let missing = packet.missing_bytes as u32;
        if self.ahead(first) > 0 {
            if packet.payload.is_empty() && missing == 0 && !flags.fin() {
                return; // A bare acknowledgement carries nothing to wait for.
            }
            counters.early += 1;
            let at = self.held.partition_point(|held| self.ahead(held.sequence) <= self.ahead(first));
            self.held_bytes += packet.payload.len();
            let bytes = packet.payload.to_vec();
            self.held.insert(at, Held { sequence: first, ts_ns: packet.ts_ns, bytes, missing, fin: flags.fin() });
            return;
        }
        self.deliver(first, packet.ts_ns, packet.payload, missing, flags.fin(), counters, give);
        self.drain(counters, give);
    }

    /// Delivers what of a segment at or before the next number is new.
    #[allow(clippy::too_many_arguments, reason = "the parts of a segment, which is either borrowed or held")]
    fn deliver(
        &mut self,
        first: u32,
        ts_ns: u64,
        bytes: &[u8],
        missing: u32,
        fin: bool,
        counters: &mut StreamCounters,
        give: &mut impl FnMut(Piece<'_>),
    ) {
        let end = first.wrapping_add(bytes.len() as u32).wrapping_add(missing);
        let passed = self.ahead(first).unsigned_abs() as usize;
        let fresh = bytes.get(passed..).unwrap_or_default();
        counters.duplicate_bytes += (bytes.len() - fresh.len()) as u64;
        if !fresh.is_empty() {
            self.next = self.next.wrapping_add(fresh.len() as u32);
            give(Piece::Bytes { ts_ns, bytes: fresh });
        }
        let unseen = self.ahead(end);
        if unseen > 0 {
            self.lose(unseen as u32, counters, give);
        }
        // A FIN that was sent again ends nothing that has gone on since.
        if fin && self.next == end && !self.ended {
            self.ended = true;
            give(Piece::Ended);
        }
    }

    fn lose(&mut self, bytes: u32, counters: &mut StreamCounters, give: &mut impl FnMut(Piece<'_>)) {
        self.next = self.next.wrapping_add(bytes);
        counters.lost_bytes += u64::from(bytes);
        give(Piece::Lost { bytes: bytes.into() });
    }

    /// Delivers held segments for as long as they follow.
    fn drain(&mut self, counters: &mut StreamCounters, give: &mut impl FnMut(Piece<'_>)) {
        let ready = |stream: &Stream| stream.held.first().is_some_and(|held| stream.ahead(held.sequence) <= 0);
        while ready(self) {
            let Held { sequence, ts_ns, bytes, missing, fin } = self.held.remove(0);
            self.held_bytes -= bytes.len();
            if !self.ended {
                self.deliver(sequence, ts_ns, &bytes, missing, fin, counters, give);
            }
        }
    }

    /// Declares lost what is missing before the first held segment, and goes on from there.
    fn skip_to_held(&mut self, counters: &mut StreamCounters, give: &mut impl FnMut(Piece<'_>)) {
        let Some(held) = self.held.first() else { return };
        if self.ended {
            self.held.clear();
            self.held_bytes = 0;
            return;
        }
        let gap = self.ahead(held.sequence);
        if gap > 0 {
            self.lose(gap as u32, counters, give);
        }
        self.drain(counters, give);
    }

    /// Ends a connection that said no proper goodbye.
    fn abandon(&mut self, counters: &mut StreamCounters, give: &mut impl FnMut(Piece<'_>)) {
        while !self.held.is_empty() {
            self.skip_to_held(counters, give);
        }
        if !self.ended {
            self.ended = true;
            give(Piece::Ended);
        }
    }
}
