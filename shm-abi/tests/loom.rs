//! Every ordering of the shared-memory protocols under loom, and every one of them weakened.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p ticklane-shm-abi --release --test loom`
//!
//! The models run the real writer and reader over memory of a slot or two; slots have two words here. Each
//! [`Site`] names one ordering: [`every_ordering_is_needed`] weakens them one by one, and the model that rests on it
//! must fail. What loom cannot tell is said here: its atomics never tear, and it explores schedules up to a bound of
//! preemptions, which is set per model.
#![cfg(loom)]
#![allow(clippy::unwrap_used, reason = "in a test an unwrap is an assertion")]

use std::sync::Arc;

use loom::sync::{Condvar, Mutex};
use shm_abi::ring::{LossReason, Polled, Rejoin, RingMemory, RingReader, RingWriter, word0};
use shm_abi::seqlock;
use shm_abi::slot::{SLOT_WORDS, Slot};
use shm_abi::sync::{
    AtomicU32, AtomicU64, Ordering::Relaxed, Ordering::Release, Site, fence_acquire, set_mutant, store_release,
};
use shm_abi::wake;

/// A ring in ordinary memory.
#[derive(Clone)]
struct Heap(Arc<(Vec<Slot>, AtomicU64)>);

impl Heap {
    fn new(slots: usize) -> Heap {
        Heap(Arc::new(((0..slots).map(|_| Slot::new()).collect(), AtomicU64::new(0))))
    }
}

impl RingMemory for Heap {
    fn slot(&self, n: u64) -> &Slot {
        &self.0.0[n as usize % self.0.0.len()]
    }
    fn slot_count(&self) -> u64 {
        self.0.0.len() as u64
    }
    fn head(&self) -> &AtomicU64 {
        &self.0.1
    }
}

/// The words of record `n`, each a function of `n`: a mixture of two records cannot pass for one.
fn words_of(n: u64) -> [u64; SLOT_WORDS] {
    [word0(b'A', 0, 1, 0, n as u32 + 1), n + 1000]
}

/// Polls `times`, checks that numbers go on where they stopped and that no record is torn.
fn check_polls(memory: Heap, rejoin: Rejoin, times: usize, whole: impl Fn(u64, &[u64])) {
    let mut reader = RingReader::new(memory, 0, rejoin);
    let mut expected = 0;
    for _ in 0..times {
        match reader.poll() {
            Polled::Empty => {}
            Polled::Record { n, words } => {
                assert_eq!(n, expected);
                whole(n, words);
            }
            Polled::Lost(lost) => {
                assert_eq!(lost.first, expected);
                assert!(lost.last >= lost.first);
                assert_eq!(lost.reason, LossReason::Lapped);
            }
        }
        expected = reader.cursor();
    }
}

/// One slot, written twice while it is read: house-style.md's proof, through the real writer and reader.
fn single_slot() {
    let memory = Heap::new(1);
    let mut writer = RingWriter::new(memory.clone(), 0);
    let thread = loom::thread::spawn(move || {
        for n in 0..2 {
            writer.push(&words_of(n));
            writer.commit();
        }
    });
    check_polls(memory, Rejoin::Latest, 2, |n, words| assert_eq!(words, words_of(n)));
    thread.join().unwrap();
}

/// A record of two slots in a ring of two, overwritten by the next one while it is read.
fn two_slot_record() {
    let memory = Heap::new(2);
    let mut writer = RingWriter::new(memory.clone(), 0);
    let thread = loom::thread::spawn(move || {
        for n in [0, 2] {
            let [a, b] = words_of(n);
            writer.push_span(&[a, b, b + 1]);
            writer.commit();
        }
    });
    check_polls(memory, Rejoin::Latest, 2, |n, words| {
        assert_eq!(words.len(), 3);
        assert_eq!((words[0] >> 32, words[1], words[2]), (n + 1, n + 1000, n + 1001));
    });
    thread.join().unwrap();
}

/// An event of two records: whoever got the first finds the second.
fn event_of_two_records() {
    let memory = Heap::new(2);
    let mut writer = RingWriter::new(memory.clone(), 0);
    let thread = loom::thread::spawn(move || {
        writer.push(&words_of(0));
        writer.push(&words_of(1));
        writer.commit();
    });
    let mut reader = RingReader::new(memory, 0, Rejoin::Latest);
    if let Polled::Record { words, .. } = reader.poll() {
        assert_eq!(words, words_of(0));
        let Polled::Record { n: 1, words } = reader.poll() else { panic!("half an event") };
        assert_eq!(words, words_of(1));
    }
    thread.join().unwrap();
}

