//! What is left out of a tree.

use crate::host::{Fault, Result};

/// Shell patterns over paths relative to the root, matched byte by byte.
///
/// - Without `/`, a pattern matches a name anywhere: `*.o`, `lost+found`.
/// - With `/`, it is anchored at the root: `tmp/*` keeps the directory and drops what is in it; `/core` means the
///   one at the root. A leading `./` or `/` only anchors, a trailing `/` matches directories only.
/// - `*`, `?` and `[a-z]`, `[!a-z]` stay within one name and match a leading dot too; `**` as a whole name stands
///   for any number of names, so `var/cache/**` is all below `var/cache` and `**/x/y` any `x/y`. `\` takes the
///   next character as it stands.
/// - A directory that is left out takes all below it with it.
#[derive(Debug, Clone, Default)]
pub struct Exclude {
    patterns: Vec<Pattern>,
    keep_dirs: bool,
}

/// What becomes of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Kept,
    /// A directory that stays, without what is in it.
    Emptied,
    LeftOut,
}

#[derive(Debug, Clone)]
struct Pattern {
    anchored: bool,
    directory: bool,
    /// Names are written as they are, without wildcards and `\`.
    plain: bool,
    names: Vec<Vec<Token>>,
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Byte(u8),
    Any,
    Star,
    Set { negated: bool, ranges: Vec<(u8, u8)> },
}

impl Exclude {
    /// # Errors
    /// `tree.pattern`: an empty pattern, one with `..`, or a `[` without its `]`.
    pub fn new(patterns: &[String]) -> Result<Self> {
        let patterns = patterns.iter().map(|text| compile(text)).collect::<Result<_>>()?;
        Ok(Exclude { patterns, keep_dirs: false })
    }

    /// With `keep`, a directory that a pattern names plainly (`var/cache`; no wildcard, no `\`) stays, empty. A pattern
    /// that is to take the directory with it has a `\` before any one letter.
    pub fn keep_dirs(self, keep: bool) -> Self {
        Exclude { keep_dirs: keep, ..self }
    }

    /// `path` is relative, without a leading slash.
    pub fn fate(&self, path: &[u8], directory: bool) -> Fate {
        if self.patterns.is_empty() || path.is_empty() {
            return Fate::Kept;
        }
        let names: Vec<&[u8]> = path.split(|byte| *byte == b'/').collect();
        let hits = self.patterns.iter().filter(|pattern| {
            let names = if pattern.anchored { &names[..] } else { &names[names.len() - 1..] };
            (directory || !pattern.directory) && matches_names(&pattern.names, names)
        });
        // One pattern that takes all with it outweighs those that keep the directory.
        let fates = hits.map(|pattern| match directory && self.keep_dirs && pattern.plain {
            true => Fate::Emptied,
            false => Fate::LeftOut,
        });
        fates.fold(Fate::Kept, |worst, fate| if worst == Fate::LeftOut { worst } else { fate })
    }
}

fn compile(text: &str) -> Result<Pattern> {
    let bad = |why: &str| {
        Fault::new("tree.pattern", format!("cannot exclude `{text}`: {why}"))
            .hint("a pattern is relative to the root: `tmp/*`, `*.o`, `var/cache/**`")
    };
    let stripped = text.strip_prefix("./").unwrap_or(text);
    let directory = stripped.ends_with('/');
    let anchored = text.starts_with("./") || stripped.trim_end_matches('/').contains('/');
    let names: Vec<&str> = stripped.split('/').filter(|name| !name.is_empty() && *name != ".").collect();
    if names.is_empty() {
        return Err(bad("the pattern is empty"));
    }
    if names.contains(&"..") {
        return Err(bad("`..` leads out of the tree"));
    }
    let plain = !stripped.contains(['*', '?', '[', '\\']);
    let names = names
        .into_iter()
        .map(|name| tokens(name.as_bytes()).ok_or_else(|| bad("a `[` has no `]`")))
        .collect::<Result<_>>()?;
    Ok(Pattern { anchored, directory, plain, names })
}

/// `**` alone becomes the two stars that [`matches_names`] looks for; elsewhere runs of stars are one.
fn tokens(name: &[u8]) -> Option<Vec<Token>> {
    if name == b"**" {
        return Some(vec![Token::Star, Token::Star]);
    }
    let mut tokens = Vec::new();
    let mut rest = name;
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        match first {
            b'*' if tokens.last() == Some(&Token::Star) => {}
            b'*' => tokens.push(Token::Star),
            b'?' => tokens.push(Token::Any),
            b'\\' if !tail.is_empty() => {
                tokens.push(Token::Byte(tail[0]));
                rest = &tail[1..];
            }
            b'[' => {
                let negated = matches!(tail.first(), Some(b'!' | b'^'));
                let body = &tail[usize::from(negated)..];
                // A `]` that comes first is a member.
                let end = 1 + body.get(1..)?.iter().position(|byte| *byte == b']')?;
                tokens.push(Token::Set { negated, ranges: ranges(&body[..end]) });
                rest = &body[end + 1..];
            }
            byte => tokens.push(Token::Byte(*byte)),
        }
    }
    Some(tokens)
}

fn ranges(mut body: &[u8]) -> Vec<(u8, u8)> {
    let mut ranges = Vec::new();
    loop {
        match body {
            [low, b'-', high, rest @ ..] => {
                ranges.push((*low, *high));
                body = rest;
            }
            [byte, rest @ ..] => {
                ranges.push((*byte, *byte));
                body = rest;
            }
            [] => return ranges,
        }
    }
}

