//! Finds recipes and modules: in the folders a site names, beside the recipe, in the binary.

use std::fmt;
use std::path::{Path, PathBuf};

use super::embedded::{RECIPES, STDLIB};
use crate::host::{Fault, Result};

/// A script as it was found.
#[derive(Debug, Clone)]
pub struct Script {
    /// How errors name it: the file's path as the person would type it, or `stdlib/layout.rhai`.
    pub name: String,
    pub text: String,
    pub origin: Origin,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    File(PathBuf),
    BuiltIn,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::File(path) => write!(f, "{}", path.display()),
            Origin::BuiltIn => f.write_str("built in"),
        }
    }
}

/// Where modules are looked for. The folder of the recipe is added by [`Library::beside`].
#[derive(Debug, Clone, Default)]
pub struct Library {
    /// `--lib DIR`, in the order given: before everything else.
    pub dirs: Vec<PathBuf>,
    /// The recipe's own folder.
    near: Option<PathBuf>,
}

impl Library {
    pub fn new(dirs: Vec<PathBuf>) -> Self {
        Library { dirs, near: None }
    }

    /// The same library as seen by a recipe in the current folder.
    pub fn here(&self) -> Self {
        Library { dirs: self.dirs.clone(), near: Some(PathBuf::new()) }
    }

    /// The same library as seen by this recipe.
    pub fn beside(&self, recipe: &Script) -> Self {
        let near = match &recipe.origin {
            Origin::File(path) => Some(path.parent().map_or_else(PathBuf::new, Path::to_path_buf)),
            Origin::BuiltIn => None,
        };
        Library { dirs: self.dirs.clone(), near }
    }

    /// The module that `import "path"` means in the script `from`.
    ///
    /// `std/name` is looked for as `name.rhai` in each `--lib` folder, then in `stdlib/` in the recipe's folder and the
    /// one above it, then in the binary. Any other path is a file beside the importing script, or in a `--lib` folder.
    ///
    /// # Errors
    /// `script.import`: not found anywhere (the nearest known module is named), or not readable.
    pub fn module(&self, path: &str, from: Option<&Script>) -> Result<Script> {
        let Some(name) = path.strip_prefix("std/") else {
            return self.site_module(path, from);
        };
        let file = format!("{name}.rhai");
        for folder in self.std_folders() {
            if let Some(script) = read_if_there(&folder.join(&file))? {
                return Ok(script);
            }
        }
        match STDLIB.iter().find(|(known, _)| *known == name) {
            Some((name, text)) => {
                Ok(Script { name: format!("stdlib/{name}.rhai"), text: text.to_string(), origin: Origin::BuiltIn })
            }
            None => {
                let known: Vec<String> = STDLIB.iter().map(|(name, _)| format!("std/{name}")).collect();
                Err(Fault::new("script.import", format!("there is no module `{path}`"))
                    .nearest(path, known.iter().map(String::as_str))
                    .hint("`kar lib` lists the modules and where each comes from"))
            }
        }
    }

    /// A script by its path alone.
    ///
    /// # Errors
    /// `script.read`: it is not there, or not readable.
    pub fn file(&self, path: &Path) -> Result<Script> {
        read_if_there(path)?
            .ok_or_else(|| Fault::new("script.read", format!("there is no script `{}`", path.display())))
    }

    fn site_module(&self, path: &str, from: Option<&Script>) -> Result<Script> {
        let file = if path.ends_with(".rhai") { path.to_string() } else { format!("{path}.rhai") };
        let beside = match from.map(|script| &script.origin) {
            Some(Origin::File(file)) => file.parent().map(Path::to_path_buf),
            _ => None,
        };
        let folders: Vec<PathBuf> = beside.into_iter().chain(self.dirs.clone()).collect();
        for folder in &folders {
            if let Some(script) = read_if_there(&folder.join(&file))? {
                return Ok(script);
            }
        }
        let looked: Vec<String> = folders.iter().map(|f| format!("`{}`", f.join(&file).display())).collect();
        let mut fault = Fault::new("script.import", format!("there is no module `{path}`"));
        if STDLIB.iter().any(|(name, _)| *name == path) {
            fault = fault.hint(format!("did you mean `std/{path}`?"));
        }
        Err(match looked.is_empty() {
            true => fault.hint("a script in the binary imports `std/..` only"),
            false => fault.hint(format!("looked for {}", looked.join(", "))),
        })
    }

