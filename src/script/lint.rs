//! What is wrong with a script and can be seen without running it, across its imports.

use std::collections::{HashMap, HashSet};

use rhai::{AST, ASTNode, Engine, Expr, FnCallExpr, Position, Stmt};

use super::engine::{Shelf, bare};
use super::library::Script;
use super::params::Param;
use super::trace::{Report, report};
use super::{circles, clash, options, variables};
use crate::host::{Fault, nearest};
use crate::prim::{MODULES, doc};

/// All findings, those of the recipe first, then those of what it imports.
pub fn check(shelf: &Shelf, script: &Script, ast: &AST, params: &[Param]) -> Vec<Report> {
    let mut lint = Lint {
        shelf,
        engine: bare(),
        read: HashMap::new(),
        words: HashSet::new(),
        broken: HashSet::new(),
        edges: circles::Edges::new(),
        own: own_names(),
        keys: HashSet::new(),
        found: Vec::new(),
    };
    lint.engine_names();
    lint.load(script.clone(), ast.clone());
    if let Some((fault, file, at)) = circles::find(&lint.edges, &script.name) {
        lint.found.push(*Report::at(shelf, fault, &file, at));
    }
    let order = lint.in_order(&script.name);
    for name in &order {
        lint.collect_words(name);
    }
    for name in &order {
        lint.script(name);
    }
    lint.clashes(&order);
    lint.arguments(&script.name, params);
    let place =
        |report: &Report| report.place.as_ref().map(|p| (p.file != script.name, p.file.clone(), p.line, p.column));
    lint.found.sort_by_key(place);
    lint.found
}

struct Read {
    ast: AST,
    /// Alias -> name of the script it imports; empty for one that cannot be read, which is told once, at the import.
    imports: HashMap<String, String>,
    /// Name -> numbers of parameters, of the public and private functions.
    functions: HashMap<String, Vec<usize>>,
    private: HashSet<String>,
}

struct Lint<'a> {
    shelf: &'a Shelf,
    engine: Engine,
    read: HashMap<String, Read>,
    /// Property names that are set or listed somewhere: what may be called as a method or read as a property.
    words: HashSet<String>,
    /// Modules that do not compile.
    broken: HashSet<String>,
    edges: circles::Edges,
    /// What the engine calls by these names without any module of kar.
    own: HashSet<String>,
    /// As `words`, those of the scripts alone.
    keys: HashSet<String>,
    found: Vec<Report>,
}

