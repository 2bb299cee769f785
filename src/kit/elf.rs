//! As much of ELF (System V gABI, chapters 4 and 5) as packing programs and modules needs: what a program asks its
//! loader for, and single sections. 64 bits, little endian: x86-64, aarch64, riscv64. Files come from anywhere: every
//! number is checked against the file's length.

/// `e_type` of what the linker has not finished: kernel modules.
const RELOCATABLE: u16 = 1;

const LOAD: u32 = 1;
const DYNAMIC: u32 = 2;
const INTERPRETER: u32 = 3;

const NEEDED: u64 = 1;
const STRINGS: u64 = 5;
const RPATH: u64 = 15;
const RUNPATH: u64 = 29;

/// One file, read whole.
#[derive(Debug, Clone, Copy)]
pub struct Elf<'a> {
    data: &'a [u8],
    /// `e_machine`: 62 is x86-64, 183 aarch64. A library serves a program of the same machine only.
    pub machine: u16,
}

/// What a program or library asks of its loader.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wants {
    /// The loader, `PT_INTERP`; none: a library, or a static program.
    pub interpreter: Option<String>,
    /// Names as the linker wrote them, `libc.so.6`, in its order.
    pub needed: Vec<String>,
    /// Folders to look in, colons between; `$ORIGIN` is the file's own. RPATH counts only where there is no RUNPATH.
    pub rpath: Option<String>,
    pub runpath: Option<String>,
}

/// Why bytes are no ELF file that can be read here.
pub type Defect = &'static str;

const CUT: Defect = "it is cut short or damaged";

fn bytes<const N: usize>(data: &[u8], at: u64) -> Result<[u8; N], Defect> {
    let start = usize::try_from(at).map_err(|_| CUT)?;
    let end = start.checked_add(N).ok_or(CUT)?;
    data.get(start..end).and_then(|slice| slice.try_into().ok()).ok_or(CUT)
}

fn half(data: &[u8], at: u64) -> Result<u16, Defect> {
    bytes(data, at).map(u16::from_le_bytes)
}

fn word(data: &[u8], at: u64) -> Result<u32, Defect> {
    bytes(data, at).map(u32::from_le_bytes)
}

fn long(data: &[u8], at: u64) -> Result<u64, Defect> {
    bytes(data, at).map(u64::from_le_bytes)
}

fn part(data: &[u8], at: u64, length: u64) -> Result<&[u8], Defect> {
    let end = at.checked_add(length).ok_or(CUT)?;
    let range = usize::try_from(at).map_err(|_| CUT)?..usize::try_from(end).map_err(|_| CUT)?;
    data.get(range).ok_or(CUT)
}

fn text(data: &[u8], at: u64) -> Result<String, Defect> {
    let rest = data.get(usize::try_from(at).map_err(|_| CUT)?..).ok_or(CUT)?;
    let end = rest.iter().position(|byte| *byte == 0).ok_or(CUT)?;
    String::from_utf8(rest[..end].to_vec()).map_err(|_| "a name in it is not UTF-8")
}

impl<'a> Elf<'a> {
    /// # Errors
    /// Not ELF, of another word size or byte order, or cut in its header.
    pub fn parse(data: &'a [u8]) -> Result<Self, Defect> {
        match data.get(..6) {
            Some([0x7f, b'E', b'L', b'F', 2, 1]) => Ok(Elf { data, machine: half(data, 18)? }),
            Some([0x7f, b'E', b'L', b'F', ..]) => Err("it is not 64 bits and little endian"),
            _ => Err("it is no ELF file"),
        }
    }

    /// A kernel module, or what else a compiler leaves for a linker.
    pub fn is_relocatable(&self) -> bool {
        half(self.data, 16) == Ok(RELOCATABLE)
    }

    /// The entries of a table in the file: its offset, how long one is, how many.
    fn table(&self, at: u64, size: u16, count: u64, least: u16) -> Result<impl Iterator<Item = u64> + use<>, Defect> {
        let length = count.checked_mul(u64::from(size)).ok_or(CUT)?;
        part(self.data, at, length)?;
        if count > 0 && size < least {
            return Err("its tables have entries of an unknown size");
        }
        Ok((0..count).map(move |number| at + number * u64::from(size)))
    }

    fn segments(&self) -> Result<impl Iterator<Item = u64> + use<>, Defect> {
        let (at, size, count) = (long(self.data, 32)?, half(self.data, 54)?, half(self.data, 56)?);
        self.table(at, size, count.into(), 56)
    }

