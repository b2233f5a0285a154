//! The head of a DBN file.

use std::io::Read;

use shm_abi::directory::Instrument;

use super::ImportError;
use crate::damage::Damage;

/// Bytes that the length field counts not.
const PRELUDE: usize = 8;
/// Bytes of the fixed part.
const FIXED: usize = 100;
/// Longest metadata that is read: room for 150,000 symbols.
const METADATA_BYTES_MAX: u64 = 32 << 20;
/// Width of a symbol in version 1, whose head does not say it; no later one has less.
const SYMBOL_BYTES_V1: usize = 22;
/// Widest symbol that makes sense.
const SYMBOL_BYTES_MAX: u64 = 1024;
/// The schema of files that hold records of several.
const SCHEMA_MIXED: u16 = u16::MAX;

/// How a file names instruments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stype {
    /// By number.
    InstrumentId,
    /// By the venue's symbol.
    RawSymbol,
    /// By something else, or in several ways.
    Other(u8),
}

impl Stype {
    fn from_code(code: u8) -> Stype {
        match code {
            0 => Stype::InstrumentId,
            1 => Stype::RawSymbol,
            other => Stype::Other(other),
        }
    }
}

/// What a name meant for some days.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    /// Name, as asked for.
    pub name: String,
    /// First day, yyyymmdd in UTC.
    pub start: u32,
    /// The day behind the last, yyyymmdd.
    pub end: u32,
    /// What it meant.
    pub means: String,
}

/// The head of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    /// 1 to 3.
    pub version: u8,
    /// Where the data is from.
    pub dataset: String,
    /// DBN's number of the schema; `None`: records of several.
    pub schema: Option<u16>,
    /// First time that was asked for, ns since the UNIX epoch.
    pub start: u64,
    /// The time behind the last; `u64::MAX`: not said.
    pub end: u64,
    /// How names were given.
    pub stype_in: Stype,
    /// What they were resolved to.
    pub stype_out: Stype,
    /// Each record has 8 bytes more, the time at which it was sent.
    pub ts_out: bool,
    /// What names meant, by day.
    pub mappings: Vec<Mapping>,
    /// Bytes up to the first record.
    pub bytes: u64,
}

impl Metadata {
    /// Reads the head, up to the first record and not by where its fields end: writers fill it up with zeros.
    pub(super) fn read(reader: &mut impl Read) -> Result<Metadata, ImportError> {
        let mut prelude = [0; PRELUDE];
        let reading = |source| ImportError::Io { doing: "reading the metadata", source };
        let have = read_full(reader, &mut prelude).map_err(reading)?;
        let file = ImportError::File;
        Damage::unless_at_least(0, "file length", have as u64, PRELUDE as u64).map_err(file)?;
        let word = u32::from_le_bytes([prelude[0], prelude[1], prelude[2], 0]);
        Damage::unless_is(0, "magic", word.into(), 0x4e_4244).map_err(file)?;
        let version = prelude[3];
        if !(1..=3).contains(&version) {
            return Err(file(Damage::rule(3, "version", version.into(), "1, 2 or 3")));
        }
        let length = u32::from_le_bytes([prelude[4], prelude[5], prelude[6], prelude[7]]);
        Damage::unless_at_least(4, "metadata length", length.into(), FIXED as u64).map_err(file)?;
        Damage::unless_at_most(4, "metadata length", length.into(), METADATA_BYTES_MAX).map_err(file)?;
        // Grows with what is there, not with what the length claims.
        let mut bytes = Vec::new();
        reader.take(length.into()).read_to_end(&mut bytes).map_err(reading)?;
        Damage::unless_is(4, "metadata length", length.into(), bytes.len() as u64).map_err(file)?;
        Cursor { bytes: &bytes, at: 0 }.metadata(version).map_err(file)
    }

    /// The instruments that the mappings name: symbol, id, and the beginning of the dataset's name as the venue.
    pub fn instruments(&self) -> impl Iterator<Item = Instrument> + '_ {
        let by_name = match (self.stype_in, self.stype_out) {
            (_, Stype::InstrumentId) => Some(false),
            (Stype::InstrumentId, _) => Some(true),
            _ => None,
        };
        self.mappings.iter().filter_map(move |mapping| {
            let (id, symbol) = match by_name? {
                false => (&mapping.means, &mapping.name),
                true => (&mapping.name, &mapping.means),
            };
            let id = id.parse().ok().filter(|id| *id != shm_abi::record::INSTRUMENT_NONE)?;
            Some(self.instrument(id, symbol.as_bytes()))
        })
    }

    /// An instrument of which nothing but the name is known.
    pub(super) fn instrument(&self, id: u32, symbol: &[u8]) -> Instrument {
        let venue = self.dataset.split('.').next().unwrap_or_default();
        let kind = shm_abi::directory::InstrumentKind::Unknown;
        Instrument { kind, price_decimals: 9, ..Instrument::equity(id, symbol, venue.as_bytes()) }
    }
}

