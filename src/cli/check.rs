//! `kar check`: what is wrong with a recipe, without running it.

use super::args::Check;
use super::exit::Exit;
use super::report::{show, show_all};
use crate::script::Library;
use crate::script::run::Recipe;

pub fn check(args: &Check) -> Exit {
    let library = Library::new(args.lib.clone());
    let mut exit = Exit::Done;
    for file in &args.files {
        let read = library
            .recipe(file)
            .map_err(Box::<crate::script::Report>::from)
            .and_then(|script| Recipe::read(&library, script));
        let findings = match read {
            Ok(recipe) => recipe.check(),
            Err(report) => {
                exit = Exit::of(&report.fault);
                show(&report);
                continue;
            }
        };
        show_all(&findings);
        match findings.len() {
            0 => eprintln!("{file}: no errors"),
            1 => eprintln!("{file}: 1 error"),
            many => eprintln!("{file}: {many} errors"),
        }
        if !findings.is_empty() {
            exit = Exit::Script;
        }
    }
    exit
}
