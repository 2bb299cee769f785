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
    assert_eq!(render(&Decision::Local {}, Flavour::Ipxe).unwrap(), "#!ipxe\nexit 1\n");
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

/// What pxelinux makes of a configuration: keywords and the rest of their lines (doc/syslinux.txt); blanks at both ends go.
fn pxelinux_reads(text: &str) -> Decision {
    let lines: Vec<(String, &str)> = text
        .split(['\n', '\r'])
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| line.split_once(' ').unwrap_or((line, "")))
        .map(|(keyword, rest)| (keyword.to_ascii_uppercase(), rest.trim_start()))
        .collect();
    let value = |keyword: &str| lines.iter().find(|(known, _)| known == keyword).map_or("", |(_, rest)| rest);
    let menu = lines.iter().any(|(keyword, rest)| keyword == "UI" && *rest == "menu.c32");
    assert_eq!(value("DEFAULT"), "item0");
    let starts: Vec<usize> = (0..lines.len()).filter(|at| lines[*at].0 == "LABEL").collect();
    let mut entries = Vec::new();
    for (count, start) in starts.iter().enumerate() {
        assert_eq!(lines[*start].1, format!("item{count}"));
        let end = starts.get(count + 1).copied().unwrap_or(lines.len());
        let (mut title, mut decision) = (String::new(), None);
        for (keyword, rest) in &lines[start + 1..end] {
            match (keyword.as_str(), &mut decision) {
                ("MENU", None) => title = rest.strip_prefix("LABEL ").expect("a label").to_string(),
                ("LINUX", None) => {
                    let (kernel, none) = (rest.to_string(), String::new());
                    decision = Some(Decision::Linux { kernel, initrd: Vec::new(), cmdline: none });
                }
                ("INITRD", Some(Decision::Linux { initrd, .. })) => {
                    *initrd = rest.split(',').map(str::to_string).collect();
                }
                ("APPEND", Some(Decision::Linux { cmdline, .. })) => {
                    *cmdline = if *rest == "-" { String::new() } else { rest.to_string() };
                }
                ("PXE", None) => decision = Some(Decision::Chain { path: rest.to_string() }),
                ("LOCALBOOT", None) => decision = Some(Decision::Local {}),
                other => panic!("{other:?} in\n{text}"),
            }
        }
        entries.push(Entry { title, decision: decision.expect("a label boots something") });
    }
    if !menu {
        assert_eq!((entries.len(), value("PROMPT")), (1, "0"));
        return entries.remove(0).decision;
    }
    let title = lines.iter().find_map(|(keyword, rest)| rest.strip_prefix("TITLE ").filter(|_| keyword == "MENU"));
    let timeout = value("TIMEOUT").parse::<u32>().expect("tenths of a second") / 10;
    Decision::Menu { title: title.unwrap_or("").into(), timeout, entries }
}

/// What GRUB makes of a script: words (single quotes keep all in them), commands at line ends, `;`, `{` and `}` (GRUB manual,
/// "Shell-like scripting"); anything that it would replace or run is none of a decision's.
fn grub_reads(text: &str) -> Decision {
    let mut lines: Vec<Vec<String>> = vec![Vec::new()];
    let (mut word, mut quoted): (Option<String>, bool) = (None, false);
    for c in text.chars() {
        match c {
            '\'' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            c if quoted => word.get_or_insert_default().push(c),
            ' ' | '\n' => {
                lines.last_mut().expect("one").extend(word.take());
                if c == '\n' {
                    lines.push(Vec::new());
                }
            }
            '{' | '}' => word.get_or_insert_default().push(c),
            '$' | '"' | '\\' | ';' | '&' | '|' | '<' | '>' | '#' | '*' | '?' | '[' | ']' | '`' | '\t' | '\r' => {
                panic!("`{c}` outside of quotes in\n{text}")
            }
            c => word.get_or_insert_default().push(c),
        }
    }
    assert!(!quoted && word.is_none(), "{text}");
    lines.retain(|line| !line.is_empty());
    let mut lines = lines.iter().map(|line| line.iter().map(String::as_str).collect::<Vec<_>>()).peekable();
    let block = |first: &[&str], next: &mut dyn FnMut() -> Vec<String>| match first {
        ["exit"] => Decision::Local {},
        ["chainloader", path] => {
            assert_eq!(next(), ["boot"]);
            Decision::Chain { path: path.to_string() }
        }
        ["linux", kernel, words @ ..] => {
            let cmdline = words.iter().map(|word| cmdline::quote(word)).collect::<Vec<_>>().join(" ");
            let (mut initrd, mut last) = (Vec::new(), next());
            if last[0] == "initrd" {
                initrd = last[1..].to_vec();
                last = next();
            }
            assert_eq!(last, ["boot"]);
            Decision::Linux { kernel: kernel.to_string(), initrd, cmdline }
        }
        other => panic!("{other:?} in\n{text}"),
    };
    let owned = |line: Vec<&str>| line.into_iter().map(str::to_string).collect::<Vec<String>>();
    let first = lines.next().expect("a command");
    if first != ["set", "default=0"] {
        let decision = block(&first, &mut || owned(lines.next().expect("a command")));
        assert!(lines.next().is_none(), "{text}");
        return decision;
    }
    let timeout = lines.next().expect("a timeout")[1].strip_prefix("timeout=").expect("one").parse::<i64>().unwrap();
    let title = lines.next_if(|line| line[0] == "echo").map_or("", |line| line[1]);
    let mut entries = Vec::new();
    while let Some(line) = lines.next() {
        let ["menuentry", title, "{"] = line[..] else { panic!("{line:?} in\n{text}") };
        let first = lines.next().expect("a command");
        let decision = block(&first, &mut || owned(lines.next().expect("a command")));
        assert_eq!(lines.next().expect("its end"), ["}"]);
        entries.push(Entry { title: title.into(), decision });
    }
    Decision::Menu { title: title.into(), timeout: timeout.max(0) as u32, entries }
}

/// A decision as GRUB is told it: paths from the root of its server, each word of a command line in quotes of its own.
fn as_grub_has_it(decision: Decision) -> Decision {
    let absolute = |path: String| if path.starts_with('/') { path } else { format!("/{path}") };
    match decision {
        Decision::Linux { kernel, initrd, cmdline } => Decision::Linux {
            kernel: absolute(kernel),
            initrd: initrd.into_iter().map(absolute).collect(),
            cmdline: cmdline::words(&cmdline).iter().map(|word| cmdline::quote(word)).collect::<Vec<_>>().join(" "),
        },
        Decision::Chain { path } => Decision::Chain { path: absolute(path) },
        Decision::Menu { title, timeout, entries } => {
            let told = |Entry { title, decision }| Entry { title, decision: as_grub_has_it(decision) };
            Decision::Menu { title, timeout, entries: entries.into_iter().map(told).collect() }
        }
        other => other,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn pxelinux_and_grub_read_the_decision_that_was_rendered(decision in any_decision()) {
        if let Ok(text) = render(&decision, Flavour::Pxelinux) {
            prop_assert_eq!(pxelinux_reads(&text), decision.clone(), "{}", text);
        }
        if let Ok(text) = render(&decision, Flavour::Grub) {
            prop_assert_eq!(grub_reads(&text), as_grub_has_it(decision), "{}", text);
        }
    }

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
