//! A market of records for tests: everything that a ring can hold, reproducible, and a model of what must come back.
#![allow(dead_code, reason = "each test binary uses a part")]

use std::sync::Arc;

use journal::disk::{Disk, MemoryFolder, drive};
use journal::format::HoleReason;
use journal::reader::{Entry, EpochStep, Hole, Reader};
use journal::writer::{Now, Source, Writer};
use journal::{Journal, JournalConfig, Recovered, ring_index};
use shm_abi::directory::Instrument;
use shm_abi::record::{Head, flag, kind, side};
use shm_abi::segment::{Identity, RingName};

/// Start of the tests' time, ns since the UNIX epoch.
pub(crate) const T0: u64 = 1_700_000_000_000_000_000;
pub(crate) const MS: u64 = 1_000_000;

/// A cheap source of reproducible numbers.
pub(crate) struct Rng(pub(crate) u64);

impl Rng {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}

/// A record of `span` slots.
pub(crate) fn record(kind: u8, instrument: u32, span: usize, published: u64, body: [u64; 3], seed: u64) -> Vec<u64> {
    let head = Head {
        kind,
        flags: flag::LAST,
        span: span as u8,
        side_or_code: side::BID,
        instrument_id: instrument,
        ts_event: published - 900,
        ts_recv: published - 700,
        publish_delay_ns: 700,
        venue_sequence_low: seed as u32,
    };
    let mut words = head.words().to_vec();
    words.extend(body);
    words.extend((0..(span - 1) * 6).map(|i| seed.wrapping_mul(31).wrapping_add(i as u64)));
    words
}

/// An add of an order.
pub(crate) fn add(instrument: u32, id: u64, published: u64) -> Vec<u64> {
    record(kind::ADD, instrument, 1, published, [id, 1_000_000_000 * (1 + id % 50), 1 + id % 900], id)
}

pub(crate) fn identity(epoch: u64, incarnation: u64, old_epoch: u64) -> Identity {
    Identity { epoch, incarnation, old_epoch, flags: 0 }
}

pub(crate) fn instruments(count: u32) -> Vec<Instrument> {
    (0..count).map(|id| Instrument::equity(id, format!("SYM{id}").as_bytes(), b"XNAS")).collect()
}

pub(crate) fn source(epoch: u64) -> Source<Vec<Instrument>> {
    Source { identity: identity(epoch, epoch + 1, 0), directory: instruments(3), first: [0, 0] }
}

/// Small blocks and files, so that a little data goes through everything.
pub(crate) fn small() -> JournalConfig {
    JournalConfig { block_bytes: 8192, buffer_bytes: 8 * 8192, file_bytes: 64 << 10, ..JournalConfig::default() }
}

pub(crate) fn at(ms: u64) -> Now {
    Now { unix_ns: T0 + ms * MS, monotonic_ns: 1 + ms * MS }
}

pub(crate) fn writer(config: &JournalConfig) -> Writer<Vec<Instrument>> {
    Writer::new(config.clone(), "test", &Recovered::default(), source(7), at(0)).unwrap()
}

/// What a reader yielded, owned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Got {
    Record(u64, Vec<u64>),
    Hole(u64, u64, HoleReason),
    Epoch(EpochStep),
}

impl Got {
    pub(crate) fn of(entry: &Entry<'_>) -> Got {
        match entry {
            Entry::Record { n, words } => Got::Record(*n, words.to_vec()),
            Entry::Hole(Hole { first, last, reason, .. }) => Got::Hole(*first, *last, *reason),
            Entry::Epoch(step) => Got::Epoch(*step),
        }
    }
}

pub(crate) fn read_all(reader: &mut Reader) -> Vec<Got> {
    let mut all = Vec::new();
    while let Some(entry) = reader.next().unwrap() {
        take(&mut all, Got::of(&entry));
    }
    all
}

