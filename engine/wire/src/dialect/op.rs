//! One message as plain numbers, whatever the dialect: what the book's hot path reads.

/// [`Op::slot`] when the book's look-ahead has not found the order.
pub const NIL: u32 = u32::MAX;

/// Bytes that must be readable from a message's start for the straight decode: its loads are of eight bytes and begin
/// at 31 at the latest.
pub const WINDOW: usize = super::hot::OFFSET_MAX + size_of::<u64>();

/// What a message does to a book.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum OpKind {
    /// An order joins: `reference`, `side`, `quantity`, `price`.
    Add = 0,
    /// `reference`, `quantity`, `match_number`.
    Execute = 1,
    /// `reference`, `quantity`, `match_number`, `printable`, and `price` of the print, not of the order.
    ExecutePrice = 2,
    /// A part leaves: `reference`, `quantity` taken away.
    Cancel = 3,
    /// `reference`.
    Delete = 4,
    /// `reference` leaves, `new_reference` comes with `quantity` and `price`.
    Replace = 5,
    /// A type of the document that touches no order, or a special form that is none (a reference price written as an
    /// add): see [`Dialect::view`](super::Dialect::view).
    Other = 6,
    /// Shorter than its type requires, or between two of its lengths. No field holds a meaning: count it, declare it,
    /// skip it.
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
    /// The wire's nanoseconds, see [`Clock`](super::Clock): since local midnight (48 bits), or since the second of the
    /// last time stamp message (32 bits, and no promise that they are less than a second). Valid for every known type,
    /// but for a message that carries seconds instead.
    pub timestamp_ns: u64,
    /// Shares: displayed, executed or cancelled, by kind.
    pub quantity: u64,
    /// In the decimals of the instrument.
    pub price: u32,
    /// A hint for the book's look-ahead, filled and checked by the book; [`NIL`] from the decoder.
    pub slot: u32,
    /// Venue's number for the orderbook. Valid for every known type; 0 when the message names none.
    pub locate: u32,
    /// What the message does.
    pub kind: OpKind,
    /// Raw wire byte of an add's side: `B` or `S` from an honest venue, anything from another.
    pub side: u8,
    /// Whether an execution at another price counts as volume: its byte is `Y`.
    pub printable: bool,
    /// Bytes of the form that the message was read by. A longer message has fields appended that the table does not
    /// know: count it as extended, unless it is an [`OpKind::Other`], of which the view says it.
    pub form_length: u8,
}

const _: () = assert!(size_of::<Op>() <= 64);
