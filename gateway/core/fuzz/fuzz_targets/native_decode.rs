#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| gateway_core::fuzz_entry::native_decode(data));
