//! What stands in the slots: the head that every record has, and the body of each kind.
//!
//! A record's first slot has seven words: a head of four and a body of three. Longer records go on in further slots, of
//! which each gives six more words of body (its own word 0 only marks it as a continuation).
//!
//! | word | bytes, from the lowest |
//! |---|---|
//! | 0 | kind:1 flags:1 span:1 side_or_code:1 instrument_id:4 |
//! | 1 | `ts_event`: venue time, ns since the UNIX epoch |
//! | 2 | `ts_recv`: socket time, ns since the UNIX epoch |
//! | 3 | `publish_delay_ns`:4 (publish minus receive, saturating) venue_sequence_low:4 |
//! | 4.. | body, by kind: see [`Record`] |
//!
//! Source: decisions.md 1, 8, 9. Order actions are those of DBN's MBO schema.

use crate::ring::{KIND_SKIP, word0};

mod notice;

pub use notice::*;

/// Price in 1e-9 of the instrument's currency.
pub type Price = i64;
/// Quantity in 10^-quantity_decimals of the instrument (0 decimals for shares).
pub type Quantity = u64;

/// "No price".
pub const PRICE_NONE: Price = i64::MAX;
/// "No quantity".
pub const QUANTITY_NONE: Quantity = u64::MAX;
/// Instrument id of records that are about the lane or the whole venue.
pub const INSTRUMENT_NONE: u32 = u32::MAX;

/// Words of head.
pub const HEAD_WORDS: usize = 4;
/// Words of body in the first slot.
pub const BODY_WORDS: usize = 3;

/// Kinds of record: ASCII, so that a dump reads itself. `orders`: A C F R T (and M for venues that amend in place);
/// `market`: Q L T B S I P D V O i Z n and R; both: G X K m N.
pub mod kind {
    /// Order added at the tail of its level: order id, price, quantity.
    pub const ADD: u8 = b'A';
    /// Order reduced or removed: order id, price, quantity taken away.
    pub const CANCEL: u8 = b'C';
    /// Order amended in place (no venue of this version does it): order id, price, new quantity.
    pub const MODIFY: u8 = b'M';
    /// Every order of the instrument is gone; without an instrument, of all of the lane. In `market`: its window is
    /// empty. `side_or_code`: see [`super::clear_code`]. With [`flag::SNAPSHOT`](super::flag::SNAPSHOT) an image follows,
    /// which is whole when a status record says so: see [`super::session_code::IMAGE`].
    pub const CLEAR: u8 = b'R';
    /// An order was filled: order id, its own price, quantity filled. A cancel of the same quantity follows.
    pub const FILL: u8 = b'F';
    /// A trade: match id, price, quantity. `side_or_code`: see `super::trade_code`.
    pub const TRADE: u8 = b'T';
    /// A trade was revoked: match id, price and quantity (sentinels when not known).
    pub const TRADE_BREAK: u8 = b'B';
    /// One side of the best quote changed: price, quantity, orders.
    pub const QUOTE: u8 = b'Q';
    /// One level of the window: price, quantity (0: the level left), orders:32 from the lowest, position:32.
    pub const LEVEL: u8 = b'L';
    /// Trading status: `side_or_code` is the status; body: see [`super::Status`].
    pub const STATUS: u8 = b'S';
    /// Auction imbalance; two slots: see [`super::Imbalance`].
    pub const IMBALANCE: u8 = b'I';
    /// Price band: reference, lower, upper.
    pub const PRICE_BAND: u8 = b'P';
    /// The instrument's directory entry was added or changed: directory row, depth class, provider code.
    pub const INSTRUMENT: u8 = b'D';
    /// A venue message without a normalised form, verbatim: length in bytes, then the bytes.
    pub const VENUE_MESSAGE: u8 = b'V';
    /// The venue's messages first..last will not come: first, last, reason (see `super::gap_reason`).
    pub const GAP: u8 = b'G';
    /// The writer (or the venue's session) began anew; two slots: see [`super::Restart`].
    pub const RESTART: u8 = b'X';
    /// The next number is body\[0\]: written by relays only.
    pub const SKIP: u8 = super::KIND_SKIP;
    /// The venue's full sequence, every 2^20 events: sequence, venue session (two words of ASCII).
    pub const MARK: u8 = b'm';
    /// A venue message that could not be applied: see [`super::Anomaly`].
    pub const ANOMALY: u8 = b'N';
    /// A price that the venue has set: price ([`super::PRICE_NONE`]: none). `side_or_code`: see [`super::official_code`].
    pub const OFFICIAL_PRICE: u8 = b'O';
    /// What an auction would give now; two slots: see [`super::Indicative`].
    pub const INDICATIVE: u8 = b'i';
    /// Value of an index: value, 1e-9.
    pub const INDEX_VALUE: u8 = b'Z';
    /// A part of a news item, of several slots: see [`super::News`].
    pub const NEWS: u8 = b'n';
}

