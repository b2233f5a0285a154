//! The directory: append-only instruments. The index of an entry is also its row on the board.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use crate::layout::{DEPTH_CLASSES, DIRECTORY_ENTRY_WORDS, Layout, PROVIDER_TRAITS_BYTES, depth_bytes, entry, live};
use crate::record::{PRICE_NONE, Price, Quantity};
use crate::sync::{Site, fence_acquire, store_release};
use crate::sys::Mapping;

/// What an instrument is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
#[non_exhaustive]
pub enum InstrumentKind {
    /// Of a newer writer.
    Unknown = 0,
    /// Share, fund unit, depositary receipt.
    Equity = 1,
    /// Index value.
    Index = 2,
    /// Future.
    Future = 3,
    /// Option.
    Option = 4,
    /// Bond.
    Bond = 5,
    /// Currency pair.
    Currency = 6,
    /// The venue's own test symbol: not to be displayed.
    Test = 7,
}

impl InstrumentKind {
    /// The kind whose code this is.
    pub const fn from_code(code: u8) -> InstrumentKind {
        match code {
            1 => InstrumentKind::Equity,
            2 => InstrumentKind::Index,
            3 => InstrumentKind::Future,
            4 => InstrumentKind::Option,
            5 => InstrumentKind::Bond,
            6 => InstrumentKind::Currency,
            7 => InstrumentKind::Test,
            _ => InstrumentKind::Unknown,
        }
    }
}

/// Text of at most `N` bytes of ASCII, NUL-padded; read from untrusted bytes it stops at the first byte outside
/// printable ASCII.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Text<const N: usize>([u8; N]);

impl<const N: usize> Text<N> {
    /// Keeps the first `N` bytes up to the first that is not printable ASCII; trailing spaces are cut.
    pub fn new(bytes: &[u8]) -> Self {
        let mut kept = [0; N];
        let len = bytes.iter().take(N).position(|b| !(b' '..=b'~').contains(b)).unwrap_or(bytes.len().min(N));
        let len = bytes[..len].trim_ascii_end().len();
        kept[..len].copy_from_slice(&bytes[..len]);
        Text(kept)
    }
    /// As a string slice.
    pub fn as_str(&self) -> &str {
        let len = self.0.iter().position(|b| *b == 0).unwrap_or(N);
        std::str::from_utf8(&self.0[..len]).expect("only printable ASCII is kept")
    }
    /// The padded bytes.
    pub const fn bytes(&self) -> &[u8; N] {
        &self.0
    }
}

impl<const N: usize> std::fmt::Debug for Text<N> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}
impl<const N: usize> std::fmt::Display for Text<N> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// Where the attributes of an instrument stand in [`Instrument::provider_traits`] when its venue speaks a dialect of
/// X-stream ITCH (DSE, Japannext): each a range of bytes, ASCII, padded with NULs.
pub mod xstream {
    use std::ops::Range;

    /// ISIN.
    pub const ISIN: Range<usize> = 0..12;
    /// Board or group that it trades on.
    pub const BOARD: Range<usize> = 12..20;
    /// Business sector, as the venue cuts it.
    pub const SECTOR: Range<usize> = 20..32;
    /// Class of instrument, as the venue cuts it.
    pub const CLASS: Range<usize> = 32..44;
    /// Currency, ISO code.
    pub const CURRENCY: Range<usize> = 44..47;
    /// Listing type: share category at DSE.
    pub const LISTING_TYPE: Range<usize> = 47..48;
    /// Market type.
    pub const MARKET_TYPE: Range<usize> = 48..49;
    /// How prices are to be read.
    pub const PRICE_TYPE: Range<usize> = 49..50;
    /// Name of the security.
    pub const NAME: Range<usize> = 50..110;
    /// Tells this layout from others: [`MARK_VALUE`] stands here.
    pub const MARK: usize = 111;
    /// See [`MARK`].
    pub const MARK_VALUE: u8 = b'X';
}

/// One tradable thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instrument {
    /// Lasting id: unique over lanes and days, never used again.
    pub instrument_id: u32,
    /// The venue's symbol.
    pub symbol: Text<32>,
    /// Venue.
    pub venue: Text<8>,
    /// What it is.
    pub kind: InstrumentKind,
    /// Decimals that the venue's prices have.
    pub price_decimals: u8,
    /// Decimals of quantities: a quantity is in 10^-this.
    pub quantity_decimals: u8,
    /// `C`, `P`, or 0.
    pub option_side: u8,
    /// Levels per side of its window: one of [`DEPTH_CLASSES`].
    pub depth_class: u16,
    /// Smallest price step, 1e-9; 0: not known.
    pub tick: Price,
    /// Round lot; 0: not known.
    pub lot: Quantity,
    /// Expiry, ns since the UNIX epoch; 0: none.
    pub expiry_ns: u64,
    /// Strike; [`PRICE_NONE`]: none.
    pub strike: Price,
    /// Lasting id of the underlying; `u32::MAX`: none.
    pub underlying: u32,
    /// The provider's index for today.
    pub provider_code: u64,
    /// The provider's attributes: verbatim as its announcement has them, or as [`xstream`] lays them out.
    pub provider_traits: [u8; PROVIDER_TRAITS_BYTES],
}

