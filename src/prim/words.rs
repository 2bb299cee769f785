//! Arguments of programs, out of a script's list.

use rhai::Array;

use crate::host::{Fault, Result};

/// Texts as they stand, numbers as they are written.
///
/// # Errors
/// `<module>.argument`: an element of another type. `call` is `module::function`.
pub fn words(call: &str, args: Array) -> Result<Vec<String>> {
    let word = |arg: rhai::Dynamic| {
        if arg.is_string() || arg.is_int() || arg.is_float() || arg.is_char() {
            return Ok(arg.to_string());
        }
        let module = call.split("::").next().unwrap_or(call);
        let message = format!("an argument of a program is a text or a number, not {arg} ({})", arg.type_name());
        Err(Fault::new(format!("{module}.argument"), format!("{message}, in `{call}`")))
    };
    args.into_iter().map(word).collect()
}