/// Bits of the flags byte.
pub mod flag {
    /// Last record of its venue event in this ring (the value that DBN uses).
    pub const LAST: u8 = 0x80;
    /// Trade that counts as volume, turnover and trade, but moves neither last, open, high nor low: an odd lot, or one
    /// outside of the market's hours, where the venue's rules say so.
    pub const VOLUME_ONLY: u8 = 0x40;
    /// Part of an image of the book, not of the live flow (the value that DBN uses).
    pub const SNAPSHOT: u8 = 0x20;
    /// The instrument's book is not whole: an order reference was unknown, or messages are missing.
    pub const SUSPECT: u8 = 0x10;
    /// Trade that does not count as volume (a cross prints the sum), or a fill of such a trade.
    pub const NOT_PRINTED: u8 = 0x08;
    /// Trade against an order that was never shown.
    pub const HIDDEN: u8 = 0x04;
    /// `ts_recv` was taken in user space: the kernel offered none.
    pub const RECV_USER: u8 = 0x02;
    /// One receive stamp for more than one message: the kernel gave them in one read.
    pub const RECV_COALESCED: u8 = 0x01;
}

/// `side_or_code` of orders, quotes and levels.
pub mod side {
    /// Buy, bid.
    pub const BID: u8 = b'B';
    /// Sell, ask.
    pub const ASK: u8 = b'S';
    /// Neither.
    pub const NONE: u8 = b'N';
}

/// `side_or_code` of trades: [`side`] of the resting order, or the cross that printed.
pub mod trade_code {
    /// Opening cross.
    pub const CROSS_OPEN: u8 = b'O';
    /// Closing cross.
    pub const CROSS_CLOSE: u8 = b'C';
    /// Cross after a halt or an IPO.
    pub const CROSS_HALT: u8 = b'H';
}

/// Why a gap was declared.
pub mod gap_reason {
    /// The server's login answer began later than was asked for.
    pub const SKIPPED_AT_LOGIN: u64 = 1;
    /// The line lost them, and no answer to the requests for them brought them.
    pub const UNFILLED: u64 = 2;
    /// The line lost them, and there is nobody to ask.
    pub const NO_SERVER: u64 = 3;
    /// More came behind them than can be held back.
    pub const OVERFLOW: u64 = 4;
    /// The venue's numbers jumped farther than any window.
    pub const JUMP: u64 = 5;
    /// The stream or the session was replaced by another before they came.
    pub const ABANDONED: u64 = 6;
    /// An image of the books, which follows or has just come, tells where they have led.
    pub const IMAGED: u64 = 7;
    /// The writer joined the session behind them.
    pub const JOINED_LATE: u64 = 8;
    /// The recording that is replayed has a hole. First and last are what the records around it tell: the venue's messages
    /// from the one behind the last record to the one before the next; the same number twice when no whole message is
    /// known to be missing.
    pub const RECORDING: u64 = 9;
}

/// One side of a book.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Side {
    /// Buyers.
    Bid = side::BID,
    /// Sellers.
    Ask = side::ASK,
}

impl Side {
    /// The side whose code this is.
    pub const fn from_code(code: u8) -> Option<Side> {
        match code {
            side::BID => Some(Side::Bid),
            side::ASK => Some(Side::Ask),
            _ => None,
        }
    }
    /// 0 for bids, 1 for asks: index of tables by side.
    #[inline(always)]
    pub const fn index(self) -> usize {
        (self as u8 == side::ASK) as usize
    }
    /// The other side.
    pub const fn opposite(self) -> Side {
        match self {
            Side::Bid => Side::Ask,
            Side::Ask => Side::Bid,
        }
    }
}

