//! A git repository that a server of the tests serves, made with git itself.

use super::tool::Tool;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

/// When everything is committed: 2020-09-13T12:26:40Z.
pub(crate) const COMMITTED: i64 = 1_600_000_000;

/// A repository with a working tree. Its `.git` is what is served.
pub(crate) struct GitRepository {
    work: PathBuf,
}

impl GitRepository {
    /// An empty one, served as `NAME.git` by servers of `dir`.
    pub(crate) fn new(dir: &Path, name: &str) -> Self {
        let work = dir.join(format!("{name}.work"));
        fs::create_dir(&work).expect("make a working tree");
        let repository = Self { work };
        let git_dir = dir.join(format!("{name}.git"));
        let separate = format!("--separate-git-dir={}", git_dir.display());
        repository.git(&["init", "--quiet", "--initial-branch=main", &separate]);
        repository
    }

    pub(crate) fn file(&self, path: &str, contents: impl AsRef<[u8]>) -> &Self {
        self.file_with_mode(path, contents, 0o644)
    }

    pub(crate) fn file_with_mode(
        &self,
        path: &str,
        contents: impl AsRef<[u8]>,
        mode: u32,
    ) -> &Self {
        let path = self.work.join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("make a directory");
        fs::write(&path, contents).expect("write a file");
        fs::set_permissions(&path, Permissions::from_mode(mode)).expect("set a mode");
        self
    }

    pub(crate) fn symlink(&self, path: &str, target: &str) -> &Self {
        symlink(target, self.work.join(path)).expect("make a symlink");
        self
    }

    /// Puts a commit of another repository at `path`; `.gitmodules` is the test's to write.
    pub(crate) fn submodule(&self, path: &str, commit: &str) -> &Self {
        let info = format!("160000,{commit},{path}");
        self.git(&["update-index", "--add", "--cacheinfo", &info]);
        self
    }

    /// Commits everything and returns the commit's hash.
    pub(crate) fn commit(&self, message: &str) -> String {
        // Not `--all`: a submodule without its files would be gone.
        let names = self.git(&["ls-files", "--others", "--modified"]);
        for name in names
            .lines()
            .filter(|name| self.work.join(name).is_symlink() || self.work.join(name).is_file())
        {
            self.git(&["add", "--force", "--", name]);
        }
        self.git(&["commit", "--quiet", "--allow-empty", "--message", message]);
        self.git(&["rev-parse", "HEAD"])
    }

    /// Runs git and returns what it prints, trimmed.
    pub(crate) fn git(&self, args: &[&str]) -> String {
        let date = format!("{COMMITTED} +0000");
        let output = Tool::new("git")
            .in_dir(&self.work)
            .env("HOME", &self.work)
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_AUTHOR_DATE", &date)
            .env("GIT_COMMITTER_DATE", &date)
            .args(["-c", "user.name=e2e", "-c", "user.email=e2e@localhost"])
            .args(["-c", "safe.directory=*", "-c", "commit.gpgsign=false"])
            .args(args)
            .run();
        output.trim().to_owned()
    }

    /// Writes an object of this kind, whatever git thinks of it, and returns its name.
    pub(crate) fn object(&self, kind: &str, bytes: &[u8]) -> String {
        let file = self.work.with_extension("object");
        fs::write(&file, bytes).expect("write an object's bytes");
        let path = file.to_str().expect("UTF-8");
        self.git(&[
            "hash-object",
            "-t",
            kind,
            "--literally",
            "-w",
            "--no-filters",
            path,
        ])
    }

    /// Makes `branch` a commit of a tree that is given entry by entry: mode, name, object.
    pub(crate) fn branch_with_tree(&self, branch: &str, entries: &[(&str, &[u8], &str)]) -> String {
        let tree = self.tree(entries);
        let commit = self.git(&["commit-tree", "-m", "crafted", &tree]);
        self.git(&["update-ref", &format!("refs/heads/{branch}"), &commit]);
        commit
    }

    pub(crate) fn tree(&self, entries: &[(&str, &[u8], &str)]) -> String {
        let mut bytes = Vec::new();
        for (mode, name, id) in entries {
            bytes.extend_from_slice(mode.as_bytes());
            bytes.push(b' ');
            bytes.extend_from_slice(name);
            bytes.push(0);
            let digits = id.as_bytes().chunks(2);
            bytes.extend(digits.map(|pair| {
                let text = std::str::from_utf8(pair).expect("ASCII");
                u8::from_str_radix(text, 16).expect("hexadecimal")
            }));
        }
        self.object("tree", &bytes)
    }
}
