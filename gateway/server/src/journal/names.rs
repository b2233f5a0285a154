//! Which instrument of a file is one that is wanted.
//!
//! Ids last as long as the engine keeps its list of them, and no longer: what a file says of its ids goes before what
//! they mean now.

use std::collections::HashMap;

use gateway_core::replay::Wanted;
use shm_abi::directory::Instrument;

/// Places among the wanted, by the ids of the epoch that is being read.
#[derive(Debug)]
pub(super) struct Names {
    wanted: Vec<Wanted>,
    by_id: HashMap<u32, u16>,
    /// Rows of the directory that were looked at.
    seen: usize,
}

impl Names {
    pub(super) fn new(mut wanted: Vec<Wanted>) -> Names {
        // Far above what one command may name.
        wanted.truncate(usize::from(u16::MAX));
        let mut names = Names { wanted, by_id: HashMap::new(), seen: 0 };
        names.forget();
        names
    }

    /// Another epoch: until its files say otherwise, ids are what they are now.
    pub(super) fn forget(&mut self) {
        self.seen = 0;
        self.by_id = self.wanted.iter().zip(0..).map(|(wanted, place)| (wanted.id, place)).collect();
    }

    /// Takes in what the files have said of instruments by now.
    pub(super) fn learn(&mut self, rows: &[Instrument]) {
        if rows.len() < self.seen {
            // The next file says it all again.
            self.seen = 0;
        }
        for row in &rows[self.seen..] {
            let (symbol, venue) = (row.symbol.as_str(), row.venue.as_str());
            let named = self.wanted.iter().position(|wanted| wanted.symbol == symbol && wanted.venue == venue);
            match named {
                Some(place) => {
                    self.by_id.retain(|_, known| usize::from(*known) != place);
                    self.by_id.insert(row.instrument_id, place as u16);
                }
                None => drop(self.by_id.remove(&row.instrument_id)),
            }
        }
        self.seen = rows.len();
    }

    /// Place among the wanted.
    #[inline]
    pub(super) fn place(&self, instrument_id: u32) -> Option<u16> {
        self.by_id.get(&instrument_id).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(id: u32, symbol: &str) -> Wanted {
        Wanted { id, symbol: symbol.into(), venue: "XNAS".into() }
    }

    #[test]
    fn what_the_file_says_goes_before_what_ids_mean_now() {
        let mut names = Names::new(vec![wanted(7, "A"), wanted(8, "B")]);
        assert_eq!([7, 8, 9].map(|id| names.place(id)), [Some(0), Some(1), None], "no directory: as now");
        let row = |id, symbol: &[u8]| Instrument::equity(id, symbol, b"XNAS");
        let rows = [row(9, b"A"), row(7, b"C"), Instrument::equity(5, b"B", b"XNYS")];
        names.learn(&rows[..1]);
        names.learn(&rows);
        assert_eq!([7, 8, 9, 5].map(|id| names.place(id)), [None, Some(1), Some(0), None]);
        names.learn(&rows[..1]);
        assert_eq!(names.place(9), Some(0), "the next file");
        names.forget();
        assert_eq!([7, 8, 9].map(|id| names.place(id)), [Some(0), Some(1), None]);
    }
}
