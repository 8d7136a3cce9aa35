//! What a case says of its image: the files `expected`, `differs.*` and `layers`.

use super::listing;
use crate::support::entry::Entry;
use crate::support::image::{Layer, sha256};
use crate::support::{Kind, Tree};

/// Lines `PATH TYPE MODE UID GID [NAME=VALUE …]` or `PATH absent`; `#` begins a comment.
///
/// In paths and values `\s` is a space, `\n` a newline, `\xHH` a byte, `\\` a backslash.
#[derive(Debug)]
pub(crate) struct Expectation {
    lines: Vec<ExpectedPath>,
}

#[derive(Debug)]
struct ExpectedPath {
    path: String,
    /// `None` where nothing may be.
    file: Option<ExpectedFile>,
}

#[derive(Debug)]
struct ExpectedFile {
    kind: String,
    mode: u32,
    uid: u64,
    gid: u64,
    details: Vec<(String, Vec<u8>)>,
}

impl Expectation {
    pub(crate) fn of(text: &str) -> Self {
        let lines = text
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'));
        Self {
            lines: lines.map(ExpectedPath::of).collect(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    pub(crate) fn names(&self, path: &str) -> bool {
        self.lines.iter().any(|line| line.path == path)
    }

    /// What in `tree` is not as expected, of the paths that `except` does not name.
    pub(crate) fn complaints(&self, tree: &Tree, except: &Self) -> Vec<String> {
        let lines = self.lines.iter().filter(|line| !except.names(&line.path));
        lines.flat_map(|line| line.complaints(tree)).collect()
    }
}

impl ExpectedPath {
    fn of(line: &str) -> Self {
        let (path, rest) = line.split_once(' ').expect("a path and what it is");
        let path = text_of(path);
        if rest == "absent" {
            return Self { path, file: None };
        }
        let mut rest = rest;
        let mut next = || {
            let (word, after) = rest.split_once(' ').unwrap_or((rest, ""));
            rest = after;
            word
        };
        let (kind, mode, uid, gid) = (next(), next(), next(), next());
        let number = |text: &str| text.parse().unwrap_or_else(|_| panic!("a number: {line}"));
        let file = ExpectedFile {
            kind: kind.to_owned(),
            mode: u32::from_str_radix(mode, 8).expect("a mode"),
            uid: number(uid),
            gid: number(gid),
            details: details_of(rest),
        };
        let file = Some(file);
        Self { path, file }
    }

    fn complaints(&self, tree: &Tree) -> Vec<String> {
        let path = &self.path;
        match (&self.file, tree.find(path)) {
            (None, None) => Vec::new(),
            (None, Some(found)) => vec![format!("{path}: there must be none, and is {found:?}")],
            (Some(_), None) => vec![format!("{path}: missing")],
            (Some(file), Some(found)) => {
                let wrong = file.wrong(path, found, tree);
                let as_line = |wrong| format!("{path}: {wrong}; it is {found:?}");
                wrong.into_iter().map(as_line).collect()
            }
        }
    }
}

impl ExpectedFile {
    fn wrong(&self, path: &str, found: &Entry, tree: &Tree) -> Vec<String> {
        let mut wrong = Vec::new();
        let kind = match &found.kind {
            Kind::Directory => "dir",
            Kind::File { .. } => "file",
            Kind::Symlink { .. } => "symlink",
            Kind::Fifo => "fifo",
            Kind::Device { is_block: true, .. } => "block",
            Kind::Device { .. } => "char",
        };
        let wanted = match self.kind.as_str() {
            "hardlink" => "file",
            other => other,
        };
        if kind != wanted {
            wrong.push(format!("a {wanted} was expected"));
        }
        if found.mode != self.mode && kind != "symlink" {
            wrong.push(format!("mode {:04o} was expected", self.mode));
        }
        if (found.uid, found.gid) != (self.uid, self.gid) {
            wrong.push(format!("owner {}:{} was expected", self.uid, self.gid));
        }
        for (name, value) in &self.details {
            if !self.has_detail(name, value, path, found, tree) {
                wrong.push(format!(
                    "{name}={:?} was expected",
                    String::from_utf8_lossy(value)
                ));
            }
        }
        wrong
    }

    fn has_detail(&self, name: &str, value: &[u8], path: &str, found: &Entry, tree: &Tree) -> bool {
        let text = String::from_utf8_lossy(value);
        match (name, &found.kind) {
            ("mtime", _) => found.mtime.to_string() == text,
            ("size", Kind::File { size, .. }) => size.to_string() == text,
            ("content", Kind::File { sha256: hash, .. }) => *hash == sha256(value),
            ("target", Kind::Symlink { target }) => *target == text,
            ("target", Kind::File { .. }) if self.kind == "hardlink" => {
                tree.has(&text) && tree.are_hard_links(path, &text)
            }
            ("device", Kind::Device { major, minor, .. }) => format!("{major}:{minor}") == text,
            _ => match name.strip_prefix("xattr.") {
                Some(key) => found.xattrs.get(key).is_some_and(|found| found == value),
                None => false,
            },
        }
    }
}

/// `NAME=VALUE` pairs. The values of `content` and `target` go to the end of the line, spaces and all.
fn details_of(text: &str) -> Vec<(String, Vec<u8>)> {
    let mut details = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (name, after) = rest.split_once('=').expect("a name, `=` and a value");
        let takes_all = ["content", "target"].contains(&name);
        let (value, left) = match after.split_once(' ') {
            Some((value, left)) if !takes_all => (value, left),
            _ => (after, ""),
        };
        details.push((name.to_owned(), bytes_of(value)));
        rest = left;
    }
    details
}

fn text_of(escaped: &str) -> String {
    String::from_utf8_lossy(&bytes_of(escaped)).into_owned()
}

fn bytes_of(escaped: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = escaped.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        match rest.next() {
            Some(b'n') => bytes.push(b'\n'),
            Some(b's') => bytes.push(b' '),
            Some(b'\\') => bytes.push(b'\\'),
            Some(b'x') => {
                let digits = [rest.next(), rest.next()].map(|digit| digit.expect("two digits"));
                let digits = str::from_utf8(&digits).expect("digits");
                bytes.push(u8::from_str_radix(digits, 16).expect("a byte in hex"));
            }
            other => panic!("no such escape: {other:?} in {escaped:?}"),
        }
    }
    bytes
}

/// Lines `NUMBER: NAME …` with exactly the names in each layer above the base's, the first being 1.
#[derive(Debug)]
pub(crate) struct Layers {
    layers: Vec<Vec<String>>,
}

impl Layers {
    pub(crate) fn of(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.is_empty());
        let layers = lines.enumerate().map(|(index, line)| {
            let (number, names) = line.split_once(':').expect("a number and `:`");
            assert_eq!(
                number,
                (index + 1).to_string(),
                "layers are numbered from 1"
            );
            sorted(names.split_whitespace().map(text_of).collect())
        });
        Self {
            layers: layers.collect(),
        }
    }

    pub(crate) fn complaints(&self, found: &[Layer]) -> Vec<String> {
        let found: Vec<Vec<String>> = found
            .iter()
            .map(|layer| sorted(listing::names(layer)))
            .collect();
        if found.len() != self.layers.len() {
            return vec![format!(
                "{} layers were expected, and there are {}: {found:?}",
                self.layers.len(),
                found.len()
            )];
        }
        let pairs = self.layers.iter().zip(&found).enumerate();
        let wrong = pairs.filter(|(_, (wanted, found))| wanted != found);
        wrong
            .map(|(index, (wanted, found))| {
                format!(
                    "layer {}: {wanted:?} was expected, and is {found:?}",
                    index + 1
                )
            })
            .collect()
    }
}

fn sorted(mut names: Vec<String>) -> Vec<String> {
    names.sort();
    names
}
