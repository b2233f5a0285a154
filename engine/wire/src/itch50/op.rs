//! The straight decode: a table gives the kind and the field offsets, so one path serves every type.
//!
//! Order messages come in no predictable order, so a `match` on the type costs a mispredicted branch for about every
//! other message. Loading all fields of all order messages, at offsets from a table, costs a few loads from a line that
//! is in the cache anyway.

use super::message_len;

/// [`Op::slot`] when the book's look-ahead has not found the order.
pub const NIL: u32 = u32::MAX;

/// Bytes that must be readable from a message's start for the straight decode. The farthest load is a price whose
/// masked offset ends here.
pub const WINDOW: usize = PRICE_BASE + OFFSET_MASK + size_of::<u32>();

/// Offsets of the table are below 32, so this mask never changes one; it lets the compiler see that every load stays
/// inside the window, and so drop the bounds checks.
const OFFSET_MASK: usize = 31;

/// Prices lie as far as offset 32. Counting them from 8 keeps their table entries under the mask as well.
const PRICE_BASE: usize = 8;

/// What a message does to a book.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum OpKind {
    /// `A`, `F`: `reference`, `side`, `quantity`, `price`.
    Add = 0,
    /// `E`: `reference`, `quantity`, `match_number`.
    Execute = 1,
    /// `C`: `reference`, `quantity`, `match_number`, `printable`, and `price` of the print, not of the order.
    ExecutePrice = 2,
    /// `X`: `reference`, `quantity` taken away.
    Cancel = 3,
    /// `D`: `reference`.
    Delete = 4,
    /// `U`: `reference` leaves, `new_reference` comes with `quantity` and `price`.
    Replace = 5,
    /// A type of the document that touches no order; parse it with [`Message::parse`](super::Message::parse).
    Other = 6,
    /// Shorter than its type requires. No field holds a meaning: count it, declare it, skip it.
    Malformed = 7,
    /// No type of the document. No field holds a meaning: count it and skip it.
    Unknown = 8,
}

/// One order message as plain numbers.
///
/// Every field is loaded for every message; [`OpKind`] says which of them the message really has. The others hold
/// whatever bytes lie there and must not be read as anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Op {
    /// The order that the message is about; for a replace the original one.
    pub reference: u64,
    /// For a replace, the order that takes its place.
    pub new_reference: u64,
    /// Names an execution for a later broken trade.
    pub match_number: u64,
    /// Nanoseconds since the venue's local midnight, 48 bits. Valid for every known type.
    pub timestamp_ns: u64,
    /// Shares: displayed, executed or cancelled, by kind.
    pub quantity: u32,
    /// Four implied decimals.
    pub price: u32,
    /// A hint for the book's look-ahead, filled and checked by the book; [`NIL`] from the decoder.
    pub slot: u32,
    /// Venue's instrument index of the day. Valid for every known type.
    pub locate: u16,
    /// What the message does.
    pub kind: OpKind,
    /// Raw wire byte of an add's side: `B` or `S` from an honest venue, anything from another.
    pub side: u8,
    /// Whether an execution at another price counts as volume: its byte is `Y`.
    pub printable: bool,
}

const _: () = assert!(size_of::<Op>() <= 64);

/// Where a type keeps its fields. A field that the type lacks points at the order reference, which is always loaded.
/// Aligned, so that a row's address is one shift from its letter.
#[derive(Clone, Copy)]
#[repr(align(8))]
struct Layout {
    kind: OpKind,
    /// Shortest legal message.
    len: u8,
    new_reference: u8,
    match_number: u8,
    quantity: u8,
    /// Offset of the price less [`PRICE_BASE`].
    price: u8,
}

const REFERENCE: usize = 11;
const SIDE: usize = 19;
const PRINTABLE: usize = 31;

impl Layout {
    const fn new(kind: OpKind, len: usize) -> Self {
        let absent = REFERENCE as u8;
        Self { kind, len: len as u8, new_reference: absent, match_number: absent, quantity: absent, price: absent }
    }

    const fn new_reference(mut self, offset: usize) -> Self {
        assert!(offset <= OFFSET_MASK);
        self.new_reference = offset as u8;
        self
    }

    const fn match_number(mut self, offset: usize) -> Self {
        assert!(offset <= OFFSET_MASK);
        self.match_number = offset as u8;
        self
    }

