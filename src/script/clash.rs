//! Names that a recipe shares with a module, so that the engine would mix them up.
//!
//! The engine (rhai 1.27) looks for an unqualified call in the scripts on its stack, the innermost first, and remembers in
//! one table for all scripts what it found. So a `close(x)` of a recipe is std/rehearsal's own `close(x)` once std/rehearsal has
//! called the recipe back, and an alias of an import is the module's. What would be called is another function than the one
//! that stands in the file: it is refused beforehand.

use std::collections::{BTreeMap, HashMap};

use rhai::{AST, ASTNode, Expr, Position, Stmt};

use crate::host::Fault;

/// A script as the check has read it.
pub struct One<'a> {
    pub name: &'a str,
    pub ast: &'a AST,
    /// Alias -> name of the script.
    pub imports: &'a HashMap<String, String>,
    /// Name -> numbers of parameters.
    pub functions: &'a HashMap<String, Vec<usize>>,
}

type Calls = BTreeMap<(String, usize), Position>;

/// Each clash, as the script that it is told of, the fault and the place. `all[0]` is the recipe.
pub fn check(all: &[One<'_>]) -> Vec<(String, Fault, Position)> {
    let calls: Vec<Calls> = all.iter().map(own_calls).collect();
    let back = calling_back(all);
    let mut found = Vec::new();
    for (at, one) in all.iter().enumerate() {
        for ((name, count), place) in &calls[at] {
            let key = (name.clone(), *count);
            let defines = |other: &One<'_>| other.functions.get(name).is_some_and(|counts| counts.contains(count));
            let mixed = |index: usize| match at {
                0 => index > 0 && (back[index] || calls[index].contains_key(&key)),
                _ => index > at && calls[index].contains_key(&key),
            };
            let Some((_, other)) = all.iter().enumerate().find(|(index, other)| mixed(*index) && defines(other)) else {
                continue;
            };
            let s = if *count == 1 { "" } else { "s" };
            let message = format!(
                "`{name}` with {count} parameter{s} is in `{}` too, and the engine may call that one",
                file(other.name)
            );
            let fault = Fault::new("script.clash", message).hint("give this one another name");
            found.push((one.name.to_string(), fault, *place));
        }
    }
    let Some(recipe) = all.first() else { return found };
    for (alias, target) in recipe.imports.iter().filter(|(_, target)| !target.is_empty()) {
        let other = all.iter().enumerate().skip(1).find(|(index, other)| {
            let same = other.imports.get(alias);
            back[*index] && same.is_some_and(|same| same != target && !same.is_empty())
        });
        if let Some((_, other)) = other {
            let message = format!(
                "`{alias}` is `{}` here and `{}` in `{}`, and the engine may take that one",
                file(target),
                file(&other.imports[alias]),
                file(other.name)
            );
            let fault =
                Fault::new("script.clash", message).hint("import it under another name: `import \"..\" as ours;`");
            found.push((recipe.name.to_string(), fault, import_of(recipe.ast, alias)));
        }
    }
    found
}

fn file(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

/// The functions of its own that a script calls by their bare names, and where first.
fn own_calls(one: &One<'_>) -> Calls {
    let mut calls = Calls::new();
    one.ast.walk(&mut |path: &[ASTNode]| {
        if let Some(ASTNode::Expr(Expr::FnCall(call, at)) | ASTNode::Stmt(Stmt::FnCall(call, at))) = path.last()
            && call.namespace.is_empty()
            && one.functions.get(call.name.as_str()).is_some_and(|counts| counts.contains(&call.args.len()))
        {
            calls.entry((call.name.to_string(), call.args.len())).or_insert(*at);
        }
        true
    });
    calls
}

/// Which scripts call functions that they were given, or hand them on to one that does.
fn calling_back(all: &[One<'_>]) -> Vec<bool> {
    let mut back: Vec<bool> = all.iter().map(|one| calls_values(one.ast)).collect();
    // As often as the longest chain of imports can be.
    for _ in all {
        for (at, one) in all.iter().enumerate() {
            let hands_on = |index: usize| back[index] && one.imports.values().any(|target| target == all[index].name);
            back[at] = back[at] || (0..all.len()).any(hands_on);
        }
    }
    back
}

fn calls_values(ast: &AST) -> bool {
    let mut found = false;
    ast.walk(&mut |path: &[ASTNode]| {
        if let Some(ASTNode::Expr(Expr::MethodCall(call, _))) = path.last() {
            found = found || call.name == "call";
        }
        !found
    });
    found
}

fn import_of(ast: &AST, alias: &str) -> Position {
    let mut place = Position::NONE;
    ast.walk(&mut |path: &[ASTNode]| {
        if let Some(ASTNode::Stmt(Stmt::Import(import, at))) = path.last()
            && import.1.name == alias
        {
            place = *at;
        }
        true
    });
    place
}
