//! The reference, made from what the primitives say of themselves: for `kar doc` and for docs/reference.

use std::fmt::Write;

use crate::host::{Fault, Result};
use crate::prim::doc::{Function, Role, functions};
use crate::prim::{MODULES, Module};

/// The page of one module, in Markdown.
pub fn page(module: &Module) -> String {
    let mut page = format!("# {}\n\n{}.\n", module.name, module.about);
    let entries = entries(module.name);
    for entry in &entries {
        let _ = write!(page, "\n## {}\n\n{}", heading(entry), body(entry));
    }
    page
}

/// The list of all modules, in Markdown.
pub fn index() -> String {
    let mut page =
        String::from("# Reference\n\nGenerated from the primitives' own comments; `kar doc` shows the same.\n\n");
    page.push_str("| module | what for |\n|---|---|\n");
    for module in MODULES {
        let _ = writeln!(page, "| [{0}]({0}.md) | {1} |", module.name, module.about);
    }
    page
}

/// What `kar doc TOPIC` prints: everything's list, a module, or one function.
///
/// # Errors
/// `doc.missing`: no such module or function; the nearest is named.
pub fn topic(topic: Option<&str>) -> Result<String> {
    let Some(topic) = topic else {
        let width = MODULES.iter().map(|module| module.name.len()).max().unwrap_or(0);
        return Ok(MODULES.iter().map(|m| format!("{:width$}  {}\n", m.name, m.about)).collect());
    };
    if let Some(module) = MODULES.iter().find(|module| module.name == topic) {
        let mut text = format!("{}: {}\n\n", module.name, module.about);
        for entry in entries(module.name) {
            let _ = writeln!(text, "{}\n{}", signature(entry), first_sentence(&entry.comment));
        }
        return Ok(text);
    }
    let mut found: Vec<&Function> = functions().iter().filter(|f| f.path() == topic || name_of(f) == topic).collect();
    if found.is_empty() {
        found = functions().iter().filter(|f| f.name == topic).collect();
    }
    match documented(found) {
        found if !found.is_empty() => Ok(found
            .iter()
            .map(|entry| format!("{}\n\n{}", signature(entry), plain(&entry.comment)))
            .collect::<Vec<_>>()
            .join("\n")),
        _ => {
            let known: Vec<String> =
                functions().iter().map(Function::path).chain(MODULES.iter().map(|m| m.name.to_string())).collect();
            Err(Fault::new("doc.missing", format!("there is nothing called `{topic}`"))
                .nearest(topic, known.iter().map(String::as_str))
                .hint("`kar doc` lists the modules, `kar doc MODULE` what one has"))
        }
    }
}

/// A comment for the terminal: headings as words with a colon, examples indented in place of their fences.
fn plain(comment: &str) -> String {
    let mut text = String::new();
    let mut fenced = false;
    for line in comment.trim().lines() {
        match (line.trim_end(), line.strip_prefix("# ")) {
            (line, _) if line.starts_with("```") => fenced = !fenced,
            ("", _) => text.push('\n'),
            (line, _) if fenced => text += &format!("    {line}\n"),
            (_, Some(heading)) => text += &format!("{heading}:\n"),
            (line, None) => text += &format!("{line}\n"),
        }
    }
    text
}

/// The first sentence of a comment, indented, with the comment's own line breaks.
fn first_sentence(comment: &str) -> String {
    let paragraph = comment.trim().split("\n\n").next().unwrap_or_default();
    let end = paragraph
        .match_indices(['.', ';'])
        .map(|(at, _)| at)
        .find(|at| paragraph[at + 1..].starts_with(char::is_whitespace))
        .unwrap_or(paragraph.len());
    let sentence = paragraph[..end].trim_end_matches('.').lines().map(|line| format!("    {}", line.trim()));
    sentence.collect::<Vec<_>>().join("\n")
}

/// `module::name` also for what hangs on a handle: `disk::write_table`.
fn name_of(function: &Function) -> String {
    format!("{}::{}", function.module, function.name)
}

/// What a module has, each once: of several forms of a function the one that is documented in full.
fn entries(module: &str) -> Vec<&'static Function> {
    documented(functions().iter().filter(|f| f.module == module).collect())
}

fn documented(found: Vec<&Function>) -> Vec<&Function> {
    let mut kept: Vec<&Function> = Vec::new();
    for function in found {
        match kept.iter_mut().find(|known| known.path() == function.path()) {
            None => kept.push(function),
            Some(known) if known.comment.len() < function.comment.len() => *known = function,
            Some(_) => {}
        }
    }
    kept
}

fn heading(function: &Function) -> String {
    format!("`{}`", signature(function))
}

/// `disk::open(path: text, options: map) -> disk`
pub fn signature(function: &Function) -> String {
    let options = function.options();
    let params: Vec<String> = function
        .params
        .iter()
        .map(|param| match param.split_once(": ") {
            Some(("options", "map")) if !options.is_empty() => format!("#{{ {} }}", options.join(", ")),
            Some((name, "value")) => name.to_string(),
            _ => param.clone(),
        })
        .collect();
    let returns = if function.returns == "()" { String::new() } else { format!(" -> {}", function.returns) };
    match function.role {
        Role::Property => format!("{}{returns}", function.path()),
        _ => format!("{}({}){returns}", function.path(), params.join(", ")),
    }
}

fn body(function: &Function) -> String {
    let comment = function.comment.trim().replace("\n# ", "\n### ");
    format!("{comment}\n")
}

/// The documented functions that have no example, by path: each is a defect.
pub fn without_example() -> Vec<String> {
    let all: Vec<&Function> = MODULES.iter().flat_map(|module| entries(module.name)).collect();
    all.iter().filter(|f| examples(f).is_empty()).map(|f| f.path()).collect()
}

/// The examples in a doc comment, each the text between its fences.
pub fn examples(function: &Function) -> Vec<String> {
    let mut found = Vec::new();
    let mut current: Option<String> = None;
    for line in function.comment.lines() {
        match (&mut current, line.trim()) {
            (None, "```rhai") => current = Some(String::new()),
            (Some(_), "```") => found.extend(current.take()),
            (Some(text), _) => {
                text.push_str(line);
                text.push('\n');
            }
            _ => {}
        }
    }
    found
}

/// Every documented function with its examples, for the test that runs them.
pub fn all_examples() -> Vec<(String, String)> {
    let all = MODULES.iter().flat_map(|module| entries(module.name));
    all.flat_map(|function| examples(function).into_iter().map(|text| (function.path(), text))).collect()
}
