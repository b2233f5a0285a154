//! See `shm_abi::fuzz_entry::header`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    shm_abi::fuzz_entry::header(data);
});
