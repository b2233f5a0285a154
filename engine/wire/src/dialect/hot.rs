//! The straight decode: a row per type gives the kind and the field offsets, so one path serves every type.
//!
//! Order messages come in no predictable order, so a `match` on the type costs a mispredicted branch for about every
//! other message. Loading all fields of all order messages, at offsets from a row, costs a few loads from a line that
//! is in the cache anyway. The one branch here is on the dialect, which is the same for every message of a feed.

use super::table::{Entry, Event, Field, Role};
use super::{Clock, Dialect, NIL, Op, OpKind, WINDOW};

/// Offsets of the rows are below 32, so this mask never changes one; it lets the compiler see that every load stays
/// inside the window, and so drop the bounds checks.
pub(super) const OFFSET_MASK: usize = 31;

/// Where a type, in one of its lengths, keeps its fields. A field that the type lacks points at some byte that is there
/// to load. A quarter of a cache line, so that a row's address is one shift from its letter.
#[derive(Clone, Copy)]
#[repr(align(16))]
pub(super) struct Row {
    kind: OpKind,
    /// Kind of an add whose order number is 0, and its quantity too if [`Row::zero_quantity`] has its bits set.
    zero_kind: OpKind,
    zero_quantity: u8,
    /// Bytes of the message in this form.
    len: u8,
    reference: u8,
    new_reference: u8,
    match_number: u8,
    quantity: u8,
    /// 32 when the wire has four bytes: of the eight that are loaded, the others are pushed out.
    quantity_shift: u8,
    /// Offset of the price less 4: eight bytes are loaded, of which it is the low half.
    price: u8,
    /// Offset of the orderbook less 4, loaded like the price.
    locate: u8,
    /// 32 pushes out what was loaded, for a message that names no orderbook.
    locate_shift: u8,
    side: u8,
    printable: u8,
}

/// Rows of a dialect: of each type its longest form, then of each type its shorter one.
pub(super) type Rows = [Row; 2 * TYPES];
const TYPES: usize = 256;

/// Place of the fields that stand at the same place in every message of Nasdaq's.
mod nasdaq {
    pub(super) const LOCATE: usize = 1;
    pub(super) const TIMESTAMP: usize = 5;
    pub(super) const REFERENCE: usize = 11;
    pub(super) const SIDE: usize = 19;
    pub(super) const PRINTABLE: usize = 31;
}

impl Row {
    const fn empty(kind: OpKind, len: usize) -> Row {
        assert!(len <= u8::MAX as usize, "a length of a table fits into a byte");
        Row {
            kind,
            zero_kind: kind,
            zero_quantity: 0,
            len: len as u8,
            reference: 0,
            new_reference: 0,
            match_number: 0,
            quantity: 0,
            quantity_shift: 0,
            price: 0,
            locate: 0,
            locate_shift: 32,
            side: 0,
            printable: 0,
        }
    }

    /// The row of `entry` in messages of `len` bytes.
    const fn of(entry: &Entry, len: usize, clock: Clock) -> Row {
        let mut row = Row::empty(kind_of(entry.event), len);
        let order = !matches!(row.kind, OpKind::Other);
        if let Some(field) = entry.field(Role::Orderbook, len) {
            // Nasdaq's stands in the head.
            if !matches!(clock, Clock::NanosSinceMidnight) {
                (row.locate, row.locate_shift) = (low_half(field), 0);
            }
        }
        if !order {
            return row;
        }
        row.reference = eight(wanted(entry, Role::Reference, len));
        row.new_reference = row.reference;
        row.match_number = row.reference;
        row.quantity = row.reference;
        if let Some(field) = entry.field(Role::NewReference, len) {
            row.new_reference = eight(field);
        }
        if let Some(field) = entry.field(Role::MatchNumber, len) {
            row.match_number = eight(field);
        }
        if let Some(field) = entry.field(Role::Quantity, len) {
            assert!(field.width == 4 || field.width == 8, "a quantity has four or eight bytes");
            row.quantity = in_reach(field.offset as usize);
            row.quantity_shift = 64 - 8 * field.width as u8;
        }
        if let Some(field) = entry.field(Role::Price, len) {
            row.price = low_half(field);
        }
        if let Some(field) = entry.field(Role::Side, len) {
            row.side = one(field);
        }
        if let Some(field) = entry.field(Role::Printable, len) {
            row.printable = one(field);
        }
        if let Some((roles, _)) = entry.when_zero {
            assert!(matches!(row.kind, OpKind::Add), "of the order messages, only an add has a special form");
            assert!(entry.field(Role::Orderbook, len).is_some(), "a special form names its orderbook");
            row.zero_kind = OpKind::Other;
            row.zero_quantity = match roles {
                [Role::Reference] => 0,
                [Role::Reference, Role::Quantity] => 0xff,
                _ => panic!("an add is told from a special form by its number, or by number and quantity"),
            };
        }
        row
    }
}

