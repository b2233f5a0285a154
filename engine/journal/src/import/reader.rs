//! A DBN file as a sequence of what it says to the bus.

use std::collections::{BTreeSet, HashSet};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use shm_abi::directory::Instrument;
use shm_abi::record::{Head, INSTRUMENT_NONE, StatusCause, TradingStatus, flag, kind, session_code, status_body};
use shm_abi::segment::RingName;
use shm_abi::slot::SLOT_WORDS;

use super::ImportError;
use super::convert::Converter;
use super::fields::Fields;
use super::metadata::{Metadata, read_full};
use crate::damage::Damage;
use crate::{RINGS, ring_index};

/// Bytes of a record's header.
const HEADER: usize = 16;
/// Bytes that are read at once.
const BUFFER_BYTES: usize = 1 << 18;
/// Bytes of a sending time behind a record.
pub(super) const TS_OUT: usize = 8;

/// One thing that a file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Imported {
    /// An instrument. Said before anything about it, once for each id (definitions of one id may come again).
    Instrument(Instrument),
    /// A record of one slot; `span` is 1, and there is no publish delay.
    Record {
        /// Where it belongs.
        ring: RingName,
        /// Its words.
        words: [u64; SLOT_WORDS],
    },
}

/// What records of a schema are on the bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// Records, and trades in both rings.
    Orders,
    /// Records of the market ring.
    Market,
    /// Instruments.
    Instruments,
    /// The schema says it of each record.
    ByRecord,
    /// None: bars, statistics, imbalances, consolidated and sampled quotes.
    None,
}

/// What was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportCounts {
    /// Records of the file.
    pub records: u64,
    /// Records given to the rings, orders first.
    pub given: [u64; 2],
    /// Instruments given.
    pub instruments: u64,
    /// Records that say nothing: action N, and states that were so already.
    pub idle: u64,
    by_action: [u64; 256],
    left_out: [u64; 256],
}

impl ImportCounts {
    fn new() -> ImportCounts {
        ImportCounts { records: 0, given: [0; 2], instruments: 0, idle: 0, by_action: [0; 256], left_out: [0; 256] }
    }

    /// Records of mbo, trades and mbp by their action.
    pub fn action(&self, action: u8) -> u64 {
        self.by_action[usize::from(action)]
    }

    /// Types of record without a meaning on the bus, with their number.
    pub fn left_out(&self) -> impl Iterator<Item = (u8, u64)> + '_ {
        self.left_out.iter().enumerate().filter(|(_, count)| **count > 0).map(|(rtype, count)| (rtype as u8, *count))
    }

    pub(super) fn count_action(&mut self, action: u8) {
        self.by_action[usize::from(action)] += 1;
    }

    pub(super) fn leave_out(&mut self, rtype: u8) {
        self.left_out[usize::from(rtype)] += 1;
    }
}

/// What goes out, with the newest record of each ring held back until it is known whether it ends its event.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    ready: Vec<Imported>,
    held: [Option<[u64; SLOT_WORDS]>; 2],
    given: [u64; 2],
    instruments: u64,
    /// Instruments of which an image comes in, by ring.
    imaging: BTreeSet<(usize, u32)>,
    /// Times of the newest record.
    times: (u64, u64),
}

const FLAGS_SHIFT: u32 = 8;

impl Outbox {
    pub(super) fn put(&mut self, ring: RingName, head: &Head, body: [u64; 3]) {
        let [a, b, c, d] = head.words();
        self.release(ring);
        self.held[ring_index(ring)] = Some([a, b, c, d, body[0], body[1], body[2]]);
    }

    pub(super) fn instrument(&mut self, instrument: Instrument) {
        self.instruments += 1;
        self.ready.push(Imported::Instrument(instrument));
    }

    fn release(&mut self, ring: RingName) {
        if let Some(words) = self.held[ring_index(ring)].take() {
            self.given[ring_index(ring)] += 1;
            self.ready.push(Imported::Record { ring, words });
        }
    }

    /// The event is over.
    pub(super) fn end_event(&mut self) {
        for ring in RINGS {
            if let Some(words) = &mut self.held[ring_index(ring)] {
                words[0] |= u64::from(flag::LAST) << FLAGS_SHIFT;
            }
            self.release(ring);
        }
    }

