//! What a module says of itself: the section `.modinfo`, words `key=value` with a zero byte behind each
//! (include/linux/moduleparam.h).

use crate::kit::elf::{Defect, Elf};

/// Names as [`super::name`] writes them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Modinfo {
    /// Modules whose symbols it uses: loaded before it.
    pub depends: Vec<String>,
    /// Modules that should be there before or after it and may be missing: as it stands, `pre: crypto-crc32c`.
    pub softdeps: Vec<String>,
    /// Paths below /lib/firmware.
    pub firmware: Vec<String>,
    /// Patterns of the hardware it drives, and other names.
    pub aliases: Vec<String>,
}

/// Reads a module, unpacked.
///
/// # Errors
/// No ELF file, not a module, damaged.
pub fn modinfo(data: &[u8]) -> Result<Modinfo, Defect> {
    let elf = Elf::parse(data)?;
    if !elf.is_relocatable() {
        return Err("it is no kernel module");
    }
    let section = elf.section(".modinfo")?.ok_or("it is no kernel module")?;
    let mut info = Modinfo::default();
    for word in section.split(|byte| *byte == 0) {
        let word = String::from_utf8_lossy(word);
        let Some((key, value)) = word.split_once('=') else { continue };
        match key {
            "depends" => info.depends.extend(value.split(',').filter(|name| !name.is_empty()).map(super::name)),
            "softdep" => info.softdeps.push(value.to_string()),
            "firmware" => info.firmware.push(value.to_string()),
            "alias" => info.aliases.push(value.to_string()),
            _ => {}
        }
    }
    Ok(info)
}

impl Modinfo {
    /// The modules of all softdeps; `pre: a b post: c` are a, b and c.
    pub fn soft(&self) -> impl Iterator<Item = &str> {
        let words = self.softdeps.iter().flat_map(|text| text.split_ascii_whitespace());
        words.filter(|word| !word.ends_with(':'))
    }
}