/// Trading status of an instrument or a venue; `side_or_code` of a status record, and the status of a board row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
#[non_exhaustive]
pub enum TradingStatus {
    /// Nothing was said yet. Nasdaq: an instrument absent from the opening spin counts as halted.
    Unknown = 0,
    /// Before the market's hours; orders are taken.
    PreOpen = 1,
    /// Continuous trading.
    Trading = 2,
    /// Quotes only, no executions.
    QuoteOnly = 3,
    /// Halted by the primary market.
    Halted = 4,
    /// Paused by volatility rules.
    Paused = 5,
    /// After the market's hours.
    PostClose = 6,
    /// Closed: no more messages.
    Closed = 7,
}

impl TradingStatus {
    /// The status whose code this is; unknown codes of newer writers read as `Unknown`.
    pub const fn from_code(code: u8) -> TradingStatus {
        match code {
            1 => TradingStatus::PreOpen,
            2 => TradingStatus::Trading,
            3 => TradingStatus::QuoteOnly,
            4 => TradingStatus::Halted,
            5 => TradingStatus::Paused,
            6 => TradingStatus::PostClose,
            7 => TradingStatus::Closed,
            _ => TradingStatus::Unknown,
        }
    }
    /// Lower-case name, as tools and JSON show it.
    pub const fn name(self) -> &'static str {
        match self {
            TradingStatus::Unknown => "unknown",
            TradingStatus::PreOpen => "pre_open",
            TradingStatus::Trading => "trading",
            TradingStatus::QuoteOnly => "quote_only",
            TradingStatus::Halted => "halted",
            TradingStatus::Paused => "paused",
            TradingStatus::PostClose => "post_close",
            TradingStatus::Closed => "closed",
        }
    }
}

/// What made the status change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
#[non_exhaustive]
pub enum StatusCause {
    /// Of a newer writer.
    Unknown = 0,
    /// The instrument's trading action (Nasdaq `H`).
    TradingAction = 1,
    /// A venue-wide phase (Nasdaq `S`).
    SystemEvent = 2,
    /// Short-sale restriction (Nasdaq `Y`); the status itself is unchanged.
    ShortSale = 3,
    /// Operational halt of one venue (Nasdaq `h`); the status itself is unchanged.
    OperationalHalt = 4,
    /// Market-wide circuit breaker (Nasdaq `W`).
    CircuitBreaker = 5,
    /// The feed's session, not the market: connected, lost, ended.
    Session = 6,
}

impl StatusCause {
    /// The cause whose code this is.
    pub const fn from_code(code: u8) -> StatusCause {
        match code {
            1 => StatusCause::TradingAction,
            2 => StatusCause::SystemEvent,
            3 => StatusCause::ShortSale,
            4 => StatusCause::OperationalHalt,
            5 => StatusCause::CircuitBreaker,
            6 => StatusCause::Session,
            _ => StatusCause::Unknown,
        }
    }
}

/// Why a venue message could not be applied (or was applied although it is odd).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
#[non_exhaustive]
pub enum AnomalyCode {
    /// Of a newer writer.
    Unknown = 0,
    /// It names an order that is not in the book: the book is incomplete. Subject: order id.
    UnknownOrder = 1,
    /// It takes more from an order than is left; the order was removed. Subject: order id; detail: quantity asked.
    Overfill = 2,
    /// It adds an order under a live reference; it was refused. Subject: order id.
    DuplicateOrder = 3,
    /// Message type that the dialect does not have. Subject: type byte; detail: length.
    UnknownType = 4,
    /// Shorter than its type needs. Subject: type byte; detail: length.
    Malformed = 5,
    /// A field holds a value outside its range (zero quantity, side, price). Subject: order id or type; detail: value.
    BadField = 6,
    /// The best bid is above the best ask in continuous trading; the book shows it as it is. Subject: bid price;
    /// detail: ask price.
    Crossed = 7,
    /// It names an instrument that was never announced. Subject: the venue's index.
    UnknownInstrument = 8,
    /// A table of fixed size is full: the message could not be kept. Subject: order id; detail: the limit.
    TableFull = 9,
}

