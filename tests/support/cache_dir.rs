//! A cache directory of a test's own, and the programs that look after it.

use super::account::Who;
use super::image::{Image, hex_of};
use super::registry::Registry;
use super::test_dir::TestDir;
use super::tool::Tool;
use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Output;

/// The directory; nothing is in it at first.
pub(crate) struct CacheDir {
    dir: TestDir,
}

impl CacheDir {
    pub(crate) fn new(who: Who) -> Self {
        let dir = TestDir::new();
        let (path, account) = (dir.join("cache"), who.account());
        fs::create_dir(&path).expect("make a cache directory");
        chown(&path, Some(account.uid), Some(account.gid)).expect("give it to the account");
        Self { dir }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.dir.join("cache")
    }

    /// `--cache-dir` with this directory.
    pub(crate) fn flag(&self) -> String {
        format!("--cache-dir={}", self.path().display())
    }

    /// As `warmer`, with variables of the environment.
    pub(crate) fn warmer_with(&self, env: &[(&str, String)], args: &[&str]) -> Output {
        let warmer = Tool::new(env!("CARGO_BIN_EXE_warmer")).arg(self.flag());
        let warmer = env
            .iter()
            .fold(warmer, |warmer, (name, value)| warmer.env(name, value));
        warmer.args(args).output()
    }

    /// Runs the warmer on the directory.
    pub(crate) fn warmer(&self, args: &[&str]) -> Output {
        let warmer = Tool::new(env!("CARGO_BIN_EXE_warmer"));
        warmer.arg(self.flag()).args(args).output()
    }

    /// Runs `executor cache COMMAND` on the directory, as root.
    pub(crate) fn upkeep(&self, command: &[&str]) -> Output {
        let executor = Tool::new(env!("CARGO_BIN_EXE_executor"));
        executor
            .arg("cache")
            .args(command)
            .arg(self.flag())
            .output()
    }

    /// As [`Self::upkeep`]; returns what it printed, and fails with anything but exit 0.
    pub(crate) fn upkeep_says(&self, command: &[&str]) -> String {
        let output = self.upkeep(command);
        assert!(output.status.success(), "{}", text_of(&output));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    pub(crate) fn assert_whole(&self) {
        assert_eq!(
            self.upkeep_says(&["verify"]),
            "everything is as it should be\n"
        );
    }

    /// Digits of the images' digests that are kept.
    pub(crate) fn images(&self) -> Vec<String> {
        names(&self.path().join("images"))
    }

    /// The file of a blob.
    pub(crate) fn blob(&self, digest: &str) -> PathBuf {
        self.path().join("blobs/sha256").join(hex_of(digest))
    }
}

/// Both outputs of a program, for a failing assertion.
pub(crate) fn text_of(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    text(&output.stdout) + &text(&output.stderr)
}

/// The sorted names in a directory; empty where there is none.
pub(crate) fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).into_iter().flatten();
    let name = |entry: std::io::Result<fs::DirEntry>| {
        let name = entry.expect("read a directory").file_name();
        name.into_string().expect("an ASCII name")
    };
    let mut names: Vec<String> = entries.map(name).collect();
    names.sort();
    names
}

/// The requests since `before` that asked for a layer of an image.
pub(crate) fn layer_requests(registry: &Registry, before: usize, image: &Image) -> Vec<String> {
    let requests = registry.requests();
    let is_of_layer = |request: &&String| {
        let mut layers = image.layers.iter();
        request.starts_with("GET ") && layers.any(|layer| request.contains(hex_of(&layer.digest)))
    };
    requests[before..]
        .iter()
        .filter(is_of_layer)
        .cloned()
        .collect()
}
