use super::*;
use crate::host::{Fault, Result};
use crate::kit::boot::Decision;
use proptest::prelude::*;

/// The two scripts of Ka-deploy's guide, as they stand there.
pub const BPBATCH: &str = r#"#--------------------------------------------------------------------------------------
showlog
set CacheNever="On"

if "ready" in-file "steps/$BOOTP-Your-IP" goto step_ready
if "lilo" in-file "steps/$BOOTP-Your-IP" goto step_lilo

# step 1 : Ka-deply
linuxboot "linux2217nfsroot" "root=/dev/nfs nfsroot=129.88.96.252:/tftpboot/NFSROOT ro"

:step_lilo
# step 2 : LILO 
linuxboot "linux22173comst" "root=/dev/hda1 BOOT_IMAGE=linux"

:step_ready
# step 3, system ready
HdBoot
#--------------------------------------------------------------------------------------
"#;

pub const KABOOT: &str = r#"        # for machine with ip 1.2.3.4, current step is in the
        # /tftpboot/steps/1.2.3.4 file on the tftpserver
        # and this file contains : set "foo" $step
        set "steps/" $stepfile
        append $Client-IP $stepfile
        run $stepfile

        echo "Step is : "
        echo $step
        echo "\n"

        cmp $step "ready"
        jeq step_ready:

        cmp $step "lilo"
        jeq step_lilo:


        # First step of the install, boot linux with a nfsroot
        echo "GOING TO FIRST STEP OF INSTALL"
        linuxboot "linux242nfsroot" "root=/dev/nfs
nfsroot=129.88.69.4:/tftpboot/NFSROOT ro"
        end

step_lilo:
        # second step, system has been written to HD but no bootloader (LILO)
        # has benn installed yet
        linuxboot "linux242nfsroot" "root=/dev/hda1" 

step_ready:
        # last step, let the BIOS boot on the hard drive
        exit
"#;

fn linux(kernel: &str, cmdline: &str) -> Decision {
    Decision::Linux { kernel: kernel.into(), initrd: vec![], cmdline: cmdline.into() }
}

fn node() -> Node {
    Node { ip: "1.2.3.4".into(), ..Node::default() }
}

/// What a script decides where these files are.
fn decide(text: &str, language: Language, files: &[(&str, &str)]) -> Result<Outcome> {
    let program = Program::parse(text, language)?;
    run(&program, &node(), &mut |name| {
        Ok(files.iter().find(|(known, _)| *known == name).map(|(_, text)| text.as_bytes().to_vec()))
    })
}

#[test]
fn the_scripts_of_the_guide_drive_three_boots() {
    let install = linux("linux2217nfsroot", "root=/dev/nfs nfsroot=129.88.96.252:/tftpboot/NFSROOT ro");
    let lilo = linux("linux22173comst", "root=/dev/hda1 BOOT_IMAGE=linux");
    for (files, expected) in [
        (vec![], install.clone()),
        (vec![("steps/1.2.3.4", "install\n")], install),
        (vec![("steps/1.2.3.4", "lilo\n")], lilo),
        (vec![("steps/1.2.3.4", "ready\n")], Decision::Local {}),
    ] {
        assert_eq!(decide(BPBATCH, Language::Bpbatch, &files).unwrap().decision, expected, "{files:?}");
    }
    let install = linux("linux242nfsroot", "root=/dev/nfs nfsroot=129.88.69.4:/tftpboot/NFSROOT ro");
    let lilo = linux("linux242nfsroot", "root=/dev/hda1");
    for (files, expected) in [
        (vec![], install.clone()),
        (vec![("steps/1.2.3.4", "set \"install\" $step\n")], install),
        (vec![("steps/1.2.3.4", "set \"lilo\" $step\n")], lilo),
        (vec![("steps/1.2.3.4", "set \"ready\" $step\n")], Decision::Local {}),
    ] {
        assert_eq!(decide(KABOOT, Language::Kaboot, &files).unwrap().decision, expected, "{files:?}");
    }
    let said = decide(KABOOT, Language::Kaboot, &[("steps/1.2.3.4", "set \"lilo\" $step")]).unwrap().said;
    assert_eq!(said, ["Step is : ", "lilo", "\n"]);
}

#[test]
fn a_slip_is_named_with_line_and_column() {
    for (language, text, message) in [
        (
            Language::Kaboot,
            "set \"a\" $b\n  linuxbot \"k\" \"\"",
            "line 2, column 3 of the boot script: `linuxbot` is no command of ka-boot",
        ),
        (Language::Kaboot, "jeq there:\nexit", "line 1, column 5 of the boot script: there is no label `there`"),
        (
            Language::Kaboot,
            "set \"a\" b",
            "line 1, column 9 of the boot script: `b` is no variable: it starts with `$`",
        ),
        (Language::Kaboot, "cmp $a", "line 1, column 1 of the boot script: `cmp` is written `cmp A B`"),
        (Language::Kaboot, "exit\na:\n\na:\n", "line 4, column 1 of the boot script: the label `a` stands twice"),
        (
            Language::Kaboot,
            "echo \"a\nb",
            "line 1, column 6 of the boot script: the quote that opens here is not closed",
        ),
        (Language::Kaboot, "exit now", "line 1, column 1 of the boot script: `exit` is written alone on its line"),
        (
            Language::Bpbatch,
            "HdBot",
            "line 1, column 1 of the boot script: `HdBot` is no command of BpBatch that is known here",
        ),
        (
            Language::Bpbatch,
            "if \"a\" in \"b\" goto c\n:c",
            "line 1, column 1 of the boot script: `if` is written `if \"WORD\" in-file \"FILE\" goto LABEL`",
        ),
        (Language::Bpbatch, "goto x", "line 1, column 6 of the boot script: there is no label `x`"),
        (Language::Bpbatch, ":", "line 1, column 1 of the boot script: a label without a name"),
        (Language::Bpbatch, "set a=b", "line 1, column 1 of the boot script: `set` is written `set NAME=\"VALUE\"`"),
    ] {
        let fault = Program::parse(text, language).unwrap_err();
        assert_eq!((fault.kind.as_ref(), fault.message.as_str()), ("boot.script", message), "{text}");
    }
    let fault = Program::parse("linuxbot \"k\"", Language::Kaboot).unwrap_err();
    assert_eq!(fault.hints[0], "did you mean `linuxboot`?");
}

