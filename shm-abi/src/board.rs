//! The board: the latest values of every instrument, one seqlock row each, with the levels of its window beside it.
//!
//! Source: design.md 3; decisions.md 6, 7. A row is written before the ring records of its event become visible, and
//! names the number that the event's last record has in the market ring.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use crate::layout::{LEVEL_WORDS, Layout, ROW_WORDS, row, side_bytes};
use crate::record::{PRICE_NONE, Price, QUANTITY_NONE, Quantity, Side, TradingStatus};
use crate::seqlock;
use crate::sync::AtomicU64;
use crate::sys::Mapping;

/// One price of a book side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Level {
    /// Price, 1e-9.
    pub price: Price,
    /// Sum of the orders' quantities.
    pub quantity: Quantity,
    /// Orders.
    pub orders: u32,
}

/// How far a row can be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
#[non_exhaustive]
pub enum Quality {
    /// Nothing is known yet.
    Unknown = 0,
    /// The feed is live.
    Fresh = 1,
    /// Live, but nothing has come for a while.
    Quiet = 2,
    /// The feed is down: the values are the last known.
    Stale = 3,
    /// Messages are missing: the book may be wrong.
    Gapped = 4,
    /// Being rebuilt.
    Recovering = 5,
    /// The provider refused our credentials.
    AuthExpired = 6,
    /// The venue has closed.
    Closed = 7,
}

impl Quality {
    /// The quality whose code this is.
    pub const fn from_code(code: u8) -> Quality {
        match code {
            1 => Quality::Fresh,
            2 => Quality::Quiet,
            3 => Quality::Stale,
            4 => Quality::Gapped,
            5 => Quality::Recovering,
            6 => Quality::AuthExpired,
            7 => Quality::Closed,
            _ => Quality::Unknown,
        }
    }
    /// Lower-case name, as tools and JSON show it.
    pub const fn name(self) -> &'static str {
        match self {
            Quality::Unknown => "unknown",
            Quality::Fresh => "fresh",
            Quality::Quiet => "quiet",
            Quality::Stale => "stale",
            Quality::Gapped => "gapped",
            Quality::Recovering => "recovering",
            Quality::AuthExpired => "auth_expired",
            Quality::Closed => "closed",
        }
    }
}

/// Bits of [`row::TOUCH`] for the orders of one side.
const TOUCH_ORDERS_BITS: usize = 24;
/// Most orders that they can tell.
const TOUCH_ORDERS_MAX: u64 = (1 << TOUCH_ORDERS_BITS) - 1;
/// Where the window's lengths begin, eight bits a side: no class has more levels.
const TOUCH_LEVELS_SHIFT: usize = 2 * TOUCH_ORDERS_BITS;

#[inline(always)]
fn touch_levels(touch: u64, side: Side) -> usize {
    (touch >> (TOUCH_LEVELS_SHIFT + 8 * side.index())) as u8 as usize
}

/// Best level of a side of the row whose words `word` gives.
fn best_of(side: Side, word: impl Fn(usize) -> u64) -> Option<Level> {
    let (price, quantity) = match side {
        Side::Bid => (row::BID_PRICE, row::BID_QUANTITY),
        Side::Ask => (row::ASK_PRICE, row::ASK_QUANTITY),
    };
    let price = word(price) as i64;
    let orders = (word(row::TOUCH) >> (TOUCH_ORDERS_BITS * side.index()) & TOUCH_ORDERS_MAX) as u32;
    (price != PRICE_NONE).then(|| Level { price, quantity: word(quantity), orders })
}

#[derive(Debug, Clone, Copy)]
struct DepthPlace {
    /// Of the bids, in the file.
    offset: usize,
    levels: u32,
    /// Bytes from the bids to the asks.
    side: u32,
}

impl DepthPlace {
    #[inline(always)]
    fn side_offset(&self, side: Side) -> usize {
        self.offset + side.index() * self.side as usize
    }
}

/// The one writer of a board.
#[derive(Debug)]
pub struct BoardWriter {
    mapping: Arc<Mapping>,
    layout: Layout,
    places: Vec<DepthPlace>,
}

impl BoardWriter {
    pub(crate) fn new(mapping: Arc<Mapping>, layout: Layout) -> Self {
        BoardWriter { mapping, layout, places: Vec::with_capacity(layout.instruments) }
    }

