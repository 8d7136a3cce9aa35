//! One case: a folder of `testdata/build`.

use super::base_names::BaseName;
use super::expectation::{Expectation, Layers};
use super::mode::Mode;
use super::outcome::Outcome;
use super::pattern::Patterns;
use crate::support::Context;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// A Dockerfile and what is known of its result.
pub(crate) struct Case {
    pub(crate) name: String,
    dir: PathBuf,
    pub(crate) dockerfile: String,
}

impl Case {
    /// Every case, by name.
    pub(crate) fn all() -> Vec<Self> {
        let suite = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/build");
        let entries = fs::read_dir(&suite).expect("read the suite");
        let dirs = entries.map(|entry| entry.expect("read the suite").path());
        let mut cases: Vec<Self> = dirs.filter(|dir| dir.is_dir()).map(Self::read).collect();
        cases.sort_by(|a, b| a.name.cmp(&b.name));
        assert!(cases.len() >= 40, "{} has the suite", suite.display());
        cases
    }

    fn read(dir: PathBuf) -> Self {
        let name = dir.file_name().and_then(|name| name.to_str());
        let case = Self {
            name: name.expect("an ASCII name").to_owned(),
            dockerfile: fs::read_to_string(dir.join("Dockerfile")).expect("read a Dockerfile"),
            dir,
        };
        assert!(
            case.dockerfile.starts_with("# "),
            "{}: the first line says what the case shows",
            case.name
        );
        case.assert_every_file_has_a_meaning();
        case
    }

    /// A misspelt name would otherwise be an expectation that nothing holds.
    fn assert_every_file_has_a_meaning(&self) {
        for entry in fs::read_dir(&self.dir).expect("read a case") {
            let found = entry.expect("read a case").file_name();
            let found = found.to_str().expect("an ASCII name");
            let is_of_a_mode = |start: &str| {
                let mode = found.strip_prefix(start);
                mode.is_some_and(|mode| Mode::ALL.iter().any(|known| known.name() == mode))
            };
            let plain = [
                "Dockerfile",
                "context",
                "expected",
                "layers",
                "volatile",
                "fails",
                "runs-nothing",
                "flags",
                "differs.tree",
            ];
            let is_known =
                plain.contains(&found) || is_of_a_mode("differs.") || is_of_a_mode("not-in.");
            assert!(is_known, "{}: `{found}` means nothing", self.name);
        }
    }

    /// The build context: what lies in `context/`, with the times of all contexts, and the Dockerfile.
    pub(crate) fn context(&self) -> Context {
        let mut context = Context::new(&self.dockerfile);
        let source = self.dir.join("context");
        if !source.exists() {
            return context;
        }
        for entry in walkdir::WalkDir::new(&source)
            .min_depth(1)
            .sort_by_file_name()
        {
            let entry = entry.expect("walk a context");
            let path = entry.path().strip_prefix(&source).expect("below it");
            let path = path.to_str().expect("an ASCII name");
            context = if entry.file_type().is_dir() {
                context.dir(path)
            } else if entry.file_type().is_symlink() {
                let target = fs::read_link(entry.path()).expect("read a link");
                context.symlink(path, target.to_str().expect("an ASCII target"))
            } else {
                let metadata = entry.metadata().expect("stat");
                // Of a mode, git keeps this and nothing else.
                let mode = match metadata.permissions().mode() & 0o100 {
                    0 => 0o644,
                    _ => 0o755,
                };
                let contents = fs::read(entry.path()).expect("read a file of a context");
                context.file(path, contents).mode(path, mode)
            };
        }
        context
    }

    /// The flag that makes the directory `named` of the case's context, which lies at `context`, a build context of that
    /// name; none where it has no such directory.
    pub(crate) fn named_context(&self, context: &Path) -> Option<String> {
        let has_one = self.dir.join("context/named").is_dir();
        has_one.then(|| format!("--build-context=named={}/named", context.display()))
    }

    /// The base whose layers come first in the image.
    pub(crate) fn base(&self) -> BaseName {
        BaseName::of_last_stage(&self.dockerfile)
    }

    pub(crate) fn outcome(&self, mode: Mode) -> Outcome {
        if let Some(text) = self.text(&format!("not-in.{}", mode.name())) {
            return Outcome::error_of(&text);
        }
        if self.runs_commands() && !mode.runs_commands() {
            return Outcome::Error {
                exit: Some(1),
                parts: vec!["RUN".to_owned(), "hint: ".to_owned()],
            };
        }
        match self.text("fails") {
            Some(text) => Outcome::error_of(&text),
            None => Outcome::Image,
        }
    }

    /// What the flattened image must have, in every mode.
    pub(crate) fn expectation(&self) -> Expectation {
        Expectation::of(&self.text("expected").unwrap_or_default())
    }

    /// What it must have in `mode` instead, because the mode forces it.
    pub(crate) fn differences(&self, mode: Mode) -> Expectation {
        let mut text = self
            .text(&format!("differs.{}", mode.name()))
            .unwrap_or_default();
        if mode.has_trees() {
            text += &self.text("differs.tree").unwrap_or_default();
        }
        Expectation::of(&text)
    }

    /// The names in each layer above the base's, where the case says them.
    pub(crate) fn layers(&self) -> Option<Layers> {
        self.text("layers").map(|text| Layers::of(&text))
    }

    /// Paths that no two builds have alike. Empty for a case whose layers have one digest.
    pub(crate) fn volatile(&self) -> Patterns {
        Patterns::of(&self.text("volatile").unwrap_or_default())
    }

    /// Flags of the executor that the case is about, one on each line of its file.
    pub(crate) fn flags(&self) -> Vec<String> {
        let text = self.text("flags").unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Whether a command must be run for the result.
    fn runs_commands(&self) -> bool {
        let has_run = self
            .dockerfile
            .lines()
            .any(|line| line.starts_with("RUN ") || line.starts_with("ONBUILD RUN "));
        has_run && self.text("runs-nothing").is_none()
    }

    fn text(&self, name: &str) -> Option<String> {
        let path = self.dir.join(name);
        path.exists()
            .then(|| fs::read_to_string(&path).expect("read a file of a case"))
    }
}
