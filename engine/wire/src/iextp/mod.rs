//! IEX-TP 1.0: numbered messages in datagrams, and the requests for lost ones.
//!
//! [`parse`] reads a segment, as the document calls a packet, into the framing-independent
//! [`Packet`]; [`GapFill`] is what a receiver asks a gap-fill server; [`segment`] writes packets. Putting the lines
//! together is the work of [`multicast`](crate::multicast).
//!
//! A stream starts anew within its session when the venue's side was restarted: numbers fall back to 1 and the stream
//! offset to 0 (eleven times in one capture of the test facility). [`Packet::restart`] tells of it.
//!
//! All integers are little-endian. Source: IEX Transport Specification 1.0.

mod request;

use std::ops::Range;

pub use request::{
    GapFill, RANGE_BYTES, RANGE_MESSAGES_MAX, RANGES_MAX, REQUEST_HEADER_BYTES, RequestError, RequestKind,
};
use zerocopy::byteorder::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::multicast::{Blocks, Body, ByteOrder, Packet, PacketError, SessionKey};

/// Bytes of the header.
pub const HEADER_BYTES: usize = 40;
/// The one version that there is.
pub const VERSION: u8 = 1;

/// What the messages of a stream are: the header's message protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum Protocol {
    /// Best quotes and trades: TOPS 1.6.
    Tops = 0x8003,
    /// Price levels and trades: DEEP 1.0.
    Deep = 0x8004,
}

impl Protocol {
    /// The number in the header.
    #[must_use]
    pub const fn id(self) -> u16 {
        self as u16
    }
}

/// The header, viewed in place over the packet: 40 bytes, little-endian, never copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct Header {
    /// [`VERSION`].
    pub version: u8,
    /// No meaning.
    pub reserved: u8,
    /// See [`Protocol::id`].
    pub message_protocol: U16,
    /// Stream of bytes or messages; with the session it names a sequence.
    pub channel: U32,
    /// Session of that channel.
    pub session: U32,
    /// Bytes behind this header.
    pub payload_len: U16,
    /// Messages in the payload; 0 in a heartbeat.
    pub message_count: U16,
    /// Bytes of the stream before this payload; 0 when the stream begins.
    pub stream_offset: U64,
    /// Number of the first message; in a heartbeat, of the next one to come.
    pub first_sequence: U64,
    /// When it was sent, ns since the UNIX epoch.
    pub send_time: U64,
}

const _: () = assert!(size_of::<Header>() == HEADER_BYTES && align_of::<Header>() == 1);

impl Header {
    /// Views the header at the start of `datagram`.
    ///
    /// # Errors
    /// [`PacketError::Truncated`] under 40 bytes.
    #[inline]
    pub fn parse(datagram: &[u8]) -> Result<&Self, PacketError> {
        let (header, _payload) = Self::ref_from_prefix(datagram)
            .map_err(|_| PacketError::Truncated { need: HEADER_BYTES, have: datagram.len() })?;
        Ok(header)
    }

    /// Channel and session as one name: see [`session_key`].
    #[inline]
    #[must_use]
    pub const fn session_key(&self) -> SessionKey {
        session_key(self.channel.get(), self.session.get())
    }
}

/// Channel and session as sixteen hexadecimal digits, so that the name is text wherever it is shown.
#[inline]
#[must_use]
pub const fn session_key(channel: u32, session: u32) -> SessionKey {
    let both = (channel as u64) << 32 | session as u64;
    let mut digits = [0; 16];
    let mut i = 0;
    while i < digits.len() {
        digits[i] = b"0123456789abcdef"[(both >> (60 - 4 * i)) as usize & 15];
        i += 1;
    }
    SessionKey(digits)
}

/// Channel and session of a name that [`session_key`] made; `None` for any other.
#[must_use]
pub fn channel_and_session(key: SessionKey) -> Option<(u32, u32)> {
    let digits = std::str::from_utf8(&key.0).ok()?;
    let both = u64::from_str_radix(digits, 16).ok()?;
    let (channel, session) = ((both >> 32) as u32, both as u32);
    (session_key(channel, session) == key).then_some((channel, session))
}

/// Reads a packet of `protocol`: the payload of one datagram.
///
/// # Errors
/// [`PacketError`] when the header is cut or of another version or protocol, when its length is not the datagram's, when
/// the blocks do not end exactly at its end, or when the numbers do not fit 64 bits.
#[inline]
pub fn parse(datagram: &[u8], protocol: Protocol) -> Result<Packet<'_>, PacketError> {
    parse_at(datagram, 0..datagram.len(), protocol)
}

/// Reads the packet that lies in `datagram` of a larger `buffer`; offsets of its messages count in `buffer`.
///
/// # Errors
/// As [`parse`]; a `datagram` that is no part of `buffer` is a cut one.
#[inline]
pub fn parse_at(buffer: &[u8], datagram: Range<usize>, protocol: Protocol) -> Result<Packet<'_>, PacketError> {
    let bytes = buffer.get(datagram.clone()).unwrap_or_default();
    let header = Header::parse(bytes)?;
    if header.version != VERSION {
        return Err(PacketError::Header { field: "version", want: VERSION.into(), got: header.version.into() });
    }
    let got = header.message_protocol.get();
    if got != protocol.id() {
        return Err(PacketError::Header { field: "message protocol", want: protocol.id(), got });
    }
    let need = HEADER_BYTES + usize::from(header.payload_len.get());
    if bytes.len() < need {
        return Err(PacketError::Truncated { need, have: bytes.len() });
    }
    if bytes.len() > need {
        return Err(PacketError::Trailing { have: bytes.len() - need });
    }
    let (sequence, count) = (header.first_sequence.get(), header.message_count.get());
    let blocks = datagram.start + HEADER_BYTES..datagram.end;
    let body = match count {
        0 if !blocks.is_empty() => return Err(PacketError::Trailing { have: blocks.len() }),
        0 => Body::Heartbeat,
        count => match sequence.checked_add(u64::from(count)) {
            Some(_) => Body::Messages(Blocks::parse(buffer, blocks, count, ByteOrder::Little)?),
            None => return Err(PacketError::Sequence { sequence, count }),
        },
    };
    Ok(Packet { session: header.session_key(), sequence, body, restart: header.stream_offset.get() == 0 })
}

/// A packet of `protocol` with `messages`, numbered from `first_sequence` on; without messages, a heartbeat.
///
/// # Panics
/// When the messages do not fit the two bytes of the payload's length.
#[must_use]
pub fn segment(
    protocol: Protocol,
    (channel, session): (u32, u32),
    stream_offset: u64,
    first_sequence: u64,
    messages: &[&[u8]],
) -> Vec<u8> {
    let payload: usize = messages.iter().map(|message| 2 + message.len()).sum();
    let header = Header {
        version: VERSION,
        reserved: 0,
        message_protocol: U16::new(protocol.id()),
        channel: U32::new(channel),
        session: U32::new(session),
        payload_len: U16::new(payload.try_into().expect("the messages fit one packet")),
        message_count: U16::new(messages.len() as u16),
        stream_offset: U64::new(stream_offset),
        first_sequence: U64::new(first_sequence),
        send_time: U64::new(0),
    };
    let mut out = header.as_bytes().to_vec();
    for message in messages {
        out.extend_from_slice(&(message.len() as u16).to_le_bytes());
        out.extend_from_slice(message);
    }
    out
}

#[cfg(test)]
mod tests;
