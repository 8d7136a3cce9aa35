//! The order of the rooms, held by a test: who may import whom, where `unsafe` may stand,
//! and that only `cli` prints or reads the environment and the arguments.
//!
//! Reads the sources as text: comments, strings and character literals are dropped, the rest is split
//! into words, and every path that starts at the crate's root is followed one step.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// A room and its height; an import must go strictly down, so rooms of one height never see each other.
const ROOMS: [(&str, u8); 14] = [
    ("bin", 7),
    ("cli", 6),
    ("build", 5),
    ("output", 4),
    ("cache", 4),
    ("context", 3),
    ("snapshot", 3),
    ("sandbox", 3),
    ("registry", 3),
    ("image", 2),
    ("fs", 1),
    ("sys", 0),
    ("dockerfile", 0),
    ("lib", u8::MAX),
];

/// Functions of `std::env` that read the environment or the arguments; its constants are fine anywhere.
const ENVIRONMENT_READERS: [&str; 10] = [
    "var",
    "var_os",
    "vars",
    "vars_os",
    "args",
    "args_os",
    "set_var",
    "remove_var",
    "home_dir",
    "temp_dir",
];

const PRINTING_MACROS: [&str; 5] = ["print", "println", "eprint", "eprintln", "dbg"];

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

mod the_rules {
    use super::complaints_about;
    use std::path::Path;

    fn complaints(file: &str, text: &str) -> Vec<String> {
        complaints_about(Path::new(file), text)
    }

    fn assert_flagged(file: &str, text: &str, expected: &str) {
        let found = complaints(file, text);
        assert!(
            found.len() == 1 && found[0].contains(expected),
            "expected one complaint with {expected:?}, got {found:?} about: {text}"
        );
    }

    fn assert_clean(file: &str, text: &str) {
        assert_eq!(
            complaints(file, text),
            Vec::<String>::new(),
            "about: {text}"
        );
    }

    #[test]
    fn an_upward_import_is_flagged_with_its_line() {
        assert_flagged(
            "image/digest.rs",
            "\nuse crate::registry::Client;\n",
            "2: `image` imports `registry`",
        );
    }

    #[test]
    fn a_sideways_import_is_flagged() {
        assert_flagged(
            "sandbox/run.rs",
            "use crate::snapshot::Changes;",
            "`sandbox` imports `snapshot`",
        );
        assert_flagged(
            "sys/fork.rs",
            "use crate::dockerfile::Span;",
            "`sys` imports `dockerfile`",
        );
    }

    #[test]
    fn a_downward_import_and_one_within_the_room_pass() {
        assert_clean(
            "build/run.rs",
            "use crate::sandbox::Rootfs; use crate::build::step::Step;",
        );
        assert_clean("bin/executor.rs", "fn main() { sawagani::cli::main() }");
        assert_clean("lib.rs", "pub mod cli; pub use crate::cli::main;");
    }

    #[test]
    fn a_path_inside_an_expression_counts_as_an_import() {
        assert_flagged(
            "fs/root.rs",
            "fn f() { crate::build::go() }",
            "`fs` imports `build`",
        );
    }

    #[test]
    fn each_name_of_a_braced_import_is_followed() {
        assert_flagged(
            "fs/walk.rs",
            "use crate::{sys::{open, close}, fs::root, image::Digest};",
            "`fs` imports `image`",
        );
        assert_flagged(
            "fs/walk.rs",
            "use {crate::sys, crate::cache::Key};",
            "`fs` imports `cache`",
        );
    }

    #[test]
    fn super_chains_that_reach_the_root_are_followed() {
        assert_flagged("fs/mod.rs", "use super::build::go;", "`fs` imports `build`");
        assert_flagged(
            "fs/walk.rs",
            "use super::super::build::go;",
            "`fs` imports `build`",
        );
        assert_flagged(
            "fs/walk.rs",
            "mod tests { use super::super::super::build::go; }",
            "`fs` imports `build`",
        );
        assert_clean(
            "fs/walk.rs",
            "use super::build::go; mod tests { use super::super::build; }",
        );
    }

