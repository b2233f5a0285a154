//! Nasdaq TotalView-ITCH 5.0, document edition 2026-02-19.
//!
//! [`Message::parse`] views any of the 23 messages in place, with its venue names: for directory, status and everything
//! that is not the book's hot path, which reads them by the table of [`dialect`](crate::dialect).

mod message;

pub use message::*;
pub use zerocopy::byteorder::big_endian::{U16, U32, U64};
