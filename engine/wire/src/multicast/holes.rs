//! The holes in what has arrived: a bounded table, allocated once.

use std::collections::VecDeque;

use super::sink::GapReason;
use crate::time::Nanos;

/// Where a hole stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HoleState {
    /// Not asked for, or no longer.
    Waiting,
    /// A request for it is on its way.
    Asked,
    /// Given up; declared when everything before it is done.
    Lost(GapReason),
}

/// Messages `first` to `last` that have not arrived although later ones exist.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hole {
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) known_at: Nanos,
    /// When to do the next thing about it.
    pub(super) at: Nanos,
    pub(super) state: HoleState,
    /// Lines that may still bring it: a bit for each.
    pub(super) waiting_for: u8,
    /// Requests since there was progress.
    pub(super) tries: u8,
    /// The server to ask next.
    pub(super) server: u8,
    /// `first` when it was last asked for: if the hole begins later by now, there was progress.
    pub(super) asked_first: u64,
    /// The number after the last one that was asked for then.
    pub(super) asked_end: u64,
}

/// Holes in order. Together with the held messages they make up everything from the next message
/// to hand over to the highest one known.
#[derive(Debug)]
pub(super) struct Holes {
    holes: VecDeque<Hole>,
    limit: usize,
    asked: u32,
}

impl Holes {
    pub(super) fn new(limit: u32) -> Self {
        let limit = limit as usize;
        Self { holes: VecDeque::with_capacity(limit), limit, asked: 0 }
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.holes.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.holes.len() == self.limit
    }

    pub(super) fn len(&self) -> usize {
        self.holes.len()
    }

    /// Holes that a request is on its way for.
    pub(super) fn asked(&self) -> u32 {
        self.asked
    }

    pub(super) fn front(&self) -> Option<&Hole> {
        self.holes.front()
    }

    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &Hole> {
        self.holes.iter()
    }

    /// All holes, to change anything but their ends and their state.
    pub(super) fn iter_mut(&mut self) -> impl DoubleEndedIterator<Item = &mut Hole> {
        self.holes.iter_mut()
    }

    pub(super) fn get_mut(&mut self, index: usize) -> &mut Hole {
        &mut self.holes[index]
    }

    /// Adds a hole behind all others. The caller has made sure that the table is not full.
    pub(super) fn push_back(&mut self, hole: Hole) {
        self.holes.push_back(hole);
    }

    /// Adds a hole before all others. The caller has made sure that the table is not full.
    pub(super) fn push_front(&mut self, hole: Hole) {
        self.holes.push_front(hole);
    }

    /// Removes the first hole up to message `last`, and all of it when `last` lies behind it.
    pub(super) fn cut_front(&mut self, last: u64) {
        match self.holes.front_mut() {
            Some(front) if front.last > last => front.first = front.first.max(last + 1),
            Some(_) => self.remove(0),
            None => {}
        }
    }

    pub(super) fn clear(&mut self) {
        self.holes.clear();
        self.asked = 0;
    }

    pub(super) fn set_state(&mut self, index: usize, state: HoleState) {
        let hole = &mut self.holes[index];
        self.asked -= u32::from(hole.state == HoleState::Asked);
        self.asked += u32::from(state == HoleState::Asked);
        hole.state = state;
    }

    fn remove(&mut self, index: usize) {
        if let Some(hole) = self.holes.remove(index) {
            self.asked -= u32::from(hole.state == HoleState::Asked);
        }
    }

    /// Index of the hole with message `sequence` in it.
    pub(super) fn find(&self, sequence: u64) -> Option<usize> {
        let index = self.holes.partition_point(|hole| hole.last < sequence);
        self.holes.get(index).filter(|hole| hole.first <= sequence).map(|_| index)
    }

    /// Whether [`Self::fill`] has room for what would be left of the hole.
    pub(super) fn can_fill(&self, sequence: u64) -> bool {
        !self.is_full()
            || self.find(sequence).is_none_or(|index| {
                let hole = &self.holes[index];
                hole.first == sequence || hole.last == sequence
            })
    }

    /// Message `sequence` has come. The caller has made sure that it can be taken out.
    pub(super) fn fill(&mut self, sequence: u64) {
        let Some(index) = self.find(sequence) else { return };
        let hole = &mut self.holes[index];
        match (hole.first == sequence, hole.last == sequence) {
            (true, true) => self.remove(index),
            (true, false) => hole.first += 1,
            (false, true) => hole.last -= 1,
            (false, false) => {
                let mut rest = *hole;
                hole.last = sequence - 1;
                rest.first = sequence + 1;
                if rest.state == HoleState::Asked {
                    // The request stays with the part that it named first; the rest is asked for on its own.
                    rest.state = HoleState::Waiting;
                    rest.tries = 0;
                }
                self.holes.insert(index + 1, rest);
            }
        }
    }
}
