//! Runs a recipe: compile, check, then the entry with its arguments.

use rhai::{AST, CallFnOptions, Dynamic, Engine, Map, Scope};

use super::engine::{Shelf, bare};
use super::library::{Library, Script};
use super::lint;
use super::params::{self, Param};
use super::trace::{Report, report};
use crate::host::{Fault, Host};
use crate::prim::{Ground, Scripts};

/// A recipe, read and compiled, with nothing of it run.
pub struct Recipe {
    pub script: Script,
    pub params: Vec<Param>,
    ast: AST,
    shelf: Shelf,
}

impl Recipe {
    /// # Errors
    /// The first error of syntax or PARAMS, with its place.
    pub fn read(library: &Library, script: Script) -> Result<Self, Box<Report>> {
        let shelf = Shelf::new(library.beside(&script));
        let ast = shelf.compile(&bare(), &script).map_err(|error| report(&shelf, &script.name, &error))?;
        let params = params::read(&ast).map_err(|(fault, at)| Report::at(&shelf, fault, &script.name, at))?;
        Ok(Recipe { script, params, ast, shelf })
    }

    /// All that is wrong and can be seen without running: names, options, imports, here and in what it imports.
    pub fn check(&self) -> Vec<Report> {
        lint::check(&self.shelf, &self.script, &self.ast, &self.params)
    }

    /// The entries a person can start: functions that take `args` or nothing.
    pub fn entries(&self) -> Vec<&str> {
        self.ast.iter_functions().filter(|f| f.params.len() <= 1).map(|f| f.name).collect()
    }

    /// Calls `entry` with the arguments, on this thread. The thread must have a stack of [`STACK`](crate::prim::STACK).
    ///
    /// # Errors
    /// What the script did not catch, with its place and the way there.
    pub fn run(&self, host: &Host, entry: &str, args: Map) -> Result<Dynamic, Box<Report>> {
        let takes = self.ast.iter_functions().find(|f| f.name == entry && f.params.len() <= 1).map(|f| f.params.len());
        let Some(takes) = takes else {
            let fault = Fault::new("script.entry", format!("`{}` has no entry `{entry}`", self.script.name))
                .nearest(entry, self.entries())
                .hint("an entry is a function with one parameter: `fn main(args) { .. }`");
            return Err(fault.into());
        };
        let ground = Ground { host: host.clone(), scripts: std::sync::Arc::new(self.shelf.clone()) };
        let engine: Engine = self.shelf.engine(&ground);
        let args: Vec<Dynamic> = if takes == 1 { vec![args.into()] } else { Vec::new() };
        let _watch = self.shelf.memory().watch(host);
        let options = CallFnOptions::new().eval_ast(true);
        engine.call_fn_with_options::<Dynamic>(options, &mut Scope::new(), &self.ast, entry, args).map_err(|error| {
            let mut report = report(&self.shelf, &self.script.name, &error);
            if report.place.is_none() && report.frames.is_empty() {
                // Ends that leave no trace: too deep, too large.
                let function = format!("{entry}() of {}", self.script.name);
                report.frames.push(super::trace::Frame { function, called_at: String::new() });
            }
            report
        })
    }
}

/// Splits `FILE[:ENTRY]`. A file whose own name holds the colon wins.
pub fn target(argument: &str) -> (&str, &str) {
    if std::path::Path::new(argument).is_file() {
        return (argument, "main");
    }
    match argument.rsplit_once(':') {
        Some((file, entry)) if is_name(entry) && !file.is_empty() => (file, entry),
        _ => (argument, "main"),
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
