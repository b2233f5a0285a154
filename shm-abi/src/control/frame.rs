//! Length, then JSON.

use serde::Serialize;

/// Longest message, its length field not counted.
pub const MESSAGE_BYTES_MAX: usize = 64 << 10;
/// Bytes of the length field.
pub const LENGTH_BYTES: usize = 4;

/// Why bytes are no message, or a message cannot be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The length field, or what was to be sent, is over the limit.
    #[error("message length = {length}: expected at most {MESSAGE_BYTES_MAX} bytes")]
    TooLong {
        /// Bytes announced or needed.
        length: usize,
    },
    /// A message of no bytes.
    #[error("message length = 0: expected a JSON object")]
    Empty,
}

/// The first whole message in `bytes`, and how many bytes it takes up with its length; `None` while it is not whole.
/// Nothing is kept or allocated by the length that stands there.
///
/// # Errors
/// [`FrameError`]: where the next message begins is then unknown, so the connection must end.
pub fn next_frame(bytes: &[u8]) -> Result<Option<(&[u8], usize)>, FrameError> {
    let Some((length, rest)) = bytes.split_first_chunk::<LENGTH_BYTES>() else { return Ok(None) };
    let length = u32::from_le_bytes(*length) as usize;
    match length {
        0 => Err(FrameError::Empty),
        _ if length > MESSAGE_BYTES_MAX => Err(FrameError::TooLong { length }),
        _ => Ok(rest.get(..length).map(|payload| (payload, LENGTH_BYTES + length))),
    }
}

/// Appends `message` with its length to `out`. On an error `out` is as it was.
///
/// # Errors
/// [`FrameError::TooLong`].
pub fn encode(message: &impl Serialize, out: &mut Vec<u8>) -> Result<(), FrameError> {
    let at = out.len();
    out.extend_from_slice(&[0; LENGTH_BYTES]);
    serde_json::to_writer(&mut *out, message).expect("maps have text keys and a Vec takes every byte");
    let length = out.len() - at - LENGTH_BYTES;
    if length > MESSAGE_BYTES_MAX {
        out.truncate(at);
        return Err(FrameError::TooLong { length });
    }
    out[at..at + LENGTH_BYTES].copy_from_slice(&(length as u32).to_le_bytes());
    Ok(())
}
