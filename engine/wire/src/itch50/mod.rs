//! Nasdaq TotalView-ITCH 5.0, document edition 2026-02-19.
//!
//! Two ways in, for two callers. [`Message::parse`] views any of the 23 messages in place, with its venue names: for
//! directory, status and everything that is not the book's hot path. [`decode_op`] loads every order field at offsets
//! from a table, with no branch on the type: for the book, where a mispredicted branch costs more than the decode.

mod message;
mod op;

pub use message::*;
pub use op::{NIL, Op, OpKind, WINDOW, decode_op, decode_op_at};
pub use zerocopy::byteorder::big_endian::{U16, U32, U64};