impl Instrument {
    /// A share of `venue` with nothing else known: the starting point for providers.
    pub fn equity(instrument_id: u32, symbol: &[u8], venue: &[u8]) -> Instrument {
        Instrument {
            instrument_id,
            symbol: Text::new(symbol),
            venue: Text::new(venue),
            kind: InstrumentKind::Equity,
            price_decimals: 4,
            quantity_decimals: 0,
            option_side: 0,
            depth_class: 10,
            tick: 0,
            lot: 0,
            expiry_ns: 0,
            strike: PRICE_NONE,
            underlying: u32::MAX,
            provider_code: 0,
            provider_traits: [0; PROVIDER_TRAITS_BYTES],
        }
    }

    /// The words of a directory entry (see [`entry`]) whose levels stand at `depth_at` of the depth area.
    pub fn words(&self, depth_at: usize) -> [u64; DIRECTORY_ENTRY_WORDS] {
        let mut words = [0; DIRECTORY_ENTRY_WORDS];
        let mut text = |at: usize, bytes: &[u8]| {
            for (i, chunk) in bytes.chunks_exact(8).enumerate() {
                words[at + i] = u64::from_le_bytes(chunk.try_into().expect("chunks of eight"));
            }
        };
        text(entry::SYMBOL, self.symbol.bytes());
        text(entry::VENUE, self.venue.bytes());
        text(entry::PROVIDER_TRAITS, &self.provider_traits);
        words[entry::INSTRUMENT_ID] = self.instrument_id.into();
        words[entry::TRAITS] = u64::from_le_bytes([
            self.kind as u8,
            self.price_decimals,
            self.quantity_decimals,
            self.option_side,
            self.depth_class as u8,
            (self.depth_class >> 8) as u8,
            0,
            0,
        ]);
        words[entry::TICK] = self.tick as u64;
        words[entry::LOT] = self.lot;
        words[entry::DEPTH_AT] = depth_at as u64;
        words[entry::EXPIRY_NS] = self.expiry_ns;
        words[entry::STRIKE] = self.strike as u64;
        words[entry::UNDERLYING] = self.underlying.into();
        words[entry::PROVIDER_CODE] = self.provider_code;
        words
    }

    /// The instrument that a directory entry's words name. Any words give one: unknown codes read as unknown.
    pub fn from_words(words: &[u64; DIRECTORY_ENTRY_WORDS]) -> Instrument {
        fn bytes<const N: usize>(words: &[u64]) -> [u8; N] {
            std::array::from_fn(|i| words[i / 8].to_le_bytes()[i % 8])
        }
        let [kind, price_decimals, quantity_decimals, option_side, class_low, class_high, ..] =
            words[entry::TRAITS].to_le_bytes();
        Instrument {
            instrument_id: words[entry::INSTRUMENT_ID] as u32,
            symbol: Text::new(&bytes::<32>(&words[entry::SYMBOL..])),
            venue: Text::new(&bytes::<8>(&words[entry::VENUE..])),
            kind: InstrumentKind::from_code(kind),
            price_decimals,
            quantity_decimals,
            option_side,
            depth_class: u16::from_le_bytes([class_low, class_high]),
            tick: words[entry::TICK] as i64,
            lot: words[entry::LOT],
            expiry_ns: words[entry::EXPIRY_NS],
            strike: words[entry::STRIKE] as i64,
            underlying: words[entry::UNDERLYING] as u32,
            provider_code: words[entry::PROVIDER_CODE],
            provider_traits: bytes(&words[entry::PROVIDER_TRAITS..]),
        }
    }
}

/// Why an instrument could not be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DirectoryError {
    /// Every row is taken.
    #[error("the directory holds {limit} instruments and is full: raise `instruments` of the lane")]
    Full {
        /// Rows.
        limit: usize,
    },
    /// The depth area has no room for its levels.
    #[error("the depth area of {budget} bytes has {left} left and {need} are needed: raise `depth_bytes` of the lane")]
    DepthBudget {
        /// Bytes in all.
        budget: usize,
        /// Bytes left.
        left: usize,
        /// Bytes needed.
        need: usize,
    },
    /// Not one of [`DEPTH_CLASSES`].
    #[error("depth class {0}: expected one of 0, 5, 10, 20, 50, 200")]
    DepthClass(u16),
}

