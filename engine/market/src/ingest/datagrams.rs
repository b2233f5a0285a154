//! A feed of numbered messages in datagrams: lines A and B, re-requests, and images of the books.
//!
//! The caller owns the sockets:
//!
//! 1. Datagrams of a line or of a re-request server go into [`Datagrams::datagram`]; after each burst
//!    [`Datagrams::end_burst`] shows what they did.
//! 2. [`Datagrams::tick`] runs the timers, at the latest when [`Datagrams::poll_timeout`] is due; [`Datagrams::poll_request`]
//!    gives requests to send.
//! 3. When [`Datagrams::image_wanted`] is due, the caller connects to the image server and drives that connection as it
//!    would drive a SoupBinTCP feed's: [`Datagrams::image_connected`], [`Datagrams::image_space`],
//!    [`Datagrams::image_received`], [`Datagrams::image_outgoing`], [`Datagrams::image_sent`], and
//!    [`Datagrams::image_failed`] for whatever ends it early.

use std::ops::Range;

use shm_abi::counters::{FeedCounter, LaneCounter};
use shm_abi::layout::{FeedState, State};
use shm_abi::record::{flag, gap_reason};
use wire::glimpse::client::SnapshotError;
use wire::multicast::{
    Arbiter, ArbiterConfig, Body, ConfigError, GapReason, LineId, LineState, Packet, PacketError, SessionKey,
    SessionStart as Begun, Sink, Source,
};
use wire::soupbin::backoff::Attempt;
use wire::soupbin::client::CloseReason;
use wire::{MessageAt, Nanos, iextp, mold};

use super::glimpse::{Glimpse, Progress};
use super::{GlimpseConfig, Output, SessionEvent, SessionStart, Tap};
use crate::{InstrumentIds, Stamps};

/// How often scores and states of lines are brought up to date.
const SCORES_EVERY_NS: u64 = 20_000_000;
/// Bytes of the longest request: IEX-TP with one range.
const REQUEST_BYTES: usize = 32;
/// Things worth telling that wait to be fetched; further ones are counted.
const NEWS_MAX: usize = 16;

/// How messages are put into datagrams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// MoldUDP64 1.00.
    Mold,
    /// IEX-TP 1.0, with this message protocol.
    IexTp(iextp::Protocol),
}

impl Framing {
    fn parse(self, buffer: &[u8], datagram: Range<usize>) -> Result<Packet<'_>, PacketError> {
        match self {
            Framing::Mold => mold::parse_at(buffer, datagram),
            Framing::IexTp(protocol) => iextp::parse_at(buffer, datagram, protocol),
        }
    }
}

/// What a datagram feed is made from.
#[derive(Debug, Clone, Copy)]
pub struct DatagramsConfig {
    /// How messages are put into datagrams.
    pub framing: Framing,
    /// Limits and policies of the lines.
    pub arbiter: ArbiterConfig,
    /// Where images of the books come from, to join late and to repair; `None`: nowhere.
    pub glimpse: Option<GlimpseConfig>,
}

/// A request to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// Which of the configured servers, from 0.
    pub server: usize,
    bytes: [u8; REQUEST_BYTES],
    len: usize,
}

impl Request {
    /// The datagram.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// Something worth a line in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DatagramNews {
    /// A session begins.
    Session {
        /// Its name.
        session: SessionKey,
        /// Number of the first message to come.
        first: u64,
        /// Whether the books go on, or begin anew.
        start: SessionStart,
    },
    /// The session is over.
    Ended {
        /// Its name.
        session: SessionKey,
    },
    /// Messages are lost.
    Gap {
        /// First.
        first: u64,
        /// Last.
        last: u64,
        /// Why.
        reason: GapReason,
    },
    /// All lines are silent.
    Silent,
    /// Packets come again.
    Heard,
    /// An image was loaded; the feed goes on with this message.
    Image {
        /// Number of that message.
        next: u64,
    },
    /// An image could not be loaded.
    NoImage {
        /// Why its connection ended; `None`: it was complete, but older than what was published.
        reason: Option<SnapshotError>,
    },
}

#[derive(Debug, Default)]
struct NewsBox {
    waiting: [Option<DatagramNews>; NEWS_MAX],
    first: usize,
    len: usize,
    missed: u64,
}

impl NewsBox {
    fn put(&mut self, news: DatagramNews) {
        if self.len == NEWS_MAX {
            self.missed += 1;
            return;
        }
        self.waiting[(self.first + self.len) % NEWS_MAX] = Some(news);
        self.len += 1;
    }

