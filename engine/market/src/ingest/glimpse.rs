//! Where images of the books come from, and the connection that brings one.
//!
//! The session itself is [`wire::glimpse`]; here its messages go into the normaliser, batch by batch.

use wire::glimpse::client::{SnapshotClient, SnapshotError, SnapshotLimits, SnapshotStep};
use wire::soupbin::backoff::{Backoff, BackoffConfig};
use wire::soupbin::client::{ClientConfig, CloseReason};
use wire::soupbin::frame::next_packet;
use wire::{MessageAt, Nanos};

use super::burst::Burst;
use super::outbox::Outbox;
use super::{Inbox, Output};
use crate::InstrumentIds;

/// Where images come from.
#[derive(Debug, Clone, Copy)]
pub struct GlimpseConfig {
    /// The login: message 1 of whatever session answers.
    pub login: ClientConfig,
    /// When and where to try again.
    pub backoff: BackoffConfig,
    /// Bytes of the receive buffer: at least one packet, 65,537.
    pub receive_buffer_bytes: usize,
    /// Connections that may fail before a late joiner goes on without an image, its books suspect. At least 1.
    pub join_tries: u32,
    /// How large an image may be, and how long it may take.
    pub limits: SnapshotLimits,
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
    client: Option<SnapshotClient>,
    pub(super) inbox: Inbox,
    pub(super) outbox: Outbox,
    pub(super) backoff: Backoff,
    pub(super) config: GlimpseConfig,
}

impl Glimpse {
    pub(super) fn new(config: GlimpseConfig, seed: u64) -> Glimpse {
        Glimpse {
            client: None,
            inbox: Inbox::new(config.receive_buffer_bytes),
            outbox: Outbox::default(),
            backoff: Backoff::new(config.backoff, seed),
            config,
        }
    }

    /// A new connection, which logs in.
    pub(super) fn connected(&mut self, now: Nanos) {
        self.client = Some(SnapshotClient::new(self.config.login, self.config.limits, now));
        self.inbox.clear();
        self.outbox.clear();
    }

    /// Timers, and what is to be sent.
    pub(super) fn tick(&mut self, now: Nanos) -> Result<(), SnapshotError> {
        let Some(client) = &mut self.client else { return Ok(()) };
        if client.poll_timeout().is_some_and(|due| due <= now)
            && let SnapshotStep::Failed(error) = client.handle_timeout(now)
        {
            return Err(error);
        }
        let gathered = self.outbox.gather(|| client.poll_transmit());
        gathered.map_err(|()| SnapshotError::Closed(CloseReason::LineBroken))
    }

    /// The first `count` bytes of the outbox were sent.
    pub(super) fn sent(&mut self, now: Nanos, count: usize) {
        self.outbox.sent(count);
        if let Some(client) = &mut self.client
            && count > 0
        {
            client.handle_sent(now);
        }
    }

    /// `count` bytes have come into the inbox.
    pub(super) fn filled(&mut self, now: Nanos, count: usize) {
        self.inbox.filled(count);
        if let Some(client) = &mut self.client {
            client.handle_bytes_received(now);
        }
    }

    /// Takes whole packets of what came. Stops after [`Progress::Began`], so that the owner can make room for the image, and
    /// is then called again.
    pub(super) fn packets<I: InstrumentIds>(
        &mut self,
        now: Nanos,
        ts_recv: u64,
        realtime: impl Fn() -> u64 + Copy,
        out: &mut Output<I>,
    ) -> Result<Progress, SnapshotError> {
        let mut burst = Burst::new(Some(ts_recv), 0);
        let outcome = self.walk(now, realtime, out, &mut burst);
        burst.flush(self.inbox.bytes(), realtime, out);
        self.inbox.consume();
        outcome
    }

    fn walk<I: InstrumentIds>(
        &mut self,
        now: Nanos,
        realtime: impl Fn() -> u64 + Copy,
        out: &mut Output<I>,
        burst: &mut Burst,
    ) -> Result<Progress, SnapshotError> {
        let Some(client) = &mut self.client else { return Ok(Progress::Loading) };
        loop {
            let start = self.inbox.start();
            let next = match next_packet(self.inbox.waiting()) {
                Ok(Some(next)) => next,
                Ok(None) => return Ok(Progress::Loading),
                Err(error) => {
                    client.handle_frame_error(now, error);
                    return Err(SnapshotError::Closed(CloseReason::Frame(error)));
                }
            };
            let consumed = next.consumed;
            let progress = match client.handle_packet(now, next.kind, next.payload) {
                SnapshotStep::Nothing => None,
                SnapshotStep::Begun { .. } => Some(Progress::Began),
                SnapshotStep::Message { number, payload } => {
                    let at = (start + consumed - payload.len()) as u32;
                    burst.push(MessageAt { sequence: number, at, len: payload.len() as u32 });
                    None
                }
                SnapshotStep::Complete { next } => Some(Progress::Complete { next }),
                SnapshotStep::Failed(error) => return Err(error),
            };
            self.inbox.take(consumed);
            if burst.is_full() {
                burst.flush(self.inbox.bytes(), realtime, out);
            }
            if let Some(progress) = progress {
                return Ok(progress);
            }
        }
    }
}
