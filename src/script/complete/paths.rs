//! Files and folders that a path may go on with.

/// More than a screen holds helps nobody.
const MOST: usize = 200;

/// Names in the folder that `typed` names so far, that begin as its last name does; folders end in `/`. Hidden ones are
/// only there when asked for by their dot.
pub fn paths(typed: &str) -> Vec<String> {
    let (folder, name) =
        typed.rsplit_once('/').map_or(("", typed), |(folder, name)| (&typed[..folder.len() + 1], name));
    let Ok(entries) = std::fs::read_dir(if folder.is_empty() { "." } else { folder }) else { return Vec::new() };
    let mut found: Vec<String> = entries
        .flatten()
        .filter_map(|entry| {
            let known = entry.file_name().into_string().ok()?;
            let fits = known.starts_with(name) && (name.starts_with('.') || !known.starts_with('.'));
            let end = if entry.path().is_dir() { "/" } else { "" };
            fits.then(|| format!("{known}{end}"))
        })
        .take(MOST)
        .collect();
    found.sort();
    found
}
