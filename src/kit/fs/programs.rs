//! The host's programs for filesystems, and the packages they come in.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::host::{Cancel, Fault, Result};

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
/// `fs.program`: it is not there; the hint names the Debian package.
pub(super) fn run(program: &str, package: &str, args: &[&str], cancel: &Cancel) -> Result<Output> {
    let missing = || {
        Fault::new("fs.program", format!("the program `{program}` is not on this machine"))
            .hint(format!("the Debian package `{package}` has it"))
    };
    let path = find(program).ok_or_else(missing)?;
    let done = Command::new(&path).args(args).env("LC_ALL", "C.UTF-8").stdin(Stdio::null()).output();
    let done = done.map_err(|error| Fault::io("fs.program", format_args!("run `{}`", path.display()), error))?;
    let code = done.status.code().unwrap_or_else(|| {
        use std::os::unix::process::ExitStatusExt;
        128 + done.status.signal().unwrap_or(0)
    });
    let text = String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned();
    Ok(Output { code, text })
}

/// In PATH, or where an installer's short PATH does not lead.
fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"].map(PathBuf::from);
    let places = std::env::split_paths(&path).filter(|dir| dir.is_absolute()).chain(system);
    places.map(|dir| dir.join(program)).find(|file| is_program(file))
}

fn is_program(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(file).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
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
