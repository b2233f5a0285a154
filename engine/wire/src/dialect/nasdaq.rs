//! Nasdaq TotalView-ITCH 5.0. Of fields that no other venue has, only the head is named here:
//! [`itch50::Message`](crate::itch50::Message) views them all.
//!
//! Source: shared document "itch50".

use super::table::{Entry, Event, Field, Role, alpha, entry, letter, number};
use super::{Clock, Dialect, PriceScale};

/// Nasdaq TotalView-ITCH 5.0, also of Nasdaq Texas and PSX.
pub static NASDAQ_50: Dialect =
    Dialect::new("nasdaq-5.0", Clock::NanosSinceMidnight, PriceScale::Decimals(4), &[], TABLE);

const LOCATE: Field = number(Role::Orderbook, 1, 2);
const TRACKING: Field = number(Role::TrackingNumber, 3, 2);
const NS: Field = number(Role::TimestampNs, 5, 6);
const STOCK: Field = alpha(Role::SecurityCode, 11, 8);
const REFERENCE: Field = number(Role::Reference, 11, 8);

const TABLE: &[Entry] = &[
    entry(b'S', &[12], Event::SystemEvent, &[LOCATE, TRACKING, NS, letter(Role::EventCode, 11)]),
    entry(b'R', &[39], Event::Orderbook, &[LOCATE, TRACKING, NS, STOCK, number(Role::RoundLot, 21, 4)]),
    entry(
        b'H',
        &[25],
        Event::TradingAction,
        &[LOCATE, TRACKING, NS, STOCK, letter(Role::State, 19), alpha(Role::Reason, 21, 4)],
    ),
    entry(b'Y', &[20], Event::ShortSale, &[LOCATE, TRACKING, NS, STOCK, letter(Role::State, 19)]),
    entry(b'L', &[26], Event::VenueMessage, &[LOCATE, TRACKING, NS]),
    entry(b'V', &[35], Event::VenueMessage, &[LOCATE, TRACKING, NS]),
    entry(b'W', &[12], Event::VenueMessage, &[LOCATE, TRACKING, NS]),
    entry(b'K', &[28], Event::VenueMessage, &[LOCATE, TRACKING, NS, STOCK]),
    entry(b'J', &[35], Event::VenueMessage, &[LOCATE, TRACKING, NS, STOCK]),
    entry(b'h', &[21], Event::VenueMessage, &[LOCATE, TRACKING, NS, STOCK]),
    entry(
        b'A',
        &[36],
        Event::Add,
        &[
            LOCATE,
            TRACKING,
            NS,
            REFERENCE,
            letter(Role::Side, 19),
            number(Role::Quantity, 20, 4),
            alpha(Role::SecurityCode, 24, 8),
            number(Role::Price, 32, 4),
        ],
    ),
    entry(
        b'F',
        &[40],
        Event::Add,
        &[
            LOCATE,
            TRACKING,
            NS,
            REFERENCE,
            letter(Role::Side, 19),
            number(Role::Quantity, 20, 4),
            alpha(Role::SecurityCode, 24, 8),
            number(Role::Price, 32, 4),
            alpha(Role::Attribution, 36, 4),
        ],
    ),
    entry(
        b'E',
        &[31],
        Event::Execute,
        &[LOCATE, TRACKING, NS, REFERENCE, number(Role::Quantity, 19, 4), number(Role::MatchNumber, 23, 8)],
    ),
    entry(
        b'C',
        &[36],
        Event::ExecutePrice,
        &[
            LOCATE,
            TRACKING,
            NS,
            REFERENCE,
            number(Role::Quantity, 19, 4),
            number(Role::MatchNumber, 23, 8),
            letter(Role::Printable, 31),
            number(Role::Price, 32, 4),
        ],
    ),
    entry(b'X', &[23], Event::Cancel, &[LOCATE, TRACKING, NS, REFERENCE, number(Role::Quantity, 19, 4)]),
    entry(b'D', &[19], Event::Delete, &[LOCATE, TRACKING, NS, REFERENCE]),
    entry(
        b'U',
        &[35],
        Event::Replace,
        &[
            LOCATE,
            TRACKING,
            NS,
            REFERENCE,
            number(Role::NewReference, 19, 8),
            number(Role::Quantity, 27, 4),
            number(Role::Price, 31, 4),
        ],
    ),
    entry(
        b'P',
        &[44],
        Event::Trade,
        &[
            LOCATE,
            TRACKING,
            NS,
            REFERENCE,
            letter(Role::Side, 19),
            number(Role::Quantity, 20, 4),
            alpha(Role::SecurityCode, 24, 8),
            number(Role::Price, 32, 4),
            number(Role::MatchNumber, 36, 8),
        ],
    ),
    entry(
        b'Q',
        &[40],
        Event::CrossTrade,
        &[
            LOCATE,
            TRACKING,
            NS,
            number(Role::Quantity, 11, 8),
            alpha(Role::SecurityCode, 19, 8),
            number(Role::Price, 27, 4),
            number(Role::MatchNumber, 31, 8),
            letter(Role::CrossType, 39),
        ],
    ),
    entry(b'B', &[19], Event::BrokenTrade, &[LOCATE, TRACKING, NS, number(Role::MatchNumber, 11, 8)]),
    entry(
        b'I',
        &[50],
        Event::Indicative,
        &[
            LOCATE,
            TRACKING,
            NS,
            number(Role::Quantity, 11, 8),
            number(Role::ImbalanceQuantity, 19, 8),
            letter(Role::ImbalanceSide, 27),
            alpha(Role::SecurityCode, 28, 8),
            number(Role::FarPrice, 36, 4),
            number(Role::NearPrice, 40, 4),
            number(Role::ReferencePrice, 44, 4),
            letter(Role::CrossType, 48),
        ],
    ),
    entry(b'N', &[20], Event::VenueMessage, &[LOCATE, TRACKING, NS, STOCK]),
    entry(b'O', &[48], Event::VenueMessage, &[LOCATE, TRACKING, NS, STOCK]),
];
