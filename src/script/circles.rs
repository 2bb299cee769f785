//! Modules that import each other.

use std::collections::HashMap;

use rhai::Position;

use crate::host::Fault;

/// What each script imports while it is read itself: `(script, place of the import)`.
pub type Edges = HashMap<String, Vec<(String, Position)>>;

/// The fault that names a circle, first and last link the same.
pub fn fault(circle: &[String]) -> Fault {
    Fault::new("script.circle", format!("modules import each other in a circle: {}", circle.join(" -> ")))
        .hint("move what both need into a third module")
}

/// The first circle that is met from `first` on: its fault, the script whose import closes it, and the place there.
pub fn find(edges: &Edges, first: &str) -> Option<(Fault, String, Position)> {
    visit(edges, first, &mut Vec::new(), &mut Vec::new())
}

fn visit(
    edges: &Edges,
    script: &str,
    way: &mut Vec<String>,
    done: &mut Vec<String>,
) -> Option<(Fault, String, Position)> {
    way.push(script.to_string());
    for (target, at) in edges.get(script).into_iter().flatten() {
        if let Some(start) = way.iter().position(|name| name == target) {
            let circle: Vec<String> = way[start..].iter().chain([target]).cloned().collect();
            return Some((fault(&circle), script.to_string(), *at));
        }
        if !done.contains(target)
            && let Some(found) = visit(edges, target, way, done)
        {
            return Some(found);
        }
    }
    done.extend(way.pop());
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edges(pairs: &[(&str, &str)]) -> Edges {
        let mut edges = Edges::new();
        for (from, to) in pairs {
            edges.entry(from.to_string()).or_default().push((to.to_string(), Position::NONE));
        }
        edges
    }

    #[test]
    fn a_circle_is_no_diamond() {
        assert!(find(&edges(&[("a", "b"), ("a", "c"), ("b", "d"), ("c", "d")]), "a").is_none());
        let (fault, script, _) = find(&edges(&[("a", "b"), ("b", "c"), ("c", "d"), ("d", "b")]), "a").unwrap();
        assert!(fault.message.ends_with("b -> c -> d -> b") && script == "d", "{fault}");
        assert!(find(&edges(&[("a", "a")]), "a").is_some());
    }
}
