//! The reference is true: every primitive has an example, every example runs and gives what it says, and the pages in
//! docs/reference are those the binary would write.

use std::path::Path;
use std::process::Command;

use kar::prim::MODULES;
use kar::script::reference;

/// One example as a recipe that fails where a value is not what the comment says.
fn recipe(example: &str) -> String {
    let mut outside = String::new();
    let mut body = String::new();
    for (number, line) in example.lines().enumerate() {
        match line.split_once("// =>") {
            None if line.starts_with("import ") => outside += &format!("{line}\n"),
            // An example may leave out the last semicolon of a line, as one types at a prompt.
            None => body += &format!("    {}\n", ended(line)),
            Some((code, want)) => body += &checked(number, code.trim().trim_end_matches(';'), want.trim()),
        }
    }
    format!("{outside}fn main(args) {{\n{body}}}\n")
}

fn ended(line: &str) -> String {
    let code = line.split("// ").next().unwrap_or(line).trim_end();
    let open = code.is_empty() || code.ends_with([';', '{', '(', '[', ',', '|']);
    if open { line.to_string() } else { format!("{code};") }
}

fn checked(number: usize, code: &str, want: &str) -> String {
    match want.strip_prefix("throws ") {
        Some(kind) => format!(
            "    {{ let thrown = \"nothing\"; try {{ {code}; }} catch (f) {{ \
             thrown = if type_of(f) == \"map\" && \"kind\" in f {{ f.kind }} else {{ \"script.thrown\" }}; }} \
             if thrown != \"{kind}\" {{ throw `line {number}: threw ${{thrown}}, not {kind}`; }} }}\n"
        ),
        None => {
            let (bind, value) = match code.strip_prefix("let ").and_then(|rest| rest.split_once(" = ")) {
                Some((name, _)) => (format!("{code};"), name.to_string()),
                None => (format!("let got = {code};"), "got".to_string()),
            };
            format!(
                "    {bind} if to_debug({value}) != to_debug({want}) {{ \
                 throw `line {number}: gave ${{to_debug({value})}}`; }}\n"
            )
        }
    }
}

fn run(example: &str) -> Result<(), String> {
    // The folder it runs in is empty: the recipe stands elsewhere.
    let (folder, aside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let file = aside.path().join("example.rhai");
    std::fs::write(&file, recipe(example)).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_kar"))
        .arg("run")
        .arg(file)
        .current_dir(&folder)
        .env("TMPDIR", aside.path())
        .output()
        .unwrap();
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

#[test]
fn every_primitive_has_an_example() {
    let without = reference::without_example();
    assert!(without.is_empty(), "no example in the doc comments of: {without:?}");
}

#[test]
fn every_example_gives_what_it_says() {
    let examples = reference::all_examples();
    assert!(examples.len() > 20);
    let failed: Vec<String> = examples
        .iter()
        .filter_map(|(path, text)| run(text).err().map(|why| format!("{path}:\n{text}\n{why}")))
        .collect();
    assert!(failed.is_empty(), "{} examples fail:\n\n{}", failed.len(), failed.join("\n\n"));
}

#[test]
fn a_wrong_example_is_seen() {
    assert!(run("1 + 1    // => 2").is_ok());
    assert!(run("1 + 1    // => 3").unwrap_err().contains("gave 2"));
    assert!(run("throw \"x\"    // => throws script.thrown").is_ok());
    assert!(run("1    // => throws script.thrown").unwrap_err().contains("threw nothing"));
}

#[test]
fn the_pages_in_docs_are_those_of_this_binary() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference");
    let mut pages = vec![("index.md".to_string(), reference::index())];
    pages.extend(MODULES.iter().map(|module| (format!("{}.md", module.name), reference::page(module))));
    let stale: Vec<&String> = pages
        .iter()
        .filter(|(name, text)| std::fs::read_to_string(folder.join(name)).ok().as_ref() != Some(text))
        .map(|(name, _)| name)
        .collect();
    assert!(stale.is_empty(), "stale: {stale:?}; write them with `cargo run -- doc --write docs/reference`");
    let known: Vec<&String> = pages.iter().map(|(name, _)| name).collect();
    let orphans: Vec<String> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .filter(|name| !known.contains(&name))
        .collect();
    assert!(orphans.is_empty(), "pages of no module: {orphans:?}");
}
