//! The house rules that a reader of the sources can check: which room may name which, what is printed where, and
//! that lists and folders agree. Each rule is run on the sources, and on something bad that it has to find.

#[path = "rooms/lists.rs"]
mod lists;
#[path = "rooms/place.rs"]
mod place;
#[path = "rooms/source.rs"]
mod source;
#[path = "rooms/text.rs"]
mod text;

use source::Source;

/// What a rule found: one line for each defect, `file:line: what is wrong`.
type Found = Vec<String>;

fn assert_clean(found: &Found) {
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

/// Sources that a test makes up.
fn made_up(files: &[(&str, &str)]) -> Vec<Source> {
    files.iter().map(|(path, text)| Source::new(path, text)).collect()
}
