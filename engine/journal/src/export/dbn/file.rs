//! The bytes of a DBN file: head, buffer, compression, and going on with what an earlier export left.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use super::super::partial::{Partial, read_full};
use super::super::{ExportError, ExportOptions, Format};
use super::head::{Names, PRELUDE, pad, raw_frame, record_bytes};

/// Bytes that are gathered before they are written.
const BUFFER_BYTES: usize = 1 << 20;

/// Largest head that is believed of a partial file.
const HEAD_BYTES_MAX: usize = 1 << 30;

enum Body {
    Plain(File),
    Packed(Box<zstd::stream::write::Encoder<'static, File>>),
}

impl Body {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Body::Plain(file) => file.write_all(bytes),
            Body::Packed(encoder) => encoder.write_all(bytes),
        }
    }
}

/// What an earlier export left and this one must produce again.
struct Left {
    file: File,
    bytes: u64,
}

pub(super) struct DbnFile {
    partial: Partial,
    body: Body,
    /// Bytes of the head, before compression: its room.
    head_bytes: usize,
    record_bytes: usize,
    /// Records not yet written. The newest stays in it until another comes, because its flags may still change.
    buffer: Vec<u8>,
    left: Option<Left>,
    resumed: u64,
    /// Rows compared so far.
    compared: u64,
}

impl DbnFile {
    pub(super) fn open(path: &Path, options: &ExportOptions, names: &Names) -> Result<DbnFile, ExportError> {
        let partial = Partial::new(path);
        let record_bytes = record_bytes(options.schema);
        let mut dbn = match options.format {
            Format::Dbn if options.resume => match partial.left()? {
                Some(file) => return Self::resume(partial, file, record_bytes, names),
                None => Self::empty(Body::Plain(partial.create()?), partial, record_bytes),
            },
            Format::DbnZstd => {
                // The head is a frame of its own, so that it can change when the records are written.
                let encoder = zstd::stream::write::Encoder::new(partial.create()?, options.zstd_level)
                    .map_err(|e| partial.error("compressing it", e))?;
                Self::empty(Body::Packed(Box::new(encoder)), partial, record_bytes)
            }
            Format::Dbn | Format::Parquet => Self::empty(Body::Plain(partial.create()?), partial, record_bytes),
        };
        let mut head = names.encode(None).map_err(|e| ExportError::encode(path, e))?;
        dbn.head_bytes = Names::roomy_len(&head, options.symbol_room);
        pad(&mut head, dbn.head_bytes);
        let written = match &mut dbn.body {
            Body::Plain(file) => file.write_all(&head),
            Body::Packed(encoder) => encoder.get_mut().write_all(&raw_frame(&head)),
        };
        written.map_err(|e| dbn.partial.error("writing its head", e))?;
        Ok(dbn)
    }

    fn empty(body: Body, partial: Partial, record_bytes: usize) -> DbnFile {
        let buffer = Vec::with_capacity(BUFFER_BYTES + record_bytes);
        DbnFile { partial, body, head_bytes: 0, record_bytes, buffer, left: None, resumed: 0, compared: 0 }
    }

