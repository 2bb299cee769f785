//! Reads `sfdisk -d` dumps: of today (`label: gpt`) and of before 2014 (`unit: sectors`, `Id=83`).

use uuid::Uuid;

use super::layout::BOOTABLE;
use super::{DiskId, Kind, Label, Measure, Plan, Size, Wish};
use crate::host::{Fault, Result, parse_size};

/// More lines than a table has partitions are no dump.
const MOST_LINES: usize = 4096;

/// Where in the text something is wrong; columns count characters from 1.
pub(super) fn wrong(line: usize, column: usize, why: impl std::fmt::Display) -> Fault {
    Fault::new("table.parse", format!("line {line}, column {column}: {why}"))
}

#[derive(Default)]
struct Header {
    label: Option<Label>,
    /// With line and column.
    id: Option<(usize, usize, String)>,
    device: Option<String>,
    sector_size: Option<u32>,
    first_usable: Option<u64>,
    last_usable: Option<u64>,
    grain: Option<u64>,
    entries: Option<u32>,
}

/// A dump as a plan: starts and sizes as they stand there, missing ones left to be placed.
///
/// # Errors
/// `table.parse` with line and column, `table.kind`, `table.label`.
pub fn parse_dump(text: &str) -> Result<Plan> {
    let mut head = Header::default();
    let mut lines = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let number = index + 1;
        if number > MOST_LINES {
            return Err(wrong(number, 1, format!("more than {MOST_LINES} lines")));
        }
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with('#') {
            continue;
        }
        // A header has one `key: value` and no field; a partition line has fields.
        match trimmed.split_once(':') {
            Some((key, value)) if !value.contains('=') && !key.contains('=') && !value.trim().is_empty() => {
                header(&mut head, number, line, key.trim(), value.trim())?;
            }
            _ => lines.push((number, line)),
        }
    }
    let label = head.label.unwrap_or(Label::Mbr);
    let entries = head.entries.unwrap_or(128);
    let id = head.id.map(|(line, column, id)| disk_id(label, line, column, &id)).transpose()?;
    let mut wishes: Vec<Wish> = Vec::new();
    for (line, text) in lines {
        let Some(wish) = partition(label, line, text)? else { continue };
        if let Some(number) = wish.number {
            if wishes.iter().any(|other| other.number == Some(number)) {
                return Err(wrong(line, 1, format!("partition {number} stands here a second time")));
            }
            let most = if label == Label::Gpt { entries } else { 128 };
            if number == 0 || number > most {
                return Err(wrong(line, 1, format!("partition number {number}: they go from 1 to {most}")));
            }
        }
        wishes.push(wish);
    }
    let Header { device, first_usable, last_usable, grain, sector_size, .. } = head;
    Ok(Plan { label, id, wishes, first_usable, last_usable, grain, sector_size, entries, device })
}

fn header(head: &mut Header, line: usize, text: &str, key: &str, value: &str) -> Result<()> {
    let column = text.chars().take_while(|c| *c != ':').count() + 3;
    let number = || value.parse::<u64>().map_err(|_| wrong(line, column, format!("`{value}` is no number of sectors")));
    match key {
        "label" => head.label = Some(Label::parse(value).map_err(|fault| wrong(line, column, fault.message))?),
        "label-id" => head.id = Some((line, column, value.to_string())),
        "device" => head.device = Some(value.to_string()),
        "unit" if value == "sectors" => {}
        "unit" => return Err(wrong(line, column, format!("unit `{value}`: only sectors are known"))),
        "first-lba" => head.first_usable = Some(number()?),
        "last-lba" => head.last_usable = Some(number()?),
        "sector-size" => match number()? {
            size @ (512 | 4096) => head.sector_size = Some(size as u32),
            size => return Err(wrong(line, column, format!("sectors of {size} bytes: only 512 and 4096 are known"))),
        },
        "table-length" => match u32::try_from(number()?) {
            Ok(entries @ 1..=1024) => head.entries = Some(entries.max(128)),
            _ => return Err(wrong(line, column, format!("a table of {value} entries: 1 to 1024 are possible"))),
        },
        "grain" => head.grain = Some(parse_size(value).map_err(|fault| wrong(line, column, fault.message))?),
        _ => {
            let known = [
                "label",
                "label-id",
                "device",
                "unit",
                "first-lba",
                "last-lba",
                "sector-size",
                "table-length",
                "grain",
            ];
            return Err(wrong(line, 1, format!("`{key}` is no header of a dump")).nearest(key, known));
        }
    }
    Ok(())
}

