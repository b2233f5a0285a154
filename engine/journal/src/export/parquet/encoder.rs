//! Encoding and compressing, on a thread beside the one that makes the rows: they take about as long as all the rest.

use std::fs::File;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use parquet::arrow::ArrowWriter;
use parquet::errors::{ParquetError, Result};
use parquet::file::properties::WriterProperties;

/// Batches that wait to be encoded. With the one at hand and the one that is encoded they bound what is in memory.
const WAITING_BATCHES: usize = 2;

type Writer = ArrowWriter<File>;

/// Writes batches into a file in the order in which they come.
pub(super) struct Encoder {
    batches: Option<SyncSender<RecordBatch>>,
    thread: Option<JoinHandle<Result<Writer>>>,
}

impl Encoder {
    pub(super) fn new(file: File, schema: SchemaRef, properties: WriterProperties) -> Result<Encoder> {
        let mut writer = Writer::try_new(file, schema, Some(properties))?;
        let (batches, waiting) = sync_channel::<RecordBatch>(WAITING_BATCHES);
        let encode = move || {
            waiting.iter().try_for_each(|batch| writer.write(&batch))?;
            Ok(writer)
        };
        let thread = Builder::new().name("encoder".into()).spawn(encode)?;
        Ok(Encoder { batches: Some(batches), thread: Some(thread) })
    }

    /// Hands a batch over; waits while too many are waiting.
    ///
    /// # Errors
    /// What went wrong with this batch or one before it. The encoder is over then.
    pub(super) fn write(&mut self, batch: RecordBatch) -> Result<()> {
        match &self.batches {
            Some(batches) if batches.send(batch).is_ok() => Ok(()),
            // Its thread has ended early, which it does for an error only.
            _ => self.join().and(Err(over())),
        }
    }

    /// Writes the end of the file.
    ///
    /// # Errors
    /// What went wrong with any batch, or with the end.
    pub(super) fn finish(mut self) -> Result<File> {
        self.join()?.into_inner()
    }

    fn join(&mut self) -> Result<Writer> {
        self.batches = None;
        let thread = self.thread.take().ok_or_else(over)?;
        thread.join().unwrap_or_else(|_| Err(ParquetError::General("the encoder's thread has panicked".into())))
    }
}

fn over() -> ParquetError {
    ParquetError::General("the encoder has ended".into())
}

impl Drop for Encoder {
    /// Whoever comes next finds the file at rest.
    fn drop(&mut self) {
        // Nobody is left to be told: the export was given up, or has told already.
        let _ = self.join();
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::Arc;

    use arrow_array::{ArrayRef, UInt64Array};

    use super::*;

    fn batch(from: u64) -> RecordBatch {
        let numbers: ArrayRef = Arc::new(UInt64Array::from_iter_values(from..from + 1000));
        RecordBatch::try_from_iter([("n", numbers)]).unwrap()
    }

    fn encoder(file: File, group: usize) -> Encoder {
        let properties = WriterProperties::builder().set_max_row_group_row_count(Some(group)).build();
        Encoder::new(file, batch(0).schema(), properties).unwrap()
    }

    #[test]
    fn a_full_disk_is_told_of_by_the_encoder_that_met_it() {
        let full = || std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        assert!(full().write_all(b"x").is_err(), "the device is not what it is called");
        let mut writing = encoder(full(), 1000);
        let told = (0..100_000).find_map(|at| writing.write(batch(at * 1000)).err()).expect("it wrote to a full disk");
        assert!(told.to_string().contains("No space left"), "{told}");
        assert!(writing.write(batch(0)).unwrap_err().to_string().contains("has ended"));
        assert!(writing.finish().is_err());
        let mut small = encoder(full(), 1 << 20);
        small.write(batch(0)).unwrap();
        let told = small.finish().expect_err("it wrote to a full disk");
        assert!(told.to_string().contains("No space left"), "{told}");
    }
}
