use super::super::program::Language;
use super::super::run::{Node, floppy, linux, run};
use super::super::tests::{BPBATCH, KABOOT};
use super::follow::{Boot, Condition, Part, Tree, Value, follow};
use super::*;
use crate::kit::boot::Decision;
use proptest::prelude::*;

fn imported(text: &str, language: Language) -> Result<String> {
    import(&Program::parse(text, language)?, "site.kbt", &mut |_| Ok(None))
}

#[test]
fn the_scripts_of_the_guide_read_as_if_written_by_hand() {
    assert_eq!(
        imported(BPBATCH, Language::Bpbatch).unwrap(),
        r#"//! What a node boots, as the bpbatch script site.kbt has it.

// What a node is told at every network boot.
fn boot(node) {
    switch node.step {
        // step 3, system ready
        "ready" => boot::local(),
        // step 2 : LILO
        "lilo" => boot::linux(#{ kernel: "linux22173comst", cmdline: "root=/dev/hda1 BOOT_IMAGE=linux" }),
        // step 1 : Ka-deply
        _ => boot::linux(#{ kernel: "linux2217nfsroot", cmdline: "root=/dev/nfs nfsroot=129.88.96.252:/tftpboot/NFSROOT ro" }),
    }
}
"#
    );
    assert_eq!(
        imported(KABOOT, Language::Kaboot).unwrap(),
        r#"//! What a node boots, as the ka-boot script site.kbt has it.
//!
//! for machine with ip 1.2.3.4, current step is in the
//! /tftpboot/steps/1.2.3.4 file on the tftpserver
//! and this file contains : set "foo" $step

// What a node is told at every network boot.
fn boot(node) {
    switch node.step {
        // last step, let the BIOS boot on the hard drive
        "ready" => boot::local(),
        // second step, system has been written to HD but no bootloader (LILO)
        // has benn installed yet
        "lilo" => boot::linux(#{ kernel: "linux242nfsroot", cmdline: "root=/dev/hda1" }),
        // First step of the install, boot linux with a nfsroot
        _ => boot::linux(#{ kernel: "linux242nfsroot", cmdline: "root=/dev/nfs nfsroot=129.88.69.4:/tftpboot/NFSROOT ro" }),
    }
}
"#
    );
}

#[test]
fn addresses_and_nested_questions_become_ifs() {
    let script = "set \"steps/\" $f\nappend $Client-IP $f\nrun $f\ncmp $Client-IP \"10.0.0.9\"\njeq special:\ncmp $step \"ready\"\njeq disk:\n\
                  set \"ip=\" $line\nappend $Client-IP $line\nlinuxboot \"vmlinuz\" $line\nspecial:\ncmp $step \"\"\njeq disk:\nlinuxboot $step\ndisk:\nexit\n";
    assert!(imported(script, Language::Kaboot).unwrap().ends_with(
        r#"
fn boot(node) {
    if node.ip == "10.0.0.9" {
        if node.step == () {
            boot::local()
        } else {
            boot::linux(#{ kernel: (node.step ?? "") })
        }
    } else {
        switch node.step {
            "ready" => boot::local(),
            _ => boot::linux(#{ kernel: "vmlinuz", cmdline: `ip=${node.ip}` }),
        }
    }
}
"#
    ));
}

#[test]
fn what_no_function_can_say_is_refused_with_its_place() {
    for (text, message) in [
        ("run $Client-IP\nexit", "line 1, column 1 of the boot script: which file is run depends on the node"),
        ("run \"common\"\nexit", "line 1, column 1 of the boot script: the file `common` that it runs is not there"),
        ("a:\ncmp $a $a\njeq a:", "the script goes round in a circle"),
        ("cmp $Client-IP \"x\"\njeq a:\nexit\na:\n", "a way through the boot script ends without booting anything"),
        ("linuxboot \"a b\"", "line 1, column 1 of the boot script: kernel `a b` holds a blank"),
    ] {
        let fault = imported(text, Language::Kaboot).unwrap_err();
        assert!(fault.message.contains(message), "{text:?}: {}", fault.message);
    }
}

/// What the tree decides, as the recipe made of it would.
fn decide(tree: &Tree, ip: &str, step: &str) -> Decision {
    let text = |value: &Value| -> String {
        let part = |part: &Part| match part {
            Part::Literal(text) => text.clone(),
            Part::Address => ip.to_string(),
            Part::Step => step.to_string(),
        };
        value.iter().map(part).collect()
    };
    match tree {
        Tree::Boot { boot: Boot::Local, .. } => Decision::Local {},
        Tree::Boot { boot: Boot::Linux { kernel, cmdline }, .. } => linux(text(kernel), &text(cmdline)),
        Tree::Boot { boot: Boot::Floppy { image }, .. } => floppy(text(image)),
        Tree::Fork { condition, yes, no, .. } => {
            let holds = match condition {
                Condition::Step(word) => word == step,
                Condition::Same(left, right) => text(left) == text(right),
            };
            decide(if holds { yes } else { no }, ip, step)
        }
    }
}

fn kaboot() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        "set (\"[a-c]{0,2}\"|\\$Client-IP|\\$step|\\$x) \\$([xy]|step)",
        "append (\"[a-c]\"|\\$Client-IP|\\$step|\\$y) \\$[xy]",
        "cmp (\\$[xy]|\\$step|\\$Client-IP) (\"(ready|lilo|a|1\\.2\\.3\\.4)?\"|\\$[xy])",
        "jeq [pqr]:",
        "run \\$f",
        "linuxboot \"[a-c]\" (\\$[xy]|\\$step|\"c  d\")",
    ];
    (prop::collection::vec(line, 1..12), prop::collection::vec(0..12usize, 3)).prop_map(|(mut lines, places)| {
        for (label, place) in ["p:", "q:", "r:"].into_iter().zip(places) {
            lines.insert(place.min(lines.len()), label.to_string());
        }
        format!("set \"steps/\" $f\nappend $Client-IP $f\n{}\nexit\n", lines.join("\n"))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    /// An imported script decides as the script does, for every step and address.
    #[test]
    fn an_imported_script_decides_alike(text in kaboot()) {
        let program = Program::parse(&text, Language::Kaboot).unwrap();
        let Ok(tree) = follow(&program, &mut |_| Ok(None)) else { return Ok(()) };
        for ip in ["1.2.3.4", "10.0.0.9"] {
            for step in ["", "ready", "lilo", "a"] {
                let node = Node { ip: ip.into(), ..Node::default() };
                let file = Some(step).filter(|step| !step.is_empty()).map(|step| format!("set \"{step}\" $step\n").into_bytes());
                let told = run(&program, &node, &mut |_| Ok(file.clone())).unwrap();
                prop_assert_eq!(decide(&tree, ip, step), told.decision, "{} {}\n{}", ip, step, text);
            }
        }
    }
}
