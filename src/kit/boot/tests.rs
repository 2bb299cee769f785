use super::*;
use proptest::prelude::*;

fn linux(kernel: &str, initrd: &[&str], cmdline: &str) -> Decision {
    let initrd = initrd.iter().map(|path| path.to_string()).collect();
    Decision::Linux { kernel: kernel.into(), initrd, cmdline: cmdline.into() }
}

#[test]
fn the_three_boot_loaders_are_told_in_their_own_words() {
    let decision = linux("vmlinuz", &["a.img", "b.img"], "root=LABEL=root dyndbg=\"file x +p\"");
    assert_eq!(
        render(&decision, Flavour::Ipxe).unwrap(),
        "#!ipxe\nkernel vmlinuz root=LABEL=root dyndbg=\"file x +p\"\ninitrd a.img\ninitrd b.img\nboot\n"
    );
    assert_eq!(
        render(&decision, Flavour::Pxelinux).unwrap(),
        "DEFAULT item0\nPROMPT 0\nLABEL item0\n  LINUX vmlinuz\n  INITRD a.img,b.img\n  \
         APPEND root=LABEL=root dyndbg=\"file x +p\"\n"
    );
    assert_eq!(
        render(&decision, Flavour::Grub).unwrap(),
        "linux /vmlinuz root=LABEL=root 'dyndbg=file x +p'\ninitrd /a.img /b.img\nboot\n"
    );
    assert_eq!(render(&Decision::Local {}, Flavour::Ipxe).unwrap(), "#!ipxe\nexit\n");
}

#[test]
fn no_value_breaks_out_of_its_line() {
    for hostile in ["quiet\nexit", "quiet\rexit", "a \u{b} b", "a\u{2028}b  c", "a=\"b"] {
        for flavour in [Flavour::Ipxe, Flavour::Pxelinux, Flavour::Grub] {
            let fault = render(&linux("vmlinuz", &[], hostile), flavour).unwrap_err();
            assert_eq!(fault.kind, "boot.value", "{hostile:?}");
        }
    }
    for hostile in ["quiet ; exit", "quiet || exit", "a && b", "${net0/mac}", "a #b"] {
        assert_eq!(render(&linux("vmlinuz", &[], hostile), Flavour::Ipxe).unwrap_err().kind, "boot.value", "{hostile}");
    }
    for path in ["", "a b", "-n", "#x", "a\nb", "a\"b", "x'y", &"p".repeat(256)] {
        for flavour in [Flavour::Ipxe, Flavour::Pxelinux, Flavour::Grub] {
            assert!(render(&linux(path, &[], ""), flavour).is_err(), "{path:?}");
            assert!(render(&Decision::Chain { path: path.into() }, flavour).is_err(), "{path:?}");
        }
    }
    let text = render(&linux("a;b", &[], "c;d $x `y` {z}"), Flavour::Grub).unwrap();
    assert_eq!(text, "linux '/a;b' 'c;d' '$x' '`y`' '{z}'\nboot\n");
    assert!(render(&linux("a", &[], "b='c'"), Flavour::Grub).is_err());
    assert!(render(&linux("a", &["x,y"], ""), Flavour::Pxelinux).is_err());
}

#[test]
fn kar_carries_its_entry_and_arguments() {
    let args = [("server".to_string(), "10.0.0.1:30765".to_string()), ("note".into(), "two words".into())];
    let decision = kar("install", "kar/vmlinuz", vec!["kar/initrd".into()], "quiet", &args).unwrap();
    let script = render(&decision, Flavour::Ipxe).unwrap();
    assert!(
        script.contains(
            "\nkernel kar/vmlinuz kar.entry=install kar.server=10.0.0.1:30765 kar.note=\"two words\" quiet\n"
        )
    );
    let Decision::Kar { entry, cmdline, .. } = read(&script).unwrap() else { panic!("{script}") };
    let told = cmdline::arguments(&cmdline);
    assert_eq!((entry.as_str(), told["kar.server"].as_str()), ("install", "10.0.0.1:30765"));
    assert_eq!((told["kar.note"].as_str(), told["quiet"].as_str()), ("two words", ""));
    for (name, value) in [("a b", "c"), ("", "x"), ("x", "a\"b"), ("x", "a\nb"), ("entry", "other")] {
        assert!(kar("install", "k", vec![], "", &[(name.into(), value.into())]).is_err(), "{name:?} {value:?}");
    }
}

#[test]
fn what_is_no_decision_names_its_line() {
    for (text, message) in [
        ("", "cannot read the boot script: its first line is not `#!ipxe`"),
        ("#!ipxe\n", "the boot script ends before it boots anything"),
        ("#!ipxe\n\nkernel x\necho hi\nboot\n", "line 4 of the boot script: `echo` between kernel and boot"),
        ("#!ipxe\nexit\nexit\n", "line 3 of the boot script: `exit` stands after the end"),
        ("#!ipxe\nshell\n", "line 2 of the boot script: `shell` is not part of a boot decision"),
    ] {
        let fault = read(text).unwrap_err();
        assert_eq!((fault.kind.as_ref(), fault.message.as_str()), ("boot.read", message));
    }
}

fn path() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9/._:;$&|{}@%,+=-]{1,40}"
}

fn text() -> impl Strategy<Value = String> {
    "([a-zA-Z0-9/._:=;$&|{}\"'\\\\#-]{1,12} ?){0,8}"
}

fn single() -> impl Strategy<Value = Decision> {
    prop_oneof![
        Just(Decision::Local {}),
        path().prop_map(|path| Decision::Chain { path }),
        (path(), prop::collection::vec(path(), 0..3), text()).prop_map(|(kernel, initrd, cmdline)| Decision::Linux {
            kernel,
            initrd,
            cmdline
        }),
    ]
}

fn any_decision() -> impl Strategy<Value = Decision> {
    let entry = (text(), single()).prop_map(|(title, decision)| Entry { title, decision });
    let menu = (text(), 0..100u32, prop::collection::vec(entry, 0..4))
        .prop_map(|(title, timeout, entries)| Decision::Menu { title, timeout, entries });
    prop_oneof![single(), menu]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_rendered_decision_reads_back(decision in any_decision()) {
        if let Ok(text) = render(&decision, Flavour::Ipxe) {
            prop_assert_eq!(read(&text).unwrap(), decision.clone());
        }
        let json = serde_json::to_string(&decision).unwrap();
        prop_assert_eq!(serde_json::from_str::<Decision>(&json).unwrap(), decision);
    }

    #[test]
    fn what_reads_renders_back(lines in prop::collection::vec("(kernel|initrd|boot|exit|menu|item item[0-2]|:item[0-2]|goto|choose|chain)( [a-z$#;{}]{0,6}){0,3}", 0..8)) {
        if let Ok(decision) = read(&format!("#!ipxe\n{}\n", lines.join("\n")))
            && let Ok(text) = render(&decision, Flavour::Ipxe) {
                prop_assert_eq!(read(&text).unwrap(), decision);
            }
    }

    /// A value never adds a line: the number of lines depends on the shape alone.
    #[test]
    fn lines_are_counted(kernel in path(), cmdline in "\\PC{0,30}|(\n|\r|;| |a){0,6}") {
        for (flavour, lines) in [(Flavour::Ipxe, 3), (Flavour::Grub, 2), (Flavour::Pxelinux, 5)] {
            if let Ok(text) = render(&linux(&kernel, &[], &cmdline), flavour) {
                let shown = if flavour == Flavour::Pxelinux && cmdline.is_empty() { lines - 1 } else { lines };
                prop_assert_eq!(text.lines().count(), shown, "{}", text);
            }
        }
    }
}
