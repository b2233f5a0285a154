//! Tick tables: announced before the instruments that name them.

/// Most rows of tick tables, of prices and of quantities together.
pub(super) const TICK_ROWS_LIMIT: usize = 4096;

/// What a table is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Of {
    Prices,
    Quantities,
}

/// From `start` on, values are multiples of `tick`.
#[derive(Debug, Clone, Copy)]
struct Row {
    of: Of,
    table: u32,
    start: u64,
    tick: u64,
}

/// The day's tables, row by row as they came.
#[derive(Debug)]
pub(super) struct TickTables {
    rows: Vec<Row>,
}

impl TickTables {
    /// Room for all rows from the start, unless the dialect has no such tables.
    pub(super) fn new(used: bool) -> TickTables {
        TickTables { rows: Vec::with_capacity(if used { TICK_ROWS_LIMIT } else { 0 }) }
    }

    /// Keeps a row; the same place again replaces it. `false`: there is no room.
    pub(super) fn put(&mut self, of: Of, table: u32, start: u64, tick: u64) -> bool {
        let same = |row: &&mut Row| (row.of, row.table, row.start) == (of, table, start);
        if let Some(row) = self.rows.iter_mut().find(same) {
            row.tick = tick;
            return true;
        }
        if self.rows.len() >= TICK_ROWS_LIMIT {
            return false;
        }
        self.rows.push(Row { of, table, start, tick });
        true
    }

    /// Smallest tick of a table above 0; `None`: the table was not announced.
    pub(super) fn smallest(&self, of: Of, table: u32) -> Option<u64> {
        let rows = self.rows.iter().filter(|row| (row.of, row.table) == (of, table) && row.tick > 0);
        rows.map(|row| row.tick).min()
    }

    /// A new day.
    pub(super) fn clear(&mut self) {
        self.rows.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_tick_of_a_table() {
        let mut ticks = TickTables::new(true);
        for (of, table, start, tick) in [
            (Of::Prices, 1, 0, 10),
            (Of::Prices, 1, 1000, 50),
            (Of::Prices, 2, 0, 5),
            (Of::Quantities, 1, 0, 1),
            (Of::Prices, 1, 0, 20),
            (Of::Prices, 3, 0, 0),
        ] {
            assert!(ticks.put(of, table, start, tick));
        }
        assert_eq!(ticks.smallest(Of::Prices, 1), Some(20), "the last word counts");
        assert_eq!(ticks.smallest(Of::Quantities, 1), Some(1));
        assert_eq!((ticks.smallest(Of::Prices, 3), ticks.smallest(Of::Prices, 9)), (None, None));
        for start in 0..TICK_ROWS_LIMIT as u64 {
            ticks.put(Of::Prices, 7, start, 1);
        }
        assert!(!ticks.put(Of::Prices, 8, 0, 1), "full");
        assert!(ticks.put(Of::Prices, 1, 0, 30), "what is there can still change");
        ticks.clear();
        assert_eq!(ticks.smallest(Of::Prices, 1), None);
    }
}
