//! See `journal::fuzz_entry::blocks`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| journal::fuzz_entry::blocks(data));
