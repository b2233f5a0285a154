//! What a client says, frame by frame. The frames are tungstenite's work; it is given bytes and gives messages, and has
//! no socket. Every way in which a client can break the protocol becomes a Close frame with the code that RFC 6455
//! section 7.4.1 has for it.

use std::io::{self, Read, Write};

use bytes::Bytes;
use tungstenite::Utf8Bytes;
use tungstenite::error::{CapacityError, Error};
use tungstenite::protocol::{Message, Role, WebSocketConfig, WebSocketContext};

use crate::shard::inbox::Speech;

/// First buffer of a connection, bytes: most commands fit, and an idle connection stays small. A longer frame gets a
/// longer buffer, up to the limit of a message.
const READ_BUFFER_BYTES: usize = 256;
/// Bytes that tungstenite may hold back: it is never refused, so it never holds any.
const WRITE_BUFFER_BYTES: usize = 0;

/// Close codes of RFC 6455 that this side gives.
pub(crate) mod close_code {
    /// Nothing is wrong.
    pub(crate) const NORMAL: u16 = 1000;
    /// The program is ending.
    pub(crate) const AWAY: u16 = 1001;
    /// Frames that RFC 6455 does not allow.
    pub(crate) const PROTOCOL: u16 = 1002;
    /// A kind of message that this path does not take.
    pub(crate) const UNSUPPORTED: u16 = 1003;
    /// Text that is not UTF-8.
    pub(crate) const INVALID: u16 = 1007;
    /// A message above the limit.
    pub(crate) const TOO_BIG: u16 = 1009;
    /// No room for another connection.
    pub(crate) const AGAIN: u16 = 1013;
}

/// Why a connection is to be closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Closing {
    /// See [`close_code`]; a client's own code is repeated.
    pub(crate) code: u16,
    /// For people.
    pub(crate) reason: &'static str,
}

/// One thing that a client said. Pings are answered without a word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Heard {
    /// A whole text message.
    Text(Utf8Bytes),
    /// A whole binary message, where such are taken.
    Binary(Bytes),
    /// A pong, with its payload.
    Pong(Bytes),
    /// The last thing that is heard: the client closes, or must be closed.
    Close(Closing),
}

/// The receiving side of one connection.
#[derive(Debug)]
pub(crate) struct Ears {
    context: WebSocketContext,
    speech: Speech,
    /// After a Close nothing more is heard, whatever comes.
    deaf: bool,
}

impl Ears {
    /// For messages of at most so many bytes.
    pub(crate) fn new(speech: Speech, message_bytes: usize) -> Ears {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER_BYTES)
            .write_buffer_size(WRITE_BUFFER_BYTES)
            .max_message_size(Some(message_bytes))
            // A control frame may have 125 bytes whatever the limit of messages is.
            .max_frame_size(Some(message_bytes.max(125)));
        Ears { context: WebSocketContext::new(Role::Server, Some(config)), speech, deaf: false }
    }

    /// The next thing in `input`, which is shortened by what was read; `None`: all of it was, and there is nothing
    /// whole. Answers to pings are put into `replies`, as whole frames.
    pub(crate) fn hear(&mut self, input: &mut &[u8], replies: &mut Vec<u8>) -> Option<Heard> {
        while !self.deaf {
            match self.context.read(&mut Pipe { input, replies }) {
                Ok(Message::Text(text)) => return Some(Heard::Text(text)),
                Ok(Message::Binary(_)) if self.speech == Speech::Native => {
                    return self.end(close_code::UNSUPPORTED, "a binary message: this dialect is text");
                }
                Ok(Message::Binary(bytes)) => return Some(Heard::Binary(bytes)),
                Ok(Message::Pong(payload)) => return Some(Heard::Pong(payload)),
                // The pong is written with the next look.
                Ok(Message::Ping(_) | Message::Frame(_)) => {}
                // A code that no client may send has become 1002 already.
                Ok(Message::Close(frame)) => {
                    return self.end(frame.map_or(close_code::NORMAL, |frame| frame.code.into()), "");
                }
                Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => return None,
                Err(error) => {
                    let (code, reason) = blame(&error);
                    return self.end(code, reason);
                }
            }
        }
        *input = &[];
        None
    }

    fn end(&mut self, code: u16, reason: &'static str) -> Option<Heard> {
        self.deaf = true;
        Some(Heard::Close(Closing { code, reason }))
    }
}

/// The close code that an error deserves.
fn blame(error: &Error) -> (u16, &'static str) {
    match error {
        Error::Utf8(_) => (close_code::INVALID, "text that is not UTF-8"),
        Error::Capacity(CapacityError::MessageTooLong { .. }) => (close_code::TOO_BIG, "a message above the limit"),
        _ => (close_code::PROTOCOL, "protocol error"),
    }
}

/// What tungstenite takes for a socket: bytes that have come already, and a place for what it wants to say.
struct Pipe<'p, 'i> {
    input: &'p mut &'i [u8],
    replies: &'p mut Vec<u8>,
}

impl Read for Pipe<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.input.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.input.read(buffer)
    }
}

