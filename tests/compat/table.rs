//! The table of rules in docs/compatibility.md: every test that it names is there.

use std::fs;
use std::path::Path;

/// What the section that names tests begins with; it ends where the next begins.
const HEADING: &str = "## The language, rule by rule";

/// How many names the table has at least: fewer mean that it was not read.
const NAMES_MIN: usize = 150;

/// A line for each name that is neither a case nor a path of the repository.
pub(crate) fn complaints() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(root.join("docs/compatibility.md")).expect("read the page");
    let section = text
        .split(HEADING)
        .nth(1)
        .expect("the page has the section");
    let section = section.split("\n## ").next().expect("at least its heading");
    let names: Vec<&str> = section.lines().flat_map(names_in).collect();
    assert!(names.len() >= NAMES_MIN, "only {} names", names.len());
    let is_there = |name: &&str| {
        root.join("tests/compat/cases").join(name).is_dir() || root.join(name).exists()
    };
    let missing = names.iter().filter(|name| !is_there(name));
    missing
        .map(|name| format!("docs/compatibility.md: there is no test `{name}`"))
        .collect()
}

/// What stands in backticks in a row's last cell, or in a line of text.
fn names_in(line: &str) -> impl Iterator<Item = &str> {
    let cell = line.trim_end_matches([' ', '|']).rsplit(" | ").next();
    let parts = cell.unwrap_or_default().split('`').skip(1).step_by(2);
    parts.filter(|name| name.contains(['-', '/']))
}
