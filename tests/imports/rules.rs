//! The rules of the house for one source file: imports go down, `unsafe` stays in `sys`, only `cli` talks.

use super::words::{Word, without_comments_and_literals, words};
use std::path::Path;

/// A room and its height; an import must go strictly down, so rooms of one height never see each other.
pub(crate) const ROOMS: [(&str, u8); 17] = [
    ("bin", 7),
    ("cli", 6),
    ("build", 5),
    ("output", 4),
    ("cache", 4),
    ("context", 3),
    ("snapshot", 3),
    ("sandbox", 3),
    ("registry", 3),
    ("remote", 3),
    ("cloud", 2),
    ("image", 2),
    ("http", 1),
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

/// Returns what breaks a rule in one file, as `LINE: what`. `file` is relative to `src`.
pub(crate) fn complaints_about(file: &Path, text: &str) -> Vec<String> {
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

/// Returns a room's height; none for what is no room.
pub(crate) fn height(room: &str) -> Option<u8> {
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
