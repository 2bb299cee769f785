//! pxelinux configuration (wiki.syslinux.org, "SYSLINUX configuration"): a keyword and the rest of its line, no
//! quoting, so one line can never become two.

use super::{Decision, Entry, refuse};
use crate::host::Result;

pub fn render(decision: &Decision) -> Result<String> {
    let mut text = String::new();
    match decision {
        Decision::Menu { title, timeout, entries } => {
            // Timeouts count tenths of a second; 0 waits for ever.
            text.push_str(&format!("UI menu.c32\nTIMEOUT {}\nDEFAULT item0\n", u64::from(*timeout) * 10));
            if !title.is_empty() {
                text.push_str(&format!("MENU TITLE {title}\n"));
            }
            for (at, Entry { title, decision }) in entries.iter().enumerate() {
                text.push_str(&format!("LABEL item{at}\n  MENU LABEL {title}\n"));
                block(&mut text, decision)?;
            }
        }
        single => {
            text.push_str("DEFAULT item0\nPROMPT 0\nLABEL item0\n");
            block(&mut text, single)?;
        }
    }
    Ok(text)
}

fn block(text: &mut String, decision: &Decision) -> Result<()> {
    if let Some((kernel, initrd, cmdline)) = decision.load() {
        // LINUX, not KERNEL: the latter guesses the kind of file by its name.
        text.push_str(&format!("  LINUX {kernel}\n"));
        if let Some(path) = initrd.iter().find(|path| path.contains(',')) {
            return Err(refuse("initrd", path, "holds a comma, which separates files for pxelinux"));
        }
        if !initrd.is_empty() {
            text.push_str(&format!("  INITRD {}\n", initrd.join(",")));
        }
        if cmdline == "-" {
            return Err(refuse("cmdline", &cmdline, "means no command line to pxelinux"));
        }
        if !cmdline.is_empty() {
            text.push_str(&format!("  APPEND {cmdline}\n"));
        }
    } else if let Decision::Chain { path } = decision {
        text.push_str(&format!("  PXE {path}\n"));
    } else {
        text.push_str("  LOCALBOOT 0\n");
    }
    Ok(())
}
