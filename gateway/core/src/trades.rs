//! The newest trades of a lane, in memory of fixed size: for snapshots and REST.

use crate::dialect::Trade;

/// "No trade before it", and "none yet".
const NONE: u64 = u64::MAX;

/// Instruments whose newest trade is known; ids from here on are not kept.
pub const INSTRUMENTS_MAX: usize = 1 << 22;

#[derive(Debug, Clone, Copy)]
struct Kept {
    trade: Trade,
    /// Number of the trade before it of the same instrument.
    before: u64,
    /// The venue has revoked it.
    broken: bool,
}

/// The newest trades of one lane. Each names the one before it of the same instrument, so that a look at one instrument
/// touches no trade of another.
#[derive(Debug)]
pub struct TradeLog {
    kept: Vec<Kept>,
    capacity: usize,
    /// Trades ever pushed: the next one's number; its place is this modulo the capacity.
    pushed: u64,
    /// Number of each instrument's newest trade.
    newest: Vec<u64>,
}

impl TradeLog {
    /// A log of at most `capacity` trades, a power of two. Memory is taken as trades come.
    ///
    /// # Panics
    /// When it is none: limits are checked before.
    pub fn new(capacity: usize) -> TradeLog {
        assert!(capacity.is_power_of_two(), "a log of {capacity} trades");
        TradeLog { kept: Vec::new(), capacity, pushed: 0, newest: Vec::new() }
    }

    /// Forgets everything; keeps its memory.
    pub fn clear(&mut self) {
        self.kept.clear();
        self.pushed = 0;
        self.newest.fill(NONE);
    }

    /// Keeps a trade, in the place of the oldest when the log is full.
    pub fn push(&mut self, instrument_id: u32, trade: Trade) {
        let id = instrument_id as usize;
        if id >= INSTRUMENTS_MAX {
            return;
        }
        if id >= self.newest.len() {
            self.newest.resize(id + 1, NONE);
        }
        let kept = Kept { trade, before: self.newest[id], broken: false };
        match self.kept.get_mut(self.pushed as usize & (self.capacity - 1)) {
            Some(place) => *place = kept,
            None => self.kept.push(kept),
        }
        self.newest[id] = self.pushed;
        self.pushed += 1;
    }

    /// The venue has revoked a trade: it is not shown any more.
    pub fn revoke(&mut self, instrument_id: u32, match_id: u64) {
        let mut number = self.newest_of(instrument_id);
        while let Some(place) = self.place(number) {
            if self.kept[place].trade.match_id == match_id {
                self.kept[place].broken = true;
                return;
            }
            number = self.kept[place].before;
        }
    }

    /// Puts the newest trades of an instrument into `out`, at most `max`, oldest first.
    pub fn recent(&self, instrument_id: u32, max: usize, out: &mut Vec<Trade>) {
        out.clear();
        let mut number = self.newest_of(instrument_id);
        while let Some(place) = self.place(number) {
            if out.len() == max {
                break;
            }
            let kept = &self.kept[place];
            if !kept.broken {
                out.push(kept.trade);
            }
            number = kept.before;
        }
        out.reverse();
    }

    fn newest_of(&self, instrument_id: u32) -> u64 {
        self.newest.get(instrument_id as usize).copied().unwrap_or(NONE)
    }

    /// Where a trade stands; `None` once it was replaced.
    fn place(&self, number: u64) -> Option<usize> {
        let kept = number < self.pushed && self.pushed - number <= self.capacity as u64;
        kept.then(|| number as usize & (self.capacity - 1))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    fn trade(seq: u64) -> Trade {
        Trade { seq, stamps: Default::default(), price: 1, quantity: 1, code: b'B', match_id: seq, flags: 0 }
    }

    fn seqs(log: &TradeLog, id: u32, max: usize) -> Vec<u64> {
        let mut out = vec![trade(99)];
        log.recent(id, max, &mut out);
        out.iter().map(|trade| trade.seq).collect()
    }

    #[test]
    fn oldest_first_at_most_max_and_without_the_broken() {
        let mut log = TradeLog::new(8);
        for seq in 0..5 {
            log.push(7, trade(seq));
        }
        log.push(u32::MAX, trade(5));
        assert_eq!(seqs(&log, 7, 3), [2, 3, 4]);
        log.revoke(7, 3);
        log.revoke(7, 77);
        assert_eq!(seqs(&log, 7, 3), [1, 2, 4]);
        assert_eq!(seqs(&log, 8, 3), [0u64; 0]);
        assert_eq!(seqs(&log, u32::MAX, 3), [0u64; 0], "an id that nobody gives");
        log.clear();
        assert_eq!(seqs(&log, 7, 3), [0u64; 0]);
        log.push(7, trade(9));
        assert_eq!(seqs(&log, 7, 3), [9]);
    }

    proptest! {
        /// Against the obvious log: one queue of everything.
        #[test]
        fn as_the_obvious_log(ids in prop::collection::vec(0u32..4, 0..100), max in 0usize..6) {
            let mut log = TradeLog::new(16);
            let mut obvious = VecDeque::new();
            for (seq, id) in ids.into_iter().enumerate() {
                log.push(id, trade(seq as u64));
                obvious.push_back((id, seq as u64));
                if obvious.len() > 16 {
                    obvious.pop_front();
                }
                let of: Vec<u64> = obvious.iter().filter(|(other, _)| *other == id).map(|(_, seq)| *seq).collect();
                prop_assert_eq!(seqs(&log, id, max), &of[of.len().saturating_sub(max)..]);
            }
        }
    }
}