    fn take(&mut self) -> Option<DatagramNews> {
        let news = self.waiting[self.first].take()?;
        self.first = (self.first + 1) % NEWS_MAX;
        self.len -= 1;
        Some(news)
    }
}

/// Where an image stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Image {
    /// None is needed.
    Idle,
    /// One is needed, not before the attempt's time.
    Wanted(Attempt),
    /// Its connection is being made, or its login answered.
    Connecting(Attempt),
    /// It is being loaded, and the lines are held.
    Loading,
}

/// One feed, whatever happens to its lines.
#[derive(Debug)]
pub struct Datagrams {
    arbiter: Arbiter,
    framing: Framing,
    lines: u8,
    window_messages: u64,
    glimpse: Option<Glimpse>,
    image: Image,
    /// Waiting for the first image: nothing of the lines is handed over before it, or before its tries are used up.
    joining: Option<u32>,
    follow: Follow,
    scores_due: Nanos,
    burst: u64,
}

/// What the sink keeps between bursts.
#[derive(Debug)]
struct Follow {
    /// Whether readers were told that data flows.
    up: bool,
    /// Whether a session has begun since the start.
    begun: bool,
    /// Messages published before a restart of the engine, of the session that goes on.
    published: Option<u64>,
    late_join: bool,
    gaps: u64,
    news: NewsBox,
}

/// A session's name as the ABI keeps it: 16 bytes of printable ASCII, space-padded. One that is not text is given by the
/// hexadecimal digits of its first 8 bytes.
fn session_bytes(session: SessionKey) -> [u8; 16] {
    let end = session.0.iter().rposition(|byte| !matches!(byte, 0 | b' ')).map_or(0, |last| last + 1);
    let name = &session.0[..end];
    let mut bytes = [b' '; 16];
    if name.iter().all(|byte| (b' '..=b'~').contains(byte)) {
        bytes[..end].copy_from_slice(name);
        return bytes;
    }
    for (pair, byte) in bytes.chunks_exact_mut(2).zip(session.0) {
        let digit = |nibble: u8| b"0123456789abcdef"[usize::from(nibble & 15)];
        pair.copy_from_slice(&[digit(byte >> 4), digit(byte)]);
    }
    bytes
}

impl Datagrams {
    /// A feed that has heard nothing. All memory that it will ever need is allocated here. `seed` makes the jitter of its
    /// delays reproducible.
    ///
    /// # Errors
    /// The first limit that is out of its range.
    pub fn new(config: DatagramsConfig, seed: u64) -> Result<Datagrams, ConfigError> {
        let mut arbiter = Arbiter::new(config.arbiter)?;
        let glimpse = config.glimpse.map(|image| Glimpse::new(image, seed));
        let mut image = Image::Idle;
        if let Some(glimpse) = &glimpse {
            arbiter.hold();
            image = Image::Wanted(glimpse.backoff.first(Nanos(0)));
        }
        let follow = Follow {
            up: false,
            begun: false,
            published: None,
            late_join: glimpse.is_none() && config.arbiter.start == wire::multicast::Start::FirstSeen,
            gaps: 0,
            news: NewsBox::default(),
        };
        Ok(Datagrams {
            arbiter,
            framing: config.framing,
            lines: config.arbiter.lines,
            window_messages: config.arbiter.window_messages.into(),
            joining: glimpse.as_ref().map(|glimpse| glimpse.config.join_tries.max(1)),
            glimpse,
            image,
            follow,
            scores_due: Nanos(0),
            burst: 0,
        })
    }

    /// The sockets are open: the feed waits for its first packet.
    pub fn listening<I: InstrumentIds>(&self, out: &mut Output<I>) {
        out.set_state(FeedState::Connecting);
        out.count(FeedCounter::Connects, 1);
    }

    /// The feed was closed by command: readers are told. `now_ns`: UNIX time. The caller then wakes the sleepers.
    pub fn paused<I: InstrumentIds>(&mut self, now_ns: u64, out: &mut Output<I>) {
        self.follow.up = false;
        out.set_state(FeedState::Closed);
        out.session_event(SessionEvent::Down, now_ns);
        out.end_burst(self.next_sequence());
    }

