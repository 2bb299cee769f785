//! Labels, and what a partition is for: by name, by MBR byte, by GPT GUID.

use std::fmt;

use serde::{Serialize, Serializer};
use uuid::{Uuid, uuid};

use crate::host::{Fault, Result};

/// The two kinds of partition table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Label {
    Gpt,
    Mbr,
}

impl Label {
    /// # Errors
    /// `table.label`: neither `gpt` nor `mbr` (sfdisk's `dos` and parted's `msdos` are the same).
    pub fn parse(text: &str) -> Result<Self> {
        match text.to_ascii_lowercase().as_str() {
            "gpt" => Ok(Label::Gpt),
            "mbr" | "dos" | "msdos" => Ok(Label::Mbr),
            other => Err(Fault::new("table.label", format!("`{other}` is no kind of partition table"))
                .nearest(other, ["gpt", "mbr", "dos"])
                .hint("the kinds: gpt, mbr")),
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Label::Gpt => "gpt",
            Label::Mbr => "mbr",
        }
    }
}

/// A partition type as it stands in the table. GPT holds GUIDs, MBR a byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    Guid(Uuid),
    Byte(u8),
}

/// Name, MBR byte, GPT GUID. The first line with a byte or GUID gives it its name. GUIDs: UEFI 2.10 section 5.3.3,
/// the Discoverable Partitions Specification, and libfdisk's `gpt.c`.
const KINDS: [(&str, Option<u8>, Option<Uuid>); 20] = [
    ("linux", Some(0x83), Some(uuid!("0FC63DAF-8483-4772-8E79-3D69D8477DE4"))),
    ("swap", Some(0x82), Some(uuid!("0657FD6D-A4AB-43C4-84E5-0933C84B4F4F"))),
    ("efi", Some(0xef), Some(uuid!("C12A7328-F81F-11D2-BA4B-00A0C93EC93B"))),
    ("bios", None, Some(uuid!("21686148-6449-6E6F-744E-656564454649"))),
    ("ntfs", Some(0x07), Some(uuid!("EBD0A0A2-B9E5-4433-87C0-68B6B72699C7"))),
    ("windows", Some(0x07), Some(uuid!("EBD0A0A2-B9E5-4433-87C0-68B6B72699C7"))),
    ("fat32", Some(0x0c), Some(uuid!("EBD0A0A2-B9E5-4433-87C0-68B6B72699C7"))),
    ("fat16", Some(0x0e), Some(uuid!("EBD0A0A2-B9E5-4433-87C0-68B6B72699C7"))),
    ("extended", Some(0x0f), None),
    ("home", Some(0x83), Some(uuid!("933AC7E1-2EB4-4F13-B844-0E14E2AEF915"))),
    ("srv", Some(0x83), Some(uuid!("3B8F8425-20E0-4F3B-907F-1A25A76F98E8"))),
    ("root-x86-64", Some(0x83), Some(uuid!("4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709"))),
    ("root-arm64", Some(0x83), Some(uuid!("B921B045-1DF0-41C3-AF44-4C6F280D3FAE"))),
    ("boot", Some(0xea), Some(uuid!("BC13C2FF-59E6-4262-A352-B275FD6F7172"))),
    ("lvm", Some(0x8e), Some(uuid!("E6D6D379-F507-44C2-A23C-238F2A3DF928"))),
    ("raid", Some(0xfd), Some(uuid!("A19D880F-05FC-4D3B-A006-743F0F84911E"))),
    ("luks", Some(0xe8), Some(uuid!("CA7D7CCB-63ED-4C53-861C-1742536059CC"))),
    ("msr", None, Some(uuid!("E3C9E316-0B5C-4DB8-817D-F92DF00215AE"))),
    ("recovery", Some(0x27), Some(uuid!("DE94BBA4-06D1-4D40-A16A-BFD50179D6AC"))),
    ("prep", Some(0x41), Some(uuid!("9E1A2D38-C612-4316-AA26-8B49521E5A8B"))),
];

/// sfdisk's one-letter names.
const LETTERS: [(&str, &str); 8] = [
    ("L", "linux"),
    ("S", "swap"),
    ("E", "extended"),
    ("X", "extended"),
    ("H", "home"),
    ("U", "efi"),
    ("R", "raid"),
    ("V", "lvm"),
];

