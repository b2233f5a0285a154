//! The exporter: records in, one file out.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use shm_abi::directory::Instrument;
use shm_abi::record::{Body, Head, Record, kind, side};
use shm_abi::segment::RingName;

use super::dbn::DbnSink;
use super::parquet::ParquetSink;
use super::rows::{Row, Rows, Sink};
use super::{Counts, ExportError, ExportOptions, Format, Schema};

enum Output {
    Dbn(Box<DbnSink>),
    Parquet(Box<ParquetSink>),
}

impl Sink for Output {
    #[inline]
    fn row(&mut self, row: &Row) -> Result<bool, ExportError> {
        match self {
            Output::Dbn(sink) => sink.row(row),
            Output::Parquet(sink) => sink.row(row),
        }
    }

    fn mark_last(&mut self) {
        match self {
            Output::Dbn(sink) => sink.mark_last(),
            Output::Parquet(sink) => sink.mark_last(),
        }
    }
}

/// Makes one file of one schema out of records. See the [module](super).
pub struct Exporter {
    schema: Schema,
    rows: Rows,
    output: Output,
    counts: Counts,
    /// Of definitions: what is defined, in the order in which it came.
    defined: Vec<Instrument>,
    ids: HashSet<u32>,
    /// The head of the first record that announced an instrument.
    announced: HashMap<u32, Head>,
    /// Socket time of the first record of any kind.
    first_recv: Option<u64>,
    progress: Option<Box<dyn FnMut(&Counts) + Send>>,
    progress_every: u64,
}

impl Exporter {
    /// Begins a file, which is at `path` once it is finished and replaces what was there. `instruments` are those known
    /// so far, as many as possible; more may come by [`Exporter::define`].
    ///
    /// # Errors
    /// [`ExportError::Io`]; [`ExportError::Option`]; [`ExportError::Resume`] when what a cut export left is of another
    /// kind.
    pub fn create(
        path: impl AsRef<Path>,
        options: &ExportOptions,
        instruments: &[Instrument],
    ) -> Result<Exporter, ExportError> {
        let path = path.as_ref();
        let mut counts = Counts::new();
        if !(1..=19).contains(&options.zstd_level) {
            let seen = options.zstd_level.to_string();
            return Err(ExportError::Option { option: "zstd_level", seen, expected: "1 to 19" });
        }
        let output = match options.format {
            Format::Dbn | Format::DbnZstd => {
                let sink = DbnSink::create(path, options, instruments)?;
                counts.resumed_rows = sink.resumed();
                Output::Dbn(Box::new(sink))
            }
            Format::Parquet => Output::Parquet(Box::new(ParquetSink::create(path, options, instruments)?)),
        };
        let mut exporter = Exporter {
            schema: options.schema,
            rows: Rows::new(options.schema),
            output,
            counts,
            defined: Vec::new(),
            ids: HashSet::new(),
            announced: HashMap::new(),
            first_recv: None,
            progress: None,
            progress_every: options.progress_every.max(1),
        };
        instruments.iter().for_each(|instrument| exporter.define(instrument));
        Ok(exporter)
    }

    /// Calls `progress` each [`ExportOptions::progress_every`] records.
    pub fn on_progress(&mut self, progress: impl FnMut(&Counts) + Send + 'static) {
        self.progress = Some(Box::new(progress));
    }

    /// What the file holds.
    pub fn schema(&self) -> Schema {
        self.schema
    }

    /// The ring whose records it wants; those of the other are passed over.
    pub fn ring(&self) -> RingName {
        self.schema.ring()
    }

    /// Counts so far.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Makes an instrument known. Once is enough; the first of an id counts.
    pub fn define(&mut self, instrument: &Instrument) {
        match &mut self.output {
            Output::Dbn(sink) => sink.define(instrument),
            Output::Parquet(sink) => sink.define(instrument),
        }
        if self.schema == Schema::Definitions && self.ids.insert(instrument.instrument_id) {
            self.defined.push(*instrument);
        }
    }

