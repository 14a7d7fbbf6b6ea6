#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| evener::fuzzing::redis_reply(data));
