//! What a node is told at a network boot.

use serde::{Deserialize, Serialize};

use super::{cmdline, refuse};
use crate::host::{Fault, Result};

/// The longest kernel command line that x86 takes (COMMAND_LINE_SIZE 2048, with its end).
const CMDLINE: usize = 2047;
/// The longest path: what TFTP servers and boot loaders take in one request packet.
const PATH: usize = 255;

/// Scripts see a map whose `boot` names the kind: `#{ boot: "linux", kernel, initrd, cmdline }`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "boot", rename_all = "lowercase", deny_unknown_fields)]
pub enum Decision {
    /// Loads a kernel. Paths are as the boot loader fetches them: relative to its server, or URLs.
    Linux {
        kernel: String,
        #[serde(default)]
        initrd: Vec<String>,
        #[serde(default)]
        cmdline: String,
    },
    /// kar itself, started on the node with the recipe's function `entry`. `cmdline` holds its arguments
    /// (`kar.NAME=VALUE`) and what the kernel takes beyond `kar.entry=ENTRY`.
    Kar {
        entry: String,
        kernel: String,
        #[serde(default)]
        initrd: Vec<String>,
        #[serde(default)]
        cmdline: String,
    },
    /// Goes on with the firmware's next boot device.
    Local {},
    /// Hands over to another loader or script.
    Chain { path: String },
    /// Lets a person at the console choose; after `timeout` seconds the first entry boots, 0 waits for ever.
    Menu {
        #[serde(default)]
        title: String,
        #[serde(default)]
        timeout: u32,
        entries: Vec<Entry>,
    },
}

/// One line of a menu.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    pub title: String,
    pub decision: Decision,
}

/// The word that makes a kernel's boot one of kar.
pub(super) const ENTRY: &str = "kar.entry=";

/// kar on a node, with `arguments` as `kar.NAME=VALUE` and then `more` on its command line.
pub fn kar(
    entry: &str,
    kernel: &str,
    initrd: Vec<String>,
    more: &str,
    arguments: &[(String, String)],
) -> Result<Decision> {
    let mut line = Vec::new();
    for (name, value) in arguments {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        if name.is_empty() || name == "entry" || !name.chars().all(plain) {
            return Err(refuse("argument", name, "is no name for an argument of kar"));
        }
        if value.contains('"') {
            return Err(refuse(name, value, "holds a double quote, which no kernel command line can"));
        }
        line.push(cmdline::quote(&format!("kar.{name}={value}")));
    }
    line.extend(Some(cmdline::tidy(more)).filter(|more| !more.is_empty()));
    let decision = Decision::Kar { entry: entry.into(), kernel: kernel.into(), initrd, cmdline: line.join(" ") };
    decision.check().map(|()| decision)
}

impl Decision {
    /// What a boot loader is to load: kernel, initial ramdisks, whole command line. `None` for other decisions.
    pub fn load(&self) -> Option<(&str, &[String], String)> {
        match self {
            Decision::Linux { kernel, initrd, cmdline } => Some((kernel, initrd, cmdline.clone())),
            Decision::Kar { entry, kernel, initrd, cmdline } => {
                let blank = if cmdline.is_empty() { "" } else { " " };
                Some((kernel, initrd, format!("{ENTRY}{entry}{blank}{cmdline}")))
            }
            _ => None,
        }
    }

    /// What no boot loader can be told: refused when made, so that the script's line shows.
    pub fn check(&self) -> Result<()> {
        match self {
            Decision::Local {} => Ok(()),
            Decision::Chain { path } => check_path("path", path),
            Decision::Kar { entry, .. }
                if entry.is_empty() || !entry.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') =>
            {
                Err(refuse("entry", entry, "is no name of a recipe's function"))
            }
            Decision::Linux { cmdline, .. } | Decision::Kar { cmdline, .. } if cmdline.starts_with(ENTRY) => {
                Err(refuse("cmdline", cmdline, "starts as only kar's own does")
                    .hint("to boot kar: boot::kar(\"install\")"))
            }
            Decision::Linux { kernel, initrd, cmdline } | Decision::Kar { kernel, initrd, cmdline, .. } => {
                check_path("kernel", kernel)?;
                initrd.iter().try_for_each(|path| check_path("initrd", path))?;
                check_line("cmdline", cmdline)?;
                if cmdline.len() > CMDLINE {
                    let length = cmdline.len();
                    return Err(Fault::new(
                        "boot.value",
                        format!("cmdline has {length} bytes, the kernel takes {CMDLINE}"),
                    ));
                }
                if cmdline.matches('"').count() % 2 != 0 {
                    return Err(refuse("cmdline", cmdline, "has a double quote without its partner"));
                }
                Ok(())
            }
            Decision::Menu { title, entries, .. } => {
                check_line("title", title)?;
                if entries.is_empty() || entries.len() > 100 {
                    let count = entries.len();
                    return Err(Fault::new("boot.value", format!("a menu has 1 to 100 entries, not {count}")));
                }
                for entry in entries {
                    check_line("title", &entry.title)?;
                    if entry.title.is_empty() {
                        return Err(refuse("title", "", "of a menu entry is empty"));
                    }
                    if matches!(entry.decision, Decision::Menu { .. }) {
                        return Err(refuse("menu", &entry.title, "stands inside a menu"));
                    }
                    entry.decision.check()?;
                }
                Ok(())
            }
        }
    }
}

/// One line, blanks single (boot loaders make them so), no control characters.
fn check_line(what: &str, text: &str) -> Result<()> {
    if text.chars().any(char::is_control) {
        return Err(refuse(what, text, "holds a line end or another control character"));
    }
    if text.trim() != text || text.contains("  ") || text.chars().any(|c| c.is_whitespace() && c != ' ') {
        return Err(refuse(what, text, "holds doubled or outer blanks, which boot loaders drop"));
    }
    Ok(())
}

fn check_path(what: &str, path: &str) -> Result<()> {
    if path.is_empty() || path.len() > PATH {
        return Err(refuse(what, path, &format!("has {} bytes, a path has 1 to {PATH}", path.len())));
    }
    if path.chars().any(|c| c.is_control() || c.is_whitespace() || matches!(c, '"' | '\'')) {
        return Err(refuse(what, path, "holds a blank, a quote or a control character: no boot loader fetches that"));
    }
    if path.starts_with(['-', '#']) {
        return Err(refuse(what, path, "starts like an option or a comment"));
    }
    Ok(())
}
