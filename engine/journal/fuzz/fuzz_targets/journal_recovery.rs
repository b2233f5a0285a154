//! See `journal::fuzz_entry::recovery`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| journal::fuzz_entry::recovery(data));
