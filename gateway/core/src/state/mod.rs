//! An instrument as the reader's cursor sees it: the board's row at a number, then what the records after it change.
//!
//! A shard never waits for the board and never runs ahead of it: a row is read once, when somebody joins; it may be
//! *ahead* of the reader's cursor (decisions.md 6), so records up to its number are passed over.
//!
//! What a record does here is what its event did to the row: whoever writes rows and whoever reads records must agree
//! to the bit, and a property test holds them together.

mod recorded;
mod window;

use shm_abi::board::{Level, Quality, RowImage};
use shm_abi::layout::row;
use shm_abi::record::{PRICE_NONE, Price, Quantity, Side, TradingStatus, clear_code, flag, official_code, trade_code};

pub use recorded::{RecordedQuote, begins_anew};
pub use window::{Window, differences};

/// Most orders that a row can tell of one side of the best quote; more read as this.
const ORDERS_MAX: u64 = (1 << 24) - 1;

/// The last printed trade.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastTrade {
    /// Price.
    pub price: Price,
    /// Quantity.
    pub quantity: Quantity,
    /// The venue's match id.
    pub match_id: u64,
    /// Venue time, ns since the UNIX epoch.
    pub ts_event: u64,
}

/// Best bid and ask, last trade, and the day so far: what the channel `quotes` tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Quote {
    /// Best bid. Orders saturate at 2^24 - 1, as on the board.
    pub bid: Option<Level>,
    /// Best ask.
    pub ask: Option<Level>,
    /// Last printed trade of the day.
    pub last: Option<LastTrade>,
    /// First printed price of the day.
    pub open: Option<Price>,
    /// Highest.
    pub high: Option<Price>,
    /// Lowest.
    pub low: Option<Price>,
    /// Closing price, once the closing cross has printed.
    pub close: Option<Price>,
    /// Close of the session before.
    pub previous_close: Option<Price>,
    /// Quantity printed; saturates.
    pub volume: u64,
    /// Price times quantity printed, in 1e-9 of the currency per 10^-quantity_decimals.
    pub turnover: u128,
    /// Trades printed.
    pub trades: u64,
}

/// What the channel `status` tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatusState {
    /// Trading status.
    pub status: TradingStatus,
    /// How far the row can be trusted.
    pub quality: Quality,
}

impl Default for StatusState {
    fn default() -> Self {
        StatusState { status: TradingStatus::Unknown, quality: Quality::Unknown }
    }
}

impl StatusState {
    /// What a row says.
    pub fn of_row(image: &RowImage) -> StatusState {
        StatusState { status: image.status(), quality: image.quality() }
    }
}

impl Quote {
    /// Nothing is known of anything.
    pub const EMPTY: Quote = Quote {
        bid: None,
        ask: None,
        last: None,
        open: None,
        high: None,
        low: None,
        close: None,
        previous_close: None,
        volume: 0,
        turnover: 0,
        trades: 0,
    };

    /// What a row says.
    pub fn of_row(image: &RowImage) -> Quote {
        Quote {
            bid: image.best(Side::Bid),
            ask: image.best(Side::Ask),
            last: image.price(row::LAST_PRICE).map(|price| LastTrade {
                price,
                quantity: image.word(row::LAST_QUANTITY),
                match_id: image.word(row::LAST_MATCH),
                ts_event: image.word(row::LAST_TS),
            }),
            open: image.price(row::OPEN),
            high: image.price(row::HIGH),
            low: image.price(row::LOW),
            close: image.price(row::CLOSE),
            previous_close: image.price(row::PREVIOUS_CLOSE),
            volume: image.word(row::VOLUME),
            turnover: image.turnover(),
            trades: image.word(row::TRADES),
        }
    }

    /// A quote record: the best level of `side` is this now. An empty side has [`PRICE_NONE`].
    pub fn set_best(&mut self, side: Side, price: Price, quantity: Quantity, orders: u64) {
        let best = Level { price, quantity, orders: orders.min(ORDERS_MAX) as u32 };
        let best = (price != PRICE_NONE).then_some(best);
        match side {
            Side::Bid => self.bid = best,
            Side::Ask => self.ask = best,
        }
    }

    /// A trade record, with its `side_or_code` and flags. What is not printed moves no statistics, what is volume alone
    /// no price; a cross without shares prints nothing; the closing cross sets the close.
    pub fn trade(&mut self, code: u8, flags: u8, trade: LastTrade) {
        if flags & flag::NOT_PRINTED != 0 {
            return;
        }
        if trade.quantity > 0 {
            self.print(flags & flag::VOLUME_ONLY != 0, trade);
        }
        if code == trade_code::CROSS_CLOSE && trade.price > 0 {
            self.close = present(trade.price);
        }
    }

    fn print(&mut self, volume_only: bool, trade: LastTrade) {
        if trade.price == PRICE_NONE {
            // An order without a price was executed, and the venue has not said at which: quantity alone is known.
            self.volume = self.volume.saturating_add(trade.quantity);
            self.trades = self.trades.wrapping_add(1);
            return;
        }
        if !volume_only {
            self.last = Some(trade);
            self.day_range(trade.price);
        }
        self.volume = self.volume.saturating_add(trade.quantity);
        let value = u128::from(trade.quantity) * u128::from(trade.price.unsigned_abs());
        self.turnover = self.turnover.saturating_add(value);
        self.trades = self.trades.wrapping_add(1);
    }

