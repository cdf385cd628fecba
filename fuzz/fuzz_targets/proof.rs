#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| annul_fuzz::proof::check(bytes));