#[test]
fn what_never_boots_is_an_error_and_ends() {
    for (text, message) in [
        ("again:\nset \"a\" $b\ncmp $b $b\njeq again:", "it goes round in a circle"),
        ("echo \"hello\"", "the boot script ends without booting anything"),
        ("end", "the boot script ends without booting anything"),
        (
            "set \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\" $a\nb:\nappend $a $a\ncmp $a $a\njeq b:",
            "of at most 4096",
        ),
        ("linuxboot \"two words\"", "line 1, column 1 of the boot script: kernel `two words` holds a blank"),
        ("run \"x\"", "of `x`: `hoops` is no command"),
        ("run \"y\"", "that runs another"),
    ] {
        let fault = decide(text, Language::Kaboot, &[("x", "hoops"), ("y", "run \"y\"")]).unwrap_err();
        assert!(fault.message.contains(message), "{text:?}: {}", fault.message);
    }
}

#[test]
fn variables_and_files_are_used_as_both_languages_do() {
    let files = [("conf/1.2.3.4", "set \"bzImage\" $kernel\nend\nnonsense after the end"), ("all", "a ready node")];
    let fault = decide("run \"conf/1.2.3.4\"\nlinuxboot $kernel", Language::Kaboot, &files).unwrap_err();
    assert!(fault.message.starts_with("line 3, column 1 of `conf/1.2.3.4`"), "{}", fault.message);
    let files = [("conf/1.2.3.4", "set \"bzImage\" $kernel\nend"), ("all", "a ready node")];
    let told = decide("run \"conf/1.2.3.4\"\nlinuxboot $kernel $missing", Language::Kaboot, &files).unwrap();
    assert_eq!(told.decision, linux("bzImage", ""));
    // Names and commands in any case; a word anywhere in the file; `$` without a name stands for itself.
    let script = "Set Kernel = \"vm$\"\nIF \"eady\" In-File \"all\" GOTO There\nhdboot\n:there\nLinuxBoot \"$KERNEL\" \"ip=$bootp-your-ip\"";
    assert_eq!(decide(script, Language::Bpbatch, &files).unwrap().decision, linux("vm$", "ip=1.2.3.4"));
    let floppy = decide("floppyboot \"dos.img\"", Language::Bpbatch, &[]).unwrap().decision;
    let Decision::Linux { kernel, initrd, cmdline } = floppy else { panic!("{floppy:?}") };
    assert_eq!((kernel.as_str(), initrd.join(" ").as_str(), cmdline.as_str()), ("memdisk", "dos.img", "floppy"));
    let fault = run(&Program::parse("run \"x\"", Language::Kaboot).unwrap(), &node(), &mut |_| {
        Err(Fault::new("tftp.timeout", "the server is silent"))
    });
    assert_eq!(fault.unwrap_err().kind, "tftp.timeout");
}

#[test]
fn the_language_is_known_by_name_or_by_its_words() {
    for (path, text, language) in [
        ("scripts/224.bpb", KABOOT, Language::Bpbatch),
        ("kascripts/224.KBT", BPBATCH, Language::Kaboot),
        ("224", KABOOT, Language::Kaboot),
        ("224", BPBATCH, Language::Bpbatch),
    ] {
        assert_eq!(Language::of(path, text), language);
    }
    assert_eq!(Language::named("ka-boot").unwrap(), Language::Kaboot);
    assert_eq!(Language::named("kaboot").unwrap_err().hints[0], "did you mean `ka-boot`?");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    /// Whatever stands in a script: it is read or refused with a place, and it ends.
    #[test]
    fn any_script_is_read_or_refused(text in "((set|append|run|echo|cmp|jeq|linuxboot|end|exit|if|goto|:a|a:|hdboot|in-file|\"x\"|\\$a|\"\\$b/\"|a|=|#|\\\\)[ \n]){0,25}") {
        for language in [Language::Kaboot, Language::Bpbatch] {
            match Program::parse(&text, language) {
                Ok(program) => {
                    let _ = run(&program, &node(), &mut |_| Ok(Some(text.clone().into_bytes())));
                }
                Err(fault) => prop_assert!(fault.message.starts_with("line "), "{}", fault.message),
            }
        }
    }

    #[test]
    fn no_bytes_break_the_reader(text in "\\PC{0,60}|[\"\\\\$#:\n a-z]{0,60}") {
        let _ = Program::parse(&text, Language::Kaboot);
        let _ = Program::parse(&text, Language::Bpbatch);
    }
}
