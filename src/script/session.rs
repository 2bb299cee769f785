//! A session: lines typed one after the other. Variables, functions, imports and what is held open live on between
//! them; every line can be ended by a flag of its own.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use rhai::{AST, ASTFlags, Dynamic, Engine, EvalAltResult, Expr, Module, Position, Scope, Stmt};

use super::engine::{STANDING, Shelf};
use super::library::{Library, Origin, Script};
use super::tokens::{Kind, is_word, tokens};
use super::trace::{Report, report};
use crate::host::{Cancel, Fault, Host, Worker};
use crate::prim::{Ground, Scripts, doc};

/// Where functions find constants.
const GLOBAL: &str = "global";

pub struct Session {
    host: Host,
    shelf: Shelf,
    pub(super) engine: Engine,
    pub(super) scope: Scope<'static>,
    /// All that lines have defined so far, and no statement.
    pub(super) functions: AST,
    /// Imports the standing modules: runs before each line.
    prelude: AST,
    /// What lines are called in errors: `repl:3`.
    name: &'static str,
    lines: usize,
}

impl Session {
    /// A session with the modules of the stdlib under their names, and what is wrong with those that are left out (from
    /// a `--lib` folder, or `stdlib/` here). `name` is what its lines are called in errors. The thread it is used on must
    /// have the stack for [`STACK`](crate::prim::STACK) bytes.
    pub fn new(host: &Host, library: Library, name: &'static str) -> (Self, Vec<Report>) {
        let here = Script { name: name.into(), text: String::new(), origin: Origin::File(name.into()) };
        let shelf = Shelf::new(library.beside(&here));
        let ground = Ground { host: host.clone(), scripts: Arc::new(shelf.clone()) };
        let engine = shelf.engine(&ground);
        let mut broken = Vec::new();
        for (path, found) in shelf.library().modules() {
            let alias = path.trim_start_matches("std/").to_string();
            // What is no name can only be imported under another one.
            if !alias.chars().all(is_word) {
                continue;
            }
            let imported = found
                .map_err(Box::<Report>::from)
                .and_then(|_| shelf.import(&engine, None, &path).map_err(|error| report(&shelf, name, &error)));
            match imported {
                Ok(module) => drop(shelf.standing().insert(alias, module)),
                Err(report) => broken.push(*report),
            }
        }
        let prelude = prelude(&shelf, &engine);
        let (scope, functions) = (Scope::new(), AST::empty());
        (Session { host: host.clone(), shelf, engine, scope, functions, prelude, name, lines: 0 }, broken)
    }

    /// Whether a text can be run as it stands. One that is wrong is whole too: more words would not mend it.
    pub fn is_whole(&self, text: &str) -> bool {
        let found = tokens(text);
        // What is said of a function comes right before it.
        if found.last().is_some_and(|token| token.text.starts_with("///") && !token.text.starts_with("////")) {
            return false;
        }
        let Some(last) = found.iter().rfind(|token| token.open || token.kind != Kind::Comment) else {
            return true;
        };
        if last.open {
            // A text in plain quotes ends on its line.
            return last.text.starts_with(['"', '\'']) && !last.text.ends_with('\\');
        }
        match self.engine.compile(text) {
            Ok(_) => true,
            Err(error) => byte_of(text, error.position()).is_some_and(|at| at < last.range().end),
        }
    }

    /// Runs one line, or as many as were typed together, and gives the value of the last expression.
    ///
    /// # Errors
    /// What it did not catch, with its place; `host.stopped` once `cancel` is set.
    pub fn run(&mut self, text: &str, cancel: &Cancel) -> Result<Dynamic, Box<Report>> {
        self.lines += 1;
        let name = match self.lines {
            1 if self.name == "eval" => self.name.to_string(),
            line => format!("{}:{line}", self.name),
        };
        // Imports are looked for where the person is.
        let origin = Origin::File(self.name.into());
        self.run_script(Script { name, text: text.to_string(), origin }, cancel)
    }

    /// Runs the statements of a file as if they were typed, and takes over its functions and imports. No entry is called.
    ///
    /// # Errors
    /// As [`run`](Self::run), and `script.missing`.
    pub fn load(&mut self, file: &str, cancel: &Cancel) -> Result<(), Box<Report>> {
        let script = self.shelf.library().recipe(file)?;
        self.run_script(script, cancel).map(drop)
    }

    fn run_script(&mut self, script: Script, cancel: &Cancel) -> Result<Dynamic, Box<Report>> {
        let told = |shelf: &Shelf, error: &EvalAltResult| report(shelf, &script.name, error);
        self.shelf.forget_modules();
        let ast = self.shelf.compile(&self.engine, &script).map_err(|error| told(&self.shelf, &error))?;
        self.shelf.supersede(&script.name, self.name);
        self.functions = self.functions.merge(&ast.clone_functions_only());
        self.show_constants(&ast);
        let mut whole = self.prelude.merge(&self.functions).merge(&ast);
        whole.set_source(script.name.as_str());
        let _watch = self.shelf.memory().watch(&self.host);
        let worker = Worker { cancel: Some(cancel.clone()), ..Worker::current() };
        let (engine, scope) = (&self.engine, &mut self.scope);
        let run = || engine.eval_ast_with_scope::<Dynamic>(scope, &whole);
        let ended = catch_unwind(AssertUnwindSafe(|| worker.run(run)));
        self.forget_shadowed();
        self.keep_imports(&ast, &script.name);
        match ended {
            Ok(ended) => ended.map(Dynamic::flatten).map_err(|error| told(&self.shelf, &error)),
            Err(_) => Err(Fault::new("kar.panic", "a primitive panicked: this is a bug in kar").into()),
        }
    }

