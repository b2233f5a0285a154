/// Why a message could not be decoded. The feed is untrusted: each variant is an input, not a bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// Fewer bytes than the message's type requires.
    #[error("truncated message: need {need} bytes, have {have}")]
    Truncated {
        /// Bytes that the type requires.
        need: usize,
        /// Bytes that were there.
        have: usize,
    },
    /// The message is of another type than the one asked for.
    #[error("expected message type {want:#04x}, got {got:#04x}")]
    Type {
        /// The type asked for.
        want: u8,
        /// The type in byte 0.
        got: u8,
    },
    /// The protocol document has no such type. Count the message and skip it: the framing knows its length.
    #[error("unknown message type {got:#04x}")]
    UnknownType {
        /// The type in byte 0.
        got: u8,
    },
    /// The type has forms of other lengths only. Count the message, declare it, skip it.
    #[error("no message of type {message_type:#04x} has {length} bytes")]
    Length {
        /// The type in byte 0.
        message_type: u8,
        /// Bytes of the message.
        length: usize,
    },
}
