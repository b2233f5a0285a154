//! The vocabulary of a dialect's table, and the functions that write one down.
//!
//! A table is a list of [`Entry`]s, one line per message type and field list. Everything else, the straight decode, the
//! view and the encoder, is derived from it; a table that contradicts itself does not compile.

/// What a message means: the closed set that the book and the bus know. A dialect maps its types to these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Event {
    /// The whole seconds of the clock, for all messages until the next one: [`Role::Seconds`].
    Timestamp,
    /// A step of the venue's day: [`Role::EventCode`], with the group or orderbook that it is about, if not all.
    SystemEvent,
    /// One row of a price tick table: from [`Role::TickStart`] on, prices are multiples of [`Role::Tick`].
    PriceTick,
    /// One row of a quantity tick table, read alike.
    QuantityTick,
    /// A company of the day.
    Company,
    /// An orderbook of the day: the instrument's names, decimals and rules.
    Orderbook,
    /// Trading state of an orderbook: [`Role::State`].
    TradingAction,
    /// Short-sale restriction of an orderbook: [`Role::State`].
    ShortSale,
    /// An order joins the book.
    Add,
    /// A resting order is executed at its own price.
    Execute,
    /// A resting order is executed at another price.
    ExecutePrice,
    /// A part of an order leaves the book.
    Cancel,
    /// An order leaves the book.
    Delete,
    /// An order leaves the book and another takes its place.
    Replace,
    /// An add that is none: [`Role::Price`] is the orderbook's reference price.
    ReferencePrice,
    /// A trade that is none: [`Role::Price`] is the orderbook's closing price.
    ClosePrice,
    /// A trade that touches no visible order.
    Trade,
    /// The result of an auction, in one print.
    CrossTrade,
    /// A print, named by [`Role::MatchNumber`], is void.
    BrokenTrade,
    /// What an auction would give now.
    Indicative,
    /// Best bid and offer, on a feed without orders.
    BestQuote,
    /// Value of an index: [`Role::IndexValue`].
    IndexValue,
    /// News of the venue: three texts.
    News,
    /// A type of the document whose meaning is this venue's alone; handed on as it is.
    VenueMessage,
}

/// What a field means. One role has one meaning in every dialect; width and offset are the dialect's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Role {
    /// Whole seconds since midnight of the first day of the system's cycle, the venue's local time.
    Seconds,
    /// Nanoseconds: since local midnight, or since the second of the last [`Event::Timestamp`], see
    /// [`Clock`](super::Clock).
    TimestampNs,
    /// The venue's number for an orderbook, valid for the day; Nasdaq's stock locate. 0 where none is meant.
    Orderbook,
    /// Nasdaq's internal tracking number.
    TrackingNumber,
    /// Board or group of orderbooks.
    Group,
    /// Letter of a system event.
    EventCode,
    /// Names a tick table.
    TableId,
    /// Step of a tick table.
    Tick,
    /// Smallest price or quantity for which the step holds.
    TickStart,
    /// The venue's number for a company or participant.
    Company,
    /// Name of a company.
    CompanyName,
    /// A company's ticker.
    CompanyTicker,
    /// How prices are to be read: a letter.
    PriceType,
    /// ISIN, 12 characters.
    Isin,
    /// The venue's text name of an instrument.
    SecurityCode,
    /// Name of an instrument.
    SecurityName,
    /// ISO code, three letters.
    Currency,
    /// Smallest quantity of an order.
    MinimumQuantity,
    /// Shares of a round lot.
    RoundLot,
    /// [`Role::TableId`] of the quantities of an orderbook.
    QuantityTickTable,
    /// [`Role::TableId`] of the prices of an orderbook.
    PriceTickTable,
    /// Decimals of every price of an orderbook.
    PriceDecimals,
    /// Decimals of every yield of an orderbook.
    YieldDecimals,
    /// yyyymmdd as a number, 0 for none.
    DelistingDate,
    /// hhmmss as a number.
    DelistingTime,
    /// yyyymmdd as a number, 0 for none.
    MaturityDate,
    /// A letter of the venue's table.
    MarketType,
    /// Share category: a letter of the venue's table.
    ListingType,
    /// Business sector, truncated text.
    Sector,
    /// Class of the instrument, truncated text.
    InstrumentClass,
    /// Highest price of the day.
    UpperLimit,
    /// Lowest price of the day.
    LowerLimit,
    /// State letter of a trading action or of a short-sale restriction.
    State,
    /// Why: letters of the venue's table.
    Reason,
    /// The order that the message is about; of a replace the one that leaves.
    Reference,
    /// The order that takes the place of another.
    NewReference,
    /// `B` or `S`; blank in a reference price.
    Side,
    /// Shares: shown, executed, cancelled, paired.
    Quantity,
    /// In the instrument's decimals, see [`PriceScale`](super::PriceScale).
    Price,
    /// In [`Role::YieldDecimals`]; may be negative, read it with [`View::i32`](super::View::i32).
    Yield,
    /// Participant of an order, as text.
    Attribution,
    /// Kind of an order: a letter of the venue's table.
    OrderType,
    /// Names an execution for a later broken trade.
    MatchNumber,
    /// `Y`; `N` when the quantity counts elsewhere.
    Printable,
    /// Kind of auction: a letter.
    CrossType,
    /// Shares without a partner in an auction.
    ImbalanceQuantity,
    /// Side of an imbalance: a letter.
    ImbalanceSide,
    /// Price of an auction from its own orders alone.
    FarPrice,
    /// Price of an auction with the continuous book.
    NearPrice,
    /// Price around which an auction's collar lies.
    ReferencePrice,
    /// Best bid price.
    BestBid,
    /// Shares at the best bid.
    BidQuantity,
    /// Best offer price.
    BestOffer,
    /// Shares at the best offer.
    OfferQuantity,
    /// Raw value of an index, in the decimals of its own directory entry.
    IndexValue,
    /// Number of a news item.
    NewsId,
    /// Who issued a news item.
    FirmId,
    /// Headline of a news item.
    Title,
    /// Reference of a news item, often an address.
    NewsReference,
    /// Body of a news item.
    Text,
}

