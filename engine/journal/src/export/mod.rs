//! Tick files out of the recorded bus: DBN for the tools that speak it, Parquet for everything else.
//!
//! An [`Exporter`] takes records (number, and the words of a whole record) and directory instruments, wherever they come
//! from: a journal, a segment, a test. It makes one file of one [`Schema`], in flat memory: what it keeps grows with the
//! instruments only. It writes under a temporary name and takes the file's own name when it is whole.
//!
//! | schema | ring | DBN | rows |
//! |---|---|---|---|
//! | orders | orders | mbo | every add, cancel, modify, fill, trade and clear |
//! | trades | market | trades | every trade |
//! | quotes | market | mbp-1 | best bid and ask after each change of one of them |
//! | definitions | market | definition | every instrument of the directory, once |
//!
//! # What becomes of a record in DBN
//! The bus has DBN's actions already, so that A, C, M, F, T stay what they are and a clear becomes R:
//! `A` -> A; `X` -> C; `D` -> C of the rest; `U` -> C of the rest, A; `E` -> T, F, C; `C` -> T at its print price, F, C,
//! without T when it does not count; `P` -> T. All but the last of a venue event are without LAST. A restart that
//! empties every book is an R for each instrument seen so far.
//!
//! * Sides are those of the book on the bus; DBN's T has that of the aggressor, so it is turned round. A cross, and a
//!   trade against a hidden order, has none (`N`).
//! * `order_id` of T is the venue's match id (trades: DBN has no place for it).
//! * `sequence` is the low half of the venue's. `ts_in_delta` and `channel_id` are 0. `publisher_id` is 0, none of
//!   Databento's, unless another is asked for.
//! * Flags: LAST and SNAPSHOT as they are. MAYBE_BAD_BOOK where the bus says SUSPECT, and after records are missing (a
//!   gap of the venue, a hole of the journal, a beginning in the middle), until the instrument's book begins anew, an image
//!   of it was seen from its beginning to its end, or both sides of its quote were told again.
//! * A quantity that does not fit 32 bits is an error that names the record.
//!
//! DBN cannot carry, and the [`Counts`] say how often: trades that do not count (trades schema; in mbo their fill and
//! cancel go out), broken trades, text, news, status, bands, auctions, index values, anomalies, gaps. Without a place
//! in DBN at all are: publish time and number on the bus, the letter of a cross, receive flags, decimals of quantities
//! in anything but definitions. Parquet has all of the latter as columns, and broken and uncounted trades as rows.
//!
//! # Names
//! Dataset: the venue of the first instrument in capitals and `.TICKLANE` (`NASDAQ.TICKLANE`), cut to 15 characters;
//! [`ExportOptions::dataset`] says another. Symbols: the venue's; one that two venues of a lane share becomes
//! `SYMBOL.VENUE` for all but the first. Ids are the lasting ids of the directory. The mapping of symbols holds for the
//! days, in UTC, that the file covers.
//!
//! # Cut and resumed
//! An export that was cut leaves `FILE.partial`. With [`ExportOptions::resume`], uncompressed DBN goes on behind the last
//! whole record of it: the records are given from the beginning again, those that are there are compared instead of
//! written, and the first that differs is an error. Compressed DBN and Parquet cannot be continued and begin anew.
//!
//! Source: decisions.md 1, 8, 9; Databento Binary Encoding 3.

mod counts;
mod dbn;
mod error;
mod exporter;
mod from_journal;
mod naming;
mod parquet;
mod partial;
mod rows;

pub use counts::Counts;
pub use error::ExportError;
pub use exporter::Exporter;
pub use from_journal::{Feed, FeedError};

use std::str::FromStr;

use shm_abi::segment::RingName;

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Schema {
    /// Every order-level event.
    Orders,
    /// Every trade.
    Trades,
    /// Best bid and ask after each change.
    Quotes,
    /// Every instrument.
    Definitions,
}

impl Schema {
    /// All of them.
    pub const ALL: [Schema; 4] = [Schema::Orders, Schema::Trades, Schema::Quotes, Schema::Definitions];

    /// Lower-case name.
    pub const fn name(self) -> &'static str {
        match self {
            Schema::Orders => "orders",
            Schema::Trades => "trades",
            Schema::Quotes => "quotes",
            Schema::Definitions => "definitions",
        }
    }

    /// The ring whose records it is made of.
    pub const fn ring(self) -> RingName {
        match self {
            Schema::Orders => RingName::Orders,
            Schema::Trades | Schema::Quotes | Schema::Definitions => RingName::Market,
        }
    }
}

impl FromStr for Schema {
    type Err = String;

    fn from_str(name: &str) -> Result<Schema, String> {
        Schema::ALL
            .into_iter()
            .find(|schema| schema.name() == name)
            .ok_or_else(|| format!("schema {name:?}: expected one of orders, trades, quotes, definitions"))
    }
}

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// DBN, version 3.
    Dbn,
    /// The same, compressed with Zstandard.
    DbnZstd,
    /// Parquet, its pages compressed with Zstandard.
    Parquet,
}

impl FromStr for Format {
    type Err = String;

    fn from_str(name: &str) -> Result<Format, String> {
        match name {
            "dbn" => Ok(Format::Dbn),
            "dbn.zst" => Ok(Format::DbnZstd),
            "parquet" => Ok(Format::Parquet),
            _ => Err(format!("format {name:?}: expected one of dbn, dbn.zst, parquet")),
        }
    }
}

/// How to export. Every default is safe to run.
#[derive(Debug, Clone)]
pub struct ExportOptions {
    /// What the file holds.
    pub schema: Schema,
    /// What the file is.
    pub format: Format,
    /// DBN's dataset, ASCII, at most 15 characters; `None`: by the venue.
    pub dataset: Option<String>,
    /// DBN's publisher id; 0 is none of Databento's.
    pub publisher_id: u16,
    /// Go on with what a cut export left, where the format allows it.
    pub resume: bool,
    /// Instruments beyond those known at the beginning for which the head of a DBN file has room; more make it be
    /// written again at the end.
    pub symbol_room: usize,
    /// Rows of a row group of Parquet: what is held in memory until it is written.
    pub row_group_rows: usize,
    /// Zstandard level, 1 to 19.
    pub zstd_level: i32,
    /// Records between two calls of the progress callback.
    pub progress_every: u64,
}

impl ExportOptions {
    /// The defaults for a schema and a format.
    pub fn new(schema: Schema, format: Format) -> ExportOptions {
        ExportOptions {
            schema,
            format,
            dataset: None,
            publisher_id: 0,
            resume: false,
            symbol_room: 64,
            row_group_rows: 1 << 18,
            zstd_level: 3,
            progress_every: 1 << 16,
        }
    }
}
