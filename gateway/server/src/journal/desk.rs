//! A shard's readings of the journal: what its core wants is read by the pool, and what that gives is put into the
//! shard's inbox.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use gateway_core::replay::{Batch, Failure, ReplayId, Want, What};

use super::JournalConfig;
use super::pool::Pool;
use super::scan::{Kinds, Scan, Slice};
use crate::shard::inbox::Inbox;

/// See the module. Readings that nobody wants any more are dropped with it.
#[derive(Debug)]
pub(crate) struct Desk {
    pool: Pool,
    dir: PathBuf,
    slice: Slice,
    lookback: u64,
    inbox: Inbox,
    readings: HashMap<ReplayId, Arc<Mutex<Scan>>>,
}

impl Desk {
    /// For one shard. `dir` holds a folder for each lane.
    pub(crate) fn new(pool: Pool, dir: PathBuf, config: &JournalConfig, inbox: Inbox) -> Desk {
        let slice = Slice { events: config.batch_events as usize, records: config.slice_records as usize };
        Desk { pool, dir, slice, lookback: config.lookback_numbers.into(), inbox, readings: HashMap::new() }
    }

    /// Does what the core wants.
    pub(crate) fn take(&mut self, want: Want) {
        match want {
            Want::Begin { id, lane, start, what, wanted } => {
                let kinds = match what {
                    What::Trades => Kinds::Trades,
                    What::Quotes => Kinds::WholeQuotes { lookback: self.lookback },
                };
                let scan = Scan::new(self.dir.join(lane), kinds, start, None, wanted);
                self.readings.insert(id, Arc::new(Mutex::new(scan)));
                self.read(id);
            }
            Want::More(id) => self.read(id),
            Want::End(id) => drop(self.readings.remove(&id)),
        }
    }

    fn read(&self, id: ReplayId) {
        let Some(scan) = self.readings.get(&id).map(Arc::downgrade) else { return };
        let (slice, pool) = (self.slice, self.pool.clone());
        let answer = Answer { inbox: self.inbox.clone(), id, batch: Some(Batch::failed(Failure::Busy)) };
        // What is refused is dropped, and says that it was not begun.
        let _ = self.pool.submit(move || {
            // Whole, so that it is told however this ends.
            let mut answer = answer;
            // Nobody wants it any more: it ends here.
            let Some(scan) = scan.upgrade() else { return answer.batch = None };
            answer.batch = Some(Batch::failed(Failure::Unreadable));
            let mut scan = scan.lock().unwrap_or_else(PoisonError::into_inner);
            answer.batch = Some(scan.next(slice, pool.counts()));
        });
    }
}

/// What a reading gave, on its way to the shard: also when it ends in a way that nobody thought of.
struct Answer {
    inbox: Inbox,
    id: ReplayId,
    batch: Option<Batch>,
}

impl Drop for Answer {
    fn drop(&mut self) {
        if let Some(batch) = self.batch.take() {
            self.inbox.replayed(self.id, batch);
        }
    }
}