fn disk_id(label: Label, line: usize, column: usize, text: &str) -> Result<DiskId> {
    let bad = || wrong(line, column, format!("label-id `{text}` is no id of a {} table", label.name()));
    match label {
        Label::Gpt => Uuid::parse_str(text).map(DiskId::Guid).map_err(|_| bad()),
        Label::Mbr => {
            let digits = text.strip_prefix("0x").unwrap_or(text);
            u32::from_str_radix(digits, 16).map(DiskId::Signature).map_err(|_| bad())
        }
    }
}

/// One line `device : start=.., size=.., type=.., ..`; none for an empty entry of an old dump.
fn partition(label: Label, line: usize, text: &str) -> Result<Option<Wish>> {
    let chars: Vec<char> = text.chars().collect();
    let first_field = chars.iter().position(|c| *c == '=').unwrap_or(chars.len());
    // The device ends at the last colon before the fields: names may hold colons themselves.
    let colon = chars[..first_field].iter().rposition(|c| *c == ':');
    let name: String = chars[..colon.unwrap_or(0)].iter().collect();
    let digits: String = name.trim().chars().rev().take_while(char::is_ascii_digit).collect();
    let number: Option<u32> = match digits.chars().rev().collect::<String>() {
        digits if digits.is_empty() => None,
        digits => Some(digits.parse().map_err(|_| wrong(line, 1, format!("partition number {digits} is too big")))?),
    };
    let mut wish = Wish { number, ..Wish::new(Kind::Byte(0x83), Size::Fill) };
    let mut kind = None;
    let mut empty = false;
    for field in fields(line, &chars, colon.map_or(0, |at| at + 1))? {
        let Field { column, key, value } = field;
        let bad = |why: String| wrong(line, column, why);
        let measure = |text: &str| match text.parse::<u64>() {
            Ok(sectors) if sectors > 1 << 54 => Err(bad(format!("{key} {text} is past any disk"))),
            Ok(sectors) => Ok(Measure::Sectors(sectors)),
            Err(_) => parse_size(text).map(Measure::Bytes).map_err(|fault| bad(fault.message)),
        };
        match (key.to_ascii_lowercase().as_str(), value) {
            ("start", Some(value)) => wish.start = Some(measure(&value)?),
            ("size", Some(value)) if value == "+" => wish.size = Size::Fill,
            ("size", Some(value)) => {
                let size = measure(&value)?;
                empty = matches!(size, Measure::Bytes(0) | Measure::Sectors(0));
                wish.size = Size::Fixed(size);
            }
            ("type" | "id", Some(value)) if value == "0" => empty = true,
            ("type" | "id", Some(value)) => {
                kind = Some(
                    Kind::parse(label, &value)
                        .map_err(|fault| Fault { message: bad(fault.message).message, ..fault })?,
                )
            }
            ("uuid", Some(value)) => {
                wish.uuid = Some(Uuid::parse_str(&value).map_err(|_| bad(format!("`{value}` is no UUID")))?)
            }
            ("name", Some(value)) => wish.name = value,
            ("attrs", Some(value)) => wish.attrs |= attributes(&value).map_err(bad)?,
            ("bootable", None) => wish.attrs |= BOOTABLE,
            (_, value) => {
                let what = if value.is_some() { "takes no value or is unknown" } else { "needs a value or is unknown" };
                return Err(bad(format!("field `{key}` {what}"))
                    .nearest(&key, ["start", "size", "type", "uuid", "name", "attrs", "bootable"]));
            }
        }
    }
    if empty {
        return Ok(None);
    }
    wish.kind = match kind {
        Some(kind) => kind,
        None => Kind::parse(label, "linux")?,
    };
    Ok(Some(wish))
}

