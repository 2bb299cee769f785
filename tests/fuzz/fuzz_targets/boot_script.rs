#![no_main]
use kar::kit::boot::old::{Language, Node, Program, import, run};

// Any text is a script of each language or refused; one that reads runs to an end, and imports to an end.
libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    for language in [Language::Kaboot, Language::Bpbatch] {
        let Ok(program) = Program::parse(&text, language) else { continue };
        let node = Node { ip: "10.0.0.7".into(), ..Node::default() };
        let _ = run(&program, &node, &mut |_| Ok(Some(data.to_vec())));
        let _ = import(&program, "fuzz", &mut |_| Ok(Some(data.to_vec())));
    }
});
