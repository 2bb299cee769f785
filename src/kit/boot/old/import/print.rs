//! The tree of decisions as a recipe.

use super::super::program::Language;
use super::follow::{Boot, Condition, Part, Tree, Value};
use crate::kit::boot::cmdline;

pub fn recipe(tree: &Tree, language: Language, name: &str) -> String {
    let mut text = format!("//! What a node boots, as the {} script {name} has it.\n", language.name());
    if let Tree::Fork { comment, .. } = tree {
        for (at, line) in worth_keeping(comment).enumerate() {
            text.push_str(if at == 0 { "//!\n" } else { "" });
            text.push_str(&format!("//! {line}\n"));
        }
    }
    text.push_str("\n// What a node is told at every network boot.\nfn boot(node) {\n");
    block(&mut text, tree, 1);
    text.push_str("}\n");
    text
}

fn block(text: &mut String, tree: &Tree, depth: usize) {
    let indent = "    ".repeat(depth);
    match tree {
        Tree::Boot { boot, comment } => {
            comments(text, comment, &indent);
            text.push_str(&format!("{indent}{}\n", decision(boot)));
        }
        Tree::Fork { .. } => match arms(tree) {
            Some((arms, last)) => {
                text.push_str(&format!("{indent}switch node.step {{\n"));
                let inner = "    ".repeat(depth + 1);
                for (step, (boot, comment)) in
                    arms.iter().map(|(step, end)| (quoted(step), *end)).chain([("_".to_string(), last)])
                {
                    comments(text, comment, &inner);
                    text.push_str(&format!("{inner}{step} => {},\n", decision(boot)));
                }
                text.push_str(&format!("{indent}}}\n"));
            }
            None => fork(text, tree, depth),
        },
    }
}

/// `if .. else if .. else`.
fn fork(text: &mut String, tree: &Tree, depth: usize) {
    let indent = "    ".repeat(depth);
    let mut tree = tree;
    text.push_str(&indent);
    while let Tree::Fork { condition, yes, no, .. } = tree {
        text.push_str(&format!("if {} {{\n", test(condition)));
        block(text, yes, depth + 1);
        text.push_str(&format!("{indent}}} else "));
        tree = no;
        if arms(tree).is_some() {
            break;
        }
    }
    text.push_str("{\n");
    block(text, tree, depth + 1);
    text.push_str(&format!("{indent}}}\n"));
}

type End<'a> = (&'a Boot, &'a [String]);

/// A row of forks that only ask for the step, as the arms of a switch, and what is left.
fn arms(tree: &Tree) -> Option<(Vec<(&str, End<'_>)>, End<'_>)> {
    match tree {
        Tree::Boot { .. } => None,
        Tree::Fork { condition: Condition::Step(step), yes, no, .. } if !step.is_empty() => {
            let Tree::Boot { boot, comment } = &**yes else { return None };
            let arm = (step.as_str(), (boot, comment.as_slice()));
            match &**no {
                Tree::Boot { boot, comment } => Some((vec![arm], (boot, comment))),
                further => {
                    let (mut all, last) = arms(further)?;
                    all.insert(0, arm);
                    Some((all, last))
                }
            }
        }
        Tree::Fork { .. } => None,
    }
}

/// Without empty lines, rulers and boxes.
fn worth_keeping(comment: &[String]) -> impl Iterator<Item = &String> {
    comment.iter().filter(|line| line.contains(char::is_alphanumeric))
}

fn comments(text: &mut String, comment: &[String], indent: &str) {
    for line in worth_keeping(comment) {
        text.push_str(&format!("{indent}// {line}\n"));
    }
}

fn test(condition: &Condition) -> String {
    match condition {
        Condition::Step(word) if word.is_empty() => "node.step == ()".into(),
        Condition::Step(word) => format!("node.step == {}", quoted(word)),
        Condition::Same(left, right) => format!("{} == {}", value(left), value(right)),
    }
}

fn decision(boot: &Boot) -> String {
    match boot {
        Boot::Local => "boot::local()".into(),
        Boot::Floppy { image } => {
            format!("boot::linux(#{{ kernel: \"memdisk\", initrd: {}, cmdline: \"floppy\" }})", value(image))
        }
        Boot::Linux { kernel, cmdline } if cmdline.is_empty() => {
            format!("boot::linux(#{{ kernel: {} }})", value(kernel))
        }
        Boot::Linux { kernel, cmdline } => {
            format!("boot::linux(#{{ kernel: {}, cmdline: {} }})", value(kernel), value(&tidied(cmdline)))
        }
    }
}

/// Blanks as a decision has them, where all of the line is known.
fn tidied(line: &Value) -> Value {
    match line.as_slice() {
        [Part::Literal(text)] => vec![Part::Literal(cmdline::tidy(text))],
        other => other.to_vec(),
    }
}

fn value(value: &Value) -> String {
    let literals = || value.iter().filter_map(|part| if let Part::Literal(text) = part { Some(text) } else { None });
    // A text with holes, unless it holds what means something inside one.
    let holes = value.len() > 1 && !literals().any(|text| text.contains(['`', '$', '\\', '\n', '\r', '\t']));
    let word = |part: &Part| match part {
        Part::Literal(text) if holes => text.clone(),
        Part::Literal(text) => quoted(text),
        Part::Address if holes => "${node.ip}".into(),
        Part::Address => "node.ip".into(),
        Part::Step if holes => "${node.step ?? \"\"}".into(),
        Part::Step => "(node.step ?? \"\")".into(),
    };
    match value.as_slice() {
        [] => "\"\"".into(),
        parts if holes => format!("`{}`", parts.iter().map(word).collect::<String>()),
        parts => parts.iter().map(word).collect::<Vec<_>>().join(" + "),
    }
}

/// A text in quotes, as a recipe reads it back.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04x}", c as u32)),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
