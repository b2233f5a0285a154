//! Columns of a batch, by what they hold. "None" is a value on the bus and a null in the file.

use std::sync::Arc;

use arrow_array::types::{
    Int32Type, Int64Type, TimestampNanosecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{ArrayRef, ArrowPrimitiveType, DictionaryArray, PrimitiveArray, StringArray};
use arrow_buffer::{NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::{ArrowError, DataType, TimeUnit};
use parquet::basic::Encoding;
use shm_abi::record::{PRICE_NONE, QUANTITY_NONE};

/// "No symbol".
pub(super) const NO_SYMBOL: i32 = -1;
/// "No letter".
pub(super) const NO_LETTER: u8 = 0;
/// "No id".
pub(super) const NO_ID: u32 = u32::MAX;

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ColumnKind {
    /// Number of a record on its ring; rises.
    Sequence,
    /// Time, ns since the UNIX epoch; 0 is none.
    Time,
    /// 1e-9; [`PRICE_NONE`] is none.
    Price,
    /// [`QUANTITY_NONE`] is none.
    Quantity,
    /// Id of an order or a match; rises, mostly.
    Id64,
    /// Any 64 bits.
    Number64,
    /// The venue's sequence; rises.
    Sequence32,
    /// Any 32 bits.
    Id32,
    /// 32 bits; [`NO_ID`] is none.
    MaybeId32,
    /// 16 bits.
    Number16,
    /// 8 bits.
    Number8,
    /// Flags of the bus.
    Flags,
    /// 0 or 1.
    Truth,
    /// One letter of ASCII; [`NO_LETTER`] is none.
    Letter,
    /// Place in the dictionary; [`NO_SYMBOL`] is none.
    Symbol,
    /// Text.
    Text,
}

impl ColumnKind {
    pub(super) fn data_type(self) -> DataType {
        match self {
            ColumnKind::Sequence | ColumnKind::Quantity | ColumnKind::Id64 | ColumnKind::Number64 => DataType::UInt64,
            ColumnKind::Time => DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into())),
            ColumnKind::Price => DataType::Int64,
            ColumnKind::Sequence32 | ColumnKind::Id32 | ColumnKind::MaybeId32 => DataType::UInt32,
            ColumnKind::Number16 => DataType::UInt16,
            ColumnKind::Number8 | ColumnKind::Flags => DataType::UInt8,
            ColumnKind::Truth => DataType::Boolean,
            ColumnKind::Letter | ColumnKind::Text => DataType::Utf8,
            ColumnKind::Symbol => DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)),
        }
    }

    pub(super) fn is_nullable(self) -> bool {
        use ColumnKind::{Letter, MaybeId32, Price, Quantity, Symbol, Time};
        matches!(self, Time | Price | Quantity | MaybeId32 | Letter | Symbol)
    }

    /// How its values are written, where a dictionary of them is not the best way.
    pub(super) fn encoding(self) -> Option<Encoding> {
        match self {
            // They rise, so that their differences are small; a dictionary would hold each of them once.
            ColumnKind::Sequence | ColumnKind::Sequence32 | ColumnKind::Time | ColumnKind::Id64 => {
                Some(Encoding::DELTA_BINARY_PACKED)
            }
            _ => None,
        }
    }

    /// Whether its least and greatest value in a page tell a query which pages it may pass over.
    pub(super) fn has_range(self) -> bool {
        !matches!(self, ColumnKind::Letter | ColumnKind::Flags | ColumnKind::Truth)
    }
}

/// The values of one column, gathered.
#[derive(Debug)]
pub(super) enum Column {
    Signed(ColumnKind, Vec<i64>),
    Unsigned(ColumnKind, Vec<u64>),
    Number32(ColumnKind, Vec<u32>),
    Number16(Vec<u16>),
    Number8(ColumnKind, Vec<u8>),
    Truth(Vec<bool>),
    Letter(Vec<u8>),
    Symbol(Vec<i32>),
    Text(Vec<String>),
}

