//! Errors as a person reads them: message, place, the way there, what to do.

use std::borrow::Cow;
use std::fmt::Write;
use std::io::{IsTerminal, Write as _};

use crate::host::Fault;
use crate::script::{Place, Report};

/// Calls that are shown at either end of a long way.
const SHOWN: usize = 8;

/// Shows a report on standard error.
pub fn show(report: &Report) {
    let text = render(report, colour());
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

/// Shows several, with an empty line between them.
pub fn show_all(reports: &[Report]) {
    for (number, report) in reports.iter().enumerate() {
        if number > 0 {
            let _ = std::io::stderr().lock().write_all(b"\n");
        }
        show(report);
    }
}

pub fn show_fault(fault: &Fault) {
    show(&Box::<Report>::from(fault.clone()));
}

/// Colour for standard error: on a terminal, unless NO_COLOR is set.
pub fn colour() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Text that came from anywhere, a name off the network or what a program printed, as a terminal may show it.
pub fn harmless(text: &str) -> Cow<'_, str> {
    let harmful = |c: char| c.is_control() && c != '\n' && c != '\t';
    if !text.contains(harmful) {
        return text.into();
    }
    text.chars().map(|c| if harmful(c) { c.escape_default().to_string() } else { c.to_string() }).collect()
}

/// The whole report; every line ends in a newline.
pub fn render(report: &Report, colour: bool) -> String {
    let (red, blue, off) = if colour { ("\x1b[1;31m", "\x1b[1;34m", "\x1b[0m") } else { ("", "", "") };
    let Report { fault, place, frames } = report;
    let mut text = format!("{red}error[{}]{off}: {}\n", harmless(&fault.kind), harmless(&fault.message));
    if let Some(place) = place {
        snippet(&mut text, place, blue, red, off);
    }
    for (number, frame) in frames.iter().enumerate() {
        // A way of hundreds of calls is one that goes round: its ends say enough.
        if frames.len() > 2 * SHOWN && (SHOWN..frames.len() - SHOWN).contains(&number) {
            if number == SHOWN {
                let _ = writeln!(text, "  .. {} calls more ..", frames.len() - 2 * SHOWN);
            }
            continue;
        }
        let called =
            if frame.called_at.is_empty() { String::new() } else { format!("  called at {}", frame.called_at) };
        let _ = writeln!(text, "  in {}{called}", frame.function);
    }
    if !fault.hints.is_empty() {
        text.push('\n');
    }
    for hint in &fault.hints {
        let _ = writeln!(text, "{blue}hint{off}: {}", harmless(hint));
    }
    text
}

fn snippet(text: &mut String, place: &Place, blue: &str, red: &str, off: &str) {
    let margin = place.line.to_string().len();
    let built_in = if place.built_in { " (built in)" } else { "" };
    let _ = writeln!(text, "{:margin$}{blue}-->{off} {place}{built_in}", "");
    let _ = writeln!(text, "{:margin$} {blue}|{off}", "");
    let _ = writeln!(text, "{blue}{}{off} {blue}|{off} {}", place.line, place.text.trim_end());
    // Tabs stay tabs, so that the caret stands under its word whatever their width.
    let before: String =
        place.text.chars().take(place.column - 1).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
    let _ = writeln!(text, "{:margin$} {blue}|{off} {before}{red}{}{off}", "", "^".repeat(place.width));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_off_the_network_does_not_drive_the_terminal() {
        assert_eq!(harmless("node7\t\u{e4}\n"), "node7\t\u{e4}\n");
        assert_eq!(harmless("\u{1b}[2Jnode\r"), "\\u{1b}[2Jnode\\r");
        let text = render(&Box::<Report>::from(Fault::new("a.b", "\u{7}").hint("\u{9b}1m")), false);
        assert!(!text.contains(['\u{7}', '\u{9b}']), "{text:?}");
    }
}
