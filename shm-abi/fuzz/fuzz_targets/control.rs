//! See `shm_abi::fuzz_entry::control`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| shm_abi::fuzz_entry::control(data));