impl AnomalyCode {
    /// The code as a value; unknown codes of newer writers read as `Unknown`.
    pub const fn from_code(code: u8) -> AnomalyCode {
        match code {
            1 => AnomalyCode::UnknownOrder,
            2 => AnomalyCode::Overfill,
            3 => AnomalyCode::DuplicateOrder,
            4 => AnomalyCode::UnknownType,
            5 => AnomalyCode::Malformed,
            6 => AnomalyCode::BadField,
            7 => AnomalyCode::Crossed,
            8 => AnomalyCode::UnknownInstrument,
            9 => AnomalyCode::TableFull,
            _ => AnomalyCode::Unknown,
        }
    }
    /// Lower-case name, as tools and JSON show it.
    pub const fn name(self) -> &'static str {
        match self {
            AnomalyCode::Unknown => "unknown",
            AnomalyCode::UnknownOrder => "unknown_order",
            AnomalyCode::Overfill => "overfill",
            AnomalyCode::DuplicateOrder => "duplicate_order",
            AnomalyCode::UnknownType => "unknown_type",
            AnomalyCode::Malformed => "malformed",
            AnomalyCode::BadField => "bad_field",
            AnomalyCode::Crossed => "crossed",
            AnomalyCode::UnknownInstrument => "unknown_instrument",
            AnomalyCode::TableFull => "table_full",
        }
    }
}

/// Head of every record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// See [`kind`].
    pub kind: u8,
    /// See [`flag`].
    pub flags: u8,
    /// Slots that the record occupies, 1 to 64. Set by the ring.
    pub span: u8,
    /// Side, or a code of the kind's own.
    pub side_or_code: u8,
    /// Lasting id of the instrument; [`INSTRUMENT_NONE`] when it is about none.
    pub instrument_id: u32,
    /// Venue time, ns since the UNIX epoch; 0 when the record has no venue message.
    pub ts_event: u64,
    /// Socket time, ns since the UNIX epoch.
    pub ts_recv: u64,
    /// Publish time minus `ts_recv` in ns; `u32::MAX` is "that or more".
    pub publish_delay_ns: u32,
    /// Low 32 bits of the venue's sequence. The full one stands in gap, restart and mark records.
    pub venue_sequence_low: u32,
}

impl Head {
    /// The four words.
    #[inline(always)]
    pub const fn words(&self) -> [u64; HEAD_WORDS] {
        [
            word0(self.kind, self.flags, self.span, self.side_or_code, self.instrument_id),
            self.ts_event,
            self.ts_recv,
            self.publish_delay_ns as u64 | (self.venue_sequence_low as u64) << 32,
        ]
    }

    /// The head that stands in the first four words, of which there must be four.
    #[inline(always)]
    pub const fn from_words(words: &[u64; HEAD_WORDS]) -> Head {
        let [w0, ts_event, ts_recv, w3] = *words;
        Head {
            kind: w0 as u8,
            flags: (w0 >> 8) as u8,
            span: (w0 >> 16) as u8,
            side_or_code: (w0 >> 24) as u8,
            instrument_id: (w0 >> 32) as u32,
            ts_event,
            ts_recv,
            publish_delay_ns: w3 as u32,
            venue_sequence_low: (w3 >> 32) as u32,
        }
    }

    /// Publish time, ns since the UNIX epoch: `ts_recv` plus the delay.
    pub const fn ts_publish(&self) -> u64 {
        self.ts_recv.saturating_add(self.publish_delay_ns as u64)
    }

    /// Whether this is the last record of its venue event in its ring.
    pub const fn is_last(&self) -> bool {
        self.flags & flag::LAST != 0
    }
}

/// Body of a status record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// Status after the change.
    pub status: TradingStatus,
    /// What made it change. Body word 0, lowest byte.
    pub cause: StatusCause,
    /// The venue's own code letter, as on the wire. Body word 0, second byte.
    pub venue_code: u8,
    /// The venue's reason, ASCII, space-padded; spaces: none. Body word 1.
    pub reason: [u8; 8],
}

