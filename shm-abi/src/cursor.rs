//! The public name of a place in a ring: `lane.epoch.seq`.

use std::fmt;
use std::str::FromStr;

use crate::directory::Text;
use crate::layout::is_lane_name;
use crate::ring::SEQUENCE_LIMIT;

/// A place in a ring that can be written down and resumed from, also in another process. Its text is
/// `lane.epoch.seq`, the epoch as 16 lower-case hex digits; the ring is implied by where it is used.
///
/// Source: decisions.md 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cursor {
    /// Lane name.
    pub lane: Text<32>,
    /// Names the sequence; changes when the engine begins anew.
    pub epoch: u64,
    /// Number of the next record to be read. Below 2^53. In a cursor that a gateway wrote, the number of an event that its
    /// holder knows: a reader that begins there is given that event once more.
    pub seq: u64,
}

/// Why a text is no cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CursorError {
    /// It does not have three parts.
    #[error("expected lane.epoch.seq: three parts, separated by dots")]
    Parts,
    /// The first part cannot name a lane.
    #[error("the lane has 1 to 31 characters of a-z, 0-9, '-' and '_'")]
    Lane,
    /// The second part is no epoch.
    #[error("the epoch has 16 lower-case hex digits")]
    Epoch,
    /// The third part is no number of a ring.
    #[error("the number is decimal, without sign or leading zeros, and below 2^53")]
    Seq,
}

/// Hex digits of an epoch.
const EPOCH_DIGITS: usize = 16;

impl FromStr for Cursor {
    type Err = CursorError;

    fn from_str(text: &str) -> Result<Cursor, CursorError> {
        let mut parts = text.split('.');
        let (Some(lane), Some(epoch), Some(seq), None) = (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(CursorError::Parts);
        };
        if !is_lane_name(lane) {
            return Err(CursorError::Lane);
        }
        Ok(Cursor { lane: Text::new(lane.as_bytes()), epoch: parse_epoch(epoch)?, seq: parse_seq(seq)? })
    }
}

fn parse_epoch(text: &str) -> Result<u64, CursorError> {
    let digits = text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if text.len() != EPOCH_DIGITS || !digits {
        return Err(CursorError::Epoch);
    }
    u64::from_str_radix(text, 16).map_err(|_| CursorError::Epoch)
}

/// One spelling per number, so that cursors can be compared as text.
fn parse_seq(text: &str) -> Result<u64, CursorError> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !digits || (text.len() > 1 && text.starts_with('0')) {
        return Err(CursorError::Seq);
    }
    text.parse().ok().filter(|seq| *seq < SEQUENCE_LIMIT).ok_or(CursorError::Seq)
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:016x}.{}", self.lane, self.epoch, self.seq)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_back() {
        for text in ["lane0.00000000000000ff.0", "us-eq_1.ffffffffffffffff.9007199254740991"] {
            let cursor: Cursor = text.parse().unwrap();
            assert_eq!(cursor.to_string(), text);
        }
        let cursor: Cursor = "lane0.00000000000000ff.12".parse().unwrap();
        assert_eq!((cursor.lane.as_str(), cursor.epoch, cursor.seq), ("lane0", 255, 12));
    }

    #[test]
    fn refusals() {
        let table: &[(&str, &str, CursorError)] = &[
            ("empty", "", CursorError::Parts),
            ("a bare integer", "17", CursorError::Parts),
            ("four parts", "a.00000000000000ff.1.2", CursorError::Parts),
            ("lane in capitals", "LANE.00000000000000ff.1", CursorError::Lane),
            ("no lane", ".00000000000000ff.1", CursorError::Lane),
            ("short epoch", "a.ff.1", CursorError::Epoch),
            ("epoch in capitals", "a.00000000000000FF.1", CursorError::Epoch),
            ("epoch with a sign", "a.+0000000000000ff.1", CursorError::Epoch),
            ("no number", "a.00000000000000ff.", CursorError::Seq),
            ("number with a sign", "a.00000000000000ff.+1", CursorError::Seq),
            ("leading zero", "a.00000000000000ff.01", CursorError::Seq),
            ("2^53", "a.00000000000000ff.9007199254740992", CursorError::Seq),
            ("beyond 64 bits", "a.00000000000000ff.99999999999999999999", CursorError::Seq),
        ];
        for (name, text, want) in table {
            assert_eq!(text.parse::<Cursor>(), Err(*want), "case: {name}");
        }
    }
}
