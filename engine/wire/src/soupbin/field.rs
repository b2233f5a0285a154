//! Fixed-width ASCII fields: text padded on the right, numbers padded on the left.
//!
//! Some servers pad on the wrong side, so both are trimmed on both sides before they are compared or parsed.

use std::fmt;

/// Bytes of a user name.
pub const USERNAME_BYTES: usize = 6;
/// Bytes of a password.
pub const PASSWORD_BYTES: usize = 10;
/// Bytes of a session name.
pub const SESSION_BYTES: usize = 10;
/// Bytes of a sequence number: as many decimal digits as a `u64` can have.
pub const SEQUENCE_BYTES: usize = 20;

/// A user name, as the login carries it.
pub type Username = Text<USERNAME_BYTES>;
/// A session name: what the server calls one numbered list of messages, often one day.
pub type SessionId = Text<SESSION_BYTES>;

/// Why a text cannot be a field of `N` bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TextError {
    /// More characters than the field has bytes.
    #[error("{len} characters where the field holds {width}")]
    TooLong {
        /// Characters given.
        len: usize,
        /// Bytes of the field.
        width: usize,
    },
    /// Something else than printable ASCII.
    #[error("byte {byte:#04x} at position {position} is not printable ASCII")]
    NotAscii {
        /// The offending byte.
        byte: u8,
        /// Its position in the text.
        position: usize,
    },
}

/// Text of at most `N` bytes without surrounding spaces. Blank text stands for "not given".
///
/// Text from the wire may hold any bytes; text from a configuration is printable ASCII.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Text<const N: usize> {
    /// Left-justified and space-padded, whatever side the sender padded; so equality is that of the trimmed text.
    padded: [u8; N],
}

impl<const N: usize> Text<N> {
    /// No text: all spaces.
    pub const BLANK: Self = Self { padded: [b' '; N] };

    /// Text from a configuration, surrounding spaces removed.
    ///
    /// # Errors
    /// [`TextError::TooLong`] over `N` bytes, [`TextError::NotAscii`] outside of `0x20..=0x7e`.
    pub fn new(text: &str) -> Result<Self, TextError> {
        let bytes = trim(text.as_bytes());
        if let Some(position) = bytes.iter().position(|byte| !matches!(byte, b' '..=b'~')) {
            return Err(TextError::NotAscii { byte: bytes[position], position });
        }
        if bytes.len() > N {
            return Err(TextError::TooLong { len: bytes.len(), width: N });
        }
        Ok(Self::left_justified(bytes))
    }

    /// Text as a packet carries it, padded on either side.
    #[must_use]
    pub fn from_wire(field: &[u8; N]) -> Self {
        Self::left_justified(trim(field))
    }

    /// The text without padding. Bytes from the wire may be anything.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        trim(&self.padded)
    }

    /// Whether there is no text at all.
    #[must_use]
    pub fn is_blank(&self) -> bool {
        self.as_bytes().is_empty()
    }

    /// Equality as servers compare user names and passwords: ASCII letters in either case.
    #[must_use]
    pub fn eq_ignore_case(&self, other: &Self) -> bool {
        self.padded.eq_ignore_ascii_case(&other.padded)
    }

    /// The field padded on the right, as clients write text.
    #[must_use]
    pub const fn padded_right(&self) -> [u8; N] {
        self.padded
    }

    /// The field padded on the left, as servers write the session name.
    #[must_use]
    pub fn padded_left(&self) -> [u8; N] {
        let mut field = [b' '; N];
        let text = self.as_bytes();
        field[N - text.len()..].copy_from_slice(text);
        field
    }

    /// `text` holds at most `N` bytes.
    fn left_justified(text: &[u8]) -> Self {
        let mut padded = [b' '; N];
        padded[..text.len()].copy_from_slice(text);
        Self { padded }
    }
}

impl<const N: usize> fmt::Display for Text<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.as_bytes().escape_ascii())
    }
}

impl<const N: usize> fmt::Debug for Text<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

/// A password. It shows itself to nobody but the login packet.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Password(Text<PASSWORD_BYTES>);

impl Password {
    /// A password from a configuration.
    ///
    /// # Errors
    /// As [`Text::new`].
    pub fn new(text: &str) -> Result<Self, TextError> {
        Text::new(text).map(Self)
    }

    /// A password as the login packet carries it.
    #[must_use]
    pub fn from_wire(field: &[u8; PASSWORD_BYTES]) -> Self {
        Self(Text::from_wire(field))
    }

    /// Equality as servers compare passwords: ASCII letters in either case.
    #[must_use]
    pub fn eq_ignore_case(&self, other: &Self) -> bool {
        self.0.eq_ignore_case(&other.0)
    }

    pub(crate) const fn padded_right(&self) -> [u8; PASSWORD_BYTES] {
        self.0.padded_right()
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// A sequence field of the wire: digits with spaces on either side, leading zeros welcome, any `u64`.
///
/// `None` when it is blank, holds anything else, or exceeds a `u64`.
#[must_use]
pub fn parse_sequence(field: &[u8; SEQUENCE_BYTES]) -> Option<u64> {
    let digits = trim(field);
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

/// A number as a sequence field: digits padded on the left with spaces.
#[must_use]
pub fn sequence_field(number: u64) -> [u8; SEQUENCE_BYTES] {
    let mut field = [b' '; SEQUENCE_BYTES];
    let mut rest = number;
    // A u64 has at most as many digits as the field has bytes.
    for byte in field.iter_mut().rev() {
        *byte = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    field
}

/// Without the spaces on both sides.
fn trim(bytes: &[u8]) -> &[u8] {
    let is_text = |byte: &u8| *byte != b' ';
    let start = bytes.iter().position(is_text).unwrap_or(bytes.len());
    let end = bytes.iter().rposition(is_text).map_or(start, |last| last + 1);
    &bytes[start..end]
}

#[cfg(test)]
mod tests;
