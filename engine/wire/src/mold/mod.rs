//! MoldUDP64 1.00: numbered messages in datagrams, and the requests for lost ones.
//!
//! [`parse`] reads a downstream packet, multicast or answer; [`Request`] is what a receiver asks a re-request server;
//! [`PacketBuilder`] writes packets. Putting the lines together is the work of [`multicast`](crate::multicast).
//!
//! All integers are big-endian. Source: MoldUDP64 Protocol Specification 1.00, Nasdaq.

mod build;
mod request;

use std::ops::Range;

pub use build::{PacketBuilder, PushError, control_packet};
pub use request::{Request, RequestError};

use crate::multicast::{Blocks, Body, ByteOrder, Packet, PacketError, SessionKey};

/// Bytes of the header: session, sequence, count.
pub const HEADER_BYTES: usize = 20;
/// Bytes of a session's name.
pub const SESSION_BYTES: usize = 10;
/// The header's count in a heartbeat.
pub const COUNT_HEARTBEAT: u16 = 0;
/// The header's count at the end of the session.
pub const COUNT_END_OF_SESSION: u16 = u16::MAX;
/// Most messages that one packet can carry.
pub const MAX_MESSAGES: u16 = u16::MAX - 1;
/// Most payload bytes of a UDP datagram over IPv4.
pub const MAX_DATAGRAM_BYTES: usize = 65_507;

/// Reads a downstream packet: the payload of one datagram.
///
/// # Errors
/// [`PacketError`] when the header is cut, the blocks do not end exactly at the end of the datagram, or the numbers do
/// not fit 64 bits.
pub fn parse(datagram: &[u8]) -> Result<Packet<'_>, PacketError> {
    parse_at(datagram, 0..datagram.len())
}

/// Reads the downstream packet that lies in `datagram` of a larger `buffer`; offsets of its messages count in `buffer`.
///
/// # Errors
/// As [`parse`]; a `datagram` that is no part of `buffer` is a cut one.
#[inline]
pub fn parse_at(buffer: &[u8], datagram: Range<usize>) -> Result<Packet<'_>, PacketError> {
    let bytes = buffer.get(datagram.clone()).unwrap_or_default();
    let Some((session, sequence, count)) = parse_header(bytes) else {
        return Err(PacketError::Truncated { need: HEADER_BYTES, have: bytes.len() });
    };
    let blocks = datagram.start + HEADER_BYTES..datagram.end;
    let body = match count {
        COUNT_HEARTBEAT | COUNT_END_OF_SESSION if !blocks.is_empty() => {
            return Err(PacketError::Trailing { have: blocks.len() });
        }
        COUNT_HEARTBEAT => Body::Heartbeat,
        COUNT_END_OF_SESSION => Body::EndOfSession,
        count => match sequence.checked_add(u64::from(count)) {
            Some(_) => Body::Messages(Blocks::parse(buffer, blocks, count, ByteOrder::Big)?),
            None => return Err(PacketError::Sequence { sequence, count }),
        },
    };
    Ok(Packet { session, sequence, body, restart: false })
}

/// Session, sequence and count: the 20 bytes that packets and requests share.
#[inline]
fn parse_header(bytes: &[u8]) -> Option<(SessionKey, u64, u16)> {
    let (session, rest) = bytes.split_first_chunk::<SESSION_BYTES>()?;
    let (sequence, rest) = rest.split_first_chunk()?;
    let count = rest.first_chunk()?;
    Some((SessionKey::padded(session), u64::from_be_bytes(*sequence), u16::from_be_bytes(*count)))
}

/// The same 20 bytes, written. Only the first 10 bytes of a session reach the wire.
#[inline]
fn header(session: SessionKey, sequence: u64, count: u16) -> [u8; HEADER_BYTES] {
    let mut bytes = [0; HEADER_BYTES];
    bytes[..SESSION_BYTES].copy_from_slice(&session.0[..SESSION_BYTES]);
    bytes[SESSION_BYTES..HEADER_BYTES - 2].copy_from_slice(&sequence.to_be_bytes());
    bytes[HEADER_BYTES - 2..].copy_from_slice(&count.to_be_bytes());
    bytes
}

#[cfg(test)]
mod tests;