    /// Slots are missing from the source here; or, with 0, it begins where books are not empty. What is known of them is
    /// doubtful from here on.
    pub fn lost(&mut self, slots: u64) {
        self.counts.lost_slots += slots;
        self.rows.lose();
    }

    /// Takes in a whole record of a ring: its number, and its words as [`Record::new`] reads them.
    ///
    /// # Errors
    /// [`ExportError::Size`], which names the record; [`ExportError::Io`]; [`ExportError::Encode`];
    /// [`ExportError::Resume`] when a resumed export comes to what is not in the partial file. The export is over then.
    #[inline]
    pub fn record(&mut self, ring: RingName, n: u64, words: &[u64]) -> Result<(), ExportError> {
        match Record::new(n, words) {
            Some(record) => self.take(ring, &record),
            None => Ok(()),
        }
    }

    /// The same for a record that is typed already.
    ///
    /// # Errors
    /// As [`Exporter::record`].
    #[inline]
    pub fn take(&mut self, ring: RingName, record: &Record<'_>) -> Result<(), ExportError> {
        if ring != self.schema.ring() {
            return Ok(());
        }
        self.counts.records += 1;
        if self.schema == Schema::Definitions {
            self.announce(record);
        } else {
            self.rows.take(record, &mut self.counts, &mut self.output)?;
        }
        if self.counts.records.is_multiple_of(self.progress_every)
            && let Some(progress) = &mut self.progress
        {
            progress(&self.counts);
        }
        Ok(())
    }

    fn announce(&mut self, record: &Record<'_>) {
        self.first_recv.get_or_insert(record.head.ts_recv);
        if let Body::Instrument { .. } = record.body()
            && self.announced.len() < super::rows::INSTRUMENTS_MAX
        {
            self.announced.entry(record.head.instrument_id).or_insert(record.head);
        }
    }

    /// Writes what is left, puts the file on disk, and gives it its name.
    ///
    /// # Errors
    /// As [`Exporter::record`]; the partial file stays then.
    pub fn finish(mut self) -> Result<Counts, ExportError> {
        if self.schema == Schema::Definitions {
            self.write_definitions()?;
        }
        match self.output {
            Output::Dbn(sink) => sink.finish()?,
            Output::Parquet(sink) => sink.finish()?,
        }
        if let Some(progress) = &mut self.progress {
            progress(&self.counts);
        }
        Ok(self.counts)
    }

    /// Every instrument once, by the time of its announcement. One that was announced before the first record counts as
    /// announced with it.
    fn write_definitions(&mut self) -> Result<(), ExportError> {
        let before = |instrument_id| Head {
            kind: kind::INSTRUMENT,
            flags: 0,
            span: 1,
            side_or_code: side::NONE,
            instrument_id,
            ts_event: 0,
            ts_recv: self.first_recv.unwrap_or(0),
            publish_delay_ns: 0,
            venue_sequence_low: 0,
        };
        let head = |instrument: &Instrument| {
            let id = instrument.instrument_id;
            self.announced.get(&id).copied().unwrap_or_else(|| before(id))
        };
        let mut definitions: Vec<(Head, Instrument)> =
            self.defined.iter().map(|instrument| (head(instrument), *instrument)).collect();
        definitions.sort_by_key(|(head, instrument)| (head.ts_recv, instrument.instrument_id));
        for (head, instrument) in &definitions {
            match &mut self.output {
                Output::Dbn(sink) => sink.definition(instrument, head)?,
                Output::Parquet(sink) => sink.definition(instrument, head)?,
            }
            self.counts.row(b'A', false);
        }
        Ok(())
    }
}

impl std::fmt::Debug for Exporter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Exporter").field("schema", &self.schema).field("counts", &self.counts).finish_non_exhaustive()
    }
}
