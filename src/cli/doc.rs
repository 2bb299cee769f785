//! `kar doc`: the reference, on the terminal or as files.

use std::io::Write;
use std::path::Path;

use super::args::Doc;
use super::exit::Exit;
use super::report::show_fault;
use crate::host::{Fault, Result};
use crate::prim::MODULES;
use crate::script::reference;

pub fn doc(args: &Doc) -> Exit {
    let done = match &args.write {
        Some(dir) => write(dir),
        None => reference::topic(args.topic.as_deref()).map(|text| {
            let _ = std::io::stdout().lock().write_all(text.as_bytes());
        }),
    };
    match done {
        Ok(()) => Exit::Done,
        Err(fault) => {
            show_fault(&fault);
            if fault.kind == "doc.missing" { Exit::Usage } else { Exit::Failed }
        }
    }
}

fn write(dir: &Path) -> Result<()> {
    let fail = |error| Fault::io("doc.write", format_args!("write the reference into `{}`", dir.display()), error);
    std::fs::create_dir_all(dir).map_err(fail)?;
    std::fs::write(dir.join("index.md"), reference::index()).map_err(fail)?;
    for module in MODULES {
        std::fs::write(dir.join(format!("{}.md", module.name)), reference::page(module)).map_err(fail)?;
    }
    Ok(())
}