    /// A record with these times was read.
    pub(super) fn saw(&mut self, head: &Head) {
        self.times = (head.ts_event, head.ts_recv);
    }

    /// An image of the instrument begins: with a clear, which says so on the bus too.
    pub(super) fn begin_image(&mut self, ring: RingName, instrument_id: u32) {
        self.imaging.insert((ring_index(ring), instrument_id));
    }

    /// A record of the instrument is not of an image: where there was one it is over, and the bus says so. `head` is that
    /// of the record that does.
    pub(super) fn end_image(&mut self, ring: RingName, head: &Head) {
        let of_image = |words: &[u64; SLOT_WORDS]| (words[0] >> FLAGS_SHIFT) as u8 & flag::SNAPSHOT != 0;
        if self.held.iter().flatten().any(of_image) {
            self.end_event();
        }
        if self.imaging.remove(&(ring_index(ring), head.instrument_id)) {
            self.put(ring, head, status_body(StatusCause::Session, session_code::IMAGE, [b' '; 8]));
            self.end_event();
        }
    }

    /// The file is over, and with it every image; an event without an end stays without.
    fn end_file(&mut self) {
        let (ts_event, ts_recv) = self.times;
        let of = |instrument_id| Head {
            kind: kind::STATUS,
            flags: flag::SNAPSHOT,
            span: 1,
            side_or_code: TradingStatus::Unknown as u8,
            instrument_id,
            ts_event,
            ts_recv,
            publish_delay_ns: 0,
            venue_sequence_low: 0,
        };
        // Without an instrument it only ends the event of the image's last record.
        self.end_image(RingName::Orders, &of(INSTRUMENT_NONE));
        for (ring, instrument_id) in std::mem::take(&mut self.imaging) {
            self.put(
                RINGS[ring],
                &of(instrument_id),
                status_body(StatusCause::Session, session_code::IMAGE, [b' '; 8]),
            );
            self.end_event();
        }
        RINGS.into_iter().for_each(|ring| self.release(ring));
    }
}

/// Reads a DBN file.
pub struct DbnImport<R> {
    reader: R,
    metadata: Metadata,
    converter: Converter,
    outbox: Outbox,
    counts: ImportCounts,
    /// Byte of the uncompressed file at which the next record begins.
    offset: u64,
    record: Vec<u8>,
    /// Instruments that the head names and no record has named yet.
    named: Vec<Instrument>,
    over: bool,
}

impl DbnImport<Box<dyn Read + Send>> {
    /// Opens a file, compressed with Zstandard or not: its beginning says.
    ///
    /// # Errors
    /// [`ImportError::Io`]; [`ImportError::File`] when the metadata is not right.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, ImportError> {
        let opening = |source| ImportError::Io { doing: "opening the file", source };
        Self::of(File::open(path).map_err(opening)?)
    }

    /// The same for bytes from anywhere.
    ///
    /// # Errors
    /// As [`DbnImport::open`].
    pub fn of(bytes: impl Read + Send + 'static) -> Result<Self, ImportError> {
        Self::new(plain(bytes).map_err(|source| ImportError::Io { doing: "reading the file's beginning", source })?)
    }
}

/// The uncompressed bytes.
fn plain(bytes: impl Read + Send + 'static) -> io::Result<Box<dyn Read + Send>> {
    let mut bytes = BufReader::with_capacity(BUFFER_BYTES, bytes);
    let packed = match bytes.fill_buf()? {
        // A frame, or a skippable one before it.
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => true,
        _ => false,
    };
    if !packed {
        return Ok(Box::new(bytes));
    }
    // Several frames follow one another; a window is at most 128 MiB, zstd's own limit.
    let decoder = zstd::stream::read::Decoder::with_buffer(bytes)?;
    Ok(Box::new(BufReader::with_capacity(BUFFER_BYTES, decoder)))
}

