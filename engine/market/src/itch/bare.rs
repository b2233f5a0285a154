//! Decode and book alone, nothing published: for measurements, and for whoever needs books without a bus.

use wire::dialect::{Dialect, NASDAQ_50, Op, OpKind};

use crate::book::{Book, BookLimits, LimitError, NewOrder, OrderFacts, Side};
use crate::feed::{BATCH, MessageAt};

/// A book that messages of Nasdaq's ITCH 5.0 are applied to, by the same look-ahead as [`super::Itch`].
#[derive(Debug)]
pub struct BareBook {
    book: Book,
    ops: Box<[Op; BATCH]>,
    refused: u64,
}

impl BareBook {
    /// An empty book.
    ///
    /// # Errors
    /// The first limit that is out of its range.
    pub fn new(limits: BookLimits) -> Result<Self, LimitError> {
        Ok(BareBook { book: Book::new(limits)?, ops: empty_ops(), refused: 0 })
    }

    /// Applies up to [`BATCH`] messages in order. What a message cannot do is counted: see [`BareBook::refused`].
    ///
    /// # Panics
    /// When the batch is longer.
    pub fn apply(&mut self, buf: &[u8], batch: &[MessageAt]) {
        let ops = &mut self.ops[..batch.len()];
        for (op, message) in ops.iter_mut().zip(batch) {
            decode(&NASDAQ_50, op, buf, message);
            look_ahead(&self.book, op, op.locate);
        }
        for op in ops.iter_mut() {
            look_closer(&self.book, op, op.locate);
        }
        for op in ops.iter() {
            if !apply_op(&mut self.book, op) {
                self.refused += 1;
            }
        }
    }

    /// The book; its instruments are stock locates.
    pub fn book(&self) -> &Book {
        &self.book
    }

    /// Messages that could not be applied.
    pub fn refused(&self) -> u64 {
        self.refused
    }
}

/// Room for a batch, to be overwritten.
pub(super) fn empty_ops() -> Box<[Op; BATCH]> {
    let empty = NASDAQ_50.decode_at(&[], 0, 0);
    vec![empty; BATCH].try_into().unwrap_or_else(|_| unreachable!("BATCH were made"))
}

/// Decodes a message in place: through a copy, its fields would be read back in wider pieces than they were written in.
#[inline(always)]
pub(super) fn decode(dialect: &Dialect, op: &mut Op, buf: &[u8], message: &MessageAt) {
    let (at, len) = (message.at as usize, message.len as usize);
    let tail = buf.get(at..).unwrap_or_default();
    match tail.first_chunk() {
        Some(window) => *op = dialect.decode(window, len.min(tail.len())),
        None => decode_last(dialect, op, tail, len),
    }
}

/// The last messages of a buffer, behind which there is no whole window.
#[cold]
#[inline(never)]
fn decode_last(dialect: &Dialect, op: &mut Op, tail: &[u8], len: usize) {
    *op = dialect.decode_at(tail, 0, len);
}

/// First pass over a batch: the lines that the message names. `at` is the index of its instrument.
#[inline(always)]
pub(super) fn look_ahead(book: &Book, op: &Op, at: u32) {
    // Fields that a type lacks hold its reference: asking twice for one line costs less than a branch on the type.
    book.look_ahead(op.reference);
    book.look_ahead(op.new_reference);
    // Asks for the other side's line when no side is named; it lies beside this one.
    let side = if op.side == b'S' { Side::Ask } else { Side::Bid };
    book.look_ahead_add(at, side);
}

/// Second pass: what the first one's lines name. Returns instrument and side of the order that the message is about.
#[inline(always)]
pub(super) fn look_closer(book: &Book, op: &mut Op, at: u32) -> Option<(u32, Side)> {
    match op.kind {
        OpKind::Add => {
            let side = Side::from_code(op.side)?;
            book.look_closer_add(at, side, op.price);
            Some((at, side))
        }
        OpKind::Execute | OpKind::ExecutePrice | OpKind::Cancel | OpKind::Delete | OpKind::Replace => {
            let (slot, owner) = book.look_closer(op.reference);
            op.slot = slot;
            owner
        }
        OpKind::Other | OpKind::Malformed | OpKind::Unknown => None,
    }
}

#[inline(always)]
fn apply_op(book: &mut Book, op: &Op) -> bool {
    let Op { reference, new_reference, quantity, price, locate: instrument, .. } = *op;
    // Four bytes on this wire.
    let shares = quantity as u32;
    match op.kind {
        OpKind::Add => {
            let Some(side) = Side::from_code(op.side) else { return false };
            book.add(NewOrder { instrument, side, reference, price, quantity: shares }).is_ok()
        }
        OpKind::Execute | OpKind::ExecutePrice | OpKind::Cancel => {
            let Some(slot) = book.find(reference, op.slot) else { return false };
            !book.take(slot, quantity).overfill
        }
        OpKind::Delete => book.find(reference, op.slot).map(|slot| book.remove(slot)).is_some(),
        OpKind::Replace => {
            let Some(slot) = book.find(reference, op.slot) else { return false };
            let OrderFacts { instrument, side, .. } = book.remove(slot).order;
            book.add(NewOrder { instrument, side, reference: new_reference, price, quantity: shares }).is_ok()
        }
        OpKind::Other => true,
        OpKind::Malformed | OpKind::Unknown => false,
    }
}
