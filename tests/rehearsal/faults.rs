//! Failures declared in a recipe, on machines of network namespaces: what the recipe says has to come of them does.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::harness::{kar, need, scratch};

#[test]
fn a_room_in_which_nearly_everything_goes_wrong() {
    need("tc", "iproute2");
    let folder = scratch();
    let recipe = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recipes/faults.rhai");
    let mut run = Command::new(kar());
    run.arg("run").arg(recipe).current_dir(folder.path()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let run = run.spawn().unwrap();
    let own = format!("kt-{}-faults-", run.id());
    let output = run.wait_with_output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}{err}");
    assert!(
        out.contains(
            "node6 was served afterwards: true\n3 of 6 are whole\nnoticed: node1 is whole, and was to be chain.lost"
        ),
        "{out}{err}"
    );
    let spaces = std::fs::read_dir("/run/netns").into_iter().flatten().flatten();
    let left: Vec<_> = spaces.filter(|entry| entry.file_name().to_string_lossy().starts_with(&own)).collect();
    assert!(left.is_empty(), "{left:?}");
}
