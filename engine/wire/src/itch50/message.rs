//! The 23 messages, viewed in place: one table of layouts, in the venue's field order and names.

use zerocopy::byteorder::big_endian::{U16, U32, U64};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::DecodeError;

/// Price(4) that some messages use as "no price" or "market": 200,000.0000.
pub const PRICE4_MAX: u32 = 2_000_000_000;

/// Largest time stamp that six bytes hold, in nanoseconds.
pub const TIMESTAMP_MAX_NS: u64 = (1 << 48) - 1;

/// Writes the layouts down once. Each entry becomes a view with a size check at compile time, a variant of [`Message`],
/// and a row of [`TYPES`] and [`message_len`], so that none of them can disagree.
macro_rules! messages {
    ($(
        $(#[$doc:meta])*
        $name:ident = $letter:literal, $size:literal {
            $( $(#[$field_doc:meta])* $field:ident: $field_type:ty, )*
        }
    )*) => {
        $(
            $(#[$doc])*
            ///
            /// Viewed in place over the packet: big-endian, never copied, longer input is read by its prefix.
            #[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
            #[repr(C)]
            pub struct $name {
                /// The type letter, always [`Self::TYPE`] in a parsed view.
                pub message_type: u8,
                /// Venue's instrument index for today only, 0 where no stock is meant; resolve it through the
                /// directory, never store it.
                pub stock_locate: U16,
                /// Venue's internal tracking number.
                pub tracking_number: U16,
                /// Matching-engine time in nanoseconds since the venue's local midnight, 48 bits.
                pub timestamp: [u8; 6],
                $( $(#[$field_doc])* pub $field: $field_type, )*
            }

            const _: () = assert!(size_of::<$name>() == $size && align_of::<$name>() == 1);

            impl $name {
                /// The type letter in byte 0.
                pub const TYPE: u8 = $letter;
                /// Bytes of the message in this edition of the document.
                pub const LEN: usize = $size;

                /// A message with its head filled and every other field zero, for a venue to complete.
                ///
                /// `timestamp_ns` keeps its low 48 bits, see [`TIMESTAMP_MAX_NS`].
                #[must_use]
                pub fn new(stock_locate: u16, timestamp_ns: u64) -> Self {
                    let mut message = Self::new_zeroed();
                    message.message_type = Self::TYPE;
                    message.stock_locate = U16::new(stock_locate);
                    message.timestamp = timestamp_bytes(timestamp_ns);
                    message
                }

                /// Views the message at the start of `bytes`. Longer input is fine: venues append fields.
                ///
                /// # Errors
                /// [`DecodeError::Truncated`] under [`Self::LEN`] bytes; [`DecodeError::Type`] when byte 0 is not
                /// [`Self::TYPE`].
                #[inline]
                pub fn parse(bytes: &[u8]) -> Result<&Self, DecodeError> {
                    let (view, _appended) = Self::ref_from_prefix(bytes)
                        .map_err(|_| DecodeError::Truncated { need: Self::LEN, have: bytes.len() })?;
                    match view.message_type {
                        Self::TYPE => Ok(view),
                        got => Err(DecodeError::Type { want: Self::TYPE, got }),
                    }
                }

                /// Matching-engine time in nanoseconds since the venue's local midnight, at most
                /// [`TIMESTAMP_MAX_NS`].
                #[inline]
                #[must_use]
                pub fn timestamp_ns(&self) -> u64 {
                    timestamp_ns(self.timestamp)
                }
            }
        )*

        /// Any message of the document, viewed in place.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Message<'a> {
            $( $(#[$doc])* $name(&'a $name), )*
        }

        impl<'a> Message<'a> {
            /// Views the message at the start of `bytes`, whose first byte is the type. Longer input is fine: venues
            /// append fields.
            ///
            /// # Errors
            /// [`DecodeError::Truncated`] when `bytes` is empty or shorter than the type's length;
            /// [`DecodeError::UnknownType`] when the document has no such type.
            #[inline]
            pub fn parse(bytes: &'a [u8]) -> Result<Self, DecodeError> {
                match *bytes.first().ok_or(DecodeError::Truncated { need: 1, have: 0 })? {
                    $( $name::TYPE => $name::parse(bytes).map(Message::$name), )*
                    got => Err(DecodeError::UnknownType { got }),
                }
            }

            /// The message's own bytes, without whatever the venue appended.
            #[must_use]
            pub fn as_bytes(&self) -> &'a [u8] {
                match self {
                    $( Message::$name(message) => IntoBytes::as_bytes(*message), )*
                }
            }

            /// The type letter in byte 0.
            #[must_use]
            pub const fn message_type(&self) -> u8 {
                match self {
                    $( Message::$name(_) => $name::TYPE, )*
                }
            }

            /// Venue's instrument index for today only; 0 where no stock is meant.
            #[must_use]
            pub fn stock_locate(&self) -> u16 {
                match self {
                    $( Message::$name(message) => message.stock_locate.get(), )*
                }
            }

            /// Matching-engine time in nanoseconds since the venue's local midnight.
            #[must_use]
            pub fn timestamp_ns(&self) -> u64 {
                match self {
                    $( Message::$name(message) => message.timestamp_ns(), )*
                }
            }
        }

        /// Every type letter of the document with its length in bytes.
        pub const TYPES: &[(u8, usize)] = &[ $( ($letter, $size), )* ];

        /// Length in bytes of a message of type `message_type`; `None` when the document has no such type.
        #[must_use]
        pub const fn message_len(message_type: u8) -> Option<usize> {
            match message_type {
                $( $letter => Some($size), )*
                _ => None,
            }
        }
    };
}

messages! {
    /// `S` System Event: the venue's day, 12 bytes.
    SystemEvent = b'S', 12 {
        /// `O` start of messages, `S` start of system hours, `Q` start of market hours, `M` end of market hours, `E` end
        /// of system hours, `C` end of messages. Deletes and breaks may still come after `E`.
        event_code: u8,
    }

    /// `R` Stock Directory: one instrument of the day, 39 bytes.
    StockDirectory = b'R', 39 {
        /// ASCII, left-justified, space-padded.
        stock: [u8; 8],
        /// `Q` `G` `S` Nasdaq tiers, `N` NYSE, `A` NYSE American, `P` Arca, `M` NYSE Texas, `Z` BATS, `V` IEX, or blank.
        market_category: u8,
        /// `D` `E` `Q` `S` `G` `H` `J` `K` `C` `N`, or blank.
        financial_status: u8,
        /// Shares in a round lot.
        round_lot_size: U32,
        /// `Y` or `N`.
        round_lots_only: u8,
        /// One letter, see the venue's table.
        issue_classification: u8,
        /// Two characters, see the venue's table.
        issue_sub_type: [u8; 2],
        /// `P` live; `T` test, not to be displayed.
        authenticity: u8,
        /// `Y`, `N`, or blank.
        short_sale_threshold: u8,
        /// `Y`, `N`, `Z`, or blank.
        ipo_flag: u8,
        /// `1`, `2`, or blank.
        luld_tier: u8,
        /// `Y`, `N`, or blank.
        etp_flag: u8,
        /// Leverage factor as an integer.
        etp_leverage: U32,
        /// `Y` or `N`.
        inverse: u8,
    }

    /// `H` Trading Action: halts and resumptions on every market, 25 bytes.
    TradingAction = b'H', 25 {
        /// ASCII, left-justified, space-padded.
        stock: [u8; 8],
        /// `H` halted, `P` paused, `Q` quotation only, `T` trading.
        state: u8,
        /// No meaning yet.
        reserved: u8,
        /// Four characters, space-padded; blank for none.
        reason: [u8; 4],
    }

    /// `Y` Reg SHO restriction, 20 bytes.
    RegSho = b'Y', 20 {
        /// ASCII, left-justified, space-padded.
        stock: [u8; 8],
        /// `0` none, `1` in effect by an intraday drop, `2` remains in effect.
        action: u8,
    }

    /// `L` Market Participant Position, 26 bytes.
    MarketParticipantPosition = b'L', 26 {
        /// Market participant, four characters.
        mpid: [u8; 4],
        /// ASCII, left-justified, space-padded.
        stock: [u8; 8],
        /// `Y` or `N`.
        primary_market_maker: u8,
        /// `N` `P` `S` `R` `L`.
        market_maker_mode: u8,
        /// `A` `E` `W` `S` `D`.
        participant_state: u8,
    }

    /// `V` Market-Wide Circuit Breaker decline levels, 35 bytes.
    MwcbDecline = b'V', 35 {
        /// Eight implied decimals.
        level_1: U64,
        /// Eight implied decimals.
        level_2: U64,
        /// Eight implied decimals.
        level_3: U64,
    }

    /// `W` Market-Wide Circuit Breaker status, 12 bytes.
    MwcbStatus = b'W', 12 {
        /// `1`, `2` or `3`.
        breached_level: u8,
    }

    /// `K` Quoting Period update of an IPO, 28 bytes.
    QuotingPeriod = b'K', 28 {
        /// ASCII, left-justified, space-padded.
        stock: [u8; 8],
        /// Seconds since the venue's local midnight; 0 when cancelled.
        release_time: U32,
        /// `A` anticipated, `C` cancelled.
        qualifier: u8,
        /// Four implied decimals; 0 when cancelled.
        ipo_price: U32,
    }

    /// `J` Limit Up - Limit Down auction collar, 35 bytes.
    LuldCollar = b'J', 35 {
        /// ASCII, left-justified, space-padded.
        stock: [u8; 8],
        /// Four implied decimals.
        reference_price: U32,
        /// Four implied decimals.
        upper_price: U32,
        /// Four implied decimals.
        lower_price: U32,
        /// Number of extensions so far.
        extension: U32,
    }

    /// `h` Operational Halt of one venue only, 21 bytes.
    OperationalHalt = b'h', 21 {
        /// ASCII, left-justified, space-padded.
        stock: [u8; 8],
        /// `Q`, `B` or `X`.
        market_code: u8,
        /// `H` halted, `T` resumed.
        action: u8,
    }

    /// `A` Add Order without attribution, 36 bytes.
    AddOrder = b'A', 36 {
        /// Unique for the day on this feed; not increasing.
        order_reference: U64,
        /// `B` buy, `S` sell.
        side: u8,
        /// Shares displayed.
        shares: U32,
        /// ASCII, left-justified, space-padded.
        stock: [u8; 8],
        /// Four implied decimals: 1_234_500 is 123.45.
        price: U32,
    }

    /// `F` Add Order with attribution, 40 bytes.
    AddOrderMpid = b'F', 40 {
        /// Unique for the day on this feed; not increasing.
        order_reference: U64,
        /// `B` buy, `S` sell.
        side: u8,
        /// Shares displayed.
        shares: U32,
        /// ASCII, left-justified, space-padded.
        stock: [u8; 8],
        /// Four implied decimals.
        price: U32,
        /// Market participant, four characters.
        attribution: [u8; 4],
    }

    /// `E` Order Executed at its own price, 31 bytes.
    OrderExecuted = b'E', 31 {
        /// The resting order.
        order_reference: U64,
        /// Shares taken from the order by this execution.
        executed_shares: U32,
        /// Names the execution for a later [`BrokenTrade`].
        match_number: U64,
    }

    /// `C` Order Executed at another price, 36 bytes. The book shrinks at the order's own level all the same.
    OrderExecutedPrice = b'C', 36 {
        /// The resting order.
        order_reference: U64,
        /// Shares taken from the order by this execution.
        executed_shares: U32,
        /// Names the execution for a later [`BrokenTrade`].
        match_number: U64,
        /// `Y`; `N` when the shares will be reported again in a cross and do not count as volume.
        printable: u8,
        /// Four implied decimals.
        execution_price: U32,
    }

    /// `X` Order Cancel of a part, 23 bytes.
    OrderCancel = b'X', 23 {
        /// The resting order.
        order_reference: U64,
        /// Shares taken from the order.
        cancelled_shares: U32,
    }

    /// `D` Order Delete, 19 bytes.
    OrderDelete = b'D', 19 {
        /// The order that leaves the book.
        order_reference: U64,
    }

    /// `U` Order Replace, 35 bytes: the original leaves, the new one joins the tail with the same side and stock.
    OrderReplace = b'U', 35 {
        /// The order that leaves the book.
        original_order_reference: U64,
        /// The order that joins it.
        new_order_reference: U64,
        /// Shares displayed from now on.
        shares: U32,
        /// Four implied decimals.
        price: U32,
    }

    /// `P` Trade against a hidden order, 44 bytes. Never touches the book.
    Trade = b'P', 44 {
        /// Always 0 since 2010.
        order_reference: U64,
        /// Always `B` since 2014.
        side: u8,
        /// Shares traded.
        shares: U32,
        /// ASCII, left-justified, space-padded.
        stock: [u8; 8],
        /// Four implied decimals.
        price: U32,
        /// Names the execution for a later [`BrokenTrade`].
        match_number: U64,
    }

    /// `Q` Cross Trade, 40 bytes. Never touches the book.
    CrossTrade = b'Q', 40 {
        /// Shares crossed; 0 when there was no interest.
        shares: U64,
        /// ASCII, left-justified, space-padded.
        stock: [u8; 8],
        /// Four implied decimals.
        cross_price: U32,
        /// Names the execution for a later [`BrokenTrade`].
        match_number: U64,
        /// `O` opening, `C` closing, `H` halt or IPO.
        cross_type: u8,
    }

    /// `B` Broken Trade, 19 bytes. Revokes a print, never touches the book.
    BrokenTrade = b'B', 19 {
        /// The execution that is void.
        match_number: U64,
    }

    /// `I` Net Order Imbalance Indicator, 50 bytes.
    Noii = b'I', 50 {
        /// Shares that would match at the reference price.
        paired_shares: U64,
        /// Shares that would not.
        imbalance_shares: U64,
        /// `B` buy, `S` sell, `N` none, `O` cannot be computed, `P` paused.
        imbalance_direction: u8,
        /// ASCII, left-justified, space-padded.
        stock: [u8; 8],
        /// Four implied decimals.
        far_price: U32,
        /// Four implied decimals.
        near_price: U32,
        /// Four implied decimals.
        reference_price: U32,
        /// `O` opening, `C` closing, `H` halt or IPO, `A` extended trading close.
        cross_type: u8,
        /// `L` under 1 %, `1`-`9` n to n.99 %, `A` 10-19.99 %, `B` 20-29.99 %, `C` from 30 %, or blank.
        price_variation: u8,
    }

    /// `N` Retail Price Improvement Indicator, 20 bytes.
    Rpii = b'N', 20 {
        /// ASCII, left-justified, space-padded.
        stock: [u8; 8],
        /// `B` buy side, `S` sell side, `A` both, `N` none.
        interest_flag: u8,
    }

    /// `O` Direct Listing with Capital Raise, 48 bytes.
    DirectListing = b'O', 48 {
        /// ASCII, left-justified, space-padded.
        stock: [u8; 8],
        /// `Y` or `N`.
        open_eligibility: u8,
        /// Four implied decimals.
        minimum_price: U32,
        /// Four implied decimals.
        maximum_price: U32,
        /// Four implied decimals.
        near_price: U32,
        /// Time of the near price, nanoseconds since the venue's local midnight.
        near_time: U64,
        /// Four implied decimals.
        lower_collar: U32,
        /// Four implied decimals.
        upper_collar: U32,
    }
}

/// A six-byte time stamp of the wire in nanoseconds since the venue's local midnight.
#[inline]
#[must_use]
pub const fn timestamp_ns(timestamp: [u8; 6]) -> u64 {
    let [a, b, c, d, e, f] = timestamp;
    u64::from_be_bytes([0, 0, a, b, c, d, e, f])
}

/// The low 48 bits of `timestamp_ns` as the wire writes them.
#[inline]
#[must_use]
pub const fn timestamp_bytes(timestamp_ns: u64) -> [u8; 6] {
    let [_, _, a, b, c, d, e, f] = timestamp_ns.to_be_bytes();
    [a, b, c, d, e, f]
}

#[cfg(test)]
mod tests;
