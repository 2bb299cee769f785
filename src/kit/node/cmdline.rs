//! What the boot loader told the kernel, and through it kar.

use std::collections::BTreeMap;

use crate::host::{Fault, Result};

/// The kernel's command line.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Cmdline {
    /// `root=LABEL=x` is `root` and `LABEL=x`; a word alone has an empty value; of repeated names the last counts.
    pub words: BTreeMap<String, String>,
    /// The words that begin with `kar.`, without it: `kar.server=10.0.0.1` is `server`.
    pub kar: BTreeMap<String, String>,
}

/// # Errors
/// `node.cmdline`: /proc is not mounted.
pub fn cmdline() -> Result<Cmdline> {
    let text =
        std::fs::read("/proc/cmdline").map_err(|error| Fault::io("node.cmdline", "read `/proc/cmdline`", error))?;
    Ok(parse(&String::from_utf8_lossy(&text)))
}

/// As the kernel splits it (lib/cmdline.c, next_arg): at white space outside of double quotes; quotes go; what follows
/// `--` is for init.
fn parse(text: &str) -> Cmdline {
    let mut line = Cmdline::default();
    let mut quoted = false;
    let words = text.trim_matches('\0').split(|c: char| {
        quoted ^= c == '"';
        c.is_ascii_whitespace() && !quoted
    });
    for word in words.filter(|word| !word.is_empty()).take_while(|word| *word != "--") {
        let plain = word.replace('"', "");
        let (name, value) = plain.split_once('=').unwrap_or((&plain, ""));
        let (map, name) = match name.strip_prefix("kar.") {
            Some(name) => (&mut line.kar, name),
            None => (&mut line.words, name),
        };
        map.insert(name.to_string(), value.to_string());
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(map: &BTreeMap<String, String>) -> Vec<(&str, &str)> {
        map.iter().map(|(name, value)| (&**name, &**value)).collect()
    }

    #[test]
    fn words_values_quotes_and_ours() {
        let text = "BOOT_IMAGE=/vmlinuz root=LABEL=root quiet console=tty0 console=ttyS0,115200 \
                    kar.server=10.0.0.1 kar.title=\"two words\" \"kar.note=a b\" kar.debug -- single kar.late=1\n";
        let line = parse(text);
        let wanted = [("BOOT_IMAGE", "/vmlinuz"), ("console", "ttyS0,115200"), ("quiet", ""), ("root", "LABEL=root")];
        assert_eq!(pairs(&line.words), wanted);
        let wanted = [("debug", ""), ("note", "a b"), ("server", "10.0.0.1"), ("title", "two words")];
        assert_eq!(pairs(&line.kar), wanted);
    }

    #[test]
    fn odd_lines_are_no_trouble() {
        assert_eq!(parse(""), Cmdline::default());
        assert_eq!(pairs(&parse("a=\"open to the end").words), [("a", "open to the end")]);
        assert_eq!(pairs(&parse("= =x kar.").words), [("", "x")]);
    }
}