    /// Opens the next row for an instrument whose levels stand at `depth_at` of the depth area.
    pub(crate) fn append(&mut self, depth_at: usize, levels: u16) {
        let index = self.places.len();
        let side = side_bytes(levels) as u32;
        self.places.push(DepthPlace { offset: self.layout.depth + depth_at, levels: levels.into(), side });
        let mut update = self.update(index);
        for field in [
            row::BID_PRICE,
            row::ASK_PRICE,
            row::LAST_PRICE,
            row::OPEN,
            row::HIGH,
            row::LOW,
            row::CLOSE,
            row::PREVIOUS_CLOSE,
        ] {
            update.set(field, PRICE_NONE as u64);
        }
        update.set(row::OPEN_INTEREST, QUANTITY_NONE);
    }

    /// Rows in use.
    pub fn rows(&self) -> usize {
        self.places.len()
    }

    /// Begins a change of one row; it is whole again when the value returned is dropped.
    ///
    /// # Panics
    /// When there is no such row: rows come from the directory.
    #[inline(always)]
    pub fn update(&mut self, index: usize) -> RowUpdate<'_> {
        let place = self.places[index];
        let words = self.mapping.words(self.layout.board + index * ROW_WORDS * 8, ROW_WORDS);
        let words: &[AtomicU64; ROW_WORDS] = words.try_into().expect("ROW_WORDS were asked for");
        let next = seqlock::write_begin(&words[row::VERSION]);
        RowUpdate { words, mapping: &self.mapping, place, next }
    }

    /// Asks for the line of the row and the best levels of one side of its window, to be written soon. Two lines hold the
    /// five best levels: where most changes are, and where a shift begins.
    #[inline(always)]
    pub fn prefetch(&self, index: usize, side: Side) {
        let Some(place) = self.places.get(index) else { return };
        self.mapping.prefetch_write(self.layout.board + index * ROW_WORDS * 8);
        let start = place.side_offset(side);
        self.mapping.prefetch_write(start);
        self.mapping.prefetch_write(start + 64);
    }
}

/// A row that is being written.
#[derive(Debug)]
pub struct RowUpdate<'b> {
    words: &'b [AtomicU64; ROW_WORDS],
    mapping: &'b Mapping,
    place: DepthPlace,
    next: u64,
}

