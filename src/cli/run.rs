//! `kar run`: from the command line to the exit code.

use super::args::{HostArgs, Run};
use super::exit::Exit;
use super::host::{Interrupts, on_host};
use super::recipe_args::{self, Refusal};
use super::report::{show, show_all, show_fault};
use crate::host::Fault;
use crate::script::run::{Recipe, target};
use crate::script::{Library, Report};

pub fn run(run: Run) -> Exit {
    let (first, words) = run.words.split_first().expect("clap asks for one");
    if first.starts_with('-') {
        let known = ["--journal", "--lib", "--verbose", "--help"];
        let fault = Fault::new("args.option", format!("`kar run` has no option `{first}`")).nearest(first, known);
        show_fault(&fault.hint("a recipe's own options stand behind its name: `kar run FILE --help` lists them"));
        return Exit::Usage;
    }
    let (file, entry) = target(first);
    let mut library = Library::new(run.host.lib.clone());
    let recipe = match read(&library, file, words) {
        Ok(recipe) => recipe,
        Err(report) => {
            show(&report);
            return Exit::of(&report.fault);
        }
    };
    let (values, among) = match recipe_args::parse(&recipe, first, words) {
        Ok(parsed) => parsed,
        Err(Refusal::Usage(error)) => {
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage } else { Exit::Done };
        }
        Err(Refusal::Value(fault)) => {
            show_fault(&fault);
            return Exit::Usage;
        }
    };
    let findings = recipe.check();
    if !findings.is_empty() {
        show_all(&findings);
        return Exit::Script;
    }
    library.dirs.extend(among.lib.clone());
    let options = HostArgs {
        journal: among.journal.or(run.host.journal),
        lib: library.dirs,
        verbose: run.host.verbose || among.verbose,
    };
    on_host(&options, &Interrupts::default(), move |host, _| recipe.run(host, entry, values.clone()).map(drop))
}

/// `--lib` may stand among the recipe's options too, and has to be known before the recipe is read.
fn read(library: &Library, file: &str, words: &[String]) -> Result<Recipe, Box<Report>> {
    let mut library = library.clone();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match word.strip_prefix("--lib") {
            Some("") => library.dirs.extend(words.next().map(Into::into)),
            Some(rest) => library.dirs.extend(rest.strip_prefix('=').map(Into::into)),
            None => {}
        }
    }
    let script = library.recipe(file)?;
    Recipe::read(&library, script)
}
