//! One datagram of a sequenced stream, whatever its header looked like.

use std::fmt;
use std::ops::Range;

use crate::MessageAt;

/// Bytes of the length before each message.
pub const BLOCK_HEADER_BYTES: usize = 2;

/// Name of a session, compared as raw bytes.
///
/// MoldUDP64: the header's 10 bytes, then NUL. IEX-TP: channel and session. The derived order is that of the bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct SessionKey(pub [u8; 16]);

impl SessionKey {
    /// The key whose first bytes are `bytes`, filled up with NUL; bytes after the sixteenth are dropped.
    #[must_use]
    pub fn padded(bytes: &[u8]) -> Self {
        let mut key = [0; 16];
        let len = bytes.len().min(key.len());
        key[..len].copy_from_slice(&bytes[..len]);
        Self(key)
    }
}

impl fmt::Display for SessionKey {
    /// The name without its padding; bytes that are no printable ASCII are escaped.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = self.0.iter().rposition(|byte| !matches!(byte, 0 | b' ')).map_or(0, |last| last + 1);
        write!(f, "{}", self.0[..end].escape_ascii())
    }
}

impl fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionKey({self})")
    }
}

/// Why a datagram is no packet. The feed is untrusted: each variant is an input, not a bug. Nothing of such a datagram is
/// published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PacketError {
    /// Fewer bytes than the header has.
    #[error("truncated packet: need {need} bytes, have {have}")]
    Truncated {
        /// Bytes of the header.
        need: usize,
        /// Bytes that were there.
        have: usize,
    },
    /// A message block runs over the end of the payload.
    #[error("message {index} of {count} needs {need} bytes, {have} are left")]
    Overrun {
        /// Its place in the packet, from 0.
        index: u16,
        /// Messages that the header announces.
        count: u16,
        /// Bytes that the block needs, its length included.
        need: usize,
        /// Bytes that were left.
        have: usize,
    },
    /// Bytes follow the last message block, or the header's own length is another than the datagram's.
    #[error("{have} bytes after the last message")]
    Trailing {
        /// How many.
        have: usize,
    },
    /// The numbers of its messages do not fit 64 bits.
    #[error("{count} messages from number {sequence} on do not fit 64 bits")]
    Sequence {
        /// Number of the first message.
        sequence: u64,
        /// Messages announced.
        count: u16,
    },
    /// Another version or protocol than the one asked for.
    #[error("{field} is {got:#06x}, expected {want:#06x}")]
    Header {
        /// The header's field.
        field: &'static str,
        /// What would be right.
        want: u16,
        /// What came.
        got: u16,
    },
}

/// One datagram, checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet<'p> {
    /// The session that it belongs to.
    pub session: SessionKey,
    /// Number of its first message; without messages, of the next message to come.
    pub sequence: u64,
    /// What it carries.
    pub body: Body<'p>,
    /// It opens a stream (IEX-TP: stream offset 0). On a line that has gone further, the stream starts anew within the
    /// same session. Never set by MoldUDP64.
    pub restart: bool,
}

/// What a packet carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body<'p> {
    /// At least one message.
    Messages(Blocks<'p>),
    /// Proof of life, and of how far the stream has come.
    Heartbeat,
    /// The session has ended before [`Packet::sequence`]. Repeated for a while.
    EndOfSession,
}

impl Packet<'_> {
    /// Messages in it.
    #[must_use]
    pub fn count(&self) -> u16 {
        match &self.body {
            Body::Messages(blocks) => blocks.message_count(),
            Body::Heartbeat | Body::EndOfSession => 0,
        }
    }

    /// Number of the message after its last one. Saturates; a parsed packet never reaches that.
    #[must_use]
    pub fn next_sequence(&self) -> u64 {
        self.sequence.saturating_add(u64::from(self.count()))
    }
}

/// Order of the two bytes of a block's length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ByteOrder {
    /// MoldUDP64.
    Big,
    /// IEX-TP.
    Little,
}

