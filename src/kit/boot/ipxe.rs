//! iPXE scripts (ipxe.org/scripting; word splitting as in iPXE's src/core/exec.c: blanks only, no quoting).

use super::decision::ENTRY;
use super::{Decision, Entry, refuse};
use crate::host::{Fault, Result};

pub fn render(decision: &Decision) -> Result<String> {
    let mut script = String::from("#!ipxe\n");
    match decision {
        Decision::Menu { title, timeout, entries } => menu(&mut script, title, *timeout, entries)?,
        single => block(&mut script, single)?,
    }
    Ok(script)
}

fn menu(script: &mut String, title: &str, timeout: u32, entries: &[Entry]) -> Result<()> {
    line(script, "menu", &[("title", title)])?;
    for (at, entry) in entries.iter().enumerate() {
        line(script, &format!("item item{at}"), &[("title", &entry.title)])?;
    }
    script.push_str("choose --default item0 ");
    if timeout > 0 {
        script.push_str(&format!("--timeout {} ", u64::from(timeout) * 1000));
    }
    script.push_str("picked || goto item0\ngoto ${picked}\n");
    for (at, entry) in entries.iter().enumerate() {
        script.push_str(&format!(":item{at}\n"));
        block(script, &entry.decision)?;
    }
    Ok(())
}

fn block(script: &mut String, decision: &Decision) -> Result<()> {
    if let Some((kernel, initrd, cmdline)) = decision.load() {
        line(script, "kernel", &[("kernel", kernel), ("cmdline", &cmdline)])?;
        for path in initrd {
            line(script, "initrd", &[("initrd", path)])?;
        }
        script.push_str("boot\n");
    } else if let Decision::Chain { path } = decision {
        line(script, "chain", &[("path", path)])?;
    } else {
        // Not well: UEFI firmware that hears of success shows its menu instead of going on to the disk.
        script.push_str("exit 1\n");
    }
    Ok(())
}

/// A command and its words. iPXE has no quoting: what it would take for its own is refused.
fn line(script: &mut String, command: &str, values: &[(&str, &str)]) -> Result<()> {
    script.push_str(command);
    for (what, value) in values.iter().filter(|(_, value)| !value.is_empty()) {
        if value.contains("${") {
            return Err(refuse(what, value, "holds `${`, which iPXE would replace by a setting of its own"));
        }
        if value.split(' ').any(|word| word.starts_with('#') || matches!(word, ";" | "&&" | "||")) {
            return Err(refuse(what, value, "holds a word that iPXE takes for a comment or a separator"));
        }
        if *what == "title" && value.starts_with('-') {
            return Err(refuse(what, value, "starts like an option of iPXE"));
        }
        script.push(' ');
        script.push_str(value);
    }
    script.push('\n');
    Ok(())
}

/// A script longer than this is not one of ours.
const LIMIT: usize = 1 << 20;

/// The decision in an iPXE script, as far as [`render`] writes them; blank lines and comments may stand between.
///
/// # Errors
/// `boot.read`: not an iPXE script, or one that does more than a decision can say; names the line.
pub fn read(text: &str) -> Result<Decision> {
    if text.len() > LIMIT {
        return Err(Fault::new("boot.read", format!("a boot script of {} bytes is longer than {LIMIT}", text.len())));
    }
    let mut lines = Lines { lines: text.lines().enumerate(), number: 0 };
    if lines.lines.next().is_none_or(|(_, first)| first.trim_end() != "#!ipxe") {
        return Err(Fault::new("boot.read", "cannot read the boot script: its first line is not `#!ipxe`"));
    }
    let decision = match lines.next()? {
        ("menu", title) => read_menu(&mut lines, title)?,
        first => read_block(&mut lines, first)?,
    };
    if let Some((command, _)) = lines.take() {
        return Err(lines.wrong(&format!("`{command}` stands after the end")));
    }
    decision.check().map_err(|fault| Fault { kind: "boot.read".into(), ..fault })?;
    Ok(decision)
}

