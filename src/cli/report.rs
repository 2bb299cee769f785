//! Errors as a person reads them: message, place, the way there, what to do.

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

pub fn show_fault(fault: &Fault) {
    show(&Box::<Report>::from(fault.clone()));
}

/// Colour for standard error: on a terminal, unless NO_COLOR is set.
pub fn colour() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// The whole report; every line ends in a newline.
pub fn render(report: &Report, colour: bool) -> String {
    let (red, blue, off) = if colour { ("\x1b[1;31m", "\x1b[1;34m", "\x1b[0m") } else { ("", "", "") };
    let Report { fault, place, frames } = report;
    let mut text = format!("{red}error[{}]{off}: {}\n", fault.kind, fault.message);
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
        let _ = writeln!(text, "{blue}hint{off}: {hint}");
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
