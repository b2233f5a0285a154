//! The client's half of a WebSocket, by hand: what is measured is the server, so this side does as little as it can.

use std::ops::Range;

/// The key of RFC 6455's own example, and the answer that belongs to it.
pub const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
/// What a server answers to [`KEY`].
pub const ACCEPT: &str = "s3pPLBMiTxaQ9kYGzzhZRbK+xOo=";

const FIN: u8 = 0x80;
const MASKED: u8 = 0x80;
const LENGTH_16: u8 = 126;
const LENGTH_64: u8 = 127;
/// Longest frame that a server here may send; longer is taken for a lost track.
const FRAME_MAX: usize = 1 << 24;

/// A text message.
pub const TEXT: u8 = 1;
/// The server's last frame.
pub const CLOSE: u8 = 8;
/// A question for a sign of life.
pub const PING: u8 = 9;
/// The answer to it.
pub const PONG: u8 = 10;

/// The opening handshake for `target`.
pub fn request(target: &str, port: u16) -> String {
    format!(
        "GET {target} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
}

/// A server's agreement to it.
pub fn agreement() -> String {
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: {ACCEPT}\r\n\r\n"
    )
}

/// Where the header of a request or an answer ends; `None`: not yet.
pub fn header_end(bytes: &[u8]) -> Option<usize> {
    Some(bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4)
}

/// A client's frame. The mask is zero: legal, and the payload stays readable.
pub fn client_frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![FIN | opcode];
    match payload.len() {
        len @ 0..126 => frame.push(MASKED | len as u8),
        len @ 126..=0xffff => {
            frame.push(MASKED | LENGTH_16);
            frame.extend((len as u16).to_be_bytes());
        }
        len => {
            frame.push(MASKED | LENGTH_64);
            frame.extend((len as u64).to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(payload);
    frame
}

/// A server's frame at the start of some bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerFrame {
    /// Opcode.
    pub opcode: u8,
    /// Where its payload stands.
    pub payload: Range<usize>,
}

/// The frame at the start of `bytes`; `None`: it is not whole yet.
///
/// # Errors
/// What is there instead of a server's frame.
#[inline]
pub fn server_frame(bytes: &[u8]) -> Result<Option<ServerFrame>, String> {
    let [first, second, rest @ ..] = bytes else { return Ok(None) };
    if first & 0xf0 != FIN || second & MASKED != 0 {
        return Err(format!("bytes {first:02x} {second:02x} where an unmasked frame of one piece was to begin"));
    }
    let (head, len) = match (second & 0x7f, rest) {
        (LENGTH_16, [a, b, ..]) => (4, usize::from(u16::from_be_bytes([*a, *b]))),
        (LENGTH_64, [a, b, c, d, e, f, g, h, ..]) => {
            let len = u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]);
            (10, usize::try_from(len).unwrap_or(usize::MAX))
        }
        (LENGTH_16 | LENGTH_64, _) => return Ok(None),
        (len, _) => (2, usize::from(len)),
    };
    if len > FRAME_MAX {
        return Err(format!("a frame of {len} bytes"));
    }
    let payload = head..head + len;
    Ok((payload.end <= bytes.len()).then_some(ServerFrame { opcode: first & 0x0f, payload }))
}

/// What the client needs to know of an update.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Update {
    /// Which of the lane's instruments.
    pub topic: u32,
    /// Number of the event.
    pub seq: u64,
    /// When it was published, ns since the UNIX epoch.
    pub ts_publish: u64,
    /// Events that it stands for.
    pub events: u64,
}

/// Finds a key in message after message of one shape: where it stood last time is looked at first.
#[derive(Debug)]
struct Key {
    text: &'static [u8],
    last: usize,
}

impl Key {
    const fn new(text: &'static str) -> Key {
        Key { text: text.as_bytes(), last: 0 }
    }

    /// Where the value begins.
    #[inline(always)]
    fn find(&mut self, payload: &[u8]) -> Option<usize> {
        let there = payload.get(self.last..).is_some_and(|rest| rest.starts_with(self.text));
        if !there {
            self.last = position(payload, self.text)?;
        }
        Some(self.last + self.text.len())
    }
}

#[inline]
fn position(bytes: &[u8], text: &[u8]) -> Option<usize> {
    bytes.windows(text.len()).position(|window| window == text)
}

/// The digits at the start, as a number.
#[inline(always)]
fn number(digits: &[u8]) -> u64 {
    let digits = digits.iter().take_while(|digit| digit.is_ascii_digit());
    digits.fold(0, |value: u64, digit| value.wrapping_mul(10).wrapping_add(u64::from(digit - b'0')))
}