    /// Takes the datagram that lies in `datagram` of `buffer`, which came from `source`. `stamp_ns`: the kernel's time of
    /// receipt, UNIX ns, if it gave one.
    #[expect(clippy::too_many_arguments, reason = "a datagram is its bytes, its place, its origin and its times")]
    pub fn datagram<I: InstrumentIds>(
        &mut self,
        now: Nanos,
        source: Source,
        buffer: &[u8],
        datagram: Range<usize>,
        stamp_ns: Option<u64>,
        realtime: impl Fn() -> u64 + Copy,
        tap: &mut impl Tap,
        out: &mut Output<I>,
    ) {
        let ts_recv = stamp_ns.unwrap_or_else(realtime);
        out.count(FeedCounter::Bytes, datagram.len() as u64);
        out.feed.counters.set_feed(FeedCounter::LastByteNs, ts_recv);
        let packet = match self.framing.parse(buffer, datagram.clone()) {
            Ok(packet) => packet,
            Err(_) => {
                self.arbiter.handle_malformed(source);
                out.count(FeedCounter::MalformedPackets, 1);
                return;
            }
        };
        if tap.is_wanted() {
            tap.packet(ts_recv, packet.sequence, buffer.get(datagram).unwrap_or_default());
        }
        let kind = match packet.body {
            Body::Messages(_) => FeedCounter::SequencedPackets,
            Body::Heartbeat | Body::EndOfSession => FeedCounter::Heartbeats,
        };
        out.count(kind, 1);
        let before = out.writer.counters.get(LaneCounter::Received);
        let flags = if stamp_ns.is_some() { 0 } else { flag::RECV_USER };
        let mut sink = Hand { out, follow: &mut self.follow, realtime, flags };
        self.arbiter.handle_packet(now, Nanos(ts_recv), source, &packet, &mut sink);
        self.burst += out.writer.counters.get(LaneCounter::Received).wrapping_sub(before);
    }

    /// A datagram of `len` bytes came of which not all are there: nothing of it is taken.
    pub fn cut_datagram<I: InstrumentIds>(&mut self, source: Source, len: usize, out: &mut Output<I>) {
        out.count(FeedCounter::Bytes, len as u64);
        self.arbiter.handle_malformed(source);
        out.count(FeedCounter::MalformedPackets, 1);
    }

    /// The datagrams that were there have been taken: shows what they did. The caller then wakes the sleepers.
    pub fn end_burst<I: InstrumentIds>(&mut self, out: &mut Output<I>) {
        let messages = std::mem::take(&mut self.burst);
        if messages > 0 {
            out.count_burst(messages);
        }
        out.end_burst(self.next_sequence());
    }

    fn next_sequence(&self) -> u64 {
        if self.follow.begun { self.arbiter.next_sequence() } else { 0 }
    }

    /// Runs the timers that are due, and brings scores and states up to date. Returns whether anything may have been
    /// published: the caller then ends the burst.
    pub fn tick<I: InstrumentIds>(
        &mut self,
        now: Nanos,
        realtime: impl Fn() -> u64 + Copy,
        out: &mut Output<I>,
    ) -> bool {
        let mut published = false;
        if self.arbiter.poll_timeout().is_some_and(|due| due <= now) {
            let mut sink = Hand { out, follow: &mut self.follow, realtime, flags: flag::RECV_USER };
            self.arbiter.handle_timeout(now, &mut sink);
            published = true;
        }
        if now >= self.scores_due {
            self.scores_due = now.saturating_add(SCORES_EVERY_NS);
            published |= self.watch_lines(now, realtime, out);
            self.tell_scores(now, realtime(), out);
        }
        if self.follow.gaps > 0 {
            self.follow.gaps = 0;
            self.want_repair(now);
        }
        published
    }

    /// When [`Datagrams::tick`] must next be called, if nothing arrives.
    pub fn poll_timeout(&self) -> Nanos {
        self.arbiter.poll_timeout().map_or(self.scores_due, |due| due.min(self.scores_due))
    }

    /// The next request to send. Call until `None`, after packets and ticks.
    pub fn poll_request(&mut self, now: Nanos) -> Option<Request> {
        let wanted = self.arbiter.poll_request(now)?;
        let mut bytes = [0; REQUEST_BYTES];
        let len = match self.framing {
            Framing::Mold => {
                let request =
                    mold::Request { session: wanted.session, sequence: wanted.first, count: wanted.count }.to_bytes();
                bytes[..request.len()].copy_from_slice(&request);
                request.len()
            }
            Framing::IexTp(protocol) => {
                let request = iextp::GapFill::of(&wanted, protocol)?.to_bytes();
                bytes[..request.len()].copy_from_slice(&request);
                request.len()
            }
        };
        Some(Request { server: wanted.server.into(), bytes, len })
    }

