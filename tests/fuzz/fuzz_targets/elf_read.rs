//! Programs and libraries: what they want, and their sections.
#![no_main]

use kar::kit::elf::Elf;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Ok(elf) = Elf::parse(data) {
        let _ = (elf.wants(), elf.section(".modinfo"), elf.is_relocatable());
    }
});
