//! GLIMPSE: an image of all books over a SoupBinTCP session of its own, ended by the number of the live feed's next message.
//!
//! Source: GLIMPSE 5.0, Nasdaq; Japannext ITCH 1.6, "Snapshot".

use wire::Nanos;
use wire::soupbin::backoff::{Backoff, BackoffConfig};
use wire::soupbin::client::{ClientConfig, CloseReason, Step};
use wire::soupbin::frame::next_packet;

use super::Output;
use super::burst::Burst;
use super::soup_line::SoupLine;
use crate::{InstrumentIds, MessageAt};

/// Where images come from.
#[derive(Debug, Clone, Copy)]
pub struct GlimpseConfig {
    /// The login: sequence 1 of whatever session answers.
    pub login: ClientConfig,
    /// When and where to try again.
    pub backoff: BackoffConfig,
    /// Bytes of the receive buffer: at least one packet, 65,537.
    pub receive_buffer_bytes: usize,
    /// Connections that may fail before a late joiner goes on without an image, its books suspect. At least 1.
    pub join_tries: u32,
}

/// What the bytes of an image have led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// More is to come.
    Loading,
    /// The login was accepted: the image follows.
    Began,
    /// It is complete. The live feed goes on with this message.
    Complete { next: u64 },
}

/// One image after the other.
#[derive(Debug)]
pub(super) struct Glimpse {
    pub(super) line: SoupLine,
    pub(super) backoff: Backoff,
    pub(super) config: GlimpseConfig,
}

impl Glimpse {
    pub(super) fn new(config: GlimpseConfig, seed: u64) -> Glimpse {
        Glimpse {
            line: SoupLine::new(config.login, config.receive_buffer_bytes),
            backoff: Backoff::new(config.backoff, seed),
            config,
        }
    }

    /// Takes every whole packet of what came. Stops after [`Progress::Began`], so that the owner can make room for the
    /// image, and is then called again.
    pub(super) fn packets<I: InstrumentIds>(
        &mut self,
        now: Nanos,
        ts_recv: u64,
        realtime: impl Fn() -> u64 + Copy,
        out: &mut Output<I>,
    ) -> Result<Progress, CloseReason> {
        let mut burst = Burst::new(Some(ts_recv), 0);
        let outcome = self.walk(now, realtime, out, &mut burst);
        burst.flush(self.line.inbox.bytes(), realtime, out);
        self.line.inbox.consume();
        outcome
    }

    fn walk<I: InstrumentIds>(
        &mut self,
        now: Nanos,
        realtime: impl Fn() -> u64 + Copy,
        out: &mut Output<I>,
        burst: &mut Burst,
    ) -> Result<Progress, CloseReason> {
        loop {
            let start = self.line.inbox.start();
            let next = match next_packet(self.line.inbox.waiting()) {
                Ok(Some(next)) => next,
                Ok(None) => return Ok(Progress::Loading),
                Err(error) => {
                    self.line.client.handle_frame_error(error);
                    return Err(CloseReason::Frame(error));
                }
            };
            let consumed = next.consumed;
            let step = self.line.client.handle_packet(now, next.kind, next.payload);
            let progress = match step {
                Step::Deliver { sequence, payload } => match next_of_live_feed(payload) {
                    Some(next) => Some(Progress::Complete { next }),
                    None => {
                        let at = (start + consumed - payload.len()) as u32;
                        burst.push(MessageAt { sequence, at, len: payload.len() as u32 });
                        None
                    }
                },
                Step::LoggedIn { .. } => Some(Progress::Began),
                Step::Close(reason) => return Err(reason),
                _ => None,
            };
            self.line.inbox.take(consumed);
            if burst.is_full() {
                burst.flush(self.line.inbox.bytes(), realtime, out);
            }
            if let Some(progress) = progress {
                return Ok(progress);
            }
        }
    }
}

/// The number that ends an image: `G`, then 20 digits of ASCII padded with spaces (Nasdaq), or a 64-bit number (Japannext).
pub(super) fn next_of_live_feed(message: &[u8]) -> Option<u64> {
    match message {
        [b'G', digits @ ..] if digits.len() == 20 => std::str::from_utf8(digits).ok()?.trim_matches(' ').parse().ok(),
        [b'G', number @ ..] => Some(u64::from_be_bytes(number.try_into().ok()?)),
        _ => None,
    }
    .filter(|next| *next > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_an_image_is_told_from_its_messages() {
        let table: &[(&str, &[u8], Option<u64>)] = &[
            ("digits, left", b"G1234                ", Some(1234)),
            ("digits, right", b"G                1234", Some(1234)),
            ("digits, whole", b"G00000000000000000007", Some(7)),
            ("binary", b"G\0\0\0\0\0\0\x01\0", Some(256)),
            ("zero", b"G\0\0\0\0\0\0\0\0", None),
            ("letters", b"GABC                 ", None),
            ("over 64 bits", b"G99999999999999999999", None),
            ("short", b"G123", None),
            ("another type", b"H\0\0\0\0\0\0\x01\0", None),
            ("nothing", b"", None),
        ];
        for (name, message, expected) in table {
            assert_eq!(next_of_live_feed(message), *expected, "case: {name}");
        }
    }
}