    /// What has happened, for the log.
    pub fn poll_news(&mut self) -> Option<DatagramNews> {
        self.follow.news.take()
    }

    /// Readers learn when all lines fall silent, and when packets come again.
    fn watch_lines<I: InstrumentIds>(
        &mut self,
        now: Nanos,
        realtime: impl Fn() -> u64 + Copy,
        out: &mut Output<I>,
    ) -> bool {
        if !self.follow.begun || self.arbiter.is_ended() {
            return false;
        }
        let heard = self
            .all_lines()
            .any(|line| matches!(self.arbiter.line_state(line, now), LineState::Live | LineState::Degraded));
        if heard == self.follow.up {
            return false;
        }
        self.follow.up = heard;
        let (state, event, news) = match heard {
            true => (FeedState::Live, SessionEvent::Up, DatagramNews::Heard),
            false => (FeedState::Reconnecting, SessionEvent::Down, DatagramNews::Silent),
        };
        if !heard {
            out.count(FeedCounter::Silences, 1);
        }
        self.follow.news.put(news);
        out.set_state(state);
        out.session_event(event, realtime());
        true
    }

    fn all_lines(&self) -> impl Iterator<Item = LineId> + use<> {
        [LineId::A, LineId::B].into_iter().take(self.lines.into())
    }

    fn tell_scores<I: InstrumentIds>(&self, now: Nanos, now_ns: u64, out: &mut Output<I>) {
        let counters = &mut out.feed.counters;
        let all = self.arbiter.counters();
        for (counter, value) in [
            (FeedCounter::Requests, all.requests),
            (FeedCounter::RequestRetries, all.retries),
            (FeedCounter::Answers, all.answers),
            (FeedCounter::Recovered, all.recovered),
            (FeedCounter::StrayAnswers, all.answers_outside + all.answers_malformed),
            (FeedCounter::ForeignPackets, all.foreign_packets),
            (
                FeedCounter::OddPackets,
                all.unnumbered_packets + all.far_packets + all.after_end_packets + all.stale_packets,
            ),
            (FeedCounter::OpenHoles, self.arbiter.open_holes() as u64),
            (FeedCounter::HeldMessages, self.arbiter.messages_held().into()),
        ] {
            counters.set_feed(counter, value);
        }
        for line in self.all_lines() {
            let score = self.arbiter.line(line);
            let words = [
                score.packets,
                score.messages,
                score.wins,
                score.duplicates,
                score.skipped,
                score.bytes,
                score.last_packet.map_or(0, |at| now_ns.saturating_sub(now.since(at))),
                self.arbiter.median_lead_ns(line).unwrap_or(0),
                match self.arbiter.line_state(line, now) {
                    LineState::Waiting => 0,
                    LineState::Live => 1,
                    LineState::Degraded => 2,
                    LineState::Dead => 3,
                },
            ];
            for (counter, value) in FeedCounter::of_line(line.index()).iter().zip(words) {
                counters.set_feed(*counter, value);
            }
        }
    }

    /// Datagrams that the kernel has dropped on a line since its socket was opened (SO_RXQ_OVFL).
    pub fn kernel_drops<I: InstrumentIds>(&self, line: LineId, dropped: u64, out: &mut Output<I>) {
        let [.., counter] = *FeedCounter::of_line(line.index());
        out.feed.counters.set_feed(counter, dropped);
    }

    // ---- images ----

    /// Messages were lost: the books are suspect until an image of them was loaded, where there are images.
    fn want_repair(&mut self, now: Nanos) {
        if let (Some(glimpse), Image::Idle) = (&self.glimpse, self.image) {
            self.image = Image::Wanted(glimpse.backoff.first(now));
        }
    }

    /// Whether to connect to the image server now, and to which of its addresses. The answer is given once; it is followed by
    /// [`Datagrams::image_connected`] or [`Datagrams::image_failed`].
    pub fn image_wanted(&mut self, now: Nanos) -> Option<Attempt> {
        // An image means nothing before the session of the lines is known.
        match self.image {
            Image::Wanted(attempt) if attempt.at <= now && self.follow.begun => {
                self.image = Image::Connecting(attempt);
                Some(attempt)
            }
            _ => None,
        }
    }

    /// The connection to the image server was made.
    pub fn image_connected(&mut self, now: Nanos) {
        if let Some(glimpse) = &mut self.glimpse {
            glimpse.connected(now);
        }
    }