/// Reads updates without parsing them.
#[derive(Debug)]
pub struct Scanner {
    symbol: Key,
    seq: Key,
    ts_publish: Key,
}

impl Default for Scanner {
    fn default() -> Self {
        Scanner {
            symbol: Key::new(r#""symbol":"S"#),
            seq: Key::new(r#""seq":"#),
            ts_publish: Key::new(r#""ts_publish":""#),
        }
    }
}

impl Scanner {
    /// The numbers of an update or a snapshot; `None`: one is missing.
    #[inline]
    pub fn scan(&mut self, payload: &[u8]) -> Option<Update> {
        const MERGED: &[u8] = br#""merged":"#;
        let topic = number(&payload[self.symbol.find(payload)?..]) as u32;
        let seq_at = self.seq.find(payload)?;
        let publish_at = self.ts_publish.find(payload)?;
        let between = payload.get(seq_at..publish_at).unwrap_or_default();
        let events = position(between, MERGED).map_or(1, |at| number(&between[at + MERGED.len()..]));
        Some(Update { topic, seq: number(&payload[seq_at..]), ts_publish: number(&payload[publish_at..]), events })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_frames() {
        let long = [&[0x81, 126, 1, 0][..], &[7; 256]].concat();
        let table: &[(&str, &[u8], Option<(u8, Range<usize>)>)] = &[
            ("nothing", b"", None),
            ("half a header", &[0x81], None),
            ("half a length", &[0x81, 126, 0], None),
            ("half a payload", &[0x81, 2, b'a'], None),
            ("a text", &[0x81, 2, b'a', b'b', 0x81], Some((TEXT, 2..4))),
            ("an empty ping", &[0x89, 0], Some((PING, 2..2))),
            ("a longer text", &long, Some((TEXT, 4..260))),
            ("the longest form", &[0x81, 127, 0, 0, 0, 0, 0, 0, 0, 1, b'a'], Some((TEXT, 10..11))),
        ];
        for (name, bytes, want) in table {
            let got = server_frame(bytes).unwrap().map(|frame| (frame.opcode, frame.payload));
            assert_eq!(&got, want, "case: {name}");
        }
        for (name, bytes) in [
            ("masked", &[0x81, 0x80][..]),
            ("continued", &[0x01, 0]),
            ("compressed", &[0xc1, 0]),
            ("absurd", &[0x81, 127, 255, 0, 0, 0, 0, 0, 0, 0]),
        ] {
            assert!(server_frame(bytes).is_err(), "case: {name}");
        }
    }

    #[test]
    fn client_frames_are_masked_with_zero() {
        assert_eq!(client_frame(PONG, b"ab"), [0x8a, 0x82, 0, 0, 0, 0, b'a', b'b']);
        assert_eq!(client_frame(TEXT, &[b'x'; 126])[..8], [0x81, 0xfe, 0, 126, 0, 0, 0, 0]);
        assert_eq!(client_frame(TEXT, &[b'x'; 65_536])[..10], [0x81, 0xff, 0, 0, 0, 0, 0, 1, 0, 0]);
    }

    #[test]
    fn updates_are_read_whatever_their_places() {
        let mut scanner = Scanner::default();
        let update = |symbol: &str, seq: u64, merged: &str| {
            format!(
                r#"{{"type":"update","channel":"quotes","symbol":"{symbol}","stream":1,"seq":{seq},"prev":3{merged},"ts_event":"1","ts_recv":"2","ts_publish":"1580394600000000000","data":{{"merged":9}}}}"#
            )
        };
        let want = |topic, seq, events| Some(Update { topic, seq, ts_publish: 1_580_394_600_000_000_000, events });
        assert_eq!(scanner.scan(update("S007", 9, "").as_bytes()), want(7, 9, 1));
        assert_eq!(scanner.scan(update("S007", 10, "").as_bytes()), want(7, 10, 1), "one digit more");
        assert_eq!(scanner.scan(update("S1000", 11, r#","merged":12,"first":1"#).as_bytes()), want(1000, 11, 12));
        assert_eq!(scanner.scan(br#"{"seq":1}"#), None);
        assert_eq!(scanner.scan(b""), None);
    }

    #[test]
    fn handshakes_end() {
        let text = request("/ws/v1", 8080);
        assert_eq!(header_end(text.as_bytes()), Some(text.len()));
        assert_eq!(header_end(&text.as_bytes()[..text.len() - 1]), None);
        assert!(agreement().contains(ACCEPT));
    }
}
