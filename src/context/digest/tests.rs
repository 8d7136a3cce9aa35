//! What counts changes the digest, and nothing else does.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::time::{Duration, UNIX_EPOCH};

use super::*;
use crate::context::dockerignore::Ignore;
use crate::context::{BuildContext, choose_by};

struct Tree(tempfile::TempDir);

impl Tree {
    /// A directory `src` with some of everything.
    fn new() -> Self {
        let tree = Self(tempfile::tempdir().unwrap());
        fs::create_dir_all(tree.path("src/sub/empty")).unwrap();
        tree.write("src/a", "a");
        tree.write("src/sub/b", "bb");
        symlink("a", tree.path("src/link")).unwrap();
        tree
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
        fs::set_permissions(self.path(name), Permissions::from_mode(0o644)).unwrap();
    }

    fn root(&self) -> Root {
        Root::open(self.0.path()).unwrap()
    }

    fn digest_by(&self, path: &str, rules: &DigestRules<'_>) -> Digest {
        digest(
            &self.root(),
            Path::new(path),
            rules,
            &ContentDigests::new(2),
        )
        .unwrap()
    }

    fn digest(&self) -> Digest {
        self.digest_by("src", &all())
    }

    fn digest_without(&self, patterns: &[&str]) -> Digest {
        let ignore = Ignore::from_patterns(patterns).unwrap();
        let context = BuildContext::new(self.root(), PathBuf::new(), ignore);
        let choose = |path: &Path, metadata: &Metadata| context.choose(path, metadata);
        self.digest_by(
            "src",
            &DigestRules {
                choose: &choose,
                ..all()
            },
        )
    }
}

fn all() -> DigestRules<'static> {
    DigestRules {
        choose: &|_, _| Choice::Take,
        keeps_owner: false,
        keeps_xattr: |name| name == "user.kept",
        shows_itself: false,
    }
}

#[test]
fn every_change_that_a_copy_would_show_changes_the_digest() {
    type Change = fn(&Tree);
    let changes: [Change; 19] = [
        |_| {},
        |tree| tree.write("src/a", "b"),
        |tree| tree.write("src/a", "aa"),
        |tree| tree.write("src/a", ""),
        |tree| tree.write("src/new", ""),
        |tree| fs::set_permissions(tree.path("src/a"), Permissions::from_mode(0o755)).unwrap(),
        |tree| fs::set_permissions(tree.path("src/sub"), Permissions::from_mode(0o700)).unwrap(),
        |tree| fs::rename(tree.path("src/a"), tree.path("src/c")).unwrap(),
        |tree| fs::rename(tree.path("src/sub/b"), tree.path("src/b")).unwrap(),
        |tree| fs::rename(tree.path("src/sub"), tree.path("src/bus")).unwrap(),
        |tree| fs::remove_file(tree.path("src/link")).unwrap(),
        |tree| fs::remove_dir(tree.path("src/sub/empty")).unwrap(),
        |tree| fs::create_dir(tree.path("src/empty")).unwrap(),
        |tree| {
            fs::remove_file(tree.path("src/link")).unwrap();
            symlink("b", tree.path("src/link")).unwrap();
        },
        |tree| {
            fs::remove_file(tree.path("src/link")).unwrap();
            tree.write("src/link", "a");
        },
        |tree| fs::hard_link(tree.path("src/a"), tree.path("src/hard")).unwrap(),
        |tree| {
            fs::copy(tree.path("src/a"), tree.path("src/hard")).unwrap();
        },
        |tree| {
            let kind = FileKind::Fifo;
            let src = tree.root().open_dir(Path::new("src")).unwrap();
            src.create_node(OsStr::new("pipe"), kind, 0o644).unwrap();
        },
        |tree| {
            let src = tree.root().open_dir(Path::new("src")).unwrap();
            src.set_xattr(OsStr::new("a"), OsStr::new("user.kept"), b"1")
                .unwrap();
        },
    ];
    let digest_after = |change: &Change| {
        let tree = Tree::new();
        change(&tree);
        tree.digest()
    };
    let digests: Vec<Digest> = changes.iter().map(digest_after).collect();
    for (at, digest) in digests.iter().enumerate() {
        assert!(!digests[..at].contains(digest), "change {at}");
    }
}

#[test]
fn what_a_copy_does_not_show_changes_nothing() {
    let tree = Tree::new();
    let before = tree.digest();
    let old = UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    File::open(tree.path("src/a"))
        .unwrap()
        .set_modified(old)
        .unwrap();
    File::open(tree.path("src/sub"))
        .unwrap()
        .set_modified(old)
        .unwrap();
    assert_eq!(tree.digest(), before, "times");
    chown(tree.path("src/a"), Some(7), Some(8)).unwrap();
    assert_eq!(tree.digest(), before, "owner");
    let src = tree.root().open_dir(Path::new("src")).unwrap();
    src.set_xattr(OsStr::new("a"), OsStr::new("user.other"), b"1")
        .unwrap();
    assert_eq!(tree.digest(), before, "attributes that are not kept");
    fs::set_permissions(tree.path("src"), Permissions::from_mode(0o700)).unwrap();
    assert_eq!(tree.digest(), before, "the top directory itself");
    fs::rename(tree.path("src"), tree.path("moved")).unwrap();
    assert_eq!(tree.digest_by("moved", &all()), before, "its name");
    fs::hard_link(tree.path("moved/a"), tree.path("outside")).unwrap();
    assert_eq!(tree.digest_by("moved", &all()), before, "a link outside");
    symlink("moved", tree.path("way")).unwrap();
    assert_eq!(tree.digest_by("way", &all()), before, "the way there");
}

