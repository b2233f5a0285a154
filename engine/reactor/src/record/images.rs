//! Images of the order books, from which a late reader starts: made by a thread that reads the journal's own files behind
//! the writer, so that whoever drains the rings has nothing to do with it.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use journal::image::{Imager, Part};
use journal::writer::Durable;
use journal::{Journal, JournalConfig, ReadError};
use shm_abi::sys::monotonic_ns;

/// Records between two looks at what else there is to do.
const BUDGET: usize = 65_536;
/// Parts that wait for the writer.
const PARTS: usize = 2;
/// Between two looks when there was nothing.
const PAUSE: Duration = Duration::from_millis(20);

/// A part of an image: the words of its payload.
type Made = (Part, Vec<u64>);

/// What a lane's recorder and the maker of its images share.
#[derive(Debug)]
pub(super) struct Images {
    parts: Receiver<Made>,
    waiting: Option<Made>,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// Every number of the orders ring below this one is on disk.
    until: AtomicU64,
    stop: AtomicBool,
}

impl Images {
    /// Starts the maker for the lane whose journal is in `folder`, as of `epoch`; `None` when there are to be none, or no
    /// thread can be had, which is said.
    pub(super) fn start(
        lane: &str,
        folder: PathBuf,
        epoch: u64,
        words_max: usize,
        config: &JournalConfig,
    ) -> Option<Images> {
        if config.image_interval_s == 0 {
            return None;
        }
        let (sender, parts) = sync_channel(PARTS);
        let shared = Arc::new(Shared::default());
        let (told, config, name) = (shared.clone(), config.clone(), lane.to_owned());
        let make = move || {
            if let Err(error) = follow(&folder, epoch, words_max, &config, &told, &sender) {
                tracing::warn!(lane = name, %error, "no more images of the order books in the journal");
            }
        };
        match std::thread::Builder::new().name(format!("{lane}-images")).spawn(make) {
            Ok(_) => Some(Images { parts, waiting: None, shared }),
            Err(error) => {
                tracing::warn!(lane, %error, "no thread for images of the order books");
                None
            }
        }
    }

    /// The orders ring is on disk below this number.
    pub(super) fn tell(&self, until: u64) {
        // Release store: who sees it finds the blocks in the file. Partner: `follow`.
        self.shared.until.store(until, Ordering::Release);
    }

    /// Gives what was made to `take`, which says `false` when it has no room now.
    pub(super) fn hand_over(&mut self, mut take: impl FnMut(&Part, &[u64]) -> bool) {
        while let Some((part, words)) = self.waiting.take().or_else(|| self.parts.try_recv().ok()) {
            if !take(&part, &words) {
                self.waiting = Some((part, words));
                return;
            }
        }
    }
}

impl Drop for Images {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
    }
}

fn follow(
    folder: &PathBuf,
    epoch: u64,
    words_max: usize,
    config: &JournalConfig,
    shared: &Shared,
    parts: &SyncSender<Made>,
) -> Result<(), ReadError> {
    let mut imager = Imager::new(&Journal::open(folder)?, config, words_max, monotonic_ns())?;
    while !shared.stop.load(Ordering::Relaxed) {
        // Acquire load, partner of `Images::tell`.
        let durable = Durable { epoch, until: shared.until.load(Ordering::Acquire) };
        let take = |part: &Part, words: &[u64]| match parts.try_send((*part, words.to_vec())) {
            Ok(()) => true,
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => false,
        };
        if imager.step(monotonic_ns(), durable, BUDGET, take)? == 0 {
            std::thread::sleep(PAUSE);
        }
    }
    Ok(())
}
