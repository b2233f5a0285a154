//! Threads that may wait for a disk. Their number and what may wait for them are bounded.

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

/// Something to be done by a thread that may wait.
type Task = Box<dyn FnOnce() + Send>;

/// What the readers of the journal have done. All but `running` only rise.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// Requests taken.
    pub(crate) requests: AtomicU64,
    /// Requests refused because too many waited.
    pub(crate) refused: AtomicU64,
    /// Requests that a thread works at now.
    pub(crate) running: AtomicU64,
    /// Records looked at.
    pub(crate) records: AtomicU64,
    /// Holes met, those left out that only say that there was nothing.
    pub(crate) holes: AtomicU64,
    /// Quotes of which a reading did not learn what they were where it begins.
    pub(crate) unknown: AtomicU64,
    /// Times that the journal could not be read.
    pub(crate) errors: AtomicU64,
}

#[derive(Default)]
struct Waiting {
    tasks: VecDeque<Task>,
    stopped: bool,
}

struct Shared {
    waiting: Mutex<Waiting>,
    came: Condvar,
    most: usize,
    counts: Counts,
}

/// The threads. Cheap to clone; they end with the last clone.
#[derive(Clone)]
pub(crate) struct Pool(Arc<Threads>);

struct Threads {
    shared: Arc<Shared>,
    handles: Vec<JoinHandle<()>>,
}

/// Too many requests wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full;

impl Pool {
    /// Starts the threads. `most` requests may wait for them.
    ///
    /// # Errors
    /// Whatever starting a thread says.
    pub(crate) fn start(threads: u32, most: u32) -> io::Result<Pool> {
        let shared = Arc::new(Shared {
            waiting: Mutex::default(),
            came: Condvar::new(),
            most: most as usize,
            counts: Counts::default(),
        });
        let mut handles = Vec::new();
        for index in 0..threads {
            let shared = Arc::clone(&shared);
            handles.push(thread::Builder::new().name(format!("journal-{index}")).spawn(move || shared.work())?);
        }
        Ok(Pool(Arc::new(Threads { shared, handles })))
    }

    /// Has something done.
    ///
    /// # Errors
    /// [`Full`]: nothing of it will be done.
    pub(crate) fn submit(&self, task: impl FnOnce() + Send + 'static) -> Result<(), Full> {
        let shared = &self.0.shared;
        let mut waiting = shared.lock();
        if waiting.tasks.len() >= shared.most {
            shared.counts.refused.fetch_add(1, Relaxed);
            return Err(Full);
        }
        waiting.tasks.push_back(Box::new(task));
        drop(waiting);
        shared.counts.requests.fetch_add(1, Relaxed);
        shared.came.notify_one();
        Ok(())
    }

    /// What was done.
    pub(crate) fn counts(&self) -> &Counts {
        &self.0.shared.counts
    }

    /// Requests that wait now.
    pub(crate) fn waiting(&self) -> u64 {
        self.0.shared.lock().tasks.len() as u64
    }
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool").field("threads", &self.0.handles.len()).field("waiting", &self.waiting()).finish()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        while let Some(task) = self.next() {
            self.counts.running.fetch_add(1, Relaxed);
            // A bug in one reading must not take the others' thread away; who waits for its answer sees it dropped.
            if catch_unwind(AssertUnwindSafe(task)).is_err() {
                tracing::error!("a reading of the journal has panicked");
            }
            self.counts.running.fetch_sub(1, Relaxed);
        }
    }

    fn next(&self) -> Option<Task> {
        let mut waiting = self.lock();
        loop {
            if waiting.stopped {
                return None;
            }
            if let Some(task) = waiting.tasks.pop_front() {
                return Some(task);
            }
            waiting = self.came.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        let left = {
            let mut waiting = self.shared.lock();
            waiting.stopped = true;
            std::mem::take(&mut waiting.tasks)
        };
        drop(left);
        self.shared.came.notify_all();
        let here = thread::current().id();
        for handle in self.handles.drain(..) {
            // The last clone may have stood in a task: a thread cannot wait for itself.
            if handle.thread().id() != here {
                let _ = handle.join();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn what_waits_is_bounded_and_a_panic_takes_no_thread() {
        let pool = Pool::start(1, 2).unwrap();
        let (free, held) = channel::<()>();
        let (began, has_begun) = channel();
        pool.submit(move || {
            began.send(()).unwrap();
            let _ = held.recv();
            panic!("as if there were a bug");
        })
        .unwrap();
        has_begun.recv().unwrap();
        let (done, is_done) = channel();
        let again = done.clone();
        assert_eq!(pool.submit(move || done.send(1).unwrap()), Ok(()));
        assert_eq!(pool.submit(move || again.send(2).unwrap()), Ok(()));
        assert_eq!(pool.submit(|| unreachable!("it was refused")), Err(Full));
        assert_eq!((pool.waiting(), pool.counts().running.load(Relaxed)), (2, 1));
        free.send(()).unwrap();
        assert_eq!([is_done.recv(), is_done.recv()], [Ok(1), Ok(2)]);
        let counts = pool.counts();
        assert_eq!((counts.requests.load(Relaxed), counts.refused.load(Relaxed)), (3, 1));
    }

    #[test]
    fn it_ends_with_its_last_clone_also_in_a_task() {
        let pool = Pool::start(2, 8).unwrap();
        let (said, heard) = channel();
        let inside = pool.clone();
        pool.submit(move || {
            drop(inside);
            said.send(()).unwrap();
        })
        .unwrap();
        heard.recv().unwrap();
        drop(pool);
    }
}