/// Body of an imbalance record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Imbalance {
    /// Quantity that pairs off at the reference price.
    pub paired: Quantity,
    /// Quantity that does not.
    pub imbalance: Quantity,
    /// Price at which the two were computed.
    pub reference_price: Price,
    /// Clearing price with cross orders only; [`PRICE_NONE`] when the venue gives none.
    pub far_price: Price,
    /// Clearing price with cross and continuous orders; [`PRICE_NONE`] when the venue gives none.
    pub near_price: Price,
    /// The venue's letters: direction, cross type, price variation.
    pub letters: [u8; 3],
}

/// Body of a restart record: the sequence before it is over, here is where it ended and what this one goes on from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Restart {
    /// Epoch of the sequence that ended; 0: unknown.
    pub old_epoch: u64,
    /// Number after the last whole event of that epoch in this ring. Nothing from it on was ever whole.
    pub old_end: u64,
    /// The venue's session, ASCII, space-padded; all spaces: unknown.
    pub session: [u8; 16],
    /// The venue's sequence of the last event that the old epoch published in this ring; 0: none.
    pub venue_sequence: u64,
    /// Why: one of [`restart_reason`].
    pub reason: u64,
}

/// Why a sequence ended.
pub mod restart_reason {
    /// First start: there was no usable predecessor. An image of the board follows.
    pub const UNKNOWN: u64 = 0;
    /// The engine was started anew and went on where its predecessor ended.
    pub const ENGINE: u64 = 1;
    /// The venue changed its session; every book was cleared. The epoch and the numbers go on.
    pub const SESSION: u64 = 2;
}

/// Body of an anomaly record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Anomaly {
    /// What is wrong.
    pub code: AnomalyCode,
    /// The venue's full sequence of the message.
    pub venue_sequence: u64,
    /// By code: see [`AnomalyCode`].
    pub subject: u64,
    /// By code: see [`AnomalyCode`].
    pub detail: u64,
}

/// A record's body, typed. Bytes come from another process: every word pattern gives a value, never a panic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Body<'r> {
    /// [`kind::ADD`], [`kind::CANCEL`], [`kind::MODIFY`] or [`kind::FILL`]: the head's kind says which.
    Order {
        /// Side of the order; `None` when the byte is neither.
        side: Option<Side>,
        /// The venue's order id.
        order_id: u64,
        /// Price of the order.
        price: Price,
        /// Quantity added, taken away, left or filled, by kind.
        quantity: Quantity,
    },
    /// [`kind::CLEAR`].
    Clear {
        /// What begins anew: see [`clear_code`].
        code: u8,
    },
    /// [`kind::TRADE`].
    Trade {
        /// Side of the resting order, or a cross: see [`trade_code`].
        code: u8,
        /// The venue's match id.
        match_id: u64,
        /// Price of the print.
        price: Price,
        /// Quantity of the print.
        quantity: Quantity,
    },
    /// [`kind::TRADE_BREAK`].
    TradeBreak {
        /// The venue's match id.
        match_id: u64,
        /// Price of the revoked print, or [`PRICE_NONE`].
        price: Price,
        /// Quantity of the revoked print, or [`QUANTITY_NONE`].
        quantity: Quantity,
    },
    /// [`kind::QUOTE`]: an empty side has [`PRICE_NONE`], 0, 0.
    Quote {
        /// Side that changed; `None` when the byte is neither.
        side: Option<Side>,
        /// Best price.
        price: Price,
        /// Quantity at it.
        quantity: Quantity,
        /// Orders at it.
        orders: u64,
    },
    /// [`kind::LEVEL`].
    Level {
        /// Side of the level; `None` when the byte is neither.
        side: Option<Side>,
        /// Price of the level.
        price: Price,
        /// Quantity; 0: the level left the window.
        quantity: Quantity,
        /// Orders at it.
        orders: u32,
        /// Place in the window, 0 is the best.
        position: u32,
    },
    /// [`kind::STATUS`].
    Status(Status),
    /// [`kind::IMBALANCE`].
    Imbalance(Imbalance),
    /// [`kind::PRICE_BAND`].
    PriceBand {
        /// Reference price.
        reference: Price,
        /// Lower limit.
        lower: Price,
        /// Upper limit.
        upper: Price,
    },
    /// [`kind::INSTRUMENT`].
    Instrument {
        /// Row of the directory and the board.
        row: u64,
        /// Levels of its window.
        depth_class: u64,
        /// The venue's index for today.
        provider_code: u64,
    },
    /// [`kind::VENUE_MESSAGE`].
    VenueMessage(VenueMessage<'r>),
    /// [`kind::GAP`].
    Gap {
        /// First venue sequence that is missing.
        first: u64,
        /// Last venue sequence that is missing.
        last: u64,
        /// See [`gap_reason`].
        reason: u64,
    },
    /// [`kind::RESTART`].
    Restart(Restart),
    /// [`kind::MARK`].
    Mark {
        /// The venue's full sequence.
        venue_sequence: u64,
        /// The venue's session, ASCII, space-padded.
        session: [u8; 16],
    },
    /// [`kind::ANOMALY`].
    Anomaly(Anomaly),
    /// [`kind::OFFICIAL_PRICE`].
    OfficialPrice {
        /// Which: see [`official_code`].
        code: u8,
        /// The price, or [`PRICE_NONE`].
        price: Price,
    },
    /// [`kind::INDICATIVE`].
    Indicative(Indicative),
    /// [`kind::INDEX_VALUE`].
    IndexValue {
        /// The value, 1e-9.
        value: Price,
    },
    /// [`kind::NEWS`].
    News(News<'r>),
    /// A kind that this version does not know, or a record shorter than its kind needs.
    Other,
}

/// A venue's message, verbatim, as it came off the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VenueMessage<'r> {
    len: usize,
    words: &'r [u64],
}

