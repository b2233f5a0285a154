//! The straight decode: a row per type gives the kind and the field offsets, so one path serves every type.
//!
//! Order messages come in no predictable order, so a `match` on the type costs a mispredicted branch for about every
//! other message. Loading all fields of all order messages, at offsets from a row, costs a few loads from a line that
//! is in the cache anyway. The branches that are left go one way: on the dialect, which is the same for every message of
//! a feed, and on what is rare, a special form or a length that is not the table's.

use super::table::{Entry, Event, Field, Role};
use super::{Clock, Dialect, NIL, Op, OpKind, WINDOW};

/// Largest offset of a row.
pub(super) const OFFSET_MAX: usize = 31;

/// An offset of a row, 0 to 31, as an enum: so the compiler sees that every load stays inside the window, and drops the
/// bounds checks. A mask would do the same, for an instruction a field.
#[derive(Clone, Copy)]
#[repr(u8)]
#[rustfmt::skip]
enum Offset { O0, O1, O2, O3, O4, O5, O6, O7, O8, O9, O10, O11, O12, O13, O14, O15, O16, O17, O18, O19, O20, O21, O22, O23, O24, O25, O26, O27, O28, O29, O30, O31 }

const OFFSETS: [Offset; OFFSET_MAX + 1] = {
    use Offset::*;
    [
        O0, O1, O2, O3, O4, O5, O6, O7, O8, O9, O10, O11, O12, O13, O14, O15, O16, O17, O18, O19, O20, O21, O22, O23,
        O24, O25, O26, O27, O28, O29, O30, O31,
    ]
};

/// Where a type, in one of its lengths, keeps its fields. A field that the type lacks points at some byte that is there
/// to load. A quarter of a cache line, so that a row's address is one shift from its letter.
#[derive(Clone, Copy)]
#[repr(align(16))]
pub(super) struct Row {
    kind: OpKind,
    /// Kind of an add whose order number is 0, and its quantity too if [`Row::zero_quantity`].
    zero_kind: OpKind,
    zero_quantity: bool,
    message_type: u8,
    /// Bytes of the message in this form; with texts, of the part before them.
    len: u8,
    new_reference: Offset,
    match_number: Offset,
    quantity: Offset,
    /// 32 when the wire has four bytes: of the eight that are loaded, the others are pushed out.
    quantity_shift: u8,
    /// Offset of the price less 4: eight bytes are loaded, of which it is the low half.
    price: Offset,
    /// Offset of the orderbook less 4, loaded like the price.
    locate: Offset,
    /// 0 for a message that names no orderbook, else all bits.
    locate_mask: u32,
}

/// Rows of a dialect, twice.
pub(super) struct Rows {
    /// By type: its longest form.
    by_type: [Row; TYPES],
    /// By type and length, at [`place`]. No form: a row that no message has.
    by_form: [Row; FORMS],
}

const TYPES: usize = 256;
const FORMS: usize = 512;

/// Place of a form, so that no two forms of a dialect share one: the build checks it. Five bits of the letter, which
/// tell letters of one case apart, and four of the length.
#[inline(always)]
const fn place(message_type: u8, len: usize) -> usize {
    (message_type as usize ^ (len << 5)) & (FORMS - 1)
}

/// Fields that stand at the same place in every order message of Nasdaq's.
mod nasdaq {
    pub(super) const LOCATE: usize = 1;
    pub(super) const TIMESTAMP: usize = 5;
    pub(super) const REFERENCE: usize = 11;
    pub(super) const SIDE: usize = 19;
    pub(super) const PRINTABLE: usize = 31;
}

/// The same of the X-stream family.
mod xstream {
    pub(super) const TIMESTAMP: usize = 1;
    pub(super) const REFERENCE: usize = 5;
    pub(super) const SIDE: usize = 13;
    pub(super) const PRINTABLE: usize = 29;
}

impl Row {
    const fn empty(message_type: u8, kind: OpKind, len: usize) -> Row {
        assert!(len <= u8::MAX as usize, "a length of a table fits into a byte");
        Row {
            kind,
            zero_kind: kind,
            zero_quantity: false,
            message_type,
            len: len as u8,
            new_reference: Offset::O0,
            match_number: Offset::O0,
            quantity: Offset::O0,
            quantity_shift: 0,
            price: Offset::O0,
            locate: Offset::O0,
            locate_mask: 0,
        }
    }