impl Lint<'_> {
    fn engine_names(&mut self) {
        let names = self.engine.collect_fn_metadata(None, |info| Some(info.metadata.name.to_string()), true);
        self.words.extend(names.into_iter().map(|name| name.trim_start_matches("get$").to_string()));
        self.words.extend(
            ["call", "curry", "type_of", "is_shared", "print", "debug", "Fn", "is_def_var", "is_def_fn"]
                .map(String::from),
        );
    }

    /// Reads a script and all it imports by a plain text, each once.
    fn load(&mut self, script: Script, ast: AST) {
        let name = script.name.clone();
        let mut functions: HashMap<String, Vec<usize>> = HashMap::new();
        let mut private = HashSet::new();
        for function in ast.iter_functions() {
            functions.entry(function.name.to_string()).or_default().push(function.params.len());
            if function.access.is_private() {
                private.insert(function.name.to_string());
            }
        }
        let wanted = imports(&ast);
        // What a function imports is read when it is called, and closes no circle.
        let at_once: Vec<Position> = imports(&ast.clone_statements_only()).into_iter().map(|(_, _, at)| at).collect();
        self.read.insert(name.clone(), Read { ast, imports: HashMap::new(), functions, private });
        for (path, alias, at) in wanted {
            let imported = match self.shelf.library().module(&path, Some(&script)) {
                Ok(imported) => imported,
                Err(fault) => {
                    self.found.push(*Report::at(self.shelf, fault, &name, at));
                    self.imported(&name, alias, String::new());
                    continue;
                }
            };
            let target = imported.name.clone();
            if at_once.contains(&at) {
                self.edges.entry(name.clone()).or_default().push((target.clone(), at));
            }
            if !self.read.contains_key(&target) && !self.broken.contains(&target) {
                match self.shelf.compile(&self.engine, &imported) {
                    Ok(ast) => self.load(imported, ast),
                    Err(error) => {
                        self.found.push(*report(self.shelf, &target, &error));
                        self.broken.insert(target.clone());
                    }
                }
            }
            let target = if self.broken.contains(&target) { String::new() } else { target };
            self.imported(&name, alias, target);
        }
    }

    fn imported(&mut self, by: &str, alias: String, target: String) {
        if let Some(read) = self.read.get_mut(by) {
            read.imports.insert(alias, target);
        }
    }

    /// The recipe first, then by name.
    fn in_order(&self, first: &str) -> Vec<String> {
        let mut rest: Vec<String> = self.read.keys().filter(|name| *name != first).cloned().collect();
        rest.sort();
        [first.to_string()].into_iter().chain(rest).collect()
    }

    fn collect_words(&mut self, name: &str) {
        let mut words = Vec::new();
        self.read[name].ast.walk(&mut |path: &[ASTNode]| {
            match path.last() {
                Some(ASTNode::Expr(Expr::Map(map, _))) => {
                    words.extend(map.0.iter().map(|(key, _)| key.name.to_string()))
                }
                Some(ASTNode::Stmt(Stmt::Assignment(assignment))) => words.extend(assigned(&assignment.1.lhs)),
                Some(ASTNode::Expr(Expr::StringConstant(text, _))) => words.push(text.to_string()),
                _ => {}
            }
            true
        });
        words.extend(self.read[name].functions.keys().cloned());
        self.keys.extend(words.iter().cloned());
        self.words.extend(words);
    }

    fn clashes(&mut self, order: &[String]) {
        let read = order.iter().map(|name| (name, &self.read[name]));
        let all = read.map(|(name, Read { ast, imports, functions, .. })| clash::One { name, ast, imports, functions });
        let found = clash::check(&all.collect::<Vec<_>>());
        self.found.extend(found.into_iter().map(|(name, fault, at)| *Report::at(self.shelf, fault, &name, at)));
    }

    fn script(&mut self, name: &str) {
        let read = &self.read[name];
        let mut found = Vec::new();
        read.ast.walk(&mut |path: &[ASTNode]| {
            let fault = match path.last() {
                Some(ASTNode::Expr(Expr::FnCall(call, at)) | ASTNode::Stmt(Stmt::FnCall(call, at))) => {
                    self.call(read, call).map(|fault| (fault, *at))
                }
                Some(ASTNode::Expr(Expr::MethodCall(call, at))) => self.method(call).map(|fault| (fault, *at)),
                _ => None,
            };
            found.extend(fault);
            if let Some(ASTNode::Expr(Expr::FnCall(call, _)) | ASTNode::Stmt(Stmt::FnCall(call, _))) = path.last() {
                found.extend(options::check(call));
            }
            true
        });
        found.extend(variables::check(&read.ast, &read.functions));
        let name = name.to_string();
        self.found.extend(found.into_iter().map(|(fault, at)| *Report::at(self.shelf, fault, &name, at)));
    }

    fn call(&self, read: &Read, call: &FnCallExpr) -> Option<Fault> {
        if call.is_operator_call() {
            return None;
        }
        if call.namespace.is_empty() {
            return self.plain_call(read, call);
        }
        let module = call.namespace.to_string();
        let module = module.trim_end_matches("::");
        let name = call.name.as_str();
        if let Some(target) = read.imports.get(module) {
            let imported = self.read.get(target)?;
            return match imported.functions.get(name) {
                Some(_) if imported.private.contains(name) => {
                    Some(Fault::new("script.function", format!("`{module}::{name}` is private to `{target}`")))
                }
                Some(counts) => arity(&format!("{module}::{name}"), counts, call.args.len()),
                None => {
                    let known = imported.functions.keys().map(String::as_str);
                    Some(missing(module, name, known))
                }
            };
        }
        if module == "global" {
            return None;
        }
        let native: Vec<&doc::Function> =
            doc::functions().iter().filter(|f| f.module == module && f.role == doc::Role::Function).collect();
        if native.is_empty() {
            let known = MODULES.iter().map(|m| m.name).chain(read.imports.keys().map(String::as_str));
            let fault =
                Fault::new("script.module", format!("there is no module `{module}` here")).nearest(module, known);
            let fault = match super::embedded::STDLIB.iter().any(|(name, _)| *name == module) {
                true => fault.hint(format!("it is imported first: `import \"std/{module}\" as {module};`")),
                false => fault,
            };
            return Some(fault);
        }
        let counts: Vec<usize> = native.iter().filter(|f| f.name == name).map(|f| f.params.len()).collect();
        if counts.is_empty() {
            return Some(missing(module, name, native.iter().map(|f| f.name.as_str())));
        }
        arity(&format!("{module}::{name}"), &counts, call.args.len())
            .map(|fault| fault.hint(format!("`kar doc {module}::{name}` shows what it takes")))
    }

    fn plain_call(&self, read: &Read, call: &FnCallExpr) -> Option<Fault> {
        let name = call.name.as_str();
        if let Some(counts) = read.functions.get(name) {
            return arity(name, counts, call.args.len());
        }
        if self.words.contains(name) {
            return None;
        }
        let fault = Fault::new("script.function", format!("there is no function `{name}`"));
        Some(fault.nearest(name, read.functions.keys().chain(&self.words).map(String::as_str)))
    }

    /// A method may be a closure in a map that only the run knows; a slip of the fingers is a finding.
    fn method(&self, call: &FnCallExpr) -> Option<Fault> {
        let name = call.name.as_str();
        let counts: Vec<usize> = methods().filter(|f| f.name == name).map(|f| f.params.len()).collect();
        if !counts.is_empty() {
            // Nothing else has a method of that name.
            let sure = !self.own.contains(name) && !self.keys.contains(name);
            return arity(&format!(".{name}()"), &counts, call.args.len()).filter(|_| sure);
        }
        if self.words.contains(name) {
            return None;
        }
        let near = nearest(name, methods().map(|f| f.name.as_str()).chain(self.words.iter().map(String::as_str)))?;
        Some(
            Fault::new("script.function", format!("nothing has a method `{name}`"))
                .hint(format!("did you mean `.{near}()`?")),
        )
    }

    /// `args.sorce` where PARAMS has `source` and nothing sets `sorce`.
    fn arguments(&mut self, name: &str, params: &[Param]) {
        let mut found = Vec::new();
        self.read[name].ast.walk(&mut |path: &[ASTNode]| {
            if let Some(ASTNode::Expr(Expr::Dot(dot, ..))) = path.last()
                && let (Expr::Variable(variable, ..), Some((word, at))) = (&dot.lhs, property(&dot.rhs))
                && variable.1 == "args"
                && !params.iter().any(|param| param.name == word)
                && !self.words.contains(word)
                && let Some(near) = nearest(word, params.iter().map(|param| param.name.as_str()))
            {
                let fault = Fault::new("script.params", format!("PARAMS has no `{word}`"));
                found.push((fault.hint(format!("did you mean `{near}`?")), at));
            }
            true
        });
        self.found.extend(found.into_iter().map(|(fault, at)| *Report::at(self.shelf, fault, name, at)));
    }
}

