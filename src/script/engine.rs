//! Makes engines: limits, modules, the resolver, what a script may not do.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Arc, LazyLock, Mutex, OnceLock, PoisonError};

use rhai::packages::{Package, StandardPackage};
use rhai::{AST, Dynamic, Engine, EvalAltResult, Module, OptimizationLevel, Position, Scope, Shared};

use super::circles;
use super::library::{Library, Origin, Script};
use super::memory::Memory;
use super::spans::{Span, spans};
use super::trace;
use crate::host::Fault;
use crate::prim::prelude::from_fault;
use crate::prim::{Ground, MODULES, Scripts, Sources};

/// Calls within calls; a level takes some KiB of the thread's stack, more in debug builds.
const CALL_LEVELS: usize = 200;
/// Steps of the engine between two looks at the deadline; Ctrl-C and memory are seen at every step.
const STEPS: u64 = 4096;

/// All that is shared by the engines of one run: the scripts found so far, and the modules made of them.
#[derive(Clone)]
pub struct Shelf(Arc<Inner>);

struct Inner {
    library: Library,
    scripts: Mutex<HashMap<String, (Script, Vec<Span>)>>,
    /// The first one that was compiled: the recipe.
    first: OnceLock<String>,
    modules: Mutex<HashMap<String, Shared<Module>>>,
    /// What is there on every line of a session without an import, by the name it has there.
    standing: Mutex<BTreeMap<String, Shared<Module>>>,
    memory: Memory,
}

/// The path by which a standing module is imported into each line.
pub const STANDING: &str = "session::";

thread_local! {
    /// Modules being read on this thread, outermost first: finds imports that go in a circle.
    static READING: std::cell::RefCell<Vec<String>> = const { std::cell::RefCell::new(Vec::new()) };
}

impl Shelf {
    pub fn new(library: Library) -> Self {
        Shelf(Arc::new(Inner {
            library,
            scripts: Mutex::default(),
            first: OnceLock::new(),
            modules: Mutex::default(),
            standing: Mutex::default(),
            memory: Memory::default(),
        }))
    }

    pub fn library(&self) -> &Library {
        &self.0.library
    }

    pub fn memory(&self) -> &Memory {
        &self.0.memory
    }

    /// A script known by the name that errors use.
    pub fn script(&self, name: &str) -> Option<Script> {
        self.scripts().get(name).map(|(script, _)| script.clone())
    }

    /// Compiles a script and remembers its text and functions for errors. No statement of it runs.
    pub fn compile(&self, engine: &Engine, script: &Script) -> Result<AST, Box<EvalAltResult>> {
        self.scripts().insert(script.name.clone(), (script.clone(), Vec::new()));
        self.0.first.get_or_init(|| script.name.clone());
        let mut ast = engine.compile(&script.text)?;
        ast.set_source(script.name.clone());
        self.scripts().insert(script.name.clone(), (script.clone(), spans(&ast)));
        Ok(ast)
    }

    /// The file in which `function` stands, when an error at `position` is inside it. `claimed` is what the engine says.
    /// `None` for a function of the engine's own: its error comes from where it was called.
    pub fn file_of(&self, function: &str, position: Position, claimed: &str) -> Option<String> {
        let scripts = self.scripts();
        let defines = |spans: &[Span]| spans.iter().any(|span| span.name == function);
        let holds = |spans: &[Span]| spans.iter().any(|span| span.name == function && span.holds(position));
        let mut found: Vec<&String> = scripts.iter().filter(|(_, (_, s))| defines(s)).map(|(name, _)| name).collect();
        if found.len() > 1 {
            let inside: Vec<&String> = found.iter().copied().filter(|name| holds(&scripts[*name].1)).collect();
            if !inside.is_empty() {
                found = inside;
            }
        }
        match found.as_slice() {
            [] => None,
            [one] => Some(one.to_string()),
            _ => Some(claimed.to_string()),
        }
    }

    /// Forgets where the functions of `script` stood before, in the other lines of a session whose names begin alike.
    pub fn supersede(&self, script: &str, session: &str) {
        let mut scripts = self.scripts();
        let newer = scripts.get(script).map(|(_, spans)| spans.clone()).unwrap_or_default();
        for (_, (_, spans)) in scripts.iter_mut().filter(|(name, _)| *name != script && name.starts_with(session)) {
            spans.retain(|old| !newer.iter().any(|new| new.name == old.name && new.takes == old.takes));
        }
    }