fn entry_offset(layout: &Layout, index: usize) -> usize {
    layout.directory + index * DIRECTORY_ENTRY_WORDS * 8
}

/// The one writer of a directory.
#[derive(Debug)]
pub struct DirectoryWriter {
    mapping: Arc<Mapping>,
    layout: Layout,
    count: usize,
    depth_used: usize,
}

impl DirectoryWriter {
    pub(crate) fn new(mapping: Arc<Mapping>, layout: Layout) -> Self {
        DirectoryWriter { mapping, layout, count: 0, depth_used: 0 }
    }

    /// Entries so far.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Appends an instrument and returns its row. `open_row` gets the place of its levels in the depth area, and makes
    /// its board row readable before anybody can know of it.
    ///
    /// # Errors
    /// See [`DirectoryError`]; nothing has changed then.
    pub(crate) fn append(
        &mut self,
        instrument: &Instrument,
        open_row: impl FnOnce(usize),
    ) -> Result<usize, DirectoryError> {
        if self.count == self.layout.instruments {
            return Err(DirectoryError::Full { limit: self.layout.instruments });
        }
        if !DEPTH_CLASSES.contains(&instrument.depth_class) {
            return Err(DirectoryError::DepthClass(instrument.depth_class));
        }
        let need = depth_bytes(instrument.depth_class);
        let left = self.layout.depth_bytes - self.depth_used;
        if need > left {
            return Err(DirectoryError::DepthBudget { budget: self.layout.depth_bytes, left, need });
        }
        let (row, depth_at) = (self.count, self.depth_used);
        let words = self.mapping.words(entry_offset(&self.layout, row), DIRECTORY_ENTRY_WORDS);
        for (word, value) in words.iter().zip(instrument.words(depth_at)) {
            word.store(value, Relaxed);
        }
        self.count += 1;
        self.depth_used += need;
        open_row(depth_at);
        // Release store: whoever sees the count sees the entries and rows below it. Partner: CountLoad.
        store_release(self.mapping.word(live::DIRECTORY_COUNT), self.count as u64, Site::CountStore);
        Ok(row)
    }

    /// Sets the provider's index of an entry anew: locates change from day to day.
    pub fn set_provider_code(&mut self, row: usize, code: u64) {
        assert!(row < self.count, "row {row} of {}", self.count);
        self.mapping.word(entry_offset(&self.layout, row) + entry::PROVIDER_CODE * 8).store(code, Relaxed);
    }
}

/// A reader's view of a directory.
#[derive(Debug, Clone)]
pub struct DirectoryReader {
    mapping: Arc<Mapping>,
    layout: Layout,
}

impl DirectoryReader {
    pub(crate) fn new(mapping: Arc<Mapping>, layout: Layout) -> Self {
        DirectoryReader { mapping, layout }
    }

    /// Entries that can be read now. Grows only.
    pub fn count(&self) -> usize {
        let count = self.mapping.word(live::DIRECTORY_COUNT).load(Relaxed);
        // Acquire fence, partner of CountStore.
        fence_acquire(Site::CountLoad);
        usize::try_from(count).unwrap_or(usize::MAX).min(self.layout.instruments)
    }

    fn words(&self, row: usize) -> Option<[u64; DIRECTORY_ENTRY_WORDS]> {
        if row >= self.count() {
            return None;
        }
        let words = self.mapping.words(entry_offset(&self.layout, row), DIRECTORY_ENTRY_WORDS);
        Some(std::array::from_fn(|i| words[i].load(Relaxed)))
    }

    /// The entry of `row`, or `None` beyond the count.
    pub fn get(&self, row: usize) -> Option<Instrument> {
        Some(Instrument::from_words(&self.words(row)?))
    }

    /// Where the levels of `row` stand, as (byte offset in the file, levels per side); `None` when the entry names a
    /// place outside the depth area.
    pub(crate) fn depth_place(&self, row: usize) -> Option<(usize, usize)> {
        let words = self.words(row)?;
        let class = Instrument::from_words(&words).depth_class;
        let at = usize::try_from(words[entry::DEPTH_AT]).ok()?;
        let fits = at.is_multiple_of(64) && at.checked_add(depth_bytes(class))? <= self.layout.depth_bytes;
        // Lazily: an offset that does not fit must not even be added.
        (fits && DEPTH_CLASSES.contains(&class)).then(|| (self.layout.depth + at, class.into()))
    }
}
