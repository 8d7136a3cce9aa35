//! What a plain directory shows of a step. The rules that an overlay has as well are tested beside it: its tests give
//! the same work to both.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::FileType;

use super::*;
use crate::fs::KnownContents;
use crate::snapshot::overlay::tests::step::{age, line, set_mtime};
use crate::snapshot::overlay::tests::{mknod, write};

mod hard_links;
mod random;
mod recorded;
mod size;

/// A tree that steps change in place.
pub(in crate::snapshot) struct Tree {
    temp: tempfile::TempDir,
    root: Root,
    before: Index,
    excluded: Excluded,
}

impl Tree {
    /// Makes the tree as a base image is unpacked: all contents pass through our hands.
    pub(in crate::snapshot) fn over(prepare: impl FnOnce(&Path)) -> Self {
        Self::skipping(&[], prepare, contents_of)
    }

    /// Makes a tree of which nobody knows the contents.
    fn unknown(prepare: impl FnOnce(&Path)) -> Self {
        Self::skipping(&[], prepare, |_| KnownContents::default())
    }

    fn skipping(
        skipped: &[&str],
        prepare: impl FnOnce(&Path),
        contents: impl FnOnce(&Path) -> KnownContents,
    ) -> Self {
        let temp = tempfile::tempdir().unwrap();
        prepare(temp.path());
        age(temp.path());
        let root = Root::open(temp.path()).unwrap();
        let skipped = skipped.iter().map(PathBuf::from).collect();
        let before = Index::take(&root, &skipped, &contents(temp.path())).unwrap();
        before.wait_until_changes_show();
        Self {
            temp,
            root,
            before,
            excluded: Excluded::new(),
        }
    }

    fn path(&self) -> &Path {
        self.temp.path()
    }

    /// Runs a step and returns its changes as lines; the next step begins where this one ends.
    pub(in crate::snapshot) fn changes(&mut self, work: impl FnOnce(&Path)) -> Vec<String> {
        self.try_changes(work).unwrap().0
    }

    fn try_changes(
        &mut self,
        work: impl FnOnce(&Path),
    ) -> Result<(Vec<String>, Summary), DiffError> {
        let mut lines = Vec::new();
        let summary = self.step(work, |diff| {
            diff.visit(|change| {
                lines.push(line(&change));
                Ok::<(), DiffError>(())
            })
        })?;
        Ok((lines, summary))
    }