impl RowUpdate<'_> {
    /// Stores one word of the row (see [`crate::layout::row`]).
    #[inline(always)]
    pub fn set(&mut self, field: usize, value: u64) {
        debug_assert!(field != row::VERSION);
        self.words[field].store(value, Relaxed);
    }

    /// What stands in one word of the row. The writer may read back what it alone writes.
    #[inline(always)]
    pub fn get(&self, field: usize) -> u64 {
        self.words[field].load(Relaxed)
    }

    /// Best level of a side; `None` when it is empty.
    pub fn best(&self, side: Side) -> Option<Level> {
        best_of(side, |field| self.get(field))
    }

    /// Levels per side that the window of this row can hold.
    #[inline(always)]
    pub fn depth_class(&self) -> usize {
        self.place.levels as usize
    }

    /// Levels in the window of one side.
    #[inline(always)]
    pub fn depth_len(&self, side: Side) -> usize {
        touch_levels(self.get(row::TOUCH), side)
    }

    #[inline(always)]
    fn set_depth_len(&mut self, side: Side, len: usize) {
        let shift = TOUCH_LEVELS_SHIFT + 8 * side.index();
        let others = self.get(row::TOUCH) & !(0xff << shift);
        self.set(row::TOUCH, others | (len as u64) << shift);
    }

    #[inline(always)]
    fn cells(&self, side: Side) -> &[AtomicU64] {
        self.mapping.words(self.place.side_offset(side), self.place.levels as usize * LEVEL_WORDS)
    }

    #[inline(always)]
    fn store_level(&self, side: Side, position: usize, level: Level) {
        let cells = &self.cells(side)[position * LEVEL_WORDS..][..LEVEL_WORDS];
        cells[0].store(level.price as u64, Relaxed);
        cells[1].store(level.quantity, Relaxed);
        cells[2].store(level.orders.into(), Relaxed);
    }

    /// Changes quantity and orders of the level at `position`, which must be in the window.
    #[inline(always)]
    pub fn change_level(&mut self, side: Side, position: usize, level: Level) {
        debug_assert!(position < self.depth_len(side));
        self.store_level(side, position, level);
    }

    /// Puts a new level at `position`, which must be inside the class; worse ones move down and the last may leave.
    /// Returns whether one left.
    #[inline(always)]
    pub fn insert_level(&mut self, side: Side, position: usize, level: Level) -> bool {
        let class = self.depth_class();
        let len = self.depth_len(side);
        let leaves = len == class;
        let kept = if leaves { class - 1 } else { len };
        // The levels that move, and the room behind the last of them.
        let moving = &self.cells(side)[position * LEVEL_WORDS..(kept + 1) * LEVEL_WORDS];
        // From the worst to the best, so that each cell is read before it is overwritten.
        for cell in (LEVEL_WORDS..moving.len()).rev() {
            moving[cell].store(moving[cell - LEVEL_WORDS].load(Relaxed), Relaxed);
        }
        self.store_level(side, position, level);
        if !leaves {
            self.set_depth_len(side, len + 1);
        }
        leaves
    }

    /// Takes the level at `position` out; better ones stay, worse ones move up, and `entering` becomes the last when the
    /// book has a level just beyond the window.
    #[inline(always)]
    pub fn remove_level(&mut self, side: Side, position: usize, entering: Option<Level>) {
        let len = self.depth_len(side);
        debug_assert!(position < len);
        let moving = &self.cells(side)[position * LEVEL_WORDS..len * LEVEL_WORDS];
        for cell in LEVEL_WORDS..moving.len() {
            moving[cell - LEVEL_WORDS].store(moving[cell].load(Relaxed), Relaxed);
        }
        match entering {
            Some(level) => self.store_level(side, len - 1, level),
            None => self.set_depth_len(side, len - 1),
        }
    }

    /// The level at `position` of the window.
    #[inline(always)]
    pub fn level(&self, side: Side, position: usize) -> Level {
        let cells = &self.cells(side)[position * LEVEL_WORDS..][..LEVEL_WORDS];
        Level {
            price: cells[0].load(Relaxed) as i64,
            quantity: cells[1].load(Relaxed),
            orders: cells[2].load(Relaxed) as u32,
        }
    }

    /// Empties both sides of the window.
    pub fn clear_depth(&mut self) {
        self.set(row::TOUCH, self.get(row::TOUCH) & ((1 << TOUCH_LEVELS_SHIFT) - 1));
    }

    /// Sets one side of the best quote.
    #[inline(always)]
    pub fn set_quote(&mut self, side: Side, best: Level) {
        let (price, quantity) = match side {
            Side::Bid => (row::BID_PRICE, row::BID_QUANTITY),
            Side::Ask => (row::ASK_PRICE, row::ASK_QUANTITY),
        };
        self.set(price, best.price as u64);
        self.set(quantity, best.quantity);
        let shift = TOUCH_ORDERS_BITS * side.index();
        let others = self.get(row::TOUCH) & !(TOUCH_ORDERS_MAX << shift);
        self.set(row::TOUCH, others | u64::from(best.orders).min(TOUCH_ORDERS_MAX) << shift);
    }

    /// Sets status and the venue's letter for it.
    pub fn set_status(&mut self, status: TradingStatus, letter: u8) {
        let quality = self.get(row::STATUS) & 0xff00;
        self.set(row::STATUS, quality | status as u64 | (letter as u64) << 16);
    }

    /// Sets the quality.
    pub fn set_quality(&mut self, quality: Quality) {
        let others = self.get(row::STATUS) & !0xff00;
        self.set(row::STATUS, others | (quality as u64) << 8);
    }
}

impl Drop for RowUpdate<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        seqlock::write_end(&self.words[row::VERSION], self.next);
    }
}

/// Times a reader tries again when the writer is in the row.
pub const ROW_RETRIES: usize = 64;

