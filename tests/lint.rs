//! Every folder of `testdata/dockerfile/lint` holds a Dockerfile and what `executor lint` must say of it. `expected`
//! has a line for each warning, `LINES RULE PART`, where LINES are `3`, `3-5` or `3,5` and PART is in the detail; and
//! one `error LINE PART` where it must fail, with `-` for an error without a line. `args` holds more flags, one a line.
//! To add a case, add a folder.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use sawagani::dockerfile::lint::Rule;
use serde_json::Value;

/// Rules that need to know an image: tested by whole builds.
const OF_IMAGES: [&str; 1] = ["InvalidBaseImagePlatform"];

fn cases() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/dockerfile/lint");
    let entries = fs::read_dir(&folder).expect("read the cases");
    let mut cases: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    cases
}

fn lines_of(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// What was printed, whether it failed, and what was said of that.
struct Answer {
    json: Value,
    failed: bool,
}

fn lint(case: &Path) -> Answer {
    let output = Command::new(env!("CARGO_BIN_EXE_executor"))
        .args(["lint", "--format=json", "--context"])
        .arg(case)
        .arg("--dockerfile")
        .arg(case.join("Dockerfile"))
        .args(lines_of(&case.join("args")))
        .output()
        .expect("start the executor");
    let json = serde_json::from_slice(&output.stdout);
    Answer {
        json: json.unwrap_or_else(|error| panic!("{}: {error}: {output:?}", case.display())),
        failed: output.status.code() == Some(1),
    }
}

/// Returns each warning as `LINES RULE DETAIL`, and the error as `error LINE MESSAGE`.
fn found(answer: &Answer) -> Vec<String> {
    let warnings = answer.json["warnings"].as_array().expect("warnings");
    let mut found: Vec<String> = warnings.iter().map(warning).collect();
    match &answer.json["buildError"] {
        Value::Null => assert!(!answer.failed, "failed without a word"),
        error => {
            assert!(answer.failed, "ended well with {error}");
            let line = &error["location"]["ranges"][0]["start"]["line"];
            let line = line
                .as_u64()
                .map_or("-".to_owned(), |line| line.to_string());
            found.push(format!(
                "error {line} {}",
                error["message"].as_str().unwrap()
            ));
        }
    }
    found
}

fn warning(warning: &Value) -> String {
    let text = |key: &str| warning[key].as_str().unwrap_or_default();
    let ranges = warning["location"]["ranges"].as_array().expect("ranges");
    let lines = ranges.iter().map(|range| {
        let (start, end) = (&range["start"]["line"], &range["end"]["line"]);
        match start == end {
            true => start.to_string(),
            false => format!("{start}-{end}"),
        }
    });
    let lines: Vec<String> = lines.collect();
    format!(
        "{} {} {}",
        lines.join(","),
        text("ruleName"),
        text("detail")
    )
}

/// Says whether a line that was found is the expected one.
fn is_as_expected(found: &str, expected: &str) -> bool {
    let mut words = expected.splitn(3, ' ');
    let start = [words.next(), words.next()].map(Option::unwrap_or_default);
    let start = format!("{} {} ", start[0], start[1]);
    found.starts_with(&start) && found.contains(words.next().unwrap_or_default())
}

#[test]
fn each_case_has_the_expected_warnings() {
    let mut wrong = Vec::new();
    for case in cases() {
        let expected = lines_of(&case.join("expected"));
        let mut left = found(&lint(&case));
        let mut missing = Vec::new();
        for line in &expected {
            match left.iter().position(|found| is_as_expected(found, line)) {
                Some(at) => drop(left.remove(at)),
                None => missing.push(line),
            }
        }
        if !left.is_empty() || !missing.is_empty() {
            let case = case.display();
            wrong.push(format!("{case}:\nmissing {missing:#?}\ntoo much {left:#?}"));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} cases:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn each_rule_is_broken_somewhere_and_has_its_page() {
    let mut broken = BTreeSet::new();
    for case in cases() {
        for warning in lint(&case).json["warnings"].as_array().expect("warnings") {
            let name = warning["ruleName"].as_str().expect("a name");
            let url = warning["url"].as_str().expect("a page");
            assert!(
                url.starts_with("https://docs.docker.com/go/dockerfile/rule/"),
                "{url}"
            );
            assert!(!warning["description"].as_str().expect("a text").is_empty());
            broken.insert(name.to_owned());
        }
    }
    let never: Vec<&str> = Rule::ALL
        .map(Rule::name)
        .into_iter()
        .filter(|name| !broken.contains(*name))
        .collect();
    assert_eq!(never, OF_IMAGES);
}
