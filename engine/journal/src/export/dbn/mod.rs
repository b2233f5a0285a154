//! The DBN file: a head with room, then records.

mod definition;
mod file;
mod head;
mod record;

use std::path::Path;

use shm_abi::directory::Instrument;
use shm_abi::record::{Head, flag};

use super::rows::{Row, Sink, What};
use super::{ExportError, ExportOptions, Schema};
use file::DbnFile;
use head::Names;

/// Writes rows as DBN.
pub(super) struct DbnSink {
    schema: Schema,
    publisher_id: u16,
    names: Names,
    file: DbnFile,
    /// First and last `ts_recv`.
    range: Option<(u64, u64)>,
}

impl DbnSink {
    pub(super) fn create(
        path: &Path,
        options: &ExportOptions,
        instruments: &[Instrument],
    ) -> Result<DbnSink, ExportError> {
        let mut names = Names::new(options, instruments)?;
        instruments.iter().for_each(|instrument| names.add(instrument));
        let file = DbnFile::open(path, options, &names)?;
        Ok(DbnSink { schema: options.schema, publisher_id: options.publisher_id, names, file, range: None })
    }

    pub(super) fn define(&mut self, instrument: &Instrument) {
        self.names.add(instrument);
    }

    /// Rows that an earlier run had written already.
    pub(super) fn resumed(&self) -> u64 {
        self.file.resumed()
    }

    fn saw(&mut self, ts_recv: u64) {
        self.range = Some(match self.range {
            None => (ts_recv, ts_recv),
            Some((first, last)) => (first.min(ts_recv), last.max(ts_recv)),
        });
    }

    /// One definition; `announced` is the head of the record that told of it.
    pub(super) fn definition(&mut self, instrument: &Instrument, announced: &Head) -> Result<(), ExportError> {
        self.saw(announced.ts_recv);
        let symbol = self.names.symbol(instrument.instrument_id);
        let underlying = self.names.symbol(instrument.underlying);
        let message = definition::message(instrument, symbol, underlying, announced, self.publisher_id);
        self.file.push(message.as_ref())
    }

    pub(super) fn finish(self) -> Result<(), ExportError> {
        self.file.finish(&self.names, self.range)
    }
}

impl Sink for DbnSink {
    #[inline]
    fn row(&mut self, row: &Row) -> Result<bool, ExportError> {
        match (self.schema, row.what) {
            (_, What::TradeBreak { .. }) => return Ok(false),
            // It does not count as volume: whoever adds up trades must not see it.
            (_, What::Trade { .. }) if row.head.flags & flag::NOT_PRINTED != 0 => return Ok(false),
            (Schema::Orders, _) => self.file.push(record::order(row, self.publisher_id)?.as_ref())?,
            (Schema::Trades, _) => self.file.push(record::trade(row, self.publisher_id)?.as_ref())?,
            (Schema::Quotes, _) => self.file.push(record::quote(row, self.publisher_id)?.as_ref())?,
            (Schema::Definitions, _) => return Ok(false),
        }
        self.saw(row.head.ts_recv);
        Ok(true)
    }

    fn mark_last(&mut self) {
        self.file.mark_last(match self.schema {
            Schema::Orders => record::ORDER_FLAGS_AT,
            Schema::Trades | Schema::Quotes | Schema::Definitions => record::TRADE_FLAGS_AT,
        });
    }
}