/// How a field is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Unsigned and big-endian.
    Number,
    /// ASCII, left-justified, padded with spaces; a single letter has width 1.
    Alpha,
}

/// One field of fixed place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// What it means.
    pub role: Role,
    /// Its first byte, counted from the type letter at 0.
    pub offset: u16,
    /// Its bytes: 1 to 8 of a number.
    pub width: u16,
    /// How it is written.
    pub format: Format,
}

impl Field {
    /// Its bytes within a message.
    pub(super) const fn range(&self) -> std::ops::Range<usize> {
        self.offset as usize..self.end()
    }

    /// Offset of the first byte behind it.
    #[must_use]
    pub const fn end(&self) -> usize {
        (self.offset + self.width) as usize
    }
}

/// A big-endian number.
pub(super) const fn number(role: Role, offset: u16, width: u16) -> Field {
    assert!(1 <= width && width <= 8, "a number has 1 to 8 bytes");
    Field { role, offset, width, format: Format::Number }
}

/// Padded text.
pub(super) const fn alpha(role: Role, offset: u16, width: u16) -> Field {
    Field { role, offset, width, format: Format::Alpha }
}

/// One letter.
pub(super) const fn letter(role: Role, offset: u16) -> Field {
    alpha(role, offset, 1)
}

/// One message type with one field list, in one length or two: a longer one appends fields, which the shorter one then
/// lacks. A type whose fields moved has an entry for each of its forms, in neighbouring lines.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// The type, byte 0.
    pub message_type: u8,
    /// Lengths of the message, ascending. With [`Entry::texts`], of the part before the texts.
    pub lengths: &'static [usize],
    /// What it means.
    pub event: Event,
    /// Fields of fixed place. One that ends behind a length is not in messages of that length.
    pub fields: &'static [Field],
    /// Texts behind the fixed part, each up to a NUL or to the end of the message.
    pub texts: &'static [Role],
    /// When all these roles are 0, the message means this instead.
    pub when_zero: Option<(&'static [Role], Event)>,
}

/// A line of a table.
pub(super) const fn entry(
    message_type: u8,
    lengths: &'static [usize],
    event: Event,
    fields: &'static [Field],
) -> Entry {
    Entry { message_type, lengths, event, fields, texts: &[], when_zero: None }
}

impl Entry {
    /// When all `roles` are 0, the message means `event`.
    pub(super) const fn when_zero(mut self, roles: &'static [Role], event: Event) -> Entry {
        self.when_zero = Some((roles, event));
        self
    }

    /// Texts follow the fixed part.
    pub(super) const fn texts(mut self, roles: &'static [Role]) -> Entry {
        self.texts = roles;
        self
    }

    /// Whether a message of this type and exactly `length` bytes is of this form.
    #[must_use]
    pub fn fits(&self, length: usize) -> bool {
        if self.texts.is_empty() { self.lengths.contains(&length) } else { length >= self.lengths[0] }
    }

    /// The field of `role` in a message of `length` bytes.
    #[must_use]
    pub const fn field(&self, role: Role, length: usize) -> Option<&'static Field> {
        let mut i = 0;
        while i < self.fields.len() {
            let field = &self.fields[i];
            if field.role as u8 == role as u8 && field.end() <= length {
                return Some(field);
            }
            i += 1;
        }
        None
    }
}

/// Refuses a table whose lines contradict each other or themselves.
pub(super) const fn check(entries: &[Entry]) {
    let mut i = 0;
    while i < entries.len() {
        let entry = &entries[i];
        check_entry(entry);
        // Lines of one type are neighbours, shorter before longer: so "the last line" of a type is its longest form.
        let mut j = i + 2;
        while j < entries.len() {
            let between_differs = entries[j - 1].message_type != entry.message_type;
            assert!(!(between_differs && entries[j].message_type == entry.message_type), "lines of a type part");
            j += 1;
        }
        i += 1;
    }
}

const fn check_entry(entry: &Entry) {
    assert!(!entry.lengths.is_empty(), "a type has a length");
    let longest = entry.lengths[entry.lengths.len() - 1];
    let mut end = 1;
    let mut i = 0;
    while i < entry.fields.len() {
        let field = &entry.fields[i];
        assert!(field.offset as usize >= end, "fields overlap, or stand out of order");
        assert!(matches!(field.format, Format::Alpha) || field.width <= 8, "a number has at most eight bytes");
        end = field.end();
        i += 1;
    }
    assert!(end <= longest, "a field ends behind its message");
    assert!(entry.texts.is_empty() || entry.lengths.len() == 1, "texts follow a fixed part of one length");
}
