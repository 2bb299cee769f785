//! Prints tables as sfdisk reads them.

use std::fmt::Write;

use super::{Kind, Label, Layout, Measure, Plan, Size, Table, partition_name};
use crate::host::{Fault, Result};

impl Layout {
    /// As `sfdisk -d` prints it.
    pub fn sfdisk(&self) -> String {
        let device = self.device.as_deref().unwrap_or("disk");
        let mut text = head(self.label, Some(self.id.to_string()), Some(device));
        if self.label == Label::Gpt {
            let _ = writeln!(text, "first-lba: {}\nlast-lba: {}", self.first_usable, self.last_usable);
            if self.entries != 128 {
                let _ = writeln!(text, "table-length: {}", self.entries);
            }
        }
        let _ = writeln!(text, "sector-size: {}\n", self.geometry.sector_size);
        for part in &self.partitions {
            let name = partition_name(device, part.number);
            let _ = write!(text, "{name} : start={:>12}, size={:>12}", part.start, part.size);
            let uuid = part.uuid.map(|uuid| uuid.to_string().to_uppercase());
            tail(&mut text, self.label, part.kind, uuid, &part.name, part.attrs);
        }
        text
    }
}

impl Plan {
    /// As a script for sfdisk: what is not said is left out.
    ///
    /// # Errors
    /// `table.unfitted`: sizes in percent, which sfdisk does not read.
    pub fn sfdisk(&self) -> Result<String> {
        let mut text = head(self.label, self.id.map(|id| id.to_string()), self.device.as_deref());
        let headers = [
            ("first-lba", self.first_usable),
            ("last-lba", self.last_usable),
            ("table-length", Some(u64::from(self.entries)).filter(|entries| *entries != 128)),
            ("grain", self.grain),
            ("sector-size", self.sector_size.map(u64::from)),
        ];
        for (key, value) in headers {
            if let Some(value) = value {
                let _ = writeln!(text, "{key}: {value}");
            }
        }
        text.push('\n');
        for (number, wish) in super::partitions::numbered(self)? {
            let name = partition_name(self.device.as_deref().unwrap_or("disk"), number);
            let _ = write!(text, "{name} : ");
            if let Some(start) = wish.start {
                let _ = write!(text, "start={}, ", measure(start)?);
            }
            match wish.size {
                Size::Fixed(size) => drop(write!(text, "size={}", measure(size)?)),
                Size::Fill => text.push_str("size=+"),
                Size::Percent(percent) => {
                    let message = format!("partition {number} has {percent}% of a disk that is not known");
                    return Err(Fault::new("table.unfitted", message).hint("`.fit(disk)` gives it a size"));
                }
            }
            let uuid = wish.uuid.map(|uuid| uuid.to_string().to_uppercase());
            tail(&mut text, self.label, wish.kind, uuid, &wish.name, wish.attrs);
        }
        Ok(text)
    }
}

impl Table {
    /// See [`Layout::sfdisk`] and [`Plan::sfdisk`].
    pub fn sfdisk(&self) -> Result<String> {
        match self {
            Table::Plan(plan) => plan.sfdisk(),
            Table::Layout(layout) => Ok(layout.sfdisk()),
        }
    }
}

fn head(label: Label, id: Option<String>, device: Option<&str>) -> String {
    let name = if label == Label::Mbr { "dos" } else { "gpt" };
    let mut text = format!("label: {name}\n");
    if let Some(id) = id {
        let _ = writeln!(text, "label-id: {id}");
    }
    if let Some(device) = device {
        let _ = writeln!(text, "device: {device}");
    }
    text.push_str("unit: sectors\n");
    text
}

/// sfdisk reads `MiB`, `KiB` and sectors, but no bytes.
fn measure(measure: Measure) -> Result<String> {
    match measure {
        Measure::Sectors(sectors) => Ok(format!("{sectors:>12}")),
        Measure::Bytes(bytes) if bytes % (1 << 20) == 0 => Ok(format!("{}MiB", bytes >> 20)),
        Measure::Bytes(bytes) if bytes % 1024 == 0 => Ok(format!("{}KiB", bytes >> 10)),
        Measure::Bytes(bytes) => {
            let message = format!("{bytes} bytes are no whole KiB, and the disk with its sectors is not known");
            Err(Fault::new("table.unfitted", message).hint("`.fit(disk)` turns sizes into sectors"))
        }
    }
}

fn tail(text: &mut String, label: Label, kind: Kind, uuid: Option<String>, name: &str, attrs: u64) {
    let _ = write!(text, ", type={}", kind.code());
    if let Some(uuid) = uuid {
        let _ = write!(text, ", uuid={uuid}");
    }
    // A name has no place in an MBR; sfdisk passes over it there.
    if !name.is_empty() && label == Label::Gpt {
        let _ = write!(text, ", name=\"{}\"", escaped(name));
    }
    match label {
        Label::Mbr if attrs & super::layout::BOOTABLE != 0 => text.push_str(", bootable"),
        Label::Gpt if attrs != 0 => drop(write!(text, ", attrs=\"{}\"", attributes(attrs))),
        _ => {}
    }
    text.push('\n');
}

fn escaped(name: &str) -> String {
    let mut text = String::new();
    for byte in name.bytes() {
        match byte {
            b'"' | b'\\' | b'`' | b'$' | 0..0x20 | 0x7f.. => drop(write!(text, "\\x{byte:02x}")),
            _ => text.push(char::from(byte)),
        }
    }
    text
}

fn attributes(bits: u64) -> String {
    let names = ["RequiredPartition", "NoBlockIOProtocol", "LegacyBIOSBootable"];
    let mut words: Vec<String> = (0..3).filter(|bit| bits >> bit & 1 == 1).map(|bit| names[bit].to_string()).collect();
    let numbers: Vec<String> = (3..64).filter(|bit| bits >> bit & 1 == 1).map(|bit| bit.to_string()).collect();
    if !numbers.is_empty() {
        words.push(format!("GUID:{}", numbers.join(",")));
    }
    words.join(" ")
}
