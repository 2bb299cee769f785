//! Values as people read them.

use std::fmt::Write;
use std::io::IsTerminal;

use rhai::{Array, Blob, Dynamic, Map};

use super::table;
use crate::cli::report::harmless;
use crate::host::{Cancel, format_size};
use crate::script::Session;

/// What values are shown on.
pub struct Screen {
    pub columns: usize,
    pub colour: bool,
}

impl Screen {
    /// Standard output: coloured on a terminal only, see [`colour`](crate::cli::report::colour).
    pub fn of_stdout() -> Self {
        let stdout = std::io::stdout();
        let colour = stdout.is_terminal() && crate::cli::report::wants_colour();
        // As wide as the terminal says; a serial line says nothing.
        let columns = match stdout.is_terminal() {
            true => console_width().unwrap_or(80),
            false => 100,
        };
        Screen { columns, colour }
    }

    pub fn dim(&self, text: &str) -> String {
        if self.colour { format!("\x1b[2m{text}\x1b[0m") } else { text.to_string() }
    }

    pub fn name(&self, text: &str) -> String {
        if self.colour { format!("\x1b[36m{text}\x1b[0m") } else { text.to_string() }
    }
}

fn console_width() -> Option<usize> {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: TIOCGWINSZ writes a winsize, which is what it is given.
    let done = unsafe { libc::ioctl(libc::STDOUT_FILENO, libc::TIOCGWINSZ, &mut size) };
    (done == 0 && size.ws_col > 0).then_some(size.ws_col.into())
}

/// Elements of a list, and rows of a table.
pub const MOST_ITEMS: usize = 50;
/// Bytes of a blob.
const MOST_BYTES: usize = 256;
/// Characters of a text inside of another value.
const MOST_TEXT: usize = 60;

/// Keys under which numbers are bytes wherever primitives report them.
const BYTES: [&str; 8] = ["bytes", "size", "sector_size", "memory", "sent", "stored", "received", "written"];

/// A value with no newline at its end; empty for `()`. Nothing in it drives the terminal but the screen's own colours.
pub fn value_text(session: &Session, value: &Dynamic, screen: &Screen, cancel: &Cancel) -> String {
    if value.is_unit() {
        return String::new();
    }
    if value.is_string() {
        let text = value.to_string();
        // A text of many lines (a table, a file) is best read as it stands.
        return match text.trim_end().contains('\n') {
            true => harmless(text.trim_end()).into_owned(),
            false => format!("{text:?}"),
        };
    }
    if let Some(blob) = value.read_lock::<Blob>() {
        return hex(&blob, screen);
    }
    if let Some(list) = value.read_lock::<Array>() {
        return list_text(session, &list, screen);
    }
    if let Some(map) = value.read_lock::<Map>() {
        return map_text(session, &map, screen);
    }
    if is_plain(value) {
        return short(session, None, value);
    }
    handle(session, value, screen, cancel)
}

fn is_plain(value: &Dynamic) -> bool {
    value.is_int() || value.is_float() || value.is_bool() || value.is_char() || value.is_fnptr()
}

/// A handle: what it says of itself, or its type and plain properties.
fn handle(session: &Session, value: &Dynamic, screen: &Screen, cancel: &Cancel) -> String {
    let kind = session.type_of(value);
    if let Some(said) = session.says(value).filter(|said| !said.is_empty()) {
        let said = harmless(&said);
        let named = said.contains(&kind) || said.contains('\n');
        return if named { said.trim_end().to_string() } else { format!("{kind}: {said}") };
    }
    let found = session.look(value, cancel);
    let rows: Vec<(String, String)> =
        found.iter().map(|(name, value)| (name.clone(), long(session, name, value))).collect();
    match rows.is_empty() {
        true => kind,
        false => format!("{kind}\n{}", pairs(&rows, screen)),
    }
}

