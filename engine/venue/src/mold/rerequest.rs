//! The re-request server: one request, one ordinary packet to where it came from, or nothing.

use std::net::UdpSocket;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use super::Shared;
use super::packet::{Packet, Request, session_bytes};
use crate::fault::Answer;
use crate::feed::Span;
use crate::log::Cursor;

/// Longest datagram that is looked at: one byte more than a request has, to see that it is none.
const REQUEST_BUFFER_BYTES: usize = 21;

/// Answers until the venue stops.
pub(super) fn run(shared: &Shared, socket: &UdpSocket) {
    let mut server = ReRequests { shared, packet: Packet::new(), answered: 0, window: Instant::now(), in_window: 0 };
    let mut bytes = [0; REQUEST_BUFFER_BYTES];
    while !shared.feed.state().stopping {
        let Ok((len, from)) = socket.recv_from(&mut bytes) else { continue };
        if let Some(answer) = server.answer(&bytes[..len]) {
            // Whoever asks from nowhere gets nothing.
            drop(socket.send_to(&answer, from));
        }
    }
}

struct ReRequests<'a> {
    shared: &'a Shared,
    packet: Packet,
    answered: u64,
    /// Start of the second in which answers are counted.
    window: Instant,
    in_window: u32,
}

impl ReRequests<'_> {
    fn answer(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        let config = self.shared.config.rerequest.as_ref()?;
        let mut report = self.shared.report().rerequest.unwrap_or_default();
        report.requests += 1;
        let answer = match self.judge(bytes, config.max_messages) {
            None => {
                report.refused += 1;
                None
            }
            Some(_) if self.is_over_rate(config.max_rate) => {
                report.over_rate += 1;
                None
            }
            Some((request, span)) => match self.collect(&request, &span) {
                None => {
                    report.not_held += 1;
                    None
                }
                Some(mut answer) => {
                    self.answered += 1;
                    match self.shared.lines.answer(self.answered, request.sequence) {
                        Answer::Send { off_by: 0 } => {
                            report.answered += 1;
                            report.messages += u64::from(self.packet.count());
                            Some(answer)
                        }
                        Answer::Send { off_by } => {
                            report.off_range += 1;
                            answer = self.packet.renumbered(&request.session, request.sequence.saturating_add(off_by));
                            Some(answer)
                        }
                        Answer::Lost | Answer::Mute => {
                            report.kept_back += 1;
                            None
                        }
                    }
                }
            },
        };
        self.shared.report().rerequest = Some(report);
        answer
    }

    /// A request that is one, and its session.
    fn judge(&self, bytes: &[u8], max_messages: u16) -> Option<(Request, Span)> {
        let request = Request::parse(bytes)?;
        let sessions = self.shared.feed.state().sessions.clone();
        let span = sessions.into_iter().rev().find(|span| session_bytes(&span.name) == request.session)?;
        ((1..=max_messages).contains(&request.count) && request.count < u16::MAX).then_some((request, span))
    }

    fn is_over_rate(&mut self, max_rate: u32) -> bool {
        if self.window.elapsed() >= Duration::from_secs(1) {
            (self.window, self.in_window) = (Instant::now(), 0);
        }
        self.in_window = self.in_window.saturating_add(1);
        self.in_window > max_rate
    }

    /// As many of the messages as fit one packet; none when the first one cannot be had.
    fn collect(&mut self, request: &Request, span: &Span) -> Option<Vec<u8>> {
        let feed = &self.shared.feed;
        let packing = self.shared.config.packing;
        let first = request.sequence.checked_add(span.base).filter(|_| request.sequence > 0)?;
        let until = span.limit(self.shared.sent.load(Relaxed)).min(first.saturating_add(u64::from(request.count)));
        if first >= until || first < feed.log.first() {
            return None;
        }
        self.packet.begin(&request.session, request.sequence);
        let packet = &mut self.packet;
        let mut cursor = Cursor::new(first);
        let mut is_full = false;
        while !is_full && cursor.next() < until {
            let read = feed.log.read(&mut cursor, until, |message| {
                is_full = !packet.has_room(message.len(), packing.max_bytes, packing.max_messages);
                if !is_full {
                    packet.push(message);
                }
                !is_full
            });
            // The log may drop its oldest part at any time.
            if read.ok()? == 0 {
                break;
            }
        }
        Some(packet.finish().to_vec())
    }
}
