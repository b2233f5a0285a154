//! Which files go when the journal is too large or too old.

use std::collections::VecDeque;

use super::{Counters, Fault, FaultKind, Now};
use crate::config::JournalConfig;
use crate::recover::Kept;

/// Time between two looks at the files' ages, ns.
const LOOK_INTERVAL_NS: u64 = 1_000_000_000;

/// The files that are not being written, and the one that is being removed.
#[derive(Debug)]
pub(super) struct Retention {
    kept: VecDeque<Kept>,
    next_look_ns: u64,
    /// The oldest is to be removed.
    wanted: bool,
    /// Its removal is under way.
    under_way: bool,
}

impl Retention {
    pub(super) fn new(kept: Vec<Kept>) -> Retention {
        Retention { kept: kept.into(), next_look_ns: 0, wanted: false, under_way: false }
    }

    pub(super) fn kept(&self) -> impl Iterator<Item = &Kept> {
        self.kept.iter()
    }

    /// A file was closed.
    pub(super) fn add(&mut self, kept: Kept) {
        self.kept.push_back(kept);
        self.next_look_ns = 0;
    }

    /// Decides whether the oldest file has to go. One at a time: what stays is always without a gap.
    pub(super) fn look(&mut self, now: Now, config: &JournalConfig, current_bytes: u64) {
        if now.monotonic_ns < self.next_look_ns || self.under_way {
            return;
        }
        self.next_look_ns = now.monotonic_ns + LOOK_INTERVAL_NS;
        let bytes = current_bytes + self.kept.iter().map(|kept| kept.bytes).sum::<u64>();
        let too_old =
            |kept: &Kept| kept.ended_ns.saturating_add(config.retain_age_s.saturating_mul(1_000_000_000)) < now.unix_ns;
        self.wanted = self.kept.front().is_some_and(|oldest| bytes > config.retain_bytes || too_old(oldest));
    }

    pub(super) fn poll(&mut self) -> Option<u64> {
        if !self.wanted {
            return None;
        }
        (self.wanted, self.under_way) = (false, true);
        self.kept.front().map(|oldest| oldest.number)
    }

    pub(super) fn deleted(&mut self, file: u64, result: Result<(), Fault>, counters: &mut Counters) {
        self.under_way = false;
        match result {
            // Somebody else removed it: that is what was wanted.
            Ok(()) | Err(Fault { kind: FaultKind::Missing, .. }) => {
                counters.files_removed += 1;
                self.kept.retain(|kept| kept.number != file);
                // Perhaps the next one has to go, too.
                self.next_look_ns = 0;
            }
            Err(_) => counters.remove_errors += 1,
        }
    }
}
