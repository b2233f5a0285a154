//! The encoder: the same tables, the other way. For a venue, and for tests.

use super::Dialect;
use super::table::{Entry, Field, Format, Role};

/// What a field is set to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'v> {
    /// For a number; a yield below zero as its 32 bits.
    Number(u64),
    /// For a field of one letter.
    Letter(u8),
    /// For padded text, and for the texts behind the fixed part.
    Bytes(&'v [u8]),
}

impl From<u64> for Value<'_> {
    fn from(number: u64) -> Self {
        Value::Number(number)
    }
}

impl From<u32> for Value<'_> {
    fn from(number: u32) -> Self {
        Value::Number(number.into())
    }
}

impl<'v> From<&'v [u8]> for Value<'v> {
    fn from(bytes: &'v [u8]) -> Self {
        Value::Bytes(bytes)
    }
}

impl<'v> From<&'v str> for Value<'v> {
    fn from(text: &'v str) -> Self {
        Value::Bytes(text.as_bytes())
    }
}

/// Why a message could not be written. Each is a mistake of the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The dialect has no message of this type and length.
    #[error("no message of type {message_type:#04x} has {length} bytes")]
    NoForm {
        /// The type asked for.
        message_type: u8,
        /// The length asked for.
        length: usize,
    },
    /// The form has no such field.
    #[error("a message of type {message_type:#04x} with {length} bytes has no field {role:?}")]
    NoField {
        /// The type asked for.
        message_type: u8,
        /// The length asked for.
        length: usize,
        /// The field that it lacks.
        role: Role,
    },
    /// The number needs more bytes than the field has.
    #[error("{role:?} = {value} needs more than {width} bytes")]
    Range {
        /// The field.
        role: Role,
        /// The number that does not fit.
        value: u64,
        /// Bytes of the field.
        width: usize,
    },
    /// The text needs more bytes than the field has.
    #[error("{role:?} has {width} bytes, the text {length}")]
    TooLong {
        /// The field.
        role: Role,
        /// Bytes of the text.
        length: usize,
        /// Bytes of the field.
        width: usize,
    },
    /// A number for a text, or a text for a number.
    #[error("{role:?} is of another kind than its value")]
    Kind {
        /// The field.
        role: Role,
    },
    /// A NUL would end the text early.
    #[error("a NUL in {role:?}")]
    Nul {
        /// The text.
        role: Role,
    },
}

impl Dialect {
    /// Appends the message of type `message_type`, in its form of `length` bytes (of a message with texts: the fixed
    /// part), to `out`. Fields that `values` does not name are 0, blank or empty; of a field named twice, the last
    /// value holds.
    ///
    /// # Errors
    /// See [`EncodeError`]; then `out` is as it was.
    pub fn encode(
        &self,
        message_type: u8,
        length: usize,
        values: &[(Role, Value<'_>)],
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        let start = out.len();
        let written = self.write(message_type, length, values, out);
        if written.is_err() {
            out.truncate(start);
        }
        written
    }

    fn write(
        &self,
        message_type: u8,
        length: usize,
        values: &[(Role, Value<'_>)],
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        let is_form = |entry: &&Entry| entry.message_type == message_type && entry.lengths.contains(&length);
        let entry = self.entries.iter().find(is_form).ok_or(EncodeError::NoForm { message_type, length })?;
        let start = out.len();
        out.resize(start + length, 0);
        let message = &mut out[start..];
        message[0] = message_type;
        for field in entry.fields.iter().filter(|field| field.format == Format::Alpha && field.end() <= length) {
            message[field.range()].fill(b' ');
        }
        for (role, value) in values {
            match entry.field(*role, length) {
                Some(field) => put(field, *value, &mut message[field.range()])?,
                None if entry.texts.contains(role) => {}
                None => return Err(EncodeError::NoField { message_type, length, role: *role }),
            }
        }
        for role in entry.texts {
            let named = values.iter().rev().find(|(named, _)| named == role);
            let text = match named {
                None => &[][..],
                Some((_, Value::Bytes(text))) => text,
                Some(_) => return Err(EncodeError::Kind { role: *role }),
            };
            if text.contains(&0) {
                return Err(EncodeError::Nul { role: *role });
            }
            out.extend_from_slice(text);
            out.push(0);
        }
        Ok(())
    }
}

/// Writes `value` into the bytes of `field`.
fn put(field: &Field, value: Value<'_>, place: &mut [u8]) -> Result<(), EncodeError> {
    let (role, width) = (field.role, place.len());
    match (field.format, value) {
        (Format::Number, Value::Number(value)) => {
            let bytes = value.to_be_bytes();
            let (high, low) = bytes.split_at(bytes.len() - width);
            if high.iter().any(|byte| *byte != 0) {
                return Err(EncodeError::Range { role, value, width });
            }
            place.copy_from_slice(low);
        }
        (Format::Alpha, Value::Letter(letter)) if width == 1 => place[0] = letter,
        (Format::Alpha, Value::Bytes(text)) => {
            let (head, tail) = place.split_at_mut_checked(text.len()).ok_or(EncodeError::TooLong {
                role,
                length: text.len(),
                width,
            })?;
            head.copy_from_slice(text);
            tail.fill(b' ');
        }
        _ => return Err(EncodeError::Kind { role }),
    }
    Ok(())
}

#[cfg(test)]
mod tests;