/// Walks over the metadata behind the prelude.
struct Cursor<'m> {
    bytes: &'m [u8],
    at: usize,
}

impl<'m> Cursor<'m> {
    fn offset(&self) -> u64 {
        (self.at + PRELUDE) as u64
    }

    fn take(&mut self, field: &'static str, len: usize) -> Result<&'m [u8], Damage> {
        let left = self.bytes.len() - self.at;
        Damage::unless_at_most(self.offset(), field, len as u64, left as u64)?;
        let taken = &self.bytes[self.at..self.at + len];
        self.at += len;
        Ok(taken)
    }

    fn u8(&mut self, field: &'static str) -> Result<u8, Damage> {
        Ok(self.take(field, 1)?[0])
    }
    fn u16(&mut self, field: &'static str) -> Result<u16, Damage> {
        Ok(u16::from_le_bytes(self.take(field, 2)?.try_into().expect("two bytes")))
    }
    fn u32(&mut self, field: &'static str) -> Result<u32, Damage> {
        Ok(u32::from_le_bytes(self.take(field, 4)?.try_into().expect("four bytes")))
    }
    fn u64(&mut self, field: &'static str) -> Result<u64, Damage> {
        Ok(u64::from_le_bytes(self.take(field, 8)?.try_into().expect("eight bytes")))
    }
    fn text(&mut self, field: &'static str, len: usize) -> Result<String, Damage> {
        let bytes = self.take(field, len)?;
        let text = bytes.split(|byte| *byte == 0).next().unwrap_or(&[]);
        Ok(String::from_utf8_lossy(text).into_owned())
    }

    /// A number of things of at least so many bytes each: no more than there are bytes for.
    fn count(&mut self, field: &'static str, bytes_each: usize) -> Result<u32, Damage> {
        let at = self.offset();
        let count = self.u32(field)?;
        let left = self.bytes.len() - self.at;
        Damage::unless_at_most(at, field, count.into(), (left / bytes_each.max(1)) as u64)?;
        Ok(count)
    }

    fn metadata(mut self, version: u8) -> Result<Metadata, Damage> {
        let dataset = self.text("dataset", 16)?;
        let schema = self.u16("schema")?;
        let (start, end) = (self.u64("start")?, self.u64("end")?);
        self.u64("limit")?;
        if version == 1 {
            self.u64("record count")?;
        }
        let (stype_in, stype_out) = (self.u8("stype_in")?, self.u8("stype_out")?);
        let ts_out = self.u8("ts_out")?;
        let width = if version == 1 {
            SYMBOL_BYTES_V1
        } else {
            let at = self.offset();
            let width = self.u16("symbol width")?;
            Damage::unless_at_least(at, "symbol width", width.into(), SYMBOL_BYTES_V1 as u64)?;
            Damage::unless_at_most(at, "symbol width", width.into(), SYMBOL_BYTES_MAX)?;
            width.into()
        };
        self.take("reserved", FIXED.saturating_sub(self.at))?;
        let definition = self.count("schema definition length", 1)?;
        self.take("schema definition", definition as usize)?;
        for field in ["symbols", "partial", "not found"] {
            let count = self.count(field, width)?;
            self.take(field, count as usize * width)?;
        }
        let mappings = self.mappings(width)?;
        Ok(Metadata {
            version,
            dataset,
            schema: (schema != SCHEMA_MIXED).then_some(schema),
            start,
            end,
            stype_in: Stype::from_code(stype_in),
            stype_out: Stype::from_code(stype_out),
            ts_out: ts_out != 0,
            mappings,
            bytes: (self.bytes.len() + PRELUDE) as u64,
        })
    }

    fn mappings(&mut self, width: usize) -> Result<Vec<Mapping>, Damage> {
        let mut mappings = Vec::new();
        for _ in 0..self.count("mappings", width + 4)? {
            let name = self.text("mapping", width)?;
            for _ in 0..self.count("intervals", width + 8)? {
                let (start, end) = (self.u32("start of interval")?, self.u32("end of interval")?);
                let means = self.text("symbol of interval", width)?;
                mappings.push(Mapping { name: name.clone(), start, end, means });
            }
        }
        Ok(mappings)
    }
}

/// Reads as much as there is, up to the buffer's length.
pub(super) fn read_full(reader: &mut impl Read, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut have = 0;
    while have < buffer.len() {
        match reader.read(&mut buffer[have..]) {
            Ok(0) => break,
            Ok(n) => have += n,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(have)
}
