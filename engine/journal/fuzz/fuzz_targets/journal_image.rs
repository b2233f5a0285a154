//! See `journal::fuzz_entry::image`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| journal::fuzz_entry::image(data));
