//! The Parquet file: typed columns, in row groups of bounded size.

mod columns;
mod encoder;
mod tables;

use std::path::Path;
use std::sync::Arc;

use arrow_array::{RecordBatch, StringArray};
use arrow_schema::SchemaRef;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use shm_abi::directory::Instrument;
use shm_abi::record::{Head, flag};

use super::naming::{Symbols, dataset};
use super::partial::Partial;
use super::rows::{Row, Sink};
use super::{ExportError, ExportOptions, Schema};
use crate::ids::IdIndex;
use columns::{Column, ColumnKind, NO_SYMBOL};
use encoder::Encoder;

/// Rows that are handed to the encoder at once.
const BATCH_ROWS: usize = 1 << 14;

/// Writes rows as Parquet.
pub(super) struct ParquetSink {
    schema: Schema,
    partial: Partial,
    arrow: SchemaRef,
    encoder: Encoder,
    columns: Vec<Column>,
    rows: usize,
    names: Symbols,
    /// Place of an instrument's symbol in `symbols`.
    places: IdIndex,
    symbols: Vec<String>,
    /// The same as a column's dictionary; `None` when symbols came since.
    dictionary: Option<Arc<StringArray>>,
}

impl ParquetSink {
    pub(super) fn create(
        path: &Path,
        options: &ExportOptions,
        instruments: &[Instrument],
    ) -> Result<ParquetSink, ExportError> {
        let partial = Partial::new(path);
        let specs = tables::columns(options.schema);
        let arrow: SchemaRef = Arc::new(tables::arrow_schema(specs));
        let level = ZstdLevel::try_new(options.zstd_level).map_err(|e| ExportError::encode(path, e))?;
        let about = |key: &str, value: String| KeyValue::new(format!("ticklane.{key}"), value);
        let mut properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(level))
            .set_max_row_group_row_count(Some(options.row_group_rows.max(1)))
            .set_key_value_metadata(Some(vec![
                about("schema", options.schema.name().into()),
                about("dataset", dataset(options.dataset.as_deref(), instruments)?),
            ]));
        for spec in specs {
            let column = || ColumnPath::from(spec.name);
            if let Some(encoding) = spec.kind.encoding() {
                properties =
                    properties.set_column_dictionary_enabled(column(), false).set_column_encoding(column(), encoding);
            }
            if !spec.kind.has_range() {
                properties = properties.set_column_statistics_enabled(column(), EnabledStatistics::None);
            }
        }
        let encoder = Encoder::new(partial.create()?, arrow.clone(), properties.build());
        let mut sink = ParquetSink {
            schema: options.schema,
            encoder: encoder.map_err(|e| ExportError::encode(path, e))?,
            partial,
            arrow,
            columns: specs.iter().map(|spec| Column::new(spec.kind, BATCH_ROWS)).collect(),
            rows: 0,
            names: Symbols::default(),
            places: IdIndex::default(),
            symbols: Vec::new(),
            dictionary: None,
        };
        instruments.iter().for_each(|instrument| sink.define(instrument));
        Ok(sink)
    }

    pub(super) fn define(&mut self, instrument: &Instrument) {
        let id = instrument.instrument_id;
        if self.places.get(id).is_none() {
            self.places.set(id, self.symbols.len() as u32);
            self.symbols.push(self.names.name(instrument));
            self.dictionary = None;
        }
    }

    fn place(&self, id: u32) -> i32 {
        self.places.get(id).map_or(NO_SYMBOL, |place| place as i32)
    }

    pub(super) fn definition(&mut self, instrument: &Instrument, announced: &Head) -> Result<(), ExportError> {
        self.make_room()?;
        let places = [self.place(instrument.instrument_id), self.place(instrument.underlying)];
        tables::definition(&mut self.columns, instrument, announced, places);
        self.rows += 1;
        Ok(())
    }

    /// Hands a full batch on. The newest row stays at hand until another comes, because its flags may still change.
    #[inline]
    fn make_room(&mut self) -> Result<(), ExportError> {
        if self.rows >= BATCH_ROWS { self.hand_on() } else { Ok(()) }
    }

    fn hand_on(&mut self) -> Result<(), ExportError> {
        let symbols = &self.symbols;
        let dictionary = self.dictionary.get_or_insert_with(|| Arc::new(StringArray::from_iter_values(symbols)));
        let arrays =
            self.columns.iter_mut().map(|column| column.take(dictionary, BATCH_ROWS)).collect::<Result<_, _>>();
        let failed = |e: &dyn std::fmt::Display| ExportError::encode(self.partial.temporary(), e);
        let batch = arrays.and_then(|arrays| RecordBatch::try_new(self.arrow.clone(), arrays));
        let batch = batch.map_err(|e| failed(&e))?;
        self.rows = 0;
        self.encoder.write(batch).map_err(|e| failed(&e))
    }

    pub(super) fn finish(mut self) -> Result<(), ExportError> {
        self.hand_on()?;
        let file = self.encoder.finish().map_err(|e| ExportError::encode(self.partial.temporary(), e))?;
        self.partial.finish(&file)
    }
}

impl Sink for ParquetSink {
    #[inline]
    fn row(&mut self, row: &Row) -> Result<bool, ExportError> {
        self.make_room()?;
        let place = self.place(row.head.instrument_id);
        tables::row(self.schema, &mut self.columns, row, place);
        self.rows += 1;
        Ok(true)
    }

    fn mark_last(&mut self) {
        let flags = self.columns.iter_mut().find_map(|column| match column {
            Column::Number8(ColumnKind::Flags, values) => values.last_mut(),
            _ => None,
        });
        if let Some(flags) = flags {
            *flags |= flag::LAST;
        }
    }
}
