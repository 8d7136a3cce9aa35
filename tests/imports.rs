//! The order of the rooms, held by a test: who may import whom, where `unsafe` may stand,
//! and that only `cli` prints or reads the environment and the arguments.
//!
//! Reads the sources as text: comments, strings and character literals are dropped, the rest is split
//! into words, and every path that starts at the crate's root is followed one step.

#[path = "imports/rules.rs"]
mod rules;
#[path = "imports/samples.rs"]
mod samples;
#[path = "imports/words.rs"]
mod words;

use rules::{ROOMS, complaints_about, height};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

#[test]
fn every_source_file_keeps_the_order_of_the_rooms() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut complaints = String::new();
    let mut files_read = 0;
    for path in source_files(&src) {
        let relative = path.strip_prefix(&src).expect("walked from src");
        let text = std::fs::read_to_string(&path).expect("a source file is UTF-8");
        files_read += 1;
        for complaint in complaints_about(relative, &text) {
            writeln!(complaints, "src/{}:{complaint}", relative.display())
                .expect("write to a string");
        }
    }
    assert!(
        files_read >= ROOMS.len(),
        "only {files_read} files found below {}",
        src.display()
    );
    assert!(complaints.is_empty(), "\n{complaints}");
}

#[test]
fn every_folder_of_the_sources_is_a_known_room() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for entry in std::fs::read_dir(src).expect("read src") {
        let entry = entry.expect("read src");
        let name = entry.file_name().into_string().expect("UTF-8 name");
        let room = name.strip_suffix(".rs").unwrap_or(&name);
        assert!(
            height(room).is_some(),
            "`src/{name}` is not a room that this test knows"
        );
    }
}

fn source_files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = walkdir::WalkDir::new(folder)
        .into_iter()
        .map(|entry| entry.expect("walk src").into_path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .collect();
    files.sort();
    files
}
