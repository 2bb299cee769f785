//! What a piece of a line is, as far as that can be known without running it.

use std::any::TypeId;

use rhai::{Array, Blob, Dynamic, FnPtr, ImmutableString, Map};

use crate::prim::doc;
use crate::script::session::Session;
use crate::script::tokens::{Kind, Token};

/// A value that is there, or the type that the reference promises.
pub enum Thing {
    Value(Dynamic),
    Type(String),
}

impl Session {
    /// What the tokens end in: a variable, a text, a call, a property, an element.
    pub(super) fn thing(&self, tokens: &[Token]) -> Option<Thing> {
        let (last, rest) = tokens.split_last()?;
        match last.kind {
            Kind::Text => return Some(Thing::Type("text".into())),
            Kind::Word if rest.last().is_some_and(|t| t.is(".") || t.is("?.")) => {
                return self.member(self.thing(&rest[..rest.len() - 1])?, last.text, doc::Role::Property);
            }
            Kind::Word if rest.last().is_some_and(|token| token.is("::")) => return None,
            Kind::Word => {
                let (_, _, value) = self.scope.iter_raw().find(|(name, ..)| *name == last.text)?;
                return Some(Thing::Value(value.flatten_clone()));
            }
            _ => {}
        }
        let open = opening(tokens)?;
        match last.text {
            ")" => self.returned(&tokens[..open]),
            "]" if open > 0 => match self.thing(&tokens[..open])? {
                Thing::Value(value) => element(&value, &tokens[open + 1..tokens.len() - 1]).map(Thing::Value),
                Thing::Type(_) => None,
            },
            "]" => Some(Thing::Type("list".into())),
            "}" if tokens[open].is("#{") => Some(Thing::Type("map".into())),
            _ => None,
        }
    }

    /// What a call gives: of a primitive, or of a method of something known.
    fn returned(&self, callee: &[Token]) -> Option<Thing> {
        let [before @ .., join, name] = callee else { return None };
        if join.is(".") || join.is("?.") {
            return self.member(self.thing(before)?, name.text, doc::Role::Method);
        }
        let module = before.last().filter(|_| join.is("::"))?;
        let found = doc::functions().iter().filter(|f| f.module == module.text && f.role == doc::Role::Function);
        found.filter(|f| f.name == name.text).map(|f| Thing::Type(f.returns.clone())).next()
    }

    fn member(&self, of: Thing, name: &str, role: doc::Role) -> Option<Thing> {
        if let Thing::Value(value) = &of
            && let Some(map) = value.read_lock::<Map>()
            && let Some(value) = map.get(name)
        {
            return Some(Thing::Value(value.flatten_clone()));
        }
        let kind = Some(self.kind(&of));
        let found = doc::functions().iter().find(|f| f.of == kind && f.role == role && f.name == name)?;
        Some(Thing::Type(found.returns.clone()))
    }

    /// The type, as the reference names it.
    pub(super) fn kind(&self, thing: &Thing) -> String {
        match thing {
            Thing::Value(value) => self.type_of(value),
            Thing::Type(kind) => kind.clone(),
        }
    }

    /// The path by which the reference knows the function or method whose name the tokens end in.
    pub(super) fn callee(&self, tokens: &[Token]) -> Option<String> {
        let [before @ .., join, name] = tokens else { return None };
        if join.is("::") {
            return Some(format!("{}::{}", before.last()?.text, name.text));
        }
        let method = join.is(".") || join.is("?.");
        method.then(|| self.thing(before)).flatten().map(|of| format!("{}.{}", self.kind(&of), name.text))
    }
}

/// Where the bracket stands that the last token closes.
fn opening(tokens: &[Token]) -> Option<usize> {
    let mut depth = 0;
    for (index, token) in tokens.iter().enumerate().rev().filter(|(_, token)| token.kind == Kind::Sign) {
        match token.text {
            ")" | "]" | "}" => depth += 1,
            "(" | "[" | "{" | "#{" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return matches!(token.text, "(" | "[" | "{" | "#{").then_some(index);
        }
    }
    None
}

/// `list[2]`, `map["key"]`; of a list any element stands for one whose number is not written out.
fn element(value: &Dynamic, index: &[Token]) -> Option<Dynamic> {
    if let Some(list) = value.read_lock::<Array>() {
        let number = match index {
            [one] => one.text.parse().unwrap_or(0),
            _ => 0,
        };
        return list.get(number).map(Dynamic::flatten_clone);
    }
    let map = value.read_lock::<Map>()?;
    let [key] = index else { return None };
    map.get(key.text.trim_matches(['"', '`'])).map(Dynamic::flatten_clone)
}

/// The engine's types of that name, for what is not a handle.
pub fn plain(kind: &str) -> Vec<TypeId> {
    vec![match kind {
        "text" => return vec![TypeId::of::<ImmutableString>(), TypeId::of::<&str>()],
        "list" => TypeId::of::<Array>(),
        "map" => TypeId::of::<Map>(),
        "blob" => TypeId::of::<Blob>(),
        "closure" => TypeId::of::<FnPtr>(),
        "int" => TypeId::of::<i64>(),
        "float" => TypeId::of::<f64>(),
        _ => return Vec::new(),
    }]
}