    const fn quantity(mut self, offset: usize) -> Self {
        assert!(offset <= OFFSET_MASK);
        self.quantity = offset as u8;
        self
    }

    const fn price(mut self, offset: usize) -> Self {
        assert!(offset >= PRICE_BASE && offset - PRICE_BASE <= OFFSET_MASK);
        self.price = (offset - PRICE_BASE) as u8;
        self
    }
}

static LAYOUTS: [Layout; 256] = layouts();

const fn layouts() -> [Layout; 256] {
    // An unknown type needs its type byte, so that an empty message is malformed and not unknown.
    let mut table = [Layout::new(OpKind::Unknown, 1); 256];
    let mut letter = 0;
    while letter < table.len() {
        if let Some(len) = message_len(letter as u8) {
            table[letter] = order_layout(letter as u8, len);
        }
        letter += 1;
    }
    table
}

const fn order_layout(letter: u8, len: usize) -> Layout {
    match letter {
        b'A' | b'F' => Layout::new(OpKind::Add, len).quantity(20).price(32),
        b'E' => Layout::new(OpKind::Execute, len).quantity(19).match_number(23),
        b'C' => Layout::new(OpKind::ExecutePrice, len).quantity(19).match_number(23).price(32),
        b'X' => Layout::new(OpKind::Cancel, len).quantity(19),
        b'D' => Layout::new(OpKind::Delete, len),
        b'U' => Layout::new(OpKind::Replace, len).new_reference(19).quantity(27).price(31),
        _ => Layout::new(OpKind::Other, len),
    }
}

/// Decodes the message at the start of `window`, whose framing says that it is `len` bytes long. Bytes behind the
/// message may be anything.
///
/// A short message is [`OpKind::Malformed`]; the decode itself cannot fail and takes the same path for every input.
#[inline]
#[must_use]
pub fn decode_op(window: &[u8; WINDOW], len: usize) -> Op {
    let layout = &LAYOUTS[window[0] as usize];
    let kind = if len < layout.len as usize { OpKind::Malformed } else { layout.kind };
    Op {
        reference: be64(window, REFERENCE),
        new_reference: be64(window, layout.new_reference as usize & OFFSET_MASK),
        match_number: be64(window, layout.match_number as usize & OFFSET_MASK),
        // Six bytes from offset 5, loaded as the low end of eight.
        timestamp_ns: be64(window, 3) & super::TIMESTAMP_MAX_NS,
        quantity: be32(window, layout.quantity as usize & OFFSET_MASK),
        price: be32(window, PRICE_BASE + (layout.price as usize & OFFSET_MASK)),
        slot: NIL,
        locate: u16::from_be_bytes([window[1], window[2]]),
        kind,
        side: window[SIDE],
        printable: window[PRINTABLE] == b'Y',
    }
}

/// Decodes the message of `len` bytes that starts at `at` in `buf`: in place when `buf` holds a whole window from
/// there, else from a copy padded with zeros.
///
/// A message that does not lie in `buf` entirely counts with the bytes that are there, so it is
/// [`OpKind::Malformed`] when they are too few.
#[inline]
#[must_use]
pub fn decode_op_at(buf: &[u8], at: usize, len: usize) -> Op {
    let tail = buf.get(at..).unwrap_or_default();
    match tail.first_chunk::<WINDOW>() {
        Some(window) => decode_op(window, len.min(tail.len())),
        None => decode_op_padded(tail, len),
    }
}

/// The last message or two of a buffer: `tail` is shorter than a window.
#[cold]
fn decode_op_padded(tail: &[u8], len: usize) -> Op {
    let mut window = [0; WINDOW];
    window[..tail.len()].copy_from_slice(tail);
    decode_op(&window, len.min(tail.len()))
}

#[inline]
fn be64(window: &[u8; WINDOW], at: usize) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&window[at..at + 8]);
    u64::from_be_bytes(bytes)
}

#[inline]
fn be32(window: &[u8; WINDOW], at: usize) -> u32 {
    let mut bytes = [0; 4];
    bytes.copy_from_slice(&window[at..at + 4]);
    u32::from_be_bytes(bytes)
}

#[cfg(test)]
mod tests;
