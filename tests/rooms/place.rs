//! Every primitive that can fail marks the place of its call, so that its errors point there.

use super::source::{Source, files};
use super::{Found, assert_clean, made_up};

/// Functions given to scripts as `return_raw` that name no `ctx`: `host_of(&ctx)` or `options_of(&ctx, ..)` mark the place.
fn without_place(sources: &[Source]) -> Found {
    let mut found = Found::new();
    for source in sources.iter().filter(|source| source.room() == Some("prim")) {
        let mut lines = source.text.lines().enumerate().peekable();
        while let Some((_, line)) = lines.next() {
            if !(line.contains("#[rhai_fn(") && line.contains("return_raw")) {
                continue;
            }
            let Some((number, head)) = lines.next() else { break };
            let indent = head.len() - head.trim_start().len();
            let end = format!("{}}}", " ".repeat(indent));
            let rest: Vec<&str> = lines.by_ref().map(|(_, line)| line).take_while(|line| *line != end).collect();
            if !rest.iter().any(|line| line.contains("ctx")) {
                found.push(format!("{}:{}: its errors have no place", source.path, number + 1));
            }
        }
    }
    found
}

#[test]
fn every_primitive_marks_its_place() {
    assert_clean(&without_place(&files("src", ".rs")));
    let function = |body: &str| {
        format!("    #[rhai_fn(return_raw)]\n    pub fn a(ctx: NativeCallContext) -> Raw<()> {{\n{body}\n    }}\n")
    };
    let bad = [
        ("src/prim/a.rs", function("        host_of(&ctx);")),
        ("src/prim/b.rs", function("        Ok(())") + function("        host_of(&ctx);").as_str()),
    ];
    let bad: Vec<(&str, &str)> = bad.iter().map(|(path, text)| (*path, text.as_str())).collect();
    assert_eq!(without_place(&made_up(&bad)), ["src/prim/b.rs:2: its errors have no place"]);
}