impl VenueMessage<'_> {
    /// Bytes of the message.
    pub fn len(&self) -> usize {
        self.len
    }
    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
    /// The bytes in order.
    pub fn bytes(&self) -> impl Iterator<Item = u8> + '_ {
        self.words.iter().flat_map(|word| word.to_le_bytes()).take(self.len)
    }
}

/// A record as read from a ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'r> {
    /// Number of its first slot.
    pub n: u64,
    /// Head.
    pub head: Head,
    body: &'r [u64],
}

impl<'r> Record<'r> {
    /// Views the words that a ring reader gave. `None` when there are fewer than a slot's.
    #[inline(always)]
    pub fn new(n: u64, words: &'r [u64]) -> Option<Record<'r>> {
        let (head, body) = words.split_first_chunk::<HEAD_WORDS>()?;
        (body.len() >= BODY_WORDS).then_some(Record { n, head: Head::from_words(head), body })
    }

    /// Words of body: 3, or 3 + 6 per further slot.
    #[inline(always)]
    pub fn body_words(&self) -> &'r [u64] {
        self.body
    }

    /// The body, typed by the head's kind.
    #[inline]
    pub fn body(&self) -> Body<'r> {
        let &[a, b, c, ..] = self.body else { return Body::Other };
        let side = Side::from_code(self.head.side_or_code);
        match self.head.kind {
            kind::ADD | kind::CANCEL | kind::MODIFY | kind::FILL => {
                Body::Order { side, order_id: a, price: b as i64, quantity: c }
            }
            kind::CLEAR => Body::Clear { code: self.head.side_or_code },
            kind::OFFICIAL_PRICE => Body::OfficialPrice { code: self.head.side_or_code, price: a as i64 },
            kind::INDEX_VALUE => Body::IndexValue { value: a as i64 },
            kind::INDICATIVE => notice::indicative(self.body).map_or(Body::Other, Body::Indicative),
            kind::NEWS => notice::news(self.body).map_or(Body::Other, Body::News),
            kind::TRADE => Body::Trade { code: self.head.side_or_code, match_id: a, price: b as i64, quantity: c },
            kind::TRADE_BREAK => Body::TradeBreak { match_id: a, price: b as i64, quantity: c },
            kind::QUOTE => Body::Quote { side, price: a as i64, quantity: b, orders: c },
            kind::LEVEL => {
                Body::Level { side, price: a as i64, quantity: b, orders: c as u32, position: (c >> 32) as u32 }
            }
            kind::PRICE_BAND => Body::PriceBand { reference: a as i64, lower: b as i64, upper: c as i64 },
            kind::INSTRUMENT => Body::Instrument { row: a, depth_class: b, provider_code: c },
            kind::GAP => Body::Gap { first: a, last: b, reason: c },
            kind::MARK => Body::Mark { venue_sequence: a, session: join_words(b, c) },
            kind::STATUS => Body::Status(Status {
                status: TradingStatus::from_code(self.head.side_or_code),
                cause: StatusCause::from_code(a as u8),
                venue_code: (a >> 8) as u8,
                reason: b.to_le_bytes(),
            }),
            kind::ANOMALY => Body::Anomaly(Anomaly {
                code: AnomalyCode::from_code(self.head.side_or_code),
                venue_sequence: a,
                subject: b,
                detail: c,
            }),
            kind::VENUE_MESSAGE => {
                let words = &self.body[1..];
                let len = usize::try_from(a).unwrap_or(usize::MAX).min(words.len() * 8);
                Body::VenueMessage(VenueMessage { len, words })
            }
            kind::IMBALANCE => self.imbalance().map_or(Body::Other, Body::Imbalance),
            kind::RESTART => self.restart().map_or(Body::Other, Body::Restart),
            _ => Body::Other,
        }
    }

    fn imbalance(&self) -> Option<Imbalance> {
        let &[paired, imbalance, reference, far, near, letters, ..] = self.body else { return None };
        let [direction, cross, variation, ..] = letters.to_le_bytes();
        Some(Imbalance {
            paired,
            imbalance,
            reference_price: reference as i64,
            far_price: far as i64,
            near_price: near as i64,
            letters: [direction, cross, variation],
        })
    }

    fn restart(&self) -> Option<Restart> {
        let &[old_epoch, old_end, venue_sequence, session_a, session_b, reason, ..] = self.body else { return None };
        Some(Restart { old_epoch, old_end, session: join_words(session_a, session_b), venue_sequence, reason })
    }
}

