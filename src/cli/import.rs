//! `kar import`: a boot script of the systems before, as a recipe.

use std::io::Write;
use std::path::Path;

use super::args::Import;
use super::exit::Exit;
use super::report::show_fault;
use crate::host::{Fault, Result};
use crate::kit::boot::old::{self, Language, Program};

pub fn import(import: &Import) -> Exit {
    match convert(import).and_then(|text| deliver(import.to.as_deref(), &text)) {
        Ok(()) => Exit::Done,
        Err(fault) => {
            show_fault(&fault);
            if fault.kind == "boot.language" { Exit::Usage } else { Exit::Failed }
        }
    }
}

/// # Errors
/// `import.read`; `boot.language`; `boot.script` with line and column.
fn convert(import: &Import) -> Result<String> {
    let file = &import.file;
    let fail = |error| Fault::io("import.read", format_args!("read `{}`", file.display()), error);
    let bytes = std::fs::read(file).map_err(fail)?;
    let text = String::from_utf8_lossy(&bytes);
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let language = match &import.language {
        Some(language) => Language::named(language)?,
        None => Language::of(&name, &text),
    };
    let dir = file.parent().unwrap_or(Path::new(""));
    let convert = || old::import(&Program::parse(&text, language)?, &name, &mut |name| old::file_in(dir, name));
    convert().map_err(|mut fault| {
        fault.message = fault.message.replacen("the boot script", &format!("`{}`", file.display()), 1);
        fault
    })
}

/// # Errors
/// `import.write`: the file is there already, or cannot be written.
fn deliver(to: Option<&Path>, text: &str) -> Result<()> {
    let Some(path) = to else {
        print!("{text}");
        return Ok(());
    };
    let fail = |error| Fault::io("import.write", format_args!("write `{}`", path.display()), error);
    let mut file = std::fs::File::create_new(path).map_err(|error| {
        let exists = error.kind() == std::io::ErrorKind::AlreadyExists;
        let fault = fail(error);
        if exists { fault.hint("it is left as it is: take another name, or move it away") } else { fault }
    })?;
    file.write_all(text.as_bytes()).map_err(fail)?;
    println!("{}", path.display());
    Ok(())
}
