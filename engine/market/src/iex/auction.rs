//! Auctions of securities that IEX lists.

use shm_abi::record::{Imbalance, PRICE_NONE, Price, imbalance_body, kind};
use wire::iex::AuctionInformation;

use super::{Fate, Iex, InstrumentIds, Io, price};
use crate::publish::{Event, NO_SIDE};

/// A price that may be absent: the wire says 0.
fn optional_price(raw: i64) -> Price {
    price(raw).unwrap_or(PRICE_NONE)
}

impl<I: InstrumentIds> Iex<I> {
    /// `A`: the collar as a price band, when there is one, and the imbalance. Of the two clearing prices, the one of the
    /// auction book alone is the far one, as the record has it. Extensions and the scheduled time are not on the bus.
    pub(super) fn auction(&mut self, at: usize, auction: &AuctionInformation, event: &Event, io: &mut Io<'_>) -> Fate {
        let prices = [
            auction.reference_price,
            auction.indicative_clearing_price,
            auction.book_clearing_price,
            auction.collar_reference_price,
            auction.lower_collar,
            auction.upper_collar,
        ]
        .map(|raw| raw.get());
        if let Some(bad) = prices.iter().find(|raw| **raw != 0 && price(**raw).is_none()) {
            return self.bad_field(at, AuctionInformation::TYPE, *bad as u64, event, io);
        }
        let [reference_price, near_price, far_price, collar @ ..] = prices.map(optional_price);
        if collar != [PRICE_NONE; 3] {
            io.out.market.put(event.record(kind::PRICE_BAND, NO_SIDE, 0, collar.map(|price| price as u64)));
        }
        let imbalance = Imbalance {
            paired: auction.paired_shares.get().into(),
            imbalance: auction.imbalance_shares.get().into(),
            reference_price,
            far_price,
            near_price,
            letters: [auction.imbalance_side, auction.auction_type, b' '],
        };
        io.out.market_last_span(event, kind::IMBALANCE, NO_SIDE, &imbalance_body(&imbalance));
        io.out.finish_with_row(event, io.board.update(self.facts[at].row as usize));
        Fate::Applied
    }
}
