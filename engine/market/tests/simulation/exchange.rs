//! The exchange: sessions of a small generated order flow, published over time.

use crate::common::flow::{Rng, flow};
use crate::common::slow::{Outcome, Slow};
use crate::schedule::S;

/// A session of the exchange.
#[derive(Debug)]
pub(crate) struct Session {
    /// Ten characters at most.
    pub(crate) name: String,
    pub(crate) messages: Vec<Vec<u8>>,
    /// Messages that exist by now.
    pub(crate) published: u64,
    /// When each message comes to exist, ns.
    due: Vec<u64>,
    /// No message is malformed, refers to an unknown order, or says what no venue would.
    pub(crate) honest: bool,
}

impl Session {
    /// Session number `index` of a run; its messages come to exist between `from` and `until`.
    pub(crate) fn new(rng: &mut Rng, index: usize, from: u64, until: u64) -> Session {
        let seed = rng.next();
        let mut messages = flow(seed, 60 + rng.below(200) as usize);
        let honest = seed.is_multiple_of(4);
        if honest {
            let mut book = Slow::default();
            messages.retain(|message| book.apply(message) == Outcome::Applied);
        }
        // Bursts and pauses: most messages share their moment with others.
        let moments = 1 + rng.below(messages.len() as u64);
        let mut due: Vec<u64> = Vec::with_capacity(messages.len());
        let moments: Vec<u64> = (0..moments).map(|_| from + rng.below(until - from)).collect();
        due.extend((0..messages.len()).map(|_| moments[rng.below(moments.len() as u64) as usize]));
        due.sort_unstable();
        // Something is left to be said when all faults are over.
        *due.last_mut().expect("a flow has messages") = until + S / 2;
        Session { name: format!("SIM{index:07}"), messages, published: 0, due, honest }
    }

    /// Message number `sequence`, from 1.
    pub(crate) fn message(&self, sequence: u64) -> &[u8] {
        &self.messages[sequence as usize - 1]
    }

    /// Messages of the whole session.
    pub(crate) fn len(&self) -> u64 {
        self.messages.len() as u64
    }

    /// Publishes what is due at `now`. Returns when the next message is due, if there is one.
    pub(crate) fn publish(&mut self, now: u64) -> Option<u64> {
        while self.due.get(self.published as usize).is_some_and(|due| *due <= now) {
            self.published += 1;
        }
        self.due.get(self.published as usize).copied()
    }

    /// Nothing after message `last` will ever be published.
    pub(crate) fn truncate(&mut self, last: u64) {
        self.messages.truncate(last as usize);
        self.due.truncate(last as usize);
    }

    /// Whether everything has been published.
    pub(crate) fn is_complete(&self) -> bool {
        self.published == self.len()
    }

    /// The name as the bus keeps it.
    pub(crate) fn bus_name(&self) -> [u8; 16] {
        let mut bytes = [b' '; 16];
        bytes[..self.name.len()].copy_from_slice(self.name.as_bytes());
        bytes
    }
}