    #[test]
    fn what_is_no_room_cannot_be_imported_from_the_root() {
        assert_flagged("fs/walk.rs", "use crate::*;", "`crate::*`");
        assert_flagged("fs/walk.rs", "use crate::Result;", "`crate::Result`");
    }

    #[test]
    fn comments_strings_and_lifetimes_are_not_read_as_code() {
        assert_clean(
            "fs/walk.rs",
            r###"
//! See `crate::build`, /* unbalanced
/* crate::cli /* nested: unsafe */ println!() */
fn f<'a>(x: &'a str) -> char { let _ = ("crate::cli \" unsafe", r##"crate::build "# "##, b"unsafe", '"', '\''); 'c' }
"###,
        );
        assert_flagged(
            "fs/walk.rs",
            "fn f<'a>() { let c = '\"'; crate::cli::x(\"\") }",
            "`fs` imports `cli`",
        );
    }

    #[test]
    fn unsafe_is_flagged_outside_sys_only() {
        assert_flagged("sandbox/init.rs", "unsafe { fork() }", "`unsafe`");
        assert_clean("sys/fork.rs", "unsafe { fork() }");
        assert_clean("sandbox/mod.rs", "#![allow(unsafe_code)]");
    }

    #[test]
    fn printing_is_flagged_outside_cli_and_bin() {
        assert_flagged("build/mod.rs", "fn f() { println!(\"x\"); }", "`println!`");
        assert_flagged(
            "output/mod.rs",
            "fn f() { std::io::stderr().write_all(b\"x\"); }",
            "`io::stderr`",
        );
        assert_clean("cli/progress.rs", "fn f() { eprintln!(\"x\"); }");
        assert_clean("bin/warmer.rs", "fn main() { eprintln!(\"x\"); }");
        assert_clean("build/run.rs", "command.stdout(Stdio::inherit());");
    }

    #[test]
    fn reading_the_environment_is_flagged_outside_cli_and_bin() {
        assert_flagged(
            "registry/auth.rs",
            "let home = std::env::var(\"HOME\");",
            "`env::var`",
        );
        assert_flagged(
            "registry/auth.rs",
            "use std::env::{consts::ARCH, args};",
            "`env::args`",
        );
        assert_clean(
            "image/platform.rs",
            "const ARCH: &str = std::env::consts::ARCH;",
        );
        assert_clean("cli/options.rs", "std::env::args_os()");
    }

    #[test]
    fn unit_tests_may_print_and_read_the_environment_but_not_import_upward() {
        assert_clean(
            "fs/walk.rs",
            "mod tests { fn f() { println!(\"{:?}\", std::env::temp_dir()); } }",
        );
        assert_clean("fs/walk/tests.rs", "fn f() { println!(); }");
        assert_flagged(
            "fs/walk.rs",
            "mod tests { use crate::build::go; }",
            "`fs` imports `build`",
        );
        assert_flagged(
            "fs/walk.rs",
            "mod tests { } fn f() { println!(); }",
            "`println!`",
        );
    }
}

/// Returns what breaks a rule in one file, as `LINE: what`. `file` is relative to `src`.
fn complaints_about(file: &Path, text: &str) -> Vec<String> {
    let code = without_comments_and_literals(text);
    let words = words(&code);
    let place = Place::of(file);
    let mut modules = ModuleStack::default();
    let mut found = Vec::new();
    for (at, word) in words.iter().enumerate() {
        modules.see(&words, at);
        let rest = &words[at..];
        for name in root_names(
            rest,
            at.checked_sub(1).map(|i| words[i].text),
            place.depth + modules.open.len(),
        ) {
            if let Some(what) = place.import_complaint(name) {
                found.push(format!("{}: {what}", word.line));
            }
        }
        if word.text == "unsafe" && place.room != "sys" {
            found.push(format!("{}: `unsafe` outside `sys`", word.line));
        }
        if !place.may_talk && !modules.in_tests() {
            found.extend(
                talking(rest)
                    .into_iter()
                    .map(|what| format!("{}: {what} outside `cli`", word.line)),
            );
        }
    }
    found
}

/// Where a file stands in the house.
struct Place {
    room: String,
    /// How many modules deep the file's own code is below the crate's root.
    depth: usize,
    /// Whether the file may print and read the environment: `cli`, `bin`, and unit tests.
    may_talk: bool,
}

impl Place {
    fn of(file: &Path) -> Self {
        let mut modules: Vec<String> = file
            .with_extension("")
            .iter()
            .map(|part| part.to_str().expect("UTF-8 path").to_owned())
            .collect();
        let room = modules[0].clone();
        if modules
            .last()
            .is_some_and(|last| last == "mod" || last == "lib")
        {
            modules.pop();
        }
        let is_test = modules
            .iter()
            .skip(1)
            .any(|part| part == "tests" || part.ends_with("_tests"));
        // A program is a crate of its own: its root is its own file.
        let depth = if room == "bin" { 0 } else { modules.len() };
        let may_talk = is_test || room == "cli" || room == "bin";
        Self {
            room,
            depth,
            may_talk,
        }
    }

