//! The fuzz targets over seeded inputs, so that every test run sees them: random bytes, sparse bytes, and mutations of
//! inputs that were taken before.
#![cfg(not(any(loom, miri)))]
#![allow(clippy::unwrap_used, reason = "in a test an unwrap is an assertion")]

mod common;

use common::Numbers;
use shm_abi::fuzz_entry;

/// Inputs per target.
const INPUTS: usize = 2_000;

/// An input: fresh random bytes, bytes that are mostly zero or 0xff, or an earlier input with a few bytes changed.
fn input(numbers: &mut Numbers, earlier: &[Vec<u8>]) -> Vec<u8> {
    let len = 1 + numbers.below(1500) as usize;
    match numbers.below(3) {
        0 => (0..len).map(|_| numbers.next() as u8).collect(),
        1 => {
            let fill = if numbers.below(2) == 0 { 0 } else { 0xff };
            (0..len).map(|_| if numbers.below(8) == 0 { numbers.next() as u8 } else { fill }).collect()
        }
        _ if earlier.is_empty() => Vec::new(),
        _ => {
            let mut bytes = earlier[numbers.below(earlier.len() as u64) as usize].clone();
            for _ in 0..1 + numbers.below(8) {
                let at = numbers.below(bytes.len() as u64) as usize;
                bytes[at] = [0, 1, 0x7f, 0x80, 0xff, numbers.next() as u8][numbers.below(6) as usize];
            }
            bytes
        }
    }
}

fn drive(mut target: impl FnMut(&[u8]), seed: u64, dress: fn(&mut Vec<u8>, &mut Numbers)) {
    let mut numbers = Numbers(seed);
    let mut earlier: Vec<Vec<u8>> = Vec::new();
    for _ in 0..INPUTS {
        let mut bytes = input(&mut numbers, &earlier);
        dress(&mut bytes, &mut numbers);
        target(&bytes);
        if earlier.len() < 64 && !bytes.is_empty() {
            earlier.push(bytes);
        }
    }
}

#[test]
fn hostile_headers_are_refused_or_read_within_the_file() {
    let mut walked = 0;
    let target = |bytes: &[u8]| walked += usize::from(fuzz_entry::header(bytes));
    drive(target, 1, |bytes, numbers| {
        // Half of the headers are repaired whole, so that what lies behind the checks is walked.
        if let Some(first) = bytes.first_mut() {
            *first = if numbers.below(2) == 0 { 7 } else { numbers.next() as u8 };
        }
    });
    assert!((INPUTS / 4..INPUTS).contains(&walked), "{walked} of {INPUTS} headers led to a walk");
}

#[test]
fn hostile_slots_are_read_to_an_end() {
    drive(fuzz_entry::slots, 2, |bytes, numbers| {
        // A head in reach, as often as not.
        if bytes.len() > 9 && numbers.below(2) == 0 {
            bytes[1..9].copy_from_slice(&numbers.below(300).to_le_bytes());
        }
    });
}

#[test]
fn hostile_rows_and_entries_are_read_or_refused() {
    drive(fuzz_entry::rows, 3, |_, _| {});
}
