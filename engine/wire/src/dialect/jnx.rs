//! Japannext 1.6: the same family as DSE, with four-byte quantities and groups.
//!
//! Source: shared document "dse-itch", sister venues.

use super::table::{Entry, Event, Field, Role, alpha, entry, letter, number};
use super::{Clock, Dialect, PriceScale};

/// Japannext ITCH 1.6.
pub static JNX_16: Dialect =
    Dialect::new("jnx-1.6", Clock::SecondsAndNanos, PriceScale::PerInstrument, &[0x7fff_ffff], TABLE);

const NS: Field = number(Role::TimestampNs, 1, 4);

const TABLE: &[Entry] = &[
    entry(b'T', &[5], Event::Timestamp, &[number(Role::Seconds, 1, 4)]),
    entry(b'S', &[10], Event::SystemEvent, &[NS, alpha(Role::Group, 5, 4), letter(Role::EventCode, 9)]),
    entry(
        b'L',
        &[17],
        Event::PriceTick,
        &[NS, number(Role::TableId, 5, 4), number(Role::Tick, 9, 4), number(Role::TickStart, 13, 4)],
    ),
    entry(
        b'R',
        &[45],
        Event::Orderbook,
        &[
            NS,
            number(Role::Orderbook, 5, 4),
            alpha(Role::Isin, 9, 12),
            alpha(Role::Group, 21, 4),
            number(Role::RoundLot, 25, 4),
            number(Role::PriceTickTable, 29, 4),
            number(Role::PriceDecimals, 33, 4),
            number(Role::UpperLimit, 37, 4),
            number(Role::LowerLimit, 41, 4),
        ],
    ),
    entry(
        b'H',
        &[14],
        Event::TradingAction,
        &[NS, number(Role::Orderbook, 5, 4), alpha(Role::Group, 9, 4), letter(Role::State, 13)],
    ),
    entry(
        b'Y',
        &[14],
        Event::ShortSale,
        &[NS, number(Role::Orderbook, 5, 4), alpha(Role::Group, 9, 4), letter(Role::State, 13)],
    ),
    entry(
        b'A',
        &[30],
        Event::Add,
        &[
            NS,
            number(Role::Reference, 5, 8),
            letter(Role::Side, 13),
            number(Role::Quantity, 14, 4),
            number(Role::Orderbook, 18, 4),
            alpha(Role::Group, 22, 4),
            number(Role::Price, 26, 4),
        ],
    )
    .when_zero(&[Role::Reference], Event::ReferencePrice),
    entry(
        b'F',
        &[35],
        Event::Add,
        &[
            NS,
            number(Role::Reference, 5, 8),
            letter(Role::Side, 13),
            number(Role::Quantity, 14, 4),
            number(Role::Orderbook, 18, 4),
            alpha(Role::Group, 22, 4),
            number(Role::Price, 26, 4),
            alpha(Role::Attribution, 30, 4),
            letter(Role::OrderType, 34),
        ],
    ),
    entry(
        b'E',
        &[25],
        Event::Execute,
        &[NS, number(Role::Reference, 5, 8), number(Role::Quantity, 13, 4), number(Role::MatchNumber, 17, 8)],
    ),
    entry(b'D', &[13], Event::Delete, &[NS, number(Role::Reference, 5, 8)]),
    entry(
        b'U',
        &[29],
        Event::Replace,
        &[
            NS,
            number(Role::Reference, 5, 8),
            number(Role::NewReference, 13, 8),
            number(Role::Quantity, 21, 4),
            number(Role::Price, 25, 4),
        ],
    ),
];