    /// Where the next bytes of the image's connection go.
    ///
    /// # Panics
    /// When there are no images: none was wanted then.
    pub fn image_space(&mut self) -> &mut [u8] {
        self.glimpse.as_mut().expect("an image was wanted").inbox.space()
    }

    /// `count` bytes have come into [`Datagrams::image_space`]. `true`: the image is loaded, or was refused; close its
    /// connection. The caller ends the burst and wakes the sleepers.
    ///
    /// # Errors
    /// Why the connection must be closed; tell [`Datagrams::image_failed`].
    pub fn image_received<I: InstrumentIds>(
        &mut self,
        now: Nanos,
        count: usize,
        realtime: impl Fn() -> u64 + Copy,
        out: &mut Output<I>,
    ) -> Result<bool, SnapshotError> {
        let Some(glimpse) = &mut self.glimpse else { return Ok(true) };
        glimpse.filled(now, count);
        out.count(FeedCounter::Bytes, count as u64);
        loop {
            let stamp = realtime();
            let stamps = Stamps { ts_recv: stamp, ts_publish: stamp, flags: flag::RECV_USER };
            match glimpse.packets(now, stamp, realtime, out)? {
                Progress::Loading => return Ok(false),
                Progress::Began => {
                    self.image = Image::Loading;
                    self.arbiter.hold();
                    out.normaliser.snapshot_begin(stamps, &mut out.writer);
                }
                Progress::Complete { next } => {
                    self.image_complete(now, next, stamps, realtime, out);
                    return Ok(true);
                }
            }
        }
    }

    fn image_complete<I: InstrumentIds>(
        &mut self,
        now: Nanos,
        next: u64,
        stamps: Stamps,
        realtime: impl Fn() -> u64 + Copy,
        out: &mut Output<I>,
    ) {
        if next > self.arbiter.next_sequence().saturating_add(self.window_messages) {
            // No image of this feed can be so far ahead of it: it is of another day, or of another feed.
            out.normaliser.snapshot_abandon(stamps, &mut out.writer);
            self.image_over(now, None, stamps, out);
            return;
        }
        let before = self.follow.known_until(&self.arbiter, self.joining.is_some());
        let last = next - 1;
        if before.is_some_and(|before| last > before) {
            // The image tells where these messages have led, not what they were.
            let first = before.unwrap_or(0) + 1;
            out.normaliser.gap(first, last, gap_reason::IMAGED, stamps, &mut out.writer);
        }
        if !out.normaliser.snapshot_end(last, stamps, &mut out.writer) {
            self.image_over(now, None, stamps, out);
            return;
        }
        self.image = Image::Idle;
        self.joining = None;
        self.follow.published = None;
        out.count(FeedCounter::Images, 1);
        self.follow.news.put(DatagramNews::Image { next });
        out.writer.set_state(State::Live);
        let mut sink = Hand { out, follow: &mut self.follow, realtime, flags: flag::RECV_USER };
        // It was seen above that the arbiter can go there.
        let _ = self.arbiter.release_from(now, next, &mut sink);
    }

    /// Timers of the image's connection.
    ///
    /// # Errors
    /// Why the connection must be closed; tell [`Datagrams::image_failed`].
    pub fn image_tick(&mut self, now: Nanos) -> Result<(), SnapshotError> {
        self.glimpse.as_mut().map_or(Ok(()), |glimpse| glimpse.tick(now))
    }

    /// Bytes to send to the image server.
    pub fn image_outgoing(&self) -> &[u8] {
        self.glimpse.as_ref().map_or(&[], |glimpse| glimpse.outbox.bytes())
    }

    /// The socket took the first `count` of them.
    pub fn image_sent(&mut self, now: Nanos, count: usize) {
        if let Some(glimpse) = &mut self.glimpse {
            glimpse.sent(now, count);
        }
    }

    /// The image's connection could not be made, or has ended before the image did. The caller ends the burst.
    pub fn image_failed<I: InstrumentIds>(
        &mut self,
        now: Nanos,
        reason: SnapshotError,
        realtime: impl Fn() -> u64 + Copy,
        out: &mut Output<I>,
    ) {
        let stamp = realtime();
        let stamps = Stamps { ts_recv: stamp, ts_publish: stamp, flags: flag::RECV_USER };
        if self.image == Image::Loading {
            out.normaliser.snapshot_abandon(stamps, &mut out.writer);
        }
        self.image_over(now, Some(reason), stamps, out);
        if self.joining.is_none() && self.arbiter.is_holding() {
            let next = self.arbiter.next_sequence();
            let mut sink = Hand { out, follow: &mut self.follow, realtime, flags: flag::RECV_USER };
            let _ = self.arbiter.release_from(now, next, &mut sink);
        }
    }

