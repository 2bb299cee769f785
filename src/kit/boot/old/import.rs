//! A script as a recipe's function: every way through it is followed, with the node's address and step unknown, and the
//! decisions at their ends are written down as a person would.

mod follow;
mod print;
#[cfg(test)]
mod tests;

use super::program::Program;
use crate::host::Result;

/// The recipe that decides as `program` does, for every address and every step.
///
/// A file `DIR/ADDRESS` is the node's step file: `node.step` in the recipe. Other files that the script runs or looks
/// into are taken in as they are now, from `fetch`. `name` is what the script is called in the recipe's first line.
///
/// # Errors
/// `boot.script` with line and column: what no function of a node's step and address can say (a file that depends on
/// something else), a circle, an end without a boot.
pub fn import(program: &Program, name: &str, fetch: &mut dyn FnMut(&str) -> Result<Option<Vec<u8>>>) -> Result<String> {
    let tree = follow::follow(program, fetch)?;
    Ok(print::recipe(&tree, program.language, name))
}