    fn import_complaint(&self, name: &str) -> Option<String> {
        let own = height(&self.room)?;
        if self.room == name || self.room == "lib" || self.room == "bin" {
            return None;
        }
        match height(name) {
            None => Some(format!(
                "`crate::{name}` is no room: name the room that it comes from"
            )),
            Some(other) if other < own => None,
            Some(_) => Some(format!(
                "`{}` imports `{name}`, which is not below it",
                self.room
            )),
        }
    }
}

fn height(room: &str) -> Option<u8> {
    ROOMS
        .iter()
        .find(|(name, _)| *name == room)
        .map(|(_, height)| *height)
}

/// The names directly below the crate's root that the path beginning at `rest[0]` reaches; empty for any other word.
fn root_names<'a>(rest: &[Word<'a>], before: Option<&str>, depth: usize) -> Vec<&'a str> {
    if before == Some("::") {
        return Vec::new();
    }
    let mut at = 0;
    if rest[0].text == "crate" {
        at = 1;
    } else {
        let mut steps = 0;
        let start = if rest[0].text == "self" && text_at(rest, 1) == "::" {
            2
        } else {
            0
        };
        while text_at(rest, start + 2 * steps) == "super" {
            steps += 1;
            if steps == depth {
                at = start + 2 * steps - 1;
                break;
            }
            if text_at(rest, start + 2 * steps - 1) != "::" {
                break;
            }
        }
    }
    if at == 0 || text_at(rest, at) != "::" {
        return Vec::new();
    }
    names_after(&rest[at + 1..])
}

/// `a::b` gives `a`; `{a::b, c::{d, e}}` gives `a` and `c`.
fn names_after<'a>(rest: &[Word<'a>]) -> Vec<&'a str> {
    if text_at(rest, 0) != "{" {
        return rest.first().map(|word| word.text).into_iter().collect();
    }
    let mut names = Vec::new();
    let mut depth = 0;
    for (at, word) in rest.iter().enumerate() {
        match word.text {
            "{" => depth += 1,
            "}" if depth == 1 => break,
            "}" => depth -= 1,
            "," | "::" => {}
            name if depth == 1 && matches!(rest[at - 1].text, "{" | ",") => names.push(name),
            _ => {}
        }
    }
    names
}

/// Printing, and reading of the environment, that begins at `rest[0]`.
fn talking(rest: &[Word]) -> Vec<String> {
    let word = rest[0].text;
    if PRINTING_MACROS.contains(&word) && text_at(rest, 1) == "!" {
        return vec![format!("`{word}!`")];
    }
    let watched: &[&str] = match word {
        "env" => &ENVIRONMENT_READERS,
        "io" => &["stdout", "stderr"],
        _ => return Vec::new(),
    };
    if text_at(rest, 1) != "::" {
        return Vec::new();
    }
    let names = names_after(&rest[2..]).into_iter();
    names
        .filter(|name| watched.contains(name))
        .map(|name| format!("`{word}::{name}`"))
        .collect()
}