/// Functions that the language has of itself: `push`, `filter`, `keys`.
fn own_names() -> HashSet<String> {
    Engine::new().collect_fn_metadata(None, |info| Some(info.metadata.name.to_string()), true).into_iter().collect()
}

fn methods() -> impl Iterator<Item = &'static doc::Function> {
    doc::functions().iter().filter(|function| function.role == doc::Role::Method)
}

fn missing<'a>(module: &str, name: &str, known: impl Iterator<Item = &'a str>) -> Fault {
    let fault = Fault::new("script.function", format!("`{module}` has no function `{name}`"));
    match nearest(name, known) {
        Some(near) => fault.hint(format!("did you mean `{module}::{near}`?")),
        None => fault.hint(format!("`kar doc {module}` lists what it has")),
    }
}

fn arity(name: &str, counts: &[usize], given: usize) -> Option<Fault> {
    if counts.contains(&given) {
        return None;
    }
    let mut counts = counts.to_vec();
    counts.sort_unstable();
    counts.dedup();
    let takes = counts.iter().map(usize::to_string).collect::<Vec<_>>().join(" or ");
    let s = if takes == "1" { "" } else { "s" };
    Some(Fault::new("script.function", format!("`{name}` takes {takes} argument{s}, not {given}")))
}

/// `(path, alias, place)` of each import by a plain text.
fn imports(ast: &AST) -> Vec<(String, String, Position)> {
    let mut found = Vec::new();
    ast.walk(&mut |path: &[ASTNode]| {
        if let Some(ASTNode::Stmt(Stmt::Import(import, _))) = path.last()
            && let Expr::StringConstant(file, at) = &import.0
        {
            found.push((file.to_string(), import.1.name.to_string(), *at));
        }
        true
    });
    found
}

/// The property names on the left of an assignment.
fn assigned(expr: &Expr) -> Vec<String> {
    match expr {
        Expr::Dot(dot, ..) => [assigned(&dot.lhs), assigned(&dot.rhs)].concat(),
        Expr::Property(property, _) => vec![property.2.to_string()],
        _ => Vec::new(),
    }
}

/// The first property of what stands behind a dot.
fn property(expr: &Expr) -> Option<(&str, Position)> {
    match expr {
        Expr::Property(property, at) => Some((property.2.as_str(), *at)),
        Expr::Dot(dot, ..) | Expr::Index(dot, ..) => property(&dot.lhs),
        _ => None,
    }
}
