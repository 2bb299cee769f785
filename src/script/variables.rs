//! Names of variables that are nowhere.

use std::collections::{HashMap, HashSet};

use rhai::{AST, ASTNode, Expr, Position, Stmt};

use crate::host::Fault;

/// Variables that no statement above makes. `functions` are the script's own: their bare names are values too.
pub fn check(ast: &AST, functions: &HashMap<String, Vec<usize>>) -> Vec<(Fault, Position)> {
    // The parameters of a closure begin with what it captured, which its body has no other mark of.
    let closures = ast.shared_lib().iter_script_fn_info().filter(|(_, _, name, ..)| name.starts_with("anon$"));
    let captured: HashSet<&str> =
        closures.flat_map(|(.., closure)| closure.params.iter().map(|p| p.as_str())).collect();
    let found = unknown(ast).into_iter().filter(|(name, _)| !captured.contains(name.as_str()));
    let mut known: HashSet<&str> = functions.keys().map(String::as_str).collect();
    let missing: Vec<(String, Position)> = found.filter(|(name, _)| !known.contains(name.as_str())).collect();
    let mut declared = Vec::new();
    ast.walk(&mut |path: &[ASTNode]| {
        if let Some(ASTNode::Stmt(Stmt::Var(var, ..))) = path.last() {
            declared.push(var.0.name.to_string());
        }
        true
    });
    known.extend(declared.iter().map(String::as_str));
    let fault = |name: &str| {
        Fault::new("script.variable", format!("there is no variable `{name}` here"))
            .nearest(name, known.iter().copied().filter(|known| *known != name))
            .hint("functions see their parameters and `global::NAME` constants, nothing else from outside")
    };
    missing.iter().map(|(name, at)| (fault(name), *at)).collect()
}

/// The engine knows the place of each variable that it found when it read the script.
fn unknown(ast: &AST) -> Vec<(String, Position)> {
    let mut found = Vec::new();
    ast.walk(&mut |path: &[ASTNode]| {
        if let Some(ASTNode::Expr(Expr::Variable(variable, None, at))) = path.last()
            && variable.0.is_none()
            && variable.2.is_empty()
        {
            found.push((variable.1.to_string(), *at));
        }
        true
    });
    found
}
