//! Frames of a WebSocket server: whole messages, never masked, never compressed. And the ring in which each frame that
//! several connections get stands once: [`FrameRing`].
//!
//! Source: RFC 6455, sections 5.1, 5.2 and 5.5.

mod ring;

pub use ring::{FRAME_MAX, Frame, FrameRing};

/// Opcode of a text message: its payload is UTF-8.
pub const TEXT: u8 = 0x1;
/// Opcode of a binary message.
pub const BINARY: u8 = 0x2;
/// Opcode of the last frame that a side sends.
pub const CLOSE: u8 = 0x8;
/// Opcode of a question for a sign of life.
pub const PING: u8 = 0x9;
/// Opcode of the answer to it.
pub const PONG: u8 = 0xa;

/// Most bytes of a server frame's header.
pub const HEADER_MAX: usize = 10;
/// Most bytes of payload of a ping, pong or close.
pub const CONTROL_PAYLOAD_MAX: usize = 125;
/// Most bytes of a close frame's reason: its code takes two.
pub const CLOSE_REASON_MAX: usize = CONTROL_PAYLOAD_MAX - 2;

/// First byte: this frame is the whole message, no extension is in use.
const FIN: u8 = 0x80;
/// Second byte: the length stands in the next two bytes, or in the next eight.
const LENGTH_16: u8 = 126;
const LENGTH_64: u8 = 127;

/// Header of an unmasked frame that is a whole message, and how many of its bytes count.
#[inline]
pub fn server_header(opcode: u8, payload_len: usize) -> ([u8; HEADER_MAX], usize) {
    let mut header = [0; HEADER_MAX];
    header[0] = FIN | opcode;
    let len = match payload_len {
        0..126 => {
            header[1] = payload_len as u8;
            2
        }
        126..=0xffff => {
            header[1] = LENGTH_16;
            header[2..4].copy_from_slice(&(payload_len as u16).to_be_bytes());
            4
        }
        _ => {
            header[1] = LENGTH_64;
            header[2..].copy_from_slice(&(payload_len as u64).to_be_bytes());
            HEADER_MAX
        }
    };
    (header, len)
}

/// Appends an unmasked frame that is a whole message. Control frames carry at most [`CONTROL_PAYLOAD_MAX`] bytes.
#[inline]
pub fn push_server_frame(out: &mut Vec<u8>, opcode: u8, payload: &[u8]) {
    debug_assert!(opcode < CLOSE || payload.len() <= CONTROL_PAYLOAD_MAX);
    let (header, header_len) = server_header(opcode, payload.len());
    out.extend_from_slice(&header[..header_len]);
    out.extend_from_slice(payload);
}

/// Appends a close frame. A reason of more than [`CLOSE_REASON_MAX`] bytes is cut between two characters: the frame
/// must stay UTF-8.
pub fn push_close(out: &mut Vec<u8>, code: u16, reason: &str) {
    let reason = &reason[..reason.floor_char_boundary(CLOSE_REASON_MAX)];
    let (header, header_len) = server_header(CLOSE, 2 + reason.len());
    out.extend_from_slice(&header[..header_len]);
    out.extend_from_slice(&code.to_be_bytes());
    out.extend_from_slice(reason.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_in_their_shortest_form() {
        let table: &[(usize, &[u8])] = &[
            (0, &[0x81, 0]),
            (1, &[0x81, 1]),
            (125, &[0x81, 125]),
            (126, &[0x81, 126, 0, 126]),
            (0xffff, &[0x81, 126, 0xff, 0xff]),
            (0x1_0000, &[0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
            (0x0102_0304_0506, &[0x81, 127, 0, 0, 1, 2, 3, 4, 5, 6]),
        ];
        for (payload_len, want) in table {
            let (header, len) = server_header(TEXT, *payload_len);
            assert_eq!(&header[..len], *want, "payload of {payload_len}");
        }
    }

    #[test]
    fn frames_follow_each_other() {
        let mut out = Vec::new();
        push_server_frame(&mut out, TEXT, b"{}");
        push_server_frame(&mut out, BINARY, &[7; 200]);
        push_server_frame(&mut out, PING, b"");
        push_server_frame(&mut out, PONG, b"x");
        let mut want = b"\x81\x02{}\x82\x7e\x00\xc8".to_vec();
        want.extend_from_slice(&[7; 200]);
        want.extend_from_slice(b"\x89\x00\x8a\x01x");
        assert_eq!(out, want);
    }

    #[test]
    fn reasons_are_cut_between_characters() {
        let table: &[(&str, String, usize)] = &[
            ("none", String::new(), 0),
            ("short", "too slow".to_owned(), 8),
            ("just fits", "x".repeat(123), 123),
            ("one byte more", "x".repeat(124), 123),
            ("a character of two bytes over the end", format!("{}\u{e9}", "x".repeat(122)), 122),
            ("a character of four bytes at the end", format!("{}\u{1f4c8}", "x".repeat(119)), 123),
            ("a character of four bytes over the end", format!("{}\u{1f4c8}", "x".repeat(120)), 120),
        ];
        for (name, reason, kept) in table {
            let mut out = vec![0xee];
            push_close(&mut out, 4408, reason);
            assert_eq!(out[..5], [0xee, 0x88, 2 + *kept as u8, 0x11, 0x38], "case: {name}");
            assert_eq!(&out[5..], &reason.as_bytes()[..*kept], "case: {name}");
        }
    }
}
