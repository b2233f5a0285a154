//! Latest values: what an instrument looks like now, without following a ring.

use shm_abi::board::{BoardReader, Level, Quality, RowError, RowImage};
use shm_abi::layout::row;
use shm_abi::record::{Price, QUANTITY_NONE, Quantity, Side, TradingStatus};
use shm_abi::segment::Segment;

use crate::instruments::{Instruments, Key};

/// Why a row could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LookupError {
    /// The directory has no such instrument (yet: it grows).
    #[error("the lane's directory has no instrument {0}")]
    NoSuchInstrument(String),
    /// The writer was in the row at each try: try again.
    #[error("the row was being written at each try: try again")]
    Busy,
    /// The row is half written and its writer shows no life: it will be whole again when the engine has begun anew.
    #[error("the row is half written and its writer is dead: wait for the engine to begin anew")]
    WriterDead,
}

impl LookupError {
    fn of(error: RowError) -> LookupError {
        match error {
            RowError::NoSuchRow(row) => LookupError::NoSuchInstrument(format!("at row {row}")),
            RowError::Busy => LookupError::Busy,
            RowError::WriterDead => LookupError::WriterDead,
        }
    }
}

/// Best bid and ask; a side without orders is `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quote {
    /// Best bid.
    pub bid: Option<Level>,
    /// Best ask.
    pub ask: Option<Level>,
    /// Number in the market ring of the last record that is in these values.
    pub market_n: u64,
    /// Venue time of that record, ns since the UNIX epoch.
    pub ts_event: u64,
}

/// The last trade of the day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastTrade {
    /// Price, 1e-9.
    pub price: Price,
    /// Quantity.
    pub quantity: Quantity,
    /// The venue's match id.
    pub match_id: u64,
    /// Venue time, ns since the UNIX epoch.
    pub ts_event: u64,
}

/// A lane's board, with the look-ups to find a row. From [`crate::Lane::board`].
#[derive(Debug)]
pub struct BoardView<'l> {
    reader: BoardReader,
    segment: &'l Segment,
    instruments: &'l Instruments,
    image: &'l mut RowImage,
}

impl<'l> BoardView<'l> {
    pub(crate) fn new(segment: &'l Segment, instruments: &'l Instruments, image: &'l mut RowImage) -> Self {
        BoardView { reader: segment.board(), segment, instruments, image }
    }

    /// A copy of one instrument's row: one version of it as a whole, never a mixture. It lives in a buffer that the next
    /// call uses again, so reading does not allocate.
    ///
    /// # Errors
    /// See [`LookupError`].
    pub fn row<'k>(&mut self, key: impl Into<Key<'k>>) -> Result<RowView<'_>, LookupError> {
        let key = key.into();
        let (row, _) = self.instruments.get(key).ok_or_else(|| LookupError::NoSuchInstrument(format!("{key:?}")))?;
        self.reader.read(row, self.image, || self.segment.writer_alive()).map_err(LookupError::of)?;
        Ok(RowView { image: self.image })
    }

    /// Best bid and ask of one instrument.
    ///
    /// # Errors
    /// See [`LookupError`].
    pub fn quote<'k>(&mut self, key: impl Into<Key<'k>>) -> Result<Quote, LookupError> {
        self.row(key).map(|row| row.quote())
    }
}

/// One version of one row.
#[derive(Debug, Clone, Copy)]
pub struct RowView<'b> {
    image: &'b RowImage,
}

impl<'b> RowView<'b> {
    /// Best bid and ask.
    pub fn quote(&self) -> Quote {
        Quote {
            bid: self.image.best(Side::Bid),
            ask: self.image.best(Side::Ask),
            market_n: self.image.market_n(),
            ts_event: self.image.word(row::TS_EVENT),
        }
    }
    /// Levels of the window of a side, best first.
    pub fn window(&self, side: Side) -> impl ExactSizeIterator<Item = Level> + 'b {
        self.image.window(side)
    }
    /// The last trade of the day.
    pub fn last_trade(&self) -> Option<LastTrade> {
        Some(LastTrade {
            price: self.image.price(row::LAST_PRICE)?,
            quantity: self.image.word(row::LAST_QUANTITY),
            match_id: self.image.word(row::LAST_MATCH),
            ts_event: self.image.word(row::LAST_TS),
        })
    }
    /// First printed price of the day, 1e-9.
    pub fn open(&self) -> Option<Price> {
        self.image.price(row::OPEN)
    }
    /// Highest printed price of the day, 1e-9.
    pub fn high(&self) -> Option<Price> {
        self.image.price(row::HIGH)
    }
    /// Lowest printed price of the day, 1e-9.
    pub fn low(&self) -> Option<Price> {
        self.image.price(row::LOW)
    }
    /// Official closing price of the day, 1e-9.
    pub fn close(&self) -> Option<Price> {
        self.image.price(row::CLOSE)
    }
    /// Closing price of the day before, 1e-9.
    pub fn previous_close(&self) -> Option<Price> {
        self.image.price(row::PREVIOUS_CLOSE)
    }
    /// Quantity traded in the day.
    pub fn volume(&self) -> u64 {
        self.image.word(row::VOLUME)
    }
    /// Sum of price times quantity of the day, 1e-9.
    pub fn turnover(&self) -> u128 {
        self.image.turnover()
    }
    /// Trades of the day.
    pub fn trades(&self) -> u64 {
        self.image.word(row::TRADES)
    }
    /// Open interest.
    pub fn open_interest(&self) -> Option<Quantity> {
        Some(self.image.word(row::OPEN_INTEREST)).filter(|quantity| *quantity != QUANTITY_NONE)
    }
    /// Trading status.
    pub fn status(&self) -> TradingStatus {
        self.image.status()
    }
    /// How far the values can be trusted.
    pub fn quality(&self) -> Quality {
        self.image.quality()
    }
    /// Number in the market ring of the last record that is in these values: records from it on are news.
    pub fn market_n(&self) -> u64 {
        self.image.market_n()
    }
    /// Every word of the row.
    pub fn image(&self) -> &'b RowImage {
        self.image
    }
}
