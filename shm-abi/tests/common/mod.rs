//! What the integration tests share: rings in ordinary memory, runtime directories, a generator of repeatable numbers.
#![allow(dead_code, reason = "each test program uses its part")]

use std::path::Path;
use std::sync::Arc;

use shm_abi::layout::Plan;
use shm_abi::ring::{RingMemory, word0};
use shm_abi::slot::{SLOT_WORDS, Slot};
use shm_abi::sync::AtomicU64;

/// A ring in ordinary memory, so that Miri can watch it.
#[derive(Debug, Clone)]
pub(crate) struct Heap(Arc<(Vec<Slot>, AtomicU64)>);

impl Heap {
    pub(crate) fn new(slots: usize) -> Heap {
        Heap(Arc::new(((0..slots).map(|_| Slot::new()).collect(), AtomicU64::new(0))))
    }
}

impl RingMemory for Heap {
    fn slot(&self, n: u64) -> &Slot {
        &self.0.0[(n % self.slot_count()) as usize]
    }
    fn slot_count(&self) -> u64 {
        self.0.0.len() as u64
    }
    fn head(&self) -> &AtomicU64 {
        &self.0.1
    }
}

/// A word that only record `n` has at place `index`.
pub(crate) fn mix(n: u64, index: usize) -> u64 {
    let x = (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ index as u64).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x ^ x >> 29
}

/// The words of a record of `len` words that begins at number `n`.
pub(crate) fn words_of(n: u64, len: usize) -> Vec<u64> {
    let mut words: Vec<u64> = (0..len).map(|index| mix(n, index)).collect();
    words[0] = word0(b'A', 0, 1, b'B', n as u32);
    words
}

/// Words of a record that fills `span` slots.
pub(crate) fn span_words(span: usize) -> usize {
    SLOT_WORDS + (span - 1) * (SLOT_WORDS - 1)
}

/// Checks that `words` are those of the record that begins at `n`, whatever its length.
pub(crate) fn assert_whole(n: u64, words: &[u64]) {
    assert_eq!(words[0] >> 32, n & 0xffff_ffff, "record {n} has another's first word");
    for (index, word) in words.iter().enumerate().skip(1) {
        assert_eq!(*word, mix(n, index), "word {index} of record {n} is torn");
    }
}

/// How often a property is tried; Miri takes a thousand times as long for each.
pub(crate) fn cases(natively: u32, under_miri: u32) -> proptest::test_runner::Config {
    let cases = if cfg!(miri) { under_miri } else { natively };
    proptest::test_runner::Config { cases, failure_persistence: None, ..Default::default() }
}

/// Splitmix64: repeatable numbers from a seed.
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
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

/// A lane of the smallest rings.
pub(crate) fn plan() -> Plan {
    Plan { lane: "lane0".into(), orders_slots: 1024, market_slots: 1024, instruments: 8, depth_bytes: 1 << 16 }
}

/// A runtime directory as the engine wants it, removed at the end.
pub(crate) fn runtime_dir() -> tempfile::TempDir {
    use std::os::unix::fs::PermissionsExt;
    let shm = Path::new("/dev/shm");
    let dir =
        if shm.is_dir() { tempfile::tempdir_in(shm) } else { tempfile::tempdir() }.expect("a temporary directory");
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o700)).expect("our own directory");
    dir
}

/// Looks until `found` gives something; panics, naming `what`, after far longer than anything here takes.
pub(crate) fn wait_for<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let limit = std::time::Instant::now() + std::time::Duration::from_secs(60);
    loop {
        if let Some(value) = found() {
            return value;
        }
        assert!(std::time::Instant::now() < limit, "waited in vain: {what}");
        std::thread::sleep(std::time::Duration::from_micros(200));
    }
}
