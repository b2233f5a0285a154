//! Where in a table an instrument stands.

use std::collections::HashMap;

/// No place.
const NOWHERE: u32 = u32::MAX;
/// Ids below this are looked up by index.
const DENSE_IDS: usize = 1 << 20;

/// Places by instrument id. The engine gives ids from 0 on; tick files have ids of anybody's making.
#[derive(Debug, Default)]
pub(crate) struct IdIndex {
    dense: Vec<u32>,
    sparse: HashMap<u32, u32>,
}

impl IdIndex {
    /// Puts an id at a place.
    pub(crate) fn set(&mut self, id: u32, place: u32) {
        let at = id as usize;
        if at >= DENSE_IDS {
            self.sparse.insert(id, place);
            return;
        }
        if at >= self.dense.len() {
            self.dense.resize((at + 1).next_power_of_two(), NOWHERE);
        }
        self.dense[at] = place;
    }

    /// Where the id stands.
    #[inline(always)]
    pub(crate) fn get(&self, id: u32) -> Option<usize> {
        let place = match self.dense.get(id as usize) {
            Some(place) => *place,
            None => *self.sparse.get(&id)?,
        };
        (place != NOWHERE).then_some(place as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_any_size_have_one_place_each() {
        let dense_end = DENSE_IDS as u32;
        let ids = [0, 1, 7, 1000, dense_end - 1, dense_end, dense_end + 1, u32::MAX - 1, u32::MAX];
        let mut index = IdIndex::default();
        for (place, id) in ids.into_iter().enumerate() {
            assert_eq!(index.get(id), None, "{id}");
            index.set(id, place as u32);
        }
        assert_eq!(ids.map(|id| index.get(id)), [0, 1, 2, 3, 4, 5, 6, 7, 8].map(Some));
        assert_eq!([2, 999, dense_end - 2, dense_end + 2].map(|id| index.get(id)), [None; 4]);
        index.set(7, 70);
        assert_eq!(index.get(7), Some(70));
    }
}