    /// Runs a step and gives its changes to `read`.
    fn step<T>(
        &mut self,
        work: impl FnOnce(&Path),
        read: impl FnOnce(&ScanDiff<'_>) -> Result<T, DiffError>,
    ) -> Result<T, DiffError> {
        work(self.temp.path());
        let after = self.before.retake(&self.root)?;
        let diff = ScanDiff {
            before: &self.before,
            after: &after,
            root: &self.root,
            excluded: &self.excluded,
        };
        let result = read(&diff);
        after.wait_until_changes_show();
        self.before = after;
        result
    }
}

/// Hashes every file below `root`, as unpacking would on the way.
fn contents_of(root: &Path) -> KnownContents {
    let mut known = KnownContents::default();
    let root = Root::open(root).unwrap();
    for entry in walkdir::WalkDir::new(root.path()) {
        let entry = entry.unwrap();
        if entry.file_type().is_file() {
            let path = entry.path().strip_prefix(root.path()).unwrap();
            let mut hasher = known.hasher();
            io::copy(&mut root.open_file(path).unwrap(), &mut hasher).unwrap();
            let metadata = root.symlink_metadata(path).unwrap().unwrap();
            known.insert(&metadata, hasher);
        }
    }
    known
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_step_that_changes_nothing_has_no_changes_and_no_new_listings() {
    let mut tree = Tree::over(|root| {
        write(&root.join("a/b/f"), "x");
        hard_links::three_names(root);
    });
    let (lines, summary) = tree.try_changes(|_| {}).unwrap();
    assert!(lines.is_empty());
    assert!(summary.is_empty());
    let after = tree.before.retake(&tree.root).unwrap();
    assert_eq!(after.common_listings(&tree.before), 3);
}

#[test]
fn only_directories_with_changes_get_new_listings() {
    let mut tree = Tree::over(|root| {
        for name in ["a/f", "b/f", "c/d/f"] {
            write(&root.join(name), name);
        }
    });
    let first = tree.before.retake(&tree.root).unwrap();
    let changes = tree.changes(|root| write(&root.join("b/f"), "new"));
    assert_eq!(changes, ["d b", "f b/f 3"]);
    // The root's, `a`, `c` and `c/d`: a file's new contents are no change of its directory.
    assert_eq!(tree.before.common_listings(&first), 4);
}

#[test]
fn each_step_is_compared_with_the_one_before() {
    let mut tree = Tree::over(|root| write(&root.join("d/old"), "x"));
    let changes = tree.changes(|root| write(&root.join("d/first"), "1"));
    assert_eq!(changes, ["d d", "f d/first 1"]);
    let changes = tree.changes(|root| {
        set_mode(&root.join("d/first"), 0o644);
        write(&root.join("d/second"), "2");
    });
    assert_eq!(changes, ["d d", "f d/second 1"]);
    let changes = tree.changes(|root| fs::remove_file(root.join("d/first")).unwrap());
    assert_eq!(changes, ["d d", "- d/first"]);
    assert!(tree.changes(|_| {}).is_empty());
}

#[test]
fn a_directory_moved_elsewhere_is_new_with_everything_in_it() {
    let mut tree = Tree::over(|root| {
        write(&root.join("from/sub/f"), "x");
        symlink("f", root.join("from/sub/l")).unwrap();
        write(&root.join("to/kept"), "x");
    });
    let changes = tree.changes(|root| {
        fs::rename(root.join("from"), root.join("to/moved")).unwrap();
    });
    let expected = [
        "- from",
        "d to",
        "d to/moved",
        "d to/moved/sub",
        "f to/moved/sub/f 1",
        "l to/moved/sub/l -> f",
    ];
    assert_eq!(changes, expected);
}

#[test]
fn directories_that_change_places_are_compared_by_their_names() {
    let mut tree = Tree::over(|root| {
        write(&root.join("a/same"), "x");
        write(&root.join("a/only-a"), "x");
        write(&root.join("b/same"), "x");
        write(&root.join("b/only-b"), "x");
    });
    let changes = tree.changes(|root| {
        for (from, to) in [("a", "c"), ("b", "a"), ("c", "b")] {
            fs::rename(root.join(from), root.join(to)).unwrap();
        }
    });
    let expected = [
        "d a",
        "- a/only-a",
        "f a/only-b 1",
        "d b",
        "- b/only-b",
        "f b/only-a 1",
    ];
    assert_eq!(changes, expected);
}

#[test]
fn directories_below_those_that_change_places_are_compared_by_their_names() {
    let mut tree = Tree::over(|root| {
        write(&root.join("a/sub/only-a"), "x");
        write(&root.join("b/sub/only-b"), "x");
    });
    let changes = tree.changes(|root| {
        for (from, to) in [("a", "c"), ("b", "a"), ("c", "b")] {
            fs::rename(root.join(from), root.join(to)).unwrap();
        }
    });
    let expected = [
        "d a",
        "d a/sub",
        "- a/sub/only-a",
        "f a/sub/only-b 1",
        "d b",
        "d b/sub",
        "- b/sub/only-b",
        "f b/sub/only-a 1",
    ];
    assert_eq!(changes, expected);
}

/// Only its change time, which nobody can set, says that a directory has other names than when it was last read.
#[test]
fn names_come_and_go_in_a_directory_that_is_given_back_its_time() {
    let mut tree = Tree::over(|root| {
        for name in ["gone", "old"] {
            write(&root.join("d/e").join(name), "x");
        }
    });
    assert!(tree.changes(|_| {}).is_empty());
    let changes = tree.changes(|root| {
        let dir = root.join("d/e");
        let time = fs::metadata(&dir).unwrap().modified().unwrap();
        fs::remove_file(dir.join("gone")).unwrap();
        fs::rename(dir.join("old"), dir.join("new")).unwrap();
        write(&dir.join("more"), "y");
        set_mtime(&dir, time);
    });
    let expected = [
        "d d",
        "d d/e",
        "- d/e/gone",
        "- d/e/old",
        "f d/e/more 1",
        "f d/e/new 1",
    ];
    assert_eq!(changes, expected);
}

#[test]
fn a_file_made_again_as_it_was_is_no_change() {
    let mut tree = Tree::over(|root| {
        write(&root.join("f"), "same");
        symlink("same", root.join("l")).unwrap();
    });
    let changes = tree.changes(|root| {
        let before = fs::metadata(root).unwrap().modified().unwrap();
        for name in ["f", "l"] {
            let (old, new) = (root.join(name), root.join("new"));
            let status = std::process::Command::new("cp")
                .arg("-a")
                .args([&old, &new])
                .status();
            assert!(status.unwrap().success());
            fs::rename(new, old).unwrap();
        }
        set_mtime(root, before);
    });
    assert!(changes.is_empty(), "{changes:?}");
}

#[test]
fn a_directory_renamed_away_and_back_is_no_change() {
    let mut tree = Tree::over(|root| write(&root.join("usr/bin/f"), "x"));
    let changes = tree.changes(|root| {
        let before = fs::metadata(root).unwrap().modified().unwrap();
        fs::rename(root.join("usr"), root.join("aside")).unwrap();
        fs::rename(root.join("aside"), root.join("usr")).unwrap();
        set_mtime(root, before);
    });
    assert!(changes.is_empty(), "{changes:?}");
}

#[test]
fn contents_written_over_with_the_time_put_back_are_a_change_known_or_not() {
    for mut tree in [
        Tree::over(|root| write(&root.join("f"), "same")),
        Tree::unknown(|root| write(&root.join("f"), "same")),
    ] {
        let rewrite = |text: &'static str| {
            move |root: &Path| {
                let file = root.join("f");
                let before = fs::metadata(&file).unwrap().modified().unwrap();
                fs::write(&file, text).unwrap();
                set_mtime(&file, before);
            }
        };
        assert_eq!(tree.changes(rewrite("SAME")), ["f f 4"]);
        assert_eq!(tree.changes(rewrite("same")), ["f f 4"]);
        assert!(tree.changes(rewrite("same")).is_empty());
    }
}

#[test]
fn unknown_contents_cost_an_entry_the_first_time_only() {
    let mut tree = Tree::unknown(|root| {
        write(&root.join("d/f"), "x");
        write(&root.join("d/empty"), "");
        symlink("x", root.join("d/l")).unwrap();
    });
    let touch = |root: &Path| {
        for name in ["d/f", "d/empty", "d"] {
            chown(root.join(name), Some(0), Some(0)).unwrap();
        }
        std::os::unix::fs::lchown(root.join("d/l"), Some(0), Some(0)).unwrap();
    };
    assert_eq!(tree.changes(touch), ["d d", "f d/f 1"]);
    assert!(tree.changes(touch).is_empty());
}

#[test]
fn attributes_count_on_files_and_directories_once_they_differ() {
    let set = |path: &Path, value: &[u8]| {
        let flags = rustix::fs::XattrFlags::empty();
        rustix::fs::lsetxattr(path, "user.note", value, flags).unwrap();
    };
    let mut tree = Tree::over(|root| {
        for name in ["d/same", "d/other", "d/gone"] {
            write(&root.join(name), "x");
            set(&root.join(name), b"1");
        }
    });
    let changes = tree.changes(|root| {
        set(&root.join("d/same"), b"1");
        set(&root.join("d/other"), b"2");
        rustix::fs::lremovexattr(root.join("d/gone"), "user.note").unwrap();
    });
    let expected = ["d d", "f d/gone 1", "f d/other 1 user.note=2"];
    assert_eq!(changes, expected);
    let changes = tree.changes(|root| set(&root.join("d"), b"dir"));
    assert_eq!(changes, ["d d user.note=dir"]);
}

#[test]
fn sockets_and_devices_that_mean_deleted_are_nothing() {
    let mut tree = Tree::over(|root| {
        mknod(&root.join("old-socket"), FileType::Socket, 0);
        write(&root.join("was-a-file"), "x");
        write(&root.join("was-another"), "x");
    });
    let changes = tree.changes(|root| {
        for name in ["old-socket", "was-a-file", "was-another"] {
            fs::remove_file(root.join(name)).unwrap();
        }
        mknod(&root.join("was-a-file"), FileType::Socket, 0);
        mknod(&root.join("was-another"), FileType::CharacterDevice, 0);
        mknod(&root.join("new"), FileType::Socket, 0);
    });
    assert_eq!(changes, ["- was-a-file", "- was-another"]);
    let changes = tree.changes(|root| {
        fs::remove_file(root.join("was-a-file")).unwrap();
        write(&root.join("was-a-file"), "file");
        fs::remove_file(root.join("new")).unwrap();
    });
    assert_eq!(changes, ["f was-a-file 4"]);
}

#[test]
fn skipped_paths_are_never_entered_and_never_removed() {
    let skipped = ["proc", "etc/hosts", "d/volume"];
    let prepare = |root: &Path| {
        for name in ["proc/1/x", "etc/hosts", "etc/kept", "d/volume/x"] {
            write(&root.join(name), name);
        }
    };
    let mut tree = Tree::skipping(&skipped, prepare, contents_of);
    assert_eq!(tree.before.memory().1, 3, "etc, etc/kept and d");
    let changes = tree.changes(|root| {
        write(&root.join("proc/2/y"), "y");
        write(&root.join("etc/hosts"), "new");
        fs::remove_dir_all(root.join("d/volume")).unwrap();
        write(&root.join("d/new"), "x");
    });
    assert_eq!(changes, ["d d", "f d/new 1"]);
}

#[test]
fn paths_excluded_from_one_step_are_compared_in_the_next() {
    let mut tree = Tree::over(|root| {
        write(&root.join("etc/hosts"), "x");
        write(&root.join("run/kept"), "x");
    });
    tree.excluded = ["etc/hosts", "run"].iter().map(PathBuf::from).collect();
    let changes = tree.changes(|root| {
        write(&root.join("etc/hosts"), "changed");
        write(&root.join("run/new"), "x");
        fs::remove_file(root.join("run/kept")).unwrap();
    });
    assert!(changes.is_empty(), "{changes:?}");
    tree.excluded = Excluded::new();
    let changes = tree.changes(|root| {
        write(&root.join("etc/hosts"), "again");
        fs::remove_file(root.join("run/new")).unwrap();
    });
    assert_eq!(changes, ["d etc", "f etc/hosts 5", "d run", "- run/new"]);
}

#[test]
fn a_name_that_means_deleted_is_an_error_only_where_it_would_come() {
    let mut tree = Tree::over(|root| write(&root.join("d/.wh.old"), "x"));
    let changes = tree.changes(|root| write(&root.join("new"), "x"));
    assert_eq!(changes, ["f new 1"]);
    let error = tree
        .try_changes(|root| write(&root.join("d/.wh.x"), "x"))
        .unwrap_err();
    assert!(matches!(error, DiffError::ReservedName { .. }));
    assert!(error.to_string().contains("`d/.wh.x`"), "{error}");
}
