//! One case: a folder of `tests/compat/cases`.

use crate::expected::Expected;
use crate::setup::Setup;
use std::fs;
use std::path::{Path, PathBuf};

/// What a folder may hold; any other name would be an expectation that nothing holds.
const FILES: [&str; 5] = [
    "Dockerfile",
    "Dockerfile.dockerignore",
    "context",
    "setup",
    "expected",
];

pub(crate) struct Case {
    pub(crate) name: String,
    dir: PathBuf,
}

impl Case {
    /// Every case, by name.
    pub(crate) fn all() -> Vec<Self> {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/compat/cases");
        let entries = fs::read_dir(&dir).expect("read the cases");
        let mut cases: Vec<Self> = entries
            .map(|entry| Self::in_dir(entry.expect("read the cases").path()))
            .collect();
        cases.sort_by(|a, b| a.name.cmp(&b.name));
        assert!(cases.len() >= 200, "{} has the cases", dir.display());
        cases
    }

    fn in_dir(dir: PathBuf) -> Self {
        let name = dir.file_name().and_then(|name| name.to_str());
        Self {
            name: name.expect("an ASCII name").to_owned(),
            dir,
        }
    }

    /// `url` is that of what the case serves.
    pub(crate) fn expected(&self, url: &str) -> Expected {
        for entry in fs::read_dir(&self.dir).expect("read a case") {
            let found = entry.expect("read a case").file_name();
            let is_known = FILES.iter().any(|known| found == *known);
            assert!(is_known, "`{}` means nothing in a case", found.display());
        }
        let text = fs::read_to_string(self.dir.join("expected")).expect("read `expected`");
        Expected::of(&text, url)
    }

    pub(crate) fn setup(&self) -> Setup {
        let path = self.dir.join("setup");
        if !path.exists() {
            return Setup::default();
        }
        Setup::of(&fs::read_to_string(path).expect("read `setup`"))
    }

    /// Copies the Dockerfile, and the ignore file of its own, to where the case is built.
    pub(crate) fn copy_dockerfile(&self, here: &Path) {
        for name in ["Dockerfile", "Dockerfile.dockerignore"] {
            let path = self.dir.join(name);
            if path.exists() || name == "Dockerfile" {
                fs::copy(path, here.join(name)).expect("copy a file of the case");
            }
        }
    }

    /// The part of the context that git can store.
    pub(crate) fn committed_context(&self) -> PathBuf {
        self.dir.join("context")
    }
}