/// Losses in a row are one hole with the reason of the first, wherever the writer has cut them.
pub(crate) fn take(all: &mut Vec<Got>, got: Got) {
    match (all.last_mut(), &got) {
        (Some(Got::Hole(_, end, _)), Got::Hole(first, last, _)) if *end + 1 == *first => *end = *last,
        _ => all.push(got),
    }
}

/// Panics with the first difference only: what is compared here is long.
pub(crate) fn assert_same(got: &[Got], want: &[Got], what: &str) {
    if let Some(at) = (0..got.len().max(want.len())).find(|at| got.get(*at) != want.get(*at)) {
        panic!("{what}: thing {at} of {}/{} is {:?}, expected {:?}", got.len(), want.len(), got.get(at), want.get(at));
    }
}

pub(crate) fn open(folder: &MemoryFolder) -> Journal {
    Journal::of(Arc::new(folder.clone())).unwrap()
}

/// A writer with a disk and a model of what was given to it.
pub(crate) struct Recording<K: Disk = MemoryFolder> {
    pub(crate) writer: Writer<Vec<Instrument>>,
    pub(crate) disk: K,
    pub(crate) ms: u64,
    pub(crate) model: [Vec<Got>; 2],
    next: [u64; 2],
}

impl Recording {
    pub(crate) fn new(config: &JournalConfig) -> Recording {
        Recording::on(config, MemoryFolder::default())
    }
}

impl<K: Disk> Recording<K> {
    pub(crate) fn on(config: &JournalConfig, disk: K) -> Recording<K> {
        Recording { writer: writer(config), disk, ms: 0, model: [Vec::new(), Vec::new()], next: [0, 0] }
    }

    pub(crate) fn drive(&mut self) {
        drive(&mut self.writer, &mut self.disk, at(self.ms));
    }

    pub(crate) fn tick(&mut self, ms: u64) {
        self.ms += ms;
        self.writer.handle_time(at(self.ms));
        self.drive();
    }

    pub(crate) fn next(&self, ring: RingName) -> u64 {
        self.next[ring_index(ring)]
    }

    /// Pushes a record and takes it into the model when the writer kept it; a hole otherwise.
    pub(crate) fn push(&mut self, ring: RingName, words: &[u64]) -> bool {
        let n = self.next(ring);
        let span = 1 + (words.len() as u64 - 7) / 6;
        self.next[ring_index(ring)] += span;
        let kept = self.writer.push(ring, n, words);
        if kept {
            self.model[ring_index(ring)].push(Got::Record(n, words.to_vec()));
        } else {
            self.missed(ring, n, n + span - 1, HoleReason::DiskSlow);
        }
        kept
    }

    pub(crate) fn lose(&mut self, ring: RingName, slots: u64, reason: HoleReason) {
        let n = self.next(ring);
        self.next[ring_index(ring)] += slots;
        self.writer.lost(ring, n, n + slots - 1, reason);
        self.missed(ring, n, n + slots - 1, reason);
    }

    fn missed(&mut self, ring: RingName, first: u64, last: u64, reason: HoleReason) {
        take(&mut self.model[ring_index(ring)], Got::Hole(first, last, reason));
    }

    pub(crate) fn finish(&mut self) {
        self.writer.finish();
        self.drive();
        assert!(self.writer.is_finished());
    }
}

/// `count` random things on both rings, driven as it goes.
pub(crate) fn random(recording: &mut Recording<impl Disk>, rng: &mut Rng, count: usize) {
    for _ in 0..count {
        let ring = if rng.below(2) == 0 { RingName::Orders } else { RingName::Market };
        let published = T0 + recording.ms * MS + rng.below(MS);
        match rng.below(100) {
            0 => recording.lose(ring, 1 + rng.below(20), HoleReason::Lapped),
            1..=4 => recording.tick(rng.below(150)),
            5..=14 => {
                let span = 2 + rng.below(63) as usize;
                recording.push(ring, &record(kind::NEWS, 1, span, published, [1, 2, 3], rng.next()));
            }
            _ => {
                recording.push(ring, &add(rng.below(3) as u32, rng.next(), published));
            }
        }
        recording.drive();
    }
}
