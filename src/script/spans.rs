//! Which file a function of a running script stands in.
//!
//! The engine names the calling module when a function of one script is called from another by a pointer, as recipes
//! hand theirs to the stdlib. The place where a function's body begins and ends tells the true file.

use rhai::{AST, Position};

/// Where the body of a script function stands in its file.
#[derive(Debug, Clone)]
pub struct Span {
    pub name: String,
    /// Number of parameters.
    pub takes: usize,
    start: Position,
    end: Position,
}

impl Span {
    pub fn holds(&self, position: Position) -> bool {
        let at = |p: Position| (p.line().unwrap_or(0), p.position().unwrap_or(0));
        at(self.start) <= at(position) && at(position) <= at(self.end)
    }
}

pub fn spans(ast: &AST) -> Vec<Span> {
    ast.shared_lib()
        .iter_script_fn_info()
        .map(|(_, _, name, takes, def)| Span {
            name: name.to_string(),
            takes,
            start: def.body.start_position(),
            end: def.body.end_position(),
        })
        .collect()
}