    /// What is imported from now on is read again.
    pub fn forget_modules(&self) {
        self.0.modules.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The modules that are there on every line of a session.
    pub fn standing(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Shared<Module>>> {
        self.0.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn scripts(&self) -> std::sync::MutexGuard<'_, HashMap<String, (Script, Vec<Span>)>> {
        self.0.scripts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The module that `import "path"` means in the script `from`; run once.
    pub fn import(
        &self,
        engine: &Engine,
        from: Option<&str>,
        path: &str,
    ) -> Result<Shared<Module>, Box<EvalAltResult>> {
        if let Some(module) = path.strip_prefix(STANDING).and_then(|name| self.standing().get(name).cloned()) {
            return Ok(module);
        }
        let from = from.and_then(|name| self.script(name));
        let script = self.0.library.module(path, from.as_ref())?;
        let modules = || self.0.modules.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(module) = modules().get(&script.name) {
            return Ok(module.clone());
        }
        READING.with_borrow(|reading| match reading.iter().position(|name| *name == script.name) {
            None => Ok(()),
            Some(at) => {
                let circle: Vec<String> = reading[at..].iter().chain([&script.name]).cloned().collect();
                Err(circles::fault(&circle))
            }
        })?;
        READING.with_borrow_mut(|reading| reading.push(script.name.clone()));
        let module = self
            .compile(engine, &script)
            .and_then(|ast| Module::eval_ast_as_new(Scope::new(), &ast, engine))
            .map_err(|error| Box::new(EvalAltResult::ErrorInModule(script.name.clone(), error, Position::NONE)));
        READING.with_borrow_mut(|reading| reading.pop());
        let module: Shared<Module> = module?.into();
        modules().insert(script.name, module.clone());
        Ok(module)
    }
}

impl rhai::ModuleResolver for Shelf {
    fn resolve(
        &self,
        engine: &Engine,
        source: Option<&str>,
        path: &str,
        pos: Position,
    ) -> Result<Shared<Module>, Box<EvalAltResult>> {
        self.import(engine, source, path).map_err(|mut error| {
            if error.position().is_none() {
                error.set_position(pos);
            }
            error
        })
    }
}

impl Scripts for Shelf {
    fn engine(&self, ground: &Ground) -> Engine {
        let mut engine = bare();
        engine.set_module_resolver(self.clone());
        engine.set_default_tag(Dynamic::from(ground.clone()));
        let host = ground.host.clone();
        let memory = self.0.memory.clone();
        engine.on_progress(move |steps| {
            if host.is_stopping() {
                return Some(Dynamic::UNIT);
            }
            if let Some(fault) = memory.exceeded() {
                return Some(from_fault(&fault));
            }
            if steps % STEPS != 0 {
                return None;
            }
            host.check().err().map(|fault| from_fault(&fault))
        });
        let host = ground.host.clone();
        engine.on_print(move |text| host.console().print(text));
        let host = ground.host.clone();
        engine.on_debug(move |text, source, position| {
            let place = source.map(|file| format!("{file}:{position:?}: ")).unwrap_or_default();
            host.log(crate::host::Level::Trace, &format!("{place}{text}"));
        });
        engine
    }

    fn call(
        &self,
        ground: &Ground,
        file: &Path,
        function: &str,
        args: Vec<Dynamic>,
    ) -> Result<Dynamic, Box<EvalAltResult>> {
        let script = self.0.library.file(file)?;
        let engine = self.engine(ground);
        let inside = |error| Box::new(EvalAltResult::ErrorInModule(script.name.clone(), error, Position::NONE));
        let ast = self.compile(&engine, &script).map_err(inside)?;
        if !ast.iter_functions().any(|known| known.name == function && known.params.len() == args.len()) {
            let names: Vec<_> = ast.iter_functions().map(|known| known.name.to_string()).collect();
            let message = format!("`{}` has no function `{function}` with {} parameters", script.name, args.len());
            return Err(Fault::new("script.function", message)
                .nearest(function, names.iter().map(String::as_str))
                .into());
        }
        engine.call_fn(&mut Scope::new(), &ast, function, args).map_err(inside)
    }

    fn sources(&self) -> Sources {
        let scripts = self.scripts();
        let all = scripts.values().map(|(script, _)| match &script.origin {
            Origin::File(path) => (script.name.clone(), Some(path.clone()), script.text.clone()),
            Origin::BuiltIn => (script.name.clone(), None, script.text.clone()),
        });
        Sources {
            recipe: self.0.first.get().cloned().unwrap_or_default(),
            lib: self.0.library.dirs.clone(),
            scripts: all.collect(),
        }
    }

    fn place(&self, error: &EvalAltResult) -> String {
        trace::report(self, "", error).place.map(|place| place.to_string()).unwrap_or_default()
    }
}

// Made once and shared: every thread of a run has an engine, and a recipe is read by one before another runs it.
static STANDARD: LazyLock<Shared<Module>> = LazyLock::new(|| StandardPackage::new().as_shared_module());
static PRIMITIVES: LazyLock<Vec<Shared<Module>>> = LazyLock::new(|| {
    let make = |module: &crate::prim::Module| {
        let mut functions = (module.make)();
        functions.build_index();
        Shared::new(functions)
    };
    MODULES.iter().map(make).collect()
});

/// An engine that knows the primitives and the limits, enough to compile and to check.
pub fn bare() -> Engine {
    let mut engine = Engine::new_raw();
    engine.register_global_module(STANDARD.clone());
    for (module, functions) in MODULES.iter().zip(PRIMITIVES.iter()) {
        (module.types)(&mut engine);
        engine.register_static_module(module.name, functions.clone());
    }
    engine.register_type_with_name::<crate::prim::prelude::SourceValue>("source");
    engine.register_type_with_name::<crate::prim::prelude::SinkValue>("sink");
    engine.register_fn("to_string", |end: &mut crate::prim::prelude::SourceValue| end.to_string());
    engine.register_fn("to_string", |end: &mut crate::prim::prelude::SinkValue| end.to_string());
    // Kept as written: positions stay true, and nothing is dropped that a person may ask about.
    engine.set_optimization_level(OptimizationLevel::None);
    engine.set_max_call_levels(CALL_LEVELS);
    engine.set_max_expr_depths(128, 128);
    // No limits on the size of values: the engine would count each list again at every `push`. See memory.rs.
    engine.set_max_strings_interned(0);
    engine.set_fail_on_invalid_map_property(true);
    super::sizes::register(&mut engine);
    // `eval` would run what no check has seen; the engine's own `sleep` cannot be stopped.
    engine.disable_symbol("eval");
    engine.register_fn("sleep", |_: i64| -> Result<(), Box<EvalAltResult>> {
        Err(Fault::new("script.sleep", "`sleep` is not used here").hint("did you mean `task::sleep(\"1s\")`?").into())
    });
    engine
}