/// Why a row could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RowError {
    /// There is no such row.
    #[error("the board has no row {0}")]
    NoSuchRow(usize),
    /// The writer was in the row at each of 64 tries: try again.
    #[error("the row was being written at each of {ROW_RETRIES} tries")]
    Busy,
    /// The row is half written and its writer shows no life: it will never be whole.
    #[error("the row is half written and its writer is dead")]
    WriterDead,
}

/// A copy of one row: reuse it, so that reading does not allocate.
#[derive(Debug, Clone)]
pub struct RowImage {
    words: [u64; ROW_WORDS],
    levels: usize,
    depth: Vec<u64>,
}

impl Default for RowImage {
    fn default() -> Self {
        RowImage { words: [0; ROW_WORDS], levels: 0, depth: Vec::new() }
    }
}

impl RowImage {
    /// One word of the row: see [`crate::layout::row`].
    pub fn word(&self, field: usize) -> u64 {
        self.words[field]
    }
    /// Number in the market ring of the last record that the row reflects.
    pub fn market_n(&self) -> u64 {
        self.words[row::MARKET_N]
    }
    /// Price in a word, or `None` for the sentinel.
    pub fn price(&self, field: usize) -> Option<Price> {
        let price = self.words[field] as i64;
        (price != PRICE_NONE).then_some(price)
    }
    /// Best level of a side; `None` when it is empty.
    pub fn best(&self, side: Side) -> Option<Level> {
        best_of(side, |field| self.words[field])
    }
    /// Levels of the window of a side, best first.
    pub fn window(&self, side: Side) -> impl ExactSizeIterator<Item = Level> + '_ {
        let len = touch_levels(self.words[row::TOUCH], side);
        let start = side.index() * side_bytes(self.levels as u16) / 8;
        self.depth[start..][..len.min(self.levels) * LEVEL_WORDS].chunks_exact(LEVEL_WORDS).map(|cell| Level {
            price: cell[0] as i64,
            quantity: cell[1],
            orders: cell[2] as u32,
        })
    }
    /// Trading status.
    pub fn status(&self) -> TradingStatus {
        TradingStatus::from_code(self.words[row::STATUS] as u8)
    }
    /// Quality.
    pub fn quality(&self) -> Quality {
        Quality::from_code((self.words[row::STATUS] >> 8) as u8)
    }
    /// Sum of price times quantity of the day, 1e-9.
    pub fn turnover(&self) -> u128 {
        u128::from(self.words[row::TURNOVER_LOW]) | u128::from(self.words[row::TURNOVER_HIGH]) << 64
    }
}

/// A reader's view of a board.
#[derive(Debug, Clone)]
pub struct BoardReader {
    mapping: Arc<Mapping>,
    layout: Layout,
    directory: crate::directory::DirectoryReader,
}

impl BoardReader {
    pub(crate) fn new(mapping: Arc<Mapping>, layout: Layout) -> Self {
        let directory = crate::directory::DirectoryReader::new(mapping.clone(), layout);
        BoardReader { mapping, layout, directory }
    }

    /// Copies row `index`. `writer_alive` is asked only when the row stays half written.
    ///
    /// # Errors
    /// See [`RowError`]; `image` holds nothing of use then.
    pub fn read(
        &self,
        index: usize,
        image: &mut RowImage,
        writer_alive: impl FnOnce() -> bool,
    ) -> Result<(), RowError> {
        let (depth_offset, levels) = self.directory.depth_place(index).ok_or(RowError::NoSuchRow(index))?;
        let words = self.mapping.words(self.layout.board + index * ROW_WORDS * 8, ROW_WORDS);
        let depth = self.mapping.words(depth_offset, crate::layout::depth_bytes(levels as u16) / 8);
        image.levels = levels;
        image.depth.resize(depth.len(), 0);
        let version = &words[row::VERSION];
        for _ in 0..ROW_RETRIES {
            if let Some(before) = seqlock::read_begin(version) {
                image.words = std::array::from_fn(|i| words[i].load(Relaxed));
                for (copy, word) in image.depth.iter_mut().zip(depth) {
                    *copy = word.load(Relaxed);
                }
                if seqlock::read_end(version, before) {
                    return Ok(());
                }
            }
            std::hint::spin_loop();
        }
        Err(if version.load(Relaxed) & 1 == 1 && !writer_alive() { RowError::WriterDead } else { RowError::Busy })
    }
}
