//! What the primitives say of themselves: names, parameters and doc comments, out of the engine's metadata.

use std::collections::HashMap;
use std::sync::LazyLock;

use rhai::{Engine, FnNamespace};

use super::MODULES;

/// One native function, as scripts see it.
#[derive(Debug, Clone)]
pub struct Function {
    pub module: &'static str,
    /// As called; a property getter has its bare name.
    pub name: String,
    pub role: Role,
    /// `name: type` each; the handle of a method is left out.
    pub params: Vec<String>,
    pub returns: String,
    /// The handle's type, for methods and properties.
    pub of: Option<String>,
    /// Without the `///`.
    pub comment: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// `module::name(..)`
    Function,
    /// `handle.name(..)`
    Method,
    /// `handle.name`
    Property,
}

impl Function {
    /// `module::name` for functions, `type.name` for what hangs on a handle.
    pub fn path(&self) -> String {
        match &self.of {
            Some(handle) => format!("{handle}.{}", self.name),
            None => format!("{}::{}", self.module, self.name),
        }
    }

    pub fn options(&self) -> Vec<String> {
        options_in(&self.comment)
    }
}

/// All functions of all modules, in the order of [`MODULES`], then as they stand by name.
pub fn functions() -> &'static [Function] {
    static ALL: LazyLock<Vec<Function>> = LazyLock::new(|| {
        let mut all = Vec::new();
        for module in MODULES {
            let mut engine = Engine::new_raw();
            // Of all modules: a table is fitted to a disk.
            MODULES.iter().for_each(|module| (module.types)(&mut engine));
            engine.register_static_module(module.name, (module.make)().into());
            let mut found = engine.collect_fn_metadata(
                None,
                |info| (info.namespace == module.name).then(|| function(&engine, module.name, info.metadata)),
                false,
            );
            found.retain(|f| !f.name.starts_with("set$") && !OPERATORS.contains(&f.name.as_str()));
            found.sort_by(|a, b| {
                (a.role, &a.of, &a.name, a.params.len()).cmp(&(b.role, &b.of, &b.name, b.params.len()))
            });
            all.extend(found);
        }
        all
    });
    &ALL
}

/// How a value prints and compares is registered as functions too; nobody calls them by name.
const OPERATORS: [&str; 6] = ["to_string", "to_debug", "print", "debug", "==", "!="];

fn function(engine: &Engine, module: &'static str, data: &rhai::FuncMetadata) -> Function {
    let mut params: Vec<String> = data
        .params_info
        .iter()
        .filter(|param| !param.contains("NativeCallContext"))
        .map(|param| match param.split_once(':') {
            Some((name, kind)) => format!("{}: {}", name.trim(), type_name(engine, kind)),
            None => param.to_string(),
        })
        .collect();
    let mut of = None;
    let mut role = Role::Function;
    if data.namespace == FnNamespace::Global {
        role = if data.name.starts_with("get$") { Role::Property } else { Role::Method };
        let handle = params.remove(0);
        of = handle.split_once(": ").map(|(_, kind)| kind.to_string());
    }
    let comment = data.comments.iter().flat_map(|c| c.lines()).map(bare).collect::<Vec<_>>().join("\n");
    Function {
        module,
        name: data.name.trim_start_matches("get$").to_string(),
        role,
        params,
        returns: type_name(engine, &data.return_type),
        of,
        comment,
    }
}

/// A comment line without its slashes and the one blank behind them.
fn bare(line: &str) -> &str {
    let line = line.trim_start().trim_start_matches('/');
    line.strip_prefix(' ').unwrap_or(line)
}

/// A Rust type as scripts name it.
fn type_name(engine: &Engine, rust: &str) -> String {
    let rust = rust.trim().trim_start_matches("&mut ").trim_start_matches('&').trim();
    let inner = ["Raw<", "RhaiResultOf<", "Result<"]
        .iter()
        .find_map(|prefix| rust.strip_prefix(prefix))
        .map_or(rust, |rest| rest.split_once(", Box").map_or(rest, |(first, _)| first).trim_end_matches('>'));
    match inner.trim() {
        "INT" | "i64" => "int".into(),
        "FLOAT" | "f64" => "float".into(),
        "&str" | "str" | "ImmutableString" | "String" => "text".into(),
        "Array" => "list".into(),
        "Map" => "map".into(),
        "Blob" => "blob".into(),
        "FnPtr" => "closure".into(),
        "Dynamic" => "value".into(),
        "bool" => "flag".into(),
        "" | "()" => "()".into(),
        "SourceValue" => "source".into(),
        "SinkValue" => "sink".into(),
        other => {
            let last = other.rsplit("::").next().unwrap_or(other);
            // The signature has the bare Rust name; the engine knows the type by its path.
            let rooms = MODULES.iter().map(|m| m.name).chain(["disks"]);
            let paths = rooms.map(|room| format!("{}::{room}::{last}", module_path!().trim_end_matches("::doc")));
            let mut names = paths.map(|path| (engine.map_type_name(&path).to_string(), path));
            names.find(|(name, path)| name != path).map_or_else(|| last.to_lowercase(), |(name, _)| name)
        }
    }
}

/// The options that `module::function` takes; empty when it takes none.
pub fn options_of(call: &str) -> &'static [String] {
    static OPTIONS: LazyLock<HashMap<String, Vec<String>>> = LazyLock::new(|| {
        let mut all: HashMap<String, Vec<String>> = HashMap::new();
        for function in functions() {
            all.entry(function.path()).or_default().extend(function.options());
        }
        all
    });
    OPTIONS.get(call).map_or(&[], Vec::as_slice)
}

/// The type of an option as its list has it: `text`, `time`, `text or list`.
pub fn option_kind(call: &str, option: &str) -> Option<&'static str> {
    let mut entries =
        functions().iter().filter(|function| function.path() == call).flat_map(|f| option_lines(&f.comment));
    let (_, rest) = entries.find(|(name, _)| *name == option)?;
    rest.trim_start().strip_prefix('(')?.split([',', ')']).next()
}

fn options_in(comment: &str) -> Vec<String> {
    option_lines(comment).map(|(name, _)| name.to_string()).collect()
}

/// Name and rest of each line of a doc comment's `# Options` list: "- `name` (type, default): meaning".
fn option_lines(comment: &str) -> impl Iterator<Item = (&str, &str)> {
    let title = |line: &&str| line.trim() == "# Options";
    let list = comment.lines().skip_while(move |line| !title(line)).skip(1);
    list.take_while(|line| !line.starts_with("# ")).filter_map(|line| line.strip_prefix("- `")?.split_once('`'))
}
