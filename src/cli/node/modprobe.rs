//! As much of modprobe(8) as the kernel and kar itself ask for: `modprobe -q -- fs-ext4`, `modprobe -a -- loop nbd`.

use super::super::exit::Exit;
use super::super::report::show_fault;
use crate::host::{Fault, Result};
use crate::kit::kmod::{Loader, Tables, running};
use crate::kit::node;

/// The loader of the running kernel's modules.
pub fn loader() -> Result<Loader> {
    let words = node::cmdline().map(|line| line.words).unwrap_or_default();
    Ok(Loader::new(Tables::read(&running()?)?, words.into_iter()))
}

pub fn modprobe(words: impl Iterator<Item = String>) -> Exit {
    let (options, names): (Vec<String>, Vec<String>) = words.partition(|word| word.starts_with('-'));
    let known = ["-a", "-b", "-q", "-s", "--", "--all", "--quiet", "--use-blacklist"];
    let quiet = options.iter().any(|option| option == "-q" || option == "--quiet");
    let loaded = match options.iter().find(|option| !known.contains(&option.as_str())) {
        Some(option) => {
            Err(Fault::new("kmod.option", format!("modprobe has no option `{option}` here: it loads modules")))
        }
        None => loader().and_then(|mut loader| names.iter().try_for_each(|name| loader.load(name))),
    };
    match loaded {
        Ok(()) => Exit::Done,
        Err(fault) => {
            if !quiet {
                show_fault(&fault);
            }
            Exit::Failed
        }
    }
}
