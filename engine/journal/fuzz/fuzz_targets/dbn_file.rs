//! See `journal::import::fuzz_entry::dbn_file`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| journal::import::fuzz_entry::dbn_file(data));