    /// An official price: the reference price stands as the close of the session before.
    pub fn official(&mut self, code: u8, price: Price) {
        match code {
            official_code::REFERENCE => self.previous_close = present(price),
            official_code::CLOSE => self.close = present(price),
            _ => {}
        }
    }

    /// The value of an index: a last price without a trade.
    pub fn index(&mut self, value: Price, ts_event: u64) {
        self.last = Some(LastTrade { price: value, quantity: 0, match_id: 0, ts_event });
        self.day_range(value);
    }

    fn day_range(&mut self, price: Price) {
        self.open = self.open.or(Some(price));
        self.high = Some(self.high.map_or(price, |high| high.max(price)));
        self.low = Some(self.low.map_or(price, |low| low.min(price)));
    }

    /// A clear record: the book is empty, and unless it says that nothing else is meant, the day begins anew and its
    /// close becomes the previous one.
    pub fn clear(&mut self, code: u8) {
        if code == clear_code::BOOK {
            (self.bid, self.ask) = (None, None);
        } else {
            *self = Quote { previous_close: self.close.or(self.previous_close), ..Quote::default() };
        }
    }
}

fn present(price: Price) -> Option<Price> {
    (price != PRICE_NONE).then_some(price)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trade(price: Price, quantity: Quantity) -> LastTrade {
        LastTrade { price, quantity, match_id: 7, ts_event: 9 }
    }

    #[test]
    fn what_trades_do_to_the_day() {
        let printed = Quote {
            last: Some(trade(50, 2)),
            open: Some(50),
            high: Some(50),
            low: Some(50),
            volume: 2,
            turnover: 100,
            trades: 1,
            ..Quote::default()
        };
        let volume_alone = Quote { last: None, open: None, high: None, low: None, ..printed };
        let table: &[(&str, u8, u8, LastTrade, Quote)] = &[
            ("an ordinary print", b'B', 0, trade(50, 2), printed),
            ("a hidden one prints too", b'N', flag::HIDDEN, trade(50, 2), printed),
            ("volume alone", b'N', flag::VOLUME_ONLY, trade(50, 2), volume_alone),
            ("not printed", b'B', flag::NOT_PRINTED, trade(50, 2), Quote::default()),
            ("a cross without shares", b'O', 0, trade(50, 0), Quote::default()),
            ("the closing cross", b'C', 0, trade(50, 2), Quote { close: Some(50), ..printed }),
            ("a closing cross without shares", b'C', 0, trade(50, 0), Quote { close: Some(50), ..Quote::default() }),
            ("a closing cross without a price", b'C', 0, trade(0, 0), Quote::default()),
        ];
        for (name, code, flags, trade, want) in table {
            let mut quote = Quote::default();
            quote.trade(*code, *flags, *trade);
            assert_eq!(&quote, want, "case: {name}");
        }
    }

    #[test]
    fn high_low_and_clear() {
        let mut quote = Quote { previous_close: Some(1), ..Quote::default() };
        for price in [50, 70, 30] {
            quote.trade(b'B', 0, trade(price, 1));
        }
        assert_eq!((quote.open, quote.high, quote.low, quote.trades), (Some(50), Some(70), Some(30), 3));
        quote.clear(clear_code::DAY);
        assert_eq!(quote, Quote { previous_close: Some(1), ..Quote::default() }, "no close: the previous one stays");
        quote.trade(b'C', 0, trade(60, 1));
        quote.clear(clear_code::DAY);
        assert_eq!(quote, Quote { previous_close: Some(60), ..Quote::default() });
    }

    #[test]
    fn an_index_official_prices_and_what_a_cleared_book_leaves() {
        let mut quote = Quote::default();
        quote.official(official_code::REFERENCE, 40);
        for value in [50, 70, 30] {
            quote.index(value, 9);
        }
        quote.official(official_code::CLOSE, 60);
        quote.set_best(Side::Bid, 5, 6, 1);
        quote.clear(clear_code::BOOK);
        let last = Some(LastTrade { price: 30, quantity: 0, match_id: 0, ts_event: 9 });
        let (open, high, low, close, previous_close) = (Some(50), Some(70), Some(30), Some(60), Some(40));
        assert_eq!(quote, Quote { last, open, high, low, close, previous_close, ..Quote::default() });
        quote.official(official_code::CLOSE, PRICE_NONE);
        assert_eq!(quote.close, None);
        quote.trade(b'B', 0, trade(PRICE_NONE, 7));
        assert_eq!(
            (quote.last, quote.volume, quote.trades, quote.turnover),
            (last, 7, 1, 0),
            "a trade without a price"
        );
    }

    #[test]
    fn an_empty_side_and_many_orders() {
        let mut quote = Quote::default();
        quote.set_best(Side::Ask, 5, 6, 1 << 40);
        assert_eq!(quote.ask, Some(Level { price: 5, quantity: 6, orders: (1 << 24) - 1 }));
        quote.set_best(Side::Ask, PRICE_NONE, 0, 0);
        assert_eq!(quote.ask, None);
    }
}