    /// Goes on behind the last whole record of a partial file.
    fn resume(partial: Partial, mut file: File, record_bytes: usize, names: &Names) -> Result<DbnFile, ExportError> {
        let reading = |e| partial.error("reading what an earlier export left", e);
        let bytes = file.metadata().map_err(reading)?.len();
        let mut fixed = [0; PRELUDE + 18];
        let have = read_full(&mut file, &mut fixed).map_err(reading)?;
        if have < fixed.len() {
            return Err(partial.differs("length", bytes, format!("at least {}", fixed.len())));
        }
        if fixed[..4] != *b"DBN\x03" {
            return Err(partial.differs("beginning", format!("{:02x?}", &fixed[..4]), "DBN, version 3"));
        }
        let head_bytes = u32::from_le_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]) as usize + PRELUDE;
        if head_bytes as u64 > bytes || head_bytes > HEAD_BYTES_MAX {
            return Err(partial.differs("length of the head", head_bytes, format!("at most the file's {bytes}")));
        }
        let dataset = String::from_utf8_lossy(&fixed[8..24]).trim_end_matches('\0').to_string();
        if dataset != names.dataset {
            return Err(partial.differs("dataset", dataset, &names.dataset));
        }
        let schema = u16::from_le_bytes([fixed[24], fixed[25]]);
        if schema != names.schema as u16 {
            return Err(partial.differs("schema", schema, names.schema as u16));
        }
        let rows = (bytes - head_bytes as u64) / record_bytes as u64;
        let whole = head_bytes as u64 + rows * record_bytes as u64;
        file.set_len(whole).map_err(reading)?;
        // A file of its own, because what is compared is read while what follows is written.
        let mut left = File::open(partial.temporary()).map_err(reading)?;
        left.seek(SeekFrom::Start(head_bytes as u64)).map_err(reading)?;
        file.seek(SeekFrom::End(0)).map_err(reading)?;
        let mut dbn = Self::empty(Body::Plain(file), partial, record_bytes);
        dbn.head_bytes = head_bytes;
        dbn.resumed = rows;
        dbn.left = (rows > 0).then_some(Left { file: left, bytes: rows * record_bytes as u64 });
        Ok(dbn)
    }

    pub(super) fn resumed(&self) -> u64 {
        self.resumed
    }

    /// Takes a record.
    #[inline]
    pub(super) fn push(&mut self, record: &[u8]) -> Result<(), ExportError> {
        debug_assert_eq!(record.len(), self.record_bytes);
        if self.buffer.len() >= BUFFER_BYTES {
            self.flush()?;
        }
        self.buffer.extend_from_slice(record);
        Ok(())
    }

    /// Says of the newest record that it is the last of its event; its flags stand at this byte.
    pub(super) fn mark_last(&mut self, flags_at: usize) {
        if let Some(start) = self.buffer.len().checked_sub(self.record_bytes) {
            self.buffer[start + flags_at] |= dbn::flags::LAST;
        }
    }

    /// Writes what is gathered, or compares it with what is there.
    fn flush(&mut self) -> Result<(), ExportError> {
        let mut written = 0;
        if let Some(left) = &mut self.left {
            let len = self.buffer.len().min(usize::try_from(left.bytes).unwrap_or(usize::MAX));
            let mut there = vec![0; len];
            let reading = |e| self.partial.error("reading what an earlier export left", e);
            left.file.read_exact(&mut there).map_err(reading)?;
            let records = there.chunks_exact(self.record_bytes).zip(self.buffer.chunks_exact(self.record_bytes));
            for (there, now) in records {
                if there != now {
                    let (there, now) = (format!("{there:02x?}"), format!("{now:02x?}"));
                    return Err(self.partial.differs("a record", format!("{there} (row {})", self.compared), now));
                }
                self.compared += 1;
            }
            left.bytes -= len as u64;
            written = len;
            if left.bytes == 0 {
                self.left = None;
            }
        }
        self.body.write_all(&self.buffer[written..]).map_err(|e| self.partial.error("writing records", e))?;
        self.buffer.clear();
        Ok(())
    }

    /// Writes the rest and the head as it now is, and gives the file its name.
    pub(super) fn finish(mut self, names: &Names, range: Option<(u64, u64)>) -> Result<(), ExportError> {
        self.flush()?;
        if let Some(left) = &self.left {
            let rows = self.compared + left.bytes / self.record_bytes as u64;
            return Err(self.partial.differs("number of rows", rows, self.compared));
        }
        let mut head = names.encode(range).map_err(|e| ExportError::encode(self.partial.temporary(), e))?;
        let in_place = pad(&mut head, self.head_bytes);
        let (mut file, head, old) = match self.body {
            Body::Plain(file) => (file, head, self.head_bytes),
            Body::Packed(encoder) => {
                let file = encoder.finish().map_err(|e| self.partial.error("compressing it", e))?;
                (file, raw_frame(&head), raw_frame(&vec![0; self.head_bytes]).len())
            }
        };
        let writing = |e| self.partial.error("writing its head", e);
        if in_place {
            file.seek(SeekFrom::Start(0)).and_then(|_| file.write_all(&head)).map_err(writing)?;
            return self.partial.finish(&file);
        }
        // More instruments than there was room for: once more, behind a longer head.
        let longer = Partial::new(self.partial.temporary());
        let mut copy = longer.create()?;
        copy.write_all(&head).map_err(writing)?;
        file.seek(SeekFrom::Start(old as u64)).map_err(writing)?;
        io::copy(&mut file, &mut copy).map_err(|e| longer.error("copying records", e))?;
        longer.finish(&copy)?;
        self.partial.finish(&copy)
    }
}
