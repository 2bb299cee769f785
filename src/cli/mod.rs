//! What a person sees and types.

mod args;
mod check;
mod console;
mod doc;
mod eval;
mod exit;
mod host;
mod import;
mod library;
mod new;
mod node;
mod recipe_args;
mod repl;
mod report;
mod run;

use clap::Parser;

use crate::kit::caretaker;

pub use exit::Exit;

/// Runs the command line and says with what code to end.
pub fn main() -> Exit {
    if std::env::args_os().nth(1).is_some_and(|word| word == caretaker::WORD) {
        caretaker::run(std::io::stdin().lock());
        return Exit::Done;
    }
    if let Some(exit) = node::called() {
        return exit;
    }
    let args = match args::Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage } else { Exit::Done };
        }
    };
    match args.command {
        args::Command::Run(run) => run::run(run),
        args::Command::Repl(repl) => repl::repl(&repl),
        args::Command::Eval(eval) => eval::eval(eval),
        args::Command::New(new) => new::new(&new),
        args::Command::Import(import) => import::import(&import),
        args::Command::Check(check) => check::check(&check),
        args::Command::Doc(doc) => doc::doc(&doc),
        args::Command::Lib(lib) => library::lib(&lib),
        args::Command::Recipes(recipes) => library::recipes(&recipes),
        args::Command::Node => node::first(),
    }
}
