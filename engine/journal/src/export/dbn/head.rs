//! The head of a DBN file: metadata with the names of instruments, and room for more.

use std::collections::HashMap;
use std::num::NonZeroU64;

use dbn::encode::dbn::MetadataEncoder;
use dbn::{MappingInterval, Metadata, SType, SymbolMapping};
use shm_abi::directory::Instrument;
use time::{Date, OffsetDateTime};

use super::super::naming::{Symbols, dataset};
use super::super::{ExportError, ExportOptions, Schema};

/// Bytes before the metadata that its length does not count.
pub(super) const PRELUDE: usize = 8;

/// Bytes that one more symbol takes: its name, its mapping of one interval.
const SYMBOL_BYTES: usize = 3 * dbn::SYMBOL_CSTR_LEN + 4 + 8;

/// What the file's instruments are called.
pub(super) struct Names {
    pub(super) dataset: String,
    pub(super) schema: dbn::Schema,
    symbols: Symbols,
    by_id: HashMap<u32, String>,
    /// In the order in which they came.
    ids: Vec<u32>,
}

impl Names {
    pub(super) fn new(options: &ExportOptions, instruments: &[Instrument]) -> Result<Names, ExportError> {
        Ok(Names {
            dataset: dataset(options.dataset.as_deref(), instruments)?,
            schema: schema(options.schema),
            symbols: Symbols::default(),
            by_id: HashMap::new(),
            ids: Vec::new(),
        })
    }

    /// Names an instrument, if it has no name yet.
    pub(super) fn add(&mut self, instrument: &Instrument) {
        let id = instrument.instrument_id;
        if !self.by_id.contains_key(&id) {
            self.by_id.insert(id, self.symbols.name(instrument));
            self.ids.push(id);
        }
    }

    /// The symbol of an id; empty when it has none.
    pub(super) fn symbol(&self, id: u32) -> &str {
        self.by_id.get(&id).map_or("", String::as_str)
    }

    /// The head, for what was received between two times.
    pub(super) fn encode(&self, range: Option<(u64, u64)>) -> Result<Vec<u8>, dbn::Error> {
        let (start, end) = range.unwrap_or((0, 0));
        let first = date(start);
        let behind = date(end).next_day().unwrap_or(Date::MAX);
        let mappings = self.ids.iter().map(|id| SymbolMapping {
            raw_symbol: self.by_id[id].clone(),
            intervals: vec![MappingInterval { start_date: first, end_date: behind, symbol: id.to_string() }],
        });
        let metadata = Metadata {
            version: dbn::DBN_VERSION,
            dataset: self.dataset.clone(),
            schema: Some(self.schema),
            start,
            // Behind the last, as in files of a query.
            end: NonZeroU64::new(end.saturating_add(1)).filter(|_| range.is_some()),
            limit: None,
            stype_in: Some(SType::RawSymbol),
            stype_out: SType::InstrumentId,
            ts_out: false,
            symbol_cstr_len: dbn::SYMBOL_CSTR_LEN,
            layout: None,
            symbols: self.ids.iter().map(|id| self.by_id[id].clone()).collect(),
            partial: Vec::new(),
            not_found: Vec::new(),
            mappings: mappings.collect(),
        };
        let mut bytes = Vec::new();
        MetadataEncoder::new(&mut bytes).encode(&metadata)?;
        Ok(bytes)
    }

    /// Length of a head with room for so many symbols more.
    pub(super) fn roomy_len(head: &[u8], symbols: usize) -> usize {
        (head.len() + symbols * SYMBOL_BYTES).next_multiple_of(8)
    }
}

/// Fills a head up with zeros; readers go by its length. `false`: it is longer already.
pub(super) fn pad(head: &mut Vec<u8>, len: usize) -> bool {
    if head.len() > len {
        return false;
    }
    head.resize(len, 0);
    head[4..PRELUDE].copy_from_slice(&((len - PRELUDE) as u32).to_le_bytes());
    true
}

/// The head as a Zstandard frame of raw blocks, whose length depends on the head's length alone: it can be written anew
/// in place. RFC 8878, 3.1.1.
pub(super) fn raw_frame(head: &[u8]) -> Vec<u8> {
    const BLOCK: usize = 128 << 10;
    // Single segment, content size in 4 bytes, no checksum.
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0xa0];
    frame.extend_from_slice(&(head.len() as u32).to_le_bytes());
    let blocks = head.len().div_ceil(BLOCK);
    for (place, block) in head.chunks(BLOCK).enumerate() {
        let last = u32::from(place + 1 == blocks);
        // Type 0 is raw.
        frame.extend_from_slice(&(last | (block.len() as u32) << 3).to_le_bytes()[..3]);
        frame.extend_from_slice(block);
    }
    frame
}

fn date(ns: u64) -> Date {
    OffsetDateTime::from_unix_timestamp_nanos(ns.into()).map_or(Date::MAX, OffsetDateTime::date)
}

fn schema(schema: Schema) -> dbn::Schema {
    match schema {
        Schema::Orders => dbn::Schema::Mbo,
        Schema::Trades => dbn::Schema::Trades,
        Schema::Quotes => dbn::Schema::Mbp1,
        Schema::Definitions => dbn::Schema::Definition,
    }
}

/// Bytes of one record.
pub(super) fn record_bytes(schema: Schema) -> usize {
    match schema {
        Schema::Orders => size_of::<dbn::MboMsg>(),
        Schema::Trades => size_of::<dbn::TradeMsg>(),
        Schema::Quotes => size_of::<dbn::Mbp1Msg>(),
        Schema::Definitions => size_of::<dbn::InstrumentDefMsg>(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_of_raw_blocks_is_a_frame() {
        for len in [1, 1000, 128 << 10, (128 << 10) + 1, 400_000] {
            let head: Vec<u8> = (0..len).map(|i: usize| (i % 251) as u8).collect();
            let frame = raw_frame(&head);
            assert_eq!(zstd::stream::decode_all(&frame[..]).unwrap(), head, "{len} bytes");
        }
    }
}
