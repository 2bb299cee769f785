//! Reads Ka-deploy's partition description: one line for each partition, `[logical] TYPE SIZE`.

use super::dump::wrong;
use super::{Kind, Label, Measure, Plan, Size, Wish};
use crate::host::Result;

/// A description as a plan for an MBR. TYPE is `linux`, `swap`, `extended` or `typeHH` (hexadecimal), SIZE megabytes
/// (of 2^20 bytes) or `fill`; `#` starts a comment. Primary partitions number from 1, logical ones from 5.
///
/// # Errors
/// `table.parse` with line and column.
pub fn parse_description(text: &str) -> Result<Plan> {
    let mut wishes = Vec::new();
    let mut extended = false;
    for (index, line) in text.lines().enumerate() {
        let line_number = index + 1;
        let content = line.split('#').next().unwrap_or("");
        let mut words = words(content).into_iter().peekable();
        if words.peek().is_none() {
            continue;
        }
        let logical = words.next_if(|(_, word)| *word == "logical").is_some();
        let end = content.trim_end().chars().count() + 1;
        let (column, kind) = words.next().ok_or_else(|| wrong(line_number, end, "the type is missing"))?;
        let kind = kind_of(kind).ok_or_else(|| {
            wrong(line_number, column, format!("`{kind}` is no type"))
                .nearest(kind, ["linux", "swap", "extended", "logical"])
                .hint("types: linux, swap, extended, type and two hexadecimal digits")
        })?;
        if logical && !extended {
            return Err(wrong(line_number, 1, "a logical partition before any extended one"));
        }
        if kind.is_extended() && (logical || extended) {
            return Err(wrong(line_number, column, "a second or logical extended partition"));
        }
        extended |= kind.is_extended();
        let (column, size) = words.next().ok_or_else(|| wrong(line_number, end, "the size is missing"))?;
        let size = match size {
            "fill" => Size::Fill,
            number => match number.parse::<u64>().ok().filter(|size| (1..1 << 40).contains(size)) {
                Some(megabytes) => Size::Fixed(Measure::Bytes(megabytes << 20)),
                None => return Err(wrong(line_number, column, format!("`{size}` is neither megabytes nor `fill`"))),
            },
        };
        if let Some((column, word)) = words.next() {
            return Err(wrong(line_number, column, format!("`{word}` after the size")));
        }
        if wishes.len() >= 128 {
            return Err(wrong(line_number, 1, "more than 128 partitions"));
        }
        wishes.push(Wish { logical: Some(logical), ..Wish::new(kind, size) });
    }
    Ok(Plan::new(Label::Mbr, wishes))
}

fn kind_of(word: &str) -> Option<Kind> {
    match word {
        "linux" => Some(Kind::Byte(0x83)),
        "swap" => Some(Kind::Byte(0x82)),
        "extended" => Some(Kind::Byte(0x05)),
        other => {
            let digits = other.strip_prefix("type").filter(|d| (1..=2).contains(&d.len()))?;
            let hex = digits.bytes().all(|b| b.is_ascii_hexdigit());
            hex.then(|| u8::from_str_radix(digits, 16).ok())?.filter(|byte| *byte != 0).map(Kind::Byte)
        }
    }
}

/// Words with their columns, in characters from 1.
fn words(line: &str) -> Vec<(usize, &str)> {
    line.split_whitespace()
        .map(|word| {
            let offset = word.as_ptr() as usize - line.as_ptr() as usize;
            (line[..offset].chars().count() + 1, word)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::{Geometry, Table};
    use super::*;

    const ICLUSTER: &str =
        "# icluster\nlinux 2000\ntype6 32\n\nextended fill # the rest\nlogical swap 512\nlogical linux fill\n";

    #[test]
    fn a_description_becomes_a_table() {
        let Ok(Table::Plan(plan)) = Table::parse(ICLUSTER) else { panic!("not read") };
        let layout = plan.fit(Geometry { sectors: 8 << 21, sector_size: 512 }).unwrap();
        let parts: Vec<_> = layout.partitions.iter().map(|p| (p.number, p.kind.code(), p.size >> 11)).collect();
        let expected = [(1, "83", 2000), (2, "6", 32), (3, "5", 6159), (5, "82", 512), (6, "83", 5645)];
        assert_eq!(parts, expected.map(|(number, code, size)| (number, code.to_string(), size)));
    }

    #[test]
    fn errors_name_line_and_column() {
        for (text, place) in [
            ("linux 10\nlinus 5", "line 2, column 1: `linus` is no type"),
            ("linux", "line 1, column 6: the size is missing"),
            ("logical linux 5", "line 1, column 1: a logical partition before any extended one"),
            ("swap  -5", "line 1, column 7: `-5` is neither megabytes nor `fill`"),
            ("swap 5 6", "line 1, column 8: `6` after the size"),
        ] {
            assert_eq!(parse_description(text).unwrap_err().message, place);
        }
    }
}