#[test]
fn a_directory_that_is_seen_itself_counts_by_its_mode_and_owner() {
    let tree = Tree::new();
    let seen = |keeps_owner| DigestRules {
        shows_itself: true,
        keeps_owner,
        ..all()
    };
    let before = tree.digest_by("src", &seen(false));
    assert_ne!(before, tree.digest());
    fs::set_permissions(tree.path("src"), Permissions::from_mode(0o700)).unwrap();
    let mode = tree.digest_by("src", &seen(false));
    assert_ne!(mode, before);
    let own = tree.digest_by("src", &seen(true));
    chown(tree.path("src"), Some(7), None).unwrap();
    assert_eq!(tree.digest_by("src", &seen(false)), mode);
    assert_ne!(tree.digest_by("src", &seen(true)), own);
}

#[test]
fn owners_count_where_copies_keep_them() {
    let tree = Tree::new();
    let kept = || DigestRules {
        keeps_owner: true,
        ..all()
    };
    let before = tree.digest_by("src", &kept());
    assert_ne!(before, tree.digest());
    chown(tree.path("src/sub/b"), Some(7), None).unwrap();
    let user = tree.digest_by("src", &kept());
    chown(tree.path("src/sub/b"), Some(0), Some(7)).unwrap();
    assert!(user != before && tree.digest_by("src", &kept()) != user);
}

#[test]
fn a_tree_listed_in_another_order_has_the_same_digest() {
    let names: Vec<String> = (0..2 * BATCH_FILES)
        .map(|number| format!("src/f{number}"))
        .collect();
    let digest_of = |names: &mut dyn Iterator<Item = &String>| {
        let tree = Tree::new();
        names.for_each(|name| tree.write(name, name));
        tree.digest()
    };
    let first = digest_of(&mut names.iter());
    assert_eq!(digest_of(&mut names.iter().rev()), first);
    assert_ne!(digest_of(&mut names.iter().skip(1)), first);
}

#[test]
fn what_is_left_out_does_not_count_and_the_way_to_an_exception_does() {
    let tree = Tree::new();
    let patterns = ["src/sub", "!src/sub/deep/kept"];
    let nothing_below = tree.digest_without(&patterns);
    assert_ne!(nothing_below, tree.digest());
    tree.write("src/sub/b", "changed");
    fs::create_dir(tree.path("src/sub/deep")).unwrap();
    assert_eq!(tree.digest_without(&patterns), nothing_below);
    tree.write("src/sub/deep/kept", "kept");
    let with_exception = tree.digest_without(&patterns);
    assert_ne!(with_exception, nothing_below);
    tree.write("src/sub/deep/other", "x");
    fs::remove_dir_all(tree.path("src/sub/empty")).unwrap();
    assert_eq!(tree.digest_without(&patterns), with_exception);
    fs::set_permissions(tree.path("src/sub"), Permissions::from_mode(0o700)).unwrap();
    assert_ne!(tree.digest_without(&patterns), with_exception);
}

#[test]
fn excluded_files_are_as_good_as_not_there() {
    let tree = Tree::new();
    let exclude = Ignore::from_patterns(&["sub"]).unwrap();
    let choose = |path: &Path, metadata: &Metadata| {
        let relative = path.strip_prefix("src").unwrap();
        choose_by(&exclude, relative, metadata.is_dir())
    };
    let excluded = tree.digest_by(
        "src",
        &DigestRules {
            choose: &choose,
            ..all()
        },
    );
    fs::remove_dir_all(tree.path("src/sub")).unwrap();
    assert_eq!(tree.digest(), excluded);
}

#[test]
fn a_single_file_is_hashed_without_its_name() {
    let tree = Tree::new();
    let a = tree.digest_by("src/a", &all());
    assert_eq!(tree.digest_by("src/link", &all()), a);
    fs::copy(tree.path("src/a"), tree.path("src/c")).unwrap();
    assert_eq!(tree.digest_by("src/c", &all()), a);
    assert_ne!(tree.digest_by("src/sub/b", &all()), a);
    tree.write("dir-with-a", "");
    assert_ne!(tree.digest_by("dir-with-a", &all()), a);
}

#[test]
fn each_file_is_read_once_however_many_ask() {
    let tree = Tree::new();
    for number in 0..50 {
        tree.write(&format!("src/{number}"), &"x".repeat(20_000 + number));
    }
    let contents = ContentDigests::new(3);
    let ask = || digest(&tree.root(), Path::new("src"), &all(), &contents).unwrap();
    let digests = std::thread::scope(|scope| {
        let askers: Vec<_> = (0..4).map(|_| scope.spawn(ask)).collect();
        askers
            .into_iter()
            .map(|asker| asker.join().unwrap())
            .collect::<Vec<_>>()
    });
    assert!(digests.iter().all(|digest| *digest == digests[0]));
    assert_eq!(contents.files_read(), 52);
    tree.write("src/a", "other");
    assert_ne!(ask(), digests[0]);
    assert_eq!(contents.files_read(), 53);
}

#[test]
fn what_is_not_there_or_cannot_be_read_is_an_error_with_its_path() {
    let tree = Tree::new();
    let contents = ContentDigests::new(1);
    let error = digest(&tree.root(), Path::new("none"), &all(), &contents).unwrap_err();
    assert!(error.to_string().ends_with("/none`"), "{error}");
}