    /// Functions see the constants of earlier lines as `global::NAME`, as they see those of their own script. A line that
    /// makes constants has a `global` of its own, made by the engine.
    fn show_constants(&mut self, ast: &AST) {
        let own = ast
            .statements()
            .iter()
            .any(|statement| matches!(statement, Stmt::Var(_, flags, _) if flags.intersects(ASTFlags::CONSTANT)));
        let mut constants = Module::new();
        for (name, _, value) in self.scope.iter_raw().filter(|(_, constant, _)| *constant && !own) {
            constants.set_var(name, value.clone());
        }
        let any = constants.iter_var().next().is_some();
        let before = self.shelf.standing().remove(GLOBAL).is_some();
        if any {
            self.shelf.standing().insert(GLOBAL.into(), constants.into());
        }
        if any != before {
            self.prelude = prelude(&self.shelf, &self.engine);
        }
    }

    /// A second `let` of a name replaces the first: what only the first one held open is closed.
    fn forget_shadowed(&mut self) {
        let mut kept: Vec<(String, bool, Dynamic)> = Vec::new();
        for (name, constant, value) in self.scope.iter_raw() {
            if !kept.iter().any(|(known, ..)| known == name) {
                kept.push((name.to_string(), constant, value.clone()));
            }
        }
        if kept.len() < self.scope.len() {
            let mut scope = Scope::new();
            for (name, constant, value) in kept.into_iter().rev() {
                match constant {
                    true => scope.push_constant_dynamic(name, value),
                    false => scope.push_dynamic(name, value),
                };
            }
            self.scope = scope;
        }
    }

    /// What a line imports is there on the next ones; imported again, it is read again.
    fn keep_imports(&mut self, ast: &AST, name: &str) {
        let mut more = false;
        for statement in ast.statements() {
            if let Stmt::Import(import, _) = statement
                && let Expr::StringConstant(path, _) = &import.0
                && !import.1.name.is_empty()
                && let Ok(module) = self.shelf.import(&self.engine, Some(name), path)
            {
                self.shelf.standing().insert(import.1.name.to_string(), module);
                more = true;
            }
        }
        if more {
            self.prelude = prelude(&self.shelf, &self.engine);
        }
    }

    /// The variables, oldest first: name, whether it is constant, value.
    pub fn vars(&self) -> Vec<(String, bool, Dynamic)> {
        let all = self.scope.iter_raw().map(|(name, constant, value)| (name.into(), constant, value.flatten_clone()));
        let mut all: Vec<_> = all.collect();
        all.reverse();
        all
    }

    /// The type of a value, as the reference names it.
    pub fn type_of(&self, value: &Dynamic) -> String {
        match value.type_name() {
            "i64" => "int".into(),
            "f64" => "float".into(),
            "bool" => "flag".into(),
            "string" => "text".into(),
            "array" => "list".into(),
            "Fn" => "closure".into(),
            name => self.engine.map_type_name(name).to_string(),
        }
    }

    /// A handle's properties that are plain values: what there is to see of it. Properties that fail are left out.
    pub fn look(&self, value: &Dynamic, cancel: &Cancel) -> Vec<(String, Dynamic)> {
        let kind = self.type_of(value);
        let plain = |f: &&doc::Function| ["text", "int", "float", "flag"].contains(&f.returns.as_str());
        let properties =
            doc::functions().iter().filter(|f| f.of.as_ref() == Some(&kind) && f.role == doc::Role::Property);
        let mut scope = Scope::new();
        scope.push_dynamic("value", value.clone());
        let worker = Worker { cancel: Some(cancel.clone()), ..Worker::current() };
        let mut read = |f: &doc::Function| {
            let text = format!("value.{}", f.name);
            let found = self.engine.eval_expression_with_scope::<Dynamic>(&mut scope, &text).ok()?;
            Some((f.name.clone(), found))
        };
        worker.run(|| properties.filter(plain).filter_map(&mut read).collect())
    }

    /// What a value says of itself (a table, a source), where its type says anything.
    pub fn says(&self, value: &Dynamic) -> Option<String> {
        let mut scope = Scope::new();
        scope.push_dynamic("value", value.clone());
        let text: String = self.engine.eval_expression_with_scope(&mut scope, "value.to_string()").ok()?;
        // The engine's own word for any type is its name.
        (text != value.type_name() && text != self.engine.map_type_name(value.type_name())).then_some(text)
    }

    pub(super) fn shelf(&self) -> &Shelf {
        &self.shelf
    }
}

fn prelude(shelf: &Shelf, engine: &Engine) -> AST {
    let imports =
        shelf.standing().keys().map(|alias| format!("import \"{STANDING}{alias}\" as {alias};")).collect::<String>();
    engine.compile(imports).unwrap_or_else(|_| AST::empty())
}

/// Where a position of the engine's is in the text; `None` for one that is nowhere, the end among them.
fn byte_of(text: &str, position: Position) -> Option<usize> {
    let (line, column) = (position.line()?, position.position().unwrap_or(1).max(1));
    let start: usize = text.split_inclusive('\n').take(line - 1).map(str::len).sum();
    let inside: usize = text[start..].chars().take(column - 1).map(char::len_utf8).sum();
    Some(start + inside)
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