    fn std_folders(&self) -> Vec<PathBuf> {
        let mut folders = self.dirs.clone();
        if let Some(near) = &self.near {
            folders.push(near.join("stdlib"));
            folders.push(near.join("../stdlib"));
        }
        folders
    }

    /// Every stdlib module, with the place it would be taken from.
    pub fn modules(&self) -> Vec<(String, Result<Script>)> {
        let mut names: Vec<String> = STDLIB.iter().map(|(name, _)| name.to_string()).collect();
        for folder in self.std_folders() {
            let Ok(entries) = std::fs::read_dir(&folder) else { continue };
            let found = entries.flatten().filter_map(|entry| {
                entry.file_name().to_str().and_then(|name| name.strip_suffix(".rhai")).map(str::to_string)
            });
            names.extend(found);
        }
        names.sort();
        names.dedup();
        names.into_iter().map(|name| (format!("std/{name}"), self.module(&format!("std/{name}"), None))).collect()
    }

    /// The recipe that `kar run NAME` means: a file, or a recipe of the binary.
    ///
    /// # Errors
    /// `script.missing`: neither; `script.read`: the file cannot be read.
    pub fn recipe(&self, name: &str) -> Result<Script> {
        let path = Path::new(name);
        // `linux` is the recipe, though a kernel of that name may lie here; `linux.rhai` and `./linux` are files.
        let plain = RECIPES.iter().any(|(known, _)| *known == name);
        if let Some(script) = if plain { None } else { read_if_there(path)? } {
            return Ok(script);
        }
        let bare = name.strip_suffix(".rhai").unwrap_or(name);
        let bare = bare.strip_prefix("recipes/").unwrap_or(bare);
        match RECIPES.iter().find(|(known, _)| *known == bare) {
            Some((bare, text)) => {
                Ok(Script { name: format!("recipes/{bare}.rhai"), text: text.to_string(), origin: Origin::BuiltIn })
            }
            None => Err(Fault::new("script.missing", format!("there is no recipe `{name}`"))
                .nearest(name, beside(path).iter().map(String::as_str).chain(RECIPES.iter().map(|(name, _)| *name)))
                .hint("`kar recipes` lists those in the binary; a file is named by its path")),
        }
    }

    /// The recipes in the binary.
    pub fn recipes(&self) -> Vec<Script> {
        RECIPES
            .iter()
            .map(|(name, text)| Script {
                name: format!("recipes/{name}.rhai"),
                text: text.to_string(),
                origin: Origin::BuiltIn,
            })
            .collect()
    }
}

impl Script {
    /// What its `//!` lines say, the first line first. Other comments may stand above: a licence, `#!`.
    pub fn about(&self) -> Vec<&str> {
        let ours = |line: &&str| line.starts_with("//") && !line.starts_with("//!");
        self.text.lines().skip_while(ours).map_while(|line| line.strip_prefix("//!")).map(str::trim).collect()
    }
}

/// Without what editors and shells put in front: a byte order mark, and a `#!` line, which becomes a comment.
fn plain(text: String) -> String {
    let text = text.strip_prefix('\u{feff}').map(str::to_string).unwrap_or(text);
    match text.strip_prefix("#!") {
        Some(rest) => format!("// {rest}"),
        None => text,
    }
}

