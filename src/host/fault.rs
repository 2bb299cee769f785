//! What went wrong, in a form that a person reads and a script can match.

use std::borrow::Cow;
use std::fmt;

pub type Result<T, E = Fault> = std::result::Result<T, E>;

/// An error of kar. Scripts catch it as a map: `catch (f) { f.kind }`.
#[derive(Debug, Clone)]
pub struct Fault {
    /// `module.reason`, stable, listed in the reference: `disk.missing`.
    pub kind: Cow<'static, str>,
    /// Names the operation, its object and the numbers, in one line.
    pub message: String,
    /// What to do next; each a line of its own.
    pub hints: Vec<String>,
    /// What was found out before it failed (a chain's report per node); seen by scripts as `f.report`.
    pub report: Option<Box<serde_json::Value>>,
}

impl Fault {
    pub fn new(kind: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Fault { kind: kind.into(), message: message.into(), hints: Vec::new(), report: None }
    }

    /// An operating system error: `cannot open disk `x`: No such file or directory (os error 2)`.
    pub fn io(kind: impl Into<Cow<'static, str>>, what: impl fmt::Display, error: impl Into<std::io::Error>) -> Self {
        Fault::new(kind, format!("cannot {what}: {}", error.into()))
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    pub fn with_report(mut self, report: serde_json::Value) -> Self {
        self.report = Some(Box::new(report));
        self
    }

    /// A hint that names the known word nearest to a misspelt one, if one is near.
    pub fn nearest<'a>(self, word: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        match nearest(word, known) {
            Some(name) => self.hint(format!("did you mean `{name}`?")),
            None => self,
        }
    }

    /// The end by Ctrl-C: exit code 130, no message beyond that.
    pub fn stopped() -> Self {
        Fault::new("host.stopped", "stopped")
    }

    /// The end of a decision closure that took longer than a server can wait.
    pub fn late() -> Self {
        Fault::new("host.late", "the time for this call is over")
            .hint("decisions are made while a client waits: do slow work before, and only look it up here")
    }

    pub fn is_stopped(&self) -> bool {
        self.kind == "host.stopped"
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.message)
    }
}

impl std::error::Error for Fault {}

/// The known word nearest to `word`, where it is near enough to be a slip of the fingers.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let bound = (word.chars().count() / 3).max(1) + usize::from(word.chars().count() > 3);
    known
        .into_iter()
        .map(|name| (strsim::osa_distance(word, name), name))
        .filter(|(distance, _)| *distance <= bound)
        // Of several at one distance the first: callers put first what is likelier.
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_near_and_another_word_is_not() {
        let known = ["session", "nodes", "bind", "arity"];
        assert_eq!(nearest("sesion", known), Some("session"));
        assert_eq!(nearest("ndoes", known), Some("nodes"));
        assert_eq!(nearest("compress", known), None);
    }
}
