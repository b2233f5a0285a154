//! Writing packets, for a venue: into the caller's buffer, cut at a payload limit.

use super::{COUNT_END_OF_SESSION, COUNT_HEARTBEAT, HEADER_BYTES, MAX_DATAGRAM_BYTES, MAX_MESSAGES, header};
use crate::multicast::{BLOCK_HEADER_BYTES, Body, SessionKey};

/// A heartbeat or an end of session; `None` for [`Body::Messages`]. `next_sequence` is the number of the next message.
#[must_use]
pub fn control_packet(session: SessionKey, next_sequence: u64, body: &Body<'_>) -> Option<[u8; HEADER_BYTES]> {
    match body {
        Body::Heartbeat => Some(header(session, next_sequence, COUNT_HEARTBEAT)),
        Body::EndOfSession => Some(header(session, next_sequence, COUNT_END_OF_SESSION)),
        Body::Messages(_) => None,
    }
}

/// Why a message was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PushError {
    /// The packet is full: send it and push again to the next one.
    #[error("the packet is full")]
    Full,
    /// No packet of this limit can hold the message.
    #[error("a message of {len} bytes fits no packet of {limit}")]
    TooLong {
        /// Bytes of the message.
        len: usize,
        /// Payload limit of a packet.
        limit: usize,
    },
}

/// Fills one downstream packet message by message, in a buffer of the caller.
///
/// Cutting a stream at a limit is a loop: push, and at [`PushError::Full`] [`finish`](Self::finish), send, and begin the
/// next packet at [`next_sequence`](Self::next_sequence).
#[derive(Debug)]
pub struct PacketBuilder<'b> {
    buffer: &'b mut [u8],
    len: usize,
    session: SessionKey,
    sequence: u64,
    count: u16,
}

impl<'b> PacketBuilder<'b> {
    /// A packet whose first message will be number `sequence`. The length of `buffer` is the payload limit (for Ethernet
    /// 1,472), capped at [`MAX_DATAGRAM_BYTES`]; `None` when not even a header fits.
    #[must_use]
    pub fn new(buffer: &'b mut [u8], session: SessionKey, sequence: u64) -> Option<Self> {
        let limit = buffer.len().min(MAX_DATAGRAM_BYTES);
        let buffer = &mut buffer[..limit];
        buffer.first_chunk_mut::<HEADER_BYTES>()?;
        Some(Self { buffer, len: HEADER_BYTES, session, sequence, count: 0 })
    }

    /// Adds a message; it may be empty.
    ///
    /// # Errors
    /// [`PushError`]; the packet is then as it was.
    pub fn push(&mut self, message: &[u8]) -> Result<(), PushError> {
        let need = BLOCK_HEADER_BYTES + message.len();
        let limit = self.buffer.len();
        let Some(len) = u16::try_from(message.len()).ok().filter(|_| HEADER_BYTES + need <= limit) else {
            return Err(PushError::TooLong { len: message.len(), limit });
        };
        let numbers_left = self.next_sequence() < u64::MAX;
        let Some(block) = self.buffer[self.len..].get_mut(..need).filter(|_| self.count < MAX_MESSAGES && numbers_left)
        else {
            return Err(PushError::Full);
        };
        block[..BLOCK_HEADER_BYTES].copy_from_slice(&len.to_be_bytes());
        block[BLOCK_HEADER_BYTES..].copy_from_slice(message);
        self.len += need;
        self.count += 1;
        Ok(())
    }

    /// Messages in it so far.
    #[must_use]
    pub const fn count(&self) -> u16 {
        self.count
    }

    /// Number that the next message pushed will get: where the next packet begins.
    #[must_use]
    pub const fn next_sequence(&self) -> u64 {
        self.sequence.saturating_add(self.count as u64)
    }

    /// Writes the header and gives the packet back; one without messages is a heartbeat.
    #[must_use]
    pub fn finish(self) -> &'b [u8] {
        let Self { buffer, len, session, sequence, count } = self;
        buffer[..HEADER_BYTES].copy_from_slice(&header(session, sequence, count));
        &buffer[..len]
    }
}