    /// The row of `entry` in messages of `len` bytes.
    const fn of(entry: &Entry, len: usize, clock: Clock) -> Row {
        let mut row = Row::empty(entry.message_type, kind_of(entry.event), len);
        let order = !matches!(row.kind, OpKind::Other);
        if let Some(field) = entry.field(Role::Orderbook, len) {
            // Nasdaq's stands in the head.
            if !matches!(clock, Clock::NanosSinceMidnight) {
                (row.locate, row.locate_mask) = (low_half(field), u32::MAX);
            }
        }
        if !order {
            return row;
        }
        // What a type lacks may be loaded from anywhere.
        let absent = eight(entry.field(Role::Reference, len).expect("every order message names its order"));
        (row.new_reference, row.match_number, row.quantity) = (absent, absent, absent);
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
        if let Some((roles, _)) = entry.when_zero {
            assert!(matches!(row.kind, OpKind::Add), "of the order messages, only an add has a special form");
            assert!(entry.field(Role::Orderbook, len).is_some(), "a special form names its orderbook");
            row.zero_kind = OpKind::Other;
            row.zero_quantity = match roles {
                [Role::Reference] => false,
                [Role::Reference, Role::Quantity] => true,
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

const fn in_reach(offset: usize) -> Offset {
    assert!(offset <= OFFSET_MAX, "the window of the straight decode ends before this field");
    OFFSETS[offset]
}

const fn eight(field: &Field) -> Offset {
    assert!(field.width == 8, "order and match numbers have eight bytes");
    in_reach(field.offset as usize)
}

/// A four-byte field is loaded as the low half of eight bytes, so that one at the window's end is in reach too.
const fn low_half(field: &Field) -> Offset {
    assert!(field.width == 4 && field.offset >= 4, "prices and orderbooks have four bytes, behind the head");
    in_reach(field.offset as usize - 4)
}

/// Makes the rows of a table.
pub(super) const fn rows(entries: &[Entry], clock: Clock) -> Rows {
    let mut rows = Rows { by_type: [UNKNOWN; TYPES], by_form: [UNKNOWN; FORMS] };
    let mut i = 0;
    while i < entries.len() {
        let entry = &entries[i];
        let message_type = entry.message_type;
        let mut j = 0;
        while j < entry.lengths.len() {
            let len = entry.lengths[j];
            let row = Row::of(entry, len, clock);
            check_head(entry, len, clock);
            let longest = &mut rows.by_type[message_type as usize];
            let other = !matches!(longest.kind, OpKind::Unknown);
            assert!(!other || (longest.len as usize) < len, "lengths of a type ascend");
            if matches!(clock, Clock::NanosSinceMidnight) {
                assert!(
                    !other && entry.when_zero.is_none(),
                    "Nasdaq's path knows one form a type, and no special ones"
                );
            }
            *longest = row;
            let form = &mut rows.by_form[place(message_type, len)];
            assert!(matches!(form.kind, OpKind::Unknown), "two forms have one place");
            *form = row;
            j += 1;
        }
        i += 1;
    }
    rows
}

/// Of an unknown type: it needs its type byte, so that an empty message is malformed and not unknown.
const UNKNOWN: Row = Row::empty(0, OpKind::Unknown, 1);
/// Of a message whose length its type does not have.
const MALFORMED: Row = Row::empty(0, OpKind::Malformed, 0);

/// Both paths take some fields at places of their own: the table must agree.
const fn check_head(entry: &Entry, len: usize, clock: Clock) {
    let (timestamp, reference, side, printable) = match clock {
        Clock::NanosSinceMidnight => {
            at(entry.field(Role::Orderbook, len), nasdaq::LOCATE, 2);
            ((nasdaq::TIMESTAMP, 6), nasdaq::REFERENCE, nasdaq::SIDE, nasdaq::PRINTABLE)
        }
        Clock::SecondsAndNanos => ((xstream::TIMESTAMP, 4), xstream::REFERENCE, xstream::SIDE, xstream::PRINTABLE),
    };
    if !matches!(entry.event, Event::Timestamp) {
        at(entry.field(Role::TimestampNs, len), timestamp.0, timestamp.1);
    }
    match kind_of(entry.event) {
        OpKind::Other => return,
        OpKind::Add => at(entry.field(Role::Side, len), side, 1),
        OpKind::ExecutePrice => at(entry.field(Role::Printable, len), printable, 1),
        _ => {}
    }
    at(entry.field(Role::Reference, len), reference, 8);
    if let (Clock::NanosSinceMidnight, Some(quantity)) = (clock, entry.field(Role::Quantity, len)) {
        assert!(quantity.width == 4, "Nasdaq's path loads four bytes of quantity");
    }
}

const fn at(field: Option<&Field>, offset: usize, width: usize) {
    let field = field.expect("a field of every such message");
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
            Clock::SecondsAndNanos => decode_xstream(&self.rows, window, len),
        }
    }

    /// Decodes the message of `len` bytes that starts at `at` in `buf`: in place when `buf` holds a whole window from
    /// there, else from a copy padded with zeros.
    ///
    /// A message that does not lie in `buf` entirely counts with the bytes that are there, so it is
    /// [`OpKind::Malformed`] when they are too few.
    #[inline(always)]
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
    let row = &rows.by_type[window[0] as usize];
    Op {
        reference: be64(window, nasdaq::REFERENCE),
        new_reference: be64(window, row.new_reference as usize),
        match_number: be64(window, row.match_number as usize),
        // Six bytes of eight.
        timestamp_ns: be64(window, nasdaq::TIMESTAMP) >> 16,
        quantity: be64(window, row.quantity as usize) >> 32,
        price: be64(window, row.price as usize) as u32,
        slot: NIL,
        locate: u16::from_be_bytes([window[nasdaq::LOCATE], window[nasdaq::LOCATE + 1]]).into(),
        kind: if len < row.len as usize { OpKind::Malformed } else { row.kind },
        side: window[nasdaq::SIDE],
        printable: window[nasdaq::PRINTABLE] == b'Y',
        form_length: row.len,
    }
}

/// The row by type and length. One branch, and a feed does not take it for as good as all of its messages.
#[inline(always)]
fn decode_xstream(rows: &Rows, window: &[u8; WINDOW], len: usize) -> Op {
    let row = &rows.by_form[place(window[0], len)];
    let usual = row.message_type == window[0] && row.len as usize == len;
    if !usual || be64(window, xstream::REFERENCE) == 0 {
        return rows.decode_unusual(window, len, usual);
    }
    read_xstream(row, window, row.kind)
}

impl Rows {
    /// A message that has not exactly a form's length, or that may be a special form: a reference price.
    #[cold]
    #[inline(never)]
    fn decode_unusual(&self, window: &[u8; WINDOW], len: usize, is_form: bool) -> Op {
        let longest = &self.by_type[window[0] as usize];
        let row = match is_form {
            true => &self.by_form[place(window[0], len)],
            false if len < longest.len as usize => &MALFORMED,
            false => longest,
        };
        let op = read_xstream(row, window, row.kind);
        let special = op.reference == 0 && (op.quantity == 0 || !row.zero_quantity);
        Op { kind: if special { row.zero_kind } else { row.kind }, ..op }
    }
}

/// All from the row; the orderbook if the message names one.
#[inline(always)]
fn read_xstream(row: &Row, window: &[u8; WINDOW], kind: OpKind) -> Op {
    Op {
        reference: be64(window, xstream::REFERENCE),
        new_reference: be64(window, row.new_reference as usize),
        match_number: be64(window, row.match_number as usize),
        timestamp_ns: be32(window, xstream::TIMESTAMP).into(),
        quantity: be64(window, row.quantity as usize) >> (row.quantity_shift & 63),
        price: be64(window, row.price as usize) as u32,
        slot: NIL,
        locate: be64(window, row.locate as usize) as u32 & row.locate_mask,
        kind,
        side: window[xstream::SIDE],
        printable: window[xstream::PRINTABLE] == b'Y',
        form_length: row.len,
    }
}

#[inline(always)]
fn be64(window: &[u8; WINDOW], at: usize) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&window[at..at + 8]);
    u64::from_be_bytes(bytes)
}

#[inline(always)]
fn be32(window: &[u8; WINDOW], at: usize) -> u32 {
    let mut bytes = [0; 4];
    bytes.copy_from_slice(&window[at..at + 4]);
    u32::from_be_bytes(bytes)
}

#[cfg(test)]
mod tests;
