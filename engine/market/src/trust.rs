//! Whether anything is missing: to this engine's books, and to those of readers.
//!
//! The two differ after a restart: the venue's whole session has brought what an engine before had lost, but readers
//! still lack it. What they lack is counted in the segment ([`LaneCounter::Unrepaired`]), so that it outlives its writer:
//! it rises before the ring says that something is missing, and falls after the ring has made it good. A successor may so
//! repair once too often, and never once too little.

use std::sync::atomic::{Ordering, fence};

use shm_abi::counters::{CounterWriter, LaneCounter};

/// What is known of the books of a feed.
#[derive(Debug)]
pub(crate) struct Trust {
    /// No message is missing to the engine's own books since they were last empty.
    whole: bool,
}

impl Trust {
    /// Empty books lack nothing.
    pub(crate) fn new() -> Trust {
        Trust { whole: true }
    }

    /// Messages are missing. `told`: readers are about to be told. Before the first record that says so is visible.
    pub(crate) fn lose(&mut self, told: bool, counters: &mut CounterWriter) {
        self.whole = false;
        if told {
            counters.add(LaneCounter::Unrepaired, 1);
        }
    }

    /// The books begin anew, or an image shows them whole. `told`: readers were told. After the last record that says so.
    pub(crate) fn mend(&mut self, told: bool, counters: &mut CounterWriter) {
        self.whole = true;
        if told {
            // The stamps of those records are stored before.
            fence(Ordering::Release);
            counters.set(LaneCounter::Unrepaired, 0);
        }
    }

    /// What an engine before has published is rebuilt, and live messages come next. `true`: the books are whole and those
    /// of readers are not, so they are to be published anew.
    pub(crate) fn owes_repair(&mut self, counters: &mut CounterWriter) -> bool {
        let owed = counters.get(LaneCounter::Unrepaired) > 0;
        if !self.whole && !owed {
            // Readers will learn it from the first record of a suspect book.
            self.lose(true, counters);
        }
        self.whole && owed
    }
}
