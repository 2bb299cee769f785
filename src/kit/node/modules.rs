//! Kernel modules.

use crate::host::{Cancel, Fault, Result};
use crate::kit::process::{self, Options};

/// Loads kernel modules with all they need; those already there, built in included, are no error.
///
/// # Errors
/// - `node.modprobe`: a name that is none, or what modprobe says of it
/// - `proc.missing`: no modprobe on this machine
pub fn modprobe(names: &[String], cancel: &Cancel) -> Result<()> {
    // A name must not pass for an option or a path.
    let is_name = |name: &str| {
        !name.starts_with('-')
            && !name.is_empty()
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b))
    };
    if let Some(bad) = names.iter().find(|name| !is_name(name)) {
        return Err(Fault::new("node.modprobe", format!("cannot load `{bad}`: not the name of a kernel module")));
    }
    let missing: Vec<&String> = names.iter().filter(|name| !is_there(name)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let mut args = vec!["-a".to_string(), "--".into()];
    args.extend(missing.into_iter().cloned());
    process::run("modprobe", &args, &Options::default(), cancel).map(drop).map_err(|fault| match &*fault.kind {
        "proc.failed" => Fault { kind: "node.modprobe".into(), ..fault },
        _ => fault,
    })
}

/// Loaded, or built in with parameters. The kernel writes `_` where files may have `-`.
fn is_there(name: &str) -> bool {
    std::path::Path::new("/sys/module").join(name.replace('-', "_")).exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(name: &str) -> Result<()> {
        modprobe(&[name.to_string()], &Cancel::new())
    }

    #[test]
    fn names_that_are_none_are_refused_and_what_is_there_is_enough() {
        for name in ["", "-r", "../x", "a b", "x.ko"] {
            assert_eq!(load(name).unwrap_err().kind, "node.modprobe", "{name}");
        }
        load("kernel").unwrap();
        let fault = load("no_such_module_at_all").unwrap_err();
        assert!(["node.modprobe", "proc.missing"].contains(&&*fault.kind), "{fault}");
        assert!(fault.message.contains("modprobe"), "{fault}");
    }
}
