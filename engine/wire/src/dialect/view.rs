//! The cold view: one message by roles.

use super::Dialect;
use super::table::{Entry, Event, Field, Role};
use crate::DecodeError;

/// One message, read in place by role.
///
/// Numbers and texts are what the wire says and nothing more: codes are raw letters, prices raw integers.
#[derive(Debug, Clone, Copy)]
pub struct View<'b> {
    entry: &'static Entry,
    /// Without whatever the venue appended.
    bytes: &'b [u8],
    /// Of the form's fixed part.
    length: usize,
    extended: bool,
}

impl Dialect {
    /// Views the message that is `bytes`, whose first byte is the type. A message that is longer than the longest form
    /// of its type is read by its prefix and says so: [`View::extended`].
    ///
    /// # Errors
    /// [`DecodeError::Truncated`] when `bytes` is empty; [`DecodeError::UnknownType`] when the dialect has no such
    /// type; [`DecodeError::Length`] when the type has no such length.
    pub fn view<'b>(&self, bytes: &'b [u8]) -> Result<View<'b>, DecodeError> {
        let message_type = *bytes.first().ok_or(DecodeError::Truncated { need: 1, have: 0 })?;
        let mut longest = None;
        for entry in self.entries.iter().filter(|entry| entry.message_type == message_type) {
            if entry.fits(bytes.len()) {
                let length = if entry.texts.is_empty() { bytes.len() } else { entry.lengths[0] };
                return Ok(View { entry, bytes, length, extended: false });
            }
            longest = entry.lengths.last().map(|length| (entry, *length));
        }
        let (entry, length) = longest.ok_or(DecodeError::UnknownType { got: message_type })?;
        if bytes.len() < length {
            return Err(DecodeError::Length { message_type, length: bytes.len() });
        }
        Ok(View { entry, bytes: &bytes[..length], length, extended: true })
    }
}

impl<'b> View<'b> {
    /// What the message means, special forms considered.
    #[must_use]
    pub fn event(&self) -> Event {
        match self.entry.when_zero {
            Some((roles, event)) if roles.iter().all(|role| self.u64(*role) == Some(0)) => event,
            _ => self.entry.event,
        }
    }

    /// The type letter in byte 0.
    #[must_use]
    pub const fn message_type(&self) -> u8 {
        self.entry.message_type
    }

    /// The line of the table that the message was read by.
    #[must_use]
    pub const fn entry(&self) -> &'static Entry {
        self.entry
    }

    /// Bytes of the form that the message was read by; with texts, of the part before them. With the type it names the
    /// form, as [`Dialect::encode`] wants it.
    #[must_use]
    pub const fn form_length(&self) -> usize {
        self.length
    }

    /// The message's bytes, without whatever the venue appended.
    #[must_use]
    pub const fn as_bytes(&self) -> &'b [u8] {
        self.bytes
    }

    /// Whether the venue appended fields that the table does not know.
    #[must_use]
    pub const fn extended(&self) -> bool {
        self.extended
    }

    /// The fields of fixed place that this form has.
    pub fn fields(&self) -> impl Iterator<Item = &'static Field> {
        let length = self.length;
        self.entry.fields.iter().filter(move |field| field.end() <= length)
    }

    /// A field as a number: big-endian, at most eight bytes; a letter is its code. `None` when this form lacks the
    /// role, or has it as a longer text.
    #[must_use]
    pub fn u64(&self, role: Role) -> Option<u64> {
        let field = self.bytes.get(self.entry.field(role, self.length)?.range())?;
        let mut bytes = [0; 8];
        bytes.get_mut(8_usize.checked_sub(field.len())?..)?.copy_from_slice(field);
        Some(u64::from_be_bytes(bytes))
    }

    /// A number of at most four bytes.
    #[must_use]
    pub fn u32(&self, role: Role) -> Option<u32> {
        self.u64(role).and_then(|value| u32::try_from(value).ok())
    }

    /// A number of at most four bytes that may be negative: a yield.
    #[must_use]
    pub fn i32(&self, role: Role) -> Option<i32> {
        self.u32(role).map(u32::cast_signed)
    }

    /// One letter.
    #[must_use]
    pub fn letter(&self, role: Role) -> Option<u8> {
        match self.bytes(role)? {
            [letter] => Some(*letter),
            _ => None,
        }
    }

    /// A field's bytes as they stand, padding included; of a text behind the fixed part, those before its NUL.
    ///
    /// A text that the message ends before is empty; what follows the last text's NUL is nobody's.
    #[must_use]
    pub fn bytes(&self, role: Role) -> Option<&'b [u8]> {
        if let Some(field) = self.entry.field(role, self.length) {
            return self.bytes.get(field.range());
        }
        let position = self.entry.texts.iter().position(|text| *text == role)?;
        let mut texts = self.bytes.get(self.length..)?.split(|byte| *byte == 0);
        Some(texts.nth(position).unwrap_or_default())
    }

    /// A field's bytes without the padding behind it: spaces, and NULs, which some venues write instead.
    #[must_use]
    pub fn trimmed(&self, role: Role) -> Option<&'b [u8]> {
        let mut bytes = self.bytes(role)?;
        while let [head @ .., b' ' | 0] = bytes {
            bytes = head;
        }
        Some(bytes)
    }
}

#[cfg(test)]
mod tests;