struct Field {
    column: usize,
    key: String,
    value: Option<String>,
}

/// `key=value` or `key`, between commas; a value may be quoted, with `\xHH` for a byte, as libfdisk writes it.
fn fields(line: usize, chars: &[char], mut at: usize) -> Result<Vec<Field>> {
    let mut fields = Vec::new();
    let skip = |mut at: usize| {
        while chars.get(at).is_some_and(|c| c.is_whitespace()) {
            at += 1;
        }
        at
    };
    loop {
        at = skip(at);
        if at >= chars.len() {
            return Ok(fields);
        }
        let column = at + 1;
        let mut key = String::new();
        while let Some(c) = chars.get(at).filter(|c| !matches!(c, ',' | '=') && !c.is_whitespace()) {
            key.push(*c);
            at += 1;
        }
        at = skip(at);
        let mut value = None;
        if chars.get(at) == Some(&'=') {
            at = skip(at + 1);
            let (text, end) = if chars.get(at) == Some(&'"') { quoted(line, chars, at)? } else { bare(chars, at) };
            value = Some(text);
            at = skip(end);
        }
        if key.is_empty() {
            return Err(wrong(line, column, "a field has no name"));
        }
        fields.push(Field { column, key, value });
        match chars.get(at) {
            Some(',') => at += 1,
            None => {}
            Some(c) => {
                return Err(wrong(line, at + 1, format!("`{c}` where a comma or the end of the line should be")));
            }
        }
    }
}

fn bare(chars: &[char], at: usize) -> (String, usize) {
    let end = chars[at..].iter().position(|c| *c == ',').map_or(chars.len(), |length| at + length);
    (chars[at..end].iter().collect::<String>().trim().to_string(), end)
}

fn quoted(line: usize, chars: &[char], open: usize) -> Result<(String, usize)> {
    let mut bytes = Vec::new();
    let mut at = open + 1;
    loop {
        match chars.get(at) {
            None => return Err(wrong(line, open + 1, "a quote is not closed")),
            Some('"') => break,
            Some('\\') if chars.get(at + 1) == Some(&'x') => {
                let hex: String = chars[at + 2..].iter().take(2).collect();
                let byte = (hex.len() == 2).then(|| u8::from_str_radix(&hex, 16).ok()).flatten();
                bytes.push(byte.ok_or_else(|| wrong(line, at + 1, "`\\x` needs two hexadecimal digits"))?);
                at += 4;
            }
            Some(c) => {
                bytes.extend(c.encode_utf8(&mut [0; 4]).bytes());
                at += 1;
            }
        }
    }
    let text = String::from_utf8(bytes).map_err(|_| wrong(line, open + 1, "the text is not UTF-8"))?;
    Ok((text, at + 1))
}

/// `RequiredPartition LegacyBIOSBootable GUID:48,60`: names and numbers of bits.
fn attributes(text: &str) -> std::result::Result<u64, String> {
    let mut bits = 0;
    for word in text.split([' ', ',']).filter(|word| !word.is_empty()) {
        bits |= match word.strip_prefix("GUID:").unwrap_or(word) {
            "RequiredPartition" => 1,
            "NoBlockIOProtocol" => 2,
            "LegacyBIOSBootable" => BOOTABLE,
            digits => match digits.parse::<u32>() {
                Ok(bit @ 0..=63) => 1 << bit,
                _ => return Err(format!("`{word}` is no attribute")),
            },
        };
    }
    Ok(bits)
}
