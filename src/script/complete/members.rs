//! What may stand behind a dot.

use rhai::Map;

use super::kind::{Thing, plain};
use super::{call, most, natives};
use crate::prim::doc::{Role, functions};
use crate::script::session::Session;
use crate::script::tokens::{Token, is_word};

impl Session {
    /// Keys of a map that is there, properties and methods of a handle, the engine's own methods of plain values.
    pub(super) fn members(&self, receiver: &[Token]) -> Vec<String> {
        let Some(thing) = self.thing(receiver) else { return Vec::new() };
        let kind = self.kind(&thing);
        let mut found = Vec::new();
        if let Thing::Value(value) = &thing
            && let Some(map) = value.read_lock::<Map>()
        {
            found.extend(map.keys().filter(|key| key.chars().all(is_word)).map(ToString::to_string));
        }
        for function in functions().iter().filter(|f| f.of.as_ref() == Some(&kind)) {
            found.push(match function.role {
                Role::Property => function.name.clone(),
                _ => call(&function.name, most(function)),
            });
        }
        for (name, takes) in natives(&self.engine, &plain(&kind)) {
            match name.strip_prefix("get$") {
                Some(property) => found.push(property.to_string()),
                // Operators, setters, and functions that nobody calls as methods.
                None if name.chars().all(is_word) => found.push(call(&name, takes)),
                None => {}
            }
        }
        // `len` is a property and a method, `next` a method with and without options: the shorter way is told.
        let known = found.clone();
        found.retain(|name| {
            let bare = name.trim_end_matches(['(', ')']);
            let property = bare.len() < name.len() && known.iter().any(|other| other == bare);
            let fuller = name.ends_with("()") && known.contains(&format!("{bare}("));
            !property && !fuller
        });
        found
    }
}