    /// Plans another try, or gives up waiting for the first image.
    fn image_over<I: InstrumentIds>(
        &mut self,
        now: Nanos,
        reason: Option<SnapshotError>,
        stamps: Stamps,
        out: &mut Output<I>,
    ) {
        let Some(glimpse) = &mut self.glimpse else { return };
        self.follow.news.put(DatagramNews::NoImage { reason });
        // A refusal is not tried again at speed; everything else is a line that broke.
        let cause = match reason {
            Some(SnapshotError::Closed(cause @ CloseReason::Rejected { .. })) => cause,
            _ => CloseReason::LineBroken,
        };
        let again = glimpse.backoff.on_closed(cause, now);
        self.image = again.map_or(Image::Idle, Image::Wanted);
        if let Some(left) = self.joining {
            self.joining = left.checked_sub(1).filter(|left| *left > 0);
            if self.joining.is_none() {
                out.normaliser.mark_suspect(stamps, &mut out.writer);
            }
        }
    }
}

impl Follow {
    /// Number of the last message that readers know of: by its records, or as declared lost. `None`: they know of none, and
    /// nothing before an image is missing to them.
    fn known_until(&self, arbiter: &Arbiter, joining: bool) -> Option<u64> {
        if joining { self.published } else { Some(arbiter.next_sequence().saturating_sub(1)) }
    }
}

/// Why messages are missing, as readers are told.
fn reason_on_bus(reason: GapReason) -> u64 {
    match reason {
        GapReason::NoServer => gap_reason::NO_SERVER,
        GapReason::Unanswered => gap_reason::UNFILLED,
        GapReason::Overflow => gap_reason::OVERFLOW,
        GapReason::Jump => gap_reason::JUMP,
        GapReason::Abandoned => gap_reason::ABANDONED,
    }
}

/// Takes what the arbiter hands over, for the length of a call.
struct Hand<'h, I, C> {
    out: &'h mut Output<I>,
    follow: &'h mut Follow,
    realtime: C,
    flags: u8,
}

impl<I: InstrumentIds, C: Fn() -> u64 + Copy> Hand<'_, I, C> {
    fn stamps_now(&self) -> Stamps {
        let now = (self.realtime)();
        Stamps { ts_recv: now, ts_publish: now, flags: flag::RECV_USER }
    }
}

impl<I: InstrumentIds, C: Fn() -> u64 + Copy> Sink for Hand<'_, I, C> {
    #[inline]
    fn messages(&mut self, buffer: &[u8], messages: &[MessageAt], recv: Nanos, _source: Source) {
        let stamps = Stamps { ts_recv: recv.0, ts_publish: (self.realtime)(), flags: self.flags };
        self.out.apply(buffer, messages, stamps);
    }

    fn gap(&mut self, first: u64, last: u64, reason: GapReason) {
        let stamps = self.stamps_now();
        self.out.gap(first, last, reason_on_bus(reason), stamps);
        self.follow.gaps += 1;
        self.follow.news.put(DatagramNews::Gap { first, last, reason });
    }

    fn session(&mut self, begun: Begun) {
        let stamps = self.stamps_now();
        let start = if self.follow.begun { SessionStart::New } else { SessionStart::First };
        let resumed = self.out.session_began(&session_bytes(begun.session), start, None, stamps);
        self.follow.begun = true;
        self.follow.up = true;
        self.follow.published = resumed;
        self.follow.news.put(DatagramNews::Session { session: begun.session, first: begun.first, start });
        if start == SessionStart::First && self.follow.late_join {
            if let Some(published) = resumed.filter(|published| *published + 1 < begun.first) {
                let (first, last) = (published + 1, begun.first - 1);
                self.out.gap(first, last, gap_reason::JOINED_LATE, stamps);
            }
            if begun.first > 1 {
                self.out.normaliser.mark_suspect(stamps, &mut self.out.writer);
            }
        }
    }

    fn end_of_session(&mut self, session: SessionKey, _next: u64) {
        let now = (self.realtime)();
        self.follow.up = false;
        self.follow.news.put(DatagramNews::Ended { session });
        self.out.set_state(FeedState::EndOfSession);
        self.out.session_event(SessionEvent::Ended, now);
    }
}