impl Write for Pipe<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.replies.extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MASK: [u8; 4] = [1, 2, 3, 4];

    /// A client's frame: first byte as given, masked.
    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![first];
        match payload.len() {
            short @ ..126 => bytes.push(0x80 | short as u8),
            long => {
                bytes.push(0x80 | 126);
                bytes.extend_from_slice(&(long as u16).to_be_bytes());
            }
        }
        bytes.extend_from_slice(&MASK);
        bytes.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        bytes
    }

    fn all(speech: Speech, bytes: &[u8], piece: usize) -> (Vec<Heard>, Vec<u8>) {
        let (mut ears, mut heard, mut replies) = (Ears::new(speech, 1024), Vec::new(), Vec::new());
        for mut input in bytes.chunks(piece) {
            while let Some(one) = ears.hear(&mut input, &mut replies) {
                heard.push(one);
            }
            assert!(input.is_empty());
        }
        (heard, replies)
    }

    #[test]
    fn messages_are_heard_whole_however_they_come() {
        let mut bytes = frame(0x81, b"one");
        bytes.extend(frame(0x01, b"t"));
        bytes.extend(frame(0x89, b"ping"));
        bytes.extend(frame(0x80, b"wo"));
        bytes.extend(frame(0x8A, b"pong"));
        bytes.extend(frame(0x82, &[7; 300]));
        bytes.extend(frame(0x88, &1000_u16.to_be_bytes()));
        bytes.extend(frame(0x81, b"not heard any more"));
        let expected = vec![
            Heard::Text("one".into()),
            Heard::Text("two".into()),
            Heard::Pong(Bytes::from_static(b"pong")),
            Heard::Binary(Bytes::from_static(&[7; 300])),
            Heard::Close(Closing { code: 1000, reason: "" }),
        ];
        for piece in [1, 2, 3, 7, 64, 10_000] {
            let (heard, replies) = all(Speech::Echo, &bytes, piece);
            assert_eq!(heard, expected, "pieces of {piece}");
            assert_eq!(replies, [&[0x8A, 4], &b"ping"[..]].concat(), "pieces of {piece}");
        }
    }

    #[test]
    fn every_error_has_its_close_code() {
        let close = |code: u16, reason: &[u8]| frame(0x88, &[&code.to_be_bytes()[..], reason].concat());
        let table: &[(&str, Vec<u8>, u16)] = &[
            ("unmasked", vec![0x81, 1, b'x'], 1002),
            ("reserved bit 1", frame(0xC1, b"x"), 1002),
            ("reserved bit 2", frame(0xA1, b"x"), 1002),
            ("reserved bit 3", frame(0x91, b"x"), 1002),
            ("reserved data opcode", frame(0x83, b""), 1002),
            ("reserved control opcode", frame(0x8B, b""), 1002),
            ("continuation of nothing", frame(0x80, b"x"), 1002),
            ("text within a message", [frame(0x01, b"a"), frame(0x81, b"b")].concat(), 1002),
            ("fragmented ping", frame(0x09, b""), 1002),
            ("ping of 126 bytes", frame(0x89, &[0; 126]), 1002),
            ("close of 1 byte", frame(0x88, &[3]), 1002),
            ("close with code 999", close(999, b""), 1002),
            ("close with code 1005", close(1005, b""), 1002),
            ("close with code 1016", close(1016, b""), 1002),
            ("close whose reason is not UTF-8", close(1000, &[0xFF]), 1007),
            ("text that is not UTF-8", frame(0x81, &[0xC3, 0x28]), 1007),
            ("text that ends within a character", frame(0x81, &[0xE2, 0x82]), 1007),
            ("half a character, then no other half", [frame(0x01, &[0xE2]), frame(0x80, b"x")].concat(), 1007),
            ("too long", frame(0x81, &[b'x'; 1025]), 1009),
            (
                "too long, by its header alone",
                vec![0x81, 0xFF, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1, 2, 3, 4],
                1009,
            ),
            ("too long in pieces", [frame(0x01, &[b'x'; 600]), frame(0x80, &[b'x'; 600])].concat(), 1009),
            ("binary", frame(0x82, b"x"), 1003),
            ("close without a code", frame(0x88, b""), 1000),
            ("close with a code", close(1001, b"bye"), 1001),
            ("close with a code of one's own", close(4999, b""), 4999),
        ];
        for (name, bytes, code) in table {
            for piece in [1, 10_000] {
                let (heard, _) = all(Speech::Native, bytes, piece);
                let codes: Vec<u16> = heard
                    .iter()
                    .map(|heard| match heard {
                        Heard::Close(closing) => closing.code,
                        other => panic!("case {name}: {other:?}"),
                    })
                    .collect();
                assert_eq!(codes, [*code], "case: {name}");
            }
        }
    }

    #[test]
    fn garbage_never_panics_and_ends_at_most_once() {
        let mut state = 1_u64;
        for _ in 0..2_000 {
            let bytes: Vec<u8> = (0..64)
                .map(|_| {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    (state >> 56) as u8
                })
                .collect();
            let (heard, _) = all(Speech::Native, &bytes, 5);
            assert!(heard.iter().filter(|heard| matches!(heard, Heard::Close(_))).count() <= 1);
        }
    }
}
