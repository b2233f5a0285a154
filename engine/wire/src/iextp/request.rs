//! The request for lost messages: a header of 16 bytes and ranges, by unicast to a gap-fill server.

use super::{Protocol, VERSION, channel_and_session};
use crate::multicast::RecoveryRequest;

/// Bytes before the ranges.
pub const REQUEST_HEADER_BYTES: usize = 16;
/// Bytes of one range: its first and its last number.
pub const RANGE_BYTES: usize = 16;
/// Most ranges that fit a datagram of 1,472 bytes, which no network cuts up.
pub const RANGES_MAX: usize = (1_472 - REQUEST_HEADER_BYTES) / RANGE_BYTES;
/// Most messages that a server answers one request with over UDP.
pub const RANGE_MESSAGES_MAX: u64 = 1_000;

/// What the numbers of the ranges count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum RequestKind {
    /// Messages.
    Sequenced = 1,
    /// Bytes of the stream.
    ByteStream = 2,
}

/// Asks a gap-fill server for messages. No ranges at all is a legal question too: whether anybody is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GapFill {
    /// What the ranges count.
    pub kind: RequestKind,
    /// Number of the message protocol, see [`Protocol::id`].
    pub message_protocol: u16,
    /// Channel of the stream.
    pub channel: u32,
    /// Its session.
    pub session: u32,
    /// First and last number of each range, both included. At most [`RANGES_MAX`].
    pub ranges: Vec<(u64, u64)>,
}

/// Why bytes are no request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The length is not that of a header and as many ranges as it announces.
    #[error("a request of {ranges} ranges has another length than {have} bytes")]
    Length {
        /// Ranges announced; 0 when there is no header.
        ranges: u32,
        /// Bytes that came.
        have: usize,
    },
    /// More than [`RANGES_MAX`].
    #[error("{ranges} ranges in one request")]
    TooMany {
        /// Ranges announced.
        ranges: u32,
    },
    /// Another version or kind than there is.
    #[error("version {version}, kind {kind}: no such request")]
    Header {
        /// Version that came.
        version: u8,
        /// Kind that came.
        kind: u8,
    },
    /// A range ends before it begins.
    #[error("range {first} to {last}")]
    Range {
        /// Its first number.
        first: u64,
        /// Its last number.
        last: u64,
    },
}

impl GapFill {
    /// The request for what an arbiter is missing; `None` when its session is no name of IEX-TP. Over UDP a server
    /// answers with [`RANGE_MESSAGES_MAX`] messages at most, so the range is cut to them.
    #[must_use]
    pub fn of(wanted: &RecoveryRequest, protocol: Protocol) -> Option<GapFill> {
        let (channel, session) = channel_and_session(wanted.session)?;
        let count = u64::from(wanted.count).clamp(1, RANGE_MESSAGES_MAX);
        let ranges = vec![(wanted.first, wanted.first.saturating_add(count - 1))];
        Some(GapFill { kind: RequestKind::Sequenced, message_protocol: protocol.id(), channel, session, ranges })
    }

    /// The request as it goes to the wire. Ranges beyond [`RANGES_MAX`] are left for another request.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let ranges = &self.ranges[..self.ranges.len().min(RANGES_MAX)];
        let mut out = Vec::with_capacity(REQUEST_HEADER_BYTES + RANGE_BYTES * ranges.len());
        out.extend_from_slice(&[VERSION, self.kind as u8]);
        out.extend_from_slice(&self.message_protocol.to_le_bytes());
        for word in [self.channel, self.session, ranges.len() as u32] {
            out.extend_from_slice(&word.to_le_bytes());
        }
        for (first, last) in ranges {
            out.extend_from_slice(&first.to_le_bytes());
            out.extend_from_slice(&last.to_le_bytes());
        }
        out
    }

    /// Reads a request: the payload of one datagram.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub fn parse(datagram: &[u8]) -> Result<GapFill, RequestError> {
        let have = datagram.len();
        let Some((header, body)) = datagram.split_first_chunk::<REQUEST_HEADER_BYTES>() else {
            return Err(RequestError::Length { ranges: 0, have });
        };
        let word = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let (version, kind, ranges) = (header[0], header[1], word(12));
        let kind = match (version, kind) {
            (VERSION, 1) => RequestKind::Sequenced,
            (VERSION, 2) => RequestKind::ByteStream,
            _ => return Err(RequestError::Header { version, kind }),
        };
        if ranges as usize > RANGES_MAX {
            return Err(RequestError::TooMany { ranges });
        }
        if body.len() != ranges as usize * RANGE_BYTES {
            return Err(RequestError::Length { ranges, have });
        }
        let (numbers, _) = body.as_chunks::<8>();
        let (pairs, _) = numbers.as_chunks::<2>();
        let pair = |pair: &[[u8; 8]; 2]| match pair.map(u64::from_le_bytes) {
            [first, last] if first <= last => Ok((first, last)),
            [first, last] => Err(RequestError::Range { first, last }),
        };
        let ranges = pairs.iter().map(pair).collect::<Result<_, _>>()?;
        let message_protocol = u16::from_le_bytes([header[2], header[3]]);
        Ok(GapFill { kind, message_protocol, channel: word(4), session: word(8), ranges })
    }
}
