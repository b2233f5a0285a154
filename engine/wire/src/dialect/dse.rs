//! Dhaka Stock Exchange, X-stream ITCH 2.0 and 2.2: the newer edition appends yields and a few facts more.
//!
//! Source: shared document "dse-itch", message tables. No capture of the exchange is public; the table follows two
//! independent implementations.

use super::table::{Entry, Event, Field, Role, alpha, entry, letter, number};
use super::{Clock, Dialect, PriceScale};

/// Dhaka Stock Exchange, editions 2.0 and 2.2 together: each message type chooses its own by its length.
pub static DSE: Dialect = Dialect::new(
    "dse",
    Clock::SecondsAndNanos,
    PriceScale::PerInstrument,
    // Market order or not available; the second one in replaces.
    &[0x7fff_ffff, 0xffff_ffff],
    TABLE,
);

const NS: Field = number(Role::TimestampNs, 1, 4);

const TABLE: &[Entry] = &[
    entry(b'T', &[5], Event::Timestamp, &[number(Role::Seconds, 1, 4)]),
    entry(
        b'S',
        &[18],
        Event::SystemEvent,
        &[NS, alpha(Role::Group, 5, 8), letter(Role::EventCode, 13), number(Role::Orderbook, 14, 4)],
    ),
    entry(
        b'L',
        &[17],
        Event::PriceTick,
        &[NS, number(Role::TableId, 5, 4), number(Role::Tick, 9, 4), number(Role::TickStart, 13, 4)],
    ),
    entry(
        b'M',
        &[25],
        Event::QuantityTick,
        &[NS, number(Role::TableId, 5, 4), number(Role::Tick, 9, 8), number(Role::TickStart, 17, 8)],
    ),
    entry(
        b'P',
        &[69],
        Event::Company,
        &[NS, number(Role::Company, 5, 4), alpha(Role::CompanyName, 9, 30), alpha(Role::CompanyTicker, 39, 30)],
    ),
    entry(
        b'R',
        &[163, 171],
        Event::Orderbook,
        &[
            NS,
            number(Role::Orderbook, 5, 4),
            letter(Role::PriceType, 9),
            alpha(Role::Isin, 10, 12),
            alpha(Role::SecurityCode, 22, 12),
            alpha(Role::Currency, 34, 3),
            alpha(Role::Group, 37, 8),
            number(Role::MinimumQuantity, 45, 8),
            number(Role::QuantityTickTable, 53, 4),
            number(Role::PriceTickTable, 57, 4),
            number(Role::PriceDecimals, 61, 4),
            number(Role::DelistingDate, 65, 4),
            number(Role::DelistingTime, 69, 4),
            letter(Role::MarketType, 73),
            number(Role::Company, 74, 4),
            letter(Role::ListingType, 78),
            alpha(Role::Sector, 79, 12),
            alpha(Role::InstrumentClass, 91, 12),
            alpha(Role::SecurityName, 103, 60),
            number(Role::MaturityDate, 163, 4),
            number(Role::YieldDecimals, 167, 4),
        ],
    ),
    entry(
        b'H',
        &[11],
        Event::TradingAction,
        &[NS, number(Role::Orderbook, 5, 4), letter(Role::State, 9), letter(Role::Reason, 10)],
    ),
    entry(
        b'A',
        &[30, 34],
        Event::Add,
        &[
            NS,
            number(Role::Reference, 5, 8),
            letter(Role::Side, 13),
            number(Role::Quantity, 14, 8),
            number(Role::Orderbook, 22, 4),
            number(Role::Price, 26, 4),
            number(Role::Yield, 30, 4),
        ],
    )
    .when_zero(&[Role::Reference, Role::Quantity], Event::ReferencePrice),
    entry(
        b'F',
        &[34, 38],
        Event::Add,
        &[
            NS,
            number(Role::Reference, 5, 8),
            letter(Role::Side, 13),
            number(Role::Quantity, 14, 8),
            number(Role::Orderbook, 22, 4),
            number(Role::Price, 26, 4),
            number(Role::Company, 30, 4),
            number(Role::Yield, 34, 4),
        ],
    ),
    entry(
        b'E',
        &[29],
        Event::Execute,
        &[NS, number(Role::Reference, 5, 8), number(Role::Quantity, 13, 8), number(Role::MatchNumber, 21, 8)],
    ),
    entry(
        b'C',
        &[34, 38],
        Event::ExecutePrice,
        &[
            NS,
            number(Role::Reference, 5, 8),
            number(Role::Quantity, 13, 8),
            number(Role::MatchNumber, 21, 8),
            letter(Role::Printable, 29),
            number(Role::Price, 30, 4),
            number(Role::Orderbook, 34, 4),
        ],
    ),
    entry(b'B', &[14], Event::BrokenTrade, &[NS, number(Role::MatchNumber, 5, 8), letter(Role::Reason, 13)]),
    entry(b'D', &[13], Event::Delete, &[NS, number(Role::Reference, 5, 8)]),
    entry(
        b'U',
        &[33, 37],
        Event::Replace,
        &[
            NS,
            number(Role::Reference, 5, 8),
            number(Role::NewReference, 13, 8),
            number(Role::Quantity, 21, 8),
            number(Role::Price, 29, 4),
            number(Role::Yield, 33, 4),
        ],
    ),
    entry(
        b'I',
        &[30],
        Event::Indicative,
        &[
            NS,
            number(Role::Quantity, 5, 8),
            number(Role::Orderbook, 13, 4),
            number(Role::BestBid, 17, 4),
            number(Role::BestOffer, 21, 4),
            number(Role::Price, 25, 4),
            letter(Role::CrossType, 29),
        ],
    ),
    // Here the yield came in the middle.
    entry(
        b'Q',
        &[30],
        Event::Trade,
        &[
            NS,
            number(Role::Quantity, 5, 8),
            number(Role::Orderbook, 13, 4),
            letter(Role::Printable, 17),
            number(Role::Price, 18, 4),
            number(Role::MatchNumber, 22, 8),
        ],
    )
    .when_zero(&[Role::MatchNumber, Role::Quantity], Event::ClosePrice),
    entry(
        b'Q',
        &[34],
        Event::Trade,
        &[
            NS,
            number(Role::Quantity, 5, 8),
            number(Role::Orderbook, 13, 4),
            letter(Role::Printable, 17),
            number(Role::Price, 18, 4),
            number(Role::Yield, 22, 4),
            number(Role::MatchNumber, 26, 8),
        ],
    )
    .when_zero(&[Role::MatchNumber, Role::Quantity], Event::ClosePrice),
    entry(
        b'O',
        &[33],
        Event::BestQuote,
        &[
            NS,
            number(Role::Orderbook, 5, 4),
            number(Role::BestBid, 9, 4),
            number(Role::BidQuantity, 13, 8),
            number(Role::BestOffer, 21, 4),
            number(Role::OfferQuantity, 25, 8),
        ],
    ),
    entry(b'Z', &[17], Event::IndexValue, &[NS, number(Role::Orderbook, 5, 4), number(Role::IndexValue, 9, 8)]),
    // The fixed part alone is 43 bytes; with the NULs of three empty texts the document's 46. A last NUL may be missing.
    entry(
        b'N',
        &[43],
        Event::News,
        &[NS, number(Role::Orderbook, 5, 4), number(Role::NewsId, 9, 4), alpha(Role::FirmId, 13, 30)],
    )
    .texts(&[Role::Title, Role::NewsReference, Role::Text]),
];
