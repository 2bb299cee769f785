//! Options written out in a call, against the list in the primitive's doc comment.

use rhai::{Expr, FnCallExpr, Position};

use crate::host::{Fault, parse_duration, parse_size};
use crate::prim::doc;

/// What is wrong with the options of one call of `module::function`: names it does not have, plain values that cannot be
/// right. A value that only the run knows is left to the run.
pub fn check(call: &FnCallExpr) -> Vec<(Fault, Position)> {
    if call.namespace.is_empty() {
        return Vec::new();
    }
    let path = format!("{}::{}", call.namespace.to_string().trim_end_matches("::"), call.name);
    let kind = format!("{}.option", call.namespace.to_string().trim_end_matches("::"));
    let known = doc::options_of(&path);
    let mut found = Vec::new();
    for arg in &call.args {
        let Expr::Map(map, _) = arg else { continue };
        for (key, value) in map.0.iter().filter(|_| !known.is_empty()) {
            if !known.iter().any(|name| *name == key.name) {
                let fault = Fault::new(kind.clone(), format!("`{path}` has no option `{}`", key.name))
                    .nearest(&key.name, known.iter().map(String::as_str));
                found.push((fault.hint(format!("its options: {}", known.join(", "))), key.pos));
            } else if let Some(why) = doc::option_kind(&path, &key.name).and_then(|kind| wrong(kind, value)) {
                let fault = Fault::new(kind.clone(), format!("option `{}` of `{path}`{why}", key.name));
                found.push((fault, value.position()));
            }
        }
    }
    found
}

/// Why a plain value is none of the documented type, as the run would say it. Types in more words than one (`text or
/// list`) take anything.
fn wrong(kind: &str, value: &Expr) -> Option<String> {
    let found = value.get_literal_value(None)?;
    let text = found.is_string().then(|| found.to_string());
    let (number, flag) = (found.is_int() || found.is_float(), found.is_bool());
    let takes = |what: &str| Some(format!(" takes {what}, not {found}"));
    match kind {
        "int" if text.is_some() || flag => takes("a whole number"),
        "flag" if text.is_some() || number => takes("true or false"),
        "text" | "path" if number || flag => takes("a text"),
        "time" if flag => takes("a time"),
        "size" if flag => takes("a size"),
        "time" => parse_duration(&text?).err().map(|fault| format!(": {}", fault.message)),
        "size" => parse_size(&text?).err().map(|fault| format!(": {}", fault.message)),
        _ => None,
    }
}