/// Sixteen bytes of ASCII from two words.
pub fn join_words(a: u64, b: u64) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&a.to_le_bytes());
    bytes[8..].copy_from_slice(&b.to_le_bytes());
    bytes
}

/// Two words from sixteen bytes of ASCII.
pub fn split_words(bytes: &[u8; 16]) -> [u64; 2] {
    let word = |at: usize| u64::from_le_bytes(std::array::from_fn(|i| bytes[at + i]));
    [word(0), word(8)]
}

/// Body words of an imbalance record.
pub fn imbalance_body(imbalance: &Imbalance) -> [u64; 6] {
    let [direction, cross, variation] = imbalance.letters;
    [
        imbalance.paired,
        imbalance.imbalance,
        imbalance.reference_price as u64,
        imbalance.far_price as u64,
        imbalance.near_price as u64,
        u64::from_le_bytes([direction, cross, variation, 0, 0, 0, 0, 0]),
    ]
}

/// Body words of a restart record.
pub fn restart_body(restart: &Restart) -> [u64; 6] {
    let [a, b] = split_words(&restart.session);
    [restart.old_epoch, restart.old_end, restart.venue_sequence, a, b, restart.reason]
}

/// Body words of a status record.
pub fn status_body(cause: StatusCause, venue_code: u8, reason: [u8; 8]) -> [u64; 3] {
    [cause as u64 | (venue_code as u64) << 8, u64::from_le_bytes(reason), 0]
}

/// Most bytes that a venue-message record may carry.
pub const VENUE_MESSAGE_MAX: usize = 256;

/// Body words of a venue-message record in `words`; returns how many were used. A longer message is cut to
/// [`VENUE_MESSAGE_MAX`] bytes (no message of a known dialect is that long).
pub fn venue_message_body(message: &[u8], words: &mut [u64; 1 + VENUE_MESSAGE_MAX / 8]) -> usize {
    let message = &message[..message.len().min(VENUE_MESSAGE_MAX)];
    words[0] = message.len() as u64;
    let mut used = 1;
    for chunk in message.chunks(8) {
        let mut bytes = [0; 8];
        bytes[..chunk.len()].copy_from_slice(chunk);
        words[used] = u64::from_le_bytes(bytes);
        used += 1;
    }
    // A short message still fills a slot's body, and what stands behind it is part of the record's digest.
    words[used.min(BODY_WORDS)..BODY_WORDS].fill(0);
    used.max(BODY_WORDS)
}
