//! `kar new`: a recipe to begin with.

use std::io::Write;
use std::path::PathBuf;

use super::args::New;
use super::exit::Exit;
use super::report::show_fault;
use crate::host::{Fault, Result};

/// What a new recipe says; `NAME` stands for its name.
const TEXT: &str = include_str!("new.rhai");

pub fn new(new: &New) -> Exit {
    match write(&new.name) {
        Ok(path) => {
            println!("{}", path.display());
            Exit::Done
        }
        Err(fault) => {
            show_fault(&fault);
            if fault.kind == "new.name" { Exit::Usage } else { Exit::Failed }
        }
    }
}

/// Writes `NAME.rhai` here.
///
/// # Errors
/// `new.name`: not a name for a recipe; `new.write`: the file is there already, or cannot be written.
fn write(name: &str) -> Result<PathBuf> {
    let name = name.strip_suffix(".rhai").unwrap_or(name);
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
    if !name.starts_with(|c: char| c.is_ascii_lowercase()) || !name.chars().all(plain) {
        let fault = Fault::new("new.name", format!("`{name}` cannot be the name of a recipe"));
        return Err(match suggestion(name) {
            Some(better) => fault.hint(format!("a name is small letters, digits, `-` and `_`: `kar new {better}`")),
            None => fault.hint("a name is small letters, digits, `-` and `_`, a letter first: `kar new classroom`"),
        });
    }
    let path = PathBuf::from(format!("{name}.rhai"));
    let fail = |error| Fault::io("new.write", format_args!("write `{}`", path.display()), error);
    let mut file = std::fs::File::create_new(&path).map_err(|error| {
        let exists = error.kind() == std::io::ErrorKind::AlreadyExists;
        let fault = fail(error);
        if exists { fault.hint("it is left as it is: take another name, or move it away") } else { fault }
    })?;
    file.write_all(TEXT.replace("NAME", name).as_bytes()).map_err(fail)?;
    Ok(path)
}

/// The name that was probably meant: of a path the last part, small, with `_` for what cannot be in it.
fn suggestion(name: &str) -> Option<String> {
    let last = name.rsplit('/').find(|part| !part.is_empty())?;
    let small = last.to_ascii_lowercase();
    let better: String = small.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).collect();
    let better = better.trim_matches(|c: char| !c.is_ascii_lowercase() && !c.is_ascii_digit());
    better.starts_with(|c: char| c.is_ascii_lowercase()).then(|| better.to_string())
}
