//! depmod's tables for the modules of an image, so that a node loads by name and by hardware.

use std::collections::BTreeSet;

use super::modules::Chosen;

/// modules.dep: each module with all it needs, the nearest first.
pub fn dep(chosen: &Chosen) -> String {
    let mut text = String::new();
    for (name, module) in chosen {
        let mut order = Vec::new();
        needs(chosen, name, &mut order, &mut BTreeSet::new());
        let paths: Vec<&str> =
            order.iter().filter(|need| *need != name).map(|need| chosen[*need].path.as_str()).collect();
        text += &format!("{}:{}{}\n", module.path, if paths.is_empty() { "" } else { " " }, paths.join(" "));
    }
    text
}

/// Whoever needs stands before what is needed.
fn needs<'a>(chosen: &'a Chosen, name: &'a str, order: &mut Vec<&'a str>, seen: &mut BTreeSet<&'a str>) {
    if !seen.insert(name) {
        return;
    }
    let Some(module) = chosen.get(name) else { return };
    for need in &module.info.depends {
        needs(chosen, need, order, seen);
    }
    order.insert(0, name);
}

/// modules.alias.
pub fn alias(chosen: &Chosen) -> String {
    let lines = chosen
        .iter()
        .flat_map(|(name, module)| module.info.aliases.iter().map(move |alias| format!("alias {alias} {name}\n")));
    ["# Aliases extracted from modules themselves.\n".to_string()].into_iter().chain(lines).collect()
}

/// modules.softdep.
pub fn softdep(chosen: &Chosen) -> String {
    let lines = chosen
        .iter()
        .flat_map(|(name, module)| module.info.softdeps.iter().map(move |soft| format!("softdep {name} {soft}\n")));
    ["# Soft dependencies extracted from modules themselves.\n".to_string()].into_iter().chain(lines).collect()
}