impl Column {
    pub(super) fn new(kind: ColumnKind, rows: usize) -> Column {
        match kind {
            ColumnKind::Time | ColumnKind::Price => Column::Signed(kind, Vec::with_capacity(rows)),
            ColumnKind::Sequence | ColumnKind::Quantity | ColumnKind::Id64 | ColumnKind::Number64 => {
                Column::Unsigned(kind, Vec::with_capacity(rows))
            }
            ColumnKind::Sequence32 | ColumnKind::Id32 | ColumnKind::MaybeId32 => {
                Column::Number32(kind, Vec::with_capacity(rows))
            }
            ColumnKind::Number16 => Column::Number16(Vec::with_capacity(rows)),
            ColumnKind::Number8 | ColumnKind::Flags => Column::Number8(kind, Vec::with_capacity(rows)),
            ColumnKind::Truth => Column::Truth(Vec::with_capacity(rows)),
            ColumnKind::Letter => Column::Letter(Vec::with_capacity(rows)),
            ColumnKind::Symbol => Column::Symbol(Vec::with_capacity(rows)),
            // Definitions only: few.
            ColumnKind::Text => Column::Text(Vec::new()),
        }
    }

    /// The values as an array, and an empty column in their place.
    pub(super) fn take(&mut self, symbols: &Arc<StringArray>, rows: usize) -> Result<ArrayRef, ArrowError> {
        Ok(match self {
            Column::Signed(ColumnKind::Time, values) => {
                let times = nullable::<TimestampNanosecondType>(fresh(values, rows), |ns| *ns > 0);
                Arc::new(times.with_timezone("UTC"))
            }
            Column::Signed(_, values) => Arc::new(nullable::<Int64Type>(fresh(values, rows), |p| *p != PRICE_NONE)),
            Column::Unsigned(ColumnKind::Quantity, values) => {
                Arc::new(nullable::<UInt64Type>(fresh(values, rows), |quantity| *quantity != QUANTITY_NONE))
            }
            Column::Unsigned(_, values) => Arc::new(whole::<UInt64Type>(fresh(values, rows))),
            Column::Number32(ColumnKind::MaybeId32, values) => {
                Arc::new(nullable::<UInt32Type>(fresh(values, rows), |id| *id != NO_ID))
            }
            Column::Number32(_, values) => Arc::new(whole::<UInt32Type>(fresh(values, rows))),
            Column::Number16(values) => Arc::new(whole::<UInt16Type>(fresh(values, rows))),
            Column::Number8(_, values) => Arc::new(whole::<UInt8Type>(fresh(values, rows))),
            Column::Truth(values) => Arc::new(arrow_array::BooleanArray::from(fresh(values, rows))),
            Column::Letter(values) => Arc::new(letters(fresh(values, rows))?),
            Column::Symbol(values) => {
                let keys = nullable::<Int32Type>(fresh(values, rows), |place| *place != NO_SYMBOL);
                Arc::new(DictionaryArray::try_new(keys, symbols.clone())?)
            }
            Column::Text(values) => Arc::new(StringArray::from_iter_values(std::mem::take(values))),
        })
    }
}

fn fresh<T>(values: &mut Vec<T>, rows: usize) -> Vec<T> {
    std::mem::replace(values, Vec::with_capacity(rows))
}

fn whole<T: ArrowPrimitiveType>(values: Vec<T::Native>) -> PrimitiveArray<T> {
    PrimitiveArray::new(ScalarBuffer::from(values), None)
}

fn nullable<T: ArrowPrimitiveType>(values: Vec<T::Native>, is_some: impl Fn(&T::Native) -> bool) -> PrimitiveArray<T> {
    let nulls = (!values.iter().all(&is_some)).then(|| values.iter().map(&is_some).collect::<NullBuffer>());
    PrimitiveArray::new(ScalarBuffer::from(values), nulls)
}

/// One string of a letter, or null, for each byte. What is no ASCII becomes a question mark.
fn letters(mut values: Vec<u8>) -> Result<StringArray, ArrowError> {
    let nulls = values.contains(&NO_LETTER).then(|| values.iter().map(|letter| *letter != NO_LETTER).collect());
    values.iter_mut().filter(|letter| !letter.is_ascii()).for_each(|letter| *letter = b'?');
    let offsets = OffsetBuffer::new((0..=values.len() as i32).collect::<Vec<_>>().into());
    StringArray::try_new(offsets, values.into(), nulls)
}