struct Lines<'a> {
    lines: std::iter::Enumerate<std::str::Lines<'a>>,
    /// Of the line last taken, from 1.
    number: usize,
}

impl<'a> Lines<'a> {
    /// The next command and the rest of its line.
    fn take(&mut self) -> Option<(&'a str, &'a str)> {
        for (at, line) in self.lines.by_ref() {
            let line = line.trim();
            if !line.is_empty() && !line.starts_with('#') {
                self.number = at + 1;
                return Some(line.split_once(' ').map_or((line, ""), |(command, rest)| (command, rest.trim_start())));
            }
        }
        None
    }

    fn next(&mut self) -> Result<(&'a str, &'a str)> {
        self.take().ok_or_else(|| Fault::new("boot.read", "the boot script ends before it boots anything"))
    }

    fn wrong(&self, why: &str) -> Fault {
        Fault::new("boot.read", format!("line {} of the boot script: {why}", self.number))
    }
}

fn read_block<'a>(lines: &mut Lines<'a>, first: (&'a str, &'a str)) -> Result<Decision> {
    match first {
        ("exit", "" | "0" | "1") => Ok(Decision::Local {}),
        ("chain", path) => Ok(Decision::Chain { path: path.into() }),
        ("kernel", rest) => {
            let (kernel, cmdline) = rest.split_once(' ').unwrap_or((rest, ""));
            let mut initrd = Vec::new();
            loop {
                match lines.next()? {
                    ("initrd", path) => initrd.push(path.to_string()),
                    ("boot", "") => break,
                    (command, _) => return Err(lines.wrong(&format!("`{command}` between kernel and boot"))),
                }
            }
            let kernel = kernel.to_string();
            Ok(match cmdline.strip_prefix(ENTRY) {
                Some(rest) => {
                    let (entry, cmdline) = rest.split_once(' ').unwrap_or((rest, ""));
                    Decision::Kar { entry: entry.into(), kernel, initrd, cmdline: cmdline.into() }
                }
                None => Decision::Linux { kernel, initrd, cmdline: cmdline.into() },
            })
        }
        (command, _) => Err(lines.wrong(&format!("`{command}` is not part of a boot decision"))),
    }
}

fn read_menu(lines: &mut Lines<'_>, title: &str) -> Result<Decision> {
    let mut titles = Vec::new();
    let choose = loop {
        match lines.next()? {
            ("item", rest) => {
                let title = rest.strip_prefix(&format!("item{} ", titles.len()));
                titles.push(title.ok_or_else(|| lines.wrong("an item out of order"))?.to_string());
            }
            ("choose", rest) => break rest,
            (command, _) => return Err(lines.wrong(&format!("`{command}` inside a menu"))),
        }
    };
    let words: Vec<&str> = choose.split(' ').collect();
    let timeout = match words[..] {
        ["--default", "item0", "picked", "||", "goto", "item0"] => Some(0),
        ["--default", "item0", "--timeout", ms, "picked", "||", "goto", "item0"] => {
            ms.parse::<u64>().ok().filter(|ms| ms % 1000 == 0 && *ms > 0).and_then(|ms| u32::try_from(ms / 1000).ok())
        }
        _ => None,
    };
    let timeout = timeout.ok_or_else(|| lines.wrong("a choice of another form"))?;
    if lines.next()? != ("goto", "${picked}") {
        return Err(lines.wrong("a menu goes to what was picked"));
    }
    let mut entries = Vec::new();
    for (at, title) in titles.into_iter().enumerate() {
        if lines.next()? != (format!(":item{at}").as_str(), "") {
            return Err(lines.wrong("an item without its part"));
        }
        let first = lines.next()?;
        entries.push(Entry { title, decision: read_block(lines, first)? });
    }
    Ok(Decision::Menu { title: title.into(), timeout, entries })
}
