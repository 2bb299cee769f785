//! The engine's own errors in kar's words.

use rhai::{EvalAltResult, ParseErrorType};

use super::ground::to_fault;
use super::{MODULES, doc};
use crate::host::{Fault, nearest};

/// An engine's error in kar's words, wherever in it the cause lies.
pub fn fault_of(error: &EvalAltResult) -> Fault {
    use EvalAltResult as E;
    match error {
        E::ErrorInFunctionCall(_, _, inner, _) | E::ErrorInModule(_, inner, _) => fault_of(inner),
        E::ErrorRuntime(value, _) => to_fault(value),
        E::ErrorTerminated(value, _) if value.is_map() => to_fault(value),
        E::ErrorTerminated(..) => Fault::stopped(),
        E::ErrorParsing(kind, _) => syntax(kind),
        E::ErrorFunctionNotFound(signature, _) => function_missing(signature),
        E::ErrorModuleNotFound(name, _) => Fault::new("script.module", format!("there is no module `{name}` here"))
            .nearest(name, MODULES.iter().map(|module| module.name))
            .hint("a module of the stdlib is imported first: `import \"std/layout\" as layout;`"),
        E::ErrorVariableNotFound(name, _) => {
            Fault::new("script.variable", format!("there is no variable `{name}` here"))
                .hint("functions see their parameters and `global::NAME` constants, nothing else from outside")
        }
        E::ErrorDotExpr(text, _) if text.starts_with("Unknown property '") => property_missing(text),
        E::ErrorPropertyNotFound(name, _) => Fault::new("script.property", format!("there is no property `{name}`")),
        E::ErrorStackOverflow(_) => Fault::new("script.recursion", "functions call each other without end")
            .hint("a function that calls itself needs an end"),
        E::ErrorDataTooLarge(what, _) => {
            Fault::new("script.memory", format!("a value grew too large: {}", what.to_lowercase()))
                .hint("large data is moved by sources and sinks, not by values")
        }
        E::ErrorMismatchDataType(expected, found, _) if expected.is_empty() => {
            Fault::new("script.type", format!("a value of type {found} does not fit here"))
        }
        E::ErrorMismatchDataType(expected, found, _) => {
            Fault::new("script.type", format!("{expected} is wanted here, not {found}"))
        }
        other => {
            let text = other.to_string();
            let bare = text.rfind(" (line").map_or(text.as_str(), |at| &text[..at]);
            Fault::new("script.error", bare)
        }
    }
}

fn syntax(kind: &ParseErrorType) -> Fault {
    Fault::new("script.syntax", kind.to_string())
}

/// `Unknown property 'sizee' - a getter is not registered for type 'disk'`, as the engine has it.
fn property_missing(text: &str) -> Fault {
    let quoted: Vec<&str> = text.split('\'').collect();
    let (name, kind) = (quoted.get(1).copied().unwrap_or_default(), quoted.get(3).copied().unwrap_or_default());
    let properties = doc::functions().iter().filter(|f| f.role == doc::Role::Property && f.of.as_deref() == Some(kind));
    let known: Vec<&str> = properties.map(|f| f.name.as_str()).collect();
    let fault = Fault::new("script.property", format!("a value of type {kind} has no property `{name}`"));
    let fault = fault.nearest(name, known.iter().copied());
    if known.is_empty() { fault } else { fault.hint(format!("its properties: {}", known.join(", "))) }
}

/// `disk::opne (text)`: names what was called, with which types, and the nearest that is there.
fn function_missing(signature: &str) -> Fault {
    let called = signature.split(" (").next().unwrap_or(signature).trim();
    let shown = signature.replace("i64", "int").replace("f64", "float").replace("string", "text").replace(" (", "(");
    let fault = Fault::new("script.function", format!("there is no function `{shown}`"));
    let (module, name) = called.rsplit_once("::").map_or(("", called), |(module, name)| (module, name));
    let functions: Vec<&doc::Function> = doc::functions().iter().filter(|f| f.module == module).collect();
    if functions.iter().any(|f| f.name == name) {
        return fault.hint(format!("`kar doc {called}` shows what it takes"));
    }
    match nearest(name, functions.iter().map(|f| f.name.as_str())) {
        Some(near) => fault.hint(format!("did you mean `{module}::{near}`?")),
        None => fault,
    }
}