    /// # Errors
    /// A table that points out of the file.
    pub fn wants(&self) -> Result<Wants, Defect> {
        let data = self.data;
        let mut wants = Wants::default();
        let mut dynamic = None;
        let mut loads = Vec::new();
        for at in self.segments()? {
            let (offset, address, length) = (long(data, at + 8)?, long(data, at + 16)?, long(data, at + 32)?);
            match word(data, at)? {
                INTERPRETER => wants.interpreter = Some(text(part(data, offset, length)?, 0)?),
                DYNAMIC => dynamic = Some(part(data, offset, length)?),
                LOAD => loads.push((address, length, offset)),
                _ => {}
            }
        }
        let Some(dynamic) = dynamic else { return Ok(wants) };
        let entries = dynamic.chunks_exact(16).map(|pair| {
            let (tag, value) = pair.split_at(8);
            (
                u64::from_le_bytes(tag.try_into().unwrap_or_default()),
                u64::from_le_bytes(value.try_into().unwrap_or_default()),
            )
        });
        let entries: Vec<(u64, u64)> = entries.take_while(|(tag, _)| *tag != 0).collect();
        let strings = entries.iter().find(|(tag, _)| *tag == STRINGS).map(|(_, address)| *address);
        let strings = strings.and_then(|address| {
            let found =
                loads.iter().find(|(start, length, _)| address.checked_sub(*start).is_some_and(|far| far < *length));
            found.and_then(|(start, _, offset)| offset.checked_add(address - start))
        });
        let name = |value: u64| text(data, strings.ok_or(CUT)?.checked_add(value).ok_or(CUT)?);
        for (tag, value) in entries {
            match tag {
                NEEDED => wants.needed.push(name(value)?),
                RPATH => wants.rpath = Some(name(value)?),
                RUNPATH => wants.runpath = Some(name(value)?),
                _ => {}
            }
        }
        Ok(wants)
    }

    /// The contents of the section of this name; none when it has none.
    ///
    /// # Errors
    /// A table that points out of the file.
    pub fn section(&self, name: &str) -> Result<Option<&'a [u8]>, Defect> {
        let data = self.data;
        let (at, size) = (long(data, 40)?, half(data, 58)?);
        if at == 0 {
            return Ok(None);
        }
        // Of more sections than 16 bits count, the first one says how many (gABI, e_shnum).
        let count = match half(data, 60)? {
            0 => long(data, at.checked_add(32).ok_or(CUT)?)?,
            count => count.into(),
        };
        let names = match half(data, 62)? {
            0xffff => word(data, at.checked_add(40).ok_or(CUT)?)?.into(),
            names => u64::from(names),
        };
        let sections: Vec<u64> = self.table(at, size, count, 64)?.collect();
        let names = *sections.get(usize::try_from(names).map_err(|_| CUT)?).ok_or(CUT)?;
        let names = part(data, long(data, names + 24)?, long(data, names + 32)?)?;
        for at in sections {
            let start = usize::try_from(word(data, at)?).map_err(|_| CUT)?;
            let found = names
                .get(start..)
                .is_some_and(|rest| rest.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.first() == Some(&0)));
            if found {
                return part(data, long(data, at + 24)?, long(data, at + 32)?).map(Some);
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn whole(data: &[u8]) {
        if let Ok(elf) = Elf::parse(data) {
            let _ = (elf.wants(), elf.section(".modinfo"), elf.is_relocatable());
        }
    }

    #[test]
    fn a_program_says_what_it_wants() {
        let data = std::fs::read("/proc/self/exe").unwrap();
        let elf = Elf::parse(&data).unwrap();
        let wants = elf.wants().unwrap();
        assert!(!elf.is_relocatable());
        assert!(wants.interpreter.as_ref().unwrap().contains("ld-linux"), "{wants:?}");
        assert!(wants.needed.contains(&"libc.so.6".to_string()), "{wants:?}");
        assert!(!elf.section(".text").unwrap().unwrap().is_empty());
        assert_eq!(elf.section(".nothing"), Ok(None));
        assert_eq!(Elf::parse(b"#!/bin/sh\n").unwrap_err(), "it is no ELF file");
        assert_eq!(Elf::parse(b"\x7fELF\x01\x01rest").unwrap_err(), "it is not 64 bits and little endian");
    }

    /// The head and the tables of a real program, small enough to be damaged in every place.
    fn sample() -> Vec<u8> {
        std::fs::read("/bin/true").unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]
        #[test]
        fn damage_is_no_panic(at in 0usize..64, values in prop::array::uniform4(any::<u8>()), cut in any::<u16>(), table in any::<bool>()) {
            let mut data = sample();
            // In the header, or in what its tables hold.
            let start = if table { 64 + at * 8 } else { at };
            for (offset, value) in values.into_iter().enumerate() {
                data[start + offset] = value;
            }
            whole(&data);
            data.truncate(usize::from(cut));
            whole(&data);
        }
    }
}
