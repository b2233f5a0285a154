//! The messages, viewed in place: one table of layouts, in the venue's field order and names.

use zerocopy::byteorder::little_endian::{I64, U32, U64};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::DecodeError;
use crate::iextp::Protocol;

/// Writes the layouts down once. Each entry becomes a view with a size check at compile time, a variant of [`Message`],
/// and a row of [`TYPES`] and [`message_len`], so that none of them can disagree.
macro_rules! messages {
    ($(
        $(#[$doc:meta])*
        $name:ident = $letter:literal, $size:literal, [$($feed:ident),*] {
            $(#[$code_doc:meta])* $code:ident,
            $( $(#[$field_doc:meta])* $field:ident: $field_type:ty, )*
        }
    )*) => {
        $(
            $(#[$doc])*
            ///
            /// Viewed in place over the packet: little-endian, never copied, longer input is read by its prefix.
            #[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
            #[repr(C)]
            pub struct $name {
                /// The type letter, always [`Self::TYPE`] in a parsed view.
                pub message_type: u8,
                $(#[$code_doc])*
                pub $code: u8,
                /// When the event happened, ns since the UNIX epoch; negative from no honest venue.
                pub timestamp: I64,
                $( $(#[$field_doc])* pub $field: $field_type, )*
            }

            const _: () = assert!(size_of::<$name>() == $size && align_of::<$name>() == 1);

            impl $name {
                /// The type letter in byte 0.
                pub const TYPE: u8 = $letter;
                /// Bytes of the message in this edition of the document.
                pub const LEN: usize = $size;

                /// A message with type, time and the byte after the type filled and every other field zero, for a venue
                /// to complete.
                #[must_use]
                pub fn new($code: u8, timestamp_ns: i64) -> Self {
                    let mut message = Self::new_zeroed();
                    message.message_type = Self::TYPE;
                    message.$code = $code;
                    message.timestamp = I64::new(timestamp_ns);
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
            }
        )*

        /// Any message of the two documents, viewed in place.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Message<'a> {
            $( $(#[$doc])* $name(&'a $name), )*
        }

        impl<'a> Message<'a> {
            /// Views the message of `protocol` at the start of `bytes`, whose first byte is the type. Longer input is
            /// fine: venues append fields.
            ///
            /// # Errors
            /// [`DecodeError::Truncated`] when `bytes` is empty or shorter than the type's length;
            /// [`DecodeError::UnknownType`] when the protocol's document has no such type.
            #[inline]
            pub fn parse(bytes: &'a [u8], protocol: Protocol) -> Result<Self, DecodeError> {
                match *bytes.first().ok_or(DecodeError::Truncated { need: 1, have: 0 })? {
                    $( $name::TYPE if matches!(protocol, $(Protocol::$feed)|*) => {
                        $name::parse(bytes).map(Message::$name)
                    } )*
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

            /// When the event happened, ns since the UNIX epoch.
            #[inline]
            #[must_use]
            pub fn timestamp_ns(&self) -> i64 {
                match self {
                    $( Message::$name(message) => message.timestamp.get(), )*
                }
            }
        }

        /// Every type letter of the two documents with its length in bytes.
        pub const TYPES: &[(u8, usize)] = &[ $( ($letter, $size), )* ];

        /// Length in bytes of a message of type `message_type`; `None` when the protocol's document has no such type.
        #[must_use]
        pub const fn message_len(message_type: u8, protocol: Protocol) -> Option<usize> {
            match message_type {
                $( $letter if matches!(protocol, $(Protocol::$feed)|*) => Some($size), )*
                _ => None,
            }
        }
    };
}

messages! {
    /// `S` System Event: the venue's day, 10 bytes.
    SystemEvent = b'S', 10, [Tops, Deep] {
        /// `O` start of messages, `S` start of system hours, `R` start of regular market hours, `M` end of regular
        /// market hours, `E` end of system hours, `C` end of messages.
        event_code,
    }

    /// `D` Security Directory: one instrument of the day, 31 bytes.
    SecurityDirectory = b'D', 31, [Tops, Deep] {
        /// See [`security_flag`](super::security_flag).
        flags,
        /// ASCII, left-justified, space-padded.
        symbol: [u8; 8],
        /// Shares in a round lot.
        round_lot_size: U32,
        /// Official close of the day before, adjusted for corporate actions; four implied decimals, 0: none.
        adjusted_previous_close: I64,
        /// Limit Up - Limit Down tier: 0 not applicable, 1, 2.
        luld_tier: u8,
    }

    /// `H` Trading Status, 22 bytes.
    TradingStatus = b'H', 22, [Tops, Deep] {
        /// `H` halted across all markets, `O` halted and orders accepted on IEX, `P` paused and orders accepted on IEX,
        /// `T` trading on IEX.
        trading_status,
        /// ASCII, left-justified, space-padded.
        symbol: [u8; 8],
        /// Four characters, space-padded; blank for none.
        reason: [u8; 4],
    }

    /// `I` Retail Liquidity Indicator, 18 bytes.
    RetailLiquidity = b'I', 18, [Tops, Deep] {
        /// Blank not applicable, `A` buy interest, `B` sell interest, `C` both.
        indicator,
        /// ASCII, left-justified, space-padded.
        symbol: [u8; 8],
    }

    /// `O` Operational Halt of IEX only, 18 bytes.
    OperationalHalt = b'O', 18, [Tops, Deep] {
        /// `O` halted on IEX, `N` not halted on IEX.
        halt_status,
        /// ASCII, left-justified, space-padded.
        symbol: [u8; 8],
    }

    /// `P` Short Sale Price Test, 19 bytes.
    ShortSale = b'P', 19, [Tops, Deep] {
        /// 0 not in effect, 1 in effect. A number, not a digit.
        test_status,
        /// ASCII, left-justified, space-padded.
        symbol: [u8; 8],
        /// Blank none, `A` activated, `C` continued, `D` deactivated, `N` not available.
        detail: u8,
    }

    /// `E` Security Event, 18 bytes.
    SecurityEvent = b'E', 18, [Deep] {
        /// `O` opening process complete, `C` closing process complete.
        security_event,
        /// ASCII, left-justified, space-padded.
        symbol: [u8; 8],
    }

    /// `8` Price Level Update on the buy side, 30 bytes.
    PriceLevelBuy = b'8', 30, [Deep] {
        /// [`EVENT_COMPLETE`](super::EVENT_COMPLETE), or 0 while the event goes on.
        event_flags,
        /// ASCII, left-justified, space-padded.
        symbol: [u8; 8],
        /// All shares quoted at the price from now on; 0: the level is gone.
        size: U32,
        /// Four implied decimals.
        price: I64,
    }

    /// `5` Price Level Update on the sell side, 30 bytes.
    PriceLevelSell = b'5', 30, [Deep] {
        /// [`EVENT_COMPLETE`](super::EVENT_COMPLETE), or 0 while the event goes on.
        event_flags,
        /// ASCII, left-justified, space-padded.
        symbol: [u8; 8],
        /// All shares quoted at the price from now on; 0: the level is gone.
        size: U32,
        /// Four implied decimals.
        price: I64,
    }

    /// `Q` Quote Update: both sides of the best quote, 42 bytes.
    QuoteUpdate = b'Q', 42, [Tops] {
        /// See [`quote_flag`](super::quote_flag).
        flags,
        /// ASCII, left-justified, space-padded.
        symbol: [u8; 8],
        /// Shares at the best bid; 0: no bid.
        bid_size: U32,
        /// Four implied decimals; 0: no bid.
        bid_price: I64,
        /// Four implied decimals; 0: no ask.
        ask_price: I64,
        /// Shares at the best ask; 0: no ask.
        ask_size: U32,
    }

    /// `T` Trade Report, 38 bytes.
    TradeReport = b'T', 38, [Tops, Deep] {
        /// See [`sale_flag`](super::sale_flag).
        sale_flags,
        /// ASCII, left-justified, space-padded.
        symbol: [u8; 8],
        /// Shares.
        size: U32,
        /// Four implied decimals.
        price: I64,
        /// Unique for the day; names the trade for a later break.
        trade_id: U64,
    }

    /// `B` Trade Break: an earlier trade is void, 38 bytes.
    TradeBreak = b'B', 38, [Tops, Deep] {
        /// Those of the trade, see [`sale_flag`](super::sale_flag).
        sale_flags,
        /// ASCII, left-justified, space-padded.
        symbol: [u8; 8],
        /// Shares of the trade.
        size: U32,
        /// Price of the trade, four implied decimals.
        price: I64,
        /// The trade.
        trade_id: U64,
    }

    /// `X` Official Price of an IEX-listed security, 26 bytes.
    OfficialPrice = b'X', 26, [Tops, Deep] {
        /// `Q` opening price, `M` closing price.
        price_type,
        /// ASCII, left-justified, space-padded.
        symbol: [u8; 8],
        /// Four implied decimals.
        official_price: I64,
    }

    /// `A` Auction Information of an IEX-listed security, 80 bytes.
    AuctionInformation = b'A', 80, [Tops, Deep] {
        /// `O` opening, `C` closing, `I` IPO, `H` halt, `V` volatility.
        auction_type,
        /// ASCII, left-justified, space-padded.
        symbol: [u8; 8],
        /// Shares paired at the reference price.
        paired_shares: U32,
        /// Four implied decimals; 0: none.
        reference_price: I64,
        /// Clearing price with all interest; four implied decimals, 0: none.
        indicative_clearing_price: I64,
        /// Shares not paired at the reference price.
        imbalance_shares: U32,
        /// `B` buy, `S` sell, `N` none.
        imbalance_side: u8,
        /// Extensions so far.
        extension_number: u8,
        /// Seconds since the UNIX epoch.
        scheduled_time: U32,
        /// Clearing price with interest of the auction book alone; four implied decimals, 0: none.
        book_clearing_price: I64,
        /// Four implied decimals; 0: none.
        collar_reference_price: I64,
        /// Four implied decimals; 0: none.
        lower_collar: I64,
        /// Four implied decimals; 0: none.
        upper_collar: I64,
    }
}

impl<'a> Message<'a> {
    /// Symbol of the instrument that it is about; `None` when it is about the venue.
    #[inline]
    #[must_use]
    pub fn symbol(&self) -> Option<&'a [u8; 8]> {
        let (_, behind_time) = self.as_bytes().split_at_checked(SYMBOL_AT)?;
        behind_time.first_chunk()
    }
}

/// Where the symbol stands in every message that has one.
const SYMBOL_AT: usize = 10;

#[cfg(test)]
mod tests;