/// The scripts in the folder of `path`, named as `path` is.
fn beside(path: &Path) -> Vec<String> {
    let folder = path.parent().unwrap_or(Path::new(""));
    let entries = std::fs::read_dir(if folder.as_os_str().is_empty() { Path::new(".") } else { folder });
    let names = entries.into_iter().flatten().flatten().map(|entry| entry.file_name());
    let scripts = names.filter(|name| Path::new(name).extension().is_some_and(|end| end == "rhai"));
    let mut scripts: Vec<String> = scripts.map(|name| folder.join(name).display().to_string()).collect();
    scripts.sort();
    scripts
}

fn read_if_there(path: &Path) -> Result<Option<Script>> {
    if !path.is_file() {
        return Ok(None);
    }
    let fail =
        |error: std::io::Error| Fault::io("script.read", format_args!("read script `{}`", path.display()), error);
    let text = String::from_utf8(std::fs::read(path).map_err(fail)?).map_err(|_| {
        Fault::new("script.read", format!("cannot read script `{}`: it is not UTF-8 text", path.display()))
    })?;
    let text = plain(text);
    let shown = path.components().fold(PathBuf::new(), |shown, part| match part {
        std::path::Component::ParentDir if shown.file_name().is_some() => {
            shown.parent().map(Path::to_path_buf).unwrap_or_default()
        }
        part => shown.join(part),
    });
    Ok(Some(Script { name: shown.display().to_string(), text, origin: Origin::File(path.to_path_buf()) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_comes_from_lib_then_near_the_recipe_then_the_binary() {
        let dir = tempfile::tempdir().unwrap();
        let write = |path: &str| {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, "").unwrap();
        };
        write("site/recipes/r.rhai");
        let recipe = Library::default().recipe(dir.path().join("site/recipes/r.rhai").to_str().unwrap()).unwrap();
        let library = Library::new(vec![dir.path().join("lib")]).beside(&recipe);
        assert_eq!(library.module("std/layout", None).unwrap().origin, Origin::BuiltIn);
        write("site/stdlib/layout.rhai");
        assert_eq!(
            library.module("std/layout", None).unwrap().name,
            dir.path().join("site/stdlib/layout.rhai").display().to_string()
        );
        write("lib/layout.rhai");
        assert_eq!(
            library.module("std/layout", None).unwrap().name,
            dir.path().join("lib/layout.rhai").display().to_string()
        );
    }

    #[test]
    fn what_editors_and_shells_put_in_front_is_no_syntax() {
        let dir = tempfile::tempdir().unwrap();
        let read = |bytes: &str| {
            let path = dir.path().join("r.rhai");
            std::fs::write(&path, bytes).unwrap();
            Library::default().recipe(path.to_str().unwrap()).unwrap()
        };
        assert_eq!(read("\u{feff}fn main() {}").text, "fn main() {}");
        let script = read("#!/usr/bin/env -S kar run\n//! About.\nfn main() {}");
        assert_eq!(script.text, "// /usr/bin/env -S kar run\n//! About.\nfn main() {}");
        assert_eq!(script.about(), ["About."]);
    }

    #[test]
    fn a_recipe_of_the_binary_is_not_hidden_by_a_kernel() {
        let found = Library::default().recipe("linux").unwrap();
        assert_eq!(found.origin, Origin::BuiltIn);
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("linux"), [0xff, 0xfe]).unwrap();
        let fault = Library::default().recipe(dir.path().join("linux").to_str().unwrap()).unwrap_err();
        assert_eq!(fault.kind, "script.read");
    }

    #[test]
    fn an_unknown_module_names_the_nearest() {
        let fault = Library::default().module("std/rolout", None).unwrap_err();
        assert_eq!((&*fault.kind, fault.hints[0].as_str()), ("script.import", "did you mean `std/rollout`?"));
        let fault = Library::default().recipe("linnux").unwrap_err();
        assert_eq!((&*fault.kind, fault.hints[0].as_str()), ("script.missing", "did you mean `linux`?"));
    }
}
