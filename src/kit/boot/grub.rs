//! GRUB 2 scripts (GRUB manual, "Writing full configuration files directly").

use super::{Decision, Entry, cmdline, refuse};
use crate::host::Result;

pub fn render(decision: &Decision) -> Result<String> {
    let mut text = String::new();
    match decision {
        Decision::Menu { title, timeout, entries } => {
            let timeout = if *timeout == 0 { -1 } else { i64::from(*timeout) };
            text.push_str(&format!("set default=0\nset timeout={timeout}\n"));
            if !title.is_empty() {
                text.push_str(&format!("echo {}\n", quote("title", title)?));
            }
            for Entry { title, decision } in entries {
                text.push_str(&format!("menuentry {} {{\n", quote("title", title)?));
                block(&mut text, decision)?;
                text.push_str("}\n");
            }
        }
        single => block(&mut text, single)?,
    }
    Ok(text)
}

fn block(text: &mut String, decision: &Decision) -> Result<()> {
    if let Some((kernel, initrd, cmdline)) = decision.load() {
        text.push_str(&format!("linux {}", path("kernel", kernel)?));
        // GRUB quotes words with blanks for the kernel itself, and escapes what it finds inside.
        for word in cmdline::words(&cmdline) {
            text.push_str(&format!(" {}", quote("cmdline", &word)?));
        }
        text.push('\n');
        if !initrd.is_empty() {
            text.push_str("initrd");
            for file in initrd {
                text.push_str(&format!(" {}", path("initrd", file)?));
            }
            text.push('\n');
        }
        text.push_str("boot\n");
    } else if let Decision::Chain { path: file } = decision {
        text.push_str(&format!("chainloader {}\nboot\n", path("path", file)?));
    } else {
        text.push_str("exit\n");
    }
    Ok(())
}

/// GRUB's paths start at the root of the device it came from; URLs it does not know.
fn path(what: &str, path: &str) -> Result<String> {
    if path.contains("://") {
        return Err(refuse(what, path, "is a URL, which GRUB does not fetch"));
    }
    let absolute = path.starts_with(['/', '(']);
    quote(what, &if absolute { path.to_string() } else { format!("/{path}") })
}

/// In single quotes GRUB takes everything as it stands, but for the quote; the backslash it would double for the kernel.
fn quote(what: &str, word: &str) -> Result<String> {
    if word.contains(['\'', '\\']) {
        return Err(refuse(what, word, "holds a single quote or a backslash, which GRUB does not hand on unchanged"));
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || "/.,_-=:+@%()".contains(c);
    Ok(if !word.is_empty() && word.chars().all(plain) { word.to_string() } else { format!("'{word}'") })
}
