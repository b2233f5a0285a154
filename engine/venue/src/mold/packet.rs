//! Downstream packets being written, and requests being read.

use wire::soupbin::field::{SESSION_BYTES, SessionId};

/// Session, sequence number and message count.
pub(super) const HEADER_BYTES: usize = 20;
const SEQUENCE_AT: usize = SESSION_BYTES;
const COUNT_AT: usize = SEQUENCE_AT + 8;
const LENGTH_BYTES: usize = 2;
/// Message count that says the end of the session.
const END_OF_SESSION: u16 = u16::MAX;

/// The ten bytes of a session's name on the wire.
pub(super) fn session_bytes(name: &SessionId) -> [u8; SESSION_BYTES] {
    let mut bytes = [b' '; SESSION_BYTES];
    let text = name.as_bytes();
    bytes[..text.len()].copy_from_slice(text);
    bytes
}

/// One datagram, from its header to as many messages as fit.
#[derive(Debug)]
pub(super) struct Packet {
    bytes: Vec<u8>,
    count: u16,
}

impl Packet {
    pub(super) fn new() -> Self {
        Self { bytes: Vec::with_capacity(super::config::MAX_PAYLOAD_BYTES), count: 0 }
    }

    /// Empties the packet; its first message will be `sequence`.
    pub(super) fn begin(&mut self, session: &[u8; SESSION_BYTES], sequence: u64) {
        self.count = 0;
        self.bytes.clear();
        self.bytes.extend_from_slice(session);
        self.bytes.extend_from_slice(&sequence.to_be_bytes());
        self.bytes.extend_from_slice(&[0; 2]);
    }

    /// Whether a message of this length can join; the first one always can.
    pub(super) fn has_room(&self, len: usize, max_bytes: usize, max_messages: u16) -> bool {
        self.count == 0 || (self.count < max_messages && self.bytes.len() + LENGTH_BYTES + len <= max_bytes)
    }

    /// Adds a message. Its length fits, as it comes from a log with lengths of two bytes.
    pub(super) fn push(&mut self, message: &[u8]) {
        self.bytes.extend_from_slice(&(message.len() as u16).to_be_bytes());
        self.bytes.extend_from_slice(message);
        self.count += 1;
    }

    pub(super) fn count(&self) -> u16 {
        self.count
    }

    /// The datagram's payload.
    pub(super) fn finish(&mut self) -> &[u8] {
        self.bytes[COUNT_AT..HEADER_BYTES].copy_from_slice(&self.count.to_be_bytes());
        &self.bytes
    }

    /// The same number again under another one, as some faults want it. Call [`Packet::finish`] first.
    pub(super) fn renumbered(&self, session: &[u8; SESSION_BYTES], sequence: u64) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        bytes[..SESSION_BYTES].copy_from_slice(session);
        bytes[SEQUENCE_AT..COUNT_AT].copy_from_slice(&sequence.to_be_bytes());
        bytes
    }
}

/// A packet without messages: a heartbeat, or the end of the session. `next` is the number of the next message.
pub(super) fn bare(session: &[u8; SESSION_BYTES], next: u64, is_end: bool) -> [u8; HEADER_BYTES] {
    let mut bytes = [0; HEADER_BYTES];
    bytes[..SESSION_BYTES].copy_from_slice(session);
    bytes[SEQUENCE_AT..COUNT_AT].copy_from_slice(&next.to_be_bytes());
    bytes[COUNT_AT..].copy_from_slice(&if is_end { END_OF_SESSION } else { 0 }.to_be_bytes());
    bytes
}

/// A request for messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) session: [u8; SESSION_BYTES],
    pub(super) sequence: u64,
    pub(super) count: u16,
}

impl Request {
    /// None when it is not exactly 20 bytes.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; HEADER_BYTES] = bytes.try_into().ok()?;
        let (session, rest) = bytes.split_first_chunk()?;
        let (sequence, rest) = rest.split_first_chunk()?;
        let count = rest.first_chunk()?;
        Some(Self { session: *session, sequence: u64::from_be_bytes(*sequence), count: u16::from_be_bytes(*count) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_have_their_golden_bytes() {
        let session = session_bytes(&SessionId::new("DAY1").expect("a name"));
        let mut packet = Packet::new();
        packet.begin(&session, 0x0102);
        packet.push(b"abc");
        packet.push(b"");
        assert_eq!(packet.finish(), b"DAY1      \0\0\0\0\0\0\x01\x02\0\x02\0\x03abc\0\0");
        assert_eq!(packet.renumbered(b"OTHER     ", 7), b"OTHER     \0\0\0\0\0\0\0\x07\0\x02\0\x03abc\0\0");
        assert_eq!(bare(&session, 9, false), *b"DAY1      \0\0\0\0\0\0\0\x09\0\0");
        assert_eq!(bare(&session, 9, true), *b"DAY1      \0\0\0\0\0\0\0\x09\xff\xff");
    }

    #[test]
    fn packets_are_full_by_bytes_or_by_messages() {
        let mut packet = Packet::new();
        packet.begin(&[0; 10], 1);
        assert!(packet.has_room(60_000, 100, 1), "the first message always has room");
        packet.push(&[0; 28]);
        assert!(packet.has_room(48, 100, 2) && !packet.has_room(49, 100, 2));
        packet.push(b"");
        assert!(!packet.has_room(0, 100, 2));
    }

    #[test]
    fn requests_have_twenty_bytes() {
        let bytes = b"DAY1      \0\0\0\0\0\0\x01\x02\0\x05";
        let want = Request { session: *b"DAY1      ", sequence: 0x0102, count: 5 };
        assert_eq!(Request::parse(bytes), Some(want));
        assert_eq!(Request::parse(&bytes[..19]), None);
        assert_eq!(Request::parse(&[0; 21]), None);
    }
}