impl<R: Read> DbnImport<R> {
    /// Reads uncompressed bytes.
    ///
    /// # Errors
    /// As [`DbnImport::open`].
    pub fn new(mut reader: R) -> Result<DbnImport<R>, ImportError> {
        let metadata = Metadata::read(&mut reader)?;
        let mut seen = HashSet::new();
        let mut named: Vec<Instrument> = Vec::new();
        // Definitions say more of the same instruments.
        if meaning(metadata.schema) != Meaning::Instruments {
            named.extend(metadata.instruments().filter(|instrument| seen.insert(instrument.instrument_id)));
        }
        let mut import = DbnImport {
            reader,
            converter: Converter::new(&metadata),
            outbox: Outbox::default(),
            counts: ImportCounts::new(),
            offset: metadata.bytes,
            record: Vec::new(),
            named,
            over: false,
            metadata,
        };
        import.named.reverse();
        Ok(import)
    }

    /// The head of the file.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// What the file's records are on the bus, by its schema.
    pub fn meaning(&self) -> Meaning {
        meaning(self.metadata.schema)
    }

    /// Counts so far.
    pub fn counts(&self) -> &ImportCounts {
        &self.counts
    }

    /// Bytes of the uncompressed file that were read.
    pub fn bytes(&self) -> u64 {
        self.offset
    }

    /// What the next record of the file says, which may be nothing; `None` at the end. First come the instruments that
    /// the head names.
    ///
    /// # Errors
    /// [`ImportError::Record`]: the record is passed over, and may be followed by others. [`ImportError::File`] and
    /// [`ImportError::Io`] end the file.
    #[allow(clippy::should_implement_trait, reason = "an iterator cannot lend its items from the reader")]
    pub fn next(&mut self) -> Result<Option<&[Imported]>, ImportError> {
        self.outbox.ready.clear();
        let step = match self.named.pop() {
            Some(instrument) => {
                self.converter.know(instrument.instrument_id);
                self.outbox.instrument(instrument);
                Ok(true)
            }
            None if self.over => Ok(false),
            None => self.step(),
        };
        (self.counts.given, self.counts.instruments) = (self.outbox.given, self.outbox.instruments);
        match step {
            Ok(false) if self.outbox.ready.is_empty() => Ok(None),
            Ok(_) => Ok(Some(&self.outbox.ready)),
            Err(error) => Err(error),
        }
    }

    fn step(&mut self) -> Result<bool, ImportError> {
        // Until a record was read whole, there is none behind it.
        self.over = true;
        let mut header = [0; HEADER];
        let reading = |source| ImportError::Io { doing: "reading a record", source };
        let have = read_full(&mut self.reader, &mut header).map_err(reading)?;
        if have == 0 {
            self.outbox.end_file();
            return Ok(false);
        }
        let at = self.offset;
        let file = ImportError::File;
        Damage::unless_is(at, "bytes of a record's header", have as u64, HEADER as u64).map_err(file)?;
        let len = usize::from(header[0]) * 4;
        Damage::unless_at_least(at, "record length", len as u64, HEADER as u64).map_err(file)?;
        self.record.clear();
        self.record.extend_from_slice(&header);
        self.record.resize(len, 0);
        let have = HEADER + read_full(&mut self.reader, &mut self.record[HEADER..]).map_err(reading)?;
        Damage::unless_is(at, "bytes of a record", have as u64, len as u64).map_err(file)?;
        self.over = false;
        self.offset += len as u64;
        let record = self.counts.records;
        self.counts.records += 1;
        let fields = Fields::new(at, &self.record);
        let converted = self.converter.take(&fields, &mut self.outbox, &mut self.counts);
        converted.map_err(|damage| ImportError::Record { record, damage })?;
        Ok(true)
    }
}

impl<R> std::fmt::Debug for DbnImport<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DbnImport").field("metadata", &self.metadata).field("offset", &self.offset).finish()
    }
}

/// What a schema's records are.
fn meaning(schema: Option<u16>) -> Meaning {
    match schema {
        None => Meaning::ByRecord,
        Some(0) => Meaning::Orders,
        // mbp-1, mbp-10, tbbo, trades, status.
        Some(1..=4 | 11) => Meaning::Market,
        Some(9) => Meaning::Instruments,
        Some(_) => Meaning::None,
    }
}