impl Kind {
    /// Reads a name (`linux`, `efi`, ..), sfdisk's letter, a hexadecimal byte (`83`, `0x83`), sgdisk's four digits
    /// (`8300`) or a GUID. A byte on GPT stands for the GUID of the same use.
    ///
    /// # Errors
    /// `table.kind`: not a type, or one that this kind of table cannot hold.
    pub fn parse(label: Label, text: &str) -> Result<Self> {
        let word = LETTERS.iter().find(|(letter, _)| *letter == text).map_or(text, |(_, name)| *name);
        if let Some(row) = KINDS.iter().find(|row| row.0.eq_ignore_ascii_case(word)) {
            return Self::of_row(label, row);
        }
        if let Ok(guid) = Uuid::parse_str(word) {
            return match label {
                Label::Gpt if guid.is_nil() => Err(Fault::new("table.kind", "the nil GUID marks an unused partition")),
                Label::Gpt => Ok(Kind::Guid(guid)),
                Label::Mbr => KINDS
                    .iter()
                    .find(|row| row.2 == Some(guid) && row.1.is_some())
                    .map_or_else(|| Err(cannot_hold(label, word)), |row| Self::of_row(label, row)),
            };
        }
        let digits = word.strip_prefix("0x").or_else(|| word.strip_prefix("0X")).unwrap_or(word);
        let hex = (1..=4).contains(&digits.len()).then(|| u16::from_str_radix(digits, 16).ok()).flatten();
        let unknown = || {
            Fault::new("table.kind", format!("`{text}` is no partition type"))
                .nearest(text, KINDS.iter().map(|row| row.0))
                .hint(
                    "a type is a name (linux, swap, efi, bios, ntfs, extended, home, ..), a hexadecimal byte or a GUID",
                )
        };
        let value = hex.filter(|_| digits.bytes().all(|b| b.is_ascii_hexdigit())).ok_or_else(unknown)?;
        let byte = match (digits.len(), value) {
            (3.., 0xef02) => return Self::of_row(label, &KINDS[3]),
            (3.., _) if value & 0xff == 0 => (value >> 8) as u8,
            (3.., _) => return Err(unknown()),
            _ => value as u8,
        };
        match label {
            Label::Mbr if byte == 0 => Err(Fault::new("table.kind", "the type 0 marks an unused partition")),
            Label::Mbr => Ok(Kind::Byte(byte)),
            Label::Gpt => KINDS
                .iter()
                .find(|row| row.1 == Some(byte) && row.2.is_some())
                .map_or_else(|| Err(cannot_hold(label, text)), |row| Self::of_row(label, row)),
        }
    }

    fn of_row(label: Label, row: &(&str, Option<u8>, Option<Uuid>)) -> Result<Self> {
        match label {
            Label::Gpt => row.2.map(Kind::Guid),
            Label::Mbr => row.1.map(Kind::Byte),
        }
        .ok_or_else(|| cannot_hold(label, row.0))
    }

    /// The name of a known type.
    pub fn name(&self) -> Option<&'static str> {
        if self.is_extended() {
            return Some("extended");
        }
        KINDS
            .iter()
            .find(|row| match self {
                Kind::Guid(guid) => row.2 == Some(*guid),
                Kind::Byte(byte) => row.1 == Some(*byte),
            })
            .map(|row| row.0)
    }

    /// An MBR partition that holds logical ones: CHS, LBA and Linux forms.
    pub fn is_extended(&self) -> bool {
        matches!(self, Kind::Byte(0x05 | 0x0f | 0x85))
    }

    /// As a dump writes it: a GUID in capitals, or the byte in hexadecimal without a zero in front.
    pub fn code(&self) -> String {
        match self {
            Kind::Guid(guid) => guid.to_string().to_uppercase(),
            Kind::Byte(byte) => format!("{byte:x}"),
        }
    }
}

fn cannot_hold(label: Label, kind: &str) -> Fault {
    Fault::new("table.kind", format!("a {} table has no partition type `{kind}`", label.name()))
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => f.write_str(&self.code()),
        }
    }
}

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_by_name_byte_letter_and_guid() {
        let linux = Kind::parse(Label::Gpt, "linux").unwrap();
        for text in ["83", "0x83", "8300", "L", "Linux", "0fc63daf-8483-4772-8e79-3d69d8477de4"] {
            assert_eq!(Kind::parse(Label::Gpt, text).unwrap(), linux, "{text}");
            assert_eq!(Kind::parse(Label::Mbr, text).unwrap(), Kind::Byte(0x83), "{text}");
        }
        assert_eq!(Kind::parse(Label::Gpt, "ef02").unwrap().name(), Some("bios"));
        assert_eq!(Kind::parse(Label::Mbr, "5").unwrap().name(), Some("extended"));
        for (label, text) in [(Label::Gpt, "extended"), (Label::Mbr, "bios"), (Label::Gpt, "99"), (Label::Mbr, "0")] {
            assert_eq!(Kind::parse(label, text).unwrap_err().kind, "table.kind", "{text}");
        }
        assert!(Kind::parse(Label::Gpt, "linx").unwrap_err().hints[0].contains("linux"));
    }
}
