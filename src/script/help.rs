//! Help in a session: the reference, and what the scripts at hand say of themselves.

use std::fmt::Write;

use rhai::{Module, ScriptFuncDef};

use super::embedded::STDLIB;
use super::reference;
use super::session::Session;
use crate::host::{Fault, Result, nearest};

impl Session {
    /// What is known of a module, a function or a handle's method: of the primitives, the stdlib, what was imported,
    /// and the functions typed here.
    ///
    /// # Errors
    /// `doc.missing`: nothing of that name; the nearest is named.
    pub fn help(&self, topic: &str) -> Result<String> {
        let topic = topic.trim_end_matches("()").trim_end_matches("::");
        if let Ok(text) = reference::topic(Some(topic)) {
            return Ok(text);
        }
        let standing = self.shelf().standing();
        if let Some(module) = standing.get(topic) {
            return Ok(page(topic, module));
        }
        let found = match topic.rsplit_once("::") {
            Some((alias, name)) => standing.get(alias).map(|module| forms(alias, name, module)).unwrap_or_default(),
            None => forms("", topic, self.functions.shared_lib()),
        };
        drop(standing);
        if !found.is_empty() {
            return Ok(found.join("\n"));
        }
        let known = self.topics("");
        let fault = Fault::new("doc.missing", format!("there is nothing called `{topic}`"));
        Err(match nearest(topic, known.iter().map(String::as_str)) {
            Some(near) => fault.hint(format!("did you mean `{near}`?")),
            None => fault.hint("`:help` lists the modules, `:help MODULE` what one has"),
        })
    }

    /// The modules of the stdlib and those imported here, with the first line of what they say.
    pub fn script_modules(&self) -> Vec<(String, String)> {
        let about = |name: &str, module: &Module| {
            let text = STDLIB.iter().find(|(known, _)| *known == name).map(|(_, text)| *text);
            let said = text.and_then(|text| text.lines().next()).unwrap_or_else(|| module.doc());
            said.lines().next().unwrap_or_default().trim_start_matches("//!").trim().to_string()
        };
        let standing = self.shelf().standing();
        let modules = standing.iter().filter(|(name, _)| *name != "global");
        modules.map(|(name, module)| (name.clone(), about(name, module))).collect()
    }

    /// What `help` knows beside the reference.
    pub(super) fn script_topics(&self) -> Vec<String> {
        let standing = self.shelf().standing();
        let mut topics: Vec<String> = standing.keys().cloned().collect();
        for (alias, module) in standing.iter() {
            let public = module.iter_script_fn_info().filter(|(_, access, ..)| !access.is_private());
            topics.extend(public.map(|(_, _, name, ..)| format!("{alias}::{name}")));
        }
        let own = self.functions.iter_functions().map(|f| f.name.to_string());
        topics.extend(own.filter(|name| !name.starts_with("anon$")));
        topics
    }
}

fn page(alias: &str, module: &Module) -> String {
    let mut all: Vec<&ScriptFuncDef> = functions(module).collect();
    all.sort_by(|a, b| (&a.name, a.params.len()).cmp(&(&b.name, b.params.len())));
    let mut text = String::new();
    for function in all {
        let comment = comment(function);
        let _ = writeln!(text, "{}\n    {}", signature(alias, function), comment.lines().next().unwrap_or_default());
    }
    text
}

fn forms(alias: &str, name: &str, module: &Module) -> Vec<String> {
    let found = functions(module).filter(|function| function.name == name);
    found.map(|function| format!("{}\n\n{}\n", signature(alias, function), comment(function))).collect()
}

fn functions(module: &Module) -> impl Iterator<Item = &ScriptFuncDef> {
    let public = module.iter_script_fn_info().filter(|(_, access, ..)| !access.is_private());
    public.map(|(.., function)| &**function)
}

fn signature(alias: &str, function: &ScriptFuncDef) -> String {
    let params: Vec<&str> = function.params.iter().map(|param| param.as_str()).collect();
    let alias = if alias.is_empty() { String::new() } else { format!("{alias}::") };
    format!("{alias}{}({})", function.name, params.join(", "))
}

fn comment(function: &ScriptFuncDef) -> String {
    let lines = function.comments.iter().flat_map(|comment| comment.lines());
    lines.map(|line| line.trim_start().trim_start_matches('/').trim()).collect::<Vec<_>>().join("\n")
}
