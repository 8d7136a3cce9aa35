//! Every folder of `testdata/dockerfile/ok` holds a Dockerfile and the instructions it
//! must fall into; every folder of `bad` one that must be refused, with the line and a
//! part of the message. To add a case, add a folder.

use std::fs;
use std::path::{Path, PathBuf};

use sawagani::cli::debug;
use serde_json::Value;

/// Returns the folders of one kind, sorted, so that failures come in a stable order.
fn cases(kind: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("testdata/dockerfile")
        .join(kind);
    let entries =
        fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut cases: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    assert!(
        cases.len() >= 150,
        "{} has lost its cases",
        folder.display()
    );
    cases
}

fn read(case: &Path, name: &str) -> Vec<u8> {
    let path = case.join(name);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn expected(case: &Path, name: &str) -> Value {
    serde_json::from_slice(&read(case, name))
        .unwrap_or_else(|error| panic!("{}: {error}", case.display()))
}

/// Fails with all cases that went wrong, not only the first.
fn report(wrong: &[String]) {
    assert!(
        wrong.is_empty(),
        "{} cases went wrong:\n\n{}",
        wrong.len(),
        wrong.join("\n\n")
    );
}

#[test]
fn each_good_file_falls_into_its_instructions() {
    let mut wrong = Vec::new();
    for case in cases("ok") {
        let expected = expected(&case, "ast.json");
        match debug::ast(&read(&case, "Dockerfile")) {
            Ok(found) if found == expected => {}
            Ok(found) => wrong.push(format!(
                "{}:\nfound    {found}\nexpected {expected}",
                case.display()
            )),
            Err(error) => wrong.push(format!(
                "{}: line {}: {error}",
                case.display(),
                error.span.start
            )),
        }
    }
    report(&wrong);
}

#[test]
fn each_bad_file_is_refused_on_its_line() {
    let mut wrong = Vec::new();
    for case in cases("bad") {
        let expected = expected(&case, "error.json");
        let line = expected["line"].as_u64().unwrap();
        let message = expected["message"].as_str().unwrap();
        match debug::ast(&read(&case, "Dockerfile")) {
            Ok(found) => wrong.push(format!("{}: accepted as {found}", case.display())),
            Err(error)
                if error.span.start as u64 == line && error.to_string().contains(message) => {}
            Err(error) => wrong.push(format!(
                "{}:\nfound    line {}: {error}\nexpected line {line}: {message}",
                case.display(),
                error.span.start
            )),
        }
    }
    report(&wrong);
}
