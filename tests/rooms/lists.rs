//! Rules on lists that have to agree with folders.

use std::collections::BTreeSet;

use super::source::{Source, files, root};
use super::{Found, assert_clean, made_up};

type Names = BTreeSet<String>;

fn names<'a>(all: impl IntoIterator<Item = &'a str>) -> Names {
    all.into_iter().map(str::to_string).collect()
}

/// Differences between two sets of names, told from both sides.
fn compare(here: &Names, not_here: &str, there: &Names, not_there: &str) -> Found {
    let missing = there.difference(here).map(|name| format!("{name}: {not_here}"));
    missing.chain(here.difference(there).map(|name| format!("{name}: {not_there}"))).collect()
}

/// The script module that a file of `src/prim` belongs to: `disk` for `disk.rs` and for `disk/..`.
fn module_of(source: &Source) -> Option<&str> {
    let name = source.path.strip_prefix("src/prim/")?;
    name.split(['/', '.']).next()
}

/// The script modules in `src/prim`; what has no exported module is shared by all.
fn primitives(sources: &[Source]) -> Names {
    let exported = sources.iter().filter(|source| source.code().any(|line| line.code.contains("#[export_module]")));
    names(exported.filter_map(module_of))
}

fn modules() -> Names {
    names(kar::prim::MODULES.iter().map(|module| module.name))
}

fn modules_differ(sources: &[Source], modules: &Names) -> Found {
    compare(modules, "exports a script module that MODULES does not list", &primitives(sources), "no file in src/prim")
}

#[test]
fn modules_are_what_lies_in_prim() {
    assert_clean(&modules_differ(&files("src/prim", ".rs"), &modules()));
    let sources = made_up(&[
        ("src/prim/disk.rs", "#[export_module]\npub mod module {}"),
        ("src/prim/fs/mod.rs", "#[export_module]\npub mod module {}"),
        ("src/prim/words.rs", "pub fn words() {}"),
    ]);
    assert_eq!(
        modules_differ(&sources, &names(["fs", "log"])),
        ["disk: exports a script module that MODULES does not list", "log: no file in src/prim"]
    );
}

/// No primitive calls another: what two need moves to the kit, or to a shared file.
fn primitives_named(sources: &[Source], modules: &Names) -> Found {
    let mut found = Found::new();
    for source in sources {
        let Some(own) = module_of(source).filter(|own| modules.contains(*own)) else { continue };
        for line in source.code() {
            for other in modules.iter().filter(|other| *other != own) {
                let ways = [format!("super::{other}"), format!("prim::{other}")];
                let follows = |rest: &str| rest.starts_with("::") || rest.starts_with(';') || rest.starts_with(" as ");
                let named = ways.iter().any(|way| {
                    line.code.match_indices(way.as_str()).any(|(at, way)| follows(&line.code[at + way.len()..]))
                });
                if named {
                    found.push(format!("{}:{}: names the primitive {other}", source.path, line.number));
                }
            }
        }
    }
    found
}

#[test]
fn no_primitive_names_another() {
    assert_clean(&primitives_named(&files("src/prim", ".rs"), &modules()));
    let sources = made_up(&[
        ("src/prim/disk.rs", "use super::prelude::*;\nuse super::fs::mount;\nuse crate::kit::fs::probe;"),
        ("src/prim/fs.rs", "use super::log;\nfn f() { super::log(1) }\nfn g() { crate::prim::disk::open() }"),
        ("src/prim/mod.rs", "use super::prim::fs::x;"),
    ]);
    assert_eq!(
        primitives_named(&sources, &names(["disk", "fs", "log"])),
        [
            "src/prim/disk.rs:2: names the primitive fs",
            "src/prim/fs.rs:1: names the primitive log",
            "src/prim/fs.rs:3: names the primitive disk",
        ]
    );
}

/// The scripts of a folder, by name without the ending.
fn scripts(sources: &[Source], folder: &str) -> Names {
    names(
        sources.iter().filter_map(|source| source.path.strip_prefix(folder)?.strip_prefix('/')?.strip_suffix(".rhai")),
    )
}

fn embedded_differ(sources: &[Source], folder: &str, embedded: &Names) -> Found {
    compare(embedded, "is not embedded in the binary", &scripts(sources, folder), "is embedded and no file")
}

#[test]
fn every_script_is_embedded() {
    use kar::script::embedded::{RECIPES, STDLIB};
    for (folder, list) in [("stdlib", STDLIB), ("recipes", RECIPES)] {
        let sources = files(folder, ".rhai");
        assert!(!sources.is_empty(), "{folder} is not empty");
        assert_clean(&embedded_differ(&sources, folder, &names(list.iter().map(|(name, _)| *name))));
        for (name, text) in list {
            assert_eq!(std::fs::read_to_string(root().join(format!("{folder}/{name}.rhai"))).unwrap(), *text, "{name}");
        }
    }
    let sources = made_up(&[("stdlib/boot.rhai", ""), ("stdlib/net/pxe.rhai", ""), ("recipes/linux.rhai", "")]);
    assert_eq!(
        embedded_differ(&sources, "stdlib", &names(["boot", "layout"])),
        ["net/pxe: is not embedded in the binary", "layout: is embedded and no file"]
    );
}

/// The fuzz targets that a Cargo.toml names.
fn bins(manifest: &str) -> Names {
    names(manifest.lines().filter_map(|line| line.strip_prefix("path = \"fuzz_targets/")?.strip_suffix(".rs\"")))
}

fn fuzz_differ(manifest: &str, sources: &[Source]) -> Found {
    let stem = |source: &'_ Source| source.path.rsplit('/').next().unwrap_or("").trim_end_matches(".rs").to_string();
    let files = sources.iter().map(stem).collect();
    compare(&bins(manifest), "no [[bin]] in tests/fuzz/Cargo.toml", &files, "no file in tests/fuzz/fuzz_targets")
}

#[test]
fn every_fuzz_target_can_be_built() {
    let manifest = std::fs::read_to_string(root().join("tests/fuzz/Cargo.toml")).unwrap();
    assert_clean(&fuzz_differ(&manifest, &files("tests/fuzz/fuzz_targets", ".rs")));
    let manifest = "[[bin]]\nname = \"a\"\npath = \"fuzz_targets/a.rs\"\n";
    assert_eq!(
        fuzz_differ(manifest, &made_up(&[("tests/fuzz/fuzz_targets/b.rs", "")])),
        ["b: no [[bin]] in tests/fuzz/Cargo.toml", "a: no file in tests/fuzz/fuzz_targets"]
    );
}
