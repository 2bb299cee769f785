//! Which processes keep a mounted filesystem busy.

use std::path::Path;

/// `process 1234 (tail)` for every process with a working folder, root, program or open file under `dir`.
pub(super) fn of(dir: &Path) -> Vec<String> {
    let Ok(processes) = std::fs::read_dir("/proc") else { return Vec::new() };
    let under = |link: &Path| std::fs::read_link(link).is_ok_and(|target| target.starts_with(dir));
    let mut found = Vec::new();
    for process in processes.flatten() {
        let name = process.file_name().to_string_lossy().into_owned();
        if !name.bytes().all(|byte| byte.is_ascii_digit()) {
            continue;
        }
        let path = process.path();
        let links = ["cwd", "root", "exe"].map(|link| path.join(link));
        let files = std::fs::read_dir(path.join("fd")).into_iter().flatten().flatten().map(|file| file.path());
        if links.into_iter().chain(files).any(|link| under(&link)) {
            let program = std::fs::read_to_string(path.join("comm")).unwrap_or_default();
            found.push(format!("process {name} ({})", program.trim()));
        }
    }
    found
}