/// Whoever sees the head finds everything below it.
fn head_means_whole() {
    let memory = Heap::new(2);
    let mut writer = RingWriter::new(memory.clone(), 0);
    let thread = loom::thread::spawn(move || {
        for n in 0..2 {
            writer.push(&words_of(n));
            writer.commit();
        }
    });
    let mut reader = RingReader::new(memory, 0, Rejoin::Latest);
    for n in 0..reader.head() {
        let Polled::Record { n: got, words } = reader.poll() else { panic!("nothing below the head") };
        assert_eq!((got, words), (n, &words_of(n)[..]));
    }
    thread.join().unwrap();
}

/// A board row of two words, written twice while it is read.
fn board_row() {
    let row = Arc::new((AtomicU64::new(0), [AtomicU64::new(0), AtomicU64::new(0)]));
    let writers = row.clone();
    let thread = loom::thread::spawn(move || {
        for value in 1..=2 {
            let next = seqlock::write_begin(&writers.0);
            writers.1[0].store(value, Relaxed);
            writers.1[1].store(value, Relaxed);
            seqlock::write_end(&writers.0, next);
        }
    });
    if let Some(before) = seqlock::read_begin(&row.0) {
        let copy = [row.1[0].load(Relaxed), row.1[1].load(Relaxed)];
        if seqlock::read_end(&row.0, before) {
            assert_eq!(copy, [before / 2; 2], "a torn row, or one of another version");
        }
    }
    thread.join().unwrap();
}

/// The directory's count: the entries below it are there.
fn directory_count() {
    let shared = Arc::new((AtomicU64::new(0), AtomicU64::new(0)));
    let writers = shared.clone();
    let thread = loom::thread::spawn(move || {
        writers.1.store(7, Relaxed);
        store_release(&writers.0, 1, Site::CountStore);
    });
    let count = shared.0.load(Relaxed);
    fence_acquire(Site::CountLoad);
    if count == 1 {
        assert_eq!(shared.1.load(Relaxed), 7, "an entry below the count is not there");
    }
    thread.join().unwrap();
}

/// A segment that says "closed": whoever sees that finds every record. Segments are files, so the store and the load
/// are spelled here as `LaneWriter::set_state` and `Segment::state` have them.
fn closed_state() {
    let memory = Heap::new(1);
    let state = Arc::new(AtomicU64::new(0));
    let (mut writer, writers) = (RingWriter::new(memory.clone(), 0), state.clone());
    let thread = loom::thread::spawn(move || {
        writer.push(&words_of(0));
        writer.commit();
        store_release(&writers, 1, Site::StateStore);
    });
    let closed = state.load(Relaxed) == 1;
    fence_acquire(Site::StateLoad);
    let mut reader = RingReader::new(memory, 0, Rejoin::Latest);
    assert!(reader.poll() != Polled::Empty || !closed, "closed, and a record is not there yet");
    thread.join().unwrap();
}

/// A futex without a time limit. The mutex stands for the kernel's: a wake that came before the wait makes the wait see
/// the word as of that wake.
struct Futex {
    word: AtomicU32,
    lock: Mutex<()>,
    sleepers: Condvar,
}

impl Futex {
    fn wait(&self, seen: u32) {
        let guard = self.lock.lock().unwrap();
        if self.word.load(Relaxed) == seen {
            drop(self.sleepers.wait(guard).unwrap());
        }
    }
    fn wake_all(&self) {
        drop(self.lock.lock().unwrap());
        self.sleepers.notify_all();
    }
}