impl ByteOrder {
    #[inline]
    fn u16(self, bytes: [u8; 2]) -> u16 {
        match self {
            Self::Big => u16::from_be_bytes(bytes),
            Self::Little => u16::from_le_bytes(bytes),
        }
    }
}

/// The messages of a packet: blocks of a 2-byte length and that many bytes, which end exactly at the payload's end.
///
/// Checked once when made, so that nothing of a packet with a bad last block is ever published.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Blocks<'p> {
    buffer: &'p [u8],
    /// Offset in `buffer` of the next block's length.
    at: u32,
    /// Offset in `buffer` where the payload ends.
    end: u32,
    count: u16,
    order: ByteOrder,
}

impl<'p> Blocks<'p> {
    /// The `count` blocks that lie in `payload` of `buffer`. Bytes of `buffer` outside of `payload` are never taken for
    /// messages; decoders may look at them (they like some readable bytes behind a message).
    ///
    /// # Errors
    /// [`PacketError::Overrun`] and [`PacketError::Trailing`] when the blocks do not end exactly at the payload's end;
    /// [`PacketError::Truncated`] when `payload` is no part of `buffer`.
    pub fn parse(buffer: &'p [u8], payload: Range<usize>, count: u16, order: ByteOrder) -> Result<Self, PacketError> {
        // 4 GiB are far beyond any datagram; the offsets of `MessageAt` have 32 bits.
        let buffer = &buffer[..buffer.len().min(u32::MAX as usize)];
        if payload.start > payload.end || payload.end > buffer.len() {
            return Err(PacketError::Truncated { need: payload.end, have: buffer.len() });
        }
        let mut at = payload.start;
        for index in 0..count {
            let rest = &buffer[at..payload.end];
            let len = rest.first_chunk().map_or(0, |bytes| usize::from(order.u16(*bytes)));
            let need = BLOCK_HEADER_BYTES + len;
            if rest.len() < need {
                return Err(PacketError::Overrun { index, count, need, have: rest.len() });
            }
            at += need;
        }
        match payload.end - at {
            0 => Ok(Self { buffer, at: payload.start as u32, end: payload.end as u32, count, order }),
            have => Err(PacketError::Trailing { have }),
        }
    }

    /// The buffer that the offsets of [`Self::places`] and [`Self::next_place`] count in.
    #[inline]
    #[must_use]
    pub const fn buffer(&self) -> &'p [u8] {
        self.buffer
    }

    /// Messages left.
    #[inline]
    #[must_use]
    pub const fn message_count(&self) -> u16 {
        self.count
    }

    /// Bytes of the blocks left, their lengths included.
    #[inline]
    #[must_use]
    pub const fn bytes(&self) -> usize {
        (self.end - self.at) as usize
    }

    /// Takes the next message: its place and length in [`Self::buffer`]. `None` when no message is left.
    #[inline]
    pub fn next_place(&mut self) -> Option<(u32, u32)> {
        self.count = self.count.checked_sub(1)?;
        let start = self.at as usize;
        let header = self.buffer[start..].first_chunk().expect("the walk when made has read this length");
        let len = u32::from(self.order.u16(*header));
        let place = self.at + BLOCK_HEADER_BYTES as u32;
        self.at = place + len;
        Some((place, len))
    }

    /// The messages left, numbered from `sequence` on. Numbers saturate; those of a parsed packet never reach that.
    #[inline]
    pub fn places(self, sequence: u64) -> impl Iterator<Item = MessageAt> + use<'p> {
        let mut blocks = self;
        let mut sequence = sequence;
        std::iter::from_fn(move || {
            let (at, len) = blocks.next_place()?;
            let message = MessageAt { sequence, at, len };
            sequence = sequence.saturating_add(1);
            Some(message)
        })
    }
}

impl<'p> Iterator for Blocks<'p> {
    type Item = &'p [u8];

    #[inline]
    fn next(&mut self) -> Option<&'p [u8]> {
        let (at, len) = self.next_place()?;
        Some(&self.buffer[at as usize..][..len as usize])
    }
}

impl fmt::Debug for Blocks<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Blocks({} messages, {} bytes)", self.count, self.bytes())
    }
}

#[cfg(test)]
mod tests;
