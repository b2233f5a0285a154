//! What was written is read again: records, holes, epochs, instruments, by every way in.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod common;

use common::*;
use journal::{RINGS, ring_index};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn random_records_and_losses_come_back_equal(seed: u64, count in 0usize..1500) {
        let mut recording = Recording::new(&small());
        random(&mut recording, &mut Rng(seed), count);
        recording.finish();
        let journal = open(&recording.disk);
        for ring in RINGS {
            assert_same(&read_all(&mut journal.oldest(ring)), &recording.model[ring_index(ring)], ring.name());
        }
    }
}