fn is_deep(name: &[Token]) -> bool {
    name == [Token::Star, Token::Star]
}

fn matches_names(pattern: &[Vec<Token>], names: &[&[u8]]) -> bool {
    // Below the named directory, not the directory itself.
    let least = usize::from(pattern.last().is_some_and(|last| is_deep(last)));
    glob(pattern, names, |token| is_deep(token), |token, name| matches_name(token, name), least)
}

fn matches_name(tokens: &[Token], name: &[u8]) -> bool {
    let one = |token: &Token, byte: &u8| match token {
        Token::Byte(wanted) => wanted == byte,
        Token::Any => true,
        Token::Star => false,
        Token::Set { negated, ranges } => ranges.iter().any(|(low, high)| (low..=high).contains(&byte)) != *negated,
    };
    glob(tokens, name, |token| *token == Token::Star, one, 0)
}

/// Matching with one kind of wildcard for "any number of items": going back to the last one suffices, so the time
/// is the product of the lengths at most. `tail`: how many items a wildcard at the end stands for at least.
fn glob<P, T>(
    pattern: &[P],
    items: &[T],
    is_star: impl Fn(&P) -> bool,
    one: impl Fn(&P, &T) -> bool,
    tail: usize,
) -> bool {
    let (mut p, mut i) = (0, 0);
    let mut back = None;
    loop {
        match pattern.get(p) {
            Some(star) if is_star(star) => {
                if p + 1 == pattern.len() {
                    return items.len() - i >= tail;
                }
                back = Some((p, i));
                p += 1;
                continue;
            }
            Some(item) if i < items.len() && one(item, &items[i]) => {
                p += 1;
                i += 1;
                continue;
            }
            None if i == items.len() => return true,
            _ => {}
        }
        match back {
            Some((star, at)) if at < items.len() => {
                back = Some((star, at + 1));
                p = star + 1;
                i = at + 1;
            }
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, path: &str) -> bool {
        let exclude = Exclude::new(&[pattern.to_string()]).unwrap();
        exclude.fate(path.as_bytes(), path.ends_with("dir")) == Fate::LeftOut
    }

    #[test]
    fn a_directory_that_is_named_plainly_may_stay() {
        let all = ["var/cache", "tmp/*", "a[b]c", "\\gone", "twice", "twic?", "src/"].map(String::from);
        let exclude = Exclude::new(&all).unwrap().keep_dirs(true);
        for (path, directory, fate) in [
            ("var/cache", true, Fate::Emptied),
            ("var/cache", false, Fate::LeftOut),
            ("src", true, Fate::Emptied),
            ("src", false, Fate::Kept),
            ("tmp", true, Fate::Kept),
            ("tmp/private", true, Fate::LeftOut),
            ("abc", true, Fate::LeftOut),
            ("gone", true, Fate::LeftOut),
            ("twice", true, Fate::LeftOut),
        ] {
            assert_eq!(exclude.fate(path.as_bytes(), directory), fate, "{path}");
        }
        assert_eq!(exclude.keep_dirs(false).fate(b"var/cache", true), Fate::LeftOut);
    }

    #[test]
    fn patterns_match_what_their_reader_expects() {
        for (pattern, yes, no) in [
            ("*.o", &["a.o", "x/y/b.o", ".o"][..], &["a.oo", "o/x"][..]),
            ("lost+found", &["lost+found", "a/lost+found"], &["lost+found2"]),
            ("/core", &["core"], &["a/core"]),
            ("./core", &["core"], &["a/core"]),
            ("tmp/*", &["tmp/a", "tmp/.x"], &["tmp", "tmp/a/b", "var/tmp/a"]),
            ("var/cache/**", &["var/cache/a", "var/cache/a/b"], &["var/cache", "var/cach"]),
            ("**/x/y", &["x/y", "a/x/y", "a/b/x/y"], &["x", "a/x/z", "ax/y"]),
            ("a/**/z", &["a/z", "a/b/z", "a/z/z"], &["a", "z", "a/zz"]),
            ("[a-c]?[!x]", &["abc", "c-y"], &["abx", "dbc", "ab"]),
            ("a[]]b", &["a]b"], &["ab"]),
            ("a\\*", &["a*"], &["ab"]),
            ("*a*b*", &["ab", "xaxbx"], &["ba"]),
            ("dir/", &["dir", "x/dir"], &["file"]),
            ("**", &["a", "a/b"], &[]),
        ] {
            for path in yes {
                assert!(matches(pattern, path), "{pattern} {path}");
            }
            for path in no {
                assert!(!matches(pattern, path), "{pattern} {path}");
            }
        }
    }

    #[test]
    fn what_means_nothing_is_refused() {
        for pattern in ["", "/", "a/../b", "[abc", "a["] {
            assert_eq!(Exclude::new(&[pattern.to_string()]).unwrap_err().kind, "tree.pattern", "{pattern}");
        }
    }

    #[test]
    fn stars_cost_no_exponential_time() {
        let pattern = "*a".repeat(200);
        assert!(!matches(&pattern, &"a".repeat(199)));
        assert!(!matches(&format!("{}b", "**/a/".repeat(100)), &"a/".repeat(2000)));
    }
}
