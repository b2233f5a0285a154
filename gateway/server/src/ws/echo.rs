//! `/echo`: every message comes back. For protocol test suites, so its messages may be long; what waits to go back is
//! bounded by no longer reading from a client that does not read.

use std::collections::VecDeque;

use bytes::Bytes;
use gateway_core::dialect::{Dialect, Outgoing, Refusal, Request};
use gateway_core::frames::{BINARY, TEXT, server_header};

/// Longest piece of a message that goes back in one frame, bytes.
const PIECE_BYTES: usize = 64 << 10;
/// Bytes that the core is given to send at a time: well below what it lets wait for one connection.
const WINDOW_BYTES: usize = 256 << 10;
/// Bytes that may wait here before no more is read; one message may exceed it.
const WAITING_BYTES: usize = 1 << 20;

/// Opcode of every frame of a message but the first.
const CONTINUATION: u8 = 0x0;
/// In the first byte: this frame is the last of its message.
const FIN: u8 = 0x80;

/// A dialect that says nothing by itself.
#[derive(Debug)]
pub(crate) struct Silence;

impl Dialect for Silence {
    fn decode(&self, _: &str) -> Result<Request, Refusal> {
        let (field, value, expected) = (String::new(), String::new(), "no commands: this path echoes".into());
        Err(Refusal { id: None, code: "unknown_op", field, value, expected })
    }
    fn encode(&self, _: &Outgoing<'_>, _: &mut Vec<u8>) {}
}

#[derive(Debug)]
struct Message {
    /// Of the next frame.
    opcode: u8,
    rest: Bytes,
}

/// What one echoing connection has still to send back.
#[derive(Debug)]
pub(crate) struct Mirror {
    messages: VecDeque<Message>,
    waiting_bytes: usize,
    /// Bytes given out since the last time that everything was sent.
    given_bytes: usize,
    window_bytes: usize,
}

impl Mirror {
    /// For a core that lets so many bytes wait for one connection.
    pub(crate) fn new(queued_bytes: usize) -> Mirror {
        let window_bytes = WINDOW_BYTES.min(queued_bytes / 2).max(1);
        Mirror { messages: VecDeque::new(), waiting_bytes: 0, given_bytes: 0, window_bytes }
    }

    /// Takes a message to be sent back.
    pub(crate) fn take(&mut self, payload: Bytes, is_text: bool) {
        self.waiting_bytes += payload.len();
        self.messages.push_back(Message { opcode: if is_text { TEXT } else { BINARY }, rest: payload });
    }

    /// Whether nothing more should be read until what waits is out.
    pub(crate) fn is_full(&self) -> bool {
        self.waiting_bytes >= WAITING_BYTES
    }

    /// Everything that was given out is sent.
    pub(crate) fn sent(&mut self) {
        self.given_bytes = 0;
    }

    /// Appends the frames that can be sent now.
    pub(crate) fn give(&mut self, frames: &mut Vec<u8>) {
        while self.given_bytes < self.window_bytes {
            let Some(message) = self.messages.front_mut() else { return };
            let length = message.rest.len().min(PIECE_BYTES).min(self.window_bytes);
            let piece = message.rest.split_to(length);
            let last = message.rest.is_empty();
            let before = frames.len();
            let (mut header, header_len) = server_header(message.opcode, length);
            if !last {
                header[0] &= !FIN;
            }
            frames.extend_from_slice(&header[..header_len]);
            frames.extend_from_slice(&piece);
            message.opcode = CONTINUATION;
            self.given_bytes += frames.len() - before;
            self.waiting_bytes -= length;
            if last {
                self.messages.pop_front();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tungstenite::protocol::{Message as Whole, Role, WebSocketContext};

    #[test]
    fn what_comes_back_is_what_was_said_in_bounded_steps() {
        let said = [
            (true, Vec::new()),
            (true, b"short".to_vec()),
            (false, vec![7; 126]),
            (false, vec![8; 65_536]),
            (true, vec![b'x'; 3 << 20]),
        ];
        let mut mirror = Mirror::new(1 << 20);
        for (is_text, payload) in &said {
            mirror.take(payload.clone().into(), *is_text);
        }
        assert!(mirror.is_full());
        let mut wire = Vec::new();
        loop {
            let before = wire.len();
            mirror.give(&mut wire);
            if wire.len() == before {
                break;
            }
            assert!(wire.len() - before < WINDOW_BYTES + PIECE_BYTES + 10);
            mirror.sent();
        }
        assert!(!mirror.is_full() && mirror.waiting_bytes == 0);
        let mut client = WebSocketContext::new(Role::Client, None);
        let mut wire = std::io::Cursor::new(wire);
        for (is_text, payload) in said {
            let whole = client.read(&mut wire).unwrap();
            assert!(matches!(whole, Whole::Text(_)) == is_text);
            assert_eq!(whole.into_data(), payload);
        }
    }
}