const fn kind_of(event: Event) -> OpKind {
    match event {
        Event::Add => OpKind::Add,
        Event::Execute => OpKind::Execute,
        Event::ExecutePrice => OpKind::ExecutePrice,
        Event::Cancel => OpKind::Cancel,
        Event::Delete => OpKind::Delete,
        Event::Replace => OpKind::Replace,
        _ => OpKind::Other,
    }
}

const fn wanted(entry: &Entry, role: Role, len: usize) -> &'static Field {
    entry.field(role, len).expect("every order message names its order")
}

const fn in_reach(offset: usize) -> u8 {
    assert!(offset <= OFFSET_MASK, "the window of the straight decode ends before this field");
    offset as u8
}

const fn eight(field: &Field) -> u8 {
    assert!(field.width == 8, "order and match numbers have eight bytes");
    in_reach(field.offset as usize)
}

/// A four-byte field is loaded as the low half of eight bytes, so that one at the window's end is in reach too.
const fn low_half(field: &Field) -> u8 {
    assert!(field.width == 4 && field.offset >= 4, "prices and orderbooks have four bytes, behind the head");
    in_reach(field.offset as usize - 4)
}

const fn one(field: &Field) -> u8 {
    assert!(field.width == 1, "one letter");
    in_reach(field.offset as usize)
}

/// Makes the rows of a table.
pub(super) const fn rows(entries: &[Entry], clock: Clock) -> Rows {
    // An unknown type needs its type byte, so that an empty message is malformed and not unknown.
    let mut rows = [Row::empty(OpKind::Unknown, 1); 2 * TYPES];
    let mut letter = 0;
    while letter < TYPES {
        rows[TYPES + letter] = Row::empty(OpKind::Malformed, 1);
        letter += 1;
    }
    let mut i = 0;
    while i < entries.len() {
        let entry = &entries[i];
        let letter = entry.message_type as usize;
        let mut j = 0;
        while j < entry.lengths.len() {
            let len = entry.lengths[j];
            if !matches!(rows[letter].kind, OpKind::Unknown) {
                assert!(matches!(rows[TYPES + letter].kind, OpKind::Malformed), "a type has at most two lengths");
                assert!((rows[letter].len as usize) < len, "lengths of a type ascend");
                rows[TYPES + letter] = rows[letter];
            } else {
                // Never met by a message that is shorter than the only length.
                rows[TYPES + letter].len = len as u8;
            }
            rows[letter] = Row::of(entry, len, clock);
            if matches!(clock, Clock::NanosSinceMidnight) {
                check_nasdaq(entry, len);
                assert!(matches!(rows[TYPES + letter].kind, OpKind::Malformed), "one length a type");
            }
            j += 1;
        }
        i += 1;
    }
    rows
}

/// Nasdaq's path takes some fields at places of its own: the table must agree.
const fn check_nasdaq(entry: &Entry, len: usize) {
    at(entry.field(Role::Orderbook, len), nasdaq::LOCATE, 2);
    at(entry.field(Role::TimestampNs, len), nasdaq::TIMESTAMP, 6);
    assert!(entry.when_zero.is_none(), "no special forms");
    if !matches!(kind_of(entry.event), OpKind::Other) {
        at(entry.field(Role::Reference, len), nasdaq::REFERENCE, 8);
        if entry.field(Role::Side, len).is_some() {
            at(entry.field(Role::Side, len), nasdaq::SIDE, 1);
        }
        if entry.field(Role::Printable, len).is_some() {
            at(entry.field(Role::Printable, len), nasdaq::PRINTABLE, 1);
        }
        if let Some(field) = entry.field(Role::Quantity, len) {
            assert!(field.width == 4, "a quantity has four bytes");
        }
    }
}

const fn at(field: Option<&Field>, offset: usize, width: usize) {
    let field = field.expect("a field of every message");
    assert!(field.offset as usize == offset && field.width as usize == width, "the field is elsewhere");
}

