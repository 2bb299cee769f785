//! `kar lib` and `kar recipes`: what travels in the binary, and copies of it to edit.

use std::path::{Path, PathBuf};

use super::args::{Lib, Recipes};
use super::exit::Exit;
use super::report::show_fault;
use crate::host::{Fault, Result};
use crate::script::{Library, Script};

pub fn lib(args: &Lib) -> Exit {
    let library = Library::new(args.lib.clone());
    let modules = library.here().modules();
    match &args.copy {
        None => {
            let origin =
                |found: &Result<Script>| found.as_ref().map_or(String::new(), |script| script.origin.to_string());
            let width = modules.iter().map(|(_, found)| origin(found).len()).max().unwrap_or(0);
            for (name, found) in &modules {
                let about = found.as_ref().map_or_else(|fault| fault.message.clone(), first_line);
                println!("{name:14} {:width$}  {about}", origin(found));
            }
            Exit::Done
        }
        Some(name) => {
            let name = if name.starts_with("std/") { name.clone() } else { format!("std/{name}") };
            end(library.module(&name, None).and_then(|script| copy(&script, Path::new("stdlib"))))
        }
    }
}

pub fn recipes(args: &Recipes) -> Exit {
    let library = Library::default();
    match &args.copy {
        None => {
            for script in library.recipes() {
                let name = script.name.trim_start_matches("recipes/").trim_end_matches(".rhai");
                println!("{name:14} {}", first_line(&script));
            }
            Exit::Done
        }
        Some(name) => end(library.recipe(name).and_then(|script| copy(&script, Path::new(".")))),
    }
}

fn first_line(script: &Script) -> String {
    script.about().first().unwrap_or(&"").to_string()
}

/// Writes a script into `dir`; a file that is there already is left alone.
fn copy(script: &Script, dir: &Path) -> Result<PathBuf> {
    let name = Path::new(&script.name).file_name().unwrap_or_default();
    let path = dir.join(name);
    let fail = |error| Fault::io("lib.copy", format_args!("write `{}`", path.display()), error);
    std::fs::create_dir_all(dir).map_err(fail)?;
    let mut file = std::fs::File::create_new(&path).map_err(|error| {
        let exists = error.kind() == std::io::ErrorKind::AlreadyExists;
        let fault = fail(error);
        if exists { fault.hint("it is left as it is: move it away to have a fresh copy") } else { fault }
    })?;
    std::io::Write::write_all(&mut file, script.text.as_bytes()).map_err(fail)?;
    Ok(path)
}

fn end(copied: Result<PathBuf>) -> Exit {
    match copied {
        Ok(path) => {
            println!("{}", path.display());
            Exit::Done
        }
        Err(fault) => {
            show_fault(&fault);
            if fault.kind.starts_with("script.") { Exit::Usage } else { Exit::Failed }
        }
    }
}