fn text_at<'a>(words: &[Word<'a>], at: usize) -> &'a str {
    words.get(at).map_or("", |word| word.text)
}

/// The inline modules that are open at the current word.
#[derive(Default)]
struct ModuleStack<'a> {
    /// Name, and the brace depth at which the module's body began.
    open: Vec<(&'a str, usize)>,
    braces: usize,
}

impl<'a> ModuleStack<'a> {
    fn see(&mut self, words: &[Word<'a>], at: usize) {
        match words[at].text {
            "{" => {
                self.braces += 1;
                if at >= 2 && words[at - 2].text == "mod" {
                    self.open.push((words[at - 1].text, self.braces));
                }
            }
            "}" => {
                if self
                    .open
                    .last()
                    .is_some_and(|(_, began)| *began == self.braces)
                {
                    self.open.pop();
                }
                self.braces = self.braces.saturating_sub(1);
            }
            _ => {}
        }
    }

    fn in_tests(&self) -> bool {
        self.open.iter().any(|(name, _)| *name == "tests")
    }
}

/// An identifier, `::`, or one other character, with its line from 1.
struct Word<'a> {
    text: &'a str,
    line: usize,
}

fn words(code: &str) -> Vec<Word<'_>> {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    let mut words = Vec::new();
    for (number, line) in code.lines().enumerate() {
        let mut rest = line.trim_start();
        while let Some(first) = rest.chars().next() {
            let end = if is_name(first) {
                rest.find(|c| !is_name(c)).unwrap_or(rest.len())
            } else if rest.starts_with("::") {
                2
            } else {
                first.len_utf8()
            };
            words.push(Word {
                text: &rest[..end],
                line: number + 1,
            });
            rest = rest[end..].trim_start();
        }
    }
    words
}

/// Returns the text with every comment, string and character literal replaced by blanks; lines stay where they are.
fn without_comments_and_literals(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    let mut previous = ' ';
    while let Some(first) = rest.chars().next() {
        let after_name = previous.is_alphanumeric() || previous == '_';
        let skipped = literal_length(rest, after_name);
        if skipped == 0 {
            code.push(first);
            previous = first;
            rest = &rest[first.len_utf8()..];
        } else {
            code.push(' ');
            code.extend(rest[..skipped].chars().filter(|c| *c == '\n'));
            previous = ' ';
            rest = &rest[skipped..];
        }
    }
    code
}

/// Length in bytes of the comment or literal that `rest` begins with; 0 for code.
fn literal_length(rest: &str, after_name: bool) -> usize {
    if rest.starts_with("//") {
        return rest.find('\n').unwrap_or(rest.len());
    }
    if rest.starts_with("/*") {
        return block_comment_length(rest);
    }
    if rest.starts_with('"') {
        return quoted_length(rest, '"');
    }
    if rest.starts_with('\'') {
        return char_literal_length(rest);
    }
    if after_name {
        return 0;
    }
    let raw = rest
        .strip_prefix("br")
        .or_else(|| rest.strip_prefix('r'))
        .unwrap_or("");
    let hashes = raw.len() - raw.trim_start_matches('#').len();
    if !raw[hashes..].starts_with('"') {
        return 0;
    }
    let opening = rest.len() - raw.len() + hashes + 1;
    let closing = format!("\"{}", "#".repeat(hashes));
    rest[opening..]
        .find(&closing)
        .map_or(rest.len(), |end| opening + end + closing.len())
}

fn block_comment_length(rest: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < rest.len() {
        if rest[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    rest.len()
}

fn quoted_length(rest: &str, quote: char) -> usize {
    let mut chars = rest.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        if c == '\\' {
            chars.next();
        } else if c == quote {
            return at + 1;
        }
    }
    rest.len()
}

/// `'x'` and `'\n'` are literals; `'a` alone is a lifetime, of which only the quote is dropped.
fn char_literal_length(rest: &str) -> usize {
    let mut chars = rest.chars().skip(1);
    match (chars.next(), chars.next()) {
        (Some('\\'), _) => quoted_length(rest, '\''),
        (Some(c), Some('\'')) => c.len_utf8() + 2,
        _ => 1,
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