/// Three bursts, each seen by a reader that sleeps in between: a lost wake-up is a deadlock here, because this futex has
/// no time limit.
fn lost_wake_up() {
    const BURSTS: u64 = 3;
    struct Lane {
        futex: Futex,
        flag: AtomicU32,
        /// Stands for the stamp of the newest slot.
        published: AtomicU64,
    }
    let lane = Arc::new(Lane {
        futex: Futex { word: AtomicU32::new(0), lock: Mutex::new(()), sleepers: Condvar::new() },
        flag: AtomicU32::new(0),
        published: AtomicU64::new(0),
    });
    let writers = lane.clone();
    let thread = loom::thread::spawn(move || {
        for burst in 1..=BURSTS {
            writers.published.store(burst, Release);
            if wake::bump_and_check(&writers.futex.word, &writers.flag) {
                writers.futex.wake_all();
            }
        }
    });
    while lane.published.load(Relaxed) < BURSTS {
        let before = lane.published.load(Relaxed);
        let seen = wake::announce(&lane.futex.word, &lane.flag);
        if lane.published.load(Relaxed) == before && before < BURSTS {
            lane.futex.wait(seen);
        }
    }
    thread.join().unwrap();
}

/// A model, its bound of preemptions, and the orderings that it must not do without.
struct Model {
    name: &'static str,
    run: fn(),
    preemptions: usize,
    rests_on: &'static [Site],
}

const MODELS: &[Model] = &[
    Model {
        name: "single slot",
        run: single_slot,
        preemptions: 4,
        rests_on: &[Site::SlotBegin, Site::SlotFinish, Site::SlotOpen, Site::SlotRecheck],
    },
    Model {
        name: "two-slot record",
        run: two_slot_record,
        preemptions: 3,
        rests_on: &[Site::SlotBegin, Site::SlotFinish, Site::SlotOpen, Site::SlotRecheck],
    },
    Model {
        name: "event of two records",
        run: event_of_two_records,
        preemptions: 4,
        rests_on: &[Site::SlotFinish, Site::SlotOpen],
    },
    Model { name: "head", run: head_means_whole, preemptions: 4, rests_on: &[Site::HeadStore, Site::HeadLoad] },
    Model {
        name: "board row",
        run: board_row,
        preemptions: 4,
        rests_on: &[Site::RowBegin, Site::RowFinish, Site::RowOpen, Site::RowRecheck],
    },
    Model {
        name: "directory count",
        run: directory_count,
        preemptions: 4,
        rests_on: &[Site::CountStore, Site::CountLoad],
    },
    Model { name: "closed state", run: closed_state, preemptions: 4, rests_on: &[Site::StateStore, Site::StateLoad] },
    Model {
        name: "lost wake-up",
        run: lost_wake_up,
        preemptions: 4,
        rests_on: &[Site::WakeCheck, Site::WakeBump, Site::SleeperSeen, Site::SleeperSet],
    },
];

/// Runs a model with one site weakened, or none. The sites are a global, so the caller runs one model at a time.
fn explore(model: &Model, mutant: Option<Site>) -> Result<(), String> {
    set_mutant(mutant);
    // A failing model is told by what this function returns; its backtrace would bury the table.
    std::panic::set_hook(Box::new(|_| {}));
    let (run, preemptions) = (model.run, model.preemptions);
    // A thread of its own: a failed model leaves nothing behind that the next could trip over.
    let outcome = std::thread::spawn(move || {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(preemptions);
        builder.max_branches = 10_000;
        builder.check(run);
    })
    .join();
    drop(std::panic::take_hook());
    set_mutant(None);
    outcome.map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        text.or_else(|| panic.downcast_ref::<&str>().map(|text| text.to_string())).unwrap_or_default()
    })
}

#[test]
fn every_ordering_is_needed() {
    for model in MODELS {
        let start = std::time::Instant::now();
        let outcome = explore(model, None);
        assert!(outcome.is_ok(), "{} fails as it is: {}", model.name, outcome.unwrap_err());
        println!("{:<22} holds         {:>8.2?}", model.name, start.elapsed());
    }
    let (mut red, mut green) = (Vec::new(), Vec::new());
    for model in MODELS {
        for site in model.rests_on {
            let start = std::time::Instant::now();
            match explore(model, Some(*site)) {
                Ok(()) => green.push((model.name, *site)),
                Err(why) => {
                    let why = why.lines().next().unwrap_or_default().to_owned();
                    println!("{:<22} {:<13} {:>8.2?}  {why}", model.name, format!("{site:?}"), start.elapsed());
                    red.push(*site);
                }
            }
        }
    }
    assert!(green.is_empty(), "weakened without a red model: {green:?}");
    let untested: Vec<_> = Site::ALL.into_iter().filter(|site| !red.contains(site)).collect();
    assert!(untested.is_empty(), "no model rests on {untested:?}");
}