impl Dialect {
    /// Decodes the message at the start of `window`, whose framing says that it is `len` bytes long. Bytes behind the
    /// message may be anything.
    ///
    /// A message of a length that its type does not have is [`OpKind::Malformed`], one that is longer than all of them
    /// is read by its prefix; the decode itself cannot fail and takes the same path for every input.
    #[inline(always)]
    #[must_use]
    pub fn decode(&self, window: &[u8; WINDOW], len: usize) -> Op {
        match self.clock {
            Clock::NanosSinceMidnight => decode_nasdaq(&self.rows, window, len),
            Clock::SecondsAndNanos => decode_any(&self.rows, window, len),
        }
    }

    /// Decodes the message of `len` bytes that starts at `at` in `buf`: in place when `buf` holds a whole window from
    /// there, else from a copy padded with zeros.
    ///
    /// A message that does not lie in `buf` entirely counts with the bytes that are there, so it is
    /// [`OpKind::Malformed`] when they are too few.
    #[inline]
    #[must_use]
    pub fn decode_at(&self, buf: &[u8], at: usize, len: usize) -> Op {
        let tail = buf.get(at..).unwrap_or_default();
        match tail.first_chunk::<WINDOW>() {
            Some(window) => self.decode(window, len.min(tail.len())),
            None => self.decode_padded(tail, len),
        }
    }

    /// The last message or two of a buffer: `tail` is shorter than a window.
    #[cold]
    #[inline(never)]
    fn decode_padded(&self, tail: &[u8], len: usize) -> Op {
        let mut window = [0; WINDOW];
        window[..tail.len()].copy_from_slice(tail);
        self.decode(&window, len.min(tail.len()))
    }
}

/// One length a type, and a head that names time and orderbook: less to look up.
#[inline(always)]
fn decode_nasdaq(rows: &Rows, window: &[u8; WINDOW], len: usize) -> Op {
    let row = &rows[window[0] as usize];
    let known = row.len as usize;
    Op {
        reference: be64(window, nasdaq::REFERENCE),
        new_reference: be64(window, row.new_reference as usize & OFFSET_MASK),
        match_number: be64(window, row.match_number as usize & OFFSET_MASK),
        // Six bytes of eight.
        timestamp_ns: be64(window, nasdaq::TIMESTAMP) >> 16,
        quantity: be64(window, row.quantity as usize & OFFSET_MASK) >> 32,
        price: be64(window, row.price as usize & OFFSET_MASK) as u32,
        slot: NIL,
        locate: u16::from_be_bytes([window[nasdaq::LOCATE], window[nasdaq::LOCATE + 1]]).into(),
        kind: if len < known { OpKind::Malformed } else { row.kind },
        side: window[nasdaq::SIDE],
        printable: window[nasdaq::PRINTABLE] == b'Y',
        extended: len > known,
    }
}

/// All from the row, and the row by type and length.
#[inline(always)]
fn decode_any(rows: &Rows, window: &[u8; WINDOW], len: usize) -> Op {
    let letter = window[0] as usize;
    let short = len < rows[letter].len as usize;
    let row = &rows[letter + TYPES * usize::from(short)];
    let odd = len != row.len as usize;
    let reference = be64(window, row.reference as usize & OFFSET_MASK);
    let quantity = be64(window, row.quantity as usize & OFFSET_MASK) >> (row.quantity_shift & 63);
    // All bits or none.
    let counted = row.zero_quantity as i8 as u64;
    let special = reference | (quantity & counted) == 0;
    let kind = if special { row.zero_kind } else { row.kind };
    Op {
        reference,
        new_reference: be64(window, row.new_reference as usize & OFFSET_MASK),
        match_number: be64(window, row.match_number as usize & OFFSET_MASK),
        timestamp_ns: be64(window, 1) >> 32,
        quantity,
        price: be64(window, row.price as usize & OFFSET_MASK) as u32,
        slot: NIL,
        locate: (u64::from(be64(window, row.locate as usize & OFFSET_MASK) as u32) >> (row.locate_shift & 63)) as u32,
        kind: if short & odd { OpKind::Malformed } else { kind },
        side: window[row.side as usize & OFFSET_MASK],
        printable: window[row.printable as usize & OFFSET_MASK] == b'Y',
        extended: odd & !short,
    }
}

#[inline(always)]
fn be64(window: &[u8; WINDOW], at: usize) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&window[at..at + 8]);
    u64::from_be_bytes(bytes)
}

#[cfg(test)]
mod tests;
