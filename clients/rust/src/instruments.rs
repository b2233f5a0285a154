//! Symbol and id look-ups over a lane's directory.

use std::collections::HashMap;

use shm_abi::directory::{DirectoryReader, Instrument, Text};
use shm_abi::segment::Segment;

/// What names an instrument in a look-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key<'k> {
    /// The venue's symbol. Where two venues of a lane share one, the first in the directory.
    Symbol(&'k str),
    /// Venue and symbol.
    Venue(&'k str, &'k str),
    /// Lasting id.
    Id(u32),
    /// Row of directory and board, as records of kind `D` give it.
    Row(usize),
}

impl<'k> From<&'k str> for Key<'k> {
    fn from(symbol: &'k str) -> Self {
        Key::Symbol(symbol)
    }
}

impl From<u32> for Key<'_> {
    fn from(id: u32) -> Self {
        Key::Id(id)
    }
}

/// An index over a directory, which only grows: kept up by reading what was appended since.
#[derive(Debug)]
pub struct Instruments {
    directory: DirectoryReader,
    rows: Vec<Instrument>,
    by_symbol: HashMap<Text<32>, usize>,
    by_venue: HashMap<(Text<8>, Text<32>), usize>,
    by_id: HashMap<u32, usize>,
}

impl Instruments {
    /// An index over the directory of `segment`, as it is now.
    pub fn new(segment: &Segment) -> Instruments {
        let mut index = Instruments {
            directory: segment.directory(),
            rows: Vec::new(),
            by_symbol: HashMap::new(),
            by_venue: HashMap::new(),
            by_id: HashMap::new(),
        };
        index.refresh();
        index
    }

    /// Takes in what was appended since; returns how many. One load when there is nothing new.
    pub fn refresh(&mut self) -> usize {
        let known = self.rows.len();
        for row in known..self.directory.count() {
            let Some(instrument) = self.directory.get(row) else { break };
            // The first entry keeps a name: a directory never says the same id or (venue, symbol) twice.
            self.by_symbol.entry(instrument.symbol).or_insert(row);
            self.by_venue.entry((instrument.venue, instrument.symbol)).or_insert(row);
            self.by_id.entry(instrument.instrument_id).or_insert(row);
            self.rows.push(instrument);
        }
        self.rows.len() - known
    }

    /// Instruments taken in.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Row and instrument of a key, among those taken in.
    pub fn get<'k>(&self, key: impl Into<Key<'k>>) -> Option<(usize, &Instrument)> {
        let row = match key.into() {
            Key::Symbol(symbol) => *self.by_symbol.get(&exact(symbol)?)?,
            Key::Venue(venue, symbol) => *self.by_venue.get(&(exact(venue)?, exact(symbol)?))?,
            Key::Id(id) => *self.by_id.get(&id)?,
            Key::Row(row) => row,
        };
        Some((row, self.rows.get(row)?))
    }

    /// Every instrument taken in, with its row, in the order of the directory. All but `provider_code` stays as it is;
    /// that is the code as of when the instrument was taken in.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (usize, &Instrument)> {
        self.rows.iter().enumerate()
    }
}

/// The text as the directory would hold it; `None` when it would be cut, and so match another name.
fn exact<const N: usize>(name: &str) -> Option<Text<N>> {
    let text = Text::new(name.as_bytes());
    (text.as_str() == name).then_some(text)
}
