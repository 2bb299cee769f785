//! The command line as a person sees it: transcripts, asserted whole. `TRYCMD=overwrite cargo test --test cli` writes
//! down what is printed now.

use std::path::{Path, PathBuf};
use std::time::Duration;

/// Programs that a transcript runs beside kar.
const PROGRAMS: [&str; 2] = ["jq", "sed"];

#[test]
fn transcripts() {
    let cases = trycmd::TestCases::new();
    cases.register_bin("kar", PathBuf::from(env!("CARGO_BIN_EXE_kar")));
    cases.env("NO_COLOR", "1").timeout(Duration::from_secs(120));
    for program in PROGRAMS {
        let path = Path::new("/usr/bin").join(program);
        assert!(path.exists(), "{program} is missing");
        cases.register_bin(program, path);
    }
    cases.case("tests/cli/*.trycmd").run();
}
