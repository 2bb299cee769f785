//! Reads an fstab, line by line, so that a line can be written again as it stood.

use crate::host::{Fault, Result};

/// One line of an fstab.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FstabLine {
    /// From 1.
    pub number: usize,
    /// As it stands in the file, without its end.
    pub text: String,
    /// None: a comment or an empty line.
    pub entry: Option<FstabEntry>,
}

/// What a line mounts, fstab(5). Blanks written as `\040` and the like are what they stand for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FstabEntry {
    /// `UUID=..`, `/dev/sda1`, `server:/home`, `tmpfs`, ..
    pub spec: String,
    /// A folder; `none` or `swap` for swap.
    pub dir: String,
    pub kind: String,
    /// `defaults` where the line has none.
    pub options: String,
    pub dump: u32,
    pub pass: u32,
    /// The line from behind its first word on, with its blanks.
    pub rest: String,
}

/// All lines of an fstab.
///
/// # Errors
/// `fs.fstab`: a line has fewer than three words, a number that is none, or more than six words. What follows a word with `#` is a
/// comment.
pub fn fstab(text: &str) -> Result<Vec<FstabLine>> {
    let line = |(index, text): (usize, &str)| {
        let text = text.strip_suffix('\r').unwrap_or(text);
        Ok(FstabLine { number: index + 1, text: text.to_string(), entry: entry(text, index + 1)? })
    };
    text.lines().enumerate().map(line).collect()
}

fn entry(text: &str, number: usize) -> Result<Option<FstabEntry>> {
    let content = text.trim_start();
    if content.is_empty() || content.starts_with('#') {
        return Ok(None);
    }
    let wrong = |why: String| {
        Fault::new("fs.fstab", format!("line {number} of the fstab: {why}: `{}`", text.trim()))
            .hint("a line is: device, folder, kind, options, dump, pass; fstab(5)")
    };
    let words = content.split([' ', '\t']).filter(|word| !word.is_empty());
    let words: Vec<&str> = words.take_while(|word| !word.starts_with('#')).collect();
    let [spec, dir, kind, ..] = words[..] else {
        return Err(wrong(format!("{} words, at least 3 are wanted", words.len())));
    };
    let count = |at: usize, what: &str| match words.get(at) {
        None => Ok(0),
        Some(word) => word.parse::<u32>().map_err(|_| wrong(format!("`{what}` is a number, not `{word}`"))),
    };
    let options = words.get(3).copied().unwrap_or("defaults");
    if words.len() > 6 {
        return Err(wrong(format!("{} words, 6 at most", words.len())));
    }
    Ok(Some(FstabEntry {
        spec: decoded(spec),
        dir: decoded(dir),
        kind: decoded(kind),
        options: decoded(options),
        dump: count(4, "dump")?,
        pass: count(5, "pass")?,
        rest: content.strip_prefix(spec).unwrap_or("").to_string(),
    }))
}

/// `\040` is a blank, getmntent(3). LABEL and the like may be in quotes, as libmount reads them.
fn decoded(word: &str) -> String {
    let plain = crate::kit::disk::unescape(word);
    match plain.split_once("=\"") {
        Some((tag, value)) if value.ends_with('"') && tag.chars().all(|c| c.is_ascii_uppercase()) => {
            format!("{tag}={}", &value[..value.len() - 1])
        }
        _ => plain,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lines_are_read_and_kept() {
        let text = "# static\n\nUUID=ab-1 /  ext4\terrors=remount-ro 0 1\n \tLABEL=\"my\\040disk\" /srv\\040x xfs\n\
                    nas:/home /home nfs rw,soft # over there\nnone /tmp tmpfs size=1g 0 0 # mine\n/swapfile none swap sw";
        let lines = fstab(text).unwrap();
        assert_eq!(lines.iter().map(|line| line.text.as_str()).collect::<Vec<_>>().join("\n"), text);
        let entry = |at: usize| lines[at].entry.clone().unwrap();
        assert!(lines[0].entry.is_none() && lines[1].entry.is_none());
        assert_eq!((lines[2].number, entry(2).pass, entry(2).options.as_str()), (3, 1, "errors=remount-ro"));
        assert_eq!(entry(2).rest, " /  ext4\terrors=remount-ro 0 1");
        assert_eq!((entry(3).spec.as_str(), entry(3).dir.as_str()), ("LABEL=my disk", "/srv x"));
        assert_eq!((entry(3).options.as_str(), entry(3).pass), ("defaults", 0));
        assert_eq!((entry(4).options.as_str(), entry(4).dump), ("rw,soft", 0));
        assert_eq!(entry(5).pass, 0);
    }

    #[test]
    fn errors_name_the_line() {
        for (text, place) in [
            ("proc /proc proc\nUUID=1 /", "line 2 of the fstab: 2 words, at least 3 are wanted: `UUID=1 /`"),
            ("a / ext4 rw no 1", "line 1 of the fstab: `dump` is a number, not `no`: `a / ext4 rw no 1`"),
            ("a / ext4 rw 0 -1", "line 1 of the fstab: `pass` is a number, not `-1`: `a / ext4 rw 0 -1`"),
            ("a / ext4 rw 0 1 2", "line 1 of the fstab: 7 words, 6 at most: `a / ext4 rw 0 1 2`"),
        ] {
            let fault = fstab(text).unwrap_err();
            assert_eq!((fault.kind.as_ref(), fault.message.as_str()), ("fs.fstab", place));
        }
    }

    proptest! {
        #[test]
        fn anything_is_read_or_refused(text in "([ -~\t\\\\]{0,40}\n){0,6}") {
            if let Ok(lines) = fstab(&text) {
                for line in lines {
                    let Some(entry) = line.entry else { continue };
                    prop_assert!(line.text.ends_with(&entry.rest) && !entry.kind.is_empty());
                }
            }
        }
    }
}
