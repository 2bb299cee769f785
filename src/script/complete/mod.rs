//! What may stand next in a line that is being typed. Nothing of the line is run for it: types come from the values of
//! variables and from what the reference says functions return.

mod kind;
mod members;
mod paths;

use rhai::Engine;

use super::session::Session;
use super::tokens::{Kind, Token, is_word, open_brackets, tokens};
use crate::prim::{MODULES, doc};

pub use paths::paths;

/// Words of the language that begin or join statements.
const KEYWORDS: [&str; 19] = [
    "let", "const", "fn", "if", "else", "switch", "for", "in", "while", "loop", "break", "continue", "return", "throw",
    "try", "catch", "import", "true", "false",
];

impl Session {
    /// What may stand at byte `at` of the line, and where the word begins that it takes the place of. Functions end in
    /// `(`, or `()` when they take nothing; modules in `::`, option keys in `: `, folders in `/`.
    pub fn complete(&self, line: &str, at: usize) -> (usize, Vec<String>) {
        let typed = line.get(..at).unwrap_or(line);
        let found = tokens(typed);
        if let Some(text) = found.last().filter(|token| token.open) {
            let inner = text.at + 1;
            return match text.kind {
                Kind::Text => (inner + folder(&typed[inner..]), paths(&typed[inner..])),
                _ => (at, Vec::new()),
            };
        }
        let start = typed
            .rfind(|c| !is_word(c))
            .map_or(0, |before| before + typed[before..].chars().next().map_or(1, char::len_utf8));
        let word = &typed[start..];
        let before: Vec<Token> = found.into_iter().take_while(|token| token.at < start).collect();
        let mut words = match before.last() {
            // The rest of a number, of a comment: nothing follows.
            Some(token) if token.kind == Kind::Comment && !typed[token.range().end..].contains('\n') => Vec::new(),
            Some(token) if token.is("::") => self.functions_of(&before),
            Some(token) if token.is(".") || token.is("?.") => self.members(&before[..before.len() - 1]),
            _ => match self.option_keys(&before, line) {
                Some(keys) => keys,
                None => self.names(word),
            },
        };
        words.retain(|name| name.starts_with(word) && (!name.starts_with('_') || word.starts_with('_')));
        words.sort();
        words.dedup();
        (start, words)
    }

    /// What `:help` knows that begins with `word`.
    pub fn topics(&self, word: &str) -> Vec<String> {
        let native = doc::functions().iter().map(doc::Function::path);
        let modules = MODULES.iter().map(|module| module.name.to_string());
        let mut all: Vec<String> = native.chain(modules).chain(self.script_topics()).collect();
        all.retain(|topic| topic.starts_with(word));
        all.sort();
        all.dedup();
        all
    }

    /// `fs::` -> its functions.
    fn functions_of(&self, before: &[Token]) -> Vec<String> {
        let Some(module) = before.len().checked_sub(2).map(|at| before[at].text) else { return Vec::new() };
        if let Some(module) = self.shelf().standing().get(module) {
            let functions = module.iter_script_fn_info().filter(|(_, access, ..)| !access.is_private());
            return functions.map(|(_, _, name, takes, _)| call(name, takes)).collect();
        }
        let native = doc::functions().iter().filter(|f| f.module == module && f.role == doc::Role::Function);
        native.map(|f| call(&f.name, most(f))).collect()
    }

    /// Variables, functions, modules, and words of the language.
    fn names(&self, word: &str) -> Vec<String> {
        let variables = self.scope.iter_raw().map(|(name, ..)| name.to_string());
        let functions = self.functions.iter_functions().filter(|f| !f.name.starts_with("anon$"));
        let functions = functions.map(|f| call(f.name, f.params.len()));
        let modules = MODULES.iter().map(|module| format!("{}::", module.name));
        let mut names: Vec<String> = variables.chain(functions).chain(modules).collect();
        names.extend(self.shelf().standing().keys().map(|name| format!("{name}::")));
        if !word.is_empty() {
            names.extend(KEYWORDS.map(String::from));
        }
        names
    }

    /// The options of the call whose `#{` is open, without those that are given; `None` where no key can stand.
    fn option_keys(&self, before: &[Token], line: &str) -> Option<Vec<String>> {
        let open = open_brackets(before);
        let [.., (paren, call), (map, brace)] = open.as_slice() else { return None };
        let last = before.last()?;
        if !brace.is("#{") || !call.is("(") || !(last.is("#{") || last.is(",")) {
            return None;
        }
        // The map is an argument of the call itself, not of an operator or a list in it.
        if !before[map - 1].is("(") && !before[map - 1].is(",") {
            return None;
        }
        let known = doc::options_of(&self.callee(&before[..*paren])?);
        if known.is_empty() {
            return None;
        }
        let given = keys(&tokens(line)[map + 1..]);
        Some(known.iter().filter(|name| !given.contains(&name.as_str())).map(|name| format!("{name}: ")).collect())
    }
}

/// The keys written in a map, from behind its `#{` to its end.
fn keys<'a>(inside: &[Token<'a>]) -> Vec<&'a str> {
    let (mut depth, mut found) = (0, Vec::new());
    for (index, token) in inside.iter().enumerate() {
        match token.text {
            "(" | "[" | "{" | "#{" => depth += 1,
            ")" | "]" | "}" if depth == 0 => break,
            ")" | "]" | "}" => depth -= 1,
            _ if depth == 0 && inside.get(index + 1).is_some_and(|next| next.is(":")) => found.push(token.text),
            _ => {}
        }
    }
    found
}

fn call(name: &str, takes: usize) -> String {
    if takes == 0 { format!("{name}()") } else { format!("{name}(") }
}

/// Of several forms of a function the one that takes most: `call(` offers to take something where it may.
fn most(function: &doc::Function) -> usize {
    let same = doc::functions().iter().filter(|f| f.path() == function.path());
    same.map(|f| f.params.len()).max().unwrap_or(0)
}

/// Where the last name of a path begins.
fn folder(path: &str) -> usize {
    path.rfind('/').map_or(0, |at| at + 1)
}

/// The engine's own functions whose first parameter is of one of these types, by name and number of the other parameters.
fn natives(engine: &Engine, of: &[std::any::TypeId]) -> Vec<(String, usize)> {
    engine.collect_fn_metadata(
        None,
        |info| {
            let fits =
                info.namespace.is_empty() && info.metadata.param_types.first().is_some_and(|first| of.contains(first));
            fits.then(|| (info.metadata.name.to_string(), info.metadata.num_params - 1))
        },
        true,
    )
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
