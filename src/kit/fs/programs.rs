//! The host's programs for filesystems, and the packages they come in.

use crate::host::{Cancel, Fault, Result};
use crate::kit::process;

/// Longest piece of a program's output in a message.
const SHORT: usize = 400;

/// What a program said and how it ended; code 128 and more is a signal.
pub(super) struct Output {
    pub code: i32,
    pub text: String,
}

impl Output {
    /// # Errors
    /// `kind` with the end of the output, where the reason stands.
    pub fn success(self, kind: &'static str, what: impl std::fmt::Display) -> Result<String> {
        match self.code {
            0 => Ok(self.text),
            code => Err(Fault::new(kind, format!("cannot {what}: exit code {code}: {}", shortened(&self.text)))),
        }
    }
}

/// The end of an output in one line.
pub(super) fn shortened(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().rev().nth(SHORT) {
        None => line,
        Some((at, _)) => format!("..{}", &line[at..]),
    }
}

/// Runs a program to its end, without input and in plain English.
///
/// # Errors
/// `fs.program`: it is not there; the hint names the Debian package. `host.stopped`: ended by Ctrl-C.
pub(super) fn run(program: &str, package: &str, args: &[&str], cancel: &Cancel) -> Result<Output> {
    let env = vec![("LC_ALL".into(), "C.UTF-8".into())];
    let options = process::Options { env, check: false, limit: 1 << 20, ..process::Options::default() };
    match process::run(program, args, &options, cancel) {
        Ok(done) => Ok(Output { code: done.code, text: format!("{}\n{}", done.out, done.err) }),
        Err(fault) if fault.kind == "proc.missing" => {
            Err(Fault::new("fs.program", format!("the program `{program}` is not on this machine"))
                .hint(format!("the Debian package `{package}` has it")))
        }
        Err(fault) => Err(fault),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_names_its_package() {
        let fault = run("mkfs.nosuch", "nosuch-progs", &[], &Cancel::new()).err().unwrap();
        assert_eq!(fault.kind, "fs.program");
        assert!(fault.hints[0].contains("nosuch-progs"));
    }

    #[test]
    fn output_is_kept_short_at_its_end() {
        assert_eq!(shortened("a\n  b \n"), "a b");
        let long = shortened(&"é ".repeat(1000));
        assert!(long.starts_with("..") && long.chars().count() < SHORT + 4, "{}", long.len());
    }
}