/// Names and values below each other, a step to the right.
fn pairs(rows: &[(String, String)], screen: &Screen) -> String {
    let width = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let line = |(name, value): &(String, String)| {
        let gap = " ".repeat(width - name.chars().count() + 2);
        let value = value.replace('\n', &format!("\n  {}", " ".repeat(width + 2)));
        format!("  {}{gap}{value}", screen.name(name))
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn map_text(session: &Session, map: &Map, screen: &Screen) -> String {
    if map.is_empty() {
        return "#{}".into();
    }
    let rows: Vec<(String, String)> = map
        .iter()
        .take(MOST_ITEMS)
        .map(|(name, value)| {
            let inner = match value.read_lock::<Array>() {
                // A list of maps inside of a map is a table of its own, below the name.
                Some(list) if table::fits(&list) => format!("\n{}", list_text(session, &list, screen)),
                _ => long(session, name, value),
            };
            (name.to_string(), inner)
        })
        .collect();
    let mut text = String::new();
    for (name, value) in &rows {
        if let Some(below) = value.strip_prefix('\n') {
            let _ = writeln!(text, "  {}\n    {}", screen.name(name), below.replace('\n', "\n    "));
        } else {
            let width = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
            let gap = " ".repeat(width - name.chars().count() + 2);
            let _ = writeln!(text, "  {}{gap}{value}", screen.name(name));
        }
    }
    more(&mut text, map.len(), "keys", screen);
    text.trim_end().to_string()
}

fn list_text(session: &Session, list: &Array, screen: &Screen) -> String {
    if table::fits(list) {
        return table::of_maps(session, list, screen);
    }
    let items: Vec<String> = list.iter().take(MOST_ITEMS).map(|item| short(session, None, item)).collect();
    let line = format!("[{}]", items.join(", "));
    if list.len() <= MOST_ITEMS && line.chars().count() <= screen.columns && !line.contains('\n') {
        return line;
    }
    let mut text: String = items.iter().map(|item| format!("  {item}\n")).collect();
    more(&mut text, list.len(), "elements", screen);
    text.trim_end().to_string()
}

/// The count of what is left out.
pub fn more(text: &mut String, all: usize, what: &str, screen: &Screen) {
    if all > MOST_ITEMS {
        let _ = writeln!(text, "{}", screen.dim(&format!("  .. and {} more {what}", all - MOST_ITEMS)));
    }
}

/// A value in a line of its own: the exact number stands behind a size.
fn long(session: &Session, name: &str, value: &Dynamic) -> String {
    match value.as_int() {
        Ok(bytes) if bytes >= 1024 && BYTES.contains(&name) => {
            format!("{} ({bytes})", short(session, Some(name), value))
        }
        _ => short(session, Some(name), value),
    }
}

/// A value in one line, as a part of another one. `name` is the key it stands under.
pub fn short(session: &Session, name: Option<&str>, value: &Dynamic) -> String {
    if let (Ok(number), Some(name)) = (value.as_int(), name)
        && BYTES.contains(&name)
        && let Ok(bytes) = u64::try_from(number)
    {
        return format_size(bytes);
    }
    if value.is_unit() {
        return "()".into();
    }
    if value.is_string() {
        let text = value.to_string();
        let cut = cut(&text, MOST_TEXT);
        return if name.is_some() && !text.is_empty() && !text.contains(['\n', '"']) {
            cut
        } else {
            format!("{cut:?}")
        };
    }
    if let Ok(number) = value.as_float() {
        return float(number);
    }
    if value.is_fnptr() {
        return "a closure".into();
    }
    if let Some(blob) = value.read_lock::<Blob>() {
        return format!("a blob of {}", format_size(blob.len() as u64));
    }
    if let Some(list) = value.read_lock::<Array>() {
        let items: Vec<String> = list.iter().take(MOST_ITEMS).map(|item| short(session, None, item)).collect();
        let line = format!("[{}]", items.join(", "));
        let long = line.chars().count() > MOST_TEXT || list.len() > MOST_ITEMS || table::fits(&list);
        return if long { format!("a list of {}", list.len()) } else { line };
    }
    if let Some(map) = value.read_lock::<Map>() {
        let pairs: Vec<String> = map
            .iter()
            .take(MOST_ITEMS)
            .map(|(name, value)| format!("{name}: {}", short(session, None, value)))
            .collect();
        let line = format!("#{{ {} }}", pairs.join(", "));
        return if line.chars().count() > MOST_TEXT { format!("a map of {}", map.len()) } else { line };
    }
    if value.is_int() || value.is_bool() || value.is_char() {
        return value.to_string();
    }
    match session.says(value).filter(|said| !said.is_empty() && !said.contains('\n')) {
        Some(said) => cut(&harmless(&said), MOST_TEXT),
        None => format!("a {}", session.type_of(value)),
    }
}

/// Three digits behind the point are enough for seconds.
fn float(number: f64) -> String {
    let text = format!("{number:.3}");
    let bare = text.trim_end_matches('0');
    if bare.ends_with('.') { format!("{bare}0") } else { bare.to_string() }
}

fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((at, _)) => format!("{}..", &text[..at]),
        None => text.to_string(),
    }
}

/// Offset, bytes, and what of them is text.
fn hex(blob: &[u8], screen: &Screen) -> String {
    let mut text = format!("a blob of {}", format_size(blob.len() as u64));
    for (row, bytes) in blob[..blob.len().min(MOST_BYTES)].chunks(16).enumerate() {
        let hex: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let (left, right) = hex.split_at(hex.len().min(8));
        let digits = format!("{}  {}", left.join(" "), right.join(" "));
        let shown: String = bytes
            .iter()
            .map(|byte| if byte.is_ascii_graphic() || *byte == b' ' { *byte as char } else { '.' })
            .collect();
        let _ = write!(text, "\n{}  {digits:48}  {shown}", screen.dim(&format!("{:08x}", row * 16)));
    }
    if blob.len() > MOST_BYTES {
        let _ = write!(text, "\n{}", screen.dim(&format!(".. and {} more bytes", blob.len() - MOST_BYTES)));
    }
    text
}
