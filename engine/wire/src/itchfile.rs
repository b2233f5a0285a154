//! BinaryFILE framing of ITCH archives: a big-endian `u16` length and that many bytes, repeated.
//!
//! A length of zero ends the session; a file may also simply end on a message boundary. Source: Nasdaq BinaryFILE 1.00.

/// Largest message that the two-byte length can frame.
pub const MESSAGE_MAX_BYTES: usize = u16::MAX as usize;

const LENGTH_BYTES: usize = size_of::<u16>();

/// Why a file could not be read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// The file ends inside a length or inside a message.
    #[error("file is cut at offset {offset}: need {need} bytes, have {have}")]
    Cut {
        /// Offset of the length that begins the unfinished frame.
        offset: usize,
        /// Bytes that the frame needs from there, its length included.
        need: usize,
        /// Bytes that were there.
        have: usize,
    },
}

/// Walks the messages of a file held in memory (or mapped): yields each one with the offset of its first byte, ready for
/// [`decode_at`](crate::dialect::Dialect::decode_at).
///
/// Ends on a zero length or on the end of the file. A cut tail is yielded once as an error, then the walk ends.
#[derive(Debug, Clone)]
pub struct Messages<'a> {
    bytes: &'a [u8],
    /// Where the next length lies; the end of `bytes` once the walk is over.
    at: usize,
    session_ended: bool,
}

impl<'a> Messages<'a> {
    /// A walk from the start of `bytes`.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, session_ended: false }
    }

    /// Whether the walk has met the zero length that ends a session. What lies behind it is not read.
    #[must_use]
    pub const fn session_ended(&self) -> bool {
        self.session_ended
    }

    #[cold]
    fn cut(&mut self, offset: usize, need: usize) -> FileError {
        self.at = self.bytes.len();
        FileError::Cut { offset, need, have: self.bytes.len() - offset }
    }
}

impl<'a> Iterator for Messages<'a> {
    type Item = Result<(usize, &'a [u8]), FileError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let offset = self.at;
        let rest = self.bytes.get(offset..).filter(|rest| !rest.is_empty())?;
        let Some((length, body)) = rest.split_first_chunk::<LENGTH_BYTES>() else {
            return Some(Err(self.cut(offset, LENGTH_BYTES)));
        };
        let len = u16::from_be_bytes(*length) as usize;
        if len == 0 {
            self.session_ended = true;
            self.at = self.bytes.len();
            return None;
        }
        let Some(message) = body.get(..len) else {
            return Some(Err(self.cut(offset, LENGTH_BYTES + len)));
        };
        self.at = offset + LENGTH_BYTES + len;
        Some(Ok((offset + LENGTH_BYTES, message)))
    }
}

impl std::iter::FusedIterator for Messages<'_> {}

/// Appends one framed message to `out`.
///
/// # Panics
/// When `message` is empty, which would end the session, or longer than [`MESSAGE_MAX_BYTES`].
pub fn append(out: &mut Vec<u8>, message: &[u8]) {
    assert!(!message.is_empty(), "an empty message would end the session");
    let len = u16::try_from(message.len()).expect("a message fits the two-byte length");
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(message);
}

/// Appends the zero length that ends a session.
pub fn append_end(out: &mut Vec<u8>) {
    out.extend_from_slice(&[0; LENGTH_BYTES]);
}

#[cfg(test)]
mod tests;
