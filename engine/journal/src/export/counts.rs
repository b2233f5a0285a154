//! What an export has done so far.

/// Counts of an export. `u8` indices are letters: of actions as the file has them, of kinds as the bus has them.
#[derive(Clone)]
pub struct Counts {
    /// Records taken from the schema's ring.
    pub records: u64,
    /// Rows written; of quotes, those of one event count each.
    pub rows: u64,
    /// Rows found in the partial file of an earlier run, and the same.
    pub resumed_rows: u64,
    /// Gaps of the venue that were declared.
    pub gaps: u64,
    /// Restarts of the engine or of the venue's session.
    pub restarts: u64,
    /// Slots that the source did not have.
    pub lost_slots: u64,
    /// Rows that say that the book may be wrong.
    pub doubtful_rows: u64,
    actions: [u64; 256],
    left_out: [u64; 256],
}

impl Counts {
    pub(super) fn new() -> Counts {
        Counts {
            records: 0,
            rows: 0,
            resumed_rows: 0,
            gaps: 0,
            restarts: 0,
            lost_slots: 0,
            doubtful_rows: 0,
            actions: [0; 256],
            left_out: [0; 256],
        }
    }

    /// Rows of an action.
    pub fn action(&self, action: u8) -> u64 {
        self.actions[usize::from(action)]
    }

    /// Actions that occurred, with their rows.
    pub fn actions(&self) -> impl Iterator<Item = (u8, u64)> + '_ {
        occurring(&self.actions)
    }

    /// Records of a kind that the schema or the format has no place for.
    pub fn left_out(&self, kind: u8) -> u64 {
        self.left_out[usize::from(kind)]
    }

    /// Kinds of which records were left out, with their number.
    pub fn left_out_kinds(&self) -> impl Iterator<Item = (u8, u64)> + '_ {
        occurring(&self.left_out)
    }

    #[inline]
    pub(super) fn row(&mut self, action: u8, doubtful: bool) {
        self.rows += 1;
        self.actions[usize::from(action)] += 1;
        self.doubtful_rows += u64::from(doubtful);
    }

    #[inline]
    pub(super) fn leave_out(&mut self, kind: u8) {
        self.left_out[usize::from(kind)] += 1;
    }
}

fn occurring(counts: &[u64; 256]) -> impl Iterator<Item = (u8, u64)> + '_ {
    counts.iter().enumerate().filter(|(_, count)| **count > 0).map(|(letter, count)| (letter as u8, *count))
}

impl std::fmt::Debug for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let letters = |counts: &[u64; 256]| -> Vec<(char, u64)> {
            occurring(counts).map(|(letter, count)| (char::from(letter), count)).collect()
        };
        f.debug_struct("Counts")
            .field("records", &self.records)
            .field("rows", &self.rows)
            .field("resumed_rows", &self.resumed_rows)
            .field("gaps", &self.gaps)
            .field("restarts", &self.restarts)
            .field("lost_slots", &self.lost_slots)
            .field("doubtful_rows", &self.doubtful_rows)
            .field("actions", &letters(&self.actions))
            .field("left_out", &letters(&self.left_out))
            .finish()
    }
}
